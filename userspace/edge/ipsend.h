/* SPDX-License-Identifier: MIT */
/*
 * Sending IP packets whose header is our own, as the protocols of routers need it. One socket for
 * all interfaces.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip4.h"

struct ipsend_head {
	uint32_t ifindex; /* out of this interface; 0 = by the kernel's routes */
	struct ip4 source, dst;
	uint8_t protocol, ttl;
	bool has_router_alert;
};

/* A descriptor, which the caller closes, or -errno. */
int ipsend_open(void);

/* Sends one message, never waits: 0 or -errno. */
int ipsend(int fd, const struct ipsend_head *head, const void *message, size_t len);

/* The same of a whole packet, from its IP header on, to where that says. */
int ipsend_packet(int fd, uint32_t ifindex, const void *packet, size_t len);
