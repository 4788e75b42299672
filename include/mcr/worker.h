/* SPDX-License-Identifier: MIT */
/*
 * Between mcrd and its workers: messages over a SOCK_SEQPACKET channel, one record each, and the
 * ledger, a shared page range that the worker alone writes. Internal, not installed; both ends are
 * the same binary, so there is no version.
 *
 *   main → worker:  SETUP (ring sockets attached) · SOCKET… · RULE… · LEVEL · START · …
 *   worker → main:  READY · FAILED (a sentence)
 *
 * Order is what makes a change safe: main sends RULE before it writes the BPF map, and removes
 * from the map before it sends RULE with no outputs. A worker that misses a look-up drains its
 * channel and asks again.
 *
 * Main also makes the io_uring that the worker sends by (the descriptor behind the channel), and
 * keeps it: what the kernel has answered and a dead worker has not read is still in there.
 */
#pragma once

#include <linux/io_uring.h>
#include <stdint.h>

#include "mcr/abi.h"

#define WORKER_QUEUES_MAX 16	/* ingress sockets of one worker */
#define WORKER_CHUNK	  2048	/* bytes of a packet buffer */
#define WORKER_OUTPUTS	  MCR_MAX_OUTPUT_ROWS

enum worker_msg_kind {
	WM_SETUP = 1,  /* struct wm_setup; descriptors: ledger, a socket for each queue, and for
			  AF_XDP the memory of each queue's buffers */
	WM_RULE,       /* struct wm_rule; descriptors: none */
	WM_SOCKET,     /* struct wm_socket; one descriptor: an egress socket */
	WM_LEVEL,      /* struct wm_level */
	WM_START,      /* header only: everything before it is in place, say READY */
	WM_READY = 64, /* worker → main, header only */
	WM_FAILED,     /* struct wm_failed */
};

struct wm_header {
	uint32_t kind; /* enum worker_msg_kind */
	uint32_t size; /* of the whole record */
};

struct wm_setup {
	struct wm_header h;
	uint8_t ingress; /* enum mcr_datapath */
	uint16_t n_queues;
	int32_t core; /* to be pinned to, −1 = none */
	uint32_t ifindex;
	uint32_t frames; /* packet buffers of each queue; a power of two */
	uint16_t queues[WORKER_QUEUES_MAX];
	char interface[16];
	uint8_t has_ring;
	struct io_uring_params ring;
};

enum egress_kind {
	EGRESS_PACKET = 1, /* AF_PACKET with virtio_net_hdr: the worker builds the whole frame */
	EGRESS_UDP,	   /* UDP socket: the kernel routes; UDP_SEGMENT */
	EGRESS_RAW,	   /* raw IP socket: the kernel routes; the worker builds the IP header */
	EGRESS_REGISTER,   /* raw PIM socket: the packet as it came goes in a PIM Register, and the
			      kernel routes that */
};

/* Sockets are named by main and shared by outputs. An unknown name replaces nothing: last wins. */
struct wm_socket {
	struct wm_header h;
	uint32_t socket;  /* name; < WORKER_OUTPUTS */
	uint32_t is_gone; /* 1: close it, no descriptor attached */
};

struct wm_output {
	uint32_t output;    /* ledger row */
	uint32_t socket;    /* frames with DF clear, and everything that is not UDP egress */
	uint32_t socket_df; /* UDP egress: for datagrams with DF set */
	uint8_t kind;	    /* enum egress_kind */
	uint8_t ttl;	    /* 0 = decrement */
	int8_t dscp;	    /* −1 = keep */
	uint8_t keeps_source;
	uint8_t can_segment;	/* GSO is worth using on this output */
	uint8_t drops_consumed; /* device without qdisc that segments in software: what it refuses
				   it counts itself, segment by segment (docs/accounting.md) */
	uint8_t is_up;
	uint8_t pad;
	uint16_t port;	 /* host order, 0 = keep */
	uint16_t mtu;	 /* 0 = not known: the kernel's routes decide */
	uint32_t source; /* network order, unless keeps_source */
	uint32_t group;	 /* network order; of a Register: who gets it */
	uint8_t dst_mac[6], src_mac[6];
};

struct wm_rule {
	struct wm_header h;
	struct mcr_rule_key key;
	uint32_t rule; /* ledger row */
	uint16_t n_outputs;
	uint8_t is_gone; /* 1: forget the key */
	uint8_t accept_ttl1;
	uint32_t trace_every;	    /* one datagram in so many leaves a trace record; 0 = none */
	struct wm_output outputs[]; /* n_outputs */
};

struct wm_level {
	struct wm_header h;
	uint8_t levels[16]; /* enum log_level by facility */
};

struct wm_failed {
	struct wm_header h;
	char what[240];
};

/*
 * What became of a copy that was due but not sent. Each has one counter per output.
 */
#define COPY_DROPS(X)                                                                              \
	X(full, "the send buffer of the output was full")                                          \
	X(device, "the device or its queue refused it")                                            \
	X(too_big, "larger than the output's MTU")                                                 \
	X(ttl, "its TTL would have reached zero")                                                  \
	X(down, "the output's interface is down or gone")                                          \
	X(unreachable, "no route, or the receiver refused it")                                     \
	X(error, "any other refusal by the kernel")                                                \
	X(crash, "its worker died before it was sent")

enum copy_drop {
#define X(name, text) COPY_DROP_##name,
	COPY_DROPS(X)
#undef X
		COPY_DROP__COUNT,
};

/* What became of a datagram that a worker took from its ring but did not relay. */
#define FRAME_DROPS(X)                                                                             \
	X(rule_gone, "its rule was removed while it waited")                                       \
	X(checksum, "its IP header or UDP checksum is wrong")                                      \
	X(malformed, "the headers contradict the frame")                                           \
	X(truncated, "longer than the ring can hold")                                              \
	X(crash, "its worker died while it held it, or with it in the ring")

enum frame_drop {
#define X(name, text) FRAME_DROP_##name,
	FRAME_DROPS(X)
#undef X
		FRAME_DROP__COUNT,
};

/*
 * The ledger: counters that the worker alone writes, in place, as things happen; mcrd reads them
 * at any time and finishes them when the worker has died (what it held goes to `crash`). Unit:
 * datagrams; bytes are UDP payload (IP payload for ESP). All only grow, but for the gauges.
 */
struct ledger_totals {
	uint64_t dequeued, dequeued_skbs, bytes;
	uint64_t frame_drop[FRAME_DROP__COUNT];
	uint64_t matched;
	uint64_t submitted, completed;	/* sends handed to the kernel, and answered by it */
	uint64_t rx_dropped, ring_full; /* kernel: XDP_STATISTICS or PACKET_STATISTICS */
	uint64_t batches, wakeups;
	/* gauges, as of the last turn */
	uint64_t in_ring;
	uint64_t buffers_total, buffers_fill, buffers_ring, buffers_held;
};

struct ledger_rule {
	uint64_t packets, bytes;
};

struct ledger_output {
	uint64_t due, sent, bytes;
	uint64_t drop[COPY_DROP__COUNT];
};

/* A sampled datagram, or the first of a sampled super-frame. */
#define TRACE_RECORDS 256
#define TRACE_HEAD    96
struct trace_record {
	uint64_t sequence;	  /* from 1; 0 = empty, or being written */
	uint64_t ns;		  /* CLOCK_MONOTONIC of the batch */
	uint32_t row;		  /* of its rule */
	uint32_t len;		  /* payload bytes */
	uint8_t head[TRACE_HEAD]; /* from the Ethernet header on, zeroes behind a shorter frame */
};

/* A send, as the user_data of its entries in the io_uring: whose copies it carries. */
union wm_send {
	uint64_t user_data;
	struct {
		uint64_t output : 20; /* ledger row */
		uint64_t bytes : 16;
		uint64_t datagrams : 8;
		uint64_t is_udp : 1;
		uint64_t drops_consumed : 1;
		uint64_t slot : 8; /* the worker's own */
	};
};
_Static_assert(WORKER_OUTPUTS <= 1 << 20, "a send must name any row");
_Static_assert(sizeof(union wm_send) == 8, "a send must fit its user_data");

/* Rows are touched on first use only, so an idle ledger costs little memory. */
struct ledger {
	uint64_t turn;	       /* odd while a batch is under way */
	uint64_t applied;      /* messages from main that are in force */
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last turn */
	struct ledger_totals totals;
	/* while the ring's completion number undo_at − 1 goes into a row: the row as it was */
	uint64_t undo_at;
	uint32_t undo_output;
	struct ledger_output undo;
	uint64_t traced; /* records written; the last TRACE_RECORDS of them are there */
	struct trace_record trace[TRACE_RECORDS];
	struct ledger_rule rules[MCR_MAX_RULES];
	struct ledger_output outputs[WORKER_OUTPUTS];
};
