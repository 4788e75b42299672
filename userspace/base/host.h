/* SPDX-License-Identifier: MIT */
/*
 * How a host and its interfaces are set up, as values. Who reads that from the kernel and who
 * judges it agree on these and know nothing of each other. Numbers that are not known are −1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HOST_NAME_LEN 16 /* of an interface, with its NUL */

struct host {
	int pid;                           /* of mcrd */
	int64_t igmp_max_memberships, igmp_max_msf, optmem_max;
	int64_t rp_filter_all;
	int64_t bpf_jit_enable;
	int64_t files_used, files_max;     /* descriptors of mcrd … */
	int64_t files_limit;               /* … and to what files_max may be raised */
	bool has_bpffs, is_bpffs_readonly; /* where mcrd has its pins: */
	char bpffs[256];
	bool has_af_xdp, has_io_uring, has_btf;
	int kernel_major, kernel_minor;
	char clock_source[32];             /* "" = not known */
	bool has_tsc;                      /* could be the clock source */
	unsigned n_vifs;                   /* who has the kernel's multicast routing has so many */
	char vifs[64];                     /* their names, as far as there is room */
};

enum host_feature { HOST_FEATURE_FIXED, HOST_FEATURE_OFF, HOST_FEATURE_ON };
enum host_xdp { HOST_XDP_NONE, HOST_XDP_NATIVE, HOST_XDP_GENERIC };

struct host_port {
	char name[HOST_NAME_LEN];

	/* what it is used for */
	bool is_input, is_output;
	bool is_querier;           /* hosts are asked there */
	bool is_router;            /* other routers are spoken to there */
	bool uses_afpacket;        /* a rule takes packets there by packet sockets */
	bool uses_worker;          /* a worker sends packets out of it */
	bool wants_xdp;            /* a rule asks that the kernel replicates onto it */

	bool is_there;             /* the rest: if it is */
	bool is_up, has_carrier, has_address, can_multicast, is_loopback;
	bool takes_redirects;      /* of frames, by XDP */
	uint32_t mtu;
	uint32_t fed_mtu;          /* the largest one of an input that feeds it; 0 = none does */
	char fed_by[HOST_NAME_LEN];
	int64_t rp_filter, force_igmp_version;
	enum host_xdp xdp;         /* how the classifier runs on an input */
	char xdp_note[160];        /* why not natively */
	uint32_t foreign_program;  /* on an input; 0 = none */
	enum host_xdp foreign_xdp; /* how that one runs */
	enum host_feature udp_gso, gro_forwarding;
	char bridge[HOST_NAME_LEN]; /* it is one, or a port of it; "" = neither */
	bool bridge_snoops, bridge_has_querier;
};
