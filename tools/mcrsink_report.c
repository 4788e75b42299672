/* SPDX-License-Identifier: MIT */
/* The tables: what came of each flow, and of all. */
#include "mcrsink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

struct totals {
	uint64_t received, bytes, unique, lost, duplicated, reordered, corrupt, stale;
	uint64_t checksums[SINK_CHECKSUM_COUNT];
	struct sink_latency latency;
};

static void sum_up(const struct sink *s, struct totals *t)
{
	size_t i, k;

	for (i = 0; i < s->table.n; i++) {
		const struct sink_flow *f = s->table.list[i];

		t->received += f->received;
		t->bytes += f->bytes;
		t->unique += f->unique;
		t->lost += flow_lost(f);
		t->duplicated += f->duplicated;
		t->reordered += f->reordered;
		t->corrupt += f->corrupt;
		t->stale += f->stale;
		for (k = 0; k < SINK_CHECKSUM_COUNT; k++)
			t->checksums[k] += f->checksums[k];
		latency_merge(&t->latency, f->latency);
	}
	t->received += s->table.no_room;
}

static double rate_pps(const struct sink *s)
{
	double seconds = (double)(s->last_ns - s->first_ns) / 1e9;

	return seconds > 0 ? (double)(s->received - 1) / seconds : 0;
}

/* --- text --- */

static void print_flow(const struct sink_flow *f)
{
	char group[IP4_TEXT], source[IP4_TEXT], flow[12] = "?";

	if (f->flow != FLOW_UNKNOWN)
		snprintf(flow, sizeof(flow), "%" PRIu32, f->flow);
	printf("%5s %-15s %5u %-15s %3u %10" PRIu64 " %8" PRIu64 " %6" PRIu64 " %6" PRIu64
	       " %6" PRIu64 " %8.1f\n",
	       flow, ip4_format(f->group, group), f->port, ip4_format(f->source, source),
	       f->ttl_min, f->received, flow_lost(f), f->duplicated, f->reordered, f->corrupt,
	       (double)latency_percentile(f->latency, 0.99) / 1e3);
}

static void print_text(const struct sink *s, const struct totals *t)
{
	size_t i;

	printf("%5s %-15s %5s %-15s %3s %10s %8s %6s %6s %6s %8s\n", "flow", "group", "port",
	       "source", "ttl", "received", "lost", "dup", "late", "bad", "p99/µs");
	for (i = 0; i < s->table.n; i++)
		print_flow(s->table.list[i]);
	printf("received %" PRIu64 ": lost %" PRIu64 ", duplicated %" PRIu64 ", reordered %" PRIu64
	       ", corrupt %" PRIu64 "; %.0f packets/s\n",
	       t->received, t->lost, t->duplicated, t->reordered, t->corrupt, rate_pps(s));
	printf("dropped by the kernel %" PRIu64 ", bad UDP checksums %" PRIu64
	       ", beyond the table of flows %" PRIu64 "\n",
	       s->dropped, t->checksums[SINK_BAD], s->table.no_room);
	printf("delay µs: min %.1f, p50 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
	       (double)t->latency.min_ns / 1e3, (double)latency_percentile(&t->latency, 0.5) / 1e3,
	       (double)latency_percentile(&t->latency, 0.99) / 1e3,
	       (double)latency_percentile(&t->latency, 0.999) / 1e3,
	       (double)t->latency.max_ns / 1e3);
}

/* --- JSON --- */

static void add(cJSON *to, const char *name, uint64_t value)
{
	cJSON_AddNumberToObject(to, name, (double)value);
}

static void add_latency(cJSON *to, const struct sink_latency *l)
{
	cJSON *o = cJSON_AddObjectToObject(to, "latency_ns");

	add(o, "min", l->min_ns);
	add(o, "p50", latency_percentile(l, 0.5));
	add(o, "p99", latency_percentile(l, 0.99));
	add(o, "p999", latency_percentile(l, 0.999));
	add(o, "max", l->max_ns);
}

static void add_checksums(cJSON *to, const uint64_t counts[SINK_CHECKSUM_COUNT])
{
	static const char *const names[SINK_CHECKSUM_COUNT] = { "unknown", "good", "bad", "none",
								"partial" };
	cJSON *o = cJSON_AddObjectToObject(to, "checksums");
	size_t i;

	for (i = 0; i < SINK_CHECKSUM_COUNT; i++)
		add(o, names[i], counts[i]);
}

static cJSON *flow_row(const struct sink_flow *f)
{
	cJSON *row = cJSON_CreateObject();
	char text[IP4_TEXT], run[9];

	snprintf(run, sizeof(run), "%08x", f->run);
	cJSON_AddStringToObject(row, "run", run);
	if (f->flow == FLOW_UNKNOWN)
		cJSON_AddNullToObject(row, "flow");
	else
		add(row, "flow", f->flow);
	cJSON_AddStringToObject(row, "group", ip4_format(f->group, text));
	add(row, "port", f->port);
	cJSON_AddStringToObject(row, "source", ip4_format(f->source, text));
	add(row, "source_port", f->source_port);
	add(row, "received", f->received);
	add(row, "bytes", f->bytes);
	add(row, "unique", f->unique);
	add(row, "lost", flow_lost(f));
	add(row, "duplicated", f->duplicated);
	add(row, "reordered", f->reordered);
	add(row, "corrupt", f->corrupt);
	add(row, "stale", f->stale);
	add(row, "first_sequence", f->first);
	add(row, "last_sequence", f->last);
	add(row, "ttl_min", f->ttl_min);
	add(row, "ttl_max", f->ttl_max);
	add(row, "dscp_min", f->tos_min >> 2);
	add(row, "dscp_max", f->tos_max >> 2);
	add_checksums(row, f->checksums);
	add_latency(row, f->latency);
	return row;
}

static void add_totals(cJSON *root, const struct sink *s, const struct totals *t)
{
	cJSON *total = cJSON_AddObjectToObject(root, "total");

	add(total, "flows", s->table.n);
	add(total, "received", t->received);
	add(total, "bytes", t->bytes);
	add(total, "unique", t->unique);
	add(total, "lost", t->lost);
	add(total, "duplicated", t->duplicated);
	add(total, "reordered", t->reordered);
	add(total, "corrupt", t->corrupt);
	add(total, "stale", t->stale);
	add(total, "no_room", s->table.no_room);
	add(total, "socket_dropped", s->dropped);
	add_checksums(total, t->checksums);
	add_latency(total, &t->latency);
}

static void print_json(const struct sink *s, const struct totals *t, uint64_t elapsed_ns)
{
	cJSON *root = cJSON_CreateObject(), *list, *other;
	char *text;
	size_t i;

	add_totals(root, s, t);
	cJSON_AddNumberToObject(root, "seconds", (double)elapsed_ns / 1e9);
	cJSON_AddNumberToObject(root, "rate_pps", rate_pps(s));
	other = cJSON_AddObjectToObject(root, "other");
	add(other, "foreign", s->other.foreign);
	add(other, "fragments", s->other.fragments);
	add(other, "malformed", s->other.malformed);
	add(other, "ip_checksum_bad", s->other.ip_checksum_bad);
	add(root, "sockets", s->n_fds);
	list = cJSON_AddArrayToObject(root, "flows");
	for (i = 0; i < s->table.n; i++)
		cJSON_AddItemToArray(list, flow_row(s->table.list[i]));
	text = cJSON_Print(root);
	if (text)
		puts(text);
	free(text);
	cJSON_Delete(root);
}

void sink_report(const struct sink *s, uint64_t elapsed_ns)
{
	struct totals t = { 0 };

	sum_up(s, &t);
	if (s->opt.json)
		print_json(s, &t, elapsed_ns);
	else
		print_text(s, &t);
}
