/* SPDX-License-Identifier: MIT */
/* IGMP messages and IP headers: known bytes, every length, every lie about lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/igmp_packet.h"
#include "wire/ip.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Reads bytes in a block that ends where they do. */
static enum igmp_drop read_exact(struct igmp_message *m, const void *bytes, size_t len)
{
	static uint8_t *block;
	enum igmp_drop drop;

	free(block);
	block = malloc(len ? len : 1);
	assert_non_null(block);
	memcpy(block, bytes, len);
	drop = igmp_read(m, block, len);
	return drop;
}

static void write_query(const struct igmp_query *q, const struct ip4 *sources, const char *bytes,
			size_t len)
{
	struct igmp_packet p;

	igmp_packet_query(&p, *q, sources);
	assert_int_equal(p.len, len);
	assert_memory_equal(p.bytes, bytes, len);
}

/* Checksums of these were computed by hand, not by this code. */
static void queries_are_written_to_the_byte(void **state)
{
	struct ip4 source = ADDR(10, 0, 0, 5);
	struct igmp_query q = { .version = 2, .response_ds = 100 };

	write_query(&q, NULL, "\x11\x64\xee\x9b\0\0\0\0", 8);
	q = (struct igmp_query){ .version = 2, .response_ds = 10, .group = ADDR(239, 1, 1, 1) };
	write_query(&q, NULL, "\x11\x0a\xfe\xf2\xef\x01\x01\x01", 8);
	q = (struct igmp_query){
		.version = 3, .response_ds = 100, .robustness = 2, .interval_s = 125
	};
	write_query(&q, NULL, "\x11\x64\xec\x1e\0\0\0\0\x02\x7d\0\0", 12);
	q.group = ADDR(239, 1, 1, 1);
	q.response_ds = 10;
	write_query(&q, NULL, "\x11\x0a\xfc\x75\xef\x01\x01\x01\x02\x7d\0\0", 12);
	q.group = ADDR(232, 1, 1, 1);
	q.n_sources = 1;
	write_query(&q, &source, "\x11\x0a\xf9\x6f\xe8\x01\x01\x01\x02\x7d\0\x01\x0a\0\0\x05", 16);
}

static void fields_that_do_not_fit_are_bounded(void **state)
{
	struct igmp_query q = { .version = 2, .response_ds = 900 };
	struct igmp_packet p;

	igmp_packet_query(&p, q, NULL);
	assert_int_equal(p.bytes[1], 255);
	q = (struct igmp_query){ .version = 3, .robustness = 8, .suppress = true };
	igmp_packet_query(&p, q, NULL);
	assert_int_equal(p.bytes[8], 8);
}

static void older_messages_are_read(void **state)
{
	static const struct {
		const char *bytes;
		uint8_t type;
	} cases[] = {
		{ "\x12\x00\xfd\xfc\xef\x01\x01\x01", IGMP_V1_REPORT },
		{ "\x16\x00\xf9\xfc\xef\x01\x01\x01", IGMP_V2_REPORT },
		{ "\x17\x00\xf8\xfc\xef\x01\x01\x01", IGMP_V2_LEAVE },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct igmp_message m;

		assert_int_equal(read_exact(&m, cases[i].bytes, 8), IGMP_ACCEPTED);
		assert_int_equal(m.type, cases[i].type);
		assert_true(ip4_equal(m.group, ADDR(239, 1, 1, 1)));
	}
}

static void reports_are_read_record_by_record(void **state)
{
	struct igmp_record record;
	struct igmp_message m;

	assert_int_equal(read_exact(&m, "\x22\0\xe9\xfb\0\0\0\x01\x04\0\0\0\xef\x01\x01\x01", 16),
			 IGMP_ACCEPTED);
	assert_int_equal(m.type, IGMP_V3_REPORT);
	assert_int_equal(m.n_records, 1);
	assert_true(igmp_record_read(&m.records, &record));
	assert_int_equal(record.type, IGMP_TO_EX);
	assert_true(ip4_equal(record.group, ADDR(239, 1, 1, 1)));
	assert_int_equal(record.n_sources, 0);
	assert_false(igmp_record_read(&m.records, &record));
	assert_int_equal(read_exact(&m,
				    "\x22\0\xe5\xf5\0\0\0\x01\x05\0\0\x01\xe8\x01\x01\x01"
				    "\x0a\0\0\x05",
				    20),
			 IGMP_ACCEPTED);
	assert_true(igmp_record_read(&m.records, &record));
	assert_int_equal(record.type, IGMP_ALLOW);
	assert_int_equal(record.n_sources, 1);
	assert_true(ip4_equal(rd_ip4(&record.sources), ADDR(10, 0, 0, 5)));
}

/* IG-1: the version of a query by its length and its code. */
static void ig1_a_query_has_its_version_by_its_length(void **state)
{
	uint8_t bytes[64] = { IGMP_QUERY, 100, 0, 0, 0, 0, 0, 0, 2, 125 };

	for (size_t len = 0; len <= 20; len++)
		for (int code = 0; code <= 100; code += 100) {
			struct igmp_packet p = { .len = len };
			struct igmp_message m;
			enum igmp_drop drop;

			bytes[1] = (uint8_t)code;
			memcpy(p.bytes, bytes, sizeof(bytes));
			igmp_packet_seal(&p);
			drop = read_exact(&m, p.bytes, len);
			if (len < 8) {
				assert_int_equal(drop, IGMP_DROP_SHORT);
			} else if (len > 8 && len < 12) {
				assert_int_equal(drop, IGMP_DROP_LENGTH);
			} else {
				assert_int_equal(drop, IGMP_ACCEPTED);
				assert_int_equal(m.query.version, len > 8 ? 3 : code ? 2 : 1);
				assert_int_equal(m.query.response_ds, code);
			}
		}
}

/* IG-2: bytes behind the message count for the checksum and for nothing else. */
static void ig2_trailing_bytes_are_summed_and_ignored(void **state)
{
	struct igmp_query q = { .version = 3, .group = ADDR(239, 1, 1, 1), .n_sources = 1 };
	struct ip4 source = ADDR(10, 0, 0, 5);
	struct igmp_record record;
	struct igmp_message m;
	struct igmp_packet p;

	igmp_packet_query(&p, q, &source);
	memcpy(p.bytes + p.len, "junk!", 5);
	p.len += 5;
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_DROP_CHECKSUM);
	igmp_packet_seal(&p);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_ACCEPTED);
	assert_int_equal(rd_left(&m.query.sources), 4);
	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_ALLOW, q.group, &source, 1);
	memcpy(p.bytes + p.len, "\x04\0\0\0\xef\x09\x09\x09", 8);
	p.len += 8;
	igmp_packet_seal(&p);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_ACCEPTED);
	assert_true(igmp_record_read(&m.records, &record));
	assert_false(igmp_record_read(&m.records, &record));
}

/* IG-3: a message with any bad record is dropped whole. */
static void ig3_lengths_that_lie_drop_the_message(void **state)
{
	struct ip4 sources[2] = { ADDR(10, 0, 0, 5), ADDR(10, 0, 0, 6) };
	struct igmp_message m;
	struct igmp_packet p;

	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_TO_EX, ADDR(239, 1, 1, 1), NULL, 0);
	igmp_packet_record(&p, IGMP_ALLOW, ADDR(239, 1, 1, 2), sources, 2);
	for (size_t len = 8; len < p.len; len++) {
		struct igmp_packet cut = p;

		cut.len = len;
		igmp_packet_seal(&cut);
		assert_int_equal(read_exact(&m, cut.bytes, len), IGMP_DROP_LENGTH);
	}
	p.bytes[8 + 8 + 3] = 3; /* sources that are not there */
	igmp_packet_seal(&p);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_DROP_LENGTH);
	p.bytes[8 + 8 + 3] = 2;
	p.bytes[8 + 8 + 1] = 1; /* nor is auxiliary data */
	igmp_packet_seal(&p);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_DROP_LENGTH);
	igmp_packet_query(&p, (struct igmp_query){ .version = 3, .n_sources = 2 }, sources);
	p.bytes[11] = 3;
	igmp_packet_seal(&p);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_DROP_LENGTH);
}

static void auxiliary_data_is_passed_over(void **state)
{
	struct igmp_record record;
	struct igmp_message m;
	struct igmp_packet p;

	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_TO_EX, ADDR(239, 1, 1, 1), NULL, 0);
	p.bytes[9] = 1;
	p.len += 4;
	igmp_packet_record(&p, IGMP_IS_EX, ADDR(239, 1, 1, 2), NULL, 0);
	assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_ACCEPTED);
	assert_int_equal(m.n_records, 2);
	assert_true(igmp_record_read(&m.records, &record));
	assert_true(igmp_record_read(&m.records, &record));
	assert_int_equal(record.type, IGMP_IS_EX);
	assert_true(ip4_equal(record.group, ADDR(239, 1, 1, 2)));
}

/* IG-7 */
static void ig7_other_types_are_named_as_such(void **state)
{
	for (int type = 0; type < 256; type++) {
		struct igmp_packet p = { .bytes = { 0 } };
		struct igmp_message m;
		bool is_known = type == IGMP_QUERY || type == IGMP_V1_REPORT ||
				type == IGMP_V2_REPORT || type == IGMP_V2_LEAVE ||
				type == IGMP_V3_REPORT;

		igmp_packet_short(&p, (uint8_t)type, 0, (struct ip4){ 0 });
		assert_int_equal(read_exact(&m, p.bytes, p.len),
				 is_known ? IGMP_ACCEPTED : IGMP_DROP_TYPE);
	}
}

static void every_single_bit_error_is_a_bad_checksum(void **state)
{
	struct igmp_message m;
	struct igmp_packet p;

	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_TO_EX, ADDR(239, 1, 1, 1), NULL, 0);
	for (size_t bit = 0; bit < p.len * 8; bit++) {
		p.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(read_exact(&m, p.bytes, p.len), IGMP_DROP_CHECKSUM);
		p.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void codes_are_exact_or_the_next_lower(void **state)
{
	assert_int_equal(igmp_code_read(0x80), 128);
	assert_int_equal(igmp_code_read(0x8f), 248);
	assert_int_equal(igmp_code_read(0xff), IGMP_CODE_MAX);
	for (unsigned code = 0; code < 256; code++)
		assert_int_equal(igmp_code_write(igmp_code_read((uint8_t)code)), code);
	for (uint32_t value = 0; value < 40000; value++) {
		uint8_t code = igmp_code_write(value);

		assert_true(igmp_code_read(code) <= value);
		if (code < 255)
			assert_true(igmp_code_read((uint8_t)(code + 1)) > value);
	}
}

static void every_drop_has_a_name_of_its_own(void **state)
{
	for (int i = 0; i < IGMP_DROP__COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(igmp_drop_name((enum igmp_drop)i),
						igmp_drop_name((enum igmp_drop)j));
	assert_string_equal(igmp_drop_name((enum igmp_drop)9999), "unknown");
}

static const uint8_t ip_packet[] = { 0x46, 0xc0, 0, 32, 0,   1, 0, 0,  1,    2,	 0, 0,
				     10,   0,	 0, 5,	224, 0, 0, 22, 0x94, 4,	 0, 0,
				     0x22, 0,	 1, 2,	3,   4, 5, 6,  'x',  'x' };

static void ip_headers_are_read(void **state)
{
	struct ip_head head;
	struct rd r;

	assert_true(ip_read(ip_packet, sizeof(ip_packet), &head, &r));
	assert_true(ip4_equal(head.source, ADDR(10, 0, 0, 5)));
	assert_true(ip4_equal(head.dst, ADDR(224, 0, 0, 22)));
	assert_int_equal(head.protocol, IP_PROTO_IGMP);
	assert_int_equal(head.ttl, 1);
	assert_int_equal(head.tos, 0xc0);
	assert_true(head.has_router_alert);
	assert_int_equal(rd_left(&r), 8);
	assert_int_equal(rd_u8(&r), 0x22);
	for (size_t len = 0; len < 32; len++) {
		uint8_t *block = malloc(len ? len : 1);

		assert_non_null(block);
		memcpy(block, ip_packet, len);
		assert_false(ip_read(block, len, &head, &r));
		free(block);
	}
}

static void ip_headers_that_lie_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{ 0, 0x36 }, { 0, 0x66 }, { 0, 0x44 }, { 0, 0x40 }, { 0, 0x4f },
		{ 3, 23 },   { 3, 200 },  { 6, 0x20 }, { 7, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t bytes[sizeof(ip_packet)];
		struct ip_head head;
		struct rd r;

		memcpy(bytes, ip_packet, sizeof(bytes));
		bytes[cases[i].at] = cases[i].value;
		if (ip_read(bytes, sizeof(bytes), &head, &r))
			fail_msg("case %zu", i);
	}
}

static void the_router_alert_is_found_among_options(void **state)
{
	static const struct {
		uint8_t options[8];
		bool found;
	} cases[] = {
		{ { 1, 1, 0x94, 4, 0, 0, 0, 0 }, true },   { { 7, 4, 4, 0, 0x94, 4, 0, 0 }, true },
		{ { 0, 0, 0, 0, 0x94, 4, 0, 0 }, false },  { { 7, 0, 0, 0, 0x94, 4, 0, 0 }, false },
		{ { 7, 40, 0, 0, 0x94, 4, 0, 0 }, false }, { { 1, 1, 1, 1, 1, 1, 0x94, 4 }, false },
		{ { 1, 1, 1, 1, 0x94, 3, 0, 0 }, false },  { { 1, 1, 1, 1, 1, 1, 1, 0x94 }, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t bytes[28] = { 0x47, 0, 0, 28 };
		struct ip_head head;
		struct rd r;

		memcpy(bytes + 20, cases[i].options, 8);
		assert_true(ip_read(bytes, sizeof(bytes), &head, &r));
		if (head.has_router_alert != cases[i].found)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_are_written_to_the_byte),
		cmocka_unit_test(fields_that_do_not_fit_are_bounded),
		cmocka_unit_test(older_messages_are_read),
		cmocka_unit_test(reports_are_read_record_by_record),
		cmocka_unit_test(ig1_a_query_has_its_version_by_its_length),
		cmocka_unit_test(ig2_trailing_bytes_are_summed_and_ignored),
		cmocka_unit_test(ig3_lengths_that_lie_drop_the_message),
		cmocka_unit_test(auxiliary_data_is_passed_over),
		cmocka_unit_test(ig7_other_types_are_named_as_such),
		cmocka_unit_test(every_single_bit_error_is_a_bad_checksum),
		cmocka_unit_test(codes_are_exact_or_the_next_lower),
		cmocka_unit_test(every_drop_has_a_name_of_its_own),
		cmocka_unit_test(ip_headers_are_read),
		cmocka_unit_test(ip_headers_that_lie_are_refused),
		cmocka_unit_test(the_router_alert_is_found_among_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
