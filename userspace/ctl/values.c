/* SPDX-License-Identifier: MIT */
/* Reading replies. What the daemon sent is data: absent, of another type or hostile as it may be.
 */
#include "ctl/ctl.h"

#include <math.h>
#include <string.h>

#define NUMBER_BOUND 1e20

const cJSON *json_member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

const char *json_text(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(json_member(object, key));

	return text ? text : "";
}

/* No counter reaches the bound; it keeps a number from being hundreds of digits wide. */
double json_value(const cJSON *v)
{
	if (!cJSON_IsNumber(v) || isnan(v->valuedouble))
		return 0;
	return fmax(-NUMBER_BOUND, fmin(NUMBER_BOUND, v->valuedouble));
}

double json_number(const cJSON *object, const char *key)
{
	return json_value(json_member(object, key));
}

bool json_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(json_member(object, key));
}

double json_count(const cJSON *object, const char *key)
{
	const cJSON *v = json_member(object, key);

	return cJSON_IsNumber(v) ? json_value(v) : cJSON_GetArraySize(v);
}

size_t printable_length(const unsigned char *s)
{
	static const unsigned char least[] = { 0, 0, 0xc2, 0xe0, 0xf0 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4, i;

	if (n == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (n == 0 || s[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (s[0] == least[n] &&
	    ((n == 2 && s[1] < 0xa0) || (n == 3 && s[1] < 0xa0) || (n == 4 && s[1] < 0x90)))
		return 0; /* U+0080…009f, or longer than it need be */
	return n;
}

static bool is_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	for (; *s; s += n) {
		n = printable_length(s);
		if (n == 0)
			return false;
	}
	return true;
}

/* A printable copy in place of *text, which cJSON owns. */
static void replace(char **text)
{
	char *copy, *to;
	size_t n;

	if (!*text || is_printable(*text))
		return;
	copy = to = cJSON_malloc(4 * strlen(*text) + 1);
	for (const unsigned char *s = (const unsigned char *)*text; *s; s += n ? n : 1) {
		n = printable_length(s);
		if (n) {
			memcpy(to, s, n);
			to += n;
		} else {
			to += sprintf(to, "\\x%02x", *s);
		}
	}
	*to = '\0';
	cJSON_free(*text);
	*text = copy;
}

void json_make_printable(cJSON *value)
{
	cJSON *child;

	replace(&value->string);
	if (cJSON_IsString(value))
		replace(&value->valuestring);
	cJSON_ArrayForEach (child, value)
		json_make_printable(child);
}

void text_write(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	for (; *s; s += n ? n : 1) {
		n = printable_length(s);
		if (n)
			fwrite(s, 1, n, f);
		else
			fprintf(f, "\\x%02x", *s);
	}
}

const char *value_count(char buf[VALUE_TEXT], double n)
{
	snprintf(buf, VALUE_TEXT, "%.0f", n);
	return buf;
}

const char *value_rate(char buf[VALUE_TEXT], double n)
{
	static const char *const units[] = { "", " k", " M", " G", " T" };
	size_t unit = 0;

	while (fabs(n) >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1000;
		unit++;
	}
	snprintf(buf, VALUE_TEXT, "%.*f%s",
		 unit == 0 || n >= 99.95 ? 0
		 : n >= 9.995		 ? 1
					 : 2,
		 n, units[unit]);
	return buf;
}

const char *value_ms(char buf[VALUE_TEXT], double ms)
{
	double s = floor(ms / 1000), minutes = floor(s / 60), hours = floor(minutes / 60);

	if (s < 1)
		snprintf(buf, VALUE_TEXT, "%.0f ms", floor(ms));
	else if (minutes < 1)
		snprintf(buf, VALUE_TEXT, "%.0f s", s);
	else if (hours < 1)
		snprintf(buf, VALUE_TEXT, "%.0f min %.0f s", minutes, s - minutes * 60);
	else if (hours < 48)
		snprintf(buf, VALUE_TEXT, "%.0f h %.0f min", hours, minutes - hours * 60);
	else
		snprintf(buf, VALUE_TEXT, "%.0f d %.0f h", floor(hours / 24), fmod(hours, 24));
	return buf;
}

const char *value_ago(char buf[VALUE_TEXT], double ms)
{
	char span[VALUE_TEXT];

	if (ms < 0)
		snprintf(buf, VALUE_TEXT, "never");
	else
		snprintf(buf, VALUE_TEXT, "%.26s ago", value_ms(span, ms));
	return buf;
}
