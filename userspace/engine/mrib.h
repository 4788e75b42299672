/* SPDX-License-Identifier: MIT */
/*
 * The multicast routing table: what all origins together want of (*,G) and (S,G). One input
 * interface, and for each output who wants it. Origins only ever add and take back what is their
 * own, so that the order in which they speak does not matter.
 *
 * What is forwarded of an (S,G) (RFC 7761 §4.1.6, inherited_olist):
 *
 *	own:        ports that somebody wants for (S,G)
 *	inherited:  ports that somebody wants for (*,G) who has not pruned S there (an (S,G,rpt)
 *	            prune by pim, an exclude by igmp: each takes back its own wish only), unless
 *	            the (*,G) is blocked there
 *	never:      ports where (S,G) is blocked (an assert lost), the input, boundaries
 *
 * An origin that works out by itself what is inherited says so (mrib_whole_set), and all of its
 * ports.
 *
 * An (S,G) whose input nobody has set comes by that of (*,G), without what was pruned.
 *
 * How daemon/apply.c is to use it. Changes make entries dirty. Each turn, after the engines:
 *
 *	while (mrib_dirty_next(m, &sg)) {
 *		the rule with the id of mrib_rule(m, sg, MRIB_RULE_MAIN, &r)  := r.rule, or gone
 *		the rule with the id of mrib_rule(m, sg, MRIB_RULE_GUARD, &r) := r.rule, or gone
 *	}
 *
 * "Gone" when it returns false; the id is filled in all the same. A rule that is the same as before
 * is left alone, one that differs is resolved and programmed like a changed static rule: new before
 * old, so that traffic goes on. A rule with n_outputs 0 drops what it matches: an (S,G) whose last
 * output is pruned must not fall through to its (*,G), and a source whose traffic comes by its own
 * tree must not be forwarded from the shared one as well (the guard). Rules are for UDP; static
 * rules of the configuration with the same match go first, as those programmed last do.
 */
#pragma once

#include "base/ip4.h"
#include "base/mtime.h"
#include "base/pool.h"
#include "base/portset.h"
#include "engine/rule.h"

#define MRIB_PORTS_MAX 512
#define MRIB_NO_PORT   UINT16_MAX

/* In order of precedence where only one can have its way: the input interface. */
enum mrib_origin {
	MRIB_STATIC,
	MRIB_EXTERNAL,
	MRIB_FABRIC,
	MRIB_PIM,
	MRIB_MSDP,
	MRIB_IGMP,
	MRIB_REMEMBERED, /* of a process before; a wish that is taken back takes it along */
	MRIB_ORIGINS,
};

const char *mrib_origin_name(enum mrib_origin o); /* "static" … */

/* What an origin says of a port. */
enum mrib_mark {
	MRIB_WANTED,
	MRIB_PRUNED,  /* (S,G): what this origin wants of (*,G) it does not want of S */
	MRIB_BLOCKED, /* not to be sent there, whoever wants it: an assert lost */
	MRIB_MARKS,
};

struct mrib_config {
	uint32_t max_routes;      /* (*,G) and (S,G) together */
	uint32_t max_ports;       /* marks of ports, over all routes */
	uint32_t max_sources;     /* of one group */
	uint32_t max_route_ports; /* of one route */
	uint32_t seed;
	/* Whether the group may pass the port, in and out: no boundary. NULL: all may. */
	bool (*may_pass)(const void *arg, uint16_t port, struct ip4 group);
	const void *arg;
};

struct mrib_port {
	char name[IFNAME_LEN]; /* "" = there is none */
	uint8_t ttl_threshold; /* packets with this TTL or less are not sent there; 0 = none */
};

struct mrib;

/* Cuts its memory out of `a`; NULL when that measures or does not suffice. */
struct mrib *mrib_init(struct arena *a, const struct mrib_config *cfg);

/* --- changes ---------------------------------------------------------------------------------- */

/* 0, also when it is so already; -EINVAL; -ENOSPC: a limit, which is counted. */
int mrib_add(struct mrib *m, struct mtime now, struct sg sg, uint16_t port, enum mrib_mark mark,
	     enum mrib_origin origin);
void mrib_del(struct mrib *m, struct mtime now, struct sg sg, uint16_t port, enum mrib_mark mark,
	      enum mrib_origin origin);

/*
 * What comes in for (S,G) goes to the rendezvous point `to` as well, in PIM Registers from the
 * address `from`; 0 = not. It does not keep a route alone. 0, or -ENOENT: there is no route.
 */
int mrib_register_set(struct mrib *m, struct mtime now, struct sg sg, struct ip4 to,
		      struct ip4 from);

/* Exactly these ports have the mark of the origin from now on. As mrib_add; what fits is marked. */
int mrib_mark_set(struct mrib *m, struct mtime now, struct sg sg, const struct portset *ports,
		  enum mrib_mark mark, enum mrib_origin origin);

/*
 * Whether what the origin says of (S,G) is all of it: then (S,G) inherits nothing of what the
 * origin wants of (*,G), as if all of that were pruned. Only for a route that is there; forgotten
 * with it.
 */
void mrib_whole_set(struct mrib *m, struct mtime now, struct sg sg, enum mrib_origin origin,
		    bool is_whole);

/* Whether the data path is to tell of the packets of (S,G), as it always is of those of (*,G). */
void mrib_tells_set(struct mrib *m, struct mtime now, struct sg sg, bool tells);

/* The input as this origin sees it, which can keep a route alone. MRIB_NO_PORT: no word on it. */
int mrib_input_set(struct mrib *m, struct mtime now, struct sg sg, uint16_t port,
		   enum mrib_origin origin);

/* All that an origin has said; all that anybody has said of a port. Both walk the table. */
void mrib_forget_origin(struct mrib *m, struct mtime now, enum mrib_origin origin);
void mrib_forget_port(struct mrib *m, struct mtime now, uint16_t port);

/* A port is named, or its threshold or boundaries (may_pass) have changed. Walks the table. */
void mrib_port_set(struct mrib *m, uint16_t port, const struct mrib_port *p);

/* --- looking ---------------------------------------------------------------------------------- */

struct mrib_route {
	struct sg sg;
	uint16_t input;            /* MRIB_NO_PORT: none */
	enum mrib_origin input_by; /* valid with an input */
	struct ip4 register_to, register_from; /* 0 = not */
	bool is_shared;            /* nobody knows one for (S,G): the input is that of (*,G) */
	uint16_t inputs[MRIB_ORIGINS]; /* what each says */
	bool tells;                /* what mrib_tells_set() said */
	uint16_t n_ports;          /* marked ones, its own */
	uint64_t generation;       /* of the table, at its last change */
	struct mtime created, changed;
};

bool mrib_find(const struct mrib *m, struct sg sg, struct mrib_route *out);

bool mrib_is_marked(const struct mrib *m, struct sg sg, uint16_t port, enum mrib_mark mark,
		    enum mrib_origin origin);

/* Walks all routes, in the order they came: begins with *at = NULL. Not across changes. */
bool mrib_next(const struct mrib *m, const void **at, struct mrib_route *out);

/* The sources of a group that have a route, `cap` of them at most; how many. */
unsigned mrib_sources(const struct mrib *m, struct ip4 group, struct ip4 *out, unsigned cap);

#define MRIB_OUTS(X)                                                                               \
	X(forwards, "forwarded")                                                                   \
	X(unwanted, "nobody wants it there")                                                       \
	X(pruned, "who wants the group there has pruned this source")                              \
	X(blocked, "another router won the assert there")                                          \
	X(is_input, "it comes in there")                                                           \
	X(boundary, "a boundary for the group is there")                                           \
	X(no_port, "the interface is not there")                                                   \
	X(limit, "beyond the limit of outputs of one rule")

enum mrib_out_why {
#define X(name, text) MRIB_OUT_##name,
	MRIB_OUTS(X)
#undef X
		MRIB_OUT__COUNT,
};

struct mrib_out {
	uint16_t port;
	enum mrib_out_why why;
	uint8_t owners;    /* bits by origin: of the route itself */
	uint8_t inherited; /* of its (*,G), without those who pruned */
	uint8_t pruned, blocked;
	uint8_t ttl_threshold;
};

/* All marked ports of an (S,G) and of its (*,G), by number; how many. Any sg can be asked. */
unsigned mrib_outputs(const struct mrib *m, struct sg sg, struct mrib_out out[MRIB_PORTS_MAX]);

const char *mrib_out_text(enum mrib_out_why why);

/* Whether there is no boundary for the group. */
bool mrib_may_pass(const struct mrib *m, uint16_t port, struct ip4 group);

/* Whether a limit has kept this, or its (*,G), out of the table lately. */
bool mrib_was_refused(const struct mrib *m, struct sg sg);

struct mrib_counts {
	uint32_t routes, ports, groups; /* now */
	uint32_t peak_routes, peak_ports;
	uint32_t dirty;
	uint64_t changes;
	uint64_t refused_routes, refused_ports, refused_sources, refused_route_ports;
};
struct mrib_counts mrib_counts(const struct mrib *m);

uint64_t mrib_generation(const struct mrib *m);

/* --- to the data path ------------------------------------------------------------------------- */

/* Takes the next route whose rules may have become others; also one that is no more. */
bool mrib_dirty_next(struct mrib *m, struct sg *out);

enum mrib_rule_kind {
	MRIB_RULE_MAIN,  /* from its own input */
	MRIB_RULE_GUARD, /* (S,G): nothing from the input of (*,G), which is another one */
};

struct mrib_rule {
	struct rule rule; /* its outputs are those here */
	struct rule_output outputs[RULE_OUTPUTS_MAX];
	uint8_t ttl_threshold[RULE_OUTPUTS_MAX];
	unsigned n_beyond; /* outputs that did not fit */
};

/* "mroute:198.18.0.1,239.1.1.1", "guard:…"; * for any source. */
void mrib_rule_id(struct sg sg, enum mrib_rule_kind kind, char id[RULE_ID_LEN]);

/* False: there is to be no such rule. */
bool mrib_rule(const struct mrib *m, struct sg sg, enum mrib_rule_kind kind, struct mrib_rule *out);
