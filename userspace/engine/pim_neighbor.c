/* SPDX-License-Identifier: MIT */
/* Neighbours, the DR, and what is agreed on a link (RFC 7761 §4.3.2 to §4.3.5). */
#include "engine/pim_impl.h"

struct neighbor *pim_neighbor_find(struct port *p, struct ip4 addr)
{
	struct list *at;

	for (at = p->neighbors.next; at != &p->neighbors; at = at->next) {
		struct neighbor *n = list_item(at, struct neighbor, link);

		if (ip4_equal(n->addr, addr))
			return n;
	}
	return NULL;
}

struct neighbor *pim_neighbor_by_any(struct port *p, struct ip4 addr)
{
	struct neighbor *n = pim_neighbor_find(p, addr);
	struct list *at;

	for (at = p->neighbors.next; !n && at != &p->neighbors; at = at->next) {
		struct neighbor *m = list_item(at, struct neighbor, link);

		for (int i = 0; i < m->hello.n_secondaries; i++)
			if (ip4_equal(m->hello.secondaries[i], addr))
				n = m;
	}
	return n;
}

/* --- what is agreed ----------------------------------------------------------------------- */

static bool is_better_dr(const struct port *p, uint32_t priority, struct ip4 addr,
			 uint32_t best_priority, bool by_priority)
{
	if (by_priority && priority != best_priority)
		return priority > best_priority;
	return ip4_before(p->dr, addr);
}

/* RFC 7761 §4.3.2: with a neighbour that knows no priorities, only addresses count. */
static void elect_dr(struct port *p)
{
	bool by_priority = !p->cfg.hides_priority;
	uint32_t best = p->cfg.dr_priority;
	struct list *at;

	for (at = p->neighbors.next; at != &p->neighbors; at = at->next)
		by_priority &= list_item(at, struct neighbor, link)->hello.has_dr_priority;
	p->dr = p->link.address;
	for (at = p->neighbors.next; at != &p->neighbors; at = at->next) {
		struct neighbor *n = list_item(at, struct neighbor, link);

		if (is_better_dr(p, n->hello.dr_priority, n->addr, best, by_priority)) {
			p->dr = n->addr;
			best = n->hello.dr_priority;
		}
	}
	p->is_dr = ip4_equal(p->dr, p->link.address);
}

/* RFC 7761 §4.3.3: the greatest of all, if all say; suppression only ends if all can track. */
static void agree_delays(struct port *p)
{
	uint32_t propagation = p->cfg.propagation_ms, override = p->cfg.override_ms;
	bool all_say = true, all_track = p->cfg.can_track;
	struct list *at;

	for (at = p->neighbors.next; at != &p->neighbors; at = at->next) {
		const struct pim_hello *h = &list_item(at, struct neighbor, link)->hello;

		all_say &= h->has_lan_delay;
		all_track &= h->has_lan_delay && h->can_track;
		if (h->propagation_ms > propagation)
			propagation = h->propagation_ms;
		if (h->override_ms > override)
			override = h->override_ms;
	}
	p->propagation_ms = all_say ? propagation : 500;
	p->override_ms = all_say ? override : 2500;
	p->can_suppress = !all_track;
}

void pim_elect(struct pim *e, struct port *p)
{
	struct ip4 before = p->dr;

	elect_dr(p);
	agree_delays(p);
	if (!ip4_equal(before, p->dr))
		pim_tell_event(e, p->index,
			       (struct act_event){
				       .kind = EVENT_PIM_DR, .peer = p->dr, .is_self = p->is_dr });
}

/* --- coming and going --------------------------------------------------------------------- */

static void tell(struct pim *e, const struct neighbor *n, bool is_up)
{
	struct act_event event = { .kind = EVENT_PIM_NEIGHBOR, .peer = n->addr, .value = is_up };

	pim_tell_event(e, n->port, event);
}

static void neighbor_free(struct pim *e, struct port *p, struct neighbor *n)
{
	tell(e, n, false);
	pim_due(e, &n->due, MTIME_NEVER);
	list_del(&n->link);
	p->n_neighbors--;
	pool_put(&e->neighbors, n);
}

static void neighbor_remove(struct pim *e, struct port *p, struct neighbor *n)
{
	neighbor_free(e, p, n);
	pim_elect(e, p);
	pim_sweep(e);
}

void pim_neighbors_clear(struct pim *e, struct port *p)
{
	while (!list_empty(&p->neighbors))
		neighbor_free(e, p, list_item(p->neighbors.next, struct neighbor, link));
}

void pim_neighbor_due(struct pim *e, struct neighbor *n)
{
	neighbor_remove(e, &e->ports[n->port], n);
}

static struct neighbor *neighbor_new(struct pim *e, struct port *p, struct ip4 addr)
{
	struct neighbor *n = NULL;

	if (p->n_neighbors < e->cfg.neighbors_per_port)
		n = pool_get(&e->neighbors);
	if (!n) {
		e->counters.neighbors_refused++;
		return NULL;
	}
	n->due.kind = DUE_NEIGHBOR;
	n->port = p->index;
	n->addr = addr;
	n->since = e->now;
	list_add(&p->neighbors, &n->link);
	p->n_neighbors++;
	return n;
}

/* It may not know us: it gets a Hello soon, and before anything else from us (§4.3.1). */
static void greet(struct pim *e, struct port *p, struct neighbor *n)
{
	n->life = ++e->lives;
	n->greeted = e->now;
	p->owes_hello = true;
	pim_hello_soon(e, p);
}

static bool is_restarted(const struct pim_hello *old, const struct pim_hello *new)
{
	return old->has_gen_id != new->has_gen_id || old->gen_id != new->gen_id;
}

static bool is_hello_equal(const struct pim_hello *a, const struct pim_hello *b)
{
	return a->has_lan_delay == b->has_lan_delay && a->can_track == b->can_track &&
	       a->propagation_ms == b->propagation_ms && a->override_ms == b->override_ms &&
	       a->has_dr_priority == b->has_dr_priority && a->dr_priority == b->dr_priority &&
	       a->n_secondaries == b->n_secondaries &&
	       !memcmp(a->secondaries, b->secondaries, a->n_secondaries * sizeof(struct ip4));
}

/* Takes over what it says now. */
static void neighbor_update(struct pim *e, struct port *p, struct neighbor *n,
			    const struct pim_hello *h, bool is_new)
{
	bool is_fresh = is_new || is_restarted(&n->hello, h);
	bool is_other = is_fresh || !is_hello_equal(&n->hello, h);

	n->hello = *h;
	n->expires = pim_hold(e, h->holdtime);
	pim_due(e, &n->due, n->expires);
	if (is_fresh)
		greet(e, p, n);
	if (is_new)
		tell(e, n, true);
	if (is_other) {
		pim_elect(e, p);
		pim_sweep(e);
	}
	if (is_fresh)
		pim_bsr_neighbor(e, p, n);
}

enum pim_drop pim_hello_input(struct pim *e, struct port *p, const struct pim_rx *rx, struct rd *r)
{
	struct neighbor *n = pim_neighbor_find(p, rx->source);
	struct pim_hello h;
	enum pim_drop d = pim_hello_read(r, &h);
	bool is_new = !n;

	if (d != PIM_OK)
		return d;
	if (h.holdtime == 0) {
		if (n)
			neighbor_remove(e, p, n);
		return PIM_OK;
	}
	if (!n)
		n = neighbor_new(e, p, rx->source);
	if (!n)
		return PIM_DROP_CAP;
	neighbor_update(e, p, n, &h, is_new);
	return PIM_OK;
}
