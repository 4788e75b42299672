/* SPDX-License-Identifier: MIT */
/* From a route of the multicast routing table to a rule of the data path. */
#include <netinet/in.h>
#include <string.h>

#include "engine/mrib_impl.h"

void mrib_rule_id(struct sg sg, enum mrib_rule_kind kind, char id[RULE_ID_LEN])
{
	const char *prefix = kind == MRIB_RULE_GUARD ? "guard:" : "mroute:";
	char source[IP4_TEXT] = "*", group[IP4_TEXT];
	const char *parts[] = { prefix, source, ",", group };
	char *at = id;

	if (sg.source.net)
		ip4_format(sg.source, source);
	ip4_format(sg.group, group);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t len = strlen(parts[i]);

		memcpy(at, parts[i], len);
		at += len;
	}
	*at = '\0';
}

static void outputs_fill(const struct mrib *m, struct sg sg, struct mrib_rule *out)
{
	struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned n = mrib_outputs(m, sg, outs);

	for (unsigned i = 0; i < n; i++) {
		struct rule_output *o = &out->outputs[out->rule.n_outputs];

		out->n_beyond += outs[i].why == MRIB_OUT_limit;
		if (outs[i].why != MRIB_OUT_forwards)
			continue;
		*o = (struct rule_output){
			.ttl_policy = TTL_DECREMENT,
			.source_policy = SOURCE_PRESERVE,
			.dscp = -1,
		};
		memcpy(o->interface, mrib_port_of(m, outs[i].port)->name, sizeof(o->interface));
		out->ttl_threshold[out->rule.n_outputs++] = outs[i].ttl_threshold;
	}
}

static void register_fill(const struct mrib *m, struct sg sg, struct mrib_rule *out)
{
	struct mrib_route r;

	if (!mrib_find(m, sg, &r) || !r.register_to.net)
		return;
	if (out->rule.n_outputs == RULE_OUTPUTS_MAX) {
		out->n_beyond++;
		return;
	}
	out->outputs[out->rule.n_outputs++] = (struct rule_output){
		.register_to = r.register_to,
		.register_from = r.register_from,
	};
}

/* Where the rule takes its packets from: MRIB_NO_PORT when there is nothing to take. */
static uint16_t input_for(const struct mrib *m, struct sg sg, enum mrib_rule_kind kind)
{
	const struct sg star_sg = { .group = sg.group };
	struct mrib_route own, star;

	if (!mrib_find(m, sg, &own))
		return MRIB_NO_PORT;
	if (kind == MRIB_RULE_MAIN)
		return own.input;
	if (!sg.source.net || own.is_shared || own.input == MRIB_NO_PORT ||
	    !mrib_find(m, star_sg, &star) || star.input == own.input)
		return MRIB_NO_PORT;
	return star.input;
}

bool mrib_rule(const struct mrib *m, struct sg sg, enum mrib_rule_kind kind, struct mrib_rule *out)
{
	const struct mrib_port *input = mrib_port_of(m, input_for(m, sg, kind));
	struct mrib_route route;

	memset(out, 0, sizeof(*out));
	mrib_rule_id(sg, kind, out->rule.id);
	if (!input)
		return false;
	out->rule.group = sg.group;
	out->rule.source = sg.source;
	out->rule.protocol = IPPROTO_UDP;
	out->rule.tells_sources = !sg.source.net || (kind == MRIB_RULE_MAIN &&
						     mrib_find(m, sg, &route) && route.tells);
	out->rule.kind = kind == MRIB_RULE_GUARD ? RULE_GUARD : RULE_ROUTE;
	out->rule.outputs = out->outputs;
	memcpy(out->rule.interface, input->name, sizeof(out->rule.interface));
	if (kind == MRIB_RULE_MAIN && mrib_may_pass(m, input_for(m, sg, kind), sg.group)) {
		outputs_fill(m, sg, out);
		register_fill(m, sg, out);
	}
	/* A group that nobody wants needs no rule; a source does, to be told from its group. */
	return sg.source.net || out->rule.n_outputs;
}
