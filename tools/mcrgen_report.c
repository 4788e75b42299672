/* SPDX-License-Identifier: MIT */
/* What was done, and what became of it at the interface. */
#include "mcrgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/* From /proc and not from /sys: the former follows the process into its namespace. */
int gen_read_device(const char *name, struct gen_device *d)
{
	FILE *f = fopen("/proc/net/dev", "r");
	char line[512], *colon;
	int err = -ENODEV;

	if (!f)
		return gen_fail("/proc/net/dev");
	while (err && fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (strcmp(line + strspn(line, " "), name) != 0)
			continue;
		if (sscanf(colon + 1,
			   "%*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
			   " %" SCNu64,
			   &d->tx_bytes, &d->tx_packets, &d->tx_errors, &d->tx_dropped) == 4)
			err = 0;
	}
	fclose(f);
	if (err)
		fprintf(stderr, "mcrgen: no counters of %s in /proc/net/dev\n", name);
	return err;
}

struct totals {
	uint64_t sent, failed, dropped, offered;
	double seconds;
};

/*
 * A drop that send reported as ENOBUFS is a failed datagram; the others at the device were
 * counted as sent, and have not reached the next hop.
 */
static struct totals sum_up(const struct gen *g)
{
	struct totals t = { 0 };
	uint64_t reported = g->errors[ENOBUFS], missing;
	size_t i;

	for (i = 0; i < g->n_flows; i++) {
		t.sent += g->flows[i].sent;
		t.failed += g->flows[i].failed;
	}
	t.dropped = g->after.tx_dropped - g->before.tx_dropped;
	missing = g->unaccounted + (t.dropped > reported ? t.dropped - reported : 0);
	t.offered = t.sent > missing ? t.sent - missing : 0;
	t.seconds = (double)(g->end_ns - g->start_ns) / 1e9;
	return t;
}

static double rate(double n, double seconds)
{
	return seconds > 0 ? n / seconds : 0;
}

/* --- text --- */

static void print_text(const struct gen *g, const struct totals *t)
{
	char group[IP4_TEXT], source[IP4_TEXT];
	size_t i;

	printf("%6s %-15s %5s %-15s %12s %10s\n", "flow", "group", "port", "source", "sent",
	       "failed");
	for (i = 0; i < g->n_flows; i++) {
		const struct gen_flow *f = &g->flows[i];

		printf("%6" PRIu32 " %-15s %5u %-15s %12" PRIu64 " %10" PRIu64 "\n", f->id,
		       ip4_format(f->group, group), f->port,
		       f->source.net ? ip4_format(f->source, source) : "any", f->sent, f->failed);
	}
	printf("sent %" PRIu64 ", failed %" PRIu64 " in %.6f s: %.0f packets/s, %.1f Mbit/s\n",
	       t->sent, t->failed, t->seconds, rate((double)t->sent, t->seconds),
	       rate((double)t->sent * (double)g->opt.size * 8 / 1e6, t->seconds));
	printf("%s: dropped %" PRIu64 "; offered to the next hop %" PRIu64 "\n", g->opt.interface,
	       t->dropped, t->offered);
	if (g->duplicated || g->skipped || g->swapped || g->corrupted)
		printf("duplicated %" PRIu64 ", skipped %" PRIu64 ", swapped %" PRIu64
		       ", corrupted %" PRIu64 "\n",
		       g->duplicated, g->skipped, g->swapped, g->corrupted);
	for (i = 0; i < GEN_ERRNO_MAX; i++)
		if (g->errors[i])
			printf("%s: %" PRIu64 "\n", strerror((int)i), g->errors[i]);
}

/* --- JSON --- */

static void add(cJSON *to, const char *name, uint64_t value)
{
	cJSON_AddNumberToObject(to, name, (double)value);
}

static void add_flows(cJSON *root, const struct gen *g)
{
	cJSON *list = cJSON_AddArrayToObject(root, "flows");
	char text[IP4_TEXT];
	size_t i;

	for (i = 0; i < g->n_flows; i++) {
		const struct gen_flow *f = &g->flows[i];
		cJSON *row = cJSON_CreateObject();

		add(row, "flow", f->id);
		cJSON_AddStringToObject(row, "group", ip4_format(f->group, text));
		add(row, "port", f->port);
		cJSON_AddStringToObject(row, "source",
					f->source.net ? ip4_format(f->source, text) : "any");
		add(row, "sent", f->sent);
		add(row, "failed", f->failed);
		add(row, "next_sequence", f->next);
		cJSON_AddItemToArray(list, row);
	}
}

static void add_totals(cJSON *root, const struct gen *g, const struct totals *t)
{
	cJSON *total = cJSON_AddObjectToObject(root, "total");

	add(total, "sent", t->sent);
	add(total, "failed", t->failed);
	add(total, "bytes", t->sent * g->opt.size);
	add(total, "offered", t->offered);
	add(total, "unaccounted", g->unaccounted);
	add(total, "duplicated", g->duplicated);
	add(total, "skipped", g->skipped);
	add(total, "swapped", g->swapped);
	add(total, "corrupted", g->corrupted);
	cJSON_AddNumberToObject(root, "seconds", t->seconds);
	cJSON_AddNumberToObject(root, "rate_pps", rate((double)t->sent, t->seconds));
}

static void add_device(cJSON *root, const struct gen *g)
{
	cJSON *device = cJSON_AddObjectToObject(root, "device");

	add(device, "tx_packets", g->after.tx_packets - g->before.tx_packets);
	add(device, "tx_bytes", g->after.tx_bytes - g->before.tx_bytes);
	add(device, "tx_errors", g->after.tx_errors - g->before.tx_errors);
	add(device, "tx_dropped", g->after.tx_dropped - g->before.tx_dropped);
}

static void add_errors(cJSON *root, const struct gen *g)
{
	cJSON *errors = cJSON_AddObjectToObject(root, "errors");
	int i;

	for (i = 0; i < GEN_ERRNO_MAX; i++)
		if (g->errors[i])
			add(errors, i ? strerrorname_np(i) : "other", g->errors[i]);
}

static void print_json(const struct gen *g, const struct totals *t)
{
	cJSON *root = cJSON_CreateObject();
	char run[9], *text;

	snprintf(run, sizeof(run), "%08x", g->run);
	cJSON_AddStringToObject(root, "interface", g->opt.interface);
	cJSON_AddStringToObject(root, "run", run);
	add(root, "size", g->opt.size);
	add_totals(root, g, t);
	add_device(root, g);
	add_errors(root, g);
	add_flows(root, g);
	text = cJSON_Print(root);
	if (text)
		puts(text);
	free(text);
	cJSON_Delete(root);
}

void gen_report(struct gen *g)
{
	struct totals t;
	size_t i;

	/* A swap whose second half was not sent any more has left a gap. */
	for (i = 0; i < g->n_flows; i++)
		g->skipped += g->flows[i].has_held;
	t = sum_up(g);
	if (g->opt.json)
		print_json(g, &t);
	else
		print_text(g, &t);
}
