/* SPDX-License-Identifier: MIT */
/* Typed reading of parsed JSON5: what is refused here is refused with path, position and remedy. */
#include "daemon/config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 32 /* longest key that is looked at for a misspelling */

/* Returns where the path ended before. `n` is what snprintf wanted to append. */
static size_t path_advance(struct reader *rd, int n)
{
	size_t mark = rd->path_len, room = sizeof(rd->path) - mark;

	rd->path_len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	return mark;
}

size_t reader_enter(struct reader *rd, const char *key)
{
	size_t at = rd->path_len;

	return path_advance(
		rd, snprintf(rd->path + at, sizeof(rd->path) - at, "%s%s", at ? "." : "", key));
}

size_t reader_enter_index(struct reader *rd, size_t index)
{
	size_t at = rd->path_len;

	return path_advance(rd, snprintf(rd->path + at, sizeof(rd->path) - at, "[%zu]", index));
}

void reader_leave(struct reader *rd, size_t mark)
{
	rd->path_len = mark;
	rd->path[mark] = '\0';
}

static void set_position(struct reader *rd, const struct json5_node *v)
{
	rd->d->line = v->line;
	rd->d->column = v->column;
}

int reader_refuse(struct reader *rd, const struct json5_node *v, enum diag_code code,
		  const char *fmt, ...)
{
	char what[sizeof(rd->d->what)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	diag_set(rd->d, 0, code, rd->path, "%s", what);
	set_position(rd, v);
	return -EINVAL;
}

int reader_refuse_type(struct reader *rd, const struct json5_node *v, const char *wanted)
{
	return reader_refuse(rd, v, E_TYPE, "%s is wanted here, not %s", wanted,
			     json5_type_name(v->type));
}

/* Edit distance, for texts of at most KEY_MAX bytes. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[KEY_MAX + 1];
	size_t len = strlen(b);

	for (unsigned j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[len];
}

/* The accepted key that is at most two edits away, or NULL. */
static const char *nearest_key(const char *key, const struct member *members, size_t n)
{
	const char *nearest = NULL;
	unsigned least = 3;

	if (strlen(key) > KEY_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned away = distance(key, members[i].key);

		if (away < least && away < strlen(members[i].key)) {
			least = away;
			nearest = members[i].key;
		}
	}
	return nearest;
}

static int refuse_unknown(struct reader *rd, const struct json5_node *v,
			  const struct member *members, size_t n)
{
	const char *key = json5_key(rd->doc, v), *meant = nearest_key(key, members, n);
	char quoted[DIAG_QUOTE], accepted[sizeof(rd->d->what)], path_key[DIAG_QUOTE];
	size_t len = 0, mark;
	int err;

	accepted[0] = '\0';
	for (size_t i = 0; i < n && len < sizeof(accepted); i++)
		len += (size_t)snprintf(accepted + len, sizeof(accepted) - len, "%s%s",
					i ? ", " : "", members[i].key);
	diag_quote(key, quoted);
	/* The path shows the key without quotes, and as harmless as within them. */
	snprintf(path_key, sizeof(path_key), "%.*s", (int)strlen(quoted) - 2, quoted + 1);
	mark = reader_enter(rd, path_key);
	if (meant)
		err = reader_refuse(rd, v, E_UNKNOWN_KEY,
				    "unknown key %s: did you mean \"%s\"? Accepted: %s", quoted,
				    meant, accepted);
	else
		err = reader_refuse(rd, v, E_UNKNOWN_KEY, "unknown key %s; accepted: %s", quoted,
				    accepted);
	reader_leave(rd, mark);
	return err;
}

static int read_member(struct reader *rd, const struct json5_node *v, const struct member *m,
		       bool is_doubled, void *out)
{
	size_t mark = reader_enter(rd, m->key);
	int err;

	if (is_doubled)
		err = reader_refuse(rd, v, E_EXISTS,
				    "\"%s\" says again what a synonym has said in this object",
				    m->key);
	else
		err = m->read(rd, v, out);
	reader_leave(rd, mark);
	return err;
}

static int check_required(struct reader *rd, const struct json5_node *v,
			  const struct member *members, size_t n, uint32_t seen)
{
	for (size_t i = 0; i < n; i++) {
		size_t mark;
		int err;

		if (!members[i].is_required || seen >> members[i].slot & 1)
			continue;
		mark = reader_enter(rd, members[i].key);
		err = reader_refuse(rd, v, E_MISSING, "the key \"%s\" is missing", members[i].key);
		reader_leave(rd, mark);
		return err;
	}
	return 0;
}

static bool is_listed(const char *const *list, const char *key)
{
	for (; list && *list; list++)
		if (!strcmp(*list, key))
			return true;
	return false;
}

int reader_object(struct reader *rd, const struct json5_node *v, const struct member *members,
		  size_t n, const char *const *also, void *out)
{
	uint32_t seen = 0;

	if (v->type != JSON5_OBJECT)
		return reader_refuse_type(rd, v, "an object");
	for (const struct json5_node *m = json5_first(rd->doc, v); m; m = json5_next(rd->doc, m)) {
		const char *key = json5_key(rd->doc, m);
		size_t i = 0;
		int err;

		while (i < n && strcmp(members[i].key, key))
			i++;
		if (i == n && is_listed(also, key))
			continue;
		if (i == n)
			return refuse_unknown(rd, m, members, n);
		err = read_member(rd, m, &members[i], seen >> members[i].slot & 1, out);
		if (err)
			return err;
		seen |= 1u << members[i].slot;
	}
	return check_required(rd, v, members, n, seen);
}

int reader_text(struct reader *rd, const struct json5_node *v, const char *what, char *buf,
		size_t cap)
{
	char wanted[96], quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING) {
		snprintf(wanted, sizeof(wanted), "%s (a string)", what);
		return reader_refuse_type(rd, v, wanted);
	}
	if (!v->text_len)
		return reader_refuse(rd, v, E_RANGE, "%s cannot be empty", what);
	if (v->text_len >= cap)
		return reader_refuse(rd, v, E_RANGE, "%s is too long for %s: at most %zu bytes",
				     diag_quote(json5_text(rd->doc, v), quoted), what, cap - 1);
	memcpy(buf, json5_text(rd->doc, v), v->text_len + 1);
	return 0;
}

int reader_integer(struct reader *rd, const struct json5_node *v, const char *what, int64_t min,
		   int64_t max, int64_t *out)
{
	if (v->type != JSON5_NUMBER)
		return reader_refuse_type(rd, v, what);
	if (!v->is_integer)
		return reader_refuse(rd, v, E_RANGE, "%g is not %s", v->number, what);
	if (v->integer < min || v->integer > max)
		return reader_refuse(rd, v, E_RANGE, "%" PRId64 " is not %s", v->integer, what);
	*out = v->integer;
	return 0;
}

int reader_bool(struct reader *rd, const struct json5_node *v, bool *out)
{
	if (v->type != JSON5_BOOL)
		return reader_refuse_type(rd, v, "true or false");
	*out = v->boolean;
	return 0;
}

int reader_interface(struct reader *rd, const struct json5_node *v, char out[IFNAME_LEN])
{
	char quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING)
		return reader_refuse_type(rd, v, "an interface name (a string)");
	if (!rule_is_interface_name(json5_text(rd->doc, v)))
		return reader_refuse(rd, v, E_IF_NAME,
				     "%s is not an interface name: 1 to 15 letters, digits, dots, "
				     "underscores and dashes that begin with a letter or "
				     "underscore",
				     diag_quote(json5_text(rd->doc, v), quoted));
	memcpy(out, json5_text(rd->doc, v), v->text_len + 1);
	return 0;
}

int reader_ip4(struct reader *rd, const struct json5_node *v, struct ip4 *out)
{
	char quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING)
		return reader_refuse_type(rd, v, "an IPv4 address (a string)");
	if (ip4_parse(json5_text(rd->doc, v), out))
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is not an IPv4 address such as 239.1.1.1",
				     diag_quote(json5_text(rd->doc, v), quoted));
	if (!out->net)
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "0.0.0.0 is not an address; where any will do, leave it out");
	return 0;
}

int reader_group(struct reader *rd, const struct json5_node *v, struct ip4 *out)
{
	char text[IP4_TEXT];
	int err = reader_ip4(rd, v, out);

	if (err)
		return err;
	if (!ip4_is_multicast(*out) || ip4_is_linklocal_group(*out))
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is not a group that is routed (224.0.1.0 to "
				     "239.255.255.255)",
				     ip4_format(*out, text));
	return 0;
}

int reader_source(struct reader *rd, const struct json5_node *v, struct ip4 *out)
{
	char text[IP4_TEXT];
	int err = reader_ip4(rd, v, out);

	if (!err && !ip4_is_unicast(*out))
		return reader_refuse(rd, v, E_BAD_ADDR, "%s is not the address of a source",
				     ip4_format(*out, text));
	return err;
}

int reader_prefix(struct reader *rd, const struct json5_node *v, struct ip4_prefix *out)
{
	char quoted[DIAG_QUOTE];

	if (v->type != JSON5_STRING)
		return reader_refuse_type(rd, v, "a prefix (a string)");
	if (ip4_prefix_parse(json5_text(rd->doc, v), out))
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is not a prefix such as 239.0.0.0/8, with no bits set "
				     "behind it",
				     diag_quote(json5_text(rd->doc, v), quoted));
	return 0;
}

/* The member that a check calls `key`, by that name or the synonym that the text has. */
static const struct json5_node *member_find(struct reader *rd, const struct json5_node *v,
					    const char *key)
{
	static const char *const synonyms[][2] = {
		{ "address", "group" },
		{ "source", "source_ip" },
	};
	const struct json5_node *m = json5_get(rd->doc, v, key);

	for (size_t i = 0; !m && i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (!strcmp(key, synonyms[i][0]))
			m = json5_get(rd->doc, v, synonyms[i][1]);
	return m;
}

static const struct json5_node *element_find(struct reader *rd, const struct json5_node *v,
					     unsigned long index)
{
	const struct json5_node *e = json5_first(rd->doc, v);

	while (e && index--)
		e = json5_next(rd->doc, e);
	return e;
}

void reader_locate(struct reader *rd, const struct json5_node *base, size_t skip)
{
	size_t len = strlen(rd->d->where);
	char *p = rd->d->where + (skip < len ? skip : len);
	const struct json5_node *v = base, *next = base;

	while (*p && next) {
		char key[KEY_MAX];
		size_t n;

		if (*p == '[') {
			next = element_find(rd, v, strtoul(p + 1, &p, 10));
			p += *p == ']';
		} else {
			p += *p == '.';
			n = strcspn(p, ".[");
			snprintf(key, sizeof(key), "%.*s", (int)n, p);
			next = member_find(rd, v, key);
			/* Name the key that the text has, when that is where the path ends. */
			if (next && !p[n] && strcmp(json5_key(rd->doc, next), key))
				n = (size_t)snprintf(
					p, sizeof(rd->d->where) - (size_t)(p - rd->d->where), "%s",
					json5_key(rd->doc, next));
			p += strnlen(p, n);
		}
		v = next ? next : v;
	}
	set_position(rd, v);
}
