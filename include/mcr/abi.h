/* SPDX-License-Identifier: MIT */
/*
 * The layout of the pinned BPF maps: what the XDP program, the packet-socket filter, mcrd and
 * `bpftool map dump` agree on. Addresses are byte arrays and ports host-order numbers, so that a
 * dump can be read by a person. A change of any size here is a new MCR_ABI_MAJOR.
 */
#pragma once

#include <linux/types.h>

#define MCR_ABI_MAGIC 0x4d435231u /* "MCR1" */
#define MCR_ABI_MAJOR 3
#define MCR_ABI_MINOR 0

#define MCR_MAX_IFACES 512   /* interface slots */
#define MCR_MAX_QUEUES 64    /* receive queues served of one interface */
#define MCR_MAX_RULES 65536  /* dense rule indices: twice the rules, so that all can change, and
			      * those of multicast routes */
#define MCR_MAX_OUTPUTS 64   /* of one rule */
#define MCR_FLOW_WINDOW 256  /* frames over which the flows of a rule are counted */
#define MCR_NAME_LEN 32      /* a rule's name in a dump, cut and NUL-terminated */
#define MCR_MAX_OUTPUT_ROWS 131072 /* dense output indices: as much for what is replaced */
#define MCR_MAX_LOCAL 4096   /* addresses of this host, for the loop guard */
#define MCR_MAX_SETS 4096    /* egress sets: different lists of output interfaces */

#define MCR_EVENTS_BYTES (256u << 10) /* of the ring `events` */
#define MCR_PUNTED_MAX 16384 /* flows of which it is known when they were told of */
#define MCR_PUNT_AGAIN_MS 1000 /* before the same is told again */
#define MCR_PUNTS_PER_S 4000 /* told by one CPU, on average … */
#define MCR_PUNTS_BURST 1000 /* … and at once */

/*
 * The verdicts: exactly one for each frame that the classifier sees. The first group goes on to
 * the host's own stack, the second is dropped, the third is the relay's.
 */
#define MCR_VERDICTS(X)                                                                            \
	X(not_ip4, PASS, "no IPv4 packet")                                                         \
	X(vlan, PASS, "carries a VLAN tag, which the relay does not look into")                    \
	X(control, PASS, "IGMP, PIM or a link-local group, for the control plane")                 \
	X(not_relayed, PASS, "neither UDP nor a protocol that rules can name")                     \
	X(ip_options, PASS, "carries IP options, which only the host's stack handles")             \
	X(no_rule, PASS, "no rule matches")                                                        \
	X(no_worker, PASS, "a rule matches, but no worker serves the queue")                       \
	X(malformed, DROP, "lengths in the headers contradict the frame")                          \
	X(fragment, DROP, "a fragment of a datagram to a relayed address")                         \
	X(bad_source, DROP, "the source is no unicast address")                                    \
	X(ttl, DROP, "arrived with TTL 1 or less")                                                 \
	X(loop, DROP, "the source is one of this host's own addresses")                            \
	X(wrong_iif, DROP, "a rule knows the flow, on another interface")                          \
	X(checksum, DROP, "a checksum is wrong; workers look for themselves")                      \
	X(unfit, DROP, "too long, or in pieces, for the kernel to replicate")                      \
	X(pruned, DROP, "its route has no output")                                                 \
	X(to_worker, RELAY, "handed to a worker")                                                  \
	X(to_packet, RELAY, "passed up to a worker's packet socket")                               \
	X(replicated, RELAY, "replicated in the kernel")

enum mcr_verdict {
#define X(name, action, text) MCR_V_##name,
	MCR_VERDICTS(X)
#undef X
	MCR_V__COUNT,
};

/* Who looked: the XDP program, or the filter of a worker's packet socket (sees what XDP passed). */
enum mcr_stage { MCR_STAGE_XDP, MCR_STAGE_PACKET, MCR_STAGE__COUNT };

enum mcr_datapath { MCR_DP_AFXDP = 1, MCR_DP_AFPACKET, MCR_DP_XDP, MCR_DP_DROP, MCR_DP__COUNT };

/* Map `abi`, one element. */
struct mcr_abi {
	__u32 magic;
	__u16 major, minor;
	__u64 created_ns;      /* CLOCK_BOOTTIME */
	__u64 net;             /* cookie of the network namespace that ifindexes are of */
	char instance[32];
};

/* Map `ifaces`: ifindex → where its counters and sockets are. */
struct mcr_iface {
	__u32 slot;            /* < MCR_MAX_IFACES */
	__u32 tells;           /* bits by enum mcr_stage: it puts frames into `events` */
	char name[16];
};

/*
 * Map `rules`. Absent parts of the match are zero: source 0.0.0.0 = any, port 0 = any. The same
 * key with ifindex 0 says that the flow is known on some interface (datapath 0), which tells
 * wrong_iif from no_rule; its `rule` is that of one rule for the flow, which counts such frames.
 * `shapes` of map `destinations` says which keys are worth a look-up.
 */
struct mcr_rule_key {
	__u32 ifindex;
	__u8 group[4];
	__u8 source[4];
	__u16 port;            /* host order */
	__u8 protocol;         /* IPPROTO_UDP or IPPROTO_ESP */
	__u8 pad;
};

enum mcr_rule_flag {
	MCR_RULE_GUARD = 1,    /* datapath drop: the flow has its route on another interface */
	MCR_RULE_TELLS = 2,    /* of each source that it matches */
};

struct mcr_rule {
	__u32 rule;            /* dense index, < MCR_MAX_RULES: rule_stats[rule] */
	__u32 generation;      /* of the transaction that wrote it */
	__u32 egress_set;      /* datapath xdp: which of egress_sets; < MCR_MAX_SETS */
	__u16 max_frame;       /* datapath xdp: bytes of the longest frame that all outputs take */
	__u16 outputs;
	__u8 datapath;         /* enum mcr_datapath; 0 in an entry with ifindex 0 */
	__u8 accept_ttl1;
	__u8 flags;            /* enum mcr_rule_flag */
	__u8 pad;
	char name[MCR_NAME_LEN];
};

/*
 * Map `rewrites`: what becomes of a copy that leaves by an interface, for a rule that the kernel
 * replicates. Such a rule has one output on an interface.
 */
struct mcr_rewrite_key {
	__u32 rule, ifindex;
};

struct mcr_rewrite {
	__u32 output;          /* dense index, < MCR_MAX_OUTPUT_ROWS: output_stats[output] */
	__u32 slot;            /* of the interface that frames come in on */
	__u8 dst_mac[6], src_mac[6];
	__u8 group[4];
	__u8 source[4];        /* 0.0.0.0 = keep */
	__u16 port;            /* host order; 0 = keep */
	__u8 ttl;              /* 0 = one less */
	__s8 dscp;             /* -1 = keep */
};

/* Key of maps `destinations` and `local_addrs` (the loop guard's; its value is always 1). */
struct mcr_addr {
	__u8 addr[4];
};

/* Map `destinations`: group or unicast address → the shapes of its rules. */
enum mcr_shape {
	MCR_SHAPE_SGP = 1,     /* source, group, port */
	MCR_SHAPE_SG = 2,      /* source, group */
	MCR_SHAPE_GP = 4,      /* group, port */
	MCR_SHAPE_G = 8,       /* group */
};

struct mcr_destination {
	__u32 shapes;
	__u32 rules;           /* how many rules have this destination */
	struct mcr_rule_key only_key; /* with one rule: that one, so that no other look-up is due */
	struct mcr_rule only;
};

/* Map `verdicts`, per CPU: index slot * MCR_STAGE__COUNT + stage. Unit: datagrams. */
struct mcr_verdicts {
	__u64 seen, bytes;
	__u64 to_worker_skbs;  /* packet stage only: socket buffers; segments may be more */
#define X(name, action, text) __u64 name;
	MCR_VERDICTS(X)
#undef X
};

/* Map `rule_stats`, per CPU: index = the rule's dense index. Both stages add here. */
struct mcr_rule_stats {
	__u64 packets, bytes;  /* matched and handed to a worker */
	__u64 replicated, replicated_bytes; /* … and replicated in the kernel */
	__u64 ttl, loop, no_worker, checksum, unfit, pruned;
	__u64 wrong_iif;       /* its flow on other interfaces, once for all rules of the flow */
	__u64 last_seen_ns;    /* CLOCK_MONOTONIC; not of what came in at a wrong one */
	__u64 flows;           /* sum, over windows of MCR_FLOW_WINDOW frames, of flows in each */
	__u64 window[MCR_FLOW_WINDOW / 64]; /* bits of the flows seen in the present window */
};

/* Map `output_stats`, per CPU: copies of a rule that the kernel replicates. */
struct mcr_output_stats {
	__u64 sent, bytes;     /* given to the interface; what it refuses is in `xmit_stats` */
	__u64 ttl;             /* dropped: the TTL would have reached zero */
};

/*
 * Map `folded`, by slot of the interface that frames came in on: what rows have counted that are
 * used again since. With it, sums over rows go on over restarts.
 */
struct mcr_folded {
	__u64 replicated, replicated_bytes;
	__u64 due;             /* replicated × outputs */
	__u64 sent, bytes, ttl;
};

/* Map `xmit_stats`, per CPU: what drivers did with the copies of frames that came in at a slot. */
struct mcr_xmit_stats {
	__u64 sent;
	__u64 dropped;         /* refused (its ring is full, it is down), or dropped for its TTL */
};

/*
 * What the control plane of a router is told of: UDP to groups beyond 224.0.0.0/24, on interfaces
 * where it asks for it. The ring buffer `events` has a record each.
 */
#define MCR_PUNT_KINDS(X)                                                                          \
	X(no_rule, "no rule matches, and its TTL would let it be forwarded")                       \
	X(wrong_iif, "a rule knows the flow, on another interface")                                \
	X(source, "a rule with MCR_RULE_TELLS has matched it")

enum mcr_punt_kind {
#define X(name, text) MCR_PUNT_##name,
	MCR_PUNT_KINDS(X)
#undef X
	MCR_PUNT__COUNT,
};

struct mcr_punt {
	__u64 time_ns;         /* CLOCK_MONOTONIC */
	__u64 packets, bytes;  /* of its kind, interface, source and group since the last record */
	__u32 ifindex;
	__u8 group[4], source[4];
	__u16 sport, dport;    /* host order */
	__u16 ip_len;
	__u8 kind, ttl;
	__u32 pad;
};

/* Map `punted`: when the same was told last, and what has come since. */
struct mcr_punted_key {
	__u32 kind, ifindex;
	__u8 group[4], source[4];
};

struct mcr_punted {
	__u64 told_ns;
	__u64 packets, bytes;
};

/* Map `punt_stats`, per CPU, one element: what became of each frame that there was to tell of. */
struct mcr_punt_counts {
	__u64 told;
	__u64 repeated;        /* the same was told a moment ago */
	__u64 limited;         /* too many in all */
	__u64 full;            /* the ring had no room */
};

struct mcr_punt_stats {
#define X(name, text) struct mcr_punt_counts name;
	MCR_PUNT_KINDS(X)
#undef X
	__u64 full_at_ns;      /* when the bucket of tokens would be full again */
};

_Static_assert(sizeof(struct mcr_abi) == 56, "abi");
_Static_assert(sizeof(struct mcr_iface) == 24, "abi");
_Static_assert(sizeof(struct mcr_punt) == 48, "abi");
_Static_assert(sizeof(struct mcr_punted_key) == 16, "abi");
_Static_assert(sizeof(struct mcr_punted) == 24, "abi");
_Static_assert(sizeof(struct mcr_punt_stats) == 8 * (4 * MCR_PUNT__COUNT + 1), "abi");
_Static_assert(sizeof(struct mcr_rule_key) == 16, "abi");
_Static_assert(sizeof(struct mcr_rule) == 52, "abi");
_Static_assert(sizeof(struct mcr_rewrite) == 32, "abi");
_Static_assert(sizeof(struct mcr_destination) == 76, "abi");
_Static_assert(sizeof(struct mcr_verdicts) == 8 * (3 + MCR_V__COUNT), "abi");
_Static_assert(sizeof(struct mcr_rule_stats) == 8 * (13 + MCR_FLOW_WINDOW / 64), "abi");
_Static_assert(sizeof(struct mcr_output_stats) == 24, "abi");
_Static_assert(sizeof(struct mcr_folded) == 48, "abi");
_Static_assert(sizeof(struct mcr_xmit_stats) == 16, "abi");
