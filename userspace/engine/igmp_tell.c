/* SPDX-License-Identifier: MIT */
/*
 * From state to actions: what the world should have been told of a group and its sources is held
 * against what it has been told, and the difference goes into the list. So nothing depends on which
 * event changed the state, and what does not fit is said the next time.
 */
#include "engine/igmp_impl.h"

#define ACTIONS_EACH 6 /* at most, for one group or source */

/* Forwarded to this port, if anybody there wants it? */
static bool is_forwarder(const struct igmp_port *p)
{
	return p->is_active && (!p->cfg.is_proxied || p->is_querier);
}

static uint8_t wanted_as(const struct igmp_port *p, uint8_t want, uint8_t merged)
{
	uint8_t told = is_forwarder(p) ? want : 0;

	if (p->cfg.is_proxied)
		told |= merged;
	return told;
}

static bool wants_any(const struct igmp_port *p, const struct igmp_group *g)
{
	return p->is_active && (g->is_exclude || g->how);
}

/* An interface that comes back may be another one: then it is joined there anew. */
static uint8_t joined_as(const struct igmp_port *p, uint8_t how)
{
	bool is_host = p->cfg.mode != IGMP_OFF && p->link.is_up;

	return how & IGMP_JOINED && is_host ? TOLD_JOINED : 0;
}

static uint8_t told_of_any(const struct igmp_port *p, const struct igmp_group *g)
{
	uint8_t told = joined_as(p, g->how);

	if (wants_any(p, g))
		told |= TOLD_MEMBER | wanted_as(p, TOLD_WANT, TOLD_MERGED);
	return told;
}

/* Beside a wish for any source only exceptions need to be said. */
static uint8_t told_of_source(const struct igmp_port *p, const struct igmp_group *g,
			      const struct igmp_source *s, struct mtime now)
{
	bool is_wanted = !s->is_gone && (igmp_is_running(s, now) || s->how);
	uint8_t told = joined_as(p, s->how);

	if (!p->is_active)
		return told;
	if (!wants_any(p, g)) {
		if (is_wanted)
			told |= TOLD_MEMBER | wanted_as(p, TOLD_WANT, TOLD_MERGED);
	} else if (g->is_exclude && !g->how && !is_wanted && !s->is_gone) {
		told |= wanted_as(p, TOLD_WANT_NOT, TOLD_MERGED_NOT);
	}
	return told;
}

static void say(struct igmp *e, const struct igmp_port *p, struct sg sg, enum told bit, bool is_on,
		struct ip4 reporter, struct actions *out)
{
	enum act_kind want = is_on ? ACT_WANT : ACT_UNWANT;

	switch (bit) {
	case TOLD_WANT:
		actions_member(out, want, p->index, sg, WANT_INCLUDE);
		break;
	case TOLD_WANT_NOT:
		actions_member(out, want, p->index, sg, WANT_EXCLUDE);
		break;
	case TOLD_MEMBER:
		actions_event(
			out, p->index,
			(struct act_event){ .kind = is_on ? EVENT_IGMP_JOIN : EVENT_IGMP_LEAVE,
					    .sg = sg,
					    .peer = reporter });
		break;
	case TOLD_JOINED:
		actions_member(out, is_on ? ACT_JOIN : ACT_LEAVE, p->index, sg, WANT_INCLUDE);
		break;
	case TOLD_MERGED:
		igmp_merge(e, sg, WANT_INCLUDE, is_on);
		break;
	case TOLD_MERGED_NOT:
		igmp_merge(e, sg, WANT_EXCLUDE, is_on);
		break;
	}
}

/* False when the list is too full; then nothing has been said. */
static bool differ(struct igmp *e, const struct igmp_group *g, struct sg sg, uint8_t *told,
		   uint8_t should, struct actions *out)
{
	uint8_t changed = *told ^ should;

	if (!changed)
		return true;
	if (!actions_fit(out, ACTIONS_EACH, 0))
		return false;
	if (changed & (TOLD_MERGED | TOLD_MERGED_NOT) && !igmp_merge_fits(e))
		return false;
	for (unsigned bit = TOLD_WANT; bit <= TOLD_MERGED_NOT; bit <<= 1)
		if (changed & bit)
			say(e, igmp_port_of(e, g), sg, (enum told)bit, should & bit,
			    g->last_reporter, out);
	*told = should;
	return true;
}

static bool tell_any(struct igmp *e, struct igmp_group *g, struct actions *out)
{
	return differ(e, g, (struct sg){ .group = g->addr }, &g->told,
		      told_of_any(igmp_port_of(e, g), g), out);
}

static bool tell_sources(struct igmp *e, struct igmp_group *g, struct mtime now,
			 struct actions *out)
{
	const struct igmp_port *p = igmp_port_of(e, g);

	igmp_for_each_source(s, g)
	{
		if (!differ(e, g, (struct sg){ s->addr, g->addr }, &s->told,
			    told_of_source(p, g, s, now), out))
			return false;
		if (s->is_gone)
			igmp_source_free(e, s);
	}
	return true;
}

/*
 * Sends what is due and says what is new; false when the list is full. A wish for any source comes
 * before those for single ones go, and goes after they have come: traffic never stops in between.
 */
bool igmp_tell(struct igmp *e, struct igmp_group *g, struct mtime now, struct actions *out)
{
	if (g->is_querying && g->query_at.us <= now.us && !igmp_ask_round(e, g, now, out))
		return false;
	if (wants_any(igmp_port_of(e, g), g) && !tell_any(e, g, out))
		return false;
	if (!tell_sources(e, g, now, out) || !tell_any(e, g, out))
		return false;
	list_del(&g->dirty);
	if (igmp_group_is_empty(g))
		igmp_group_free(e, g);
	return true;
}

static void forget_told(struct igmp *e, struct igmp_group *g)
{
	const uint8_t wishes = TOLD_WANT | TOLD_WANT_NOT;

	g->told &= (uint8_t)~wishes;
	igmp_for_each_source(s, g)
	{
		s->told &= (uint8_t)~wishes;
	}
	igmp_touch(e, g);
}

void igmp_retell(struct igmp *e)
{
	for (uint32_t i = 0; i < e->cfg.max_ports; i++) {
		struct list *groups = &e->ports[i].groups;

		for (struct list *at = groups->next; e->ports[i].is_set && at != groups;
		     at = at->next)
			forget_told(e, list_item(at, struct igmp_group, link));
	}
}
