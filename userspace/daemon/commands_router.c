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
	show_igmp_interfaces(r, reply);
	return 0;
}

static int param_interface(const struct request *q, const char **out, struct diag *d)
{
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "interface", true, out, d);

	if (!err && !rule_is_interface_name(*out))
		err = diag_set(d, -EINVAL, E_IF_NAME, "interface", "%s is not an interface name",
			       diag_quote(*out, quoted));
	return err;
}

/* The configuration with one change of its IGMP. */
static int change_igmp(struct relay *r, const struct request *q, cJSON *reply, struct diag *d,
		       int (*change)(struct config_igmp *igmp, const char *name))
{
	const char *name;
	struct config *next = NULL;
	int err = param_interface(q, &name, d);

	if (err)
		return err;
	next = config_clone(r->config);
	err = next ? change(&next->igmp, name) : -ENOMEM;
	if (!err)
		return commands_change(r, q, next, reply, d);
	config_free(next);
	if (err == -ENOENT)
		return diag_set(d, err, E_NOT_FOUND, "interface", "IGMP is not configured on %s",
				name);
	if (err == -EBUSY)
		return diag_set(d, err, E_EXISTS, "interface",
				"%s is the upstream of the proxy: this router is a host there",
				name);
	if (err == -E2BIG)
		return diag_set(d, err, E_LIMIT, "interface", "IGMP is on %d interfaces already",
				CONFIG_IGMP_INTERFACES_MAX);
	return diag_set(d, err, E_LIMIT, "", "out of memory");
}

int cmd_enable_querier(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	return change_igmp(r, q, reply, d, config_igmp_enable);
}

int cmd_disable_querier(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	return change_igmp(r, q, reply, d, config_igmp_disable);
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
