/* SPDX-License-Identifier: MIT */
/*
 * The kernel's way has a price for each frame and each copy, whatever the traffic, and adds next to
 * nothing to a frame's way. A worker's way has a price for each send, and a send takes a run: as
 * many datagrams of one flow as lie side by side in a batch. So a worker wins where flows are few
 * and thick or outputs are many, once there is so much to do that batches come about.
 */
#include "engine/datapath.h"

#include <stdio.h>
#include <string.h>

/*
 * In nanoseconds of CPU, of both cores where a worker has one of its own, from what full loads cost
 * on veth; mostly their proportions matter.
 */
#define KERNEL_FRAME 250
#define KERNEL_COPY  350
#define WORKER_FRAME 300
#define WORKER_COPY  100
#define WORKER_SEND  900

#define BATCH	 512 /* datagrams that a worker has before it, when there is much to do */
#define RUN_MOST 64

/* How busy the kernel's way must make a core, in percent, before a worker is thought of: below,
 * it would be woken for a few datagrams at a time. And when it is given up again. */
#define BUSY_ENTER 25
#define BUSY_LEAVE 12

/* --- what is possible --------------------------------------------------------------------------
 */

static bool refuse(char reason[RESOLVE_REASON], const char *name, const char *why)
{
	snprintf(reason, RESOLVE_REASON, "%s: %s", name[0] ? name : "an output by routes", why);
	return false;
}

static bool is_usable(const struct resolved_output *o)
{
	return o->state == RESOLVE_ACTIVE && o->wire.is_up;
}

static bool output_fits(const struct rule *rule, const struct resolved_rule *now, unsigned i,
			char reason[RESOLVE_REASON])
{
	const struct resolved_output *o = &now->outputs[i];
	const char *name = rule->outputs[i].interface;

	if (o->wire.kind != EGRESS_PACKET)
		return refuse(reason, name, "goes by the kernel's routes");
	if (!o->takes_redirects)
		return refuse(reason, name,
			      "cannot take redirected frames (on veth: its peer has neither XDP "
			      "nor GRO)");
	if (o->wire.mtu < now->mtu)
		return refuse(reason, name, "has a smaller MTU than the input");
	for (unsigned k = 0; k < i; k++)
		if (is_usable(&now->outputs[k]) && now->outputs[k].ifindex == o->ifindex)
			return refuse(reason, name, "has two outputs of this rule");
	return true;
}

bool datapath_can_replicate(const struct rule *rule, const struct resolved_rule *now,
			    char reason[RESOLVE_REASON])
{
	unsigned usable = 0;

	reason[0] = '\0';
	if (now->mtu > DATAPATH_MTU_MAX)
		return refuse(reason, rule->interface,
			      "its MTU makes frames in pieces, which the kernel cannot copy");
	for (unsigned i = 0; i < now->n_outputs; i++) {
		if (!is_usable(&now->outputs[i]) || now->outputs[i].wire.kind == EGRESS_REGISTER)
			continue;
		if (!output_fits(rule, now, i, reason))
			return false;
		usable++;
	}
	return usable ? true : refuse(reason, rule->interface, "no output is up");
}

bool datapath_needs_worker(const struct resolved_rule *now)
{
	for (unsigned i = 0; i < now->n_outputs; i++)
		if (now->outputs[i].wire.kind == EGRESS_REGISTER)
			return true;
	return false;
}

void datapath_rewrite(const struct resolved_output *o, uint32_t output, uint32_t slot,
		      struct mcr_rewrite *to)
{
	*to = (struct mcr_rewrite){
		.output = output,
		.slot = slot,
		.port = o->wire.port,
		.ttl = o->wire.ttl,
		.dscp = o->wire.dscp,
	};
	memcpy(to->dst_mac, o->wire.dst_mac, sizeof(to->dst_mac));
	memcpy(to->src_mac, o->wire.src_mac, sizeof(to->src_mac));
	memcpy(to->group, &o->wire.group, sizeof(to->group));
	if (!o->wire.keeps_source)
		memcpy(to->source, &o->wire.source, sizeof(to->source));
}

/* --- what is better ----------------------------------------------------------------------------
 */

/* How many datagrams of one flow a full batch has side by side. */
static uint64_t run_length(const struct datapath_load *load)
{
	uint64_t all = load->port_packets_per_s ? load->port_packets_per_s : 1;
	uint64_t in_batch = BATCH * load->packets_per_s / all;
	uint64_t flows = load->flows_per_1000 * MCR_FLOW_WINDOW / 1000;
	uint64_t run = in_batch / (flows ? flows : 1);

	return run < 1 || !load->can_segment ? 1 : run > RUN_MOST ? RUN_MOST : run;
}

bool datapath_wants_worker(const struct datapath_load *load, char reason[RESOLVE_REASON])
{
	uint64_t kernel = KERNEL_FRAME + load->outputs * KERNEL_COPY, run = run_length(load);
	uint64_t worker = WORKER_FRAME + load->outputs * (WORKER_COPY + WORKER_SEND / run);
	uint64_t busy = load->port_packets_per_s * kernel / 10000000; /* percent of a core */
	bool wants;

	if (busy < (load->is_on_worker ? BUSY_LEAVE : BUSY_ENTER)) {
		snprintf(reason, RESOLVE_REASON, "little to do: the kernel needs %u %% of a core",
			 (unsigned)busy);
		return false;
	}
	/* what is must be a fifth worse before it is changed */
	wants = load->is_on_worker ? worker * 5 < kernel * 6 : worker * 6 < kernel * 5;
	snprintf(reason, RESOLVE_REASON,
		 "%u output%s, runs of %u datagrams: about %u ns a datagram, %u in %s",
		 load->outputs, load->outputs == 1 ? "" : "s", (unsigned)run,
		 (unsigned)(wants ? worker : kernel), (unsigned)(wants ? kernel : worker),
		 wants ? "the kernel" : "a worker");
	return wants;
}
