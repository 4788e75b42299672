/* SPDX-License-Identifier: MIT */
/* How the outcome of a send gets into the ledger: by the worker, or by main in a dead one's place.
 */
#pragma once

#include <errno.h>

#include "mcr/worker.h"

static inline enum copy_drop ledger_drop_of(int err)
{
	switch (err) {
	case EAGAIN:
		return COPY_DROP_full;
	case ENOBUFS:
		return COPY_DROP_device;
	case EMSGSIZE:
		return COPY_DROP_too_big;
	case ENETDOWN:
	case ENODEV:
	case ENXIO:
	case EBADF:
		return COPY_DROP_down;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return COPY_DROP_unreachable;
	default:
		return COPY_DROP_error;
	}
}

/* `res` is what the kernel said: −errno, or a number of bytes. */
static inline void ledger_sent(struct ledger_output *row, union wm_send send, int res)
{
	/* a device without queue that segments in software answers for the last segment only, and
	 * counts each that it refuses: they are its to account for */
	if (res == -ENOBUFS && send.drops_consumed)
		res = 0;
	if (res >= 0) {
		row->sent += send.datagrams;
		row->bytes += send.bytes;
		return;
	}
	row->drop[ledger_drop_of(-res)] += send.datagrams;
}
