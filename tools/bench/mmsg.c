/* SPDX-License-Identifier: MIT */
/*
 * What one writes instead of using a relay: datagrams of a group are read by recvmmsg and sent by
 * sendmmsg, once for each output interface. Sockets are connected, so that no route is looked up
 * for a copy, buffers are as large as root may have them, and copies are sent from where they were
 * received.
 * usage: bench-mmsg INTERFACE GROUP PORT OUTPUT-INTERFACE…
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH	    256
#define ROOM	    9216
#define OUTPUTS_MAX 64
#define BUFFER	    (32 << 20)

static unsigned char memory[BATCH][ROOM];
static struct iovec data[BATCH];
static struct mmsghdr messages[BATCH], copies[BATCH];

static void die(const char *what)
{
	fprintf(stderr, "bench mmsg: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set(int fd, int level, int name, const void *value, size_t len)
{
	if (setsockopt(fd, level, name, value, (socklen_t)len))
		die("setsockopt");
}

static struct ip_mreqn member(const char *interface, struct in_addr group)
{
	struct ip_mreqn m = { .imr_multiaddr = group,
			      .imr_ifindex = (int)if_nametoindex(interface) };

	if (!m.imr_ifindex)
		die(interface);
	return m;
}

static int open_input(const char *interface, const struct sockaddr_in *group)
{
	struct ip_mreqn m = member(interface, group->sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = BUFFER;

	if (fd < 0 || bind(fd, (const struct sockaddr *)group, sizeof(*group)))
		die("input");
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m));
	return fd;
}

static int open_output(const char *interface, const struct sockaddr_in *group)
{
	struct ip_mreqn m = member(interface, group->sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = BUFFER, off = 0, ttl = 8;

	if (fd < 0)
		die("output");
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	set(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m));
	set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof(off));
	set(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl));
	if (connect(fd, (const struct sockaddr *)group, sizeof(*group)))
		die("connect");
	return fd;
}

/* A copy that the kernel refuses is lost; the others go on. */
static void send_all(int fd, unsigned n)
{
	unsigned at = 0;
	int sent;

	while (at < n) {
		sent = sendmmsg(fd, copies + at, n - at, 0);
		at += sent > 0 ? (unsigned)sent : 1;
	}
}

static void relay(int in, const int *outs, int n_outs)
{
	int n, i;

	for (;;) {
		n = recvmmsg(in, messages, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0 && errno != EINTR)
			die("recvmmsg");
		for (i = 0; i < n; i++) {
			data[i].iov_len = messages[i].msg_len;
			copies[i].msg_hdr.msg_iov = &data[i];
			copies[i].msg_hdr.msg_iovlen = 1;
		}
		for (i = 0; i < n_outs && n > 0; i++)
			send_all(outs[i], (unsigned)n);
		for (i = 0; i < n; i++)
			data[i].iov_len = ROOM;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in group = { .sin_family = AF_INET };
	int outs[OUTPUTS_MAX], in, i;

	if (argc < 5 || argc > 4 + OUTPUTS_MAX || !inet_pton(AF_INET, argv[2], &group.sin_addr)) {
		fprintf(stderr, "usage: bench-mmsg INTERFACE GROUP PORT OUTPUT-INTERFACE…\n");
		return 2;
	}
	group.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	for (i = 0; i < BATCH; i++) {
		data[i] = (struct iovec){ memory[i], ROOM };
		messages[i].msg_hdr.msg_iov = &data[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	in = open_input(argv[1], &group);
	for (i = 4; i < argc; i++)
		outs[i - 4] = open_output(argv[i], &group);
	puts("ready");
	fflush(stdout);
	relay(in, outs, argc - 4);
}
