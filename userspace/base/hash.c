/* SPDX-License-Identifier: MIT */
/* The hash table. */
#include "base/hash.h"

void hash_init(struct hash *h, struct arena *a, uint32_t capacity, uint32_t seed)
{
	uint32_t n = 16;

	while (n < capacity && n < 1u << 24)
		n *= 2;
	*h = (struct hash){ .mask = n - 1, .seed = seed };
	h->buckets = arena_take(a, n, sizeof(struct hash_node *));
}

/* A word more; multiplications by odd constants and shifts lose nothing (after MurmurHash3). */
static uint32_t mix(uint32_t sum, uint32_t word)
{
	word *= 0xcc9e2d51;
	word = word << 15 | word >> 17;
	sum ^= word * 0x1b873593;
	sum = sum << 13 | sum >> 19;
	return sum * 5 + 0xe6546b64;
}

uint32_t hash_key(const struct hash *h, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t sum = mix(mix(mix(h->seed, a), b), c);

	sum ^= sum >> 16;
	sum *= 0x85ebca6b;
	sum ^= sum >> 13;
	sum *= 0xc2b2ae35;
	return sum ^ sum >> 16;
}

static struct hash_node *same(struct hash_node *n, uint32_t key)
{
	while (n && n->key != key)
		n = n->next;
	return n;
}

struct hash_node *hash_first(const struct hash *h, uint32_t key)
{
	return same(h->buckets[key & h->mask], key);
}

struct hash_node *hash_next(const struct hash_node *n)
{
	return same(n->next, n->key);
}

void hash_add(struct hash *h, struct hash_node *n, uint32_t key)
{
	struct hash_node **bucket = &h->buckets[key & h->mask];

	*n = (struct hash_node){ .next = *bucket, .key = key };
	*bucket = n;
	h->count++;
}

void hash_del(struct hash *h, struct hash_node *n)
{
	struct hash_node **at = &h->buckets[n->key & h->mask];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	h->count--;
}
