/* SPDX-License-Identifier: MIT */
/* The verbs about PIM. Those that change something change the configuration. */
#include <errno.h>
#include <string.h>

#include "daemon/commands.h"
#include "daemon/router.h"

int cmd_pim_neighbors(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "neighbors", show_pim_neighbors(r));
	return 0;
}

int cmd_pim_interfaces(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "interfaces", show_pim_interfaces(r));
	cJSON_AddItemToObject(reply, "counters", show_pim_counters(r));
	return 0;
}

int cmd_pim_joins(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	(void)q;
	(void)d;
	cJSON_AddItemToObject(reply, "joins", show_pim_joins(r));
	return 0;
}

/* --- parameters ------------------------------------------------------------------------------- */

static int param_interface(const struct request *q, const char **out, struct diag *d)
{
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "interface", true, out, d);

	if (!err && !rule_is_interface_name(*out))
		return diag_set(d, -EINVAL, E_IF_NAME, "interface", "%s is not an interface name",
				diag_quote(*out, quoted));
	return err;
}

static int param_router(const struct request *q, const char *key, struct ip4 *out, struct diag *d)
{
	char quoted[DIAG_QUOTE];
	const char *text;
	int err = param_text(q, key, true, &text, d);

	if (!err && (ip4_parse(text, out) || !ip4_is_unicast(*out)))
		return diag_set(d, -EINVAL, E_BAD_ADDR, key, "%s is not the address of a router",
				diag_quote(text, quoted));
	return err;
}

static int param_groups(const struct request *q, const char *key, struct ip4_prefix *out,
			struct diag *d)
{
	char quoted[DIAG_QUOTE];
	const char *text;
	int err = param_text(q, key, true, &text, d);

	if (!err && (ip4_prefix_parse(text, out) || out->len < 4 || !ip4_is_multicast(out->addr)))
		return diag_set(d, -EINVAL, E_BAD_ADDR, key,
				"%s is not a range of groups, such as 239.0.0.0/8",
				diag_quote(text, quoted));
	return err;
}

int cmd_pim_rp(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	const char *text;
	char quoted[DIAG_QUOTE];
	struct ip4 group, rp = { 0 };
	int err = param_text(q, "group", false, &text, d);

	if (err)
		return err;
	if (text && (ip4_parse(text, &group) || !ip4_is_multicast(group)))
		return diag_set(d, -EINVAL, E_BAD_ADDR, "group", "%s is not a group",
				diag_quote(text, quoted));
	cJSON_AddItemToObject(reply, "rps", show_pim_rps(r));
	cJSON_AddItemToObject(reply, "bsr", show_pim_bsr(r));
	if (!text)
		return 0;
	if (r->router && r->router->pim)
		rp = pim_rp_of(r->router->pim, group);
	cJSON_AddStringToObject(reply, "group", text);
	show_address(reply, "rp", rp);
	return 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

static int no_memory(struct diag *d)
{
	return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
}

int cmd_enable_pim(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config_pim_interface *i;
	struct config *next;
	const char *name;
	int64_t priority;
	int err = param_interface(q, &name, d);

	if (!err)
		err = param_number(q, "dr_priority", -1, 0, &priority, d);
	if (err)
		return err;
	next = config_clone(r->config);
	if (!next)
		return no_memory(d);
	i = config_pim_interface(&next->pim, name);
	if (!i)
		i = config_pim_add(&next->pim, name);
	if (!i) {
		config_free(next);
		return diag_set(d, -E2BIG, E_LIMIT, "interface", "PIM has at most %d interfaces",
				CONFIG_PIM_INTERFACES_MAX);
	}
	next->pim.is_enabled = true;
	if (priority >= 0)
		i->port.dr_priority = (uint32_t)priority;
	return commands_change(r, q, next, reply, d);
}

int cmd_disable_pim(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config *next;
	const char *name;
	int err = param_interface(q, &name, d);

	if (err)
		return err;
	if (!config_pim_interface(&r->config->pim, name))
		return diag_set(d, -ENOENT, E_NOT_FOUND, "interface",
				"%s is not an interface of PIM", name);
	next = config_clone(r->config);
	if (!next)
		return no_memory(d);
	config_pim_remove(&next->pim, name);
	return commands_change(r, q, next, reply, d);
}

/* In place of what was configured for exactly this range. */
static int static_rp_set(struct pim_config *c, struct ip4_prefix range, struct ip4 rp,
			 struct diag *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_static_rps; i++)
		if (!ip4_prefix_equal(c->static_rps[i].range, range))
			c->static_rps[n++] = c->static_rps[i];
	if (n >= CONFIG_PIM_STATIC_RPS_MAX)
		return diag_set(d, -E2BIG, E_LIMIT, "group_prefix", "at most %d can be configured",
				CONFIG_PIM_STATIC_RPS_MAX);
	c->static_rps[n++] = (struct pim_static_rp){ range, rp };
	c->n_static_rps = (uint8_t)n;
	return 0;
}

int cmd_set_static_rp(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct ip4_prefix range;
	struct config *next;
	struct ip4 rp;
	int err = param_groups(q, "group_prefix", &range, d);

	if (!err)
		err = param_router(q, "rp_address", &rp, d);
	if (err)
		return err;
	next = config_clone(r->config);
	if (!next)
		return no_memory(d);
	err = static_rp_set(&next->pim.engine, range, rp, d);
	if (!err)
		return commands_change(r, q, next, reply, d);
	config_free(next);
	return err;
}

int cmd_set_rp_address(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config *next;
	struct ip4 address;
	int err = param_router(q, "address", &address, d);

	if (err)
		return err;
	next = config_clone(r->config);
	if (!next)
		return no_memory(d);
	next->pim.rp_address = address;
	return commands_change(r, q, next, reply, d);
}
