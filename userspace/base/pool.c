/* SPDX-License-Identifier: MIT */
/* Arenas and pools. */
#include "base/pool.h"

#include <string.h>

#define ALIGN 16

struct pool_free {
	struct pool_free *next;
};

void *arena_take(struct arena *a, size_t count, size_t size)
{
	size_t bytes, at = a->used;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2 - at) {
		a->used = SIZE_MAX / 2;
		return NULL;
	}
	a->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (!a->mem || a->used > a->size)
		return NULL;
	return memset(a->mem + at, 0, bytes);
}

static size_t item_room(size_t item_size)
{
	size_t room = item_size < sizeof(struct pool_free) ? sizeof(struct pool_free) : item_size;

	return (room + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
}

void pool_init(struct pool *p, struct arena *a, uint32_t capacity, size_t item_size)
{
	size_t room = item_room(item_size);
	uint8_t *mem = arena_take(a, capacity, room);

	*p = (struct pool){ .item_size = item_size, .capacity = capacity };
	for (uint32_t i = capacity; mem && i > 0; i--) {
		struct pool_free *item = (struct pool_free *)(void *)(mem + (i - 1) * room);

		item->next = p->free;
		p->free = item;
	}
}

void *pool_get(struct pool *p)
{
	struct pool_free *item = p->free;

	if (!item) {
		p->refused++;
		return NULL;
	}
	p->free = item->next;
	if (++p->used > p->peak)
		p->peak = p->used;
	return memset(item, 0, p->item_size);
}

void pool_put(struct pool *p, void *item)
{
	struct pool_free *head = item;

	head->next = p->free;
	p->free = head;
	p->used--;
}
