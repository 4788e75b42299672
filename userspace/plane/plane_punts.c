/* SPDX-License-Identifier: MIT */
/*
 * What the programs tell main of: the ring buffer `events`. It and what belongs to it are of the
 * moment, so they are made anew by each process, also where the other maps are taken over.
 */
#include "plane/plane_impl.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* One call of plane_punts(). */
struct punt_turn {
	unsigned most, n;
	plane_punt_fn take;
	void *arg;
};

bool plane_map_is_of_the_moment(const struct bpf_map *map)
{
	static const char *const names[] = { "events", "punted", "punt_stats" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(bpf_map__name(map), names[i]) == 0)
			return true;
	return false;
}

/* The kernel's records have their length; what is in one is looked at all the same. */
static bool is_good(const void *data, size_t size)
{
	const struct mcr_punt *p = data;

	return size >= sizeof(*p) && p->kind < MCR_PUNT__COUNT && p->ifindex &&
	       (p->group[0] & 0xf0) == 0xe0 && (p->source[0] & 0xe0) != 0xe0;
}

/* A negative answer ends the walk, with this record taken. */
static int on_record(void *ctx, void *data, size_t size)
{
	struct plane *p = ctx;
	struct punt_turn *turn = p->punt_turn;

	if (is_good(data, size))
		turn->take(turn->arg, data);
	return ++turn->n < turn->most ? 0 : -EAGAIN;
}

int plane_punts_open(struct plane *p)
{
	p->ring = ring_buffer__new(bpf_map__fd(p->skel->maps.events), on_record, p, NULL);
	return p->ring ? 0 : -errno;
}

void plane_punts_close(struct plane *p)
{
	ring_buffer__free(p->ring);
	p->ring = NULL;
}

int plane_punts_fd(const struct plane *p)
{
	return ring_buffer__epoll_fd(p->ring);
}

unsigned plane_punts(struct plane *p, unsigned most, plane_punt_fn take, void *arg)
{
	struct punt_turn turn = { .most = most, .take = take, .arg = arg };

	p->punt_turn = &turn;
	if (most)
		ring_buffer__consume(p->ring);
	p->punt_turn = NULL;
	return turn.n;
}
