/* SPDX-License-Identifier: MIT */
/* The router as a whole: its ports, its time, and the effects of what its engines ask for. */
#include "daemon/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/ipsend.h"
#include "edge/log.h"

/* --- ports ------------------------------------------------------------------------------------ */

uint32_t router_port_by_ifindex(const struct router *rt, uint32_t ifindex)
{
	for (uint32_t i = 0; ifindex && i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		if (rt->ports[i].ifindex == ifindex)
			return i;
	return ROUTER_NO_PORT;
}

uint32_t router_port_find(const struct router *rt, const char *name)
{
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		if (strcmp(rt->ports[i].name, name) == 0)
			return i;
	return ROUTER_NO_PORT;
}

uint32_t router_port_get(struct router *rt, const char *name)
{
	uint32_t port = router_port_find(rt, name);

	if (port != ROUTER_NO_PORT)
		return port;
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX; i++) {
		if (rt->ports[i].name[0])
			continue;
		memcpy(rt->ports[i].name, name, strlen(name) + 1);
		rt->ports[i].router = rt;
		return i;
	}
	return ROUTER_NO_PORT;
}

void router_interface(struct relay *r, const struct netif *ni, bool gone)
{
	struct router *rt = r->router;
	const struct netif *now = gone ? NULL : ni;
	uint32_t port = rt ? router_port_find(rt, ni->name) : ROUTER_NO_PORT;

	if (!rt)
		return;
	router_pim_addresses(rt);
	if (port != ROUTER_NO_PORT) {
		router_mroute_interface(rt, &rt->ports[port], now);
		router_igmp_interface(rt, &rt->ports[port], now);
		router_pim_interface(rt, &rt->ports[port], now);
	}
	router_settle(rt);
}

/* --- effects ---------------------------------------------------------------------------------- */

static void do_send(struct router *rt, const struct actions *list, const struct action *a)
{
	bool by_routes = a->port == PORT_NONE;
	const struct router_port *p = by_routes ? NULL : &rt->ports[a->port];
	struct ipsend_head head = {
		.ifindex = p ? p->ifindex : 0,
		.source = a->send.source,
		.dst = a->send.dst,
		.protocol = a->send.protocol,
		.ttl = a->send.ttl,
		.has_router_alert = a->send.has_router_alert,
	};
	int err = -ENODEV;

	char to[IP4_TEXT];

	if (head.ifindex || by_routes)
		err = ipsend(rt->tx, &head, list->bytes + a->send.off, a->send.len);
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network, "%s%sa packet to %s cannot be sent: %s",
			    p ? p->name : "", p ? ": " : "", ip4_format(a->send.dst, to),
			    strerror(-err));
}

static const char *sg_text(struct sg sg, char buf[2 * IP4_TEXT + 4])
{
	char source[IP4_TEXT] = "*", group[IP4_TEXT];

	if (sg.source.net)
		ip4_format(sg.source, source);
	snprintf(buf, 2 * IP4_TEXT + 4, "(%s,%s)", source, ip4_format(sg.group, group));
	return buf;
}

/* `name` of the interface, "" when it is about none. */
static void do_pim_event(const char *name, const struct act_event *e)
{
	const char *self = e->is_self ? ", this router" : "";
	char peer[IP4_TEXT], sg[2 * IP4_TEXT + 4];

	ip4_format(e->peer, peer);
	sg_text(e->sg, sg);
	switch ((unsigned)e->kind) {
	case EVENT_PIM_NEIGHBOR:
		log_notice(LOG_F_network, "%s: the PIM neighbour %s %s", name, peer,
			   e->value ? "is there" : "is gone");
		return;
	case EVENT_PIM_DR:
		log_notice(LOG_F_network, "%s: the designated router is %s%s", name, peer, self);
		return;
	case EVENT_PIM_RP:
		log_debug(LOG_F_network, "%s: its rendezvous point is %s%s", sg,
			  e->peer.net ? peer : "unknown", self);
		return;
	case EVENT_PIM_BSR:
		log_notice(LOG_F_network, "the bootstrap router is %s%s",
			   e->peer.net ? peer : "unknown", self);
		return;
	case EVENT_PIM_ASSERT:
		log_info(LOG_F_network, "%s: %s is forwarded by %s%s", name, sg, peer, self);
		return;
	case EVENT_PIM_LIMIT:
		log_warning(LOG_F_network, "%s is beyond the limit of %u", sg, e->value);
		return;
	}
}

static void do_event(const struct router *rt, const struct action *a)
{
	const char *name = a->port == PORT_NONE ? "" : rt->ports[a->port].name;
	const struct act_event *e = &a->event;
	char peer[IP4_TEXT], sg[2 * IP4_TEXT + 4];

	switch (e->kind) {
	case EVENT_IGMP_JOIN:
		log_debug(LOG_F_network, "%s: %s is wanted, by %s", name, sg_text(e->sg, sg),
			  ip4_format(e->peer, peer));
		return;
	case EVENT_IGMP_LEAVE:
		log_debug(LOG_F_network, "%s: %s is wanted no more", name, sg_text(e->sg, sg));
		return;
	case EVENT_IGMP_QUERIER:
		log_notice(LOG_F_network, "%s: the IGMP querier is %s%s", name,
			   ip4_format(e->peer, peer), e->is_self ? ", this router" : "");
		return;
	case EVENT_IGMP_VERSION:
		log_limited(LOG_L_WARNING, LOG_F_network, "%s: %s queries with IGMP version %u",
			    name, ip4_format(e->peer, peer), e->value);
		return;
	case EVENT_IGMP_LIMIT:
		log_limited(LOG_L_WARNING, LOG_F_network, "%s: %s is beyond the limit of %u", name,
			    sg_text(e->sg, sg), e->value);
		return;
	case EVENT_IGMP_NO_QUERIER:
		log_limited(LOG_L_WARNING, LOG_F_network, "%s: nobody sends IGMP queries", name);
		return;
	case EVENT_PIM_NEIGHBOR:
	case EVENT_PIM_DR:
	case EVENT_PIM_RP:
	case EVENT_PIM_BSR:
	case EVENT_PIM_ASSERT:
	case EVENT_PIM_LIMIT:
		do_pim_event(name, e);
		return;
	}
}

static void do_want(struct router *rt, const struct action *a)
{
	bool is_on = a->kind == ACT_WANT;

	if (rt->pim)
		router_pim_want(rt, a->port, &a->member, is_on);
	else
		router_mroute_want(rt, a->port, &a->member, is_on);
}

static void do_action(struct router *rt, const struct actions *list, const struct action *a)
{
	switch (a->kind) {
	case ACT_SEND:
		do_send(rt, list, a);
		return;
	case ACT_EVENT:
		do_event(rt, a);
		return;
	case ACT_WANT:
	case ACT_UNWANT:
		do_want(rt, a);
		return;
	case ACT_JOIN:
	case ACT_LEAVE:
		router_host_join(rt, a->port, &a->member, a->kind == ACT_JOIN);
		return;
	case ACT_ROUTE:
	case ACT_UNROUTE:
		router_pim_route(rt, &a->route, a->kind == ACT_ROUTE);
		return;
	case ACT_FORWARD:
		router_pim_forward(rt, &a->forward, list->bytes + a->forward.off);
		return;
	}
}

struct actions *router_begin(struct router *rt)
{
	actions_clear(&rt->actions);
	return &rt->actions;
}

void router_do(struct router *rt, const struct actions *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		do_action(rt, list, &list->list[i]);
}

void router_settle(struct router *rt)
{
	struct mtime next = mtime_min(igmp_next(rt->igmp), mtime_min(rt->age, rt->retry));

	router_mroute_settle(rt);
	next = mtime_min(next, rt->forget_at);
	loop_timer_set(rt->timer, mtime_min(next, router_pim_next(rt)));
}

void router_end(struct router *rt)
{
	router_do(rt, &rt->actions);
	actions_clear(&rt->actions);
	router_settle(rt);
}

static void on_time(void *arg, struct mtime now)
{
	struct router *rt = arg;

	router_mroute_tick(rt, now);
	router_data_tick(rt, now);
	router_remember_tick(rt, now);
	router_pim_tick(rt, now);
	igmp_tick(rt->igmp, now, router_begin(rt));
	router_end(rt);
}

void router_tick(struct relay *r)
{
	if (r->router)
		router_pim_save(r->router);
}

/* --- its life --------------------------------------------------------------------------------- */

void router_free(struct relay *r, bool stays)
{
	struct router *rt = r->router;

	if (!rt)
		return;
	router_data_close(rt);
	router_pim_close(rt, stays);
	router_mroute_close(rt, stays);
	router_igmp_close(rt);
	loop_timer_free(rt->timer);
	if (rt->tx >= 0)
		close(rt->tx);
	config_mroutes_fini(&rt->mroutes);
	free(rt);
	r->router = NULL;
}

static int router_open(struct relay *r)
{
	int err;

	r->router = calloc(1, sizeof(*r->router));
	if (!r->router)
		return -ENOMEM;
	r->router->relay = r;
	r->router->forget_at = MTIME_NEVER;
	config_pim_init(&r->router->pim_config);
	r->router->tx = ipsend_open();
	err = r->router->tx < 0 ? r->router->tx : 0;
	if (!err)
		err = loop_timer_new(r->loop, &r->router->timer, on_time, r->router);
	if (!err)
		err = router_mroute_open(r->router);
	if (!err)
		err = router_igmp_open(r->router);
	if (!err)
		err = router_data_open(r->router);
	if (err)
		router_free(r, false);
	return err;
}

static struct router_port *port_named(struct router *rt, const char *name)
{
	uint32_t port = router_port_get(rt, name);

	if (port != ROUTER_NO_PORT)
		return &rt->ports[port];
	log_err(LOG_F_network, "%s: too many interfaces were routed on: restart", name);
	return NULL;
}

static void port_has_igmp(struct router *rt, const char *name, bool has_igmp)
{
	struct router_port *p = port_named(rt, name);

	if (p)
		p->has_igmp = has_igmp;
}

static void ports_have_pim(struct router *rt, const struct config_pim *pim)
{
	for (uint32_t i = 0; i < pim->n_interfaces; i++) {
		struct router_port *p = port_named(rt, pim->interfaces[i].name);

		if (!p)
			continue;
		p->has_pim = true;
		p->is_pim_passive = pim->interfaces[i].port.is_passive;
	}
}

static void ports_have_mroutes(struct router *rt, const struct config_mroutes *next)
{
	for (uint32_t i = 0; i < next->n; i++) {
		const struct config_mroute *route = &next->list[i];
		struct router_port *p = port_named(rt, route->input);

		if (p)
			p->has_mroutes = true;
		for (uint32_t o = 0; o < route->n_outputs; o++) {
			p = port_named(rt, route->outputs[o]);
			if (p)
				p->has_mroutes = true;
		}
	}
}

static void upstream_follow(struct router *rt, const struct config_igmp *igmp)
{
	uint32_t upstream = ROUTER_NO_PORT;

	if (*igmp->upstream) {
		port_has_igmp(rt, igmp->upstream, true);
		upstream = router_port_get(rt, igmp->upstream);
	}
	if (rt->upstream != upstream && rt->upstream != ROUTER_NO_PORT)
		router_data_upstream_gone(rt, rt->upstream);
	rt->upstream = upstream;
}

/* Every interface that the configuration names has a port, and those of before have theirs. */
static void ports_follow(struct router *rt, const struct config *next)
{
	const struct config_igmp *igmp = &next->igmp;

	for (unsigned i = 0; i < ROUTER_PORTS_MAX; i++) {
		struct router_port *p = &rt->ports[i];

		p->has_igmp = p->has_sources = p->has_pim = p->has_mroutes = false;
	}
	for (uint32_t i = 0; i < igmp->n_queriers; i++)
		port_has_igmp(rt, igmp->queriers[i], true);
	for (uint32_t i = 0; i < igmp->n_interfaces; i++)
		port_has_igmp(rt, igmp->interfaces[i].name, igmp->interfaces[i].mode != IGMP_OFF);
	upstream_follow(rt, igmp);
	for (uint32_t i = 0; i < igmp->n_sources; i++) {
		struct router_port *p = port_named(rt, igmp->sources[i]);

		if (p)
			p->has_sources = true;
	}
	if (router_pim_is_wanted(&next->pim))
		ports_have_pim(rt, &next->pim);
	ports_have_mroutes(rt, &next->mroutes);
}

static void config_follow(struct router *rt, const struct config *next)
{
	if (config_igmp_equal(&rt->igmp_config, &next->igmp) &&
	    config_pim_equal(&rt->pim_config, &next->pim) &&
	    config_mroutes_equal(&rt->mroutes, &next->mroutes))
		return;
	ports_follow(rt, next);
	router_mroute_follow(rt, &next->igmp);
	router_static_follow(rt, &next->mroutes);
	if (!rt->is_settled)
		router_remember(rt, next);
	rt->is_settled = true;
	router_pim_follow(rt, &next->pim);
	router_igmp_follow(rt, &next->igmp);
}

void router_follow(struct relay *r)
{
	bool is_wanted = config_igmp_is_on(&r->config->igmp) || r->config->mroutes.n ||
			 router_pim_is_wanted(&r->config->pim);
	int err = is_wanted && !r->router ? router_open(r) : 0;

	if (err)
		log_err(LOG_F_network, "the router cannot start: %s", strerror(-err));
	else if (is_wanted)
		config_follow(r->router, r->config);
	else
		router_free(r, false);
}
