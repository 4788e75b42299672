/* SPDX-License-Identifier: MIT */
/*
 * Timers by when they are due: a binary heap of pointers to nodes that lie in what they belong to.
 * Setting and clearing are logarithmic. Who moves deadlines later all the time leaves the node
 * where it is and sets it again when it is due too early.
 */
#pragma once

#include <stdbool.h>

#include "base/mtime.h"
#include "base/pool.h"

struct heap_node {
	struct mtime due;
	uint32_t at; /* 1-based place in the heap, 0 = not in it */
};

struct heap {
	struct heap_node **nodes;
	uint32_t n, capacity;
};

/* Takes room for `capacity` nodes. To be judged by the arena, whether that went well. */
void heap_init(struct heap *h, struct arena *a, uint32_t capacity);

/* Puts the node in, or moves it; MTIME_NEVER takes it out. There must be room for it. */
void heap_set(struct heap *h, struct heap_node *n, struct mtime due);

/* The node that is due first, or NULL. */
static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->n ? h->nodes[0] : NULL;
}

/* When the first is due. */
static inline struct mtime heap_next(const struct heap *h)
{
	return h->n ? h->nodes[0]->due : MTIME_NEVER;
}
