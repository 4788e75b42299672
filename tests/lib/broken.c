/* SPDX-License-Identifier: MIT */
/*
 * Sends every configuration of tests/golden/config/broken.txt to a running daemon, which must
 * refuse each with the code, the position and the path that the file says, and a reason, and must
 * go on with what it has: GetConfig says the same after each.
 *	broken SOCKET FILE
 */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mcr/client.h"

#define ANSWER_MS 10000
#define FILE_MAX  (1u << 20)

struct broken {
	bool is_raw;	  /* the text had \xNN in it */
	bool is_sendable; /* as a string of a request: NUL and what is no UTF-8 are not */
	char code[32], where[128];
	unsigned line, column;
	char *text;
	size_t len;
};

static size_t unescape(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; n++) {
		unsigned byte;

		if (len - i >= 4 && sscanf(text + i, "\\x%2x", &byte) == 1) {
			text[n] = (char)byte;
			i += 4;
		} else {
			text[n] = text[i++];
		}
	}
	return n;
}

/* Takes the case at `at`; where the next one is, NULL at the end. */
static char *broken_next(struct broken *b, char *at)
{
	char *body = strchr(at, '\n'), *next;

	if (!body || strncmp(at, "=== end", 7) == 0)
		return NULL;
	next = strstr(body, "\n===");
	if (!next)
		next = body + strlen(body) - 1;
	b->is_raw = strncmp(at, "=== raw ", 8) == 0;
	if (sscanf(at + (b->is_raw ? 8 : 4), "%31s %u:%u %127[^\n]", b->code, &b->line, &b->column,
		   b->where) != 4) {
		fprintf(stderr, "broken: not a header: %.40s\n", at);
		exit(2);
	}
	if (strcmp(b->where, "-") == 0)
		b->where[0] = '\0';
	b->text = body + 1;
	b->len = next > body ? (size_t)(next - body - 1) : 0;
	if (b->is_raw)
		b->len = unescape(b->text, b->len);
	return next + 1;
}

/* The request as one line. JSON has no way to say a byte that is not of UTF-8, so those are put in
 * as they are; every other byte that needs it is escaped. */
static char *request_text(struct broken *b)
{
	char *line = malloc(6 * b->len + 128);
	size_t n;

	if (!line)
		exit(2);
	b->is_sendable = true;
	n = (size_t)sprintf(line,
			    "{\"command\":\"LoadConfig\",\"replace\":true,\"config_text\":\"");
	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = (unsigned char)b->text[i];

		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
			n += (size_t)sprintf(line + n, "\\u%04x", c);
		else
			line[n++] = (char)c;
		if (!c || (b->is_raw && c >= 0x80))
			b->is_sendable = false;
	}
	strcpy(line + n, "\"}");
	return line;
}

static const char *text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static unsigned number_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? (unsigned)v->valuedouble : 0;
}

/* Bytes that no string of a request can hold break the request itself, whose positions are its own.
 */
static bool is_refused_right(const struct broken *b, const cJSON *reply)
{
	bool is_told = strcmp(text_of(reply, "status"), "error") == 0 &&
		       strcmp(text_of(reply, "error_code"), b->code) == 0 &&
		       strlen(text_of(reply, "message")) > 10;

	if (!b->is_sendable)
		return is_told && number_of(reply, "line") == 1;
	return is_told && number_of(reply, "line") == b->line &&
	       number_of(reply, "column") == b->column &&
	       strcmp(text_of(reply, "where"), b->where) == 0;
}

static char *ask(struct mcr_client *c, const char *line)
{
	const char *reply;
	int err = mcr_client_request(c, line, &reply, NULL, ANSWER_MS);
	char *copy = err ? NULL : strdup(reply);

	if (copy)
		return copy;
	fprintf(stderr, "broken: %.200s: %s\n", line, strerror(-err));
	exit(2);
}

static bool try_one(struct mcr_client *c, struct broken *b, const char *config)
{
	char *line = request_text(b), *text = ask(c, line), *after;
	cJSON *reply = cJSON_Parse(text);
	bool is_good = reply && is_refused_right(b, reply);

	after = ask(c, "{\"command\":\"GetConfig\"}");
	if (!is_good)
		printf("%s\n  wanted %s %u:%u %s\n  got %s\n", line, b->code, b->line, b->column,
		       b->where, text);
	if (strcmp(after, config)) {
		printf("%s\n  changed the configuration\n", line);
		is_good = false;
	}
	cJSON_Delete(reply);
	free(after);
	free(text);
	free(line);
	return is_good;
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, FILE_MAX);
	size_t len;

	if (!f || !text) {
		perror(path);
		exit(2);
	}
	len = fread(text, 1, FILE_MAX - 1, f);
	fclose(f);
	if (len)
		return text;
	fprintf(stderr, "broken: %s is empty\n", path);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned n = 0, wrong = 0, unsendable = 0;
	struct mcr_client *c;
	struct broken b;
	char *file, *config;
	int err;

	if (argc != 3) {
		fputs("usage: broken SOCKET FILE\n", stderr);
		return 2;
	}
	file = slurp(argv[2]);
	err = mcr_client_open(&c, argv[1], ANSWER_MS);
	if (err) {
		fprintf(stderr, "broken: %s: %s\n", argv[1], strerror(-err));
		return 2;
	}
	config = ask(c, "{\"command\":\"GetConfig\"}");
	for (char *at = strstr(file, "\n===") + 1, *next; (next = broken_next(&b, at)); at = next) {
		n++;
		wrong += !try_one(c, &b, config);
		unsendable += !b.is_sendable;
	}
	printf("sent %u wrong %u not_sendable %u\n", n, wrong, unsendable);
	free(config);
	free(file);
	mcr_client_close(c);
	return wrong ? 1 : 0;
}
