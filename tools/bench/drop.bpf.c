/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Drops everything where it comes in: how fast the generator can be at best. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp.frags")
int drop(void *ctx)
{
	(void)ctx;
	return XDP_DROP;
}
