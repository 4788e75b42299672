/* SPDX-License-Identifier: MIT */
/* Towards the source or the RP: RPF', and the upstream machines (RFC 7761 §4.5.5 to §4.5.7). */
#include "engine/pim_impl.h"

enum { KIND_STAR = PIM_SPARSE | PIM_WILDCARD | PIM_RPT, KIND_SG = PIM_SPARSE };
#define KIND_RPT (PIM_SPARSE | PIM_RPT)

/* Joins to a router are repeated so soon while it has been known for less than this. */
#define NEWCOMER_MS 5000
#define AGAIN_MS    2500
#define STEP_MS	    25 /* of t_override */

static uint8_t kind_of(const struct route *r)
{
	return is_star(r) ? KIND_STAR : KIND_SG;
}

/* --- where it is -------------------------------------------------------------------------- */

static void rp_update(struct pim *e, struct route *star)
{
	bool is_ssm = pim_is_ssm(e, star->sg.group);
	struct ip4 rp = pim_rp_of(e, star->sg.group);
	struct act_event event = { .kind = EVENT_PIM_RP, .sg = star->sg };
	bool is_other;

	if (is_ssm)
		rp.net = 0;
	is_other = !ip4_equal(rp, star->rp);
	star->rp = rp;
	star->is_rp = pim_is_mine(e, rp);
	star->is_ssm = is_ssm;
	event.peer = rp;
	event.is_self = star->is_rp;
	if (is_other)
		pim_tell_event(e, PORT_NONE, event);
}

void pim_up_rpf(struct pim *e, struct route *r)
{
	struct ip4 to = r->sg.source;

	if (is_star(r)) {
		rp_update(e, r);
		to = r->rp;
	}
	r->rpf = (struct pim_rpf){ .port = PORT_NONE };
	r->has_rpf = to.net && !r->is_rp && e->cfg.rpf(e->cfg.rpf_arg, to, &r->rpf) &&
		     r->rpf.port < e->cfg.ports;
	r->is_connected =
		r->has_rpf && (r->rpf.is_connected || e->ports[r->rpf.port].cfg.is_border);
}

/* NBR(I, A); on a link without addresses, where A is not known, it is the only one there. */
static const struct neighbor *next_router(struct port *p, const struct route *r)
{
	struct ip4 to = r->rpf.next_hop;

	if (!to.net && r->rpf.is_connected)
		to = is_star(r) ? r->rp : r->sg.source;
	if (to.net)
		return pim_neighbor_by_any(p, to);
	return p->n_neighbors == 1 ? list_item(p->neighbors.next, struct neighbor, link) : NULL;
}

static struct upstream to_winner(const struct branch *b)
{
	return (struct upstream){ b->port, b->winner.addr, b->winner_life, true };
}

/* RPF'(*,G), RPF'(S,G). */
static struct upstream rpf_prime(struct pim *e, const struct route *r)
{
	struct upstream u = { .port = pim_rpf_port(r) };
	struct port *p = pim_port(e, u.port);
	const struct branch *b = p ? pim_branch_get(r, u.port) : NULL;
	const struct neighbor *n = NULL;

	if (b && b->assert == PIM_ASSERT_LOSER)
		return to_winner(b);
	if (p && (is_star(r) || !r->is_connected))
		n = next_router(p, r);
	if (n) {
		u.neighbor = n->addr;
		u.life = n->life;
	}
	return u;
}

struct upstream pim_up_rpt(const struct pim *e, const struct route *r)
{
	const struct branch *b = pim_branch_get(r, pim_rpf_port(r->star));

	return b && b->assert == PIM_ASSERT_LOSER ? to_winner(b) : r->star->up;
}

/* --- the machines ------------------------------------------------------------------------- */

/* On a grain of a 64th of the period, so that what is due for many routes leaves in one message. */
static struct mtime on_grain(const struct pim *e, struct mtime at)
{
	int64_t grain = (int64_t)e->cfg.jp_period_ms * 1000 / 64;

	if (grain > 0)
		at.us -= at.us % grain;
	return at;
}

/* t_override, in steps for the same reason: a router that restarts may be joined by all routes. */
static struct mtime override(struct pim *e, uint32_t port)
{
	uint32_t ms = port < e->cfg.ports ? e->ports[port].override_ms : 0;

	return pim_after(e, (int64_t)random_in(&e->random, 0, ms / STEP_MS) * STEP_MS);
}

static void send_to(struct pim *e, const struct route *r, const struct upstream *u, bool is_join)
{
	pim_jp_add(e, u->port, u->neighbor, r->sg, kind_of(r), is_join);
}

/* Has it only just said Hello? Then it may not have heard ours, and without that takes no Join. */
static bool is_newcomer(struct pim *e, const struct upstream *u)
{
	struct port *p = pim_port(e, u->port);
	const struct neighbor *n = p ? pim_neighbor_find(p, u->neighbor) : NULL;

	return n && mtime_before(e->now, mtime_add(n->greeted, mtime_ms(NEWCOMER_MS)));
}

static void join(struct pim *e, struct route *r)
{
	send_to(e, r, &r->up, true);
	r->join_due = on_grain(e, pim_after(e, e->cfg.jp_period_ms));
	if (is_newcomer(e, &r->up))
		r->join_due = mtime_min(r->join_due, on_grain(e, pim_after(e, AGAIN_MS)));
}

static void stop_joining(struct pim *e, struct route *r)
{
	send_to(e, r, &r->up, false);
	r->is_joined = false;
	r->is_spt = false;
	r->join_due = MTIME_NEVER;
}

static bool is_same(const struct upstream *a, const struct upstream *b)
{
	return a->port == b->port && ip4_equal(a->neighbor, b->neighbor);
}

/* Joined, and RPF' may have changed. Prune the old before joining the new. */
static void follow(struct pim *e, struct route *r, struct upstream now)
{
	struct upstream old = r->up;

	r->up = now;
	if (is_same(&old, &now)) {
		if (old.life != now.life) /* it restarted and has forgotten us */
			r->join_due = mtime_min(r->join_due, override(e, now.port));
	} else if (old.port == now.port && old.neighbor.net && now.neighbor.net &&
		   (old.is_by_assert || now.is_by_assert)) {
		r->join_due = mtime_min(r->join_due, override(e, now.port));
	} else {
		send_to(e, r, &old, false);
		join(e, r);
	}
}

void pim_up_settle(struct pim *e, struct route *r, const struct sets *s)
{
	bool desired = pim_join_desired(e, r, s);
	struct upstream now = rpf_prime(e, r);

	if (!desired && r->is_joined)
		stop_joining(e, r);
	if (desired && r->is_joined)
		follow(e, r, now);
	r->up = now;
	if (desired && !r->is_joined) {
		r->is_joined = true;
		join(e, r);
	}
}

static void send_rpt(struct pim *e, const struct route *r, bool is_join)
{
	struct upstream u = pim_up_rpt(e, r);

	pim_jp_add(e, u.port, u.neighbor, r->sg, KIND_RPT, is_join);
}

/* RFC 7761 §4.5.6. */
void pim_up_rpt_settle(struct pim *e, struct route *r, const struct sets *s)
{
	enum pim_rpt_state was = r->rpt, will = PIM_RPT_NOTJOINED;
	struct upstream u;
	bool is_apart;

	if (is_star(r))
		return;
	if (r->star->is_joined)
		will = pim_prune_desired(r, s) ? PIM_RPT_PRUNED : PIM_RPT_NOTPRUNED;
	r->rpt = will;
	u = pim_up_rpt(e, r);
	is_apart = !is_same(&u, &r->star->up);
	if (will != PIM_RPT_NOTPRUNED)
		r->override_due = MTIME_NEVER;
	else if (is_apart && !r->is_rpt_apart)
		r->override_due = mtime_min(r->override_due, override(e, u.port));
	r->is_rpt_apart = is_apart;
	if (will == PIM_RPT_PRUNED && was != will)
		send_rpt(e, r, false);
	if (will == PIM_RPT_NOTPRUNED && was == PIM_RPT_PRUNED)
		send_rpt(e, r, true);
}

void pim_up_due(struct pim *e, struct route *r)
{
	if (is_due(e, r->join_due))
		join(e, r);
	if (is_due(e, r->override_due)) {
		r->override_due = MTIME_NEVER;
		send_rpt(e, r, true);
	}
}

/* --- what others say to the same upstream router ------------------------------------------ */

static bool is_to(const struct upstream *u, const struct port *p, struct ip4 neighbor)
{
	return u->port == p->index && ip4_equal(u->neighbor, neighbor);
}

/* Somebody else's Join does for us as well: t_joinsuppress. */
static void suppress(struct pim *e, struct route *r, const struct port *p, uint16_t holdtime)
{
	uint32_t period = e->cfg.jp_period_ms;
	struct mtime until;

	if (!r->is_joined || !p->can_suppress)
		return;
	until = pim_random_ms(e, period / 10 * 11, period / 10 * 14);
	until = mtime_min(until, pim_hold(e, holdtime));
	if (mtime_before(r->join_due, until))
		r->join_due = until;
	pim_route_schedule(e, r);
}

/* Somebody's Prune has to be answered before it takes effect: t_override. */
static void answer(struct pim *e, struct route *r, const struct port *p)
{
	if (r->is_joined)
		r->join_due = mtime_min(r->join_due, override(e, p->index));
	pim_route_schedule(e, r);
}

static void star_seen(struct pim *e, struct port *p, struct route *star, bool is_join,
		      struct ip4 upstream, uint16_t holdtime)
{
	if (is_to(&star->up, p, upstream)) {
		if (is_join)
			suppress(e, star, p, holdtime);
		else
			answer(e, star, p);
	}
	for (struct list *at = star->sources.next; !is_join && at != &star->sources;
	     at = at->next) {
		struct route *r = list_item(at, struct route, sibling);

		if (is_to(&r->up, p, upstream))
			answer(e, r, p);
	}
}

static void rpt_seen(struct pim *e, struct port *p, struct route *r, bool is_join,
		     struct ip4 upstream)
{
	struct upstream u = pim_up_rpt(e, r);

	if (r->rpt != PIM_RPT_NOTPRUNED || !is_to(&u, p, upstream))
		return;
	r->override_due = is_join ? MTIME_NEVER : mtime_min(r->override_due, override(e, p->index));
	pim_route_schedule(e, r);
}

static void sg_seen(struct pim *e, struct port *p, struct route *r, bool is_rpt, bool is_join,
		    struct ip4 upstream, uint16_t holdtime)
{
	if (is_to(&r->up, p, upstream)) {
		if (!is_join)
			answer(e, r, p);
		else if (!is_rpt)
			suppress(e, r, p, holdtime);
	}
	if (is_rpt || !is_join)
		rpt_seen(e, p, r, is_join, upstream);
}

void pim_up_seen(struct pim *e, struct port *p, struct sg sg, uint8_t flags, bool is_join,
		 struct ip4 upstream, uint16_t holdtime)
{
	struct route *r = pim_route_get(e, sg);

	if (!r)
		return;
	if (is_star(r))
		star_seen(e, p, r, is_join, upstream, holdtime);
	else
		sg_seen(e, p, r, flags & PIM_RPT, is_join, upstream, holdtime);
}
