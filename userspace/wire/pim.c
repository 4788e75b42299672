/* SPDX-License-Identifier: MIT */
/* The header of PIM messages, and the encoded addresses in them (RFC 7761 §4.9, §4.9.1). */
#include "wire/pim.h"

#include "base/cksum.h"

#define VERSION	 2
#define FAMILY_4 1 /* IPv4, in IANA's list of address families */
#define NATIVE	 0

const char *pim_drop_name(enum pim_drop d)
{
	static const char *const names[PIM_DROP_N] = {
		[PIM_OK] = "ok",
		[PIM_DROP_SHORT] = "short",
		[PIM_DROP_VERSION] = "version",
		[PIM_DROP_CHECKSUM] = "checksum",
		[PIM_DROP_TYPE] = "type",
		[PIM_DROP_ENCODING] = "encoding",
		[PIM_DROP_ADDRESS] = "address",
		[PIM_DROP_MASK] = "mask",
		[PIM_DROP_OPTION] = "option",
		[PIM_DROP_INNER] = "inner",
		[PIM_DROP_INNER_CHECKSUM] = "inner_checksum",
		[PIM_DROP_PORT] = "port",
		[PIM_DROP_OWN] = "own",
		[PIM_DROP_SOURCE] = "source",
		[PIM_DROP_DESTINATION] = "destination",
		[PIM_DROP_TTL] = "ttl",
		[PIM_DROP_FILTERED] = "filtered",
		[PIM_DROP_NO_NEIGHBOR] = "no_neighbor",
		[PIM_DROP_CAP] = "cap",
		[PIM_DROP_RATE] = "rate",
		[PIM_DROP_SSM] = "ssm",
		[PIM_DROP_RPF] = "rpf",
		[PIM_DROP_SCOPE] = "scope",
		[PIM_DROP_STALE] = "stale",
	};

	return d < PIM_DROP_N ? names[d] : "?";
}

static bool has_sum(const uint8_t *msg, size_t len)
{
	return cksum_fold(cksum_add(msg, len, 0)) == 0xffff;
}

enum pim_drop pim_open(struct rd *msg, enum pim_type *type, uint8_t *reserved)
{
	const uint8_t *start = msg->at;
	size_t len = rd_left(msg);
	uint8_t first = rd_u8(msg);
	bool is_register = (first & 15) == PIM_REGISTER;

	*reserved = rd_u8(msg);
	rd_u16(msg);
	if (rd_failed(msg))
		return PIM_DROP_SHORT;
	if (first >> 4 != VERSION)
		return PIM_DROP_VERSION;
	if (is_register && len < PIM_REGISTER_LEN)
		return PIM_DROP_SHORT;
	if (!has_sum(start, len) && !(is_register && has_sum(start, PIM_REGISTER_LEN)))
		return PIM_DROP_CHECKSUM;
	*type = first & 15;
	return PIM_OK;
}

void pim_begin(struct wr *w, enum pim_type type, uint8_t reserved)
{
	wr_u8(w, VERSION << 4 | type);
	wr_u8(w, reserved);
	wr_u16(w, 0);
}

void pim_end(struct wr *w)
{
	size_t len = wr_len(w);
	uint16_t check;

	if (wr_failed(w))
		return;
	if ((w->start[0] & 15) == PIM_REGISTER)
		len = PIM_REGISTER_LEN;
	check = cksum_finish(cksum_add(w->start, len, 0));
	wr_patch(w, 2, &check, sizeof(check));
}

static void family_read(struct rd *r, enum pim_drop *d)
{
	uint8_t family = rd_u8(r), encoding = rd_u8(r);

	if (rd_failed(r))
		*d = PIM_DROP_SHORT;
	else if (*d == PIM_OK && (family != FAMILY_4 || encoding != NATIVE))
		*d = PIM_DROP_ENCODING;
}

struct ip4 pim_unicast_read(struct rd *r, enum pim_drop *d)
{
	struct ip4 a;

	family_read(r, d);
	a = rd_ip4(r);
	if (rd_failed(r))
		*d = PIM_DROP_SHORT;
	return a;
}

/* Groups and sources have the same form. */
static struct ip4_prefix prefix_read(struct rd *r, uint8_t *flags, enum pim_drop *d)
{
	struct ip4_prefix p;

	family_read(r, d);
	*flags = rd_u8(r);
	p.len = rd_u8(r);
	p.addr = rd_ip4(r);
	if (rd_failed(r))
		*d = PIM_DROP_SHORT;
	else if (*d == PIM_OK && p.len > 32)
		*d = PIM_DROP_MASK;
	return p;
}

struct ip4_prefix pim_group_read(struct rd *r, uint8_t *flags, enum pim_drop *d)
{
	struct ip4_prefix p = prefix_read(r, flags, d);

	if (*d == PIM_OK && !ip4_is_multicast(p.addr))
		*d = PIM_DROP_ADDRESS;
	return p;
}

struct ip4_prefix pim_source_read(struct rd *r, uint8_t *flags, enum pim_drop *d)
{
	struct ip4_prefix p = prefix_read(r, flags, d);

	if (*d == PIM_OK && !ip4_is_unicast(p.addr))
		*d = PIM_DROP_ADDRESS;
	return p;
}

void pim_unicast_write(struct wr *w, struct ip4 a)
{
	wr_u8(w, FAMILY_4);
	wr_u8(w, NATIVE);
	wr_ip4(w, a);
}

static void prefix_write(struct wr *w, struct ip4_prefix p, uint8_t flags)
{
	wr_u8(w, FAMILY_4);
	wr_u8(w, NATIVE);
	wr_u8(w, flags);
	wr_u8(w, p.len);
	wr_ip4(w, p.addr);
}

void pim_group_write(struct wr *w, struct ip4_prefix group, uint8_t flags)
{
	prefix_write(w, group, flags);
}

void pim_source_write(struct wr *w, struct ip4 source, uint8_t flags)
{
	prefix_write(w, (struct ip4_prefix){ source, 32 }, flags);
}
