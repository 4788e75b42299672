/* SPDX-License-Identifier: MIT */
/* Hello (RFC 7761 §4.9.2): options of type, length and value; unknown ones are passed over. */
#include "wire/pim.h"

enum {
	HOLDTIME = 1,
	LAN_PRUNE_DELAY = 2,
	DR_PRIORITY = 19,
	GENERATION_ID = 20,
	ADDRESS_LIST = 24,
};

#define TRACKING 0x8000 /* the T bit */

/* A secondary address of another family is not ours to look at. */
static void addresses_read(struct rd *r, struct pim_hello *h, enum pim_drop *d)
{
	while (rd_left(r) && *d == PIM_OK) {
		struct ip4 a = pim_unicast_read(r, d);

		if (*d == PIM_OK && ip4_is_unicast(a) && h->n_secondaries < PIM_SECONDARIES)
			h->secondaries[h->n_secondaries++] = a;
	}
	if (*d == PIM_DROP_ENCODING)
		*d = PIM_OK;
}

static enum pim_drop option_read(uint16_t type, struct rd *r, struct pim_hello *h)
{
	enum pim_drop d = PIM_OK;
	uint16_t delay;

	switch (type) {
	case HOLDTIME:
		h->holdtime = rd_u16(r);
		break;
	case LAN_PRUNE_DELAY:
		delay = rd_u16(r);
		h->has_lan_delay = true;
		h->can_track = delay & TRACKING;
		h->propagation_ms = delay & (TRACKING - 1);
		h->override_ms = rd_u16(r);
		break;
	case DR_PRIORITY:
		h->has_dr_priority = true;
		h->dr_priority = rd_u32(r);
		break;
	case GENERATION_ID:
		h->has_gen_id = true;
		h->gen_id = rd_u32(r);
		break;
	case ADDRESS_LIST:
		addresses_read(r, h, &d);
		return d == PIM_OK ? PIM_OK : PIM_DROP_OPTION;
	default:
		return PIM_OK;
	}
	return rd_failed(r) || rd_left(r) ? PIM_DROP_OPTION : PIM_OK;
}

enum pim_drop pim_hello_read(struct rd *r, struct pim_hello *h)
{
	*h = (struct pim_hello){ .holdtime = PIM_HELLO_HOLDTIME };
	while (rd_left(r)) {
		uint16_t type = rd_u16(r), len = rd_u16(r);
		struct rd value = rd_sub(r, len);
		enum pim_drop d;

		if (rd_failed(&value))
			return PIM_DROP_SHORT;
		d = option_read(type, &value, h);
		if (d != PIM_OK)
			return d;
	}
	return PIM_OK;
}

static void option_begin(struct wr *w, uint16_t type, uint16_t len)
{
	wr_u16(w, type);
	wr_u16(w, len);
}

void pim_hello_write(struct wr *w, const struct pim_hello *h)
{
	pim_begin(w, PIM_HELLO, 0);
	option_begin(w, HOLDTIME, 2);
	wr_u16(w, h->holdtime);
	if (h->has_lan_delay) {
		option_begin(w, LAN_PRUNE_DELAY, 4);
		wr_u16(w, (uint16_t)(h->propagation_ms | (h->can_track ? TRACKING : 0)));
		wr_u16(w, h->override_ms);
	}
	if (h->has_dr_priority) {
		option_begin(w, DR_PRIORITY, 4);
		wr_u32(w, h->dr_priority);
	}
	if (h->has_gen_id) {
		option_begin(w, GENERATION_ID, 4);
		wr_u32(w, h->gen_id);
	}
	if (h->n_secondaries)
		option_begin(w, ADDRESS_LIST, (uint16_t)(h->n_secondaries * 6));
	for (int i = 0; i < h->n_secondaries; i++)
		pim_unicast_write(w, h->secondaries[i]);
	pim_end(w);
}
