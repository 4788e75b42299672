/* SPDX-License-Identifier: MIT */
/*
 * Queries: the general one, and after a leave those for a group and for sources, with their
 * repetitions (RFC 9776 §6.6.3). Only the querier asks; others hear it ask.
 */
#include "engine/igmp_impl.h"
#include "wire/ip.h"

#define MTU_DEFAULT 1500
#define MTU_LEAST   68
#define MTU_MOST    9000
#define IP_HEAD	    24 /* with the router alert */

static uint32_t to_ds(struct mtime span)
{
	return (uint32_t)(span.us / 100000);
}

static uint32_t mtu_of(const struct igmp_port *p)
{
	uint32_t mtu = p->link.mtu ? p->link.mtu : MTU_DEFAULT;

	if (mtu < MTU_LEAST)
		return MTU_LEAST;
	return mtu < MTU_MOST ? mtu : MTU_MOST;
}

static uint32_t sources_max(const struct igmp_port *p)
{
	return (mtu_of(p) - IP_HEAD - IGMP_QUERY_HEAD) / 4;
}

/* What every query of this port has in common. */
static struct igmp_query query_of(const struct igmp_port *p, struct mtime now,
				  struct mtime response)
{
	return (struct igmp_query){
		.version = igmp_version(p, now),
		.response_ds = igmp_version(p, now) == 1 ? 0 : to_ds(response),
		.robustness = igmp_robustness(p),
		.interval_s = (uint32_t)(igmp_query_interval(p).us / 1000000),
	};
}

static bool send(const struct igmp_port *p, struct wr *w, struct ip4 dst, struct actions *out)
{
	igmp_seal(w);
	return actions_send(out, p->index, w,
			    (struct act_send){ .source = p->link.address,
					       .dst = dst,
					       .protocol = IP_PROTO_IGMP,
					       .ttl = 1,
					       .has_router_alert = !p->cfg.no_router_alert });
}

bool igmp_ask_general(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out)
{
	struct igmp_query q = query_of(p, now, p->cfg.query_response);
	struct wr w = actions_packet(out);

	igmp_query_write(&w, &q);
	if (!send(p, &w, ip4_from_host(IGMP_ALL_SYSTEMS), out))
		return false;
	IGMP_COUNT(e, p, sent_general);
	return true;
}

/* Takes effect in the round that comes next, which is now. */
static void schedule(struct igmp *e, struct igmp_group *g, struct mtime now)
{
	if (!g->is_querying)
		igmp_port_of(e, g)->n_querying++;
	g->is_querying = true;
	g->query_at = now;
	igmp_touch(e, g);
}

/* Q(G): does anybody still want the group? */
void igmp_ask_group(struct igmp *e, const struct igmp_report *report, struct igmp_group *g)
{
	const struct igmp_port *p = report->port;

	if (igmp_was_last(report, g, (struct ip4){ 0 })) {
		IGMP_COUNT(e, report->port, fast_leaves);
		g->expires = report->now;
	} else if (p->is_querier && igmp_version(p, report->now) > 1) {
		g->queries_left = igmp_last_member_count(p);
		g->expires =
			mtime_min(g->expires, mtime_add(report->now, igmp_last_member_time(p)));
		schedule(e, g, report->now);
	}
	igmp_due(e, g, g->expires);
}

/* Q(G,S) */
void igmp_ask_source(struct igmp *e, const struct igmp_report *report, struct igmp_source *s)
{
	const struct igmp_port *p = report->port;
	struct igmp_group *g = s->group;

	if (igmp_was_last(report, g, s->addr)) {
		IGMP_COUNT(e, report->port, fast_leaves);
		s->expires = report->now;
	} else if (p->is_querier && igmp_version(p, report->now) == 3) {
		s->queries_left = igmp_last_member_count(p);
		s->expires =
			mtime_min(s->expires, mtime_add(report->now, igmp_last_member_time(p)));
		schedule(e, g, report->now);
	}
	igmp_due(e, g, s->expires);
}

void igmp_ask_end(struct igmp *e, struct igmp_group *g)
{
	if (g->is_querying)
		igmp_port_of(e, g)->n_querying--;
	g->is_querying = g->is_round = g->is_pending = false;
	g->queries_left = 0;
	igmp_for_each_source(s, g)
	{
		s->queries_left = 0;
		s->is_pending = false;
	}
}

static bool send_group(struct igmp *e, struct igmp_group *g, struct mtime now, struct actions *out)
{
	struct igmp_port *p = igmp_port_of(e, g);
	struct igmp_query q = query_of(p, now, p->cfg.last_member_interval);
	struct wr w = actions_packet(out);

	q.group = g->addr;
	q.suppress = g->expires.us - now.us > igmp_last_member_time(p).us;
	igmp_query_write(&w, &q);
	if (!send(p, &w, g->addr, out))
		return false;
	IGMP_COUNT(e, p, sent_group);
	return true;
}

/* Is it for the message with the S flag, or for the one without? */
static bool is_suppressed(const struct igmp_port *p, const struct igmp_source *s, struct mtime now)
{
	return s->expires.us - now.us > igmp_last_member_time(p).us;
}

/* Writes up to `max` sources of one kind; without a writer it only counts them. */
static uint32_t each_pending(const struct igmp_port *p, struct igmp_group *g, struct mtime now,
			     bool suppress, uint32_t max, struct wr *w)
{
	uint32_t n = 0;

	igmp_for_each_source(s, g)
	{
		if (n == max || !s->is_pending || is_suppressed(p, s, now) != suppress)
			continue;
		n++;
		if (!w)
			continue;
		wr_ip4(w, s->addr);
		s->is_pending = false;
		s->queries_left--;
	}
	return n;
}

/* As many messages as the sources take; false when the list is full. */
static bool send_sources(struct igmp *e, struct igmp_group *g, struct mtime now, bool suppress,
			 struct actions *out)
{
	struct igmp_port *p = igmp_port_of(e, g);
	struct igmp_query q = query_of(p, now, p->cfg.last_member_interval);
	uint32_t max = sources_max(p);
	struct wr w;

	q.group = g->addr;
	q.suppress = suppress;
	while ((q.n_sources = (uint16_t)each_pending(p, g, now, suppress, max, NULL))) {
		if (!actions_fit(out, 1, mtu_of(p)))
			return false;
		w = actions_packet(out);
		igmp_query_write(&w, &q);
		each_pending(p, g, now, suppress, max, &w);
		if (!send(p, &w, g->addr, out))
			return false;
		IGMP_COUNT(e, p, sent_sources);
	}
	return true;
}

static void begin_round(struct igmp_group *g)
{
	g->is_round = true;
	g->is_pending = g->queries_left > 0;
	igmp_for_each_source(s, g) s->is_pending = s->queries_left > 0;
}

/* Is there another round? Only v3 can ask for sources. */
static bool has_more(struct igmp_group *g, bool is_v3)
{
	bool more = g->queries_left > 0;

	igmp_for_each_source(s, g) more |= is_v3 && s->queries_left > 0;
	return more;
}

/* Sends what is due for a group; false when the list is full and the round goes on later. */
bool igmp_ask_round(struct igmp *e, struct igmp_group *g, struct mtime now, struct actions *out)
{
	const struct igmp_port *p = igmp_port_of(e, g);
	bool is_v3 = igmp_version(p, now) == 3;

	if (!p->is_querier) {
		igmp_ask_end(e, g);
		return true;
	}
	if (!g->is_round)
		begin_round(g);
	if (g->is_pending) {
		if (!send_group(e, g, now, out))
			return false;
		g->is_pending = false;
		g->queries_left--;
	}
	if (is_v3 && (!send_sources(e, g, now, true, out) || !send_sources(e, g, now, false, out)))
		return false;
	g->is_round = false;
	if (!has_more(g, is_v3)) {
		igmp_ask_end(e, g);
		return true;
	}
	g->query_at = mtime_add(now, p->cfg.last_member_interval);
	igmp_due(e, g, g->query_at);
	return true;
}
