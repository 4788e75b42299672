/* SPDX-License-Identifier: MIT */
/* Assert (RFC 7761 §4.9.6). */
#include "wire/pim.h"

#define RPT_BIT 0x80000000u

enum pim_drop pim_assert_read(struct rd *r, struct pim_assert *a)
{
	enum pim_drop d = PIM_OK;
	struct ip4_prefix group;
	uint32_t preference;
	uint8_t flags;

	group = pim_group_read(r, &flags, &d);
	a->sg.group = group.addr;
	a->sg.source = pim_unicast_read(r, &d);
	preference = rd_u32(r);
	a->is_rpt = preference & RPT_BIT;
	a->preference = preference & ~RPT_BIT;
	a->metric = rd_u32(r);
	if (rd_failed(r))
		return PIM_DROP_SHORT;
	if (d == PIM_OK && group.len != 32)
		d = PIM_DROP_MASK;
	/* Without a source it can only be about the shared tree. */
	if (d == PIM_OK && (a->sg.source.net ? !ip4_is_unicast(a->sg.source) : !a->is_rpt))
		d = PIM_DROP_ADDRESS;
	return d;
}

void pim_assert_write(struct wr *w, const struct pim_assert *a)
{
	pim_begin(w, PIM_ASSERT, 0);
	pim_group_write(w, (struct ip4_prefix){ a->sg.group, 32 }, 0);
	pim_unicast_write(w, a->sg.source);
	wr_u32(w, a->preference | (a->is_rpt ? RPT_BIT : 0));
	wr_u32(w, a->metric);
	pim_end(w);
}
