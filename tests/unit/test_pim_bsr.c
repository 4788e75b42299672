/* SPDX-License-Identifier: MIT */
/* PIM: the Bootstrap mechanism (RFC 5059) and the choice of RPs; ids BS-* of the checklist. */
#include "../lib/pim_rig.h"

static struct rig rig;

static void start(void)
{
	rig.cfg.n_static_rps = 0;
	rig_start(&rig);
	rig_neighbor(&rig, 0, 2);
	rig_neighbor(&rig, 1, 2);
	rig_neighbor(&rig, 2, 2);
	rig_run(&rig, 5000);
	rig_forget(&rig);
}

static int setup(void **state)
{
	rig_init(&rig);
	start();
	return 0;
}

static int setup_candidate(void **state)
{
	rig_init(&rig);
	rig.cfg.n_locals = 1;
	rig.cfg.locals[0] = ip("10.255.0.50");
	start();
	rig.cfg.candidate_bsr.is_enabled = true;
	rig.cfg.candidate_bsr.address = ip("10.255.0.50");
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	return 0;
}

static int teardown(void **state)
{
	rig_free(&rig);
	return 0;
}

struct bsm {
	const char *bsr;
	uint8_t priority, reserved;
	uint16_t tag;
	const char *range;
	uint8_t range_len, flags, n_rps, n;
	struct pim_bsm_rp rps[3];
};

/* From 10.255.0.9, with one RP for 239/8. */
static struct bsm usual(void)
{
	return (struct bsm){ .bsr = "10.255.0.9",
			     .priority = 64,
			     .tag = 1,
			     .range = "239.0.0.0",
			     .range_len = 8,
			     .n_rps = 1,
			     .n = 1,
			     .rps = { { ip("10.255.0.1"), 150, 192 } } };
}

static size_t bsm_write(const struct bsm *m, uint8_t *b, size_t size)
{
	struct wr w = wr_init(b, size);
	struct pim_bsm head = {
		.tag = m->tag, .hash_mask = 30, .priority = m->priority, .bsr = ip(m->bsr)
	};

	pim_bsm_begin(&w, &head, m->reserved);
	pim_group_write(&w, prefix(m->range, m->range_len), m->flags);
	wr_u32(&w, (uint32_t)m->n_rps << 24 | (uint32_t)m->n << 16);
	for (int i = 0; i < m->n; i++)
		pim_bsm_rp_write(&w, &m->rps[i]);
	pim_end(&w);
	assert_false(wr_failed(&w));
	return wr_len(&w);
}

static enum pim_drop bsm_from(uint32_t port, uint32_t host, const struct bsm *m)
{
	uint8_t b[256];
	size_t n = bsm_write(m, b, sizeof(b));

	return rig_rx(&rig, (struct pim_rx){ .port = port,
					     .source = at(port, host),
					     .dst = ip("224.0.0.13"),
					     .ttl = 1,
					     .data = b,
					     .len = n });
}

static uint32_t rp_of(const char *group)
{
	return pim_rp_of(rig.e, ip(group)).net;
}

static enum pim_bsr_state bsr(void)
{
	struct pim_bsr_info info;

	pim_bsr_info(rig.e, &info);
	return info.state;
}

static uint32_t bsr_addr(void)
{
	struct pim_bsr_info info;

	pim_bsr_info(rig.e, &info);
	return info.bsr.net;
}

/* BS-1 */
static void bs1_only_from_the_way_to_the_bsr(void **state)
{
	struct bsm m = usual();

	assert_int_equal(bsm_from(1, 2, &m), PIM_DROP_RPF);
	assert_int_equal(bsm_from(0, 7, &m), PIM_DROP_NO_NEIGHBOR);
	rig_neighbor(&rig, 0, 7);
	assert_int_equal(bsm_from(0, 7, &m), PIM_DROP_RPF);
	assert_int_equal(rp_of("239.1.1.1"), 0);
	assert_int_equal(bsm_from(0, 2, &m), PIM_OK);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	assert_int_equal(rp_of("225.1.1.1"), 0);
	/* A BSR on the link itself. */
	m.bsr = "198.18.1.2";
	m.priority = 99;
	assert_int_equal(bsm_from(1, 2, &m), PIM_OK);
	assert_int_equal(bsr_addr(), at(1, 2).net);
}

/* BS-2 */
static void bs2_no_forward(void **state)
{
	struct bsm m = usual();

	m.reserved = PIM_NO_FORWARD;
	assert_int_equal(bsm_from(1, 2, &m), PIM_OK);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 0), 0);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 2), 0);
	m.bsr = "10.255.0.10";
	assert_int_equal(bsm_from(1, 2, &m), PIM_DROP_STALE);
	assert_int_equal(bsr_addr(), ip("10.255.0.9").net);
}

/* BS-3, for who is no candidate. */
static void bs3_preferred(void **state)
{
	struct bsm m = usual(), lower = usual(), higher = usual();

	lower.priority = 63;
	lower.bsr = "10.255.0.99";
	higher.bsr = "10.255.0.10";
	assert_int_equal(bsr(), PIM_BSR_ACCEPT_ANY);
	assert_int_equal(bsm_from(0, 2, &m), PIM_OK);
	assert_int_equal(bsr(), PIM_BSR_ACCEPT_PREFERRED);
	assert_int_equal(bsm_from(0, 2, &lower), PIM_DROP_STALE);
	assert_int_equal(bsm_from(0, 2, &higher), PIM_OK);
	assert_int_equal(bsr_addr(), ip("10.255.0.10").net);
	assert_int_equal(bsm_from(0, 2, &m), PIM_DROP_STALE);
	rig_run(&rig, 129999);
	assert_int_equal(bsr(), PIM_BSR_ACCEPT_PREFERRED);
	rig_run(&rig, 1);
	assert_int_equal(bsr(), PIM_BSR_ACCEPT_ANY);
	assert_int_equal(bsr_addr(), 0);
	/* BS-7: the mapping stays for its own time. */
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	rig_run(&rig, 20000);
	assert_int_equal(rp_of("239.1.1.1"), 0);
}

/* BS-4: the same bytes, once, everywhere but where it came from. */
static void bs4_forwarded(void **state)
{
	struct bsm m = usual();
	uint8_t b[256];
	size_t n = bsm_write(&m, b, sizeof(b));
	struct pim_rx rx = { .port = 0,
			     .source = at(0, 2),
			     .dst = ip("224.0.0.13"),
			     .ttl = 1,
			     .data = b,
			     .len = n };
	uint32_t seen = 0;

	assert_int_equal(pim_input(rig.e, rig.now, &rx, &rig.out), PIM_OK);
	for (uint32_t i = 0; i < rig.out.n; i++) {
		const struct action *a = &rig.out.list[i];

		if (a->kind != ACT_SEND || (rig.out.bytes[a->send.off] & 15) != PIM_BOOTSTRAP)
			continue;
		assert_int_equal(a->send.len, n);
		assert_memory_equal(rig.out.bytes + a->send.off, b, n);
		assert_true(a->port == 1 || a->port == 2);
		seen++;
	}
	rig_take(&rig);
	assert_int_equal(seen, 2);
}

/* BS-5: the DR gives a newcomer a copy that it is not to pass on. */
static void bs5_newcomers(void **state)
{
	struct pim_hello h = rig_hello();
	struct bsm m = usual();
	const struct sent *s;

	bsm_from(0, 2, &m);
	rig.port_cfg[3].dr_priority = 9;
	rig_port(&rig, 3);
	rig_forget(&rig);
	rig_say(&rig, 3, 8, h);
	s = rig_last(&rig, PIM_BOOTSTRAP, 3);
	assert_non_null(s);
	assert_int_equal(s->dst.net, at(3, 8).net);
	assert_int_equal(s->reserved, PIM_NO_FORWARD);
	rig_forget(&rig);
	h.gen_id++;
	rig_say(&rig, 3, 8, h);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 3), 1);
	rig.port_cfg[3].dr_priority = 0;
	rig_port(&rig, 3);
	h.gen_id++;
	rig_forget(&rig);
	rig_say(&rig, 3, 8, h);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 3), 0);
}

/* BS-6: a range is replaced when all of it has come. */
static void bs6_fragments(void **state)
{
	struct bsm m = usual(), part = usual();

	bsm_from(0, 2, &m);
	part.tag = 2;
	part.n_rps = 2;
	part.rps[0].rp = ip("10.255.0.2");
	assert_int_equal(bsm_from(0, 2, &part), PIM_OK);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	part.rps[0].rp = ip("10.255.0.3");
	assert_int_equal(bsm_from(0, 2, &part), PIM_OK);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.3").net);
	/* Of another tag: it begins anew. */
	part.tag = 3;
	part.rps[0].rp = ip("10.255.0.4");
	bsm_from(0, 2, &part);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.3").net);
}

/* BS-7 */
static void bs7_holdtimes(void **state)
{
	struct bsm m = usual();

	bsm_from(0, 2, &m);
	m.tag++;
	m.rps[0].holdtime = 0;
	bsm_from(0, 2, &m);
	assert_int_equal(rp_of("239.1.1.1"), 0);
	m.tag++;
	m.rps[0].holdtime = 20;
	bsm_from(0, 2, &m);
	rig_run(&rig, 19999);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	rig_run(&rig, 1);
	assert_int_equal(rp_of("239.1.1.1"), 0);
}

static void zones_are_not_supported(void **state)
{
	struct bsm m = usual();

	m.flags = PIM_GROUP_ZONE;
	assert_int_equal(bsm_from(0, 2, &m), PIM_DROP_SCOPE);
	assert_int_equal(bsr_addr(), 0);
}

/* The set is a table of its size. */
static void full_set(void **state)
{
	struct bsm m = usual();
	uint32_t full = 0;

	for (uint32_t i = 0; i < 40; i++) {
		m.rps[0].rp = ip4_from_host(0x0aff0100 + i);
		m.n_rps = 255;
		full += bsm_from(0, 2, &m) == PIM_DROP_CAP;
	}
	assert_int_equal(full, 8);
}

/* --- as a candidate
 * --------------------------------------------------------------------------------- */

static void candidate_wins_alone(void **state)
{
	rig_run(&rig, 23000);
	assert_int_equal(bsr(), PIM_BSR_ELECTED);
	assert_int_equal(bsr_addr(), ip("10.255.0.50").net);
	assert_true(rig_count(&rig, PIM_BOOTSTRAP, 0) >= 1);
	rig_forget(&rig);
	rig_run(&rig, 60000);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 0), 1);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 1), 1);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 3), 0);
}

enum event { PREFERRED, LESS, SAME_BUT_LESS, TIMER };

static void into(enum pim_bsr_state state)
{
	struct bsm m = usual();

	m.priority = 100;
	if (state == PIM_BSR_CANDIDATE)
		bsm_from(0, 2, &m);
	if (state == PIM_BSR_ELECTED)
		rig_run(&rig, 23000);
	assert_int_equal(bsr(), state);
	rig_forget(&rig);
}

/* BS-3, for candidates. */
static void bs3_candidate_every_state_and_event(void **state)
{
	enum { C = PIM_BSR_CANDIDATE, P = PIM_BSR_PENDING, E = PIM_BSR_ELECTED };
	static const struct {
		enum pim_bsr_state from;
		int after[4];
	} rows[] = {
		{ PIM_BSR_CANDIDATE, { C, C, P, P } },
		{ PIM_BSR_PENDING, { C, P, P, E } },
		{ PIM_BSR_ELECTED, { C, E, E, E } },
	};

	teardown(NULL);
	for (int s = 0; s < 3; s++)
		for (int ev = 0; ev < 4; ev++) {
			struct bsm m = usual();

			setup_candidate(NULL);
			into(rows[s].from);
			m.priority = ev == PREFERRED ? 101 : 10;
			if (ev == LESS)
				m.bsr = "10.255.0.8";
			if (ev == TIMER)
				rig_run(&rig, rows[s].from == PIM_BSR_CANDIDATE ? 130000 : 60000);
			else
				bsm_from(0, 2, &m);
			assert_int_equal(bsr(), rows[s].after[ev]);
			rig_run(&rig, 1);
			/* The BSR answers whoever is less. */
			if (rows[s].from == PIM_BSR_ELECTED && ev != PREFERRED)
				assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 1), 1);
			teardown(NULL);
		}
	setup_candidate(NULL);
}

static enum pim_drop adv(const char *rp, uint16_t holdtime)
{
	struct pim_crp_adv c = { .priority = 192, .n_groups = 1, .holdtime = holdtime };
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	c.rp = ip(rp);
	c.groups[0] = prefix("239.0.0.0", 8);
	pim_crp_adv_write(&w, &c);
	return rig_rx(&rig, (struct pim_rx){ .port = 0,
					     .source = ip(rp),
					     .dst = ip("10.255.0.50"),
					     .ttl = 60,
					     .data = b,
					     .len = wr_len(&w) });
}

/* BS-8: changes of the set are told, but at least 10 s apart. P48: the BSR uses it itself. */
static void bs8_changes_are_told(void **state)
{
	assert_int_equal(adv("10.255.0.1", 150), PIM_DROP_STALE);
	into(PIM_BSR_ELECTED);
	rig_run(&rig, 20000);
	rig_forget(&rig);
	assert_int_equal(adv("10.255.0.1", 150), PIM_OK);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	rig_run(&rig, 10);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 1), 1);
	adv("10.255.0.2", 150);
	adv("10.255.0.3", 150);
	rig_run(&rig, 9900);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 1), 1);
	rig_run(&rig, 200);
	assert_int_equal(rig_count(&rig, PIM_BOOTSTRAP, 1), 2);
	assert_int_equal(adv("10.255.0.3", 0), PIM_OK);
	assert_true(rp_of("239.1.1.1") != ip("10.255.0.3").net);
	rig_run(&rig, 10000);
	assert_int_equal(rig_last(&rig, PIM_BOOTSTRAP, 1)->n_rps, 3);
	assert_int_equal(rig_last(&rig, PIM_BOOTSTRAP, 1)->n_withdrawn, 1);
	rig_run(&rig, 20000);
	assert_int_equal(rig_last(&rig, PIM_BOOTSTRAP, 1)->n_rps, 2);
	rig_run(&rig, 120000);
	assert_int_equal(rp_of("239.1.1.1"), 0);
}

/* BS-9 */
static void bs9_candidate_rp(void **state)
{
	struct bsm m = usual();
	const struct sent *s;

	rig.cfg.candidate_rp.is_enabled = true;
	rig.cfg.candidate_rp.address = at(0, 1);
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 0);
	bsm_from(0, 2, &m);
	rig_run(&rig, 3000);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 1);
	s = rig_last(&rig, PIM_CANDIDATE_RP, PORT_NONE);
	assert_int_equal(s->dst.net, ip("10.255.0.9").net);
	assert_int_equal(s->source.net, at(0, 1).net);
	rig_run(&rig, 60000);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 2);
	assert_true(pim_stop(rig.e, rig.now, &rig.out));
	rig_take(&rig);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 3);
}

static void bs9_a_candidate_no_more(void **state)
{
	struct bsm m = usual();
	const struct sent *s;

	rig.cfg.candidate_rp.is_enabled = true;
	rig.cfg.candidate_rp.address = at(0, 1);
	rig.cfg.candidate_rp.n_ranges = 1;
	rig.cfg.candidate_rp.ranges[0] = prefix("238.0.0.0", 8);
	rig.cfg.crp_period_ms = 100000;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	bsm_from(0, 2, &m);
	rig_run(&rig, 3000);
	assert_int_equal(rig_last(&rig, PIM_CANDIDATE_RP, PORT_NONE)->adv.holdtime, 250);
	rig.cfg.candidate_rp.priority = 7; /* a change of mind, not of ranges */
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	rig_run(&rig, 10);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 2);
	rig.cfg.candidate_rp.is_enabled = false;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 3);
	s = rig_last(&rig, PIM_CANDIDATE_RP, PORT_NONE);
	assert_int_equal(s->adv.holdtime, 0);
	assert_int_equal(s->adv.n_groups, 1);
}

static void bsr_is_its_own_candidate_rp(void **state)
{
	rig.cfg.candidate_rp.is_enabled = true;
	rig.cfg.candidate_rp.address = ip("10.255.0.50");
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	rig_run(&rig, 30000);
	assert_int_equal(bsr(), PIM_BSR_ELECTED);
	assert_int_equal(rp_of("225.1.1.1"), ip("10.255.0.50").net);
	assert_int_equal(rig_count(&rig, PIM_CANDIDATE_RP, PORT_NONE), 0);
	rig_run(&rig, 1000000);
	assert_int_equal(rp_of("225.1.1.1"), ip("10.255.0.50").net);
	rig.cfg.candidate_rp.is_enabled = false;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rp_of("225.1.1.1"), 0);
	rig_run(&rig, 10000);
	assert_int_equal(rig_last(&rig, PIM_BOOTSTRAP, 1)->n_withdrawn, 1);
}

/* --- choosing
 * --------------------------------------------------------------------------------------- */

/* Vectors of the checklist; P47: over the group, not the range. */
static void hashes(void **state)
{
	static const struct {
		const char *group;
		uint32_t hash[3];
	} cases[] = {
		{ "239.1.1.1", { 1869492497, 885070936, 1929039339 } },
		{ "239.1.1.5", { 1487837877, 503416316, 1547384719 } },
		{ "225.1.1.1", { 1701720337, 717298776, 1761267179 } },
	};

	for (int i = 0; i < 3; i++)
		for (uint32_t k = 0; k < 3; k++)
			assert_int_equal(
				pim_rp_hash(ip(cases[i].group), 30, ip4_from_host(0x0aff0001 + k)),
				cases[i].hash[k]);
}

/* Longest range, lowest priority, highest hash; and what is configured, of equal ranges. */
static void choice_of_the_rp(void **state)
{
	struct bsm m = usual();

	m.n_rps = m.n = 3;
	for (uint32_t i = 0; i < 3; i++)
		m.rps[i] = (struct pim_bsm_rp){ ip4_from_host(0x0aff0001 + i), 150, 192 };
	bsm_from(0, 2, &m);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.3").net);
	m.tag++;
	m.rps[0].priority = 1;
	bsm_from(0, 2, &m);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	rig.cfg.n_static_rps = 2;
	rig.cfg.static_rps[0] = (struct pim_static_rp){ prefix("239.0.0.0", 8), ip("10.255.0.70") };
	rig.cfg.static_rps[1] = (struct pim_static_rp){ prefix("224.0.0.0", 4), ip("10.255.0.71") };
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.70").net);
	assert_int_equal(rp_of("225.1.1.1"), ip("10.255.0.71").net);
	rig.cfg.bsr_overrides_static = true;
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.1").net);
	rig.cfg.static_rps[0].range.len = 16;
	rig.cfg.static_rps[0].range.addr = ip("239.1.0.0");
	pim_configure(rig.e, rig.now, &rig.cfg, &rig.out);
	rig_take(&rig);
	assert_int_equal(rp_of("239.1.1.1"), ip("10.255.0.70").net);
}

/* Trees move to another RP. */
static void tree_moves_to_the_new_rp(void **state)
{
	struct sg star = sg(NULL, "239.1.1.1");
	struct bsm m = usual();

	rig_local(&rig, 3, star, PIM_LOCAL_INCLUDE);
	assert_null(rig_route(&rig, star));
	bsm_from(0, 2, &m);
	assert_int_equal(rig_said(&rig, 0, G, true, star), 1);
	assert_true(rig_flows(&rig, star, 3));
	rig_way(&rig, prefix("10.255.0.2", 32), 1, 2);
	m.tag++;
	m.rps[0].rp = ip("10.255.0.2");
	rig_forget(&rig);
	bsm_from(0, 2, &m);
	assert_int_equal(rig_said(&rig, 0, G, false, star), 1);
	assert_int_equal(rig_said(&rig, 1, G, true, star), 1);
	assert_int_equal(rig_route(&rig, star)->iif, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define C(f) cmocka_unit_test_setup_teardown(f, setup_candidate, teardown)
	const struct CMUnitTest tests[] = {
		T(bs1_only_from_the_way_to_the_bsr),
		T(bs2_no_forward),
		T(bs3_preferred),
		T(bs4_forwarded),
		T(bs5_newcomers),
		T(bs6_fragments),
		T(bs7_holdtimes),
		T(zones_are_not_supported),
		T(full_set),
		C(candidate_wins_alone),
		C(bs3_candidate_every_state_and_event),
		C(bs8_changes_are_told),
		T(bs9_candidate_rp),
		T(bs9_a_candidate_no_more),
		C(bsr_is_its_own_candidate_rp),
		T(hashes),
		T(choice_of_the_rp),
		T(tree_moves_to_the_new_rp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
