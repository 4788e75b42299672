/* SPDX-License-Identifier: MIT */
/* Commands for looking back: trace, logs. */
#include "ctl/ctl.h"

#include <poll.h>
#include <string.h>

#define FOLLOW_MS 500

/* The number that an option gave, whose range the daemon judges; *out stays without one. */
static bool read_number(const struct ctl_args *args, const char *option, int *out)
{
	const char *value = args_get(args, option);

	if (!value || args_number(value, out))
		return true;
	ctl_fail(CTL_USAGE, "--%s is a number of at most nine digits, not '%s'", option, value);
	return false;
}

static enum ctl_exit set_trace(struct ctl *ctl, cJSON *request, const char *rule)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call_rule(ctl, request, rule, &reply);

	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_trace_enable(struct ctl *ctl, const struct ctl_args *args)
{
	int every = 1;
	cJSON *request;

	if (!read_number(args, "every", &every))
		return CTL_USAGE;
	request = ctl_request(ctl, "EnableTrace");
	cJSON_AddNumberToObject(request, "every", every);
	return set_trace(ctl, request, args->operand);
}

enum ctl_exit cmd_trace_disable(struct ctl *ctl, const struct ctl_args *args)
{
	return set_trace(ctl, ctl_request(ctl, "DisableTrace"), args->operand);
}

/* "198.18.0.1:5001"; ESP has no ports. Empty when the record's head could not be read. */
static void trace_end(struct table *t, const cJSON *record, const char *address, const char *port)
{
	table_add(t, "%s", json_text(record, address));
	if (json_number(record, port) > 0)
		table_append(t, ":%.0f", json_number(record, port));
}

static void trace_number(struct table *t, const cJSON *record, const char *key)
{
	table_add(t, "%s", "");
	if (json_member(record, key))
		table_append(t, "%.0f", json_number(record, key));
}

static void trace_row(struct table *t, const cJSON *record)
{
	char age[VALUE_TEXT];

	table_add(t, "%.0f", json_number(record, "pid"));
	table_add(t, "%s", value_ago(age, json_number(record, "age_ms")));
	trace_end(t, record, "source", "source_port");
	trace_end(t, record, "group", "port");
	trace_number(t, record, "ttl");
	trace_number(t, record, "dscp");
	trace_number(t, record, "payload");
}

static void trace_print(const cJSON *reply)
{
	static const struct table_column columns[] = {
		{ "WORKER", true }, { "SEEN", true }, { "FROM", false },   { "TO", false },
		{ "TTL", true },    { "DSCP", true }, { "PAYLOAD", true },
	};
	const cJSON *records = json_member(reply, "records"), *record;
	double every = json_number(reply, "every");
	struct table *t;

	if (every > 1)
		printf("recording one datagram in %.0f", every);
	else
		fputs(every > 0 ? "recording every datagram" : "not recording", stdout);
	puts(cJSON_GetArraySize(records) ? "" : "; nothing was recorded");
	if (cJSON_GetArraySize(records) == 0)
		return;
	t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	cJSON_ArrayForEach (record, records)
		trace_row(t, record);
	table_print(t);
}

enum ctl_exit cmd_trace_show(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status =
		ctl_call_rule(ctl, ctl_request(ctl, "GetTrace"), args->operand, &reply);

	if (status == CTL_OK && !ctl->wants_json)
		trace_print(reply);
	cJSON_Delete(reply);
	return status;
}

/* The daemon keeps so many lines only: between two looks there may have been more. */
static void tell_gap(const cJSON *lines, double since)
{
	double first = json_number(cJSON_GetArrayItem(lines, 0), "sequence");

	if (since > 0 && first > since + 1)
		ctl_fail(CTL_OK, "%.0f lines are not kept any more", first - since - 1);
}

static void logs_print(const cJSON *lines)
{
	const cJSON *line;

	cJSON_ArrayForEach (line, lines)
		printf("%s %s %s: %s\n", json_text(line, "time"), json_text(line, "level"),
		       json_text(line, "facility"), json_text(line, "message"));
}

/* One look; *since becomes the number of the newest line. */
static enum ctl_exit logs_look(struct ctl *ctl, double *since, bool is_first)
{
	cJSON *request = ctl_request(ctl, "DumpLogs"), *reply;
	enum ctl_exit status;
	const cJSON *lines;

	if (*since > 0)
		cJSON_AddNumberToObject(request, "since", *since);
	status = ctl_exchange(ctl, request, &reply);
	if (status != CTL_OK)
		return status;
	lines = json_member(reply, "lines");
	tell_gap(lines, *since);
	if (ctl->wants_json && (is_first || !ctl_is_ok(reply) || cJSON_GetArraySize(lines) > 0))
		ctl_print_raw(ctl);
	if (!ctl_is_ok(reply))
		status = ctl_refused(reply, NULL);
	else if (!ctl->wants_json)
		logs_print(lines);
	*since = json_number(reply, "newest");
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_logs(struct ctl *ctl, const struct ctl_args *args)
{
	enum ctl_exit status;
	int number = 0;
	double since;

	if (!read_number(args, "since", &number))
		return CTL_USAGE;
	since = number;
	status = logs_look(ctl, &since, true);
	while (status == CTL_OK && args_get(args, "follow")) {
		if (fflush(stdout) || ferror(stdout))
			break; /* main says so */
		poll(NULL, 0, FOLLOW_MS);
		status = logs_look(ctl, &since, false);
	}
	return status;
}
