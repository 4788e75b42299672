/* SPDX-License-Identifier: MIT */
/* PIM: links, Hello, neighbours, DR. The ids are those of the checklist of the protocol's rules. */
#include "../lib/pim_rig.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct rig rig;

static int setup(void **state)
{
	rig_init(&rig);
	rig_start(&rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(&rig);
	return 0;
}

/* PM-10: the first within 5 s, then every 30 s, with holdtime 105 and all options. */
static void pm10_hello_at_start_and_every_30_s(void **state)
{
	const struct sent *s;
	struct mtime first;

	rig_free(&rig);
	rig_init(&rig);
	rig_create(&rig);
	rig_port(&rig, 0);
	rig_run(&rig, 5000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 0), 1);
	s = rig_last(&rig, PIM_HELLO, 0);
	first = s->at;
	assert_true(first.us <= ms(6000).us);
	assert_int_equal(s->hello.holdtime, 105);
	assert_true(s->hello.has_lan_delay && s->hello.has_dr_priority && s->hello.has_gen_id);
	assert_int_equal(s->hello.propagation_ms, 500);
	assert_int_equal(s->hello.override_ms, 2500);
	assert_false(s->hello.can_track);
	assert_int_equal(s->hello.dr_priority, 1);
	assert_int_equal(s->source.net, at(0, 1).net);
	assert_int_equal(s->dst.net, ip("224.0.0.13").net);
	rig_run(&rig, 30000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 0), 2);
	s = rig_last(&rig, PIM_HELLO, 0);
	assert_int_equal(s->at.us - first.us, 30000000);
}

/* PM-11: one more for a newcomer or one that restarted, and the period stays as it was. */
static void pm11_newcomers_are_greeted(void **state)
{
	struct pim_port_info p;
	struct pim_hello h = rig_hello();
	struct mtime periodic;

	assert_true(pim_port_info(rig.e, 1, &p));
	periodic = p.next_hello;
	assert_int_equal(rig_say(&rig, 1, 2, h), PIM_OK);
	rig_run(&rig, 5000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 1), 1);
	assert_true(pim_port_info(rig.e, 1, &p));
	assert_int_equal(p.next_hello.us, periodic.us);
	rig_forget(&rig);
	assert_int_equal(rig_say(&rig, 1, 2, h), PIM_OK);
	rig_run(&rig, 5000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 1), 0);
	h.gen_id++;
	assert_int_equal(rig_say(&rig, 1, 2, h), PIM_OK);
	rig_run(&rig, 5000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 1), 1);
}

/* PM-12: a Join does not wait for the Hello, it sends one first. */
static void pm12_hello_before_anything_else(void **state)
{
	rig_neighbor(&rig, 0, 2);
	rig_forget(&rig);
	rig_local(&rig, 1, sg(NULL, "239.1.1.1"), PIM_LOCAL_INCLUDE);
	assert_true(rig.n_sent >= 1);
	rig_run(&rig, 10);
	for (uint32_t i = 0; i < rig.n_sent; i++)
		if (rig.sent[i].port == 0 && rig.sent[i].type == PIM_JOIN_PRUNE) {
			assert_true(i > 0);
			assert_int_equal(rig.sent[i - 1].type, PIM_HELLO);
			return;
		}
	fail_msg("no Join was sent");
}

/* PM-13: goodbye from the old address, then Hello with the new one and a new Generation ID. */
static void pm13_address_changes(void **state)
{
	uint32_t gen_id = pim_gen_id(rig.e, 1);

	rig.link[1].address = at(1, 9);
	rig_port(&rig, 1);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 1), 1);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.holdtime, 0);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->source.net, at(1, 1).net);
	rig_run(&rig, 5000);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->source.net, at(1, 9).net);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.holdtime, 105);
	assert_true(pim_gen_id(rig.e, 1) != gen_id);
	rig_forget(&rig);
	rig.link[1].n_secondaries = 1;
	rig.link[1].secondaries[0] = at(1, 77);
	rig_port(&rig, 1);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 1), 1);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.n_secondaries, 1);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.secondaries[0].net, at(1, 77).net);
}

/* PM-13: the interface goes, or PIM there; pim_stop() for all of them. */
static void pm13_goodbyes(void **state)
{
	rig.port_cfg[1].is_enabled = false;
	rig_port(&rig, 1);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.holdtime, 0);
	rig.link[2].is_up = false;
	rig_port(&rig, 2);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 2)->hello.holdtime, 0);
	rig_forget(&rig);
	assert_true(pim_stop(rig.e, rig.now, &rig.out));
	rig_take(&rig);
	for (uint32_t i = 0; i < RIG_PORTS; i++)
		assert_int_equal(rig_count(&rig, PIM_HELLO, i), i != 1 && i != 2);
}

/* PM-14: joins are sent again within the override interval. */
static void pm14_restarted_upstream_is_joined_again(void **state)
{
	struct pim_hello h = rig_hello();

	h.holdtime = PIM_FOREVER;
	rig_say(&rig, 0, 2, h);
	rig_local(&rig, 1, sg(NULL, "239.1.1.1"), PIM_LOCAL_INCLUDE);
	assert_int_equal(rig_said(&rig, 0, G, true, sg(NULL, "239.1.1.1")), 1);
	rig_run(&rig, 10000);
	rig_forget(&rig);
	h.gen_id = 99;
	rig_say(&rig, 0, 2, h);
	rig_run(&rig, 2500);
	/* And perhaps once more, in case that it had not heard our Hello yet. */
	assert_in_range(rig_said(&rig, 0, G, true, sg(NULL, "239.1.1.1")), 1, 2);
}

static struct ip4 dr(uint32_t port)
{
	struct pim_port_info p;

	assert_true(pim_port_info(rig.e, port, &p));
	assert_int_equal(p.is_dr, ip4_equal(p.dr, p.address));
	return p.dr;
}

/* PM-15 */
static void pm15_dr_election(void **state)
{
	struct pim_hello h = rig_hello();

	assert_int_equal(dr(1).net, at(1, 1).net);
	rig_say(&rig, 1, 2, h);
	assert_int_equal(dr(1).net, at(1, 2).net);
	h.dr_priority = 0;
	rig_say(&rig, 1, 2, h);
	assert_int_equal(dr(1).net, at(1, 1).net);
	h.dr_priority = 10;
	rig_say(&rig, 1, 3, h);
	assert_int_equal(dr(1).net, at(1, 3).net);
	/* One without priorities: only addresses count. */
	h = rig_hello();
	h.has_dr_priority = false;
	h.dr_priority = 0;
	rig_say(&rig, 1, 4, h);
	assert_int_equal(dr(1).net, at(1, 4).net);
	h.holdtime = 0;
	rig_say(&rig, 1, 4, h);
	assert_int_equal(dr(1).net, at(1, 3).net);
	rig_run(&rig, 105001);
	assert_int_equal(dr(1).net, at(1, 1).net);
	assert_true(rig_events(&rig, EVENT_PIM_DR) >= 5);
}

static void pm15_own_priority(void **state)
{
	rig_say(&rig, 1, 200, rig_hello());
	assert_int_equal(dr(1).net, at(1, 200).net);
	rig_forget(&rig);
	rig.port_cfg[1].dr_priority = 10;
	rig_port(&rig, 1);
	assert_int_equal(dr(1).net, at(1, 1).net);
	assert_int_equal(rig_last(&rig, PIM_HELLO, 1)->hello.dr_priority, 10);
	rig.port_cfg[1].hides_priority = true;
	rig_port(&rig, 1);
	assert_int_equal(dr(1).net, at(1, 200).net);
	assert_false(rig_last(&rig, PIM_HELLO, 1)->hello.has_dr_priority);
}

/* PM-16 */
static void pm16_delays_in_effect(void **state)
{
	struct pim_hello h = rig_hello();
	struct pim_port_info p;

	h.propagation_ms = 900;
	h.override_ms = 100;
	h.can_track = true;
	rig.port_cfg[1].can_track = true;
	rig_port(&rig, 1);
	rig_say(&rig, 1, 2, h);
	assert_true(pim_port_info(rig.e, 1, &p));
	assert_int_equal(p.propagation_ms, 900);
	assert_int_equal(p.override_ms, 2500);
	assert_false(p.can_suppress);
	h.can_track = false;
	rig_say(&rig, 1, 3, h);
	assert_true(pim_port_info(rig.e, 1, &p));
	assert_true(p.can_suppress);
	h.has_lan_delay = false;
	rig_say(&rig, 1, 3, h);
	assert_true(pim_port_info(rig.e, 1, &p));
	assert_int_equal(p.propagation_ms, 500);
	assert_true(p.can_suppress);
}

/* PM-17: 105 s when it did not say; gone at once when it says so; never, with 65535. */
static void pm17_holdtimes(void **state)
{
	static const struct {
		uint16_t holdtime;
		int64_t alive_ms;
	} cases[] = { { 105, 105000 }, { 1, 1000 }, { PIM_FOREVER, 7200 * 1000 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pim_neighbor_info n;
		struct pim_hello h = rig_hello();

		h.holdtime = cases[i].holdtime;
		rig_say(&rig, 1, 2, h);
		rig_run(&rig, cases[i].alive_ms - 1);
		assert_true(pim_neighbor_info(rig.e, 1, 0, &n));
		rig_run(&rig, 1);
		assert_int_equal(pim_neighbor_info(rig.e, 1, 0, &n),
				 cases[i].holdtime == PIM_FOREVER);
		rig_forget(&rig);
	}
	rig_say(&rig, 1, 2, (struct pim_hello){ .holdtime = 0 });
	assert_int_equal(rig_events(&rig, EVENT_PIM_NEIGHBOR), 1);
	assert_int_equal(rig.events[0].value, 0);
	rig_say(&rig, 1, 2, (struct pim_hello){ .holdtime = 0 });
	assert_int_equal(rig_events(&rig, EVENT_PIM_NEIGHBOR), 1);
}

/* PM-18 */
static void pm18_planned_restart_keeps_the_generation_id(void **state)
{
	uint32_t gen_id = pim_gen_id(rig.e, 1);

	rig_free(&rig);
	rig_init(&rig);
	rig_create(&rig);
	pim_set_gen_id(rig.e, gen_id);
	rig_port(&rig, 1);
	assert_int_equal(pim_gen_id(rig.e, 1), gen_id);
	pim_set_gen_id(rig.e, 0);
	rig_port(&rig, 2);
	assert_true(pim_gen_id(rig.e, 2) != gen_id);
}

static enum pim_drop hello_with(uint32_t port, struct ip4 source, struct ip4 dst, uint8_t ttl)
{
	struct pim_hello h = rig_hello();
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	pim_hello_write(&w, &h);
	return rig_rx(&rig, (struct pim_rx){ .port = port,
					     .source = source,
					     .dst = dst,
					     .ttl = ttl,
					     .data = b,
					     .len = wr_len(&w) });
}

/* PM-4, and all else that is no neighbour's Hello; each has its own counter. */
static void pm4_refused(void **state)
{
	struct ip4 all = ip("224.0.0.13");
	struct pim_neighbor_info n;

	assert_int_equal(hello_with(1, at(1, 2), at(1, 1), 1), PIM_DROP_DESTINATION);
	assert_int_equal(hello_with(1, at(1, 2), ip("224.0.0.1"), 1), PIM_DROP_DESTINATION);
	assert_int_equal(hello_with(1, at(1, 2), all, 2), PIM_DROP_TTL);
	assert_int_equal(hello_with(1, at(1, 1), all, 1), PIM_DROP_OWN);
	assert_int_equal(hello_with(1, ip("0.0.0.0"), all, 1), PIM_DROP_SOURCE);
	assert_int_equal(hello_with(1, ip("239.1.1.1"), all, 1), PIM_DROP_SOURCE);
	assert_int_equal(hello_with(77, at(1, 2), all, 1), PIM_DROP_PORT);
	assert_int_equal(rig_assert(&rig, 1, 2, sg("10.0.1.5", "239.1.1.1"), false, 1, 1),
			 PIM_DROP_NO_NEIGHBOR);
	assert_int_equal(rig_jp_list(&rig, 1, 2, at(1, 1), 210, NULL, 0), PIM_DROP_NO_NEIGHBOR);
	rig.port_cfg[1].neighbors.n = 1;
	rig.port_cfg[1].neighbors.entries[0].prefix = (struct ip4_prefix){ at(1, 2), 32 };
	rig.port_cfg[1].neighbors.entries[0].is_permitted = true;
	rig_port(&rig, 1);
	assert_int_equal(hello_with(1, at(1, 3), all, 1), PIM_DROP_FILTERED);
	assert_int_equal(hello_with(1, at(1, 2), all, 1), PIM_OK);
	rig.port_cfg[1].neighbors.entries[0].is_permitted = false;
	rig_port(&rig, 1);
	assert_false(pim_neighbor_info(rig.e, 1, 0, &n));
	rig.port_cfg[2].is_passive = true;
	rig_port(&rig, 2);
	rig_forget(&rig);
	assert_int_equal(hello_with(2, at(2, 2), all, 1), PIM_DROP_PORT);
	rig_run(&rig, 100000);
	assert_int_equal(rig_count(&rig, PIM_HELLO, 2), 0);
	assert_int_equal(dr(2).net, at(2, 1).net);
}

static void neighbors_are_limited(void **state)
{
	rig_free(&rig);
	rig_init(&rig);
	rig.cfg.neighbors_per_port = 3;
	rig.cfg.neighbors = 4;
	rig_start(&rig);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(rig_say(&rig, 1, 2 + i, rig_hello()),
				 i < 3 ? PIM_OK : PIM_DROP_CAP);
	assert_int_equal(rig_say(&rig, 2, 2, rig_hello()), PIM_OK);
	assert_int_equal(rig_say(&rig, 2, 3, rig_hello()), PIM_DROP_CAP);
	assert_int_equal(rig_say(&rig, 1, 2, rig_hello()), PIM_OK);
	assert_int_equal(pim_counters(rig.e)->neighbors_refused, 2);
}

/* P18: an address that changes and changes back. */
static void address_back_and_forth(void **state)
{
	struct pim_neighbor_info n;

	rig_neighbor(&rig, 0, 2);
	rig_local(&rig, 1, sg(NULL, "239.1.1.1"), PIM_LOCAL_INCLUDE);
	for (uint32_t i = 0; i < 6; i++) {
		rig.link[0].address = at(0, i % 2 ? 1 : 9);
		rig_port(&rig, 0);
		rig_run(&rig, 3000);
	}
	assert_true(pim_neighbor_info(rig.e, 0, 0, &n));
	rig_run(&rig, 6000);
	rig_forget(&rig);
	rig_run(&rig, 60000);
	assert_int_equal(rig_said(&rig, 0, G, true, sg(NULL, "239.1.1.1")), 1);
	assert_int_equal(rig_last(&rig, PIM_JOIN_PRUNE, 0)->source.net, at(0, 1).net);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(pm10_hello_at_start_and_every_30_s),
		T(pm11_newcomers_are_greeted),
		T(pm12_hello_before_anything_else),
		T(pm13_address_changes),
		T(pm13_goodbyes),
		T(pm14_restarted_upstream_is_joined_again),
		T(pm15_dr_election),
		T(pm15_own_priority),
		T(pm16_delays_in_effect),
		T(pm17_holdtimes),
		T(pm18_planned_restart_keeps_the_generation_id),
		T(pm4_refused),
		T(neighbors_are_limited),
		T(address_back_and_forth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
