/* SPDX-License-Identifier: MIT */
/*
 * Giving up privileges, and checking with the kernel that they are gone. The system calls left to
 * a worker can move frames over descriptors that it already has and nothing else.
 */
#include "edge/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cap-ng.h>
#include <seccomp.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define IS_SANITIZED 1
#endif

#define NOBODY 65534

static int refused(struct diag *d, int err, const char *doing)
{
	return diag_set(d, err, E_PERM, "", "%s: %s", doing, strerror(-err));
}

#ifdef IS_SANITIZED
/* The leak checker wants to trace its own process at exit, which no confined process may. */
static bool is_confined;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return is_confined;
}

static void sandbox_tell_sanitizer(void)
{
	is_confined = true;
}
#else
static void sandbox_tell_sanitizer(void)
{
}
#endif

void sandbox_worker_ids(uid_t *uid, gid_t *gid)
{
	const struct passwd *pw = getpwnam("mcr-worker");

	if (!pw)
		pw = getpwnam("nobody");
	*uid = pw ? pw->pw_uid : NOBODY;
	*gid = pw ? pw->pw_gid : NOBODY;
}

/* --- capabilities ----------------------------------------------------------------------------- */

/*
 * Makes the wanted set (prepared in libcap-ng) the only one. The bounding set can be narrowed only
 * with SETPCAP; without it, no_new_privs or the service manager has to do.
 */
static int caps_apply(bool with_bounding, const char *doing, struct diag *d)
{
	int failed;

	if (with_bounding)
		failed = capng_apply(CAPNG_SELECT_ALL);
	else
		failed = capng_apply(CAPNG_SELECT_CAPS);
	return failed ? refused(d, -EPERM, doing) : 0;
}

static int caps_drop_bounding(struct diag *d)
{
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		return 0;
	capng_clear(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_BOUNDS))
		return refused(d, -EPERM, "cannot empty the bounding set");
	return 0;
}

static int caps_check_empty(struct diag *d)
{
	if (capng_get_caps_process())
		return refused(d, -EPERM, "cannot read the capabilities");
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return diag_set(d, -EPERM, E_PERM, "", "capabilities are left after dropping them");
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			return diag_set(d, -EPERM, E_PERM, "", "ambient capability %d is left",
					cap);
	return 0;
}

int sandbox_main(struct diag *d)
{
	static const unsigned keep[] = { CAP_NET_ADMIN,	   CAP_NET_RAW, CAP_BPF,    CAP_PERFMON,
					 CAP_IPC_LOCK,	   CAP_SETUID,	CAP_SETGID, CAP_SETPCAP,
					 CAP_SYS_RESOURCE, CAP_KILL };
	const unsigned n_keep = sizeof(keep) / sizeof(keep[0]);
	const capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET;
	bool had[sizeof(keep) / sizeof(keep[0])], with_bounding;
	int err;

	capng_setpid((int)getpid()); /* the library remembers the process that asked first */
	if (capng_get_caps_process())
		return refused(d, -EPERM, "cannot read the capabilities");
	with_bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	/* A container may have given us fewer; asking for more than we have would fail. */
	for (unsigned i = 0; i < n_keep; i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, keep[i]);
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned i = 0; i < n_keep; i++)
		if (had[i] && capng_update(CAPNG_ADD, sets, keep[i]))
			return refused(d, -EINVAL, "cannot choose the capabilities");
	err = caps_apply(with_bounding, "cannot narrow the capabilities", d);
	if (err)
		return err;
	if (capng_get_caps_process())
		return refused(d, -EPERM, "cannot read the capabilities");
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool wanted = false;

		for (unsigned i = 0; i < n_keep; i++)
			wanted |= had[i] && keep[i] == cap;
		if (capng_have_capability(CAPNG_PERMITTED, cap) != wanted)
			return diag_set(d, -EPERM, E_PERM, "", "capability %s is %s",
					capng_capability_to_name(cap),
					wanted ? "lost" : "left after dropping it");
	}
	return 0;
}

/* --- identity --------------------------------------------------------------------------------- */

static int ids_set(uid_t uid, gid_t gid, struct diag *d)
{
	if (setgroups(0, NULL) && errno != EPERM) /* checked below */
		return refused(d, -errno, "cannot drop the groups");
	if (setresgid(gid, gid, gid))
		return refused(d, -errno, "cannot change the group");
	if (setresuid(uid, uid, uid))
		return refused(d, -errno, "cannot change the user");
	return 0;
}

static int ids_check(uid_t uid, gid_t gid, struct diag *d)
{
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) || getresgid(&g[0], &g[1], &g[2]))
		return refused(d, -errno, "cannot read the user");
	for (int i = 0; i < 3; i++)
		if (u[i] != uid || g[i] != gid)
			return diag_set(d, -EPERM, E_PERM, "", "user or group did not change");
	if (getgroups(0, NULL) != 0)
		return diag_set(d, -EPERM, E_PERM, "", "supplementary groups are left");
	if (uid != 0 && (!setuid(0) || !seteuid(0)))
		return diag_set(d, -EPERM, E_PERM, "", "the way back to root is open");
	return 0;
}

/* Changing the user makes the kernel forget that we are to die with our parent. */
static int parent_death_restore(int signo, pid_t parent, struct diag *d)
{
	if (!signo)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, signo))
		return refused(d, -errno, "cannot follow the parent's death");
	if (getppid() != parent)
		return diag_set(d, -ESRCH, E_PERM, "", "the parent is gone");
	return 0;
}

int sandbox_drop_privileges(uid_t uid, gid_t gid, struct diag *d)
{
	const struct rlimit no_core = { 0, 0 };
	pid_t parent = getppid();
	int err, signo = 0;

	prctl(PR_GET_PDEATHSIG, &signo);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return refused(d, -errno, "cannot set no_new_privs");
	if (setrlimit(RLIMIT_CORE, &no_core))
		return refused(d, -errno, "cannot set the core size");
	capng_setpid((int)getpid());
	if (capng_get_caps_process())
		return refused(d, -EPERM, "cannot read the capabilities");
	err = caps_drop_bounding(d);
	if (!err)
		err = ids_set(uid, gid, d);
	if (err)
		return err;
	capng_clear(CAPNG_SELECT_ALL);
	err = caps_apply(false, "cannot drop the capabilities", d);
	if (!err && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		err = refused(d, -errno, "cannot drop the ambient capabilities");
	if (!err && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		err = refused(d, -errno, "cannot become undumpable");
	sandbox_tell_sanitizer();
	if (!err)
		err = parent_death_restore(signo, parent, d);
	if (!err)
		err = ids_check(uid, gid, d);
	if (!err)
		err = caps_check_empty(d);
	if (!err && (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1))
		err = diag_set(d, -EPERM, E_PERM, "", "dumpable or no_new_privs did not take");
	return err;
}

/* --- system calls ----------------------------------------------------------------------------- */

static const int allowed_calls[] = {
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(getsockopt),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(sched_yield),
	SCMP_SYS(futex),
	SCMP_SYS(madvise),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef IS_SANITIZED
	/* What a report or a fake stack needs. */
	SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(sched_getaffinity),
#endif
};

static int calls_add(scmp_filter_ctx ctx)
{
	int err = 0;

	for (unsigned i = 0; !err && i < sizeof(allowed_calls) / sizeof(allowed_calls[0]); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	/* Memory for malloc: anonymous and never executable. */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				       SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
	/* abort() signals itself, nobody else. */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return err;
}

int sandbox_lock_worker(struct diag *d)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = -ENOMEM;

	if (ctx)
		err = calls_add(ctx);
	if (!err)
		err = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	if (err)
		return refused(d, err, "cannot install the system call filter");
	/* Believe only what is seen: a harmless call that is not on the list. */
	if (syscall(SYS_getppid) != -1 || errno != EPERM)
		return diag_set(d, -EPERM, E_PERM, "", "the system call filter does not act");
	sandbox_tell_sanitizer();
	return 0;
}
