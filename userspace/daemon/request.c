/* SPDX-License-Identifier: MIT */
/*
 * Requests: a line in, a line out. Small ones are answered at once. Taking a large one apart would
 * hold up everybody else, so that, and reading the configuration that must be in it, is done beside
 * the loop, for one at a time; only what it asks for is done here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/commands.h"

#define AT_ONCE (64u << 10) /* bytes of a request that are not worth the detour */
#define LARGE	(1u << 20)  /* memory that is mapped by itself */

struct job {
	struct relay *relay;
	struct ctlsock *from;
	struct ctl_peer peer;
	uint64_t ticket;
	const char *line; /* the client's, until it is answered */
	size_t len;
	struct parsed parsed;
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

/* The reply as text, to be freed; NULL when there is no memory for it. */
static char *reply_text(struct relay *r, struct parsed *p, const struct ctl_peer *peer)
{
	cJSON *reply = commands_answer(r, p, peer);
	char *text = reply ? cJSON_PrintUnformatted(reply) : NULL;

	cJSON_Delete(reply);
	if (!text)
		return strdup(REFUSAL("out of memory"));
	if (strlen(text) < ctlsock_defaults.backlog_bytes)
		return text;
	free(text);
	return strdup(REFUSAL("the reply would exceed 16 MiB: ask for less of it"));
}

/* --- beside the loop ---------------------------------------------------------------------------
 */

static void job_work(void *arg)
{
	struct job *job = arg;

	parse(&job->parsed, job->line, job->len);
	commands_read_config(&job->parsed);
}

/* Giving back what a large request has taken is slow, too. */
static void job_give_back(void *arg)
{
	struct job *job = arg;

	parsed_free(&job->parsed);
}

static void on_job_done(void *arg, struct mtime now);

/* Ends a job that nobody is to be answered for, or has been. */
static void job_drop(struct job *job)
{
	ctlsock_answer(job->from, job->ticket, NULL, 0);
	parsed_free(&job->parsed);
	free(job);
}

/* The next one whose client is still there. */
static void jobs_next(struct relay *r)
{
	struct job *job;

	while (!r->present_job && (job = r->jobs)) {
		r->jobs = job->next;
		if (!ctlsock_is_awaited(job->from, job->ticket))
			job_drop(job);
		else if (offload_start(r->offload, job_work, on_job_done, job))
			r->present_job = job;
	}
}

static void on_job_given_back(void *arg, struct mtime now)
{
	struct job *job = arg;
	struct relay *r = job->relay;

	(void)now;
	r->present_job = NULL;
	free(job);
	jobs_next(r);
}

static void on_job_done(void *arg, struct mtime now)
{
	struct job *job = arg;
	struct relay *r = job->relay;
	char *text = reply_text(r, &job->parsed, &job->peer);

	(void)now;
	ctlsock_answer(job->from, job->ticket, text, text ? strlen(text) : 0);
	free(text);
	/* the thread has just become free */
	offload_start(r->offload, job_give_back, on_job_given_back, job);
}

static bool job_put(struct relay *r, struct ctl_client *c, const char *line, size_t len)
{
	struct job *job = calloc(1, sizeof(*job)), **at = &r->jobs;

	if (!job)
		return false;
	job->relay = r;
	job->peer = *ctlsock_peer(c);
	job->from = job->peer.is_readonly ? r->ctl_ro : r->ctl;
	job->line = line;
	job->len = len;
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
	char *text;

	(void)now;
	if (len > AT_ONCE && job_put(relay, c, line, len))
		return;
	parse(&parsed, line, len);
	text = reply_text(relay, &parsed, ctlsock_peer(c));
	if (text)
		ctlsock_reply(c, text, strlen(text));
	free(text);
	parsed_free(&parsed);
}
