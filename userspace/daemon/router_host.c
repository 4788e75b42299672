/* SPDX-License-Identifier: MIT */
/*
 * The host's side of IGMP: groups that this router joins as a host does, for itself and for a
 * proxy's hosts. The kernel reports them and answers queries. They are apart from the joins of
 * rules, so that a source that is excluded here is only excluded while no rule asks for it; and
 * the rules of routes join nothing on the proxy's upstream, lest they ask for more than hosts do.
 */
#include <string.h>

#include "daemon/router.h"
#include "edge/log.h"

static int host_join(struct router *rt, uint32_t ifindex, const struct act_member *m)
{
	if (m->mode == WANT_EXCLUDE)
		return membership_block(rt->joins, ifindex, m->sg.group, m->sg.source);
	return membership_join(rt->joins, ifindex, m->sg.group, m->sg.source);
}

static void host_leave(struct router *rt, uint32_t ifindex, const struct act_member *m)
{
	if (m->mode == WANT_EXCLUDE)
		membership_unblock(rt->joins, ifindex, m->sg.group, m->sg.source);
	else
		membership_leave(rt->joins, ifindex, m->sg.group, m->sg.source);
}

void router_host_join(struct router *rt, uint32_t port, const struct act_member *m, bool is_on)
{
	struct router_port *p = &rt->ports[port];
	int err;

	if (!is_on) {
		host_leave(rt, p->ifindex, m);
		return;
	}
	err = host_join(rt, p->ifindex, m);
	if (!err)
		return;
	rt->join_failures++;
	log_limited(LOG_L_WARNING, LOG_F_network, "%s: a group cannot be joined: %s", p->name,
		    strerror(-err));
}

bool router_host_is_on(const struct relay *r, const char *interface)
{
	const struct router *rt = r->router;

	return rt && rt->upstream != ROUTER_NO_PORT &&
	       strcmp(rt->ports[rt->upstream].name, interface) == 0;
}

void router_host_follow(struct router *rt)
{
	struct relay *r = rt->relay;

	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live)) {
		if (live->origin == ORIGIN_STATIC || !live->is_programmed)
			continue;
		port_leave(r, live);
		port_join(r, live);
	}
}
