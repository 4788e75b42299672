/* SPDX-License-Identifier: MIT */
/* Routes and next hop objects in memory, without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <linux/nexthop.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/nexthop.h"
#include "edge/routestore.h"

#define MAX 5000

static struct routestore store;
static struct nexthops objects;

static int setup(void **state)
{
	routestore_init(&store, MAX);
	return 0;
}

static int teardown(void **state)
{
	routestore_fini(&store);
	nexthops_fini(&objects);
	return 0;
}

/* The route number `n`; each has 1 to 4 hops over interface `n`, with addresses from `via` on. */
static struct fib_route route(uint32_t n, uint32_t via, struct fib_hop hops[4])
{
	struct fib_route r = { .dst = { ip4_from_host(n << 8), 24 }, .table = FIB_TABLE_MAIN };

	r.n_hops = (uint16_t)(1 + (n + via) % 4);
	for (uint32_t i = 0; i < r.n_hops; i++)
		hops[i] = (struct fib_hop){ .ifindex = 1 + n, .via = ip4_from_host(via + i) };
	return r;
}

static void put(uint32_t n, uint32_t via, bool replaces)
{
	struct fib_hop hops[4];
	struct fib_route r = route(n, via, hops);

	routestore_put(&store, &r, hops, 0, replaces);
}

static void del(uint32_t n, uint32_t via)
{
	struct fib_hop hops[4];
	struct fib_route r = route(n, via, hops);

	routestore_del(&store, &r, hops);
}

/* The `via` of a route, 0 = it is not there. Its hops must be whole. */
static uint32_t via_of(uint32_t n)
{
	for (uint32_t i = 0; i < store.n; i++) {
		const struct fib_route *r = &store.routes[i];
		const struct fib_hop *hop = &store.hops[r->first_hop];

		if (ip4_host(r->dst.addr) != n << 8)
			continue;
		assert_in_range(r->first_hop + r->n_hops, 0, store.n_hops);
		for (uint32_t k = 0; k < r->n_hops; k++) {
			assert_int_equal(hop[k].ifindex, 1 + n);
			assert_int_equal(ip4_host(hop[k].via), ip4_host(hop->via) + k);
		}
		return ip4_host(hop->via);
	}
	return 0;
}

/* Random changes against an array; hops move when the gaps between them are closed. */
static void random_changes_leave_what_they_say(void **state)
{
	static uint32_t model[400];
	unsigned seed = 3;

	memset(model, 0, sizeof(model));
	for (int i = 0; i < 60000; i++) {
		uint32_t n = (uint32_t)rand_r(&seed) % 400, via = 1 + (uint32_t)rand_r(&seed) % 9;

		if (rand_r(&seed) % 3 == 0) {
			del(n, model[n]);
			model[n] = 0;
		} else {
			put(n, via, true);
			model[n] = via;
		}
		if (i % 1000)
			continue;
		for (n = 0; n < 400; n++)
			assert_int_equal(via_of(n), model[n]);
	}
	assert_false(store.is_confused);
	assert_int_equal(store.refused, 0);
	assert_true(store.n_hops < 20000); /* gaps do not pile up */
}

static void what_is_beyond_the_limit_is_counted(void **state)
{
	for (uint32_t n = 0; n < MAX + 7; n++)
		put(n, 1, false);
	assert_int_equal(store.n, MAX);
	assert_int_equal(store.refused, 7);
	put(3, 2, true); /* those that are there may change */
	assert_int_equal(via_of(3), 2);
}

static void a_dump_sweeps_only_when_it_is_whole(void **state)
{
	put(1, 1, false);
	put(2, 1, false);
	routestore_begin(&store);
	put(2, 1, false);
	routestore_end(&store, false);
	assert_int_equal(store.n, 2);
	store.has_changed = false;
	routestore_begin(&store);
	put(2, 1, false);
	put(1, 1, false);
	routestore_end(&store, true);
	assert_false(store.has_changed);
	routestore_begin(&store);
	put(2, 1, false);
	routestore_end(&store, true);
	assert_int_equal(store.n, 1);
	assert_true(store.has_changed);
	assert_true(routestore_has_interface(&store, 3));
	assert_false(routestore_has_interface(&store, 9));
}

static void what_cannot_be_told_is_said(void **state)
{
	put(1, 1, false);
	put(1, 2, false); /* before or behind the other? */
	assert_true(store.is_confused);
	assert_int_equal(via_of(1), 1);
	store.is_confused = false;
	routestore_begin(&store);
	put(1, 2, false);
	put(1, 1, false);
	routestore_end(&store, true);
	assert_int_equal(store.n, 2);
	put(1, 3, true); /* which of them? */
	assert_true(store.is_confused);
	store.is_confused = false;
	del(1, 7);
	assert_true(store.is_confused);
	store.is_confused = false;
	del(1, 2);
	assert_int_equal(via_of(1), 1);
	assert_false(store.is_confused);
}

static void objects_go_with_their_routes(void **state)
{
	struct fib_hop hops[FIB_HOPS_MAX];
	struct fib_route r = route(1, 3, hops);

	routestore_put(&store, &r, hops, 77, false);
	put(2, 1, false);
	assert_true(routestore_has_objects(&store));
	routestore_del_object(&store, 77);
	assert_int_equal(store.n, 1);
	assert_false(routestore_has_objects(&store));
}

static void groups_stand_for_their_members(void **state)
{
	static struct nexthop_grp many[FIB_HOPS_MAX + 9];
	struct nexthop_object a = { .id = 30, .hop = { .ifindex = 1 } }, group = { .id = 3 };
	struct fib_hop hops[FIB_HOPS_MAX];

	for (unsigned i = 0; i < FIB_HOPS_MAX + 9; i++)
		many[i].id = i % 2 ? 30 : 20;
	nexthops_take_group(&group, many, 2 * sizeof(many[0]) + 3);
	assert_int_equal(group.n_members, 2);
	assert_false(nexthops_put(&objects, &group));
	assert_false(nexthops_put(&objects, &a));
	assert_int_equal(nexthops_find(&objects, 3, hops), -1); /* 20 is not known */
	a.id = 20;
	a.hop.ifindex = 2;
	assert_false(nexthops_put(&objects, &a));
	assert_int_equal(nexthops_find(&objects, 3, hops), 2);
	assert_int_equal(hops[0].ifindex, 2);
	assert_int_equal(hops[1].ifindex, 1);
	assert_false(nexthops_put(&objects, &a)); /* no change */
	a.hop.ifindex = 0;
	assert_true(nexthops_put(&objects, &a));
	assert_int_equal(nexthops_find(&objects, 20, hops), 0); /* a blackhole */
	group.n_members = 0;
	nexthops_take_group(&group, many, sizeof(many));
	assert_int_equal(group.n_members, FIB_HOPS_MAX);
	group.members[0] = 3; /* a group in a group */
	assert_true(nexthops_put(&objects, &group));
	assert_int_equal(nexthops_find(&objects, 3, hops), -1);
	nexthops_del(&objects, 20);
	nexthops_del(&objects, 20);
	assert_int_equal(nexthops_find(&objects, 20, hops), -1);
	assert_int_equal(objects.n, 2);
	for (a.id = 100; a.id < 100 + NEXTHOPS_MAX; a.id++)
		nexthops_put(&objects, &a);
	assert_int_equal(objects.n, NEXTHOPS_MAX);
	assert_int_equal(objects.refused, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(random_changes_leave_what_they_say),	T(what_is_beyond_the_limit_is_counted),
		T(a_dump_sweeps_only_when_it_is_whole), T(what_cannot_be_told_is_said),
		T(objects_go_with_their_routes),	T(groups_stand_for_their_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
