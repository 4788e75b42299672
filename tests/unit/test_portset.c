/* SPDX-License-Identifier: MIT */
/* Sets of ports, against arrays of truth values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/portset.h"

static struct portset random_set(bool *truth)
{
	struct portset s = { 0 };

	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		truth[i] = rand() % 3 == 0;
		if (truth[i])
			portset_add(&s, i);
	}
	return s;
}

static void algebra(void **state)
{
	bool a[PORTS_MAX], b[PORTS_MAX];

	srand(1);
	for (int round = 0; round < 50; round++) {
		struct portset x = random_set(a), y = random_set(b);
		struct portset any = portset_or(x, y), both = portset_and(x, y);
		struct portset first = portset_minus(x, y);

		for (uint32_t i = 0; i < PORTS_MAX; i++) {
			assert_int_equal(portset_has(&any, i), a[i] || b[i]);
			assert_int_equal(portset_has(&both, i), a[i] && b[i]);
			assert_int_equal(portset_has(&first, i), a[i] && !b[i]);
		}
		assert_true(portset_equal(&x, &x));
		assert_false(portset_equal(&x, &any));
	}
}

static void walking(void **state)
{
	bool truth[PORTS_MAX];
	struct portset s = random_set(truth);
	uint32_t at = portset_next(&s, 0);

	for (uint32_t i = 0; i < PORTS_MAX; i++)
		if (truth[i]) {
			assert_int_equal(at, i);
			at = portset_next(&s, at + 1);
		}
	assert_int_equal(at, PORT_NONE);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		portset_del(&s, i);
	assert_true(portset_empty(&s));
	assert_int_equal(portset_next(&s, 0), PORT_NONE);
}

/* PORT_NONE and all beyond the end are in no set. */
static void beyond_the_end(void **state)
{
	struct portset s = { 0 };

	portset_add(&s, PORT_NONE);
	portset_add(&s, PORTS_MAX);
	portset_del(&s, PORT_NONE);
	assert_true(portset_empty(&s));
	assert_false(portset_has(&s, PORT_NONE));
	assert_false(portset_has(&s, PORTS_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(algebra),
		cmocka_unit_test(walking),
		cmocka_unit_test(beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
