/* SPDX-License-Identifier: MIT */
/*
 * For tests: one PIM router on its own, on a virtual clock. Port P has the network 198.18.P.0/24
 * and the address .1 there; who else is on it is played by the test. What the router sends is taken
 * apart into a list; what it tells the data path is kept as a table.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/pim.h"

#define RIG_PORTS  6
#define RIG_SENT   4096
#define RIG_ROUTES 256

enum { G = PIM_SPARSE | PIM_WILDCARD | PIM_RPT, SG = PIM_SPARSE, RPT = PIM_SPARSE | PIM_RPT };

struct sent {
	struct mtime at;
	uint32_t port;
	struct ip4 source, dst;
	enum pim_type type;
	uint8_t reserved;
	struct pim_hello hello;	  /* PIM_HELLO */
	struct pim_assert assert; /* PIM_ASSERT */
	struct pim_crp_adv adv;	  /* PIM_CANDIDATE_RP */
	struct sg sg;		  /* PIM_JOIN_PRUNE: one for each entry; Registers and Stops */
	struct ip4 upstream, rp;
	uint8_t kind;
	bool is_join;
	uint16_t holdtime, message; /* message: number of the packet */
	uint16_t len;
	uint16_t n_rps, n_withdrawn; /* PIM_BOOTSTRAP */
};

struct rig_way {
	struct ip4_prefix to;
	struct pim_rpf rpf;
	bool is_there;
};

struct rig {
	struct pim *e;
	void *mem;
	struct mtime now;
	struct actions out;
	struct pim_config cfg;
	struct pim_port_config port_cfg[RIG_PORTS];
	struct pim_link link[RIG_PORTS];
	struct rig_way ways[16];
	uint32_t n_ways, n_sent, n_routes, n_events, n_forwarded;
	uint16_t messages;
	struct sent sent[RIG_SENT];
	struct act_route routes[RIG_ROUTES];
	struct act_event events[RIG_SENT];
	struct portset forwarded; /* where the last decapsulated packet went */
};

static inline struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

static inline struct sg sg(const char *source, const char *group)
{
	return (struct sg){ source ? ip(source) : (struct ip4){ 0 }, ip(group) };
}

static inline struct ip4_prefix prefix(const char *addr, uint8_t len)
{
	return (struct ip4_prefix){ ip(addr), len };
}

/* 198.18.PORT.HOST */
static inline struct ip4 at(uint32_t port, uint32_t host)
{
	return ip4_from_host(0xc6120000u | port << 8 | host);
}

static inline struct mtime ms(int64_t n)
{
	return mtime_ms(n);
}

/* --- routes ------------------------------------------------------------------------------- */

static inline bool rig_rpf(const void *arg, struct ip4 to, struct pim_rpf *out)
{
	const struct rig *r = arg;
	const struct rig_way *best = NULL;

	for (uint32_t i = 0; i < r->n_ways; i++)
		if (r->ways[i].is_there && ip4_in(to, r->ways[i].to) &&
		    (!best || r->ways[i].to.len > best->to.len))
			best = &r->ways[i];
	if (best)
		*out = best->rpf;
	return best != NULL;
}

/* A way by the router `host` on the port, 0 = connected; replaces the one to the same prefix. */
static inline void rig_way(struct rig *r, struct ip4_prefix to, uint32_t port, uint32_t host)
{
	struct rig_way way = { .to = to, .is_there = true };
	uint32_t i = 0;

	while (i < r->n_ways && (!ip4_equal(r->ways[i].to.addr, to.addr) ||
				 r->ways[i].to.len != to.len))
		i++;
	way.rpf = (struct pim_rpf){ .port = port, .is_connected = !host, .preference = 110,
				    .metric = 20 };
	if (host)
		way.rpf.next_hop = at(port, host);
	r->ways[i] = way;
	if (i == r->n_ways)
		r->n_ways++;
	assert_true(r->n_ways <= 16);
}

/* --- what it says ------------------------------------------------------------------------- */

static inline struct sent *rig_add(struct rig *r, const struct sent *s)
{
	assert_true(r->n_sent < RIG_SENT);
	r->sent[r->n_sent] = *s;
	return &r->sent[r->n_sent++];
}

static inline void rig_take_jp(struct rig *r, struct rd *rd, struct sent s)
{
	struct pim_jp_source entry;
	struct pim_jp_group g;
	struct pim_jp jp;

	assert_int_equal(pim_jp_read(rd, &jp), PIM_OK);
	s.upstream = jp.upstream;
	s.holdtime = jp.holdtime;
	while (pim_jp_group(&jp, &g))
		while (pim_jp_source(&g, &entry)) {
			s.sg = (struct sg){ entry.source.addr, g.group.addr };
			s.rp = entry.source.addr;
			if (entry.flags & PIM_WILDCARD)
				s.sg.source.net = 0;
			s.kind = entry.flags;
			s.is_join = entry.is_join;
			rig_add(r, &s);
		}
}

static inline void rig_take_bsm(struct rd *rd, struct sent *s)
{
	struct pim_bsm bsm;
	struct pim_bsm_range range;
	struct pim_bsm_rp rp;

	assert_int_equal(pim_bsm_read(rd, &bsm), PIM_OK);
	while (pim_bsm_range(&bsm, &range))
		while (pim_bsm_rp(&range, &rp)) {
			s->n_rps++;
			s->n_withdrawn += !rp.holdtime;
		}
}

/* Each packet must be one that a router would take. */
static inline void rig_take_packet(struct rig *r, const struct action *a)
{
	struct rd rd = rd_init(r->out.bytes + a->send.off, a->send.len);
	struct sent s = { .at = r->now, .port = a->port, .source = a->send.source,
			  .dst = a->send.dst, .len = a->send.len };
	struct pim_register reg;
	struct pim_register_stop stop;

	s.message = r->messages++;
	assert_int_equal(a->send.protocol, IP_PROTO_PIM);
	assert_int_equal(pim_open(&rd, &s.type, &s.reserved), PIM_OK);
	assert_int_equal(a->send.ttl, a->port == PORT_NONE ? 64 : 1);
	if (a->port != PORT_NONE)
		assert_true(a->send.len + 20u <= 1500);
	if (s.type == PIM_JOIN_PRUNE) {
		rig_take_jp(r, &rd, s);
		return;
	}
	if (s.type == PIM_HELLO)
		assert_int_equal(pim_hello_read(&rd, &s.hello), PIM_OK);
	if (s.type == PIM_ASSERT)
		assert_int_equal(pim_assert_read(&rd, &s.assert), PIM_OK);
	if (s.type == PIM_BOOTSTRAP)
		rig_take_bsm(&rd, &s);
	if (s.type == PIM_CANDIDATE_RP)
		assert_int_equal(pim_crp_adv_read(&rd, &s.adv), PIM_OK);
	if (s.type == PIM_REGISTER) {
		assert_int_equal(pim_register_read(&rd, &reg), PIM_OK);
		assert_true(reg.is_null);
		s.sg = (struct sg){ reg.source, reg.group };
	}
	if (s.type == PIM_REGISTER_STOP) {
		assert_int_equal(pim_register_stop_read(&rd, &stop), PIM_OK);
		s.sg = (struct sg){ stop.source, stop.group.addr };
	}
	rig_add(r, &s);
}

static inline struct act_route *rig_route(struct rig *r, struct sg of)
{
	for (uint32_t i = 0; i < r->n_routes; i++)
		if (sg_equal(r->routes[i].sg, of))
			return &r->routes[i];
	return NULL;
}

static inline void rig_take_route(struct rig *r, const struct action *a)
{
	struct act_route *have = rig_route(r, a->route.sg);

	if (a->kind == ACT_UNROUTE) {
		assert_non_null(have);
		*have = r->routes[--r->n_routes];
		return;
	}
	if (!have) {
		assert_true(r->n_routes < RIG_ROUTES);
		have = &r->routes[r->n_routes++];
	}
	*have = a->route;
}

static inline void rig_take(struct rig *r)
{
	for (uint32_t i = 0; i < r->out.n; i++) {
		const struct action *a = &r->out.list[i];

		if (a->kind == ACT_SEND) {
			rig_take_packet(r, a);
		} else if (a->kind == ACT_ROUTE || a->kind == ACT_UNROUTE) {
			rig_take_route(r, a);
		} else if (a->kind == ACT_FORWARD) {
			r->forwarded = a->forward.ports;
			r->n_forwarded++;
		} else {
			assert_int_equal(a->kind, ACT_EVENT);
			assert_true(r->n_events < RIG_SENT);
			r->events[r->n_events++] = a->event;
		}
	}
	actions_clear(&r->out);
	while (pim_next(r->e).us <= 0) {
		pim_tick(r->e, r->now, &r->out);
		if (r->out.n)
			rig_take(r);
	}
}

/* --- making and running it ---------------------------------------------------------------- */

/* Before rig_start(), a test may change configuration and ways. */
static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->now = ms(1000);
	pim_config_default(&r->cfg);
	r->cfg.ports = RIG_PORTS;
	r->cfg.neighbors = 64;
	r->cfg.routes = 256;
	r->cfg.branches = 512;
	r->cfg.bsr_rps = 32;
	r->cfg.rpf = rig_rpf;
	r->cfg.rpf_arg = r;
	r->cfg.n_static_rps = 1;
	r->cfg.static_rps[0] = (struct pim_static_rp){ prefix("239.0.0.0", 8), ip("10.255.0.1") };
	rig_way(r, prefix("10.255.0.1", 32), 0, 2);
	rig_way(r, prefix("10.0.0.0", 8), 0, 2);
	for (uint32_t i = 0; i < RIG_PORTS; i++) {
		rig_way(r, (struct ip4_prefix){ at(i, 0), 24 }, i, 0);
		pim_port_config_default(&r->port_cfg[i]);
		r->link[i] = (struct pim_link){ .is_up = true, .address = at(i, 1), .mtu = 1500 };
	}
}

static inline void rig_port(struct rig *r, uint32_t port)
{
	pim_port_configure(r->e, r->now, port, &r->port_cfg[port], &r->out);
	rig_take(r);
	pim_link(r->e, r->now, port, &r->link[port], &r->out);
	rig_take(r);
}

static inline void rig_create(struct rig *r)
{
	struct arena a = { 0 };

	assert_null(pim_init(&r->cfg, &a));
	r->mem = aligned_alloc(64, (a.used + 63) / 64 * 64);
	a = (struct arena){ .mem = r->mem, .size = a.used };
	r->e = pim_init(&r->cfg, &a);
	assert_non_null(r->e);
}

/* To the given time from now, as an event loop would go. */
static inline void rig_run(struct rig *r, int64_t span_ms)
{
	struct mtime end = mtime_add(r->now, ms(span_ms));

	while (pim_next(r->e).us <= end.us) {
		struct mtime next = pim_next(r->e);

		if (mtime_before(r->now, next))
			r->now = next;
		pim_tick(r->e, r->now, &r->out);
		rig_take(r);
	}
	r->now = end;
}

static inline void rig_start(struct rig *r)
{
	rig_create(r);
	for (uint32_t i = 0; i < RIG_PORTS; i++)
		rig_port(r, i);
	rig_run(r, 5000);
	r->n_sent = r->n_events = 0;
}

static inline void rig_free(struct rig *r)
{
	const struct pim_counters *c = pim_counters(r->e);
	uint64_t drops = 0;

	for (int d = 0; d < PIM_DROP_N; d++)
		drops += c->drops[d];
	assert_int_equal(c->rx, c->rx_ok + drops);
	free(r->mem);
	r->mem = NULL;
}

/* --- what others say to it ---------------------------------------------------------------- */

static inline enum pim_drop rig_rx(struct rig *r, struct pim_rx rx)
{
	enum pim_drop d;

	d = pim_input(r->e, r->now, &rx, &r->out);
	rig_take(r);
	return d;
}

static inline enum pim_drop rig_rx_link(struct rig *r, uint32_t port, uint32_t host,
					const struct wr *w)
{
	return rig_rx(r, (struct pim_rx){ .port = port, .source = at(port, host),
					  .dst = ip("224.0.0.13"), .ttl = 1, .data = w->start,
					  .len = wr_len(w) });
}

static inline struct pim_hello rig_hello(void)
{
	return (struct pim_hello){ .holdtime = 105, .has_lan_delay = true, .propagation_ms = 500,
				   .override_ms = 2500, .has_dr_priority = true, .dr_priority = 1,
				   .has_gen_id = true, .gen_id = 7 };
}

static inline enum pim_drop rig_say(struct rig *r, uint32_t port, uint32_t host,
				    struct pim_hello h)
{
	uint8_t b[512];
	struct wr w = wr_init(b, sizeof(b));

	pim_hello_write(&w, &h);
	return rig_rx_link(r, port, host, &w);
}

/* A neighbour that never expires. */
static inline void rig_neighbor(struct rig *r, uint32_t port, uint32_t host)
{
	struct pim_hello h = rig_hello();

	h.holdtime = PIM_FOREVER;
	assert_int_equal(rig_say(r, port, host, h), PIM_OK);
}

struct rig_entry {
	uint8_t kind;
	bool is_join;
	struct sg sg;
	struct ip4 rp; /* 0 = the usual one */
};

/* One block for each entry; blocks of the same group that follow one another are one. */
static inline enum pim_drop rig_jp_list(struct rig *r, uint32_t port, uint32_t host,
					struct ip4 upstream, uint16_t holdtime,
					const struct rig_entry *list, size_t n)
{
	uint8_t b[1480], groups = 0;
	struct wr w = wr_init(b, sizeof(b));

	pim_jp_begin(&w, upstream, holdtime);
	for (size_t i = 0, k; i < n; i = k) {
		uint16_t joins = 0, prunes = 0;

		for (k = i; k < n && ip4_equal(list[k].sg.group, list[i].sg.group); k++)
			*(list[k].is_join ? &joins : &prunes) += 1;
		pim_jp_group_write(&w, list[i].sg.group, joins, prunes);
		groups++;
		for (int join = 1; join >= 0; join--)
			for (size_t m = i; m < k; m++) {
				const struct rig_entry *e = &list[m];
				struct ip4 rp = e->rp.net ? e->rp : ip("10.255.0.1");

				if (e->is_join == join)
					pim_source_write(&w, e->kind == G ? rp : e->sg.source,
							 e->kind);
			}
	}
	pim_jp_end(&w, groups);
	assert_false(wr_failed(&w));
	return rig_rx_link(r, port, host, &w);
}

/* To the router, with the usual holdtime. */
static inline void rig_jp(struct rig *r, uint32_t port, uint32_t host, uint8_t kind, bool is_join,
			  struct sg of)
{
	struct rig_entry e = { kind, is_join, of, { 0 } };

	assert_int_equal(rig_jp_list(r, port, host, r->link[port].address, 210, &e, 1),
			 PIM_OK);
}

static inline enum pim_drop rig_assert(struct rig *r, uint32_t port, uint32_t host, struct sg of,
				       bool is_rpt, uint32_t preference, uint32_t metric)
{
	struct pim_assert a = { of, is_rpt, preference, metric };
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	pim_assert_write(&w, &a);
	return rig_rx_link(r, port, host, &w);
}

static inline void rig_local(struct rig *r, uint32_t port, struct sg of, enum pim_local want)
{
	assert_int_equal(pim_local(r->e, r->now, port, of, want, &r->out), 0);
	rig_take(r);
}

static inline void rig_data(struct rig *r, uint32_t port, struct sg of, uint64_t bytes)
{
	struct pim_data d = { .port = port, .sg = of, .packets = 1, .bytes = bytes };

	pim_data(r->e, r->now, &d, &r->out);
	rig_take(r);
}

static inline void rig_moved(struct rig *r)
{
	pim_rpf_changed(r->e, r->now, (struct ip4_prefix){ 0 }, &r->out);
	rig_take(r);
}

/* --- asking ------------------------------------------------------------------------------- */

static inline uint32_t rig_count(const struct rig *r, enum pim_type type, uint32_t port)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_sent; i++)
		n += r->sent[i].type == type && r->sent[i].port == port;
	return n;
}

static inline const struct sent *rig_last(const struct rig *r, enum pim_type type, uint32_t port)
{
	for (uint32_t i = r->n_sent; i > 0; i--)
		if (r->sent[i - 1].type == type && r->sent[i - 1].port == port)
			return &r->sent[i - 1];
	return NULL;
}

/* How often it has said this in Join/Prunes. */
static inline uint32_t rig_said(const struct rig *r, uint32_t port, uint8_t kind, bool is_join,
				struct sg of)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_sent; i++) {
		const struct sent *s = &r->sent[i];

		n += s->type == PIM_JOIN_PRUNE && s->port == port && s->kind == kind &&
		     s->is_join == is_join && sg_equal(s->sg, of);
	}
	return n;
}

static inline void rig_forget(struct rig *r)
{
	r->n_sent = r->n_events = r->n_forwarded = 0;
}

static inline struct pim_route_info rig_info(struct rig *r, struct sg of)
{
	struct pim_route_info i = { 0 };

	pim_route_find(r->e, of, &i);
	return i;
}

static inline struct pim_branch_info rig_branch(struct rig *r, struct sg of, uint32_t port)
{
	struct pim_branch_info b;

	for (uint32_t i = 0; pim_branch_info(r->e, of, i, &b); i++)
		if (b.port == port)
			return b;
	return (struct pim_branch_info){ .port = PORT_NONE };
}

/* Does the data path send what comes of this route out of the port? */
static inline bool rig_flows(struct rig *r, struct sg of, uint32_t port)
{
	const struct act_route *route = rig_route(r, of);

	return route && (portset_has(&route->joined, port) || portset_has(&route->local, port));
}

static inline uint32_t rig_events(const struct rig *r, enum event_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_events; i++)
		n += r->events[i].kind == kind;
	return n;
}
