/* SPDX-License-Identifier: MIT */
/* Mode live: frames that an XDP program makes and redirects to the interface. */
#include "mcrgen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cksum.h"
#include "mcrgen_live.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "tools/mcrgen_live.skel.h"
#pragma GCC diagnostic pop

#define RUN_FRAMES (1u << 20) /* in a run that is not paced */
#define RUN_TRIES  (1u << 30) /* of the program in a run that is: most of them too early */
#define MARGIN_NS  50000000u  /* what a run takes to start, at most */
#define BATCH	   64	      /* frames that the kernel sends on together */
#define SLOW	   250000u    /* up to this rate, in packets a second, each is sent on at once */
#define SETTLE_NS  500000000u

struct live {
	struct mcrgen_live *bpf;
	unsigned char *frame; /* what the pages hold at first */
	size_t len;
	timer_t alarm; /* ends a run */
	bool has_alarm;
};

static struct payload fixed_payload(const struct gen *g, const struct gen_flow *f)
{
	return (struct payload){ .run = g->run,
				 .flow = f->id,
				 .flags = PAYLOAD_FIXED_BODY,
				 .length = (uint16_t)g->opt.size };
}

/* Everything that is the same in all frames of a flow; what differs is 0. */
static void write_template(const struct gen *g, const struct gen_flow *f, unsigned char *at,
			   struct gen_frame *frame)
{
	struct payload p = fixed_payload(g, f);
	struct payload_wire header;

	gen_frame_write_headers(g, f, 0, at, frame);
	payload_write_header(&header, &p);
	header.check = 0;
	memcpy(frame->payload, &header, sizeof(header));
	payload_write_body(frame->payload + PAYLOAD_HEADER, &p);
}

static enum live_checksum checksum_kind(const struct gen *g)
{
	switch ((enum gen_checksum)g->opt.checksum) {
	case GEN_FULL:
		return LIVE_FULL;
	case GEN_WRONG:
		return LIVE_WRONG;
	case GEN_PARTIAL:
	case GEN_PSEUDO:
	case GEN_ZERO:
		break;
	}
	return LIVE_GIVEN;
}

static void describe_flow(const struct gen *g, const struct gen_flow *f, struct live *l,
			  struct live_flow *out)
{
	struct gen_frame frame;

	*out = (struct live_flow){ .flow = f->id };
	write_template(g, f, l->frame, &frame);
	memset(frame.ip + 10, 0, 2);
	out->ip_sum = cksum_add(frame.ip, LIVE_UDP - 14, 0);
	out->udp_sum = cksum_add(frame.udp, sizeof(uint64_t) + g->opt.size,
				 gen_frame_sum_pseudo(g, &frame));
	if (checksum_kind(g) == LIVE_GIVEN)
		gen_frame_set_checksum(g, &frame);
	memcpy(out->headers, l->frame, LIVE_HEADERS);
}

static int write_flows(const struct gen *g, struct live *l)
{
	int fd = bpf_map__fd(l->bpf->maps.flows), err = 0;
	struct live_flow flow;
	uint32_t i;

	for (i = 0; i < g->n_flows && !err; i++) {
		describe_flow(g, &g->flows[i], l, &flow);
		err = bpf_map_update_elem(fd, &i, &flow, BPF_ANY);
	}
	return err ? gen_fail("flows") : 0;
}

static int load(const struct gen *g, struct live *l)
{
	l->bpf = mcrgen_live__open();
	if (!l->bpf)
		return gen_fail("BPF program");
	l->bpf->rodata->out_ifindex = (uint32_t)g->ifindex;
	l->bpf->rodata->n_flows = (uint32_t)g->n_flows;
	l->bpf->rodata->burst = (uint32_t)g->opt.burst;
	l->bpf->rodata->run = g->run;
	l->bpf->rodata->length = (uint16_t)g->opt.size;
	l->bpf->rodata->checksum = checksum_kind(g);
	l->bpf->rodata->rate = g->opt.rate;
	l->bpf->rodata->limit = gen_total(&g->opt);
	l->bpf->bss->left = (uint32_t)g->opt.burst;
	errno = -bpf_map__set_max_entries(l->bpf->maps.flows, (uint32_t)g->n_flows);
	if (!errno)
		errno = -mcrgen_live__load(l->bpf);
	return errno ? gen_fail("cannot load the BPF program") : 0;
}

static void ignore_alarm(int signal)
{
}

/* A signal makes the kernel end a run; this one has no other effect. */
static int make_alarm(struct live *l)
{
	struct sigaction action = { .sa_handler = ignore_alarm };

	sigaction(SIGALRM, &action, NULL);
	if (timer_create(CLOCK_MONOTONIC, NULL, &l->alarm))
		return gen_fail("timer");
	l->has_alarm = true;
	return 0;
}

static int live_open(struct gen *g)
{
	struct live *l = calloc(1, sizeof(*l));
	int err;

	g->state = l;
	if (!l)
		return -ENOMEM;
	l->len = LIVE_HEADERS - PAYLOAD_HEADER + g->opt.size;
	l->frame = malloc(l->len);
	if (!l->frame)
		return gen_fail("memory");
	err = gen_frame_init(g);
	if (!err)
		err = load(g, l);
	if (!err)
		err = write_flows(g, l);
	if (!err)
		err = make_alarm(l);
	g->paces_itself = true;
	g->batch_max = RUN_FRAMES;
	return err;
}

/* When the run should be over, if nothing goes wrong; UINT64_MAX: when all tries are made. */
static uint64_t end_of_run(const struct gen *g)
{
	uint64_t total = gen_total(&g->opt), now = gen_now_ns(), end = UINT64_MAX;

	if (g->opt.rate && total != UINT64_MAX)
		end = now + gen_span_ns(g, total - g->attempts) + MARGIN_NS;
	else if (!g->opt.rate && g->opt.duration_ns)
		end = g->start_ns + g->opt.duration_ns;
	return end < now + MARGIN_NS ? now + MARGIN_NS : end;
}

static void set_alarm(const struct live *l, uint64_t at_ns)
{
	struct itimerspec at = { 0 };

	if (at_ns != UINT64_MAX) {
		at.it_value.tv_sec = (time_t)(at_ns / 1000000000u);
		at.it_value.tv_nsec = (long)(at_ns % 1000000000u);
	}
	timer_settime(l->alarm, TIMER_ABSTIME, &at, NULL);
}

/* The kernel lets a frame wait until the program was asked for a whole batch. */
static uint32_t batch_size(const struct gen *g, unsigned n)
{
	if (g->opt.rate && g->opt.rate <= SLOW)
		return 1;
	return n < BATCH ? n : BATCH;
}

static int live_send(struct gen *g, unsigned n)
{
	struct live *l = g->state;
	struct xdp_md context = { .data_end = (uint32_t)l->len };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = l->frame, .data_size_in = (uint32_t)l->len,
		    .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int err;

	run.repeat = (int)(g->opt.rate ? RUN_TRIES : n);
	run.batch_size = batch_size(g, n);
	set_alarm(l, end_of_run(g));
	err = bpf_prog_test_run_opts(bpf_program__fd(l->bpf->progs.generate), &run);
	g->attempts = l->bpf->bss->made;
	if (!err || errno == EINTR)
		return 0;
	if (errno == EINVAL)
		fprintf(stderr, "mcrgen: --size %llu may be too much for a frame in one page\n",
			(unsigned long long)g->opt.size);
	return gen_fail("BPF_PROG_TEST_RUN");
}

/* The time that matters is that between the first and the last frame. */
static void take_times(struct gen *g, const struct live *l)
{
	uint64_t last_ns = l->bpf->bss->last_ns;

	if (!g->attempts)
		return;
	g->start_ns = l->bpf->bss->started_ns;
	g->end_ns = g->opt.rate ? g->start_ns + gen_span_ns(g, g->attempts) : last_ns;
	if (g->end_ns < last_ns)
		g->end_ns = last_ns;
}

/* Frames still on their way are counted at the interface once the other end has taken them. */
static int live_settle(struct gen *g)
{
	struct live *l = g->state;
	uint64_t until = gen_now_ns() + SETTLE_NS, missing;
	struct live_flow flow;
	struct gen_device now;
	uint32_t i;
	int err;

	take_times(g, l);
	for (i = 0; i < g->n_flows; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.flows), &i, &flow))
			return gen_fail("flows");
		g->flows[i].sent = g->flows[i].next = flow.sequence;
	}
	do {
		err = gen_read_device(g->opt.interface, &now);
		if (err)
			return err;
		missing = g->attempts - (now.tx_packets - g->before.tx_packets) -
			  (now.tx_dropped - g->before.tx_dropped);
		if ((int64_t)missing <= 0)
			return 0;
		usleep(1000);
	} while (gen_now_ns() < until);
	fprintf(stderr,
		"mcrgen: %s counts %llu frames less than were made: a veth needs GRO or an XDP "
		"program at its other end to take them\n",
		g->opt.interface, (unsigned long long)missing);
	g->unaccounted = missing;
	return 0;
}

static void live_close(struct gen *g)
{
	struct live *l = g->state;

	if (!l)
		return;
	if (l->has_alarm)
		timer_delete(l->alarm);
	mcrgen_live__destroy(l->bpf);
	free(l->frame);
	free(l);
}

const struct gen_mode gen_mode_live = { live_open, live_send, live_settle, live_close };
