/* SPDX-License-Identifier: MIT */
/* The facts for engine/explain.h that the router has. */
#include <string.h>

#include "daemon/router.h"

/* --- what hosts want -------------------------------------------------------------------------- */

static void group_facts(const struct igmp_cursor *group, const struct igmp_group_view *v,
			struct ip4 source, struct mtime now, struct explain_port *out)
{
	struct igmp_cursor at = { NULL };
	struct igmp_source_view s;

	out->is_wanted = v->is_exclude;
	while (igmp_source_show(group, now, &at, &s)) {
		if (!ip4_equal(s.source, source))
			continue;
		out->is_wanted = s.is_forwarded;
		out->is_excluded = v->is_exclude && !s.is_forwarded;
	}
}

static void host_facts(const struct router *rt, uint16_t port, struct sg sg,
		       struct explain_port *out)
{
	struct mtime now = loop_now(rt->relay->loop);
	struct igmp_usage groups = igmp_usage(rt->igmp).groups;
	struct igmp_cursor at = { NULL };
	struct igmp_group_view group;
	struct igmp_port_view p;
	uint64_t refused;

	if (!igmp_port_show(rt->igmp, port, now, &p))
		return;
	refused = p.stats.dropped[IGMP_DROP_CAP_GROUPS] +
		  p.stats.records_dropped[IGMP_DROP_CAP_GROUPS];
	if (igmp_group_look(rt->igmp, port, sg.group, now, &at, &group))
		group_facts(&at, &group, sg.source, now, out);
	else if (p.groups >= p.config.max_groups || groups.used >= groups.capacity)
		out->is_full = refused;
}

/* --- what other routers do -------------------------------------------------------------------- */

static void branch_facts(const struct router *rt, uint16_t port, struct sg sg,
			 struct explain_port *out)
{
	struct pim_branch_info b;

	for (uint32_t i = 0; pim_branch_info(rt->pim, sg, i, &b); i++) {
		if (b.port != port)
			continue;
		out->is_joined |= b.join != PIM_DOWN_NOINFO;
		out->is_pruned |= b.rpt == PIM_PRUNE_PRUNED || b.rpt == PIM_PRUNE_TMP;
		if (b.assert != PIM_ASSERT_LOSER)
			continue;
		out->is_assert_lost = true;
		out->winner = b.winner;
	}
}

static void pim_port_facts(const struct router *rt, uint16_t port, struct sg sg,
			   struct explain_port *out)
{
	struct pim_port_info info;

	if (pim_port_info(rt->pim, port, &info) && info.is_active) {
		out->dr = info.dr;
		out->is_dr = info.is_dr;
	}
	out->has_boundary = !pim_may_pass(rt->pim, port, sg.group);
	branch_facts(rt, port, sg, out);
	branch_facts(rt, port, (struct sg){ .group = sg.group }, out);
}

static bool is_ours(const struct relay *r, struct ip4 a)
{
	for (unsigned i = 0; i < r->n_locals; i++)
		if (ip4_equal(r->locals[i], a))
			return true;
	return false;
}

/* Where there are only hosts, or another domain, nobody can be asked. */
static bool has_neighbour(const void *arg, uint16_t port, struct ip4 next_hop)
{
	const struct router *rt = arg;
	const struct config_pim_interface *c =
		config_pim_interface(&rt->pim_config, rt->ports[port].name);
	struct pim_neighbor_info n;

	if (!c || c->port.is_passive || c->port.is_border)
		return true;
	for (uint32_t i = 0; pim_neighbor_info(rt->pim, port, i, &n); i++) {
		if (!next_hop.net || ip4_equal(n.address, next_hop))
			return true;
		for (unsigned k = 0; k < n.hello.n_secondaries; k++)
			if (ip4_equal(n.hello.secondaries[k], next_hop))
				return true;
	}
	return false;
}

static void pim_facts(const struct router *rt, struct explain_facts *f)
{
	const struct sg star = { .group = f->sg.group };
	struct explain_pim *out = &f->pim;
	struct pim_route_info info;

	out->is_on = true;
	out->is_ssm = pim_is_ssm(rt->pim, f->sg.group);
	if (!out->is_ssm)
		out->rp = pim_rp_of(rt->pim, f->sg.group);
	out->is_rp = out->rp.net && is_ours(rt->relay, out->rp);
	out->limit = rt->pim_engine_config.registers_per_source;
	if (pim_route_find(rt->pim, star, &info) && info.is_joined)
		out->upstream = info.rpf_neighbor;
	if (!pim_route_find(rt->pim, f->sg, &info))
		return;
	if (info.is_joined)
		out->upstream = info.rpf_neighbor;
	out->limited = info.registers_limited;
	if (info.reg != PIM_REG_NOINFO)
		out->reg = info.reg == PIM_REG_JOIN ? EXPLAIN_REG_SENT : EXPLAIN_REG_STOPPED;
}

/* The source sits on the input's own network: whoever is the DR there serves it. */
static void pim_input_facts(const struct router *rt, uint16_t port, struct explain_facts *f)
{
	struct pim_port_info info;

	if (!pim_port_info(rt->pim, port, &info) || !info.is_active)
		return;
	f->pim.is_source_connected =
		!f->rpf.why && f->rpf.port == port && f->rpf.via == RPF_CONNECTED;
	f->pim.input_dr = info.dr;
	f->pim.is_input_dr = info.is_dr;
}

/* --- what the table says ---------------------------------------------------------------------- */

static void route_facts(const struct router *rt, struct explain_facts *f)
{
	const struct sg star = { .group = f->sg.group };
	struct mrib_route route;
	struct mrib_rule rule;
	const struct live_rule *live;

	f->is_refused = mrib_was_refused(rt->mrib, f->sg);
	f->has_route = mrib_find(rt->mrib, f->sg, &route) || mrib_find(rt->mrib, star, &route);
	if (!f->has_route)
		return;
	f->route = route.sg;
	if (route.input != MRIB_NO_PORT)
		memcpy(f->route_input, rt->ports[route.input].name, sizeof(f->route_input));
	if (!mrib_rule(rt->mrib, route.sg, MRIB_RULE_MAIN, &rule) || !rule.rule.n_outputs)
		return;
	live = relay_find(rt->relay, rule.rule.id);
	f->is_route_late = !live || live->now.state == RESOLVE_FAILED;
}

static void out_facts(const struct mrib_out *o, struct explain_port *out)
{
	out->has_out = true;
	out->why = o->why;
	out->is_static = (o->owners | o->inherited) >> MRIB_STATIC & 1;
	out->ttl_threshold = o->ttl_threshold;
}

static bool is_telling(const struct explain_port *p)
{
	return p->has_out || p->is_wanted || p->is_excluded || p->is_full || p->is_joined ||
	       p->is_pruned || p->is_assert_lost;
}

static void port_facts(const struct router *rt, uint16_t port, struct explain_port *out)
{
	const struct netif *ni = netif_by_name(rt->relay->netifs, rt->ports[port].name);

	memcpy(out->name, rt->ports[port].name, sizeof(out->name));
	out->is_there = ni;
	out->is_up = ni && ni->is_up;
}

/* The kernel has no routes by interfaces that are down, but they keep their addresses. */
static void down_facts(const struct router_port *p, const struct netif *ni, struct explain_facts *f)
{
	struct ip4_prefix network;

	if (!f->rpf.why || !ni || ni->is_up || !ni->n_addrs)
		return;
	network = (struct ip4_prefix){ ni->addrs[0], ni->prefix_len };
	if (ip4_in(f->sg.source, network))
		memcpy(f->down_input, p->name, sizeof(f->down_input));
}

/* `ports` has room for all of the router's. */
void explain_router(const struct router *rt, struct explain_facts *f, struct explain_port *ports)
{
	static struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned n_outs = mrib_outputs(rt->mrib, f->sg, outs), next = 0;
	const struct rpf_query q = {
		.address = f->sg.source,
		.group = f->sg.group,
		.has_neighbour = rt->pim ? has_neighbour : NULL,
		.arg = rt,
	};

	route_facts(rt, f);
	if (rt->pim)
		pim_facts(rt, f);
	rpf_lookup(rt->rpf, &q, &f->rpf);
	if (f->rpf.port != RPF_NO_PORT)
		memcpy(f->rpf_input, rt->ports[f->rpf.port].name, sizeof(f->rpf_input));
	for (uint16_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		struct explain_port *p = &ports[f->n_ports];

		*p = (struct explain_port){ 0 };
		down_facts(&rt->ports[i], netif_by_name(rt->relay->netifs, rt->ports[i].name), f);
		if (next < n_outs && outs[next].port == i)
			out_facts(&outs[next++], p);
		host_facts(rt, i, f->sg, p);
		if (rt->pim)
			pim_port_facts(rt, i, f->sg, p);
		if (!is_telling(p))
			continue;
		port_facts(rt, i, p);
		f->n_ports++;
	}
}

/*
 * Once the rest is known. Without PIM, a source that has no route of its own yet comes in where the
 * unicast routes have it, and gets one then (router_data.c).
 */
void explain_router_input(const struct router *rt, struct explain_facts *f)
{
	if (!rt->pim && !f->route.source.net && !f->rpf.why)
		memcpy(f->route_input, f->rpf_input, sizeof(f->route_input));
	if (!f->in[0])
		memcpy(f->input, f->route_input[0] ? f->route_input : f->rpf_input,
		       sizeof(f->input));
	for (uint16_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		if (strcmp(rt->ports[i].name, f->input) != 0)
			continue;
		f->input_is_routed = router_port_routes(&rt->ports[i]);
		f->has_boundary = !mrib_may_pass(rt->mrib, i, f->sg.group);
		if (rt->pim)
			pim_input_facts(rt, i, f);
	}
}
