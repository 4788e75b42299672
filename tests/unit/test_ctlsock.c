/* SPDX-License-Identifier: MIT */
/*
 * The control socket with clients that are pipelined, slow, greedy, half-closed or hostile. The
 * server runs in this thread's loop; clients are plain sockets that a step function drives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "edge/ctlsock.h"
#include "../lib/child.h"

#define WAIT_MS 10000

static char dir[64], path[96];
static struct loop *loop;
static struct ctlsock *sock;
static struct ctlsock_limits limits;
static struct diag d;

/* --- what the server does with requests ------------------------------------------------------- */

static unsigned n_requests;
static char order[4096]; /* first letter of each request */
static struct ctl_peer last_peer;
static size_t reply_bytes; /* of "big" */
static char *big_reply;
static uint64_t held_ticket;
static const char *held_line;

static void on_request(void *arg, struct mtime now, struct ctl_client *c, const char *line,
		       size_t len)
{
	assert_ptr_equal(arg, &n_requests);
	assert_int_equal(line[len], '\0');
	if (n_requests < sizeof(order) - 1)
		order[n_requests] = line[0];
	n_requests++;
	last_peer = *ctlsock_peer(c);
	if (!strcmp(line, "quit")) {
		ctlsock_reply(c, "bye", 3);
		ctlsock_close(sock);
		sock = NULL;
	} else if (!strcmp(line, "big")) {
		ctlsock_reply(c, big_reply, reply_bytes);
		ctlsock_reply(c, "after", 5); /* the client may be gone: harmless */
		assert_int_equal(ctlsock_peer(c)->pid, last_peer.pid);
	} else if (!strcmp(line, "silence")) {
		return;
	} else if (!strcmp(line, "hold this")) {
		held_ticket = ctlsock_hold(c);
		held_line = line;
	} else {
		ctlsock_reply(c, line, len > 40 ? 40 : len);
	}
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/mcrt-ctl-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	n_requests = 0;
	held_ticket = 0;
	memset(order, 0, sizeof(order));
	d = (struct diag){ 0 };
	limits = ctlsock_defaults;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	ctlsock_close(sock);
	loop_free(loop);
	free(big_reply);
	sock = NULL;
	loop = NULL;
	big_reply = NULL;
	return shell("rm -rf %s", dir) ? 0 : -1;
}

static void serve(void)
{
	assert_int_equal(ctlsock_open(&sock, loop, path, 0666, NULL, false, &limits, on_request,
				      &n_requests, &d),
			 0);
}

static void make_big_reply(size_t len)
{
	reply_bytes = len;
	big_reply = malloc(len);
	assert_non_null(big_reply);
	memset(big_reply, 'b', len);
}

static struct ctlsock_counters counters(void)
{
	struct ctlsock_counters c;

	ctlsock_counters(sock, &c);
	return c;
}

/* --- clients ---------------------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(at.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static struct loop_timer *step_timer;
static struct mtime step_end;
static bool (*step)(void *arg);
static void *step_arg;
static bool is_done;

static void on_step(void *arg, struct mtime now)
{
	is_done = step && step(step_arg);
	if (is_done || mtime_before(step_end, now))
		loop_stop(loop);
	else
		loop_timer_set(step_timer, mtime_add(now, mtime_ms(1)));
}

/* Runs the server, calling `what` each millisecond, until that says it is done. */
static bool run(bool (*what)(void *arg), void *arg, int64_t ms)
{
	step = what;
	step_arg = arg;
	is_done = false;
	step_end = mtime_add(loop_clock(), mtime_ms(ms));
	assert_int_equal(loop_timer_new(loop, &step_timer, on_step, NULL), 0);
	loop_timer_set(step_timer, loop_clock());
	assert_int_equal(loop_run(loop), 0);
	loop_timer_free(step_timer);
	return is_done;
}

static void run_for(int64_t ms)
{
	run(NULL, NULL, ms);
}

struct talk {
	int fd;
	const char *out;
	size_t out_len;
	char in[65536];
	size_t in_len, in_total; /* in_total counts what did not fit, too */
	unsigned want_lines, lines;
	bool shuts, is_ended, until_end, is_broken;
};

static bool talk_step(void *arg)
{
	struct talk *t = arg;
	char buf[65536];
	ssize_t n;

	if (t->out_len) {
		n = send(t->fd, t->out, t->out_len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN) {
			t->is_broken = true;
			t->out_len = 0;
		}
		if (n > 0) {
			t->out += n;
			t->out_len -= (size_t)n;
		}
		if (!t->out_len && t->shuts)
			shutdown(t->fd, SHUT_WR);
	}
	while (!t->is_ended && (n = recv(t->fd, buf, sizeof(buf), 0)) != -1) {
		t->is_ended = !n;
		t->in_total += (size_t)n;
		for (ssize_t i = 0; i < n; i++) {
			t->lines += buf[i] == '\n';
			if (t->in_len < sizeof(t->in) - 1)
				t->in[t->in_len++] = buf[i];
		}
	}
	if (!t->is_ended && errno != EAGAIN)
		t->is_ended = true;
	t->in[t->in_len] = '\0';
	if (t->until_end)
		return t->is_ended && !t->out_len;
	return t->is_ended || (!t->out_len && t->lines >= t->want_lines);
}

/* Sends, and reads until so many lines have come. */
static const char *ask(int fd, const char *text, unsigned want_lines)
{
	static struct talk t;

	t = (struct talk){
		.fd = fd, .out = text, .out_len = strlen(text), .want_lines = want_lines
	};
	assert_true(run(talk_step, &t, WAIT_MS));
	return t.in;
}

/* Sends, and reads until the server ends the connection; closes. */
static const char *ask_to_the_end(int fd, const char *text, bool shuts)
{
	static struct talk t;

	t = (struct talk){
		.fd = fd, .out = text, .out_len = strlen(text), .shuts = shuts, .until_end = true
	};
	if (!t.out_len && shuts)
		shutdown(fd, SHUT_WR);
	assert_true(run(talk_step, &t, WAIT_MS));
	close(fd);
	return t.in;
}

/* --- the ordinary course ---------------------------------------------------------------------- */

static void requests_are_answered_in_order(void **state)
{
	int fd;

	serve();
	fd = dial();
	assert_string_equal(ask(fd, "one\n", 1), "one\n");
	assert_string_equal(ask(fd, "two\nthree\n\nfour\n", 4), "two\nthree\n\nfour\n");
	assert_string_equal(ask(fd, "in ", 0), "");
	assert_string_equal(ask(fd, "pieces", 0), "");
	assert_string_equal(ask(fd, "\n", 1), "in pieces\n");
	assert_int_equal(last_peer.pid, getpid());
	assert_int_equal(last_peer.uid, getuid());
	assert_int_equal(last_peer.gid, getgid());
	assert_false(last_peer.is_readonly);
	assert_int_equal(counters().requests, 6);
	assert_int_equal(counters().accepted, 1);
	assert_int_equal(counters().clients, 1);
	close(fd);
	run_for(5);
	assert_int_equal(counters().clients, 0);
}

static void bytes_of_all_kinds_reach_the_callback(void **state)
{
	static const char bytes[] = "a\0b\r\xff\n";
	char back[16];
	int fd;

	serve();
	fd = dial();
	assert_int_equal(send(fd, bytes, sizeof(bytes) - 1, 0), sizeof(bytes) - 1);
	run_for(10);
	assert_int_equal(recv(fd, back, sizeof(back), 0), 6);
	assert_memory_equal(back, bytes, 6);
	close(fd);
}

static void the_file_has_mode_and_group_and_goes_away(void **state)
{
	struct stat st;
	struct ctlsock *again;

	assert_int_equal(ctlsock_open(&sock, loop, path, 0660, geteuid() ? NULL : "adm", true,
				      &limits, on_request, &n_requests, &d),
			 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	if (!geteuid())
		assert_int_not_equal(st.st_gid, 0);
	close(dial());
	run_for(5);
	/* What a crash leaves is replaced; the old server no longer owns the file. */
	assert_int_equal(ctlsock_open(&again, loop, path, 0600, NULL, false, &limits, on_request,
				      &n_requests, &d),
			 0);
	ctlsock_close(sock);
	sock = NULL;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	ctlsock_close(again);
	assert_int_equal(stat(path, &st), -1);
}

static int open_err(const char *at, const char *group)
{
	return ctlsock_open(&sock, loop, at, 0600, group, false, &limits, on_request, &n_requests,
			    &d);
}

static void what_cannot_be_opened_says_why(void **state)
{
	char long_path[200];

	assert_true(shell("echo precious > %s", path));
	assert_int_equal(open_err(path, NULL), -EEXIST);
	assert_true(shell("grep -q precious %s && rm %s", path, path));
	assert_int_equal(open_err(path, "no-such-group"), -ENOENT);
	assert_int_equal(d.code, E_NOT_FOUND);
	assert_int_equal(open_err("/nonexistent/s", NULL), -ENOENT);
	assert_int_equal(d.code, E_IO);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(open_err(long_path, NULL), -ENAMETOOLONG);
	assert_int_equal(open_err("", NULL), -ENAMETOOLONG);
}

static void the_read_only_socket_marks_its_peers(void **state)
{
	int fd;

	assert_int_equal(ctlsock_open(&sock, loop, path, 0666, NULL, true, &limits, on_request,
				      &n_requests, &d),
			 0);
	fd = dial();
	assert_string_equal(ask(fd, "x\n", 1), "x\n");
	assert_true(last_peer.is_readonly);
	close(fd);
}

static void a_callback_may_close_the_whole_server(void **state)
{
	int a, b;

	serve();
	a = dial();
	b = dial();
	ask(b, "hello\n", 1);
	assert_string_equal(ask_to_the_end(a, "quit\nmore\n", false), "bye\n");
	assert_null(sock);
	assert_int_equal(n_requests, 2);
	assert_string_equal(ask_to_the_end(b, "", false), "");
}

/* --- half-closed and vanished clients --------------------------------------------------------- */

static void a_half_closed_client_gets_its_replies_then_the_end(void **state)
{
	serve();
	assert_string_equal(ask_to_the_end(dial(), "a\nb\nc\nunfinished", true), "a\nb\nc\n");
	assert_int_equal(n_requests, 3);
	assert_string_equal(ask_to_the_end(dial(), "", true), "");
	assert_int_equal(counters().clients, 0);
}

static void a_half_closed_client_gets_a_large_reply_whole(void **state)
{
	static struct talk t;

	make_big_reply(3 << 20);
	serve();
	t = (struct talk){
		.fd = dial(), .out = "big\n", .out_len = 4, .shuts = true, .until_end = true
	};
	assert_true(run(talk_step, &t, WAIT_MS));
	assert_int_equal(t.in_total, (3 << 20) + 1 + 6);
	close(t.fd);
}

static void a_client_that_vanishes_with_requests_on_the_way_harms_nobody(void **state)
{
	static char many[400];
	int other, fd;

	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "v\n", 2);
	serve();
	other = dial();
	for (int i = 0; i < 20; i++) {
		fd = dial();
		assert_int_equal(send(fd, many, sizeof(many), 0), sizeof(many));
		close(fd);
	}
	assert_string_equal(ask(other, "still there\n", 1), "still there\n");
	run_for(20);
	assert_int_equal(counters().clients, 1);
	close(other);
}

/* --- fairness --------------------------------------------------------------------------------- */

static void a_pipelining_client_does_not_shut_others_out(void **state)
{
	static char many[2000];
	struct talk greedy = { .out_len = sizeof(many), .want_lines = sizeof(many) / 2 };
	int fd, other;

	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "g\n", 2);
	serve();
	fd = dial();
	other = dial();
	run_for(5);
	assert_int_equal(send(fd, many, sizeof(many), 0), sizeof(many));
	assert_int_equal(send(other, "o\n", 2, 0), 2);
	greedy.fd = fd;
	greedy.out_len = 0;
	assert_true(run(talk_step, &greedy, WAIT_MS));
	assert_int_equal(n_requests, 1001);
	assert_in_range(strchr(order, 'o') - order, 0, 2); /* who came first is first, once */
	close(fd);
	close(other);
}

static void many_clients_are_served_while_one_is_stuck(void **state)
{
	enum { N = 60 };
	int stuck, fds[N];

	make_big_reply(8 << 20);
	serve();
	stuck = dial();
	assert_int_equal(send(stuck, "big\nhalf a requ", 15, 0), 15); /* and never reads */
	for (int i = 0; i < N; i++)
		fds[i] = dial();
	for (int i = 0; i < N; i++)
		assert_string_equal(ask(fds[i], "ping\n", 1), "ping\n");
	for (int i = 0; i < N; i++)
		close(fds[i]);
	close(stuck);
}

/* --- limits of one client --------------------------------------------------------------------- */

static void a_request_of_the_greatest_length_works_and_one_byte_more_does_not(void **state)
{
	char text[103];
	const char *reply;
	int fd;

	limits.request_bytes = 100;
	serve();
	fd = dial();
	memset(text, 'x', sizeof(text));
	memcpy(text + 100, "\n", 2);
	assert_int_equal(strlen(ask(fd, text, 1)), 41);
	memcpy(text + 100, "x\n", 3);
	reply = ask_to_the_end(fd, text, false);
	assert_string_equal(reply, "{\"status\":\"error\",\"error_code\":\"E_TOO_LARGE\","
				   "\"message\":\"a request may have 100 bytes\"}\n");
	run_for(5);
	assert_int_equal(counters().too_large, 1);
	assert_int_equal(n_requests, 1);
	assert_int_equal(counters().clients, 0);
}

static void an_endless_request_is_refused_and_the_client_can_read_why(void **state)
{
	static struct talk t;
	size_t len = 9 << 20;
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, 'x', len);
	serve();
	t = (struct talk){ .fd = dial(), .out = text, .out_len = len, .until_end = true };
	assert_true(run(talk_step, &t, WAIT_MS));
	assert_non_null(strstr(t.in, "E_TOO_LARGE"));
	assert_false(t.is_broken);
	assert_int_equal(t.out_len, 0); /* it could send to the end and was listened to */
	close(t.fd);
	free(text);
}

static void a_large_request_works_and_its_memory_is_given_back(void **state)
{
	static struct talk t;
	size_t len = 8 << 20;
	char *text = malloc(len + 1);
	char resident[64];
	long pages_before = 0, pages_after = 0;
	FILE *f;

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\n';
	serve();
	t = (struct talk){ .fd = dial(), .want_lines = 1 };
	for (int i = 0; i < 4; i++) {
		if (i == 1) {
			f = fopen("/proc/self/statm", "re");
			assert_non_null(fgets(resident, sizeof(resident), f));
			assert_int_equal(sscanf(resident, "%*d %ld", &pages_before), 1);
			fclose(f);
		}
		t.out = text;
		t.out_len = len + 1;
		t.lines = 0;
		assert_true(run(talk_step, &t, WAIT_MS));
	}
	f = fopen("/proc/self/statm", "re");
	assert_non_null(fgets(resident, sizeof(resident), f));
	assert_int_equal(sscanf(resident, "%*d %ld", &pages_after), 1);
	fclose(f);
	assert_int_equal(n_requests, 4);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory to watch it */
	/* The text and a megabyte; not the 8 MiB of the buffer. */
	assert_true(pages_after * 4096 < (long)len + (6 << 20));
#endif
	close(t.fd);
	free(text);
}

static void a_reply_beyond_the_backlog_drops_the_client(void **state)
{
	int fd;

	limits.backlog_bytes = 100000;
	make_big_reply(100000);
	serve();
	fd = dial();
	assert_string_equal(ask_to_the_end(fd, "big\n", false), "");
	assert_int_equal(counters().backlog_dropped, 1);
	assert_int_equal(counters().clients, 0);
}

static bool nobody_is_left(void *arg)
{
	return counters().clients == 0;
}

static void a_client_that_never_reads_is_not_served_and_dropped_in_time(void **state)
{
	uint64_t served;
	int fd;

	limits.idle_ms = 300;
	make_big_reply(90000);
	serve();
	fd = dial();
	for (int i = 0; i < 30; i++) {
		assert_int_equal(send(fd, "big\n", 4, MSG_NOSIGNAL), 4);
		run_for(2);
	}
	served = counters().requests;
	assert_in_range(served, 3, 8); /* 256 KiB of replies, and what the kernel has taken */
	run_for(100);
	assert_int_equal(counters().requests, served);
	assert_int_equal(counters().clients, 1);
	assert_true(run(nobody_is_left, NULL, WAIT_MS));
	close(fd);
}

static void a_client_that_reads_late_gets_every_reply(void **state)
{
	static struct talk late = { .want_lines = 60 }; /* each is answered by two */

	make_big_reply(90000);
	serve();
	late.fd = dial();
	for (int i = 0; i < 30; i++) {
		assert_int_equal(send(late.fd, "big\n", 4, MSG_NOSIGNAL), 4);
		run_for(1);
	}
	assert_true(run(talk_step, &late, WAIT_MS));
	assert_int_equal(counters().requests, 30);
	close(late.fd);
}

/* --- requests that are held --------------------------------------------------------------------
 */

static bool is_held(void *arg)
{
	return held_ticket != 0;
}

static void a_held_request_is_answered_before_the_next(void **state)
{
	int fd, other;

	serve();
	fd = dial();
	other = dial();
	assert_int_equal(send(fd, "hold this\nnext\n", 15, 0), 15);
	assert_true(run(is_held, NULL, WAIT_MS));
	assert_string_equal(ask(other, "other\n", 1), "other\n");
	run_for(20);
	assert_int_equal(counters().requests, 2);
	assert_string_equal(held_line, "hold this"); /* still there to be read */
	ctlsock_answer(sock, held_ticket, "held", 4);
	assert_string_equal(ask(fd, "", 2), "held\nnext\n");
	assert_int_equal(counters().requests, 3);
	close(fd);
	close(other);
}

static void a_client_that_leaves_while_its_request_is_held(void **state)
{
	int fd;

	serve();
	fd = dial();
	assert_int_equal(send(fd, "hold this\nnext\n", 15, 0), 15);
	assert_true(run(is_held, NULL, WAIT_MS));
	close(fd);
	assert_true(run(nobody_is_left, NULL, WAIT_MS));
	assert_string_equal(held_line, "hold this");
	ctlsock_answer(sock, held_ticket, "held", 4);
	assert_int_equal(counters().requests, 1);
	assert_string_equal(ask(dial(), "another\n", 1), "another\n");
}

/* --- time ------------------------------------------------------------------------------------- */

static void a_request_that_trickles_in_times_out(void **state)
{
	int fd;

	limits.request_ms = 60;
	serve();
	fd = dial();
	for (int i = 0; i < 8; i++) { /* a byte every 20 ms does not extend its time */
		send(fd, "x", 1, MSG_NOSIGNAL);
		run_for(20);
	}
	assert_int_equal(counters().timed_out, 1);
	assert_non_null(strstr(ask_to_the_end(fd, "", false), "\"error_code\":\"E_PROTO\""));
	assert_int_equal(n_requests, 0);
}

static void an_idle_client_is_closed_and_a_busy_one_is_not(void **state)
{
	int idle, busy;

	limits.idle_ms = 120;
	serve();
	idle = dial();
	busy = dial();
	for (int i = 0; i < 10; i++) {
		assert_string_equal(ask(busy, "x\n", 1), "x\n");
		run_for(25);
	}
	assert_string_equal(ask_to_the_end(idle, "", false), "");
	assert_int_equal(counters().timed_out, 1);
	assert_string_equal(ask(busy, "x\n", 1), "x\n");
	close(busy);
}

static void a_client_that_takes_no_reply_is_dropped_in_time(void **state)
{
	int fd;

	limits.idle_ms = 80;
	make_big_reply(2 << 20);
	serve();
	fd = dial();
	assert_int_equal(send(fd, "big\n", 4, 0), 4);
	run_for(300);
	assert_int_equal(counters().timed_out, 1);
	assert_int_equal(counters().clients, 0);
	close(fd);
}

static void a_refused_client_that_goes_on_sending_is_closed(void **state)
{
	char block[4096];
	int fd;

	memset(block, 'x', sizeof(block));
	limits.request_bytes = 10;
	serve();
	fd = dial();
	for (int i = 0; i < 150; i++) {
		send(fd, block, sizeof(block), MSG_NOSIGNAL);
		run_for(10);
	}
	assert_int_equal(counters().too_large, 1);
	assert_int_equal(counters().clients, 0);
	close(fd);
}

/* --- limits of all clients together ----------------------------------------------------------- */

static const char busy_line[] = "{\"status\":\"error\",\"error_code\":\"E_BUSY\",";

static void connections_beyond_the_limit_are_told_so(void **state)
{
	int fds[8], n = 4 + (geteuid() ? 0 : 4); /* root has four more */

	limits.clients = 4;
	serve();
	for (int i = 0; i < n; i++)
		fds[i] = dial();
	run_for(5);
	assert_non_null(strstr(ask_to_the_end(dial(), "", false), busy_line));
	assert_int_equal(counters().refused_limit, 1);
	assert_int_equal(counters().clients, n);
	close(fds[0]);
	run_for(5);
	fds[0] = dial();
	assert_string_equal(ask(fds[0], "x\n", 1), "x\n");
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* As another user: 1 = served, 2 = refused, counted in the exit status as tens and ones. */
static int dial_as_nobody(void *arg)
{
	int *ready = arg, served = 0, refused = 0;
	char text[256];

	if (setgid(65534) || setuid(65534))
		return 255;
	for (int i = 0; i < 5; i++) {
		struct pollfd p = { .events = POLLIN };

		p.fd = dial(); /* stays open until the end */
		if (p.fd < 0)
			return 254;
		send(p.fd, "x\n", 2, MSG_NOSIGNAL); /* too late when it is refused already */
		if (poll(&p, 1, WAIT_MS) != 1)
			return 253;
		memset(text, 0, sizeof(text));
		if (recv(p.fd, text, sizeof(text) - 1, 0) <= 0)
			return 252;
		served += !strcmp(text, "x\n");
		refused += strstr(text, busy_line) != NULL;
	}
	if (write(*ready, "x", 1) != 1)
		return 251;
	return served * 10 + refused;
}

static bool has_byte(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 1;
}

static int run_as_nobody(void)
{
	int p[2], status;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(dial_as_nobody(&p[1]));
	run(has_byte, &p[0], WAIT_MS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p[0]);
	close(p[1]);
	return WEXITSTATUS(status);
}

static void one_user_cannot_take_all_connections(void **state)
{
	int fds[8];

	if (geteuid() != 0) {
		print_message("needs root to become another user\n");
		skip();
	}
	limits.clients_per_uid = 3;
	limits.clients = 6;
	serve();
	assert_int_equal(run_as_nobody(), 32);
	for (int i = 0; i < 8; i++) /* root is not counted by user, and has four more in all */
		fds[i] = dial();
	run_for(5);
	assert_int_equal(counters().clients, 8);
	assert_int_equal(run_as_nobody(), 5);
	assert_string_equal(ask(fds[7], "x\n", 1), "x\n");
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

static void half_requests_of_many_clients_have_one_bound(void **state)
{
	enum { N = 40, EACH = 512 << 10 };
	static char half[EACH];
	static struct talk t[N];
	unsigned refused = 0;
	int other;

	memset(half, 'x', sizeof(half));
	limits.total_bytes = 2 << 20; /* as root: twice that */
	serve();
	for (int i = 0; i < N; i++) {
		t[i] = (struct talk){ .fd = dial(), .out = half, .out_len = EACH };
		run(talk_step, &t[i], 2000);
		run_for(3);
		talk_step(&t[i]);
	}
	for (int i = 0; i < N; i++) {
		talk_step(&t[i]);
		refused += strstr(t[i].in, busy_line) != NULL;
		assert_true(t[i].in_len == 0 || strstr(t[i].in, busy_line));
	}
	assert_in_range(refused, N - 8, N - 2);
	assert_int_equal(counters().refused_limit, refused);
	/* Small requests do not need what the large ones have taken. */
	other = dial();
	assert_string_equal(ask(other, "ping\n", 1), "ping\n");
	close(other);
	for (int i = 0; i < N; i++)
		close(t[i].fd);
	run_for(20);
	assert_int_equal(counters().clients, 0);
	/* And all of it is given back. */
	other = dial();
	half[EACH - 1] = '\n';
	t[0] = (struct talk){ .fd = other, .out = half, .out_len = EACH, .want_lines = 1 };
	assert_true(run(talk_step, &t[0], WAIT_MS));
	assert_string_equal(t[0].in, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
	close(other);
}

static void without_descriptors_accepting_rests_and_goes_on(void **state)
{
	struct rlimit old, few;
	int first, waiting[3], hold[512];
	unsigned n = 0;
	struct mtime begin;

	serve();
	first = dial();
	run_for(5);
	for (int i = 0; i < 3; i++)
		waiting[i] = dial();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < 512 && (hold[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	begin = loop_clock();
	/* Who is connected is served; one of those who wait is told. */
	assert_string_equal(ask(first, "x\n", 1), "x\n");
	run_for(50);
	assert_int_equal(counters().refused_limit, 1);
	while (n)
		close(hold[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(ask(waiting[0], "y\n", 1), busy_line));
	assert_string_equal(ask(waiting[1], "y\n", 1), "y\n");
	assert_string_equal(ask(waiting[2], "z\n", 1), "z\n");
	assert_true(mtime_sub(loop_clock(), begin).us >= 900000);
	close(first);
	for (int i = 0; i < 3; i++)
		close(waiting[i]);
}

/* Random clients doing random things; at the end nothing is left over. */
static void a_random_crowd_leaves_nothing_behind(void **state)
{
	enum { N = 24 };
	static char pieces[20000], scratch[20000];
	int fds[N], other;

	srand(3);
	memset(pieces, 'r', sizeof(pieces));
	for (size_t i = 0; i < sizeof(pieces); i += 1 + (size_t)(rand() % 300))
		pieces[i] = '\n';
	make_big_reply(300000);
	limits.request_bytes = 250;
	limits.backlog_bytes = 500000;
	limits.request_ms = 30;
	limits.idle_ms = 40;
	limits.clients = 16;
	serve();
	memset(fds, -1, sizeof(fds));
	for (int n = 0; n < 6000; n++) {
		int *fd = &fds[rand() % N];
		size_t at = (size_t)rand() % sizeof(pieces), len = (size_t)rand() % 2000;

		if (*fd < 0) {
			*fd = dial();
			continue;
		}
		switch (rand() % 8) {
		case 0:
			close(*fd);
			*fd = -1;
			break;
		case 1:
			shutdown(*fd, SHUT_WR);
			break;
		case 2:
			send(*fd, "\nbig\n", 5, MSG_NOSIGNAL);
			break;
		case 3:
		case 4:
			recv(*fd, scratch, sizeof(scratch), 0);
			break;
		default:
			if (at + len < sizeof(pieces))
				send(*fd, pieces + at, len, MSG_NOSIGNAL);
			break;
		}
		if (n % 10 == 0)
			run_for(1);
	}
	for (int i = 0; i < N; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	run_for(100);
	assert_int_equal(counters().clients, 0);
	assert_true(counters().requests > 100 && counters().too_large > 0);
	other = dial();
	assert_string_equal(ask(other, "ping\n", 1), "ping\n");
	close(other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(requests_are_answered_in_order),
		T(bytes_of_all_kinds_reach_the_callback),
		T(the_file_has_mode_and_group_and_goes_away),
		T(what_cannot_be_opened_says_why),
		T(the_read_only_socket_marks_its_peers),
		T(a_callback_may_close_the_whole_server),
		T(a_half_closed_client_gets_its_replies_then_the_end),
		T(a_half_closed_client_gets_a_large_reply_whole),
		T(a_client_that_vanishes_with_requests_on_the_way_harms_nobody),
		T(a_pipelining_client_does_not_shut_others_out),
		T(many_clients_are_served_while_one_is_stuck),
		T(a_request_of_the_greatest_length_works_and_one_byte_more_does_not),
		T(an_endless_request_is_refused_and_the_client_can_read_why),
		T(a_large_request_works_and_its_memory_is_given_back),
		T(a_reply_beyond_the_backlog_drops_the_client),
		T(a_client_that_never_reads_is_not_served_and_dropped_in_time),
		T(a_client_that_reads_late_gets_every_reply),
		T(a_held_request_is_answered_before_the_next),
		T(a_client_that_leaves_while_its_request_is_held),
		T(a_request_that_trickles_in_times_out),
		T(an_idle_client_is_closed_and_a_busy_one_is_not),
		T(a_client_that_takes_no_reply_is_dropped_in_time),
		T(a_refused_client_that_goes_on_sending_is_closed),
		T(connections_beyond_the_limit_are_told_so),
		T(one_user_cannot_take_all_connections),
		T(half_requests_of_many_clients_have_one_bound),
		T(without_descriptors_accepting_rests_and_goes_on),
		T(a_random_crowd_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
