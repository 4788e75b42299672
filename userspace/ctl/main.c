/* SPDX-License-Identifier: MIT */
/* mcrctl: the table of commands, and the way from the command line to one of them. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000

static const struct ctl_option add_options[] = {
	{ "input-interface", "IF", true, false, "where the packets come in" },
	{ "input-group", "G", true, false, "their group, or unicast address" },
	{ "input-port", "P", false, false, "their UDP port; 0 means any" },
	{ "input-source", "S", false, false, "only from this source" },
	{ "input-protocol", "udp|esp", false, false, "… or 17 or 50 (default udp)" },
	{ "name", "NAME", false, false, "a name of your own" },
	{ "rule-id", "ID", false, false, "an id of your own; otherwise made from the input" },
	{ "datapath", "PATH", false, false, "auto, xdp, afxdp or afpacket (default auto)" },
	{ "accept-ttl1", NULL, false, false, "relay packets that arrive with TTL 1, too" },
	{ "outputs", "LIST", false, true, "G:P:IF[:KEY=VALUE...],..., or ADDRESS:P without IF" },
	{ "output", "KEY=VALUE,...", false, true,
	  "group|address, port, interface, ttl, source, dscp" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option remove_options[] = {
	{ "rule-id", "ID", false, false, "the rule with this id" },
	{ "name", "NAME", false, false, "… or with this name" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option mroute_add_options[] = {
	{ "group", "G", true, false, "the group" },
	{ "source", "S", false, false, "only from this source" },
	{ "input", "IF", true, false, "where the packets come in" },
	{ "output", "IF", true, true, "where they go; for several give it several times" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option mroute_remove_options[] = {
	{ "group", "G", true, false, "its group" },
	{ "source", "S", false, false, "its source, if it has one" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option level_options[] = {
	{ "global", "LEVEL", false, false,
	  "for all: emerg, alert, crit, err, warning, notice, info, debug" },
	{ "facility", "FACILITY", false, false, "for one facility, with --level" },
	{ "level", "LEVEL", false, false, "its level; default: as the global one" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option load_options[] = {
	{ "file", "FILE", true, false, "a configuration; - is standard input" },
	{ "replace", NULL, false, false,
	  "make it the whole configuration, instead of adding to it" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option check_options[] = {
	{ "file", "FILE", true, false, "a configuration; - is standard input" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option save_options[] = {
	{ "file", "FILE", false, false, "where to (default: the file that mcrd started from)" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option trace_options[] = {
	{ "every", "N", false, false, "one datagram in so many (default 1: all)" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option logs_options[] = {
	{ "follow", NULL, false, false, "go on with new lines until interrupted" },
	{ "since", "N", false, false, "only lines after the one with this number" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option explain_options[] = {
	{ "port", "P", false, false, "the UDP port that the packets go to" },
	{ "ttl", "N", false, false, "the TTL that they arrive with" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option pim_rp_options[] = {
	{ "group", "GROUP", false, false, "that of this group" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option pim_enable_options[] = {
	{ "interface", "IF", true, false, "where" },
	{ "dr-priority", "N", false, false, "its priority in the election of the DR" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option pim_disable_options[] = {
	{ "interface", "IF", true, false, "where" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option pim_set_rp_options[] = {
	{ "group", "PREFIX", true, false, "a range of groups" },
	{ "rp", "ADDRESS", true, false, "their rendezvous point" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_option pim_address_options[] = {
	{ "address", "ADDRESS", true, false, "of this router" },
	{ NULL, NULL, false, false, NULL },
};

static const struct ctl_verb verbs[] = {
	{ "status", NULL, NULL, CTL_READS, cmd_status, "how the daemon is", NULL },
	{ "list", "list-rules", NULL, CTL_READS, cmd_list, "the rules and their states", NULL },
	{ "show rule", NULL, "NAME|ID", CTL_READS, cmd_show_rule, "all about one rule", NULL },
	{ "stats", NULL, NULL, CTL_READS, cmd_stats, "counters of rules, workers and interfaces",
	  NULL },
	{ "list-workers", "workers", NULL, CTL_READS, cmd_workers, "the workers and their states",
	  NULL },
	{ "check", NULL, NULL, CTL_READS, cmd_check, "whether all packets are accounted for",
	  NULL },
	{ "explain", NULL, "SOURCE GROUP [in IF]", CTL_READS, cmd_explain,
	  "why packets are forwarded, or not", explain_options },
	{ "doctor", NULL, NULL, CTL_READS, cmd_doctor,
	  "what of the host's setup is in the way, and how to mend it", NULL },
	{ "add", NULL, NULL, CTL_CHANGES, cmd_add, "add a rule", add_options },
	{ "remove", NULL, NULL, CTL_CHANGES, cmd_remove, "remove a rule", remove_options },
	{ "config show", NULL, NULL, CTL_READS, cmd_config_show, "the running configuration",
	  NULL },
	{ "config load", NULL, NULL, CTL_CHANGES, cmd_config_load, "apply a configuration file",
	  load_options },
	{ "config save", NULL, NULL, CTL_CHANGES, cmd_config_save,
	  "write the running configuration", save_options },
	{ "config check", NULL, NULL, CTL_READS, cmd_config_check, "check a configuration file",
	  check_options },
	{ "trace enable", NULL, "NAME|ID", CTL_CHANGES, cmd_trace_enable,
	  "record headers of a rule's datagrams", trace_options },
	{ "trace disable", NULL, "NAME|ID", CTL_CHANGES, cmd_trace_disable, "record no more",
	  NULL },
	{ "trace show", NULL, "NAME|ID", CTL_READS_PRIVATE, cmd_trace_show, "what was recorded",
	  NULL },
	{ "logs", NULL, NULL, CTL_READS_PRIVATE, cmd_logs, "the last lines of the daemon's log",
	  logs_options },
	{ "log-level get", NULL, NULL, CTL_READS, cmd_log_get, "what is logged", NULL },
	{ "log-level set", NULL, NULL, CTL_CHANGES, cmd_log_set, "change what is logged",
	  level_options },
	{ "igmp groups", NULL, NULL, CTL_READS, cmd_igmp_groups, "what hosts want, by interface",
	  NULL },
	{ "igmp interfaces", NULL, NULL, CTL_READS, cmd_igmp_interfaces,
	  "where hosts are asked, and by whom", NULL },
	{ "igmp enable", NULL, "IF", CTL_CHANGES, cmd_igmp_enable, "ask hosts on an interface",
	  NULL },
	{ "igmp disable", NULL, "IF", CTL_CHANGES, cmd_igmp_disable, "ask there no more", NULL },
	{ "pim neighbors", NULL, NULL, CTL_READS, cmd_pim_neighbors, "the other routers of PIM",
	  NULL },
	{ "pim interfaces", NULL, NULL, CTL_READS, cmd_pim_interfaces,
	  "where PIM is spoken, and its counters", NULL },
	{ "pim rp", NULL, NULL, CTL_READS, cmd_pim_rp, "the rendezvous points", pim_rp_options },
	{ "pim joins", NULL, NULL, CTL_READS, cmd_pim_joins, "the state of PIM's trees", NULL },
	{ "pim enable", NULL, NULL, CTL_CHANGES, cmd_pim_enable, "speak PIM on an interface",
	  pim_enable_options },
	{ "pim disable", NULL, NULL, CTL_CHANGES, cmd_pim_disable, "speak it no more",
	  pim_disable_options },
	{ "pim set-rp", NULL, NULL, CTL_CHANGES, cmd_pim_set_rp,
	  "name the rendezvous point of groups", pim_set_rp_options },
	{ "pim set-rp-address", NULL, NULL, CTL_CHANGES, cmd_pim_set_rp_address,
	  "be the rendezvous point of all groups", pim_address_options },
	{ "mroute add", NULL, NULL, CTL_CHANGES, cmd_mroute_add, "add a static route, or change it",
	  mroute_add_options },
	{ "mroute remove", NULL, NULL, CTL_CHANGES, cmd_mroute_remove, "remove a static route",
	  mroute_remove_options },
	{ "mroute", NULL, NULL, CTL_READS, cmd_mroute, "the multicast routes", NULL },
	{ "rpf", NULL, "ADDRESS", CTL_READS, cmd_rpf, "where traffic of a source comes in", NULL },
	{ "ping", NULL, NULL, CTL_READS, cmd_ping, "whether the daemon answers", NULL },
	{ "version", NULL, NULL, CTL_READS, cmd_version, "versions of mcrctl and mcrd", NULL },
	{ NULL, NULL, NULL, CTL_READS, NULL, NULL, NULL },
};

/* Whether the first words are `name`; how many they are goes to *used. */
static bool words_are(const char *name, int argc, char **argv, int *used)
{
	size_t first = strcspn(name, " ");

	if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0)
		return false;
	*used = 1;
	if (!name[first])
		return true;
	*used = 2;
	return argc > 1 && strcmp(argv[1], name + first + 1) == 0;
}

static const struct ctl_verb *find_verb(int argc, char **argv, int *used)
{
	const struct ctl_verb *v;

	for (v = verbs; v->name; v++)
		if (words_are(v->name, argc, argv, used) ||
		    (v->alias && words_are(v->alias, argc, argv, used)))
			return v;
	return NULL;
}

/* "config" alone, or "config foo": says which second words there are. */
static enum ctl_exit no_verb(int argc, char **argv)
{
	char choices[256] = "";
	size_t len = 0, first = strlen(argv[0]);
	const struct ctl_verb *v;

	for (v = verbs; v->name; v++)
		if (strncmp(v->name, argv[0], first) == 0 && v->name[first] == ' ')
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, "%s%s",
						len ? ", " : "", v->name + first + 1);
	if (len && argc > 1)
		return ctl_fail(CTL_USAGE, "there is no '%s %s'; there is: %s", argv[0], argv[1],
				choices);
	if (len)
		return ctl_fail(CTL_USAGE, "%s wants one of: %s", argv[0], choices);
	return ctl_fail(CTL_USAGE, "there is no command '%s'; mcrctl help lists them", argv[0]);
}

static enum ctl_exit help(int argc, char **argv)
{
	const struct ctl_verb *verb;
	int used;

	if (argc == 0) {
		help_print_all(verbs);
		return CTL_OK;
	}
	verb = find_verb(argc, argv, &used);
	if (!verb)
		return no_verb(argc, argv);
	if (used < argc)
		return ctl_fail(CTL_USAGE, "help takes one command, and '%s' is more", argv[used]);
	help_print_verb(verb);
	return CTL_OK;
}

static enum ctl_exit run(struct ctl *ctl, int argc, char **argv)
{
	static char *status[] = { "status" };
	struct ctl_args args;
	enum ctl_exit result;
	int used = 0;

	if (argc > 0 && strcmp(argv[0], "--version") == 0) {
		puts("mcrctl " MCR_VERSION);
		return CTL_OK;
	}
	if (argc > 0 && strcmp(argv[0], "help") == 0)
		return help(argc - 1, argv + 1);
	if (argc == 0 && ctl->wants_help)
		return help(0, NULL);
	ctl->verb = argc > 0 ? find_verb(argc, argv, &used) : find_verb(1, status, &used);
	if (!ctl->verb)
		return no_verb(argc, argv);
	used = argc > 0 ? used : 0;
	if (!args_read(ctl, &args, argc - used, argv + used)) {
		result = CTL_USAGE;
	} else if (ctl->wants_help) {
		help_print_verb(ctl->verb);
		result = CTL_OK;
	} else {
		result = ctl->verb->run(ctl, &args);
	}
	args_free(&args);
	return result;
}

/* For cJSON, so that none of its many allocations can fail unnoticed and leave a member out. */
static void *allocate(size_t size)
{
	void *memory = malloc(size);

	if (!memory) {
		ctl_fail(CTL_REFUSED, "out of memory");
		exit(CTL_REFUSED);
	}
	return memory;
}

int main(int argc, char **argv)
{
	cJSON_Hooks hooks = { .malloc_fn = allocate, .free_fn = free };
	struct ctl ctl = { .timeout_ms = TIMEOUT_MS };
	enum ctl_exit status = CTL_USAGE;
	int at;

	cJSON_InitHooks(&hooks);
	at = args_read_globals(&ctl, argc, argv);
	if (at >= 0)
		status = run(&ctl, argc - at, argv + at);
	mcr_client_close(ctl.client);
	if ((fflush(stdout) || ferror(stdout)) && status == CTL_OK)
		status = ctl_fail(CTL_REFUSED, "cannot write the output: %s", strerror(errno));
	return status;
}
