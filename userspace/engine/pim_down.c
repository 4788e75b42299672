/* SPDX-License-Identifier: MIT */
/* The downstream machines of a branch (RFC 7761 §4.5.1 to §4.5.3). */
#include "engine/pim_impl.h"

static uint8_t kind_of(const struct route *r)
{
	return is_star(r) ? PIM_SPARSE | PIM_WILDCARD | PIM_RPT : PIM_SPARSE;
}

static struct mtime later(struct mtime a, struct mtime b)
{
	return mtime_before(a, b) ? b : a;
}

/* J/P_Override_Interval, or nothing when nobody else is there to override. */
static struct mtime override_interval(const struct pim *e, const struct port *p)
{
	return p->n_neighbors > 1 ? pim_after(e, (int64_t)p->propagation_ms + p->override_ms)
				  : e->now;
}

/* --- (*,G) and (S,G) ---------------------------------------------------------------------- */

static void joined(struct branch *b, struct mtime expires)
{
	b->join_expires = b->join == PIM_DOWN_NOINFO ? expires : later(b->join_expires, expires);
	b->join = PIM_DOWN_JOIN;
	b->prune_due = MTIME_NEVER;
}

static void left(struct branch *b)
{
	b->join = PIM_DOWN_NOINFO;
	b->join_expires = b->prune_due = MTIME_NEVER;
}

static void pruned(struct pim *e, const struct port *p, struct branch *b)
{
	if (b->join != PIM_DOWN_JOIN)
		return;
	if (p->n_neighbors > 1) {
		b->join = PIM_DOWN_PENDING;
		b->prune_due = override_interval(e, p);
	} else {
		left(b);
	}
}

/* Says what it did, in case that the Join that should have overridden it was lost (§4.5.1). */
static void prune_echo(struct pim *e, const struct branch *b)
{
	const struct port *p = &e->ports[b->port];

	if (p->n_neighbors > 1)
		pim_jp_add(e, b->port, p->link.address, b->route->sg, kind_of(b->route), false);
}

/* --- (S,G,rpt) ---------------------------------------------------------------------------- */

static void rpt_clear(struct branch *b)
{
	b->rpt = PIM_PRUNE_NOINFO;
	b->rpt_expires = b->rpt_due = MTIME_NEVER;
}

static void rpt_pruned(struct pim *e, const struct port *p, struct branch *b, struct mtime expires)
{
	switch (b->rpt) {
	case PIM_PRUNE_NOINFO:
		b->rpt = p->n_neighbors > 1 ? PIM_PRUNE_PENDING : PIM_PRUNE_PRUNED;
		b->rpt_due = p->n_neighbors > 1 ? override_interval(e, p) : MTIME_NEVER;
		b->rpt_expires = expires;
		break;
	case PIM_PRUNE_TMP:
		b->rpt = PIM_PRUNE_PRUNED;
		b->rpt_expires = later(b->rpt_expires, expires);
		break;
	case PIM_PRUNE_PENDING_TMP:
		b->rpt = PIM_PRUNE_PENDING;
		b->rpt_expires = later(b->rpt_expires, expires);
		break;
	case PIM_PRUNE_PRUNED:
		b->rpt_expires = later(b->rpt_expires, expires);
		break;
	case PIM_PRUNE_PENDING:
		break;
	}
}

/* A (*,G) Join cancels what is not repeated in the same message. */
static void rpt_star_joined(struct branch *b)
{
	if (b->rpt == PIM_PRUNE_PRUNED)
		b->rpt = PIM_PRUNE_TMP;
	else if (b->rpt == PIM_PRUNE_PENDING)
		b->rpt = PIM_PRUNE_PENDING_TMP;
}

void pim_down_end(struct pim *e, struct port *p, struct ip4 group)
{
	struct route *star = pim_route_get(e, (struct sg){ .group = group });
	struct list *at;

	if (!star)
		return;
	for (at = star->sources.next; at != &star->sources; at = at->next) {
		struct route *r = list_item(at, struct route, sibling);
		struct branch *b = pim_branch_get(r, p->index);

		if (!b || (b->rpt != PIM_PRUNE_TMP && b->rpt != PIM_PRUNE_PENDING_TMP))
			continue;
		rpt_clear(b);
		pim_branch_schedule(e, b);
		pim_dirty(e, r);
	}
}

/* --- entries of a message ----------------------------------------------------------------- */

static bool has_star_join(struct pim *e, struct ip4 group, uint32_t port)
{
	struct route *star = pim_route_get(e, (struct sg){ .group = group });
	const struct branch *b = star ? pim_branch_get(star, port) : NULL;

	return b && b->join != PIM_DOWN_NOINFO;
}

/* The RP that they mean has to be ours for the group, or one that the port lets them mean. */
static bool is_rp_right(const struct pim *e, const struct port *p, struct ip4 group, struct ip4 rp)
{
	return ip4_equal(rp, pim_rp_of(e, group)) ||
	       (p->cfg.allow_rp.n && pim_acl_permits(&p->cfg.allow_rp, rp));
}

/* The branch that a Join makes or a Prune finds; NULL: there is nothing to do. */
static struct branch *branch_for(struct pim *e, struct port *p, struct sg sg, bool may_make)
{
	struct route *r = may_make ? pim_route_make(e, sg) : pim_route_get(e, sg);

	if (!r)
		return NULL;
	return may_make ? pim_branch_make(e, r, p->index) : pim_branch_get(r, p->index);
}

static bool star_entry(struct pim *e, struct port *p, struct ip4 group,
		       const struct pim_jp_source *s, struct mtime expires)
{
	struct sg sg = { .group = group };
	struct branch *b;
	struct list *at;

	if (pim_is_ssm(e, group) || (s->is_join && !is_rp_right(e, p, group, s->source.addr)))
		return false;
	b = branch_for(e, p, sg, s->is_join);
	if (!b)
		return false;
	if (s->is_join) {
		joined(b, expires);
		pim_assert_joined(e, b);
	} else {
		pruned(e, p, b);
	}
	for (at = b->route->sources.next; s->is_join && at != &b->route->sources; at = at->next) {
		struct branch *sb = pim_branch_get(list_item(at, struct route, sibling), p->index);

		if (sb)
			rpt_star_joined(sb);
	}
	pim_branch_schedule(e, b);
	pim_dirty(e, b->route);
	return true;
}

static bool sg_entry(struct pim *e, struct port *p, struct sg sg, const struct pim_jp_source *s,
		     struct mtime expires)
{
	struct branch *b = branch_for(e, p, sg, s->is_join);

	if (!b)
		return false;
	if (s->is_join) {
		joined(b, expires);
		pim_assert_joined(e, b);
	} else {
		pruned(e, p, b);
	}
	pim_branch_schedule(e, b);
	pim_dirty(e, b->route);
	return true;
}

/* Without a (*,G) Join there is nothing that could be pruned from it. */
static bool rpt_entry(struct pim *e, struct port *p, struct sg sg, const struct pim_jp_source *s,
		      struct mtime expires)
{
	struct branch *b;

	if (pim_is_ssm(e, sg.group))
		return false;
	b = branch_for(e, p, sg, !s->is_join && has_star_join(e, sg.group, p->index));
	if (!b)
		return false;
	if (s->is_join)
		rpt_clear(b);
	else
		rpt_pruned(e, p, b, expires);
	pim_branch_schedule(e, b);
	pim_dirty(e, b->route);
	return true;
}

void pim_down_entry(struct pim *e, struct port *p, struct sg sg, const struct pim_jp_source *s,
		    struct mtime expires)
{
	bool is_taken;

	switch (s->flags & (PIM_WILDCARD | PIM_RPT)) {
	case PIM_WILDCARD | PIM_RPT:
		is_taken = star_entry(e, p, sg.group, s, expires);
		break;
	case 0:
		is_taken = sg_entry(e, p, sg, s, expires);
		break;
	case PIM_RPT:
		is_taken = rpt_entry(e, p, sg, s, expires);
		break;
	default:
		is_taken = false;
	}
	if (!is_taken)
		e->counters.entries_ignored++;
}

/* --- timers ------------------------------------------------------------------------------- */

void pim_down_due(struct pim *e, struct branch *b)
{
	if (is_due(e, b->join_expires)) {
		left(b);
	} else if (is_due(e, b->prune_due)) {
		left(b);
		prune_echo(e, b);
	}
	if (is_due(e, b->rpt_expires)) {
		rpt_clear(b);
	} else if (is_due(e, b->rpt_due)) {
		b->rpt = PIM_PRUNE_PRUNED;
		b->rpt_due = MTIME_NEVER;
	}
	pim_dirty(e, b->route);
}
