/* SPDX-License-Identifier: MIT */
/* A whole configuration from JSON5. Nothing of it is kept unless all of it is right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DAY_S	 86400

/* Letters, digits and . _ - that begin with a letter or digit: also a file name. */
static bool is_plain_name(const char *text)
{
	static const char plain[] =
		"._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return text[0] && !text[strspn(text, plain)] && !strchr("._-", text[0]);
}

bool config_is_instance_name(const char *text)
{
	return is_plain_name(text) && strlen(text) < sizeof(((struct config *)0)->instance);
}

static int read_plain_name(struct reader *rd, const struct json5_node *v, const char *what,
			   char *buf, size_t cap)
{
	char text[64], quoted[DIAG_QUOTE];
	int err = reader_text(rd, v, what, text, cap);

	if (err)
		return err;
	if (!is_plain_name(text))
		return reader_refuse(rd, v, E_RANGE,
				     "%s is not %s: letters, digits, dots, underscores and dashes "
				     "that begin with a letter or digit",
				     diag_quote(text, quoted), what);
	memcpy(buf, text, strlen(text) + 1);
	return 0;
}

static int read_instance(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config *cfg = out;

	return read_plain_name(rd, v, "an instance name", cfg->instance, sizeof(cfg->instance));
}

static int read_control_group(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config *cfg = out;

	return read_plain_name(rd, v, "a group name", cfg->control_group,
			       sizeof(cfg->control_group));
}

static int read_multicast_ttl(struct reader *rd, const struct json5_node *v, void *out)
{
	int64_t ttl;
	int err = reader_integer(rd, v, "a TTL (a whole number, 1 to 255)", 1, 255, &ttl);

	if (!err)
		((struct config *)out)->multicast_ttl = (uint8_t)ttl;
	return err;
}

static int read_seconds(struct reader *rd, const struct json5_node *v, uint32_t *out)
{
	int64_t seconds;
	int err = reader_integer(rd, v, "a number of seconds (0 to 86400)", 0, DAY_S, &seconds);

	if (!err)
		*out = (uint32_t)seconds;
	return err;
}

static int read_worker_grace(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, &((struct config *)out)->worker_grace_s);
}

static int read_stats_interval(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, &((struct config *)out)->stats_interval_s);
}

static int read_core(struct reader *rd, const struct json5_node *v, struct config_pinning *p)
{
	int64_t core;
	int err = reader_integer(rd, v, "a core (a whole number, 0 to 1023)", 0, CONFIG_CORE_LAST,
				 &core);

	if (err)
		return err;
	for (unsigned i = 0; i < p->n_cores; i++)
		if (p->cores[i] == core)
			return reader_refuse(rd, v, E_EXISTS, "core %u is in this list already",
					     (unsigned)core);
	p->cores[p->n_cores++] = (uint16_t)core;
	return 0;
}

static int read_cores(struct reader *rd, const struct json5_node *v, struct config_pinning *p)
{
	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of cores");
	if (!v->count)
		return reader_refuse(rd, v, E_RANGE,
				     "the list of cores is empty: name one, or leave the "
				     "interface out");
	if (v->count > CONFIG_CORES_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u cores: an interface has at most %d",
				     v->count, CONFIG_CORES_MAX);
	for (const struct json5_node *c = json5_first(rd->doc, v); c; c = json5_next(rd->doc, c)) {
		size_t mark = reader_enter_index(rd, p->n_cores);
		int err = read_core(rd, c, p);

		if (err)
			return err;
		reader_leave(rd, mark);
	}
	return 0;
}

static int read_pinning(struct reader *rd, const struct json5_node *v, struct config_pinning *p)
{
	const char *interface = json5_key(rd->doc, v);
	char quoted[DIAG_QUOTE];
	size_t mark;
	int err;

	if (!rule_is_interface_name(interface))
		return reader_refuse(rd, v, E_IF_NAME,
				     "the key %s is not an interface name: 1 to 15 letters, "
				     "digits, dots, underscores and dashes that begin with a "
				     "letter or underscore",
				     diag_quote(interface, quoted));
	memcpy(p->interface, interface, strlen(interface) + 1);
	mark = reader_enter(rd, interface);
	err = read_cores(rd, v, p);
	reader_leave(rd, mark);
	return err;
}

static int read_pinnings(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config *cfg = out;

	if (v->type != JSON5_OBJECT)
		return reader_refuse_type(rd, v,
					  "an object from interface names to lists of cores");
	if (v->count > CONFIG_PINNINGS_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u interfaces: at most %d can be pinned",
				     v->count, CONFIG_PINNINGS_MAX);
	if (!v->count)
		return 0;
	cfg->pinnings = calloc(v->count, sizeof(*cfg->pinnings));
	if (!cfg->pinnings)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	for (const struct json5_node *m = json5_first(rd->doc, v); m; m = json5_next(rd->doc, m)) {
		int err = read_pinning(rd, m, &cfg->pinnings[cfg->n_pinnings]);

		if (err)
			return err;
		cfg->n_pinnings++;
	}
	return 0;
}

static int read_rules(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config *cfg = out;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of rules");
	if (v->count > RULE_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u rules: an instance has at most %d",
				     v->count, RULE_MAX);
	for (const struct json5_node *r = json5_first(rd->doc, v); r; r = json5_next(rd->doc, r)) {
		size_t mark = reader_enter_index(rd, cfg->rules.n);
		struct rule rule;
		int err = config_read_rule(rd, r, &rule);

		if (err)
			return err;
		if (config_take_rule(cfg, &rule)) {
			rule_free_outputs(&rule);
			return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
		}
		reader_leave(rd, mark);
	}
	return 0;
}

static const struct member config_members[] = {
	{ "instance", 0, false, read_instance },
	{ "multicast_ttl", 1, false, read_multicast_ttl },
	{ "worker_grace", 2, false, read_worker_grace },
	{ "stats_interval", 3, false, read_stats_interval },
	{ "control_group", 4, false, read_control_group },
	{ "pinning", 5, false, read_pinnings },
	{ "rules", 6, false, read_rules },
	{ "igmp", 7, false, config_read_igmp },
	{ "pim", 8, false, config_read_pim },
	{ "mroutes", 9, false, config_read_mroutes },
};

/* The rules against each other. ruleset_check's paths begin at the configuration. */
static int check_rules(struct reader *rd, const struct json5_node *v, const struct ruleset *set)
{
	size_t index_len = 4 * set->n;
	uint32_t *index;
	struct diag found;
	int err;

	if (!set->n)
		return 0;
	index = malloc(index_len * sizeof(*index));
	if (!index)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	err = ruleset_check(set, index, index_len, &found);
	free(index);
	if (!err)
		return 0;
	reader_enter(rd, found.where);
	diag_set(rd->d, 0, found.code, rd->path, "%s", found.what);
	reader_locate(rd, v, rd->path_len - strlen(found.where));
	return err;
}

int config_read_value(struct config **out, const struct json5_doc *doc, const struct json5_node *v,
		      const char *where, struct diag *d)
{
	struct diag unwanted, found;
	struct reader rd = { .doc = doc, .d = d ? d : &unwanted };
	struct config *cfg = config_new();
	int err;

	if (!cfg)
		return diag_set(d, -ENOMEM, E_KERNEL, where, "out of memory");
	reader_enter(&rd, where);
	err = reader_object(&rd, v, config_members, COUNT(config_members), NULL, cfg);
	if (!err)
		err = check_rules(&rd, v, &cfg->rules);
	if (!err && config_check(cfg, &found)) {
		reader_enter(&rd, found.where);
		diag_set(rd.d, 0, found.code, rd.path, "%s", found.what);
		reader_locate(&rd, v, rd.path_len - strlen(found.where));
		err = -EINVAL;
	}
	if (!err) {
		for (size_t i = 0; i < COUNT(config_members); i++)
			if (json5_get(doc, v, config_members[i].key))
				cfg->given |= 1u << i;
		*out = cfg;
		cfg = NULL;
	}
	config_free(cfg);
	return err;
}

/* Members by their place in config_members. */
enum {
	GIVEN_TTL = 1 << 1,
	GIVEN_GRACE = 1 << 2,
	GIVEN_STATS = 1 << 3,
	GIVEN_GROUP = 1 << 4,
	GIVEN_PINNING = 1 << 5,
	GIVEN_IGMP = 1 << 7,
	GIVEN_PIM = 1 << 8,
	GIVEN_MROUTES = 1 << 9,
};

int config_inherit(struct config *cfg, const struct config *from)
{
	if (!(cfg->given & GIVEN_TTL))
		cfg->multicast_ttl = from->multicast_ttl;
	if (!(cfg->given & GIVEN_GRACE))
		cfg->worker_grace_s = from->worker_grace_s;
	if (!(cfg->given & GIVEN_STATS))
		cfg->stats_interval_s = from->stats_interval_s;
	if (!(cfg->given & GIVEN_GROUP))
		memcpy(cfg->control_group, from->control_group, sizeof(cfg->control_group));
	if (!(cfg->given & GIVEN_IGMP)) {
		config_igmp_fini(&cfg->igmp);
		if (config_igmp_copy(&cfg->igmp, &from->igmp))
			return -ENOMEM;
	}
	if (!(cfg->given & GIVEN_PIM)) {
		config_pim_fini(&cfg->pim);
		if (config_pim_copy(&cfg->pim, &from->pim))
			return -ENOMEM;
	}
	if (!(cfg->given & GIVEN_MROUTES)) {
		config_mroutes_fini(&cfg->mroutes);
		if (config_mroutes_copy(&cfg->mroutes, &from->mroutes))
			return -ENOMEM;
	}
	if (cfg->given & GIVEN_PINNING || !from->n_pinnings)
		return 0;
	cfg->pinnings = malloc(from->n_pinnings * sizeof(*cfg->pinnings));
	if (!cfg->pinnings)
		return -ENOMEM;
	memcpy(cfg->pinnings, from->pinnings, from->n_pinnings * sizeof(*cfg->pinnings));
	cfg->n_pinnings = from->n_pinnings;
	return 0;
}

int config_read(struct config **out, const char *text, size_t len, struct diag *d)
{
	struct json5_doc doc = { 0 };
	int err;

	if (len > CONFIG_TEXT_MAX)
		return diag_set(d, -E2BIG, E_TOO_LARGE, "", "a configuration has at most %u bytes",
				CONFIG_TEXT_MAX);
	doc.cap_nodes = json5_nodes_bound(text, len);
	if (doc.cap_nodes > CONFIG_NODES_MAX)
		doc.cap_nodes = CONFIG_NODES_MAX;
	doc.cap_strings = json5_strings_needed(len);
	doc.nodes = malloc(doc.cap_nodes * sizeof(*doc.nodes));
	doc.strings = malloc(doc.cap_strings);
	if (doc.nodes && doc.strings)
		err = json5_parse(&doc, text, len, d);
	else
		err = diag_set(d, -ENOMEM, E_KERNEL, "", "out of memory");
	if (!err)
		err = config_read_value(out, &doc, json5_root(&doc), "", d);
	free(doc.nodes);
	free(doc.strings);
	return err;
}
