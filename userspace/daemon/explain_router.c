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
	out->ttl_threshold = o->ttl_threshold;
}

static bool is_telling(const struct explain_port *p)
{
	return p->has_out || p->is_wanted || p->is_excluded || p->is_full;
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

	route_facts(rt, f);
	router_mroute_rpf(rt, f->sg, &f->rpf);
	if (f->rpf.port != RPF_NO_PORT)
		memcpy(f->rpf_input, rt->ports[f->rpf.port].name, sizeof(f->rpf_input));
	for (uint16_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		struct explain_port *p = &ports[f->n_ports];

		*p = (struct explain_port){ 0 };
		down_facts(&rt->ports[i], netif_by_name(rt->relay->netifs, rt->ports[i].name), f);
		if (next < n_outs && outs[next].port == i)
			out_facts(&outs[next++], p);
		host_facts(rt, i, f->sg, p);
		if (!is_telling(p))
			continue;
		port_facts(rt, i, p);
		f->n_ports++;
	}
}

/*
 * Once the rest is known. A source that has no route of its own yet comes in where the unicast
 * routes have it, and gets one then (router_data.c).
 */
void explain_router_input(const struct router *rt, struct explain_facts *f)
{
	if (!f->route.source.net && !f->rpf.why)
		memcpy(f->route_input, f->rpf_input, sizeof(f->route_input));
	if (!f->in[0])
		memcpy(f->input, f->route_input[0] ? f->route_input : f->rpf_input,
		       sizeof(f->input));
	for (uint16_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		if (strcmp(rt->ports[i].name, f->input) != 0)
			continue;
		f->input_is_routed = rt->ports[i].has_igmp || rt->ports[i].has_sources;
		f->has_boundary = !mrib_may_pass(rt->mrib, i, f->sg.group);
	}
}
