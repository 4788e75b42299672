/* SPDX-License-Identifier: MIT */
/*
 * libmcr: talks to mcrd over its control socket. One request is one line of JSON text, and so is
 * its reply (docs/control-protocol.md); making and reading that text is the caller's business.
 * Functions return 0 or -errno unless they say otherwise. A client is not thread-safe by itself;
 * different threads may use different clients. The library keeps no state of its own, installs no
 * signal handler and raises no SIGPIPE.
 *
 *	struct mcr_client *c;
 *	const char *reply;
 *	int err = mcr_client_open_instance(&c, NULL, 1000);
 *
 *	if (!err)
 *		err = mcr_client_request(c, "{\"command\":\"Ping\"}", &reply, NULL, 5000);
 *	if (!err)
 *		puts(reply);
 *	mcr_client_close(c);
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The instance meant by NULL, and where instances have their sockets. */
#define MCR_CLIENT_INSTANCE "mcrd"
#define MCR_CLIENT_RUN_DIR  "/run/mcr"

/* Longest socket path, with its NUL. */
#define MCR_CLIENT_PATH_MAX 108

/* Longest reply that is accepted, unless set otherwise. */
#define MCR_CLIENT_REPLY_MAX (64u << 20)

/* One connection to one daemon. */
struct mcr_client;

/*
 * Writes the path of an instance's control socket into `path`. NULL means MCR_CLIENT_INSTANCE.
 * -EINVAL for what cannot be an instance's name: 1 to 31 letters, digits, '.', '_' and '-', the
 * first of them a letter or digit.
 */
int mcr_client_instance_path(const char *instance, char path[MCR_CLIENT_PATH_MAX]);

/*
 * Writes the path of the read-only socket that belongs to `path` into `readonly`, which takes
 * every command that changes nothing. -ENAMETOOLONG.
 */
int mcr_client_readonly_path(const char *path, char readonly[MCR_CLIENT_PATH_MAX]);

/*
 * Connects to the socket at `path`, waiting at most `timeout_ms` (-1: as long as it takes). *out
 * is NULL on failure. -ENOENT no such socket, -ECONNREFUSED nobody listens, -EACCES not allowed,
 * -ETIMEDOUT, -ENAMETOOLONG, -ENOMEM and what socket(2) and connect(2) can say.
 */
int mcr_client_open(struct mcr_client **out, const char *path, int timeout_ms);

/* The same by an instance's name, NULL for the default one. */
int mcr_client_open_instance(struct mcr_client **out, const char *instance, int timeout_ms);

/* Ends the connection and frees everything, replies that were handed out too. NULL is fine. */
void mcr_client_close(struct mcr_client *c);

/* Refuses replies longer than `bytes` from now on, instead of MCR_CLIENT_REPLY_MAX. */
void mcr_client_set_reply_max(struct mcr_client *c, size_t bytes);

/* The descriptor, for poll(2) by the caller; -1 once the connection has failed. Stays ours. */
int mcr_client_fd(const struct mcr_client *c);

/*
 * Sends one request, `text` without its newline, and waits for the one line that answers it; all
 * of it within `timeout_ms` (-1: as long as it takes). *reply is NUL-terminated, without newline,
 * holds no NUL before its end and is valid until the next call with this client; *len is its
 * length and may be NULL. -EINVAL when the text is empty or has a newline in it (nothing was
 * sent), -ETIMEDOUT, -ECONNRESET when the daemon hung up, -EMSGSIZE when the reply is too long,
 * -EBADMSG when it is no line of text, -ENOTCONN after an earlier failure. After any failure but
 * -EINVAL the connection is closed, because a late reply would be taken for the next one's; the
 * daemon may have carried the request out all the same.
 */
int mcr_client_request(struct mcr_client *c, const char *text, const char **reply, size_t *len,
		       int timeout_ms);

/* The first half of mcr_client_request: sends one line. Replies come in the order of requests. */
int mcr_client_send(struct mcr_client *c, const char *text, int timeout_ms);

/*
 * The second half: waits for the next line. Here -ETIMEDOUT harms nothing; a later call goes on
 * where this one stopped.
 */
int mcr_client_receive(struct mcr_client *c, const char **reply, size_t *len, int timeout_ms);

/*
 * A deadline that several calls share: mcr_deadline(5000) once, then mcr_deadline_left(at) as the
 * `timeout_ms` of each. A negative timeout never ends.
 */
int64_t mcr_deadline(int timeout_ms);
int mcr_deadline_left(int64_t at);

#ifdef __cplusplus
}
#endif
