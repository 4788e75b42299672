/* SPDX-License-Identifier: MIT */
/*
 * The Bootstrap mechanism (RFC 5059): who is the BSR, as a candidate or not; candidate RPs. One
 * zone, the global one.
 */
#include "engine/pim_impl.h"

#define TIMEOUT_PERIODS	 2 /* BS_Timeout is so many periods and 10 s more */
#define TIMEOUT_EXTRA_MS 10000
#define MIN_INTERVAL_MS	 10000 /* BS_Min_Interval */
#define CRP_DELAY_MS	 3000  /* after a new BSR */
#define CRP_LEAST_S	 150   /* lives as long at least, however often BSRs speak */

static struct ip4 all_routers(void)
{
	return ip4_from_host(0xe000000d);
}

static void schedule(struct pim *e)
{
	struct bsr *b = &e->bsr;
	struct mtime at = mtime_min(mtime_min(b->timer, b->crp_at), b->expire_at);

	if (!portset_empty(&b->owed))
		at = e->now;
	pim_due(e, &b->due, mtime_min(at, b->originate_at));
}

/* --- who is it ---------------------------------------------------------------------------- */

static bool is_weight_at_least(uint8_t priority, struct ip4 addr, uint8_t than,
			       struct ip4 than_addr)
{
	return priority != than ? priority > than : !ip4_before(addr, than_addr);
}

static bool is_candidate(const struct pim *e)
{
	return e->cfg.candidate_bsr.is_enabled;
}

/* 1000 × log2(1 + x), straight lines between powers of two. */
static uint32_t log2_ms(uint64_t x)
{
	uint64_t v = 1 + x;
	uint32_t bits = 63 - (uint32_t)__builtin_clzll(v);

	return bits * 1000 + (uint32_t)(((v - (1ull << bits)) * 1000) >> bits);
}

/* BS_Rand_Override (RFC 5059 §5): the better the candidate, the sooner it speaks up. */
static uint32_t rand_override(const struct pim *e)
{
	const struct pim_candidate_bsr *me = &e->cfg.candidate_bsr;
	const struct bsr *b = &e->bsr;
	uint8_t best = b->addr.net && b->priority > me->priority ? b->priority : me->priority;
	uint32_t mine = ip4_host(me->address), theirs = ip4_host(b->addr), delay;

	if (theirs < mine)
		theirs = mine;
	if (best == me->priority)
		delay = log2_ms(theirs - mine) / 16;
	else
		delay = 2000 - (uint32_t)((uint64_t)mine * 1000 >> 31);
	return 5000 + 2 * log2_ms((uint64_t)best - me->priority) + delay;
}

static void set_bsr(struct pim *e, struct ip4 addr, uint8_t priority, uint8_t hash_mask)
{
	struct act_event event = { .kind = EVENT_PIM_BSR, .peer = addr };
	bool is_new = !ip4_equal(addr, e->bsr.addr);

	e->bsr.addr = addr;
	e->bsr.priority = priority;
	e->bsr.hash_mask = hash_mask;
	if (!is_new)
		return;
	event.is_self = pim_is_mine(e, addr);
	pim_tell_event(e, PORT_NONE, event);
	if (addr.net && e->cfg.candidate_rp.is_enabled)
		e->bsr.crp_at = pim_random_ms(e, 0, CRP_DELAY_MS);
}

static void set_state(struct pim *e, enum pim_bsr_state state, uint32_t ms)
{
	e->bsr.state = state;
	e->bsr.timer = ms ? pim_after(e, ms) : MTIME_NEVER;
}

static uint32_t timeout_ms(const struct pim *e)
{
	return e->cfg.bsr_period_ms * TIMEOUT_PERIODS + TIMEOUT_EXTRA_MS;
}

void pim_bsr_start(struct pim *e)
{
	struct bsr *b = &e->bsr;
	bool was = b->state >= PIM_BSR_CANDIDATE;

	if (b->state == PIM_BSR_NOINFO) {
		b->timer = b->originate_at = b->crp_at = b->expire_at = MTIME_NEVER;
		b->sent_at = mtime_sub(e->now, mtime_ms(MIN_INTERVAL_MS));
		b->hash_mask = PIM_HASH_MASK;
	}
	if (is_candidate(e) && !was)
		set_state(e, PIM_BSR_PENDING, rand_override(e));
	else if (!is_candidate(e) && (was || b->state == PIM_BSR_NOINFO))
		set_state(e, PIM_BSR_ACCEPT_ANY, 0);
	if (!e->cfg.candidate_rp.is_enabled)
		b->crp_at = MTIME_NEVER;
	else if (b->addr.net)
		b->crp_at = e->now;
	schedule(e);
}

/* --- being the BSR ------------------------------------------------------------------------ */

static void originate(struct pim *e)
{
	for (uint32_t i = 0; i < e->cfg.ports; i++) {
		struct port *p = pim_port(e, i);

		if (p && !p->cfg.is_passive && p->n_neighbors)
			portset_add(&e->bsr.owed, i);
	}
	e->bsr.tag = (uint16_t)random_u64(&e->random);
	e->bsr.sent_at = e->now;
	e->bsr.originate_at = MTIME_NEVER;
	e->bsr.timer = pim_after(e, e->cfg.bsr_period_ms);
}

static void send_owed(struct pim *e)
{
	uint32_t i = portset_next(&e->bsr.owed, 0);

	for (; i != PORT_NONE && actions_fit(e->out, 16, 8192);
	     i = portset_next(&e->bsr.owed, i + 1)) {
		struct port *p = pim_port(e, i);

		portset_del(&e->bsr.owed, i);
		if (p)
			pim_bsm_send(e, p, all_routers(), 0);
	}
}

/* A change of the RP-set is told at once, but not sooner than BS_Min_Interval after the last. */
static void originate_soon(struct pim *e)
{
	struct mtime at = mtime_add(e->bsr.sent_at, mtime_ms(MIN_INTERVAL_MS));

	if (e->bsr.state != PIM_BSR_ELECTED)
		return;
	e->bsr.originate_at = mtime_before(at, e->now) ? e->now : at;
	schedule(e);
}

static void elected(struct pim *e)
{
	const struct pim_candidate_bsr *me = &e->cfg.candidate_bsr;

	set_state(e, PIM_BSR_ELECTED, 1);
	set_bsr(e, me->address, me->priority, me->hash_mask);
	originate(e);
}

/* --- candidate RPs ------------------------------------------------------------------------ */

/* Is no RP any more: that is told, with a holdtime of 0, before it is forgotten. */
static void withdraw(struct pim *e, struct bsr_rp *b)
{
	b->holdtime = 0;
	b->is_ready = false;
	b->info.expires = pim_after(e, MIN_INTERVAL_MS + 1000);
}

/* What an RP says of itself, to the BSR. */
static enum pim_drop adv_take(struct pim *e, const struct pim_crp_adv *c)
{
	static const struct ip4_prefix all = { { 0xe0 }, 4 };
	enum pim_drop d = PIM_OK;

	for (int i = 0; i < (c->n_groups ? c->n_groups : 1); i++) {
		struct ip4_prefix range = c->n_groups ? c->groups[i] : all;
		struct bsr_rp *b = pim_bsr_find(e, range, c->rp);
		bool is_new = !b || !b->is_told || b->info.priority != c->priority;

		if (!c->holdtime) {
			is_new = b && b->holdtime;
			if (is_new)
				withdraw(e, b);
		} else {
			b = pim_bsr_make(e, range, c->rp);
			if (b) {
				b->holdtime = c->holdtime;
				b->is_ready = b->is_told = true;
				b->info.priority = c->priority;
				b->info.expires = pim_hold(e, c->holdtime);
			} else {
				d = PIM_DROP_CAP;
				is_new = false;
			}
		}
		if (is_new) {
			originate_soon(e);
			pim_sweep(e);
		}
	}
	pim_bsr_expire(e);
	schedule(e);
	return d;
}

enum pim_drop pim_crp_input(struct pim *e, const struct pim_rx *rx, struct rd *r)
{
	struct pim_crp_adv c;
	enum pim_drop d = pim_crp_adv_read(r, &c);

	if (d != PIM_OK)
		return d;
	if (e->bsr.state != PIM_BSR_ELECTED)
		return PIM_DROP_STALE;
	return adv_take(e, &c);
}

static uint16_t crp_holdtime(const struct pim *e)
{
	uint32_t s = e->cfg.crp_period_ms / 400; /* two and a half periods */

	if (s < CRP_LEAST_S)
		return CRP_LEAST_S;
	return s < UINT16_MAX ? (uint16_t)s : UINT16_MAX;
}

static void advertise(struct pim *e, uint16_t holdtime)
{
	const struct pim_candidate_rp *me = &e->cfg.candidate_rp;
	struct pim_crp_adv c = { .priority = me->priority,
				 .n_groups = me->n_ranges,
				 .holdtime = holdtime,
				 .rp = me->address };
	struct wr w;

	memcpy(c.groups, me->ranges, sizeof(me->ranges));
	if (e->bsr.state == PIM_BSR_ELECTED) {
		adv_take(e, &c);
		return;
	}
	w = actions_packet(e->out);
	pim_crp_adv_write(&w, &c);
	pim_send(e, PORT_NONE, &w, me->address, e->bsr.addr);
}

/* --- Bootstrap messages
 * --------------------------------------------------------------------------- */

/* From the neighbour that is the way to the BSR (BS-1). */
static bool is_from_rpf(struct pim *e, struct port *p, const struct neighbor *from, struct ip4 bsr)
{
	struct pim_rpf rpf = { .port = PORT_NONE };
	struct ip4 to;

	if (!e->cfg.rpf(e->cfg.rpf_arg, bsr, &rpf) || rpf.port != p->index)
		return false;
	to = rpf.next_hop;
	if (!to.net && rpf.is_connected)
		to = bsr;
	return to.net ? pim_neighbor_by_any(p, to) == from : p->n_neighbors == 1;
}

/* Against the BSR that is known, or, when this one is or wants to be it, against itself. */
static bool is_preferred(const struct pim *e, const struct pim_bsm *m)
{
	const struct pim_candidate_bsr *me = &e->cfg.candidate_bsr;
	const struct bsr *b = &e->bsr;

	if (b->state == PIM_BSR_PENDING || b->state == PIM_BSR_ELECTED)
		return is_weight_at_least(m->priority, m->bsr, me->priority, me->address);
	if (b->state == PIM_BSR_ACCEPT_PREFERRED || b->state == PIM_BSR_CANDIDATE)
		return is_weight_at_least(m->priority, m->bsr, b->priority, b->addr);
	return true;
}

static enum pim_drop accept(struct pim *e, const struct pim_rx *rx, const struct pim_bsm *m,
			    bool may_forward)
{
	enum pim_drop d;

	set_bsr(e, m->bsr, m->priority, m->hash_mask);
	set_state(e, is_candidate(e) ? PIM_BSR_CANDIDATE : PIM_BSR_ACCEPT_PREFERRED, timeout_ms(e));
	e->bsr.originate_at = MTIME_NEVER;
	if (may_forward)
		pim_bsm_forward(e, rx);
	d = pim_bsm_store(e, *m);
	schedule(e);
	return d;
}

/* One that is not preferred: the BSR itself has become worse, or somebody does not know better. */
static enum pim_drop not_preferred(struct pim *e, const struct pim_rx *rx, const struct pim_bsm *m,
				   bool may_forward)
{
	bool is_from_bsr = ip4_equal(m->bsr, e->bsr.addr);

	if (e->bsr.state == PIM_BSR_ELECTED) {
		originate(e);
	} else if (is_from_bsr && !is_candidate(e)) {
		return accept(e, rx, m, may_forward);
	} else if (is_from_bsr && e->bsr.state == PIM_BSR_CANDIDATE) {
		e->bsr.priority = m->priority;
		set_state(e, PIM_BSR_PENDING, rand_override(e));
		if (may_forward)
			pim_bsm_forward(e, rx);
	} else {
		return PIM_DROP_STALE;
	}
	schedule(e);
	return PIM_OK;
}

enum pim_drop pim_bsm_input(struct pim *e, struct port *p, uint8_t reserved,
			    const struct pim_rx *rx, struct rd *r)
{
	const struct neighbor *from = pim_neighbor_find(p, rx->source);
	bool is_once = reserved & PIM_NO_FORWARD;
	struct pim_bsm_range range;
	struct pim_bsm m, look;
	enum pim_drop d;

	if (!from)
		return PIM_DROP_NO_NEIGHBOR;
	d = pim_bsm_read(r, &m);
	if (d != PIM_OK)
		return d;
	if (pim_is_mine(e, m.bsr))
		return PIM_DROP_OWN;
	look = m;
	if (pim_bsm_range(&look, &range) && range.flags & PIM_GROUP_ZONE)
		return PIM_DROP_SCOPE;
	/* A copy for newcomers is of use to who knows no BSR, or from the one that it knows (BS-2).
	 */
	if (is_once && e->bsr.addr.net && !ip4_equal(m.bsr, e->bsr.addr))
		return PIM_DROP_STALE;
	if (!is_once && !is_from_rpf(e, p, from, m.bsr))
		return PIM_DROP_RPF;
	if (!is_preferred(e, &m))
		return not_preferred(e, rx, &m, !is_once);
	return accept(e, rx, &m, !is_once);
}

/* It has missed the last Bootstrap; the DR tells it (BS-5). */
void pim_bsr_neighbor(struct pim *e, struct port *p, struct neighbor *n)
{
	if (p->is_dr && e->bsr.addr.net && actions_fit(e->out, 16, 8192))
		pim_bsm_send(e, p, n->addr, PIM_NO_FORWARD);
}

/* --- time --------------------------------------------------------------------------------- */

static void timer(struct pim *e)
{
	switch (e->bsr.state) {
	case PIM_BSR_CANDIDATE:
		set_state(e, PIM_BSR_PENDING, rand_override(e));
		break;
	case PIM_BSR_PENDING:
		elected(e);
		break;
	case PIM_BSR_ELECTED:
		originate(e);
		break;
	case PIM_BSR_ACCEPT_PREFERRED:
		set_state(e, PIM_BSR_ACCEPT_ANY, 0);
		set_bsr(e, (struct ip4){ 0 }, 0, e->bsr.hash_mask);
		break;
	case PIM_BSR_NOINFO:
	case PIM_BSR_ACCEPT_ANY:
		e->bsr.timer = MTIME_NEVER;
		break;
	}
}

void pim_bsr_due(struct pim *e)
{
	if (is_due(e, e->bsr.timer))
		timer(e);
	if (is_due(e, e->bsr.crp_at)) {
		e->bsr.crp_at = MTIME_NEVER;
		if (e->bsr.addr.net) {
			e->bsr.crp_at = pim_after(e, e->cfg.crp_period_ms);
			advertise(e, crp_holdtime(e));
		}
	}
	if (is_due(e, e->bsr.originate_at))
		originate(e);
	if (is_due(e, e->bsr.expire_at) && pim_bsr_expire(e)) {
		originate_soon(e);
		pim_sweep(e);
	}
	send_owed(e);
	schedule(e);
}

static bool is_same_rp(const struct pim_candidate_rp *a, const struct pim_candidate_rp *b)
{
	bool is_same = a->is_enabled == b->is_enabled && ip4_equal(a->address, b->address) &&
		       a->n_ranges == b->n_ranges;

	for (int i = 0; is_same && i < a->n_ranges; i++)
		is_same = a->ranges[i].len == b->ranges[i].len &&
			  ip4_equal(a->ranges[i].addr, b->ranges[i].addr);
	return is_same;
}

void pim_bsr_change(struct pim *e, const struct pim_candidate_rp *next)
{
	const struct pim_candidate_rp *now = &e->cfg.candidate_rp;

	if (now->is_enabled && e->bsr.addr.net && !is_same_rp(now, next))
		advertise(e, 0);
}

void pim_bsr_stop(struct pim *e)
{
	if (e->cfg.candidate_rp.is_enabled && e->bsr.addr.net && e->bsr.state != PIM_BSR_ELECTED)
		advertise(e, 0);
}
