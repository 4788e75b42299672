/* SPDX-License-Identifier: MIT */
/*
 * Two routers from the source's link onto a shared one, where two others take from different ones
 * of them: Asserts leave one copy. Then one of the two leaves, and the other one overrides its
 * Prune without losing a packet.
 *
 *	              ┌ [R0] ┐      ┌ [R2] – 3 – hosts
 *	source – 0 ───┤      ├─ 1 ──┤
 *	              └ [R1] ┘      └ [R3] – 4 – hosts
 */
#include "../lib/pim_net.h"

static struct net *lan(uint64_t seed)
{
	struct net *n = net_new(seed, 4, 5);

	net_link(n, 0, (int[]){ 0, 1, -1 });
	net_link(n, 1, (int[]){ 0, 1, 2, 3, -1 });
	net_link(n, 3, (int[]){ 2, -1 });
	net_link(n, 4, (int[]){ 3, -1 });
	net_rp(n, 0);
	n->routers[2].prefers = 1;
	n->routers[3].prefers = 2;
	return n;
}

/* `group` tells a shared tree from source-specific ones. */
static void play(uint64_t seed, uint32_t group, bool is_ssm)
{
	struct net *n = lan(seed);
	struct sg sg = { net_addr(0, 100), ip4_from_host(group) };
	struct sg wanted = { .source = is_ssm ? sg.source : (struct ip4){ 0 }, .group = sg.group };
	uint32_t wrong, lost = 0;

	net_start(n);
	net_members(n, 3, wanted, true);
	net_members(n, 4, wanted, true);
	net_stream(n, 0, 1, sg, 5000, 1);
	wrong = net_stream(n, 0, 1, sg, 500, 500);
	net_demand(n, !wrong, "%u of 500 were not once on the shared link", wrong);

	/* Without losses: one lost override and the Prune is right to count. */
	n->loss = 0;
	net_members(n, 3, wanted, false);
	for (uint32_t i = 0; i < 500; i++) {
		net_data(n, 0, sg);
		lost += n->arrived[4] != 1;
		net_run(n, 20);
	}
	net_demand(n, !lost, "%u packets lost when the other one left", lost);
	net_members(n, 4, wanted, false);
	/* The router that lost the Assert keeps the joins that it had, for their holdtime. */
	net_run(n, 215000);
	net_data(n, 0, sg);
	net_demand(n, !n->arrived[1], "it flows although nobody wants it");
	net_run(n, 1000000);
	net_demand_empty(n);
	net_free(n);
}

static void story(uint64_t seed)
{
	play(seed, 0xef010101, false);
	play(seed, 0xe8010101, true);
}

int main(void)
{
	return net_story("lan", story, 20);
}
