/* SPDX-License-Identifier: MIT */
/*
 * The kernel's unicast routing as values: policy rules, routes, next hops. Who reads them from the
 * kernel and who looks addresses up in them agree on these and know nothing of each other.
 */
#pragma once

#include <stddef.h>

#include "base/ip4.h"

#define FIB_TABLE_LOCAL	  255
#define FIB_TABLE_MAIN	  254
#define FIB_TABLE_DEFAULT 253

#define FIB_RULES_MAX 256
#define FIB_HOPS_MAX  64 /* of one route */

enum fib_type {
	FIB_UNICAST,
	FIB_LOCAL,       /* an address of this host */
	FIB_BLACKHOLE,
	FIB_UNREACHABLE,
	FIB_PROHIBIT,
	FIB_THROW,       /* ends the look-up in this table; the next rule goes on */
};

struct fib_hop {
	uint32_t ifindex; /* 0 = none: of routes that lead nowhere */
	struct ip4 via;   /* 0 = no IPv4 address: on the link itself, or behind an IPv6 one */
	bool is_via6;
};

struct fib_route {
	struct ip4_prefix dst;
	uint32_t table, metric;
	uint32_t first_hop; /* in the view's hops */
	uint16_t n_hops;
	uint8_t type;       /* enum fib_type */
	uint8_t protocol;   /* RTPROT_…: who made it */
	uint8_t rank;       /* among routes of one table, prefix and metric: the lowest counts */
};

enum fib_action { FIB_RULE_TABLE, FIB_RULE_GOTO, FIB_RULE_NOTHING, FIB_RULE_REFUSE };

/* In order of priority. */
struct fib_rule {
	uint32_t priority;
	uint32_t table;        /* FIB_RULE_TABLE */
	uint32_t target;       /* FIB_RULE_GOTO: the priority to go on with */
	struct ip4_prefix to;
	int suppress_len;      /* prefixes up to this length do not count; −1 = all count */
	uint8_t action;        /* enum fib_action */
	uint8_t refusal;       /* FIB_RULE_REFUSE: FIB_BLACKHOLE, FIB_UNREACHABLE or FIB_PROHIBIT */
	bool is_particular;    /* asks for a mark, a source, an interface …: what a look-up of an
				  address alone does not have */
	bool is_inverted;      /* counts when its selectors do not match */
};

/* Borrowed: whoever gives it says how long it holds. */
struct fib_view {
	const struct fib_route *routes;
	const struct fib_hop *hops;
	const struct fib_rule *rules;
	size_t n_routes, n_hops, n_rules;
};

static inline bool fib_hop_equal(const struct fib_hop *a, const struct fib_hop *b)
{
	return a->ifindex == b->ifindex && ip4_equal(a->via, b->via) && a->is_via6 == b->is_via6;
}
