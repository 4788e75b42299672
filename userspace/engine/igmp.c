/* SPDX-License-Identifier: MIT */
/*
 * The router side of IGMP (RFC 9776, with 2236 and 1112 for older hosts, 4604 for source-specific
 * ranges, 4605 for the proxy).
 *
 * A port has a role: it asks (querier), or goes by another router that does. It holds groups; a
 *group holds sources, and the hosts that asked for them where they are tracked. A report changes a
 *group by the table in igmp_report.c; time does, in igmp_group_run(); queries of others do, in
 * igmp_querier.c. None of these says anything to the world. They change state, and put the group on
 * a list of those that may have something to say. igmp_tell() then holds what has been said against
 * what should be, group by group, until the list of actions is full; the rest waits for the next
 * call, and igmp_next() says that there is one. A source that is gone is kept until that has been
 * said.
 *
 * Timers: each group has one place in a heap, for the first of its deadlines. Those of a group that
 * lives only move to later, which is not worth touching the heap for: a timer that fires too early
 * looks and is set again. Only leaves bring deadlines forward.
 *
 * Memory is taken once. Without room for a group it is refused; without room for a source the group
 * takes any source (but in source-specific ranges, where it is refused); without room for a host
 *the group has no fast leave. All of it is counted.
 *
 *	igmp_report.c   what a record changes        igmp_query.c    what is asked, how often
 *	igmp_group.c    groups, sources, deadlines   igmp_querier.c  who asks
 *	igmp_hosts.c    who asked for what           igmp_tell.c     what the world is told
 *	igmp_proxy.c    what is joined upstream      igmp_show.c     what is shown
 *	igmp_access.c   what may be joined           igmp_timing.c   formulas
 *
 * Not here: the host's side (the kernel's), MLD, the lightweight profile of RFC 5790.
 */
#include "engine/igmp_impl.h"

#include <errno.h>

#define MERGED_SPARE	 2  /* what is told next finds room even when all tables are full */
#define QUERY_RATE_PPS	 10 /* queries have a bucket of their own, so that reports cannot fill it */
#define QUERY_RATE_BURST 20

static const struct ip4_prefix ssm_default = { { __builtin_bswap32(0xe8000000) }, 8 };

struct igmp_config igmp_config_default(void)
{
	return (struct igmp_config){
		.max_ports = 512,
		.max_groups = 65536,
		.max_sources = 65536,
		.max_hosts = 65536,
		.n_ssm = 1,
		.ssm = &ssm_default,
	};
}

struct igmp_port_config igmp_port_config_default(void)
{
	return (struct igmp_port_config){
		.mode = IGMP_QUERIER,
		.version = 3,
		.robustness = 2,
		.query_interval = mtime_ms(125000),
		.query_response = mtime_ms(10000),
		.last_member_interval = mtime_ms(1000),
		.max_groups = 4096,
		.max_sources = 1024,
		.max_hosts = 256,
		.rate_pps = 1000,
		.rate_burst = 2000,
	};
}

static void take_memory(struct igmp *e, const struct igmp_config *cfg, struct arena *mem)
{
	uint32_t n_merged = cfg->has_proxy ? cfg->max_groups + cfg->max_sources + MERGED_SPARE : 0;

	e->ports = arena_take(mem, cfg->max_ports, sizeof(*e->ports));
	pool_init(&e->groups, mem, cfg->max_groups, sizeof(struct igmp_group));
	pool_init(&e->sources, mem, cfg->max_sources, sizeof(struct igmp_source));
	pool_init(&e->hosts, mem, cfg->max_hosts, sizeof(struct igmp_host));
	pool_init(&e->merged, mem, n_merged, sizeof(struct igmp_merged));
	hash_init(&e->group_table, mem, cfg->max_groups, cfg->seed);
	hash_init(&e->source_table, mem, cfg->max_sources, cfg->seed);
	hash_init(&e->merged_table, mem, n_merged, cfg->seed);
	heap_init(&e->group_timers, mem, cfg->max_groups);
	heap_init(&e->port_timers, mem, cfg->max_ports);
}

static void init_port(struct igmp_port *p, uint32_t index)
{
	p->index = index;
	p->querier_until = p->query_at = p->silent_at = MTIME_NEVER;
	list_init(&p->groups);
}

int igmp_init(struct igmp **out, const struct igmp_config *cfg, struct arena *mem)
{
	size_t before = mem->used;
	struct igmp scratch = { 0 }, *e;

	if (!cfg->max_ports || !cfg->max_groups || !cfg->max_sources)
		return -EINVAL;
	e = arena_take(mem, 1, sizeof(*e));
	take_memory(e ? e : &scratch, cfg, mem);
	if (!e || mem->used > mem->size)
		return -ENOMEM;
	e->cfg = *cfg;
	if (!cfg->n_ssm) {
		e->cfg.ssm = &ssm_default;
		e->cfg.n_ssm = 1;
	}
	e->bytes = mem->used - before;
	e->upstream = IGMP_NO_PORT;
	list_init(&e->dirty);
	list_init(&e->merged_dirty);
	for (uint32_t i = 0; i < cfg->max_ports; i++)
		init_port(&e->ports[i], i);
	*out = e;
	return 0;
}

/* Says what there is to say, as much as fits. Every call that may change something ends here. */
static void tell(struct igmp *e, struct mtime now, struct actions *out)
{
	while (!list_empty(&e->dirty))
		if (!igmp_tell(e, list_item(e->dirty.next, struct igmp_group, dirty), now, out))
			break;
	igmp_merged_tell(e, out);
}

static void each_group(struct igmp *e, struct igmp_port *p,
		       void (*then)(struct igmp *, struct igmp_group *))
{
	for (struct list *link = p->groups.next; link != &p->groups; link = link->next)
		then(e, list_item(link, struct igmp_group, link));
}

/* What has been learned on a port is worth nothing once we have been deaf there. */
static void set_active(struct igmp *e, struct igmp_port *p)
{
	bool is_active = p->link.is_up && p->cfg.mode >= IGMP_LISTEN;

	if (is_active == p->is_active)
		return;
	p->is_active = is_active;
	each_group(e, p, is_active ? igmp_touch : igmp_group_clear);
}

static bool is_sensible(const struct igmp_port_config *cfg)
{
	struct mtime least = mtime_ms(100);
	int64_t most_ds = cfg->version == 3 ? IGMP_CODE_MAX : UINT8_MAX;

	return cfg->version >= 1 && cfg->version <= 3 && cfg->robustness &&
	       cfg->mode <= IGMP_QUERIER && !mtime_before(cfg->query_response, least) &&
	       mtime_before(cfg->query_response, cfg->query_interval) &&
	       !mtime_before(cfg->last_member_interval, least) && cfg->max_groups &&
	       cfg->query_interval.us <= IGMP_CODE_MAX * 1000000LL &&
	       cfg->query_response.us <= most_ds * 100000 &&
	       cfg->last_member_interval.us <= most_ds * 100000 && cfg->max_sources &&
	       cfg->max_sources <= UINT16_MAX && cfg->max_hosts <= UINT16_MAX;
}

/* What a changed access list does not let in any more. */
static void apply_access(struct igmp *e, struct igmp_group *g)
{
	const struct igmp_port *p = igmp_port_of(e, g);

	if (!igmp_permits(p, (struct sg){ .group = g->addr }) && g->is_exclude) {
		g->is_exclude = false;
		igmp_due(e, g, (struct mtime){ 0 });
	}
	igmp_for_each_source(s, g) if (!igmp_permits(p, (struct sg){ s->addr, g->addr }))
		igmp_source_drop(e, s);
}

int igmp_port_set(struct igmp *e, struct mtime now, uint32_t port,
		  const struct igmp_port_config *cfg, struct actions *out)
{
	struct igmp_port *p;
	bool did_track, is_same_role;

	if (port >= e->cfg.max_ports || !is_sensible(cfg) || (cfg->is_proxied && !e->cfg.has_proxy))
		return -EINVAL;
	p = &e->ports[port];
	did_track = igmp_tracks(p);
	is_same_role = p->is_set && p->cfg.mode == cfg->mode && p->cfg.version == cfg->version;
	p->cfg = *cfg;
	p->is_set = true;
	if (!did_track && p->n_groups)
		p->tracked_from = mtime_add(now, igmp_membership(e, p));
	set_active(e, p);
	each_group(e, p, apply_access);
	each_group(e, p, igmp_touch);
	if (is_same_role)
		igmp_role_hurry(e, p, now);
	else
		igmp_role_start(e, p, now, out);
	tell(e, now, out);
	return 0;
}

/* Of a source that is not wanted otherwise nothing is left; it does not become excluded. */
static int set_source(struct igmp *e, struct mtime now, struct igmp_group *g, struct ip4 source,
		      unsigned how)
{
	struct igmp_source *s =
		how ? igmp_source_get(e, g, source) : igmp_source_find(e, g, source);

	if (!s)
		return how ? -ENOSPC : 0;
	s->how = (uint8_t)how;
	if (!how && !igmp_is_running(s, now))
		igmp_source_drop(e, s);
	return 0;
}

int igmp_static_set(struct igmp *e, struct mtime now, uint32_t port, struct sg sg, unsigned how,
		    struct actions *out)
{
	struct igmp_group *g;
	int err = 0;

	if (port >= e->cfg.max_ports || !e->ports[port].is_set || !ip4_is_multicast(sg.group) ||
	    ip4_is_linklocal_group(sg.group) || how > (IGMP_STATIC | IGMP_JOINED))
		return -EINVAL;
	if (sg.source.net ? !ip4_is_unicast(sg.source) : igmp_is_ssm(e, sg.group))
		return -EINVAL;
	g = igmp_group_find(e, port, sg.group);
	if (!g && !how)
		return 0;
	if (!g)
		g = igmp_group_new(e, now, port, sg.group);
	if (!g)
		return -ENOSPC;
	if (sg.source.net)
		err = set_source(e, now, g, sg.source, how);
	else
		g->how = (uint8_t)how;
	igmp_touch(e, g);
	tell(e, now, out);
	return err;
}

void igmp_upstream_set(struct igmp *e, struct mtime now, uint32_t port, struct actions *out)
{
	e->upstream = port < e->cfg.max_ports ? port : IGMP_NO_PORT;
	igmp_merged_move(e);
	tell(e, now, out);
}

static bool is_same_link(const struct igmp_link *a, const struct igmp_link *b)
{
	return a->is_up == b->is_up && ip4_equal(a->address, b->address) &&
	       a->prefix_len == b->prefix_len;
}

void igmp_link(struct igmp *e, struct mtime now, uint32_t port, const struct igmp_link *link,
	       struct actions *out)
{
	struct igmp_port *p;
	bool is_same;

	if (port >= e->cfg.max_ports)
		return;
	p = &e->ports[port];
	is_same = is_same_link(&p->link, link);
	p->link = *link;
	if (is_same)
		return;
	set_active(e, p);
	each_group(e, p, igmp_touch);
	if (port == e->upstream)
		igmp_merged_move(e);
	igmp_role_start(e, p, now, out);
	tell(e, now, out);
}

void igmp_tick(struct igmp *e, struct mtime now, struct actions *out)
{
	struct heap_node *n;

	for (n = heap_first(&e->port_timers); n && n->due.us <= now.us && actions_fit(out, 4, 64);
	     n = heap_first(&e->port_timers))
		igmp_role_run(e, list_item(n, struct igmp_port, timer), now, out);
	while (list_empty(&e->dirty) && heap_next(&e->group_timers).us <= now.us) {
		n = heap_first(&e->group_timers);
		igmp_group_run(e, list_item(n, struct igmp_group, timer), now);
		tell(e, now, out);
	}
	tell(e, now, out);
}

struct mtime igmp_next(const struct igmp *e)
{
	if (!list_empty(&e->dirty) || !list_empty(&e->merged_dirty))
		return (struct mtime){ 0 };
	return mtime_min(heap_next(&e->port_timers), heap_next(&e->group_timers));
}

/* --- packets -------------------------------------------------------------------------------- */

static enum igmp_drop record_input(struct igmp *e, const struct igmp_report *report,
				   const struct igmp_record *record, struct actions *out)
{
	enum igmp_drop drop = igmp_report_input(e, report, record, out);

	IGMP_COUNT(e, report->port, records);
	if (drop == IGMP_ACCEPTED)
		IGMP_COUNT(e, report->port, records_accepted);
	else
		IGMP_COUNT(e, report->port, records_dropped[drop]);
	return drop;
}

/* A report of v1 or v2 is one record, whose fate it shares. */
static enum igmp_drop older_input(struct igmp *e, struct igmp_report *report,
				  const struct igmp_message *m, struct actions *out)
{
	struct igmp_record record = { .group = m->group };
	uint8_t version = igmp_version(report->port, report->now);
	enum igmp_drop drop;

	report->version = m->type == IGMP_V1_REPORT ? 1 : 2;
	record.type = m->type == IGMP_V2_LEAVE ? IGMP_TO_IN : IGMP_IS_EX;
	if (report->version > (m->type == IGMP_V2_LEAVE ? version : report->port->cfg.version))
		return IGMP_DROP_VERSION;
	drop = record_input(e, report, &record, out);
	if (drop != IGMP_ACCEPTED)
		return drop;
	if (m->type == IGMP_V2_LEAVE)
		IGMP_COUNT(e, report->port, leaves);
	else if (m->type == IGMP_V2_REPORT)
		IGMP_COUNT(e, report->port, reports_v2);
	else
		IGMP_COUNT(e, report->port, reports_v1);
	return IGMP_ACCEPTED;
}

static enum igmp_drop v3_input(struct igmp *e, struct igmp_report *report, struct igmp_message *m,
			       struct actions *out)
{
	struct igmp_record record;

	if (report->port->cfg.version < 3)
		return IGMP_DROP_VERSION;
	report->version = 3;
	while (igmp_record_read(&m->records, &record))
		record_input(e, report, &record, out);
	IGMP_COUNT(e, report->port, reports_v3);
	return IGMP_ACCEPTED;
}

static enum igmp_drop membership_input(struct igmp *e, struct igmp_port *p, struct mtime now,
				       const struct igmp_rx *rx, struct igmp_message *m,
				       struct actions *out)
{
	struct igmp_report report = { .port = p, .now = now, .host = rx->source };

	if (!p->is_active)
		return IGMP_DROP_ROLE;
	if (rx->source.net && !ip4_is_unicast(rx->source))
		return IGMP_DROP_SOURCE;
	if (rx->source.net && p->cfg.require_local_hosts && !igmp_is_local(p, rx->source))
		return IGMP_DROP_SOURCE;
	if (m->type == IGMP_V3_REPORT)
		return v3_input(e, &report, m, out);
	return older_input(e, &report, m, out);
}

/* Is there room in the bucket? Queries have their own. */
static bool is_in_rate(struct igmp_port *p, struct mtime now, enum igmp_type type)
{
	if (type == IGMP_QUERY && bucket_take(&p->queries, now, QUERY_RATE_PPS, QUERY_RATE_BURST))
		return true;
	return bucket_take(&p->messages, now, p->cfg.rate_pps, p->cfg.rate_burst);
}

static enum igmp_drop port_input(struct igmp *e, struct igmp_port *p, struct mtime now,
				 const struct igmp_rx *rx, struct actions *out)
{
	struct igmp_message m;
	enum igmp_drop drop = igmp_read(&m, rx->data, rx->len);

	/* first of all, so that garbage does not use up what hosts may say */
	if (drop != IGMP_ACCEPTED)
		return drop;
	if (!is_in_rate(p, now, m.type))
		return IGMP_DROP_RATE;
	if (rx->ttl != 1)
		return IGMP_DROP_TTL;
	if (p->cfg.require_router_alert && !rx->has_router_alert)
		return IGMP_DROP_ROUTER_ALERT;
	if (m.type != IGMP_QUERY)
		return membership_input(e, p, now, rx, &m, out);
	if (rx->source.net && ip4_equal(rx->source, p->link.address))
		return IGMP_DROP_OWN;
	return igmp_query_input(e, p, now, rx, &m.query, out);
}

static void count(struct igmp_stats *stats, enum igmp_drop drop)
{
	stats->received++;
	if (drop == IGMP_ACCEPTED)
		stats->accepted++;
	else
		stats->dropped[drop]++;
}

enum igmp_drop igmp_input(struct igmp *e, struct mtime now, const struct igmp_rx *rx,
			  struct actions *out)
{
	struct igmp_port *p = rx->port < e->cfg.max_ports ? &e->ports[rx->port] : NULL;
	enum igmp_drop drop = IGMP_DROP_PORT;

	if (p && p->is_set && p->cfg.mode != IGMP_OFF && p->link.is_up)
		drop = port_input(e, p, now, rx, out);
	count(&e->stats, drop);
	if (p)
		count(&p->stats, drop);
	tell(e, now, out);
	return drop;
}
