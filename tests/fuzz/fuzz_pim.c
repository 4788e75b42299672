/* SPDX-License-Identifier: MIT */
/*
 * The PIM engine under any sequence of events: an input is a list of operations, a byte each and
 * what they need after it. Messages get a right checksum. After each event: what is sent can be
 * read, no packet goes back where it came from, counters add up, and time gets on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cksum.h"
#include "engine/pim.h"

#define PORTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct pim *e;
	struct mtime now;
	struct actions out;
	struct rd in;
	uint32_t way; /* the port by which everything else is reached, and one bit: whether it is */
};

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static struct ip4 host(uint32_t port, uint32_t h)
{
	return ip4_from_host(0xc6120000u | port << 8 | h);
}

static bool rpf(const void *arg, struct ip4 to, struct pim_rpf *out)
{
	const struct world *w = arg;
	uint32_t port = ip4_host(to) >> 8 & 0xff;

	*out = (struct pim_rpf){ .port = port, .is_connected = true };
	if (ip4_host(to) >> 16 == 0xc612 && port < PORTS)
		return true;
	*out = (struct pim_rpf){ .port = w->way % PORTS, .preference = 110, .metric = w->way };
	out->next_hop = host(out->port, 2 + (w->way >> 4 & 1));
	return w->way & 8;
}

/* --- what comes out
 * -------------------------------------------------------------------------------- */

static void check_sent(const struct world *w, const struct action *a)
{
	struct rd r = rd_init(w->out.bytes + a->send.off, a->send.len);
	enum pim_type type;
	uint8_t reserved;

	demand(a->send.off + a->send.len <= w->out.n_bytes);
	demand(pim_open(&r, &type, &reserved) == PIM_OK);
	demand(a->port == PORT_NONE || a->port < PORTS);
	demand(a->port == PORT_NONE || a->send.len + 20 <= 1500 || type == PIM_BOOTSTRAP);
}

static void check(struct world *w)
{
	const struct pim_counters *c = pim_counters(w->e);
	uint64_t sum = c->rx_ok;

	for (uint32_t i = 0; i < w->out.n; i++) {
		const struct action *a = &w->out.list[i];

		if (a->kind == ACT_SEND)
			check_sent(w, a);
		if (a->kind == ACT_ROUTE) {
			demand(!portset_has(&a->route.joined, a->route.iif));
			demand(!portset_has(&a->route.local, a->route.iif));
		}
	}
	for (int d = 0; d < PIM_DROP_N; d++)
		sum += c->drops[d];
	demand(sum == c->rx);
	actions_clear(&w->out);
}

/* All that is due at this moment; it must come to an end. */
static void settle(struct world *w)
{
	int turns = 0;

	check(w);
	while (pim_next(w->e).us <= w->now.us) {
		demand(turns++ < 10000);
		pim_tick(w->e, w->now, &w->out);
		check(w);
	}
}

/* --- operations
 * ------------------------------------------------------------------------------------- */

static struct ip4 any_group(struct world *w)
{
	uint8_t g = rd_u8(&w->in);

	return ip4_from_host((g & 0x80 ? 0xe8010100u : 0xef010100u) | (g & 7));
}

static struct sg any_sg(struct world *w)
{
	struct sg sg = { .group = any_group(w) };
	uint8_t s = rd_u8(&w->in);

	if (s & 0x80)
		sg.source = s & 0x40 ? host(s & 3, 100 + (s >> 2 & 3))
				     : ip4_from_host(0x0a000100u | (s & 7));
	return sg;
}

static void packet(struct world *w)
{
	uint8_t from = rd_u8(&w->in), len = rd_u8(&w->in), msg[4 + 256] = { 0 };
	struct rd body = rd_sub(&w->in, len < rd_left(&w->in) ? len : rd_left(&w->in));
	struct pim_rx rx = { .port = from % PORTS,
			     .source = host(from % PORTS, 2 + (from >> 2 & 3)),
			     .dst = ip4_from_host(0xe000000d),
			     .ttl = 1,
			     .data = msg };
	size_t n = rd_left(&body), covered;
	uint16_t check_sum;

	if (n < 2)
		return;
	msg[0] = 0x20 | (rd_u8(&body) & 15);
	msg[1] = rd_u8(&body);
	rd_bytes(&body, msg + 4, n - 2);
	rx.len = n + 2;
	if (from & 0x80)
		rx.dst = from & 0x40 ? ip4_from_host(0x0aff0001) : host(rx.port, 1);
	covered = (msg[0] & 15) == PIM_REGISTER && rx.len > 8 ? 8 : rx.len;
	check_sum = cksum_finish(cksum_add(msg, covered, 0));
	memcpy(msg + 2, &check_sum, 2);
	pim_input(w->e, w->now, &rx, &w->out);
}

/* A Hello as it should be, so that neighbours are not left to chance. */
static void neighbor(struct world *w)
{
	uint8_t from = rd_u8(&w->in), what = rd_u8(&w->in), b[64];
	struct pim_hello h = { .holdtime = what & 1 ? 105 : 0,
			       .has_lan_delay = what & 2,
			       .can_track = what & 4,
			       .propagation_ms = 500,
			       .override_ms = 2500,
			       .has_dr_priority = what & 8,
			       .dr_priority = what >> 6,
			       .has_gen_id = true,
			       .gen_id = what >> 4 & 3 };
	struct wr wr = wr_init(b, sizeof(b));
	struct pim_rx rx = { .port = from % PORTS,
			     .source = host(from % PORTS, 2 + (from >> 2 & 3)),
			     .dst = ip4_from_host(0xe000000d),
			     .ttl = 1,
			     .data = b };

	pim_hello_write(&wr, &h);
	rx.len = wr_len(&wr);
	pim_input(w->e, w->now, &rx, &w->out);
}

/* A Join/Prune with one entry. */
static void join(struct world *w)
{
	static const uint8_t kinds[] = { 7, 4, 5, 5 };
	uint8_t from = rd_u8(&w->in), what = rd_u8(&w->in), b[64];
	struct sg sg = any_sg(w);
	uint32_t port = from % PORTS;
	struct wr wr = wr_init(b, sizeof(b));
	struct pim_rx rx = { .port = port,
			     .source = host(port, 2 + (from >> 2 & 3)),
			     .dst = ip4_from_host(0xe000000d),
			     .ttl = 1,
			     .data = b };

	pim_jp_begin(&wr, host(port, from & 0x80 ? 3 : 1), what & 0x40 ? 210 : what & 3);
	pim_jp_group_write(&wr, sg.group, what & 1, !(what & 1));
	pim_source_write(&wr, kinds[what >> 1 & 3] == 7 ? ip4_from_host(0x0aff0001) : sg.source,
			 kinds[what >> 1 & 3]);
	pim_jp_end(&wr, 1);
	rx.len = wr_len(&wr);
	pim_input(w->e, w->now, &rx, &w->out);
}

static void link_change(struct world *w)
{
	uint8_t what = rd_u8(&w->in);
	struct pim_link link = { .is_up = what & 4,
				 .mtu = what & 8 ? 576 : 1500,
				 .address = host(what % PORTS, what & 16 ? 9 : 1) };
	struct pim_port_config cfg;

	pim_port_config_default(&cfg);
	cfg.is_enabled = (what & 0x60) != 0x60;
	cfg.is_passive = (what & 0xa0) == 0xa0;
	cfg.dr_priority = what >> 6;
	if (what & 1)
		pim_port_configure(w->e, w->now, what % PORTS, &cfg, &w->out);
	check(w);
	pim_link(w->e, w->now, what % PORTS, &link, &w->out);
}

static void data(struct world *w)
{
	struct pim_data d = {
		.port = rd_u8(&w->in) % (PORTS + 1), .sg = any_sg(w), .packets = 1, .bytes = 1000
	};

	pim_data(w->e, w->now, &d, &w->out);
}

static void local(struct world *w)
{
	uint8_t what = rd_u8(&w->in);
	struct sg sg = any_sg(w);

	pim_local(w->e, w->now, what % PORTS, sg, (enum pim_local)((what >> 2) % 3), &w->out);
}

static void time_passes(struct world *w)
{
	uint32_t ms = 1u << rd_u8(&w->in) % 18;
	struct mtime end = mtime_add(w->now, mtime_ms(ms));

	while (pim_next(w->e).us <= end.us) {
		if (mtime_before(w->now, pim_next(w->e)))
			w->now = pim_next(w->e);
		pim_tick(w->e, w->now, &w->out);
		settle(w);
	}
	w->now = end;
}

static void step(struct world *w)
{
	uint8_t op = rd_u8(&w->in);

	switch (op % 8) {
	case 0:
		packet(w);
		break;
	case 1:
		neighbor(w);
		break;
	case 2:
		join(w);
		break;
	case 3:
		link_change(w);
		break;
	case 4:
		data(w);
		break;
	case 5:
		local(w);
		break;
	case 6:
		time_passes(w);
		break;
	default:
		w->way = rd_u8(&w->in);
		pim_rpf_changed(w->e, w->now, (struct ip4_prefix){ { 0 }, 0 }, &w->out);
	}
	settle(w);
}

static void *start(struct world *w, uint8_t mode)
{
	struct pim_port_config pc;
	struct pim_config c;
	struct arena a = { 0 };
	void *mem;

	pim_config_default(&c);
	c.ports = PORTS;
	c.neighbors = 10;
	c.neighbors_per_port = 3;
	c.routes = 24;
	c.branches = 32;
	c.bsr_rps = 8;
	c.rpf = rpf;
	c.rpf_arg = w;
	c.spt = (enum pim_spt)(mode % 3);
	c.n_locals = mode & 4 ? 1 : 0;
	c.locals[0] = ip4_from_host(0x0aff0001);
	c.candidate_bsr.is_enabled = c.candidate_rp.is_enabled = mode & 8;
	c.candidate_bsr.address = c.candidate_rp.address = host(0, 1);
	c.n_static_rps = 1;
	c.static_rps[0] = (struct pim_static_rp){ { ip4_from_host(0xef000000), 8 },
						  ip4_from_host(0x0aff0001) };
	pim_init(&c, &a);
	mem = aligned_alloc(64, (a.used + 63) / 64 * 64);
	a = (struct arena){ .mem = mem, .size = a.used };
	demand(mem != NULL);
	w->e = pim_init(&c, &a);
	demand(w->e != NULL);
	pim_port_config_default(&pc);
	for (uint32_t i = 0; i < PORTS; i++) {
		struct pim_link link = { .is_up = true, .address = host(i, 1), .mtu = 1500 };

		pim_port_configure(w->e, w->now, i, &pc, &w->out);
		check(w);
		pim_link(w->e, w->now, i, &link, &w->out);
		settle(w);
	}
	return mem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data_in, size_t size)
{
	static struct world w;
	void *mem;

	memset(&w, 0, sizeof(w));
	w.now = mtime_ms(1000);
	w.way = 8;
	w.in = rd_init(data_in, size < 512 ? size : 512);
	mem = start(&w, rd_u8(&w.in));
	while (rd_left(&w.in))
		step(&w);
	while (!pim_stop(w.e, w.now, &w.out))
		check(&w);
	check(&w);
	free(mem);
	return 0;
}
