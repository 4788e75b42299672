/* SPDX-License-Identifier: MIT */
/* A confined child really tries what it must not do; the parent reads what the kernel says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "edge/sandbox.h"
#include "../lib/child.h"

static uid_t uid;
static gid_t gid;

static int ids_find(void **state)
{
	sandbox_worker_ids(&uid, &gid);
	return 0;
}

static void skip_unless_root(void)
{
	if (geteuid() != 0) {
		print_message("needs root to give something up\n");
		skip();
	}
}

/* --- what must not work ----------------------------------------------------------------------- */

struct outcome {
	long result;
	int error;
};

static long try_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static long try_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static long try_open(void)
{
	return open("/dev/null", O_RDONLY);
}

static long try_execve(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	return execv("/bin/true", argv);
}

static long try_fork(void)
{
	long pid = syscall(SYS_fork);

	if (!pid)
		_exit(0);
	return pid;
}

static long try_clone(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	return pid;
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static long try_setuid(void)
{
	return syscall(SYS_setuid, 0);
}

static long try_bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY };

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long try_mount(void)
{
	return syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL);
}

static long try_ring(void)
{
	char params[256] = { 0 };

	return syscall(SYS_io_uring_setup, 4, params);
}

static long try_ring_register(void)
{
	return syscall(SYS_io_uring_register, 0, 0, NULL, 0);
}

static long try_executable_memory(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long try_map_file(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0);
}

static long try_mprotect(void)
{
	return syscall(SYS_mprotect, (uintptr_t)try_mprotect & ~4095ul, 4096,
		       PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long try_connect(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/x" };

	return syscall(SYS_connect, 0, &at, sizeof(at));
}

static long try_kill_parent(void)
{
	return syscall(SYS_kill, 1, 0);
}

static long try_tgkill_other(void)
{
	return syscall(SYS_tgkill, 1, 1, 0);
}

static long try_ioctl(void)
{
	return syscall(SYS_ioctl, 0, 0, 0);
}

static long try_setsockopt(void)
{
	return syscall(SYS_setsockopt, 0, 0, 0, 0, 0);
}

static long try_prctl(void)
{
	return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_stat(void)
{
	struct stat st;

	return fstatat(AT_FDCWD, "/", &st, 0);
}

static const struct {
	const char *name;
	long (*fn)(void);
} forbidden[] = {
	{ "socket", try_socket },
	{ "socket(AF_PACKET)", try_packet_socket },
	{ "open", try_open },
	{ "execve", try_execve },
	{ "fork", try_fork },
	{ "clone", try_clone },
	{ "ptrace", try_ptrace },
	{ "setuid", try_setuid },
	{ "bpf", try_bpf },
	{ "mount", try_mount },
	{ "io_uring_setup", try_ring },
	{ "io_uring_register", try_ring_register },
	{ "mmap(PROT_EXEC)", try_executable_memory },
	{ "mmap(file)", try_map_file },
	{ "mprotect", try_mprotect },
	{ "connect", try_connect },
	{ "kill", try_kill_parent },
	{ "tgkill", try_tgkill_other },
	{ "ioctl", try_ioctl },
	{ "setsockopt", try_setsockopt },
	{ "prctl", try_prctl },
	{ "stat", try_stat },
};

#define N_FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))

/* --- a confined child ------------------------------------------------------------------------- */

struct confined {
	int ready[2], go[2]; /* pipes */
	int drop_err, lock_err, allowed_failed;
	struct diag d;
	struct outcome outcomes[N_FORBIDDEN];
};

/* What moving frames takes: 0, or the number of the step that failed. */
static int allowed_steps(struct confined *c)
{
	struct pollfd p = { .fd = c->go[0], .events = POLLIN };
	struct timespec ts;
	char *memory;
	sigset_t none;

	if (poll(&p, 1, 0) < 0)
		return 1;
	if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts))
		return 2;
	memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, 1 << 20, MADV_DONTNEED))
		return 3;
	memory = mremap(memory, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
	if (memory == MAP_FAILED || munmap(memory, 2 << 20))
		return 4;
	memory = malloc(8 << 20);
	if (!memory)
		return 5;
	memset(memory, 1, 8 << 20);
	free(memory);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) || syscall(SYS_sched_yield))
		return 6;
	/* Not implemented, not forbidden: the descriptor is no ring. */
	if (syscall(SYS_io_uring_enter, c->go[0], 0, 0, 0, NULL, 0) != -1 || errno == EPERM)
		return 7;
	if (syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0))
		return 8;
	return 0;
}

static int confined_run(void *arg)
{
	struct confined *c = arg;
	char byte = 0;

	c->drop_err = sandbox_drop_privileges(uid, gid, &c->d);
	if (!c->drop_err)
		c->lock_err = sandbox_lock_worker(&c->d);
	if (c->drop_err || c->lock_err)
		return 1;
	for (size_t i = 0; i < N_FORBIDDEN; i++) {
		errno = 0;
		c->outcomes[i].result = forbidden[i].fn();
		c->outcomes[i].error = errno;
	}
	c->allowed_failed = allowed_steps(c);
	if (write(c->ready[1], "x", 1) != 1 || read(c->go[0], &byte, 1) != 1)
		return 2;
	return 42;
}

/* The value of a field of /proc/<pid>/status, without the blanks before it. */
static const char *status_field(pid_t pid, const char *field)
{
	static char line[256];
	char path[64], *value = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!value && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = line + strlen(field) + 1;
	fclose(f);
	assert_non_null(value);
	value[strcspn(value, "\n")] = '\0';
	return value + strspn(value, " \t");
}

static void check_status(pid_t pid)
{
	static const char *const empty[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	char want[64];

	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
		assert_string_equal(status_field(pid, empty[i]), "0000000000000000");
	assert_string_equal(status_field(pid, "NoNewPrivs"), "1");
	assert_string_equal(status_field(pid, "Seccomp"), "2");
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	assert_string_equal(status_field(pid, "Uid"), want);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", gid, gid, gid, gid);
	assert_string_equal(status_field(pid, "Gid"), want);
	assert_string_equal(status_field(pid, "Groups"), "");
}

static void a_locked_worker_can_move_frames_and_nothing_else(void **state)
{
	struct confined *c;
	struct stat st;
	char path[64], byte;
	int status;
	pid_t pid;

	skip_unless_root();
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(c != MAP_FAILED);
	assert_int_equal(pipe(c->ready), 0);
	assert_int_equal(pipe(c->go), 0);
	assert_int_equal(setgroups(2, (gid_t[]){ 4, 5 }), 0);
	pid = fork();
	if (!pid)
		_exit(confined_run(c));
	close(c->ready[1]);
	if (read(c->ready[0], &byte, 1) != 1)
		fail_msg("drop %d, lock %d: %s", c->drop_err, c->lock_err, c->d.what);
	for (size_t i = 0; i < N_FORBIDDEN; i++)
		if (c->outcomes[i].result != -1 || c->outcomes[i].error != EPERM)
			fail_msg("%s: %ld (%s)", forbidden[i].name, c->outcomes[i].result,
				 strerror(c->outcomes[i].error));
	assert_int_equal(c->allowed_failed, 0);
	check_status(pid);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0); /* not dumpable: its own user may not look inside */
	assert_int_equal(write(c->go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	close(c->ready[0]);
	close(c->go[0]);
	close(c->go[1]);
	munmap(c, sizeof(*c));
}

static int abort_locked(void *arg)
{
	if (sandbox_drop_privileges(uid, gid, NULL) || sandbox_lock_worker(NULL))
		return 1;
	signal(SIGABRT, SIG_DFL); /* refused, and the default anyway */
	abort();
}

static void a_locked_worker_can_still_abort(void **state)
{
	skip_unless_root();
	assert_int_equal(child_run(abort_locked, NULL), 256 + SIGABRT);
}

static int drop_only(void *arg)
{
	struct rlimit core;
	int signo = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sandbox_drop_privileges(uid, gid, NULL))
		return 1;
	prctl(PR_GET_PDEATHSIG, &signo);
	if (signo != SIGKILL)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) || core.rlim_cur || core.rlim_max)
		return 3;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 4;
	/* Twice is fine: what is not there cannot be lost. */
	return sandbox_drop_privileges(uid, gid, NULL) ? 5 : 0;
}

static void dropping_keeps_the_tie_to_the_parent(void **state)
{
	skip_unless_root();
	assert_int_equal(child_run(drop_only, NULL), 0);
}

static int drop_to_another_without_right(void *arg)
{
	struct diag d = { 0 };

	if (sandbox_drop_privileges(uid, gid, NULL))
		return 1;
	/* Not root any more: another user cannot be had, and that is said. */
	if (!sandbox_drop_privileges(uid + 1, gid, &d))
		return 2;
	return d.code == E_PERM && d.what[0] ? 0 : 3;
}

static void a_drop_that_does_not_happen_is_an_error(void **state)
{
	skip_unless_root();
	assert_int_equal(child_run(drop_to_another_without_right, NULL), 0);
}

static int keep_groups(void *arg)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct diag d = { 0 };

	/* Without SETGID the groups stay; that must not pass. */
	if (setgroups(1, (gid_t[]){ 4 }) || syscall(SYS_capget, &head, data))
		return 1;
	data[0].effective &= ~(1u << CAP_SETGID);
	data[0].permitted &= ~(1u << CAP_SETGID);
	if (syscall(SYS_capset, &head, data))
		return 2;
	return sandbox_drop_privileges(0, 0, &d) && d.code == E_PERM ? 0 : 3;
}

static void groups_that_stay_are_an_error(void **state)
{
	skip_unless_root();
	assert_int_equal(child_run(keep_groups, NULL), 0);
}

/* --- main ------------------------------------------------------------------------------------- */

static uint64_t cap_mask(const char *field)
{
	return strtoull(status_field(getpid(), field), NULL, 16);
}

#define BIT(cap) (1ull << (cap))

static int main_and_worker(void *arg)
{
	const uint64_t keep = BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_BPF) |
			      BIT(CAP_PERFMON) | BIT(CAP_IPC_LOCK) | BIT(CAP_SETUID) |
			      BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_RESOURCE) |
			      BIT(CAP_KILL);
	uint64_t before = cap_mask("CapPrm");

	if (sandbox_main(NULL))
		return 1;
	if (cap_mask("CapPrm") != (before & keep) || cap_mask("CapEff") != (before & keep))
		return 2;
	if (cap_mask("CapBnd") & ~keep || cap_mask("CapInh") || cap_mask("CapAmb"))
		return 3;
	if (!mount("none", "/tmp", "tmpfs", 0, NULL) || errno != EPERM)
		return 4;
	/* What main starts can still become a worker. */
	return child_run(drop_only, NULL) ? 5 : 0;
}

static void main_keeps_what_it_needs_and_can_start_workers(void **state)
{
	skip_unless_root();
	assert_int_equal(child_run(main_and_worker, NULL), 0);
}

static void workers_do_not_run_as_root(void **state)
{
	uid_t u = 0;
	gid_t g = 0;

	sandbox_worker_ids(&u, &g);
	assert_true(u != 0);
	assert_true(g != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_do_not_run_as_root),
		cmocka_unit_test(a_locked_worker_can_move_frames_and_nothing_else),
		cmocka_unit_test(a_locked_worker_can_still_abort),
		cmocka_unit_test(dropping_keeps_the_tie_to_the_parent),
		cmocka_unit_test(a_drop_that_does_not_happen_is_an_error),
		cmocka_unit_test(groups_that_stay_are_an_error),
		cmocka_unit_test(main_keeps_what_it_needs_and_can_start_workers),
	};

	return cmocka_run_group_tests(tests, ids_find, NULL);
}
