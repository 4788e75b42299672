/* SPDX-License-Identifier: MIT */
/* The RP-set into Bootstrap messages and out of them (RFC 5059 §3.3 to §3.6). */
#include "engine/pim_impl.h"

#define BSM_MAX 1400 /* bytes in one message; more are further fragments with the same tag */

/* --- out ---------------------------------------------------------------------------------- */

/* The BSR tells what RPs have told it, also that they are none any more; others what they know. */
static bool is_to_tell(const struct pim *e, const struct bsr_rp *b)
{
	return b->is_used && (e->bsr.state == PIM_BSR_ELECTED ? b->is_told : b->is_ready);
}

static bool is_prefix_equal(struct ip4_prefix a, struct ip4_prefix b)
{
	return a.len == b.len && ip4_in(a.addr, b);
}

/* How many RPs the range of the `i`th has; 0 when it is not the first of its range. */
static uint32_t count_range(const struct pim *e, uint32_t i)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < e->cfg.bsr_rps; k++) {
		const struct bsr_rp *b = &e->bsr.rps[k];

		if (!is_to_tell(e, b) || !is_prefix_equal(b->info.range, e->bsr.rps[i].info.range))
			continue;
		if (k < i)
			return 0;
		n++;
	}
	return n < UINT8_MAX ? n : UINT8_MAX;
}

struct fragment {
	struct pim *e;
	struct port *port;
	struct ip4 dst;
	uint8_t reserved;
	struct wr w;
};

static void fragment_begin(struct fragment *f)
{
	const struct bsr *bsr = &f->e->bsr;
	struct pim_bsm head = { .tag = bsr->tag,
				.hash_mask = bsr->hash_mask,
				.priority = bsr->priority,
				.bsr = bsr->addr };

	f->w = actions_packet(f->e->out);
	pim_bsm_begin(&f->w, &head, f->reserved);
}

static void fragment_end(struct fragment *f)
{
	pim_end(&f->w);
	pim_send(f->e, f->port->index, &f->w, f->port->link.address, f->dst);
}

static void range_write(struct fragment *f, uint32_t first, uint32_t n)
{
	const struct pim *e = f->e;
	struct ip4_prefix range = e->bsr.rps[first].info.range;
	uint32_t at = first;

	for (uint32_t done = 0, here; done < n; done += here) {
		if (wr_len(&f->w) + PIM_BSM_RANGE + PIM_BSM_RP > BSM_MAX) {
			fragment_end(f);
			fragment_begin(f);
		}
		here = (uint32_t)(BSM_MAX - wr_len(&f->w) - PIM_BSM_RANGE) / PIM_BSM_RP;
		here = here < n - done ? here : n - done;
		pim_bsm_range_write(&f->w, range, (uint8_t)n, (uint8_t)here);
		for (uint32_t i = 0; i < here; at++) {
			const struct bsr_rp *b = &e->bsr.rps[at];
			struct pim_bsm_rp rp = { b->info.rp, b->holdtime, b->info.priority };

			if (!is_to_tell(e, b) || !is_prefix_equal(b->info.range, range))
				continue;
			pim_bsm_rp_write(&f->w, &rp);
			i++;
		}
	}
}

void pim_bsm_send(struct pim *e, struct port *p, struct ip4 dst, uint8_t reserved)
{
	struct fragment f = { .e = e, .port = p, .dst = dst, .reserved = reserved };

	pim_hello_first(e, p);
	fragment_begin(&f);
	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		uint32_t n = is_to_tell(e, &e->bsr.rps[i]) ? count_range(e, i) : 0;

		if (n)
			range_write(&f, i, n);
	}
	fragment_end(&f);
}

/* As it came, out of every port with neighbours but the one it came in at (BS-4). */
void pim_bsm_forward(struct pim *e, const struct pim_rx *rx)
{
	for (uint32_t i = 0; i < e->cfg.ports; i++) {
		struct port *p = pim_port(e, i);
		struct wr w;

		if (!p || i == rx->port || p->cfg.is_passive || !p->n_neighbors)
			continue;
		if (!actions_fit(e->out, 4, (uint32_t)rx->len + 1024)) {
			portset_add(&e->bsr.owed, i);
			continue;
		}
		pim_hello_first(e, p);
		w = actions_packet(e->out);
		wr_bytes(&w, rx->data, rx->len);
		pim_send(e, i, &w, p->link.address, ip4_from_host(0xe000000d));
	}
}

/* --- in ----------------------------------------------------------------------------------- */

/* All RPs of a range are there: they replace the ones that were (BS-6). */
static void commit(struct pim *e, struct ip4_prefix range, uint16_t tag)
{
	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		struct bsr_rp *b = &e->bsr.rps[i];

		if (!b->is_used || !is_prefix_equal(b->info.range, range))
			continue;
		b->is_ready = b->tag == tag;
		b->is_used = b->is_ready && b->holdtime;
	}
}

static uint32_t count_tag(const struct pim *e, struct ip4_prefix range, uint16_t tag)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		const struct bsr_rp *b = &e->bsr.rps[i];

		n += b->is_used && b->tag == tag && is_prefix_equal(b->info.range, range);
	}
	return n;
}

static bool range_store(struct pim *e, struct pim_bsm_range *range, uint16_t tag)
{
	struct pim_bsm_rp rp;

	while (pim_bsm_rp(range, &rp)) {
		struct bsr_rp *b = pim_bsr_make(e, range->group, rp.rp);

		if (!b)
			return false;
		b->tag = tag;
		b->holdtime = rp.holdtime;
		b->is_told = false;
		b->info.priority = rp.priority;
		/* One that is over stays until its range is complete. */
		b->info.expires = rp.holdtime ? pim_hold(e, rp.holdtime) : pim_after(e, 1000);
	}
	if (count_tag(e, range->group, tag) >= range->n_rps)
		commit(e, range->group, tag);
	return true;
}

enum pim_drop pim_bsm_store(struct pim *e, struct pim_bsm bsm)
{
	enum pim_drop d = PIM_OK;
	struct pim_bsm_range range;

	e->bsr.tag = bsm.tag;
	while (pim_bsm_range(&bsm, &range))
		if (!(range.flags & (PIM_GROUP_ZONE | PIM_GROUP_BIDIR)) &&
		    !range_store(e, &range, bsm.tag))
			d = PIM_DROP_CAP;
	pim_bsr_expire(e);
	pim_sweep(e);
	return d;
}
