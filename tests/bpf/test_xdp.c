/* SPDX-License-Identifier: MIT */
/*
 * The two BPF programs, one frame at a time by BPF_PROG_TEST_RUN: which verdict a frame meets, what
 * is done with it, and that each frame is counted exactly once.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "mcr/classify.h"
#include "plane/plane_impl.h"

#define SLOT   5
#define QUEUES 4

/* Instructions that the verifier walks through: a fifth above what they were when written. */
#define BUDGET_XDP    31100 /* most of it sums up a whole frame */
#define BUDGET_PACKET 3980

enum { TTL_RULE = 1, LOOP_RULE, PACKET_RULE, ESP_RULE, RULE_SGP = 10, RULE_SG, RULE_GP, RULE_G };

struct __attribute__((packed)) packet {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t payload[9000];
};

static struct plane *plane;
static uint32_t in_iface, other_iface, stray_iface;

static const char *const verdict_names[] = {
#define X(name, action, text) #name,
	MCR_VERDICTS(X)
#undef X
};

enum { DOES_PASS, DOES_DROP, DOES_RELAY };
static const int verdict_actions[] = {
#define X(name, action, text) DOES_##action,
	MCR_VERDICTS(X)
#undef X
};

static struct mcr_rule_key key_of(uint32_t ifindex, const char *group, const char *source,
				  uint16_t port)
{
	struct mcr_rule_key key = { .ifindex = ifindex, .port = port, .protocol = IPPROTO_UDP };

	assert_int_equal(inet_pton(AF_INET, group, key.group), 1);
	assert_int_equal(inet_pton(AF_INET, source, key.source), 1);
	return key;
}

static void rule_add(const struct mcr_rule_key *key, uint32_t index, enum mcr_datapath dp,
		     bool accept_ttl1)
{
	const struct mcr_rule rule = {
		.rule = index,
		.datapath = (uint8_t)dp,
		.accept_ttl1 = accept_ttl1,
		.outputs = 1,
	};

	assert_int_equal(plane_rule_set(plane, key, &rule, NULL), 0);
}

/* A datagram for the rule on 239.1.1.1; `len` becomes the length of its frame. */
static struct packet usual(size_t payload, size_t *len)
{
	struct packet p = {
		.eth = { .h_dest = { 1, 0, 0x5e, 1, 1, 1 }, .h_proto = htons(ETH_P_IP) },
		.ip = {
			.version = 4,
			.ihl = 5,
			.ttl = 8,
			.protocol = IPPROTO_UDP,
			.tot_len = htons((uint16_t)(28 + payload)),
			.saddr = inet_addr("198.18.0.1"),
			.daddr = inet_addr("239.1.1.1"),
		},
		.udp = {
			.source = htons(4000),
			.dest = htons(5001),
			.len = htons((uint16_t)(8 + payload)),
		},
	};

	*len = MCR_HDR_UDP + payload;
	return p;
}

static int run_xdp(const void *frame, size_t len, uint32_t ifindex, uint32_t queue)
{
	struct xdp_md ctx = {
		.data_end = (uint32_t)len,
		.ingress_ifindex = ifindex,
		.rx_queue_index = queue,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(plane->skel->progs.mcr_xdp), &opts),
			 0);
	return (int)opts.retval;
}

/* The kernel takes 14 bytes off in front of what a socket filter sees: give it 14 to take. */
static int run_packet(const void *frame, size_t len, uint32_t ifindex, uint32_t gso_segs,
		      uint32_t gso_size)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .gso_segs = gso_segs, .gso_size = gso_size };
	uint8_t data[ETH_HLEN + sizeof(struct packet)] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data,
		    .data_size_in = (uint32_t)(ETH_HLEN + len), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	memcpy(data + ETH_HLEN, frame, len);
	assert_int_equal(bpf_prog_test_run_opts(plane_packet_filter_fd(plane), &opts), 0);
	return (int)opts.retval;
}

static struct mcr_verdicts totals(enum mcr_stage stage)
{
	struct mcr_verdicts v;

	assert_int_equal(plane_verdicts(plane, SLOT, stage, &v), 0);
	return v;
}

static uint64_t sum(const struct mcr_verdicts *v)
{
	uint64_t n = 0;

	for (int i = 0; i < MCR_V__COUNT; i++)
		n += (&v->not_ip4)[i];
	return n;
}

/* The one verdict by which `now` is `units` ahead of `before`; fails unless it is just one. */
static int verdict_between(const struct mcr_verdicts *before, const struct mcr_verdicts *now,
			   uint64_t units)
{
	int found = -1;

	assert_int_equal(now->seen, before->seen + units);
	assert_int_equal(sum(now), sum(before) + units);
	for (int i = 0; i < MCR_V__COUNT; i++) {
		if ((&now->not_ip4)[i] == (&before->not_ip4)[i] + units)
			found = i;
	}
	assert_int_not_equal(found, -1);
	return found;
}

/* Gives a frame to the XDP program; checks that what it does is what its verdict says. */
static int xdp_verdict(const void *frame, size_t len)
{
	struct mcr_verdicts before = totals(MCR_STAGE_XDP), now;
	int action = run_xdp(frame, len, in_iface, 0), verdict;

	now = totals(MCR_STAGE_XDP);
	verdict = verdict_between(&before, &now, 1);
	assert_int_equal(now.bytes, before.bytes + len);
	if (verdict == MCR_V_to_worker)
		assert_int_equal(action, XDP_REDIRECT);
	else
		assert_int_equal(action,
				 verdict_actions[verdict] == DOES_DROP ? XDP_DROP : XDP_PASS);
	return verdict;
}

static int packet_verdict(const void *frame, size_t len)
{
	struct mcr_verdicts before = totals(MCR_STAGE_PACKET), now;
	int accepted = run_packet(frame, len, in_iface, 0, 0), verdict;

	now = totals(MCR_STAGE_PACKET);
	verdict = verdict_between(&before, &now, 1);
	assert_int_equal(now.to_worker_skbs - before.to_worker_skbs, verdict == MCR_V_to_worker);
	assert_int_equal(accepted, verdict == MCR_V_to_worker ? (int)len : 0);
	return verdict;
}

/* A verdict that does not depend on who looks. */
static void expect(const void *frame, size_t len, enum mcr_verdict verdict)
{
	assert_string_equal(verdict_names[xdp_verdict(frame, len)], verdict_names[verdict]);
	assert_string_equal(verdict_names[packet_verdict(frame, len)], verdict_names[verdict]);
}

/* The frame reaches the AF_XDP rule; no socket is there to take it. */
static void expect_match(const void *frame, size_t len)
{
	expect(frame, len, MCR_V_no_worker);
}

static struct mcr_rule_stats stats_of(uint32_t rule)
{
	struct mcr_rule_stats stats;

	assert_int_equal(plane_rule_stats(plane, rule, &stats), 0);
	return stats;
}

/* Which of two rules has counted a frame that no worker took. */
static void expect_rule(const void *frame, size_t len, uint32_t rule)
{
	uint64_t before = stats_of(rule).no_worker;

	expect_match(frame, len);
	assert_int_equal(stats_of(rule).no_worker, before + 1);
}

static uint32_t program_insns(const struct bpf_program *prog)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len), 0);
	print_message("%s: %u instructions verified, %u translated, %u bytes of code\n", info.name,
		      info.verified_insns, info.xlated_prog_len / 8, info.jited_prog_len);
	return info.verified_insns;
}

static void programs_stay_within_their_verifier_budget(void **state)
{
	assert_in_range(program_insns(plane->skel->progs.mcr_xdp), 1, BUDGET_XDP);
	assert_in_range(program_insns(plane->skel->progs.mcr_packet), 1, BUDGET_PACKET);
}

static void what_rules_cannot_name_passes_to_the_host(void **state)
{
	size_t len;
	struct packet p = usual(100, &len);

	p.eth.h_proto = htons(ETH_P_IPV6);
	expect(&p, len, MCR_V_not_ip4);
	p.eth.h_proto = htons(ETH_P_ARP);
	expect(&p, len, MCR_V_not_ip4);
	p = usual(100, &len);
	p.ip.protocol = IPPROTO_TCP;
	expect(&p, len, MCR_V_not_relayed);
	p = usual(100, &len);
	p.ip.daddr = inet_addr("239.1.1.2");
	expect(&p, len, MCR_V_no_rule);
	p = usual(100, &len);
	p.ip.protocol = IPPROTO_ESP; /* the destination is known, this protocol there is not */
	expect(&p, len, MCR_V_no_rule);
}

static void control_traffic_passes_even_where_a_rule_would_match(void **state)
{
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.protocol = IPPROTO_IGMP;
	expect(&p, len, MCR_V_control);
	p.ip.protocol = IPPROTO_PIM;
	expect(&p, len, MCR_V_control);
	p = usual(100, &len);
	p.ip.daddr = inet_addr("224.0.0.251");
	expect(&p, len, MCR_V_control);
	p.ip.daddr = inet_addr("224.0.1.0"); /* the first group that is not link-local */
	expect(&p, len, MCR_V_no_rule);
}

static void tagged_frames_pass_however_many_tags(void **state)
{
	size_t len;
	struct packet p = usual(100, &len);
	uint8_t tagged[sizeof(p) + 8];

	expect_match(&p, len);
	for (size_t tags = 1; tags <= 2; tags++) {
		memcpy(tagged, &p, 12);
		for (size_t i = 0; i < tags; i++)
			memcpy(tagged + 12 + 4 * i, i + 1 < tags ? "\x88\xa8\0\5" : "\x81\0\0\7",
			       4);
		memcpy(tagged + 12 + 4 * tags, (uint8_t *)&p + 12, len - 12);
		expect(tagged, len + 4 * tags, MCR_V_vlan);
	}
}

static void options_pass_to_the_host_for_a_relayed_address(void **state)
{
	size_t len;
	struct packet p = usual(100, &len);

	for (unsigned ihl = 6; ihl <= 15; ihl++) {
		p.ip.ihl = ihl & 15;
		expect(&p, len, MCR_V_ip_options);
	}
	p.ip.daddr = inet_addr("239.1.1.2");
	expect(&p, len, MCR_V_no_rule);
}

static void headers_that_contradict_the_frame_are_dropped(void **state)
{
	static const int ip_lens[] = { 0, 19, 20, 27, 129, 65535 };
	static const int udp_lens[] = { 0, 7, 8, 107, 109, 65535 };
	size_t len;
	struct packet p;

	for (unsigned version = 0; version < 16; version++) {
		p = usual(100, &len);
		p.ip.version = version & 15;
		expect(&p, len, version == 4 ? MCR_V_no_worker : MCR_V_malformed);
	}
	for (unsigned ihl = 0; ihl < 5; ihl++) {
		p = usual(100, &len);
		p.ip.ihl = ihl & 15;
		expect(&p, len, MCR_V_malformed);
	}
	for (size_t i = 0; i < sizeof(ip_lens) / sizeof(*ip_lens); i++) {
		p = usual(100, &len);
		p.ip.tot_len = htons((uint16_t)ip_lens[i]);
		expect(&p, len, MCR_V_malformed);
	}
	for (size_t i = 0; i < sizeof(udp_lens) / sizeof(*udp_lens); i++) {
		p = usual(100, &len);
		p.udp.len = htons((uint16_t)udp_lens[i]);
		expect(&p, len, MCR_V_malformed);
	}
	p = usual(0, &len); /* no payload at all is fine, with Ethernet's padding too */
	expect_match(&p, len);
	expect_match(&p, 60);
}

static void a_frame_cut_anywhere_in_its_headers_is_not_relayed(void **state)
{
	size_t whole;
	struct packet p = usual(100, &whole);

	for (size_t len = ETH_HLEN; len < whole; len++) /* the kernel gives XDP no less */
		assert_int_equal(xdp_verdict(&p, len), MCR_V_malformed);
	for (size_t len = 1; len < whole; len++)
		assert_int_equal(packet_verdict(&p, len),
				 len < ETH_HLEN ? MCR_V_not_ip4 : MCR_V_malformed);
	expect_match(&p, whole);
}

/* With an exact copy in allocated memory, so that the address sanitizer sees a read too far. */
static void the_classifier_reads_nothing_behind_the_end(void **state)
{
	size_t whole;
	struct packet p = usual(0, &whole);

	for (size_t len = 0; len <= whole; len++) {
		struct mcr_flow flow = { 0 };
		uint8_t *copy = malloc(len ? len : 1);
		int l3, l4;

		assert_non_null(copy);
		memcpy(copy, &p, len);
		l3 = mcr_classify_l3(copy, copy + len, &flow);
		l4 = mcr_classify_l4(copy, copy + len, (uint32_t)len, &flow);
		free(copy);
		assert_int_equal(l3, len < ETH_HLEN ? MCR_V_not_ip4
				     : len < 34	    ? MCR_V_malformed
						    : MCR_V__COUNT);
		assert_int_equal(l4, len < whole ? MCR_V_malformed : MCR_V__COUNT);
	}
}

static void fragments_of_a_relayed_address_are_dropped(void **state)
{
	static const uint16_t offsets[] = { 0x2000, 0x2001, 0x0001, 0x1fff, 0x3fff };
	size_t len;
	struct packet p = usual(100, &len);

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		p.ip.frag_off = htons(offsets[i]);
		expect(&p, len, MCR_V_fragment);
	}
	p.ip.frag_off = htons(0x4000); /* DF alone */
	expect_match(&p, len);
	p.ip.frag_off = htons(0x2000);
	p.ip.daddr = inet_addr("239.1.1.2");
	expect(&p, len, MCR_V_no_rule);
}

static void a_source_that_is_no_unicast_address_is_dropped(void **state)
{
	static const char *const bad[] = { "0.0.0.0",	"0.1.2.3",   "127.0.0.1",
					   "224.0.0.1", "239.1.1.1", "255.255.255.255" };
	size_t len;
	struct packet p = usual(100, &len);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p.ip.saddr = inet_addr(bad[i]);
		expect(&p, len, MCR_V_bad_source);
	}
	p.ip.saddr = inet_addr("223.255.255.255");
	expect_match(&p, len);
}

static void ttl_1_and_0_end_here_unless_the_rule_takes_them(void **state)
{
	const struct mcr_rule_stats before = stats_of(TTL_RULE);
	size_t len;
	struct packet p = usual(100, &len);

	for (int ttl = 0; ttl < 256; ttl++) {
		p.ip.ttl = (uint8_t)ttl;
		expect(&p, len, ttl <= 1 ? MCR_V_ttl : MCR_V_no_worker);
	}
	assert_int_equal(stats_of(TTL_RULE).ttl - before.ttl, 4); /* both stages */
	assert_int_equal(stats_of(TTL_RULE).no_worker - before.no_worker, 254);
	assert_int_equal(stats_of(TTL_RULE).packets, before.packets);
	p.ip.daddr = inet_addr("239.1.1.10");
	for (int ttl = 0; ttl < 3; ttl++) {
		p.ip.ttl = (uint8_t)ttl;
		expect_match(&p, len);
	}
}

static void own_frames_are_never_taken_by_a_rule_that_accepts_ttl_1(void **state)
{
	const struct ip4 own = { inet_addr("198.18.0.1") };
	const uint64_t before = stats_of(LOOP_RULE).loop;
	size_t len;
	struct packet p = usual(100, &len);

	assert_int_equal(plane_local_add(plane, own), 0);
	expect_match(&p, len); /* a rule that decrements needs no guard */
	p.ip.daddr = inet_addr("239.1.1.10");
	expect(&p, len, MCR_V_loop);
	p.ip.ttl = 1;
	expect(&p, len, MCR_V_loop);
	assert_int_equal(stats_of(LOOP_RULE).loop - before, 4);
	plane_local_del(plane, own);
	expect_match(&p, len);
}

static void a_flow_known_elsewhere_came_the_wrong_way(void **state)
{
	struct mcr_rule_key key = key_of(other_iface, "239.1.1.20", "198.18.0.1", 5001);
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.20");
	expect(&p, len, MCR_V_no_rule);
	rule_add(&key, 20, MCR_DP_AFXDP, false);
	expect(&p, len, MCR_V_wrong_iif);
	assert_int_equal(stats_of(20).wrong_iif, 2);
	assert_int_equal(stats_of(20).last_seen_ns, 0);
	p.udp.dest = htons(5002); /* no rule anywhere for this port */
	expect(&p, len, MCR_V_no_rule);
	p.udp.dest = htons(5001);
	p.ip.saddr = inet_addr("198.18.0.2");
	expect(&p, len, MCR_V_no_rule);
	p.ip.saddr = inet_addr("198.18.0.1");
	p.ip.ttl = 1; /* the interface is the graver fault */
	expect(&p, len, MCR_V_wrong_iif);
	plane_rule_del(plane, &key);
	expect(&p, len, MCR_V_no_rule);
}

/* One of the rules for the flow counts what comes in where none of them is. */
static void a_wrong_way_is_counted_by_a_rule_that_is_there(void **state)
{
	struct mcr_rule_key keys[2] = { key_of(other_iface, "239.1.1.21", "0.0.0.0", 0),
					key_of(stray_iface, "239.1.1.21", "0.0.0.0", 0) };
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.21");
	rule_add(&keys[0], 21, MCR_DP_AFXDP, false);
	rule_add(&keys[1], 22, MCR_DP_AFXDP, false);
	expect(&p, len, MCR_V_wrong_iif);
	assert_int_equal(stats_of(21).wrong_iif, 2);
	rule_add(&keys[0], 23, MCR_DP_AFXDP, false); /* another row */
	expect(&p, len, MCR_V_wrong_iif);
	assert_int_equal(stats_of(23).wrong_iif, 2);
	plane_rule_del(plane, &keys[0]);
	expect(&p, len, MCR_V_wrong_iif);
	assert_int_equal(stats_of(22).wrong_iif, 2);
	plane_rule_del(plane, &keys[1]);
	expect(&p, len, MCR_V_no_rule);
	assert_int_equal(stats_of(21).wrong_iif, 2);
}

static void a_route_without_outputs_drops(void **state)
{
	struct mcr_rule_key star = key_of(in_iface, "239.1.1.22", "0.0.0.0", 0);
	struct mcr_rule_key source = key_of(in_iface, "239.1.1.22", "198.18.0.1", 0);
	struct mcr_rule guard = { .rule = 26, .datapath = MCR_DP_DROP, .flags = MCR_RULE_GUARD };
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.22");
	rule_add(&source, 24, MCR_DP_DROP, false);
	expect(&p, len, MCR_V_pruned);
	rule_add(&star, 25, MCR_DP_AFXDP, false); /* nothing falls through to it */
	expect(&p, len, MCR_V_pruned);
	assert_int_equal(stats_of(24).pruned, 4);
	assert_true(stats_of(24).last_seen_ns > 0);
	p.ip.ttl = 1;
	expect(&p, len, MCR_V_pruned);
	p.ip.ttl = 8;
	p.ip.saddr = inet_addr("198.18.0.2");
	expect_rule(&p, len, 25);
	p.ip.saddr = inet_addr("198.18.0.1");
	assert_int_equal(plane_rule_set(plane, &source, &guard, NULL), 0);
	expect(&p, len, MCR_V_wrong_iif);
	assert_int_equal(stats_of(26).wrong_iif, 2);
	assert_int_equal(stats_of(26).last_seen_ns, 0);
	plane_rule_del(plane, &source);
	expect_rule(&p, len, 25);
	plane_rule_del(plane, &star);
}

/* --- what is told ------------------------------------------------------------------------------
 */

static struct mcr_punt told[16];
static unsigned n_told;

static void on_told(void *arg, const struct mcr_punt *punt)
{
	assert_in_range(n_told, 0, 15);
	told[n_told++] = *punt;
}

/* What there is to read; the record is told[0]. */
static unsigned told_now(void)
{
	n_told = 0;
	plane_punts(plane, 16, on_told, NULL);
	return n_told;
}

/* One stage tells of what comes in at in_iface from now on, and knows of nothing before. */
static void listen_by(enum mcr_stage stage)
{
	int fd = bpf_map__fd(plane->skel->maps.punted);
	struct mcr_punted_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	assert_int_equal(plane_iface_set(plane, in_iface, SLOT, "in0", 1u << stage, NULL), 0);
	assert_int_equal(told_now(), 0);
}

static void listen_no_more(void)
{
	assert_int_equal(plane_iface_set(plane, in_iface, SLOT, "in0", 0, NULL), 0);
}

static void run_both(const struct packet *p, size_t len)
{
	run_xdp(p, len, in_iface, 0);
	run_packet(p, len, in_iface, 0, 0);
}

static void expect_told(enum mcr_punt_kind kind, const struct packet *p)
{
	assert_int_equal(told_now(), 1);
	assert_int_equal(told[0].kind, kind);
	assert_int_equal(told[0].ifindex, in_iface);
	assert_memory_equal(told[0].group, &p->ip.daddr, 4);
	assert_memory_equal(told[0].source, &p->ip.saddr, 4);
	assert_int_equal(told[0].sport, 4000);
	assert_int_equal(told[0].dport, 5001);
	assert_int_equal(told[0].ttl, p->ip.ttl);
	assert_int_equal(told[0].ip_len, ntohs(p->ip.tot_len));
	assert_true(told[0].time_ns > 0);
	assert_int_equal(told[0].packets, 1);
	assert_int_equal(told[0].bytes, 100);
}

static void each_kind_is_told_once_by_the_stage_that_is_to(void **state)
{
	struct mcr_rule_key elsewhere = key_of(other_iface, "239.1.1.81", "0.0.0.0", 0);
	struct mcr_rule_key star = key_of(in_iface, "239.1.1.82", "0.0.0.0", 0);
	struct mcr_rule rule = { .rule = 82, .datapath = MCR_DP_AFXDP, .flags = MCR_RULE_TELLS };
	size_t len;
	struct packet p = usual(100, &len);

	rule_add(&elsewhere, 81, MCR_DP_AFXDP, false);
	assert_int_equal(plane_rule_set(plane, &star, &rule, NULL), 0);
	for (enum mcr_stage stage = 0; stage < MCR_STAGE__COUNT; stage++) {
		listen_by(stage);
		p.ip.daddr = inet_addr("239.1.1.80");
		run_both(&p, len);
		expect_told(MCR_PUNT_no_rule, &p);
		run_both(&p, len);
		assert_int_equal(told_now(), 0);
		p.ip.daddr = inet_addr("239.1.1.81");
		run_both(&p, len);
		expect_told(MCR_PUNT_wrong_iif, &p);
		p.ip.daddr = inet_addr("239.1.1.82");
		run_both(&p, len);
		expect_told(MCR_PUNT_source, &p);
		p.ip.saddr = inet_addr("198.18.0.9");
		run_both(&p, len);
		expect_told(MCR_PUNT_source, &p);
		p.ip.saddr = inet_addr("198.18.0.1");
	}
	listen_no_more();
	p.ip.daddr = inet_addr("239.1.1.83");
	run_both(&p, len);
	assert_int_equal(told_now(), 0);
	plane_rule_del(plane, &elsewhere);
	plane_rule_del(plane, &star);
}

static void what_no_route_can_carry_is_not_told(void **state)
{
	size_t len;
	struct packet good = usual(100, &len), p = good;

	good.ip.daddr = inet_addr("239.1.1.84");
	listen_by(MCR_STAGE_XDP);
	p = good;
	p.ip.daddr = inet_addr("198.18.9.9"); /* no group */
	run_both(&p, len);
	p.ip.daddr = inet_addr("224.0.0.5"); /* link-local */
	run_both(&p, len);
	p.ip.daddr = inet_addr("240.0.0.1");
	run_both(&p, len);
	p = good;
	p.ip.ttl = 1;
	run_both(&p, len);
	p = good;
	p.ip.saddr = inet_addr("0.0.0.0");
	run_both(&p, len);
	p = good;
	p.ip.frag_off = htons(0x2000);
	run_both(&p, len);
	p = good;
	p.ip.protocol = IPPROTO_ESP;
	run_both(&p, len);
	p = good;
	p.udp.len = htons(9);
	run_both(&p, len);
	run_both(&good, MCR_HDR_IP); /* cut */
	assert_int_equal(told_now(), 0);
	run_both(&good, len);
	expect_told(MCR_PUNT_no_rule, &good);
	listen_no_more();
}

/* As many as a CPU may tell at once, and no more; the rest is counted, and nothing is lost. */
static void a_flood_of_sources_is_bounded(void **state)
{
	struct mcr_punt_stats before, now;
	unsigned n = 3 * MCR_PUNTS_BURST, n_read = 0;
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.85");
	listen_by(MCR_STAGE_XDP);
	plane_punt_stats(plane, &before);
	for (unsigned i = 0; i < n; i++) {
		p.ip.saddr = htonl(0xc6120100 + i);
		run_xdp(&p, len, in_iface, 0);
	}
	run_xdp(&p, len, in_iface, 0);
	plane_punt_stats(plane, &now);
	for (unsigned i; (i = (n_told = 0, plane_punts(plane, 16, on_told, NULL)));)
		n_read += i;
	assert_int_equal(n_read, now.no_rule.told - before.no_rule.told);
	assert_int_equal(now.no_rule.told - before.no_rule.told + now.no_rule.repeated -
				 before.no_rule.repeated + now.no_rule.limited -
				 before.no_rule.limited + now.no_rule.full - before.no_rule.full,
			 n + 1);
	assert_true(n_read >= MCR_PUNTS_BURST / 2);
	assert_true(now.no_rule.limited > before.no_rule.limited);
	listen_no_more();
}

/* Nobody reads: what does not fit is counted, and there is a record again when there is room. */
static void a_full_ring_is_counted(void **state)
{
	const unsigned fits = MCR_EVENTS_BYTES / (sizeof(struct mcr_punt) + 8);
	int fd = bpf_map__fd(plane->skel->maps.punt_stats);
	struct mcr_punt_stats stats, *rows = calloc((size_t)plane->n_cpus, sizeof(*rows));
	uint32_t zero = 0;
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.86");
	listen_by(MCR_STAGE_XDP);
	for (unsigned i = 0; i <= fits; i++) {
		if (i % MCR_PUNTS_BURST == 0) /* tokens for all */
			assert_int_equal(bpf_map_update_elem(fd, &zero, rows, BPF_ANY), 0);
		p.ip.saddr = htonl(0xc6130000 + i);
		run_xdp(&p, len, in_iface, 0);
	}
	plane_punt_stats(plane, &stats);
	assert_in_range(stats.no_rule.full, 1, 2);
	while ((n_told = 0, plane_punts(plane, 16, on_told, NULL)))
		;
	p.ip.saddr = inet_addr("198.19.255.255");
	run_xdp(&p, len, in_iface, 0);
	expect_told(MCR_PUNT_no_rule, &p);
	listen_no_more();
	free(rows);
}

static void the_most_specific_rule_wins(void **state)
{
	const struct mcr_rule_key keys[] = {
		key_of(in_iface, "239.1.1.30", "198.18.0.1", 5001),
		key_of(in_iface, "239.1.1.30", "198.18.0.1", 0),
		key_of(in_iface, "239.1.1.30", "0.0.0.0", 5001),
		key_of(in_iface, "239.1.1.30", "0.0.0.0", 0),
	};
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.30");
	for (int i = 3; i >= 0; i--) {
		rule_add(&keys[i], RULE_SGP + (uint32_t)i, MCR_DP_AFXDP, false);
		expect_rule(&p, len, RULE_SGP + (uint32_t)i);
	}
	p.udp.dest = htons(5002);
	expect_rule(&p, len, RULE_SG);
	p.ip.saddr = inet_addr("198.18.0.2");
	expect_rule(&p, len, RULE_G);
	p.udp.dest = htons(5001);
	expect_rule(&p, len, RULE_GP);
	p.ip.saddr = inet_addr("198.18.0.1");
	for (int i = 0; i < 4; i++) {
		expect_rule(&p, len, RULE_SGP + (uint32_t)i);
		plane_rule_del(plane, &keys[i]);
	}
	expect(&p, len, MCR_V_no_rule);
}

static void rules_on_two_interfaces_are_told_apart(void **state)
{
	struct mcr_rule_key here = key_of(in_iface, "239.1.1.31", "0.0.0.0", 0);
	struct mcr_rule_key there = key_of(other_iface, "239.1.1.31", "0.0.0.0", 0);
	size_t len;
	struct packet p = usual(100, &len);
	uint64_t before;

	p.ip.daddr = inet_addr("239.1.1.31");
	rule_add(&here, 31, MCR_DP_AFXDP, false);
	rule_add(&there, 32, MCR_DP_AFXDP, false);
	expect_rule(&p, len, 31);
	before = stats_of(32).no_worker;
	run_xdp(&p, len, other_iface, 0);
	assert_int_equal(stats_of(32).no_worker, before + 1);
	plane_rule_del(plane, &here);
	expect(&p, len, MCR_V_wrong_iif);
	plane_rule_del(plane, &there);
	expect(&p, len, MCR_V_no_rule);
}

static void a_unicast_destination_is_relayed_like_a_group(void **state)
{
	struct mcr_rule_key key = key_of(in_iface, "198.18.0.2", "0.0.0.0", 5001);
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("198.18.0.2");
	expect(&p, len, MCR_V_no_rule);
	rule_add(&key, 33, MCR_DP_AFXDP, false);
	expect_rule(&p, len, 33);
	plane_rule_del(plane, &key);
}

static void esp_is_matched_without_a_port(void **state)
{
	struct mcr_rule_stats before = stats_of(ESP_RULE), now;
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.50");
	expect(&p, len, MCR_V_no_rule); /* as UDP */
	p.ip.protocol = IPPROTO_ESP;
	p.udp.len = 0; /* part of its payload */
	assert_int_equal(packet_verdict(&p, len), MCR_V_to_worker);
	now = stats_of(ESP_RULE);
	assert_int_equal(now.packets - before.packets, 1);
	assert_int_equal(now.bytes - before.bytes, 108);
	p.ip.tot_len = htons(20); /* shorter than a UDP header is fine */
	assert_int_equal(packet_verdict(&p, 34), MCR_V_to_worker);
	assert_int_equal(stats_of(ESP_RULE).bytes - now.bytes, 0);
}

static void a_worker_is_served_by_queue_and_slot_only(void **state)
{
	const struct mcr_rule_stats before = stats_of(TTL_RULE);
	int xsk = socket(AF_XDP, SOCK_RAW, 0);
	size_t len;
	struct packet p = usual(100, &len);

	assert_true(xsk >= 0);
	assert_int_equal(xdp_verdict(&p, len), MCR_V_no_worker);
	assert_int_equal(plane_xsk_set(plane, SLOT, 1, xsk, NULL), 0);
	assert_int_equal(xdp_verdict(&p, len), MCR_V_no_worker);
	assert_int_equal(run_xdp(&p, len, in_iface, 1), XDP_REDIRECT);
	assert_int_equal(plane_xsk_set(plane, SLOT, 0, xsk, NULL), 0);
	assert_int_equal(xdp_verdict(&p, len), MCR_V_to_worker);
	assert_int_equal(stats_of(TTL_RULE).packets - before.packets, 2);
	assert_int_equal(stats_of(TTL_RULE).bytes - before.bytes, 200);
	assert_int_equal(stats_of(TTL_RULE).no_worker - before.no_worker, 2);
	assert_true(stats_of(TTL_RULE).last_seen_ns > 0);
	plane_xsk_del(plane, SLOT, 0);
	assert_int_equal(xdp_verdict(&p, len), MCR_V_no_worker);
	close(xsk); /* empties the other entry too */
	assert_int_equal(run_xdp(&p, len, in_iface, 1), XDP_PASS);
	assert_int_equal(plane_xsk_set(plane, MCR_MAX_IFACES, 0, 0, NULL), -EINVAL);
	assert_int_equal(plane_xsk_set(plane, 0, MCR_MAX_QUEUES, 0, NULL), -EINVAL);
}

static void queues_beyond_the_map_do_not_reach_the_next_slot(void **state)
{
	int xsk = socket(AF_XDP, SOCK_RAW, 0);
	uint32_t many = if_nametoindex("many0");
	size_t len;
	struct packet p = usual(100, &len);
	struct mcr_rule_key key = key_of(many, "239.1.1.1", "0.0.0.0", 0);

	assert_true(xsk >= 0);
	assert_int_equal(plane_iface_set(plane, many, 40, "many0", 0, NULL), 0);
	rule_add(&key, 40, MCR_DP_AFXDP, false);
	assert_int_equal(plane_xsk_set(plane, 41, 0, xsk, NULL), 0);
	assert_int_equal(plane_xsk_set(plane, 40, MCR_MAX_QUEUES - 1, xsk, NULL), 0);
	assert_int_equal(run_xdp(&p, len, many, MCR_MAX_QUEUES - 1), XDP_REDIRECT);
	assert_int_equal(run_xdp(&p, len, many, MCR_MAX_QUEUES), XDP_PASS);
	assert_int_equal(stats_of(40).no_worker, 1);
	plane_rule_del(plane, &key);
	plane_iface_del(plane, many);
	close(xsk);
}

static void a_packet_socket_takes_only_what_rules_give_it(void **state)
{
	struct mcr_rule_stats before = stats_of(PACKET_RULE), now;
	size_t len;
	struct packet p = usual(100, &len);

	p.ip.daddr = inet_addr("239.1.1.40");
	assert_int_equal(xdp_verdict(&p, len), MCR_V_to_packet);
	assert_int_equal(stats_of(PACKET_RULE).packets, before.packets); /* not yet */
	assert_int_equal(packet_verdict(&p, len), MCR_V_to_worker);
	now = stats_of(PACKET_RULE);
	assert_int_equal(now.packets - before.packets, 1);
	assert_int_equal(now.bytes - before.bytes, 100);
}

/* One buffer, many datagrams: `units` and rule counters are in datagrams, and all of it goes on. */
static void expect_segments(uint32_t gso_segs, uint32_t gso_size, uint64_t datagrams)
{
	const struct mcr_verdicts before = totals(MCR_STAGE_PACKET);
	const struct mcr_rule_stats rule = stats_of(PACKET_RULE);
	struct mcr_verdicts now;
	size_t len;
	struct packet p = usual(3000, &len);

	p.ip.daddr = inet_addr("239.1.1.40");
	assert_int_equal(run_packet(&p, len, in_iface, gso_segs, gso_size), len);
	now = totals(MCR_STAGE_PACKET);
	assert_int_equal(verdict_between(&before, &now, datagrams), MCR_V_to_worker);
	assert_int_equal(now.to_worker_skbs - before.to_worker_skbs, 1);
	assert_int_equal(stats_of(PACKET_RULE).packets - rule.packets, datagrams);
	assert_int_equal(stats_of(PACKET_RULE).bytes - rule.bytes, 3000);
}

static void merged_datagrams_are_counted_one_by_one(void **state)
{
	expect_segments(0, 0, 1);
	expect_segments(5, 1000, 5); /* the kernel's own count is believed */
	expect_segments(0, 1000, 3);
	expect_segments(0, 2999, 2);
	expect_segments(0, 3000, 1);
	expect_segments(0, 65535, 1);
	expect_segments(0, 1, 3000);
}

static void jumbo_frames_in_fragments_are_matched(void **state)
{
	size_t len;
	struct packet p = usual(8958, &len);

	assert_int_equal(len, 9000);
	assert_int_equal(xdp_verdict(&p, len), MCR_V_no_worker);
	p.ip.tot_len = htons(8987); /* one more than there is */
	assert_int_equal(xdp_verdict(&p, len), MCR_V_malformed);
}

static void frames_of_a_stranger_interface_are_not_counted(void **state)
{
	struct mcr_verdicts before[2] = { totals(0), totals(1) };
	struct mcr_verdicts now[2];
	size_t len;
	struct packet p = usual(100, &len);

	assert_int_equal(run_xdp(&p, len, stray_iface, 0), XDP_PASS);
	assert_int_equal(run_packet(&p, len, stray_iface, 0, 0), 0);
	now[0] = totals(0);
	now[1] = totals(1);
	assert_memory_equal(before, now, sizeof(before));
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* A frame that is nearly right: a good one with up to four bytes of its headers changed, cut. */
static size_t random_frame(uint32_t *seed, struct packet *p)
{
	static const char *const groups[] = { "239.1.1.1", "239.1.1.10", "239.1.1.40",
					      "239.1.1.2" };
	size_t len;

	*p = usual(random_next(seed) % 200, &len);
	p->ip.daddr = inet_addr(groups[random_next(seed) % 4]);
	for (uint32_t n = random_next(seed) % 5; n > 0; n--)
		((uint8_t *)p)[random_next(seed) % MCR_HDR_UDP] = (uint8_t)random_next(seed);
	if (random_next(seed) % 8 == 0)
		len = ETH_HLEN + random_next(seed) % (len - ETH_HLEN + 40);
	return len;
}

static void each_of_many_random_frames_is_counted_once(void **state)
{
	struct mcr_rule_key elsewhere = key_of(other_iface, "239.1.1.2", "0.0.0.0", 5001);
	struct mcr_verdicts before[2] = { totals(0), totals(1) };
	int xsk = socket(AF_XDP, SOCK_RAW, 0);
	uint64_t frames = 100000, bytes = 0;
	uint32_t seed = 20220101;
	struct packet p;

	assert_int_equal(plane_xsk_set(plane, SLOT, 1, xsk, NULL), 0);
	rule_add(&elsewhere, 60, MCR_DP_AFXDP, false);
	for (uint64_t i = 0; i < frames; i++) {
		size_t len = random_frame(&seed, &p);

		bytes += len;
		assert_in_range(run_xdp(&p, len, in_iface, i & 1), XDP_DROP, XDP_REDIRECT);
		assert_in_range(run_packet(&p, len, in_iface, 0, 0), 0, len);
	}
	for (int stage = 0; stage < 2; stage++) {
		struct mcr_verdicts now = totals((enum mcr_stage)stage);

		assert_int_equal(now.seen - before[stage].seen, frames);
		assert_int_equal(sum(&now) - sum(&before[stage]), frames);
		assert_int_equal(now.bytes - before[stage].bytes, bytes);
		for (int i = 0; i < MCR_V__COUNT; i++)
			print_message("%s%s=%llu", i ? " " : "", verdict_names[i],
				      (&now.not_ip4)[i] - (&before[stage].not_ip4)[i]);
		print_message("\n");
	}
	plane_rule_del(plane, &elsewhere);
	close(xsk);
}

static int setup(void **state)
{
	struct mcr_rule_key esp = { .protocol = IPPROTO_ESP, .group = { 239, 1, 1, 50 } };
	struct mcr_rule_key key;
	struct diag d = { 0 };

	if (lab_enter())
		return -1;
	lab_sh("ip link add in0 numrxqueues %d type veth peer name in1 numtxqueues %d", QUEUES, 1);
	lab_sh("ip link add other0 type veth peer name stray0");
	lab_sh("ip link add many0 numrxqueues %d type veth peer name many1", MCR_MAX_QUEUES + 1);
	in_iface = if_nametoindex("in0");
	other_iface = if_nametoindex("other0");
	stray_iface = if_nametoindex("stray0");
	if (plane_open(&plane, LAB_PINS, "test", &d)) {
		print_error("%s\n", d.what);
		return -1;
	}
	assert_int_equal(plane_iface_set(plane, in_iface, SLOT, "in0", 0, &d), 0);
	assert_int_equal(plane_iface_set(plane, other_iface, SLOT + 1, "other0", 0, &d), 0);
	key = key_of(in_iface, "239.1.1.1", "0.0.0.0", 0);
	rule_add(&key, TTL_RULE, MCR_DP_AFXDP, false);
	key = key_of(in_iface, "239.1.1.10", "0.0.0.0", 5001);
	rule_add(&key, LOOP_RULE, MCR_DP_AFXDP, true);
	key = key_of(in_iface, "239.1.1.40", "0.0.0.0", 5001);
	rule_add(&key, PACKET_RULE, MCR_DP_AFPACKET, false);
	esp.ifindex = in_iface;
	rule_add(&esp, ESP_RULE, MCR_DP_AFPACKET, false);
	return 0;
}

static int teardown(void **state)
{
	plane_close(plane);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_stay_within_their_verifier_budget),
		cmocka_unit_test(what_rules_cannot_name_passes_to_the_host),
		cmocka_unit_test(control_traffic_passes_even_where_a_rule_would_match),
		cmocka_unit_test(tagged_frames_pass_however_many_tags),
		cmocka_unit_test(options_pass_to_the_host_for_a_relayed_address),
		cmocka_unit_test(headers_that_contradict_the_frame_are_dropped),
		cmocka_unit_test(a_frame_cut_anywhere_in_its_headers_is_not_relayed),
		cmocka_unit_test(the_classifier_reads_nothing_behind_the_end),
		cmocka_unit_test(fragments_of_a_relayed_address_are_dropped),
		cmocka_unit_test(a_source_that_is_no_unicast_address_is_dropped),
		cmocka_unit_test(ttl_1_and_0_end_here_unless_the_rule_takes_them),
		cmocka_unit_test(own_frames_are_never_taken_by_a_rule_that_accepts_ttl_1),
		cmocka_unit_test(a_flow_known_elsewhere_came_the_wrong_way),
		cmocka_unit_test(a_wrong_way_is_counted_by_a_rule_that_is_there),
		cmocka_unit_test(a_route_without_outputs_drops),
		cmocka_unit_test(each_kind_is_told_once_by_the_stage_that_is_to),
		cmocka_unit_test(what_no_route_can_carry_is_not_told),
		cmocka_unit_test(a_flood_of_sources_is_bounded),
		cmocka_unit_test(a_full_ring_is_counted),
		cmocka_unit_test(the_most_specific_rule_wins),
		cmocka_unit_test(rules_on_two_interfaces_are_told_apart),
		cmocka_unit_test(a_unicast_destination_is_relayed_like_a_group),
		cmocka_unit_test(esp_is_matched_without_a_port),
		cmocka_unit_test(a_worker_is_served_by_queue_and_slot_only),
		cmocka_unit_test(queues_beyond_the_map_do_not_reach_the_next_slot),
		cmocka_unit_test(a_packet_socket_takes_only_what_rules_give_it),
		cmocka_unit_test(merged_datagrams_are_counted_one_by_one),
		cmocka_unit_test(jumbo_frames_in_fragments_are_matched),
		cmocka_unit_test(frames_of_a_stranger_interface_are_not_counted),
		cmocka_unit_test(each_of_many_random_frames_is_counted_once),
	};
	const char *unfit = lab_unfit();

	if (unfit) {
		print_message("SKIPPED: %s\n", unfit);
		return LAB_SKIPPED;
	}
	return cmocka_run_group_tests_name("xdp", tests, setup, teardown);
}
