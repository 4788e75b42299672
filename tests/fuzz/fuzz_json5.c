/* SPDX-License-Identifier: MIT */
/* The JSON5 reader on any bytes, in memory of exactly the size that its bounds promise to do. */
#include <stdlib.h>
#include <string.h>

#include "base/json5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every node is reached once, by a tree that is as the counts say. */
static size_t walk(const struct json5_doc *doc, const struct json5_node *n)
{
	size_t nodes = 1, children = 0;

	if (n->type == JSON5_STRING && strlen(json5_text(doc, n)) != n->text_len)
		abort();
	for (const struct json5_node *c = json5_first(doc, n); c; c = json5_next(doc, c)) {
		if (c->line < n->line || strlen(json5_key(doc, c)) != c->key_len)
			abort();
		if (n->type == JSON5_OBJECT && json5_get(doc, n, json5_key(doc, c)) != c)
			abort();
		nodes += walk(doc, c);
		children++;
	}
	if (children != n->count)
		abort();
	return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json5_doc doc = {
		.cap_nodes = json5_nodes_bound((const char *)data, size),
		.cap_strings = json5_strings_needed(size),
	};
	struct diag d = { 0 };

	doc.nodes = malloc(doc.cap_nodes * sizeof(*doc.nodes));
	doc.strings = malloc(doc.cap_strings);
	if (!doc.nodes || !doc.strings)
		abort();
	if (!json5_parse(&doc, (const char *)data, size, &d)) {
		if (doc.n_nodes > json5_nodes_needed(size) ||
		    walk(&doc, json5_root(&doc)) != doc.n_nodes)
			abort();
	} else if (d.code == E_TOO_LARGE || !d.line || !d.column || !d.what[0]) {
		abort();
	}
	free(doc.nodes);
	free(doc.strings);
	return 0;
}
