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
#include "engine/pim_config.h"
#include "wire/ip.h"
#include "wire/pim.h"

struct pim; /* one instance */

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
	uint64_t registers_limited; /* as RP: taken no notice of, as they were too many */
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

bool pim_is_ssm(const struct pim *e, struct ip4 group);

/* Whether there is no boundary for the group at the port. */
bool pim_may_pass(const struct pim *e, uint32_t port, struct ip4 group);

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
