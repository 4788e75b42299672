/* SPDX-License-Identifier: MIT */
/*
 * The multicast router: engines that are told what happens, and one place that does what they ask
 * for. It is there only while the configuration wants it.
 *   router.c       the table of ports, time, what engines ask for
 *   router_igmp.c  IGMP: its engine and its sockets
 *   router_host.c  what this host joins itself
 *   router_mroute.c  the multicast routing table, and the rules that come of it
 *   router_data.c  what the data path tells, and routes of sources that come of it
 *   explain_router.c  why it forwards, or does not
 *   show_router.c  what clients see of it
 * Each call of an engine is made with router_begin() and followed by router_end().
 */
#pragma once

#include "daemon/relay.h"
#include "edge/igmpsock.h"
#include "edge/route.h"
#include "engine/explain.h"
#include "engine/igmp.h"
#include "engine/mrib.h"
#include "engine/rpf.h"

#define ROUTER_PORTS_MAX 512
#define ROUTER_NO_PORT	 UINT32_MAX

struct router;

/* An interface, by the number that engines know it by: its place in the table, for good. */
struct router_port {
	struct router *router;
	char name[IFNAME_LEN]; /* "" = from here on there are none */
	uint32_t ifindex;      /* 0 = it is not there */
	bool has_igmp;	       /* IGMP is on there */
	bool has_sources;      /* is one of source_interfaces */
	struct igmpsock *igmp; /* NULL = not open: */
	int igmp_error;	       /* why, −errno */
	uint64_t igmp_unreadable; /* no IP packets, or fragments */
	uint64_t igmp_lost;	  /* by sockets that are closed */
};

struct router {
	struct relay *relay;
	struct loop_timer *timer;
	struct router_port ports[ROUTER_PORTS_MAX];
	struct igmp *igmp;
	void *igmp_memory;
	struct membership *joins; /* of our own, apart from those of rules */
	uint64_t join_failures;
	uint32_t upstream; /* port of the proxy's; ROUTER_NO_PORT = there is no proxy */
	struct config_igmp igmp_config; /* what the engine was told last */
	struct mrib *mrib;
	struct rpf *rpf;
	void *mroute_memory;
	struct route_table *unicast;
	uint64_t rpf_seen;	  /* generation that inputs are of */
	uint32_t any_source_port; /* where (*,G) comes in; MRIB_NO_PORT = nowhere */
	uint64_t route_failures;
	uint64_t host_sources_refused; /* not forwarded upstream: no room */
	struct mtime age; /* when the next look at sources that are silent is due */
	struct mtime retry; /* when routes that could not be put in force are tried again */
	struct actions actions;
};

/* router.c */
void router_follow(struct relay *r); /* the configuration has changed */
void router_interface(struct relay *r, const struct netif *ni, bool gone);
void router_free(struct relay *r);
uint32_t router_port_get(struct router *rt, const char *name); /* ROUTER_NO_PORT: no room */
struct actions *router_begin(struct router *rt);
void router_end(struct router *rt);

/* router_igmp.c */
int router_igmp_open(struct router *rt);
void router_igmp_close(struct router *rt);
void router_igmp_follow(struct router *rt, const struct config_igmp *next);
uint64_t router_igmp_lost(const struct router_port *p); /* packets, by its sockets */
void router_igmp_interface(struct router *rt, struct router_port *p, const struct netif *ni);

/* router_host.c: this host's own memberships, which the kernel reports */
void router_host_join(struct router *rt, uint32_t port, const struct act_member *m, bool is_on);
/* Whether what is routed from this interface is joined there by the above, not by its rules. */
bool router_host_is_on(const struct relay *r, const char *interface);
void router_host_follow(struct router *rt); /* which interface that is has changed */

/* router_mroute.c */
int router_mroute_open(struct router *rt);
void router_mroute_close(struct router *rt);
void router_mroute_follow(struct router *rt, const struct config_igmp *next);
void router_mroute_interface(struct router *rt, const struct router_port *p,
			     const struct netif *ni);
void router_mroute_want(struct router *rt, uint32_t port, const struct act_member *m, bool is_on);
void router_mroute_settle(struct router *rt);
void router_mroute_tick(struct router *rt, struct mtime now);
/* Where traffic of a source comes in, if it is routed there. */
bool router_mroute_rpf(const struct router *rt, struct sg sg, struct rpf_answer *out);

bool router_mroute_is_wanted(const struct router *rt, struct ip4 group); /* of any source */

/* router_data.c */
int router_data_open(struct router *rt);
void router_data_close(struct router *rt);
void router_data_tick(struct router *rt, struct mtime now);
void router_data_upstream_gone(struct router *rt, uint32_t port);
/*
 * The data path has met frames of sg at a port, `packets` of them with `bytes` of payload since it
 * told the same last: not all of them where it tells of too many.
 */
void router_punt(struct router *rt, uint32_t port, struct sg sg, enum mcr_punt_kind kind,
		 uint64_t packets, uint64_t bytes);

/* explain_router.c */
#define EXPLAIN_PORTS_MAX ROUTER_PORTS_MAX
void explain_router(const struct router *rt, struct explain_facts *f, struct explain_port *ports);
void explain_router_input(const struct router *rt, struct explain_facts *f);

/* show_router.c */
void show_mroute(const struct relay *r, cJSON *reply);
cJSON *show_rpf(const struct relay *r, struct ip4 source);
cJSON *show_igmp_groups(const struct relay *r);
void show_igmp_interfaces(const struct relay *r, cJSON *reply);
