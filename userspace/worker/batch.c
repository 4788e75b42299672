/* SPDX-License-Identifier: MIT */
/* Sorting a batch into runs. */
#include <string.h>

#include "worker/batch.h"

void batch_clear(struct batch *b)
{
	b->n_frames = 0;
	b->n_pieces = 0;
	b->n_runs = 0;
	b->n_datagrams = 0;
	b->n_sends = 0;
}

static uint32_t flow_hash(const struct table_rule *rule, const struct mcr_flow *flow)
{
	uint64_t h = (uint64_t)flow->source << 32 | flow->group;

	h ^= ((uint64_t)flow->sport << 16 | flow->dport) * 0xff51afd7ed558ccdu;
	h ^= rule->row;
	/* multiplying spreads upwards only, and where sources differ is at the top */
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32) / (UINT32_MAX / BATCH_SLOTS + 1);
}

/* What must stay in order. */
static bool same_flow(const struct run *r, const struct table_rule *rule, const struct frame *f)
{
	return r->rule == rule && r->flow.source == f->flow.source &&
	       r->flow.group == f->flow.group && r->flow.sport == f->flow.sport &&
	       r->flow.dport == f->flow.dport;
}

/* Equal but for the length of the payload: the headers of all copies can be built once. */
static bool same_headers(const struct run *r, const struct frame *f)
{
	return r->flow.ttl == f->flow.ttl && r->flow.tos == f->flow.tos &&
	       r->flow.df == f->flow.df &&
	       (r->checksum == FRAME_CSUM_NONE) == (f->checksum == FRAME_CSUM_NONE);
}

static bool run_takes(const struct run *r, const struct frame *f)
{
	return !r->is_closed && f->datagrams == 1 && f->len && f->len <= r->segment &&
	       r->bytes + f->len <= RUN_BYTES && r->n_pieces + f->n_payload <= RUN_PIECES &&
	       same_headers(r, f);
}

static void run_open(struct batch *b, struct run *r, uint32_t i, const struct table_rule *rule)
{
	const struct frame *f = &b->frames[i];

	*r = (struct run){
		.rule = rule,
		.flow = f->flow,
		.head = f->head,
		.bytes = f->len,
		.n_pieces = f->n_payload,
		.datagrams = f->datagrams,
		.segment = f->segment,
		.checksum = f->checksum,
		/* an empty datagram cannot be a segment; a super-frame is a run already */
		.is_closed = f->datagrams > 1 || f->len == 0 || f->flow.protocol != IPPROTO_UDP,
		.first = (uint16_t)i,
		.last = (uint16_t)i,
	};
}

/* Where the flow's latest run is, or else where it belongs: there are more slots than runs. */
static uint32_t slot_find(struct batch *b, const struct table_rule *rule, const struct frame *f,
			  struct run **latest)
{
	uint32_t slot = flow_hash(rule, &f->flow);

	for (;; slot = (slot + 1) % BATCH_SLOTS) {
		uint32_t k = b->open[slot];

		*latest = NULL;
		if (k >= b->n_runs || b->runs[k].slot != slot)
			return slot;
		*latest = &b->runs[k];
		if (same_flow(*latest, rule, f))
			return slot;
	}
}

void batch_add(struct batch *b, uint32_t i, const struct table_rule *rule)
{
	const struct frame *f = &b->frames[i];
	struct run *r;
	uint32_t slot = slot_find(b, rule, f, &r);

	b->n_datagrams += f->datagrams;
	if (r && run_takes(r, f)) {
		b->next[r->last] = (uint16_t)i;
		r->last = (uint16_t)i;
		r->bytes += f->len;
		r->n_pieces += f->n_payload;
		r->datagrams++;
		r->is_closed = f->len < r->segment || r->datagrams == RUN_DATAGRAMS;
		return;
	}
	b->open[slot] = (uint16_t)b->n_runs;
	run_open(b, &b->runs[b->n_runs], i, rule);
	b->runs[b->n_runs++].slot = (uint16_t)slot;
	b->n_sends += rule->n_outputs;
}

uint32_t batch_gather(const struct batch *b, const struct run *r, uint32_t from, uint32_t len,
		      struct iovec *iov, uint32_t cap)
{
	uint32_t n = 0, frame = r->first;

	while (len && n < cap) {
		const struct frame *f = &b->frames[frame];

		for (uint32_t p = 0; p < f->n_payload && len && n < cap; p++) {
			uint32_t have = (uint32_t)f->payload[p].iov_len;

			if (from >= have) {
				from -= have;
				continue;
			}
			have -= from;
			if (have > len)
				have = len;
			iov[n].iov_base = (uint8_t *)f->payload[p].iov_base + from;
			iov[n++].iov_len = have;
			len -= have;
			from = 0;
		}
		if (frame == r->last)
			break;
		frame = b->next[frame];
	}
	return n;
}
