/* SPDX-License-Identifier: MIT */
/*
 * PIM in the daemon: the engine's memory and settings, its sockets, and what it is told.
 *
 * While PIM is on it alone says what is forwarded where. Hosts' wishes go to it (pim_local), and
 * interfaces that only IGMP or source_interfaces name are ports without neighbours for it, so that
 * hosts and sources there are served like all others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/router.h"
#include "edge/log.h"
#include "edge/statefile.h"
#include "wire/ip.h"

/* Each (S,G) has a (*,G) beside it; see ROUTES_MAX of router_mroute.c. */
#define PIM_ROUTES   40000
#define PIM_BRANCHES 65536
#define GEN_IDS	     "pim.json"

static struct ip4 all_routers(void)
{
	return ip4_from_host(0xe000000d);
}

/* --- calling the engine ----------------------------------------------------------------------- */

/*
 * Its actions have a list of their own: an action of IGMP may lead to one of PIM, but not the
 * other way round.
 */
static struct actions *pim_begin_call(struct router *rt)
{
	actions_clear(&rt->pim_actions);
	return &rt->pim_actions;
}

static void pim_end_call(struct router *rt)
{
	router_do(rt, &rt->pim_actions);
	actions_clear(&rt->pim_actions);
}

static bool rpf_of(const void *arg, struct ip4 to, struct pim_rpf *out)
{
	const struct router *rt = arg;
	const struct rpf_query q = { .address = to };
	struct rpf_answer a;

	if (rpf_lookup(rt->rpf, &q, &a) != RPF_ok || !router_port_routes(&rt->ports[a.port]))
		return false;
	*out = (struct pim_rpf){
		.port = a.port,
		.is_connected = a.via == RPF_CONNECTED,
		.preference = a.preference,
		.metric = a.metric,
	};
	if (a.via == RPF_GATEWAY)
		out->next_hop = a.next_hop;
	return true;
}

static void on_packet(void *arg, struct mtime now, uint32_t ifindex, const void *packet, size_t len)
{
	struct router *rt = arg;
	struct ip_head head;
	struct rd payload;

	if (!ip_read(packet, len, &head, &payload)) {
		rt->pim_unreadable++;
		return;
	}
	pim_input(rt->pim, now,
		  &(struct pim_rx){
			  .port = router_port_by_ifindex(rt, ifindex), /* none: PORT_NONE */
			  .source = head.source,
			  .dst = head.dst,
			  .ttl = head.ttl,
			  .data = payload.at,
			  .len = rd_left(&payload),
		  },
		  pim_begin_call(rt));
	pim_end_call(rt);
	router_settle(rt);
}

void router_pim_tick(struct router *rt, struct mtime now)
{
	if (!rt->pim)
		return;
	pim_tick(rt->pim, now, pim_begin_call(rt));
	pim_end_call(rt);
}

struct mtime router_pim_next(const struct router *rt)
{
	return rt->pim ? pim_next(rt->pim) : MTIME_NEVER;
}

void router_pim_rpf_changed(struct router *rt)
{
	const struct ip4_prefix any = { .len = 0 };

	pim_rpf_changed(rt->pim, loop_now(rt->relay->loop), any, pim_begin_call(rt));
	pim_end_call(rt);
}

void router_pim_data(struct router *rt, const struct pim_data *data)
{
	pim_data(rt->pim, loop_now(rt->relay->loop), data, pim_begin_call(rt));
	pim_end_call(rt);
}

void router_pim_want(struct router *rt, uint32_t port, const struct act_member *m, bool is_on)
{
	enum pim_local local = PIM_LOCAL_NONE;

	if (is_on)
		local = m->mode == WANT_INCLUDE ? PIM_LOCAL_INCLUDE : PIM_LOCAL_EXCLUDE;
	if (pim_local(rt->pim, loop_now(rt->relay->loop), port, m->sg, local, pim_begin_call(rt)) ==
	    -ENOSPC)
		log_limited(LOG_L_WARNING, LOG_F_network,
			    "%s: a group is wanted that there is no room for",
			    rt->ports[port].name);
	pim_end_call(rt);
}

/* --- settings --------------------------------------------------------------------------------- */

static bool is_on_host(const struct relay *r, struct ip4 a)
{
	for (const struct netif *ni = netif_next(r->netifs, NULL); ni;
	     ni = netif_next(r->netifs, ni))
		for (uint32_t i = 0; i < ni->n_addrs; i++)
			if (ip4_equal(ni->addrs[i], a))
				return true;
	return false;
}

static void add_local(const struct router *rt, struct pim_config *c, struct ip4 a)
{
	for (unsigned i = 0; i < c->n_locals; i++)
		if (ip4_equal(c->locals[i], a))
			return;
	if (a.net && c->n_locals < PIM_LOCALS && is_on_host(rt->relay, a))
		c->locals[c->n_locals++] = a;
}

/* Of the addresses that the configuration names those that are this host's, such as lo's. */
static void locals_set(const struct router *rt, const struct config_pim *pim, struct pim_config *c)
{
	c->n_locals = 0;
	add_local(rt, c, pim->router_id);
	add_local(rt, c, pim->rp_address);
	add_local(rt, c, c->candidate_bsr.address);
	add_local(rt, c, c->candidate_rp.address);
	for (unsigned i = 0; i < c->n_static_rps; i++)
		add_local(rt, c, c->static_rps[i].rp);
}

static struct pim_config engine_config(const struct router *rt, const struct config_pim *pim)
{
	struct pim_config c = pim->engine;

	c.ports = ROUTER_PORTS_MAX;
	c.routes = PIM_ROUTES;
	c.branches = PIM_BRANCHES;
	c.rpf = rpf_of;
	c.rpf_arg = rt;
	if (!c.candidate_bsr.address.net)
		c.candidate_bsr.address = pim->router_id;
	if (!c.candidate_rp.address.net)
		c.candidate_rp.address = pim->router_id;
	if (pim->rp_address.net)
		c.static_rps[c.n_static_rps++] = (struct pim_static_rp){
			{ ip4_from_host(0xe0000000), 4 },
			pim->rp_address,
		};
	locals_set(rt, pim, &c);
	return c;
}

static struct pim_port_config port_config(const struct router_port *p, const struct config_pim *pim)
{
	const struct config_pim_interface *i = config_pim_interface(pim, p->name);
	struct pim_port_config c;

	if (i)
		return i->port;
	pim_port_config_default(&c);
	c.is_enabled = router_port_routes(p);
	c.is_passive = true;
	return c;
}

static void configure(struct router *rt, const struct pim_config *c)
{
	rt->pim_engine_config = *c;
	pim_configure(rt->pim, loop_now(rt->relay->loop), c, pim_begin_call(rt));
	pim_end_call(rt);
}

/* Addresses of this host have come or gone. */
void router_pim_addresses(struct router *rt)
{
	struct pim_config c;

	if (!rt->pim)
		return;
	c = engine_config(rt, &rt->pim_config);
	if (c.n_locals != rt->pim_engine_config.n_locals ||
	    memcmp(c.locals, rt->pim_engine_config.locals, c.n_locals * sizeof(c.locals[0])) != 0)
		configure(rt, &c);
}

/* --- Generation IDs ----------------------------------------------------------------------------
 */

/*
 * While the kernel goes on forwarding without a daemon, neighbours need not notice: the next one
 * says the same Generation IDs (RFC 7761 §4.3.1), which lie in a file of the state directory.
 */
static void gen_ids_recall(struct router *rt)
{
	struct diag d = { 0 };
	size_t len;
	char *text;

	if (!plane_is_inherited(rt->relay->plane) ||
	    statefile_load(rt->relay->paths.state_dir, GEN_IDS, &text, &len, &d))
		return;
	rt->pim_gen_ids = cJSON_ParseWithLength(text, len);
	free(text);
}

static void gen_ids_forget(struct router *rt)
{
	cJSON_Delete(rt->pim_gen_ids);
	rt->pim_gen_ids = NULL;
}

/* Only as long as the daemon starts: an interface that comes back later begins anew. */
static uint32_t gen_id_recalled(const struct router *rt, const char *name)
{
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(rt->pim_gen_ids, name);

	return cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble <= UINT32_MAX
		       ? (uint32_t)id->valuedouble
		       : 0;
}

/* Once a second at most. */
void router_pim_save(struct router *rt)
{
	cJSON *ids = rt->pim && rt->pim_is_unsaved ? cJSON_CreateObject() : NULL;
	struct diag d = { 0 };
	char *text;

	if (!ids)
		return;
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		if (rt->ports[i].has_pim)
			cJSON_AddNumberToObject(ids, rt->ports[i].name, pim_gen_id(rt->pim, i));
	text = cJSON_PrintUnformatted(ids);
	cJSON_Delete(ids);
	if (!text || statefile_save(rt->relay->paths.state_dir, GEN_IDS, text, strlen(text), &d))
		log_limited(LOG_L_ERR, LOG_F_network, "Generation IDs are not saved: %s", d.what);
	else
		rt->pim_is_unsaved = false;
	free(text);
}

/* --- interfaces ------------------------------------------------------------------------------- */

/* Sources' frames come to where multicast is routed, whichever group they are for. */
static void promiscuity_set(struct router *rt, struct router_port *p, uint32_t ifindex)
{
	if (p->pim_promiscuous == ifindex)
		return;
	if (p->pim_promiscuous)
		pimsock_hear(rt->pimsock, p->pim_promiscuous, false);
	p->pim_promiscuous = ifindex && !pimsock_hear(rt->pimsock, ifindex, true) ? ifindex : 0;
}

/* The interface is in the group of all PIM routers, or is not. */
static void join_set(struct router *rt, struct router_port *p, uint32_t ifindex)
{
	const struct ip4 any = { 0 };

	if (p->pim_joined == ifindex)
		return;
	if (p->pim_joined)
		membership_leave(rt->relay->joins, p->pim_joined, all_routers(), any);
	p->pim_joined = 0;
	p->pim_error = ifindex ? membership_join(rt->relay->joins, ifindex, all_routers(), any) : 0;
	if (p->pim_error)
		log_err(LOG_F_network, "%s: no PIM, the group of its routers is not joined: %s",
			p->name, strerror(-p->pim_error));
	else
		p->pim_joined = ifindex;
}

static struct pim_link link_of(const struct netif *ni)
{
	struct pim_link link = { .is_up = ni->is_up, .mtu = ni->mtu };

	if (ni->n_addrs)
		link.address = ni->addrs[0];
	for (uint32_t i = 1; i < ni->n_addrs && link.n_secondaries < PIM_SECONDARIES; i++)
		link.secondaries[link.n_secondaries++] = ni->addrs[i];
	return link;
}

/* The interface as it is; NULL when it is not there. */
void router_pim_interface(struct router *rt, struct router_port *p, const struct netif *ni)
{
	struct pim_link link = { .is_up = false };
	uint32_t port = (uint32_t)(p - rt->ports), gen_id;

	if (!rt->pim)
		return;
	gen_id = pim_gen_id(rt->pim, port);
	pim_set_gen_id(rt->pim, gen_id_recalled(rt, p->name));
	promiscuity_set(rt, p, ni && router_port_routes(p) ? ni->ifindex : 0);
	join_set(rt, p, ni && p->has_pim && !p->is_pim_passive ? ni->ifindex : 0);
	if (ni && !p->pim_error)
		link = link_of(ni);
	pim_link(rt->pim, loop_now(rt->relay->loop), port, &link, pim_begin_call(rt));
	pim_end_call(rt);
	rt->pim_is_unsaved |= gen_id != pim_gen_id(rt->pim, port);
}

static void port_follow(struct router *rt, uint32_t port, const struct config_pim *pim)
{
	struct router_port *p = &rt->ports[port];
	struct pim_port_config c = port_config(p, pim);

	pim_port_configure(rt->pim, loop_now(rt->relay->loop), port, &c, pim_begin_call(rt));
	pim_end_call(rt);
	router_pim_interface(rt, p, netif_by_name(rt->relay->netifs, p->name));
}

/* --- its life --------------------------------------------------------------------------------- */

static int engine_make(struct router *rt, const struct pim_config *c)
{
	struct arena mem = { 0 };

	pim_init(c, &mem); /* takes the measure */
	mem.size = mem.used;
	mem.used = 0;
	mem.mem = rt->pim_memory = calloc(1, mem.size);
	rt->pim = mem.mem ? pim_init(c, &mem) : NULL;
	return rt->pim ? 0 : -ENOMEM;
}

static void say_goodbye(struct router *rt)
{
	bool has_ended = false;

	while (!has_ended) {
		has_ended = pim_stop(rt->pim, loop_now(rt->relay->loop), pim_begin_call(rt));
		pim_end_call(rt);
	}
}

void router_pim_close(struct router *rt, bool stays)
{
	if (rt->pim && !stays)
		say_goodbye(rt);
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		join_set(rt, &rt->ports[i], 0);
		rt->ports[i].pim_promiscuous = 0; /* ends with the sockets */
	}
	pimsock_close(rt->pimsock);
	free(rt->pim_memory);
	config_pim_fini(&rt->pim_config);
	config_pim_init(&rt->pim_config);
	rt->pimsock = NULL;
	rt->pim_memory = NULL;
	rt->pim = NULL;
}

static int open_engine(struct router *rt, const struct config_pim *pim)
{
	struct pim_config c = engine_config(rt, pim);
	int err = -EIO;

	if (getrandom(&c.seed, sizeof(c.seed), 0) == sizeof(c.seed))
		err = engine_make(rt, &c);
	if (!err)
		err = pimsock_open(&rt->pimsock, rt->relay->loop, on_packet, rt);
	if (err) {
		router_pim_close(rt, true);
		return err;
	}
	rt->pim_engine_config = c;
	gen_ids_recall(rt);
	router_mroute_handover(rt);
	return 0;
}

bool router_pim_is_wanted(const struct config_pim *pim)
{
	return pim->is_enabled && pim->n_interfaces;
}

void router_pim_follow(struct router *rt, const struct config_pim *next)
{
	struct config_pim copy;
	struct pim_config c;
	int err = 0;

	if (!router_pim_is_wanted(next)) {
		if (rt->pim) {
			router_pim_close(rt, false);
			router_mroute_handover(rt);
		}
		return;
	}
	if (!rt->pim)
		err = open_engine(rt, next);
	if (!err)
		err = config_pim_copy(&copy, next);
	if (err) {
		log_err(LOG_F_network, "PIM cannot start: %s", strerror(-err));
		return;
	}
	config_pim_fini(&rt->pim_config);
	rt->pim_config = copy;
	c = engine_config(rt, next);
	configure(rt, &c);
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		port_follow(rt, i, next);
	gen_ids_forget(rt);
	router_pim_save(rt); /* it may be killed within the second */
}
