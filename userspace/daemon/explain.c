/* SPDX-License-Identifier: MIT */
/* The facts for engine/explain.h that the relay has; and what clients see of an explanation. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/commands.h"
#include "daemon/router.h"
#include "engine/explain.h"

/* --- which rule ------------------------------------------------------------------------------- */

static bool is_about(const struct rule *rule, const struct explain_facts *f)
{
	return rule->kind != RULE_GUARD && ip4_equal(rule->group, f->sg.group) &&
	       (!rule->source.net || ip4_equal(rule->source, f->sg.source)) &&
	       (!rule->port || !f->port || rule->port == f->port);
}

/* As the classifier looks for it: the most specific one. One that is active before one that waits.
 */
static unsigned rank(const struct live_rule *live)
{
	return (live->rule->source.net ? 8 : 0) + (live->rule->port ? 4 : 0) +
	       (live->is_programmed ? 2 : 0) + (live->origin == ORIGIN_STATIC ? 1 : 0);
}

/* From this interface; NULL: from any. */
static const struct live_rule *rule_for(const struct relay *r, const struct explain_facts *f,
					const char *interface)
{
	const struct live_rule *best = NULL;

	for (const struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (is_about(live->rule, f) &&
		    (!interface || strcmp(live->rule->interface, interface) == 0) &&
		    (!best || rank(live) > rank(best)))
			best = live;
	return best;
}

/* --- what it does ----------------------------------------------------------------------------- */

static void rule_drops(struct explain_rule *out, const struct ledger_output *copies)
{
	static const char *const names[] = {
#define X(name, text) #name,
		COPY_DROPS(X)
#undef X
	};
	unsigned most = 0;

	for (unsigned i = 0; i < COPY_DROP__COUNT; i++)
		if (copies->drop[i] > copies->drop[most])
			most = i;
	out->sent = copies->sent;
	out->dropped = account_copy_drops(copies);
	snprintf(out->drop, sizeof(out->drop), "%s", names[most]);
}

static void rule_counters(const struct relay *r, const struct live_rule *live,
			  struct explain_rule *out)
{
	const struct mcr_rule_stats *stats = &r->rule_stats[live->row];
	struct route_seen seen;
	struct row_sum sum;

	account_rule(r, live, &sum);
	account_route(r, live, &seen); /* these outlast a change of the rule */
	out->packets = seen.packets + seen.pruned;
	out->ttl = stats->ttl;
	out->loop = stats->loop;
	out->no_worker = stats->no_worker;
	out->checksum = stats->checksum;
	out->unfit = stats->unfit;
	out->wrong_iif = seen.wrong_iif;
	out->last_seen_ms = seen.last.us ? (loop_clock().us - seen.last.us) / 1000 : -1;
	rule_drops(out, &sum.copies);
}

static void rule_facts(const struct relay *r, const struct live_rule *live,
		       struct explain_rule *out)
{
	const char *reason = live->now.reason;

	out->is_there = true;
	out->is_static = live->origin == ORIGIN_STATIC;
	out->is_active = live->is_programmed;
	memcpy(out->id, live->rule->id, sizeof(out->id));
	memcpy(out->input, live->rule->interface, sizeof(out->input));
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
	out->accept_ttl1 = live->rule->accept_ttl1;
	out->datapath = live->is_programmed ? datapath_name(live->datapath) : NULL;
	memcpy(out->datapath_reason, live->datapath_reason, sizeof(out->datapath_reason));
	out->needs_worker = live->datapath == MCR_DP_AFXDP || live->datapath == MCR_DP_AFPACKET;
	out->has_worker = out->needs_worker && workers_are_ready(live->port, live->datapath);
	rule_counters(r, live, out);
}

/* --- where it comes in, and where it goes ----------------------------------------------------- */

static void interface_facts(struct relay *r, struct explain_facts *f)
{
	static const char *const modes[] = { "", "in native mode", "in generic mode" };
	const struct netif *ni = netif_by_name(r->netifs, f->input);
	const struct port *p = f->input[0] ? port_find(r, f->input) : NULL;

	f->input_is_there = ni;
	f->input_is_up = ni && ni->is_up;
	if (!p) {
		snprintf(f->classifier, sizeof(f->classifier), "no rule needs it");
		return;
	}
	f->has_classifier = p->is_attached;
	snprintf(f->classifier, sizeof(f->classifier), "%s",
		 p->is_attached ? modes[p->attached.mode] : p->attached.note);
}

static void output_facts(const struct relay *r, const struct live_rule *live, unsigned i,
			 struct explain_port *out)
{
	const struct rule_output *o = &live->rule->outputs[i];
	const struct resolved_output *now = &live->now.outputs[i];
	const struct netif *ni = netif_by_name(r->netifs, o->interface);

	*out = (struct explain_port){
		.is_output = true,
		.is_there = ni || !o->interface[0],
		.is_up = !o->interface[0] || (ni && ni->is_up),
	};
	memcpy(out->name, o->interface, sizeof(out->name));
	if (now->state != RESOLVE_ACTIVE)
		snprintf(out->reason, sizeof(out->reason), "%s", now->reason);
	else if (!out->is_up)
		snprintf(out->reason, sizeof(out->reason), "it is down");
}

/* True when a rule of the configuration decides. */
static bool relay_facts(struct relay *r, struct explain_facts *f, struct explain_port *ports)
{
	const struct live_rule *live = rule_for(r, f, f->in[0] ? f->in : NULL);

	if (live) {
		account_refresh_rule(r, live);
		rule_facts(r, live, &f->rule);
	} else if (f->in[0]) {
		live = rule_for(r, f, NULL);
		if (live && live->origin == ORIGIN_STATIC)
			memcpy(f->rule.input, live->rule->interface, sizeof(f->rule.input));
		return live && live->origin == ORIGIN_STATIC;
	}
	if (!live || live->origin != ORIGIN_STATIC)
		return false;
	for (unsigned i = 0; i < live->rule->n_outputs; i++)
		output_facts(r, live, i, &ports[i]);
	f->n_ports = live->rule->n_outputs;
	return true;
}

static void facts_collect(struct relay *r, struct explain_facts *f)
{
	static struct explain_port ports[EXPLAIN_PORTS_MAX];
	bool is_decided;

	f->ports = ports;
	f->has_router = r->router;
	is_decided = relay_facts(r, f, ports);
	if (f->has_router && !is_decided)
		explain_router(r->router, f, ports);
	memcpy(f->input, f->in[0] ? f->in : f->rule.input, sizeof(f->input));
	if (f->has_router && !is_decided)
		explain_router_input(r->router, f);
	interface_facts(r, f);
}

/* --- the request ------------------------------------------------------------------------------ */

static int param_address(const struct request *q, const char *key, struct ip4 *out, struct diag *d)
{
	char quoted[DIAG_QUOTE];
	const char *text;
	int err = param_text(q, key, true, &text, d);

	if (!err && ip4_parse(text, out))
		err = diag_set(d, -EINVAL, E_BAD_ADDR, key, "%s is no IPv4 address",
			       diag_quote(text, quoted));
	return err;
}

static int param_at_most(const struct request *q, const char *key, int64_t most, int64_t *out,
			 struct diag *d)
{
	int err = param_number(q, key, 0, 1, out, d);

	if (!err && *out > most)
		err = diag_set(d, -EINVAL, E_RANGE, key, "%s must be a whole number, 1 to %lld",
			       key, (long long)most);
	return err;
}

static int question_read(const struct request *q, struct explain_facts *f, struct diag *d)
{
	char quoted[DIAG_QUOTE];
	const char *name = NULL;
	int64_t port = 0, ttl = 0;
	int err = param_address(q, "source", &f->sg.source, d);

	if (!err)
		err = param_address(q, "group", &f->sg.group, d);
	if (!err)
		err = param_at_most(q, "port", UINT16_MAX, &port, d);
	if (!err)
		err = param_at_most(q, "ttl", UINT8_MAX, &ttl, d);
	if (!err)
		err = param_text(q, "interface", false, &name, d);
	if (!err && name && !rule_is_interface_name(name))
		err = diag_set(d, -EINVAL, E_IF_NAME, "interface", "%s is no interface name",
			       diag_quote(name, quoted));
	if (err)
		return err;
	f->port = (uint16_t)port;
	f->ttl = (uint8_t)ttl;
	if (name)
		memcpy(f->in, name, strlen(name) + 1);
	return 0;
}

int cmd_explain(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	static const char *const results[] = { "passes", "stops", "note" };
	static struct explain_facts f;
	static struct explanation e;
	cJSON *list;
	int err;

	f = (struct explain_facts){ 0 };
	err = question_read(q, &f, d);
	if (err)
		return err;
	facts_collect(r, &f);
	explain(&f, &e);
	cJSON_AddBoolToObject(reply, "forwarded", e.cause == EXPLAIN_forwarded);
	cJSON_AddStringToObject(reply, "cause", explain_cause_name(e.cause));
	cJSON_AddStringToObject(reply, "sentence", e.sentence);
	list = cJSON_AddArrayToObject(reply, "steps");
	for (unsigned i = 0; i < e.n_steps; i++) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "check", e.steps[i].check);
		cJSON_AddStringToObject(o, "result", results[e.steps[i].result]);
		cJSON_AddStringToObject(o, "text", e.steps[i].text);
		cJSON_AddItemToArray(list, o);
	}
	return 0;
}
