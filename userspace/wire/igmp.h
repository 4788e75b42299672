/* SPDX-License-Identifier: MIT */
/*
 * IGMP messages, which IP carries as protocol 2 (RFC 1112, 2236, 3376, 9776).
 *
 *	v1, v2          type · max response · checksum(2) · group(4)
 *	v3 query        … · S and QRV · QQIC · number of sources(2) · sources
 *	v3 report       0x22 · 0 · checksum(2) · 0(2) · number of records(2) · records
 *	a record        type · words of other data · number of sources(2) · group(4) · sources · …
 */
#pragma once

#include "base/bytes.h"

#define IGMP_ALL_SYSTEMS    0xe0000001 /* 224.0.0.1, in host order */
#define IGMP_ALL_ROUTERS    0xe0000002
#define IGMP_ALL_V3_ROUTERS 0xe0000016
#define IGMP_QUERY_HEAD	    12 /* bytes of a v3 query before its sources */

enum igmp_type {
	IGMP_QUERY = 0x11,
	IGMP_V1_REPORT = 0x12,
	IGMP_V2_REPORT = 0x16,
	IGMP_V2_LEAVE = 0x17,
	IGMP_V3_REPORT = 0x22,
};

enum igmp_record_type {
	IGMP_IS_IN = 1,
	IGMP_IS_EX,
	IGMP_TO_IN,
	IGMP_TO_EX,
	IGMP_ALLOW,
	IGMP_BLOCK,
};

/* The one fate of a message, and of a record in a report. */
enum igmp_drop {
	IGMP_ACCEPTED,
	IGMP_DROP_SHORT,	/* fewer than 8 bytes */
	IGMP_DROP_CHECKSUM,
	IGMP_DROP_LENGTH,	/* less than it says that there is; a query of 9 to 11 bytes */
	IGMP_DROP_TYPE,		/* of message or record, not known here */
	IGMP_DROP_PORT,		/* IGMP is off there, or the interface is down */
	IGMP_DROP_ROLE,		/* a report on the interface towards which we are a host */
	IGMP_DROP_TTL,		/* not 1 */
	IGMP_DROP_ROUTER_ALERT, /* without, where it is required */
	IGMP_DROP_RATE,
	IGMP_DROP_OWN,		/* came from ourselves */
	IGMP_DROP_SOURCE,	/* of a query, or where wanted of a report: not on this link */
	IGMP_DROP_VERSION,	/* what the version in use does not have */
	IGMP_DROP_GROUP,	/* not a group that is routed */
	IGMP_DROP_SSM,		/* any-source in a range for source-specific multicast */
	IGMP_DROP_FILTERED,	/* by the access list */
	IGMP_DROP_CAP_GROUPS,	/* no room for another group */
	IGMP_DROP__COUNT,
};

struct igmp_query {
	uint8_t version;
	struct ip4 group;     /* 0 = general */
	uint32_t response_ds; /* tenths of a second; 0 in v1 */
	bool suppress;	      /* the S flag: routers do not lower their timers */
	uint8_t robustness;   /* 0 = not said */
	uint32_t interval_s;  /* 0 = not said */
	uint16_t n_sources;
	struct rd sources;    /* of a query that was read */
};

struct igmp_record {
	uint8_t type;
	struct ip4 group;
	uint16_t n_sources;
	struct rd sources;
};

struct igmp_message {
	enum igmp_type type;
	struct ip4 group;	 /* v1, v2 */
	struct igmp_query query; /* IGMP_QUERY */
	uint16_t n_records;	 /* IGMP_V3_REPORT */
	struct rd records;
};

/*
 * Reads a message; the readers in `m` point into `data`. A report is read to its end, so that one
 * with a bad record has no effect at all. Otherwise one of the first drops.
 */
enum igmp_drop igmp_read(struct igmp_message *m, const void *data, size_t len);

/* The next record of a report that igmp_read() accepted; false at its end. */
bool igmp_record_read(struct rd *records, struct igmp_record *out);

/*
 * Writes a query in the format of its version, ready but for its `n_sources` sources, which come
 * next, and for the checksum, which igmp_seal() then writes.
 */
void igmp_query_write(struct wr *w, const struct igmp_query *q);
void igmp_seal(struct wr *w);

/* Codes of times: exact up to 127, then the next lower (RFC 3376 §4.1.1). */
#define IGMP_CODE_MAX 31744
uint32_t igmp_code_read(uint8_t code);
uint8_t igmp_code_write(uint32_t value);

const char *igmp_drop_name(enum igmp_drop d); /* "checksum" …; never NULL */
