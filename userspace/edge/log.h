/* SPDX-License-Identifier: MIT */
/*
 * Logging to stderr: syslog severities, a facility per part of the program, levels that change
 * live, text or JSON lines. Lines that a remote can cause go through log_limited.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_L_EMERG,
	LOG_L_ALERT,
	LOG_L_CRIT,
	LOG_L_ERR,
	LOG_L_WARNING,
	LOG_L_NOTICE,
	LOG_L_INFO,
	LOG_L_DEBUG,
	LOG_L__COUNT,
};

#define LOG_FACILITIES(X)                                                                          \
	X(supervisor)                                                                              \
	X(rules) X(control) X(dataplane) X(ingress) X(egress) X(stats) X(security) X(network)

enum log_facility {
#define X(name) LOG_F_##name,
	LOG_FACILITIES(X)
#undef X
		LOG_F__COUNT,
};

void log_set_json(bool json);
bool log_is_json(void);
void log_set_ident(const char *ident);	  /* "mcrd", "worker in0/0" */
void log_set_level(enum log_level level); /* for facilities without an override */
void log_set_facility_level(enum log_facility f, enum log_level level);
void log_clear_facility_level(enum log_facility f);
enum log_level log_level_of(enum log_facility f);
enum log_level log_global_level(void);
bool log_has_override(enum log_facility f);

const char *log_level_name(enum log_level level); /* "notice" */
int log_level_parse(const char *name, enum log_level *out);
const char *log_facility_name(enum log_facility f);
int log_facility_parse(const char *name, enum log_facility *out);

__attribute__((format(printf, 3, 4))) void log_at(enum log_level level, enum log_facility f,
						  const char *fmt, ...);
#define log_err(f, ...)	    log_at(LOG_L_ERR, f, __VA_ARGS__)
#define log_warning(f, ...) log_at(LOG_L_WARNING, f, __VA_ARGS__)
#define log_notice(f, ...)  log_at(LOG_L_NOTICE, f, __VA_ARGS__)
#define log_info(f, ...)    log_at(LOG_L_INFO, f, __VA_ARGS__)
#define log_debug(f, ...)   log_at(LOG_L_DEBUG, f, __VA_ARGS__)

/* The last lines of this process, for clients of the control socket: sequence numbers from 1. */
#define LOG_KEPT 256
struct log_entry {
	uint64_t sequence;
	enum log_level level;
	enum log_facility facility;
	char stamp[32], text[240]; /* printable UTF-8; a longer text is cut */
};
uint64_t log_newest(void);				   /* 0 = none yet */
bool log_recall(uint64_t sequence, struct log_entry *out); /* false when it is not kept */

/* A token bucket per site: 10 lines a second, burst 20, then "suppressed N". */
struct log_bucket {
	int64_t tokens_us;
	unsigned suppressed;
};
bool log_allowed(struct log_bucket *b, unsigned *suppressed);
#define log_limited(level, f, ...)                                                                 \
	do {                                                                                       \
		static struct log_bucket log_site_;                                                \
		unsigned log_lost_;                                                                \
		if (log_allowed(&log_site_, &log_lost_)) {                                         \
			if (log_lost_)                                                             \
				log_at(level, f, "suppressed %u lines like the next", log_lost_);  \
			log_at(level, f, __VA_ARGS__);                                             \
		}                                                                                  \
	} while (0)
