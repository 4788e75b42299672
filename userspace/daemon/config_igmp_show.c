/* SPDX-License-Identifier: MIT */
/* The configuration of IGMP as JSON, in the form of the file. */
#include "daemon/config_igmp.h"

#include <string.h>

static bool show_names(cJSON *j, const char *key, char (*names)[IFNAME_LEN], uint32_t n)
{
	cJSON *list = cJSON_AddArrayToObject(j, key);
	bool ok = list;

	for (uint32_t i = 0; ok && i < n; i++) {
		cJSON *name = cJSON_CreateString(names[i]);

		ok = name && cJSON_AddItemToArray(list, name);
	}
	return ok;
}

/* An object at the end of a list; NULL without memory. */
static cJSON *object_add(cJSON *list)
{
	cJSON *j = list ? cJSON_CreateObject() : NULL;

	return j && cJSON_AddItemToArray(list, j) ? j : NULL;
}

static bool show_interface(cJSON *j, const struct config_igmp_interface *interface)
{
	static const char *const modes[] = { [IGMP_OFF] = "off", [IGMP_LISTEN] = "listen" };

	if (!j || !cJSON_AddStringToObject(j, "name", interface->name))
		return false;
	if (interface->mode != IGMP_QUERIER &&
	    !cJSON_AddStringToObject(j, "mode", modes[interface->mode]))
		return false;
	return config_igmp_settings_show(j, &interface->settings, true);
}

static bool show_static(cJSON *j, const struct config_igmp_static *s)
{
	char text[IP4_TEXT];

	return j && cJSON_AddStringToObject(j, "interface", s->interface) &&
	       cJSON_AddStringToObject(j, "group", ip4_format(s->sg.group, text)) &&
	       (!s->sg.source.net ||
		cJSON_AddStringToObject(j, "source", ip4_format(s->sg.source, text))) &&
	       (!s->is_joined || cJSON_AddTrueToObject(j, "join"));
}

static bool show_lists(cJSON *j, const struct config_igmp *igmp)
{
	cJSON *list = NULL;
	bool ok = show_names(j, "querier_interfaces", igmp->queriers, igmp->n_queriers);

	if (ok && igmp->n_sources)
		ok = show_names(j, "source_interfaces", igmp->sources, igmp->n_sources);
	if (ok && igmp->n_interfaces)
		ok = (list = cJSON_AddArrayToObject(j, "interfaces")) != NULL;
	for (uint32_t i = 0; ok && i < igmp->n_interfaces; i++)
		ok = show_interface(object_add(list), &igmp->interfaces[i]);
	if (ok && igmp->n_statics)
		ok = (list = cJSON_AddArrayToObject(j, "static_groups")) != NULL;
	for (uint32_t i = 0; ok && i < igmp->n_statics; i++)
		ok = show_static(object_add(list), &igmp->statics[i]);
	return ok;
}

static bool show_proxy(cJSON *j, const struct config_igmp *igmp)
{
	cJSON *proxy;

	if (!*igmp->upstream)
		return true;
	proxy = cJSON_AddObjectToObject(j, "proxy");
	return proxy && cJSON_AddStringToObject(proxy, "upstream", igmp->upstream);
}

bool config_igmp_show(cJSON *to, const struct config_igmp *igmp)
{
	struct config_igmp unset;
	cJSON *j;

	config_igmp_init(&unset);
	if (config_igmp_equal(igmp, &unset))
		return true;
	j = cJSON_AddObjectToObject(to, "igmp");
	return j && show_lists(j, igmp) && show_proxy(j, igmp) &&
	       config_igmp_settings_show(j, &igmp->settings, false);
}
