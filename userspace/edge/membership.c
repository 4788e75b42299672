/* SPDX-License-Identifier: MIT */
/*
 * Group joins spread over as many sockets as the kernel's limits ask for. Joins are found by hash;
 * sockets with room are on a list, so that joining does not get slower with their number.
 */
#include "edge/membership.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/notify.h"
#include "edge/sysctl.h"

#define SHARD_DEFAULT 20  /* the kernel's default of igmp_max_memberships */
#define SHARD_MAX     512 /* the kernel searches a socket's list one by one */
#define SHARD_TRIES   4	  /* sockets that refuse before a fresh one is taken */
#define BUCKETS_FIRST 256

/* One socket. Any-source joins and source-specific ones never share. */
struct shard {
	struct shard *next, *prev; /* among those of its kind that have room */
	int fd;
	bool is_ssm, has_room;
	bool is_stored; /* the service manager has a copy, so that it outlives us */
	size_t n_joins;
};

struct join {
	struct join *next; /* of the same bucket */
	struct shard *shard;
	uint32_t ifindex;
	struct ip4 group, source;
	unsigned refs;
};

struct membership {
	struct join **buckets;
	size_t n_buckets, n_joins, n_shards, shard_size;
	size_t n_unstored;     /* of the sockets */
	struct shard *open[2]; /* with room; by is_ssm */
};

/* --- sockets ---------------------------------------------------------------------------------- */

static size_t shard_size_read(void)
{
	int64_t n = sysctl_number("/proc/sys/net/ipv4/igmp_max_memberships");

	if (n <= 0)
		return SHARD_DEFAULT;
	return n > SHARD_MAX ? SHARD_MAX : (size_t)n;
}

static void shard_set_room(struct membership *m, struct shard *s, bool has_room)
{
	struct shard **head = &m->open[s->is_ssm];

	if (s->has_room == has_room)
		return;
	s->has_room = has_room;
	if (has_room) {
		s->prev = NULL;
		s->next = *head;
		if (s->next)
			s->next->prev = s;
		*head = s;
		return;
	}
	if (s->prev)
		s->prev->next = s->next;
	else
		*head = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

/* Of this process's socket, which has its number as long as it is open. */
static const char *shard_name(const struct shard *s, char buf[48])
{
	snprintf(buf, 48, "membership-%d-%d", (int)getpid(), s->fd);
	return buf;
}

static void shard_store(struct membership *m, struct shard *s)
{
	char name[48];

	if (s->is_stored || notify_store(s->fd, shard_name(s, name)))
		return;
	s->is_stored = true;
	m->n_unstored--;
}

static int shard_new(struct membership *m, bool is_ssm, struct shard **out)
{
	struct shard *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->is_ssm = is_ssm;
	/* Not bound to a port, so nothing is ever delivered to it. */
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		err = -errno;
		free(s);
		return err;
	}
	shard_set_room(m, s, true);
	m->n_shards++;
	m->n_unstored++;
	shard_store(m, s);
	*out = s;
	return 0;
}

static void shard_free(struct membership *m, struct shard *s)
{
	shard_set_room(m, s, false);
	close(s->fd);
	m->n_unstored -= !s->is_stored;
	free(s);
	m->n_shards--;
}

/* Nothing is joined on it any more, so that it need not be kept. */
static void shard_end(struct membership *m, struct shard *s)
{
	char name[48];

	if (s->is_stored)
		notify_unstore(shard_name(s, name));
	shard_free(m, s);
}

static struct sockaddr_storage sockaddr_of(struct ip4 addr)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = addr.net };
	struct sockaddr_storage ss = { 0 };

	memcpy(&ss, &sin, sizeof(sin));
	return ss;
}

static int shard_source_option(const struct shard *s, int option, const struct join *j)
{
	/* The form that names the interface by index; IP_ADD_SOURCE_MEMBERSHIP wants its address.
	 */
	struct group_source_req req = { .gsr_interface = j->ifindex,
					.gsr_group = sockaddr_of(j->group),
					.gsr_source = sockaddr_of(j->source) };

	return setsockopt(s->fd, IPPROTO_IP, option, &req, sizeof(req)) ? -errno : 0;
}

static int shard_group_option(const struct shard *s, int option, const struct join *j)
{
	struct ip_mreqn req = { .imr_multiaddr.s_addr = j->group.net,
				.imr_ifindex = (int)j->ifindex };

	return setsockopt(s->fd, IPPROTO_IP, option, &req, sizeof(req)) ? -errno : 0;
}

static int shard_join(const struct shard *s, const struct join *j)
{
	if (s->is_ssm)
		return shard_source_option(s, MCAST_JOIN_SOURCE_GROUP, j);
	return shard_group_option(s, IP_ADD_MEMBERSHIP, j);
}

static void shard_leave(const struct shard *s, const struct join *j)
{
	int err;

	if (!s->is_ssm) {
		shard_group_option(s, IP_DROP_MEMBERSHIP, j);
		return;
	}
	err = shard_source_option(s, MCAST_LEAVE_SOURCE_GROUP, j);
	/* Without the interface the kernel will not look for the source, yet the group still takes
	 * a place on this socket; dropping the group frees it, with all its sources. */
	if (err == -ENODEV)
		shard_group_option(s, IP_DROP_MEMBERSHIP, j);
}

/*
 * Finds a socket that takes the join. Our count may be behind the kernel's other limits (sources a
 * group, memory of a socket, a sysctl lowered since), so a refusal leads to the next one.
 */
static int shard_place(struct membership *m, struct join *j)
{
	bool is_ssm = j->source.net != 0;
	struct shard *s = m->open[is_ssm];
	int err;

	for (int i = 0; s && i < SHARD_TRIES; i++, s = s->next) {
		err = shard_join(s, j);
		if (!err)
			goto joined;
		if (err != -ENOBUFS)
			return err;
	}
	err = shard_new(m, is_ssm, &s);
	if (err)
		return err;
	err = shard_join(s, j);
	if (err) {
		shard_end(m, s);
		return err;
	}
joined:
	j->shard = s;
	if (++s->n_joins >= m->shard_size)
		shard_set_room(m, s, false);
	return 0;
}

/* --- joins ------------------------------------------------------------------------------------ */

static size_t bucket_of(size_t n_buckets, uint32_t ifindex, struct ip4 group, struct ip4 source)
{
	uint64_t h = ((uint64_t)group.net << 32 | source.net) * 0x9e3779b97f4a7c15u;

	h = (h ^ (h >> 29) ^ ifindex) * 0xbf58476d1ce4e5b9u;
	return (size_t)(h >> 32) & (n_buckets - 1);
}

/* The link that points to the join, or to NULL where it would be. */
static struct join **join_find(struct membership *m, uint32_t ifindex, struct ip4 group,
			       struct ip4 source)
{
	struct join **at = &m->buckets[bucket_of(m->n_buckets, ifindex, group, source)];

	while (*at && ((*at)->ifindex != ifindex || !ip4_equal((*at)->group, group) ||
		       !ip4_equal((*at)->source, source)))
		at = &(*at)->next;
	return at;
}

/* Doubles the table; without memory it stays as it is, only slower. */
static void buckets_grow(struct membership *m)
{
	size_t n = m->n_buckets * 2;
	struct join **buckets = calloc(n, sizeof(struct join *));

	if (!buckets)
		return;
	for (size_t i = 0; i < m->n_buckets; i++) {
		struct join *j = m->buckets[i];

		while (j) {
			struct join *next = j->next;
			struct join **to = &buckets[bucket_of(n, j->ifindex, j->group, j->source)];

			j->next = *to;
			*to = j;
			j = next;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n;
}

/* Takes the join out of its bucket and off its socket. */
static void join_remove(struct membership *m, struct join **at)
{
	struct join *j = *at;
	struct shard *s = j->shard;

	*at = j->next;
	m->n_joins--;
	shard_leave(s, j);
	if (--s->n_joins)
		shard_set_room(m, s, true);
	else
		shard_end(m, s);
	free(j);
}

int membership_new(struct membership **out)
{
	struct membership *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->shard_size = shard_size_read();
	m->n_buckets = BUCKETS_FIRST;
	m->buckets = calloc(m->n_buckets, sizeof(struct join *));
	if (!m->buckets) {
		free(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

void membership_leave_all(struct membership *m)
{
	for (size_t i = 0; m && i < m->n_buckets; i++)
		while (m->buckets[i])
			join_remove(m, &m->buckets[i]);
}

void membership_free(struct membership *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_buckets; i++) {
		while (m->buckets[i]) {
			struct join *j = m->buckets[i];

			m->buckets[i] = j->next;
			if (!--j->shard->n_joins)
				shard_free(m, j->shard);
			free(j);
		}
	}
	free(m->buckets);
	free(m);
}

void membership_tick(struct membership *m)
{
	for (size_t i = 0; m->n_unstored && i < m->n_buckets; i++)
		for (const struct join *j = m->buckets[i]; j; j = j->next)
			shard_store(m, j->shard);
}

int membership_join(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source)
{
	struct join **at = join_find(m, ifindex, group, source);
	struct join *j = *at;
	int err;

	if (!ifindex) /* the kernel would choose one by its routes */
		return -ENODEV;
	if (j) {
		j->refs++;
		return 0;
	}
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	*j = (struct join){ .ifindex = ifindex, .group = group, .source = source, .refs = 1 };
	err = shard_place(m, j);
	if (err) {
		free(j);
		return err;
	}
	*at = j;
	if (++m->n_joins > m->n_buckets)
		buckets_grow(m);
	return 0;
}

void membership_leave(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source)
{
	struct join **at = join_find(m, ifindex, group, source);

	if (*at && !--(*at)->refs)
		join_remove(m, at);
}

/* Sets the filter of the any-source join of a group. */
static int filter_change(struct membership *m, int option, uint32_t ifindex, struct ip4 group,
			 struct ip4 source)
{
	const struct join *any = *join_find(m, ifindex, group, (struct ip4){ 0 });
	const struct join blocked = { .ifindex = ifindex, .group = group, .source = source };

	return any ? shard_source_option(any->shard, option, &blocked) : -ENOENT;
}

int membership_block(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source)
{
	return filter_change(m, MCAST_BLOCK_SOURCE, ifindex, group, source);
}

void membership_unblock(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source)
{
	filter_change(m, MCAST_UNBLOCK_SOURCE, ifindex, group, source);
}

void membership_forget(struct membership *m, uint32_t ifindex)
{
	for (size_t i = 0; i < m->n_buckets; i++) {
		struct join **at = &m->buckets[i];

		while (*at) {
			if ((*at)->ifindex == ifindex)
				join_remove(m, at);
			else
				at = &(*at)->next;
		}
	}
}

size_t membership_count(const struct membership *m)
{
	return m->n_joins;
}

size_t membership_sockets(const struct membership *m)
{
	return m->n_shards;
}
