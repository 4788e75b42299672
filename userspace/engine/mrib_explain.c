/* SPDX-License-Identifier: MIT */
/* Explaining a decision of the multicast routing table. */
#include "engine/mrib_explain.h"

#include "engine/mrib_impl.h"

const char *mrib_reason_text(enum mrib_reason r)
{
	static const char *const texts[MRIB_R__COUNT] = {
#define X(name, text) text,
		MRIB_REASONS(X)
#undef X
	};

	return (unsigned)r < MRIB_R__COUNT ? texts[r] : "unknown";
}

/* Is there a way in? MRIB_R_forwarded: yes. */
static enum mrib_reason explain_input(const struct mrib *m, const struct mrib_packet *p,
				      const struct rpf_answer *rpf, struct mrib_explanation *e)
{
	const struct sg star = { .group = p->sg.group };

	if (!ip4_is_multicast(p->sg.group) || ip4_is_linklocal_group(p->sg.group) ||
	    !ip4_is_unicast(p->sg.source))
		return MRIB_R_not_routed;
	e->has_route = mrib_find(m, p->sg, &e->route) || mrib_find(m, star, &e->route);
	if (!e->has_route)
		return mrib_was_refused(m, p->sg) ? MRIB_R_limit : MRIB_R_no_route;
	if (e->route.input == MRIB_NO_PORT && rpf && rpf->why) {
		e->rpf = rpf->why;
		return MRIB_R_rpf_failed;
	}
	if (e->route.input == MRIB_NO_PORT)
		return MRIB_R_no_input;
	if (p->port != MRIB_NO_PORT && p->port != e->route.input)
		return MRIB_R_wrong_input;
	if (!mrib_port_of(m, e->route.input))
		return MRIB_R_input_gone;
	if (!mrib_may_pass(m, e->route.input, p->sg.group))
		return MRIB_R_boundary;
	return p->ttl <= 1 ? MRIB_R_ttl : MRIB_R_forwarded;
}

/* Of all that keeps it from every output, what says most. */
static enum mrib_reason explain_outputs(const struct mrib *m, const struct mrib_packet *p,
					const struct mrib_explanation *e)
{
	static const struct {
		enum mrib_out_why out;
		enum mrib_reason reason;
	} telling[] = {
		{ MRIB_OUT_blocked, MRIB_R_assert_lost },
		{ MRIB_OUT_boundary, MRIB_R_boundary_out },
		{ MRIB_OUT_no_port, MRIB_R_output_gone },
		{ MRIB_OUT_pruned, MRIB_R_pruned },
		{ MRIB_OUT_is_input, MRIB_R_only_input },
	};

	if (e->count[MRIB_OUT_forwards] > e->n_below_ttl)
		return MRIB_R_forwarded;
	if (e->n_below_ttl)
		return MRIB_R_ttl_threshold;
	for (unsigned i = 0; i < sizeof(telling) / sizeof(telling[0]); i++)
		if (e->count[telling[i].out])
			return telling[i].reason;
	return mrib_was_refused(m, p->sg) ? MRIB_R_limit : MRIB_R_no_receiver;
}

enum mrib_reason mrib_explain(const struct mrib *m, const struct mrib_packet *p,
			      const struct rpf_answer *rpf, struct mrib_explanation *out)
{
	*out = (struct mrib_explanation){ 0 };
	out->reason = explain_input(m, p, rpf, out);
	if (!out->has_route)
		return out->reason;
	out->n_outs = mrib_outputs(m, p->sg, out->outs);
	for (unsigned i = 0; i < out->n_outs; i++) {
		const struct mrib_out *o = &out->outs[i];

		out->count[o->why]++;
		out->n_below_ttl += o->why == MRIB_OUT_forwards && p->ttl <= o->ttl_threshold;
	}
	if (out->reason == MRIB_R_forwarded)
		out->reason = explain_outputs(m, p, out);
	return out->reason;
}
