/* SPDX-License-Identifier: MIT */
/* What main keeps of itself: workers, interfaces, rules, rows, sockets, and the whole. */
#pragma once

#include <cjson/cJSON.h>

#include "daemon/config.h"
#include "edge/ctlsock.h"
#include "edge/ethtool.h"
#include "edge/loop.h"
#include "edge/membership.h"
#include "edge/netif.h"
#include "edge/notify.h"
#include "edge/offload.h"
#include "edge/spawn.h"
#include "engine/resolve.h"
#include "mcr/worker.h"
#include "plane/plane.h"

struct job;
struct relay;
struct router;
struct port;

/* Copies and datagrams, summed over rows. */
struct row_sum {
	uint64_t packets, bytes; /* matched */
	uint64_t owed;		 /* packets × outputs, over the rules */
	struct ledger_output copies;
};

/* --- workers ---------------------------------------------------------------------------------- */

enum worker_status {
	WORKER_IDLE,	 /* no process */
	WORKER_STARTING, /* spawned, not READY yet */
	WORKER_RUNNING,
	WORKER_BACKOFF,	 /* will be started again */
	WORKER_DEGRADED, /* crashed too often; tried again after a long pause */
	WORKER_ENDING,	 /* told to end for good; the kernel may take a while */
};

struct worker {
	struct relay *relay;
	struct port *port;
	enum mcr_datapath kind;
	unsigned index; /* among the port's workers of this kind … */
	unsigned n;	/* … which are so many */
	int core;	/* −1 = not pinned */
	unsigned n_queues;
	uint16_t queues[WORKER_QUEUES_MAX];
	uint32_t frames; /* packet buffers of each queue */
	enum worker_status status;
	struct child child;
	int ingress[WORKER_QUEUES_MAX]; /* our ends of its receive sockets; a packet socket stays
					   when the process dies */
	int memory[WORKER_QUEUES_MAX];	/* of their packet buffers, until handed over */
	int ring_fd;			/* the io_uring that it sends by, −1 = none */
	struct io_uring_params ring;
	int ledger_fd;
	struct ledger *ledger;	   /* outlives the process: counters go on */
	struct ledger_totals base; /* kernel drops counted before this process */
	struct row_sum carried;	   /* what rows had counted that are used again since */
	uint64_t sent;		/* messages to all processes of this worker, as ledger->applied */
	bool is_deaf;		/* this one takes none, and is to end */
	struct mtime caught_up; /* when everything sent was last seen in force */
	uint8_t has_socket[WORKER_OUTPUTS / 8]; /* names the process knows */
	int *egress; /* its egress sockets by name, for the next process; −1 = not opened */
	uint32_t n_egress;
	struct loop_timer *timer; /* READY deadline, or the end of the backoff */
	struct mtime started, ready;
	int64_t backoff_ms;
	unsigned restarts;
	unsigned crashes; /* in the present window */
	struct mtime window;
	struct {
		uint64_t dequeued, sent;
	} last_stats; /* for the rates in the [STATS:…] lines */
	struct worker *next;
};

/* --- ingress interfaces ------------------------------------------------------------------------
 */

struct port {
	char name[IFNAME_LEN]; /* "" = slot free */
	uint32_t slot;
	uint32_t ifindex;  /* as known to the programs; 0 = none */
	unsigned n_rules;  /* that name it, active or not */
	unsigned users[MCR_DP__COUNT]; /* who has the means of a datapath: rules, and routing */
	bool is_attached;
	bool is_refused; /* XDP cannot be had: rules run on afpacket */
	bool is_held;	 /* … because of somebody else's program */
	bool is_listening; /* multicast is routed there: main is told of what no rule knows … */
	enum mcr_datapath listens_by; /* … by the XDP program or a packet socket; 0 = not yet */
	uint32_t tells; /* which of them, as the programs know it */
	struct plane_attached attached;
	struct worker *workers;
	struct mtime idle_since;
	/* what was let in for workers before this daemon's first one: not theirs to account for */
	uint64_t earlier_frames, earlier_skbs;
	uint64_t pps;	       /* in the last second, over its rules */
	uint64_t moved_frames; /* that were in a worker's ring when their rule left it for xdp */
	uint32_t merging_ifindex; /* whose merging has been seen to, 0 = none */
};

/* An interface on which we have switched merging on. */
struct merging {
	uint32_t ifindex;
	char name[IFNAME_LEN];
};

/* --- rules -------------------------------------------------------------------------------------
 */

/* Who made a rule. */
enum rule_origin { ORIGIN_STATIC, ORIGIN_IGMP, ORIGIN_PIM, ORIGIN_MROUTE };

/* What has come of a multicast route, or of another rule. */
struct route_seen {
	uint64_t packets, bytes; /* matched, to be forwarded */
	uint64_t pruned, wrong_iif;
	struct mtime last; /* when the last one came; 0 = none has */
	uint64_t pps;
};

struct live_rule {
	const struct rule *rule;  /* in relay->config; of another origin: its own */
	enum rule_origin origin;
	struct resolved_rule now; /* what is in force; owns its outputs */
	bool is_programmed;	  /* in the maps and in the workers */
	bool is_joined;
	uint32_t joined_ifindex;
	int join_error; /* 0 or −errno */
	bool is_claimed;
	int claim; /* socket that holds a unicast input, when is_claimed */
	enum mcr_datapath datapath;    /* in force: what the maps say */
	enum mcr_datapath worker_kind; /* workers that know the rule, 0 = none */
	bool uses_worker;	       /* they are there for it */
	bool is_dropping;	       /* the classifier is there for it, to drop what it matches */
	bool is_replicable;	       /* has a set and rewrites: may run on xdp at any time */
	char datapath_reason[RESOLVE_REASON];
	char replicable_reason[RESOLVE_REASON]; /* why not */
	uint32_t egress_set;			/* when is_replicable */
	unsigned worker_ticks; /* seconds that something else has been wanted */
	uint64_t last_flows;
	struct port *port;
	uint32_t row;
	uint32_t *output_rows;	/* n_outputs */
	uint32_t *rewritten;	/* n_outputs: ifindexes that the map `rewrites` has, 0 = none */
	uint32_t (*sockets)[2]; /* n_outputs: names, for DF clear and set */
	uint64_t last_packets, last_bytes, last_sent, last_drops; /* sampled each second */
	uint64_t pps, bps;
	struct route_seen before;   /* of a route: what its earlier rules have counted */
	uint32_t generation;	    /* of the transaction that set it */
	uint32_t trace_every;	    /* 0 = not traced; forgotten when the rule changes */
	struct live_rule *next;	    /* in its bucket of relay.live */
	struct live_rule *next_key; /* in its bucket of relay.by_key */
};

#define LIVE_BUCKETS 16384

/* Rules of multicast routes: beside them there is room for all configured ones, twice. */
#define ROUTED_MAX (MCR_MAX_RULES - 2 * RULE_MAX)

/* --- counter rows ------------------------------------------------------------------------------
 */

struct row_pool {
	uint32_t *free, n_free, cap;
	uint32_t high; /* none from here on has ever been given out */
};

/* Rows of a rule that has gone, waiting until no worker can write them any more. */
struct cooling {
	struct port *port;
	uint32_t row, slot, n_outputs;
	uint32_t *output_rows, *rewritten;
	struct mtime since;
	struct cooling *next;
};

/* --- egress sockets ----------------------------------------------------------------------------
 */

struct egress_socket {
	uint8_t kind; /* enum egress_kind */
	uint8_t df;
	uint32_t ifindex;
	struct ip4 source; /* bound to, 0 = none */
	bool is_dead;	   /* its interface has gone; another one may get the number */
	uint32_t users;
	enum { SOCKET_FREE, SOCKET_NAMED, SOCKET_LEAVING } state;
	struct mtime idle_since; /* first seen without users, or leaving */
};

/* --- the whole ---------------------------------------------------------------------------------
 */

struct relay_paths {
	char config[256], socket[108], socket_ro[108], state_dir[256], pins[256];
};

struct relay {
	struct relay_paths paths;
	char instance[32];
	struct loop *loop;
	struct netif_table *netifs;
	struct plane *plane;
	struct membership *joins;
	struct notify_kept kept; /* joins of the process before, until this one has its own */
	struct ctlsock *ctl, *ctl_ro;
	struct offload *offload;
	struct router *router; /* NULL = none is wanted */
	struct job *jobs, *present_job; /* large requests: those that wait, and the one under way */
	struct config *config;		/* running */
	struct port ports[MCR_MAX_IFACES];
	struct ethtool ethtool;
	struct merging merging[MCR_MAX_IFACES];
	unsigned n_merging;
	struct ip4 locals[MCR_MAX_LOCAL]; /* this host's addresses, as the loop guard has them */
	unsigned n_locals;
	struct live_rule *live[LIVE_BUCKETS];	/* by id */
	struct live_rule *by_key[LIVE_BUCKETS]; /* programmed ones by key, the newest first */
	size_t n_live, n_routed;		/* of them, those of multicast routes */
	struct row_pool rule_rows, output_rows;
	struct mcr_rule_stats *rule_stats;     /* by row, as of account_refresh */
	struct mcr_output_stats *output_stats;
	struct cooling *cooling;
	struct egress_socket *sockets;
	uint32_t n_sockets;
	unsigned n_claims;
	bool routes_segment; /* no device here segments in software without a queue */
	uint32_t generation;
	struct loop_timer *tick; /* once a second */
	struct mtime started, next_stats;
	uint64_t pps, cps, dps; /* datagrams, copies, dropped copies in the last second */
	bool is_persisted;
	bool takes_all; /* when it ends, nothing stays in the kernel */
	bool is_ready; /* what shall run does: from here on what the kernel has is ours */
	char persist_error[160];
	char state_note[256]; /* why the saved state was not used, "" = nothing */
};
