/* SPDX-License-Identifier: MIT */
/* Loading the BPF object, and the directory in bpffs where its maps and links are pinned. */
#include "plane/plane_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#ifndef SO_NETNS_COOKIE /* since Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

/*
 * The first warning of libbpf since this was cleared: the later ones of a failure only repeat it.
 * libbpf offers no context pointer, hence static.
 */
static char complaint[160];

__attribute__((format(printf, 2, 0))) static int keep_complaint(enum libbpf_print_level level,
								const char *fmt, va_list args)
{
	if (level != LIBBPF_WARN || complaint[0])
		return 0;
	vsnprintf(complaint, sizeof(complaint), fmt, args);
	complaint[strcspn(complaint, "\n")] = '\0';
	return 0;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* Cuts the last component off. False when only the root would remain. */
static bool path_cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return false;
	*slash = '\0';
	return true;
}

/* To mount over a directory with something in it would hide that from its owners. */
static bool is_empty_dir(const char *path)
{
	const struct dirent *e;
	bool is_empty = true;
	DIR *dir = opendir(path);

	if (!dir)
		return false;
	while ((e = readdir(dir)) && is_empty)
		is_empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(dir);
	return is_empty;
}

/* Sees to a bpffs below which `pin_dir` = <base>/mcr/<instance> can be made. */
static int bpffs_ensure(const char *pin_dir, struct diag *d)
{
	char base[PLANE_DIR_MAX], at[PLANE_DIR_MAX];

	snprintf(base, sizeof(base), "%s", pin_dir);
	snprintf(at, sizeof(at), "%s", pin_dir);
	if (!path_cut(base) || !path_cut(base))
		return diag_set(d, -EINVAL, E_RANGE, "",
				"%s: the pin directory must be <bpffs>/mcr/<instance>", pin_dir);
	while (access(at, F_OK) && path_cut(at))
		;
	if (is_bpffs(at))
		return 0;
	if (mkdir(base, 0755) && errno != EEXIST)
		return diag_set(d, -errno, E_IO, "", "%s: %s", base, strerror(errno));
	if (!is_empty_dir(base))
		return diag_set(d, -ENOTEMPTY, E_IO, "",
				"%s is no BPF file system, and not an empty directory to mount one",
				base);
	if (mount("bpf", base, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return diag_set(d, -errno, E_KERNEL, "",
				"no BPF file system at %s, and mounting one failed: %s "
				"(mount -t bpf bpf %s)",
				base, strerror(errno), base);
	return 0;
}

static int dir_make(const char *path, struct diag *d)
{
	if (mkdir(path, 0750) && errno != EEXIST)
		return diag_set(d, -errno, E_IO, "", "%s: %s", path, strerror(errno));
	return 0;
}

/* Two daemons of one name with different sockets would take each other's pins away. */
static int pin_dir_lock(struct plane *p, struct diag *d)
{
	p->lock = open(p->pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->lock < 0)
		return diag_set(d, -errno, E_IO, "", "%s: %s", p->pin_dir, strerror(errno));
	if (flock(p->lock, LOCK_EX | LOCK_NB))
		return diag_set(d, -EBUSY, E_BUSY, "", "another process has its maps in %s",
				p->pin_dir);
	return 0;
}

static int pin_dir_make(struct plane *p, const char *pin_dir, struct diag *d)
{
	char path[PLANE_PATH_MAX];
	int err;

	if (strlen(pin_dir) >= sizeof(p->pin_dir))
		return diag_set(d, -ENAMETOOLONG, E_RANGE, "",
				"the path of the pin directory has more than %zu characters",
				sizeof(p->pin_dir) - 1);
	strcpy(p->pin_dir, pin_dir);
	err = bpffs_ensure(pin_dir, d);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s", pin_dir);
	path_cut(path);
	err = dir_make(path, d);
	if (!err)
		err = dir_make(pin_dir, d);
	if (!err)
		err = pin_dir_lock(p, d);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/links", p->pin_dir);
	return dir_make(path, d);
}

/* Removes the pins of maps, whoever left them there; links stay. */
static void pins_clear(const char *pin_dir)
{
	char path[PLANE_PATH_MAX];
	const struct dirent *e;
	DIR *dir = opendir(pin_dir);

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		int len = snprintf(path, sizeof(path), "%s/%s", pin_dir, e->d_name);

		if (e->d_type == DT_REG && len < (int)sizeof(path))
			unlink(path);
	}
	closedir(dir);
}

static int maps_pin(struct plane *p, struct diag *d)
{
	char path[PLANE_PATH_MAX];
	struct bpf_map *map;
	int err;

	if (!p->is_inherited)
		pins_clear(p->pin_dir);
	bpf_object__for_each_map(map, p->skel->obj)
	{
		if (bpf_map__is_internal(map) ||
		    (p->is_inherited && !plane_map_is_of_the_moment(map)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", p->pin_dir, bpf_map__name(map));
		unlink(path);
		err = bpf_obj_pin(bpf_map__fd(map), path);
		if (err)
			return diag_set(d, err, E_KERNEL, "", "cannot pin the map %s in %s: %s",
					bpf_map__name(map), p->pin_dir, strerror(-err));
	}
	return 0;
}

static int abi_write(struct plane *p, const char *instance, struct diag *d)
{
	struct mcr_abi abi = {
		.magic = MCR_ABI_MAGIC,
		.major = MCR_ABI_MAJOR,
		.minor = MCR_ABI_MINOR,
		.net = p->skel->rodata->our_net,
	};
	struct timespec now;
	uint32_t key = 0;
	int err;

	clock_gettime(CLOCK_BOOTTIME, &now);
	abi.created_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	snprintf(abi.instance, sizeof(abi.instance), "%s", instance);
	err = bpf_map_update_elem(bpf_map__fd(p->skel->maps.abi), &key, &abi, BPF_ANY);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "cannot write the map abi: %s",
				strerror(-err));
	return 0;
}

/* The cookie of this network namespace, 0 where the kernel does not tell. */
static uint64_t net_cookie(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		cookie = 0;
	close(fd);
	return cookie;
}

/*
 * The program that counts what interfaces took of the copies. One that an earlier process has left
 * is kept, for it goes on counting into the same maps.
 */
static int xmit_attach(struct plane *p, struct diag *d)
{
	char path[PLANE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/" PLANE_XMIT_PIN, p->pin_dir);
	p->xmit_link = p->is_inherited ? bpf_obj_get(path) : -1;
	if (p->xmit_link >= 0)
		return 0;
	unlink(path);
	p->xmit_link = bpf_link_create(bpf_program__fd(p->skel->progs.mcr_xmit), 0,
				       BPF_TRACE_RAW_TP, NULL);
	if (p->xmit_link < 0)
		return diag_set(d, p->xmit_link, E_KERNEL, "",
				"cannot attach to the tracepoint xdp_devmap_xmit: %s",
				strerror(-p->xmit_link));
	if (bpf_obj_pin(p->xmit_link, path))
		return diag_set(d, -errno, E_KERNEL, "", "cannot pin %s: %s", path,
				strerror(errno));
	return 0;
}

static int object_load(struct plane *p, const char *instance, struct diag *d)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int err;

	/* Kernels before 5.11 count maps against this; where it is refused, nobody needs it. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	complaint[0] = '\0';
	libbpf_set_print(keep_complaint);
	p->skel = mcr_xdp__open();
	if (!p->skel)
		return diag_set(d, -errno, E_KERNEL, "", "cannot open the BPF object: %s",
				strerror(errno));
	p->skel->rodata->our_net = net_cookie();
	err = plane_inherit_maps(p, instance);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "cannot take over the pinned maps: %s",
				strerror(-err));
	err = mcr_xdp__load(p->skel);
	if (err)
		return diag_set(d, err, E_KERNEL, "", "the kernel refuses the BPF programs: %s%s%s",
				strerror(-err), complaint[0] ? "; " : "", complaint);
	p->n_cpus = libbpf_num_possible_cpus();
	if (p->n_cpus < 1)
		return diag_set(d, -EIO, E_KERNEL, "", "cannot learn how many CPUs there are");
	return 0;
}

static int memory_get(struct plane *p, struct diag *d)
{
	size_t element = sizeof(struct mcr_verdicts);

	if (element < sizeof(struct mcr_rule_stats))
		element = sizeof(struct mcr_rule_stats);
	p->per_cpu = calloc((size_t)p->n_cpus, element);
	p->per_cpu_batch = calloc((size_t)p->n_cpus * PLANE_BATCH, sizeof(struct mcr_rule_stats));
	p->links = calloc(MCR_MAX_IFACES, sizeof(*p->links));
	if (!p->per_cpu || !p->per_cpu_batch || !p->links || plane_sets_open(p))
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	return 0;
}

int plane_open(struct plane **out, const char *pin_dir, const char *instance, struct diag *d)
{
	struct plane *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	p->lock = -1;
	p->xmit_link = -1;
	err = pin_dir_make(p, pin_dir, d);
	if (err)
		goto out;
	err = object_load(p, instance, d);
	if (err)
		goto out;
	err = memory_get(p, d);
	if (err)
		goto out;
	err = plane_inherit(p);
	if (err) {
		diag_set(d, err, E_KERNEL, "", "cannot take over the pinned maps: %s",
			 strerror(-err));
		goto out;
	}
	err = plane_punts_open(p);
	if (err) {
		diag_set(d, err, E_KERNEL, "", "cannot read the ring of events: %s",
			 strerror(-err));
		goto out;
	}
	plane_sets_prepare(p);
	err = abi_write(p, instance, d);
	if (err)
		goto out;
	p->owns_dir = true; /* before this, a failure leaves what others pinned as it was */
	plane_links_adopt(p);
	err = maps_pin(p, d);
	if (!err)
		err = xmit_attach(p, d);
	if (err)
		goto out;
	*out = p;
	p = NULL;
out:
	if (p && p->is_inherited) /* what an earlier process forwards goes on without us */
		p->owns_dir = false;
	plane_close(p);
	return err;
}

static void pin_dir_remove(const char *pin_dir)
{
	char path[PLANE_PATH_MAX];

	pins_clear(pin_dir);
	snprintf(path, sizeof(path), "%s/links", pin_dir);
	rmdir(path);
	rmdir(pin_dir);
}

void plane_leave(struct plane *p)
{
	if (!p)
		return;
	plane_links_close(p);
	plane_rules_close(p);
	plane_sets_close(p);
	plane_inherit_close(p);
	plane_punts_close(p);
	if (p->xmit_link >= 0)
		close(p->xmit_link);
	mcr_xdp__destroy(p->skel);
	if (p->lock >= 0)
		close(p->lock);
	free(p->links);
	free(p->per_cpu);
	free(p->per_cpu_batch);
	free(p);
}

void plane_close(struct plane *p)
{
	if (p && p->owns_dir) {
		plane_links_drop(p);
		pin_dir_remove(p->pin_dir);
	}
	plane_leave(p);
}

int plane_remove(const char *pin_dir, struct diag *d)
{
	struct plane *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (!p)
		return diag_set(d, err, E_LIMIT, "", "out of memory");
	p->lock = p->xmit_link = -1;
	p->links = calloc(MCR_MAX_IFACES, sizeof(*p->links));
	if (!p->links)
		diag_set(d, err, E_LIMIT, "", "out of memory");
	else if (access(pin_dir, F_OK) && errno == ENOENT)
		err = 0;
	else
		err = pin_dir_make(p, pin_dir, d);
	if (!err && p->pin_dir[0]) {
		plane_links_adopt(p);
		p->owns_dir = true;
	}
	plane_close(p);
	return err;
}

int plane_packet_filter_fd(const struct plane *p)
{
	return bpf_program__fd(p->skel->progs.mcr_packet);
}

int plane_idle_filter_fd(const struct plane *p)
{
	return bpf_program__fd(p->skel->progs.mcr_packet_idle);
}
