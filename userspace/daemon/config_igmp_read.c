/* SPDX-License-Identifier: MIT */
/* The configuration of IGMP from text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a)	    (sizeof(a) / sizeof((a)[0]))
#define SLOT		    CONFIG_IGMP_SETTINGS_SLOT
#define RESPONSE_DS_MAX_OLD 255 /* before version 3 */

static const struct ip4_prefix ssm_range = { { __builtin_bswap32(0xe8000000) }, 8 };

static int refuse_memory(struct reader *rd)
{
	return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
}

static bool is_named(char (*names)[IFNAME_LEN], uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int read_name(struct reader *rd, const struct json5_node *v, char (*names)[IFNAME_LEN],
		     uint32_t n)
{
	char name[IFNAME_LEN];
	int err = reader_interface(rd, v, name);

	if (err)
		return err;
	if (is_named(names, n, name))
		return reader_refuse(rd, v, E_EXISTS, "%s is in this list already", name);
	memcpy(names[n], name, sizeof(name));
	return 0;
}

static int read_names(struct reader *rd, const struct json5_node *v, char (**names)[IFNAME_LEN],
		      uint32_t *n)
{
	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of interface names");
	if (v->count > CONFIG_IGMP_INTERFACES_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u interfaces: at most %d can be named",
				     v->count, CONFIG_IGMP_INTERFACES_MAX);
	*names = calloc(v->count + 1u, sizeof(**names));
	if (!*names)
		return refuse_memory(rd);
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, *n);
		int err = read_name(rd, e, *names, *n);

		if (err)
			return err;
		reader_leave(rd, mark);
		++*n;
	}
	return 0;
}

static int read_queriers(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = out;

	return read_names(rd, v, &igmp->queriers, &igmp->n_queriers);
}

static int read_sources(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = out;

	return read_names(rd, v, &igmp->sources, &igmp->n_sources);
}

/* --- interfaces ------------------------------------------------------------------------------- */

static int read_interface_name(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_igmp_interface *)out)->name);
}

static int read_mode(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp_interface *interface = out;
	char mode[16], quoted[DIAG_QUOTE];
	int err = reader_text(rd, v, "a mode", mode, sizeof(mode));

	if (err)
		return err;
	if (strcmp(mode, "querier") == 0)
		interface->mode = IGMP_QUERIER;
	else if (strcmp(mode, "listen") == 0)
		interface->mode = IGMP_LISTEN;
	else if (strcmp(mode, "off") == 0)
		interface->mode = IGMP_OFF;
	else
		return reader_refuse(rd, v, E_RANGE,
				     "%s is no mode; there are querier, listen, off",
				     diag_quote(mode, quoted));
	return 0;
}

static const struct member interface_members[] = {
	{ "name", SLOT, true, read_interface_name },
	{ "mode", SLOT + 1, false, read_mode },
};

static int read_interface(struct reader *rd, const struct json5_node *v, struct config_igmp *igmp)
{
	struct config_igmp_interface *interface = &igmp->interfaces[igmp->n_interfaces];
	int err;

	interface->mode = IGMP_QUERIER;
	igmp->n_interfaces++; /* what it has is freed with the others from here on */
	err = config_igmp_settings_read(rd, v, interface_members, COUNT(interface_members),
					interface);
	if (err)
		return err;
	for (uint32_t i = 0; i + 1 < igmp->n_interfaces; i++)
		if (strcmp(igmp->interfaces[i].name, interface->name) == 0)
			return reader_refuse(rd, v, E_EXISTS, "%s has settings in interfaces[%u]",
					     interface->name, i);
	return 0;
}

static int read_interfaces(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = out;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of interfaces with their settings");
	if (v->count > CONFIG_IGMP_INTERFACES_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u interfaces: at most %d", v->count,
				     CONFIG_IGMP_INTERFACES_MAX);
	igmp->interfaces = calloc(v->count + 1u, sizeof(*igmp->interfaces));
	if (!igmp->interfaces)
		return refuse_memory(rd);
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, igmp->n_interfaces);
		int err = read_interface(rd, e, igmp);

		if (err)
			return err;
		reader_leave(rd, mark);
	}
	return 0;
}

/* --- static groups ---------------------------------------------------------------------------- */

static int read_static_interface(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_igmp_static *)out)->interface);
}

static int read_static_group(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_group(rd, v, &((struct config_igmp_static *)out)->sg.group);
}

static int read_static_source(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_source(rd, v, &((struct config_igmp_static *)out)->sg.source);
}

static int read_static_join(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &((struct config_igmp_static *)out)->is_joined);
}

static const struct member static_members[] = {
	{ "interface", 0, true, read_static_interface },
	{ "group", 1, true, read_static_group },
	{ "source", 2, false, read_static_source },
	{ "join", 3, false, read_static_join },
};

static int read_static(struct reader *rd, const struct json5_node *v, struct config_igmp *igmp)
{
	struct config_igmp_static *s = &igmp->statics[igmp->n_statics];
	int err = reader_object(rd, v, static_members, COUNT(static_members), NULL, s);

	if (err)
		return err;
	if (!s->sg.source.net && ip4_in(s->sg.group, ssm_range))
		return reader_refuse(rd, v, E_MISSING,
				     "a group of 232.0.0.0/8 is wanted from a source: name it");
	for (uint32_t i = 0; i < igmp->n_statics; i++)
		if (strcmp(igmp->statics[i].interface, s->interface) == 0 &&
		    sg_equal(igmp->statics[i].sg, s->sg))
			return reader_refuse(rd, v, E_EXISTS, "the same as static_groups[%u]", i);
	igmp->n_statics++;
	return 0;
}

static int read_statics(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = out;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of groups");
	if (v->count > CONFIG_IGMP_STATICS_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u static groups: at most %d", v->count,
				     CONFIG_IGMP_STATICS_MAX);
	igmp->statics = calloc(v->count + 1u, sizeof(*igmp->statics));
	if (!igmp->statics)
		return refuse_memory(rd);
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, igmp->n_statics);
		int err = read_static(rd, e, igmp);

		if (err)
			return err;
		reader_leave(rd, mark);
	}
	return 0;
}

/* --- proxy ------------------------------------------------------------------------------------ */

static int read_upstream(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_igmp *)out)->upstream);
}

static const struct member proxy_members[] = {
	{ "upstream", 0, true, read_upstream },
};

static int read_proxy(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_object(rd, v, proxy_members, COUNT(proxy_members), NULL, out);
}

/* --- the whole -------------------------------------------------------------------------------- */

static const struct member igmp_members[] = {
	{ "querier_interfaces", SLOT, false, read_queriers },
	{ "source_interfaces", SLOT + 1, false, read_sources },
	{ "interfaces", SLOT + 2, false, read_interfaces },
	{ "static_groups", SLOT + 3, false, read_statics },
	{ "proxy", SLOT + 4, false, read_proxy },
};

/* Refuses a setting for what others say; at the object when the text does not have it. */
static int refuse_setting(struct reader *rd, const struct json5_node *v, const char *key,
			  const char *what)
{
	const struct json5_node *m = json5_get(rd->doc, v, key);

	reader_enter(rd, key);
	return reader_refuse(rd, m ? m : v, E_RANGE, "%s", what);
}

static int check_times(struct reader *rd, const struct json5_node *v,
		       const struct config_igmp_settings *s)
{
	static const char too_long[] = "before version 3 at most 25.5 seconds can be said";

	if (s->query_response_ds >= s->query_interval_s * 10)
		return refuse_setting(rd, v, "query_response_interval",
				      "hosts must answer in less than query_interval");
	if (s->version == 3)
		return 0;
	if (s->query_response_ds > RESPONSE_DS_MAX_OLD)
		return refuse_setting(rd, v, "query_response_interval", too_long);
	if (s->last_member_ds > RESPONSE_DS_MAX_OLD)
		return refuse_setting(rd, v, "last_member_query_interval", too_long);
	return 0;
}

/* Settings that interfaces were not given, which may stand behind them in the text. */
static int check_interfaces(struct reader *rd, const struct json5_node *v, struct config_igmp *igmp)
{
	const struct json5_node *list = json5_get(rd->doc, v, "interfaces");
	const struct json5_node *e = list ? json5_first(rd->doc, list) : NULL;
	size_t mark = reader_enter(rd, "interfaces");

	for (uint32_t i = 0; i < igmp->n_interfaces; i++, e = json5_next(rd->doc, e)) {
		struct config_igmp_interface *interface = &igmp->interfaces[i];
		size_t at = reader_enter_index(rd, i);
		int err;

		config_igmp_settings_inherit(&interface->settings, &igmp->settings);
		err = check_times(rd, e, &interface->settings);
		if (err)
			return err;
		if (interface->mode != IGMP_QUERIER &&
		    is_named(igmp->queriers, igmp->n_queriers, interface->name))
			return reader_refuse(rd, e, E_EXISTS,
					     "%s is one of querier_interfaces, too",
					     interface->name);
		reader_leave(rd, at);
	}
	reader_leave(rd, mark);
	return 0;
}

static int check_statics(struct reader *rd, const struct json5_node *v,
			 const struct config_igmp *igmp)
{
	for (uint32_t i = 0; i < igmp->n_statics; i++) {
		size_t mark = rd->path_len;
		enum igmp_mode mode;

		if (config_igmp_of(igmp, igmp->statics[i].interface, &mode))
			continue;
		reader_enter(rd, "static_groups");
		reader_enter_index(rd, i);
		reader_enter(rd, "interface");
		diag_set(rd->d, 0, E_NOT_FOUND, rd->path,
			 "%s is neither one of querier_interfaces nor of interfaces",
			 igmp->statics[i].interface);
		reader_locate(rd, v, mark);
		return -EINVAL;
	}
	return 0;
}

/* Upstream this router is a host, and elsewhere it is not. */
static int check_proxy(struct reader *rd, const struct json5_node *v,
		       const struct config_igmp *igmp)
{
	enum igmp_mode mode;
	size_t mark = rd->path_len;

	if (!*igmp->upstream || !config_igmp_of(igmp, igmp->upstream, &mode) ||
	    mode == IGMP_UPSTREAM)
		return 0;
	reader_enter(rd, "proxy");
	reader_enter(rd, "upstream");
	diag_set(rd->d, 0, E_EXISTS, rd->path,
		 "%s is one of querier_interfaces or interfaces: hosts are asked there",
		 igmp->upstream);
	reader_locate(rd, v, mark);
	return -EINVAL;
}

static int check_number(struct reader *rd, const struct json5_node *v,
			const struct config_igmp *igmp)
{
	uint32_t n = igmp->n_queriers;

	for (uint32_t i = 0; i < igmp->n_interfaces; i++)
		n += !is_named(igmp->queriers, igmp->n_queriers, igmp->interfaces[i].name);
	if (n <= CONFIG_IGMP_INTERFACES_MAX)
		return 0;
	return reader_refuse(rd, v, E_LIMIT, "%u interfaces: at most %d", n,
			     CONFIG_IGMP_INTERFACES_MAX);
}

int config_read_igmp(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = &((struct config *)out)->igmp;
	int err = config_igmp_settings_read(rd, v, igmp_members, COUNT(igmp_members), igmp);

	if (!err)
		err = check_times(rd, v, &igmp->settings);
	if (!err)
		err = check_interfaces(rd, v, igmp);
	if (!err)
		err = check_proxy(rd, v, igmp);
	if (!err)
		err = check_number(rd, v, igmp);
	return err ? err : check_statics(rd, v, igmp);
}
