/* SPDX-License-Identifier: MIT */
/* Command lines of the traffic tools, by a table from which --help is printed, too. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip4.h"

void opt_refuse(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs(" (--help tells more)\n", stderr);
	exit(2);
}

static void print_choices(FILE *to, const struct opt *o)
{
	size_t i;

	for (i = 0; o->choices[i]; i++)
		fprintf(to, " %s", o->choices[i]);
	fputc('\n', to);
}

static void print_help(const struct opt *o, const char *synopsis)
{
	char left[40];

	printf("usage: %s %s\n\n", program_invocation_short_name, synopsis);
	for (; o->name; o++) {
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		printf("  %-24s %s\n", left, o->help);
		if (o->kind == OPT_CHOICE) {
			printf("  %-24s", "");
			print_choices(stdout, o);
		}
	}
	exit(0);
}

static void read_number(const struct opt *o, const char *text, uint64_t *into)
{
	char *end;

	errno = 0;
	*into = strtoull(text, &end, 0);
	if (errno || *end || text[0] < '0' || text[0] > '9' || *into < o->min || *into > o->max)
		opt_refuse("--%s %s: wanted a number from %llu to %llu", o->name, text,
			   (unsigned long long)o->min, (unsigned long long)o->max);
}

static void read_seconds(const struct opt *o, const char *text, uint64_t *into)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 1e6))
		opt_refuse("--%s %s: wanted seconds, up to a million", o->name, text);
	*into = (uint64_t)llround(seconds * 1e9);
}

static void read_choice(const struct opt *o, const char *text, uint64_t *into)
{
	uint64_t i;

	for (i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], text) == 0) {
			*into = i;
			return;
		}
	}
	fprintf(stderr, "%s: --%s %s: wanted one of", program_invocation_short_name, o->name, text);
	print_choices(stderr, o);
	exit(2);
}

static void read_value(const struct opt *o, const char *text, void *into)
{
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)into = true;
		break;
	case OPT_NUMBER:
		read_number(o, text, into);
		break;
	case OPT_SECONDS:
		read_seconds(o, text, into);
		break;
	case OPT_ADDRESS:
		if (ip4_parse(text, into))
			opt_refuse("--%s %s: not an IPv4 address", o->name, text);
		break;
	case OPT_TEXT:
		*(const char **)into = text;
		break;
	case OPT_CHOICE:
		read_choice(o, text, into);
		break;
	}
}

static const struct opt *find_option(const struct opt *o, const char *word)
{
	if (strncmp(word, "--", 2) != 0)
		return NULL;
	while (o->name && strcmp(o->name, word + 2) != 0)
		o++;
	return o->name ? o : NULL;
}

void opt_parse(const struct opt *table, const char *synopsis, int argc, char **argv, void *into)
{
	const struct opt *o;
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			print_help(table, synopsis);
		o = find_option(table, argv[i]);
		if (!o)
			opt_refuse("%s: no such option", argv[i]);
		if (o->kind != OPT_FLAG && i + 1 == argc)
			opt_refuse("--%s wants %s", o->name, o->arg);
		if (o->kind != OPT_FLAG)
			i++;
		read_value(o, argv[i], (char *)into + o->at);
	}
}
