/* SPDX-License-Identifier: MIT */
/* Reading IPv4 headers. */
#include "wire/ip.h"

#define FRAGMENT     0x3fff /* more to come, or not the first */
#define ROUTER_ALERT 0x94
#define END	     0
#define NOP	     1

/* Is there a router alert among the options? What does not make sense ends the search. */
static bool has_router_alert(struct rd options)
{
	while (rd_left(&options)) {
		uint8_t type = rd_u8(&options), len;

		if (type == ROUTER_ALERT)
			return rd_u8(&options) == 4 && rd_left(&options) >= 2;
		if (type == END)
			return false;
		if (type == NOP)
			continue;
		len = rd_u8(&options);
		if (len < 2)
			return false;
		rd_sub(&options, len - 2u);
	}
	return false;
}

bool ip_read(const void *packet, size_t len, struct ip_head *head, struct rd *payload)
{
	struct rd r = rd_init(packet, len), options;
	uint8_t version_ihl = rd_u8(&r);
	uint16_t total, fragment, header = (uint16_t)((version_ihl & 15) * 4);

	*head = (struct ip_head){ .tos = rd_u8(&r) };
	total = rd_u16(&r);
	rd_u16(&r);
	fragment = rd_u16(&r);
	head->ttl = rd_u8(&r);
	head->protocol = rd_u8(&r);
	rd_u16(&r);
	head->source = rd_ip4(&r);
	head->dst = rd_ip4(&r);
	if (rd_failed(&r) || version_ihl >> 4 != 4 || header < 20 || fragment & FRAGMENT)
		return false;
	options = rd_sub(&r, header - 20u);
	if (rd_failed(&options) || total < header)
		return false;
	head->has_router_alert = has_router_alert(options);
	*payload = rd_sub(&r, (size_t)total - header);
	return !rd_failed(payload);
}
