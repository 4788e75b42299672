/* SPDX-License-Identifier: MIT */
/*
 * Lists of rules, whole or in pages, which fit in a reply. A long one is made in pieces, each what
 * one turn of the loop may make. Where to go on is known by a rule's id alone.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/commands.h"

#define PAGE_ITEMS  50000 /* rules and outputs in one reply */
#define PIECE_ITEMS 512	  /* … that are shown in one turn of the loop */

/* Those of the configuration first, in its order; NULL behind the last. */
static const struct live_rule *next_listed(const struct relay *r, const struct live_rule *after)
{
	const struct ruleset *set = &r->config->rules;
	const struct live_rule *live = after;

	if (!after || after->origin == ORIGIN_STATIC) {
		size_t i = after ? (size_t)(after->rule - set->rules) + 1 : 0;

		if (i < set->n)
			return relay_find(r, set->rules[i].id);
		live = NULL;
	}
	do
		live = relay_next(r, live);
	while (live && live->origin == ORIGIN_STATIC);
	return live;
}

static int param_page(const struct relay *r, const struct request *q, struct listing *l,
		      struct diag *d)
{
	const char *after;
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "after", false, &after, d);

	if (!err)
		err = param_number(q, "limit", UINT32_MAX, 1, &l->limit, d);
	if (!err && after && !relay_find(r, after))
		return diag_set(d, -ENOENT, E_NOT_FOUND, "after",
				"there is no rule %s any more: begin again without it",
				diag_quote(after, quoted));
	if (!err && after)
		snprintf(l->after, sizeof(l->after), "%s", after);
	return err;
}

/* Whether all rules are too many for one reply. */
static bool is_too_much(const struct relay *r)
{
	const struct live_rule *live = NULL;
	size_t items = 0;

	while ((live = relay_next(r, live)))
		items += 1u + live->rule->n_outputs;
	return items > PAGE_ITEMS;
}

/* Appends as many as `most` rules and outputs. */
static void list_append(struct relay *r, struct listing *l, size_t most, cJSON *list)
{
	const struct live_rule *live = next_listed(r, l->after[0] ? relay_find(r, l->after) : NULL);

	most += l->items;
	while (live && l->limit && l->items + 1u + live->rule->n_outputs <= PAGE_ITEMS) {
		if (l->items >= most)
			return;
		cJSON_AddItemToArray(list, show_rule(r, live, l->with_counters));
		snprintf(l->after, sizeof(l->after), "%s", live->rule->id);
		l->items += 1u + live->rule->n_outputs;
		l->limit--;
		live = next_listed(r, live);
	}
	l->is_open = false;
	l->has_more = live;
}

cJSON *commands_go_on(struct relay *r, struct parsed *parsed, struct diag *d)
{
	struct listing *l = &parsed->listing;
	cJSON *piece = cJSON_CreateArray();

	if (!l->after[0] || relay_find(r, l->after)) {
		list_append(r, l, PIECE_ITEMS, piece);
		return piece;
	}
	l->is_open = false;
	cJSON_Delete(piece);
	diag_set(d, -EAGAIN, E_BUSY, "",
		 "the rules have changed while they were listed: ask again");
	return NULL;
}

/* Adds `rules`, and `more` when there are others behind them; or leaves that to a listing. */
static int rules_list(struct relay *r, const struct request *q, struct listing *l, cJSON *reply,
		      struct diag *d)
{
	if (l->limit == UINT32_MAX && is_too_much(r))
		return diag_set(d, -E2BIG, E_LIMIT, "limit",
				"more than %d rules and outputs do not fit in one reply: ask for "
				"pages, with limit and after",
				PAGE_ITEMS);
	l->is_open = true;
	if (q->parsed->is_long) {
		q->parsed->listing = *l;
		return 0;
	}
	list_append(r, l, PAGE_ITEMS, cJSON_AddArrayToObject(reply, "rules"));
	if (l->has_more)
		cJSON_AddTrueToObject(reply, "more");
	return 0;
}

int cmd_list_rules(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct listing l = { .with_counters = false };
	int err = param_page(r, q, &l, d);

	return err ? err : rules_list(r, q, &l, reply, d);
}

int cmd_stats(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct listing l = { .with_counters = true };
	int err = param_page(r, q, &l, d);
	bool is_first = !l.after[0];

	if (err)
		return err;
	account_refresh(r);
	err = rules_list(r, q, &l, reply, d);
	if (err || !is_first)
		return err;
	cJSON_AddItemToObject(reply, "workers", show_workers(r, true));
	cJSON_AddItemToObject(reply, "interfaces", show_interfaces(r));
	return 0;
}
