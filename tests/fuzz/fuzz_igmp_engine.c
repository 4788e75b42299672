/* SPDX-License-Identifier: MIT */
/*
 * The IGMP engine through any sequence of packets, time, links, settings, in tables that are small
 * enough to be full. Wishes and joins come and go in turn, counters add up; in the end, with all
 *links down and nothing set, nothing may be left. An input is a list of
 *
 *	what (1) · how long after the last (1, in its own unit) · arguments (2) · length (1) · bytes
 */
#include "../lib/igmp_lab.h"

#define PORTS 3

enum what { RAW, RECORD, SHORT, QUERY, LINK, SET, STATIC, UPSTREAM, WHAT__COUNT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lab l;

static struct ip4 host_of(uint8_t n)
{
	return n & 7 ? ADDR(10, 0, 0, n & 7) : (struct ip4){ 0 };
}

static struct ip4 group_of(uint8_t n)
{
	return ADDR(n & 4 ? 232 : 239, 1, 1, n & 3);
}

static size_t list_of(struct rd *r, struct ip4 *out)
{
	size_t n = 0;

	while (rd_left(r) && n < 60)
		out[n++] = ADDR(198, 18, 9, rd_u8(r) & 31);
	return n;
}

static void do_raw(uint32_t port, uint8_t host, struct rd *r)
{
	static struct igmp_packet p;

	p.len = rd_left(r);
	rd_bytes(r, p.bytes, p.len);
	if (p.len >= 8 && host & 0x80)
		igmp_packet_seal(&p);
	lab_input(&l, port, host_of(host), &p);
}

/* A port as the bits say; each of them is a setting that changes what happens. */
static void do_set(uint32_t port, uint8_t bits, struct rd *r)
{
	static struct igmp_access access[PORTS][2];
	struct igmp_port_config cfg = igmp_port_config_default();
	uint8_t more = rd_u8(r);

	access[port][0] = (struct igmp_access){ .group = { group_of(more), 32 },
						.source = { ADDR(198, 18, 9, more & 31), 32 } };
	access[port][1] = (struct igmp_access){ .is_permit = true };
	cfg.mode = (enum igmp_mode)(bits & 3);
	cfg.version = 1 + (bits >> 2) % 3;
	cfg.robustness = rd_u8(r);
	cfg.fast_leave = bits & 0x10;
	cfg.track_hosts = bits & 0x20;
	cfg.is_proxied = bits & 0x40;
	cfg.require_local_hosts = bits & 0x80;
	cfg.max_groups = 1 + (more & 7);
	cfg.max_sources = 1 + (more >> 3 & 15);
	cfg.max_hosts = more >> 5;
	cfg.n_access = more & 1 ? 2 : 0;
	cfg.access = access[port];
	igmp_port_set(l.e, l.now, port, &cfg, &lab_out);
	lab_settle(&l);
}

static void do_link(uint32_t port, uint8_t bits)
{
	struct igmp_link link = { .is_up = bits & 1,
				  .address = bits & 2 ? ADDR(10, 0, 0, bits >> 2 & 7)
						      : (struct ip4){ 0 },
				  .prefix_len = 24,
				  .mtu = bits & 0x80 ? 100 : 1500 };

	igmp_link(l.e, l.now, port, &link, &lab_out);
	lab_settle(&l);
}

static void do_query(uint32_t port, uint8_t a, uint8_t b, struct rd *r)
{
	struct igmp_query q = { .version = 1 + b % 3,
				.group = b & 8 ? group_of(b >> 4) : (struct ip4){ 0 },
				.response_ds = b,
				.suppress = b & 0x80,
				.robustness = a >> 3 & 7,
				.interval_s = a };
	struct ip4 sources[60];

	if (q.version == 3)
		q.n_sources = (uint16_t)list_of(r, sources);
	lab_query(&l, port, host_of(a), q, sources);
}

static void do_static(uint32_t port, uint8_t a, uint8_t b)
{
	struct sg sg = { .group = group_of(a) };

	if (b & 1)
		sg.source = ADDR(198, 18, 9, b >> 3);
	igmp_static_set(l.e, l.now, port, sg, a >> 6, &lab_out);
	lab_settle(&l);
}

static void act(uint8_t what, uint8_t a, uint8_t b, struct rd r)
{
	static const uint8_t types[] = { IGMP_V1_REPORT, IGMP_V2_REPORT, IGMP_V2_LEAVE, 0x1f };
	uint32_t port = a >> 3 & 3;
	struct ip4 sources[60];

	if (port == PORTS && what > QUERY)
		return;
	switch ((enum what)(what % WHAT__COUNT)) {
	case RAW:
		do_raw(port, a, &r);
		break;
	case RECORD:
		lab_report(&l, port, host_of(a), b & 7, group_of(b >> 3), sources,
			   list_of(&r, sources));
		break;
	case SHORT:
		lab_short(&l, port, host_of(a), types[b & 3], 0, group_of(b >> 3));
		break;
	case QUERY:
		do_query(port, a, b, &r);
		break;
	case LINK:
		do_link(port % PORTS, b);
		break;
	case SET:
		do_set(port % PORTS, b, &r);
		break;
	case STATIC:
		do_static(port % PORTS, a, b);
		break;
	case UPSTREAM:
		igmp_upstream_set(l.e, l.now, b & 3 ? b & 3 : IGMP_NO_PORT, &lab_out);
		lab_settle(&l);
		break;
	case WHAT__COUNT:
		break;
	}
}

/* Units from a millisecond to a minute and a half. */
static void wait(uint8_t t)
{
	static const int32_t unit_ms[] = { 1, 50, 1500, 90000 };

	lab_pass(&l, (int64_t)(t >> 2) * unit_ms[t & 3]);
}

/* Walks all that can be seen. */
static void look(void)
{
	struct igmp_group_view g;
	struct igmp_source_view s;
	struct igmp_host_view h;

	for (uint32_t port = 0; port < PORTS; port++) {
		struct igmp_cursor at = { 0 };

		while (igmp_group_show(l.e, port, l.now, &at, &g)) {
			struct igmp_cursor sources = { 0 }, hosts = { 0 };
			uint32_t n_sources = 0, n_hosts = 0;

			while (igmp_source_show(&at, l.now, &sources, &s))
				n_sources++;
			while (igmp_host_show(&at, &hosts, &h))
				n_hosts++;
			LAB_DEMAND(n_sources == g.n_sources && n_hosts == g.n_hosts);
		}
	}
}

/* Takes everything back. */
static void end(void)
{
	look();
	lab_balance(igmp_stats(l.e));
	for (uint32_t port = 0; port < PORTS; port++) {
		for (unsigned g = 0; g < 8; g++) {
			do_static(port, (uint8_t)g, 0);
			for (unsigned s = 0; s < 32; s++)
				do_static(port, (uint8_t)g, (uint8_t)(s << 3 | 1));
		}
		do_link(port, 0);
	}
	LAB_DEMAND(l.n_members == 0);
	LAB_DEMAND(!igmp_usage(l.e).groups.used && !igmp_usage(l.e).sources.used);
	LAB_DEMAND(!igmp_usage(l.e).hosts.used);
	LAB_DEMAND(igmp_next(l.e).us > l.now.us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct igmp_config cfg = igmp_config_default();

	cfg.max_ports = PORTS;
	cfg.max_groups = 6;
	cfg.max_sources = 24;
	cfg.max_hosts = 8;
	cfg.has_proxy = true;
	lab_open(&l, &cfg);
	for (uint32_t port = 0; port < PORTS; port++) {
		struct rd none = rd_init("\0\2", 2);

		do_set(port, port == 1 ? 0x4b : 0x1b, &none);
		do_link(port, 3 | 5 << 2);
	}
	for (int n = 0; rd_left(&r) && n < 200; n++) {
		uint8_t what = rd_u8(&r), t = rd_u8(&r), a = rd_u8(&r), b = rd_u8(&r);
		uint8_t len = rd_u8(&r);

		wait(t);
		act(what, a, b, rd_sub(&r, len < rd_left(&r) ? len : rd_left(&r)));
	}
	end();
	lab_close(&l);
	return 0;
}
