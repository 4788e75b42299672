/* SPDX-License-Identifier: MIT */
/*
 * What the kernel makes of the headers of a copy, by the same code compiled here: every byte as a
 * worker makes it, and checksums that are as right, or as wrong, as they came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "mcr/rewrite.h"
#include "worker/header.h"

#define PAYLOAD_MOST 1472
#define ROUNDS	     200000

static uint64_t seed;

/* A frame that comes in, and what shall become of it: for a worker and for the kernel. */
struct sample {
	struct packet in;
	uint32_t len; /* of the payload */
	uint8_t payload[PAYLOAD_MOST], frame[AT_PAYLOAD + PAYLOAD_MOST];
	struct wm_output out;
	struct mcr_rewrite to;
};

static void sample_packet(struct sample *s)
{
	s->in = packet_sample();
	s->in.protocol = random_below(&seed, 8) ? PACKET_UDP : PACKET_ESP;
	s->in.checksum = random_below(&seed, 4) ? PACKET_FULL : PACKET_NONE;
	s->in.source = random_next(&seed) << 1;
	s->in.dest = IP(239, 0, 0, 0) | (random_next(&seed) & 0xffffff);
	s->in.sport = (uint16_t)random_next(&seed);
	s->in.dport = (uint16_t)random_next(&seed);
	s->in.id = (uint16_t)random_next(&seed);
	s->in.ttl = (uint8_t)(2 + random_below(&seed, 254));
	s->in.tos = (uint8_t)random_next(&seed);
	s->in.df = random_below(&seed, 2);
	s->len = random_below(&seed, PAYLOAD_MOST + 1);
	if (random_below(&seed, 4))
		s->len %= 64;
	random_fill(&seed, s->payload, s->len);
	packet_write(s->frame, &s->in, s->payload, s->len);
}

/* Each policy is in force or not, whatever the others are. */
static void sample_output(struct sample *s)
{
	s->out = (struct wm_output){
		.ttl = random_below(&seed, 2) ? (uint8_t)random_next(&seed) : 0,
		.dscp = (int8_t)((int)random_below(&seed, 65) - 1),
		.port = random_below(&seed, 2) ? (uint16_t)random_next(&seed) : 0,
		.keeps_source = (uint8_t)random_below(&seed, 2),
		.source = random_next(&seed) | 1,
		.group = random_below(&seed, 2) ? random_next(&seed) : htonl(s->in.dest),
	};
	random_fill(&seed, s->out.dst_mac, 6);
	random_fill(&seed, s->out.src_mac, 6);
	s->to = (struct mcr_rewrite){
		.ttl = s->out.ttl,
		.dscp = s->out.dscp,
		.port = s->out.port,
	};
	memcpy(s->to.group, &s->out.group, 4);
	if (!s->out.keeps_source)
		memcpy(s->to.source, &s->out.source, 4);
	memcpy(s->to.dst_mac, s->out.dst_mac, 6);
	memcpy(s->to.src_mac, s->out.src_mac, 6);
}

static void sample_init(struct sample *s)
{
	sample_packet(s);
	sample_output(s);
}

static bool is_udp(const struct sample *s)
{
	return s->in.protocol == PACKET_UDP;
}

static void rewrite(struct sample *s)
{
	struct mcr_ip *ip = (void *)(s->frame + AT_IP);

	mcr_rewrite_headers((void *)s->frame, ip, is_udp(s) ? (void *)(ip + 1) : NULL, &s->to);
}

/* The headers that a worker would send, with their checksum completed. */
static uint32_t worker_headers(const struct sample *s, uint8_t at[HEADER_MAX])
{
	struct run run = {
		.flow = {
			.group = htonl(s->in.dest),
			.source = htonl(s->in.source),
			.sport = htons(s->in.sport),
			.dport = htons(s->in.dport),
			.protocol = s->in.protocol,
			.ttl = s->in.ttl,
			.tos = s->in.tos,
			.df = s->in.df,
		},
		.head = s->frame,
		.datagrams = 1,
		.checksum = s->in.checksum == PACKET_FULL ? FRAME_CSUM_FULL : FRAME_CSUM_NONE,
	};
	struct iovec payload = { (void *)(uintptr_t)s->payload, s->len };
	uint32_t len = header_frame(at, &run, &s->out, s->len);

	if (is_udp(s))
		header_raw_checksum(at + AT_IP, &run, frame_sum(&payload, 1));
	return len;
}

static void every_byte_is_as_a_worker_makes_it(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t want[HEADER_MAX];
		struct sample s;
		uint32_t len;

		sample_init(&s);
		len = worker_headers(&s, want);
		rewrite(&s);
		assert_memory_equal(s.frame, want, len);
		assert_memory_equal(s.frame + len, s.payload, s.len);
	}
}

/* By the definition of a checksum, so that the two cannot be wrong together. */
static void right_checksums_are_right_afterwards(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct sample s;
		uint8_t *ip;

		sample_init(&s);
		ip = s.frame + AT_IP;
		rewrite(&s);
		assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
		if (!is_udp(&s))
			continue;
		if (s.in.checksum == PACKET_NONE)
			assert_int_equal(get16(s.frame + AT_UDP_CHECK), 0);
		else
			assert_int_equal(get16(s.frame + AT_UDP_CHECK),
					 packet_udp_check(ip, 8 + s.len));
	}
}

/* What the receiver finds when it adds up: 0xffff when all is well. */
static uint32_t udp_sum(const struct sample *s)
{
	const uint8_t *ip = s->frame + AT_IP;

	return plain_sum(ip + 20, 8 + s->len, plain_pseudo(ip, 8 + s->len));
}

/* By as much as before, so that nobody downstream takes it for right. */
static void wrong_checksums_stay_wrong(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct sample s;
		uint32_t error, at, before_ip;

		sample_init(&s);
		if (!is_udp(&s) || s.in.checksum == PACKET_NONE)
			continue;
		at = AT_UDP_CHECK + random_below(&seed, 2 + s.len);
		s.frame[at] ^= (uint8_t)(1u << random_below(&seed, 8));
		s.frame[AT_IP_CHECK + random_below(&seed, 2)] ^= 0x10;
		error = udp_sum(&s);
		before_ip = plain_sum(s.frame + AT_IP, 20, 0);
		assert_int_not_equal(before_ip, 0xffff);
		if (error == 0xffff || !get16(s.frame + AT_UDP_CHECK))
			continue; /* the bit has made it "none" */
		rewrite(&s);
		assert_int_equal(udp_sum(&s), error);
		assert_int_equal(plain_sum(s.frame + AT_IP, 20, 0), before_ip);
	}
}

/* Where the sum comes out as 0xffff its complement would say that there is none. */
static void a_checksum_never_becomes_none(void **state)
{
	struct sample s;

	sample_packet(&s);
	s.in.protocol = PACKET_UDP;
	s.in.checksum = PACKET_FULL;
	s.len = 2;
	put16(s.payload, 0);
	sample_output(&s);
	packet_write(s.frame, &s.in, s.payload, s.len);
	rewrite(&s);
	put16(s.payload, get16(s.frame + AT_UDP_CHECK)); /* makes the rest of the sum 0xffff */
	packet_write(s.frame, &s.in, s.payload, s.len);
	rewrite(&s);
	assert_int_equal(get16(s.frame + AT_UDP_CHECK), 0xffff);
	assert_int_equal(udp_sum(&s), 0xffff);
	s.out.keeps_source = 1; /* and from 0xffff, with nothing changed */
	s.to = (struct mcr_rewrite){ .ttl = 9, .dscp = -1 };
	memcpy(s.to.group, s.frame + AT_DEST, 4);
	rewrite(&s);
	assert_int_equal(get16(s.frame + AT_UDP_CHECK), 0xffff);
	assert_int_equal(plain_sum(s.frame + AT_IP, 20, 0), 0xffff);
}

static void a_ttl_that_ends_is_told_before(void **state)
{
	struct mcr_rewrite decrement = { .ttl = 0 }, fixed = { .ttl = 1 };
	struct mcr_ip ip = { .h.ttl = 2 };

	assert_true(mcr_rewrite_allows(&ip, &decrement));
	ip.h.ttl = 1;
	assert_false(mcr_rewrite_allows(&ip, &decrement));
	assert_true(mcr_rewrite_allows(&ip, &fixed));
	ip.h.ttl = 0;
	assert_false(mcr_rewrite_allows(&ip, &decrement));
	assert_true(mcr_rewrite_allows(&ip, &fixed));
}

/* All values of the two bytes that share words with others. */
static void ttl_and_tos_leave_their_neighbours_alone(void **state)
{
	struct sample s;

	sample_packet(&s);
	sample_output(&s);
	for (unsigned i = 0; i < 65536; i++) {
		s.in.ttl = (uint8_t)(i >> 8);
		s.in.tos = (uint8_t)i;
		s.to.ttl = (uint8_t)random_next(&seed);
		s.to.dscp = (int8_t)((int)random_below(&seed, 65) - 1);
		if (!s.to.ttl && s.in.ttl < 2)
			continue;
		packet_write(s.frame, &s.in, s.payload, s.len);
		rewrite(&s);
		assert_int_equal(s.frame[AT_TTL], s.to.ttl ? s.to.ttl : s.in.ttl - 1);
		assert_int_equal(s.frame[AT_TOS],
				 s.to.dscp < 0 ? s.in.tos : (unsigned)s.to.dscp * 4 + s.in.tos % 4);
		assert_int_equal(s.frame[AT_PROTO], s.in.protocol);
		assert_int_equal(s.frame[AT_IP], 0x45);
		assert_int_equal(plain_sum(s.frame + AT_IP, 20, 0), 0xffff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_as_a_worker_makes_it),
		cmocka_unit_test(right_checksums_are_right_afterwards),
		cmocka_unit_test(wrong_checksums_stay_wrong),
		cmocka_unit_test(a_checksum_never_becomes_none),
		cmocka_unit_test(a_ttl_that_ends_is_told_before),
		cmocka_unit_test(ttl_and_tos_leave_their_neighbours_alone),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
