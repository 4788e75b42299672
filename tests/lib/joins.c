/* SPDX-License-Identifier: MIT */
/*
 * How soon an output that is added to a rule under traffic has its first datagram.
 *	joins SOCKET INTERFACE WITH WITHOUT TIMES
 * sends the request in the file WITH, watches the transmit counter of INTERFACE until it moves,
 * sends the one in WITHOUT and waits until it rests, so many times; prints for each how many
 * microseconds passed from before the request to the first datagram. A look that comes late makes
 * it longer, never shorter. Fails when a request does, or nothing comes within five seconds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "mcr/client.h"

#define ANSWER_MS 10000
#define MOVE_US	  5000000
#define REST_US	  2000 /* so long without a datagram is a rest: else there are many in it */
#define REQUEST	  8192

static struct mcr_client *client;
static char with[REQUEST], without[REQUEST];
static int counter;

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void pause_us(long us)
{
	const struct timespec ts = { 0, us * 1000 };

	nanosleep(&ts, NULL);
}

static uint64_t read_counter(void)
{
	char text[32] = "";

	if (pread(counter, text, sizeof(text) - 1, 0) <= 0) {
		perror("joins: the counter");
		exit(1);
	}
	return strtoull(text, NULL, 10);
}

/* Exits when the daemon refuses. As a thread's function, so that the counter is watched besides. */
static void *ask(void *request)
{
	const char *reply;
	int err = mcr_client_request(client, request, &reply, NULL, ANSWER_MS);

	if (!err && strncmp(reply, "{\"status\":\"ok\"", 14) == 0)
		return NULL;
	fprintf(stderr, "joins: %s\n", err ? strerror(-err) : reply);
	exit(1);
}

static int64_t measure(void)
{
	uint64_t before = read_counter();
	int64_t start = now_us(), moved;
	pthread_t asking;

	if (pthread_create(&asking, NULL, ask, with))
		exit(1);
	do {
		pause_us(20);
		moved = now_us();
	} while (read_counter() == before && moved - start < MOVE_US);
	moved = now_us();
	pthread_join(asking, NULL);
	if (moved - start < MOVE_US)
		return moved - start;
	fputs("joins: nothing came\n", stderr);
	exit(1);
}

static void await_rest(void)
{
	uint64_t count = read_counter();
	int64_t moved = now_us(), start = moved;

	while (now_us() - moved < REST_US) {
		uint64_t next = read_counter();

		if (next != count)
			moved = now_us();
		count = next;
		if (moved - start > MOVE_US) {
			fputs("joins: it does not rest\n", stderr);
			exit(1);
		}
		pause_us(100);
	}
}

static void read_request(const char *path, char request[REQUEST])
{
	FILE *f = fopen(path, "r");

	if (!f || !fgets(request, REQUEST, f)) {
		perror(path);
		exit(1);
	}
	request[strcspn(request, "\n")] = '\0';
	fclose(f);
}

int main(int argc, char **argv)
{
	char path[128];
	int err;

	if (argc != 6) {
		fputs("usage: joins SOCKET INTERFACE WITH WITHOUT TIMES\n", stderr);
		return 2;
	}
	read_request(argv[3], with);
	read_request(argv[4], without);
	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/tx_packets", argv[2]);
	counter = open(path, O_RDONLY);
	err = counter < 0 ? -1 : mcr_client_open(&client, argv[1], ANSWER_MS);
	if (err) {
		fprintf(stderr, "joins: cannot open %s or %s\n", path, argv[1]);
		return 1;
	}
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	for (int i = atoi(argv[5]); i > 0; i--) {
		printf("%lld\n", (long long)measure());
		ask(without);
		await_rest();
	}
	mcr_client_close(client);
	close(counter);
	return 0;
}
