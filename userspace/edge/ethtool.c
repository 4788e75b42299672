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

/* Its place among the features, −1 = there is none of that name. The names are the kernel's and the
 * same for all devices: any device will do. */
static int feature_find(struct ethtool *e, const char *device, const char *name)
{
	uint32_t n = features_count(e, device);
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	int at = -1;

	if (!n || !names)
		goto out;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	if (ethtool_ask(e, device, names))
		goto out;
	e->n_blocks = (n + 31) / 32;
	for (uint32_t i = 0; i < n && at < 0; i++)
		if (!strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
			     ETH_GSTRING_LEN))
			at = (int)i;
out:
	free(names);
	return at;
}

static enum host_feature feature_read(const struct ethtool *e, const char *device, int bit)
{
	_Alignas(struct ethtool_gfeatures) char
		room[sizeof(struct ethtool_gfeatures) +
		     BLOCKS_MAX * sizeof(struct ethtool_get_features_block)] = { 0 };
	struct ethtool_gfeatures *features = (struct ethtool_gfeatures *)room;
	const struct ethtool_get_features_block *block = &features->features[bit / 32];

	features->cmd = ETHTOOL_GFEATURES;
	features->size = e->n_blocks;
	if (bit < 0 || ethtool_ask(e, device, features))
		return HOST_FEATURE_FIXED;
	if (block->active >> (bit % 32) & 1)
		return HOST_FEATURE_ON;
	if ((block->available & ~block->never_changed) >> (bit % 32) & 1)
		return HOST_FEATURE_OFF;
	return HOST_FEATURE_FIXED;
}

bool ethtool_has_udp_gso(struct ethtool *e, const char *device)
{
	if (!e->n_blocks)
		e->gso_bit = feature_find(e, device, "tx-udp-segmentation");
	return feature_read(e, device, e->gso_bit) == HOST_FEATURE_ON;
}

enum host_feature ethtool_feature(struct ethtool *e, const char *device, const char *name)
{
	return feature_read(e, device, feature_find(e, device, name));
}

int ethtool_feature_set(struct ethtool *e, const char *device, const char *name, bool on)
{
	_Alignas(struct ethtool_sfeatures) char
		room[sizeof(struct ethtool_sfeatures) +
		     BLOCKS_MAX * sizeof(struct ethtool_set_features_block)] = { 0 };
	struct ethtool_sfeatures *features = (struct ethtool_sfeatures *)room;
	struct ethtool_set_features_block *block;
	int bit = feature_find(e, device, name), err;

	if (bit < 0)
		return -EOPNOTSUPP;
	features->cmd = ETHTOOL_SFEATURES;
	features->size = e->n_blocks;
	block = &features->features[bit / 32];
	block->valid = 1u << bit % 32;
	block->requested = on ? block->valid : 0;
	err = ethtool_ask(e, device, features);
	if ((feature_read(e, device, bit) == HOST_FEATURE_ON) == on)
		return 0;
	return err ? err : -EOPNOTSUPP; /* it may take the wish and not follow it */
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
