/* SPDX-License-Identifier: MIT */
/* What the service manager hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/notify.h"
#include "../lib/child.h"

/* A manager at an abstract or ordinary address; its descriptor. */
static int manager_open(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(at.sun_path, path, len);
	if (*path == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (const struct sockaddr *)&at,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static const char *heard(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void the_manager_hears_each_message(void **state)
{
	char path[64];

	for (int kind = 0; kind < 2; kind++) {
		int fd;

		snprintf(path, sizeof(path), "%smcrt-notify-%d", kind ? "@" : "/tmp/", getpid());
		fd = manager_open(path);
		assert_int_equal(notify_ready(), 0);
		assert_string_equal(heard(fd), "READY=1");
		assert_int_equal(notify_watchdog(), 0);
		assert_string_equal(heard(fd), "WATCHDOG=1");
		assert_int_equal(notify_stopping(), 0);
		assert_string_equal(heard(fd), "STOPPING=1");
		assert_string_equal(heard(fd), "");
		close(fd);
		if (!kind)
			unlink(path);
	}
}

/* The descriptor that comes with the next message; −1 = none. */
static int heard_fd(int fd, char text[256])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = text, .iov_len = 255 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(fd, &msg, 0);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int got = -1;

	text[n > 0 ? n : 0] = '\0';
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&got, CMSG_DATA(c), sizeof(got));
	return got;
}

static void the_manager_keeps_a_descriptor(void **state)
{
	int manager = manager_open("@mcrt-notify-store"), ends[2], got;
	char text[256], long_name[300];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(notify_store(ends[1], "joins-1"), 0);
	got = heard_fd(manager, text);
	assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=joins-1");
	assert_true(got >= 0);
	assert_int_equal(write(got, "x", 1), 1);
	assert_int_equal(read(ends[0], text, 2), 1);
	assert_int_equal(notify_unstore("joins-1"), 0);
	assert_int_equal(heard_fd(manager, text), -1);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=joins-1");
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(notify_store(ends[1], long_name), -EINVAL);
	close(got);
	close(ends[0]);
	close(ends[1]);
	close(manager);
}

/* In a process of its own, whose descriptors 3 and 4 are a pipe. */
static int kept_child(void *unused)
{
	int manager = manager_open("@mcrt-notify-kept");
	struct notify_kept kept;
	char pid[16], text[256];

	(void)unused;
	if (dup2(manager, 9) < 0 || dup2(open("/dev/null", O_RDONLY), 3) < 0 || dup2(3, 4) < 0)
		return 1;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "a:b-2", 1);
	notify_kept_take(&kept);
	if (kept.n != 2 || getenv("LISTEN_FDS") || fcntl(3, F_GETFD) != FD_CLOEXEC)
		return 2;
	notify_kept_release(&kept);
	if (kept.n || fcntl(3, F_GETFD) >= 0 || fcntl(4, F_GETFD) >= 0)
		return 3;
	heard_fd(9, text);
	if (strcmp(text, "FDSTOREREMOVE=1\nFDNAME=a") != 0)
		return 4;
	heard_fd(9, text);
	return strcmp(text, "FDSTOREREMOVE=1\nFDNAME=b-2") == 0 ? 0 : 5;
}

static void what_was_kept_is_taken_and_released(void **state)
{
	assert_int_equal(child_run(kept_child, NULL), 0);
}

static void what_is_for_another_process_is_not_taken(void **state)
{
	const char *const wrong[][2] = { { "1", "2" }, { "", "2" },    { NULL, "two" },
					 { NULL, "" }, { NULL, "-1" }, { NULL, "99999999" } };
	struct notify_kept kept;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		setenv("LISTEN_PID", wrong[i][0] ? wrong[i][0] : pid, 1);
		setenv("LISTEN_FDS", wrong[i][1], 1);
		setenv("LISTEN_FDNAMES", "a:b", 1);
		notify_kept_take(&kept);
		assert_int_equal(kept.n, 0);
		assert_null(kept.names);
		assert_null(getenv("LISTEN_FDNAMES"));
	}
}

static void without_a_manager_nothing_happens(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	assert_int_equal(notify_ready(), -ENOENT);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char path[200];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_ready(), -EINVAL);
}

static void a_manager_that_does_not_read_stalls_nobody(void **state)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "@mcrt-notify-%d", getpid());
	fd = manager_open(path);
	for (int i = 0; i < 10000 && !err; i++)
		err = notify_watchdog();
	assert_int_equal(err, -EAGAIN);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manager_hears_each_message),
		cmocka_unit_test(the_manager_keeps_a_descriptor),
		cmocka_unit_test(what_was_kept_is_taken_and_released),
		cmocka_unit_test(what_is_for_another_process_is_not_taken),
		cmocka_unit_test(without_a_manager_nothing_happens),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(a_manager_that_does_not_read_stalls_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
