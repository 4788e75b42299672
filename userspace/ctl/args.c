/* SPDX-License-Identifier: MIT */
/* The command line, read by the tables of options that help prints too. */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX_S 86400

const struct ctl_option ctl_globals[] = {
	{ "instance", "NAME", false, false,
	  "the daemon to talk to, by its instance (default mcrd)" },
	{ "socket-path", "PATH", false, false, "… or by its control socket" },
	{ "output", "table|json", false, false,
	  "tables for people (default), or the reply itself" },
	{ "dry-run", NULL, false, false,
	  "check a change and show what it would do, but do nothing" },
	{ "timeout", "SECONDS", false, false, "wait this long for the daemon (default 30)" },
	{ "verbose", NULL, false, false, "print requests and replies on stderr; also -v" },
	{ "help", NULL, false, false, "what the command does and takes; also -h" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option *find_option(const struct ctl_option *list, const char *name,
					    size_t len)
{
	for (; list && list->name; list++)
		if (strlen(list->name) == len && memcmp(list->name, name, len) == 0)
			return list;
	return NULL;
}

const char *args_next(const struct ctl_args *a, const char *name, size_t *at)
{
	while (*at < a->n_given) {
		const struct ctl_given *g = &a->given[(*at)++];

		if (strcmp(g->option->name, name) == 0)
			return g->value;
	}
	return NULL;
}

const char *args_get(const struct ctl_args *a, const char *name)
{
	size_t at = 0;

	return args_next(a, name, &at);
}

bool args_number(const char *text, int *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > 9 || strspn(text, "0123456789") != len)
		return false;
	*out = atoi(text);
	return true;
}

static bool set_global(struct ctl *ctl, const char *name, const char *value)
{
	bool is_address = strcmp(name, "instance") == 0 || strcmp(name, "socket-path") == 0;
	int seconds;

	if (is_address && (ctl->instance || ctl->socket_path)) {
		ctl_fail(CTL_USAGE, "give --instance or --socket-path, and once");
		return false;
	}
	if (strcmp(name, "instance") == 0)
		ctl->instance = value;
	else if (strcmp(name, "socket-path") == 0)
		ctl->socket_path = value;
	else if (strcmp(name, "dry-run") == 0)
		ctl->dry_run = true;
	else if (strcmp(name, "verbose") == 0)
		ctl->is_verbose = true;
	else if (strcmp(name, "help") == 0)
		ctl->wants_help = true;
	else if (strcmp(name, "output") == 0) {
		if (strcmp(value, "json") != 0 && strcmp(value, "table") != 0) {
			ctl_fail(CTL_USAGE, "--output is table or json, not '%s'", value);
			return false;
		}
		ctl->wants_json = strcmp(value, "json") == 0;
	} else if (strcmp(name, "timeout") == 0) {
		if (!args_number(value, &seconds) || seconds < 1 || seconds > TIMEOUT_MAX_S) {
			ctl_fail(CTL_USAGE, "--timeout is 1 to %d seconds, not '%s'", TIMEOUT_MAX_S,
				 value);
			return false;
		}
		ctl->timeout_ms = seconds * 1000;
	}
	return true;
}

/* One option as it was met. `own` is the command's list, NULL before the command. */
struct met {
	const struct ctl_option *option;
	const char *value;
	bool is_global;
};

/*
 * Reads the option at argv[*at] and moves *at to the word after it. A command's own --output
 * stands beside the global one: a rule's output always has a '=' in it, "json" has none.
 */
static bool read_option(const struct ctl_option *own, int argc, char **argv, int *at,
			struct met *out)
{
	const char *word = argv[*at], *name = word + 2, *equals;
	size_t len;

	if (strcmp(word, "-v") == 0)
		name = "verbose";
	else if (strcmp(word, "-h") == 0)
		name = "help";
	else if (word[1] != '-')
		name = "";
	equals = strchr(name, '=');
	len = equals ? (size_t)(equals - name) : strlen(name);
	out->option = find_option(own, name, len);
	out->is_global = !out->option;
	if (out->is_global)
		out->option = find_option(ctl_globals, name, len);
	if (!out->option) {
		ctl_fail(CTL_USAGE, "no option '%s'; see mcrctl help", word);
		return false;
	}
	++*at;
	out->value = equals ? equals + 1 : "";
	if (!out->option->arg && equals) {
		ctl_fail(CTL_USAGE, "--%s takes no value", out->option->name);
		return false;
	}
	if (out->option->arg && !equals) {
		if (*at >= argc || strncmp(argv[*at], "--", 2) == 0) {
			ctl_fail(CTL_USAGE, "--%s wants a value: %s", out->option->name,
				 out->option->arg);
			return false;
		}
		out->value = argv[(*at)++];
	}
	if (!out->is_global && strcmp(out->option->name, "output") == 0 &&
	    (strcmp(out->value, "json") == 0 || strcmp(out->value, "table") == 0))
		out->is_global = true;
	return true;
}

int args_read_globals(struct ctl *ctl, int argc, char **argv)
{
	struct met met;
	int at = 1;

	while (at < argc && argv[at][0] == '-') {
		if (strcmp(argv[at], "--version") == 0)
			return at;
		if (!read_option(NULL, argc, argv, &at, &met) ||
		    !set_global(ctl, met.option->name, met.value))
			return -1;
	}
	return at;
}

static bool take_option(const struct ctl *ctl, struct ctl_args *a, const struct met *met)
{
	if (!met->option->can_repeat && args_get(a, met->option->name)) {
		ctl_fail(CTL_USAGE, "--%s is given twice", met->option->name);
		return false;
	}
	a->given[a->n_given++] = (struct ctl_given){ met->option, met->value };
	return true;
}

/* The words of what a command calls its operands. */
static size_t operands_max(const char *names)
{
	size_t n = names ? 1 : 0;

	while (names && (names = strchr(names, ' '))) {
		names++;
		n++;
	}
	return n;
}

static bool take_operand(const struct ctl *ctl, struct ctl_args *a, const char *word)
{
	size_t n = (a->operand ? 1 : 0) + a->n_more;

	if (n == operands_max(ctl->verb->operand)) {
		ctl_fail(CTL_USAGE, "'%s' is too much for %s; see mcrctl help %s", word,
			 ctl->verb->name, ctl->verb->name);
		return false;
	}
	if (n)
		a->more[a->n_more++] = word;
	else
		a->operand = word;
	return true;
}

static bool is_complete(const struct ctl *ctl, const struct ctl_args *a)
{
	const struct ctl_option *o;

	if (ctl->wants_help)
		return true;
	for (o = ctl->verb->options; o && o->name; o++) {
		if (o->is_required && !args_get(a, o->name)) {
			ctl_fail(CTL_USAGE, "%s wants --%s %s; see mcrctl help %s", ctl->verb->name,
				 o->name, o->arg, ctl->verb->name);
			return false;
		}
	}
	if (ctl->verb->operand && !a->operand) {
		ctl_fail(CTL_USAGE, "%s wants %s; see mcrctl help %s", ctl->verb->name,
			 ctl->verb->operand, ctl->verb->name);
		return false;
	}
	return true;
}

bool args_read(struct ctl *ctl, struct ctl_args *a, int argc, char **argv)
{
	bool only_operands = false;
	struct met met;
	int at = 0;

	*a = (struct ctl_args){ .given = calloc((size_t)argc + 1, sizeof(*a->given)) };
	if (!a->given) {
		ctl_fail(CTL_REFUSED, "out of memory");
		return false;
	}
	while (at < argc) {
		if (only_operands || argv[at][0] != '-' || !argv[at][1]) {
			if (!take_operand(ctl, a, argv[at++]))
				return false;
		} else if (strcmp(argv[at], "--") == 0) {
			only_operands = true;
			at++;
		} else if (!read_option(ctl->verb->options, argc, argv, &at, &met) ||
			   !(met.is_global ? set_global(ctl, met.option->name, met.value)
					   : take_option(ctl, a, &met))) {
			return false;
		}
	}
	return is_complete(ctl, a);
}

void args_free(struct ctl_args *a)
{
	free(a->given);
	*a = (struct ctl_args){ 0 };
}
