/* SPDX-License-Identifier: MIT */
/*
 * The multicast router: engines that are told what happens, and one place that does what they ask
 * for. It is there only while the configuration wants it.
 *   router.c       the table of ports, time, what engines ask for
 *   router_igmp.c  IGMP: its engine and its sockets
 *   router_host.c  what this host joins itself
 *   router_pim.c   PIM: its engine and its sockets
 *   router_pim_route.c  what PIM says of routes, and packets that came in Registers
 *   router_mroute.c  the multicast routing table, and the rules that come of it
 *   router_static.c  static routes
 *   router_remember.c  routes of a daemon before this one
 *   router_data.c  what the data path tells, and routes of sources that come of it
 *   explain_router.c  why it forwards, or does not
 *   show_router.c, show_pim.c  what clients see of it
 * Each call of IGMP's engine is made with router_begin() and followed by router_end().
 */
#pragma once

#include "daemon/relay.h"
#include "edge/igmpsock.h"
#include "edge/pimsock.h"
#include "edge/route.h"
#include "engine/explain.h"
#include "engine/igmp.h"
#include "engine/mrib.h"
#include "engine/pim.h"
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
	bool has_pim;	       /* is one of PIM's interfaces */
	bool is_pim_passive;
	uint32_t pim_joined; /* the ifindex where the group of all PIM routers is joined, or 0: */
	int pim_error;	     /* why, −errno */
	uint32_t pim_promiscuous; /* the ifindex where all groups are taken off the link, or 0 */
	bool has_mroutes;      /* is in static routes */
	struct igmpsock *igmp; /* NULL = not open: */
	int igmp_error;	       /* why, −errno */
	uint64_t igmp_unreadable; /* no IP packets, or fragments */
	uint64_t igmp_lost;	  /* by sockets that are closed */
};

/* Is multicast routed there? */
static inline bool router_port_routes(const struct router_port *p)
{
	return p->has_igmp || p->has_sources || p->has_pim || p->has_mroutes;
}

struct router {
	struct relay *relay;
	struct loop_timer *timer;
	int tx; /* all that is sent goes by it */
	struct router_port ports[ROUTER_PORTS_MAX];
	struct igmp *igmp;
	void *igmp_memory;
	struct membership *joins; /* of our own, apart from those of rules */
	uint64_t join_failures;
	uint32_t upstream; /* port of the proxy's; ROUTER_NO_PORT = there is no proxy */
	struct config_igmp igmp_config; /* what the engine was told last */
	struct pim *pim; /* NULL = not wanted */
	void *pim_memory;
	struct pimsock *pimsock;
	struct config_pim pim_config;	     /* what it was told last … */
	struct pim_config pim_engine_config; /* … and what the engine made of it */
	cJSON *pim_gen_ids; /* Generation IDs of the daemon before this one, by interface */
	bool pim_is_unsaved;
	uint64_t pim_unreadable, pim_forwarded, pim_unforwarded;
	struct actions pim_actions;
	struct config_mroutes mroutes; /* static ones that are in the table */
	struct mrib *mrib;
	struct rpf *rpf;
	void *mroute_memory;
	struct route_table *unicast;
	uint64_t rpf_seen;	  /* generation that inputs are of */
	uint32_t any_source_port; /* where (*,G) comes in; MRIB_NO_PORT = nowhere */
	uint64_t route_failures;
	uint64_t host_sources_refused; /* not forwarded upstream: no room */
	struct mtime age; /* when the next look at sources that are silent is due */
	bool is_settled;	/* has followed a configuration: what was before is known */
	struct mtime forget_at; /* when what is remembered ends */
	struct mtime retry; /* when routes that could not be put in force are tried again */
	struct actions actions;
};

/* router.c */
void router_follow(struct relay *r); /* the configuration has changed */
void router_interface(struct relay *r, const struct netif *ni, bool gone);
/* `stays`: the data path goes on as it is, and nobody is to notice that this router ends. */
void router_free(struct relay *r, bool stays);
void router_tick(struct relay *r); /* once a second */
uint32_t router_port_get(struct router *rt, const char *name); /* ROUTER_NO_PORT: no room */
uint32_t router_port_by_ifindex(const struct router *rt, uint32_t ifindex); /* or ROUTER_NO_PORT */
uint32_t router_port_find(const struct router *rt, const char *name);	    /* the same */
struct actions *router_begin(struct router *rt);
void router_end(struct router *rt);
void router_do(struct router *rt, const struct actions *list); /* what an engine asks for */
void router_settle(struct router *rt); /* what has changed comes into force */

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

/* router_pim.c */
bool router_pim_is_wanted(const struct config_pim *pim);
void router_pim_follow(struct router *rt, const struct config_pim *next);
void router_pim_close(struct router *rt, bool stays);
void router_pim_interface(struct router *rt, struct router_port *p, const struct netif *ni);
void router_pim_addresses(struct router *rt);
void router_pim_want(struct router *rt, uint32_t port, const struct act_member *m, bool is_on);
void router_pim_data(struct router *rt, const struct pim_data *data);
void router_pim_rpf_changed(struct router *rt);
void router_pim_tick(struct router *rt, struct mtime now);
void router_pim_save(struct router *rt);
struct mtime router_pim_next(const struct router *rt);

/* router_pim_route.c */
void router_pim_route(struct router *rt, const struct act_route *route, bool is_there);
/* Which sources go on sending; when to look again. */
struct mtime router_pim_look(struct router *rt, struct mtime now);
void router_pim_forward(struct router *rt, const struct act_forward *f, const uint8_t *packet);

/* router_remember.c */
void router_remember(struct router *rt, const struct config *next);
void router_remember_tick(struct router *rt, struct mtime now);

/* router_mroute.c */
int router_mroute_open(struct router *rt);
void router_mroute_close(struct router *rt, bool stays);
void router_mroute_follow(struct router *rt, const struct config_igmp *next);
void router_mroute_handover(struct router *rt); /* between IGMP alone and PIM */
void router_mroute_interface(struct router *rt, const struct router_port *p,
			     const struct netif *ni);
void router_mroute_want(struct router *rt, uint32_t port, const struct act_member *m, bool is_on);
void router_mroute_settle(struct router *rt);
void router_mroute_tick(struct router *rt, struct mtime now);
/* Where traffic of a source comes in, if it is routed there. */
bool router_mroute_rpf(const struct router *rt, struct sg sg, struct rpf_answer *out);

/* Of any source; where a static route says where that comes in, sources get none of their own. */
bool router_mroute_is_wanted(const struct router *rt, struct ip4 group);

/* router_static.c */
void router_static_follow(struct router *rt, const struct config_mroutes *next);

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

/* show_pim.c */
void show_address(cJSON *o, const char *key, struct ip4 addr); /* "" = 0 */
/* How long until then; left out when it never comes. */
void show_seconds(cJSON *o, const char *key, struct mtime at, struct mtime now);
cJSON *show_pim_neighbors(const struct relay *r);
cJSON *show_pim_interfaces(const struct relay *r);
cJSON *show_pim_counters(const struct relay *r);
cJSON *show_pim_rps(const struct relay *r);
cJSON *show_pim_bsr(const struct relay *r);
cJSON *show_pim_joins(const struct relay *r);
