/* SPDX-License-Identifier: MIT */
/*
 * Requests: a line in, a line out. Small ones are answered at once. Taking a large one apart would
 * hold up everybody else, and so would writing a long reply; that, and reading the configuration
 * that is in a request, is done beside the loop, for one at a time. Only what a request asks for is
 * done here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/commands.h"

#define AT_ONCE (64u << 10) /* bytes of a request that are not worth the detour */
#define LARGE	(1u << 20)  /* memory that is mapped by itself */

struct text {
	char *bytes;
	size_t len, cap;
	const char *refusal; /* NULL = none */
};

struct job {
	struct relay *relay;
	struct ctlsock *from;
	struct ctl_peer peer;
	uint64_t ticket;
	const char *line; /* the client's, until it is answered */
	size_t len;
	bool is_parsed;
	struct parsed parsed;
	cJSON *reply, *piece; /* to be written: a reply, or more of its rules */
	struct text text;     /* what is written of the reply */
	struct job *next;
};

/* Zeroed, or NULL. */
static void *memory_get(size_t size)
{
	void *p;

	if (size < LARGE)
		return calloc(1, size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* Piece by piece, because the kernel lets nobody else change the address space meanwhile. */
static void memory_give(void *p, size_t size)
{
	if (!p || size < LARGE) {
		free(p);
		return;
	}
	for (size_t at = 0; at < size; at += LARGE)
		madvise((char *)p + at, size - at < LARGE ? size - at : LARGE, MADV_DONTNEED);
	munmap(p, size);
}

static void parse(struct parsed *p, const char *line, size_t len)
{
	p->doc.cap_nodes = json5_nodes_bound(line, len);
	p->doc.cap_strings = json5_strings_needed(len);
	p->doc.nodes = memory_get(p->doc.cap_nodes * sizeof(*p->doc.nodes));
	p->doc.strings = memory_get(p->doc.cap_strings);
	if (p->doc.nodes && p->doc.strings)
		p->err = json5_parse(&p->doc, line, len, &p->d);
	else
		p->err = diag_set(&p->d, -ENOMEM, E_LIMIT, "", "out of memory");
}

static void parsed_free(struct parsed *p)
{
	config_free(p->config);
	memory_give(p->doc.nodes, p->doc.cap_nodes * sizeof(*p->doc.nodes));
	memory_give(p->doc.strings, p->doc.cap_strings);
	*p = (struct parsed){ .err = 0 };
}

#define REFUSAL(text) "{\"status\":\"error\",\"error_code\":\"E_LIMIT\",\"message\":\"" text "\"}"

static const char no_memory[] = REFUSAL("out of memory");
static const char too_long[] = REFUSAL("the reply would exceed 16 MiB: ask for less of it");

/* The value, which is deleted, as text to be freed; NULL when there is no memory for it. */
static char *value_text(cJSON *value)
{
	char *text = value ? cJSON_PrintUnformatted(value) : NULL;

	cJSON_Delete(value);
	return text;
}

/* --- beside the loop ---------------------------------------------------------------------------
 */

static void job_read(void *arg)
{
	struct job *job = arg;

	parse(&job->parsed, job->line, job->len);
	commands_read_config(&job->parsed);
	job->is_parsed = true;
}

static void text_append(struct text *t, const char *bytes, size_t len)
{
	size_t cap = t->len + len > t->cap ? 2 * (t->len + len) : t->cap;
	char *grown = cap > t->cap ? realloc(t->bytes, cap) : t->bytes;

	if (t->len + len >= ctlsock_defaults.backlog_bytes)
		t->refusal = too_long;
	else if (!grown || !bytes)
		t->refusal = no_memory;
	if (grown) {
		t->bytes = grown;
		t->cap = cap;
	}
	if (t->refusal)
		return;
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
}

/* Rules, which go between the brackets of a list that has some already or not. */
static void text_append_rules(struct text *t, cJSON *rules)
{
	char *text = value_text(rules);
	size_t len = text ? strlen(text) : 0;

	if (len > 2 && t->len && t->bytes[t->len - 1] != '[')
		text_append(t, ",", 1);
	text_append(t, text ? text + 1 : NULL, len > 2 ? len - 2 : 0);
	free(text);
}

/* Reply, rules, and the end of the reply. */
static void job_write(void *arg)
{
	static const char open[] = ",\"rules\":[", more[] = "],\"more\":true}", end[] = "]}";
	struct job *job = arg;
	struct listing *l = &job->parsed.listing;
	bool is_list = job->piece || l->is_open;
	char *text;

	if (job->reply) {
		text = value_text(job->reply);
		text_append(&job->text, text, text ? strlen(text) - is_list : 0);
		free(text);
		if (is_list)
			text_append(&job->text, open, strlen(open));
	}
	if (job->piece)
		text_append_rules(&job->text, job->piece);
	if (job->piece && !l->is_open)
		text_append(&job->text, l->has_more ? more : end, strlen(l->has_more ? more : end));
	job->reply = job->piece = NULL;
	if (!l->is_open) /* giving back what a large request has taken is slow, too */
		parsed_free(&job->parsed);
}

static void on_job_read(void *arg, struct mtime now);
static void on_job_written(void *arg, struct mtime now);

static void job_free(struct job *job)
{
	cJSON_Delete(job->reply);
	cJSON_Delete(job->piece);
	free(job->text.bytes);
	parsed_free(&job->parsed);
	free(job);
}

/* Ends a job that nobody is to be answered for. */
static void job_drop(struct job *job)
{
	ctlsock_answer(job->from, job->ticket, NULL, 0);
	job_free(job);
}

/* The thread is free. */
static void job_answer(struct job *job)
{
	job->reply = commands_answer(job->relay, &job->parsed, &job->peer);
	offload_start(job->relay->offload, job_write, on_job_written, job);
}

/* The next one whose client is still there. */
static void jobs_next(struct relay *r)
{
	struct job *job;

	while (!r->present_job && (job = r->jobs)) {
		r->jobs = job->next;
		if (!ctlsock_is_awaited(job->from, job->ticket)) {
			job_drop(job);
			continue;
		}
		r->present_job = job;
		if (job->is_parsed)
			job_answer(job);
		else
			offload_start(r->offload, job_read, on_job_read, job);
	}
}

static void on_job_read(void *arg, struct mtime now)
{
	(void)now;
	job_answer(arg);
}

/* More of a list that is not complete. */
static void job_go_on(struct job *job)
{
	struct diag d = { 0 };

	job->piece = commands_go_on(job->relay, &job->parsed, &d);
	if (!job->piece) {
		job->reply = commands_refuse(&job->parsed, &d);
		job->text.len = 0;
	}
	offload_start(job->relay->offload, job_write, on_job_written, job);
}

static void on_job_written(void *arg, struct mtime now)
{
	struct job *job = arg;
	struct relay *r = job->relay;
	struct text *t = &job->text;

	(void)now;
	if (job->parsed.listing.is_open && !t->refusal &&
	    ctlsock_is_awaited(job->from, job->ticket)) {
		job_go_on(job);
		return;
	}
	if (t->refusal)
		ctlsock_answer(job->from, job->ticket, t->refusal, strlen(t->refusal));
	else
		ctlsock_answer(job->from, job->ticket, t->bytes, t->len);
	r->present_job = NULL;
	job_free(job);
	jobs_next(r);
}

/* Takes over what is `parsed`; NULL: that is to be done. */
static bool job_put(struct relay *r, struct ctl_client *c, const char *line, size_t len,
		    const struct parsed *parsed)
{
	struct job *job = calloc(1, sizeof(*job)), **at = &r->jobs;

	if (!job)
		return false;
	job->relay = r;
	job->peer = *ctlsock_peer(c);
	job->from = job->peer.is_readonly ? r->ctl_ro : r->ctl;
	job->line = line;
	job->len = len;
	job->is_parsed = parsed;
	if (parsed)
		job->parsed = *parsed;
	job->parsed.is_long = true;
	job->ticket = ctlsock_hold(c);
	while (*at)
		at = &(*at)->next;
	*at = job;
	jobs_next(r);
	return true;
}

/* For the end of the daemon: whoever waits is not answered any more. */
void requests_drop(struct relay *r)
{
	offload_free(r->offload);
	r->offload = NULL;
	if (r->present_job)
		job_drop(r->present_job);
	r->present_job = NULL;
	while (r->jobs) {
		struct job *job = r->jobs;

		r->jobs = job->next;
		job_drop(job);
	}
}

void requests_line(void *relay, struct mtime now, struct ctl_client *c, const char *line,
		   size_t len)
{
	struct parsed parsed = { .err = 0 };
	const char *refusal = NULL;
	char *text;

	(void)now;
	if (len > AT_ONCE && job_put(relay, c, line, len, NULL))
		return;
	parse(&parsed, line, len);
	if (commands_is_long(relay, &parsed) && job_put(relay, c, line, len, &parsed))
		return;
	text = value_text(commands_answer(relay, &parsed, ctlsock_peer(c)));
	if (!text)
		refusal = no_memory;
	else if (strlen(text) >= ctlsock_defaults.backlog_bytes)
		refusal = too_long;
	ctlsock_reply(c, refusal ? refusal : text, strlen(refusal ? refusal : text));
	free(text);
	parsed_free(&parsed);
}
