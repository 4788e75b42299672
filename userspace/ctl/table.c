/* SPDX-License-Identifier: MIT */
/*
 * Tables for people. Columns are as wide as their widest cell; when that is more than 100 together,
 * the widest give way and their cells go on below themselves, so nothing is ever cut off.
 */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_WIDTH 100
#define TABLE_GAP   2

struct table {
	const struct table_column *columns;
	size_t n_columns, n_cells, cap_cells;
	char **cells; /* row after row */
};

static void *must(void *memory)
{
	if (!memory) {
		ctl_fail(CTL_REFUSED, "out of memory");
		exit(CTL_REFUSED);
	}
	return memory;
}

struct table *table_new(const struct table_column *columns, size_t n)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	t->columns = columns;
	t->n_columns = n;
	return t;
}

void table_add(struct table *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->n_cells == t->cap_cells) {
		t->cap_cells = t->cap_cells ? t->cap_cells * 2 : 64;
		t->cells = must(reallocarray(t->cells, t->cap_cells, sizeof(*t->cells)));
	}
	va_start(ap, fmt);
	n = vasprintf(&t->cells[t->n_cells], fmt, ap);
	va_end(ap);
	must(n < 0 ? NULL : t->cells[t->n_cells]);
	t->n_cells++;
}

void table_append(struct table *t, const char *fmt, ...)
{
	char **cell = &t->cells[t->n_cells - 1], *more;
	size_t have = strlen(*cell);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&more, fmt, ap);
	va_end(ap);
	must(n < 0 ? NULL : more);
	*cell = must(realloc(*cell, have + (size_t)n + 1));
	memcpy(*cell + have, more, (size_t)n + 1);
	free(more);
}

/* Characters of the first `len` bytes, each taken as one column wide. */
static size_t width_of(const char *s, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

/* Bytes of the next line of a cell, at most `width` characters, and where the one after starts. */
static size_t next_line(const char *s, size_t width, const char **rest)
{
	size_t i, chars = 0, space = 0;
	bool has_text = false;

	for (i = 0; s[i] && s[i] != '\n'; i++) {
		if (((unsigned char)s[i] & 0xc0) == 0x80)
			continue;
		if (s[i] == ' ' && has_text)
			space = i;
		has_text |= s[i] != ' ';
		if (chars++ == width)
			break;
	}
	if (!s[i] || s[i] == '\n') {
		*rest = s + i + (s[i] == '\n');
		return i;
	}
	*rest = s + (space ? space + 1 : i);
	return space ? space : i;
}

static size_t widest_line(const char *s)
{
	size_t widest = 0, len;

	while (*s) {
		len = strcspn(s, "\n");
		if (width_of(s, len) > widest)
			widest = width_of(s, len);
		s += len + (s[len] == '\n');
	}
	return widest;
}

/* Natural widths, then what must be taken away from the widest ones. */
static void fit_columns(const struct table *t, size_t *widths)
{
	size_t i, total = TABLE_GAP * (t->n_columns - 1), widest, w;

	for (i = 0; i < t->n_columns; i++)
		widths[i] = t->columns[i].head
				    ? width_of(t->columns[i].head, strlen(t->columns[i].head))
				    : 0;
	for (i = 0; i < t->n_cells; i++) {
		w = widest_line(t->cells[i]);
		w = w < TABLE_WIDTH ? w : TABLE_WIDTH;
		if (w > widths[i % t->n_columns])
			widths[i % t->n_columns] = w;
	}
	for (i = 0; i < t->n_columns; i++)
		total += widths[i];
	for (; total > TABLE_WIDTH; total--) {
		for (widest = 0, i = 1; i < t->n_columns; i++)
			if (widths[i] > widths[widest])
				widest = i;
		widths[widest]--;
	}
}

static void put_spaces(size_t n)
{
	printf("%*s", (int)n, "");
}

/* One line of a row; moves each cell's text on. False when no cell had anything left. */
static void print_line(const struct table *t, const char **row, const size_t *widths)
{
	size_t i, due = 0;

	for (i = 0; i < t->n_columns; i++) {
		const char *text = row[i];
		size_t len = next_line(text, widths[i], &row[i]);
		size_t pad = widths[i] - width_of(text, len);

		if (len) {
			put_spaces(due + (t->columns[i].is_number ? pad : 0));
			fwrite(text, 1, len, stdout);
			due = t->columns[i].is_number ? 0 : pad;
		} else {
			due += widths[i];
		}
		due += TABLE_GAP;
	}
	putchar('\n');
}

static bool has_more(const struct table *t, const char *const *row)
{
	size_t i;

	for (i = 0; i < t->n_columns; i++)
		if (*row[i])
			return true;
	return false;
}

static void print_heads(const struct table *t, const char **row, const size_t *widths)
{
	const char *term = getenv("TERM");
	bool is_bold =
		isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
	size_t i;

	for (i = 0; i < t->n_columns; i++)
		row[i] = t->columns[i].head;
	fputs(is_bold ? "\033[1m" : "", stdout);
	do {
		print_line(t, row, widths);
	} while (has_more(t, row));
	fputs(is_bold ? "\033[0m" : "", stdout);
}

static void table_free(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_print(struct table *t)
{
	size_t *widths = must(calloc(t->n_columns, sizeof(*widths)));
	const char **row = must(calloc(t->n_columns, sizeof(*row)));
	size_t at, i;

	fit_columns(t, widths);
	if (t->columns[0].head)
		print_heads(t, row, widths);
	for (at = 0; at + t->n_columns <= t->n_cells; at += t->n_columns) {
		for (i = 0; i < t->n_columns; i++)
			row[i] = t->cells[at + i];
		do {
			print_line(t, row, widths);
		} while (has_more(t, row));
	}
	free(row);
	free(widths);
	table_free(t);
}
