/* SPDX-License-Identifier: MIT */
/*
 * From what a rule says to what can be done now: names become interfaces, policies become header
 * fields. Pure: the same rule and the same view of the interfaces give the same answer, so the
 * answer is computed again whenever an interface changes and only differences are applied.
 */
#pragma once

#include "engine/rule.h"
#include "mcr/worker.h"

/* What has to be known of an interface. */
struct port_view {
	uint32_t ifindex, mtu;
	uint8_t mac[6];
	bool is_up, is_ethernet, is_loopback, has_udp_gso, has_qdisc, takes_redirects;
	struct ip4 address; /* primary, 0 = none */
};

/*
 * Looks a name up; false when there is no such interface. "" is the way that the kernel's routes
 * choose: of that only has_udp_gso is looked at, true when no device there segments in software.
 */
typedef bool (*port_find_fn)(const void *arg, const char *name, struct port_view *out);

enum resolve_state { RESOLVE_ACTIVE, RESOLVE_UNRESOLVED, RESOLVE_FAILED };

#define RESOLVE_REASON 120

struct resolved_output {
	enum resolve_state state;
	struct wm_output wire;	     /* without socket names and ledger row */
	uint32_t ifindex;	     /* 0 = by the kernel's routes */
	bool takes_redirects;	     /* of frames, by XDP */
	bool segments_in_hardware;   /* a send of many datagrams stays one, as far as we know */
	struct ip4 literal;	     /* source that the socket is bound to, 0 = none */
	char reason[RESOLVE_REASON]; /* "" when all is well */
};

struct resolved_rule {
	enum resolve_state state;
	struct mcr_rule_key key; /* valid when active */
	uint32_t mtu;		 /* of the input, as key */
	char reason[RESOLVE_REASON];
	uint16_t n_outputs;
	struct resolved_output *outputs; /* room for the rule's outputs, by the caller */
};

/*
 * A route whose outputs cannot be used is active all the same: it drops.
 * `multicast_ttl` is what TTL_DEFAULT means for a group; for a unicast output it means 64.
 */
void resolve_rule(const struct rule *rule, uint8_t multicast_ttl, port_find_fn find,
		  const void *arg, struct resolved_rule *out);

const char *resolve_state_name(enum resolve_state s); /* "active" … */
