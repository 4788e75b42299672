/* SPDX-License-Identifier: MIT */
/* Why the multicast routing table forwards a packet or does not: one decision, step by step. */
#pragma once

#include "engine/mrib.h"
#include "engine/rpf.h"

#define MRIB_REASONS(X)                                                                            \
	X(forwarded, "forwarded")                                                                  \
	X(not_routed, "not a group that is routed")                                                \
	X(limit, "a limit was reached when somebody asked for it")                              \
	X(no_route, "nobody has asked for it, and no rule knows it")                               \
	X(rpf_failed, "there is no way back to the source")                                        \
	X(no_input, "no input interface is known for it")                                          \
	X(wrong_input, "it came in on another interface than it has to")                           \
	X(input_gone, "its input interface is not there")                                          \
	X(boundary, "a boundary for the group is there")                                           \
	X(ttl, "it arrived with TTL 1 or less")                                                    \
	X(no_receiver, "there is no receiver")                                                     \
	X(assert_lost, "another router forwards it: the assert was lost")                          \
	X(pruned, "all receivers of the group have pruned this source")                            \
	X(only_input, "the only receivers are where it comes from")                                \
	X(boundary_out, "a boundary keeps it from all receivers")                                  \
	X(ttl_threshold, "its TTL is too low for the thresholds towards all receivers")            \
	X(output_gone, "the interfaces of all receivers are gone")

enum mrib_reason {
#define X(name, text) MRIB_R_##name,
	MRIB_REASONS(X)
#undef X
		MRIB_R__COUNT,
};

struct mrib_packet {
	struct sg sg;
	uint16_t port; /* where it comes in; MRIB_NO_PORT: where it has to */
	uint8_t ttl;   /* as it arrives */
};

struct mrib_explanation {
	enum mrib_reason reason;
	bool has_route;
	struct mrib_route route; /* the one that decides: (S,G), else (*,G) */
	enum rpf_why rpf;        /* with rpf_failed */
	unsigned n_outs;         /* in outs: the decision for each port */
	struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned count[MRIB_OUT__COUNT]; /* of outs, by what becomes of them */
	unsigned n_below_ttl;    /* would be forwarded to, but for its threshold */
};

/* `rpf`: what a look-up of the source says, or NULL. */
enum mrib_reason mrib_explain(const struct mrib *m, const struct mrib_packet *p,
			      const struct rpf_answer *rpf, struct mrib_explanation *out);

const char *mrib_reason_text(enum mrib_reason r);
