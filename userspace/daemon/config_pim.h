/* SPDX-License-Identifier: MIT */
/* The configuration of PIM as a value. */
#pragma once

#include <cjson/cJSON.h>

#include "engine/pim_config.h"
#include "engine/rule.h"

#define CONFIG_PIM_INTERFACES_MAX 512
#define CONFIG_PIM_STATIC_RPS_MAX (PIM_STATIC_RPS - 1) /* rp_address takes one */

struct config_pim_interface {
	char name[IFNAME_LEN];
	struct pim_port_config port;
};

/* PIM. Without interfaces there is none. */
struct config_pim {
	bool is_enabled;
	struct ip4 router_id;  /* 0 = none */
	struct ip4 rp_address; /* of this router, which serves all groups by it; 0 = none */
	struct config_pim_interface *interfaces;
	uint32_t n_interfaces;
	struct pim_config engine; /* candidates' address 0 = the router_id */
};

void config_pim_init(struct config_pim *pim);
/* A copy is empty when there is no memory for it: -ENOMEM. */
int config_pim_copy(struct config_pim *to, const struct config_pim *from);
void config_pim_fini(struct config_pim *pim);
bool config_pim_equal(const struct config_pim *a, const struct config_pim *b);
/* Adds `pim` to an object, unless all of it is as without it. False without memory. */
bool config_pim_show(cJSON *to, const struct config_pim *pim);
/* By its name; NULL when it is not there. */
struct config_pim_interface *config_pim_interface(const struct config_pim *pim, const char *name);
/* A new interface with defaults; NULL without memory, or when there are too many. */
struct config_pim_interface *config_pim_add(struct config_pim *pim, const char *name);
void config_pim_remove(struct config_pim *pim, const char *name);
