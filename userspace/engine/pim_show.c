/* SPDX-License-Identifier: MIT */
/* Looking at an instance from outside, without changing it. */
#include "engine/pim_impl.h"

const struct pim_counters *pim_counters(const struct pim *e)
{
	return &e->counters;
}

uint32_t pim_gen_id(const struct pim *e, uint32_t port)
{
	return port < e->cfg.ports ? e->ports[port].gen_id : 0;
}

bool pim_port_info(const struct pim *e, uint32_t port, struct pim_port_info *out)
{
	const struct port *p;

	if (port >= e->cfg.ports)
		return false;
	p = &e->ports[port];
	*out = (struct pim_port_info){ .is_active = p->is_active,
				       .is_dr = p->is_dr,
				       .can_suppress = p->can_suppress,
				       .address = p->link.address,
				       .dr = p->dr,
				       .neighbors = p->n_neighbors,
				       .gen_id = p->gen_id,
				       .propagation_ms = p->propagation_ms,
				       .override_ms = p->override_ms,
				       .next_hello = p->hello_at };
	return true;
}

bool pim_neighbor_info(const struct pim *e, uint32_t port, uint32_t i,
		       struct pim_neighbor_info *out)
{
	const struct neighbor *n;
	struct list *at;

	if (port >= e->cfg.ports || i >= e->ports[port].n_neighbors)
		return false;
	for (at = e->ports[port].neighbors.next; i > 0; i--)
		at = at->next;
	n = list_item(at, struct neighbor, link);
	*out = (struct pim_neighbor_info){ port, n->addr, n->since, n->expires, n->hello };
	return true;
}

bool pim_may_pass(const struct pim *e, uint32_t port, struct ip4 group)
{
	return port >= e->cfg.ports || pim_acl_permits(&e->ports[port].cfg.boundary, group);
}

static void route_info(const struct route *r, struct pim_route_info *out)
{
	*out = (struct pim_route_info){ .sg = r->sg,
					.rp = r->star->rp,
					.is_joined = r->is_joined,
					.is_spt = r->is_spt,
					.is_rp = r->star->is_rp,
					.rpf_port = pim_rpf_port(r),
					.rpf_neighbor = r->up.neighbor,
					.reg = r->reg,
					.registers_limited = r->reg_limited,
					.rpt = r->rpt,
					.since = r->since,
					.join_due = r->join_due,
					.keepalive = r->keepalive };
	if (r->is_told)
		out->forwarding = r->told;
	else
		out->forwarding.iif = PORT_NONE;
}

bool pim_route_next(const struct pim *e, const void **cursor, struct pim_route_info *out)
{
	const struct route *last = *cursor, *r;
	struct list *at = last ? last->all.next : e->all.next;

	if (at == &e->all)
		return false;
	r = list_item(at, struct route, all);
	*cursor = r;
	route_info(r, out);
	return true;
}

bool pim_route_find(const struct pim *e, struct sg sg, struct pim_route_info *out)
{
	const struct route *r = pim_route_get(e, sg);

	if (r)
		route_info(r, out);
	return r != NULL;
}

bool pim_branch_info(const struct pim *e, struct sg sg, uint32_t i, struct pim_branch_info *out)
{
	const struct route *r = pim_route_get(e, sg);
	const struct branch *b;
	struct list *at;

	if (!r)
		return false;
	for (at = r->branches.next; i > 0 && at != &r->branches; i--)
		at = at->next;
	if (at == &r->branches)
		return false;
	b = list_item(at, struct branch, link);
	*out = (struct pim_branch_info){ .port = b->port,
					 .join = b->join,
					 .rpt = b->rpt,
					 .local = b->local,
					 .assert = b->assert,
					 .winner = b->winner.addr,
					 .join_expires = b->join_expires,
					 .prune_due = b->prune_due,
					 .rpt_expires = b->rpt_expires,
					 .rpt_due = b->rpt_due,
					 .assert_due = b->assert_due };
	return true;
}

void pim_bsr_info(const struct pim *e, struct pim_bsr_info *out)
{
	*out = (struct pim_bsr_info){ .state = e->bsr.state,
				      .bsr = e->bsr.addr,
				      .priority = e->bsr.priority,
				      .hash_mask = e->bsr.hash_mask,
				      .due = e->bsr.timer };
	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++)
		out->rps += e->bsr.rps[i].is_used && e->bsr.rps[i].is_ready;
}

bool pim_bsr_rp(const struct pim *e, uint32_t i, struct pim_rp_info *out)
{
	for (uint32_t k = 0; k < e->cfg.bsr_rps; k++) {
		const struct bsr_rp *b = &e->bsr.rps[k];

		if (!b->is_used || !b->is_ready || i-- > 0)
			continue;
		*out = b->info;
		return true;
	}
	return false;
}
