/* SPDX-License-Identifier: MIT */
/*
 * AF_PACKET receive by a TPACKET_V3 ring (kernel Documentation/networking/packet_mmap.rst). Main
 * keeps the socket, as well as the filter in front of it, so that a frame is seen by the socket
 * whether or not there is a worker. Each frame has a virtio_net_hdr in front, which tells
 * super-frames and unfinished checksums. A block goes back to the kernel when all its frames have
 * been moved.
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

struct afpacket {
	struct ingress in;
	uint8_t *ring;
	uint32_t n_blocks;
	uint32_t block; /* the one being read */
	uint32_t left;	/* frames of it not taken yet */
	struct tpacket3_hdr *next;
	uint32_t oldest, n_done; /* blocks read to the end, not given back yet */
	uint64_t drops;
};

static struct tpacket_block_desc *block_at(const struct afpacket *p, uint32_t i)
{
	return (void *)(p->ring + (size_t)(i % p->n_blocks) * WORKER_BLOCK);
}

static bool block_is_ours(struct tpacket_block_desc *block)
{
	return __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/* Steps to the next block that has frames; false when the kernel still fills it. */
static bool afpacket_block(struct afpacket *p)
{
	while (!p->left) {
		struct tpacket_block_desc *block = block_at(p, p->block);

		if (p->n_done == p->n_blocks || !block_is_ours(block))
			return false;
		p->left = block->hdr.bh1.num_pkts;
		p->next = (void *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
		if (!p->left) {
			p->block++;
			p->n_done++;
		}
	}
	return true;
}

static void afpacket_describe(struct frame_raw *raw, const struct tpacket3_hdr *hdr)
{
	struct virtio_net_hdr vnet;

	memcpy(&vnet, (const uint8_t *)hdr + hdr->tp_mac - sizeof(vnet), sizeof(vnet));
	raw->is_partial = vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	raw->is_verified = vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if ((vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP_L4)
		raw->segment = vnet.gso_size;
}

static bool afpacket_take(struct ingress *in, struct batch *b, struct frame_raw *raw)
{
	struct afpacket *p = (struct afpacket *)in;
	struct tpacket3_hdr *hdr;

	if (!afpacket_block(p))
		return false;
	hdr = p->next;
	*raw = (struct frame_raw){
		.pieces = &b->pieces[b->n_pieces++],
		.n_pieces = 1,
		.len = hdr->tp_len,
	};
	raw->pieces[0].iov_base = (uint8_t *)hdr + hdr->tp_mac;
	raw->pieces[0].iov_len = hdr->tp_snaplen;
	afpacket_describe(raw, hdr);
	p->next = (void *)((uint8_t *)hdr + hdr->tp_next_offset);
	if (--p->left == 0) {
		p->block++;
		p->n_done++;
	}
	return true;
}

static bool afpacket_has_frames(const struct ingress *in)
{
	const struct afpacket *p = (const struct afpacket *)in;

	return p->left || (p->n_done < p->n_blocks && block_is_ours(block_at(p, p->block)));
}

static void afpacket_release(struct ingress *in, uint64_t now_ns, bool wants_backlog)
{
	struct afpacket *p = (struct afpacket *)in;

	(void)now_ns, (void)wants_backlog; /* the ring has the same blocks always */
	for (; p->n_done; p->n_done--) {
		struct tpacket_block_desc *block = block_at(p, p->oldest++);

		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	}
}

static void afpacket_stats(struct ingress *in, bool fresh, struct ingress_stats *out)
{
	struct afpacket *p = (struct afpacket *)in;
	struct tpacket_stats_v3 st;
	socklen_t len = sizeof(st);

	/* reading resets the kernel's counters */
	if (fresh && getsockopt(in->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		p->drops += st.tp_drops;
	*out = (struct ingress_stats){
		.ring_full = p->drops,
		.in_ring = p->left,
		.buffers_total = p->n_blocks,
		.buffers_held = p->n_done + (p->left > 0),
	};
	for (uint32_t i = p->block + (p->left > 0); i - p->oldest < p->n_blocks; i++) {
		struct tpacket_block_desc *block = block_at(p, i);

		if (!block_is_ours(block))
			break;
		out->in_ring += block->hdr.bh1.num_pkts;
		out->buffers_ring++;
	}
	out->buffers_fill = out->buffers_total - out->buffers_held - out->buffers_ring;
}

static void afpacket_close(struct ingress *in)
{
	struct afpacket *p = (struct afpacket *)in;

	if (p->ring)
		munmap(p->ring, (size_t)p->n_blocks * WORKER_BLOCK);
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

/* The block that the kernel fills, or will fill next: the one it has numbered last, or the one
 * behind it when that is full. */
static uint32_t afpacket_present(const struct afpacket *p)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i < p->n_blocks; i++)
		if (block_at(p, i)->hdr.bh1.seq_num > block_at(p, at)->hdr.bh1.seq_num)
			at = i;
	return block_is_ours(block_at(p, at)) ? at + 1 : at;
}

/*
 * Goes on where a former worker has died. What is in the ring is lost, and main has counted it;
 * nothing more comes in yet, so what lies in the present block is closed within a millisecond.
 */
static void afpacket_resume(struct afpacket *p)
{
	for (int tries = 0; tries < 100; tries++) {
		p->block = afpacket_present(p);
		if (block_is_ours(block_at(p, p->block)) ||
		    !block_at(p, p->block)->hdr.bh1.num_pkts)
			break;
		usleep(1000);
	}
	for (uint32_t i = 0; i < p->n_blocks; i++) {
		struct tpacket_block_desc *block = block_at(p, i);

		if (block_is_ours(block))
			__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL,
					 __ATOMIC_RELEASE);
	}
	p->oldest = p->block;
}

/* The ring, unless a former worker has made it. It takes the kernel some 10 ms, which is why main
 * does not do it for all of them one after the other. */
static int afpacket_ring(int fd, uint32_t blocks, uint32_t retire_ms)
{
	int version = TPACKET_V3, yes = 1;
	struct tpacket_req3 req = {
		.tp_block_size = WORKER_BLOCK,
		.tp_block_nr = blocks,
		.tp_frame_size = 2048,
		.tp_frame_nr = blocks * (WORKER_BLOCK / 2048),
		.tp_retire_blk_tov = retire_ms,
	};

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)))
		return errno == EBUSY ? 0 : -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
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
	p->n_blocks = cfg->blocks;
	err = afpacket_ring(fd, cfg->blocks, cfg->retire_ms);
	if (!err) {
		p->ring = mmap(NULL, (size_t)p->n_blocks * WORKER_BLOCK, PROT_READ | PROT_WRITE,
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
	afpacket_resume(p);
	*out = &p->in;
	return 0;
}
