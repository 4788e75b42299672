/* SPDX-License-Identifier: MIT */
/*
 * The walk. Each decision says what it finds; the first that stops the packets is the cause, and
 * the walk goes on, as what follows may be wrong, too.
 */
#include "engine/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A source that has sent nothing for so long has ended, or is not heard. */
#define SILENT_MS 10000

struct walk {
	const struct explain_facts *f;
	struct explanation *out;
	unsigned n_forwards; /* outputs that get it */
	bool is_decided;     /* there is a cause */
};

const char *explain_cause_name(enum explain_cause c)
{
	static const char *const names[EXPLAIN__COUNT] = {
#define X(name, text) #name,
		EXPLAIN_CAUSES(X)
#undef X
	};

	return names[c];
}

/* --- saying it -------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 0))) static void
say(struct walk *w, const char *check, enum explain_result result, const char *fmt, va_list ap)
{
	struct explanation *e = w->out;
	struct explain_step *s = &e->steps[e->n_steps];

	if (e->n_steps == EXPLAIN_STEPS_MAX)
		return;
	e->n_steps++;
	s->check = check;
	s->result = result;
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
}

__attribute__((format(printf, 3, 4))) static void passes(struct walk *w, const char *check,
							 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(w, check, EXPLAIN_PASSES, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void notes(struct walk *w, const char *check,
							const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(w, check, EXPLAIN_NOTES, fmt, ap);
	va_end(ap);
}

static void decide(struct walk *w, enum explain_cause cause, const char *sentence)
{
	if (w->is_decided)
		return;
	w->is_decided = true;
	w->out->cause = cause;
	snprintf(w->out->sentence, sizeof(w->out->sentence), "%s", sentence);
}

/* The step says why, and when it is the first that stops it the last sentence says the same. */
__attribute__((format(printf, 4, 5))) static void
stops(struct walk *w, const char *check, enum explain_cause cause, const char *fmt, ...)
{
	char sentence[EXPLAIN_TEXT];
	va_list ap;

	va_start(ap, fmt);
	say(w, check, EXPLAIN_STOPS, fmt, ap);
	va_end(ap);
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	decide(w, cause, sentence);
}

/* --- what it is, and where it comes in -------------------------------------------------------- */

static void walk_group(struct walk *w)
{
	const struct explain_facts *f = w->f;
	char source[IP4_TEXT], group[IP4_TEXT];

	ip4_format(f->sg.group, group);
	ip4_format(f->sg.source, source);
	if (!ip4_is_unicast(f->sg.source))
		stops(w, "group", EXPLAIN_link_local, "%s is not the address of a source", source);
	else if (ip4_is_linklocal_group(f->sg.group))
		stops(w, "group", EXPLAIN_link_local, "%s is for its link only and never leaves it",
		      group);
	else if (!ip4_is_multicast(f->sg.group))
		notes(w, "group", "%s is a unicast address: only a rule can relay it", group);
	else
		passes(w, "group", "%s is a group that may be forwarded%s", group,
		       f->pim.is_ssm ? ", and source-specific" : "");
}

static void walk_input(struct walk *w)
{
	const struct explain_facts *f = w->f;
	const char *how = f->in[0] ? "it comes in at" : "it has to come in at";

	if (!f->input[0]) {
		notes(w, "input", "where it comes in is not known");
		return;
	}
	if (!f->input_is_there)
		stops(w, "input", EXPLAIN_interface_down, "%s %s, which is not there", how,
		      f->input);
	else if (!f->input_is_up)
		stops(w, "input", EXPLAIN_interface_down, "%s %s, which is down", how, f->input);
	else
		passes(w, "input", "%s %s, which is up", how, f->input);
	if (f->input_is_there)
		notes(w, "classifier", "%s: %s%s", f->input,
		      f->has_classifier ? "the classifier is there, " : "no classifier, ",
		      f->classifier);
}

/* --- by a static rule ------------------------------------------------------------------------- */

static void relay_outputs(struct walk *w)
{
	const struct explain_facts *f = w->f;
	const struct explain_port *bad = NULL;

	for (unsigned i = 0; i < f->n_ports; i++) {
		const struct explain_port *p = &f->ports[i];
		const char *name = p->name[0] ? p->name : "the kernel's routes";

		if (!p->is_output)
			continue;
		if (!p->reason[0]) {
			w->n_forwards++;
			passes(w, "output", "sent to %s", name);
			continue;
		}
		bad = p;
		notes(w, "output", "not sent to %s: %s", name, p->reason);
	}
	if (bad && !w->n_forwards)
		stops(w, "output",
		      bad->is_up && bad->is_there ? EXPLAIN_rule_inactive : EXPLAIN_interface_down,
		      "none of its outputs can be used; %s: %s", bad->name, bad->reason);
}

static void walk_ttl(struct walk *w)
{
	const struct explain_facts *f = w->f;
	const struct explain_rule *r = &f->rule;

	if (r->is_static && r->accept_ttl1)
		passes(w, "ttl", "its rule accepts any TTL");
	else if (f->ttl == 1)
		stops(w, "ttl", EXPLAIN_ttl, "it arrives with TTL 1, and would leave with 0");
	else if (f->ttl)
		passes(w, "ttl", "TTL %u is enough", f->ttl);
	else if (r->ttl && !r->packets)
		stops(w, "ttl", EXPLAIN_ttl,
		      "all %llu packets that came arrived with TTL 1: the sender has to raise it",
		      (unsigned long long)r->ttl);
	else if (r->ttl)
		notes(w, "ttl", "%llu packets arrived with TTL 1", (unsigned long long)r->ttl);
}

static void walk_relay(struct walk *w)
{
	const struct explain_rule *r = &w->f->rule;

	if (r->is_active)
		passes(w, "rule", "rule %s matches, from %s", r->id, r->input);
	else
		stops(w, "rule", EXPLAIN_rule_inactive, "rule %s matches, but %s", r->id,
		      r->reason);
	walk_ttl(w);
	relay_outputs(w);
}

/* --- by a route ------------------------------------------------------------------------------- */

static enum explain_cause rpf_cause(enum rpf_why why)
{
	switch (why) {
	case RPF_port_down:
		return EXPLAIN_interface_down;
	case RPF_no_neighbour:
	case RPF_ok:
	case RPF_not_unicast:
	case RPF_ours:
	case RPF_no_route:
	case RPF_blackhole:
	case RPF_unreachable:
	case RPF_prohibit:
	case RPF_no_port:
	case RPF_unresolved:
	case RPF__COUNT:
		break;
	}
	return EXPLAIN_no_route;
}

static void walk_route(struct walk *w)
{
	const struct explain_facts *f = w->f;
	char group[IP4_TEXT], source[IP4_TEXT] = "*";

	if (!f->has_route) {
		notes(w, "route", "there is no route, neither for the source nor for the group");
		return;
	}
	if (f->route.source.net)
		ip4_format(f->route.source, source);
	passes(w, "route", "the route (%s,%s) decides", source, ip4_format(f->route.group, group));
}

/* From where it has to come: by the route, or by the unicast routes. */
static void walk_rpf(struct walk *w)
{
	const struct explain_facts *f = w->f;
	char prefix[IP4_TEXT], hop[IP4_TEXT], source[IP4_TEXT];

	ip4_format(f->sg.source, source);
	if (f->rpf.why)
		notes(w, "unicast", "%s: %s", source, rpf_why_text(f->rpf.why));
	else
		notes(w, "unicast", "%s/%u leads to %s by %s%s%s",
		      ip4_format(f->rpf.prefix.addr, prefix), f->rpf.prefix.len, source,
		      f->rpf_input, f->rpf.next_hop.net ? ", next hop " : "",
		      f->rpf.next_hop.net ? ip4_format(f->rpf.next_hop, hop) : "");
	if (f->rpf.why == RPF_no_neighbour && (f->route.source.net || !f->route_input[0]))
		stops(w, "rpf", EXPLAIN_no_neighbor,
		      "%s is to be asked for it by %s, and is no PIM "
		      "router there",
		      ip4_format(f->rpf.next_hop, hop), f->rpf_input);
	else if (!f->route_input[0] && f->rpf.why && f->down_input[0])
		stops(w, "rpf", EXPLAIN_interface_down, "%s, where %s is, is down", f->down_input,
		      source);
	else if (!f->route_input[0] && f->rpf.why)
		stops(w, "rpf", rpf_cause(f->rpf.why), "no way back to %s: %s", source,
		      rpf_why_text(f->rpf.why));
	else if (f->in[0] && strcmp(f->in, f->route_input[0] ? f->route_input : f->rpf_input) != 0)
		stops(w, "rpf", EXPLAIN_rpf, "it comes in at %s, and has to come in at %s", f->in,
		      f->route_input[0] ? f->route_input : f->rpf_input);
	else
		passes(w, "rpf", "it comes in where it has to");
}

static void walk_boundary(struct walk *w)
{
	const struct explain_facts *f = w->f;
	char group[IP4_TEXT];

	if (f->input[0] && !f->input_is_routed)
		stops(w, "boundary", EXPLAIN_no_rule,
		      "no rule matches, and multicast is not routed on %s", f->input);
	else if (f->has_boundary)
		stops(w, "boundary", EXPLAIN_boundary, "a boundary on %s keeps %s from coming in",
		      f->input, ip4_format(f->sg.group, group));
}

/* What a port says of itself, besides whether it is sent to. */
static void port_wishes(const struct explain_port *p, char *text, size_t cap)
{
	snprintf(text, cap, "%s%s%s%s", p->is_static ? ", by a configured route" : "",
		 p->is_wanted ? ", hosts want it" : "",
		 p->is_excluded ? ", hosts refuse this source" : "",
		 p->is_joined ? ", routers have joined it" : "");
}

/* Why it is not sent there, the reason that says most first. False: nobody wants it there. */
static bool port_refuses(const struct walk *w, const struct explain_port *p,
			 enum explain_cause *cause, char *why, size_t cap)
{
	char addr[IP4_TEXT];
	bool is_asked = p->is_wanted || p->is_joined;

	if (p->is_assert_lost || (p->has_out && p->why == MRIB_OUT_blocked)) {
		*cause = EXPLAIN_assert_lost;
		snprintf(why, cap, "%s has won the assert there, and forwards it",
			 p->winner.net ? ip4_format(p->winner, addr) : "another router");
	} else if ((is_asked && p->has_boundary) || (p->has_out && p->why == MRIB_OUT_boundary)) {
		*cause = EXPLAIN_boundary;
		snprintf(why, cap, "%s", mrib_out_text(MRIB_OUT_boundary));
	} else if (is_asked && (!p->is_there || !p->is_up)) {
		*cause = EXPLAIN_interface_down;
		snprintf(why, cap, "it is %s", p->is_there ? "down" : "not there");
	} else if (p->is_pruned || p->is_excluded || (p->has_out && p->why == MRIB_OUT_pruned)) {
		*cause = EXPLAIN_pruned;
		snprintf(why, cap, "who wants the group there has pruned this source");
	} else if (p->is_wanted && p->dr.net && !p->is_dr) {
		*cause = EXPLAIN_not_dr;
		snprintf(why, cap, "hosts want it, and %s is the DR there and serves them",
			 ip4_format(p->dr, addr));
	} else if (p->has_out && p->why == MRIB_OUT_is_input) {
		*cause = EXPLAIN_only_input;
		snprintf(why, cap, "%s", mrib_out_text(p->why));
	} else if (p->has_out && w->f->ttl && w->f->ttl <= p->ttl_threshold) {
		*cause = EXPLAIN_ttl;
		snprintf(why, cap, "its threshold for the TTL is %u", p->ttl_threshold);
	} else if (p->has_out && p->why == MRIB_OUT_limit) {
		*cause = EXPLAIN_limit;
		snprintf(why, cap, "%s", mrib_out_text(p->why));
	} else {
		return false;
	}
	return true;
}

/* Of several reasons the one that is told: by this order, which is that of the causes. */
struct refusal {
	enum explain_cause cause;
	const struct explain_port *port;
	char why[EXPLAIN_TEXT];
};

static unsigned weight(enum explain_cause c)
{
	static const uint8_t weights[EXPLAIN__COUNT] = {
		[EXPLAIN_ttl] = 8,	   [EXPLAIN_interface_down] = 7, [EXPLAIN_boundary] = 6,
		[EXPLAIN_assert_lost] = 5, [EXPLAIN_pruned] = 4,	 [EXPLAIN_not_dr] = 3,
		[EXPLAIN_limit] = 2,	   [EXPLAIN_only_input] = 1,
	};

	return weights[c];
}

/* As soon as the first packet of a source on a network of ours is heard, it has a route. */
static bool will_be_sent(const struct walk *w, const struct explain_port *p)
{
	return w->f->pim.is_source_connected && !w->f->route.source.net &&
	       ((p->is_wanted && p->is_dr) || p->is_joined) && !p->has_boundary &&
	       !p->is_assert_lost && !p->is_excluded && strcmp(p->name, w->f->input) != 0;
}

static bool gets_it(const struct walk *w, const struct explain_port *p)
{
	bool is_told = p->has_out && p->why == MRIB_OUT_forwards;

	return (is_told || will_be_sent(w, p)) && p->is_there && p->is_up &&
	       (!w->f->ttl || w->f->ttl > p->ttl_threshold);
}

static void route_output(struct walk *w, const struct explain_port *p, unsigned *said,
			 struct refusal *worst)
{
	enum explain_cause cause = EXPLAIN_no_receiver;
	char wishes[96], why[160] = "";
	bool is_sent = gets_it(w, p);

	port_wishes(p, wishes, sizeof(wishes));
	if (!is_sent && port_refuses(w, p, &cause, why, sizeof(why)) &&
	    weight(cause) > weight(worst->cause)) {
		worst->cause = cause;
		worst->port = p;
		memcpy(worst->why, why, sizeof(why));
	}
	w->n_forwards += is_sent;
	if (!is_sent && !why[0] && !wishes[0])
		return;
	if (++*said > EXPLAIN_OUTPUTS)
		return;
	if (is_sent)
		passes(w, "output", "sent to %s%s", p->name, wishes);
	else
		notes(w, "output", "not sent to %s%s%s%s", p->name, why[0] ? ": " : "", why,
		      wishes);
}

/* A source on a network of ours is told to the RP, by the DR there. */
static void walk_register(struct walk *w, struct refusal *worst)
{
	const struct explain_pim *pim = &w->f->pim;
	char rp[IP4_TEXT], dr[IP4_TEXT];

	if (!pim->is_source_connected || pim->is_ssm || !pim->input_dr.net)
		return;
	if (!pim->is_input_dr) {
		notes(w, "register", "%s is the DR on %s and tells the RP of the source",
		      ip4_format(pim->input_dr, dr), w->f->input);
		if (weight(EXPLAIN_not_dr) > weight(worst->cause)) {
			worst->cause = EXPLAIN_not_dr;
			worst->port = NULL;
			snprintf(worst->why, sizeof(worst->why),
				 "%s is the DR on %s, and serves it", ip4_format(pim->input_dr, dr),
				 w->f->input);
		}
	} else if (pim->reg == EXPLAIN_REG_SENT) {
		passes(w, "register", "sent to the RP %s in Registers", ip4_format(pim->rp, rp));
		w->n_forwards++;
	} else if (pim->reg == EXPLAIN_REG_STOPPED) {
		notes(w, "register",
		      "the RP %s has stopped Registers: it gets the source by its "
		      "own tree, or nobody wants it",
		      ip4_format(pim->rp, rp));
	}
}

static bool is_anybody_interested(const struct explain_facts *f)
{
	for (unsigned i = 0; i < f->n_ports; i++)
		if (f->ports[i].is_wanted || f->ports[i].is_joined)
			return true;
	return false;
}

static const struct explain_port *full_port(const struct explain_facts *f)
{
	for (unsigned i = 0; i < f->n_ports; i++)
		if (f->ports[i].is_full)
			return &f->ports[i];
	return NULL;
}

/* Nothing is sent anywhere, and no output says why. */
static void walk_nobody(struct walk *w)
{
	const struct explain_facts *f = w->f;
	const struct explain_port *full = full_port(f);
	char group[IP4_TEXT];

	ip4_format(f->sg.group, group);
	if (f->is_refused)
		stops(w, "limit", EXPLAIN_limit,
		      "a limit of the multicast routing table was reached when somebody wanted it");
	else if (full)
		stops(w, "limit", EXPLAIN_limit,
		      "the limit of groups is reached on %s: who wants %s there is not heard",
		      full->name, group);
	else if (f->pim.limited && !f->rule.packets)
		stops(w, "register", EXPLAIN_rate_limited,
		      "%llu Registers of the source were more than the %u a second that are taken",
		      (unsigned long long)f->pim.limited, f->pim.limit);
	else
		stops(w, "output", EXPLAIN_no_receiver, "nobody wants %s", group);
}

/*
 * Without an RP a source and those who want it do not find each other: but for hosts beside a
 * source, and who has asked for the source itself.
 */
static bool needs_rp(const struct walk *w)
{
	const struct explain_facts *f = w->f;

	if (f->pim.is_source_connected)
		return !w->n_forwards;
	return is_anybody_interested(f) && !(f->route.source.net && w->n_forwards);
}

static void walk_rp(struct walk *w)
{
	const struct explain_facts *f = w->f;
	char rp[IP4_TEXT], group[IP4_TEXT];

	if (!f->pim.is_on || f->pim.is_ssm)
		return;
	ip4_format(f->sg.group, group);
	if (f->pim.rp.net)
		passes(w, "rp", "the RP of %s is %s%s", group, ip4_format(f->pim.rp, rp),
		       f->pim.is_rp ? ", this router" : "");
	else if (needs_rp(w))
		stops(w, "rp", EXPLAIN_no_rp,
		      "%s has no RP: sources and receivers do not find each other", group);
	else
		notes(w, "rp", "%s has no RP", group);
	if (f->pim.upstream.net)
		notes(w, "join", "%s is asked for it", ip4_format(f->pim.upstream, rp));
}

static void walk_outputs(struct walk *w)
{
	const struct explain_facts *f = w->f;
	struct refusal worst = { .cause = EXPLAIN_no_receiver };
	unsigned said = 0;

	for (unsigned i = 0; i < f->n_ports; i++)
		route_output(w, &f->ports[i], &said, &worst);
	if (said > EXPLAIN_OUTPUTS)
		notes(w, "output", "… and %u more", said - EXPLAIN_OUTPUTS);
	walk_register(w, &worst);
	walk_rp(w);
	if (f->pim.limited && w->n_forwards && !f->rule.packets)
		stops(w, "register", EXPLAIN_rate_limited,
		      "%llu Registers of the source were more than the %u a second that are taken",
		      (unsigned long long)f->pim.limited, f->pim.limit);
	if (w->n_forwards)
		return;
	if (!weight(worst.cause))
		walk_nobody(w);
	else if (worst.port)
		stops(w, "output", worst.cause, "%s: %s", worst.port->name, worst.why);
	else
		stops(w, "output", worst.cause, "%s", worst.why);
}

static void walk_router(struct walk *w)
{
	const struct explain_facts *f = w->f;

	if (!ip4_is_multicast(f->sg.group)) {
		stops(w, "rule", EXPLAIN_no_rule, "no rule matches");
		return;
	}
	walk_boundary(w);
	walk_route(w);
	walk_rpf(w);
	walk_ttl(w);
	walk_outputs(w);
	if (f->is_route_late)
		stops(w, "limit", EXPLAIN_limit,
		      "the data path has no room for the route; it is tried again each second");
}

/* --- in the data path ------------------------------------------------------------------------- */

static void walk_datapath(struct walk *w)
{
	const struct explain_rule *r = &w->f->rule;

	if (!r->is_there || !r->is_active || !r->datapath)
		return;
	passes(w, "datapath", "rule %s runs on %s: %s", r->id, r->datapath, r->datapath_reason);
	if (r->needs_worker && !r->has_worker)
		stops(w, "datapath", EXPLAIN_no_worker, "its worker on %s is not there", r->input);
}

static void count_note(struct walk *w, uint64_t n, const char *what)
{
	if (n)
		notes(w, "counters", "%llu packets %s", (unsigned long long)n, what);
}

/* What has really happened. */
static void walk_counters(struct walk *w)
{
	const struct explain_rule *r = &w->f->rule;

	if (!r->is_there)
		return;
	count_note(w, r->wrong_iif, "of it came in at other interfaces");
	count_note(w, r->checksum, "had wrong checksums");
	count_note(w, r->unfit, "were too long for the kernel to replicate");
	count_note(w, r->loop, "came from this host's own addresses");
	count_note(w, r->no_worker, "found no worker");
	if (r->packets && r->last_seen_ms >= 0)
		notes(w, "counters", "%llu packets were taken, the last %lld ms ago",
		      (unsigned long long)r->packets, (long long)r->last_seen_ms);
	if (r->sent || r->dropped)
		notes(w, "counters", "%llu copies were sent, %llu dropped",
		      (unsigned long long)r->sent, (unsigned long long)r->dropped);
	if (!r->packets && r->checksum + r->unfit)
		stops(w, "counters", EXPLAIN_malformed, "all packets that came were %s",
		      r->checksum ? "wrong by their checksums" : "too long");
	else if (!r->packets && r->wrong_iif && !w->f->in[0])
		stops(w, "counters", EXPLAIN_rpf,
		      "all %llu packets that came did not come in at %s",
		      (unsigned long long)r->wrong_iif, r->input);
	else if (r->packets && r->dropped && !r->sent)
		stops(w, "counters", EXPLAIN_output_drops, "all copies were dropped: %s", r->drop);
}

/* Nothing stops it: does it come? */
static void conclude(struct walk *w)
{
	const struct explain_rule *r = &w->f->rule;
	const char *input = w->f->input[0] ? w->f->input : "any interface";
	char text[EXPLAIN_TEXT];

	if (!r->packets && w->f->pim.reg != EXPLAIN_REG_SENT) {
		snprintf(text, sizeof(text), "no packet of it has come in at %s", input);
		decide(w, EXPLAIN_no_traffic, text);
		return;
	}
	if (r->packets && r->last_seen_ms >= SILENT_MS) {
		snprintf(text, sizeof(text), "no packet of it has come in at %s for %lld s", input,
			 (long long)(r->last_seen_ms / 1000));
		decide(w, EXPLAIN_no_traffic, text);
		return;
	}
	snprintf(text, sizeof(text), "to %u output%s", w->n_forwards,
		 w->n_forwards == 1 ? "" : "s");
	decide(w, EXPLAIN_forwarded, text);
}

/* "Not forwarded: … ." of what has been decided. */
static void finish(struct explanation *e)
{
	static const char *const openings[] = {
		[EXPLAIN_forwarded] = "Forwarded",
		[EXPLAIN_no_traffic] = "Ready to be forwarded, but",
	};
	const char *opening =
		e->cause <= EXPLAIN_no_traffic ? openings[e->cause] : "Not forwarded:";
	char text[EXPLAIN_TEXT];

	snprintf(text, sizeof(text), "%s", e->sentence);
	snprintf(e->sentence, sizeof(e->sentence), "%s %.230s.", opening, text);
}

void explain(const struct explain_facts *f, struct explanation *out)
{
	struct walk w = { .f = f, .out = out };

	*out = (struct explanation){ 0 };
	walk_group(&w);
	walk_input(&w);
	if (f->rule.is_there && f->rule.is_static)
		walk_relay(&w);
	else if (f->rule.input[0] && !f->rule.is_there)
		stops(&w, "rule", EXPLAIN_wrong_input, "a rule takes it from %s, and none from %s",
		      f->rule.input, f->in);
	else if (!f->has_router)
		stops(&w, "rule", EXPLAIN_no_rule, "no rule matches, and nothing is routed");
	else
		walk_router(&w);
	walk_datapath(&w);
	walk_counters(&w);
	conclude(&w);
	finish(out);
}
