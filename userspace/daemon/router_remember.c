/* SPDX-License-Identifier: MIT */
/*
 * Routes of a daemon before this one, by which the kernel has gone on forwarding. They stay until
 * hosts and neighbours have had the time to say again what they want. What is said meanwhile adds
 * to them; a wish that is taken back takes back what was remembered of it, too.
 */
#include <netinet/in.h>
#include <string.h>

#include "daemon/router.h"
#include "edge/log.h"

static uint32_t port_of(const struct router *rt, uint32_t ifindex)
{
	const struct netif *ni = netif_by_index(rt->relay->netifs, ifindex);

	return ni ? router_port_find(rt, ni->name) : ROUTER_NO_PORT;
}

static bool is_route(const struct plane_inherited_rule *rule)
{
	return strncmp(rule->name, "mroute:", 7) == 0 && !rule->key.port &&
	       rule->key.protocol == IPPROTO_UDP;
}

static bool remember(struct router *rt, const struct plane_inherited_rule *rule, struct mtime now)
{
	uint32_t input = port_of(rt, rule->key.ifindex), port;
	struct portset outputs = { { 0 } };
	struct sg sg;

	memcpy(&sg.source, rule->key.source, sizeof(sg.source));
	memcpy(&sg.group, rule->key.group, sizeof(sg.group));
	if (input == ROUTER_NO_PORT || !is_route(rule) ||
	    mrib_input_set(rt->mrib, now, sg, (uint16_t)input, MRIB_REMEMBERED))
		return false;
	for (unsigned i = 0; i < rule->n_outputs; i++)
		if ((port = port_of(rt, rule->ifindexes[i])) != ROUTER_NO_PORT)
			portset_add(&outputs, port);
	mrib_mark_set(rt->mrib, now, sg, &outputs, MRIB_WANTED, MRIB_REMEMBERED);
	mrib_whole_set(rt->mrib, now, sg, MRIB_REMEMBERED, true);
	mrib_tells_set(rt->mrib, now, sg, true); /* of sources PIM is to know at once */
	return true;
}

/* Routers repeat joins after 1.4 periods at most, hosts answer the first queries. */
static int64_t hold_ms(const struct config *next)
{
	const struct config_igmp_settings *igmp = &next->igmp.settings;
	int64_t hosts = (int64_t)igmp->query_interval_s * 250 +
			(int64_t)igmp->query_response_ds * 100 + 1000;
	int64_t routers = (int64_t)next->pim.engine.jp_period_ms * 3 / 2;

	if (!config_igmp_is_on(&next->igmp))
		hosts = 0;
	return router_pim_is_wanted(&next->pim) && routers > hosts ? routers : hosts;
}

void router_remember(struct router *rt, const struct config *next)
{
	static struct plane_inherited_rule rule;
	struct mtime now = loop_clock();
	unsigned n = 0;
	size_t at = 0;

	while (plane_inherited_next(rt->relay->plane, &at, &rule))
		n += remember(rt, &rule, now);
	if (!n)
		return;
	rt->forget_at = mtime_add(now, mtime_ms(hold_ms(next)));
	log_notice(LOG_F_network, "%u routes of before stay for %.0f s, to be learned again", n,
		   (double)hold_ms(next) / 1000);
}

void router_remember_tick(struct router *rt, struct mtime now)
{
	if (mtime_before(now, rt->forget_at))
		return;
	rt->forget_at = MTIME_NEVER;
	mrib_forget_origin(rt->mrib, now, MRIB_REMEMBERED);
}
