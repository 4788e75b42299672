/* SPDX-License-Identifier: MIT */
/*
 * The interfaces of this network namespace, kept true by route netlink (libmnl): links, IPv4
 * addresses, and what the data path must know of a device. A lost notification (ENOBUFS) leads to
 * a full dump at once, at most one a second.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip4.h"
#include "edge/loop.h"

#define NETIF_ADDRS_MAX 16

struct netif {
	uint32_t ifindex;
	char name[16];
	uint8_t mac[6];
	bool is_up;                /* administratively up and carrier present (IFF_RUNNING) */
	bool is_ethernet;          /* ARPHRD_ETHER; loopback and tunnels are not */
	bool is_loopback;
	bool has_udp_gso;          /* device feature tx-udp-segmentation (ethtool) */
	bool has_qdisc;            /* a queueing discipline other than noqueue */
	bool takes_redirects;      /* frames that XDP redirects to it: its driver's side is ready */
	uint32_t mtu;
	uint32_t rx_queues;
	uint8_t prefix_len;        /* of the primary address */
	uint32_t n_addrs;
	struct ip4 addrs[NETIF_ADDRS_MAX]; /* first one is the primary */
	uint64_t tx_dropped, rx_dropped;   /* device counters at the last netif_refresh */
	uint64_t rx_packets, tx_packets;
};

struct netif_table;

/*
 * Called once for each interface that appeared, changed (not its counters) or vanished (`gone`);
 * `ni` has its last state. One that has another name is told of as gone, by the old one, and as
 * changed, by the new. Ends come first. Must not call netif_close.
 */
typedef void (*netif_fn)(void *arg, struct mtime now, const struct netif *ni, bool gone);

/* Opens the sockets, subscribes, dumps. No callbacks for what is there when this returns. */
int netif_open(struct netif_table **out, struct loop *l, netif_fn fn, void *arg);
void netif_close(struct netif_table *t);

const struct netif *netif_by_name(const struct netif_table *t, const char *name);
const struct netif *netif_by_index(const struct netif_table *t, uint32_t ifindex);
/* The one after, in order of appearance; NULL begins and ends. */
const struct netif *netif_next(const struct netif_table *t, const struct netif *after);

/* Asks the kernel for the device counters of one interface now. */
int netif_refresh(struct netif_table *t, uint32_t ifindex, struct netif *out);

/* How often notifications were lost, each time followed by a dump. */
uint64_t netif_overruns(const struct netif_table *t);
