/* SPDX-License-Identifier: MIT */
/*
 * The router side of IGMP v1, v2 and v3 on any number of interfaces, and the merging half of an
 * IGMP proxy (RFC 4605). What it is told: packets, time, and how interfaces are. What it says:
 * queries to send, which traffic somebody behind an interface wants, what to join upstream, events.
 * igmp.c begins with how it works.
 *
 * Every call that takes `out` finds that list empty, and its caller empties it afterwards.
 */
#pragma once

#include "base/mtime.h"
#include "base/pool.h"
#include "engine/action.h"
#include "wire/igmp.h"

struct igmp;

#define IGMP_NO_PORT UINT32_MAX

/* How much there may be of everything; all memory is taken at the start. */
struct igmp_config {
	uint32_t max_ports, max_groups, max_sources, max_hosts;
	bool has_proxy;	       /* ports may be proxied; takes as much memory again */
	uint32_t seed;	       /* of hash tables: hard to guess */
	bool is_gmi_rfc3376;   /* groups live RV × QI + QRI; else, as in RFC 9776, + 2 × QRI */
	uint32_t n_ssm;
	const struct ip4_prefix *ssm; /* the caller keeps it; n_ssm 0 = 232.0.0.0/8 */
};

enum igmp_mode {
	IGMP_OFF,
	IGMP_UPSTREAM, /* we are a host there: only looks whether somebody queries */
	IGMP_LISTEN,   /* learns groups, never queries */
	IGMP_QUERIER,  /* queries, unless another router is elected */
};

/* What may be joined: the first that fits decides; when none does, it may not. */
struct igmp_access {
	struct ip4_prefix group, source; /* any-source joins fit only where source.len is 0 */
	bool is_permit;
};

struct igmp_port_config {
	enum igmp_mode mode;
	uint8_t version;	   /* 1–3 */
	uint8_t robustness;	   /* 1–255 */
	uint8_t last_member_count; /* 0 = robustness */
	struct mtime query_interval, query_response, last_member_interval;
	bool track_hosts, fast_leave; /* fast_leave tracks as well */
	bool require_router_alert, no_router_alert;
	bool require_local_hosts; /* reports only from this link's addresses and from 0.0.0.0 */
	bool is_proxied;	  /* memberships here are joined upstream */
	uint32_t max_groups, max_sources, max_hosts; /* on the port; of a group; of a group */
	uint32_t rate_pps, rate_burst;
	uint32_t n_access; /* 0 = everything may be joined */
	const struct igmp_access *access; /* the caller keeps it until the next set */
};

struct igmp_link {
	bool is_up;
	struct ip4 address; /* 0 = none: then nothing is queried */
	uint8_t prefix_len;
	uint32_t mtu;
};

struct igmp_rx {
	uint32_t port;
	struct ip4 source;
	uint8_t ttl;
	bool has_router_alert;
	const void *data; /* behind the IP header */
	size_t len;
};

/* What is so without a report. */
enum igmp_static {
	IGMP_STATIC = 1, /* forwarded to this port */
	IGMP_JOINED = 2, /* joined by this host, which reports it */
};

/* The defaults of the standards, and the limits that a strange host cannot pass. */
struct igmp_config igmp_config_default(void);
struct igmp_port_config igmp_port_config_default(void);

/*
 * Makes an engine in `mem`, from which it takes all it needs: 0, -ENOMEM, or -EINVAL for a config
 * of nothing. With an arena that measures it only takes the measure, which is -ENOMEM too.
 */
int igmp_init(struct igmp **out, const struct igmp_config *cfg, struct arena *mem);

/* Takes a port's configuration, now or changed: 0, or -EINVAL when it makes no sense. */
int igmp_port_set(struct igmp *e, struct mtime now, uint32_t port,
		  const struct igmp_port_config *cfg, struct actions *out);

/*
 * Sets what is so without a report: `how` of enum igmp_static, 0 = no more. Source 0 = any. 0, or
 * -EINVAL for what is never forwarded, or -ENOSPC.
 */
int igmp_static_set(struct igmp *e, struct mtime now, uint32_t port, struct sg sg, unsigned how,
		    struct actions *out);

/* Names the port towards which we are a host for proxied ports; IGMP_NO_PORT = none. */
void igmp_upstream_set(struct igmp *e, struct mtime now, uint32_t port, struct actions *out);

/* An interface as it is now. */
void igmp_link(struct igmp *e, struct mtime now, uint32_t port, const struct igmp_link *link,
	       struct actions *out);

/* A packet; its fate, which has been counted. */
enum igmp_drop igmp_input(struct igmp *e, struct mtime now, const struct igmp_rx *rx,
			  struct actions *out);

/* Does what is due, as much of it as fits into the list. */
void igmp_tick(struct igmp *e, struct mtime now, struct actions *out);

/* Whoever was told of wishes has forgotten them: they are said again, from the next tick on. */
void igmp_retell(struct igmp *e);

/* When tick is due; long past when there is more to say already. */
struct mtime igmp_next(const struct igmp *e);

/* --- looking -------------------------------------------------------------------------------- */

struct igmp_stats {
	/* received = accepted + Σ dropped, and likewise for records */
	uint64_t received, accepted, dropped[IGMP_DROP__COUNT];
	uint64_t records, records_accepted, records_dropped[IGMP_DROP__COUNT];
	uint64_t queries, reports_v1, reports_v2, reports_v3, leaves; /* accepted, by kind */
	uint64_t sent_general, sent_group, sent_sources;
	uint64_t sources_filtered; /* left out of records by the access list */
	uint64_t sources_refused;  /* no room: the group takes any source instead, but in SSM */
	uint64_t hosts_refused;	   /* no room: the group has no fast leave for a while */
	uint64_t fast_leaves;
};

struct igmp_port_view {
	struct igmp_port_config config;
	struct igmp_link link;
	bool is_querier;
	struct ip4 querier;    /* 0 = none known */
	struct mtime expires;  /* of the other querier; MTIME_NEVER when there is none */
	uint8_t version;       /* in use: lower than configured beside an older router */
	uint8_t robustness;    /* in use: the querier's */
	struct mtime query_interval;
	struct mtime membership; /* how long a group lives without a report */
	uint32_t groups, groups_peak;
	struct igmp_stats stats;
};

struct igmp_group_view {
	uint32_t port;
	struct ip4 group, last_reporter;
	bool is_exclude;
	unsigned is_static; /* of enum igmp_static */
	uint8_t version;    /* of the oldest host */
	uint32_t n_sources, n_hosts;
	struct mtime since, expires; /* MTIME_NEVER in include mode: the sources expire */
};

struct igmp_source_view {
	struct ip4 source;
	bool is_forwarded; /* by what this group says */
	unsigned is_static;
	struct mtime expires; /* MTIME_NEVER when excluded or static */
};

struct igmp_host_view {
	struct ip4 host, source; /* source 0 = any */
	struct mtime expires;
};

struct igmp_usage {
	uint32_t capacity, used, peak;
	uint64_t refused;
};

/* Where a list is walked: zeros at first; good until the next call that takes `out`. */
struct igmp_cursor {
	const void *at;
};

/* False when there is no such port, or it was never set. */
bool igmp_port_show(const struct igmp *e, uint32_t port, struct mtime now,
		    struct igmp_port_view *out);

/* The next group of a port; false at the end. */
bool igmp_group_show(const struct igmp *e, uint32_t port, struct mtime now, struct igmp_cursor *c,
		     struct igmp_group_view *out);

/* A certain group, for a look at its sources and hosts; false when it is not there. */
bool igmp_group_look(const struct igmp *e, uint32_t port, struct ip4 group, struct mtime now,
		     struct igmp_cursor *c, struct igmp_group_view *out);

/* The next source, or tracked host, of the group that `group` is at; false at the end. */
bool igmp_source_show(const struct igmp_cursor *group, struct mtime now, struct igmp_cursor *c,
		      struct igmp_source_view *out);
bool igmp_host_show(const struct igmp_cursor *group, struct igmp_cursor *c,
		    struct igmp_host_view *out);

/* Of all ports, what came for no port included. */
const struct igmp_stats *igmp_stats(const struct igmp *e);

/* Tables: groups, sources, hosts. */
struct igmp_usages {
	struct igmp_usage groups, sources, hosts;
	size_t bytes; /* of the arena */
};
struct igmp_usages igmp_usage(const struct igmp *e);
