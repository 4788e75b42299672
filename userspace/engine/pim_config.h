/* SPDX-License-Identifier: MIT */
/* What PIM is told of itself and of each of its ports. */
#pragma once

#include <stdbool.h>

#include "base/ip4.h"

#define PIM_ACL_MAX    16
#define PIM_STATIC_RPS 64
#define PIM_LOCALS     8
#define PIM_SSM_RANGES 8
#define PIM_CRP_RANGES 8

/* A list of prefixes, the first that matches decides, none refuses; an empty list permits all. */
struct pim_acl {
	uint8_t n;
	struct {
		struct ip4_prefix prefix;
		bool is_permitted;
	} entries[PIM_ACL_MAX];
};

enum pim_spt { PIM_SPT_IMMEDIATE, PIM_SPT_THRESHOLD, PIM_SPT_NEVER };

/* The longest range decides; of equal ones the first that has a way to its RP. */
struct pim_static_rp {
	struct ip4_prefix range;
	struct ip4 rp;
};

struct pim_candidate_bsr {
	bool is_enabled;
	struct ip4 address;
	uint8_t priority, hash_mask;
};

struct pim_candidate_rp {
	bool is_enabled;
	struct ip4 address;
	uint8_t priority, n_ranges; /* no ranges = 224.0.0.0/4 */
	struct ip4_prefix ranges[PIM_CRP_RANGES];
};

/* Where a unicast address is reached. */
struct pim_rpf {
	uint32_t port;
	bool is_connected;   /* on the port's own network */
	struct ip4 next_hop; /* 0 on a connected network, or on a link without addresses */
	uint32_t preference, metric;
};

/* False: there is no way. Asked again and again, so it should be quick; it may change any time. */
typedef bool (*pim_rpf_fn)(const void *arg, struct ip4 to, struct pim_rpf *out);

struct pim_config {
	/* Sizes of the tables; what does not fit is refused and counted. */
	uint32_t ports, neighbors, neighbors_per_port, routes, branches, bsr_rps;
	uint64_t seed;
	pim_rpf_fn rpf;
	const void *rpf_arg;

	uint32_t triggered_hello_ms, jp_period_ms, keepalive_ms;
	uint32_t register_suppression_ms, register_probe_ms, assert_ms, assert_override_ms;
	enum pim_spt spt;
	uint32_t spt_threshold_kbps;
	uint32_t registers_per_source, registers; /* a second, taken in as RP */
	struct pim_acl register_sources;
	uint8_t n_locals, n_ssm, n_static_rps;
	struct ip4 locals[PIM_LOCALS]; /* own addresses that are on no port, such as lo's */
	struct ip4_prefix ssm[PIM_SSM_RANGES];
	struct pim_static_rp static_rps[PIM_STATIC_RPS];
	bool bsr_overrides_static; /* of equally long ranges */
	uint32_t bsr_period_ms, crp_period_ms;
	struct pim_candidate_bsr candidate_bsr;
	struct pim_candidate_rp candidate_rp;
};

/* RFC 7761's and RFC 5059's values, and tables of moderate size; `rpf` has to be set. */
void pim_config_default(struct pim_config *c);

struct pim_port_config {
	bool is_enabled;
	bool is_passive;     /* neither says nor hears Hello, and is always the DR: hosts only */
	bool is_border;	     /* sources behind it count as connected */
	bool hides_priority; /* sends no DR priority, as if it knew none */
	bool can_track;	     /* the T bit: no need for join suppression */
	uint32_t dr_priority;
	uint32_t hello_ms;
	uint16_t holdtime_s; /* 0 = 3.5 times hello_ms */
	uint16_t propagation_ms, override_ms;
	struct pim_acl neighbors; /* who may be one */
	struct pim_acl allow_rp;  /* RPs of others that joins may name; empty = none */
	struct pim_acl boundary;  /* groups that may pass */
};

void pim_port_config_default(struct pim_port_config *c); /* enabled */
