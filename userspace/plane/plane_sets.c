/* SPDX-License-Identifier: MIT */
/*
 * Egress sets: lists of output interfaces, each a DEVMAP inside `egress_sets`. Rules that send to
 * the same interfaces share one. To change the outer map waits for a grace period of the kernel,
 * to change an inner one does not; so empty sets of a few sizes are put there in advance, and a
 * rule whose outputs change takes one of them.
 */
#include "plane/plane_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define SPARES	  8   /* empty sets of each size that are kept at hand */
#define GROW_MOST 512 /* sets made at once */

/* The kernel walks all elements of a DEVMAP for each frame, used or not. */
static const unsigned set_sizes[PLANE_SET_SIZES] = { 1, 4, 16, MCR_MAX_OUTPUTS };

static unsigned size_class(unsigned n)
{
	unsigned class = 0;

	while (class + 1 < PLANE_SET_SIZES && set_sizes[class] < n)
		class ++;
	return class;
}

static uint32_t hash_ifindexes(const uint32_t *ifindexes, unsigned n)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < n; i++)
		h = (h ^ ifindexes[i]) * 16777619u;
	return h % PLANE_SET_BUCKETS;
}

static struct plane_set *set_find(struct plane *p, const uint32_t *ifindexes, unsigned n)
{
	struct plane_set *s = p->sets.by_list[hash_ifindexes(ifindexes, n)];

	while (s && (s->n != n || memcmp(s->ifindexes, ifindexes, n * sizeof(*ifindexes)) != 0))
		s = s->next;
	return s;
}

/* --- making them -------------------------------------------------------------------------------
 */

/* Indices that an earlier process left in use are not given out before plane_sweep. */
static struct plane_set *slot_free(struct plane *p)
{
	for (unsigned i = 0; i < MCR_MAX_SETS; i++)
		if (p->sets.all[i].fd < 0 && !p->sets.all[i].is_inherited)
			return &p->sets.all[i];
	return NULL;
}

static int set_create(struct plane *p, struct plane_set *s, unsigned class)
{
	s->fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "mcr_outputs", sizeof(uint32_t),
			       sizeof(struct bpf_devmap_val), set_sizes[class], NULL);
	if (s->fd < 0)
		return s->fd;
	s->class = (uint8_t) class;
	if (p->sets.n_made <= (unsigned)(s - p->sets.all))
		p->sets.n_made = (unsigned)(s - p->sets.all) + 1;
	return 0;
}

/* Puts sets into the outer map, all at once if the kernel can: each call waits for it. */
static int sets_publish(struct plane *p, const uint32_t *keys, const uint32_t *fds, uint32_t n)
{
	int outer = bpf_map__fd(p->skel->maps.egress_sets), err;
	uint32_t count = n;

	err = bpf_map_update_batch(outer, keys, fds, &count, NULL);
	if (!err)
		return 0;
	err = 0;
	for (uint32_t i = 0; i < n && !err; i++)
		err = bpf_map_update_elem(outer, &keys[i], &fds[i], BPF_ANY);
	return err;
}

static void spare_put(struct plane *p, struct plane_set *s)
{
	s->n = 0;
	s->next = p->sets.spare[s->class];
	p->sets.spare[s->class] = s;
	p->sets.n_spare[s->class]++;
}

/* Sets that are made together: the kernel is waited for once. */
struct growth {
	uint32_t n, keys[GROW_MOST], fds[GROW_MOST];
};

/* Makes up to `want` more of a class where there is room. */
static int growth_add(struct plane *p, struct growth *g, unsigned class, unsigned want)
{
	struct plane_set *s;
	int err = -ENOSPC;

	for (; want && g->n < GROW_MOST && (s = slot_free(p)); want--) {
		err = set_create(p, s, class);
		if (err)
			break;
		g->keys[g->n] = (uint32_t)(s - p->sets.all);
		g->fds[g->n++] = (uint32_t)s->fd;
	}
	return err;
}

/* In the outer map and at hand, or closed again. */
static int growth_end(struct plane *p, const struct growth *g)
{
	int err = g->n ? sets_publish(p, g->keys, g->fds, g->n) : 0;

	for (uint32_t i = 0; i < g->n; i++) {
		struct plane_set *s = &p->sets.all[g->keys[i]];

		if (!err) {
			spare_put(p, s);
			continue;
		}
		close(s->fd);
		s->fd = -1;
	}
	return err;
}

/* `want` more empty sets of a class. Some are better than none: an error only if there are none. */
static int sets_grow(struct plane *p, unsigned class, unsigned want)
{
	struct growth g = { .n = 0 };
	int err = growth_add(p, &g, class, want);
	return g.n ? growth_end(p, &g) : err;
}

/* Where all indices are taken, what is kept at hand of other sizes makes room. */
static void spares_yield(struct plane *p, unsigned class)
{
	for (unsigned other = 0; other < PLANE_SET_SIZES; other++) {
		while (other != class && p->sets.spare[other]) {
			struct plane_set *s = p->sets.spare[other];

			p->sets.spare[other] = s->next;
			p->sets.n_spare[other]--;
			close(s->fd);
			s->fd = -1;
		}
	}
}

/* --- using them --------------------------------------------------------------------------------
 */

static int set_fill(struct plane *p, struct plane_set *s)
{
	struct bpf_devmap_val value = { .bpf_prog.fd = bpf_program__fd(p->skel->progs.mcr_egress) };
	int err = 0;

	for (uint32_t i = 0; i < s->n && !err; i++) {
		value.ifindex = s->ifindexes[i];
		err = bpf_map_update_elem(s->fd, &i, &value, BPF_ANY);
	}
	return err;
}

static void set_clear(struct plane_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		bpf_map_delete_elem(s->fd, &i);
	s->n = 0;
}

static void set_list(struct plane *p, struct plane_set *s)
{
	struct plane_set **head = &p->sets.by_list[hash_ifindexes(s->ifindexes, s->n)];

	s->next = *head;
	*head = s;
	s->is_listed = true;
}

static void set_unlist(struct plane *p, struct plane_set *s)
{
	struct plane_set **at = &p->sets.by_list[hash_ifindexes(s->ifindexes, s->n)];

	if (!s->is_listed)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->is_listed = false;
}

int plane_set_get(struct plane *p, const uint32_t *ifindexes, unsigned n, uint32_t *set,
		  struct diag *d)
{
	struct plane_set *s;
	unsigned class = size_class(n);
	int err = 0;

	if (!n || n > MCR_MAX_OUTPUTS)
		return diag_set(d, -EINVAL, E_KERNEL, "", "an egress set has 1 to %u interfaces",
				MCR_MAX_OUTPUTS);
	s = set_find(p, ifindexes, n);
	if (s) {
		s->users++;
		*set = (uint32_t)(s - p->sets.all);
		return 0;
	}
	if (!p->sets.spare[class]) {
		if (!slot_free(p))
			spares_yield(p, class);
		err = sets_grow(p, class, p->sets.n_used[class] + SPARES);
	}
	if (err)
		return diag_set(d, err, err == -ENOSPC ? E_LIMIT : E_KERNEL, "",
				"no egress set left: %s", strerror(-err));
	s = p->sets.spare[class];
	s->n = (uint16_t)n;
	memcpy(s->ifindexes, ifindexes, n * sizeof(*ifindexes));
	err = set_fill(p, s);
	if (err) {
		set_clear(s);
		return diag_set(d, err, E_KERNEL, "", "cannot fill an egress set: %s",
				strerror(-err));
	}
	p->sets.spare[class] = s->next;
	p->sets.n_spare[class]--;
	p->sets.n_used[class]++;
	set_list(p, s);
	s->users = 1;
	*set = (uint32_t)(s - p->sets.all);
	return 0;
}

void plane_set_put(struct plane *p, uint32_t set)
{
	struct plane_set *s = &p->sets.all[set];

	if (set < MCR_MAX_SETS && s->users && --s->users == 0)
		s->idle_ticks = 0;
}

/* One without users cools down before it is emptied; until then it may be taken up again. */
void plane_sets_tick(struct plane *p)
{
	if (p->sets.legacy_ticks && --p->sets.legacy_ticks == 0)
		for (unsigned i = 0; i < MCR_MAX_SETS; i++)
			p->sets.all[i].is_inherited = false;
	for (unsigned i = 0; i < p->sets.n_made; i++) {
		struct plane_set *s = &p->sets.all[i];

		if (s->fd < 0 || !s->n || s->users || ++s->idle_ticks < PLANE_COOL_TICKS)
			continue;
		set_unlist(p, s);
		set_clear(s);
		p->sets.n_used[s->class]--;
		spare_put(p, s);
	}
	for (unsigned class = 0; class < PLANE_SET_SIZES; class ++)
		if (p->sets.n_spare[class] < SPARES / 2)
			sets_grow(p, class, SPARES);
}

static bool set_has(const struct plane_set *s, uint32_t ifindex)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->ifindexes[i] == ifindex)
			return true;
	return false;
}

void plane_sets_interface_gone(struct plane *p, uint32_t ifindex)
{
	for (unsigned i = 0; i < p->sets.n_made; i++)
		if (p->sets.all[i].is_listed && set_has(&p->sets.all[i], ifindex))
			set_unlist(p, &p->sets.all[i]);
}

/* --- the beginning and the end -----------------------------------------------------------------
 */

int plane_sets_open(struct plane *p)
{
	p->sets.all = calloc(MCR_MAX_SETS, sizeof(*p->sets.all));
	if (!p->sets.all)
		return -ENOMEM;
	for (unsigned i = 0; i < MCR_MAX_SETS; i++)
		p->sets.all[i].fd = -1;
	return 0;
}

void plane_sets_prepare(struct plane *p)
{
	struct growth g = { .n = 0 };

	for (unsigned class = 0; class < PLANE_SET_SIZES; class ++)
		growth_add(p, &g, class, SPARES);
	growth_end(p, &g); /* without them, whoever needs one says what is wrong */
}

void plane_sets_close(struct plane *p)
{
	for (unsigned i = 0; p->sets.all && i < p->sets.n_made; i++)
		if (p->sets.all[i].fd >= 0)
			close(p->sets.all[i].fd);
	free(p->sets.all);
	p->sets.all = NULL;
}
