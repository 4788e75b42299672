/* SPDX-License-Identifier: MIT */
/* Mode packet: frames, right or wrong, by a packet socket. */
#include "mcrgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES_MAX  64
#define FRAME_ROOM  (GEN_HEADERS_MAX + PAYLOAD_MAX + 64)
#define SEND_BUFFER (8 << 20)

struct packet {
	int fd;
	unsigned char *memory;
	struct gen_flow *flows[FRAMES_MAX]; /* whose frame each is */
	struct virtio_net_hdr offloads[FRAMES_MAX];
	struct iovec data[FRAMES_MAX][2];
	struct mmsghdr messages[FRAMES_MAX];
};

static int set_options(const struct gen *g, int fd)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = g->ifindex };
	int one = 1, size = SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		return gen_fail("SO_SNDBUFFORCE");
	if (g->opt.checksum == GEN_PARTIAL &&
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		return gen_fail("PACKET_VNET_HDR");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return gen_fail("bind");
	return 0;
}

static int packet_open(struct gen *g)
{
	struct packet *p = calloc(1, sizeof(*p));
	unsigned i;
	int err;

	g->state = p;
	if (!p)
		return -ENOMEM;
	/* Protocol 0: a socket that receives nothing. */
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return gen_fail("packet socket");
	err = set_options(g, p->fd);
	if (!err)
		err = gen_frame_init(g);
	if (err)
		return err;
	p->memory = malloc((size_t)FRAMES_MAX * FRAME_ROOM);
	if (!p->memory)
		return gen_fail("memory");
	for (i = 0; i < FRAMES_MAX; i++) {
		bool is_partial = g->opt.checksum == GEN_PARTIAL;

		p->data[i][0] = (struct iovec){ &p->offloads[i], sizeof(p->offloads[i]) };
		p->data[i][1].iov_base = p->memory + (size_t)i * FRAME_ROOM;
		p->messages[i].msg_hdr.msg_iov = &p->data[i][is_partial ? 0 : 1];
		p->messages[i].msg_hdr.msg_iovlen = is_partial ? 2 : 1;
	}
	g->batch_max = FRAMES_MAX;
	g->batch_min = 1;
	return 0;
}

/* Makes the next datagram in frame `i`. */
static void build(struct gen *g, struct packet *p, unsigned i, struct gen_frame *frame)
{
	struct gen_packet next;

	gen_next_packet(g, &next);
	gen_frame_write_headers(g, next.flow, (uint16_t)next.payload.sequence,
				p->data[i][1].iov_base, frame);
	gen_write_payload(&next, frame->payload);
	gen_frame_set_checksum(g, frame);
	p->offloads[i] = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(frame->udp - frame->eth),
		.csum_offset = 6,
	};
	gen_frame_spoil(g, frame);
	p->data[i][1].iov_len = frame->len;
	p->flows[i] = next.flow;
}

/* --- fragments --- */

static int send_frame(int fd, const void *frame, size_t len)
{
	ssize_t n;

	do
		n = send(fd, frame, len, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Sends the datagram of frame 0 in pieces (RFC 791 §3.2). 0 or −errno of the first that failed. */
static int send_fragments(const struct gen *g, struct packet *p, const struct gen_frame *whole)
{
	unsigned char *buffer = p->data[1][1].iov_base;
	size_t headers = (size_t)(whole->udp - whole->eth), total = whole->len - headers, at, n;
	struct gen_frame piece = { buffer, buffer + (whole->ip - whole->eth), NULL, NULL, 0 };
	uint16_t field;
	int err = 0;

	memcpy(buffer, whole->eth, headers);
	for (at = 0; at < total && !err; at += n) {
		n = total - at < g->opt.fragment ? total - at : g->opt.fragment;
		field = htons((uint16_t)(headers - (size_t)(whole->ip - whole->eth) + n));
		memcpy(piece.ip + 2, &field, 2);
		field = htons((uint16_t)(at / 8 | (at + n < total ? IP_MF : 0)));
		memcpy(piece.ip + 6, &field, 2);
		gen_frame_set_ip_checksum(&piece);
		memcpy(buffer + headers, whole->udp + at, n);
		err = send_frame(p->fd, buffer, headers + n);
	}
	return err;
}

static int send_fragmented(struct gen *g, struct packet *p, unsigned n)
{
	struct gen_frame frame;

	while (n--) {
		build(g, p, 0, &frame);
		gen_account(g, p->flows[0], 1, send_fragments(g, p, &frame));
	}
	return 0;
}

static int packet_send(struct gen *g, unsigned n)
{
	struct packet *p = g->state;
	struct gen_frame frame;
	unsigned at = 0, i;
	int done;

	if (g->opt.fragment)
		return send_fragmented(g, p, n);
	for (i = 0; i < n; i++)
		build(g, p, i, &frame);
	while (at < n) {
		done = sendmmsg(p->fd, p->messages + at, n - at, 0);
		if (done < 0 && errno == EINTR)
			continue;
		for (i = 0; done > 0 && i < (unsigned)done; i++)
			gen_account(g, p->flows[at + i], 1, 0);
		if (done <= 0) {
			gen_account(g, p->flows[at], 1, -errno);
			done = 1;
		}
		at += (unsigned)done;
	}
	return 0;
}

static void packet_close(struct gen *g)
{
	struct packet *p = g->state;

	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p->memory);
	free(p);
}

const struct gen_mode gen_mode_packet = { packet_open, packet_send, NULL, packet_close };
