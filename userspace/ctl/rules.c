/* SPDX-License-Identifier: MIT */
/* How rules, their outputs and their counters are worded, wherever they are shown. */
#include "ctl/ctl.h"

#include <string.h>

const char *rule_label(const cJSON *rule)
{
	const char *name = json_text(rule, "name");

	return *name ? name : json_text(rule, "rule_id");
}

/* input_protocol is a number or a name; UDP goes without saying. */
static bool is_esp(const cJSON *rule)
{
	return json_number(rule, "input_protocol") == 50 ||
	       strcmp(json_text(rule, "input_protocol"), "esp") == 0;
}

void rule_append_input(struct table *t, const cJSON *rule)
{
	const char *source = json_text(rule, "input_source");

	table_append(t, "%s %s", json_text(rule, "input_interface"),
		     json_text(rule, "input_group"));
	if (is_esp(rule))
		table_append(t, " esp");
	else if (json_number(rule, "input_port") > 0)
		table_append(t, ":%.0f", json_number(rule, "input_port"));
	else
		table_append(t, ":any");
	if (*source && strcmp(source, "0.0.0.0") != 0)
		table_append(t, " from %s", source);
}

/* Where an output goes; what it does not say is as in the input. */
static void append_destination(struct table *t, const cJSON *rule, const cJSON *output)
{
	const char *group = json_text(output, "group"), *interface = json_text(output, "interface");
	double port = json_number(output, "port");

	if (!*group)
		group = json_text(output, "address");
	if (!*group || strcmp(group, "0.0.0.0") == 0)
		group = json_text(rule, "input_group");
	if (port == 0)
		port = json_number(rule, "input_port");
	table_append(t, "%s%s%s", interface, *interface ? " " : "", group);
	if (port > 0)
		table_append(t, ":%.0f", port);
}

void rule_append_output(struct table *t, const cJSON *rule, const cJSON *output)
{
	const cJSON *ttl = json_member(output, "ttl");
	const char *source = json_text(output, "source");
	const char *state = json_text(output, "state");

	append_destination(t, rule, output);
	if (cJSON_IsNumber(ttl))
		table_append(t, " ttl %.0f", json_value(ttl));
	else if (cJSON_IsString(ttl))
		table_append(t, " ttl %s", ttl->valuestring);
	if (*source && strcmp(source, "interface") != 0)
		table_append(t, " source %s", source);
	if (cJSON_IsNumber(json_member(output, "dscp")))
		table_append(t, " dscp %.0f", json_number(output, "dscp"));
	if (*state && strcmp(state, "active") != 0)
		table_append(t, " [%s]", state);
}

bool drops_append(struct table *t, const cJSON *drops, bool has_before)
{
	const cJSON *drop;

	cJSON_ArrayForEach (drop, drops) {
		if (json_value(drop) == 0 || !drop->string)
			continue;
		table_append(t, "%s%s %.0f", has_before ? ", " : "", drop->string,
			     json_value(drop));
		has_before = true;
	}
	return has_before;
}
