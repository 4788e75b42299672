/* SPDX-License-Identifier: MIT */
/*
 * Who asks on a link: the router with the lowest address (RFC 9776 §6.6.2). A router begins by
 * asking, yields to a lower one that it hears, and takes over when that one falls silent.
 */
#include "engine/igmp_impl.h"

#define VERSION_EVENT_EVERY_S 60

static void querier_event(struct igmp_port *p, struct actions *out)
{
	actions_event(out, p->index,
		      (struct act_event){ .kind = EVENT_IGMP_QUERIER,
					  .peer = p->querier,
					  .is_self = p->is_querier });
}

/* Proxied ports forward only where they query (RFC 4605 §4.2). */
static void role_changed(struct igmp *e, struct igmp_port *p, struct actions *out)
{
	querier_event(p, out);
	if (!p->cfg.is_proxied)
		return;
	for (struct list *link = p->groups.next; link != &p->groups; link = link->next)
		igmp_touch(e, list_item(link, struct igmp_group, link));
}

static bool may_query(const struct igmp_port *p)
{
	return p->is_active && p->cfg.mode == IGMP_QUERIER && p->link.address.net;
}

static struct mtime silence(const struct igmp_port *p)
{
	return mtime_times(igmp_query_interval(p), 2);
}

/* The port's timer; what is due and could not be done stays due. */
void igmp_role_schedule(struct igmp *e, struct igmp_port *p)
{
	struct mtime due = p->silent_at;

	if (p->is_querier)
		due = mtime_min(due, p->query_at);
	else
		due = mtime_min(due, p->querier_until);
	heap_set(&e->port_timers, &p->timer, due);
}

/* Nobody is known who asks; our own numbers are in force. */
static void forget_querier(struct igmp_port *p)
{
	p->is_querier = false;
	p->querier = (struct ip4){ 0 };
	p->querier_until = MTIME_NEVER;
	p->robustness = 0;
	p->query_interval = (struct mtime){ 0 };
}

static void become_querier(struct igmp *e, struct igmp_port *p, struct mtime now, uint8_t startup,
			   struct actions *out)
{
	p->is_querier = true;
	p->querier = p->link.address;
	p->startup_left = startup;
	p->query_at = now;
	role_changed(e, p, out);
}

static void query(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out)
{
	struct mtime interval = p->cfg.query_interval;

	if (!igmp_ask_general(e, p, now, out))
		return;
	if (p->startup_left && --p->startup_left)
		interval.us /= 4;
	p->query_at = mtime_add(now, interval);
}

void igmp_role_run(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out)
{
	if (p->silent_at.us <= now.us && actions_fit(out, 1, 0)) {
		p->silent_at = MTIME_NEVER;
		actions_event(out, p->index, (struct act_event){ .kind = EVENT_IGMP_NO_QUERIER });
	}
	if (!p->is_querier && p->querier_until.us <= now.us && actions_fit(out, 1, 0)) {
		forget_querier(p);
		if (may_query(p))
			become_querier(e, p, now, 0, out);
		else
			role_changed(e, p, out);
	}
	if (p->is_querier && p->query_at.us <= now.us)
		query(e, p, now, out);
	igmp_role_schedule(e, p);
}

/* The role as it is at first, after the link or the configuration has changed. */
void igmp_role_start(struct igmp *e, struct igmp_port *p, struct mtime now, struct actions *out)
{
	bool had_querier = p->querier.net != 0;

	forget_querier(p);
	p->query_at = p->silent_at = MTIME_NEVER;
	p->older_until = (struct mtime){ 0 };
	if (may_query(p))
		become_querier(e, p, now, p->cfg.robustness, out);
	else if (had_querier)
		role_changed(e, p, out);
	if (p->link.is_up && (p->cfg.mode == IGMP_LISTEN || p->cfg.mode == IGMP_UPSTREAM))
		p->silent_at = mtime_add(now, silence(p));
	igmp_role_run(e, p, now, out);
}

/* The interval may have become shorter. */
void igmp_role_hurry(struct igmp *e, struct igmp_port *p, struct mtime now)
{
	if (p->is_querier)
		p->query_at = mtime_min(p->query_at, mtime_add(now, p->cfg.query_interval));
	igmp_role_schedule(e, p);
}

/* Goes by what the querier says of itself. */
static void follow(struct igmp *e, struct igmp_port *p, struct mtime now, struct ip4 source,
		   const struct igmp_query *q, struct actions *out)
{
	bool is_new = p->is_querier || !ip4_equal(p->querier, source);

	p->is_querier = false;
	p->querier = source;
	p->robustness = q->robustness;
	p->query_interval = mtime_ms((int64_t)q->interval_s * 1000);
	p->querier_until = mtime_add(now, igmp_other_querier(p));
	if (is_new)
		role_changed(e, p, out);
}

/*
 * A lower address wins, the S flag or not; 0.0.0.0, which snooping switches ask with, does not.
 * While the last members of a group are being asked, the one who asks goes on (RFC 2236 §3).
 */
static void elect(struct igmp *e, struct igmp_port *p, struct mtime now, struct ip4 source,
		  const struct igmp_query *q, struct actions *out)
{
	struct ip4 best = p->is_querier ? p->link.address : p->querier;
	bool is_better = !best.net || ip4_before(source, best);

	if (!source.net || (p->is_querier && p->n_querying))
		return;
	if (is_better || (!p->is_querier && ip4_equal(source, best)))
		follow(e, p, now, source, q, out);
}

/* A router of a lower version is followed to it; of a higher one a person should know. */
static void note_version(struct igmp_port *p, struct mtime now, struct ip4 source, uint8_t version,
			 struct actions *out)
{
	if (!source.net || version == p->cfg.version)
		return;
	if (version < p->cfg.version && version <= igmp_version(p, now)) {
		p->older_version = version;
		p->older_until = mtime_add(now, igmp_older_host(p));
	}
	if (now.us < p->version_event_at.us)
		return;
	p->version_event_at = mtime_add(now, mtime_ms(VERSION_EVENT_EVERY_S * 1000));
	actions_event(
		out, p->index,
		(struct act_event){ .kind = EVENT_IGMP_VERSION, .peer = source, .value = version });
}

static void general(struct igmp *e, struct igmp_port *p, struct mtime now, struct ip4 source,
		    const struct igmp_query *q, struct actions *out)
{
	note_version(p, now, source, q->version, out);
	if (p->is_active)
		elect(e, p, now, source, q, out);
	if (p->cfg.mode != IGMP_QUERIER)
		p->silent_at = mtime_add(now, silence(p));
	igmp_role_schedule(e, p);
}

/* How long the last members have, by what the querier has asked for; never less than here. */
static struct mtime lowered(const struct igmp_port *p, const struct igmp_query *q)
{
	struct mtime theirs =
		mtime_times(mtime_ms((int64_t)q->response_ds * 100), igmp_last_member_count(p));
	struct mtime ours = igmp_last_member_time(p);

	return mtime_before(ours, theirs) ? theirs : ours;
}

static void lower_group(struct igmp *e, struct igmp_group *g, struct mtime until)
{
	g->expires = mtime_min(g->expires, until);
	igmp_due(e, g, g->expires);
}

static void lower_sources(struct igmp *e, struct igmp_group *g, struct mtime now, struct rd sources,
			  struct mtime until)
{
	while (rd_left(&sources)) {
		struct igmp_source *s = igmp_source_find(e, g, rd_ip4(&sources));

		if (!s || !igmp_is_running(s, now))
			continue;
		s->expires = mtime_min(s->expires, until);
		igmp_due(e, g, s->expires);
	}
}

/* §6.6.1: whoever hears the question goes by it, unless the S flag says that it need not. */
static void specific(struct igmp *e, struct igmp_port *p, struct mtime now,
		     const struct igmp_query *q)
{
	struct igmp_group *g = igmp_group_find(e, p->index, q->group);
	struct mtime until = mtime_add(now, lowered(p, q));

	if (!g || q->suppress)
		return;
	if (q->n_sources)
		lower_sources(e, g, now, q->sources, until);
	else if (g->is_exclude)
		lower_group(e, g, until);
}

enum igmp_drop igmp_query_input(struct igmp *e, struct igmp_port *p, struct mtime now,
				const struct igmp_rx *rx, const struct igmp_query *q,
				struct actions *out)
{
	bool is_general = !q->group.net;

	if (rx->source.net && (!ip4_is_unicast(rx->source) || !igmp_is_local(p, rx->source)))
		return IGMP_DROP_SOURCE;
	if (!is_general && !ip4_is_multicast(q->group))
		return IGMP_DROP_GROUP;
	IGMP_COUNT(e, p, queries);
	if (is_general)
		general(e, p, now, rx->source, q, out);
	else if (p->is_active)
		specific(e, p, now, q);
	return IGMP_ACCEPTED;
}
