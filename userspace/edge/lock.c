/* SPDX-License-Identifier: MIT */
/* The instance lock, by flock: the kernel drops it with the process, so it is never stale. */
#include "edge/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number at the start of the file; 0 when there is none (its owner is about to write it). */
static pid_t lock_read_pid(int fd)
{
	char text[32] = "";
	char *end;
	long pid;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || *end != '\n' || pid <= 0 || pid > 1 << 22)
		return 0;
	return (pid_t)pid;
}

static int lock_write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0))
		return -errno;
	errno = 0;
	if (pwrite(fd, text, (size_t)len, 0) != len)
		return errno ? -errno : -ENOSPC;
	return 0;
}

/* False when somebody has removed or replaced the file since it was opened. */
static bool lock_is_current(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !lstat(path, &there) && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

static int lock_open(const char *path, struct diag *d)
{
	struct stat st;
	int fd, err;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (fd < 0) {
		err = -errno;
		return diag_set(d, err, E_IO, "", "lock file %s: %s", path, strerror(-err));
	}
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return diag_set(d, -EINVAL, E_IO, "", "lock file %s is not a regular file", path);
}

int lock_take(const char *path, pid_t *holder, struct diag *d)
{
	*holder = 0;
	for (int tries = 0; tries < 16; tries++) {
		int err, fd = lock_open(path, d);

		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			err = -errno;
			if (err != -EWOULDBLOCK) {
				close(fd);
				return diag_set(d, err, E_IO, "", "lock file %s: %s", path,
						strerror(-err));
			}
			*holder = lock_read_pid(fd);
			close(fd);
			return diag_set(d, -EBUSY, E_BUSY, "", "process %ld holds %s",
					(long)*holder, path);
		}
		if (!lock_is_current(fd, path)) {
			close(fd);
			continue;
		}
		err = lock_write_pid(fd);
		if (!err)
			return fd;
		close(fd);
		return diag_set(d, err, E_IO, "", "lock file %s: %s", path, strerror(-err));
	}
	return diag_set(d, -EAGAIN, E_IO, "", "lock file %s is being replaced all the time", path);
}

void lock_drop(int lock)
{
	if (lock >= 0)
		close(lock); /* and with it the lock: nobody else has this description */
}
