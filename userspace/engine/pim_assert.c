/* SPDX-License-Identifier: MIT */
/* Asserts: which of several routers forwards onto a link (RFC 7761 §4.6). */
#include "engine/pim_impl.h"

#define REPEAT_MS 1000 /* no Assert sooner after another one, of a route on a port */

/* An Assert that came in, and from whom. */
struct heard {
	struct port *port;
	const struct neighbor *from;
	struct metric metric;
	bool is_cancel;
};

static void set_state(struct pim *e, struct branch *b, enum pim_assert_state state)
{
	struct act_event event = { .kind = EVENT_PIM_ASSERT, .sg = b->route->sg };

	if (b->assert != state) {
		event.is_self = state == PIM_ASSERT_WINNER;
		if (state != PIM_ASSERT_NOINFO)
			event.peer = b->winner.addr;
		pim_tell_event(e, b->port, event);
	}
	b->assert = state;
	if (state == PIM_ASSERT_NOINFO) {
		b->winner = (struct metric){ 0 };
		b->assert_due = MTIME_NEVER;
	}
	pim_branch_schedule(e, b);
	pim_dirty(e, b->route);
}

static void send(struct pim *e, struct branch *b, struct metric m)
{
	struct port *p = &e->ports[b->port];
	struct pim_assert a = { b->route->sg, m.is_rpt, m.preference, m.metric };
	struct wr w;

	pim_hello_first(e, p);
	w = actions_packet(e->out);
	pim_assert_write(&w, &a);
	pim_send(e, p->index, &w, p->link.address, ip4_from_host(0xe000000d));
	b->assert_sent = e->now;
}

static void send_cancel(struct pim *e, struct branch *b)
{
	send(e, b, (struct metric){ true, PIM_ASSERT_INFINITE, UINT32_MAX, { 0 } });
}

/* Actions A1 and A3. */
static void win(struct pim *e, struct branch *b, struct metric mine)
{
	b->winner = mine;
	b->assert_due = pim_after(e, (int64_t)e->cfg.assert_ms - e->cfg.assert_override_ms);
	send(e, b, mine);
	set_state(e, b, PIM_ASSERT_WINNER);
}

/* Actions A2 and A6. */
static void lose(struct pim *e, struct branch *b, const struct heard *h)
{
	struct route *r = b->route;

	b->winner = h->metric;
	b->winner_life = h->from->life;
	b->assert_due = pim_after(e, e->cfg.assert_ms);
	b->is_rpf_loser = pim_rpf_port(r) == b->port;
	if (!is_star(r) && b->is_rpf_loser && r->is_joined)
		r->is_spt = true;
	set_state(e, b, PIM_ASSERT_LOSER);
}

/* --- what comes in ------------------------------------------------------------------------ */

/* (*,G) only hears what is about the shared tree; (S,G) is provoked by that, but never yields. */
static void heard_noinfo(struct pim *e, struct route *r, const struct heard *h,
			 const struct sets *s)
{
	uint32_t port = h->port->index;
	struct metric mine = pim_my_metric(e, r, s, port);
	bool is_better = pim_metric_better(h->metric, mine), could, may_yield;
	struct branch *b;

	could = pim_could_assert(r, s, port) && (!is_better || (!is_star(r) && h->metric.is_rpt));
	may_yield = is_better && h->metric.is_rpt == is_star(r) && pim_tracks_assert(e, r, s, port);
	if (!could && !may_yield)
		return;
	b = pim_branch_make(e, r, port);
	if (b && could)
		win(e, b, mine);
	else if (b)
		lose(e, b, h);
}

static void heard_winner(struct pim *e, struct branch *b, const struct heard *h,
			 const struct sets *s)
{
	struct metric mine = pim_my_metric(e, b->route, s, b->port);

	if (pim_metric_better(h->metric, mine))
		lose(e, b, h);
	else
		win(e, b, mine);
}

static void heard_loser(struct pim *e, struct branch *b, const struct heard *h,
			const struct sets *s)
{
	struct metric mine = pim_my_metric(e, b->route, s, b->port);
	bool is_winner = ip4_equal(h->metric.addr, b->winner.addr);
	bool is_about = h->metric.is_rpt == is_star(b->route);

	if (is_winner) {
		if (h->is_cancel || !is_about || !pim_metric_better(h->metric, mine))
			set_state(e, b, PIM_ASSERT_NOINFO);
		else
			lose(e, b, h);
	} else if (pim_metric_better(h->metric, b->winner)) {
		lose(e, b, h);
	}
}

/* Whether the machine had or has something to say of it. */
static bool heard(struct pim *e, struct route *r, const struct heard *h)
{
	struct sets s = pim_sets(e, r);
	struct branch *b = pim_branch_get(r, h->port->index);
	enum pim_assert_state was = b ? b->assert : PIM_ASSERT_NOINFO;

	if (was == PIM_ASSERT_NOINFO)
		heard_noinfo(e, r, h, &s);
	else if (was == PIM_ASSERT_WINNER)
		heard_winner(e, b, h, &s);
	else
		heard_loser(e, b, h, &s);
	b = pim_branch_get(r, h->port->index);
	return was != PIM_ASSERT_NOINFO || (b && b->assert != PIM_ASSERT_NOINFO);
}

enum pim_drop pim_assert_input(struct pim *e, struct port *p, const struct pim_rx *rx, struct rd *r)
{
	struct heard h = { .port = p, .from = pim_neighbor_find(p, rx->source) };
	struct route *star, *route = NULL;
	struct pim_assert a;
	enum pim_drop d;

	if (!h.from)
		return PIM_DROP_NO_NEIGHBOR;
	d = pim_assert_read(r, &a);
	if (d != PIM_OK)
		return d;
	h.metric = (struct metric){ a.is_rpt, a.preference, a.metric, rx->source };
	h.is_cancel = a.is_rpt && a.preference == PIM_ASSERT_INFINITE && a.metric == UINT32_MAX;
	star = pim_route_get(e, (struct sg){ .group = a.sg.group });
	if (!star) /* nothing is known of the group, so it does not matter who forwards it */
		return PIM_OK;
	if (a.sg.source.net)
		route = pim_route_make(e, a.sg);
	if (route && heard(e, route, &h))
		return PIM_OK;
	if (a.is_rpt && !star->is_ssm)
		heard(e, star, &h);
	return PIM_OK;
}

void pim_assert_data(struct pim *e, struct route *star, struct route *r, uint32_t port)
{
	struct route *about = r && r->is_spt ? r : star;
	struct sets s = pim_sets(e, about);
	struct branch *b = r ? pim_branch_get(r, port) : NULL;

	if (about == star && (star->is_ssm || (b && b->assert != PIM_ASSERT_NOINFO)))
		return;
	if (!pim_could_assert(about, &s, port))
		return;
	b = pim_branch_make(e, about, port);
	if (!b || b->assert == PIM_ASSERT_LOSER)
		return;
	/* In case that the one before was lost. */
	if (b->assert == PIM_ASSERT_WINNER &&
	    mtime_before(e->now, mtime_add(b->assert_sent, mtime_ms(REPEAT_MS))))
		return;
	win(e, b, pim_my_metric(e, about, &s, port));
}

void pim_assert_joined(struct pim *e, struct branch *b)
{
	if (b->assert == PIM_ASSERT_LOSER)
		set_state(e, b, PIM_ASSERT_NOINFO);
}

void pim_assert_due(struct pim *e, struct branch *b)
{
	struct sets s;

	if (!is_due(e, b->assert_due))
		return;
	if (b->assert == PIM_ASSERT_WINNER) {
		s = pim_sets(e, b->route);
		win(e, b, pim_my_metric(e, b->route, &s, b->port));
	} else {
		set_state(e, b, PIM_ASSERT_NOINFO);
	}
}

/* --- what no longer holds ----------------------------------------------------------------- */

static bool is_winner_alive(struct pim *e, const struct branch *b)
{
	const struct neighbor *n = pim_neighbor_find(&e->ports[b->port], b->winner.addr);

	return n && n->life == b->winner_life;
}

static bool is_loss_over(struct pim *e, const struct branch *b, const struct sets *s)
{
	const struct route *r = b->route;

	return !is_winner_alive(e, b) || !pim_tracks_assert(e, r, s, b->port) ||
	       (b->is_rpf_loser && pim_rpf_port(r) != b->port) ||
	       pim_metric_better(pim_my_metric(e, r, s, b->port), b->winner);
}

void pim_assert_settle(struct pim *e, struct route *r)
{
	for (struct list *at = r->branches.next; at != &r->branches; at = at->next) {
		struct branch *b = list_item(at, struct branch, link);
		struct sets s;

		if (b->assert == PIM_ASSERT_NOINFO)
			continue;
		s = pim_sets(e, r);
		if (b->assert == PIM_ASSERT_WINNER && !pim_could_assert(r, &s, b->port)) {
			send_cancel(e, b);
			set_state(e, b, PIM_ASSERT_NOINFO);
		} else if (b->assert == PIM_ASSERT_LOSER && is_loss_over(e, b, &s)) {
			set_state(e, b, PIM_ASSERT_NOINFO);
		}
	}
}
