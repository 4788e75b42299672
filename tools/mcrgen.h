/* SPDX-License-Identifier: MIT */
/*
 * mcrgen, the traffic source: what its parts share.
 *   mcrgen.c         command line, flows, pacing
 *   mcrgen_udp.c     mode udp: UDP sockets
 *   mcrgen_frame.c   frames: headers, checksums, what can be wrong with them
 *   mcrgen_packet.c  mode packet: a packet socket
 *   mcrgen_live.c    mode live: XDP frames made by a program in the kernel (mcrgen_live.bpf.c)
 *   mcrgen_report.c  what was done, and what became of it at the interface
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip4.h"
#include "payload.h"

enum gen_checksum {
	GEN_FULL,
	GEN_PARTIAL, /* left to the device, as a local sender leaves it: only the pseudo-header's */
	GEN_PSEUDO,  /* the same bytes, but nobody is told */
	GEN_ZERO,    /* none */
	GEN_WRONG,
};

struct gen_options {
	const char *interface, *dest_mac;
	uint64_t mode, checksum, malformed; /* choices */
	struct ip4 group, source;
	uint64_t port, groups, ports, sources, source_port;
	uint64_t size, rate, count, duration_ns, burst;
	uint64_t ttl, dscp, vlan, fragment, segment, first_flow;
	uint64_t duplicate, skip, swap, corrupt; /* every so manyth packet; 0 = never */
	bool df, ip_options, json;
};

struct gen_flow {
	struct ip4 group, source; /* source.net 0: what the kernel chooses */
	uint16_t port;
	unsigned char dest_mac[6]; /* frames only */
	uint32_t id;
	size_t source_index;
	uint64_t next; /* sequence */
	uint64_t made; /* packets so far; what happens every Nth time goes by it */
	bool has_held;
	uint64_t held; /* sequence that a swap has left for the next packet */
	uint64_t sent, failed;
};

struct gen_packet {
	struct gen_flow *flow;
	struct payload payload;
	bool is_corrupt; /* a bit of its body is to be changed */
};

/* Counters of the network device, as /proc/net/dev has them. */
struct gen_device {
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

#define GEN_ERRNO_MAX 134

struct gen {
	struct gen_options opt;
	int ifindex;
	uint32_t run;
	unsigned char mac[6];
	struct gen_flow *flows;
	size_t n_flows, at;	/* whose turn it is … */
	uint64_t left_in_burst; /* … and for how many packets more */
	unsigned batch_max;	/* packets that the mode takes at once */
	unsigned batch_min;	/* … and that are waited for … */
	bool paces_itself;	/* … unless the mode needs nobody to wait */
	uint64_t attempts;	/* datagrams that were tried to send */
	uint64_t duplicated, skipped, swapped, corrupted;
	uint64_t errors[GEN_ERRNO_MAX];
	struct gen_device before, after;
	uint64_t unaccounted; /* neither sent nor dropped, say the counters of the device */
	uint64_t start_ns, end_ns;
	void *state; /* the mode's own */
};

struct gen_mode {
	int (*open)(struct gen *g);
	/* Sends n datagrams; those that fail are counted, and no reason to end. */
	int (*send)(struct gen *g, unsigned n);
	int (*settle)(struct gen *g); /* when all is sent; NULL: nothing to wait for */
	void (*close)(struct gen *g); /* accepts what a failed open has left */
};

extern const struct gen_mode gen_mode_udp, gen_mode_packet, gen_mode_live;
extern const char *const gen_malformed_names[]; /* [0] is "none" */

uint64_t gen_now_ns(void);

/* How many datagrams are to be sent; UINT64_MAX: no end. */
uint64_t gen_total(const struct gen_options *o);

/* How long `n` datagrams last at --rate. */
uint64_t gen_span_ns(const struct gen *g, uint64_t n);

/* Says on stderr what failed and why; returns −errno. */
int gen_fail(const char *what);

/* The next datagram of the round, with sequence and time. */
void gen_next_packet(struct gen *g, struct gen_packet *p);

/* Payload of a packet: header and body. */
void gen_write_payload(const struct gen_packet *p, unsigned char *at);

/* What became of `n` datagrams of a flow: `err` is 0 or −errno. */
void gen_account(struct gen *g, struct gen_flow *f, uint64_t n, int err);

int gen_read_device(const char *name, struct gen_device *d);
void gen_report(struct gen *g);

/* --- frames --- */

#define GEN_HEADERS_MAX (14 + 4 + 24 + 8)

/* Where things are in a frame. */
struct gen_frame {
	unsigned char *eth, *ip, *udp, *payload;
	size_t len;
};

/* Finds the MAC addresses, and the interface's address where no source was given. 0 or −errno. */
int gen_frame_init(struct gen *g);

/* Headers up to the payload, with `id` as IP identification and 0 as UDP checksum. */
void gen_frame_write_headers(const struct gen *g, const struct gen_flow *f, uint16_t id,
			     unsigned char *at, struct gen_frame *frame);

/* The UDP checksum that --checksum wants, once the payload is there. */
void gen_frame_set_checksum(const struct gen *g, const struct gen_frame *frame);

/* What the pseudo-header adds to a UDP checksum. */
uint32_t gen_frame_sum_pseudo(const struct gen *g, const struct gen_frame *frame);

void gen_frame_set_ip_checksum(const struct gen_frame *frame);

/* Makes the frame what --malformed says. */
void gen_frame_spoil(const struct gen *g, struct gen_frame *frame);
