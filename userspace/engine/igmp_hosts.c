/* SPDX-License-Identifier: MIT */
/*
 * Explicit tracking: which host has asked for which source, or for any. It tells an operator who
 * watches, and that a leave was the last, so that nobody needs to be asked. A host counts for any
 * source as soon as it excludes only some. When not all hosts can be known (older hosts keep quiet
 * when another one reports; a report from 0.0.0.0 may be for many; the table is full), there is no
 * last one for as long as a membership lives.
 */
#include "engine/igmp_impl.h"

bool igmp_tracks(const struct igmp_port *p)
{
	return p->cfg.track_hosts || p->cfg.fast_leave;
}

static struct igmp_host *host_at(struct igmp_group *g, struct list *link)
{
	return link == &g->hosts ? NULL : list_item(link, struct igmp_host, link);
}

static struct igmp_host *host_find(struct igmp_group *g, struct ip4 host, struct ip4 source)
{
	for (struct igmp_host *h = host_at(g, g->hosts.next); h; h = host_at(g, h->link.next))
		if (ip4_equal(h->host, host) && ip4_equal(h->source, source))
			return h;
	return NULL;
}

static void host_free(struct igmp *e, struct igmp_group *g, struct igmp_host *h)
{
	list_del(&h->link);
	g->n_hosts--;
	pool_put(&e->hosts, h);
}

static struct igmp_host *host_new(struct igmp *e, const struct igmp_report *report,
				  struct igmp_group *g, struct ip4 source)
{
	struct igmp_host *h = NULL;

	if (g->n_hosts < report->port->cfg.max_hosts)
		h = pool_get(&e->hosts);
	if (!h) {
		IGMP_COUNT(e, report->port, hosts_refused);
		return NULL;
	}
	h->host = report->host;
	h->source = source;
	list_add(&g->hosts, &h->link);
	g->n_hosts++;
	return h;
}

static void host_seen(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		      struct ip4 source)
{
	struct mtime until = mtime_add(report->now, igmp_membership(e, report->port));
	struct igmp_host *h = NULL;

	if (report->host.net)
		h = host_find(g, report->host, source);
	if (!h && report->host.net)
		h = host_new(e, report, g, source);
	if (h)
		h->expires = until;
	else
		g->untracked_until = until;
}

static void host_left(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		      struct ip4 source)
{
	struct igmp_host *h = host_find(g, report->host, source);

	if (h)
		host_free(e, g, h);
}

static void host_left_all(struct igmp *e, struct igmp_group *g, struct ip4 host)
{
	for (struct igmp_host *h = host_at(g, g->hosts.next), *next; h; h = next) {
		next = host_at(g, h->link.next);
		if (ip4_equal(h->host, host))
			host_free(e, g, h);
	}
}

static void each_source(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
			struct rd sources,
			void (*then)(struct igmp *, const struct igmp_report *, struct igmp_group *,
				     struct ip4))
{
	while (rd_left(&sources)) {
		struct ip4 source = rd_ip4(&sources);

		if (igmp_permits(report->port, (struct sg){ source, g->addr }))
			then(e, report, g, source);
	}
}

/* A long list may come in several records, so that only an empty one says that nothing is left. */
void igmp_hosts_input(struct igmp *e, const struct igmp_report *report, struct igmp_group *g,
		      const struct igmp_record *record)
{
	const struct ip4 any = { 0 };

	switch ((enum igmp_record_type)record->type) {
	case IGMP_IS_EX:
	case IGMP_TO_EX:
		host_left_all(e, g, report->host);
		host_seen(e, report, g, any);
		break;
	case IGMP_IS_IN:
	case IGMP_TO_IN:
		host_left(e, report, g, any);
		if (!record->n_sources)
			host_left_all(e, g, report->host);
		each_source(e, report, g, record->sources, host_seen);
		break;
	case IGMP_ALLOW:
		each_source(e, report, g, record->sources, host_seen);
		break;
	case IGMP_BLOCK:
		each_source(e, report, g, record->sources, host_left);
		break;
	}
}

static bool is_known(const struct igmp_report *report, const struct igmp_group *g)
{
	return report->now.us >= report->port->tracked_from.us &&
	       report->now.us >= g->untracked_until.us && !igmp_had_older(report, g);
}

/* Has nobody else asked for this source (0: for any)? The reporter's own wish has been removed. */
bool igmp_was_last(const struct igmp_report *report, struct igmp_group *g, struct ip4 source)
{
	if (!report->port->cfg.fast_leave || !is_known(report, g))
		return false;
	for (struct igmp_host *h = host_at(g, g->hosts.next); h; h = host_at(g, h->link.next)) {
		if (h->expires.us > report->now.us &&
		    (!h->source.net || ip4_equal(h->source, source)))
			return false;
	}
	return true;
}

void igmp_hosts_expire(struct igmp *e, struct igmp_group *g, struct mtime now)
{
	for (struct igmp_host *h = host_at(g, g->hosts.next), *next; h; h = next) {
		next = host_at(g, h->link.next);
		if (h->expires.us <= now.us)
			host_free(e, g, h);
	}
}

void igmp_hosts_clear(struct igmp *e, struct igmp_group *g)
{
	igmp_hosts_expire(e, g, MTIME_NEVER);
}
