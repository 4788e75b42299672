/* SPDX-License-Identifier: MIT */
/*
 * Receiving PIM on all interfaces. What neighbours say to each other and what comes by way of
 * other routers (Registers, their answers, advertisements of candidates) have a socket each, so
 * that a flood of Registers does not crowd Hellos out. The groups that interfaces have to be in
 * are joined elsewhere (edge/membership.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "edge/loop.h"

struct pimsock;

/* A packet that came in at an interface, from its IP header on. Must not close the sockets. */
typedef void (*pimsock_fn)(void *arg, struct mtime now, uint32_t ifindex, const void *packet,
			   size_t len);

/* 0 or -errno. */
int pimsock_open(struct pimsock **out, struct loop *l, pimsock_fn fn, void *arg);
void pimsock_close(struct pimsock *s);

/* Has all groups' frames taken off the link, or no more; else a NIC may drop them. 0 or -errno. */
int pimsock_hear(struct pimsock *s, uint32_t ifindex, bool is_on);

/* Packets for which there was no room in the sockets. */
uint64_t pimsock_lost(const struct pimsock *s);
