/* SPDX-License-Identifier: MIT */
/* Where tests of the kernel side run: namespaces of their own, gone with the process. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LAB_BPFFS   "/run/lab-bpf"
#define LAB_PINS    LAB_BPFFS "/mcr/test"
#define LAB_SKIPPED 77

/* A network and a mount namespace, with an empty /run and no bpffs in it. 0 or −1. */
static inline int lab_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	if (mount("lab", "/run", "tmpfs", 0, "size=4m") || mkdir(LAB_BPFFS, 0755))
		return -1;
	return 0;
}

/* Runs a shell command that must succeed. */
__attribute__((format(printf, 1, 2))) static inline void lab_sh(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command))
		fail_msg("%s", command);
}

/* For main(): why these tests cannot run, or NULL. */
static inline const char *lab_unfit(void)
{
	if (geteuid())
		return "needs root";
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return "needs a kernel with BPF and BTF";
	return NULL;
}
