/* SPDX-License-Identifier: MIT */
/*
 * Transactions. The next configuration has been checked whole before it comes here; this file
 * finds the difference to the running one and makes it so: what is new or changed first, what is
 * gone last, so that traffic which both name does not stop. When the kernel refuses something,
 * everything is put back. The same code resolves rules again when interfaces change.
 */
#include <errno.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/router.h"
#include "edge/log.h"
#include "edge/statefile.h"

/* --- indices -----------------------------------------------------------------------------------
 */

static uint32_t hash_bytes(const void *p, size_t len)
{
	const uint8_t *at = p;
	uint32_t h = 2166136261u; /* FNV-1a */

	while (len--)
		h = (h ^ *at++) * 16777619u;
	return (h ^ h >> 15) % LIVE_BUCKETS;
}

struct live_rule *relay_find(const struct relay *r, const char *id)
{
	struct live_rule *live = r->live[hash_bytes(id, strlen(id))];

	while (live && strcmp(live->rule->id, id) != 0)
		live = live->next;
	return live;
}

struct live_rule *relay_next(const struct relay *r, const struct live_rule *after)
{
	uint32_t b = 0;

	if (after) {
		if (after->next)
			return after->next;
		b = hash_bytes(after->rule->id, strlen(after->rule->id)) + 1;
	}
	for (; b < LIVE_BUCKETS; b++)
		if (r->live[b])
			return r->live[b];
	return NULL;
}

static void live_insert(struct relay *r, struct live_rule *live)
{
	struct live_rule **b = &r->live[hash_bytes(live->rule->id, strlen(live->rule->id))];

	live->next = *b;
	*b = live;
	r->n_live++;
	r->n_routed += live->origin != ORIGIN_STATIC;
}

static void live_remove(struct relay *r, struct live_rule *live)
{
	struct live_rule **at = &r->live[hash_bytes(live->rule->id, strlen(live->rule->id))];

	while (*at != live)
		at = &(*at)->next;
	*at = live->next;
	r->n_live--;
	r->n_routed -= live->origin != ORIGIN_STATIC;
}

/* --- one rule into the kernel and the workers, and out again ------------------------------------
 */

static void program_sockets(struct relay *r, struct live_rule *live)
{
	for (unsigned i = 0; i < live->now.n_outputs; i++) {
		const struct resolved_output *o = &live->now.outputs[i];

		live->sockets[i][0] = live->sockets[i][1] = UINT32_MAX;
		if (o->state != RESOLVE_ACTIVE)
			continue;
		live->sockets[i][0] = sockets_name(r, o, false);
		live->sockets[i][1] = sockets_name(r, o, true);
	}
}

static void unprogram_sockets(struct relay *r, struct live_rule *live, uint32_t (*names)[2])
{
	for (unsigned i = 0; i < live->rule->n_outputs; i++) {
		sockets_unuse(r, names[i][0]);
		sockets_unuse(r, names[i][1]);
	}
}

static struct live_rule **key_bucket(struct relay *r, const struct mcr_rule_key *key)
{
	return &r->by_key[hash_bytes(key, sizeof(*key))];
}

/* The key's entry in the maps belongs to the rule that was programmed last. */
static struct live_rule *key_owner(struct relay *r, const struct mcr_rule_key *key)
{
	struct live_rule *live = *key_bucket(r, key);

	while (live && memcmp(&live->now.key, key, sizeof(*key)) != 0)
		live = live->next_key;
	return live;
}

int relay_program_map(struct relay *r, struct live_rule *live, struct diag *d)
{
	struct mcr_rule value = {
		.rule = live->row,
		.generation = live->generation,
		.egress_set = live->is_replicable ? live->egress_set : 0,
		.max_frame = (uint16_t)(live->is_replicable ? live->now.mtu + ETH_HLEN : 0),
		.datapath = (uint8_t)live->datapath,
		.accept_ttl1 = live->rule->accept_ttl1,
		.flags = (uint8_t)((live->rule->kind == RULE_GUARD ? MCR_RULE_GUARD : 0) |
				   (live->rule->tells_sources ? MCR_RULE_TELLS : 0)),
		.outputs = live->now.n_outputs,
	};

	snprintf(value.name, sizeof(value.name), "%.*s", (int)sizeof(value.name) - 1,
		 live->rule->name[0] ? live->rule->name : live->rule->id);
	return plane_rule_set(r->plane, &live->now.key, &value, d);
}

/* Takes a rule out; whoever else names its key has it then. */
static void unprogram(struct relay *r, struct live_rule *live)
{
	bool was_owner = key_owner(r, &live->now.key) == live;
	struct live_rule **at = key_bucket(r, &live->now.key), *owner;
	struct diag d;

	if (!live->is_programmed)
		return;
	while (*at != live)
		at = &(*at)->next_key;
	*at = live->next_key;
	live->is_programmed = false;
	owner = key_owner(r, &live->now.key);
	if (was_owner && owner) {
		workers_rule(r, owner, false);
		if (relay_program_map(r, owner, &d))
			log_err(LOG_F_rules, "rule %s: %s", owner->rule->id, d.what);
	} else if (was_owner) {
		plane_rule_del(r->plane, &live->now.key);
	}
	/* what is on its way to a worker still finds it: this comes after */
	if (!owner || owner->worker_kind != live->worker_kind)
		workers_rule(r, live, true);
	unprogram_sockets(r, live, live->sockets);
	port_leave(r, live);
	datapath_give(r, live);
}

static void resolution_copy(struct resolved_rule *to, const struct resolved_rule *from)
{
	struct resolved_output *outputs = to->outputs;

	*to = *from;
	to->outputs = outputs;
	memcpy(outputs, from->outputs, from->n_outputs * sizeof(*outputs));
}

/* The scratch resolution is whole until the next call. */
static const struct resolved_rule *resolve_now(struct relay *r, const struct rule *rule,
					       uint8_t multicast_ttl)
{
	static struct resolved_output outputs[RULE_OUTPUTS_MAX];
	static struct resolved_rule next;

	memset(&next, 0, sizeof(next));
	memset(outputs, 0, sizeof(outputs));
	next.outputs = outputs;
	resolve_rule(rule, multicast_ttl, port_view_of, r, &next);
	return &next;
}

/*
 * Puts in force what `next` says of a rule. The worker hears of it before the maps do, so that no
 * frame comes to a worker that does not know it.
 */
static int program(struct relay *r, struct live_rule *live, const struct resolved_rule *next,
		   struct diag *d)
{
	struct live_rule **bucket = key_bucket(r, &next->key);
	int err;

	resolution_copy(&live->now, next);
	if (next->state != RESOLVE_ACTIVE)
		return 0;
	err = datapath_take(r, live, d);
	if (err)
		return err;
	program_sockets(r, live);
	if (live->datapath != MCR_DP_DROP)
		port_join(r, live);
	live->next_key = *bucket;
	*bucket = live;
	live->is_programmed = true;
	workers_rule(r, live, false);
	err = relay_program_map(r, live, d);
	if (err)
		unprogram(r, live);
	return err;
}

/* The same key: outputs changed in how they are reached. In place, nothing stops. */
static int reprogram(struct relay *r, struct live_rule *live, const struct resolved_rule *next,
		     struct diag *d)
{
	uint32_t before[RULE_OUTPUTS_MAX][2];
	int err;

	memcpy(before, live->sockets, live->rule->n_outputs * sizeof(before[0]));
	resolution_copy(&live->now, next);
	program_sockets(r, live);
	err = datapath_renew(r, live, d);
	if (live->datapath != MCR_DP_DROP)
		port_join(r, live);
	workers_rule(r, live, false);
	unprogram_sockets(r, live, before);
	return err;
}

static bool same_resolution(const struct resolved_rule *a, const struct resolved_rule *b)
{
	return a->state == b->state && a->mtu == b->mtu &&
	       memcmp(&a->key, &b->key, sizeof(a->key)) == 0 && strcmp(a->reason, b->reason) == 0 &&
	       a->n_outputs == b->n_outputs &&
	       memcmp(a->outputs, b->outputs, a->n_outputs * sizeof(a->outputs[0])) == 0;
}

static void resolve_live(struct relay *r, struct live_rule *live, bool is_forced)
{
	const struct resolved_rule *next = resolve_now(r, live->rule, r->config->multicast_ttl);
	struct diag d = { 0 };
	int err;

	if (!is_forced && same_resolution(&live->now, next))
		return;
	if (next->state != live->now.state)
		log_notice(LOG_F_rules, "rule %s is %s%s%s", live->rule->id,
			   resolve_state_name(next->state), next->reason[0] ? ": " : "",
			   next->reason);
	if (!is_forced && live->is_programmed && next->state == RESOLVE_ACTIVE &&
	    memcmp(&next->key, &live->now.key, sizeof(next->key)) == 0) {
		err = reprogram(r, live, next, &d);
	} else {
		unprogram(r, live);
		err = program(r, live, next, &d);
	}
	if (err) {
		unprogram(r, live);
		live->now.state = RESOLVE_FAILED;
		snprintf(live->now.reason, sizeof(live->now.reason), "%.110s", d.what);
		log_err(LOG_F_rules, "rule %s: %s", live->rule->id, d.what);
	}
}

static bool rule_names(const struct rule *rule, const char *name)
{
	for (unsigned i = 0; i < rule->n_outputs; i++)
		if (strcmp(rule->outputs[i].interface, name) == 0)
			return true;
	return false;
}

/* True when the devices that routes may choose have changed in what outputs without interface must
 * know of them. */
static bool routes_look(struct relay *r)
{
	bool before = r->routes_segment;

	r->routes_segment = true;
	for (const struct netif *ni = netif_next(r->netifs, NULL); ni;
	     ni = netif_next(r->netifs, ni))
		if (ni->is_up && !ni->is_loopback && !ni->has_qdisc && !ni->has_udp_gso)
			r->routes_segment = false;
	return r->routes_segment != before;
}

void relay_resolve_interface(struct relay *r, const char *name, bool is_input_too)
{
	bool new_routes = routes_look(r);

	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (rule_names(live->rule, name) || strcmp(live->rule->interface, name) == 0 ||
		    (new_routes && rule_names(live->rule, "")))
			resolve_live(r, live,
				     is_input_too && strcmp(live->rule->interface, name) == 0);
}

/* The port's datapath may have changed: its rules choose again. */
void relay_resolve_port(struct relay *r, struct port *p)
{
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->port == p)
			resolve_live(r, live, true);
}

/* --- the difference ----------------------------------------------------------------------------
 */

const char *rule_summary(const struct rule *rule, char *buf, size_t cap)
{
	char a[IP4_TEXT], b[IP4_TEXT];
	size_t n;

	n = (size_t)snprintf(buf, cap, "%s %s%s%s:%u →", rule->interface,
			     rule->source.net ? ip4_format(rule->source, a) : "",
			     rule->source.net ? "," : "", ip4_format(rule->group, b), rule->port);
	for (unsigned i = 0; i < rule->n_outputs && n < cap; i++) {
		const struct rule_output *o = &rule->outputs[i];

		n += (size_t)snprintf(buf + n, cap - n, "%s%s%s%s:%u", i ? ", " : " ", o->interface,
				      o->interface[0] ? " " : "",
				      ip4_format(rule_output_to(rule, o), a),
				      o->port ? o->port : rule->port);
	}
	return buf;
}

static void change_note(cJSON *changes, const char *action, const struct rule *rule)
{
	cJSON *c = changes ? cJSON_CreateObject() : NULL;
	char text[512];

	if (!c)
		return;
	cJSON_AddStringToObject(c, "action", action);
	cJSON_AddStringToObject(c, "rule_id", rule->id);
	cJSON_AddStringToObject(c, "name", rule->name);
	cJSON_AddStringToObject(c, "summary", rule_summary(rule, text, sizeof(text)));
	cJSON_AddItemToArray(changes, c);
}

static void setting_note(cJSON *changes, const char *setting, bool is_changed)
{
	cJSON *c = changes && is_changed ? cJSON_CreateObject() : NULL;

	if (!c)
		return;
	cJSON_AddStringToObject(c, "action", "change");
	cJSON_AddStringToObject(c, "setting", setting);
	cJSON_AddItemToArray(changes, c);
}

static void rule_free(const struct rule *rule)
{
	if (rule)
		free(rule->outputs);
	free((void *)(uintptr_t)rule);
}

static void live_free(struct live_rule *live)
{
	if (live->port)
		port_put(live->port);
	free(live->now.outputs);
	free(live->output_rows);
	free(live->rewritten);
	free(live->sockets);
	if (live->origin != ORIGIN_STATIC)
		rule_free(live->rule);
	free(live);
}

/* Memory, a port and counter rows for a rule. What it has got belongs to `live` also on failure. */
static int live_equip(struct relay *r, struct live_rule *live, struct diag *d)
{
	const struct rule *rule = live->rule;

	live->generation = r->generation + 1;
	live->port = port_get(r, rule->interface);
	if (!live->port)
		return diag_set(d, -E2BIG, E_LIMIT, "", "more than %u ingress interfaces",
				MCR_MAX_IFACES);
	live->now.outputs = calloc(rule->n_outputs + 1u, sizeof(*live->now.outputs));
	if (!live->now.outputs)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	return rows_take(r, live, rule->n_outputs, d);
}

/* Takes a rule out for good. */
static void live_end(struct relay *r, struct live_rule *live)
{
	live_remove(r, live);
	unprogram(r, live);
	rows_cool(r, live);
	live_free(live);
}

/* Gives up one that is not in force. */
static void live_drop(struct relay *r, struct live_rule *live)
{
	if (live->output_rows)
		rows_cool(r, live);
	live_free(live);
}

/* What a transaction holds until it is known to succeed. */
struct transaction {
	struct live_rule **added;   /* new, or the next form of a changed rule */
	struct live_rule **removed; /* old, or the former form */
	size_t n_added, n_removed, n_programmed;
};

static bool is_same_rule(const struct live_rule *live, const struct rule *rule, bool all_again)
{
	return live && !all_again && rule_equal(live->rule, rule);
}

/* Memory and counter rows for everything that is new; nothing has happened if it fails. */
static int transaction_stage(struct relay *r, struct transaction *t, const struct config *next,
			     bool all_again, struct diag *d)
{
	size_t n = next->rules.n;

	t->added = calloc(n + 1, sizeof(*t->added));
	t->removed = calloc(r->n_live + 1, sizeof(*t->removed));
	if (!t->added || !t->removed)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct rule *rule = &next->rules.rules[i];
		struct live_rule *live;
		int err;

		live = relay_find(r, rule->id);
		if (live && live->origin != ORIGIN_STATIC)
			return diag_set(d, -EINVAL, E_EXISTS, "",
					"the id %s is that of a multicast route", rule->id);
		if (is_same_rule(live, rule, all_again))
			continue;
		live = calloc(1, sizeof(*live));
		if (!live)
			return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
		t->added[t->n_added++] = live;
		live->rule = rule;
		err = live_equip(r, live, d);
		if (err)
			return err;
	}
	return 0;
}

/* Which running rules go, or change. Needs the ids of `next` to be found quickly. */
static void transaction_find_removed(struct relay *r, struct transaction *t,
				     const struct config *next)
{
	/* a running rule stays as it is exactly when a rule of `next` is equal to it: mark those */
	for (size_t i = 0; i < next->rules.n; i++) {
		struct live_rule *live = relay_find(r, next->rules.rules[i].id);

		if (live)
			live->generation |= 0x80000000u;
	}
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live)) {
		if (!(live->generation & 0x80000000u) && live->origin == ORIGIN_STATIC)
			t->removed[t->n_removed++] = live;
		live->generation &= 0x7fffffffu;
	}
	for (size_t i = 0; i < t->n_added; i++) {
		struct live_rule *live = relay_find(r, t->added[i]->rule->id);

		if (live)
			t->removed[t->n_removed++] = live;
	}
}

static void transaction_note(struct relay *r, const struct transaction *t, cJSON *changes)
{
	size_t n_changed = 0;

	for (size_t i = 0; i < t->n_added; i++) {
		bool is_change = relay_find(r, t->added[i]->rule->id) != NULL;

		n_changed += is_change;
		change_note(changes, is_change ? "change" : "add", t->added[i]->rule);
	}
	for (size_t i = 0; i + n_changed < t->n_removed; i++)
		change_note(changes, "remove", t->removed[i]->rule);
}

static int transaction_program(struct relay *r, struct transaction *t, uint8_t multicast_ttl,
			       struct diag *d)
{
	for (; t->n_programmed < t->n_added; t->n_programmed++) {
		struct live_rule *live = t->added[t->n_programmed];
		int err = program(r, live, resolve_now(r, live->rule, multicast_ttl), d);

		if (err)
			return err;
	}
	return 0;
}

/* Puts everything back: the former forms are still programmed and get their keys again. */
static void transaction_undo(struct relay *r, struct transaction *t)
{
	while (t->n_programmed)
		unprogram(r, t->added[--t->n_programmed]);
	for (size_t i = 0; i < t->n_added; i++)
		live_drop(r, t->added[i]);
}

static void transaction_finish(struct relay *r, struct transaction *t)
{
	for (size_t i = 0; i < t->n_removed; i++)
		live_end(r, t->removed[i]);
	for (size_t i = 0; i < t->n_added; i++)
		live_insert(r, t->added[i]);
}

/* The rules that stay point into the former configuration: move them to the next one's. */
static void rules_follow(struct relay *r, const struct config *next)
{
	for (size_t i = 0; i < next->rules.n; i++) {
		struct live_rule *live = relay_find(r, next->rules.rules[i].id);

		if (live)
			live->rule = &next->rules.rules[i];
	}
}

static bool pinning_equal(const struct config *a, const struct config *b)
{
	return a->n_pinnings == b->n_pinnings &&
	       (a->n_pinnings == 0 ||
		memcmp(a->pinnings, b->pinnings, a->n_pinnings * sizeof(a->pinnings[0])) == 0);
}

static void settings_note(const struct config *a, const struct config *b, cJSON *changes)
{
	setting_note(changes, "multicast_ttl", a->multicast_ttl != b->multicast_ttl);
	setting_note(changes, "worker_grace", a->worker_grace_s != b->worker_grace_s);
	setting_note(changes, "stats_interval", a->stats_interval_s != b->stats_interval_s);
	setting_note(changes, "control_group", strcmp(a->control_group, b->control_group) != 0);
	setting_note(changes, "pinning", !pinning_equal(a, b));
	setting_note(changes, "mroutes", !config_mroutes_equal(&a->mroutes, &b->mroutes));
	setting_note(changes, "igmp", !config_igmp_equal(&a->igmp, &b->igmp));
	setting_note(changes, "pim", !config_pim_equal(&a->pim, &b->pim));
}

/* Settings beside the rules. */
static void settings_follow(struct relay *r, bool new_pinning)
{
	for (unsigned i = 0; new_pinning && i < MCR_MAX_IFACES; i++) {
		struct port *p = &r->ports[i];

		for (enum mcr_datapath kind = MCR_DP_AFXDP; kind <= MCR_DP_AFPACKET; kind++) {
			workers_retire(r, p, kind);
			if (p->users[kind])
				workers_ensure(r, p, kind);
		}
	}
	r->next_stats =
		mtime_add(loop_clock(), mtime_ms((int64_t)r->config->stats_interval_s * 1000));
}

int relay_commit(struct relay *r, struct config *next, bool dry_run, cJSON *changes, struct diag *d)
{
	bool all_again = next->multicast_ttl != r->config->multicast_ttl;
	bool new_pinning = !pinning_equal(next, r->config);
	struct transaction t = { 0 };
	int err = config_check(next, d);

	if (!err)
		err = transaction_stage(r, &t, next, all_again, d);

	if (!r->n_live) /* else changes come by relay_resolve_interface */
		routes_look(r);
	if (!err) {
		transaction_find_removed(r, &t, next);
		transaction_note(r, &t, changes);
		settings_note(r->config, next, changes);
	}
	if (!err && !dry_run)
		err = transaction_program(r, &t, next->multicast_ttl, d);
	if (err || dry_run) {
		transaction_undo(r, &t);
	} else {
		transaction_finish(r, &t);
		rules_follow(r, next);
		config_free(r->config);
		r->config = next;
		r->generation = (r->generation + 1) & 0x7fffffffu;
		settings_follow(r, new_pinning);
		router_follow(r);
	}
	free(t.added);
	free(t.removed);
	return err;
}

/* --- rules that nobody has configured ----------------------------------------------------------
 */

static struct rule *rule_copy(const struct rule *rule)
{
	struct rule *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *rule;
	copy->outputs = malloc((rule->n_outputs + 1u) * sizeof(*copy->outputs));
	if (!copy->outputs) {
		free(copy);
		return NULL;
	}
	memcpy(copy->outputs, rule->outputs, rule->n_outputs * sizeof(*copy->outputs));
	return copy;
}

/* Puts a rule in force in place of the one with its id; the new one before the old one goes. */
int relay_route(struct relay *r, const struct rule *rule, enum rule_origin origin, struct diag *d)
{
	struct live_rule *old = relay_find(r, rule->id), *live;
	int err;

	if (old && old->origin == ORIGIN_STATIC)
		return diag_set(d, -EEXIST, E_EXISTS, "", "a configured rule has the id %s",
				rule->id);
	if (old && rule_equal(old->rule, rule))
		return 0;
	if (!old && r->n_routed >= ROUTED_MAX)
		return diag_set(d, -E2BIG, E_LIMIT, "", "multicast routes have %u rules at most",
				ROUTED_MAX);
	live = calloc(1, sizeof(*live));
	if (!live)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	live->origin = origin;
	live->rule = rule_copy(rule);
	err = live->rule ? live_equip(r, live, d)
			 : diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	if (!err)
		err = program(r, live, resolve_now(r, live->rule, r->config->multicast_ttl), d);
	if (err) {
		live_drop(r, live);
		return err;
	}
	if (old) {
		plane_rule_stats(r->plane, old->row, &r->rule_stats[old->row]);
		account_route(r, old, &live->before);
		live_end(r, old);
	}
	live_insert(r, live);
	return 0;
}

void relay_unroute(struct relay *r, const char *id)
{
	struct live_rule *live = relay_find(r, id);

	if (live && live->origin != ORIGIN_STATIC)
		live_end(r, live);
}

bool relay_route_seen(const struct relay *r, const char *id, struct route_seen *out)
{
	const struct live_rule *live = relay_find(r, id);

	if (live)
		account_route(r, live, out);
	return live != NULL;
}

bool relay_leave(struct relay *r)
{
	bool stays = false;

	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live)) {
		if (live->is_programmed && live->datapath == MCR_DP_XDP) {
			stays = true;
			continue;
		}
		/* what it drops would fall through to one that stays */
		if (live->is_programmed && live->datapath == MCR_DP_DROP)
			continue;
		unprogram(r, live); /* rewrites stay: by them the next process finds the counts */
	}
	return stays;
}

/* For the end of the daemon: what the kernel has of the rules stays there, or is taken out. */
void relay_clear(struct relay *r, bool stays)
{
	for (unsigned b = 0; b < LIVE_BUCKETS; b++) {
		while (r->live[b]) {
			struct live_rule *live = r->live[b];

			r->live[b] = live->next;
			if (!stays)
				unprogram(r, live);
			live_free(live);
		}
	}
	r->n_live = r->n_routed = 0;
}

int relay_persist(struct relay *r)
{
	cJSON *config = config_show(r->config);
	char *text = config ? cJSON_PrintUnformatted(config) : NULL;
	struct diag d = { 0 };
	int err = text ? statefile_save(r->paths.state_dir, "state.json", text, strlen(text), &d)
		       : -ENOMEM;

	cJSON_Delete(config);
	free(text);
	r->is_persisted = !err;
	snprintf(r->persist_error, sizeof(r->persist_error), "%.150s", err ? d.what : "");
	if (err)
		log_limited(LOG_L_ERR, LOG_F_supervisor, "the running state is not saved: %s",
			    r->persist_error);
	return err;
}
