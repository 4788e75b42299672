/* SPDX-License-Identifier: MIT */
/*
 * Registers (RFC 7761 §4.4). As the DR of a source: the machine that tells the data path whether to
 * encapsulate, and probes with Null-Registers. As the RP: what comes in is forwarded on the shared
 * tree, or stopped.
 */
#include "engine/pim_impl.h"

#define STOPS 1000 /* Register-Stops a second, to all */

/* --- as the DR (§4.4.1)
 * --------------------------------------------------------------------------- */

static bool could_register(struct pim *e, const struct route *r)
{
	struct port *p = pim_port(e, pim_rpf_port(r));

	return p && p->is_dr && r->is_connected && is_running(e, r->keepalive) && r->star->rp.net &&
	       !r->star->is_rp && pim_acl_permits(&p->cfg.boundary, r->sg.group);
}

static void set_state(struct route *r, enum pim_register_state state, struct mtime due)
{
	r->reg = state;
	r->reg_due = due;
}

void pim_register_settle(struct pim *e, struct route *r)
{
	bool could = !is_star(r) && could_register(e, r);

	if (!could) {
		set_state(r, PIM_REG_NOINFO, MTIME_NEVER);
	} else if (r->reg == PIM_REG_NOINFO || !ip4_equal(r->reg_rp, r->star->rp)) {
		/* A new RP has to hear of the source, whatever the old one said. */
		r->reg_rp = r->star->rp;
		set_state(r, PIM_REG_JOIN, MTIME_NEVER);
	}
}

static void probe(struct pim *e, const struct route *r)
{
	struct wr w = actions_packet(e->out);

	pim_null_register_write(&w, r->sg);
	pim_send(e, PORT_NONE, &w, e->ports[r->rpf.port].link.address, r->reg_rp);
}

void pim_register_due(struct pim *e, struct route *r)
{
	if (!is_due(e, r->reg_due))
		return;
	pim_dirty(e, r);
	if (r->reg == PIM_REG_PRUNE && r->rpf.port < e->cfg.ports) {
		set_state(r, PIM_REG_PENDING, pim_after(e, e->cfg.register_probe_ms));
		probe(e, r);
	} else {
		set_state(r, r->reg == PIM_REG_PENDING ? PIM_REG_JOIN : r->reg, MTIME_NEVER);
	}
}

static void stopped(struct pim *e, struct route *r, struct ip4 by)
{
	uint32_t time = e->cfg.register_suppression_ms, probe_ms = e->cfg.register_probe_ms;

	if ((r->reg != PIM_REG_JOIN && r->reg != PIM_REG_PENDING) || !ip4_equal(by, r->reg_rp))
		return;
	time = random_in(&e->random, time / 2, time + time / 2);
	set_state(r, PIM_REG_PRUNE, pim_after(e, time > probe_ms ? time - probe_ms : 0));
	pim_route_schedule(e, r);
	pim_dirty(e, r);
}

enum pim_drop pim_stop_input(struct pim *e, const struct pim_rx *rx, struct rd *r)
{
	struct pim_register_stop stop;
	enum pim_drop d = pim_register_stop_read(r, &stop);
	struct route *route, *star;

	if (d != PIM_OK)
		return d;
	if (stop.group.len != 32)
		return PIM_DROP_MASK;
	if (!ip4_equal(rx->source, pim_rp_of(e, stop.group.addr)))
		return PIM_DROP_SOURCE;
	star = pim_route_get(e, (struct sg){ .group = stop.group.addr });
	route = pim_route_get(e, (struct sg){ stop.source, stop.group.addr });
	if (stop.source.net && route)
		stopped(e, route, rx->source);
	if (stop.source.net || !star)
		return PIM_OK;
	for (struct list *at = star->sources.next; at != &star->sources; at = at->next)
		stopped(e, list_item(at, struct route, sibling), rx->source);
	return PIM_OK;
}

/* --- as the RP (§4.4.2)
 * --------------------------------------------------------------------------- */

static void send_stop(struct pim *e, const struct pim_rx *rx, struct sg sg)
{
	struct wr w = actions_packet(e->out);

	if (!bucket_take(&e->stops, e->now, STOPS, STOPS))
		return;
	pim_register_stop_write(&w, sg);
	pim_send(e, PORT_NONE, &w, rx->dst, rx->source);
}

/* The packet has come from far away: the data path forwards it like any other. */
static void decapsulate(struct pim *e, const struct pim_register *reg, struct portset to)
{
	if (!portset_empty(&to) && !actions_forward(e->out, reg->inner, reg->inner_len, to))
		e->counters.unsent++;
}

static void as_rp(struct pim *e, const struct pim_rx *rx, const struct pim_register *reg,
		  struct route *r)
{
	struct sets s = pim_sets(e, r);
	struct portset all = pim_inherited(&s);
	bool wants = pim_wants_spt(e, r);
	bool stops = r->is_spt || (wants && portset_empty(&all));
	uint32_t keep = e->cfg.keepalive_ms;
	uint32_t rp_keep = 3 * e->cfg.register_suppression_ms + e->cfg.register_probe_ms;

	if (stops)
		send_stop(e, rx, r->sg);
	if (stops && keep < rp_keep)
		keep = rp_keep;
	if (r->is_spt || wants)
		r->keepalive = pim_after(e, keep);
	else
		r->watched = pim_after(e, keep);
	if (!r->is_spt && !reg->is_null)
		decapsulate(e, reg, pim_inherited_rpt(&s));
	pim_dirty(e, r);
}

static bool is_rate_ok(struct pim *e, struct route *r)
{
	uint32_t per_source = e->cfg.registers_per_source, all = e->cfg.registers;

	return bucket_take(&r->reg_bucket, e->now, per_source, per_source) &&
	       bucket_take(&e->registers, e->now, all, all);
}

enum pim_drop pim_register_input(struct pim *e, const struct pim_rx *rx, struct rd *r)
{
	struct pim_register reg;
	enum pim_drop d = pim_register_read(r, &reg);
	struct route *route;
	struct sg sg;

	if (d != PIM_OK)
		return d;
	sg = (struct sg){ reg.source, reg.group };
	if (pim_is_ssm(e, sg.group))
		return PIM_DROP_SSM;
	if (ip4_is_linklocal_group(sg.group))
		return PIM_DROP_INNER;
	if (!ip4_equal(pim_rp_of(e, sg.group), rx->dst)) {
		send_stop(e, rx, sg);
		return PIM_OK;
	}
	if (!pim_acl_permits(&e->cfg.register_sources, sg.source)) {
		send_stop(e, rx, sg);
		return PIM_DROP_FILTERED;
	}
	route = pim_route_make(e, sg);
	if (!route)
		return PIM_DROP_CAP;
	if (!is_rate_ok(e, route)) {
		route->reg_limited++;
		return PIM_DROP_RATE;
	}
	pim_rate_count(e, route, reg.is_null ? 0 : reg.inner_len);
	as_rp(e, rx, &reg, route);
	return PIM_OK;
}
