/* SPDX-License-Identifier: MIT */
/* PIM: sources. Registers as DR and as RP, keepalive, the switch to the shortest path. */
#include "../lib/pim_rig.h"

#define GROUP "239.1.1.1"
#define RP    "10.255.0.1"
#define DR    "10.0.1.1" /* of FAR */
#define FAR   "10.0.1.5"

static struct rig rig;
static struct sg star, near, far;

static void start(void)
{
	rig_start(&rig);
	rig_neighbor(&rig, 0, 2);
	rig_neighbor(&rig, 1, 2);
	rig_run(&rig, 5000);
	rig_forget(&rig);
	star = sg(NULL, GROUP);
	near = (struct sg){ at(3, 9), ip(GROUP) };
	far = sg(FAR, GROUP);
}

static int setup(void **state)
{
	rig_init(&rig);
	start();
	return 0;
}

static int setup_rp(void **state)
{
	rig_init(&rig);
	rig.cfg.n_locals = 1;
	rig.cfg.locals[0] = ip(RP);
	start();
	return 0;
}

static int teardown(void **state)
{
	rig_free(&rig);
	return 0;
}

static void stop_from(const char *from, struct sg of)
{
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	pim_register_stop_write(&w, of);
	rig_rx(&rig, (struct pim_rx){ .port = 0,
				      .source = ip(from),
				      .dst = at(3, 1),
				      .ttl = 60,
				      .data = b,
				      .len = wr_len(&w) });
}

static enum pim_register_state reg(void)
{
	return rig_info(&rig, near).reg;
}

static bool encapsulates(void)
{
	const struct act_route *r = rig_route(&rig, near);

	return r && ip4_equal(r->register_to, ip(RP)) && ip4_equal(r->register_from, at(3, 1));
}

/* --- as the DR
 * -------------------------------------------------------------------------------------- */

/* PM-30 */
static void pm30_first_packet_of_a_connected_source(void **state)
{
	rig_data(&rig, 3, near, 100);
	assert_int_equal(reg(), PIM_REG_JOIN);
	assert_true(encapsulates());
	assert_int_equal(rig_route(&rig, near)->iif, 3);
	for (int i = 0; i < 20; i++) {
		rig_run(&rig, 30000);
		rig_data(&rig, 3, near, 100);
	}
	assert_int_equal(reg(), PIM_REG_JOIN);
	rig_run(&rig, 209999);
	assert_int_equal(reg(), PIM_REG_JOIN);
	rig_run(&rig, 1);
	assert_null(rig_route(&rig, near));
}

enum event { COULD, COULD_NOT, RST, STOP };

static void into(enum pim_register_state state)
{
	if (state == PIM_REG_NOINFO)
		return;
	rig_data(&rig, 3, near, 100);
	if (state != PIM_REG_JOIN)
		stop_from(RP, near);
	while (state == PIM_REG_PENDING && reg() != PIM_REG_PENDING)
		rig_run(&rig, 100);
	assert_int_equal(reg(), state);
	rig_forget(&rig);
}

static void happens(enum event event)
{
	struct pim_hello h = rig_hello();

	switch (event) {
	case COULD:
		rig_data(&rig, 3, near, 100);
		break;
	case COULD_NOT: /* somebody else is the DR now */
		h.dr_priority = 9;
		rig_say(&rig, 3, 200, h);
		break;
	case RST:
		rig_run(&rig, reg() == PIM_REG_PRUNE ? 85000 : 5000);
		break;
	case STOP:
		stop_from(RP, near);
		break;
	}
}

static void dr_every_state_and_event(void **state)
{
	enum { N = PIM_REG_NOINFO, J = PIM_REG_JOIN, P = PIM_REG_PRUNE, JP = PIM_REG_PENDING };
	static const int after[4][4] = {
		[N] = { J, N, N, N },
		[J] = { J, N, J, P },
		[JP] = { JP, N, J, P },
		[P] = { P, N, -1, P },
	};

	teardown(NULL);
	for (int s = 0; s < 4; s++)
		for (int ev = 0; ev < 4; ev++) {
			setup(NULL);
			into((enum pim_register_state)s);
			happens((enum event)ev);
			if (after[s][ev] >= 0)
				assert_int_equal(reg(), after[s][ev]);
			else /* probed, and nobody said stop: it registers again */
				assert_int_equal(rig_count(&rig, PIM_REGISTER, PORT_NONE), 1);
			assert_int_equal(encapsulates(), reg() == PIM_REG_JOIN);
			teardown(NULL);
		}
	setup(NULL);
}

/* The suppression is 25 to 85 s; the probe is a Null-Register to the RP, 5 s before the end. */
static void suppression_times(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	for (int i = 0; i < 50; i++) {
		int64_t then, took;
		const struct sent *s;

		rig_data(&rig, 3, near, 100);
		stop_from(RP, near);
		then = rig.now.us;
		while (reg() == PIM_REG_PRUNE)
			rig_run(&rig, 50);
		took = (rig.now.us - then) / 1000;
		least = took < least ? took : least;
		most = took > most ? took : most;
		s = rig_last(&rig, PIM_REGISTER, PORT_NONE);
		assert_non_null(s);
		assert_true(sg_equal(s->sg, near));
		assert_int_equal(s->dst.net, ip(RP).net);
		assert_int_equal(s->source.net, at(3, 1).net);
		assert_int_equal(reg(), PIM_REG_PENDING);
		rig_run(&rig, 5000);
		assert_int_equal(reg(), PIM_REG_JOIN);
		rig_forget(&rig);
	}
	assert_in_range(least, 25000, 45000);
	assert_in_range(most, 65000, 85100);
}

/* PM-45, and Stops from somebody else. */
static void pm45_stop_of_all_sources(void **state)
{
	struct sg other = { at(3, 10), ip(GROUP) };

	rig_data(&rig, 3, near, 100);
	rig_data(&rig, 3, other, 100);
	stop_from("10.255.0.9", near);
	assert_int_equal(reg(), PIM_REG_JOIN);
	assert_int_equal(pim_counters(rig.e)->drops[PIM_DROP_SOURCE], 1);
	stop_from(RP, star);
	assert_int_equal(reg(), PIM_REG_PRUNE);
	assert_int_equal(rig_info(&rig, other).reg, PIM_REG_PRUNE);
}

/* P21, P25: it is worked out again whenever anything that it depends on changes. */
static void could_register_is_never_stale(void **state)
{
	struct pim_hello h = rig_hello();

	rig_data(&rig, 3, near, 100);
	rig.link[3].is_up = false;
	rig_port(&rig, 3);
	assert_false(encapsulates());
	rig.link[3].is_up = true;
	rig_port(&rig, 3);
	assert_true(encapsulates());
	rig_say(&rig, 3, 200, h);
	assert_false(encapsulates());
	rig_say(&rig, 3, 200, (struct pim_hello){ .holdtime = 0 });
	assert_true(encapsulates());
	rig.cfg.n_static_rps = 0;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_false(encapsulates());
	rig.cfg.n_static_rps = 1;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_true(encapsulates());
}

/* A new RP hears of the source although the old one did not want to. */
static void another_rp(void **state)
{
	into(PIM_REG_PRUNE);
	rig.cfg.static_rps[0].rp = ip("10.255.0.7");
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(reg(), PIM_REG_JOIN);
	assert_int_equal(rig_route(&rig, near)->register_to.net, ip("10.255.0.7").net);
}

/* No Register for SSM, without an RP, or of a source that is not connected; P56: a border makes it.
 */
static void who_is_not_registered(void **state)
{
	struct sg ssm = { at(3, 9), ip("232.1.1.1") }, no_rp = { at(3, 9), ip("225.1.1.1") };

	rig_data(&rig, 3, ssm, 100);
	assert_null(rig_route(&rig, ssm)); /* nor anything else: that takes a join */
	rig_data(&rig, 3, no_rp, 100);
	assert_int_equal(rig_info(&rig, ssm).reg, PIM_REG_NOINFO);
	assert_int_equal(rig_info(&rig, no_rp).reg, PIM_REG_NOINFO);
	rig_data(&rig, 0, far, 100);
	assert_null(rig_route(&rig, far));
	rig.port_cfg[0].is_border = true;
	rig.port_cfg[0].dr_priority = 9;
	rig_port(&rig, 0);
	rig_data(&rig, 0, far, 100);
	assert_int_equal(rig_info(&rig, far).reg, PIM_REG_JOIN);
}

/* The RP joins: packets go there natively, and keep going in Registers until the RP says stop. */
static void native_and_registered(void **state)
{
	rig_data(&rig, 3, near, 100);
	rig_jp(&rig, 1, 2, SG, true, near);
	assert_true(rig_flows(&rig, near, 1));
	assert_true(encapsulates());
	assert_true(rig_info(&rig, near).is_spt);
	stop_from(RP, near);
	assert_true(rig_flows(&rig, near, 1));
	assert_false(encapsulates());
}

/* Receivers of the shared tree get packets of a connected source directly, and not twice. */
static void connected_source_with_members(void **state)
{
	rig_jp(&rig, 1, 2, G, true, star);
	rig_data(&rig, 3, near, 100);
	assert_true(rig_flows(&rig, near, 1));
	assert_int_equal(rig_route(&rig, near)->iif, 3);
	assert_int_equal(rig_said(&rig, 0, RPT, false, near), 1);
}

/* --- as the RP
 * -------------------------------------------------------------------------------------- */

static enum pim_drop rp_gets(const char *rp, struct sg of, bool is_null)
{
	static const uint8_t head[28] = { 0x45, [3] = 28, [8] = 8, [9] = 17, [25] = 8 };
	uint8_t b[64], inner[28];
	struct wr w = wr_init(b, sizeof(b));
	uint32_t sum = 0;

	if (is_null) {
		pim_null_register_write(&w, of);
	} else {
		memcpy(inner, head, sizeof(inner));
		memcpy(inner + 12, &of.source.net, 4);
		memcpy(inner + 16, &of.group.net, 4);
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
	}
	return rig_rx(&rig, (struct pim_rx){ .port = 0,
					     .source = ip(DR),
					     .dst = ip(rp),
					     .ttl = 60,
					     .data = b,
					     .len = wr_len(&w) });
}

static uint32_t stops(void)
{
	return rig_count(&rig, PIM_REGISTER_STOP, PORT_NONE);
}

/* PM-40, PM-44 */
static void pm40_not_the_rp(void **state)
{
	const struct sent *s;

	assert_int_equal(rp_gets("198.18.0.1", far, false), PIM_OK);
	assert_int_equal(stops(), 1);
	s = rig_last(&rig, PIM_REGISTER_STOP, PORT_NONE);
	assert_true(sg_equal(s->sg, far));
	assert_int_equal(s->source.net, at(0, 1).net);
	assert_int_equal(s->dst.net, ip(DR).net);
	assert_int_equal(rp_gets(RP, sg(FAR, "225.1.1.1"), false), PIM_OK);
	assert_int_equal(stops(), 2);
	assert_int_equal(rig.n_forwarded, 0);
	/* PM-46 */
	assert_int_equal(rp_gets(RP, sg(FAR, "232.1.1.1"), false), PIM_DROP_SSM);
	assert_int_equal(rp_gets("10.255.0.77", far, false), PIM_DROP_DESTINATION);
	assert_int_equal(stops(), 2);
}

/* PM-41, PM-42: nobody wants it: stop at once, but remember it for 210 s. */
static void pm41_no_receivers(void **state)
{
	assert_int_equal(rp_gets(RP, far, false), PIM_OK);
	assert_int_equal(stops(), 1);
	assert_int_equal(rig.n_forwarded, 0);
	assert_int_equal(rig_info(&rig, far).keepalive.us - rig.now.us, 210000000);
	assert_false(rig_info(&rig, far).is_joined);
	/* The first receiver: the RP joins the source at once. */
	rig_run(&rig, 100000);
	rig_jp(&rig, 1, 2, G, true, star);
	assert_int_equal(rig_said(&rig, 0, SG, true, far), 1);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 0);
}

static void pm42_keepalive_of_the_rp(void **state)
{
	rig.cfg.keepalive_ms = 35000;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	rp_gets(RP, far, true);
	assert_int_equal(rig_info(&rig, far).keepalive.us - rig.now.us, 185000000);
}

/* PM-43: with receivers, what is inside goes to them until packets come natively. */
static void pm43_register_then_native(void **state)
{
	rig_jp(&rig, 1, 2, G, true, star);
	assert_int_equal(rp_gets(RP, far, false), PIM_OK);
	assert_int_equal(rig.n_forwarded, 1);
	assert_true(portset_has(&rig.forwarded, 1));
	assert_int_equal(stops(), 0);
	assert_int_equal(rig_said(&rig, 0, SG, true, far), 1);
	assert_int_equal(rp_gets(RP, far, true), PIM_OK);
	assert_int_equal(rig.n_forwarded, 1);
	rig_data(&rig, 0, far, 100);
	assert_true(rig_info(&rig, far).is_spt);
	assert_int_equal(rig_route(&rig, far)->iif, 0);
	assert_true(rig_flows(&rig, far, 1));
	rp_gets(RP, far, false);
	assert_int_equal(stops(), 1);
	assert_int_equal(rig.n_forwarded, 1);
}

/* PM-47 */
static void pm47_rates(void **state)
{
	uint32_t ok = 0;

	rig_jp(&rig, 1, 2, G, true, star);
	for (int i = 0; i < 1500; i++)
		ok += rp_gets(RP, far, false) == PIM_OK;
	assert_int_equal(ok, 1000);
	assert_int_equal(pim_counters(rig.e)->drops[PIM_DROP_RATE], 500);
	assert_int_equal(rig_info(&rig, far).registers_limited, 500);
	rig_run(&rig, 1000);
	assert_int_equal(rp_gets(RP, far, false), PIM_OK);
	rig_forget(&rig);
	for (int i = 0; i < 3000; i++)
		rp_gets("198.18.0.1", far, false);
	assert_int_equal(stops(), 1000);
}

static void accept_list(void **state)
{
	rig.cfg.register_sources.n = 1;
	rig.cfg.register_sources.entries[0].prefix = prefix("10.1.0.0", 16);
	rig.cfg.register_sources.entries[0].is_permitted = true;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rp_gets(RP, far, false), PIM_DROP_FILTERED);
	assert_int_equal(stops(), 1);
	assert_int_equal(rp_gets(RP, sg("10.1.0.9", GROUP), false), PIM_OK);
}

/* --- the last hop
 * ----------------------------------------------------------------------------------- */

static void spt(enum pim_spt policy, uint32_t kbps)
{
	teardown(NULL);
	rig_init(&rig);
	rig.cfg.spt = policy;
	rig.cfg.spt_threshold_kbps = kbps;
	rig_way(&rig, prefix("10.0.1.0", 24), 4, 2);
	start();
	rig_neighbor(&rig, 4, 2);
	rig_local(&rig, 2, star, PIM_LOCAL_INCLUDE);
	rig_forget(&rig);
}

/* PM-32: packets on the shared tree; PM-31, PM-34: the first one on the shortest path. */
static void pm32_immediate_switch(void **state)
{
	spt(PIM_SPT_IMMEDIATE, 0);
	rig_data(&rig, 0, far, 100);
	assert_int_equal(rig_said(&rig, 4, SG, true, far), 1);
	/* The shared tree feeds the members until then. */
	assert_int_equal(rig_route(&rig, far)->iif, 0);
	assert_true(rig_flows(&rig, far, 2));
	assert_int_equal(rig_said(&rig, 0, RPT, false, far), 0);
	rig_data(&rig, 4, far, 100);
	assert_true(rig_info(&rig, far).is_spt);
	assert_int_equal(rig_route(&rig, far)->iif, 4);
	assert_int_equal(rig_said(&rig, 0, RPT, false, far), 1);
	/* Members go: all of it is pruned. */
	rig_local(&rig, 2, star, PIM_LOCAL_NONE);
	assert_int_equal(rig_said(&rig, 4, SG, false, far), 1);
	assert_int_equal(rig_said(&rig, 0, G, false, star), 1);
}

static void never_switch(void **state)
{
	spt(PIM_SPT_NEVER, 0);
	for (int i = 0; i < 10; i++)
		rig_data(&rig, 0, far, 100000);
	assert_int_equal(rig_said(&rig, 4, SG, true, far), 0);
	assert_true(rig_flows(&rig, star, 2));
}

static void switch_at_a_threshold(void **state)
{
	spt(PIM_SPT_THRESHOLD, 1000);
	for (int i = 0; i < 10; i++) { /* 400 kbit/s */
		rig_data(&rig, 0, far, 50000);
		rig_run(&rig, 1000);
	}
	assert_int_equal(rig_said(&rig, 4, SG, true, far), 0);
	for (int i = 0; i < 3; i++) { /* 1600 kbit/s */
		rig_data(&rig, 0, far, 200000);
		rig_run(&rig, 1000);
	}
	assert_int_equal(rig_said(&rig, 4, SG, true, far), 1);
}

/* The source falls silent: (S,G) goes, (*,G) stays. */
static void keepalive_ends(void **state)
{
	spt(PIM_SPT_IMMEDIATE, 0);
	rig_data(&rig, 0, far, 100);
	rig_data(&rig, 4, far, 100);
	rig_run(&rig, 210000);
	assert_null(rig_route(&rig, far));
	assert_non_null(rig_route(&rig, star));
	assert_int_equal(rig_said(&rig, 4, SG, false, far), 1);
}

int main(void)
{
#define T(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RT(f) cmocka_unit_test_setup_teardown(f, setup_rp, teardown)
	const struct CMUnitTest tests[] = {
		T(pm30_first_packet_of_a_connected_source),
		T(dr_every_state_and_event),
		T(suppression_times),
		T(pm45_stop_of_all_sources),
		T(could_register_is_never_stale),
		T(another_rp),
		T(who_is_not_registered),
		T(native_and_registered),
		T(connected_source_with_members),
		RT(pm40_not_the_rp),
		RT(pm41_no_receivers),
		RT(pm42_keepalive_of_the_rp),
		RT(pm43_register_then_native),
		RT(pm47_rates),
		RT(accept_list),
		T(pm32_immediate_switch),
		T(never_switch),
		T(switch_at_a_threshold),
		T(keepalive_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
