/* SPDX-License-Identifier: MIT */
/*
 * Why packets of (S,G) are forwarded or not: facts in; out come the decisions in the order in which
 * they are taken, and the one that matters. What is not known or not there (no router, no PIM) is
 * left zero, and nothing is said about it.
 */
#pragma once

#include "engine/mrib.h"
#include "engine/rpf.h"

#define EXPLAIN_CAUSES(X)                                                                          \
	X(forwarded, "it is forwarded")                                                            \
	X(no_traffic, "all is ready, and no packet has come in")                                   \
	X(link_local, "the group, or the source, is none that is forwarded")                       \
	X(no_rule, "no rule matches, and nothing is routed there")                                 \
	X(wrong_input, "a rule takes it from another interface")                                   \
	X(interface_down, "an interface is down or not there")                                     \
	X(rule_inactive, "its rule is not active")                                                 \
	X(boundary, "a boundary for the group")                                                    \
	X(no_route, "no unicast route leads back to the source")                                   \
	X(no_neighbor, "no PIM router is where the unicast route leads")                           \
	X(rpf, "it comes in elsewhere than the way back to the source leads")                      \
	X(ttl, "its TTL is too low")                                                               \
	X(limit, "a limit is reached")                                                             \
	X(no_rp, "the group has no RP")                                                            \
	X(not_dr, "another router is the DR")                                                      \
	X(assert_lost, "another router has won the assert")                                        \
	X(pruned, "who wants the group has pruned this source")                                    \
	X(only_input, "it is wanted only where it comes in")                                       \
	X(no_receiver, "nobody wants it")                                                          \
	X(rate_limited, "the source sends Registers faster than is allowed")                       \
	X(no_worker, "the worker is not there")                                                    \
	X(malformed, "checksums or lengths are wrong")                                             \
	X(output_drops, "all copies are dropped at the outputs")

enum explain_cause {
#define X(name, text) EXPLAIN_##name,
	EXPLAIN_CAUSES(X)
#undef X
	EXPLAIN__COUNT,
};

const char *explain_cause_name(enum explain_cause c); /* "no_receiver" … */

/* --- facts ------------------------------------------------------------------------------------ */

/* What the data path has for it. */
struct explain_rule {
	bool is_there, is_static, is_active;
	char id[RULE_ID_LEN], reason[120]; /* why it is not active, or what is wrong with it */
	char input[IFNAME_LEN];
	bool accept_ttl1;
	const char *datapath;         /* in force; NULL = none */
	char datapath_reason[120];
	bool has_worker, needs_worker;
	uint64_t packets;             /* matched and taken, ever */
	uint64_t ttl, no_worker, checksum, unfit, loop, wrong_iif;
	int64_t last_seen_ms;         /* ago; −1 = never */
	uint64_t sent, dropped;       /* copies */
	char drop[32];                /* the most frequent reason of those */
};

/* A port of the router, or an output of a static rule: those that there is something to say of. */
struct explain_port {
	char name[IFNAME_LEN];        /* "" = by the kernel's routes */
	bool is_there, is_up;
	bool is_output;               /* of the static rule … */
	char reason[120];             /* … and why it is not sent to, "" = it is */
	/* hosts */
	bool is_wanted, is_excluded;
	bool is_full;                 /* there is no room for one more group there */
	/* PIM */
	bool is_dr;
	struct ip4 dr;                /* 0 = PIM is not on there */
	bool is_joined, is_pruned;    /* by routers */
	bool is_assert_lost;
	struct ip4 winner;
	bool has_boundary;            /* the group may not pass there */
	/* the multicast routing table */
	bool has_out;
	enum mrib_out_why why;
	bool is_static;               /* a route of the configuration has it */
	uint8_t ttl_threshold;        /* packets with this TTL or less are not sent there */
};

enum explain_register { EXPLAIN_REG_NONE, EXPLAIN_REG_SENT, EXPLAIN_REG_STOPPED };

struct explain_pim {
	bool is_on;
	bool is_ssm;
	struct ip4 rp;                /* 0 = none */
	bool is_rp;                   /* this router is it */
	struct ip4 upstream;          /* the router that is asked for it, 0 = none */
	bool is_source_connected;     /* the source is on the network of the input */
	struct ip4 input_dr;          /* DR there, 0 = PIM is not on */
	bool is_input_dr;
	enum explain_register reg;    /* what becomes of the Registers of this router */
	uint64_t limited;             /* Registers of the source that were too many, at the RP: */
	uint32_t limit;               /* more than this a second */
};

struct explain_facts {
	/* the question */
	struct sg sg;
	uint16_t port;                /* UDP; 0 = any */
	uint8_t ttl;                  /* as it arrives; 0 = not said */
	char in[IFNAME_LEN];          /* "" = where it comes in, or has to */
	/* where that is */
	char input[IFNAME_LEN];       /* "" = not known */
	bool input_is_there, input_is_up;
	bool has_classifier;
	char classifier[160];         /* its mode, or why it is not there */
	uint64_t seen;                /* frames that it saw */
	struct explain_rule rule;
	/* the router */
	bool has_router;
	bool input_is_routed;         /* multicast is routed there */
	bool has_route;
	struct sg route;              /* which decides: (S,G), else (*,G) */
	bool is_refused;              /* a limit has kept it out of the routing table */
	bool has_boundary;            /* at the input, for the group */
	struct rpf_answer rpf;
	char rpf_input[IFNAME_LEN];
	char down_input[IFNAME_LEN];  /* the source is on its network, and it is down; "" = none */
	char route_input[IFNAME_LEN]; /* of the route, "" = none */
	bool is_route_late;           /* wanted in the data path, and not there */
	struct explain_pim pim;
	const struct explain_port *ports; /* the caller's */
	unsigned n_ports;
};

/* --- the explanation -------------------------------------------------------------------------- */

#define EXPLAIN_TEXT	  256
#define EXPLAIN_STEPS_MAX 96
#define EXPLAIN_OUTPUTS	  64 /* steps about outputs; more are counted */

enum explain_result { EXPLAIN_PASSES, EXPLAIN_STOPS, EXPLAIN_NOTES };

struct explain_step {
	const char *check; /* "input", "rule", "rpf" … */
	enum explain_result result;
	char text[EXPLAIN_TEXT];
};

struct explanation {
	enum explain_cause cause;
	char sentence[EXPLAIN_TEXT];
	unsigned n_steps;
	struct explain_step steps[EXPLAIN_STEPS_MAX];
};

void explain(const struct explain_facts *f, struct explanation *out);
