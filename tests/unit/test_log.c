/* SPDX-License-Identifier: MIT */
/* The log: form of lines, levels, hostile bytes, and a reader that does not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "edge/log.h"
#include "../lib/child.h"

static char output[1 << 20];
static size_t output_len;

static void output_read(int fd)
{
	ssize_t n;

	output_len = 0;
	while ((n = read(fd, output + output_len, sizeof(output) - 1 - output_len)) > 0)
		output_len += (size_t)n;
	output[output_len] = '\0';
}

struct run {
	void (*fn)(void);
	int fd;
};

static int run_redirected(void *arg)
{
	struct run *r = arg;

	if (dup2(r->fd, STDERR_FILENO) < 0)
		return 1;
	alarm(20); /* a write that blocks ends here */
	r->fn();
	return 0;
}

/* Runs `fn` in a child whose stderr is a pipe, and collects what it says. */
static void capture(void (*fn)(void))
{
	int p[2];
	struct run r = { fn, -1 };

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	r.fd = p[1];
	assert_int_equal(child_run(run_redirected, &r), 0);
	close(p[1]);
	output_read(p[0]);
	close(p[0]);
}

/* The nth line of the output, without its time stamp, which is checked. */
static const char *line(unsigned n)
{
	static char text[8192];
	const char *at = output, *end;

	while (n-- && at)
		at = (at = strchr(at, '\n')) ? at + 1 : NULL;
	if (!at || !(end = strchr(at, '\n')))
		return "(no such line)";
	if (strncmp(at, "20", 2) == 0 && end - at > 25 && at[10] == 'T' && at[23] == 'Z')
		at += 25;
	snprintf(text, sizeof(text), "%.*s", (int)(end - at), at);
	return text;
}

static void say_hello(void)
{
	log_set_ident("worker in0/0");
	log_notice(LOG_F_supervisor, "started pid=%d", 7);
	log_debug(LOG_F_supervisor, "not shown");
	log_set_facility_level(LOG_F_rules, LOG_L_DEBUG);
	log_debug(LOG_F_rules, "shown");
	log_clear_facility_level(LOG_F_rules);
	log_debug(LOG_F_rules, "not shown");
	log_set_level(LOG_L_ERR);
	log_warning(LOG_F_rules, "not shown");
	log_err(LOG_F_security, "shown");
}

static void lines_have_time_ident_level_and_facility(void **state)
{
	capture(say_hello);
	assert_string_equal(line(0), "worker in0/0 notice supervisor: started pid=7");
	assert_string_equal(line(1), "worker in0/0 debug rules: shown");
	assert_string_equal(line(2), "worker in0/0 err security: shown");
	assert_string_equal(line(3), "(no such line)");
}

/* time(2) lags behind by up to a tick. */
static time_t second_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static void the_time_is_utc(void **state)
{
	struct tm tm;
	char want[32];
	time_t before = second_now(), after;

	capture(say_hello);
	after = second_now();
	/* One of the seconds between before and after. */
	for (time_t t = before; t <= after; t++) {
		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.", &tm);
		if (!strncmp(output, want, strlen(want)))
			return;
	}
	fail_msg("%.24s is not now", output);
}

static void say_hostile(void)
{
	log_notice(LOG_F_control, "%s", "a\nb\r\033[31m\x7f\\x \"q\" gr\xc3\xbc\xc3\x9f");
	log_notice(LOG_F_control, "%s",
		   "\xff \xc3( \xc2\x9b \xed\xa0\x80 \xe2\x80\xae \xc0\xaf \xf0\x9f");
	log_set_json(true);
	log_notice(LOG_F_control, "%s", "a\nb\033 \\ \"q\" \xc3\xbc \xff");
}

static void bytes_of_strangers_are_never_raw(void **state)
{
	capture(say_hostile);
	assert_string_equal(line(0), "mcrd notice control: "
				     "a\\nb\\x0d\\x1b[31m\\x7f\\\\x \"q\" gr\xc3\xbc\xc3\x9f");
	assert_string_equal(line(1), "mcrd notice control: \\xff \\xc3( \\xc2\\x9b "
				     "\\xed\\xa0\\x80 \\xe2\\x80\\xae \\xc0\\xaf \\xf0\\x9f");
	assert_non_null(strstr(line(2), "\"ident\":\"mcrd\",\"level\":\"notice\","
					"\"facility\":\"control\",\"message\":"
					"\"a\\\\nb\\\\x1b \\\\\\\\ \\\"q\\\" \xc3\xbc \\\\xff\"}"));
	assert_int_equal(strncmp(line(2), "{\"timestamp\":\"20", 16), 0);
	for (size_t i = 0; i < output_len; i++)
		assert_true(output[i] == '\n' || (unsigned char)output[i] >= 0x20);
}

static void say_long(void)
{
	static char text[10000];

	memset(text, '\x01', sizeof(text) - 1);
	log_notice(LOG_F_control, "%s", text);
	log_set_json(true);
	log_notice(LOG_F_control, "%s", text);
	log_notice(LOG_F_control, "after");
}

static void a_long_line_is_cut_and_stays_well_formed(void **state)
{
	size_t first, second;

	capture(say_long);
	first = strlen(line(0)) + 26;
	assert_true(first <= 4096);
	assert_string_equal(line(0) + strlen(line(0)) - 3, "…");
	second = strlen(line(1)) + 1;
	assert_true(second <= 4096);
	assert_string_equal(line(1) + strlen(line(1)) - 5, "…\"}");
	assert_non_null(strstr(line(2), "\"message\":\"after\"}"));
}

static void names_and_levels_go_both_ways(void **state)
{
	enum log_level level;
	enum log_facility f;

	for (int i = 0; i < LOG_L__COUNT; i++) {
		assert_int_equal(log_level_parse(log_level_name(i), &level), 0);
		assert_int_equal(level, i);
	}
	for (int i = 0; i < LOG_F__COUNT; i++) {
		assert_int_equal(log_facility_parse(log_facility_name(i), &f), 0);
		assert_int_equal(f, i);
	}
	assert_int_equal(log_level_parse("Notice", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(log_facility_parse("nothing", &f), -EINVAL);
	assert_string_equal(log_level_name(LOG_L__COUNT), "unknown");
	assert_string_equal(log_facility_name(LOG_F__COUNT), "unknown");
	log_set_level(LOG_L_NOTICE);
	assert_int_equal(log_global_level(), LOG_L_NOTICE);
	assert_false(log_has_override(LOG_F_egress));
	log_set_facility_level(LOG_F_egress, LOG_L_EMERG);
	assert_true(log_has_override(LOG_F_egress));
	assert_int_equal(log_level_of(LOG_F_egress), LOG_L_EMERG);
	log_clear_facility_level(LOG_F_egress);
	assert_int_equal(log_level_of(LOG_F_egress), LOG_L_NOTICE);
}

static struct log_entry recalled;

static void say_and_recall(void)
{
	char text[400];

	memset(text, 'x', sizeof(text));
	memcpy(text + 230, "éééééééé", 17);
	log_set_level(LOG_L_NOTICE);
	log_at(LOG_L_ERR, LOG_F_rules, "first");
	log_at(LOG_L_INFO, LOG_F_rules, "not logged, not kept");
	log_at(LOG_L_NOTICE, LOG_F_control, "two\nlines\x1b[2J\xff");
	log_at(LOG_L_NOTICE, LOG_F_control, "%s", text);
	assert_int_equal(log_newest(), 3);
	assert_false(log_recall(0, &recalled));
	assert_false(log_recall(4, &recalled));
	assert_true(log_recall(1, &recalled));
	assert_int_equal(recalled.sequence, 1);
	assert_int_equal(recalled.level, LOG_L_ERR);
	assert_int_equal(recalled.facility, LOG_F_rules);
	assert_string_equal(recalled.text, "first");
	assert_int_equal(strlen(recalled.stamp), strlen("2026-11-20T12:00:00.123Z"));
	assert_true(log_recall(2, &recalled));
	assert_string_equal(recalled.text, "two\\x0alines\\x1b[2J\\xff");
	assert_true(log_recall(3, &recalled));
	assert_string_equal(recalled.text + 228, "xxééé…");
	for (unsigned i = 4; i <= 1 + LOG_KEPT; i++)
		log_at(LOG_L_NOTICE, LOG_F_control, "line %u", i);
	assert_false(log_recall(1, &recalled));
	assert_true(log_recall(2, &recalled));
	assert_true(log_recall(1 + LOG_KEPT, &recalled));
	assert_string_equal(recalled.text, "line 257");
}

static void the_last_lines_can_be_recalled(void **state)
{
	capture(say_and_recall);
}

static void say_often(void)
{
	for (int i = 0; i < 1000; i++)
		log_limited(LOG_L_ERR, LOG_F_control, "flood %d", i);
}

static void say_often_then_again(void)
{
	for (int i = 0; i < 40; i++) {
		if (i == 39)
			usleep(210000); /* two tokens more */
		log_limited(LOG_L_ERR, LOG_F_control, "flood %d", i);
	}
}

static unsigned lines_count(void)
{
	unsigned n = 0;

	for (const char *at = output; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

static void a_flood_is_limited_and_what_was_suppressed_is_told(void **state)
{
	capture(say_often);
	assert_in_range(lines_count(), 20, 22); /* one more for each 100 ms it took */
	capture(say_often_then_again);
	assert_non_null(strstr(output, "mcrd err control: suppressed "));
	assert_non_null(strstr(output, "flood 39\n"));
}

/* --- readers that do not read ----------------------------------------------------------------- */

static int stuck[2];

static void say_much(void)
{
	for (int i = 0; i < 5000; i++)
		log_err(LOG_F_stats, "line %d of many that nobody reads for a while", i);
	output_read(stuck[0]); /* somebody reads at last */
	log_err(LOG_F_stats, "the end");
}

static void check_stuck(void)
{
	struct run r = { say_much, stuck[1] };

	assert_int_equal(child_run(run_redirected, &r), 0);
	/* The child's flags are its own: the description that we share still blocks. */
	assert_int_equal(fcntl(stuck[1], F_GETFL) & O_NONBLOCK, 0);
	close(stuck[1]);
	output_read(stuck[0]);
	close(stuck[0]);
	assert_non_null(strstr(output, " lines lost: nobody read the log in time\n"));
	assert_non_null(strstr(output, "the end\n"));
}

static void a_stuck_pipe_stalls_nobody_and_losses_are_told(void **state)
{
	assert_int_equal(pipe2(stuck, O_CLOEXEC), 0);
	fcntl(stuck[0], F_SETFL, O_NONBLOCK);
	check_stuck();
}

static void a_stuck_socket_stalls_nobody_and_losses_are_told(void **state)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stuck), 0);
	fcntl(stuck[0], F_SETFL, O_NONBLOCK);
	check_stuck();
}

static void say_hello_after_hangup(void)
{
	signal(SIGPIPE, SIG_DFL);
	say_hello();
}

static void a_reader_that_went_away_kills_nobody(void **state)
{
	int p[2];
	struct run r = { say_hello_after_hangup, -1 };

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	close(p[0]);
	r.fd = p[1];
	assert_int_equal(child_run(run_redirected, &r), 0);
	close(p[1]);
}

static int say_without_proc(void *arg)
{
	struct run *r = arg;

	/* Another user may not open our pipe anew. */
	if (dup2(r->fd, STDERR_FILENO) < 0 || fchown(r->fd, 0, 0) || fchmod(r->fd, 0600) ||
	    setgid(65534) || setuid(65534))
		return 1;
	alarm(20);
	r->fn();
	return 0;
}

static void say_much_unread(void)
{
	for (int i = 0; i < 5000; i++)
		log_err(LOG_F_stats, "line %d", i);
}

static void a_pipe_that_cannot_be_opened_anew_does_not_block_either(void **state)
{
	int p[2];
	struct run r = { say_much_unread, -1 };

	if (geteuid() != 0) {
		print_message("needs root to become another user\n");
		skip();
	}
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	r.fd = p[1];
	assert_int_equal(child_run(say_without_proc, &r), 0);
	close(p[1]);
	output_read(p[0]);
	close(p[0]);
	assert_non_null(strstr(output, "mcrd err stats: line 100\n"));
	assert_null(strstr(output, "line 4999\n"));
}

static void a_file_gets_all_lines(void **state)
{
	char name[] = "/tmp/mcrt-log-XXXXXX";
	struct run r = { say_much_unread, mkstemp(name) };

	assert_true(r.fd >= 0);
	unlink(name);
	assert_int_equal(child_run(run_redirected, &r), 0);
	lseek(r.fd, 0, SEEK_SET);
	output_read(r.fd);
	close(r.fd);
	assert_int_equal(lines_count(), 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_time_ident_level_and_facility),
		cmocka_unit_test(the_time_is_utc),
		cmocka_unit_test(bytes_of_strangers_are_never_raw),
		cmocka_unit_test(a_long_line_is_cut_and_stays_well_formed),
		cmocka_unit_test(the_last_lines_can_be_recalled),
		cmocka_unit_test(a_flood_is_limited_and_what_was_suppressed_is_told),
		cmocka_unit_test(a_stuck_pipe_stalls_nobody_and_losses_are_told),
		cmocka_unit_test(a_stuck_socket_stalls_nobody_and_losses_are_told),
		cmocka_unit_test(a_reader_that_went_away_kills_nobody),
		cmocka_unit_test(a_pipe_that_cannot_be_opened_anew_does_not_block_either),
		cmocka_unit_test(a_file_gets_all_lines),
		cmocka_unit_test(names_and_levels_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
