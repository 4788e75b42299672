/* SPDX-License-Identifier: MIT */
/*
 * Kills workers as somebody else would, again and again, and waits each time until another one has
 * its place and copies go out again.
 *	kill_worker SOCKET TIMES
 * prints for each kill which worker it was and after how many milliseconds the daemon said that it
 * sends again. Kills fall into the middle of work: how long it rests before each varies.
 */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mcr/client.h"

#define ANSWER_MS 5000
#define BACK_MS	  10000

/* What GetStats says of the workers; where there are several, the victims take turns. */
struct view {
	unsigned n, running;
	pid_t pids[64];
	double sent;
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void rest(long us)
{
	const struct timespec ts = { 0, us * 1000 };

	nanosleep(&ts, NULL);
}

static double number_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void look(struct mcr_client *c, struct view *out)
{
	const char *text;
	int err = mcr_client_request(c, "{\"command\":\"GetStats\"}", &text, NULL, ANSWER_MS);
	cJSON *reply = err ? NULL : cJSON_Parse(text);
	const cJSON *w;

	if (!reply) {
		fprintf(stderr, "kill_worker: no answer: %s\n", strerror(-err));
		exit(1);
	}
	memset(out, 0, sizeof(*out));
	cJSON_ArrayForEach (w, cJSON_GetObjectItemCaseSensitive(reply, "workers")) {
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(w, "status");
		bool runs = cJSON_IsString(status) && strcmp(status->valuestring, "running") == 0;

		if (out->n == 64)
			break;
		out->pids[out->n++] = (pid_t)number_of(w, "pid");
		out->running += runs;
		out->sent += number_of(w, "sent");
	}
	cJSON_Delete(reply);
}

static bool has_pid(const struct view *v, pid_t pid)
{
	for (unsigned i = 0; i < v->n; i++)
		if (v->pids[i] == pid)
			return true;
	return false;
}

/* Kills the worker and waits for the next. False when none comes. */
static bool kill_one(struct mcr_client *c, unsigned i)
{
	struct view before, now;
	double start, at_rest;
	pid_t victim;

	look(c, &before);
	victim = before.n ? before.pids[i % before.n] : 0;
	if (before.running != before.n || victim <= 1) {
		fprintf(stderr, "kill_worker: %u of %u workers run\n", before.running, before.n);
		return false;
	}
	start = now_ms();
	if (kill(victim, SIGKILL)) {
		perror("kill_worker");
		return false;
	}
	do {
		rest(500);
		look(c, &now);
		if (now_ms() - start > BACK_MS) {
			fprintf(stderr, "kill_worker: no other worker after %d ms\n", BACK_MS);
			return false;
		}
	} while (has_pid(&now, victim) || now.running != before.n);
	at_rest = now.sent;
	while (now.sent <= at_rest) {
		rest(500);
		look(c, &now);
		if (now_ms() - start > BACK_MS) {
			fprintf(stderr, "kill_worker: nothing is sent after %d ms\n", BACK_MS);
			return false;
		}
	}
	printf("killed %d back_ms %.1f\n", victim, now_ms() - start);
	return true;
}

int main(int argc, char **argv)
{
	unsigned times = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	struct mcr_client *c;
	int err;

	if (!times) {
		fputs("usage: kill_worker SOCKET TIMES\n", stderr);
		return 2;
	}
	err = mcr_client_open(&c, argv[1], ANSWER_MS);
	if (err) {
		fprintf(stderr, "kill_worker: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	for (unsigned i = 0; i < times; i++) {
		rest(20000 + (long)(i * 7919 % 30000));
		if (!kill_one(c, i))
			return 1;
	}
	mcr_client_close(c);
	return 0;
}
