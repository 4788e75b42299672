/* SPDX-License-Identifier: MIT */
/* Hands work to the thread under a mutex, and learns of its end by an eventfd in the loop. */
#include "edge/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct offload {
	struct loop *loop;
	int fd; /* readable when work is done */
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_busy;		  /* the loop's: from offload_start to `done` */
	bool has_work, is_ending; /* under the mutex, and the four below */
	void (*work)(void *arg);
	void (*done)(void *arg, struct mtime now);
	void *arg;
};

static void *offload_run(void *arg)
{
	struct offload *o = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&o->mutex);
	for (;;) {
		while (!o->has_work && !o->is_ending)
			pthread_cond_wait(&o->changed, &o->mutex);
		if (!o->has_work)
			break;
		pthread_mutex_unlock(&o->mutex);
		o->work(o->arg);
		pthread_mutex_lock(&o->mutex);
		o->has_work = false;
		/* the counter cannot overflow: each is read before there is new work */
		if (write(o->fd, &one, sizeof(one)) < 0)
			break;
	}
	pthread_mutex_unlock(&o->mutex);
	return NULL;
}

static void offload_on_done(void *arg, struct mtime now, uint32_t events)
{
	struct offload *o = arg;
	uint64_t n;

	(void)events;
	if (read(o->fd, &n, sizeof(n)) < 0)
		return;
	o->is_busy = false;
	o->done(o->arg, now);
}

/* A thread takes over the signal mask: with everything blocked, signals are for the loop alone. */
static int offload_begin(struct offload *o)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&o->thread, NULL, offload_run, o);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	o->has_thread = !err;
	return -err;
}

int offload_new(struct offload **out, struct loop *l)
{
	struct offload *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->loop = l;
	pthread_mutex_init(&o->mutex, NULL);
	pthread_cond_init(&o->changed, NULL);
	o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = o->fd < 0 ? -errno : loop_fd_add(l, o->fd, EPOLLIN, offload_on_done, o);
	if (!err)
		err = offload_begin(o);
	if (err)
		offload_free(o);
	else
		*out = o;
	return err;
}

void offload_free(struct offload *o)
{
	if (!o)
		return;
	if (o->has_thread) {
		pthread_mutex_lock(&o->mutex);
		o->is_ending = true;
		pthread_cond_signal(&o->changed);
		pthread_mutex_unlock(&o->mutex);
		pthread_join(o->thread, NULL);
	}
	if (o->fd >= 0) {
		loop_fd_del(o->loop, o->fd);
		close(o->fd);
	}
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->mutex);
	free(o);
}

bool offload_start(struct offload *o, void (*work)(void *arg),
		   void (*done)(void *arg, struct mtime now), void *arg)
{
	if (o->is_busy)
		return false;
	o->is_busy = true;
	pthread_mutex_lock(&o->mutex);
	o->work = work;
	o->done = done;
	o->arg = arg;
	o->has_work = true;
	pthread_cond_signal(&o->changed);
	pthread_mutex_unlock(&o->mutex);
	return true;
}
