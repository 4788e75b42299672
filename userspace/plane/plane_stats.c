/* SPDX-License-Identifier: MIT */
/* Reading the counters: each CPU has its own row, which only its programs write. */
#include "plane/plane_impl.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* The rows of all CPUs, NULL when there is no such index. */
static const void *rows_read(struct plane *p, const struct bpf_map *map, uint32_t index)
{
	return bpf_map_lookup_elem(bpf_map__fd(map), &index, p->per_cpu) ? NULL : p->per_cpu;
}

static void rows_clear(struct plane *p, const struct bpf_map *map, uint32_t index)
{
	memset(p->per_cpu, 0, (size_t)p->n_cpus * bpf_map__value_size(map));
	bpf_map_update_elem(bpf_map__fd(map), &index, p->per_cpu, BPF_ANY);
}

int plane_verdicts(struct plane *p, uint32_t slot, enum mcr_stage stage, struct mcr_verdicts *out)
{
	uint32_t index = slot * MCR_STAGE__COUNT + stage;
	const struct mcr_verdicts *rows;

	memset(out, 0, sizeof(*out));
	rows = rows_read(p, p->skel->maps.verdicts, index);
	if (!rows)
		return -EINVAL;
	for (int cpu = 0; cpu < p->n_cpus; cpu++) {
		out->seen += rows[cpu].seen;
		out->bytes += rows[cpu].bytes;
		out->to_worker_skbs += rows[cpu].to_worker_skbs;
#define X(name, action, text) out->name += rows[cpu].name;
		MCR_VERDICTS(X)
#undef X
	}
	return 0;
}

int plane_rule_stats(struct plane *p, uint32_t rule, struct mcr_rule_stats *out)
{
	const struct mcr_rule_stats *rows;

	memset(out, 0, sizeof(*out));
	rows = rows_read(p, p->skel->maps.rule_stats, rule);
	if (!rows)
		return -EINVAL;
	for (int cpu = 0; cpu < p->n_cpus; cpu++) {
		out->packets += rows[cpu].packets;
		out->bytes += rows[cpu].bytes;
		out->ttl += rows[cpu].ttl;
		out->loop += rows[cpu].loop;
		out->no_worker += rows[cpu].no_worker;
		if (out->last_seen_ns < rows[cpu].last_seen_ns)
			out->last_seen_ns = rows[cpu].last_seen_ns;
	}
	return 0;
}

void plane_rule_stats_clear(struct plane *p, uint32_t rule)
{
	rows_clear(p, p->skel->maps.rule_stats, rule);
}
