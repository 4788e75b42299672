/* SPDX-License-Identifier: MIT */
/* A rule's outputs as they are written on the command line, into the members of a request. */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip4.h"

enum value_kind { TEXT, NUMBER, NUMBER_OR_TEXT };

/* What an output can be told; ranges are the daemon's business. */
static const struct {
	const char *key;
	enum value_kind kind;
} keys[] = {
	{ "group", TEXT },	   { "address", TEXT }, { "port", NUMBER }, { "interface", TEXT },
	{ "ttl", NUMBER_OR_TEXT }, { "source", TEXT },	{ "dscp", NUMBER },
};

static bool add_value(cJSON *output, const char *key, enum value_kind kind, const char *value)
{
	int number;

	if (kind != TEXT && args_number(value, &number)) {
		cJSON_AddNumberToObject(output, key, number);
		return true;
	}
	if (kind == NUMBER) {
		ctl_fail(CTL_USAGE, "an output's %s is a number, not '%s'", key, value);
		return false;
	}
	cJSON_AddStringToObject(output, key, value);
	return true;
}

/* One "key=value"; the '=' may be missing, and then it is none. */
static bool add_pair(cJSON *output, char *pair)
{
	char *value = strchr(pair, '=');
	size_t i;

	if (!value) {
		ctl_fail(CTL_USAGE, "'%s' in an output is no key=value; see mcrctl help add", pair);
		return false;
	}
	*value++ = '\0';
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[i].key, pair) != 0; i++)
		continue;
	if (i == sizeof(keys) / sizeof(keys[0])) {
		ctl_fail(CTL_USAGE,
			 "an output has no '%s'; it has group or address, port, interface, ttl, "
			 "source, dscp",
			 pair);
		return false;
	}
	if (json_member(output, pair)) {
		ctl_fail(CTL_USAGE, "an output's %s is given twice", pair);
		return false;
	}
	return add_value(output, keys[i].key, keys[i].kind, value);
}

/* The address goes by the name that suits it; empty means as in the input. */
static void add_address(cJSON *output, const char *text)
{
	struct ip4 address;

	if (!*text)
		return;
	if (ip4_parse(text, &address) == 0 && !ip4_is_multicast(address))
		cJSON_AddStringToObject(output, "address", text);
	else
		cJSON_AddStringToObject(output, "group", text);
}

/* One "G:P[:IF][:key=value…]". */
static bool read_short(cJSON *output, char *text)
{
	char *address = strsep(&text, ":"), *port = strsep(&text, ":"), *field;
	bool is_third = true;

	if (!port) {
		ctl_fail(CTL_USAGE, "the output '%s' is not GROUP:PORT:INTERFACE or ADDRESS:PORT",
			 address);
		return false;
	}
	add_address(output, address);
	if (*port && !add_value(output, "port", NUMBER, port))
		return false;
	for (; (field = strsep(&text, ":")); is_third = false) {
		if (is_third && !strchr(field, '=')) {
			if (*field)
				cJSON_AddStringToObject(output, "interface", field);
		} else if (!add_pair(output, field)) {
			return false;
		}
	}
	return true;
}

static char *copy_of(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(cJSON_malloc(size), text, size);
}

static cJSON *append_output(cJSON *outputs)
{
	cJSON *output = cJSON_CreateObject();

	cJSON_AddItemToArray(outputs, output);
	return output;
}

bool outputs_add_list(cJSON *outputs, const char *text)
{
	char *copy = copy_of(text), *rest = copy, *item;
	bool is_fine = true;

	while (is_fine && (item = strsep(&rest, ",")))
		is_fine = read_short(append_output(outputs), item);
	cJSON_free(copy);
	return is_fine;
}

bool outputs_add_one(cJSON *outputs, const char *text)
{
	char *copy = copy_of(text), *rest = copy, *pair;
	cJSON *output = append_output(outputs);
	bool is_fine = true;

	while (is_fine && (pair = strsep(&rest, ",")))
		is_fine = add_pair(output, pair);
	cJSON_free(copy);
	return is_fine;
}
