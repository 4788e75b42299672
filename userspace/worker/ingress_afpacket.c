/* SPDX-License-Identifier: MIT */
/*
 * AF_PACKET receive by a TPACKET_V2 ring (kernel Documentation/networking/packet_mmap.rst), which
 * wakes for each frame: version 3 wakes for blocks, and holds a frame back until its block is full
 * or a timer of a millisecond or more has expired. Frames that do not fit a slot, super-frames
 * among them, come whole through the socket's queue, and leave a mark in their slot. Main keeps
 * the socket, as well as the filter in front of it, so that a frame is seen by the socket whether
 * or not there is a worker. Each frame has a virtio_net_hdr in front, which tells super-frames and
 * unfinished checksums.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/ingress.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define SLOT	  WORKER_CHUNK
#define BLOCK	  (64 * SLOT) /* what the kernel allocates in one piece */
#define LONG_MOST 65600	      /* bytes of the longest frame, with its virtio_net_hdr */
#define LONG_ROOM (32 * LONG_MOST)

struct afpacket {
	struct ingress in;
	uint8_t *ring;
	uint32_t n_slots;
	uint32_t next;	 /* slot to be read */
	uint32_t n_held; /* those before it, not given back yet */
	bool is_lost;	 /* where the kernel goes on is not known */
	uint64_t drops;
	uint32_t long_used;
	uint8_t longs[LONG_ROOM]; /* frames of this batch that did not fit */
};

static struct tpacket2_hdr *slot_at(const struct afpacket *p, uint32_t i)
{
	return (void *)(p->ring + (size_t)(i & (p->n_slots - 1)) * SLOT);
}

static bool slot_is_ours(const struct afpacket *p, uint32_t i)
{
	return __atomic_load_n(&slot_at(p, i)->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/*
 * A former worker has died, and took the knowledge with it where in the ring the kernel is. It
 * fills one slot after the other, so the first frame is one with none before it.
 */
static void afpacket_find(struct afpacket *p)
{
	uint32_t i = 0;

	while (i < p->n_slots && !slot_is_ours(p, i))
		i++;
	if (i == p->n_slots)
		return;
	for (uint32_t n = 1; n < p->n_slots && slot_is_ours(p, i - 1); n++)
		i--;
	p->next = i;
	p->is_lost = false;
}

static void afpacket_describe(struct frame_raw *raw, const void *header)
{
	struct virtio_net_hdr vnet;

	memcpy(&vnet, header, sizeof(vnet));
	raw->is_partial = vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	raw->is_verified = vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if ((vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP_L4)
		raw->segment = vnet.gso_size;
}

/* The frame of a marked slot; false if it is not there. */
static bool afpacket_long(struct afpacket *p, struct frame_raw *raw)
{
	uint8_t *at = p->longs + p->long_used;
	ssize_t len = recv(p->in.fd, at, LONG_MOST, MSG_DONTWAIT);

	if (len <= (ssize_t)sizeof(struct virtio_net_hdr))
		return false;
	p->long_used += (uint32_t)len;
	afpacket_describe(raw, at);
	raw->pieces[0].iov_base = at + sizeof(struct virtio_net_hdr);
	raw->pieces[0].iov_len = (size_t)len - sizeof(struct virtio_net_hdr);
	return true;
}

static bool afpacket_read(struct afpacket *p, struct tpacket2_hdr *hdr, struct iovec *piece,
			  struct frame_raw *raw)
{
	*raw = (struct frame_raw){ .pieces = piece, .n_pieces = 1, .len = hdr->tp_len };
	if (hdr->tp_snaplen < hdr->tp_len)
		return hdr->tp_status & TP_STATUS_COPY && afpacket_long(p, raw);
	piece->iov_base = (uint8_t *)hdr + hdr->tp_mac;
	piece->iov_len = hdr->tp_snaplen;
	afpacket_describe(raw, (const uint8_t *)hdr + hdr->tp_mac - sizeof(struct virtio_net_hdr));
	return true;
}

static bool afpacket_take(struct ingress *in, struct batch *b, struct frame_raw *raw)
{
	struct afpacket *p = (struct afpacket *)in;
	bool is_there = false;

	if (p->is_lost)
		afpacket_find(p);
	while (!is_there) {
		if (p->is_lost || p->n_held == p->n_slots || p->long_used > LONG_ROOM - LONG_MOST ||
		    !slot_is_ours(p, p->next))
			return false;
		p->n_held++;
		is_there = afpacket_read(p, slot_at(p, p->next++), &b->pieces[b->n_pieces], raw);
		/* the queue was full, which the kernel counts for full rings only */
		p->drops += !is_there;
	}
	b->n_pieces++;
	return true;
}

static bool afpacket_has_frames(const struct ingress *in)
{
	const struct afpacket *p = (const struct afpacket *)in;

	return !p->is_lost && p->n_held < p->n_slots && slot_is_ours(p, p->next);
}

static void afpacket_release(struct ingress *in, uint64_t now_ns, bool wants_backlog)
{
	struct afpacket *p = (struct afpacket *)in;

	(void)now_ns, (void)wants_backlog; /* the ring has the same slots always */
	for (; p->n_held; p->n_held--)
		__atomic_store_n(&slot_at(p, p->next - p->n_held)->tp_status, TP_STATUS_KERNEL,
				 __ATOMIC_RELEASE);
	p->long_used = 0;
}

/* How many slots from `next` on are filled: the first that is not, by bisection. */
static uint32_t afpacket_waiting(const struct afpacket *p)
{
	uint32_t low = 0, high = p->n_slots - p->n_held;

	while (!p->is_lost && low < high) {
		uint32_t middle = (low + high) / 2;

		if (slot_is_ours(p, p->next + middle))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void afpacket_stats(struct ingress *in, bool fresh, struct ingress_stats *out)
{
	struct afpacket *p = (struct afpacket *)in;
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	/* reading resets the kernel's counters */
	if (fresh && getsockopt(in->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		p->drops += st.tp_drops;
	*out = (struct ingress_stats){
		.ring_full = p->drops,
		.in_ring = afpacket_waiting(p),
		.buffers_total = p->n_slots,
		.buffers_held = p->n_held,
	};
	out->buffers_ring = out->in_ring;
	out->buffers_fill = out->buffers_total - out->buffers_held - out->buffers_ring;
}

static void afpacket_close(struct ingress *in)
{
	struct afpacket *p = (struct afpacket *)in;

	if (p->ring)
		munmap(p->ring, (size_t)p->n_slots * SLOT);
	close(in->fd);
	free(p);
}

static const struct ingress_ops afpacket_ops = {
	.take = afpacket_take,
	.has_frames = afpacket_has_frames,
	.release = afpacket_release,
	.stats = afpacket_stats,
	.close = afpacket_close,
};

/* Goes on where a former worker has died. What it had in the ring and the queue is lost, and main
 * has counted it; nothing more comes in yet. */
static void afpacket_resume(struct afpacket *p)
{
	while (recv(p->in.fd, p->longs, LONG_MOST, MSG_DONTWAIT) > 0)
		continue;
	for (uint32_t i = 0; i < p->n_slots; i++)
		if (slot_is_ours(p, i))
			__atomic_store_n(&slot_at(p, i)->tp_status, TP_STATUS_KERNEL,
					 __ATOMIC_RELEASE);
}

/* The ring, unless a former worker has made it. It takes the kernel some 10 ms, which is why main
 * does not do it for all of them one after the other. */
static int afpacket_ring(struct afpacket *p)
{
	int version = TPACKET_V2, yes = 1;
	struct tpacket_req req = {
		.tp_block_size = BLOCK,
		.tp_block_nr = p->n_slots / (BLOCK / SLOT),
		.tp_frame_size = SLOT,
		.tp_frame_nr = p->n_slots,
	};

	if (setsockopt(p->in.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version))) {
		if (errno != EBUSY)
			return -errno;
		p->is_lost = true;
		return 0;
	}
	if (setsockopt(p->in.fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)) ||
	    setsockopt(p->in.fd, SOL_PACKET, PACKET_COPY_THRESH, &yes, sizeof(yes)) ||
	    setsockopt(p->in.fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	return 0;
}

int ingress_afpacket_open(struct ingress **out, int fd, const struct ingress_config *cfg,
			  struct diag *d)
{
	struct afpacket *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->in = (struct ingress){ &afpacket_ops, fd };
	p->n_slots = cfg->frames;
	err = afpacket_ring(p);
	if (!err) {
		p->ring = mmap(NULL, (size_t)p->n_slots * SLOT, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_POPULATE, fd, 0);
		if (p->ring == MAP_FAILED) {
			err = -errno;
			p->ring = NULL;
		}
	}
	if (err) {
		afpacket_close(&p->in);
		return diag_set(d, err, E_KERNEL, cfg->interface,
				"cannot set up the ring of a packet socket: %s", strerror(-err));
	}
	if (p->is_lost)
		afpacket_resume(p);
	*out = &p->in;
	return 0;
}
