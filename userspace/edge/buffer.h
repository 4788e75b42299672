/* SPDX-License-Identifier: MIT */
/* A byte queue that grows on demand. What all of them hold together is counted and has a bound. */
#pragma once

#include <stddef.h>

struct buffer {
	char *bytes;
	size_t start, end, cap; /* content is bytes[start…end) */
};

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

/* Gives its memory back; *held becomes less by what it counted. */
void buffer_release(size_t *held, struct buffer *b);

/*
 * Makes room for `more` bytes behind the content: moves it to the front, then grows. Small buffers
 * do not count, so that there is always one to be had. -ENOBUFS when *held would pass `bound`,
 * -ENOMEM; the content stays as it was.
 */
int buffer_reserve(size_t *held, size_t bound, struct buffer *b, size_t more);
