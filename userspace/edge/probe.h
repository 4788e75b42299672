/* SPDX-License-Identifier: MIT */
/*
 * How this host and its interfaces are set up, read from the kernel now, in this process' network
 * namespace. Starts no program, and does not wait but for the kernel.
 */
#pragma once

#include "base/host.h"
#include "edge/ethtool.h"

struct mnl_socket;

struct probe {
	struct ethtool ethtool;
	struct mnl_socket *route;
};

int probe_open(struct probe *p); /* 0 or -errno; close after a failure is fine */
void probe_close(struct probe *p);

/* All of it but has_io_uring. `pins`: where mcrd has its pins. */
void probe_host(const char *pins, struct host *out);

/* Of an interface by out->name: what only the kernel knows. */
void probe_port(struct probe *p, uint32_t ifindex, struct host_port *out);
