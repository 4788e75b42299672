/* SPDX-License-Identifier: MIT */
/*
 * For unit tests that must do something to a whole process: a forked child runs a function and
 * returns its number. The child must not use cmocka's assertions.
 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number that `fn` returned (0–255), or 256 plus the signal that ended the child. */
static inline int child_run(int (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn(arg)); /* not exit: the parent's buffers and checks are the parent's */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Runs a shell command; false when it fails. */
__attribute__((format(printf, 1, 2))) static inline bool shell(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return system(line) == 0;
}

/* A network namespace of this process's own, with loopback up. False when that is not allowed. */
static inline bool netns_enter(void)
{
	return !unshare(CLONE_NEWNET) && shell("ip link set lo up");
}

/* A mount namespace whose mounts nobody else sees. */
static inline bool mountns_enter(void)
{
	return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}
