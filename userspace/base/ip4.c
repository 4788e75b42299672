/* SPDX-License-Identifier: MIT */
/* IPv4 addresses: text form and kinds. Written out, since base/ may not call the resolver's. */
#include "base/ip4.h"

#include <errno.h>
#include <string.h>

/* One number 0–255 without leading zeros, which inet_aton would take for octal. */
static const char *octet_parse(const char *text, uint8_t *out)
{
	unsigned value = 0;
	const char *p = text;

	while (*p >= '0' && *p <= '9' && p - text < 3)
		value = value * 10 + (unsigned)(*p++ - '0');
	if (p == text || value > 255 || (*text == '0' && p - text > 1))
		return NULL;
	*out = (uint8_t)value;
	return p;
}

/* Four of them with dots in between; what follows, or NULL. */
static const char *quad_parse(const char *text, struct ip4 *out)
{
	uint8_t b[4];

	for (int i = 0; i < 4; i++) {
		if (i > 0 && *text++ != '.')
			return NULL;
		text = octet_parse(text, &b[i]);
		if (!text)
			return NULL;
	}
	memcpy(&out->net, b, sizeof(b));
	return text;
}

int ip4_parse(const char *text, struct ip4 *out)
{
	struct ip4 addr;

	text = quad_parse(text, &addr);
	if (!text || *text)
		return -EINVAL;
	*out = addr;
	return 0;
}

int ip4_prefix_parse(const char *text, struct ip4_prefix *out)
{
	struct ip4_prefix p = { .len = 32 };

	text = quad_parse(text, &p.addr);
	if (text && *text == '/')
		text = octet_parse(text + 1, &p.len);
	if (!text || *text || p.len > 32)
		return -EINVAL;
	if (p.len < 32 && ip4_host(p.addr) << p.len)
		return -EINVAL;
	*out = p;
	return 0;
}

static char *number_format(unsigned number, char *p)
{
	if (number >= 100)
		*p++ = (char)('0' + number / 100);
	if (number >= 10)
		*p++ = (char)('0' + number / 10 % 10);
	*p++ = (char)('0' + number % 10);
	return p;
}

static char *quad_format(struct ip4 addr, char *p)
{
	uint32_t host = ip4_host(addr);

	for (int shift = 24; shift >= 0; shift -= 8) {
		p = number_format(host >> shift & 0xff, p);
		*p++ = shift ? '.' : '\0';
	}
	return p - 1;
}

const char *ip4_format(struct ip4 addr, char buf[IP4_TEXT])
{
	quad_format(addr, buf);
	return buf;
}

const char *ip4_prefix_format(struct ip4_prefix prefix, char buf[IP4_PREFIX_TEXT])
{
	char *p = quad_format(prefix.addr, buf);

	if (prefix.len < 32) {
		*p++ = '/';
		*number_format(prefix.len, p) = '\0';
	}
	return buf;
}

bool ip4_is_multicast(struct ip4 a)
{
	return ip4_host(a) >> 28 == 0xe;
}

bool ip4_is_linklocal_group(struct ip4 a)
{
	return ip4_host(a) >> 8 == 0xe00000;
}

bool ip4_is_unicast(struct ip4 a)
{
	uint32_t first = ip4_host(a) >> 24;

	return first != 0 && first != 127 && first < 224;
}
