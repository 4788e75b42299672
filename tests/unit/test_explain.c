/* SPDX-License-Identifier: MIT */
/* Each cause, from the facts that make it, and only from those; and the order of the walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/explain.h"

static struct explain_facts f;
static struct explain_port ports[3];
static struct explanation e;
static bool is_seen[EXPLAIN__COUNT];

static struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

static struct explain_port *output(unsigned i, const char *name)
{
	struct explain_port *p = &ports[i];

	*p = (struct explain_port){ .is_there = true, .is_up = true };
	strcpy(p->name, name);
	f.n_ports = i + 1;
	return p;
}

/* A host on o1 has joined the group, packets of the source come in at in0 and are forwarded. */
static void routed(void)
{
	struct explain_port *p;

	f = (struct explain_facts){
		.sg = { ip("198.18.0.1"), ip("239.1.1.1") },
		.input = "in0",
		.input_is_there = true,
		.input_is_up = true,
		.has_classifier = true,
		.classifier = "native mode",
		.rule = { .is_there = true,
			  .is_active = true,
			  .id = "mroute:*,239.1.1.1",
			  .input = "in0",
			  .datapath = "xdp",
			  .datapath_reason = "the shortest way",
			  .packets = 7,
			  .last_seen_ms = 3,
			  .sent = 7 },
		.has_router = true,
		.input_is_routed = true,
		.has_route = true,
		.route = { .group = ip("239.1.1.1") },
		.rpf = { .prefix = { ip("198.18.0.0"), 24 } },
		.rpf_input = "in0",
		.route_input = "in0",
		.ports = ports,
	};
	p = output(0, "o1");
	p->is_wanted = p->has_out = true;
	p->why = MRIB_OUT_forwards;
}

/* The same, and PIM is on: there is an RP, and this router is the DR everywhere. */
static void pim(void)
{
	routed();
	f.pim.is_on = f.pim.is_input_dr = true;
	f.pim.rp = ip("198.18.9.9");
	f.pim.upstream = ip("198.18.0.2");
	f.pim.input_dr = ip("198.18.0.3");
	ports[0].dr = ip("198.18.1.1");
	ports[0].is_dr = true;
}

/* Nobody wants it, so that there is no route. */
static void unwanted(void)
{
	f.has_route = f.rule.is_there = false;
	f.route_input[0] = '\0';
	f.rule = (struct explain_rule){ 0 };
	f.n_ports = 0;
}

static void relayed(void)
{
	routed();
	f.has_router = false;
	f.rule.is_static = true;
	strcpy(f.rule.id, "tv");
	output(0, "o1")->is_output = true;
	output(1, "o2")->is_output = true;
}

static void is(enum explain_cause cause, const char *sentence)
{
	explain(&f, &e);
	assert_string_equal(explain_cause_name(e.cause), explain_cause_name(cause));
	if (strstr(e.sentence, sentence) == NULL)
		fail_msg("%s does not have: %s", e.sentence, sentence);
	assert_int_equal(e.sentence[strlen(e.sentence) - 1], '.');
	assert_true(e.n_steps > 0);
	is_seen[cause] = true;
}

static bool has_step(const char *check, enum explain_result result, const char *text)
{
	for (unsigned i = 0; i < e.n_steps; i++)
		if (strcmp(e.steps[i].check, check) == 0 && e.steps[i].result == result &&
		    strstr(e.steps[i].text, text))
			return true;
	return false;
}

static void what_is_forwarded(void **state)
{
	(void)state;
	routed();
	is(EXPLAIN_forwarded, "Forwarded to 1 output.");
	assert_true(has_step("group", EXPLAIN_PASSES, "239.1.1.1"));
	assert_true(has_step("route", EXPLAIN_PASSES, "(*,239.1.1.1) decides"));
	assert_true(has_step("unicast", EXPLAIN_NOTES, "198.18.0.0/24 leads to 198.18.0.1 by in0"));
	assert_true(has_step("output", EXPLAIN_PASSES, "sent to o1, hosts want it"));
	ports[0].is_wanted = false;
	ports[0].is_static = true;
	is(EXPLAIN_forwarded, "1 output");
	assert_true(has_step("output", EXPLAIN_PASSES, "sent to o1, by a configured route"));
	routed();
	is(EXPLAIN_forwarded, "1 output");
	assert_true(has_step("counters", EXPLAIN_NOTES, "7 packets were taken"));
	pim();
	is(EXPLAIN_forwarded, "Forwarded to 1 output.");
	assert_true(has_step("rp", EXPLAIN_PASSES, "198.18.9.9"));
	assert_true(has_step("join", EXPLAIN_NOTES, "198.18.0.2 is asked"));
	relayed();
	is(EXPLAIN_forwarded, "Forwarded to 2 outputs.");
	assert_false(has_step("rpf", EXPLAIN_PASSES, ""));
	f.rule.packets = 0;
	is(EXPLAIN_no_traffic, "Ready to be forwarded, but no packet of it has come in at in0.");
	f.rule.packets = 5;
	f.rule.last_seen_ms = 9999;
	is(EXPLAIN_forwarded, "2 outputs");
	f.rule.last_seen_ms = 75000;
	is(EXPLAIN_no_traffic, "no packet of it has come in at in0 for 75 s");
	f.rule.packets = 0;
	f.sg.group = ip("198.18.7.7");
	is(EXPLAIN_no_traffic, "no packet");
	assert_true(has_step("group", EXPLAIN_NOTES, "unicast"));
}

static void what_is_never_forwarded(void **state)
{
	(void)state;
	routed();
	f.sg.group = ip("224.0.0.251");
	is(EXPLAIN_link_local, "never leaves it");
	f.sg.group = ip("239.1.1.1");
	f.sg.source = ip("127.0.0.1");
	is(EXPLAIN_link_local, "127.0.0.1 is not the address of a source");
	routed();
	unwanted();
	f.has_router = false;
	is(EXPLAIN_no_rule, "nothing is routed");
	routed();
	unwanted();
	strcpy(f.in, "x0");
	strcpy(f.input, "x0");
	f.input_is_routed = false;
	is(EXPLAIN_no_rule, "multicast is not routed on x0");
	routed();
	unwanted();
	f.sg.group = ip("198.18.7.7");
	is(EXPLAIN_no_rule, "no rule matches");
}

static void by_a_rule(void **state)
{
	(void)state;
	relayed();
	f.rule.is_active = false;
	strcpy(f.rule.reason, "something is missing");
	is(EXPLAIN_rule_inactive, "rule tv matches, but something is missing");
	relayed();
	f.rule.is_there = false;
	strcpy(f.in, "in1");
	is(EXPLAIN_wrong_input, "a rule takes it from in0, and none from in1");
	relayed();
	f.ttl = 1;
	is(EXPLAIN_ttl, "arrives with TTL 1");
	f.rule.accept_ttl1 = true;
	is(EXPLAIN_forwarded, "2 outputs");
	relayed();
	f.rule.packets = 0;
	f.rule.ttl = 12;
	is(EXPLAIN_ttl, "all 12 packets");
	relayed();
	f.input_is_up = false;
	is(EXPLAIN_interface_down, "in0, which is down");
	f.input_is_there = false;
	is(EXPLAIN_interface_down, "in0, which is not there");
	relayed();
	strcpy(ports[0].reason, "it is down");
	is(EXPLAIN_forwarded, "1 output");
	ports[1].is_up = false;
	strcpy(ports[1].reason, "it is down, too");
	is(EXPLAIN_interface_down, "o2: it is down, too");
	ports[1].is_up = true;
	is(EXPLAIN_rule_inactive, "none of its outputs");
}

static void in_the_data_path(void **state)
{
	(void)state;
	relayed();
	f.rule.needs_worker = true;
	is(EXPLAIN_no_worker, "its worker on in0 is not there");
	f.rule.has_worker = true;
	is(EXPLAIN_forwarded, "2 outputs");
	f.rule.packets = 0;
	f.rule.checksum = 3;
	is(EXPLAIN_malformed, "checksums");
	f.rule.checksum = 0;
	f.rule.unfit = 3;
	is(EXPLAIN_malformed, "too long");
	relayed();
	f.rule.sent = 0;
	f.rule.dropped = 7;
	strcpy(f.rule.drop, "full");
	is(EXPLAIN_output_drops, "full");
	routed();
	f.rule.packets = 0;
	f.rule.wrong_iif = 5;
	is(EXPLAIN_rpf, "all 5 packets that came did not come in at in0");
	routed();
	f.is_route_late = true;
	is(EXPLAIN_limit, "no room");
}

/* Bar by bar: what an operator has planted is what is named. */
static void by_the_unicast_routes(void **state)
{
	static const enum rpf_why lost[] = { RPF_no_route, RPF_blackhole, RPF_unreachable,
					     RPF_prohibit, RPF_no_port,	  RPF_unresolved,
					     RPF_ours };
	(void)state;
	for (unsigned i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		routed();
		f.rule.packets = 0;
		f.input[0] = f.route_input[0] = f.rpf_input[0] = '\0';
		f.rpf.why = lost[i];
		is(EXPLAIN_no_route, "no way back to 198.18.0.1");
	}
	strcpy(f.down_input, "in0");
	is(EXPLAIN_interface_down, "in0, where 198.18.0.1 is, is down");
	f.down_input[0] = '\0';
	f.rpf.why = RPF_port_down;
	is(EXPLAIN_interface_down, "down");
	f.rpf.why = RPF_no_neighbour;
	f.rpf.next_hop = ip("198.18.0.7");
	is(EXPLAIN_no_neighbor, "198.18.0.7 is to be asked");
	pim(); /* by the shared tree it comes from elsewhere */
	f.rpf.why = RPF_no_neighbour;
	is(EXPLAIN_forwarded, "1 output");
	f.route.source = f.sg.source;
	is(EXPLAIN_no_neighbor, "no PIM router there");
	routed();
	strcpy(f.in, "in1");
	strcpy(f.input, "in1");
	is(EXPLAIN_rpf, "it comes in at in1, and has to come in at in0");
}

static void by_the_router(void **state)
{
	(void)state;
	routed();
	f.ttl = 1;
	is(EXPLAIN_ttl, "TTL 1");
	routed();
	f.has_boundary = true;
	is(EXPLAIN_boundary, "a boundary on in0");
	routed();
	ports[0].why = MRIB_OUT_boundary;
	is(EXPLAIN_boundary, "o1: a boundary");
	routed();
	ports[0].why = MRIB_OUT_pruned;
	is(EXPLAIN_pruned, "o1: who wants the group there has pruned");
	routed();
	ports[0].why = MRIB_OUT_is_input;
	is(EXPLAIN_only_input, "o1: it comes in there");
	routed();
	ports[0].why = MRIB_OUT_limit;
	is(EXPLAIN_limit, "limit of outputs");
	routed();
	ports[0].is_up = false;
	is(EXPLAIN_interface_down, "o1: it is down");
	routed();
	f.ttl = 10;
	ports[0].ttl_threshold = 10;
	is(EXPLAIN_ttl, "o1: its threshold");
	f.ttl = 11;
	is(EXPLAIN_forwarded, "1 output");
	routed();
	unwanted();
	is(EXPLAIN_no_receiver, "nobody wants 239.1.1.1");
	f.is_refused = true;
	is(EXPLAIN_limit, "multicast routing table");
	f.is_refused = false;
	output(0, "o1")->is_full = true;
	is(EXPLAIN_limit, "the limit of groups is reached on o1");
}

static void by_pim(void **state)
{
	(void)state;
	pim();
	ports[0].is_dr = false;
	ports[0].dr = ip("198.18.1.9");
	ports[0].why = MRIB_OUT_unwanted;
	is(EXPLAIN_not_dr, "o1: hosts want it, and 198.18.1.9 is the DR");
	pim();
	ports[0].is_assert_lost = true;
	ports[0].winner = ip("198.18.1.8");
	ports[0].why = MRIB_OUT_blocked;
	is(EXPLAIN_assert_lost, "o1: 198.18.1.8 has won the assert");
	pim();
	ports[0].is_wanted = false;
	ports[0].is_joined = ports[0].is_pruned = true;
	ports[0].why = MRIB_OUT_unwanted;
	is(EXPLAIN_pruned, "o1: who wants the group there has pruned");
	pim();
	ports[0].has_boundary = true;
	ports[0].has_out = false;
	is(EXPLAIN_boundary, "o1: a boundary");
	pim();
	f.pim.rp.net = 0;
	f.pim.upstream.net = 0;
	ports[0].has_out = false;
	f.has_route = false;
	f.rule = (struct explain_rule){ 0 };
	f.route_input[0] = '\0';
	is(EXPLAIN_no_rp, "239.1.1.1 has no RP");
	ports[0].has_out = f.has_route = true; /* … for the group, and nothing comes by it */
	is(EXPLAIN_no_rp, "239.1.1.1 has no RP");
	f.pim.is_source_connected = true;
	is(EXPLAIN_no_traffic, "in0");
	ports[0].has_out = false; /* the first packet makes a route */
	is(EXPLAIN_no_traffic, "in0");
	ports[0].is_dr = false;
	is(EXPLAIN_no_rp, "has no RP");
	ports[0].is_dr = ports[0].has_out = true;
	f.pim.is_source_connected = false;
	f.route.source = f.sg.source;
	is(EXPLAIN_no_traffic, "in0");
	unwanted();
	is(EXPLAIN_no_receiver, "nobody");
	f.pim.is_source_connected = true;
	is(EXPLAIN_no_rp, "has no RP");
	f.pim.is_ssm = true;
	is(EXPLAIN_no_receiver, "nobody");
}

static void by_registers(void **state)
{
	(void)state;
	pim();
	unwanted();
	f.pim.is_source_connected = true;
	f.pim.reg = EXPLAIN_REG_SENT;
	is(EXPLAIN_forwarded, "1 output");
	assert_true(has_step("register", EXPLAIN_PASSES, "sent to the RP 198.18.9.9"));
	f.pim.reg = EXPLAIN_REG_STOPPED;
	is(EXPLAIN_no_receiver, "nobody");
	assert_true(has_step("register", EXPLAIN_NOTES, "has stopped"));
	f.pim.reg = EXPLAIN_REG_NONE;
	f.pim.is_input_dr = false;
	is(EXPLAIN_not_dr, "198.18.0.3 is the DR on in0");
	pim();
	f.rule.packets = 0;
	f.pim.is_rp = true;
	f.pim.limited = 900;
	f.pim.limit = 100;
	is(EXPLAIN_rate_limited, "900 Registers of the source were more than the 100 a second");
	f.rule.packets = 4; /* it comes by its own tree */
	is(EXPLAIN_forwarded, "1 output");
	unwanted();
	is(EXPLAIN_rate_limited, "900");
}

/* What says most is the cause, and what else is wrong is said as well. */
static void of_several_the_first_counts(void **state)
{
	(void)state;
	routed();
	f.ttl = 1;
	f.has_boundary = true;
	ports[0].why = MRIB_OUT_pruned;
	is(EXPLAIN_boundary, "boundary");
	assert_true(has_step("ttl", EXPLAIN_STOPS, "TTL 1"));
	assert_true(has_step("output", EXPLAIN_STOPS, "pruned"));
	pim();
	ports[0].is_dr = false;
	ports[0].why = MRIB_OUT_unwanted;
	*output(1, "o2") = ports[0];
	ports[1].is_assert_lost = true;
	strcpy(ports[1].name, "o2");
	is(EXPLAIN_assert_lost, "o2");
	ports[0].is_dr = true;
	ports[0].why = MRIB_OUT_forwards;
	is(EXPLAIN_forwarded, "1 output");
	assert_true(has_step("output", EXPLAIN_NOTES, "not sent to o2"));
}

static void many_outputs_are_counted(void **state)
{
	static struct explain_port many[512];

	(void)state;
	routed();
	for (unsigned i = 0; i < 512; i++)
		many[i] = ports[0];
	f.ports = many;
	f.n_ports = 512;
	is(EXPLAIN_forwarded, "512 outputs");
	assert_true(e.n_steps < EXPLAIN_STEPS_MAX);
	assert_true(has_step("output", EXPLAIN_NOTES, "448 more"));
	assert_true(has_step("counters", EXPLAIN_NOTES, "7 copies were sent"));
}

static void every_cause_was_met(void **state)
{
	(void)state;
	for (enum explain_cause c = 0; c < EXPLAIN__COUNT; c++)
		if (!is_seen[c])
			fail_msg("%s", explain_cause_name(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forwarded),
		cmocka_unit_test(what_is_never_forwarded),
		cmocka_unit_test(by_a_rule),
		cmocka_unit_test(in_the_data_path),
		cmocka_unit_test(by_the_unicast_routes),
		cmocka_unit_test(by_the_router),
		cmocka_unit_test(by_pim),
		cmocka_unit_test(by_registers),
		cmocka_unit_test(of_several_the_first_counts),
		cmocka_unit_test(many_outputs_are_counted),
		cmocka_unit_test(every_cause_was_met),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
