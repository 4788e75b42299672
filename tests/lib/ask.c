/* SPDX-License-Identifier: MIT */
/*
 * Sends requests to a control socket over one connection, and what comes back to stdout.
 *	ask SOCKET [RATE] <REQUESTS >REPLIES
 * One request a line; with RATE so many a second, each at its time, however long the one before
 * has taken. Ends with a summary on stderr: how many were asked, how many were answered with
 * status ok, the slowest answer. Fails when the connection does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mcr/client.h"

#define ANSWER_MS 10000

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void wait_until(int64_t us)
{
	struct timespec at = { us / 1000000, us % 1000000 * 1000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv)
{
	unsigned long asked = 0, good = 0;
	long rate = argc == 3 ? atol(argv[2]) : 0;
	int64_t start, slowest = 0;
	struct mcr_client *c;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int err;

	if (argc < 2 || argc > 3) {
		fputs("usage: ask SOCKET [RATE]\n", stderr);
		return 2;
	}
	err = mcr_client_open(&c, argv[1], ANSWER_MS);
	start = now_us();
	while (!err && (len = getline(&line, &cap, stdin)) > 0) {
		const char *reply;
		int64_t sent;

		line[strcspn(line, "\n")] = '\0';
		if (rate)
			wait_until(start + (int64_t)asked * 1000000 / rate);
		sent = now_us();
		err = mcr_client_request(c, line, &reply, NULL, ANSWER_MS);
		if (err)
			break;
		asked++;
		good += strncmp(reply, "{\"status\":\"ok\"", 14) == 0;
		if (now_us() - sent > slowest)
			slowest = now_us() - sent;
		puts(reply);
	}
	if (err)
		fprintf(stderr, "ask: %s: %s\n", argv[1], strerror(-err));
	fprintf(stderr, "asked %lu good %lu slowest_us %lld\n", asked, good, (long long)slowest);
	free(line);
	mcr_client_close(c);
	return err ? 1 : 0;
}
