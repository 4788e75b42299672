/* SPDX-License-Identifier: MIT */
/*
 * Sends all of stdin to a control socket in one write, ends its own half of the connection, and
 * prints what comes back until the daemon has ended the other.
 *	pipeline SOCKET <REQUESTS >REPLIES
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUESTS_MAX (9u << 20) /* more than the daemon takes */
#define WAIT_S	     10

static char requests[REQUESTS_MAX];

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_S };
	size_t len;
	ssize_t n;
	char buf[65536];
	int fd;

	if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path)) {
		fputs("usage: pipeline SOCKET\n", stderr);
		return 2;
	}
	strcpy(addr.sun_path, argv[1]);
	len = fread(requests, 1, sizeof(requests), stdin);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fail(argv[1]);
	/* A daemon that refuses may hang up before it has read all, and has said why. */
	if (send(fd, requests, len, MSG_NOSIGNAL) >= 0)
		shutdown(fd, SHUT_WR);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return n < 0 ? fail("recv") : 0;
}
