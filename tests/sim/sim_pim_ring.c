/* SPDX-License-Identifier: MIT */
/*
 * Four routers in a ring; links are cut and mended, and it flows again within a second each time.
 * In the end there is exactly the state of a network that has just been started.
 *
 *	source – 4 – [R0, RP] – 0 – [R1] – 1 – [R2] – 5 – hosts
 *	                  └── 3 – [R3] – 2 ──┘
 */
#include "../lib/pim_net.h"

static struct net *ring(uint64_t seed)
{
	struct net *n = net_new(seed, 4, 6);

	net_link(n, 0, (int[]){ 0, 1, -1 });
	net_link(n, 1, (int[]){ 1, 2, -1 });
	net_link(n, 2, (int[]){ 2, 3, -1 });
	net_link(n, 3, (int[]){ 3, 0, -1 });
	net_link(n, 4, (int[]){ 0, -1 });
	net_link(n, 5, (int[]){ 2, -1 });
	net_rp(n, 0);
	return n;
}

static bool has_same(const struct act_route *a, struct net_router *r)
{
	const struct act_route *b = net_route(r, a->sg);

	return b && a->iif == b->iif && portset_equal(&a->joined, &b->joined) &&
	       portset_equal(&a->local, &b->local);
}

static void story(uint64_t seed)
{
	struct net *n = ring(seed), *fresh = ring(seed + 1000);
	struct sg star = { .group = ip4_from_host(0xef010101) };
	struct sg sg = { net_addr(4, 100), star.group };
	uint32_t wrong;

	/* Joins may be lost and then wait for the next period: not what is looked at here. */
	n->loss = fresh->loss = 0;
	net_start(n);
	net_members(n, 5, star, true);
	net_stream(n, 4, 5, sg, 100, 1);
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t link = random_in(&n->random, 0, 3);

		net_cut(n, link, true);
		net_stream(n, 4, 5, sg, 50, 1);
		wrong = net_stream(n, 4, 5, sg, 50, 50);
		net_demand(n, !wrong, "link %u cut: %u of 50 did not arrive once", link, wrong);
		net_cut(n, link, false);
		net_stream(n, 4, 5, sg, 400, 1); /* until Hellos have been heard again */
		wrong = net_stream(n, 4, 5, sg, 50, 50);
		net_demand(n, !wrong, "link %u mended: %u of 50 did not arrive once", link, wrong);
	}
	net_stream(n, 4, 5, sg, 20000, 1);

	net_start(fresh);
	net_members(fresh, 5, star, true);
	net_stream(fresh, 4, 5, sg, 20000, 1);
	for (uint32_t i = 0; i < n->n_routers; i++) {
		net_demand(n, n->routers[i].n_routes == fresh->routers[i].n_routes,
			   "router %u has %u routes instead of %u", i, n->routers[i].n_routes,
			   fresh->routers[i].n_routes);
		for (uint32_t k = 0; k < fresh->routers[i].n_routes; k++)
			net_demand(n, has_same(&fresh->routers[i].routes[k], &n->routers[i]),
				   "router %u has another route", i);
	}
	net_free(n);
	net_free(fresh);
}

int main(void)
{
	return net_story("ring", story, 10);
}
