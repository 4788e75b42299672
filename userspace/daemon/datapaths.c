/* SPDX-License-Identifier: MIT */
/*
 * What executes a rule. A rule that the kernel can replicate has an egress set and rewrites in the
 * maps as long as it is in force, whether it runs there or not: so it can be moved there at any
 * time by one write, when its worker dies or has too little to do. To move the other way, a worker
 * must be there and know the rule. A move is one atomic write of the rule's entry, so each frame
 * takes one way or the other, and none is lost or sent twice.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"
#include "edge/log.h"
#include "engine/datapath.h"

/* For how many seconds in a row the other way must be better. There is little to lose by a worker
 * that is not needed, and packets by one that is missing. */
#define ENTER_TICKS 1
#define LEAVE_TICKS 3

const char *datapath_name(enum mcr_datapath dp)
{
	static const char *const names[MCR_DP__COUNT] = {
		[MCR_DP_AFXDP] = "afxdp",
		[MCR_DP_AFPACKET] = "afpacket",
		[MCR_DP_XDP] = "xdp",
		[MCR_DP_DROP] = "drop",
	};

	return names[dp] ? names[dp] : "none";
}

/* --- the means to replicate --------------------------------------------------------------------
 */

static int compare_ifindexes(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* A Register is a worker's to send: while there is none, the other copies are made all the same. */
static bool is_replicated(const struct resolved_output *o)
{
	return o->state == RESOLVE_ACTIVE && o->wire.is_up && o->wire.kind != EGRESS_REGISTER;
}

/* The usable outputs' interfaces, in an order of their own so that rules share sets. */
static unsigned list_ifindexes(const struct live_rule *live, uint32_t list[RULE_OUTPUTS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < live->now.n_outputs; i++)
		if (is_replicated(&live->now.outputs[i]))
			list[n++] = live->now.outputs[i].ifindex;
	qsort(list, n, sizeof(*list), compare_ifindexes);
	return n;
}

/* Rewrites come before the set that leads frames to them, and those of before go last. */
static int rewrites_set(struct relay *r, struct live_rule *live, struct diag *d)
{
	for (unsigned i = 0; i < live->now.n_outputs; i++) {
		const struct resolved_output *o = &live->now.outputs[i];
		struct mcr_rewrite to;
		int err;

		if (!is_replicated(o))
			continue;
		datapath_rewrite(o, live->output_rows[i], live->port->slot, &to);
		err = plane_rewrite_set(r->plane, live->row, o->ifindex, &to, d);
		if (err)
			return err;
		if (live->rewritten[i] && live->rewritten[i] != o->ifindex)
			plane_rewrite_del(r->plane, live->row, live->rewritten[i]);
		live->rewritten[i] = o->ifindex;
	}
	return 0;
}

static int replication_take(struct relay *r, struct live_rule *live, struct diag *d)
{
	uint32_t list[RULE_OUTPUTS_MAX], set;
	unsigned n = list_ifindexes(live, list);
	int err = rewrites_set(r, live, d);

	if (!err)
		err = plane_set_get(r->plane, list, n, &set, d);
	if (err)
		return err;
	if (live->is_replicable)
		plane_set_put(r->plane, live->egress_set);
	else
		port_use(r, live->port, MCR_DP_XDP);
	live->is_replicable = true;
	live->egress_set = set;
	return 0;
}

static void replication_give(struct relay *r, struct live_rule *live)
{
	if (!live->is_replicable)
		return;
	plane_set_put(r->plane, live->egress_set);
	port_unuse(r, live->port, MCR_DP_XDP);
	live->is_replicable = false;
}

/* --- the choice --------------------------------------------------------------------------------
 */

static void worker_unuse(struct relay *r, struct live_rule *live)
{
	if (live->uses_worker)
		port_unuse(r, live->port, live->worker_kind);
	live->uses_worker = false;
}

static void worker_use(struct relay *r, struct live_rule *live, enum mcr_datapath kind)
{
	if (live->uses_worker && live->worker_kind == kind)
		return;
	worker_unuse(r, live);
	live->worker_kind = kind;
	live->uses_worker = true;
	port_use(r, live->port, kind);
}

static bool is_xdp_wanted(const struct live_rule *live)
{
	return live->rule->datapath == RULE_DP_AUTO || live->rule->datapath == RULE_DP_XDP;
}

/* Which kind of worker the rule has where the kernel does not replicate it. */
static enum mcr_datapath worker_choice(struct relay *r, struct live_rule *live)
{
	const struct port *p = live->port;
	char *reason = live->datapath_reason;

	if (live->rule->datapath == RULE_DP_AFPACKET) {
		snprintf(reason, RESOLVE_REASON, "the rule asks for afpacket");
		return MCR_DP_AFPACKET;
	}
	if (!port_has_xdp(r, live->port, live->rule->datapath == RULE_DP_AFXDP)) {
		snprintf(reason, RESOLVE_REASON, "no native XDP on %s: %.80s", p->name,
			 p->attached.note);
		return MCR_DP_AFPACKET;
	}
	if (live->rule->datapath == RULE_DP_AFXDP)
		snprintf(reason, RESOLVE_REASON, "the rule asks for afxdp, XDP %s",
			 p->attached.mode == PLANE_GENERIC ? "generic" : "native");
	else
		snprintf(reason, RESOLVE_REASON, "not xdp: %.100s", live->replicable_reason);
	return MCR_DP_AFXDP;
}

/* Whether the kernel shall have the means; says why not. */
static bool is_replication_possible(struct relay *r, struct live_rule *live)
{
	live->replicable_reason[0] = '\0';
	return is_xdp_wanted(live) && port_has_xdp(r, live->port, false) &&
	       live->port->attached.mode == PLANE_NATIVE &&
	       datapath_can_replicate(live->rule, &live->now, live->replicable_reason);
}

static void say_replicated(struct live_rule *live)
{
	snprintf(live->datapath_reason, RESOLVE_REASON, "%s",
		 live->rule->datapath == RULE_DP_XDP ? "the rule asks for xdp"
						     : "the shortest way, until there is more");
}

/* Nothing of a route can be sent: what it matches ends at the classifier. */
static bool is_to_drop(const struct live_rule *live)
{
	if (live->rule->kind == RULE_RELAY)
		return false;
	for (unsigned i = 0; i < live->now.n_outputs; i++)
		if (live->now.outputs[i].state == RESOLVE_ACTIVE)
			return false;
	return true;
}

static void drop_take(struct relay *r, struct live_rule *live)
{
	if (!live->is_dropping)
		port_use(r, live->port, MCR_DP_DROP);
	live->is_dropping = true;
	port_has_xdp(r, live->port, false);
	snprintf(live->datapath_reason, RESOLVE_REASON, "%s",
		 live->rule->kind == RULE_GUARD ? "the flow has its route on another interface"
						: "there is no output");
}

static void drop_give(struct relay *r, struct live_rule *live)
{
	if (live->is_dropping)
		port_unuse(r, live->port, MCR_DP_DROP);
	live->is_dropping = false;
}

int datapath_take(struct relay *r, struct live_rule *live, struct diag *d)
{
	int err;

	live->worker_ticks = 0;
	if (is_to_drop(live)) {
		drop_take(r, live);
		live->datapath = MCR_DP_DROP;
		return 0;
	}
	if (!is_replication_possible(r, live)) {
		live->datapath = worker_choice(r, live);
		worker_use(r, live, live->datapath);
		return 0;
	}
	err = replication_take(r, live, d);
	if (err)
		return err;
	live->datapath = MCR_DP_XDP;
	say_replicated(live);
	if (datapath_needs_worker(&live->now)) {
		worker_use(r, live, MCR_DP_AFXDP);
		if (workers_are_ready(live->port, MCR_DP_AFXDP)) /* else: datapaths_worker_ready */
			live->datapath = MCR_DP_AFXDP;
	}
	return 0;
}

void datapath_give(struct relay *r, struct live_rule *live)
{
	replication_give(r, live);
	worker_unuse(r, live);
	drop_give(r, live);
	live->worker_kind = live->datapath = 0;
}

static int move(struct relay *r, struct live_rule *live, enum mcr_datapath to, struct diag *d)
{
	live->datapath = to;
	return relay_program_map(r, live, d);
}

/*
 * Outputs have changed. One that the kernel can replicate goes on where it is, by another set; one
 * that it cannot any more goes to a worker, and frames wait for that one outside.
 */
int datapath_renew(struct relay *r, struct live_rule *live, struct diag *d)
{
	bool is_possible = is_replication_possible(r, live);
	int err = 0;

	if (is_to_drop(live)) {
		drop_take(r, live);
		err = move(r, live, MCR_DP_DROP, d);
		replication_give(r, live);
		worker_unuse(r, live);
		return err;
	}
	if (is_possible) {
		bool needs_worker = datapath_needs_worker(&live->now);
		bool stays = live->datapath == MCR_DP_AFXDP && live->rule->datapath == RULE_DP_AUTO;

		if (needs_worker && !live->uses_worker) {
			worker_use(r, live, MCR_DP_AFXDP);
			workers_rule(r, live, false);
		}
		if (needs_worker)
			stays = workers_are_ready(live->port, MCR_DP_AFXDP);
		err = replication_take(r, live, d);
		if (!err)
			err = move(r, live, stays ? MCR_DP_AFXDP : MCR_DP_XDP, d);
		if (!err && !stays && !needs_worker) {
			worker_unuse(r, live);
			say_replicated(live);
		}
		drop_give(r, live);
		return err;
	}
	worker_use(r, live, worker_choice(r, live));
	workers_rule(r, live, false);
	err = move(r, live, live->worker_kind, d);
	replication_give(r, live);
	drop_give(r, live);
	return err;
}

/* --- moves -------------------------------------------------------------------------------------
 */

/* Those of its rules that the kernel can take; the others wait for the next process. */
void datapaths_worker_gone(struct relay *r, const struct worker *w)
{
	struct diag d;

	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live)) {
		if (live->port != w->port || live->datapath != w->kind || !live->is_replicable ||
		    !live->is_programmed)
			continue;
		if (move(r, live, MCR_DP_XDP, &d))
			log_err(LOG_F_rules, "rule %s: %s", live->rule->id, d.what);
		snprintf(live->datapath_reason, RESOLVE_REASON, "its worker is not there");
		live->worker_ticks = 0;
	}
}

static bool can_segment(const struct live_rule *live)
{
	for (unsigned i = 0; i < live->now.n_outputs; i++)
		if (!live->now.outputs[i].wire.can_segment ||
		    !live->now.outputs[i].segments_in_hardware)
			return false;
	return true;
}

/* Frames that the worker has before it may be overtaken by those that go the short way. */
static void count_overtaken(struct port *p)
{
	for (const struct worker *w = p->workers; w; w = w->next)
		if (w->kind == MCR_DP_AFXDP && w->ledger)
			p->moved_frames += w->ledger->totals.in_ring;
}

static void leave_worker(struct relay *r, struct live_rule *live)
{
	struct diag d;

	count_overtaken(live->port);
	if (move(r, live, MCR_DP_XDP, &d))
		log_err(LOG_F_rules, "rule %s: %s", live->rule->id, d.what);
	worker_unuse(r, live); /* which keeps the rule, for what is on its way */
}

static void enter_worker(struct relay *r, struct live_rule *live)
{
	struct diag d;

	if (!live->uses_worker) {
		worker_use(r, live, MCR_DP_AFXDP);
		workers_rule(r, live, false);
	}
	if (!workers_are_ready(live->port, MCR_DP_AFXDP))
		return; /* when it is: datapaths_worker_ready */
	if (move(r, live, MCR_DP_AFXDP, &d))
		log_err(LOG_F_rules, "rule %s: %s", live->rule->id, d.what);
}

/* Rules that wait for a worker, or that had to leave the one before, go to it now. */
void datapaths_worker_ready(struct relay *r, const struct worker *w)
{
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->is_programmed && live->port == w->port && live->uses_worker &&
		    live->datapath == MCR_DP_XDP && live->rule->datapath == RULE_DP_AUTO)
			enter_worker(r, live);
}

/* Only workers see the frames, so a rule that is traced has one if it may. */
int datapath_trace(struct relay *r, struct live_rule *live, struct diag *d)
{
	if (live->datapath == MCR_DP_XDP && live->rule->datapath == RULE_DP_XDP)
		return diag_set(d, -EINVAL, E_UNSUPPORTED, "",
				"the rule runs in the kernel, where nothing is traced: give it the "
				"datapath auto or afxdp");
	if (live->datapath == MCR_DP_XDP)
		enter_worker(r, live);
	return 0;
}

static void consider(struct relay *r, struct live_rule *live)
{
	const struct mcr_rule_stats *stats = &r->rule_stats[live->row];
	uint64_t flows = stats->flows - live->last_flows;
	struct datapath_load load = {
		.packets_per_s = live->pps,
		.port_packets_per_s = live->port->pps,
		.flows_per_1000 = live->pps ? flows * 1000 / live->pps : 0,
		.outputs = live->now.n_outputs,
		.can_segment = can_segment(live),
		.is_on_worker = live->datapath == MCR_DP_AFXDP,
	};
	char reason[RESOLVE_REASON];
	bool wants = datapath_wants_worker(&load, reason);

	live->last_flows = stats->flows;
	if (live->trace_every || datapath_needs_worker(&live->now)) {
		wants = true;
		snprintf(reason, sizeof(reason), "%s",
			 live->trace_every ? "it is traced" : "it is registered");
	}
	if (wants == load.is_on_worker) {
		live->worker_ticks = 0;
		snprintf(live->datapath_reason, RESOLVE_REASON, "%s", reason);
	} else if (++live->worker_ticks >= (wants ? ENTER_TICKS : LEAVE_TICKS)) {
		if (wants)
			enter_worker(r, live);
		else
			leave_worker(r, live);
	}
}

/* Behind account_tick, which has read the counters of this second. */
void datapaths_tick(struct relay *r)
{
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->is_programmed && live->is_replicable &&
		    live->rule->datapath == RULE_DP_AUTO)
			consider(r, live);
}
