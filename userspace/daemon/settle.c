/* SPDX-License-Identifier: MIT */
/*
 * The books of a worker that has ended, whenever it ended in its work. It was killed between any
 * two instructions, so counters that belong together may be one frame apart; what the kernel has
 * sent and the worker has not read the answer of is still in their io_uring; what lay in its
 * receive ring nobody gets any more. Everything it owed ends up in some counter.
 */
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/relay.h"
#include "mcr/ledger.h"

/* --- what was sent -----------------------------------------------------------------------------
 */

/* Answers between the ring's head, which the worker moves, and its tail, which the kernel moves. */
static void settle_answers(struct ledger *l, const uint8_t *ring, const struct io_uring_params *p)
{
	const struct io_uring_cqe *cqes = (const void *)(ring + p->cq_off.cqes);
	uint32_t head = *(const uint32_t *)(ring + p->cq_off.head);
	uint32_t n = *(const uint32_t *)(ring + p->cq_off.tail) - head;

	/* it was killed while it took this one: from the start, then */
	if (l->undo_at == (uint64_t)head + 1 && l->undo_output < WORKER_OUTPUTS)
		l->outputs[l->undo_output] = l->undo;
	for (uint32_t i = 0; i < n && i < p->cq_entries; i++) {
		const struct io_uring_cqe *cqe = &cqes[(head + i) & (p->cq_entries - 1)];
		union wm_send send = { cqe->user_data };

		if (send.output >= WORKER_OUTPUTS)
			continue; /* no send of ours: the ring was written by a stranger */
		/* a UDP send that fails is tried again; that it was not is for the crash */
		if (!send.is_udp || cqe->res >= 0)
			ledger_sent(&l->outputs[send.output], send, cqe->res);
	}
}

static void settle_ring(struct worker *w)
{
	size_t len = w->ring.cq_off.cqes + w->ring.cq_entries * sizeof(struct io_uring_cqe);
	void *map;

	if (w->ring_fd < 0)
		return;
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, w->ring_fd, IORING_OFF_CQ_RING);
	if (map == MAP_FAILED)
		return; /* what was sent and not counted is counted as `crash` */
	settle_answers(w->ledger, map, &w->ring);
	munmap(map, len);
}

/* The copies of one rule that the dead worker owed: see to it that each is in some counter. */
static void settle_row(struct ledger *l, uint32_t row, const uint32_t *output_rows,
		       unsigned n_outputs)
{
	for (unsigned i = 0; i < n_outputs; i++) {
		struct ledger_output *out = &l->outputs[output_rows[i]];
		uint64_t known = out->sent + account_copy_drops(out);

		out->due = l->rules[row].packets;
		if (out->due > known)
			out->drop[COPY_DROP_crash] += out->due - known;
	}
}

static void settle_copies(struct worker *w)
{
	struct relay *r = w->relay;

	settle_ring(w);
	for (struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		if (live->port == w->port && live->output_rows)
			settle_row(w->ledger, live->row, live->output_rows, live->rule->n_outputs);
	for (const struct cooling *c = r->cooling; c; c = c->next)
		if (c->port == w->port)
			settle_row(w->ledger, c->row, c->output_rows, c->n_outputs);
}

/* --- what was received -------------------------------------------------------------------------
 */

/* The kernel's last word on the dead worker's sockets. */
static void settle_kernel_drops(struct worker *w)
{
	struct ledger_totals *t = &w->ledger->totals;
	uint64_t dropped = 0, full = 0;

	for (unsigned i = 0; i < w->n_queues; i++) {
		struct xdp_statistics xdp;
		struct tpacket_stats packet;
		socklen_t len = w->kind == MCR_DP_AFXDP ? sizeof(xdp) : sizeof(packet);

		if (w->kind == MCR_DP_AFPACKET) {
			/* reading resets: this is what came since the worker's last look */
			if (getsockopt(w->ingress[i], SOL_PACKET, PACKET_STATISTICS, &packet,
				       &len) == 0)
				t->ring_full += packet.tp_drops;
		} else if (getsockopt(w->ingress[i], SOL_XDP, XDP_STATISTICS, &xdp, &len) == 0) {
			dropped += xdp.rx_dropped;
			full += xdp.rx_ring_full;
		}
	}
	if (w->kind == MCR_DP_AFXDP) {
		t->rx_dropped = w->base.rx_dropped + dropped;
		t->ring_full = w->base.ring_full + full;
	}
}

/* A frame is counted as dequeued, as matched, and with its rule; the end may lie in between. */
static void settle_frames(struct worker *w)
{
	struct ledger_totals *t = &w->ledger->totals;
	uint64_t classed = 0;
	struct row_sum sum;

	account_worker(w->relay, w, &sum);
	if (t->matched > sum.packets)
		t->frame_drop[FRAME_DROP_crash] += t->matched - sum.packets;
	t->matched = sum.packets;
	for (unsigned i = 0; i < FRAME_DROP__COUNT; i++)
		classed += t->frame_drop[i];
	classed += t->matched;
	if (t->dequeued > classed)
		t->frame_drop[FRAME_DROP_crash] += t->dequeued - classed;
	else
		t->dequeued = classed;
}

/* What lay in the dead worker's ring: let in by the classifier's count, but neither taken by any
 * worker of the port nor dropped. A packet socket's drops are counted in socket buffers, so there
 * the sum is made in those. */
static void settle_receive_ring(struct worker *w)
{
	bool is_packet = w->kind == MCR_DP_AFPACKET;
	struct mcr_verdicts v = { 0 };
	uint64_t in, known = 0, lost;

	plane_verdicts(w->relay->plane, w->port->slot, is_packet ? MCR_STAGE_PACKET : MCR_STAGE_XDP,
		       &v);
	in = is_packet ? v.to_worker_skbs - w->port->earlier_skbs
		       : v.to_worker - w->port->earlier_frames;
	for (struct worker *o = w->port->workers; o; o = o->next) {
		const struct ledger_totals *t;

		if (o->kind != w->kind || !o->ledger)
			continue;
		t = &o->ledger->totals;
		known += is_packet ? t->dequeued_skbs : t->dequeued;
		known += t->rx_dropped + t->ring_full + (o == w ? 0 : t->in_ring);
	}
	lost = in > known ? in - known : 0;
	w->ledger->totals.dequeued += lost;
	w->ledger->totals.dequeued_skbs += lost;
	w->ledger->totals.frame_drop[FRAME_DROP_crash] += lost;
}

void worker_settle(struct worker *w)
{
	struct ledger_totals *t = &w->ledger->totals;

	settle_kernel_drops(w);
	settle_frames(w);
	settle_receive_ring(w);
	settle_copies(w);
	t->completed = t->submitted;
	t->in_ring = 0;
	t->buffers_total = t->buffers_fill = t->buffers_ring = t->buffers_held = 0;
	if (w->ledger->turn & 1)
		w->ledger->turn++;
}
