/* SPDX-License-Identifier: MIT */
/* What PIM says of routes, in the multicast routing table; and what came in Registers. */
#include <errno.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/router.h"
#include "edge/ipsend.h"
#include "edge/log.h"

#define TTL_AT		 offsetof(struct iphdr, ttl)
#define LOOK_MS		 10000
#define LOOK_AT_RATES_MS 1000

/* Ports where another router has won the Assert. */
static struct portset lost_ports(const struct router *rt, struct sg sg)
{
	struct pim_branch_info b;
	struct portset lost = { { 0 } };

	for (uint32_t i = 0; pim_branch_info(rt->pim, sg, i, &b); i++)
		if (b.assert == PIM_ASSERT_LOSER)
			portset_add(&lost, b.port);
	return lost;
}

static void register_set(struct router *rt, const struct act_route *route, bool is_there)
{
	const struct ip4 none = { 0 };

	mrib_register_set(rt->mrib, loop_now(rt->relay->loop), route->sg,
			  is_there ? route->register_to : none,
			  is_there ? route->register_from : none);
}

/*
 * After a restart the engine does not know yet that packets come on the shortest path. Where that
 * was so before, and still leads to the source, it is not given up for the shared tree meanwhile.
 */
static bool keeps_to_spt(const struct router *rt, const struct act_route *route)
{
	struct mrib_route known;
	struct rpf_answer rpf;

	return route->sg.source.net && !route->is_spt && mrib_find(rt->mrib, route->sg, &known) &&
	       known.inputs[MRIB_REMEMBERED] != MRIB_NO_PORT &&
	       router_mroute_rpf(rt, route->sg, &rpf) && rpf.port == known.inputs[MRIB_REMEMBERED];
}

/*
 * Outputs where routers wait are PIM's, those where hosts do IGMP's. What PIM says of (S,G) has
 * all in it that it inherits of (*,G).
 */
void router_pim_route(struct router *rt, const struct act_route *route, bool is_there)
{
	static const struct portset none;
	struct mtime now = loop_now(rt->relay->loop);
	struct portset lost = is_there ? lost_ports(rt, route->sg) : none;
	bool has_input = is_there && route->iif != PORT_NONE && !keeps_to_spt(rt, route);
	uint16_t input = has_input ? (uint16_t)route->iif : MRIB_NO_PORT;
	int err = mrib_input_set(rt->mrib, now, route->sg, input, MRIB_PIM);

	err |= mrib_mark_set(rt->mrib, now, route->sg, is_there ? &route->joined : &none,
			     MRIB_WANTED, MRIB_PIM);
	err |= mrib_mark_set(rt->mrib, now, route->sg, is_there ? &route->local : &none,
			     MRIB_WANTED, MRIB_IGMP);
	err |= mrib_mark_set(rt->mrib, now, route->sg, &lost, MRIB_BLOCKED, MRIB_PIM);
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network, "a route of PIM has no room");
	mrib_whole_set(rt->mrib, now, route->sg, MRIB_PIM, is_there);
	mrib_whole_set(rt->mrib, now, route->sg, MRIB_IGMP, is_there);
	if (!route->sg.source.net)
		return;
	register_set(rt, route, is_there);
	/* the first packet on the shortest path is to be heard of at once */
	mrib_tells_set(rt->mrib, now, route->sg, is_there && !route->is_spt);
}

/* --- sources that go on sending --------------------------------------------------------------- */

/* What came by a route since the last look, about: its rate is that of the last second. */
static void look_at(struct router *rt, const struct mrib_route *route, struct mtime now,
		    int64_t period_ms)
{
	struct pim_data data = { .port = route->input, .sg = route->sg, .packets = 1 };
	struct route_seen seen;
	char id[RULE_ID_LEN];

	mrib_rule_id(route->sg, MRIB_RULE_MAIN, id);
	if (!relay_route_seen(rt->relay, id, &seen) ||
	    mtime_before(seen.last, mtime_sub(now, mtime_ms(period_ms))))
		return;
	if (seen.packets)
		data.bytes = seen.bytes / seen.packets * seen.pps * (uint64_t)period_ms / 1000;
	router_pim_data(rt, &data);
}

static bool is_of_source(const struct mrib_route *route)
{
	return route->sg.source.net && route->inputs[MRIB_PIM] != MRIB_NO_PORT;
}

/* Often enough that nothing that sends is forgotten in between. */
static int64_t look_ms(const struct pim_config *c)
{
	int64_t most = c->spt == PIM_SPT_THRESHOLD ? LOOK_AT_RATES_MS : LOOK_MS;
	int64_t third = c->keepalive_ms / 3;

	return third < most ? third : most;
}

struct mtime router_pim_look(struct router *rt, struct mtime now)
{
	int64_t period_ms = look_ms(&rt->pim_engine_config);
	struct mrib_route *list = calloc(mrib_counts(rt->mrib).routes + 1u, sizeof(*list));
	const void *at = NULL;
	uint32_t n = 0;

	while (list && mrib_next(rt->mrib, &at, &list[n]))
		n += is_of_source(&list[n]);
	for (uint32_t i = 0; i < n; i++)
		look_at(rt, &list[i], now, period_ms);
	if (!list)
		log_err(LOG_F_network, "no memory to look at what sources send");
	free(list);
	return mtime_ms(period_ms);
}

/* --- packets that came in Registers ----------------------------------------------------------- */

/* TTL one less. The kernel does the checksum. */
void router_pim_forward(struct router *rt, const struct act_forward *f, const uint8_t *packet)
{
	static uint8_t copy[ACTIONS_BYTES];
	int err = 0;

	memcpy(copy, packet, f->len);
	if (f->len < sizeof(struct iphdr) || copy[TTL_AT] <= 1) {
		rt->pim_unforwarded++;
		return;
	}
	copy[TTL_AT]--;
	for (uint32_t port = portset_next(&f->ports, 0); port != PORT_NONE;
	     port = portset_next(&f->ports, port + 1)) {
		err = rt->ports[port].ifindex
			      ? ipsend_packet(rt->tx, rt->ports[port].ifindex, copy, f->len)
			      : -ENODEV;
		if (err)
			rt->pim_unforwarded++;
		else
			rt->pim_forwarded++;
	}
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network,
			    "a packet that came in a Register cannot be sent: %s", strerror(-err));
}
