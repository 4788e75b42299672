/* SPDX-License-Identifier: MIT */
/*
 * The classifier on interfaces. A link is pinned, so that it outlives this process; whoever comes
 * next finds it and gives it the new program without a gap.
 */
#include "plane/plane_impl.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

/* bpffs refuses dots in names, and no interface has a colon in its own. */
static void name_swap(char *name, char from, char to)
{
	for (; (name = strchr(name, from)); name++)
		*name = to;
}

static void link_path(const struct plane *p, const struct plane_link *link,
		      char path[PLANE_PATH_MAX])
{
	char name[sizeof(link->name)];

	memcpy(name, link->name, sizeof(name));
	name_swap(name, '.', ':');
	snprintf(path, PLANE_PATH_MAX, "%s/links/%s", p->pin_dir, name);
}

static int link_info(int fd, struct bpf_link_info *info)
{
	uint32_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len);
}

/* The interface that a link is on; 0 once it has lost it. */
static uint32_t link_ifindex(int fd)
{
	struct bpf_link_info info;

	return link_info(fd, &info) ? 0 : info.xdp.ifindex;
}

static struct plane_link *link_find_name(struct plane *p, const char *name)
{
	for (size_t i = 0; i < p->n_links; i++) {
		if (!strcmp(p->links[i].name, name))
			return &p->links[i];
	}
	return NULL;
}

static struct plane_link *link_find_ifindex(struct plane *p, uint32_t ifindex)
{
	for (size_t i = 0; i < p->n_links; i++) {
		if (link_ifindex(p->links[i].fd) == ifindex)
			return &p->links[i];
	}
	return NULL;
}

static struct plane_link *link_add(struct plane *p, const char *name, int fd)
{
	struct plane_link *link = &p->links[p->n_links++];

	*link = (struct plane_link){ .fd = fd };
	snprintf(link->name, sizeof(link->name), "%s", name);
	return link;
}

static void link_unpin(const struct plane *p, const struct plane_link *link)
{
	char path[PLANE_PATH_MAX];

	link_path(p, link, path);
	unlink(path);
}

static int link_pin(const struct plane *p, const struct plane_link *link)
{
	char path[PLANE_PATH_MAX];

	link_path(p, link, path);
	unlink(path);
	return bpf_obj_pin(link->fd, path);
}

/* Takes the link off its interface at once, whoever else may hold it. The last link moves up. */
static void link_drop(struct plane *p, struct plane_link *link)
{
	bpf_link_detach(link->fd);
	link_unpin(p, link);
	close(link->fd);
	*link = p->links[--p->n_links];
}

/* Takes in one pinned link, or removes it when its interface is gone or it is nothing of ours. */
static void link_adopt(struct plane *p, const char *dir, const char *pin)
{
	struct plane_link *link;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, pin);
	fd = bpf_obj_get(path);
	if (fd >= 0 && link_ifindex(fd) && strlen(pin) < sizeof(link->name) &&
	    p->n_links < MCR_MAX_IFACES) {
		link = link_add(p, pin, fd);
		link->is_leftover = true;
		name_swap(link->name, ':', '.');
		return;
	}
	unlink(path);
	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
}

void plane_links_adopt(struct plane *p)
{
	char path[PLANE_PATH_MAX];
	const struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/links", p->pin_dir);
	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_type == DT_REG)
			link_adopt(p, path, e->d_name);
	}
	closedir(dir);
}

void plane_links_drop(struct plane *p)
{
	while (p->n_links)
		link_drop(p, &p->links[p->n_links - 1]);
}

void plane_links_close(struct plane *p)
{
	while (p->n_links)
		close(p->links[--p->n_links].fd);
}

void plane_sweep(struct plane *p, plane_ifindex_fn is_in_use, const void *arg)
{
	plane_inherit_sweep(p, is_in_use, arg);
	for (size_t i = p->n_links; i > 0; i--) {
		if (p->links[i - 1].is_leftover)
			link_drop(p, &p->links[i - 1]);
	}
}

/*
 * Gives a link that is on the interface already the present program and the present name. Only one
 * in native mode: for another, native mode is worth a fresh try, and its refusal worth a note. That
 * the interface runs the link's program says too that both are in this network namespace.
 */
static int link_renew(struct plane *p, struct plane_link *link, uint32_t ifindex, const char *name)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_link_info info;
	int err;

	err = link_info(link->fd, &info);
	if (!err)
		err = bpf_xdp_query((int)ifindex, 0, &query);
	if (!err && query.drv_prog_id != info.prog_id)
		err = -ESTALE;
	if (!err)
		err = bpf_link_update(link->fd, bpf_program__fd(p->skel->progs.mcr_xdp), NULL);
	if (err)
		return err;
	link_unpin(p, link);
	snprintf(link->name, sizeof(link->name), "%s", name);
	link->is_leftover = false;
	link->info = (struct plane_attached){ .mode = PLANE_NATIVE };
	return link_pin(p, link);
}

uint32_t plane_foreign(struct plane *p, const char *name, uint32_t ifindex, enum plane_mode *mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	*mode = PLANE_DETACHED;
	if (plane_is_attached(p, name, ifindex) || bpf_xdp_query((int)ifindex, 0, &query))
		return 0;
	*mode = query.skb_prog_id && !query.drv_prog_id ? PLANE_GENERIC : PLANE_NATIVE;
	if (query.drv_prog_id || query.skb_prog_id)
		return query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	return query.hw_prog_id ? query.hw_prog_id : query.prog_id;
}

/* True when there is a program on the interface, with a sentence about it in `note`. */
static bool hook_is_held(struct plane *p, uint32_t ifindex, const char *name, char note[160])
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info), id;
	enum plane_mode mode;
	int fd;

	id = plane_foreign(p, name, ifindex, &mode);
	if (!id)
		return false;
	/* its name is for CAP_SYS_ADMIN only, which main has at the start and no longer */
	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.name[0])
		snprintf(note, 160, "program %s (id %u) holds the XDP hook of %s", info.name, id,
			 name);
	else
		snprintf(note, 160, "program %u (bpftool prog show id %u) holds the XDP hook of %s",
			 id, id, name);
	if (fd >= 0)
		close(fd);
	return true;
}

static const char *why_not_native(int err)
{
	switch (-err) {
	case EOPNOTSUPP:
		return "the driver does not support it";
	case ERANGE:
		return "the MTU is too large for it";
	case ENOSPC:
		return "the interface has fewer receive queues than its peer has transmit queues";
	default:
		return strerror(-err);
	}
}

/* Returns the descriptor of a new link, native if possible, or -errno. */
static int link_create(struct plane *p, uint32_t ifindex, const char *name,
		       struct plane_attached *info, struct diag *d)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int prog_fd = bpf_program__fd(p->skel->progs.mcr_xdp);
	char present[IF_NAMESIZE];
	int fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &native);

	if (fd >= 0) {
		info->mode = PLANE_NATIVE;
		return fd;
	}
	if (!if_indextoname(ifindex, present))
		return diag_set(d, -ENODEV, E_IF_NOT_FOUND, "", "%s: the interface is gone", name);
	if (hook_is_held(p, ifindex, name, info->note))
		return diag_set(d, -EBUSY, E_BUSY, "", "%s", info->note);
	snprintf(info->note, sizeof(info->note), "no native mode: %s", why_not_native(fd));
	fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &generic);
	if (fd < 0)
		return diag_set(d, fd, E_KERNEL, "", "%s: %s; generic mode failed: %s", name,
				info->note, strerror(-fd));
	info->mode = PLANE_GENERIC;
	return fd;
}

int plane_attach(struct plane *p, uint32_t ifindex, const char *name, struct plane_attached *info,
		 struct diag *d)
{
	struct plane_link *link = link_find_name(p, name);
	int fd, err;

	*info = (struct plane_attached){ 0 };
	if (link && link_ifindex(link->fd) != ifindex)
		link_drop(p, link); /* of an earlier interface of that name */
	link = link_find_ifindex(p, ifindex);
	if (link && (link->is_leftover || strcmp(link->name, name))) {
		if (link_renew(p, link, ifindex, name)) {
			link_drop(p, link);
			link = NULL;
		}
	}
	if (link) {
		*info = link->info;
		return 0;
	}
	if (p->n_links == MCR_MAX_IFACES)
		return diag_set(d, -ENOSPC, E_LIMIT, "", "%s: at most %d interfaces are served",
				name, MCR_MAX_IFACES);
	fd = link_create(p, ifindex, name, info, d);
	if (fd < 0)
		return fd;
	link = link_add(p, name, fd);
	link->info = *info;
	err = link_pin(p, link);
	if (!err)
		return 0;
	link_drop(p, link);
	*info = (struct plane_attached){ 0 };
	return diag_set(d, err, E_KERNEL, "", "%s: cannot pin its link in %s/links: %s", name,
			p->pin_dir, strerror(-err));
}

void plane_detach(struct plane *p, const char *name)
{
	struct plane_link *link = link_find_name(p, name);

	if (link)
		link_drop(p, link);
}

bool plane_is_attached(struct plane *p, const char *name, uint32_t ifindex)
{
	const struct plane_link *link = link_find_name(p, name);

	return link && !link->is_leftover && ifindex && link_ifindex(link->fd) == ifindex;
}
