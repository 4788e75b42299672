/* SPDX-License-Identifier: MIT */
/*
 * Reverse path forwarding: by which interface, and from which neighbour, traffic of an address has
 * to come. Answers are computed from what is true now, each time: an answer is complete, or it says
 * why there is none and what it failed at. Nothing half resolved is kept (rpf_generation() says
 * when answers may have become others).
 *
 * First the static mroutes are asked, then the kernel's routes as its policy rules say. In both the
 * longest prefix counts, then the lowest preference or metric. What leads over interfaces that are
 * down, are no ports, or over no neighbour that the caller accepts, is passed over for the next
 * best, as the kernel would, which removes such routes a little later; a route that refuses is an
 * answer.
 *
 * Cost, n routes: a load O(n) (a radix sort), a look-up O(log n) for each table asked, and at most
 * 32 shorter prefixes. tests/unit/test_rpf.c measures both.
 */
#pragma once

#include "base/fib.h"
#include "base/pool.h"

#define RPF_PORTS_MAX	512
#define RPF_STATICS_MAX 1024
#define RPF_NO_PORT	UINT16_MAX

#define RPF_WHYS(X)                                                                                \
	X(ok, "resolved")                                                                          \
	X(not_unicast, "not a unicast address")                                                    \
	X(ours, "an address of this host")                                                         \
	X(no_route, "no route to it")                                                              \
	X(blackhole, "its route is a blackhole")                                                   \
	X(unreachable, "its route says unreachable")                                               \
	X(prohibit, "its route prohibits it")                                                      \
	X(no_port, "its route leads over an interface that is not routed on")                      \
	X(port_down, "the interface that its route leads over is down")                            \
	X(no_neighbour, "no neighbour router where its route leads")                               \
	X(unresolved, "the next hop of its static route is on no link")

enum rpf_why {
#define X(name, text) RPF_##name,
	RPF_WHYS(X)
#undef X
		RPF__COUNT,
};

const char *rpf_why_text(enum rpf_why why);

/* Where on the link the traffic comes from. */
enum rpf_via {
	RPF_CONNECTED, /* the source itself is on the link */
	RPF_GATEWAY,   /* from next_hop */
	RPF_ANYBODY,   /* from any router there: the link is unnumbered, or its next hop is IPv6 */
};

enum rpf_choice { RPF_BY_HASH, RPF_HIGHEST }; /* among equal next hops */

struct rpf_config {
	uint32_t max_routes, max_hops;
	enum rpf_choice choice;
	uint32_t seed; /* of the hash */
};

/* A configured route for RPF only. Without a port the next hop must be on a link. */
struct rpf_static {
	struct ip4_prefix prefix;
	uint16_t port;       /* or RPF_NO_PORT */
	struct ip4 next_hop; /* 0 = whoever is on the port */
	uint8_t preference;  /* of several for one prefix the lowest counts */
};

struct rpf_query {
	struct ip4 address; /* a source, or an RP */
	struct ip4 group;   /* spreads (S,G) over equal next hops; 0 = none */
	/* Whether a router is there that can be asked for traffic; NULL: not asked. Not for what is
	 * connected. next_hop 0: any. */
	bool (*has_neighbour)(const void *arg, uint16_t port, struct ip4 next_hop);
	const void *arg;
};

struct rpf_answer {
	enum rpf_why why;
	/* The rest: of the answer, or, as far as known, of what it failed at first. */
	enum rpf_via via;
	uint16_t port; /* RPF_NO_PORT: none */
	struct ip4 next_hop;
	struct ip4_prefix prefix;
	uint32_t metric;
	uint32_t table;      /* 0 = a static mroute, or none */
	uint8_t preference;  /* administrative distance, for asserts */
	uint8_t protocol;    /* RTPROT_… */
	bool is_static;
	uint16_t n_paths;    /* usable next hops, of which this is one */
};

struct rpf;

/* Cuts its memory out of `a`; NULL when that measures or does not suffice. */
struct rpf *rpf_init(struct arena *a, const struct rpf_config *cfg);

/* Takes a copy. -E2BIG: more than there is room for, and all is as it was. */
int rpf_load(struct rpf *r, const struct fib_view *v);

/* Takes a copy, in place of those before. -E2BIG, -EINVAL. */
int rpf_statics_set(struct rpf *r, const struct rpf_static *statics, size_t n);

/* A port is there and is this interface now; ifindex 0 = it is not. */
void rpf_port_set(struct rpf *r, uint16_t port, uint32_t ifindex, bool is_up);

enum rpf_why rpf_lookup(const struct rpf *r, const struct rpf_query *q, struct rpf_answer *out);

/* Grows with whatever can change an answer, neighbours excepted. */
uint64_t rpf_generation(const struct rpf *r);
