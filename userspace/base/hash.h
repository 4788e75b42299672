/* SPDX-License-Identifier: MIT */
/*
 * A hash table whose links lie in what it holds, with chains and a fixed number of buckets. The
 * hash of keys that strangers choose is seeded, so that they cannot fill one chain. What is equal
 * only the user knows, who walks the items of one hash:
 *
 *	for (n = hash_first(h, key); n; n = hash_next(n))
 *		if (equal(list_item(n, struct thing, node), …))
 */
#pragma once

#include "base/pool.h"

struct hash_node {
	struct hash_node *next;
	uint32_t key;
};

struct hash {
	struct hash_node **buckets;
	uint32_t mask, count, seed;
};

/* Takes buckets for about `capacity` items. To be judged by the arena, whether that went well. */
void hash_init(struct hash *h, struct arena *a, uint32_t capacity, uint32_t seed);

/* The hash of up to three words. */
uint32_t hash_key(const struct hash *h, uint32_t a, uint32_t b, uint32_t c);

struct hash_node *hash_first(const struct hash *h, uint32_t key);
struct hash_node *hash_next(const struct hash_node *n); /* the next with the same hash */

void hash_add(struct hash *h, struct hash_node *n, uint32_t key);
void hash_del(struct hash *h, struct hash_node *n); /* must be in it */
