/* SPDX-License-Identifier: MIT */
/*
 * Reading frames: what is good, every way in which one can be broken, and that no lie makes the
 * reader look outside the pieces. Each piece is a block of memory of its own that ends where the
 * piece does, at an odd address, for ASAN and UBSan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "worker/frame.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define FRAME_ROOM 66000
#define PAYLOAD	   101

static uint64_t seed;
static uint8_t payload[FRAME_ROOM], bytes[FRAME_ROOM];

/* One frame in pieces, as a ring delivers it. */
struct ring {
	struct frame_raw raw;
	struct iovec pieces[FRAME_PIECES_MAX];
	void *blocks[FRAME_PIECES_MAX];
};

static void ring_add(struct ring *g, const uint8_t *from, size_t len)
{
	uint8_t *block = malloc(len + 1);

	assert_non_null(block);
	assert_true(g->raw.n_pieces < FRAME_PIECES_MAX);
	memcpy(block + 1, from, len);
	g->raw.pieces = g->pieces;
	g->blocks[g->raw.n_pieces] = block;
	g->pieces[g->raw.n_pieces++] = (struct iovec){ block + 1, len };
	g->raw.len += (uint32_t)len;
}

static void ring_free(struct ring *g)
{
	for (uint32_t i = 0; i < g->raw.n_pieces; i++)
		free(g->blocks[i]);
	*g = (struct ring){ 0 };
}

/* A frame of PAYLOAD bytes in `bytes`; its length. */
static size_t sample(const struct packet *p)
{
	return packet_write(bytes, p, payload, PAYLOAD);
}

/* What every good frame has: payload in the pieces, as long as the headers say. */
static void assert_sound(const struct frame *f, const struct frame_raw *raw)
{
	size_t have = 0;

	assert_ptr_equal(f->payload, raw->pieces);
	assert_true(f->n_payload >= 1 && f->n_payload <= raw->n_pieces);
	for (uint32_t i = 0; i < f->n_payload; i++)
		have += f->payload[i].iov_len;
	assert_int_equal(have, f->len);
	assert_int_equal(f->len, f->flow.ip_len - (f->flow.protocol == PACKET_UDP ? 28 : 20));
	assert_true(f->datagrams >= 1);
	if (f->len)
		assert_true((uint32_t)(f->datagrams - 1) * f->segment < f->len &&
			    (uint32_t)f->datagrams * f->segment >= f->len);
}

/* The payload byte by byte, in the pieces that are left. */
static void assert_payload(const struct frame *f, const uint8_t *want, size_t len)
{
	assert_int_equal(f->len, len);
	for (uint32_t i = 0; i < f->n_payload; i++) {
		assert_memory_equal(f->payload[i].iov_base, want, f->payload[i].iov_len);
		want += f->payload[i].iov_len;
	}
}

/* Reads `len` bytes as one piece; the flags are those of `how`. */
static enum frame_drop read_one(const uint8_t *frame, size_t len, struct frame_raw how,
				struct frame *f)
{
	struct ring g = { .raw = { .segment = how.segment,
				   .is_partial = how.is_partial,
				   .is_verified = how.is_verified } };
	enum frame_drop drop;

	ring_add(&g, frame, len);
	drop = frame_read(f, &g.raw);
	if (drop == FRAME_DROP__COUNT)
		assert_sound(f, &g.raw);
	ring_free(&g);
	return drop;
}

static enum frame_drop read_plain(size_t len)
{
	struct frame f;

	return read_one(bytes, len, (struct frame_raw){ 0 }, &f);
}

static void a_good_frame_is_read(void **state)
{
	struct packet p = packet_sample();
	struct ring g = { 0 };
	struct frame f;

	ring_add(&g, bytes, sample(&p));
	assert_int_equal(frame_read(&f, &g.raw), FRAME_DROP__COUNT);
	assert_sound(&f, &g.raw);
	assert_payload(&f, payload, PAYLOAD);
	assert_ptr_equal(f.head, (uint8_t *)g.blocks[0] + 1);
	assert_int_equal(f.flow.source, htonl(p.source));
	assert_int_equal(f.flow.group, htonl(p.dest));
	assert_int_equal(f.flow.sport, htons(p.sport));
	assert_int_equal(f.flow.dport, htons(p.dport));
	assert_int_equal(f.flow.protocol, PACKET_UDP);
	assert_int_equal(f.flow.ttl, 8);
	assert_int_equal(f.flow.tos, 0xb8);
	assert_int_equal(f.flow.df, 1);
	assert_int_equal(f.datagrams, 1);
	assert_int_equal(f.segment, PAYLOAD);
	assert_int_equal(f.checksum, FRAME_CSUM_FULL);
	ring_free(&g);
}

/* IP and UDP checksums cover every bit behind Ethernet; the type is known by its value. */
static void no_flipped_bit_gets_through(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	for (size_t bit = AT_TYPE * 8; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (read_plain(len) == FRAME_DROP__COUNT)
			fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(read_plain(len), FRAME_DROP__COUNT);
}

static void broken_checksums_are_named_so(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	bytes[len - 1] ^= 1;
	assert_int_equal(read_plain(len), FRAME_DROP_checksum);
	bytes[len - 1] ^= 1;
	bytes[AT_TTL]++; /* a corrupted TTL must not be healed by a new header */
	assert_int_equal(read_plain(len), FRAME_DROP_checksum);
}

/* By flag where the ring says so, by its value where it cannot (XDP). */
static void an_unfinished_checksum_is_recognised(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	size_t len;

	p.checksum = PACKET_PARTIAL;
	len = sample(&p);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_PARTIAL);
	put16(bytes + AT_UDP_CHECK, 0x1111);
	assert_int_equal(read_plain(len), FRAME_DROP_checksum);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .is_partial = true }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_PARTIAL);
	put16(bytes + AT_UDP_CHECK, 0);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .is_partial = true }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_PARTIAL);
}

static void no_checksum_stays_none(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	size_t len;

	p.checksum = PACKET_NONE;
	len = sample(&p);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_NONE);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .is_verified = true }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_NONE);
}

static void what_the_kernel_vouches_for_is_not_summed(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	size_t len = sample(&p);

	put16(bytes + AT_UDP_CHECK, 0x1111);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .is_verified = true }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_FULL);
}

/* A sum of 0xffff is complemented to 0, which is sent as 0xffff (RFC 768). */
static void a_checksum_of_ffff_is_right(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	uint8_t two[2] = { 0, 0 };
	size_t len = packet_write(bytes, &p, two, 2);

	put16(two, get16(bytes + AT_UDP_CHECK)); /* makes the rest of the sum 0xffff */
	len = packet_write(bytes, &p, two, 2);
	assert_int_equal(get16(bytes + AT_UDP_CHECK), 0xffff);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.checksum, FRAME_CSUM_FULL);
}

static void an_empty_datagram_is_good(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	size_t len = packet_write(bytes, &p, NULL, 0);

	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.len, 0);
	assert_int_equal(f.datagrams, 1);
	assert_int_equal(f.n_payload, 1);
}

static void esp_has_neither_ports_nor_checksum(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	size_t len;

	p.protocol = PACKET_ESP;
	len = sample(&p);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.len, PAYLOAD);
	assert_int_equal(f.flow.sport, 0);
	assert_int_equal(f.flow.dport, 0);
	assert_int_equal(f.checksum, FRAME_CSUM_NONE);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .segment = 10 }, &f),
			 FRAME_DROP_malformed);
	len = packet_write(bytes, &p, NULL, 0);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ 0 }, &f), FRAME_DROP__COUNT);
	assert_int_equal(f.len, 0);
	bytes[AT_TTL]++;
	assert_int_equal(read_plain(len), FRAME_DROP_checksum);
}

/* Puts `frame` into a ring in pieces of random lengths, often odd, now and then empty. */
static void ring_scatter(struct ring *g, const uint8_t *frame, size_t len)
{
	size_t at = AT_PAYLOAD + random_below(&seed, 20);

	if (at > len)
		at = len;
	ring_add(g, frame, at);
	while (at < len && g->raw.n_pieces < FRAME_PIECES_MAX - 1) {
		size_t n = random_below(&seed, (uint32_t)(2 * len / 16 + 2));

		if (n > len - at)
			n = len - at;
		ring_add(g, frame + at, n);
		at += n;
	}
	if (at < len)
		ring_add(g, frame + at, len - at);
}

static void pieces_of_any_length_are_one_frame(void **state)
{
	struct packet p = packet_sample();

	for (int round = 0; round < 500; round++) {
		size_t size = random_below(&seed, round % 8 ? 9000 : 65508);
		size_t len = packet_write(bytes, &p, payload, size);
		size_t padded = len + (round & 1 ? random_below(&seed, 40) : 0);
		uint32_t check = get16(bytes + AT_UDP_CHECK);
		bool looks_partial = check == plain_pseudo(bytes + AT_IP, size + 8);
		struct ring g = { 0 };
		struct frame f;

		memset(bytes + len, 0xa5, padded - len);
		ring_scatter(&g, bytes, padded);
		assert_int_equal(frame_read(&f, &g.raw), FRAME_DROP__COUNT);
		assert_sound(&f, &g.raw);
		assert_payload(&f, payload, size);
		ring_free(&g);
		if (!size || looks_partial) /* by chance, once in 65536: it will be completed */
			continue;
		bytes[len - 1] ^= 0x10;
		ring_scatter(&g, bytes, padded);
		assert_int_equal(frame_read(&f, &g.raw), FRAME_DROP_checksum);
		ring_free(&g);
	}
}

/* Ethernet fills up to 60 bytes, and what fills is no payload. */
static void padding_is_cut_off(void **state)
{
	struct packet p = packet_sample();
	struct frame f;
	struct ring g = { 0 };

	packet_write(bytes, &p, "abc", 3);
	memset(bytes + AT_PAYLOAD + 3, 0xff, 60 - AT_PAYLOAD - 3);
	assert_int_equal(read_plain(60), FRAME_DROP__COUNT);
	ring_add(&g, bytes, AT_PAYLOAD + 1);
	ring_add(&g, bytes + AT_PAYLOAD + 1, 5);
	ring_add(&g, bytes + AT_PAYLOAD + 6, 60 - AT_PAYLOAD - 6);
	assert_int_equal(frame_read(&f, &g.raw), FRAME_DROP__COUNT);
	assert_payload(&f, (const uint8_t *)"abc", 3);
	assert_int_equal(f.n_payload, 2);
	ring_free(&g);
}

static void a_super_frame_is_as_many_datagrams(void **state)
{
	static const struct {
		uint16_t segment, datagrams, cut_to;
	} cases[] = {
		{ 1, PAYLOAD, 1 },
		{ 10, 11, 10 },
		{ 50, 3, 50 },
		{ 51, 2, 51 },
		{ PAYLOAD - 1, 2, PAYLOAD - 1 },
		{ PAYLOAD, 1, PAYLOAD },
		{ PAYLOAD + 1, 1, PAYLOAD },
		{ UINT16_MAX, 1, PAYLOAD },
	};
	struct packet p = packet_sample();
	struct frame f;
	size_t len;

	p.checksum = PACKET_PARTIAL;
	len = sample(&p);
	bytes[AT_IP_CHECK] ^= 1; /* the kernel does not keep it */
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct frame_raw how = { .segment = cases[i].segment, .is_partial = true };

		assert_int_equal(read_one(bytes, len, how, &f), FRAME_DROP__COUNT);
		assert_int_equal(f.datagrams, cases[i].datagrams);
		assert_int_equal(f.segment, cases[i].cut_to);
		assert_int_equal(f.len, PAYLOAD);
	}
	len = packet_write(bytes, &p, payload, 65507);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .segment = 1 }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.datagrams, 65507);
	len = packet_write(bytes, &p, NULL, 0);
	assert_int_equal(read_one(bytes, len, (struct frame_raw){ .segment = 100 }, &f),
			 FRAME_DROP__COUNT);
	assert_int_equal(f.datagrams, 1);
}

/* The ring delivers less than the packet had and says how long that was. */
static void what_the_ring_cut_is_truncated(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	for (size_t have = 0; have < len; have++) {
		struct ring g = { 0 };
		struct frame f;

		ring_add(&g, bytes, have);
		g.raw.len = (uint32_t)len;
		assert_int_equal(frame_read(&f, &g.raw),
				 have < AT_PAYLOAD ? FRAME_DROP_malformed : FRAME_DROP_truncated);
		ring_free(&g);
		if (have < AT_PAYLOAD)
			continue;
		ring_add(&g, bytes, AT_PAYLOAD);
		ring_add(&g, bytes + AT_PAYLOAD, have - AT_PAYLOAD);
		g.raw.len = (uint32_t)len;
		assert_int_equal(frame_read(&f, &g.raw), FRAME_DROP_truncated);
		ring_free(&g);
	}
}

/* A frame that is really shorter than its headers say. */
static void a_short_frame_is_malformed(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	for (size_t have = 0; have < len; have++)
		assert_int_equal(read_plain(have), FRAME_DROP_malformed);
	p.protocol = PACKET_ESP;
	len = sample(&p);
	for (size_t have = 0; have < len; have++)
		assert_int_equal(read_plain(have), FRAME_DROP_malformed);
}

/* Headers are looked for in the first piece only: drivers put them there. */
static void headers_must_lie_in_the_first_piece(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	for (size_t first = 0; first <= len; first++) {
		struct ring g = { 0 };
		struct frame f;

		ring_add(&g, bytes, first);
		ring_add(&g, bytes + first, len - first);
		assert_int_equal(frame_read(&f, &g.raw),
				 first < AT_PAYLOAD ? FRAME_DROP_malformed : FRAME_DROP__COUNT);
		ring_free(&g);
	}
}

/* Every value of every header byte, with the checksums of the lie made right where there are any:
 * no read beyond the end, and what is accepted is sound. */
static void no_lie_reads_beyond_the_end(void **state)
{
	for (int protocol = PACKET_UDP; protocol <= PACKET_ESP; protocol += PACKET_ESP - PACKET_UDP)
		for (size_t at = AT_TYPE; at < AT_PAYLOAD; at++)
			for (int value = 0; value < 256; value++) {
				struct packet p = packet_sample();
				size_t len;
				struct frame f;

				p.protocol = (uint8_t)protocol;
				len = sample(&p);
				bytes[at] = (uint8_t)value;
				read_one(bytes, len, (struct frame_raw){ 0 }, &f);
				packet_finish_ip(bytes + AT_IP);
				read_one(bytes, len, (struct frame_raw){ .is_verified = true }, &f);
				read_one(bytes, len,
					 (struct frame_raw){ .is_partial = true, .segment = 7 },
					 &f);
			}
}

/* Both lengths lie together, to every value near the truth and at the ends. */
static void lengths_that_agree_are_still_checked(void **state)
{
	struct packet p = packet_sample();
	size_t len = sample(&p);

	for (uint32_t claim = 0; claim < 65536; claim += claim < 300 || claim > 65400 ? 1 : 97) {
		struct frame f;
		bool fits = claim >= 28 && claim <= len - AT_IP;

		put16(bytes + AT_LEN, claim);
		put16(bytes + AT_UDP_LEN, claim - 20);
		packet_finish_ip(bytes + AT_IP);
		assert_int_equal(
			read_one(bytes, len, (struct frame_raw){ .is_verified = true }, &f),
			fits ? FRAME_DROP__COUNT : FRAME_DROP_malformed);
	}
}

static void sums_of_pieces_are_sums_of_the_whole(void **state)
{
	for (int round = 0; round < 2000; round++) {
		size_t len = random_below(&seed, 3000);
		struct ring g = { 0 };
		uint8_t have[2];
		uint32_t sum, want;
		uint16_t folded;

		ring_scatter(&g, payload + 1, len);
		sum = frame_sum(g.pieces, g.raw.n_pieces);
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		folded = (uint16_t)sum;
		memcpy(have, &folded, 2);
		want = plain_sum(payload + 1, len, 0);
		if (get16(have) % 0xffff != want % 0xffff)
			fail_msg("%04x is not %04x", get16(have), want);
		ring_free(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_frame_is_read),
		cmocka_unit_test(no_flipped_bit_gets_through),
		cmocka_unit_test(broken_checksums_are_named_so),
		cmocka_unit_test(an_unfinished_checksum_is_recognised),
		cmocka_unit_test(no_checksum_stays_none),
		cmocka_unit_test(what_the_kernel_vouches_for_is_not_summed),
		cmocka_unit_test(a_checksum_of_ffff_is_right),
		cmocka_unit_test(an_empty_datagram_is_good),
		cmocka_unit_test(esp_has_neither_ports_nor_checksum),
		cmocka_unit_test(pieces_of_any_length_are_one_frame),
		cmocka_unit_test(padding_is_cut_off),
		cmocka_unit_test(a_super_frame_is_as_many_datagrams),
		cmocka_unit_test(what_the_ring_cut_is_truncated),
		cmocka_unit_test(a_short_frame_is_malformed),
		cmocka_unit_test(headers_must_lie_in_the_first_piece),
		cmocka_unit_test(no_lie_reads_beyond_the_end),
		cmocka_unit_test(lengths_that_agree_are_still_checked),
		cmocka_unit_test(sums_of_pieces_are_sums_of_the_whole),
	};
	uint64_t fixed = 1;

	random_fill(&fixed, payload, sizeof(payload));
	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
