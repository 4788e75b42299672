/* SPDX-License-Identifier: MIT */
/* Mode udp: what an application receives. */
#include "mcrsink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	64
#define ROOM	65536
#define SOCKETS 64 /* served in one turn */

struct udp {
	unsigned char *memory;
	struct sockaddr_in from[BATCH];
	char control[BATCH][256] __attribute__((aligned(8)));
	struct iovec data[BATCH];
	struct mmsghdr messages[BATCH];
};

static int watch(struct sink *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	size_t i;

	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->poll_fd < 0)
		return sink_fail("epoll");
	for (i = 0; i < s->n_fds; i++) {
		event.data.u64 = i;
		if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, s->fds[i], &event))
			return sink_fail("epoll");
	}
	return 0;
}

static int udp_open(struct sink *s)
{
	struct udp *u = calloc(1, sizeof(*u));
	uint64_t i;
	int err = 0;

	s->state = u;
	if (!u)
		return -ENOMEM;
	u->memory = malloc((size_t)BATCH * ROOM);
	if (!u->memory)
		return sink_fail("memory");
	for (i = 0; i < BATCH; i++) {
		struct msghdr *m = &u->messages[i].msg_hdr;

		u->data[i] = (struct iovec){ u->memory + i * ROOM, ROOM };
		m->msg_name = &u->from[i];
		m->msg_control = u->control[i];
		m->msg_iov = &u->data[i];
		m->msg_iovlen = 1;
	}
	for (i = 0; i < s->opt.ports && !err; i++)
		err = sink_join(s, (uint16_t)(s->opt.port + i));
	return err ? err : watch(s);
}

/* Addresses, TTL and the like of one message. Returns the size of its segments, 0 = whole. */
static uint32_t read_control(struct msghdr *m, struct sink_datagram *d)
{
	struct in_pktinfo info;
	struct cmsghdr *c;
	int value, segment = 0;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			d->group.net = info.ipi_addr.s_addr;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			d->ttl = (uint8_t)value;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			memcpy(&d->tos, CMSG_DATA(c), sizeof(d->tos));
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
		}
	}
	return segment > 0 ? (uint32_t)segment : 0;
}

static int take_message(struct sink *s, struct udp *u, int i, uint16_t port, uint64_t now_ns)
{
	struct sink_datagram d = { .source = { u->from[i].sin_addr.s_addr },
				   .source_port = ntohs(u->from[i].sin_port),
				   .port = port,
				   .data = u->data[i].iov_base,
				   .len = u->messages[i].msg_len,
				   .now_ns = now_ns };
	uint32_t segment = read_control(&u->messages[i].msg_hdr, &d);

	return sink_take_segments(s, &d, segment);
}

static int receive_from(struct sink *s, size_t socket_index)
{
	struct udp *u = s->state;
	uint64_t now_ns;
	int i, n, err = 0;

	for (i = 0; i < BATCH; i++) {
		u->messages[i].msg_hdr.msg_namelen = sizeof(u->from[i]);
		u->messages[i].msg_hdr.msg_controllen = sizeof(u->control[i]);
	}
	n = recvmmsg(s->fds[socket_index], u->messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : sink_fail("receive");
	now_ns = sink_now_ns();
	for (i = 0; i < n && !err; i++)
		err = take_message(s, u, i, s->ports[socket_index], now_ns);
	return err ? err : n;
}

static int udp_receive(struct sink *s)
{
	struct epoll_event ready[SOCKETS];
	int n = epoll_wait(s->poll_fd, ready, SOCKETS, 0), i, taken = 0, done;

	if (n < 0)
		return errno == EINTR ? 0 : sink_fail("epoll");
	for (i = 0; i < n; i++) {
		done = receive_from(s, ready[i].data.u64);
		if (done < 0)
			return done;
		taken += done;
	}
	return taken;
}

static int udp_drain(struct sink *s, uint64_t until_ns)
{
	size_t i;
	int n;

	for (i = 0; i < s->n_fds; i++) {
		do
			n = receive_from(s, i);
		while (n == BATCH && sink_now_ns() < until_ns);
		if (n < 0)
			return n;
	}
	return 0;
}

/* The same number as SO_RXQ_OVFL gives, but also of what was dropped after the last datagram. */
static int udp_count_drops(struct sink *s)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len;
	size_t i;

	s->dropped = 0;
	for (i = 0; i < s->n_fds; i++) {
		len = sizeof(info);
		if (getsockopt(s->fds[i], SOL_SOCKET, SO_MEMINFO, info, &len))
			return sink_fail("SO_MEMINFO");
		s->dropped += info[SK_MEMINFO_DROPS];
	}
	return 0;
}

static void udp_close(struct sink *s)
{
	struct udp *u = s->state;

	if (s->poll_fd >= 0)
		close(s->poll_fd);
	if (u)
		free(u->memory);
	free(u);
	sink_leave(s);
}

const struct sink_mode sink_mode_udp = { udp_open, udp_receive, udp_drain, udp_count_drops,
					 udp_close };
