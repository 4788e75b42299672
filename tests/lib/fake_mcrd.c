/* SPDX-License-Identifier: MIT */
/*
 * A daemon of cardboard: answers each request on a Unix socket with the text of a file.
 *
 *	fake_mcrd SOCKET REPLIES LOG
 *
 * The reply to command X is REPLIES/X.json, of the n-th X of a connection REPLIES/X.n.json where
 * that exists; newlines in it become spaces. With REPLIES/X.hangup (or X.n.hangup) it hangs up
 * instead, with REPLIES/X.silent it says nothing. Requests are appended to LOG. Runs until it is
 * killed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cjson/cJSON.h>

static const char *replies, *log_path;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Opens REPLIES/<command>[.n]<ending>, or NULL. */
static FILE *open_reply(const char *command, int n, const char *ending)
{
	char path[512], number[16] = "";

	if (n)
		snprintf(number, sizeof(number), ".%d", n);
	if (strchr(command, '/'))
		return NULL;
	snprintf(path, sizeof(path), "%s/%s%s%s", replies, command, number, ending);
	return fopen(path, "r");
}

static bool has_mark(const char *command, int n, const char *ending)
{
	FILE *f = open_reply(command, n, ending);

	f = f ? f : open_reply(command, 0, ending);
	if (f)
		fclose(f);
	return f;
}

/* Writes a file's text as one line. */
static void copy_reply(FILE *from, FILE *to)
{
	int c;

	while ((c = getc(from)) != EOF)
		putc(c == '\n' ? ' ' : c, to);
	putc('\n', to);
	fclose(from);
}

/* Answers one request; false to hang up. `asked` counts the commands of this connection. */
static bool answer(const char *line, cJSON *asked, FILE *to)
{
	cJSON *request = cJSON_Parse(line);
	const char *command = cJSON_GetStringValue(cJSON_GetObjectItem(request, "command"));
	const cJSON *count;
	FILE *reply;
	bool goes_on;
	int n;

	command = command ? command : "none";
	count = cJSON_GetObjectItem(asked, command);
	n = count ? (int)cJSON_GetNumberValue(count) + 1 : 1;
	cJSON_DeleteItemFromObject(asked, command);
	cJSON_AddNumberToObject(asked, command, n);
	goes_on = !has_mark(command, n, ".hangup");
	if (goes_on && !has_mark(command, n, ".silent")) {
		reply = open_reply(command, n, ".json");
		reply = reply ? reply : open_reply(command, 0, ".json");
		if (reply)
			copy_reply(reply, to);
		else
			fputs("{\"status\":\"error\",\"error_code\":\"E_UNKNOWN_COMMAND\"}\n", to);
		fflush(to);
	}
	cJSON_Delete(request);
	return goes_on;
}

static void serve(int fd)
{
	FILE *from = fdopen(fd, "r"), *to = fdopen(dup(fd), "w"), *log = fopen(log_path, "a");
	cJSON *asked = cJSON_CreateObject();
	char *line = NULL;
	size_t cap = 0;

	if (!from || !to || !log)
		die("open");
	while (getline(&line, &cap, from) > 0) {
		fputs(line, log);
		fflush(log);
		if (!answer(line, asked, to))
			break;
	}
	free(line);
	cJSON_Delete(asked);
	fclose(log);
	fclose(to);
	fclose(from);
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener, fd;

	if (argc != 4) {
		fputs("usage: fake_mcrd SOCKET REPLIES LOG\n", stderr);
		return 2;
	}
	/* its name appears when it can be connected to, not before */
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.new", argv[1]) >=
	    (int)sizeof(addr.sun_path)) {
		fputs("fake_mcrd: the path is too long\n", stderr);
		return 2;
	}
	replies = argv[2];
	log_path = argv[3];
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 16) || rename(addr.sun_path, argv[1]))
		die(argv[1]);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		serve(fd);
	die("accept");
}
