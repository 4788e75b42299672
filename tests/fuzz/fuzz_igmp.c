/* SPDX-License-Identifier: MIT */
/*
 * IGMP messages, and IP headers before them, of any bytes, in a block of exactly their size. The
 * first byte says whether the checksum is made right, which mutation hardly ever does.
 */
#include <stdlib.h>

#include "../lib/igmp_packet.h"
#include "wire/ip.h"

enum { FIX = 1, IP = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void is_within(const struct rd *r, const uint8_t *block, size_t size)
{
	demand(!rd_failed(r) && r->at >= block && r->at <= r->end && r->end <= block + size);
}

/* What was read is written, and read again as the same. */
static void check_query(const struct igmp_query *q)
{
	static struct igmp_packet p;
	struct ip4 sources[4];
	struct igmp_query written = *q;
	struct igmp_message again;
	struct rd r = q->sources;

	if (written.n_sources > 4)
		written.n_sources = 4;
	for (uint16_t i = 0; i < written.n_sources; i++)
		sources[i] = rd_ip4(&r);
	igmp_packet_query(&p, written, sources);
	demand(igmp_read(&again, p.bytes, p.len) == IGMP_ACCEPTED);
	demand(again.query.version == q->version && again.query.response_ds == q->response_ds);
	demand(again.query.robustness == q->robustness && again.query.suppress == q->suppress);
	demand(again.query.interval_s == q->interval_s && ip4_equal(again.query.group, q->group));
	demand(again.query.n_sources == written.n_sources);
}

static void check_report(const struct igmp_message *m, const uint8_t *block, size_t size)
{
	struct rd records = m->records;
	struct igmp_record record;
	uint32_t n = 0;

	for (; igmp_record_read(&records, &record); n++) {
		is_within(&record.sources, block, size);
		demand(rd_left(&record.sources) == record.n_sources * 4u);
	}
	demand(n == m->n_records && !rd_failed(&records));
}

static void check_message(uint8_t *block, size_t size, bool fix)
{
	struct igmp_message m;
	enum igmp_drop drop;

	if (fix && size >= 8) {
		uint16_t check;

		memset(block + 2, 0, 2);
		check = cksum_finish(cksum_add(block, size, 0));
		memcpy(block + 2, &check, 2);
	}
	drop = igmp_read(&m, block, size);
	demand(drop <= IGMP_DROP_TYPE);
	demand(!fix || size < 8 || drop != IGMP_DROP_CHECKSUM);
	if (drop != IGMP_ACCEPTED)
		return;
	if (m.type == IGMP_QUERY) {
		demand(m.query.n_sources == 0 || size >= 12 + m.query.n_sources * 4u);
		check_query(&m.query);
	} else if (m.type == IGMP_V3_REPORT) {
		check_report(&m, block, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_head head;
	struct rd payload;
	uint8_t *block;

	if (!size)
		return 0;
	block = malloc(size > 1 ? size - 1 : 1);
	demand(block != NULL);
	memcpy(block, data + 1, size - 1);
	if (data[0] & IP) {
		if (ip_read(block, size - 1, &head, &payload))
			is_within(&payload, block, size - 1);
	} else {
		check_message(block, size - 1, data[0] & FIX);
	}
	free(block);
	return 0;
}
