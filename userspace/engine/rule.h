/* SPDX-License-Identifier: MIT */
/*
 * Relay rules as values. A ruleset is never edited in place: a change builds the next one from the
 * present one, checks it whole, and the difference of the two is what gets applied. So a refused
 * change has nothing to undo and a dry run is the difference alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/ip4.h"

#define RULE_MAX 10000         /* rules of one instance */
#define RULE_OUTPUTS_MAX 64    /* outputs of one rule */
#define RULE_ID_LEN 64         /* with its NUL */
#define RULE_NAME_LEN 64
#define IFNAME_LEN 16

enum rule_datapath { RULE_DP_AUTO, RULE_DP_XDP, RULE_DP_AFXDP, RULE_DP_AFPACKET, RULE_DP__COUNT };

enum ttl_policy { TTL_DEFAULT, TTL_FIXED, TTL_DECREMENT };
/* What a rule is for. A route is a rule without ports that the multicast routing table has made. */
enum rule_kind {
	RULE_RELAY, /* somebody has configured it */
	RULE_ROUTE, /* while nothing can be sent, it drops */
	RULE_GUARD, /* has no outputs: what it matches has its route on another interface */
};
enum source_policy { SOURCE_INTERFACE, SOURCE_PRESERVE, SOURCE_LITERAL };

/*
 * Where one copy goes. An empty interface means: unicast, by the kernel's routes. With register_to
 * it goes to that rendezvous point in a PIM Register (RFC 7761 §4.4.1), as it came; nothing else
 * counts then. Only routes have such outputs.
 */
struct rule_output {
	char interface[IFNAME_LEN];
	struct ip4 address;        /* group or unicast; 0 = the input's group */
	uint16_t port;             /* 0 = the port it came to */
	uint8_t ttl_policy, ttl;   /* enum ttl_policy; ttl with TTL_FIXED */
	uint8_t source_policy;     /* enum source_policy */
	int8_t dscp;               /* 0…63, −1 = keep */
	struct ip4 source;         /* with SOURCE_LITERAL */
	struct ip4 register_to, register_from;
};

struct rule {
	char id[RULE_ID_LEN];      /* given, or 16 hex digits of the match */
	char name[RULE_NAME_LEN];  /* may be empty; unique where not */
	char interface[IFNAME_LEN];
	struct ip4 group, source;  /* source 0 = any */
	uint16_t port;             /* 0 = any */
	uint8_t protocol;          /* IPPROTO_UDP or IPPROTO_ESP */
	uint8_t datapath;          /* enum rule_datapath, as asked for */
	uint8_t kind;              /* enum rule_kind */
	bool accept_ttl1;
	bool tells_sources;        /* of a route: of whom its packets come */
	uint16_t n_outputs;
	struct rule_output *outputs; /* owned by the ruleset */
};

struct ruleset {
	struct rule *rules;        /* in the order they were added */
	size_t n;
};

/* Fills an empty id with 16 hex digits hashed from interface, source, group, port and protocol. */
void rule_fill_id(struct rule *r);

/*
 * Checks one rule by itself: names, addresses, ports, limits, outputs onto the input interface
 * (E_LOOP), two outputs that would send the same copy to the same place (E_EXISTS). `where` is
 * the JSON path of the rule, such as "rules[3]"; the diag's path is below it. 0 or -EINVAL.
 */
int rule_check(const struct rule *r, const char *where, struct diag *d);

/*
 * Checks a ruleset as a whole: ids, names and matches unique (E_EXISTS), at most RULE_MAX rules
 * (E_LIMIT). Of two that clash the later one is to blame: `where` is rules[<its place>]. `index`
 * is scratch memory of at least 4 × n entries. 0 or -EINVAL, -E2BIG.
 */
int ruleset_check(const struct ruleset *set, uint32_t *index, size_t index_len, struct diag *d);

/* The group or host that an output sends to. */
struct ip4 rule_output_to(const struct rule *r, const struct rule_output *o);

const struct rule *ruleset_find_name(const struct ruleset *set, const char *name);

/* 1–15 letters, digits and . _ - that do not begin with digit, dash or dot. */
bool rule_is_interface_name(const char *name);

bool rule_same_match(const struct rule *a, const struct rule *b);
bool rule_equal(const struct rule *a, const struct rule *b); /* every field, outputs in order */

const char *rule_datapath_name(enum rule_datapath dp); /* as in the configuration */
