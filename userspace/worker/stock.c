/* SPDX-License-Identifier: MIT */
/* How many buffers the kernel is to have. */
#include "worker/stock.h"

void stock_init(struct stock *s, uint32_t total)
{
	uint32_t least = total < STOCK_LEAST ? total : STOCK_LEAST;

	*s = (struct stock){ .total = total, .least = least, .level = total };
}

/* Fewer than half of the level are left. Levels are powers of two times the least. */
static void stock_low(struct stock *s, uint32_t left, bool wants_backlog)
{
	s->has_run_low = true;
	if (s->level < s->total) {
		if (!s->is_flooded || wants_backlog)
			s->level *= 2;
	} else if (left < s->total / 8 && s->is_fast && !wants_backlog) {
		s->level = s->least;
		s->is_flooded = true;
	}
}

static void stock_window(struct stock *s, uint64_t now_ns)
{
	s->is_fast = s->taken * STOCK_WINDOW_NS >= STOCK_FAST * (now_ns - s->since_ns);
	if (!s->is_fast) {
		s->level = s->total;
		s->is_flooded = false;
	} else if (!s->has_run_low) {
		if (s->level > s->least)
			s->level /= 2;
		s->is_flooded = false;
	}
	s->since_ns = now_ns;
	s->taken = 0;
	s->has_run_low = false;
}

uint32_t stock_level(struct stock *s, uint64_t now_ns, uint32_t left, uint32_t taken,
		     bool wants_backlog)
{
	s->taken += taken;
	if (left < s->level / 2)
		stock_low(s, left, wants_backlog);
	if (now_ns - s->since_ns >= STOCK_WINDOW_NS)
		stock_window(s, now_ns);
	return s->level;
}
