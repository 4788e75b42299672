/* SPDX-License-Identifier: MIT */
/* Mode udp: a socket for each source address, many datagrams in a call. */
#include "mcrgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define SENDS_MAX   64
#define SEND_BUFFER (8 << 20)

/* One send: datagrams of one flow. */
struct send {
	struct gen_flow *flow;
	unsigned n;
	struct sockaddr_in to;
	struct iovec data;
	char control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8)));
};

struct udp {
	int *fds; /* by source */
	size_t n_fds;
	unsigned char *memory;
	struct send sends[SENDS_MAX];
	struct mmsghdr messages[SENDS_MAX];
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_options(const struct gen *g, int fd)
{
	const struct gen_options *o = &g->opt;
	struct ip_mreqn out = { .imr_ifindex = g->ifindex };

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o->interface, strlen(o->interface) + 1))
		return gen_fail("SO_BINDTODEVICE");
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)) ||
	    set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0))
		return gen_fail("IP_MULTICAST_IF");
	if (set_int(fd, IPPROTO_IP, IP_MULTICAST_TTL, (int)o->ttl) ||
	    set_int(fd, IPPROTO_IP, IP_TTL, (int)o->ttl) ||
	    set_int(fd, IPPROTO_IP, IP_TOS, (int)o->dscp << 2))
		return gen_fail("IP_TTL");
	if (set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, o->df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT))
		return gen_fail("IP_MTU_DISCOVER");
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER) &&
	    set_int(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER))
		return gen_fail("SO_SNDBUF");
	if (set_int(fd, SOL_SOCKET, SO_BROADCAST, 1) || set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return gen_fail("SO_BROADCAST");
	return 0;
}

static int open_socket(struct gen *g, size_t i, int *fd)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)g->opt.source_port) };
	int err;

	if (g->opt.source.net)
		from.sin_addr.s_addr = htonl(ntohl(g->opt.source.net) + (uint32_t)i);
	*fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return gen_fail("socket");
	err = set_options(g, *fd);
	if (err)
		return err;
	/* Sources that are not addresses of this machine are for the privileged. */
	if (g->opt.source.net && set_int(*fd, IPPROTO_IP, IP_TRANSPARENT, 1) && errno != EPERM)
		return gen_fail("IP_TRANSPARENT");
	if (bind(*fd, (const struct sockaddr *)&from, sizeof(from)))
		return gen_fail("bind to --source and --source-port");
	return 0;
}

static void prepare_sends(struct gen *g, struct udp *u)
{
	size_t room = g->opt.size * g->opt.segment;
	uint16_t size = (uint16_t)g->opt.size;
	unsigned i;

	for (i = 0; i < SENDS_MAX; i++) {
		struct send *s = &u->sends[i];
		struct msghdr *m = &u->messages[i].msg_hdr;
		struct cmsghdr *c;

		s->data.iov_base = u->memory + i * room;
		s->to.sin_family = AF_INET;
		m->msg_name = &s->to;
		m->msg_namelen = sizeof(s->to);
		m->msg_iov = &s->data;
		m->msg_iovlen = 1;
		if (g->opt.segment == 1)
			continue;
		m->msg_control = s->control;
		m->msg_controllen = sizeof(s->control);
		c = CMSG_FIRSTHDR(m);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
}

static int udp_open(struct gen *g)
{
	struct udp *u = calloc(1, sizeof(*u));
	size_t i;
	int err;

	g->state = u;
	if (!u)
		return -ENOMEM;
	u->fds = malloc(g->opt.sources * sizeof(*u->fds));
	u->memory = malloc(SENDS_MAX * g->opt.size * g->opt.segment);
	if (!u->fds || !u->memory)
		return gen_fail("memory");
	for (i = 0; i < g->opt.sources; i++) {
		err = open_socket(g, i, &u->fds[i]);
		if (u->fds[i] >= 0)
			u->n_fds = i + 1;
		if (err)
			return err;
	}
	prepare_sends(g, u);
	g->batch_max = (unsigned)(SENDS_MAX * g->opt.segment);
	g->batch_min = (unsigned)g->opt.segment;
	return 0;
}

/* Puts the next datagrams of one flow, `n` at most, into a send; returns how many. */
static unsigned fill(struct gen *g, struct send *s, unsigned n)
{
	unsigned char *at = s->data.iov_base;
	struct gen_packet p = { 0 };
	unsigned i;

	if (n > g->opt.segment)
		n = (unsigned)g->opt.segment;
	if (n > g->left_in_burst)
		n = (unsigned)g->left_in_burst;
	for (i = 0; i < n; i++, at += g->opt.size) {
		gen_next_packet(g, &p);
		gen_write_payload(&p, at);
	}
	s->flow = p.flow;
	s->n = n;
	s->data.iov_len = n * g->opt.size;
	s->to.sin_addr.s_addr = p.flow->group.net;
	s->to.sin_port = htons(p.flow->port);
	return n;
}

/* Sends `n` messages of one socket; what is refused is counted and passed over. */
static void flush(struct gen *g, struct udp *u, unsigned first, unsigned n)
{
	int fd = u->fds[u->sends[first].flow->source_index];
	int i, done;

	while (n) {
		done = sendmmsg(fd, u->messages + first, n, 0);
		if (done < 0 && errno == EINTR)
			continue;
		for (i = 0; i < done; i++)
			gen_account(g, u->sends[first + i].flow, u->sends[first + i].n, 0);
		if (done <= 0) {
			gen_account(g, u->sends[first].flow, u->sends[first].n, -errno);
			done = 1;
		}
		first += (unsigned)done;
		n -= (unsigned)done;
	}
}

static int udp_send(struct gen *g, unsigned n)
{
	struct udp *u = g->state;
	unsigned used = 0, first = 0, i;

	while (n && used < SENDS_MAX)
		n -= fill(g, &u->sends[used++], n);
	for (i = 1; i <= used; i++) {
		if (i < used &&
		    u->sends[i].flow->source_index == u->sends[first].flow->source_index)
			continue;
		flush(g, u, first, i - first);
		first = i;
	}
	return 0;
}

static void udp_close(struct gen *g)
{
	struct udp *u = g->state;

	if (!u)
		return;
	while (u->n_fds)
		close(u->fds[--u->n_fds]);
	free(u->fds);
	free(u->memory);
	free(u);
}

const struct gen_mode gen_mode_udp = { udp_open, udp_send, NULL, udp_close };
