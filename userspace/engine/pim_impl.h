/* SPDX-License-Identifier: MIT */
/* What the files of the PIM engine share; nobody else includes this. */
#pragma once

#include "base/bucket.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "engine/pim.h"

#define PIM_TTL	      64 /* of what is routed */
#define PIM_JP_QUEUE  384
#define PIM_JP_BUDGET 128 /* as many may be queued before the next route is looked at */

enum due_kind { DUE_PORT, DUE_NEIGHBOR, DUE_ROUTE, DUE_BRANCH, DUE_BSR };

struct due {
	struct heap_node node;
	enum due_kind kind;
};

struct neighbor {
	struct due due;
	struct list link; /* of its port */
	uint32_t port, life; /* life: another number after each restart of it */
	struct ip4 addr;
	struct mtime since, expires, greeted; /* greeted: when it came, or came back */
	struct pim_hello hello;
};

struct port {
	struct due due;
	uint32_t index;
	bool is_active;	    /* enabled, up and with an address */
	bool has_announced; /* its present address, by a Hello */
	bool owes_hello;    /* to a neighbour that may not know us yet */
	bool is_dr, can_suppress;
	uint32_t gen_id, n_neighbors, propagation_ms, override_ms; /* in effect */
	struct ip4 dr;
	struct mtime hello_at, triggered_at;
	struct list neighbors;
	struct pim_link link;
	struct pim_port_config cfg;
};

struct metric {
	bool is_rpt;
	uint32_t preference, metric;
	struct ip4 addr;
};

/* A route on a port: all downstream state there (RFC 7761 §4.1.2 – §4.1.5). */
struct branch {
	struct due due;
	struct list link; /* of its route */
	struct route *route;
	uint32_t port;
	enum pim_branch_state join;
	enum pim_prune_state rpt;
	enum pim_local local;
	enum pim_assert_state assert;
	bool is_rpf_loser; /* it lost where the route's packets come from */
	uint32_t winner_life;
	struct metric winner;
	struct mtime assert_sent;
	struct mtime join_expires, prune_due, rpt_expires, rpt_due, assert_due;
};

struct upstream {
	uint32_t port; /* PORT_NONE = none */
	struct ip4 neighbor; /* RPF', 0 = none */
	uint32_t life;
	bool is_by_assert;
};

/* (*,G), which is there for each group that has any state, or (S,G). */
struct route {
	struct due due;
	struct hash_node node;
	struct list all, dirty; /* of the instance */
	struct list sources;	/* of a (*,G): its (S,G)s, linked by `sibling` */
	struct list sibling;
	struct list branches;
	struct route *star; /* of the same group; itself for (*,G) */
	struct sg sg;
	struct mtime since;
	struct ip4 rp; /* of a (*,G) */
	bool is_rp, is_ssm; /* of a (*,G): this router is its RP; no shared tree */
	bool has_rpf, is_connected;
	struct pim_rpf rpf; /* to the source, or to the RP */
	struct upstream up;
	bool is_joined, is_spt, is_fast; /* is_fast: over the threshold */
	bool is_rpt_apart; /* RPF'(S,G,rpt) is not RPF'(*,G) */
	enum pim_rpt_state rpt;
	enum pim_register_state reg;
	struct ip4 reg_rp;
	struct mtime join_due, override_due, keepalive, watched, reg_due, rate_since;
	uint64_t rate_bytes, reg_limited; /* since then; Registers that were too many, ever */
	struct bucket reg_bucket;	  /* those that are taken from its DR */
	bool is_told;
	struct act_route told;
};

struct jp_item {
	uint32_t port;
	struct ip4 upstream;
	struct sg sg;
	struct ip4 addr; /* of the source, or of the RP */
	uint8_t kind;	 /* flags as on the wire */
	bool is_join;
};

/* An RP of a range, from Bootstraps or, when this is the BSR, from the RP itself. */
struct bsr_rp {
	struct pim_rp_info info;
	uint16_t tag, holdtime;
	bool is_used;  /* the place in the table is taken */
	bool is_ready; /* all of its range has come, and it is not withdrawn */
	bool is_told;  /* by itself to us */
};

struct bsr {
	struct due due;
	enum pim_bsr_state state;
	struct ip4 addr; /* 0 = none */
	uint8_t priority, hash_mask;
	uint16_t tag;
	struct mtime timer, sent_at, originate_at, crp_at, expire_at;
	struct portset owed; /* where the present RP-set is still to be sent */
	struct bsr_rp *rps;
};

struct pim {
	struct pim_config cfg;
	struct mtime now;
	struct actions *out;
	struct random random;
	struct port *ports;
	struct pool neighbors, routes, branches;
	struct hash table;
	struct heap heap;
	struct list all, dirty;
	struct list *sweep; /* the next route to be marked dirty, NULL when all have been */
	uint32_t lives, resume_gen_id, stop_port;
	uint32_t n_jp;
	struct jp_item jp[PIM_JP_QUEUE];
	struct bucket registers, stops;
	struct mtime limit_told;
	struct bsr bsr;
	struct pim_counters counters;
};

static inline bool is_due(const struct pim *e, struct mtime t)
{
	return !mtime_before(e->now, t);
}

static inline bool is_running(const struct pim *e, struct mtime t)
{
	return t.us != MTIME_NEVER.us && mtime_before(e->now, t);
}

static inline struct mtime pim_after(const struct pim *e, int64_t ms)
{
	return mtime_add(e->now, mtime_ms(ms));
}

/* A holdtime on the wire, in seconds. */
static inline struct mtime pim_hold(const struct pim *e, uint16_t s)
{
	return s == PIM_FOREVER ? MTIME_NEVER : pim_after(e, (int64_t)s * 1000);
}
static inline bool is_star(const struct route *r)
{
	return r->star == r;
}

/* The port, when it is one and is active; else NULL. */
struct port *pim_port(struct pim *e, uint32_t index);
bool pim_acl_permits(const struct pim_acl *acl, struct ip4 a);
bool pim_is_mine(const struct pim *e, struct ip4 a); /* an address of this router */
struct mtime pim_random_ms(struct pim *e, uint32_t from, uint32_t to); /* from the present */
void pim_due(struct pim *e, struct due *d, struct mtime at);
void pim_tell_event(struct pim *e, uint32_t port, struct act_event event);
/* Sends what `w` has written; counts it, or that there was no room. */
void pim_send(struct pim *e, uint32_t port, struct wr *w, struct ip4 source, struct ip4 dst);
void pim_enter(struct pim *e, struct mtime now, struct actions *out);
void pim_leave(struct pim *e); /* settles, and sends what was queued */
void pim_sweep(struct pim *e); /* every route is to be looked at again */
void pim_dirty(struct pim *e, struct route *r);
bool pim_has_room(const struct pim *e); /* for what one more timer or route may say */

/* pim_port.c */
void pim_port_change(struct pim *e, struct port *p, const struct pim_port_config *cfg,
		     const struct pim_link *link);
void pim_port_due(struct pim *e, struct port *p);
void pim_hello_first(struct pim *e, struct port *p); /* before a Join/Prune or an Assert */
void pim_hello_soon(struct pim *e, struct port *p);  /* within Triggered_Hello_Delay */
void pim_port_goodbye(struct pim *e, struct port *p);
void pim_port_schedule(struct pim *e, struct port *p);

/* pim_neighbor.c */
enum pim_drop pim_hello_input(struct pim *e, struct port *p, const struct pim_rx *rx,
			      struct rd *r);
void pim_neighbor_due(struct pim *e, struct neighbor *n);
void pim_neighbors_clear(struct pim *e, struct port *p);
void pim_elect(struct pim *e, struct port *p); /* the DR, and what is in effect on the link */
struct neighbor *pim_neighbor_find(struct port *p, struct ip4 addr); /* primary address */
struct neighbor *pim_neighbor_by_any(struct port *p, struct ip4 addr); /* secondaries too */

/* pim_route.c */
struct route *pim_route_get(const struct pim *e, struct sg sg); /* NULL when there is none */
struct route *pim_route_make(struct pim *e, struct sg sg); /* NULL when there is no room */
struct branch *pim_branch_get(const struct route *r, uint32_t port);
struct branch *pim_branch_make(struct pim *e, struct route *r, uint32_t port);
void pim_branch_schedule(struct pim *e, struct branch *b);
void pim_route_schedule(struct pim *e, struct route *r);
void pim_route_due(struct pim *e, struct route *r);
void pim_branch_due(struct pim *e, struct branch *b);
void pim_settle(struct pim *e); /* all that is dirty, as far as there is room */

/* pim_macro.c: RFC 7761 §4.1.6, §4.5.4, §4.6, by their names there. */
struct sets {
	struct portset joins_g, include_g, lost_g;
	struct portset joins, include, lost, lost_rpt, prunes, exclude;
};

struct sets pim_sets(const struct pim *e, const struct route *r);
struct portset pim_immediate_star(const struct sets *s);
struct portset pim_immediate_sg(const struct sets *s);
struct portset pim_inherited_rpt(const struct sets *s);
struct portset pim_inherited(const struct sets *s);
bool pim_join_desired(const struct pim *e, const struct route *r, const struct sets *s);
bool pim_prune_desired(const struct route *r, const struct sets *s);
bool pim_wants_spt(const struct pim *e, const struct route *r);
bool pim_could_assert(const struct route *r, const struct sets *s, uint32_t port);
bool pim_tracks_assert(const struct pim *e, const struct route *r, const struct sets *s,
		       uint32_t port);
bool pim_metric_better(struct metric a, struct metric b);
struct metric pim_my_metric(const struct pim *e, const struct route *r, const struct sets *s,
			    uint32_t port);
uint32_t pim_rpf_port(const struct route *r); /* PORT_NONE when there is none */
bool pim_is_loser(const struct route *r, uint32_t port);

/* pim_up.c */
struct upstream pim_up_rpt(const struct pim *e, const struct route *r); /* RPF'(S,G,rpt) */
void pim_up_rpf(struct pim *e, struct route *r); /* asks where its source or RP is */
void pim_up_settle(struct pim *e, struct route *r, const struct sets *s);
void pim_up_rpt_settle(struct pim *e, struct route *r, const struct sets *s);
void pim_up_due(struct pim *e, struct route *r);
void pim_up_seen(struct pim *e, struct port *p, struct sg sg, uint8_t flags, bool is_join,
		 struct ip4 upstream, uint16_t holdtime);

/* pim_down.c */
void pim_down_entry(struct pim *e, struct port *p, struct sg sg, const struct pim_jp_source *s,
		    struct mtime expires);
void pim_down_end(struct pim *e, struct port *p, struct ip4 group); /* of the message */
void pim_down_due(struct pim *e, struct branch *b);

/* pim_jp.c */
enum pim_drop pim_jp_input(struct pim *e, struct port *p, const struct pim_rx *rx, struct rd *r);
void pim_jp_add(struct pim *e, uint32_t port, struct ip4 upstream, struct sg sg, uint8_t kind,
		bool is_join);
void pim_jp_flush(struct pim *e);

/* pim_assert.c */
enum pim_drop pim_assert_input(struct pim *e, struct port *p, const struct pim_rx *rx,
			       struct rd *r);
void pim_assert_settle(struct pim *e, struct route *r);
void pim_assert_due(struct pim *e, struct branch *b);
void pim_assert_data(struct pim *e, struct route *star, struct route *r, uint32_t port);
void pim_assert_joined(struct pim *e, struct branch *b); /* a Join for us came in there */

/* pim_register.c */
enum pim_drop pim_register_input(struct pim *e, const struct pim_rx *rx, struct rd *r);
enum pim_drop pim_stop_input(struct pim *e, const struct pim_rx *rx, struct rd *r);
void pim_register_settle(struct pim *e, struct route *r);
void pim_register_due(struct pim *e, struct route *r);

/* pim_data.c */
void pim_rate_count(struct pim *e, struct route *r, uint64_t bytes); /* for the threshold */
void pim_spt_update(struct pim *e, struct route *r, const struct sets *s, uint32_t port);

/* pim_rp.c, pim_bsm.c, pim_bsr.c */
struct bsr_rp *pim_bsr_find(struct pim *e, struct ip4_prefix range, struct ip4 rp);
struct bsr_rp *pim_bsr_make(struct pim *e, struct ip4_prefix range, struct ip4 rp);
bool pim_bsr_expire(struct pim *e); /* RPs whose time is over; whether there were any */
void pim_bsm_send(struct pim *e, struct port *p, struct ip4 dst, uint8_t reserved);
void pim_bsm_forward(struct pim *e, const struct pim_rx *rx);
enum pim_drop pim_bsm_store(struct pim *e, struct pim_bsm bsm);
enum pim_drop pim_bsm_input(struct pim *e, struct port *p, uint8_t reserved,
			    const struct pim_rx *rx, struct rd *r);
enum pim_drop pim_crp_input(struct pim *e, const struct pim_rx *rx, struct rd *r);
void pim_bsr_start(struct pim *e);
void pim_bsr_due(struct pim *e);
void pim_bsr_neighbor(struct pim *e, struct port *p, struct neighbor *n); /* new, or restarted */
void pim_bsr_change(struct pim *e, const struct pim_candidate_rp *next); /* before it is set */
void pim_bsr_stop(struct pim *e);
