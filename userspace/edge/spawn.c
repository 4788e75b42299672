/* SPDX-License-Identifier: MIT */
/*
 * Starts this binary again in another role and talks to it in whole messages. Reading trusts
 * nothing: whatever the other side attaches is taken in full or closed.
 */
#include "edge/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANNEL_SEND_BYTES (32 << 20)

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- starting and ending ---------------------------------------------------------------------- */

/* A child starts as a shell would start it, whatever main has done to its signals. */
static void child_reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signo = 1; signo < 65; signo++)
		sigaction(signo, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves both to where the role looks for them; what was there may be one of them. */
static int child_place_fds(int channel, int extra)
{
	if (extra >= 0)
		extra = fcntl(extra, F_DUPFD, EXTRA_FD + 1);
	if (channel == CHANNEL_FD)
		fcntl(channel, F_SETFD, 0);
	else if (dup2(channel, CHANNEL_FD) < 0)
		return -1;
	if (extra < 0)
		return (int)syscall(SYS_close_range, CHANNEL_FD + 1, ~0U, 0);
	if (dup2(extra, EXTRA_FD) < 0)
		return -1;
	return (int)syscall(SYS_close_range, EXTRA_FD + 1, ~0U, 0);
}

static _Noreturn void child_run(int channel, int extra, pid_t parent, const char *const *argv)
{
	static const char failed[] = "mcrd: cannot run /proc/self/exe\n";
	char *const *args;
	bool told;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126); /* the parent died before the line above */
	child_reset_signals();
	if (child_place_fds(channel, extra))
		_exit(126);
	memcpy(&args, &argv, sizeof(args)); /* execv takes, but does not change, plain pointers */
	execv("/proc/self/exe", args);
	told = write(STDERR_FILENO, failed, sizeof(failed) - 1) > 0;
	_exit(told ? 127 : 126);
}

int spawn_role(struct child *out, const char *const *argv, int extra)
{
	struct child c = { .pidfd = -1, .channel = -1 };
	int pair[2] = { -1, -1 }, bytes = CHANNEL_SEND_BYTES, err = 0;
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	/* A whole table of rules fits; without the privilege, as much as is allowed. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	c.pid = fork();
	if (c.pid < 0) {
		err = -errno;
		goto out;
	}
	if (!c.pid)
		child_run(pair[1], extra, parent, argv);
	c.channel = pair[0];
	pair[0] = -1;
	/* No race: a child that has ended stays a zombie until spawn_end. */
	c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	if (c.pidfd < 0) {
		err = -errno;
		spawn_end(&c);
		goto out;
	}
	*out = c;
out:
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return err;
}

void spawn_end(struct child *c)
{
	if (c->pid > 0) {
		pid_t got;

		kill(c->pid, SIGKILL);
		do {
			got = waitpid(c->pid, &c->status, 0);
		} while (got < 0 && errno == EINTR);
		fd_close(&c->pidfd);
		fd_close(&c->channel);
	}
	c->pid = 0;
	c->pidfd = -1;
	c->channel = -1;
}

/* --- messages --------------------------------------------------------------------------------- */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

int channel_send(int channel, const void *msg, size_t len, const int *fds, unsigned n_fds)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	/* The receiver could not tell an empty message from the end. */
	if (!len || n_fds > CHANNEL_FDS_MAX)
		return -EINVAL;
	memcpy(&iov.iov_base, &msg, sizeof(msg));
	if (n_fds) {
		struct cmsghdr *c;

		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(channel, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) /* reset: the other side ended with messages of ours unread */
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* Moves the attached descriptors to `got`; the count. Room for all that `hdr` can hold. */
static unsigned channel_take_fds(struct msghdr *hdr, int got[CHANNEL_FDS_MAX])
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < bytes / sizeof(int) && n < CHANNEL_FDS_MAX; i++)
			memcpy(&got[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return n;
}

ssize_t channel_recv(int channel, void *buf, size_t cap, int *fds, unsigned *n_fds)
{
	unsigned room = n_fds ? *n_fds : 0, n_got;
	int got[CHANNEL_FDS_MAX];
	union control control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	if (n_fds)
		*n_fds = 0;
	do {
		n = recvmsg(channel, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	n_got = channel_take_fds(&hdr, got);
	if ((hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_got > room) {
		while (n_got)
			close(got[--n_got]);
		return -EMSGSIZE;
	}
	if (n_got) {
		memcpy(fds, got, n_got * sizeof(int));
		*n_fds = n_got;
	}
	return n;
}
