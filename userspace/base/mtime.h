/* SPDX-License-Identifier: MIT */
/* A point or a span of monotonic time, wrapped so that it cannot be mixed with other integers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mtime {
	int64_t us;
};

#define MTIME_NEVER ((struct mtime){ INT64_MAX })

static inline struct mtime mtime_ms(int64_t ms)
{
	return (struct mtime){ ms * 1000 };
}

/* `at` plus `span`; never stays never. */
static inline struct mtime mtime_add(struct mtime at, struct mtime span)
{
	if (at.us == INT64_MAX || span.us == INT64_MAX)
		return MTIME_NEVER;
	return (struct mtime){ at.us + span.us };
}

/* `span`, `n` times. */
static inline struct mtime mtime_times(struct mtime span, int64_t n)
{
	return (struct mtime){ span.us * n };
}

static inline struct mtime mtime_min(struct mtime a, struct mtime b)
{
	return a.us < b.us ? a : b;
}

static inline struct mtime mtime_sub(struct mtime a, struct mtime b)
{
	return (struct mtime){ a.us - b.us };
}

static inline bool mtime_before(struct mtime a, struct mtime b)
{
	return a.us < b.us;
}
