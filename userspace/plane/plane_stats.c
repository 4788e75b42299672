/* SPDX-License-Identifier: MIT */
/* Reading the counters: each CPU has its own row, which only its programs write. */
#include "plane/plane_impl.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* --- sums over the rows of CPUs ----------------------------------------------------------------
 */

static void verdicts_add(struct mcr_verdicts *out, const struct mcr_verdicts *row)
{
	out->seen += row->seen;
	out->bytes += row->bytes;
	out->to_worker_skbs += row->to_worker_skbs;
#define X(name, action, text) out->name += row->name;
	MCR_VERDICTS(X)
#undef X
}

static void rule_stats_add(struct mcr_rule_stats *out, const struct mcr_rule_stats *row)
{
	out->packets += row->packets;
	out->bytes += row->bytes;
	out->replicated += row->replicated;
	out->replicated_bytes += row->replicated_bytes;
	out->ttl += row->ttl;
	out->loop += row->loop;
	out->no_worker += row->no_worker;
	out->checksum += row->checksum;
	out->unfit += row->unfit;
	out->pruned += row->pruned;
	out->wrong_iif += row->wrong_iif;
	out->flows += row->flows;
	if (out->last_seen_ns < row->last_seen_ns)
		out->last_seen_ns = row->last_seen_ns;
}

static void output_stats_add(struct mcr_output_stats *out, const struct mcr_output_stats *row)
{
	out->sent += row->sent;
	out->bytes += row->bytes;
	out->ttl += row->ttl;
}

static void xmit_stats_add(struct mcr_xmit_stats *out, const struct mcr_xmit_stats *row)
{
	out->sent += row->sent;
	out->dropped += row->dropped;
}

/* --- one element -------------------------------------------------------------------------------
 */

/* The rows of all CPUs, NULL when there is no such key. */
static const void *rows_read(struct plane *p, const struct bpf_map *map, const void *key)
{
	return bpf_map_lookup_elem(bpf_map__fd(map), key, p->per_cpu) ? NULL : p->per_cpu;
}

static void rows_clear(struct plane *p, const struct bpf_map *map, uint32_t index)
{
	memset(p->per_cpu, 0, (size_t)p->n_cpus * bpf_map__value_size(map));
	bpf_map_update_elem(bpf_map__fd(map), &index, p->per_cpu, BPF_ANY);
}

int plane_verdicts(struct plane *p, uint32_t slot, enum mcr_stage stage, struct mcr_verdicts *out)
{
	uint32_t index = slot * MCR_STAGE__COUNT + stage;
	const struct mcr_verdicts *rows = rows_read(p, p->skel->maps.verdicts, &index);

	memset(out, 0, sizeof(*out));
	for (int cpu = 0; rows && cpu < p->n_cpus; cpu++)
		verdicts_add(out, &rows[cpu]);
	return rows ? 0 : -EINVAL;
}

int plane_rule_stats(struct plane *p, uint32_t rule, struct mcr_rule_stats *out)
{
	const struct mcr_rule_stats *rows = rows_read(p, p->skel->maps.rule_stats, &rule);

	memset(out, 0, sizeof(*out));
	for (int cpu = 0; rows && cpu < p->n_cpus; cpu++)
		rule_stats_add(out, &rows[cpu]);
	return rows ? 0 : -EINVAL;
}

int plane_output_stats(struct plane *p, uint32_t output, struct mcr_output_stats *out)
{
	const struct mcr_output_stats *rows = rows_read(p, p->skel->maps.output_stats, &output);

	memset(out, 0, sizeof(*out));
	for (int cpu = 0; rows && cpu < p->n_cpus; cpu++)
		output_stats_add(out, &rows[cpu]);
	return rows ? 0 : -EINVAL;
}

void plane_xmit_stats(struct plane *p, uint32_t slot, struct mcr_xmit_stats *out)
{
	const struct mcr_xmit_stats *rows = rows_read(p, p->skel->maps.xmit_stats, &slot);

	memset(out, 0, sizeof(*out));
	for (int cpu = 0; rows && cpu < p->n_cpus; cpu++)
		xmit_stats_add(out, &rows[cpu]);
}

static void punt_counts_add(struct mcr_punt_counts *out, const struct mcr_punt_counts *row)
{
	out->told += row->told;
	out->repeated += row->repeated;
	out->limited += row->limited;
	out->full += row->full;
}

void plane_punt_stats(struct plane *p, struct mcr_punt_stats *out)
{
	uint32_t zero = 0;
	const struct mcr_punt_stats *rows = rows_read(p, p->skel->maps.punt_stats, &zero);

	memset(out, 0, sizeof(*out));
	for (int cpu = 0; rows && cpu < p->n_cpus; cpu++) {
#define X(name, text) punt_counts_add(&out->name, &rows[cpu].name);
		MCR_PUNT_KINDS(X)
#undef X
	}
}

void plane_slot_clear(struct plane *p, uint32_t slot)
{
	const struct mcr_folded none = { 0 };

	for (uint32_t stage = 0; stage < MCR_STAGE__COUNT; stage++)
		rows_clear(p, p->skel->maps.verdicts, slot * MCR_STAGE__COUNT + stage);
	rows_clear(p, p->skel->maps.xmit_stats, slot);
	bpf_map_update_elem(bpf_map__fd(p->skel->maps.folded), &slot, &none, BPF_ANY);
}

/* --- all elements ------------------------------------------------------------------------------
 */

/*
 * Rows 0 to n − 1 of a per-CPU array, PLANE_BATCH at a time: `take` gets those of all CPUs
 * of one element.
 */
static int array_read(struct plane *p, const struct bpf_map *map, uint32_t n,
		      void (*take)(void *out, uint32_t index, const void *rows, int n_cpus),
		      void *out)
{
	size_t size = bpf_map__value_size(map) * (size_t)p->n_cpus;
	uint32_t keys[PLANE_BATCH], position, done = 0;
	int err = 0;

	while (done < n && !err) {
		uint32_t count = n - done < PLANE_BATCH ? n - done : PLANE_BATCH;

		err = bpf_map_lookup_batch(bpf_map__fd(map), done ? &position : NULL, &position,
					   keys, p->per_cpu_batch, &count, NULL);
		if (err && err != -ENOENT)
			return err;
		for (uint32_t i = 0; i < count && keys[i] < n; i++)
			take(out, keys[i], (const char *)p->per_cpu_batch + i * size, p->n_cpus);
		done += count;
		if (!count)
			break;
	}
	return 0;
}

static void take_rule_stats(void *out, uint32_t index, const void *rows, int n_cpus)
{
	struct mcr_rule_stats *to = (struct mcr_rule_stats *)out + index;

	memset(to, 0, sizeof(*to));
	for (int cpu = 0; cpu < n_cpus; cpu++)
		rule_stats_add(to, (const struct mcr_rule_stats *)rows + cpu);
}

static void take_output_stats(void *out, uint32_t index, const void *rows, int n_cpus)
{
	struct mcr_output_stats *to = (struct mcr_output_stats *)out + index;

	memset(to, 0, sizeof(*to));
	for (int cpu = 0; cpu < n_cpus; cpu++)
		output_stats_add(to, (const struct mcr_output_stats *)rows + cpu);
}

int plane_rule_stats_all(struct plane *p, uint32_t n, struct mcr_rule_stats *out)
{
	return array_read(p, p->skel->maps.rule_stats, n, take_rule_stats, out);
}

int plane_output_stats_all(struct plane *p, uint32_t n, struct mcr_output_stats *out)
{
	return array_read(p, p->skel->maps.output_stats, n, take_output_stats, out);
}

/* --- rows that are given back ------------------------------------------------------------------
 */

int plane_folded(struct plane *p, uint32_t slot, struct mcr_folded *out)
{
	return bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.folded), &slot, out);
}

void plane_rows_fold(struct plane *p, uint32_t slot, uint32_t rule, const uint32_t *outputs,
		     unsigned n_outputs)
{
	struct mcr_rule_stats stats;
	struct mcr_folded sum;

	if (plane_rule_stats(p, rule, &stats))
		return;
	if (stats.replicated && slot < MCR_MAX_IFACES && !plane_folded(p, slot, &sum)) {
		sum.replicated += stats.replicated;
		sum.replicated_bytes += stats.replicated_bytes;
		sum.due += stats.replicated * n_outputs;
		for (unsigned i = 0; i < n_outputs; i++) {
			struct mcr_output_stats out;

			plane_output_stats(p, outputs[i], &out);
			sum.sent += out.sent;
			sum.bytes += out.bytes;
			sum.ttl += out.ttl;
		}
		bpf_map_update_elem(bpf_map__fd(p->skel->maps.folded), &slot, &sum, BPF_ANY);
	}
	for (unsigned i = 0; stats.replicated && i < n_outputs; i++)
		rows_clear(p, p->skel->maps.output_stats, outputs[i]);
	if (stats.last_seen_ns || stats.wrong_iif)
		rows_clear(p, p->skel->maps.rule_stats, rule);
}
