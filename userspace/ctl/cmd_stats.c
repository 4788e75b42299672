/* SPDX-License-Identifier: MIT */
/* Commands that show how it goes: status, stats, list-workers, check, ping, version. */
#include "ctl/ctl.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void status_rules(struct table *t, const cJSON *rules)
{
	static const char *const states[] = { "active", "unresolved", "failed" };
	size_t i;

	table_add(t, "rules");
	table_add(t, "%.0f", json_number(rules, "total"));
	for (i = 0; i < COUNT_OF(states); i++)
		table_append(t, "%s%.0f %s", i ? ", " : ": ", json_number(rules, states[i]),
			     states[i]);
}

static void status_rows(struct table *t, const cJSON *reply)
{
	char up[VALUE_TEXT], in[VALUE_TEXT], out[VALUE_TEXT], drops[VALUE_TEXT];
	const cJSON *sentence;

	table_add(t, "instance");
	table_add(t, "%s, pid %.0f, version %s, up %s", json_text(reply, "instance"),
		  json_number(reply, "pid"), json_text(reply, "version"),
		  value_ms(up, json_number(reply, "uptime_s") * 1000));
	status_rules(t, json_member(reply, "rules"));
	table_add(t, "workers");
	table_add(t, "%.0f: %.0f ready", json_count(reply, "workers"),
		  json_number(reply, "workers_ready"));
	table_add(t, "interfaces");
	table_add(t, "%.0f", json_count(reply, "interfaces"));
	table_add(t, "traffic");
	table_add(t, "%s packets/s in, %s copies/s out, %s drops/s",
		  value_rate(in, json_number(reply, "packets_per_second")),
		  value_rate(out, json_number(reply, "copies_per_second")),
		  value_rate(drops, json_number(reply, "drops_per_second")));
	table_add(t, "saved");
	table_add(t, "%s", json_true(reply, "persisted") ? "yes" : "no");
	cJSON_ArrayForEach (sentence, json_member(reply, "degraded")) {
		table_add(t, "degraded");
		table_add(t, "%s", cJSON_IsString(sentence) ? sentence->valuestring : "");
	}
}

enum ctl_exit cmd_status(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = { { NULL, false }, { NULL, false } };
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetStatus"), &reply);
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, COUNT_OF(columns));
		status_rows(t, reply);
		table_print(t);
	}
	cJSON_Delete(reply);
	return status;
}

static void stats_rule_rows(struct table *t, const cJSON *rule)
{
	char text[VALUE_TEXT];
	const cJSON *output;

	table_add(t, "%s: ", rule_label(rule));
	rule_append_input(t, rule);
	table_add(t, "%s", value_count(text, json_number(rule, "packets_matched")));
	table_add(t, "%s", value_rate(text, json_number(rule, "packets_per_second")));
	table_add(t, "%s", value_rate(text, json_number(rule, "bits_per_second")));
	table_add(t, "%s", value_ago(text, json_number(rule, "last_seen_ms")));
	table_add(t, "%s", "");
	drops_append(t, json_member(rule, "drops"), false);
	cJSON_ArrayForEach (output, json_member(rule, "outputs")) {
		table_add(t, "  > ");
		rule_append_output(t, rule, output);
		table_add(t, "%s", value_count(text, json_number(output, "sent")));
		table_add(t, "%s", "");
		table_add(t, "%s", "");
		table_add(t, "%s", "");
		table_add(t, "%s", "");
		drops_append(t, json_member(output, "drops"), false);
	}
}

static void stats_rules(const cJSON *rules)
{
	static const struct table_column columns[] = {
		{ "RULE, > OUTPUT", false }, { "PACKETS", true },   { "PER S", true },
		{ "BIT/S", true },	     { "LAST SEEN", true }, { "DROPS", false },
	};
	struct table *t = table_new(columns, COUNT_OF(columns));
	const cJSON *rule;

	cJSON_ArrayForEach (rule, rules)
		stats_rule_rows(t, rule);
	table_print(t);
}

static void worker_label(struct table *t, const cJSON *worker)
{
	table_add(t, "%s %s", json_text(worker, "interface"), json_text(worker, "worker_type"));
	if (json_number(worker, "core_id") >= 0)
		table_append(t, " core %.0f", json_number(worker, "core_id"));
}

static void stats_workers(const cJSON *workers)
{
	static const struct table_column columns[] = {
		{ "WORKER", false }, { "TAKEN", true }, { "MATCHED", true },
		{ "DUE", true },     { "SENT", true },	{ "DROPS", false },
	};
	static const char *const counts[] = { "dequeued", "matched", "due", "sent" };
	static const char *const losses[] = { "rx_dropped", "ring_full" };
	struct table *t = table_new(columns, COUNT_OF(columns));
	const cJSON *worker;
	bool has_drops;
	size_t i;

	cJSON_ArrayForEach (worker, workers) {
		worker_label(t, worker);
		for (i = 0; i < COUNT_OF(counts); i++)
			table_add(t, "%.0f", json_number(worker, counts[i]));
		table_add(t, "%s", "");
		has_drops = false;
		for (i = 0; i < COUNT_OF(losses); i++) {
			if (json_number(worker, losses[i]) == 0)
				continue;
			table_append(t, "%s%s %.0f", has_drops ? ", " : "", losses[i],
				     json_number(worker, losses[i]));
			has_drops = true;
		}
		has_drops = drops_append(t, json_member(worker, "frame_drops"), has_drops);
		drops_append(t, json_member(worker, "copy_drops"), has_drops);
	}
	table_print(t);
}

/* One row of what one stage of an interface saw. */
static void stats_stage(struct table *t, const char *name, const char *stage, double seen,
			const cJSON *verdicts)
{
	table_add(t, "%s", name);
	table_add(t, "%s", stage);
	table_add(t, "%.0f", seen);
	table_add(t, "%s", "");
	drops_append(t, verdicts, false);
}

static void stats_note(struct table *t, const char *note)
{
	table_add(t, "%s", "");
	table_add(t, "note");
	table_add(t, "%s", "");
	table_add(t, "%s", note);
}

static void stats_interfaces(const cJSON *interfaces)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", false },
		{ "AT", false },
		{ "SEEN", true },
		{ "VERDICTS", false },
	};
	struct table *t = table_new(columns, COUNT_OF(columns));
	const cJSON *i, *kernel, *packet, *device;
	const char *name;
	char at[64];

	cJSON_ArrayForEach (i, interfaces) {
		snprintf(at, sizeof(at), "xdp %s", json_text(i, "xdp_mode"));
		name = json_text(i, "name");
		if (json_member(i, "seen")) { /* it is an input */
			stats_stage(t, name, at, json_number(i, "seen"),
				    json_member(i, "verdicts"));
			name = "";
		}
		kernel = json_member(i, "kernel");
		if (cJSON_IsObject(kernel))
			stats_stage(t, "", "kernel copies", json_number(kernel, "replicated"),
				    kernel);
		packet = json_member(i, "packet_socket");
		if (cJSON_IsObject(packet))
			stats_stage(t, "", "packet socket", json_number(packet, "seen"),
				    json_member(packet, "verdicts"));
		device = json_member(i, "device");
		if (cJSON_IsObject(device))
			stats_stage(t, name, "device", json_number(device, "rx_packets"), device);
		if (*json_text(i, "xdp_note"))
			stats_note(t, json_text(i, "xdp_note"));
	}
	table_print(t);
}

enum ctl_exit cmd_stats(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call_rules(ctl, "GetStats", &reply);

	if (status == CTL_OK && !ctl->wants_json) {
		stats_rules(json_member(reply, "rules"));
		putchar('\n');
		stats_workers(json_member(reply, "workers"));
		putchar('\n');
		stats_interfaces(json_member(reply, "interfaces"));
	}
	cJSON_Delete(reply);
	return status;
}

static void worker_row(struct table *t, const cJSON *worker)
{
	const cJSON *queue;
	char up[VALUE_TEXT];
	bool is_first = true;

	table_add(t, "%.0f", json_number(worker, "pid"));
	table_add(t, "%s", json_text(worker, "interface"));
	table_add(t, "%s", json_text(worker, "worker_type"));
	if (json_number(worker, "core_id") >= 0)
		table_add(t, "%.0f", json_number(worker, "core_id"));
	else
		table_add(t, "any");
	table_add(t, "%s", "");
	cJSON_ArrayForEach (queue, json_member(worker, "queues")) {
		table_append(t, "%s%.0f", is_first ? "" : ",", json_value(queue));
		is_first = false;
	}
	table_add(t, "%s", json_text(worker, "status"));
	if (json_number(worker, "backoff_ms") > 0)
		table_append(t, " in %.0f ms", json_number(worker, "backoff_ms"));
	table_add(t, "%.0f", json_number(worker, "restarts"));
	table_add(t, "%s", value_ms(up, json_number(worker, "uptime_s") * 1000));
}

enum ctl_exit cmd_workers(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "PID", true },     { "INTERFACE", false }, { "TYPE", false },	   { "CORE", true },
		{ "QUEUES", false }, { "STATUS", false },    { "RESTARTS", true }, { "UP", true },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "ListWorkers"), &reply);
	const cJSON *worker;
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, COUNT_OF(columns));
		cJSON_ArrayForEach (worker, json_member(reply, "workers"))
			worker_row(t, worker);
		if (cJSON_GetArraySize(json_member(reply, "workers")) == 0)
			puts("no workers");
		table_print(t);
	}
	cJSON_Delete(reply);
	return status;
}

static void side(struct table *t, const cJSON *half)
{
	table_add(t, "%s\n= %.0f", json_text(half, "expression"), json_number(half, "value"));
}

static void check_row(struct table *t, const cJSON *identity)
{
	table_add(t, "%s", json_true(identity, "holds") ? "holds" : "BROKEN");
	table_add(t, "%.0f", json_number(identity, "id"));
	table_add(t, "%s", json_text(identity, "name"));
	table_add(t, "%s", json_text(identity, "scope"));
	side(t, json_member(identity, "left"));
	side(t, json_member(identity, "right"));
	table_add(t, "%s", json_text(identity, "note"));
}

enum ctl_exit cmd_check(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = {
		{ "RESULT", false }, { "", true },	 { "IDENTITY", false }, { "SCOPE", false },
		{ "LEFT", false },   { "RIGHT", false }, { "NOTE", false },
	};
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "CheckAccounting"), &reply);
	const cJSON *identity;
	struct table *t;

	if (status != CTL_OK)
		return status;
	if (!ctl->wants_json) {
		t = table_new(columns, COUNT_OF(columns));
		cJSON_ArrayForEach (identity, json_member(reply, "identities"))
			check_row(t, identity);
		table_print(t);
	}
	if (!json_true(reply, "holds"))
		status = ctl_fail(CTL_REFUSED, "the accounting does not add up");
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_ping(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "Ping"), &reply);

	if (status == CTL_OK && !ctl->wants_json)
		puts(json_text(reply, "message"));
	cJSON_Delete(reply);
	return status;
}

/* Requests for one version may be misunderstood by another, so it is said when versions are. */
static enum ctl_exit check_protocol(struct ctl *ctl)
{
	cJSON *request = ctl_request(ctl, "VersionCheck"), *reply;
	enum ctl_exit status;

	cJSON_AddNumberToObject(request, "protocol_version", CTL_PROTOCOL_VERSION);
	status = ctl_exchange(ctl, request, &reply);
	if (status == CTL_OK && !ctl_is_ok(reply))
		ctl_fail(CTL_OK, "warning: mcrctl speaks protocol version %d: %s",
			 CTL_PROTOCOL_VERSION,
			 *json_text(reply, "message") ? json_text(reply, "message")
						      : json_text(reply, "error_code"));
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_version(struct ctl *ctl, const struct ctl_args *args)
{
	const cJSON *abi;
	cJSON *reply;
	enum ctl_exit status;

	if (!ctl->wants_json)
		puts("mcrctl " MCR_VERSION);
	status = ctl_call(ctl, ctl_request(ctl, "GetVersion"), &reply);
	if (status == CTL_OK && !ctl->wants_json) {
		abi = json_member(reply, "abi");
		printf("mcrd %s, protocol %.0f, map layout ", json_text(reply, "version"),
		       json_number(reply, "protocol_version"));
		if (cJSON_IsNumber(abi))
			printf("%g\n", abi->valuedouble);
		else
			puts(json_text(reply, "abi"));
	}
	cJSON_Delete(reply);
	return status == CTL_OK ? check_protocol(ctl) : status;
}
