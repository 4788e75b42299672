/* SPDX-License-Identifier: MIT */
/* What the files of plane/ share and nobody else sees. */
#pragma once

#include "plane/plane.h"

#include <stddef.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "bpf/mcr_xdp.skel.h"
#pragma GCC diagnostic pop

#define PLANE_DIR_MAX  200
#define PLANE_PATH_MAX 256 /* a pin_dir and any of our names below it */

/* A link that we hold, pinned as links/<name>. */
struct plane_link {
	char name[16];
	int fd;
	bool is_leftover; /* found pinned at the start and not claimed since */
	struct plane_attached info;
};

#define PLANE_XMIT_PIN	 "xmit"
#define PLANE_BATCH	 256 /* elements of an array read in a call */
#define PLANE_COOL_TICKS 2 /* a second at least: no frame is on its way any more */

/* plane_inherit.c: what an earlier process had in the maps */
struct plane_inherited {
	struct mcr_rule_key key; /* ifindex 0: the rule is gone already */
	uint32_t row, slot;
};

struct plane_inherited_output {
	uint32_t ifindex, output;
	uint32_t next; /* of the same rule: index + 1, 0 = none */
};

struct plane_legacy {
	struct plane_inherited *rules;
	struct plane_inherited_output *outputs;
	size_t n_rules, n_outputs, n_ifaces;
	uint32_t first_output[MCR_MAX_RULES]; /* by the rule's row: index + 1 */
	uint8_t row_is_taken[MCR_MAX_RULES / 8], output_is_taken[MCR_MAX_OUTPUT_ROWS / 8];
	struct mcr_iface ifaces[MCR_MAX_IFACES];
	uint32_t ifindexes[MCR_MAX_IFACES];
};

#define PLANE_SET_SIZES	  4
#define PLANE_SET_BUCKETS 4096

/* plane_sets.c; one that is not in use is empty */
struct plane_set {
	int fd; /* of the DEVMAP, −1 = not made yet */
	uint8_t class, idle_ticks;
	bool is_listed;	   /* in by_list */
	bool is_inherited; /* some rule of an earlier process is at this index */
	uint16_t n;
	uint32_t users;
	struct plane_set *next; /* in by_list, or among the spares */
	uint32_t ifindexes[MCR_MAX_OUTPUTS];
};

struct plane_sets {
	struct plane_set *all; /* by index in egress_sets */
	struct plane_set *by_list[PLANE_SET_BUCKETS], *spare[PLANE_SET_SIZES];
	unsigned n_made; /* those from here on are not */
	unsigned legacy_ticks;
	unsigned n_spare[PLANE_SET_SIZES], n_used[PLANE_SET_SIZES];
};

struct plane {
	struct mcr_xdp *skel;
	char pin_dir[PLANE_DIR_MAX];
	int lock;      /* descriptor of pin_dir, locked; −1 = none */
	bool owns_dir; /* from here on, what is in pin_dir is ours to remove */

	struct plane_link *links; /* MCR_MAX_IFACES of them */
	size_t n_links;

	void *entries, *counts; /* tsearch(3) trees of plane_rules.c */

	bool is_inherited; /* the maps were there, with what an earlier process has written */
	struct plane_legacy legacy;
	struct plane_sets sets;
	struct ring_buffer *ring;    /* of what the programs tell */
	struct punt_turn *punt_turn; /* while it is read */
	int xmit_link; /* of the program that counts what interfaces took, −1 = none */

	int n_cpus;
	void *per_cpu;	     /* room for one element of a per-CPU map, all CPUs */
	void *per_cpu_batch; /* … and for PLANE_BATCH elements */
};

/* Takes in the links that an earlier process left pinned. */
void plane_links_adopt(struct plane *p);
void plane_links_close(struct plane *p); /* leaves them where they are */
void plane_links_drop(struct plane *p);
void plane_rules_close(struct plane *p);
int plane_rules_count(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule);
bool plane_rules_counted(struct plane *p, const struct mcr_rule_key *key);
int plane_inherit_maps(struct plane *p, const char *instance);
int plane_inherit(struct plane *p);
void plane_inherit_sweep(struct plane *p, plane_ifindex_fn is_in_use, const void *arg);
void plane_inherit_close(struct plane *p);
int plane_punts_open(struct plane *p);
void plane_punts_close(struct plane *p);
bool plane_map_is_of_the_moment(const struct bpf_map *map);
int plane_sets_open(struct plane *p);
/* Behind plane_inherit: sets of all sizes at hand, so that not even the first rule waits. */
void plane_sets_prepare(struct plane *p);
void plane_sets_close(struct plane *p);
