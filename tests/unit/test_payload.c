/* SPDX-License-Identifier: MIT */
/* What mcrgen writes is what mcrsink reads, and no changed bit goes unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tools/payload.h"

static const struct payload sample = {
	.run = 0x12345678,
	.flow = 77,
	.length = 1400,
	.sequence = 0x123456789aull,
	.sent_ns = 987654321012345ull,
};

/* A datagram in memory of exactly its length, for the sanitizers to guard. */
static unsigned char *datagram(struct payload p)
{
	unsigned char *d = malloc(p.length);
	struct payload_wire w;

	assert_non_null(d);
	payload_write_header(&w, &p);
	memcpy(d, &w, sizeof(w));
	payload_write_body(d + PAYLOAD_HEADER, &p);
	return d;
}

static void what_is_written_is_read(void **state)
{
	static const uint16_t lengths[] = { 36, 37, 43, 44, 45, 100, 1400, 1401, 8972, 65507 };
	size_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct payload p = sample, got = { 0 };
		unsigned char *d;

		p.length = lengths[i];
		d = datagram(p);
		assert_int_equal(payload_read(d, p.length, &got), PAYLOAD_GOOD);
		assert_memory_equal(&got, &p, sizeof(p));
		free(d);
	}
}

static void the_header_lies_as_drawn(void **state)
{
	static const unsigned char want[32] = {
		0x6d, 0x63, 0x72, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00, 0x00,
		0x4d, 0x00, 0x00, 0x05, 0x78, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56,
		0x78, 0x9a, 0x00, 0x03, 0x82, 0x44, 0x30, 0xf6, 0xfe, 0x79,
	};
	unsigned char *d = datagram(sample);

	assert_int_equal(sizeof(struct payload_wire), PAYLOAD_HEADER);
	assert_memory_equal(d, want, sizeof(want));
	free(d);
}

static void every_changed_bit_is_seen(void **state)
{
	struct payload got;
	unsigned char *d = datagram(sample);
	size_t bit;

	for (bit = 0; bit < sample.length * 8u; bit++) {
		enum payload_state want = PAYLOAD_BAD_BODY;

		if (bit < PAYLOAD_HEADER * 8)
			want = bit < 32 ? PAYLOAD_FOREIGN : PAYLOAD_BAD_HEADER;
		d[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(payload_read(d, sample.length, &got), want);
		d[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(payload_read(d, sample.length, &got), PAYLOAD_GOOD);
	free(d);
}

static void a_cut_or_lengthened_datagram_is_seen(void **state)
{
	unsigned char *d = datagram(sample), longer[1401] = { 0 };
	struct payload got;
	uint32_t len;

	for (len = 0; len < sample.length; len++)
		assert_int_equal(payload_read(d, len, &got),
				 len < PAYLOAD_HEADER ? PAYLOAD_FOREIGN : PAYLOAD_BAD_HEADER);
	memcpy(longer, d, sample.length);
	assert_int_equal(payload_read(longer, sizeof(longer), &got), PAYLOAD_BAD_HEADER);
	free(d);
}

/* A relay that mixed up two packets' bodies would be found out. */
static void bodies_differ_between_packets_and_flows(void **state)
{
	struct payload other = sample;
	unsigned char *a = datagram(sample), *b;

	other.sequence++;
	b = datagram(other);
	assert_memory_not_equal(a + PAYLOAD_HEADER, b + PAYLOAD_HEADER, 8);
	free(b);
	other = sample;
	other.flow++;
	b = datagram(other);
	assert_memory_not_equal(a + PAYLOAD_HEADER, b + PAYLOAD_HEADER, 8);
	free(b);
	free(a);
}

static void a_fixed_body_is_the_same_for_all(void **state)
{
	struct payload p = sample, other, got;
	unsigned char *a, *b;

	p.flags = PAYLOAD_FIXED_BODY;
	other = p;
	other.flow++;
	other.sequence += 5;
	a = datagram(p);
	b = datagram(other);
	assert_memory_equal(a + PAYLOAD_HEADER, b + PAYLOAD_HEADER, p.length - PAYLOAD_HEADER);
	assert_int_equal(payload_read(b, p.length, &got), PAYLOAD_GOOD);
	a[1000] ^= 4;
	assert_int_equal(payload_read(a, p.length, &got), PAYLOAD_BAD_BODY);
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_header_lies_as_drawn),
		cmocka_unit_test(every_changed_bit_is_seen),
		cmocka_unit_test(a_cut_or_lengthened_datagram_is_seen),
		cmocka_unit_test(bodies_differ_between_packets_and_flows),
		cmocka_unit_test(a_fixed_body_is_the_same_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
