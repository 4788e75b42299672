/* SPDX-License-Identifier: MIT */
/* The headers of a copy, built from the run's first frame and the output's policies. Pure. */
#pragma once

#include "worker/batch.h"

#define HEADER_MAX 48

/* TTL of the copies; 0 = they must not be sent. */
uint8_t header_ttl(const struct mcr_flow *flow, const struct wm_output *out);

/* TOS byte: DSCP by policy, ECN kept. */
uint8_t header_tos(const struct mcr_flow *flow, const struct wm_output *out);

/*
 * IP and UDP header for `bytes` payload bytes (all segments of a segmented send); the UDP checksum
 * field has the pseudo-header sum for whoever completes it, or 0 when the datagram has none.
 * Returns the length: 28, or 20 for ESP.
 */
uint32_t header_ip(uint8_t *at, const struct run *r, const struct wm_output *out, uint32_t bytes);

/* The same behind an Ethernet header. */
uint32_t header_frame(uint8_t *at, const struct run *r, const struct wm_output *out,
		      uint32_t bytes);

/*
 * A PIM Register's header, and behind it the packet's own as they came, with the length of this
 * datagram of the run (RFC 7761 §4.9.3; the checksum is over the first 8 bytes only).
 */
#define HEADER_REGISTER 8
uint32_t header_register(uint8_t *at, const struct run *r, uint32_t bytes);

/* Completes the UDP checksum of header_ip's header; `payload` is the payload's sum. */
void header_raw_checksum(uint8_t *ip, const struct run *r, uint32_t payload);
