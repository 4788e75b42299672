/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the control socket (docs/control-protocol.md): a line of JSON in, a line out. Each
 * verb is a row of one table; changes build the next configuration and go through relay_commit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/commands.h"
#include "edge/log.h"

#define PROTOCOL_VERSION 1
#define LIST_AT_ONCE	 256 /* rules of which a list is no work to speak of */

typedef int (*command_fn)(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

struct command {
	const char *name;
	command_fn fn;
	bool is_change;	      /* or shows what not everybody may see: not on the read-only socket */
	const char *keys[12]; /* besides command, id, dry_run; NULL entry first = any (AddRule) */
};

/* --- reading parameters ------------------------------------------------------------------------
 */

int param_text(const struct request *q, const char *key, bool is_needed, const char **out,
	       struct diag *d)
{
	const struct json5_node *v = json5_get(q->doc, q->root, key);

	*out = NULL;
	if (!v)
		return is_needed ? diag_set(d, -EINVAL, E_MISSING, key, "%s is missing", key) : 0;
	if (v->type != JSON5_STRING)
		return diag_set(d, -EINVAL, E_TYPE, key, "%s must be a string, not %s", key,
				json5_type_name((enum json5_type)v->type));
	*out = json5_text(q->doc, v);
	if (strlen(*out) != v->text_len)
		return diag_set(d, -EINVAL, E_RANGE, key, "%s has a NUL character in it", key);
	return 0;
}

int param_bool(const struct request *q, const char *key, bool *out, struct diag *d)
{
	const struct json5_node *v = json5_get(q->doc, q->root, key);

	*out = false;
	if (v && v->type != JSON5_BOOL)
		return diag_set(d, -EINVAL, E_TYPE, key, "%s must be true or false, not %s", key,
				json5_type_name((enum json5_type)v->type));
	*out = v && v->boolean;
	return 0;
}

int param_number(const struct request *q, const char *key, int64_t preset, int64_t least,
		 int64_t *out, struct diag *d)
{
	const struct json5_node *v = json5_get(q->doc, q->root, key);

	*out = preset;
	if (!v)
		return 0;
	if (v->type != JSON5_NUMBER)
		return diag_set(d, -EINVAL, E_TYPE, key, "%s must be a number, not %s", key,
				json5_type_name((enum json5_type)v->type));
	if (!v->is_integer || v->integer < least || v->integer > UINT32_MAX)
		return diag_set(d, -EINVAL, E_RANGE, key, "%s must be a whole number, %lld to %u",
				key, (long long)least, UINT32_MAX);
	*out = v->integer;
	return 0;
}

/* --- changes -----------------------------------------------------------------------------------
 */

int commands_change(struct relay *r, const struct request *q, struct config *next, cJSON *reply,
		    struct diag *d)
{
	cJSON *changes = cJSON_AddArrayToObject(reply, "changes");
	int err = relay_commit(r, next, q->dry_run, changes, d);

	if (err || q->dry_run) {
		config_free(next);
		return err;
	}
	relay_persist(r);
	log_notice(LOG_F_security, "%d changes by uid %u pid %d", cJSON_GetArraySize(changes),
		   (unsigned)q->peer->uid, (int)q->peer->pid);
	cJSON_AddBoolToObject(reply, "persisted", r->is_persisted);
	if (!r->is_persisted)
		cJSON_AddStringToObject(reply, "persist_error", r->persist_error);
	return 0;
}

int commands_check_ruleset(const struct config *cfg, struct diag *d)
{
	size_t n = 4 * cfg->rules.n + 4;
	uint32_t *index = calloc(n, sizeof(*index));
	int err;

	if (!index)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	err = ruleset_check(&cfg->rules, index, n, d);
	free(index);
	return err;
}

/* The ruleset's path for a fault becomes the request's: the new rule is the last one. */
static void fault_is_in_request(struct diag *d)
{
	const char *member = strrchr(d->where, '.');

	if (member && strcmp(member, ".id") == 0)
		snprintf(d->where, sizeof(d->where), "rule_id");
	else if (member && strcmp(member, ".name") == 0)
		snprintf(d->where, sizeof(d->where), "name");
	else if (member)
		snprintf(d->where, sizeof(d->where), "input_group");
}

static int cmd_add_rule(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	static const char *const also[] = { "command", "id", "dry_run", NULL };
	struct config *next = NULL;
	struct rule rule;
	char id[RULE_ID_LEN];
	int err = config_read_flat_rule(&rule, q->doc, q->root, also, d);

	if (err)
		return err;
	snprintf(id, sizeof(id), "%s", rule.id);
	next = config_clone(r->config);
	err = next ? config_take_rule(next, &rule) : -ENOMEM;
	if (err)
		diag_set(d, err, E_LIMIT, "", "out of memory");
	if (!err) {
		err = commands_check_ruleset(next, d);
		if (err)
			fault_is_in_request(d);
	}
	if (err) {
		rule_free_outputs(&rule);
		config_free(next);
		return err;
	}
	err = commands_change(r, q, next, reply, d);
	if (!err) {
		const struct live_rule *live = relay_find(r, id);

		cJSON_AddStringToObject(reply, "rule_id", id);
		if (live && !q->dry_run) {
			cJSON_AddStringToObject(reply, "state",
						resolve_state_name(live->now.state));
			cJSON_AddStringToObject(reply, "reason", live->now.reason);
		}
	}
	return err;
}

static int remove_rule(struct relay *r, const struct request *q, const struct rule *rule,
		       cJSON *reply, struct diag *d)
{
	struct config *next = config_clone(r->config);

	if (!next)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	config_remove_rule(next, rule->id);
	return commands_change(r, q, next, reply, d);
}

static int cmd_remove_rule(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	const char *id;
	int err = param_text(q, "rule_id", true, &id, d);
	const struct live_rule *live = err ? NULL : relay_find(r, id);

	if (err)
		return err;
	if (!live)
		return diag_set(d, -ENOENT, E_NOT_FOUND, "rule_id", "there is no rule with id '%s'",
				id);
	if (live->origin != ORIGIN_STATIC)
		return diag_set(d, -EINVAL, E_UNSUPPORTED, "rule_id",
				"the rule %s is that of a multicast route, and goes with it", id);
	return remove_rule(r, q, live->rule, reply, d);
}

static int cmd_remove_rule_by_name(struct relay *r, const struct request *q, cJSON *reply,
				   struct diag *d)
{
	const char *name;
	int err = param_text(q, "name", true, &name, d);
	const struct rule *rule = err ? NULL : ruleset_find_name(&r->config->rules, name);

	if (err)
		return err;
	if (!rule)
		return diag_set(d, -ENOENT, E_NOT_FOUND, "name", "there is no rule named '%s'",
				name);
	return remove_rule(r, q, rule, reply, d);
}

/* --- questions ---------------------------------------------------------------------------------
 */

static int cmd_ping(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	unsigned total, ready;
	char text[64];

	(void)q;
	(void)d;
	workers_count(r, &total, &ready);
	snprintf(text, sizeof(text), "%u/%u workers ready", ready, total);
	cJSON_AddStringToObject(reply, "message", text);
	cJSON_AddNumberToObject(reply, "workers", total);
	cJSON_AddNumberToObject(reply, "workers_ready", ready);
	return 0;
}

static int cmd_version(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	char abi[16];

	(void)r;
	(void)q;
	(void)d;
	snprintf(abi, sizeof(abi), "%u.%u", MCR_ABI_MAJOR, MCR_ABI_MINOR);
	cJSON_AddStringToObject(reply, "version", MCR_VERSION);
	cJSON_AddNumberToObject(reply, "protocol_version", PROTOCOL_VERSION);
	cJSON_AddStringToObject(reply, "abi", abi);
	return 0;
}

static int cmd_status(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	show_status(r, reply);
	return 0;
}

/* The rule that a request names by rule_id or name. */
static int param_rule(struct relay *r, const struct request *q, struct live_rule **out,
		      struct diag *d)
{
	const struct rule *rule = NULL;
	const char *id, *name = NULL;
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "rule_id", false, &id, d);

	if (!err)
		err = param_text(q, "name", false, &name, d);
	if (!err && !id == !name)
		err = diag_set(d, -EINVAL, E_MISSING, "", "one of rule_id and name is wanted");
	if (err)
		return err;
	if (name)
		rule = ruleset_find_name(&r->config->rules, name);
	*out = id ? relay_find(r, id) : rule ? relay_find(r, rule->id) : NULL;
	if (!*out)
		return diag_set(d, -ENOENT, E_NOT_FOUND, id ? "rule_id" : "name",
				"there is no rule %s", diag_quote(id ? id : name, quoted));
	return 0;
}

static int cmd_show_rule(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct live_rule *live;
	int err = param_rule(r, q, &live, d);

	if (err)
		return err;
	account_refresh(r);
	cJSON_AddItemToObject(reply, "rule", show_rule(r, live, true));
	cJSON_AddItemToObject(reply, "explanation", show_explanation(r, live));
	return 0;
}

/* --- looking back ------------------------------------------------------------------------------
 */

static int set_trace(struct relay *r, const struct request *q, int64_t every, struct diag *d)
{
	struct live_rule *live;
	int err = param_rule(r, q, &live, d);

	if (err || q->dry_run)
		return err;
	if (every)
		err = datapath_trace(r, live, d);
	if (err)
		return err;
	live->trace_every = (uint32_t)every;
	if (live->is_programmed)
		workers_rule(r, live, false);
	return 0;
}

static int cmd_enable_trace(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	int64_t every;
	int err = param_number(q, "every", 1, 1, &every, d);

	(void)reply;
	return err ? err : set_trace(r, q, every, d);
}

static int cmd_disable_trace(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)reply;
	return set_trace(r, q, 0, d);
}

static int cmd_get_trace(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct live_rule *live;
	int err = param_rule(r, q, &live, d);

	if (err)
		return err;
	cJSON_AddNumberToObject(reply, "every", live->trace_every);
	cJSON_AddItemToObject(reply, "records", show_trace(live));
	return 0;
}

static int cmd_dump_logs(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	int64_t since;
	int err = param_number(q, "since", 0, 0, &since, d);

	(void)r;
	if (err)
		return err;
	cJSON_AddItemToObject(reply, "lines", show_log((uint64_t)since));
	cJSON_AddNumberToObject(reply, "newest", (double)log_newest());
	return 0;
}

static int cmd_version_check(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	int64_t version;
	int err = param_number(q, "protocol_version", -1, 0, &version, d);

	(void)r;
	if (err)
		return err;
	cJSON_AddNumberToObject(reply, "protocol_version", PROTOCOL_VERSION);
	if (version == PROTOCOL_VERSION)
		return 0;
	if (version < 0)
		return diag_set(d, -EINVAL, E_MISSING, "protocol_version",
				"protocol_version is missing");
	return diag_set(d, -EINVAL, E_UNSUPPORTED, "protocol_version",
			"this daemon speaks protocol version %d, and no other", PROTOCOL_VERSION);
}

static int cmd_list_workers(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "workers", show_workers(r, false));
	return 0;
}

static int cmd_check(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	cJSON *list = cJSON_CreateArray();
	bool holds = account_identities(r, list);

	(void)q;
	(void)d;
	cJSON_AddBoolToObject(reply, "holds", holds);
	cJSON_AddItemToObject(reply, "identities", list);
	return 0;
}

/* --- log levels --------------------------------------------------------------------------------
 */

static int param_level(const struct request *q, enum log_level *out, struct diag *d)
{
	const char *name;
	int err = param_text(q, "level", true, &name, d);

	if (!err && log_level_parse(name, out))
		err = diag_set(d, -EINVAL, E_RANGE, "level",
			       "'%s' is no level; one of emerg, alert, crit, err, warning, notice, "
			       "info, debug",
			       name);
	return err;
}

static int cmd_get_levels(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	cJSON *overrides;

	(void)r;
	(void)q;
	(void)d;
	cJSON_AddStringToObject(reply, "global", log_level_name(log_global_level()));
	overrides = cJSON_AddObjectToObject(reply, "facility_overrides");
	for (enum log_facility f = 0; f < LOG_F__COUNT; f++)
		if (log_has_override(f))
			cJSON_AddStringToObject(overrides, log_facility_name(f),
						log_level_name(log_level_of(f)));
	return 0;
}

static int cmd_set_level(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	enum log_level level;
	int err = param_level(q, &level, d);

	(void)reply;
	if (err || q->dry_run)
		return err;
	log_set_level(level);
	workers_levels(r);
	return 0;
}

static int cmd_set_facility(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	const char *name, *level_name;
	enum log_level level = LOG_L_INFO;
	enum log_facility f;
	int err = param_text(q, "facility", true, &name, d);
	bool is_default;

	(void)reply;
	if (!err && log_facility_parse(name, &f))
		err = diag_set(d, -EINVAL, E_RANGE, "facility",
			       "'%s' is no facility; one of supervisor, rules, control, dataplane, "
			       "ingress, egress, stats, security, network",
			       name);
	if (!err)
		err = param_text(q, "level", true, &level_name, d);
	if (err)
		return err;
	is_default = strcmp(level_name, "default") == 0;
	if (!is_default)
		err = param_level(q, &level, d);
	if (err || q->dry_run)
		return err;
	if (is_default)
		log_clear_facility_level(f);
	else
		log_set_facility_level(f, level);
	workers_levels(r);
	return 0;
}

/* --- dispatch ----------------------------------------------------------------------------------
 */

static const struct command commands[] = {
	{ "AddMroute", cmd_add_mroute, true, { "group", "source", "input", "outputs" } },
	{ "AddRule", cmd_add_rule, true, { NULL } },
	{ "CheckAccounting", cmd_check, false, { "" } },
	{ "CheckConfig", cmd_check_config, false, { "config", "config_text" } },
	{ "DisableIgmpQuerier", cmd_disable_querier, true, { "interface" } },
	{ "DisablePim", cmd_disable_pim, true, { "interface" } },
	{ "DisableTrace", cmd_disable_trace, true, { "rule_id", "name" } },
	{ "Doctor", cmd_doctor, false, { "" } },
	{ "DumpLogs", cmd_dump_logs, true, { "since" } },
	{ "EnableIgmpQuerier", cmd_enable_querier, true, { "interface" } },
	{ "EnablePim", cmd_enable_pim, true, { "interface", "dr_priority" } },
	{ "EnableTrace", cmd_enable_trace, true, { "rule_id", "name", "every" } },
	{ "Explain", cmd_explain, false, { "source", "group", "interface", "port", "ttl" } },
	{ "GetConfig", cmd_get_config, false, { "" } },
	{ "GetIgmpGroups", cmd_igmp_groups, false, { "" } },
	{ "GetIgmpInterfaces", cmd_igmp_interfaces, false, { "" } },
	{ "GetLogLevels", cmd_get_levels, false, { "" } },
	{ "GetMroute", cmd_mroute, false, { "" } },
	{ "GetPimInterfaces", cmd_pim_interfaces, false, { "" } },
	{ "GetPimJoins", cmd_pim_joins, false, { "" } },
	{ "GetPimNeighbors", cmd_pim_neighbors, false, { "" } },
	{ "GetPimRp", cmd_pim_rp, false, { "group" } },
	{ "GetStats", cmd_stats, false, { "after", "limit" } },
	{ "GetStatus", cmd_status, false, { "" } },
	{ "GetTrace", cmd_get_trace, true, { "rule_id", "name" } },
	{ "GetVersion", cmd_version, false, { "" } },
	{ "ListRules", cmd_list_rules, false, { "after", "limit" } },
	{ "ListWorkers", cmd_list_workers, false, { "" } },
	{ "LoadConfig", cmd_load_config, true, { "config", "config_text", "replace" } },
	{ "Ping", cmd_ping, false, { "" } },
	{ "QueryRpf", cmd_query_rpf, false, { "source" } },
	{ "RemoveMroute", cmd_remove_mroute, true, { "group", "source" } },
	{ "RemoveRule", cmd_remove_rule, true, { "rule_id" } },
	{ "RemoveRuleByName", cmd_remove_rule_by_name, true, { "name" } },
	{ "SaveConfig", cmd_save_config, true, { "path" } },
	{ "SetFacilityLogLevel", cmd_set_facility, true, { "facility", "level" } },
	{ "SetGlobalLogLevel", cmd_set_level, true, { "level" } },
	{ "SetRpAddress", cmd_set_rp_address, true, { "address" } },
	{ "SetStaticRp", cmd_set_static_rp, true, { "group_prefix", "rp_address" } },
	{ "ShowRule", cmd_show_rule, false, { "rule_id", "name" } },
	{ "VersionCheck", cmd_version_check, false, { "protocol_version" } },
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

bool commands_is_long(const struct relay *r, const struct parsed *parsed)
{
	static const char *const lists[] = { "GetConfig", "GetIgmpGroups", "GetMroute", "GetStats",
					     "ListRules" };
	const struct json5_node *root = parsed->err ? NULL : json5_root(&parsed->doc), *v = NULL;

	if (r->n_live > LIST_AT_ONCE && root && root->type == JSON5_OBJECT)
		v = json5_get(&parsed->doc, root, "command");
	for (size_t i = 0; v && v->type == JSON5_STRING && i < sizeof(lists) / sizeof(lists[0]);
	     i++)
		if (strcmp(json5_text(&parsed->doc, v), lists[i]) == 0)
			return true;
	return false;
}

static bool key_is_known(const struct command *c, const char *key)
{
	if (strcmp(key, "command") == 0 || strcmp(key, "id") == 0 || strcmp(key, "dry_run") == 0)
		return true;
	for (unsigned i = 0; c->keys[i]; i++)
		if (strcmp(c->keys[i], key) == 0)
			return true;
	return false;
}

static int keys_check(const struct command *c, const struct request *q, struct diag *d)
{
	const struct json5_node *m = c->keys[0] ? json5_first(q->doc, q->root) : NULL;
	char quoted[DIAG_QUOTE];

	for (; m; m = json5_next(q->doc, m))
		if (!key_is_known(c, json5_key(q->doc, m)))
			return diag_set(d, -EINVAL, E_UNKNOWN_KEY, json5_key(q->doc, m),
					"%s has no parameter %s", c->name,
					diag_quote(json5_key(q->doc, m), quoted));
	return 0;
}

static int dispatch(struct relay *r, struct request *q, cJSON *reply, struct diag *d)
{
	const struct command *c;
	char quoted[DIAG_QUOTE];
	const char *name;
	int err = param_text(q, "command", true, &name, d);

	if (!err)
		err = param_bool(q, "dry_run", &q->dry_run, d);
	if (err)
		return err;
	c = command_find(name);
	if (!c)
		return diag_set(d, -EINVAL, E_UNKNOWN_COMMAND, "command", "there is no command %s",
				diag_quote(name, quoted));
	if (c->is_change && q->peer->is_readonly)
		return diag_set(d, -EPERM, E_PERM, "command", "%s is not for the read-only socket",
				name);
	err = keys_check(c, q, d);
	return err ? err : c->fn(r, q, reply, d);
}

/* The request's id goes back as it came. */
static void reply_id(const struct json5_doc *doc, const struct json5_node *root, cJSON *reply)
{
	const struct json5_node *id = root ? json5_get(doc, root, "id") : NULL;

	if (id && id->type == JSON5_NUMBER)
		cJSON_AddNumberToObject(reply, "id", id->number);
	else if (id && id->type == JSON5_STRING)
		cJSON_AddStringToObject(reply, "id", json5_text(doc, id));
}

static cJSON *reply_error(const struct json5_doc *doc, const struct json5_node *root,
			  const struct diag *d)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "status", "error");
	reply_id(doc, root, reply);
	cJSON_AddStringToObject(reply, "error_code", diag_code_name(d->code));
	cJSON_AddStringToObject(reply, "message", d->what);
	cJSON_AddStringToObject(reply, "where", d->where);
	if (d->line) {
		cJSON_AddNumberToObject(reply, "line", d->line);
		cJSON_AddNumberToObject(reply, "column", d->column);
	}
	return reply;
}

cJSON *commands_refuse(const struct parsed *parsed, const struct diag *d)
{
	return reply_error(&parsed->doc, json5_root(&parsed->doc), d);
}

cJSON *commands_answer(struct relay *r, struct parsed *parsed, const struct ctl_peer *peer)
{
	struct request q = { .doc = &parsed->doc, .peer = peer, .parsed = parsed };
	struct diag d = { 0 };
	cJSON *reply;
	int err;

	if (parsed->err)
		return reply_error(q.doc, NULL, &parsed->d);
	q.root = json5_root(q.doc);
	if (q.root->type != JSON5_OBJECT) {
		diag_set(&d, -EINVAL, E_PROTO, "", "a request is an object, not %s",
			 json5_type_name((enum json5_type)q.root->type));
		return reply_error(q.doc, NULL, &d);
	}
	reply = cJSON_CreateObject();
	cJSON_AddStringToObject(reply, "status", "ok");
	reply_id(q.doc, q.root, reply);
	err = dispatch(r, &q, reply, &d);
	if (!err)
		return reply;
	cJSON_Delete(reply);
	if (err == -ENOMEM && !d.what[0])
		diag_set(&d, err, E_LIMIT, "", "out of memory");
	return reply_error(q.doc, q.root, &d);
}
