/* SPDX-License-Identifier: MIT */
/*
 * AF_XDP receive (kernel Documentation/networking/af_xdp.rst). The socket comes from main, so the
 * rings are set up here by the kernel's interface itself; libxdp would open a socket of its own.
 * Its inline ring operations are used as they are. Every buffer is in the fill ring, in the
 * kernel's hands, in the receive ring, in the batch or put aside.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "worker/ingress.h"
#include "worker/stock.h"

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4) /* since Linux 6.6; missing from older headers */
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

#define FETCH_AHEAD 8	/* frames */
#define FETCH_BYTES 192 /* of each; what lies behind, the processor sees coming itself */

struct afxdp {
	struct ingress in;
	uint8_t *umem;
	uint32_t frames;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons rx;
	void *fill_map, *rx_map, *comp_map;
	size_t fill_len, rx_len, comp_len;
	uint32_t n_held; /* descriptors taken, still in the ring: their buffers are in the batch */
	struct stock stock;
	uint64_t *aside; /* buffers that the kernel is not to have now; the last one goes first */
	uint32_t n_aside;
	struct xdp_statistics last;
};

/* One that comes some frames later, or the next one when there are not so many. */
static const uint8_t *afxdp_ahead(const struct afxdp *x)
{
	uint32_t at = x->rx.cached_cons + FETCH_AHEAD;

	if ((int32_t)(x->rx.cached_prod - at) <= 0)
		at = x->rx.cached_cons;
	return x->umem + xsk_ring_cons__rx_desc(&x->rx, at)->addr;
}

static bool afxdp_take(struct ingress *in, struct batch *b, struct frame_raw *raw)
{
	struct afxdp *x = (struct afxdp *)in;
	const struct xdp_desc *desc;
	const uint8_t *ahead;
	uint32_t idx, n = 0;

	*raw = (struct frame_raw){ .pieces = &b->pieces[b->n_pieces] };
	/* the kernel has written it on another core: fetched now, it need not be waited for */
	ahead = afxdp_ahead(x);
	for (uint32_t line = 0; line < FETCH_BYTES; line += 64)
		__builtin_prefetch(ahead + line);
	do {
		if (!xsk_ring_cons__peek(&x->rx, 1, &idx)) {
			/* the kernel publishes whole frames: only an empty ring ends up here */
			xsk_ring_cons__cancel(&x->rx, n);
			return false;
		}
		desc = xsk_ring_cons__rx_desc(&x->rx, idx);
		/* what lies in more pieces than any packet needs is taken too, and read as
		 * truncated: left where it is, it would block the ring */
		if (raw->n_pieces < FRAME_PIECES_MAX) {
			raw->pieces[raw->n_pieces].iov_base = x->umem + desc->addr;
			raw->pieces[raw->n_pieces++].iov_len = desc->len;
		}
		raw->len += desc->len;
		n++;
	} while (desc->options & XDP_PKT_CONTD);
	b->n_pieces += raw->n_pieces;
	x->n_held += n;
	return true;
}

static uint32_t afxdp_in_fill(const struct afxdp *x)
{
	return *x->fill.producer - __atomic_load_n(x->fill.consumer, __ATOMIC_ACQUIRE);
}

/* Received, in the ring, not taken yet. */
static uint32_t afxdp_waiting(const struct afxdp *x)
{
	return __atomic_load_n(x->rx.producer, __ATOMIC_ACQUIRE) - x->rx.cached_cons;
}

static bool afxdp_has_frames(const struct ingress *in)
{
	const struct afxdp *x = (const struct afxdp *)in;

	return afxdp_waiting(x) > 0;
}

/* Puts `n` of the buffers put aside into the fill ring, which has room for all there are. */
static void afxdp_fill(struct afxdp *x, uint32_t n)
{
	uint32_t idx;

	n = xsk_ring_prod__reserve(&x->fill, n, &idx);
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&x->fill, idx + i) = x->aside[--x->n_aside];
	xsk_ring_prod__submit(&x->fill, n);
}

static void afxdp_release(struct ingress *in, uint64_t now_ns, bool wants_backlog)
{
	struct afxdp *x = (struct afxdp *)in;
	uint32_t from = x->rx.cached_cons - x->n_held, left = afxdp_in_fill(x);
	uint32_t has = left + afxdp_waiting(x);
	uint32_t level = stock_level(&x->stock, now_ns, left, x->n_held, wants_backlog);
	uint32_t n = level > has ? level - has : 0;

	for (uint32_t i = 0; i < x->n_held; i++)
		x->aside[x->n_aside++] = xsk_ring_cons__rx_desc(&x->rx, from + i)->addr &
					 ~(uint64_t)(WORKER_CHUNK - 1);
	xsk_ring_cons__release(&x->rx, x->n_held);
	x->n_held = 0;
	afxdp_fill(x, n < x->n_aside ? n : x->n_aside);
	if (xsk_ring_prod__needs_wakeup(&x->fill))
		recvfrom(in->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static void afxdp_stats(struct ingress *in, bool fresh, struct ingress_stats *out)
{
	struct afxdp *x = (struct afxdp *)in;
	socklen_t len = sizeof(x->last);
	uint32_t in_ring = __atomic_load_n(x->rx.producer, __ATOMIC_ACQUIRE) - *x->rx.consumer;

	if (fresh)
		getsockopt(in->fd, SOL_XDP, XDP_STATISTICS, &x->last, &len);
	*out = (struct ingress_stats){
		/* an empty fill ring counts in rx_dropped as well as in its own counter */
		.rx_dropped = x->last.rx_dropped,
		.ring_full = x->last.rx_ring_full,
		.in_ring = in_ring,
		.buffers_total = x->frames,
		.buffers_fill = afxdp_in_fill(x),
		.buffers_ring = in_ring - x->n_held,
		.buffers_held = x->n_held + x->n_aside,
	};
}

static void afxdp_close(struct ingress *in)
{
	struct afxdp *x = (struct afxdp *)in;

	close(in->fd);
	if (x->rx_map)
		munmap(x->rx_map, x->rx_len);
	if (x->fill_map)
		munmap(x->fill_map, x->fill_len);
	if (x->comp_map)
		munmap(x->comp_map, x->comp_len);
	if (x->umem)
		munmap(x->umem, (size_t)x->frames * WORKER_CHUNK);
	free(x->aside);
	free(x);
}

static const struct ingress_ops afxdp_ops = {
	.take = afxdp_take,
	.has_frames = afxdp_has_frames,
	.release = afxdp_release,
	.stats = afxdp_stats,
	.close = afxdp_close,
};

/* Maps the packet buffers, which main has registered, and sets the sizes of the rings. */
static int afxdp_buffers(struct afxdp *x, int memory, uint32_t rx_size)
{
	int fill = (int)x->frames, comp = 64; /* nothing is sent here, yet the kernel wants one */
	int rx = (int)rx_size;

	x->aside = calloc(x->frames, sizeof(*x->aside));
	if (!x->aside)
		return -ENOMEM;
	for (; x->n_aside < x->frames; x->n_aside++)
		x->aside[x->n_aside] = (uint64_t)x->n_aside * WORKER_CHUNK;
	x->umem = mmap(NULL, (size_t)x->frames * WORKER_CHUNK, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, memory, 0);
	if (x->umem == MAP_FAILED) {
		x->umem = NULL;
		return -errno;
	}
	if (setsockopt(x->in.fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill, sizeof(fill)) ||
	    setsockopt(x->in.fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &comp, sizeof(comp)) ||
	    setsockopt(x->in.fd, SOL_XDP, XDP_RX_RING, &rx, sizeof(rx)))
		return -errno;
	return 0;
}

static void *ring_map(int fd, size_t len, off_t at)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);

	return map == MAP_FAILED ? NULL : map;
}

static int afxdp_map(struct afxdp *x, uint32_t rx_size)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(x->in.fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return -errno;
	x->fill_len = off.fr.desc + x->frames * sizeof(uint64_t);
	x->fill_map = ring_map(x->in.fd, x->fill_len, (off_t)XDP_UMEM_PGOFF_FILL_RING);
	x->rx_len = off.rx.desc + rx_size * sizeof(struct xdp_desc);
	x->rx_map = ring_map(x->in.fd, x->rx_len, XDP_PGOFF_RX_RING);
	if (!x->fill_map || !x->rx_map)
		return -errno;
	x->fill.mask = x->frames - 1;
	x->fill.size = x->frames;
	x->fill.producer = (void *)((uint8_t *)x->fill_map + off.fr.producer);
	x->fill.consumer = (void *)((uint8_t *)x->fill_map + off.fr.consumer);
	x->fill.flags = (void *)((uint8_t *)x->fill_map + off.fr.flags);
	x->fill.ring = (uint8_t *)x->fill_map + off.fr.desc;
	x->fill.cached_cons = x->frames; /* libxdp keeps it one ring size ahead */
	x->rx.mask = rx_size - 1;
	x->rx.size = rx_size;
	x->rx.producer = (void *)((uint8_t *)x->rx_map + off.rx.producer);
	x->rx.consumer = (void *)((uint8_t *)x->rx_map + off.rx.consumer);
	x->rx.flags = (void *)((uint8_t *)x->rx_map + off.rx.flags);
	x->rx.ring = (uint8_t *)x->rx_map + off.rx.desc;
	return 0;
}

/* A former socket of the queue is released by the kernel a little after its process has ended. */
static int afxdp_bind(struct afxdp *x, const struct ingress_config *cfg)
{
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP | XDP_USE_SG,
		.sxdp_ifindex = cfg->ifindex,
		.sxdp_queue_id = cfg->queue,
	};

	for (int tries = 0; tries < 1000; tries++) {
		if (bind(x->in.fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return 0;
		if (errno == EINVAL && addr.sxdp_flags & XDP_USE_SG) {
			addr.sxdp_flags = XDP_USE_NEED_WAKEUP; /* before Linux 6.6 */
			continue;
		}
		if (errno != EBUSY)
			return -errno;
		usleep(1000);
	}
	return -EBUSY;
}

int ingress_afxdp_open(struct ingress **out, int fd, const struct ingress_config *cfg,
		       struct diag *d)
{
	struct afxdp *x = calloc(1, sizeof(*x));
	uint32_t rx_size = cfg->frames; /* every buffer may wait there */
	const char *step = "set up the buffers of";
	int err;

	if (!x)
		return -ENOMEM;
	x->in = (struct ingress){ &afxdp_ops, fd };
	x->frames = cfg->frames;
	stock_init(&x->stock, x->frames);
	err = afxdp_buffers(x, cfg->memory, rx_size);
	if (!err) {
		step = "map the rings of";
		err = afxdp_map(x, rx_size);
	}
	if (!err) {
		afxdp_fill(x, x->stock.level);
		step = "bind";
		err = afxdp_bind(x, cfg);
	}
	if (err) {
		diag_set(d, err, E_KERNEL, cfg->interface,
			 "cannot %s an AF_XDP socket of queue %u: %s", step, cfg->queue,
			 strerror(-err));
		afxdp_close(&x->in);
		return err;
	}
	*out = &x->in;
	return 0;
}
