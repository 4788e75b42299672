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

int ip4_parse(const char *text, struct ip4 *out)
{
	uint8_t b[4];

	for (int i = 0; i < 4; i++) {
		if (i > 0 && *text++ != '.')
			return -EINVAL;
		text = octet_parse(text, &b[i]);
		if (!text)
			return -EINVAL;
	}
	if (*text)
		return -EINVAL;
	memcpy(&out->net, b, sizeof(b));
	return 0;
}

const char *ip4_format(struct ip4 addr, char buf[IP4_TEXT])
{
	uint32_t host = ip4_host(addr);
	char *p = buf;

	for (int shift = 24; shift >= 0; shift -= 8) {
		unsigned octet = host >> shift & 0xff;

		if (octet >= 100)
			*p++ = (char)('0' + octet / 100);
		if (octet >= 10)
			*p++ = (char)('0' + octet / 10 % 10);
		*p++ = (char)('0' + octet % 10);
		*p++ = shift ? '.' : '\0';
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
