/* SPDX-License-Identifier: MIT */
/* IGMP messages as hosts and other routers send them, for tests of who receives them. */
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/cksum.h"
#include "wire/igmp.h"

#define ADDR(a, b, c, d)                                                                           \
	((struct ip4){ htonl((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 |      \
			     (uint32_t)(d)) })

struct igmp_packet {
	uint8_t bytes[9000];
	size_t len;
};

static inline void igmp_packet_seal(struct igmp_packet *p)
{
	uint16_t check;

	memset(p->bytes + 2, 0, 2);
	check = cksum_finish(cksum_add(p->bytes, p->len, 0));
	memcpy(p->bytes + 2, &check, 2);
}

/* A message of v1 or v2. */
static inline void igmp_packet_short(struct igmp_packet *p, uint8_t type, uint8_t code,
				     struct ip4 group)
{
	p->bytes[0] = type;
	p->bytes[1] = code;
	memcpy(p->bytes + 4, &group.net, 4);
	p->len = 8;
	igmp_packet_seal(p);
}

/* A report of v3 without records. */
static inline void igmp_packet_report(struct igmp_packet *p)
{
	memset(p->bytes, 0, 8);
	p->bytes[0] = IGMP_V3_REPORT;
	p->len = 8;
	igmp_packet_seal(p);
}

/* A record more. */
static inline void igmp_packet_record(struct igmp_packet *p, uint8_t type, struct ip4 group,
				      const struct ip4 *sources, size_t n)
{
	uint8_t *at = p->bytes + p->len;

	at[0] = type;
	at[1] = 0;
	at[2] = (uint8_t)(n >> 8);
	at[3] = (uint8_t)n;
	memcpy(at + 4, &group.net, 4);
	for (size_t i = 0; i < n; i++)
		memcpy(at + 8 + i * 4, &sources[i].net, 4);
	p->len += 8 + n * 4;
	p->bytes[7]++;
	if (!p->bytes[7])
		p->bytes[6]++;
	igmp_packet_seal(p);
}

/* A query of v3. */
static inline void igmp_packet_query(struct igmp_packet *p, struct igmp_query q,
				     const struct ip4 *sources)
{
	struct wr w = wr_init(p->bytes, sizeof(p->bytes));

	igmp_query_write(&w, &q);
	for (uint16_t i = 0; i < q.n_sources; i++)
		wr_ip4(&w, sources[i]);
	igmp_seal(&w);
	p->len = wr_len(&w);
}
