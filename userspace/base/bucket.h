/* SPDX-License-Identifier: MIT */
/*
 * A token bucket in one word: when the bucket would be full again. So many a second on average, and
 * a burst of so many at once.
 */
#pragma once

#include "base/mtime.h"

struct bucket {
	struct mtime full_at;
};

/* Takes a token if there is one. */
static inline bool bucket_take(struct bucket *b, struct mtime now, uint32_t per_s, uint32_t burst)
{
	int64_t at = b->full_at.us > now.us ? b->full_at.us : now.us, step;

	if (!per_s || !burst)
		return false;
	step = 1000000 / per_s;
	if (at - now.us > step * (burst - 1))
		return false;
	b->full_at.us = at + step;
	return true;
}
