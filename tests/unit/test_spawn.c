/* SPDX-License-Identifier: MIT */
/* Child processes and their channels. This program is its own child: see main. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "edge/spawn.h"
#include "../lib/child.h"

#define WAIT_MS 10000

/* --- the roles that this program has as a child ----------------------------------------------- */

struct report {
	int n_args, n_open, pdeathsig, is_ignored, is_blocked;
	pid_t pid;
};

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *de;
	int n = 0;

	while (dir && (de = readdir(dir)))
		n += de->d_name[0] != '.' && atoi(de->d_name) != dirfd(dir);
	if (dir)
		closedir(dir);
	return n;
}

static int role_report(int argc)
{
	struct report r = { .n_args = argc, .n_open = open_descriptors(), .pid = getpid() };
	struct sigaction sa;
	sigset_t blocked;

	prctl(PR_GET_PDEATHSIG, &r.pdeathsig);
	sigaction(SIGPIPE, NULL, &sa);
	r.is_ignored = sa.sa_handler == SIG_IGN;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	r.is_blocked = sigismember(&blocked, SIGTERM);
	return channel_send(CHANNEL_FD, &r, sizeof(r), NULL, 0) ? 1 : 42;
}

/* Sends every message and its descriptors back, until the end. */
static int role_echo(void)
{
	static char buf[1 << 20];

	for (;;) {
		struct pollfd p = { .fd = CHANNEL_FD, .events = POLLIN };
		int fds[CHANNEL_FDS_MAX];
		unsigned n_fds = CHANNEL_FDS_MAX;
		ssize_t n;

		poll(&p, 1, -1);
		n = channel_recv(CHANNEL_FD, buf, sizeof(buf), fds, &n_fds);
		if (n <= 0)
			return n ? 1 : 0;
		if (channel_send(CHANNEL_FD, buf, (size_t)n, fds, n_fds))
			return 2;
		while (n_fds)
			close(fds[--n_fds]);
	}
}

/* Starts a child of its own, tells who it is, and is killed. */
static int role_parent(void)
{
	const char *const argv[] = { "child", "sleep", NULL };
	struct child c;

	if (spawn_role(&c, argv, -1))
		return 1;
	if (channel_send(CHANNEL_FD, &c.pid, sizeof(c.pid), &c.pidfd, 1))
		return 2;
	pause();
	return 3;
}

static int role_run(int argc, char **argv)
{
	if (!strcmp(argv[1], "report"))
		return role_report(argc);
	if (!strcmp(argv[1], "echo"))
		return role_echo();
	if (!strcmp(argv[1], "parent"))
		return role_parent();
	pause(); /* "sleep" */
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool is_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, WAIT_MS) == 1;
}

static void start(struct child *c, const char *role)
{
	const char *const argv[] = { "child", role, "more", NULL };

	assert_int_equal(spawn_role(c, argv, -1), 0);
	assert_true(c->pid > 0);
}

static void a_child_starts_clean(void **state)
{
	int extra = open("/dev/null", O_RDONLY); /* not close-on-exec */
	struct report r = { 0 };
	struct child c;
	sigset_t term;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	start(&c, "report");
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	assert_true(is_ready(c.channel, POLLIN));
	assert_int_equal(channel_recv(c.channel, &r, sizeof(r), NULL, NULL), sizeof(r));
	assert_int_equal(r.pid, c.pid);
	assert_int_equal(r.n_args, 3);
	assert_int_equal(r.n_open, 4); /* 0, 1, 2 and the channel */
	assert_int_equal(r.pdeathsig, SIGKILL);
	assert_false(r.is_ignored);
	assert_false(r.is_blocked);
	assert_true(is_ready(c.pidfd, POLLIN));
	spawn_end(&c);
	assert_int_equal(c.pid, 0);
	assert_int_equal(c.pidfd, -1);
	assert_int_equal(c.channel, -1);
	assert_true(WIFEXITED(c.status));
	assert_int_equal(WEXITSTATUS(c.status), 42);
	spawn_end(&c);
	close(extra);
}

static void ending_a_child_that_runs_kills_it(void **state)
{
	struct child c;
	pid_t pid;

	start(&c, "sleep");
	pid = c.pid;
	spawn_end(&c);
	assert_true(WIFSIGNALED(c.status));
	assert_int_equal(WTERMSIG(c.status), SIGKILL);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void an_empty_child_can_be_ended(void **state)
{
	struct child zeroed = { 0 };

	spawn_end(&zeroed);
	assert_true(fcntl(0, F_GETFD) >= 0); /* descriptor 0 was not its */
}

static void a_child_dies_with_its_parent(void **state)
{
	struct child c;
	pid_t grandchild = 0;
	int pidfd = -1;
	unsigned n = 1;

	start(&c, "parent");
	assert_true(is_ready(c.channel, POLLIN));
	assert_int_equal(channel_recv(c.channel, &grandchild, sizeof(grandchild), &pidfd, &n),
			 sizeof(grandchild));
	assert_int_equal(n, 1);
	assert_int_equal(kill(grandchild, 0), 0);
	spawn_end(&c);
	assert_true(is_ready(pidfd, POLLIN));
	close(pidfd);
}

static void messages_and_descriptors_go_both_ways(void **state)
{
	static char sent[300000], got[300000];
	int p[2], fds[CHANNEL_FDS_MAX + 1], back[CHANNEL_FDS_MAX];
	unsigned n = CHANNEL_FDS_MAX;
	struct child c;
	char byte = 0;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 31);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	for (int i = 0; i <= CHANNEL_FDS_MAX; i++)
		fds[i] = p[1];
	start(&c, "echo");
	assert_int_equal(channel_send(c.channel, sent, 100000, fds, CHANNEL_FDS_MAX), 0);
	assert_true(is_ready(c.channel, POLLIN));
	assert_int_equal(channel_recv(c.channel, got, sizeof(got), back, &n), 100000);
	assert_memory_equal(sent, got, 100000);
	assert_int_equal(n, CHANNEL_FDS_MAX);
	for (unsigned i = 0; i < n; i++) {
		assert_true(fcntl(back[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(write(back[i], "x", 1), 1);
		assert_int_equal(read(p[0], &byte, 1), 1);
		close(back[i]);
	}
	assert_int_equal(channel_send(c.channel, sent, 1, fds, CHANNEL_FDS_MAX + 1), -EINVAL);
	assert_int_equal(channel_send(c.channel, sent, 0, NULL, 0), -EINVAL);
	shutdown(c.channel, SHUT_WR);
	assert_true(is_ready(c.pidfd, POLLIN));
	assert_int_equal(channel_recv(c.channel, got, sizeof(got), NULL, NULL), 0);
	spawn_end(&c);
	assert_int_equal(c.status, 0);
	close(p[0]);
	close(p[1]);
}

static void pair_new(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void descriptors_without_room_are_closed_not_leaked(void **state)
{
	int pair[2], fds[CHANNEL_FDS_MAX] = { 0 }, back[CHANNEL_FDS_MAX], before;
	unsigned n;
	char buf[8];

	pair_new(pair);
	before = open_descriptors();
	assert_int_equal(channel_send(pair[0], "abc", 3, fds, 3), 0);
	n = 2;
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), back, &n), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(channel_send(pair[0], "abc", 3, fds, 1), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), NULL, NULL), -EMSGSIZE);
	assert_int_equal(channel_send(pair[0], "abc", 3, fds, 3), 0); /* cut as well */
	n = CHANNEL_FDS_MAX;
	assert_int_equal(channel_recv(pair[1], buf, 2, back, &n), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(open_descriptors(), before);
	n = CHANNEL_FDS_MAX;
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), back, &n), -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

/* More than the protocol allows, as a worker that has been taken over could send. */
static void a_flood_of_descriptors_is_refused_and_closed(void **state)
{
	struct {
		struct cmsghdr head;
		int fds[100];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(100 * sizeof(int)) } };
	struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_LEN(100 * sizeof(int)) };
	int pair[2], back[CHANNEL_FDS_MAX], before;
	unsigned n = CHANNEL_FDS_MAX;
	char buf[8];

	pair_new(pair);
	before = open_descriptors();
	assert_int_equal(sendmsg(pair[0], &hdr, 0), 1);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), back, &n), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(open_descriptors(), before);
	close(pair[0]);
	close(pair[1]);
}

static void a_full_channel_says_so_and_an_ended_one_too(void **state)
{
	static const char block[60000];
	int pair[2], err = 0;

	pair_new(pair);
	for (int i = 0; i < 10000 && !err; i++)
		err = channel_send(pair[0], block, sizeof(block), NULL, 0);
	assert_int_equal(err, -EAGAIN);
	close(pair[1]);
	assert_int_equal(channel_send(pair[0], "x", 1, NULL, 0), -EPIPE);
	close(pair[0]);

	pair_new(pair);
	assert_int_equal(channel_send(pair[0], "x", 1, NULL, 0), 0);
	close(pair[1]); /* unread: the kernel says "reset" */
	assert_int_equal(channel_recv(pair[0], (char[8]){ 0 }, 8, NULL, NULL), 0);
	close(pair[0]);
}

static void our_end_takes_a_whole_table(void **state)
{
	static const char block[60000];
	struct child c;
	unsigned n = 0;

	if (geteuid() != 0) {
		print_message("needs root for SO_SNDBUFFORCE\n");
		skip();
	}
	start(&c, "sleep");
	while (!channel_send(c.channel, block, sizeof(block), NULL, 0))
		n++;
	assert_true(n * sizeof(block) > 16u << 20);
	spawn_end(&c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_starts_clean),
		cmocka_unit_test(ending_a_child_that_runs_kills_it),
		cmocka_unit_test(an_empty_child_can_be_ended),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(messages_and_descriptors_go_both_ways),
		cmocka_unit_test(descriptors_without_room_are_closed_not_leaked),
		cmocka_unit_test(a_flood_of_descriptors_is_refused_and_closed),
		cmocka_unit_test(a_full_channel_says_so_and_an_ended_one_too),
		cmocka_unit_test(our_end_takes_a_whole_table),
	};

	if (argc > 1)
		return role_run(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
