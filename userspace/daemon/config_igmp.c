/* SPDX-License-Identifier: MIT */
/* The configuration of IGMP as a value: copied, compared, changed, looked up by interface. */
#include "daemon/config_igmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void config_igmp_init(struct config_igmp *igmp)
{
	*igmp = (struct config_igmp){ 0 };
	config_igmp_settings_init(&igmp->settings);
}

static void settings_fini(struct config_igmp_settings *s)
{
	if (config_igmp_settings_own_access(s))
		free(s->access);
	s->access = NULL;
	s->n_access = 0;
}

void config_igmp_fini(struct config_igmp *igmp)
{
	for (uint32_t i = 0; i < igmp->n_interfaces; i++)
		settings_fini(&igmp->interfaces[i].settings);
	settings_fini(&igmp->settings);
	free(igmp->interfaces);
	free(igmp->queriers);
	free(igmp->sources);
	free(igmp->statics);
	*igmp = (struct config_igmp){ 0 };
}

/* A copy of `n` items, or of none in a block of its own; NULL without memory. */
static void *list_copy(const void *list, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (copy && n)
		memcpy(copy, list, n * size);
	return copy;
}

/* An access list of its own, or that of `all`. */
static bool access_copy(struct config_igmp_settings *s, const struct config_igmp_settings *all)
{
	if (config_igmp_settings_own_access(s))
		s->access = list_copy(s->access, s->n_access, sizeof(*s->access));
	else
		s->access = all->access;
	return s->access || !s->n_access;
}

/* Until they are copied, lists belong to the other one: then there are none here. */
static bool interfaces_copy(struct config_igmp *to, const struct config_igmp *from)
{
	bool ok = access_copy(&to->settings, &to->settings);

	to->interfaces = list_copy(from->interfaces, from->n_interfaces, sizeof(*to->interfaces));
	if (!to->interfaces)
		return false;
	for (uint32_t i = 0; i < from->n_interfaces; i++) {
		ok = access_copy(&to->interfaces[i].settings, &to->settings) && ok;
		to->n_interfaces++;
	}
	return ok;
}

int config_igmp_copy(struct config_igmp *to, const struct config_igmp *from)
{
	*to = *from;
	to->n_interfaces = 0;
	to->queriers = list_copy(from->queriers, from->n_queriers, sizeof(*to->queriers));
	to->sources = list_copy(from->sources, from->n_sources, sizeof(*to->sources));
	to->statics = list_copy(from->statics, from->n_statics, sizeof(*to->statics));
	if (interfaces_copy(to, from) && to->queriers && to->sources && to->statics)
		return 0;
	config_igmp_fini(to);
	return -ENOMEM;
}

static bool names_equal(char (*a)[IFNAME_LEN], char (*b)[IFNAME_LEN], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool interface_equal(const struct config_igmp_interface *a,
			    const struct config_igmp_interface *b)
{
	return strcmp(a->name, b->name) == 0 && a->mode == b->mode &&
	       a->settings.given == b->settings.given &&
	       config_igmp_settings_equal(&a->settings, &b->settings);
}

static bool static_equal(const struct config_igmp_static *a, const struct config_igmp_static *b)
{
	return strcmp(a->interface, b->interface) == 0 && sg_equal(a->sg, b->sg) &&
	       a->is_joined == b->is_joined;
}

bool config_igmp_equal(const struct config_igmp *a, const struct config_igmp *b)
{
	if (a->n_queriers != b->n_queriers || a->n_sources != b->n_sources ||
	    a->n_statics != b->n_statics || a->n_interfaces != b->n_interfaces ||
	    strcmp(a->upstream, b->upstream) != 0 ||
	    !config_igmp_settings_equal(&a->settings, &b->settings))
		return false;
	if (!names_equal(a->queriers, b->queriers, a->n_queriers) ||
	    !names_equal(a->sources, b->sources, a->n_sources))
		return false;
	for (uint32_t i = 0; i < a->n_interfaces; i++)
		if (!interface_equal(&a->interfaces[i], &b->interfaces[i]))
			return false;
	for (uint32_t i = 0; i < a->n_statics; i++)
		if (!static_equal(&a->statics[i], &b->statics[i]))
			return false;
	return true;
}

/* --- interfaces ------------------------------------------------------------------------------- */

static struct config_igmp_interface *interface_find(const struct config_igmp *igmp,
						    const char *name)
{
	for (uint32_t i = 0; i < igmp->n_interfaces; i++)
		if (strcmp(igmp->interfaces[i].name, name) == 0)
			return &igmp->interfaces[i];
	return NULL;
}

/* Its place in querier_interfaces; n_queriers when it is not there. */
static uint32_t querier_find(const struct config_igmp *igmp, const char *name)
{
	uint32_t i = 0;

	while (i < igmp->n_queriers && strcmp(igmp->queriers[i], name) != 0)
		i++;
	return i;
}

const struct config_igmp_settings *config_igmp_of(const struct config_igmp *igmp, const char *name,
						  enum igmp_mode *mode)
{
	const struct config_igmp_interface *own = interface_find(igmp, name);

	*mode = own ? own->mode : IGMP_QUERIER;
	if (own)
		return &own->settings;
	if (querier_find(igmp, name) < igmp->n_queriers)
		return &igmp->settings;
	*mode = IGMP_UPSTREAM;
	if (*igmp->upstream && strcmp(igmp->upstream, name) == 0)
		return &igmp->settings;
	*mode = IGMP_OFF;
	return NULL;
}

bool config_igmp_is_on(const struct config_igmp *igmp)
{
	for (uint32_t i = 0; i < igmp->n_interfaces; i++)
		if (igmp->interfaces[i].mode != IGMP_OFF)
			return true;
	return igmp->n_queriers;
}

int config_igmp_enable(struct config_igmp *igmp, const char *name)
{
	struct config_igmp_interface *own = interface_find(igmp, name);
	char(*queriers)[IFNAME_LEN];

	if (own)
		own->mode = IGMP_QUERIER;
	if (own || querier_find(igmp, name) < igmp->n_queriers)
		return 0;
	if (strcmp(igmp->upstream, name) == 0)
		return -EBUSY;
	if (igmp->n_queriers + igmp->n_interfaces >= CONFIG_IGMP_INTERFACES_MAX)
		return -E2BIG;
	queriers = reallocarray(igmp->queriers, igmp->n_queriers + 1u, sizeof(*queriers));
	if (!queriers)
		return -ENOMEM;
	igmp->queriers = queriers;
	memcpy(queriers[igmp->n_queriers++], name, strlen(name) + 1);
	return 0;
}

static bool has_statics(const struct config_igmp *igmp, const char *name)
{
	for (uint32_t i = 0; i < igmp->n_statics; i++)
		if (strcmp(igmp->statics[i].interface, name) == 0)
			return true;
	return false;
}

/* An interface that has nothing of its own but its mode. */
static struct config_igmp_interface *interface_add(struct config_igmp *igmp, const char *name)
{
	struct config_igmp_interface *list =
		reallocarray(igmp->interfaces, igmp->n_interfaces + 1u, sizeof(*list));

	if (!list)
		return NULL;
	igmp->interfaces = list;
	list += igmp->n_interfaces++;
	*list = (struct config_igmp_interface){ .mode = IGMP_OFF };
	memcpy(list->name, name, strlen(name) + 1);
	config_igmp_settings_inherit(&list->settings, &igmp->settings);
	return list;
}

int config_igmp_disable(struct config_igmp *igmp, const char *name)
{
	struct config_igmp_interface *own = interface_find(igmp, name);
	uint32_t at = querier_find(igmp, name);

	if (!own && at == igmp->n_queriers)
		return -ENOENT;
	if (!own && has_statics(igmp, name)) { /* they stay, for when it is enabled again */
		own = interface_add(igmp, name);
		if (!own)
			return -ENOMEM;
	}
	if (own)
		own->mode = IGMP_OFF;
	if (at == igmp->n_queriers)
		return 0;
	igmp->n_queriers--;
	memmove(igmp->queriers[at], igmp->queriers[at + 1],
		(igmp->n_queriers - at) * sizeof(*igmp->queriers));
	return 0;
}
