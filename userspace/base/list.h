/* SPDX-License-Identifier: MIT */
/*
 * Doubly linked lists whose links lie in what they link. A list is a ring through its head; a link
 * that is in no list points at itself, so that taking it out twice does no harm.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* What holds this link. */
#define list_item(link, type, field) ((type *)(void *)((char *)(link) - offsetof(type, field)))
#define list_item_const(link, type, field)                                                         \
	((const type *)(const void *)((const char *)(link) - offsetof(type, field)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Puts `link` at the end. */
static inline void list_add(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void list_del(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}
