/* SPDX-License-Identifier: MIT */
/*
 * For tests: a network of PIM routers on a virtual clock. Links lose, repeat and reorder control
 * packets; unicast routes are shortest paths over what is up; the data path is a table of what the
 * routers said. Link L has 198.18.L.0/24, router R the address .R+1 on it and 10.255.0.R+1 of its
 * own; hosts are .100 and above. What fails names the seed.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/pim.h"

#define NET_ROUTERS 8
#define NET_LINKS   12
#define NET_FLIGHT  4096
#define NET_ROUTES  64
#define NET_HOPS    16

struct flight {
	struct mtime at;
	uint32_t to, port;
	struct ip4 source, dst;
	uint8_t ttl;
	uint16_t len;
	uint8_t bytes[1500];
};

struct net_router {
	struct pim *e;
	void *mem;
	struct net *net;
	uint32_t index, n_ports, n_routes;
	uint32_t links[NET_LINKS]; /* of its ports */
	struct act_route routes[NET_ROUTES];
	struct pim_config cfg;
	uint32_t prefers; /* a router that it goes by when paths are equal, + 1 */
	bool is_down;
};

struct net {
	struct mtime now;
	struct random random;
	uint64_t seed;
	uint32_t n_routers, n_links, n_flight;
	uint32_t loss, repeat; /* in a thousand */
	bool is_cut[NET_LINKS];
	struct net_router routers[NET_ROUTERS];
	struct flight flight[NET_FLIGHT];
	struct actions out;
	uint32_t arrived[NET_LINKS]; /* copies of data that hosts on the link got */
	uint32_t registers, loops, max_copies;
};

#define net_demand(n, holds, ...)                                                                  \
	do {                                                                                       \
		if (!(holds)) {                                                                    \
			printf("seed %llu, %lld ms: ", (unsigned long long)(n)->seed,              \
			       (long long)(n)->now.us / 1000);                                     \
			printf(__VA_ARGS__);                                                       \
			printf(" (%s:%d)\n", __FILE__, __LINE__);                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static inline struct ip4 net_addr(uint32_t link, uint32_t host)
{
	return ip4_from_host(0xc6120000u | link << 8 | host);
}

static inline struct ip4 net_own(uint32_t router)
{
	return ip4_from_host(0x0aff0000u | (router + 1));
}

/* --- unicast routes ----------------------------------------------------------------------- */

static inline bool net_is_on(const struct net *n, uint32_t router, uint32_t link, uint32_t *port)
{
	const struct net_router *r = &n->routers[router];

	for (uint32_t i = 0; i < r->n_ports; i++)
		if (r->links[i] == link && !n->is_cut[link] && !r->is_down) {
			*port = i;
			return true;
		}
	return false;
}

static inline bool net_has(const struct net *n, uint32_t router, struct ip4 to)
{
	uint32_t host = ip4_host(to), port;

	if (ip4_equal(net_own(router), to))
		return true;
	return host >> 16 == 0xc612 && net_is_on(n, router, host >> 8 & 0xff, &port);
}

/* Hops from each router to what has `to`. */
static inline void net_distances(const struct net *n, struct ip4 to, uint32_t *d)
{
	uint32_t port;

	for (uint32_t i = 0; i < n->n_routers; i++)
		d[i] = !n->routers[i].is_down && net_has(n, i, to) ? 0 : NET_HOPS;
	for (uint32_t round = 0; round < n->n_routers; round++)
		for (uint32_t i = 0; i < n->n_routers; i++)
			for (uint32_t p = 0; p < n->routers[i].n_ports; p++)
				for (uint32_t k = 0; k < n->n_routers; k++) {
					uint32_t link = n->routers[i].links[p];

					if (net_is_on(n, i, link, &port) &&
					    net_is_on(n, k, link, &port) && d[k] + 1 < d[i])
						d[i] = d[k] + 1;
				}
}

static inline bool net_rpf(const void *arg, struct ip4 to, struct pim_rpf *out)
{
	const struct net_router *r = arg;
	const struct net *n = r->net;
	uint32_t d[NET_ROUTERS], best = NET_HOPS, other;

	*out = (struct pim_rpf){ .port = PORT_NONE, .preference = 110 };
	if (ip4_host(to) >> 16 == 0xc612 &&
	    net_is_on(n, r->index, ip4_host(to) >> 8 & 0xff, &out->port)) {
		out->is_connected = true;
		return true;
	}
	net_distances(n, to, d);
	out->metric = d[r->index];
	for (uint32_t p = 0; p < r->n_ports; p++)
		for (uint32_t k = 0; k < n->n_routers; k++) {
			bool is_liked = r->prefers == k + 1 && d[k] <= best;

			if (k == r->index || !net_is_on(n, r->index, r->links[p], &other) ||
			    !net_is_on(n, k, r->links[p], &other) || d[k] >= d[r->index] ||
			    (d[k] >= best && !is_liked))
				continue;
			best = d[k];
			out->port = p;
			out->next_hop = net_addr(r->links[p], k + 1);
		}
	return out->port != PORT_NONE;
}

/* --- control packets ---------------------------------------------------------------------- */

static inline void net_fly(struct net *n, struct flight f, const void *bytes)
{
	uint32_t copies = 1;

	if (random_in(&n->random, 1, 1000) <= n->loss)
		copies = 0;
	else if (random_in(&n->random, 1, 1000) <= n->repeat)
		copies = 2;
	while (copies-- > 0) {
		net_demand(n, n->n_flight < NET_FLIGHT, "too many packets in flight");
		f.at = mtime_add(n->now, (struct mtime){ random_in(&n->random, 500, 5000) });
		n->flight[n->n_flight] = f;
		memcpy(n->flight[n->n_flight++].bytes, bytes, f.len);
	}
}

static inline void net_to_link(struct net *n, struct net_router *from, const struct action *a)
{
	uint32_t link = from->links[a->port], port;
	bool is_all = ip4_is_multicast(a->send.dst);

	if (n->is_cut[link])
		return;
	for (uint32_t k = 0; k < n->n_routers; k++)
		if (k != from->index && net_is_on(n, k, link, &port) &&
		    (is_all || ip4_equal(a->send.dst, net_addr(link, k + 1))))
			net_fly(n, (struct flight){ .to = k, .port = port, .source = a->send.source,
						    .dst = a->send.dst, .ttl = a->send.ttl,
						    .len = a->send.len },
				n->out.bytes + a->send.off);
}

static inline void net_to_host(struct net *n, struct net_router *from, struct ip4 source,
			       struct ip4 dst, const void *bytes, uint16_t len)
{
	uint32_t d[NET_ROUTERS];

	net_distances(n, dst, d);
	for (uint32_t k = 0; d[from->index] < NET_HOPS && k < n->n_routers; k++)
		if (d[k] == 0 && (ip4_equal(dst, net_own(k)) || (ip4_host(dst) & 0xff) == k + 1))
			net_fly(n, (struct flight){ .to = k, .source = source, .dst = dst,
						    .ttl = 60, .len = len },
				bytes);
}

static inline struct act_route *net_route(struct net_router *r, struct sg sg)
{
	for (uint32_t i = 0; i < r->n_routes; i++)
		if (sg_equal(r->routes[i].sg, sg))
			return &r->routes[i];
	return NULL;
}

static inline void net_learn(struct net *n, struct net_router *r, const struct action *a)
{
	struct act_route *have = net_route(r, a->route.sg);

	if (a->kind == ACT_UNROUTE) {
		net_demand(n, have, "a route that was never said is taken back");
		*have = r->routes[--r->n_routes];
		return;
	}
	if (!have) {
		net_demand(n, r->n_routes < NET_ROUTES, "too many routes");
		have = &r->routes[r->n_routes++];
	}
	*have = a->route;
}

static inline void net_copies(struct net *n, struct net_router *r, const struct portset *ports,
			      uint32_t iif, struct sg sg, uint32_t hops);

static inline void net_take(struct net *n, struct net_router *r)
{
	struct action list[16];
	uint32_t n_list = 0;
	struct sg sgs[16];

	for (uint32_t i = 0; i < n->out.n; i++) {
		const struct action *a = &n->out.list[i];

		if (a->kind == ACT_SEND && a->port == PORT_NONE)
			net_to_host(n, r, a->send.source, a->send.dst, n->out.bytes + a->send.off,
				    a->send.len);
		else if (a->kind == ACT_SEND)
			net_to_link(n, r, a);
		else if (a->kind == ACT_ROUTE || a->kind == ACT_UNROUTE)
			net_learn(n, r, a);
		if (a->kind == ACT_FORWARD && n_list < 16) {
			memcpy(&sgs[n_list].source, n->out.bytes + a->forward.off + 12, 4);
			memcpy(&sgs[n_list].group, n->out.bytes + a->forward.off + 16, 4);
			list[n_list++] = *a;
		}
	}
	actions_clear(&n->out);
	/* Copies make other routers act, which uses the same list. */
	for (uint32_t i = 0; i < n_list; i++)
		net_copies(n, r, &list[i].forward.ports, PORT_NONE, sgs[i], 1);
	while (pim_next(r->e).us <= 0) {
		pim_tick(r->e, n->now, &n->out);
		net_take(n, r);
	}
}

/* --- data --------------------------------------------------------------------------------- */

static inline void net_register(struct net *n, struct net_router *r, const struct act_route *route)
{
	uint8_t b[64] = { 0 }, inner[20] = { 0x45, [3] = 20, [8] = 8, [9] = 17 };
	struct wr w = wr_init(b, sizeof(b));
	uint32_t sum = 0;

	memcpy(inner + 12, &route->sg.source.net, 4);
	memcpy(inner + 16, &route->sg.group.net, 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)inner[i] << 8 | inner[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	inner[10] = (uint8_t)(sum >> 8);
	inner[11] = (uint8_t)sum;
	pim_begin(&w, PIM_REGISTER, 0);
	wr_u32(&w, 0);
	wr_bytes(&w, inner, sizeof(inner));
	pim_end(&w);
	n->registers++;
	net_to_host(n, r, route->register_from, route->register_to, b, (uint16_t)wr_len(&w));
}

/* A packet comes in at a port: what the data path does with it, and what it tells the engine. */
static inline void net_packet(struct net *n, struct net_router *r, uint32_t port, struct sg sg,
			      uint32_t hops)
{
	struct pim_data d = { .port = port, .sg = sg, .packets = 1, .bytes = 1000 };
	struct act_route *route = net_route(r, sg);

	if (!route)
		route = net_route(r, (struct sg){ .group = sg.group });
	if (route && route->iif == port) {
		struct act_route copy = *route;
		struct portset out = portset_or(copy.joined, copy.local);

		if (copy.register_to.net)
			net_register(n, r, &copy);
		net_copies(n, r, &out, port, sg, hops + 1);
	}
	pim_data(r->e, n->now, &d, &n->out);
	net_take(n, r);
}

static inline void net_copies(struct net *n, struct net_router *r, const struct portset *ports,
			      uint32_t iif, struct sg sg, uint32_t hops)
{
	uint32_t port;

	if (hops >= NET_HOPS) {
		n->loops++;
		return;
	}
	for (uint32_t i = portset_next(ports, 0); i != PORT_NONE; i = portset_next(ports, i + 1)) {
		uint32_t link = r->links[i];

		net_demand(n, i != iif, "a packet goes back where it came from");
		if (n->is_cut[link])
			continue;
		n->arrived[link]++;
		for (uint32_t k = 0; k < n->n_routers; k++)
			if (k != r->index && net_is_on(n, k, link, &port))
				net_packet(n, &n->routers[k], port, sg, hops);
	}
}

/* A host on the link sends one packet; `arrived` then says how many copies each link saw of it. */
static inline void net_data(struct net *n, uint32_t link, struct sg sg)
{
	uint32_t port;

	memset(n->arrived, 0, sizeof(n->arrived));
	n->loops = 0;
	for (uint32_t k = 0; k < n->n_routers; k++)
		if (net_is_on(n, k, link, &port))
			net_packet(n, &n->routers[k], port, sg, 0);
}

/* --- time --------------------------------------------------------------------------------- */

static inline void net_land(struct net *n, uint32_t i)
{
	struct flight f = n->flight[i];
	struct net_router *r = &n->routers[f.to];
	struct pim_rx rx = { .port = f.port, .source = f.source, .dst = f.dst, .ttl = f.ttl,
			     .data = f.bytes, .len = f.len };

	n->flight[i] = n->flight[--n->n_flight];
	if (r->is_down)
		return;
	pim_input(r->e, n->now, &rx, &n->out);
	net_take(n, r);
}

static inline void net_run(struct net *n, int64_t span_ms)
{
	struct mtime end = mtime_add(n->now, mtime_ms(span_ms));

	for (;;) {
		struct mtime next = end;
		uint32_t router = NET_ROUTERS, flight = NET_FLIGHT;

		for (uint32_t i = 0; i < n->n_routers; i++)
			if (!n->routers[i].is_down &&
			    mtime_before(pim_next(n->routers[i].e), next)) {
				next = pim_next(n->routers[i].e);
				router = i;
			}
		for (uint32_t i = 0; i < n->n_flight; i++)
			if (mtime_before(n->flight[i].at, next)) {
				next = n->flight[i].at;
				flight = i;
			}
		if (!mtime_before(next, end))
			break;
		if (mtime_before(n->now, next))
			n->now = next;
		if (flight < NET_FLIGHT) {
			net_land(n, flight);
		} else if (router < NET_ROUTERS) {
			pim_tick(n->routers[router].e, n->now, &n->out);
			net_take(n, &n->routers[router]);
		}
	}
	n->now = end;
}

/* --- building ----------------------------------------------------------------------------- */

static inline struct net *net_new(uint64_t seed, uint32_t n_routers, uint32_t n_links)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->seed = seed;
	n->random = random_init(seed);
	n->now = mtime_ms(1000);
	n->n_routers = n_routers;
	n->n_links = n_links;
	n->loss = 20;
	n->repeat = 20;
	for (uint32_t i = 0; i < n_routers; i++) {
		struct net_router *r = &n->routers[i];

		r->net = n;
		r->index = i;
		pim_config_default(&r->cfg);
		r->cfg.ports = NET_LINKS;
		r->cfg.neighbors = 64;
		r->cfg.routes = 128;
		r->cfg.branches = 512;
		r->cfg.bsr_rps = 32;
		r->cfg.rpf = net_rpf;
		r->cfg.rpf_arg = r;
		r->cfg.n_locals = 1;
		r->cfg.locals[0] = net_own(i);
	}
	return n;
}

/* Routers on a link, ended by -1. */
static inline void net_link(struct net *n, uint32_t link, const int *routers)
{
	for (; *routers >= 0; routers++) {
		struct net_router *r = &n->routers[*routers];

		r->links[r->n_ports++] = link;
	}
}

/* Everybody's RP for 239/8. */
static inline void net_rp(struct net *n, uint32_t router)
{
	for (uint32_t i = 0; i < n->n_routers; i++) {
		n->routers[i].cfg.n_static_rps = 1;
		n->routers[i].cfg.static_rps[0] = (struct pim_static_rp){
			{ ip4_from_host(0xef000000), 8 }, net_own(router)
		};
	}
}

static inline void net_port(struct net *n, uint32_t router, uint32_t port, bool is_up)
{
	struct net_router *r = &n->routers[router];
	struct pim_link link = { .is_up = is_up, .mtu = 1500,
				 .address = net_addr(r->links[port], router + 1) };

	pim_link(r->e, n->now, port, &link, &n->out);
	net_take(n, r);
}

/* Starts a router, or starts it again with nothing but its configuration. */
static inline void net_boot(struct net *n, uint32_t router)
{
	struct net_router *r = &n->routers[router];
	struct pim_port_config pc;
	struct arena a = { 0 };

	free(r->mem);
	r->n_routes = 0;
	r->is_down = false;
	r->cfg.seed = random_u64(&n->random);
	pim_init(&r->cfg, &a);
	r->mem = aligned_alloc(64, (a.used + 63) / 64 * 64);
	a = (struct arena){ .mem = r->mem, .size = a.used };
	r->e = pim_init(&r->cfg, &a);
	net_demand(n, r->e, "no memory");
	pim_port_config_default(&pc);
	for (uint32_t i = 0; i < r->n_ports; i++) {
		pim_port_configure(r->e, n->now, i, &pc, &n->out);
		net_take(n, r);
		net_port(n, router, i, !n->is_cut[r->links[i]]);
	}
}

static inline void net_start(struct net *n)
{
	for (uint32_t i = 0; i < n->n_routers; i++)
		net_boot(n, i);
	net_run(n, 40000);
}

static inline void net_free(struct net *n)
{
	for (uint32_t i = 0; i < n->n_routers; i++)
		free(n->routers[i].mem);
	free(n);
}

/* Unicast routing has settled. */
static inline void net_moved(struct net *n)
{
	for (uint32_t i = 0; i < n->n_routers; i++) {
		if (n->routers[i].is_down)
			continue;
		pim_rpf_changed(n->routers[i].e, n->now, (struct ip4_prefix){ 0 }, &n->out);
		net_take(n, &n->routers[i]);
	}
}

static inline void net_cut(struct net *n, uint32_t link, bool is_cut)
{
	uint32_t ports[NET_ROUTERS], port = 0;
	bool is_on[NET_ROUTERS];

	n->is_cut[link] = false;
	for (uint32_t i = 0; i < n->n_routers; i++) {
		is_on[i] = net_is_on(n, i, link, &port);
		ports[i] = port;
	}
	n->is_cut[link] = is_cut;
	for (uint32_t i = 0; i < n->n_routers; i++)
		if (is_on[i])
			net_port(n, i, ports[i], !is_cut);
	net_moved(n);
}

/* Hosts on the link; every router there hears of them. */
static inline void net_members(struct net *n, uint32_t link, struct sg sg, bool want)
{
	uint32_t port;

	for (uint32_t i = 0; i < n->n_routers; i++)
		if (net_is_on(n, i, link, &port)) {
			pim_local(n->routers[i].e, n->now, port, sg,
				  want ? PIM_LOCAL_INCLUDE : PIM_LOCAL_NONE, &n->out);
			net_take(n, &n->routers[i]);
		}
}

/* One packet each 20 ms for a while; how many of the last `of` did not arrive exactly once. */
static inline uint32_t net_stream(struct net *n, uint32_t from, uint32_t to, struct sg sg,
				  uint32_t packets, uint32_t of)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < packets; i++) {
		net_data(n, from, sg);
		if (i + of >= packets)
			wrong += n->arrived[to] != 1;
		net_demand(n, !n->loops, "a packet goes in a circle");
		net_run(n, 20);
	}
	return wrong;
}

/* Nothing of any tree is left anywhere. */
static inline void net_demand_empty(struct net *n)
{
	struct pim_route_info info;

	for (uint32_t i = 0; i < n->n_routers; i++) {
		const void *cursor = NULL;

		net_demand(n, !n->routers[i].n_routes, "router %u still has routes", i);
		net_demand(n, !pim_route_next(n->routers[i].e, &cursor, &info),
			   "router %u still has state", i);
	}
}

/* Runs a story with some seeds, each of them a case; one that goes wrong ends the program. */
static inline int net_story(const char *name, void (*story)(uint64_t seed), uint32_t seeds)
{
	printf("1..%u\n", seeds);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		story(seed);
		printf("ok %llu - %s: seed %llu\n", (unsigned long long)seed, name,
		       (unsigned long long)seed);
		fflush(stdout);
	}
	return 0;
}
