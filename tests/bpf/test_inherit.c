/* SPDX-License-Identifier: MIT */
/*
 * Egress sets, and what a process that died has left in the kernel: it goes on, it is taken over,
 * and what it says is a stranger's word.
 */
#include "replicate.h"

/* --- egress sets -------------------------------------------------------------------------------
 */

static uint32_t set_get(struct plane *p, const uint32_t *list, unsigned n)
{
	struct diag d = { 0 };
	uint32_t set;

	if (plane_set_get(p, list, n, &set, &d))
		fail_msg("%s", d.what);
	return set;
}

static unsigned set_members(struct plane *p, uint32_t set)
{
	struct bpf_devmap_val value;
	unsigned n = 0;

	for (uint32_t i = 0; i < MCR_MAX_OUTPUTS; i++)
		n += !bpf_map_lookup_elem(p->sets.all[set].fd, &i, &value) && value.ifindex;
	return n;
}

static void the_same_outputs_share_a_set(void **state)
{
	struct plane *p = open_plane();
	uint32_t a = set_get(p, out_ifindexes, 3), b = set_get(p, out_ifindexes, 4);

	assert_int_not_equal(a, b);
	assert_int_equal(set_get(p, out_ifindexes, 3), a);
	assert_int_not_equal(set_get(p, out_ifindexes + 1, 3), a);
	assert_int_equal(set_members(p, a), 3);
	plane_set_put(p, a);
	for (int i = 0; i < 5; i++)
		plane_sets_tick(p);
	assert_int_equal(set_members(p, a), 3); /* one still has it */
	plane_set_put(p, a);
	plane_sets_tick(p);
	assert_int_equal(set_members(p, a), 3); /* frames may be on their way */
	assert_int_equal(set_get(p, out_ifindexes, 3), a);
	plane_set_put(p, a);
	for (int i = 0; i < PLANE_COOL_TICKS; i++)
		plane_sets_tick(p);
	assert_int_equal(set_members(p, a), 0);
	plane_close(p);
}

/* Of each size one is at hand from the first on: it is no larger than it must be. */
static void sets_have_sizes(void **state)
{
	static const unsigned counts[] = { 1, 2, 4, 5, 16, 17, 64 };
	static const unsigned sizes[] = { 1, 4, 4, 16, 16, 64, 64 };
	struct plane *p = open_plane();
	uint32_t set;

	for (size_t i = 0; i < 7; i++) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);

		set = set_get(p, out_ifindexes, counts[i]);
		assert_int_equal(bpf_obj_get_info_by_fd(p->sets.all[set].fd, &info, &len), 0);
		assert_int_equal(info.max_entries, sizes[i]);
		assert_int_equal(set_members(p, set), counts[i]);
	}
	assert_int_equal(plane_set_get(p, out_ifindexes, 0, &set, NULL), -EINVAL);
	assert_int_equal(plane_set_get(p, out_ifindexes, MCR_MAX_OUTPUTS + 1, &set, NULL), -EINVAL);
	plane_set_put(p, MCR_MAX_SETS); /* nobody's */
	plane_close(p);
}

/* Different lists without end: pairs of outputs, in both orders. */
static void pair_of(unsigned i, uint32_t list[2])
{
	list[0] = out_ifindexes[i / OUTPUTS];
	list[1] = out_ifindexes[i % OUTPUTS];
}

static void sets_grow_to_the_limit_and_come_back(void **state)
{
	struct plane *p = open_plane();
	struct diag d = { 0 };
	uint32_t list[2], set, n = 0;
	static uint32_t sets[MCR_MAX_SETS];

	for (; n < MCR_MAX_SETS; n++) {
		pair_of(n, list);
		if (plane_set_get(p, list, 2, &sets[n], &d))
			break;
	}
	assert_int_equal(n, MCR_MAX_SETS);
	assert_int_equal(plane_set_get(p, out_ifindexes, 3, &set, &d), -ENOSPC);
	assert_int_equal(d.code, E_LIMIT);
	for (unsigned i = 0; i < n; i++)
		plane_set_put(p, sets[i]);
	for (int i = 0; i < PLANE_COOL_TICKS; i++)
		plane_sets_tick(p);
	for (unsigned i = 0; i < n; i++) {
		pair_of(n - 1 - i, list);
		assert_int_equal(plane_set_get(p, list, 2, &sets[i], &d), 0);
	}
	plane_close(p);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* To write the outer map waits for the kernel; who needs one set at a time never does. */
static void one_more_set_waits_for_nobody(void **state)
{
	struct plane *p = open_plane();
	struct mcr_rule none = { 0 };
	uint64_t waits = 0;

	for (unsigned i = 0; i < 100; i++) {
		uint32_t before = p->sets.n_made, list[2];
		uint64_t start = now_us();

		pair_of(i, list);
		set_get(p, list, 2);
		waits += p->sets.n_made != before;
		none.rule += (uint32_t)(now_us() - start);
		plane_sets_tick(p); /* as a second passes */
	}
	print_message("100 sets, one a tick: %u us in all\n", none.rule);
	assert_int_equal(waits, 0);
	plane_close(p);
}

/* The kernel takes an interface that goes out of all sets: a new one is another, whatever its
 * number. */
static void a_set_is_not_found_when_an_interface_of_it_has_gone(void **state)
{
	struct plane *p = open_plane();
	uint32_t list[2] = { out_ifindexes[0], 0 }, set, next;

	lab_sh("ip link add gone0 type veth peer name gone1 && ip link set gone0 up && "
	       "ip link set gone1 up");
	list[1] = if_nametoindex("gone0");
	set = set_get(p, list, 2);
	assert_int_equal(set_members(p, set), 2);
	lab_sh("ip link del gone0");
	plane_sets_interface_gone(p, list[1]);
	assert_int_equal(set_members(p, set), 1);
	lab_sh("ip link add gone0 index %u type veth peer name gone1", list[1]);
	next = set_get(p, list, 2);
	assert_int_not_equal(next, set);
	assert_int_equal(set_members(p, next), 2);
	plane_set_put(p, set);
	plane_set_put(p, next);
	for (int i = 0; i < PLANE_COOL_TICKS; i++)
		plane_sets_tick(p);
	assert_int_equal(set_members(p, set), 0);
	lab_sh("ip link del gone0");
	plane_sets_interface_gone(p, list[1]); /* of no set */
	plane_close(p);
}

/* --- what a process that died has left ---------------------------------------------------------
 */

/* Opens a plane in another process, which does `what` and dies without a word. */
static void crash(int (*what)(struct plane *p))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		struct plane *p = NULL;

		_exit(plane_open(&p, LAB_PINS, "test", NULL) || what(p) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int leave_relay(struct plane *p)
{
	return relay_up(p, 3);
}

static uint32_t pinned_map_id(const char *name)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", LAB_PINS, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static bool is_in_ifindex(const void *arg, uint32_t ifindex)
{
	return ifindex == in_ifindex;
}

static bool none_in_use(const void *arg, uint32_t ifindex)
{
	return false;
}

static void frames_go_on_while_nobody_is_there(void **state)
{
	struct packet in = packet_sample();
	uint32_t rules, stats;
	struct plane *p;

	crash(leave_relay);
	rules = pinned_map_id("rules");
	stats = pinned_map_id("rule_stats");
	assert_int_not_equal(rules, 0);
	for (int i = 0; i < 10; i++)
		exchange(&in, 100, 3);
	p = open_plane();
	assert_true(plane_is_inherited(p));
	assert_int_equal(pinned_map_id("rules"), rules);
	assert_int_equal(pinned_map_id("rule_stats"), stats);
	exchange(&in, 100, 3);
	assert_int_equal(rule_stats(p, ROW).replicated, 11);
	assert_true(plane_row_is_inherited(p, ROW));
	assert_true(plane_output_is_inherited(p, OUTPUT_ROW + 2));
	assert_false(plane_output_is_inherited(p, OUTPUT_ROW + 3));
	assert_int_equal(plane_inherited_slot(p, "in0"), SLOT);
	assert_int_equal(plane_inherited_slot(p, "in1"), -1);
	assert_int_equal(await_xmit(p, 33).dropped, 0);
	plane_leave(p); /* a proper end that leaves it */
	exchange(&in, 100, 3);
	p = open_plane();
	assert_int_equal(await_xmit(p, 36).dropped, 0);
	plane_close(p);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
}

/* In the maps of before: nothing may be told any more, and what was told nobody has read. */
static int leave_told(struct plane *p)
{
	struct mcr_punt_stats *rows = calloc((size_t)p->n_cpus, sizeof(*rows));
	uint32_t zero = 0;
	uint8_t payload[50] = { 0 };
	struct packet unknown = packet_sample();

	unknown.dest = IP(239, 9, 9, 9);
	if (!rows || relay_up(p, 3) || plane_iface_set(p, in_ifindex, SLOT, "in0", ~0u, NULL))
		return -1;
	send_packet(&unknown, payload, sizeof(payload));
	await_seen(p, 1);
	for (int cpu = 0; cpu < p->n_cpus; cpu++)
		rows[cpu].full_at_ns = UINT64_MAX;
	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.punt_stats), &zero, rows, BPF_ANY);
}

static void count_told(void *arg, const struct mcr_punt *punt)
{
	assert_int_equal(punt->kind, MCR_PUNT_no_rule);
	assert_int_equal(punt->ifindex, in_ifindex);
	++*(unsigned *)arg;
}

static void what_is_told_begins_anew(void **state)
{
	struct packet unknown = packet_sample();
	uint32_t events, rules;
	uint8_t payload[50] = { 0 };
	struct plane_attached info;
	unsigned n = 0;
	struct plane *p;

	crash(leave_told);
	events = pinned_map_id("events");
	rules = pinned_map_id("rules");
	p = open_plane();
	assert_true(plane_is_inherited(p));
	assert_int_equal(pinned_map_id("rules"), rules);
	assert_int_not_equal(pinned_map_id("events"), events);
	assert_int_equal(plane_punts(p, 16, count_told, &n), 0);
	assert_int_equal(plane_attach(p, in_ifindex, "in0", &info, NULL), 0);
	unknown.dest = IP(239, 9, 9, 9);
	send_packet(&unknown, payload, sizeof(payload));
	await_seen(p, 2);
	assert_int_equal(plane_punts(p, 16, count_told, &n), 1);
	assert_int_equal(n, 1);
	plane_close(p);
}

/* What is written again goes on by another row, the rest is swept and named. */
static void what_is_not_written_again_is_swept(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct packet in = packet_sample();
	struct plane_attached info;
	struct plane_legacy_rule old;
	struct mcr_folded folded;
	struct plane *p;

	crash(leave_relay);
	exchange(&in, 100, 3);
	p = open_plane();
	assert_int_equal(plane_attach(p, in_ifindex, "in0", &info, NULL), 0);
	assert_int_equal(rule_add(p, &key, ROW + 1, 3), 0);
	exchange(&in, 100, 3);
	plane_sweep(p, is_in_ifindex, NULL);
	exchange(&in, 100, 3);
	assert_int_equal(rule_stats(p, ROW).replicated, 1);
	assert_int_equal(rule_stats(p, ROW + 1).replicated, 2);
	assert_true(plane_legacy_next(p, &old));
	assert_int_equal(old.row, ROW);
	assert_int_equal(old.slot, SLOT);
	assert_int_equal(old.n_outputs, 3);
	for (int i = 0; i < 3; i++) {
		assert_in_range(old.output_rows[i], OUTPUT_ROW, OUTPUT_ROW + 2);
		assert_int_equal(out_ifindexes[old.output_rows[i] - OUTPUT_ROW], old.ifindexes[i]);
	}
	assert_false(plane_legacy_next(p, &old));
	plane_rows_fold(p, SLOT, ROW, NULL, 0);
	assert_int_equal(plane_folded(p, SLOT, &folded), 0);
	assert_int_equal(folded.replicated, 1);
	assert_int_equal(rule_stats(p, ROW).replicated, 0);
	plane_close(p);
	crash(leave_relay);
	p = open_plane();
	plane_sweep(p, none_in_use, NULL);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.rules), &key, &old),
			 -ENOENT);
	plane_close(p);
}

/* An index that frames may still use is not given to another list before they are through. */
static void sets_of_before_are_left_alone_for_a_while(void **state)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct mcr_rule rule;
	struct plane *p;

	crash(leave_relay);
	p = open_plane();
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.rules), &key, &rule), 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_not_equal(set_get(p, out_ifindexes + i % 60, 1 + i / 20),
				     rule.egress_set);
	plane_close(p);
}

/* Rows and outputs that a removed rule has left, because the process died before they were cold. */
static int leave_removed_rule(struct plane *p)
{
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);

	if (relay_up(p, 3))
		return -1;
	plane_rule_del(p, &key);
	return 0;
}

static void rows_of_a_rule_that_is_gone_are_named_too(void **state)
{
	struct plane_legacy_rule old;
	struct plane *p;

	crash(leave_removed_rule);
	p = open_plane();
	plane_sweep(p, is_in_ifindex, NULL);
	assert_true(plane_row_is_inherited(p, ROW));
	assert_true(plane_output_is_inherited(p, OUTPUT_ROW + 2));
	assert_true(plane_legacy_next(p, &old)); /* so that its counts are not lost */
	assert_int_equal(old.row, ROW);
	assert_int_equal(old.slot, SLOT);
	assert_int_equal(old.n_outputs, 3);
	assert_false(plane_legacy_next(p, &old));
	plane_close(p);
}

/* --- a stranger's word -------------------------------------------------------------------------
 */

/* Rules, outputs and interfaces that point anywhere. Two of each claim one row. */
static int leave_nonsense(struct plane *p)
{
	int rules = bpf_map__fd(p->skel->maps.rules);
	int rewrites = bpf_map__fd(p->skel->maps.rewrites);
	int ifaces = bpf_map__fd(p->skel->maps.ifaces);
	struct mcr_rule rule = { .datapath = MCR_DP_XDP, .max_frame = 65535, .outputs = 65535 };

	for (uint32_t i = 0; i < 64; i++) {
		struct mcr_rule_key key = key_of(IP(239, 9, 0, i), IPPROTO_UDP);
		struct mcr_rewrite_key at = { ROW + i / 2 * 20000, i };
		struct mcr_rewrite to = { .output = 7 + i / 2 * 30000, .slot = UINT32_MAX };
		struct mcr_iface iface = { .slot = i / 2 * 300 };

		key.pad = i == 8;
		key.protocol = i == 9 ? 0 : IPPROTO_UDP;
		rule.rule = ROW + i / 2 * 20000;
		rule.egress_set = i * 1000000;
		rule.datapath = (uint8_t)i;
		memset(iface.name, 'x', sizeof(iface.name));
		memset(rule.name, 'x', sizeof(rule.name));
		if (bpf_map_update_elem(rules, &key, &rule, BPF_ANY) ||
		    bpf_map_update_elem(rewrites, &at, &to, BPF_ANY) ||
		    bpf_map_update_elem(ifaces, &i, &iface, BPF_ANY))
			return -1;
	}
	return relay_up(p, 3);
}

static void nonsense_in_the_maps_does_no_harm(void **state)
{
	static uint8_t rows[MCR_MAX_RULES], outputs[MCR_MAX_OUTPUT_ROWS];
	const struct mcr_rule_key key = key_of(IP(239, 1, 1, 1), IPPROTO_UDP);
	struct packet in = packet_sample();
	struct plane_legacy_rule old;
	struct plane_attached info;
	struct plane *p;
	uint8_t payload[50] = { 0 };

	crash(leave_nonsense);
	for (uint32_t i = 0; i < 64; i++) { /* nothing but our own rule sends anything */
		struct packet other = in;

		other.dest = IP(239, 9, 0, i);
		send_packet(&other, payload, sizeof(payload));
	}
	p = open_plane();
	assert_int_equal(plane_attach(p, in_ifindex, "in0", &info, NULL), 0);
	assert_int_equal(rule_add(p, &key, ROW + 1, 3), 0);
	plane_sweep(p, is_in_ifindex, NULL);
	exchange(&in, 100, 3);
	while (plane_legacy_next(p, &old)) {
		assert_true(old.row < MCR_MAX_RULES && old.n_outputs <= MCR_MAX_OUTPUTS);
		assert_int_equal(rows[old.row]++, 0); /* each row once: it will be given out */
		for (unsigned i = 0; i < old.n_outputs; i++) {
			assert_true(old.output_rows[i] < MCR_MAX_OUTPUT_ROWS);
			assert_int_equal(outputs[old.output_rows[i]]++, 0);
		}
		plane_rows_fold(p, old.slot, old.row, old.output_rows, old.n_outputs);
	}
	plane_close(p);
}

static int leave_other_abi(struct plane *p)
{
	struct mcr_abi abi = { .magic = MCR_ABI_MAGIC,
			       .major = MCR_ABI_MAJOR + 1,
			       .instance = "test" };
	uint32_t key = 0;

	return relay_up(p, 3) ||
	       bpf_map_update_elem(bpf_map__fd(p->skel->maps.abi), &key, &abi, BPF_ANY);
}

/* One of the maps has other sizes, behind an abi that says that all is well. */
static int leave_other_size(struct plane *p)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "rewrites", 8, 40, 16, NULL);

	return relay_up(p, 3) || unlink(LAB_PINS "/rewrites") || fd < 0 ||
	       bpf_obj_pin(fd, LAB_PINS "/rewrites");
}

static int leave_without_a_map(struct plane *p)
{
	return relay_up(p, 3) || unlink(LAB_PINS "/folded");
}

static int leave_other_instance(struct plane *p)
{
	struct mcr_abi abi = { .magic = MCR_ABI_MAGIC,
			       .major = MCR_ABI_MAJOR,
			       .instance = "other" };
	uint32_t key = 0;

	return relay_up(p, 3) ||
	       bpf_map_update_elem(bpf_map__fd(p->skel->maps.abi), &key, &abi, BPF_ANY);
}

static void maps_of_another_layout_are_replaced(void **state)
{
	int (*const leave[])(struct plane *) = { leave_other_abi, leave_other_size,
						 leave_without_a_map, leave_other_instance };
	struct packet in = packet_sample();

	for (size_t i = 0; i < sizeof(leave) / sizeof(*leave); i++) {
		struct plane *p;
		uint32_t rules;

		crash(leave[i]);
		rules = pinned_map_id("rules");
		p = open_plane();
		assert_false(plane_is_inherited(p));
		assert_int_not_equal(pinned_map_id("rules"), rules);
		assert_int_equal(relay_up(p, 3), 0);
		plane_sweep(p, is_in_ifindex, NULL);
		exchange(&in, 100, 3);
		assert_int_equal(await_xmit(p, 3).dropped, 0);
		plane_close(p);
	}
}

static void what_is_left_can_be_removed(void **state)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct diag d = { 0 };
	struct plane *p;

	crash(leave_relay);
	assert_int_equal(plane_remove(LAB_PINS, &d), 0);
	assert_int_equal(access(LAB_PINS, F_OK), -1);
	assert_int_equal(bpf_xdp_query((int)in_ifindex, 0, &query), 0);
	assert_int_equal(query.prog_id, 0);
	assert_int_equal(plane_remove(LAB_PINS, &d), 0); /* nothing there */
	p = open_plane();
	assert_int_equal(plane_remove(LAB_PINS, &d), -EBUSY); /* somebody is */
	assert_int_equal(access(LAB_PINS "/rules", F_OK), 0);
	plane_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_outputs_share_a_set),
		cmocka_unit_test(sets_have_sizes),
		cmocka_unit_test(sets_grow_to_the_limit_and_come_back),
		cmocka_unit_test(one_more_set_waits_for_nobody),
		cmocka_unit_test(a_set_is_not_found_when_an_interface_of_it_has_gone),
		cmocka_unit_test(frames_go_on_while_nobody_is_there),
		cmocka_unit_test(what_is_told_begins_anew),
		cmocka_unit_test(what_is_not_written_again_is_swept),
		cmocka_unit_test(sets_of_before_are_left_alone_for_a_while),
		cmocka_unit_test(rows_of_a_rule_that_is_gone_are_named_too),
		cmocka_unit_test(nonsense_in_the_maps_does_no_harm),
		cmocka_unit_test(maps_of_another_layout_are_replaced),
		cmocka_unit_test(what_is_left_can_be_removed),
	};
	const char *unfit = lab_unfit();

	if (unfit) {
		print_message("SKIPPED: %s\n", unfit);
		return LAB_SKIPPED;
	}
	seed = random_seed();
	return cmocka_run_group_tests_name("inherit", tests, replicate_setup, NULL);
}
