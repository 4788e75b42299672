/* SPDX-License-Identifier: MIT */
/*
 * Sockets and their memberships. The kernel allows a socket 20 groups (igmp_max_memberships) and
 * 10 sources of a group (igmp_max_msf): when it refuses one more, the next socket takes over.
 */
#include "mcrsink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_options(const struct sink *s, int fd)
{
	const struct sink_options *o = &s->opt;
	int bytes = (int)(o->buffer_mib << 20);

	if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return sink_fail("SO_REUSEADDR");
	if (o->interface &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o->interface, strlen(o->interface) + 1))
		return sink_fail("SO_BINDTODEVICE");
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) &&
	    set_int(fd, SOL_SOCKET, SO_RCVBUF, bytes))
		return sink_fail("SO_RCVBUF");
	/* Only what this very socket has joined: others are members of the other groups. */
	if (o->group.net && set_int(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0))
		return sink_fail("IP_MULTICAST_ALL");
	if (set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) || set_int(fd, IPPROTO_IP, IP_RECVTTL, 1) ||
	    set_int(fd, IPPROTO_IP, IP_RECVTOS, 1))
		return sink_fail("IP_PKTINFO");
	if (o->gro && set_int(fd, SOL_UDP, UDP_GRO, 1))
		return sink_fail("UDP_GRO");
	return 0;
}

/* One socket more, at the end of the list. */
static int open_socket(struct sink *s, struct ip4 addr, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = addr.net };
	int *fds = realloc(s->fds, (s->n_fds + 1) * sizeof(*fds)), fd, err;
	uint16_t *ports = realloc(s->ports, (s->n_fds + 1) * sizeof(*ports));

	s->fds = fds ? fds : s->fds;
	s->ports = ports ? ports : s->ports;
	if (!fds || !ports)
		return sink_fail("memory");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return sink_fail("socket");
	s->fds[s->n_fds] = fd;
	s->ports[s->n_fds++] = port;
	err = set_options(s, fd);
	if (!err && port && bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		err = sink_fail("bind");
	return err;
}

static int join(const struct sink *s, int fd, struct ip4 group, struct ip4 source)
{
	struct sockaddr_in g = { .sin_family = AF_INET, .sin_addr.s_addr = group.net };
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = source.net };
	struct group_source_req one = { .gsr_interface = (uint32_t)s->ifindex };
	struct group_req all = { .gr_interface = (uint32_t)s->ifindex };
	int err;

	memcpy(&all.gr_group, &g, sizeof(g));
	memcpy(&one.gsr_group, &g, sizeof(g));
	memcpy(&one.gsr_source, &from, sizeof(from));
	if (source.net)
		err = setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &one, sizeof(one));
	else
		err = setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &all, sizeof(all));
	return err ? -errno : 0;
}

/* Joins on the last socket, or on another one when that has its fill. */
static int join_somewhere(struct sink *s, uint16_t port, struct ip4 group, struct ip4 source)
{
	struct ip4 any = { 0 };
	int err = -ENOBUFS;

	if (s->n_fds && s->ports[s->n_fds - 1] == port)
		err = join(s, s->fds[s->n_fds - 1], group, source);
	if (err == -ENOBUFS) {
		err = open_socket(s, any, port);
		if (err)
			return err;
		err = join(s, s->fds[s->n_fds - 1], group, source);
	}
	errno = -err;
	return err ? sink_fail("join") : 0;
}

static struct ip4 nth(struct ip4 addr, uint64_t i)
{
	return (struct ip4){ addr.net ? htonl(ntohl(addr.net) + (uint32_t)i) : 0 };
}

int sink_join(struct sink *s, uint16_t port)
{
	const struct sink_options *o = &s->opt;
	uint64_t i;
	int err = 0;

	if (!ip4_is_multicast(o->group)) {
		for (i = 0; i < o->groups && port && !err; i++)
			err = open_socket(s, nth(o->group, i), port);
		return err;
	}
	for (i = 0; i < o->groups * o->sources && !err; i++)
		err = join_somewhere(s, port, nth(o->group, i / o->sources),
				     nth(o->source, i % o->sources));
	return err;
}

void sink_leave(struct sink *s)
{
	while (s->n_fds)
		close(s->fds[--s->n_fds]);
	free(s->fds);
	free(s->ports);
	s->fds = NULL;
	s->ports = NULL;
}
