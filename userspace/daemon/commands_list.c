/* SPDX-License-Identifier: MIT */
/*
 * Lists of rules, whole or in pages. A page is what one turn of the loop may make, and what fits in
 * a reply; a rule is found again by its id, so pages need no memory between requests.
 */
#include <errno.h>

#include "daemon/commands.h"

#define PAGE_ITEMS 50000 /* rules and outputs in one reply */

struct page {
	const struct live_rule *after; /* NULL = from the first */
	int64_t limit;		       /* rules; UINT32_MAX = all */
};

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

static int param_page(const struct relay *r, const struct request *q, struct page *page,
		      struct diag *d)
{
	const char *after;
	char quoted[DIAG_QUOTE];
	int err = param_text(q, "after", false, &after, d);

	if (!err)
		err = param_number(q, "limit", UINT32_MAX, 1, &page->limit, d);
	page->after = !err && after ? relay_find(r, after) : NULL;
	if (!err && after && !page->after)
		return diag_set(d, -ENOENT, E_NOT_FOUND, "after",
				"there is no rule %s any more: begin again without it",
				diag_quote(after, quoted));
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

/* Adds `rules`, and `more` when there are others behind them. */
static int rules_list(struct relay *r, const struct page *page, bool with_counters, cJSON *reply,
		      struct diag *d)
{
	const struct live_rule *live = next_listed(r, page->after);
	size_t n = 0, items = 0;
	cJSON *list;

	if (page->limit == UINT32_MAX && is_too_much(r))
		return diag_set(d, -E2BIG, E_LIMIT, "limit",
				"more than %d rules and outputs do not fit in one reply: ask for "
				"pages, with limit and after",
				PAGE_ITEMS);
	list = cJSON_AddArrayToObject(reply, "rules");
	for (; live && n < (size_t)page->limit; live = next_listed(r, live)) {
		items += 1u + live->rule->n_outputs;
		if (items > PAGE_ITEMS)
			break;
		cJSON_AddItemToArray(list, show_rule(r, live, with_counters));
		n++;
	}
	if (live)
		cJSON_AddTrueToObject(reply, "more");
	return 0;
}

int cmd_list_rules(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct page page;
	int err = param_page(r, q, &page, d);

	return err ? err : rules_list(r, &page, false, reply, d);
}

int cmd_stats(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct page page;
	int err = param_page(r, q, &page, d);

	if (err)
		return err;
	account_refresh(r);
	err = rules_list(r, &page, true, reply, d);
	if (err || page.after)
		return err;
	cJSON_AddItemToObject(reply, "workers", show_workers(r, true));
	cJSON_AddItemToObject(reply, "interfaces", show_interfaces(r));
	return 0;
}
