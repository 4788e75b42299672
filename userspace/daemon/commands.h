/* SPDX-License-Identifier: MIT */
/*
 * Between request.c, which takes requests in, commands.c, which finds their verbs, and the files
 * with more verbs.
 */
#pragma once

#include "daemon/relay.h"

/* What a long list still lacks; it is made piece by piece, so that others are heard in between. */
struct listing {
	bool is_open;
	bool with_counters, has_more;
	char after[RULE_ID_LEN]; /* the last that it has, "" = none yet */
	int64_t limit;		 /* rules that may still come */
	size_t items;		 /* rules and outputs that it has */
};

/* A request's line, taken apart; and when that was made beforehand, the configuration in it. */
struct parsed {
	struct json5_doc doc;
	int err; /* of the line */
	struct diag d;
	bool has_config;
	int config_err;
	struct diag config_d;
	struct config *config;
	bool is_long; /* commands_go_on() is called until the listing is complete */
	struct listing listing;
};

struct request {
	const struct json5_doc *doc;
	const struct json5_node *root;
	const struct ctl_peer *peer;
	struct parsed *parsed;
	bool dry_run;
};

/* Parameters of a request; *out is NULL or false when absent. */
int param_text(const struct request *q, const char *key, bool is_needed, const char **out,
	       struct diag *d);
int param_bool(const struct request *q, const char *key, bool *out, struct diag *d);
/* `preset` when absent; from `least` to UINT32_MAX. */
int param_number(const struct request *q, const char *key, int64_t preset, int64_t least,
		 int64_t *out, struct diag *d);

/* Commits `next`, which it takes over, and says so in the reply. */
int commands_change(struct relay *r, const struct request *q, struct config *next, cJSON *reply,
		    struct diag *d);
/* Checks a whole set of rules against each other. */
int commands_check_ruleset(const struct config *cfg, struct diag *d);

/* commands.c. The reply, NULL when there is no memory for it. */
cJSON *commands_answer(struct relay *r, struct parsed *parsed, const struct ctl_peer *peer);
cJSON *commands_refuse(const struct parsed *parsed, const struct diag *d);

/* Whether the reply will be a long one, and so more work than one turn should have. */
bool commands_is_long(const struct relay *r, const struct parsed *parsed);

/* commands_list.c */
/* The next rules of an open listing, an array; NULL and `d` when it cannot be gone on with. */
cJSON *commands_go_on(struct relay *r, struct parsed *parsed, struct diag *d);
int cmd_list_rules(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_stats(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

/* commands_router.c */
int cmd_igmp_groups(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_igmp_interfaces(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_enable_querier(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_disable_querier(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_query_rpf(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

/* explain.c */
int cmd_explain(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

/* doctor.c */
int cmd_doctor(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

/* commands_pim.c */
int cmd_pim_neighbors(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_pim_interfaces(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_pim_rp(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_pim_joins(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_enable_pim(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_disable_pim(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_set_static_rp(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_set_rp_address(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
/* commands_mroute.c */
int cmd_add_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_remove_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);

/* commands_config.c */
void commands_read_config(struct parsed *parsed);
int cmd_get_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_check_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_load_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
int cmd_save_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d);
