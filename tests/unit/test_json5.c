/* SPDX-License-Identifier: MIT */
/* The JSON5 reader: what it accepts, what it refuses and where, and that nothing exhausts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/json5.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct parsed {
	struct json5_doc doc;
	struct diag d;
	char *text; /* exactly as long as the text, so that ASAN sees a step beyond */
	int err;
};

static struct parsed parse_sized(const char *text, size_t len, size_t nodes, size_t strings)
{
	struct parsed p = { .doc = { .cap_nodes = nodes, .cap_strings = strings } };

	p.text = malloc(len ? len : 1);
	p.doc.nodes = calloc(nodes ? nodes : 1, sizeof(*p.doc.nodes));
	p.doc.strings = malloc(strings ? strings : 1);
	assert_true(p.text && p.doc.nodes && p.doc.strings);
	memcpy(p.text, text, len);
	p.err = json5_parse(&p.doc, p.text, len, &p.d);
	return p;
}

static struct parsed parse(const char *text, size_t len)
{
	return parse_sized(text, len, json5_nodes_needed(len), json5_strings_needed(len));
}

static void parsed_fini(struct parsed *p)
{
	free(p->text);
	free(p->doc.nodes);
	free(p->doc.strings);
}

static void plain_json_is_read(void **state)
{
	static const char text[] = "{\"a\": [1, -2, 3.5, true, false, null, \"x\"], \"b\": {}}";
	struct parsed p = parse(text, sizeof(text) - 1);
	const struct json5_node *a, *n;

	assert_int_equal(p.err, 0);
	a = json5_get(&p.doc, json5_root(&p.doc), "a");
	assert_non_null(a);
	assert_int_equal(a->type, JSON5_ARRAY);
	assert_int_equal(a->count, 7);
	n = json5_first(&p.doc, a);
	assert_true(n->is_integer && n->integer == 1);
	n = json5_next(&p.doc, n);
	assert_true(n->is_integer && n->integer == -2 && n->number == -2.0);
	n = json5_next(&p.doc, n);
	assert_true(!n->is_integer && n->number == 3.5);
	n = json5_next(&p.doc, n);
	assert_true(n->type == JSON5_BOOL && n->boolean);
	n = json5_next(&p.doc, n);
	assert_true(n->type == JSON5_BOOL && !n->boolean);
	n = json5_next(&p.doc, n);
	assert_int_equal(n->type, JSON5_NULL);
	n = json5_next(&p.doc, n);
	assert_string_equal(json5_text(&p.doc, n), "x");
	assert_null(json5_next(&p.doc, n));
	assert_null(json5_get(&p.doc, json5_root(&p.doc), "c"));
	assert_null(json5_get(&p.doc, a, "a"));
	n = json5_get(&p.doc, json5_root(&p.doc), "b");
	assert_true(n->type == JSON5_OBJECT && n->count == 0 && !json5_first(&p.doc, n));
	assert_string_equal(json5_key(&p.doc, n), "b");
	parsed_fini(&p);
}

static void what_json5_adds_is_read(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf// comment\n"
		"{ unquoted_$1: 'single \"quoted\"', /* block * / */ hex: 0xFf,\n"
		"  \"line\": \"con\\\ntinued\", plus: +7, point: .5, tail: 5.,\n"
		"\xc2\xa0 list: [1,2,],\r\n}\t// end";
	struct parsed p = parse(text, sizeof(text) - 1);
	const struct json5_node *root = json5_root(&p.doc);

	assert_int_equal(p.err, 0);
	assert_string_equal(json5_text(&p.doc, json5_get(&p.doc, root, "unquoted_$1")),
			    "single \"quoted\"");
	assert_int_equal(json5_get(&p.doc, root, "hex")->integer, 255);
	assert_string_equal(json5_text(&p.doc, json5_get(&p.doc, root, "line")), "continued");
	assert_int_equal(json5_get(&p.doc, root, "plus")->integer, 7);
	assert_true(json5_get(&p.doc, root, "point")->number == 0.5);
	assert_true(json5_get(&p.doc, root, "tail")->number == 5.0);
	assert_int_equal(json5_get(&p.doc, root, "list")->count, 2);
	assert_int_equal(root->line, 2);
	assert_int_equal(root->column, 1);
	assert_int_equal(json5_get(&p.doc, root, "list")->line, 5);
	parsed_fini(&p);
}

static void escapes_are_decoded(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\v\\'\"", "\"\\/\b\f\n\r\t\v'" },
		{ "\"\\u0041\\x42\"", "AB" },
		{ "\"\\u00e4\\u20ac\\ud83d\\ude00\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "'\\\r\n\\\rx'", "x" },
		{ "\"\"", "" },
		{ "\"tab\there\"", "tab\there" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct parsed p = parse(cases[i].text, strlen(cases[i].text));
		const struct json5_node *root = json5_root(&p.doc);

		assert_int_equal(p.err, 0);
		assert_int_equal(root->type, JSON5_STRING);
		assert_string_equal(json5_text(&p.doc, root), cases[i].value);
		assert_int_equal(root->text_len, strlen(cases[i].value));
		parsed_fini(&p);
	}
}

static void integers_keep_every_digit(void **state)
{
	static const struct {
		const char *text;
		bool is_integer;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "0x7fffffffffffffff", true, INT64_MAX },
		{ "-0x10", true, -16 },
		{ "1e3", false, 0 },
		{ "1.0", false, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct parsed p = parse(cases[i].text, strlen(cases[i].text));

		assert_int_equal(p.err, 0);
		assert_int_equal(json5_root(&p.doc)->is_integer, cases[i].is_integer);
		assert_true(json5_root(&p.doc)->integer == cases[i].value);
		parsed_fini(&p);
	}
}

struct refusal {
	const char *text;
	size_t len; /* 0 = strlen */
	enum diag_code code;
	unsigned line, column;
};

static const struct refusal refusals[] = {
	{ "", 0, E_PROTO, 1, 1 },
	{ " \n ", 0, E_PROTO, 2, 2 },
	{ "{", 0, E_PROTO, 1, 2 },
	{ "{\n", 0, E_PROTO, 2, 1 },
	{ "[1", 0, E_PROTO, 1, 3 },
	{ "[1 2]", 0, E_PROTO, 1, 4 },
	{ "[,]", 0, E_PROTO, 1, 2 },
	{ "[1,,2]", 0, E_PROTO, 1, 4 },
	{ "{,}", 0, E_PROTO, 1, 2 },
	{ "{a}", 0, E_PROTO, 1, 3 },
	{ "{a:}", 0, E_PROTO, 1, 4 },
	{ "{a:1 b:2}", 0, E_PROTO, 1, 6 },
	{ "{1:2}", 0, E_PROTO, 1, 2 },
	{ "{-a:2}", 0, E_PROTO, 1, 2 },
	{ "{a:1}}", 0, E_PROTO, 1, 6 },
	{ "[1] [2]", 0, E_PROTO, 1, 5 },
	{ "[1}", 0, E_PROTO, 1, 3 },
	{ "{\xc3\xa4:1}", 0, E_PROTO, 1, 2 },
	{ "[\"\xc3\xa4\", x]", 0, E_PROTO, 1, 7 },
	{ "nul", 0, E_PROTO, 1, 1 },
	{ "True", 0, E_PROTO, 1, 1 },
	{ "/", 0, E_PROTO, 1, 1 },
	{ "/* x", 0, E_PROTO, 1, 1 },
	{ "/*/", 0, E_PROTO, 1, 1 },
	{ "1 /", 0, E_PROTO, 1, 3 },
	{ "//", 0, E_PROTO, 1, 3 },
	{ "\"abc", 0, E_PROTO, 1, 1 },
	{ "\"abc\n\"", 0, E_PROTO, 1, 1 },
	{ "'abc\"", 0, E_PROTO, 1, 1 },
	{ "\"a\\", 0, E_PROTO, 1, 1 },
	{ "\"\\u12\"", 0, E_PROTO, 1, 2 },
	{ "\"\\u12", 0, E_PROTO, 1, 2 },
	{ "\"\\xg0\"", 0, E_PROTO, 1, 2 },
	{ "\"\\ud800\"", 0, E_PROTO, 1, 2 },
	{ "\"\\ud800\\u0041\"", 0, E_PROTO, 1, 2 },
	{ "\"\\ud800\\n\"", 0, E_PROTO, 1, 2 },
	{ "\"\\udc00\"", 0, E_PROTO, 1, 2 },
	{ "\"\\u0000\"", 0, E_PROTO, 1, 2 },
	{ "\"\\0\"", 0, E_PROTO, 1, 2 },
	{ "\"\x01\"", 0, E_PROTO, 1, 2 },
	{ "\"\\\0\"", 4, E_PROTO, 1, 2 },
	{ "\"\\\x01\"", 0, E_PROTO, 1, 2 },
	{ "\"\0\"", 3, E_PROTO, 1, 2 },
	{ "\0", 1, E_PROTO, 1, 1 },
	{ "[1,\0]", 5, E_PROTO, 1, 4 },
	{ "\"\x80\"", 0, E_PROTO, 1, 2 },
	{ "\"\xc0\xaf\"", 0, E_PROTO, 1, 2 },
	{ "\"\xe0\x80\xaf\"", 0, E_PROTO, 1, 2 },
	{ "\"\xed\xa0\x80\"", 0, E_PROTO, 1, 2 },
	{ "\"\xf0\x80\x80\x80\"", 0, E_PROTO, 1, 2 },
	{ "\"\xf4\x90\x80\x80\"", 0, E_PROTO, 1, 2 },
	{ "\"\xf5\x80\x80\x80\"", 0, E_PROTO, 1, 2 },
	{ "\"\xe2\x82", 0, E_PROTO, 1, 2 },
	{ "// \xff\n1", 0, E_PROTO, 1, 4 },
	{ "01", 0, E_PROTO, 1, 1 },
	{ "-", 0, E_PROTO, 1, 1 },
	{ ".", 0, E_PROTO, 1, 1 },
	{ "1e", 0, E_PROTO, 1, 1 },
	{ "1e+", 0, E_PROTO, 1, 1 },
	{ "1.2.3", 0, E_PROTO, 1, 1 },
	{ "1x", 0, E_PROTO, 1, 1 },
	{ "--1", 0, E_PROTO, 1, 1 },
	{ "0x", 0, E_PROTO, 1, 1 },
	{ "0xg", 0, E_PROTO, 1, 1 },
	{ "0xffffffffffffffff", 0, E_PROTO, 1, 1 },
	{ "1e999", 0, E_PROTO, 1, 1 },
	{ "1111111111111111111111111", 0, E_RANGE, 1, 1 },
	{ "NaN", 0, E_RANGE, 1, 1 },
	{ "-Infinity", 0, E_RANGE, 1, 1 },
	{ "Infinity", 0, E_RANGE, 1, 1 },
	{ "{a:1,\r\nb:2,\ra:3}", 0, E_EXISTS, 3, 3 },
	{ "{a:1,'\\x61':3}", 0, E_EXISTS, 1, 13 },
	{ "{'':1,'':3}", 0, E_EXISTS, 1, 10 },
	{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", 0, E_LIMIT, 1, 17 },
};

static void what_is_wrong_is_refused_at_its_place(void **state)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct parsed p = parse(r->text, r->len ? r->len : strlen(r->text));

		if (p.err != -22 || p.d.code != r->code || p.d.line != r->line ||
		    p.d.column != r->column || !p.d.what[0])
			fail_msg("%s: %d %s %u:%u %s", r->text, p.err, diag_code_name(p.d.code),
				 p.d.line, p.d.column, p.d.what);
		parsed_fini(&p);
	}
}

static void depth_sixteen_is_accepted(void **state)
{
	static const char text[] = "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]";
	struct parsed p = parse(text, sizeof(text) - 1);

	assert_int_equal(p.err, 0);
	assert_int_equal(p.doc.n_nodes, 17);
	parsed_fini(&p);
}

static void every_cut_of_a_text_is_refused(void **state)
{
	static const char text[] =
		"{a: [1, 'x\\u0041', {b: true, \"c\": -0x1f}], /* k */ d: 1.5e2}";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct parsed p = parse(text, len);

		assert_int_equal(p.err, -22);
		assert_true(p.d.line == 1 && p.d.column >= 1 && p.d.column <= len + 1);
		assert_true(p.d.what[0]);
		parsed_fini(&p);
	}
}

/* The bounds that callers allocate by hold for texts that need the most. */
static void bounds_suffice(void **state)
{
	static const char *const texts[] = {
		"1",
		"[]",
		"{}",
		"[1]",
		"[1,1,1,1]",
		"[[],[],[]]",
		"{a:1,b:{c:2,},}",
		"''",
		"{'':''}",
		"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
		"['','','']",
		"{a:[],b:[],c:[]}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		size_t len = strlen(texts[i]);
		struct parsed p = parse_sized(texts[i], len, json5_nodes_bound(texts[i], len),
					      json5_strings_needed(len));

		assert_int_equal(p.err, 0);
		assert_true(p.doc.n_nodes <= json5_nodes_needed(len));
		parsed_fini(&p);
	}
}

static void small_memory_is_refused_not_overrun(void **state)
{
	static const char text[] = "{key: ['value', 1, 2], other: {}}";

	for (size_t nodes = 0; nodes < 7; nodes++)
		for (size_t strings = 0; strings < 24; strings++) {
			struct parsed p = parse_sized(text, sizeof(text) - 1, nodes, strings);
			bool fits = nodes >= 6 && strings >= 17;

			assert_int_equal(p.err, fits ? 0 : -7);
			assert_true(fits || p.d.code == E_TOO_LARGE);
			parsed_fini(&p);
		}
}

static void error_record_may_be_absent(void **state)
{
	char strings[8];
	struct json5_node nodes[4];
	struct json5_doc doc = { .nodes = nodes, .cap_nodes = 4 };

	doc.strings = strings;
	doc.cap_strings = sizeof(strings);
	assert_int_equal(json5_parse(&doc, "{a:1,a:2}", 9, NULL), -22);
	assert_int_equal(json5_parse(&doc, "[1", 2, NULL), -22);
}

/* Members of one object, keys `first`…`first`+n−1. */
static char *object_write(unsigned n, bool twice, size_t *len)
{
	char *text = malloc(n * 12 + 64), *p = text;

	assert_non_null(text);
	*p++ = '{';
	for (unsigned i = 0; i < n; i++)
		p += sprintf(p, "k%u:0,", i * 7919 % n);
	if (twice)
		p += sprintf(p, "k%u:0", n / 2);
	*p++ = '}';
	*len = (size_t)(p - text);
	return text;
}

static void large_objects_are_checked_for_duplicates(void **state)
{
	static const struct {
		unsigned n;
		bool twice;
		enum diag_code code;
	} cases[] = {
		{ 1024, false, DIAG_OK }, { 1023, true, E_EXISTS }, { 1025, false, E_LIMIT },
		{ 2, true, E_EXISTS },	  { 1, true, E_EXISTS },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len;
		char *text = object_write(cases[i].n, cases[i].twice, &len);
		struct parsed p = parse(text, len);

		assert_int_equal(p.d.code, cases[i].code);
		assert_int_equal(p.err, cases[i].code ? -22 : 0);
		parsed_fini(&p);
		free(text);
	}
}

/* 8 MiB, the largest request, of whatever costs most: none may hold a daemon up for long. */
static void the_largest_request_takes_no_time(void **state)
{
	enum { SIZE = 8 << 20 };
	static const char *const pieces[] = { "[1],", "{a:1,b:2,c:3},", "'\\u20ac',", "/**/1,",
					      "\xe2\x80\x83 1," };
	char *text = malloc(SIZE + 64);

	assert_non_null(text);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		size_t n = strlen(pieces[i]), len = 1;
		clock_t start;
		struct parsed p;

		text[0] = '[';
		for (; len + n < SIZE; len += n)
			memcpy(text + len, pieces[i], n);
		text[len++] = ']';
		start = clock();
		p = parse(text, len);
		assert_int_equal(p.err, 0);
		assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
		parsed_fini(&p);
	}
	free(text);
}

static void types_have_names(void **state)
{
	for (enum json5_type t = JSON5_NULL; t <= JSON5_OBJECT; t++)
		assert_true(json5_type_name(t)[0]);
	assert_string_equal(json5_type_name(99), "nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_json_is_read),
		cmocka_unit_test(what_json5_adds_is_read),
		cmocka_unit_test(escapes_are_decoded),
		cmocka_unit_test(integers_keep_every_digit),
		cmocka_unit_test(what_is_wrong_is_refused_at_its_place),
		cmocka_unit_test(depth_sixteen_is_accepted),
		cmocka_unit_test(every_cut_of_a_text_is_refused),
		cmocka_unit_test(bounds_suffice),
		cmocka_unit_test(small_memory_is_refused_not_overrun),
		cmocka_unit_test(error_record_may_be_absent),
		cmocka_unit_test(large_objects_are_checked_for_duplicates),
		cmocka_unit_test(the_largest_request_takes_no_time),
		cmocka_unit_test(types_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
