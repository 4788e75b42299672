/* SPDX-License-Identifier: MIT */
/*
 * The event loop over epoll, a heap of timers and one signalfd. Descriptors are named in epoll by
 * number and generation, so that an event that was fetched before its source was removed (or its
 * number reused) finds nobody.
 */
#include "edge/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define TURN_EVENTS   64
#define SIGNAL_NUMBER 65

struct fd_source {
	loop_fd_fn fn; /* NULL = no source at this descriptor */
	void *arg;
	uint32_t generation;
};

struct signal_source {
	loop_signal_fn fn;
	void *arg;
};

struct loop_timer {
	struct loop *loop;
	loop_timer_fn fn;
	void *arg;
	struct mtime at;
	uint64_t arming; /* order among equal times; see loop_run_timers */
	size_t slot;	 /* in the heap, 1-based; 0 = not armed */
};

struct loop {
	int epoll_fd, signal_fd;
	bool is_stopping;
	struct mtime now;
	struct fd_source *fds; /* by descriptor */
	size_t n_fds;
	uint32_t generation;
	struct loop_timer **heap; /* 1-based */
	size_t n_heap, n_timers, cap_heap;
	uint64_t armings;
	sigset_t signals;
	struct signal_source handlers[SIGNAL_NUMBER];
};

struct mtime loop_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct mtime){ (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 };
}

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err = 0;

	if (!l)
		return -ENOMEM;
	l->signal_fd = -1;
	sigemptyset(&l->signals);
	l->now = loop_clock();
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		err = -errno;
		goto out;
	}
	*out = l;
	l = NULL;
out:
	loop_free(l);
	return err;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l->fds);
	free(l->heap);
	free(l);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static int loop_grow_fds(struct loop *l, size_t want)
{
	size_t n = l->n_fds ? l->n_fds : 64;
	struct fd_source *fds;

	while (n < want)
		n *= 2;
	fds = realloc(l->fds, n * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (size_t i = l->n_fds; i < n; i++)
		fds[i] = (struct fd_source){ 0 };
	l->fds = fds;
	l->n_fds = n;
	return 0;
}

static struct fd_source *loop_find_fd(struct loop *l, int fd)
{
	if (fd < 0 || (size_t)fd >= l->n_fds || !l->fds[fd].fn)
		return NULL;
	return &l->fds[fd];
}

static int loop_ctl(struct loop *l, int op, int fd, uint32_t events, uint32_t generation)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
	return epoll_ctl(l->epoll_fd, op, fd, &ev) ? -errno : 0;
}

int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
	int err = 0;

	if (fd < 0 || !fn)
		return -EBADF;
	if ((size_t)fd >= l->n_fds)
		err = loop_grow_fds(l, (size_t)fd + 1);
	/* A source that is here but not in epoll was closed without being removed: it is over. */
	if (!err)
		err = loop_ctl(l, EPOLL_CTL_ADD, fd, events, ++l->generation);
	if (!err)
		l->fds[fd] = (struct fd_source){ fn, arg, l->generation };
	return err;
}

int loop_fd_mod(struct loop *l, int fd, uint32_t events)
{
	struct fd_source *s = loop_find_fd(l, fd);

	return s ? loop_ctl(l, EPOLL_CTL_MOD, fd, events, s->generation) : -ENOENT;
}

void loop_fd_del(struct loop *l, int fd)
{
	struct fd_source *s = loop_find_fd(l, fd);

	if (!s)
		return;
	s->fn = NULL;
	/* Fails when the descriptor is closed already; then epoll has dropped it by itself. */
	loop_ctl(l, EPOLL_CTL_DEL, fd, 0, 0);
}

static void loop_run_fds(struct loop *l, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n && !l->is_stopping; i++) {
		int fd = (int)(uint32_t)events[i].data.u64;
		struct fd_source *s = loop_find_fd(l, fd);

		if (s && s->generation == (uint32_t)(events[i].data.u64 >> 32))
			s->fn(s->arg, l->now, events[i].events);
	}
}

/* --- timers ----------------------------------------------------------------------------------- */

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at.us != b->at.us ? a->at.us < b->at.us : a->arming < b->arming;
}

static void heap_put(struct loop *l, size_t slot, struct loop_timer *t)
{
	l->heap[slot] = t;
	t->slot = slot;
}

/* Moves the timer in `slot` up or down to where it belongs. */
static void heap_settle(struct loop *l, size_t slot)
{
	struct loop_timer *t = l->heap[slot];

	while (slot > 1 && timer_before(t, l->heap[slot / 2])) {
		heap_put(l, slot, l->heap[slot / 2]);
		slot /= 2;
	}
	for (;;) {
		size_t child = slot * 2;

		if (child < l->n_heap && timer_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (child > l->n_heap || !timer_before(l->heap[child], t))
			break;
		heap_put(l, slot, l->heap[child]);
		slot = child;
	}
	heap_put(l, slot, t);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
	size_t slot = t->slot;
	struct loop_timer *last;

	if (!slot)
		return;
	last = l->heap[l->n_heap--];
	t->slot = 0;
	if (last == t)
		return;
	heap_put(l, slot, last);
	heap_settle(l, slot);
}

int loop_timer_new(struct loop *l, struct loop_timer **out, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t;

	/* Room in the heap is made here, so that arming cannot fail. */
	if (l->n_timers + 2 > l->cap_heap) {
		size_t cap = l->cap_heap ? l->cap_heap * 2 : 64;
		struct loop_timer **heap = realloc(l->heap, cap * sizeof(struct loop_timer *));

		if (!heap)
			return -ENOMEM;
		l->heap = heap;
		l->cap_heap = cap;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	l->n_timers++;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->at = MTIME_NEVER;
	*out = t;
	return 0;
}

void loop_timer_set(struct loop_timer *t, struct mtime at)
{
	struct loop *l = t->loop;

	if (at.us == INT64_MAX) {
		heap_remove(l, t);
		t->at = at;
		return;
	}
	/* Nothing is due before now; this keeps the order that loop_run_timers relies on. */
	t->at = mtime_before(at, l->now) ? l->now : at;
	t->arming = ++l->armings;
	if (!t->slot)
		heap_put(l, ++l->n_heap, t);
	heap_settle(l, t->slot);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	heap_remove(t->loop, t);
	t->loop->n_timers--;
	free(t);
}

/*
 * Runs what is due. A timer that a callback arms for "now" has its turn in the next round: it is
 * behind all others that are due, by its arming number, and ends this round.
 */
static void loop_run_timers(struct loop *l)
{
	uint64_t last = l->armings;

	while (l->n_heap && !l->is_stopping) {
		struct loop_timer *t = l->heap[1];

		if (mtime_before(l->now, t->at) || t->arming > last)
			break;
		heap_remove(l, t);
		t->at = MTIME_NEVER;
		t->fn(t->arg, l->now);
	}
}

/* Milliseconds until the next timer, rounded up so that it is due on waking; −1 = none. */
static int loop_timeout(const struct loop *l)
{
	int64_t us;

	if (!l->n_heap)
		return -1;
	us = mtime_sub(l->heap[1]->at, loop_clock()).us;
	if (us <= 0)
		return 0;
	if (us > (int64_t)3600 * 1000000)
		return 3600 * 1000;
	return (int)((us + 999) / 1000);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void loop_on_signal(void *arg, struct mtime now, uint32_t events)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	while (!l->is_stopping && read(l->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		struct signal_source *s;

		if (info.ssi_signo >= SIGNAL_NUMBER)
			continue;
		s = &l->handlers[info.ssi_signo];
		if (s->fn)
			s->fn(s->arg, now, (int)info.ssi_signo);
	}
}

int loop_signal_add(struct loop *l, int signo, loop_signal_fn fn, void *arg)
{
	sigset_t one;
	int fd;

	sigemptyset(&one);
	if (signo <= 0 || signo >= SIGNAL_NUMBER || sigaddset(&one, signo))
		return -EINVAL;
	if (sigprocmask(SIG_BLOCK, &one, NULL))
		return -errno;
	sigaddset(&l->signals, signo);
	l->handlers[signo] = (struct signal_source){ fn, arg };
	fd = signalfd(l->signal_fd, &l->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (l->signal_fd >= 0)
		return 0;
	l->signal_fd = fd;
	return loop_fd_add(l, fd, EPOLLIN, loop_on_signal, l);
}

/* --- running ---------------------------------------------------------------------------------- */

struct mtime loop_now(const struct loop *l)
{
	return l->now;
}

/* Input goes before timers: after a stall, what has arrived counts before a deadline does. */
static int loop_turn(struct loop *l)
{
	struct epoll_event events[TURN_EVENTS];
	int n = epoll_wait(l->epoll_fd, events, TURN_EVENTS, loop_timeout(l));

	if (n < 0 && errno != EINTR)
		return -errno;
	l->now = loop_clock();
	loop_run_fds(l, events, n);
	loop_run_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int err = 0;

	while (!l->is_stopping && !err)
		err = loop_turn(l);
	l->is_stopping = false;
	return err;
}

void loop_stop(struct loop *l)
{
	l->is_stopping = true;
}
