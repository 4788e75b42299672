/* SPDX-License-Identifier: MIT */
/*
 * One text saved so that a power cut leaves the old or the new one, never neither:
 *   line 1   mcr-state 1 <bytes> <crc32c, 8 hex digits>
 *   then     <bytes> of text
 * Save: write <name>.new (O_EXCL|O_NOFOLLOW, 0600), fsync, keep the present file as <name>.1,
 * rename over <name>, fsync the directory. Load: <name>, else <name>.1; a file that does not
 * check out is kept aside as <name>.bad-<n> (n ≤ 3).
 */
#pragma once

#include <stddef.h>

#include "base/diag.h"

#define STATEFILE_MAX (64u << 20)

int statefile_save(const char *dir, const char *name, const char *text, size_t len, struct diag *d);

/* 0 with *text (malloc'ed, NUL-terminated) and *len; -ENOENT when there is none; -EBADMSG when a
 * file was there and none could be trusted (d says why). With 0, a filled `d` says what was wrong
 * with the newer one. */
int statefile_load(const char *dir, const char *name, char **text, size_t *len, struct diag *d);

/* Replaces any ordinary file in the same way, without the header line (config save). */
int file_replace(const char *path, const char *text, size_t len, struct diag *d);

/* Reads a regular file of at most `max` bytes. -EFBIG, -errno. */
int file_read(const char *path, size_t max, char **text, size_t *len, struct diag *d);
