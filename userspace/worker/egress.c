/* SPDX-License-Identifier: MIT */
/*
 * The sending half of the worker. A send is prepared in a slot (headers, iovecs, control
 * messages), and the slots are submitted together. AF_PACKET sends carry a virtio_net_hdr
 * (linux/virtio_net.h): the kernel completes the UDP checksum and segments (GSO_UDP_L4); UDP
 * sockets do the same by UDP_SEGMENT (linux/udp.h).
 */
#include <errno.h>
#include <liburing.h>
#include <linux/virtio_net.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cksum.h"
#include "edge/spawn.h"
#include "mcr/ledger.h"
#include "worker/egress.h"
#include "worker/header.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* since Linux 6.2; missing from older headers */
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define EGRESS_SLOTS 256

/* What a piece of payload costs each send that has it, in bytes that can be copied meanwhile. */
#define FLAT_PIECE 150
#define FLAT_ROOM  (4 * RUN_BYTES)

struct send_slot {
	struct msghdr msg;
	struct virtio_net_hdr vnet;
	uint8_t header[HEADER_MAX];
	struct iovec iov[2 + RUN_PIECES];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t)) +
					      2 * CMSG_SPACE(sizeof(int))];
	struct sockaddr_in to;
	union wm_send what;
	uint16_t segment; /* UDP: bytes of each datagram */

	int fd;
};

struct egress {
	struct ledger *ledger;
	bool has_ring;
	struct io_uring ring;
	unsigned n_slots;
	struct send_slot slots[EGRESS_SLOTS];
	uint8_t *flat; /* the payload of the present run in one piece, if it is worth it */
	uint32_t flat_used;
	uint8_t flats[FLAT_ROOM]; /* of runs whose sends have not been submitted */
	int sockets[WORKER_OUTPUTS];
};

/* Maps the ring that main has made and restricted, and makes this process the one that uses it. */
static int ring_open(struct io_uring *ring, const struct io_uring_params *params)
{
	struct io_uring_params p = *params;
	int err = io_uring_queue_mmap(EXTRA_FD, &p, ring);

	if (err)
		return err;
	for (unsigned i = 0; i < p.sq_entries; i++)
		ring->sq.array[i] = i;
	/* liburing 2.3 has a call for this, but not all its builds export it */
	if (!syscall(__NR_io_uring_register, EXTRA_FD, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return 0;
	err = -errno;
	io_uring_queue_exit(ring);
	return err;
}

int egress_open(struct egress **out, struct ledger *ledger, const struct io_uring_params *ring)
{
	struct egress *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->ledger = ledger;
	for (unsigned i = 0; i < WORKER_OUTPUTS; i++)
		e->sockets[i] = -1;
	e->has_ring = ring && ring_open(&e->ring, ring) == 0;
	*out = e;
	return 0;
}

void egress_close(struct egress *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < WORKER_OUTPUTS; i++)
		egress_socket(e, i, -1);
	if (e->has_ring)
		io_uring_queue_exit(&e->ring);
	free(e);
}

const char *egress_method(const struct egress *e)
{
	return e->has_ring ? "io_uring" : "sendmsg";
}

void egress_socket(struct egress *e, uint32_t name, int fd)
{
	if (e->sockets[name] >= 0)
		close(e->sockets[name]);
	e->sockets[name] = fd;
}

static int slot_sendmsg(const struct send_slot *s)
{
	return sendmsg(s->fd, &s->msg, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Payload bytes [from, from + len) of a UDP send, as iovecs. */
static size_t slot_cut(const struct send_slot *s, size_t from, size_t len, struct iovec *iov)
{
	size_t n = 0;

	for (size_t i = 0; i < s->msg.msg_iovlen && len; i++) {
		size_t have = s->iov[i].iov_len;

		if (from >= have) {
			from -= have;
			continue;
		}
		have = have - from < len ? have - from : len;
		iov[n++] = (struct iovec){ (uint8_t *)s->iov[i].iov_base + from, have };
		len -= have;
		from = 0;
	}
	return n;
}

/*
 * A UDP send whose segments the way does not take (its MTU is known to the kernel alone), datagram
 * by datagram: without DF the kernel cuts up what is too large.
 */
static void slot_singly(struct egress *e, const struct send_slot *s)
{
	union wm_send one = s->what;

	one.datagrams = 1;
	for (size_t from = 0; from < s->what.bytes; from += s->segment) {
		size_t left = s->what.bytes - from, len = left < s->segment ? left : s->segment;
		struct iovec iov[RUN_PIECES];
		struct msghdr msg = s->msg;

		msg.msg_iov = iov;
		msg.msg_iovlen = slot_cut(s, from, len, iov);
		msg.msg_controllen -= CMSG_SPACE(sizeof(uint16_t)); /* the last one: UDP_SEGMENT */
		one.bytes = (uint16_t)len;
		ledger_sent(&e->ledger->outputs[one.output], one,
			    sendmsg(s->fd, &msg, MSG_DONTWAIT) < 0 ? -errno : 0);
	}
}

/* The outcome of a send, for all its datagrams. */
static void slot_finish(struct egress *e, const struct send_slot *s, int res)
{
	e->ledger->totals.completed++;
	/* an ICMP message about an earlier datagram, maybe another output's, makes the next send of
	 * its UDP socket fail before it begins; being told once, it leaves the second one alone */
	if (s->what.is_udp && res < 0 && res != -EAGAIN && res != -ENOBUFS)
		res = slot_sendmsg(s);
	if (s->what.is_udp && s->what.datagrams > 1 &&
	    (res == -EMSGSIZE || res == -EINVAL || res == -EIO))
		slot_singly(e, s);
	else
		ledger_sent(&e->ledger->outputs[s->what.output], s->what, res);
}

/* Takes one answer from the ring, so that main can tell, should this process be killed in the
 * middle, whether it is in the ledger: it is when the ring's head has moved, else `undo` holds. */
static void egress_take(struct egress *e, const struct send_slot *s, int res, unsigned head)
{
	struct ledger *l = e->ledger;

	l->undo_output = s->what.output;
	l->undo = l->outputs[s->what.output];
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	l->undo_at = (uint64_t)head + 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	slot_finish(e, s, res);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	io_uring_cq_advance(&e->ring, 1);
}

static void egress_flush_sendmsg(struct egress *e)
{
	for (unsigned i = 0; i < e->n_slots; i++)
		slot_finish(e, &e->slots[i], slot_sendmsg(&e->slots[i]));
}

static void egress_flush_ring(struct egress *e)
{
	unsigned done = 0;

	for (unsigned i = 0; i < e->n_slots; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

		io_uring_prep_sendmsg(sqe, e->slots[i].fd, &e->slots[i].msg, MSG_DONTWAIT);
		sqe->user_data = e->slots[i].what.user_data;
	}
	while (done < e->n_slots) {
		struct io_uring_cqe *cqe;
		unsigned head;
		/* with MSG_DONTWAIT all complete while they are submitted */
		int err = io_uring_submit_and_wait(&e->ring, e->n_slots - done);

		if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
			abort(); /* the ring is broken; a new worker has a new one */
		io_uring_for_each_cqe(&e->ring, head, cqe)
		{
			union wm_send what = { cqe->user_data };

			egress_take(e, &e->slots[what.slot], cqe->res, head);
			done++;
		}
	}
}

static void egress_flush(struct egress *e)
{
	if (!e->n_slots)
		return;
	e->ledger->totals.submitted += e->n_slots;
	if (e->has_ring)
		egress_flush_ring(e);
	else
		egress_flush_sendmsg(e);
	e->n_slots = 0;
}

static struct send_slot *slot_get(struct egress *e, const struct wm_output *out, uint32_t bytes,
				  uint16_t datagrams)
{
	struct send_slot *s;

	if (e->n_slots == EGRESS_SLOTS)
		egress_flush(e);
	s = &e->slots[e->n_slots++];
	s->msg = (struct msghdr){ .msg_iov = s->iov };
	s->what = (union wm_send){ .output = (uint16_t)out->output,
				   .bytes = (uint16_t)bytes,
				   .datagrams = (uint8_t)datagrams,
				   .is_udp = out->kind == EGRESS_UDP,
				   .drops_consumed = out->drops_consumed,
				   .slot = (uint8_t)(s - e->slots) };
	s->fd = e->sockets[out->socket];
	return s;
}

static void control_add(struct send_slot *s, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c = (void *)(s->control + s->msg.msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	s->msg.msg_control = s->control;
	s->msg.msg_controllen += CMSG_SPACE(len);
}

/* By a UDP socket: the kernel makes the headers; TTL and TOS go along as control messages. */
static void fill_udp(struct egress *e, struct send_slot *s, const struct run *r,
		     const struct wm_output *out)
{
	int ttl = header_ttl(&r->flow, out), tos = header_tos(&r->flow, out);

	s->to = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = out->group,
		.sin_port = out->port ? htons(out->port) : r->flow.dport,
	};
	s->msg.msg_name = &s->to;
	s->msg.msg_namelen = sizeof(s->to);
	if (r->flow.df)
		s->fd = e->sockets[out->socket_df];
	control_add(s, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	control_add(s, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	s->segment = r->segment;
	if (s->what.datagrams > 1)
		control_add(s, IPPROTO_UDP, UDP_SEGMENT, &r->segment, sizeof(r->segment));
}

/* By a packet socket: Ethernet frame behind a virtio_net_hdr. */
static void fill_packet(struct send_slot *s, const struct run *r, const struct wm_output *out)
{
	uint32_t len = header_frame(s->header, r, out, s->what.bytes);

	s->vnet = (struct virtio_net_hdr){ 0 };
	if (r->checksum != FRAME_CSUM_NONE) {
		s->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		s->vnet.csum_start = MCR_HDR_IP;
		s->vnet.csum_offset = offsetof(struct udphdr, check);
	}
	if (s->what.datagrams > 1) {
		s->vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		s->vnet.gso_size = r->segment;
		s->vnet.hdr_len = (uint16_t)len;
	}
	s->iov[0] = (struct iovec){ &s->vnet, sizeof(s->vnet) };
	s->iov[1] = (struct iovec){ s->header, len };
	s->msg.msg_iovlen = 2;
}

/* By a raw socket: IP header and all, the checksum by hand, since nobody completes it there. */
static void fill_raw(struct send_slot *s, const struct run *r, const struct wm_output *out)
{
	uint32_t len = header_ip(s->header, r, out, s->what.bytes);

	s->to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = out->group };
	s->msg.msg_name = &s->to;
	s->msg.msg_namelen = sizeof(s->to);
	s->iov[0] = (struct iovec){ s->header, len };
	s->msg.msg_iovlen = 1;
}

/* By a raw socket for PIM: the kernel makes the outer IP header. DSCP and ECN are the packet's. */
static void fill_register(struct send_slot *s, const struct run *r, const struct wm_output *out)
{
	int tos = r->flow.tos;

	s->to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = out->group };
	s->msg.msg_name = &s->to;
	s->msg.msg_namelen = sizeof(s->to);
	control_add(s, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	s->iov[0] = (struct iovec){ s->header, header_register(s->header, r, s->what.bytes) };
	s->msg.msg_iovlen = 1;
}

/* One send of `bytes` payload bytes of the run, starting at `from`. */
static void egress_send(struct egress *e, const struct batch *b, const struct run *r,
			const struct wm_output *out, uint32_t from, uint32_t bytes,
			uint16_t datagrams)
{
	struct send_slot *s = slot_get(e, out, bytes, datagrams);
	uint32_t n;

	switch ((enum egress_kind)out->kind) {
	case EGRESS_UDP:
		fill_udp(e, s, r, out);
		break;
	case EGRESS_PACKET:
		fill_packet(s, r, out);
		break;
	case EGRESS_RAW:
		fill_raw(s, r, out);
		break;
	case EGRESS_REGISTER:
		fill_register(s, r, out);
		break;
	}
	if (e->flat) {
		s->iov[s->msg.msg_iovlen] = (struct iovec){ e->flat + from, bytes };
		n = bytes > 0;
	} else {
		n = batch_gather(b, r, from, bytes, s->iov + s->msg.msg_iovlen, RUN_PIECES);
	}
	if (out->kind == EGRESS_RAW)
		header_raw_checksum(s->header, r, frame_sum(s->iov + 1, n));
	else if (out->kind == EGRESS_REGISTER)
		header_raw_checksum(s->header + HEADER_REGISTER, r, frame_sum(s->iov + 1, n));
	s->msg.msg_iovlen += n;
}

/* In as few sends as the kernel's limits allow: a super-frame may hold more than one. */
static void egress_segmented(struct egress *e, const struct batch *b, const struct run *r,
			     const struct wm_output *out)
{
	uint32_t most = RUN_DATAGRAMS;

	while (most > 1 && most * r->segment > RUN_BYTES)
		most--;
	for (uint32_t from = 0, left = r->datagrams; left; from += most * r->segment) {
		uint32_t n = left < most ? left : most;

		left -= n;
		egress_send(e, b, r, out, from, left ? n * r->segment : r->bytes - from,
			    (uint16_t)n);
	}
}

/* Datagram by datagram: no segmentation here, or some do not fit the MTU. */
static void egress_singly(struct egress *e, const struct batch *b, const struct run *r,
			  const struct wm_output *out, uint32_t room)
{
	for (uint32_t from = 0, i = 0; i < r->datagrams; i++, from += r->segment) {
		uint32_t bytes = r->bytes - from < r->segment ? r->bytes - from : r->segment;

		if (bytes > room)
			e->ledger->outputs[out->output].drop[COPY_DROP_too_big]++;
		else
			egress_send(e, b, r, out, from, bytes, 1);
	}
}

static void egress_output(struct egress *e, const struct batch *b, const struct run *r,
			  const struct wm_output *out)
{
	struct ledger_output *row = &e->ledger->outputs[out->output];
	uint32_t headers = (r->flow.protocol == IPPROTO_UDP ? 28 : 20) +
			   (out->kind == EGRESS_REGISTER ? HEADER_REGISTER + 20 : 0);
	uint32_t mtu = out->mtu ? out->mtu : UINT16_MAX;
	uint32_t room = mtu > headers ? mtu - headers : 0;
	/* where the kernel chooses the way it cuts up what is too large, but no segments */
	uint32_t segment_room = out->mtu ? room : ETH_DATA_LEN - headers;

	row->due += r->datagrams;
	if (!out->is_up)
		row->drop[COPY_DROP_down] += r->datagrams;
	else if (!header_ttl(&r->flow, out))
		row->drop[COPY_DROP_ttl] += r->datagrams;
	else if (r->datagrams > 1 && out->can_segment && r->checksum != FRAME_CSUM_NONE &&
		 r->segment <= segment_room)
		egress_segmented(e, b, r, out);
	else
		egress_singly(e, b, r, out, room);
}

/*
 * Each send of a run goes through all its pieces. Where these are small or sends are many, it is
 * cheaper to put the payload together once.
 */
static void egress_flatten(struct egress *e, const struct batch *b, const struct run *r)
{
	struct iovec iov[RUN_PIECES];
	uint32_t n, at;

	e->flat = NULL;
	if (r->n_pieces < 2 || r->bytes > RUN_BYTES ||
	    r->n_pieces * r->rule->n_outputs * FLAT_PIECE < r->bytes)
		return;
	if (e->flat_used + r->bytes > FLAT_ROOM)
		egress_flush(e);
	if (!e->n_slots)
		e->flat_used = 0;
	e->flat = e->flats + e->flat_used;
	n = batch_gather(b, r, 0, r->bytes, iov, RUN_PIECES);
	at = e->flat_used;
	for (uint32_t i = 0; i < n; at += (uint32_t)iov[i++].iov_len)
		memcpy(e->flats + at, iov[i].iov_base, iov[i].iov_len);
	e->flat_used = at;
}

void egress_batch(struct egress *e, const struct batch *b)
{
	for (uint32_t i = 0; i < b->n_runs; i++) {
		const struct run *r = &b->runs[i];

		egress_flatten(e, b, r);
		for (uint32_t o = 0; o < r->rule->n_outputs; o++)
			egress_output(e, b, r, &r->rule->outputs[o]);
	}
	egress_flush(e);
}
