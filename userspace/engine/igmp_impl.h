/* SPDX-License-Identifier: MIT */
/* What the files of the IGMP engine share. igmp.c begins with the whole picture. */
#pragma once

#include "base/bucket.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "engine/igmp.h"

/* What the world has been told of a group (any source) or of a source. */
enum told {
	TOLD_WANT = 1,	     /* ACT_WANT, include */
	TOLD_WANT_NOT = 2,   /* ACT_WANT, exclude */
	TOLD_MEMBER = 4,     /* the event of a join */
	TOLD_JOINED = 8,     /* ACT_JOIN on this port */
	TOLD_MERGED = 16,    /* counted in what is joined upstream */
	TOLD_MERGED_NOT = 32,
};

struct igmp_host {
	struct list link; /* in its group */
	struct mtime expires;
	struct ip4 host, source; /* source 0 = any */
};

struct igmp_source {
	struct hash_node node;
	struct list link; /* in its group */
	struct igmp_group *group;
	struct mtime expires; /* 0 = not running */
	struct ip4 addr;
	uint8_t told, how;    /* enum igmp_static */
	uint8_t queries_left;
	bool is_marked : 1;   /* named by the record at hand */
	bool is_gone : 1;     /* waits to be taken back and freed */
	bool is_pending : 1;  /* in the round of queries that is being sent */
};

struct igmp_group {
	struct hash_node node;
	struct heap_node timer; /* due no later than anything in here */
	struct list link;	/* in its port */
	struct list dirty;	/* in the engine's, when there is something to say */
	struct list sources, hosts;
	struct mtime expires;	/* in exclude mode */
	struct mtime v1_until, v2_until, untracked_until;
	struct mtime query_at;	/* when queries are left */
	struct mtime since;
	uint32_t port;
	struct ip4 addr, last_reporter;
	uint16_t n_sources, n_hosts;
	uint8_t told, how;
	uint8_t queries_left;
	bool is_exclude : 1;
	bool is_querying : 1;	/* counted in its port's n_querying */
	bool is_round : 1;	/* a round of queries is being sent */
	bool is_pending : 1;	/* the group's own query is still to be sent in it */
};

struct igmp_port {
	struct heap_node timer;
	struct list groups;
	struct igmp_port_config cfg;
	struct igmp_link link;
	uint32_t index;
	bool is_set, is_active, is_querier;
	uint8_t startup_left;
	uint8_t robustness;	     /* the other querier's; 0 = not said */
	uint8_t older_version;
	struct mtime query_interval; /* the other querier's; 0 = not said */
	struct mtime older_until;
	struct ip4 querier;
	struct mtime querier_until;
	struct mtime query_at;
	struct mtime silent_at;	     /* when nobody has queried for too long */
	struct bucket messages, queries;
	struct mtime tracked_from; /* when all hosts are known that are there */
	struct mtime limit_event_at, version_event_at; /* the next one may be then */
	uint32_t n_groups, groups_peak, n_querying;
	struct igmp_stats stats;
};

/* What all proxied ports together want, for a group or of a source. */
struct igmp_merged {
	struct hash_node node;
	struct list link;    /* a source in its group */
	struct list sources; /* of a group */
	struct list dirty;
	struct sg sg;
	uint32_t n_include, n_exclude; /* ports */
	uint32_t port;		       /* where it is joined */
	uint8_t told;		       /* TOLD_WANT, TOLD_WANT_NOT */
};

struct igmp {
	struct igmp_config cfg;
	struct igmp_port *ports;
	struct pool groups, sources, hosts, merged;
	struct hash group_table, source_table, merged_table;
	struct heap group_timers, port_timers;
	struct list dirty, merged_dirty;
	uint32_t upstream;
	size_t bytes;
	struct igmp_stats stats;
};

/* A report as the state table sees it. */
struct igmp_report {
	struct igmp_port *port;
	struct mtime now;
	struct ip4 host;
	uint8_t version; /* of the message */
};

static inline bool igmp_is_running(const struct igmp_source *s, struct mtime now)
{
	return s->expires.us > now.us;
}

static inline struct igmp_port *igmp_port_of(const struct igmp *e, const struct igmp_group *g)
{
	return &e->ports[g->port];
}

/* Each thing is counted for its port and for all. */
#define IGMP_COUNT(e, p, field) ((void)((e)->stats.field++, (p)->stats.field++))

/* The first item of a list, and the one behind `s`; NULL at its end. */
static inline struct igmp_source *igmp_source_at(struct igmp_group *g, struct list *link)
{
	return link == &g->sources ? NULL : list_item(link, struct igmp_source, link);
}

#define igmp_for_each_source(s, g)                                                         \
	for (struct igmp_source *s = igmp_source_at(g, (g)->sources.next), *s##_next;      \
	     s && (s##_next = igmp_source_at(g, s->link.next), true); s = s##_next)

/* igmp_timing.c: spans and numbers in use, the other querier's where it asks */
uint8_t igmp_robustness(const struct igmp_port *p);
struct mtime igmp_query_interval(const struct igmp_port *p);
struct mtime igmp_membership(const struct igmp *e, const struct igmp_port *p);
struct mtime igmp_other_querier(const struct igmp_port *p);
struct mtime igmp_older_host(const struct igmp_port *p);
uint8_t igmp_last_member_count(const struct igmp_port *p);
struct mtime igmp_last_member_time(const struct igmp_port *p);
uint8_t igmp_version(const struct igmp_port *p, struct mtime now);

/* igmp_access.c */
bool igmp_is_ssm(const struct igmp *e, struct ip4 group);
bool igmp_permits(const struct igmp_port *p, struct sg sg);
bool igmp_is_local(const struct igmp_port *p, struct ip4 a);
void igmp_limit_event(struct igmp_port *p, struct mtime now, struct sg sg, uint32_t limit,
		      struct actions *out);

/* igmp_group.c: groups, sources, their timers */
struct igmp_group *igmp_group_find(const struct igmp *e, uint32_t port, struct ip4 addr);
struct igmp_group *igmp_group_new(struct igmp *e, struct mtime now, uint32_t port, struct ip4 addr);
void igmp_group_free(struct igmp *e, struct igmp_group *g);
bool igmp_group_is_empty(const struct igmp_group *g);
void igmp_group_clear(struct igmp *e, struct igmp_group *g); /* what was learned */
void igmp_group_run(struct igmp *e, struct igmp_group *g, struct mtime now);
void igmp_touch(struct igmp *e, struct igmp_group *g);
void igmp_due(struct igmp *e, struct igmp_group *g, struct mtime at);
struct igmp_source *igmp_source_find(const struct igmp *e, const struct igmp_group *g,
				     struct ip4 addr);
struct igmp_source *igmp_source_get(struct igmp *e, struct igmp_group *g, struct ip4 addr);
void igmp_source_drop(struct igmp *e, struct igmp_source *s);
void igmp_source_free(struct igmp *e, struct igmp_source *s);

/* igmp_report.c: the state table */
enum igmp_drop igmp_report_input(struct igmp *e, const struct igmp_report *report,
				 const struct igmp_record *record, struct actions *out);
bool igmp_had_older(const struct igmp_report *report, const struct igmp_group *g);
uint8_t igmp_group_version(const struct igmp_group *g, struct mtime now);

/* igmp_hosts.c: who asked for what */
bool igmp_tracks(const struct igmp_port *p);
void igmp_hosts_input(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		      const struct igmp_record *record);
bool igmp_was_last(const struct igmp_report *report, struct igmp_group *g, struct ip4 source);
void igmp_hosts_expire(struct igmp *e, struct igmp_group *g, struct mtime now);
void igmp_hosts_clear(struct igmp *e, struct igmp_group *g);

/* igmp_query.c: what is asked */
void igmp_ask_group(struct igmp *e, const struct igmp_report *report, struct igmp_group *g);
void igmp_ask_source(struct igmp *e, const struct igmp_report *report, struct igmp_source *s);
void igmp_ask_end(struct igmp *e, struct igmp_group *g);
bool igmp_ask_round(struct igmp *e, struct igmp_group *g, struct mtime now, struct actions *out);
bool igmp_ask_general(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out);

/* igmp_querier.c: who asks */
enum igmp_drop igmp_query_input(struct igmp *e, struct igmp_port *p, struct mtime now,
				const struct igmp_rx *rx, const struct igmp_query *q,
				struct actions *out);
void igmp_role_start(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out);
void igmp_role_run(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out);
void igmp_role_hurry(struct igmp *e, struct igmp_port *p, struct mtime now);
void igmp_role_schedule(struct igmp *e, struct igmp_port *p);

/* igmp_tell.c: from state to actions */
bool igmp_tell(struct igmp *e, struct igmp_group *g, struct mtime now, struct actions *out);

/* igmp_proxy.c */
bool igmp_merge_fits(const struct igmp *e);
void igmp_merge(struct igmp *e, struct sg sg, enum want_mode mode, bool is_more);
void igmp_merged_tell(struct igmp *e, struct actions *out);
void igmp_merged_move(struct igmp *e);
