/* SPDX-License-Identifier: MIT */
/* The rules of one worker: match → outputs. Changed by messages from main, read for each flow. */
#pragma once

#include "mcr/classify.h"
#include "mcr/worker.h"

struct table_rule {
	struct mcr_rule_key key;
	uint32_t row; /* ledger row */
	uint16_t n_outputs;
	uint32_t trace_every; /* 0 = none */
	struct wm_output outputs[];
};

struct table;

struct table *table_new(void); /* NULL without memory */
void table_free(struct table *t);

/* Adds, replaces or removes as the message says; it was checked by the caller. 0 or -ENOMEM. */
int table_apply(struct table *t, const struct wm_rule *msg);

/* The most specific rule for a flow that came in on `ifindex`; NULL when none. */
const struct table_rule *table_find(const struct table *t, uint32_t ifindex,
				    const struct mcr_flow *flow);
