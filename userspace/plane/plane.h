/* SPDX-License-Identifier: MIT */
/*
 * The kernel side of the relay as main sees it: the BPF object, its pinned maps, the links that
 * hold the classifier on interfaces. Nothing here decides; it does what it is told and reports
 * what the kernel said. Layout: include/mcr/abi.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
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
 * Loads the object and pins its maps in `pin_dir` (created; /sys/fs/bpf/mcr/<instance>). Maps that
 * an earlier process of this instance left there are taken over with what is in them, so that what
 * it forwards goes on, if they have the present layout; otherwise they are replaced, unread. Links
 * that are still pinned get the new program atomically when plane_attach meets their interface
 * again. When no bpffs is mounted there, mounts one. -errno with a sentence in `d`.
 */
int plane_open(struct plane **out, const char *pin_dir, const char *instance, struct diag *d);

/* Detaches everything, removes the pins and the directory. NULL is fine. */
void plane_close(struct plane *p);

/* Lets go of everything and leaves it as it is, forwarding. */
void plane_leave(struct plane *p);

/* Without plane_open: removes what an earlier process has left in `pin_dir`. 0 or -errno. */
int plane_remove(const char *pin_dir, struct diag *d);

/*
 * Once main has written all that shall be: removes inherited rules, interfaces that are not in use,
 * and pinned links that no plane_attach has claimed. The rows of inherited rules stay as they are;
 * plane_legacy_next names them, one after the other, so that their counts can be folded.
 */
typedef bool (*plane_ifindex_fn)(const void *arg, uint32_t ifindex);
void plane_sweep(struct plane *p, plane_ifindex_fn is_in_use, const void *arg);

struct plane_legacy_rule {
	uint32_t row, slot; /* slot UINT32_MAX: not known */
	uint32_t n_outputs, output_rows[MCR_MAX_OUTPUTS], ifindexes[MCR_MAX_OUTPUTS];
};
bool plane_legacy_next(struct plane *p, struct plane_legacy_rule *out);

/* A rule that the kernel went by meanwhile, as far as the kernel knows it. */
struct plane_inherited_rule {
	struct mcr_rule_key key;
	char name[MCR_NAME_LEN]; /* cut */
	unsigned n_outputs;	 /* 0: it drops */
	uint32_t ifindexes[MCR_MAX_OUTPUTS];
};
/* The next of them; *at begins as 0. Before their counts are folded. */
bool plane_inherited_next(struct plane *p, size_t *at, struct plane_inherited_rule *out);

/* Rows and slots that are taken by what was inherited; the slot of an interface, or −1. */
bool plane_is_inherited(const struct plane *p); /* anything at all */
bool plane_row_is_inherited(const struct plane *p, uint32_t rule);
bool plane_output_is_inherited(const struct plane *p, uint32_t output);
bool plane_slot_is_inherited(const struct plane *p, uint32_t slot);
int plane_inherited_slot(const struct plane *p, const char *name);

/*
 * Names an interface to the programs, so that its frames are counted in `slot`. `tells` has a bit
 * for each enum mcr_stage that is to tell of frames there.
 */
int plane_iface_set(struct plane *p, uint32_t ifindex, uint32_t slot, const char *name,
		    uint32_t tells, struct diag *d);
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

/* The id of a program of somebody else's that holds the hook now, and how it runs; 0 = none. */
uint32_t plane_foreign(struct plane *p, const char *name, uint32_t ifindex, enum plane_mode *mode);

/*
 * Rules. Entries with ifindex 0 (the flow is known somewhere) and the map of destinations follow
 * by themselves. Setting an existing key replaces its value atomically.
 */
int plane_rule_set(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule,
		   struct diag *d);
void plane_rule_del(struct plane *p, const struct mcr_rule_key *key);

/*
 * Egress sets, for rules on the datapath xdp: lists of up to MCR_MAX_OUTPUTS interfaces, shared by
 * those who name the same ones in the same order. A new one is in force at once, unless so many
 * are wanted at a time that none is at hand. One that is given back may be named by frames that are
 * on their way; it is emptied a second later, by the ticks (one a second).
 */
int plane_set_get(struct plane *p, const uint32_t *ifindexes, unsigned n, uint32_t *set,
		  struct diag *d);
void plane_set_put(struct plane *p, uint32_t set);
void plane_sets_tick(struct plane *p);

/* The kernel has taken the interface out of all sets: whoever names it again gets another set. */
void plane_sets_interface_gone(struct plane *p, uint32_t ifindex);

/* What becomes of the copies of a rule (by its dense index) that leave by an interface. */
int plane_rewrite_set(struct plane *p, uint32_t rule, uint32_t ifindex,
		      const struct mcr_rewrite *to, struct diag *d);
void plane_rewrite_del(struct plane *p, uint32_t rule, uint32_t ifindex);

/* Addresses of this host, for the loop guard of rules that accept TTL 1. A set: no counting. */
int plane_local_add(struct plane *p, struct ip4 addr);
void plane_local_del(struct plane *p, struct ip4 addr);
unsigned plane_locals(struct plane *p, struct ip4 *out, unsigned cap); /* those that there are */

/* The worker's socket for (slot, queue). The kernel empties the entry when the socket dies. */
int plane_xsk_set(struct plane *p, uint32_t slot, uint32_t queue, int xsk_fd, struct diag *d);
void plane_xsk_del(struct plane *p, uint32_t slot, uint32_t queue);

/* The program to attach to a packet socket with SO_ATTACH_BPF. */
int plane_packet_filter_fd(const struct plane *p);
int plane_idle_filter_fd(const struct plane *p); /* while its worker is not there */

/*
 * What the programs tell of. The descriptor is readable while there is something; plane_punts gives
 * at most `most` records to `take`, and tells how many there were.
 */
typedef void (*plane_punt_fn)(void *arg, const struct mcr_punt *punt);
int plane_punts_fd(const struct plane *p);
unsigned plane_punts(struct plane *p, unsigned most, plane_punt_fn take, void *arg);

/* Totals over all CPUs. */
int plane_verdicts(struct plane *p, uint32_t slot, enum mcr_stage stage, struct mcr_verdicts *out);
int plane_rule_stats(struct plane *p, uint32_t rule, struct mcr_rule_stats *out);
int plane_output_stats(struct plane *p, uint32_t output, struct mcr_output_stats *out);
/* What interfaces did with the copies of frames that came in at a slot. */
void plane_xmit_stats(struct plane *p, uint32_t slot, struct mcr_xmit_stats *out);

/* What became of what there was to tell; full_at_ns is of no meaning there. */
void plane_punt_stats(struct plane *p, struct mcr_punt_stats *out);

/* For an interface that has the slot now and had it not before: its counters begin at 0. */
void plane_slot_clear(struct plane *p, uint32_t slot);

/* The rule statistics of rows 0 to n − 1, read at once; `out` has room for n. */
int plane_rule_stats_all(struct plane *p, uint32_t n, struct mcr_rule_stats *out);
int plane_output_stats_all(struct plane *p, uint32_t n, struct mcr_output_stats *out);

/*
 * Before a row is used again: what it has counted for copies made in the kernel goes to its
 * interface's `folded` account, and it is clean. Nothing may write it any more.
 */
void plane_rows_fold(struct plane *p, uint32_t slot, uint32_t rule, const uint32_t *outputs,
		     unsigned n_outputs);
int plane_folded(struct plane *p, uint32_t slot, struct mcr_folded *out);
