/* SPDX-License-Identifier: MIT */
/* Mode packet: what the wire carries, checksums and all. Merged frames are taken apart. */
#include "mcrsink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cksum.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define BATCH 64
#define ROOM  (65536 + 256)

struct packet {
	unsigned char *memory;
	struct virtio_net_hdr offloads[BATCH];
	struct iovec data[BATCH][2];
	struct mmsghdr messages[BATCH];
};

static int set_options(const struct sink *s, int fd)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = s->ifindex };
	int one = 1, bytes = (int)(s->opt.buffer_mib << 20);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		return sink_fail("SO_RCVBUFFORCE");
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		return sink_fail("PACKET_VNET_HDR");
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
		return sink_fail("PACKET_IGNORE_OUTGOING");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return sink_fail("bind");
	return 0;
}

static int packet_open(struct sink *s)
{
	struct packet *p = calloc(1, sizeof(*p));
	size_t i;
	int err;

	s->state = p;
	if (!p)
		return -ENOMEM;
	p->memory = malloc((size_t)BATCH * ROOM);
	if (!p->memory)
		return sink_fail("memory");
	for (i = 0; i < BATCH; i++) {
		p->data[i][0] = (struct iovec){ &p->offloads[i], sizeof(p->offloads[i]) };
		p->data[i][1] = (struct iovec){ p->memory + i * ROOM, ROOM };
		p->messages[i].msg_hdr.msg_iov = p->data[i];
		p->messages[i].msg_hdr.msg_iovlen = 2;
	}
	/* Protocol 0 at first: nothing is to come in before the options are set. */
	s->poll_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->poll_fd < 0)
		return sink_fail("packet socket");
	err = set_options(s, s->poll_fd);
	return err ? err : sink_join(s, 0);
}

/* --- frames --- */

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Is `addr` among the `n` from `first` on? Any is, when there is no first. */
static bool is_among(struct ip4 addr, struct ip4 first, uint64_t n)
{
	return !first.net || ntohl(addr.net) - ntohl(first.net) < n;
}

static bool is_wanted(const struct sink *s, const struct sink_datagram *d)
{
	return is_among(d->group, s->opt.group, s->opt.groups) &&
	       is_among(d->source, s->opt.source, s->opt.sources) &&
	       (uint16_t)(d->port - s->opt.port) < s->opt.ports;
}

static enum sink_checksum check_udp(const unsigned char *ip, const unsigned char *udp, uint16_t len,
				    const struct virtio_net_hdr *offload)
{
	uint32_t source, dest;

	if (offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return SINK_PARTIAL;
	if (get16(udp + 6) == 0)
		return SINK_NONE;
	memcpy(&source, ip + 12, 4);
	memcpy(&dest, ip + 16, 4);
	return cksum_fold(cksum_add(udp, len, cksum_pseudo(source, dest, IPPROTO_UDP, len))) ==
			       0xffff
		       ? SINK_GOOD
		       : SINK_BAD;
}

/* Finds the UDP header of a datagram; NULL, and counted, when there is none for us. */
static const unsigned char *find_udp(struct sink *s, const unsigned char *ip, size_t len)
{
	size_t header, total;

	if (len < 20 || ip[0] >> 4 != 4)
		goto malformed;
	header = (ip[0] & 15u) * 4;
	total = get16(ip + 2);
	if (header < 20 || total < header || total > len)
		goto malformed;
	if (cksum_fold(cksum_add(ip, header, 0)) != 0xffff) {
		s->other.ip_checksum_bad++;
		return NULL;
	}
	if (get16(ip + 6) & (IP_MF | IP_OFFMASK)) {
		s->other.fragments++;
		return NULL;
	}
	if (ip[9] != IPPROTO_UDP) {
		s->other.foreign++;
		return NULL;
	}
	if (total >= header + sizeof(struct udphdr) && get16(ip + header + 4) == total - header)
		return ip + header;
malformed:
	s->other.malformed++;
	return NULL;
}

static int take_frame(struct sink *s, const unsigned char *frame, size_t len,
		      const struct virtio_net_hdr *offload, uint64_t now_ns)
{
	size_t at = ETH_HLEN;
	const unsigned char *ip, *udp;
	struct sink_datagram d = { .now_ns = now_ns };
	uint32_t segment = 0;

	if (len >= ETH_HLEN + 4 && get16(frame + 12) == ETH_P_8021Q)
		at += 4;
	ip = frame + at;
	udp = find_udp(s, ip, len > at ? len - at : 0);
	if (!udp)
		return 0;
	memcpy(&d.source, ip + 12, 4);
	memcpy(&d.group, ip + 16, 4);
	d.source_port = get16(udp);
	d.port = get16(udp + 2);
	d.ttl = ip[8];
	d.tos = ip[1];
	if (!is_wanted(s, &d)) {
		s->other.foreign++;
		return 0;
	}
	d.data = udp + sizeof(struct udphdr);
	d.len = get16(udp + 4) - (uint32_t)sizeof(struct udphdr);
	d.checksum = check_udp(ip, udp, get16(udp + 4), offload);
	if ((offload->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP_L4)
		segment = offload->gso_size;
	return sink_take_segments(s, &d, segment);
}

static int packet_receive(struct sink *s)
{
	struct packet *p = s->state;
	uint64_t now_ns;
	int n = recvmmsg(s->poll_fd, p->messages, BATCH, MSG_DONTWAIT, NULL), i, err = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : sink_fail("receive");
	now_ns = sink_now_ns();
	for (i = 0; i < n && !err; i++) {
		size_t len = p->messages[i].msg_len;

		if (len >= sizeof(p->offloads[i]))
			err = take_frame(s, p->data[i][1].iov_base, len - sizeof(p->offloads[i]),
					 &p->offloads[i], now_ns);
	}
	return err ? err : n;
}

static int packet_drain(struct sink *s, uint64_t until_ns)
{
	int n;

	do
		n = packet_receive(s);
	while (n == BATCH && sink_now_ns() < until_ns);
	return n < 0 ? n : 0;
}

/* Reading these counters sets them to zero. */
static int packet_count_drops(struct sink *s)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(s->poll_fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		return sink_fail("PACKET_STATISTICS");
	s->dropped += stats.tp_drops;
	return 0;
}

static void packet_close(struct sink *s)
{
	struct packet *p = s->state;

	if (s->poll_fd >= 0)
		close(s->poll_fd);
	if (p)
		free(p->memory);
	free(p);
	sink_leave(s);
}

const struct sink_mode sink_mode_packet = { packet_open, packet_receive, packet_drain,
					    packet_count_drops, packet_close };
