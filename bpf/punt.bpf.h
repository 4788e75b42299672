/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Telling main of a frame, through the ring buffer `events`. What a flood costs is bounded twice:
 * the same is told once a second, and each CPU tells so many a second in all. What is not told is
 * counted by reason.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "mcr/classify.h"
#include "maps.bpf.h"

#define PUNT_STEP_NS (1000000000ull / MCR_PUNTS_PER_S)

static __always_inline bool punt_take_token(struct mcr_punt_stats *stats, __u64 now)
{
	__u64 at = stats->full_at_ns > now ? stats->full_at_ns : now;

	if (at - now > PUNT_STEP_NS * (MCR_PUNTS_BURST - 1))
		return false;
	stats->full_at_ns = at + PUNT_STEP_NS;
	return true;
}

/* Puts a record into the ring; `units` datagrams with `bytes` of payload have come. */
static __always_inline bool punt_write(const struct mcr_punted_key *key,
				       const struct mcr_flow *flow, __u64 now,
				       const struct mcr_punted *seen)
{
	struct mcr_punt *p = bpf_ringbuf_reserve(&events, sizeof(*p), 0);

	if (!p)
		return false;
	p->time_ns = now;
	p->packets = seen->packets;
	p->bytes = seen->bytes;
	p->ifindex = key->ifindex;
	__builtin_memcpy(p->group, key->group, sizeof(p->group));
	__builtin_memcpy(p->source, key->source, sizeof(p->source));
	p->sport = bpf_ntohs(flow->sport);
	p->dport = bpf_ntohs(flow->dport);
	p->ip_len = flow->ip_len;
	p->kind = (__u8)key->kind;
	p->ttl = flow->ttl;
	p->pad = 0;
	bpf_ringbuf_submit(p, 0);
	return true;
}

/*
 * There are `units` datagrams of a flow to tell of, in one frame. Global, so that the verifier
 * looks at it once, and not on each way that leads here.
 */
__noinline int mcr_tell(const struct mcr_flow *flow, __u32 kind, __u32 ifindex, __u32 units)
{
	struct mcr_punted now_seen = { .told_ns = bpf_ktime_get_coarse_ns() }, *seen;
	struct mcr_punted_key key = {};
	__u64 now = now_seen.told_ns;
	struct mcr_punt_stats *stats;
	struct mcr_punt_counts *counts;
	__u32 zero = 0, bytes;

	if (!flow || flow->protocol != IPPROTO_UDP ||
	    (flow->group & bpf_htonl(0xf0000000)) != bpf_htonl(0xe0000000))
		return 0;
	stats = bpf_map_lookup_elem(&punt_stats, &zero);
	if (!stats || kind >= MCR_PUNT__COUNT)
		return 0;
	counts = &stats->no_rule + kind;
	key.kind = kind;
	key.ifindex = ifindex;
	__builtin_memcpy(key.group, &flow->group, sizeof(key.group));
	__builtin_memcpy(key.source, &flow->source, sizeof(key.source));
	bytes = flow->ip_len - sizeof(struct iphdr) - sizeof(struct udphdr);
	now_seen.packets = units;
	now_seen.bytes = bytes;
	seen = bpf_map_lookup_elem(&punted, &key);
	if (seen) {
		__sync_fetch_and_add(&seen->packets, units);
		__sync_fetch_and_add(&seen->bytes, bytes);
		now_seen.packets = seen->packets;
		now_seen.bytes = seen->bytes;
	}
	if (seen && now - seen->told_ns < MCR_PUNT_AGAIN_MS * 1000000ull) {
		counts->repeated++;
	} else if (!punt_take_token(stats, now)) {
		counts->limited++;
	} else if (!punt_write(&key, flow, now, &now_seen)) {
		counts->full++;
	} else {
		counts->told++;
		now_seen.packets = now_seen.bytes = 0;
		bpf_map_update_elem(&punted, &key, &now_seen, BPF_ANY);
	}
	return 0;
}
