/* SPDX-License-Identifier: MIT */
/* IPv4 addresses, prefixes and (source, group) pairs as values, in network byte order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ip4 {
	uint32_t net; /* network order; 0 = none or any, by context */
};

struct ip4_prefix {
	struct ip4 addr;
	uint8_t len; /* 0 = every address */
};

/* A source and a group; source 0 = any: (*,G). */
struct sg {
	struct ip4 source, group;
};

#define IP4_TEXT 16 /* longest text form with its NUL */

/* Dotted quad only, nothing before or after it. 0 or -EINVAL. */
int ip4_parse(const char *text, struct ip4 *out);

/* Writes the text form into `buf` and returns it. */
const char *ip4_format(struct ip4 addr, char buf[IP4_TEXT]);

#define IP4_PREFIX_TEXT 19 /* with its NUL */

/*
 * "239.0.0.0/8", or an address alone, which is /32. 0, or -EINVAL, also for an address that has
 * bits behind the prefix.
 */
int ip4_prefix_parse(const char *text, struct ip4_prefix *out);

/* The same text; /32 is left out. */
const char *ip4_prefix_format(struct ip4_prefix prefix, char buf[IP4_PREFIX_TEXT]);

static inline struct ip4 ip4_from_host(uint32_t host)
{
	return (struct ip4){ __builtin_bswap32(host) };
}

static inline uint32_t ip4_host(struct ip4 a)
{
	return __builtin_bswap32(a.net);
}

bool ip4_is_multicast(struct ip4 a);  /* 224.0.0.0/4 */
bool ip4_is_linklocal_group(struct ip4 a); /* 224.0.0.0/24: never relayed, RFC 5771 §4 */
bool ip4_is_unicast(struct ip4 a);    /* not 0/8, 127/8, 224/4 or above */

static inline bool ip4_equal(struct ip4 a, struct ip4 b)
{
	return a.net == b.net;
}

/* Is `a` numerically lower? */
static inline bool ip4_before(struct ip4 a, struct ip4 b)
{
	return ip4_host(a) < ip4_host(b);
}

static inline bool ip4_in(struct ip4 a, struct ip4_prefix p)
{
	return p.len == 0 || (ip4_host(a) ^ ip4_host(p.addr)) >> (32 - p.len) == 0;
}

static inline bool ip4_prefix_equal(struct ip4_prefix a, struct ip4_prefix b)
{
	return ip4_equal(a.addr, b.addr) && a.len == b.len;
}

static inline bool sg_equal(struct sg a, struct sg b)
{
	return ip4_equal(a.source, b.source) && ip4_equal(a.group, b.group);
}
