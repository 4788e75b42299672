/* SPDX-License-Identifier: MIT */
/* The ethtool ioctls. Devices are named, so an answer may be that of a device renamed meanwhile. */
#include "edge/ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FEATURES_MAX 4096
#define BLOCKS_MAX   (FEATURES_MAX / 32)

static int ethtool_ask(const struct ethtool *e, const char *device, void *command)
{
	struct ifreq ifr = { .ifr_data = command };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	return ioctl(e->fd, SIOCETHTOOL, &ifr) ? -errno : 0;
}

int ethtool_open(struct ethtool *e)
{
	*e = (struct ethtool){ .gso_bit = -1 };
	e->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return e->fd < 0 ? -errno : 0;
}

void ethtool_close(struct ethtool *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

/* How many features this kernel has names for; 0 = it does not say. */
static uint32_t features_count(const struct ethtool *e, const char *device)
{
	_Alignas(struct ethtool_sset_info) char room[sizeof(struct ethtool_sset_info) + 4] = { 0 };
	struct ethtool_sset_info *info = (struct ethtool_sset_info *)room;
	uint32_t n = 0;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = 1u << ETH_SS_FEATURES;
	if (!ethtool_ask(e, device, info) && info->sset_mask)
		memcpy(&n, room + sizeof(*info), sizeof(n));
	return n <= FEATURES_MAX ? n : 0;
}

/* The names of the features are the kernel's and the same for all devices: any device will do. */
static void gso_bit_find(struct ethtool *e, const char *device)
{
	uint32_t n = features_count(e, device);
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);

	if (!n || !names)
		goto out;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	if (ethtool_ask(e, device, names))
		goto out;
	e->n_blocks = (n + 31) / 32;
	for (uint32_t i = 0; i < n && e->gso_bit < 0; i++)
		if (!strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN,
			     "tx-udp-segmentation", ETH_GSTRING_LEN))
			e->gso_bit = (int)i;
out:
	free(names);
}

bool ethtool_has_udp_gso(struct ethtool *e, const char *device)
{
	_Alignas(struct ethtool_gfeatures) char
		room[sizeof(struct ethtool_gfeatures) +
		     BLOCKS_MAX * sizeof(struct ethtool_get_features_block)] = { 0 };
	struct ethtool_gfeatures *features = (struct ethtool_gfeatures *)room;

	if (!e->n_blocks)
		gso_bit_find(e, device);
	if (e->gso_bit < 0)
		return false;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = e->n_blocks;
	if (ethtool_ask(e, device, features))
		return false;
	return features->features[e->gso_bit / 32].active >> (e->gso_bit % 32) & 1;
}

uint32_t ethtool_rx_queues(const struct ethtool *e, const char *device, uint32_t possible)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	uint32_t used;

	if (ethtool_ask(e, device, &channels))
		return possible;
	used = channels.rx_count + channels.combined_count;
	return used && used < possible ? used : possible;
}
