/* SPDX-License-Identifier: MIT */
/*
 * The daemon: its state (state.h), and who may do what to it:
 *   apply.c      transactions: the only place where an intent becomes an effect
 *   ports.c      ingress interfaces in use: slot, classifier, joins
 *   supervisor.c worker processes: start, watch, end, retire
 *   settle.c     the books of a worker that has ended
 *   datapaths.c  what executes a rule: egress sets, rewrites, the moves of `auto`
 *   merging.c    datagrams merged on receive, where rules run on afpacket
 *   rows.c       counter rows: given out, cooled down, folded
 *   sockets.c    egress sockets that workers get
 *   accounting.c sums and identities
 *   explain.c    why packets are forwarded or not
 *   doctor.c     how the host is set up
 *   router.h     the multicast router, in files of its own
 *   show.c, show_trace.c, commands.c, commands_config.c  what clients see and say
 */
#pragma once

#include "daemon/state.h"

/* apply.c */
int relay_commit(struct relay *r, struct config *next, bool dry_run, cJSON *changes,
		 struct diag *d);
void relay_resolve_interface(struct relay *r, const char *name, bool is_input_too);
void relay_resolve_port(struct relay *r, struct port *p);
int relay_persist(struct relay *r);
int relay_route(struct relay *r, const struct rule *rule, enum rule_origin origin, struct diag *d);
void relay_unroute(struct relay *r, const char *id);
/* Since the route is there, under whichever rules. False when none is in force. */
bool relay_route_seen(const struct relay *r, const char *id, struct route_seen *out);
void relay_clear(struct relay *r, bool stays);
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
void port_listen(struct relay *r, const char *name, bool is_on);
void port_join(struct relay *r, struct live_rule *live);
void port_leave(struct relay *r, struct live_rule *live);

/* datapaths.c */
int datapath_take(struct relay *r, struct live_rule *live, struct diag *d);
int datapath_renew(struct relay *r, struct live_rule *live, struct diag *d);
void datapath_give(struct relay *r, struct live_rule *live);
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

/* merging.c */
int merging_open(struct relay *r); /* 0 or -errno */
void merging_tick(struct relay *r);
void merging_close(struct relay *r);

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
void account_refresh(struct relay *r); /* what programs count, for the sums below */
void account_refresh_rule(struct relay *r, const struct live_rule *live);
void account_row(const struct ledger *ledger, uint32_t row, const uint32_t *output_rows,
		 unsigned n_outputs, struct row_sum *sum);
void account_rule(const struct relay *r, const struct live_rule *live, struct row_sum *sum);
void account_output(const struct relay *r, const struct live_rule *live, unsigned output,
		    struct ledger_output *out);
void account_route(const struct relay *r, const struct live_rule *live, struct route_seen *out);
void account_worker(struct relay *r, const struct worker *w, struct row_sum *sum);
uint64_t account_copy_drops(const struct ledger_output *row);
void account_tick(struct relay *r, struct mtime now);
bool account_identities(struct relay *r, cJSON *list); /* true when all hold */

/* show.c */
int64_t rule_last_seen_ms(const struct mcr_rule_stats *stats); /* ago; −1 = never */
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
