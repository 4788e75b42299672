/* SPDX-License-Identifier: MIT */
/*
 * Memory for code that may not allocate: an arena is cut up once, at the start; a pool gives out
 * pieces of one size from it and takes them back. A pool that is empty says so, which its user
 * counts: being full is a decision, not an accident.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * An arena without memory measures: it hands out NULL and adds up what would be needed, so that the
 * code that cuts it also says how large it has to be.
 */
struct arena {
	uint8_t *mem; /* aligned for anything; NULL = measure */
	size_t size, used; /* used > size: it was too small */
};

/* `count` pieces of `size` bytes, zeroed; NULL when measuring or when they do not fit. */
void *arena_take(struct arena *a, size_t count, size_t size);

struct pool_free;

struct pool {
	struct pool_free *free;
	size_t item_size;
	uint32_t capacity, used, peak;
	uint64_t refused; /* times that it was empty */
};

/* Takes room for `capacity` items. To be judged by the arena, whether that went well. */
void pool_init(struct pool *p, struct arena *a, uint32_t capacity, size_t item_size);

/* A zeroed item, or NULL. */
void *pool_get(struct pool *p);
void pool_put(struct pool *p, void *item);
