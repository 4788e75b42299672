/* SPDX-License-Identifier: MIT */
/* Configurations as values: made, copied, compared, changed by whole rules. */
#include "daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_FIRST 8 /* room of a ruleset that has any; doubled whenever it is full */

struct config *config_new(void)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (!cfg)
		return NULL;
	cfg->multicast_ttl = 1;
	cfg->worker_grace_s = 60;
	cfg->stats_interval_s = 10;
	config_igmp_init(&cfg->igmp);
	config_pim_init(&cfg->pim);
	return cfg;
}

void rule_free_outputs(struct rule *r)
{
	free(r->outputs);
	r->outputs = NULL;
	r->n_outputs = 0;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < cfg->rules.n; i++)
		rule_free_outputs(&cfg->rules.rules[i]);
	free(cfg->rules.rules);
	config_igmp_fini(&cfg->igmp);
	config_pim_fini(&cfg->pim);
	config_mroutes_fini(&cfg->mroutes);
	free(cfg->pinnings);
	free(cfg);
}

/*
 * The room of a ruleset is not stored: it is RULES_FIRST, or else at least the next power of two
 * above n, so it is full at most when n is a power of two.
 */
int config_take_rule(struct config *cfg, struct rule *r)
{
	struct ruleset *set = &cfg->rules;
	struct rule *rules = set->rules;
	bool is_full = !rules || (set->n >= RULES_FIRST && !(set->n & (set->n - 1)));

	if (is_full)
		rules = reallocarray(rules, rules ? 2 * set->n : RULES_FIRST, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	set->rules = rules;
	set->rules[set->n++] = *r;
	r->outputs = NULL;
	r->n_outputs = 0;
	return 0;
}

int config_add_rule(struct config *cfg, const struct rule *r)
{
	struct rule copy = *r;
	int err;

	copy.outputs = malloc(r->n_outputs ? r->n_outputs * sizeof(*r->outputs) : 1);
	if (!copy.outputs)
		return -ENOMEM;
	if (r->n_outputs)
		memcpy(copy.outputs, r->outputs, r->n_outputs * sizeof(*r->outputs));
	err = config_take_rule(cfg, &copy);
	if (err)
		rule_free_outputs(&copy);
	return err;
}

bool config_remove_rule(struct config *cfg, const char *id)
{
	struct ruleset *set = &cfg->rules;

	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->rules[i].id, id))
			continue;
		rule_free_outputs(&set->rules[i]);
		set->n--;
		memmove(&set->rules[i], &set->rules[i + 1], (set->n - i) * sizeof(*set->rules));
		return true;
	}
	return false;
}

struct config *config_clone(const struct config *cfg)
{
	struct config *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *cfg;
	copy->rules = (struct ruleset){ 0 };
	copy->pinnings = NULL;
	copy->mroutes = (struct config_mroutes){ 0 };
	copy->pim.interfaces = NULL;
	if (config_igmp_copy(&copy->igmp, &cfg->igmp) || config_pim_copy(&copy->pim, &cfg->pim))
		goto out;
	if (config_mroutes_copy(&copy->mroutes, &cfg->mroutes))
		goto out;
	if (cfg->n_pinnings) {
		copy->pinnings = malloc(cfg->n_pinnings * sizeof(*cfg->pinnings));
		if (!copy->pinnings)
			goto out;
		memcpy(copy->pinnings, cfg->pinnings, cfg->n_pinnings * sizeof(*cfg->pinnings));
	}
	for (size_t i = 0; i < cfg->rules.n; i++)
		if (config_add_rule(copy, &cfg->rules.rules[i]))
			goto out;
	return copy;
out:
	config_free(copy);
	return NULL;
}

static bool pinning_equal(const struct config_pinning *a, const struct config_pinning *b)
{
	return !strcmp(a->interface, b->interface) && a->n_cores == b->n_cores &&
	       !memcmp(a->cores, b->cores, a->n_cores * sizeof(a->cores[0]));
}

bool config_equal(const struct config *a, const struct config *b)
{
	if (strcmp(a->instance, b->instance) || a->multicast_ttl != b->multicast_ttl ||
	    a->worker_grace_s != b->worker_grace_s || a->stats_interval_s != b->stats_interval_s ||
	    strcmp(a->control_group, b->control_group) || a->n_pinnings != b->n_pinnings ||
	    a->rules.n != b->rules.n || !config_igmp_equal(&a->igmp, &b->igmp) ||
	    !config_pim_equal(&a->pim, &b->pim))
		return false;
	if (!config_mroutes_equal(&a->mroutes, &b->mroutes))
		return false;
	for (size_t i = 0; i < a->n_pinnings; i++)
		if (!pinning_equal(&a->pinnings[i], &b->pinnings[i]))
			return false;
	for (size_t i = 0; i < a->rules.n; i++)
		if (!rule_equal(&a->rules.rules[i], &b->rules.rules[i]))
			return false;
	return true;
}

int config_check(const struct config *cfg, struct diag *d)
{
	if (*cfg->igmp.upstream && cfg->pim.is_enabled && cfg->pim.n_interfaces)
		return diag_set(d, -EINVAL, E_UNSUPPORTED, "igmp.proxy",
				"a proxy is a host to the routers above, and speaks no PIM: leave "
				"one of igmp.proxy and pim out");
	return 0;
}
