/* SPDX-License-Identifier: MIT */
/* Packets, as the data path reports them (RFC 7761 §4.2): keepalive, SPT, Asserts. */
#include "engine/pim_impl.h"

#define RATE_WINDOW_MS 1000 /* over which the rate is taken */

/* Update_SPTbit(S,G,iif) */
void pim_spt_update(struct pim *e, struct route *r, const struct sets *s, uint32_t port)
{
	const struct upstream *to_source = &r->up, *to_rp = &r->star->up;
	struct portset rpt = pim_inherited_rpt(s);
	bool is_same = to_source->port == to_rp->port && to_source->neighbor.net &&
		       ip4_equal(to_source->neighbor, to_rp->neighbor);

	if (r->is_spt || port != pim_rpf_port(r) || !pim_join_desired(e, r, s))
		return;
	if (!r->is_connected && pim_rpf_port(r) == pim_rpf_port(r->star) && !portset_empty(&rpt) &&
	    !is_same && !pim_is_loser(r, port))
		return;
	r->is_spt = true;
	pim_dirty(e, r);
}

void pim_rate_count(struct pim *e, struct route *r, uint64_t bytes)
{
	int64_t ms = (e->now.us - r->rate_since.us) / 1000;

	r->rate_bytes += bytes;
	if (ms < RATE_WINDOW_MS)
		return;
	/* The first window begins with the first packets. */
	if (r->rate_since.us && r->rate_bytes * 8 / (uint64_t)ms >= e->cfg.spt_threshold_kbps)
		r->is_fast = true;
	r->rate_since = e->now;
	r->rate_bytes = 0;
}

/* CheckSwitchToSpt(S,G): hosts here want it, and it is worth a tree of its own. */
static void check_switch(struct pim *e, struct route *r, const struct sets *s)
{
	struct portset local = portset_or(portset_minus(s->include_g, s->exclude), s->include);

	if (portset_empty(&local) || !pim_wants_spt(e, r))
		return;
	r->keepalive = pim_after(e, e->cfg.keepalive_ms);
	pim_route_schedule(e, r);
	pim_dirty(e, r);
}

static void restart_keepalive(struct pim *e, struct route *r)
{
	bool was_running = is_running(e, r->keepalive);

	r->keepalive = pim_after(e, e->cfg.keepalive_ms);
	pim_route_schedule(e, r);
	if (!was_running)
		pim_dirty(e, r);
}

/* Are there hosts behind a (*,G) for whom the rate of a source has to be known? */
static bool is_worth_a_route(struct pim *e, const struct route *star, uint32_t port)
{
	struct sets s = pim_sets(e, star);

	return port == pim_rpf_port(star) && e->cfg.spt != PIM_SPT_NEVER &&
	       !portset_empty(&s.include_g);
}

static bool is_from_connected(struct pim *e, struct ip4 source, uint32_t port)
{
	struct pim_rpf rpf = { .port = PORT_NONE };

	return e->cfg.rpf(e->cfg.rpf_arg, source, &rpf) && rpf.port == port &&
	       (rpf.is_connected || e->ports[port].cfg.is_border);
}

/* The route that these packets are about; made when it will serve a purpose. */
static struct route *route_for(struct pim *e, const struct pim_data *d)
{
	struct route *r = pim_route_get(e, d->sg);
	struct route *star = pim_route_get(e, (struct sg){ .group = d->sg.group });

	if (r)
		return r;
	/* Of a source-specific group only joins make and keep state (RFC 7761 §4.8). */
	if (pim_is_ssm(e, d->sg.group))
		return NULL;
	if (is_from_connected(e, d->sg.source, d->port) ||
	    (star && is_worth_a_route(e, star, d->port)))
		return pim_route_make(e, d->sg);
	if (star)
		pim_assert_data(e, star, NULL, d->port);
	return NULL;
}

static void arrived(struct pim *e, struct route *r, const struct pim_data *d)
{
	struct sets s = pim_sets(e, r);
	struct portset all = pim_inherited(&s);
	bool is_spt_way = d->port == pim_rpf_port(r);

	if (is_spt_way && !r->is_ssm && (r->is_connected || (r->is_joined && !portset_empty(&all))))
		restart_keepalive(e, r);
	pim_spt_update(e, r, &s, d->port);
	if (is_spt_way && r->is_spt)
		return;
	if (d->port == pim_rpf_port(r->star) && !r->is_spt) {
		if (e->cfg.spt == PIM_SPT_THRESHOLD) { /* its rate goes on being watched */
			pim_rate_count(e, r, d->bytes);
			r->watched = pim_after(e, e->cfg.keepalive_ms);
		}
		check_switch(e, r, &s);
		return;
	}
	pim_assert_data(e, r->star, r, d->port);
}

void pim_data(struct pim *e, struct mtime now, const struct pim_data *d, struct actions *out)
{
	struct route *r;

	if (!pim_port(e, d->port) || !ip4_is_unicast(d->sg.source) ||
	    !ip4_is_multicast(d->sg.group) || ip4_is_linklocal_group(d->sg.group))
		return;
	pim_enter(e, now, out);
	r = route_for(e, d);
	if (r) {
		arrived(e, r, d);
		pim_dirty(e, r);
	}
	pim_leave(e);
}
