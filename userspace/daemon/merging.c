/* SPDX-License-Identifier: MIT */
/*
 * Merging on receive. A packet socket is paid for by the frame, so it is worth much that the
 * kernel merges datagrams of one flow before it (GRO): up to 64, each with its bounds kept. For
 * datagrams that no socket of this host reads it does so only where the device's feature
 * rx-udp-gro-forwarding is on. It is switched on where rules run on afpacket, and off again where
 * none does any more. What was switched on is remembered in the state directory first, so that
 * a process that was killed leaves it to the next one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"
#include "edge/ethtool.h"
#include "edge/log.h"
#include "edge/statefile.h"

#define FEATURE	  "rx-udp-gro-forwarding"
#define FILE_NAME "merging"

/* A line for each: "IFINDEX NAME". An interface that is made anew is another one. */
static int merging_save(struct relay *r, struct diag *d)
{
	char text[MCR_MAX_IFACES * (IFNAME_LEN + 12)];
	size_t len = 0;

	for (unsigned i = 0; i < r->n_merging; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%" PRIu32 " %s\n",
					r->merging[i].ifindex, r->merging[i].name);
	return statefile_save(r->paths.state_dir, FILE_NAME, text, len, d);
}

static void merging_add(struct relay *r, uint32_t ifindex, const char *name)
{
	struct merging *m = &r->merging[r->n_merging++];

	m->ifindex = ifindex;
	snprintf(m->name, sizeof(m->name), "%s", name);
}

int merging_open(struct relay *r)
{
	struct diag d = { 0 };
	char *text, *at, *rest;
	size_t len;
	int err = ethtool_open(&r->ethtool);

	if (err)
		return err;
	err = statefile_load(r->paths.state_dir, FILE_NAME, &text, &len, &d);
	if (err) {
		if (err != -ENOENT)
			log_warning(LOG_F_network, "what was merged before is not known: %s",
				    d.what);
		return 0;
	}
	for (at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		uint32_t ifindex;
		char name[IFNAME_LEN];

		if (r->n_merging < MCR_MAX_IFACES &&
		    sscanf(at, "%" SCNu32 " %15s", &ifindex, name) == 2)
			merging_add(r, ifindex, name);
	}
	free(text);
	return 0;
}

static bool is_merging(const struct relay *r, uint32_t ifindex)
{
	for (unsigned i = 0; i < r->n_merging; i++)
		if (r->merging[i].ifindex == ifindex)
			return true;
	return false;
}

static bool is_wanted(const struct relay *r, uint32_t ifindex)
{
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (r->ports[i].ifindex == ifindex && r->ports[i].users[MCR_DP_AFPACKET])
			return true;
	return false;
}

static void switch_off(struct relay *r, const struct merging *m)
{
	const struct netif *ni = netif_by_index(r->netifs, m->ifindex);
	int err = ni ? ethtool_feature_set(&r->ethtool, ni->name, FEATURE, false) : 0;

	if (err)
		log_warning(LOG_F_network, "%s: " FEATURE " stays on: %s", m->name, strerror(-err));
	else
		log_info(LOG_F_network, "%s: " FEATURE " is off again", m->name);
}

static bool drop_unwanted(struct relay *r)
{
	unsigned before = r->n_merging, n = 0;

	for (unsigned i = 0; i < before; i++) {
		if (is_wanted(r, r->merging[i].ifindex))
			r->merging[n++] = r->merging[i];
		else
			switch_off(r, &r->merging[i]);
	}
	r->n_merging = n;
	return n != before;
}

/* Each interface once: who switches it off meanwhile is to have it so. */
static void add_wanted(struct relay *r)
{
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++) {
		struct port *p = &r->ports[i];
		uint32_t ifindex = p->users[MCR_DP_AFPACKET] ? p->ifindex : 0;

		if (p->merging_ifindex == ifindex)
			continue;
		p->merging_ifindex = ifindex;
		if (ifindex && !is_merging(r, ifindex) && r->n_merging < MCR_MAX_IFACES &&
		    ethtool_feature(&r->ethtool, p->name, FEATURE) == HOST_FEATURE_OFF)
			merging_add(r, ifindex, p->name);
	}
}

void merging_tick(struct relay *r)
{
	bool has_changed = drop_unwanted(r);
	unsigned known = r->n_merging;
	struct diag d;

	add_wanted(r);
	if (!has_changed && r->n_merging == known)
		return;
	if (merging_save(r, &d)) {
		log_warning(LOG_F_network, "nothing more is merged, as it could not be undone: %s",
			    d.what);
		r->n_merging = known;
	}
	for (unsigned i = known; i < r->n_merging; i++) {
		const struct merging *m = &r->merging[i];
		int err = ethtool_feature_set(&r->ethtool, m->name, FEATURE, true);

		if (err)
			log_warning(LOG_F_network, "%s: cannot switch on " FEATURE ": %s", m->name,
				    strerror(-err));
		else
			log_notice(LOG_F_network,
				   "%s: " FEATURE " switched on, for rules on afpacket", m->name);
	}
}

void merging_close(struct relay *r)
{
	struct diag d;
	unsigned n = r->n_merging;

	for (unsigned i = 0; i < n; i++)
		switch_off(r, &r->merging[i]);
	r->n_merging = 0;
	if (n && merging_save(r, &d))
		log_warning(LOG_F_network, "%s", d.what);
	ethtool_close(&r->ethtool);
}
