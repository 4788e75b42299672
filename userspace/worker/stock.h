/* SPDX-License-Identifier: MIT */
/*
 * How many packet buffers the kernel is to have. All of them go through caches in turn, so the
 * fewer there are, the faster is every frame; the more, the larger a burst may be, and the longer
 * may a worker be held up. So there are all of them, but for a fast stream that never needs half
 * of what there is: then half as many, down to a few. When they run low there are twice as many
 * again. When not even all are enough for a fast stream, more comes than can be moved, and a long
 * backlog would only make what is moved late and slow; unless it is of many thin flows, which need
 * one to make runs of. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define STOCK_LEAST	2048u
#define STOCK_WINDOW_NS 20000000u
#define STOCK_FAST	10000u /* buffers taken in a window: half a million a second */

struct stock {
	uint32_t total, least;
	uint32_t level;	   /* what the kernel is to have, those included that it has filled */
	uint64_t since_ns; /* begin of the window */
	uint64_t taken;	   /* in it */
	bool has_run_low;  /* in it */
	bool is_fast;	   /* the window before was */
	bool is_flooded;   /* since all of them were not enough */
};

void stock_init(struct stock *s, uint32_t total);

/*
 * The level from now on: `left` are empty in the kernel's hands, `taken` came since the last call.
 * `wants_backlog`: a long one is worth it.
 */
uint32_t stock_level(struct stock *s, uint64_t now_ns, uint32_t left, uint32_t taken,
		     bool wants_backlog);
