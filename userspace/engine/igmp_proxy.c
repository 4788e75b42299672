/* SPDX-License-Identifier: MIT */
/*
 * What all proxied ports together want is joined on the upstream port (RFC 4605 §4.1): any source
 * but those that everybody excludes, when somebody wants any; else the sources that somebody wants.
 * The kernel is the host there; it answers queries and repeats reports.
 */
#include "engine/igmp_impl.h"

static struct igmp_merged *merged_find(const struct igmp *e, struct sg sg)
{
	uint32_t key = hash_key(&e->merged_table, sg.source.net, sg.group.net, 0);

	for (struct hash_node *n = hash_first(&e->merged_table, key); n; n = hash_next(n)) {
		struct igmp_merged *m = list_item(n, struct igmp_merged, node);

		if (sg_equal(m->sg, sg))
			return m;
	}
	return NULL;
}

/* Those that are to be left still take room: then what comes next waits until that is said. */
bool igmp_merge_fits(const struct igmp *e)
{
	return e->merged.capacity - e->merged.used >= 2;
}

static struct igmp_merged *merged_get(struct igmp *e, struct sg sg)
{
	struct igmp_merged *m = merged_find(e, sg);

	if (m)
		return m;
	m = pool_get(&e->merged);
	m->sg = sg;
	list_init(&m->link);
	list_init(&m->sources);
	list_init(&m->dirty);
	hash_add(&e->merged_table, &m->node,
		 hash_key(&e->merged_table, sg.source.net, sg.group.net, 0));
	return m;
}

static void touch(struct igmp *e, struct igmp_merged *group)
{
	if (list_empty(&group->dirty))
		list_add(&e->merged_dirty, &group->dirty);
}

/* One port more, or less, wants this or excludes it. There must be room for two more. */
void igmp_merge(struct igmp *e, struct sg sg, enum want_mode mode, bool is_more)
{
	const struct sg any = { .group = sg.group };
	struct igmp_merged *group = merged_get(e, any);
	struct igmp_merged *m = sg.source.net ? merged_get(e, sg) : group;
	uint32_t *count;

	if (m != group && list_empty(&m->link))
		list_add(&group->sources, &m->link);
	count = mode == WANT_INCLUDE ? &m->n_include : &m->n_exclude;
	*count = is_more ? *count + 1 : *count - 1;
	touch(e, group);
}

/* Nothing is joined on a link that is down: what comes back may be another interface. */
static uint32_t upstream_of(const struct igmp *e)
{
	return e->upstream != IGMP_NO_PORT && e->ports[e->upstream].link.is_up ? e->upstream
									       : IGMP_NO_PORT;
}

static uint8_t should_be_told(const struct igmp *e, const struct igmp_merged *group,
			      const struct igmp_merged *m)
{
	if (upstream_of(e) == IGMP_NO_PORT)
		return 0;
	if (m == group || !group->n_include)
		return m->n_include ? TOLD_WANT : 0;
	return !m->n_include && m->n_exclude == group->n_include ? TOLD_WANT_NOT : 0;
}

/* False when the list is too full. */
static bool differ(const struct igmp *e, struct igmp_merged *m, uint8_t should, struct actions *out)
{
	enum want_mode was = m->told & TOLD_WANT ? WANT_INCLUDE : WANT_EXCLUDE;
	enum want_mode mode = should & TOLD_WANT ? WANT_INCLUDE : WANT_EXCLUDE;

	if (m->told == should && (!should || m->port == e->upstream))
		return true;
	if (!actions_fit(out, 2, 0))
		return false;
	if (m->told)
		actions_member(out, ACT_LEAVE, m->port, m->sg, was);
	if (should)
		actions_member(out, ACT_JOIN, e->upstream, m->sg, mode);
	m->told = should;
	m->port = e->upstream;
	return true;
}

static void merged_free(struct igmp *e, struct igmp_merged *m)
{
	list_del(&m->link);
	list_del(&m->dirty);
	hash_del(&e->merged_table, &m->node);
	pool_put(&e->merged, m);
}

static bool tell_sources(struct igmp *e, struct igmp_merged *group, struct actions *out)
{
	for (struct list *link = group->sources.next, *next; link != &group->sources; link = next) {
		struct igmp_merged *m = list_item(link, struct igmp_merged, link);

		next = link->next;
		if (!differ(e, m, should_be_told(e, group, m), out))
			return false;
		if (!m->n_include && !m->n_exclude)
			merged_free(e, m);
	}
	return true;
}

/* Any source is joined before single ones are left, and left after they have been joined. */
static bool tell(struct igmp *e, struct igmp_merged *group, struct actions *out)
{
	uint8_t should = should_be_told(e, group, group);

	if (should && !differ(e, group, should, out))
		return false;
	if (!tell_sources(e, group, out) || !differ(e, group, should, out))
		return false;
	list_del(&group->dirty);
	if (!group->n_include && list_empty(&group->sources))
		merged_free(e, group);
	return true;
}

void igmp_merged_tell(struct igmp *e, struct actions *out)
{
	while (!list_empty(&e->merged_dirty))
		if (!tell(e, list_item(e->merged_dirty.next, struct igmp_merged, dirty), out))
			return;
}

/* They are to be joined on another port, or anew. */
void igmp_merged_move(struct igmp *e)
{
	for (uint32_t i = 0; i <= e->merged_table.mask; i++)
		for (struct hash_node *n = e->merged_table.buckets[i]; n; n = n->next) {
			struct igmp_merged *m = list_item(n, struct igmp_merged, node);

			if (!m->sg.source.net)
				touch(e, m);
		}
}
