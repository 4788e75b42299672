/* SPDX-License-Identifier: MIT */
/* Next hop objects: pointers sorted by id, the order in which the kernel tells of them. */
#include "edge/nexthop.h"

#include <linux/nexthop.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void nexthops_clear(struct nexthops *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		free(t->sorted[i]);
	t->n = 0;
}

void nexthops_fini(struct nexthops *t)
{
	nexthops_clear(t);
	free(t->sorted);
	*t = (struct nexthops){ 0 };
}

/* The place of the first whose id is not lower. */
static uint32_t place_of(const struct nexthops *t, uint32_t id)
{
	uint32_t low = 0, high = t->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (t->sorted[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct nexthop_object *object_find(const struct nexthops *t, uint32_t id)
{
	uint32_t at = place_of(t, id);

	return at < t->n && t->sorted[at]->id == id ? t->sorted[at] : NULL;
}

static bool object_equal(const struct nexthop_object *a, const struct nexthop_object *b)
{
	return fib_hop_equal(&a->hop, &b->hop) && a->n_members == b->n_members &&
	       !memcmp(a->members, b->members, a->n_members * sizeof(a->members[0]));
}

static bool has_room(struct nexthops *t)
{
	uint32_t to = t->cap ? t->cap * 2 : FIRST_CAP;
	struct nexthop_object **larger;

	if (t->n < t->cap)
		return true;
	if (t->n == NEXTHOPS_MAX)
		return false;
	larger = reallocarray(t->sorted, to, sizeof(struct nexthop_object *));
	if (!larger)
		return false;
	t->sorted = larger;
	t->cap = to;
	return true;
}

bool nexthops_put(struct nexthops *t, const struct nexthop_object *o)
{
	struct nexthop_object *have = object_find(t, o->id);
	uint32_t at = place_of(t, o->id);
	bool is_other;

	if (have) {
		is_other = !object_equal(have, o);
		*have = *o;
		return is_other;
	}
	have = has_room(t) ? malloc(sizeof(*have)) : NULL;
	if (!have) {
		t->refused++;
		return false;
	}
	*have = *o;
	memmove(t->sorted + at + 1, t->sorted + at, (t->n - at) * sizeof(t->sorted[0]));
	t->sorted[at] = have;
	t->n++;
	return false;
}

void nexthops_del(struct nexthops *t, uint32_t id)
{
	uint32_t at = place_of(t, id);

	if (!object_find(t, id))
		return;
	free(t->sorted[at]);
	t->n--;
	memmove(t->sorted + at, t->sorted + at + 1, (t->n - at) * sizeof(t->sorted[0]));
}

void nexthops_take_group(struct nexthop_object *o, const void *list, size_t bytes)
{
	const uint8_t *at = list;
	struct nexthop_grp member;

	for (; bytes >= sizeof(member) && o->n_members < FIB_HOPS_MAX; bytes -= sizeof(member)) {
		memcpy(&member, at, sizeof(member));
		at += sizeof(member);
		o->members[o->n_members++] = member.id;
	}
}

int nexthops_find(const struct nexthops *t, uint32_t id, struct fib_hop hops[FIB_HOPS_MAX])
{
	const struct nexthop_object *o = object_find(t, id), *member;

	if (!o)
		return -1;
	if (!o->n_members) {
		hops[0] = o->hop;
		return o->hop.ifindex ? 1 : 0;
	}
	for (uint32_t i = 0; i < o->n_members; i++) {
		member = object_find(t, o->members[i]);
		if (!member || member->n_members)
			return -1;
		hops[i] = member->hop;
	}
	return (int)o->n_members;
}
