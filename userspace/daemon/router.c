/* SPDX-License-Identifier: MIT */
/* The router as a whole: its ports, its time, and the effects of what its engines ask for. */
#include "daemon/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/log.h"

/* --- ports ------------------------------------------------------------------------------------ */

static struct router_port *port_by_name(struct router *rt, const char *name)
{
	for (unsigned i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		if (strcmp(rt->ports[i].name, name) == 0)
			return &rt->ports[i];
	return NULL;
}

uint32_t router_port_get(struct router *rt, const char *name)
{
	struct router_port *p = port_by_name(rt, name);

	for (unsigned i = 0; !p && i < ROUTER_PORTS_MAX; i++)
		if (!rt->ports[i].name[0])
			p = &rt->ports[i];
	if (!p)
		return ROUTER_NO_PORT;
	if (!p->name[0]) {
		memcpy(p->name, name, strlen(name) + 1);
		p->router = rt;
	}
	return (uint32_t)(p - rt->ports);
}

void router_interface(struct relay *r, const struct netif *ni, bool gone)
{
	struct router_port *p = r->router ? port_by_name(r->router, ni->name) : NULL;

	if (!p)
		return;
	router_mroute_interface(r->router, p, gone ? NULL : ni);
	router_igmp_interface(r->router, p, gone ? NULL : ni);
}

/* --- effects ---------------------------------------------------------------------------------- */

static void do_send(struct router *rt, const struct action *a)
{
	struct router_port *p = &rt->ports[a->port];
	struct igmpsock_head head = {
		.source = a->send.source,
		.dst = a->send.dst,
		.ttl = a->send.ttl,
		.has_router_alert = a->send.has_router_alert,
	};
	int err = -ENODEV;

	if (p->igmp)
		err = igmpsock_send(p->igmp, &head, rt->actions.bytes + a->send.off, a->send.len);
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network, "%s: a query cannot be sent: %s", p->name,
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

static void do_event(const struct router *rt, const struct action *a)
{
	const char *name = rt->ports[a->port].name;
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
	case EVENT_PIM_NEIGHBOR: /* there is no engine that says these */
	case EVENT_PIM_DR:
	case EVENT_PIM_RP:
	case EVENT_PIM_BSR:
	case EVENT_PIM_ASSERT:
	case EVENT_PIM_LIMIT:
		return;
	}
}

static void do_action(struct router *rt, const struct action *a)
{
	switch (a->kind) {
	case ACT_SEND:
		do_send(rt, a);
		return;
	case ACT_EVENT:
		do_event(rt, a);
		return;
	case ACT_WANT:
	case ACT_UNWANT:
		router_mroute_want(rt, a->port, &a->member, a->kind == ACT_WANT);
		return;
	case ACT_JOIN:
	case ACT_LEAVE:
		router_host_join(rt, a->port, &a->member, a->kind == ACT_JOIN);
		return;
	case ACT_ROUTE: /* of PIM, which is not there */
	case ACT_UNROUTE:
	case ACT_FORWARD:
		return;
	}
}

struct actions *router_begin(struct router *rt)
{
	actions_clear(&rt->actions);
	return &rt->actions;
}

void router_end(struct router *rt)
{
	for (uint32_t i = 0; i < rt->actions.n; i++)
		do_action(rt, &rt->actions.list[i]);
	actions_clear(&rt->actions);
	router_mroute_settle(rt);
	loop_timer_set(rt->timer, mtime_min(igmp_next(rt->igmp), mtime_min(rt->age, rt->retry)));
}

static void on_time(void *arg, struct mtime now)
{
	struct router *rt = arg;

	router_mroute_tick(rt, now);
	router_data_tick(rt, now);
	igmp_tick(rt->igmp, now, router_begin(rt));
	router_end(rt);
}

/* --- its life --------------------------------------------------------------------------------- */

void router_free(struct relay *r)
{
	struct router *rt = r->router;

	if (!rt)
		return;
	router_data_close(rt);
	router_mroute_close(rt);
	router_igmp_close(rt);
	loop_timer_free(rt->timer);
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
	err = loop_timer_new(r->loop, &r->router->timer, on_time, r->router);
	if (!err)
		err = router_mroute_open(r->router);
	if (!err)
		err = router_igmp_open(r->router);
	if (!err)
		err = router_data_open(r->router);
	if (err)
		router_free(r);
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

/* Every interface that the configuration names has a port, and those of before have theirs. */
static void ports_follow(struct router *rt, const struct config_igmp *next)
{
	uint32_t upstream = ROUTER_NO_PORT;

	for (unsigned i = 0; i < ROUTER_PORTS_MAX; i++)
		rt->ports[i].has_igmp = rt->ports[i].has_sources = false;
	for (uint32_t i = 0; i < next->n_queriers; i++)
		port_has_igmp(rt, next->queriers[i], true);
	for (uint32_t i = 0; i < next->n_interfaces; i++)
		port_has_igmp(rt, next->interfaces[i].name, next->interfaces[i].mode != IGMP_OFF);
	if (*next->upstream) {
		port_has_igmp(rt, next->upstream, true);
		upstream = router_port_get(rt, next->upstream);
	}
	if (rt->upstream != upstream && rt->upstream != ROUTER_NO_PORT)
		router_data_upstream_gone(rt, rt->upstream);
	rt->upstream = upstream;
	for (uint32_t i = 0; i < next->n_sources; i++) {
		struct router_port *p = port_named(rt, next->sources[i]);

		if (p)
			p->has_sources = true;
	}
}

static void config_follow(struct router *rt, const struct config_igmp *next)
{
	if (config_igmp_equal(&rt->igmp_config, next))
		return;
	ports_follow(rt, next);
	router_mroute_follow(rt, next);
	router_igmp_follow(rt, next);
}

void router_follow(struct relay *r)
{
	bool is_wanted = config_igmp_is_on(&r->config->igmp);
	int err = is_wanted && !r->router ? router_open(r) : 0;

	if (err)
		log_err(LOG_F_network, "the router cannot start: %s", strerror(-err));
	else if (is_wanted)
		config_follow(r->router, &r->config->igmp);
	else
		router_free(r);
}
