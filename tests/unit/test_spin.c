/* SPDX-License-Identifier: MIT */
/* When the worker looks for frames instead of sleeping, and that looking stays a small share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/spin.h"

/* Sleeps until the next look is allowed; how many. */
static uint32_t sleeps(struct spin *s)
{
	uint32_t n = 0;

	for (; n < 1000; n++) {
		spin_earn(s, 64);
		if (spin_longest(s))
			break;
	}
	return n;
}

static void an_idle_worker_sleeps_at_once(void **state)
{
	struct spin s;

	spin_init(&s, false);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(spin_longest(&s), 0);
		spin_earn(&s, 0);
	}
}

static void frames_earn_a_look_up_to_the_longest(void **state)
{
	struct spin s;

	spin_init(&s, false);
	spin_earn(&s, 1);
	assert_int_equal(spin_longest(&s), 0);
	spin_earn(&s, 64);
	assert_int_equal(spin_longest(&s), 65 * SPIN_FRAME_NS);
	spin_earn(&s, UINT32_MAX);
	assert_int_equal(spin_longest(&s), SPIN_LONGEST_NS);
}

static void a_look_costs_what_it_took(void **state)
{
	struct spin s;

	spin_init(&s, false);
	spin_earn(&s, 1000);
	spin_spend(&s, 10000, true);
	assert_int_equal(spin_longest(&s), SPIN_LONGEST_NS - 10000);
	spin_spend(&s, UINT64_MAX, true);
	assert_int_equal(spin_longest(&s), 0);
}

static void looks_in_vain_become_rare_and_one_hit_mends_it(void **state)
{
	struct spin s;

	spin_init(&s, false);
	for (uint32_t n = 0; n < 20; n++) {
		uint32_t expected = n < 7 ? (1u << n) - 1 : SPIN_PAUSES;

		assert_int_equal(sleeps(&s), expected);
		spin_spend(&s, SPIN_LONGEST_NS, false);
	}
	assert_int_equal(sleeps(&s), SPIN_PAUSES);
	spin_spend(&s, 1000, true);
	assert_int_equal(sleeps(&s), 0);
}

/* One frame at a time, looks always found something, the gap just short enough. */
static void at_any_rate_looking_is_bounded_by_frames(void **state)
{
	for (uint64_t gap = 100; gap < 1000000; gap = gap * 5 / 4) {
		struct spin s;
		uint64_t spent = 0, frames = 100000;

		spin_init(&s, false);
		for (uint64_t i = 0; i < frames; i++) {
			uint32_t longest;
			uint64_t took;

			spin_earn(&s, 1);
			longest = spin_longest(&s);
			if (!longest)
				continue;
			took = gap < longest ? gap : longest;
			spent += took;
			spin_spend(&s, took, gap < longest);
		}
		assert_true(spent <= frames * SPIN_FRAME_NS + SPIN_LONGEST_NS);
	}
}

static void on_a_core_of_its_own_one_frame_earns_the_longest_look(void **state)
{
	struct spin s;

	spin_init(&s, true);
	assert_int_equal(spin_longest(&s), 0); /* idle is idle there, too */
	for (int i = 0; i < 100; i++) {
		spin_earn(&s, 1);
		assert_int_equal(spin_longest(&s), SPIN_OWN_NS);
		spin_spend(&s, 100000, true);
	}
	/* frames that come too rarely: looks become rare */
	for (int i = 0; i < 8; i++) {
		spin_earn(&s, 1);
		if (spin_longest(&s))
			spin_spend(&s, SPIN_OWN_NS, false);
	}
	assert_int_equal(sleeps(&s), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_worker_sleeps_at_once),
		cmocka_unit_test(frames_earn_a_look_up_to_the_longest),
		cmocka_unit_test(a_look_costs_what_it_took),
		cmocka_unit_test(looks_in_vain_become_rare_and_one_hit_mends_it),
		cmocka_unit_test(at_any_rate_looking_is_bounded_by_frames),
		cmocka_unit_test(on_a_core_of_its_own_one_frame_earns_the_longest_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
