/* SPDX-License-Identifier: MIT */
/*
 * Join/Prune (RFC 7761 §4.9.5):
 *
 *	upstream neighbour (6) · reserved (1) · groups (1) · holdtime (2)
 *	per group: group (8) · joins (2) · prunes (2) · sources (8 each), joins before prunes
 */
#include "wire/pim.h"

static struct pim_jp_group group_read(struct rd *r, enum pim_drop *d)
{
	struct pim_jp_group g = { 0 };
	uint8_t flags;

	g.group = pim_group_read(r, &flags, d);
	g.n_joins = rd_u16(r);
	g.n_prunes = rd_u16(r);
	g.sources = rd_sub(r, ((size_t)g.n_joins + g.n_prunes) * PIM_JP_SOURCE);
	if (rd_failed(r) || rd_failed(&g.sources))
		*d = PIM_DROP_SHORT;
	return g;
}

/* Walks over a copy of the message, so that nothing of a malformed one is used. */
static enum pim_drop groups_check(struct rd r, uint8_t n_groups)
{
	enum pim_drop d = PIM_OK;

	for (int i = 0; i < n_groups && d == PIM_OK; i++) {
		struct pim_jp_group g = group_read(&r, &d);
		uint8_t flags;

		while (rd_left(&g.sources) && d == PIM_OK)
			pim_source_read(&g.sources, &flags, &d);
	}
	return d;
}

enum pim_drop pim_jp_read(struct rd *r, struct pim_jp *jp)
{
	enum pim_drop d = PIM_OK;

	jp->upstream = pim_unicast_read(r, &d);
	rd_u8(r);
	jp->n_groups = rd_u8(r);
	jp->holdtime = rd_u16(r);
	jp->groups = *r;
	if (rd_failed(r))
		return PIM_DROP_SHORT;
	return d == PIM_OK ? groups_check(*r, jp->n_groups) : d;
}

bool pim_jp_group(struct pim_jp *jp, struct pim_jp_group *g)
{
	enum pim_drop d = PIM_OK;

	if (!jp->n_groups)
		return false;
	jp->n_groups--;
	*g = group_read(&jp->groups, &d);
	return d == PIM_OK;
}

bool pim_jp_source(struct pim_jp_group *g, struct pim_jp_source *s)
{
	enum pim_drop d = PIM_OK;

	if (!rd_left(&g->sources))
		return false;
	s->source = pim_source_read(&g->sources, &s->flags, &d);
	s->is_join = g->n_joins > 0;
	if (g->n_joins)
		g->n_joins--;
	else
		g->n_prunes--;
	return d == PIM_OK;
}

void pim_jp_begin(struct wr *w, struct ip4 upstream, uint16_t holdtime)
{
	pim_begin(w, PIM_JOIN_PRUNE, 0);
	pim_unicast_write(w, upstream);
	wr_u8(w, 0);
	wr_u8(w, 0);
	wr_u16(w, holdtime);
}

void pim_jp_group_write(struct wr *w, struct ip4 group, uint16_t n_joins, uint16_t n_prunes)
{
	pim_group_write(w, (struct ip4_prefix){ group, 32 }, 0);
	wr_u16(w, n_joins);
	wr_u16(w, n_prunes);
}

void pim_jp_end(struct wr *w, uint8_t n_groups)
{
	wr_patch(w, PIM_HEADER + 7, &n_groups, 1);
	pim_end(w);
}
