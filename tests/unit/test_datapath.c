/* SPDX-License-Identifier: MIT */
/*
 * What the kernel can replicate, and why not; what outputs become there; and when a worker is worth
 * it: the answer changes with the traffic as it should, and never to and fro.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/datapath.h"

/* --- what is possible ------------------------------------------------------------------------- */

/* in0 with MTU 1500 to o0 … o2, all of which take redirected frames. */
struct sample {
	struct rule rule;
	struct rule_output o[RULE_OUTPUTS_MAX];
	struct resolved_rule now;
	struct resolved_output out[RULE_OUTPUTS_MAX];
	char reason[RESOLVE_REASON];
};

static void sample_init(struct sample *s, unsigned n)
{
	*s = (struct sample){ .rule = { .interface = "in0", .n_outputs = (uint16_t)n },
			      .now = { .mtu = 1500, .n_outputs = (uint16_t)n } };
	s->rule.outputs = s->o;
	s->now.outputs = s->out;
	for (unsigned i = 0; i < n; i++) {
		snprintf(s->o[i].interface, sizeof(s->o[i].interface), "o%u", i);
		s->out[i] = (struct resolved_output){
			.state = RESOLVE_ACTIVE,
			.ifindex = 10 + i,
			.takes_redirects = true,
			.wire = { .kind = EGRESS_PACKET, .is_up = 1, .mtu = 1500 },
		};
	}
}

static bool can_replicate(struct sample *s)
{
	memset(s->reason, 'x', sizeof(s->reason) - 1);
	return datapath_can_replicate(&s->rule, &s->now, s->reason);
}

static void assert_refused(struct sample *s, const char *reason)
{
	assert_false(can_replicate(s));
	assert_string_equal(s->reason, reason);
}

static void a_rule_whose_outputs_take_frames_can_be_replicated(void **state)
{
	static const unsigned counts[] = { 1, 3, RULE_OUTPUTS_MAX };

	for (size_t i = 0; i < 3; i++) {
		struct sample s;

		sample_init(&s, counts[i]);
		assert_true(can_replicate(&s));
		assert_string_equal(s.reason, "");
	}
}

/* What the kernel cannot do of such a rule it leaves, until a worker is there. */
static void a_register_needs_a_worker_and_hinders_nobody(void **state)
{
	char reason[RESOLVE_REASON];
	struct sample s;

	sample_init(&s, 3);
	assert_false(datapath_needs_worker(&s.now));
	s.out[1].wire.kind = EGRESS_REGISTER;
	s.out[1].takes_redirects = false;
	assert_true(datapath_can_replicate(&s.rule, &s.now, reason));
	assert_true(datapath_needs_worker(&s.now));
	s.out[0].wire.kind = s.out[2].wire.kind = EGRESS_REGISTER;
	assert_false(datapath_can_replicate(&s.rule, &s.now, reason));
	assert_string_equal(reason, "in0: no output is up");
}

static void each_obstacle_is_named(void **state)
{
	struct sample s;

	sample_init(&s, 3);
	s.out[1].wire.kind = EGRESS_UDP;
	assert_refused(&s, "o1: goes by the kernel's routes");
	s.out[1].wire.kind = EGRESS_RAW;
	assert_refused(&s, "o1: goes by the kernel's routes");
	s.o[1].interface[0] = '\0';
	assert_refused(&s, "an output by routes: goes by the kernel's routes");
	sample_init(&s, 3);
	s.out[2].takes_redirects = false;
	assert_refused(&s, "o2: cannot take redirected frames (on veth: its peer has neither XDP "
			   "nor GRO)");
	sample_init(&s, 3);
	s.out[0].wire.mtu = 1499;
	assert_refused(&s, "o0: has a smaller MTU than the input");
	sample_init(&s, 3);
	s.out[2].ifindex = s.out[0].ifindex;
	assert_refused(&s, "o2: has two outputs of this rule");
	sample_init(&s, 3);
	s.now.mtu = DATAPATH_MTU_MAX;
	s.out[0].wire.mtu = s.out[1].wire.mtu = s.out[2].wire.mtu = 9000;
	assert_true(can_replicate(&s));
	s.now.mtu++;
	assert_refused(&s, "in0: its MTU makes frames in pieces, which the kernel cannot copy");
}

/* An output that is down, or not there, takes nothing anyway: it does not hold up the others. */
static void what_is_not_there_stands_in_nobodys_way(void **state)
{
	struct sample s;

	sample_init(&s, 3);
	s.out[0].takes_redirects = false;
	s.out[0].wire.is_up = 0;
	s.out[1].state = RESOLVE_UNRESOLVED;
	s.out[1].ifindex = s.out[2].ifindex;
	s.out[1].wire.mtu = 0;
	assert_true(can_replicate(&s));
	s.out[2].wire.is_up = 0;
	assert_refused(&s, "in0: no output is up");
}

static void an_output_becomes_a_rewrite(void **state)
{
	struct resolved_output o = {
		.wire = { .port = 5002,
			  .ttl = 7,
			  .dscp = -1,
			  .source = htonl(0xc6120201),
			  .group = htonl(0xef020202),
			  .dst_mac = { 1, 0, 0x5e, 2, 2, 2 },
			  .src_mac = { 2, 0, 0, 0, 0, 9 } },
	};
	struct mcr_rewrite want = {
		.output = 77,
		.slot = 3,
		.dst_mac = { 1, 0, 0x5e, 2, 2, 2 },
		.src_mac = { 2, 0, 0, 0, 0, 9 },
		.group = { 239, 2, 2, 2 },
		.source = { 198, 18, 2, 1 },
		.port = 5002,
		.ttl = 7,
		.dscp = -1,
	};
	struct mcr_rewrite to;

	memset(&to, 0xee, sizeof(to));
	datapath_rewrite(&o, 77, 3, &to);
	assert_memory_equal(&to, &want, sizeof(to));
	o.wire.keeps_source = 1;
	memset(want.source, 0, 4);
	datapath_rewrite(&o, 77, 3, &to);
	assert_memory_equal(&to, &want, sizeof(to));
}

/* --- what is better ---------------------------------------------------------------------------
 */

static bool wants(struct datapath_load load)
{
	char reason[RESOLVE_REASON] = "";
	bool is_wanted = datapath_wants_worker(&load, reason);

	assert_true(reason[0] && strlen(reason) < RESOLVE_REASON - 1);
	return is_wanted;
}

/* One flow that has the interface for itself. */
static struct datapath_load fat(uint64_t pps, unsigned outputs)
{
	return (struct datapath_load){
		.packets_per_s = pps,
		.port_packets_per_s = pps,
		.flows_per_1000 = 1000 / MCR_FLOW_WINDOW,
		.outputs = outputs,
		.can_segment = true,
	};
}

static void a_fat_flow_wants_a_worker_and_a_thin_one_does_not(void **state)
{
	for (unsigned outputs = 1; outputs <= 64; outputs *= 2) {
		assert_true(wants(fat(4000000, outputs)));
		assert_false(wants(fat(0, outputs)));
		assert_false(wants(fat(1000, outputs)));
	}
}

/* One datagram in a send is dearer than the kernel's copy, however much there is to do. */
static void many_flows_or_no_segments_stay_in_the_kernel(void **state)
{
	for (unsigned outputs = 1; outputs <= 64; outputs *= 2) {
		struct datapath_load load = fat(4000000, outputs);

		load.flows_per_1000 = 1000;
		assert_false(wants(load));
		load.is_on_worker = true;
		assert_false(wants(load));
		load = fat(4000000, outputs);
		load.can_segment = false;
		assert_false(wants(load));
		load = fat(4000000, outputs);
		load.packets_per_s = 400; /* one in 10,000 of its interface */
		assert_false(wants(load));
	}
}

/* The more there is of a flow, the more a worker is wanted: there is one threshold each way. */
static uint64_t threshold(struct datapath_load load, uint64_t most, uint64_t step)
{
	uint64_t at = UINT64_MAX;

	for (uint64_t pps = 0; pps <= most; pps += step) {
		bool is_wanted;

		load.packets_per_s = load.port_packets_per_s = pps;
		is_wanted = wants(load);
		if (is_wanted && at == UINT64_MAX)
			at = pps;
		assert_int_equal(is_wanted, at != UINT64_MAX);
	}
	return at;
}

static void the_way_back_has_another_threshold(void **state)
{
	for (unsigned outputs = 1; outputs <= 64; outputs++) {
		struct datapath_load load = fat(0, outputs);
		uint64_t enter = threshold(load, 2000000, 1000), leave;

		load.is_on_worker = true;
		leave = threshold(load, 2000000, 1000);
		assert_true(enter != UINT64_MAX && leave != UINT64_MAX);
		assert_true(leave > 0 && leave * 3 < enter * 2);
	}
}

/* Whatever the load: the same one does not send a rule to and fro. */
static void no_load_lets_a_rule_flap(void **state)
{
	static const uint64_t rates[] = { 0,	  1,	  1000,	   50000,   100000,
					  300000, 600000, 1000000, 5000000, UINT32_MAX };
	struct datapath_load load = { .can_segment = true };

	for (int i = 0; i < 10 * 10 * 1001 * 7; i++) {
		bool enters;
		int n = i;

		load.packets_per_s = rates[n % 10];
		n /= 10;
		load.port_packets_per_s = rates[n % 10];
		n /= 10;
		load.flows_per_1000 = (uint64_t)(n % 1001);
		load.outputs = 1u << n / 1001;
		if (load.port_packets_per_s < load.packets_per_s)
			continue;
		load.is_on_worker = false;
		enters = wants(load);
		load.is_on_worker = true;
		assert_true(wants(load) || !enters);
	}
}

/* More flows, fewer reasons for a worker: monotone, whatever the rest. */
static void more_flows_never_speak_for_a_worker(void **state)
{
	for (int on_worker = 0; on_worker < 2; on_worker++)
		for (unsigned outputs = 1; outputs <= 64; outputs *= 4) {
			struct datapath_load load = fat(1000000, outputs);
			bool before = true;

			load.is_on_worker = on_worker;
			for (load.flows_per_1000 = 0; load.flows_per_1000 <= 1000;
			     load.flows_per_1000++) {
				bool now = wants(load);

				assert_true(before || !now);
				before = now;
			}
			assert_false(before);
		}
}

/* Rates that no interface has, and counters that went mad, are no division by zero. */
static void the_extremes_have_an_answer(void **state)
{
	struct datapath_load load = { .packets_per_s = UINT32_MAX, .outputs = 64 };

	wants(load); /* more of the rule than of its interface: sampled a moment apart */
	load.can_segment = true;
	wants(load);
	load.flows_per_1000 = UINT32_MAX;
	assert_false(wants(load));
	load = (struct datapath_load){ 0 };
	assert_false(wants(load));
}

static void the_reason_has_the_figures(void **state)
{
	struct datapath_load load = fat(1000000, 4);
	char reason[RESOLVE_REASON];

	assert_true(datapath_wants_worker(&load, reason));
	assert_non_null(strstr(reason, "4 outputs, runs of 64 datagrams: about "));
	assert_non_null(strstr(reason, " in the kernel"));
	load.outputs = 1;
	load.flows_per_1000 = 1000;
	assert_false(datapath_wants_worker(&load, reason));
	assert_non_null(strstr(reason, "1 output, runs of 2 datagrams: about "));
	assert_non_null(strstr(reason, " in a worker"));
	load.port_packets_per_s = load.packets_per_s = 1000;
	assert_false(datapath_wants_worker(&load, reason));
	assert_string_equal(reason, "little to do: the kernel needs 0 % of a core");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_whose_outputs_take_frames_can_be_replicated),
		cmocka_unit_test(a_register_needs_a_worker_and_hinders_nobody),
		cmocka_unit_test(each_obstacle_is_named),
		cmocka_unit_test(what_is_not_there_stands_in_nobodys_way),
		cmocka_unit_test(an_output_becomes_a_rewrite),
		cmocka_unit_test(a_fat_flow_wants_a_worker_and_a_thin_one_does_not),
		cmocka_unit_test(many_flows_or_no_segments_stay_in_the_kernel),
		cmocka_unit_test(the_way_back_has_another_threshold),
		cmocka_unit_test(no_load_lets_a_rule_flap),
		cmocka_unit_test(more_flows_never_speak_for_a_worker),
		cmocka_unit_test(the_extremes_have_an_answer),
		cmocka_unit_test(the_reason_has_the_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
