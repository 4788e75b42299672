/* SPDX-License-Identifier: MIT */
/* Sockets and attributes of route netlink. */
#include "edge/rtnl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define EVENT_BYTES  (4 << 20)
#define QUERY_WAIT_S 5

static int opened(struct mnl_socket **out, struct mnl_socket *s, int err)
{
	if (err && s)
		mnl_socket_close(s);
	*out = err ? NULL : s;
	return err;
}

static int subscribe(struct mnl_socket *s, const int *groups, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

int rtnl_events_open(struct mnl_socket **out, const int *groups, size_t n)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int bytes = EVENT_BYTES, fd;

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
		return opened(out, s, -errno);
	fd = mnl_socket_get_fd(s);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return opened(out, s, subscribe(s, groups, n));
}

int rtnl_query_open(struct mnl_socket **out)
{
	const struct timeval wait = { .tv_sec = QUERY_WAIT_S };
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int on = 1;

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(s, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)))
		return opened(out, s, -errno);
	return opened(out, s, 0);
}

bool rtnl_has(const struct nlmsghdr *nlh, size_t head)
{
	return mnl_nlmsg_get_payload_len(nlh) >= head;
}

int rtnl_result(const struct nlmsghdr *nlh)
{
	int result = 0;

	if (rtnl_has(nlh, sizeof(result)))
		memcpy(&result, mnl_nlmsg_get_payload(nlh), sizeof(result));
	return result;
}

static int attr_take(const struct nlattr *attr, void *arg)
{
	struct rtnl_attrs *attrs = arg;
	unsigned type = mnl_attr_get_type(attr);

	if (type < RTNL_ATTRS_MAX)
		attrs->by_type[type] = attr;
	return MNL_CB_OK;
}

void rtnl_attrs(const struct nlmsghdr *nlh, size_t head, struct rtnl_attrs *out)
{
	*out = (struct rtnl_attrs){ 0 };
	mnl_attr_parse(nlh, (unsigned)head, attr_take, out);
}

void rtnl_attrs_in(const void *payload, size_t len, struct rtnl_attrs *out)
{
	*out = (struct rtnl_attrs){ 0 };
	mnl_attr_parse_payload(payload, len, attr_take, out);
}

const struct nlattr *rtnl_attr(const struct rtnl_attrs *attrs, unsigned type, size_t min)
{
	const struct nlattr *attr = type < RTNL_ATTRS_MAX ? attrs->by_type[type] : NULL;

	return attr && mnl_attr_get_payload_len(attr) >= min ? attr : NULL;
}
