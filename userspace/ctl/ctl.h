/* SPDX-License-Identifier: MIT */
/* The parts of mcrctl: its table of commands, the exchange with the daemon, printing for people. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "mcr/client.h"

#define CTL_REQUEST_MAX	     (8u << 20) /* what the daemon takes, docs/control-protocol.md */
#define CTL_PAGE	     500	/* rules asked for at a time where all are too many */
#define CTL_PROTOCOL_VERSION 1		/* that requests are made for */

/* Exit statuses. */
enum ctl_exit {
	CTL_OK,
	CTL_REFUSED,	   /* by the daemon; or a check that did not hold */
	CTL_USAGE,	   /* the command line, or a file that it names; nothing was sent */
	CTL_NOT_PERSISTED, /* done, but it will not outlive the daemon */
	CTL_UNREACHABLE,   /* no answer that makes sense */
};

/* An option that a command takes, --name ARG; the last of a list has no name. */
struct ctl_option {
	const char *name;
	const char *arg; /* NULL: a flag */
	bool is_required;
	bool can_repeat;
	const char *help;
};

struct ctl_given {
	const struct ctl_option *option;
	const char *value; /* "" of a flag */
};

#define CTL_MORE 3

/* What stood on the command line after the command. Strings belong to argv. */
struct ctl_args {
	struct ctl_given *given;
	size_t n_given;
	const char *operand; /* NULL when none */
	const char *more[CTL_MORE]; /* operands behind the first */
	size_t n_more;
};

struct ctl;

/* What a command asks of the daemon. */
enum ctl_access {
	CTL_READS,	   /* anybody may; the read-only socket will do */
	CTL_READS_PRIVATE, /* not everybody may see it: never by the read-only socket */
	CTL_CHANGES,	   /* nor these; they obey --dry-run */
};

/* A command. The table of all is in main.c and is what help prints. */
struct ctl_verb {
	const char *name;    /* one or two words */
	const char *alias;   /* NULL, or another name */
	const char *operand; /* what its operands are called, a word each; NULL = takes none */
	enum ctl_access access;
	enum ctl_exit (*run)(struct ctl *ctl, const struct ctl_args *args);
	const char *help;
	const struct ctl_option *options; /* NULL = none */
};

/* One run of mcrctl. */
struct ctl {
	const char *instance, *socket_path; /* as given, or NULL */
	bool wants_json, wants_help, dry_run, is_verbose;
	int timeout_ms;
	const struct ctl_verb *verb;
	char path[MCR_CLIENT_PATH_MAX]; /* of the socket in use */
	struct mcr_client *client;	/* NULL until the first exchange */
	const char *raw;		/* the last reply as it came */
};

/* args.c */

/* Value of an option, or NULL when it was not given. */
const char *args_get(const struct ctl_args *a, const char *name);
/* Walks the given options: the next with this name from *at on, or NULL. */
const char *args_next(const struct ctl_args *a, const char *name, size_t *at);
/* Reads the words after the command; a complaint has been printed when it returns false. */
bool args_read(struct ctl *ctl, struct ctl_args *a, int argc, char **argv);
void args_free(struct ctl_args *a);
/* Reads the global options before the command; returns the index of the first other word, or -1. */
int args_read_globals(struct ctl *ctl, int argc, char **argv);
/* A decimal number of at most nine digits and nothing else. */
bool args_number(const char *text, int *out);
extern const struct ctl_option ctl_globals[];

/* help.c */
void help_print_all(const struct ctl_verb *verbs);
void help_print_verb(const struct ctl_verb *verb);

/* exchange.c */

/* Prints "mcrctl: …" on stderr and returns `status`. */
__attribute__((format(printf, 2, 3))) enum ctl_exit ctl_fail(enum ctl_exit status, const char *fmt,
							     ...);
/* A request object for `command`; the caller adds members and hands it to an exchange. */
cJSON *ctl_request(const struct ctl *ctl, const char *command);
/*
 * Sends `request` (and frees it) and reads the reply, whatever its status. CTL_OK with *reply,
 * which the caller deletes and whose strings are printable; otherwise the complaint has been
 * printed.
 */
enum ctl_exit ctl_exchange(struct ctl *ctl, cJSON *request, cJSON **reply);
/* The same, but CTL_OK only for a reply that says ok. With --output json it has been printed. */
enum ctl_exit ctl_call(struct ctl *ctl, cJSON *request, cJSON **reply);
/* The same for a list of rules: in pages, put together, when it is too long for one reply. */
enum ctl_exit ctl_call_rules(struct ctl *ctl, const char *command, cJSON **reply);
/*
 * The same with a rule added to the request that is `rule` by name or, failing that, by id: two
 * exchanges at most.
 */
enum ctl_exit ctl_call_rule(struct ctl *ctl, cJSON *request, const char *rule, cJSON **reply);
bool ctl_is_ok(const cJSON *reply);
bool ctl_is_error(const cJSON *reply, const char *code);
/* Prints the last reply as one line of JSON. */
void ctl_print_raw(const struct ctl *ctl);
/* Says why the daemon refused; `file` names the text that line and column belong to, or NULL. */
enum ctl_exit ctl_refused(const cJSON *error, const char *file);
/* What a change did, and whether it will last: CTL_OK or CTL_NOT_PERSISTED. */
enum ctl_exit ctl_finish_change(const struct ctl *ctl, const cJSON *reply);

/* values.c: reading replies, in which nothing is sure to be there */
const char *json_text(const cJSON *object, const char *key); /* "" when absent or no string */
double json_value(const cJSON *v);			     /* 0 of what is no number */
double json_number(const cJSON *object, const char *key);    /* 0 when absent */
bool json_true(const cJSON *object, const char *key);
double json_count(const cJSON *object, const char *key); /* a number, or a list's length */
const cJSON *json_member(const cJSON *object, const char *key);
/*
 * Length of the character at `s` if it may go to a terminal: printable ASCII, or well-formed UTF-8
 * that is no C1 control. 0 for a byte that must be written as \xNN.
 */
size_t printable_length(const unsigned char *s);
/* Replaces what could steer a terminal in every string and key of `value` by \xNN. */
void json_make_printable(cJSON *value);
/* The same for a text on its way to `f`. */
void text_write(FILE *f, const char *text);

/* Texts of counters and times, in a buffer of the caller, which they return. */
#define VALUE_TEXT 32
const char *value_count(char buf[VALUE_TEXT], double n); /* 1234567 */
const char *value_rate(char buf[VALUE_TEXT], double n);	 /* 1.23 M */
const char *value_ms(char buf[VALUE_TEXT], double ms);	 /* 12 ms, 3 s, 2 min 5 s … */
const char *value_ago(char buf[VALUE_TEXT], double ms);	 /* 12 ms ago; negative: never */

/* table.c */
struct table_column {
	const char *head; /* NULL in the first column: no heading line at all */
	bool is_number;	  /* to the right */
};

struct table;

/* A table for people, at most 100 columns wide: long cells go on below themselves. */
struct table *table_new(const struct table_column *columns, size_t n);
/* Fills the next cell, left to right, then the next row. '\n' in it begins a new line. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *t, const char *fmt, ...);
/* Appends to the cell that was filled last. */
__attribute__((format(printf, 2, 3))) void table_append(struct table *t, const char *fmt, ...);
/* Prints it and frees it. */
void table_print(struct table *t);

/* rules.c: how rules and counters are worded, wherever they are shown */
void rule_append_input(struct table *t, const cJSON *rule);
void rule_append_output(struct table *t, const cJSON *rule, const cJSON *output);
const char *rule_label(const cJSON *rule); /* name, or id */
/* Appends "reason 3, reason 4" for the members that are not zero; true when there was one. */
bool drops_append(struct table *t, const cJSON *drops, bool has_before);

/* outputs.c: outputs of a rule as they are written on the command line; false = complained */
bool outputs_add_list(cJSON *outputs, const char *text); /* G:P:IF[:opt…][,…] */
bool outputs_add_one(cJSON *outputs, const char *text);	 /* key=value[,…] */

/* The commands. */
enum ctl_exit cmd_status(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_list(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_show_rule(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_stats(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_workers(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_check(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_doctor(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_explain(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_ping(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_version(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_add(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_remove(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_trace_enable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_trace_disable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_trace_show(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_logs(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_log_get(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_log_set(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_igmp_groups(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_igmp_interfaces(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_igmp_enable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_igmp_disable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_neighbors(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_interfaces(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_rp(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_joins(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_enable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_disable(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_set_rp(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_pim_set_rp_address(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_mroute_add(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_mroute_remove(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_mroute(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_rpf(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_config_show(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_config_load(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_config_save(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit cmd_config_check(struct ctl *ctl, const struct ctl_args *args);
