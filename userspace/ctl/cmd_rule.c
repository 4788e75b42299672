/* SPDX-License-Identifier: MIT */
/* Commands about rules: add, remove, list, show rule. */
#include "ctl/ctl.h"

#include <string.h>

/* Options of add that become members of the request as they are. */
static const struct {
	const char *option, *member;
	bool is_number;
} add_members[] = {
	{ "rule-id", "rule_id", false },
	{ "name", "name", false },
	{ "input-interface", "input_interface", false },
	{ "input-group", "input_group", false },
	{ "input-port", "input_port", true },
	{ "input-source", "input_source", false },
	{ "input-protocol", "input_protocol", false },
	{ "datapath", "datapath", false },
};

static bool add_input(cJSON *request, const struct ctl_args *args)
{
	size_t i;
	int number;

	for (i = 0; i < sizeof(add_members) / sizeof(add_members[0]); i++) {
		const char *value = args_get(args, add_members[i].option);
		const char *member = add_members[i].member;
		bool is_protocol_number = strcmp(member, "input_protocol") == 0 && value &&
					  args_number(value, &number);

		if (!value)
			continue;
		if (!add_members[i].is_number && !is_protocol_number) {
			cJSON_AddStringToObject(request, member, value);
		} else if (args_number(value, &number)) {
			cJSON_AddNumberToObject(request, member, number);
		} else {
			ctl_fail(CTL_USAGE, "--%s is a number, not '%s'", add_members[i].option,
				 value);
			return false;
		}
	}
	if (args_get(args, "accept-ttl1"))
		cJSON_AddTrueToObject(request, "accept_ttl1");
	return true;
}

static bool add_outputs(cJSON *request, const struct ctl_args *args)
{
	cJSON *outputs = cJSON_AddArrayToObject(request, "outputs");
	const char *text;
	size_t at;

	for (at = 0; (text = args_next(args, "outputs", &at));)
		if (!outputs_add_list(outputs, text))
			return false;
	for (at = 0; (text = args_next(args, "output", &at));)
		if (!outputs_add_one(outputs, text))
			return false;
	if (cJSON_GetArraySize(outputs) > 0)
		return true;
	ctl_fail(CTL_USAGE, "add wants --outputs or --output; see mcrctl help add");
	return false;
}

enum ctl_exit cmd_add(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "AddRule"), *reply;
	enum ctl_exit status;
	const char *state, *reason;

	if (!add_input(request, args) || !add_outputs(request, args)) {
		cJSON_Delete(request);
		return CTL_USAGE;
	}
	status = ctl_call(ctl, request, &reply);
	if (status != CTL_OK)
		return status;
	status = ctl_finish_change(ctl, reply);
	state = json_text(reply, "state");
	reason = json_text(reply, "reason");
	if (!ctl->wants_json && *state && strcmp(state, "active") != 0)
		printf("rule %s is %s%s%s\n", json_text(reply, "rule_id"), state,
		       *reason ? ": " : "", reason);
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_remove(struct ctl *ctl, const struct ctl_args *args)
{
	const char *id = args_get(args, "rule-id"), *name = args_get(args, "name");
	cJSON *request, *reply;
	enum ctl_exit status;

	if (!id == !name)
		return ctl_fail(CTL_USAGE, "remove wants either --rule-id ID or --name NAME");
	request = ctl_request(ctl, id ? "RemoveRule" : "RemoveRuleByName");
	cJSON_AddStringToObject(request, id ? "rule_id" : "name", id ? id : name);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}

static void list_row(struct table *t, const cJSON *rule)
{
	const char *effective = json_text(rule, "datapath_effective");
	const cJSON *output;
	bool is_first = true;

	table_add(t, "%s", rule_label(rule));
	table_add(t, "%s", json_text(rule, "state"));
	table_add(t, "%s", *effective ? effective : json_text(rule, "datapath"));
	table_add(t, "%s", "");
	rule_append_input(t, rule);
	table_add(t, "%s", "");
	cJSON_ArrayForEach (output, json_member(rule, "outputs")) {
		if (!is_first)
			table_append(t, "\n");
		rule_append_output(t, rule, output);
		is_first = false;
	}
}

/* Below the table, why rules are not as they should be. */
static void list_reasons(const cJSON *rules)
{
	static const struct table_column columns[] = { { NULL, false }, { NULL, false } };
	struct table *t = table_new(columns, 2);
	const cJSON *rule;

	cJSON_ArrayForEach (rule, rules) {
		if (!*json_text(rule, "reason"))
			continue;
		table_add(t, "%s", rule_label(rule));
		table_add(t, "%s: %s", json_text(rule, "state"), json_text(rule, "reason"));
	}
	table_print(t);
}

enum ctl_exit cmd_list(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "RULE", false },  { "STATE", false },	  { "DATAPATH", false },
		{ "INPUT", false }, { "OUTPUTS", false },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call_rules(ctl, "ListRules", &reply);
	const cJSON *rules = json_member(reply, "rules"), *rule;
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json && cJSON_GetArraySize(rules) == 0) {
		puts("no rules");
	} else if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
		cJSON_ArrayForEach (rule, rules)
			list_row(t, rule);
		table_print(t);
		list_reasons(rules);
	}
	cJSON_Delete(reply);
	return status;
}

static void show_text(struct table *t, const char *key, const char *value, const char *more)
{
	if (!*value)
		return;
	table_add(t, "%s", key);
	table_add(t, "%s%s%s", value, *more ? ": " : "", more);
}

static void show_counters(struct table *t, const cJSON *rule)
{
	char packets[VALUE_TEXT], pps[VALUE_TEXT], bps[VALUE_TEXT], seen[VALUE_TEXT];

	table_add(t, "matched");
	table_add(t, "%s packets, %s packets/s, %s bit/s, last seen %s",
		  value_count(packets, json_number(rule, "packets_matched")),
		  value_rate(pps, json_number(rule, "packets_per_second")),
		  value_rate(bps, json_number(rule, "bits_per_second")),
		  value_ago(seen, json_number(rule, "last_seen_ms")));
	table_add(t, "drops");
	table_add(t, "%s", "");
	if (!drops_append(t, json_member(rule, "drops"), false))
		table_append(t, "none");
}

static void show_output(struct table *t, const cJSON *rule, const cJSON *output)
{
	char due[VALUE_TEXT], sent[VALUE_TEXT];
	const char *egress = json_text(output, "egress"), *reason = json_text(output, "reason");

	table_add(t, "output");
	table_add(t, "%s", "");
	rule_append_output(t, rule, output);
	if (*reason)
		table_append(t, ": %s", reason);
	if (*egress)
		table_append(t, ", %s egress", egress);
	table_append(t, "\ndue %s, sent %s", value_count(due, json_number(output, "due")),
		     value_count(sent, json_number(output, "sent")));
	drops_append(t, json_member(output, "drops"), true);
}

static void show_rule(const cJSON *rule, const cJSON *explanation)
{
	static const struct table_column columns[] = { { NULL, false }, { NULL, false } };
	struct table *t = table_new(columns, 2);
	const char *datapath = json_text(rule, "datapath_effective");
	const cJSON *item;

	show_text(t, "name", json_text(rule, "name"), "");
	show_text(t, "id", json_text(rule, "rule_id"), "");
	show_text(t, "origin", json_text(rule, "origin"), "");
	show_text(t, "state", json_text(rule, "state"), json_text(rule, "reason"));
	show_text(t, "datapath", *datapath ? datapath : json_text(rule, "datapath"),
		  json_text(rule, "datapath_reason"));
	table_add(t, "input");
	table_add(t, "%s", "");
	rule_append_input(t, rule);
	if (json_true(rule, "accept_ttl1"))
		table_append(t, ", accepts TTL 1");
	cJSON_ArrayForEach (item, json_member(rule, "outputs"))
		show_output(t, rule, item);
	show_counters(t, rule);
	cJSON_ArrayForEach (item, explanation) {
		table_add(t, "note");
		table_add(t, "%s", cJSON_IsString(item) ? item->valuestring : "");
	}
	table_print(t);
}

enum ctl_exit cmd_show_rule(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status =
		ctl_call_rule(ctl, ctl_request(ctl, "ShowRule"), args->operand, &reply);

	if (status == CTL_OK && !ctl->wants_json)
		show_rule(json_member(reply, "rule"), json_member(reply, "explanation"));
	cJSON_Delete(reply);
	return status;
}
