/* SPDX-License-Identifier: MIT */
/* The heap of timers. */
#include "base/heap.h"

void heap_init(struct heap *h, struct arena *a, uint32_t capacity)
{
	*h = (struct heap){ .capacity = capacity };
	h->nodes = arena_take(a, capacity, sizeof(struct heap_node *));
}

/* Places are 1-based: the parent of `at` is at / 2. */
static void place(struct heap *h, struct heap_node *n, uint32_t at)
{
	h->nodes[at - 1] = n;
	n->at = at;
}

static void sift_up(struct heap *h, struct heap_node *n, uint32_t at)
{
	for (; at > 1 && mtime_before(n->due, h->nodes[at / 2 - 1]->due); at /= 2)
		place(h, h->nodes[at / 2 - 1], at);
	place(h, n, at);
}

static void sift_down(struct heap *h, struct heap_node *n, uint32_t at)
{
	for (uint32_t child = at * 2; child <= h->n; child = at * 2) {
		if (child < h->n && mtime_before(h->nodes[child]->due, h->nodes[child - 1]->due))
			child++;
		if (!mtime_before(h->nodes[child - 1]->due, n->due))
			break;
		place(h, h->nodes[child - 1], at);
		at = child;
	}
	place(h, n, at);
}

static void take_out(struct heap *h, struct heap_node *n)
{
	struct heap_node *last = h->nodes[--h->n];
	uint32_t at = n->at;

	n->at = 0;
	if (last == n)
		return;
	sift_down(h, last, at);
	sift_up(h, last, last->at);
}

void heap_set(struct heap *h, struct heap_node *n, struct mtime due)
{
	if (n->at)
		take_out(h, n);
	n->due = due;
	if (due.us != MTIME_NEVER.us && h->n < h->capacity)
		sift_up(h, n, ++h->n);
}
