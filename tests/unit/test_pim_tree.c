/* SPDX-License-Identifier: MIT */
/*
 * PIM: joins and prunes. Every state and event of the downstream and upstream machines, and the
 * rules PM-20 to PM-26 of the checklist.
 */
#include "../lib/pim_rig.h"

#define GROUP  "239.1.1.1"
#define SOURCE "10.0.1.5" /* by router 2 on port 0, as is the RP */
#define FAR    "10.9.1.5" /* by router 3 on port 5 */

static struct rig rig;
static struct sg star, src;

static int setup(void **state)
{
	rig_init(&rig);
	rig_way(&rig, prefix("10.9.0.0", 16), 5, 3);
	rig_start(&rig);
	rig_neighbor(&rig, 0, 2);
	rig_neighbor(&rig, 1, 2);
	rig_neighbor(&rig, 2, 2);
	rig_neighbor(&rig, 5, 3);
	rig_run(&rig, 5000);
	rig_forget(&rig);
	star = sg(NULL, GROUP);
	src = sg(SOURCE, GROUP);
	return 0;
}

static int teardown(void **state)
{
	rig_free(&rig);
	return 0;
}

/* --- downstream, (*,G) and (S,G)
 * ------------------------------------------------------------------- */

enum event { JOIN, PRUNE, PPT, ET };

/* Brings the branch of port 1, with two neighbours there, into the state. */
static void into(struct sg of, uint8_t kind, enum pim_branch_state state)
{
	rig_neighbor(&rig, 1, 3);
	if (state != PIM_DOWN_NOINFO)
		rig_jp(&rig, 1, 2, kind, true, of);
	if (state == PIM_DOWN_PENDING)
		rig_jp(&rig, 1, 2, kind, false, of);
	assert_int_equal(rig_branch(&rig, of, 1).join, state);
	rig_forget(&rig);
}

static void happens(struct sg of, uint8_t kind, enum event event)
{
	switch (event) {
	case JOIN:
	case PRUNE:
		rig_jp(&rig, 1, 2, kind, event == JOIN, of);
		break;
	case PPT:
		rig_run(&rig, 3000);
		break;
	case ET:
		rig_run(&rig, 210000);
		break;
	}
}

static void downstream(struct sg of, uint8_t kind)
{
	static const enum pim_branch_state after[3][4] = {
		[PIM_DOWN_NOINFO] = { PIM_DOWN_JOIN, PIM_DOWN_NOINFO, PIM_DOWN_NOINFO,
				      PIM_DOWN_NOINFO },
		[PIM_DOWN_JOIN] = { PIM_DOWN_JOIN, PIM_DOWN_PENDING, PIM_DOWN_JOIN,
				    PIM_DOWN_NOINFO },
		[PIM_DOWN_PENDING] = { PIM_DOWN_JOIN, PIM_DOWN_PENDING, PIM_DOWN_NOINFO,
				       PIM_DOWN_NOINFO },
	};

	for (int s = 0; s < 3; s++)
		for (int ev = 0; ev < 4; ev++) {
			bool is_echo = s == PIM_DOWN_PENDING && (ev == PPT || ev == ET);

			setup(NULL);
			into(of, kind, (enum pim_branch_state)s);
			happens(of, kind, (enum event)ev);
			assert_int_equal(rig_branch(&rig, of, 1).join, after[s][ev]);
			assert_int_equal(rig_said(&rig, 1, kind, false, of), is_echo);
			/* It forwards until the Prune is certain. */
			assert_int_equal(rig_flows(&rig, of, 1), after[s][ev] != PIM_DOWN_NOINFO);
			teardown(NULL);
		}
	setup(NULL);
}

static void downstream_star_every_state_and_event(void **state)
{
	teardown(NULL);
	downstream(star, G);
}

static void downstream_sg_every_state_and_event(void **state)
{
	teardown(NULL);
	downstream(src, SG);
}

/* The PruneEcho goes to the router's own address there, and after 3 s. */
static void prune_echo(void **state)
{
	struct mtime then;

	into(star, G, PIM_DOWN_PENDING);
	then = rig.now;
	rig_run(&rig, 2999);
	assert_int_equal(rig_said(&rig, 1, G, false, star), 0);
	rig_run(&rig, 1);
	assert_int_equal(rig_said(&rig, 1, G, false, star), 1);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 1)->upstream.net, at(1, 1).net);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 1)->rp.net, ip("10.255.0.1").net);
	assert_int_equal(rig.now.us - then.us, 3000000);
}

/* With one neighbour nobody could override, so the Prune counts at once. */
static void prune_of_the_only_neighbor(void **state)
{
	rig_jp(&rig, 1, 2, G, true, star);
	assert_true(rig_flows(&rig, star, 1));
	rig_forget(&rig);
	rig_jp(&rig, 1, 2, G, false, star);
	assert_false(rig_flows(&rig, star, 1));
	assert_int_equal(rig_said(&rig, 1, G, false, star), 0);
	assert_int_equal(rig_said(&rig, 0, G, false, star), 1);
	assert_int_equal(rig.n_routes, 0);
}

/* ET = max(ET, holdtime); 65535 never, 0 at once. */
static void join_holdtimes(void **state)
{
	struct rig_entry e = { G, true, sg(NULL, GROUP), { 0 } };

	rig_jp(&rig, 1, 2, G, true, star);
	rig_jp_list(&rig, 1, 2, at(1, 1), 10, &e, 1);
	rig_run(&rig, 209999);
	assert_int_equal(rig_branch(&rig, star, 1).join, PIM_DOWN_JOIN);
	rig_run(&rig, 1);
	assert_int_equal(rig_branch(&rig, star, 1).port, PORT_NONE);
	rig_jp_list(&rig, 1, 2, at(1, 1), PIM_FOREVER, &e, 1);
	rig_run(&rig, 1000000);
	assert_int_equal(rig_branch(&rig, star, 1).join, PIM_DOWN_JOIN);
	rig_jp(&rig, 1, 2, G, false, star);
	rig_jp_list(&rig, 1, 2, at(1, 1), 0, &e, 1);
	rig_run(&rig, 1);
	assert_int_equal(rig_branch(&rig, star, 1).port, PORT_NONE);
}

/* --- downstream, (S,G,rpt)
 * ------------------------------------------------------------------------- */

enum rpt_event { RPT_STAR, RPT_STAR_AND_PRUNE, RPT_JOIN, RPT_PRUNE, RPT_PPT, RPT_ET };

static void rpt_into(enum pim_prune_state state)
{
	rig_neighbor(&rig, 1, 3);
	rig_jp(&rig, 1, 2, G, true, star);
	rig_run(&rig, 1000);
	if (state != PIM_PRUNE_NOINFO)
		rig_jp(&rig, 1, 2, RPT, false, src);
	if (state == PIM_PRUNE_PRUNED)
		rig_run(&rig, 3000);
	assert_int_equal(rig_branch(&rig, src, 1).rpt, state);
}

static void rpt_happens(enum rpt_event event)
{
	struct rig_entry both[] = { { G, true, star, { 0 } }, { RPT, false, src, { 0 } } };

	switch (event) {
	case RPT_STAR:
		rig_jp(&rig, 1, 2, G, true, star);
		break;
	case RPT_STAR_AND_PRUNE:
		rig_jp_list(&rig, 1, 2, at(1, 1), 210, both, 2);
		break;
	case RPT_JOIN:
	case RPT_PRUNE:
		rig_jp(&rig, 1, 2, RPT, event == RPT_JOIN, src);
		break;
	case RPT_PPT:
		rig_run(&rig, 3000);
		break;
	case RPT_ET:
		rig_jp_list(&rig, 1, 2, at(1, 1), PIM_FOREVER,
			    &(struct rig_entry){ G, true, star, { 0 } }, 1);
		rig_jp(&rig, 1, 2, RPT, false, src);
		rig_run(&rig, 210000);
		break;
	}
}

#define N  PIM_PRUNE_NOINFO
#define P  PIM_PRUNE_PRUNED
#define PP PIM_PRUNE_PENDING

/* The two states of the time in which a message is read are seen at its end. */
static void downstream_rpt_every_state_and_event(void **state)
{
	static const struct {
		enum pim_prune_state from, after[6];
	} rows[] = {
		{ PIM_PRUNE_NOINFO, { N, PP, N, PP, N, N } },
		{ PIM_PRUNE_PRUNED, { N, P, N, P, P, N } },
		{ PIM_PRUNE_PENDING, { N, PP, N, PP, P, N } },
	};

	teardown(NULL);
	for (int s = 0; s < 3; s++)
		for (int ev = 0; ev < 6; ev++) {
			setup(NULL);
			rpt_into(rows[s].from);
			rpt_happens((enum rpt_event)ev);
			assert_int_equal(rig_branch(&rig, src, 1).rpt, rows[s].after[ev]);
			assert_int_equal(rig_route(&rig, src) ? rig_flows(&rig, src, 1)
							      : rig_flows(&rig, star, 1),
					 rows[s].after[ev] != P);
			teardown(NULL);
		}
	setup(NULL);
}

/* Pruned everywhere: pruned upstream, by the (*,G) Join's message from then on. */
static void rpt_prune_goes_upstream(void **state)
{
	rig_jp(&rig, 1, 2, G, true, star);
	rig_forget(&rig);
	rig_jp(&rig, 1, 2, RPT, false, src);
	assert_int_equal(rig_said(&rig, 0, RPT, false, src), 1);
	assert_int_equal(rig_info(&rig, src).rpt, PIM_RPT_PRUNED);
	rig_forget(&rig);
	rig_run(&rig, 60000);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 1);
	assert_int_equal(rig_said(&rig, 0, RPT, false, src), 1);
	rig_forget(&rig);
	rig_jp(&rig, 2, 2, G, true, star);
	assert_int_equal(rig_said(&rig, 0, RPT, true, src), 1);
	assert_int_equal(rig_info(&rig, src).rpt, PIM_RPT_NOTPRUNED);
	assert_true(rig_flows(&rig, src, 2));
	assert_false(rig_flows(&rig, src, 1));
}

/* --- upstream
 * -------------------------------------------------------------------------------------- */

/* PM-20 */
static void pm20_periodic_joins(void **state)
{
	const struct sent *s;

	rig_jp(&rig, 1, 2, G, true, star);
	s = rig_last(&rig, PIM_JOIN_PRUNE, 0);
	assert_non_null(s);
	assert_int_equal(s->holdtime, 210);
	assert_int_equal(s->upstream.net, at(0, 2).net);
	assert_int_equal(s->rp.net, ip("10.255.0.1").net);
	assert_int_equal(s->dst.net, ip("224.0.0.13").net);
	for (int i = 0; i < 5; i++) {
		rig_jp(&rig, 1, 2, G, true, star);
		rig_forget(&rig);
		rig_run(&rig, 60000);
		assert_int_equal(rig_said(&rig, 0, G, true, star), 1);
	}
}

enum up_event {
	UP_DESIRED,
	UP_NOT_DESIRED,
	UP_TIMER,
	UP_SEE_JOIN,
	UP_SEE_PRUNE,
	UP_RESTART,
	UP_MOVE
};

static void up_happens(struct sg of, uint8_t kind, enum up_event event)
{
	struct rig_entry e = { kind, event == UP_SEE_JOIN, of, { 0 } };
	struct pim_hello h = rig_hello();

	switch (event) {
	case UP_DESIRED:
		rig_jp(&rig, 1, 2, kind, true, of);
		break;
	case UP_NOT_DESIRED:
		rig_jp(&rig, 1, 2, kind, false, of);
		break;
	case UP_TIMER:
		rig_run(&rig, 60000);
		break;
	case UP_SEE_JOIN:
	case UP_SEE_PRUNE:
		rig_neighbor(&rig, 0, 4);
		rig_run(&rig, 100);
		rig_jp_list(&rig, 0, 4, at(0, 2), 210, &e, 1);
		break;
	case UP_RESTART:
		h.gen_id = 1000;
		rig_say(&rig, 0, 2, h);
		break;
	case UP_MOVE:
		rig_way(&rig, prefix("10.255.0.1", 32), 5, 3);
		rig_way(&rig, prefix("10.0.0.0", 8), 5, 3);
		rig_moved(&rig);
		break;
	}
}

static void up_joined(struct sg of, uint8_t kind, enum up_event event)
{
	int64_t left = rig_info(&rig, of).join_due.us - rig.now.us;

	assert_int_equal(rig_info(&rig, of).is_joined, event != UP_NOT_DESIRED);
	switch (event) {
	case UP_DESIRED:
		assert_int_equal(rig_said(&rig, 0, kind, true, of), 0);
		break;
	case UP_NOT_DESIRED:
		assert_int_equal(rig_said(&rig, 0, kind, false, of), 1);
		break;
	case UP_TIMER:
		assert_int_equal(rig_said(&rig, 0, kind, true, of), 1);
		break;
	case UP_SEE_JOIN: /* t_joinsuppress */
		assert_in_range(left, 66000000, 84000000);
		break;
	case UP_SEE_PRUNE: /* t_override */
	case UP_RESTART:
		assert_in_range(left, 0, 2500000);
		rig_run(&rig, 2500);
		assert_int_equal(rig_said(&rig, 0, kind, true, of), 1);
		break;
	case UP_MOVE:
		assert_int_equal(rig_said(&rig, 0, kind, false, of), 1);
		assert_int_equal(rig_said(&rig, 5, kind, true, of), 1);
		assert_in_range(left, 59000000, 60000000);
		break;
	}
}

static void upstream(struct sg of, uint8_t kind)
{
	for (int joined = 0; joined < 2; joined++)
		for (int ev = UP_DESIRED; ev <= UP_MOVE; ev++) {
			setup(NULL);
			if (joined)
				rig_jp(&rig, 1, 2, kind, true, of);
			rig_forget(&rig);
			up_happens(of, kind, (enum up_event)ev);
			if (joined) {
				up_joined(of, kind, (enum up_event)ev);
			} else {
				assert_int_equal(rig_said(&rig, 0, kind, true, of),
						 ev == UP_DESIRED);
				assert_int_equal(rig_said(&rig, 0, kind, false, of), 0);
				assert_int_equal(rig_info(&rig, of).is_joined, ev == UP_DESIRED);
			}
			teardown(NULL);
		}
	setup(NULL);
}

static void upstream_star_every_state_and_event(void **state)
{
	teardown(NULL);
	upstream(star, G);
}

static void upstream_sg_every_state_and_event(void **state)
{
	teardown(NULL);
	upstream(src, SG);
}

/* A holdtime in the Join that is seen, and T bits all around. */
static void suppression_is_bounded(void **state)
{
	struct rig_entry e = { G, true, sg(NULL, GROUP), { 0 } };
	struct pim_hello h = rig_hello();
	int64_t due;

	rig_jp(&rig, 1, 2, G, true, star);
	rig_neighbor(&rig, 0, 4);
	rig_jp_list(&rig, 0, 4, at(0, 2), 61, &e, 1);
	due = rig_info(&rig, star).join_due.us;
	assert_in_range(due - rig.now.us, 59000000, 61000000);
	h.can_track = true;
	rig.port_cfg[0].can_track = true;
	rig_port(&rig, 0);
	rig_say(&rig, 0, 2, h);
	rig_say(&rig, 0, 4, h);
	due = rig_info(&rig, star).join_due.us;
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &e, 1);
	assert_int_equal(rig_info(&rig, star).join_due.us, due);
}

/* A Prune of (*,G) would also end (S,G) at the same router; one of (S,G,rpt) is overridden. */
static void what_else_is_overridden(void **state)
{
	struct rig_entry prune_star = { G, false, sg(NULL, GROUP), { 0 } };
	struct rig_entry prune_rpt = { RPT, false, sg(SOURCE, GROUP), { 0 } };
	struct rig_entry join_rpt = { RPT, true, sg(SOURCE, GROUP), { 0 } };

	rig_jp(&rig, 1, 2, SG, true, src);
	rig_neighbor(&rig, 0, 4);
	rig_run(&rig, 5000);
	rig_forget(&rig);
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &prune_star, 1);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, SG, true, src), 1);
	rig_forget(&rig);
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &prune_rpt, 1);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, SG, true, src), 1);
	/* With (*,G) as well: Join(S,G,rpt), unless somebody else says it first. */
	rig_jp(&rig, 2, 2, G, true, star);
	rig_forget(&rig);
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &prune_rpt, 1);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, RPT, true, src), 1);
	rig_forget(&rig);
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &prune_rpt, 1);
	rig_jp_list(&rig, 0, 4, at(0, 2), 210, &join_rpt, 1);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, RPT, true, src), 0);
}

/* P19: no neighbour yet, or none any more; the Join goes when there is one. */
static void join_waits_for_a_neighbor(void **state)
{
	struct pim_hello h = rig_hello();

	rig_say(&rig, 0, 2, (struct pim_hello){ .holdtime = 0 });
	rig_jp(&rig, 1, 2, G, true, star);
	assert_true(rig_info(&rig, star).is_joined);
	assert_int_equal(rig_info(&rig, star).rpf_neighbor.net, 0);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 0);
	rig_say(&rig, 0, 2, h);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 1);
	assert_true(rig_flows(&rig, star, 1));
}

/* P70: a link without addresses has one neighbour, whatever it is called. */
static void unnumbered_upstream(void **state)
{
	rig.ways[0].rpf.next_hop.net = 0;
	rig.ways[0].rpf.is_connected = false;
	rig_jp(&rig, 1, 2, G, true, star);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->upstream.net, at(0, 2).net);
}

/* NBR(): the next hop may be one of the neighbour's other addresses. */
static void next_hop_is_a_secondary_address(void **state)
{
	struct pim_hello h = rig_hello();

	h.n_secondaries = 1;
	h.secondaries[0] = at(0, 55);
	rig_say(&rig, 0, 2, h);
	rig.ways[0].rpf.next_hop = at(0, 55);
	rig_jp(&rig, 1, 2, G, true, star);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->upstream.net, at(0, 2).net);
}

/* --- PM-21 to PM-26
 * -------------------------------------------------------------------------------- */

static struct sg nth(uint32_t i)
{
	return (struct sg){ ip4_from_host(0x0a000000 + i + 1), ip(GROUP) };
}

/* PM-21, P8, P9: never apart, and as many as fit; PM-23: within the MTU (checked by the rig). */
static void pm21_star_and_its_prunes_stay_together(void **state)
{
	uint16_t message = 0;
	uint32_t prunes = 0;

	rig_jp(&rig, 1, 2, G, true, star);
	for (uint32_t i = 0; i < 200; i++)
		rig_jp(&rig, 1, 2, RPT, false, nth(i));
	rig_forget(&rig);
	rig_run(&rig, 60000);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 1);
	for (uint32_t i = 0; i < rig.n_sent; i++)
		if (rig.sent[i].type == PIM_JOIN_PRUNE && rig.sent[i].kind == G)
			message = rig.sent[i].message;
	for (uint32_t i = 0; i < rig.n_sent; i++)
		if (rig.sent[i].type == PIM_JOIN_PRUNE && rig.sent[i].kind == RPT) {
			assert_int_equal(rig.sent[i].message, message);
			prunes++;
		}
	assert_int_equal(prunes, (1480 - PIM_JP_HEAD - PIM_JP_GROUP) / PIM_JP_SOURCE - 1);
}

/* PM-23 with a small MTU, 150 sources of one group and 150 groups: all of it arrives. */
static void pm23_messages_are_split(void **state)
{
	uint32_t n = 0;

	rig.link[0].mtu = 576;
	rig_port(&rig, 0);
	for (uint32_t i = 0; i < 60; i++)
		rig_jp(&rig, 1, 2, SG, true, nth(i));
	for (uint32_t i = 0; i < 60; i++)
		rig_jp(&rig, 1, 2, G, true, (struct sg){ .group = ip4_from_host(0xef020000 + i) });
	rig_forget(&rig);
	rig_run(&rig, 59900);
	for (uint32_t i = 0; i < rig.n_sent; i++)
		if (rig.sent[i].type == PIM_JOIN_PRUNE) {
			assert_true(rig.sent[i].len <= 556);
			n++;
		}
	assert_int_equal(n, 120);
	for (uint32_t i = 0; i < 60; i++)
		assert_int_equal(rig_said(&rig, 0, SG, true, nth(i)), 1);
}

/* PM-22: what is said last counts. */
static void pm22_nothing_contradicts_itself(void **state)
{
	struct rig_entry list[] = { { SG, true, sg(SOURCE, GROUP), { 0 } },
				    { G, true, sg(NULL, GROUP), { 0 } } };

	rig_jp_list(&rig, 1, 2, at(1, 1), 210, list, 2);
	list[0].is_join = list[1].is_join = false;
	rig_jp_list(&rig, 1, 2, at(1, 1), 210, list, 2);
	for (uint32_t i = 0; i < rig.n_sent; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct sent *a = &rig.sent[i], *b = &rig.sent[k];

			if (a->type == PIM_JOIN_PRUNE && b->type == PIM_JOIN_PRUNE &&
			    a->message == b->message && sg_equal(a->sg, b->sg))
				assert_true(a->kind != b->kind);
		}
	assert_int_equal(rig.n_routes, 0);
}

/* PM-24, P50 */
static void pm24_other_rps(void **state)
{
	struct rig_entry e = { G, true, sg(NULL, GROUP), ip("10.255.0.9") };
	uint64_t ignored = pim_counters(rig.e)->entries_ignored;

	assert_int_equal(rig_jp_list(&rig, 1, 2, at(1, 1), 210, &e, 1), PIM_OK);
	assert_false(rig_flows(&rig, star, 1));
	assert_int_equal(pim_counters(rig.e)->entries_ignored, ignored + 1);
	rig.port_cfg[1].allow_rp.n = 1;
	rig.port_cfg[1].allow_rp.entries[0].prefix = prefix("10.255.0.0", 24);
	rig.port_cfg[1].allow_rp.entries[0].is_permitted = true;
	rig_port(&rig, 1);
	rig_jp_list(&rig, 1, 2, at(1, 1), 210, &e, 1);
	assert_true(rig_flows(&rig, star, 1));
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->rp.net, ip("10.255.0.1").net);
	e.is_join = false;
	rig.port_cfg[1].allow_rp.n = 0;
	rig_port(&rig, 1);
	rig_jp_list(&rig, 1, 2, at(1, 1), 210, &e, 1);
	assert_false(rig_flows(&rig, star, 1));
}

/* PM-25 */
static void pm25_for_other_routers(void **state)
{
	struct rig_entry e = { G, true, sg(NULL, GROUP), { 0 } };

	rig_jp_list(&rig, 1, 2, at(1, 3), 210, &e, 1);
	assert_int_equal(rig.n_routes, 0);
	rig_jp_list(&rig, 1, 2, at(2, 1), 210, &e, 1);
	assert_int_equal(rig.n_routes, 0);
	rig.link[1].n_secondaries = 1;
	rig.link[1].secondaries[0] = at(1, 88);
	rig_port(&rig, 1);
	rig_jp_list(&rig, 1, 2, at(1, 88), 210, &e, 1);
	assert_true(rig_flows(&rig, star, 1));
}

/* PM-26, and groups that no router may forward. */
static void pm26_ignored_entries(void **state)
{
	struct rig_entry list[] = {
		{ G, false, sg(NULL, GROUP), { 0 } },
		{ SG, false, sg(SOURCE, GROUP), { 0 } },
		{ RPT, false, sg(SOURCE, GROUP), { 0 } },
		{ RPT, true, sg(SOURCE, GROUP), { 0 } },
		{ SG, true, sg(SOURCE, "224.0.0.5"), { 0 } },
		{ PIM_SPARSE | PIM_WILDCARD, true, sg("10.255.0.1", GROUP), { 0 } }
	};
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	assert_int_equal(rig_jp_list(&rig, 1, 2, at(1, 1), 210, list, 6), PIM_OK);
	assert_int_equal(rig.n_routes, 0);
	assert_int_equal(pim_counters(rig.e)->entries_ignored, 6);
	pim_jp_begin(&w, at(1, 1), 210);
	pim_group_write(&w, prefix("239.1.0.0", 16), 0);
	wr_u32(&w, 0x00010000);
	pim_source_write(&w, ip(SOURCE), SG);
	pim_jp_end(&w, 1);
	assert_int_equal(rig_rx_link(&rig, 1, 2, &w), PIM_OK);
	assert_int_equal(rig.n_routes, 0);
	assert_int_equal(pim_counters(rig.e)->entries_ignored, 7);
}

/* RFC 7761 §4.8: only (S,G) in the SSM range. */
static void ssm_has_no_shared_trees(void **state)
{
	struct sg any = sg(NULL, "232.1.1.1"), one = sg(SOURCE, "232.1.1.1");

	rig_jp(&rig, 1, 2, G, true, any);
	rig_local(&rig, 2, any, PIM_LOCAL_INCLUDE);
	assert_int_equal(rig.n_routes, 0);
	assert_int_equal(rig_count(&rig, PIM_JOIN_PRUNE, 0), 0);
	rig_jp(&rig, 1, 2, SG, true, one);
	assert_int_equal(rig_said(&rig, 0, SG, true, one), 1);
	assert_true(rig_flows(&rig, one, 1));
	assert_int_equal(rig_route(&rig, one)->iif, 0);
	rig_jp(&rig, 1, 2, RPT, false, one);
	assert_true(rig_flows(&rig, one, 1));
	assert_int_equal(pim_rp_of(rig.e, ip("232.1.1.1")).net, 0);
}

/* Members: only the DR forwards for hosts, and not what they exclude. */
static void members(void **state)
{
	struct pim_hello h = rig_hello();

	rig_local(&rig, 3, star, PIM_LOCAL_INCLUDE);
	assert_true(rig_flows(&rig, star, 3));
	assert_true(portset_has(&rig_route(&rig, star)->local, 3));
	rig_say(&rig, 3, 200, h);
	assert_null(rig_route(&rig, star));
	assert_int_equal(rig_said(&rig, 0, G, false, star), 1);
	h.dr_priority = 0;
	rig_say(&rig, 3, 200, h);
	assert_true(rig_flows(&rig, star, 3));
	rig_local(&rig, 3, src, PIM_LOCAL_EXCLUDE);
	assert_non_null(rig_route(&rig, src));
	assert_false(rig_flows(&rig, src, 3));
	assert_true(rig_flows(&rig, star, 3));
	rig_local(&rig, 3, src, PIM_LOCAL_NONE);
	rig_local(&rig, 3, star, PIM_LOCAL_NONE);
	assert_int_equal(rig.n_routes, 0);
	rig_local(&rig, 3, src, PIM_LOCAL_INCLUDE);
	assert_true(rig_flows(&rig, src, 3));
	assert_int_equal(rig_said(&rig, 0, SG, true, src), 1);
}

/* Owners: a port that both hosts and routers want goes when neither does (P26). */
static void outputs_have_owners(void **state)
{
	rig_local(&rig, 1, star, PIM_LOCAL_INCLUDE);
	rig_jp(&rig, 1, 2, G, true, star);
	/* The neighbour has the higher address, so hosts are its business. */
	assert_false(portset_has(&rig_route(&rig, star)->local, 1));
	rig.port_cfg[1].dr_priority = 9;
	rig_port(&rig, 1);
	assert_true(portset_has(&rig_route(&rig, star)->local, 1));
	assert_true(portset_has(&rig_route(&rig, star)->joined, 1));
	rig_jp(&rig, 1, 2, G, false, star);
	assert_true(portset_has(&rig_route(&rig, star)->local, 1));
	assert_false(portset_has(&rig_route(&rig, star)->joined, 1));
	rig_local(&rig, 1, star, PIM_LOCAL_NONE);
	assert_int_equal(rig.n_routes, 0);
}

/* PM-35: a boundary lets neither joins nor packets of its groups through. */
static void pm35_boundary(void **state)
{
	rig.port_cfg[1].boundary.n = 1;
	rig.port_cfg[1].boundary.entries[0].prefix = prefix("239.0.0.0", 8);
	rig_local(&rig, 1, star, PIM_LOCAL_INCLUDE);
	rig.port_cfg[1].dr_priority = 9;
	rig_port(&rig, 1);
	rig_jp(&rig, 1, 2, G, true, star);
	assert_int_equal(rig.n_routes, 0);
	rig.port_cfg[1].boundary.n = 0;
	rig_port(&rig, 1);
	assert_true(rig_flows(&rig, star, 1));
}

/* An interface that goes takes what routers wanted there along, and hosts' wishes wait for it. */
static void interface_flaps(void **state)
{
	rig_jp(&rig, 1, 2, G, true, star);
	rig_local(&rig, 3, star, PIM_LOCAL_INCLUDE);
	for (int i = 0; i < 100; i++) {
		rig.link[1].is_up = rig.link[3].is_up = false;
		rig_port(&rig, 1);
		rig_port(&rig, 3);
		assert_int_equal(rig.n_routes, 0);
		rig.link[1].is_up = rig.link[3].is_up = true;
		rig_port(&rig, 1);
		rig_port(&rig, 3);
		assert_true(rig_flows(&rig, star, 3));
		assert_false(rig_flows(&rig, star, 1));
		rig_forget(&rig);
	}
}

/* reliability.md §4: full tables refuse what is new, and refresh what there is. */
static void full_tables(void **state)
{
	uint32_t i;

	teardown(NULL);
	rig_init(&rig);
	rig.cfg.routes = 8;
	rig.cfg.branches = 6;
	rig_start(&rig);
	rig_neighbor(&rig, 0, 2);
	rig_neighbor(&rig, 1, 2);
	for (i = 0; i < 20; i++)
		rig_jp(&rig, 1, 2, G, true, (struct sg){ .group = ip4_from_host(0xef020000 + i) });
	assert_int_equal(rig.n_routes, 6);
	assert_int_equal(pim_counters(rig.e)->branches_refused, 14);
	assert_int_equal(rig_events(&rig, EVENT_PIM_LIMIT), 1);
	rig_run(&rig, 100000);
	rig_jp(&rig, 1, 2, G, true, (struct sg){ .group = ip4_from_host(0xef020000) });
	rig_run(&rig, 150000);
	assert_int_equal(rig.n_routes, 1);
	for (i = 0; i < 20; i++)
		rig_jp(&rig, 1, 2, SG, true, nth(i));
	assert_true(pim_counters(rig.e)->routes_refused + pim_counters(rig.e)->branches_refused >
		    14);
	assert_int_equal(
		pim_local(rig.e, rig.now, 1, sg(NULL, "239.77.1.1"), PIM_LOCAL_INCLUDE, &rig.out),
		-28);
	rig_take(&rig);
	rig_run(&rig, 300000);
	assert_int_equal(rig.n_routes, 0);
}

/* The way to the RP moves to where the group's receivers are: never back out of the same port. */
static void never_back_out_of_the_input(void **state)
{
	rig_jp(&rig, 5, 3, G, true, star);
	assert_true(rig_flows(&rig, star, 5));
	rig_way(&rig, prefix("10.255.0.1", 32), 5, 3);
	rig_moved(&rig);
	assert_false(rig_flows(&rig, star, 5));
}

/* Two static RPs: the second takes over when there is no way to the first (P58). */
static void static_rps(void **state)
{
	teardown(NULL);
	rig_init(&rig);
	rig.cfg.n_static_rps = 4;
	rig.cfg.static_rps[1] = (struct pim_static_rp){ prefix("239.1.0.0", 16), ip("10.255.0.2") };
	rig.cfg.static_rps[2] = (struct pim_static_rp){ prefix("239.1.0.0", 16), ip("10.255.0.3") };
	rig.cfg.static_rps[3] = (struct pim_static_rp){ prefix("224.0.0.0", 4), ip("10.255.0.4") };
	rig_way(&rig, prefix("10.0.0.0", 8), 0, 2);
	rig_start(&rig);
	assert_int_equal(pim_rp_of(rig.e, ip("239.1.1.1")).net, ip("10.255.0.2").net);
	assert_int_equal(pim_rp_of(rig.e, ip("239.2.1.1")).net, ip("10.255.0.1").net);
	assert_int_equal(pim_rp_of(rig.e, ip("225.1.1.1")).net, ip("10.255.0.4").net);
	rig.ways[1].is_there = false;
	rig_way(&rig, prefix("10.255.0.3", 32), 0, 2);
	assert_int_equal(pim_rp_of(rig.e, ip("239.1.1.1")).net, ip("10.255.0.3").net);
	rig.ways[1].is_there = true;
	assert_int_equal(pim_rp_of(rig.e, ip("239.1.1.1")).net, ip("10.255.0.2").net);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(downstream_star_every_state_and_event),
		T(downstream_sg_every_state_and_event),
		T(prune_echo),
		T(prune_of_the_only_neighbor),
		T(join_holdtimes),
		T(downstream_rpt_every_state_and_event),
		T(rpt_prune_goes_upstream),
		T(pm20_periodic_joins),
		T(upstream_star_every_state_and_event),
		T(upstream_sg_every_state_and_event),
		T(suppression_is_bounded),
		T(what_else_is_overridden),
		T(join_waits_for_a_neighbor),
		T(unnumbered_upstream),
		T(next_hop_is_a_secondary_address),
		T(pm21_star_and_its_prunes_stay_together),
		T(pm23_messages_are_split),
		T(pm22_nothing_contradicts_itself),
		T(pm24_other_rps),
		T(pm25_for_other_routers),
		T(pm26_ignored_entries),
		T(ssm_has_no_shared_trees),
		T(members),
		T(outputs_have_owners),
		T(pm35_boundary),
		T(interface_flaps),
		T(full_tables),
		T(never_back_out_of_the_input),
		T(static_rps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
