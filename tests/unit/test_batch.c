/* SPDX-License-Identifier: MIT */
/*
 * Sorting frames into runs: where a run ends, that flows keep their order, and that gathering
 * gives back what was put in. The random tests know only what a run is, not how it is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "worker/batch.h"

#define PAYLOAD_ROOM (1u << 20)

static uint64_t seed;
static uint8_t payload[PAYLOAD_ROOM], gathered[PAYLOAD_ROOM], whole[PAYLOAD_ROOM];
static struct batch b;
static const struct table_rule *rule_of[BATCH_FRAMES]; /* what frame i was added with */
static struct table_rule one = { .row = 1 }, two = { .row = 2 }, esp = { .row = 3 };
static uint32_t used; /* of payload[] */

static void clear(void)
{
	batch_clear(&b);
	used = 0;
}

static struct mcr_flow flow_sample(void)
{
	return (struct mcr_flow){
		.group = htonl(IP(239, 1, 1, 1)),
		.source = htonl(IP(198, 18, 0, 1)),
		.sport = htons(4000),
		.dport = htons(5001),
		.protocol = PACKET_UDP,
		.ttl = 8,
		.df = 1,
	};
}

/* The next frame, `len` bytes in `n_pieces` pieces as equal as can be; add() puts it into a run. */
static struct frame *next_frame(const struct mcr_flow *flow, uint32_t len, uint32_t n_pieces)
{
	struct frame *f = &b.frames[b.n_frames];

	assert_true(b.n_frames < BATCH_FRAMES && b.n_pieces + n_pieces <= BATCH_PIECES);
	if (used + len > PAYLOAD_ROOM)
		used = 0;
	*f = (struct frame){
		.flow = *flow,
		.head = &payload[b.n_frames],
		.payload = &b.pieces[b.n_pieces],
		.n_payload = n_pieces,
		.len = len,
		.segment = (uint16_t)len,
		.datagrams = 1,
		.checksum = FRAME_CSUM_FULL,
	};
	f->flow.ip_len = (uint16_t)(28 + len);
	for (uint32_t i = 0; i < n_pieces; i++) {
		uint32_t size = len / n_pieces + (i < len % n_pieces);

		b.pieces[b.n_pieces++] = (struct iovec){ payload + used, size };
		used += size;
	}
	return f;
}

static void add(const struct table_rule *rule)
{
	rule_of[b.n_frames] = rule;
	batch_add(&b, b.n_frames++, rule);
}

/* Adds a datagram of the sample's flow. */
static void add_len(uint32_t len)
{
	struct mcr_flow flow = flow_sample();

	next_frame(&flow, len, 1);
	add(&one);
}

static uint32_t run_frames(const struct run *r)
{
	uint32_t n = 1;

	for (uint32_t i = r->first; i != r->last; i = b.next[i])
		n++;
	return n;
}

static void assert_runs(uint32_t n, ...)
{
	va_list ap;

	assert_int_equal(b.n_runs, n);
	va_start(ap, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(b.runs[i].datagrams, va_arg(ap, int));
	va_end(ap);
}

static void equal_datagrams_are_one_run(void **state)
{
	clear();
	for (int i = 0; i < 10; i++)
		add_len(100);
	assert_runs(1, 10);
	assert_int_equal(b.runs[0].bytes, 1000);
	assert_int_equal(b.runs[0].segment, 100);
	assert_int_equal(b.runs[0].n_pieces, 10);
	assert_ptr_equal(b.runs[0].head, b.frames[0].head);
	assert_ptr_equal(b.runs[0].rule, &one);
}

static void a_shorter_one_ends_its_run(void **state)
{
	clear();
	add_len(100);
	add_len(100);
	add_len(99);
	add_len(99);
	add_len(100);
	assert_runs(3, 3, 1, 1);
	assert_int_equal(b.runs[0].bytes, 299);
	assert_int_equal(b.runs[1].segment, 99);
}

static void a_longer_one_begins_the_next(void **state)
{
	clear();
	add_len(100);
	add_len(101);
	add_len(101);
	add_len(1);
	add_len(1);
	assert_runs(3, 1, 3, 1);
}

static void a_run_has_at_most_64_datagrams(void **state)
{
	clear();
	for (int i = 0; i < 130; i++)
		add_len(10);
	assert_runs(3, 64, 64, 2);
}

static void a_run_has_at_most_what_udp_can_carry(void **state)
{
	clear();
	for (int i = 0; i < 7; i++)
		add_len(9000);
	add_len(RUN_BYTES - 7 * 9000); /* just fits */
	assert_runs(1, 8);
	assert_int_equal(b.runs[0].bytes, RUN_BYTES);
	clear();
	for (int i = 0; i < 7; i++)
		add_len(9000);
	add_len(RUN_BYTES - 7 * 9000 + 1);
	assert_runs(2, 7, 1);
	clear();
	add_len(RUN_BYTES);
	add_len(RUN_BYTES);
	add_len(1);
	assert_runs(3, 1, 1, 1);
}

static void a_run_has_at_most_66_pieces(void **state)
{
	struct mcr_flow flow = flow_sample();

	clear();
	for (int i = 0; i < 12; i++) {
		next_frame(&flow, 5000, 6);
		add(&one);
	}
	assert_runs(2, 11, 1);
	clear();
	for (int i = 0; i < 2; i++) {
		next_frame(&flow, 30000, FRAME_PIECES_MAX);
		add(&one);
	}
	assert_runs(2, 1, 1);
}

static void an_empty_datagram_stands_alone(void **state)
{
	clear();
	add_len(100);
	add_len(0);
	add_len(0);
	add_len(100);
	assert_runs(4, 1, 1, 1, 1);
	assert_int_equal(b.runs[1].bytes, 0);
}

/* Everything that the headers of a copy are made from. */
static void other_headers_are_another_run(void **state)
{
	struct mcr_flow flow = flow_sample(), other;

	for (int i = 0; i < 9; i++) {
		struct frame *f;

		other = flow;
		other.ttl = i == 0 ? 7 : other.ttl;
		other.tos = i == 1 ? 2 : other.tos;
		other.df = i == 2 ? 0 : other.df;
		other.sport = i == 3 ? 1 : other.sport;
		other.dport = i == 4 ? 1 : other.dport;
		other.source = i == 5 ? 1 : other.source;
		other.group = i == 6 ? 1 : other.group;
		clear();
		next_frame(&flow, 100, 1);
		add(&one);
		f = next_frame(&other, 100, 1);
		f->checksum = i == 7 ? FRAME_CSUM_NONE : FRAME_CSUM_FULL;
		add(i == 8 ? &two : &one);
		next_frame(&other, 100, 1)->checksum = f->checksum;
		add(i == 8 ? &two : &one);
		next_frame(&flow, 100, 1);
		add(&one);
		assert_int_equal(b.runs[0].flow.ttl, 8);
		assert_true(b.n_runs == 2 || b.n_runs == 3);
		assert_int_equal(b.runs[1].datagrams, 2);
	}
}

/* Both are completed the same way, so they may share a send. */
static void unfinished_and_full_checksums_mix(void **state)
{
	struct mcr_flow flow = flow_sample();

	clear();
	add_len(100);
	next_frame(&flow, 100, 1)->checksum = FRAME_CSUM_PARTIAL;
	add(&one);
	assert_runs(1, 2);
}

static void interleaved_flows_share_nothing(void **state)
{
	struct mcr_flow flow = flow_sample(), other = flow_sample();

	other.dport = htons(5002);
	clear();
	for (int i = 0; i < 20; i++) {
		next_frame(i & 1 ? &other : &flow, 100, 1);
		add(&one);
	}
	assert_runs(2, 10, 10);
}

static void a_super_frame_is_a_run_of_its_own(void **state)
{
	struct mcr_flow flow = flow_sample();
	struct frame *f;

	clear();
	add_len(100);
	f = next_frame(&flow, 250, 1);
	f->segment = 100;
	f->datagrams = 3;
	add(&one);
	add_len(100);
	assert_runs(3, 1, 3, 1);
	assert_int_equal(b.runs[1].segment, 100);
	assert_int_equal(b.runs[1].bytes, 250);
}

static void esp_is_never_a_segment(void **state)
{
	struct mcr_flow flow = flow_sample();

	flow.protocol = PACKET_ESP;
	flow.sport = flow.dport = 0;
	clear();
	for (int i = 0; i < 3; i++) {
		next_frame(&flow, 100, 1)->checksum = FRAME_CSUM_NONE;
		add(&esp);
	}
	assert_runs(3, 1, 1, 1);
}

/* The hash of open runs is not cleared with the batch. */
static void nothing_is_left_of_the_batch_before(void **state)
{
	clear();
	add_len(100);
	add_len(100);
	clear();
	add_len(100);
	assert_runs(1, 1);
	assert_int_equal(b.runs[0].first, 0);
	assert_int_equal(b.runs[0].last, 0);
}

/* --- random batches ------------------------------------------------------------------------------
 */

/* Few flows and lengths, so that all limits are met; now and then flows enough for collisions. */
static void add_random(uint32_t n_flows, uint32_t n_lengths)
{
	static const uint32_t lengths[] = { 1000, 100, 99, 1400, 9000, 3, 0, 60000 };
	struct mcr_flow flow = flow_sample();
	uint32_t which = random_below(&seed, n_flows), rare = random_below(&seed, 100);
	struct frame *f;

	flow.dport = htons((uint16_t)(5000 + which / 2));
	flow.ttl = rare == 0 ? 7 : 8;
	flow.protocol = rare == 1 ? PACKET_ESP : PACKET_UDP;
	f = next_frame(&flow, lengths[random_below(&seed, n_lengths)],
		       rare < 20 ? 1 + random_below(&seed, 7) : 1);
	if (rare == 2 && f->len > 10) {
		f->segment = (uint16_t)(f->len / 3);
		f->datagrams = (uint16_t)((f->len + f->segment - 1) / f->segment);
	}
	if (rare == 3 || rare == 1)
		f->checksum = FRAME_CSUM_NONE;
	add(rare == 1 ? &esp : which & 1 ? &two : &one);
}

static void assert_run(const struct run *r)
{
	const struct frame *head = &b.frames[r->first];
	uint32_t bytes = 0, pieces = 0, datagrams = 0;

	assert_ptr_equal(r->head, head->head);
	assert_ptr_equal(r->rule, rule_of[r->first]);
	for (uint32_t i = r->first;; i = b.next[i]) {
		const struct frame *f = &b.frames[i];

		assert_ptr_equal(rule_of[i], r->rule);
		assert_int_equal(f->flow.dport, head->flow.dport);
		assert_int_equal(f->flow.ttl, head->flow.ttl);
		assert_int_equal(f->flow.protocol, head->flow.protocol);
		assert_int_equal(f->checksum == FRAME_CSUM_NONE, r->checksum == FRAME_CSUM_NONE);
		assert_true(i == r->last ? f->segment <= r->segment : f->len == r->segment);
		bytes += f->len;
		pieces += f->n_payload;
		datagrams += f->datagrams;
		if (i == r->last)
			break;
		assert_true(b.next[i] > i && b.next[i] < b.n_frames);
	}
	assert_int_equal(r->bytes, bytes);
	assert_int_equal(r->n_pieces, pieces);
	assert_int_equal(r->datagrams, datagrams);
	assert_true(pieces <= RUN_PIECES && bytes <= RUN_BYTES);
	assert_true(datagrams <= RUN_DATAGRAMS);
	if (run_frames(r) > 1)
		assert_true(r->flow.protocol == PACKET_UDP && r->segment > 0);
}

/* All frames are in runs, each once, and those of one flow in the order they came. */
static void assert_order(void)
{
	static uint32_t last[4][1 << 16]; /* by rule and port: 1 + the flow's frame before */
	uint32_t n = 0;

	memset(last, 0, sizeof(last));
	for (uint32_t k = 0; k < b.n_runs; k++)
		for (uint32_t i = b.runs[k].first;; i = b.next[i]) {
			uint32_t *before = &last[rule_of[i]->row][ntohs(b.frames[i].flow.dport)];

			assert_true(*before <= i);
			*before = i + 1;
			n++;
			if (i == b.runs[k].last)
				break;
		}
	assert_int_equal(n, b.n_frames);
}

static uint32_t run_concatenate(const struct run *r)
{
	uint32_t at = 0;

	for (uint32_t i = r->first;; i = b.next[i]) {
		const struct frame *f = &b.frames[i];

		for (uint32_t p = 0; p < f->n_payload; p++) {
			memcpy(whole + at, f->payload[p].iov_base, f->payload[p].iov_len);
			at += (uint32_t)f->payload[p].iov_len;
		}
		if (i == r->last)
			return at;
	}
}

static void assert_gather(const struct run *r, uint32_t from, uint32_t len)
{
	struct iovec iov[RUN_PIECES];
	uint32_t n = batch_gather(&b, r, from, len, iov, RUN_PIECES), at = 0;

	assert_true(n <= RUN_PIECES);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		memcpy(gathered + at, iov[i].iov_base, iov[i].iov_len);
		at += (uint32_t)iov[i].iov_len;
	}
	assert_int_equal(at, len);
	assert_memory_equal(gathered, whole + from, len);
}

static void assert_gathers(const struct run *r)
{
	assert_int_equal(run_concatenate(r), r->bytes);
	assert_gather(r, 0, r->bytes);
	for (int i = 0; i < 20; i++) {
		uint32_t from = random_below(&seed, r->bytes + 1);

		assert_gather(r, from, random_below(&seed, r->bytes - from + 1));
	}
	for (uint32_t from = 0; r->segment && from < r->bytes; from += r->segment)
		assert_gather(r, from, r->bytes - from < r->segment ? r->bytes - from : r->segment);
}

/* Sources that differ in one byte only must not meet in few slots: a search would take for ever. */
static void neighbours_are_spread(void **state)
{
	struct mcr_flow flow = flow_sample();
	uint32_t steps = 0;

	clear();
	for (uint32_t i = 0; i < BATCH_FRAMES; i++) {
		uint32_t n = b.n_runs;

		flow.source = htonl(IP(198, 18, 0, 0) + i);
		next_frame(&flow, 10, 1);
		add(&one);
		assert_int_equal(b.n_runs, n + 1);
	}
	for (uint32_t slot = 0, chain = 0; slot < BATCH_SLOTS; slot++) {
		bool is_used = b.open[slot] < b.n_runs && b.runs[b.open[slot]].slot == slot;

		chain = is_used ? chain + 1 : 0;
		if (chain > steps)
			steps = chain;
	}
	assert_true(steps < 64);
}

/* Round robin: the worst order there is. */
static void a_thousand_flows_have_a_run_each(void **state)
{
	struct mcr_flow flow = flow_sample();

	clear();
	for (uint32_t i = 0; i < BATCH_FRAMES; i++) {
		flow.dport = htons((uint16_t)(5001 + i % 1000));
		next_frame(&flow, 100, 1);
		add(&one);
	}
	assert_int_equal(b.n_runs, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(b.runs[i].datagrams,
				 BATCH_FRAMES / 1000 + (i < BATCH_FRAMES % 1000));
	assert_order();
}

static void fill_batch(uint32_t n, uint32_t n_flows)
{
	struct mcr_flow flow = flow_sample();

	for (uint32_t i = 0; i < n; i++) {
		flow.source = htonl(IP(198, 18, 0, 0) + i % n_flows);
		next_frame(&flow, 10, 1);
		add(&one);
	}
}

static void thin_flows_make_larger_batches(void **state)
{
	clear();
	fill_batch(BATCH_FEW - 1, 4);
	assert_false(batch_is_full(&b));
	fill_batch(1, 1);
	assert_true(batch_is_full(&b));
	clear();
	fill_batch(BATCH_FRAMES - 1, BATCH_FRAMES / 8);
	assert_true(batch_is_thin(&b));
	assert_false(batch_is_full(&b));
	fill_batch(1, 1);
	assert_true(batch_is_full(&b));
}

static void many_sends_end_a_batch(void **state)
{
	clear();
	one.n_outputs = 16;
	fill_batch(BATCH_SENDS / 16 - 1, BATCH_FRAMES);
	assert_false(batch_is_full(&b));
	fill_batch(1, 1);
	assert_false(batch_is_full(&b)); /* of a flow that has a run */
	next_frame(&(struct mcr_flow){ .ttl = 1 }, 10, 1);
	add(&one);
	assert_true(batch_is_full(&b));
	one.n_outputs = 0;
}

static void super_frames_are_runs_already(void **state)
{
	struct mcr_flow flow = flow_sample();

	clear();
	next_frame(&flow, 1000, 1)->datagrams = BATCH_RUN;
	add(&one);
	assert_false(batch_is_thin(&b));
	next_frame(&flow, 1000, 1)->datagrams = BATCH_RUN - 1;
	add(&one);
	assert_true(batch_is_thin(&b));
}

static void a_batch_ends_when_pieces_may_not_do(void **state)
{
	clear();
	for (uint32_t n = 0; !batch_is_full(&b); n++) {
		struct mcr_flow flow = flow_sample();

		flow.source = n;
		next_frame(&flow, FRAME_PIECES_MAX, FRAME_PIECES_MAX);
		add(&one);
	}
	assert_true(b.n_frames < BATCH_FRAMES && b.n_pieces <= BATCH_PIECES);
}

static void random_batches_keep_order_and_bytes(void **state)
{
	for (int round = 0; round < 50; round++) {
		uint32_t n_flows = 1u << random_below(&seed, 13);
		uint32_t n_lengths = 1 + random_below(&seed, 8);

		clear();
		while (b.n_frames < BATCH_FRAMES && b.n_pieces + 7 <= BATCH_PIECES)
			add_random(n_flows, n_lengths);
		for (uint32_t k = 0; k < b.n_runs; k++) {
			assert_run(&b.runs[k]);
			assert_gathers(&b.runs[k]);
		}
		assert_order();
	}
}

static void gathering_stops_at_its_room_and_at_the_end(void **state)
{
	struct iovec iov[4] = { 0 };

	clear();
	add_len(100);
	add_len(100);
	add_len(50);
	assert_int_equal(batch_gather(&b, &b.runs[0], 0, 250, iov, 2), 2);
	assert_ptr_equal(iov[2].iov_base, NULL);
	assert_int_equal(batch_gather(&b, &b.runs[0], 240, 1000, iov, 4), 1);
	assert_int_equal(iov[0].iov_len, 10);
	assert_int_equal(batch_gather(&b, &b.runs[0], 250, 1, iov, 4), 0);
	assert_int_equal(batch_gather(&b, &b.runs[0], 0, 0, iov, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_datagrams_are_one_run),
		cmocka_unit_test(a_shorter_one_ends_its_run),
		cmocka_unit_test(a_longer_one_begins_the_next),
		cmocka_unit_test(a_run_has_at_most_64_datagrams),
		cmocka_unit_test(a_run_has_at_most_what_udp_can_carry),
		cmocka_unit_test(a_run_has_at_most_66_pieces),
		cmocka_unit_test(an_empty_datagram_stands_alone),
		cmocka_unit_test(other_headers_are_another_run),
		cmocka_unit_test(unfinished_and_full_checksums_mix),
		cmocka_unit_test(interleaved_flows_share_nothing),
		cmocka_unit_test(a_super_frame_is_a_run_of_its_own),
		cmocka_unit_test(esp_is_never_a_segment),
		cmocka_unit_test(nothing_is_left_of_the_batch_before),
		cmocka_unit_test(neighbours_are_spread),
		cmocka_unit_test(a_thousand_flows_have_a_run_each),
		cmocka_unit_test(thin_flows_make_larger_batches),
		cmocka_unit_test(many_sends_end_a_batch),
		cmocka_unit_test(super_frames_are_runs_already),
		cmocka_unit_test(a_batch_ends_when_pieces_may_not_do),
		cmocka_unit_test(random_batches_keep_order_and_bytes),
		cmocka_unit_test(gathering_stops_at_its_room_and_at_the_end),
	};
	uint64_t fixed = 1;

	random_fill(&fixed, payload, sizeof(payload));
	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
