/* SPDX-License-Identifier: MIT */
/*
 * What the data path tells: frames that no rule knows, frames that came in on another interface
 * than their route's, sources that a rule for any source has met.
 *
 * Of it, without PIM, come routes of sources. A source that sends to a group that hosts want from
 * any source is given a route of its own, with its input where the unicast routes have the source,
 * and the outputs of the group. It ends when nothing has come for a while, or when nobody wants the
 * group any more. With PIM, PIM is told. A proxy forwards upstream what hosts send, whoever wants
 * it (RFC 4605 §4.2).
 */
#include "daemon/router.h"

#include <errno.h>
#include <string.h>

#include "edge/log.h"

#define PUNTS_A_TURN	64
#define KEEPALIVE_MS	210000 /* RFC 7761 §4.11, Keepalive_Period */
#define AGE_EVERY_MS	10000
#define ROUTES_OF_HOSTS 8192 /* beyond so many, what hosts send makes no more of them */

/* --- what is told ----------------------------------------------------------------------------- */

static void forward_upstream(struct router *rt, struct sg sg)
{
	int err = -ENOSPC;

	if (mrib_counts(rt->mrib).routes < ROUTES_OF_HOSTS)
		err = mrib_add(rt->mrib, loop_now(rt->relay->loop), sg, (uint16_t)rt->upstream,
			       MRIB_WANTED, MRIB_IGMP);
	if (!err)
		return;
	rt->host_sources_refused++;
	log_limited(LOG_L_WARNING, LOG_F_network, "%s: hosts send more than there is room for",
		    rt->ports[rt->upstream].name);
}

void router_punt(struct router *rt, uint32_t port, struct sg sg, enum mcr_punt_kind kind,
		 uint64_t packets, uint64_t bytes)
{
	struct rpf_answer rpf;
	bool is_for_upstream;

	if (rt->pim) {
		router_pim_data(rt, &(struct pim_data){ port, sg, packets, bytes });
		return;
	}
	if (!router_mroute_rpf(rt, sg, &rpf))
		return;
	is_for_upstream = port == rpf.port && rt->upstream != ROUTER_NO_PORT &&
			  port != rt->upstream && rt->ports[port].has_igmp;
	if (is_for_upstream)
		forward_upstream(rt, sg);
	if (!is_for_upstream && !router_mroute_is_wanted(rt, sg.group))
		return;
	/* what has not come the right way proves nothing, but that it must not be forwarded */
	if (port != rpf.port && kind != MCR_PUNT_source)
		return;
	if (mrib_input_set(rt->mrib, loop_now(rt->relay->loop), sg, rpf.port, MRIB_IGMP))
		log_limited(LOG_L_WARNING, LOG_F_network,
			    "%s: a source sends that there is no room for", rt->ports[port].name);
}

static void on_punt(void *arg, const struct mcr_punt *punt)
{
	struct router *rt = arg;
	uint32_t port = router_port_by_ifindex(rt, punt->ifindex);
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

static bool is_forwarded_upstream(const struct router *rt, struct sg sg)
{
	return rt->upstream != ROUTER_NO_PORT &&
	       mrib_is_marked(rt->mrib, sg, (uint16_t)rt->upstream, MRIB_WANTED, MRIB_IGMP);
}

static void silent_end(struct router *rt, struct mtime now, struct sg sg)
{
	if (rt->upstream != ROUTER_NO_PORT)
		mrib_del(rt->mrib, now, sg, (uint16_t)rt->upstream, MRIB_WANTED, MRIB_IGMP);
	mrib_input_set(rt->mrib, now, sg, MRIB_NO_PORT, MRIB_IGMP);
}

/* It has its route because it was heard, and not for a while now. */
static bool is_silent(const struct router *rt, const struct mrib_route *route, struct mtime now)
{
	struct mtime last = route->created;
	struct route_seen seen;
	char id[RULE_ID_LEN];

	if (!route->sg.source.net || route->inputs[MRIB_IGMP] == MRIB_NO_PORT ||
	    route->n_ports > is_forwarded_upstream(rt, route->sg))
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
	if (rt->pim) {
		rt->age = mtime_add(now, router_pim_look(rt, now));
		return;
	}
	while (n < sizeof(silent) / sizeof(silent[0]) && mrib_next(rt->mrib, &at, &route))
		if (is_silent(rt, &route, now))
			silent[n++] = route.sg;
	for (unsigned i = 0; i < n; i++)
		silent_end(rt, now, silent[i]);
}

/* The proxy has another upstream: what hosts send is met again, and then goes there. */
void router_data_upstream_gone(struct router *rt, uint32_t port)
{
	struct mtime now = loop_now(rt->relay->loop);
	struct mrib_route route;
	const void *at = NULL;

	/* routes stay where they are in the walk: they are freed when their rules have followed */
	while (mrib_next(rt->mrib, &at, &route))
		mrib_del(rt->mrib, now, route.sg, (uint16_t)port, MRIB_WANTED, MRIB_IGMP);
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
