/* SPDX-License-Identifier: MIT */
/*
 * A batch: the frames taken in one turn, sorted into runs. A run is what one segmented send can
 * carry: datagrams of one rule and flow with equal headers and equal length (the last may be
 * shorter), in the order they came. Different flows may interleave; their runs do not.
 */
#pragma once

#include "worker/frame.h"
#include "worker/table.h"

/* A batch goes on as long as there is backlog and its runs are still short: many thin flows need
 * more frames than one fat flow until a send is worth it. */
#define BATCH_FRAMES  4096
#define BATCH_FEW     512   /* so many it always takes */
#define BATCH_RUN     16    /* a run that is long enough, on average */
#define BATCH_SENDS   16384 /* what is enough in any case: some 30 ms */
#define BATCH_PIECES  (2 * BATCH_FRAMES + FRAME_PIECES_MAX)
#define RUN_DATAGRAMS 64 /* UDP_MAX_SEGMENTS of every kernel that has UDP GSO */
/* With all headers a send stays below 65536 bytes, which devices take by default (gso_max_size):
 * the kernel would segment a larger one before them, whatever they can do. */
#define RUN_BYTES  65493
#define RUN_PIECES 66

#define BATCH_SLOTS (4 * BATCH_FRAMES)

struct run {
	const struct table_rule *rule;
	struct mcr_flow flow; /* of its first frame */
	const uint8_t *head;  /* Ethernet header of its first frame */
	uint32_t bytes, n_pieces;
	uint16_t datagrams, segment;
	uint8_t checksum; /* enum frame_checksum: NONE or not */
	bool is_closed;
	uint16_t slot;	      /* in batch.open */
	uint16_t first, last; /* its frames, chained by batch.next */
};

struct batch {
	uint32_t n_frames, n_pieces, n_runs;
	uint32_t n_datagrams; /* in its runs */
	uint32_t n_sends;     /* for its runs, at least */
	struct frame frames[BATCH_FRAMES];
	uint16_t next[BATCH_FRAMES];
	struct iovec pieces[BATCH_PIECES]; /* for the ingress to put a frame's pieces in */
	struct run runs[BATCH_FRAMES];
	/* hash of the flow → its latest run; empty is what that run does not point back at */
	uint16_t open[BATCH_SLOTS];
};

void batch_clear(struct batch *b);

/* Its runs are short: with more backlog there would be fewer sends. */
static inline bool batch_is_thin(const struct batch *b)
{
	return b->n_datagrams < BATCH_RUN * b->n_runs;
}

/* No more frames into this one. */
static inline bool batch_is_full(const struct batch *b)
{
	if (b->n_frames == BATCH_FRAMES || b->n_pieces + FRAME_PIECES_MAX > BATCH_PIECES)
		return true;
	return b->n_frames >= BATCH_FEW && (b->n_sends >= BATCH_SENDS || !batch_is_thin(b));
}

/* Puts frames[i], which is good and matched `rule`, into a run. */
void batch_add(struct batch *b, uint32_t i, const struct table_rule *rule);

/*
 * Gathers payload bytes [from, from + len) of a run into `iov` (room for `cap`); how many were
 * needed, which RUN_PIECES bounds for a whole run.
 */
uint32_t batch_gather(const struct batch *b, const struct run *r, uint32_t from, uint32_t len,
		      struct iovec *iov, uint32_t cap);
