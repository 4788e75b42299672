/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071, RFC 1624) and CRC-32C. Partial sums are in the byte order of
 * memory: what is added is 16-bit words as they lie there, so nothing is ever swapped and a
 * finished sum is stored as it is. Fields passed singly (addresses, ports) are in network order.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Adds `len` bytes at any alignment to the partial sum `sum` (0 to begin with). An odd last byte
 * counts as if a zero followed it, so only the last piece of a datagram may have an odd length.
 */
uint32_t cksum_add(const void *p, size_t len, uint32_t sum);

/* One 32-bit or 16-bit field more. */
static inline uint32_t cksum_add32(uint32_t net, uint32_t sum)
{
	sum += net;
	return sum + (sum < net);
}

static inline uint32_t cksum_add16(uint16_t net, uint32_t sum)
{
	return cksum_add32(net, sum);
}

/* The 16-bit one's-complement sum, not complemented: 0xffff over data with a right checksum. */
static inline uint16_t cksum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* What goes into a checksum field. */
static inline uint16_t cksum_finish(uint32_t sum)
{
	return (uint16_t)~cksum_fold(sum);
}

/* The same for UDP, where 0 would mean that there is none (RFC 768). */
static inline uint16_t cksum_finish_udp(uint32_t sum)
{
	uint16_t check = cksum_finish(sum);

	return check ? check : 0xffff;
}

/* The pseudo-header of UDP; `len` (host order) is that of UDP header and payload. */
static inline uint32_t cksum_pseudo(uint32_t source_net, uint32_t dest_net, uint8_t protocol,
				    uint16_t len)
{
	uint8_t tail[4] = { 0, protocol, (uint8_t)(len >> 8), (uint8_t)len };
	uint32_t word;

	__builtin_memcpy(&word, tail, sizeof(word));
	return cksum_add32(word, cksum_add32(dest_net, source_net));
}

/*
 * A checksum field after one 16-bit word that it covers went from `before` to `after`
 * (RFC 1624 eqn. 3). For UDP the caller leaves a field of 0 alone and stores 0 as 0xffff.
 */
static inline uint16_t cksum_update16(uint16_t check, uint16_t before, uint16_t after)
{
	uint32_t sum = (uint16_t)~check;

	return cksum_finish(sum + (uint16_t)~before + after);
}

/* The same for a 32-bit word, such as an address. */
static inline uint16_t cksum_update32(uint16_t check, uint32_t before, uint32_t after)
{
	return cksum_finish(cksum_add32(after, cksum_add32(~before, (uint16_t)~check)));
}

/* CRC-32C (Castagnoli, RFC 3720 §12.1) of `len` bytes; `crc` is 0 or that of what came before. */
uint32_t cksum_crc32c(const void *p, size_t len, uint32_t crc);
