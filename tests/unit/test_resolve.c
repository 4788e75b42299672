/* SPDX-License-Identifier: MIT */
/* Rules against interfaces: each state with its reason, and every field that a worker gets. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/resolve.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TTL	 5 /* the configured multicast_ttl */

static struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

/* The world: some interfaces by name. */
static const struct named_port {
	const char *name, *address;
	struct port_view view;
} world[] = {
	{ "in0", NULL, { .ifindex = 2, .mtu = 1500, .is_up = true, .is_ethernet = true } },
	{ "o1",
	  "198.18.2.1",
	  { .ifindex = 3,
	    .mtu = 1400,
	    .mac = { 2, 0, 0, 0, 0, 3 },
	    .is_up = true,
	    .is_ethernet = true,
	    .has_qdisc = true } },
	{ "down0", "198.18.4.1", { .ifindex = 4, .mtu = 1500, .is_ethernet = true } },
	{ "bare0", NULL, { .ifindex = 5, .mtu = 1500, .is_up = true, .is_ethernet = true } },
	{ "tun0", "198.18.5.1", { .ifindex = 6, .mtu = 1420, .is_up = true } },
	{ "lo",
	  "127.0.0.1",
	  { .ifindex = 1, .mtu = 65536, .is_up = true, .is_loopback = true, .has_udp_gso = true } },
};

static bool find(const void *arg, const char *name, struct port_view *out)
{
	assert_ptr_equal(arg, world);
	for (size_t i = 0; i < COUNT(world); i++)
		if (!strcmp(world[i].name, name)) {
			*out = world[i].view;
			if (world[i].address)
				out->address = ip(world[i].address);
			return true;
		}
	return false;
}

/* in0 239.1.1.1:5001 → o1 239.2.2.2:5002, and what it resolves to. */
struct sample {
	struct rule r;
	struct rule_output o[3];
	struct resolved_rule to;
	struct resolved_output out[3];
};

static void sample_init(struct sample *s)
{
	*s = (struct sample){ .r = { .id = "one",
				     .interface = "in0",
				     .port = 5001,
				     .protocol = IPPROTO_UDP,
				     .n_outputs = 1 } };
	s->r.group = ip("239.1.1.1");
	s->r.outputs = s->o;
	s->to.outputs = s->out;
	for (size_t i = 0; i < COUNT(s->o); i++) {
		strcpy(s->o[i].interface, "o1");
		s->o[i].address = ip("239.2.2.2");
		s->o[i].port = 5002;
		s->o[i].dscp = -1;
	}
}

static void resolve(struct sample *s)
{
	memset(s->out, 0xee, sizeof(s->out)); /* nothing may be left to chance */
	memset(&s->to.key, 0xee, sizeof(s->to.key));
	memset(s->to.reason, 'x', sizeof(s->to.reason) - 1);
	resolve_rule(&s->r, TTL, find, world, &s->to);
}

static void use_output(struct sample *s, const char *interface, const char *address)
{
	strcpy(s->o[0].interface, interface);
	s->o[0].address = ip(address);
}

static void a_rule_with_everything_there_is_active(void **state)
{
	static const uint8_t mac[6] = { 0x01, 0x00, 0x5e, 0x02, 0x02, 0x02 };
	struct sample s;

	sample_init(&s);
	s.r.source = ip("198.18.0.1");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_string_equal(s.to.reason, "");
	assert_int_equal(s.to.n_outputs, 1);
	assert_int_equal(s.to.key.ifindex, 2);
	assert_int_equal(s.to.key.port, 5001);
	assert_int_equal(s.to.key.protocol, IPPROTO_UDP);
	assert_int_equal(s.to.key.pad, 0);
	assert_memory_equal(s.to.key.group, ((uint8_t[]){ 239, 1, 1, 1 }), 4);
	assert_memory_equal(s.to.key.source, ((uint8_t[]){ 198, 18, 0, 1 }), 4);
	assert_int_equal(s.out[0].state, RESOLVE_ACTIVE);
	assert_string_equal(s.out[0].reason, "");
	assert_int_equal(s.out[0].ifindex, 3);
	assert_int_equal(s.out[0].literal.net, 0);
	assert_int_equal(s.out[0].wire.kind, EGRESS_PACKET);
	assert_int_equal(s.out[0].wire.group, ip("239.2.2.2").net);
	assert_int_equal(s.out[0].wire.source, ip("198.18.2.1").net);
	assert_int_equal(s.out[0].wire.port, 5002);
	assert_int_equal(s.out[0].wire.mtu, 1400);
	assert_int_equal(s.out[0].wire.ttl, TTL);
	assert_int_equal(s.out[0].wire.dscp, -1);
	assert_int_equal(s.out[0].wire.is_up, 1);
	assert_int_equal(s.out[0].wire.can_segment, 1);
	assert_int_equal(s.out[0].wire.keeps_source, 0);
	assert_memory_equal(s.out[0].wire.dst_mac, mac, 6);
	assert_memory_equal(s.out[0].wire.src_mac, world[1].view.mac, 6);
}

/* RFC 1112 §6.4: the low 23 bits. */
static void group_addresses_lose_five_bits_in_the_mac(void **state)
{
	static const uint8_t mac[6] = { 0x01, 0x00, 0x5e, 0x7f, 0xff, 0xfe };
	struct sample s;

	sample_init(&s);
	use_output(&s, "o1", "239.255.255.254");
	resolve(&s);
	assert_memory_equal(s.out[0].wire.dst_mac, mac, 6);
}

static void what_an_output_leaves_out_is_the_inputs(void **state)
{
	struct sample s;

	sample_init(&s);
	s.o[0].address.net = 0;
	s.o[0].port = 0;
	resolve(&s);
	assert_int_equal(s.out[0].wire.group, ip("239.1.1.1").net);
	assert_int_equal(s.out[0].wire.port, 5001);
	s.r.port = 0; /* any port: kept */
	resolve(&s);
	assert_int_equal(s.out[0].wire.port, 0);
	assert_int_equal(s.to.key.port, 0);
}

static void an_input_that_is_missing_is_waited_for(void **state)
{
	struct sample s;

	sample_init(&s);
	strcpy(s.r.interface, "later0");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_UNRESOLVED);
	assert_string_equal(s.to.reason, "later0 does not exist yet");
	assert_int_equal(s.to.key.ifindex, 0);
	assert_int_equal(s.out[0].state, RESOLVE_ACTIVE);
}

static void an_input_without_ethernet_has_failed(void **state)
{
	struct sample s;

	sample_init(&s);
	strcpy(s.r.interface, "tun0");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_FAILED);
	assert_string_equal(s.to.reason,
			    "tun0 has no Ethernet header; input must be an Ethernet interface");
	strcpy(s.r.interface, "lo");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
}

/* It will come up by itself; until then nothing arrives. */
static void an_input_that_is_down_is_active_and_says_so(void **state)
{
	struct sample s;

	sample_init(&s);
	strcpy(s.r.interface, "down0");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_string_equal(s.to.reason, "down0 is down");
	assert_int_equal(s.to.key.ifindex, 4);
}

static void a_missing_output_does_not_stop_the_others(void **state)
{
	struct sample s;

	sample_init(&s);
	s.r.n_outputs = 3;
	strcpy(s.o[0].interface, "later0");
	strcpy(s.o[2].interface, "later1");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_string_equal(s.to.reason, "");
	assert_int_equal(s.out[0].state, RESOLVE_UNRESOLVED);
	assert_string_equal(s.out[0].reason, "later0 does not exist yet");
	assert_int_equal(s.out[0].ifindex, 0);
	assert_int_equal(s.out[0].wire.is_up, 0);
	assert_int_equal(s.out[1].state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[2].state, RESOLVE_UNRESOLVED);
	strcpy(s.o[1].interface, "later2");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_UNRESOLVED);
	assert_string_equal(s.to.reason, "no output can be used: later0 does not exist yet");
}

static void a_register_goes_by_routes(void **state)
{
	struct sample s;

	sample_init(&s);
	s.r.kind = RULE_ROUTE;
	s.r.n_outputs = 2;
	s.o[1] = (struct rule_output){ .register_to = ip("198.18.9.9"),
				       .register_from = ip("198.18.2.1") };
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[1].state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[1].wire.kind, EGRESS_REGISTER);
	assert_int_equal(s.out[1].wire.group, ip("198.18.9.9").net);
	assert_int_equal(s.out[1].literal.net, ip("198.18.2.1").net);
	assert_int_equal(s.out[1].ifindex, 0);
	assert_int_equal(s.out[1].wire.ttl, 64);
	assert_int_equal(s.out[1].wire.can_segment, 0);
	assert_int_equal(s.out[1].wire.is_up, 1);
}

/* It drops: else its source would be forwarded as the group is. */
static void a_route_is_active_without_outputs(void **state)
{
	struct sample s;

	sample_init(&s);
	s.r.kind = RULE_ROUTE;
	strcpy(s.o[0].interface, "later0");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[0].state, RESOLVE_UNRESOLVED);
	s.r.n_outputs = 0;
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	assert_string_equal(s.to.reason, "");
	strcpy(s.r.interface, "later1");
	resolve(&s);
	assert_int_equal(s.to.state, RESOLVE_UNRESOLVED);
	assert_string_equal(s.to.reason, "later1 does not exist yet");
}

static void a_group_needs_an_address_to_send_from(void **state)
{
	struct sample s;

	sample_init(&s);
	strcpy(s.o[0].interface, "bare0");
	resolve(&s);
	assert_int_equal(s.out[0].state, RESOLVE_UNRESOLVED);
	assert_string_equal(s.out[0].reason, "bare0 has no IPv4 address to send from");
	assert_int_equal(s.out[0].wire.is_up, 0);
	assert_int_equal(s.to.state, RESOLVE_UNRESOLVED);
	s.o[0].source_policy = SOURCE_PRESERVE; /* or somebody else's */
	resolve(&s);
	assert_int_equal(s.out[0].state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[0].wire.keeps_source, 1);
	assert_int_equal(s.out[0].wire.source, 0);
	s.o[0].source_policy = SOURCE_LITERAL;
	s.o[0].source = ip("198.18.7.7");
	resolve(&s);
	assert_int_equal(s.out[0].state, RESOLVE_ACTIVE);
	assert_int_equal(s.out[0].wire.keeps_source, 0);
	assert_int_equal(s.out[0].wire.source, ip("198.18.7.7").net);
	assert_int_equal(s.out[0].literal.net, 0); /* no socket is bound for it */
}

/* Copies are due and counted as dropped for `down`. */
static void an_output_that_is_down_is_active_and_says_so(void **state)
{
	static const char *const to[] = { "239.2.2.2", "198.18.9.9" };
	struct sample s;

	for (size_t i = 0; i < COUNT(to); i++) {
		sample_init(&s);
		use_output(&s, "down0", to[i]);
		resolve(&s);
		assert_int_equal(s.out[0].state, RESOLVE_ACTIVE);
		assert_string_equal(s.out[0].reason, "down0 is down");
		assert_int_equal(s.out[0].wire.is_up, 0);
		assert_int_equal(s.to.state, RESOLVE_ACTIVE);
	}
}

static void the_kind_follows_from_target_and_policies(void **state)
{
	static const struct {
		const char *interface, *address;
		uint8_t protocol, policy, kind;
		bool can_segment;
	} cases[] = {
		{ "o1", "239.2.2.2", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_PACKET, true },
		{ "o1", "239.2.2.2", IPPROTO_UDP, SOURCE_PRESERVE, EGRESS_PACKET, true },
		{ "o1", "239.2.2.2", IPPROTO_ESP, SOURCE_INTERFACE, EGRESS_PACKET, true },
		{ "lo", "239.2.2.2", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_PACKET, true },
		{ "tun0", "239.2.2.2", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_RAW, false },
		{ "tun0", "239.2.2.2", IPPROTO_UDP, SOURCE_PRESERVE, EGRESS_RAW, false },
		{ "o1", "198.18.9.9", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_UDP, true },
		{ "o1", "198.18.9.9", IPPROTO_UDP, SOURCE_LITERAL, EGRESS_UDP, true },
		{ "o1", "198.18.9.9", IPPROTO_UDP, SOURCE_PRESERVE, EGRESS_RAW, false },
		{ "o1", "198.18.9.9", IPPROTO_ESP, SOURCE_INTERFACE, EGRESS_RAW, false },
		{ "bare0", "198.18.9.9", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_UDP, true },
		{ "", "198.18.9.9", IPPROTO_UDP, SOURCE_INTERFACE, EGRESS_UDP, true },
		{ "", "198.18.9.9", IPPROTO_UDP, SOURCE_LITERAL, EGRESS_UDP, true },
		{ "", "198.18.9.9", IPPROTO_UDP, SOURCE_PRESERVE, EGRESS_RAW, false },
		{ "", "198.18.9.9", IPPROTO_ESP, SOURCE_LITERAL, EGRESS_RAW, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sample s;

		sample_init(&s);
		use_output(&s, cases[i].interface, cases[i].address);
		s.r.protocol = cases[i].protocol;
		s.o[0].source_policy = cases[i].policy;
		s.o[0].source = ip("198.18.7.7");
		resolve(&s);
		if (s.out[0].state != RESOLVE_ACTIVE || s.out[0].wire.kind != cases[i].kind ||
		    s.out[0].wire.can_segment != cases[i].can_segment)
			fail_msg("case %zu: state %d, kind %u, can_segment %u", i, s.out[0].state,
				 s.out[0].wire.kind, s.out[0].wire.can_segment);
	}
}

static void a_literal_source_is_what_the_socket_is_bound_to(void **state)
{
	struct sample s;

	sample_init(&s);
	use_output(&s, "", "198.18.9.9");
	s.o[0].source_policy = SOURCE_LITERAL;
	s.o[0].source = ip("198.18.7.7");
	resolve(&s);
	assert_int_equal(s.out[0].literal.net, ip("198.18.7.7").net);
	assert_int_equal(s.out[0].wire.source, ip("198.18.7.7").net);
	assert_int_equal(s.out[0].ifindex, 0);
	s.o[0].source_policy = SOURCE_PRESERVE;
	resolve(&s);
	assert_int_equal(s.out[0].literal.net, 0);
	assert_int_equal(s.out[0].wire.keeps_source, 1);
}

static void the_ttl_follows_its_policy(void **state)
{
	struct sample s;

	sample_init(&s);
	resolve(&s);
	assert_int_equal(s.out[0].wire.ttl, TTL);
	s.o[0].ttl_policy = TTL_FIXED;
	s.o[0].ttl = 255;
	resolve(&s);
	assert_int_equal(s.out[0].wire.ttl, 255);
	s.o[0].ttl_policy = TTL_DECREMENT;
	resolve(&s);
	assert_int_equal(s.out[0].wire.ttl, 0);
	use_output(&s, "", "198.18.9.9");
	resolve(&s);
	assert_int_equal(s.out[0].wire.ttl, 0);
	s.o[0].ttl_policy = TTL_DEFAULT;
	resolve(&s);
	assert_int_equal(s.out[0].wire.ttl, 64);
	s.o[0].dscp = 46;
	resolve(&s);
	assert_int_equal(s.out[0].wire.dscp, 46);
}

/* What a device without queue, or one that segments itself, says of a send. */
static void drops_are_the_devices_where_it_segments_unseen(void **state)
{
	static const struct {
		const char *interface;
		bool consumes;
	} cases[] = { { "o1", false }, { "down0", true }, { "lo", false } };
	struct sample s;

	for (size_t i = 0; i < COUNT(cases); i++) {
		sample_init(&s);
		use_output(&s, cases[i].interface, "239.2.2.2");
		resolve(&s);
		assert_int_equal(s.out[0].wire.drops_consumed, cases[i].consumes);
	}
	use_output(&s, "", "198.18.9.9");
	resolve(&s);
	assert_int_equal(s.out[0].wire.drops_consumed, 0);
}

/* The field has 16 bits, as IP's own length has; 0 means that nobody knows. */
static void the_mtu_is_the_interfaces_or_unknown(void **state)
{
	struct sample s;

	sample_init(&s);
	use_output(&s, "lo", "239.2.2.2");
	resolve(&s);
	assert_int_equal(s.out[0].wire.mtu, 65535);
	use_output(&s, "", "198.18.9.9");
	resolve(&s);
	assert_int_equal(s.out[0].wire.mtu, 0);
	assert_int_equal(s.out[0].wire.is_up, 1);
}

static void states_have_names(void **state)
{
	assert_string_equal(resolve_state_name(RESOLVE_ACTIVE), "active");
	assert_string_equal(resolve_state_name(RESOLVE_UNRESOLVED), "unresolved");
	assert_string_equal(resolve_state_name(RESOLVE_FAILED), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_with_everything_there_is_active),
		cmocka_unit_test(group_addresses_lose_five_bits_in_the_mac),
		cmocka_unit_test(what_an_output_leaves_out_is_the_inputs),
		cmocka_unit_test(an_input_that_is_missing_is_waited_for),
		cmocka_unit_test(an_input_without_ethernet_has_failed),
		cmocka_unit_test(an_input_that_is_down_is_active_and_says_so),
		cmocka_unit_test(a_missing_output_does_not_stop_the_others),
		cmocka_unit_test(a_route_is_active_without_outputs),
		cmocka_unit_test(a_register_goes_by_routes),
		cmocka_unit_test(a_group_needs_an_address_to_send_from),
		cmocka_unit_test(an_output_that_is_down_is_active_and_says_so),
		cmocka_unit_test(the_kind_follows_from_target_and_policies),
		cmocka_unit_test(a_literal_source_is_what_the_socket_is_bound_to),
		cmocka_unit_test(the_ttl_follows_its_policy),
		cmocka_unit_test(drops_are_the_devices_where_it_segments_unseen),
		cmocka_unit_test(the_mtu_is_the_interfaces_or_unknown),
		cmocka_unit_test(states_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
