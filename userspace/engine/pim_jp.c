/* SPDX-License-Identifier: MIT */
/*
 * Join/Prune messages. What comes in goes entry by entry to the downstream machines, or, when it is
 * for another router, to the upstream machines. What goes out is queued during a call and leaves
 * packed by port, upstream neighbour and group. A (*,G) Join takes its (S,G,rpt) prunes along in
 * the same block: without them it would cancel them (RFC 7761 §4.5.3, PM-21).
 */
#include "engine/pim_impl.h"

#define SOURCES_MAX 192 /* of one group in one message: more than 1500 bytes hold */
#define KIND_STAR   (PIM_SPARSE | PIM_WILDCARD | PIM_RPT)
#define KIND_RPT    (PIM_SPARSE | PIM_RPT)

/* --- in ----------------------------------------------------------------------------------- */

static bool is_group_ok(const struct pim *e, const struct port *p, struct ip4_prefix group)
{
	return group.len == 32 && !ip4_is_linklocal_group(group.addr) &&
	       pim_acl_permits(&p->cfg.boundary, group.addr);
}

static bool is_to_me(const struct port *p, struct ip4 a)
{
	for (int i = 0; i < p->link.n_secondaries; i++)
		if (ip4_equal(p->link.secondaries[i], a))
			return true;
	return ip4_equal(p->link.address, a);
}

static void entry(struct pim *e, struct port *p, const struct pim_jp *jp, struct ip4 group,
		  const struct pim_jp_source *s, bool is_mine)
{
	struct sg sg = { .group = group };

	if (s->source.len != 32) {
		e->counters.entries_ignored++;
		return;
	}
	if (!(s->flags & PIM_WILDCARD))
		sg.source = s->source.addr;
	if (is_mine)
		pim_down_entry(e, p, sg, s, pim_hold(e, jp->holdtime));
	else
		pim_up_seen(e, p, sg, s->flags, s->is_join, jp->upstream, jp->holdtime);
}

static void groups_input(struct pim *e, struct port *p, struct pim_jp jp, bool is_mine)
{
	struct pim_jp_source s;
	struct pim_jp_group g;

	while (pim_jp_group(&jp, &g)) {
		if (!is_group_ok(e, p, g.group)) {
			e->counters.entries_ignored += (uint64_t)g.n_joins + g.n_prunes;
			continue;
		}
		while (pim_jp_source(&g, &s))
			entry(e, p, &jp, g.group.addr, &s, is_mine);
	}
}

enum pim_drop pim_jp_input(struct pim *e, struct port *p, const struct pim_rx *rx, struct rd *r)
{
	struct pim_jp_group g;
	struct pim_jp jp;
	enum pim_drop d;
	bool is_mine;

	if (!pim_neighbor_find(p, rx->source))
		return PIM_DROP_NO_NEIGHBOR;
	d = pim_jp_read(r, &jp);
	if (d != PIM_OK)
		return d;
	is_mine = is_to_me(p, jp.upstream);
	groups_input(e, p, jp, is_mine);
	while (is_mine && pim_jp_group(&jp, &g))
		pim_down_end(e, p, g.group.addr);
	return PIM_OK;
}

/* --- the queue ---------------------------------------------------------------------------- */

/* Nobody is told who is not there any more; our own address is that of a PruneEcho. */
static bool can_reach(struct pim *e, uint32_t index, struct ip4 upstream, struct ip4 group)
{
	struct port *p = pim_port(e, index);

	return p && upstream.net && !p->cfg.is_passive &&
	       pim_acl_permits(&p->cfg.boundary, group) &&
	       (is_to_me(p, upstream) || pim_neighbor_find(p, upstream));
}

static bool is_same_item(const struct jp_item *a, const struct jp_item *b)
{
	return a->port == b->port && ip4_equal(a->upstream, b->upstream) &&
	       sg_equal(a->sg, b->sg) && a->kind == b->kind;
}

void pim_jp_add(struct pim *e, uint32_t port, struct ip4 upstream, struct sg sg, uint8_t kind,
		bool is_join)
{
	struct jp_item item = { port, upstream, sg, sg.source, kind, is_join };
	const struct route *r = pim_route_get(e, sg);

	if (!r || !can_reach(e, port, upstream, sg.group))
		return;
	if (is_star(r)) /* which may be gone when the message is written */
		item.addr = r->rp;
	for (uint32_t i = 0; i < e->n_jp; i++)
		if (is_same_item(&e->jp[i], &item)) { /* what is said last counts */
			e->jp[i] = item;
			return;
		}
	if (e->n_jp == PIM_JP_QUEUE) {
		e->counters.unsent++;
		return;
	}
	e->jp[e->n_jp++] = item;
}

/* --- out ---------------------------------------------------------------------------------- */

struct block_source {
	struct ip4 addr;
	uint8_t kind;
};

/* What is said of one group; the first `n_tied` joins and prunes must stay together. */
struct block {
	struct ip4 group;
	uint32_t n_joins, n_prunes, tied_joins, tied_prunes;
	struct block_source joins[SOURCES_MAX], prunes[SOURCES_MAX];
};

struct message {
	struct port *port;
	struct ip4 upstream;
	struct wr w;
	uint32_t room; /* bytes that a message may have */
	uint8_t n_groups;
};

static uint16_t jp_holdtime(const struct pim *e)
{
	uint64_t s = ((uint64_t)e->cfg.jp_period_ms * 7 / 2 + 999) / 1000;

	return (uint16_t)(s < PIM_FOREVER ? s : PIM_FOREVER - 1);
}

static uint32_t room_of(const struct port *p)
{
	uint32_t mtu = p->link.mtu >= 576 ? p->link.mtu : 576;

	return (mtu < 1500 ? mtu : 1500) - PIM_INNER;
}

static void message_begin(struct pim *e, struct message *m)
{
	m->w = actions_packet(e->out);
	m->room = room_of(m->port);
	m->n_groups = 0;
	pim_jp_begin(&m->w, m->upstream, jp_holdtime(e));
}

static void message_end(struct pim *e, struct message *m)
{
	if (!m->n_groups)
		return;
	pim_jp_end(&m->w, m->n_groups);
	pim_send(e, m->port->index, &m->w, m->port->link.address, ip4_from_host(0xe000000d));
}

/* How many sources a group may have in what is left of the message. */
static uint32_t sources_left(const struct message *m)
{
	size_t used = wr_len(&m->w) + PIM_JP_GROUP;

	if (m->n_groups == PIM_JP_GROUPS || used >= m->room)
		return 0;
	return (uint32_t)(m->room - used) / PIM_JP_SOURCE;
}

static void write_part(struct message *m, const struct block *b, uint32_t from_join, uint32_t joins,
		       uint32_t from_prune, uint32_t prunes)
{
	pim_jp_group_write(&m->w, b->group, (uint16_t)joins, (uint16_t)prunes);
	for (uint32_t i = from_join; i < from_join + joins; i++)
		pim_source_write(&m->w, b->joins[i].addr, b->joins[i].kind);
	for (uint32_t i = from_prune; i < from_prune + prunes; i++)
		pim_source_write(&m->w, b->prunes[i].addr, b->prunes[i].kind);
	m->n_groups++;
}

/* As much as fits in each message; the first part is never less than what is tied together. */
static void block_write(struct pim *e, struct message *m, const struct block *b)
{
	uint32_t done_joins = 0, done_prunes = 0;
	uint32_t need = b->tied_joins + b->tied_prunes;

	while (done_joins < b->n_joins || done_prunes < b->n_prunes) {
		uint32_t left = sources_left(m), joins = b->n_joins - done_joins;
		uint32_t prunes = b->n_prunes - done_prunes;

		if (left < (need ? need : 1)) {
			message_end(e, m);
			message_begin(e, m);
			left = sources_left(m);
		}
		/* Tied prunes come before other joins. */
		if (joins > left - b->tied_prunes * (need > 0))
			joins = left - b->tied_prunes * (need > 0);
		if (prunes > left - joins)
			prunes = left - joins;
		write_part(m, b, done_joins, joins, done_prunes, prunes);
		done_joins += joins;
		done_prunes += prunes;
		need = 0;
	}
}

/* "(*,G) plus as many prunes as fit" in a message of its own. */
static void block_tie(struct pim *e, struct block *b, struct route *star, uint32_t room)
{
	uint32_t most = (room - PIM_JP_HEAD - PIM_JP_GROUP) / PIM_JP_SOURCE - 1;

	for (struct list *at = star->sources.next; at != &star->sources; at = at->next) {
		struct route *r = list_item(at, struct route, sibling);
		struct upstream u = pim_up_rpt(e, r);
		bool is_apart =
			u.port != star->up.port || !ip4_equal(u.neighbor, star->up.neighbor);

		if (r->rpt != PIM_RPT_PRUNED && !(is_apart && r->rpt == PIM_RPT_NOTPRUNED))
			continue;
		if (b->n_prunes == most || b->n_prunes == SOURCES_MAX)
			break;
		b->prunes[b->n_prunes++] = (struct block_source){ r->sg.source, KIND_RPT };
	}
	b->tied_joins = 1;
	b->tied_prunes = b->n_prunes;
}

static void block_add(struct block *b, const struct jp_item *item)
{
	struct block_source s = { item->addr, item->kind };

	if (item->is_join && b->n_joins < SOURCES_MAX)
		b->joins[b->n_joins++] = s;
	else if (!item->is_join && b->n_prunes < SOURCES_MAX)
		b->prunes[b->n_prunes++] = s;
}

/* Items of one group to one neighbour, the (*,G) first. */
static void block_of(struct pim *e, struct block *b, const struct jp_item *items, uint32_t n,
		     uint32_t room)
{
	struct route *star = pim_route_get(e, (struct sg){ .group = items->sg.group });
	bool is_tied = false;

	*b = (struct block){ .group = items->sg.group };
	for (uint32_t i = 0; i < n; i++) {
		const struct jp_item *item = &items[i];

		/* The (*,G) Join says all about (S,G,rpt) that there is to say. */
		if (item->kind == KIND_RPT && is_tied)
			continue;
		block_add(b, item);
		if (item->kind == KIND_STAR && item->is_join && star) {
			block_tie(e, b, star, room);
			is_tied = true;
		}
	}
}

/* By port, neighbour and group; (*,G) before the others. */
static int compare(const struct jp_item *a, const struct jp_item *b)
{
	uint32_t x[4] = { a->port, a->upstream.net, a->sg.group.net, a->kind != KIND_STAR };
	uint32_t y[4] = { b->port, b->upstream.net, b->sg.group.net, b->kind != KIND_STAR };

	for (int i = 0; i < 4; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

/* Stable, and the queue is short. */
static void sort(struct jp_item *items, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		struct jp_item item = items[i];
		uint32_t at = i;

		for (; at > 0 && compare(&items[at - 1], &item) > 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

static uint32_t run_length(const struct jp_item *items, uint32_t n, bool by_group)
{
	uint32_t len = 1;

	while (len < n && items[len].port == items->port &&
	       ip4_equal(items[len].upstream, items->upstream) &&
	       (!by_group || ip4_equal(items[len].sg.group, items->sg.group)))
		len++;
	return len;
}

/* Room for one more group, whatever is said of it. */
static bool has_group_room(const struct pim *e)
{
	return actions_fit(e->out, 8, 6000);
}

/* To one neighbour, as far as there is room; returns how many items have gone. */
static uint32_t send_run(struct pim *e, const struct jp_item *items, uint32_t n)
{
	struct message m = { .port = pim_port(e, items->port), .upstream = items->upstream };
	uint32_t done = 0, len;

	if (!m.port)
		return n;
	pim_hello_first(e, m.port);
	message_begin(e, &m);
	for (; done < n && has_group_room(e); done += len) {
		struct block b;

		len = run_length(items + done, n - done, true);
		block_of(e, &b, items + done, len, m.room);
		block_write(e, &m, &b);
	}
	message_end(e, &m);
	return done;
}

/* What does not fit stays for the next call. */
void pim_jp_flush(struct pim *e)
{
	uint32_t done = 0;

	sort(e->jp, e->n_jp);
	while (done < e->n_jp && has_group_room(e)) {
		uint32_t n = run_length(e->jp + done, e->n_jp - done, false);

		done += send_run(e, e->jp + done, n);
	}
	memmove(e->jp, e->jp + done, (e->n_jp - done) * sizeof(e->jp[0]));
	e->n_jp -= done;
}
