/* SPDX-License-Identifier: MIT */
/*
 * What the steps of a worker cost for one frame, apart from each other and with warm caches: the
 * least that each adds. Prints JSON: function → ns a call (median, min and max of REPEATS runs).
 */
#include <stdlib.h>
#include <time.h>

#include "../lib/packet.h"
#include "base/cksum.h"
#include "worker/header.h"

/* Its rings are private, and what is wanted here is exactly what it does with them. */
#include "../../userspace/worker/ingress_afxdp.c" /* NOLINT(bugprone-suspicious-include) */

#define REPEATS 9
#define CALLS	(64 * BATCH_FRAMES)
#define IF_A	3
#define FRAMES	64 /* different ones, as if from a ring */
#define ROOM	2048

static uint8_t frames[FRAMES][ROOM], payload[ROOM];
static struct batch b;
static struct table *table;
static uint32_t payload_len;
static volatile uint64_t result; /* so that nothing is left out */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *c)
{
	double d = *(const double *)a - *(const double *)c;

	return d < 0 ? -1 : d > 0;
}

static void measure(const char *name, const char *what, void (*run)(void))
{
	static bool has_one;
	double ns[REPEATS], start;
	uint32_t i;

	run();
	for (i = 0; i < REPEATS; i++) {
		start = now_ns();
		run();
		ns[i] = (now_ns() - start) / CALLS;
	}
	qsort(ns, REPEATS, sizeof(ns[0]), by_value);
	printf("%s {\"function\": \"%s\", \"what\": \"%s\", \"unit\": \"ns\", \"median\": %.1f, "
	       "\"min\": %.1f, \"max\": %.1f, \"repeats\": %d}",
	       has_one ? ",\n" : "[\n", name, what, ns[REPEATS / 2], ns[0], ns[REPEATS - 1],
	       REPEATS);
	has_one = true;
}

/* --- what there is to work on --- */

static void make_frames(uint32_t len)
{
	struct packet p = packet_sample();
	uint64_t seed = 1;
	uint32_t i;

	payload_len = len;
	random_fill(&seed, payload, sizeof(payload));
	for (i = 0; i < FRAMES; i++) {
		p.id = (uint16_t)i;
		packet_write(frames[i], &p, payload, len);
	}
}

static void add_rule(uint32_t row, uint32_t group)
{
	struct wm_rule *m = calloc(1, sizeof(*m) + sizeof(m->outputs[0]));

	if (!m)
		abort();
	m->key = (struct mcr_rule_key){ .ifindex = IF_A, .port = 5001, .protocol = PACKET_UDP };
	put32(m->key.group, group);
	m->rule = row;
	m->n_outputs = 1;
	if (table_apply(table, m))
		abort();
	free(m);
}

static void make_table(uint32_t rules)
{
	uint32_t i;

	table_free(table);
	table = table_new();
	if (!table)
		abort();
	add_rule(1, IP(239, 1, 1, 1));
	for (i = 1; i < rules; i++)
		add_rule(i + 1, IP(239, 2, 0, 0) + i);
}

/* Frame i of the batch, read. */
static void read_frame(uint32_t i)
{
	struct frame_raw raw = { .pieces = &b.pieces[i],
				 .n_pieces = 1,
				 .len = AT_PAYLOAD + payload_len };

	b.pieces[i] = (struct iovec){ frames[i % FRAMES], raw.len };
	result += frame_read(&b.frames[i], &raw);
}

/* --- what is measured --- */

static void run_parse(void)
{
	uint32_t i;

	for (i = 0; i < CALLS; i++)
		read_frame(i % BATCH_FRAMES);
}

static void run_find(void)
{
	uint32_t i;

	for (i = 0; i < CALLS; i++)
		result += table_find(table, IF_A, &b.frames[i % BATCH_FRAMES].flow)->row;
}

/* Runs of 64 datagrams each, as one flow makes them. */
static void run_batch(void)
{
	const struct table_rule *rule = table_find(table, IF_A, &b.frames[0].flow);
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		if (i % BATCH_FRAMES == 0)
			batch_clear(&b);
		batch_add(&b, i % BATCH_FRAMES, rule);
	}
	result += b.n_runs;
}

static void run_header(void)
{
	const struct wm_output out = { .keeps_source = 1, .dscp = -1 };
	uint8_t at[HEADER_MAX];
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		header_frame(at, &b.runs[0], &out, payload_len * 64);
		result += at[22];
	}
}

static void run_sum(void)
{
	uint32_t i;

	for (i = 0; i < CALLS; i++)
		result += cksum_add(frames[i % FRAMES] + AT_PAYLOAD, payload_len, i);
}

/* Buffers of a batch are taken from the receive ring and given back to the fill ring. */
static void run_buffers(void)
{
	static uint64_t fill[BATCH_FRAMES], aside[BATCH_FRAMES];
	static struct xdp_desc rx[BATCH_FRAMES];
	static uint32_t producer, consumer, fill_producer, fill_consumer, flags;
	struct afxdp x = {
		.in = { &afxdp_ops, -1 }, .umem = frames[0], .frames = BATCH_FRAMES, .aside = aside
	};
	struct frame_raw raw;
	uint32_t i;

	producer = consumer = fill_producer = fill_consumer = 0;
	x.rx = (struct xsk_ring_cons){ .mask = BATCH_FRAMES - 1,
				       .size = BATCH_FRAMES,
				       .producer = &producer,
				       .consumer = &consumer,
				       .ring = rx,
				       .flags = &flags };
	x.fill = (struct xsk_ring_prod){ .cached_cons = BATCH_FRAMES,
					 .mask = BATCH_FRAMES - 1,
					 .size = BATCH_FRAMES,
					 .producer = &fill_producer,
					 .consumer = &fill_consumer,
					 .ring = fill,
					 .flags = &flags };
	stock_init(&x.stock, BATCH_FRAMES);
	for (i = 0; i < BATCH_FRAMES; i++)
		rx[i] = (struct xdp_desc){ .addr = i % FRAMES * ROOM, .len = 142 };
	for (i = 0; i < CALLS; i++) {
		if (i % BATCH_FRAMES == 0) {
			__atomic_store_n(&producer, producer + BATCH_FRAMES, __ATOMIC_RELEASE);
			batch_clear(&b);
		}
		result += afxdp_take(&x.in, &b, &raw);
		if (i % BATCH_FRAMES == BATCH_FRAMES - 1) {
			afxdp_release(&x.in, i, false);
			fill_consumer = fill_producer;
		}
	}
	if (fill_producer != CALLS)
		abort(); /* not all were given back */
}

int main(void)
{
	measure("buffer", "from the receive ring and back to the fill ring", run_buffers);
	make_table(1);
	make_frames(1400);
	measure("frame_read", "parse and verify, 1400 B", run_parse);
	measure("cksum_add", "1400 B", run_sum);
	make_frames(100);
	measure("frame_read", "parse and verify, 100 B", run_parse);
	measure("cksum_add", "100 B", run_sum);
	measure("table_find", "look-up among 1 rule", run_find);
	measure("batch_add", "into runs of 64", run_batch);
	measure("header_frame", "headers of one send", run_header);
	make_table(10000);
	measure("table_find", "look-up among 10,000 rules", run_find);
	printf("\n]\n");
	table_free(table);
	return 0;
}
