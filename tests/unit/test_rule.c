/* SPDX-License-Identifier: MIT */
/* Rules: every way in which one can be wrong, alone and among others. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/rule.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

/* in0 239.1.1.1:5001 → o1 239.2.2.2:5002, o2 as it is, 198.18.9.9:6000 by the kernel's routes. */
struct sample {
	struct rule r;
	struct rule_output o[RULE_OUTPUTS_MAX + 1];
};

static void sample_init(struct sample *s)
{
	*s = (struct sample){ .r = { .id = "one",
				     .name = "tv",
				     .interface = "in0",
				     .port = 5001,
				     .protocol = IPPROTO_UDP,
				     .n_outputs = 3 } };
	s->r.group = ip("239.1.1.1");
	s->r.outputs = s->o;
	for (size_t i = 0; i < COUNT(s->o); i++)
		s->o[i].dscp = -1;
	strcpy(s->o[0].interface, "o1");
	s->o[0].address = ip("239.2.2.2");
	s->o[0].port = 5002;
	s->o[0].ttl_policy = TTL_FIXED;
	s->o[0].ttl = 8;
	strcpy(s->o[1].interface, "o2");
	s->o[1].source_policy = SOURCE_PRESERVE;
	s->o[1].ttl_policy = TTL_DECREMENT;
	s->o[2].address = ip("198.18.9.9");
	s->o[2].port = 6000;
}

static void a_good_rule_passes(void **state)
{
	struct sample s;
	struct diag d = { 0 };

	sample_init(&s);
	assert_int_equal(rule_check(&s.r, "rules[0]", &d), 0);
	assert_int_equal(rule_check(&s.r, "", NULL), 0);
	s.r.source = ip("198.18.0.1");
	s.r.port = 0;
	s.r.datapath = RULE_DP_AFPACKET;
	s.r.name[0] = '\0';
	s.o[0].source_policy = SOURCE_LITERAL;
	s.o[0].source = ip("198.18.7.7");
	s.o[0].dscp = 63;
	s.o[2].dscp = 0;
	assert_int_equal(rule_check(&s.r, "rules[0]", &d), 0);
	s.r.group = ip("198.18.5.5"); /* unicast in, multicast and unicast out */
	assert_int_equal(rule_check(&s.r, "rules[0]", &d), 0);
}

static void an_esp_rule_has_no_ports(void **state)
{
	struct sample s;
	struct diag d;

	sample_init(&s);
	s.r.protocol = IPPROTO_ESP;
	assert_int_equal(rule_check(&s.r, "", &d), -22);
	assert_string_equal(d.where, "input.port");
	assert_int_equal(d.code, E_RANGE);
	s.r.port = 0;
	assert_int_equal(rule_check(&s.r, "", &d), -22);
	assert_string_equal(d.where, "outputs[0].port");
	s.o[0].port = 0;
	s.o[2].port = 0;
	assert_int_equal(rule_check(&s.r, "", &d), 0);
}

/* Each breaks the sample in one way. */
static void break_empty_id(struct sample *s)
{
	s->r.id[0] = '\0';
}
static void break_id_space(struct sample *s)
{
	strcpy(s->r.id, "a b");
}
static void break_id_high(struct sample *s)
{
	strcpy(s->r.id, "\xc3\xa4");
}
static void break_name_esc(struct sample *s)
{
	strcpy(s->r.name, "\x1b[2J");
}
static void break_name_c1(struct sample *s)
{
	strcpy(s->r.name, "a\xc2\x9b");
}
static void break_name_del(struct sample *s)
{
	strcpy(s->r.name, "a\x7f");
}
static void break_name_lead(struct sample *s)
{
	strcpy(s->r.name, " a");
}
static void break_name_trail(struct sample *s)
{
	strcpy(s->r.name, "a ");
}
static void break_in_empty(struct sample *s)
{
	s->r.interface[0] = '\0';
}
static void break_in_digit(struct sample *s)
{
	strcpy(s->r.interface, "0in");
}
static void break_in_slash(struct sample *s)
{
	strcpy(s->r.interface, "in/0");
}
static void break_group_none(struct sample *s)
{
	s->r.group = ip("0.0.0.0");
}
static void break_group_local(struct sample *s)
{
	s->r.group = ip("224.0.0.9");
}
static void break_group_loop(struct sample *s)
{
	s->r.group = ip("127.0.0.1");
}
static void break_group_bcast(struct sample *s)
{
	s->r.group = ip("255.255.255.255");
}
static void break_group_e(struct sample *s)
{
	s->r.group = ip("240.1.1.1");
}
static void break_source_group(struct sample *s)
{
	s->r.source = ip("239.1.1.1");
}
static void break_source_loop(struct sample *s)
{
	s->r.source = ip("127.0.0.1");
}
static void break_protocol(struct sample *s)
{
	s->r.protocol = IPPROTO_TCP;
}
static void break_datapath(struct sample *s)
{
	s->r.datapath = RULE_DP__COUNT;
}
static void break_no_outputs(struct sample *s)
{
	s->r.n_outputs = 0;
}
static void break_out_name(struct sample *s)
{
	strcpy(s->o[1].interface, "-o");
}
static void break_out_loop(struct sample *s)
{
	strcpy(s->o[1].interface, "in0");
}
static void break_out_local(struct sample *s)
{
	s->o[0].address = ip("224.0.0.1");
}
static void break_out_zero_net(struct sample *s)
{
	s->o[2].address = ip("0.0.0.9");
}
static void break_out_bcast(struct sample *s)
{
	s->o[2].address = ip("255.255.255.255");
}
static void break_out_nowhere(struct sample *s)
{
	s->o[2].address = ip("0.0.0.0");
}
static void break_out_group(struct sample *s)
{
	s->o[2].address = ip("239.3.3.3");
}
static void break_ttl_zero(struct sample *s)
{
	s->o[0].ttl = 0;
}
static void break_ttl_policy(struct sample *s)
{
	s->o[0].ttl_policy = 9;
}
static void break_source_policy(struct sample *s)
{
	s->o[0].source_policy = 9;
}
static void break_dscp_high(struct sample *s)
{
	s->o[2].dscp = 64;
}
static void break_dscp_low(struct sample *s)
{
	s->o[2].dscp = -2;
}

static void break_out_source(struct sample *s)
{
	s->o[0].source_policy = SOURCE_LITERAL;
	s->o[0].source = ip("239.1.1.1");
}

static void break_too_many(struct sample *s)
{
	for (unsigned i = 0; i < COUNT(s->o); i++)
		snprintf(s->o[i].interface, IFNAME_LEN, "o%u", i);
	s->r.n_outputs = RULE_OUTPUTS_MAX + 1;
}

static void break_twice_the_same(struct sample *s)
{
	s->o[1] = s->o[0];
}

static void break_same_place_other_ttl(struct sample *s)
{
	s->o[2] = s->o[0];
	s->o[2].ttl = 9;
}

/* Group and port written out are the same as left out. */
static void break_same_when_resolved(struct sample *s)
{
	s->o[2] = s->o[1];
	s->o[2].address = s->r.group;
	s->o[2].port = s->r.port;
}

static const struct {
	void (*apply)(struct sample *s);
	enum diag_code code;
	const char *where;
} breaks[] = {
	{ break_empty_id, E_RANGE, "rules[3].id" },
	{ break_id_space, E_RANGE, "rules[3].id" },
	{ break_id_high, E_RANGE, "rules[3].id" },
	{ break_name_esc, E_RANGE, "rules[3].name" },
	{ break_name_c1, E_RANGE, "rules[3].name" },
	{ break_name_del, E_RANGE, "rules[3].name" },
	{ break_name_lead, E_RANGE, "rules[3].name" },
	{ break_name_trail, E_RANGE, "rules[3].name" },
	{ break_in_empty, E_IF_NAME, "rules[3].input.interface" },
	{ break_in_digit, E_IF_NAME, "rules[3].input.interface" },
	{ break_in_slash, E_IF_NAME, "rules[3].input.interface" },
	{ break_group_none, E_BAD_ADDR, "rules[3].input.group" },
	{ break_group_local, E_BAD_ADDR, "rules[3].input.group" },
	{ break_group_loop, E_BAD_ADDR, "rules[3].input.group" },
	{ break_group_bcast, E_BAD_ADDR, "rules[3].input.group" },
	{ break_group_e, E_BAD_ADDR, "rules[3].input.group" },
	{ break_source_group, E_BAD_ADDR, "rules[3].input.source" },
	{ break_source_loop, E_BAD_ADDR, "rules[3].input.source" },
	{ break_protocol, E_RANGE, "rules[3].input.protocol" },
	{ break_datapath, E_RANGE, "rules[3].datapath" },
	{ break_no_outputs, E_MISSING, "rules[3].outputs" },
	{ break_too_many, E_LIMIT, "rules[3].outputs" },
	{ break_out_name, E_IF_NAME, "rules[3].outputs[1].interface" },
	{ break_out_loop, E_LOOP, "rules[3].outputs[1].interface" },
	{ break_out_local, E_BAD_ADDR, "rules[3].outputs[0].address" },
	{ break_out_zero_net, E_BAD_ADDR, "rules[3].outputs[2].address" },
	{ break_out_bcast, E_BAD_ADDR, "rules[3].outputs[2].address" },
	{ break_out_nowhere, E_MISSING, "rules[3].outputs[2].interface" },
	{ break_out_group, E_MISSING, "rules[3].outputs[2].interface" },
	{ break_out_source, E_BAD_ADDR, "rules[3].outputs[0].source" },
	{ break_ttl_zero, E_RANGE, "rules[3].outputs[0].ttl" },
	{ break_ttl_policy, E_RANGE, "rules[3].outputs[0].ttl" },
	{ break_source_policy, E_RANGE, "rules[3].outputs[0].source" },
	{ break_dscp_high, E_RANGE, "rules[3].outputs[2].dscp" },
	{ break_dscp_low, E_RANGE, "rules[3].outputs[2].dscp" },
	{ break_twice_the_same, E_EXISTS, "rules[3].outputs[1]" },
	{ break_same_place_other_ttl, E_EXISTS, "rules[3].outputs[2]" },
	{ break_same_when_resolved, E_EXISTS, "rules[3].outputs[2]" },
};

static void each_broken_rule_is_refused_at_its_member(void **state)
{
	for (size_t i = 0; i < COUNT(breaks); i++) {
		struct sample s;
		struct diag d = { 0 };

		sample_init(&s);
		breaks[i].apply(&s);
		if (rule_check(&s.r, "rules[3]", &d) != -22 || d.code != breaks[i].code ||
		    strcmp(d.where, breaks[i].where) || !d.what[0])
			fail_msg("break %zu: %s %s: %s", i, diag_code_name(d.code), d.where,
				 d.what);
		/* For a request the path begins at its own members. */
		rule_check(&s.r, "", &d);
		assert_string_equal(d.where, breaks[i].where + strlen("rules[3]."));
	}
}

static void different_sources_are_different_copies(void **state)
{
	struct sample s;

	sample_init(&s);
	s.o[2] = s.o[0];
	s.o[2].source_policy = SOURCE_LITERAL;
	s.o[2].source = ip("198.18.7.7");
	assert_int_equal(rule_check(&s.r, "", NULL), 0);
	s.o[1] = s.o[2];
	s.o[1].source = ip("198.18.7.8");
	assert_int_equal(rule_check(&s.r, "", NULL), 0);
	s.o[1].source = ip("198.18.7.7");
	assert_int_equal(rule_check(&s.r, "", NULL), -22);
}

static void interface_names_are_what_the_kernel_likes(void **state)
{
	static const char *const good[] = { "a",      "eth0", "eth0.100",
					    "br-lan", "_x",   "abcdefghijklmno",
					    "A-._9" };
	static const char *const bad[] = { "",
					   "0",
					   "9eth",
					   "-a",
					   ".",
					   "..",
					   ".a",
					   "a b",
					   "a/b",
					   "a:1",
					   "a\n",
					   "\xc3\xa4",
					   "abcdefghijklmnop",
					   "a%d",
					   "a@b" };

	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(rule_is_interface_name(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(rule_is_interface_name(bad[i]));
}

static void ids_come_from_the_match_alone(void **state)
{
	struct sample a, b;

	sample_init(&a);
	rule_fill_id(&a.r);
	assert_string_equal(a.r.id, "one");
	a.r.id[0] = '\0';
	rule_fill_id(&a.r);
	assert_int_equal(strlen(a.r.id), 16);
	assert_int_equal(strspn(a.r.id, "0123456789abcdef"), 16);
	sample_init(&b);
	b.r.id[0] = b.r.name[0] = '\0';
	b.r.n_outputs = 1;
	rule_fill_id(&b.r);
	assert_string_equal(a.r.id, b.r.id);
	for (int part = 0; part < 5; part++) {
		sample_init(&b);
		b.r.id[0] = '\0';
		switch (part) {
		case 0:
			strcpy(b.r.interface, "in1");
			break;
		case 1:
			b.r.source = ip("198.18.0.1");
			break;
		case 2:
			b.r.group = ip("239.1.1.2");
			break;
		case 3:
			b.r.port = 5002;
			break;
		default:
			b.r.protocol = IPPROTO_ESP;
		}
		rule_fill_id(&b.r);
		assert_string_not_equal(a.r.id, b.r.id);
		assert_false(rule_same_match(&a.r, &b.r));
	}
	/* The id is written into saved states: it may not change with a new version. */
	assert_string_equal(a.r.id, "c22b3ce524179be3");
}

static void equality_looks_at_every_field(void **state)
{
	struct sample a, b;

	sample_init(&a);
	sample_init(&b);
	assert_true(rule_equal(&a.r, &b.r));
	b.o[1].ttl = 7; /* says nothing where the policy is to decrement */
	assert_true(rule_equal(&a.r, &b.r));
#define DIFFERS(assignment)                                                                        \
	do {                                                                                       \
		sample_init(&b);                                                                   \
		assignment;                                                                        \
		assert_false(rule_equal(&a.r, &b.r));                                              \
	} while (0)
	DIFFERS(strcpy(b.r.id, "two"));
	DIFFERS(b.r.name[0] = '\0');
	DIFFERS(strcpy(b.r.interface, "in1"));
	DIFFERS(b.r.group = ip("239.1.1.2"));
	DIFFERS(b.r.source = ip("198.18.0.1"));
	DIFFERS(b.r.port = 0);
	DIFFERS(b.r.protocol = IPPROTO_ESP);
	DIFFERS(b.r.datapath = RULE_DP_AFXDP);
	DIFFERS(b.r.accept_ttl1 = true);
	DIFFERS(b.r.n_outputs = 2);
	DIFFERS(strcpy(b.o[0].interface, "o3"));
	DIFFERS(b.o[0].address = ip("239.2.2.3"));
	DIFFERS(b.o[0].port = 1);
	DIFFERS(b.o[0].ttl_policy = TTL_DEFAULT);
	DIFFERS(b.o[0].ttl = 9);
	DIFFERS(b.o[0].source_policy = SOURCE_PRESERVE);
	DIFFERS(b.o[0].dscp = 0);
#undef DIFFERS
	a.o[0].source_policy = b.o[0].source_policy = SOURCE_LITERAL;
	b.o[0].dscp = -1;
	assert_true(rule_equal(&a.r, &b.r));
	b.o[0].source = ip("198.18.0.1");
	assert_false(rule_equal(&a.r, &b.r));
}

/* `n` rules that differ in everything that has to differ. */
static struct ruleset set_new(size_t n)
{
	struct ruleset set = { calloc(n + 1, sizeof(struct rule)), n };

	assert_non_null(set.rules);
	for (size_t i = 0; i < n; i++) {
		struct rule *r = &set.rules[i];

		snprintf(r->interface, sizeof(r->interface), "in%zu", i % 300);
		if (i % 2)
			snprintf(r->name, sizeof(r->name), "rule %zu", i);
		r->group.net = htonl(0xef000000 + (uint32_t)i);
		r->port = (uint16_t)(i % 5);
		r->protocol = IPPROTO_UDP;
		rule_fill_id(r);
	}
	return set;
}

static int set_check(const struct ruleset *set, struct diag *d)
{
	uint32_t *index = malloc(4 * set->n * sizeof(*index) + 1);
	int err;

	assert_non_null(index);
	err = ruleset_check(set, index, 4 * set->n, d);
	free(index);
	return err;
}

static void sets_of_every_small_size_pass(void **state)
{
	for (size_t n = 0; n < 70; n++) {
		struct ruleset set = set_new(n);

		assert_int_equal(set_check(&set, NULL), 0);
		free(set.rules);
	}
}

static void clashes_name_the_other_rule(void **state)
{
	struct ruleset set = set_new(20);
	struct diag d;

	strcpy(set.rules[12].id, set.rules[4].id);
	assert_int_equal(set_check(&set, &d), -22);
	assert_int_equal(d.code, E_EXISTS);
	assert_string_equal(d.where, "rules[12].id");
	assert_non_null(strstr(d.what, "rules[4]"));
	strcpy(set.rules[12].id, "twelve");

	strcpy(set.rules[13].name, set.rules[7].name);
	assert_int_equal(set_check(&set, &d), -22);
	assert_int_equal(d.code, E_EXISTS);
	assert_string_equal(d.where, "rules[13].name");
	assert_non_null(strstr(d.what, "rules[7], named \"rule 7\""));
	strcpy(set.rules[13].name, "thirteen");

	set.rules[19] = set.rules[8];
	strcpy(set.rules[19].id, "nineteen");
	assert_int_equal(set_check(&set, &d), -22);
	assert_int_equal(d.code, E_EXISTS);
	assert_string_equal(d.where, "rules[19].input");
	assert_non_null(strstr(d.what, set.rules[8].id));
	set.rules[19].source = ip("198.18.0.1");
	assert_int_equal(set_check(&set, &d), 0);
	free(set.rules);
}

static void limits_hold_to_the_rule(void **state)
{
	struct ruleset set = set_new(RULE_MAX + 1);
	uint32_t index[16];
	clock_t start = clock();
	struct diag d;

	set.n = RULE_MAX;
	assert_int_equal(set_check(&set, &d), 0);
	assert_true(clock() - start < CLOCKS_PER_SEC); /* hashed: some milliseconds */
	set.n = RULE_MAX + 1;
	assert_int_equal(set_check(&set, &d), -7);
	assert_int_equal(d.code, E_LIMIT);
	set.n = 5;
	assert_int_equal(ruleset_check(&set, index, 16, &d), -7);
	set.n = 4;
	assert_int_equal(ruleset_check(&set, index, 16, &d), 0);
	free(set.rules);
}

static void rules_are_found_by_name(void **state)
{
	struct ruleset set = set_new(10);

	assert_ptr_equal(ruleset_find_name(&set, "rule 7"), &set.rules[7]);
	assert_null(ruleset_find_name(&set, "rule 6"));
	assert_null(ruleset_find_name(&set, "")); /* which rules without a name do not have */
	free(set.rules);
}

static void datapaths_have_names(void **state)
{
	assert_string_equal(rule_datapath_name(RULE_DP_AUTO), "auto");
	assert_string_equal(rule_datapath_name(RULE_DP_AFXDP), "afxdp");
	assert_string_equal(rule_datapath_name(RULE_DP_AFPACKET), "afpacket");
	assert_string_equal(rule_datapath_name(RULE_DP__COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_rule_passes),
		cmocka_unit_test(an_esp_rule_has_no_ports),
		cmocka_unit_test(each_broken_rule_is_refused_at_its_member),
		cmocka_unit_test(different_sources_are_different_copies),
		cmocka_unit_test(interface_names_are_what_the_kernel_likes),
		cmocka_unit_test(ids_come_from_the_match_alone),
		cmocka_unit_test(equality_looks_at_every_field),
		cmocka_unit_test(sets_of_every_small_size_pass),
		cmocka_unit_test(clashes_name_the_other_rule),
		cmocka_unit_test(limits_hold_to_the_rule),
		cmocka_unit_test(rules_are_found_by_name),
		cmocka_unit_test(datapaths_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
