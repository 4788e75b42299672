/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll, timers, signals, child processes. One thread. It reads the clock once per
 * wake-up; everybody else gets the time as an argument. A callback may remove any source, its own
 * included.
 */
#pragma once

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/mtime.h"

struct loop;
struct loop_timer;

typedef void (*loop_fd_fn)(void *arg, struct mtime now, uint32_t events);
typedef void (*loop_timer_fn)(void *arg, struct mtime now);
typedef void (*loop_signal_fn)(void *arg, struct mtime now, int signo);

int loop_new(struct loop **out);
void loop_free(struct loop *l); /* its timers must have been freed by their owners */

/* The loop never owns the descriptor. 0 or -errno. */
int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg);
int loop_fd_mod(struct loop *l, int fd, uint32_t events);
void loop_fd_del(struct loop *l, int fd);

/* A timer starts unarmed. MTIME_NEVER disarms. Fires once per arming. */
int loop_timer_new(struct loop *l, struct loop_timer **out, loop_timer_fn fn, void *arg);
void loop_timer_set(struct loop_timer *t, struct mtime at);
void loop_timer_free(struct loop_timer *t);

/* Blocks the signal for the process and delivers it here. */
int loop_signal_add(struct loop *l, int signo, loop_signal_fn fn, void *arg);

struct mtime loop_now(const struct loop *l); /* of this wake-up */
struct mtime loop_clock(void);               /* reads the clock; for start-up code only */

int loop_run(struct loop *l);                /* until loop_stop; 0 or -errno */
void loop_stop(struct loop *l);
