/* SPDX-License-Identifier: MIT */
/* Delays in logarithmic buckets: LATENCY_FINE equal steps in each doubling. */
#include "mcrsink.h"

#include <math.h>

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t doublings, i;

	if (ns < LATENCY_FINE)
		return (uint32_t)ns;
	doublings = 63u - (uint32_t)__builtin_clzll(ns) - 5; /* 2^5 = LATENCY_FINE */
	i = (doublings + 1) * LATENCY_FINE + (uint32_t)((ns >> doublings) & (LATENCY_FINE - 1));
	return i < LATENCY_BUCKETS ? i : LATENCY_BUCKETS - 1;
}

/* The highest delay that belongs into a bucket. */
static uint64_t bucket_top(uint32_t i)
{
	uint32_t doublings;

	if (i < LATENCY_FINE)
		return i;
	doublings = i / LATENCY_FINE - 1;
	return ((uint64_t)(LATENCY_FINE + i % LATENCY_FINE + 1) << doublings) - 1;
}

void latency_add(struct sink_latency *l, uint64_t ns)
{
	if (!l->n || ns < l->min_ns)
		l->min_ns = ns;
	if (ns > l->max_ns)
		l->max_ns = ns;
	l->n++;
	l->buckets[bucket_of(ns)]++;
}

void latency_merge(struct sink_latency *into, const struct sink_latency *from)
{
	uint32_t i;

	if (!from->n)
		return;
	if (!into->n || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->n += from->n;
	for (i = 0; i < LATENCY_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t latency_percentile(const struct sink_latency *l, double share)
{
	uint64_t rank = (uint64_t)ceil(share * (double)l->n), seen = 0, top;
	uint32_t i;

	if (!l->n)
		return 0;
	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		seen += l->buckets[i];
		if (seen >= rank)
			break;
	}
	top = bucket_top(i);
	return top < l->max_ns ? top : l->max_ns;
}
