/* SPDX-License-Identifier: MIT */
/*
 * Five routers in a row, two of them candidates for BSR, two for RP: all agree on the BSR and on
 * the RP of each group, over losses. The BSR dies, the other one takes over; an RP dies, and its
 * groups move.
 */
#include "../lib/pim_net.h"

#define ROUTERS 5

static struct ip4 bsr_of(struct net *n, uint32_t router)
{
	struct pim_bsr_info info;

	pim_bsr_info(n->routers[router].e, &info);
	return info.bsr;
}

static void demand_agreement(struct net *n, struct ip4 bsr, bool has_both)
{
	uint32_t by[ROUTERS] = { 0 };

	for (uint32_t i = 0; i < ROUTERS; i++)
		net_demand(n, n->routers[i].is_down || ip4_equal(bsr_of(n, i), bsr),
			   "router %u has another BSR", i);
	for (uint32_t g = 0; g < 64; g++) {
		struct ip4 group = ip4_from_host(0xef010100 + g * 4), rp = { 0 };

		for (uint32_t i = 0; i < ROUTERS; i++) {
			struct ip4 mine;

			if (n->routers[i].is_down)
				continue;
			mine = pim_rp_of(n->routers[i].e, group);
			if (!rp.net)
				rp = mine;
			net_demand(n, mine.net && ip4_equal(mine, rp),
				   "router %u disagrees on group %u", i, g);
		}
		by[ip4_host(rp) % 256 - 1]++;
	}
	net_demand(n, !has_both || (by[0] && by[2]), "one RP has all groups");
}

static void candidates(struct net *n)
{
	struct pim_candidate_bsr *first = &n->routers[1].cfg.candidate_bsr;
	struct pim_candidate_bsr *second = &n->routers[3].cfg.candidate_bsr;

	first->is_enabled = second->is_enabled = true;
	first->priority = 100;
	first->address = net_own(1);
	second->address = net_own(3);
	for (uint32_t i = 0; i < 3; i += 2) {
		n->routers[i].cfg.candidate_rp.is_enabled = true;
		n->routers[i].cfg.candidate_rp.address = net_own(i);
	}
}

static void story(uint64_t seed)
{
	struct net *n = net_new(seed, ROUTERS, ROUTERS);

	for (int i = 0; i + 1 < ROUTERS; i++)
		net_link(n, (uint32_t)i, (int[]){ i, i + 1, -1 });
	/* The second way around, for when one is down. */
	net_link(n, ROUTERS - 1, (int[]){ 0, 2, ROUTERS - 1, -1 });
	candidates(n);
	net_start(n);
	net_run(n, 400000);
	demand_agreement(n, net_own(1), true);

	n->routers[1].is_down = true;
	net_moved(n);
	net_run(n, 600000);
	demand_agreement(n, net_own(3), true);

	n->routers[0].is_down = true;
	net_moved(n);
	net_run(n, 600000);
	demand_agreement(n, net_own(3), false);
	net_boot(n, 0);
	net_boot(n, 1);
	net_moved(n);
	net_run(n, 600000);
	demand_agreement(n, net_own(1), true);
	net_free(n);
}

int main(void)
{
	return net_story("bsr", story, 20);
}
