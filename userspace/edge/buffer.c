/* SPDX-License-Identifier: MIT */
/* Growing, counting and giving back. */
#include "edge/buffer.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_FIRST 4096u
#define BUFFER_FREE  (32u << 10)  /* a buffer up to this size does not count */
#define BUFFER_LARGE (256u << 10) /* giving one back is worth a trim of the heap */

static size_t buffer_counted(size_t cap)
{
	return cap > BUFFER_FREE ? cap : 0;
}

void buffer_release(size_t *held, struct buffer *b)
{
	*held -= buffer_counted(b->cap);
	free(b->bytes);
	/* The allocator would keep it for ever in case another large request comes. */
	if (b->cap >= BUFFER_LARGE)
		malloc_trim(0);
	*b = (struct buffer){ 0 };
}

int buffer_reserve(size_t *held, size_t bound, struct buffer *b, size_t more)
{
	size_t len = buffer_len(b), cap = b->cap ? b->cap : BUFFER_FIRST;
	size_t others = *held - buffer_counted(b->cap);
	char *bytes;

	if (b->cap - b->end >= more && b->bytes)
		return 0;
	if (b->start) {
		memmove(b->bytes, b->bytes + b->start, len);
		b->start = 0;
		b->end = len;
	}
	while (cap - len < more)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	if (buffer_counted(cap) && others + cap > bound)
		return -ENOBUFS;
	bytes = realloc(b->bytes, cap);
	if (!bytes)
		return -ENOMEM;
	*held = others + buffer_counted(cap);
	b->bytes = bytes;
	b->cap = cap;
	return 0;
}
