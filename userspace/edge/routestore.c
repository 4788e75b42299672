/* SPDX-License-Identifier: MIT */
/* The routes: a dense array, hashed chains through it, next hops behind each other in another. */
#include "edge/routestore.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define FIRST_CAP    256
#define WASTE_BEFORE 1024 /* unused hops that are put up with */

struct routestore_slot {
	uint32_t next; /* in its chain, index + 1 */
	uint32_t object;
	bool is_seen;
};

void routestore_init(struct routestore *s, uint32_t max)
{
	*s = (struct routestore){ .max = max };
}

void routestore_fini(struct routestore *s)
{
	free(s->routes);
	free(s->slots);
	free(s->heads);
	free(s->hops);
	*s = (struct routestore){ .max = s->max };
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool same_key(const struct fib_route *a, const struct fib_route *b)
{
	return ip4_equal(a->dst.addr, b->dst.addr) && a->dst.len == b->dst.len &&
	       a->table == b->table && a->metric == b->metric;
}

static uint32_t *head_of(const struct routestore *s, const struct fib_route *r)
{
	static const struct hash unseeded;
	uint32_t h = hash_key(&unseeded, r->dst.addr.net, r->table ^ (uint32_t)r->dst.len << 24,
			      r->metric);

	return &s->heads[h & (s->n_heads - 1)];
}

/* The first of the key after `at` (index + 1), which is itself one of its chain; 0 = none. */
static uint32_t next_same(const struct routestore *s, uint32_t at, const struct fib_route *r)
{
	while (at && !same_key(&s->routes[at - 1], r))
		at = s->slots[at - 1].next;
	return at;
}

static uint32_t first_same(const struct routestore *s, const struct fib_route *r)
{
	return s->n_heads ? next_same(s, *head_of(s, r), r) : 0;
}

static uint32_t following_same(const struct routestore *s, uint32_t at, const struct fib_route *r)
{
	return next_same(s, s->slots[at - 1].next, r);
}

static bool same_content(const struct routestore *s, uint32_t at, const struct fib_route *r,
			 const struct fib_hop *hops)
{
	const struct fib_route *have = &s->routes[at - 1];

	if (have->type != r->type || have->protocol != r->protocol || have->n_hops != r->n_hops)
		return false;
	for (uint32_t i = 0; i < r->n_hops; i++)
		if (!fib_hop_equal(&s->hops[have->first_hop + i], &hops[i]))
			return false;
	return true;
}

/* --- room ------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t item, uint32_t to)
{
	void *larger = reallocarray(*array, to, item);

	if (larger)
		*array = larger;
	return larger;
}

static bool rehash(struct routestore *s, uint32_t n_heads)
{
	uint32_t *heads = calloc(n_heads, sizeof(*heads));

	if (!heads)
		return false;
	free(s->heads);
	s->heads = heads;
	s->n_heads = n_heads;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t *head = head_of(s, &s->routes[i]);

		s->slots[i].next = *head;
		*head = i + 1;
	}
	return true;
}

static bool has_room(struct routestore *s)
{
	uint32_t to = s->cap ? s->cap * 2 : FIRST_CAP;

	if (s->n == s->max)
		return false;
	if (s->n < s->cap)
		return true;
	if (!grow((void **)&s->routes, sizeof(*s->routes), to) ||
	    !grow((void **)&s->slots, sizeof(*s->slots), to) || !rehash(s, to))
		return false;
	s->cap = to;
	return true;
}

/* Closes the gaps that routes have left which went or changed. */
static void hops_compact(struct routestore *s)
{
	uint32_t cap = s->n_hops - s->unused_hops + WASTE_BEFORE, n = 0;
	struct fib_hop *hops = reallocarray(NULL, cap, sizeof(*hops));

	if (!hops)
		return; /* another time */
	for (uint32_t i = 0; i < s->n; i++) {
		struct fib_route *r = &s->routes[i];

		if (r->n_hops)
			memcpy(hops + n, s->hops + r->first_hop, r->n_hops * sizeof(*hops));
		r->first_hop = n;
		n += r->n_hops;
	}
	free(s->hops);
	s->hops = hops;
	s->n_hops = n;
	s->cap_hops = cap;
	s->unused_hops = 0;
}

static bool hops_put(struct routestore *s, const struct fib_hop *hops, uint32_t n, uint32_t *first)
{
	if (s->unused_hops > WASTE_BEFORE && s->unused_hops > s->n_hops / 2)
		hops_compact(s);
	if (s->n_hops + n > s->cap_hops) {
		uint32_t to = 2 * (s->n_hops + n) + FIRST_CAP;

		if (!grow((void **)&s->hops, sizeof(*s->hops), to))
			return false;
		s->cap_hops = to;
	}
	if (n)
		memcpy(s->hops + s->n_hops, hops, n * sizeof(*hops));
	*first = s->n_hops;
	s->n_hops += n;
	return true;
}

/* --- one route -------------------------------------------------------------------------------- */

static void insert(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops,
		   uint32_t object, uint8_t rank)
{
	struct fib_route *made;
	uint32_t first, *head;

	if (!has_room(s) || !hops_put(s, hops, r->n_hops, &first)) {
		s->refused++;
		return;
	}
	made = &s->routes[s->n];
	*made = *r;
	made->first_hop = first;
	made->rank = rank;
	head = head_of(s, made);
	s->slots[s->n] = (struct routestore_slot){ *head, object, true };
	*head = ++s->n;
	s->has_changed = true;
}

/* The last one moves into the gap. */
static void remove_at(struct routestore *s, uint32_t at)
{
	uint32_t *link = head_of(s, &s->routes[at - 1]), last = s->n;

	while (*link != at)
		link = &s->slots[*link - 1].next;
	*link = s->slots[at - 1].next;
	s->unused_hops += s->routes[at - 1].n_hops;
	s->has_changed = true;
	s->n--;
	if (at == last)
		return;
	link = head_of(s, &s->routes[last - 1]);
	while (*link != last)
		link = &s->slots[*link - 1].next;
	*link = at;
	s->routes[at - 1] = s->routes[last - 1];
	s->slots[at - 1] = s->slots[last - 1];
}

static void overwrite(struct routestore *s, uint32_t at, const struct fib_route *r,
		      const struct fib_hop *hops, uint32_t object)
{
	struct fib_route *have = &s->routes[at - 1];
	uint32_t first, before = have->n_hops;
	uint8_t rank = have->rank;

	if (!hops_put(s, hops, r->n_hops, &first)) {
		s->refused++;
		return;
	}
	*have = *r;
	have->first_hop = first;
	have->rank = rank;
	s->slots[at - 1].object = object;
	s->unused_hops += before;
	s->has_changed = true;
}

/* --- the public face -------------------------------------------------------------------------- */

/* In a dump those of one key come in the order that counts: the n-th seen has rank n. */
static void put_read(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops,
		     uint32_t object)
{
	uint32_t found = 0, seen = 0;
	uint8_t rank;

	for (uint32_t at = first_same(s, r); at; at = following_same(s, at, r)) {
		seen += s->slots[at - 1].is_seen;
		if (!found && !s->slots[at - 1].is_seen && same_content(s, at, r, hops))
			found = at;
	}
	rank = (uint8_t)(seen < UINT8_MAX ? seen : UINT8_MAX);
	if (!found) {
		insert(s, r, hops, object, rank);
		return;
	}
	s->slots[found - 1].is_seen = true;
	s->slots[found - 1].object = object;
	if (s->routes[found - 1].rank != rank) {
		s->routes[found - 1].rank = rank;
		s->has_changed = true;
	}
}

void routestore_put(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops,
		    uint32_t object, bool replaces)
{
	uint32_t n = 0, only = 0;

	if (s->is_reading) {
		put_read(s, r, hops, object);
		return;
	}
	for (uint32_t at = first_same(s, r); at; at = following_same(s, at, r)) {
		n++;
		only = at;
		if (same_content(s, at, r, hops)) {
			s->slots[at - 1].object = object;
			/* of several, another one may have been replaced by this */
			s->is_confused |= replaces && n > 1;
			return;
		}
	}
	if (!n)
		insert(s, r, hops, object, 0);
	else if (n == 1 && replaces)
		overwrite(s, only, r, hops, object);
	else
		s->is_confused = true;
}

void routestore_del(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops)
{
	uint32_t n = 0, same = 0, any = 0;

	for (uint32_t at = first_same(s, r); at; at = following_same(s, at, r)) {
		n++;
		any = at;
		if (same_content(s, at, r, hops))
			same = at;
	}
	if (n == 1)
		remove_at(s, any);
	else if (same)
		remove_at(s, same);
	else if (n)
		s->is_confused = true;
}

void routestore_del_object(struct routestore *s, uint32_t object)
{
	for (uint32_t at = s->n; at > 0; at--)
		if (s->slots[at - 1].object == object)
			remove_at(s, at);
}

void routestore_begin(struct routestore *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		s->slots[i].is_seen = false;
	s->is_reading = true;
}

void routestore_end(struct routestore *s, bool is_whole)
{
	s->is_reading = false;
	for (uint32_t at = s->n; at > 0 && is_whole; at--)
		if (!s->slots[at - 1].is_seen)
			remove_at(s, at);
}

bool routestore_has_interface(const struct routestore *s, uint32_t ifindex)
{
	for (uint32_t i = 0; i < s->n_hops; i++) /* unused ones do not matter much */
		if (s->hops[i].ifindex == ifindex)
			return true;
	return false;
}

bool routestore_has_objects(const struct routestore *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->slots[i].object)
			return true;
	return false;
}
