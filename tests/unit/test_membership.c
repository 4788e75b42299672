/* SPDX-License-Identifier: MIT */
/* Joins, as /proc/net/igmp and /proc/net/mcfilter show them, in a network namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "edge/membership.h"
#include "../lib/child.h"

static const struct ip4 any = { 0 };
static bool has_netns;
static uint32_t a, b; /* indices of the interfaces mcrta and mcrtb */
static struct membership *m;

static int enter(void **state)
{
	has_netns = netns_enter();
	return 0;
}

static int setup(void **state)
{
	if (!has_netns)
		return membership_new(&m);
	if (!shell("ip link add mcrta type veth peer name mcrtb && ip link set mcrta up &&"
		   "ip link set mcrtb up"))
		return -1;
	a = if_nametoindex("mcrta");
	b = if_nametoindex("mcrtb");
	return membership_new(&m);
}

static int teardown(void **state)
{
	membership_free(m);
	m = NULL;
	return has_netns && !shell("ip link del mcrta");
}

static void skip_unless_netns(void)
{
	if (!has_netns) {
		print_message("needs root for a network namespace\n");
		skip();
	}
}

/* 239.x.y.z, counted up. */
static struct ip4 group(unsigned n)
{
	return (struct ip4){ htonl(0xef000100u + n) };
}

static struct ip4 source(unsigned n)
{
	return (struct ip4){ htonl(0xc6120000u + n + 1) }; /* 198.18.0.1 … */
}

/* How many groups beyond 224.0.0.1 the kernel has joined on an interface. */
static unsigned igmp_groups(const char *name)
{
	char line[256], device[32];
	bool is_inside = false;
	unsigned n = 0, index;
	FILE *f = fopen("/proc/net/igmp", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %31s", &index, device) == 2 && line[0] != '\t')
			is_inside = !strcmp(device, name);
		else if (is_inside && !strstr(line, "010000E0"))
			n++;
	}
	fclose(f);
	return n;
}

/* Sources of a group on an interface that somebody includes, or that are only excluded. */
static unsigned mcfilter_sources(const char *name, struct ip4 g, bool only_excluded)
{
	unsigned n = 0, included, excluded;
	char line[256], device[32], mca[32], want[32];
	FILE *f = fopen("/proc/net/mcfilter", "re");

	assert_non_null(f);
	snprintf(want, sizeof(want), "0x%08x", ntohl(g.net));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d %31s %31s %*s %u %u", device, mca, &included, &excluded) ==
			    4 &&
		    !strcmp(device, name) && !strcasecmp(mca, want) &&
		    (only_excluded ? excluded && !included : included))
			n++;
	fclose(f);
	return n;
}

static void joins_beyond_the_limit_of_a_socket_take_more_sockets(void **state)
{
	skip_unless_netns();
	for (unsigned i = 0; i < 250; i++)
		assert_int_equal(membership_join(m, a, group(i), any), 0);
	assert_int_equal(membership_count(m), 250);
	assert_int_equal(membership_sockets(m), 13); /* 20 each, the kernel's default */
	assert_int_equal(igmp_groups("mcrta"), 250);
	assert_int_equal(igmp_groups("mcrtb"), 0);
	for (unsigned i = 0; i < 250; i += 2)
		membership_leave(m, a, group(i), any);
	assert_int_equal(igmp_groups("mcrta"), 125);
	/* The places that are free now are used before new sockets are made. */
	for (unsigned i = 1000; i < 1125; i++)
		assert_int_equal(membership_join(m, a, group(i), any), 0);
	assert_int_equal(membership_sockets(m), 13);
	assert_int_equal(igmp_groups("mcrta"), 250);
	membership_free(m);
	m = NULL;
	assert_int_equal(igmp_groups("mcrta"), 0);
	assert_int_equal(membership_new(&m), 0);
}

static void a_join_is_left_when_the_last_reference_goes(void **state)
{
	skip_unless_netns();
	assert_int_equal(membership_join(m, a, group(1), any), 0);
	assert_int_equal(membership_join(m, a, group(1), any), 0);
	assert_int_equal(membership_join(m, b, group(1), any), 0);
	assert_int_equal(membership_count(m), 2);
	membership_leave(m, a, group(1), any);
	assert_int_equal(igmp_groups("mcrta"), 1);
	membership_leave(m, a, group(1), any);
	assert_int_equal(igmp_groups("mcrta"), 0);
	assert_int_equal(igmp_groups("mcrtb"), 1);
	membership_leave(m, a, group(1), any); /* once too often */
	membership_leave(m, b, group(1), any);
	assert_int_equal(membership_count(m), 0);
	assert_int_equal(membership_sockets(m), 0);
}

static void source_specific_joins_filter_and_do_not_disturb_others(void **state)
{
	skip_unless_netns();
	/* First, for the kernel lists nothing when the newest group of a device has no sources. */
	assert_int_equal(membership_join(m, a, group(8), any), 0);
	/* More sources than one socket may have for a group (igmp_max_msf is 10). */
	for (unsigned i = 0; i < 25; i++)
		assert_int_equal(membership_join(m, a, group(7), source(i)), 0);
	assert_int_equal(igmp_groups("mcrta"), 2);
	assert_int_equal(mcfilter_sources("mcrta", group(7), false), 25);
	assert_int_equal(mcfilter_sources("mcrta", group(8), false), 0);
	for (unsigned i = 0; i < 24; i++)
		membership_leave(m, a, group(7), source(i));
	assert_int_equal(mcfilter_sources("mcrta", group(7), false), 1);
	/* Any source beside a specific one, for the same group: two sockets, both count. */
	assert_int_equal(membership_join(m, a, group(7), any), 0);
	assert_int_equal(igmp_groups("mcrta"), 2);
	membership_leave(m, a, group(7), any);
	assert_int_equal(mcfilter_sources("mcrta", group(7), false), 1);
	membership_leave(m, a, group(7), source(24));
	assert_int_equal(igmp_groups("mcrta"), 1);
}

static void sources_are_blocked_until_they_are_not_or_another_join_wants_them(void **state)
{
	skip_unless_netns();
	assert_int_equal(membership_block(m, a, group(7), source(1)), -ENOENT);
	assert_int_equal(membership_join(m, a, group(7), any), 0);
	assert_int_equal(membership_block(m, b, group(7), source(1)), -ENOENT);
	assert_int_equal(membership_block(m, a, group(7), source(1)), 0);
	assert_int_equal(membership_block(m, a, group(7), source(2)), 0);
	assert_int_equal(mcfilter_sources("mcrta", group(7), true), 2);
	assert_int_equal(membership_join(m, a, group(7), source(2)), 0);
	assert_int_equal(mcfilter_sources("mcrta", group(7), true), 1);
	membership_unblock(m, a, group(7), source(1));
	assert_int_equal(mcfilter_sources("mcrta", group(7), true), 0);
	membership_leave(m, a, group(7), source(2));
	assert_int_equal(mcfilter_sources("mcrta", group(7), true), 1);
	for (unsigned i = 10; i < 19; i++) /* igmp_max_msf is 10 */
		assert_int_equal(membership_block(m, a, group(7), source(i)), 0);
	assert_int_equal(membership_block(m, a, group(7), source(20)), -ENOBUFS);
	membership_leave(m, a, group(7), any); /* and with it all of these */
	assert_int_equal(membership_join(m, a, group(7), any), 0);
	assert_int_equal(mcfilter_sources("mcrta", group(7), true), 0);
}

static void two_hundred_source_specific_groups_work(void **state)
{
	skip_unless_netns();
	for (unsigned i = 0; i < 220; i++)
		assert_int_equal(membership_join(m, a, group(i), source(i)), 0);
	assert_int_equal(membership_sockets(m), 11);
	assert_int_equal(igmp_groups("mcrta"), 220);
	for (unsigned i = 0; i < 220; i++)
		assert_int_equal(mcfilter_sources("mcrta", group(i), false), 1);
	for (unsigned i = 0; i < 220; i++)
		membership_leave(m, a, group(i), source(i));
	assert_int_equal(igmp_groups("mcrta"), 0);
	assert_int_equal(membership_sockets(m), 0);
}

static void a_limit_lowered_later_is_met_with_more_sockets(void **state)
{
	skip_unless_netns();
	assert_true(shell("echo 5 > /proc/sys/net/ipv4/igmp_max_memberships"));
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(membership_join(m, a, group(i), any), 0);
	assert_int_equal(igmp_groups("mcrta"), 60);
	assert_true(shell("echo 20 > /proc/sys/net/ipv4/igmp_max_memberships"));
}

static void no_memberships_at_all_is_told(void **state)
{
	skip_unless_netns();
	assert_true(shell("echo 0 > /proc/sys/net/ipv4/igmp_max_memberships"));
	assert_int_equal(membership_join(m, a, group(1), any), -ENOBUFS);
	assert_int_equal(membership_count(m), 0);
	assert_int_equal(membership_sockets(m), 0);
	assert_true(shell("echo 20 > /proc/sys/net/ipv4/igmp_max_memberships"));
	assert_int_equal(membership_join(m, a, group(1), any), 0);
}

static void what_cannot_be_joined_is_refused(void **state)
{
	assert_true(membership_join(m, 0, group(1), any) == -ENODEV);
	assert_true(membership_join(m, 999999, group(1), any) == -ENODEV);
	assert_true(membership_join(m, 999999, group(1), source(1)) == -ENODEV);
	skip_unless_netns();
	assert_int_equal(membership_join(m, a, source(1), any), -EINVAL);
	assert_int_equal(membership_join(m, a, source(1), source(2)), -EINVAL);
	assert_int_equal(membership_count(m), 0);
	assert_int_equal(membership_sockets(m), 0);
}

static void an_interface_that_comes_back_is_joined_anew(void **state)
{
	skip_unless_netns();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(membership_join(m, a, group(i), any), 0);
		assert_int_equal(membership_join(m, a, group(i), source(1)), 0);
		assert_int_equal(membership_join(m, a, group(i), source(2)), 0);
	}
	assert_int_equal(membership_join(m, 1, group(1), any), 0);	 /* loopback stays, */
	assert_int_equal(membership_join(m, 1, group(1), source(1)), 0); /* and its sockets */
	/* Without the device the kernel is less helpful in leaving, see shard_leave. */
	assert_true(shell("ip link del mcrta"));
	membership_forget(m, a);
	assert_true(shell("ip link add mcrta index %u type veth peer name mcrtb &&"
			  "ip link set mcrta up",
			  a));
	assert_int_equal(membership_count(m), 2);
	assert_int_equal(membership_sockets(m), 2);
	for (unsigned i = 0; i < 19; i++) { /* the places of the forgotten ones are free */
		assert_int_equal(membership_join(m, a, group(i), any), 0);
		assert_int_equal(membership_join(m, a, group(i), source(1)), 0);
	}
	assert_int_equal(membership_sockets(m), 2);
	assert_int_equal(igmp_groups("mcrta"), 19);
	for (unsigned i = 0; i < 19; i++)
		assert_int_equal(mcfilter_sources("mcrta", group(i), false), 1);
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void ten_thousand_joins_are_quick_enough(void **state)
{
	struct rlimit files = { 4096, 4096 };
	double begin;

	skip_unless_netns();
	setrlimit(RLIMIT_NOFILE, &files);
	begin = seconds_now();
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(membership_join(m, i % 2 ? a : b, group(i), any), 0);
	assert_int_equal(membership_count(m), 10000);
	assert_int_equal(membership_sockets(m), 500);
	assert_int_equal(igmp_groups("mcrta"), 5000);
	for (unsigned i = 0; i < 10000; i++)
		membership_leave(m, i % 2 ? a : b, group(i), any);
	assert_true(seconds_now() - begin < 20); /* about a second, most of it the kernel's */
	assert_int_equal(membership_sockets(m), 0);
	assert_int_equal(igmp_groups("mcrta"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(joins_beyond_the_limit_of_a_socket_take_more_sockets),
		T(a_join_is_left_when_the_last_reference_goes),
		T(source_specific_joins_filter_and_do_not_disturb_others),
		T(sources_are_blocked_until_they_are_not_or_another_join_wants_them),
		T(two_hundred_source_specific_groups_work),
		T(a_limit_lowered_later_is_met_with_more_sockets),
		T(no_memberships_at_all_is_told),
		T(what_cannot_be_joined_is_refused),
		T(an_interface_that_comes_back_is_joined_anew),
		T(ten_thousand_joins_are_quick_enough),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
