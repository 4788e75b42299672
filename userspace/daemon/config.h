/* SPDX-License-Identifier: MIT */
/* The configuration: JSON5 text → checked values → JSON text again, losing nothing. */
#pragma once

#include <cjson/cJSON.h>

#include "base/diag.h"
#include "base/json5.h"
#include "daemon/config_igmp.h"
#include "daemon/config_pim.h"
#include "daemon/config_mroute.h"
#include "engine/rule.h"

#define CONFIG_PINNINGS_MAX 512
#define CONFIG_CORES_MAX    64
#define CONFIG_CORE_LAST    1023 /* highest core number, that of CPU_SETSIZE */
#define CONFIG_TEXT_MAX	    (64u << 20)
#define CONFIG_NODES_MAX    (5u << 20) /* more than RULE_MAX rules with all outputs */

struct config_pinning {
	char interface[IFNAME_LEN];
	uint16_t n_cores;
	uint16_t cores[CONFIG_CORES_MAX];
};

struct config {
	char instance[32];	   /* "" = not given */
	uint8_t multicast_ttl;	   /* 1…255, default 1 */
	uint32_t worker_grace_s;   /* idle workers retire after; default 60 */
	uint32_t stats_interval_s; /* [STATS:…] lines; 0 = none; default 10 */
	char control_group[32];	   /* group of the control socket, "" = the daemon's own */
	struct config_pinning *pinnings;
	size_t n_pinnings;
	struct config_igmp igmp;
	struct config_pim pim;
	struct config_mroutes mroutes;
	struct ruleset rules;
	uint32_t given; /* members that the text had, for config_inherit; not a value */
};

/* An empty relay with every default. */
struct config *config_new(void);
struct config *config_clone(const struct config *cfg); /* NULL without memory */
void config_free(struct config *cfg);

/*
 * Reads a whole configuration from JSON5 text. Everything is checked (rule_check, ruleset_check,
 * unknown and duplicate keys, types, ranges). On failure nothing is returned and `d` has line,
 * column, path and a sentence. 0, -EINVAL, -E2BIG or -ENOMEM.
 */
int config_read(struct config **out, const char *text, size_t len, struct diag *d);

/* The same from a value that is parsed (member `config` of a request), paths below `where`. */
int config_read_value(struct config **out, const struct json5_doc *doc, const struct json5_node *v,
		      const char *where, struct diag *d);

/*
 * Reads one rule from the flat form of AddRule (rule_id, name, input_interface, input_group,
 * input_port, input_protocol, input_source, datapath, accept_ttl1, outputs[]), fills its id and
 * checks it by itself (rule_check). Members in `also` (NULL-terminated) are passed over: they
 * belong to the request. `out` owns its outputs (rule_free_outputs), and is empty on failure.
 */
int config_read_flat_rule(struct rule *out, const struct json5_doc *doc,
			  const struct json5_node *request, const char *const *also,
			  struct diag *d);

/* Settings (not rules) that the text of `cfg` did not have become those of `from`. -ENOMEM. */
int config_inherit(struct config *cfg, const struct config *from);

/* Letters, digits and . _ - that begin with a letter or digit, at most 31: it names files. */
bool config_is_instance_name(const char *text);

/* Appends a deep copy of `r`, or `r` itself, whose outputs then belong to `cfg`. -ENOMEM. */
int config_add_rule(struct config *cfg, const struct rule *r);
int config_take_rule(struct config *cfg, struct rule *r);

/* Removes the rule with this id; false when absent. */
bool config_remove_rule(struct config *cfg, const char *id);
void rule_free_outputs(struct rule *r);

/* The configuration as JSON; reading it back gives an equal one. Caller deletes; NULL without
 * memory. */
cJSON *config_show(const struct config *cfg);
cJSON *config_show_rule(const struct rule *r); /* in the form of the file */
/* What its parts cannot be beside each other. 0 or -EINVAL. */
int config_check(const struct config *cfg, struct diag *d);
bool config_equal(const struct config *a, const struct config *b);
