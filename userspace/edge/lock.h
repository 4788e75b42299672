/* SPDX-License-Identifier: MIT */
/* One daemon per instance: a locked file that says who holds it. */
#pragma once

#include <sys/types.h>

#include "base/diag.h"

/*
 * A descriptor that holds the lock (close-on-exec), or -EBUSY with the other process in *holder
 * (0 = not known), or -errno; `d` has a sentence. The file stays when the lock is gone.
 */
int lock_take(const char *path, pid_t *holder, struct diag *d);

void lock_drop(int lock); /* negative is fine */
