/* SPDX-License-Identifier: MIT */
/* A host without a fault has no finding; each single fault has its own one and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/doctor.h"

static const struct host healthy_host = {
	.pid = 77,
	.igmp_max_memberships = 20,
	.igmp_max_msf = 10,
	.optmem_max = 20480,
	.bpf_jit_enable = 1,
	.files_used = 60,
	.files_max = 1024,
	.has_bpffs = true,
	.bpffs = "/sys/fs/bpf/mcr/mcrd",
	.has_af_xdp = true,
	.has_io_uring = true,
	.has_btf = true,
	.kernel_major = 6,
	.kernel_minor = 1,
	.clock_source = "tsc",
	.has_tsc = true,
};

/* Used for everything at once. */
static const struct host_port healthy_port = {
	.name = "in0",
	.is_input = true,
	.is_output = true,
	.is_querier = true,
	.is_router = true,
	.uses_afpacket = true,
	.uses_worker = true,
	.wants_xdp = true,
	.is_there = true,
	.is_up = true,
	.has_carrier = true,
	.has_address = true,
	.can_multicast = true,
	.takes_redirects = true,
	.mtu = 1500,
	.fed_mtu = 1500,
	.fed_by = "in1",
	.xdp = HOST_XDP_NATIVE,
	.udp_gso = HOST_FEATURE_ON,
	.gro_forwarding = HOST_FEATURE_ON,
	.bridge = "br0",
	.bridge_snoops = true,
	.bridge_has_querier = true,
};

static struct doctor_finding found[DOCTOR__COUNT];
static bool is_seen[DOCTOR__COUNT];

static void one_is(unsigned n, enum doctor_code code, const char *what, const char *remedy)
{
	assert_int_equal(n, 1);
	assert_string_equal(doctor_code_name(found[0].code), doctor_code_name(code));
	assert_non_null(strstr(found[0].what, what));
	assert_non_null(strstr(found[0].remedy, remedy));
	assert_true(strlen(doctor_why(code)) > 10);
	is_seen[code] = true;
}

/* The host with one member other than it should be. */
#define HOST_FAULT(code, what, remedy, ...)                                                        \
	do {                                                                                       \
		struct host h = healthy_host;                                                      \
		__VA_ARGS__;                                                                       \
		one_is(doctor_host(&h, found), DOCTOR_##code, what, remedy);                       \
		assert_string_equal(found[0].where, "");                                           \
	} while (0)

#define PORT_FAULT(code, what, remedy, ...)                                                        \
	do {                                                                                       \
		struct host h = healthy_host;                                                      \
		struct host_port p = healthy_port;                                                 \
		__VA_ARGS__;                                                                       \
		one_is(doctor_port(&h, &p, found), DOCTOR_##code, what, remedy);                   \
		assert_string_equal(found[0].where, "in0");                                        \
	} while (0)

static void faults_of_the_host(void **state)
{
	(void)state;
	assert_int_equal(doctor_host(&healthy_host, found), 0);
	HOST_FAULT(bpffs, "not on a BPF file system", "mount -t bpf", h.has_bpffs = false);
	HOST_FAULT(bpffs, "read-only", "remount,rw", h.is_bpffs_readonly = true);
	HOST_FAULT(btf, "btf/vmlinux", "CONFIG_DEBUG_INFO_BTF", h.has_btf = false);
	HOST_FAULT(kernel, "Linux 6.0, older than 6.1", "uname", h.kernel_minor = 0);
	HOST_FAULT(kernel, "Linux 5.19", "uname", h.kernel_major = 5; h.kernel_minor = 19);
	HOST_FAULT(af_xdp, "AF_XDP", "CONFIG_XDP_SOCKETS", h.has_af_xdp = false);
	HOST_FAULT(io_uring, "io_uring", "io_uring_disabled=0", h.has_io_uring = false);
	HOST_FAULT(bpf_jit, "not compiled", "sysctl -w net/core/bpf_jit_enable=1",
		   h.bpf_jit_enable = 0);
	HOST_FAULT(clock_source, "is hpet", "echo tsc >/sys/", strcpy(h.clock_source, "hpet"));
	HOST_FAULT(files, "60 of 256", "prlimit --pid 77 --nofile=65536", h.files_max = 256);
	HOST_FAULT(files, "60 of 256", "prlimit --pid 77 --nofile=20000:", h.files_max = 256;
		   h.files_limit = 20000);
	HOST_FAULT(files, "820 of 1024", "prlimit", h.files_used = 820);
	HOST_FAULT(max_memberships, "19 groups", "igmp_max_memberships=20",
		   h.igmp_max_memberships = 19);
	HOST_FAULT(max_msf, "9 sources", "igmp_max_msf=10", h.igmp_max_msf = 9);
	HOST_FAULT(optmem, "is 2559", "optmem_max=131072", h.optmem_max = 2559);
	HOST_FAULT(optmem, "512 joins", "optmem_max", h.igmp_max_memberships = 20000);
	HOST_FAULT(other_router, "2 interfaces: in0 o1", "xargs -r kill", h.n_vifs = 2;
		   strcpy(h.vifs, "in0 o1"));
}

static void faults_of_an_interface(void **state)
{
	(void)state;
	assert_int_equal(doctor_port(&healthy_host, &healthy_port, found), 0);
	PORT_FAULT(missing, "no interface in0", "ip -br link", p.is_there = false);
	PORT_FAULT(down, "is down", "ip link set dev in0 up", p.is_up = p.has_carrier = false);
	PORT_FAULT(no_carrier, "no carrier", "ip -d link show dev in0", p.has_carrier = false);
	PORT_FAULT(no_address, "no IPv4 address", "ip address add", p.has_address = false);
	PORT_FAULT(no_multicast, "MULTICAST", "multicast on", p.can_multicast = false);
	PORT_FAULT(rp_filter, "strict on in0", "sysctl -w net/ipv4/conf/in0/rp_filter=2",
		   p.rp_filter = 1);
	PORT_FAULT(rp_filter, "strict on in0", "in0/rp_filter=2", h.rp_filter_all = 1);
	PORT_FAULT(igmp_version, "version 2", "force_igmp_version=0", p.force_igmp_version = 2);
	PORT_FAULT(mtu_output, "is 1400, that of in1", "ip link set dev in0 mtu 1500",
		   p.mtu = 1400);
	PORT_FAULT(xdp_foreign, "program 9 of somebody else", "ip link set dev in0 xdpdrv off",
		   p.foreign_program = 9;
		   p.xdp = HOST_XDP_NONE);
	PORT_FAULT(xdp_foreign, "program 9", "xdpgeneric off", p.foreign_program = 9;
		   p.foreign_xdp = HOST_XDP_GENERIC);
	PORT_FAULT(xdp_generic, "the MTU is too large", "ip link set dev in0 mtu 1500",
		   p.xdp = HOST_XDP_GENERIC;
		   strcpy(p.xdp_note, "no native mode: the MTU is too large for it"));
	PORT_FAULT(xdp_generic, "queues", "ethtool -L in0", p.xdp = HOST_XDP_NONE;
		   strcpy(p.xdp_note, "fewer receive queues"));
	PORT_FAULT(xdp_generic, "the driver", "ethtool -i in0", p.xdp = HOST_XDP_GENERIC;
		   strcpy(p.xdp_note, "the driver does not support it"));
	PORT_FAULT(no_redirects, "takes no frames", "gro on", p.takes_redirects = false);
	PORT_FAULT(gro_forwarding, "is off on in0", "ethtool -K in0 rx-udp-gro-forwarding on",
		   p.gro_forwarding = HOST_FEATURE_OFF);
	PORT_FAULT(udp_gso, "is off on in0", "ethtool -K in0 tx-udp-segmentation on",
		   p.udp_gso = HOST_FEATURE_OFF);
	PORT_FAULT(bridge_querier, "br0 snoops", "ip link set dev br0 type bridge mcast_querier 1",
		   p.bridge_has_querier = false);
	for (enum doctor_code c = 0; c < DOCTOR__COUNT; c++)
		assert_true(is_seen[c]);
}

#define HEALTHY(...)                                                                               \
	do {                                                                                       \
		struct host h = healthy_host;                                                      \
		struct host_port p = healthy_port;                                                 \
		__VA_ARGS__;                                                                       \
		assert_int_equal(doctor_host(&h, found), 0);                                       \
		assert_int_equal(doctor_port(&h, &p, found), 0);                                   \
	} while (0)

/* What is not needed, cannot be had, or is not known is no fault. */
static void what_is_no_fault(void **state)
{
	(void)state;
	HEALTHY(h.igmp_max_memberships = h.igmp_max_msf = h.optmem_max = -1);
	HEALTHY(h.bpf_jit_enable = h.files_max = h.rp_filter_all = p.rp_filter = -1);
	HEALTHY(strcpy(h.clock_source, "hpet"); h.has_tsc = false);
	HEALTHY(p.rp_filter = 2; h.rp_filter_all = 1); /* the kernel takes the higher one: loose */
	HEALTHY(p.rp_filter = 1; p.is_router = false);
	HEALTHY(p.has_address = false; p.is_router = p.is_querier = false);
	HEALTHY(p.udp_gso = p.gro_forwarding = HOST_FEATURE_FIXED);
	HEALTHY(p.udp_gso = HOST_FEATURE_OFF; p.uses_worker = false);
	HEALTHY(p.gro_forwarding = HOST_FEATURE_OFF; p.uses_afpacket = false);
	HEALTHY(p.takes_redirects = false; p.wants_xdp = false);
	HEALTHY(p.xdp = HOST_XDP_NONE); /* no rule needs the classifier */
	HEALTHY(p.bridge_has_querier = p.bridge_snoops = false);
	HEALTHY(p.force_igmp_version = 3);
	HEALTHY(p.is_loopback = true; p.can_multicast = false);
	HEALTHY(p.mtu = 9000);
}

static void severities_have_names(void **state)
{
	(void)state;
	assert_string_equal(doctor_severity_name(doctor_severity(DOCTOR_down)), "error");
	assert_string_equal(doctor_severity_name(doctor_severity(DOCTOR_rp_filter)), "warning");
	assert_string_equal(doctor_severity_name(doctor_severity(DOCTOR_udp_gso)), "note");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_of_the_host),
		cmocka_unit_test(faults_of_an_interface),
		cmocka_unit_test(what_is_no_fault),
		cmocka_unit_test(severities_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
