/* SPDX-License-Identifier: MIT */
/* PIM: Asserts, every state and event of both machines (RFC 7761 §4.6). */
#include "../lib/pim_rig.h"

#define GROUP  "239.1.1.1"
#define SOURCE "10.0.1.5" /* by router 2 on port 0, preference 110, metric 20 */
#define LAN    1
#define RIVAL  3

static struct rig rig;
static struct sg star, src;

static int setup(void **state)
{
	rig_init(&rig);
	rig_start(&rig);
	rig_neighbor(&rig, 0, 2);
	rig_neighbor(&rig, 2, 2);
	rig_neighbor(&rig, LAN, 2);
	rig_neighbor(&rig, LAN, RIVAL);
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

/* (S,G) traffic on its way to the LAN. */
static void flow(void)
{
	rig_jp(&rig, LAN, 2, SG, true, src);
	rig_data(&rig, 0, src, 100);
	assert_true(rig_info(&rig, src).is_spt);
	rig_forget(&rig);
}

static enum pim_assert_state state_of(struct sg of)
{
	return rig_branch(&rig, of, LAN).assert;
}

enum { BETTER = 1, WORSE = 1000 };

static void sg_into(enum pim_assert_state state)
{
	flow();
	if (state == PIM_ASSERT_WINNER)
		rig_data(&rig, LAN, src, 100);
	if (state == PIM_ASSERT_LOSER)
		rig_assert(&rig, LAN, RIVAL, src, false, BETTER, BETTER);
	assert_int_equal(state_of(src), state);
	rig_forget(&rig);
}

/* PM-33: data on the LAN from somebody else. */
static void pm33_data_provokes_an_assert(void **state)
{
	const struct sent *s;

	flow();
	rig_data(&rig, LAN, src, 100);
	assert_int_equal(rig_count(&rig, PIM_ASSERT, LAN), 1);
	s = rig_last(&rig, PIM_ASSERT, LAN);
	assert_true(sg_equal(s->assert.sg, src));
	assert_false(s->assert.is_rpt);
	assert_int_equal(s->assert.preference, 110);
	assert_int_equal(s->assert.metric, 20);
	assert_int_equal(state_of(src), PIM_ASSERT_WINNER);
	/* Not more often than once a second. */
	for (int i = 0; i < 20; i++) {
		rig_data(&rig, LAN, src, 100);
		rig_run(&rig, 100);
	}
	assert_in_range(rig_count(&rig, PIM_ASSERT, LAN), 2, 3);
	/* Data that comes in where it should provokes nothing. */
	rig_forget(&rig);
	rig_data(&rig, 0, src, 100);
	assert_int_equal(rig_count(&rig, PIM_ASSERT, 0), 0);
}

/* P46: an output that it has from (*,G) counts. */
static void could_assert_by_inheritance(void **state)
{
	rig_jp(&rig, LAN, 2, G, true, star);
	rig_jp(&rig, 2, 2, SG, true, src);
	rig_data(&rig, 0, src, 100);
	assert_true(rig_info(&rig, src).is_spt);
	rig_forget(&rig);
	rig_data(&rig, LAN, src, 100);
	assert_int_equal(rig_count(&rig, PIM_ASSERT, LAN), 1);
	assert_true(sg_equal(rig_last(&rig, PIM_ASSERT, LAN)->assert.sg, src));
}

enum event {
	DATA,
	INFERIOR,
	RPT_ASSERT,
	PREFERRED,
	CANCEL_FROM_WINNER,
	TIMER,
	NOT_COULD,
	WINNER_GONE,
	WINNER_RESTARTED,
	JOINED,
	N_EVENTS
};

static void happens(struct sg of, bool is_rpt, enum event event)
{
	struct pim_hello h = rig_hello();

	switch (event) {
	case DATA:
		rig_data(&rig, LAN, src, 100);
		break;
	case INFERIOR:
		rig_assert(&rig, LAN, 2, of, is_rpt, WORSE, WORSE);
		break;
	case RPT_ASSERT:
		rig_assert(&rig, LAN, 2, src, true, 0, 0);
		break;
	case PREFERRED:
		rig_assert(&rig, LAN, 2, of, is_rpt, 0, 0);
		break;
	case CANCEL_FROM_WINNER:
		rig_assert(&rig, LAN, RIVAL, of, true, PIM_ASSERT_INFINITE, UINT32_MAX);
		break;
	case TIMER:
		rig_run(&rig, 180000);
		break;
	case NOT_COULD:
		rig_jp(&rig, LAN, 2, is_rpt ? G : SG, false, of);
		rig_run(&rig, 3000);
		break;
	case WINNER_GONE:
		rig_say(&rig, LAN, RIVAL, (struct pim_hello){ .holdtime = 0 });
		break;
	case WINNER_RESTARTED:
		h.gen_id = 1234;
		rig_say(&rig, LAN, RIVAL, h);
		break;
	case JOINED:
		rig_jp(&rig, LAN, 2, is_rpt ? G : SG, true, of);
		break;
	case N_EVENTS:
		break;
	}
}

static void sg_every_state_and_event(void **state)
{
	enum { N = PIM_ASSERT_NOINFO, W = PIM_ASSERT_WINNER, L = PIM_ASSERT_LOSER };
	static const int after[3][N_EVENTS] = {
		[N] = { W, W, W, L, W, N, N, N, N, N },
		[W] = { W, W, W, L, W, W, N, W, W, W },
		[L] = { L, L, L, L, N, N, N, N, N, N },
	};
	/* How many Asserts it sends at that. */
	static const uint32_t sends[3][N_EVENTS] = {
		[N] = { 1, 1, 1, 0, 1, 0, 0, 0, 0, 0 },
		[W] = { 0, 1, 1, 0, 1, 1, 1, 0, 0, 0 },
		[L] = { 0 },
	};

	teardown(NULL);
	for (int s = 0; s < 3; s++)
		for (int ev = 0; ev < N_EVENTS; ev++) {
			setup(NULL);
			sg_into((enum pim_assert_state)s);
			happens(src, false, (enum event)ev);
			assert_int_equal(state_of(src), after[s][ev]);
			assert_int_equal(rig_count(&rig, PIM_ASSERT, LAN), sends[s][ev]);
			teardown(NULL);
		}
	setup(NULL);
}

static void star_into(enum pim_assert_state state)
{
	rig_jp(&rig, LAN, 2, G, true, star);
	if (state == PIM_ASSERT_WINNER)
		rig_data(&rig, LAN, src, 100);
	if (state == PIM_ASSERT_LOSER)
		rig_assert(&rig, LAN, RIVAL, star, true, BETTER, BETTER);
	assert_int_equal(state_of(star), state);
	rig_forget(&rig);
}

static void star_every_state_and_event(void **state)
{
	enum { N = PIM_ASSERT_NOINFO, W = PIM_ASSERT_WINNER, L = PIM_ASSERT_LOSER };
	static const int after[3][N_EVENTS] = {
		[N] = { W, W, L, L, W, N, N, N, N, N },
		[W] = { W, W, L, L, W, W, N, W, W, W },
		[L] = { L, L, L, L, N, N, N, N, N, N },
	};

	teardown(NULL);
	for (int s = 0; s < 3; s++)
		for (int ev = 0; ev < N_EVENTS; ev++) {
			setup(NULL);
			star_into((enum pim_assert_state)s);
			happens(star, true, (enum event)ev);
			assert_int_equal(state_of(star), after[s][ev]);
			teardown(NULL);
		}
	setup(NULL);
}

/* The (*,G) Assert has source 0 and the R bit. */
static void star_assert_message(void **state)
{
	const struct sent *s;

	rig_jp(&rig, LAN, 2, G, true, star);
	rig_data(&rig, LAN, src, 100);
	s = rig_last(&rig, PIM_ASSERT, LAN);
	assert_non_null(s);
	assert_true(sg_equal(s->assert.sg, star));
	assert_true(s->assert.is_rpt);
	assert_int_equal(s->assert.metric, 20);
}

/* The winner repeats itself 3 s before the others forget it. */
static void winner_repeats_after_177_s(void **state)
{
	sg_into(PIM_ASSERT_WINNER);
	rig_run(&rig, 176999);
	assert_int_equal(rig_count(&rig, PIM_ASSERT, LAN), 0);
	rig_run(&rig, 1);
	assert_int_equal(rig_count(&rig, PIM_ASSERT, LAN), 1);
	rig_jp(&rig, LAN, 2, SG, true, src);
}

/* The loser stops forwarding, and starts again when it is over. */
static void loser_does_not_forward(void **state)
{
	rig_jp(&rig, 2, 2, SG, true, src);
	sg_into(PIM_ASSERT_LOSER);
	assert_false(rig_flows(&rig, src, LAN));
	assert_int_equal(rig_branch(&rig, src, LAN).winner.net, at(LAN, RIVAL).net);
	rig_run(&rig, 179999);
	assert_false(rig_flows(&rig, src, LAN));
	rig_run(&rig, 1);
	assert_int_equal(state_of(src), PIM_ASSERT_NOINFO);
	assert_true(rig_flows(&rig, src, LAN));
}

/* Its metrics, best first: no R bit, preference, metric, and the higher address. */
static void what_is_better(void **state)
{
	static const struct {
		uint32_t preference, metric;
		uint32_t host;
		bool is_rpt, wins;
	} cases[] = {
		{ 109, 99, 3, false, true }, { 111, 1, 3, false, false },
		{ 110, 19, 3, false, true }, { 110, 21, 3, false, false },
		{ 110, 20, 3, false, true }, { 0, 0, 3, true, false },
	};

	teardown(NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(NULL);
		flow();
		rig_assert(&rig, LAN, cases[i].host, src, cases[i].is_rpt, cases[i].preference,
			   cases[i].metric);
		assert_int_equal(state_of(src),
				 cases[i].wins ? PIM_ASSERT_LOSER : PIM_ASSERT_WINNER);
		teardown(NULL);
	}
	setup(NULL);
	/* Equal in all but the address. */
	rig.link[LAN].address = at(LAN, 200);
	rig_port(&rig, LAN);
	flow();
	rig_assert(&rig, LAN, RIVAL, src, false, 110, 20);
	assert_int_equal(state_of(src), PIM_ASSERT_WINNER);
}

/* Downstream of two routers: joins go to the winner, by t_override (PM-14: until it restarts). */
static void joins_go_to_the_winner(void **state)
{
	struct pim_hello h = rig_hello();

	rig_neighbor(&rig, 0, 4);
	flow();
	rig_assert(&rig, 0, 4, src, false, 1, 1);
	assert_int_equal(rig_info(&rig, src).rpf_neighbor.net, at(0, 4).net);
	assert_true(rig_info(&rig, src).is_spt);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, SG, true, src), 1);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->upstream.net, at(0, 4).net);
	assert_int_equal(rig_said(&rig, 0, SG, false, src), 0);
	h.gen_id = 4321;
	rig_say(&rig, 0, 4, h);
	assert_int_equal(rig_info(&rig, src).rpf_neighbor.net, at(0, 2).net);
}

/* The same for the shared tree, and for one source of it: that one is pruned where it is not
 * wanted. */
static void shared_tree_follows_the_winner(void **state)
{
	rig_neighbor(&rig, 0, 4);
	rig_jp(&rig, LAN, 2, G, true, star);
	rig_forget(&rig);
	rig_assert(&rig, 0, 4, star, true, 1, 1);
	assert_int_equal(rig_info(&rig, star).rpf_neighbor.net, at(0, 4).net);
	rig_run(&rig, 2500);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->upstream.net, at(0, 4).net);
	rig_assert(&rig, 0, 2, src, false, 1, 1);
	rig_run(&rig, 2500);
	assert_int_equal(rig_said(&rig, 0, RPT, true, src), 1);
}

/* The way to the source moves to where it has lost, or away from there. */
static void rpf_moves(void **state)
{
	rig_neighbor(&rig, 0, 4);
	flow();
	rig_assert(&rig, 0, 4, src, false, 1, 1);
	assert_int_equal(rig_branch(&rig, src, 0).assert, PIM_ASSERT_LOSER);
	rig_neighbor(&rig, 5, 3);
	rig_way(&rig, prefix("10.0.0.0", 8), 5, 3);
	rig_moved(&rig);
	assert_int_equal(rig_branch(&rig, src, 0).port, PORT_NONE);
	assert_int_equal(rig_said(&rig, 5, SG, true, src), 1);
}

/* Better than the winner by now: it forwards again, and data decides. */
static void own_metric_improves(void **state)
{
	sg_into(PIM_ASSERT_LOSER);
	rig.ways[1].rpf.preference = 0;
	rig_moved(&rig);
	/* lost_assert(S,G,I) no longer holds; that the Assert is over shows when packets come. */
	assert_true(rig_flows(&rig, src, LAN));
	assert_int_equal(rig_said(&rig, 0, SG, true, src), 1);
	rig_data(&rig, 0, src, 100);
	assert_int_equal(state_of(src), PIM_ASSERT_NOINFO);
	assert_true(rig_flows(&rig, src, LAN));
}

static void asserts_about_nothing(void **state)
{
	assert_int_equal(rig_assert(&rig, LAN, RIVAL, src, false, 1, 1), PIM_OK);
	assert_int_equal(rig_assert(&rig, LAN, RIVAL, star, true, 1, 1), PIM_OK);
	assert_int_equal(rig_info(&rig, star).sg.group.net, 0);
	rig_jp(&rig, 2, 2, SG, true, sg("10.0.9.9", GROUP));
	assert_int_equal(rig_assert(&rig, 3, RIVAL, src, false, 1, 1), PIM_DROP_NO_NEIGHBOR);
	assert_int_equal(rig_assert(&rig, LAN, RIVAL, src, false, 1, 1), PIM_OK);
	assert_int_equal(rig_info(&rig, src).sg.group.net, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(pm33_data_provokes_an_assert),
		T(could_assert_by_inheritance),
		T(sg_every_state_and_event),
		T(star_every_state_and_event),
		T(star_assert_message),
		T(winner_repeats_after_177_s),
		T(loser_does_not_forward),
		T(what_is_better),
		T(joins_go_to_the_winner),
		T(shared_tree_follows_the_winner),
		T(rpf_moves),
		T(own_metric_improves),
		T(asserts_about_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
