/* SPDX-License-Identifier: MIT */
/*
 * Next hop objects of the kernel by id: routes may name one instead of a way of their own, and a
 * group of them instead of several.
 */
#pragma once

#include "base/fib.h"

#define NEXTHOPS_MAX 65536

struct nexthop_object {
	uint32_t id;
	struct fib_hop hop;       /* of one that is no group; ifindex 0 = leads nowhere */
	uint32_t n_members;       /* 0 = no group */
	uint32_t members[FIB_HOPS_MAX];
};

struct nexthops {
	struct nexthop_object **sorted; /* by id */
	uint32_t n, cap;
	uint64_t refused;
};

void nexthops_fini(struct nexthops *t);
void nexthops_clear(struct nexthops *t);

/* Copies it. True when one of this id was there and was another. */
bool nexthops_put(struct nexthops *t, const struct nexthop_object *o);
void nexthops_del(struct nexthops *t, uint32_t id);

/* Makes it a group of what NHA_GROUP lists; what is beyond FIB_HOPS_MAX is left out. */
void nexthops_take_group(struct nexthop_object *o, const void *list, size_t bytes);

/* The hops that an object stands for, how many they are; −1 when it or a member is not known. */
int nexthops_find(const struct nexthops *t, uint32_t id, struct fib_hop hops[FIB_HOPS_MAX]);
