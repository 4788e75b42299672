/* SPDX-License-Identifier: MIT */
/*
 * JSON5 by recursive descent, the depth bounded. The text is checked to be UTF-8 once, at the
 * start; after that a byte above 0x7f needs no second look. Positions are worked out by a mark
 * that only ever moves forward, when a node or an error wants one.
 */
#include "base/json5.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 24
#define DEEPER	   (JSON5_DEPTH_MAX + 1)

struct parser {
	struct json5_doc *doc;
	struct diag *d;
	const char *at, *end;
	const char *mark; /* line and column are those of this character */
	uint32_t line, column;
	unsigned depth;
	int err;
};

size_t json5_nodes_needed(size_t len)
{
	return len / 2 + 1;
}

/* A decoded string with its NUL is never longer than its source; one more for the empty text. */
size_t json5_strings_needed(size_t len)
{
	return len + 1;
}

size_t json5_nodes_bound(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return n;
}

static bool is_line_end(const char *at, const char *end)
{
	return *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n'));
}

static void mark_move(struct parser *ps, const char *to)
{
	for (; ps->mark < to; ps->mark++) {
		if (is_line_end(ps->mark, ps->end)) {
			ps->line++;
			ps->column = 1;
		} else if (((unsigned char)*ps->mark & 0xc0) != 0x80) {
			ps->column++;
		}
	}
}

/* Puts the mark's position (at `at`, or where the mark is when that is behind) into the diag. */
static bool refuse(struct parser *ps, const char *at, enum diag_code code, const char *what)
{
	mark_move(ps, at);
	ps->err = diag_set(ps->d, code == E_TOO_LARGE ? -E2BIG : -EINVAL, code, "", "%s", what);
	if (ps->d) {
		ps->d->line = ps->line;
		ps->d->column = ps->column;
	}
	return false;
}

/* Length of the UTF-8 sequence at `at`, 0 when it is none (overlong, surrogate, cut, too high). */
static unsigned utf8_len(const char *at, const char *end)
{
	const unsigned char *b = (const unsigned char *)at;
	size_t left = (size_t)(end - at);
	unsigned n = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;

	if (b[0] > 0xf4 || n > left)
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
	    (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	return n;
}

static bool utf8_check(struct parser *ps)
{
	for (const char *p = ps->at; p < ps->end;) {
		unsigned n = utf8_len(p, ps->end);

		if (!n)
			return refuse(ps, p, E_PROTO, "the text is not valid UTF-8 here");
		p += n;
	}
	return true;
}

/* Bytes of the white space at `at`: ASCII, or what Unicode and JSON5 count besides; 0 = none. */
static unsigned space_len(const struct parser *ps)
{
	static const char wide[][4] = {
		"\xc2\xa0",	"\xef\xbb\xbf", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"\xe1\x9a\x80", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
	};
	const unsigned char *b = (const unsigned char *)ps->at;
	size_t left = (size_t)(ps->end - ps->at);

	if (*b == ' ' || (*b >= '\t' && *b <= '\r'))
		return 1;
	if (*b < 0x80)
		return 0;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		size_t n = strlen(wide[i]);

		if (n <= left && !memcmp(b, wide[i], n))
			return (unsigned)n;
	}
	/* U+2000…U+200A */
	return b[0] == 0xe2 && b[1] == 0x80 && b[2] <= 0x8a ? 3 : 0;
}

static bool comment_skip(struct parser *ps)
{
	const char *p = ps->at + 2;

	if (ps->at[1] == '/') {
		while (p < ps->end && *p != '\n' && *p != '\r')
			p++;
		ps->at = p;
		return true;
	}
	while (p + 1 < ps->end && !(p[0] == '*' && p[1] == '/'))
		p++;
	if (p + 1 >= ps->end)
		return refuse(ps, ps->at, E_PROTO, "this comment has no end (*/)");
	ps->at = p + 2;
	return true;
}

/* Skips white space and comments. False when a comment is broken. */
static bool space_skip(struct parser *ps)
{
	while (ps->at < ps->end) {
		unsigned n = space_len(ps);

		ps->at += n;
		if (n)
			continue;
		if (*ps->at != '/' || ps->at + 1 == ps->end ||
		    (ps->at[1] != '/' && ps->at[1] != '*'))
			return true;
		if (!comment_skip(ps))
			return false;
	}
	return true;
}

static bool put_byte(struct parser *ps, unsigned byte)
{
	struct json5_doc *doc = ps->doc;

	if (doc->len_strings == doc->cap_strings)
		return refuse(ps, ps->at, E_TOO_LARGE, "the text holds too much for one reading");
	doc->strings[doc->len_strings++] = (char)byte;
	return true;
}

static bool put_code_point(struct parser *ps, unsigned c)
{
	if (c < 0x80)
		return put_byte(ps, c);
	if (c < 0x800)
		return put_byte(ps, 0xc0 | c >> 6) && put_byte(ps, 0x80 | (c & 0x3f));
	if (c < 0x10000)
		return put_byte(ps, 0xe0 | c >> 12) && put_byte(ps, 0x80 | (c >> 6 & 0x3f)) &&
		       put_byte(ps, 0x80 | (c & 0x3f));
	return put_byte(ps, 0xf0 | c >> 18) && put_byte(ps, 0x80 | (c >> 12 & 0x3f)) &&
	       put_byte(ps, 0x80 | (c >> 6 & 0x3f)) && put_byte(ps, 0x80 | (c & 0x3f));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `n` hexadecimal digits, which are consumed. −1 when there are fewer. */
static int hex_take(struct parser *ps, int n)
{
	int value = 0;

	for (; n > 0; n--, ps->at++) {
		int digit = ps->at < ps->end ? hex_digit(*ps->at) : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* After \x or \u: one code point, for \u perhaps from a pair of surrogates. */
static bool escape_hex(struct parser *ps, const char *start, int digits)
{
	int c = hex_take(ps, digits), low = 0;

	if (c < 0)
		return refuse(ps, start, E_PROTO,
			      "an escape is \\x with two or \\u with four hexadecimal digits");
	if (c >= 0xd800 && c < 0xdc00) {
		if (ps->end - ps->at >= 2 && ps->at[0] == '\\' && ps->at[1] == 'u') {
			ps->at += 2;
			low = hex_take(ps, 4);
		}
		if (low < 0xdc00 || low > 0xdfff)
			return refuse(ps, start, E_PROTO, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return refuse(ps, start, E_PROTO, "half of a surrogate pair");
	}
	if (c == 0)
		return refuse(ps, start, E_PROTO, "a string cannot hold U+0000");
	return put_code_point(ps, (unsigned)c);
}

/* At a backslash in a string. */
static bool escape_take(struct parser *ps)
{
	static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
	const char *start = ps->at++, *hit;
	char c;

	if (ps->at == ps->end)
		return true; /* the string has no end, which the caller is about to say */
	c = *ps->at++;
	switch (c) {
	case 'x':
		return escape_hex(ps, start, 2);
	case 'u':
		return escape_hex(ps, start, 4);
	case '\r': /* the string goes on in the next line */
		if (ps->at < ps->end && *ps->at == '\n')
			ps->at++;
		return true;
	case '\n':
		return true;
	}
	if ((c >= '0' && c <= '9') || ((unsigned char)c < 0x20 && c != '\t'))
		return refuse(ps, start, E_PROTO,
			      "a backslash cannot stand before a digit or a control character");
	hit = strchr(from, c);
	return put_byte(ps, (unsigned char)(hit ? to[hit - from] : c));
}

/* A quoted string at `at`; decoded and NUL-terminated in doc->strings. */
static bool string_take(struct parser *ps, uint32_t *offset, uint32_t *len)
{
	const char *start = ps->at;
	char quote = *ps->at++;

	*offset = (uint32_t)ps->doc->len_strings;
	while (ps->at < ps->end && *ps->at != quote) {
		unsigned char c = (unsigned char)*ps->at;

		if (c == '\n' || c == '\r')
			break;
		if (c < 0x20 && c != '\t')
			return refuse(ps, ps->at, E_PROTO,
				      "a control character in a string must be escaped");
		if (c == '\\') {
			if (!escape_take(ps))
				return false;
		} else {
			if (!put_byte(ps, c))
				return false;
			ps->at++;
		}
	}
	if (ps->at >= ps->end || *ps->at != quote)
		return refuse(ps, start, E_PROTO, "this string is not closed on its line");
	ps->at++;
	*len = (uint32_t)ps->doc->len_strings - *offset;
	return put_byte(ps, '\0');
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
	       c == '$';
}

/* The key of a member: a quoted string or an ASCII identifier. */
static bool key_take(struct parser *ps, uint32_t *offset, uint32_t *len)
{
	const char *start = ps->at;

	if (*start == '"' || *start == '\'')
		return string_take(ps, offset, len);
	if (!is_word(*start) || (*start >= '0' && *start <= '9'))
		return refuse(ps, start, E_PROTO,
			      "a key is wanted: a name (letters, digits, _ and $) or a string");
	*offset = (uint32_t)ps->doc->len_strings;
	for (; ps->at < ps->end && is_word(*ps->at); ps->at++)
		if (!put_byte(ps, (unsigned char)*ps->at))
			return false;
	*len = (uint32_t)(ps->at - start);
	return put_byte(ps, '\0');
}

/* Sign and digits of a hexadecimal number. False when it is not one of at most 63 bits. */
static bool hex_read(const char *text, struct json5_node *n)
{
	bool negative = *text == '-';
	uint64_t value = 0;

	text += *text == '-' || *text == '+';
	text += 2;
	if (!*text)
		return false;
	for (; *text; text++) {
		int digit = hex_digit(*text);

		if (digit < 0 || value >> 59)
			return false;
		value = value << 4 | (uint64_t)digit;
	}
	n->is_integer = true;
	n->integer = negative ? -(int64_t)value : (int64_t)value;
	n->number = (double)n->integer;
	return true;
}

static const char *digits_skip(const char *p)
{
	while (*p >= '0' && *p <= '9')
		p++;
	return p;
}

/* False when the digits do not fit. The negative range is one larger, so count down. */
static bool integer_read(const char *digits, bool negative, int64_t *out)
{
	int64_t value = 0;

	for (; *digits; digits++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *digits - '0', &value))
			return false;
	if (!negative && value == INT64_MIN)
		return false;
	*out = negative ? value : -value;
	return true;
}

/* A decimal number: JSON's, and with a plus sign or a bare point at either end. */
static bool decimal_read(const char *text, struct json5_node *n)
{
	const char *p = text + (*text == '-' || *text == '+');
	const char *whole = p, *rest;

	p = digits_skip(p);
	if (*whole == '0' && p - whole > 1)
		return false;
	rest = p;
	if (*p == '.') {
		const char *fraction = p + 1;

		p = digits_skip(fraction);
		if (p == fraction && rest == whole)
			return false;
	} else if (p == whole) {
		return false;
	}
	if (*p == 'e' || *p == 'E') {
		const char *exponent = p + 1 + (p[1] == '+' || p[1] == '-');

		p = digits_skip(exponent);
		if (p == exponent)
			return false;
	}
	if (*p)
		return false;
	n->number = strtod(text, NULL);
	n->is_integer = !*rest && integer_read(whole, *text == '-', &n->integer);
	return n->number - n->number == 0; /* false for what overflowed to infinity */
}

static bool number_take(struct parser *ps, struct json5_node *n)
{
	const char *start = ps->at;
	char text[NUMBER_MAX + 1];
	size_t len, sign;
	bool ok;

	while (ps->at < ps->end &&
	       (is_word(*ps->at) || *ps->at == '.' || *ps->at == '+' || *ps->at == '-'))
		ps->at++;
	len = (size_t)(ps->at - start);
	if (len > NUMBER_MAX)
		return refuse(ps, start, E_RANGE, "a number has at most 24 characters");
	memcpy(text, start, len);
	text[len] = '\0';
	sign = text[0] == '-' || text[0] == '+';
	if (!strcmp(text + sign, "Infinity") || !strcmp(text + sign, "NaN"))
		return refuse(ps, start, E_RANGE, "Infinity and NaN are not accepted");
	n->type = JSON5_NUMBER;
	ok = text[sign] == '0' && (text[sign + 1] | 0x20) == 'x' ? hex_read(text, n)
								 : decimal_read(text, n);
	return ok || refuse(ps, start, E_PROTO, "not a number that can be read");
}

/* true, false, null, or a word that is none of JSON's. */
static bool word_take(struct parser *ps, struct json5_node *n)
{
	const char *start = ps->at;
	size_t len;

	while (ps->at < ps->end && is_word(*ps->at))
		ps->at++;
	len = (size_t)(ps->at - start);
	if (len == 4 && !memcmp(start, "null", 4)) {
		n->type = JSON5_NULL;
		return true;
	}
	n->type = JSON5_BOOL;
	n->boolean = len == 4 && !memcmp(start, "true", 4);
	if (n->boolean || (len == 5 && !memcmp(start, "false", 5)))
		return true;
	if ((len == 3 && !memcmp(start, "NaN", 3)) || (len == 8 && !memcmp(start, "Infinity", 8)))
		return refuse(ps, start, E_RANGE, "Infinity and NaN are not accepted");
	return refuse(ps, start, E_PROTO, len ? "a string must be quoted" : "a value is wanted");
}

static int key_compare(const struct json5_doc *doc, uint32_t a, uint32_t b)
{
	const struct json5_node *x = &doc->nodes[a], *y = &doc->nodes[b];

	if (x->key_len != y->key_len)
		return x->key_len < y->key_len ? -1 : 1;
	return memcmp(doc->strings + x->key, doc->strings + y->key, x->key_len);
}

static void heap_sift(const struct json5_doc *doc, uint32_t *heap, size_t at, size_t n)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		uint32_t node = heap[at];

		if (child + 1 < n && key_compare(doc, heap[child], heap[child + 1]) < 0)
			child++;
		if (key_compare(doc, node, heap[child]) >= 0)
			return;
		heap[at] = heap[child];
		heap[child] = node;
	}
}

/* In ascending order of keys. Heapsort, since text may be written to be any other's worst case. */
static void keys_sort(const struct json5_doc *doc, uint32_t *heap, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		heap_sift(doc, heap, i, n);
	while (n-- > 1) {
		uint32_t top = heap[0];

		heap[0] = heap[n];
		heap[n] = top;
		heap_sift(doc, heap, 0, n);
	}
}

/* Duplicate keys meet as neighbours once sorted. */
static bool keys_unique(struct parser *ps, const struct json5_node *object)
{
	const struct json5_doc *doc = ps->doc;
	uint32_t keys[JSON5_MEMBERS_MAX];
	char quoted[DIAG_QUOTE];
	size_t n = 0;

	for (uint32_t i = object->first; i; i = doc->nodes[i].next)
		keys[n++] = i;
	keys_sort(doc, keys, n);
	for (size_t i = 1; i < n; i++) {
		const struct json5_node *twice =
			&doc->nodes[keys[i] > keys[i - 1] ? keys[i] : keys[i - 1]];

		if (key_compare(doc, keys[i - 1], keys[i]))
			continue;
		ps->err = diag_set(ps->d, -EINVAL, E_EXISTS, "",
				   "the key %s stands twice in one object",
				   diag_quote(doc->strings + twice->key, quoted));
		if (ps->d) {
			ps->d->line = twice->line;
			ps->d->column = twice->column;
		}
		return false;
	}
	return true;
}

static bool value_take(struct parser *ps, uint32_t *index);

/* One element or member, appended after `last` (0 = the first of `parent`). */
static bool child_take(struct parser *ps, uint32_t parent, uint32_t *last)
{
	struct json5_node *nodes = ps->doc->nodes;
	bool is_member = nodes[parent].type == JSON5_OBJECT;
	uint32_t key = 0, key_len = 0, child = 0;

	if (is_member) {
		if (nodes[parent].count == JSON5_MEMBERS_MAX)
			return refuse(ps, ps->at, E_LIMIT, "an object has at most 1024 members");
		if (!key_take(ps, &key, &key_len) || !space_skip(ps))
			return false;
		if (ps->at == ps->end || *ps->at != ':')
			return refuse(ps, ps->at, E_PROTO, "a colon is wanted after the key");
		ps->at++;
		if (!space_skip(ps))
			return false;
	}
	if (!value_take(ps, &child))
		return false;
	nodes[child].key = key;
	nodes[child].key_len = key_len;
	if (*last)
		nodes[*last].next = child;
	else
		nodes[parent].first = child;
	*last = child;
	nodes[parent].count++;
	return true;
}

/* At the opening bracket of an array or object. */
static bool container_take(struct parser *ps, uint32_t index, char close)
{
	struct json5_node *n = &ps->doc->nodes[index];
	uint32_t last = 0;

	if (++ps->depth == DEEPER)
		return refuse(ps, ps->at, E_LIMIT, "nested deeper than 16 levels");
	ps->at++;
	for (;;) {
		if (!space_skip(ps))
			return false;
		if (ps->at < ps->end && *ps->at == close)
			break;
		if (ps->at == ps->end)
			goto unclosed;
		if (!child_take(ps, index, &last) || !space_skip(ps))
			return false;
		if (ps->at == ps->end)
			goto unclosed;
		if (*ps->at == close)
			break;
		if (*ps->at != ',')
			return refuse(ps, ps->at, E_PROTO,
				      close == ']' ? "a comma or ] is wanted here"
						   : "a comma or } is wanted here");
		ps->at++;
	}
	ps->at++;
	ps->depth--;
	return n->type != JSON5_OBJECT || keys_unique(ps, n);
unclosed:
	return refuse(ps, ps->at, E_PROTO,
		      close == ']' ? "the text ends before an array is closed (])"
				   : "the text ends before an object is closed (})");
}

static bool value_take(struct parser *ps, uint32_t *index)
{
	struct json5_doc *doc = ps->doc;
	struct json5_node *n;

	if (ps->at == ps->end)
		return refuse(ps, ps->at, E_PROTO, "the text ends where a value is wanted");
	if (doc->n_nodes == doc->cap_nodes)
		return refuse(ps, ps->at, E_TOO_LARGE, "the text holds too much for one reading");
	mark_move(ps, ps->at);
	*index = (uint32_t)doc->n_nodes;
	n = &doc->nodes[doc->n_nodes++];
	*n = (struct json5_node){ .line = ps->line, .column = ps->column };
	switch (*ps->at) {
	case '{':
		n->type = JSON5_OBJECT;
		return container_take(ps, *index, '}');
	case '[':
		n->type = JSON5_ARRAY;
		return container_take(ps, *index, ']');
	case '"':
	case '\'':
		n->type = JSON5_STRING;
		return string_take(ps, &n->text, &n->text_len);
	case '+':
	case '-':
	case '.':
	case '0' ... '9':
		return number_take(ps, n);
	default:
		return word_take(ps, n);
	}
}

int json5_parse(struct json5_doc *doc, const char *text, size_t len, struct diag *d)
{
	struct parser ps = {
		.doc = doc,
		.d = d,
		.at = text,
		.end = text + len,
		.mark = text,
		.line = 1,
		.column = 1,
	};
	uint32_t root;

	doc->n_nodes = 0;
	doc->len_strings = 0;
	if (len > UINT32_MAX / 2) {
		refuse(&ps, text, E_TOO_LARGE, "the text is longer than 2 GiB");
		return ps.err;
	}
	/* Offset 0 is the empty text, which nodes without key or string point to. */
	if (!put_byte(&ps, '\0') || !utf8_check(&ps) || !space_skip(&ps) ||
	    !value_take(&ps, &root) || !space_skip(&ps))
		return ps.err;
	if (ps.at != ps.end)
		refuse(&ps, ps.at, E_PROTO, "nothing may follow the one value");
	return ps.err;
}

const struct json5_node *json5_root(const struct json5_doc *doc)
{
	return &doc->nodes[0];
}

const struct json5_node *json5_get(const struct json5_doc *doc, const struct json5_node *object,
				   const char *key)
{
	if (object->type != JSON5_OBJECT)
		return NULL;
	for (uint32_t i = object->first; i; i = doc->nodes[i].next)
		if (!strcmp(doc->strings + doc->nodes[i].key, key))
			return &doc->nodes[i];
	return NULL;
}

const struct json5_node *json5_first(const struct json5_doc *doc, const struct json5_node *parent)
{
	return parent->first ? &doc->nodes[parent->first] : NULL;
}

const struct json5_node *json5_next(const struct json5_doc *doc, const struct json5_node *sibling)
{
	return sibling->next ? &doc->nodes[sibling->next] : NULL;
}

const char *json5_key(const struct json5_doc *doc, const struct json5_node *member)
{
	return doc->strings + member->key;
}

const char *json5_text(const struct json5_doc *doc, const struct json5_node *string)
{
	return doc->strings + string->text;
}

const char *json5_type_name(enum json5_type type)
{
	static const char *const names[] = {
		[JSON5_NULL] = "null",	     [JSON5_BOOL] = "true or false",
		[JSON5_NUMBER] = "a number", [JSON5_STRING] = "a string",
		[JSON5_ARRAY] = "an array",  [JSON5_OBJECT] = "an object",
	};

	return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : "nothing";
}
