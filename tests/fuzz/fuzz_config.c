/* SPDX-License-Identifier: MIT */
/*
 * Configurations and AddRule requests from any bytes. What is accepted must read back equal from
 * what is shown of it; what is refused must have a code, a line and a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct diag *d)
{
	if (d->code == DIAG_OK || !d->line || !d->column || !d->what[0])
		abort();
}

static void check_shown(const struct config *cfg)
{
	cJSON *shown = config_show(cfg);
	char *text = shown ? cJSON_PrintUnformatted(shown) : NULL;
	struct config *again = NULL, *copy = config_clone(cfg);

	if (!text || !copy || config_read(&again, text, strlen(text), NULL) ||
	    !config_equal(cfg, again) || !config_equal(cfg, copy))
		abort();
	config_free(again);
	config_free(copy);
	free(text);
	cJSON_Delete(shown);
}

static void run_flat_rule(const char *text, size_t size)
{
	static const char *const also[] = { "command", "id", "dry_run", NULL };
	struct json5_doc doc = {
		.cap_nodes = json5_nodes_needed(size),
		.cap_strings = json5_strings_needed(size),
	};
	struct diag d = { 0 };
	struct rule r;

	doc.nodes = malloc(doc.cap_nodes * sizeof(*doc.nodes));
	doc.strings = malloc(doc.cap_strings);
	if (!doc.nodes || !doc.strings)
		abort();
	if (!json5_parse(&doc, text, size, &d)) {
		if (config_read_flat_rule(&r, &doc, json5_root(&doc), also, &d))
			check_refusal(&d);
		else
			cJSON_Delete(config_show_rule(&r));
		rule_free_outputs(&r);
	}
	free(doc.nodes);
	free(doc.strings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *cfg = NULL;
	struct diag d = { 0 };

	if (config_read(&cfg, (const char *)data, size, &d))
		check_refusal(&d);
	else
		check_shown(cfg);
	config_free(cfg);
	run_flat_rule((const char *)data, size);
	return 0;
}
