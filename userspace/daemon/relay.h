/* SPDX-License-Identifier: MIT */
/*
 * The daemon's state, and who may do what to it:
 *   apply.c      transactions: the only place where an intent becomes an effect
 *   ports.c      ingress interfaces in use: slot, classifier, joins
 *   supervisor.c worker processes: start, watch, end, retire
 *   settle.c     the books of a worker that has ended
 *   datapaths.c  what executes a rule: egress sets, rewrites, the moves of `auto`
 *   rows.c       counter rows: given out, cooled down, folded
 *   sockets.c    egress sockets that workers get
 *   accounting.c sums and identities
 *   show.c, show_trace.c, commands.c, commands_config.c  what clients see and say
 */
#pragma once

#include <cjson/cJSON.h>

#include "daemon/config.h"
#include "edge/ctlsock.h"
#include "edge/loop.h"
#include "edge/membership.h"
#include "edge/netif.h"
#include "edge/offload.h"
#include "edge/spawn.h"
#include "engine/resolve.h"
#include "mcr/worker.h"
#include "plane/plane.h"

struct job;
struct relay;
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
	unsigned users[MCR_DP__COUNT]; /* rules that have the means of a datapath */
	bool is_attached;
	bool is_refused; /* XDP cannot be had: rules run on afpacket */
	struct plane_attached attached;
	struct worker *workers;
	struct mtime idle_since;
	/* what was let in for workers before this daemon's first one: not theirs to account for */
	uint64_t earlier_frames, earlier_skbs;
	uint64_t pps;	       /* in the last second, over its rules */
	uint64_t moved_frames; /* that were in a worker's ring when their rule left it for xdp */
};

/* --- rules -------------------------------------------------------------------------------------
 */

struct live_rule {
	const struct rule *rule;  /* in relay->config */
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
	bool is_replicable;	       /* has a set and rewrites: may run on xdp at any time */
	char datapath_reason[RESOLVE_REASON];
	char replicable_reason[RESOLVE_REASON]; /* why not */
	uint32_t egress_set;			/* when is_replicable */
	unsigned worker_ticks;			/* that a worker has been wanted, or not, in a row */
	uint64_t last_flows;
	struct port *port;
	uint32_t row;
	uint32_t *output_rows;	/* n_outputs */
	uint32_t *rewritten;	/* n_outputs: ifindexes that the map `rewrites` has, 0 = none */
	uint32_t (*sockets)[2]; /* n_outputs: names, for DF clear and set */
	uint64_t last_packets, last_bytes, last_sent, last_drops; /* sampled each second */
	uint64_t pps, bps;
	uint32_t generation;	    /* of the transaction that set it */
	uint32_t trace_every;	    /* 0 = not traced; forgotten when the rule changes */
	struct live_rule *next;	    /* in its bucket of relay.live */
	struct live_rule *next_key; /* in its bucket of relay.by_key */
};

#define LIVE_BUCKETS 16384

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
	struct ctlsock *ctl, *ctl_ro;
	struct offload *offload;
	struct job *jobs, *present_job; /* large requests: those that wait, and the one under way */
	struct config *config;		/* running */
	struct port ports[MCR_MAX_IFACES];
	struct ip4 locals[MCR_MAX_LOCAL]; /* this host's addresses, as the loop guard has them */
	unsigned n_locals;
	struct live_rule *live[LIVE_BUCKETS];	/* by id */
	struct live_rule *by_key[LIVE_BUCKETS]; /* programmed ones by key, the newest first */
	size_t n_live;
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

/* apply.c */
int relay_commit(struct relay *r, struct config *next, bool dry_run, cJSON *changes,
		 struct diag *d);
void relay_resolve_interface(struct relay *r, const char *name, bool is_input_too);
void relay_resolve_port(struct relay *r, struct port *p);
int relay_persist(struct relay *r);
void relay_clear(struct relay *r);
bool relay_leave(struct relay *r); /* false: nothing runs in the kernel, so nothing need stay */
int relay_program_map(struct relay *r, struct live_rule *live, struct diag *d);
struct live_rule *relay_find(const struct relay *r, const char *id);
struct live_rule *relay_next(const struct relay *r, const struct live_rule *after);
const char *rule_summary(const struct rule *rule, char *buf, size_t cap);

/* ports.c */
struct port *port_get(struct relay *r, const char *name); /* one more rule; NULL when no slot */
void port_put(struct port *p);				  /* one less */
struct port *port_find(struct relay *r, const char *name);
bool port_view_of(const void *relay, const char *name, struct port_view *out);
bool port_has_xdp(struct relay *r, struct port *p, bool generic_is_fine);
bool port_uses_ifindex(const void *relay, uint32_t ifindex);
void port_use(struct relay *r, struct port *p, enum mcr_datapath kind);
void port_unuse(struct relay *r, struct port *p, enum mcr_datapath kind);
void port_interface(struct relay *r, struct port *p, const struct netif *ni, bool gone);
void port_tick(struct relay *r, struct port *p, struct mtime now);
void port_join(struct relay *r, struct live_rule *live);
void port_leave(struct relay *r, struct live_rule *live);

/* datapaths.c */
int datapath_take(struct relay *r, struct live_rule *live, struct diag *d);
int datapath_renew(struct relay *r, struct live_rule *live, struct diag *d);
void datapath_give(struct relay *r, struct live_rule *live);
void datapath_forget(struct relay *r, struct live_rule *live);
void datapaths_tick(struct relay *r);
void datapaths_worker_gone(struct relay *r, const struct worker *w);
void datapaths_worker_ready(struct relay *r, const struct worker *w);
int datapath_trace(struct relay *r, struct live_rule *live, struct diag *d);
const char *datapath_name(enum mcr_datapath dp);

/* supervisor.c */
void workers_ensure(struct relay *r, struct port *p, enum mcr_datapath kind);
void workers_retire(struct relay *r, struct port *p, enum mcr_datapath kind);
void workers_stop_all(struct relay *r);
void workers_levels(struct relay *r);
void workers_sockets_tick(struct relay *r, struct mtime now);
void worker_tick(struct worker *w, struct mtime now);
void workers_rule(struct relay *r, const struct live_rule *live, bool is_gone);
struct worker *worker_next(struct relay *r, const struct worker *after);
const char *worker_status_name(enum worker_status s);
void workers_count(struct relay *r, unsigned *total, unsigned *ready);
bool workers_are_ready(const struct port *p, enum mcr_datapath kind);

/* settle.c */
void worker_settle(struct worker *w);

/* rows.c */
int rows_init(struct relay *r);
void rows_inherit(struct relay *r); /* what an earlier process has counted, to be folded */
void rows_fini(struct relay *r);
int rows_take(struct relay *r, struct live_rule *live, unsigned n_outputs, struct diag *d);
void rows_cool(struct relay *r, struct live_rule *live);
void rows_tick(struct relay *r);

/* sockets.c */
uint32_t sockets_name(struct relay *r, const struct resolved_output *o, bool df);
void sockets_unuse(struct relay *r, uint32_t name);
int sockets_open(const struct relay *r, uint32_t name);
int sockets_open_xsk(uint32_t frames, int *memory);
int sockets_open_packet(uint32_t ifindex, int filter);
void sockets_close_packet(int fd);
int sockets_claim(const struct rule *rule, uint32_t ifindex);
int sockets_join_fanout(int fd, int sibling);
void sockets_interface_gone(struct relay *r, uint32_t ifindex);
int sockets_open_ring(struct io_uring_params *p);

/* accounting.c */
void account_refresh(struct relay *r); /* reads what programs count; the sums below are as of it */
void account_row(const struct ledger *ledger, uint32_t row, const uint32_t *output_rows,
		 unsigned n_outputs, struct row_sum *sum);
void account_rule(const struct relay *r, const struct live_rule *live, struct row_sum *sum);
void account_output(const struct relay *r, const struct live_rule *live, unsigned output,
		    struct ledger_output *out);
void account_worker(struct relay *r, const struct worker *w, struct row_sum *sum);
uint64_t account_copy_drops(const struct ledger_output *row);
void account_tick(struct relay *r, struct mtime now);
bool account_identities(struct relay *r, cJSON *list); /* true when all hold */

/* show.c */
cJSON *show_rule(struct relay *r, const struct live_rule *live, bool with_counters);
cJSON *show_workers(struct relay *r, bool with_counters);
cJSON *show_interfaces(struct relay *r);
cJSON *show_explanation(struct relay *r, const struct live_rule *live);
cJSON *show_trace(const struct live_rule *live);
cJSON *show_log(uint64_t since);
void show_status(struct relay *r, cJSON *reply);

/* request.c */
void requests_line(void *relay, struct mtime now, struct ctl_client *c, const char *line,
		   size_t len);
void requests_drop(struct relay *r);
