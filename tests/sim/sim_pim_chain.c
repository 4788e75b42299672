/* SPDX-License-Identifier: MIT */
/*
 * Three routers in a row, the RP in the middle: hosts join, a source registers, its packets switch
 * to the shortest path; hosts leave; a router restarts.
 *
 *	source – 0 – [R0] – 1 – [R1, RP] – 2 – [R2] – 3 – hosts
 */
#include "../lib/pim_net.h"

static void story(uint64_t seed)
{
	struct net *n = net_new(seed, 3, 4);
	struct sg star = { .group = ip4_from_host(0xef010101) };
	struct sg sg = { net_addr(0, 100), star.group };
	uint32_t registers, wrong;

	net_link(n, 0, (int[]){ 0, -1 });
	net_link(n, 1, (int[]){ 0, 1, -1 });
	net_link(n, 2, (int[]){ 1, 2, -1 });
	net_link(n, 3, (int[]){ 2, -1 });
	net_rp(n, 1);
	net_start(n);

	/* Source first, then a receiver; after a round of retransmissions every packet comes once.
	 */
	net_stream(n, 0, 3, sg, 100, 1);
	net_members(n, 3, star, true);
	net_stream(n, 0, 3, sg, 5000, 1);
	wrong = net_stream(n, 0, 3, sg, 500, 500);
	net_demand(n, !wrong, "%u of 500 did not arrive once", wrong);
	registers = n->registers;
	net_stream(n, 0, 3, sg, 50, 50);
	net_demand(n, n->registers == registers, "still registering");

	/* The middle one forgets all; its neighbours tell it again. */
	net_boot(n, 1);
	net_stream(n, 0, 3, sg, 8000, 1);
	wrong = net_stream(n, 0, 3, sg, 500, 500);
	net_demand(n, !wrong, "after a restart %u of 500 did not arrive once", wrong);

	/* Nobody wants it any more; later the source falls silent as well. */
	net_members(n, 3, star, false);
	net_run(n, 300000);
	net_data(n, 0, sg);
	net_demand(n, !n->arrived[2] && !n->arrived[3], "it flows although nobody wants it");
	net_run(n, 900000);
	net_demand_empty(n);
	net_free(n);
}

int main(void)
{
	return net_story("chain", story, 20);
}
