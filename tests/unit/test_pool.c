/* SPDX-License-Identifier: MIT */
/* Memory that is cut up once: arenas, pools, and the tables and timers that live in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"

struct thing {
	struct hash_node node;
	struct heap_node timer;
	struct list link;
	uint32_t name;
};

static void measuring_tells_what_cutting_needs(void **state)
{
	struct arena measured = { 0 }, real;
	struct pool p;
	struct hash h;
	struct heap timers;

	for (int turn = 0; turn < 2; turn++) {
		struct arena *a = turn ? &real : &measured;

		if (turn) {
			real = (struct arena){ .mem = malloc(measured.used),
					       .size = measured.used };
			assert_non_null(real.mem);
		}
		assert_int_equal(arena_take(a, 3, 5) != NULL, turn);
		pool_init(&p, a, 100, sizeof(struct thing));
		hash_init(&h, a, 100, 1);
		heap_init(&timers, a, 100);
	}
	assert_int_equal(real.used, measured.used);
	assert_null(arena_take(&real, 1, 1));
	assert_true(real.used > real.size);
	free(real.mem);
}

static void sizes_that_overflow_are_refused(void **state)
{
	uint8_t block[64];
	struct arena a = { .mem = block, .size = sizeof(block) };

	assert_null(arena_take(&a, SIZE_MAX, 2));
	assert_true(a.used > a.size);
	assert_null(arena_take(&a, 1, 1));
	a = (struct arena){ 0 };
	assert_null(arena_take(&a, 1, SIZE_MAX));
	assert_true(a.used > SIZE_MAX / 4);
}

static void a_pool_gives_each_item_once(void **state)
{
	struct arena a = { .mem = malloc(4096), .size = 4096 };
	uint8_t *items[10];
	struct pool p;

	assert_non_null(a.mem);
	pool_init(&p, &a, 10, 12);
	for (int i = 0; i < 10; i++) {
		items[i] = pool_get(&p);
		assert_non_null(items[i]);
		for (int j = 0; j < 12; j++)
			assert_int_equal(items[i][j], 0);
		memset(items[i], 0xee, 12);
		for (int j = 0; j < i; j++)
			assert_true(llabs(items[i] - items[j]) >= 12);
	}
	assert_null(pool_get(&p));
	assert_int_equal(p.refused, 1);
	pool_put(&p, items[4]);
	assert_int_equal(p.used, 9);
	assert_ptr_equal(pool_get(&p), items[4]);
	assert_int_equal(items[4][0] | items[4][11], 0);
	assert_int_equal(p.peak, 10);
	free(a.mem);
}

static struct thing *find(const struct hash *h, uint32_t name)
{
	for (struct hash_node *n = hash_first(h, hash_key(h, name, 0, 0)); n; n = hash_next(n)) {
		struct thing *t = list_item(n, struct thing, node);

		if (t->name == name)
			return t;
	}
	return NULL;
}

static void what_is_in_a_table_is_found(void **state)
{
	static struct thing things[1000];
	struct arena a = { .mem = malloc(1 << 16), .size = 1 << 16 };
	uint32_t longest = 0;
	struct hash h;

	assert_non_null(a.mem);
	hash_init(&h, &a, 500, 77);
	for (uint32_t i = 0; i < 1000; i++) {
		things[i].name = i;
		hash_add(&h, &things[i].node, hash_key(&h, i, 0, 0));
	}
	for (uint32_t i = 0; i < 1000; i += 2)
		hash_del(&h, &things[i].node);
	assert_int_equal(h.count, 500);
	for (uint32_t i = 0; i < 1000; i++)
		assert_ptr_equal(find(&h, i), i % 2 ? &things[i] : NULL);
	for (uint32_t i = 0; i <= h.mask; i++) {
		uint32_t n = 0;

		for (struct hash_node *node = h.buckets[i]; node; node = node->next)
			n++;
		longest = n > longest ? n : longest;
	}
	assert_true(longest <= 8);
	free(a.mem);
}

static void every_word_and_the_seed_count(void **state)
{
	struct hash h = { .seed = 1 }, other = { .seed = 2 };

	assert_int_equal(hash_key(&h, 1, 2, 3), hash_key(&h, 1, 2, 3));
	assert_int_not_equal(hash_key(&h, 1, 2, 3), hash_key(&h, 1, 2, 4));
	assert_int_not_equal(hash_key(&h, 1, 2, 3), hash_key(&h, 1, 3, 3));
	assert_int_not_equal(hash_key(&h, 1, 2, 3), hash_key(&h, 2, 2, 3));
	assert_int_not_equal(hash_key(&h, 1, 2, 3), hash_key(&other, 1, 2, 3));
}

/* Against the plainest way to find the first. */
static void the_first_timer_is_the_earliest(void **state)
{
	static struct thing things[64];
	struct arena a = { .mem = malloc(4096), .size = 4096 };
	struct heap h;

	assert_non_null(a.mem);
	heap_init(&h, &a, 64);
	srand(4);
	for (int i = 0; i < 64; i++)
		things[i].timer.due = MTIME_NEVER;
	assert_null(heap_first(&h));
	for (int round = 0; round < 20000; round++) {
		struct heap_node *n = &things[rand() % 64].timer;
		struct mtime least = MTIME_NEVER;
		uint32_t in = 0;

		heap_set(&h, n, rand() % 3 ? mtime_ms(rand() % 50) : MTIME_NEVER);
		for (int i = 0; i < 64; i++) {
			in += things[i].timer.at != 0;
			if (mtime_before(things[i].timer.due, least))
				least = things[i].timer.due;
		}
		assert_int_equal(h.n, in);
		assert_int_equal(heap_next(&h).us, least.us);
		if (heap_first(&h))
			assert_int_equal(heap_first(&h)->due.us, least.us);
	}
	free(a.mem);
}

static void lists_keep_their_order(void **state)
{
	struct thing things[3] = { { .name = 0 }, { .name = 1 }, { .name = 2 } };
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 3; i++)
		list_add(&head, &things[i].link);
	list_del(&things[1].link);
	list_del(&things[1].link);
	assert_int_equal(list_item(head.next, struct thing, link)->name, 0);
	assert_int_equal(list_item(head.next->next, struct thing, link)->name, 2);
	assert_ptr_equal(head.next->next->next, &head);
	list_del(&things[0].link);
	list_del(&things[2].link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measuring_tells_what_cutting_needs),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(a_pool_gives_each_item_once),
		cmocka_unit_test(what_is_in_a_table_is_found),
		cmocka_unit_test(every_word_and_the_seed_count),
		cmocka_unit_test(the_first_timer_is_the_earliest),
		cmocka_unit_test(lists_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
