/* SPDX-License-Identifier: MIT */
/*
 * What a report costs the IGMP engine, with 10,000 groups of one source each: nanoseconds for
 * joins, refreshes and leaves, and bytes of memory. Prints; judges nothing.
 */
#include <time.h>

#include "../lib/igmp_lab.h"

#define GROUPS 10000

static struct lab l;
static struct actions out;
static struct igmp_packet packets[GROUPS];

static double clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void prepare(uint8_t type)
{
	struct ip4 source = ADDR(198, 18, 9, 1);

	for (uint32_t i = 0; i < GROUPS; i++) {
		igmp_packet_report(&packets[i]);
		igmp_packet_record(&packets[i], type, ip4_from_host(0xe8010000 + i), &source,
				   type == IGMP_TO_IN ? 0 : 1);
	}
}

/* All groups once, spread over `seconds`, as the daemon would: input, tick when due, empty the
 * list. */
static void round_of(const char *name, uint8_t type, int64_t seconds)
{
	struct igmp_rx rx = { .source = ADDR(10, 0, 0, 77), .ttl = 1 };
	struct mtime step = { seconds * 1000000 / GROUPS };
	unsigned long n_actions = 0;
	double began;

	prepare(type);
	began = clock_ns();
	for (uint32_t i = 0; i < GROUPS; i++) {
		l.now = mtime_add(l.now, step);
		rx.data = packets[i].bytes;
		rx.len = packets[i].len;
		LAB_DEMAND(igmp_input(l.e, l.now, &rx, &out) == IGMP_ACCEPTED);
		n_actions += out.n;
		actions_clear(&out);
		while (igmp_next(l.e).us <= l.now.us) {
			igmp_tick(l.e, l.now, &out);
			n_actions += out.n;
			actions_clear(&out);
		}
	}
	printf("%-8s %6.0f ns a report, %lu actions\n", name, (clock_ns() - began) / GROUPS,
	       n_actions);
}

int main(void)
{
	struct igmp_config cfg = igmp_config_default();
	struct igmp_port_config port = igmp_port_config_default();

	cfg.max_ports = 1;
	cfg.max_groups = cfg.max_sources = cfg.max_hosts = GROUPS;
	port.max_groups = GROUPS;
	port.rate_pps = 1000000;
	port.rate_burst = 1000000;
	port.track_hosts = true;
	lab_open(&l, &cfg);
	lab_port(&l, 0, 1, &port);
	round_of("join", IGMP_ALLOW, 10);
	for (int i = 0; i < 5; i++)
		round_of("refresh", IGMP_IS_IN, 125);
	round_of("leave", IGMP_TO_IN, 10);
	printf("memory   %6zu bytes for each (S,G), host tracked\n", l.size / GROUPS);
	lab_close(&l);
	return 0;
}
