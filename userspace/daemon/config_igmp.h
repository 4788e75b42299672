/* SPDX-License-Identifier: MIT */
/*
 * The configuration of IGMP. Settings are those of all interfaces, and what an interface has of
 * its own goes before them.
 *   config_igmp.c           as a value: copied, compared, changed, looked up by interface
 *   config_igmp_settings.c  settings: a table of what they are called and may be
 *   config_igmp_read.c, config_igmp_show.c  from text, and to JSON
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/igmp.h"
#include "engine/rule.h"

#define CONFIG_IGMP_INTERFACES_MAX 512
#define CONFIG_IGMP_STATICS_MAX	   4096
#define CONFIG_IGMP_ACCESS_MAX	   1024

struct config_igmp_settings {
	uint32_t version, robustness;
	uint32_t query_interval_s;
	uint32_t query_response_ds, last_member_ds; /* tenths of a second */
	uint32_t last_member_count;		    /* 0 = as robustness says */
	uint32_t max_groups, max_sources, max_hosts; /* of an interface; of a group; of a group */
	uint32_t max_rate;			     /* messages a second */
	bool fast_leave, track_hosts;
	bool send_router_alert, require_router_alert, require_local_hosts;
	uint32_t n_access; /* 0 = everything may be joined */
	struct igmp_access *access;
	uint32_t given; /* a bit for each setting that the text has, by its place in the table */
};

struct config_igmp_interface {
	struct config_igmp_settings settings; /* those not given are as for all interfaces */
	char name[IFNAME_LEN];
	enum igmp_mode mode; /* IGMP_QUERIER, IGMP_LISTEN or IGMP_OFF */
};

struct config_igmp_static {
	char interface[IFNAME_LEN];
	struct sg sg;
	bool is_joined; /* and joined there by this host */
};

/* The router's side of IGMP. Without interfaces there is none. */
struct config_igmp {
	struct config_igmp_settings settings;
	char (*queriers)[IFNAME_LEN];
	char (*sources)[IFNAME_LEN]; /* where traffic may come in as well */
	struct config_igmp_interface *interfaces;
	struct config_igmp_static *statics;
	uint32_t n_queriers, n_sources, n_interfaces, n_statics;
	char upstream[IFNAME_LEN]; /* of a proxy for all other interfaces; "" = none */
};

/* A copy is empty when there is no memory for it. */
void config_igmp_init(struct config_igmp *igmp);
int config_igmp_copy(struct config_igmp *to, const struct config_igmp *from);
void config_igmp_fini(struct config_igmp *igmp);
bool config_igmp_equal(const struct config_igmp *a, const struct config_igmp *b);

/* Adds `igmp` to an object, unless all of it is as without it. False without memory. */
bool config_igmp_show(cJSON *to, const struct config_igmp *igmp);

/* The settings in force on an interface; NULL when nothing is said of it, then IGMP is off. */
const struct config_igmp_settings *config_igmp_of(const struct config_igmp *igmp, const char *name,
						  enum igmp_mode *mode);

/* Whether IGMP is spoken anywhere. */
bool config_igmp_is_on(const struct config_igmp *igmp);

/*
 * Makes an interface ask, or not do so any more. What is said of it otherwise stays. 0, also when
 * it is so already; -ENOENT: there is nothing to take off; -EBUSY: it is the upstream of the
 * proxy; -E2BIG, -ENOMEM.
 */
int config_igmp_enable(struct config_igmp *igmp, const char *name);
int config_igmp_disable(struct config_igmp *igmp, const char *name);

/* --- config_igmp_settings.c, for the other files ---------------------------------------------- */

struct reader;
struct member;
struct json5_node;

#define CONFIG_IGMP_SETTINGS_SLOT 20 /* slots from here on are for members beside settings */

void config_igmp_settings_init(struct config_igmp_settings *s);
/* Those that `s` was not given become those of `from`, whose access list it may share. */
void config_igmp_settings_inherit(struct config_igmp_settings *s,
				  const struct config_igmp_settings *from);
bool config_igmp_settings_equal(const struct config_igmp_settings *a,
				const struct config_igmp_settings *b);
/* Whether the access list is its own, to be freed with it. */
bool config_igmp_settings_own_access(const struct config_igmp_settings *s);
/* Reads an object that has settings, besides `others`; `out` begins with them. */
int config_igmp_settings_read(struct reader *rd, const struct json5_node *v,
			      const struct member *others, size_t n, void *out);
/* All of them, or only those that were given. */
bool config_igmp_settings_show(cJSON *to, const struct config_igmp_settings *s, bool only_given);
