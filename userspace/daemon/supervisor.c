/* SPDX-License-Identifier: MIT */
/*
 * Worker processes. Main opens every socket, hands it over, and keeps a copy of the receive
 * sockets: when a worker dies, its last drop counts are still there to be read, and what it held
 * is counted as `crash`. A worker that was killed is started again at once; one that crashes is
 * given growing pauses, and a long one once its budget is spent.
 */
#include <errno.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/relay.h"
#include "edge/log.h"

#define READY_MS	 5000
#define BACKOFF_MIN_MS	 10
#define BACKOFF_MAX_MS	 5000
#define BACKOFF_RESET_MS 30000 /* a worker that lived so long starts afresh */
#define CRASH_BUDGET	 10    /* crashes in CRASH_WINDOW_MS before the long pause */
#define CRASH_WINDOW_MS	 60000
#define DEGRADED_MS	 60000
#define HEARTBEAT_MS	 3000
#define FRAMES_MAX	 8192 /* packet buffers of one worker, shared out to its queues */
#define FRAMES_MIN	 1024
#define FRAMES_ALL	 65536 /* of all workers: with many, each has fewer */

#define SOCKET_IDLE_MS	  10000 /* an egress socket without users is kept for so long */
#define SOCKET_LEAVING_MS 1500	/* workers have closed theirs by then: ours is the last */
#define SOCKET_CLOSES	  4	/* packet sockets that are closed in a tick */

static void worker_start(struct worker *w);

const char *worker_status_name(enum worker_status s)
{
	static const char *const names[] = { "idle",	   "starting", "running",
					     "restarting", "degraded", "ending" };

	return names[s];
}

struct worker *worker_next(struct relay *r, const struct worker *after)
{
	unsigned slot = after ? after->port->slot + 1 : 0;

	if (after && after->next)
		return after->next;
	for (; slot < MCR_MAX_IFACES; slot++)
		if (r->ports[slot].workers)
			return r->ports[slot].workers;
	return NULL;
}

void workers_count(struct relay *r, unsigned *total, unsigned *ready)
{
	*total = 0;
	*ready = 0;
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w)) {
		*total += w->status != WORKER_IDLE && w->status != WORKER_ENDING;
		*ready += w->status == WORKER_RUNNING;
	}
}

bool workers_are_ready(const struct port *p, enum mcr_datapath kind)
{
	bool is_there = false;

	for (const struct worker *w = p->workers; w; w = w->next) {
		if (w->kind != kind || w->status == WORKER_IDLE)
			continue;
		if (w->status != WORKER_RUNNING)
			return false;
		is_there = true;
	}
	return is_there;
}

/* --- messages ----------------------------------------------------------------------------------
 */

/* A worker that does not take its messages is hung; it is ended and gets them all when it is back.
 */
static void worker_send(struct worker *w, const void *msg, size_t len, const int *fds,
			unsigned n_fds)
{
	int err;

	if (!w->child.pid || w->status == WORKER_ENDING || w->is_deaf)
		return;
	err = channel_send(w->child.channel, msg, len, fds, n_fds);
	if (!err) {
		w->sent++;
	} else {
		w->is_deaf = true;
		log_err(LOG_F_supervisor, "worker %s/%u does not take messages (%s): ended",
			w->port->name, w->index, strerror(-err));
		kill(w->child.pid, SIGKILL);
	}
}

/* The worker's own socket of that name. It stays open here for the process after this one. */
static int worker_egress(struct worker *w, uint32_t name)
{
	uint32_t n = w->relay->n_sockets;

	if (name >= w->n_egress) {
		int *egress = realloc(w->egress, n * sizeof(*egress));

		if (!egress)
			return -ENOMEM;
		w->egress = egress;
		while (w->n_egress < n)
			w->egress[w->n_egress++] = -1;
	}
	if (w->egress[name] < 0)
		w->egress[name] = sockets_open(w->relay, name);
	return w->egress[name];
}

static void worker_send_socket(struct worker *w, uint32_t name)
{
	struct wm_socket m = { { WM_SOCKET, sizeof(m) }, name, 0 };
	int fd;

	if (w->has_socket[name / 8] & 1 << name % 8)
		return;
	fd = worker_egress(w, name);
	if (fd < 0) {
		log_limited(LOG_L_ERR, LOG_F_egress, "cannot open an egress socket: %s",
			    strerror(-fd));
		return; /* its copies are dropped as `down`, and counted */
	}
	w->has_socket[name / 8] |= (uint8_t)(1 << name % 8);
	worker_send(w, &m, sizeof(m), &fd, 1);
}

static void workers_forget_socket(struct relay *r, uint32_t name)
{
	struct wm_socket m = { { WM_SOCKET, sizeof(m) }, name, 1 };

	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w)) {
		if (w->has_socket[name / 8] & 1 << name % 8)
			worker_send(w, &m, sizeof(m), NULL, 0);
		w->has_socket[name / 8] &= (uint8_t) ~(1 << name % 8);
	}
}

static void worker_close_egress(struct worker *w, uint32_t name)
{
	if (name >= w->n_egress || w->egress[name] < 0)
		return;
	close(w->egress[name]);
	w->egress[name] = -1;
}

static void workers_close_socket(struct relay *r, uint32_t name)
{
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		worker_close_egress(w, name);
}

/* Takes leave of sockets that nobody has needed for long: the workers first, because the one who
 * closes last has to wait for the kernel. */
void workers_sockets_tick(struct relay *r, struct mtime now)
{
	unsigned closes = 0;

	for (uint32_t i = 0; i < r->n_sockets; i++) {
		struct egress_socket *s = &r->sockets[i];
		bool is_leaving = s->state == SOCKET_LEAVING;
		int64_t wait_ms = is_leaving ? SOCKET_LEAVING_MS : SOCKET_IDLE_MS;

		if (s->state == SOCKET_FREE || s->users)
			continue;
		if (!s->idle_since.us)
			s->idle_since = now;
		if (mtime_before(now, mtime_add(s->idle_since, mtime_ms(wait_ms))))
			continue;
		if (s->kind == EGRESS_PACKET && is_leaving && closes++ == SOCKET_CLOSES)
			return;
		if (is_leaving)
			workers_close_socket(r, i);
		else
			workers_forget_socket(r, i);
		s->state = is_leaving ? SOCKET_FREE : SOCKET_LEAVING;
		s->idle_since = now;
	}
}

static void worker_send_rule(struct worker *w, const struct live_rule *live, bool is_gone)
{
	static union {
		struct wm_rule m;
		uint8_t bytes[sizeof(struct wm_rule) + MCR_MAX_OUTPUTS * sizeof(struct wm_output)];
	} buf;
	struct wm_rule *m = &buf.m;

	*m = (struct wm_rule){
		.key = live->now.key,
		.rule = live->row,
		.n_outputs = is_gone ? 0 : live->now.n_outputs,
		.is_gone = is_gone,
		.accept_ttl1 = live->rule->accept_ttl1,
		.trace_every = live->trace_every,
	};
	for (unsigned i = 0; i < m->n_outputs; i++) {
		m->outputs[i] = live->now.outputs[i].wire;
		m->outputs[i].output = live->output_rows[i];
		if (live->sockets[i][0] == UINT32_MAX || live->sockets[i][1] == UINT32_MAX) {
			m->outputs[i].is_up = 0; /* unresolved: nothing to send by */
			continue;
		}
		m->outputs[i].socket = live->sockets[i][0];
		m->outputs[i].socket_df = live->sockets[i][1];
		worker_send_socket(w, live->sockets[i][0]);
		worker_send_socket(w, live->sockets[i][1]);
	}
	m->h = (struct wm_header){ WM_RULE,
				   (uint32_t)(sizeof(*m) + m->n_outputs * sizeof(m->outputs[0])) };
	worker_send(w, m, m->h.size, NULL, 0);
}

void workers_rule(struct relay *r, const struct live_rule *live, bool is_gone)
{
	(void)r;
	for (struct worker *w = live->port->workers; w; w = w->next)
		if (w->kind == live->worker_kind && w->child.pid)
			worker_send_rule(w, live, is_gone);
}

static void worker_send_levels(struct worker *w)
{
	struct wm_level m = { .h = { WM_LEVEL, sizeof(m) } };

	for (unsigned f = 0; f < LOG_F__COUNT; f++)
		m.levels[f] = (uint8_t)log_level_of((enum log_facility)f);
	worker_send(w, &m, sizeof(m), NULL, 0);
}

void workers_levels(struct relay *r)
{
	for (struct worker *w = worker_next(r, NULL); w; w = worker_next(r, w))
		if (w->child.pid)
			worker_send_levels(w);
}

/* --- the receive sockets -----------------------------------------------------------------------
 */

/* Buffers of each queue, a power of two: fewer when there are many queues or many workers. */
static uint32_t frames_per_queue(const struct worker *w)
{
	uint32_t frames = FRAMES_MAX;
	unsigned total, ready;

	workers_count(w->relay, &total, &ready);
	while (frames > FRAMES_MIN &&
	       (frames * total > FRAMES_ALL || frames * w->n_queues > FRAMES_MAX))
		frames /= 2;
	return frames;
}

static int worker_open_packet(struct worker *w)
{
	int err = 0,
	    fd = sockets_open_packet(w->port->ifindex, plane_idle_filter_fd(w->relay->plane));

	if (fd < 0)
		return fd;
	w->ingress[0] = fd;
	for (struct worker *o = w->n > 1 ? w->port->workers : NULL; o; o = o->next)
		if (o != w && o->kind == w->kind && o->ingress[0] >= 0)
			return sockets_join_fanout(fd, o->ingress[0]);
	if (w->n > 1)
		err = sockets_join_fanout(fd, -1);
	return err;
}

static int worker_open_ingress(struct worker *w)
{
	if (w->kind == MCR_DP_AFPACKET && w->ingress[0] >= 0)
		return 0;
	w->frames = frames_per_queue(w);
	if (w->kind == MCR_DP_AFPACKET)
		return worker_open_packet(w);
	for (unsigned i = 0; i < w->n_queues; i++) {
		int fd = sockets_open_xsk(w->frames, &w->memory[i]);

		if (fd < 0)
			return fd;
		w->ingress[i] = fd;
	}
	return 0;
}

static void worker_close_memory(struct worker *w)
{
	for (unsigned i = 0; i < w->n_queues; i++) {
		if (w->memory[i] >= 0)
			close(w->memory[i]);
		w->memory[i] = -1;
	}
}

static void worker_close_ingress(struct worker *w)
{
	for (unsigned i = 0; i < w->n_queues; i++) {
		if (w->ingress[i] >= 0 && w->kind == MCR_DP_AFPACKET)
			sockets_close_packet(w->ingress[i]);
		else if (w->ingress[i] >= 0)
			close(w->ingress[i]);
		w->ingress[i] = -1;
	}
}

/* What belongs to one process only, and with `for_good` also what outlives it. */
static void worker_close_sockets(struct worker *w, bool for_good)
{
	worker_close_memory(w);
	if (w->ring_fd >= 0)
		close(w->ring_fd);
	w->ring_fd = -1;
	if (for_good || w->kind == MCR_DP_AFXDP)
		worker_close_ingress(w);
	for (uint32_t name = 0; for_good && name < w->n_egress; name++)
		worker_close_egress(w, name);
}

/* From now on frames come in. */
static int worker_open_gate(struct worker *w)
{
	int filter = plane_packet_filter_fd(w->relay->plane);
	struct diag d;

	for (unsigned i = 0; i < w->n_queues; i++) {
		if (w->kind == MCR_DP_AFXDP) {
			int err = plane_xsk_set(w->relay->plane, w->port->slot, w->queues[i],
						w->ingress[i], &d);

			if (err)
				return err;
		} else if (setsockopt(w->ingress[i], SOL_SOCKET, SO_ATTACH_BPF, &filter,
				      sizeof(filter))) {
			return -errno;
		}
	}
	return 0;
}

/* From now on nothing does; the kernel falls back to passing frames up. */
static void worker_close_gate(struct worker *w)
{
	int filter = plane_idle_filter_fd(w->relay->plane);

	for (unsigned i = 0; i < w->n_queues; i++) {
		if (w->ingress[i] < 0)
			continue;
		if (w->kind == MCR_DP_AFXDP)
			plane_xsk_del(w->relay->plane, w->port->slot, w->queues[i]);
		else
			setsockopt(w->ingress[i], SOL_SOCKET, SO_ATTACH_BPF, &filter,
				   sizeof(filter));
	}
	usleep(500); /* frames that had their verdict before are in the ring by then */
}

/* --- the end of a process ----------------------------------------------------------------------
 */

/* Ends the process, waits for that, and closes its books. */
static void worker_end(struct worker *w, bool for_good)
{
	if (w->child.pid) {
		worker_close_gate(w);
		loop_fd_del(w->relay->loop, w->child.pidfd);
		loop_fd_del(w->relay->loop, w->child.channel);
		spawn_end(&w->child);
		worker_settle(w);
		memset(w->has_socket, 0, sizeof(w->has_socket));
		w->ledger->applied = w->sent;
	}
	worker_close_sockets(w, for_good);
}

/* How long to wait before the next start; 0 budget left means the long pause. */
static int64_t worker_pause(struct worker *w, bool was_killed, struct mtime now)
{
	bool lived = w->status == WORKER_RUNNING &&
		     mtime_before(mtime_add(w->ready, mtime_ms(BACKOFF_RESET_MS)), now);

	/* one that is not ready in time is killed by us */
	bool had_time = mtime_before(mtime_add(w->started, mtime_ms(READY_MS)), now);

	if (was_killed && (w->status == WORKER_RUNNING || !had_time))
		return BACKOFF_MIN_MS; /* somebody's deed, not its own fault */
	if (lived || mtime_before(mtime_add(w->window, mtime_ms(CRASH_WINDOW_MS)), now)) {
		w->crashes = 0;
		w->window = now;
	}
	if (lived || !w->backoff_ms)
		w->backoff_ms = BACKOFF_MIN_MS;
	else if (w->backoff_ms < BACKOFF_MAX_MS)
		w->backoff_ms *= 2;
	return ++w->crashes > CRASH_BUDGET ? DEGRADED_MS : w->backoff_ms;
}

static void on_worker_end(void *arg, struct mtime now, uint32_t events)
{
	struct worker *w = arg;
	siginfo_t si = { 0 };
	int64_t pause_ms;

	(void)events;
	/* leave it to spawn_end to reap */
	waitid(P_PID, (id_t)w->child.pid, &si, WEXITED | WNOHANG | WNOWAIT);
	if (w->status == WORKER_ENDING) {
		worker_end(w, true);
		w->status = WORKER_IDLE;
		if (w->port->users[w->kind]) /* needed again meanwhile */
			workers_ensure(w->relay, w->port, w->kind);
		return;
	}
	log_warning(LOG_F_supervisor, "worker %s/%u (pid %d) has ended: %s %d", w->port->name,
		    w->index, w->child.pid, si.si_code == CLD_EXITED ? "status" : "signal",
		    si.si_status);
	pause_ms = worker_pause(w, si.si_code == CLD_KILLED && si.si_status == SIGKILL, now);
	datapaths_worker_gone(w->relay, w);
	worker_end(w, false);
	w->restarts++;
	w->status = pause_ms == DEGRADED_MS ? WORKER_DEGRADED : WORKER_BACKOFF;
	if (w->status == WORKER_DEGRADED)
		log_err(LOG_F_supervisor,
			"worker %s/%u crashed %u times within a minute; next try "
			"in %d s",
			w->port->name, w->index, w->crashes, DEGRADED_MS / 1000);
	loop_timer_set(w->timer, mtime_add(now, mtime_ms(pause_ms)));
}

/* --- the start ---------------------------------------------------------------------------------
 */

static void on_worker_message(void *arg, struct mtime now, uint32_t events)
{
	struct worker *w = arg;
	struct wm_failed m;
	unsigned n_fds = 0;
	ssize_t len = channel_recv(w->child.channel, &m, sizeof(m), NULL, &n_fds);
	int err;

	(void)events;
	if (len == -EAGAIN)
		return;
	if (len >= (ssize_t)sizeof(m.h) && m.h.kind == WM_READY && w->status == WORKER_STARTING) {
		err = worker_open_gate(w);
		if (!err) {
			w->status = WORKER_RUNNING;
			w->ready = now;
			w->caught_up = now;
			loop_timer_set(w->timer, MTIME_NEVER);
			log_info(LOG_F_supervisor, "worker %s/%u (pid %d, %s) is ready",
				 w->port->name, w->index, w->child.pid, datapath_name(w->kind));
			datapaths_worker_ready(w->relay, w);
			return;
		}
		log_err(LOG_F_supervisor, "worker %s/%u: cannot let frames in: %s", w->port->name,
			w->index, strerror(-err));
	}
	if (len == sizeof(m) && m.h.kind == WM_FAILED)
		log_err(LOG_F_supervisor, "worker %s/%u: %.*s", w->port->name, w->index,
			(int)sizeof(m.what), m.what);
	/* the end of the channel, or nonsense on it: its end is seen by its pidfd */
	loop_fd_mod(w->relay->loop, w->child.channel, 0);
	kill(w->child.pid, SIGKILL);
}

static void on_worker_timer(void *arg, struct mtime now)
{
	struct worker *w = arg;
	char waiting;

	if (w->status == WORKER_STARTING) {
		/* a long transaction may have kept us from what it has said in time */
		if (recv(w->child.channel, &waiting, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
			on_worker_message(w, now, EPOLLIN);
			return;
		}
		log_err(LOG_F_supervisor, "worker %s/%u is not ready after %d ms: ended",
			w->port->name, w->index, READY_MS);
		kill(w->child.pid, SIGKILL);
		return;
	}
	worker_start(w);
}

static void worker_send_all(struct worker *w)
{
	struct wm_header start = { WM_START, sizeof(start) };
	struct wm_setup m = {
		.h = { WM_SETUP, sizeof(m) },
		.ingress = (uint8_t)w->kind,
		.n_queues = (uint16_t)w->n_queues,
		.core = w->core,
		.ifindex = w->port->ifindex,
		.frames = w->frames,
		.has_ring = w->ring_fd >= 0,
		.ring = w->ring,
	};
	int fds[2 * WORKER_QUEUES_MAX + 1] = { w->ledger_fd };
	unsigned n_fds = 1 + w->n_queues;

	snprintf(m.interface, sizeof(m.interface), "%s", w->port->name);
	memcpy(m.queues, w->queues, sizeof(m.queues));
	memcpy(fds + 1, w->ingress, w->n_queues * sizeof(int));
	if (w->kind == MCR_DP_AFXDP) {
		memcpy(fds + n_fds, w->memory, w->n_queues * sizeof(int));
		n_fds += w->n_queues;
	}
	w->sent--; /* the set-up is not counted by the worker */
	worker_send(w, &m, sizeof(m), fds, n_fds);
	worker_close_memory(w);
	worker_send_levels(w);
	for (struct live_rule *live = relay_next(w->relay, NULL); live;
	     live = relay_next(w->relay, live))
		if (live->is_programmed && live->port == w->port && live->worker_kind == w->kind)
			worker_send_rule(w, live, false);
	worker_send(w, &start, sizeof(start), NULL, 0);
}

static int worker_ledger(struct worker *w)
{
	if (w->ledger)
		return 0;
	w->ledger_fd = memfd_create("mcr-ledger", MFD_CLOEXEC);
	if (w->ledger_fd < 0)
		return -errno;
	if (ftruncate(w->ledger_fd, sizeof(struct ledger)))
		return -errno;
	w->ledger = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED,
			 w->ledger_fd, 0);
	if (w->ledger == MAP_FAILED) {
		w->ledger = NULL;
		return -errno;
	}
	return 0;
}

static int worker_spawn(struct worker *w)
{
	const char *const argv[] = { "mcrd", "--role", "worker",
				     log_is_json() ? "--log-json" : NULL, NULL };
	int err = worker_ledger(w);

	if (!err)
		err = worker_open_ingress(w);
	if (!err)
		w->ring_fd = sockets_open_ring(&w->ring); /* without one it sends by sendmsg */
	if (!err)
		err = spawn_role(&w->child, argv, w->ring_fd);
	if (!err)
		err = loop_fd_add(w->relay->loop, w->child.pidfd, EPOLLIN, on_worker_end, w);
	if (!err)
		err = loop_fd_add(w->relay->loop, w->child.channel, EPOLLIN, on_worker_message, w);
	return err;
}

static void worker_start(struct worker *w)
{
	struct mtime now = loop_clock();
	int err;

	w->status = WORKER_STARTING;
	w->is_deaf = false;
	w->started = now;
	err = worker_spawn(w);
	if (err == -ENETDOWN && !w->child.pid) { /* the port tries again when it is up */
		worker_close_sockets(w, true);
		w->status = WORKER_IDLE;
		return;
	}
	if (err) {
		log_err(LOG_F_supervisor, "cannot start worker %s/%u: %s", w->port->name, w->index,
			strerror(-err));
		if (w->child.pid) {
			loop_fd_del(w->relay->loop, w->child.pidfd);
			loop_fd_del(w->relay->loop, w->child.channel);
		}
		spawn_end(&w->child);
		worker_close_sockets(w, true);
		w->status = WORKER_BACKOFF;
		loop_timer_set(w->timer, mtime_add(now, mtime_ms(worker_pause(w, false, now))));
		return;
	}
	w->base = w->ledger->totals;
	w->ledger->undo_at = 0; /* completions of a new ring count from 0 */
	worker_send_all(w);
	loop_timer_set(w->timer, mtime_add(now, mtime_ms(READY_MS)));
}

static const struct config_pinning *pinning_of(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->n_pinnings; i++)
		if (strcmp(cfg->pinnings[i].interface, name) == 0)
			return &cfg->pinnings[i];
	return NULL;
}

/* Queue q of the interface is served by worker q mod n. */
static void worker_layout(struct worker *w, const struct config_pinning *pin, unsigned n,
			  unsigned rx_queues)
{
	w->core = pin && pin->n_cores ? (int)pin->cores[w->index % pin->n_cores] : -1;
	w->n = n;
	w->n_queues = 0;
	if (w->kind == MCR_DP_AFPACKET) {
		w->queues[w->n_queues++] = (uint16_t)w->index;
		return;
	}
	for (unsigned q = w->index; q < rx_queues && q < MCR_MAX_QUEUES; q += n)
		if (w->n_queues < WORKER_QUEUES_MAX)
			w->queues[w->n_queues++] = (uint16_t)q;
}

static struct worker *worker_get(struct relay *r, struct port *p, enum mcr_datapath kind,
				 unsigned index)
{
	struct worker **at = &p->workers;

	for (; *at; at = &(*at)->next)
		if ((*at)->kind == kind && (*at)->index == index)
			return *at;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	(*at)->relay = r;
	(*at)->port = p;
	(*at)->kind = kind;
	(*at)->index = index;
	(*at)->ledger_fd = -1;
	(*at)->ring_fd = -1;
	(*at)->child = (struct child){ .pidfd = -1, .channel = -1 };
	for (unsigned i = 0; i < WORKER_QUEUES_MAX; i++)
		(*at)->ingress[i] = (*at)->memory[i] = -1;
	if (loop_timer_new(r->loop, &(*at)->timer, on_worker_timer, *at)) {
		free(*at);
		*at = NULL;
	}
	return *at;
}

void workers_ensure(struct relay *r, struct port *p, enum mcr_datapath kind)
{
	const struct config_pinning *pin = pinning_of(r->config, p->name);
	const struct netif *ni = netif_by_name(r->netifs, p->name);
	unsigned queues = ni && ni->rx_queues ? ni->rx_queues : 1;
	unsigned n = pin && pin->n_cores ? pin->n_cores : 1;

	if (kind == MCR_DP_AFXDP && n > queues)
		n = queues;
	if (kind == MCR_DP_AFXDP && n * WORKER_QUEUES_MAX < queues)
		n = (queues + WORKER_QUEUES_MAX - 1) / WORKER_QUEUES_MAX;
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = worker_get(r, p, kind, i);

		if (!w || w->status != WORKER_IDLE)
			continue;
		worker_layout(w, pin, n, queues);
		worker_start(w);
	}
}

/* The process ends in its own time: closing many sockets takes the kernel long. Ours are closed
 * first, so that it does not take it here. */
void workers_retire(struct relay *r, struct port *p, enum mcr_datapath kind)
{
	(void)r;
	for (struct worker *w = p->workers; w; w = w->next) {
		if (w->kind != kind || w->status == WORKER_IDLE || w->status == WORKER_ENDING)
			continue;
		log_info(LOG_F_supervisor, "worker %s/%u is retired", p->name, w->index);
		loop_timer_set(w->timer, MTIME_NEVER);
		w->status = w->child.pid ? WORKER_ENDING : WORKER_IDLE;
		if (!w->child.pid) {
			worker_close_sockets(w, true);
			continue;
		}
		worker_close_gate(w);
		for (uint32_t name = 0; name < w->n_egress; name++)
			worker_close_egress(w, name);
		kill(w->child.pid, SIGKILL);
	}
}

static void worker_free(struct worker *w)
{
	worker_end(w, true);
	loop_timer_free(w->timer);
	if (w->ledger)
		munmap(w->ledger, sizeof(*w->ledger));
	if (w->ledger_fd >= 0)
		close(w->ledger_fd);
	free(w->egress);
	free(w);
}

/* All are told before the first is waited for: they end side by side. */
void workers_stop_all(struct relay *r)
{
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++) {
		workers_retire(r, &r->ports[i], MCR_DP_AFXDP);
		workers_retire(r, &r->ports[i], MCR_DP_AFPACKET);
	}
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++) {
		while (r->ports[i].workers) {
			struct worker *w = r->ports[i].workers;

			r->ports[i].workers = w->next;
			worker_free(w);
		}
	}
}

void worker_tick(struct worker *w, struct mtime now)
{
	uint64_t applied;
	int64_t silent_us;

	if (!w->child.pid || w->status == WORKER_ENDING)
		return;
	applied = __atomic_load_n(&w->ledger->applied, __ATOMIC_ACQUIRE);
	if (applied >= w->sent)
		w->caught_up = now;
	silent_us = now.us - (int64_t)(w->ledger->heartbeat_ns / 1000);
	if (w->status == WORKER_RUNNING && silent_us > HEARTBEAT_MS * 1000) {
		log_err(LOG_F_supervisor, "worker %s/%u has been silent for %d ms: ended",
			w->port->name, w->index, (int)(silent_us / 1000));
		kill(w->child.pid, SIGKILL);
	}
}
