/* SPDX-License-Identifier: MIT */
/* Sets of ports, as bits. A port is an index into the table of interfaces. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PORTS_MAX 512
#define PORT_NONE UINT32_MAX

struct portset {
	uint64_t w[PORTS_MAX / 64];
};

#define PORTSET_WORDS (PORTS_MAX / 64)

static inline bool portset_has(const struct portset *s, uint32_t port)
{
	return port < PORTS_MAX && s->w[port / 64] >> port % 64 & 1;
}

static inline void portset_add(struct portset *s, uint32_t port)
{
	if (port < PORTS_MAX)
		s->w[port / 64] |= 1ull << port % 64;
}

static inline void portset_del(struct portset *s, uint32_t port)
{
	if (port < PORTS_MAX)
		s->w[port / 64] &= ~(1ull << port % 64);
}

static inline bool portset_empty(const struct portset *s)
{
	uint64_t any = 0;

	for (int i = 0; i < PORTSET_WORDS; i++)
		any |= s->w[i];
	return !any;
}

static inline bool portset_equal(const struct portset *a, const struct portset *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* In either. */
static inline struct portset portset_or(struct portset a, struct portset b)
{
	for (int i = 0; i < PORTSET_WORDS; i++)
		a.w[i] |= b.w[i];
	return a;
}

/* In the first only. */
static inline struct portset portset_minus(struct portset a, struct portset b)
{
	for (int i = 0; i < PORTSET_WORDS; i++)
		a.w[i] &= ~b.w[i];
	return a;
}

/* In both. */
static inline struct portset portset_and(struct portset a, struct portset b)
{
	for (int i = 0; i < PORTSET_WORDS; i++)
		a.w[i] &= b.w[i];
	return a;
}

/* The first port at `from` or above, PORT_NONE when there is none. */
static inline uint32_t portset_next(const struct portset *s, uint32_t from)
{
	for (uint32_t port = from; port < PORTS_MAX; port = (port / 64 + 1) * 64) {
		uint64_t rest = s->w[port / 64] >> port % 64;

		if (rest)
			return port + (uint32_t)__builtin_ctzll(rest);
	}
	return PORT_NONE;
}
