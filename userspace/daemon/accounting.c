/* SPDX-License-Identifier: MIT */
/*
 * Sums over the ledgers, and the identities that say that no packet is lost without a name
 * (docs/accounting.md). While traffic flows, the two sides of an identity cannot be read in one
 * instant: everything is read twice, and what moved in between, plus what a ring and a batch can
 * hold, is how far the sides may be apart. At rest they must be equal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"
#include "edge/log.h"

/* After a full ring the kernel keeps the buffers of one frame at hand for the next (xsk_buff_free):
 * they are in no ring. */
#define KERNEL_KEEPS 18
#define IN_FLIGHT    (16384 + 512 * MCR_MAX_OUTPUTS) /* rings and a batch, generously */

/* --- sums --------------------------------------------------------------------------------------
 */

uint64_t account_copy_drops(const struct ledger_output *row)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		sum += row->drop[i];
	return sum;
}

static void add_output(const struct ledger_output *row, struct ledger_output *sum)
{
	sum->due += row->due;
	sum->sent += row->sent;
	sum->bytes += row->bytes;
	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		sum->drop[i] += row->drop[i];
}

void account_row(const struct ledger *ledger, uint32_t row, const uint32_t *output_rows,
		 unsigned n_outputs, struct row_sum *sum)
{
	sum->packets += ledger->rules[row].packets;
	sum->bytes += ledger->rules[row].bytes;
	sum->owed += ledger->rules[row].packets * n_outputs;
	for (unsigned i = 0; i < n_outputs; i++)
		add_output(&ledger->outputs[output_rows[i]], &sum->copies);
}

/*
 * The programs' counters are read all at once, those of copies before those of frames, so that no
 * copy is seen before it is due.
 */
void account_refresh(struct relay *r)
{
	plane_output_stats_all(r->plane, r->output_rows.high, r->output_stats);
	plane_rule_stats_all(r->plane, r->rule_rows.high, r->rule_stats);
}

/* Copies made in the kernel. One that is due and was not made met an interface that was down. */
static void add_kernel_output(const struct relay *r, uint32_t row, uint32_t output_row,
			      struct ledger_output *sum)
{
	const struct mcr_output_stats *out = &r->output_stats[output_row];
	uint64_t due = r->rule_stats[row].replicated, made = out->sent + out->ttl;

	sum->due += due;
	sum->sent += out->sent;
	sum->bytes += out->bytes;
	sum->drop[COPY_DROP_ttl] += out->ttl;
	sum->drop[COPY_DROP_down] += due > made ? due - made : 0;
}

/* The same of one rule, for who asks for that one. */
void account_refresh_rule(struct relay *r, const struct live_rule *live)
{
	for (unsigned i = 0; i < live->rule->n_outputs; i++)
		plane_output_stats(r->plane, live->output_rows[i],
				   &r->output_stats[live->output_rows[i]]);
	plane_rule_stats(r->plane, live->row, &r->rule_stats[live->row]);
}

void account_rule(const struct relay *r, const struct live_rule *live, struct row_sum *sum)
{
	unsigned n_outputs = live->rule->n_outputs;
	const struct mcr_rule_stats *kernel = &r->rule_stats[live->row];

	memset(sum, 0, sizeof(*sum));
	for (const struct worker *w = live->port->workers; w; w = w->next)
		if (w->ledger)
			account_row(w->ledger, live->row, live->output_rows, n_outputs, sum);
	sum->packets += kernel->replicated;
	sum->bytes += kernel->replicated_bytes;
	sum->owed += kernel->replicated * n_outputs;
	for (unsigned i = 0; kernel->replicated && i < n_outputs; i++)
		add_kernel_output(r, live->row, live->output_rows[i], &sum->copies);
}

/* As of account_refresh, and with what the rules before this one have counted. */
void account_route(const struct relay *r, const struct live_rule *live, struct route_seen *out)
{
	const struct mcr_rule_stats *stats = &r->rule_stats[live->row];
	struct mtime last = { (int64_t)(stats->last_seen_ns / 1000) };
	struct row_sum sum;

	account_rule(r, live, &sum);
	*out = (struct route_seen){
		.packets = live->before.packets + sum.packets,
		.bytes = live->before.bytes + sum.bytes,
		.pruned = live->before.pruned + stats->pruned,
		.wrong_iif = live->before.wrong_iif + stats->wrong_iif,
		.last = mtime_before(last, live->before.last) ? live->before.last : last,
		.pps = live->pps,
	};
}

void account_output(const struct relay *r, const struct live_rule *live, unsigned output,
		    struct ledger_output *out)
{
	memset(out, 0, sizeof(*out));
	for (const struct worker *w = live->port->workers; w; w = w->next)
		if (w->ledger)
			add_output(&w->ledger->outputs[live->output_rows[output]], out);
	if (r->rule_stats[live->row].replicated)
		add_kernel_output(r, live->row, live->output_rows[output], out);
}

void account_worker(struct relay *r, const struct worker *w, struct row_sum *sum)
{
	*sum = w->carried;
	if (!w->ledger)
		return;
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->port == w->port)
			account_row(w->ledger, live->row, live->output_rows, live->rule->n_outputs,
				    sum);
	for (const struct cooling *c = r->cooling; c; c = c->next)
		if (c->port == w->port)
			account_row(w->ledger, c->row, c->output_rows, c->n_outputs, sum);
}

static void kernel_rows(const struct relay *r, uint32_t row, const uint32_t *output_rows,
			unsigned n_outputs, struct mcr_folded *sum)
{
	const struct mcr_rule_stats *stats = &r->rule_stats[row];

	sum->replicated += stats->replicated;
	for (unsigned i = 0; i < n_outputs; i++) {
		sum->sent += r->output_stats[output_rows[i]].sent;
		sum->ttl += r->output_stats[output_rows[i]].ttl;
	}
}

/* --- once a second -----------------------------------------------------------------------------
 */

static void stats_lines(struct relay *r, struct worker *w, int64_t seconds)
{
	/* the worker goes on counting: what is told now is what the next rate begins at */
	const struct ledger_totals t = w->ledger->totals;
	uint64_t bad = t.frame_drop[FRAME_DROP_malformed] + t.frame_drop[FRAME_DROP_truncated] +
		       t.frame_drop[FRAME_DROP_checksum];
	struct row_sum sum;

	account_worker(r, w, &sum);
	log_info(LOG_F_stats,
		 "[STATS:Ingress] recv=%" PRIu64 " matched=%" PRIu64 " parse_err=%" PRIu64
		 " no_match=%" PRIu64 " buf_exhaust=%" PRIu64 " (%" PRIu64 " pps) worker=%s/%u",
		 t.dequeued, t.matched, bad, t.frame_drop[FRAME_DROP_rule_gone],
		 t.rx_dropped + t.ring_full,
		 (t.dequeued - w->last_stats.dequeued) / (uint64_t)seconds, w->port->name,
		 w->index);
	log_info(LOG_F_stats,
		 "[STATS:Egress] sent=%" PRIu64 " submitted=%" PRIu64 " errors=%" PRIu64
		 " bytes=%" PRIu64 " (%" PRIu64 " pps) worker=%s/%u",
		 sum.copies.sent, sum.copies.due, account_copy_drops(&sum.copies), sum.copies.bytes,
		 (sum.copies.sent - w->last_stats.sent) / (uint64_t)seconds, w->port->name,
		 w->index);
	w->last_stats.dequeued = t.dequeued;
	w->last_stats.sent = sum.copies.sent;
}

static void rule_rates(const struct relay *r, struct live_rule *live, struct row_sum *total)
{
	struct row_sum sum;

	account_rule(r, live, &sum);
	live->pps = sum.packets - live->last_packets;
	live->bps = 8 * (sum.bytes - live->last_bytes);
	live->last_packets = sum.packets;
	live->last_bytes = sum.bytes;
	live->port->pps += live->pps;
	total->packets += live->pps;
	total->copies.sent += sum.copies.sent - live->last_sent;
	total->copies.due += account_copy_drops(&sum.copies) - live->last_drops;
	live->last_sent = sum.copies.sent;
	live->last_drops = account_copy_drops(&sum.copies);
}

void account_tick(struct relay *r, struct mtime now)
{
	struct row_sum total = { 0 };
	int64_t every = r->config->stats_interval_s;

	account_refresh(r);
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		r->ports[i].pps = 0;
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		rule_rates(r, live, &total);
	r->pps = total.packets;
	r->cps = total.copies.sent;
	r->dps = total.copies.due;
	if (!every || mtime_before(now, r->next_stats))
		return;
	r->next_stats = mtime_add(now, mtime_ms(every * 1000));
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		if (w->ledger && w->status == WORKER_RUNNING)
			stats_lines(r, w, every);
}

/* --- identities --------------------------------------------------------------------------------
 */

struct identity {
	int id;
	const char *name, *left_text, *right_text;
	char scope[40];
	uint64_t left, right;
	uint64_t kept; /* how many the kernel may keep at hand, invisible */
};

struct identities {
	struct identity *list;
	size_t n, cap;
};

static void identity_put(struct identities *set, const struct identity *one, const char *scope)
{
	if (set->n == set->cap) {
		size_t cap = set->cap ? 2 * set->cap : 64;
		struct identity *list = realloc(set->list, cap * sizeof(*list));

		if (!list)
			return;
		set->list = list;
		set->cap = cap;
	}
	set->list[set->n] = *one;
	snprintf(set->list[set->n++].scope, sizeof(one->scope), "%s", scope);
}

static uint64_t sum_verdicts(const struct mcr_verdicts *v)
{
	uint64_t sum = 0;

#define X(name, action, text) sum += v->name;
	MCR_VERDICTS(X)
#undef X
	return sum;
}

/* 2: what the classifier let in for workers of one kind is what they took, dropped or have. */
static void identity_ring(const struct port *p, enum mcr_datapath kind,
			  const struct mcr_verdicts *v, struct identities *set)
{
	bool is_packet = kind == MCR_DP_AFPACKET;
	struct identity one = {
		.id = 2,
		.name = is_packet ? "packet ring" : "AF_XDP ring",
		.left_text = is_packet ? "socket buffers let in" : "verdict to_worker",
		.right_text = "dequeued + rx_dropped + ring_full + in_ring",
		.left = is_packet ? v->to_worker_skbs - p->earlier_skbs
				  : v->to_worker - p->earlier_frames,
	};

	for (const struct worker *w = p->workers; w; w = w->next) {
		const struct ledger_totals *t;

		if (w->kind != kind || !w->ledger)
			continue;
		t = &w->ledger->totals;
		one.right += (is_packet ? t->dequeued_skbs : t->dequeued) + t->rx_dropped +
			     t->ring_full + t->in_ring;
	}
	identity_put(set, &one, p->name);
}

/* What rows count for frames of a port that the kernel replicates, with the rows of before. */
static void kernel_sums(struct relay *r, const struct port *p, struct mcr_folded *sum)
{
	if (plane_folded(r->plane, p->slot, sum))
		memset(sum, 0, sizeof(*sum));
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->port == p)
			kernel_rows(r, live->row, live->output_rows, live->rule->n_outputs, sum);
	for (const struct cooling *c = r->cooling; c; c = c->next)
		if (c->slot == p->slot)
			kernel_rows(r, c->row, c->output_rows, c->n_outputs, sum);
}

/* 3 and 4 for copies that the kernel makes: an interface took them, or refused them. */
static void identities_kernel(struct relay *r, const struct port *p, uint64_t replicated,
			      struct identities *set)
{
	struct identity rules = { .id = 3,
				  .name = "replicated",
				  .left_text = "verdict replicated",
				  .right_text = "sum over rules" };
	struct identity copies = { .id = 4,
				   .name = "copies made in the kernel",
				   .left_text = "sent by rules + dropped for TTL",
				   .right_text = "taken + refused by interfaces" };
	struct mcr_xmit_stats xmit;
	struct mcr_folded sum;

	plane_xmit_stats(r->plane, p->slot, &xmit);
	kernel_sums(r, p, &sum);
	rules.left = replicated;
	rules.right = sum.replicated;
	identity_put(set, &rules, p->name);
	copies.left = sum.sent + sum.ttl;
	copies.right = xmit.sent + xmit.dropped;
	identity_put(set, &copies, p->name);
}

static void identities_port(struct relay *r, const struct port *p, struct identities *set)
{
	for (enum mcr_stage stage = 0; stage < MCR_STAGE__COUNT; stage++) {
		struct identity one = {
			.id = 1,
			.name = stage == MCR_STAGE_XDP ? "XDP verdicts" : "packet socket verdicts",
			.left_text = "frames seen",
			.right_text = "sum of verdicts",
		};
		struct mcr_verdicts v;

		if (plane_verdicts(r->plane, p->slot, stage, &v))
			continue;
		one.left = v.seen;
		one.right = sum_verdicts(&v);
		if (v.seen)
			identity_put(set, &one, p->name);
		if (v.replicated)
			identities_kernel(r, p, v.replicated, set);
		if (p->workers)
			identity_ring(p, stage == MCR_STAGE_XDP ? MCR_DP_AFXDP : MCR_DP_AFPACKET,
				      &v, set);
	}
}

static void identities_worker(struct relay *r, const struct worker *w, struct identities *set)
{
	const struct ledger_totals *t = &w->ledger->totals;
	struct identity one = { .id = 2,
				.name = "dequeued",
				.left_text = "dequeued",
				.right_text = "matched + frame drops",
				.left = t->dequeued,
				.right = t->matched };
	struct row_sum sum;
	char scope[40];

	snprintf(scope, sizeof(scope), "%s/%u %s", w->port->name, w->index, datapath_name(w->kind));
	for (unsigned i = 0; i < FRAME_DROP__COUNT; i++)
		one.right += t->frame_drop[i];
	identity_put(set, &one, scope);
	account_worker(r, w, &sum);
	one = (struct identity){ .id = 3,
				 .name = "rules",
				 .left_text = "matched by the worker",
				 .right_text = "sum over its rules",
				 .left = t->matched,
				 .right = sum.packets };
	identity_put(set, &one, scope);
	one = (struct identity){ .id = 3,
				 .name = "copies due",
				 .left_text = "sum of matched × outputs",
				 .right_text = "sum of copies due",
				 .left = sum.owed,
				 .right = sum.copies.due };
	identity_put(set, &one, scope);
	one = (struct identity){ .id = 4,
				 .name = "copies",
				 .left_text = "copies due",
				 .right_text = "sent + named drops",
				 .left = sum.copies.due,
				 .right = sum.copies.sent + account_copy_drops(&sum.copies) };
	identity_put(set, &one, scope);
	one = (struct identity){ .id = 5,
				 .name = "buffers",
				 .left_text = "total",
				 .right_text = "fill + ring + held",
				 .left = t->buffers_total,
				 .right = t->buffers_fill + t->buffers_ring + t->buffers_held,
				 .kept = w->kind == MCR_DP_AFXDP ? KERNEL_KEEPS * w->n_queues : 0 };
	identity_put(set, &one, scope);
}

static void identities_read(struct relay *r, struct identities *set)
{
	set->n = 0;
	account_refresh(r);
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (r->ports[i].name[0])
			identities_port(r, &r->ports[i], set);
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		if (w->ledger)
			identities_worker(r, w, set);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void side_show(cJSON *to, const char *key, const char *text, uint64_t value)
{
	cJSON *side = cJSON_AddObjectToObject(to, key);

	cJSON_AddStringToObject(side, "expression", text);
	cJSON_AddNumberToObject(side, "value", (double)value);
}

static bool identity_show(const struct identity *before, const struct identity *now, cJSON *list)
{
	uint64_t moved = distance(before->left, now->left) + distance(before->right, now->right);
	uint64_t slack = moved ? moved + IN_FLIGHT : now->kept;
	bool holds = distance(now->left, now->right) <= slack;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "id", now->id);
	cJSON_AddStringToObject(o, "name", now->name);
	cJSON_AddStringToObject(o, "scope", now->scope);
	side_show(o, "left", now->left_text, now->left);
	side_show(o, "right", now->right_text, now->right);
	cJSON_AddBoolToObject(o, "holds", holds);
	cJSON_AddStringToObject(o, "note",
				moved ? "moving: the sides were read one after the other" : "");
	cJSON_AddItemToArray(list, o);
	return holds;
}

bool account_identities(struct relay *r, cJSON *list)
{
	struct identities before = { 0 }, now = { 0 };
	bool holds = true;

	identities_read(r, &before);
	identities_read(r, &now);
	for (size_t i = 0; i < now.n && i < before.n; i++)
		holds &= identity_show(&before.list[i], &now.list[i], list);
	free(before.list);
	free(now.list);
	return holds;
}
