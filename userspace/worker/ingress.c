/* SPDX-License-Identifier: MIT */
/* The common face of the receive sockets. */
#include "worker/ingress.h"

void ingress_close(struct ingress *in)
{
	if (in)
		in->ops->close(in);
}

int ingress_fd(const struct ingress *in)
{
	return in->fd;
}

bool ingress_take(struct ingress *in, struct batch *b, struct frame_raw *raw)
{
	return !batch_is_full(b) && in->ops->take(in, b, raw);
}

bool ingress_has_frames(const struct ingress *in)
{
	return in->ops->has_frames(in);
}

void ingress_release(struct ingress *in, uint64_t now_ns, bool wants_backlog)
{
	in->ops->release(in, now_ns, wants_backlog);
}

void ingress_stats(struct ingress *in, bool fresh, struct ingress_stats *out)
{
	in->ops->stats(in, fresh, out);
}
