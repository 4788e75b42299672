/* SPDX-License-Identifier: MIT */
/* Error records: filling them, and making hostile text fit to stand in a sentence. */
#include "base/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[DIAG__COUNT] = {
	[DIAG_OK] = "OK",
	[E_PROTO] = "E_PROTO",
	[E_UNKNOWN_COMMAND] = "E_UNKNOWN_COMMAND",
	[E_UNKNOWN_KEY] = "E_UNKNOWN_KEY",
	[E_MISSING] = "E_MISSING",
	[E_TYPE] = "E_TYPE",
	[E_RANGE] = "E_RANGE",
	[E_BAD_ADDR] = "E_BAD_ADDR",
	[E_IF_NAME] = "E_IF_NAME",
	[E_IF_NOT_FOUND] = "E_IF_NOT_FOUND",
	[E_EXISTS] = "E_EXISTS",
	[E_NOT_FOUND] = "E_NOT_FOUND",
	[E_LOOP] = "E_LOOP",
	[E_LIMIT] = "E_LIMIT",
	[E_TOO_LARGE] = "E_TOO_LARGE",
	[E_PERM] = "E_PERM",
	[E_BUSY] = "E_BUSY",
	[E_UNSUPPORTED] = "E_UNSUPPORTED",
	[E_KERNEL] = "E_KERNEL",
	[E_IO] = "E_IO",
	[E_STATE] = "E_STATE",
};

/* The longest length ≤ `len` that does not end within a UTF-8 sequence of `text`. */
static size_t utf8_cut(const char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Copies as much as fits, in whole characters. */
static void copy_text(char *to, size_t cap, const char *from)
{
	size_t len = strlen(from);

	if (len >= cap)
		len = utf8_cut(from, cap - 1);
	memcpy(to, from, len);
	to[len] = '\0';
}

int diag_set(struct diag *d, int err, enum diag_code code, const char *where, const char *fmt, ...)
{
	char what[2 * sizeof(d->what)];
	va_list ap;

	if (!d)
		return err;
	d->code = code;
	d->line = 0;
	d->column = 0;
	copy_text(d->where, sizeof(d->where), where);
	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	copy_text(d->what, sizeof(d->what), what);
	return err;
}

const char *diag_code_name(enum diag_code code)
{
	return (unsigned)code < DIAG__COUNT ? code_names[code] : "E_UNKNOWN";
}

const char *diag_quote(const char *text, char buf[DIAG_QUOTE])
{
	size_t len = strlen(text), max = DIAG_QUOTE - sizeof("\"…\""), cut = len;

	if (len > max)
		cut = utf8_cut(text, max);
	buf[0] = '"';
	for (size_t i = 0; i < cut; i++) {
		unsigned char c = (unsigned char)text[i];
		/* A terminal takes U+0080…U+009F, encoded c2 80…9f, for control characters too. */
		bool c1 = c >= 0x80 && c < 0xa0 && i && (unsigned char)text[i - 1] == 0xc2;

		if (c1)
			buf[i] = '?'; /* and so its first byte */
		buf[i + 1] = c < 0x20 || c == 0x7f || c1 ? '?' : text[i];
	}
	strcpy(buf + 1 + cut, cut < len ? "…\"" : "\"");
	return buf;
}
