/* SPDX-License-Identifier: MIT */
/* The verbs about the router. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/commands.h"
#include "daemon/router.h"

int cmd_igmp_groups(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "groups", show_igmp_groups(r));
	return 0;
}

int cmd_igmp_interfaces(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "interfaces", show_igmp_interfaces(r));
	return 0;
}
