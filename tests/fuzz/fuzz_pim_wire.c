/* SPDX-License-Identifier: MIT */
/*
 * PIM messages of any bytes, in a block of memory of their size. Checksums are made right first,
 * which mutation hardly ever does. What was accepted is written again where there is a writer, and
 * reads back as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cksum.h"
#include "wire/pim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void fix(uint8_t *msg, size_t size)
{
	size_t covered = size;
	uint16_t check;

	if (size < PIM_HEADER)
		return;
	if ((msg[0] & 15) == PIM_REGISTER && size > PIM_REGISTER_LEN)
		covered = PIM_REGISTER_LEN;
	memset(msg + 2, 0, 2);
	check = cksum_finish(cksum_add(msg, covered, 0));
	memcpy(msg + 2, &check, 2);
}

static struct rd reopened(const struct wr *w)
{
	struct rd r = rd_init(w->start, wr_len(w));
	enum pim_type type;
	uint8_t reserved;

	demand(!wr_failed(w));
	demand(pim_open(&r, &type, &reserved) == PIM_OK);
	return r;
}

static void hello(struct rd *r)
{
	struct pim_hello h, back;
	uint8_t b[512];
	struct wr w = wr_init(b, sizeof(b));
	struct rd again;

	if (pim_hello_read(r, &h) != PIM_OK)
		return;
	pim_hello_write(&w, &h);
	again = reopened(&w);
	demand(pim_hello_read(&again, &back) == PIM_OK);
	demand(back.holdtime == h.holdtime && back.n_secondaries == h.n_secondaries);
	demand(back.has_lan_delay == h.has_lan_delay && back.override_ms == h.override_ms);
	demand(back.dr_priority == h.dr_priority && back.gen_id == h.gen_id);
}

static void join_prune(struct rd *r)
{
	struct pim_jp_source s;
	struct pim_jp_group g;
	struct pim_jp jp;
	unsigned groups = 0;

	if (pim_jp_read(r, &jp) != PIM_OK)
		return;
	while (pim_jp_group(&jp, &g)) {
		unsigned joins = g.n_joins, prunes = g.n_prunes;

		groups++;
		while (pim_jp_source(&g, &s))
			demand(s.is_join ? joins-- > 0 : prunes-- > 0);
		demand(joins == 0 && prunes == 0);
	}
	demand(groups <= PIM_JP_GROUPS);
}

static void assertion(struct rd *r)
{
	struct pim_assert a = { 0 }, back = { 0 };
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));
	struct rd again;

	if (pim_assert_read(r, &a) != PIM_OK)
		return;
	pim_assert_write(&w, &a);
	again = reopened(&w);
	demand(pim_assert_read(&again, &back) == PIM_OK && !memcmp(&a, &back, sizeof(a)));
}

static void bootstrap(struct rd *r)
{
	struct pim_bsm_range range;
	struct pim_bsm_rp rp;
	struct pim_bsm b;

	if (pim_bsm_read(r, &b) != PIM_OK)
		return;
	while (pim_bsm_range(&b, &range))
		while (pim_bsm_rp(&range, &rp))
			demand(ip4_is_unicast(rp.rp));
	demand(!rd_left(&b.ranges));
}

static void others(struct rd *r, enum pim_type type)
{
	struct pim_register_stop stop;
	struct pim_register reg;
	struct pim_crp_adv adv;
	uint8_t sum = 0;

	if (type == PIM_REGISTER && pim_register_read(r, &reg) == PIM_OK)
		for (size_t i = 0; i < reg.inner_len; i++)
			sum ^= reg.inner[i];
	demand(sum <= UINT8_MAX); /* keeps the reads */
	if (type == PIM_REGISTER_STOP && pim_register_stop_read(r, &stop) == PIM_OK)
		demand(stop.group.len <= 32);
	if (type == PIM_CANDIDATE_RP && pim_crp_adv_read(r, &adv) == PIM_OK)
		demand(adv.n_groups <= PIM_CRP_PREFIXES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *msg = malloc(size ? size : 1);
	enum pim_type type;
	uint8_t reserved;
	struct rd r;

	demand(msg != NULL);
	memcpy(msg, data, size);
	fix(msg, size);
	r = rd_init(msg, size);
	if (pim_open(&r, &type, &reserved) == PIM_OK) {
		switch ((unsigned)type) {
		case PIM_HELLO:
			hello(&r);
			break;
		case PIM_JOIN_PRUNE:
			join_prune(&r);
			break;
		case PIM_ASSERT:
			assertion(&r);
			break;
		case PIM_BOOTSTRAP:
			bootstrap(&r);
			break;
		default:
			others(&r, type);
		}
	}
	free(msg);
	return 0;
}
