/* SPDX-License-Identifier: MIT */
/*
 * Static routes in the multicast routing table: an origin like others, which takes back only what
 * is its own. Its input goes before those of others.
 */
#include <string.h>

#include "daemon/router.h"
#include "edge/log.h"

static void output_set(struct router *rt, struct sg sg, const char *interface, bool is_on)
{
	struct mtime now = loop_now(rt->relay->loop);
	uint32_t port = router_port_get(rt, interface);

	if (port == ROUTER_NO_PORT)
		return; /* which has been said */
	if (!is_on)
		mrib_del(rt->mrib, now, sg, (uint16_t)port, MRIB_WANTED, MRIB_STATIC);
	else if (mrib_add(rt->mrib, now, sg, (uint16_t)port, MRIB_WANTED, MRIB_STATIC))
		log_err(LOG_F_network, "%s: no room for an output of a static route", interface);
}

/* What `next`, the route in its place if there is any, does not have. */
static void route_remove(struct router *rt, const struct config_mroute *route,
			 const struct config_mroute *next)
{
	for (uint32_t i = 0; i < route->n_outputs; i++)
		if (!next || !config_mroute_has_output(next, route->outputs[i]))
			output_set(rt, route->sg, route->outputs[i], false);
	if (!next)
		mrib_input_set(rt->mrib, loop_now(rt->relay->loop), route->sg, MRIB_NO_PORT,
			       MRIB_STATIC);
}

static void route_add(struct router *rt, const struct config_mroute *route)
{
	uint32_t input = router_port_get(rt, route->input);

	for (uint32_t i = 0; i < route->n_outputs; i++)
		output_set(rt, route->sg, route->outputs[i], true);
	if (input != ROUTER_NO_PORT && mrib_input_set(rt->mrib, loop_now(rt->relay->loop),
						      route->sg, (uint16_t)input, MRIB_STATIC))
		log_err(LOG_F_network, "%s: no room for a static route", route->input);
}

void router_static_follow(struct router *rt, const struct config_mroutes *next)
{
	struct config_mroutes copy;

	if (config_mroutes_copy(&copy, next)) {
		log_err(LOG_F_network, "no memory for static routes");
		return;
	}
	for (uint32_t i = 0; i < rt->mroutes.n; i++)
		route_remove(rt, &rt->mroutes.list[i],
			     config_mroute_find(next, rt->mroutes.list[i].sg));
	for (uint32_t i = 0; i < next->n; i++)
		route_add(rt, &next->list[i]);
	config_mroutes_fini(&rt->mroutes);
	rt->mroutes = copy;
}
