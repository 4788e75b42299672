/* SPDX-License-Identifier: MIT */
/* The kernel's routes against a real kernel, in a network namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/route.h"
#include "../lib/child.h"
#include "../lib/until.h"

#define WAIT_MS	 10000
#define QUIET_MS 300 /* more than a pause between dumps */
#define MANY	 30000

static bool has_netns;
static struct loop *loop;
static struct route_table *table;
static unsigned n_told;

static void on_change(void *arg, struct mtime now)
{
	assert_ptr_equal(arg, &loop);
	n_told++;
}

static int enter(void **state)
{
	has_netns = netns_enter();
	return 0;
}

static const char links[] = "ip link add mcrta type veth peer name mcrtb &&"
			    "ip link add mcrtc type veth peer name mcrtd &&"
			    "ip addr add 198.18.1.1/24 dev mcrta &&"
			    "ip addr add 198.18.2.1/24 dev mcrtc &&"
			    "for i in mcrta mcrtb mcrtc mcrtd; do ip link set $i up; done";

static int setup(void **state)
{
	n_told = 0;
	return has_netns ? loop_new(&loop) || !shell("%s", links) : 0;
}

static int teardown(void **state)
{
	route_close(table);
	loop_free(loop);
	table = NULL;
	loop = NULL;
	return has_netns &&
	       !shell("ip link del mcrta; ip link del mcrtc; ip nexthop flush >/dev/null 2>&1;"
		      "ip route flush table 1000 2>/dev/null; ip route flush table main;"
		      "for p in 100 101 102 103; do ip rule del priority $p 2>/dev/null; done;"
		      "sysctl -qw net.ipv4.nexthop_compat_mode=1");
}

static void open_table(void)
{
	if (!has_netns) {
		print_message("needs root for a network namespace\n");
		skip();
	}
	assert_int_equal(route_open(&table, loop, on_change, &loop), 0);
	assert_int_equal(n_told, 0);
}

static void run_until(bool (*what)(void))
{
	assert_true(loop_until(loop, what, WAIT_MS));
}

static void settle(void)
{
	loop_until(loop, NULL, QUIET_MS);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The n-th best of its key; metric 0 and the table main, unless said otherwise. */
struct want {
	const char *dst;
	unsigned len, table, metric, nth;
};

static bool is_key(const struct fib_route *r, const struct want *w)
{
	return r->dst.addr.net == inet_addr(w->dst) && r->dst.len == w->len &&
	       r->table == (w->table ? w->table : FIB_TABLE_MAIN) && r->metric == w->metric;
}

static const struct fib_route *route_find(struct want w)
{
	struct fib_view v = route_view(table);

	for (size_t i = 0; i < v.n_routes; i++) {
		unsigned before = 0;

		if (!is_key(&v.routes[i], &w))
			continue;
		for (size_t k = 0; k < v.n_routes; k++)
			before += is_key(&v.routes[k], &w) && v.routes[k].rank < v.routes[i].rank;
		if (before == w.nth)
			return &v.routes[i];
	}
	return NULL;
}
#define find(d, l, ...) route_find((struct want){ .dst = (d), .len = (l), ##__VA_ARGS__ })

static const struct fib_hop *hop(const struct fib_route *r, unsigned n)
{
	return n < r->n_hops ? &route_view(table).hops[r->first_hop + n] : NULL;
}

static bool goes(const struct fib_route *r, const char *via, const char *dev)
{
	return r && r->n_hops == 1 && hop(r, 0)->via.net == (via ? inet_addr(via) : 0) &&
	       hop(r, 0)->ifindex == if_nametoindex(dev);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_first_dump_is_complete(void **state)
{
	const struct fib_route *r;
	struct fib_view v;

	if (has_netns)
		assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.2 metric 20"));
	open_table();
	v = route_view(table);
	assert_int_equal(v.n_rules, 3);
	assert_int_equal(v.rules[0].table, FIB_TABLE_LOCAL);
	assert_int_equal(v.rules[1].table, FIB_TABLE_MAIN);
	assert_int_equal(v.rules[2].table, FIB_TABLE_DEFAULT);
	assert_int_equal(v.rules[1].priority, 32766);
	for (size_t i = 0; i < v.n_rules; i++) {
		assert_int_equal(v.rules[i].action, FIB_RULE_TABLE);
		assert_int_equal(v.rules[i].suppress_len, -1);
		assert_false(v.rules[i].is_particular || v.rules[i].is_inverted);
	}
	r = find("198.18.1.1", 32, .table = FIB_TABLE_LOCAL);
	assert_non_null(r);
	assert_int_equal(r->type, FIB_LOCAL);
	assert_null(find("198.18.1.255", 32, .table = FIB_TABLE_LOCAL)); /* broadcast */
	r = find("198.18.1.0", 24);
	assert_true(goes(r, NULL, "mcrta"));
	assert_int_equal(r->type, FIB_UNICAST);
	assert_int_equal(r->protocol, RTPROT_KERNEL);
	r = find("198.19.0.0", 16, .metric = 20);
	assert_true(goes(r, "198.18.1.2", "mcrta"));
	assert_int_equal(r->protocol, RTPROT_BOOT);
}

static bool is_by_2(void)
{
	return goes(find("198.19.0.0", 16), "198.18.1.2", "mcrta");
}

static bool is_by_3(void)
{
	return goes(find("198.19.0.0", 16), "198.18.2.3", "mcrtc");
}

static bool is_gone(void)
{
	return !find("198.19.0.0", 16);
}

static void routes_come_change_and_go(void **state)
{
	open_table();
	assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.2"));
	run_until(is_by_2);
	assert_int_equal(n_told, 1);
	assert_true(shell("ip route replace 198.19.0.0/16 via 198.18.2.3"));
	run_until(is_by_3);
	assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.9 metric 7"));
	assert_true(shell("ip route del 198.19.0.0/16 metric 0"));
	run_until(is_gone);
	assert_true(goes(find("198.19.0.0", 16, .metric = 7), "198.18.1.9", "mcrta"));
	settle();
	n_told = 0;
	/* The kernel tells of an address's routes; other TOS than 0 are not for us. */
	assert_true(shell("ip route add 198.19.1.0/24 tos 0x10 via 198.18.1.2"));
	settle();
	assert_int_equal(n_told, 0);
	assert_null(find("198.19.1.0", 24));
	assert_int_equal(route_counts(table).dumps, 3); /* the first, of three parts, only */
}

static bool has_all_types(void)
{
	return find("198.19.4.0", 24) && find("198.19.5.0", 24, .table = 1000);
}

static void routes_that_lead_nowhere(void **state)
{
	open_table();
	assert_true(shell("ip route add blackhole 198.19.1.0/24 &&"
			  "ip route add unreachable 198.19.2.0/24 &&"
			  "ip route add prohibit 198.19.3.0/24 &&"
			  "ip route add throw 198.19.4.0/24 &&"
			  "ip route add 198.19.5.0/24 via 198.18.1.7 table 1000"));
	run_until(has_all_types);
	assert_int_equal(find("198.19.1.0", 24)->type, FIB_BLACKHOLE);
	assert_int_equal(find("198.19.2.0", 24)->type, FIB_UNREACHABLE);
	assert_int_equal(find("198.19.3.0", 24)->type, FIB_PROHIBIT);
	assert_int_equal(find("198.19.4.0", 24)->type, FIB_THROW);
	assert_int_equal(find("198.19.4.0", 24)->n_hops, 0);
}

static bool has_three_hops(void)
{
	const struct fib_route *r = find("198.19.0.0", 16);

	return r && r->n_hops == 3;
}

static bool is_by_link(void)
{
	const struct fib_route *r = find("198.19.0.0", 16);

	return r && r->n_hops == 1 && hop(r, 0)->is_via6;
}

static void several_hops_and_those_of_another_family(void **state)
{
	const struct fib_route *r;

	open_table();
	assert_true(shell("ip route add 198.19.0.0/16 nexthop via 198.18.1.2 nexthop "
			  "via 198.18.2.3 weight 5 nexthop via inet6 fe80::1 dev mcrta"));
	run_until(has_three_hops);
	r = find("198.19.0.0", 16);
	assert_int_equal(hop(r, 0)->via.net, inet_addr("198.18.1.2"));
	assert_int_equal(hop(r, 1)->via.net, inet_addr("198.18.2.3"));
	assert_int_equal(hop(r, 1)->ifindex, if_nametoindex("mcrtc"));
	assert_false(hop(r, 1)->is_via6);
	assert_true(hop(r, 2)->is_via6);
	assert_int_equal(hop(r, 2)->via.net, 0);
	assert_int_equal(hop(r, 2)->ifindex, if_nametoindex("mcrta"));
	assert_true(shell("ip route replace 198.19.0.0/16 via inet6 fe80::1 dev mcrta"));
	run_until(is_by_link);
}

static bool is_by_both(void)
{
	const struct fib_route *r = find("198.19.0.0", 16);

	return r && r->n_hops == 2 && hop(r, 0)->via.net == inet_addr("198.18.1.2") &&
	       hop(r, 1)->via.net == inet_addr("198.18.2.3");
}

static bool is_blackhole(void)
{
	const struct fib_route *r = find("198.19.0.0", 16);

	return r && r->type == FIB_BLACKHOLE;
}

/* In both modes: with compatibility the kernel spells out what an object stands for. */
static void next_hop_objects(void **state)
{
	for (int compat = 1; compat >= 0; compat--) {
		if (has_netns)
			assert_true(shell("sysctl -qw net.ipv4.nexthop_compat_mode=%d", compat));
		open_table();
		assert_true(shell("ip nexthop add id 7 via 198.18.1.2 dev mcrta &&"
				  "ip route add 198.19.0.0/16 nhid 7"));
		run_until(is_by_2);
		assert_true(shell("ip nexthop replace id 7 via 198.18.2.3 dev mcrtc"));
		run_until(is_by_3);
		assert_true(shell("ip nexthop del id 7"));
		run_until(is_gone);
		/* A group with a lower id than its members. */
		assert_true(shell("ip nexthop add id 21 via 198.18.1.2 dev mcrta &&"
				  "ip nexthop add id 22 via 198.18.2.3 dev mcrtc &&"
				  "ip nexthop add id 3 group 21/22 &&"
				  "ip route add 198.19.0.0/16 nhid 3"));
		run_until(is_by_both);
		route_close(table);
		n_told = 0;
		open_table(); /* from a dump as well */
		assert_true(is_by_both());
		assert_true(shell("ip nexthop del id 22"));
		run_until(is_by_2);
		assert_true(shell("ip nexthop add id 9 blackhole &&"
				  "ip route replace 198.19.0.0/16 nhid 9"));
		run_until(is_blackhole);
		assert_true(shell("ip nexthop flush >/dev/null 2>&1"));
		run_until(is_gone);
		route_close(table);
		table = NULL;
		n_told = 0;
	}
}

static bool has_connected(void)
{
	return find("198.18.1.0", 24);
}

static bool has_lost_all(void)
{
	return !find("198.19.0.0", 16) && !has_connected();
}

static bool has_connected_only(void)
{
	return !find("198.19.0.0", 16) && has_connected();
}

static bool has_no_third(void)
{
	return !find("198.19.3.0", 24);
}

/* The kernel says nothing of the routes that go with a link, and older ones with an address. */
static void routes_vanish_with_links_and_addresses(void **state)
{
	open_table();
	assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.2"));
	run_until(is_by_2);
	assert_true(shell("ip link set mcrta down"));
	run_until(has_lost_all);
	assert_true(shell("ip link set mcrta up"));
	run_until(has_connected_only);
	assert_true(shell("ip addr add 198.18.3.1/32 dev mcrtc &&"
			  "ip route add 198.19.3.0/24 dev mcrta src 198.18.3.1"));
	settle();
	assert_non_null(find("198.19.3.0", 24));
	assert_true(shell("ip addr del 198.18.3.1/32 dev mcrtc"));
	run_until(has_no_third);
	assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.2"));
	run_until(is_by_2);
	assert_true(shell("ip link del mcrta"));
	run_until(has_lost_all);
}

static bool first_is(const char *via)
{
	return goes(find("198.19.0.0", 16), via, "mcrta");
}

static bool second_is(const char *via)
{
	return goes(find("198.19.0.0", 16, .nth = 1), via, "mcrta");
}

static bool has_order_2_4(void)
{
	return first_is("198.18.1.2") && second_is("198.18.1.4");
}

static bool has_order_5_2_4(void)
{
	return first_is("198.18.1.5") && second_is("198.18.1.2") &&
	       goes(find("198.19.0.0", 16, .nth = 2), "198.18.1.4", "mcrta");
}

static bool has_order_6_2_4(void)
{
	return first_is("198.18.1.6") && second_is("198.18.1.2");
}

static bool has_order_6_4(void)
{
	return first_is("198.18.1.6") && second_is("198.18.1.4");
}

static void several_routes_of_one_prefix_keep_their_order(void **state)
{
	open_table();
	assert_true(shell("ip route add 198.19.0.0/16 via 198.18.1.2 &&"
			  "ip route append 198.19.0.0/16 via 198.18.1.4"));
	run_until(has_order_2_4);
	assert_true(shell("ip route prepend 198.19.0.0/16 via 198.18.1.5"));
	run_until(has_order_5_2_4);
	assert_true(shell("ip route replace 198.19.0.0/16 via 198.18.1.6"));
	run_until(has_order_6_2_4);
	assert_true(shell("ip route del 198.19.0.0/16 via 198.18.1.2"));
	run_until(has_order_6_4);
}

static const struct fib_rule *rule(unsigned priority)
{
	struct fib_view v = route_view(table);

	for (size_t i = 0; i < v.n_rules; i++)
		if (v.rules[i].priority == priority)
			return &v.rules[i];
	return NULL;
}

static bool has_rules(void)
{
	return rule(100) && rule(101) && rule(102) && rule(103);
}

static bool has_fewer_rules(void)
{
	return !rule(101);
}

static void rules_come_and_go(void **state)
{
	open_table();
	assert_true(shell("ip rule add priority 100 not fwmark 0x51 table 1000 &&"
			  "ip rule add priority 101 to 198.19.0.0/16 iif lo goto 103 &&"
			  "ip rule add priority 102 from 198.18.1.0/24 prohibit &&"
			  "ip rule add priority 103 table main suppress_prefixlength 0"));
	run_until(has_rules);
	assert_true(rule(100)->is_inverted && rule(100)->is_particular);
	assert_int_equal(rule(100)->table, 1000);
	assert_false(rule(101)->is_particular);
	assert_int_equal(rule(101)->action, FIB_RULE_GOTO);
	assert_int_equal(rule(101)->target, 103);
	assert_int_equal(rule(101)->to.len, 16);
	assert_int_equal(rule(101)->to.addr.net, inet_addr("198.19.0.0"));
	assert_true(rule(102)->is_particular);
	assert_int_equal(rule(102)->action, FIB_RULE_REFUSE);
	assert_int_equal(rule(102)->refusal, FIB_PROHIBIT);
	assert_int_equal(rule(103)->suppress_len, 0);
	settle();
	n_told = 0;
	assert_true(shell("ip rule del priority 101"));
	run_until(has_fewer_rules);
	settle();
	assert_int_equal(n_told, 1);
}

/* --- many, and too much ----------------------------------------------------------------------- */

static bool has_many(void)
{
	return route_view(table).n_routes > MANY && find("198.18.7.7", 32, .metric = 5);
}

static bool has_few(void)
{
	return route_view(table).n_routes < 100 && !find("198.18.7.7", 32, .metric = 5);
}

static void lost_notifications_lead_to_a_dump(void **state)
{
	open_table();
	/* While we do not listen. */
	assert_true(shell("awk 'BEGIN { for (i = 0; i < %d; i++) print \"route add 10.\" "
			  "int(i / 65536) \".\" int(i / 256) %% 256 \".\" i %% 256 \"/32 via "
			  "198.18.1.2\"; print \"route add 198.18.7.7/32 dev mcrta metric 5\" }' |"
			  "ip -batch -",
			  MANY));
	run_until(has_many);
	settle();
	assert_true(route_counts(table).overruns > 0);
	assert_int_equal(route_counts(table).refused, 0);
	assert_true(n_told < 50);
	print_message("%zu routes, last dump %lld us, %u calls\n", route_view(table).n_routes,
		      (long long)route_counts(table).last_dump_us, n_told);
	assert_true(shell("ip route flush via 198.18.1.2 && ip route del 198.18.7.7/32 metric 5"));
	run_until(has_few);
}

/* A view as a text without order, to be compared. */
static unsigned long long fingerprint(const struct route_table *t)
{
	struct fib_view v = route_view(t);
	unsigned long long sum = v.n_routes;

	for (size_t i = 0; i < v.n_routes; i++) {
		const struct fib_route *r = &v.routes[i];
		unsigned before = 0;
		unsigned long long h;

		for (size_t k = 0; k < v.n_routes; k++)
			before += ip4_equal(v.routes[k].dst.addr, r->dst.addr) &&
				  v.routes[k].dst.len == r->dst.len &&
				  v.routes[k].table == r->table &&
				  v.routes[k].metric == r->metric && v.routes[k].rank < r->rank;
		h = r->dst.addr.net * 31ull + r->dst.len;
		h = h * 1000003 + r->table * 77 + r->metric;
		h = h * 1000003 + r->type * 64ull + r->protocol;
		h = h * 1000003 + before * 16ull + r->n_hops;
		for (unsigned n = 0; n < r->n_hops; n++)
			h = h * 1000003 + v.hops[r->first_hop + n].ifindex +
			    v.hops[r->first_hop + n].via.net * 131ull;
		sum += (h ^ h >> 31) * 0x9e3779b97f4a7c15u;
	}
	return sum;
}

static void ignore_change(void *arg, struct mtime now)
{
}

static bool is_as_new(void)
{
	struct route_table *fresh = NULL;
	unsigned long long a, b;

	assert_int_equal(route_open(&fresh, loop, ignore_change, NULL), 0);
	a = fingerprint(table);
	b = fingerprint(fresh);
	route_close(fresh);
	return a == b;
}

/* One of a few prefixes, so that all that can happen to one does. */
static void random_change(FILE *batch, unsigned *seed)
{
	static const char *const verbs[] = { "add", "append", "prepend", "replace", "del", "del" };
	unsigned a = rand_r(seed), b = rand_r(seed);

	if (a % 41 == 0)
		fprintf(batch, "link set mcrt%c %s\n", a % 2 ? 'a' : 'c', b % 2 ? "up" : "down");
	else if (a % 41 == 1)
		fprintf(batch, "addr %s 198.18.%u.1/24 dev mcrt%c\n", b % 2 ? "add" : "del",
			a % 2 ? 1 : 2, a % 2 ? 'a' : 'c');
	else
		fprintf(batch, "route %s 198.19.%u.0/24 %s198.18.%u.%u metric %u\n", verbs[a % 6],
			a / 7 % 3, b % 5 ? "via " : "dev mcrta src ", 1 + b / 5 % 2,
			b % 5 ? 2 + b / 11 % 3 : 1, b / 37 % 2);
}

/* Whatever happens, in whatever order it is heard of: in the end it is what a fresh dump says. */
static void random_changes_end_as_a_fresh_dump(void **state)
{
	unsigned seed = 20261127;

	open_table();
	for (int round = 0; round < 25; round++) {
		FILE *batch = popen("ip -force -batch - >/dev/null 2>&1", "w");

		assert_non_null(batch);
		for (int i = 0; i < 60; i++)
			random_change(batch, &seed);
		pclose(batch);
		if (round % 2)
			settle();
		run_until(is_as_new);
	}
	assert_true(route_counts(table).dumps > 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_first_dump_is_complete),
		T(routes_come_change_and_go),
		T(routes_that_lead_nowhere),
		T(several_hops_and_those_of_another_family),
		T(next_hop_objects),
		T(routes_vanish_with_links_and_addresses),
		T(several_routes_of_one_prefix_keep_their_order),
		T(rules_come_and_go),
		T(lost_notifications_lead_to_a_dump),
		T(random_changes_end_as_a_fresh_dump),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
