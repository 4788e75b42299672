/* SPDX-License-Identifier: MIT */
/* Datagrams to $NOTIFY_SOCKET; see sd_notify(3) for what they mean. */
#include "edge/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEPT_FIRST 3 /* SD_LISTEN_FDS_START */
#define KEPT_MAX   65536
#define NAME_BYTES 255 /* of a descriptor, sd_pid_notify_with_fds(3) */

/* The text, with `with` attached unless that is negative. */
static int notify_send(const char *text, int with)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_len = strlen(text) };
	struct msghdr msg = { .msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1 };
	size_t len;
	int fd, err = 0;

	if (!path || !*path)
		return 0;
	len = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* abstract: its length counts, not a NUL */
	msg.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	memcpy(&iov.iov_base, &text, sizeof(text)); /* sendmsg does not write there */
	if (with >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.align), &with, sizeof(with));
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		err = -errno;
	close(fd);
	return err;
}

int notify_ready(void)
{
	return notify_send("READY=1", -1);
}

int notify_stopping(void)
{
	return notify_send("STOPPING=1", -1);
}

int notify_watchdog(void)
{
	return notify_send("WATCHDOG=1", -1);
}

/* --- descriptors that outlive us ----------------------------------------------------------------
 */

static int notify_about(int fd, const char *what, const char *name)
{
	char text[NAME_BYTES + 64];

	if (strlen(name) > NAME_BYTES)
		return -EINVAL;
	snprintf(text, sizeof(text), "%s\nFDNAME=%s", what, name);
	return notify_send(text, fd);
}

int notify_store(int fd, const char *name)
{
	/* no poll: a socket that reports an error is wanted all the same */
	return notify_about(fd, "FDSTORE=1\nFDPOLL=0", name);
}

int notify_unstore(const char *name)
{
	return notify_about(-1, "FDSTOREREMOVE=1", name);
}

/* How many descriptors are for this process; an environment that is copied on says 0. */
static unsigned kept_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	unsigned long n = 0;
	char *end = NULL;

	if (pid && fds && strtoul(pid, NULL, 10) == (unsigned long)getpid())
		n = strtoul(fds, &end, 10);
	return end && end != fds && !*end && n <= KEPT_MAX ? (unsigned)n : 0;
}

void notify_kept_take(struct notify_kept *kept)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *at;

	*kept = (struct notify_kept){ .n = kept_count() };
	for (unsigned i = 0; i < kept->n; i++)
		fcntl(KEPT_FIRST + (int)i, F_SETFD, FD_CLOEXEC);
	if (kept->n && names)
		kept->names = strdup(names);
	kept->names_len = kept->names ? strlen(kept->names) + 1 : 0;
	for (at = kept->names; at && (at = strchr(at, ':'));)
		*at++ = '\0';
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

void notify_kept_release(struct notify_kept *kept)
{
	for (size_t at = 0; at < kept->names_len; at += strlen(kept->names + at) + 1)
		notify_unstore(kept->names + at);
	for (unsigned i = 0; i < kept->n; i++)
		close(KEPT_FIRST + (int)i);
	free(kept->names);
	*kept = (struct notify_kept){ .n = 0 };
}
