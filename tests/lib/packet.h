/* SPDX-License-Identifier: MIT */
/*
 * For tests: frames written byte by byte from what they shall say, with checksums by definition
 * (RFC 1071 §1) instead of by the code under test. Addresses and ports are in host order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKET_UDP 17
#define PACKET_ESP 50

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* Where things are in a frame. */
enum {
	AT_TYPE = 12,
	AT_IP = 14,
	AT_TOS = 15,
	AT_LEN = 16,
	AT_FRAG = 20,
	AT_TTL = 22,
	AT_PROTO = 23,
	AT_IP_CHECK = 24,
	AT_SOURCE = 26,
	AT_DEST = 30,
	AT_UDP = 34,
	AT_UDP_LEN = 38,
	AT_UDP_CHECK = 40,
	AT_PAYLOAD = 42,
};

enum packet_checksum { PACKET_FULL, PACKET_PARTIAL, PACKET_NONE };

struct packet {
	uint32_t source, dest;
	uint16_t sport, dport, id;
	uint8_t ttl, tos, protocol;
	bool df;
	uint8_t checksum; /* enum packet_checksum */
	uint8_t dst_mac[6], src_mac[6];
};

/* 198.18.0.1:4000 → 239.1.1.1:5001 with TTL 8. */
static inline struct packet packet_sample(void)
{
	return (struct packet){
		.source = IP(198, 18, 0, 1),
		.dest = IP(239, 1, 1, 1),
		.sport = 4000,
		.dport = 5001,
		.id = 0x1234,
		.ttl = 8,
		.tos = 0xb8,
		.protocol = PACKET_UDP,
		.df = true,
		.dst_mac = { 0x01, 0x00, 0x5e, 0x01, 0x01, 0x01 },
		.src_mac = { 0x02, 0x00, 0x00, 0x00, 0x00, 0x01 },
	};
}

static inline void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static inline uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* The sum of big-endian words, an odd byte as if a zero followed, carried around. */
static inline uint32_t plain_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Of the pseudo-header: addresses as in the IP header at `ip`, protocol, length. */
static inline uint32_t plain_pseudo(const uint8_t *ip, size_t udp_len)
{
	uint32_t sum = plain_sum(ip + 12, 8, 0) + PACKET_UDP + (uint32_t)udp_len;

	return (sum & 0xffff) + (sum >> 16);
}

/* Writes the IP header's checksum. */
static inline void packet_finish_ip(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, ~plain_sum(ip, 20, 0) & 0xffff);
}

/* What a UDP datagram behind the IP header has to have in its checksum field. */
static inline uint32_t packet_udp_check(const uint8_t *ip, size_t udp_len)
{
	uint8_t head[8];
	uint32_t sum;

	memcpy(head, ip + 20, 8);
	put16(head + 6, 0);
	sum = plain_sum(head, 8, plain_pseudo(ip, udp_len));
	sum = ~plain_sum(ip + 28, udp_len - 8, sum) & 0xffff;
	return sum ? sum : 0xffff;
}

/* Writes a frame with `len` bytes of payload, which begins at AT_PAYLOAD (ESP: AT_UDP). */
static inline size_t packet_write(uint8_t *at, const struct packet *p, const void *payload,
				  size_t len)
{
	size_t udp_len = len + 8, head = p->protocol == PACKET_UDP ? 28 : 20;
	uint8_t *ip = at + AT_IP;

	memcpy(at, p->dst_mac, 6);
	memcpy(at + 6, p->src_mac, 6);
	put16(at + AT_TYPE, 0x0800);
	memset(ip, 0, head);
	ip[0] = 0x45;
	ip[1] = p->tos;
	put16(ip + 2, (uint32_t)(head + len));
	put16(ip + 4, p->id);
	put16(ip + 6, p->df ? 0x4000 : 0);
	ip[8] = p->ttl;
	ip[9] = p->protocol;
	put32(ip + 12, p->source);
	put32(ip + 16, p->dest);
	packet_finish_ip(ip);
	if (len)
		memcpy(ip + head, payload, len);
	if (p->protocol != PACKET_UDP)
		return AT_IP + head + len;
	put16(ip + 20, p->sport);
	put16(ip + 22, p->dport);
	put16(ip + 24, (uint32_t)udp_len);
	if (p->checksum == PACKET_FULL)
		put16(ip + 26, packet_udp_check(ip, udp_len));
	else if (p->checksum == PACKET_PARTIAL)
		put16(ip + 26, plain_pseudo(ip, udp_len));
	return AT_PAYLOAD + len;
}

/* A small generator of its own, so that a seed means the same everywhere. */
static inline uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return random_next(state) % n;
}

static inline void random_fill(uint64_t *state, uint8_t *p, size_t len)
{
	while (len--)
		*p++ = (uint8_t)random_next(state);
}

/* The seed of this run, from the environment (SEED) or the clock; printed, so that it can be had
 * again. */
static inline uint64_t random_seed(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

	printf("SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}
