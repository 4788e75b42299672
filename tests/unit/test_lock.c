/* SPDX-License-Identifier: MIT */
/* The instance lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "edge/lock.h"
#include "../lib/child.h"

static char dir[64], path[96];

static int setup(void **state)
{
	strcpy(dir, "/tmp/mcrt-lock-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/lock", dir);
	return 0;
}

static int teardown(void **state)
{
	return shell("rm -rf %s", dir) ? 0 : -1;
}

struct attempt {
	pid_t want;
};

static int try_to_take(void *arg)
{
	const struct attempt *a = arg;
	struct diag d = { 0 };
	pid_t holder = -1;
	int lock = lock_take(path, &holder, &d);

	if (lock >= 0)
		return 1;
	if (lock != -EBUSY || d.code != E_BUSY)
		return 2;
	return holder == a->want ? 0 : 3;
}

static int take_and_die(void *arg)
{
	pid_t holder;

	return lock_take(path, &holder, NULL) < 0;
}

static void a_second_taker_learns_who_holds_it(void **state)
{
	struct attempt a = { getpid() };
	struct diag d;
	pid_t holder;
	int lock = lock_take(path, &holder, &d);

	assert_true(lock >= 0);
	assert_true(fcntl(lock, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(child_run(try_to_take, &a), 0);
	lock_drop(lock);
	assert_int_equal(child_run(try_to_take, &a), 1);
	lock_drop(-1);
}

static void a_dead_holder_holds_nothing(void **state)
{
	pid_t holder;
	int lock;

	assert_int_equal(child_run(take_and_die, NULL), 0);
	lock = lock_take(path, &holder, NULL);
	assert_true(lock >= 0);
	lock_drop(lock);
}

static void rubbish_in_the_file_is_no_process(void **state)
{
	static const char *const texts[] = { "",      "x",   "12",
					     "-5\n",  "0\n", "99999999999999999999\n",
					     "12x\n", "\n",  "99999999\n" };
	struct attempt nobody = { 0 };
	pid_t holder;
	int lock = lock_take(path, &holder, NULL);

	assert_true(lock >= 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(ftruncate(lock, 0), 0);
		assert_int_equal(pwrite(lock, texts[i], strlen(texts[i]), 0), strlen(texts[i]));
		assert_int_equal(child_run(try_to_take, &nobody), 0);
	}
	lock_drop(lock);
}

static void a_longer_text_before_is_replaced(void **state)
{
	struct attempt a = { getpid() };
	pid_t holder;
	int lock;

	assert_true(shell("echo 4194303999999999999999999999999999 > %s", path));
	lock = lock_take(path, &holder, NULL);
	assert_true(lock >= 0);
	assert_int_equal(child_run(try_to_take, &a), 0);
	lock_drop(lock);
}

static void what_is_not_a_plain_file_is_refused(void **state)
{
	struct diag d;
	pid_t holder;

	assert_true(shell("touch %s/real && ln -s real %s", dir, path));
	assert_int_equal(lock_take(path, &holder, &d), -ELOOP);
	assert_int_equal(d.code, E_IO);
	assert_true(shell("rm %s && mkfifo %s", path, path));
	assert_true(lock_take(path, &holder, &d) < 0);
	assert_true(shell("rm %s && mkdir %s", path, path));
	assert_int_equal(lock_take(path, &holder, &d), -EISDIR);
	assert_int_equal(lock_take("/nonexistent/lock", &holder, &d), -ENOENT);
}

static void a_removed_file_does_not_lock_out_anybody(void **state)
{
	pid_t holder;
	int first = lock_take(path, &holder, NULL), second;

	assert_true(first >= 0);
	assert_int_equal(unlink(path), 0);
	second = lock_take(path, &holder, NULL);
	assert_true(second >= 0);
	lock_drop(first);
	lock_drop(second);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_second_taker_learns_who_holds_it),	T(a_dead_holder_holds_nothing),
		T(rubbish_in_the_file_is_no_process),	T(a_longer_text_before_is_replaced),
		T(what_is_not_a_plain_file_is_refused), T(a_removed_file_does_not_lock_out_anybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
