/* SPDX-License-Identifier: MIT */
/* Child processes: this binary again in another role, with a message channel, watched by pidfd. */
#pragma once

#include <sys/types.h>

#define CHANNEL_FD 3 /* what a role finds its channel at */
#define EXTRA_FD   4 /* … and the descriptor that it was given besides, if any */
#define CHANNEL_FDS_MAX 40

struct child {
	pid_t pid;
	int pidfd;      /* readable when it has ended */
	int channel;    /* SOCK_SEQPACKET, non-blocking, our end */
	int status;     /* as of waitpid; valid after spawn_end */
};

/* Runs /proc/self/exe with `argv`. Every descriptor but 0–2, the channel and `extra` (−1 = none;
 * stays the caller's) is closed in it. The child dies with this process. 0 or -errno; a child that
 * could not exec ends with 127. */
int spawn_role(struct child *out, const char *const *argv, int extra);

/* Closes the descriptors and reaps; kills first when it still runs. Empty is fine. */
void spawn_end(struct child *c);

/* One message with up to CHANNEL_FDS_MAX descriptors. -EAGAIN when the channel is full,
 * -EPIPE when the other side has ended. */
int channel_send(int channel, const void *msg, size_t len, const int *fds, unsigned n_fds);

/* Length, 0 at the end of the channel, -EAGAIN, -EMSGSIZE when the message was cut. Descriptors
 * arrive close-on-exec; *n_fds in: room, out: count; none are leaked on error. */
ssize_t channel_recv(int channel, void *buf, size_t cap, int *fds, unsigned *n_fds);
