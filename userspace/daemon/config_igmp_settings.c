/* SPDX-License-Identifier: MIT */
/*
 * Settings of IGMP: one table says what each is called, where it is and what it may be. It is
 * read, compared, inherited and shown by that table.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_igmp.h"
#include "daemon/config_value.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define TENTHS_MAX 31744 /* what a query can say */

enum setting_kind { SET_NUMBER, SET_TENTHS, SET_SWITCH, SET_ACCESS };

struct setting {
	const char *key;
	enum setting_kind kind;
	size_t at;
	uint32_t preset, max; /* numbers begin with 1 */
	const char *what;
};

#define AT(field) offsetof(struct config_igmp_settings, field)

static const struct setting setting_members[] = {
	{ "version", SET_NUMBER, AT(version), 3, 3, "a version of IGMP (1, 2 or 3)" },
	{ "robustness", SET_NUMBER, AT(robustness), 2, 255,
	  "a robustness (a whole number, 1 to 255)" },
	{ "query_interval", SET_NUMBER, AT(query_interval_s), 125, TENTHS_MAX,
	  "a number of seconds (1 to 31744)" },
	{ "query_response_interval", SET_TENTHS, AT(query_response_ds), 100, TENTHS_MAX, NULL },
	{ "last_member_query_interval", SET_TENTHS, AT(last_member_ds), 10, TENTHS_MAX, NULL },
	{ "last_member_query_count", SET_NUMBER, AT(last_member_count), 0, 255,
	  "a number of queries (1 to 255)" },
	{ "fast_leave", SET_SWITCH, AT(fast_leave), false, true, NULL },
	{ "track_hosts", SET_SWITCH, AT(track_hosts), false, true, NULL },
	{ "send_router_alert", SET_SWITCH, AT(send_router_alert), true, true, NULL },
	{ "require_router_alert", SET_SWITCH, AT(require_router_alert), false, true, NULL },
	{ "require_local_hosts", SET_SWITCH, AT(require_local_hosts), false, true, NULL },
	{ "max_groups", SET_NUMBER, AT(max_groups), 4096, 65535,
	  "a number of groups (1 to 65535)" },
	{ "max_sources", SET_NUMBER, AT(max_sources), 1024, 65535,
	  "a number of sources (1 to 65535)" },
	{ "max_hosts", SET_NUMBER, AT(max_hosts), 256, 65535, "a number of hosts (1 to 65535)" },
	{ "max_rate", SET_NUMBER, AT(max_rate), 1000, 1000000,
	  "a number of messages a second (1 to 1000000)" },
	{ "access", SET_ACCESS, AT(access), 0, 0, NULL },
};

static uint32_t *number_of(const struct config_igmp_settings *s, const struct setting *t)
{
	return (uint32_t *)((uintptr_t)s + t->at);
}

static bool *switch_of(const struct config_igmp_settings *s, const struct setting *t)
{
	return (bool *)((uintptr_t)s + t->at);
}

void config_igmp_settings_init(struct config_igmp_settings *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < COUNT(setting_members); i++) {
		const struct setting *t = &setting_members[i];

		if (t->kind == SET_SWITCH)
			*switch_of(s, t) = t->preset;
		else if (t->kind != SET_ACCESS)
			*number_of(s, t) = t->preset;
	}
}

static bool is_given(const struct config_igmp_settings *s, size_t i)
{
	return s->given >> i & 1;
}

bool config_igmp_settings_own_access(const struct config_igmp_settings *s)
{
	for (size_t i = 0; i < COUNT(setting_members); i++)
		if (setting_members[i].kind == SET_ACCESS)
			return is_given(s, i);
	return false;
}

void config_igmp_settings_inherit(struct config_igmp_settings *s,
				  const struct config_igmp_settings *from)
{
	for (size_t i = 0; i < COUNT(setting_members); i++) {
		const struct setting *t = &setting_members[i];

		if (is_given(s, i))
			continue;
		if (t->kind == SET_SWITCH)
			*switch_of(s, t) = *switch_of(from, t);
		else if (t->kind != SET_ACCESS)
			*number_of(s, t) = *number_of(from, t);
	}
	if (config_igmp_settings_own_access(s))
		return;
	s->access = from->access;
	s->n_access = from->n_access;
}

static bool access_equal(const struct config_igmp_settings *a, const struct config_igmp_settings *b)
{
	if (a->n_access != b->n_access)
		return false;
	for (uint32_t i = 0; i < a->n_access; i++)
		if (a->access[i].is_permit != b->access[i].is_permit ||
		    !ip4_prefix_equal(a->access[i].group, b->access[i].group) ||
		    !ip4_prefix_equal(a->access[i].source, b->access[i].source))
			return false;
	return true;
}

bool config_igmp_settings_equal(const struct config_igmp_settings *a,
				const struct config_igmp_settings *b)
{
	for (size_t i = 0; i < COUNT(setting_members); i++) {
		const struct setting *t = &setting_members[i];

		if (t->kind == SET_SWITCH && *switch_of(a, t) != *switch_of(b, t))
			return false;
		if ((t->kind == SET_NUMBER || t->kind == SET_TENTHS) &&
		    *number_of(a, t) != *number_of(b, t))
			return false;
	}
	return access_equal(a, b);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Seconds in tenths, as queries carry them. */
static int read_tenths(struct reader *rd, const struct json5_node *v, uint32_t *out)
{
	static const char wanted[] = "a number of seconds in tenths (0.1 to 3174.4)";
	double tenths = v->number * 10;

	if (v->type != JSON5_NUMBER)
		return reader_refuse_type(rd, v, wanted);
	if (!(tenths > 0.5 && tenths < TENTHS_MAX + 0.5) ||
	    fabs(tenths - (uint32_t)(tenths + 0.5)) > 1e-6)
		return reader_refuse(rd, v, E_RANGE, "%g is not %s", v->number, wanted);
	*out = (uint32_t)(tenths + 0.5);
	return 0;
}

static int read_groups(struct reader *rd, const struct json5_node *v, struct igmp_access *out)
{
	char text[IP4_PREFIX_TEXT];
	int err = reader_prefix(rd, v, &out->group);

	if (!err && (out->group.len < 4 || !ip4_is_multicast(out->group.addr)))
		return reader_refuse(rd, v, E_BAD_ADDR, "%s are not groups: 224.0.0.0/4 are",
				     ip4_prefix_format(out->group, text));
	return err;
}

static int read_permit(struct reader *rd, const struct json5_node *v, void *out)
{
	((struct igmp_access *)out)->is_permit = true;
	return read_groups(rd, v, out);
}

static int read_deny(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_groups(rd, v, out);
}

static int read_source(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_prefix(rd, v, &((struct igmp_access *)out)->source);
}

static const struct member access_members[] = {
	{ "permit", 0, true, read_permit },
	{ "deny", 0, false, read_deny },
	{ "source", 1, false, read_source },
};

static int read_access(struct reader *rd, const struct json5_node *v,
		       struct config_igmp_settings *s)
{
	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of what is permitted and denied");
	if (v->count > CONFIG_IGMP_ACCESS_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u entries: at most %d", v->count,
				     CONFIG_IGMP_ACCESS_MAX);
	s->access = calloc(v->count + 1u, sizeof(*s->access));
	if (!s->access)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, s->n_access);
		int err = reader_object(rd, e, access_members, COUNT(access_members), NULL,
					&s->access[s->n_access]);

		if (err)
			return err;
		reader_leave(rd, mark);
		s->n_access++;
	}
	return 0;
}

static int read_number(struct reader *rd, const struct json5_node *v, const struct setting *t,
		       uint32_t *out)
{
	int64_t number;
	int err = reader_integer(rd, v, t->what, 1, t->max, &number);

	if (!err)
		*out = (uint32_t)number;
	return err;
}

/* The setting is found by the key that the text has for it. */
static int read_setting(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_igmp_settings *s = out;
	const struct setting *t = setting_members;

	while (strcmp(t->key, json5_key(rd->doc, v)) != 0)
		t++;
	s->given |= 1u << (t - setting_members);
	switch (t->kind) {
	case SET_NUMBER:
		return read_number(rd, v, t, number_of(s, t));
	case SET_TENTHS:
		return read_tenths(rd, v, number_of(s, t));
	case SET_SWITCH:
		return reader_bool(rd, v, switch_of(s, t));
	case SET_ACCESS:
		return read_access(rd, v, s);
	}
	return -EINVAL;
}

int config_igmp_settings_read(struct reader *rd, const struct json5_node *v,
			      const struct member *others, size_t n, void *out)
{
	struct member all[CONFIG_IGMP_SETTINGS_SLOT + 12];
	size_t n_all = 0;

	for (size_t i = 0; i < n; i++)
		all[n_all++] = others[i];
	for (size_t i = 0; i < COUNT(setting_members); i++)
		all[n_all++] =
			(struct member){ setting_members[i].key, (uint8_t)i, false, read_setting };
	return reader_object(rd, v, all, n_all, NULL, out);
}

/* --- showing ---------------------------------------------------------------------------------- */

static bool show_access(cJSON *to, const struct config_igmp_settings *s)
{
	cJSON *list = cJSON_AddArrayToObject(to, "access");
	char text[IP4_PREFIX_TEXT];
	bool ok = list;

	for (uint32_t i = 0; ok && i < s->n_access; i++) {
		const struct igmp_access *a = &s->access[i];
		cJSON *j = cJSON_CreateObject();

		ok = j && cJSON_AddItemToArray(list, j) &&
		     cJSON_AddStringToObject(j, a->is_permit ? "permit" : "deny",
					     ip4_prefix_format(a->group, text));
		if (ok && a->source.len)
			ok = cJSON_AddStringToObject(j, "source",
						     ip4_prefix_format(a->source, text));
	}
	return ok;
}

static bool show_setting(cJSON *to, const struct config_igmp_settings *s, const struct setting *t)
{
	switch (t->kind) {
	case SET_NUMBER: /* 0: not set, and none that could be read */
		return !*number_of(s, t) || cJSON_AddNumberToObject(to, t->key, *number_of(s, t));
	case SET_TENTHS:
		return cJSON_AddNumberToObject(to, t->key, *number_of(s, t) / 10.0);
	case SET_SWITCH:
		return cJSON_AddBoolToObject(to, t->key, *switch_of(s, t));
	case SET_ACCESS:
		return show_access(to, s);
	}
	return false;
}

bool config_igmp_settings_show(cJSON *to, const struct config_igmp_settings *s, bool only_given)
{
	bool ok = true;

	for (size_t i = 0; ok && i < COUNT(setting_members); i++) {
		const struct setting *t = &setting_members[i];
		bool is_shown = !only_given && (t->kind != SET_ACCESS || s->n_access);

		if (is_shown || is_given(s, i))
			ok = show_setting(to, s, t);
	}
	return ok;
}
