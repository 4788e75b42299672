/* SPDX-License-Identifier: MIT */
/* The IPv4 header of protocol packets, as a raw socket gives it (RFC 791). */
#pragma once

#include "base/bytes.h"

enum { IP_PROTO_IGMP = 2, IP_PROTO_PIM = 103 };

struct ip_head {
	struct ip4 source, dst;
	uint8_t protocol, ttl, tos;
	bool has_router_alert; /* RFC 2113 */
};

/*
 * Reads a header and gives what it carries, without what lies behind the packet's own length.
 * False when it is no IPv4 header, a fragment, or longer than what there is.
 */
bool ip_read(const void *packet, size_t len, struct ip_head *head, struct rd *payload);
