/* SPDX-License-Identifier: MIT */
/*
 * Where frames come from: one object for each receive socket, whatever its kind. A taken frame's
 * bytes stay valid until ingress_release.
 */
#pragma once

#include "base/diag.h"
#include "worker/batch.h"

struct ingress;

struct ingress_config {
	const char *interface;
	uint32_t ifindex;
	uint32_t queue;	     /* AF_XDP */
	uint32_t frames;     /* packet buffers, or slots of the ring: a power of two */
	int memory;          /* of the buffers, registered by main; AF_XDP; stays the caller's */
};

/* What the kernel dropped before the worker could take it, and where the buffers are. */
struct ingress_stats {
	uint64_t rx_dropped, ring_full;
	uint64_t in_ring;
	uint64_t buffers_total, buffers_fill, buffers_ring, buffers_held;
};

/* Both set up an inherited socket, which the object then owns, without any capability: an unbound
 * one of AF_XDP; one of AF_PACKET whose ring main has made and keeps. */
int ingress_afxdp_open(struct ingress **out, int fd, const struct ingress_config *cfg,
		       struct diag *d);
int ingress_afpacket_open(struct ingress **out, int fd, const struct ingress_config *cfg,
			  struct diag *d);
void ingress_close(struct ingress *in);

int ingress_fd(const struct ingress *in);

/* The next frame, its pieces from b->pieces; false when the ring is empty or the batch is full. */
bool ingress_take(struct ingress *in, struct batch *b, struct frame_raw *raw);

/* Whether the next take would find something: a look at memory, no system call. */
bool ingress_has_frames(const struct ingress *in);

/* Gives the buffers of everything taken back to the kernel; called before sleeping, too.
 * `wants_backlog`: when more comes than can be moved, a long backlog is better than a short one. */
void ingress_release(struct ingress *in, uint64_t now_ns, bool wants_backlog);

/* `fresh`: ask the kernel for its drop counters (a system call) instead of keeping the last ones.
 */
void ingress_stats(struct ingress *in, bool fresh, struct ingress_stats *out);

/* The two kinds behind the calls above. */
struct ingress_ops {
	bool (*take)(struct ingress *in, struct batch *b, struct frame_raw *raw);
	bool (*has_frames)(const struct ingress *in);
	void (*release)(struct ingress *in, uint64_t now_ns, bool wants_backlog);
	void (*stats)(struct ingress *in, bool fresh, struct ingress_stats *out);
	void (*close)(struct ingress *in);
};

struct ingress {
	const struct ingress_ops *ops;
	int fd;
};
