/* SPDX-License-Identifier: MIT */
/* What only the ethtool ioctls tell of a device. A device that does not answer has nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/host.h"

struct ethtool {
	int fd;             /* of the network namespace that it was opened in */
	int gso_bit;        /* of tx-udp-segmentation among the features; −1 = unknown here */
	unsigned n_blocks;  /* of 32 features; 0 = not looked up yet */
};

int ethtool_open(struct ethtool *e); /* 0 or -errno; close after a failure is fine */
void ethtool_close(struct ethtool *e);

/* Whether the device feature tx-udp-segmentation is on. */
bool ethtool_has_udp_gso(struct ethtool *e, const char *device);

/* How a feature of the device is, by the kernel's name for it; FIXED: off, and stays so. */
enum host_feature ethtool_feature(struct ethtool *e, const char *device, const char *name);

/* Switches it; 0 or -errno. */
int ethtool_feature_set(struct ethtool *e, const char *device, const char *name, bool on);

/* Receive queues in use, of so many that there could be. */
uint32_t ethtool_rx_queues(const struct ethtool *e, const char *device, uint32_t possible);
