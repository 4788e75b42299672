/* SPDX-License-Identifier: MIT */
/* Commands about PIM. */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void add_time(struct table *t, const cJSON *of, const char *key, const char *otherwise)
{
	char text[VALUE_TEXT];

	if (json_member(of, key))
		table_add(t, "%s", value_ms(text, json_number(of, key) * 1000));
	else
		table_add(t, "%s", otherwise);
}

/* Prints a reply's list as a table, or `none` when it is empty. */
static void list_print(const cJSON *list, const struct table_column *columns, size_t n,
		       void (*row)(struct table *t, const cJSON *item), const char *none)
{
	struct table *t;
	const cJSON *item;

	if (cJSON_GetArraySize(list) == 0) {
		puts(none);
		return;
	}
	t = table_new(columns, n);
	cJSON_ArrayForEach (item, list)
		row(t, item);
	table_print(t);
}

/* --- neighbours ------------------------------------------------------------------------------- */

static void neighbor_row(struct table *t, const cJSON *n)
{
	const cJSON *second;

	table_add(t, "%s", json_text(n, "interface"));
	table_add(t, "%s", json_text(n, "address"));
	cJSON_ArrayForEach (second, json_member(n, "secondary_addresses"))
		table_append(t, "\n%s", cJSON_IsString(second) ? second->valuestring : "");
	if (json_member(n, "dr_priority"))
		table_add(t, "%.0f", json_number(n, "dr_priority"));
	else
		table_add(t, "none");
	table_add(t, "%s", json_true(n, "is_dr") ? "DR" : "");
	add_time(t, n, "age_secs", "");
	add_time(t, n, "expires_in_secs", "never");
}

enum ctl_exit cmd_pim_neighbors(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", false }, { "NEIGHBOR", false }, { "PRIORITY", true },
		{ "ROLE", false },	{ "AGE", true },       { "EXPIRES IN", true },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetPimNeighbors"), &reply);

	if (status == CTL_OK && !ctl->wants_json)
		list_print(json_member(reply, "neighbors"), columns, COUNT_OF(columns),
			   neighbor_row, "no PIM neighbors");
	cJSON_Delete(reply);
	return status;
}

/* --- interfaces ------------------------------------------------------------------------------- */

static void interface_row(struct table *t, const cJSON *i)
{
	table_add(t, "%s", json_text(i, "interface"));
	table_add(t, "%s", json_text(i, "state"));
	if (*json_text(i, "error"))
		table_append(t, ": %s", json_text(i, "error"));
	if (json_true(i, "passive"))
		table_append(t, ", passive");
	table_add(t, "%s", json_text(i, "address"));
	table_add(t, "%s", json_text(i, "dr"));
	if (json_true(i, "is_dr"))
		table_append(t, "%sthis router", *json_text(i, "dr") ? ", " : "");
	table_add(t, "%.0f", json_number(i, "neighbors"));
	add_time(t, i, "next_hello_in_secs", "");
}

static void counters_print(const cJSON *c)
{
	static const struct table_column columns[] = { { NULL, false }, { NULL, false } };
	struct table *t = table_new(columns, COUNT_OF(columns));
	char text[VALUE_TEXT];

	table_add(t, "messages received");
	table_add(t, "%s", value_count(text, json_number(c, "received")));
	drops_append(t, json_member(c, "received_types"), true);
	table_add(t, "accepted");
	table_add(t, "%s", value_count(text, json_number(c, "accepted")));
	table_add(t, "dropped");
	table_add(t, "%s", "");
	if (!drops_append(t, json_member(c, "drops"), false))
		table_append(t, "none");
	table_add(t, "lost by the kernel");
	table_add(t, "%s", value_count(text, json_number(c, "lost")));
	table_add(t, "sent");
	table_add(t, "%s", "");
	if (!drops_append(t, json_member(c, "sent_types"), false))
		table_append(t, "none");
	table_print(t);
}

enum ctl_exit cmd_pim_interfaces(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", false }, { "STATE", false },    { "ADDRESS", false },
		{ "DR", false },	{ "NEIGHBORS", true }, { "HELLO IN", true },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetPimInterfaces"), &reply);
	const cJSON *list = json_member(reply, "interfaces");

	if (status == CTL_OK && !ctl->wants_json) {
		list_print(list, columns, COUNT_OF(columns), interface_row,
			   "PIM is not configured on any interface");
		if (cJSON_GetArraySize(list))
			counters_print(json_member(reply, "counters"));
	}
	cJSON_Delete(reply);
	return status;
}

/* --- rendezvous points ------------------------------------------------------------------------ */

static void rp_row(struct table *t, const cJSON *rp)
{
	table_add(t, "%s", json_text(rp, "group"));
	table_add(t, "%s", json_text(rp, "rp"));
	table_add(t, "%s", json_text(rp, "by"));
	if (json_member(rp, "priority"))
		table_add(t, "%.0f", json_number(rp, "priority"));
	else
		table_add(t, "%s", "");
	add_time(t, rp, "expires_in_secs", "never");
}

static void bsr_print(const cJSON *bsr)
{
	if (*json_text(bsr, "address"))
		printf("bootstrap router: %s, priority %.0f, hash mask %.0f; this router: %s\n",
		       json_text(bsr, "address"), json_number(bsr, "priority"),
		       json_number(bsr, "hash_mask"), json_text(bsr, "state"));
	else
		printf("bootstrap router: none is known; this router: %s\n",
		       *json_text(bsr, "state") ? json_text(bsr, "state") : "without PIM");
}

enum ctl_exit cmd_pim_rp(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "GROUPS", false },  { "RP", false },	      { "BY", false },
		{ "PRIORITY", true }, { "EXPIRES IN", true },
	};
	cJSON *request = ctl_request(ctl, "GetPimRp"), *reply;
	const char *group = args_get(args, "group");
	enum ctl_exit status;

	if (group)
		cJSON_AddStringToObject(request, "group", group);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK && !ctl->wants_json && group) {
		printf("%s: %s\n", group,
		       *json_text(reply, "rp") ? json_text(reply, "rp") : "no rendezvous point");
	} else if (status == CTL_OK && !ctl->wants_json) {
		list_print(json_member(reply, "rps"), columns, COUNT_OF(columns), rp_row,
			   "no rendezvous points");
		bsr_print(json_member(reply, "bsr"));
	}
	cJSON_Delete(reply);
	return status;
}

/* --- joins ------------------------------------------------------------------------------------ */

static void branch_append(struct table *t, const cJSON *b)
{
	static const struct {
		const char *key, *word;
	} parts[] = {
		{ "join", "" },
		{ "rpt_prune", " rpt " },
		{ "local", " hosts " },
		{ "assert", " assert " },
	};
	bool has_before = false;

	table_append(t, "%s", json_text(b, "interface"));
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		const char *state = json_text(b, parts[i].key);

		if (!*state || strcmp(state, "none") == 0)
			continue;
		table_append(t, "%s%s%s", has_before ? "," : ":",
			     *parts[i].word ? parts[i].word : " ", state);
		has_before = true;
	}
}

static void join_row(struct table *t, const cJSON *j)
{
	const cJSON *branch;
	bool is_first = true;

	table_add(t, "%s", *json_text(j, "source") ? json_text(j, "source") : "*");
	table_add(t, "%s", json_text(j, "group"));
	table_add(t, "%s", json_text(j, "rp"));
	if (json_true(j, "is_rp"))
		table_append(t, ", this router");
	table_add(t, "%s", json_true(j, "joined") ? "joined" : "not joined");
	if (json_true(j, "spt"))
		table_append(t, ", SPT");
	if (strcmp(json_text(j, "register"), "none") != 0)
		table_append(t, ", register %s", json_text(j, "register"));
	if (strcmp(json_text(j, "rpt"), "pruned") == 0)
		table_append(t, ", rpt pruned");
	table_add(t, "%s", json_text(j, "rpf_interface"));
	if (*json_text(j, "rpf_neighbor"))
		table_append(t, " %s", json_text(j, "rpf_neighbor"));
	table_add(t, "%s", "");
	cJSON_ArrayForEach (branch, json_member(j, "branches")) {
		table_append(t, "%s", is_first ? "" : "\n");
		branch_append(t, branch);
		is_first = false;
	}
}

enum ctl_exit cmd_pim_joins(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "SOURCE", false }, { "GROUP", false },    { "RP", false },
		{ "STATE", false },  { "UPSTREAM", false }, { "DOWNSTREAM", false },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetPimJoins"), &reply);

	if (status == CTL_OK && !ctl->wants_json)
		list_print(json_member(reply, "joins"), columns, COUNT_OF(columns), join_row,
			   "PIM has no routes");
	cJSON_Delete(reply);
	return status;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Has a change made, and says what came of it. */
static enum ctl_exit change(struct ctl *ctl, cJSON *request)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, request, &reply);

	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_pim_enable(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "EnablePim");
	const char *priority = args_get(args, "dr-priority");
	char *end = NULL;

	cJSON_AddStringToObject(request, "interface", args_get(args, "interface"));
	if (priority)
		cJSON_AddNumberToObject(request, "dr_priority", strtod(priority, &end));
	if (end && (*end || end == priority)) {
		cJSON_Delete(request);
		return ctl_fail(CTL_USAGE, "%s is not a priority", priority);
	}
	return change(ctl, request);
}

enum ctl_exit cmd_pim_disable(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "DisablePim");

	cJSON_AddStringToObject(request, "interface", args_get(args, "interface"));
	return change(ctl, request);
}

enum ctl_exit cmd_pim_set_rp(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "SetStaticRp");

	cJSON_AddStringToObject(request, "group_prefix", args_get(args, "group"));
	cJSON_AddStringToObject(request, "rp_address", args_get(args, "rp"));
	return change(ctl, request);
}

enum ctl_exit cmd_pim_set_rp_address(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "SetRpAddress");

	cJSON_AddStringToObject(request, "address", args_get(args, "address"));
	return change(ctl, request);
}
