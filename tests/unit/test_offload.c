/* SPDX-License-Identifier: MIT */
/* Work beside the loop: done once, told in the loop, one at a time, and ended with its owner. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/offload.h"

static struct loop *loop;
static struct offload *offload;
static unsigned n_done;

struct task {
	unsigned n;
	unsigned times; /* to be started again */
	bool takes_signals;
	unsigned sleep_us;
};

static void task_work(void *arg)
{
	struct task *t = arg;
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	t->takes_signals = !sigismember(&blocked, SIGTERM);
	if (t->sleep_us)
		usleep(t->sleep_us);
	t->n++;
}

static void on_task(void *arg, struct mtime now)
{
	struct task *t = arg;

	n_done++;
	if (t->n < t->times)
		assert_true(offload_start(offload, task_work, on_task, t));
	else
		loop_stop(loop);
}

static int setup(void **state)
{
	n_done = 0;
	return loop_new(&loop) || offload_new(&offload, loop) ? -1 : 0;
}

static int teardown(void **state)
{
	offload_free(offload);
	loop_free(loop);
	return 0;
}

static void work_is_done_and_then_told(void **state)
{
	struct task t = { .times = 1 };

	assert_true(offload_start(offload, task_work, on_task, &t));
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(n_done, 1);
	assert_false(t.takes_signals);
}

static void work_follows_work(void **state)
{
	struct task t = { .times = 2000 };

	assert_true(offload_start(offload, task_work, on_task, &t));
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(t.n, 2000);
	assert_int_equal(n_done, 2000);
}

static void there_is_no_second_work_at_a_time(void **state)
{
	struct task t = { .times = 1, .sleep_us = 20000 }, other = { .times = 1 };

	assert_true(offload_start(offload, task_work, on_task, &t));
	assert_false(offload_start(offload, task_work, on_task, &other));
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(other.n, 0);
	assert_true(offload_start(offload, task_work, on_task, &other));
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(other.n, 1);
}

static void the_end_waits_for_the_work_and_does_not_tell(void **state)
{
	struct task t = { .times = 1, .sleep_us = 20000 };

	assert_true(offload_start(offload, task_work, on_task, &t));
	offload_free(offload);
	offload = NULL;
	assert_int_equal(t.n, 1);
	assert_int_equal(n_done, 0);
}

static void without_any_work_it_just_ends(void **state)
{
	offload_free(offload);
	offload = NULL;
	offload_free(NULL);
	assert_int_equal(n_done, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(work_is_done_and_then_told),
		T(work_follows_work),
		T(there_is_no_second_work_at_a_time),
		T(the_end_waits_for_the_work_and_does_not_tell),
		T(without_any_work_it_just_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
