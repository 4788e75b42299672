/* SPDX-License-Identifier: MIT */
/* How many buffers the kernel is given: all, but for fast streams that do not need them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/stock.h"

#define TOTAL 8192

static struct stock s;
static uint64_t now;

static int fresh(void **state)
{
	stock_init(&s, TOTAL);
	now = 1000000000;
	return 0;
}

/* A window in which `taken` were, and at least `left` were left. */
static uint32_t window(uint32_t taken, uint32_t left)
{
	now += STOCK_WINDOW_NS;
	return stock_level(&s, now, left, taken, false);
}

static uint32_t within(uint32_t left, bool wants_backlog)
{
	return stock_level(&s, ++now, left, 64, wants_backlog);
}

static void make_fast(void)
{
	window(0, TOTAL);
	while (s.level > STOCK_LEAST)
		window(STOCK_FAST, TOTAL);
}

static void slow_streams_have_all(void **state)
{
	assert_int_equal(s.level, TOTAL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(window(STOCK_FAST - 1, i % 2 ? TOTAL : 0), TOTAL);
}

static void a_fast_calm_stream_gets_fewer(void **state)
{
	window(0, TOTAL);
	assert_int_equal(window(STOCK_FAST, TOTAL / 2), TOTAL / 2);
	assert_int_equal(window(STOCK_FAST, TOTAL / 4), TOTAL / 4);
	assert_int_equal(window(STOCK_FAST, TOTAL / 8), STOCK_LEAST);
	assert_int_equal(window(STOCK_FAST, TOTAL / 8), STOCK_LEAST);
}

static void running_low_doubles_it_and_ends_the_calm(void **state)
{
	make_fast();
	assert_int_equal(within(STOCK_LEAST / 2, false), STOCK_LEAST);
	assert_int_equal(within(STOCK_LEAST / 2 - 1, false), 2 * STOCK_LEAST);
	assert_int_equal(window(STOCK_FAST, TOTAL), 2 * STOCK_LEAST);
	assert_int_equal(window(STOCK_FAST, TOTAL), STOCK_LEAST);
}

static void all_come_back_when_it_slows_down_or_ends(void **state)
{
	make_fast();
	assert_int_equal(window(STOCK_FAST - 1, TOTAL), TOTAL);
	make_fast();
	now += 500000000; /* asleep */
	assert_int_equal(stock_level(&s, now, STOCK_LEAST, STOCK_FAST, false), TOTAL);
}

static void in_a_fast_flood_few_are_enough(void **state)
{
	window(0, TOTAL);
	window(STOCK_FAST, TOTAL);
	assert_int_equal(within(0, false), TOTAL);
	assert_int_equal(within(TOTAL / 8, false), TOTAL);
	assert_int_equal(within(TOTAL / 8 - 1, false), STOCK_LEAST);
	for (int i = 0; i < 100; i++)
		assert_int_equal(window(STOCK_FAST, 0), STOCK_LEAST);
	assert_int_equal(window(STOCK_FAST, STOCK_LEAST), STOCK_LEAST);
	assert_int_equal(within(0, false), 2 * STOCK_LEAST);
}

static void a_slow_flood_keeps_all(void **state)
{
	for (int i = 0; i < 100; i++) {
		assert_int_equal(within(0, false), TOTAL);
		assert_int_equal(window(100, 0), TOTAL);
	}
}

static void thin_flows_keep_all_in_a_flood(void **state)
{
	window(0, TOTAL);
	window(STOCK_FAST, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(within(0, true), TOTAL);
	assert_int_equal(within(0, false), STOCK_LEAST);
	assert_int_equal(within(0, true), 2 * STOCK_LEAST);
}

static void a_small_stock_is_always_given_whole(void **state)
{
	stock_init(&s, 512);
	window(0, 512);
	assert_int_equal(window(STOCK_FAST, 512), 512);
	assert_int_equal(within(0, false), 512);
	assert_int_equal(within(0, true), 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(slow_streams_have_all, fresh),
		cmocka_unit_test_setup(a_fast_calm_stream_gets_fewer, fresh),
		cmocka_unit_test_setup(running_low_doubles_it_and_ends_the_calm, fresh),
		cmocka_unit_test_setup(all_come_back_when_it_slows_down_or_ends, fresh),
		cmocka_unit_test_setup(in_a_fast_flood_few_are_enough, fresh),
		cmocka_unit_test_setup(a_slow_flood_keeps_all, fresh),
		cmocka_unit_test_setup(thin_flows_keep_all_in_a_flood, fresh),
		cmocka_unit_test_setup(a_small_stock_is_always_given_whole, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
