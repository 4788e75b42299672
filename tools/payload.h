/* SPDX-License-Identifier: MIT */
/*
 * What mcrgen puts into each datagram and mcrsink takes apart; numbers in network order.
 *
 *  0       4       8       12      14      16              24              32      36
 *  +-------+-------+-------+-------+-------+---------------+---------------+-------+--------…
 *  | magic | run   | flow  | flags | length| sequence      | sent_ns       | check | body
 *  +-------+-------+-------+-------+-------+---------------+---------------+-------+--------…
 *
 * `run` tells one start of mcrgen from another, `length` is that of the UDP payload, `sent_ns` is
 * CLOCK_MONOTONIC. `check` covers the header. The body needs none: it follows from flow and
 * sequence (or, with PAYLOAD_FIXED_BODY, from nothing), so every byte of it is compared with what
 * it must be, which no CRC could do better. Shared with the generator in BPF.
 */
#pragma once

#include <linux/types.h>

#if defined(__bpf__)
#include <bpf/bpf_endian.h>
#define payload_be16(x) bpf_htons(x)
#define payload_be32(x) bpf_htonl(x)
#define payload_be64(x) bpf_cpu_to_be64(x)
#define payload_inline	static __attribute__((always_inline)) inline
#else
#include <endian.h>
#include <string.h>
#define payload_be16(x) htobe16(x)
#define payload_be32(x) htobe32(x)
#define payload_be64(x) htobe64(x)
#define payload_inline	static inline
#endif

#define PAYLOAD_MAGIC  0x6d637250u /* "mcrP" */
#define PAYLOAD_HEADER 36
#define PAYLOAD_MAX    65507 /* of UDP over IPv4 */

#define PAYLOAD_FIXED_BODY 1 /* flag: the same body in all datagrams of this length */

/* As it lies in the datagram. */
struct payload_wire {
	__u32 magic, run, flow;
	__u16 flags, length;
	__u64 sequence, sent_ns;
	__u32 check;
} __attribute__((packed));

struct payload {
	__u32 run, flow;
	__u16 flags, length;
	__u64 sequence, sent_ns;
};

enum payload_state {
	PAYLOAD_GOOD,
	PAYLOAD_FOREIGN,    /* too short, or another magic */
	PAYLOAD_BAD_HEADER, /* nothing in it can be believed */
	PAYLOAD_BAD_BODY,   /* the header is right, so flow and sequence are known */
};

/* Multiplication by an odd number and this shift both lose nothing: no two headers that differ in
 * one word are the same before the upper half is cut off. */
payload_inline __u64 payload_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9fb21c651e98df25ull;
	return h ^ h >> 32;
}

payload_inline __u32 payload_check(const struct payload *p)
{
	__u64 h = payload_mix(PAYLOAD_MAGIC, (__u64)p->run << 32 | p->flow);

	h = payload_mix(h, (__u64)p->flags << 16 | p->length);
	h = payload_mix(h, p->sequence);
	return (__u32)payload_mix(h, p->sent_ns);
}

/* What the body of a datagram is made from. */
payload_inline __u64 payload_seed(const struct payload *p)
{
	if (p->flags & PAYLOAD_FIXED_BODY)
		return PAYLOAD_MAGIC;
	return payload_mix(p->flow, p->sequence);
}

/* The body's 64-bit words, least significant byte first; the last one may be cut. */
payload_inline __u64 payload_word(__u64 seed, __u32 i)
{
	seed += i * 0x9e3779b97f4a7c15ull;
	return seed ^ seed >> 29;
}

payload_inline void payload_write_header(struct payload_wire *w, const struct payload *p)
{
	w->magic = payload_be32(PAYLOAD_MAGIC);
	w->run = payload_be32(p->run);
	w->flow = payload_be32(p->flow);
	w->flags = payload_be16(p->flags);
	w->length = payload_be16(p->length);
	w->sequence = payload_be64(p->sequence);
	w->sent_ns = payload_be64(p->sent_ns);
	w->check = payload_be32(payload_check(p));
}

#if !defined(__bpf__)

/* The body of a datagram whose header says `p`; `body` has p->length − PAYLOAD_HEADER bytes. */
static inline void payload_write_body(unsigned char *body, const struct payload *p)
{
	__u32 len = p->length - PAYLOAD_HEADER, i = 0;
	__u64 seed = payload_seed(p), word;

	for (; len >= 8; len -= 8, body += 8) {
		word = htole64(payload_word(seed, i++));
		memcpy(body, &word, 8);
	}
	word = htole64(payload_word(seed, i));
	memcpy(body, &word, len);
}

static inline int payload_is_body(const unsigned char *body, const struct payload *p)
{
	__u32 len = p->length - PAYLOAD_HEADER, i = 0;
	__u64 seed = payload_seed(p), word, differs = 0;

	for (; len >= 8; len -= 8, body += 8) {
		memcpy(&word, body, 8);
		differs |= word ^ htole64(payload_word(seed, i++));
	}
	word = htole64(payload_word(seed, i));
	return !differs && memcmp(&word, body, len) == 0;
}

/* Takes a datagram apart. `p` is filled unless it is foreign or its header is bad. */
static inline enum payload_state payload_read(const void *datagram, __u32 len, struct payload *p)
{
	struct payload_wire w;

	if (len < PAYLOAD_HEADER)
		return PAYLOAD_FOREIGN;
	memcpy(&w, datagram, sizeof(w));
	if (w.magic != payload_be32(PAYLOAD_MAGIC))
		return PAYLOAD_FOREIGN;
	p->run = be32toh(w.run);
	p->flow = be32toh(w.flow);
	p->flags = be16toh(w.flags);
	p->length = be16toh(w.length);
	p->sequence = be64toh(w.sequence);
	p->sent_ns = be64toh(w.sent_ns);
	if (be32toh(w.check) != payload_check(p) || p->length != len)
		return PAYLOAD_BAD_HEADER;
	if (!payload_is_body((const unsigned char *)datagram + PAYLOAD_HEADER, p))
		return PAYLOAD_BAD_BODY;
	return PAYLOAD_GOOD;
}

#endif
