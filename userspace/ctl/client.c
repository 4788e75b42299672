/* SPDX-License-Identifier: MIT */
/* libmcr: lines over a Unix stream socket, each call within one deadline. Includes no JSON. */
#include "mcr/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define INSTANCE_MAX 31
#define READ_STEP    65536 /* room for one read, and the smallest buffer */

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == MCR_CLIENT_PATH_MAX, "sun_path");

/* What was read lies in buf[0, len); the line handed out last is its first `taken` bytes. */
struct mcr_client {
	int fd;
	char *buf;
	size_t len, cap, taken;
	size_t reply_max;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t mcr_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

int mcr_deadline_left(int64_t at)
{
	int64_t left;

	if (at == INT64_MAX)
		return -1;
	left = at - now_ms();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

int mcr_client_instance_path(const char *instance, char path[MCR_CLIENT_PATH_MAX])
{
	size_t n;

	if (!instance)
		instance = MCR_CLIENT_INSTANCE;
	for (n = 0; instance[n]; n++)
		if (n == INSTANCE_MAX || !is_name_char(instance[n]))
			return -EINVAL;
	if (n == 0 || strchr("._-", instance[0]))
		return -EINVAL;
	snprintf(path, MCR_CLIENT_PATH_MAX, "%s/%s.sock", MCR_CLIENT_RUN_DIR, instance);
	return 0;
}

int mcr_client_readonly_path(const char *path, char readonly[MCR_CLIENT_PATH_MAX])
{
	static const char ending[] = ".sock";
	size_t len = strlen(path), stem = len;
	int n;

	if (len > sizeof(ending) - 1 && strcmp(path + len - (sizeof(ending) - 1), ending) == 0)
		stem -= sizeof(ending) - 1;
	if (len >= MCR_CLIENT_PATH_MAX)
		return -ENAMETOOLONG;
	n = snprintf(readonly, MCR_CLIENT_PATH_MAX, "%.*s-ro%s", (int)stem, path, ending);
	return n < MCR_CLIENT_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Waits until the socket is ready for `events`: 0, -ETIMEDOUT or -errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&p, 1, mcr_deadline_left(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

/*
 * A non-blocking connect to a Unix socket fails with EAGAIN while the listener's queue is full,
 * and no event tells when it is not; so ask again, ever less often, up to the deadline.
 */
static int connect_within(int fd, const struct sockaddr_un *addr, int64_t deadline)
{
	int pause_ms = 1, left;

	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EISCONN)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		left = mcr_deadline_left(deadline);
		if (left == 0)
			return -ETIMEDOUT;
		poll(NULL, 0, left > 0 && left < pause_ms ? left : pause_ms);
		if (pause_ms < 64)
			pause_ms *= 2;
	}
	return 0;
}

int mcr_client_open(struct mcr_client **out, const char *path, int timeout_ms)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int64_t deadline = mcr_deadline(timeout_ms);
	struct mcr_client *c = NULL;
	int err = -ENAMETOOLONG;

	*out = NULL;
	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		goto out;
	memcpy(addr.sun_path, path, strlen(path));
	err = -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto out;
	c->reply_max = MCR_CLIENT_REPLY_MAX;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	err = c->fd < 0 ? -errno : connect_within(c->fd, &addr, deadline);
	if (err)
		goto out;
	*out = c;
	c = NULL;
out:
	mcr_client_close(c);
	return err;
}

int mcr_client_open_instance(struct mcr_client **out, const char *instance, int timeout_ms)
{
	char path[MCR_CLIENT_PATH_MAX];
	int err = mcr_client_instance_path(instance, path);

	*out = NULL;
	return err ? err : mcr_client_open(out, path, timeout_ms);
}

/* The stream cannot be trusted any more: further calls get -ENOTCONN. Returns `err`. */
static int give_up(struct mcr_client *c, int err)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	return err;
}

void mcr_client_close(struct mcr_client *c)
{
	if (!c)
		return;
	give_up(c, 0);
	free(c->buf);
	free(c);
}

void mcr_client_set_reply_max(struct mcr_client *c, size_t bytes)
{
	c->reply_max = bytes;
}

int mcr_client_fd(const struct mcr_client *c)
{
	return c->fd;
}

/* Drops `n` sent bytes from the front of the two parts. */
static void iov_advance(struct iovec iov[2], size_t n)
{
	int i;

	for (i = 0; i < 2; i++) {
		size_t part = n < iov[i].iov_len ? n : iov[i].iov_len;

		iov[i].iov_base = (char *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		n -= part;
	}
}

/* Sends one line: 0, -ECONNRESET when the daemon hung up, or -errno. */
static int send_line(struct mcr_client *c, const char *text, int64_t deadline)
{
	char newline = '\n';
	struct iovec iov[2] = { { .iov_len = strlen(text) }, { &newline, 1 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;
	int err = 0;

	memcpy(&iov[0].iov_base, &text, sizeof(text)); /* sendmsg does not write to it */
	while (iov[1].iov_len > 0 && !err) {
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
		if (n >= 0)
			iov_advance(iov, (size_t)n);
		else if (errno == EAGAIN)
			err = wait_for(c->fd, POLLOUT, deadline);
		else if (errno != EINTR)
			err = errno == EPIPE ? -ECONNRESET : -errno;
	}
	return err;
}

/* What can be said of a request before anything is done. */
static int check_request(const struct mcr_client *c, const char *text)
{
	if (!*text || strchr(text, '\n'))
		return -EINVAL;
	return c->fd < 0 ? -ENOTCONN : 0;
}

int mcr_client_send(struct mcr_client *c, const char *text, int timeout_ms)
{
	int64_t deadline = mcr_deadline(timeout_ms);
	int err = check_request(c, text);

	if (err)
		return err;
	err = send_line(c, text, deadline);
	return err ? give_up(c, err) : 0; /* part of it may be on its way */
}

/* Makes room for one read beyond the `len` bytes that are there. -EMSGSIZE, -ENOMEM. */
static int make_room(struct mcr_client *c)
{
	size_t cap = c->cap ? c->cap * 2 : READ_STEP * 2;
	char *buf;

	if (c->len > c->reply_max)
		return -EMSGSIZE;
	if (c->cap - c->len >= READ_STEP)
		return 0;
	buf = realloc(c->buf, cap);
	if (!buf)
		return -ENOMEM;
	c->buf = buf;
	c->cap = cap;
	return 0;
}

/* One read into the buffer: 0, -EAGAIN or -errno. */
static int read_some(struct mcr_client *c)
{
	ssize_t n;
	int err = make_room(c);

	if (err)
		return err;
	do {
		n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c->len += (size_t)n;
	return n == 0 ? -ECONNRESET : 0;
}

/* Forgets the line that was handed out before; what follows it moves to the front. */
static void drop_taken(struct mcr_client *c)
{
	if (!c->taken)
		return;
	c->len -= c->taken;
	memmove(c->buf, c->buf + c->taken, c->len);
	c->taken = 0;
}

/* Hands out the line that ends at `newline`. */
static int take_line(struct mcr_client *c, char *newline, const char **reply, size_t *len)
{
	size_t n = (size_t)(newline - c->buf);

	if (n > c->reply_max)
		return -EMSGSIZE;
	if (memchr(c->buf, '\0', n))
		return -EBADMSG;
	*newline = '\0';
	c->taken = n + 1;
	*reply = c->buf;
	if (len)
		*len = n;
	return 0;
}

int mcr_client_receive(struct mcr_client *c, const char **reply, size_t *len, int timeout_ms)
{
	int64_t deadline = mcr_deadline(timeout_ms);
	size_t seen = 0;
	char *newline;
	int err = 0;

	*reply = NULL;
	if (c->fd < 0)
		return -ENOTCONN;
	drop_taken(c);
	for (;;) {
		newline = c->len > seen ? memchr(c->buf + seen, '\n', c->len - seen) : NULL;
		if (newline) {
			err = take_line(c, newline, reply, len);
			break;
		}
		seen = c->len;
		err = read_some(c);
		if (err == -EAGAIN)
			err = wait_for(c->fd, POLLIN, deadline);
		if (err)
			break;
	}
	return err && err != -ETIMEDOUT ? give_up(c, err) : err;
}

int mcr_client_request(struct mcr_client *c, const char *text, const char **reply, size_t *len,
		       int timeout_ms)
{
	int64_t deadline = mcr_deadline(timeout_ms);
	int err = check_request(c, text);

	*reply = NULL;
	if (err)
		return err;
	err = send_line(c, text, deadline);
	/* A daemon that hangs up in the middle of a request has said why before. */
	if (!err || err == -ECONNRESET)
		err = mcr_client_receive(c, reply, len, mcr_deadline_left(deadline));
	return err ? give_up(c, err) : 0;
}
