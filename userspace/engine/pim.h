/* SPDX-License-Identifier: MIT */
/*
 * PIM sparse mode for IPv4 (RFC 7761, with RFC 4607 and RFC 5059): one instance of a router. Pure:
 * it is told of packets, links, routes, local members, data and time, and answers with actions.
 * See pim.c for how it works inside.
 *
 * Every call takes the present time, which never goes back, and an emptied list of actions. When
 * not all that is to be said fits in it, pim_next() is in the past: tick again.
 */
#pragma once

#include "base/ip4.h"
#include "base/mtime.h"
#include "base/pool.h"
#include "base/portset.h"
#include "engine/action.h"
#include "wire/ip.h"
#include "wire/pim.h"

struct pim; /* one instance */

/* --- configuration ------------------------------------------------------------------------ */

#define PIM_ACL_MAX    16
#define PIM_STATIC_RPS 64
#define PIM_LOCALS     8
#define PIM_SSM_RANGES 8
#define PIM_CRP_RANGES 8

/* A list of prefixes, the first that matches decides, none refuses; an empty list permits all. */
struct pim_acl {
	uint8_t n;
	struct {
		struct ip4_prefix prefix;
		bool is_permitted;
	} entries[PIM_ACL_MAX];
};

enum pim_spt { PIM_SPT_IMMEDIATE, PIM_SPT_THRESHOLD, PIM_SPT_NEVER };

/* The longest range decides; of equal ones the first that has a way to its RP. */
struct pim_static_rp {
	struct ip4_prefix range;
	struct ip4 rp;
};

struct pim_candidate_bsr {
	bool is_enabled;
	struct ip4 address;
	uint8_t priority, hash_mask;
};

struct pim_candidate_rp {
	bool is_enabled;
	struct ip4 address;
	uint8_t priority, n_ranges; /* no ranges = 224.0.0.0/4 */
	struct ip4_prefix ranges[PIM_CRP_RANGES];
};

/* Where a unicast address is reached. */
struct pim_rpf {
	uint32_t port;
	bool is_connected;   /* on the port's own network */
	struct ip4 next_hop; /* 0 on a connected network, or on a link without addresses */
	uint32_t preference, metric;
};

/* False: there is no way. Asked again and again, so it should be quick; it may change any time. */
typedef bool (*pim_rpf_fn)(const void *arg, struct ip4 to, struct pim_rpf *out);

struct pim_config {
	/* Sizes of the tables; what does not fit is refused and counted. */
	uint32_t ports, neighbors, neighbors_per_port, routes, branches, bsr_rps;
	uint64_t seed;
	pim_rpf_fn rpf;
	const void *rpf_arg;

	uint32_t triggered_hello_ms, jp_period_ms, keepalive_ms;
	uint32_t register_suppression_ms, register_probe_ms, assert_ms, assert_override_ms;
	enum pim_spt spt;
	uint32_t spt_threshold_kbps;
	uint32_t registers_per_source, registers; /* a second, taken in as RP */
	struct pim_acl register_sources;
	uint8_t n_locals, n_ssm, n_static_rps;
	struct ip4 locals[PIM_LOCALS]; /* own addresses that are on no port, such as lo's */
	struct ip4_prefix ssm[PIM_SSM_RANGES];
	struct pim_static_rp static_rps[PIM_STATIC_RPS];
	bool bsr_overrides_static; /* of equally long ranges */
	uint32_t bsr_period_ms, crp_period_ms;
	struct pim_candidate_bsr candidate_bsr;
	struct pim_candidate_rp candidate_rp;
};

/* RFC 7761's and RFC 5059's values, and tables of moderate size; `rpf` has to be set. */
void pim_config_default(struct pim_config *c);

struct pim_port_config {
	bool is_enabled;
	bool is_passive;     /* neither says nor hears Hello, and is always the DR: hosts only */
	bool is_border;	     /* sources behind it count as connected */
	bool hides_priority; /* sends no DR priority, as if it knew none */
	bool can_track;	     /* the T bit: no need for join suppression */
	uint32_t dr_priority;
	uint32_t hello_ms;
	uint16_t holdtime_s; /* 0 = 3.5 times hello_ms */
	uint16_t propagation_ms, override_ms;
	struct pim_acl neighbors; /* who may be one */
	struct pim_acl allow_rp;  /* RPs of others that joins may name; empty = none */
	struct pim_acl boundary;  /* groups that may pass */
};

void pim_port_config_default(struct pim_port_config *c); /* enabled */

/* What an interface is at the moment. */
struct pim_link {
	bool is_up;
	struct ip4 address; /* primary */
	uint32_t mtu;
	uint8_t n_secondaries;
	struct ip4 secondaries[PIM_SECONDARIES];
};

/* --- the face of every engine ------------------------------------------------------------- */

/*
 * Cuts an instance out of the arena; NULL when it is too small, or only measures. The configuration
 * is copied. There is no fini: what it consists of belongs to the arena.
 */
struct pim *pim_init(const struct pim_config *cfg, struct arena *a);

/* Replaces what may change while it runs: all but sizes, seed and rpf. */
void pim_configure(struct pim *e, struct mtime now, const struct pim_config *cfg,
		   struct actions *out);
void pim_port_configure(struct pim *e, struct mtime now, uint32_t port,
			const struct pim_port_config *cfg, struct actions *out);

/* A new Generation ID on each port when `resume` is 0, else this one: neighbours notice nothing. */
void pim_set_gen_id(struct pim *e, uint32_t resume);
uint32_t pim_gen_id(const struct pim *e, uint32_t port);

struct pim_rx {
	uint32_t port;
	struct ip4 source, dst; /* of the IP header */
	uint8_t ttl;
	const uint8_t *data; /* what follows it */
	size_t len;
};

/* PIM_OK, or the one reason why the message was not taken, which has been counted. */
enum pim_drop pim_input(struct pim *e, struct mtime now, const struct pim_rx *rx,
			struct actions *out);
void pim_link(struct pim *e, struct mtime now, uint32_t port, const struct pim_link *link,
	      struct actions *out);

/* The way to some of these addresses may have changed. */
void pim_rpf_changed(struct pim *e, struct mtime now, struct ip4_prefix to, struct actions *out);

enum pim_local { PIM_LOCAL_NONE, PIM_LOCAL_INCLUDE, PIM_LOCAL_EXCLUDE };

/*
 * Hosts on the port: with source 0, want the group or do not; else want this source as well, or,
 * while they want the group, do not want this one. -ENOSPC: no room, counted.
 */
int pim_local(struct pim *e, struct mtime now, uint32_t port, struct sg sg, enum pim_local want,
	      struct actions *out);

/* Packets of sg that came in at `port` since the last time. */
struct pim_data {
	uint32_t port;
	struct sg sg;
	uint64_t packets, bytes;
};

/*
 * The data path has seen packets: without a route, at another port than the route's, or, now and
 * then (every 30 s or more often), at the right one.
 */
void pim_data(struct pim *e, struct mtime now, const struct pim_data *d, struct actions *out);

void pim_tick(struct pim *e, struct mtime now, struct actions *out);
struct mtime pim_next(const struct pim *e);

/*
 * Says goodbye on every port. To be called until it returns true, with an emptied list each time;
 * afterwards the instance is good for nothing.
 */
bool pim_stop(struct pim *e, struct mtime now, struct actions *out);

/* --- looking ------------------------------------------------------------------------------ */

struct pim_counters {
	uint64_t rx, rx_type[16]; /* rx = rx_ok + sum of drops */
	uint64_t rx_ok, drops[PIM_DROP_N];
	uint64_t tx_type[16];
	uint64_t unsent;	     /* packets for which the list of actions had no room */
	uint64_t entries_ignored;    /* of Join/Prunes that were taken */
	uint64_t routes_refused, branches_refused, neighbors_refused;
};

const struct pim_counters *pim_counters(const struct pim *e);

struct pim_port_info {
	bool is_active, is_dr, can_suppress;
	struct ip4 address, dr;
	uint32_t neighbors, gen_id;
	uint32_t propagation_ms, override_ms; /* in effect */
	struct mtime next_hello;
};

bool pim_port_info(const struct pim *e, uint32_t port, struct pim_port_info *out);

struct pim_neighbor_info {
	uint32_t port;
	struct ip4 address;
	struct mtime since, expires;
	struct pim_hello hello;
};

/* The `i`th neighbour of the port; false beyond the last. */
bool pim_neighbor_info(const struct pim *e, uint32_t port, uint32_t i,
		       struct pim_neighbor_info *out);

enum pim_register_state { PIM_REG_NOINFO, PIM_REG_JOIN, PIM_REG_PENDING, PIM_REG_PRUNE };
enum pim_rpt_state { PIM_RPT_NOTJOINED, PIM_RPT_NOTPRUNED, PIM_RPT_PRUNED };

struct pim_route_info {
	struct sg sg;
	struct ip4 rp; /* 0 = none, or the group is source-specific */
	bool is_joined, is_spt, is_rp;
	uint32_t rpf_port;	    /* PORT_NONE = none */
	struct ip4 rpf_neighbor;    /* RPF', 0 = none */
	enum pim_register_state reg;
	enum pim_rpt_state rpt;
	struct mtime since, join_due, keepalive; /* MTIME_NEVER when not running */
	struct act_route forwarding; /* as it was last said */
};

/* Start with *cursor NULL; false at the end. Routes must not change in between. */
bool pim_route_next(const struct pim *e, const void **cursor, struct pim_route_info *out);
bool pim_route_find(const struct pim *e, struct sg sg, struct pim_route_info *out);

enum pim_branch_state { PIM_DOWN_NOINFO, PIM_DOWN_JOIN, PIM_DOWN_PENDING };
enum pim_prune_state {
	PIM_PRUNE_NOINFO,
	PIM_PRUNE_PRUNED,
	PIM_PRUNE_PENDING,
	PIM_PRUNE_TMP,
	PIM_PRUNE_PENDING_TMP
};
enum pim_assert_state { PIM_ASSERT_NOINFO, PIM_ASSERT_WINNER, PIM_ASSERT_LOSER };

/* What a route knows of a port. */
struct pim_branch_info {
	uint32_t port;
	enum pim_branch_state join;
	enum pim_prune_state rpt; /* of a (S,G) */
	enum pim_local local;
	enum pim_assert_state assert;
	struct ip4 winner;
	struct mtime join_expires, prune_due, rpt_expires, rpt_due, assert_due;
};

bool pim_branch_info(const struct pim *e, struct sg sg, uint32_t i, struct pim_branch_info *out);

/* 0 = the group has none. */
struct ip4 pim_rp_of(const struct pim *e, struct ip4 group);

enum pim_bsr_state {
	PIM_BSR_NOINFO,
	PIM_BSR_ACCEPT_ANY,
	PIM_BSR_ACCEPT_PREFERRED,
	PIM_BSR_CANDIDATE,
	PIM_BSR_PENDING,
	PIM_BSR_ELECTED
};

struct pim_bsr_info {
	enum pim_bsr_state state;
	struct ip4 bsr;
	uint8_t priority, hash_mask;
	struct mtime due;
	uint32_t rps;
};

void pim_bsr_info(const struct pim *e, struct pim_bsr_info *out);

struct pim_rp_info {
	struct ip4_prefix range;
	struct ip4 rp;
	uint8_t priority;
	struct mtime expires;
};

bool pim_bsr_rp(const struct pim *e, uint32_t i, struct pim_rp_info *out);

/* RFC 7761 §4.7.2. */
uint32_t pim_rp_hash(struct ip4 group, uint8_t mask_len, struct ip4 rp);
