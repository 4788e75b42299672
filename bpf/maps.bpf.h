/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The maps that mcrd fills and the programs read; pinned under these names. What is in them:
 * include/mcr/abi.h, and docs/map-abi.md for whoever looks at them with bpftool.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "mcr/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mcr_abi);
} abi SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MCR_MAX_IFACES);
	__type(key, __u32); /* ifindex */
	__type(value, struct mcr_iface);
} ifaces SEC(".maps");

/* Twice the rules: each may bring an entry with ifindex 0. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * MCR_MAX_RULES);
	__type(key, struct mcr_rule_key);
	__type(value, struct mcr_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MCR_MAX_RULES);
	__type(key, struct mcr_addr);
	__type(value, struct mcr_destination);
} destinations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MCR_MAX_LOCAL);
	__type(key, struct mcr_addr);
	__type(value, __u32); /* 1 */
} local_addrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MCR_MAX_RULES);
	__type(key, __u32);
	__type(value, struct mcr_rule_stats);
} rule_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MCR_MAX_IFACES * MCR_STAGE__COUNT);
	__type(key, __u32);
	__type(value, struct mcr_verdicts);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MCR_MAX_IFACES * MCR_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* Lists of output interfaces, each a DEVMAP; rules with the same outputs share one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MCR_MAX_SETS);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_DEVMAP);
			__uint(max_entries, MCR_MAX_OUTPUTS);
			__uint(key_size, 4);
			__uint(value_size, 8); /* struct bpf_devmap_val */
		});
} egress_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MCR_MAX_OUTPUT_ROWS);
	__type(key, struct mcr_rewrite_key);
	__type(value, struct mcr_rewrite);
} rewrites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MCR_MAX_OUTPUT_ROWS);
	__type(key, __u32);
	__type(value, struct mcr_output_stats);
} output_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MCR_MAX_IFACES);
	__type(key, __u32);
	__type(value, struct mcr_xmit_stats);
} xmit_stats SEC(".maps");

/* Main alone writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MCR_MAX_IFACES);
	__type(key, __u32);
	__type(value, struct mcr_folded);
} folded SEC(".maps");

/* --- what the control plane is told; made anew by each process ---------------------------------
 */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MCR_EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MCR_PUNTED_MAX);
	__type(key, struct mcr_punted_key);
	__type(value, struct mcr_punted);
} punted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mcr_punt_stats);
} punt_stats SEC(".maps");
