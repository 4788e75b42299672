/* SPDX-License-Identifier: MIT */
/* Commands about the configuration and the log: config show, load, save, check; log-level. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a whole file; one byte beyond the limit is enough to know that it is too long. */
static enum ctl_exit read_text(FILE *f, const char *name, char **text)
{
	size_t cap = CTL_REQUEST_MAX + 2, len;
	char *buf = cJSON_malloc(cap);
	enum ctl_exit status = CTL_OK;

	len = fread(buf, 1, cap - 1, f);
	buf[len] = '\0';
	if (ferror(f))
		status = ctl_fail(CTL_USAGE, "cannot read %s: %s", name, strerror(errno));
	else if (len > CTL_REQUEST_MAX)
		status = ctl_fail(CTL_USAGE, "%s exceeds %u MiB, which mcrd refuses", name,
				  CTL_REQUEST_MAX >> 20);
	else if (memchr(buf, '\0', len))
		status = ctl_fail(CTL_USAGE, "%s has a NUL byte in it and is no text", name);
	if (status == CTL_OK)
		*text = buf;
	else
		cJSON_free(buf);
	return status;
}

/* The text of --file, and what to call it in complaints. */
static enum ctl_exit read_file(const struct ctl_args *args, const char **name, char **text)
{
	const char *path = args_get(args, "file");
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	enum ctl_exit status;

	*text = NULL;
	*name = is_stdin ? "(standard input)" : path;
	if (!f)
		return ctl_fail(CTL_USAGE, "cannot open %s: %s", path, strerror(errno));
	status = read_text(f, *name, text);
	if (!is_stdin)
		fclose(f);
	return status;
}

/* Sends a configuration as text, so that the daemon can say at which line it is wrong. */
static enum ctl_exit send_file(struct ctl *ctl, const struct ctl_args *args, cJSON *request,
			       const char **name, cJSON **reply)
{
	char *text;
	enum ctl_exit status = read_file(args, name, &text);

	*reply = NULL;
	if (status != CTL_OK) {
		cJSON_Delete(request);
		return status;
	}
	cJSON_AddStringToObject(request, "config_text", text);
	cJSON_free(text);
	status = ctl_exchange(ctl, request, reply);
	if (status != CTL_OK)
		return status;
	if (ctl->wants_json)
		ctl_print_raw(ctl);
	return ctl_is_ok(*reply) ? CTL_OK : ctl_refused(*reply, *name);
}

enum ctl_exit cmd_config_load(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "LoadConfig"), *reply;
	enum ctl_exit status;
	const char *name;

	cJSON_AddBoolToObject(request, "replace", args_get(args, "replace") != NULL);
	status = send_file(ctl, args, request, &name, &reply);
	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_config_check(struct ctl *ctl, const struct ctl_args *args)
{
	enum ctl_exit status;
	const cJSON *error;
	const char *name;
	cJSON *reply;

	status = send_file(ctl, args, ctl_request(ctl, "CheckConfig"), &name, &reply);
	if (status == CTL_OK && json_true(reply, "valid")) {
		if (!ctl->wants_json)
			printf("%s: valid\n", name);
	} else if (status == CTL_OK) {
		status = CTL_REFUSED;
		cJSON_ArrayForEach (error, json_member(reply, "errors"))
			ctl_refused(error, name);
	}
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_config_show(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetConfig"), &reply);
	char *text;

	if (status == CTL_OK && !ctl->wants_json && json_member(reply, "config")) {
		text = cJSON_Print(json_member(reply, "config"));
		puts(text);
		cJSON_free(text);
	}
	cJSON_Delete(reply);
	return status;
}

/* The daemon has another working directory, so it must be told the whole path. */
static void add_whole_path(cJSON *request, const char *path)
{
	char *here = path[0] == '/' ? NULL : getcwd(NULL, 0), *whole = NULL;

	if (here && asprintf(&whole, "%s/%s", here, path) >= 0)
		path = whole;
	cJSON_AddStringToObject(request, "path", path);
	free(whole);
	free(here);
}

enum ctl_exit cmd_config_save(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "SaveConfig"), *reply;
	const char *path = args_get(args, "file");
	enum ctl_exit status;

	if (path)
		add_whole_path(request, path);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK && !ctl->wants_json)
		printf("%s %s\n", ctl->dry_run ? "would save" : "saved", json_text(reply, "path"));
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_log_get(struct ctl *ctl, const struct ctl_args *args)
{
	static const struct table_column columns[] = { { "FACILITY", false }, { "LEVEL", false } };
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "GetLogLevels"), &reply);
	const cJSON *level;
	struct table *t;

	if (status == CTL_OK && !ctl->wants_json) {
		t = table_new(columns, 2);
		table_add(t, "(global)");
		table_add(t, "%s", json_text(reply, "global"));
		cJSON_ArrayForEach (level, json_member(reply, "facility_overrides")) {
			table_add(t, "%s", level->string ? level->string : "");
			table_add(t, "%s", cJSON_IsString(level) ? level->valuestring : "");
		}
		table_print(t);
	}
	cJSON_Delete(reply);
	return status;
}

enum ctl_exit cmd_log_set(struct ctl *ctl, const struct ctl_args *args)
{
	const char *global = args_get(args, "global"), *facility = args_get(args, "facility");
	const char *level = args_get(args, "level");
	enum ctl_exit status;
	cJSON *request, *reply;

	if (!global == !facility || !facility != !level)
		return ctl_fail(CTL_USAGE, "log-level set wants either --global LEVEL, "
					   "or --facility FACILITY and --level LEVEL");
	request = ctl_request(ctl, global ? "SetGlobalLogLevel" : "SetFacilityLogLevel");
	if (facility)
		cJSON_AddStringToObject(request, "facility", facility);
	cJSON_AddStringToObject(request, "level", global ? global : level);
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK)
		status = ctl_finish_change(ctl, reply);
	cJSON_Delete(reply);
	return status;
}
