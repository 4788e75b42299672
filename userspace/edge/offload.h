/* SPDX-License-Identifier: MIT */
/*
 * One thread beside the loop, for work that takes long and touches nothing but its argument. It
 * takes no signals, and has the capabilities that are left when it is made. It has the priority of
 * the loop: it holds locks of the address space at times, and the loop must not wait for somebody
 * who is not let run.
 */
#pragma once

#include <stdbool.h>

#include "edge/loop.h"

struct offload;

/* 0 or -errno. */
int offload_new(struct offload **out, struct loop *l);

/* Waits until the work under way is done; its `done` is not called any more. NULL is fine. */
void offload_free(struct offload *o);

/* Runs `work` on the thread, and then `done` in the loop, which may start the next. False while
 * there is work. */
bool offload_start(struct offload *o, void (*work)(void *arg),
		   void (*done)(void *arg, struct mtime now), void *arg);
