/* SPDX-License-Identifier: MIT */
/* The configuration of PIM as a value: made, copied, compared, changed, shown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

void config_pim_init(struct config_pim *pim)
{
	*pim = (struct config_pim){ .is_enabled = true };
	pim_config_default(&pim->engine);
}

void config_pim_fini(struct config_pim *pim)
{
	free(pim->interfaces);
	pim->interfaces = NULL;
	pim->n_interfaces = 0;
}

int config_pim_copy(struct config_pim *to, const struct config_pim *from)
{
	*to = *from;
	to->interfaces = calloc(from->n_interfaces + 1u, sizeof(*to->interfaces));
	if (!to->interfaces) {
		to->n_interfaces = 0;
		return -ENOMEM;
	}
	if (from->n_interfaces)
		memcpy(to->interfaces, from->interfaces,
		       from->n_interfaces * sizeof(*to->interfaces));
	return 0;
}

/* They are equal when they read the same: config_pim_show loses nothing. */
bool config_pim_equal(const struct config_pim *a, const struct config_pim *b)
{
	cJSON *ja = cJSON_CreateObject(), *jb = cJSON_CreateObject();
	bool is_equal = ja && jb && config_pim_show(ja, a) && config_pim_show(jb, b) &&
			cJSON_Compare(ja, jb, true);

	cJSON_Delete(ja);
	cJSON_Delete(jb);
	return is_equal;
}

/* --- interfaces ------------------------------------------------------------------------------- */

struct config_pim_interface *config_pim_interface(const struct config_pim *pim, const char *name)
{
	for (uint32_t i = 0; i < pim->n_interfaces; i++)
		if (strcmp(pim->interfaces[i].name, name) == 0)
			return &pim->interfaces[i];
	return NULL;
}

struct config_pim_interface *config_pim_add(struct config_pim *pim, const char *name)
{
	struct config_pim_interface *list, *added;

	if (pim->n_interfaces >= CONFIG_PIM_INTERFACES_MAX)
		return NULL;
	list = reallocarray(pim->interfaces, pim->n_interfaces + 1u, sizeof(*list));
	if (!list)
		return NULL;
	pim->interfaces = list;
	added = &list[pim->n_interfaces++];
	memset(added, 0, sizeof(*added));
	memcpy(added->name, name, strnlen(name, IFNAME_LEN - 1));
	pim_port_config_default(&added->port);
	return added;
}

void config_pim_remove(struct config_pim *pim, const char *name)
{
	struct config_pim_interface *at = config_pim_interface(pim, name);
	struct config_pim_interface *end = pim->interfaces + pim->n_interfaces;

	if (!at)
		return;
	memmove(at, at + 1, (size_t)(end - at - 1) * sizeof(*at));
	pim->n_interfaces--;
}

/* --- showing ---------------------------------------------------------------------------------- */

static bool add_ip4(cJSON *to, const char *key, struct ip4 a)
{
	char text[IP4_TEXT];

	return !a.net || cJSON_AddStringToObject(to, key, ip4_format(a, text));
}

static bool add_prefix(cJSON *to, const char *key, struct ip4_prefix prefix)
{
	char text[IP4_PREFIX_TEXT];

	return cJSON_AddStringToObject(to, key, ip4_prefix_format(prefix, text));
}

/* What has its default is left out. */
static bool add_number(cJSON *to, const char *key, uint32_t value, uint32_t preset)
{
	return value == preset || cJSON_AddNumberToObject(to, key, value);
}

static bool add_seconds(cJSON *to, const char *key, uint32_t ms, uint32_t preset_ms)
{
	return ms == preset_ms || cJSON_AddNumberToObject(to, key, ms / 1000.0);
}

static bool add_true(cJSON *to, const char *key, bool is_set)
{
	return !is_set || cJSON_AddTrueToObject(to, key);
}

static bool add_acl(cJSON *to, const char *key, const struct pim_acl *acl)
{
	cJSON *list = acl->n ? cJSON_AddArrayToObject(to, key) : NULL;
	bool ok = list || !acl->n;

	for (unsigned i = 0; ok && i < acl->n; i++) {
		cJSON *o = cJSON_CreateObject();

		ok = o && cJSON_AddItemToArray(list, o) &&
		     add_prefix(o, acl->entries[i].is_permitted ? "permit" : "deny",
				acl->entries[i].prefix);
	}
	return ok;
}

static bool add_ranges(cJSON *to, const char *key, const struct ip4_prefix *ranges, unsigned n)
{
	cJSON *list = cJSON_AddArrayToObject(to, key);
	char text[IP4_PREFIX_TEXT];
	bool ok = list;

	for (unsigned i = 0; ok && i < n; i++)
		ok = cJSON_AddItemToArray(list,
					  cJSON_CreateString(ip4_prefix_format(ranges[i], text)));
	return ok;
}

static bool show_port(cJSON *o, const struct pim_port_config *p)
{
	struct pim_port_config preset;

	pim_port_config_default(&preset);
	return add_true(o, "passive", p->is_passive) && add_true(o, "border", p->is_border) &&
	       add_true(o, "hide_dr_priority", p->hides_priority) &&
	       add_true(o, "tracking", p->can_track) &&
	       add_number(o, "dr_priority", p->dr_priority, preset.dr_priority) &&
	       add_seconds(o, "hello_period", p->hello_ms, preset.hello_ms) &&
	       add_number(o, "hold_time", p->holdtime_s, 0) &&
	       add_seconds(o, "propagation_delay", p->propagation_ms, preset.propagation_ms) &&
	       add_seconds(o, "override_interval", p->override_ms, preset.override_ms) &&
	       add_acl(o, "neighbors", &p->neighbors) && add_acl(o, "allow_rp", &p->allow_rp) &&
	       add_acl(o, "boundary", &p->boundary);
}

static bool show_interfaces(cJSON *j, const struct config_pim *pim)
{
	cJSON *list = pim->n_interfaces ? cJSON_AddArrayToObject(j, "interfaces") : NULL;
	bool ok = list || !pim->n_interfaces;

	for (uint32_t i = 0; ok && i < pim->n_interfaces; i++) {
		cJSON *o = cJSON_CreateObject();

		ok = o && cJSON_AddItemToArray(list, o) &&
		     cJSON_AddStringToObject(o, "name", pim->interfaces[i].name) &&
		     show_port(o, &pim->interfaces[i].port);
	}
	return ok;
}

static bool show_static_rps(cJSON *j, const struct pim_config *c)
{
	cJSON *list = c->n_static_rps ? cJSON_AddArrayToObject(j, "static_rp") : NULL;
	bool ok = list || !c->n_static_rps;

	for (unsigned i = 0; ok && i < c->n_static_rps; i++) {
		cJSON *o = cJSON_CreateObject();

		ok = o && cJSON_AddItemToArray(list, o) &&
		     add_prefix(o, "group", c->static_rps[i].range) &&
		     add_ip4(o, "rp", c->static_rps[i].rp);
	}
	return ok;
}

static bool show_candidates(cJSON *j, const struct pim_config *c, const struct pim_config *preset)
{
	const struct pim_candidate_bsr *bsr = &c->candidate_bsr;
	const struct pim_candidate_rp *rp = &c->candidate_rp;
	cJSON *o = bsr->is_enabled ? cJSON_AddObjectToObject(j, "candidate_bsr") : NULL;
	bool ok = o || !bsr->is_enabled;

	if (o)
		ok = add_ip4(o, "address", bsr->address) &&
		     add_number(o, "priority", bsr->priority, preset->candidate_bsr.priority) &&
		     add_number(o, "hash_mask", bsr->hash_mask, preset->candidate_bsr.hash_mask) &&
		     add_seconds(o, "period", c->bsr_period_ms, preset->bsr_period_ms);
	o = ok && rp->is_enabled ? cJSON_AddObjectToObject(j, "candidate_rp") : NULL;
	if (!o)
		return ok && !rp->is_enabled;
	return add_ip4(o, "address", rp->address) &&
	       add_number(o, "priority", rp->priority, preset->candidate_rp.priority) &&
	       add_seconds(o, "period", c->crp_period_ms, preset->crp_period_ms) &&
	       (!rp->n_ranges || add_ranges(o, "groups", rp->ranges, rp->n_ranges));
}

static bool show_spt(cJSON *j, const struct pim_config *c)
{
	switch (c->spt) {
	case PIM_SPT_IMMEDIATE:
		return true;
	case PIM_SPT_THRESHOLD:
		return cJSON_AddNumberToObject(j, "spt", c->spt_threshold_kbps);
	case PIM_SPT_NEVER:
		return cJSON_AddStringToObject(j, "spt", "never");
	}
	return false;
}

static bool is_ssm_preset(const struct pim_config *c, const struct pim_config *preset)
{
	return c->n_ssm == 1 && ip4_prefix_equal(c->ssm[0], preset->ssm[0]);
}

static bool show_settings(cJSON *j, const struct pim_config *c, const struct pim_config *preset)
{
	return show_static_rps(j, c) && show_spt(j, c) &&
	       (is_ssm_preset(c, preset) || add_ranges(j, "ssm", c->ssm, c->n_ssm)) &&
	       add_seconds(j, "triggered_hello_delay", c->triggered_hello_ms,
			   preset->triggered_hello_ms) &&
	       add_seconds(j, "jp_period", c->jp_period_ms, preset->jp_period_ms) &&
	       add_seconds(j, "keepalive", c->keepalive_ms, preset->keepalive_ms) &&
	       add_seconds(j, "register_suppression", c->register_suppression_ms,
			   preset->register_suppression_ms) &&
	       add_seconds(j, "register_probe", c->register_probe_ms, preset->register_probe_ms) &&
	       add_acl(j, "register_accept", &c->register_sources) &&
	       add_number(j, "register_rate", c->registers, preset->registers) &&
	       add_number(j, "register_rate_source", c->registers_per_source,
			  preset->registers_per_source) &&
	       add_true(j, "bsr_overrides_static", c->bsr_overrides_static) &&
	       show_candidates(j, c, preset);
}

bool config_pim_show(cJSON *to, const struct config_pim *pim)
{
	struct pim_config preset;
	cJSON *j = cJSON_CreateObject();
	bool ok = j;

	pim_config_default(&preset);
	if (ok && !pim->is_enabled)
		ok = cJSON_AddFalseToObject(j, "enabled");
	ok = ok && add_ip4(j, "router_id", pim->router_id) &&
	     add_ip4(j, "rp_address", pim->rp_address) && show_interfaces(j, pim) &&
	     show_settings(j, &pim->engine, &preset);
	if (ok && cJSON_GetArraySize(j) == 0) {
		cJSON_Delete(j); /* all is as without it */
		return true;
	}
	if (ok && cJSON_AddItemToObject(to, "pim", j))
		return true;
	cJSON_Delete(j);
	return false;
}
