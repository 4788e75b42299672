/* SPDX-License-Identifier: MIT */
/*
 * plane/ against the kernel: what it pins, how it gets on and off interfaces, what it takes over
 * from a process that died, what it writes for rules; and real frames over veth through both
 * programs.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "plane/plane_impl.h"

static struct plane *open_plane(void)
{
	struct plane *p = NULL;
	struct diag d = { 0 };

	if (plane_open(&p, LAB_PINS, "test", &d))
		fail_msg("%s", d.what);
	return p;
}

/* Opens a plane in a process that attaches to `name` and dies without a word. */
static void crash_attached(const char *name)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		struct plane_attached info;
		struct plane *p = NULL;

		if (plane_open(&p, LAB_PINS, "test", NULL) ||
		    plane_attach(p, if_nametoindex(name), name, &info, NULL))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool none_in_use(const void *arg, uint32_t ifindex)
{
	return false;
}

static uint32_t program_on(const char *name)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)if_nametoindex(name), 0, &query), 0);
	return query.prog_id;
}

static uint32_t own_program(const struct plane *p)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(
		bpf_obj_get_info_by_fd(bpf_program__fd(p->skel->progs.mcr_xdp), &info, &len), 0);
	return info.id;
}

/* The id of the link pinned as links/<pin>, 0 when there is none. */
static uint32_t pinned_link(const char *pin)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/links/%s", LAB_PINS, pin);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static size_t map_entries(const struct bpf_map *map)
{
	uint8_t key[32], next[32];
	size_t n = 0;

	for (int err = bpf_map_get_next_key(bpf_map__fd(map), NULL, next); !err; n++) {
		memcpy(key, next, sizeof(key));
		err = bpf_map_get_next_key(bpf_map__fd(map), key, next);
	}
	return n;
}

static void maps_are_pinned_while_open_and_gone_after(void **state)
{
	static const char *const names[] = { "abi",	   "ifaces",	   "rules",
					     "rule_stats", "destinations", "local_addrs",
					     "verdicts",   "xsks",	   "egress_sets",
					     "rewrites",   "output_stats", "xmit_stats",
					     "folded",	   "xmit" };
	struct mcr_abi abi;
	uint32_t key = 0;
	char path[128];
	struct stat st;
	struct plane *p = open_plane();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", LAB_PINS, names[i]);
		assert_int_equal(stat(path, &st), 0);
	}
	assert_int_equal(stat(LAB_PINS, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.abi), &key, &abi), 0);
	assert_int_equal(abi.magic, MCR_ABI_MAGIC);
	assert_int_equal(abi.major, MCR_ABI_MAJOR);
	assert_string_equal(abi.instance, "test");
	plane_close(p);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
	plane_close(NULL);
}

static void a_directory_that_is_in_use_is_not_mounted_over(void **state)
{
	struct plane *p = NULL;
	struct diag d = { 0 };

	lab_sh("mkdir -p /run/used && touch /run/used/file");
	assert_int_equal(plane_open(&p, "/run/used/mcr/test", "test", &d), -ENOTEMPTY);
	assert_int_equal(d.code, E_IO);
	assert_non_null(strstr(d.what, "/run/used is no BPF file system"));
	assert_null(p);
	assert_int_equal(access("/run/used/file", F_OK), 0);
	assert_int_equal(plane_open(&p, "/test", "test", &d), -EINVAL);
	assert_int_equal(plane_open(&p, "relative", "test", &d), -EINVAL);
}

static void expect_unprivileged(int want, const char *sentence)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		struct plane *p = NULL;
		struct diag d = { 0 };
		int err;

		if (setresuid(65534, 65534, 65534))
			_exit(1);
		err = plane_open(&p, LAB_PINS, "test", &d);
		_exit(err != want || !strstr(d.what, sentence));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void without_privileges_the_reason_is_told(void **state)
{
	expect_unprivileged(-EPERM, "mounting one failed: Operation not permitted");
	plane_close(open_plane()); /* the mount stays */
	expect_unprivileged(-EACCES, "Permission denied");
}

static void native_mode_is_had_on_veth_even_with_jumbo_mtu(void **state)
{
	struct plane *p = open_plane();
	struct plane_attached info;

	assert_int_equal(plane_attach(p, if_nametoindex("v0"), "v0", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_NATIVE);
	assert_string_equal(info.note, "");
	assert_int_equal(program_on("v0"), own_program(p));
	assert_true(plane_is_attached(p, "v0", if_nametoindex("v0")));
	assert_false(plane_is_attached(p, "v0", if_nametoindex("v1")));
	assert_false(plane_is_attached(p, "j0", if_nametoindex("j0")));
	assert_int_equal(plane_attach(p, if_nametoindex("j0"), "j0", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_NATIVE);
	plane_detach(p, "v0");
	assert_int_equal(program_on("v0"), 0);
	assert_int_equal(pinned_link("v0"), 0);
	assert_int_equal(program_on("j0"), own_program(p));
	plane_close(p);
	assert_int_equal(program_on("j0"), 0);
}

static void generic_mode_says_why(void **state)
{
	struct plane *p = open_plane();
	struct plane_attached info;

	assert_int_equal(plane_attach(p, 1, "lo", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_GENERIC);
	assert_string_equal(info.note, "no native mode: the driver does not support it");
	memset(&info, 0, sizeof(info)); /* asked again, it says the same */
	assert_int_equal(plane_attach(p, 1, "lo", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_GENERIC);
	assert_string_equal(info.note, "no native mode: the driver does not support it");
	plane_close(p);
	assert_int_equal(program_on("lo"), 0);
}

static void an_interface_that_is_gone_is_named(void **state)
{
	struct plane *p = open_plane();
	struct plane_attached info;
	struct diag d = { 0 };

	assert_int_equal(plane_attach(p, 9999, "nope", &info, &d), -ENODEV);
	assert_int_equal(d.code, E_IF_NOT_FOUND);
	assert_int_equal(info.mode, PLANE_DETACHED);
	plane_close(p);
}

/* A program that is not ours, put on by netlink as `ip link set xdp` does. Returns its id. */
static uint32_t stranger_attach(const char *name, uint32_t flags)
{
	static const struct bpf_insn pass[] = {
		{ .code = 0xb7 /* r0 = XDP_PASS */, .imm = XDP_PASS },
		{ .code = 0x95 /* exit */ },
	};
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "stranger", "GPL", pass, 2, NULL);

	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex(name), fd, flags, NULL), 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static void a_foreign_program_is_named_and_left_alone(void **state)
{
	static const uint32_t modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
	struct plane *p = open_plane();
	struct plane_attached info;
	struct diag d = { 0 };
	char sentence[160];

	for (int i = 0; i < 2; i++) {
		uint32_t id = stranger_attach("v0", modes[i]);

		snprintf(sentence, sizeof(sentence),
			 "program stranger (id %u) holds the XDP hook of v0", id);
		assert_int_equal(plane_attach(p, if_nametoindex("v0"), "v0", &info, &d), -EBUSY);
		assert_int_equal(d.code, E_BUSY);
		assert_string_equal(info.note, sentence);
		assert_string_equal(d.what, sentence);
		assert_int_equal(info.mode, PLANE_DETACHED);
		assert_int_equal(program_on("v0"), id);
		assert_int_equal(pinned_link("v0"), 0);
		bpf_xdp_detach((int)if_nametoindex("v0"), modes[i], NULL);
	}
	assert_int_equal(plane_attach(p, if_nametoindex("v0"), "v0", &info, NULL), 0);
	plane_close(p);
}

static void a_crash_leaves_a_link_that_is_taken_over_without_a_gap(void **state)
{
	struct plane_attached info;
	uint32_t link, program;
	struct plane *p;

	crash_attached("v0");
	link = pinned_link("v0");
	program = program_on("v0");
	assert_int_not_equal(link, 0);
	assert_int_not_equal(program, 0);
	p = open_plane();
	assert_int_equal(program_on("v0"), program); /* still the old one */
	assert_false(plane_is_attached(p, "v0", if_nametoindex("v0")));
	assert_int_equal(plane_attach(p, if_nametoindex("v0"), "v0", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_NATIVE);
	assert_int_equal(pinned_link("v0"), link);
	assert_int_equal(program_on("v0"), own_program(p));
	plane_sweep(p, none_in_use, NULL);
	assert_true(plane_is_attached(p, "v0", if_nametoindex("v0")));
	plane_close(p);
	assert_int_equal(program_on("v0"), 0);
}

static void a_leftover_in_generic_mode_is_attached_afresh(void **state)
{
	struct plane_attached info;
	uint32_t link;
	struct plane *p;

	crash_attached("lo");
	link = pinned_link("lo");
	assert_int_not_equal(link, 0);
	p = open_plane();
	assert_int_equal(plane_attach(p, 1, "lo", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_GENERIC);
	assert_non_null(strstr(info.note, "does not support it"));
	assert_int_not_equal(pinned_link("lo"), 0);
	assert_int_not_equal(pinned_link("lo"), link);
	assert_int_equal(program_on("lo"), own_program(p));
	plane_close(p);
}

static void what_nobody_claims_is_swept(void **state)
{
	struct plane *p;

	crash_attached("v0");
	p = open_plane();
	plane_sweep(p, none_in_use, NULL);
	assert_int_equal(program_on("v0"), 0);
	assert_int_equal(pinned_link("v0"), 0);
	plane_close(p);
	crash_attached("v0");
	p = open_plane();
	plane_close(p); /* also when it was never swept */
	assert_int_equal(program_on("v0"), 0);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
}

static void a_leftover_whose_interface_is_gone_does_not_hinder(void **state)
{
	struct plane_attached info;
	struct plane *p;

	lab_sh("ip link add t0 type veth peer name t1");
	crash_attached("t0");
	lab_sh("ip link del t0");
	lab_sh("ip link add t0 type veth peer name t1");
	p = open_plane();
	assert_int_equal(pinned_link("t0"), 0);
	assert_int_equal(plane_attach(p, if_nametoindex("t0"), "t0", &info, NULL), 0);
	assert_int_equal(program_on("t0"), own_program(p));
	lab_sh("ip link del t0"); /* and the same while we run */
	lab_sh("ip link add t0 type veth peer name t1");
	assert_false(plane_is_attached(p, "t0", if_nametoindex("t0")));
	assert_int_equal(plane_attach(p, if_nametoindex("t0"), "t0", &info, NULL), 0);
	assert_true(plane_is_attached(p, "t0", if_nametoindex("t0")));
	plane_close(p);
	lab_sh("ip link del t0");
}

static void a_renamed_interface_keeps_its_link(void **state)
{
	struct plane_attached info;
	struct plane *p;
	uint32_t link;

	lab_sh("ip link add t0 type veth peer name t1");
	crash_attached("t0");
	link = pinned_link("t0");
	lab_sh("ip link set t0 name dsl.7");
	p = open_plane();
	assert_int_equal(plane_attach(p, if_nametoindex("dsl.7"), "dsl.7", &info, NULL), 0);
	assert_int_equal(pinned_link("t0"), 0);
	assert_int_equal(pinned_link("dsl:7"), link); /* bpffs cannot have the dot */
	assert_true(plane_is_attached(p, "dsl.7", if_nametoindex("dsl.7")));
	plane_close(p);
	crash_attached("dsl.7");
	link = pinned_link("dsl:7");
	p = open_plane();
	assert_int_equal(plane_attach(p, if_nametoindex("dsl.7"), "dsl.7", &info, NULL), 0);
	assert_int_equal(pinned_link("dsl:7"), link);
	plane_detach(p, "dsl.7");
	assert_int_equal(program_on("dsl.7"), 0);
	plane_close(p);
	lab_sh("ip link del dsl.7");
}

static void a_link_forced_off_is_noticed_and_can_be_put_back(void **state)
{
	struct plane *p = open_plane();
	struct plane_attached info;
	uint32_t ifindex = if_nametoindex("v0");
	int fd;

	assert_int_equal(plane_attach(p, ifindex, "v0", &info, NULL), 0);
	fd = bpf_obj_get(LAB_PINS "/links/v0");
	assert_int_equal(bpf_link_detach(fd), 0); /* as `bpftool link detach` */
	close(fd);
	assert_false(plane_is_attached(p, "v0", ifindex));
	assert_int_equal(plane_attach(p, ifindex, "v0", &info, NULL), 0);
	assert_true(plane_is_attached(p, "v0", ifindex));
	assert_int_equal(program_on("v0"), own_program(p));
	fd = bpf_obj_get(LAB_PINS "/links/v0");
	assert_true(fd >= 0);
	plane_detach(p, "v0"); /* though somebody else holds it open */
	assert_int_equal(program_on("v0"), 0);
	close(fd);
	plane_close(p);
}

static struct mcr_rule_key key_of(uint32_t ifindex, uint32_t group, uint32_t source, uint16_t port)
{
	struct mcr_rule_key key = { .ifindex = ifindex, .port = port, .protocol = IPPROTO_UDP };

	group = htonl(group);
	source = htonl(source);
	memcpy(key.group, &group, sizeof(key.group));
	memcpy(key.source, &source, sizeof(key.source));
	return key;
}

static struct mcr_destination destination_of(struct plane *p, const struct mcr_rule_key *key)
{
	struct mcr_destination dest = { 0 };

	bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.destinations), key->group, &dest);
	return dest;
}

static bool has_rule(struct plane *p, struct mcr_rule_key key, uint32_t ifindex)
{
	struct mcr_rule rule;

	key.ifindex = ifindex;
	return !bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.rules), &key, &rule);
}

static void shared_entries_live_as_long_as_the_last_rule(void **state)
{
	const struct mcr_rule_key a = key_of(1, 0xef010101, 0xc6120001, 5001);
	const struct mcr_rule_key b = key_of(2, 0xef010101, 0xc6120001, 5001);
	const struct mcr_rule_key c = key_of(1, 0xef010101, 0, 0);
	const struct mcr_rule rule = { .rule = 3, .datapath = MCR_DP_AFXDP };
	struct plane *p = open_plane();

	assert_int_equal(plane_rule_set(p, &a, &rule, NULL), 0);
	assert_int_equal(plane_rule_set(p, &a, &rule, NULL), 0); /* replaces, counts no more */
	assert_int_equal(plane_rule_set(p, &b, &rule, NULL), 0);
	assert_int_equal(plane_rule_set(p, &c, &rule, NULL), 0);
	assert_int_equal(destination_of(p, &a).shapes, MCR_SHAPE_SGP | MCR_SHAPE_G);
	assert_int_equal(destination_of(p, &a).rules, 3);
	plane_rule_del(p, &a);
	plane_rule_del(p, &a); /* gone already: nothing to count down */
	assert_true(has_rule(p, a, 0));
	assert_false(has_rule(p, a, 1));
	assert_int_equal(destination_of(p, &a).rules, 2);
	plane_rule_del(p, &b);
	assert_false(has_rule(p, a, 0));
	assert_true(has_rule(p, c, 0));
	assert_int_equal(destination_of(p, &a).shapes, MCR_SHAPE_G);
	plane_rule_del(p, &c);
	assert_int_equal(map_entries(p->skel->maps.rules), 0);
	assert_int_equal(map_entries(p->skel->maps.destinations), 0);
	plane_close(p);
}

static void a_full_map_refuses_and_undoes(void **state)
{
	const struct mcr_rule rule = { .datapath = MCR_DP_AFXDP };
	struct plane *p = open_plane();
	struct diag d = { 0 };
	struct mcr_rule_key key;
	uint32_t i;

	for (i = 0; i < MCR_MAX_RULES; i++) {
		key = key_of(1, 0xef000000 + i, 0, 5001);
		assert_int_equal(plane_rule_set(p, &key, &rule, &d), 0);
	}
	key = key_of(1, 0xef000000 + i, 0, 5001);
	assert_int_equal(plane_rule_set(p, &key, &rule, &d), -E2BIG);
	assert_int_equal(d.code, E_LIMIT);
	assert_int_equal(map_entries(p->skel->maps.rules), 2 * MCR_MAX_RULES);
	for (i = 0; i < MCR_MAX_RULES; i++) {
		key = key_of(1, 0xef000000 + i, 0, 5001);
		plane_rule_del(p, &key);
	}
	assert_int_equal(map_entries(p->skel->maps.rules), 0);
	assert_int_equal(map_entries(p->skel->maps.destinations), 0);
	assert_null(p->counts);
	plane_close(p);
}

static void keys_that_no_rule_can_have_are_refused(void **state)
{
	const struct mcr_rule_key good = key_of(1, 0xef010101, 0, 5001);
	struct mcr_rule rule = { .datapath = MCR_DP_AFXDP };
	struct plane *p = open_plane();
	struct mcr_rule_key bad = good;

	bad.ifindex = 0;
	assert_int_equal(plane_rule_set(p, &bad, &rule, NULL), -EINVAL);
	bad = good;
	bad.protocol = 0;
	assert_int_equal(plane_rule_set(p, &bad, &rule, NULL), -EINVAL);
	rule.rule = MCR_MAX_RULES;
	assert_int_equal(plane_rule_set(p, &good, &rule, NULL), -EINVAL);
	assert_int_equal(plane_iface_set(p, 1, MCR_MAX_IFACES, "lo", 0, NULL), -EINVAL);
	assert_int_equal(map_entries(p->skel->maps.rules), 0);
	plane_close(p);
}

/* A packet socket with our filter, as main makes them for workers. */
static int packet_socket(struct plane *p, const char *name)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int filter = plane_packet_filter_fd(p), fd = socket(AF_PACKET, SOCK_RAW, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Sends `len` bytes of payload to 239.1.1.1, by the kernel cut into `segment` bytes if not 0. */
static void send_group(const char *from, size_t len, int segment)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(5001),
		.sin_addr.s_addr = inet_addr("239.1.1.1"),
	};
	struct ip_mreqn via = { .imr_ifindex = (int)if_nametoindex(from) };
	static const char payload[60000];
	int ttl = 8, fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &via, sizeof(via)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(sendto(fd, payload, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

/* Waits until a rule has `packets`, at most two seconds. */
static struct mcr_rule_stats await_packets(struct plane *p, uint32_t rule, uint64_t packets)
{
	struct mcr_rule_stats stats = { 0 };

	for (int i = 0; i < 200; i++) {
		assert_int_equal(plane_rule_stats(p, rule, &stats), 0);
		if (stats.packets >= packets)
			break;
		poll(NULL, 0, 10);
	}
	return stats;
}

static void receive_segmented(bool with_xdp)
{
	const struct mcr_rule_key key = key_of(if_nametoindex("v0"), 0xef010101, 0, 5001);
	const struct mcr_rule rule = { .rule = 9, .datapath = MCR_DP_AFPACKET };
	struct plane *p = open_plane();
	struct plane_attached info;
	struct mcr_rule_stats stats;
	struct mcr_verdicts v;
	int fd;

	assert_int_equal(plane_iface_set(p, key.ifindex, 2, "v0", 0, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	if (with_xdp)
		assert_int_equal(plane_attach(p, key.ifindex, "v0", &info, NULL), 0);
	fd = packet_socket(p, "v0");
	send_group("v1", 19900, 1000); /* 19 segments and a shorter one */
	stats = await_packets(p, 9, 20);
	assert_int_equal(stats.packets, 20);
	assert_int_equal(stats.bytes, 19900);
	assert_int_equal(plane_verdicts(p, 2, MCR_STAGE_PACKET, &v), 0);
	assert_int_equal(v.to_worker, 20);
	assert_int_equal(v.malformed, 0);
	if (with_xdp) {
		assert_int_equal(plane_verdicts(p, 2, MCR_STAGE_XDP, &v), 0);
		assert_int_equal(v.to_packet, 20);
	}
	plane_rows_fold(p, 2, 9, NULL, 0);
	assert_int_equal(plane_rule_stats(p, 9, &stats), 0);
	assert_int_equal(stats.packets + stats.last_seen_ns, 0);
	close(fd);
	plane_close(p);
}

static void a_segmenting_sender_is_counted_by_datagrams(void **state)
{
	receive_segmented(false);
	receive_segmented(true);
}

static void a_jumbo_datagram_passes_both_programs_whole(void **state)
{
	const struct mcr_rule_key key = key_of(if_nametoindex("j0"), 0xef010101, 0, 5001);
	const struct mcr_rule rule = { .rule = 9, .datapath = MCR_DP_AFPACKET };
	struct plane *p = open_plane();
	struct plane_attached info;
	struct mcr_verdicts v;
	int fd;

	assert_int_equal(plane_iface_set(p, key.ifindex, 2, "j0", 0, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	assert_int_equal(plane_attach(p, key.ifindex, "j0", &info, NULL), 0);
	assert_int_equal(info.mode, PLANE_NATIVE);
	fd = packet_socket(p, "j0");
	send_group("j1", 8972, 0);
	assert_int_equal(await_packets(p, 9, 1).bytes, 8972);
	assert_int_equal(plane_verdicts(p, 2, MCR_STAGE_XDP, &v), 0);
	assert_int_equal(v.to_packet, 1);
	assert_true(v.bytes >= 9014);
	close(fd);
	plane_close(p);
}

/* Puts a frame onto v1 as it is. */
static void send_raw(const void *frame, size_t len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("v1"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

/* The kernel takes the tag out of the frame before a packet socket's filter sees it. */
static void a_tag_that_the_kernel_took_off_is_seen_all_the_same(void **state)
{
	uint8_t frame[60] = { 1, 0, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 0, 0x45 };
	struct plane *p = open_plane();
	struct mcr_verdicts v = { 0 };
	int fd;

	assert_int_equal(plane_iface_set(p, if_nametoindex("v0"), 2, "v0", 0, NULL), 0);
	fd = packet_socket(p, "v0");
	send_raw(frame, sizeof(frame));
	for (int i = 0; i < 200 && !v.vlan; i++) {
		poll(NULL, 0, 10);
		assert_int_equal(plane_verdicts(p, 2, MCR_STAGE_PACKET, &v), 0);
	}
	assert_int_equal(v.vlan, 1);
	close(fd);
	plane_close(p);
}

/* What the host itself sends out of the interface is no ingress: not counted, not accepted. */
static void outgoing_frames_are_not_seen(void **state)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("v0"),
	};
	const uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
	struct plane *p = open_plane();
	struct mcr_verdicts v;
	int fd, out = socket(AF_PACKET, SOCK_RAW, 0);

	assert_true(out >= 0);
	assert_int_equal(plane_iface_set(p, if_nametoindex("v0"), 2, "v0", 0, NULL), 0);
	fd = packet_socket(p, "v0");
	assert_int_equal(sendto(out, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(frame));
	send_raw(frame, sizeof(frame)); /* the other way: this one is */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(plane_verdicts(p, 2, MCR_STAGE_PACKET, &v), 0);
		if (v.seen)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(v.seen, 1);
	assert_int_equal(v.not_ip4, 1);
	close(out);
	close(fd);
	plane_close(p);
}

/* No addresses by themselves, so that nothing but the test sends. */
static int setup(void **state)
{
	if (lab_enter())
		return -1;
	lab_sh("ip link add v0 type veth peer name v1");
	lab_sh("ip link add j0 mtu 9000 type veth peer name j1 mtu 9000");
	lab_sh("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 > /dev/null");
	lab_sh("ip addr add 198.18.0.2/24 dev v1; ip addr add 198.18.1.2/24 dev j1");
	lab_sh("ip link set lo up; ip link set v0 multicast off up; ip link set v1 up");
	lab_sh("ip link set j0 multicast off up; ip link set j1 up");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_that_is_in_use_is_not_mounted_over),
		cmocka_unit_test(without_privileges_the_reason_is_told),
		cmocka_unit_test(maps_are_pinned_while_open_and_gone_after),
		cmocka_unit_test(native_mode_is_had_on_veth_even_with_jumbo_mtu),
		cmocka_unit_test(generic_mode_says_why),
		cmocka_unit_test(an_interface_that_is_gone_is_named),
		cmocka_unit_test(a_foreign_program_is_named_and_left_alone),
		cmocka_unit_test(a_crash_leaves_a_link_that_is_taken_over_without_a_gap),
		cmocka_unit_test(a_leftover_in_generic_mode_is_attached_afresh),
		cmocka_unit_test(what_nobody_claims_is_swept),
		cmocka_unit_test(a_leftover_whose_interface_is_gone_does_not_hinder),
		cmocka_unit_test(a_renamed_interface_keeps_its_link),
		cmocka_unit_test(a_link_forced_off_is_noticed_and_can_be_put_back),
		cmocka_unit_test(shared_entries_live_as_long_as_the_last_rule),
		cmocka_unit_test(a_full_map_refuses_and_undoes),
		cmocka_unit_test(keys_that_no_rule_can_have_are_refused),
		cmocka_unit_test(a_segmenting_sender_is_counted_by_datagrams),
		cmocka_unit_test(a_jumbo_datagram_passes_both_programs_whole),
		cmocka_unit_test(a_tag_that_the_kernel_took_off_is_seen_all_the_same),
		cmocka_unit_test(outgoing_frames_are_not_seen),
	};
	const char *unfit = lab_unfit();

	if (unfit) {
		print_message("SKIPPED: %s\n", unfit);
		return LAB_SKIPPED;
	}
	return cmocka_run_group_tests_name("plane", tests, setup, NULL);
}
