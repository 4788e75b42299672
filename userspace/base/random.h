/* SPDX-License-Identifier: MIT */
/*
 * Numbers for jitter, from a seed: the same seed, the same numbers, so that what depends on them
 * can be repeated. Not for secrets.
 */
#pragma once

#include <stdint.h>

struct random {
	uint64_t state;
};

static inline struct random random_init(uint64_t seed)
{
	return (struct random){ seed };
}

/* SplitMix64. */
static inline uint64_t random_u64(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* From `low` to `high`, both included. */
static inline uint32_t random_in(struct random *r, uint32_t low, uint32_t high)
{
	return low + (uint32_t)(random_u64(r) % ((uint64_t)high - low + 1));
}
