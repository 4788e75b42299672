/* SPDX-License-Identifier: MIT */
/*
 * Copies over the sockets that main makes, in a network namespace of our own: what arrives, and
 * that whatever does not is named. All of it twice, by io_uring and by sendmsg.
 *
 *	mcrta 198.18.1.1/24 ─ veth ─ mcrtb: where groups are received
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>
#include <liburing.h>

#include "../lib/child.h"
#include "../lib/packet.h"
#include "daemon/relay.h"
#include "worker/egress.h"

#define GROUP_PORT 6001
#define HOST_PORT  6002
#define ARENA	   (8u << 20)
#define ROWS	   8

enum { SOCK_A, SOCK_B, SOCK_DF, SOCK_MISSING }; /* names of egress sockets */

static bool has_netns, has_ring;
static const char *method; /* what this round is about */
static struct relay relay; /* for its list of egress sockets */
static struct egress *e;
static struct ledger *ledger;
static struct batch b;
static uint8_t *arena;
static size_t used;
static uint8_t payload[65536], received[65536];
static int group_fd = -1, host_fd = -1; /* receivers */
static union {
	struct table_rule rule;
	uint8_t room[sizeof(struct table_rule) + ROWS * sizeof(struct wm_output)];
} to;

/* --- the lab -------------------------------------------------------------------------------------
 */

static int udp_receiver(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1, size = 8 << 20;

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &yes, sizeof(yes)) ||
	    setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &yes, sizeof(yes)))
		return -1;
	return fd;
}

static int join(int fd)
{
	struct ip_mreqn m = {
		.imr_multiaddr.s_addr = htonl(IP(239, 2, 2, 2)),
		.imr_ifindex = (int)if_nametoindex("mcrtb"),
	};

	return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m));
}

static int enter(void **state)
{
	arena = malloc(ARENA);
	ledger = calloc(1, sizeof(*ledger));
	relay.sockets = calloc(WORKER_OUTPUTS, sizeof(*relay.sockets));
	if (!arena || !ledger || !relay.sockets)
		return -1;
	if (!has_netns)
		has_netns = netns_enter();
	return 0;
}

static int leave(void **state)
{
	free(arena);
	free(ledger);
	free(relay.sockets);
	return 0;
}

/* The ring first, at its place: EXTRA_FD is free then. */
static int open_egress(void)
{
	struct io_uring_params p;
	int fd;

	has_ring = false;
	if (!strcmp(method, "io_uring")) {
		fd = sockets_open_ring(&p);
		has_ring = fd >= 0;
		if (has_ring && fd != EXTRA_FD && (dup2(fd, EXTRA_FD) < 0 || close(fd)))
			return -1;
	}
	return egress_open(&e, ledger, has_ring ? &p : NULL);
}

static int setup(void **state)
{
	if (!has_netns)
		return 0;
	memset(ledger, 0, sizeof(*ledger));
	memset(&to, 0, sizeof(to));
	to.rule.row = 1;
	batch_clear(&b);
	used = 0;
	relay.n_sockets = 0;
	if (open_egress())
		return -1;
	if (!shell("ip link add mcrta type veth peer name mcrtb &&"
		   "ip link set mcrta up && ip link set mcrtb up && ip link set lo mtu 65536 &&"
		   "ip addr add 198.18.1.1/24 dev mcrta &&"
		   "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter &&"
		   "echo 0 >/proc/sys/net/ipv4/conf/lo/rp_filter &&"
		   "echo 0 >/proc/sys/net/ipv4/conf/mcrtb/rp_filter"))
		return -1;
	group_fd = udp_receiver(GROUP_PORT);
	host_fd = udp_receiver(HOST_PORT);
	return group_fd < 0 || host_fd < 0 || join(group_fd);
}

static int teardown(void **state)
{
	if (!has_netns)
		return 0;
	egress_close(e);
	e = NULL;
	close(group_fd);
	close(host_fd);
	return !shell("ip link del mcrta");
}

static void skip_unless_possible(void)
{
	if (!has_netns)
		print_message("needs root for a network namespace\n");
	else if (!has_ring && !strcmp(method, "io_uring"))
		print_message("io_uring is not allowed here\n");
	else
		return;
	skip();
}

/* A socket as main would make it for such outputs. */
static int main_socket(enum egress_kind kind, const char *interface, bool df)
{
	struct resolved_output o = { .wire = { .kind = (uint8_t)kind } };
	int fd;

	o.ifindex = interface ? if_nametoindex(interface) : 0;
	fd = sockets_open(&relay, sockets_name(&relay, &o, df));
	assert_true(fd >= 0);
	return fd;
}

/* One more output of the rule; row 0, 1, … of the ledger. */
static struct wm_output *add_output(enum egress_kind kind, uint32_t address, uint16_t port)
{
	struct wm_output *out = &to.rule.outputs[to.rule.n_outputs];

	assert_true(to.rule.n_outputs < ROWS);
	*out = (struct wm_output){
		.output = to.rule.n_outputs++,
		.socket = SOCK_A,
		.socket_df = SOCK_A,
		.kind = (uint8_t)kind,
		.ttl = 7,
		.dscp = -1,
		.can_segment = kind != EGRESS_RAW,
		.is_up = 1,
		.port = port,
		.source = htonl(IP(198, 18, 7, 7)),
		.group = htonl(address),
		.dst_mac = { 0x01, 0x00, 0x5e, 0x02, 0x02, 0x02 },
		.src_mac = { 0x02, 0, 0, 0, 0, 1 },
	};
	return out;
}

/* To the group on the veth, or to this host's own address over loopback. */
static struct wm_output *add_group(void)
{
	egress_socket(e, SOCK_A, main_socket(EGRESS_PACKET, "mcrta", false));
	return add_output(EGRESS_PACKET, IP(239, 2, 2, 2), GROUP_PORT);
}

static struct wm_output *add_host(void)
{
	egress_socket(e, SOCK_A, main_socket(EGRESS_UDP, NULL, false));
	return add_output(EGRESS_UDP, IP(198, 18, 1, 1), HOST_PORT);
}

/* A datagram of `len` bytes from payload[from], or a super-frame of several, into the batch. */
static void push_frame(const struct packet *p, size_t from, size_t len, uint16_t segment)
{
	struct iovec *piece = &b.pieces[b.n_pieces++];
	struct frame_raw raw = { .pieces = piece, .n_pieces = 1, .segment = segment };

	assert_true(used + AT_PAYLOAD + len <= ARENA);
	*piece = (struct iovec){ arena + used, packet_write(arena + used, p, payload + from, len) };
	raw.len = (uint32_t)piece->iov_len;
	raw.is_partial = segment > 0;
	used += piece->iov_len;
	assert_int_equal(frame_read(&b.frames[b.n_frames], &raw), FRAME_DROP__COUNT);
	batch_add(&b, b.n_frames++, &to.rule);
}

static void push(size_t from, size_t len)
{
	struct packet p = packet_sample();

	push_frame(&p, from, len, 0);
}

static uint64_t drops(const struct ledger_output *row)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		sum += row->drop[i];
	return sum;
}

/* Sends the batch, which balances whatever happens, and leaves it empty. */
static void send_batch(void)
{
	uint64_t datagrams = 0, before[ROWS];

	for (unsigned i = 0; i < ROWS; i++)
		before[i] = ledger->outputs[i].due;
	for (unsigned i = 0; i < b.n_frames; i++)
		datagrams += b.frames[i].datagrams;
	egress_batch(e, &b);
	assert_int_equal(ledger->totals.submitted, ledger->totals.completed);
	for (unsigned i = 0; i < to.rule.n_outputs; i++) {
		const struct ledger_output *row = &ledger->outputs[i];

		assert_int_equal(row->due, before[i] + datagrams);
		assert_int_equal(row->due, row->sent + drops(row));
	}
	batch_clear(&b);
	used = 0;
}

static void assert_row(unsigned row, uint64_t sent, uint64_t bytes)
{
	assert_int_equal(ledger->outputs[row].sent, sent);
	assert_int_equal(ledger->outputs[row].bytes, bytes);
}

/* --- what arrives --------------------------------------------------------------------------------
 */

struct arrival {
	ssize_t len; /* −1: nothing came */
	int ttl, tos;
	uint32_t source;
	uint16_t sport;
};

/* The next datagram, in received[]. Over veth and loopback what was sent has arrived already. */
static struct arrival receive(int fd)
{
	struct sockaddr_in from = { 0 };
	struct iovec iov = { received, sizeof(received) };
	uint8_t control[128];
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct arrival a = { .len = -1 };

	if (poll(&p, 1, 200) != 1)
		return a;
	a.len = recvmsg(fd, &m, MSG_DONTWAIT);
	a.source = ntohl(from.sin_addr.s_addr);
	a.sport = ntohs(from.sin_port);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_TTL)
			memcpy(&a.ttl, CMSG_DATA(c), sizeof(a.ttl));
		if (c->cmsg_type == IP_TOS)
			a.tos = *CMSG_DATA(c);
	}
	return a;
}

static struct arrival assert_arrives(int fd, size_t from, size_t len)
{
	struct arrival a = receive(fd);

	assert_int_equal(a.len, len);
	assert_memory_equal(received, payload + from, len);
	return a;
}

static void assert_nothing_arrives(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 20), 0);
}

static void a_group_gets_a_run_in_one_send(void **state)
{
	skip_unless_possible();
	add_group();
	for (size_t i = 0; i < 10; i++)
		push(100 * i, 100);
	push(1000, 33);
	send_batch();
	assert_row(0, 11, 1033);
	assert_int_equal(ledger->totals.submitted, 1);
	for (size_t i = 0; i < 11; i++) {
		struct arrival a = assert_arrives(group_fd, 100 * i, i < 10 ? 100 : 33);

		assert_int_equal(a.ttl, 7);
		assert_int_equal(a.tos, 0xb8);
		assert_int_equal(a.source, IP(198, 18, 7, 7));
		assert_int_equal(a.sport, 4000);
	}
	assert_nothing_arrives(group_fd);
}

static void policies_reach_the_wire(void **state)
{
	struct wm_output *out;
	struct arrival a;

	skip_unless_possible();
	out = add_group();
	out->ttl = 0;
	out->dscp = 10;
	out->keeps_source = 1;
	push(0, 50);
	send_batch();
	a = assert_arrives(group_fd, 0, 50);
	assert_int_equal(a.ttl, 7); /* one less than it came with */
	assert_int_equal(a.tos, 40);
	assert_int_equal(a.source, IP(198, 18, 0, 1));
}

static void a_host_gets_a_run_in_one_send(void **state)
{
	skip_unless_possible();
	add_host();
	for (size_t i = 0; i < 10; i++)
		push(1000 * i, 1000);
	push(10000, 1);
	send_batch();
	assert_row(0, 11, 10001);
	assert_int_equal(ledger->totals.submitted, 1);
	for (size_t i = 0; i < 11; i++) {
		struct arrival a = assert_arrives(host_fd, 1000 * i, i < 10 ? 1000 : 1);

		assert_int_equal(a.ttl, 7);
		assert_int_equal(a.tos, 0xb8);
		assert_int_equal(a.source, IP(198, 18, 1, 1));
	}
}

static void without_segmentation_each_is_sent_singly(void **state)
{
	skip_unless_possible();
	add_group()->can_segment = 0;
	for (size_t i = 0; i < 10; i++)
		push(100 * i, 100);
	send_batch();
	assert_row(0, 10, 1000);
	assert_int_equal(ledger->totals.submitted, 10);
	for (size_t i = 0; i < 10; i++)
		assert_arrives(group_fd, 100 * i, 100);
}

/* The sum is ours there; the receiver's stack checks it. */
static void a_raw_socket_sends_finished_datagrams(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 99, 1400 };

	skip_unless_possible();
	egress_socket(e, SOCK_A, main_socket(EGRESS_RAW, NULL, false));
	add_output(EGRESS_RAW, IP(198, 18, 1, 1), HOST_PORT)->keeps_source = 1;
	for (size_t i = 0; i < 5; i++)
		push(i, sizes[i]);
	send_batch();
	assert_row(0, 5, 0 + 1 + 2 + 99 + 1400);
	for (size_t i = 0; i < 5; i++) {
		struct arrival a = assert_arrives(host_fd, i, sizes[i]);

		assert_int_equal(a.source, IP(198, 18, 0, 1));
		assert_int_equal(a.sport, 4000);
	}
}

/* RFC 7761 §4.9.3: behind 8 bytes with a checksum of their own the packet, as it came. */
static void a_register_carries_the_packet_as_it_came(void **state)
{
	static const uint8_t head[] = { 0x21, 0, 0xde, 0xff, 0, 0, 0, 0 };
	struct resolved_output o = { .wire = { .kind = EGRESS_REGISTER } };
	uint8_t want[AT_PAYLOAD + 1400];
	struct packet p = packet_sample();
	int fd;

	skip_unless_possible();
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_PIM);
	o.literal.net = htonl(IP(198, 18, 1, 1));
	egress_socket(e, SOCK_A, sockets_open(&relay, sockets_name(&relay, &o, false)));
	add_output(EGRESS_REGISTER, IP(198, 18, 1, 1), 0)->can_segment = 0;
	p.tos = 0xb9; /* EF, ECT(1) */
	push_frame(&p, 0, 1400, 0);
	push_frame(&p, 1400, 1400, 0);
	push_frame(&p, 2800, 99, 0);
	send_batch();
	assert_row(0, 3, 2899);
	for (size_t i = 0; i < 3; i++) {
		size_t len = i < 2 ? 1400 : 99;
		struct arrival a;

		packet_write(want, &p, payload + 1400 * i, len);
		a = receive(fd);
		assert_int_equal(a.len, 20 + 8 + 28 + len);
		assert_int_equal(received[1], 0xb9);
		assert_int_equal(received[8], 64);
		assert_memory_equal(received + 12, (&(uint32_t){ htonl(IP(198, 18, 1, 1)) }), 4);
		assert_memory_equal(received + 20, head, 8);
		assert_memory_equal(received + 28, want + AT_IP, 28 + len);
	}
	close(fd);
}

/* A receiver of raw IP sees headers and all. */
static void esp_goes_out_as_it_came_but_for_the_headers(void **state)
{
	struct packet p = packet_sample();
	uint8_t want[AT_UDP + 64];
	struct arrival a;
	int fd;

	skip_unless_possible();
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ESP);
	assert_int_equal(join(fd), 0);
	p.protocol = PACKET_ESP;
	add_group();
	push_frame(&p, 0, 64, 0);
	push_frame(&p, 64, 64, 0);
	send_batch();
	assert_row(0, 2, 128);
	p.source = IP(198, 18, 7, 7);
	p.dest = IP(239, 2, 2, 2);
	p.ttl = 7;
	for (size_t i = 0; i < 2; i++) {
		packet_write(want, &p, payload + 64 * i, 64);
		a = receive(fd);
		assert_int_equal(a.len, 20 + 64);
		assert_memory_equal(received, want + AT_IP, 20 + 64);
	}
	close(fd);
}

static void datagrams_without_checksum_and_empty_ones_arrive(void **state)
{
	struct packet p = packet_sample();

	skip_unless_possible();
	add_group();
	p.checksum = PACKET_NONE;
	push_frame(&p, 0, 100, 0);
	push_frame(&p, 100, 100, 0);
	push(0, 0);
	send_batch();
	assert_row(0, 3, 200);
	assert_int_equal(ledger->totals.submitted, 3); /* none of them can be a segment */
	assert_arrives(group_fd, 0, 100);
	assert_arrives(group_fd, 100, 100);
	assert_arrives(group_fd, 0, 0);
}

static void a_super_frame_takes_as_many_sends_as_needed(void **state)
{
	struct packet p = packet_sample();

	skip_unless_possible();
	add_group();
	p.checksum = PACKET_PARTIAL;
	push_frame(&p, 0, 1001, 10);
	send_batch();
	assert_row(0, 101, 1001);
	assert_int_equal(ledger->totals.submitted, 2);
	for (size_t i = 0; i < 101; i++)
		assert_arrives(group_fd, 10 * i, i < 100 ? 10 : 1);
}

/* Datagrams of which not even one fits into what a segmented send can carry. */
static void a_super_frame_of_huge_segments_ends(void **state)
{
	struct packet p = packet_sample();

	skip_unless_possible();
	add_host()->mtu = 65535;
	p.checksum = PACKET_PARTIAL;
	push_frame(&p, 0, 65507, 65500);
	send_batch();
	assert_row(0, 2, 65507);
	assert_arrives(host_fd, 0, 65500);
	assert_arrives(host_fd, 65500, 7);
}

static void more_sends_than_slots_are_flushed_between(void **state)
{
	skip_unless_possible();
	add_host()->can_segment = 0;
	for (size_t i = 0; i < BATCH_FEW; i++)
		push(i, 20);
	send_batch();
	assert_row(0, BATCH_FEW, 20 * BATCH_FEW);
	assert_int_equal(ledger->totals.submitted, BATCH_FEW);
	for (size_t i = 0; i < BATCH_FEW; i++)
		assert_arrives(host_fd, i, 20);
}

static void flows_that_interleave_keep_their_order(void **state)
{
	struct packet one = packet_sample(), two = packet_sample();
	size_t next[2] = { 0, 10000 };

	skip_unless_possible();
	add_group();
	two.sport = 4001;
	for (size_t i = 0; i < 100; i++)
		push_frame(i % 3 ? &one : &two, (i % 3 ? 0 : 10000) + i * 40, 40 - (i % 7 == 0), 0);
	send_batch();
	for (size_t i = 0; i < 100; i++) {
		struct arrival a = receive(group_fd);
		size_t *at = &next[a.sport == 4001];

		while (*at % 10000 / 40 % 3 == 0 ? a.sport != 4001 : a.sport == 4001)
			*at += 40; /* the other flow's */
		assert_int_equal(a.len, 40 - (*at % 10000 / 40 % 7 == 0));
		assert_memory_equal(received, payload + *at, (size_t)a.len);
		*at += 40;
	}
	assert_nothing_arrives(group_fd);
}

static void every_output_gets_every_run(void **state)
{
	skip_unless_possible();
	add_group();
	add_output(EGRESS_UDP, IP(198, 18, 1, 1), HOST_PORT)->socket_df = SOCK_B;
	egress_socket(e, SOCK_B, main_socket(EGRESS_UDP, NULL, true));
	add_output(EGRESS_PACKET, IP(239, 2, 2, 2), GROUP_PORT)->ttl = 9;
	push(0, 100);
	push(100, 50);
	push(150, 60);
	send_batch();
	for (unsigned row = 0; row < 3; row++)
		assert_row(row, 3, 210);
	assert_arrives(host_fd, 0, 100);
	assert_arrives(host_fd, 100, 50);
	assert_arrives(host_fd, 150, 60);
	assert_int_equal(assert_arrives(group_fd, 0, 100).ttl, 7);
	assert_arrives(group_fd, 100, 50);
	assert_int_equal(assert_arrives(group_fd, 0, 100).ttl, 9);
	assert_arrives(group_fd, 100, 50);
	assert_arrives(group_fd, 150, 60);
	assert_arrives(group_fd, 150, 60);
}

/* --- what does not -------------------------------------------------------------------------------
 */

static void assert_dropped(unsigned row, enum copy_drop why, uint64_t n)
{
	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		assert_int_equal(ledger->outputs[row].drop[i], i == why ? n : 0);
}

static void what_exceeds_the_mtu_is_too_big(void **state)
{
	struct wm_output *out;

	skip_unless_possible();
	out = add_group();
	out->mtu = 128;
	push(0, 100); /* just fits */
	push(0, 101);
	push(0, 101);
	push(0, 50); /* of a run whose segments do not fit, but fits by itself */
	send_batch();
	assert_row(0, 2, 150);
	assert_dropped(0, COPY_DROP_too_big, 2);
	assert_arrives(group_fd, 0, 100);
	assert_arrives(group_fd, 0, 50);
	out->mtu = 27; /* not even the headers */
	push(0, 1);
	send_batch();
	assert_dropped(0, COPY_DROP_too_big, 3);
	assert_nothing_arrives(group_fd);
}

/* By the routes the MTU is not known; with DF set the kernel says so, else it cuts up. */
static void what_the_kernel_finds_too_big_is_too_big(void **state)
{
	struct packet p = packet_sample();
	struct wm_output *out;

	skip_unless_possible();
	out = add_host();
	out->socket_df = SOCK_DF;
	egress_socket(e, SOCK_DF, main_socket(EGRESS_UDP, NULL, true));
	assert_true(shell("ip link set lo mtu 1500"));
	push(0, 2000);
	send_batch();
	assert_dropped(0, COPY_DROP_too_big, 1);
	assert_nothing_arrives(host_fd);
	p.df = false;
	push_frame(&p, 0, 2000, 0);
	send_batch();
	assert_row(0, 1, 2000);
	assert_arrives(host_fd, 0, 2000);
}

/* Segments do not fit the way, whose MTU nobody told: one by one the kernel cuts them up. */
static void segments_larger_than_the_way_go_one_by_one(void **state)
{
	struct packet p = packet_sample();

	skip_unless_possible();
	add_host();
	assert_true(shell("ip link set lo mtu 1000"));
	p.df = false;
	for (unsigned i = 0; i < 5; i++)
		push_frame(&p, i, 1200, 0);
	push_frame(&p, 5, 700, 0);
	send_batch();
	assert_int_equal(ledger->totals.submitted, 1);
	assert_row(0, 6, 5 * 1200 + 700);
	for (unsigned i = 0; i < 5; i++)
		assert_arrives(host_fd, i, 1200);
	assert_arrives(host_fd, 5, 700);
}

static void a_ttl_that_ends_is_dropped_for_it(void **state)
{
	struct packet p = packet_sample();

	skip_unless_possible();
	add_group()->ttl = 0;
	p.ttl = 1;
	push_frame(&p, 0, 100, 0);
	push_frame(&p, 0, 100, 0);
	send_batch();
	assert_dropped(0, COPY_DROP_ttl, 2);
	assert_int_equal(ledger->totals.submitted, 0);
	assert_nothing_arrives(group_fd);
}

static void a_missing_socket_is_down(void **state)
{
	struct wm_output *out;

	skip_unless_possible();
	out = add_group();
	out->socket = SOCK_MISSING;
	push(0, 100);
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_down, 2);
	out->kind = EGRESS_UDP;
	out->socket_df = SOCK_MISSING;
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_down, 3);
}

static void an_output_known_to_be_down_is_not_tried(void **state)
{
	skip_unless_possible();
	add_group()->is_up = 0;
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_down, 1);
	assert_int_equal(ledger->totals.submitted, 0);
	assert_nothing_arrives(group_fd);
}

/* Nobody has told the worker yet. */
static void an_interface_that_went_down_is_down(void **state)
{
	skip_unless_possible();
	add_group();
	assert_true(shell("ip link set mcrta down"));
	push(0, 100);
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_down, 2);
	assert_true(shell("ip link set mcrta up"));
	push(0, 100);
	send_batch();
	assert_row(0, 1, 100);
	assert_arrives(group_fd, 0, 100);
}

static void an_interface_that_went_away_is_down(void **state)
{
	skip_unless_possible();
	add_group();
	assert_true(shell("ip link del mcrta"));
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_down, 1);
	assert_true(shell("ip link add mcrta type veth peer name mcrtb")); /* for teardown */
}

/* A neighbour that does not answer holds what is sent to it, and so fills the buffer. */
static void a_full_buffer_drops_and_blocks_nobody(void **state)
{
	int fd, least = 1;

	skip_unless_possible();
	add_host();
	add_output(EGRESS_UDP, IP(198, 18, 1, 99), HOST_PORT);
	add_output(EGRESS_UDP, IP(198, 18, 1, 1), HOST_PORT);
	to.rule.outputs[1].socket = to.rule.outputs[1].socket_df = SOCK_B;
	for (unsigned i = 0; i < 3; i++)
		to.rule.outputs[i].can_segment = 0;
	fd = main_socket(EGRESS_UDP, NULL, false);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	egress_socket(e, SOCK_B, fd);
	for (size_t i = 0; i < 50; i++)
		push(100 * i, 1000);
	send_batch();
	assert_true(ledger->outputs[1].sent > 0);
	assert_dropped(1, COPY_DROP_full, 50 - ledger->outputs[1].sent);
	assert_true(ledger->outputs[1].drop[COPY_DROP_full] > 40);
	assert_row(0, 50, 50000);
	assert_row(2, 50, 50000);
	for (size_t i = 0; i < 100; i++)
		assert_arrives(host_fd, 100 * (i % 50), 1000);
}

static void a_queue_that_refuses_is_the_device(void **state)
{
	struct wm_output *out;

	skip_unless_possible();
	out = add_group();
	assert_true(shell("tc qdisc add dev mcrta root bfifo limit 1"));
	push(0, 100);
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_device, 2);
	out->drops_consumed = 1; /* where they are counted by the device itself */
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_device, 2);
	assert_row(0, 1, 100);
	assert_nothing_arrives(group_fd);
}

static void no_route_is_unreachable(void **state)
{
	skip_unless_possible();
	add_host()->group = htonl(IP(198, 19, 0, 1));
	push(0, 100);
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_unreachable, 2);
}

static void another_refusal_is_an_error(void **state)
{
	skip_unless_possible();
	add_host()->group = htonl(IP(198, 18, 1, 255)); /* the socket may not broadcast */
	push(0, 100);
	send_batch();
	assert_dropped(0, COPY_DROP_error, 1);
}

/* Nobody listens on the first port; its ICMP messages are not the second output's business. */
static void one_outputs_icmp_messages_harm_no_other(void **state)
{
	skip_unless_possible();
	add_host()->port = 9;
	add_output(EGRESS_UDP, IP(198, 18, 1, 1), HOST_PORT);
	for (int i = 0; i < 5; i++) {
		push(0, 100);
		push(100, 90);
		push(190, 80);
		send_batch();
		assert_row(1, 3 * (uint64_t)(i + 1), 270 * (uint64_t)(i + 1));
		assert_arrives(host_fd, 0, 100);
		assert_arrives(host_fd, 100, 90);
		assert_arrives(host_fd, 190, 80);
	}
}

/* --- sockets -------------------------------------------------------------------------------------
 */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void sockets_are_owned_and_replaced(void **state)
{
	int one, two;

	skip_unless_possible();
	one = main_socket(EGRESS_UDP, NULL, false);
	two = main_socket(EGRESS_UDP, NULL, false);
	egress_socket(e, WORKER_OUTPUTS - 1, one);
	egress_socket(e, WORKER_OUTPUTS - 1, two);
	assert_false(is_open(one));
	assert_true(is_open(two));
	egress_socket(e, WORKER_OUTPUTS - 1, -1);
	assert_false(is_open(two));
	one = main_socket(EGRESS_UDP, NULL, false);
	egress_socket(e, SOCK_A, one);
	egress_close(e);
	assert_false(is_open(one));
	egress_close(NULL);
	assert_int_equal(open_egress(), 0);
	assert_string_equal(egress_method(e), method);
}

/* Whatever becomes of the process that has it. */
static void the_ring_takes_nothing_but_sendmsg(void **state)
{
	struct io_uring_params p;
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	int fd;

	skip_unless_possible();
	if (!has_ring)
		return;
	fd = sockets_open_ring(&p);
	assert_true(fd >= 0);
	assert_int_equal(io_uring_queue_mmap(fd, &p, &ring), 0);
	ring.sq.array[0] = 0;
	assert_int_equal(syscall(__NR_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0),
			 0);
	io_uring_prep_nop(io_uring_get_sqe(&ring));
	assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, -EACCES);
	io_uring_queue_exit(&ring);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_group_gets_a_run_in_one_send),
		T(policies_reach_the_wire),
		T(a_host_gets_a_run_in_one_send),
		T(without_segmentation_each_is_sent_singly),
		T(a_raw_socket_sends_finished_datagrams),
		T(esp_goes_out_as_it_came_but_for_the_headers),
		T(a_register_carries_the_packet_as_it_came),
		T(datagrams_without_checksum_and_empty_ones_arrive),
		T(a_super_frame_takes_as_many_sends_as_needed),
		T(a_super_frame_of_huge_segments_ends),
		T(more_sends_than_slots_are_flushed_between),
		T(flows_that_interleave_keep_their_order),
		T(every_output_gets_every_run),
		T(what_exceeds_the_mtu_is_too_big),
		T(segments_larger_than_the_way_go_one_by_one),
		T(what_the_kernel_finds_too_big_is_too_big),
		T(a_ttl_that_ends_is_dropped_for_it),
		T(a_missing_socket_is_down),
		T(an_output_known_to_be_down_is_not_tried),
		T(an_interface_that_went_down_is_down),
		T(an_interface_that_went_away_is_down),
		T(a_full_buffer_drops_and_blocks_nobody),
		T(a_queue_that_refuses_is_the_device),
		T(no_route_is_unreachable),
		T(another_refusal_is_an_error),
		T(one_outputs_icmp_messages_harm_no_other),
		T(sockets_are_owned_and_replaced),
		T(the_ring_takes_nothing_but_sendmsg),
	};
	uint64_t fixed = 1;
	int failed;

	random_fill(&fixed, payload, sizeof(payload));
	method = "io_uring";
	failed = cmocka_run_group_tests_name("io_uring", tests, enter, leave);
	method = "sendmsg";
	return failed + cmocka_run_group_tests_name("sendmsg", tests, enter, leave);
}
