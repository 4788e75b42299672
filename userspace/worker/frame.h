/* SPDX-License-Identifier: MIT */
/*
 * One received frame, or one super-frame of several datagrams that the kernel has not segmented,
 * read into what rules and outputs need. Pure: bytes in, a verdict out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mcr/classify.h"
#include "mcr/worker.h"

#define FRAME_PIECES_MAX 37 /* the longest packet, in chunks less XDP's headroom of 256 */

/* What the ring said of a frame. The first piece holds the headers. */
struct frame_raw {
	struct iovec *pieces; /* frame_read cuts them down to the payload */
	uint32_t n_pieces;
	uint32_t len;	  /* sum of the pieces */
	uint16_t segment; /* payload bytes of each datagram of a super-frame, else 0 */
	bool is_partial;  /* the checksum field is known to be the pseudo-header sum only */
	bool is_verified; /* the kernel vouches for the checksum */
};

enum frame_checksum { FRAME_CSUM_FULL, FRAME_CSUM_PARTIAL, FRAME_CSUM_NONE };

struct frame {
	struct mcr_flow flow;
	const uint8_t *head;   /* Ethernet header */
	struct iovec *payload; /* UDP payload, or IP payload for ESP */
	uint32_t n_payload;
	uint32_t len;	  /* payload bytes */
	uint16_t segment; /* bytes of each datagram; the last may be shorter */
	uint16_t datagrams;
	uint8_t checksum; /* enum frame_checksum */
};

/*
 * Fills `f`, which then points into `raw`'s pieces. FRAME_DROP__COUNT when the frame is good,
 * else why it is dropped. Never reads outside the pieces.
 */
enum frame_drop frame_read(struct frame *f, const struct frame_raw *raw);

/* Payload sum, as cksum_add, over pieces of any length. */
uint32_t frame_sum(const struct iovec *pieces, uint32_t n);
