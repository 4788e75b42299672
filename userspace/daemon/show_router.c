/* SPDX-License-Identifier: MIT */
/* What clients see of the router. */
#include <stdio.h>
#include <string.h>

#include "daemon/router.h"

/* --- groups ----------------------------------------------------------------------------------- */

static void show_sources(cJSON *o, const struct igmp_cursor *group, struct mtime now)
{
	cJSON *list = cJSON_AddArrayToObject(o, "sources");
	struct igmp_cursor at = { NULL };
	struct igmp_source_view v;

	while (igmp_source_show(group, now, &at, &v)) {
		cJSON *s = cJSON_CreateObject();

		show_address(s, "source", v.source);
		cJSON_AddBoolToObject(s, "forwarded", v.is_forwarded);
		cJSON_AddBoolToObject(s, "static", v.is_static != 0);
		show_seconds(s, "expires_in_secs", v.expires, now);
		cJSON_AddItemToArray(list, s);
	}
}

static void show_hosts(cJSON *o, const struct igmp_cursor *group, struct mtime now)
{
	cJSON *list = cJSON_AddArrayToObject(o, "hosts");
	struct igmp_cursor at = { NULL };
	struct igmp_host_view v;

	while (igmp_host_show(group, &at, &v)) {
		cJSON *h = cJSON_CreateObject();

		show_address(h, "host", v.host);
		show_address(h, "source", v.source);
		show_seconds(h, "expires_in_secs", v.expires, now);
		cJSON_AddItemToArray(list, h);
	}
}

static cJSON *show_group(const struct router_port *p, const struct igmp_group_view *v,
			 bool is_querier, struct mtime now)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", p->name);
	show_address(o, "group", v->group);
	cJSON_AddStringToObject(o, "mode", v->is_exclude ? "exclude" : "include");
	cJSON_AddNumberToObject(o, "version", v->version);
	show_address(o, "last_reporter", v->last_reporter);
	cJSON_AddBoolToObject(o, "is_querier", is_querier);
	cJSON_AddBoolToObject(o, "static", v->is_static != 0);
	cJSON_AddNumberToObject(o, "age_secs", (double)(now.us - v->since.us) / 1e6);
	show_seconds(o, "expires_in_secs", v->expires, now);
	return o;
}

static void show_port_groups(cJSON *list, const struct router *rt, uint32_t port, struct mtime now)
{
	struct igmp_cursor at = { NULL };
	struct igmp_port_view pv;
	struct igmp_group_view v;

	if (!igmp_port_show(rt->igmp, port, now, &pv))
		return;
	while (igmp_group_show(rt->igmp, port, now, &at, &v)) {
		cJSON *o = show_group(&rt->ports[port], &v, pv.is_querier, now);

		show_sources(o, &at, now);
		show_hosts(o, &at, now);
		cJSON_AddItemToArray(list, o);
	}
}

cJSON *show_igmp_groups(const struct relay *r)
{
	cJSON *list = cJSON_CreateArray();
	struct mtime now = loop_now(r->loop);

	for (uint32_t i = 0; r->router && i < ROUTER_PORTS_MAX; i++)
		show_port_groups(list, r->router, i, now);
	return list;
}

/* --- interfaces ------------------------------------------------------------------------------- */

/* Of the engine, and of what never came so far. */
static void show_stats(cJSON *o, const struct router_port *p, const struct igmp_stats *s)
{
	cJSON *drops = cJSON_AddObjectToObject(o, "drops");
	uint64_t lost = router_igmp_lost(p);

	cJSON_AddNumberToObject(drops, "socket", (double)lost);
	cJSON_AddNumberToObject(drops, "ip", (double)p->igmp_unreadable);
	for (enum igmp_drop d = IGMP_DROP_SHORT; d < IGMP_DROP__COUNT; d++)
		cJSON_AddNumberToObject(drops, igmp_drop_name(d), (double)s->dropped[d]);
	cJSON_AddNumberToObject(o, "received", (double)(s->received + p->igmp_unreadable + lost));
	cJSON_AddNumberToObject(o, "accepted", (double)s->accepted);
	cJSON_AddNumberToObject(o, "queries_received", (double)s->queries);
	cJSON_AddNumberToObject(o, "queries_sent",
				(double)(s->sent_general + s->sent_group + s->sent_sources));
	cJSON_AddNumberToObject(o, "fast_leaves", (double)s->fast_leaves);
	cJSON_AddNumberToObject(o, "records", (double)s->records);
	cJSON_AddNumberToObject(o, "records_accepted", (double)s->records_accepted);
	cJSON_AddNumberToObject(o, "sources_filtered", (double)s->sources_filtered);
	cJSON_AddNumberToObject(o, "sources_refused", (double)s->sources_refused);
	cJSON_AddNumberToObject(o, "hosts_refused", (double)s->hosts_refused);
}

/* A table of all interfaces. */
static void show_table(cJSON *o, const char *key, const struct igmp_usage *u)
{
	cJSON *t = cJSON_AddObjectToObject(o, key);

	cJSON_AddNumberToObject(t, "capacity", u->capacity);
	cJSON_AddNumberToObject(t, "used", u->used);
	cJSON_AddNumberToObject(t, "peak", u->peak);
	cJSON_AddNumberToObject(t, "refused", (double)u->refused);
}

static void show_tables(cJSON *o, const struct igmp *e)
{
	struct igmp_usages u = igmp_usage(e);

	show_table(o, "groups", &u.groups);
	show_table(o, "sources", &u.sources);
	show_table(o, "hosts", &u.hosts);
	cJSON_AddNumberToObject(o, "bytes", (double)u.bytes);
}

static const char *port_state(const struct router_port *p, const struct igmp_port_view *v)
{
	if (!p->ifindex)
		return "missing";
	if (!p->igmp)
		return "failed";
	if (!v->link.is_up)
		return "down";
	return v->link.address.net ? "up" : "no address";
}

static cJSON *show_port(const struct router_port *p, const struct igmp_port_view *v,
			struct mtime now)
{
	static const char *const modes[] = {
		[IGMP_OFF] = "off",
		[IGMP_UPSTREAM] = "upstream",
		[IGMP_LISTEN] = "listen",
		[IGMP_QUERIER] = "querier",
	};
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", p->name);
	cJSON_AddStringToObject(o, "mode", modes[v->config.mode]);
	cJSON_AddStringToObject(o, "state", port_state(p, v));
	if (p->igmp_error)
		cJSON_AddStringToObject(o, "error", strerror(-p->igmp_error));
	show_address(o, "address", v->link.address);
	cJSON_AddBoolToObject(o, "is_querier", v->is_querier);
	show_address(o, "querier", v->is_querier ? v->link.address : v->querier);
	show_seconds(o, "querier_expires_in_secs", v->expires, now);
	cJSON_AddNumberToObject(o, "version", v->version);
	cJSON_AddNumberToObject(o, "robustness", v->robustness);
	cJSON_AddNumberToObject(o, "query_interval", (double)v->query_interval.us / 1e6);
	cJSON_AddNumberToObject(o, "groups", v->groups);
	cJSON_AddNumberToObject(o, "groups_peak", v->groups_peak);
	show_stats(o, p, &v->stats);
	return o;
}

void show_igmp_interfaces(const struct relay *r, cJSON *reply)
{
	const struct router *rt = r->router;
	cJSON *list = cJSON_AddArrayToObject(reply, "interfaces");
	struct mtime now = loop_now(r->loop);
	struct igmp_port_view v;

	for (uint32_t i = 0; rt && i < ROUTER_PORTS_MAX; i++)
		if (rt->ports[i].has_igmp && igmp_port_show(rt->igmp, i, now, &v))
			cJSON_AddItemToArray(list, show_port(&rt->ports[i], &v, now));
	cJSON_AddNumberToObject(reply, "joins", rt ? (double)membership_count(rt->joins) : 0);
	cJSON_AddNumberToObject(reply, "join_failures", rt ? (double)rt->join_failures : 0);
	if (rt)
		show_tables(cJSON_AddObjectToObject(reply, "tables"), rt->igmp);
}

/* --- routes ----------------------------------------------------------------------------------- */

static void show_owners(cJSON *o, uint8_t owners)
{
	cJSON *list = cJSON_AddArrayToObject(o, "owners");

	for (enum mrib_origin origin = MRIB_STATIC; origin < MRIB_ORIGINS; origin++)
		if (owners >> origin & 1)
			cJSON_AddItemToArray(list, cJSON_CreateString(mrib_origin_name(origin)));
}

static void show_route_outputs(cJSON *o, const struct router *rt, struct sg sg)
{
	cJSON *names = cJSON_AddArrayToObject(o, "output_interfaces");
	cJSON *list = cJSON_AddArrayToObject(o, "outputs");
	struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned n = mrib_outputs(rt->mrib, sg, outs);

	for (unsigned i = 0; i < n; i++) {
		const char *name = rt->ports[outs[i].port].name;
		cJSON *out = cJSON_CreateObject();

		cJSON_AddStringToObject(out, "interface", name);
		cJSON_AddStringToObject(out, "state", mrib_out_text(outs[i].why));
		show_owners(out, outs[i].owners | outs[i].inherited);
		cJSON_AddItemToArray(list, out);
		if (outs[i].why == MRIB_OUT_forwards)
			cJSON_AddItemToArray(names, cJSON_CreateString(name));
	}
}

/* What the data path does with it. */
static void show_route_rule(cJSON *o, const struct relay *r, struct sg sg)
{
	struct route_seen seen, guard;
	char id[RULE_ID_LEN];
	bool is_there;

	mrib_rule_id(sg, MRIB_RULE_MAIN, id);
	is_there = relay_route_seen(r, id, &seen);
	cJSON_AddStringToObject(o, "rule_id", is_there ? id : "");
	if (!is_there)
		return;
	mrib_rule_id(sg, MRIB_RULE_GUARD, id);
	if (relay_route_seen(r, id, &guard))
		seen.wrong_iif += guard.wrong_iif;
	cJSON_AddNumberToObject(o, "packets", (double)seen.packets);
	cJSON_AddNumberToObject(o, "bytes", (double)seen.bytes);
	cJSON_AddNumberToObject(o, "packets_per_second", (double)seen.pps);
	cJSON_AddNumberToObject(o, "packets_pruned", (double)seen.pruned);
	cJSON_AddNumberToObject(o, "packets_wrong_interface", (double)seen.wrong_iif);
	if (seen.last.us)
		cJSON_AddNumberToObject(o, "last_seen_secs",
					(double)(loop_clock().us - seen.last.us) / 1e6);
}

/* What PIM knows of it. */
static void show_route_tree(cJSON *o, const struct router *rt, struct sg sg)
{
	struct pim_route_info i;

	if (!rt->pim || !pim_route_find(rt->pim, sg, &i))
		return;
	show_address(o, "rp", i.rp);
	show_address(o, "rpf_neighbor", i.rpf_neighbor);
	cJSON_AddBoolToObject(o, "joined", i.is_joined);
	cJSON_AddBoolToObject(o, "spt", i.is_spt);
}

static cJSON *show_route(const struct relay *r, const struct mrib_route *route, struct mtime now)
{
	const struct router *rt = r->router;
	cJSON *o = cJSON_CreateObject();

	show_address(o, "source", route->sg.source);
	show_address(o, "group", route->sg.group);
	cJSON_AddStringToObject(o, "entry_type", route->sg.source.net ? "SG" : "StarG");
	cJSON_AddStringToObject(o, "input_interface",
				route->input == MRIB_NO_PORT ? "" : rt->ports[route->input].name);
	cJSON_AddNumberToObject(o, "age_secs", (double)(now.us - route->created.us) / 1e6);
	show_route_tree(o, rt, route->sg);
	if (route->register_to.net) {
		show_address(o, "register_to", route->register_to);
		show_address(o, "register_from", route->register_from);
	}
	show_route_outputs(o, rt, route->sg);
	show_route_rule(o, r, route->sg);
	return o;
}

static void show_punt_counts(cJSON *o, const char *kind, const struct mcr_punt_counts *n)
{
	cJSON *counts = cJSON_AddObjectToObject(o, kind);

	cJSON_AddNumberToObject(counts, "told", (double)n->told);
	cJSON_AddNumberToObject(counts, "repeated", (double)n->repeated);
	cJSON_AddNumberToObject(counts, "limited", (double)n->limited);
	cJSON_AddNumberToObject(counts, "full", (double)n->full);
}

/* What the data path had to tell. */
static void show_punts(cJSON *o, const struct relay *r)
{
	struct mcr_punt_stats stats;

	plane_punt_stats(r->plane, &stats);
#define X(name, text) show_punt_counts(o, #name, &stats.name);
	MCR_PUNT_KINDS(X)
#undef X
}

/* How many there are, and what limits have kept out. */
static void show_limits(cJSON *o, const struct relay *r)
{
	struct mrib_counts n = mrib_counts(r->router->mrib);

	cJSON_AddNumberToObject(o, "routes", n.routes);
	cJSON_AddNumberToObject(o, "routes_peak", n.peak_routes);
	cJSON_AddNumberToObject(o, "rules", (double)r->n_routed);
	cJSON_AddNumberToObject(o, "refused_routes", (double)n.refused_routes);
	cJSON_AddNumberToObject(o, "refused_sources", (double)n.refused_sources);
	cJSON_AddNumberToObject(o, "refused_outputs",
				(double)(n.refused_ports + n.refused_route_ports));
}

void show_mroute(const struct relay *r, cJSON *reply)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "routes");
	struct mtime now = loop_now(r->loop);
	const void *at = NULL;
	struct mrib_route route;

	while (r->router && mrib_next(r->router->mrib, &at, &route))
		cJSON_AddItemToArray(list, show_route(r, &route, now));
	cJSON_AddNumberToObject(reply, "generation",
				r->router ? (double)mrib_generation(r->router->mrib) : 0);
	cJSON_AddNumberToObject(reply, "failures",
				r->router ? (double)r->router->route_failures : 0);
	if (r->router)
		show_limits(cJSON_AddObjectToObject(reply, "limits"), r);
	show_punts(cJSON_AddObjectToObject(reply, "punts"), r);
}

cJSON *show_rpf(const struct relay *r, struct ip4 source)
{
	const struct router *rt = r->router;
	cJSON *o = cJSON_CreateObject();
	struct rpf_answer a;
	bool is_routed = router_mroute_rpf(rt, (struct sg){ .source = source }, &a);
	char prefix[IP4_TEXT + 4], text[IP4_TEXT];

	snprintf(prefix, sizeof(prefix), "%s/%u", ip4_format(a.prefix.addr, text), a.prefix.len);
	show_address(o, "source", source);
	cJSON_AddBoolToObject(o, "is_routed", is_routed);
	cJSON_AddStringToObject(o, "reason", rpf_why_text(a.why));
	cJSON_AddStringToObject(o, "upstream_interface",
				a.port == RPF_NO_PORT ? "" : rt->ports[a.port].name);
	show_address(o, "upstream_neighbor", a.next_hop);
	cJSON_AddStringToObject(o, "prefix", a.table ? prefix : "");
	cJSON_AddNumberToObject(o, "metric", a.metric);
	cJSON_AddNumberToObject(o, "table", a.table);
	return o;
}
