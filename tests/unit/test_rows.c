/* SPDX-License-Identifier: MIT */
/*
 * Counter rows: no row is given out twice, none before the last worker that may write it has let
 * go of it, and nothing that was counted in one is lost. The kernel's side and the clock are made
 * up here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "daemon/relay.h"

#define WORKERS 3
#define RULES	40

static struct relay r;
static struct port port;
static struct worker workers[WORKERS];
static struct mtime now;
static uint8_t is_folded[MCR_MAX_RULES];    /* how often */
static uint32_t unwritten[64], n_unwritten; /* interfaces of rewrites that were deleted */
static const struct plane_legacy_rule *legacy;
static unsigned n_legacy;
static uint64_t seed;

struct mtime loop_clock(void)
{
	return now;
}

void plane_rows_fold(struct plane *p, uint32_t slot, uint32_t rule, const uint32_t *outputs,
		     unsigned n_outputs)
{
	is_folded[rule]++;
}

void plane_rewrite_del(struct plane *p, uint32_t rule, uint32_t ifindex)
{
	unwritten[n_unwritten++ % 64] = ifindex;
}

bool plane_row_is_inherited(const struct plane *p, uint32_t rule)
{
	return n_legacy && rule == legacy->row;
}

bool plane_output_is_inherited(const struct plane *p, uint32_t output)
{
	return n_legacy && (output == legacy->output_rows[0] || output == legacy->output_rows[1]);
}

bool plane_legacy_next(struct plane *p, struct plane_legacy_rule *out)
{
	if (n_legacy)
		*out = *legacy;
	return n_legacy && n_legacy--;
}

/* By its contract in relay.h: adds one rule's rows up. */
void account_row(const struct ledger *ledger, uint32_t row, const uint32_t *output_rows,
		 unsigned n_outputs, struct row_sum *sum)
{
	sum->packets += ledger->rules[row].packets;
	for (unsigned i = 0; i < n_outputs; i++)
		sum->copies.sent += ledger->outputs[output_rows[i]].sent;
}

static int setup(void **state)
{
	memset(&r, 0, sizeof(r));
	memset(workers, 0, sizeof(workers));
	n_legacy = 0;
	now = mtime_ms(1000);
	port.workers = workers;
	for (int i = 0; i < WORKERS; i++) {
		workers[i].port = &port;
		workers[i].child.pid = 100 + i;
		workers[i].next = i + 1 < WORKERS ? &workers[i + 1] : NULL;
		workers[i].ledger = calloc(1, sizeof(struct ledger));
		if (!workers[i].ledger)
			return -1;
	}
	return rows_init(&r);
}

static int teardown(void **state)
{
	rows_fini(&r);
	for (int i = 0; i < WORKERS; i++)
		free(workers[i].ledger);
	return 0;
}

/* A rule with its rows. */
struct sample {
	struct rule rule;
	struct live_rule live;
};

static void take(struct sample *s, uint16_t n_outputs)
{
	struct diag d = { 0 };

	*s = (struct sample){ .rule.n_outputs = n_outputs };
	s->live.rule = &s->rule;
	s->live.port = &port;
	assert_int_equal(rows_take(&r, &s->live, n_outputs, &d), 0);
}

/* Everybody has put in force what was sent until now. */
static void catch_up(void)
{
	now = mtime_add(now, mtime_ms(1000));
	for (int i = 0; i < WORKERS; i++)
		workers[i].caught_up = now;
}

static void rows_are_dense_and_distinct(void **state)
{
	struct sample s[3];
	uint8_t seen[WORKER_OUTPUTS] = { 0 };

	for (int i = 0; i < 3; i++) {
		take(&s[i], 64);
		assert_int_equal(s[i].live.row, i);
		for (int o = 0; o < 64; o++)
			assert_int_equal(seen[s[i].live.output_rows[o]]++, 0);
	}
	for (int i = 0; i < 3 * 64; i++)
		assert_int_equal(seen[i], 1);
	for (int i = 0; i < 3; i++)
		rows_cool(&r, &s[i].live);
}

static void a_rule_without_outputs_has_a_row(void **state)
{
	struct sample s;

	take(&s, 0);
	assert_non_null(s.live.output_rows);
	rows_cool(&r, &s.live);
	assert_null(s.live.output_rows);
	assert_null(s.live.sockets);
}

static void rows_wait_for_every_running_worker(void **state)
{
	struct sample s;
	uint32_t free_rules, free_outputs;

	free_rules = r.rule_rows.n_free;
	free_outputs = r.output_rows.n_free;
	take(&s, 5);
	rows_cool(&r, &s.live);
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules - 1);
	now = mtime_ms(2000);
	workers[0].caught_up = workers[1].caught_up = now;
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules - 1);
	workers[2].caught_up = mtime_ms(1000); /* the very moment may have been before */
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules - 1);
	workers[2].caught_up = mtime_ms(1001);
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules);
	assert_int_equal(r.output_rows.n_free, free_outputs);
	assert_null(r.cooling);
}

static void a_dead_worker_holds_nothing_up(void **state)
{
	struct sample s;
	uint32_t free_rules = r.rule_rows.n_free;

	take(&s, 1);
	rows_cool(&r, &s.live);
	now = mtime_ms(2000);
	workers[0].caught_up = workers[2].caught_up = now;
	workers[1].child.pid = 0;
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules);
}

/* A frame that the kernel has begun to replicate may still be on its way. */
static void rows_wait_for_the_kernel(void **state)
{
	struct sample s;
	uint32_t free_rules = r.rule_rows.n_free;

	take(&s, 2);
	s.live.rewritten[0] = 7;
	memset(is_folded, 0, sizeof(is_folded));
	n_unwritten = 0;
	port.workers = NULL;
	rows_cool(&r, &s.live);
	rows_tick(&r);
	assert_int_equal(n_unwritten, 0);
	assert_int_equal(r.rule_rows.n_free, free_rules - 1);
	now = mtime_ms(2000);
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules);
	assert_int_equal(is_folded[s.live.row], 1);
	assert_int_equal(n_unwritten, 1);
	assert_int_equal(unwritten[0], 7);
}

static void inherited_rows_are_taken_until_they_are_folded(void **state)
{
	static const struct plane_legacy_rule old = {
		.row = 1,
		.slot = 0,
		.n_outputs = 2,
		.output_rows = { 0, 3 },
		.ifindexes = { 5, 6 },
	};
	struct sample s;

	rows_fini(&r);
	memset(&r, 0, sizeof(r));
	memset(is_folded, 0, sizeof(is_folded));
	legacy = &old;
	n_legacy = 1;
	n_unwritten = 0;
	assert_int_equal(rows_init(&r), 0);
	assert_int_equal(r.rule_rows.n_free, MCR_MAX_RULES - 1);
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS - 2);
	take(&s, 3);
	assert_int_equal(s.live.row, 0);
	assert_int_equal(s.live.output_rows[0], 1);
	assert_int_equal(s.live.output_rows[1], 2);
	assert_int_equal(s.live.output_rows[2], 4);
	rows_inherit(&r);
	now = mtime_ms(2000);
	rows_tick(&r);
	assert_int_equal(is_folded[1], 1);
	assert_int_equal(n_unwritten, 2);
	assert_int_equal(r.rule_rows.n_free, MCR_MAX_RULES - 1);
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS - 3);
	rows_cool(&r, &s.live);
}

static void rules_without_a_port_cool_by_themselves(void **state)
{
	struct sample s;
	uint32_t free_rules = r.rule_rows.n_free;

	take(&s, 3);
	s.live.port = NULL;
	rows_cool(&r, &s.live);
	now = mtime_ms(2000);
	rows_tick(&r);
	assert_int_equal(r.rule_rows.n_free, free_rules);
}

static void what_was_counted_is_carried_over(void **state)
{
	struct sample s, other;

	take(&s, 2);
	take(&other, 1);
	for (int i = 0; i < WORKERS; i++) {
		struct ledger *l = workers[i].ledger;

		l->rules[s.live.row].packets = 10;
		l->outputs[s.live.output_rows[0]].sent = 7;
		l->outputs[s.live.output_rows[1]].sent = 3;
		l->outputs[s.live.output_rows[1]].drop[COPY_DROP_full] = 7;
		l->rules[other.live.row].packets = 99;
		l->outputs[other.live.output_rows[0]].sent = 99;
	}
	rows_cool(&r, &s.live);
	catch_up();
	rows_tick(&r);
	for (int i = 0; i < WORKERS; i++) {
		const struct ledger *l = workers[i].ledger;
		static const struct ledger_output none;

		assert_int_equal(workers[i].carried.packets, 10);
		assert_int_equal(workers[i].carried.copies.sent, 10);
		assert_int_equal(l->rules[s.live.row].packets, 0);
		for (int o = 0; o < 2; o++)
			assert_memory_equal(&l->outputs[o], &none, sizeof(none));
		assert_int_equal(l->rules[other.live.row].packets, 99);
		assert_int_equal(l->outputs[other.live.output_rows[0]].sent, 99);
	}
	rows_tick(&r); /* once */
	assert_int_equal(workers[0].carried.packets, 10);
	rows_cool(&r, &other.live);
}

/* A worker that has never run has no ledger yet. */
static void a_worker_without_ledger_is_passed_over(void **state)
{
	struct sample s;

	free(workers[1].ledger);
	workers[1].ledger = NULL;
	workers[1].child.pid = 0;
	take(&s, 2);
	rows_cool(&r, &s.live);
	catch_up();
	rows_tick(&r);
	assert_null(r.cooling);
}

static void running_out_is_refused_and_takes_nothing(void **state)
{
	struct sample s[WORKER_OUTPUTS / 4096], last = { .live.port = &port };
	struct diag d = { 0 };
	uint32_t free_rules;

	for (unsigned i = 0; i < WORKER_OUTPUTS / 4096; i++)
		take(&s[i], 4095);
	free_rules = r.rule_rows.n_free;
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS / 4096);
	assert_int_equal(rows_take(&r, &last.live, WORKER_OUTPUTS / 4096 + 1, &d), -E2BIG);
	assert_int_equal(d.code, E_LIMIT);
	assert_int_equal(r.rule_rows.n_free, free_rules);
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS / 4096);
	assert_null(last.live.output_rows);
	take(&last, WORKER_OUTPUTS / 4096);
	assert_int_equal(r.output_rows.n_free, 0);
	rows_cool(&r, &last.live);
	for (unsigned i = 0; i < WORKER_OUTPUTS / 4096; i++)
		rows_cool(&r, &s[i].live);
	catch_up();
	rows_tick(&r);
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS);
	assert_int_equal(r.rule_rows.n_free, MCR_MAX_RULES);
}

/* Rules come and go at random; every row has at most one owner, cooling ones included. */
static void random_rules_never_share_a_row(void **state)
{
	static struct sample s[RULES];
	static uint8_t owned[WORKER_OUTPUTS];
	uint64_t sent = 0;

	memset(s, 0, sizeof(s));
	memset(owned, 0, sizeof(owned));
	for (int round = 0; round < 20000; round++) {
		struct sample *one = &s[random_below(&seed, RULES)];
		uint32_t n = 1 + random_below(&seed, 64);

		if (!one->live.output_rows) {
			take(one, (uint16_t)n);
			for (uint32_t i = 0; i < n; i++) {
				uint32_t row = one->live.output_rows[i];

				assert_int_equal(workers[0].ledger->outputs[row].sent, 0);
				assert_int_equal(owned[row]++, 0);
				workers[0].ledger->outputs[row].sent += n;
				sent += n;
			}
			continue;
		}
		for (uint32_t i = 0; i < one->rule.n_outputs; i++)
			owned[one->live.output_rows[i]] = 0;
		rows_cool(&r, &one->live);
		if (random_below(&seed, 4) == 0)
			catch_up();
		rows_tick(&r);
	}
	for (int i = 0; i < RULES; i++)
		if (s[i].live.output_rows)
			rows_cool(&r, &s[i].live);
	catch_up();
	rows_tick(&r);
	assert_int_equal(r.output_rows.n_free, WORKER_OUTPUTS);
	assert_int_equal(r.rule_rows.n_free, MCR_MAX_RULES);
	assert_int_equal(workers[0].carried.copies.sent, sent);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(rows_are_dense_and_distinct),
		T(a_rule_without_outputs_has_a_row),
		T(rows_wait_for_every_running_worker),
		T(a_dead_worker_holds_nothing_up),
		T(rows_wait_for_the_kernel),
		T(inherited_rows_are_taken_until_they_are_folded),
		T(rules_without_a_port_cool_by_themselves),
		T(what_was_counted_is_carried_over),
		T(a_worker_without_ledger_is_passed_over),
		T(running_out_is_refused_and_takes_nothing),
		T(random_rules_never_share_a_row),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
