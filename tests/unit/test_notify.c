/* SPDX-License-Identifier: MIT */
/* What the service manager hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/notify.h"

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
		cmocka_unit_test(without_a_manager_nothing_happens),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(a_manager_that_does_not_read_stalls_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
