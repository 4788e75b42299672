/* SPDX-License-Identifier: MIT */
/*
 * Messages of PIM version 2 for IPv4 (RFC 7761 §4.9, RFC 5059 §4) as structs. A message is what
 * follows the IP header. Readers take the rest of a message after pim_open(); each looks at the
 * whole of its message before it accepts, so that a message is taken whole or not at all.
 * Writers begin a message with pim_begin() and end it with pim_end().
 *
 *	 0                   1                   2                   3
 *	+-------+-------+---------------+-------------------------------+
 *	|  2    | type  |   reserved    |           checksum            |
 *	+-------+-------+---------------+-------------------------------+
 */
#pragma once

#include "base/bytes.h"

#define PIM_HEADER	 4
#define PIM_REGISTER_LEN 8 /* header and flags of a Register, which its checksum covers */
#define PIM_FOREVER	 0xffff
#define PIM_INNER	 20 /* the IP header in a Null-Register */

enum pim_type {
	PIM_HELLO,
	PIM_REGISTER,
	PIM_REGISTER_STOP,
	PIM_JOIN_PRUNE,
	PIM_BOOTSTRAP,
	PIM_ASSERT,
	PIM_CANDIDATE_RP = 8,
};

/* Why a message was not taken; each has a counter. The second half is for engines to say. */
enum pim_drop {
	PIM_OK,
	PIM_DROP_SHORT,	       /* ends within a field, or a count says more than there is */
	PIM_DROP_VERSION,      /* not 2 */
	PIM_DROP_CHECKSUM,
	PIM_DROP_TYPE,	       /* none that is known here */
	PIM_DROP_ENCODING,     /* address family or encoding that is not native IPv4 */
	PIM_DROP_ADDRESS,      /* group where a host is due, or the other way round */
	PIM_DROP_MASK,	       /* longer than 32 bits */
	PIM_DROP_OPTION,       /* a Hello option of another length than it has to have */
	PIM_DROP_INNER,	       /* a Register around something that is no IP packet to a group */
	PIM_DROP_INNER_CHECKSUM,
	PIM_DROP_PORT,	       /* PIM is off there, or the interface is down */
	PIM_DROP_OWN,	       /* our own message came back */
	PIM_DROP_SOURCE,       /* of an address that no router can have there */
	PIM_DROP_DESTINATION,  /* not ALL-PIM-ROUTERS, or not this host */
	PIM_DROP_TTL,	       /* a message for the link that did not come from it */
	PIM_DROP_FILTERED,     /* by a list of allowed neighbours, sources or RPs */
	PIM_DROP_NO_NEIGHBOR,  /* from a router that has not said Hello */
	PIM_DROP_CAP,	       /* a table is full */
	PIM_DROP_RATE,
	PIM_DROP_SSM,	       /* what has no meaning for source-specific groups */
	PIM_DROP_RPF,	       /* a Bootstrap from elsewhere than the way to its BSR */
	PIM_DROP_SCOPE,	       /* a Bootstrap of a zone, which are not supported */
	PIM_DROP_STALE,	       /* a Bootstrap or an Advertisement of no use to us now */
	PIM_DROP_N
};

const char *pim_drop_name(enum pim_drop d); /* "short" … */

/* In an encoded group. */
enum { PIM_GROUP_BIDIR = 0x80, PIM_GROUP_ZONE = 0x01 };

/* In an encoded source. */
enum { PIM_SPARSE = 0x04, PIM_WILDCARD = 0x02, PIM_RPT = 0x01 };

/*
 * Checks version and checksum; `msg` is the message and is left after its header. A Register's
 * checksum may cover its first 8 bytes (RFC 7761 §4.9) or all of it (older routers).
 */
enum pim_drop pim_open(struct rd *msg, enum pim_type *type, uint8_t *reserved);

void pim_begin(struct wr *w, enum pim_type type, uint8_t reserved);
void pim_end(struct wr *w); /* fills the checksum in */

/* Encoded addresses. Readers that find another encoding set *d, which is PIM_OK to begin with. */
struct ip4 pim_unicast_read(struct rd *r, enum pim_drop *d);
struct ip4_prefix pim_group_read(struct rd *r, uint8_t *flags, enum pim_drop *d);
struct ip4_prefix pim_source_read(struct rd *r, uint8_t *flags, enum pim_drop *d);
void pim_unicast_write(struct wr *w, struct ip4 a);
void pim_group_write(struct wr *w, struct ip4_prefix group, uint8_t flags);
void pim_source_write(struct wr *w, struct ip4 source, uint8_t flags);

/* --- Hello (§4.9.2) --------------------------------------------------------------------------- */

#define PIM_SECONDARIES 16 /* more are not looked at */

struct pim_hello {
	uint16_t holdtime; /* s; PIM_HELLO_HOLDTIME when there was none */
	bool has_lan_delay, can_track, has_dr_priority, has_gen_id;
	uint16_t propagation_ms, override_ms;
	uint32_t dr_priority, gen_id;
	uint8_t n_secondaries;
	struct ip4 secondaries[PIM_SECONDARIES];
};

#define PIM_HELLO_HOLDTIME 105

enum pim_drop pim_hello_read(struct rd *r, struct pim_hello *h);
void pim_hello_write(struct wr *w, const struct pim_hello *h); /* a whole message */

/* --- Join/Prune (§4.9.5) ---------------------------------------------------------------------- */

struct pim_jp {
	struct ip4 upstream;
	uint8_t n_groups;
	uint16_t holdtime;
	struct rd groups; /* for pim_jp_group() */
};

struct pim_jp_group {
	struct ip4_prefix group;
	uint16_t n_joins, n_prunes;
	struct rd sources; /* for pim_jp_source(): joins, then prunes */
};

struct pim_jp_source {
	struct ip4_prefix source;
	uint8_t flags; /* PIM_SPARSE … */
	bool is_join;
};

enum pim_drop pim_jp_read(struct rd *r, struct pim_jp *jp);

/* The next of the message's groups, the next of a group's sources; false when there is none. */
bool pim_jp_group(struct pim_jp *jp, struct pim_jp_group *g);
bool pim_jp_source(struct pim_jp_group *g, struct pim_jp_source *s);

#define PIM_JP_HEAD   14 /* up to the first group */
#define PIM_JP_GROUP  12 /* a group before its sources */
#define PIM_JP_SOURCE 8
#define PIM_JP_GROUPS 255 /* in one message */

void pim_jp_begin(struct wr *w, struct ip4 upstream, uint16_t holdtime);
void pim_jp_group_write(struct wr *w, struct ip4 group, uint16_t n_joins, uint16_t n_prunes);
void pim_jp_end(struct wr *w, uint8_t n_groups);

/* --- Register, Register-Stop (§4.9.3, §4.9.4) ------------------------------------------------- */

struct pim_register {
	bool is_null;
	struct ip4 source, group; /* of the packet inside */
	const uint8_t *inner;
	uint16_t inner_len;
};

/* `r` must be what pim_open() left, since `inner` points into it. */
enum pim_drop pim_register_read(struct rd *r, struct pim_register *reg);
void pim_null_register_write(struct wr *w, struct sg sg);

struct pim_register_stop {
	struct ip4_prefix group;
	struct ip4 source; /* 0 = every source of the group */
};

enum pim_drop pim_register_stop_read(struct rd *r, struct pim_register_stop *stop);
void pim_register_stop_write(struct wr *w, struct sg sg);

/* --- Assert (§4.9.6) -------------------------------------------------------------------------- */

#define PIM_ASSERT_INFINITE 0x7fffffffu

struct pim_assert {
	struct sg sg; /* source 0 for a (*,G) assert, which has is_rpt as well */
	bool is_rpt;
	uint32_t preference, metric;
};

enum pim_drop pim_assert_read(struct rd *r, struct pim_assert *a);
void pim_assert_write(struct wr *w, const struct pim_assert *a);

/* --- Bootstrap, Candidate-RP-Advertisement (RFC 5059 §4) -------------------------------------- */

#define PIM_NO_FORWARD	  0x80 /* in a Bootstrap's reserved byte */
#define PIM_HASH_MASK	  30
#define PIM_CRP_PREFIXES  32 /* in one Advertisement; more are not looked at */

struct pim_bsm {
	uint16_t tag;
	uint8_t hash_mask, priority;
	struct ip4 bsr;
	struct rd ranges; /* for pim_bsm_range() */
};

struct pim_bsm_range {
	struct ip4_prefix group;
	uint8_t flags;	   /* PIM_GROUP_ZONE … */
	uint8_t n_rps, n_here; /* of the range, and of those the ones in this fragment */
	struct rd rps;
};

struct pim_bsm_rp {
	struct ip4 rp;
	uint16_t holdtime;
	uint8_t priority;
};

enum pim_drop pim_bsm_read(struct rd *r, struct pim_bsm *b);
bool pim_bsm_range(struct pim_bsm *b, struct pim_bsm_range *g);
bool pim_bsm_rp(struct pim_bsm_range *g, struct pim_bsm_rp *rp);

#define PIM_BSM_HEAD  14
#define PIM_BSM_RANGE 12
#define PIM_BSM_RP    10

void pim_bsm_begin(struct wr *w, const struct pim_bsm *b, uint8_t reserved);
void pim_bsm_range_write(struct wr *w, struct ip4_prefix group, uint8_t n_rps, uint8_t n_here);
void pim_bsm_rp_write(struct wr *w, const struct pim_bsm_rp *rp);

struct pim_crp_adv {
	uint8_t priority, n_groups;
	uint16_t holdtime;
	struct ip4 rp;
	struct ip4_prefix groups[PIM_CRP_PREFIXES]; /* none = 224.0.0.0/4 */
};

enum pim_drop pim_crp_adv_read(struct rd *r, struct pim_crp_adv *c);
void pim_crp_adv_write(struct wr *w, const struct pim_crp_adv *c);
