/* SPDX-License-Identifier: MIT */
/* The table of interfaces against a real kernel, in a network namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "edge/netif.h"
#include "../lib/child.h"
#include "../lib/until.h"

#define WAIT_MS	 10000
#define QUIET_MS 50
#define MANY	 320

struct told {
	char name[16];
	uint32_t ifindex;
	bool is_gone;
};

static bool has_netns;
static struct loop *loop;
static struct netif_table *table;
static struct told told[8192];
static unsigned n_told;

static void on_netif(void *arg, struct mtime now, const struct netif *ni, bool gone)
{
	struct told *t = &told[n_told++ % 8192];

	snprintf(t->name, sizeof(t->name), "%s", ni->name);
	t->ifindex = ni->ifindex;
	t->is_gone = gone;
	/* What is gone cannot be found any more, what is there can. */
	if (gone)
		assert_true(netif_by_index(table, ni->ifindex) != ni);
	else
		assert_ptr_equal(netif_by_index(table, ni->ifindex), ni);
}

static int enter(void **state)
{
	has_netns = netns_enter();
	return 0;
}

static int setup(void **state)
{
	n_told = 0;
	if (!has_netns)
		return 0;
	return loop_new(&loop);
}

/* Removes all interfaces but loopback. */
static int teardown(void **state)
{
	netif_close(table);
	loop_free(loop);
	table = NULL;
	loop = NULL;
	return has_netns &&
	       !shell("ip -o link | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' | "
		      "while read -r i; do [ $i = lo ] || [ ! -d /proc/sys/net/ipv4/conf/$i ] "
		      "|| ip link del $i; done");
}

static void open_table(void)
{
	if (!has_netns) {
		print_message("needs root for a network namespace\n");
		skip();
	}
	assert_int_equal(netif_open(&table, loop, on_netif, NULL), 0);
	assert_int_equal(n_told, 0);
}

/* --- running the loop until something holds --------------------------------------------------- */

static void run_until(bool (*what)(void), int64_t ms)
{
	assert_true(loop_until(loop, what, ms));
}

/* Lets what is under way arrive. */
static void settle(void)
{
	loop_until(loop, NULL, QUIET_MS);
}

static const struct netif *find(const char *name)
{
	return netif_by_name(table, name);
}

static bool addrs_are(const struct netif *ni, const char *list)
{
	char text[NETIF_ADDRS_MAX * 20] = "", one[IP4_TEXT];

	if (!ni)
		return false;
	for (uint32_t i = 0; i < ni->n_addrs; i++) {
		strcat(text, i ? " " : "");
		strcat(text, ip4_format(ni->addrs[i], one));
	}
	return !strcmp(text, list);
}

/* Whether a callback of this kind has come since n_told was reset. */
static bool was_told(const char *name, bool is_gone)
{
	for (unsigned i = 0; i < n_told; i++)
		if (!strcmp(told[i].name, name) && told[i].is_gone == is_gone)
			return true;
	return false;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_first_dump_is_complete(void **state)
{
	const struct netif *lo, *a;
	unsigned n = 0;

	if (has_netns)
		assert_true(shell(
			"ip link add mcrta numrxqueues 3 mtu 9000 type veth peer name mcrtb &&"
			"ip link set mcrta address 02:00:00:00:00:11 &&"
			"ip addr add 198.18.1.1/24 dev mcrta"));
	open_table();
	lo = find("lo");
	a = find("mcrta");
	assert_non_null(lo);
	assert_non_null(a);
	assert_true(lo->is_loopback && lo->is_up && !lo->is_ethernet);
	assert_true(addrs_are(lo, "127.0.0.1"));
	assert_false(a->is_loopback);
	assert_true(a->is_ethernet);
	assert_false(a->is_up);
	assert_false(a->has_qdisc);
	assert_int_equal(a->mtu, 9000);
	assert_int_equal(a->rx_queues, 3);
	assert_memory_equal(a->mac, "\x02\0\0\0\0\x11", 6);
	assert_true(addrs_are(a, "198.18.1.1"));
	assert_int_equal(a->ifindex, if_nametoindex("mcrta"));
	for (const struct netif *ni = NULL; (ni = netif_next(table, ni));)
		n++;
	assert_int_equal(n, 3);
	assert_null(find("mcrtc"));
	assert_null(netif_by_index(table, 12345));
}

static bool a_is_up(void)
{
	return find("mcrta") && find("mcrta")->is_up && find("mcrtb")->is_up;
}

static bool a_is_down(void)
{
	return !find("mcrta")->is_up;
}

static bool a_is_gone(void)
{
	return !find("mcrta") && !find("mcrtb");
}

static void interfaces_appear_change_and_vanish(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb && ip link set mcrta up"));
	settle();
	assert_false(find("mcrta")->is_up); /* no carrier: the other end is down */
	assert_true(shell("ip link set mcrtb up"));
	run_until(a_is_up, WAIT_MS);
	assert_true(shell("ip link set mcrtb down"));
	run_until(a_is_down, WAIT_MS);
	n_told = 0;
	assert_true(shell("ip link del mcrta"));
	run_until(a_is_gone, WAIT_MS);
	assert_true(was_told("mcrta", true) && was_told("mcrtb", true));
	settle();
	assert_int_equal(n_told, 2); /* once each */
}

static bool has_three(void)
{
	return addrs_are(find("mcrta"), "198.18.1.1 198.18.2.1 198.18.1.2");
}

static bool has_two_promoted(void)
{
	return addrs_are(find("mcrta"), "198.18.2.1 198.18.1.2");
}

static bool has_none(void)
{
	return addrs_are(find("mcrta"), "");
}

static bool has_all_that_fit(void)
{
	return find("mcrta")->n_addrs == NETIF_ADDRS_MAX;
}

static void the_primary_address_comes_first(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb &&"
			  "echo 1 > /proc/sys/net/ipv4/conf/mcrta/promote_secondaries &&"
			  "ip addr add 198.18.1.1/24 dev mcrta &&"
			  "ip addr add 198.18.1.2/24 dev mcrta &&" /* secondary */
			  "ip addr add 198.18.2.1/24 dev mcrta"));
	run_until(has_three, WAIT_MS);
	assert_true(shell("ip addr del 198.18.1.1/24 dev mcrta"));
	run_until(has_two_promoted, WAIT_MS);
	assert_true(shell("ip addr flush dev mcrta"));
	run_until(has_none, WAIT_MS);
	assert_true(shell("for i in $(seq 1 30); do ip addr add 198.18.$i.1/24 dev mcrta; done"));
	run_until(has_all_that_fit, WAIT_MS);
	assert_int_equal(find("mcrta")->addrs[0].net, inet_addr("198.18.1.1"));
}

static bool peer_address_is_known(void)
{
	return addrs_are(find("mcrta"), "198.18.9.1");
}

static void of_a_pair_of_addresses_ours_is_taken(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb &&"
			  "ip addr add 198.18.9.1 peer 198.18.9.2/32 dev mcrta"));
	run_until(peer_address_is_known, WAIT_MS);
}

static bool is_renamed(void)
{
	return find("mcrtx") && find("mcrta") && find("mcrta")->mtu == 1400;
}

static void names_move_between_interfaces(void **state)
{
	uint32_t old;

	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb"));
	settle();
	old = find("mcrta")->ifindex;
	n_told = 0;
	assert_true(shell("ip link set mcrta name mcrtx && ip link add mcrta mtu 1400 type veth"));
	run_until(is_renamed, WAIT_MS);
	assert_int_equal(find("mcrtx")->ifindex, old);
	assert_int_not_equal(find("mcrta")->ifindex, old);
	assert_true(was_told("mcrtx", false));
	assert_true(was_told("mcrta", true)); /* who knows it by its name has lost it */
	assert_true(was_told("mcrta", false));
}

static uint32_t previous_index;

static bool is_recreated(void)
{
	return find("mcrta") && find("mcrta")->ifindex != previous_index;
}

static bool has_mtu_1300(void)
{
	return find("mcrta") && find("mcrta")->mtu == 1300;
}

static void a_recreated_interface_is_another_one(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb &&"
			  "ip addr add 198.18.1.1/24 dev mcrta"));
	settle();
	previous_index = find("mcrta")->ifindex;
	n_told = 0;
	assert_true(shell("ip link del mcrta && ip link add mcrta type veth peer name mcrtb"));
	run_until(is_recreated, WAIT_MS);
	assert_int_equal(find("mcrta")->n_addrs, 0);
	assert_true(was_told("mcrta", true) && was_told("mcrta", false));
	assert_int_equal(told[0].is_gone + told[1].is_gone, 2); /* ends come first */

	/* The same index again, all within one burst. */
	previous_index = find("mcrta")->ifindex;
	n_told = 0;
	assert_true(shell("ip link del mcrta && ip link add mcrta index %u mtu 1300 type veth",
			  previous_index));
	run_until(has_mtu_1300, WAIT_MS);
	assert_int_equal(find("mcrta")->ifindex, previous_index);
	assert_true(was_told("mcrta", true) && was_told("mcrta", false));
}

static void what_came_and_went_unseen_is_not_told(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb && ip link del mcrta"));
	settle();
	assert_int_equal(n_told, 0);
}

static bool has_gso(void)
{
	return find("mcrta") && find("mcrta")->has_udp_gso;
}

static bool has_no_gso(void)
{
	return !has_gso();
}

static void segmentation_follows_ethtool(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb"));
	run_until(has_gso, WAIT_MS);
	n_told = 0;
	assert_true(shell("ethtool -K mcrta tx-udp-segmentation off"));
	run_until(has_no_gso, WAIT_MS);
	assert_true(was_told("mcrta", false));
	assert_true(shell("ethtool -K mcrta tx-udp-segmentation on"));
	run_until(has_gso, WAIT_MS);
}

static bool has_queue(void)
{
	return find("mcrta")->has_qdisc;
}

static bool has_no_queue(void)
{
	return !has_queue();
}

static void queueing_follows_tc(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb && ip link set mcrta up &&"
			  "ip link set mcrtb up"));
	run_until(a_is_up, WAIT_MS);
	assert_false(find("mcrta")->has_qdisc);
	n_told = 0;
	assert_true(shell("tc qdisc replace dev mcrta root pfifo"));
	run_until(has_queue, WAIT_MS);
	assert_true(was_told("mcrta", false));
	assert_true(shell("tc qdisc del dev mcrta root"));
	run_until(has_no_queue, WAIT_MS);
}

static bool has_changed(void)
{
	const struct netif *ni = find("mcrta");

	return ni->mtu == 1200 && !memcmp(ni->mac, "\x02\0\0\0\0\x22", 6);
}

/* Datagrams out of mcrta, whose address is 198.18.1.1. */
static void send_multicast(int n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct in_addr from = { inet_addr("198.18.1.1") };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = inet_addr("239.1.1.1");
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	close(fd);
}

static void counters_are_read_on_demand_and_are_no_change(void **state)
{
	struct netif ni = { 0 };
	uint64_t before;

	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb && ip link set mcrta up &&"
			  "ip link set mcrtb up && ip addr add 198.18.1.1/24 dev mcrta"));
	run_until(a_is_up, WAIT_MS);
	assert_true(shell("ip link set mcrta mtu 1200 address 02:00:00:00:00:22"));
	run_until(has_changed, WAIT_MS);
	settle();
	n_told = 0;
	assert_int_equal(netif_refresh(table, find("mcrta")->ifindex, &ni), 0);
	before = ni.tx_packets;
	send_multicast(7);
	assert_int_equal(netif_refresh(table, find("mcrta")->ifindex, &ni), 0);
	assert_true(ni.tx_packets >= before + 7);
	assert_string_equal(ni.name, "mcrta");
	assert_true(addrs_are(&ni, "198.18.1.1"));
	assert_int_equal(find("mcrta")->tx_packets, ni.tx_packets);
	settle();
	assert_int_equal(n_told, 0);
	assert_int_equal(netif_refresh(table, 12345, &ni), -ENODEV);
}

static bool port_is_in_bridge_and_out(void)
{
	return find("mcrta")->mtu == 1300;
}

static void a_port_that_leaves_its_bridge_has_not_vanished(void **state)
{
	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb &&"
			  "ip link add mcrtbr type bridge"));
	settle();
	n_told = 0;
	assert_true(shell("ip link set mcrta master mcrtbr && ip link set mcrta nomaster &&"
			  "ip link set mcrta mtu 1300"));
	run_until(port_is_in_bridge_and_out, WAIT_MS);
	assert_false(was_told("mcrta", true));
}

/* --- many, and too much ----------------------------------------------------------------------- */

static bool many_are_up(void)
{
	char name[64], addr[64];

	for (int i = 0; i < MANY / 2; i++) {
		const struct netif *ni;

		snprintf(name, sizeof(name), "mcrta%d", i);
		snprintf(addr, sizeof(addr), "198.18.%d.1 198.19.%d.1", i, i);
		ni = find(name);
		if (!ni || !ni->is_up || !addrs_are(ni, addr))
			return false;
	}
	return true;
}

static bool many_are_gone(void)
{
	return !netif_next(table, netif_next(table, NULL));
}

static void hundreds_of_interfaces_are_fine(void **state)
{
	unsigned n = 0;

	open_table();
	assert_true(shell("for i in $(seq 0 %d); do "
			  "echo link add mcrta$i type veth peer name mcrtb$i; "
			  "echo addr add 198.18.$i.1/24 dev mcrta$i; "
			  "echo addr add 198.19.$i.1/24 dev mcrta$i; "
			  "echo link set mcrta$i up; echo link set mcrtb$i up; "
			  "done | ip -batch -",
			  MANY / 2 - 1));
	run_until(many_are_up, WAIT_MS);
	for (const struct netif *ni = NULL; (ni = netif_next(table, ni)); n++)
		assert_ptr_equal(find(ni->name), ni);
	assert_int_equal(n, MANY + 1);
	assert_true(shell("for i in $(seq 0 %d); do echo link del mcrta$i; done | ip -batch -",
			  MANY / 2 - 1));
	run_until(many_are_gone, WAIT_MS);
}

static bool is_at_last_mtu(void)
{
	return find("mcrta") && find("mcrta")->mtu == 1501 && !find("mcrtb9") && find("mcrtc") &&
	       addrs_are(find("mcrtc"), "198.18.3.1");
}

/* Notifications are lost, among them ends, beginnings and addresses; the table is right anyway. */
static void lost_notifications_lead_to_a_dump(void **state)
{
	struct ifreq ifr = { .ifr_name = "mcrta" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	open_table();
	assert_true(shell("ip link add mcrta type veth peer name mcrtb &&"
			  "ip link add mcrta9 type veth peer name mcrtb9"));
	settle();
	for (int i = 0; i < 12000; i++) {
		ifr.ifr_mtu = 1400 + i % 2;
		assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
	}
	ifr.ifr_mtu = 1501;
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
	close(fd);
	assert_true(shell("ip link del mcrta9 && ip link add mcrtc type veth peer name mcrtd &&"
			  "ip addr add 198.18.3.1/24 dev mcrtc"));
	n_told = 0;
	run_until(is_at_last_mtu, WAIT_MS);
	assert_true(netif_overruns(table) > 0);
	assert_true(was_told("mcrta9", true) && was_told("mcrtb9", true));
	assert_true(was_told("mcrtc", false));
	/* A coalesced dump, not one a notification. */
	assert_true(n_told < 200);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_first_dump_is_complete),
		T(interfaces_appear_change_and_vanish),
		T(the_primary_address_comes_first),
		T(of_a_pair_of_addresses_ours_is_taken),
		T(names_move_between_interfaces),
		T(a_recreated_interface_is_another_one),
		T(what_came_and_went_unseen_is_not_told),
		T(segmentation_follows_ethtool),
		T(queueing_follows_tc),
		T(counters_are_read_on_demand_and_are_no_change),
		T(a_port_that_leaves_its_bridge_has_not_vanished),
		T(hundreds_of_interfaces_are_fine),
		T(lost_notifications_lead_to_a_dump),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
