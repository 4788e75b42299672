/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's generic netlink family "netdev" tells of a device: which XDP features it has
 * now (Documentation/netlink/specs/netdev.yaml; since Linux 6.3).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "edge/loop.h"

/* Takes frames that another device redirects to it. */
#define NETDEV_CAN_TAKE 4u /* NETDEV_XDP_ACT_NDO_XMIT */

struct netdev;

/* The features of a device may have changed. */
typedef void (*netdev_fn)(void *arg, struct mtime now, uint32_t ifindex);

/* Where the kernel does not have the family, there is nothing to learn: still 0. Else -errno. */
int netdev_open(struct netdev **out, struct loop *l, netdev_fn fn, void *arg);
void netdev_close(struct netdev *n);

/* Asks the kernel now. 0 when the device is gone or the kernel does not tell. */
uint64_t netdev_features(struct netdev *n, uint32_t ifindex);
