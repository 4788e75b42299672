/* SPDX-License-Identifier: MIT */
/*
 * A bounded JSON5 reader for text that anybody may have written: comments, trailing commas,
 * unquoted keys, single quotes, hexadecimal numbers; every value remembers its line and column.
 * It allocates nothing: nodes and decoded strings go into memory of the caller. It refuses
 * duplicate keys, depth above JSON5_DEPTH_MAX, more than JSON5_MEMBERS_MAX keys in one object,
 * invalid UTF-8, U+0000 in strings, Infinity and NaN, number tokens above 24 characters, unquoted
 * keys beyond ASCII, and anything after the one value. Plain JSON is a subset, so requests are
 * read by it too. Time is linear in the text, whatever is in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

#define JSON5_DEPTH_MAX 16
#define JSON5_MEMBERS_MAX 1024

enum json5_type {
	JSON5_NULL,
	JSON5_BOOL,
	JSON5_NUMBER,
	JSON5_STRING,
	JSON5_ARRAY,
	JSON5_OBJECT,
};

struct json5_node {
	uint8_t type;              /* enum json5_type */
	bool boolean;
	bool is_integer;           /* number without fraction or exponent that fits int64 */
	uint32_t line, column;     /* of its first character, 1-based */
	uint32_t key, key_len;     /* offset in doc->strings; members of objects only */
	uint32_t text, text_len;   /* string value, NUL-terminated in doc->strings */
	uint32_t first, next;      /* index of first child, of next sibling; 0 = none */
	uint32_t count;            /* children */
	int64_t integer;
	double number;
};

struct json5_doc {
	struct json5_node *nodes;  /* nodes[0] is the root once parsed */
	size_t n_nodes, cap_nodes;
	char *strings;
	size_t len_strings, cap_strings;
};

/* How many nodes and string bytes text of `len` bytes can need at most. */
size_t json5_nodes_needed(size_t len);
size_t json5_strings_needed(size_t len);

/* A closer bound for nodes, by a look at this very text. */
size_t json5_nodes_bound(const char *text, size_t len);

/*
 * Parses `len` bytes; the caller has set nodes, strings and their capacities in `doc`. 0, or
 * -EINVAL with line, column and a sentence in `d`, or -E2BIG when a capacity does not suffice.
 */
int json5_parse(struct json5_doc *doc, const char *text, size_t len, struct diag *d);

const struct json5_node *json5_root(const struct json5_doc *doc);
const struct json5_node *json5_get(const struct json5_doc *doc, const struct json5_node *object,
				   const char *key); /* NULL when absent */
const struct json5_node *json5_first(const struct json5_doc *doc, const struct json5_node *parent);
const struct json5_node *json5_next(const struct json5_doc *doc, const struct json5_node *sibling);
const char *json5_key(const struct json5_doc *doc, const struct json5_node *member);
const char *json5_text(const struct json5_doc *doc, const struct json5_node *string);
const char *json5_type_name(enum json5_type type);
