/* SPDX-License-Identifier: MIT */
/* The configuration of IGMP: read, copied, compared, shown. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a)	    (sizeof(a) / sizeof((a)[0]))
#define INTERVAL_S_MAX	    31744 /* what a query can say */
#define RESPONSE_DS_MAX	    31744
#define RESPONSE_DS_MAX_OLD 255 /* before version 3 */
#define ENTRIES_MAX	    65535

static const struct ip4_prefix ssm_range = { { __builtin_bswap32(0xe8000000) }, 8 };

void config_igmp_init(struct config_igmp *igmp)
{
	*igmp = (struct config_igmp){
		.version = 3,
		.robustness = 2,
		.query_interval_s = 125,
		.query_response_ds = 100,
		.last_member_ds = 10,
		.max_groups = 4096,
		.max_sources = 1024,
	};
}

void config_igmp_fini(struct config_igmp *igmp)
{
	free(igmp->queriers);
	free(igmp->sources);
	free(igmp->statics);
	igmp->queriers = igmp->sources = NULL;
	igmp->statics = NULL;
	igmp->n_queriers = igmp->n_sources = igmp->n_statics = 0;
}

/* A copy of `n` items, or of none in a block of its own; NULL without memory. */
static void *list_copy(const void *list, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (copy && n)
		memcpy(copy, list, n * size);
	return copy;
}

int config_igmp_copy(struct config_igmp *to, const struct config_igmp *from)
{
	*to = *from;
	to->queriers = list_copy(from->queriers, from->n_queriers, sizeof(*to->queriers));
	to->sources = list_copy(from->sources, from->n_sources, sizeof(*to->sources));
	to->statics = list_copy(from->statics, from->n_statics, sizeof(*to->statics));
	if (to->queriers && to->sources && to->statics)
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

static bool static_equal(const struct config_igmp_static *a, const struct config_igmp_static *b)
{
	return !strcmp(a->interface, b->interface) && sg_equal(a->sg, b->sg);
}

bool config_igmp_equal(const struct config_igmp *a, const struct config_igmp *b)
{
	if (a->n_queriers != b->n_queriers || a->n_sources != b->n_sources ||
	    a->n_statics != b->n_statics || a->version != b->version ||
	    a->robustness != b->robustness || a->fast_leave != b->fast_leave ||
	    a->query_interval_s != b->query_interval_s ||
	    a->query_response_ds != b->query_response_ds ||
	    a->last_member_ds != b->last_member_ds || a->max_groups != b->max_groups ||
	    a->max_sources != b->max_sources)
		return false;
	if (!names_equal(a->queriers, b->queriers, a->n_queriers) ||
	    !names_equal(a->sources, b->sources, a->n_sources))
		return false;
	for (uint32_t i = 0; i < a->n_statics; i++)
		if (!static_equal(&a->statics[i], &b->statics[i]))
			return false;
	return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_number(struct reader *rd, const struct json5_node *v, const char *what,
		       uint32_t max, uint32_t *out)
{
	int64_t number;
	int err = reader_integer(rd, v, what, 1, max, &number);

	if (!err)
		*out = (uint32_t)number;
	return err;
}

static int read_version(struct reader *rd, const struct json5_node *v, void *out)
{
	uint32_t version;
	int err = read_number(rd, v, "a version of IGMP (1, 2 or 3)", 3, &version);

	if (!err)
		((struct config_igmp *)out)->version = (uint8_t)version;
	return err;
}

static int read_robustness(struct reader *rd, const struct json5_node *v, void *out)
{
	uint32_t robustness;
	int err = read_number(rd, v, "a robustness (a whole number, 1 to 255)", 255, &robustness);

	if (!err)
		((struct config_igmp *)out)->robustness = (uint8_t)robustness;
	return err;
}

static int read_query_interval(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_number(rd, v, "a number of seconds (1 to 31744)", INTERVAL_S_MAX,
			   &((struct config_igmp *)out)->query_interval_s);
}

/* Seconds in tenths, as queries carry them. */
static int read_tenths(struct reader *rd, const struct json5_node *v, uint32_t *out)
{
	static const char wanted[] = "a number of seconds in tenths (0.1 to 3174.4)";
	double tenths = v->number * 10;

	if (v->type != JSON5_NUMBER)
		return reader_refuse_type(rd, v, wanted);
	if (!(tenths > 0.5 && tenths < RESPONSE_DS_MAX + 0.5) ||
	    fabs(tenths - (uint32_t)(tenths + 0.5)) > 1e-6)
		return reader_refuse(rd, v, E_RANGE, "%g is not %s", v->number, wanted);
	*out = (uint32_t)(tenths + 0.5);
	return 0;
}

static int read_query_response(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_tenths(rd, v, &((struct config_igmp *)out)->query_response_ds);
}

static int read_last_member(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_tenths(rd, v, &((struct config_igmp *)out)->last_member_ds);
}

static int read_fast_leave(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &((struct config_igmp *)out)->fast_leave);
}

static int read_max_groups(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_number(rd, v, "a number of groups (1 to 65535)", ENTRIES_MAX,
			   &((struct config_igmp *)out)->max_groups);
}

static int read_max_sources(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_number(rd, v, "a number of sources (1 to 65535)", ENTRIES_MAX,
			   &((struct config_igmp *)out)->max_sources);
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
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
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

static int read_static_interface(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_igmp_static *)out)->interface);
}

static int read_static_group(struct reader *rd, const struct json5_node *v, void *out)
{
	struct ip4 *group = &((struct config_igmp_static *)out)->sg.group;
	char text[IP4_TEXT];
	int err = reader_ip4(rd, v, group);

	if (err)
		return err;
	if (!ip4_is_multicast(*group) || ip4_is_linklocal_group(*group))
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is not a group that is routed (224.0.1.0 to "
				     "239.255.255.255)",
				     ip4_format(*group, text));
	return 0;
}

static int read_static_source(struct reader *rd, const struct json5_node *v, void *out)
{
	struct ip4 *source = &((struct config_igmp_static *)out)->sg.source;
	char text[IP4_TEXT];
	int err = reader_ip4(rd, v, source);

	if (!err && !ip4_is_unicast(*source))
		return reader_refuse(rd, v, E_BAD_ADDR, "%s is not the address of a source",
				     ip4_format(*source, text));
	return err;
}

static const struct member static_members[] = {
	{ "interface", 0, true, read_static_interface },
	{ "group", 1, true, read_static_group },
	{ "source", 2, false, read_static_source },
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
		if (static_equal(&igmp->statics[i], s))
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
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, igmp->n_statics);
		int err = read_static(rd, e, igmp);

		if (err)
			return err;
		reader_leave(rd, mark);
	}
	return 0;
}

static const struct member igmp_members[] = {
	{ "querier_interfaces", 0, false, read_queriers },
	{ "version", 1, false, read_version },
	{ "robustness", 2, false, read_robustness },
	{ "query_interval", 3, false, read_query_interval },
	{ "query_response_interval", 4, false, read_query_response },
	{ "last_member_query_interval", 5, false, read_last_member },
	{ "fast_leave", 6, false, read_fast_leave },
	{ "max_groups", 7, false, read_max_groups },
	{ "max_sources", 8, false, read_max_sources },
	{ "static_groups", 9, false, read_statics },
	{ "source_interfaces", 10, false, read_sources },
};

/* Refuses a member for what others say; at the object when the text does not have it. */
static int refuse_member(struct reader *rd, const struct json5_node *v, const char *key,
			 const char *what)
{
	const struct json5_node *m = json5_get(rd->doc, v, key);

	reader_enter(rd, key);
	return reader_refuse(rd, m ? m : v, E_RANGE, "%s", what);
}

static int check_times(struct reader *rd, const struct json5_node *v,
		       const struct config_igmp *igmp)
{
	static const char too_long[] = "before version 3 at most 25.5 seconds can be said";

	if (igmp->query_response_ds >= igmp->query_interval_s * 10)
		return refuse_member(rd, v, "query_response_interval",
				     "hosts must answer in less than query_interval");
	if (igmp->version == 3)
		return 0;
	if (igmp->query_response_ds > RESPONSE_DS_MAX_OLD)
		return refuse_member(rd, v, "query_response_interval", too_long);
	if (igmp->last_member_ds > RESPONSE_DS_MAX_OLD)
		return refuse_member(rd, v, "last_member_query_interval", too_long);
	return 0;
}

static int check_statics(struct reader *rd, const struct json5_node *v,
			 const struct config_igmp *igmp)
{
	for (uint32_t i = 0; i < igmp->n_statics; i++) {
		size_t mark = rd->path_len;

		if (is_named(igmp->queriers, igmp->n_queriers, igmp->statics[i].interface))
			continue;
		reader_enter(rd, "static_groups");
		reader_enter_index(rd, i);
		reader_enter(rd, "interface");
		diag_set(rd->d, 0, E_NOT_FOUND, rd->path, "%s is not one of querier_interfaces",
			 igmp->statics[i].interface);
		reader_locate(rd, v, mark);
		return -EINVAL;
	}
	return 0;
}

int config_read_igmp(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp *igmp = &((struct config *)out)->igmp;
	int err = reader_object(rd, v, igmp_members, COUNT(igmp_members), NULL, igmp);

	if (!err)
		err = check_times(rd, v, igmp);
	return err ? err : check_statics(rd, v, igmp);
}

/* --- showing ---------------------------------------------------------------------------------- */

static bool show_static(cJSON *list, const struct config_igmp_static *s)
{
	cJSON *j = cJSON_CreateObject();
	char text[IP4_TEXT];

	if (!j || !cJSON_AddItemToArray(list, j))
		return false;
	return cJSON_AddStringToObject(j, "interface", s->interface) &&
	       cJSON_AddStringToObject(j, "group", ip4_format(s->sg.group, text)) &&
	       (!s->sg.source.net ||
		cJSON_AddStringToObject(j, "source", ip4_format(s->sg.source, text)));
}

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

static bool show_lists(cJSON *j, const struct config_igmp *igmp)
{
	cJSON *statics = NULL;
	bool ok = show_names(j, "querier_interfaces", igmp->queriers, igmp->n_queriers);

	if (ok && igmp->n_sources)
		ok = show_names(j, "source_interfaces", igmp->sources, igmp->n_sources);
	if (ok && igmp->n_statics)
		ok = (statics = cJSON_AddArrayToObject(j, "static_groups")) != NULL;
	for (uint32_t i = 0; ok && i < igmp->n_statics; i++)
		ok = show_static(statics, &igmp->statics[i]);
	return ok;
}

bool config_igmp_show(cJSON *to, const struct config_igmp *igmp)
{
	struct config_igmp unset;
	cJSON *j;

	config_igmp_init(&unset);
	if (config_igmp_equal(igmp, &unset))
		return true;
	j = cJSON_AddObjectToObject(to, "igmp");
	return j && show_lists(j, igmp) && cJSON_AddNumberToObject(j, "version", igmp->version) &&
	       cJSON_AddNumberToObject(j, "robustness", igmp->robustness) &&
	       cJSON_AddNumberToObject(j, "query_interval", igmp->query_interval_s) &&
	       cJSON_AddNumberToObject(j, "query_response_interval",
				       igmp->query_response_ds / 10.0) &&
	       cJSON_AddNumberToObject(j, "last_member_query_interval",
				       igmp->last_member_ds / 10.0) &&
	       cJSON_AddBoolToObject(j, "fast_leave", igmp->fast_leave) &&
	       cJSON_AddNumberToObject(j, "max_groups", igmp->max_groups) &&
	       cJSON_AddNumberToObject(j, "max_sources", igmp->max_sources);
}
