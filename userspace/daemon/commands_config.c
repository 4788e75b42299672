/* SPDX-License-Identifier: MIT */
/* The verbs about whole configurations: get, check, load, save. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/commands.h"
#include "edge/statefile.h"

/* Whether there is a configuration in a request, right or wrong. */
static int param_config_given(const struct request *q, struct diag *d)
{
	const struct json5_node *v = json5_get(q->doc, q->root, "config");
	const struct json5_node *t = json5_get(q->doc, q->root, "config_text");

	if (!v == !t)
		return diag_set(d, -EINVAL, E_MISSING, "",
				"one of config and config_text is wanted, not both");
	if (t && t->type != JSON5_STRING)
		return diag_set(d, -EINVAL, E_TYPE, "config_text",
				"config_text must be a string, not %s",
				json5_type_name((enum json5_type)t->type));
	return 0;
}

/* The configuration in a request: `config` as a value, or `config_text` as a file's text. */
static int param_config(const struct request *q, struct config **out, struct diag *d)
{
	const struct json5_node *v = json5_get(q->doc, q->root, "config");
	const struct json5_node *t = json5_get(q->doc, q->root, "config_text");
	int err = param_config_given(q, d);

	if (err)
		return err;
	if (q->parsed->has_config) {
		*out = q->parsed->config;
		q->parsed->config = NULL;
		*d = q->parsed->config_d;
		return q->parsed->config_err;
	}
	if (v)
		return config_read_value(out, q->doc, v, "config", d);
	return config_read(out, json5_text(q->doc, t), t->text_len, d);
}

/* Reads the configuration of a request, if it has one, ahead of its verb. Touches nothing else. */
void commands_read_config(struct parsed *parsed)
{
	struct request q = { .doc = &parsed->doc, .parsed = parsed };
	struct diag d = { 0 };

	if (parsed->err)
		return;
	q.root = json5_root(q.doc);
	if (q.root->type != JSON5_OBJECT || param_config_given(&q, &d))
		return;
	parsed->config_err = param_config(&q, &parsed->config, &parsed->config_d);
	parsed->has_config = true;
}

/* Makes a path within the configuration one within the request. */
static const char *config_where(const struct request *q, const char *path, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s%s", json5_get(q->doc, q->root, "config") ? "config." : "", path);
	return buf;
}

/* The first of the `n_new` new rules that has the input of a rule that is kept, if any. */
static int merge_clash(const struct request *q, const struct config *next, size_t n_new,
		       struct diag *d)
{
	char path[40], where[64], quoted[DIAG_QUOTE];

	for (size_t i = 0; i < n_new; i++) {
		for (size_t k = n_new; k < next->rules.n; k++) {
			const struct rule *kept = &next->rules.rules[k];

			if (!rule_same_match(&next->rules.rules[i], kept))
				continue;
			snprintf(path, sizeof(path), "rules[%zu].input", i);
			return diag_set(d, -EINVAL, E_EXISTS,
					config_where(q, path, where, sizeof(where)),
					"the same input as the running rule with id %s; to "
					"replace that one, take its id or name",
					diag_quote(kept->id, quoted));
		}
	}
	return -EINVAL;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool text_in(const char *const *sorted, size_t n, const char *text)
{
	return bsearch(&text, sorted, n, sizeof(*sorted), by_text) != NULL;
}

/* Appends the running rules of which neither the id nor the name is in the sorted lists. */
static int merge_rules(const struct relay *r, struct config *next, const char *const *ids,
		       const char *const *names, size_t n)
{
	for (size_t i = 0; i < r->config->rules.n; i++) {
		const struct rule *rule = &r->config->rules.rules[i];

		if (text_in(ids, n, rule->id) || (rule->name[0] && text_in(names, n, rule->name)))
			continue;
		if (config_add_rule(next, rule))
			return -ENOMEM;
	}
	return 0;
}

/* What a merge keeps of the running configuration: all that the new text does not name. */
static int merge(const struct relay *r, const struct request *q, struct config *next,
		 struct diag *d)
{
	size_t n = next->rules.n;
	struct rule *own = malloc((n + 1) * sizeof(*own)); /* next's list moves as it grows */
	const char **ids = malloc((n + 1) * sizeof(*ids));
	const char **names = malloc((n + 1) * sizeof(*names));
	int err = own && ids && names ? config_inherit(next, r->config) : -ENOMEM;

	if (!err) {
		if (n)
			memcpy(own, next->rules.rules, n * sizeof(*own));
		for (size_t i = 0; i < n; i++) {
			ids[i] = own[i].id;
			names[i] = own[i].name;
		}
		qsort(ids, n, sizeof(*ids), by_text);
		qsort(names, n, sizeof(*names), by_text);
		err = merge_rules(r, next, ids, names, n);
	}
	free(own);
	free(ids);
	free(names);
	if (err)
		return diag_set(d, err, E_LIMIT, "", "out of memory");
	err = commands_check_ruleset(next, d);
	return err == -EINVAL ? merge_clash(q, next, n, d) : err;
}

int cmd_load_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config *next = NULL;
	char where[32];
	bool replace;
	int err = param_bool(q, "replace", &replace, d);

	if (!err)
		err = param_config(q, &next, d);
	if (!err && next->instance[0] && strcmp(next->instance, r->instance) != 0)
		err = diag_set(d, -EINVAL, E_RANGE,
			       config_where(q, "instance", where, sizeof(where)),
			       "this is instance '%s', the configuration is for '%s'", r->instance,
			       next->instance);
	if (!err && !replace)
		err = merge(r, q, next, d);
	if (err) {
		config_free(next);
		return err;
	}
	return commands_change(r, q, next, reply, d);
}

int cmd_check_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct config *next = NULL;
	cJSON *errors;
	int err = param_config_given(q, d);

	(void)r;
	if (err)
		return err;
	err = param_config(q, &next, d);
	config_free(next);
	if (err == -ENOMEM)
		return err;
	errors = cJSON_AddArrayToObject(reply, "errors");
	cJSON_AddBoolToObject(reply, "valid", !err);
	if (err) {
		cJSON *e = cJSON_CreateObject();

		cJSON_AddStringToObject(e, "error_code", diag_code_name(d->code));
		cJSON_AddStringToObject(e, "where", d->where);
		cJSON_AddStringToObject(e, "message", d->what);
		cJSON_AddNumberToObject(e, "line", d->line);
		cJSON_AddNumberToObject(e, "column", d->column);
		cJSON_AddItemToArray(errors, e);
	}
	return 0;
}

int cmd_save_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	const char *path;
	cJSON *config;
	char *text;
	int err = param_text(q, "path", false, &path, d);

	if (err)
		return err;
	if (!path)
		path = r->paths.config;
	if (!path[0])
		return diag_set(d, -EINVAL, E_MISSING, "path",
				"the daemon was started without a file; say a path");
	if (path[0] != '/')
		return diag_set(d, -EINVAL, E_RANGE, "path", "'%s' is no absolute path", path);
	config = config_show(r->config);
	text = config ? cJSON_Print(config) : NULL;
	cJSON_Delete(config);
	if (!text)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	err = q->dry_run ? 0 : file_replace(path, text, strlen(text), d);
	free(text);
	cJSON_AddStringToObject(reply, "path", path);
	return err;
}

int cmd_get_config(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	cJSON *config = config_show(r->config);

	(void)q;
	if (!config)
		return diag_set(d, -ENOMEM, E_LIMIT, "", "out of memory");
	cJSON_AddItemToObject(reply, "config", config);
	return 0;
}
