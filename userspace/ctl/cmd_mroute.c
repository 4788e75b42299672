/* SPDX-License-Identifier: MIT */
/* Commands about multicast routes. */
#include "ctl/ctl.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What PIM says of it; nothing where there is no PIM. */
static void flags_add(struct table *t, const cJSON *route)
{
	static const struct {
		const char *key, *word;
	} flags[] = { { "joined", "joined" }, { "spt", "spt" } };
	bool has_before = false;

	table_add(t, "%s", "");
	if (*json_text(route, "rp")) {
		table_append(t, "rp %s", json_text(route, "rp"));
		has_before = true;
	}
	for (size_t i = 0; i < COUNT_OF(flags); i++)
		if (json_true(route, flags[i].key)) {
			table_append(t, "%s%s", has_before ? "\n" : "", flags[i].word);
			has_before = true;
		}
	if (*json_text(route, "register_to"))
		table_append(t, "%sregister", has_before ? "\n" : "");
}

static void route_row(struct table *t, const cJSON *route)
{
	const cJSON *output;
	char text[VALUE_TEXT];
	bool is_first = true;

	table_add(t, "%s", *json_text(route, "source") ? json_text(route, "source") : "*");
	table_add(t, "%s", json_text(route, "group"));
	table_add(t, "%s",
		  *json_text(route, "input_interface") ? json_text(route, "input_interface")
						       : "none");
	if (*json_text(route, "rpf_neighbor"))
		table_append(t, "\n%s", json_text(route, "rpf_neighbor"));
	flags_add(t, route);
	table_add(t, "%s", "");
	cJSON_ArrayForEach (output, json_member(route, "outputs")) {
		const cJSON *owner;

		table_append(t, "%s%s", is_first ? "" : "\n", json_text(output, "interface"));
		cJSON_ArrayForEach (owner, json_member(output, "owners"))
			table_append(t, " %s", cJSON_IsString(owner) ? owner->valuestring : "");
		if (strcmp(json_text(output, "state"), "forwarded") != 0)
			table_append(t, ": %s", json_text(output, "state"));
		is_first = false;
	}
	table_add(t, "%s", value_count(text, json_number(route, "packets")));
	table_add(t, "%s", value_rate(text, json_number(route, "packets_per_second")));
	table_add(t, "%s", value_count(text, json_number(route, "packets_wrong_interface")));
	table_add(t, "%s", value_ms(text, json_number(route, "age_secs") * 1000));
}

enum ctl_exit cmd_mroute(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "SOURCE", false }, { "GROUP", false },   { "INPUT", false },
		{ "TREE", false },   { "OUTPUTS", false }, { "PACKETS", true },
		{ "PER S", true },   { "WRONG IF", true }, { "AGE", true },
	};
	const cJSON *route;
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetMroute"), &reply);
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json &&
	    cJSON_GetArraySize(json_member(reply, "routes")) == 0) {
		puts("no multicast routes");
	} else if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, COUNT_OF(columns));
		cJSON_ArrayForEach (route, json_member(reply, "routes"))
			route_row(t, route);
		table_print(t);
	}
	cJSON_Delete(reply);
	return status;
}

static enum ctl_exit change(struct ctl *ctl, const struct ctl_args *args, cJSON *request)
{
	const char *source = args_get(args, "source");
	enum ctl_exit status;
	cJSON *reply;

	cJSON_AddStringToObject(request, "group", args_get(args, "group"));
	if (source)
		cJSON_AddStringToObject(request, "source", source);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_mroute_add(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "AddMroute"), *outputs;
	const char *output;
	size_t at = 0;

	cJSON_AddStringToObject(request, "input", args_get(args, "input"));
	outputs = cJSON_AddArrayToObject(request, "outputs");
	while ((output = args_next(args, "output", &at)))
		cJSON_AddItemToArray(outputs, cJSON_CreateString(output));
	return change(ctl, args, request);
}

enum ctl_exit cmd_mroute_remove(struct ctl *ctl, const struct ctl_args *args)
{
	return change(ctl, args, ctl_request(ctl, "RemoveMroute"));
}

static void rpf_print(const cJSON *rpf)
{
	static const struct table_column columns[] = { { NULL, false }, { NULL, false } };
	struct table *t = table_new(columns, COUNT_OF(columns));

	table_add(t, "source");
	table_add(t, "%s", json_text(rpf, "source"));
	table_add(t, "comes in at");
	table_add(t, "%s",
		  *json_text(rpf, "upstream_interface") ? json_text(rpf, "upstream_interface")
							: "no interface");
	if (*json_text(rpf, "upstream_neighbor"))
		table_append(t, ", from %s", json_text(rpf, "upstream_neighbor"));
	table_add(t, "because");
	table_add(t, "%s", json_text(rpf, "reason"));
	if (*json_text(rpf, "prefix"))
		table_append(t, ": route %s, metric %.0f, table %.0f", json_text(rpf, "prefix"),
			     json_number(rpf, "metric"), json_number(rpf, "table"));
	table_add(t, "routed");
	table_add(t, "%s", json_true(rpf, "is_routed") ? "yes" : "no");
	table_print(t);
}

enum ctl_exit cmd_rpf(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "QueryRpf"), *reply;
	enum ctl_exit status;

	cJSON_AddStringToObject(request, "source", args->operand);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK && !ctl->wants_json)
		rpf_print(json_member(reply, "rpf"));
	cJSON_Delete(reply);
	return status;
}
