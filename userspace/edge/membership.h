/* SPDX-License-Identifier: MIT */
/*
 * Joins that make switches and NICs deliver what rules ask for. The kernel speaks IGMP; each
 * socket holds at most net.ipv4.igmp_max_memberships groups, so there are as many sockets as it
 * takes. Any-source and source-specific joins live on different sockets (RFC 3376 §3.1 has one
 * filter per socket and group). References are counted: a join that two rules need is made once
 * and left when the last one goes. The sockets receive nothing. Each takes a descriptor: 10,000
 * joins take 500 with the kernel's default of 20.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip4.h"

struct membership;

int membership_new(struct membership **out);

/*
 * Nothing is left that the service manager keeps (notify_store): a switch must not hear of a leave
 * between one process and the next. Without a manager, closing the sockets leaves everything.
 */
void membership_free(struct membership *m);
void membership_leave_all(struct membership *m); /* NULL is fine */

/* Once in a while: sockets that the manager was too busy to take are offered again. */
void membership_tick(struct membership *m);

/* 0 or -errno (ENOBUFS when even a fresh socket may not join). source 0 = any. */
int membership_join(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source);
void membership_leave(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source);

/*
 * A source that the any-source join of this group is to do without, unless another join takes it;
 * until it is left. 0, -ENOENT without such a join, or -errno (ENOBUFS beyond
 * net.ipv4.igmp_max_msf sources).
 */
int membership_block(struct membership *m, uint32_t ifindex, struct ip4 group, struct ip4 source);
void membership_unblock(struct membership *m, uint32_t ifindex, struct ip4 group,
			struct ip4 source);

/* The interface is gone: its joins with it. */
void membership_forget(struct membership *m, uint32_t ifindex);

size_t membership_count(const struct membership *m);
size_t membership_sockets(const struct membership *m);
