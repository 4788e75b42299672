/* SPDX-License-Identifier: MIT */
/* A worker's rules: most specific first, and against a plain array under random changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "worker/table.h"

#define IF_A	 3
#define GROUP	 IP(239, 1, 1, 1)
#define SOURCE	 IP(198, 18, 0, 1)
#define N_GROUPS 100
#define N_KEYS	 (2 * 2 * N_GROUPS * 10 * 5) /* protocols, interfaces, groups, sources, ports */

static uint64_t seed;

static struct mcr_rule_key key_of(uint32_t ifindex, uint32_t group, uint32_t source, uint16_t port)
{
	struct mcr_rule_key key = { .ifindex = ifindex, .port = port, .protocol = PACKET_UDP };

	put32(key.group, group);
	put32(key.source, source);
	return key;
}

static struct mcr_flow flow_of(uint32_t group, uint32_t source, uint16_t port)
{
	return (struct mcr_flow){
		.group = htonl(group),
		.source = htonl(source),
		.dport = htons(port),
		.protocol = PACKET_UDP,
	};
}

static void apply(struct table *t, const struct mcr_rule_key *key, uint32_t row, uint16_t n_outputs,
		  bool is_gone)
{
	struct wm_rule *m = calloc(1, sizeof(*m) + n_outputs * sizeof(m->outputs[0]));

	assert_non_null(m);
	m->key = *key;
	m->rule = row;
	m->n_outputs = n_outputs;
	m->is_gone = is_gone;
	for (uint16_t i = 0; i < n_outputs; i++)
		m->outputs[i].output = row * 8 + i;
	assert_int_equal(table_apply(t, m), 0);
	free(m);
}

static void put(struct table *t, uint32_t row, uint32_t group, uint32_t source, uint16_t port)
{
	struct mcr_rule_key key = key_of(IF_A, group, source, port);

	apply(t, &key, row, 1, false);
}

static void drop(struct table *t, uint32_t group, uint32_t source, uint16_t port)
{
	struct mcr_rule_key key = key_of(IF_A, group, source, port);

	apply(t, &key, 0, 0, true);
}

/* Row of the rule for the sample's flow, 0 when there is none. */
static uint32_t find(const struct table *t)
{
	struct mcr_flow flow = flow_of(GROUP, SOURCE, 5001);
	const struct table_rule *rule = table_find(t, IF_A, &flow);

	return rule ? rule->row : 0;
}

static void the_most_specific_rule_wins(void **state)
{
	struct table *t = table_new();

	assert_non_null(t);
	assert_int_equal(find(t), 0);
	put(t, 1, GROUP, 0, 0);
	assert_int_equal(find(t), 1);
	put(t, 2, GROUP, 0, 5001);
	assert_int_equal(find(t), 2);
	put(t, 3, GROUP, SOURCE, 0);
	assert_int_equal(find(t), 3);
	put(t, 4, GROUP, SOURCE, 5001);
	assert_int_equal(find(t), 4);
	drop(t, GROUP, 0, 5001);
	assert_int_equal(find(t), 4);
	drop(t, GROUP, SOURCE, 5001);
	assert_int_equal(find(t), 3);
	drop(t, GROUP, SOURCE, 0);
	assert_int_equal(find(t), 1);
	drop(t, GROUP, 0, 0);
	assert_int_equal(find(t), 0);
	table_free(t);
}

static void every_part_of_a_match_counts(void **state)
{
	struct table *t = table_new();
	struct mcr_flow flow;

	assert_non_null(t);
	put(t, 1, GROUP, SOURCE, 5001);
	assert_int_equal(find(t), 1);
	flow = flow_of(GROUP + 1, SOURCE, 5001);
	assert_null(table_find(t, IF_A, &flow));
	flow = flow_of(GROUP, SOURCE + 1, 5001);
	assert_null(table_find(t, IF_A, &flow));
	flow = flow_of(GROUP, SOURCE, 5002);
	assert_null(table_find(t, IF_A, &flow));
	flow = flow_of(GROUP, SOURCE, 5001);
	assert_null(table_find(t, IF_A + 1, &flow));
	flow.protocol = PACKET_ESP;
	assert_null(table_find(t, IF_A, &flow));
	table_free(t);
}

/* ESP has no ports: a rule by source and group is as specific as can be. */
static void esp_is_found_without_a_port(void **state)
{
	struct table *t = table_new();
	struct mcr_rule_key key = key_of(IF_A, GROUP, SOURCE, 0);
	struct mcr_flow flow = flow_of(GROUP, SOURCE, 0);
	const struct table_rule *rule;

	assert_non_null(t);
	key.protocol = flow.protocol = PACKET_ESP;
	apply(t, &key, 7, 1, false);
	rule = table_find(t, IF_A, &flow);
	assert_non_null(rule);
	assert_int_equal(rule->row, 7);
	table_free(t);
}

static void replacing_takes_the_new_outputs(void **state)
{
	struct table *t = table_new();
	struct mcr_rule_key key = key_of(IF_A, GROUP, 0, 5001);
	struct mcr_flow flow = flow_of(GROUP, SOURCE, 5001);
	const struct table_rule *rule;

	assert_non_null(t);
	for (uint16_t n = 0; n <= MCR_MAX_OUTPUTS; n = (uint16_t)(n * 2 + 1)) {
		apply(t, &key, 100 + n, n, false);
		rule = table_find(t, IF_A, &flow);
		assert_non_null(rule);
		assert_int_equal(rule->row, 100 + n);
		assert_int_equal(rule->n_outputs, n);
		for (uint16_t i = 0; i < n; i++)
			assert_int_equal(rule->outputs[i].output, (100 + n) * 8 + i);
		assert_memory_equal(&rule->key, &key, sizeof(key));
	}
	apply(t, &key, 0, 0, true);
	assert_null(table_find(t, IF_A, &flow));
	table_free(t);
}

static void removing_what_is_not_there_is_fine(void **state)
{
	struct table *t = table_new();

	assert_non_null(t);
	drop(t, GROUP, SOURCE, 5001);
	put(t, 1, GROUP, 0, 0);
	drop(t, GROUP, SOURCE, 5001);
	assert_int_equal(find(t), 1);
	table_free(t);
	table_free(NULL);
}

/* --- against a model -----------------------------------------------------------------------------
 */

static uint32_t model[N_KEYS]; /* row by the number of the key, 0 = absent */

/* Key number `i`; sources and ports include "any". */
static struct mcr_rule_key numbered_key(uint32_t i)
{
	uint32_t port = i % 5, source = i / 5 % 10, group = i / 50 % N_GROUPS;
	uint32_t rest = i / (50 * N_GROUPS);
	struct mcr_rule_key key = key_of(1 + rest % 2, GROUP + group, source ? SOURCE + source : 0,
					 (uint16_t)(port ? 5000 + port : 0));

	key.protocol = rest / 2 ? PACKET_ESP : PACKET_UDP;
	return key;
}

static uint32_t key_number(uint32_t rest, uint32_t group, uint32_t source, uint32_t port)
{
	return ((rest * N_GROUPS + group) * 10 + source) * 5 + port;
}

/* Most specific first, by the array alone. */
static uint32_t model_find(uint32_t rest, uint32_t group, uint32_t source, uint32_t port)
{
	uint32_t row = model[key_number(rest, group, source, port)];

	if (!row)
		row = model[key_number(rest, group, source, 0)];
	if (!row)
		row = model[key_number(rest, group, 0, port)];
	if (!row)
		row = model[key_number(rest, group, 0, 0)];
	return row;
}

static void assert_found(const struct table *t, uint32_t rest, uint32_t group, uint32_t source,
			 uint32_t port)
{
	struct mcr_flow flow = flow_of(GROUP + group, source ? SOURCE + source : 1,
				       (uint16_t)(port ? 5000 + port : 1));
	const struct table_rule *rule;
	uint32_t want = model_find(rest, group, source, port);

	flow.protocol = rest / 2 ? PACKET_ESP : PACKET_UDP;
	rule = table_find(t, 1 + rest % 2, &flow);
	if ((rule ? rule->row : 0) != want)
		fail_msg("found row %u instead of %u", rule ? rule->row : 0, want);
	if (rule && rule->outputs[0].output != want * 8)
		fail_msg("row %u has the outputs of another", want);
}

static void assert_all_found(const struct table *t)
{
	for (uint32_t i = 0; i < N_KEYS; i++)
		assert_found(t, i / (50 * N_GROUPS), i / 50 % N_GROUPS, i / 5 % 10, i % 5);
}

/* Filled and emptied by turns, up to the most rules there can be, so that probes collide. */
static void random_changes_agree_with_an_array(void **state)
{
	struct table *t = table_new();
	uint32_t n = 0;

	assert_non_null(t);
	memset(model, 0, sizeof(model));
	for (uint32_t round = 1; round <= 300000; round++) {
		uint32_t i = random_below(&seed, N_KEYS);
		struct mcr_rule_key key = numbered_key(i);
		bool is_gone = random_below(&seed, 10) < (round >> 16 & 1 ? 8 : 2);

		if (n == MCR_MAX_RULES && !model[i])
			is_gone = true;
		n += !is_gone && !model[i];
		n -= is_gone && model[i];
		model[i] = is_gone ? 0 : round;
		apply(t, &key, round, 1, is_gone);
		assert_found(t, i / (50 * N_GROUPS), i / 50 % N_GROUPS, i / 5 % 10, i % 5);
		if (round % 30000 == 0)
			assert_all_found(t);
	}
	for (uint32_t i = 0; i < N_KEYS; i++) {
		struct mcr_rule_key key = numbered_key(i);

		model[i] = 0;
		apply(t, &key, 0, 0, true);
		if (i % 2000 == 0)
			assert_all_found(t);
	}
	assert_all_found(t);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_specific_rule_wins),
		cmocka_unit_test(every_part_of_a_match_counts),
		cmocka_unit_test(esp_is_found_without_a_port),
		cmocka_unit_test(replacing_takes_the_new_outputs),
		cmocka_unit_test(removing_what_is_not_there_is_fine),
		cmocka_unit_test(random_changes_agree_with_an_array),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
