/* SPDX-License-Identifier: MIT */
/* Interfaces as PIM sees them, and Hello as it is sent (RFC 7761 §4.3.1, §4.3.3). */
#include "engine/pim_impl.h"

static struct pim_hello hello_of(const struct port *p, uint16_t holdtime)
{
	struct pim_hello h = { .holdtime = holdtime,
			       .has_lan_delay = true,
			       .can_track = p->cfg.can_track,
			       .propagation_ms = p->cfg.propagation_ms & 0x7fff,
			       .override_ms = p->cfg.override_ms,
			       .has_dr_priority = !p->cfg.hides_priority,
			       .dr_priority = p->cfg.dr_priority,
			       .has_gen_id = true,
			       .gen_id = p->gen_id,
			       .n_secondaries = p->link.n_secondaries };

	memcpy(h.secondaries, p->link.secondaries, sizeof(h.secondaries));
	return h;
}

static uint16_t holdtime_of(const struct port *p)
{
	uint64_t s = ((uint64_t)p->cfg.hello_ms * 7 / 2 + 999) / 1000;

	if (p->cfg.holdtime_s)
		return p->cfg.holdtime_s;
	return (uint16_t)(s < PIM_FOREVER ? s : PIM_FOREVER);
}

static void hello_send(struct pim *e, struct port *p, uint16_t holdtime)
{
	struct pim_hello h = hello_of(p, holdtime);
	struct wr w = actions_packet(e->out);

	pim_hello_write(&w, &h);
	pim_send(e, p->index, &w, p->link.address, ip4_from_host(0xe000000d));
}

static void say_hello(struct pim *e, struct port *p)
{
	hello_send(e, p, holdtime_of(p));
	p->has_announced = true;
	p->owes_hello = false;
	p->triggered_at = MTIME_NEVER;
	pim_port_schedule(e, p);
}

void pim_port_goodbye(struct pim *e, struct port *p)
{
	hello_send(e, p, 0);
	p->has_announced = false;
}

void pim_hello_first(struct pim *e, struct port *p)
{
	if (!p->cfg.is_passive && (!p->has_announced || p->owes_hello))
		say_hello(e, p);
}

void pim_hello_soon(struct pim *e, struct port *p)
{
	struct mtime at = pim_random_ms(e, 0, e->cfg.triggered_hello_ms);

	p->triggered_at = mtime_min(p->triggered_at, at);
	pim_port_schedule(e, p);
}

void pim_port_schedule(struct pim *e, struct port *p)
{
	bool speaks = p->is_active && !p->cfg.is_passive;

	pim_due(e, &p->due, speaks ? mtime_min(p->hello_at, p->triggered_at) : MTIME_NEVER);
}

void pim_port_due(struct pim *e, struct port *p)
{
	/* Only the periodic Hello moves the schedule (RFC 7761 §4.3.1). */
	if (is_due(e, p->hello_at))
		p->hello_at = pim_after(e, p->cfg.hello_ms);
	say_hello(e, p);
}

static void activate(struct pim *e, struct port *p)
{
	p->gen_id = e->resume_gen_id ? e->resume_gen_id : (uint32_t)random_u64(&e->random);
	p->hello_at = pim_random_ms(e, 0, e->cfg.triggered_hello_ms);
	p->triggered_at = MTIME_NEVER;
	p->has_announced = false;
	p->owes_hello = false;
}

static void deactivate(struct pim *e, struct port *p)
{
	pim_neighbors_clear(e, p);
	p->is_dr = false;
	p->dr = (struct ip4){ 0 };
	p->hello_at = p->triggered_at = MTIME_NEVER;
}

static bool is_list_equal(const struct pim_link *a, const struct pim_link *b)
{
	return a->n_secondaries == b->n_secondaries &&
	       !memcmp(a->secondaries, b->secondaries, a->n_secondaries * sizeof(struct ip4));
}

/* Of what goes into Hellos. */
static bool is_hello_equal(const struct pim_port_config *a, const struct pim_port_config *b)
{
	return a->dr_priority == b->dr_priority && a->hides_priority == b->hides_priority &&
	       a->hello_ms == b->hello_ms && a->holdtime_s == b->holdtime_s &&
	       a->propagation_ms == b->propagation_ms && a->override_ms == b->override_ms &&
	       a->can_track == b->can_track;
}

static bool neighbors_kept(const struct port *p)
{
	struct list *at;

	for (at = p->neighbors.next; at != &p->neighbors; at = at->next)
		if (!pim_acl_permits(&p->cfg.neighbors, list_item(at, struct neighbor, link)->addr))
			return false;
	return true;
}

/* Still the same interface with the same address: what has changed is said at once. */
static void update(struct pim *e, struct port *p, const struct pim_port_config *old_cfg,
		   const struct pim_link *old_link)
{
	if (!neighbors_kept(p))
		pim_neighbors_clear(e, p);
	if (!p->has_announced)
		return;
	if (!is_hello_equal(old_cfg, &p->cfg) || !is_list_equal(old_link, &p->link)) {
		if (old_cfg->hello_ms != p->cfg.hello_ms)
			p->hello_at = pim_after(e, p->cfg.hello_ms);
		say_hello(e, p);
	}
}

void pim_port_change(struct pim *e, struct port *p, const struct pim_port_config *cfg,
		     const struct pim_link *link)
{
	struct pim_port_config old_cfg = p->cfg, new_cfg = *cfg;
	struct pim_link old_link = p->link, new_link = *link;
	bool will = cfg->is_enabled && link->is_up && link->address.net;
	bool is_same = p->is_active && will && ip4_equal(old_link.address, new_link.address) &&
		       old_cfg.is_passive == new_cfg.is_passive;

	/* From the old address, which is still what neighbours know (PM-13). */
	if (p->is_active && !is_same && p->has_announced)
		pim_port_goodbye(e, p);
	if (p->is_active && (!will || new_cfg.is_passive))
		deactivate(e, p);
	p->cfg = new_cfg;
	p->link = new_link;
	p->is_active = will;
	if (is_same)
		update(e, p, &old_cfg, &old_link);
	else if (will)
		activate(e, p);
	pim_port_schedule(e, p);
	if (will)
		pim_elect(e, p);
	pim_sweep(e);
}
