/* SPDX-License-Identifier: MIT */
/* Static multicast routes of the configuration. */
#pragma once

#include <cjson/cJSON.h>

#include "base/diag.h"
#include "base/json5.h"
#include "engine/rule.h"

#define CONFIG_MROUTES_MAX 4096

struct config_mroute {
	struct sg sg;
	char input[IFNAME_LEN];
	uint32_t n_outputs; /* 1 … */
	char outputs[RULE_OUTPUTS_MAX][IFNAME_LEN];
};

struct config_mroutes {
	struct config_mroute *list;
	uint32_t n;
};

/* A copy is empty when there is no memory for it. */
int config_mroutes_copy(struct config_mroutes *to, const struct config_mroutes *from);
void config_mroutes_fini(struct config_mroutes *m);
bool config_mroutes_equal(const struct config_mroutes *a, const struct config_mroutes *b);
const struct config_mroute *config_mroute_find(const struct config_mroutes *m, struct sg sg);
bool config_mroute_has_output(const struct config_mroute *route, const char *interface);

/* Takes the place of the one of the same source and group. 0, -E2BIG or -ENOMEM. */
int config_mroute_set(struct config_mroutes *m, const struct config_mroute *route);
bool config_mroute_remove(struct config_mroutes *m, struct sg sg); /* false: there is none */

/* Adds the list to an object when there is any. False without memory. */
bool config_mroutes_show(cJSON *to, const struct config_mroutes *m);

/* One of a request, as one of the file; members in `also` are passed over. 0 or -EINVAL. */
int config_read_flat_mroute(struct config_mroute *out, const struct json5_doc *doc,
			    const struct json5_node *request, const char *const *also,
			    struct diag *d);
/* Its source and group alone. */
int config_read_flat_sg(struct sg *out, const struct json5_doc *doc,
			const struct json5_node *request, const char *const *also, struct diag *d);
