/* SPDX-License-Identifier: MIT */
/* The multicast routing table: expectations, and random histories against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/mrib.h"

#define T0 ((struct mtime){ 1000 })

static struct mrib *mrib;
static void *memory;
static struct mrib_config cfg;
static size_t memory_size;
static uint16_t boundary_port; /* no group from 239.255/16 passes it; MRIB_NO_PORT: no boundary */

static struct ip4 ip(const char *text)
{
	return (struct ip4){ inet_addr(text) };
}

static struct sg sg(const char *source, const char *group)
{
	return (struct sg){ source ? ip(source) : (struct ip4){ 0 }, ip(group) };
}

static const struct sg G = { { 0 }, { 0x010101ef } };	       /* *,239.1.1.1 */
static const struct sg S = { { 0x010012c6 }, { 0x010101ef } }; /* 198.18.0.1,239.1.1.1 */

static bool may_pass(const void *arg, uint16_t port, struct ip4 group)
{
	assert_ptr_equal(arg, &boundary_port);
	return port != boundary_port || (ip4_host(group) >> 16) != 0xefff;
}

static struct mrib *new_mrib(void **mem)
{
	struct arena a = { 0 };
	struct mrib *m;

	assert_null(mrib_init(&a, &cfg));
	memory_size = a.used;
	*mem = malloc(a.used);
	assert_non_null(*mem);
	a = (struct arena){ .mem = *mem, .size = memory_size - 1 };
	assert_null(mrib_init(&a, &cfg));
	a = (struct arena){ .mem = *mem, .size = memory_size };
	m = mrib_init(&a, &cfg);
	assert_non_null(m);
	return m;
}

static void name_ports(struct mrib *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct mrib_port p = { .name = "" };

		snprintf(p.name, sizeof(p.name), "p%u", i);
		mrib_port_set(m, (uint16_t)i, &p);
	}
}

static int setup(void **state)
{
	boundary_port = MRIB_NO_PORT;
	cfg = (struct mrib_config){
		.max_routes = 1000,
		.max_ports = 4000,
		.max_sources = 100,
		.max_route_ports = 100,
		.seed = 42,
		.may_pass = may_pass,
		.arg = &boundary_port,
	};
	mrib = new_mrib(&memory);
	name_ports(mrib, 100);
	return 0;
}

static int teardown(void **state)
{
	free(memory);
	return 0;
}

static void add(struct sg what, uint16_t port, enum mrib_mark mark, enum mrib_origin origin)
{
	assert_int_equal(mrib_add(mrib, T0, what, port, mark, origin), 0);
}

static void want(struct sg what, uint16_t port, enum mrib_origin origin)
{
	add(what, port, MRIB_WANTED, origin);
}

static void input(struct sg what, uint16_t port, enum mrib_origin origin)
{
	assert_int_equal(mrib_input_set(mrib, T0, what, port, origin), 0);
}

/* "1 4" */
static const char *forwards(struct sg what)
{
	static char text[4096];
	struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned n = mrib_outputs(mrib, what, outs);
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		if (outs[i].why == MRIB_OUT_forwards)
			at += (size_t)sprintf(text + at, "%s%u", at ? " " : "", outs[i].port);
	return text;
}

static enum mrib_out_why why(struct sg what, uint16_t port)
{
	struct mrib_out outs[MRIB_PORTS_MAX];
	unsigned n = mrib_outputs(mrib, what, outs);

	for (unsigned i = 0; i < n; i++)
		if (outs[i].port == port)
			return outs[i].why;
	return MRIB_OUT__COUNT;
}

static void drain(void)
{
	struct sg what;

	while (mrib_dirty_next(mrib, &what))
		;
}

/* --- outputs ---------------------------------------------------------------------------------- */

static void an_output_stays_while_anybody_wants_it(void **state)
{
	struct mrib_out outs[MRIB_PORTS_MAX];
	struct mrib_route r;

	input(G, 0, MRIB_PIM);
	want(G, 3, MRIB_IGMP);
	want(G, 3, MRIB_PIM);
	want(G, 1, MRIB_STATIC);
	assert_string_equal(forwards(G), "1 3");
	assert_int_equal(mrib_outputs(mrib, G, outs), 2);
	assert_int_equal(outs[1].owners, 1 << MRIB_IGMP | 1 << MRIB_PIM);
	assert_int_equal(outs[0].owners, 1 << MRIB_STATIC);
	assert_true(mrib_is_marked(mrib, G, 3, MRIB_WANTED, MRIB_PIM));
	mrib_del(mrib, T0, G, 3, MRIB_WANTED, MRIB_PIM);
	assert_false(mrib_is_marked(mrib, G, 3, MRIB_WANTED, MRIB_PIM));
	assert_false(mrib_is_marked(mrib, G, 3, MRIB_BLOCKED, MRIB_IGMP));
	assert_false(mrib_is_marked(mrib, S, 3, MRIB_WANTED, MRIB_IGMP));
	assert_true(mrib_is_marked(mrib, G, 3, MRIB_WANTED, MRIB_IGMP));
	assert_string_equal(forwards(G), "1 3");
	mrib_del(mrib, T0, G, 3, MRIB_WANTED, MRIB_IGMP);
	assert_string_equal(forwards(G), "1");
	mrib_del(mrib, T0, G, 3, MRIB_WANTED, MRIB_IGMP); /* not there any more */
	mrib_del(mrib, T0, G, 1, MRIB_WANTED, MRIB_STATIC);
	assert_true(mrib_find(mrib, G, &r)); /* kept by its input */
	input(G, MRIB_NO_PORT, MRIB_PIM);
	assert_false(mrib_find(mrib, G, &r));
	drain();
	assert_int_equal(mrib_counts(mrib).routes, 0);
	assert_int_equal(mrib_counts(mrib).groups, 0);
	assert_int_equal(mrib_counts(mrib).ports, 0);
}

static void a_source_inherits_what_is_wanted_of_its_group(void **state)
{
	struct mrib_out outs[MRIB_PORTS_MAX];

	input(G, 0, MRIB_PIM);
	want(G, 3, MRIB_IGMP);
	want(G, 5, MRIB_PIM);
	want(G, 7, MRIB_PIM);
	want(G, 7, MRIB_IGMP);
	input(S, 9, MRIB_PIM);
	want(S, 2, MRIB_PIM);
	assert_string_equal(forwards(S), "2 3 5 7");
	assert_string_equal(forwards(sg("198.18.0.9", "239.1.1.1")), "3 5 7"); /* unknown one */
	/* who prunes takes back what he wanted himself */
	add(S, 5, MRIB_PRUNED, MRIB_PIM);
	add(S, 7, MRIB_PRUNED, MRIB_PIM);
	assert_string_equal(forwards(S), "2 3 7");
	assert_int_equal(why(S, 5), MRIB_OUT_pruned);
	add(S, 7, MRIB_PRUNED, MRIB_IGMP);
	assert_int_equal(why(S, 7), MRIB_OUT_pruned);
	want(S, 7, MRIB_IGMP);
	assert_string_equal(forwards(S), "2 3 7");
	assert_int_equal(mrib_outputs(mrib, S, outs), 4);
	assert_int_equal(outs[1].port, 3);
	assert_int_equal(outs[1].owners, 0);
	assert_int_equal(outs[1].inherited, 1 << MRIB_IGMP);
	assert_string_equal(forwards(G), "3 5 7");
}

static void a_lost_assert_blocks(void **state)
{
	input(G, 0, MRIB_PIM);
	input(S, 9, MRIB_PIM);
	want(G, 3, MRIB_IGMP);
	want(G, 5, MRIB_IGMP);
	want(S, 5, MRIB_PIM);
	add(G, 3, MRIB_BLOCKED, MRIB_PIM);
	add(G, 5, MRIB_BLOCKED, MRIB_PIM);
	assert_string_equal(forwards(G), "");
	/* lost_assert(*,G) is taken from what is inherited, lost_assert(S,G) from all */
	assert_string_equal(forwards(S), "5");
	assert_int_equal(why(S, 3), MRIB_OUT_blocked);
	add(S, 5, MRIB_BLOCKED, MRIB_PIM);
	assert_string_equal(forwards(S), "");
	assert_int_equal(why(S, 5), MRIB_OUT_blocked);
	mrib_del(mrib, T0, S, 5, MRIB_BLOCKED, MRIB_PIM);
	mrib_del(mrib, T0, G, 3, MRIB_BLOCKED, MRIB_PIM);
	assert_string_equal(forwards(S), "3 5");
}

static void never_back_where_it_came_from(void **state)
{
	input(G, 3, MRIB_PIM);
	want(G, 3, MRIB_IGMP);
	want(G, 4, MRIB_IGMP);
	input(S, 4, MRIB_PIM);
	assert_string_equal(forwards(G), "4");
	assert_string_equal(forwards(S), "3");
	assert_int_equal(why(S, 4), MRIB_OUT_is_input);
}

static void inputs_have_a_precedence(void **state)
{
	struct mrib_route r;

	input(S, 4, MRIB_PIM);
	input(S, 6, MRIB_STATIC);
	assert_true(mrib_find(mrib, S, &r));
	assert_int_equal(r.input, 6);
	assert_int_equal(r.input_by, MRIB_STATIC);
	assert_int_equal(r.inputs[MRIB_PIM], 4);
	input(S, MRIB_NO_PORT, MRIB_STATIC);
	assert_true(mrib_find(mrib, S, &r));
	assert_int_equal(r.input, 4);
	assert_int_equal(r.input_by, MRIB_PIM);
	assert_false(r.is_shared);
	input(G, 8, MRIB_PIM);
	input(S, MRIB_NO_PORT, MRIB_PIM);
	add(S, 1, MRIB_PRUNED, MRIB_PIM);
	assert_true(mrib_find(mrib, S, &r)); /* comes by the shared tree */
	assert_int_equal(r.input, 8);
	assert_true(r.is_shared);
	mrib_del(mrib, T0, S, 1, MRIB_PRUNED, MRIB_PIM);
	assert_false(mrib_find(mrib, S, &r));
}

static void boundaries_and_ports_that_are_not_there(void **state)
{
	const struct sg b = sg(NULL, "239.255.1.1");
	const struct mrib_port gone = { .name = "" },
			       named = { .name = "late", .ttl_threshold = 9 };
	struct mrib_out outs[MRIB_PORTS_MAX];
	struct mrib_rule rule;
	struct sg dirty;

	input(b, 0, MRIB_PIM);
	want(b, 1, MRIB_IGMP);
	want(b, 2, MRIB_IGMP);
	want(b, 200, MRIB_IGMP);
	assert_string_equal(forwards(b), "1 2");
	assert_int_equal(why(b, 200), MRIB_OUT_no_port);
	drain();
	boundary_port = 2;
	mrib_port_set(mrib, 2, &(struct mrib_port){ .name = "p2" });
	assert_true(mrib_dirty_next(mrib, &dirty));
	assert_true(sg_equal(dirty, b));
	assert_false(mrib_dirty_next(mrib, &dirty));
	assert_string_equal(forwards(b), "1");
	assert_int_equal(why(b, 2), MRIB_OUT_boundary);
	boundary_port = 0; /* at the input: nothing passes */
	assert_false(mrib_rule(mrib, b, MRIB_RULE_MAIN, &rule));
	boundary_port = MRIB_NO_PORT;
	mrib_port_set(mrib, 1, &gone);
	mrib_port_set(mrib, 200, &named);
	assert_string_equal(forwards(b), "2 200");
	assert_int_equal(mrib_outputs(mrib, b, outs), 3);
	assert_int_equal(outs[2].ttl_threshold, 9);
	mrib_port_set(mrib, 3, &gone); /* concerns nobody */
	drain();
	mrib_port_set(mrib, 3, &gone);
	assert_false(mrib_dirty_next(mrib, &dirty));
	/* by what it inherits a source is concerned too */
	input(sg("198.18.0.1", "239.255.1.1"), 7, MRIB_PIM);
	drain();
	mrib_port_set(mrib, 200, &gone);
	assert_int_equal(mrib_counts(mrib).dirty, 2);
	mrib_port_set(mrib, MRIB_PORTS_MAX, &named);
}

static void what_is_not_good_is_refused(void **state)
{
	const struct sg bad[] = {
		sg(NULL, "198.18.0.1"),
		sg(NULL, "224.0.0.5"),
		sg("239.1.1.1", "239.1.1.1"),
		sg("127.0.0.1", "239.1.1.1"),
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mrib_add(mrib, T0, bad[i], 1, MRIB_WANTED, MRIB_IGMP), -EINVAL);
		assert_int_equal(mrib_input_set(mrib, T0, bad[i], 1, MRIB_IGMP), -EINVAL);
	}
	assert_int_equal(mrib_add(mrib, T0, G, MRIB_PORTS_MAX, MRIB_WANTED, MRIB_PIM), -EINVAL);
	assert_int_equal(mrib_add(mrib, T0, G, 1, MRIB_MARKS, MRIB_PIM), -EINVAL);
	assert_int_equal(mrib_add(mrib, T0, G, 1, MRIB_WANTED, MRIB_ORIGINS), -EINVAL);
	assert_int_equal(mrib_add(mrib, T0, G, 1, MRIB_PRUNED, MRIB_PIM), -EINVAL);
	assert_int_equal(mrib_input_set(mrib, T0, G, MRIB_PORTS_MAX, MRIB_PIM), -EINVAL);
	mrib_del(mrib, T0, G, 1, MRIB_MARKS, MRIB_PIM);
	mrib_del(mrib, T0, G, 1, MRIB_WANTED, MRIB_ORIGINS);
	assert_int_equal(mrib_input_set(mrib, T0, S, MRIB_NO_PORT, MRIB_PIM), 0);
	assert_int_equal(mrib_counts(mrib).routes, 0);
	assert_int_equal(mrib_counts(mrib).changes, 0);
}

static void limits_are_counted_and_known(void **state)
{
	free(memory);
	cfg.max_routes = 4;
	cfg.max_ports = 5;
	cfg.max_sources = 2;
	cfg.max_route_ports = 3;
	mrib = new_mrib(&memory);
	name_ports(mrib, 10);
	want(sg("198.18.0.7", "239.1.1.1"), 1, MRIB_IGMP);
	want(sg("198.18.0.8", "239.1.1.1"), 1, MRIB_IGMP);
	assert_int_equal(mrib_add(mrib, T0, S, 1, MRIB_WANTED, MRIB_IGMP), -ENOSPC);
	assert_int_equal(mrib_counts(mrib).refused_sources, 1);
	assert_true(mrib_was_refused(mrib, S));
	want(sg(NULL, "239.1.1.2"), 1, MRIB_IGMP);
	want(sg(NULL, "239.1.1.2"), 2, MRIB_IGMP);
	want(sg(NULL, "239.1.1.2"), 3, MRIB_IGMP);
	assert_int_equal(mrib_add(mrib, T0, sg(NULL, "239.1.1.2"), 4, MRIB_WANTED, MRIB_IGMP),
			 -ENOSPC);
	assert_int_equal(mrib_counts(mrib).refused_route_ports, 1);
	want(sg(NULL, "239.1.1.2"), 3, MRIB_PIM); /* what is there may always be confirmed */
	assert_int_equal(mrib_add(mrib, T0, sg(NULL, "239.1.1.3"), 1, MRIB_WANTED, MRIB_IGMP),
			 -ENOSPC);
	assert_int_equal(mrib_counts(mrib).refused_ports, 1);
	assert_int_equal(mrib_counts(mrib).routes, 3); /* nothing half made is left */
	input(sg(NULL, "239.1.1.3"), 1, MRIB_PIM);
	assert_int_equal(mrib_input_set(mrib, T0, sg(NULL, "239.1.1.4"), 1, MRIB_PIM), -ENOSPC);
	assert_int_equal(mrib_counts(mrib).refused_routes, 1);
	assert_int_equal(mrib_counts(mrib).peak_routes, 4);
	/* Room again: what is let in was not refused. */
	mrib_forget_origin(mrib, T0, MRIB_IGMP);
	drain();
	want(S, 1, MRIB_IGMP);
	mrib_del(mrib, T0, S, 1, MRIB_WANTED, MRIB_IGMP);
	assert_false(mrib_was_refused(mrib, S));
}

static void an_origin_or_a_port_is_forgotten(void **state)
{
	input(S, 4, MRIB_PIM);
	input(S, 5, MRIB_STATIC);
	want(S, 1, MRIB_PIM);
	want(S, 1, MRIB_IGMP);
	want(S, 2, MRIB_PIM);
	want(S, 3, MRIB_IGMP);
	mrib_forget_origin(mrib, T0, MRIB_PIM);
	assert_string_equal(forwards(S), "1 3");
	mrib_forget_port(mrib, T0, 3);
	assert_string_equal(forwards(S), "1");
	mrib_forget_port(mrib, T0, 5);
	mrib_forget_port(mrib, T0, 1);
	mrib_forget_port(mrib, T0, MRIB_PORTS_MAX);
	mrib_forget_origin(mrib, T0, MRIB_ORIGINS);
	drain();
	assert_int_equal(mrib_counts(mrib).routes, 0);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void a_route_becomes_a_rule(void **state)
{
	struct mrib_rule r;
	struct diag d;

	mrib_port_set(mrib, 3, &(struct mrib_port){ .name = "tun3", .ttl_threshold = 16 });
	input(S, 0, MRIB_PIM);
	want(S, 3, MRIB_IGMP);
	want(S, 1, MRIB_IGMP);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_int_equal(rule_check(&r.rule, "", &d), 0);
	assert_string_equal(r.rule.id, "mroute:198.18.0.1,239.1.1.1");
	assert_string_equal(r.rule.interface, "p0");
	assert_true(ip4_equal(r.rule.group, S.group) && ip4_equal(r.rule.source, S.source));
	assert_int_equal(r.rule.port, 0);
	assert_int_equal(r.rule.protocol, IPPROTO_UDP);
	assert_int_equal(r.rule.kind, RULE_ROUTE);
	assert_false(r.rule.accept_ttl1);
	assert_int_equal(r.rule.n_outputs, 2);
	assert_ptr_equal(r.rule.outputs, r.outputs);
	assert_string_equal(r.outputs[0].interface, "p1");
	assert_string_equal(r.outputs[1].interface, "tun3");
	assert_int_equal(r.ttl_threshold[0], 0);
	assert_int_equal(r.ttl_threshold[1], 16);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(r.outputs[i].address.net, 0);
		assert_int_equal(r.outputs[i].ttl_policy, TTL_DECREMENT);
		assert_int_equal(r.outputs[i].source_policy, SOURCE_PRESERVE);
		assert_int_equal(r.outputs[i].dscp, -1);
	}
	assert_false(mrib_rule(mrib, S, MRIB_RULE_GUARD, &r));
	assert_string_equal(r.rule.id, "guard:198.18.0.1,239.1.1.1");
	assert_false(mrib_rule(mrib, G, MRIB_RULE_MAIN, &r));
	assert_string_equal(r.rule.id, "mroute:*,239.1.1.1");
}

static void a_source_is_registered_behind_its_outputs(void **state)
{
	const struct ip4 rp = { inet_addr("198.18.9.9") }, me = { inet_addr("198.18.0.2") };
	const struct ip4 none = { 0 };
	struct mrib_rule r;
	struct sg sg;

	assert_int_equal(mrib_register_set(mrib, T0, S, rp, me), -ENOENT);
	assert_int_equal(mrib_register_set(mrib, T0, G, rp, me), -ENOENT);
	input(S, 0, MRIB_PIM);
	assert_int_equal(mrib_register_set(mrib, T0, S, rp, me), 0);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.n_outputs, 1);
	assert_true(ip4_equal(r.outputs[0].register_to, rp));
	assert_true(ip4_equal(r.outputs[0].register_from, me));
	want(S, 3, MRIB_IGMP);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.n_outputs, 2);
	assert_int_equal(r.outputs[0].register_to.net, 0);
	assert_true(ip4_equal(r.outputs[1].register_to, rp));
	while (mrib_dirty_next(mrib, &sg))
		;
	assert_int_equal(mrib_register_set(mrib, T0, S, rp, me), 0);
	assert_false(mrib_dirty_next(mrib, &sg)); /* nothing new */
	assert_int_equal(mrib_register_set(mrib, T0, S, none, none), 0);
	assert_true(mrib_dirty_next(mrib, &sg));
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.n_outputs, 1);
	assert_int_equal(mrib_register_set(mrib, T0, S, rp, me), 0);
	mrib_forget_origin(mrib, T0, MRIB_PIM);
	input(S, 0, MRIB_IGMP);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.n_outputs, 1);
}

static void what_must_not_be_forwarded_has_a_rule_that_drops(void **state)
{
	struct mrib_rule r;

	input(G, 0, MRIB_PIM);
	assert_false(mrib_rule(mrib, G, MRIB_RULE_MAIN, &r)); /* nobody wants it */
	want(G, 3, MRIB_PIM);
	assert_true(mrib_rule(mrib, G, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.source.net, 0);
	/* pruned from the shared tree: must not fall through to (*,G) */
	add(S, 3, MRIB_PRUNED, MRIB_PIM);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_string_equal(r.rule.interface, "p0");
	assert_int_equal(r.rule.n_outputs, 0);
	assert_false(mrib_rule(mrib, S, MRIB_RULE_GUARD, &r));
	/* its own tree: nothing more from the shared one */
	input(S, 9, MRIB_PIM);
	mrib_del(mrib, T0, S, 3, MRIB_PRUNED, MRIB_PIM);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_string_equal(r.rule.interface, "p9");
	assert_int_equal(r.rule.n_outputs, 1);
	assert_true(mrib_rule(mrib, S, MRIB_RULE_GUARD, &r));
	assert_string_equal(r.rule.interface, "p0");
	assert_int_equal(r.rule.kind, RULE_GUARD);
	assert_true(ip4_equal(r.rule.source, S.source));
	assert_int_equal(r.rule.n_outputs, 0);
	input(S, 0, MRIB_PIM); /* both trees come in there: one rule is enough */
	assert_true(mrib_rule(mrib, S, MRIB_RULE_MAIN, &r));
	assert_false(mrib_rule(mrib, S, MRIB_RULE_GUARD, &r));
	input(S, 9, MRIB_PIM);
	input(G, MRIB_NO_PORT, MRIB_PIM);
	assert_false(mrib_rule(mrib, S, MRIB_RULE_GUARD, &r));
}

static void more_outputs_than_a_rule_has_are_counted(void **state)
{
	struct mrib_rule r;

	input(G, 99, MRIB_PIM);
	for (uint16_t p = 0; p < 70; p++)
		want(G, p, MRIB_IGMP);
	assert_true(mrib_rule(mrib, G, MRIB_RULE_MAIN, &r));
	assert_int_equal(r.rule.n_outputs, RULE_OUTPUTS_MAX);
	assert_int_equal(r.n_beyond, 70 - RULE_OUTPUTS_MAX);
	assert_int_equal(why(G, 63), MRIB_OUT_forwards);
	assert_int_equal(why(G, 64), MRIB_OUT_limit);
}

static void dirty_routes_are_named_once_also_those_that_went(void **state)
{
	struct sg what;

	want(G, 1, MRIB_IGMP);
	want(G, 2, MRIB_IGMP);
	assert_int_equal(mrib_counts(mrib).dirty, 1);
	assert_true(mrib_dirty_next(mrib, &what));
	assert_true(sg_equal(what, G));
	assert_false(mrib_dirty_next(mrib, &what));
	want(G, 2, MRIB_IGMP); /* no change */
	assert_false(mrib_dirty_next(mrib, &what));
	input(S, 1, MRIB_PIM);
	drain();
	mrib_del(mrib, T0, G, 1, MRIB_WANTED, MRIB_IGMP); /* (S,G) inherits less */
	assert_int_equal(mrib_counts(mrib).dirty, 2);
	drain();
	mrib_del(mrib, T0, G, 2, MRIB_WANTED, MRIB_IGMP);
	assert_int_equal(mrib_counts(mrib).routes, 2);
	assert_true(mrib_dirty_next(mrib, &what));
	assert_true(sg_equal(what, G));
	assert_int_equal(mrib_counts(mrib).routes, 1);
	want(G, 2, MRIB_IGMP); /* back before anybody looked */
	mrib_del(mrib, T0, G, 2, MRIB_WANTED, MRIB_IGMP);
	want(G, 2, MRIB_IGMP);
	assert_int_equal(mrib_counts(mrib).routes, 2);
	drain();
	assert_string_equal(forwards(S), "2");
}

static void routes_are_walked_in_the_order_they_came(void **state)
{
	const void *at = NULL;
	struct mrib_route r;

	assert_false(mrib_next(mrib, &at, &r));
	assert_int_equal(mrib_add(mrib, mtime_ms(5), S, 1, MRIB_WANTED, MRIB_IGMP), 0);
	want(G, 1, MRIB_IGMP);
	want(sg(NULL, "239.9.9.9"), 1, MRIB_IGMP);
	mrib_del(mrib, T0, G, 1, MRIB_WANTED, MRIB_IGMP); /* empty, though not read yet */
	assert_int_equal(mrib_add(mrib, mtime_ms(9), S, 2, MRIB_WANTED, MRIB_IGMP), 0);
	assert_true(mrib_next(mrib, &at, &r));
	assert_true(sg_equal(r.sg, S));
	assert_int_equal(r.created.us, 5000);
	assert_int_equal(r.changed.us, 9000);
	assert_int_equal(r.generation, mrib_generation(mrib));
	assert_int_equal(r.n_ports, 2);
	assert_true(mrib_next(mrib, &at, &r));
	assert_true(ip4_equal(r.sg.group, ip("239.9.9.9")));
	assert_false(mrib_next(mrib, &at, &r));
}

/* --- why not ---------------------------------------------------------------------------------- */

static void each_output_has_its_reason(void **state)
{
	const struct sg scoped = sg("198.18.0.1", "239.255.0.1");

	want(G, 3, MRIB_IGMP);
	input(G, 0, MRIB_PIM);
	assert_int_equal(why(S, 3), MRIB_OUT_forwards);
	mrib_port_set(mrib, 3, &(struct mrib_port){ .name = "" });
	assert_int_equal(why(S, 3), MRIB_OUT_no_port);
	name_ports(mrib, 4);
	add(S, 3, MRIB_PRUNED, MRIB_IGMP);
	assert_int_equal(why(S, 3), MRIB_OUT_pruned);
	mrib_del(mrib, T0, S, 3, MRIB_PRUNED, MRIB_IGMP);
	add(G, 3, MRIB_BLOCKED, MRIB_PIM);
	assert_int_equal(why(S, 3), MRIB_OUT_blocked);
	mrib_del(mrib, T0, G, 3, MRIB_BLOCKED, MRIB_PIM);
	input(S, 3, MRIB_PIM);
	assert_int_equal(why(S, 3), MRIB_OUT_is_input);
	input(scoped, 0, MRIB_PIM);
	want(scoped, 1, MRIB_PIM);
	boundary_port = 0;
	assert_false(mrib_may_pass(mrib, 0, scoped.group));
	boundary_port = 1;
	assert_true(mrib_may_pass(mrib, 0, scoped.group));
	assert_int_equal(why(scoped, 1), MRIB_OUT_boundary);
}

static void everything_has_a_text(void **state)
{
	for (int i = 0; i < MRIB_OUT__COUNT; i++)
		assert_string_not_equal(mrib_out_text((enum mrib_out_why)i), "unknown");
	for (int i = 0; i < MRIB_ORIGINS; i++)
		assert_string_not_equal(mrib_origin_name((enum mrib_origin)i), "unknown");
	assert_string_equal(mrib_out_text(MRIB_OUT__COUNT), "unknown");
	assert_string_equal(mrib_origin_name(MRIB_ORIGINS), "unknown");
}

/* --- properties ------------------------------------------------------------------------------- */

#define GROUPS	3
#define SOURCES 5 /* the first is "any" */
#define PORTS	6

static struct {
	uint8_t by[GROUPS][SOURCES][PORTS][MRIB_MARKS];
	uint16_t inputs[GROUPS][SOURCES][MRIB_ORIGINS];
} model;

static struct sg model_sg(unsigned g, unsigned s)
{
	return (struct sg){
		.source = s ? ip4_from_host(0xc6120000 + s) : (struct ip4){ 0 },
		.group = ip4_from_host(0xef010100 + g),
	};
}

static uint16_t model_own_input(unsigned g, unsigned s)
{
	for (unsigned o = 0; o < MRIB_ORIGINS; o++)
		if (model.inputs[g][s][o] != MRIB_NO_PORT)
			return model.inputs[g][s][o];
	return MRIB_NO_PORT;
}

static uint16_t model_input(unsigned g, unsigned s)
{
	uint16_t own = model_own_input(g, s);

	return own == MRIB_NO_PORT ? model_own_input(g, 0) : own;
}

/* RFC 7761 §4.1.6, literally. */
static bool model_forwards(unsigned g, unsigned s, unsigned p)
{
	const uint8_t *own = model.by[g][s][p], *star = model.by[g][0][p];
	bool immediate = own[MRIB_WANTED], inherited = false;

	if (s && !star[MRIB_BLOCKED])
		inherited = star[MRIB_WANTED] & ~own[MRIB_PRUNED];
	return (immediate || inherited) && !own[MRIB_BLOCKED] && p != model_input(g, s);
}

static bool model_is_there(unsigned g, unsigned s)
{
	const uint8_t *marks = &model.by[g][s][0][0];

	for (unsigned i = 0; i < PORTS * MRIB_MARKS; i++)
		if (marks[i])
			return true;
	return model_own_input(g, s) != MRIB_NO_PORT;
}

static void compare_with_model(struct mrib *m)
{
	for (unsigned g = 0; g < GROUPS; g++) {
		for (unsigned s = 0; s < SOURCES; s++) {
			struct mrib_out outs[MRIB_PORTS_MAX];
			unsigned n = mrib_outputs(m, model_sg(g, s), outs);
			bool forwarded[PORTS] = { false };
			struct mrib_route r;
			bool found = mrib_find(m, model_sg(g, s), &r);

			assert_int_equal(found, model_is_there(g, s));
			if (found)
				assert_int_equal(r.input, model_input(g, s));
			for (unsigned i = 0; i < n; i++) {
				assert_true(i == 0 || outs[i].port > outs[i - 1].port);
				forwarded[outs[i].port] = outs[i].why == MRIB_OUT_forwards;
			}
			for (unsigned p = 0; p < PORTS; p++)
				assert_int_equal(forwarded[p], model_forwards(g, s, p));
		}
	}
}

static void mark_both(struct mrib *m, unsigned g, unsigned s, unsigned p, unsigned mark, unsigned o,
		      bool on)
{
	if (on) {
		assert_int_equal(mrib_add(m, T0, model_sg(g, s), (uint16_t)p, (enum mrib_mark)mark,
					  (enum mrib_origin)o),
				 0);
		model.by[g][s][p][mark] |= (uint8_t)(1 << o);
	} else {
		mrib_del(m, T0, model_sg(g, s), (uint16_t)p, (enum mrib_mark)mark,
			 (enum mrib_origin)o);
		model.by[g][s][p][mark] &= (uint8_t) ~(1 << o);
	}
}

static void random_change(struct mrib *m, unsigned *seed)
{
	unsigned g = (unsigned)rand_r(seed) % GROUPS, s = (unsigned)rand_r(seed) % SOURCES;
	unsigned p = (unsigned)rand_r(seed) % PORTS, o = (unsigned)rand_r(seed) % MRIB_REMEMBERED;
	unsigned mark = (unsigned)rand_r(seed) % MRIB_MARKS, what = (unsigned)rand_r(seed) % 100;

	if (what == 0) {
		mrib_forget_origin(m, T0, (enum mrib_origin)o);
		for (g = 0; g < GROUPS; g++)
			for (s = 0; s < SOURCES; s++) {
				for (unsigned i = 0; i < PORTS * MRIB_MARKS; i++)
					(&model.by[g][s][0][0])[i] &= (uint8_t) ~(1 << o);
				model.inputs[g][s][o] = MRIB_NO_PORT;
			}
	} else if (what < 20) {
		uint16_t port = rand_r(seed) % 3 ? MRIB_NO_PORT : (uint16_t)p;

		assert_int_equal(mrib_input_set(m, T0, model_sg(g, s), port, (enum mrib_origin)o),
				 0);
		model.inputs[g][s][o] = port;
	} else {
		if (mark == MRIB_PRUNED && !s)
			mark = MRIB_WANTED;
		mark_both(m, g, s, p, mark, o, rand_r(seed) % 5 < 2);
	}
}

/* The rules of each (S,G), as somebody keeps them who only looks at what is dirty. */
static struct mrib_rule programmed[GROUPS][SOURCES][2];
static bool is_programmed[GROUPS][SOURCES][2];

static void program_dirty(struct mrib *m)
{
	struct sg what;

	while (mrib_dirty_next(m, &what)) {
		unsigned g = ip4_host(what.group) & 0xff;
		unsigned s = what.source.net ? ip4_host(what.source) & 0xff : 0;

		for (int kind = 0; kind < 2; kind++)
			is_programmed[g][s][kind] = mrib_rule(m, what, (enum mrib_rule_kind)kind,
							      &programmed[g][s][kind]);
	}
}

static void compare_with_programmed(struct mrib *m)
{
	for (unsigned i = 0; i < GROUPS * SOURCES * 2; i++) {
		unsigned g = i / 2 / SOURCES, s = i / 2 % SOURCES, kind = i % 2;
		struct mrib_rule r;
		bool is = mrib_rule(m, model_sg(g, s), (enum mrib_rule_kind)kind, &r);

		assert_int_equal(is, is_programmed[g][s][kind]);
		if (is)
			assert_true(rule_equal(&r.rule, &programmed[g][s][kind].rule));
	}
}

/* Only what is true in the end, in a random order. */
static struct mrib *fresh_build(void **mem, unsigned *seed)
{
	struct mrib *m = new_mrib(mem);
	unsigned n = GROUPS * SOURCES * PORTS * MRIB_MARKS * MRIB_ORIGINS;
	unsigned step = 7919, at = (unsigned)rand_r(seed) % n; /* a prime: passes all of them */

	name_ports(m, PORTS);
	for (unsigned i = 0; i < n; i++, at = (at + step) % n) {
		unsigned o = at % MRIB_ORIGINS, mark = at / MRIB_ORIGINS % MRIB_MARKS;
		unsigned p = at / (MRIB_ORIGINS * MRIB_MARKS) % PORTS;
		unsigned s = at / (MRIB_ORIGINS * MRIB_MARKS * PORTS) % SOURCES;
		unsigned g = at / (MRIB_ORIGINS * MRIB_MARKS * PORTS * SOURCES);

		if (model.by[g][s][p][mark] & 1 << o)
			mark_both(m, g, s, p, mark, o, true);
		if (!p && !mark && model.inputs[g][s][o] != MRIB_NO_PORT)
			assert_int_equal(mrib_input_set(m, T0, model_sg(g, s),
							model.inputs[g][s][o], (enum mrib_origin)o),
					 0);
	}
	return m;
}

static void compare_tables(struct mrib *a, struct mrib *b)
{
	for (unsigned i = 0; i < GROUPS * SOURCES; i++) {
		struct sg what = model_sg(i / SOURCES, i % SOURCES);
		struct mrib_out outs_a[MRIB_PORTS_MAX], outs_b[MRIB_PORTS_MAX];
		unsigned n = mrib_outputs(a, what, outs_a);
		struct mrib_route r_a = { 0 }, r_b = { 0 };

		assert_int_equal(mrib_outputs(b, what, outs_b), n);
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(outs_a[k].port, outs_b[k].port);
			assert_int_equal(outs_a[k].why, outs_b[k].why);
			assert_int_equal(outs_a[k].owners, outs_b[k].owners);
			assert_int_equal(outs_a[k].inherited, outs_b[k].inherited);
			assert_int_equal(outs_a[k].pruned, outs_b[k].pruned);
			assert_int_equal(outs_a[k].blocked, outs_b[k].blocked);
		}
		assert_int_equal(mrib_find(a, what, &r_a), mrib_find(b, what, &r_b));
		assert_int_equal(r_a.n_ports, r_b.n_ports);
		assert_memory_equal(r_a.inputs, r_b.inputs, sizeof(r_a.inputs));
	}
	assert_int_equal(mrib_counts(a).ports, mrib_counts(b).ports);
	assert_int_equal(mrib_counts(a).routes, mrib_counts(b).routes);
	assert_int_equal(mrib_counts(a).groups, mrib_counts(b).groups);
}

static void random_histories_end_as_a_fresh_build(void **state)
{
	unsigned seed = 20261127;

	for (int round = 0; round < 40; round++) {
		void *mem_a, *mem_b;
		struct mrib *a = new_mrib(&mem_a), *b;

		memset(&model, 0, sizeof(model));
		memset(model.inputs, 0xff, sizeof(model.inputs));
		memset(is_programmed, 0, sizeof(is_programmed));
		name_ports(a, PORTS);
		for (int i = 0; i < 600; i++) {
			random_change(a, &seed);
			if (rand_r(&seed) % 16)
				continue;
			program_dirty(a);
			compare_with_programmed(a);
			compare_with_model(a);
		}
		program_dirty(a);
		compare_with_programmed(a);
		b = fresh_build(&mem_b, &seed);
		compare_with_model(b);
		program_dirty(b);
		compare_tables(a, b);
		for (int o = 0; o < MRIB_ORIGINS; o++)
			mrib_forget_origin(a, T0, (enum mrib_origin)o);
		program_dirty(a);
		assert_int_equal(mrib_counts(a).routes + mrib_counts(a).ports, 0);
		assert_int_equal(mrib_counts(a).groups, 0);
		free(mem_a);
		free(mem_b);
	}
}

static double ns_since(struct timespec from, unsigned n)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)(now.tv_sec - from.tv_sec) * 1e9 + (double)(now.tv_nsec - from.tv_nsec)) /
	       n;
}

static struct sg many_sg(unsigned i)
{
	return (struct sg){ ip4_from_host(0xc6120001 + i % 251), ip4_from_host(0xef010000 + i) };
}

static void ten_thousand_groups_are_small_and_fast(void **state)
{
	const unsigned n = 10000;
	struct timespec from;
	double add_ns, rule_ns, del_ns;
	struct mrib_rule r;
	struct sg what;
	unsigned rules = 0;
	void *mem;
	struct mrib *m;

	cfg.max_routes = n;
	cfg.max_ports = n;
	m = new_mrib(&mem);
	print_message("%zu bytes for each (S,G) with one output\n", memory_size / n);
	assert_true(memory_size / n <= 512);
	name_ports(m, 8);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(mrib_input_set(m, T0, many_sg(i), 0, MRIB_PIM), 0);
		assert_int_equal(
			mrib_add(m, T0, many_sg(i), (uint16_t)(1 + i % 7), MRIB_WANTED, MRIB_IGMP),
			0);
	}
	add_ns = ns_since(from, 2 * n);
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (mrib_dirty_next(m, &what))
		rules += mrib_rule(m, what, MRIB_RULE_MAIN, &r) && r.rule.n_outputs == 1;
	rule_ns = ns_since(from, n);
	assert_int_equal(rules, n);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n; i++)
		mrib_del(m, T0, many_sg(i), (uint16_t)(1 + i % 7), MRIB_WANTED, MRIB_IGMP);
	del_ns = ns_since(from, n);
	print_message("a change in %.0f ns, back in %.0f ns, a rule in %.0f ns\n", add_ns, del_ns,
		      rule_ns);
	assert_true(add_ns < 100000 && del_ns < 100000 && rule_ns < 100000);
	assert_int_equal(mrib_counts(m).routes, n);
	assert_int_equal(mrib_counts(m).ports, 0);
	free(mem);
}

static struct portset ports(unsigned n, const unsigned *list)
{
	struct portset set = { { 0 } };

	for (unsigned i = 0; i < n; i++)
		portset_add(&set, list[i]);
	return set;
}

static unsigned rule_outputs(struct sg route, bool *tells)
{
	struct mrib_rule r;

	assert_true(mrib_rule(mrib, route, MRIB_RULE_MAIN, &r));
	*tells = r.rule.tells_sources;
	return r.rule.n_outputs;
}

/* An origin may say all of a route at once: what it does not name it takes back. */
static void a_whole_route_inherits_nothing_of_its_origin(void **state)
{
	struct portset two = ports(2, (const unsigned[]){ 1, 2 }),
		       one = ports(1, (const unsigned[]){ 2 });
	struct portset none = { { 0 } };
	bool tells;

	mrib_input_set(mrib, T0, G, 0, MRIB_PIM);
	assert_int_equal(mrib_mark_set(mrib, T0, G, &two, MRIB_WANTED, MRIB_PIM), 0);
	assert_int_equal(mrib_add(mrib, T0, G, 3, MRIB_WANTED, MRIB_STATIC), 0);
	assert_int_equal(rule_outputs(G, &tells), 3);
	assert_true(tells);
	mrib_input_set(mrib, T0, S, 4, MRIB_PIM);
	mrib_mark_set(mrib, T0, S, &one, MRIB_WANTED, MRIB_PIM);
	assert_int_equal(rule_outputs(S, &tells), 3);
	assert_false(tells);
	mrib_whole_set(mrib, T0, S, MRIB_PIM, true);
	assert_int_equal(rule_outputs(S, &tells), 2); /* its own, and the other origin's */
	mrib_mark_set(mrib, T0, S, &none, MRIB_WANTED, MRIB_PIM);
	assert_int_equal(rule_outputs(S, &tells), 1);
	mrib_tells_set(mrib, T0, S, true);
	assert_int_equal(rule_outputs(S, &tells), 1);
	assert_true(tells);
	mrib_whole_set(mrib, T0, S, MRIB_PIM, false);
	assert_int_equal(rule_outputs(S, &tells), 3);
	mrib_whole_set(mrib, T0, S, MRIB_PIM, true);
	mrib_forget_origin(mrib, T0, MRIB_PIM);
	mrib_input_set(mrib, T0, G, 0, MRIB_STATIC);
	mrib_input_set(mrib, T0, S, 4, MRIB_STATIC);
	assert_int_equal(rule_outputs(S, &tells), 1);
	assert_false(tells);
}

/* What an earlier process wanted stays until it is forgotten, or until who wants it says no. */
static void what_is_remembered_goes_with_who_takes_it_back(void **state)
{
	bool tells;

	mrib_input_set(mrib, T0, S, 0, MRIB_REMEMBERED);
	assert_int_equal(mrib_add(mrib, T0, S, 1, MRIB_WANTED, MRIB_REMEMBERED), 0);
	assert_int_equal(mrib_add(mrib, T0, S, 2, MRIB_WANTED, MRIB_REMEMBERED), 0);
	assert_int_equal(mrib_add(mrib, T0, S, 3, MRIB_WANTED, MRIB_REMEMBERED), 0);
	assert_int_equal(mrib_add(mrib, T0, S, 1, MRIB_WANTED, MRIB_PIM), 0);
	assert_int_equal(rule_outputs(S, &tells), 3);
	mrib_del(mrib, T0, S, 1, MRIB_WANTED, MRIB_PIM);
	assert_int_equal(rule_outputs(S, &tells), 2);
	assert_int_equal(mrib_add(mrib, T0, S, 2, MRIB_WANTED, MRIB_IGMP), 0);
	mrib_forget_origin(mrib, T0, MRIB_REMEMBERED);
	mrib_input_set(mrib, T0, S, 0, MRIB_PIM);
	assert_int_equal(rule_outputs(S, &tells), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_whole_route_inherits_nothing_of_its_origin),
		T(what_is_remembered_goes_with_who_takes_it_back),
		T(an_output_stays_while_anybody_wants_it),
		T(a_source_inherits_what_is_wanted_of_its_group),
		T(a_lost_assert_blocks),
		T(never_back_where_it_came_from),
		T(inputs_have_a_precedence),
		T(boundaries_and_ports_that_are_not_there),
		T(what_is_not_good_is_refused),
		T(limits_are_counted_and_known),
		T(an_origin_or_a_port_is_forgotten),
		T(a_route_becomes_a_rule),
		T(a_source_is_registered_behind_its_outputs),
		T(what_must_not_be_forwarded_has_a_rule_that_drops),
		T(more_outputs_than_a_rule_has_are_counted),
		T(dirty_routes_are_named_once_also_those_that_went),
		T(routes_are_walked_in_the_order_they_came),
		T(each_output_has_its_reason),
		T(everything_has_a_text),
		T(random_histories_end_as_a_fresh_build),
		T(ten_thousand_groups_are_small_and_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
