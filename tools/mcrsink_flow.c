/* SPDX-License-Identifier: MIT */
/*
 * Flows. A window of bits remembers for each of the last WINDOW_BITS sequence numbers whether it
 * has come: so a late one is told from one that comes twice, and what is missing is exact.
 */
#include "mcrsink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the table --- */

static uint32_t hash(uint32_t run, uint32_t flow, const struct sink_datagram *d)
{
	uint64_t h = payload_mix((uint64_t)run << 32 | flow,
				 (uint64_t)d->group.net << 32 | d->source.net);

	return (uint32_t)payload_mix(h, d->port) & (FLOW_SLOTS - 1);
}

static bool is_flow(const struct sink_flow *f, uint32_t run, uint32_t flow,
		    const struct sink_datagram *d)
{
	return f->run == run && f->flow == flow && f->port == d->port &&
	       ip4_equal(f->group, d->group) && ip4_equal(f->source, d->source);
}

static void flow_free(struct sink_flow *f)
{
	if (!f)
		return;
	free(f->window);
	free(f->latency);
	free(f);
}

static int flow_new(struct sink_flow **out, uint32_t run, uint32_t flow,
		    const struct sink_datagram *d)
{
	struct sink_flow *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->run = run;
	f->flow = flow;
	f->group = d->group;
	f->source = d->source;
	f->port = d->port;
	f->ttl_min = f->ttl_max = d->ttl;
	f->tos_min = f->tos_max = d->tos;
	/* Zero pages cost nothing until a sequence number comes by. */
	f->window = calloc(WINDOW_BITS / 64, sizeof(*f->window));
	f->latency = calloc(1, sizeof(*f->latency));
	if (!f->window || !f->latency) {
		flow_free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

/* The flow of a datagram, made at its first one. *out is NULL when the table is full. */
static int find_flow(struct sink_table *t, uint32_t run, uint32_t flow,
		     const struct sink_datagram *d, struct sink_flow **out)
{
	uint32_t at = hash(run, flow, d);
	int err;

	while (t->slots[at] && !is_flow(t->slots[at], run, flow, d))
		at = (at + 1) & (FLOW_SLOTS - 1);
	*out = t->slots[at];
	if (*out || t->n == FLOWS_MAX)
		return 0;
	err = flow_new(out, run, flow, d);
	if (err)
		return err;
	t->slots[at] = *out;
	t->list[t->n++] = *out;
	return 0;
}

void flow_free_all(struct sink_table *t)
{
	while (t->n)
		flow_free(t->list[--t->n]);
}

/* --- sequence numbers --- */

static uint64_t *word_of(const struct sink_flow *f, uint64_t sequence)
{
	return &f->window[sequence % WINDOW_BITS / 64];
}

/* Makes room in the window for numbers up to `sequence`, which none of have come. */
static void advance(struct sink_flow *f, uint64_t sequence)
{
	uint64_t i;

	if (sequence - f->last >= WINDOW_BITS) {
		memset(f->window, 0, WINDOW_BITS / 8);
	} else {
		for (i = f->last + 1; i != sequence + 1; i++)
			*word_of(f, i) &= ~(1ull << i % 64);
	}
	f->last = sequence;
}

static void mark(struct sink_flow *f, uint64_t sequence)
{
	uint64_t *word = word_of(f, sequence), bit = 1ull << sequence % 64;

	if (*word & bit) {
		f->duplicated++;
		return;
	}
	*word |= bit;
	f->unique++;
}

static void take_sequence(struct sink_flow *f, uint64_t sequence)
{
	if (!f->unique) {
		f->first = f->last = sequence;
	} else if (sequence > f->last) {
		advance(f, sequence);
	} else if (f->last - sequence >= WINDOW_BITS) {
		f->stale++;
		return;
	} else if (!(*word_of(f, sequence) & 1ull << sequence % 64)) {
		f->reordered++;
	}
	if (sequence < f->first)
		f->first = sequence;
	mark(f, sequence);
}

uint64_t flow_lost(const struct sink_flow *f)
{
	return f->unique ? f->last - f->first + 1 - f->unique : 0;
}

/* --- counting --- */

static void count(struct sink_flow *f, const struct sink_datagram *d)
{
	f->received++;
	f->bytes += d->len;
	f->checksums[d->checksum]++;
	f->source_port = d->source_port;
	f->ttl_min = d->ttl < f->ttl_min ? d->ttl : f->ttl_min;
	f->ttl_max = d->ttl > f->ttl_max ? d->ttl : f->ttl_max;
	f->tos_min = d->tos < f->tos_min ? d->tos : f->tos_min;
	f->tos_max = d->tos > f->tos_max ? d->tos : f->tos_max;
}

int flow_take(struct sink_table *t, const struct sink_datagram *d)
{
	struct payload p = { 0 };
	enum payload_state state = payload_read(d->data, d->len, &p);
	bool is_known = state == PAYLOAD_GOOD || state == PAYLOAD_BAD_BODY;
	struct sink_flow *f;
	int err = find_flow(t, is_known ? p.run : 0, is_known ? p.flow : FLOW_UNKNOWN, d, &f);

	if (err)
		return err;
	if (!f) {
		t->no_room++;
		return 0;
	}
	count(f, d);
	f->corrupt += state != PAYLOAD_GOOD;
	if (!is_known)
		return 0;
	take_sequence(f, p.sequence);
	latency_add(f->latency, d->now_ns > p.sent_ns ? d->now_ns - p.sent_ns : 0);
	return 0;
}
