/* SPDX-License-Identifier: MIT */
/* One request and its reply: which socket, what goes wrong, and in which words to say so. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum ctl_exit ctl_fail(enum ctl_exit status, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	fflush(stdout); /* what came before stands before, also where both go to one file */
	fputs("mcrctl: ", stderr);
	text_write(stderr, n < 0 ? "out of memory" : text);
	fputc('\n', stderr);
	if (n >= 0)
		free(text);
	return status;
}

cJSON *ctl_request(const struct ctl *ctl, const char *command)
{
	cJSON *request = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "command", command);
	if (ctl->dry_run && ctl->verb->access == CTL_CHANGES)
		cJSON_AddTrueToObject(request, "dry_run");
	return request;
}

/* Where the daemon's socket is, by the options. */
static bool find_path(struct ctl *ctl)
{
	size_t len;

	if (!ctl->socket_path) {
		if (mcr_client_instance_path(ctl->instance, ctl->path) == 0)
			return true;
		ctl_fail(CTL_USAGE,
			 "'%s' is no instance name: 1 to 31 letters, digits, '.', '_', '-', "
			 "a letter or digit first",
			 ctl->instance);
		return false;
	}
	len = strlen(ctl->socket_path);
	if (len == 0 || len >= sizeof(ctl->path)) {
		ctl_fail(CTL_USAGE, "--socket-path is 1 to %zu bytes long, not %zu",
			 sizeof(ctl->path) - 1, len);
		return false;
	}
	memcpy(ctl->path, ctl->socket_path, len + 1);
	return true;
}

static enum ctl_exit unreachable(const struct ctl *ctl, int err)
{
	const char *instance = ctl->instance ? ctl->instance : MCR_CLIENT_INSTANCE;
	const char *start = ctl->socket_path ? "--socket-path" : "--instance";
	const char *value = ctl->socket_path ? ctl->socket_path : instance;

	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		return ctl_fail(
			CTL_UNREACHABLE,
			"cannot reach mcrd at %s: no such file; is it running? (mcrd %s %s)",
			ctl->path, start, value);
	case -ECONNREFUSED:
		return ctl_fail(
			CTL_UNREACHABLE,
			"cannot reach mcrd at %s: nobody listens; start it again (mcrd %s %s)",
			ctl->path, start, value);
	case -EACCES:
	case -EPERM:
		return ctl_fail(CTL_UNREACHABLE,
				"cannot reach mcrd at %s: permission denied; %s needs root, or the "
				"group of that file",
				ctl->path, ctl->verb->name);
	case -ETIMEDOUT:
		return ctl_fail(CTL_UNREACHABLE,
				"cannot reach mcrd at %s: it accepts no connection; is it stopped?",
				ctl->path);
	}
	return ctl_fail(CTL_UNREACHABLE, "cannot reach mcrd at %s: %s", ctl->path, strerror(-err));
}

/* Connects; a command that changes nothing makes do with the read-only socket. */
static enum ctl_exit connect_to_daemon(struct ctl *ctl)
{
	char readonly[MCR_CLIENT_PATH_MAX];
	int err;

	if (!find_path(ctl))
		return CTL_USAGE;
	err = mcr_client_open(&ctl->client, ctl->path, ctl->timeout_ms);
	if ((err == -EACCES || err == -EPERM || err == -ENOENT) && ctl->verb->access == CTL_READS &&
	    mcr_client_readonly_path(ctl->path, readonly) == 0 &&
	    mcr_client_open(&ctl->client, readonly, ctl->timeout_ms) == 0) {
		memcpy(ctl->path, readonly, sizeof(readonly));
		err = 0;
	}
	return err ? unreachable(ctl, err) : CTL_OK;
}

/* The connection failed in the middle of an exchange. */
static enum ctl_exit no_reply(const struct ctl *ctl, int err)
{
	const char *unsure = ctl->verb->access == CTL_CHANGES && !ctl->dry_run
				     ? "; it may or may not be done, see mcrctl list"
				     : "";

	switch (err) {
	case -ETIMEDOUT:
		return ctl_fail(CTL_UNREACHABLE, "mcrd at %s did not answer within %d s%s",
				ctl->path, ctl->timeout_ms / 1000, unsure);
	case -ECONNRESET:
		return ctl_fail(CTL_UNREACHABLE, "mcrd at %s hung up without an answer%s",
				ctl->path, unsure);
	case -EMSGSIZE:
		return ctl_fail(CTL_UNREACHABLE, "the answer of mcrd at %s exceeds %u MiB%s",
				ctl->path, MCR_CLIENT_REPLY_MAX >> 20, unsure);
	}
	return ctl_fail(CTL_UNREACHABLE, "no answer from mcrd at %s: %s%s", ctl->path,
			strerror(-err), unsure);
}

static void show_line(const char *mark, const char *text)
{
	fputs(mark, stderr);
	text_write(stderr, text);
	fputc('\n', stderr);
}

bool ctl_is_ok(const cJSON *reply)
{
	return strcmp(json_text(reply, "status"), "ok") == 0;
}

bool ctl_is_error(const cJSON *reply, const char *code)
{
	return strcmp(json_text(reply, "error_code"), code) == 0;
}

/* Makes a checked object of the reply's text. */
static enum ctl_exit read_reply(const struct ctl *ctl, size_t len, cJSON **reply)
{
	const char *end;
	cJSON *value = cJSON_ParseWithLengthOpts(ctl->raw, len, &end, false);

	if (value && end + strspn(end, " \t\r") == ctl->raw + len &&
	    (ctl_is_ok(value) || strcmp(json_text(value, "status"), "error") == 0)) {
		json_make_printable(value);
		*reply = value;
		return CTL_OK;
	}
	cJSON_Delete(value);
	return ctl_fail(CTL_UNREACHABLE, "what answers at %s does not speak mcrd's protocol",
			ctl->path);
}

enum ctl_exit ctl_exchange(struct ctl *ctl, cJSON *request, cJSON **reply)
{
	char *text = cJSON_PrintUnformatted(request);
	enum ctl_exit status = CTL_OK;
	size_t len;
	int err;

	*reply = NULL;
	cJSON_Delete(request);
	if (strlen(text) > CTL_REQUEST_MAX)
		status = ctl_fail(CTL_USAGE, "the request exceeds %u MiB, which mcrd refuses",
				  CTL_REQUEST_MAX >> 20);
	if (status == CTL_OK && !ctl->client)
		status = connect_to_daemon(ctl);
	if (status != CTL_OK)
		goto out;
	if (ctl->is_verbose)
		show_line("> ", text);
	err = mcr_client_request(ctl->client, text, &ctl->raw, &len, ctl->timeout_ms);
	if (err) {
		status = no_reply(ctl, err);
		goto out;
	}
	if (ctl->is_verbose)
		show_line("< ", ctl->raw);
	status = read_reply(ctl, len, reply);
out:
	cJSON_free(text);
	return status;
}

/* As it came, but for bytes that could steer a terminal: inside strings JSON has an escape. */
void ctl_print_raw(const struct ctl *ctl)
{
	const unsigned char *s = (const unsigned char *)ctl->raw;
	bool in_string = false;
	size_t length;

	for (; *s; s++) {
		if (in_string && *s == '\\' && s[1] >= 0x20) {
			putchar(*s++);
			putchar(*s);
			continue;
		}
		in_string ^= *s == '"';
		length = printable_length(s);
		if (length)
			fwrite(s, 1, length, stdout);
		else if (*s < 0x80)
			printf(in_string ? "\\u%04x" : " ", *s);
		else
			printf("\\ufffd"); /* no character, or one that steers terminals */
		s += length ? length - 1 : 0;
	}
	putchar('\n');
}

/* The end of an exchange: prints a reply that is wanted raw, lets only an ok through. */
static enum ctl_exit take_reply(const struct ctl *ctl, cJSON **reply)
{
	enum ctl_exit status;

	if (ctl->wants_json)
		ctl_print_raw(ctl);
	if (ctl_is_ok(*reply))
		return CTL_OK;
	status = ctl_refused(*reply, NULL);
	cJSON_Delete(*reply);
	*reply = NULL;
	return status;
}

enum ctl_exit ctl_call(struct ctl *ctl, cJSON *request, cJSON **reply)
{
	enum ctl_exit status = ctl_exchange(ctl, request, reply);

	return status == CTL_OK ? take_reply(ctl, reply) : status;
}

static cJSON *page_request(const struct ctl *ctl, const char *command)
{
	cJSON *request = ctl_request(ctl, command);

	cJSON_AddNumberToObject(request, "limit", CTL_PAGE);
	return request;
}

/* Appends the rules of the pages behind `first`, as long as there are more. */
static enum ctl_exit pages_append(struct ctl *ctl, const char *command, cJSON *first)
{
	cJSON *rules = cJSON_GetObjectItemCaseSensitive(first, "rules"), *request, *page = NULL;
	enum ctl_exit status = CTL_OK;
	bool has_more = json_true(first, "more");

	while (has_more && status == CTL_OK) {
		const cJSON *last = cJSON_GetArrayItem(rules, cJSON_GetArraySize(rules) - 1);
		cJSON *more;

		request = page_request(ctl, command);
		cJSON_AddStringToObject(request, "after", json_text(last, "rule_id"));
		status = ctl_exchange(ctl, request, &page);
		if (status == CTL_OK && !ctl_is_ok(page))
			status = ctl_refused(page, NULL);
		more = cJSON_GetObjectItemCaseSensitive(page, "rules");
		has_more = json_true(page, "more") && cJSON_GetArraySize(more) > 0;
		while (status == CTL_OK && cJSON_GetArraySize(more) > 0)
			cJSON_AddItemToArray(rules, cJSON_DetachItemFromArray(more, 0));
		cJSON_Delete(page);
		page = NULL;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(first, "more");
	return status;
}

enum ctl_exit ctl_call_rules(struct ctl *ctl, const char *command, cJSON **reply)
{
	enum ctl_exit status = ctl_exchange(ctl, ctl_request(ctl, command), reply);
	char *text;

	if (status != CTL_OK || ctl_is_ok(*reply) || !ctl_is_error(*reply, "E_LIMIT"))
		return status == CTL_OK ? take_reply(ctl, reply) : status;
	cJSON_Delete(*reply);
	status = ctl_exchange(ctl, page_request(ctl, command), reply);
	if (status == CTL_OK && ctl_is_ok(*reply))
		status = pages_append(ctl, command, *reply);
	else if (status == CTL_OK)
		status = ctl_refused(*reply, NULL);
	text = status == CTL_OK && ctl->wants_json ? cJSON_PrintUnformatted(*reply) : NULL;
	if (text)
		puts(text);
	cJSON_free(text);
	if (status != CTL_OK) {
		cJSON_Delete(*reply);
		*reply = NULL;
	}
	return status;
}

enum ctl_exit ctl_call_rule(struct ctl *ctl, cJSON *request, const char *rule, cJSON **reply)
{
	cJSON *by_name = cJSON_Duplicate(request, true);
	enum ctl_exit status;

	cJSON_AddStringToObject(by_name, "name", rule);
	status = ctl_exchange(ctl, by_name, reply);
	if (status == CTL_OK && !ctl_is_ok(*reply) && ctl_is_error(*reply, "E_NOT_FOUND")) {
		cJSON_Delete(*reply);
		cJSON_AddStringToObject(request, "rule_id", rule);
		status = ctl_exchange(ctl, request, reply);
	} else {
		cJSON_Delete(request);
	}
	return status == CTL_OK ? take_reply(ctl, reply) : status;
}

enum ctl_exit ctl_refused(const cJSON *error, const char *file)
{
	const char *where = json_text(error, "where"), *what = json_text(error, "message");
	const char *code = json_text(error, "error_code");
	char position[64] = "";

	if (json_number(error, "line") > 0)
		snprintf(position, sizeof(position), ":%.0f:%.0f", json_number(error, "line"),
			 json_number(error, "column"));
	return ctl_fail(CTL_REFUSED, "%s%s%s%s%s%s%s%s%s", file ? file : "", file ? position : "",
			file ? ": " : "", where, *where ? ": " : "",
			*what ? what : "refused without a reason", *code ? " (" : "", code,
			*code ? ")" : "");
}

static const char *change_word(const char *action, bool is_dry)
{
	static const struct {
		const char *action, *done, *would;
	} words[] = {
		{ "add", "added", "would add" },
		{ "remove", "removed", "would remove" },
		{ "change", "changed", "would change" },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].action, action) == 0)
			return is_dry ? words[i].would : words[i].done;
	return action;
}

static void print_changes(const cJSON *changes, bool is_dry)
{
	const cJSON *change;

	cJSON_ArrayForEach (change, changes) {
		const char *name = json_text(change, "name"), *id = json_text(change, "rule_id");
		const char *summary = json_text(change, "summary");
		const char *action = change_word(json_text(change, "action"), is_dry);

		if (json_member(change, "setting"))
			printf("%s the setting %s\n", action, json_text(change, "setting"));
		else
			printf("%s %s%s%s%s%s%s\n", action, name, *name ? " (" : "", id,
			       *name ? ")" : "", *summary ? ": " : "", summary);
	}
	if (cJSON_GetArraySize(changes) == 0)
		puts(is_dry ? "nothing would change" : "nothing changed");
}

enum ctl_exit ctl_finish_change(const struct ctl *ctl, const cJSON *reply)
{
	const char *why = json_text(reply, "persist_error");

	if (!ctl->wants_json && json_member(reply, "changes"))
		print_changes(json_member(reply, "changes"), ctl->dry_run);
	if (ctl->dry_run || !cJSON_IsFalse(json_member(reply, "persisted")))
		return CTL_OK;
	return ctl_fail(CTL_NOT_PERSISTED,
			"done, but not saved%s%s; it is lost when mcrd restarts, unless a later "
			"change can be saved",
			*why ? ": " : "", why);
}
