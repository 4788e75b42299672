/* SPDX-License-Identifier: MIT */
/*
 * The kernel's IPv4 unicast routing of this network namespace, kept true by route netlink
 * (libmnl): policy rules, routes of all tables, next hop objects. What notifications cannot tell
 * (some were lost; the kernel removed routes silently with a link, an address or an object) is read
 * again, in pieces that do not hold up the loop, and not more than a tenth of the time.
 */
#pragma once

#include "base/fib.h"
#include "edge/loop.h"

#define ROUTE_MAX (1u << 20) /* routes that are kept */

struct route_table;

/*
 * Something that a look-up can see has changed since the last time. A burst costs one call; two
 * calls are at least ROUTE_TELL_MS apart, and the first one comes at once. Must not call
 * route_close.
 */
typedef void (*route_fn)(void *arg, struct mtime now);

#define ROUTE_TELL_MS 20

/* Opens the sockets, subscribes, reads everything. No callback for what is there on return. */
int route_open(struct route_table **out, struct loop *l, route_fn fn, void *arg);
void route_close(struct route_table *t);

/*
 * What there is. Holds until the loop runs again. True and complete when a callback comes; while
 * the kernel is being read again, it may have routes that are no more, and at no time lacks any
 * that have been there all along.
 */
struct fib_view route_view(const struct route_table *t);

struct route_counts {
	uint64_t overruns; /* times that notifications were lost, each followed by a dump */
	uint64_t dumps;    /* of everything or a part */
	uint64_t refused;  /* routes, hops, rules, objects beyond a limit: answers may be wrong */
	int64_t last_dump_us;
};
struct route_counts route_counts(const struct route_table *t);
