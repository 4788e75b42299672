/* SPDX-License-Identifier: MIT */
/*
 * The control socket: newline-delimited requests on Unix stream sockets. Non-blocking throughout:
 * a client that is idle, slow, half-closed or hostile costs a bounded buffer and delays nobody.
 * Each has one request carried out, then it is the others' turn; a client that leaves many replies
 * unread has none, until it reads. Knows nothing of JSON.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "edge/loop.h"

struct ctlsock;
struct ctl_client;

struct ctlsock_limits {
	size_t request_bytes;	  /* longest request */
	size_t backlog_bytes;	  /* unsent reply bytes of one client before it is dropped */
	unsigned clients;	  /* connections at a time; root may use 4 more */
	unsigned clients_per_uid; /* not for root */
	int64_t request_ms;	  /* from the first byte of a request to its newline */
	int64_t idle_ms;	  /* connection without a request under way, or taking no reply */
	size_t total_bytes;	  /* buffers of all clients beyond 64 KiB each; root: twice that */
};

struct ctl_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool is_readonly; /* came by the read-only socket */
};

/* Called for each complete line, without its newline, NUL-terminated. Replies by ctlsock_reply. */
typedef void (*ctlsock_fn)(void *arg, struct mtime now, struct ctl_client *c, const char *line,
			   size_t len);

extern const struct ctlsock_limits ctlsock_defaults;

/*
 * Makes the socket file with `mode` before anybody can connect; `group` may be NULL. A stale file
 * is replaced (the caller holds the instance lock).
 */
int ctlsock_open(struct ctlsock **out, struct loop *l, const char *path, mode_t mode,
		 const char *group, bool is_readonly, const struct ctlsock_limits *limits,
		 ctlsock_fn fn, void *arg, struct diag *d);
void ctlsock_close(struct ctlsock *s); /* drops its clients, removes the file */

/* Queues `len` bytes and a newline; never blocks. The client may be gone afterwards. */
void ctlsock_reply(struct ctl_client *c, const char *text, size_t len);
const struct ctl_peer *ctlsock_peer(const struct ctl_client *c);

/*
 * Instead of a reply within the callback: the line stays where it is, and the client's next request
 * waits, until ctlsock_answer is called with this ticket, even if the client leaves before. It must
 * be called before ctlsock_close. A NULL text answers nothing.
 */
uint64_t ctlsock_hold(struct ctl_client *c);
bool ctlsock_is_awaited(const struct ctlsock *s, uint64_t ticket); /* false once it has left */
void ctlsock_answer(struct ctlsock *s, uint64_t ticket, const char *text, size_t len);

struct ctlsock_counters {
	uint64_t accepted, refused_limit, timed_out, too_large, backlog_dropped, requests;
	unsigned clients;
};
void ctlsock_counters(const struct ctlsock *s, struct ctlsock_counters *out);
