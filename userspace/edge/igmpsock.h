/* SPDX-License-Identifier: MIT */
/*
 * Receiving IGMP on one interface. It is taken off the link by a packet socket: reports of older
 * versions go to the group that they are about, which this host need not have joined.
 */
#pragma once

#include <stddef.h>

#include "base/ip4.h"
#include "edge/loop.h"

struct igmpsock;

/* A packet that came in, from its IP header on. Must not close the socket. */
typedef void (*igmpsock_fn)(void *arg, struct mtime now, const void *packet, size_t len);

/* 0 or -errno. */
int igmpsock_open(struct igmpsock **out, struct loop *l, uint32_t ifindex, igmpsock_fn fn,
		  void *arg);
void igmpsock_close(struct igmpsock *s);

/* Packets that found no room in the socket since it was opened. */
uint64_t igmpsock_lost(const struct igmpsock *s);
