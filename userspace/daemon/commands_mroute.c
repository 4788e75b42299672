/* SPDX-License-Identifier: MIT */
/* The verbs that change static multicast routes. */
#include <errno.h>

#include "daemon/commands.h"

static const char *const also[] = { "command", "id", "dry_run", NULL };

int cmd_add_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config_mroute route;
	struct config *next;
	int err = config_read_flat_mroute(&route, q->doc, q->root, also, d);

	if (err)
		return err;
	next = config_clone(r->config);
	err = next ? config_mroute_set(&next->mroutes, &route) : -ENOMEM;
	if (!err)
		return commands_change(r, q, next, reply, d);
	config_free(next);
	if (err == -E2BIG)
		return diag_set(d, err, E_LIMIT, "", "there are %d multicast routes already",
				CONFIG_MROUTES_MAX);
	return diag_set(d, err, E_LIMIT, "", "out of memory");
}

int cmd_remove_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config *next;
	struct sg sg;
	int err = config_read_flat_sg(&sg, q->doc, q->root, also, d);

	if (err)
		return err;
	if (!config_mroute_find(&r->config->mroutes, sg))
		return diag_set(d, -ENOENT, E_NOT_FOUND, "group",
				"there is no static route of this source and group");
	next = config_clone(r->config);
	if (!next)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	config_mroute_remove(&next->mroutes, sg);
	return commands_change(r, q, next, reply, d);
}
