/* SPDX-License-Identifier: MIT */
/*
 * What a report changes: the table of RFC 9776 §6.4. A group is INCLUDE(A), or EXCLUDE(X, Y) where
 * the sources with a running timer are X and those without are Y. Reports and leaves of older hosts
 * are records without sources (§7.3.2).
 */
#include "engine/igmp_impl.h"

/* The next source of a record that may be joined. */
static bool next_source(const struct igmp_report *report, struct ip4 group, struct rd *sources,
			struct ip4 *out)
{
	while (rd_left(sources)) {
		*out = rd_ip4(sources);
		if (igmp_permits(report->port, (struct sg){ *out, group }))
			return true;
	}
	return false;
}

static void set_expires(struct igmp *e, struct igmp_source *s, struct mtime now, struct mtime until)
{
	if (igmp_is_running(s, now) != (until.us > now.us))
		igmp_touch(e, s->group);
	s->expires = until;
	if (until.us > now.us)
		igmp_due(e, s->group, until);
}

static void set_exclude(struct igmp *e, const struct igmp_report *report, struct igmp_group *g)
{
	if (!g->is_exclude)
		igmp_touch(e, g);
	g->is_exclude = true;
	g->expires = mtime_add(report->now, igmp_membership(e, report->port));
	igmp_due(e, g, g->expires);
}

/* A source of a group; NULL when there is no room for one more, which is counted. */
static struct igmp_source *get_source(struct igmp *e, const struct igmp_report *report,
				      struct igmp_group *g, struct ip4 source, struct actions *out)
{
	struct igmp_source *s = igmp_source_get(e, g, source);

	if (s)
		return s;
	IGMP_COUNT(e, report->port, sources_refused);
	igmp_limit_event(report->port, report->now, (struct sg){ source, g->addr },
			 report->port->cfg.max_sources, out);
	return NULL;
}

/* Somebody wants a source that cannot be kept: then any is let through, where that may be. */
static void take_any(struct igmp *e, const struct igmp_report *report, struct igmp_group *g)
{
	if (!igmp_is_ssm(e, g->addr) && igmp_permits(report->port, (struct sg){ .group = g->addr }))
		set_exclude(e, report, g);
}

static void clear_marks(struct igmp_group *g)
{
	igmp_for_each_source(s, g) s->is_marked = false;
}

/* TO_IN: what is not in the list any more, and in exclude mode the group, is asked for. */
static void ask_rest(struct igmp *e, const struct igmp_report *report, struct igmp_group *g)
{
	bool was_exclude = g->is_exclude;

	igmp_for_each_source(s, g) if (!s->is_marked && igmp_is_running(s, report->now))
		igmp_ask_source(e, report, s);
	if (was_exclude)
		igmp_ask_group(e, report, g);
}

/* IS_IN, TO_IN, ALLOW: the same in both modes. */
static void do_include(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		       const struct igmp_record *record, struct actions *out)
{
	struct mtime until = mtime_add(report->now, igmp_membership(e, report->port));
	struct rd sources = record->sources;
	struct ip4 source;

	while (next_source(report, g->addr, &sources, &source)) {
		struct igmp_source *s = get_source(e, report, g, source, out);

		if (s) {
			set_expires(e, s, report->now, until);
			s->is_marked = true;
		} else {
			take_any(e, report, g);
		}
	}
	if (record->type == IGMP_TO_IN)
		ask_rest(e, report, g);
	clear_marks(g);
}

/* In exclude mode a source that was not listed was wanted, for as long as the group is. */
static void do_block(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		     const struct igmp_record *record, struct actions *out)
{
	struct rd sources = record->sources;

	while (rd_left(&sources)) {
		struct ip4 source = rd_ip4(&sources);
		struct igmp_source *s = igmp_source_find(e, g, source);

		if (!s && g->is_exclude) {
			s = get_source(e, report, g, source, out);
			if (s)
				set_expires(e, s, report->now, g->expires);
		}
		if (s && igmp_is_running(s, report->now))
			igmp_ask_source(e, report, s);
	}
}

/* The timer of a source that is excluded and was not known: §6.4.1 and §6.4.2. */
static struct mtime excluded_until(struct igmp *e, const struct igmp_report *report,
				   const struct igmp_group *g, bool is_change)
{
	if (!g->is_exclude)
		return (struct mtime){ 0 };
	if (is_change)
		return g->expires;
	return mtime_add(report->now, igmp_membership(e, report->port));
}

/* IS_EX, TO_EX: what is not in the list is forgotten; what was wanted until now is asked for. */
static void do_exclude(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		       const struct igmp_record *record, struct actions *out)
{
	bool is_change = record->type == IGMP_TO_EX;
	struct mtime until = excluded_until(e, report, g, is_change);
	struct rd sources = record->sources;

	while (rd_left(&sources)) {
		struct ip4 source = rd_ip4(&sources);
		struct igmp_source *s = igmp_source_find(e, g, source);

		if (!s) {
			s = get_source(e, report, g, source, out);
			if (s)
				set_expires(e, s, report->now, until);
		}
		if (s)
			s->is_marked = true;
	}
	igmp_for_each_source(s, g)
	{
		if (!s->is_marked)
			igmp_source_drop(e, s);
		else if (is_change && igmp_is_running(s, report->now))
			igmp_ask_source(e, report, s);
		s->is_marked = false;
	}
	set_exclude(e, report, g);
}

/* The version of the oldest host (§7.3.2). */
uint8_t igmp_group_version(const struct igmp_group *g, struct mtime now)
{
	if (now.us < g->v1_until.us)
		return 1;
	return now.us < g->v2_until.us ? 2 : 3;
}

/* May a host of an older version still be there, or one that kept quiet because of it? */
bool igmp_had_older(const struct igmp_report *report, const struct igmp_group *g)
{
	int64_t until = g->v1_until.us > g->v2_until.us ? g->v1_until.us : g->v2_until.us;

	return until && report->now.us < until + report->port->cfg.query_response.us;
}

/* What an older host could not hear: nothing it wants may be taken from it. */
static bool adapt(const struct igmp_report *report, const struct igmp_group *g,
		  struct igmp_record *record)
{
	if (igmp_group_version(g, report->now) == 1 && record->type == IGMP_TO_IN)
		return false;
	if (!igmp_had_older(report, g))
		return true;
	if (record->type == IGMP_TO_EX)
		record->sources.at = record->sources.end;
	return record->type != IGMP_BLOCK;
}

static void apply(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		  const struct igmp_record *record, struct actions *out)
{
	if (igmp_tracks(report->port))
		igmp_hosts_input(e, report, g, record);
	switch ((enum igmp_record_type)record->type) {
	case IGMP_IS_IN:
	case IGMP_TO_IN:
	case IGMP_ALLOW:
		do_include(e, report, g, record, out);
		break;
	case IGMP_IS_EX:
	case IGMP_TO_EX:
		do_exclude(e, report, g, record, out);
		break;
	case IGMP_BLOCK:
		do_block(e, report, g, record, out);
		break;
	}
}

static bool is_exclude_type(uint8_t type)
{
	return type == IGMP_IS_EX || type == IGMP_TO_EX;
}

/* Does it ask for anything that may not be had, and for nothing else? */
static bool is_filtered(struct igmp *e, const struct igmp_report *report,
			const struct igmp_record *record)
{
	struct rd sources = record->sources;
	unsigned permitted = 0, filtered;
	struct ip4 source;

	if (!report->port->cfg.n_access || record->type == IGMP_BLOCK)
		return false;
	if (is_exclude_type(record->type))
		return !igmp_permits(report->port, (struct sg){ .group = record->group });
	while (next_source(report, record->group, &sources, &source))
		permitted++;
	filtered = record->n_sources - permitted;
	e->stats.sources_filtered += filtered;
	report->port->stats.sources_filtered += filtered;
	return filtered && !permitted && record->type != IGMP_TO_IN;
}

static enum igmp_drop judge(struct igmp *e, const struct igmp_report *report,
			    const struct igmp_record *record)
{
	bool is_any = is_exclude_type(record->type) || report->version < 3;

	if (record->type < IGMP_IS_IN || record->type > IGMP_BLOCK)
		return IGMP_DROP_TYPE;
	if (!ip4_is_multicast(record->group) || ip4_is_linklocal_group(record->group))
		return IGMP_DROP_GROUP;
	if (is_any && igmp_is_ssm(e, record->group))
		return IGMP_DROP_SSM;
	return is_filtered(e, report, record) ? IGMP_DROP_FILTERED : IGMP_ACCEPTED;
}

/* What says that somebody wants something makes a group; the rest has none to change. */
static bool makes_group(const struct igmp_report *report, const struct igmp_record *record)
{
	struct rd sources = record->sources;
	struct ip4 source;

	if (is_exclude_type(record->type))
		return true;
	return record->type != IGMP_BLOCK && next_source(report, record->group, &sources, &source);
}

static struct igmp_group *make_group(struct igmp *e, const struct igmp_report *report,
				     struct ip4 group, struct actions *out)
{
	struct igmp_port *p = report->port;
	struct igmp_group *g = NULL;

	if (p->n_groups < p->cfg.max_groups)
		g = igmp_group_new(e, report->now, p->index, group);
	if (!g)
		igmp_limit_event(p, report->now, (struct sg){ .group = group }, p->cfg.max_groups,
				 out);
	return g;
}

static void note_host(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		      const struct igmp_record *record)
{
	struct mtime until = mtime_add(report->now, igmp_older_host(report->port));

	if (makes_group(report, record))
		g->last_reporter = report->host;
	if (!is_exclude_type(record->type))
		return;
	if (report->version == 1)
		g->v1_until = until;
	if (report->version == 2)
		g->v2_until = until;
}

enum igmp_drop igmp_report_input(struct igmp *e, const struct igmp_report *report,
				 const struct igmp_record *record, struct actions *out)
{
	enum igmp_drop drop = judge(e, report, record);
	struct igmp_record adapted = *record;
	struct igmp_group *g;

	if (drop != IGMP_ACCEPTED)
		return drop;
	g = igmp_group_find(e, report->port->index, record->group);
	if (!g && !makes_group(report, record))
		return IGMP_ACCEPTED;
	if (!g)
		g = make_group(e, report, record->group, out);
	if (!g)
		return IGMP_DROP_CAP_GROUPS;
	if (g->timer.at && g->timer.due.us <= report->now.us)
		igmp_group_run(e, g, report->now);
	note_host(e, report, g, record);
	if (!adapt(report, g, &adapted))
		return IGMP_DROP_VERSION;
	apply(e, report, g, &adapted, out);
	if (igmp_group_is_empty(g) || (g->timer.at && g->timer.due.us <= report->now.us))
		igmp_group_run(e, g, report->now);
	return IGMP_ACCEPTED;
}
