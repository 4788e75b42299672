/* SPDX-License-Identifier: MIT */
/* The list of actions: what goes in is found there, and nothing goes in beyond its capacity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/action.h"

static struct actions list;

static void packets_lie_one_behind_the_other(void **state)
{
	static const char *const texts[] = { "hello", "", "world" };

	actions_clear(&list);
	for (uint32_t i = 0; i < 3; i++) {
		struct wr w = actions_packet(&list);

		wr_bytes(&w, texts[i], strlen(texts[i]));
		assert_true(actions_send(&list, i, &w, (struct act_send){ .ttl = 1 }));
	}
	assert_int_equal(list.n, 3);
	assert_memory_equal(list.bytes, "helloworld", 10);
	for (uint32_t i = 0; i < 3; i++) {
		const struct act_send *send = &list.list[i].send;

		assert_int_equal(list.list[i].kind, ACT_SEND);
		assert_int_equal(list.list[i].port, i);
		assert_int_equal(send->ttl, 1);
		assert_int_equal(send->len, strlen(texts[i]));
		assert_memory_equal(list.bytes + send->off, texts[i], send->len);
	}
}

static void a_packet_that_does_not_fit_is_not_sent(void **state)
{
	static uint8_t block[ACTIONS_BYTES];
	struct wr w;

	actions_clear(&list);
	w = actions_packet(&list);
	wr_bytes(&w, block, ACTIONS_BYTES - 3);
	assert_true(actions_send(&list, 0, &w, (struct act_send){ 0 }));
	assert_true(actions_fit(&list, 1, 3));
	assert_false(actions_fit(&list, 1, 4));
	w = actions_packet(&list);
	wr_u32(&w, 1);
	assert_false(actions_send(&list, 0, &w, (struct act_send){ 0 }));
	assert_int_equal(list.n, 1);
	assert_int_equal(list.n_bytes, ACTIONS_BYTES - 3);
}

static void a_full_list_says_so(void **state)
{
	struct sg sg = { .group = { 7 } };
	struct wr w;

	actions_clear(&list);
	for (uint32_t i = 0; i < ACTIONS_MAX; i++) {
		assert_true(actions_fit(&list, ACTIONS_MAX - i, 0));
		assert_false(actions_fit(&list, ACTIONS_MAX - i + 1, 0));
		assert_true(actions_member(&list, ACT_WANT, i, sg, WANT_EXCLUDE));
	}
	assert_int_equal(list.list[9].member.sg.group.net, 7);
	assert_int_equal(list.list[9].member.mode, WANT_EXCLUDE);
	assert_int_equal(list.list[9].port, 9);
	assert_false(actions_member(&list, ACT_WANT, 0, sg, WANT_INCLUDE));
	assert_false(actions_event(&list, 0, (struct act_event){ 0 }));
	w = actions_packet(&list);
	wr_u8(&w, 1);
	assert_false(actions_send(&list, 0, &w, (struct act_send){ 0 }));
	assert_null(actions_add(&list, ACT_EVENT, 0));
	assert_int_equal(list.n, ACTIONS_MAX);
	assert_int_equal(list.n_bytes, 0);
}

static void records_come_without_what_was_there_before(void **state)
{
	memset(&list, 0xff, sizeof(list));
	actions_clear(&list);
	assert_true(actions_event(&list, 3, (struct act_event){ .kind = EVENT_IGMP_LEAVE }));
	assert_int_equal(list.list[0].event.kind, EVENT_IGMP_LEAVE);
	assert_int_equal(list.list[0].event.peer.net, 0);
	assert_false(list.list[0].event.is_self);
}

static void forwarded_packets_are_copied(void **state)
{
	static struct actions a;
	uint8_t packet[ACTIONS_BYTES];
	struct portset ports = { 0 };

	actions_clear(&a);
	memset(packet, 0x5a, sizeof(packet));
	portset_add(&ports, 3);
	assert_true(actions_forward(&a, packet, 100, ports));
	assert_true(actions_forward(&a, packet, ACTIONS_BYTES - 100, ports));
	assert_int_equal(a.n, 2);
	assert_int_equal(a.list[1].kind, ACT_FORWARD);
	assert_int_equal(a.list[1].forward.off, 100);
	assert_int_equal(a.list[1].forward.len, ACTIONS_BYTES - 100);
	assert_true(portset_has(&a.list[1].forward.ports, 3));
	assert_memory_equal(a.bytes, packet, ACTIONS_BYTES);
	assert_false(actions_forward(&a, packet, 1, ports));
	assert_int_equal(a.n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_lie_one_behind_the_other),
		cmocka_unit_test(a_packet_that_does_not_fit_is_not_sent),
		cmocka_unit_test(a_full_list_says_so),
		cmocka_unit_test(records_come_without_what_was_there_before),
		cmocka_unit_test(forwarded_packets_are_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
