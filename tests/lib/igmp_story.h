/* SPDX-License-Identifier: MIT */
/* For tests that tell a story of one IGMP engine: its port 0 is 10.0.0.5/24, and up. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "igmp_lab.h"

#define G   ADDR(239, 1, 1, 1)
#define SSM ADDR(232, 1, 1, 1)
#define S1  ADDR(198, 18, 9, 1)
#define S2  ADDR(198, 18, 9, 2)
#define ANY ((struct ip4){ 0 })
#define H1  ADDR(10, 0, 0, 71)
#define H2  ADDR(10, 0, 0, 72)

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A story may change the settings before it begins. */
static struct lab l;
static struct igmp_config cfg;
static struct igmp_port_config port;

static inline int setup(void **state)
{
	cfg = igmp_config_default();
	cfg.max_ports = 4;
	cfg.max_groups = cfg.max_sources = cfg.max_hosts = 2000;
	port = igmp_port_config_default();
	return 0;
}

static inline void start(void)
{
	lab_open(&l, &cfg);
	lab_port(&l, 0, 5, &port);
}

static inline int teardown(void **state)
{
	struct igmp_stats all = *igmp_stats(l.e);

	lab_balance(&all);
	lab_close(&l);
	return 0;
}

static inline void past_startup(void)
{
	lab_pass(&l, 40000);
	lab_forget(&l);
}

static inline enum igmp_drop report(struct ip4 host, uint8_t type, struct ip4 group)
{
	return lab_report(&l, 0, host, type, group, NULL, 0);
}

static inline enum igmp_drop report1(struct ip4 host, uint8_t type, struct ip4 group,
				     struct ip4 source)
{
	return lab_report(&l, 0, host, type, group, &source, 1);
}

static inline struct igmp_port_view view_of(uint32_t at)
{
	struct igmp_port_view p;

	assert_true(igmp_port_show(l.e, at, l.now, &p));
	return p;
}

static inline struct igmp_port_view view(void)
{
	return view_of(0);
}
