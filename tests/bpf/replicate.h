/* SPDX-License-Identifier: MIT */
/*
 * Where tests of replication run: a relay's interface in0, fed from in1, and outputs o0 … o63, read
 * at their far ends r0 …; with rules that lead from one to the others.
 */
#pragma once

#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "../lib/packet.h"
#include "plane/plane_impl.h"

#define OUTPUTS	   MCR_MAX_OUTPUTS
#define SLOT	   3
#define ROW	   5
#define OUTPUT_ROW 100
#define WAIT_MS	   10000
#define FRAME_MOST 9014
#define MAX_FRAME  1514

static uint32_t in_ifindex, out_ifindexes[OUTPUTS];
static int sender, jumbo_sender, readers[OUTPUTS];
static uint64_t seed;

/* --- the means ---------------------------------------------------------------------------------
 */

static inline struct plane *open_plane(void)
{
	struct plane *p = NULL;
	struct diag d = { 0 };

	if (plane_open(&p, LAB_PINS, "test", &d))
		fail_msg("%s", d.what);
	return p;
}

static inline struct mcr_rule_key key_of(uint32_t group, uint8_t protocol)
{
	struct mcr_rule_key key = { .ifindex = in_ifindex, .protocol = protocol };

	group = htonl(group);
	memcpy(key.group, &group, sizeof(key.group));
	return key;
}

/* Output i has policies of its own: all kinds are there among eight neighbours. */
static inline struct mcr_rewrite rewrite_of(unsigned i)
{
	struct mcr_rewrite to = {
		.output = OUTPUT_ROW + i,
		.slot = SLOT,
		.dst_mac = { 1, 0, 0x5e, 2, 0, (uint8_t)i },
		.src_mac = { 2, 0, 0, 0, 9, (uint8_t)i },
		.group = { 239, 2, 0, (uint8_t)i },
		.port = (uint16_t)(i % 2 ? 6000 + i : 0),
		.ttl = (uint8_t)(i % 4 < 2 ? 0 : i + 1),
		.dscp = (int8_t)(i % 8 < 4 ? -1 : (int)i % 64),
	};

	if (i % 3)
		memcpy(to.source, (uint8_t[]){ 198, 19, 0, (uint8_t)i }, 4);
	return to;
}

/* What shall come out of output i for `in`. */
static inline struct packet expected(const struct packet *in, unsigned i)
{
	struct mcr_rewrite to = rewrite_of(i);
	struct packet p = *in;

	memcpy(p.dst_mac, to.dst_mac, 6);
	memcpy(p.src_mac, to.src_mac, 6);
	p.dest = IP(239, 2, 0, i);
	if (i % 3)
		p.source = IP(198, 19, 0, i);
	if (to.port)
		p.dport = to.port;
	p.ttl = to.ttl ? to.ttl : (uint8_t)(in->ttl - 1);
	if (to.dscp >= 0)
		p.tos = (uint8_t)(to.dscp * 4 + in->tos % 4);
	if (p.checksum == PACKET_PARTIAL)
		p.checksum = PACKET_FULL;
	return p;
}

/* A rule that goes to the first n outputs, in force. 0 or −1, for processes that do not assert. */
static inline int rule_add(struct plane *p, const struct mcr_rule_key *key, uint32_t row,
			   unsigned n)
{
	struct mcr_rule rule = {
		.rule = row,
		.max_frame = MAX_FRAME,
		.outputs = (uint16_t)n,
		.datapath = MCR_DP_XDP,
	};

	for (unsigned i = 0; i < n; i++) {
		struct mcr_rewrite to = rewrite_of(i);

		if (plane_rewrite_set(p, row, out_ifindexes[i], &to, NULL))
			return -1;
	}
	return plane_set_get(p, out_ifindexes, n, &rule.egress_set, NULL) ||
			       plane_rule_set(p, key, &rule, NULL)
		       ? -1
		       : 0;
}

/* The classifier on in0, and a rule for 239.1.1.1 there. */
static inline int relay_up(struct plane *p, unsigned n)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct plane_attached info;

	return plane_iface_set(p, in_ifindex, SLOT, "in0", 0, NULL) ||
			       plane_attach(p, in_ifindex, "in0", &info, NULL) ||
			       info.mode != PLANE_NATIVE || rule_add(p, &key, ROW, n)
		       ? -1
		       : 0;
}

static inline int packet_socket(const char *name, uint16_t protocol)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), bytes = 4 << 20;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline void send_frame(const void *frame, size_t len)
{
	assert_int_equal(send(sender, frame, len, 0), len);
}

/* The next frame at the far end of output i. */
static inline size_t read_frame(unsigned i, uint8_t frame[FRAME_MOST])
{
	struct pollfd ready = { .fd = readers[i], .events = POLLIN };

	if (poll(&ready, 1, WAIT_MS) != 1)
		fail_msg("nothing comes out of output %u", i);
	return (size_t)recv(readers[i], frame, FRAME_MOST, 0);
}

static inline void send_packet(const struct packet *in, const uint8_t *payload, size_t len)
{
	uint8_t frame[FRAME_MOST];

	send_frame(frame, packet_write(frame, in, payload, len));
}

static inline void expect_packet(const struct packet *in, const uint8_t *payload, size_t len,
				 unsigned i)
{
	uint8_t want[FRAME_MOST], got[FRAME_MOST];
	struct packet p = expected(in, i);
	size_t n = packet_write(want, &p, payload, len);

	assert_int_equal(read_frame(i, got), n);
	assert_memory_equal(got, want, n);
}

/* One datagram through all n outputs: nothing else is on its way before it. */
static inline void exchange(const struct packet *in, size_t len, unsigned n)
{
	uint8_t payload[FRAME_MOST];

	random_fill(&seed, payload, len);
	send_packet(in, payload, len);
	for (unsigned i = 0; i < n; i++)
		expect_packet(in, payload, len, i);
}

static inline struct mcr_verdicts verdicts(struct plane *p)
{
	struct mcr_verdicts v;

	assert_int_equal(plane_verdicts(p, SLOT, MCR_STAGE_XDP, &v), 0);
	return v;
}

/* Until the classifier has seen so many frames in all. */
static inline struct mcr_verdicts await_seen(struct plane *p, uint64_t seen)
{
	struct mcr_verdicts v = verdicts(p);

	for (int i = 0; i < WAIT_MS && v.seen < seen; i++) {
		poll(NULL, 0, 1);
		v = verdicts(p);
	}
	assert_int_equal(v.seen, seen);
	return v;
}

static inline struct mcr_rule_stats rule_stats(struct plane *p, uint32_t row)
{
	struct mcr_rule_stats stats;

	assert_int_equal(plane_rule_stats(p, row, &stats), 0);
	return stats;
}

static inline void assert_copies(struct plane *p, unsigned i, uint64_t sent, uint64_t bytes,
				 uint64_t ttl)
{
	struct mcr_output_stats out;

	assert_int_equal(plane_output_stats(p, OUTPUT_ROW + i, &out), 0);
	assert_int_equal(out.sent, sent);
	assert_int_equal(out.bytes, bytes);
	assert_int_equal(out.ttl, ttl);
}

/* The kernel reports a bulk after it has handed it on: wait for the sum. */
static inline struct mcr_xmit_stats await_xmit(struct plane *p, uint64_t sum)
{
	struct mcr_xmit_stats xmit;

	for (int i = 0; i < WAIT_MS; i++) {
		plane_xmit_stats(p, SLOT, &xmit);
		if (xmit.sent + xmit.dropped >= sum)
			break;
		poll(NULL, 0, 1);
	}
	assert_int_equal(xmit.sent + xmit.dropped, sum);
	return xmit;
}

/* --- the place ---------------------------------------------------------------------------------
 */

/* in1 – in0 → o<i> – r<i>, whose GRO makes o<i> take frames. Nothing but the test sends. */
static inline int replicate_setup(void **state)
{
	if (lab_enter())
		return -1;
	lab_sh("ip link add in0 type veth peer name in1");
	lab_sh("ip link add j0 mtu 9000 type veth peer name j1 mtu 9000");
	lab_sh("for i in $(seq 0 %u); do echo link add o$i type veth peer name r$i; done |"
	       "ip -batch -",
	       OUTPUTS - 1);
	lab_sh("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 > /dev/null");
	lab_sh("for i in $(seq 0 %u); do ethtool -K r$i gro on; done", OUTPUTS - 1);
	lab_sh("for i in in0 in1 j0 j1 $(seq -f o%%g 0 %u) $(seq -f r%%g 0 %u); do "
	       "echo link set $i multicast off up; done | ip -batch -",
	       OUTPUTS - 1, OUTPUTS - 1);
	in_ifindex = if_nametoindex("in0");
	sender = packet_socket("in1", 0);
	jumbo_sender = packet_socket("j1", 0);
	for (unsigned i = 0; i < OUTPUTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "o%u", i);
		out_ifindexes[i] = if_nametoindex(name);
		name[0] = 'r';
		readers[i] = packet_socket(name, ETH_P_ALL);
	}
	return 0;
}
