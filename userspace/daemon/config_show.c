/* SPDX-License-Identifier: MIT */
/*
 * A configuration as JSON in the form of the file. What has its default is left out of rules, so
 * that a saved file reads like one that a person wrote; rule ids are always written.
 */
#include "daemon/config.h"

#include <netinet/in.h>
#include <string.h>

static bool add_text(cJSON *object, const char *key, const char *text)
{
	return !*text || cJSON_AddStringToObject(object, key, text);
}

static bool add_ip4(cJSON *object, const char *key, struct ip4 a)
{
	char text[IP4_TEXT];

	return !a.net || cJSON_AddStringToObject(object, key, ip4_format(a, text));
}

static bool add_port(cJSON *object, uint16_t port)
{
	return !port || cJSON_AddNumberToObject(object, "port", port);
}

/* Hands `item` over to `object` or, without a key, to an array; deletes it on failure. */
static bool add_item(cJSON *to, const char *key, cJSON *item)
{
	bool ok = item &&
		  (key ? cJSON_AddItemToObject(to, key, item) : cJSON_AddItemToArray(to, item));

	if (!ok)
		cJSON_Delete(item);
	return ok;
}

static cJSON *show_output(const struct rule_output *o)
{
	cJSON *j = cJSON_CreateObject();
	const char *key = ip4_is_multicast(o->address) ? "group" : "address";
	bool ok = j && add_text(j, "interface", o->interface) && add_ip4(j, key, o->address) &&
		  add_port(j, o->port);

	if (ok && o->ttl_policy == TTL_FIXED)
		ok = cJSON_AddNumberToObject(j, "ttl", o->ttl);
	else if (ok && o->ttl_policy == TTL_DECREMENT)
		ok = add_text(j, "ttl", "decrement");
	if (ok && o->source_policy == SOURCE_PRESERVE)
		ok = add_text(j, "source", "preserve");
	else if (ok && o->source_policy == SOURCE_LITERAL)
		ok = add_ip4(j, "source", o->source);
	if (ok && o->dscp >= 0)
		ok = cJSON_AddNumberToObject(j, "dscp", o->dscp);
	if (ok)
		return j;
	cJSON_Delete(j);
	return NULL;
}

static cJSON *show_input(const struct rule *r)
{
	cJSON *j = cJSON_CreateObject();

	if (j && add_text(j, "interface", r->interface) && add_ip4(j, "group", r->group) &&
	    add_port(j, r->port) && add_ip4(j, "source", r->source) &&
	    add_text(j, "protocol", r->protocol == IPPROTO_ESP ? "esp" : ""))
		return j;
	cJSON_Delete(j);
	return NULL;
}

cJSON *config_show_rule(const struct rule *r)
{
	cJSON *j = cJSON_CreateObject(), *outputs;
	bool ok = j && add_text(j, "id", r->id) && add_text(j, "name", r->name) &&
		  add_item(j, "input", show_input(r));

	outputs = ok ? cJSON_AddArrayToObject(j, "outputs") : NULL;
	ok = outputs;
	for (unsigned i = 0; ok && i < r->n_outputs; i++)
		ok = add_item(outputs, NULL, show_output(&r->outputs[i]));
	if (ok && r->datapath != RULE_DP_AUTO)
		ok = add_text(j, "datapath", rule_datapath_name(r->datapath));
	if (ok && r->accept_ttl1)
		ok = cJSON_AddTrueToObject(j, "accept_ttl1");
	if (ok)
		return j;
	cJSON_Delete(j);
	return NULL;
}

static bool show_pinnings(cJSON *j, const struct config *cfg)
{
	cJSON *pinning = cfg->n_pinnings ? cJSON_AddObjectToObject(j, "pinning") : NULL;
	bool ok = pinning || !cfg->n_pinnings;

	for (size_t i = 0; ok && i < cfg->n_pinnings; i++) {
		const struct config_pinning *p = &cfg->pinnings[i];
		cJSON *cores = cJSON_AddArrayToObject(pinning, p->interface);

		ok = cores;
		for (unsigned c = 0; ok && c < p->n_cores; c++)
			ok = add_item(cores, NULL, cJSON_CreateNumber(p->cores[c]));
	}
	return ok;
}

cJSON *config_show(const struct config *cfg)
{
	cJSON *j = cJSON_CreateObject(), *rules;
	bool ok = j && add_text(j, "instance", cfg->instance) &&
		  cJSON_AddNumberToObject(j, "multicast_ttl", cfg->multicast_ttl) &&
		  cJSON_AddNumberToObject(j, "worker_grace", cfg->worker_grace_s) &&
		  cJSON_AddNumberToObject(j, "stats_interval", cfg->stats_interval_s) &&
		  add_text(j, "control_group", cfg->control_group) && show_pinnings(j, cfg) &&
		  config_igmp_show(j, &cfg->igmp) && config_pim_show(j, &cfg->pim) &&
		  config_mroutes_show(j, &cfg->mroutes);

	rules = ok ? cJSON_AddArrayToObject(j, "rules") : NULL;
	ok = rules;
	for (size_t i = 0; ok && i < cfg->rules.n; i++)
		ok = add_item(rules, NULL, config_show_rule(&cfg->rules.rules[i]));
	if (ok)
		return j;
	cJSON_Delete(j);
	return NULL;
}
