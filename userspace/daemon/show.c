/* SPDX-License-Identifier: MIT */
/* What clients see: JSON made from the relay's state, never the state itself. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/relay.h"

static void add_number(cJSON *o, const char *key, uint64_t value)
{
	cJSON_AddNumberToObject(o, key, (double)value);
}

static void add_address(cJSON *o, const char *key, struct ip4 addr)
{
	char text[IP4_TEXT];

	cJSON_AddStringToObject(o, key, addr.net ? ip4_format(addr, text) : "");
}

/* --- rules -------------------------------------------------------------------------------------
 */

static void show_policies(cJSON *o, const struct rule_output *out, const struct wm_output *wire)
{
	if (wire->ttl)
		cJSON_AddNumberToObject(o, "ttl", wire->ttl);
	else
		cJSON_AddStringToObject(o, "ttl", "decrement");
	if (out->source_policy == SOURCE_LITERAL)
		add_address(o, "source", out->source);
	else
		cJSON_AddStringToObject(o, "source",
					out->source_policy == SOURCE_PRESERVE ? "preserve"
									      : "interface");
	if (out->dscp >= 0)
		cJSON_AddNumberToObject(o, "dscp", out->dscp);
}

static void show_output_counters(const struct relay *r, cJSON *o, const struct live_rule *live,
				 unsigned i)
{
	static const char *const names[] = {
#define X(name, text) #name,
		COPY_DROPS(X)
#undef X
	};
	cJSON *drops = cJSON_AddObjectToObject(o, "drops");
	struct ledger_output row;

	account_output(r, live, i, &row);
	add_number(o, "due", row.due);
	add_number(o, "sent", row.sent);
	add_number(o, "bytes", row.bytes);
	for (unsigned n = 0; n < COPY_DROP__COUNT; n++)
		add_number(drops, names[n], row.drop[n]);
	cJSON_AddBoolToObject(o, "device_counts_drops",
			      live->now.outputs[i].wire.drops_consumed ||
				      live->datapath == MCR_DP_XDP);
}

static cJSON *show_output(const struct relay *r, const struct live_rule *live, unsigned i,
			  bool with_counters)
{
	static const char *const kinds[] = { "", "packet", "udp", "raw", "register" };
	const struct rule_output *out = &live->rule->outputs[i];
	const struct resolved_output *now = &live->now.outputs[i];
	struct ip4 to = rule_output_to(live->rule, out);
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "interface", out->interface);
	add_address(o, ip4_is_multicast(to) ? "group" : "address", to);
	cJSON_AddNumberToObject(o, "port", out->port ? out->port : live->rule->port);
	show_policies(o, out, &now->wire);
	cJSON_AddStringToObject(o, "state", resolve_state_name(now->state));
	cJSON_AddStringToObject(o, "reason", now->reason);
	cJSON_AddStringToObject(o, "egress", kinds[now->wire.kind]);
	if (with_counters)
		show_output_counters(r, o, live, i);
	return o;
}

static const char *origin_name(enum rule_origin origin)
{
	static const char *const names[] = {
		[ORIGIN_STATIC] = "static",
		[ORIGIN_IGMP] = "igmp",
		[ORIGIN_PIM] = "pim",
		[ORIGIN_MROUTE] = "mroute",
	};

	return names[origin];
}

static void show_rule_state(cJSON *o, const struct live_rule *live)
{
	const struct rule *rule = live->rule;

	cJSON_AddStringToObject(o, "origin", origin_name(live->origin));
	cJSON_AddStringToObject(o, "state", resolve_state_name(live->now.state));
	if (live->join_error) {
		char text[RESOLVE_REASON];

		snprintf(text, sizeof(text), "join failed: %s", strerror(-live->join_error));
		cJSON_AddStringToObject(o, "reason", text);
	} else {
		cJSON_AddStringToObject(o, "reason", live->now.reason);
	}
	cJSON_AddStringToObject(o, "datapath",
				rule_datapath_name((enum rule_datapath)rule->datapath));
	cJSON_AddStringToObject(o, "datapath_effective", datapath_name(live->datapath));
	cJSON_AddStringToObject(o, "datapath_reason",
				live->is_programmed ? live->datapath_reason : "");
}

int64_t rule_last_seen_ms(const struct mcr_rule_stats *stats)
{
	if (!stats->last_seen_ns)
		return -1;
	return loop_clock().us / 1000 - (int64_t)(stats->last_seen_ns / 1000000);
}

static void show_rule_counters(const struct relay *r, cJSON *o, const struct live_rule *live)
{
	const struct mcr_rule_stats *stats = &r->rule_stats[live->row];
	cJSON *drops;
	struct row_sum sum;

	account_rule(r, live, &sum);
	add_number(o, "packets_matched", sum.packets);
	add_number(o, "bytes_matched", sum.bytes);
	add_number(o, "packets_per_second", live->pps);
	add_number(o, "bits_per_second", live->bps);
	cJSON_AddNumberToObject(o, "last_seen_ms", (double)rule_last_seen_ms(stats));
	drops = cJSON_AddObjectToObject(o, "drops");
	add_number(drops, "ttl", stats->ttl);
	add_number(drops, "loop", stats->loop);
	add_number(drops, "no_worker", stats->no_worker);
	add_number(drops, "checksum", stats->checksum);
	add_number(drops, "unfit", stats->unfit);
	add_number(drops, "pruned", stats->pruned);
	add_number(drops, "wrong_iif", stats->wrong_iif);
}

cJSON *show_rule(struct relay *r, const struct live_rule *live, bool with_counters)
{
	const struct rule *rule = live->rule;
	cJSON *o = cJSON_CreateObject(), *outputs;

	cJSON_AddStringToObject(o, "rule_id", rule->id);
	cJSON_AddStringToObject(o, "name", rule->name);
	cJSON_AddStringToObject(o, "input_interface", rule->interface);
	add_address(o, "input_group", rule->group);
	cJSON_AddNumberToObject(o, "input_port", rule->port);
	cJSON_AddNumberToObject(o, "input_protocol", rule->protocol);
	add_address(o, "input_source", rule->source);
	cJSON_AddBoolToObject(o, "accept_ttl1", rule->accept_ttl1);
	show_rule_state(o, live);
	if (with_counters)
		show_rule_counters(r, o, live);
	outputs = cJSON_AddArrayToObject(o, "outputs");
	for (unsigned i = 0; i < rule->n_outputs; i++)
		cJSON_AddItemToArray(outputs, show_output(r, live, i, with_counters));
	return o;
}

/* --- workers -----------------------------------------------------------------------------------
 */

static void show_worker_ledger(struct relay *r, cJSON *o, const struct worker *w)
{
	static const char *const frame_names[] = {
#define X(name, text) #name,
		FRAME_DROPS(X)
#undef X
	};
	static const char *const copy_names[] = {
#define X(name, text) #name,
		COPY_DROPS(X)
#undef X
	};
	const struct ledger_totals *t = &w->ledger->totals;
	cJSON *drops, *buffers;
	struct row_sum sum;

	account_worker(r, w, &sum);
	add_number(o, "dequeued", t->dequeued);
	add_number(o, "dequeued_skbs", t->dequeued_skbs);
	add_number(o, "matched", t->matched);
	add_number(o, "due", sum.copies.due);
	add_number(o, "sent", sum.copies.sent);
	add_number(o, "sent_bytes", sum.copies.bytes);
	add_number(o, "rx_dropped", t->rx_dropped);
	add_number(o, "ring_full", t->ring_full);
	add_number(o, "in_ring", t->in_ring);
	add_number(o, "submitted", t->submitted);
	add_number(o, "completed", t->completed);
	drops = cJSON_AddObjectToObject(o, "frame_drops");
	for (unsigned i = 0; i < FRAME_DROP__COUNT; i++)
		add_number(drops, frame_names[i], t->frame_drop[i]);
	drops = cJSON_AddObjectToObject(o, "copy_drops");
	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		add_number(drops, copy_names[i], sum.copies.drop[i]);
	buffers = cJSON_AddObjectToObject(o, "buffers");
	add_number(buffers, "total", t->buffers_total);
	add_number(buffers, "fill", t->buffers_fill);
	add_number(buffers, "ring", t->buffers_ring);
	add_number(buffers, "held", t->buffers_held);
	add_number(o, "batches", t->batches);
	add_number(o, "wakeups", t->wakeups);
}

static cJSON *show_worker(struct relay *r, const struct worker *w, bool with_counters)
{
	cJSON *o = cJSON_CreateObject(), *queues;
	int64_t up_us = w->status == WORKER_RUNNING ? loop_clock().us - w->ready.us : 0;

	cJSON_AddNumberToObject(o, "pid", w->child.pid);
	cJSON_AddStringToObject(o, "worker_type", datapath_name(w->kind));
	cJSON_AddStringToObject(o, "interface", w->port->name);
	cJSON_AddNumberToObject(o, "core_id", w->core);
	queues = cJSON_AddArrayToObject(o, "queues");
	for (unsigned i = 0; i < w->n_queues; i++)
		cJSON_AddItemToArray(queues, cJSON_CreateNumber(w->queues[i]));
	cJSON_AddStringToObject(o, "status", worker_status_name(w->status));
	cJSON_AddNumberToObject(o, "backoff_ms",
				w->status == WORKER_BACKOFF ? (double)w->backoff_ms : 0);
	cJSON_AddNumberToObject(o, "restarts", w->restarts);
	cJSON_AddNumberToObject(o, "uptime_s", (double)(up_us / 1000000));
	if (with_counters && w->ledger)
		show_worker_ledger(r, o, w);
	return o;
}

cJSON *show_workers(struct relay *r, bool with_counters)
{
	cJSON *list = cJSON_CreateArray();

	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		if ((w->status != WORKER_IDLE && w->status != WORKER_ENDING) || with_counters)
			cJSON_AddItemToArray(list, show_worker(r, w, with_counters));
	return list;
}

/* --- interfaces --------------------------------------------------------------------------------
 */

static void show_verdicts(cJSON *o, const struct mcr_verdicts *v)
{
	cJSON *list;

	add_number(o, "seen", v->seen);
	add_number(o, "bytes", v->bytes);
	list = cJSON_AddObjectToObject(o, "verdicts");
#define X(name, action, text) add_number(list, #name, v->name);
	MCR_VERDICTS(X)
#undef X
}

static void show_device(cJSON *o, const struct netif *ni)
{
	cJSON *device = cJSON_AddObjectToObject(o, "device");

	add_number(device, "rx_packets", ni->rx_packets);
	add_number(device, "tx_packets", ni->tx_packets);
	add_number(device, "rx_dropped", ni->rx_dropped);
	add_number(device, "tx_dropped", ni->tx_dropped);
}

/*
 * What the filter of the packet sockets saw. A ring that is full refuses socket buffers, and the
 * kernel counts those; how many datagrams were in them shows, at rest, in what the workers took.
 */
static void show_packet_socket(cJSON *to, const struct port *p, const struct mcr_verdicts *v)
{
	cJSON *o = cJSON_AddObjectToObject(to, "packet_socket");
	uint64_t taken = 0;

	for (const struct worker *w = p->workers; w; w = w->next)
		if (w->kind == MCR_DP_AFPACKET && w->ledger)
			taken += w->ledger->totals.dequeued;
	show_verdicts(o, v);
	add_number(o, "to_worker_skbs", v->to_worker_skbs);
	add_number(o, "not_taken", v->to_worker > taken ? v->to_worker - taken : 0);
}

/* What the kernel replicated of a port's frames, and what interfaces did with the copies. */
static void show_kernel(struct relay *r, cJSON *to, const struct port *p, uint64_t replicated)
{
	struct mcr_xmit_stats xmit;
	cJSON *o;

	if (!replicated) {
		cJSON_AddNullToObject(to, "kernel");
		return;
	}
	o = cJSON_AddObjectToObject(to, "kernel");
	plane_xmit_stats(r->plane, p->slot, &xmit);
	add_number(o, "replicated", replicated);
	add_number(o, "copies_taken", xmit.sent);
	add_number(o, "copies_refused", xmit.dropped);
	add_number(o, "overtaken", p->moved_frames);
}

/* A port: what the classifier saw there. */
static void show_port(struct relay *r, cJSON *o, const struct port *p)
{
	static const char *const modes[] = { "none", "native", "generic" };
	struct mcr_verdicts v = { 0 };

	cJSON_AddStringToObject(o, "xdp_mode", modes[p->attached.mode]);
	cJSON_AddStringToObject(o, "xdp_note", p->attached.note);
	plane_verdicts(r->plane, p->slot, MCR_STAGE_XDP, &v);
	show_verdicts(o, &v);
	show_kernel(r, o, p, v.replicated);
	plane_verdicts(r->plane, p->slot, MCR_STAGE_PACKET, &v);
	if (v.seen)
		show_packet_socket(o, p, &v);
	else
		cJSON_AddNullToObject(o, "packet_socket");
}

static bool is_output(struct relay *r, uint32_t ifindex)
{
	for (uint32_t i = 0; i < r->n_sockets; i++)
		if (r->sockets[i].users && r->sockets[i].ifindex == ifindex)
			return true;
	return false;
}

cJSON *show_interfaces(struct relay *r)
{
	cJSON *list = cJSON_CreateArray();

	for (const struct netif *at = netif_next(r->netifs, NULL); at;
	     at = netif_next(r->netifs, at)) {
		const struct port *p = port_find(r, at->name);
		struct netif now = *at;
		cJSON *o;

		if (!p && !is_output(r, at->ifindex))
			continue;
		netif_refresh(r->netifs, at->ifindex, &now);
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "name", at->name);
		cJSON_AddNumberToObject(o, "ifindex", at->ifindex);
		cJSON_AddBoolToObject(o, "up", at->is_up);
		if (p)
			show_port(r, o, p);
		else
			cJSON_AddStringToObject(o, "xdp_mode", "none");
		show_device(o, &now);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

/* --- explanations ------------------------------------------------------------------------------
 */

static void explain_line(cJSON *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void explain_line(cJSON *list, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static void explain_output(cJSON *list, const struct live_rule *live, unsigned i)
{
	const struct rule_output *out = &live->rule->outputs[i];
	const struct resolved_output *now = &live->now.outputs[i];
	char to[IP4_TEXT], ttl[24] = "TTL less one", from[40] = "the sender's address";
	static const char *const how[] = {
		"",
		"as frames of the relay's own",
		"by the kernel's routes",
		"as raw IP packets by the kernel's routes",
		"in PIM Registers by the kernel's routes",
	};

	if (now->wire.ttl)
		snprintf(ttl, sizeof(ttl), "TTL %u", now->wire.ttl);
	if (!now->wire.keeps_source && now->wire.source)
		snprintf(from, sizeof(from), "source %s",
			 ip4_format((struct ip4){ now->wire.source }, to));
	else if (!now->wire.keeps_source)
		snprintf(from, sizeof(from), "the source the kernel chooses");
	explain_line(list, "output %u sends to %s port %u%s%s with %s and %s, %s%s%s.", i,
		     ip4_format((struct ip4){ now->wire.group }, to), now->wire.port,
		     out->interface[0] ? " on " : "", out->interface, from, ttl,
		     how[now->wire.kind], now->reason[0] ? "; but " : "", now->reason);
}

/* The one sentence that matters first: is it forwarding, and if not, why. */
static void explain_state(cJSON *list, const struct relay *r, const struct live_rule *live)
{
	const struct mcr_rule_stats stats = r->rule_stats[live->row];
	struct row_sum sum;

	account_rule(r, live, &sum);
	if (!live->is_programmed)
		explain_line(list, "Not forwarding: %s.", live->now.reason);
	else if (live->datapath == MCR_DP_DROP)
		explain_line(list, "Dropping, as it shall: %llu frames so far.",
			     (unsigned long long)(stats.pruned + stats.wrong_iif));
	else if (sum.packets)
		explain_line(list, "Forwarding: %llu datagrams matched, the last %lld ms ago.",
			     (unsigned long long)sum.packets, (long long)rule_last_seen_ms(&stats));
	else if (stats.ttl)
		explain_line(list,
			     "Not forwarding: %llu frames arrived with TTL 1 or less; raise "
			     "the sender's TTL, or set accept_ttl1.",
			     (unsigned long long)stats.ttl);
	else if (stats.no_worker)
		explain_line(list, "Not forwarding: frames match, but the worker is not there.");
	else if (stats.checksum)
		explain_line(list, "Not forwarding: %llu frames had a wrong checksum.",
			     (unsigned long long)stats.checksum);
	else if (stats.unfit)
		explain_line(list,
			     "Not forwarding: %llu frames were longer than the kernel can "
			     "replicate to these outputs; take datapath afxdp.",
			     (unsigned long long)stats.unfit);
	else
		explain_line(list, "Ready, but no frame has matched yet%s.",
			     live->join_error ? ", and the group could not be joined" : "");
}

cJSON *show_explanation(struct relay *r, const struct live_rule *live)
{
	cJSON *list = cJSON_CreateArray();

	explain_state(list, r, live);
	if (live->is_programmed)
		explain_line(list, "It runs on %s: %s.", datapath_name(live->datapath),
			     live->datapath_reason);
	for (unsigned i = 0; i < live->rule->n_outputs; i++)
		explain_output(list, live, i);
	return list;
}

/* --- overview ----------------------------------------------------------------------------------
 */

static void show_degraded(struct relay *r, cJSON *list)
{
	if (!r->is_persisted)
		explain_line(list, "the running state is not saved: %s", r->persist_error);
	if (r->state_note[0])
		explain_line(list, "%s", r->state_note);
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		if (w->status == WORKER_DEGRADED)
			explain_line(list, "worker %s/%u crashes again and again", w->port->name,
				     w->index);
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (r->ports[i].name[0] && r->ports[i].is_refused)
			explain_line(list, "no XDP on %s: %s", r->ports[i].name,
				     r->ports[i].attached.note);
}

void show_status(struct relay *r, cJSON *reply)
{
	unsigned states[3] = { 0 }, total, ready, ports = 0;
	struct ctlsock_counters ctl = { 0 };
	cJSON *rules;

	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		states[live->now.state]++;
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		ports += r->ports[i].name[0] != '\0';
	workers_count(r, &total, &ready);
	cJSON_AddStringToObject(reply, "instance", r->instance);
	cJSON_AddNumberToObject(reply, "pid", getpid());
	cJSON_AddStringToObject(reply, "version", MCR_VERSION);
	cJSON_AddNumberToObject(reply, "uptime_s",
				(double)((loop_clock().us - r->started.us) / 1000000));
	rules = cJSON_AddObjectToObject(reply, "rules");
	add_number(rules, "total", r->n_live);
	add_number(rules, "active", states[RESOLVE_ACTIVE]);
	add_number(rules, "unresolved", states[RESOLVE_UNRESOLVED]);
	add_number(rules, "failed", states[RESOLVE_FAILED]);
	add_number(reply, "workers", total);
	add_number(reply, "workers_ready", ready);
	add_number(reply, "interfaces", ports);
	add_number(reply, "packets_per_second", r->pps);
	add_number(reply, "copies_per_second", r->cps);
	add_number(reply, "drops_per_second", r->dps);
	cJSON_AddBoolToObject(reply, "persisted", r->is_persisted);
	show_degraded(r, cJSON_AddArrayToObject(reply, "degraded"));
	if (r->ctl)
		ctlsock_counters(r->ctl, &ctl);
	add_number(reply, "clients", ctl.clients);
}
