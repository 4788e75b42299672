/* SPDX-License-Identifier: MIT */
/* Checksums against the definition, for every length and alignment that takes another path. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cksum.h"

/* RFC 1071 §1 word by word, in network order. */
static uint16_t plain_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)sum);
}

/* 0 and 0xffff are one value in one's complement. */
static void assert_same_sum(uint16_t a, uint16_t b)
{
	if (a != b && !((a == 0 || a == 0xffff) && (b == 0 || b == 0xffff)))
		fail_msg("%04x is not %04x", a, b);
}

static void fill(uint8_t *p, size_t len, int pattern)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern == 0 ? 0xff : pattern == 1 ? 0 : (uint8_t)rand();
}

static void sums_agree_with_the_definition(void **state)
{
	srand(1);
	for (size_t len = 0; len < 300; len++)
		for (size_t offset = 0; offset < 8; offset++) {
			uint8_t *block = malloc(len + offset + 1);

			assert_non_null(block);
			/* Ends where the block does, so that ASAN sees a read beyond. */
			block = realloc(block, len + offset ? len + offset : 1);
			assert_non_null(block);
			fill(block + offset, len, (int)(len + offset) % 3);
			assert_same_sum(cksum_fold(cksum_add(block + offset, len, 0)),
					plain_sum(block + offset, len));
			free(block);
		}
}

static void large_blocks_do_not_overflow(void **state)
{
	size_t len = 1 << 20;
	uint8_t *p = malloc(len);

	assert_non_null(p);
	fill(p, len, 0);
	assert_same_sum(cksum_fold(cksum_add(p, len, 0xffffffff)), 0xffff);
	fill(p, len, 2);
	assert_same_sum(cksum_fold(cksum_add(p, len, 0)), plain_sum(p, len));
	free(p);
}

static void pieces_add_up_to_the_whole(void **state)
{
	uint8_t p[257];

	srand(2);
	fill(p, sizeof(p), 2);
	for (size_t cut = 0; cut < sizeof(p); cut += 2) {
		uint32_t sum = cksum_add(p, cut, 0);

		sum = cksum_add(p + cut, sizeof(p) - cut, sum);
		assert_same_sum(cksum_fold(sum), plain_sum(p, sizeof(p)));
	}
}

static void single_fields_are_words_too(void **state)
{
	uint8_t p[6] = { 0xff, 0xfe, 0xfd, 0xfc, 0xff, 0xff };
	uint32_t word;
	uint16_t half;

	memcpy(&word, p, 4);
	memcpy(&half, p + 4, 2);
	assert_same_sum(cksum_fold(cksum_add16(half, cksum_add32(word, 0xffffffff))),
			plain_sum(p, 6));
}

/* The IP header that RFC 1071's successors are usually shown with; its checksum is b861. */
static void a_known_header_has_its_known_checksum(void **state)
{
	uint8_t ip[20] = { 0x45, 0, 0,	  0x73, 0, 0, 0x40, 0,	  0x40, 0x11,
			   0,	 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,	0xc7 };
	uint16_t check = cksum_finish(cksum_add(ip, sizeof(ip), 0));

	assert_int_equal(check, htons(0xb861));
	memcpy(ip + 10, &check, 2);
	assert_int_equal(cksum_fold(cksum_add(ip, sizeof(ip), 0)), 0xffff);
}

static void udp_is_summed_with_its_pseudo_header(void **state)
{
	uint8_t whole[12 + 11] = { 198,	 18,   0,    1,	   239, 1,  1, 1, 0,   17,  0,	11,
				   0x0f, 0xa0, 0x13, 0x89, 0,	11, 0, 0, 'a', 'b', 'c' };
	uint32_t source, dest, sum;

	memcpy(&source, whole, 4);
	memcpy(&dest, whole + 4, 4);
	sum = cksum_pseudo(source, dest, 17, 11);
	assert_same_sum(cksum_fold(sum), plain_sum(whole, 12));
	sum = cksum_add(whole + 12, 11, sum);
	assert_int_equal(cksum_finish_udp(sum), (uint16_t)~plain_sum(whole, sizeof(whole)));
	/* A sum of 0xffff would be written as "no checksum". */
	assert_int_equal(cksum_finish_udp(0xffff), 0xffff);
	assert_int_equal(cksum_finish(0xffff), 0);
}

/* Where RFC 1071 by itself would do, and where RFC 1624's correction is needed (sums of zero). */
static void updates_agree_with_a_fresh_sum(void **state)
{
	srand(3);
	for (int round = 0; round < 100000; round++) {
		uint16_t p[10], check, before, after;
		uint32_t before32, after32;

		for (int i = 0; i < 10; i++)
			p[i] = round & 1 ? (uint16_t)rand() : (uint16_t)(rand() % 2 * 0xffff);
		p[0] |= 0x0040; /* a real header is never all zero */
		p[5] = 0;
		p[5] = check = cksum_finish(cksum_add(p, sizeof(p), 0));
		before = p[4];
		p[4] = after = (uint16_t)rand();
		check = cksum_update16(check, before, after);
		memcpy(&before32, &p[6], 4);
		after32 = (uint32_t)rand() << 1;
		memcpy(&p[6], &after32, 4);
		check = cksum_update32(check, before32, after32);
		p[5] = 0;
		assert_int_equal(check, cksum_finish(cksum_add(p, sizeof(p), 0)));
	}
}

/* RFC 3720 §B.4. */
static void crc32c_has_its_published_values(void **state)
{
	uint8_t p[32] = { 0 };

	assert_int_equal(cksum_crc32c("", 0, 0), 0);
	assert_int_equal(cksum_crc32c("123456789", 9, 0), 0xe3069283);
	assert_int_equal(cksum_crc32c(p, 32, 0), 0x8a9136aa);
	memset(p, 0xff, 32);
	assert_int_equal(cksum_crc32c(p, 32, 0), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		p[i] = i;
	assert_int_equal(cksum_crc32c(p, 32, 0), 0x46dd794e);
	assert_int_equal(cksum_crc32c(p + 13, 19, cksum_crc32c(p, 13, 0)), 0x46dd794e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_agree_with_the_definition),
		cmocka_unit_test(large_blocks_do_not_overflow),
		cmocka_unit_test(pieces_add_up_to_the_whole),
		cmocka_unit_test(single_fields_are_words_too),
		cmocka_unit_test(a_known_header_has_its_known_checksum),
		cmocka_unit_test(udp_is_summed_with_its_pseudo_header),
		cmocka_unit_test(updates_agree_with_a_fresh_sum),
		cmocka_unit_test(crc32c_has_its_published_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
