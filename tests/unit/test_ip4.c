/* SPDX-License-Identifier: MIT */
/* IPv4 addresses: which texts are one, and which kind each is. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/ip4.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ip4 host(uint32_t a)
{
	return (struct ip4){ htonl(a) };
}

static void addresses_survive_text(void **state)
{
	static const uint32_t addrs[] = { 0,	      0xffffffff, 0xef010203, 0x01020304,
					  0x0a640901, 0x636465ff, 0x00ff00ff };

	for (size_t i = 0; i < COUNT(addrs); i++) {
		char text[IP4_TEXT], libc[INET_ADDRSTRLEN];
		struct ip4 back, a = host(addrs[i]);

		assert_ptr_equal(ip4_format(a, text), text);
		inet_ntop(AF_INET, &a.net, libc, sizeof(libc));
		assert_string_equal(text, libc);
		assert_int_equal(ip4_parse(text, &back), 0);
		assert_true(ip4_equal(a, back));
	}
	assert_false(ip4_equal(host(1), host(2)));
}

static void every_octet_is_written_as_libc_does(void **state)
{
	for (uint32_t octet = 0; octet < 256; octet++)
		for (int shift = 0; shift < 32; shift += 8) {
			char text[IP4_TEXT], libc[INET_ADDRSTRLEN];
			struct ip4 a = host(octet << shift);

			inet_ntop(AF_INET, &a.net, libc, sizeof(libc));
			assert_string_equal(ip4_format(a, text), libc);
		}
}

static void only_dotted_quads_are_read(void **state)
{
	static const char *const bad[] = {
		"",	      "1",
		"1.2.3",      "1.2.3.",
		"1.2.3.4.",   ".1.2.3",
		"1..2.3",     "1.2.3.4.5",
		" 1.2.3.4",   "1.2.3.4 ",
		"1.2.3.256",  "1.2.3.999",
		"1.2.3.a",    "1.2.3.-1",
		"1.2.3.+1",   "0x1.2.3.4",
		"01.2.3.4",   "1.2.3.00",
		"1.2.3.4/",   "1,2,3,4",
		"1.2.3.0004", "4294967295",
		"1.2.3.1000", "::1",
		"1.2.3.4\n",  "\xd9\xa1.2.3.4",
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct ip4 a = host(7);

		if (ip4_parse(bad[i], &a) != -22 || a.net != htonl(7))
			fail_msg("\"%s\"", bad[i]);
	}
}

static void kinds_change_at_their_borders(void **state)
{
	static const struct {
		uint32_t addr;
		bool multicast, linklocal, unicast;
	} cases[] = {
		{ 0x00000000, false, false, false }, { 0x00ffffff, false, false, false },
		{ 0x01000000, false, false, true },  { 0x7effffff, false, false, true },
		{ 0x7f000000, false, false, false }, { 0x7fffffff, false, false, false },
		{ 0x80000000, false, false, true },  { 0xdfffffff, false, false, true },
		{ 0xe0000000, true, true, false },   { 0xe00000ff, true, true, false },
		{ 0xe0000100, true, false, false },  { 0xefffffff, true, false, false },
		{ 0xf0000000, false, false, false }, { 0xffffffff, false, false, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ip4 a = host(cases[i].addr);

		assert_int_equal(ip4_is_multicast(a), cases[i].multicast);
		assert_int_equal(ip4_is_linklocal_group(a), cases[i].linklocal);
		assert_int_equal(ip4_is_unicast(a), cases[i].unicast);
	}
}

static void prefixes_hold_what_begins_like_them(void **state)
{
	struct ip4_prefix ssm = { host(0xe8000000), 8 }, one = { host(0xefffffff), 32 };

	assert_true(ip4_in(host(0xe8ffffff), ssm) && ip4_in(host(0xe8000000), ssm));
	assert_false(ip4_in(host(0xe7ffffff), ssm) || ip4_in(host(0xe9000000), ssm));
	assert_true(ip4_in(host(0xefffffff), one));
	assert_false(ip4_in(host(0xeffffffe), one));
	assert_true(ip4_in(host(0), (struct ip4_prefix){ host(0xffffffff), 0 }));
}

static void prefixes_survive_text(void **state)
{
	static const char *const good[] = { "0.0.0.0/0",     "128.0.0.0/1",	   "239.0.0.0/8",
					    "198.18.0.0/15", "255.255.255.254/31", "1.2.3.4" };
	static const char *const bad[] = { "",
					   "239.0.0.0/",
					   "239.0.0.0/33",
					   "239.0.0.0/08",
					   "239.0.0.0/-1",
					   "239.0.0/8",
					   "239.0.0.0/8 ",
					   "239.0.0.1/24",
					   "1.0.0.0/0",
					   "1.2.3.4/256",
					   "239.0.0.0 /8",
					   "239.0.0.0//8" };
	struct ip4_prefix p, same;
	char text[IP4_PREFIX_TEXT];

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(ip4_prefix_parse(good[i], &p), 0);
		assert_string_equal(ip4_prefix_format(p, text), good[i]);
	}
	same = p;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (ip4_prefix_parse(bad[i], &p) != -22 || !ip4_prefix_equal(p, same))
			fail_msg("\"%s\"", bad[i]);
	assert_int_equal(ip4_prefix_parse("1.2.3.4/32", &p), 0);
	assert_string_equal(ip4_prefix_format(p, text), "1.2.3.4");
	assert_true(ip4_prefix_equal(p, same));
}

static void order_is_by_number_not_by_memory(void **state)
{
	assert_int_equal(ip4_host(host(0xc6120009)), 0xc6120009);
	assert_true(ip4_equal(ip4_from_host(0xc6120009), host(0xc6120009)));
	assert_true(ip4_before(host(0x01000002), host(0x02000001)));
	assert_false(ip4_before(host(0x02000001), host(0x01000002)));
	assert_false(ip4_before(host(7), host(7)));
	assert_true(sg_equal((struct sg){ host(1), host(2) }, (struct sg){ host(1), host(2) }));
	assert_false(sg_equal((struct sg){ host(1), host(2) }, (struct sg){ host(2), host(1) }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_survive_text),
		cmocka_unit_test(every_octet_is_written_as_libc_does),
		cmocka_unit_test(only_dotted_quads_are_read),
		cmocka_unit_test(kinds_change_at_their_borders),
		cmocka_unit_test(prefixes_hold_what_begins_like_them),
		cmocka_unit_test(prefixes_survive_text),
		cmocka_unit_test(order_is_by_number_not_by_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
