/* SPDX-License-Identifier: MIT */
/* libmcr against a socket that the test itself serves: framing, limits, deadlines, failures. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "mcr/client.h"

#define LONG_MS	 20000 /* never reached when all is well */
#define SHORT_MS 30    /* for what must time out */

/* A listener, and after dial() both ends of one connection. */
struct fixture {
	char dir[32], path[64];
	int listener, peer;
	struct mcr_client *c;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_non_null(f);
	*state = f;
	f->peer = -1;
	strcpy(f->dir, "/tmp/mcr-client-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/x.sock", f->dir);
	strcpy(addr.sun_path, f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(f->listener, 0), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mcr_client_close(f->c);
	close(f->listener);
	if (f->peer >= 0)
		close(f->peer);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void dial(struct fixture *f)
{
	assert_int_equal(mcr_client_open(&f->c, f->path, LONG_MS), 0);
	f->peer = accept(f->listener, NULL, NULL);
	assert_true(f->peer >= 0);
}

/* Bytes that the client will find waiting. */
static void serve(struct fixture *f, const char *bytes, size_t len)
{
	assert_int_equal(send(f->peer, bytes, len, MSG_NOSIGNAL), len);
}

static void hang_up(struct fixture *f)
{
	close(f->peer);
	f->peer = -1;
}

static void instance_becomes_a_path_in_the_run_directory(void **state)
{
	char path[MCR_CLIENT_PATH_MAX];

	assert_int_equal(mcr_client_instance_path(NULL, path), 0);
	assert_string_equal(path, "/run/mcr/mcrd.sock");
	assert_int_equal(mcr_client_instance_path("edge-2.a_b", path), 0);
	assert_string_equal(path, "/run/mcr/edge-2.a_b.sock");
}

static void names_that_would_leave_the_run_directory_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		"../x",
		"a/b",
		"-x",
		"_x",
		"a b",
		"a\nb",
		"\xc3\xa9",
		"a2345678901234567890123456789012",
	};
	char path[MCR_CLIENT_PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mcr_client_instance_path(bad[i], path), -EINVAL);
	assert_int_equal(mcr_client_instance_path("a234567890123456789012345678901", path), 0);
}

static void readonly_path_has_its_mark_before_the_ending(void **state)
{
	char ro[MCR_CLIENT_PATH_MAX], longest[MCR_CLIENT_PATH_MAX + 8];

	assert_int_equal(mcr_client_readonly_path("/run/mcr/a.sock", ro), 0);
	assert_string_equal(ro, "/run/mcr/a-ro.sock");
	assert_int_equal(mcr_client_readonly_path("/tmp/ctl", ro), 0);
	assert_string_equal(ro, "/tmp/ctl-ro.sock");
	memset(longest, 'a', sizeof(longest));
	longest[MCR_CLIENT_PATH_MAX - 1 - 8] = '\0';
	assert_int_equal(mcr_client_readonly_path(longest, ro), 0);
	assert_int_equal(strlen(ro), MCR_CLIENT_PATH_MAX - 1);
	longest[MCR_CLIENT_PATH_MAX - 1 - 8] = 'a';
	longest[MCR_CLIENT_PATH_MAX - 1 - 7] = '\0';
	assert_int_equal(mcr_client_readonly_path(longest, ro), -ENAMETOOLONG);
	longest[sizeof(longest) - 1] = '\0';
	longest[MCR_CLIENT_PATH_MAX - 1 - 7] = 'a';
	assert_int_equal(mcr_client_readonly_path(longest, ro), -ENAMETOOLONG);
}

static void open_says_why_it_failed(void **state)
{
	struct fixture *f = *state;
	char longer[MCR_CLIENT_PATH_MAX + 1];
	struct mcr_client *c = (struct mcr_client *)f;

	assert_int_equal(mcr_client_open(&c, "/nonexistent/x.sock", SHORT_MS), -ENOENT);
	assert_null(c);
	assert_int_equal(mcr_client_open(&c, "", SHORT_MS), -ENAMETOOLONG);
	memset(longer, 'a', MCR_CLIENT_PATH_MAX);
	longer[MCR_CLIENT_PATH_MAX] = '\0';
	assert_int_equal(mcr_client_open(&c, longer, SHORT_MS), -ENAMETOOLONG);
	assert_int_equal(mcr_client_open_instance(&c, "a/b", SHORT_MS), -EINVAL);
	assert_null(c);
	close(f->listener);
	assert_int_equal(mcr_client_open(&c, f->path, SHORT_MS), -ECONNREFUSED);
	assert_null(c);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void open_gives_up_while_nobody_accepts(void **state)
{
	struct fixture *f = *state;
	struct mcr_client *second;

	assert_int_equal(mcr_client_open(&f->c, f->path, LONG_MS), 0);
	assert_int_equal(mcr_client_open(&second, f->path, SHORT_MS), -ETIMEDOUT);
	assert_null(second);
}

static void request_is_a_line_and_so_is_its_reply(void **state)
{
	struct fixture *f = *state;
	const char *reply;
	char got[64];
	size_t len;

	dial(f);
	serve(f, "{\"a\":1}\n", 8);
	assert_int_equal(mcr_client_request(f->c, "{\"command\":\"Ping\"}", &reply, &len, LONG_MS),
			 0);
	assert_string_equal(reply, "{\"a\":1}");
	assert_int_equal(len, 7);
	len = (size_t)recv(f->peer, got, sizeof(got), 0);
	assert_int_equal(len, 19);
	assert_memory_equal(got, "{\"command\":\"Ping\"}\n", 19);
}

static void lines_that_come_together_are_handed_out_one_by_one(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	serve(f, "one\n\nthree\nfo", 13);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), 0);
	assert_string_equal(reply, "one");
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), 0);
	assert_string_equal(reply, "");
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), 0);
	assert_string_equal(reply, "three");
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, 0), -ETIMEDOUT);
	assert_null(reply);
	serve(f, "ur\n", 3);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), 0);
	assert_string_equal(reply, "four");
}

static void newline_in_a_request_is_refused_and_nothing_is_sent(void **state)
{
	struct fixture *f = *state;
	const char *reply;
	char got[8];

	dial(f);
	assert_int_equal(mcr_client_request(f->c, "{}\n{}", &reply, NULL, LONG_MS), -EINVAL);
	assert_int_equal(mcr_client_request(f->c, "", &reply, NULL, LONG_MS), -EINVAL);
	assert_int_equal(mcr_client_send(f->c, "\n", LONG_MS), -EINVAL);
	assert_int_equal(recv(f->peer, got, sizeof(got), MSG_DONTWAIT), -1);
	serve(f, "ok\n", 3);
	assert_int_equal(mcr_client_request(f->c, "{}", &reply, NULL, LONG_MS), 0);
}

static void late_reply_is_never_taken_for_the_next(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	assert_int_equal(mcr_client_request(f->c, "{}", &reply, NULL, SHORT_MS), -ETIMEDOUT);
	assert_null(reply);
	assert_int_equal(mcr_client_fd(f->c), -1);
	assert_int_equal(send(f->peer, "late\n", 5, MSG_NOSIGNAL), -1);
	assert_int_equal(mcr_client_request(f->c, "{}", &reply, NULL, SHORT_MS), -ENOTCONN);
	assert_int_equal(mcr_client_send(f->c, "{}", SHORT_MS), -ENOTCONN);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, SHORT_MS), -ENOTCONN);
}

static void hang_up_before_the_end_of_a_line_is_an_error(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	serve(f, "{\"status\":", 10);
	hang_up(f);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), -ECONNRESET);
	assert_null(reply);
	assert_int_equal(mcr_client_fd(f->c), -1);
}

static void last_words_of_a_daemon_that_hung_up_are_heard(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	serve(f, "too large\n", 10);
	hang_up(f);
	assert_int_equal(mcr_client_request(f->c, "{}", &reply, NULL, LONG_MS), 0);
	assert_string_equal(reply, "too large");
	assert_int_equal(mcr_client_request(f->c, "{}", &reply, NULL, LONG_MS), -ECONNRESET);
}

static void reply_beyond_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	mcr_client_set_reply_max(f->c, 4);
	serve(f, "1234\n12345\n", 11);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), 0);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), -EMSGSIZE);
	assert_null(reply);
}

static void endless_reply_is_refused_without_its_end(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	mcr_client_set_reply_max(f->c, 4);
	serve(f, "12345678", 8);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), -EMSGSIZE);
}

static void nul_in_a_reply_is_refused(void **state)
{
	struct fixture *f = *state;
	const char *reply;

	dial(f);
	serve(f, "a\0b\n", 4);
	assert_int_equal(mcr_client_receive(f->c, &reply, NULL, LONG_MS), -EBADMSG);
	assert_null(reply);
}

static void request_that_nobody_reads_times_out(void **state)
{
	struct fixture *f = *state;
	size_t len = 8u << 20;
	char *text = malloc(len + 1);
	const char *reply;

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	dial(f);
	assert_int_equal(mcr_client_request(f->c, text, &reply, NULL, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(mcr_client_fd(f->c), -1);
	free(text);
}

static void long_reply_arrives_whole(void **state)
{
	struct fixture *f = *state;
	size_t want = 3u << 20, put = 0;
	char chunk[4096];
	const char *reply;
	size_t len;

	dial(f);
	memset(chunk, 'y', sizeof(chunk));
	while (put < want) { /* both ends in one thread: read as much as was served */
		serve(f, chunk, sizeof(chunk));
		put += sizeof(chunk);
		assert_int_equal(mcr_client_receive(f->c, &reply, NULL, 0), -ETIMEDOUT);
	}
	serve(f, "\n", 1);
	assert_int_equal(mcr_client_receive(f->c, &reply, &len, LONG_MS), 0);
	assert_int_equal(len, want);
	assert_int_equal(strspn(reply, "y"), want);
}

static void deadlines_run_out_or_never_do(void **state)
{
	int64_t at = mcr_deadline(1);

	assert_int_equal(mcr_deadline_left(mcr_deadline(-1)), -1);
	assert_int_equal(mcr_deadline_left(mcr_deadline(0)), 0);
	assert_in_range(mcr_deadline_left(mcr_deadline(LONG_MS)), 1, LONG_MS);
	while (mcr_deadline_left(at) > 0)
		poll(NULL, 0, 1);
	assert_int_equal(mcr_deadline_left(at), 0);
}

static void close_accepts_nothing(void **state)
{
	struct fixture *f = *state;

	mcr_client_close(NULL);
	dial(f);
	mcr_client_close(f->c);
	f->c = NULL;
	assert_int_equal(recv(f->peer, &(char){ 0 }, 1, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instance_becomes_a_path_in_the_run_directory),
		cmocka_unit_test(names_that_would_leave_the_run_directory_are_refused),
		cmocka_unit_test(readonly_path_has_its_mark_before_the_ending),
		cmocka_unit_test(deadlines_run_out_or_never_do),
		TEST(open_says_why_it_failed),
		TEST(open_gives_up_while_nobody_accepts),
		TEST(request_is_a_line_and_so_is_its_reply),
		TEST(lines_that_come_together_are_handed_out_one_by_one),
		TEST(newline_in_a_request_is_refused_and_nothing_is_sent),
		TEST(late_reply_is_never_taken_for_the_next),
		TEST(hang_up_before_the_end_of_a_line_is_an_error),
		TEST(last_words_of_a_daemon_that_hung_up_are_heard),
		TEST(reply_beyond_the_limit_is_refused),
		TEST(endless_reply_is_refused_without_its_end),
		TEST(nul_in_a_reply_is_refused),
		TEST(request_that_nobody_reads_times_out),
		TEST(long_reply_arrives_whole),
		TEST(close_accepts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
