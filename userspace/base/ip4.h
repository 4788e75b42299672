/* SPDX-License-Identifier: MIT */
/* An IPv4 address as a value, in network byte order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ip4 {
	uint32_t net; /* network order; 0 = none or any, by context */
};

#define IP4_TEXT 16 /* longest text form with its NUL */

/* Dotted quad only, nothing before or after it. 0 or -EINVAL. */
int ip4_parse(const char *text, struct ip4 *out);

/* Writes the text form into `buf` and returns it. */
const char *ip4_format(struct ip4 addr, char buf[IP4_TEXT]);

bool ip4_is_multicast(struct ip4 a);  /* 224.0.0.0/4 */
bool ip4_is_linklocal_group(struct ip4 a); /* 224.0.0.0/24: never relayed, RFC 5771 §4 */
bool ip4_is_unicast(struct ip4 a);    /* not 0/8, 127/8, 224/4 or above */

static inline bool ip4_equal(struct ip4 a, struct ip4 b)
{
	return a.net == b.net;
}
