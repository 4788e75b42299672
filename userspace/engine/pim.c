/* SPDX-License-Identifier: MIT */
/*
 * PIM sparse mode: how it works.
 *
 * A route is (*,G) or (S,G). Each group with any state has its (*,G), which holds the list of its
 * (S,G)s. What a route knows of a port is a branch: the downstream machines (RFC 7761 §4.5.1 to
 * §4.5.3), the wishes of hosts there, and the Assert machine (§4.6). A port holds its neighbours.
 *
 * Events (packets, timers, links, members, data) only change what they are about, and mark routes
 * dirty. Settling a dirty route then derives all else from scratch, by the macros of the RFC as
 * they stand there (pim_macro.c): the way to the source or RP, whether Asserts still hold, whether
 * to be joined upstream (§4.5.5 to §4.5.7), whether to register (§4.4), and what the data path is
 * to do. So no event can be forgotten by a machine that depends on it, and nothing is half known:
 * RPF' is worked out anew from the caller's answer and the neighbours each time. Changes that may
 * concern every route (a neighbour, the DR, routes, RPs) start a sweep that marks them all.
 *
 * Each call does as much of this as its list of actions has room for; the rest is due at once.
 * Joins and prunes are queued and leave packed by neighbour at the end of the call (pim_jp.c).
 *
 *	pim.c           configuring, dispatch, time           pim_config.c    defaults
 *	pim_port.c      links, Hello as it is sent            pim_neighbor.c  as it is received, DR
 *	pim_route.c     tables, settling, what is told        pim_macro.c     the macros
 *	pim_down.c      downstream machines                   pim_up.c        upstream machines
 *	pim_jp.c        Join/Prune in and out                 pim_assert.c    Asserts
 *	pim_register.c  Registers, as DR and as RP            pim_data.c      packets, SPT
 *	pim_rp.c        which RP a group has                  pim_bsr.c       Bootstrap
 *	pim_show.c      looking
 *
 * Timers: each port, neighbour, branch and route has one place in a heap, due at the earliest of
 * its own timers.
 *
 * Left out: dense mode, bidirectional PIM, IPv6, scoped zones of RFC 5059 (boundaries per port do
 * that work), the border bit of Registers, and state of routers that leave (§4.3.4 does not exist).
 */
#include "engine/pim_impl.h"

#include <errno.h>

/* Cuts what `e` consists of; the arena says whether there was enough. */
static void cut(struct pim *e, struct arena *a)
{
	const struct pim_config *c = &e->cfg;

	e->ports = arena_take(a, c->ports, sizeof(*e->ports));
	e->bsr.rps = arena_take(a, c->bsr_rps, sizeof(*e->bsr.rps));
	pool_init(&e->neighbors, a, c->neighbors, sizeof(struct neighbor));
	pool_init(&e->routes, a, c->routes, sizeof(struct route));
	pool_init(&e->branches, a, c->branches, sizeof(struct branch));
	hash_init(&e->table, a, c->routes, (uint32_t)random_u64(&e->random));
	heap_init(&e->heap, a, c->ports + c->neighbors + c->routes + c->branches + 1);
}

struct pim *pim_init(const struct pim_config *cfg, struct arena *a)
{
	struct pim fresh = { .cfg = *cfg, .random = random_init(cfg->seed) };
	struct pim *e = arena_take(a, 1, sizeof(*e));

	cut(&fresh, a);
	if (!e || a->used > a->size)
		return NULL;
	*e = fresh;
	list_init(&e->all);
	list_init(&e->dirty);
	for (uint32_t i = 0; i < cfg->ports; i++) {
		e->ports[i].index = i;
		e->ports[i].due.kind = DUE_PORT;
		list_init(&e->ports[i].neighbors);
	}
	e->bsr.due.kind = DUE_BSR;
	pim_bsr_start(e);
	return e;
}

/* --- what all files use ------------------------------------------------------------------- */

struct port *pim_port(struct pim *e, uint32_t index)
{
	return index < e->cfg.ports && e->ports[index].is_active ? &e->ports[index] : NULL;
}

bool pim_acl_permits(const struct pim_acl *acl, struct ip4 a)
{
	for (int i = 0; i < acl->n; i++)
		if (ip4_in(a, acl->entries[i].prefix))
			return acl->entries[i].is_permitted;
	return acl->n == 0;
}

static bool link_has(const struct pim_link *l, struct ip4 a)
{
	for (int i = 0; i < l->n_secondaries; i++)
		if (ip4_equal(l->secondaries[i], a))
			return true;
	return ip4_equal(l->address, a);
}

bool pim_is_mine(const struct pim *e, struct ip4 a)
{
	if (!a.net)
		return false;
	for (int i = 0; i < e->cfg.n_locals; i++)
		if (ip4_equal(e->cfg.locals[i], a))
			return true;
	for (uint32_t i = 0; i < e->cfg.ports; i++)
		if (e->ports[i].link.is_up && link_has(&e->ports[i].link, a))
			return true;
	return false;
}

bool pim_is_ssm(const struct pim *e, struct ip4 group)
{
	for (int i = 0; i < e->cfg.n_ssm; i++)
		if (ip4_in(group, e->cfg.ssm[i]))
			return true;
	return false;
}

struct mtime pim_random_ms(struct pim *e, uint32_t from, uint32_t to)
{
	return pim_after(e, random_in(&e->random, from, to));
}

void pim_due(struct pim *e, struct due *d, struct mtime at)
{
	if (d->node.at ? d->node.due.us != at.us : at.us != MTIME_NEVER.us)
		heap_set(&e->heap, &d->node, at);
}

void pim_tell_event(struct pim *e, uint32_t port, struct act_event event)
{
	actions_event(e->out, port, event);
}

void pim_send(struct pim *e, uint32_t port, struct wr *w, struct ip4 source, struct ip4 dst)
{
	struct act_send head = { .source = source, .dst = dst, .protocol = IP_PROTO_PIM };
	uint8_t type = wr_failed(w) ? 0 : w->start[0] & 15;

	head.ttl = port == PORT_NONE ? PIM_TTL : 1;
	if (actions_send(e->out, port, w, head))
		e->counters.tx_type[type]++;
	else
		e->counters.unsent++;
}

/* --- entering and leaving ----------------------------------------------------------------- */

void pim_enter(struct pim *e, struct mtime now, struct actions *out)
{
	e->now = now;
	e->out = out;
}

void pim_leave(struct pim *e)
{
	pim_settle(e);
	pim_jp_flush(e);
	e->out = NULL;
}

void pim_configure(struct pim *e, struct mtime now, const struct pim_config *cfg,
		   struct actions *out)
{
	struct pim_config next = *cfg;

	pim_enter(e, now, out);
	next.ports = e->cfg.ports;
	next.neighbors = e->cfg.neighbors;
	next.routes = e->cfg.routes;
	next.branches = e->cfg.branches;
	next.bsr_rps = e->cfg.bsr_rps;
	next.seed = e->cfg.seed;
	next.rpf = e->cfg.rpf;
	next.rpf_arg = e->cfg.rpf_arg;
	pim_bsr_change(e, &next.candidate_rp);
	e->cfg = next;
	pim_bsr_start(e);
	pim_sweep(e);
	pim_leave(e);
}

static bool is_acl_ok(const struct pim_acl *acl)
{
	return acl->n <= PIM_ACL_MAX;
}

void pim_port_configure(struct pim *e, struct mtime now, uint32_t port,
			const struct pim_port_config *cfg, struct actions *out)
{
	if (port >= e->cfg.ports || !is_acl_ok(&cfg->neighbors) || !is_acl_ok(&cfg->allow_rp) ||
	    !is_acl_ok(&cfg->boundary))
		return;
	pim_enter(e, now, out);
	pim_port_change(e, &e->ports[port], cfg, &e->ports[port].link);
	pim_leave(e);
}

void pim_link(struct pim *e, struct mtime now, uint32_t port, const struct pim_link *link,
	      struct actions *out)
{
	if (port >= e->cfg.ports || link->n_secondaries > PIM_SECONDARIES)
		return;
	pim_enter(e, now, out);
	pim_port_change(e, &e->ports[port], &e->ports[port].cfg, link);
	pim_leave(e);
}

void pim_set_gen_id(struct pim *e, uint32_t resume)
{
	e->resume_gen_id = resume;
}

void pim_rpf_changed(struct pim *e, struct mtime now, struct ip4_prefix to, struct actions *out)
{
	pim_enter(e, now, out);
	pim_sweep(e);
	pim_leave(e);
}

int pim_local(struct pim *e, struct mtime now, uint32_t port, struct sg sg, enum pim_local want,
	      struct actions *out)
{
	struct branch *b = NULL;
	struct route *r;
	int err = 0;

	if (port >= e->cfg.ports || !ip4_is_multicast(sg.group) || ip4_is_linklocal_group(sg.group))
		return -EINVAL;
	pim_enter(e, now, out);
	r = want == PIM_LOCAL_NONE ? pim_route_get(e, sg) : pim_route_make(e, sg);
	if (r)
		b = want == PIM_LOCAL_NONE ? pim_branch_get(r, port) : pim_branch_make(e, r, port);
	if (b)
		b->local = want;
	else if (want != PIM_LOCAL_NONE)
		err = -ENOSPC;
	if (r)
		pim_dirty(e, r);
	pim_leave(e);
	return err;
}

/* --- packets ------------------------------------------------------------------------------ */

static bool is_for_all_routers(struct ip4 a)
{
	return ip4_host(a) == 0xe000000d;
}

static enum pim_drop link_input(struct pim *e, enum pim_type type, uint8_t reserved,
				const struct pim_rx *rx, struct rd *r)
{
	struct port *p = pim_port(e, rx->port);

	if (!p || p->cfg.is_passive)
		return PIM_DROP_PORT;
	/* A Bootstrap for a new neighbour may come to its own address (RFC 5059 §3.5.1). */
	if (!is_for_all_routers(rx->dst) &&
	    !(type == PIM_BOOTSTRAP && reserved & PIM_NO_FORWARD && pim_is_mine(e, rx->dst)))
		return PIM_DROP_DESTINATION;
	if (rx->ttl != 1)
		return PIM_DROP_TTL;
	if (!pim_acl_permits(&p->cfg.neighbors, rx->source))
		return PIM_DROP_FILTERED;
	switch ((unsigned)type) {
	case PIM_HELLO:
		return pim_hello_input(e, p, rx, r);
	case PIM_JOIN_PRUNE:
		return pim_jp_input(e, p, rx, r);
	case PIM_ASSERT:
		return pim_assert_input(e, p, rx, r);
	default:
		return pim_bsm_input(e, p, reserved, rx, r);
	}
}

static enum pim_drop routed_input(struct pim *e, enum pim_type type, const struct pim_rx *rx,
				  struct rd *r)
{
	if (!pim_is_mine(e, rx->dst))
		return PIM_DROP_DESTINATION;
	switch ((unsigned)type) {
	case PIM_REGISTER:
		return pim_register_input(e, rx, r);
	case PIM_REGISTER_STOP:
		return pim_stop_input(e, rx, r);
	default:
		return pim_crp_input(e, rx, r);
	}
}

static enum pim_drop input(struct pim *e, const struct pim_rx *rx)
{
	struct rd r = rd_init(rx->data, rx->len);
	enum pim_type type;
	uint8_t reserved;
	enum pim_drop d = pim_open(&r, &type, &reserved);

	if (d != PIM_OK)
		return d;
	e->counters.rx_type[type & 15]++;
	if (!ip4_is_unicast(rx->source))
		return PIM_DROP_SOURCE;
	if (pim_is_mine(e, rx->source))
		return PIM_DROP_OWN;
	switch ((unsigned)type) {
	case PIM_HELLO:
	case PIM_JOIN_PRUNE:
	case PIM_ASSERT:
	case PIM_BOOTSTRAP:
		return link_input(e, type, reserved, rx, &r);
	case PIM_REGISTER:
	case PIM_REGISTER_STOP:
	case PIM_CANDIDATE_RP:
		return routed_input(e, type, rx, &r);
	default:
		return PIM_DROP_TYPE;
	}
}

enum pim_drop pim_input(struct pim *e, struct mtime now, const struct pim_rx *rx,
			struct actions *out)
{
	enum pim_drop d;

	pim_enter(e, now, out);
	d = input(e, rx);
	e->counters.rx++;
	if (d == PIM_OK)
		e->counters.rx_ok++;
	else
		e->counters.drops[d]++;
	pim_leave(e);
	return d;
}

/* --- time --------------------------------------------------------------------------------- */

static void fire(struct pim *e, struct due *d)
{
	switch (d->kind) {
	case DUE_PORT:
		pim_port_due(e, list_item(d, struct port, due));
		break;
	case DUE_NEIGHBOR:
		pim_neighbor_due(e, list_item(d, struct neighbor, due));
		break;
	case DUE_ROUTE:
		pim_route_due(e, list_item(d, struct route, due));
		break;
	case DUE_BRANCH:
		pim_branch_due(e, list_item(d, struct branch, due));
		break;
	case DUE_BSR:
		pim_bsr_due(e);
		break;
	}
}

void pim_tick(struct pim *e, struct mtime now, struct actions *out)
{
	struct heap_node *first;

	pim_enter(e, now, out);
	while (pim_has_room(e) && (first = heap_first(&e->heap)) && is_due(e, first->due))
		fire(e, list_item(first, struct due, node));
	pim_leave(e);
}

struct mtime pim_next(const struct pim *e)
{
	if (e->sweep || !list_empty(&e->dirty) || e->n_jp)
		return (struct mtime){ 0 };
	return heap_next(&e->heap);
}

bool pim_stop(struct pim *e, struct mtime now, struct actions *out)
{
	pim_enter(e, now, out);
	if (e->stop_port == 0)
		pim_bsr_stop(e);
	while (e->stop_port < e->cfg.ports && pim_has_room(e)) {
		struct port *p = &e->ports[e->stop_port++];

		/* Also unannounced: neighbours may know us from before a restart. */
		if (p->is_active && !p->cfg.is_passive)
			pim_port_goodbye(e, p);
	}
	e->out = NULL;
	return e->stop_port == e->cfg.ports;
}
