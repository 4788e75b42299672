/* SPDX-License-Identifier: MIT */
/*
 * Copies on their way out: headers for each (run, output), one send for as many datagrams as the
 * output can segment, handed to the kernel by io_uring (by sendmsg where io_uring is forbidden).
 * Sends never wait: what a full buffer refuses is counted as dropped, so no output blocks another.
 */
#pragma once

#include "worker/batch.h"

struct egress;

/* 0 or -errno. `ledger` stays the caller's; `ring` is what main's ring at EXTRA_FD is, NULL = none.
 */
int egress_open(struct egress **out, struct ledger *ledger, const struct io_uring_params *ring);
void egress_close(struct egress *e);

/* "io_uring" or "sendmsg". */
const char *egress_method(const struct egress *e);

/* Takes over `fd` under a name that outputs use; a former one is closed. fd −1 only closes. */
void egress_socket(struct egress *e, uint32_t name, int fd);

/* Sends every run of a batch to all outputs of its rule. When it returns nothing is in flight. */
void egress_batch(struct egress *e, const struct batch *b);
