/* SPDX-License-Identifier: MIT */
/* A raw socket to send by. The kernel fills in length, identification and checksum. */
#include "edge/ipsend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTER_ALERT	 0x94040000u
#define CONTROL_TOS	 0xc0
#define CONTROL_PRIORITY 7

int ipsend_open(void)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	int no = 0, priority = CONTROL_PRIORITY, err;

	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &no, sizeof(no)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int send_parts(int fd, uint32_t ifindex, struct ip4 dst, struct iovec *parts, size_t n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = dst.net };
	union {
		char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = parts,
		.msg_iovlen = n,
	};
	struct in_pktinfo out = { .ipi_ifindex = (int)ifindex };

	if (ifindex) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		CMSG_FIRSTHDR(&msg)->cmsg_level = IPPROTO_IP;
		CMSG_FIRSTHDR(&msg)->cmsg_type = IP_PKTINFO;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(out));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &out, sizeof(out));
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int ipsend(int fd, const struct ipsend_head *head, const void *message, size_t len)
{
	struct {
		struct iphdr ip;
		uint32_t option;
	} h = {
		.ip = {
			.version = 4,
			.ihl = head->has_router_alert ? 6 : 5,
			.tos = CONTROL_TOS,
			.ttl = head->ttl,
			.protocol = head->protocol,
			.saddr = head->source.net,
			.daddr = head->dst.net,
		},
		.option = htonl(ROUTER_ALERT),
	};
	struct iovec parts[] = {
		{ &h, h.ip.ihl * 4u },
		{ (void *)(uintptr_t)message, len },
	};

	return send_parts(fd, head->ifindex, head->dst, parts, 2);
}

int ipsend_packet(int fd, uint32_t ifindex, const void *packet, size_t len)
{
	struct iovec whole = { (void *)(uintptr_t)packet, len };
	struct iphdr ip;

	if (len < sizeof(ip))
		return -EINVAL;
	memcpy(&ip, packet, sizeof(ip));
	return send_parts(fd, ifindex, (struct ip4){ ip.daddr }, &whole, 1);
}
