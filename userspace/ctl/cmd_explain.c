/* SPDX-License-Identifier: MIT */
/* Why packets of a source to a group are forwarded, or are not. */
#include "ctl/ctl.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void steps_print(const cJSON *steps)
{
	static const struct table_column columns[] = {
		{ NULL, false },
		{ NULL, false },
		{ NULL, false },
	};
	struct table *t = table_new(columns, COUNT_OF(columns));
	const cJSON *step;

	cJSON_ArrayForEach (step, steps) {
		const char *result = json_text(step, "result");

		table_add(t, "%s", strcmp(result, "note") == 0 ? "" : result);
		table_add(t, "%s", json_text(step, "check"));
		table_add(t, "%s", json_text(step, "text"));
	}
	table_print(t);
}

static bool number_add(cJSON *request, const struct ctl_args *args, const char *option, int most)
{
	const char *text = args_get(args, option);
	int n;

	if (!text)
		return true;
	if (!args_number(text, &n) || n < 1 || n > most) {
		ctl_fail(CTL_USAGE, "--%s is 1 to %d, not '%s'", option, most, text);
		return false;
	}
	cJSON_AddNumberToObject(request, option, n);
	return true;
}

/* SOURCE GROUP [in IF] */
static bool question_add(cJSON *request, const struct ctl_args *args)
{
	size_t n = args->n_more;

	if ((n != 1 && n != 3) || (n == 3 && strcmp(args->more[1], "in") != 0)) {
		ctl_fail(CTL_USAGE, "explain wants SOURCE GROUP [in IF]; see mcrctl help explain");
		return false;
	}
	cJSON_AddStringToObject(request, "source", args->operand);
	cJSON_AddStringToObject(request, "group", args->more[0]);
	if (n == 3)
		cJSON_AddStringToObject(request, "interface", args->more[2]);
	return number_add(request, args, "port", 65535) && number_add(request, args, "ttl", 255);
}

enum ctl_exit cmd_explain(struct ctl *ctl, const struct ctl_args *args)
{
	cJSON *request = ctl_request(ctl, "Explain"), *reply;
	enum ctl_exit status;

	if (!question_add(request, args)) {
		cJSON_Delete(request);
		return CTL_USAGE;
	}
	status = ctl_call(ctl, request, &reply);
	if (status == CTL_OK && !ctl->wants_json) {
		steps_print(json_member(reply, "steps"));
		printf("\n%s (%s)\n", json_text(reply, "sentence"), json_text(reply, "cause"));
	}
	cJSON_Delete(reply);
	return status;
}
