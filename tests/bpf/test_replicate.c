/* SPDX-License-Identifier: MIT */
/*
 * Rules that the kernel replicates, with real frames over veth: what comes out of each output, byte
 * by byte, what does not, and what is counted.
 */
#include "replicate.h"

/* --- bytes -------------------------------------------------------------------------------------
 */

static void every_output_gets_its_own_bytes(void **state)
{
	static const unsigned counts[] = { 1, 2, 3, 16, 64 };

	for (size_t k = 0; k < sizeof(counts) / sizeof(*counts); k++) {
		struct packet in = packet_sample();
		struct plane *p = open_plane();
		unsigned n = counts[k];

		assert_int_equal(relay_up(p, n), 0);
		for (int i = 0; i < 10; i++)
			exchange(&in, 100, n);
		assert_int_equal(await_xmit(p, 10 * n).dropped, 0);
		assert_int_equal(verdicts(p).replicated, 10);
		assert_int_equal(rule_stats(p, ROW).replicated, 10);
		assert_int_equal(rule_stats(p, ROW).replicated_bytes, 1000);
		for (unsigned i = 0; i < n; i++)
			assert_copies(p, i, 10, 1000, 0);
		plane_close(p);
	}
}

/* Odd ones, and those around the sizes of the blocks that sums are made of. */
static void every_length_keeps_its_checksum(void **state)
{
	static const uint8_t kinds[] = { PACKET_FULL, PACKET_PARTIAL, PACKET_NONE };
	struct plane *p = open_plane();
	struct packet in = packet_sample();
	uint64_t bytes = 0;

	assert_int_equal(relay_up(p, 2), 0);
	for (size_t len = 0; len <= 1472; len++) {
		in.checksum = kinds[random_below(&seed, 3)];
		exchange(&in, len, 2);
		bytes += len;
	}
	for (size_t k = 0; k < 3; k++)
		for (size_t len = 0; len < 260; len++) {
			in.checksum = kinds[k];
			exchange(&in, len, 2);
			bytes += len;
		}
	assert_int_equal(verdicts(p).replicated, 1473 + 3 * 260);
	assert_copies(p, 1, 1473 + 3 * 260, bytes, 0);
	plane_close(p);
}

/* The sum that comes out as zero is written as 0xffff, as that means "none". */
static void a_completed_checksum_is_never_zero(void **state)
{
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[2] = { 0 }, frame[FRAME_MOST];

	assert_int_equal(relay_up(p, 1), 0); /* output 0 keeps source and port */
	in.checksum = PACKET_PARTIAL;
	packet_write(frame, &in, payload, 2);
	put16(payload, packet_udp_check(frame + AT_IP, 10)); /* makes the rest of the sum 0xffff */
	packet_write(frame, &in, payload, 2);
	assert_int_equal(packet_udp_check(frame + AT_IP, 10), 0xffff);
	send_packet(&in, payload, 2);
	expect_packet(&in, payload, 2, 0);
	in.checksum = PACKET_FULL;
	send_packet(&in, payload, 2);
	expect_packet(&in, payload, 2, 0);
	plane_close(p);
}

static void esp_is_carried_as_it_is(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 2), IPPROTO_ESP);
	struct packet in = packet_sample();
	struct plane *p = open_plane();

	assert_int_equal(relay_up(p, 1), 0);
	assert_int_equal(rule_add(p, &key, ROW + 1, 4), 0);
	in.protocol = PACKET_ESP;
	in.dest = IP(239, 1, 1, 2);
	for (size_t len = 8; len <= 1480; len += 31)
		exchange(&in, len, 4);
	assert_int_equal(rule_stats(p, ROW + 1).replicated, 48);
	assert_int_equal(rule_stats(p, ROW).replicated, 0);
	plane_close(p);
}

/* --- what is not sent --------------------------------------------------------------------------
 */

/* Frames with one bit wrong, then one that is right: nothing else comes out. */
static void wrong_checksums_end_here(void **state)
{
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[333], frame[FRAME_MOST];
	struct mcr_verdicts v;
	int n = 0;

	assert_int_equal(relay_up(p, 2), 0);
	random_fill(&seed, payload, sizeof(payload));
	for (size_t at = AT_UDP; at < AT_PAYLOAD + sizeof(payload); at++) {
		size_t len = packet_write(frame, &in, payload, sizeof(payload));

		if (at == AT_UDP_LEN || at == AT_UDP_LEN + 1)
			continue; /* that is another verdict */
		frame[at] ^= (uint8_t)(1u << random_below(&seed, 8));
		send_frame(frame, len);
		n++;
	}
	for (size_t at = AT_IP_CHECK; at < AT_IP_CHECK + 2; at++, n++) {
		size_t len = packet_write(frame, &in, payload, sizeof(payload));

		frame[at] ^= 4;
		send_frame(frame, len);
	}
	exchange(&in, 100, 2);
	v = await_seen(p, (uint64_t)n + 1);
	assert_int_equal(v.checksum, n);
	assert_int_equal(v.replicated, 1);
	assert_int_equal(rule_stats(p, ROW).checksum, n);
	plane_close(p);
}

static void too_long_ones_are_unfit(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	struct mcr_rule rule = { .rule = ROW, .max_frame = 600, .datapath = MCR_DP_XDP };
	struct mcr_verdicts v;
	uint8_t payload[1472] = { 0 };

	assert_int_equal(relay_up(p, 2), 0);
	assert_int_equal(plane_set_get(p, out_ifindexes, 2, &rule.egress_set, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	exchange(&in, 600 - AT_PAYLOAD, 2);
	send_packet(&in, payload, 601 - AT_PAYLOAD);
	send_packet(&in, payload, 1472);
	exchange(&in, 600 - AT_PAYLOAD, 2);
	v = await_seen(p, 4);
	assert_int_equal(v.unfit, 2);
	assert_int_equal(v.replicated, 2);
	assert_int_equal(rule_stats(p, ROW).unfit, 2);
	plane_close(p);
}

/* The kernel cannot copy it, whatever the rule says. */
static void a_jumbo_frame_in_pieces_is_unfit(void **state)
{
	struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct mcr_rule rule = { .rule = ROW, .max_frame = 9014, .datapath = MCR_DP_XDP };
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	struct plane_attached info;
	uint8_t payload[8972] = { 0 }, frame[FRAME_MOST];
	size_t len = packet_write(frame, &in, payload, sizeof(payload));

	key.ifindex = if_nametoindex("j0");
	assert_int_equal(plane_iface_set(p, key.ifindex, SLOT, "j0", 0, NULL), 0);
	assert_int_equal(plane_attach(p, key.ifindex, "j0", &info, NULL), 0);
	assert_int_equal(plane_set_get(p, out_ifindexes, 1, &rule.egress_set, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	assert_int_equal(send(jumbo_sender, frame, len, 0), len);
	assert_int_equal(await_seen(p, 1).unfit, 1);
	plane_close(p);
}

static void a_copy_whose_ttl_ends_is_counted(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct mcr_rule rule = {
		.rule = ROW,
		.max_frame = MAX_FRAME,
		.datapath = MCR_DP_XDP,
		.accept_ttl1 = 1,
	};
	struct packet in = packet_sample(), two = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[50] = { 0 };
	struct mcr_xmit_stats xmit;

	assert_int_equal(relay_up(p, 4), 0);
	in.ttl = 1;
	send_packet(&in, payload, sizeof(payload)); /* the rule does not take it at all */
	assert_int_equal(await_seen(p, 1).ttl, 1);
	assert_int_equal(plane_set_get(p, out_ifindexes, 4, &rule.egress_set, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	send_packet(&in, payload, sizeof(payload));
	expect_packet(&in, payload, sizeof(payload), 2); /* those with a TTL of their own */
	expect_packet(&in, payload, sizeof(payload), 3);
	exchange(&two, 50, 4);
	xmit = await_xmit(p, 8);
	assert_int_equal(xmit.sent, 6);
	assert_copies(p, 0, 1, 50, 1);
	assert_copies(p, 1, 1, 50, 1);
	assert_copies(p, 2, 2, 100, 0);
	plane_close(p);
}

/* One that is down is passed over; the others have theirs. */
static void an_output_that_is_down_holds_up_nobody(void **state)
{
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[50] = { 0 };

	assert_int_equal(relay_up(p, 3), 0);
	lab_sh("ip link set o1 down");
	send_packet(&in, payload, sizeof(payload));
	expect_packet(&in, payload, sizeof(payload), 0);
	expect_packet(&in, payload, sizeof(payload), 2);
	lab_sh("ip link set o1 up");
	exchange(&in, 50, 3);
	await_xmit(p, 5);
	assert_copies(p, 0, 2, 100, 0);
	assert_copies(p, 1, 1, 50, 0);
	plane_close(p);
}

/* The frame as it comes from a driver, so many times: the kernel's own generator. */
static void run_live(struct plane *p, const void *frame, size_t len, uint32_t repeat)
{
	struct xdp_md ctx = { .data_end = (uint32_t)len, .ingress_ifindex = in_ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)repeat,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 256);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p->skel->progs.mcr_xdp), &opts), 0);
}

/*
 * As the pages of such frames are used again, the copies must look as the frames do. The ring of
 * r0 takes 256, and nobody empties it before a batch of 256 is through: with o0 twice in the set,
 * half of them are too many.
 */
static void what_a_full_ring_refuses_is_counted(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	const struct mcr_rewrite to = {
		.output = OUTPUT_ROW,
		.slot = SLOT,
		.group = { 239, 1, 1, 1 },
		.ttl = 8,
		.dscp = -1,
	};
	struct mcr_rule rule = { .rule = ROW, .max_frame = MAX_FRAME, .datapath = MCR_DP_XDP };
	const uint32_t twice[2] = { out_ifindexes[0], out_ifindexes[0] };
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[50] = { 0 }, frame[FRAME_MOST];
	size_t len = packet_write(frame, &in, payload, sizeof(payload));
	struct mcr_xmit_stats xmit;

	assert_int_equal(relay_up(p, 1), 0);
	assert_int_equal(plane_rewrite_set(p, ROW, out_ifindexes[0], &to, NULL), 0);
	assert_int_equal(plane_set_get(p, twice, 2, &rule.egress_set, NULL), 0);
	assert_int_equal(plane_rule_set(p, &key, &rule, NULL), 0);
	run_live(p, frame, len, 1024);
	xmit = await_xmit(p, 2048);
	assert_true(xmit.sent >= 256);
	assert_true(xmit.dropped >= 256);
	assert_int_equal(verdicts(p).replicated, 1024);
	assert_copies(p, 0, 2048, 2048 * 50, 0);
	for (uint64_t i = 0; i < xmit.sent; i++)
		assert_int_equal(read_frame(0, frame), len);
	assert_int_equal(recv(readers[0], frame, sizeof(frame), MSG_DONTWAIT), -1);
	plane_close(p);
}

/* Through many relays on one machine: each finds what the one before wrote in front of the frame.
 */
static void frames_that_carry_data_in_front_are_taken(void **state)
{
	struct packet in = packet_sample();
	struct plane *p = open_plane();
	uint8_t payload[50] = { 0 }, data[32 + FRAME_MOST] = { 0 };

	assert_int_equal(relay_up(p, 1), 0);
	for (uint32_t meta = 0; meta <= 32; meta += 4) {
		uint32_t len = (uint32_t)packet_write(data + meta, &in, payload, sizeof(payload));
		struct xdp_md ctx = {
			.data = meta,
			.data_end = meta + len,
			.ingress_ifindex = in_ifindex,
		};
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = meta + len,
			    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);

		assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(p->skel->progs.mcr_xdp), &opts), 0);
		assert_int_equal(opts.retval, XDP_REDIRECT);
	}
	assert_int_equal(verdicts(p).unfit, 0);
	plane_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_output_gets_its_own_bytes),
		cmocka_unit_test(every_length_keeps_its_checksum),
		cmocka_unit_test(a_completed_checksum_is_never_zero),
		cmocka_unit_test(esp_is_carried_as_it_is),
		cmocka_unit_test(wrong_checksums_end_here),
		cmocka_unit_test(too_long_ones_are_unfit),
		cmocka_unit_test(a_jumbo_frame_in_pieces_is_unfit),
		cmocka_unit_test(a_copy_whose_ttl_ends_is_counted),
		cmocka_unit_test(an_output_that_is_down_holds_up_nobody),
		cmocka_unit_test(what_a_full_ring_refuses_is_counted),
		cmocka_unit_test(frames_that_carry_data_in_front_are_taken),
	};
	const char *unfit = lab_unfit();

	if (unfit) {
		print_message("SKIPPED: %s\n", unfit);
		return LAB_SKIPPED;
	}
	seed = random_seed();
	return cmocka_run_group_tests_name("replicate", tests, replicate_setup, NULL);
}
