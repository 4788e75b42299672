/* SPDX-License-Identifier: MIT */
/*
 * Telling the service manager how we are, and what to keep for the next of us (sd_notify(3) and
 * sd_pid_notify_with_fds(3) say what its datagrams mean), without libsystemd.
 */
#pragma once

#include <stddef.h>

/* All of these: 0 when sent or when no manager listens, else -errno. Never block. */
int notify_ready(void);
int notify_stopping(void);
int notify_watchdog(void);

/*
 * The manager keeps the descriptor open over our end, for the process that comes after us, until it
 * is told otherwise. Names are unique, and have neither ':' nor control characters. -EAGAIN: it has
 * not yet read what it was told before.
 */
int notify_store(int fd, const char *name);
int notify_unstore(const char *name);

/* What was kept for this process by those before it. */
struct notify_kept {
	unsigned n;
	char *names; /* as many, each with its NUL */
	size_t names_len;
};

/* To be called once, at the very start: none of the descriptors goes on to children. */
void notify_kept_take(struct notify_kept *kept);
void notify_kept_release(struct notify_kept *kept); /* closes them, here and at the manager's */
