/* SPDX-License-Identifier: MIT */
/* Reading and writing IGMP messages. */
#include "wire/igmp.h"

#include "base/cksum.h"

#define SHORT_LEN 8 /* of every message in v1 and v2 */
#define SUPPRESS  0x08

static const char *const drop_names[IGMP_DROP__COUNT] = {
	[IGMP_ACCEPTED] = "accepted",
	[IGMP_DROP_SHORT] = "short",
	[IGMP_DROP_CHECKSUM] = "checksum",
	[IGMP_DROP_LENGTH] = "length",
	[IGMP_DROP_TYPE] = "type",
	[IGMP_DROP_PORT] = "port",
	[IGMP_DROP_ROLE] = "role",
	[IGMP_DROP_TTL] = "ttl",
	[IGMP_DROP_ROUTER_ALERT] = "router_alert",
	[IGMP_DROP_RATE] = "rate",
	[IGMP_DROP_OWN] = "own",
	[IGMP_DROP_SOURCE] = "source",
	[IGMP_DROP_VERSION] = "version",
	[IGMP_DROP_GROUP] = "group",
	[IGMP_DROP_SSM] = "ssm",
	[IGMP_DROP_FILTERED] = "filtered",
	[IGMP_DROP_CAP_GROUPS] = "cap_groups",
};

const char *igmp_drop_name(enum igmp_drop d)
{
	return (unsigned)d < IGMP_DROP__COUNT ? drop_names[d] : "unknown";
}

uint32_t igmp_code_read(uint8_t code)
{
	if (code < 128)
		return code;
	return ((code & 15u) | 16u) << ((code >> 4 & 7) + 3);
}

uint8_t igmp_code_write(uint32_t value)
{
	uint8_t exponent = 0;

	if (value < 128)
		return (uint8_t)value;
	if (value > IGMP_CODE_MAX)
		value = IGMP_CODE_MAX;
	for (value >>= 3; value >= 32; value >>= 1)
		exponent++;
	return (uint8_t)(0x80 | exponent << 4 | (value & 15));
}

/* What comes after the first eight bytes of a v3 query; trailing bytes do not count (IG-2). */
static enum igmp_drop query_v3_read(struct igmp_query *q, uint8_t code, struct rd *r)
{
	uint8_t flags = rd_u8(r);

	q->version = 3;
	q->response_ds = igmp_code_read(code);
	q->suppress = flags & SUPPRESS;
	q->robustness = flags & 7;
	q->interval_s = igmp_code_read(rd_u8(r));
	q->n_sources = rd_u16(r);
	q->sources = rd_sub(r, q->n_sources * 4u);
	return rd_failed(r) ? IGMP_DROP_LENGTH : IGMP_ACCEPTED;
}

/* The version is told by the length and by the code (RFC 3376 §7.1). */
static enum igmp_drop query_read(struct igmp_query *q, uint8_t code, struct ip4 group, struct rd *r)
{
	*q = (struct igmp_query){ .group = group };
	if (rd_left(r))
		return query_v3_read(q, code, r);
	q->version = code ? 2 : 1;
	q->response_ds = code;
	return IGMP_ACCEPTED;
}

bool igmp_record_read(struct rd *records, struct igmp_record *out)
{
	uint8_t aux;

	if (!rd_left(records))
		return false;
	out->type = rd_u8(records);
	aux = rd_u8(records);
	out->n_sources = rd_u16(records);
	out->group = rd_ip4(records);
	out->sources = rd_sub(records, out->n_sources * 4u);
	rd_sub(records, aux * 4u);
	return !rd_failed(records);
}

/* Finds where the records end: `m->records` holds them and nothing behind them. */
static enum igmp_drop report_read(struct igmp_message *m, uint16_t n_records, struct rd r)
{
	struct igmp_record record;

	m->n_records = n_records;
	m->records = r;
	for (; n_records; n_records--)
		if (!igmp_record_read(&r, &record))
			return IGMP_DROP_LENGTH;
	m->records.end = r.at;
	return IGMP_ACCEPTED;
}

enum igmp_drop igmp_read(struct igmp_message *m, const void *data, size_t len)
{
	struct rd r = rd_init(data, len);
	struct ip4 word;
	uint8_t code;

	if (len < SHORT_LEN)
		return IGMP_DROP_SHORT;
	if (cksum_fold(cksum_add(data, len, 0)) != 0xffff)
		return IGMP_DROP_CHECKSUM;
	*m = (struct igmp_message){ .type = (enum igmp_type)rd_u8(&r) };
	code = rd_u8(&r);
	rd_u16(&r);
	word = rd_ip4(&r);
	m->group = word;
	switch ((uint8_t)m->type) {
	case IGMP_QUERY:
		return query_read(&m->query, code, word, &r);
	case IGMP_V1_REPORT:
	case IGMP_V2_REPORT:
	case IGMP_V2_LEAVE:
		return IGMP_ACCEPTED;
	case IGMP_V3_REPORT:
		return report_read(m, (uint16_t)ip4_host(word), r);
	default:
		return IGMP_DROP_TYPE;
	}
}

void igmp_query_write(struct wr *w, const struct igmp_query *q)
{
	uint32_t literal = q->response_ds < 255 ? q->response_ds : 255;

	wr_u8(w, IGMP_QUERY);
	wr_u8(w, q->version == 3 ? igmp_code_write(q->response_ds) : (uint8_t)literal);
	wr_u16(w, 0);
	wr_ip4(w, q->group);
	if (q->version < 3)
		return;
	wr_u8(w, (uint8_t)((q->suppress ? SUPPRESS : 0) | (q->robustness > 7 ? 0 : q->robustness)));
	wr_u8(w, igmp_code_write(q->interval_s));
	wr_u16(w, q->n_sources);
}

void igmp_seal(struct wr *w)
{
	uint16_t check = cksum_finish(cksum_add(w->start, wr_len(w), 0));

	wr_patch(w, 2, &check, sizeof(check));
}
