/* SPDX-License-Identifier: MIT */
/* Static multicast routes: read, copied, compared, changed, shown. */
#include "daemon/config_mroute.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void config_mroutes_fini(struct config_mroutes *m)
{
	free(m->list);
	*m = (struct config_mroutes){ 0 };
}

int config_mroutes_copy(struct config_mroutes *to, const struct config_mroutes *from)
{
	*to = (struct config_mroutes){ .list = calloc(from->n + 1u, sizeof(*to->list)) };
	if (!to->list)
		return -ENOMEM;
	if (from->n)
		memcpy(to->list, from->list, from->n * sizeof(*to->list));
	to->n = from->n;
	return 0;
}

bool config_mroute_has_output(const struct config_mroute *route, const char *interface)
{
	for (uint32_t i = 0; i < route->n_outputs; i++)
		if (strcmp(route->outputs[i], interface) == 0)
			return true;
	return false;
}

static bool mroute_equal(const struct config_mroute *a, const struct config_mroute *b)
{
	if (!sg_equal(a->sg, b->sg) || strcmp(a->input, b->input) != 0 ||
	    a->n_outputs != b->n_outputs)
		return false;
	for (uint32_t i = 0; i < a->n_outputs; i++)
		if (strcmp(a->outputs[i], b->outputs[i]) != 0)
			return false;
	return true;
}

bool config_mroutes_equal(const struct config_mroutes *a, const struct config_mroutes *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!mroute_equal(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static struct config_mroute *find(const struct config_mroutes *m, struct sg sg)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (sg_equal(m->list[i].sg, sg))
			return &m->list[i];
	return NULL;
}

const struct config_mroute *config_mroute_find(const struct config_mroutes *m, struct sg sg)
{
	return find(m, sg);
}

int config_mroute_set(struct config_mroutes *m, const struct config_mroute *route)
{
	struct config_mroute *list = find(m, route->sg);

	if (list) {
		*list = *route;
		return 0;
	}
	if (m->n >= CONFIG_MROUTES_MAX)
		return -E2BIG;
	list = reallocarray(m->list, m->n + 1u, sizeof(*list));
	if (!list)
		return -ENOMEM;
	m->list = list;
	m->list[m->n++] = *route;
	return 0;
}

bool config_mroute_remove(struct config_mroutes *m, struct sg sg)
{
	struct config_mroute *route = find(m, sg);

	if (!route)
		return false;
	m->n--;
	memmove(route, route + 1, (size_t)(&m->list[m->n] - route) * sizeof(*route));
	return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_group(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_group(rd, v, &((struct config_mroute *)out)->sg.group);
}

static int read_source(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_source(rd, v, &((struct config_mroute *)out)->sg.source);
}

static int read_input(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_mroute *)out)->input);
}

static int read_output(struct reader *rd, const struct json5_node *v, struct config_mroute *route)
{
	char name[IFNAME_LEN];
	int err = reader_interface(rd, v, name);

	if (err)
		return err;
	if (config_mroute_has_output(route, name))
		return reader_refuse(rd, v, E_EXISTS, "%s is in this list already", name);
	memcpy(route->outputs[route->n_outputs++], name, sizeof(name));
	return 0;
}

static int read_outputs(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_mroute *route = out;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of interface names");
	if (!v->count)
		return reader_refuse(rd, v, E_RANGE, "a route has an output: name it");
	if (v->count > RULE_OUTPUTS_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u outputs: a route has at most %d", v->count,
				     RULE_OUTPUTS_MAX);
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, route->n_outputs);
		int err = read_output(rd, e, route);

		if (err)
			return err;
		reader_leave(rd, mark);
	}
	return 0;
}

static const struct member mroute_members[] = {
	{ "group", 0, true, read_group },
	{ "source", 1, false, read_source },
	{ "input", 2, true, read_input },
	{ "outputs", 3, true, read_outputs },
};

static int read_mroute(struct reader *rd, const struct json5_node *v, const char *const *also,
		       struct config_mroute *out)
{
	const struct json5_node *outputs = json5_get(rd->doc, v, "outputs");
	int err;

	memset(out, 0, sizeof(*out));
	err = reader_object(rd, v, mroute_members, COUNT(mroute_members), also, out);
	if (err || !config_mroute_has_output(out, out->input))
		return err;
	reader_enter(rd, "outputs");
	return reader_refuse(rd, outputs, E_LOOP, "%s is the input, too", out->input);
}

int config_read_mroutes(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_mroutes *m = &((struct config *)out)->mroutes;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, "an array of multicast routes");
	if (v->count > CONFIG_MROUTES_MAX)
		return reader_refuse(rd, v, E_LIMIT, "%u multicast routes: at most %d", v->count,
				     CONFIG_MROUTES_MAX);
	m->list = calloc(v->count + 1u, sizeof(*m->list));
	if (!m->list)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, m->n);
		int err = read_mroute(rd, e, NULL, &m->list[m->n]);

		if (err)
			return err;
		if (find(m, m->list[m->n].sg))
			return reader_refuse(rd, e, E_EXISTS,
					     "there is a route of this source and group already");
		reader_leave(rd, mark);
		m->n++;
	}
	return 0;
}

int config_read_flat_mroute(struct config_mroute *out, const struct json5_doc *doc,
			    const struct json5_node *request, const char *const *also,
			    struct diag *d)
{
	struct reader rd = { .doc = doc, .d = d };

	return read_mroute(&rd, request, also, out);
}

int config_read_flat_sg(struct sg *out, const struct json5_doc *doc,
			const struct json5_node *request, const char *const *also, struct diag *d)
{
	struct reader rd = { .doc = doc, .d = d };
	struct config_mroute route = { 0 };
	int err = reader_object(&rd, request, mroute_members, 2, also, &route);

	*out = route.sg;
	return err;
}

/* --- showing ---------------------------------------------------------------------------------- */

static bool show_mroute(cJSON *list, const struct config_mroute *route)
{
	cJSON *j = cJSON_CreateObject(), *outputs = NULL;
	char text[IP4_TEXT];
	bool ok = j && cJSON_AddItemToArray(list, j) &&
		  cJSON_AddStringToObject(j, "group", ip4_format(route->sg.group, text));

	if (ok && route->sg.source.net)
		ok = cJSON_AddStringToObject(j, "source", ip4_format(route->sg.source, text));
	if (ok && cJSON_AddStringToObject(j, "input", route->input))
		outputs = cJSON_AddArrayToObject(j, "outputs");
	ok = outputs;
	for (uint32_t i = 0; ok && i < route->n_outputs; i++) {
		cJSON *name = cJSON_CreateString(route->outputs[i]);

		ok = name && cJSON_AddItemToArray(outputs, name);
	}
	return ok;
}

bool config_mroutes_show(cJSON *to, const struct config_mroutes *m)
{
	cJSON *list = m->n ? cJSON_AddArrayToObject(to, "mroutes") : NULL;
	bool ok = list || !m->n;

	for (uint32_t i = 0; ok && i < m->n; i++)
		ok = show_mroute(list, &m->list[i]);
	return ok;
}
