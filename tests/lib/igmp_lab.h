/* SPDX-License-Identifier: MIT */
/*
 * An IGMP engine on a virtual clock, and all that it has said: packets, events, and what it wants
 * at the moment. Wishes have to come and go in turn; joins are counted, and each is left once.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "engine/igmp.h"
#include "igmp_packet.h"

#define LAB_MAX 4096

struct lab_member {
	bool is_join;
	uint32_t port;
	struct sg sg;
	enum want_mode mode;
};

struct lab_sent {
	struct mtime at;
	uint32_t port;
	struct act_send head;
	uint8_t bytes[1600];
	struct igmp_query q;
};

struct lab {
	struct igmp *e;
	void *mem;
	size_t size;
	struct mtime now;
	struct lab_member members[LAB_MAX];
	uint32_t n_members;
	struct lab_sent sent[LAB_MAX];
	uint32_t n_sent;
	struct action events[LAB_MAX];
	uint32_t n_events;
	uint32_t longest; /* list of actions */
};

/* Works without cmocka as well. */
#define LAB_DEMAND(what)                                                                           \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline struct lab_member *lab_find(struct lab *l, const struct lab_member *m)
{
	for (uint32_t i = 0; i < l->n_members; i++) {
		struct lab_member *at = &l->members[i];

		if (at->is_join == m->is_join && at->port == m->port && at->mode == m->mode &&
		    sg_equal(at->sg, m->sg))
			return at;
	}
	return NULL;
}

static inline void lab_member(struct lab *l, const struct action *a)
{
	struct lab_member m = { .is_join = a->kind == ACT_JOIN || a->kind == ACT_LEAVE,
				.port = a->port,
				.sg = a->member.sg,
				.mode = a->member.mode };
	struct lab_member *at = lab_find(l, &m);
	bool is_more = a->kind == ACT_JOIN || a->kind == ACT_WANT;

	LAB_DEMAND(is_more ? !at || m.is_join : at != NULL);
	if (!is_more) {
		*at = l->members[--l->n_members];
	} else {
		LAB_DEMAND(l->n_members < LAB_MAX);
		l->members[l->n_members++] = m;
	}
}

/* Every packet is what a router may send (IG-5), and reads as what it is. */
static inline void lab_sent(struct lab *l, const struct action *a, const struct actions *out)
{
	struct lab_sent *s = &l->sent[l->n_sent++ % LAB_MAX];
	struct igmp_message m;

	LAB_DEMAND(a->send.len <= sizeof(s->bytes) && a->send.protocol == 2 && a->send.ttl == 1);
	LAB_DEMAND(a->send.source.net);
	*s = (struct lab_sent){ .at = l->now, .port = a->port, .head = a->send };
	memcpy(s->bytes, out->bytes + a->send.off, a->send.len);
	LAB_DEMAND(igmp_read(&m, s->bytes, a->send.len) == IGMP_ACCEPTED);
	LAB_DEMAND(m.type == IGMP_QUERY);
	LAB_DEMAND(ip4_equal(a->send.dst, m.query.group.net ? m.query.group :
							      ip4_from_host(IGMP_ALL_SYSTEMS)));
	s->q = m.query;
}

/* Reads the list and empties it. */
static inline void lab_take(struct lab *l, struct actions *out)
{
	for (uint32_t i = 0; i < out->n; i++) {
		const struct action *a = &out->list[i];

		switch (a->kind) {
		case ACT_SEND:
			lab_sent(l, a, out);
			break;
		case ACT_JOIN:
		case ACT_LEAVE:
		case ACT_WANT:
		case ACT_UNWANT:
			lab_member(l, a);
			break;
		case ACT_EVENT:
			l->events[l->n_events++ % LAB_MAX] = *a;
			break;
		case ACT_ROUTE:
		case ACT_UNROUTE:
		case ACT_FORWARD:
			LAB_DEMAND(false); /* those of PIM */
			break;
		}
	}
	if (out->n > l->longest)
		l->longest = out->n;
	actions_clear(out);
}

static struct actions lab_out;

/* All that is due now. */
static inline void lab_settle(struct lab *l)
{
	lab_take(l, &lab_out);
	for (int turn = 0; igmp_next(l->e).us <= l->now.us; turn++) {
		LAB_DEMAND(turn < 100000);
		igmp_tick(l->e, l->now, &lab_out);
		lab_take(l, &lab_out);
	}
}

/* Lets time pass, waking the engine when it is due and never otherwise. */
static inline void lab_until(struct lab *l, struct mtime until)
{
	while (igmp_next(l->e).us <= until.us) {
		struct mtime next = igmp_next(l->e);

		if (next.us > l->now.us)
			l->now = next;
		igmp_tick(l->e, l->now, &lab_out);
		lab_take(l, &lab_out);
	}
	if (until.us > l->now.us)
		l->now = until;
}

static inline void lab_pass(struct lab *l, int64_t ms)
{
	lab_until(l, mtime_add(l->now, mtime_ms(ms)));
}

static inline void lab_open(struct lab *l, const struct igmp_config *cfg)
{
	struct arena measure = { 0 }, mem;

	memset(l, 0, sizeof(*l));
	LAB_DEMAND(igmp_init(&l->e, cfg, &measure) != 0);
	l->size = measure.used;
	l->mem = malloc(l->size);
	LAB_DEMAND(l->mem != NULL);
	mem = (struct arena){ .mem = l->mem, .size = l->size };
	LAB_DEMAND(igmp_init(&l->e, cfg, &mem) == 0);
	LAB_DEMAND(mem.used == l->size);
	l->now = mtime_ms(1000);
}

static inline void lab_close(struct lab *l)
{
	free(l->mem);
}

/* A port that is up, with the address 10.0.PORT.LAST/24. */
static inline void lab_port(struct lab *l, uint32_t port, uint8_t last,
			    const struct igmp_port_config *cfg)
{
	struct igmp_link link = { .is_up = true,
				  .address = ADDR(10, 0, port, last),
				  .prefix_len = 24,
				  .mtu = 1500 };

	LAB_DEMAND(igmp_port_set(l->e, l->now, port, cfg, &lab_out) == 0);
	lab_take(l, &lab_out);
	igmp_link(l->e, l->now, port, &link, &lab_out);
	lab_settle(l);
}

static inline enum igmp_drop lab_input(struct lab *l, uint32_t port, struct ip4 source,
				       const struct igmp_packet *p)
{
	struct igmp_rx rx = { .port = port,
			      .source = source,
			      .ttl = 1,
			      .has_router_alert = true,
			      .data = p->bytes,
			      .len = p->len };
	enum igmp_drop drop = igmp_input(l->e, l->now, &rx, &lab_out);

	lab_settle(l);
	return drop;
}

/* A v3 report of one record. */
static inline enum igmp_drop lab_report(struct lab *l, uint32_t port, struct ip4 host, uint8_t type,
					struct ip4 group, const struct ip4 *sources, size_t n)
{
	static struct igmp_packet p;

	igmp_packet_report(&p);
	igmp_packet_record(&p, type, group, sources, n);
	return lab_input(l, port, host, &p);
}

/* A message of v1 or v2. */
static inline enum igmp_drop lab_short(struct lab *l, uint32_t port, struct ip4 host, uint8_t type,
				       uint8_t code, struct ip4 group)
{
	static struct igmp_packet p;

	igmp_packet_short(&p, type, code, group);
	return lab_input(l, port, host, &p);
}

static inline enum igmp_drop lab_query(struct lab *l, uint32_t port, struct ip4 router,
				       struct igmp_query q, const struct ip4 *sources)
{
	static struct igmp_packet p;

	igmp_packet_query(&p, q, sources);
	return lab_input(l, port, router, &p);
}

static inline bool lab_has(struct lab *l, bool is_join, uint32_t port, struct ip4 source,
			   struct ip4 group, enum want_mode mode)
{
	struct lab_member m = { is_join, port, { source, group }, mode };

	return lab_find(l, &m) != NULL;
}

static inline bool lab_wants(struct lab *l, uint32_t port, struct ip4 source, struct ip4 group)
{
	return lab_has(l, false, port, source, group, WANT_INCLUDE);
}

static inline bool lab_wants_not(struct lab *l, uint32_t port, struct ip4 source, struct ip4 group)
{
	return lab_has(l, false, port, source, group, WANT_EXCLUDE);
}

/* Events of a kind since the last lab_forget(). */
static inline uint32_t lab_events(const struct lab *l, enum event_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n_events; i++)
		n += l->events[i].event.kind == kind;
	return n;
}

static inline void lab_forget(struct lab *l)
{
	l->n_sent = l->n_events = 0;
}

static inline bool lab_group(const struct lab *l, uint32_t port, struct ip4 group,
			     struct igmp_cursor *c, struct igmp_group_view *out)
{
	*c = (struct igmp_cursor){ 0 };
	while (igmp_group_show(l->e, port, l->now, c, out))
		if (ip4_equal(out->group, group))
			return true;
	return false;
}

static inline bool lab_source(const struct lab *l, uint32_t port, struct ip4 group,
			      struct ip4 source, struct igmp_source_view *out)
{
	struct igmp_cursor at_group, at = { 0 };
	struct igmp_group_view g;

	if (!lab_group(l, port, group, &at_group, &g))
		return false;
	while (igmp_source_show(&at_group, l->now, &at, out))
		if (ip4_equal(out->source, source))
			return true;
	return false;
}

static inline struct igmp_stats lab_stats(const struct lab *l, uint32_t port)
{
	struct igmp_port_view p;

	LAB_DEMAND(igmp_port_show(l->e, port, l->now, &p));
	return p.stats;
}

/* What was received is what was accepted and what was dropped, message by message and record. */
static inline void lab_balance(const struct igmp_stats *s)
{
	uint64_t messages = s->accepted, records = s->records_accepted;

	for (int i = 0; i < IGMP_DROP__COUNT; i++) {
		messages += s->dropped[i];
		records += s->records_dropped[i];
	}
	LAB_DEMAND(messages == s->received && records == s->records);
}
