/* SPDX-License-Identifier: MIT */
/* Between commands.c, which reads requests and finds their verbs, and the files with more verbs. */
#pragma once

#include "daemon/relay.h"

struct request {
	const struct json5_doc *doc;
	const struct json5_node *root;
	const struct ctl_peer *peer;
	bool dry_run;
};

/* Parameters of a request; *out is NULL or false when absent. */
int param_text(const struct request *q, const char *key, bool is_needed, const char **out,
	       struct diag *d);
int param_bool(const struct request *q, const char *key, bool *out, struct diag *d);

/* Commits `next`, which it takes over, and says so in the reply. */
int commands_change(struct relay *r, const struct request *q, struct config *next, cJSON *reply,
		    struct diag *d);
/* Checks a whole set of rules against each other. */
int commands_check_ruleset(const struct config *cfg, struct diag *d);

/* commands_config.c */
int cmd_get_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_check_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_load_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_save_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
