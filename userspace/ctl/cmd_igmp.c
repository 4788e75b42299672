/* SPDX-License-Identifier: MIT */
/* Commands about IGMP. */
#include "ctl/ctl.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void add_expiry(struct table *t, const cJSON *of)
{
	char text[VALUE_TEXT];

	if (json_member(of, "expires_in_secs"))
		table_add(t, "%s", value_ms(text, json_number(of, "expires_in_secs") * 1000));
	else
		table_add(t, "%s", json_true(of, "static") ? "never" : "");
}

static void group_row(struct table *t, const cJSON *group)
{
	char text[VALUE_TEXT];

	table_add(t, "%s", json_text(group, "interface"));
	table_add(t, "%s", json_text(group, "group"));
	table_add(t, "%s%s", json_text(group, "mode"),
		  json_true(group, "static") ? ", static" : "");
	table_add(t, "%.0f", json_number(group, "version"));
	table_add(t, "%s", json_text(group, "last_reporter"));
	table_add(t, "%s", value_ms(text, json_number(group, "age_secs") * 1000));
	add_expiry(t, group);
}

static void source_row(struct table *t, const cJSON *source)
{
	table_add(t, "%s", "");
	table_add(t, "  %s", json_text(source, "source"));
	table_add(t, "%s%s", json_true(source, "forwarded") ? "wanted" : "not wanted",
		  json_true(source, "static") ? ", static" : "");
	table_add(t, "%s", "");
	table_add(t, "%s", "");
	table_add(t, "%s", "");
	add_expiry(t, source);
}

static void groups_print(const cJSON *groups)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", false }, { "GROUP, SOURCES", false }, { "MODE", false },
		{ "VERSION", true },	{ "REPORTER", false },	     { "AGE", true },
		{ "EXPIRES IN", true },
	};
	struct table *t = table_new(columns, COUNT_OF(columns));
	const cJSON *group, *source;

	cJSON_ArrayForEach (group, groups) {
		group_row(t, group);
		cJSON_ArrayForEach (source, json_member(group, "sources"))
			source_row(t, source);
	}
	table_print(t);
}

enum ctl_exit cmd_igmp_groups(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetIgmpGroups"), &reply);

	if (status == CTL_OK && !ctl->wants_json) {
		if (cJSON_GetArraySize(json_member(reply, "groups")) == 0)
			puts("no groups");
		else
			groups_print(json_member(reply, "groups"));
	}
	cJSON_Delete(reply);
	return status;
}

static void interface_row(struct table *t, const cJSON *interface)
{
	char text[VALUE_TEXT];

	table_add(t, "%s", json_text(interface, "interface"));
	table_add(t, "%s", json_text(interface, "state"));
	if (*json_text(interface, "error"))
		table_append(t, ": %s", json_text(interface, "error"));
	if (*json_text(interface, "mode") && strcmp(json_text(interface, "mode"), "querier") != 0)
		table_append(t, ", %s", json_text(interface, "mode"));
	table_add(t, "%s", json_text(interface, "querier"));
	if (json_true(interface, "is_querier"))
		table_append(t, ", this router");
	table_add(t, "%.0f", json_number(interface, "version"));
	table_add(t, "%.0f", json_number(interface, "groups"));
	table_add(t, "%s", value_count(text, json_number(interface, "accepted")));
	table_add(t, "%s", "");
	drops_append(t, json_member(interface, "drops"), false);
}

enum ctl_exit cmd_igmp_interfaces(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", false }, { "STATE", false }, { "QUERIER", false },
		{ "VERSION", true },	{ "GROUPS", true }, { "ACCEPTED", true },
		{ "DROPS", false },
	};
	const cJSON *interface;
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetIgmpInterfaces"), &reply);
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json &&
	    cJSON_GetArraySize(json_member(reply, "interfaces")) == 0) {
		puts("IGMP is not configured on any interface");
	} else if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, COUNT_OF(columns));
		cJSON_ArrayForEach (interface, json_member(reply, "interfaces"))
			interface_row(t, interface);
		table_print(t);
	}
	cJSON_Delete(reply);
	return status;
}

static enum ctl_exit change(struct ctl *ctl, const struct ctl_args *args, const char *command)
{
	cJSON *request = ctl_request(ctl, command), *reply;
	enum ctl_exit status;

	cJSON_AddStringToObject(request, "interface", args->operand);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_igmp_enable(struct ctl *ctl, const struct ctl_args *args)
{
	return change(ctl, args, "EnableIgmpQuerier");
}

enum ctl_exit cmd_igmp_disable(struct ctl *ctl, const struct ctl_args *args)
{
	return change(ctl, args, "DisableIgmpQuerier");
}
