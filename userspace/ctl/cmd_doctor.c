/* SPDX-License-Identifier: MIT */
/* What of the host's setup is in the way. */
#include "ctl/ctl.h"

#include <string.h>

/* Not as a table: remedies are to be copied, and so stay on one line each. */
static void finding_print(const cJSON *finding)
{
	printf("%s: %s (%s)\n", json_text(finding, "severity"), json_text(finding, "what"),
	       json_text(finding, "code"));
	printf("    %s\n    %s\n\n", json_text(finding, "why"), json_text(finding, "remedy"));
}

static bool is_note(const cJSON *finding)
{
	return strcmp(json_text(finding, "severity"), "note") == 0;
}

enum ctl_exit cmd_doctor(struct ctl *ctl, const struct ctl_args *args)
{
	unsigned notes = 0, others = 0;
	const cJSON *finding;
	cJSON *reply;
	enum ctl_exit status = ctl_call(ctl, ctl_request(ctl, "Doctor"), &reply);

	if (status != CTL_OK) {
		cJSON_Delete(reply);
		return status;
	}
	cJSON_ArrayForEach (finding, json_member(reply, "findings")) {
		if (!ctl->wants_json)
			finding_print(finding);
		notes += is_note(finding);
		others += !is_note(finding);
	}
	if (!ctl->wants_json)
		printf("%.0f interfaces looked at: %u errors and warnings, %u notes\n",
		       json_number(reply, "interfaces"), others, notes);
	cJSON_Delete(reply);
	return others ? CTL_REFUSED : CTL_OK;
}
