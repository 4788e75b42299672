/* SPDX-License-Identifier: MIT */
/*
 * Watches a counter of an interface and tells how long it stood still: the gaps in a stream.
 *	gaps INTERFACE LEAST_MS
 * says `ready`, looks every half millisecond, and on SIGTERM prints each gap of LEAST_MS or more
 * (in milliseconds, one a line, in order) and the number of packets. What is measured is never
 * shorter than the truth: a look that comes late makes a gap longer.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 500000
#define GAPS	100000

static volatile sig_atomic_t is_ended;

static void handle_end(int signo)
{
	(void)signo;
	is_ended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t read_counter(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0) {
		perror("gaps: the counter");
		exit(1);
	}
	return strtoull(text, NULL, 10);
}

static void look(int fd, uint64_t least_ns)
{
	static double gaps[GAPS];
	const struct timespec pause = { 0, LOOK_NS };
	uint64_t first = read_counter(fd), count = first, moved = now_ns();
	unsigned n = 0;
	bool has_begun = false;

	while (!is_ended) {
		uint64_t next = read_counter(fd), now = now_ns();

		if (next != count) {
			if (has_begun && now - moved >= least_ns && n < GAPS)
				gaps[n++] = (double)(now - moved) / 1e6;
			has_begun = true;
			count = next;
			moved = now;
		}
		nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < n; i++)
		printf("gap %.1f\n", gaps[i]);
	printf("packets %llu\n", (unsigned long long)(count - first));
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handle_end };
	char path[128];
	int fd;

	if (argc != 3) {
		fputs("usage: gaps INTERFACE LEAST_MS\n", stderr);
		return 2;
	}
	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/rx_packets", argv[1]);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		perror(path);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	puts("ready");
	fflush(stdout);
	look(fd, strtoull(argv[2], NULL, 10) * 1000000u);
	close(fd);
	return 0;
}
