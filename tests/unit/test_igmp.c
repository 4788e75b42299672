/* SPDX-License-Identifier: MIT */
/*
 * The IGMP engine by the rules of RFC 9776 and its relatives, one story each: what is asked and
 * when, who asks, older hosts and routers, and what comes in wrong. The state table has a test of
 * its own.
 */
#include "../lib/igmp_story.h"

#define LOW  ADDR(10, 0, 0, 1) /* the engine has 10.0.0.5 */
#define HIGH ADDR(10, 0, 0, 9)
#define GMI  270000

static struct igmp_query general(uint8_t version)
{
	return (struct igmp_query){ .version = version, .response_ds = version == 1 ? 0 : 100 };
}

static int64_t group_ms(struct ip4 group)
{
	struct igmp_group_view g;
	struct igmp_cursor c;

	if (!lab_group(&l, 0, group, &c, &g) || !g.is_exclude)
		return -1;
	return (g.expires.us - l.now.us) / 1000;
}

/* Queries sent since `from`, one after the other: their times in ms after it. */
static void sent_at(struct mtime from, uint32_t n, const int64_t *ms)
{
	assert_int_equal(l.n_sent, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal((l.sent[i].at.us - from.us) / 1000, ms[i]);
}

/* --- asking --------------------------------------------------------------------------------- */

/* IG-20, IG-5 (lab_sent() looks at every packet) */
static void ig20_two_queries_at_startup_and_then_one_each_interval(void **state)
{
	struct mtime from;

	start();
	from = l.now;
	lab_pass(&l, 300000);
	sent_at(from, 4, (const int64_t[]){ 0, 31250, 156250, 281250 });
	assert_memory_equal(l.sent[0].bytes, "\x11\x64\xec\x1e\0\0\0\0\x02\x7d\0\0", 12);
	assert_true(l.sent[0].head.has_router_alert);
	assert_true(ip4_equal(l.sent[0].head.source, ADDR(10, 0, 0, 5)));
	assert_true(ip4_equal(l.sent[0].head.dst, ADDR(224, 0, 0, 1)));
}

static void ig5_nothing_is_asked_without_an_address(void **state)
{
	struct igmp_link link = { .is_up = true, .mtu = 1500 };

	start();
	lab_forget(&l);
	igmp_link(l.e, l.now, 0, &link, &lab_out);
	lab_settle(&l);
	assert_false(view().is_querier);
	assert_int_equal(report(H1, IGMP_TO_EX, G), IGMP_ACCEPTED);
	lab_pass(&l, 200000);
	assert_int_equal(l.n_sent, 0);
	assert_true(lab_wants(&l, 0, ANY, G));
}

static void ig5_the_router_alert_can_be_left_out(void **state)
{
	port.no_router_alert = true;
	start();
	assert_int_equal(l.n_sent, 1);
	assert_false(l.sent[0].head.has_router_alert);
}

/* IG-25, IG-26: asked twice, a second apart; gone after two seconds. */
static void ig25_the_last_member_leaves(void **state)
{
	struct mtime from;

	start();
	report(H1, IGMP_TO_EX, G);
	past_startup();
	from = l.now;
	report(H1, IGMP_TO_IN, G);
	assert_int_equal(group_ms(G), 2000);
	lab_pass(&l, 1999);
	assert_true(lab_wants(&l, 0, ANY, G));
	lab_pass(&l, 1);
	assert_int_equal(l.n_members, 0);
	sent_at(from, 2, (const int64_t[]){ 0, 1000 });
	assert_memory_equal(l.sent[1].bytes, "\x11\x0a\xfc\x75\xef\x01\x01\x01\x02\x7d\0\0", 12);
	assert_int_equal(lab_events(&l, EVENT_IGMP_LEAVE), 1);
	assert_int_equal(view().groups, 0);
}

static void ig26_the_s_flag_says_that_somebody_answered(void **state)
{
	start();
	report(H1, IGMP_TO_EX, G);
	past_startup();
	report(H1, IGMP_TO_IN, G);
	lab_pass(&l, 500);
	report(H2, IGMP_IS_EX, G);
	assert_int_equal(group_ms(G), GMI);
	lab_pass(&l, 5000);
	assert_int_equal(l.n_sent, 2);
	assert_false(l.sent[0].q.suppress);
	assert_true(l.sent[1].q.suppress);
	assert_true(lab_wants(&l, 0, ANY, G));
}

/* IG-27: two messages, by the S flag; an empty one is not sent. */
static void ig27_sources_are_asked_for_in_two_messages(void **state)
{
	struct ip4 both[2] = { S1, S2 };
	struct mtime from;

	start();
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, both, 2);
	past_startup();
	from = l.now;
	lab_report(&l, 0, H1, IGMP_BLOCK, SSM, both, 2);
	lab_pass(&l, 500);
	report1(H2, IGMP_IS_IN, SSM, S2);
	lab_pass(&l, 10000);
	sent_at(from, 3, (const int64_t[]){ 0, 1000, 1000 });
	assert_int_equal(l.sent[0].q.n_sources, 2);
	assert_false(l.sent[0].q.suppress);
	assert_true(l.sent[1].q.suppress && l.sent[1].q.n_sources == 1);
	assert_true(ip4_equal(rd_ip4(&l.sent[1].q.sources), S2));
	assert_true(!l.sent[2].q.suppress && l.sent[2].q.n_sources == 1);
	assert_true(ip4_equal(rd_ip4(&l.sent[2].q.sources), S1));
	assert_false(lab_wants(&l, 0, S1, SSM));
	assert_true(lab_wants(&l, 0, S2, SSM));
}

static void ig27_one_query_is_known_to_the_byte(void **state)
{
	start();
	report1(H1, IGMP_ALLOW, SSM, ADDR(10, 0, 0, 5));
	past_startup();
	report1(H1, IGMP_BLOCK, SSM, ADDR(10, 0, 0, 5));
	assert_memory_equal(l.sent[0].bytes,
			    "\x11\x0a\xf9\x6f\xe8\x01\x01\x01\x02\x7d\0\x01\x0a\0\0\x05", 16);
}

static void ig27_a_second_leave_joins_the_repetitions_of_the_first(void **state)
{
	struct ip4 both[2] = { S1, S2 };

	start();
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, both, 2);
	past_startup();
	report1(H1, IGMP_BLOCK, SSM, S1);
	lab_pass(&l, 500);
	report1(H1, IGMP_BLOCK, SSM, S2);
	lab_pass(&l, 10000);
	/* S1; S1 and S2; S2 */
	assert_int_equal(l.n_sent, 3);
	assert_int_equal(l.sent[0].q.n_sources, 1);
	assert_int_equal(l.sent[1].q.n_sources, 2);
	assert_int_equal(l.sent[2].q.n_sources, 1);
	assert_int_equal(l.n_members, 0);
}

/* IG-6, P44: many sources go into as many messages as they take. */
static void ig6_queries_are_no_longer_than_the_mtu(void **state)
{
	static struct ip4 sources[1000];
	unsigned n = 0;

	for (uint32_t i = 0; i < 1000; i++)
		sources[i] = ip4_from_host(0xc6130000 + i);
	start();
	for (int i = 0; i < 4; i++)
		assert_int_equal(lab_report(&l, 0, H1, IGMP_ALLOW, SSM, sources + i * 250, 250),
				 IGMP_ACCEPTED);
	past_startup();
	report(H1, IGMP_TO_IN, SSM);
	lab_pass(&l, 500);
	assert_int_equal(l.n_sent, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(l.sent[i].head.len + 24 <= 1500);
		n += l.sent[i].q.n_sources;
	}
	assert_int_equal(l.sent[0].q.n_sources, 366);
	assert_int_equal(n, 1000);
	lab_pass(&l, 2000);
	assert_int_equal(l.n_members, 0);
	assert_true(l.longest <= ACTIONS_MAX);
}

static void ig25_last_members_can_be_asked_more_often(void **state)
{
	struct mtime from;

	port.last_member_count = 4;
	port.last_member_interval = mtime_ms(500);
	start();
	report(H1, IGMP_TO_EX, G);
	past_startup();
	from = l.now;
	report(H1, IGMP_TO_IN, G);
	lab_pass(&l, 1999);
	assert_true(lab_wants(&l, 0, ANY, G));
	lab_pass(&l, 1);
	sent_at(from, 4, (const int64_t[]){ 0, 500, 1000, 1500 });
	assert_int_equal(l.n_members, 0);
}

/* The repetitions end with the right to ask. */
static void ig5_an_address_that_goes_ends_all_questions(void **state)
{
	struct igmp_link link = { .is_up = true, .mtu = 1500 };

	start();
	report(H1, IGMP_TO_EX, G);
	past_startup();
	report(H1, IGMP_TO_IN, G);
	igmp_link(l.e, l.now, 0, &link, &lab_out);
	lab_pass(&l, 10000);
	assert_int_equal(l.n_sent, 1);
	assert_int_equal(l.n_members, 0);
}

/* IG-29: what a host says when it is asked is no reason to ask again. */
static void ig29_answers_raise_no_questions(void **state)
{
	struct ip4 both[2] = { S1, S2 };

	start();
	lab_report(&l, 0, H1, IGMP_IS_IN, G, both, 2);
	past_startup();
	report1(H1, IGMP_IS_IN, G, S1);
	report(H1, IGMP_IS_IN, G);
	report(H1, IGMP_IS_EX, G);
	report1(H1, IGMP_IS_EX, G, S2);
	report(H1, IGMP_IS_IN, G);
	assert_int_equal(l.n_sent, 0);
}

/* P40: nothing ends before the membership interval does. */
static void a_group_lives_as_long_as_the_standard_says(void **state)
{
	start();
	report(H1, IGMP_TO_EX, G);
	lab_pass(&l, GMI - 1);
	assert_true(lab_wants(&l, 0, ANY, G));
	lab_pass(&l, 1);
	assert_false(lab_wants(&l, 0, ANY, G));
	lab_close(&l);
	cfg.is_gmi_rfc3376 = true;
	start();
	report(H1, IGMP_TO_EX, G);
	lab_pass(&l, 259999);
	assert_true(lab_wants(&l, 0, ANY, G));
	lab_pass(&l, 1);
	assert_false(lab_wants(&l, 0, ANY, G));
}

/* Time is taken into account even if nobody has called tick in time. */
static void what_has_expired_is_not_there_any_more(void **state)
{
	start();
	report1(H1, IGMP_TO_EX, G, S2);
	l.now = mtime_add(l.now, mtime_ms(GMI));
	report1(H1, IGMP_ALLOW, G, S1);
	assert_false(lab_wants(&l, 0, ANY, G));
	assert_true(lab_wants(&l, 0, S1, G));
	assert_int_equal(l.n_members, 1);
}

/* What is wanted instead is said before what was wanted until now is taken back. */
static void wishes_change_without_a_gap(void **state)
{
	static struct igmp_packet p;
	struct ip4 s1 = S1;
	struct igmp_rx rx = { .source = H1, .ttl = 1, .data = p.bytes };

	start();
	report1(H1, IGMP_ALLOW, G, S1);
	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_IS_EX, G, NULL, 0);
	rx.len = p.len;
	igmp_input(l.e, l.now, &rx, &lab_out);
	assert_int_equal(lab_out.list[0].kind, ACT_WANT);
	assert_true(sg_equal(lab_out.list[0].member.sg, (struct sg){ ANY, G }));
	assert_int_equal(lab_out.list[2].kind, ACT_UNWANT);
	lab_settle(&l);
	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_ALLOW, G, &s1, 1);
	lab_input(&l, 0, H1, &p);
	lab_pass(&l, 100000);
	lab_input(&l, 0, H1, &p);
	l.now = mtime_add(l.now, mtime_ms(170000));
	igmp_tick(l.e, l.now, &lab_out);
	for (uint32_t i = 0, seen = 0; i < lab_out.n; i++) {
		seen |= lab_out.list[i].kind == ACT_WANT;
		assert_true(seen || lab_out.list[i].kind != ACT_UNWANT);
	}
	lab_settle(&l);
	assert_true(lab_wants(&l, 0, S1, G));
	assert_int_equal(l.n_members, 1);
}

/* P32 */
static void empty_lists_keep_nothing_alive(void **state)
{
	start();
	assert_int_equal(report(H1, IGMP_IS_IN, G), IGMP_ACCEPTED);
	assert_int_equal(report(H1, IGMP_TO_IN, G), IGMP_ACCEPTED);
	assert_int_equal(report(H1, IGMP_ALLOW, G), IGMP_ACCEPTED);
	assert_int_equal(report1(H1, IGMP_BLOCK, G, S1), IGMP_ACCEPTED);
	assert_int_equal(view().groups, 0);
	assert_int_equal(l.n_members, 0);
}

/* --- who asks ------------------------------------------------------------------------------- */

static void ig21_a_lower_address_takes_over(void **state)
{
	start();
	past_startup();
	assert_int_equal(lab_query(&l, 0, LOW, general(3), NULL), IGMP_ACCEPTED);
	assert_false(view().is_querier);
	assert_true(ip4_equal(view().querier, LOW));
	assert_int_equal(lab_events(&l, EVENT_IGMP_QUERIER), 1);
	lab_pass(&l, 254999);
	assert_int_equal(l.n_sent, 0);
	lab_pass(&l, 1);
	assert_true(view().is_querier);
	assert_int_equal(l.n_sent, 1);
	lab_pass(&l, 125000);
	assert_int_equal(l.n_sent, 2);
}

static void ig21_others_do_not(void **state)
{
	struct igmp_query group = { .version = 3, .response_ds = 10, .group = G };

	start();
	assert_int_equal(lab_query(&l, 0, HIGH, general(3), NULL), IGMP_ACCEPTED);
	assert_int_equal(lab_query(&l, 0, ANY, general(3), NULL), IGMP_ACCEPTED);
	assert_int_equal(lab_query(&l, 0, ADDR(10, 0, 0, 5), general(3), NULL), IGMP_DROP_OWN);
	assert_int_equal(lab_query(&l, 0, ADDR(9, 9, 9, 9), general(3), NULL), IGMP_DROP_SOURCE);
	assert_int_equal(lab_query(&l, 0, ADDR(224, 0, 0, 5), general(3), NULL), IGMP_DROP_SOURCE);
	assert_int_equal(lab_query(&l, 0, LOW, group, NULL), IGMP_ACCEPTED);
	assert_true(view().is_querier);
}

static void ig22_only_the_querier_or_a_lower_one_keeps_it(void **state)
{
	struct ip4 lower = ADDR(10, 0, 0, 0), middle = ADDR(10, 0, 0, 3);

	start();
	lab_query(&l, 0, LOW, general(3), NULL);
	lab_pass(&l, 100000);
	lab_query(&l, 0, middle, general(3), NULL);
	assert_true(ip4_equal(view().querier, LOW));
	assert_int_equal((view().expires.us - l.now.us) / 1000, 155000);
	lab_query(&l, 0, LOW, general(3), NULL);
	assert_int_equal((view().expires.us - l.now.us) / 1000, 255000);
	lab_pass(&l, 100000);
	lab_query(&l, 0, lower, general(3), NULL);
	assert_true(ip4_equal(view().querier, lower));
	assert_int_equal((view().expires.us - l.now.us) / 1000, 255000);
}

static void ig23_the_s_flag_does_not_matter_to_the_election(void **state)
{
	struct igmp_query q = general(3);

	q.suppress = true;
	start();
	lab_query(&l, 0, LOW, q, NULL);
	assert_false(view().is_querier);
}

/* IG-24, P38 */
static void ig24_who_asks_for_last_members_goes_on(void **state)
{
	start();
	report(H1, IGMP_TO_EX, G);
	past_startup();
	report(H1, IGMP_TO_IN, G);
	lab_query(&l, 0, LOW, general(3), NULL);
	assert_true(view().is_querier);
	lab_pass(&l, 3000);
	assert_int_equal(l.n_sent, 2);
	lab_query(&l, 0, LOW, general(3), NULL);
	assert_false(view().is_querier);
}

/* IG-28: those that do not ask go by what they hear. */
static void ig28_a_heard_question_lowers_timers(void **state)
{
	struct igmp_query q = { .version = 3, .response_ds = 10, .group = G, .suppress = true };
	struct ip4 s1 = S1;

	start();
	lab_query(&l, 0, LOW, general(3), NULL);
	lab_forget(&l);
	report(H1, IGMP_TO_EX, G);
	report1(H1, IGMP_ALLOW, SSM, S1);
	report1(H1, IGMP_ALLOW, SSM, S2);
	report(H1, IGMP_TO_IN, G);
	assert_int_equal(group_ms(G), GMI);
	lab_query(&l, 0, LOW, q, NULL);
	assert_int_equal(group_ms(G), GMI);
	q.suppress = false;
	lab_query(&l, 0, LOW, q, NULL);
	assert_int_equal(group_ms(G), 2000);
	q.group = SSM;
	q.n_sources = 1;
	lab_query(&l, 0, LOW, q, &s1);
	lab_pass(&l, 2000);
	assert_false(lab_wants(&l, 0, ANY, G));
	assert_false(lab_wants(&l, 0, S1, SSM));
	assert_true(lab_wants(&l, 0, S2, SSM));
	assert_int_equal(l.n_sent, 0);
}

static void ig28_a_slower_querier_is_waited_for(void **state)
{
	struct igmp_query q = { .version = 2, .response_ds = 50, .group = G };

	start();
	report(H1, IGMP_TO_EX, G);
	lab_query(&l, 0, LOW, q, NULL);
	assert_int_equal(group_ms(G), 10000);
}

static void the_queriers_numbers_are_taken_over(void **state)
{
	struct igmp_query q = general(3);

	q.robustness = 3;
	q.interval_s = 60;
	start();
	lab_query(&l, 0, LOW, q, NULL);
	assert_int_equal(view().robustness, 3);
	assert_int_equal(view().query_interval.us, 60000000);
	assert_int_equal(view().membership.us, 200000000);
	q.robustness = 0;
	q.interval_s = 0;
	lab_query(&l, 0, LOW, q, NULL);
	assert_int_equal(view().robustness, 2);
	assert_int_equal(view().membership.us, 270000000);
	lab_pass(&l, 255000);
	assert_true(view().is_querier);
}

/* IG-30 */
static void ig30_every_version_asks_in_its_own_format(void **state)
{
	static const char *const bytes[] = { "\x11\0\xee\xff\0\0\0\0", "\x11\x64\xee\x9b\0\0\0\0" };

	for (uint8_t version = 1; version <= 2; version++) {
		setup(state);
		port.version = version;
		start();
		assert_int_equal(l.sent[0].head.len, 8);
		assert_memory_equal(l.sent[0].bytes, bytes[version - 1], 8);
		assert_int_equal(report(H1, IGMP_TO_EX, G), IGMP_DROP_VERSION);
		assert_int_equal(lab_short(&l, 0, H1, IGMP_V1_REPORT, 0, G), IGMP_ACCEPTED);
		assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G),
				 version == 2 ? IGMP_ACCEPTED : IGMP_DROP_VERSION);
		assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, G), IGMP_DROP_VERSION);
		if (version == 1)
			lab_close(&l);
	}
}

static void ig30_v2_asks_for_a_group_in_eight_bytes(void **state)
{
	port.version = 2;
	start();
	lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G);
	past_startup();
	lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, G);
	assert_int_equal(l.sent[0].head.len, 8);
	assert_memory_equal(l.sent[0].bytes, "\x11\x0a\xfe\xf2\xef\x01\x01\x01", 8);
	lab_pass(&l, 2000);
	assert_int_equal(l.n_sent, 2);
	assert_int_equal(l.n_members, 0);
}

static void ig30_beside_an_older_router_the_older_version_is_spoken(void **state)
{
	start();
	past_startup();
	lab_query(&l, 0, HIGH, general(2), NULL);
	assert_int_equal(view().version, 2);
	assert_int_equal(lab_events(&l, EVENT_IGMP_VERSION), 1);
	lab_query(&l, 0, HIGH, general(2), NULL);
	lab_query(&l, 0, HIGH, general(2), NULL);
	assert_int_equal(lab_events(&l, EVENT_IGMP_VERSION), 1);
	lab_pass(&l, 130000);
	assert_int_equal(l.sent[0].head.len, 8);
	assert_int_equal(report(H1, IGMP_TO_EX, G), IGMP_ACCEPTED);
	lab_pass(&l, 200000);
	assert_int_equal(view().version, 3);
	lab_query(&l, 0, ANY, general(1), NULL);
	assert_int_equal(view().version, 3);
	lab_query(&l, 0, HIGH, general(1), NULL);
	assert_int_equal(view().version, 1);
	lab_query(&l, 0, HIGH, general(2), NULL);
	assert_int_equal(view().version, 1);
	/* Nobody is asked in a way that the older version does not have; so nothing is cut short.
	 */
	lab_forget(&l);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G), IGMP_ACCEPTED);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, G), IGMP_DROP_VERSION);
	report1(H1, IGMP_ALLOW, SSM, S1);
	report1(H1, IGMP_BLOCK, SSM, S1);
	report(H1, IGMP_TO_EX, ADDR(239, 2, 2, 2));
	report(H1, IGMP_TO_IN, ADDR(239, 2, 2, 2));
	lab_pass(&l, 5000);
	assert_true(lab_wants(&l, 0, S1, SSM) && lab_wants(&l, 0, ANY, G));
	assert_true(lab_wants(&l, 0, ANY, ADDR(239, 2, 2, 2)));
	assert_int_equal(l.n_sent, 0);
}

static void ig30_a_newer_router_is_only_told_of(void **state)
{
	port.version = 2;
	start();
	lab_query(&l, 0, HIGH, general(3), NULL);
	assert_int_equal(view().version, 2);
	assert_int_equal(lab_events(&l, EVENT_IGMP_VERSION), 1);
}

/* P54 */
static void a_listener_never_asks(void **state)
{
	port.mode = IGMP_LISTEN;
	start();
	report(H1, IGMP_TO_EX, G);
	assert_true(lab_wants(&l, 0, ANY, G));
	report(H1, IGMP_TO_IN, G);
	lab_pass(&l, GMI);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(l.n_sent, 0);
	assert_int_equal(lab_events(&l, EVENT_IGMP_NO_QUERIER), 1);
	lab_query(&l, 0, HIGH, general(3), NULL);
	assert_true(ip4_equal(view().querier, HIGH));
	lab_query(&l, 0, LOW, (struct igmp_query){ .version = 3, .robustness = 5 }, NULL);
	assert_true(ip4_equal(view().querier, LOW));
	assert_int_equal(view().robustness, 5);
	lab_pass(&l, 1000000);
	assert_int_equal(view().robustness, 2);
	assert_int_equal(lab_events(&l, EVENT_IGMP_NO_QUERIER), 2);
	assert_int_equal(view().querier.net, 0);
	assert_int_equal(l.n_sent, 0);
}

/* --- older hosts ---------------------------------------------------------------------------- */

static void ig41_v2_reports_and_leaves(void **state)
{
	struct igmp_group_view g;
	struct igmp_cursor c;

	start();
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G), IGMP_ACCEPTED);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_true(lab_group(&l, 0, G, &c, &g));
	assert_int_equal(g.version, 2);
	assert_true(ip4_equal(g.last_reporter, H1));
	past_startup();
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, G), IGMP_ACCEPTED);
	lab_pass(&l, 2000);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(l.n_sent, 2);
	assert_int_equal(lab_stats(&l, 0).reports_v2, 1);
	assert_int_equal(lab_stats(&l, 0).leaves, 1);
}

/* Nothing is taken from a host that cannot say which sources it wants. */
static void ig41_sources_are_not_blocked_beside_a_v2_host(void **state)
{
	start();
	lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G);
	past_startup();
	assert_int_equal(report1(H2, IGMP_BLOCK, G, S1), IGMP_ACCEPTED);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_VERSION], 1);
	report1(H2, IGMP_TO_EX, G, S1);
	lab_pass(&l, 5000);
	assert_false(lab_wants_not(&l, 0, S1, G));
	assert_int_equal(l.n_sent, 0);
	/* A leave is answered all the same. */
	report(H2, IGMP_TO_IN, G);
	assert_int_equal(l.n_sent, 1);
}

static void ig41_nothing_leaves_beside_a_v1_host(void **state)
{
	struct igmp_group_view g;
	struct igmp_cursor c;

	start();
	lab_short(&l, 0, H1, IGMP_V1_REPORT, 0, G);
	past_startup();
	assert_true(lab_group(&l, 0, G, &c, &g));
	assert_int_equal(g.version, 1);
	assert_int_equal(lab_short(&l, 0, H2, IGMP_V2_LEAVE, 0, G), IGMP_DROP_VERSION);
	report(H2, IGMP_TO_IN, G);
	report1(H2, IGMP_BLOCK, G, S1);
	lab_pass(&l, 5000);
	assert_int_equal(l.n_sent, 0);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_VERSION], 3);
}

/* IG-42 */
static void ig42_blocking_waits_for_the_last_membership_of_an_older_host(void **state)
{
	start();
	lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G);
	for (int i = 0; i < 2; i++) {
		lab_pass(&l, 130000);
		report(H2, IGMP_IS_EX, G);
	}
	lab_pass(&l, 5000);
	report1(H2, IGMP_BLOCK, G, S1);
	lab_pass(&l, 4000);
	assert_false(lab_wants_not(&l, 0, S1, G));
	lab_pass(&l, 1000);
	report1(H2, IGMP_BLOCK, G, S1);
	lab_pass(&l, 2000);
	assert_true(lab_wants_not(&l, 0, S1, G));
}

/* IG-43, P31, P34 */
static void ig43_any_source_is_nothing_in_the_ssm_range(void **state)
{
	start();
	report1(H1, IGMP_ALLOW, SSM, S1);
	past_startup();
	assert_int_equal(report(H1, IGMP_TO_EX, SSM), IGMP_ACCEPTED);
	assert_int_equal(report1(H1, IGMP_IS_EX, SSM, S1), IGMP_ACCEPTED);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, SSM), IGMP_DROP_SSM);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V1_REPORT, 0, SSM), IGMP_DROP_SSM);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, SSM), IGMP_DROP_SSM);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_SSM], 5);
	lab_pass(&l, 5000);
	assert_int_equal(l.n_sent, 0);
	assert_int_equal(l.n_members, 1);
	assert_true(lab_wants(&l, 0, S1, SSM));
}

static void ig43_the_ssm_range_can_be_another(void **state)
{
	static const struct ip4_prefix ssm = { { 0 }, 32 };
	struct ip4_prefix ranges[2] = { ssm, { G, 24 } };

	cfg.n_ssm = 2;
	cfg.ssm = ranges;
	start();
	report(H1, IGMP_TO_EX, SSM);
	report(H1, IGMP_TO_EX, G);
	assert_true(lab_wants(&l, 0, ANY, SSM));
	assert_false(lab_wants(&l, 0, ANY, G));
}

/* --- what comes in wrong -------------------------------------------------------------------- */

/* IG-4, P42 */
static void ig4_hosts_without_an_address_count(void **state)
{
	start();
	assert_int_equal(report(ANY, IGMP_TO_EX, G), IGMP_ACCEPTED);
	assert_int_equal(lab_short(&l, 0, ANY, IGMP_V2_REPORT, 0, ADDR(239, 2, 2, 2)),
			 IGMP_ACCEPTED);
	assert_int_equal(report(ADDR(9, 9, 9, 9), IGMP_TO_EX, ADDR(239, 3, 3, 3)), IGMP_ACCEPTED);
	assert_int_equal(l.n_members, 3);
	assert_int_equal(report(ADDR(224, 1, 1, 1), IGMP_TO_EX, G), IGMP_DROP_SOURCE);
}

static void ig4_foreign_hosts_can_be_refused(void **state)
{
	port.require_local_hosts = true;
	start();
	assert_int_equal(report(ADDR(9, 9, 9, 9), IGMP_TO_EX, G), IGMP_DROP_SOURCE);
	assert_int_equal(report(ANY, IGMP_TO_EX, G), IGMP_ACCEPTED);
	assert_int_equal(report(H1, IGMP_TO_EX, G), IGMP_ACCEPTED);
}

static void ig4_groups_that_are_never_routed(void **state)
{
	start();
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, ADDR(224, 0, 0, 251)),
			 IGMP_DROP_GROUP);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, ADDR(10, 1, 1, 1)),
			 IGMP_DROP_GROUP);
	report(H1, IGMP_TO_EX, ADDR(224, 0, 0, 251));
	report(H1, 0, G);
	report(H1, 7, G);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_GROUP], 3);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_TYPE], 2);
	assert_int_equal(lab_query(&l, 0, LOW,
				   (struct igmp_query){ .version = 3, .group = ADDR(9, 9, 9, 9) },
				   NULL),
			 IGMP_DROP_GROUP);
	assert_int_equal(l.n_members, 0);
}

/* IG-7, IG-8, and the knob of P43 */
static void ig8_envelopes_are_looked_at(void **state)
{
	static struct igmp_packet p;
	struct igmp_rx rx = { .source = H1, .ttl = 2, .data = p.bytes };

	start();
	igmp_packet_short(&p, IGMP_V2_REPORT, 0, G);
	rx.len = p.len;
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_DROP_TTL);
	rx.ttl = 1;
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_ACCEPTED);
	lab_settle(&l);
	port.require_router_alert = true;
	assert_int_equal(igmp_port_set(l.e, l.now, 0, &port, &lab_out), 0);
	lab_settle(&l);
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_DROP_ROUTER_ALERT);
	igmp_packet_short(&p, 0x1f, 0, G);
	rx.ttl = 9;
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_DROP_TYPE);
	rx.port = 1;
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_DROP_PORT);
	rx.port = 4000;
	assert_int_equal(igmp_input(l.e, l.now, &rx, &lab_out), IGMP_DROP_PORT);
	assert_int_equal(igmp_stats(l.e)->received, 6);
	assert_int_equal(igmp_stats(l.e)->dropped[IGMP_DROP_PORT], 2);
}

/* IG-3: a report with one bad record changes nothing. */
static void ig3_a_bad_report_has_no_effect_at_all(void **state)
{
	static struct igmp_packet p;

	start();
	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_TO_EX, G, NULL, 0);
	igmp_packet_record(&p, IGMP_TO_EX, ADDR(239, 2, 2, 2), NULL, 0);
	p.len -= 4;
	igmp_packet_seal(&p);
	assert_int_equal(lab_input(&l, 0, H1, &p), IGMP_DROP_LENGTH);
	assert_int_equal(l.n_members, 0);
	p.bytes[0] = 0x23;
	assert_int_equal(lab_input(&l, 0, H1, &p), IGMP_DROP_CHECKSUM);
}

static void reports_come_at_a_bounded_rate_and_queries_pass(void **state)
{
	unsigned accepted = 0;

	start();
	for (int i = 0; i < 5000; i++)
		accepted += report(H1, IGMP_IS_EX, G) == IGMP_ACCEPTED;
	assert_int_equal(accepted, 2000);
	assert_int_equal(lab_query(&l, 0, LOW, general(3), NULL), IGMP_ACCEPTED);
	lab_pass(&l, 100);
	for (int i = 0; i < 5000; i++)
		accepted += report(H1, IGMP_IS_EX, G) == IGMP_ACCEPTED;
	assert_int_equal(accepted, 2100);
	assert_int_equal(lab_stats(&l, 0).dropped[IGMP_DROP_RATE], 7900);
}

static void garbage_uses_up_no_allowance(void **state)
{
	static struct igmp_packet p;

	start();
	igmp_packet_short(&p, IGMP_V2_REPORT, 0, G);
	p.bytes[2] ^= 1;
	for (int i = 0; i < 5000; i++)
		assert_int_equal(lab_input(&l, 0, H1, &p), IGMP_DROP_CHECKSUM);
	assert_int_equal(report(H1, IGMP_IS_EX, G), IGMP_ACCEPTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(ig20_two_queries_at_startup_and_then_one_each_interval),
		STORY(ig5_nothing_is_asked_without_an_address),
		STORY(ig5_the_router_alert_can_be_left_out),
		STORY(ig25_the_last_member_leaves),
		STORY(ig26_the_s_flag_says_that_somebody_answered),
		STORY(ig27_sources_are_asked_for_in_two_messages),
		STORY(ig27_one_query_is_known_to_the_byte),
		STORY(ig27_a_second_leave_joins_the_repetitions_of_the_first),
		STORY(ig6_queries_are_no_longer_than_the_mtu),
		STORY(ig25_last_members_can_be_asked_more_often),
		STORY(ig5_an_address_that_goes_ends_all_questions),
		STORY(what_has_expired_is_not_there_any_more),
		STORY(wishes_change_without_a_gap),
		STORY(ig29_answers_raise_no_questions),
		STORY(a_group_lives_as_long_as_the_standard_says),
		STORY(empty_lists_keep_nothing_alive),
		STORY(ig21_a_lower_address_takes_over),
		STORY(ig21_others_do_not),
		STORY(ig22_only_the_querier_or_a_lower_one_keeps_it),
		STORY(ig23_the_s_flag_does_not_matter_to_the_election),
		STORY(ig24_who_asks_for_last_members_goes_on),
		STORY(ig28_a_heard_question_lowers_timers),
		STORY(ig28_a_slower_querier_is_waited_for),
		STORY(the_queriers_numbers_are_taken_over),
		STORY(ig30_every_version_asks_in_its_own_format),
		STORY(ig30_v2_asks_for_a_group_in_eight_bytes),
		STORY(ig30_beside_an_older_router_the_older_version_is_spoken),
		STORY(ig30_a_newer_router_is_only_told_of),
		STORY(a_listener_never_asks),
		STORY(ig41_v2_reports_and_leaves),
		STORY(ig41_sources_are_not_blocked_beside_a_v2_host),
		STORY(ig41_nothing_leaves_beside_a_v1_host),
		STORY(ig42_blocking_waits_for_the_last_membership_of_an_older_host),
		STORY(ig43_any_source_is_nothing_in_the_ssm_range),
		STORY(ig43_the_ssm_range_can_be_another),
		STORY(ig4_hosts_without_an_address_count),
		STORY(ig4_foreign_hosts_can_be_refused),
		STORY(ig4_groups_that_are_never_routed),
		STORY(ig8_envelopes_are_looked_at),
		STORY(ig3_a_bad_report_has_no_effect_at_all),
		STORY(reports_come_at_a_bounded_rate_and_queries_pass),
		STORY(garbage_uses_up_no_allowance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
