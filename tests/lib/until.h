/* SPDX-License-Identifier: MIT */
/* Running an event loop until something holds. */
#pragma once

#include "edge/loop.h"

struct until {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*holds)(void);
	struct mtime end;
};

static inline void until_look(void *arg, struct mtime now)
{
	struct until *u = arg;

	if ((u->holds && u->holds()) || mtime_before(u->end, now))
		loop_stop(u->loop);
	else
		loop_timer_set(u->timer, mtime_add(now, mtime_ms(2)));
}

/* Whether it did within `ms`. Without `holds`: lets what is under way arrive, that long. */
static inline bool loop_until(struct loop *l, bool (*holds)(void), int64_t ms)
{
	struct until u = { .loop = l, .holds = holds };
	int err;

	u.end = mtime_add(loop_clock(), mtime_ms(ms));
	if (loop_timer_new(l, &u.timer, until_look, &u))
		return false;
	loop_timer_set(u.timer, loop_clock());
	err = loop_run(l);
	loop_timer_free(u.timer);
	return !err && (!holds || holds());
}
