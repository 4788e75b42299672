/* SPDX-License-Identifier: MIT */
/* Reads /proc and /sys, and asks route netlink and the ethtool ioctls. */
#include "edge/probe.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "edge/rtnl.h"
#include "edge/sysctl.h"

#ifndef ST_RDONLY
#define ST_RDONLY 1 /* of statfs, too */
#endif

#define CLOCKS "/sys/devices/system/clocksource/clocksource0/"

static int64_t port_number(const char *name, const char *setting)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", name, setting);
	return sysctl_number(path);
}

/* A name of the kernel's, in which nearly every byte may stand. */
static void name_clean(char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-:@";

	for (; *name; name++)
		if (!strchr(plain, *name))
			*name = '?';
}

/* --- the host --------------------------------------------------------------------------------- */

static int64_t files_used(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = -3; /* itself, and two that are none */

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void bpffs_read(const char *pins, struct host *out)
{
	struct statfs at;

	snprintf(out->bpffs, sizeof(out->bpffs), "%s", pins);
	out->has_bpffs = statfs(pins, &at) == 0 && at.f_type == BPF_FS_MAGIC;
	out->is_bpffs_readonly = out->has_bpffs && (at.f_flags & ST_RDONLY);
}

/* A line for each interface, behind a heading: number, name, … "pimreg" is nobody's interface. */
static void vifs_read(struct host *out)
{
	FILE *f = fopen("/proc/net/ip_mr_vif", "re");
	char line[256], name[HOST_NAME_LEN];
	size_t len = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %15s", name) != 1)
			continue;
		name_clean(name);
		out->n_vifs++;
		if (len + strlen(name) + 2 < sizeof(out->vifs))
			len += (size_t)snprintf(out->vifs + len, sizeof(out->vifs) - len, "%s%s",
						len ? " " : "", name);
	}
	if (f)
		fclose(f);
}

static void clock_read(struct host *out)
{
	char choices[128];

	sysctl_text(CLOCKS "current_clocksource", out->clock_source, sizeof(out->clock_source));
	sysctl_text(CLOCKS "available_clocksource", choices, sizeof(choices));
	out->has_tsc = strstr(choices, "tsc ") != NULL;
}

static void kernel_read(struct host *out)
{
	struct utsname name;
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (uname(&name) == 0)
		sscanf(name.release, "%d.%d", &out->kernel_major, &out->kernel_minor);
	out->has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	out->has_af_xdp = fd >= 0 || errno != EAFNOSUPPORT;
	if (fd >= 0)
		close(fd);
}

void probe_host(const char *pins, struct host *out)
{
	struct rlimit files = { RLIM_INFINITY, RLIM_INFINITY };

	*out = (struct host){ .pid = (int)getpid() };
	out->igmp_max_memberships = sysctl_number("/proc/sys/net/ipv4/igmp_max_memberships");
	out->igmp_max_msf = sysctl_number("/proc/sys/net/ipv4/igmp_max_msf");
	out->optmem_max = sysctl_number("/proc/sys/net/core/optmem_max");
	out->rp_filter_all = port_number("all", "rp_filter");
	out->bpf_jit_enable = sysctl_number("/proc/sys/net/core/bpf_jit_enable");
	getrlimit(RLIMIT_NOFILE, &files);
	out->files_used = files_used();
	out->files_max = files.rlim_cur < INT32_MAX ? (int64_t)files.rlim_cur : -1;
	out->files_limit = files.rlim_max < INT32_MAX ? (int64_t)files.rlim_max : INT32_MAX;
	bpffs_read(pins, out);
	vifs_read(out);
	clock_read(out);
	kernel_read(out);
}

/* --- an interface ----------------------------------------------------------------------------- */

static void flags_read(struct probe *p, struct host_port *out)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", out->name);
	if (ioctl(p->ethtool.fd, SIOCGIFFLAGS, &ifr))
		return;
	out->is_up = ifr.ifr_flags & IFF_UP;
	out->has_carrier = ifr.ifr_flags & IFF_RUNNING;
	out->can_multicast = ifr.ifr_flags & IFF_MULTICAST;
}

/* What is asked of a link: whose port it is, and what it is as a bridge. */
struct bridge_answer {
	struct host_port *port;
	uint32_t master;
	bool is_bridge;
};

static void bridge_take(struct bridge_answer *a, const struct rtnl_attrs *link,
			const struct nlattr *data)
{
	const struct nlattr *name = rtnl_attr(link, IFLA_IFNAME, 1), *attr;
	struct rtnl_attrs bridge, querier;
	uint16_t len = mnl_attr_get_payload_len(name);

	snprintf(a->port->bridge, sizeof(a->port->bridge), "%.*s", (int)len,
		 (const char *)mnl_attr_get_payload(name));
	name_clean(a->port->bridge);
	rtnl_attrs_in(mnl_attr_get_payload(data), mnl_attr_get_payload_len(data), &bridge);
	attr = rtnl_attr(&bridge, IFLA_BR_MCAST_SNOOPING, 1);
	a->port->bridge_snoops = attr && mnl_attr_get_u8(attr);
	attr = rtnl_attr(&bridge, IFLA_BR_MCAST_QUERIER, 1);
	a->port->bridge_has_querier = attr && mnl_attr_get_u8(attr);
	attr = rtnl_attr(&bridge, IFLA_BR_MCAST_QUERIER_STATE, 0);
	if (!attr)
		return;
	/* it is told only while there is one */
	rtnl_attrs_in(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr), &querier);
	if (rtnl_attr(&querier, BRIDGE_QUERIER_IP_ADDRESS, sizeof(uint32_t)))
		a->port->bridge_has_querier = true;
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	struct bridge_answer *a = arg;
	const struct nlattr *info, *kind, *data, *master;
	struct rtnl_attrs link, parts;

	if (nlh->nlmsg_type != RTM_NEWLINK || !rtnl_has(nlh, sizeof(struct ifinfomsg)))
		return MNL_CB_OK;
	rtnl_attrs(nlh, sizeof(struct ifinfomsg), &link);
	master = rtnl_attr(&link, IFLA_MASTER, sizeof(uint32_t));
	a->master = master ? mnl_attr_get_u32(master) : 0;
	info = rtnl_attr(&link, IFLA_LINKINFO, 0);
	if (!info)
		return MNL_CB_OK;
	rtnl_attrs_in(mnl_attr_get_payload(info), mnl_attr_get_payload_len(info), &parts);
	kind = rtnl_attr(&parts, IFLA_INFO_KIND, sizeof("bridge"));
	data = rtnl_attr(&parts, IFLA_INFO_DATA, 0);
	if (kind && data && rtnl_attr(&link, IFLA_IFNAME, 1) &&
	    memcmp(mnl_attr_get_payload(kind), "bridge", sizeof("bridge")) == 0)
		bridge_take(a, &link, data);
	return MNL_CB_OK;
}

/* The single answer to a question about a link. */
static void link_ask(struct probe *p, uint32_t ifindex, struct bridge_answer *a)
{
	static unsigned sequence;
	static char buf[RTNL_RECEIVE_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;
	ssize_t n;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++sequence;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = (int)ifindex;
	if (mnl_socket_sendto(p->route, nlh, nlh->nlmsg_len) < 0)
		return;
	n = mnl_socket_recvfrom(p->route, buf, sizeof(buf));
	if (n > 0)
		mnl_cb_run(buf, (size_t)n, sequence, mnl_socket_get_portid(p->route), on_link, a);
}

void probe_port(struct probe *p, uint32_t ifindex, struct host_port *out)
{
	struct bridge_answer a = { .port = out };

	flags_read(p, out);
	out->rp_filter = port_number(out->name, "rp_filter");
	out->force_igmp_version = port_number(out->name, "force_igmp_version");
	out->udp_gso = ethtool_feature(&p->ethtool, out->name, "tx-udp-segmentation");
	out->gro_forwarding = ethtool_feature(&p->ethtool, out->name, "rx-udp-gro-forwarding");
	link_ask(p, ifindex, &a);
	if (!out->bridge[0] && a.master)
		link_ask(p, a.master, &a);
}

int probe_open(struct probe *p)
{
	int err = ethtool_open(&p->ethtool);

	p->route = NULL;
	return err ? err : rtnl_query_open(&p->route);
}

void probe_close(struct probe *p)
{
	if (p->route)
		mnl_socket_close(p->route);
	ethtool_close(&p->ethtool);
}
