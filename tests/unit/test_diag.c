/* SPDX-License-Identifier: MIT */
/* Error records: codes have names, long text is cut in whole characters, hostile text is tamed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/diag.h"

static void set_fills_and_passes_the_error_on(void **state)
{
	struct diag d = { .line = 3, .column = 4 };

	assert_int_equal(diag_set(&d, -5, E_RANGE, "rules[3].ttl", "%d is not %s", 300, "a TTL"),
			 -5);
	assert_int_equal(d.code, E_RANGE);
	assert_string_equal(d.where, "rules[3].ttl");
	assert_string_equal(d.what, "300 is not a TTL");
	assert_int_equal(d.line, 0);
	assert_int_equal(d.column, 0);
	assert_int_equal(diag_set(NULL, -7, E_RANGE, "", "unseen"), -7);
}

static void every_code_has_its_own_name(void **state)
{
	for (enum diag_code c = DIAG_OK; c < DIAG__COUNT; c++) {
		assert_non_null(diag_code_name(c));
		for (enum diag_code other = DIAG_OK; other < c; other++)
			assert_string_not_equal(diag_code_name(c), diag_code_name(other));
	}
	assert_string_equal(diag_code_name(E_IF_NOT_FOUND), "E_IF_NOT_FOUND");
	assert_string_equal(diag_code_name(DIAG__COUNT), "E_UNKNOWN");
	assert_string_equal(diag_code_name((enum diag_code) - 1), "E_UNKNOWN");
}

/* Two-byte characters after 0 or 1 single ones, so that the cut falls on either half of one. */
static void long_text_is_cut_between_characters(void **state)
{
	for (size_t lead = 0; lead < 2; lead++) {
		char text[1024];
		struct diag d;
		size_t len;

		memset(text, 'x', lead);
		for (size_t i = lead; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa4", 3);
		diag_set(&d, 0, E_IO, text, "%s", text);
		len = strlen(d.what);
		assert_true(len == sizeof(d.what) - 1 || len == sizeof(d.what) - 2);
		assert_int_equal((unsigned char)d.what[len - 1], 0xa4);
		len = strlen(d.where);
		assert_true(len == sizeof(d.where) - 1 || len == sizeof(d.where) - 2);
		assert_int_equal((unsigned char)d.where[len - 1], 0xa4);
	}
}

static void quoting_tames_control_characters(void **state)
{
	char buf[DIAG_QUOTE];

	assert_string_equal(diag_quote("in0", buf), "\"in0\"");
	assert_string_equal(diag_quote("", buf), "\"\"");
	assert_string_equal(diag_quote("a\x1b[2J\n\x7f", buf), "\"a?[2J??\"");
	assert_string_equal(diag_quote("\xc3\xa4\xc2\x9b\xc2\xa0", buf), "\"\xc3\xa4??\xc2\xa0\"");
}

static void quoting_cuts_with_an_ellipsis(void **state)
{
	char text[200], buf[DIAG_QUOTE];

	for (size_t n = 50; n < 70; n++) {
		size_t len;

		memset(text, 'a', n);
		text[n] = '\0';
		len = strlen(diag_quote(text, buf));
		assert_true(len < DIAG_QUOTE);
		if (n <= 58)
			assert_int_equal(len, n + 2);
		else
			assert_string_equal(buf + len - 4, "\xe2\x80\xa6\"");
	}
	for (size_t i = 0; i < 180; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 4);
	diag_quote(text, buf);
	assert_int_equal(strlen(buf), 1 + 57 + 3 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_and_passes_the_error_on),
		cmocka_unit_test(every_code_has_its_own_name),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(quoting_tames_control_characters),
		cmocka_unit_test(quoting_cuts_with_an_ellipsis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
