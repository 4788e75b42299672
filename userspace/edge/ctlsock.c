/* SPDX-License-Identifier: MIT */
/*
 * The control socket's server. Each client has an input and an output buffer that grow on demand
 * and are given back; everything a client can make us hold or wait for has a bound. Clients that
 * are dropped while a callback runs are freed when it has returned, so no pointer dangles.
 */
#include "edge/ctlsock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "edge/buffer.h"

#define ROOT_EXTRA	  4
#define LISTEN_BACKLOG	  128
#define ACCEPTS_PER_TURN  32
#define ACCEPT_PAUSE_MS	  1000
#define DRAIN_MS	  1000
#define READ_PER_TURN	  (64u << 10)
#define TURN_MS		  2	       /* of one turn of the loop that clients may take */
#define LARGE_REQUEST	  (64u << 10)  /* waits until no small one does … */
#define LARGE_PATIENCE_MS 200	       /* … or for so long */
#define UNREAD_MOST	  (256u << 10) /* of replies, before the next request is looked at */

const struct ctlsock_limits ctlsock_defaults = {
	.request_bytes = 8u << 20,
	.backlog_bytes = 16u << 20,
	.clients = 256,
	.clients_per_uid = 64,
	.request_ms = 5000,
	.idle_ms = 60000,
	.total_bytes = 64u << 20,
};

struct ctl_client {
	struct ctlsock *s;
	struct ctl_client *next, *prev;
	struct ctl_peer peer;
	int fd;
	uint32_t events; /* as registered */
	struct buffer in, out;
	size_t scanned;	    /* in.bytes[start…scanned) has no newline */
	uint64_t place;	    /* in the queue of those whose request waits */
	uint64_t ticket;    /* of a request that is held, 0 = none */
	struct mtime since; /* of what the deadline counts from */
	struct loop_timer *deadline;
	bool has_line;	     /* a whole request waits for its turn */
	bool is_half_closed; /* nothing more will come; replies are still due */
	bool is_draining;    /* refused: what still comes is thrown away until it has read why */
	bool is_dead;	     /* to be freed */
};

struct ctlsock {
	struct loop *loop;
	ctlsock_fn fn;
	void *arg;
	struct ctlsock_limits limits;
	bool is_readonly, is_closing, is_accepting;
	int fd, spare_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev; /* of our socket file; 0/0 = not there */
	ino_t ino;
	struct loop_timer *accept_timer, *turn_timer;
	struct ctl_client *clients, *dead;
	uint64_t places, tickets; /* given out */
	struct mtime last_large;
	struct mtime turn; /* the last one in which a client was heard */
	size_t held;	   /* bytes that count against total_bytes */
	unsigned depth;	   /* callbacks of ours on the stack */
	struct ctlsock_counters counters;
};

static void client_arm(struct ctl_client *c);
static void ctlsock_free(struct ctlsock *s);

/* --- the life of a client --------------------------------------------------------------------- */

/* Bytes that the buffers of all clients may hold before this one's may not grow any more. */
static size_t client_bound(const struct ctl_client *c)
{
	return c->peer.uid ? c->s->limits.total_bytes : 2 * c->s->limits.total_bytes;
}

/* Ends the connection now; the memory goes when no callback can hold the pointer any more. */
static void client_drop(struct ctl_client *c)
{
	struct ctlsock *s = c->s;

	if (c->is_dead)
		return;
	c->is_dead = true;
	loop_fd_del(s->loop, c->fd);
	close(c->fd);
	loop_timer_free(c->deadline);
	c->deadline = NULL;
	buffer_release(&s->held, &c->out);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->counters.clients--;
	/* c->next stays, for whoever walks the list right now. */
	c->prev = s->dead;
	s->dead = c;
}

static void ctlsock_enter(struct ctlsock *s)
{
	s->depth++;
}

/* Ends a callback: frees what was dropped meanwhile. `s` itself may be gone afterwards. */
static void ctlsock_leave(struct ctlsock *s)
{
	struct ctl_client **at = &s->dead;

	if (--s->depth)
		return;
	while (*at) {
		struct ctl_client *c = *at;

		if (c->ticket) { /* somebody reads its line */
			at = &c->prev;
			continue;
		}
		*at = c->prev;
		buffer_release(&s->held, &c->in);
		free(c);
	}
	if (s->is_closing)
		ctlsock_free(s);
}

/* What epoll is to tell of: input unless a request waits, output only when some is left. */
static void client_watch(struct ctl_client *c)
{
	uint32_t events = 0;

	if (c->is_draining || (!c->is_half_closed && !c->has_line))
		events |= EPOLLIN;
	if (buffer_len(&c->out))
		events |= EPOLLOUT;
	if (events != c->events && !loop_fd_mod(c->s->loop, c->fd, events))
		c->events = events;
}

/* Sends what is queued as far as it goes. False when the client is gone. */
static bool client_flush(struct ctl_client *c)
{
	struct ctlsock *s = c->s;

	while (buffer_len(&c->out)) {
		ssize_t n = send(c->fd, c->out.bytes + c->out.start, buffer_len(&c->out),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n < 0) {
			client_drop(c);
			return false;
		}
		c->out.start += (size_t)n;
		c->since = loop_now(s->loop);
	}
	buffer_release(&s->held, &c->out);
	/* The other side reads until the end; what it still sends is drained, lest its
	 * connection is reset before it has read why. */
	if (c->is_draining)
		shutdown(c->fd, SHUT_WR);
	return true;
}

void ctlsock_reply(struct ctl_client *c, const char *text, size_t len)
{
	struct ctlsock *s = c->s;

	if (c->is_dead || c->is_draining)
		return;
	ctlsock_enter(s);
	if (len >= s->limits.backlog_bytes ||
	    buffer_len(&c->out) + len >= s->limits.backlog_bytes ||
	    buffer_reserve(&s->held, client_bound(c), &c->out, len + 1)) {
		s->counters.backlog_dropped++;
		client_drop(c);
	} else {
		if (!buffer_len(&c->out))
			c->since = loop_now(s->loop);
		memcpy(c->out.bytes + c->out.end, text, len);
		c->out.bytes[c->out.end + len] = '\n';
		c->out.end += len + 1;
		if (client_flush(c)) {
			client_watch(c);
			client_arm(c);
		}
	}
	ctlsock_leave(s);
}

const struct ctl_peer *ctlsock_peer(const struct ctl_client *c)
{
	return &c->peer;
}

uint64_t ctlsock_hold(struct ctl_client *c)
{
	c->ticket = ++c->s->tickets;
	return c->ticket;
}

static int refusal_format(char *buf, size_t cap, enum diag_code code, const char *sentence)
{
	return snprintf(buf, cap, "{\"status\":\"error\",\"error_code\":\"%s\",\"message\":\"%s\"}",
			diag_code_name(code), sentence);
}

/* Tells the client why and takes no more requests from it. */
static void client_refuse(struct ctl_client *c, enum diag_code code, const char *sentence)
{
	char text[256];
	int len = refusal_format(text, sizeof(text), code, sentence);

	buffer_release(&c->s->held, &c->in);
	c->scanned = 0;
	c->has_line = false;
	ctlsock_reply(c, text, (size_t)len);
	if (c->is_dead)
		return;
	c->is_draining = true;
	c->since = loop_now(c->s->loop);
	if (client_flush(c)) {
		client_watch(c);
		client_arm(c);
	}
}

/* --- requests --------------------------------------------------------------------------------- */

/* Looks for the end of the next request, from where the last look ended. */
static void client_scan(struct ctl_client *c)
{
	size_t len = buffer_len(&c->in);
	const char *request, *newline = NULL;

	if (len > c->scanned) {
		request = c->in.bytes + c->in.start;
		newline = memchr(request + c->scanned, '\n', len - c->scanned);
		c->scanned = newline ? (size_t)(newline - request) : len;
	}
	c->has_line = newline;
}

static void client_too_large(struct ctl_client *c)
{
	char sentence[96];

	c->s->counters.too_large++;
	snprintf(sentence, sizeof(sentence), "a request may have %zu bytes",
		 c->s->limits.request_bytes);
	client_refuse(c, E_TOO_LARGE, sentence);
}

/* Whether its next request may be carried out: not while it leaves the replies it has unread. */
static bool client_is_ready(const struct ctl_client *c)
{
	return c->has_line && !c->ticket && buffer_len(&c->out) < UNREAD_MOST;
}

/* Whether this turn of the loop has time for another request; what is left waits in the queue. */
static bool ctlsock_has_time(const struct ctlsock *s)
{
	return mtime_before(loop_clock(), mtime_add(loop_now(s->loop), mtime_ms(TURN_MS)));
}

/* The request is done with: the next one, if there is one. */
static void client_next_request(struct ctl_client *c, struct mtime now)
{
	c->in.start += c->scanned + 1;
	c->scanned = 0;
	c->since = now;
	c->place = ++c->s->places;
	client_scan(c);
}

/* Carries out one request, if there is one; has_line tells whether more wait. */
static void client_run_request(struct ctl_client *c, struct mtime now)
{
	struct ctlsock *s = c->s;

	if (client_is_ready(c)) {
		char *line = c->in.bytes + c->in.start;
		size_t len = c->scanned;

		if (len > s->limits.request_bytes) {
			client_too_large(c);
			return;
		}
		line[len] = '\0';
		s->counters.requests++;
		s->fn(s->arg, now, c, line, len);
		if (c->is_dead || s->is_closing || c->ticket)
			return;
		client_next_request(c, now);
	}
	if (!buffer_len(&c->in))
		buffer_release(&s->held, &c->in);
	else if (!c->has_line && buffer_len(&c->in) > s->limits.request_bytes)
		client_too_large(c);
}

/* After input or requests: decides what the connection waits for, or ends it. */
static void client_settle(struct ctl_client *c)
{
	struct ctlsock *s = c->s;

	if (c->is_dead || s->is_closing)
		return;
	if (client_is_ready(c))
		loop_timer_set(s->turn_timer, loop_now(s->loop));
	if (c->is_half_closed && !c->has_line && !buffer_len(&c->out)) {
		client_drop(c); /* a request without its newline is not one */
		return;
	}
	client_watch(c);
	client_arm(c);
}

/* Reads what is there, up to a turn's worth. False when the client is gone or was refused. */
static bool client_read(struct ctl_client *c, struct mtime now)
{
	struct ctlsock *s = c->s;
	size_t left = READ_PER_TURN;

	while (left) {
		size_t room;
		ssize_t n;

		if (buffer_len(&c->in) > s->limits.request_bytes)
			return true; /* found too large or complete by the caller */
		if (buffer_reserve(&s->held, client_bound(c), &c->in, 1)) {
			s->counters.refused_limit++;
			client_refuse(c, E_BUSY, "too many large requests at a time");
			return false;
		}
		room = c->in.cap - c->in.end;
		n = recv(c->fd, c->in.bytes + c->in.end, room < left ? room : left, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n < 0) {
			client_drop(c);
			return false;
		}
		if (!n) {
			c->is_half_closed = true;
			return true;
		}
		if (!buffer_len(&c->in))
			c->since = now;
		c->in.end += (size_t)n;
		left -= (size_t)n;
	}
	return true;
}

static void client_drain(struct ctl_client *c)
{
	char rubbish[16384];
	ssize_t n = recv(c->fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		client_drop(c);
}

/* Who has waited longest with a small or with a large request; NULL when nobody waits. */
static struct ctl_client *ctlsock_first(const struct ctlsock *s, bool is_large)
{
	struct ctl_client *first = NULL;

	for (struct ctl_client *c = s->clients; c; c = c->next)
		if (client_is_ready(c) && (c->scanned > LARGE_REQUEST) == is_large &&
		    (!first || c->place < first->place))
			first = c;
	return first;
}

static void client_on_events(void *arg, struct mtime now, uint32_t events)
{
	struct ctl_client *c = arg;
	struct ctlsock *s = c->s;

	/* Somebody is heard in each turn. The others are told of again, after those who were not.
	 */
	if (s->turn.us == now.us && !ctlsock_has_time(s))
		return;
	s->turn = now;
	ctlsock_enter(s);
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !client_flush(c))
		goto out;
	if (c->is_draining) {
		client_drain(c);
		goto out;
	}
	if (c->ticket && events & (EPOLLERR | EPOLLHUP)) {
		client_drop(c); /* nobody is there to be answered */
		goto out;
	}
	/* The requests of a client whose turn is over are for the turn timer. */
	if ((events & (EPOLLIN | EPOLLHUP)) && !c->has_line && !c->is_half_closed) {
		if (!client_read(c, now))
			goto out;
		client_scan(c);
		c->place = ++s->places;
		if (!c->has_line || (c->scanned <= LARGE_REQUEST && ctlsock_first(s, false) == c))
			client_run_request(c, now);
	}
	client_settle(c);
out:
	ctlsock_leave(s);
}

/*
 * Requests that found no time when they came. One of each client in turn, as many as there is
 * time for; a large one, which may take long, last and one at a time.
 */
static void ctlsock_on_turn(void *arg, struct mtime now)
{
	struct ctlsock *s = arg;
	struct mtime patience = mtime_add(s->last_large, mtime_ms(LARGE_PATIENCE_MS));
	struct ctl_client *c;
	bool has_run = false;

	ctlsock_enter(s);
	while (!s->is_closing && (!has_run || ctlsock_has_time(s)) &&
	       (c = ctlsock_first(s, false))) {
		client_run_request(c, now);
		client_settle(c);
		has_run = true;
	}
	c = s->is_closing ? NULL : ctlsock_first(s, true);
	if (c && (mtime_before(patience, now) || !ctlsock_first(s, false))) {
		client_run_request(c, now);
		client_settle(c);
		s->last_large = loop_clock();
	}
	if (!s->is_closing && (ctlsock_first(s, false) || ctlsock_first(s, true)))
		loop_timer_set(s->turn_timer, loop_now(s->loop));
	ctlsock_leave(s);
}

static struct ctl_client *ctlsock_find(const struct ctlsock *s, uint64_t ticket)
{
	struct ctl_client *c = s->clients;

	while (c && c->ticket != ticket)
		c = c->next;
	return c;
}

bool ctlsock_is_awaited(const struct ctlsock *s, uint64_t ticket)
{
	return ctlsock_find(s, ticket) != NULL;
}

void ctlsock_answer(struct ctlsock *s, uint64_t ticket, const char *text, size_t len)
{
	struct ctl_client *c = ctlsock_find(s, ticket), *dead = s->dead;

	while (dead && dead->ticket != ticket)
		dead = dead->prev;
	ctlsock_enter(s);
	if (dead)
		dead->ticket = 0; /* freed below */
	if (c) {
		c->ticket = 0;
		if (text)
			ctlsock_reply(c, text, len);
		if (!c->is_dead) {
			client_next_request(c, loop_now(s->loop));
			if (!buffer_len(&c->in))
				buffer_release(&s->held, &c->in);
			client_settle(c);
		}
	}
	ctlsock_leave(s);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void client_arm(struct ctl_client *c)
{
	const struct ctlsock_limits *limits = &c->s->limits;
	int64_t ms = limits->idle_ms;

	if (c->is_draining && !buffer_len(&c->out))
		ms = DRAIN_MS;
	else if (!buffer_len(&c->out) && buffer_len(&c->in))
		ms = limits->request_ms;
	/* While a whole request waits for us, it is not the client who is slow. */
	if (c->has_line && !buffer_len(&c->out))
		loop_timer_set(c->deadline, MTIME_NEVER);
	else
		loop_timer_set(c->deadline, mtime_add(c->since, mtime_ms(ms)));
}

static void client_on_deadline(void *arg, struct mtime now)
{
	struct ctl_client *c = arg;
	struct ctlsock *s = c->s;

	ctlsock_enter(s);
	if (c->is_draining) {
		client_drop(c);
	} else if (!buffer_len(&c->out) && buffer_len(&c->in)) {
		s->counters.timed_out++;
		client_refuse(c, E_PROTO, "the request was not complete in time");
	} else {
		s->counters.timed_out++;
		client_drop(c);
	}
	ctlsock_leave(s);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void refuse_fd(int fd, enum diag_code code, const char *sentence)
{
	char text[256];
	int len = refusal_format(text, sizeof(text) - 1, code, sentence);

	text[len++] = '\n';
	/* A fresh socket takes a short line; a client that is gone already misses nothing. */
	send(fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* NULL, or why this peer may not have another connection. */
static const char *ctlsock_full(const struct ctlsock *s, uid_t uid)
{
	unsigned same = 0;

	if (s->counters.clients >= s->limits.clients + (uid ? 0 : ROOT_EXTRA))
		return "too many connections";
	if (!uid)
		return NULL;
	for (const struct ctl_client *c = s->clients; c; c = c->next)
		same += c->peer.uid == uid;
	return same >= s->limits.clients_per_uid ? "too many connections of this user" : NULL;
}

/* Takes the descriptor over, whatever becomes of it. */
static void ctlsock_admit(struct ctlsock *s, int fd)
{
	struct ctl_client *c = NULL;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	const char *full;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		close(fd);
		return;
	}
	full = ctlsock_full(s, cred.uid);
	if (full)
		goto refuse;
	full = "no memory for another connection";
	c = calloc(1, sizeof(*c));
	if (!c || loop_timer_new(s->loop, &c->deadline, client_on_deadline, c))
		goto refuse;
	*c = (struct ctl_client){ .s = s,
				  .fd = fd,
				  .deadline = c->deadline,
				  .events = EPOLLIN,
				  .since = loop_now(s->loop),
				  .next = s->clients,
				  .peer = { cred.pid, cred.uid, cred.gid, s->is_readonly } };
	if (loop_fd_add(s->loop, fd, EPOLLIN, client_on_events, c)) {
		loop_timer_free(c->deadline);
		goto refuse;
	}
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->counters.clients++;
	s->counters.accepted++;
	client_arm(c);
	return;
refuse:
	free(c);
	s->counters.refused_limit++;
	refuse_fd(fd, E_BUSY, full);
}

/*
 * No descriptor is left: the spare one is given up to tell a single client so, then accepting
 * rests. Without the rest, epoll would report the same connections again and again.
 */
static void ctlsock_pause(struct ctlsock *s, int err)
{
	if ((err == EMFILE || err == ENFILE) && s->spare_fd >= 0) {
		int fd;

		close(s->spare_fd);
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			s->counters.refused_limit++;
			refuse_fd(fd, E_BUSY, "no file descriptor is left");
		}
		s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	s->is_accepting = false;
	loop_fd_mod(s->loop, s->fd, 0);
	loop_timer_set(s->accept_timer, mtime_add(loop_now(s->loop), mtime_ms(ACCEPT_PAUSE_MS)));
}

static void ctlsock_on_resume(void *arg, struct mtime now)
{
	struct ctlsock *s = arg;

	if (s->spare_fd < 0)
		s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->is_accepting = true;
	loop_fd_mod(s->loop, s->fd, EPOLLIN);
}

static void ctlsock_on_connect(void *arg, struct mtime now, uint32_t events)
{
	struct ctlsock *s = arg;

	for (int i = 0; i < ACCEPTS_PER_TURN && s->is_accepting; i++) {
		if (i && !ctlsock_has_time(s))
			return;
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			ctlsock_admit(s, fd);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR && errno != ECONNABORTED)
			ctlsock_pause(s, errno);
	}
}

/* --- opening and closing ---------------------------------------------------------------------- */

static int socket_fail(struct diag *d, int err, const char *path, const char *doing)
{
	return diag_set(d, err, E_IO, "", "control socket %s: %s: %s", path, doing, strerror(-err));
}

/* Removes what an earlier daemon left. Anything but a socket stays: it is not ours. */
static int stale_remove(const char *path, struct diag *d)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : socket_fail(d, -errno, path, "cannot look at it");
	if (!S_ISSOCK(st.st_mode))
		return diag_set(d, -EEXIST, E_IO, "", "%s exists and is not a socket", path);
	return unlink(path) ? socket_fail(d, -errno, path, "cannot remove the stale one") : 0;
}

static int group_find(const char *name, gid_t *gid, struct diag *d)
{
	const struct group *gr;

	*gid = (gid_t)-1;
	if (!name || !*name)
		return 0;
	errno = 0;
	gr = getgrnam(name);
	if (!gr)
		return diag_set(d, errno ? -errno : -ENOENT, E_NOT_FOUND, "",
				"there is no group %.64s", name);
	*gid = gr->gr_gid;
	return 0;
}

/*
 * The file is born with mode 0 (bind takes it from the socket's own inode), gets its group, then
 * its mode; and nobody can connect before listen.
 */
static int ctlsock_bind(struct ctlsock *s, mode_t mode, const char *group, struct diag *d)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	gid_t gid;
	int err = group_find(group, &gid, d);

	if (!err)
		err = stale_remove(s->path, d);
	if (err)
		return err;
	memcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	if (fchmod(s->fd, 0) || bind(s->fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return socket_fail(d, -errno, s->path, "cannot make it");
	if (lstat(s->path, &st))
		return socket_fail(d, -errno, s->path, "cannot look at it");
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (gid != (gid_t)-1 && lchown(s->path, (uid_t)-1, gid))
		return socket_fail(d, -errno, s->path, "cannot give it to its group");
	if (chmod(s->path, mode))
		return socket_fail(d, -errno, s->path, "cannot set its mode");
	if (listen(s->fd, LISTEN_BACKLOG))
		return socket_fail(d, -errno, s->path, "cannot listen");
	return 0;
}

static int ctlsock_watch(struct ctlsock *s, struct diag *d)
{
	int err = loop_timer_new(s->loop, &s->accept_timer, ctlsock_on_resume, s);

	if (!err)
		err = loop_timer_new(s->loop, &s->turn_timer, ctlsock_on_turn, s);
	if (!err)
		err = loop_fd_add(s->loop, s->fd, EPOLLIN, ctlsock_on_connect, s);
	return err ? socket_fail(d, err, s->path, "cannot watch it") : 0;
}

int ctlsock_open(struct ctlsock **out, struct loop *l, const char *path, mode_t mode,
		 const char *group, bool is_readonly, const struct ctlsock_limits *limits,
		 ctlsock_fn fn, void *arg, struct diag *d)
{
	struct ctlsock *s;
	int err;

	if (!*path || strlen(path) >= sizeof(s->path))
		return diag_set(d, -ENAMETOOLONG, E_RANGE, "",
				"a socket path has 1 to %zu characters", sizeof(s->path) - 1);
	s = calloc(1, sizeof(*s));
	if (!s)
		return socket_fail(d, -ENOMEM, path, "cannot make it");
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->limits = *limits;
	s->is_readonly = is_readonly;
	s->is_accepting = true;
	strcpy(s->path, path);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		err = socket_fail(d, -errno, path, "cannot make it");
	else
		err = ctlsock_bind(s, mode, group, d);
	if (!err)
		err = ctlsock_watch(s, d);
	if (err)
		ctlsock_close(s);
	else
		*out = s;
	return err;
}

static void ctlsock_free(struct ctlsock *s)
{
	loop_timer_free(s->accept_timer);
	loop_timer_free(s->turn_timer);
	free(s);
}

void ctlsock_close(struct ctlsock *s)
{
	struct stat st;

	if (!s || s->is_closing)
		return;
	ctlsock_enter(s);
	s->is_closing = true;
	if (s->ino && !lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	loop_fd_del(s->loop, s->fd);
	if (s->fd >= 0)
		close(s->fd);
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	while (s->clients)
		client_drop(s->clients);
	ctlsock_leave(s); /* from within a callback of ours, that one frees */
}

void ctlsock_counters(const struct ctlsock *s, struct ctlsock_counters *out)
{
	*out = s->counters;
}
