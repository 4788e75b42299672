/* SPDX-License-Identifier: MIT */
/*
 * Routes in memory, in step with a kernel that tells of them one by one or all at once. The kernel
 * allows several routes of one table, prefix and metric; in which order they stand only a dump
 * tells, so that what cannot be told from notifications is asked for (is_confused). Changes take
 * constant time; nothing here knows netlink.
 */
#pragma once

#include "base/fib.h"

struct routestore {
	struct fib_route *routes; /* dense, in no order */
	struct routestore_slot *slots; /* of the same index */
	uint32_t *heads;          /* by hash, index + 1 */
	uint32_t n, cap, n_heads, max;
	struct fib_hop *hops;
	uint32_t n_hops, cap_hops, unused_hops;
	bool is_reading;          /* between begin and end of a dump */
	bool is_confused;         /* a dump is needed; the user resets it */
	bool has_changed;         /* in what a look-up can see; the user resets it */
	uint64_t refused;         /* routes and next hops beyond a limit, or without memory */
};

/* `max`: routes that are kept. */
void routestore_init(struct routestore *s, uint32_t max);
void routestore_fini(struct routestore *s);

/*
 * A route that is there, with its n_hops hops (first_hop and rank are ignored); `object` is the
 * next hop object that it uses, 0 = none. `replaces`: in place of the one of its key, as the
 * kernel said.
 */
void routestore_put(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops,
		    uint32_t object, bool replaces);

void routestore_del(struct routestore *s, const struct fib_route *r, const struct fib_hop *hops);

/* The object has gone, and with it, silently, the routes that use it. */
void routestore_del_object(struct routestore *s, uint32_t object);

/* Around a dump: what it did not name is removed at its end, unless it was not whole. */
void routestore_begin(struct routestore *s);
void routestore_end(struct routestore *s, bool is_whole);

bool routestore_has_interface(const struct routestore *s, uint32_t ifindex);
bool routestore_has_objects(const struct routestore *s);
