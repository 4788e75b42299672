/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the headers of a copy that the kernel replicates: one piece of code for the
 * program that runs on each egress interface and for its tests, because such a program cannot be
 * test-run. Checksums are updated by what has changed (RFC 1624), so a broken one stays broken.
 */
#pragma once

#include "mcr/classify.h"

mcr_inline __u16 mcr_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)(sum + (sum >> 16));
}

/* What a 32-bit field adds to the complement of a checksum when it changes. */
mcr_inline __u32 mcr_sum_change(__be32 from, __be32 to)
{
	return (~from & 0xffff) + (~from >> 16) + (to & 0xffff) + (to >> 16);
}

/* RFC 1624, equation 3. */
mcr_inline __u16 mcr_checksum_update(__u16 check, __u32 change)
{
	return (__u16)~mcr_fold((~check & 0xffffu) + change);
}

/* False for a copy that may not go: its TTL would be 0. */
mcr_inline int mcr_rewrite_allows(const struct mcr_ip *ip, const struct mcr_rewrite *to)
{
	return to->ttl || ip->h.ttl > 1;
}

mcr_inline void mcr_rewrite_udp(struct mcr_udp *udp, const struct mcr_rewrite *to,
				__u32 address_change)
{
	__be16 port = to->port ? mcr_be16(to->port) : udp->h.dest;
	__u32 change = address_change + (~udp->h.dest & 0xffffu) + port;

	udp->h.dest = port;
	if (!udp->h.check) /* the sender made none */
		return;
	udp->h.check = mcr_checksum_update(udp->h.check, change);
	if (!udp->h.check)
		udp->h.check = 0xffff;
}

/* The headers lie in one piece: Ethernet, IP without options, and UDP unless `udp` is NULL. */
mcr_inline void mcr_rewrite_headers(struct ethhdr *eth, struct mcr_ip *ip, struct mcr_udp *udp,
				    const struct mcr_rewrite *to)
{
	__u16 tos = ip->h.tos, ttl = to->ttl ? to->ttl : (__u8)(ip->h.ttl - 1);
	__be32 source, group;
	__u32 change;

	__builtin_memcpy(&group, to->group, sizeof(group));
	__builtin_memcpy(&source, to->source, sizeof(source));
	if (!source)
		source = ip->h.saddr;
	if (to->dscp >= 0)
		tos = (__u8)(to->dscp << 2 | (tos & 3));
	change = mcr_sum_change(ip->h.saddr, source) + mcr_sum_change(ip->h.daddr, group);
	if (udp)
		mcr_rewrite_udp(udp, to, change);
	/* TOS is the low byte of its word, TTL the high byte of its own */
	change += (~mcr_be16(ip->h.tos) & 0xffffu) + mcr_be16(tos);
	change += (~mcr_be16((__u16)(ip->h.ttl << 8)) & 0xffffu) + mcr_be16((__u16)(ttl << 8));
	ip->h.check = mcr_checksum_update(ip->h.check, change);
	ip->h.saddr = source;
	ip->h.daddr = group;
	ip->h.tos = (__u8)tos;
	ip->h.ttl = (__u8)ttl;
	__builtin_memcpy(eth->h_dest, to->dst_mac, sizeof(to->dst_mac));
	__builtin_memcpy(eth->h_source, to->src_mac, sizeof(to->src_mac));
}
