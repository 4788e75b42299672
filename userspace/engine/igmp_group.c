/* SPDX-License-Identifier: MIT */
/* Groups and sources: where they are kept, and what time does to them. */
#include "engine/igmp_impl.h"

struct igmp_group *igmp_group_find(const struct igmp *e, uint32_t port, struct ip4 addr)
{
	uint32_t key = hash_key(&e->group_table, port, addr.net, 0);

	for (struct hash_node *n = hash_first(&e->group_table, key); n; n = hash_next(n)) {
		struct igmp_group *g = list_item(n, struct igmp_group, node);

		if (g->port == port && ip4_equal(g->addr, addr))
			return g;
	}
	return NULL;
}

struct igmp_group *igmp_group_new(struct igmp *e, struct mtime now, uint32_t port, struct ip4 addr)
{
	struct igmp_port *p = &e->ports[port];
	struct igmp_group *g = pool_get(&e->groups);

	if (!g)
		return NULL;
	g->port = port;
	g->addr = addr;
	g->since = now;
	list_init(&g->dirty);
	list_init(&g->sources);
	list_init(&g->hosts);
	list_add(&p->groups, &g->link);
	hash_add(&e->group_table, &g->node, hash_key(&e->group_table, port, addr.net, 0));
	if (++p->n_groups > p->groups_peak)
		p->groups_peak = p->n_groups;
	return g;
}

/* Nothing is left of it, and nobody was told anything that has not been taken back. */
void igmp_group_free(struct igmp *e, struct igmp_group *g)
{
	struct igmp_port *p = igmp_port_of(e, g);

	igmp_ask_end(e, g);
	igmp_hosts_clear(e, g);
	heap_set(&e->group_timers, &g->timer, MTIME_NEVER);
	list_del(&g->dirty);
	list_del(&g->link);
	hash_del(&e->group_table, &g->node);
	p->n_groups--;
	pool_put(&e->groups, g);
}

bool igmp_group_is_empty(const struct igmp_group *g)
{
	return !g->is_exclude && !g->how && !g->n_sources;
}

/* Its group has something to say, in this call or in a later one. */
void igmp_touch(struct igmp *e, struct igmp_group *g)
{
	if (list_empty(&g->dirty))
		list_add(&e->dirty, &g->dirty);
}

/* Something in it is due then. A timer that is set too early is set again when it fires. */
void igmp_due(struct igmp *e, struct igmp_group *g, struct mtime at)
{
	if (!g->timer.at || mtime_before(at, g->timer.due))
		heap_set(&e->group_timers, &g->timer, at);
}

static uint32_t source_key(const struct igmp *e, const struct igmp_group *g, struct ip4 addr)
{
	return hash_key(&e->source_table, g->port, g->addr.net, addr.net);
}

/* Those too that wait to be taken back. */
static struct igmp_source *find_any(const struct igmp *e, const struct igmp_group *g,
				    struct ip4 addr)
{
	struct hash_node *n = hash_first(&e->source_table, source_key(e, g, addr));

	for (; n; n = hash_next(n)) {
		struct igmp_source *s = list_item(n, struct igmp_source, node);

		if (s->group == g && ip4_equal(s->addr, addr))
			return s;
	}
	return NULL;
}

struct igmp_source *igmp_source_find(const struct igmp *e, const struct igmp_group *g,
				     struct ip4 addr)
{
	struct igmp_source *s = find_any(e, g, addr);

	return s && !s->is_gone ? s : NULL;
}

/* One that there is, one that was about to go, or a new one; NULL when there is no room. */
struct igmp_source *igmp_source_get(struct igmp *e, struct igmp_group *g, struct ip4 addr)
{
	struct igmp_source *s = find_any(e, g, addr);

	if (s && !s->is_gone)
		return s;
	if (g->n_sources >= igmp_port_of(e, g)->cfg.max_sources)
		return NULL;
	if (!s) {
		s = pool_get(&e->sources);
		if (!s)
			return NULL;
		s->group = g;
		s->addr = addr;
		list_add(&g->sources, &s->link);
		hash_add(&e->source_table, &s->node, source_key(e, g, addr));
	}
	s->is_gone = false;
	g->n_sources++;
	igmp_touch(e, g);
	return s;
}

/* Nobody wants or excludes it any more. What is so without a report stays. */
void igmp_source_drop(struct igmp *e, struct igmp_source *s)
{
	struct igmp_group *g = s->group;

	s->expires = (struct mtime){ 0 };
	s->queries_left = 0;
	s->is_pending = false;
	igmp_touch(e, g);
	if (s->how || s->is_gone)
		return;
	s->is_gone = true;
	g->n_sources--;
}

void igmp_source_free(struct igmp *e, struct igmp_source *s)
{
	list_del(&s->link);
	hash_del(&e->source_table, &s->node);
	pool_put(&e->sources, s);
}

void igmp_group_clear(struct igmp *e, struct igmp_group *g)
{
	igmp_ask_end(e, g);
	igmp_hosts_clear(e, g);
	g->is_exclude = false;
	g->expires = g->v1_until = g->v2_until = g->untracked_until = (struct mtime){ 0 };
	igmp_for_each_source(s, g) igmp_source_drop(e, s);
	heap_set(&e->group_timers, &g->timer, MTIME_NEVER);
	igmp_touch(e, g);
}

/* RFC 9776 §6.5: a source whose time is up is gone in include mode, and excluded in exclude mode.
 */
static struct mtime run_sources(struct igmp *e, struct igmp_group *g, struct mtime now)
{
	struct mtime next = MTIME_NEVER;

	igmp_for_each_source(s, g)
	{
		if (igmp_is_running(s, now)) {
			next = mtime_min(next, s->expires);
			continue;
		}
		if (s->expires.us)
			igmp_touch(e, g);
		s->expires = (struct mtime){ 0 };
		if (!g->is_exclude && !s->is_gone)
			igmp_source_drop(e, s);
	}
	return next;
}

/* Does what is due in a group and sets its timer to what comes next. */
void igmp_group_run(struct igmp *e, struct igmp_group *g, struct mtime now)
{
	struct mtime next = MTIME_NEVER;

	if (g->is_exclude && g->expires.us <= now.us) {
		g->is_exclude = false;
		g->expires = (struct mtime){ 0 };
		igmp_touch(e, g);
	}
	if (g->is_exclude)
		next = g->expires;
	next = mtime_min(next, run_sources(e, g, now));
	if (g->is_querying && g->query_at.us <= now.us)
		igmp_touch(e, g);
	else if (g->is_querying)
		next = mtime_min(next, g->query_at);
	igmp_hosts_expire(e, g, now);
	if (igmp_group_is_empty(g))
		igmp_touch(e, g);
	heap_set(&e->group_timers, &g->timer, next);
}
