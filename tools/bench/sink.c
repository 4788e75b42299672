/* SPDX-License-Identifier: MIT */
/*
 * The receivers of a benchmark: puts the counting program on an interface in each of N namespaces
 * and answers commands on stdin, one a line, each with a line of JSON:
 *   reset                   forgets everything, and reads each datagram
 *   trust                   from now on believes large buffers by their ends (see sink.bpf.c)
 *   doubt                   reads each datagram again
 *   pass                    lets go on what it counts, so that others may count it, too
 *   time                    begins to take times
 *   count                   how much has come so far, and when that was
 *   read                    the same, and what was lost, came twice, late or corrupt
 *   latency                 percentiles of the times
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "sink.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "tools/bench/sink.skel.h"
#pragma GCC diagnostic pop

#define RECEIVERS_MAX 64
#define FLOWS_MAX     100000

struct receiver {
	struct sink *bpf;
};

struct flow_row {
	__u64 is_taken;
	struct sink_flow f;
};

static struct receiver receivers[RECEIVERS_MAX];
static uint32_t n_receivers, n_flows;

static void die(const char *what)
{
	fprintf(stderr, "bench sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- start --- */

static void load(struct receiver *r)
{
	r->bpf = sink__open();
	if (!r->bpf)
		die("BPF program");
	r->bpf->rodata->n_flows = n_flows;
	errno = -bpf_map__set_max_entries(r->bpf->maps.flows, n_flows);
	if (!errno)
		errno = -sink__load(r->bpf);
	if (errno)
		die("cannot load the BPF program");
}

/* It stays attached as long as the namespace is there. */
static void attach(const struct receiver *r, const char *interface)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(r->bpf->progs.bench_count));

	hook.ifindex = (int)if_nametoindex(interface);
	if (!hook.ifindex)
		die(interface);
	errno = -bpf_tc_hook_create(&hook);
	if (errno && errno != EEXIST)
		die("clsact");
	errno = -bpf_tc_attach(&hook, &opts);
	if (errno)
		die("attach");
}

static void enter(const char *namespace)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

/* --- reading --- */

static struct sink_counts sum(const struct receiver *r)
{
	struct sink_counts s = { 0 };
	uint32_t i;

	for (i = 0; i < SINK_CPUS; i++) {
		const struct sink_counts *c = &r->bpf->bss->counts[i];

		s.datagrams += c->datagrams;
		s.buffers += c->buffers;
		s.walked += c->walked;
		s.corrupt += c->corrupt;
		s.foreign += c->foreign;
	}
	return s;
}

static void reset(void)
{
	uint32_t i, at;

	for (i = 0; i < n_receivers; i++) {
		struct sink__bss *b = receivers[i].bpf->bss;
		int fd = bpf_map__fd(receivers[i].bpf->maps.flows);
		struct flow_row row = { 0 };

		for (at = 0; at < n_flows; at++)
			if (bpf_map_update_elem(fd, &at, &row, BPF_ANY))
				die("flows");
		memset(b->counts, 0, sizeof(b->counts));
		memset(b->latency, 0, sizeof(b->latency));
		b->latency_max = 0;
		if (b->run)
			b->run_before = b->run;
		b->run = 0;
		b->is_exact = 1;
		b->is_timed = 0;
	}
	printf("{}\n");
}

static void set_exact(uint32_t is_exact)
{
	uint32_t i;

	for (i = 0; i < n_receivers; i++)
		receivers[i].bpf->bss->is_exact = is_exact;
	printf("{}\n");
}

static void let_pass(void)
{
	uint32_t i;

	for (i = 0; i < n_receivers; i++)
		receivers[i].bpf->bss->is_passing = 1;
	printf("{}\n");
}

static void take_times(void)
{
	uint32_t i;

	for (i = 0; i < n_receivers; i++) {
		memset(receivers[i].bpf->bss->latency, 0, sizeof(receivers[i].bpf->bss->latency));
		receivers[i].bpf->bss->latency_max = 0;
		receivers[i].bpf->bss->is_timed = 1;
	}
	printf("{}\n");
}

static void count(void)
{
	uint64_t total = 0, at = now_ns();
	uint32_t i;

	for (i = 0; i < n_receivers; i++)
		total += sum(&receivers[i]).datagrams;
	printf("{\"at_ns\": %" PRIu64 ", \"datagrams\": %" PRIu64 "}\n", at, total);
}

/* Adds up the flows of a receiver; `lost` of each goes by the highest number it has seen. */
static uint64_t add_flows(const struct receiver *r, struct sink_flow *total)
{
	int fd = bpf_map__fd(r->bpf->maps.flows);
	struct flow_row row;
	uint64_t lost = 0;
	uint32_t at;

	for (at = 0; at < n_flows; at++) {
		if (bpf_map_lookup_elem(fd, &at, &row))
			die("flows");
		total->received += row.f.received;
		total->unique += row.f.unique;
		total->duplicated += row.f.duplicated;
		total->reordered += row.f.reordered;
		total->stale += row.f.stale;
		lost += row.f.next - row.f.unique;
	}
	return lost;
}

static void read_all(void)
{
	struct sink_flow total = { 0 };
	struct sink_counts s, all = { 0 };
	uint64_t lost = 0, least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < n_receivers; i++) {
		s = sum(&receivers[i]);
		all.datagrams += s.datagrams;
		all.buffers += s.buffers;
		all.walked += s.walked;
		all.corrupt += s.corrupt;
		all.foreign += s.foreign;
		least = s.datagrams < least ? s.datagrams : least;
		lost += add_flows(&receivers[i], &total);
	}
	printf("{\"datagrams\": %" PRIu64 ", \"buffers\": %" PRIu64 ", \"walked\": %" PRIu64
	       ", \"corrupt\": %" PRIu64 ", \"foreign\": %" PRIu64 ", \"received\": %" PRIu64
	       ", \"unique\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"reordered\": %" PRIu64
	       ", \"stale\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"least\": %" PRIu64 "}\n",
	       (uint64_t)all.datagrams, (uint64_t)all.buffers, (uint64_t)all.walked,
	       (uint64_t)all.corrupt, (uint64_t)all.foreign, (uint64_t)total.received,
	       (uint64_t)total.unique, (uint64_t)total.duplicated, (uint64_t)total.reordered,
	       (uint64_t)total.stale, lost, least);
}

/* --- latency --- */

/* The highest delay that belongs into a bucket. */
static uint64_t bucket_top(uint32_t i)
{
	uint32_t doublings;

	if (i < SINK_FINE)
		return i;
	doublings = i / SINK_FINE - 1;
	return ((uint64_t)(SINK_FINE + i % SINK_FINE + 1) << doublings) - 1;
}

static uint64_t percentile(const uint64_t *buckets, uint64_t n, double share)
{
	uint64_t rank = (uint64_t)(share * (double)n), seen = 0;
	uint32_t i;

	for (i = 0; i < SINK_BUCKETS; i++) {
		seen += buckets[i];
		if (seen > rank)
			break;
	}
	return n ? bucket_top(i) : 0;
}

static void latency(void)
{
	static uint64_t buckets[SINK_BUCKETS];
	uint64_t n = 0, max = 0;
	uint32_t i, k;

	memset(buckets, 0, sizeof(buckets));
	for (i = 0; i < n_receivers; i++) {
		const struct sink__bss *b = receivers[i].bpf->bss;

		for (k = 0; k < SINK_BUCKETS; k++) {
			buckets[k] += b->latency[k];
			n += b->latency[k];
		}
		max = b->latency_max > max ? b->latency_max : max;
	}
	printf("{\"n\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p99\": %" PRIu64
	       ", \"p99.9\": %" PRIu64 ", \"max\": %" PRIu64 "}\n",
	       n, percentile(buckets, n, 0.5), percentile(buckets, n, 0.99),
	       percentile(buckets, n, 0.999), max);
}

/* --- commands --- */

static void trust(void)
{
	set_exact(0);
}

static void doubt(void)
{
	set_exact(1);
}

static const struct {
	const char *name;
	void (*obey)(void);
} commands[] = {
	{ "reset", reset },	{ "trust", trust }, { "doubt", doubt },	  { "pass", let_pass },
	{ "time", take_times }, { "count", count }, { "read", read_all }, { "latency", latency },
};

static void obey(const char *line)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(line, commands[i].name) == 0) {
			commands[i].obey();
			fflush(stdout);
			return;
		}
	}
	printf("{\"error\": \"no such command\"}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[128];
	int i;

	if (argc < 4 || argc > 3 + RECEIVERS_MAX) {
		fprintf(stderr, "usage: bench-sink INTERFACE FLOWS NAMESPACE…\n");
		return 2;
	}
	n_flows = (uint32_t)strtoul(argv[2], NULL, 10);
	if (!n_flows || n_flows > FLOWS_MAX) {
		fprintf(stderr, "bench sink: 1 to %u flows\n", FLOWS_MAX);
		return 2;
	}
	for (i = 3; i < argc; i++) {
		enter(argv[i]);
		load(&receivers[n_receivers]);
		attach(&receivers[n_receivers++], argv[1]);
	}
	printf("{\"ready\": %u}\n", n_receivers);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
