/* SPDX-License-Identifier: MIT */
/*
 * What the data path tells: frames that no rule knows, frames that came in on another interface
 * than their route's, sources that a rule for any source has met.
 *
 * Of it, without PIM, come routes of sources. A source that sends to a group that hosts want from
 * any source is given a route of its own, with its input where the unicast routes have the source,
 * and the outputs of the group. It ends when nothing has come for a while, or when nobody wants the
 * group any more.
 */
#include "daemon/router.h"

#include <string.h>

#include "edge/log.h"

#define PUNTS_A_TURN 256
#define KEEPALIVE_MS 210000 /* RFC 7761 §4.11, Keepalive_Period */
#define AGE_EVERY_MS 10000

/* --- what is told ----------------------------------------------------------------------------- */

void router_punt(struct router *rt, uint32_t port, struct sg sg, enum mcr_punt_kind kind,
		 uint64_t packets, uint64_t bytes)
{
	struct rpf_answer rpf;

	(void)packets;
	(void)bytes;
	if (!router_mroute_is_wanted(rt, sg.group) || !router_mroute_rpf(rt, sg, &rpf))
		return;
	/* what has not come the right way proves nothing, but that it must not be forwarded */
	if (port != rpf.port && kind != MCR_PUNT_source)
		return;
	if (mrib_input_set(rt->mrib, loop_now(rt->relay->loop), sg, rpf.port, MRIB_IGMP))
		log_limited(LOG_L_WARNING, LOG_F_network,
			    "%s: a source sends that there is no room for", rt->ports[port].name);
}

static uint32_t port_by_ifindex(const struct router *rt, uint32_t ifindex)
{
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		if (rt->ports[i].ifindex == ifindex)
			return i;
	return ROUTER_NO_PORT;
}

static void on_punt(void *arg, const struct mcr_punt *punt)
{
	struct router *rt = arg;
	uint32_t port = port_by_ifindex(rt, punt->ifindex);
	struct sg sg;

	memcpy(&sg.source, punt->source, sizeof(sg.source));
	memcpy(&sg.group, punt->group, sizeof(sg.group));
	if (port != ROUTER_NO_PORT)
		router_punt(rt, port, sg, (enum mcr_punt_kind)punt->kind, punt->packets,
			    punt->bytes);
}

static void on_events(void *arg, struct mtime now, uint32_t events)
{
	struct router *rt = arg;

	(void)now;
	(void)events;
	router_begin(rt);
	plane_punts(rt->relay->plane, PUNTS_A_TURN, on_punt, rt);
	router_end(rt);
}

/* --- age -------------------------------------------------------------------------------------- */

/* It has its route because it was heard, and not for a while now. */
static bool is_silent(const struct router *rt, const struct mrib_route *route, struct mtime now)
{
	struct mtime last = route->created;
	struct route_seen seen;
	char id[RULE_ID_LEN];

	if (!route->sg.source.net || route->n_ports || route->inputs[MRIB_IGMP] == MRIB_NO_PORT)
		return false;
	mrib_rule_id(route->sg, MRIB_RULE_MAIN, id);
	if (relay_route_seen(rt->relay, id, &seen) && mtime_before(last, seen.last))
		last = seen.last;
	return mtime_before(mtime_add(last, mtime_ms(KEEPALIVE_MS)), now);
}

void router_data_tick(struct router *rt, struct mtime now)
{
	static struct sg silent[256]; /* the rest next time */
	struct mrib_route route;
	const void *at = NULL;
	unsigned n = 0;

	if (mtime_before(now, rt->age))
		return;
	rt->age = mtime_add(now, mtime_ms(AGE_EVERY_MS));
	while (n < sizeof(silent) / sizeof(silent[0]) && mrib_next(rt->mrib, &at, &route))
		if (is_silent(rt, &route, now))
			silent[n++] = route.sg;
	for (unsigned i = 0; i < n; i++)
		mrib_input_set(rt->mrib, now, silent[i], MRIB_NO_PORT, MRIB_IGMP);
}

/* --- its life --------------------------------------------------------------------------------- */

int router_data_open(struct router *rt)
{
	rt->age = mtime_add(loop_clock(), mtime_ms(AGE_EVERY_MS));
	return loop_fd_add(rt->relay->loop, plane_punts_fd(rt->relay->plane), EPOLLIN, on_events,
			   rt);
}

void router_data_close(struct router *rt)
{
	loop_fd_del(rt->relay->loop, plane_punts_fd(rt->relay->plane));
}
