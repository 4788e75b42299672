/* SPDX-License-Identifier: MIT */
/* The verbs about the router. */
#include <errno.h>

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

int cmd_mroute(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	account_refresh(r);
	show_mroute(r, reply);
	return 0;
}

int cmd_query_rpf(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	const char *text;
	struct ip4 source;
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "source", true, &text, d);

	if (err)
		return err;
	if (ip4_parse(text, &source) || !ip4_is_unicast(source))
		return diag_set(d, -EINVAL, E_BAD_ADDR, "source",
				"%s is not the address of a source", diag_quote(text, quoted));
	if (!r->router)
		return diag_set(d, -EINVAL, E_UNSUPPORTED, "",
				"nothing is routed: the configuration has no igmp");
	cJSON_AddItemToObject(reply, "rpf", show_rpf(r, source));
	return 0;
}
