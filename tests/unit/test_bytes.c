/* SPDX-License-Identifier: MIT */
/* Readers and writers: what they give, where they end, and that they stay failed. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static const uint8_t sample[12] = { 1, 2, 3, 4, 5, 6, 7, 198, 18, 0, 9, 0xff };

static void numbers_are_in_network_order(void **state)
{
	struct rd r = rd_init(sample, sizeof(sample));

	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_int_equal(rd_ip4(&r).net, htonl(0xc6120009));
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(rd_u8(&r), 0xff);
	assert_false(rd_failed(&r));
	assert_int_equal(rd_left(&r), 0);
}

/* Every getter at every number of bytes that is too small, in a block that ends there. */
static void nothing_is_read_beyond_the_end(void **state)
{
	for (size_t len = 0; len < 4; len++) {
		uint8_t *block = malloc(len ? len : 1), out[4] = { 9, 9, 9, 9 };

		assert_non_null(block);
		memcpy(block, sample, len);
		for (int getter = 0; getter < 5; getter++) {
			struct rd r = rd_init(block, len);

			if (getter == 0 && len < 1)
				assert_int_equal(rd_u8(&r), 0);
			else if (getter == 1 && len < 2)
				assert_int_equal(rd_u16(&r), 0);
			else if (getter == 2)
				assert_int_equal(rd_u32(&r), 0);
			else if (getter == 3)
				assert_int_equal(rd_ip4(&r).net, 0);
			else
				rd_bytes(&r, out, 4);
			assert_true(rd_failed(&r));
			assert_int_equal(rd_left(&r), 0);
		}
		assert_memory_equal(out, "\0\0\0\0", 4);
		free(block);
	}
}

static void a_failed_reader_stays_failed(void **state)
{
	struct rd r = rd_init(sample, 3), sub;

	assert_int_equal(rd_u32(&r), 0);
	assert_int_equal(rd_u8(&r), 0);
	sub = rd_sub(&r, 0);
	assert_true(rd_failed(&sub));
	assert_true(rd_failed(&r));
}

static void a_sub_reader_is_bounded(void **state)
{
	struct rd r = rd_init(sample, sizeof(sample)), sub = rd_sub(&r, 3);

	assert_int_equal(rd_left(&sub), 3);
	assert_int_equal(rd_u32(&sub), 0);
	assert_true(rd_failed(&sub));
	assert_false(rd_failed(&r));
	assert_int_equal(rd_u8(&r), 4);
	sub = rd_sub(&r, 9);
	assert_true(rd_failed(&sub) && rd_failed(&r));
	assert_int_equal(rd_left(&sub), 0);
	r = rd_init(sample, 2);
	sub = rd_sub(&r, SIZE_MAX);
	assert_true(rd_failed(&sub) && rd_failed(&r));
}

static void what_is_written_is_read_back(void **state)
{
	uint8_t block[12];
	struct wr w = wr_init(block, sizeof(block));

	wr_u8(&w, 1);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_ip4(&w, (struct ip4){ htonl(0xc6120009) });
	assert_int_equal(wr_left(&w), 1);
	wr_bytes(&w, "\xff", 1);
	assert_int_equal(wr_len(&w), 12);
	assert_false(wr_failed(&w));
	assert_memory_equal(block, sample, sizeof(sample));
}

static void nothing_is_written_beyond_the_end(void **state)
{
	uint8_t block[4] = { 9, 9, 9, 9 };
	struct wr w = wr_init(block, 3);

	wr_u32(&w, 1);
	assert_true(wr_failed(&w));
	wr_u8(&w, 1);
	assert_int_equal(wr_len(&w), 0);
	assert_int_equal(wr_left(&w), 0);
	assert_memory_equal(block, "\x9\x9\x9\x9", 4);
}

static void only_what_was_written_is_patched(void **state)
{
	uint8_t block[8] = { 0 };
	struct wr w = wr_init(block, sizeof(block));

	wr_u32(&w, 0x01020304);
	wr_patch(&w, 2, "\xaa\xbb", 2);
	assert_false(wr_failed(&w));
	assert_memory_equal(block, "\x01\x02\xaa\xbb", 4);
	wr_patch(&w, 3, "\xcc\xcc", 2);
	assert_true(wr_failed(&w));
	assert_memory_equal(block, "\x01\x02\xaa\xbb\0", 5);
	w = wr_init(block, sizeof(block));
	wr_u16(&w, 7);
	wr_patch(&w, SIZE_MAX, "", 1);
	assert_true(wr_failed(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_in_network_order),
		cmocka_unit_test(nothing_is_read_beyond_the_end),
		cmocka_unit_test(a_failed_reader_stays_failed),
		cmocka_unit_test(a_sub_reader_is_bounded),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(nothing_is_written_beyond_the_end),
		cmocka_unit_test(only_what_was_written_is_patched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
