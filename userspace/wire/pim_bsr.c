/* SPDX-License-Identifier: MIT */
/*
 * Bootstrap and Candidate-RP-Advertisement (RFC 5059 §4). A Bootstrap is
 *
 *	tag (2) · hash mask length (1) · priority (1) · BSR (6)
 *	per range: group (8) · RPs (1) · RPs here (1) · reserved (2) · RPs (10 each)
 */
#include "wire/pim.h"

static struct pim_bsm_range range_read(struct rd *r, enum pim_drop *d)
{
	struct pim_bsm_range g = { 0 };

	g.group = pim_group_read(r, &g.flags, d);
	g.n_rps = rd_u8(r);
	g.n_here = rd_u8(r);
	rd_u16(r);
	g.rps = rd_sub(r, (size_t)g.n_here * PIM_BSM_RP);
	if (rd_failed(r) || rd_failed(&g.rps))
		*d = PIM_DROP_SHORT;
	return g;
}

static struct pim_bsm_rp rp_read(struct rd *r, enum pim_drop *d)
{
	struct pim_bsm_rp rp = { 0 };

	rp.rp = pim_unicast_read(r, d);
	rp.holdtime = rd_u16(r);
	rp.priority = rd_u8(r);
	rd_u8(r);
	if (*d == PIM_OK && !ip4_is_unicast(rp.rp))
		*d = PIM_DROP_ADDRESS;
	return rp;
}

static enum pim_drop ranges_check(struct rd r)
{
	enum pim_drop d = PIM_OK;

	while (rd_left(&r) && d == PIM_OK) {
		struct pim_bsm_range g = range_read(&r, &d);

		while (rd_left(&g.rps) && d == PIM_OK)
			rp_read(&g.rps, &d);
	}
	return d;
}

enum pim_drop pim_bsm_read(struct rd *r, struct pim_bsm *b)
{
	enum pim_drop d = PIM_OK;

	b->tag = rd_u16(r);
	b->hash_mask = rd_u8(r);
	b->priority = rd_u8(r);
	b->bsr = pim_unicast_read(r, &d);
	b->ranges = *r;
	if (d != PIM_OK)
		return d;
	if (b->hash_mask > 32)
		return PIM_DROP_MASK;
	return ip4_is_unicast(b->bsr) ? ranges_check(*r) : PIM_DROP_ADDRESS;
}

bool pim_bsm_range(struct pim_bsm *b, struct pim_bsm_range *g)
{
	enum pim_drop d = PIM_OK;

	if (!rd_left(&b->ranges))
		return false;
	*g = range_read(&b->ranges, &d);
	return d == PIM_OK;
}

bool pim_bsm_rp(struct pim_bsm_range *g, struct pim_bsm_rp *rp)
{
	enum pim_drop d = PIM_OK;

	if (!rd_left(&g->rps))
		return false;
	*rp = rp_read(&g->rps, &d);
	return d == PIM_OK;
}

void pim_bsm_begin(struct wr *w, const struct pim_bsm *b, uint8_t reserved)
{
	pim_begin(w, PIM_BOOTSTRAP, reserved);
	wr_u16(w, b->tag);
	wr_u8(w, b->hash_mask);
	wr_u8(w, b->priority);
	pim_unicast_write(w, b->bsr);
}

void pim_bsm_range_write(struct wr *w, struct ip4_prefix group, uint8_t n_rps, uint8_t n_here)
{
	pim_group_write(w, group, 0);
	wr_u8(w, n_rps);
	wr_u8(w, n_here);
	wr_u16(w, 0);
}

void pim_bsm_rp_write(struct wr *w, const struct pim_bsm_rp *rp)
{
	pim_unicast_write(w, rp->rp);
	wr_u16(w, rp->holdtime);
	wr_u8(w, rp->priority);
	wr_u8(w, 0);
}

enum pim_drop pim_crp_adv_read(struct rd *r, struct pim_crp_adv *c)
{
	enum pim_drop d = PIM_OK;
	uint8_t n = rd_u8(r), flags;

	*c = (struct pim_crp_adv){ 0 };
	c->priority = rd_u8(r);
	c->holdtime = rd_u16(r);
	c->rp = pim_unicast_read(r, &d);
	if (d == PIM_OK && !ip4_is_unicast(c->rp))
		d = PIM_DROP_ADDRESS;
	for (int i = 0; i < n && d == PIM_OK; i++) {
		struct ip4_prefix group = pim_group_read(r, &flags, &d);

		if (d == PIM_OK && c->n_groups < PIM_CRP_PREFIXES)
			c->groups[c->n_groups++] = group;
	}
	return d;
}

void pim_crp_adv_write(struct wr *w, const struct pim_crp_adv *c)
{
	pim_begin(w, PIM_CANDIDATE_RP, 0);
	wr_u8(w, c->n_groups);
	wr_u8(w, c->priority);
	wr_u16(w, c->holdtime);
	pim_unicast_write(w, c->rp);
	for (int i = 0; i < c->n_groups; i++)
		pim_group_write(w, c->groups[i], 0);
	pim_end(w);
}
