/* SPDX-License-Identifier: MIT */
/* Command lines of the traffic tools, by a table from which --help is printed, too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_kind {
	OPT_FLAG,    /* bool */
	OPT_NUMBER,  /* uint64_t, between min and max */
	OPT_SECONDS, /* uint64_t nanoseconds, given in seconds with a fraction */
	OPT_ADDRESS, /* struct ip4 */
	OPT_TEXT,    /* const char * */
	OPT_CHOICE,  /* uint64_t: which of choices */
};

struct opt {
	const char *name, *arg, *help;
	enum opt_kind kind;
	size_t at; /* where in the structure of options */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated */
};

/*
 * Reads the command line into the structure at `into`, which holds the defaults. Ends the program
 * with a usage message (status 2) when it is wrong, and for --help (status 0).
 */
void opt_parse(const struct opt *table, const char *synopsis, int argc, char **argv, void *into);

/* Ends the program with a sentence about the command line, status 2. */
__attribute__((format(printf, 1, 2), noreturn)) void opt_refuse(const char *fmt, ...);
