/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counts what reaches a receiver, at the ingress of its interface, and drops it there. It takes
 * socket buffers as they come: large ones (GSO, GRO) whole, so that nothing is segmented for the
 * sake of being counted. While `is_exact` each datagram is read. Otherwise, of a large buffer, the
 * first and the last: if their numbers say that all between them may be there, they are believed,
 * but for one buffer in 16.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "../payload.h"
#include "sink.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define HEADERS	    42 /* Ethernet, IP without options, UDP */
#define IPPROTO_UDP 17
#define WALK_EVERY  16
#define LOCK_TRIES  256

const volatile __u32 n_flows;

struct sink_counts counts[SINK_CPUS];
__u64 latency[SINK_BUCKETS], latency_max;
__u32 run; /* that of the first datagram; others are foreign */
__u32 run_before;
__u32 is_exact, is_timed, is_passing;

struct flow {
	__u64 is_taken; /* by a CPU; a bpf_spin_lock would cost more than all else here */
	struct sink_flow f;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* --- sequence numbers --- */

/* Makes room in the window for numbers below `next`, none of which have come. */
static __always_inline void advance(struct sink_flow *f, __u64 next)
{
	__u64 word = (f->next + 63) / 64, words = (next + 63) / 64 - word;
	__u32 i;

	for (i = 0; i < SINK_WORDS; i++) {
		if (i >= words)
			break;
		f->window[(word + i) % SINK_WORDS] = 0;
	}
	f->next = next;
}

/* The bits from `from` on, up to but without `to`, of the word of numbers that begins at `base`. */
static __always_inline __u64 bits_of(__u64 base, __u64 from, __u64 to)
{
	__u64 bits = ~0ull;

	if (from > base)
		bits &= from - base < 64 ? ~0ull << (from - base) : 0;
	if (to < base + 64)
		bits &= to > base ? ~0ull >> (base + 64 - to) : 0;
	return bits;
}

/* So many numbers (up to 128) from `first` on, none of which can have come before. */
static __always_inline void take_new(struct sink_flow *f, __u64 first, __u32 n)
{
	__u64 word = first / 64;
	__u32 i;

	advance(f, first + n);
#pragma unroll
	for (i = 0; i < 3; i++)
		f->window[(word + i) % SINK_WORDS] |= bits_of((word + i) * 64, first, first + n);
	f->unique += n;
}

static __always_inline void take_old(struct sink_flow *f, __u64 sequence)
{
	__u64 bit = 1ull << (sequence & 63);
	__u64 *word = &f->window[sequence / 64 % SINK_WORDS];

	/* The first word of the window is being written anew. */
	if (f->next - sequence > SINK_WINDOW - 64) {
		f->stale++;
	} else if (*word & bit) {
		f->duplicated++;
	} else {
		*word |= bit;
		f->reordered++;
		f->unique++;
	}
}

/* The usual case: the very next number. */
static __always_inline void take_next(struct sink_flow *f)
{
	__u64 sequence = f->next++;
	__u64 *word = &f->window[sequence / 64 % SINK_WORDS];

	*word = (sequence & 63 ? *word : 0) | 1ull << (sequence & 63);
	f->unique++;
}

/* Two CPUs may deliver to one receiver. */
static __always_inline bool lock(struct flow *flow)
{
	__u32 i;

	for (i = 0; i < LOCK_TRIES; i++)
		if (__sync_val_compare_and_swap(&flow->is_taken, 0, 1) == 0)
			return true;
	return false;
}

static __always_inline bool take(__u32 id, __u64 first, __u32 n)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &id);

	if (!flow || !lock(flow))
		return false;
	flow->f.received += n;
	if (n == 1 && first == flow->f.next)
		take_next(&flow->f);
	else if (first >= flow->f.next)
		take_new(&flow->f, first, n);
	else
		take_old(&flow->f, first);
	__sync_val_compare_and_swap(&flow->is_taken, 1, 0);
	return true;
}

static __always_inline bool is_ahead(__u32 id, __u64 first)
{
	const struct flow *flow = bpf_map_lookup_elem(&flows, &id);

	return flow && first >= flow->f.next;
}

/* --- latency: logarithmic buckets, as those of mcrsink --- */

static __always_inline __u32 bucket_of(__u64 ns)
{
	__u32 doublings = 0, i;
	__u64 rest = ns;

	if (ns < SINK_FINE)
		return ns;
	for (i = 32; i > 0; i /= 2) {
		if (rest >> i) {
			rest >>= i;
			doublings += i;
		}
	}
	doublings -= 5; /* 2^5 = SINK_FINE */
	i = (doublings + 1) * SINK_FINE + ((ns >> doublings) & (SINK_FINE - 1));
	return i < SINK_BUCKETS ? i : SINK_BUCKETS - 1;
}

static __always_inline void take_time(__u64 sent_ns)
{
	__u64 ns = bpf_ktime_get_ns() - sent_ns;
	__u32 bucket = bucket_of(ns);

	if (bucket < SINK_BUCKETS)
		__sync_fetch_and_add(&latency[bucket], 1);
	if (ns > latency_max)
		latency_max = ns;
}

/* --- datagrams --- */

struct seen {
	__u32 flow;
	__u64 sequence, sent_ns;
};

/* The header at `at`: where it mostly is, or by asking the kernel to look in all pieces. */
static __always_inline bool load(struct __sk_buff *skb, __u32 at, struct payload_wire *w)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (at == HEADERS && data + HEADERS + sizeof(*w) <= end) {
		__builtin_memcpy(w, data + HEADERS, sizeof(*w));
		return true;
	}
	return bpf_skb_load_bytes(skb, at, w, sizeof(*w)) == 0;
}

static __always_inline bool read_datagram(struct __sk_buff *skb, __u32 at, __u32 len,
					  struct sink_counts *c, struct seen *seen)
{
	struct payload_wire w;
	struct payload p;

	if (!load(skb, at, &w) || w.magic != payload_be32(PAYLOAD_MAGIC)) {
		c->foreign++;
		return false;
	}
	p.run = payload_be32(w.run);
	p.flow = payload_be32(w.flow);
	p.flags = payload_be16(w.flags);
	p.length = payload_be16(w.length);
	p.sequence = payload_be64(w.sequence);
	p.sent_ns = payload_be64(w.sent_ns);
	if (payload_be32(w.check) != payload_check(&p) || p.length != len || p.flow >= n_flows) {
		c->corrupt++;
		return false;
	}
	if (!run && p.run != run_before)
		run = p.run;
	if (run != p.run) {
		c->foreign++;
		return false;
	}
	*seen = (struct seen){ p.flow, p.sequence, p.sent_ns };
	return true;
}

static __always_inline void take_one(struct __sk_buff *skb, __u32 at, __u32 len,
				     struct sink_counts *c)
{
	struct seen seen;

	if (!read_datagram(skb, at, len, c, &seen))
		return;
	if (!take(seen.flow, seen.sequence, 1))
		return;
	c->datagrams++;
	if (is_timed)
		take_time(seen.sent_ns);
}

struct walk {
	struct __sk_buff *skb;
	struct sink_counts *counts;
	__u32 payload, size;
};

static long walk_step(__u32 i, struct walk *w)
{
	__u32 at = i * w->size, left = w->payload - at;

	take_one(w->skb, HEADERS + at, left < w->size ? left : w->size, w->counts);
	return 0;
}

/* Whether first and last say all. */
static __always_inline bool take_ends(struct __sk_buff *skb, __u32 payload, __u32 size, __u32 n,
				      struct sink_counts *c)
{
	__u32 last_at = (n - 1) * size;
	struct seen first, last;

	if (n > 128 || !read_datagram(skb, HEADERS, size, c, &first))
		return false;
	if (!read_datagram(skb, HEADERS + last_at, payload - last_at, c, &last))
		return false;
	if (first.flow != last.flow || last.sequence - first.sequence != n - 1 ||
	    !is_ahead(first.flow, first.sequence) || !take(first.flow, first.sequence, n))
		return false;
	c->datagrams += n;
	return true;
}

static __always_inline void take_buffer(struct __sk_buff *skb, struct sink_counts *c)
{
	struct walk walk = { .skb = skb, .counts = c, .size = skb->gso_size };
	__u32 n;

	c->buffers++;
	walk.payload = skb->len - HEADERS;
	if (!walk.size) {
		take_one(skb, HEADERS, walk.payload, c);
		return;
	}
	n = (walk.payload + walk.size - 1) / walk.size;
	if (!is_exact && c->buffers % WALK_EVERY && take_ends(skb, walk.payload, walk.size, n, c))
		return;
	c->walked++;
	bpf_loop(n, walk_step, &walk, 0);
}

SEC("tc")
int bench_count(struct __sk_buff *skb)
{
	struct sink_counts *c = &counts[bpf_get_smp_processor_id() % SINK_CPUS];

	if (skb->protocol == payload_be16(ETH_P_IP) && skb->len >= HEADERS + PAYLOAD_HEADER)
		take_buffer(skb, c);
	else
		c->foreign++;
	return is_passing ? TC_ACT_OK : TC_ACT_SHOT;
}
