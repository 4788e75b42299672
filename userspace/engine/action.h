/* SPDX-License-Identifier: MIT */
/*
 * What protocol engines ask of the world: a list of small records without pointers, which may be
 * copied to another process as bytes. An engine never does anything itself; one place in the daemon
 * reads the list and makes effects of it.
 *
 * The list has a fixed capacity. Its user empties it after each call of an engine, so that each
 * call finds all of it free. An engine that has more to say than fits keeps the rest and is due at
 * once (its next() is the present).
 *
 * A port is an index into the table of interfaces that the daemon keeps for its engines, never an
 * ifindex: it stays the same when an interface is deleted and made again. A packet that is to go
 * by the kernel's routes has PORT_NONE.
 */
#pragma once

#include "base/bytes.h"
#include "base/ip4.h"
#include "base/portset.h"

#define ACTIONS_MAX   256
#define ACTIONS_BYTES 16384 /* of all packets in one list; more than any MTU that is supported */

enum act_kind {
	ACT_SEND,   /* an IP packet */
	ACT_JOIN,   /* own memberships, which the kernel reports; two joins take two leaves */
	ACT_LEAVE,
	ACT_WANT,   /* somebody behind the port wants this traffic */
	ACT_UNWANT, /* takes back exactly what was wanted */
	ACT_ROUTE,  /* how a tree goes through this router, in place of what was said of sg */
	ACT_UNROUTE,
	ACT_FORWARD, /* an IP packet that came in another one, out of several ports, TTL one less */
	ACT_EVENT,  /* for subscribers and the log */
};

/* Of a membership or a wish: traffic that is wanted, or, of a wanted (*,G), what is not. */
enum want_mode { WANT_INCLUDE, WANT_EXCLUDE };

enum event_kind {
	EVENT_IGMP_JOIN,      /* port, sg, peer = last reporter: the first host wants this */
	EVENT_IGMP_LEAVE,     /* port, sg: nobody does any more */
	EVENT_IGMP_QUERIER,   /* port, peer = who asks from now on, is_self */
	EVENT_IGMP_VERSION,   /* port, peer, value = version of a query that is not the port's */
	EVENT_IGMP_LIMIT,     /* port, sg, value = what the limit is; at most one a minute a port */
	EVENT_IGMP_NO_QUERIER, /* port: nobody has asked for twice the query interval */
	EVENT_PIM_NEIGHBOR, /* port, peer, value = 1 came, 0 went */
	EVENT_PIM_DR,	    /* port, peer = who is, is_self */
	EVENT_PIM_RP,	    /* sg.group, peer = its RP from now on, 0 = none, is_self */
	EVENT_PIM_BSR,	    /* peer = the elected BSR, 0 = none, is_self */
	EVENT_PIM_ASSERT,   /* port, sg, peer = who forwards here, is_self */
	EVENT_PIM_LIMIT,    /* sg, value = what the limit is; at most one a minute */
};

struct act_send {
	struct ip4 source, dst;
	uint8_t protocol, ttl;
	bool has_router_alert;
	uint16_t off, len; /* what follows the IP header, in the list's bytes */
};

struct act_member {
	struct sg sg;
	enum want_mode mode;
};

/*
 * Packets of sg that come in at `iif` go out of every port of `joined` (routers wait there) and of
 * `local` (hosts do), and to `register_to` in Registers from `register_from` when it is not 0.
 * With iif PORT_NONE they come in Registers only. Before `is_spt` the engine waits for the first
 * packet on the shortest path and wants to hear of it at once.
 */
struct act_route {
	struct sg sg;
	uint32_t iif;
	bool is_spt;
	struct ip4 register_to, register_from;
	struct portset joined, local;
};

struct act_forward {
	struct portset ports;
	uint16_t off, len; /* IP header and all, as it came, in the list's bytes */
};

struct act_event {
	enum event_kind kind;
	struct sg sg;
	struct ip4 peer;
	uint32_t value;
	bool is_self;
};

struct action {
	enum act_kind kind;
	uint32_t port;
	union {
		struct act_send send;     /* ACT_SEND */
		struct act_member member; /* ACT_JOIN, ACT_LEAVE, ACT_WANT, ACT_UNWANT */
		struct act_route route;   /* ACT_ROUTE; of ACT_UNROUTE only sg counts */
		struct act_forward forward; /* ACT_FORWARD */
		struct act_event event;   /* ACT_EVENT */
	};
};

struct actions {
	uint32_t n, n_bytes;
	struct action list[ACTIONS_MAX];
	uint8_t bytes[ACTIONS_BYTES];
};

static inline void actions_clear(struct actions *a)
{
	a->n = 0;
	a->n_bytes = 0;
}

/* Do `n` more records fit, with `bytes` of packets in all? */
static inline bool actions_fit(const struct actions *a, uint32_t n, uint32_t bytes)
{
	return ACTIONS_MAX - a->n >= n && ACTIONS_BYTES - a->n_bytes >= bytes;
}

/* The next record, all zero but for these; NULL when the list is full. */
struct action *actions_add(struct actions *a, enum act_kind kind, uint32_t port);

/* A writer into what is left of the list's bytes; what it has written goes with actions_send(). */
struct wr actions_packet(struct actions *a);

/*
 * ACT_SEND of what `w` has written, with what `head` says; `off` and `len` are filled in. False,
 * and nothing is sent, when the writer has failed or the list is full.
 */
bool actions_send(struct actions *a, uint32_t port, const struct wr *w, struct act_send head);

/* ACT_FORWARD of a copy of `len` bytes. False when the list is full. */
bool actions_forward(struct actions *a, const void *packet, uint16_t len, struct portset ports);

/* False when the list is full. */
bool actions_member(struct actions *a, enum act_kind kind, uint32_t port, struct sg sg,
		    enum want_mode mode);
bool actions_event(struct actions *a, uint32_t port, struct act_event event);
