/* SPDX-License-Identifier: MIT */
/* Sockets for IGMP. */
#include "edge/igmpsock.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/sock_diag.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BUFFER	 (1 << 20) /* reports of many hosts come at once */
#define RECEIVE_BATCH	 64	   /* packets taken in a turn */
#define PACKET_MAX	 9216	   /* longer ones are cut, and so refused */
#define ROUTER_ALERT	 0x94040000u
#define CONTROL_TOS	 0xc0
#define CONTROL_PRIORITY 7

struct igmpsock {
	struct loop *loop;
	int rx, tx;
	igmpsock_fn fn;
	void *arg;
};

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	static uint8_t packet[PACKET_MAX];
	struct igmpsock *s = arg;

	(void)events;
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		ssize_t n = recv(s->rx, packet, sizeof(packet), MSG_DONTWAIT);

		/* ENETDOWN comes once when the link goes down; what came before is still there */
		if (n < 0 && errno != ENETDOWN && errno != EINTR)
			break;
		if (n > 0)
			s->fn(s->arg, now, packet, (size_t)n);
	}
}

/* Only IGMP, and from the start: the filter is there before the socket is bound. */
static int filter_set(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct iphdr, protocol)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IGMP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, PACKET_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

static int rx_open(uint32_t ifindex)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct packet_mreq all = { .mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_ALLMULTI };
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)ifindex,
	};
	int size = RECEIVE_BUFFER, yes = 1, err;

	if (fd < 0)
		return -errno;
	err = filter_set(fd);
	if (!err && (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) ||
		     bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
		     setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all))))
		err = -errno;
	if (!err) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		return fd;
	}
	close(fd);
	return err;
}

static int tx_open(uint32_t ifindex)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	struct ip_mreqn out = { .imr_ifindex = (int)ifindex };
	int no = 0, priority = CONTROL_PRIORITY, err = 0;
	char name[IF_NAMESIZE];

	if (fd < 0)
		return -errno;
	if (!if_indextoname(ifindex, name) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)) ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &no, sizeof(no)) ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int igmpsock_open(struct igmpsock **out, struct loop *l, uint32_t ifindex, igmpsock_fn fn,
		  void *arg)
{
	struct igmpsock *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	*s = (struct igmpsock){ .loop = l, .rx = -1, .tx = -1, .fn = fn, .arg = arg };
	s->tx = tx_open(ifindex);
	err = s->tx < 0 ? s->tx : 0;
	if (!err) {
		s->rx = rx_open(ifindex);
		err = s->rx < 0 ? s->rx : loop_fd_add(l, s->rx, EPOLLIN, on_readable, s);
	}
	if (!err) {
		*out = s;
		s = NULL;
	}
	igmpsock_close(s);
	return err;
}

void igmpsock_close(struct igmpsock *s)
{
	if (!s)
		return;
	if (s->rx >= 0) {
		loop_fd_del(s->loop, s->rx);
		close(s->rx);
	}
	if (s->tx >= 0)
		close(s->tx);
	free(s);
}

uint64_t igmpsock_lost(const struct igmpsock *s)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(s->rx, SOL_SOCKET, SO_MEMINFO, info, &len) ? 0 : info[SK_MEMINFO_DROPS];
}

int igmpsock_send(const struct igmpsock *s, const struct igmpsock_head *head, const void *message,
		  size_t len)
{
	/* the kernel fills in length, identification and checksum */
	struct {
		struct iphdr ip;
		uint32_t option;
	} h = {
		.ip = {
			.version = 4,
			.ihl = head->has_router_alert ? 6 : 5,
			.tos = CONTROL_TOS,
			.ttl = head->ttl,
			.protocol = IPPROTO_IGMP,
			.saddr = head->source.net,
			.daddr = head->dst.net,
		},
		.option = htonl(ROUTER_ALERT),
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = head->dst.net };
	struct iovec parts[] = {
		{ &h, h.ip.ihl * 4u },
		{ (void *)(uintptr_t)message, len },
	};
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};

	return sendmsg(s->tx, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
