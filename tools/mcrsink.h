/* SPDX-License-Identifier: MIT */
/*
 * mcrsink, the receiver: what its parts share.
 *   mcrsink.c         command line, when to end
 *   mcrsink_join.c    sockets and their memberships
 *   mcrsink_udp.c     mode udp: what an application receives
 *   mcrsink_packet.c  mode packet: what the wire carries
 *   mcrsink_flow.c    flows: each sequence number once, late, twice, or never
 *   mcrsink_latency.c delays in logarithmic buckets
 *   mcrsink_report.c  the tables
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip4.h"
#include "payload.h"

struct sink_options {
	const char *interface;
	struct ip4 group, source;
	uint64_t mode, groups, port, ports, sources;
	uint64_t duration_ns, expect, idle_ms, buffer_mib, ready_fd;
	bool gro, json;
};

enum sink_checksum {
	SINK_UNKNOWN, /* the kernel has looked at it, if anybody */
	SINK_GOOD,
	SINK_BAD,
	SINK_NONE,    /* 0 in the field */
	SINK_PARTIAL, /* left to a device to fill in */
	SINK_CHECKSUM_COUNT,
};

/* One datagram as it came in. Ports in host order. */
struct sink_datagram {
	struct ip4 group, source;
	uint16_t port, source_port;
	uint8_t ttl, tos;
	enum sink_checksum checksum;
	const unsigned char *data;
	uint32_t len;
	uint64_t now_ns;
};

/* --- delays --- */

#define LATENCY_FINE	32		    /* buckets for each doubling: a step of 3 % */
#define LATENCY_BUCKETS (LATENCY_FINE * 37) /* up to 2^41 ns, more than half an hour */

struct sink_latency {
	uint64_t n, min_ns, max_ns;
	uint32_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct sink_latency *l, uint64_t ns);
void latency_merge(struct sink_latency *into, const struct sink_latency *from);

/* The delay that `share` (0 to 1) of the datagrams did not exceed; 0 when there are none. */
uint64_t latency_percentile(const struct sink_latency *l, double share);

/* --- flows --- */

#define FLOWS_MAX    20000
#define FLOW_SLOTS   32768	/* a power of two, well above FLOWS_MAX */
#define WINDOW_BITS  (1u << 20) /* how far behind a sequence number is still known for sure */
#define FLOW_UNKNOWN UINT32_MAX /* the flow of datagrams whose header cannot be believed */

struct sink_flow {
	uint32_t run, flow;
	struct ip4 group, source;
	uint16_t port, source_port;
	uint8_t ttl_min, ttl_max, tos_min, tos_max;
	uint64_t received, bytes;
	uint64_t unique, duplicated, reordered, corrupt;
	uint64_t stale;	      /* too old to tell whether they came before */
	uint64_t first, last; /* lowest and highest sequence */
	uint64_t checksums[SINK_CHECKSUM_COUNT];
	uint64_t *window; /* WINDOW_BITS, by sequence modulo their number */
	struct sink_latency *latency;
};

/* Sequence numbers from the first to the last that never came. */
uint64_t flow_lost(const struct sink_flow *f);

struct sink_table {
	struct sink_flow *slots[FLOW_SLOTS];
	struct sink_flow *list[FLOWS_MAX]; /* in order of appearance */
	size_t n;
	uint64_t no_room; /* datagrams of flows beyond FLOWS_MAX */
};

/* 0 or −ENOMEM. */
int flow_take(struct sink_table *t, const struct sink_datagram *d);
void flow_free_all(struct sink_table *t);

/* --- receiving --- */

/* Frames that are no datagrams of ours; mode packet only. */
struct sink_other {
	uint64_t foreign; /* another protocol, group or port */
	uint64_t fragments, malformed, ip_checksum_bad;
};

struct sink {
	struct sink_options opt;
	int ifindex;
	int *fds;	 /* sockets: all in mode udp, in mode packet only for memberships */
	uint16_t *ports; /* … and the port of each */
	size_t n_fds;
	int poll_fd; /* readable when there is something to receive */
	struct sink_table table;
	struct sink_other other;
	uint64_t received, first_ns, last_ns;
	uint64_t dropped; /* by the kernel, for want of room in a socket */
	void *state;	  /* the mode's own */
};

struct sink_mode {
	int (*open)(struct sink *s);
	/* Reads something of what is there. How many messages, or −errno. */
	int (*receive)(struct sink *s);
	/* Empties each socket once, and ends even if more and more comes in. 0 or −errno. */
	int (*drain)(struct sink *s, uint64_t until_ns);
	int (*count_drops)(struct sink *s);
	void (*close)(struct sink *s); /* accepts what a failed open has left */
};

extern const struct sink_mode sink_mode_udp, sink_mode_packet;

uint64_t sink_now_ns(void);

/* Says on stderr what failed and why; returns −errno. */
int sink_fail(const char *what);

/* Counts a datagram. 0 or −ENOMEM. */
int sink_take(struct sink *s, const struct sink_datagram *d);

/* A datagram made of equal segments (the last may be shorter), each counted. 0 or −errno. */
int sink_take_segments(struct sink *s, struct sink_datagram *d, uint32_t segment);

/*
 * Opens the sockets that bind to `port` and are members of all groups that were asked for; port 0
 * is for members that receive nothing. 0 or −errno.
 */
int sink_join(struct sink *s, uint16_t port);
void sink_leave(struct sink *s);

void sink_report(const struct sink *s, uint64_t elapsed_ns);
