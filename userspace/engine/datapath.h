/* SPDX-License-Identifier: MIT */
/*
 * Which datapath executes a rule: what the kernel can replicate and why not, and for `auto` what
 * costs least. Pure. The figures behind the choice: docs/benchmarks.md.
 */
#pragma once

#include "engine/resolve.h"

/* The largest MTU with which a driver keeps a received frame in one page: what can be copied. */
#define DATAPATH_MTU_MAX 3498

/*
 * True when the kernel can replicate the rule as it is resolved now, but for outputs that only a
 * worker can send to; otherwise `reason` says which output, or what of the input, stands in the
 * way.
 */
bool datapath_can_replicate(const struct rule *rule, const struct resolved_rule *now,
			    char reason[RESOLVE_REASON]);

/* There is such an output: a Register. */
bool datapath_needs_worker(const struct resolved_rule *now);

/* What an output does to a copy, for the map `rewrites`; `output` is its counter row. */
void datapath_rewrite(const struct resolved_output *o, uint32_t output, uint32_t slot,
		      struct mcr_rewrite *to);

/* What a rule has been doing over some time. */
struct datapath_load {
	uint64_t packets_per_s;	     /* of the rule */
	uint64_t port_packets_per_s; /* of all rules on its interface */
	uint64_t flows_per_1000;     /* new flows for each 1000 datagrams, in windows of
					MCR_FLOW_WINDOW: mcr_rule_stats.flows */
	unsigned outputs;
	bool can_segment; /* all its outputs take segments of a flow at once */
	bool is_on_worker;
};

/* For `auto`, where both are possible: true when a worker is worth it. Prefers what is. */
bool datapath_wants_worker(const struct datapath_load *load, char reason[RESOLVE_REASON]);
