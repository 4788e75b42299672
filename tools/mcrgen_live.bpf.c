/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Makes frames where they are fastest made. The kernel runs this on recycled pages
 * (BPF_F_TEST_XDP_LIVE_FRAMES) that others may have written in: all headers are written anew each
 * time, and the body is the same in every frame.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "mcrgen_live.h"
#include "payload.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define CLOCK_EVERY 16

const volatile __u32 out_ifindex, n_flows, burst, run, checksum;
const volatile __u16 length;
const volatile __u64 rate; /* 0: as fast as can be */
const volatile __u64 limit;

/* Whose turn it is, and for how many frames more. Only one thread runs this program. */
__u32 at, left;
__u64 made, started_ns, last_ns;
__u64 due_ns, due_rest; /* when the next frame is due; the rest is in 1/rate ns */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct live_flow);
} flows SEC(".maps");

static __always_inline void put64(void *to, __u64 value)
{
	*(__u64 *)to = value;
}

static __always_inline void put32(void *to, __u32 value)
{
	*(__u32 *)to = value;
}

static __always_inline void put16(void *to, __u16 value)
{
	*(__u16 *)to = value;
}

static __always_inline __u64 halves(__u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

static __always_inline __u16 finish(__u64 sum)
{
	sum = halves(sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u16 udp_checksum(const struct live_flow *f, __u64 words)
{
	__u16 check = finish(words + f->udp_sum);

	check = check ? check : 0xffff;
	if (checksum == LIVE_WRONG)
		check ^= check == 0x5555 ? 0xaaaa : 0x5555;
	return check;
}

/* The words of the template, then what is new in each frame. */
static __always_inline void write_headers(void *to, struct live_flow *f, __u64 now)
{
	struct payload p = { .run = run,
			     .flow = f->flow,
			     .flags = PAYLOAD_FIXED_BODY,
			     .length = length,
			     .sequence = f->sequence++,
			     .sent_ns = now };
	__u64 sequence = payload_be64(p.sequence), sent_ns = payload_be64(p.sent_ns);
	__u32 check = payload_be32(payload_check(&p));
	__u16 id = payload_be16((__u16)p.sequence);
	__u32 i;

#pragma unroll
	for (i = 0; i < LIVE_HEADERS / 8; i++)
		put64(to + 8 * i, f->headers[i]);
	put64(to + LIVE_SEQUENCE, sequence);
	put64(to + LIVE_SENT_NS, sent_ns);
	put32(to + LIVE_CHECK, check);
	put16(to + LIVE_IP_ID, id);
	put16(to + LIVE_IP_CHECK, finish((__u64)f->ip_sum + id));
	if (checksum != LIVE_GIVEN)
		put16(to + LIVE_UDP_CHECK,
		      udp_checksum(f, halves(sequence) + halves(sent_ns) + check));
}

static __always_inline struct live_flow *next_flow(void)
{
	__u32 turn = at;

	if (--left == 0) {
		left = burst;
		at = turn + 1 >= n_flows ? 0 : turn + 1;
	}
	return bpf_map_lookup_elem(&flows, &turn);
}

/*
 * Whether it is time for a frame. Pacing is done here, where the kernel spins over this program,
 * because each start of a run takes it many milliseconds.
 */
static __always_inline bool is_due(__u64 now)
{
	if (made >= limit)
		return false;
	if (!made)
		started_ns = due_ns = now;
	if (!rate)
		return true;
	if (now < due_ns)
		return false;
	due_ns += 1000000000u / rate;
	due_rest += 1000000000u % rate;
	if (due_rest >= rate) {
		due_rest -= rate;
		due_ns++;
	}
	return true;
}

/* To read the clock takes as long as a tenth of a relay's work, so at full speed it is read for
 * some frames together, which lie a few microseconds apart. */
static __always_inline __u64 time_of_frame(void)
{
	return rate || made % CLOCK_EVERY == 0 ? bpf_ktime_get_ns() : last_ns;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 now = time_of_frame();
	struct live_flow *f;

	if (data + LIVE_HEADERS > end || !is_due(now))
		return XDP_DROP;
	f = next_flow();
	if (!f)
		return XDP_DROP;
	write_headers(data, f, now);
	last_ns = now;
	made++;
	return bpf_redirect(out_ifindex, 0);
}
