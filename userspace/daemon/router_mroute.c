/* SPDX-License-Identifier: MIT */
/*
 * What is wanted becomes rules: wishes go into the multicast routing table, the input of each
 * source comes from the kernel's unicast routes, and what has changed there is put in force.
 *
 * Traffic of any source, (*,G), is taken from the first of source_interfaces; a source that is
 * heard gets a route of its own, with its input where the unicast routes have it (router_data.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/router.h"
#include "edge/log.h"

#define ROUTES_MAX	 20000
#define ROUTE_PORTS_MAX	 65536
#define UNICAST_MAX	 131072
#define SOURCES_OF_GROUP 1024
#define RETRY_MS	 1000 /* counter rows of rules that are gone are free again by then */

/* --- memory ----------------------------------------------------------------------------------- */

/* PIM keeps what a boundary stops off its trees; but a source beside one is on no tree. */
static bool may_pass(const void *arg, uint16_t port, struct ip4 group)
{
	const struct router *rt = arg;

	return !rt->pim || pim_may_pass(rt->pim, port, group);
}

static int tables_init(struct router *rt, struct arena *mem, uint32_t seed)
{
	const struct mrib_config mrib = {
		.max_routes = ROUTES_MAX,
		.max_ports = ROUTE_PORTS_MAX,
		.max_sources = SOURCES_OF_GROUP,
		.max_route_ports = ROUTER_PORTS_MAX,
		.seed = seed,
		.may_pass = may_pass,
		.arg = rt,
	};
	const struct rpf_config rpf = {
		.max_routes = UNICAST_MAX,
		.max_hops = UNICAST_MAX,
		.choice = RPF_BY_HASH,
		.seed = seed,
	};

	rt->mrib = mrib_init(mem, &mrib);
	rt->rpf = rpf_init(mem, &rpf);
	return rt->mrib && rt->rpf ? 0 : -ENOMEM;
}

static void routes_load(struct router *rt)
{
	struct fib_view view = route_view(rt->unicast);
	int err = rpf_load(rt->rpf, &view);

	if (err)
		log_limited(LOG_L_ERR, LOG_F_network,
			    "the unicast routes are not followed any more: %zu are too many",
			    view.n_routes);
}

static void on_routes(void *arg, struct mtime now)
{
	struct router *rt = arg;

	(void)now;
	routes_load(rt);
	router_begin(rt);
	router_end(rt);
}

int router_mroute_open(struct router *rt)
{
	struct arena mem = { 0 };
	uint32_t seed;
	int err;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	tables_init(rt, &mem, seed); /* takes the measure */
	mem.size = mem.used;
	mem.used = 0;
	rt->retry = MTIME_NEVER;
	mem.mem = rt->mroute_memory = calloc(1, mem.size);
	err = mem.mem ? tables_init(rt, &mem, seed) : -ENOMEM;
	if (!err)
		err = route_open(&rt->unicast, rt->relay->loop, on_routes, rt);
	if (!err)
		routes_load(rt);
	return err;
}

/* --- to the data path ------------------------------------------------------------------------- */

/* Who says where it comes in. */
static enum rule_origin origin_of(const struct router *rt, struct sg sg)
{
	struct mrib_route route;

	if (!mrib_find(rt->mrib, sg, &route))
		return ORIGIN_IGMP;
	if (route.input_by == MRIB_STATIC)
		return ORIGIN_MROUTE;
	if (route.input_by == MRIB_PIM)
		return ORIGIN_PIM;
	return ORIGIN_IGMP;
}

static void rule_put_in_force(struct router *rt, struct sg sg, enum mrib_rule_kind kind)
{
	struct diag d = { 0 };
	struct mrib_rule r;

	if (!mrib_rule(rt->mrib, sg, kind, &r)) {
		relay_unroute(rt->relay, r.rule.id);
		return;
	}
	if (relay_route(rt->relay, &r.rule, origin_of(rt, sg), &d)) {
		rt->route_failures++;
		rt->retry = mtime_add(loop_now(rt->relay->loop), mtime_ms(RETRY_MS));
		log_limited(LOG_L_ERR, LOG_F_rules, "%s: %s", r.rule.id, d.what);
	}
}

static void put_in_force(struct router *rt, struct sg sg)
{
	rule_put_in_force(rt, sg, MRIB_RULE_MAIN);
	rule_put_in_force(rt, sg, MRIB_RULE_GUARD);
}

void router_mroute_close(struct router *rt, bool stays)
{
	struct sg sg;

	for (enum mrib_origin o = MRIB_STATIC; rt->mrib && !stays && o < MRIB_ORIGINS; o++)
		mrib_forget_origin(rt->mrib, loop_now(rt->relay->loop), o);
	while (rt->mrib && !stays && mrib_dirty_next(rt->mrib, &sg))
		put_in_force(rt, sg);
	for (unsigned i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		port_listen(rt->relay, rt->ports[i].name, false);
	route_close(rt->unicast);
	free(rt->mroute_memory);
}

/* --- inputs ----------------------------------------------------------------------------------- */

static bool may_route(const struct router *rt, uint16_t port)
{
	return port != RPF_NO_PORT && router_port_routes(&rt->ports[port]);
}

bool router_mroute_rpf(const struct router *rt, struct sg sg, struct rpf_answer *out)
{
	const struct rpf_query q = { .address = sg.source, .group = sg.group };

	if (rpf_lookup(rt->rpf, &q, out) == RPF_ok && may_route(rt, out->port))
		return true;
	if (rt->upstream == ROUTER_NO_PORT)
		return false;
	out->port = (uint16_t)rt->upstream; /* a proxy takes from there what is nowhere else */
	return true;
}

bool router_mroute_is_wanted(const struct router *rt, struct ip4 group)
{
	struct mrib_route star;

	return mrib_find(rt->mrib, (struct sg){ .group = group }, &star) && star.n_ports &&
	       (star.input == MRIB_NO_PORT || star.input_by != MRIB_STATIC);
}

/* A source that has a route because it sends, and goes where its group is wanted. */
static bool is_heard(const struct router *rt, const struct mrib_route *route)
{
	return route->sg.source.net && route->inputs[MRIB_IGMP] != MRIB_NO_PORT &&
	       router_mroute_is_wanted(rt, route->sg.group);
}

static void input_set(struct router *rt, struct mtime now, struct sg sg)
{
	uint16_t port = MRIB_NO_PORT;
	struct mrib_route route;
	struct rpf_answer rpf;

	if (!mrib_find(rt->mrib, sg, &route))
		return;
	if (!route.n_ports && !is_heard(rt, &route)) /* an input of ours would keep it */
		port = MRIB_NO_PORT;
	else if (!sg.source.net)
		port = (uint16_t)rt->any_source_port;
	else if (router_mroute_rpf(rt, sg, &rpf))
		port = rpf.port;
	mrib_input_set(rt->mrib, now, sg, port, MRIB_IGMP);
}

/* Unicast routes, links or interfaces have changed: where does everything come from now? */
static void inputs_set(struct router *rt, struct mtime now)
{
	struct mrib_counts counts = mrib_counts(rt->mrib);
	struct sg *list = calloc(counts.routes + 1u, sizeof(*list));
	struct mrib_route route;
	const void *at = NULL;
	uint32_t n = 0;

	if (!list) {
		log_err(LOG_F_network, "no memory to follow the unicast routes");
		return;
	}
	while (n < counts.routes && mrib_next(rt->mrib, &at, &route))
		list[n++] = route.sg;
	for (uint32_t i = 0; i < n; i++)
		input_set(rt, now, list[i]);
	free(list);
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* Those that have a route because they send: nobody wants the group any more. */
static void sources_end(struct router *rt, struct mtime now, struct ip4 group)
{
	static struct ip4 sources[SOURCES_OF_GROUP];
	unsigned n = mrib_sources(rt->mrib, group, sources, SOURCES_OF_GROUP);

	for (unsigned i = 0; i < n; i++)
		input_set(rt, now, (struct sg){ .source = sources[i], .group = group });
}

void router_mroute_want(struct router *rt, uint32_t port, const struct act_member *m, bool is_on)
{
	enum mrib_mark mark = m->mode == WANT_INCLUDE ? MRIB_WANTED : MRIB_PRUNED;
	struct mtime now = loop_now(rt->relay->loop);

	if (!m->sg.source.net)
		mark = MRIB_WANTED;
	if (!is_on)
		mrib_del(rt->mrib, now, m->sg, (uint16_t)port, mark, MRIB_IGMP);
	else if (mrib_add(rt->mrib, now, m->sg, (uint16_t)port, mark, MRIB_IGMP))
		log_limited(LOG_L_WARNING, LOG_F_network,
			    "%s: a group is wanted that there is no room for",
			    rt->ports[port].name);
	if (mark != MRIB_WANTED)
		return;
	input_set(rt, now, m->sg);
	if (!m->sg.source.net && !router_mroute_is_wanted(rt, m->sg.group))
		sources_end(rt, now, m->sg.group);
}

void router_mroute_settle(struct router *rt)
{
	struct sg sg;

	if (rt->rpf_seen != rpf_generation(rt->rpf)) {
		rt->rpf_seen = rpf_generation(rt->rpf);
		if (rt->pim)
			router_pim_rpf_changed(rt);
		else
			inputs_set(rt, loop_now(rt->relay->loop));
	}
	while (mrib_dirty_next(rt->mrib, &sg))
		put_in_force(rt, sg);
}

/* All routes again; those that are in force stay as they are. */
void router_mroute_tick(struct router *rt, struct mtime now)
{
	struct mrib_route route;
	const void *at = NULL;

	if (mtime_before(now, rt->retry))
		return;
	rt->retry = MTIME_NEVER;
	while (mrib_next(rt->mrib, &at, &route))
		put_in_force(rt, route.sg);
}

/* --- interfaces ------------------------------------------------------------------------------- */

/* NULL when it is not there. */
void router_mroute_interface(struct router *rt, const struct router_port *p, const struct netif *ni)
{
	rpf_port_set(rt->rpf, (uint16_t)(p - rt->ports), ni ? ni->ifindex : 0, ni && ni->is_up);
}

void router_mroute_follow(struct router *rt, const struct config_igmp *next)
{
	rt->any_source_port = rt->upstream;
	if (rt->upstream == ROUTER_NO_PORT && next->n_sources)
		rt->any_source_port = router_port_get(rt, next->sources[0]);
	if (rt->any_source_port == ROUTER_NO_PORT)
		rt->any_source_port = MRIB_NO_PORT;
	for (uint16_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++) {
		const struct router_port *p = &rt->ports[i];
		struct mrib_port port = { 0 };

		if (router_port_routes(p))
			memcpy(port.name, p->name, sizeof(port.name));
		else
			mrib_forget_port(rt->mrib, loop_now(rt->relay->loop), i);
		mrib_port_set(rt->mrib, i, &port);
		port_listen(rt->relay, p->name, port.name[0] != '\0');
		router_mroute_interface(rt, p, netif_by_name(rt->relay->netifs, p->name));
	}
	if (!rt->pim)
		inputs_set(rt, loop_now(rt->relay->loop));
}

void router_mroute_handover(struct router *rt)
{
	struct mtime now = loop_now(rt->relay->loop);

	mrib_forget_origin(rt->mrib, now, MRIB_PIM);
	mrib_forget_origin(rt->mrib, now, MRIB_IGMP);
	igmp_retell(rt->igmp);
}
