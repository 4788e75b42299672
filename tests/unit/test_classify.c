/* SPDX-License-Identifier: MIT */
/*
 * include/mcr/classify.h as plain C: each verdict that it can reach, and that no cut or lie of a
 * frame makes it read beyond the end. Frames end where their block of memory ends, for ASAN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mcr/classify.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define PAYLOAD	  10
#define FRAME_LEN (MCR_HDR_UDP + PAYLOAD)

/* 198.18.0.1:4000 → 239.1.1.1:5001, TTL 8, DF, TOS 0xb8, ten bytes of payload. */
static const uint8_t good[FRAME_LEN] = {
	0x01, 0x00, 0x5e, 0x01, 0x01, 0x01, 0x02, 0,	0,    0,    0, 1,  0x08, 0x00,
	0x45, 0xb8, 0,	  38,	0x12, 0x34, 0x40, 0,	8,    17,   0, 0,  198,	 18,
	0,    1,    239,  1,	1,    1,    0x0f, 0xa0, 0x13, 0x89, 0, 18, 0,	 0,
};

enum {
	AT_TYPE = 12,
	AT_IHL = 14,
	AT_LEN = 16,
	AT_FRAG = 20,
	AT_TTL = 22,
	AT_PROTO = 23,
	AT_SOURCE = 26,
	AT_DEST = 30,
	AT_UDP_LEN = 38,
};

/*
 * Both halves on a copy at an odd address whose last byte is the last of its block. `claimed` is
 * frame_len.
 */
static int classify_claiming(const uint8_t *frame, size_t len, uint32_t claimed,
			     struct mcr_flow *flow)
{
	uint8_t *block = malloc(len + 1), *copy = block + 1;
	int verdict;

	assert_non_null(block);
	memcpy(copy, frame, len);
	memset(flow, 0, sizeof(*flow));
	verdict = mcr_classify_l3(copy, copy + len, flow);
	if (verdict == MCR_V__COUNT)
		verdict = mcr_classify_l4(copy, copy + len, claimed, flow);
	free(block);
	return verdict;
}

static int classify(const uint8_t *frame, size_t len)
{
	struct mcr_flow flow;

	return classify_claiming(frame, len, (uint32_t)len, &flow);
}

static void a_good_frame_is_read_whole(void **state)
{
	struct mcr_flow flow;

	assert_int_equal(classify_claiming(good, FRAME_LEN, FRAME_LEN, &flow), MCR_V__COUNT);
	assert_int_equal(flow.group, htonl(0xef010101));
	assert_int_equal(flow.source, htonl(0xc6120001));
	assert_int_equal(flow.dport, htons(5001));
	assert_int_equal(flow.sport, htons(4000));
	assert_int_equal(flow.ip_len, 38);
	assert_int_equal(flow.protocol, 17);
	assert_int_equal(flow.ttl, 8);
	assert_int_equal(flow.tos, 0xb8);
	assert_int_equal(flow.df, 1);
}

/* A good frame with up to four bytes changed. */
struct change {
	const char *what;
	unsigned at;
	uint8_t bytes[4];
	unsigned n;
	int verdict;
};

static const struct change changes[] = {
	{ "ARP", AT_TYPE, { 0x08, 0x06 }, 2, MCR_V_not_ip4 },
	{ "IPv6", AT_TYPE, { 0x86, 0xdd }, 2, MCR_V_not_ip4 },
	{ "802.3 length", AT_TYPE, { 0, 38 }, 2, MCR_V_not_ip4 },
	{ "802.1Q", AT_TYPE, { 0x81, 0x00 }, 2, MCR_V_vlan },
	{ "802.1ad", AT_TYPE, { 0x88, 0xa8 }, 2, MCR_V_vlan },
	{ "IP version 6", AT_IHL, { 0x65 }, 1, MCR_V_malformed },
	{ "IP version 0", AT_IHL, { 0x05 }, 1, MCR_V_malformed },
	{ "header of 16 bytes", AT_IHL, { 0x44 }, 1, MCR_V_malformed },
	{ "header of none", AT_IHL, { 0x40 }, 1, MCR_V_malformed },
	{ "IGMP", AT_PROTO, { 2 }, 1, MCR_V_control },
	{ "PIM", AT_PROTO, { 103 }, 1, MCR_V_control },
	{ "to 224.0.0.0", AT_DEST, { 224, 0, 0, 0 }, 4, MCR_V_control },
	{ "to 224.0.0.251", AT_DEST, { 224, 0, 0, 251 }, 4, MCR_V_control },
	{ "to 224.0.0.255", AT_DEST, { 224, 0, 0, 255 }, 4, MCR_V_control },
	{ "to 224.0.1.0", AT_DEST, { 224, 0, 1, 0 }, 4, MCR_V__COUNT },
	{ "to unicast", AT_DEST, { 198, 18, 9, 9 }, 4, MCR_V__COUNT },
	{ "TCP", AT_PROTO, { 6 }, 1, MCR_V_not_relayed },
	{ "ICMP", AT_PROTO, { 1 }, 1, MCR_V_not_relayed },
	{ "UDP-Lite", AT_PROTO, { 136 }, 1, MCR_V_not_relayed },
	{ "router alert", AT_IHL, { 0x46 }, 1, MCR_V_ip_options },
	{ "all options", AT_IHL, { 0x4f }, 1, MCR_V_ip_options },
	{ "total length 0", AT_LEN, { 0, 0 }, 2, MCR_V_malformed },
	{ "total length 19", AT_LEN, { 0, 19 }, 2, MCR_V_malformed },
	{ "total length 20", AT_LEN, { 0, 20 }, 2, MCR_V_malformed },
	{ "total length one short", AT_LEN, { 0, 37 }, 2, MCR_V_malformed },
	{ "total length one long", AT_LEN, { 0, 39 }, 2, MCR_V_malformed },
	{ "total length 65535", AT_LEN, { 255, 255 }, 2, MCR_V_malformed },
	{ "more fragments", AT_FRAG, { 0x20, 0 }, 2, MCR_V_fragment },
	{ "a later fragment", AT_FRAG, { 0x00, 1 }, 2, MCR_V_fragment },
	{ "offset in the high byte", AT_FRAG, { 0x10, 0 }, 2, MCR_V_fragment },
	{ "the reserved bit alone", AT_FRAG, { 0x80, 0 }, 2, MCR_V__COUNT },
	{ "from 0.0.0.0", AT_SOURCE, { 0, 0, 0, 0 }, 4, MCR_V_bad_source },
	{ "from 0.1.2.3", AT_SOURCE, { 0, 1, 2, 3 }, 4, MCR_V_bad_source },
	{ "from 127.0.0.1", AT_SOURCE, { 127, 0, 0, 1 }, 4, MCR_V_bad_source },
	{ "from a group", AT_SOURCE, { 239, 1, 1, 1 }, 4, MCR_V_bad_source },
	{ "from 224.0.0.0", AT_SOURCE, { 224, 0, 0, 0 }, 4, MCR_V_bad_source },
	{ "from class E", AT_SOURCE, { 240, 0, 0, 1 }, 4, MCR_V_bad_source },
	{ "from broadcast", AT_SOURCE, { 255, 255, 255, 255 }, 4, MCR_V_bad_source },
	{ "from 223.255.255.255", AT_SOURCE, { 223, 255, 255, 255 }, 4, MCR_V__COUNT },
	{ "from 1.0.0.0", AT_SOURCE, { 1, 0, 0, 0 }, 4, MCR_V__COUNT },
	{ "TTL 0 is the rule's business", AT_TTL, { 0 }, 1, MCR_V__COUNT },
	{ "UDP length 0", AT_UDP_LEN, { 0, 0 }, 2, MCR_V_malformed },
	{ "UDP length 7", AT_UDP_LEN, { 0, 7 }, 2, MCR_V_malformed },
	{ "UDP length one short", AT_UDP_LEN, { 0, 17 }, 2, MCR_V_malformed },
	{ "UDP length one long", AT_UDP_LEN, { 0, 19 }, 2, MCR_V_malformed },
	{ "UDP length 65535", AT_UDP_LEN, { 255, 255 }, 2, MCR_V_malformed },
	{ "ESP", AT_PROTO, { 50 }, 1, MCR_V__COUNT },
};

static void each_change_meets_its_verdict(void **state)
{
	for (size_t i = 0; i < COUNT(changes); i++) {
		uint8_t frame[FRAME_LEN];

		memcpy(frame, good, sizeof(frame));
		memcpy(frame + changes[i].at, changes[i].bytes, changes[i].n);
		if (classify(frame, sizeof(frame)) != changes[i].verdict)
			fail_msg("%s: verdict %d, not %d", changes[i].what,
				 classify(frame, sizeof(frame)), changes[i].verdict);
	}
}

/* The order of checks: what wins when several verdicts would be true. */
static void the_first_reason_wins(void **state)
{
	uint8_t frame[FRAME_LEN];

	memcpy(frame, good, sizeof(frame));
	memset(frame + AT_SOURCE, 0, 4);
	frame[AT_FRAG] = 0x20;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V_fragment);
	frame[AT_LEN] = 0xff;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V_malformed);
	frame[AT_IHL] = 0x46;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V_ip_options);
	frame[AT_PROTO] = 2;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V_control);
	frame[AT_TYPE] = 0x81;
	frame[AT_TYPE + 1] = 0;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V_vlan);
}

static void esp_has_no_ports(void **state)
{
	uint8_t frame[FRAME_LEN];
	struct mcr_flow flow;

	memcpy(frame, good, sizeof(frame));
	frame[AT_PROTO] = 50;
	assert_int_equal(classify_claiming(frame, FRAME_LEN, FRAME_LEN, &flow), MCR_V__COUNT);
	assert_int_equal(flow.protocol, 50);
	assert_int_equal(flow.dport, 0);
	assert_int_equal(flow.sport, 0);
	/* A datagram that is an IP header alone is still one for ESP. */
	frame[AT_LEN + 1] = 20;
	assert_int_equal(classify(frame, MCR_HDR_IP), MCR_V__COUNT);
}

/* Ethernet pads short frames; the IP header knows the true length. */
static void padding_is_not_payload(void **state)
{
	uint8_t frame[64] = { 0 };
	struct mcr_flow flow;

	memcpy(frame, good, FRAME_LEN);
	assert_int_equal(classify_claiming(frame, sizeof(frame), sizeof(frame), &flow),
			 MCR_V__COUNT);
	assert_int_equal(flow.ip_len, 38);
}

static void an_empty_datagram_is_relayed(void **state)
{
	uint8_t frame[MCR_HDR_UDP];

	memcpy(frame, good, sizeof(frame));
	frame[AT_LEN + 1] = 28;
	frame[AT_UDP_LEN + 1] = 8;
	assert_int_equal(classify(frame, sizeof(frame)), MCR_V__COUNT);
}

static void each_cut_of_a_frame_has_a_verdict(void **state)
{
	for (size_t len = 0; len < FRAME_LEN; len++) {
		int wanted = len < ETH_HLEN ? MCR_V_not_ip4 : MCR_V_malformed;

		assert_int_equal(classify(good, len), wanted);
	}
}

/* Headers in the first buffer, the rest elsewhere: jumbo frames, and what a filter is shown. */
static void headers_alone_suffice_when_the_length_is_known(void **state)
{
	struct mcr_flow flow;
	uint8_t frame[MCR_HDR_UDP];

	assert_int_equal(classify_claiming(good, MCR_HDR_UDP, FRAME_LEN, &flow), MCR_V__COUNT);
	assert_int_equal(classify_claiming(good, MCR_HDR_UDP - 1, FRAME_LEN, &flow),
			 MCR_V_malformed);
	memcpy(frame, good, sizeof(frame));
	frame[AT_LEN] = 0x23, frame[AT_LEN + 1] = 0x14;		/* 8980 */
	frame[AT_UDP_LEN] = 0x23, frame[AT_UDP_LEN + 1] = 0x00; /* 8960 */
	assert_int_equal(classify_claiming(frame, sizeof(frame), 8994, &flow), MCR_V__COUNT);
	assert_int_equal(flow.ip_len, 8980);
	assert_int_equal(classify_claiming(frame, sizeof(frame), 8993, &flow), MCR_V_malformed);
}

/* Every value of every header byte, at every length: always a verdict, never a read too far. */
static void no_byte_leads_beyond_the_end(void **state)
{
	for (unsigned at = AT_TYPE; at < MCR_HDR_UDP; at++)
		for (unsigned value = 0; value < 256; value++) {
			uint8_t frame[FRAME_LEN];
			static const size_t lens[] = { 14, 33, 34, 35, 41, 42, FRAME_LEN };

			memcpy(frame, good, sizeof(frame));
			frame[at] = (uint8_t)value;
			for (size_t i = 0; i < COUNT(lens); i++) {
				int verdict = classify(frame, lens[i]);

				assert_true(verdict >= 0 && verdict <= MCR_V__COUNT);
				/* Nothing that is cut short may be relayed. */
				assert_true(verdict != MCR_V__COUNT || lens[i] == FRAME_LEN);
			}
		}
}

static void unicast_is_told_from_the_rest(void **state)
{
	static const struct {
		uint32_t addr;
		int is_unicast;
	} cases[] = {
		{ 0x00000000, 0 }, { 0x00ffffff, 0 }, { 0x01000000, 1 }, { 0x7effffff, 1 },
		{ 0x7f000000, 0 }, { 0x7fffffff, 0 }, { 0x80000000, 1 }, { 0xc6120001, 1 },
		{ 0xdfffffff, 1 }, { 0xe0000000, 0 }, { 0xefffffff, 0 }, { 0xf0000000, 0 },
		{ 0xffffffff, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(!!mcr_is_unicast(htonl(cases[i].addr)), cases[i].is_unicast);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_frame_is_read_whole),
		cmocka_unit_test(each_change_meets_its_verdict),
		cmocka_unit_test(the_first_reason_wins),
		cmocka_unit_test(esp_has_no_ports),
		cmocka_unit_test(padding_is_not_payload),
		cmocka_unit_test(an_empty_datagram_is_relayed),
		cmocka_unit_test(each_cut_of_a_frame_has_a_verdict),
		cmocka_unit_test(headers_alone_suffice_when_the_length_is_known),
		cmocka_unit_test(no_byte_leads_beyond_the_end),
		cmocka_unit_test(unicast_is_told_from_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
