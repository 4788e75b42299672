/* SPDX-License-Identifier: MIT */
/* RFC 791 and RFC 768 headers; the identification field is kept, RFC 6864 §4. */
#include <string.h>

#include "base/cksum.h"
#include "worker/header.h"

uint8_t header_ttl(const struct mcr_flow *flow, const struct wm_output *out)
{
	if (out->ttl)
		return out->ttl;
	return flow->ttl > 1 ? (uint8_t)(flow->ttl - 1) : 0;
}

uint8_t header_tos(const struct mcr_flow *flow, const struct wm_output *out)
{
	return out->dscp < 0 ? flow->tos : (uint8_t)(out->dscp << 2 | (flow->tos & 3));
}

uint32_t header_ip(uint8_t *at, const struct run *r, const struct wm_output *out, uint32_t bytes)
{
	struct iphdr ip;
	struct udphdr udp;
	uint32_t len = sizeof(ip);

	if (r->flow.protocol == IPPROTO_UDP)
		len += sizeof(udp);
	memcpy(&ip, r->head + ETH_HLEN, sizeof(ip));
	ip.tos = header_tos(&r->flow, out);
	ip.tot_len = htons((uint16_t)(len + bytes));
	ip.ttl = header_ttl(&r->flow, out);
	ip.daddr = out->group;
	if (!out->keeps_source)
		ip.saddr = out->source;
	ip.check = 0;
	ip.check = cksum_finish(cksum_add(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
	if (r->flow.protocol != IPPROTO_UDP)
		return len;
	udp.source = r->flow.sport;
	udp.dest = out->port ? htons(out->port) : r->flow.dport;
	udp.len = htons((uint16_t)(sizeof(udp) + bytes));
	udp.check = 0;
	if (r->checksum != FRAME_CSUM_NONE)
		udp.check =
			cksum_fold(cksum_pseudo(ip.saddr, ip.daddr, IPPROTO_UDP, ntohs(udp.len)));
	memcpy(at + sizeof(ip), &udp, sizeof(udp));
	return len;
}

uint32_t header_frame(uint8_t *at, const struct run *r, const struct wm_output *out, uint32_t bytes)
{
	struct ethhdr eth = { .h_proto = htons(ETH_P_IP) };

	memcpy(eth.h_dest, out->dst_mac, ETH_ALEN);
	memcpy(eth.h_source, out->src_mac, ETH_ALEN);
	memcpy(at, &eth, sizeof(eth));
	return ETH_HLEN + header_ip(at + ETH_HLEN, r, out, bytes);
}

uint32_t header_register(uint8_t *at, const struct run *r, uint32_t bytes)
{
	/* version 2, type 1; neither from a border router nor a Null-Register */
	static const uint8_t head[HEADER_REGISTER] = { 0x21, 0, 0xde, 0xff, 0, 0, 0, 0 };
	const struct wm_output as_it_came = {
		.group = r->flow.group,
		.ttl = r->flow.ttl,
		.dscp = -1,
		.keeps_source = 1,
	};

	memcpy(at, head, sizeof(head));
	return HEADER_REGISTER + header_ip(at + HEADER_REGISTER, r, &as_it_came, bytes);
}

void header_raw_checksum(uint8_t *ip, const struct run *r, uint32_t payload)
{
	struct udphdr udp;

	if (r->checksum == FRAME_CSUM_NONE)
		return;
	memcpy(&udp, ip + sizeof(struct iphdr), sizeof(udp));
	/* the field holds the pseudo-header's sum, which is part of the whole */
	udp.check = cksum_finish_udp(cksum_add(&udp, sizeof(udp), payload));
	memcpy(ip + sizeof(struct iphdr), &udp, sizeof(udp));
}
