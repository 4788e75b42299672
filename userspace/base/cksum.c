/* SPDX-License-Identifier: MIT */
/* The Internet checksum over a block of memory, as fast as memory is read, and CRC-32C. */
#include "base/cksum.h"

#include <string.h>

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* One's-complement addition of 64-bit words: what overflows comes back in at the bottom. */
static inline uint64_t add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* A running sum and how often it overflowed: an add and an adc a word. */
struct lane {
	uint64_t sum, carry;
};

static inline void lane_add(struct lane *l, const unsigned char *p)
{
	uint64_t word = load64(p);

	l->sum += word;
	l->carry += l->sum < word;
}

/* The last 1–7 bytes as one word, zeros after them. */
static inline uint64_t load_tail(const unsigned char *p, size_t len)
{
	unsigned char last[8] = { 0 };
	size_t at = 0;

	if (len & 4) {
		memcpy(last, p, 4);
		at = 4;
	}
	if (len & 2) {
		memcpy(last + at, p + at, 2);
		at += 2;
	}
	if (len & 1)
		last[at] = p[at];
	return load64(last);
}

/*
 * A sum of 64-bit words folds to the same 16 bits as the sum of the 16-bit words in them. Two
 * lanes, so that an addition need not wait for the one before.
 */
uint32_t cksum_add(const void *p, size_t len, uint32_t sum)
{
	struct lane even = { .sum = sum }, odd = { 0 };
	const unsigned char *at = p;
	uint64_t total;

	for (; len >= 64; len -= 64, at += 64) {
		lane_add(&even, at);
		lane_add(&odd, at + 8);
		lane_add(&even, at + 16);
		lane_add(&odd, at + 24);
		lane_add(&even, at + 32);
		lane_add(&odd, at + 40);
		lane_add(&even, at + 48);
		lane_add(&odd, at + 56);
	}
	for (; len >= 8; len -= 8, at += 8)
		lane_add(&even, at);
	total = add64(add64(even.sum, even.carry), add64(odd.sum, odd.carry));
	if (len)
		total = add64(total, load_tail(at, len));
	total = (total & 0xffffffff) + (total >> 32);
	return (uint32_t)((total & 0xffffffff) + (total >> 32));
}

/* The reflected polynomial 0x82f63b78, four bits at a time: small enough to be read. */
static const uint32_t crc32c_nibble[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t cksum_crc32c(const void *p, size_t len, uint32_t crc)
{
	const unsigned char *at = p;

	crc = ~crc;
	for (; len; len--) {
		crc ^= *at++;
		crc = crc >> 4 ^ crc32c_nibble[crc & 15];
		crc = crc >> 4 ^ crc32c_nibble[crc & 15];
	}
	return ~crc;
}
