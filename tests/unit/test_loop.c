/* SPDX-License-Identifier: MIT */
/* The event loop: order of timers, and callbacks that remove sources while events are pending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/loop.h"

#define MANY 10000

static struct loop *loop;

static int setup(void **state)
{
	return loop_new(&loop);
}

static int teardown(void **state)
{
	loop_free(loop);
	loop = NULL;
	return 0;
}

static struct mtime in_ms(int64_t ms)
{
	return mtime_add(loop_clock(), mtime_ms(ms));
}

static void on_stop(void *arg, struct mtime now)
{
	loop_stop(loop);
}

/* Runs the loop for at most `ms`. */
static void run_for(int64_t ms)
{
	struct loop_timer *end;

	assert_int_equal(loop_timer_new(loop, &end, on_stop, NULL), 0);
	loop_timer_set(end, in_ms(ms));
	assert_int_equal(loop_run(loop), 0);
	loop_timer_free(end);
}

/* --- timers ----------------------------------------------------------------------------------- */

struct ticker {
	struct loop_timer *timer;
	struct mtime at;
	unsigned fired, order;
	struct ticker *victim; /* freed by the callback */
	bool rearms, stops;
};

static unsigned order;

static void on_tick(void *arg, struct mtime now)
{
	struct ticker *t = arg;

	assert_false(mtime_before(now, t->at));
	t->fired++;
	t->order = ++order;
	if (t->victim) {
		loop_timer_free(t->victim->timer);
		t->victim->timer = NULL;
	}
	if (t->rearms)
		loop_timer_set(t->timer, now);
	if (t->stops)
		loop_stop(loop);
}

static void ticker_arm(struct ticker *t, struct mtime at)
{
	t->at = at;
	loop_timer_set(t->timer, at);
}

static void ticker_new(struct ticker *t)
{
	*t = (struct ticker){ 0 };
	assert_int_equal(loop_timer_new(loop, &t->timer, on_tick, t), 0);
}

static void timers_fire_once_in_order_of_time(void **state)
{
	struct ticker t[4];

	order = 0;
	for (int i = 0; i < 4; i++)
		ticker_new(&t[i]);
	ticker_arm(&t[0], in_ms(12));
	ticker_arm(&t[1], in_ms(3));
	ticker_arm(&t[2], in_ms(3600 * 1000));
	ticker_arm(&t[3], in_ms(50));
	ticker_arm(&t[3], in_ms(6)); /* moved forward */
	run_for(40);
	assert_int_equal(t[1].order, 1);
	assert_int_equal(t[3].order, 2);
	assert_int_equal(t[0].order, 3);
	assert_int_equal(t[0].fired + t[1].fired + t[3].fired, 3);
	assert_int_equal(t[2].fired, 0);
	for (int i = 0; i < 4; i++)
		loop_timer_free(t[i].timer);
}

static void equal_times_fire_in_the_order_of_arming(void **state)
{
	static struct ticker t[50];
	struct mtime at = in_ms(2);

	order = 0;
	for (int i = 0; i < 50; i++)
		ticker_new(&t[i]);
	for (int i = 49; i >= 0; i--)
		ticker_arm(&t[i], at);
	run_for(10);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(t[i].order, 50 - i);
		loop_timer_free(t[i].timer);
	}
}

static void never_disarms_a_timer(void **state)
{
	struct ticker t;

	ticker_new(&t);
	ticker_arm(&t, in_ms(1));
	loop_timer_set(t.timer, MTIME_NEVER);
	loop_timer_set(t.timer, MTIME_NEVER);
	run_for(5);
	assert_int_equal(t.fired, 0);
	ticker_arm(&t, in_ms(1));
	run_for(5);
	assert_int_equal(t.fired, 1);
	loop_timer_free(t.timer);
}

static void a_timer_may_free_itself_and_another_that_is_due(void **state)
{
	struct ticker a, b;

	ticker_new(&a);
	ticker_new(&b);
	a.victim = &b;
	b.victim = &a;
	ticker_arm(&a, in_ms(1));
	ticker_arm(&b, in_ms(1));
	run_for(5);
	assert_int_equal(a.fired + b.fired, 1);
	assert_non_null(a.fired ? a.timer : b.timer);
	loop_timer_free(a.timer);
	loop_timer_free(b.timer);

	ticker_new(&a);
	a.victim = &a;
	ticker_arm(&a, in_ms(1));
	run_for(5);
	assert_int_equal(a.fired, 1);
	assert_null(a.timer);
}

static void a_timer_armed_for_now_again_and_again_starves_nobody(void **state)
{
	struct ticker greedy, other;

	ticker_new(&greedy);
	ticker_new(&other);
	greedy.rearms = true;
	other.stops = true;
	ticker_arm(&greedy, loop_now(loop));
	ticker_arm(&other, in_ms(3));
	assert_int_equal(loop_run(loop), 0); /* ends at all */
	assert_int_equal(other.fired, 1);
	assert_true(greedy.fired > 1);
	loop_timer_free(greedy.timer);
	loop_timer_free(other.timer);
}

static void a_time_in_the_past_is_due_at_once(void **state)
{
	struct ticker t;

	ticker_new(&t);
	loop_timer_set(t.timer, (struct mtime){ INT64_MIN });
	run_for(1);
	assert_int_equal(t.fired, 1);
	loop_timer_free(t.timer);
}

static void ten_thousand_timers_survive_random_changes_in_order(void **state)
{
	static struct ticker *by_rank[MANY];
	struct ticker *t = calloc(MANY, sizeof(*t));
	struct mtime begin, base = in_ms(100);
	unsigned last_order = 0;

	assert_non_null(t);
	srand(7);
	order = 0;
	begin = loop_clock();
	for (int i = 0; i < MANY; i++)
		ticker_new(&t[i]);
	for (int n = 0; n < 5 * MANY; n++) {
		struct ticker *one = &t[rand() % MANY];

		if (n % 7 == 0)
			loop_timer_set(one->timer, MTIME_NEVER);
		else if (n % 11 == 0) {
			loop_timer_free(one->timer);
			ticker_new(one);
		} else
			ticker_arm(one, mtime_add(base, (struct mtime){ rand() % 50000 }));
	}
	for (int i = 0; i < MANY; i++)
		ticker_arm(&t[i], mtime_add(base, (struct mtime){ (i * 7919 % MANY) * 5 }));
	assert_true(mtime_sub(loop_clock(), begin).us < 2000000);
	run_for(300);
	/* i · 7919 mod MANY runs through every rank once; by rank, the firing order must rise. */
	for (int i = 0; i < MANY; i++)
		by_rank[i * 7919 % MANY] = &t[i];
	for (int rank = 0; rank < MANY; rank++) {
		assert_int_equal(by_rank[rank]->fired, 1);
		assert_true(by_rank[rank]->order > last_order);
		last_order = by_rank[rank]->order;
	}
	for (int i = 0; i < MANY; i++)
		loop_timer_free(t[i].timer);
	free(t);
}

/* --- descriptors ------------------------------------------------------------------------------ */

struct watcher {
	int fd[2];
	unsigned calls;
	struct watcher *other;
};

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	struct watcher *w = arg;
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(w->fd[0], &c, 1), 1);
	w->calls++;
}

static void watcher_new(struct watcher *w, loop_fd_fn fn)
{
	*w = (struct watcher){ 0 };
	assert_int_equal(pipe2(w->fd, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(loop_fd_add(loop, w->fd[0], EPOLLIN, fn, w), 0);
}

static void watcher_end(struct watcher *w)
{
	loop_fd_del(loop, w->fd[0]);
	close(w->fd[0]);
	close(w->fd[1]);
}

static void on_remove_other(void *arg, struct mtime now, uint32_t events)
{
	struct watcher *w = arg;

	w->calls++;
	loop_fd_del(loop, w->other->fd[0]);
	loop_fd_del(loop, w->fd[0]);
}

static void a_callback_may_remove_itself_and_a_source_with_a_pending_event(void **state)
{
	struct watcher a, b;

	watcher_new(&a, on_remove_other);
	watcher_new(&b, on_remove_other);
	a.other = &b;
	b.other = &a;
	assert_int_equal(write(a.fd[1], "x", 1), 1);
	assert_int_equal(write(b.fd[1], "x", 1), 1);
	run_for(5);
	assert_int_equal(a.calls + b.calls, 1);
	watcher_end(&a);
	watcher_end(&b);
}

static struct watcher reborn;

static void on_never(void *arg, struct mtime now, uint32_t events)
{
	struct watcher *w = arg;

	w->calls++;
}

/* Closes the other's descriptor and lets a fresh, silent pipe have its number. */
static void on_replace_other(void *arg, struct mtime now, uint32_t events)
{
	struct watcher *w = arg;
	int number = w->other->fd[0];

	w->calls++;
	loop_fd_del(loop, w->fd[0]);
	loop_fd_del(loop, number);
	close(number);
	w->other->fd[0] = -1;
	assert_int_equal(pipe2(reborn.fd, O_CLOEXEC), 0);
	assert_int_equal(reborn.fd[0], number);
	assert_int_equal(loop_fd_add(loop, number, EPOLLIN, on_never, &reborn), 0);
}

static void an_event_of_a_closed_descriptor_does_not_reach_its_successor(void **state)
{
	struct watcher a, b;

	watcher_new(&a, on_replace_other);
	watcher_new(&b, on_replace_other);
	a.other = &b;
	b.other = &a;
	assert_int_equal(write(a.fd[1], "x", 1), 1);
	assert_int_equal(write(b.fd[1], "x", 1), 1);
	run_for(5);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(reborn.calls, 0);
	watcher_end(&reborn);
	watcher_end(&a);
	watcher_end(&b);
}

static void events_can_be_changed_and_sources_are_unique(void **state)
{
	struct watcher w;
	int file;

	watcher_new(&w, on_readable);
	assert_int_equal(loop_fd_add(loop, w.fd[0], EPOLLIN, on_readable, &w), -EEXIST);
	assert_int_equal(loop_fd_mod(loop, w.fd[0], 0), 0);
	assert_int_equal(write(w.fd[1], "x", 1), 1);
	run_for(3);
	assert_int_equal(w.calls, 0);
	assert_int_equal(loop_fd_mod(loop, w.fd[0], EPOLLIN), 0);
	run_for(3);
	assert_int_equal(w.calls, 1);
	loop_fd_del(loop, w.fd[0]);
	loop_fd_del(loop, w.fd[0]);
	assert_int_equal(loop_fd_mod(loop, w.fd[0], EPOLLIN), -ENOENT);
	assert_int_equal(loop_fd_add(loop, -1, EPOLLIN, on_readable, &w), -EBADF);
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(loop_fd_add(loop, file, EPOLLIN, on_readable, &w), -EPERM);
	close(file);
	watcher_end(&w);
}

static void a_descriptor_closed_without_removal_does_not_block_its_number(void **state)
{
	struct watcher first, second;

	watcher_new(&first, on_never);
	close(first.fd[0]);
	watcher_new(&second, on_readable);
	assert_int_equal(second.fd[0], first.fd[0]);
	assert_int_equal(write(second.fd[1], "x", 1), 1);
	run_for(3);
	assert_int_equal(second.calls, 1);
	assert_int_equal(first.calls, 0);
	watcher_end(&second);
	close(first.fd[1]);
}

static void high_descriptor_numbers_work(void **state)
{
	struct watcher w;
	int high;

	watcher_new(&w, on_readable);
	high = fcntl(w.fd[0], F_DUPFD_CLOEXEC, 900);
	assert_true(high >= 900);
	loop_fd_del(loop, w.fd[0]);
	assert_int_equal(loop_fd_add(loop, high, EPOLLIN, on_readable, &w), 0);
	assert_int_equal(write(w.fd[1], "x", 1), 1);
	run_for(3);
	assert_int_equal(w.calls, 1);
	loop_fd_del(loop, high);
	close(high);
	watcher_end(&w);
}

/* --- signals ---------------------------------------------------------------------------------- */

static int got_signal[2];

static void on_signal(void *arg, struct mtime now, int signo)
{
	got_signal[*(int *)arg]++;
	assert_int_equal(signo, *(int *)arg ? SIGUSR2 : SIGUSR1);
}

static void signals_are_delivered_to_their_callbacks(void **state)
{
	int first = 0, second = 1;

	assert_int_equal(loop_signal_add(loop, SIGUSR1, on_signal, &first), 0);
	assert_int_equal(loop_signal_add(loop, SIGUSR2, on_signal, &second), 0);
	assert_int_equal(loop_signal_add(loop, 0, on_signal, &second), -EINVAL);
	assert_int_equal(loop_signal_add(loop, 65, on_signal, &second), -EINVAL);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	run_for(5);
	assert_int_equal(got_signal[0], 1);
	assert_int_equal(got_signal[1], 1);
}

static void a_stop_before_the_run_is_kept(void **state)
{
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(timers_fire_once_in_order_of_time),
		T(equal_times_fire_in_the_order_of_arming),
		T(never_disarms_a_timer),
		T(a_timer_may_free_itself_and_another_that_is_due),
		T(a_timer_armed_for_now_again_and_again_starves_nobody),
		T(a_time_in_the_past_is_due_at_once),
		T(ten_thousand_timers_survive_random_changes_in_order),
		T(a_callback_may_remove_itself_and_a_source_with_a_pending_event),
		T(an_event_of_a_closed_descriptor_does_not_reach_its_successor),
		T(events_can_be_changed_and_sources_are_unique),
		T(a_descriptor_closed_without_removal_does_not_block_its_number),
		T(high_descriptor_numbers_work),
		T(signals_are_delivered_to_their_callbacks),
		T(a_stop_before_the_run_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
