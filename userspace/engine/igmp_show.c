/* SPDX-License-Identifier: MIT */
/* The engine's state for whoever wants to look: copies, nothing that could be changed. */
#include "engine/igmp_impl.h"

bool igmp_port_show(const struct igmp *e, uint32_t port, struct mtime now,
		    struct igmp_port_view *out)
{
	const struct igmp_port *p;

	if (port >= e->cfg.max_ports || !e->ports[port].is_set)
		return false;
	p = &e->ports[port];
	*out = (struct igmp_port_view){
		.config = p->cfg,
		.link = p->link,
		.is_querier = p->is_querier,
		.querier = p->querier,
		.expires = p->querier_until,
		.version = igmp_version(p, now),
		.robustness = igmp_robustness(p),
		.query_interval = igmp_query_interval(p),
		.membership = igmp_membership(e, p),
		.groups = p->n_groups,
		.groups_peak = p->groups_peak,
		.stats = p->stats,
	};
	return true;
}

/* The link behind the one that the cursor is at; NULL at the end of the list. */
static const struct list *step(const struct list *head, const void **at)
{
	const struct list *link = *at ? ((const struct list *)*at)->next : head->next;

	*at = link;
	return link == head ? NULL : link;
}

static void group_view(const struct igmp_group *g, uint32_t port, struct mtime now,
		       struct igmp_group_view *out)
{
	*out = (struct igmp_group_view){
		.port = port,
		.group = g->addr,
		.last_reporter = g->last_reporter,
		.is_exclude = g->is_exclude,
		.is_static = g->how,
		.version = igmp_group_version(g, now),
		.n_sources = g->n_sources,
		.n_hosts = g->n_hosts,
		.since = g->since,
		.expires = g->is_exclude ? g->expires : MTIME_NEVER,
	};
}

bool igmp_group_show(const struct igmp *e, uint32_t port, struct mtime now, struct igmp_cursor *c,
		     struct igmp_group_view *out)
{
	const struct list *link = NULL;

	if (port < e->cfg.max_ports)
		link = step(&e->ports[port].groups, &c->at);
	if (link)
		group_view(list_item_const(link, struct igmp_group, link), port, now, out);
	return link;
}

bool igmp_group_look(const struct igmp *e, uint32_t port, struct ip4 group, struct mtime now,
		     struct igmp_cursor *c, struct igmp_group_view *out)
{
	const struct igmp_group *g = igmp_group_find(e, port, group);

	if (!g)
		return false;
	c->at = &g->link;
	group_view(g, port, now, out);
	return true;
}

static const struct igmp_group *group_at(const struct igmp_cursor *c)
{
	return list_item_const(c->at, struct igmp_group, link);
}

bool igmp_source_show(const struct igmp_cursor *c_group, struct mtime now, struct igmp_cursor *c,
		      struct igmp_source_view *out)
{
	const struct igmp_group *g = group_at(c_group);
	const struct igmp_source *s;
	const struct list *link;

	do {
		link = step(&g->sources, &c->at);
		if (!link)
			return false;
		s = list_item_const(link, struct igmp_source, link);
	} while (s->is_gone);
	*out = (struct igmp_source_view){
		.source = s->addr,
		.is_forwarded = igmp_is_running(s, now) || s->how || g->how,
		.is_static = s->how,
		.expires = igmp_is_running(s, now) ? s->expires : MTIME_NEVER,
	};
	return true;
}

bool igmp_host_show(const struct igmp_cursor *c_group, struct igmp_cursor *c,
		    struct igmp_host_view *out)
{
	const struct list *link = step(&group_at(c_group)->hosts, &c->at);
	const struct igmp_host *h;

	if (!link)
		return false;
	h = list_item_const(link, struct igmp_host, link);
	*out = (struct igmp_host_view){
		.host = h->host,
		.source = h->source,
		.expires = h->expires,
	};
	return true;
}

const struct igmp_stats *igmp_stats(const struct igmp *e)
{
	return &e->stats;
}

static struct igmp_usage usage_of(const struct pool *p)
{
	return (struct igmp_usage){ p->capacity, p->used, p->peak, p->refused };
}

struct igmp_usages igmp_usage(const struct igmp *e)
{
	return (struct igmp_usages){
		.groups = usage_of(&e->groups),
		.sources = usage_of(&e->sources),
		.hosts = usage_of(&e->hosts),
		.bytes = e->bytes,
	};
}
