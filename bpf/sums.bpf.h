/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Checksums of a frame that the kernel replicates, RFC 1071: right ones are left, wrong ones end
 * here, and one that a local sender has left to the device (the field holds the sum of the
 * pseudo-header alone) is completed, since no device will.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "mcr/classify.h"
#include "mcr/rewrite.h"

#define SUMS_BLOCK  64
#define SUMS_BLOCKS 56 /* more than fit into the one page of a frame in one piece */

static __always_inline __u32 sums_fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)(sum + (sum >> 32));
}

static __always_inline __u16 sums_fold16(__u64 sum)
{
	__u32 half = sums_fold32(sum);

	half = (half & 0xffff) + (half >> 16);
	return (__u16)(half + (half >> 16));
}

static __always_inline __u64 sums_block(const __u32 *at)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < SUMS_BLOCK / 4; i++)
		sum += at[i];
	return sum;
}

/* Of `len` bytes from `offset` on, a place with 4-byte alignment behind the IP header. */
static __always_inline bool sums_range(struct xdp_md *ctx, __u32 offset, __u32 len, __u64 *sum)
{
	const void *at = (const void *)(long)ctx->data + offset;
	const void *end = (const void *)(long)ctx->data_end;
	__u32 rest[SUMS_BLOCK / 4] = {};

	for (int i = 0; i < SUMS_BLOCKS && len >= SUMS_BLOCK; i++) {
		barrier_var(at); /* lest clang do sums with `end`, which the verifier forbids */
		if (at + SUMS_BLOCK > end)
			return false;
		*sum += sums_block(at);
		at += SUMS_BLOCK;
		offset += SUMS_BLOCK;
		len -= SUMS_BLOCK;
	}
	if (len >= SUMS_BLOCK)
		return false;
	barrier_var(len); /* the verifier does not follow what clang knows of it */
	len &= SUMS_BLOCK - 1;
	if (len && bpf_xdp_load_bytes(ctx, offset, rest, len))
		return false;
	*sum += sums_block(rest);
	return true;
}

/* False when the frame has a wrong checksum. `flow` is what its headers say. */
static __always_inline bool sums_settle(struct xdp_md *ctx, const struct mcr_flow *flow)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct mcr_ip *ip = (const void *)(long)ctx->data + ETH_HLEN;
	struct mcr_udp *udp = (void *)(ip + 1);
	__u32 len = flow->ip_len - sizeof(*ip);
	__u64 sum = 0, pseudo;
	const __u32 *words = (const void *)ip;

	if ((const void *)(ip + 1) > end)
		return false;
	for (int i = 0; i < 5; i++)
		sum += words[i];
	if (sums_fold16(sum) != 0xffff)
		return false;
	if (flow->protocol != IPPROTO_UDP)
		return true;
	if ((const void *)(udp + 1) > end)
		return false;
	if (!udp->h.check) /* the sender made none */
		return true;
	pseudo = (__u64)flow->source + flow->group + mcr_be16((__u16)len) + mcr_be16(IPPROTO_UDP);
	sum = pseudo;
	if (!sums_range(ctx, ETH_HLEN + sizeof(*ip), len, &sum))
		return false;
	if (udp->h.check == sums_fold16(pseudo)) {
		/* the field is in the sum: with it off, what remains is what shall be said */
		udp->h.check = ~sums_fold16(sum + (__u16)~udp->h.check);
		if (!udp->h.check)
			udp->h.check = 0xffff;
		return true;
	}
	return sums_fold16(sum) == 0xffff;
}
