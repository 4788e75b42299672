/* SPDX-License-Identifier: MIT */
/* Routes and branches: their tables, their settling, and what the data path is told of them. */
#include "engine/pim_impl.h"

#define SETTLE_MAX   512 /* in one call */
#define LIMIT_PERIOD 60000

/* --- tables ------------------------------------------------------------------------------- */

static uint32_t key_of(const struct pim *e, struct sg sg)
{
	return hash_key(&e->table, sg.source.net, sg.group.net, 0);
}

struct route *pim_route_get(const struct pim *e, struct sg sg)
{
	struct hash_node *n;

	for (n = hash_first(&e->table, key_of(e, sg)); n; n = hash_next(n)) {
		struct route *r = list_item(n, struct route, node);

		if (sg_equal(r->sg, sg))
			return r;
	}
	return NULL;
}

/* At most one a minute, since strangers decide how often it happens. */
static void tell_limit(struct pim *e, struct sg sg, uint32_t limit)
{
	struct act_event event = { .kind = EVENT_PIM_LIMIT, .sg = sg, .value = limit };

	if (!is_due(e, e->limit_told))
		return;
	e->limit_told = pim_after(e, LIMIT_PERIOD);
	pim_tell_event(e, PORT_NONE, event);
}

static struct route *route_new(struct pim *e, struct sg sg, struct route *star)
{
	struct route *r = pool_get(&e->routes);

	if (!r) {
		e->counters.routes_refused++;
		tell_limit(e, sg, e->routes.capacity);
		return NULL;
	}
	r->due.kind = DUE_ROUTE;
	r->sg = sg;
	r->star = star ? star : r;
	r->since = e->now;
	r->is_ssm = star ? star->is_ssm : pim_is_ssm(e, sg.group);
	r->up.port = PORT_NONE;
	r->join_due = r->override_due = r->keepalive = r->watched = r->reg_due = MTIME_NEVER;
	list_init(&r->dirty);
	list_init(&r->sources);
	list_init(&r->sibling);
	list_init(&r->branches);
	list_add(&e->all, &r->all);
	hash_add(&e->table, &r->node, key_of(e, sg));
	if (star)
		list_add(&star->sources, &r->sibling);
	pim_up_rpf(e, r);
	pim_dirty(e, r);
	return r;
}

struct route *pim_route_make(struct pim *e, struct sg sg)
{
	struct route *r = pim_route_get(e, sg), *star = NULL;

	if (r)
		return r;
	if (sg.source.net) {
		star = pim_route_make(e, (struct sg){ .group = sg.group });
		if (!star)
			return NULL;
	}
	return route_new(e, sg, star);
}

struct branch *pim_branch_get(const struct route *r, uint32_t port)
{
	for (struct list *at = r->branches.next; at != &r->branches; at = at->next) {
		struct branch *b = list_item(at, struct branch, link);

		if (b->port == port)
			return b;
	}
	return NULL;
}

struct branch *pim_branch_make(struct pim *e, struct route *r, uint32_t port)
{
	struct branch *b = pim_branch_get(r, port);

	if (b)
		return b;
	pim_dirty(e, r); /* nobody keeps it if it comes to nothing */
	b = pool_get(&e->branches);
	if (!b) {
		e->counters.branches_refused++;
		tell_limit(e, r->sg, e->branches.capacity);
		return NULL;
	}
	b->due.kind = DUE_BRANCH;
	b->route = r;
	b->port = port;
	b->join_expires = b->prune_due = b->rpt_expires = MTIME_NEVER;
	b->rpt_due = b->assert_due = MTIME_NEVER;
	list_add(&r->branches, &b->link);
	return b;
}

static void branch_free(struct pim *e, struct branch *b)
{
	pim_due(e, &b->due, MTIME_NEVER);
	list_del(&b->link);
	pool_put(&e->branches, b);
}

static void route_free(struct pim *e, struct route *r)
{
	struct route *star = r->star;

	if (e->sweep == &r->all)
		e->sweep = r->all.next == &e->all ? NULL : r->all.next;
	pim_due(e, &r->due, MTIME_NEVER);
	list_del(&r->all);
	list_del(&r->dirty);
	list_del(&r->sibling);
	hash_del(&e->table, &r->node);
	pool_put(&e->routes, r);
	if (star != r)
		pim_dirty(e, star);
}

/* --- timers ------------------------------------------------------------------------------- */

void pim_branch_schedule(struct pim *e, struct branch *b)
{
	struct mtime at = mtime_min(b->join_expires, b->prune_due);

	at = mtime_min(at, mtime_min(b->rpt_expires, b->rpt_due));
	pim_due(e, &b->due, mtime_min(at, b->assert_due));
}

void pim_branch_due(struct pim *e, struct branch *b)
{
	pim_down_due(e, b);
	pim_assert_due(e, b);
	pim_branch_schedule(e, b);
}

void pim_route_schedule(struct pim *e, struct route *r)
{
	struct mtime at = mtime_min(r->join_due, r->override_due);

	at = mtime_min(at, mtime_min(r->keepalive, r->watched));
	pim_due(e, &r->due, mtime_min(at, r->reg_due));
}

void pim_route_due(struct pim *e, struct route *r)
{
	if (is_due(e, r->keepalive)) {
		r->keepalive = MTIME_NEVER;
		pim_dirty(e, r);
	}
	if (is_due(e, r->watched)) {
		r->watched = MTIME_NEVER;
		pim_dirty(e, r);
	}
	pim_up_due(e, r);
	pim_register_due(e, r);
	pim_route_schedule(e, r);
}

/* --- settling ----------------------------------------------------------------------------- */

void pim_dirty(struct pim *e, struct route *r)
{
	if (list_empty(&r->dirty))
		list_add(&e->dirty, &r->dirty);
}

void pim_sweep(struct pim *e)
{
	e->sweep = list_empty(&e->all) ? NULL : e->all.next;
}

bool pim_has_room(const struct pim *e)
{
	return e->n_jp < PIM_JP_BUDGET && actions_fit(e->out, 64, 6144);
}

/* What other routers did on an interface that is down is over; hosts' wishes are not ours to end.
 */
static void drop_dead_branches(struct pim *e, struct route *r)
{
	for (struct list *at = r->branches.next; at != &r->branches; at = at->next) {
		struct branch *b = list_item(at, struct branch, link);

		if (e->ports[b->port].is_active)
			continue;
		b->join = PIM_DOWN_NOINFO;
		b->rpt = PIM_PRUNE_NOINFO;
		b->assert = PIM_ASSERT_NOINFO;
		b->join_expires = b->prune_due = b->rpt_expires = MTIME_NEVER;
		b->rpt_due = b->assert_due = MTIME_NEVER;
		pim_branch_schedule(e, b);
	}
}

static bool is_branch_idle(const struct branch *b)
{
	return b->join == PIM_DOWN_NOINFO && b->rpt == PIM_PRUNE_NOINFO &&
	       b->local == PIM_LOCAL_NONE && b->assert == PIM_ASSERT_NOINFO;
}

static void free_idle_branches(struct pim *e, struct route *r)
{
	struct list *at = r->branches.next, *next;

	for (; at != &r->branches; at = next) {
		struct branch *b = list_item(at, struct branch, link);

		next = at->next;
		if (is_branch_idle(b))
			branch_free(e, b);
	}
}

static bool is_route_idle(const struct pim *e, const struct route *r)
{
	return list_empty(&r->branches) && list_empty(&r->sources) && !r->is_joined &&
	       !is_running(e, r->keepalive) && !is_running(e, r->watched) &&
	       r->reg == PIM_REG_NOINFO && r->rpt != PIM_RPT_PRUNED;
}

/*
 * A data path takes packets at one place. Before the first packet has come on the shortest path
 * that is the shared tree, if any port is fed by it; packets on the other way are then reported as
 * being at the wrong port, which is how the first one is noticed (RFC 7761 §4.2).
 */
static bool is_on_spt(const struct route *r, const struct sets *s)
{
	struct portset rpt = pim_inherited_rpt(s);

	return r->is_spt || r->is_connected || r->star->is_ssm || portset_empty(&rpt) ||
	       (r->has_rpf && pim_rpf_port(r) == pim_rpf_port(r->star));
}

static struct act_route forwarding(const struct pim *e, const struct route *r, const struct sets *s)
{
	struct act_route f = { .sg = r->sg, .is_spt = r->is_spt };
	struct portset all;

	if (is_star(r)) {
		all = pim_immediate_star(s);
		f.iif = pim_rpf_port(r);
	} else {
		bool on_spt = is_on_spt(r, s);

		all = on_spt ? pim_inherited(s) : pim_inherited_rpt(s);
		f.iif = pim_rpf_port(on_spt ? r : r->star);
	}
	portset_del(&all, f.iif);
	f.joined = portset_and(all, portset_or(s->joins_g, s->joins));
	f.local = portset_and(all, portset_or(s->include_g, s->include));
	if (r->reg == PIM_REG_JOIN) {
		f.register_to = r->reg_rp;
		f.register_from = e->ports[f.iif].link.address;
	}
	return f;
}

static bool is_forwarding_equal(const struct act_route *a, const struct act_route *b)
{
	return a->iif == b->iif && a->is_spt == b->is_spt &&
	       ip4_equal(a->register_to, b->register_to) &&
	       ip4_equal(a->register_from, b->register_from) &&
	       portset_equal(&a->joined, &b->joined) && portset_equal(&a->local, &b->local);
}

/* Without a place where packets come in there is nothing to tell; at the RP Registers are one. */
static bool has_forwarding(const struct route *r, const struct act_route *f)
{
	bool has_out = !portset_empty(&f->joined) || !portset_empty(&f->local);

	if (is_star(r))
		return has_out && (f->iif != PORT_NONE || r->is_rp);
	return f->iif != PORT_NONE || (r->star->is_rp && has_out);
}

static void tell(struct pim *e, struct route *r, const struct act_route *f, bool has)
{
	struct action *a;

	if (has ? r->is_told && is_forwarding_equal(f, &r->told) : !r->is_told)
		return;
	a = actions_add(e->out, has ? ACT_ROUTE : ACT_UNROUTE, PORT_NONE);
	if (!a) { /* not with the room that settling asks for; then it is said next time */
		pim_dirty(e, r);
		return;
	}
	a->route = *f;
	r->told = *f;
	r->is_told = has;
}

static void dirty_sources(struct pim *e, struct route *star)
{
	for (struct list *at = star->sources.next; at != &star->sources; at = at->next)
		pim_dirty(e, list_item(at, struct route, sibling));
}

static void settle(struct pim *e, struct route *r)
{
	struct act_route f;
	struct sets s;

	drop_dead_branches(e, r);
	pim_up_rpf(e, r);
	pim_assert_settle(e, r);
	s = pim_sets(e, r);
	pim_up_settle(e, r, &s);
	if (!is_star(r) && r->is_connected && is_running(e, r->keepalive))
		pim_spt_update(e, r, &s, pim_rpf_port(r));
	pim_up_rpt_settle(e, r, &s);
	pim_register_settle(e, r);
	free_idle_branches(e, r);
	f = forwarding(e, r, &s);
	if (is_route_idle(e, r)) {
		tell(e, r, &f, false);
		route_free(e, r);
		return;
	}
	tell(e, r, &f, has_forwarding(r, &f));
	pim_route_schedule(e, r);
	if (is_star(r))
		dirty_sources(e, r);
}

static struct route *next_to_settle(struct pim *e)
{
	if (list_empty(&e->dirty) && e->sweep) {
		pim_dirty(e, list_item(e->sweep, struct route, all));
		e->sweep = e->sweep->next == &e->all ? NULL : e->sweep->next;
	}
	return list_empty(&e->dirty) ? NULL : list_item(e->dirty.next, struct route, dirty);
}

void pim_settle(struct pim *e)
{
	struct route *r;

	for (int i = 0; i < SETTLE_MAX && pim_has_room(e) && (r = next_to_settle(e)); i++) {
		list_del(&r->dirty);
		settle(e, r);
	}
}
