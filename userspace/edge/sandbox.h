/* SPDX-License-Identifier: MIT */
/* Giving up what a role does not need: libcap-ng for capabilities, libseccomp for system calls. */
#pragma once

#include <sys/types.h>

#include "base/diag.h"

/*
 * Worker, first thing after exec: no_new_privs, own uid and gid (no supplementary groups), every
 * capability set empty, dumpable off, core size 0. Checked afterwards, not believed.
 */
int sandbox_drop_privileges(uid_t uid, gid_t gid, struct diag *d);

/*
 * Worker, last thing before its first packet: allows only what moving frames needs (io_uring_enter,
 * poll, recvmsg, sendmsg, recvfrom, sendto, read, write, close, getsockopt, clock_gettime,
 * sched_yield, futex, madvise, exit, rt_sigreturn, restart_syscall …); everything else fails with
 * EPERM. No socket(), no open(), no mmap with PROT_EXEC, no io_uring_setup.
 */
int sandbox_lock_worker(struct diag *d);

/* The uid and gid that workers run as: user "mcr-worker" or "nobody". */
void sandbox_worker_ids(uid_t *uid, gid_t *gid);

/*
 * Main, last thing of start-up: keeps NET_ADMIN, NET_RAW, BPF, PERFMON (the relay), and IPC_LOCK,
 * SYS_RESOURCE, SETUID, SETGID, SETPCAP, KILL (starting, confining and ending workers), in the
 * bounding set too. What needs more (SYS_ADMIN to mount a bpffs, CHOWN for the group of the control
 * socket, reading files of other users) must be done before.
 */
int sandbox_main(struct diag *d);
