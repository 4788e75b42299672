/* SPDX-License-Identifier: MIT */
/*
 * Headers of copies: every byte against one written independently of the code under test, for all
 * combinations of an output's policies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "worker/header.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PAYLOAD	 333
#define GUARD	 0xee

static const uint8_t dst_mac[6] = { 0x01, 0x00, 0x5e, 0x02, 0x02, 0x02 };
static const uint8_t src_mac[6] = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee };
static uint8_t payload[PAYLOAD];

/* A frame, the run that begins with it, and an output. */
struct sample {
	struct packet in;
	uint8_t frame[1 + AT_PAYLOAD + PAYLOAD]; /* from 1 on: at an odd address */
	struct run run;
	struct wm_output out;
};

static void sample_init(struct sample *s, const struct packet *in)
{
	*s = (struct sample){ .in = *in };
	packet_write(s->frame + 1, in, payload, PAYLOAD);
	s->run = (struct run){
		.flow = {
			.group = htonl(in->dest),
			.source = htonl(in->source),
			.sport = htons(in->sport),
			.dport = htons(in->dport),
			.protocol = in->protocol,
			.ttl = in->ttl,
			.tos = in->tos,
			.df = in->df,
		},
		.head = s->frame + 1,
		.datagrams = 1,
		.checksum = in->checksum == PACKET_FULL	   ? FRAME_CSUM_FULL :
			    in->checksum == PACKET_PARTIAL ? FRAME_CSUM_PARTIAL :
							     FRAME_CSUM_NONE,
	};
	if (in->protocol != PACKET_UDP)
		s->run.flow.sport = s->run.flow.dport = 0;
	s->out = (struct wm_output){
		.ttl = 3,
		.dscp = -1,
		.group = htonl(IP(239, 2, 2, 2)),
		.source = htonl(IP(198, 18, 2, 1)),
	};
	memcpy(s->out.dst_mac, dst_mac, 6);
	memcpy(s->out.src_mac, src_mac, 6);
}

/* What the copy has to look like, by the words of the policies. */
static struct packet expected(const struct sample *s)
{
	struct packet p = s->in;

	memcpy(p.dst_mac, dst_mac, 6);
	memcpy(p.src_mac, src_mac, 6);
	p.dest = IP(239, 2, 2, 2);
	if (!s->out.keeps_source)
		p.source = IP(198, 18, 2, 1);
	if (s->out.port)
		p.dport = s->out.port;
	p.ttl = s->out.ttl ? s->out.ttl : (uint8_t)(s->in.ttl - 1);
	if (s->out.dscp >= 0)
		p.tos = (uint8_t)(s->out.dscp * 4 + s->in.tos % 4);
	if (p.checksum == PACKET_FULL)
		p.checksum = PACKET_PARTIAL; /* whoever sends it completes it */
	return p;
}

static void assert_copy(const struct sample *s)
{
	struct packet p = expected(s);
	uint8_t want[AT_PAYLOAD + PAYLOAD], at[1 + HEADER_MAX + 1];
	uint32_t len = p.protocol == PACKET_UDP ? AT_PAYLOAD : AT_UDP;

	packet_write(want, &p, payload, PAYLOAD);
	memset(at, GUARD, sizeof(at));
	assert_int_equal(header_frame(at + 1, &s->run, &s->out, PAYLOAD), len);
	assert_memory_equal(at + 1, want, len);
	assert_int_equal(at[0], GUARD);
	assert_int_equal(at[1 + len], GUARD);
	memset(at, GUARD, sizeof(at));
	assert_int_equal(header_ip(at + 1, &s->run, &s->out, PAYLOAD), len - AT_IP);
	assert_memory_equal(at + 1, want + AT_IP, len - AT_IP);
	assert_int_equal(at[0], GUARD);
	assert_int_equal(at[1 + len - AT_IP], GUARD);
}

/* The checksum by hand, over a datagram that is then whole. */
static void assert_raw(const struct sample *s)
{
	struct packet p = expected(s);
	uint8_t want[AT_PAYLOAD + PAYLOAD], at[HEADER_MAX];
	struct iovec pieces[2] = { { payload, 7 }, { payload + 7, PAYLOAD - 7 } };
	uint32_t len;

	p.checksum = s->in.checksum == PACKET_NONE ? PACKET_NONE : PACKET_FULL;
	packet_write(want, &p, payload, PAYLOAD);
	len = header_ip(at, &s->run, &s->out, PAYLOAD);
	header_raw_checksum(at, &s->run, frame_sum(pieces, 2));
	assert_memory_equal(at, want + AT_IP, len);
}

static void every_byte_is_as_the_policies_say(void **state)
{
	static const uint8_t ttls[] = { 0, 1, 64, 255 }, in_ttls[] = { 2, 3, 255 };
	static const int8_t dscps[] = { -1, 0, 1, 46, 63 };
	static const uint8_t toses[] = { 0, 1, 2, 0xb8, 0xbb, 0xff };
	static const uint16_t ports[] = { 0, 1, 5002, 65535 };

	for (int i = 0; i < 4 * 3 * 5 * 6 * 4 * 2 * 3 * 2; i++) {
		struct packet in = packet_sample();
		struct sample s;
		int n = i;

		in.df = n % 2;
		n /= 2;
		in.checksum = (uint8_t)(n % 3);
		n /= 3;
		in.ttl = in_ttls[n % 3];
		n /= 3;
		in.tos = toses[n % 6];
		n /= 6;
		sample_init(&s, &in);
		s.out.ttl = ttls[n % 4];
		n /= 4;
		s.out.dscp = dscps[n % 5];
		n /= 5;
		s.out.port = ports[n % 4];
		n /= 4;
		s.out.keeps_source = n % 2;
		assert_copy(&s);
		assert_raw(&s);
	}
}

static void esp_gets_an_ip_header_only(void **state)
{
	struct packet in = packet_sample();
	struct sample s;

	in.protocol = PACKET_ESP;
	in.checksum = PACKET_NONE;
	sample_init(&s, &in);
	s.out.port = 5002; /* means nothing here */
	assert_copy(&s);
	s.out.keeps_source = 1;
	s.out.ttl = 0;
	assert_copy(&s);
}

static void a_ttl_that_ends_is_zero(void **state)
{
	struct mcr_flow flow = { .ttl = 2 };
	struct wm_output out = { .ttl = 0 };

	assert_int_equal(header_ttl(&flow, &out), 1);
	flow.ttl = 1;
	assert_int_equal(header_ttl(&flow, &out), 0);
	flow.ttl = 0;
	assert_int_equal(header_ttl(&flow, &out), 0);
	out.ttl = 1; /* a fixed one does not care what came */
	assert_int_equal(header_ttl(&flow, &out), 1);
}

/* Only the upper six bits are anybody's choice. */
static void ecn_is_kept(void **state)
{
	for (unsigned tos = 0; tos < 256; tos++)
		for (int dscp = -1; dscp < 64; dscp++) {
			struct mcr_flow flow = { .tos = (uint8_t)tos };
			struct wm_output out = { .dscp = (int8_t)dscp };
			unsigned want = dscp < 0 ? tos : (unsigned)dscp * 4 + tos % 4;

			assert_int_equal(header_tos(&flow, &out), want);
		}
}

/* The headers of a segmented send count all of its bytes, as the kernel wants it. */
static void lengths_reach_to_the_largest_datagram(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 1472, 8972, 65507 };
	struct packet in = packet_sample();
	struct sample s;
	uint8_t at[HEADER_MAX], ip[20];

	sample_init(&s, &in);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		header_ip(at, &s.run, &s.out, sizes[i]);
		assert_int_equal(get16(at + 2), sizes[i] + 28);
		assert_int_equal(get16(at + 24), sizes[i] + 8);
		assert_int_equal(get16(at + 26), plain_pseudo(at, sizes[i] + 8));
		memcpy(ip, at, 20);
		packet_finish_ip(ip);
		assert_memory_equal(at, ip, 20);
	}
}

/* Where the sum comes out as 0xffff its complement would say that there is no checksum. */
static void a_raw_checksum_is_never_zero(void **state)
{
	struct packet in = packet_sample();
	struct sample s;
	uint8_t at[HEADER_MAX], two[2] = { 0, 0 };
	struct iovec piece = { two, 2 };

	sample_init(&s, &in);
	header_ip(at, &s.run, &s.out, 2);
	header_raw_checksum(at, &s.run, frame_sum(&piece, 1));
	put16(two, get16(at + 26)); /* makes the rest of the sum 0xffff */
	header_ip(at, &s.run, &s.out, 2);
	header_raw_checksum(at, &s.run, frame_sum(&piece, 1));
	assert_int_equal(get16(at + 26), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_as_the_policies_say),
		cmocka_unit_test(esp_gets_an_ip_header_only),
		cmocka_unit_test(a_ttl_that_ends_is_zero),
		cmocka_unit_test(ecn_is_kept),
		cmocka_unit_test(lengths_reach_to_the_largest_datagram),
		cmocka_unit_test(a_raw_checksum_is_never_zero),
	};
	uint64_t fixed = 1;

	random_fill(&fixed, payload, sizeof(payload));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
