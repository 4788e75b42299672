/* SPDX-License-Identifier: MIT */
/*
 * Bad company for a control socket: many clients of every unpleasant kind at once, while a good
 * one asks for a Ping again and again, in turn over its own connection and over a fresh one, and
 * measures how long it waits.
 *	flood SOCKET CLIENTS SECONDS [PINGED-SOCKET]
 * prints how many connections each kind made, lost and had refused, and how long pings took: as
 * the client saw it, and without the time that the daemon or the client was ready to run and the
 * machine let others run. All clients are gone when it ends. Fails when a ping failed or nobody
 * pinged.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mcr/client.h"

#define CLIENTS_MAX 256
#define PINGS_MAX   100000
#define HUGE_BYTES  (9u << 20) /* more than a request may have */
#define HEAVY_BYTES (7u << 20) /* nearly as much as a request may have, and all of it JSON */
#define STATS	    "{\"command\":\"GetStats\"}\n"
#define PING	    "{\"command\":\"Ping\"}"

enum kind {
	IDLE,	 /* says nothing */
	SLOW,	 /* a byte at a time */
	HALF,	 /* a request, and half a request, then no more */
	GARBAGE, /* lines that are no requests */
	HUGE,	 /* a line without end */
	HEAVY,	 /* a large request that is nonsense only at its end */
	HANG_UP, /* goes in the middle of a reply */
	DEAF,	 /* asks on and on and never reads */
	KINDS,
};

static const char *const kind_names[] = { "idle", "slow",  "half",    "garbage",
					  "huge", "heavy", "hang_up", "deaf" };
/* of 20 clients */
static const enum kind kinds_of_20[] = { IDLE, IDLE, IDLE,    IDLE,    SLOW,	SLOW,	SLOW,
					 HALF, HALF, GARBAGE, GARBAGE, GARBAGE, HUGE,	HEAVY,
					 DEAF, DEAF, DEAF,    DEAF,    HANG_UP, HANG_UP };

struct client {
	enum kind kind;
	int fd;
	unsigned lines; /* sent over this connection */
	size_t at;	/* bytes of the present text that are sent */
	int64_t rest_us;
};

static struct {
	unsigned long connected, ended, refused;
} counts[KINDS];

static const char *socket_path, *pinged_path;
static char *huge, *heavy;
static volatile sig_atomic_t is_ended;

static struct {
	int64_t us[PINGS_MAX];
	unsigned n, failed;
	int64_t net_us; /* the longest, without waiting for a processor */
} pings;

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- what they say -----------------------------------------------------------------------------
 */

static const char *const garbage[] = {
	"\n",
	"hello?\n",
	"\x01\x02\xff\xfe\x80\n",
	"{\"command\":\"\xc3\x28\"}\n",
	"{\"command\":\"Ping\"\n",
	"{\"command\":5}\n",
	"{\"command\":\"Format\"}\n",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
	"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}\n",
	"{\"command\":\"AddRule\",\"input_interface\":\"nowhere-at-all-so-long\"}\n",
	"{\"command\":\"LoadConfig\",\"config\":{\"rules\":[{}]}}\n",
	"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
};

static void make_texts(void)
{
	static const char begin[] = "{\"command\":\"CheckConfig\",\"config\":[";
	size_t n = sizeof(begin) - 1;

	huge = malloc(HUGE_BYTES);
	heavy = malloc(HEAVY_BYTES);
	if (!huge || !heavy)
		exit(2);
	memset(huge, '[', HUGE_BYTES);
	memcpy(heavy, begin, n);
	for (; n < HEAVY_BYTES - 4; n += 2)
		memcpy(heavy + n, "1,", 2);
	memcpy(heavy + HEAVY_BYTES - 4, "1]}\n", 4);
}

/* The text that a client says next. */
static const char *text_of(const struct client *c, size_t *len)
{
	const char *text = STATS;

	switch (c->kind) {
	case GARBAGE:
		text = garbage[c->lines % (sizeof(garbage) / sizeof(garbage[0]))];
		break;
	case HUGE:
		*len = HUGE_BYTES;
		return huge;
	case HEAVY:
		*len = HEAVY_BYTES;
		return heavy;
	case SLOW:
		text = c->lines % 2 ? PING "\n" : "{\"command\": \"GetStatus\", \"id\": 77}\n";
		break;
	case HALF:
		text = c->lines % 2 ? "{\"command\":\"Ping" : STATS;
		break;
	case IDLE:
	case HANG_UP:
	case DEAF:
	case KINDS:
		break;
	}
	*len = strlen(text);
	return text;
}

/* --- the bad clients ---------------------------------------------------------------------------
 */

static void client_end(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	counts[c->kind].ended++;
	c->rest_us = now_us() + 20000;
}

static void client_connect(struct client *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	enum kind kind = c->kind;

	strcpy(addr.sun_path, socket_path);
	*c = (struct client){ .kind = kind, .rest_us = 0 };
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		counts[kind].refused++;
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		c->rest_us = now_us() + 50000;
		return;
	}
	counts[kind].connected++;
}

/* Says as much as goes at once. False when the connection is over. */
static bool client_say(struct client *c, int64_t now)
{
	size_t len, most;
	const char *text = text_of(c, &len);
	ssize_t n;

	most = c->kind == SLOW ? 1 : len - c->at;
	n = send(c->fd, text + c->at, most, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN;
	c->at += (size_t)n;
	if (c->kind == SLOW)
		c->rest_us = now + 50000;
	if (c->at < len)
		return true;
	c->at = 0;
	c->lines++;
	if (c->kind == HALF && c->lines == 2)
		shutdown(c->fd, SHUT_WR);
	if (c->kind == GARBAGE)
		c->rest_us = now + 2000;
	if (c->kind == HEAVY)
		c->rest_us = now + 500000;
	return true;
}

/* Takes what has come. False when the connection is over, or this client leaves. */
static bool client_hear(struct client *c)
{
	char rubbish[4096];
	ssize_t n;

	if (c->kind == HANG_UP) {
		n = recv(c->fd, rubbish, 100, MSG_DONTWAIT);
		return n <= 0 && errno == EAGAIN;
	}
	n = recv(c->fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool client_speaks(const struct client *c, int64_t now)
{
	return c->kind != IDLE && !(c->kind == HALF && c->lines == 2) &&
	       !(c->kind == HANG_UP && c->lines == 3) && c->rest_us <= now;
}

static void client_turn(struct client *c, short events)
{
	int64_t now = now_us();
	bool goes_on = true;

	if (c->fd < 0) {
		if (c->rest_us <= now)
			client_connect(c);
		return;
	}
	if (c->kind == DEAF && events & (POLLHUP | POLLERR))
		goes_on = false;
	if (c->kind != DEAF && events & (POLLIN | POLLHUP | POLLERR))
		goes_on = client_hear(c);
	if (goes_on && events & POLLOUT)
		goes_on = client_say(c, now);
	if (!goes_on)
		client_end(c);
}

static void flood(struct client *clients, unsigned n, int64_t until)
{
	struct pollfd p[CLIENTS_MAX];

	while (now_us() < until) {
		int64_t now = now_us();

		for (unsigned i = 0; i < n; i++) {
			short events = client_speaks(&clients[i], now) ? POLLOUT : 0;

			if (clients[i].kind != DEAF)
				events |= POLLIN;
			p[i] = (struct pollfd){ .fd = clients[i].fd, .events = events };
		}
		poll(p, n, 5);
		for (unsigned i = 0; i < n; i++)
			if (p[i].revents || clients[i].fd < 0)
				client_turn(&clients[i], p[i].revents);
	}
}

/* --- the good one ------------------------------------------------------------------------------
 */

/* Files that tell for how long there was no processor. */
struct scheduling {
	int daemon, self, machine;
};

/* How long a process has been ready to run, but not running, in its life. */
static int64_t delay_us(int schedstat)
{
	char text[128] = "";
	long long run_ns, delay_ns = 0;

	if (pread(schedstat, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%lld %lld", &run_ns, &delay_ns) != 2)
		return 0;
	return delay_ns / 1000;
}

/* How long the host has kept processors from this machine. */
static int64_t stolen_us(int stat)
{
	char text[256] = "";
	long long ticks = 0;

	if (pread(stat, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &ticks) != 1)
		return 0;
	return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

static int64_t waited_us(const struct scheduling *s)
{
	return delay_us(s->daemon) + delay_us(s->self) + stolen_us(s->machine);
}

static int daemon_schedstat(const struct mcr_client *c)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	char path[64];

	getsockopt(mcr_client_fd(c), SOL_SOCKET, SO_PEERCRED, &peer, &len);
	snprintf(path, sizeof(path), "/proc/%d/schedstat", peer.pid);
	return open(path, O_RDONLY);
}

/* One ping over `c`, or over a fresh connection. −1 when it failed. */
static int64_t ping_once(struct mcr_client *c)
{
	struct mcr_client *fresh = NULL;
	int64_t start = now_us();
	const char *reply;
	int err = c ? 0 : mcr_client_open(&fresh, pinged_path, 5000);

	if (!err)
		err = mcr_client_request(c ? c : fresh, PING, &reply, NULL, 5000);
	if (!err && strncmp(reply, "{\"status\":\"ok\"", 14) != 0)
		err = -EPROTO;
	start = now_us() - start;
	mcr_client_close(fresh);
	if (!err)
		return start;
	fprintf(stderr, "flood: ping over %s connection: %s\n", c ? "its own" : "a fresh",
		strerror(-err));
	return -1;
}

static void ping_count(struct mcr_client *c, const struct scheduling *s)
{
	int64_t waited = waited_us(s);
	int64_t us = ping_once(c);

	if (us < 0) {
		pings.failed++;
		return;
	}
	waited = waited_us(s) - waited;
	pings.us[pings.n++] = us;
	if (us - waited > pings.net_us)
		pings.net_us = us - waited;
}

static void *ping_all(void *arg)
{
	const struct timespec pause = { 0, 4000000 };
	struct mcr_client *own = NULL;
	struct scheduling s = {
		.self = open("/proc/thread-self/schedstat", O_RDONLY),
		.machine = open("/proc/stat", O_RDONLY),
	};

	(void)arg;
	setpriority(PRIO_PROCESS, 0, -20);
	if (mcr_client_open(&own, pinged_path, 5000)) {
		pings.failed++;
		return NULL;
	}
	s.daemon = daemon_schedstat(own);
	while (!is_ended && pings.n < PINGS_MAX && !pings.failed) {
		ping_count(pings.n % 2 ? own : NULL, &s);
		nanosleep(&pause, NULL);
	}
	mcr_client_close(own);
	return NULL;
}

static int compare_us(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(void)
{
	for (unsigned i = 0; i < KINDS; i++)
		printf("kind %s connected %lu ended %lu refused %lu\n", kind_names[i],
		       counts[i].connected, counts[i].ended, counts[i].refused);
	qsort(pings.us, pings.n, sizeof(pings.us[0]), compare_us);
	printf("pings %u failed %u", pings.n, pings.failed);
	if (pings.n)
		printf(" p50_us %lld p99_us %lld max_us %lld net_max_us %lld",
		       (long long)pings.us[pings.n / 2],
		       (long long)pings.us[(uint64_t)pings.n * 99 / 100],
		       (long long)pings.us[pings.n - 1], (long long)pings.net_us);
	puts("");
}

int main(int argc, char **argv)
{
	unsigned n = argc >= 4 ? (unsigned)atoi(argv[2]) : 0;
	static struct client clients[CLIENTS_MAX];
	struct sockaddr_un limit;
	pthread_t pinger;
	int64_t until;

	if (argc < 4 || argc > 5 || n > CLIENTS_MAX || strlen(argv[1]) >= sizeof(limit.sun_path)) {
		fputs("usage: flood SOCKET CLIENTS SECONDS [PINGED-SOCKET]\n", stderr);
		return 2;
	}
	socket_path = argv[1];
	pinged_path = argc == 5 ? argv[4] : argv[1];
	make_texts();
	until = now_us() + (int64_t)(atof(argv[3]) * 1e6);
	for (unsigned i = 0; i < n; i++)
		clients[i] = (struct client){ .kind = kinds_of_20[i % 20], .fd = -1 };
	if (pthread_create(&pinger, NULL, ping_all, NULL))
		return 2;
	flood(clients, n, until);
	is_ended = 1;
	pthread_join(pinger, NULL);
	for (unsigned i = 0; i < n; i++)
		if (clients[i].fd >= 0)
			close(clients[i].fd);
	report();
	return pings.failed || !pings.n;
}
