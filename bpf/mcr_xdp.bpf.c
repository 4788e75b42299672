/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The classifier at its two places: as XDP program, where frames for AF_XDP workers leave the
 * kernel's path and those of rules on `xdp` are replicated, and as filter of a worker's packet
 * socket, which sees what XDP has passed. Both give each frame exactly one verdict and count it
 * once. Behind it, the program that rewrites a copy on its way out, and the one that counts what
 * interfaces did with copies.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "mcr/abi.h"
#include "mcr/classify.h"
#include "mcr/rewrite.h"
#include "maps.bpf.h"
#include "punt.bpf.h"
#include "sums.bpf.h"

/* What a frame's rule says, copied so that it does not matter which map the rule was found in. */
struct matched {
	bool is_there, accept_ttl1;
	__u8 datapath, flags;
	__u16 max_frame;
	__u32 index, egress_set;
};

/* One frame on its way through a program. */
struct frame {
	const void *data, *end; /* its headers, as far as they can be read */
	__u32 len;
	__u32 units; /* datagrams in it: more than one where the kernel has merged them */
	__u32 ifindex, slot;
	bool tells; /* main wants to be told by this stage, and the flow is whole where need be */
	enum mcr_stage stage;
	struct mcr_verdicts *counters;
	struct mcr_flow flow;
	struct matched rule;
};

enum { DROPS_PASS = 0, DROPS_DROP = 1, DROPS_RELAY = 0 };
#define X(name, action, text) | DROPS_##action << MCR_V_##name
static const __u32 dropping = 0 MCR_VERDICTS(X); /* bit = verdict */
#undef X

/* False for a frame of an interface that main has not named: none of our business. */
static __always_inline bool see(struct frame *f)
{
	__u32 ifindex = f->ifindex;
	struct mcr_iface *iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	__u32 row;

	if (!iface)
		return false;
	f->slot = iface->slot;
	f->tells = iface->tells >> f->stage & 1;
	row = f->slot * MCR_STAGE__COUNT + f->stage;
	f->counters = bpf_map_lookup_elem(&verdicts, &row);
	if (!f->counters)
		return false;
	f->counters->seen += f->units;
	f->counters->bytes += f->len;
	return true;
}

/* The most specific rule, asking only for keys of which some rule of this destination has one. */
static __always_inline struct mcr_rule *find_rule(const struct mcr_flow *flow, __u32 ifindex,
						  __u32 shapes)
{
	struct mcr_rule_key key = { .ifindex = ifindex, .protocol = flow->protocol };
	struct mcr_rule *rule = NULL;

	__builtin_memcpy(key.group, &flow->group, sizeof(key.group));
	__builtin_memcpy(key.source, &flow->source, sizeof(key.source));
	key.port = bpf_ntohs(flow->dport);
	if (shapes & MCR_SHAPE_SGP)
		rule = bpf_map_lookup_elem(&rules, &key);
	key.port = 0;
	if (!rule && (shapes & MCR_SHAPE_SG))
		rule = bpf_map_lookup_elem(&rules, &key);
	__builtin_memset(key.source, 0, sizeof(key.source));
	key.port = bpf_ntohs(flow->dport);
	if (!rule && (shapes & MCR_SHAPE_GP))
		rule = bpf_map_lookup_elem(&rules, &key);
	key.port = 0;
	if (!rule && (shapes & MCR_SHAPE_G))
		rule = bpf_map_lookup_elem(&rules, &key);
	return rule;
}

static __always_inline void take_rule(struct frame *f, const struct mcr_rule *rule)
{
	f->rule = (struct matched){
		.is_there = true,
		.accept_ttl1 = rule->accept_ttl1,
		.datapath = rule->datapath,
		.flags = rule->flags,
		.max_frame = rule->max_frame,
		.index = rule->rule,
		.egress_set = rule->egress_set,
	};
}

/* What the only rule of a destination says of a frame: MCR_V__COUNT when it matches. */
static __always_inline __u32 match_only(struct frame *f, struct mcr_destination *dest)
{
	const struct mcr_rule_key *key = &dest->only_key;
	__u32 source;

	__builtin_memcpy(&source, key->source, sizeof(source));
	if (key->protocol != f->flow.protocol || (source && source != f->flow.source) ||
	    (key->port && key->port != bpf_ntohs(f->flow.dport)))
		return MCR_V_no_rule;
	take_rule(f, &dest->only);
	return key->ifindex == f->ifindex ? MCR_V__COUNT : MCR_V_wrong_iif;
}

static __always_inline struct mcr_addr addr_of(__be32 addr)
{
	struct mcr_addr key;

	__builtin_memcpy(key.addr, &addr, sizeof(key.addr));
	return key;
}

/* The verdict, or MCR_V__COUNT when the frame is for the datapath of f->rule. */
static __always_inline __u32 classify(struct frame *f)
{
	struct mcr_destination *dest;
	const struct mcr_rule *rule;
	struct mcr_addr addr;
	bool is_known;
	__u32 verdict;

	verdict = mcr_classify_l3(f->data, f->end, &f->flow);
	if (verdict != MCR_V__COUNT)
		return verdict;
	addr = addr_of(f->flow.group);
	dest = bpf_map_lookup_elem(&destinations, &addr);
	if (!dest && !f->tells)
		return MCR_V_no_rule;
	verdict = mcr_classify_l4(f->data, f->end, f->len, &f->flow);
	if (!dest) {
		f->tells = verdict == MCR_V__COUNT;
		return MCR_V_no_rule;
	}
	if (verdict != MCR_V__COUNT)
		return verdict;
	if (dest->rules == 1) {
		verdict = match_only(f, dest);
		if (verdict != MCR_V__COUNT)
			return verdict;
	} else {
		rule = find_rule(&f->flow, f->ifindex, dest->shapes);
		is_known = !rule;
		if (is_known)
			rule = find_rule(&f->flow, 0, dest->shapes);
		if (!rule)
			return MCR_V_no_rule;
		take_rule(f, rule);
		if (is_known)
			return MCR_V_wrong_iif;
	}
	if (f->rule.datapath == MCR_DP_DROP)
		return f->rule.flags & MCR_RULE_GUARD ? MCR_V_wrong_iif : MCR_V_pruned;
	if (!f->rule.accept_ttl1)
		return f->flow.ttl <= 1 ? MCR_V_ttl : MCR_V__COUNT;
	/* What such a rule sends may come back to it again and again, as no TTL ends it. */
	addr = addr_of(f->flow.source);
	return bpf_map_lookup_elem(&local_addrs, &addr) ? MCR_V_loop : MCR_V__COUNT;
}

static __always_inline __u32 payload_bytes(const struct mcr_flow *flow)
{
	return flow->ip_len - sizeof(struct iphdr) -
	       (flow->protocol == IPPROTO_UDP ? sizeof(struct udphdr) : 0);
}

/*
 * How many flows there are side by side: those met for the first time in a window of so many
 * frames, by a bit for each. From it main tells whether a worker would find runs to send.
 */
static __always_inline void count_flow(struct mcr_rule_stats *stats, const struct mcr_flow *flow,
				       __u64 packets)
{
	__u32 hash = (flow->source ^ flow->group * 0x85ebca6bu) * 0x9e3779b1u;
	__u64 bit;

	hash = (hash ^ ((__u32)flow->sport << 16 | flow->dport)) * 0x9e3779b1u;
	bit = 1ull << (hash >> 26);
	hash = hash >> 24 & (MCR_FLOW_WINDOW / 64 - 1);
	if (packets % MCR_FLOW_WINDOW == 0)
		__builtin_memset(stats->window, 0, sizeof(stats->window));
	if (stats->window[hash] & bit)
		return;
	stats->window[hash] |= bit;
	stats->flows++;
}

/* Adds to the rule what became of the frame; to_packet waits for the packet stage to say it. */
static __always_inline void count_rule(const struct frame *f, __u32 verdict)
{
	__u32 index = f->rule.index;
	struct mcr_rule_stats *stats = bpf_map_lookup_elem(&rule_stats, &index);

	if (!stats)
		return;
	if (verdict == MCR_V_wrong_iif) {
		stats->wrong_iif += f->units;
		return;
	}
	stats->last_seen_ns = bpf_ktime_get_coarse_ns();
	if (verdict == MCR_V_replicated) {
		count_flow(stats, &f->flow, stats->packets + stats->replicated);
		stats->replicated++;
		stats->replicated_bytes += payload_bytes(&f->flow);
	} else if (verdict == MCR_V_to_worker) {
		count_flow(stats, &f->flow, stats->packets + stats->replicated);
		stats->packets += f->units;
		stats->bytes += payload_bytes(&f->flow);
	} else if (verdict == MCR_V_ttl) {
		stats->ttl += f->units;
	} else if (verdict == MCR_V_loop) {
		stats->loop += f->units;
	} else if (verdict == MCR_V_checksum) {
		stats->checksum++;
	} else if (verdict == MCR_V_unfit) {
		stats->unfit++;
	} else if (verdict == MCR_V_pruned) {
		stats->pruned += f->units;
	} else if (verdict == MCR_V_no_worker &&
		   (f->stage == MCR_STAGE_XDP || f->rule.datapath == MCR_DP_AFPACKET)) {
		stats->no_worker += f->units; /* the packet stage sees those of AF_XDP again */
	}
}

/* Whether main is to be told of the frame; `verdict` is all that has become of it. */
static __always_inline void tell(const struct frame *f, __u32 verdict)
{
	if (verdict == MCR_V_no_rule && f->flow.ttl > 1)
		mcr_tell(&f->flow, MCR_PUNT_no_rule, f->ifindex, f->units);
	else if (verdict == MCR_V_wrong_iif)
		mcr_tell(&f->flow, MCR_PUNT_wrong_iif, f->ifindex, f->units);
	else if (f->rule.flags & MCR_RULE_TELLS &&
		 (verdict >= MCR_V_to_worker || verdict == MCR_V_no_worker))
		mcr_tell(&f->flow, MCR_PUNT_source, f->ifindex, f->units);
}

/* The only way out for a frame that was seen. Returns what XDP does with it, but for redirects. */
static __always_inline int finish(const struct frame *f, __u32 verdict)
{
	__u64 *counts = &f->counters->not_ip4;

	if (verdict < MCR_V__COUNT) /* always; the verifier wants to see it */
		counts[verdict] += f->units;
	if (f->rule.is_there)
		count_rule(f, verdict);
	if (f->tells)
		tell(f, verdict);
	return dropping >> verdict & 1 ? XDP_DROP : XDP_PASS;
}

/*
 * The frame goes to all interfaces of the rule's egress set; on each, mcr_egress finds the rule in
 * front of the frame. A frame in pieces cannot be copied by the kernel.
 */
static __always_inline int replicate(struct xdp_md *ctx, const struct frame *f)
{
	__u32 set = f->rule.egress_set, index = f->rule.index;
	void *outputs = bpf_map_lookup_elem(&egress_sets, &set), *data;
	__u32 *meta;

	if (!outputs || f->len > f->rule.max_frame || f->data + f->len > f->end)
		return finish(f, MCR_V_unfit);
	if (!sums_settle(ctx, &f->flow))
		return finish(f, MCR_V_checksum);
	meta = (void *)(long)ctx->data_meta;
	data = (void *)(long)ctx->data;
	/* a frame that was replicated on another hop of this host has the room already */
	if ((void *)(meta + 1) > data && bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return finish(f, MCR_V_unfit);
	meta = (void *)(long)ctx->data_meta;
	data = (void *)(long)ctx->data;
	if ((void *)(meta + 1) > data)
		return finish(f, MCR_V_unfit);
	*meta = index;
	finish(f, MCR_V_replicated);
	return bpf_redirect_map(outputs, 0, BPF_F_BROADCAST);
}

/* Takes frames in fragments (jumbo MTU); their headers must lie in the first, as drivers do it. */
SEC("xdp.frags")
int mcr_xdp(struct xdp_md *ctx)
{
	struct frame f = {
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.len = bpf_xdp_get_buff_len(ctx),
		.units = 1,
		.ifindex = ctx->ingress_ifindex,
		.stage = MCR_STAGE_XDP,
	};
	__u32 queue = ctx->rx_queue_index;
	__u32 verdict, xsk;

	if (!see(&f))
		return XDP_PASS;
	verdict = classify(&f);
	if (verdict != MCR_V__COUNT)
		return finish(&f, verdict);
	if (f.rule.datapath == MCR_DP_XDP)
		return replicate(ctx, &f);
	if (f.rule.datapath == MCR_DP_AFPACKET)
		return finish(&f, MCR_V_to_packet);
	xsk = f.slot * MCR_MAX_QUEUES + queue;
	if (queue >= MCR_MAX_QUEUES || bpf_redirect_map(&xsks, xsk, XDP_PASS) != XDP_REDIRECT)
		return finish(&f, MCR_V_no_worker);
	finish(&f, MCR_V_to_worker);
	return XDP_REDIRECT;
}

/* --- copies on their way out -------------------------------------------------------------------
 */

/* Runs for each copy on its interface, behind replicate(). */
SEC("xdp/devmap")
int mcr_egress(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct mcr_ip *ip = (void *)(eth + 1);
	struct mcr_udp *udp = (void *)(ip + 1);
	__u32 *meta = (void *)(long)ctx->data_meta;
	struct mcr_output_stats *stats;
	struct mcr_rewrite_key key;
	struct mcr_rewrite *to;

	if ((void *)(meta + 1) > (void *)eth || (void *)(ip + 1) > end)
		return XDP_DROP;
	key = (struct mcr_rewrite_key){ *meta, ctx->egress_ifindex };
	to = bpf_map_lookup_elem(&rewrites, &key);
	if (!to)
		return XDP_DROP;
	stats = bpf_map_lookup_elem(&output_stats, &to->output);
	if (!stats)
		return XDP_DROP;
	if (!mcr_rewrite_allows(ip, to)) {
		stats->ttl++;
		return XDP_DROP;
	}
	if (ip->h.protocol != IPPROTO_UDP)
		udp = NULL;
	else if ((void *)(udp + 1) > end)
		return XDP_DROP;
	stats->sent++;
	stats->bytes += bpf_ntohs(ip->h.tot_len) - sizeof(*ip) - (udp ? sizeof(*udp) : 0);
	mcr_rewrite_headers(eth, ip, udp, to);
	return XDP_PASS;
}

/* As much of the kernel's own structures as is read here. */
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));
typedef struct {
	struct net *net;
} possible_net_t;
struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

const volatile __u64 our_net; /* cookie of our network namespace: others use our numbers, too */

/* The kernel gave copies to an interface's driver: this tells how many it took. */
SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(mcr_xmit, const struct net_device *from, const struct net_device *to, int sent,
	     int drops)
{
	__u32 ifindex = from->ifindex, slot;
	struct mcr_xmit_stats *stats;
	struct mcr_iface *iface;

	if (from->nd_net.net->net_cookie != our_net)
		return 0;
	iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	if (!iface)
		return 0;
	slot = iface->slot;
	stats = bpf_map_lookup_elem(&xmit_stats, &slot);
	if (stats) {
		stats->sent += sent;
		stats->dropped += drops;
	}
	return 0;
}

/* --- packet sockets ----------------------------------------------------------------------------
 */

/* How many datagrams a socket buffer holds: GRO or a sender's segmentation offload merge them. */
static __always_inline __u32 segments(const struct __sk_buff *skb)
{
	__u32 size = skb->gso_size;

	if (skb->gso_segs)
		return skb->gso_segs;
	if (!size || skb->len <= MCR_HDR_UDP)
		return 1;
	return (skb->len - MCR_HDR_UDP + size - 1) / size;
}

/* Accepts what a worker that reads this packet socket shall have, whole, and nothing else. */
static __always_inline int packet(struct __sk_buff *skb, bool has_worker)
{
	/* Two bytes in front, so that the IP header's words are aligned. */
	__u8 buffer[2 + MCR_HDR_UDP] __attribute__((aligned(8))) = {};
	__u8 *headers = buffer + 2;
	__u32 have = skb->len < MCR_HDR_UDP ? skb->len : MCR_HDR_UDP;
	struct frame f = {
		.data = headers,
		.len = skb->len,
		.ifindex = skb->ifindex,
		.stage = MCR_STAGE_PACKET,
	};
	__u32 verdict;

	if (skb->pkt_type == PACKET_OUTGOING)
		return 0;
	f.units = segments(skb);
	if (!see(&f))
		return 0;
	if (have == 0 || bpf_skb_load_bytes(skb, 0, headers, have))
		have = 0;
	f.end = headers + have;
	verdict = skb->vlan_present ? MCR_V_vlan : classify(&f);
	if (verdict == MCR_V__COUNT)
		verdict = has_worker && f.rule.datapath == MCR_DP_AFPACKET ? MCR_V_to_worker
									   : MCR_V_no_worker;
	if (verdict == MCR_V_to_worker)
		f.counters->to_worker_skbs++;
	finish(&f, verdict);
	return verdict == MCR_V_to_worker ? skb->len : 0;
}

SEC("socket")
int mcr_packet(struct __sk_buff *skb)
{
	return packet(skb, true);
}

/* On the socket of a worker that is not there: accepts nothing, and counts what that costs. */
SEC("socket")
int mcr_packet_idle(struct __sk_buff *skb)
{
	return packet(skb, false);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
