/* SPDX-License-Identifier: MIT */
/* Register and Register-Stop (RFC 7761 §4.9.3, §4.9.4). */
#include "wire/pim.h"

#include <string.h>

#include "base/cksum.h"
#include "wire/ip.h"

#define NULL_REGISTER 0x40
#define AT_TOTAL      2
#define AT_CHECKSUM   10
#define AT_SOURCE     12

static uint16_t word(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The packet inside: its header as far as it is there must be one, and to a group. */
static enum pim_drop inner_check(const struct pim_register *reg)
{
	const uint8_t *ip = reg->inner;
	size_t header = (size_t)(ip[0] & 15) * 4;

	if (ip[0] >> 4 != 4 || header < PIM_INNER || header > reg->inner_len)
		return PIM_DROP_INNER;
	if (!ip4_is_multicast(reg->group) || !ip4_is_unicast(reg->source))
		return PIM_DROP_INNER;
	/* A Null-Register's header may come without a checksum, and with any length. */
	if (reg->is_null)
		return !word(ip + AT_CHECKSUM) || cksum_fold(cksum_add(ip, header, 0)) == 0xffff
			       ? PIM_OK
			       : PIM_DROP_INNER_CHECKSUM;
	if (word(ip + AT_TOTAL) < header || word(ip + AT_TOTAL) > reg->inner_len)
		return PIM_DROP_INNER;
	return cksum_fold(cksum_add(ip, header, 0)) == 0xffff ? PIM_OK : PIM_DROP_INNER_CHECKSUM;
}

enum pim_drop pim_register_read(struct rd *r, struct pim_register *reg)
{
	struct rd addresses;
	uint8_t flags = rd_u8(r);

	rd_sub(r, 3);
	if (rd_failed(r) || rd_left(r) < PIM_INNER)
		return PIM_DROP_SHORT;
	if (rd_left(r) > UINT16_MAX)
		return PIM_DROP_INNER;
	reg->is_null = flags & NULL_REGISTER;
	reg->inner = r->at;
	reg->inner_len = (uint16_t)rd_left(r);
	addresses = rd_init(r->at + AT_SOURCE, PIM_INNER - AT_SOURCE);
	reg->source = rd_ip4(&addresses);
	reg->group = rd_ip4(&addresses);
	return inner_check(reg);
}

void pim_null_register_write(struct wr *w, struct sg sg)
{
	uint8_t ip[PIM_INNER] = { 0x45, [3] = PIM_INNER, [8] = 255, [9] = IP_PROTO_PIM };
	uint16_t check;

	memcpy(ip + AT_SOURCE, &sg.source.net, 4);
	memcpy(ip + AT_SOURCE + 4, &sg.group.net, 4);
	check = cksum_finish(cksum_add(ip, sizeof(ip), 0));
	memcpy(ip + AT_CHECKSUM, &check, 2);
	pim_begin(w, PIM_REGISTER, 0);
	wr_u32(w, (uint32_t)NULL_REGISTER << 24);
	wr_bytes(w, ip, sizeof(ip));
	pim_end(w);
}

enum pim_drop pim_register_stop_read(struct rd *r, struct pim_register_stop *stop)
{
	enum pim_drop d = PIM_OK;
	uint8_t flags;

	stop->group = pim_group_read(r, &flags, &d);
	stop->source = pim_unicast_read(r, &d);
	if (d == PIM_OK && stop->source.net && !ip4_is_unicast(stop->source))
		d = PIM_DROP_ADDRESS;
	return d;
}

void pim_register_stop_write(struct wr *w, struct sg sg)
{
	pim_begin(w, PIM_REGISTER_STOP, 0);
	pim_group_write(w, (struct ip4_prefix){ sg.group, 32 }, 0);
	pim_unicast_write(w, sg.source);
	pim_end(w);
}
