/* SPDX-License-Identifier: MIT */
/*
 * Routes by netlink. Notifications arrive on one socket and are taken as they come; dumps arrive on
 * another, a part each time the loop finds it readable. While a dump is under way notifications
 * wait in their socket: replayed after it they can only make its result newer. That is what makes
 * the two agree without a lock, and what makes a dump that took long harmless.
 *
 * The kernel says nothing when it removes routes with a link that goes down, nor do older ones with
 * the address that routes prefer, nor when an object changes that routes name without spelling it
 * out. The events that it does send lead to a dump then.
 */
#include "edge/route.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "edge/log.h"
#include "edge/nexthop.h"
#include "edge/routestore.h"
#include "edge/rtnl.h"

#define DUMP_BATCHES  32     /* parts of a dump in a turn: some 10,000 routes */
#define DUMP_PAUSE_US 100000 /* between dumps, and ten times as long as the last one took */
#define START_WAIT_MS 5000

/* What can be read anew, in this order: routes name objects. */
enum part { PART_OBJECTS = 1, PART_RULES = 2, PART_ROUTES = 4 };
#define PART_ALL (PART_OBJECTS | PART_RULES | PART_ROUTES)

struct route_table {
	struct loop *loop;
	route_fn fn;
	void *arg;
	struct mnl_socket *events, *query;
	struct loop_timer *timer;
	unsigned sequence;
	unsigned wanted;      /* parts that must be read anew */
	enum part reading;    /* 0 = none under way */
	bool was_interrupted; /* what is being read changed meanwhile */
	bool is_replaying;    /* what has arrived may be older than the last dump */
	struct mtime started, ended, last_told;
	struct routestore store;
	struct nexthops objects;
	struct fib_rule rules[FIB_RULES_MAX], read_rules[FIB_RULES_MAX];
	unsigned n_rules, n_read_rules;
	bool rules_changed;
	struct route_counts counts;
	char buf[RTNL_RECEIVE_BYTES];
};

/* --- routes ----------------------------------------------------------------------------------- */

static bool type_take(uint8_t type, uint8_t *out)
{
	switch (type) {
	case RTN_UNICAST:
		*out = FIB_UNICAST;
		return true;
	case RTN_LOCAL:
		*out = FIB_LOCAL;
		return true;
	case RTN_BLACKHOLE:
		*out = FIB_BLACKHOLE;
		return true;
	case RTN_UNREACHABLE:
		*out = FIB_UNREACHABLE;
		return true;
	case RTN_PROHIBIT:
		*out = FIB_PROHIBIT;
		return true;
	case RTN_THROW:
		*out = FIB_THROW;
		return true;
	default:
		return false; /* no unicast address lies behind broadcast and the like */
	}
}

static void via_take(const struct rtnl_attrs *attrs, struct fib_hop *hop)
{
	const struct nlattr *gateway = rtnl_attr(attrs, RTA_GATEWAY, sizeof(uint32_t));
	const struct nlattr *via = rtnl_attr(attrs, RTA_VIA, sizeof(struct rtvia));

	if (gateway)
		hop->via.net = mnl_attr_get_u32(gateway);
	else if (via)
		hop->is_via6 =
			((const struct rtvia *)mnl_attr_get_payload(via))->rtvia_family == AF_INET6;
}

/* RTNH_NEXT for what is only read. */
static const struct rtnexthop *hop_after(const struct rtnexthop *nh)
{
	return (const void *)((const char *)nh + RTNH_ALIGN(nh->rtnh_len));
}

static unsigned multipath_take(struct route_table *t, const struct nlattr *attr,
			       struct fib_hop *hops)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(attr);
	int left = mnl_attr_get_payload_len(attr);
	struct rtnl_attrs attrs;
	unsigned n = 0;

	for (; RTNH_OK(nh, left); left -= RTNH_ALIGN(nh->rtnh_len), nh = hop_after(nh)) {
		if (n == FIB_HOPS_MAX) {
			t->counts.refused++;
			break;
		}
		rtnl_attrs_in(nh + 1, nh->rtnh_len - sizeof(*nh), &attrs);
		hops[n] = (struct fib_hop){ .ifindex = (uint32_t)nh->rtnh_ifindex };
		via_take(&attrs, &hops[n++]);
	}
	return n;
}

/* The hops of a unicast route; −1: it names an object that is not known. */
static int hops_take(struct route_table *t, const struct rtnl_attrs *attrs, uint32_t object,
		     struct fib_hop hops[FIB_HOPS_MAX])
{
	const struct nlattr *multi = rtnl_attr(attrs, RTA_MULTIPATH, sizeof(struct rtnexthop));
	const struct nlattr *oif = rtnl_attr(attrs, RTA_OIF, sizeof(uint32_t));

	if (multi)
		return (int)multipath_take(t, multi, hops);
	if (oif) {
		hops[0] = (struct fib_hop){ .ifindex = mnl_attr_get_u32(oif) };
		via_take(attrs, &hops[0]);
		return 1;
	}
	return object ? nexthops_find(&t->objects, object, hops) : 0;
}

static uint32_t attr_u32(const struct rtnl_attrs *attrs, unsigned type, uint32_t otherwise)
{
	const struct nlattr *attr = rtnl_attr(attrs, type, sizeof(uint32_t));

	return attr ? mnl_attr_get_u32(attr) : otherwise;
}

static void on_route(struct route_table *t, const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct fib_hop hops[FIB_HOPS_MAX];
	struct rtnl_attrs attrs;
	struct fib_route r = { 0 };
	uint32_t object;
	int n;

	/* A look-up for a source has no TOS; clones are answers, not routes. */
	if (!rtnl_has(nlh, sizeof(*rtm)) || rtm->rtm_family != AF_INET || rtm->rtm_tos ||
	    rtm->rtm_dst_len > 32 || (rtm->rtm_flags & RTM_F_CLONED) ||
	    !type_take(rtm->rtm_type, &r.type))
		return;
	rtnl_attrs(nlh, sizeof(*rtm), &attrs);
	r.dst.addr.net = attr_u32(&attrs, RTA_DST, 0);
	r.dst.len = rtm->rtm_dst_len;
	r.table = attr_u32(&attrs, RTA_TABLE, rtm->rtm_table);
	r.metric = attr_u32(&attrs, RTA_PRIORITY, 0);
	r.protocol = rtm->rtm_protocol;
	object = attr_u32(&attrs, RTA_NH_ID, 0);
	n = r.type == FIB_UNICAST || r.type == FIB_LOCAL ? hops_take(t, &attrs, object, hops) : 0;
	r.n_hops = (uint16_t)(n > 0 ? n : 0);
	if (nlh->nlmsg_type == RTM_DELROUTE) {
		routestore_del(&t->store, &r, hops);
		/* A dump that is read while routes go may have passed over their neighbours. */
		if (t->is_replaying)
			t->wanted |= PART_ROUTES;
	} else if (n < 0) {
		t->wanted |= PART_OBJECTS | PART_ROUTES; /* never half of a route */
	} else {
		routestore_put(&t->store, &r, hops, object, nlh->nlmsg_flags & NLM_F_REPLACE);
	}
}

/* --- rules ------------------------------------------------------------------------------------ */

/* What a look-up of an address alone does not have. It does come from this host, by loopback. */
static bool is_particular(const struct fib_rule_hdr *frh, const struct rtnl_attrs *attrs)
{
	static const uint8_t particular[] = {
		FRA_OIFNAME, FRA_TUN_ID, FRA_L3MDEV, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE,
	};
	const struct nlattr *iif = rtnl_attr(attrs, FRA_IIFNAME, 2);

	for (unsigned i = 0; i < sizeof(particular); i++)
		if (rtnl_attr(attrs, particular[i], 1))
			return true;
	if (iif && strncmp(mnl_attr_get_payload(iif), "lo", mnl_attr_get_payload_len(iif)) != 0)
		return true;
	return frh->src_len || frh->tos || attr_u32(attrs, FRA_FWMARK, 0);
}

static void rule_action_take(const struct fib_rule_hdr *frh, const struct rtnl_attrs *attrs,
			     struct fib_rule *rule)
{
	rule->action = FIB_RULE_REFUSE;
	switch (frh->action) {
	case FR_ACT_TO_TBL:
		rule->action = FIB_RULE_TABLE;
		rule->table = attr_u32(attrs, FRA_TABLE, frh->table);
		break;
	case FR_ACT_GOTO:
		rule->action = FIB_RULE_GOTO;
		rule->target = attr_u32(attrs, FRA_GOTO, 0);
		break;
	case FR_ACT_BLACKHOLE:
		rule->refusal = FIB_BLACKHOLE;
		break;
	case FR_ACT_UNREACHABLE:
		rule->refusal = FIB_UNREACHABLE;
		break;
	case FR_ACT_PROHIBIT:
		rule->refusal = FIB_PROHIBIT;
		break;
	default:
		rule->action = FIB_RULE_NOTHING;
		break;
	}
}

static void on_rule(struct route_table *t, const struct nlmsghdr *nlh)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct rtnl_attrs attrs;
	struct fib_rule rule;

	if (!rtnl_has(nlh, sizeof(*frh)) || frh->family != AF_INET || frh->dst_len > 32)
		return;
	if (t->n_read_rules == FIB_RULES_MAX) {
		t->counts.refused++;
		return;
	}
	rtnl_attrs(nlh, sizeof(*frh), &attrs);
	memset(&rule, 0, sizeof(rule)); /* padding as well: rules are compared */
	rule.priority = attr_u32(&attrs, FRA_PRIORITY, 0);
	rule.to.addr.net = attr_u32(&attrs, FRA_DST, 0);
	rule.to.len = frh->dst_len;
	rule.suppress_len = (int)attr_u32(&attrs, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	rule.is_particular = is_particular(frh, &attrs);
	rule.is_inverted = frh->flags & FIB_RULE_INVERT;
	rule_action_take(frh, &attrs, &rule);
	memcpy(&t->read_rules[t->n_read_rules++], &rule, sizeof(rule));
}

/* --- next hop objects ------------------------------------------------------------------------- */

static void on_object(struct route_table *t, const struct nlmsghdr *nlh)
{
	const struct nhmsg *nhm = mnl_nlmsg_get_payload(nlh);
	struct nexthop_object o = { 0 };
	const struct nlattr *via, *group;
	struct rtnl_attrs attrs;

	if (!rtnl_has(nlh, sizeof(*nhm)))
		return;
	rtnl_attrs(nlh, sizeof(*nhm), &attrs);
	o.id = attr_u32(&attrs, NHA_ID, 0);
	if (nlh->nlmsg_type == RTM_DELNEXTHOP) {
		nexthops_del(&t->objects, o.id);
		routestore_del_object(&t->store, o.id);
		return;
	}
	via = rtnl_attr(&attrs, NHA_GATEWAY, sizeof(uint32_t));
	group = rtnl_attr(&attrs, NHA_GROUP, sizeof(struct nexthop_grp));
	o.hop.ifindex = attr_u32(&attrs, NHA_OIF, 0);
	o.hop.is_via6 = via && nhm->nh_family == AF_INET6;
	if (via && nhm->nh_family == AF_INET)
		o.hop.via.net = mnl_attr_get_u32(via);
	if (group)
		nexthops_take_group(&o, mnl_attr_get_payload(group),
				    mnl_attr_get_payload_len(group));
	/* Of the routes that use it the kernel may tell, or not (nexthop_compat_mode). */
	if (nexthops_put(&t->objects, &o) && !t->reading && routestore_has_objects(&t->store))
		t->wanted |= PART_ROUTES;
}

/* --- notifications ---------------------------------------------------------------------------- */

static void on_link(struct route_table *t, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	if (!rtnl_has(nlh, sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return;
	if (nlh->nlmsg_type == RTM_NEWLINK && (ifi->ifi_flags & IFF_UP))
		return;
	if (routestore_has_interface(&t->store, (uint32_t)ifi->ifi_index))
		t->wanted |= PART_ROUTES;
}

static int on_event(const struct nlmsghdr *nlh, void *arg)
{
	struct route_table *t = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route(t, nlh);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		on_object(t, nlh);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		t->wanted |= PART_RULES;
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(t, nlh);
		break;
	case RTM_DELADDR:
		t->wanted |= PART_ROUTES;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* True when there is nothing more to read now. */
static bool events_read(struct route_table *t)
{
	for (int i = 0; i < RTNL_EVENT_BATCHES; i++) {
		ssize_t n = mnl_socket_recvfrom(t->events, t->buf, sizeof(t->buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) { /* ENOBUFS: lost some; ENOSPC: one did not fit */
			t->counts.overruns++;
			t->wanted = PART_ALL;
			continue;
		}
		if (mnl_cb_run(t->buf, (size_t)n, 0, 0, on_event, t) < 0)
			t->wanted = PART_ALL;
	}
	return false;
}

/* --- dumps ------------------------------------------------------------------------------------ */

static int request_send(struct route_table *t, uint16_t type, uint8_t family, size_t head)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint8_t *extra;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++t->sequence;
	extra = mnl_nlmsg_put_extra_header(nlh, head);
	*extra = family; /* the first member of all of them */
	return mnl_socket_sendto(t->query, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

/* Asks for the next part that is wanted. */
static int part_begin(struct route_table *t)
{
	if (t->wanted & PART_OBJECTS) {
		t->reading = PART_OBJECTS;
		nexthops_clear(&t->objects);
		return request_send(t, RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg));
	}
	if (t->wanted & PART_RULES) {
		t->reading = PART_RULES;
		t->n_read_rules = 0;
		return request_send(t, RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr));
	}
	t->reading = PART_ROUTES;
	routestore_begin(&t->store);
	return request_send(t, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg));
}

static void rules_end(struct route_table *t)
{
	size_t bytes = t->n_read_rules * sizeof(t->rules[0]);

	if (t->n_rules == t->n_read_rules && !memcmp(t->rules, t->read_rules, bytes))
		return;
	memcpy(t->rules, t->read_rules, bytes);
	t->n_rules = t->n_read_rules;
	t->rules_changed = true;
}

static void part_end(struct route_table *t, bool is_whole)
{
	if (t->reading == PART_ROUTES)
		routestore_end(&t->store, is_whole);
	if (t->reading == PART_RULES && is_whole)
		rules_end(t);
	if (is_whole)
		t->wanted &= ~(unsigned)t->reading;
	t->reading = 0;
	t->counts.dumps++;
}

static void answer_take(struct route_table *t, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == RTM_NEWROUTE && t->reading == PART_ROUTES)
		on_route(t, nlh);
	else if (nlh->nlmsg_type == RTM_NEWNEXTHOP && t->reading == PART_OBJECTS)
		on_object(t, nlh);
	else if (nlh->nlmsg_type == RTM_NEWRULE && t->reading == PART_RULES)
		on_rule(t, nlh);
}

/* 1: the part is through; 0: more to come; else -errno. */
static int answers_take(struct route_table *t, size_t len)
{
	const struct nlmsghdr *m = (const struct nlmsghdr *)t->buf;
	int left = (int)len;

	for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		if (m->nlmsg_seq != t->sequence)
			continue; /* of a dump that was given up */
		t->was_interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE)
			return rtnl_result(m) ? rtnl_result(m) : 1;
		answer_take(t, m);
	}
	return 0;
}

/* As answers_take(); -EAGAIN: nothing there. */
static int dump_read(struct route_table *t)
{
	ssize_t n = mnl_socket_recvfrom(t->query, t->buf, sizeof(t->buf));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return answers_take(t, (size_t)n);
}

/* --- who does what when ----------------------------------------------------------------------- */

/* Tells, or says when it will be time to. */
static struct mtime tell(struct route_table *t, struct mtime now)
{
	struct mtime due = mtime_add(t->last_told, mtime_ms(ROUTE_TELL_MS));

	if (!t->store.has_changed && !t->rules_changed)
		return MTIME_NEVER;
	if (mtime_before(now, due))
		return due;
	t->store.has_changed = false;
	t->rules_changed = false;
	t->last_told = now;
	t->fn(t->arg, now);
	return MTIME_NEVER;
}

static struct mtime next_dump(const struct route_table *t)
{
	int64_t pause = 10 * t->counts.last_dump_us;

	if (!t->wanted)
		return MTIME_NEVER;
	return mtime_add(t->ended, (struct mtime){ pause > DUMP_PAUSE_US ? pause : DUMP_PAUSE_US });
}

/* What has happened meanwhile follows at once, so that the view is of now. */
static void dump_end(struct route_table *t)
{
	t->ended = loop_clock();
	t->counts.last_dump_us = mtime_sub(t->ended, t->started).us;
	loop_fd_mod(t->loop, mnl_socket_get_fd(t->events), EPOLLIN);
	t->is_replaying = true;
	t->is_replaying = !events_read(t);
}

static void dump_failed(struct route_table *t, int err)
{
	part_end(t, false);
	dump_end(t);
	log_limited(LOG_L_WARNING, LOG_F_network, "cannot read the routes: %s", strerror(-err));
}

/* Reads on in the parts that are wanted, or begins with them. True when that has ended. */
static bool dump_go(struct route_table *t)
{
	int err = t->reading ? 0 : part_begin(t);

	for (int i = 0; i < DUMP_BATCHES && !err; i++) {
		err = dump_read(t);
		if (err != 1)
			continue;
		part_end(t, !t->was_interrupted);
		if (!t->wanted || t->was_interrupted) {
			dump_end(t);
			return true;
		}
		err = part_begin(t);
	}
	if (err && err != -EAGAIN)
		dump_failed(t, err);
	return !t->reading;
}

static void dump_begin(struct route_table *t, struct mtime now)
{
	/* Notifications have their turn after the dump. */
	loop_fd_mod(t->loop, mnl_socket_get_fd(t->events), 0);
	t->started = now;
	t->was_interrupted = false;
	dump_go(t);
}

/* Does what is due, and sees to it that the rest will be done. */
static void go_on(struct route_table *t, struct mtime now)
{
	struct mtime due_telling, due_dump;

	if (t->store.is_confused)
		t->wanted |= PART_ROUTES;
	t->store.is_confused = false;
	if (!t->reading && t->wanted && !mtime_before(now, next_dump(t)))
		dump_begin(t, now);
	if (t->reading)
		return;
	due_telling = tell(t, now);
	due_dump = next_dump(t);
	loop_timer_set(t->timer, mtime_before(due_dump, due_telling) ? due_dump : due_telling);
}

static void on_events(void *arg, struct mtime now, uint32_t events)
{
	struct route_table *t = arg;

	if (t->reading)
		return;
	if (events_read(t))
		t->is_replaying = false;
	go_on(t, now);
}

static void on_answer(void *arg, struct mtime now, uint32_t events)
{
	struct route_table *t = arg;

	if (t->reading && dump_go(t))
		go_on(t, now);
}

static void on_timer(void *arg, struct mtime now)
{
	go_on(arg, now);
}

/* --- the public face -------------------------------------------------------------------------- */

/* The first dump is awaited, so that whoever opens finds everything there. */
static int dump_now(struct route_table *t)
{
	struct pollfd p = { .fd = mnl_socket_get_fd(t->query), .events = POLLIN };

	t->wanted = PART_ALL;
	t->started = loop_clock();
	while (!dump_go(t))
		if (poll(&p, 1, START_WAIT_MS) == 0)
			return -ETIMEDOUT;
	if (t->wanted && !t->store.n)
		return -EIO;
	loop_timer_set(t->timer, next_dump(t)); /* never, or what changed while it was read */
	t->store.has_changed = false;
	t->rules_changed = false;
	return 0;
}

static int sockets_open(struct route_table *t)
{
	static const int groups[] = {
		RTNLGRP_LINK,	   RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV4_RULE, RTNLGRP_NEXTHOP,
	};
	int err = rtnl_events_open(&t->events, groups, sizeof(groups) / sizeof(groups[0])), fd;

	if (!err)
		err = rtnl_query_open(&t->query);
	if (err)
		return err;
	fd = mnl_socket_get_fd(t->query);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		return -errno;
	err = loop_fd_add(t->loop, mnl_socket_get_fd(t->events), EPOLLIN, on_events, t);
	return err ? err : loop_fd_add(t->loop, fd, EPOLLIN, on_answer, t);
}

int route_open(struct route_table **out, struct loop *l, route_fn fn, void *arg)
{
	struct route_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	routestore_init(&t->store, ROUTE_MAX);
	err = loop_timer_new(l, &t->timer, on_timer, t);
	/* Subscribed before the dump: nothing can change in between unnoticed. */
	if (!err)
		err = sockets_open(t);
	if (!err)
		err = dump_now(t);
	if (err) {
		route_close(t);
		return err;
	}
	*out = t;
	return 0;
}

static void socket_close(struct route_table *t, struct mnl_socket *s)
{
	if (!s)
		return;
	loop_fd_del(t->loop, mnl_socket_get_fd(s));
	mnl_socket_close(s);
}

void route_close(struct route_table *t)
{
	if (!t)
		return;
	socket_close(t, t->events);
	socket_close(t, t->query);
	loop_timer_free(t->timer);
	nexthops_fini(&t->objects);
	routestore_fini(&t->store);
	free(t);
}

struct fib_view route_view(const struct route_table *t)
{
	return (struct fib_view){
		.routes = t->store.routes,
		.hops = t->store.hops,
		.rules = t->rules,
		.n_routes = t->store.n,
		.n_hops = t->store.n_hops,
		.n_rules = t->n_rules,
	};
}

struct route_counts route_counts(const struct route_table *t)
{
	struct route_counts c = t->counts;

	c.refused += t->store.refused + t->objects.refused;
	return c;
}
