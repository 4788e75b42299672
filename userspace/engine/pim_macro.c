/* SPDX-License-Identifier: MIT */
/*
 * The macros of RFC 7761 §4.1.6, §4.5.5 and §4.6, as they stand there. Sets of ports come from one
 * walk over the branches; the rest is algebra on them.
 */
#include "engine/pim_impl.h"

static const struct port *port_at(const struct pim *e, uint32_t index)
{
	return &e->ports[index];
}

static bool is_me_winner(const struct branch *b)
{
	return b->assert == PIM_ASSERT_WINNER;
}

/* I_am_DR(I) and not lost there, or the winner there. */
static bool may_include(const struct pim *e, const struct branch *b, bool is_lost)
{
	return (port_at(e, b->port)->is_dr && !is_lost) || is_me_winner(b);
}

bool pim_metric_better(struct metric a, struct metric b)
{
	if (a.is_rpt != b.is_rpt)
		return !a.is_rpt;
	if (a.preference != b.preference)
		return a.preference < b.preference;
	if (a.metric != b.metric)
		return a.metric < b.metric;
	return ip4_before(b.addr, a.addr);
}

static struct metric infinite(struct ip4 addr)
{
	return (struct metric){ true, PIM_ASSERT_INFINITE, UINT32_MAX, addr };
}

static struct metric spt_metric(const struct pim *e, const struct route *r, uint32_t port)
{
	struct ip4 mine = port_at(e, port)->link.address;

	if (!r->has_rpf || is_star(r))
		return infinite(mine);
	return (struct metric){ false, r->rpf.preference & PIM_ASSERT_INFINITE, r->rpf.metric,
				mine };
}

static struct metric rpt_metric(const struct pim *e, const struct route *r, uint32_t port)
{
	const struct route *star = r->star;
	struct ip4 mine = port_at(e, port)->link.address;

	if (star->is_rp)
		return (struct metric){ true, 0, 0, mine };
	if (!star->has_rpf)
		return infinite(mine);
	return (struct metric){ true, star->rpf.preference & PIM_ASSERT_INFINITE, star->rpf.metric,
				mine };
}

uint32_t pim_rpf_port(const struct route *r)
{
	return r->has_rpf ? r->rpf.port : PORT_NONE;
}

static bool is_lost_star(const struct route *star, const struct branch *b)
{
	return b->assert == PIM_ASSERT_LOSER &&pim_rpf_port(star) != b->port;
}

static bool is_lost_sg(const struct pim *e, const struct route *r, const struct branch *b)
{
	return b->assert == PIM_ASSERT_LOSER &&pim_rpf_port(r) !=
	       b->port &&pim_metric_better(b->winner, spt_metric(e, r, b->port));
}

static bool is_lost_rpt(const struct route *r, const struct branch *b)
{
	return b->assert == PIM_ASSERT_LOSER &&pim_rpf_port(r->star) != b->port &&
	       !(pim_rpf_port(r) == b->port && r->is_spt);
}

/* Groups that may not pass a port have nobody there, and neither has a port that is down. */
static bool is_open(const struct pim *e, const struct branch *b)
{
	const struct port *p = port_at(e, b->port);

	return p->is_active && pim_acl_permits(&p->cfg.boundary, b->route->sg.group);
}

static void star_sets(const struct pim *e, const struct route *star, struct sets *s)
{
	for (struct list *at = star->branches.next; at != &star->branches; at = at->next) {
		struct branch *b = list_item(at, struct branch, link);
		bool is_lost = is_lost_star(star, b);

		if (!is_open(e, b))
			continue;
		if (b->join != PIM_DOWN_NOINFO)
			portset_add(&s->joins_g, b->port);
		if (is_lost)
			portset_add(&s->lost_g, b->port);
		if (b->local == PIM_LOCAL_INCLUDE && may_include(e, b, is_lost))
			portset_add(&s->include_g, b->port);
	}
}

static void sg_branch(const struct pim *e, const struct route *r, const struct branch *b,
		      struct sets *s)
{
	const struct branch *g = pim_branch_get(r->star, b->port);
	bool is_lost = is_lost_sg(e, r, b);

	if (b->join != PIM_DOWN_NOINFO)
		portset_add(&s->joins, b->port);
	if (b->rpt == PIM_PRUNE_PRUNED || b->rpt == PIM_PRUNE_TMP)
		portset_add(&s->prunes, b->port);
	if (is_lost)
		portset_add(&s->lost, b->port);
	if (is_lost_rpt(r, b))
		portset_add(&s->lost_rpt, b->port);
	if (b->local == PIM_LOCAL_INCLUDE && may_include(e, b, is_lost))
		portset_add(&s->include, b->port);
	if (b->local == PIM_LOCAL_EXCLUDE && g && may_include(e, g, is_lost_star(r->star, g)))
		portset_add(&s->exclude, b->port);
}

struct sets pim_sets(const struct pim *e, const struct route *r)
{
	struct sets s = { 0 };

	star_sets(e, r->star, &s);
	if (is_star(r))
		return s;
	for (struct list *at = r->branches.next; at != &r->branches; at = at->next) {
		const struct branch *b = list_item(at, struct branch, link);

		if (is_open(e, b))
			sg_branch(e, r, b, &s);
	}
	return s;
}

struct portset pim_immediate_star(const struct sets *s)
{
	return portset_minus(portset_or(s->joins_g, s->include_g), s->lost_g);
}

struct portset pim_immediate_sg(const struct sets *s)
{
	return portset_minus(portset_or(s->joins, s->include), s->lost);
}

/* (joins(*,G) − prunes(S,G,rpt)) + (pim_include(*,G) − pim_exclude(S,G)) */
static struct portset from_star(const struct sets *s)
{
	return portset_or(portset_minus(s->joins_g, s->prunes),
			  portset_minus(s->include_g, s->exclude));
}

struct portset pim_inherited_rpt(const struct sets *s)
{
	return portset_minus(from_star(s), portset_or(s->lost_g, s->lost_rpt));
}

/* inherited_olist(S,G,rpt) + joins(S,G) + pim_include(S,G) − lost_assert(S,G) */
struct portset pim_inherited(const struct sets *s)
{
	struct portset all = portset_or(pim_inherited_rpt(s), portset_or(s->joins, s->include));

	return portset_minus(all, s->lost);
}

static bool is_empty(struct portset s)
{
	return portset_empty(&s);
}

bool pim_join_desired(const struct pim *e, const struct route *r, const struct sets *s)
{
	if (is_star(r))
		return !r->is_ssm && !is_empty(pim_immediate_star(s));
	return !is_empty(pim_immediate_sg(s)) ||
	       (is_running(e, r->keepalive) && !is_empty(pim_inherited(s)));
}

/* Where (S,G) packets on the shared tree come from: RPF'(S,G,rpt). */
static bool is_same_upstream(const struct upstream *a, const struct upstream *b)
{
	return a->port == b->port && ip4_equal(a->neighbor, b->neighbor);
}

/* RPTJoinDesired(G) is JoinDesired(*,G). */
bool pim_prune_desired(const struct route *r, const struct sets *s)
{
	return r->star->is_joined && (is_empty(pim_inherited_rpt(s)) ||
				      (r->is_spt && !is_same_upstream(&r->up, &r->star->up)));
}

bool pim_wants_spt(const struct pim *e, const struct route *r)
{
	return e->cfg.spt == PIM_SPT_IMMEDIATE || (e->cfg.spt == PIM_SPT_THRESHOLD && r->is_fast);
}

static bool could_assert_star(const struct route *r, const struct sets *s, uint32_t port)
{
	return (portset_has(&s->joins_g, port) || portset_has(&s->include_g, port)) &&
	       pim_rpf_port(r->star) != port;
}

static bool could_assert_sg(const struct route *r, const struct sets *s, uint32_t port)
{
	struct portset inherited = portset_minus(from_star(s), s->lost_g);

	return r->is_spt && pim_rpf_port(r) != port &&
	       (portset_has(&inherited, port) || portset_has(&s->joins, port) ||
		portset_has(&s->include, port));
}

bool pim_could_assert(const struct route *r, const struct sets *s, uint32_t port)
{
	return is_star(r) ? could_assert_star(r, s, port) : could_assert_sg(r, s, port);
}

static bool wants_locally(const struct pim *e, const struct route *r, uint32_t port)
{
	const struct branch *b = pim_branch_get(r, port);

	return b && b->local == PIM_LOCAL_INCLUDE && (port_at(e, port)->is_dr || is_me_winner(b));
}

bool pim_tracks_assert(const struct pim *e, const struct route *r, const struct sets *s,
		       uint32_t port)
{
	struct portset inherited = portset_minus(from_star(s), s->lost_g);
	bool is_rpt_way = pim_rpf_port(r->star) == port && r->star->is_joined;

	if (is_star(r))
		return could_assert_star(r, s, port) || wants_locally(e, r, port) || is_rpt_way;
	return portset_has(&inherited, port) || portset_has(&s->joins, port) ||
	       wants_locally(e, r, port) || (pim_rpf_port(r) == port && r->is_joined) ||
	       (is_rpt_way && !r->is_spt);
}

struct metric pim_my_metric(const struct pim *e, const struct route *r, const struct sets *s,
			    uint32_t port)
{
	if (!is_star(r) && could_assert_sg(r, s, port))
		return spt_metric(e, r, port);
	if (could_assert_star(r, s, port))
		return rpt_metric(e, r, port);
	return infinite(port_at(e, port)->link.address);
}

bool pim_is_loser(const struct route *r, uint32_t port)
{
	const struct branch *b = pim_branch_get(r, port);

	return b && b->assert == PIM_ASSERT_LOSER;
}
