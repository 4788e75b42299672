/* SPDX-License-Identifier: MIT */
/*
 * The table of interfaces. Notifications arrive on one netlink socket; dumps are asked for, and
 * awaited, on another. Link messages carry the whole state of a link and are taken as they come.
 * Address and queueing notifications only mark an interface, whose state is then read anew: their
 * order says less than the kernel's own list (which address is the primary). Callbacks follow when
 * all that had arrived is taken in, so that a burst costs one callback an interface.
 */
#include "edge/netif.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "edge/ethtool.h"
#include "edge/log.h"
#include "edge/netdev.h"
#include "edge/rtnl.h"

#define BUCKETS	       1024
#define DUMP_TRIES     3
#define REDUMP_US      1000000
#define SINGLE_QUERIES 32 /* marked interfaces read one by one; more of them, all at once */

enum mark { MARK_ADDRS = 1, MARK_LINK = 2 };

struct entry {
	struct netif ni;   /* first, so that a netif is its entry */
	struct netif told; /* as of the last callback */
	bool is_told, is_seen;
	unsigned marks;		    /* what must be read anew */
	struct entry *next, **link; /* all of them, in order of appearance */
	struct entry *next_index, *next_name;
};

struct netif_table {
	struct loop *loop;
	netif_fn fn;
	void *arg;
	struct mnl_socket *events, *query;
	struct loop_timer *redump_timer;
	struct ethtool ethtool;
	struct netdev *netdev;
	unsigned sequence;
	bool needs_redump;
	bool is_partial; /* a query failed half-way: tell nobody before the next dump */
	struct mtime last_redump;
	uint64_t overruns;
	struct entry *first, **last, *gone;
	unsigned n_marked;
	struct entry *by_index[BUCKETS], *by_name[BUCKETS];
	char buf[RTNL_RECEIVE_BYTES];
};

/* --- the table -------------------------------------------------------------------------------- */

static size_t index_bucket(uint32_t ifindex)
{
	return ifindex % BUCKETS;
}

static size_t name_bucket(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % BUCKETS;
}

static struct entry *entry_by_index(const struct netif_table *t, uint32_t ifindex)
{
	struct entry *e = t->by_index[index_bucket(ifindex)];

	while (e && e->ni.ifindex != ifindex)
		e = e->next_index;
	return e;
}

static void name_unlink(struct netif_table *t, struct entry *e)
{
	struct entry **at = &t->by_name[name_bucket(e->ni.name)];

	while (*at && *at != e)
		at = &(*at)->next_name;
	if (*at)
		*at = e->next_name;
}

/* At the head: while renames are under way, the newest bearer of a name is the right one. */
static void name_link(struct netif_table *t, struct entry *e)
{
	struct entry **head = &t->by_name[name_bucket(e->ni.name)];

	e->next_name = *head;
	*head = e;
}

static struct entry *entry_new(struct netif_table *t, uint32_t ifindex)
{
	struct entry **head = &t->by_index[index_bucket(ifindex)];
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->ni.ifindex = ifindex;
	e->next_index = *head;
	*head = e;
	name_link(t, e);
	e->link = t->last;
	*t->last = e;
	t->last = &e->next;
	return e;
}

/* Takes the entry out of the table and keeps it for the callback that says so. */
static void entry_remove(struct netif_table *t, struct entry *e)
{
	struct entry **at = &t->by_index[index_bucket(e->ni.ifindex)];

	while (*at != e)
		at = &(*at)->next_index;
	*at = e->next_index;
	name_unlink(t, e);
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	else
		t->last = e->link;
	if (e->marks)
		t->n_marked--;
	e->next = t->gone;
	t->gone = e;
}

static void entry_mark(struct netif_table *t, struct entry *e, unsigned marks)
{
	if (!e)
		return;
	if (!e->marks)
		t->n_marked++;
	e->marks |= marks;
}

static void entry_unmark(struct netif_table *t, struct entry *e)
{
	if (e->marks)
		t->n_marked--;
	e->marks = 0;
}

/* Equal in everything that a callback is for: the counters do not count. */
static bool netif_equal(const struct netif *a, const struct netif *b)
{
	if (strcmp(a->name, b->name) != 0 || memcmp(a->mac, b->mac, sizeof(a->mac)) != 0)
		return false;
	if (a->is_up != b->is_up || a->is_ethernet != b->is_ethernet ||
	    a->is_loopback != b->is_loopback || a->has_udp_gso != b->has_udp_gso ||
	    a->has_qdisc != b->has_qdisc || a->takes_redirects != b->takes_redirects ||
	    a->prefix_len != b->prefix_len || a->mtu != b->mtu || a->rx_queues != b->rx_queues ||
	    a->n_addrs != b->n_addrs)
		return false;
	for (uint32_t i = 0; i < a->n_addrs; i++)
		if (!ip4_equal(a->addrs[i], b->addrs[i]))
			return false;
	return true;
}

/* --- messages --------------------------------------------------------------------------------- */

static void stats_take(struct netif *ni, const struct rtnl_attrs *attrs)
{
	const struct nlattr *attr =
		rtnl_attr(attrs, IFLA_STATS64, offsetof(struct rtnl_link_stats64, tx_dropped) + 8);
	struct rtnl_link_stats64 st = { 0 };
	size_t len;

	if (!attr)
		return;
	len = mnl_attr_get_payload_len(attr);
	memcpy(&st, mnl_attr_get_payload(attr), len < sizeof(st) ? len : sizeof(st));
	ni->rx_packets = st.rx_packets;
	ni->tx_packets = st.tx_packets;
	ni->rx_dropped = st.rx_dropped;
	ni->tx_dropped = st.tx_dropped;
}

static void name_take(struct netif_table *t, struct entry *e, const struct rtnl_attrs *attrs)
{
	const struct nlattr *attr = rtnl_attr(attrs, IFLA_IFNAME, 1);
	char name[sizeof(e->ni.name)] = "";
	size_t len;

	if (!attr)
		return;
	len = mnl_attr_get_payload_len(attr);
	memcpy(name, mnl_attr_get_payload(attr), len < sizeof(name) ? len : sizeof(name) - 1);
	if (!strcmp(name, e->ni.name))
		return;
	name_unlink(t, e);
	memcpy(e->ni.name, name, sizeof(name));
	name_link(t, e);
}

/* "noop" is what a device has that is down: there is no queue either. */
static void qdisc_take(struct netif *ni, const struct rtnl_attrs *attrs)
{
	const struct nlattr *attr = rtnl_attr(attrs, IFLA_QDISC, 1);
	char kind[16] = "";
	size_t len;

	if (!attr)
		return;
	len = mnl_attr_get_payload_len(attr);
	memcpy(kind, mnl_attr_get_payload(attr), len < sizeof(kind) ? len : sizeof(kind) - 1);
	ni->has_qdisc = strcmp(kind, "noqueue") != 0 && strcmp(kind, "noop") != 0;
}

/* An attribute that is absent leaves what was known: some notifications are partial. */
static void link_take(struct netif_table *t, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct entry *e = entry_by_index(t, (uint32_t)ifi->ifi_index);
	struct rtnl_attrs attrs;
	const struct nlattr *attr;
	struct netif *ni;

	if (!e)
		e = entry_new(t, (uint32_t)ifi->ifi_index);
	if (!e) {
		t->needs_redump = true; /* out of memory: try again later */
		return;
	}
	rtnl_attrs(nlh, sizeof(*ifi), &attrs);
	e->is_seen = true;
	name_take(t, e, &attrs);
	ni = &e->ni;
	ni->is_up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING);
	ni->is_ethernet = ifi->ifi_type == ARPHRD_ETHER;
	ni->is_loopback = ifi->ifi_flags & IFF_LOOPBACK;
	attr = rtnl_attr(&attrs, IFLA_ADDRESS, sizeof(ni->mac));
	if (attr)
		memcpy(ni->mac, mnl_attr_get_payload(attr), sizeof(ni->mac));
	attr = rtnl_attr(&attrs, IFLA_MTU, sizeof(uint32_t));
	if (attr)
		ni->mtu = mnl_attr_get_u32(attr);
	attr = rtnl_attr(&attrs, IFLA_NUM_RX_QUEUES, sizeof(uint32_t));
	if (attr)
		ni->rx_queues = ethtool_rx_queues(&t->ethtool, ni->name, mnl_attr_get_u32(attr));
	qdisc_take(ni, &attrs);
	stats_take(ni, &attrs);
	ni->has_udp_gso = ethtool_has_udp_gso(&t->ethtool, ni->name);
	ni->takes_redirects = netdev_features(t->netdev, ni->ifindex) & NETDEV_CAN_TAKE;
}

/* Addresses come in the order of the kernel's list, primaries first. */
static void addr_take(struct netif_table *t, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct entry *e = entry_by_index(t, ifa->ifa_index);
	struct rtnl_attrs attrs;
	const struct nlattr *attr;

	if (!e || ifa->ifa_family != AF_INET || e->ni.n_addrs == NETIF_ADDRS_MAX)
		return;
	rtnl_attrs(nlh, sizeof(*ifa), &attrs);
	/* IFA_ADDRESS is the other end of a point-to-point link. */
	attr = rtnl_attr(&attrs, IFA_LOCAL, sizeof(uint32_t));
	if (!attr)
		return;
	if (!e->ni.n_addrs)
		e->ni.prefix_len = ifa->ifa_prefixlen;
	e->ni.addrs[e->ni.n_addrs++].net = mnl_attr_get_u32(attr);
}

/* One message of a dump or of a single answer. */
static void answer_take(struct netif_table *t, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == RTM_NEWLINK && rtnl_has(nlh, sizeof(struct ifinfomsg)))
		link_take(t, nlh);
	else if (nlh->nlmsg_type == RTM_NEWADDR && rtnl_has(nlh, sizeof(struct ifaddrmsg)))
		addr_take(t, nlh);
}

static void on_link_event(struct netif_table *t, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct entry *e;

	/* A bridge reports its ports in messages of the same type; they are not the device's. */
	if (!rtnl_has(nlh, sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return;
	if (nlh->nlmsg_type == RTM_NEWLINK) {
		link_take(t, nlh);
		return;
	}
	e = entry_by_index(t, (uint32_t)ifi->ifi_index);
	if (e)
		entry_remove(t, e);
}

static void on_qdisc_event(struct netif_table *t, const struct nlmsghdr *nlh)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);

	if (rtnl_has(nlh, sizeof(*tc)) && tc->tcm_parent == TC_H_ROOT)
		entry_mark(t, entry_by_index(t, (uint32_t)tc->tcm_ifindex), MARK_LINK);
}

static int on_event(const struct nlmsghdr *nlh, void *arg)
{
	struct netif_table *t = arg;
	const struct ifaddrmsg *ifa;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link_event(t, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		ifa = mnl_nlmsg_get_payload(nlh);
		if (rtnl_has(nlh, sizeof(*ifa)))
			entry_mark(t, entry_by_index(t, ifa->ifa_index), MARK_ADDRS);
		break;
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
		on_qdisc_event(t, nlh);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* --- asking the kernel ------------------------------------------------------------------------ */

/*
 * Sends a request and takes in its answer, to the end even when it is of no use: the kernel begins
 * no other dump on this socket before. -EINTR: what was dumped changed meanwhile.
 */
static int query_run(struct netif_table *t, struct nlmsghdr *nlh)
{
	bool was_interrupted = false;

	nlh->nlmsg_seq = ++t->sequence;
	if (mnl_socket_sendto(t->query, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(t->query, t->buf, sizeof(t->buf));
		const struct nlmsghdr *m = (const struct nlmsghdr *)t->buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			if (m->nlmsg_seq != t->sequence)
				continue; /* of a query that was given up */
			was_interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (m->nlmsg_type == NLMSG_ERROR)
				return rtnl_result(m);
			if (m->nlmsg_type == NLMSG_DONE && rtnl_result(m))
				return rtnl_result(m);
			if (m->nlmsg_type == NLMSG_DONE)
				return was_interrupted ? -EINTR : 0;
			answer_take(t, m);
			if (!(m->nlmsg_flags & NLM_F_MULTI))
				return 0;
		}
	}
}

/* ifindex 0 = all links. */
static int query_links(struct netif_table *t, uint32_t ifindex)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | (ifindex ? 0 : NLM_F_DUMP);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)ifindex;
	return query_run(t, nlh);
}

/* ifindex 0 = all addresses. The caller has emptied the lists. */
static int query_addrs(struct netif_table *t, uint32_t ifindex)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_index = ifindex;
	return query_run(t, nlh);
}

static int dump_once(struct netif_table *t)
{
	int err;

	for (struct entry *e = t->first; e; e = e->next)
		e->is_seen = false;
	err = query_links(t, 0);
	if (err)
		return err;
	for (struct entry *e = t->first, *next; e; e = next) {
		next = e->next;
		if (!e->is_seen)
			entry_remove(t, e);
	}
	for (struct entry *e = t->first; e; e = e->next) {
		e->ni.n_addrs = 0;
		entry_unmark(t, e);
	}
	return query_addrs(t, 0);
}

/* Reads everything. What is still inconsistent after a few tries is read again in a second. */
static int dump_all(struct netif_table *t)
{
	int err = -EINTR;

	for (int tries = 0; err == -EINTR && tries < DUMP_TRIES; tries++)
		err = dump_once(t);
	t->needs_redump = err;
	t->is_partial = err;
	t->last_redump = loop_clock();
	return err;
}

static int entry_reread(struct netif_table *t, struct entry *e)
{
	uint32_t ifindex = e->ni.ifindex;
	unsigned marks = e->marks;
	int err = 0;

	entry_unmark(t, e);
	if (marks & MARK_LINK)
		err = query_links(t, ifindex);
	if (!err && (marks & MARK_ADDRS)) {
		e->ni.n_addrs = 0;
		err = query_addrs(t, ifindex);
	}
	/* The device is gone; its notification is on the way. */
	return err == -ENODEV ? 0 : err;
}

static int reread_all(struct netif_table *t)
{
	unsigned marks = 0;
	int err = 0;

	for (struct entry *e = t->first; e; e = e->next) {
		marks |= e->marks;
		entry_unmark(t, e);
	}
	if (marks & MARK_LINK)
		err = query_links(t, 0);
	if (err)
		return err;
	for (struct entry *e = t->first; e; e = e->next)
		e->ni.n_addrs = 0;
	return query_addrs(t, 0);
}

/* Reads anew what notifications have marked. */
static void reread_marked(struct netif_table *t)
{
	int err = 0;

	if (t->n_marked > SINGLE_QUERIES)
		err = reread_all(t);
	for (struct entry *e = t->first; e && t->n_marked && !err; e = e->next)
		if (e->marks)
			err = entry_reread(t, e);
	if (err) {
		t->needs_redump = true;
		t->is_partial = true;
	}
}

/* --- telling ---------------------------------------------------------------------------------- */

static void tell(struct netif_table *t, struct mtime now)
{
	while (t->gone) {
		struct entry *e = t->gone;

		t->gone = e->next;
		if (e->is_told)
			t->fn(t->arg, now, &e->ni, true);
		free(e);
	}
	for (struct entry *e = t->first; e; e = e->next)
		if (e->is_told && strcmp(e->ni.name, e->told.name) != 0)
			t->fn(t->arg, now, &e->told, true);
	for (struct entry *e = t->first; e; e = e->next) {
		if (e->is_told && netif_equal(&e->ni, &e->told))
			continue;
		e->told = e->ni;
		e->is_told = true;
		t->fn(t->arg, now, &e->ni, false);
	}
}

/* Dumps now, or when a second has passed since the last time. */
static void redump(struct netif_table *t, struct mtime now)
{
	struct mtime due = mtime_add(t->last_redump, (struct mtime){ REDUMP_US });
	int err;

	if (mtime_before(now, due)) {
		loop_timer_set(t->redump_timer, due);
		return;
	}
	err = dump_all(t);
	if (err)
		log_limited(LOG_L_WARNING, LOG_F_network, "cannot read the interfaces: %s",
			    strerror(-err));
	if (t->needs_redump)
		loop_timer_set(t->redump_timer,
			       mtime_add(t->last_redump, (struct mtime){ REDUMP_US }));
}

static void netif_update(struct netif_table *t, struct mtime now)
{
	reread_marked(t);
	if (t->needs_redump)
		redump(t, now);
	if (!t->is_partial)
		tell(t, now);
}

static void on_redump_due(void *arg, struct mtime now)
{
	netif_update(arg, now);
}

/* The features belong to the link, which is read anew. */
static void on_features(void *arg, struct mtime now, uint32_t ifindex)
{
	struct netif_table *t = arg;

	entry_mark(t, entry_by_index(t, ifindex), MARK_LINK);
	netif_update(t, now);
}

static void on_readable(void *arg, struct mtime now, uint32_t events)
{
	struct netif_table *t = arg;

	for (int i = 0; i < RTNL_EVENT_BATCHES; i++) {
		ssize_t n = mnl_socket_recvfrom(t->events, t->buf, sizeof(t->buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* ENOBUFS: lost some; ENOSPC: one did not fit */
			t->overruns++;
			t->needs_redump = true;
			continue;
		}
		if (mnl_cb_run(t->buf, (size_t)n, 0, 0, on_event, t) < 0)
			t->needs_redump = true;
	}
	netif_update(t, now);
}

/* --- the public face -------------------------------------------------------------------------- */

static int events_open(struct netif_table *t)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_TC };
	int err = rtnl_events_open(&t->events, groups, sizeof(groups) / sizeof(groups[0]));

	if (err)
		return err;
	return loop_fd_add(t->loop, mnl_socket_get_fd(t->events), EPOLLIN, on_readable, t);
}

int netif_open(struct netif_table **out, struct loop *l, netif_fn fn, void *arg)
{
	struct netif_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->last = &t->first;
	err = ethtool_open(&t->ethtool);
	if (!err)
		err = loop_timer_new(l, &t->redump_timer, on_redump_due, t);
	if (!err)
		err = netdev_open(&t->netdev, l, on_features, t);
	if (!err)
		err = rtnl_query_open(&t->query);
	/* Subscribed before the dump: nothing can change in between unnoticed. */
	if (!err)
		err = events_open(t);
	if (!err)
		err = dump_all(t);
	if (err == -EINTR) { /* changes faster than we read; a second later again */
		loop_timer_set(t->redump_timer,
			       mtime_add(t->last_redump, (struct mtime){ REDUMP_US }));
		err = 0;
	}
	if (err) {
		netif_close(t);
		return err;
	}
	for (struct entry *e = t->first; e; e = e->next) {
		e->told = e->ni;
		e->is_told = true;
	}
	*out = t;
	return 0;
}

static void entries_free(struct entry *e)
{
	while (e) {
		struct entry *next = e->next;

		free(e);
		e = next;
	}
}

void netif_close(struct netif_table *t)
{
	if (!t)
		return;
	if (t->events) {
		loop_fd_del(t->loop, mnl_socket_get_fd(t->events));
		mnl_socket_close(t->events);
	}
	if (t->query)
		mnl_socket_close(t->query);
	ethtool_close(&t->ethtool);
	netdev_close(t->netdev);
	loop_timer_free(t->redump_timer);
	entries_free(t->first);
	entries_free(t->gone);
	free(t);
}

const struct netif *netif_by_name(const struct netif_table *t, const char *name)
{
	const struct entry *e = t->by_name[name_bucket(name)];

	while (e && strcmp(e->ni.name, name) != 0)
		e = e->next_name;
	return e ? &e->ni : NULL;
}

const struct netif *netif_by_index(const struct netif_table *t, uint32_t ifindex)
{
	const struct entry *e = entry_by_index(t, ifindex);

	return e ? &e->ni : NULL;
}

const struct netif *netif_next(const struct netif_table *t, const struct netif *after)
{
	const struct entry *e = after ? ((const struct entry *)after)->next : t->first;

	return e ? &e->ni : NULL;
}

/* What else the answer tells is reported to the callback when its notification comes. */
int netif_refresh(struct netif_table *t, uint32_t ifindex, struct netif *out)
{
	const struct entry *e;
	int err;

	if (!entry_by_index(t, ifindex))
		return -ENODEV;
	err = query_links(t, ifindex);
	e = entry_by_index(t, ifindex);
	if (!err && e)
		*out = e->ni;
	return err;
}

uint64_t netif_overruns(const struct netif_table *t)
{
	return t->overruns;
}
