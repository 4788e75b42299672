/* SPDX-License-Identifier: MIT */
/*
 * What a frame is, decided by one piece of code for all who ask: the XDP program, the filter of
 * the packet socket, and the worker. Reads headers only, never past `end`, keeps no state.
 * RFC 791 (IPv4), RFC 768 (UDP), RFC 1112 §6.4 (group addresses).
 */
#pragma once

#include <linux/if_ether.h>
#if defined(__bpf__)
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#else
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#endif

#include "mcr/abi.h"

#if defined(__bpf__)
#include <bpf/bpf_endian.h>
#define mcr_be16(x) bpf_htons(x)
#define mcr_be32(x) bpf_htonl(x)
#define mcr_inline static __attribute__((always_inline)) inline
#else
#include <arpa/inet.h>
#define mcr_be16(x) htons(x)
#define mcr_be32(x) htonl(x)
#define mcr_inline static inline
#endif

#define MCR_HDR_UDP (ETH_HLEN + 20 + 8) /* headers of a frame that can be relayed: no IP options */
#define MCR_HDR_IP (ETH_HLEN + 20)

/*
 * Headers as they lie behind 14 bytes of Ethernet. In userspace frames begin anywhere, and a plain
 * struct would promise the compiler an alignment; in the kernel they begin where the verifier and
 * the drivers see to it.
 */
#if defined(__bpf__)
#define mcr_anywhere
#else
#define mcr_anywhere __attribute__((packed))
#endif
struct mcr_ip {
	struct iphdr h;
} mcr_anywhere;
struct mcr_udp {
	struct udphdr h;
} mcr_anywhere;

/* The part of a frame that rules and outputs look at. Addresses in network order. */
struct mcr_flow {
	__be32 group, source;
	__be16 dport, sport;     /* network order; 0 for ESP */
	__u16 ip_len;            /* total length that the IP header claims */
	__u8 protocol, ttl, tos, df;
};

/*
 * Reads the IPv4 header that `frame` starts with after Ethernet. Returns MCR_V__COUNT when the
 * frame could match a rule by its destination alone, with `flow` filled as far as the destination;
 * otherwise the verdict it has already met.
 */
mcr_inline int mcr_classify_l3(const void *frame, const void *end, struct mcr_flow *flow)
{
	const struct ethhdr *eth = frame;
	const struct mcr_ip *ip = (const void *)(eth + 1);

	if ((const void *)(eth + 1) > end)
		return MCR_V_not_ip4;
	if (eth->h_proto == mcr_be16(ETH_P_8021Q) || eth->h_proto == mcr_be16(ETH_P_8021AD))
		return MCR_V_vlan;
	if (eth->h_proto != mcr_be16(ETH_P_IP))
		return MCR_V_not_ip4;
	if ((const void *)(ip + 1) > end || ip->h.version != 4 || ip->h.ihl < 5)
		return MCR_V_malformed;
	if (ip->h.protocol == IPPROTO_IGMP || ip->h.protocol == IPPROTO_PIM ||
	    (ip->h.daddr & mcr_be32(0xffffff00)) == mcr_be32(0xe0000000))
		return MCR_V_control;
	if (ip->h.protocol != IPPROTO_UDP && ip->h.protocol != IPPROTO_ESP)
		return MCR_V_not_relayed;
	flow->group = ip->h.daddr;
	flow->protocol = ip->h.protocol;
	return MCR_V__COUNT;
}

mcr_inline int mcr_is_unicast(__be32 addr)
{
	return (addr & mcr_be32(0xff000000)) != 0 &&
	       (addr & mcr_be32(0xff000000)) != mcr_be32(0x7f000000) &&
	       (addr & mcr_be32(0xe0000000)) != mcr_be32(0xe0000000);
}

/*
 * The rest, for a frame whose destination some rule has. `frame_len` is the whole frame's length,
 * of which at least the headers lie before `end`. Returns MCR_V__COUNT when the rules can be
 * asked, else the verdict. TTL is the rule's business.
 */
mcr_inline int mcr_classify_l4(const void *frame, const void *end, __u32 frame_len,
			       struct mcr_flow *flow)
{
	const struct mcr_ip *ip = (const void *)((const struct ethhdr *)frame + 1);
	const struct mcr_udp *udp = (const void *)(ip + 1);
	__u32 ip_len;

	if ((const void *)(ip + 1) > end)
		return MCR_V_malformed;
	if (ip->h.ihl != 5)
		return MCR_V_ip_options;
	ip_len = mcr_be16(ip->h.tot_len);
	if (ip_len < sizeof(*ip) || ip_len > frame_len - ETH_HLEN)
		return MCR_V_malformed;
	if (ip->h.frag_off & mcr_be16(0x3fff)) /* more fragments, or an offset */
		return MCR_V_fragment;
	if (!mcr_is_unicast(ip->h.saddr))
		return MCR_V_bad_source;
	flow->source = ip->h.saddr;
	flow->ip_len = ip_len;
	flow->ttl = ip->h.ttl;
	flow->tos = ip->h.tos;
	flow->df = (ip->h.frag_off & mcr_be16(0x4000)) != 0;
	flow->sport = 0;
	flow->dport = 0;
	if (ip->h.protocol != IPPROTO_UDP)
		return MCR_V__COUNT;
	if ((const void *)(udp + 1) > end || mcr_be16(udp->h.len) != ip_len - sizeof(*ip) ||
	    ip_len < sizeof(*ip) + sizeof(*udp))
		return MCR_V_malformed;
	flow->sport = udp->h.source;
	flow->dport = udp->h.dest;
	return MCR_V__COUNT;
}
