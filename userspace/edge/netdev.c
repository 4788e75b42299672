/* SPDX-License-Identifier: MIT */
/*
 * The generic netlink family "netdev", by libmnl: one socket for questions, one for what the kernel
 * tells by itself. The family's number and group are asked for once, as they differ by boot.
 */
#include "edge/netdev.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>

/* include/uapi/linux/netdev.h, which distributions may not have yet */
enum { NETDEV_A_IFINDEX = 1, NETDEV_A_XDP_FEATURES = 3, NETDEV_A_MAX = 3 };
enum { NETDEV_C_DEV_GET = 1 };
#define NETDEV_VERSION 1
#define NETDEV_GROUP   "mgmt"

#define RECEIVE_BYTES (32u << 10)
#define WAIT_S	      5
#define TURNS	      64 /* messages taken before others have theirs */

struct netdev {
	struct loop *loop;
	netdev_fn fn;
	void *arg;
	struct mnl_socket *events, *query;
	unsigned sequence;
	uint16_t family; /* 0 = the kernel does not have it */
	uint32_t group;
	char buf[RECEIVE_BYTES];
};

struct device {
	uint32_t ifindex;
	uint64_t features;
};

/* --- messages ----------------------------------------------------------------------------------
 */

static int device_attr(const struct nlattr *attr, void *arg)
{
	struct device *d = arg;
	unsigned type = mnl_attr_get_type(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (type == NETDEV_A_IFINDEX && len >= sizeof(uint32_t))
		d->ifindex = mnl_attr_get_u32(attr);
	if (type == NETDEV_A_XDP_FEATURES && len >= sizeof(uint64_t))
		d->features = mnl_attr_get_u64(attr);
	return MNL_CB_OK;
}

static int on_device(const struct nlmsghdr *nlh, void *arg)
{
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), device_attr, arg);
	return MNL_CB_OK;
}

/* One of the family's groups: its name and its number. */
struct group {
	const char *name;
	uint32_t id;
};

static int group_attr(const struct nlattr *attr, void *arg)
{
	struct group *g = arg;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		g->name = mnl_attr_get_str(attr);
	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID &&
	    mnl_attr_get_payload_len(attr) >= sizeof(uint32_t))
		g->id = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int groups_attr(const struct nlattr *attr, void *arg)
{
	struct netdev *n = arg;
	struct group g = { "", 0 };

	mnl_attr_parse_nested(attr, group_attr, &g);
	if (strcmp(g.name, NETDEV_GROUP) == 0)
		n->group = g.id;
	return MNL_CB_OK;
}

static int family_attr(const struct nlattr *attr, void *arg)
{
	struct netdev *n = arg;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
	    mnl_attr_get_payload_len(attr) >= sizeof(uint16_t))
		n->family = mnl_attr_get_u16(attr);
	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
		mnl_attr_parse_nested(attr, groups_attr, n);
	return MNL_CB_OK;
}

static int on_family(const struct nlmsghdr *nlh, void *arg)
{
	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct genlmsghdr))
		mnl_attr_parse(nlh, sizeof(struct genlmsghdr), family_attr, arg);
	return MNL_CB_OK;
}

/* --- questions ---------------------------------------------------------------------------------
 */

static struct nlmsghdr *request_put(struct netdev *n, uint16_t family, uint8_t command,
				    uint8_t version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(n->buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++n->sequence;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = command;
	genl->version = version;
	return nlh;
}

static int request_run(struct netdev *n, const struct nlmsghdr *nlh, mnl_cb_t take, void *arg)
{
	unsigned port = mnl_socket_get_portid(n->query);
	int status = MNL_CB_OK;

	if (mnl_socket_sendto(n->query, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (status > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(n->query, n->buf, sizeof(n->buf));

		if (got < 0)
			return -errno;
		status = mnl_cb_run(n->buf, (size_t)got, n->sequence, port, take, arg);
		if (status < 0 && errno != ESRCH && errno != EPROTO) /* not an earlier answer */
			return -errno;
		if (status < 0)
			status = MNL_CB_OK;
	}
	return 0;
}

uint64_t netdev_features(struct netdev *n, uint32_t ifindex)
{
	struct device device = { 0 };
	struct nlmsghdr *nlh;

	if (!n->family)
		return 0;
	nlh = request_put(n, n->family, NETDEV_C_DEV_GET, NETDEV_VERSION);
	mnl_attr_put_u32(nlh, NETDEV_A_IFINDEX, ifindex);
	return request_run(n, nlh, on_device, &device) ? 0 : device.features;
}

/* --- what the kernel tells by itself -----------------------------------------------------------
 */

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	struct netdev *n = arg;

	(void)events;
	for (int i = 0; i < TURNS; i++) {
		struct device device = { 0 };
		ssize_t got = mnl_socket_recvfrom(n->events, n->buf, sizeof(n->buf));

		if (got < 0) /* also when some were lost: the link's own notices come besides */
			return;
		if (mnl_cb_run(n->buf, (size_t)got, 0, 0, on_device, &device) >= 0 &&
		    device.ifindex)
			n->fn(n->arg, now, device.ifindex);
	}
}

/* --- the public face ---------------------------------------------------------------------------
 */

static int query_open(struct netdev *n)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	struct nlmsghdr *nlh;
	int err;

	n->query = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!n->query || mnl_socket_bind(n->query, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(n->query), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)))
		return -errno;
	nlh = request_put(n, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, "netdev");
	err = request_run(n, nlh, on_family, n);
	return err == -ENOENT ? 0 : err;
}

static int events_open(struct netdev *n)
{
	n->events = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!n->events || mnl_socket_bind(n->events, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(n->events, NETLINK_ADD_MEMBERSHIP, &n->group, sizeof(n->group)) <
		    0)
		return -errno;
	return loop_fd_add(n->loop, mnl_socket_get_fd(n->events), EPOLLIN, on_readable, n);
}

int netdev_open(struct netdev **out, struct loop *l, netdev_fn fn, void *arg)
{
	struct netdev *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	n->loop = l;
	n->fn = fn;
	n->arg = arg;
	err = query_open(n);
	if (!err && n->family && n->group)
		err = events_open(n);
	if (err) {
		netdev_close(n);
		return err;
	}
	*out = n;
	return 0;
}

void netdev_close(struct netdev *n)
{
	if (!n)
		return;
	if (n->events) {
		loop_fd_del(n->loop, mnl_socket_get_fd(n->events));
		mnl_socket_close(n->events);
	}
	if (n->query)
		mnl_socket_close(n->query);
	free(n);
}
