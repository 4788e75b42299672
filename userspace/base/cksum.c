/* SPDX-License-Identifier: MIT */
/* The Internet checksum over a block of memory, as fast as memory is read, and CRC-32C. */
#include "base/cksum.h"

#include <string.h>

/* Two 64-bit lanes: what every x86-64 and ARMv8 adds at once. */
typedef uint64_t lanes __attribute__((vector_size(16)));

/*
 * 32-bit words added up in 64 bits, where 2^32 of them have room: no carry to look after. Blocks
 * of 32 bytes with two sums for each half, so that an addition need not wait for the one before.
 */
static uint64_t add_blocks(const unsigned char *at, size_t n_blocks)
{
	lanes low = { 0 }, high = { 0 }, low2 = { 0 }, high2 = { 0 };

	for (; n_blocks; n_blocks--, at += 32) {
		lanes a, b;

		memcpy(&a, at, sizeof(a));
		memcpy(&b, at + sizeof(a), sizeof(b));
		low += a & 0xffffffff;
		high += a >> 32;
		low2 += b & 0xffffffff;
		high2 += b >> 32;
	}
	low += high + low2 + high2;
	return low[0] + low[1];
}

/* Less than a block. Words of any size may be added, as each lies at an even offset. */
static uint64_t add_rest(const unsigned char *at, size_t len)
{
	uint64_t sum = 0, two;
	uint32_t word;
	uint16_t half = 0;

	for (; len >= sizeof(two); len -= sizeof(two), at += sizeof(two)) {
		memcpy(&two, at, sizeof(two));
		sum += (two & 0xffffffff) + (two >> 32);
	}
	if (len & 4) {
		memcpy(&word, at, sizeof(word));
		sum += word;
		at += sizeof(word);
	}
	if (len & 2) {
		memcpy(&half, at, sizeof(half));
		sum += half;
		at += sizeof(half);
		half = 0;
	}
	if (len & 1)
		memcpy(&half, at, 1); /* a zero behind it */
	return sum + half;
}

uint32_t cksum_add(const void *p, size_t len, uint32_t sum)
{
	const unsigned char *at = p;
	size_t whole = len & ~(size_t)31;
	uint64_t total = sum;

	if (whole)
		total += add_blocks(at, whole / 32);
	total += add_rest(at + whole, len - whole);
	/* a sum of 32-bit words folds to the same 16 bits as that of the 16-bit words in them */
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
