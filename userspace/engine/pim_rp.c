/* SPDX-License-Identifier: MIT */
/*
 * Which RP a group has (RFC 7761 §4.7). One question, two tables: RPs from the configuration, and
 * those of the Bootstrap Router. The longest range decides; in equal ranges the configuration does,
 * unless it says otherwise. What serves the group is worked out from this each time.
 */
#include "engine/pim_impl.h"

uint32_t pim_rp_hash(struct ip4 group, uint8_t mask_len, struct ip4 rp)
{
	uint32_t mask = mask_len ? UINT32_MAX << (32 - mask_len) : 0;
	uint32_t inner = 1103515245u * (ip4_host(group) & mask) + 12345u;

	return (1103515245u * (inner ^ ip4_host(rp)) + 12345u) & 0x7fffffffu;
}

/* --- the RP-set --------------------------------------------------------------------------- */

static bool is_prefix_equal(struct ip4_prefix a, struct ip4_prefix b)
{
	return a.len == b.len && ip4_in(a.addr, b);
}

struct bsr_rp *pim_bsr_find(struct pim *e, struct ip4_prefix range, struct ip4 rp)
{
	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		struct bsr_rp *b = &e->bsr.rps[i];

		if (b->is_used && ip4_equal(b->info.rp, rp) &&
		    is_prefix_equal(b->info.range, range))
			return b;
	}
	return NULL;
}

struct bsr_rp *pim_bsr_make(struct pim *e, struct ip4_prefix range, struct ip4 rp)
{
	struct bsr_rp *b = pim_bsr_find(e, range, rp);

	for (uint32_t i = 0; !b && i < e->cfg.bsr_rps; i++)
		if (!e->bsr.rps[i].is_used) {
			b = &e->bsr.rps[i];
			*b = (struct bsr_rp){ .is_used = true };
			b->info.range = range;
			b->info.rp = rp;
		}
	return b;
}

bool pim_bsr_expire(struct pim *e)
{
	struct mtime next = MTIME_NEVER;
	bool any = false;

	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		struct bsr_rp *b = &e->bsr.rps[i];

		if (b->is_used && is_due(e, b->info.expires)) {
			b->is_used = false;
			any = true;
		}
		if (b->is_used)
			next = mtime_min(next, b->info.expires);
	}
	e->bsr.expire_at = next;
	return any;
}

/* --- choosing ----------------------------------------------------------------------------- */

static bool is_reachable(const struct pim *e, struct ip4 rp)
{
	struct pim_rpf rpf;

	return pim_is_mine(e, rp) || e->cfg.rpf(e->cfg.rpf_arg, rp, &rpf);
}

/* Of the longest range the first with a way to it; the first at all when there is none. */
static const struct pim_static_rp *find_static(const struct pim *e, struct ip4 group)
{
	const struct pim_static_rp *best = NULL;
	bool is_best_reachable = false;

	for (int i = 0; i < e->cfg.n_static_rps; i++) {
		const struct pim_static_rp *s = &e->cfg.static_rps[i];

		if (!ip4_in(group, s->range) || (best && s->range.len < best->range.len))
			continue;
		if (best && s->range.len == best->range.len &&
		    (is_best_reachable || !is_reachable(e, s->rp)))
			continue;
		best = s;
		is_best_reachable = is_reachable(e, s->rp);
	}
	return best;
}

/* Lower priority value, then higher hash, then higher address. */
static bool is_better(const struct pim *e, struct ip4 group, const struct pim_rp_info *a,
		      const struct pim_rp_info *b)
{
	uint32_t hash_a = pim_rp_hash(group, e->bsr.hash_mask, a->rp);
	uint32_t hash_b = pim_rp_hash(group, e->bsr.hash_mask, b->rp);

	if (a->range.len != b->range.len)
		return a->range.len > b->range.len;
	if (a->priority != b->priority)
		return a->priority < b->priority;
	if (hash_a != hash_b)
		return hash_a > hash_b;
	return ip4_before(b->rp, a->rp);
}

static const struct pim_rp_info *find_bsr(const struct pim *e, struct ip4 group)
{
	const struct pim_rp_info *best = NULL;

	for (uint32_t i = 0; i < e->cfg.bsr_rps; i++) {
		const struct bsr_rp *b = &e->bsr.rps[i];

		if (b->is_used && b->is_ready && ip4_in(group, b->info.range) &&
		    (!best || is_better(e, group, &b->info, best)))
			best = &b->info;
	}
	return best;
}

struct ip4 pim_rp_of(const struct pim *e, struct ip4 group)
{
	const struct pim_static_rp *s = find_static(e, group);
	const struct pim_rp_info *b = find_bsr(e, group);

	if (s && b && s->range.len == b->range.len)
		return e->cfg.bsr_overrides_static ? b->rp : s->rp;
	if (s && (!b || s->range.len > b->range.len))
		return s->rp;
	return b ? b->rp : (struct ip4){ 0 };
}
