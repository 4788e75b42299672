/* SPDX-License-Identifier: MIT */
/* What help prints, out of the same tables that the command line is read by. */
#include "ctl/ctl.h"

#include <string.h>

static void print_options(const struct ctl_option *list)
{
	char left[64];

	for (; list && list->name; list++) {
		snprintf(left, sizeof(left), "--%s%s%s", list->name, list->arg ? " " : "",
			 list->arg ? list->arg : "");
		printf("  %-30s %s%s%s\n", left, list->help, list->is_required ? " (required)" : "",
		       list->can_repeat ? " (repeatable)" : "");
	}
}

void help_print_all(const struct ctl_verb *verbs)
{
	char left[64];

	puts("usage: mcrctl [OPTION…] [COMMAND] [OPTION…]\n\ncommands (without one: status):");
	for (; verbs->name; verbs++) {
		snprintf(left, sizeof(left), "%s%s%s%s%s", verbs->name, verbs->alias ? ", " : "",
			 verbs->alias ? verbs->alias : "", verbs->operand ? " " : "",
			 verbs->operand ? verbs->operand : "");
		printf("  %-29s %s\n", left, verbs->help);
	}
	puts("\noptions of every command:");
	print_options(ctl_globals);
	puts("\nexit status: 0 done, 1 refused, 2 usage, 3 done but not saved, 4 cannot reach "
	     "mcrd");
}

void help_print_verb(const struct ctl_verb *verb)
{
	printf("usage: mcrctl [OPTION…] %s%s%s%s\n", verb->name, verb->options ? " [OPTION…]" : "",
	       verb->operand ? " " : "", verb->operand ? verb->operand : "");
	printf("\n%s\n", verb->help);
	if (verb->alias)
		printf("Also called %s.\n", verb->alias);
	if (!verb->options)
		return;
	puts("\noptions:");
	print_options(verb->options);
}
