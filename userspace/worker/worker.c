/* SPDX-License-Identifier: MIT */
/*
 * The worker process: gives up every privilege, sets up the sockets that main hands it, locks
 * itself in, and then moves frames: take what waits, sort it into runs, send the runs, give the
 * buffers back. It knows no names and no policy; main tells it everything by messages
 * (include/mcr/worker.h), and its ledger tells main everything.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edge/log.h"
#include "edge/sandbox.h"
#include "edge/spawn.h"
#include "worker/egress.h"
#include "worker/ingress.h"
#include "worker/spin.h"
#include "worker/worker.h"

#define IDLE_MS	       500	/* longest sleep: the heartbeat of an idle worker */
#define CHANNEL_NS     1000000u /* between looks at the channel while busy */
#define STATS_EVERY_NS 50000000u
#define YIELDED_NS     20000u /* a core that was away for so long ran somebody else */

struct worker {
	struct ledger *ledger;
	struct ledger_totals base; /* what a former process had counted in the kernel's drops */
	struct table *table;
	struct egress *egress;
	struct ingress *in[WORKER_QUEUES_MAX];
	unsigned n_in, first;
	uint32_t ifindex;
	uint64_t now_ns; /* when the last turn ended */
	uint64_t stats_ns;
	uint64_t channel_ns; /* when it was looked at while busy */
	struct spin spin;
	bool has_own_core; /* pinned */
	bool is_ended;	   /* main is gone or wants us gone */
	struct batch batch;
};

static union {
	struct wm_header h;
	struct wm_setup setup;
	struct wm_rule rule;
	struct wm_socket socket;
	struct wm_level level;
	uint8_t bytes[sizeof(struct wm_rule) + MCR_MAX_OUTPUTS * sizeof(struct wm_output)];
} message;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* In a loop that waits for another core: gives way to the other thread of this one. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* --- messages ----------------------------------------------------------------------------------
 */

static bool rule_is_sound(const struct wm_rule *m, size_t len)
{
	if (len < sizeof(*m) || m->rule >= MCR_MAX_RULES || m->n_outputs > MCR_MAX_OUTPUTS ||
	    len != sizeof(*m) + m->n_outputs * sizeof(m->outputs[0]))
		return false;
	for (unsigned i = 0; i < m->n_outputs; i++)
		if (m->outputs[i].output >= WORKER_OUTPUTS ||
		    m->outputs[i].socket >= WORKER_OUTPUTS ||
		    m->outputs[i].socket_df >= WORKER_OUTPUTS)
			return false;
	return true;
}

static int apply_level(const struct wm_level *m)
{
	for (unsigned f = 0; f < LOG_F__COUNT; f++)
		log_set_facility_level((enum log_facility)f, (enum log_level)m->levels[f]);
	return 0;
}

/* 0, or -EPROTO: main is the same program, so a message that does not fit ends this process. */
static int message_apply(struct worker *w, size_t len, const int *fds, unsigned n_fds)
{
	switch ((enum worker_msg_kind)message.h.kind) {
	case WM_RULE:
		if (n_fds || !rule_is_sound(&message.rule, len))
			return -EPROTO;
		return table_apply(w->table, &message.rule);
	case WM_SOCKET:
		if (len != sizeof(message.socket) || message.socket.socket >= WORKER_OUTPUTS ||
		    n_fds != !message.socket.is_gone)
			return -EPROTO;
		egress_socket(w->egress, message.socket.socket, n_fds ? fds[0] : -1);
		return 0;
	case WM_LEVEL:
		return len == sizeof(message.level) ? apply_level(&message.level) : -EPROTO;
	case WM_SETUP:
	case WM_START:
	case WM_READY:
	case WM_FAILED:
		break;
	}
	return -EPROTO;
}

static ssize_t message_read(int *fds, unsigned *n_fds)
{
	ssize_t len = channel_recv(CHANNEL_FD, &message, sizeof(message), fds, n_fds);

	if (len > 0 && ((size_t)len < sizeof(message.h) || message.h.size != len))
		return -EPROTO;
	return len;
}

/* Puts everything that main has sent in force. */
static void channel_drain(struct worker *w)
{
	int fds[CHANNEL_FDS_MAX];

	while (!w->is_ended) {
		unsigned n_fds = CHANNEL_FDS_MAX;
		ssize_t len = message_read(fds, &n_fds);

		if (len == -EAGAIN)
			return;
		if (len <= 0 || message_apply(w, (size_t)len, fds, n_fds))
			w->is_ended = true;
		else
			w->ledger->applied++;
	}
}

/* --- frames ------------------------------------------------------------------------------------
 */

static const struct table_rule *rule_of(struct worker *w, const struct mcr_flow *flow)
{
	const struct table_rule *rule = table_find(w->table, w->ifindex, flow);

	if (rule)
		return rule;
	/* main sends a rule before it lets frames in for it: the message may be waiting. Rules
	 * that the batch refers to must not move meanwhile, so what is open goes out first. */
	egress_batch(w->egress, &w->batch);
	w->batch.n_runs = 0;
	channel_drain(w);
	return table_find(w->table, w->ifindex, flow);
}

/* How many datagrams a frame stands for that could not be read: as the filter has counted it. */
static uint32_t raw_datagrams(const struct frame_raw *raw)
{
	if (!raw->segment || raw->len <= MCR_HDR_UDP)
		return 1;
	return (raw->len - MCR_HDR_UDP + raw->segment - 1) / raw->segment;
}

/* The rule of the run before, if this frame has the same addresses: most frames do. */
static const struct table_rule *rule_again(const struct batch *b, const struct mcr_flow *flow)
{
	const struct run *last;

	if (!b->n_runs)
		return NULL;
	last = &b->runs[b->n_runs - 1];
	if (last->flow.group == flow->group && last->flow.source == flow->source &&
	    last->flow.dport == flow->dport && last->flow.protocol == flow->protocol)
		return last->rule;
	return NULL;
}

/* Leaves a record of one datagram in so many; readers tell a torn one by its sequence. */
static void frame_trace(struct worker *w, const struct table_rule *rule, const struct frame *f)
{
	struct ledger *l = w->ledger;
	uint64_t sequence = l->traced + 1;
	struct trace_record *rec = &l->trace[sequence % TRACE_RECORDS];
	size_t len =
		(size_t)((const uint8_t *)f->payload[0].iov_base - f->head) + f->payload[0].iov_len;

	__atomic_store_n(&rec->sequence, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE); /* before anything of the record changes */
	rec->ns = now_ns();
	rec->row = rule->row;
	rec->len = f->len;
	memset(rec->head, 0, sizeof(rec->head));
	memcpy(rec->head, f->head, len < sizeof(rec->head) ? len : sizeof(rec->head));
	__atomic_store_n(&rec->sequence, sequence, __ATOMIC_RELEASE);
	__atomic_store_n(&l->traced, sequence, __ATOMIC_RELEASE);
}

/* Sorts the batch's next frame; its fate is counted whatever it is. */
static void frame_sort(struct worker *w, const struct frame_raw *raw)
{
	struct batch *b = &w->batch;
	struct frame *f = &b->frames[b->n_frames];
	struct ledger_totals *t = &w->ledger->totals;
	enum frame_drop drop = frame_read(f, raw);
	const struct table_rule *rule;

	t->dequeued_skbs++;
	if (drop != FRAME_DROP__COUNT) {
		t->dequeued += raw_datagrams(raw);
		t->frame_drop[drop] += raw_datagrams(raw);
		return;
	}
	t->dequeued += f->datagrams;
	t->bytes += f->len;
	rule = rule_again(b, &f->flow);
	if (!rule)
		rule = rule_of(w, &f->flow);
	if (!rule) {
		t->frame_drop[FRAME_DROP_rule_gone] += f->datagrams;
		return;
	}
	t->matched += f->datagrams;
	if (rule->trace_every && w->ledger->rules[rule->row].packets % rule->trace_every == 0)
		frame_trace(w, rule, f);
	w->ledger->rules[rule->row].packets += f->datagrams;
	w->ledger->rules[rule->row].bytes += f->len;
	batch_add(b, b->n_frames++, rule);
}

static void worker_release(struct worker *w, bool wants_backlog)
{
	for (unsigned i = 0; i < w->n_in; i++)
		ingress_release(w->in[i], w->now_ns, wants_backlog);
}

/* One turn: as much backlog as a batch holds. How many frames that was. */
static unsigned worker_turn(struct worker *w)
{
	struct frame_raw raw;
	unsigned n = 0;

	__atomic_store_n(&w->ledger->turn, w->ledger->turn + 1, __ATOMIC_RELEASE);
	batch_clear(&w->batch);
	/* another queue first each time, so that a full one does not starve the rest */
	for (unsigned i = 0; i < w->n_in; i++)
		for (; ingress_take(w->in[(w->first + i) % w->n_in], &w->batch, &raw); n++)
			frame_sort(w, &raw);
	w->first++;
	if (n) {
		egress_batch(w->egress, &w->batch);
		worker_release(w, batch_is_thin(&w->batch));
		w->ledger->totals.batches++;
	}
	__atomic_store_n(&w->ledger->turn, w->ledger->turn + 1, __ATOMIC_RELEASE);
	return n;
}

static void worker_stats(struct worker *w, uint64_t now)
{
	struct ledger_totals *t = &w->ledger->totals;
	struct ingress_stats sum = { 0 };

	for (unsigned i = 0; i < w->n_in; i++) {
		struct ingress_stats s;

		ingress_stats(w->in[i], true, &s);
		sum.rx_dropped += s.rx_dropped;
		sum.ring_full += s.ring_full;
		sum.in_ring += s.in_ring;
		sum.buffers_total += s.buffers_total;
		sum.buffers_fill += s.buffers_fill;
		sum.buffers_ring += s.buffers_ring;
		sum.buffers_held += s.buffers_held;
	}
	t->rx_dropped = w->base.rx_dropped + sum.rx_dropped;
	t->ring_full = w->base.ring_full + sum.ring_full;
	t->in_ring = sum.in_ring;
	t->buffers_total = sum.buffers_total;
	t->buffers_fill = sum.buffers_fill;
	t->buffers_ring = sum.buffers_ring;
	t->buffers_held = sum.buffers_held;
	w->ledger->heartbeat_ns = now;
	w->stats_ns = now;
}

static bool worker_has_frames(const struct worker *w)
{
	for (unsigned i = 0; i < w->n_in; i++)
		if (ingress_has_frames(w->in[i]))
			return true;
	return false;
}

/*
 * Looks for frames for a while, if that is worth it; true when there are any. Long looks are for a
 * core of one's own: whoever else wants it gets it meanwhile, and that there is somebody ends the
 * look.
 */
static bool worker_spin(struct worker *w)
{
	uint32_t longest = spin_longest(&w->spin);
	uint64_t start, before, now;
	bool has_frames = false;

	if (!longest)
		return false;
	start = now = now_ns();
	do {
		for (unsigned i = 0; i < 8; i++)
			cpu_relax();
		if (w->has_own_core)
			sched_yield();
		has_frames = worker_has_frames(w);
		before = now;
		now = now_ns();
	} while (!has_frames && now - start < longest && now - before < YIELDED_NS);
	spin_spend(&w->spin, now - start, has_frames);
	return has_frames;
}

static void worker_wait(struct worker *w)
{
	struct pollfd p[WORKER_QUEUES_MAX + 1];

	for (unsigned i = 0; i < w->n_in; i++)
		p[i] = (struct pollfd){ .fd = ingress_fd(w->in[i]), .events = POLLIN };
	p[w->n_in] = (struct pollfd){ .fd = CHANNEL_FD, .events = POLLIN };
	poll(p, w->n_in + 1, IDLE_MS);
	w->ledger->totals.wakeups++;
	if (p[w->n_in].revents)
		channel_drain(w);
}

static void worker_run(struct worker *w)
{
	while (!w->is_ended) {
		unsigned n = worker_turn(w);

		spin_earn(&w->spin, n);
		if (!n && worker_spin(w))
			continue;
		w->now_ns = now_ns();
		if (!n || w->now_ns - w->stats_ns > STATS_EVERY_NS)
			worker_stats(w, w->now_ns);
		if (!n) {
			worker_release(w, false); /* a stream may have ended */
			worker_wait(w);
		} else if (w->now_ns - w->channel_ns > CHANNEL_NS) {
			w->channel_ns = w->now_ns;
			channel_drain(w);
		}
	}
}

/* --- start -------------------------------------------------------------------------------------
 */

/* Waits for a message while nothing else is to be done. */
static ssize_t message_await(int *fds, unsigned *n_fds)
{
	struct pollfd p = { .fd = CHANNEL_FD, .events = POLLIN };
	unsigned room = *n_fds;

	for (;;) {
		ssize_t len;

		*n_fds = room;
		len = message_read(fds, n_fds);
		if (len != -EAGAIN)
			return len;
		poll(&p, 1, -1);
	}
}

static int worker_open_ingress(struct worker *w, const struct wm_setup *m, const int *fds,
			       struct diag *d)
{
	struct ingress_config cfg = {
		.interface = m->interface,
		.ifindex = m->ifindex,
		.frames = m->frames,
	};

	for (; w->n_in < m->n_queues; w->n_in++) {
		int err;

		cfg.queue = m->queues[w->n_in];
		cfg.memory = fds[m->n_queues + w->n_in];
		if (m->ingress == MCR_DP_AFXDP)
			err = ingress_afxdp_open(&w->in[w->n_in], fds[w->n_in], &cfg, d);
		else
			err = ingress_afpacket_open(&w->in[w->n_in], fds[w->n_in], &cfg, d);
		if (err)
			return err;
		if (m->ingress == MCR_DP_AFXDP)
			close(cfg.memory);
	}
	return 0;
}

static void worker_pin(int core)
{
	cpu_set_t set;

	if (core < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		log_warning(LOG_F_ingress, "cannot run on core %d: %s", core, strerror(errno));
}

static int worker_setup(struct worker *w, struct diag *d)
{
	int fds[CHANNEL_FDS_MAX];
	unsigned n_fds = CHANNEL_FDS_MAX;
	ssize_t len = message_await(fds, &n_fds);
	const struct wm_setup *m = &message.setup;
	char ident[48];

	if (len != sizeof(*m) || m->h.kind != WM_SETUP || m->n_queues > WORKER_QUEUES_MAX ||
	    n_fds != 1u + m->n_queues * (m->ingress == MCR_DP_AFXDP ? 2u : 1u))
		return diag_set(d, -EPROTO, E_PROTO, "", "the first message is no set-up");
	snprintf(ident, sizeof(ident), "worker %s/%u", m->interface, m->queues[0]);
	log_set_ident(ident);
	w->ifindex = m->ifindex;
	w->ledger = mmap(NULL, sizeof(*w->ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	close(fds[0]);
	if (w->ledger == MAP_FAILED)
		return diag_set(d, -errno, E_KERNEL, "", "cannot map the ledger");
	w->base = w->ledger->totals;
	w->table = table_new();
	if (!w->table || egress_open(&w->egress, w->ledger, m->has_ring ? &m->ring : NULL))
		return diag_set(d, -ENOMEM, E_KERNEL, "", "no memory for the rule table");
	worker_pin(m->core);
	w->has_own_core = m->core >= 0;
	spin_init(&w->spin, w->has_own_core);
	return worker_open_ingress(w, m, fds + 1, d);
}

/* Everything before WM_START goes in force before the first frame is let in. */
static int worker_load(struct worker *w, struct diag *d)
{
	int fds[CHANNEL_FDS_MAX];

	for (;;) {
		unsigned n_fds = CHANNEL_FDS_MAX;
		ssize_t len = message_await(fds, &n_fds);

		if (len <= 0)
			return diag_set(d, -EPIPE, E_PROTO, "", "the channel ended early");
		if (message.h.kind == WM_START)
			break;
		if (message_apply(w, (size_t)len, fds, n_fds))
			return diag_set(d, -EPROTO, E_PROTO, "",
					"a message of kind %u does not fit", message.h.kind);
		w->ledger->applied++;
	}
	w->ledger->applied++;
	return 0;
}

static int worker_start(struct worker *w, struct diag *d)
{
	struct wm_header ready = { WM_READY, sizeof(ready) };
	uid_t uid;
	gid_t gid;
	int err;

	sandbox_worker_ids(&uid, &gid);
	err = sandbox_drop_privileges(uid, gid, d);
	if (!err)
		err = worker_setup(w, d);
	if (!err)
		err = sandbox_lock_worker(d);
	if (!err)
		err = worker_load(w, d);
	if (err)
		return err;
	log_info(LOG_F_ingress, "ready: %u queues, egress by %s", w->n_in,
		 egress_method(w->egress));
	worker_stats(w, now_ns());
	return channel_send(CHANNEL_FD, &ready, sizeof(ready), NULL, 0);
}

static void worker_report(const struct diag *d)
{
	struct wm_failed failed = { .h = { WM_FAILED, sizeof(failed) } };

	snprintf(failed.what, sizeof(failed.what), "%.*s", (int)sizeof(failed.what) - 1, d->what);
	log_err(LOG_F_ingress, "cannot start: %s", failed.what);
	channel_send(CHANNEL_FD, &failed, sizeof(failed), NULL, 0);
}

int worker_main(void)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct diag d = { 0 };
	int err = w ? worker_start(w, &d) : -ENOMEM;

	if (err) {
		worker_report(&d);
		return 1;
	}
	worker_run(w);
	worker_stats(w, now_ns());
	return 0;
}
