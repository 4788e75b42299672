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

struct plane {
	struct mcr_xdp *skel;
	char pin_dir[PLANE_DIR_MAX];
	int lock;      /* descriptor of pin_dir, locked; −1 = none */
	bool owns_dir; /* from here on, what is in pin_dir is ours to remove */

	struct plane_link *links; /* MCR_MAX_IFACES of them */
	size_t n_links;

	void *counts; /* tsearch(3) tree of struct count, plane_rules.c */

	int n_cpus;
	void *per_cpu; /* room for one element of a per-CPU map, all CPUs */
};

/* Takes in the links that an earlier process left pinned. */
void plane_links_adopt(struct plane *p);
void plane_links_close(struct plane *p);
void plane_rules_close(struct plane *p);
