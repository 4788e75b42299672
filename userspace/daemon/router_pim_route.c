/* SPDX-License-Identifier: MIT */
/* What PIM says of routes, in the multicast routing table; and what came in Registers. */
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>

#include "daemon/router.h"
#include "edge/ipsend.h"
#include "edge/log.h"

#define TTL_AT offsetof(struct iphdr, ttl)

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

/*
 * Outputs where routers wait are PIM's, those where hosts do IGMP's. What PIM says of (S,G) has
 * all in it that it inherits of (*,G).
 */
void router_pim_route(struct router *rt, const struct act_route *route, bool is_there)
{
	static const struct portset none;
	struct mtime now = loop_now(rt->relay->loop);
	struct portset lost = is_there ? lost_ports(rt, route->sg) : none;
	bool has_input = is_there && route->iif != PORT_NONE;
	uint16_t input = has_input ? (uint16_t)route->iif : MRIB_NO_PORT;
	int err = mrib_input_set(rt->mrib, now, route->sg, input, MRIB_PIM);

	err |= mrib_mark_set(rt->mrib, now, route->sg, is_there ? &route->joined : &none,
			     MRIB_WANTED, MRIB_PIM);
	err |= mrib_mark_set(rt->mrib, now, route->sg, is_there ? &route->local : &none,
			     MRIB_WANTED, MRIB_IGMP);
	err |= mrib_mark_set(rt->mrib, now, route->sg, &lost, MRIB_BLOCKED, MRIB_PIM);
	mrib_whole_set(rt->mrib, now, route->sg, MRIB_PIM, is_there);
	mrib_whole_set(rt->mrib, now, route->sg, MRIB_IGMP, is_there);
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network, "a route of PIM has no room");
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
