/* SPDX-License-Identifier: MIT */
/* Sockets that PIM comes in by. */
#include "edge/pimsock.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/sock.h"

#define RECEIVE_BUFFER (1 << 20) /* of all neighbours, or of a burst of Registers */
#define RECEIVE_BATCH  64	 /* packets taken in a turn, from each socket */
#define PACKET_MAX     65535

enum { LINK, ROUTED, N_SOCKETS };

/* Types of messages that are not meant for the link that they come in by (RFC 7761 §4.9). */
enum { TYPE_REGISTER = 1, TYPE_REGISTER_STOP = 2, TYPE_CANDIDATE_RP = 8 };

struct inlet {
	struct pimsock *of;
	int fd;
};

struct pimsock {
	struct loop *loop;
	struct inlet inlets[N_SOCKETS];
	int ears; /* receives nothing: it only has interfaces take in all groups */
	pimsock_fn fn;
	void *arg;
};

static uint32_t ifindex_of(struct msghdr *msg)
{
	struct in_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		return (uint32_t)info.ipi_ifindex;
	}
	return 0;
}

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	static uint8_t packet[PACKET_MAX];
	struct inlet *in = arg;

	(void)events;
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		union {
			char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
			struct cmsghdr align;
		} control;
		struct iovec part = { packet, sizeof(packet) };
		struct msghdr msg = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof(control.room),
		};
		ssize_t n = recvmsg(in->fd, &msg, MSG_DONTWAIT);

		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			in->of->fn(in->of->arg, now, ifindex_of(&msg), packet, (size_t)n);
	}
}

/* Which of the two sockets a message is for, by its type; one that is too short is a neighbour's.
 */
static int filter_set(int fd, bool is_routed)
{
	const uint32_t taken = is_routed ? PACKET_MAX : 0, other = PACKET_MAX - taken;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* length of the IP header */
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 15),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_REGISTER, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_REGISTER_STOP, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TYPE_CANDIDATE_RP, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, other),
		BPF_STMT(BPF_RET | BPF_K, taken),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

static int inlet_open(bool is_routed)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_PIM);
	int size = RECEIVE_BUFFER, yes = 1, err;

	if (fd < 0)
		return -errno;
	err = filter_set(fd, is_routed);
	if (!err && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes)))
		err = -errno;
	if (!err) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		return fd;
	}
	close(fd);
	return err;
}

int pimsock_open(struct pimsock **out, struct loop *l, pimsock_fn fn, void *arg)
{
	struct pimsock *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	*s = (struct pimsock){ .loop = l, .fn = fn, .arg = arg };
	s->ears = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->ears < 0)
		err = -errno;
	for (int i = 0; i < N_SOCKETS; i++)
		s->inlets[i] = (struct inlet){ s, -1 };
	for (int i = 0; !err && i < N_SOCKETS; i++) {
		struct inlet *in = &s->inlets[i];

		in->fd = inlet_open(i == ROUTED);
		err = in->fd < 0 ? in->fd : loop_fd_add(l, in->fd, EPOLLIN, on_readable, in);
	}
	if (!err) {
		*out = s;
		s = NULL;
	}
	pimsock_close(s);
	return err;
}

void pimsock_close(struct pimsock *s)
{
	if (!s)
		return;
	for (int i = 0; i < N_SOCKETS; i++) {
		if (s->inlets[i].fd < 0)
			continue;
		loop_fd_del(s->loop, s->inlets[i].fd);
		close(s->inlets[i].fd);
	}
	if (s->ears >= 0)
		close(s->ears);
	free(s);
}

int pimsock_hear(struct pimsock *s, uint32_t ifindex, bool is_on)
{
	struct packet_mreq all = { .mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_ALLMULTI };
	int option = is_on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP;

	return setsockopt(s->ears, SOL_PACKET, option, &all, sizeof(all)) ? -errno : 0;
}

uint64_t pimsock_lost(const struct pimsock *s)
{
	uint64_t lost = 0;

	for (int i = 0; i < N_SOCKETS; i++)
		lost += sock_lost(s->inlets[i].fd);
	return lost;
}
