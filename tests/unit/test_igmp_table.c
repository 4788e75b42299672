/* SPDX-License-Identifier: MIT */
/*
 * The state table of RFC 9776 §6.4, all of it: every state of a group with three sources, every
 * type of record, every list of those sources, against the table written down once more, in sets.
 * Ages are chosen so that each way to set a timer gives another value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/igmp_lab.h"

#define SOURCES 3
#define ALL	((1u << SOURCES) - 1)
#define GMI	270000
#define GT	220000 /* of a group in exclude mode, when the record comes */
#define OLD	170000 /* of a source with a running timer */
#define LMQT	2000
#define NONE	(-1)

static struct lab l;
static bool is_listening; /* then nothing is asked, and nothing lowered by asking */
#define GROUP ADDR(239, 1, 1, 1)

/* What a group is: the sources that it has, and for how long. 0 = excluded. */
struct model {
	bool is_exclude;
	int64_t group_ms, source_ms[SOURCES];
	bool asked_group;
	unsigned asked;
};

static struct ip4 source_of(int i)
{
	return ADDR(198, 18, 9, i + 1);
}

static size_t list_of(unsigned set, struct ip4 *out)
{
	size_t n = 0;

	for (int i = 0; i < SOURCES; i++)
		if (set & 1u << i)
			out[n++] = source_of(i);
	return n;
}

static void say(uint8_t type, unsigned set)
{
	struct ip4 list[SOURCES];
	size_t n = list_of(set, list);

	assert_int_equal(lab_report(&l, 0, ADDR(10, 0, 0, 77), type, GROUP, list, n),
			 IGMP_ACCEPTED);
}

static void open_lab(void)
{
	struct igmp_config cfg = igmp_config_default();
	struct igmp_port_config port = igmp_port_config_default();

	if (is_listening)
		port.mode = IGMP_LISTEN;
	cfg.max_ports = 1;
	cfg.max_groups = cfg.max_hosts = 4;
	cfg.max_sources = 8;
	lab_open(&l, &cfg);
	lab_port(&l, 0, 1, &port);
}

/* Builds the state by reports, and lets it grow as old as the constants say. */
static void build(bool is_exclude, unsigned x, unsigned y)
{
	open_lab();
	if (is_exclude) {
		say(IGMP_IS_EX, x | y);
		if (x)
			say(IGMP_ALLOW, x);
		lab_pass(&l, 50000);
		say(IGMP_IS_EX, x | y);
		lab_pass(&l, GMI - GT);
	} else {
		if (x)
			say(IGMP_IS_IN, x);
		lab_pass(&l, GMI - OLD);
	}
	lab_forget(&l);
}

static void ask(struct model *m, unsigned set)
{
	if (is_listening)
		return;
	m->asked |= set;
	for (int i = 0; i < SOURCES; i++)
		if (set & 1u << i && m->source_ms[i] > LMQT)
			m->source_ms[i] = LMQT;
}

static void set_timers(struct model *m, unsigned set, int64_t ms)
{
	for (int i = 0; i < SOURCES; i++)
		if (set & 1u << i)
			m->source_ms[i] = ms;
}

static void expect_include(struct model *m, uint8_t type, unsigned a, unsigned b)
{
	switch ((enum igmp_record_type)type) {
	case IGMP_IS_IN:
	case IGMP_ALLOW:
		set_timers(m, b, GMI);
		break;
	case IGMP_TO_IN:
		set_timers(m, b, GMI);
		ask(m, a & ~b);
		break;
	case IGMP_BLOCK:
		ask(m, a & b);
		break;
	case IGMP_IS_EX:
	case IGMP_TO_EX:
		set_timers(m, b & ~a, 0);
		set_timers(m, a & ~b, NONE);
		if (type == IGMP_TO_EX)
			ask(m, a & b);
		m->is_exclude = true;
		m->group_ms = GMI;
		break;
	}
}

static void expect_exclude(struct model *m, uint8_t type, unsigned x, unsigned y, unsigned a)
{
	switch ((enum igmp_record_type)type) {
	case IGMP_IS_IN:
	case IGMP_ALLOW:
		set_timers(m, a, GMI);
		break;
	case IGMP_TO_IN:
		set_timers(m, a, GMI);
		ask(m, x & ~a);
		m->asked_group = !is_listening;
		if (!is_listening)
			m->group_ms = LMQT;
		break;
	case IGMP_BLOCK:
		set_timers(m, a & ~x & ~y, GT);
		ask(m, a & ~y);
		break;
	case IGMP_IS_EX:
	case IGMP_TO_EX:
		set_timers(m, a & ~x & ~y, type == IGMP_TO_EX ? GT : GMI);
		set_timers(m, (x | y) & ~a, NONE);
		if (type == IGMP_TO_EX)
			ask(m, a & ~y);
		m->group_ms = GMI;
		break;
	}
}

static bool is_empty(const struct model *m)
{
	for (int i = 0; i < SOURCES; i++)
		if (m->source_ms[i] != NONE)
			return false;
	return !m->is_exclude;
}

static void check_state(const struct model *m)
{
	struct igmp_group_view g;
	struct igmp_cursor c;

	assert_int_equal(lab_group(&l, 0, GROUP, &c, &g), !is_empty(m));
	if (is_empty(m))
		return;
	assert_int_equal(g.is_exclude, m->is_exclude);
	if (m->is_exclude)
		assert_int_equal((g.expires.us - l.now.us) / 1000, m->group_ms);
	for (int i = 0; i < SOURCES; i++) {
		struct igmp_source_view s;

		assert_int_equal(lab_source(&l, 0, GROUP, source_of(i), &s),
				 m->source_ms[i] != NONE);
		if (m->source_ms[i] == NONE)
			continue;
		assert_int_equal(s.is_forwarded, m->source_ms[i] > 0);
		if (m->source_ms[i])
			assert_int_equal((s.expires.us - l.now.us) / 1000, m->source_ms[i]);
	}
}

/* What the data path has been told: RFC 9776 §6.3. */
static void check_wants(const struct model *m)
{
	unsigned expected = m->is_exclude;

	assert_int_equal(lab_wants(&l, 0, (struct ip4){ 0 }, GROUP), m->is_exclude);
	for (int i = 0; i < SOURCES; i++) {
		bool included = !m->is_exclude && m->source_ms[i] > 0;
		bool excluded = m->is_exclude && m->source_ms[i] == 0;

		assert_int_equal(lab_wants(&l, 0, source_of(i), GROUP), included);
		assert_int_equal(lab_wants_not(&l, 0, source_of(i), GROUP), excluded);
		expected += included + excluded;
	}
	assert_int_equal(l.n_members, expected);
}

/* The first of the repeated queries: one for the group, one with all sources and without the S
 * flag. */
static void check_queries(const struct model *m)
{
	unsigned asked = 0, groups = 0;

	for (uint32_t i = 0; i < l.n_sent; i++) {
		struct igmp_query q = l.sent[i].q;

		assert_true(ip4_equal(q.group, GROUP));
		assert_false(q.suppress);
		assert_int_equal(q.response_ds, 10);
		groups += !q.n_sources;
		while (rd_left(&q.sources)) {
			unsigned bit = 1u << ((ip4_host(rd_ip4(&q.sources)) & 0xff) - 1);

			assert_false(asked & bit);
			asked |= bit;
		}
	}
	assert_int_equal(asked, m->asked);
	assert_int_equal(groups, m->asked_group);
}

static unsigned cases;

static void try(bool is_exclude, unsigned x, unsigned y, uint8_t type, unsigned list)
{
	struct model m = { .is_exclude = is_exclude, .group_ms = GT };

	for (int i = 0; i < SOURCES; i++)
		m.source_ms[i] = x & 1u << i ? OLD : y & 1u << i ? 0 : NONE;
	build(is_exclude, x, y);
	check_state(&m);
	check_wants(&m);
	if (is_exclude)
		expect_exclude(&m, type, x, y, list);
	else
		expect_include(&m, type, x, list);
	say(type, list);
	check_state(&m);
	check_wants(&m);
	check_queries(&m);
	lab_close(&l);
	cases++;
}

/* IG-40, IG-44 (the state INCLUDE{} is that of a group that is not there), IG-29, P30, P32 */
static void ig40_include_mode(void **state)
{
	cases = 0;
	for (unsigned a = 0; a <= ALL; a++)
		for (uint8_t type = IGMP_IS_IN; type <= IGMP_BLOCK; type++)
			for (unsigned list = 0; list <= ALL; list++)
				try(false, a, 0, type, list);
	assert_int_equal(cases, 8 * 6 * 8);
}

static void ig40_exclude_mode(void **state)
{
	cases = 0;
	for (unsigned x = 0; x <= ALL; x++)
		for (unsigned y = 0; y <= ALL; y++)
			for (uint8_t type = IGMP_IS_IN; type <= IGMP_BLOCK; type++)
				for (unsigned list = 0; !(x & y) && list <= ALL; list++)
					try(true, x, y, type, list);
	assert_int_equal(cases, 27 * 6 * 8);
}

/* Without queries the timers show as the table has them. */
static void ig40_both_modes_where_another_router_asks(void **state)
{
	is_listening = true;
	ig40_include_mode(state);
	ig40_exclude_mode(state);
	is_listening = false;
}

/* §6.5: what time alone does, in every state. */
static void ig40_timers_in_every_state(void **state)
{
	for (unsigned x = 0; x <= ALL; x++)
		for (unsigned y = 0; y <= ALL; y++) {
			struct model m = { .is_exclude = true, .group_ms = GT - OLD };

			if (x & y)
				continue;
			set_timers(&m, ALL, NONE);
			set_timers(&m, x | y, 0);
			build(true, x, y);
			lab_pass(&l, OLD);
			check_state(&m);
			check_wants(&m);
			/* Sources that are asked for again outlive the group's exclude mode. */
			if (x)
				say(IGMP_ALLOW, x);
			lab_pass(&l, GT - OLD);
			m = (struct model){ .source_ms = { NONE, NONE, NONE } };
			set_timers(&m, x, GMI - (GT - OLD));
			check_state(&m);
			check_wants(&m);
			lab_pass(&l, GMI);
			set_timers(&m, ALL, NONE);
			check_state(&m);
			check_wants(&m);
			lab_close(&l);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ig40_include_mode),
		cmocka_unit_test(ig40_exclude_mode),
		cmocka_unit_test(ig40_both_modes_where_another_router_asks),
		cmocka_unit_test(ig40_timers_in_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
