/* SPDX-License-Identifier: MIT */
/*
 * What all users of route netlink share: a socket that hears notifications, one to ask by, and
 * attributes that are looked at only when they are long enough.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <libmnl/libmnl.h>

#define RTNL_RECEIVE_BYTES (64u << 10) /* no message and no part of a dump is longer */
#define RTNL_EVENT_BATCHES 256	       /* messages taken in a turn */

/* A non-blocking socket, subscribed to these RTNLGRP_*. 0 or -errno, then nothing is open. */
int rtnl_events_open(struct mnl_socket **out, const int *groups, size_t n);

/* A blocking socket with strict checking: the kernel honours what a request for a dump names. */
int rtnl_query_open(struct mnl_socket **out);

/* Whether what follows the header has room for the family's own header. */
bool rtnl_has(const struct nlmsghdr *nlh, size_t head);

/* The number in a message that ends an answer: 0 or -errno. */
int rtnl_result(const struct nlmsghdr *nlh);

#define RTNL_ATTRS_MAX 64

struct rtnl_attrs {
	const struct nlattr *by_type[RTNL_ATTRS_MAX];
};

/* The attributes behind a family header of `head` bytes, and those in an attribute's payload. */
void rtnl_attrs(const struct nlmsghdr *nlh, size_t head, struct rtnl_attrs *out);
void rtnl_attrs_in(const void *payload, size_t len, struct rtnl_attrs *out);

/* NULL when it is not there, or shorter than `min` bytes. */
const struct nlattr *rtnl_attr(const struct rtnl_attrs *attrs, unsigned type, size_t min);
