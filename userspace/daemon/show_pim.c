/* SPDX-License-Identifier: MIT */
/* What clients see of PIM. */
#include <string.h>

#include "daemon/router.h"

void show_address(cJSON *o, const char *key, struct ip4 addr)
{
	char text[IP4_TEXT];

	cJSON_AddStringToObject(o, key, addr.net ? ip4_format(addr, text) : "");
}

void show_seconds(cJSON *o, const char *key, struct mtime at, struct mtime now)
{
	if (at.us != MTIME_NEVER.us)
		cJSON_AddNumberToObject(o, key, (double)(at.us - now.us) / 1e6);
}

static const char *port_name(const struct router *rt, uint32_t port)
{
	return port < ROUTER_PORTS_MAX ? rt->ports[port].name : "";
}

/* --- neighbours ------------------------------------------------------------------------------- */

static void show_secondaries(cJSON *o, const struct pim_hello *h)
{
	cJSON *list = cJSON_AddArrayToObject(o, "secondary_addresses");
	char text[IP4_TEXT];

	for (unsigned i = 0; i < h->n_secondaries; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(ip4_format(h->secondaries[i], text)));
}

static cJSON *show_neighbor(const struct router *rt, const struct pim_neighbor_info *n,
			    const struct pim_port_info *p, struct mtime now)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", port_name(rt, n->port));
	show_address(o, "address", n->address);
	if (n->hello.has_dr_priority)
		cJSON_AddNumberToObject(o, "dr_priority", n->hello.dr_priority);
	cJSON_AddBoolToObject(o, "is_dr", ip4_equal(p->dr, n->address));
	show_seconds(o, "expires_in_secs", n->expires, now);
	cJSON_AddNumberToObject(o, "age_secs", (double)(now.us - n->since.us) / 1e6);
	if (n->hello.has_gen_id)
		cJSON_AddNumberToObject(o, "generation_id", n->hello.gen_id);
	cJSON_AddNumberToObject(o, "holdtime", n->hello.holdtime);
	cJSON_AddBoolToObject(o, "has_lan_delay", n->hello.has_lan_delay);
	cJSON_AddBoolToObject(o, "tracking", n->hello.has_lan_delay && n->hello.can_track);
	show_secondaries(o, &n->hello);
	cJSON_AddStringToObject(o, "source", "PimHello");
	return o;
}

cJSON *show_pim_neighbors(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *list = cJSON_CreateArray();
	struct mtime now = loop_now(r->loop);
	struct pim_neighbor_info n;
	struct pim_port_info p;

	if (!rt || !rt->pim)
		return list;
	for (uint32_t port = 0; pim_port_info(rt->pim, port, &p); port++)
		for (uint32_t i = 0; pim_neighbor_info(rt->pim, port, i, &n); i++)
			cJSON_AddItemToArray(list, show_neighbor(rt, &n, &p, now));
	return list;
}

/* --- interfaces ------------------------------------------------------------------------------- */

static const char *port_state(const struct router_port *p, const struct pim_port_info *v,
			      const struct netif *ni)
{
	if (!ni)
		return "missing";
	if (p->pim_error)
		return "failed";
	if (!ni->is_up)
		return "down";
	return v->is_active ? "up" : "no address";
}

static cJSON *show_port(const struct relay *r, const struct router_port *p,
			const struct pim_port_info *v, struct mtime now)
{
	const struct netif *ni = netif_by_name(r->netifs, p->name);
	bool is_passive = !p->has_pim || p->is_pim_passive;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", p->name);
	cJSON_AddStringToObject(o, "state", port_state(p, v, ni));
	if (p->pim_error)
		cJSON_AddStringToObject(o, "error", strerror(-p->pim_error));
	show_address(o, "address", v->address);
	cJSON_AddBoolToObject(o, "passive", is_passive);
	cJSON_AddBoolToObject(o, "is_dr", v->is_dr);
	show_address(o, "dr", v->dr);
	cJSON_AddNumberToObject(o, "neighbors", v->neighbors);
	cJSON_AddNumberToObject(o, "generation_id", v->gen_id);
	cJSON_AddNumberToObject(o, "propagation_delay", v->propagation_ms / 1000.0);
	cJSON_AddNumberToObject(o, "override_interval", v->override_ms / 1000.0);
	cJSON_AddBoolToObject(o, "suppression", v->can_suppress);
	if (!is_passive)
		show_seconds(o, "next_hello_in_secs", v->next_hello, now);
	return o;
}

cJSON *show_pim_interfaces(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *list = cJSON_CreateArray();
	struct mtime now = loop_now(r->loop);
	struct pim_port_info v;

	if (!rt || !rt->pim)
		return list;
	for (uint32_t i = 0; pim_port_info(rt->pim, i, &v); i++)
		if (router_port_routes(&rt->ports[i]))
			cJSON_AddItemToArray(list, show_port(r, &rt->ports[i], &v, now));
	return list;
}

static const char *type_name(unsigned type)
{
	static const char *const names[16] = {
		[PIM_HELLO] = "hello",
		[PIM_REGISTER] = "register",
		[PIM_REGISTER_STOP] = "register_stop",
		[PIM_JOIN_PRUNE] = "join_prune",
		[PIM_BOOTSTRAP] = "bootstrap",
		[PIM_ASSERT] = "assert",
		[PIM_CANDIDATE_RP] = "candidate_rp",
	};

	return names[type & 15];
}

static void show_types(cJSON *o, const char *key, const uint64_t counts[16])
{
	cJSON *types = cJSON_AddObjectToObject(o, key);
	uint64_t other = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (type_name(i))
			cJSON_AddNumberToObject(types, type_name(i), (double)counts[i]);
		else
			other += counts[i];
	}
	cJSON_AddNumberToObject(types, "other", (double)other);
}

/* received = accepted + Σ drops; `lost` never came as far as the protocol. */
cJSON *show_pim_counters(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *o = cJSON_CreateObject(), *drops;
	const struct pim_counters *c;

	if (!rt || !rt->pim)
		return o;
	c = pim_counters(rt->pim);
	cJSON_AddNumberToObject(o, "received", (double)(c->rx + rt->pim_unreadable));
	cJSON_AddNumberToObject(o, "accepted", (double)c->rx_ok);
	drops = cJSON_AddObjectToObject(o, "drops");
	for (enum pim_drop d = PIM_OK + 1; d < PIM_DROP_N; d++)
		cJSON_AddNumberToObject(drops, pim_drop_name(d), (double)c->drops[d]);
	cJSON_AddNumberToObject(drops, "ip", (double)rt->pim_unreadable);
	show_types(o, "received_types", c->rx_type);
	show_types(o, "sent_types", c->tx_type);
	cJSON_AddNumberToObject(o, "lost", (double)pimsock_lost(rt->pimsock));
	cJSON_AddNumberToObject(o, "unsent", (double)c->unsent);
	cJSON_AddNumberToObject(o, "entries_ignored", (double)c->entries_ignored);
	cJSON_AddNumberToObject(o, "routes_refused", (double)c->routes_refused);
	cJSON_AddNumberToObject(o, "branches_refused", (double)c->branches_refused);
	cJSON_AddNumberToObject(o, "neighbors_refused", (double)c->neighbors_refused);
	cJSON_AddNumberToObject(o, "registers_forwarded", (double)rt->pim_forwarded);
	cJSON_AddNumberToObject(o, "registers_unforwarded", (double)rt->pim_unforwarded);
	return o;
}

/* --- rendezvous points ------------------------------------------------------------------------ */

static cJSON *show_rp(struct ip4_prefix range, struct ip4 rp, const char *by)
{
	cJSON *o = cJSON_CreateObject();
	char text[IP4_PREFIX_TEXT];

	cJSON_AddStringToObject(o, "group", ip4_prefix_format(range, text));
	show_address(o, "rp", rp);
	cJSON_AddStringToObject(o, "by", by);
	return o;
}

cJSON *show_pim_rps(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *list = cJSON_CreateArray();
	struct mtime now = loop_now(r->loop);
	struct pim_rp_info info;

	if (!rt || !rt->pim)
		return list;
	for (unsigned i = 0; i < rt->pim_engine_config.n_static_rps; i++) {
		const struct pim_static_rp *s = &rt->pim_engine_config.static_rps[i];

		cJSON_AddItemToArray(list, show_rp(s->range, s->rp, "configuration"));
	}
	for (uint32_t i = 0; pim_bsr_rp(rt->pim, i, &info); i++) {
		cJSON *o = show_rp(info.range, info.rp, "bootstrap");

		cJSON_AddNumberToObject(o, "priority", info.priority);
		show_seconds(o, "expires_in_secs", info.expires, now);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

static const char *bsr_state_name(enum pim_bsr_state state)
{
	static const char *const names[] = {
		[PIM_BSR_NOINFO] = "none",
		[PIM_BSR_ACCEPT_ANY] = "accept-any",
		[PIM_BSR_ACCEPT_PREFERRED] = "accept-preferred",
		[PIM_BSR_CANDIDATE] = "candidate",
		[PIM_BSR_PENDING] = "pending",
		[PIM_BSR_ELECTED] = "elected",
	};

	return names[state];
}

cJSON *show_pim_bsr(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *o = cJSON_CreateObject();
	struct pim_bsr_info b;

	if (!rt || !rt->pim)
		return o;
	pim_bsr_info(rt->pim, &b);
	cJSON_AddStringToObject(o, "state", bsr_state_name(b.state));
	show_address(o, "address", b.bsr);
	cJSON_AddNumberToObject(o, "priority", b.priority);
	cJSON_AddNumberToObject(o, "hash_mask", b.hash_mask);
	cJSON_AddNumberToObject(o, "rps", b.rps);
	show_seconds(o, "due_in_secs", b.due, loop_now(r->loop));
	return o;
}

/* --- routes ----------------------------------------------------------------------------------- */

static cJSON *show_branch(const struct router *rt, const struct pim_branch_info *b,
			  struct mtime now)
{
	static const char *const joins[] = { "none", "joined", "prune-pending" };
	static const char *const prunes[] = { "none", "pruned", "prune-pending", "pruned-tmp",
					      "prune-pending-tmp" };
	static const char *const locals[] = { "none", "include", "exclude" };
	static const char *const asserts[] = { "none", "winner", "loser" };
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", port_name(rt, b->port));
	cJSON_AddStringToObject(o, "join", joins[b->join]);
	cJSON_AddStringToObject(o, "rpt_prune", prunes[b->rpt]);
	cJSON_AddStringToObject(o, "local", locals[b->local]);
	cJSON_AddStringToObject(o, "assert", asserts[b->assert]);
	if (b->assert != PIM_ASSERT_NOINFO)
		show_address(o, "assert_winner", b->winner);
	show_seconds(o, "join_expires_in_secs", b->join_expires, now);
	show_seconds(o, "rpt_expires_in_secs", b->rpt_expires, now);
	return o;
}

static cJSON *show_route(const struct router *rt, const struct pim_route_info *i, struct mtime now)
{
	static const char *const regs[] = { "none", "join", "join-pending", "prune" };
	static const char *const rpts[] = { "not-joined", "not-pruned", "pruned" };
	cJSON *o = cJSON_CreateObject(), *branches;
	struct pim_branch_info b;

	show_address(o, "source", i->sg.source);
	show_address(o, "group", i->sg.group);
	show_address(o, "rp", i->rp);
	cJSON_AddBoolToObject(o, "is_rp", i->is_rp);
	cJSON_AddBoolToObject(o, "joined", i->is_joined);
	cJSON_AddBoolToObject(o, "spt", i->is_spt);
	cJSON_AddStringToObject(o, "rpf_interface", port_name(rt, i->rpf_port));
	show_address(o, "rpf_neighbor", i->rpf_neighbor);
	cJSON_AddStringToObject(o, "register", regs[i->reg]);
	cJSON_AddStringToObject(o, "rpt", rpts[i->rpt]);
	cJSON_AddNumberToObject(o, "age_secs", (double)(now.us - i->since.us) / 1e6);
	show_seconds(o, "join_due_in_secs", i->join_due, now);
	show_seconds(o, "keepalive_secs", i->keepalive, now);
	branches = cJSON_AddArrayToObject(o, "branches");
	for (uint32_t k = 0; pim_branch_info(rt->pim, i->sg, k, &b); k++)
		cJSON_AddItemToArray(branches, show_branch(rt, &b, now));
	return o;
}

cJSON *show_pim_joins(const struct relay *r)
{
	const struct router *rt = r->router;
	cJSON *list = cJSON_CreateArray();
	struct mtime now = loop_now(r->loop);
	const void *cursor = NULL;
	struct pim_route_info i;

	while (rt && rt->pim && pim_route_next(rt->pim, &cursor, &i))
		cJSON_AddItemToArray(list, show_route(rt, &i, now));
	return list;
}
