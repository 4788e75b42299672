/* SPDX-License-Identifier: MIT */
/*
 * The kernel side of the relay as main sees it: the BPF object, its pinned maps, the links that
 * hold the classifier on interfaces. Nothing here decides; it does what it is told and reports
 * what the kernel said. Layout: include/mcr/abi.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/ip4.h"
#include "mcr/abi.h"

struct plane;

enum plane_mode { PLANE_DETACHED, PLANE_NATIVE, PLANE_GENERIC };

struct plane_attached {
	enum plane_mode mode;
	char note[160];            /* why not native, or who holds the hook; "" = nothing */
};

/*
 * Loads the object and pins its maps in `pin_dir` (created; /sys/fs/bpf/mcr/<instance>). What an
 * earlier process left there is replaced, never read: links that are still pinned get the new
 * program atomically when plane_attach meets their interface again, and plane_sweep removes the
 * rest. When no bpffs is mounted there, mounts one. -errno with a sentence in `d`.
 */
int plane_open(struct plane **out, const char *pin_dir, const char *instance, struct diag *d);

/* Detaches everything, removes the pins and the directory. NULL is fine. */
void plane_close(struct plane *p);

/* Removes pinned links that no plane_attach has claimed since plane_open. */
void plane_sweep(struct plane *p);

/* Names an interface to the programs, so that its frames are counted in `slot`. */
int plane_iface_set(struct plane *p, uint32_t ifindex, uint32_t slot, const char *name,
		    struct diag *d);
void plane_iface_del(struct plane *p, uint32_t ifindex);

/*
 * Puts the classifier on an interface by a link pinned as links/<name>: native mode first, then
 * generic. When a foreign program holds the hook: -EBUSY, its id and name in info->note.
 */
int plane_attach(struct plane *p, uint32_t ifindex, const char *name, struct plane_attached *info,
		 struct diag *d);
void plane_detach(struct plane *p, const char *name);

/* False when the link has lost its interface or was forced off (the pin alone says nothing). */
bool plane_is_attached(struct plane *p, const char *name, uint32_t ifindex);

/*
 * Rules. Entries with ifindex 0 (the flow is known somewhere) and the map of destinations follow
 * by themselves. Setting an existing key replaces its value atomically.
 */
int plane_rule_set(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule,
		   struct diag *d);
void plane_rule_del(struct plane *p, const struct mcr_rule_key *key);

/* Addresses of this host, for the loop guard of rules that accept TTL 1. A set: no counting. */
int plane_local_add(struct plane *p, struct ip4 addr);
void plane_local_del(struct plane *p, struct ip4 addr);

/* The worker's socket for (slot, queue). The kernel empties the entry when the socket dies. */
int plane_xsk_set(struct plane *p, uint32_t slot, uint32_t queue, int xsk_fd, struct diag *d);
void plane_xsk_del(struct plane *p, uint32_t slot, uint32_t queue);

/* The program to attach to a packet socket with SO_ATTACH_BPF. */
int plane_packet_filter_fd(const struct plane *p);
int plane_idle_filter_fd(const struct plane *p); /* while its worker is not there */

/* Totals over all CPUs. */
int plane_verdicts(struct plane *p, uint32_t slot, enum mcr_stage stage, struct mcr_verdicts *out);
int plane_rule_stats(struct plane *p, uint32_t rule, struct mcr_rule_stats *out);
void plane_rule_stats_clear(struct plane *p, uint32_t rule); /* before an index is used again */
