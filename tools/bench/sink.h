/* SPDX-License-Identifier: MIT */
/* What the counting program of a receiver keeps, and the sink reads. */
#pragma once

#include <linux/types.h>

#define SINK_CPUS    64
#define SINK_WINDOW  4096 /* sequence numbers of a flow that are remembered one by one */
#define SINK_WORDS   (SINK_WINDOW / 64)
#define SINK_FINE    32 /* steps of the latency in each doubling */
#define SINK_BUCKETS 1024

/* Written by one CPU each. */
struct sink_counts {
	__u64 datagrams, buffers; /* a socket buffer may hold many datagrams */
	__u64 walked;		  /* of the buffers: those of which each datagram was read */
	__u64 corrupt;		  /* a header of ours that contradicts itself or the length */
	__u64 foreign;		  /* no datagrams of this run */
	__u64 unused[3];
};

/*
 * A window of bits remembers which of the last sequence numbers have come, so that a late datagram
 * is told from one that comes twice. `gaps` are numbers that were skipped and have not come since.
 */
struct sink_flow {
	__u64 received, unique, duplicated, reordered;
	__u64 stale; /* older than the window: late or twice, nobody knows */
	__u64 next;  /* one more than the highest number so far */
	__u64 window[SINK_WORDS];
};
