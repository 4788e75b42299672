/* SPDX-License-Identifier: MIT */
/* RPF look-ups, against expectations and against a slow look-up that tries every route. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/rpf.h"

#define ROUTES 100000

static struct rpf *rpf;
static void *memory;
static struct fib_route *routes;
static struct fib_hop *hops;
static struct fib_rule rules[FIB_RULES_MAX];
static size_t n_routes, n_hops, n_rules;

static struct ip4 ip(const char *text)
{
	return (struct ip4){ inet_addr(text) };
}

static void make(enum rpf_choice choice)
{
	const struct rpf_config cfg = { ROUTES, ROUTES, choice, 4711 };
	struct arena a = { 0 };

	assert_null(rpf_init(&a, &cfg));
	free(memory);
	memory = malloc(a.used);
	a = (struct arena){ .mem = memory, .size = a.used };
	rpf = rpf_init(&a, &cfg);
	assert_non_null(rpf);
	for (uint16_t i = 0; i < 8; i++)
		rpf_port_set(rpf, i, 100u + i, true);
}

static void add_rule(struct fib_rule rule)
{
	rules[n_rules++] = rule;
}

static void add_table_rule(uint32_t priority, uint32_t table)
{
	add_rule((struct fib_rule){ .priority = priority, .table = table, .suppress_len = -1 });
}

static int setup(void **state)
{
	routes = calloc(ROUTES + 1, sizeof(*routes));
	hops = calloc(ROUTES + 1, sizeof(*hops));
	n_routes = n_hops = n_rules = 0;
	add_table_rule(0, FIB_TABLE_LOCAL);
	add_table_rule(32766, FIB_TABLE_MAIN);
	make(RPF_BY_HASH);
	return !routes || !hops;
}

static int teardown(void **state)
{
	free(routes);
	free(hops);
	free(memory);
	memory = NULL;
	return 0;
}

static struct fib_route *add_route(const char *dst, uint8_t len, uint8_t protocol)
{
	struct fib_route *r = &routes[n_routes++];

	*r = (struct fib_route){
		.dst = { ip(dst), len },
		.table = FIB_TABLE_MAIN,
		.protocol = protocol,
		.first_hop = (uint32_t)n_hops,
	};
	return r;
}

/* Behind the last route. */
static void add_hop(uint16_t port, const char *via)
{
	hops[n_hops++] =
		(struct fib_hop){ .ifindex = 100u + port, .via = via ? ip(via) : ip("0.0.0.0") };
	routes[n_routes - 1].n_hops++;
}

static struct fib_route *add(const char *dst, uint8_t len, uint16_t port, const char *via)
{
	struct fib_route *r = add_route(dst, len, via ? RTPROT_OSPF : RTPROT_KERNEL);

	add_hop(port, via);
	return r;
}

static void load(void)
{
	const struct fib_view v = { routes, hops, rules, n_routes, n_hops, n_rules };

	assert_int_equal(rpf_load(rpf, &v), 0);
}

static struct rpf_answer ask(const char *address)
{
	const struct rpf_query q = { .address = ip(address) };
	enum rpf_why why;
	struct rpf_answer out;

	why = rpf_lookup(rpf, &q, &out);
	assert_int_equal(why, out.why);
	return out;
}

static bool is_by(const char *address, uint16_t port, const char *next_hop)
{
	struct rpf_answer a = ask(address);

	return !a.why && a.port == port && a.via == (next_hop ? RPF_GATEWAY : RPF_CONNECTED) &&
	       a.next_hop.net == (next_hop ? inet_addr(next_hop) : 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_longest_prefix_counts(void **state)
{
	struct rpf_answer a;

	add("0.0.0.0", 0, 0, "198.18.0.9");
	add("198.18.0.0", 16, 1, "198.18.1.9")->metric = 20;
	add("198.18.4.0", 24, 2, NULL);
	add("198.18.4.7", 32, 3, "198.18.3.9");
	load();
	assert_true(is_by("198.19.0.1", 0, "198.18.0.9"));
	assert_true(is_by("198.18.3.255", 1, "198.18.1.9"));
	assert_true(is_by("198.18.4.6", 2, NULL));
	assert_true(is_by("198.18.4.7", 3, "198.18.3.9"));
	assert_true(is_by("198.18.5.0", 1, "198.18.1.9"));
	a = ask("198.18.3.255");
	assert_int_equal(a.prefix.len, 16);
	assert_true(ip4_equal(a.prefix.addr, ip("198.18.0.0")));
	assert_int_equal(a.metric, 20);
	assert_int_equal(a.preference, 110);
	assert_int_equal(a.protocol, RTPROT_OSPF);
	assert_int_equal(a.table, FIB_TABLE_MAIN);
	assert_int_equal(a.n_paths, 1);
	assert_int_equal(ask("198.18.4.6").preference, 0);
}

static void what_cannot_be_resolved_says_why(void **state)
{
	struct rpf_answer a;

	assert_int_equal(ask("198.18.0.1").why, RPF_no_route); /* nothing loaded */
	assert_int_equal(ask("239.1.1.1").why, RPF_not_unicast);
	assert_int_equal(ask("0.0.0.0").why, RPF_not_unicast);
	add_route("198.18.1.0", 24, RTPROT_STATIC)->type = FIB_BLACKHOLE;
	add_route("198.18.2.0", 24, RTPROT_STATIC)->type = FIB_UNREACHABLE;
	add_route("198.18.3.0", 24, RTPROT_STATIC)->type = FIB_PROHIBIT;
	add("198.18.4.0", 24, 9, NULL); /* no port has this interface */
	add("198.18.5.0", 24, 5, "198.18.5.1");
	add("198.18.6.1", 32, 6, NULL)->table = FIB_TABLE_LOCAL;
	routes[n_routes - 1].type = FIB_LOCAL;
	add_route("198.18.7.0", 24, RTPROT_STATIC); /* an object that leads nowhere */
	load();
	rpf_port_set(rpf, 5, 105, false);
	assert_int_equal(ask("198.18.1.1").why, RPF_blackhole);
	assert_int_equal(ask("198.18.2.1").why, RPF_unreachable);
	assert_int_equal(ask("198.18.3.1").why, RPF_prohibit);
	assert_int_equal(ask("198.18.4.1").why, RPF_no_port);
	assert_int_equal(ask("198.18.6.1").why, RPF_ours);
	assert_int_equal(ask("198.18.6.1").port, 6);
	assert_int_equal(ask("198.18.7.1").why, RPF_no_port);
	assert_int_equal(ask("198.18.8.1").why, RPF_no_route);
	assert_int_equal(ask("198.18.8.1").port, RPF_NO_PORT);
	a = ask("198.18.5.7");
	assert_int_equal(a.why, RPF_port_down);
	assert_int_equal(a.port, 5); /* what it failed at */
	assert_int_equal(a.prefix.len, 24);
	assert_true(ip4_equal(a.next_hop, ip("198.18.5.1")));
	for (int why = 0; why < RPF__COUNT; why++)
		assert_string_not_equal(rpf_why_text((enum rpf_why)why), "unknown");
	assert_string_equal(rpf_why_text(RPF__COUNT), "unknown");
}

/* As the kernel does it, only that it removes the routes later. */
static void what_is_down_is_passed_over(void **state)
{
	uint64_t generation;

	add("198.18.0.0", 16, 0, "198.18.0.9");
	add("198.18.4.0", 24, 1, NULL);
	add("198.18.4.0", 24, 2, "198.18.2.9")->metric = 30;
	load();
	assert_true(is_by("198.18.4.1", 1, NULL));
	generation = rpf_generation(rpf);
	rpf_port_set(rpf, 1, 101, false);
	assert_true(rpf_generation(rpf) > generation);
	assert_true(is_by("198.18.4.1", 2, "198.18.2.9"));
	rpf_port_set(rpf, 2, 0, true); /* the port has gone */
	assert_true(is_by("198.18.4.1", 0, "198.18.0.9"));
	rpf_port_set(rpf, 0, 100, false);
	assert_int_equal(ask("198.18.4.1").why, RPF_port_down);
	assert_int_equal(ask("198.18.4.1").prefix.len, 24);
	generation = rpf_generation(rpf);
	rpf_port_set(rpf, 0, 100, false);
	assert_int_equal(rpf_generation(rpf), generation);
	rpf_port_set(rpf, 0, 100, true);
	rpf_port_set(rpf, RPF_PORTS_MAX, 100, true); /* not one */
	assert_true(is_by("198.18.4.1", 0, "198.18.0.9"));
}

static void the_first_of_equal_routes_counts(void **state)
{
	add("198.18.4.0", 24, 1, "198.18.1.1")->rank = 1;
	add("198.18.4.0", 24, 2, "198.18.2.2")->rank = 0;
	add("198.18.4.0", 24, 3, "198.18.3.3")->metric = 1;
	load();
	assert_true(is_by("198.18.4.1", 2, "198.18.2.2"));
}

static void links_without_addresses(void **state)
{
	struct rpf_answer a;

	add_route("198.18.4.0", 24, RTPROT_BGP);
	add_hop(1, NULL);
	hops[n_hops - 1].is_via6 = true;
	add_route("198.18.5.0", 24, RTPROT_STATIC);
	add_hop(2, NULL);
	load();
	a = ask("198.18.4.1");
	assert_int_equal(a.why, RPF_ok);
	assert_int_equal(a.via, RPF_ANYBODY);
	assert_int_equal(a.port, 1);
	assert_int_equal(a.preference, 20);
	a = ask("198.18.5.1");
	assert_int_equal(a.via, RPF_ANYBODY);
	assert_int_equal(a.port, 2);
}

/* --- equal next hops -------------------------------------------------------------------------- */

static uint16_t port_for(unsigned flow)
{
	const struct rpf_query q = {
		.address = ip4_from_host(0xc6120400 + flow % 251 + 1),
		.group = ip4_from_host(0xef010000 + flow),
	};
	struct rpf_answer a;

	assert_int_equal(rpf_lookup(rpf, &q, &a), RPF_ok);
	return a.port;
}

static void add_four(void)
{
	add("198.18.4.0", 23, 0, "198.18.0.1");
	add_hop(1, "198.18.1.1");
	add_hop(2, "198.18.2.1");
	add_hop(3, "198.18.3.1");
	load();
}

static void flows_are_spread_and_move_only_when_they_must(void **state)
{
	unsigned n[4] = { 0 };
	uint16_t before[4000];

	add_four();
	assert_int_equal(ask("198.18.4.1").n_paths, 4);
	for (unsigned i = 0; i < 4000; i++)
		n[before[i] = port_for(i)]++;
	for (unsigned p = 0; p < 4; p++)
		assert_in_range(n[p], 850, 1150);
	rpf_port_set(rpf, 2, 102, false);
	assert_int_equal(ask("198.18.4.1").n_paths, 3);
	for (unsigned i = 0; i < 4000; i++) {
		assert_int_not_equal(port_for(i), 2);
		if (before[i] != 2)
			assert_int_equal(port_for(i), before[i]);
	}
	rpf_port_set(rpf, 2, 102, true);
	for (unsigned i = 0; i < 4000; i++)
		assert_int_equal(port_for(i), before[i]);
}

static void the_highest_next_hop_counts_where_it_is_to(void **state)
{
	make(RPF_HIGHEST);
	add_four();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(port_for(i), 3);
	rpf_port_set(rpf, 3, 103, false);
	assert_true(is_by("198.18.4.1", 2, "198.18.2.1"));
}

static bool only_port_1(const void *arg, uint16_t port, struct ip4 next_hop)
{
	assert_ptr_equal(arg, &rpf);
	assert_true(next_hop.net);
	return port == 1;
}

static bool nobody(const void *arg, uint16_t port, struct ip4 next_hop)
{
	return false;
}

static void a_next_hop_that_is_no_router_is_none(void **state)
{
	struct rpf_query q = { ip("198.18.4.1"), { 0 }, only_port_1, &rpf };
	struct rpf_answer a;

	add_four();
	add("198.18.8.0", 24, 4, NULL);
	load();
	for (unsigned i = 0; i < 100; i++) {
		q.group = ip4_from_host(0xef010000 + i);
		assert_int_equal(rpf_lookup(rpf, &q, &a), RPF_ok);
		assert_int_equal(a.port, 1);
		assert_int_equal(a.n_paths, 1);
	}
	q.has_neighbour = nobody;
	assert_int_equal(rpf_lookup(rpf, &q, &a), RPF_no_neighbour);
	assert_int_equal(a.port, 0);
	q.address = ip("198.18.8.1"); /* on the link itself nobody is asked */
	assert_int_equal(rpf_lookup(rpf, &q, &a), RPF_ok);
	assert_int_equal(a.port, 4);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void rules_are_followed(void **state)
{
	n_rules = 0;
	/* as wg-quick writes them: everything unmarked goes to 1000, but for what main knows better
	 */
	add_rule((struct fib_rule){ .priority = 1, .table = FIB_TABLE_MAIN, .suppress_len = 0 });
	add_rule((struct fib_rule){ .priority = 2,
				    .table = 1000,
				    .suppress_len = -1,
				    .is_particular = true,
				    .is_inverted = true });
	add_table_rule(3, FIB_TABLE_MAIN);
	add("0.0.0.0", 0, 0, "198.18.0.9");
	add("198.18.4.0", 24, 1, NULL);
	add("0.0.0.0", 0, 2, "198.18.2.9")->table = 1000;
	add_route("198.19.9.0", 24, RTPROT_STATIC)->type = FIB_THROW;
	routes[n_routes - 1].table = 1000;
	add("198.18.77.0", 24, 3, NULL)->table = 2000; /* nobody asks it */
	load();
	assert_true(is_by("198.18.4.1", 1, NULL));
	assert_true(is_by("198.18.77.1", 2, "198.18.2.9"));
	assert_true(is_by("198.19.9.1", 0, "198.18.0.9"));
	assert_int_equal(ask("198.18.77.1").table, 1000);
}

static void rules_that_jump_refuse_or_do_not_match(void **state)
{
	n_rules = 0;
	add_rule((struct fib_rule){ .priority = 5, .table = 1000, .is_particular = true });
	add_rule((struct fib_rule){ .priority = 10,
				    .action = FIB_RULE_GOTO,
				    .target = 30,
				    .to = { ip("198.19.0.0"), 16 } });
	add_rule((struct fib_rule){ .priority = 15, .action = FIB_RULE_NOTHING });
	add_rule((struct fib_rule){ .priority = 20,
				    .action = FIB_RULE_REFUSE,
				    .refusal = FIB_PROHIBIT,
				    .to = { ip("198.18.0.0"), 15 } });
	add_table_rule(30, FIB_TABLE_MAIN);
	add("0.0.0.0", 0, 0, "198.18.0.9");
	add("0.0.0.0", 0, 1, "198.18.1.9")->table = 1000;
	load();
	assert_true(is_by("198.19.1.1", 0, "198.18.0.9"));
	assert_int_equal(ask("198.18.1.1").why, RPF_prohibit);
	assert_true(is_by("198.20.1.1", 0, "198.18.0.9"));
	rules[1].target = 99; /* to nowhere: the rest is passed over */
	load();
	assert_int_equal(ask("198.19.1.1").why, RPF_no_route);
}

/* --- static mroutes --------------------------------------------------------------------------- */

static void static_mroutes_come_first(void **state)
{
	const struct rpf_static statics[] = {
		{ { ip("198.19.0.0"), 16 }, 3, { 0 }, 5 },
		{ { ip("198.19.4.0"), 24 }, RPF_NO_PORT, ip("198.18.1.7"), 1 },
		{ { ip("198.19.4.0"), 24 }, 2, ip("198.18.2.7"), 9 },
		{ { ip("198.19.5.0"), 24 }, RPF_NO_PORT, ip("198.20.0.1"), 1 },
		{ { ip("198.19.6.6"), 32 }, 4, ip("198.19.6.6"), 1 },
	};
	struct rpf_answer a;

	add("198.19.0.0", 16, 0, "198.18.0.9");
	add("198.18.1.0", 24, 1, NULL);
	add("198.20.0.0", 16, 0, "198.18.0.9");
	load();
	assert_int_equal(rpf_statics_set(rpf, statics, 5), 0);
	a = ask("198.19.4.1");
	assert_true(a.is_static);
	assert_int_equal(a.port, 1); /* by its next hop */
	assert_int_equal(a.via, RPF_GATEWAY);
	assert_true(ip4_equal(a.next_hop, ip("198.18.1.7")));
	assert_int_equal(a.preference, 1);
	assert_int_equal(ask("198.19.1.1").port, 3);
	assert_int_equal(ask("198.19.1.1").via, RPF_ANYBODY);
	assert_int_equal(ask("198.19.6.6").via, RPF_CONNECTED);
	/* one that is on no link is none: a shorter one counts */
	assert_int_equal(ask("198.19.5.1").port, 3);
	rpf_port_set(rpf, 1, 101, false);
	assert_int_equal(ask("198.19.4.1").port, 2);
	rpf_port_set(rpf, 2, 102, false);
	rpf_port_set(rpf, 3, 103, false);
	assert_true(is_by("198.19.4.1", 0, "198.18.0.9")); /* the kernel's */
	rpf_port_set(rpf, 0, 100, false);
	assert_int_equal(ask("198.19.5.1").why, RPF_unresolved);
	assert_true(ask("198.19.5.1").is_static);
	assert_int_equal(rpf_statics_set(rpf, NULL, 0), 0);
	assert_int_equal(ask("198.19.5.1").why, RPF_port_down);
}

static void what_does_not_fit_is_refused_whole(void **state)
{
	static struct rpf_static statics[RPF_STATICS_MAX + 1];
	struct fib_view v = { routes, hops, rules, 1, 1, n_rules };
	struct rpf_static bad = { { ip("198.18.0.0"), 33 }, 1, { 0 }, 1 };

	add("198.18.4.0", 24, 1, NULL);
	load();
	v.n_routes = ROUTES + 1;
	assert_int_equal(rpf_load(rpf, &v), -E2BIG);
	v.n_routes = 1;
	v.n_hops = ROUTES + 1;
	assert_int_equal(rpf_load(rpf, &v), -E2BIG);
	v.n_hops = 1;
	v.n_rules = FIB_RULES_MAX + 1;
	assert_int_equal(rpf_load(rpf, &v), -E2BIG);
	assert_true(is_by("198.18.4.1", 1, NULL));
	assert_int_equal(rpf_statics_set(rpf, statics, RPF_STATICS_MAX + 1), -E2BIG);
	assert_int_equal(rpf_statics_set(rpf, &bad, 1), -EINVAL);
	bad.prefix.len = 8;
	bad.port = RPF_PORTS_MAX;
	assert_int_equal(rpf_statics_set(rpf, &bad, 1), -EINVAL);
	bad.port = RPF_NO_PORT;
	assert_int_equal(rpf_statics_set(rpf, &bad, 1), -EINVAL);
	assert_true(is_by("198.18.4.1", 1, NULL));
}

/* --- properties ------------------------------------------------------------------------------- */

/* Every route is tried; those here have one hop, and all ports are up. */
static const struct fib_route *slow_lookup(struct ip4 a)
{
	const struct fib_route *best = NULL;

	for (size_t i = 0; i < n_routes; i++) {
		const struct fib_route *r = &routes[i];

		if (r->table != FIB_TABLE_MAIN || !ip4_in(a, r->dst))
			continue;
		if (!best || r->dst.len > best->dst.len ||
		    (r->dst.len == best->dst.len && r->metric < best->metric))
			best = r;
	}
	return best;
}

static void random_tables_answer_as_a_slow_look_up(void **state)
{
	unsigned seed = 7;

	for (int round = 0; round < 60; round++) {
		n_routes = n_hops = 0;
		for (int i = 0; i < 300; i++) {
			uint8_t len = (uint8_t)(rand_r(&seed) % 33);
			/* few bits are drawn, so that prefixes nest */
			uint32_t a = (uint32_t)rand_r(&seed) & 0x0f0c0307;
			struct fib_route *r;

			r = add("0.0.0.0", len, (uint16_t)(rand_r(&seed) % 8), "198.18.0.1");
			r->dst.addr = ip4_from_host(len ? a >> (32 - len) << (32 - len) : 0);
			r->metric = (uint32_t)i << (rand_r(&seed) % 20);
			r->table = rand_r(&seed) % 8 ? FIB_TABLE_MAIN : 1000;
		}
		load();
		for (int i = 0; i < 2000; i++) {
			const struct rpf_query q = {
				.address = ip4_from_host((uint32_t)rand_r(&seed) & 0x0f0c0307),
			};
			const struct fib_route *want = slow_lookup(q.address);
			struct rpf_answer a;

			if (!ip4_is_unicast(q.address))
				continue;
			rpf_lookup(rpf, &q, &a);
			assert_int_equal(a.why, want ? RPF_ok : RPF_no_route);
			if (!want)
				continue;
			assert_int_equal(a.prefix.len, want->dst.len);
			assert_int_equal(a.metric, want->metric);
			assert_int_equal(a.port + 100, hops[want->first_hop].ifindex);
		}
	}
}

static double ms_since(struct timespec from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from.tv_sec) * 1e3 +
	       (double)(now.tv_nsec - from.tv_nsec) / 1e6;
}

/* A look-up must not depend on how many routes there are: 100 times a linear one's time is far. */
static void a_hundred_thousand_routes_are_fine(void **state)
{
	unsigned seed = 11, n = 1000000, ok = 0;
	struct timespec from;
	double load_ms, look_ms;

	for (int i = 0; i < ROUTES; i++) {
		uint8_t len = (uint8_t)(i % 10 ? 24 : 16);
		struct fib_route *r = add("0.0.0.0", len, (uint16_t)(i % 8), "198.18.0.1");

		r->dst.addr = ip4_from_host(((uint32_t)rand_r(&seed) << 1 | 0x01000000) >>
					    (32 - len) << (32 - len));
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	load();
	load_ms = ms_since(from);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < n; i++) {
		const struct rpf_query q = { .address = ip4_from_host((uint32_t)rand_r(&seed)) };
		struct rpf_answer a;

		ok += !rpf_lookup(rpf, &q, &a);
	}
	look_ms = ms_since(from);
	print_message("%u routes: load %.1f ms, look-up %.0f ns, %u of %u found\n", ROUTES, load_ms,
		      look_ms * 1e6 / n, ok, n);
	assert_true(load_ms < 1000);
	assert_true(look_ms * 1e6 / n < 20000);
	assert_true(ok > n / 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_longest_prefix_counts),
		T(what_cannot_be_resolved_says_why),
		T(what_is_down_is_passed_over),
		T(the_first_of_equal_routes_counts),
		T(links_without_addresses),
		T(flows_are_spread_and_move_only_when_they_must),
		T(the_highest_next_hop_counts_where_it_is_to),
		T(a_next_hop_that_is_no_router_is_none),
		T(rules_are_followed),
		T(rules_that_jump_refuse_or_do_not_match),
		T(static_mroutes_come_first),
		T(what_does_not_fit_is_refused_whole),
		T(random_tables_answer_as_a_slow_look_up),
		T(a_hundred_thousand_routes_are_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
