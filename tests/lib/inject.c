/* SPDX-License-Identifier: MIT */
/*
 * Makes another process try what a sandbox must refuse: stops it with ptrace, runs system calls in
 * its place, puts its registers back and lets it go on.
 *	inject PID
 * prints a line for each call and fails unless all were refused with EPERM. Exit status: 0 all
 * refused, 1 something was let through, 2 could not be tried, 77 not on this machine.
 */
#include <stdio.h>

#if !defined(__x86_64__)
int main(void)
{
	puts("inject: knows the registers of x86-64 only");
	return 77;
}
#else
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT	 0x7fff /* in `args`: the address of the text */
#define TEXT_MAX 32

struct attempt {
	const char *name;
	long number;
	unsigned long args[6];
	const char *text;
};

static const struct attempt attempts[] = {
	{ "socket(AF_INET, SOCK_DGRAM)", SYS_socket, { AF_INET, SOCK_DGRAM }, "" },
	{ "socket(AF_INET, SOCK_STREAM)", SYS_socket, { AF_INET, SOCK_STREAM }, "" },
	{ "socket(AF_UNIX)", SYS_socket, { AF_UNIX, SOCK_STREAM }, "" },
	{ "socket(AF_PACKET)", SYS_socket, { AF_PACKET, SOCK_RAW }, "" },
	{ "socket(AF_NETLINK)", SYS_socket, { AF_NETLINK, SOCK_RAW }, "" },
	{ "socket(AF_XDP)", SYS_socket, { AF_XDP, SOCK_RAW }, "" },
	{ "socketpair(AF_UNIX)", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, TEXT }, "" },
	{ "bind", SYS_bind, { 3, TEXT, 2 }, "\1" },
	{ "connect", SYS_connect, { 3, TEXT, 2 }, "\1" },
	{ "setsockopt", SYS_setsockopt, { 3, SOL_SOCKET, SO_RCVBUF, TEXT, 4 }, "\0\1" },
	{ "open", SYS_open, { TEXT, O_RDONLY }, "/etc/passwd" },
	{ "openat", SYS_openat, { (unsigned long)AT_FDCWD, TEXT, O_RDONLY }, "/etc/passwd" },
	{ "openat2", SYS_openat2, { (unsigned long)AT_FDCWD, TEXT, TEXT, 24 }, "/etc/passwd" },
	{ "execve", SYS_execve, { TEXT, 0, 0 }, "/bin/true" },
	{ "execveat", SYS_execveat, { (unsigned long)AT_FDCWD, TEXT, 0, 0, 0 }, "/bin/true" },
	{ "fork", SYS_fork, { 0 }, "" },
	{ "clone", SYS_clone, { SIGCHLD }, "" },
	{ "clone(CLONE_NEWUSER)", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, "" },
	{ "clone3", SYS_clone3, { TEXT, 64 }, "" },
	{ "unshare(CLONE_NEWUSER)", SYS_unshare, { CLONE_NEWUSER }, "" },
	{ "setns", SYS_setns, { 3, 0 }, "" },
	{ "mount", SYS_mount, { TEXT, TEXT, TEXT, 0, 0 }, "/proc" },
	{ "chroot", SYS_chroot, { TEXT }, "/" },
	{ "ptrace", SYS_ptrace, { PTRACE_TRACEME }, "" },
	{ "process_vm_readv", SYS_process_vm_readv, { 1, 0, 0, 0, 0, 0 }, "" },
	{ "kill(1)", SYS_kill, { 1, 0 }, "" },
	{ "tgkill(1)", SYS_tgkill, { 1, 1, 0 }, "" },
	{ "bpf", SYS_bpf, { 0, TEXT, 8 }, "" },
	{ "perf_event_open", SYS_perf_event_open, { TEXT, 0, 0, 0, 0 }, "" },
	{ "userfaultfd", SYS_userfaultfd, { 0 }, "" },
	{ "io_uring_setup", SYS_io_uring_setup, { 8, TEXT }, "" },
	{ "io_uring_register", SYS_io_uring_register, { 3, 0, 0, 0 }, "" },
	{ "mmap(PROT_EXEC)",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1, 0 },
	  "" },
	{ "mmap(a descriptor)", SYS_mmap, { 0, 4096, PROT_READ, MAP_SHARED, 3, 0 }, "" },
	{ "mprotect(PROT_EXEC)", SYS_mprotect, { 0x1000, 4096, PROT_READ | PROT_EXEC }, "" },
	{ "setuid(0)", SYS_setuid, { 0 }, "" },
	{ "setresuid(0)", SYS_setresuid, { 0, 0, 0 }, "" },
	{ "capset", SYS_capset, { TEXT, TEXT }, "" },
	{ "prctl", SYS_prctl, { 4, 1 }, "" },
	{ "seccomp", SYS_seccomp, { 1, 0, TEXT }, "" },
	{ "unlink", SYS_unlink, { TEXT }, "/nothing" },
	{ "rename", SYS_rename, { TEXT, TEXT }, "/nothing" },
	{ "memfd_create", SYS_memfd_create, { TEXT, 0 }, "x" },
	{ "pidfd_open", SYS_pidfd_open, { 1, 0 }, "" },
	{ "keyctl", SYS_keyctl, { 0 }, "" },
	{ "init_module", SYS_init_module, { TEXT, 1, TEXT }, "" },
	{ "ioctl", SYS_ioctl, { 3, 0x8912, TEXT }, "" },
	{ "getppid", SYS_getppid, { 0 }, "" },
};

/* The address of a system call instruction in the process; 0 when none was found. */
static unsigned long find_syscall(pid_t pid)
{
	unsigned long from, to, found = 0;
	char path[64], line[512], mode[8];
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	while (mem >= 0 && maps && !found && fgets(line, sizeof(line), maps)) {
		unsigned char *text, *at;
		ssize_t len;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[2] != 'x')
			continue;
		text = malloc(to - from);
		len = text ? pread(mem, text, to - from, (off_t)from) : -1;
		at = len > 0 ? memmem(text, (size_t)len, "\x0f\x05", 2) : NULL;
		if (at)
			found = from + (unsigned long)(at - text);
		free(text);
	}
	if (maps)
		fclose(maps);
	if (mem >= 0)
		close(mem);
	return found;
}

static bool wait_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		return true;
	fprintf(stderr, "inject: process %d did not stop (status %#x)\n", pid, status);
	return false;
}

/* Where texts are put: below the red zone of the stack, which nobody uses while it is stopped. */
static bool put_text(pid_t pid, unsigned long at, const char *text)
{
	char buf[TEXT_MAX] = "";

	memcpy(buf, text, strlen(text));
	for (unsigned i = 0; i < TEXT_MAX; i += sizeof(long)) {
		long word;

		memcpy(&word, buf + i, sizeof(word));
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word))
			return false;
	}
	return true;
}

/* Runs one call in the stopped process. False when that could not be done. */
static bool run_call(pid_t pid, const struct user_regs_struct *regs, unsigned long insn,
		     const struct attempt *a, long *result)
{
	unsigned long at = (regs->rsp - 1024) & ~15ul, args[6];
	struct user_regs_struct r = *regs;

	for (unsigned i = 0; i < 6; i++)
		args[i] = a->args[i] == TEXT ? at

					     : a->args[i];
	r.rip = insn;
	r.rax = (unsigned long)a->number;
	r.orig_rax = (unsigned long)-1; /* not in a call: nothing is restarted */
	r.rdi = args[0];
	r.rsi = args[1];
	r.rdx = args[2];
	r.r10 = args[3];
	r.r8 = args[4];
	r.r9 = args[5];
	if (!put_text(pid, at, a->text) || ptrace(PTRACE_SETREGS, pid, 0, &r) ||
	    ptrace(PTRACE_SINGLESTEP, pid, 0, 0) || !wait_stop(pid) ||
	    ptrace(PTRACE_GETREGS, pid, 0, &r))
		return false;
	*result = (long)r.rax;
	return true;
}

static int run_all(pid_t pid, const struct user_regs_struct *regs, unsigned long insn)
{
	static const struct attempt allowed = { "getpid", SYS_getpid, { 0 }, "" };
	unsigned refused = 0, n = sizeof(attempts) / sizeof(attempts[0]);
	long result;

	/* what proves that the calls really are made there */
	if (!run_call(pid, regs, insn, &allowed, &result) || result <= 0) {
		fprintf(stderr, "inject: getpid() in process %d does not work\n", pid);
		return 2;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!run_call(pid, regs, insn, &attempts[i], &result)) {
			fprintf(stderr, "inject: %s: %s\n", attempts[i].name, strerror(errno));
			return 2;
		}
		refused += result == -EPERM;
		printf("%s %s = %ld\n", result == -EPERM ? "refused" : "LET THROUGH",
		       attempts[i].name, result);
	}
	printf("%u of %u calls refused\n", refused, n);
	return refused == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? atoi(argv[1]) : 0;
	struct user_regs_struct regs;
	unsigned long insn;
	int status = 2;

	if (pid <= 0) {
		fputs("usage: inject PID\n", stderr);
		return 2;
	}
	insn = find_syscall(pid);
	if (!insn) {
		fprintf(stderr, "inject: no system call instruction in process %d\n", pid);
		return 2;
	}
	if (ptrace(PTRACE_ATTACH, pid, 0, 0)) {
		fprintf(stderr, "inject: cannot stop process %d: %s\n", pid, strerror(errno));
		return 2;
	}
	if (wait_stop(pid) && ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0) {
		status = run_all(pid, &regs, insn);
		/* what it was waiting for goes on by the kernel's own restart of calls */
		if (ptrace(PTRACE_SETREGS, pid, 0, &regs))
			status = 2;
	}
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return status;
}
#endif
