/* SPDX-License-Identifier: MIT */
/* Sockets that IGMP comes in by. */
#include "edge/igmpsock.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/sock.h"

#define RECEIVE_BUFFER (1 << 20) /* reports of many hosts come at once */
#define RECEIVE_BATCH  64	 /* packets taken in a turn */
#define PACKET_MAX     9216	 /* longer ones are cut, and so refused */

struct igmpsock {
	struct loop *loop;
	int fd;
	igmpsock_fn fn;
	void *arg;
};

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	static uint8_t packet[PACKET_MAX];
	struct igmpsock *s = arg;

	(void)events;
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		ssize_t n = recv(s->fd, packet, sizeof(packet), MSG_DONTWAIT);

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

int igmpsock_open(struct igmpsock **out, struct loop *l, uint32_t ifindex, igmpsock_fn fn,
		  void *arg)
{
	struct igmpsock *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	*s = (struct igmpsock){ .loop = l, .fn = fn, .arg = arg };
	s->fd = rx_open(ifindex);
	err = s->fd < 0 ? s->fd : loop_fd_add(l, s->fd, EPOLLIN, on_readable, s);
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
	if (s->fd >= 0) {
		loop_fd_del(s->loop, s->fd);
		close(s->fd);
	}
	free(s);
}

uint64_t igmpsock_lost(const struct igmpsock *s)
{
	return sock_lost(s->fd);
}
