/* SPDX-License-Identifier: MIT */
/* The configuration of IGMP: what interfaces have of their own, and how it is changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config.h"

static struct config *read_igmp(const char *igmp)
{
	char text[4096];
	struct config *cfg = NULL;
	struct diag d = { 0 };

	snprintf(text, sizeof(text), "{ igmp: { %s } }", igmp);
	if (config_read(&cfg, text, strlen(text), &d))
		fail_msg("%s: %s: %s", text, d.where, d.what);
	return cfg;
}

/* The same when it is written and read again. */
static void check_round_trip(const struct config *cfg)
{
	cJSON *shown = config_show(cfg);
	char *text = cJSON_PrintUnformatted(shown);
	struct config *again = NULL;
	struct diag d = { 0 };

	if (config_read(&again, text, strlen(text), &d))
		fail_msg("%s: %s: %s", text, d.where, d.what);
	if (!config_equal(cfg, again))
		fail_msg("%s", text);
	config_free(again);
	free(text);
	cJSON_Delete(shown);
}

static const struct config_igmp_settings *settings_of(const struct config *cfg, const char *name,
						      enum igmp_mode mode)
{
	enum igmp_mode is;
	const struct config_igmp_settings *s = config_igmp_of(&cfg->igmp, name, &is);

	assert_int_equal(is, mode);
	return s;
}

static void an_interface_has_its_own_settings_and_otherwise_those_of_all(void **state)
{
	struct config *cfg = read_igmp(
		"querier_interfaces: ['o1', 'o2'],"
		"interfaces: [ { name: 'o2', version: 2, max_rate: 7, send_router_alert: false },"
		"              { name: 'o3', mode: 'listen', access: [] } ],"
		"version: 3, robustness: 4, last_member_query_count: 5, fast_leave: true,"
		"track_hosts: true, require_router_alert: true, require_local_hosts: true,"
		"max_hosts: 9, access: [ { deny: '239.1.1.1', source: '10.0.0.0/8' },"
		"                        { permit: '224.0.0.0/4' } ]");
	const struct config_igmp_settings *o1 = settings_of(cfg, "o1", IGMP_QUERIER);
	const struct config_igmp_settings *o2 = settings_of(cfg, "o2", IGMP_QUERIER);
	const struct config_igmp_settings *o3 = settings_of(cfg, "o3", IGMP_LISTEN);

	assert_null(settings_of(cfg, "o4", IGMP_OFF));
	assert_int_equal(o1->version, 3);
	assert_int_equal(o2->version, 2);
	assert_int_equal(o1->max_rate, 1000);
	assert_int_equal(o2->max_rate, 7);
	assert_true(o1->send_router_alert && !o2->send_router_alert && o3->send_router_alert);
	assert_int_equal(o2->robustness, 4);
	assert_int_equal(o3->last_member_count, 5);
	assert_true(o2->fast_leave && o2->track_hosts && o2->require_router_alert &&
		    o2->require_local_hosts);
	assert_int_equal(o2->max_hosts, 9);
	assert_int_equal(o1->n_access, 2);
	assert_int_equal(o2->n_access, 2);
	assert_int_equal(o3->n_access, 0);
	assert_false(o2->access[0].is_permit);
	assert_int_equal(o2->access[0].source.len, 8);
	assert_int_equal(o2->access[1].group.len, 4);
	check_round_trip(cfg);
	config_free(cfg);
}

static void differences_are_seen(void **state)
{
	static const char *const others[] = {
		"querier_interfaces: ['o2']",
		"querier_interfaces: ['o1'], source_interfaces: ['in0']",
		"querier_interfaces: ['o1'], version: 2",
		"querier_interfaces: ['o1'], proxy: { upstream: 'in0' }",
		"querier_interfaces: ['o1'], robustness: 3",
		"querier_interfaces: ['o1'], last_member_query_count: 2",
		"querier_interfaces: ['o1'], track_hosts: true",
		"querier_interfaces: ['o1'], send_router_alert: false",
		"querier_interfaces: ['o1'], max_rate: 999",
		"querier_interfaces: ['o1'], access: [{ permit: '239.0.0.0/8' }]",
		"querier_interfaces: ['o1'], access: [{ deny: '239.0.0.0/8' }]",
		"querier_interfaces: ['o1'], access: [{ deny: '239.0.0.0/8', source: '10.0.0.1' }]",
		"querier_interfaces: ['o1'], interfaces: [{ name: 'o1' }]",
		"querier_interfaces: ['o1'], interfaces: [{ name: 'o1', version: 3 }]",
		"querier_interfaces: ['o1'], interfaces: [{ name: 'o1', version: 1 }]",
		"querier_interfaces: ['o1'], interfaces: [{ name: 'o2', mode: 'off' }]",
		"querier_interfaces: ['o1'], static_groups: [{ interface: 'o1', group: "
		"'239.1.1.1' }]",
		"querier_interfaces: ['o1'], static_groups: [{ interface: 'o1', group: "
		"'239.1.1.1', join: true }]",
	};
	size_t n = sizeof(others) / sizeof(others[0]);
	struct config *all[32];

	for (size_t i = 0; i < n; i++) {
		all[i] = read_igmp(others[i]);
		check_round_trip(all[i]);
		for (size_t k = 0; k < i; k++)
			if (config_equal(all[i], all[k]))
				fail_msg("%s and %s", others[i], others[k]);
	}
	for (size_t i = 0; i < n; i++)
		config_free(all[i]);
}

static void copies_have_access_lists_of_their_own(void **state)
{
	struct config *a = read_igmp("access: [{ permit: '239.0.0.0/8' }], interfaces: ["
				     "{ name: 'o1' }, { name: 'o2', access: [{ deny: "
				     "'239.0.0.0/8' }] }]");
	struct config *b = config_clone(a);

	assert_true(config_equal(a, b));
	assert_ptr_equal(b->igmp.interfaces[0].settings.access, b->igmp.settings.access);
	assert_ptr_not_equal(b->igmp.settings.access, a->igmp.settings.access);
	config_free(a);
	assert_false(b->igmp.interfaces[1].settings.access[0].is_permit);
	assert_true(b->igmp.interfaces[0].settings.access[0].is_permit);
	config_free(b);
}

static void interfaces_are_enabled_and_disabled(void **state)
{
	struct config *cfg = read_igmp("interfaces: [{ name: 'o2', version: 2, mode: 'listen' }]");
	struct config_igmp *igmp = &cfg->igmp;

	assert_int_equal(config_igmp_enable(igmp, "o1"), 0);
	assert_int_equal(config_igmp_enable(igmp, "o1"), 0);
	assert_int_equal(igmp->n_queriers, 1);
	settings_of(cfg, "o1", IGMP_QUERIER);
	assert_int_equal(config_igmp_enable(igmp, "o2"), 0);
	assert_int_equal(settings_of(cfg, "o2", IGMP_QUERIER)->version, 2);
	check_round_trip(cfg);
	assert_int_equal(config_igmp_disable(igmp, "o3"), -ENOENT);
	assert_int_equal(config_igmp_disable(igmp, "o1"), 0);
	assert_null(settings_of(cfg, "o1", IGMP_OFF));
	assert_true(config_igmp_is_on(igmp));
	assert_int_equal(config_igmp_disable(igmp, "o2"), 0);
	assert_int_equal(settings_of(cfg, "o2", IGMP_OFF)->version, 2); /* for the next time */
	assert_false(config_igmp_is_on(igmp));
	check_round_trip(cfg);
	config_free(cfg);
}

static void static_groups_stay_while_an_interface_is_disabled(void **state)
{
	struct config *cfg = read_igmp("querier_interfaces: ['o1', 'o2'], static_groups: ["
				       "{ interface: 'o1', group: '239.1.1.1' }]");

	assert_int_equal(config_igmp_disable(&cfg->igmp, "o1"), 0);
	assert_int_equal(config_igmp_disable(&cfg->igmp, "o1"), 0);
	assert_int_equal(cfg->igmp.n_queriers, 1);
	assert_string_equal(cfg->igmp.queriers[0], "o2");
	settings_of(cfg, "o1", IGMP_OFF);
	assert_int_equal(cfg->igmp.n_statics, 1);
	check_round_trip(cfg);
	assert_int_equal(config_igmp_enable(&cfg->igmp, "o1"), 0);
	settings_of(cfg, "o1", IGMP_QUERIER);
	check_round_trip(cfg);
	config_free(cfg);
}

static void an_upstream_is_no_querier(void **state)
{
	struct config *cfg = read_igmp("querier_interfaces: ['o1'], proxy: { upstream: 'in0' }");

	settings_of(cfg, "in0", IGMP_UPSTREAM);
	assert_int_equal(config_igmp_enable(&cfg->igmp, "in0"), -EBUSY);
	assert_int_equal(config_igmp_disable(&cfg->igmp, "in0"), -ENOENT);
	check_round_trip(cfg);
	config_free(cfg);
}

static void there_are_at_most_512_interfaces(void **state)
{
	struct config *cfg = config_new();
	char name[IFNAME_LEN];

	for (int i = 0; i < CONFIG_IGMP_INTERFACES_MAX; i++) {
		snprintf(name, sizeof(name), "o%d", i);
		assert_int_equal(config_igmp_enable(&cfg->igmp, name), 0);
	}
	assert_int_equal(config_igmp_enable(&cfg->igmp, "more"), -E2BIG);
	assert_int_equal(config_igmp_enable(&cfg->igmp, "o511"), 0);
	check_round_trip(cfg);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_has_its_own_settings_and_otherwise_those_of_all),
		cmocka_unit_test(differences_are_seen),
		cmocka_unit_test(copies_have_access_lists_of_their_own),
		cmocka_unit_test(interfaces_are_enabled_and_disabled),
		cmocka_unit_test(static_groups_stay_while_an_interface_is_disabled),
		cmocka_unit_test(an_upstream_is_no_querier),
		cmocka_unit_test(there_are_at_most_512_interfaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
