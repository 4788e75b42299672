/* SPDX-License-Identifier: MIT */
/* Each check is a function that looks at the facts and words what it found; true: it found it. */
#include "engine/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KERNEL_MAJOR	   6 /* the oldest that mcrd is made for */
#define KERNEL_MINOR	   1
#define FILES_LEAST	   1024
#define MEMBERSHIPS_USUAL  20
#define MSF_USUAL	   10
#define MEMBERSHIPS_LOOKED 512 /* more of one socket mcrd does not make */
#define MEMBERSHIP_BYTES   128 /* what one takes of a socket's option memory, with a source */

/* --- words ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void what(struct doctor_finding *f, const char *fmt,
						       ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->what, sizeof(f->what), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void remedy(struct doctor_finding *f, const char *fmt,
							 ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
}

/* --- the host --------------------------------------------------------------------------------- */

static bool check_bpffs(const struct host *h, struct doctor_finding *f)
{
	if (!h->has_bpffs) {
		what(f, "%s is not on a BPF file system any more", h->bpffs);
		remedy(f, "mount -t bpf bpf /sys/fs/bpf");
	} else {
		what(f, "the BPF file system that has %s is mounted read-only", h->bpffs);
		remedy(f, "mount -o remount,rw \"$(findmnt -n -o TARGET -T %s)\"", h->bpffs);
	}
	return !h->has_bpffs || h->is_bpffs_readonly;
}

static bool check_btf(const struct host *h, struct doctor_finding *f)
{
	what(f, "the kernel does not describe its types: there is no /sys/kernel/btf/vmlinux");
	remedy(f, "grep CONFIG_DEBUG_INFO_BTF= \"/boot/config-$(uname -r)\" "
		  "# and boot a kernel that has it");
	return !h->has_btf;
}

static bool check_kernel(const struct host *h, struct doctor_finding *f)
{
	what(f, "the kernel is Linux %d.%d, older than %d.%d", h->kernel_major, h->kernel_minor,
	     KERNEL_MAJOR, KERNEL_MINOR);
	remedy(f, "uname -r # and boot a newer one");
	return h->kernel_major < KERNEL_MAJOR ||
	       (h->kernel_major == KERNEL_MAJOR && h->kernel_minor < KERNEL_MINOR);
}

static bool check_af_xdp(const struct host *h, struct doctor_finding *f)
{
	what(f, "the kernel has no AF_XDP sockets");
	remedy(f, "grep CONFIG_XDP_SOCKETS= \"/boot/config-$(uname -r)\" "
		  "# and boot a kernel that has it");
	return !h->has_af_xdp;
}

static bool check_io_uring(const struct host *h, struct doctor_finding *f)
{
	what(f, "io_uring cannot be had here");
	remedy(f, "sysctl -w kernel/io_uring_disabled=0");
	return !h->has_io_uring;
}

static bool check_bpf_jit(const struct host *h, struct doctor_finding *f)
{
	what(f, "net.core.bpf_jit_enable is 0: BPF programs are not compiled");
	remedy(f, "sysctl -w net/core/bpf_jit_enable=1");
	return h->bpf_jit_enable == 0;
}

static bool check_clock_source(const struct host *h, struct doctor_finding *f)
{
	static const char path[] = "/sys/devices/system/clocksource/clocksource0";

	what(f, "the clock source is %s, and tsc could be it", h->clock_source);
	remedy(f, "echo tsc >%s/current_clocksource", path);
	return h->has_tsc &&
	       (strcmp(h->clock_source, "hpet") == 0 || strcmp(h->clock_source, "acpi_pm") == 0 ||
		strcmp(h->clock_source, "jiffies") == 0 ||
		strcmp(h->clock_source, "refined-jiffies") == 0);
}

static bool check_files(const struct host *h, struct doctor_finding *f)
{
	what(f, "mcrd has %lld of %lld descriptors in use", (long long)h->files_used,
	     (long long)h->files_max);
	if (h->files_limit > h->files_max && h->files_limit >= FILES_LEAST)
		remedy(f, "prlimit --pid %d --nofile=%lld:", h->pid, (long long)h->files_limit);
	else
		remedy(f,
		       "prlimit --pid %d --nofile=65536:65536 # and LimitNOFILE=65536 in its unit",
		       h->pid);
	return h->files_max >= 0 &&
	       (h->files_max < FILES_LEAST || h->files_used * 10 > h->files_max * 8);
}

static bool check_max_memberships(const struct host *h, struct doctor_finding *f)
{
	what(f, "a socket may join %lld groups, by net.ipv4.igmp_max_memberships",
	     (long long)h->igmp_max_memberships);
	remedy(f, "sysctl -w net/ipv4/igmp_max_memberships=%d", MEMBERSHIPS_USUAL);
	return h->igmp_max_memberships >= 0 && h->igmp_max_memberships < MEMBERSHIPS_USUAL;
}

static bool check_max_msf(const struct host *h, struct doctor_finding *f)
{
	what(f, "a socket may join %lld sources of a group, by net.ipv4.igmp_max_msf",
	     (long long)h->igmp_max_msf);
	remedy(f, "sysctl -w net/ipv4/igmp_max_msf=%d", MSF_USUAL);
	return h->igmp_max_msf >= 0 && h->igmp_max_msf < MSF_USUAL;
}

static bool check_optmem(const struct host *h, struct doctor_finding *f)
{
	int64_t joins = h->igmp_max_memberships;

	if (joins > MEMBERSHIPS_LOOKED)
		joins = MEMBERSHIPS_LOOKED;
	what(f, "net.core.optmem_max is %lld: too little for the %lld joins that a socket may make",
	     (long long)h->optmem_max, (long long)joins);
	remedy(f, "sysctl -w net/core/optmem_max=131072");
	return h->optmem_max >= 0 && joins > 0 && h->optmem_max < joins * MEMBERSHIP_BYTES;
}

static bool check_other_router(const struct host *h, struct doctor_finding *f)
{
	what(f, "another program has the kernel's multicast routing, with %u interfaces: %s",
	     h->n_vifs, h->vifs);
	/* whoever has it has a raw socket for IGMP, and that is how it is found */
	remedy(f, "ss -Hwanp | awk '$4 ~ /:(igmp|2)$/' | grep -o 'pid=[0-9]*' | cut -d = -f 2 | "
		  "sort -u | xargs -r kill");
	return h->n_vifs;
}

/* --- interfaces ------------------------------------------------------------------------------- */

static bool check_missing(const struct host *h, const struct host_port *p, struct doctor_finding *f)
{
	(void)h;
	what(f, "there is no interface %s", p->name);
	remedy(f, "ip -br link # and correct the name in the configuration, or make it");
	return !p->is_there;
}

static bool check_down(const struct host *h, const struct host_port *p, struct doctor_finding *f)
{
	(void)h;
	what(f, "%s is down", p->name);
	remedy(f, "ip link set dev %s up", p->name);
	return !p->is_up;
}

static bool check_no_carrier(const struct host *h, const struct host_port *p,
			     struct doctor_finding *f)
{
	(void)h;
	what(f, "%s is up, but has no carrier: what it is connected to is down", p->name);
	remedy(f, "ip -d link show dev %s # and see to its other end", p->name);
	return p->is_up && !p->has_carrier;
}

static bool check_no_address(const struct host *h, const struct host_port *p,
			     struct doctor_finding *f)
{
	(void)h;
	what(f, "%s has no IPv4 address, and hosts are to be asked there", p->name);
	remedy(f, "ip address add \"$ADDRESS\" dev %s # ADDRESS: one of that network, with /length",
	       p->name);
	return (p->is_querier || p->is_router) && !p->has_address;
}

static bool check_no_multicast(const struct host *h, const struct host_port *p,
			       struct doctor_finding *f)
{
	(void)h;
	what(f, "%s does not have the flag MULTICAST", p->name);
	remedy(f, "ip link set dev %s multicast on", p->name);
	return !p->can_multicast && !p->is_loopback;
}

/* The kernel takes the higher one of both. The classifier and packet sockets come before it. */
static bool check_rp_filter(const struct host *h, const struct host_port *p,
			    struct doctor_finding *f)
{
	int64_t value = p->rp_filter > h->rp_filter_all ? p->rp_filter : h->rp_filter_all;

	what(f, "rp_filter is strict on %s", p->name);
	remedy(f, "sysctl -w net/ipv4/conf/%s/rp_filter=2", p->name);
	return p->is_router && value == 1;
}

static bool check_igmp_version(const struct host *h, const struct host_port *p,
			       struct doctor_finding *f)
{
	(void)h;
	what(f, "the kernel is made to speak IGMP version %lld on %s",
	     (long long)p->force_igmp_version, p->name);
	remedy(f, "sysctl -w net/ipv4/conf/%s/force_igmp_version=0", p->name);
	return p->is_input && (p->force_igmp_version == 1 || p->force_igmp_version == 2);
}

static bool check_mtu_output(const struct host *h, const struct host_port *p,
			     struct doctor_finding *f)
{
	(void)h;
	what(f, "the MTU of %s is %u, that of %s, where its packets come in, %u", p->name, p->mtu,
	     p->fed_by, p->fed_mtu);
	remedy(f, "ip link set dev %s mtu %u", p->name, p->fed_mtu);
	return p->mtu < p->fed_mtu;
}

static bool check_xdp_foreign(const struct host *h, const struct host_port *p,
			      struct doctor_finding *f)
{
	const char *mode = p->foreign_xdp == HOST_XDP_GENERIC ? "xdpgeneric" : "xdpdrv";

	(void)h;
	what(f, "BPF program %u of somebody else holds the XDP hook of %s", p->foreign_program,
	     p->name);
	/* one that came by netlink, or one that a link holds */
	remedy(f,
	       "ip link set dev %s %s off || bpftool link detach id \"$(bpftool link show | "
	       "awk '/ prog %u / { print $1 + 0 }')\"",
	       p->name, mode, p->foreign_program);
	return p->is_input && p->foreign_program;
}

static bool check_xdp_generic(const struct host *h, const struct host_port *p,
			      struct doctor_finding *f)
{
	(void)h;
	what(f, "XDP does not run natively on %s: %s", p->name, p->xdp_note);
	if (strstr(p->xdp_note, "MTU"))
		remedy(f, "ip link set dev %s mtu 1500", p->name);
	else if (strstr(p->xdp_note, "queues"))
		remedy(f, "ethtool -L %s rx \"$QUEUES\" # QUEUES: as its other end has for sending",
		       p->name);
	else
		remedy(f, "ethtool -i %s # and see whether a newer driver can", p->name);
	return p->is_input && p->xdp != HOST_XDP_NATIVE && p->xdp_note[0] && !p->foreign_program;
}

static bool check_no_redirects(const struct host *h, const struct host_port *p,
			       struct doctor_finding *f)
{
	(void)h;
	what(f, "%s takes no frames that XDP sends to it, and a rule with datapath xdp wants that",
	     p->name);
	remedy(f, "ethtool -K \"$PEER\" gro on # where its other end is, if it is a veth: PEER");
	return p->is_output && p->wants_xdp && !p->takes_redirects;
}

static bool check_gro_forwarding(const struct host *h, const struct host_port *p,
				 struct doctor_finding *f)
{
	(void)h;
	what(f, "rx-udp-gro-forwarding is off on %s, where rules run on afpacket", p->name);
	remedy(f, "ethtool -K %s rx-udp-gro-forwarding on", p->name);
	return p->uses_afpacket && p->gro_forwarding == HOST_FEATURE_OFF;
}

static bool check_udp_gso(const struct host *h, const struct host_port *p, struct doctor_finding *f)
{
	(void)h;
	what(f, "tx-udp-segmentation is off on %s, where workers send", p->name);
	remedy(f, "ethtool -K %s tx-udp-segmentation on", p->name);
	return p->uses_worker && p->udp_gso == HOST_FEATURE_OFF;
}

static bool check_bridge_querier(const struct host *h, const struct host_port *p,
				 struct doctor_finding *f)
{
	(void)h;
	what(f, "the bridge %s snoops multicast, and there is no IGMP querier on it", p->bridge);
	remedy(f, "ip link set dev %s type bridge mcast_querier 1", p->bridge);
	return p->bridge[0] && p->bridge_snoops && !p->bridge_has_querier;
}

/* --- all of them ------------------------------------------------------------------------------ */

typedef bool (*host_check_fn)(const struct host *h, struct doctor_finding *f);
typedef bool (*port_check_fn)(const struct host *h, const struct host_port *p,
			      struct doctor_finding *f);

static const host_check_fn host_checks[DOCTOR__COUNT] = {
#define X(name, severity, why) [DOCTOR_##name] = check_##name,
	DOCTOR_HOST_CODES(X)
#undef X
};

static const port_check_fn port_checks[DOCTOR__COUNT] = {
#define X(name, severity, why) [DOCTOR_##name] = check_##name,
	DOCTOR_PORT_CODES(X)
#undef X
};

unsigned doctor_host(const struct host *h, struct doctor_finding out[DOCTOR__COUNT])
{
	unsigned n = 0;

	for (enum doctor_code c = 0; c < DOCTOR__COUNT; c++) {
		out[n] = (struct doctor_finding){ .code = c };
		n += host_checks[c] && host_checks[c](h, &out[n]);
	}
	return n;
}

unsigned doctor_port(const struct host *h, const struct host_port *p,
		     struct doctor_finding out[DOCTOR__COUNT])
{
	unsigned n = 0;

	for (enum doctor_code c = 0; c < DOCTOR__COUNT; c++) {
		if (!port_checks[c] || p->is_there != (c != DOCTOR_missing))
			continue;
		out[n] = (struct doctor_finding){ .code = c };
		memcpy(out[n].where, p->name, sizeof(out[n].where));
		n += port_checks[c](h, p, &out[n]);
	}
	return n;
}

const char *doctor_code_name(enum doctor_code code)
{
	static const char *const names[DOCTOR__COUNT] = {
#define X(name, severity, why) #name,
		DOCTOR_HOST_CODES(X) DOCTOR_PORT_CODES(X)
#undef X
	};

	return names[code];
}

const char *doctor_why(enum doctor_code code)
{
	static const char *const whys[DOCTOR__COUNT] = {
#define X(name, severity, why) why,
		DOCTOR_HOST_CODES(X) DOCTOR_PORT_CODES(X)
#undef X
	};

	return whys[code];
}

enum doctor_severity doctor_severity(enum doctor_code code)
{
	static const enum doctor_severity severities[DOCTOR__COUNT] = {
#define X(name, severity, why) DOCTOR_##severity,
		DOCTOR_HOST_CODES(X) DOCTOR_PORT_CODES(X)
#undef X
	};

	return severities[code];
}

const char *doctor_severity_name(enum doctor_severity s)
{
	static const char *const names[] = { "note", "warning", "error" };

	return names[s];
}
