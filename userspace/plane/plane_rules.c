/* SPDX-License-Identifier: MIT */
/*
 * What main tells the programs: interfaces, rules, addresses, sockets. Rules bring two kinds of
 * entries that several rules share, the known flow (ifindex 0) and the destination; how many rules
 * an entry has is counted here, so that the maps need not be read.
 *
 * The order of writes is such that no frame of a flow meets half of it: the destination opens a
 * flow to the programs, so it comes last and goes first; and the known flow goes before its rule,
 * lest frames be dropped as wrong_iif that no rule wants any more.
 */
#include "plane/plane_impl.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* A known flow (key without ifindex; n[0]), or a destination (group alone; n by shape). */
struct count {
	struct mcr_rule_key key;
	uint32_t n[4];
};

static int count_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mcr_rule_key));
}

/* The entry for `key`, made where there is none. NULL when out of memory. */
static struct count *count_get(struct plane *p, const struct mcr_rule_key *key)
{
	struct count *fresh, **found = tfind(key, &p->counts, count_compare);

	if (found)
		return *found;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	fresh->key = *key;
	found = tsearch(fresh, &p->counts, count_compare);
	if (found)
		return *found;
	free(fresh);
	return NULL;
}

static void count_free_unused(struct plane *p, struct count *c)
{
	if (c->n[0] || c->n[1] || c->n[2] || c->n[3])
		return;
	tdelete(c, &p->counts, count_compare);
	free(c);
}

void plane_rules_close(struct plane *p)
{
	tdestroy(p->counts, free);
	p->counts = NULL;
}

static int shape_index(const struct mcr_rule_key *key)
{
	static const uint8_t any[4];
	bool has_source = memcmp(key->source, any, sizeof(any)) != 0;

	return (has_source ? 0 : 2) + (key->port ? 0 : 1); /* enum mcr_shape is 1 << this */
}

/* Writes or removes the map's entry, as the counts say. */
static int destination_write(struct plane *p, const struct count *c)
{
	int fd = bpf_map__fd(p->skel->maps.destinations);
	struct mcr_destination value = { 0 };
	struct mcr_addr key;

	memcpy(key.addr, c->key.group, sizeof(key.addr));
	for (int i = 0; i < 4; i++) {
		value.rules += c->n[i];
		value.shapes |= c->n[i] ? 1u << i : 0;
	}
	if (!value.rules)
		return bpf_map_delete_elem(fd, &key);
	return bpf_map_update_elem(fd, &key, &value, BPF_ANY);
}

static int destination_add(struct plane *p, const struct mcr_rule_key *key, int by)
{
	struct mcr_rule_key group = { 0 };
	struct count *c;
	int err;

	memcpy(group.group, key->group, sizeof(group.group));
	c = count_get(p, &group);
	if (!c)
		return -ENOMEM;
	c->n[shape_index(key)] += (uint32_t)by;
	err = destination_write(p, c);
	if (err && by > 0)
		c->n[shape_index(key)] -= (uint32_t)by;
	count_free_unused(p, c);
	return err;
}

static int known_add(struct plane *p, const struct mcr_rule_key *key, int by)
{
	int fd = bpf_map__fd(p->skel->maps.rules), err = 0;
	const struct mcr_rule known = { 0 };
	struct mcr_rule_key flow = *key;
	struct count *c;

	flow.ifindex = 0;
	c = count_get(p, &flow);
	if (!c)
		return -ENOMEM;
	if (by > 0 && !c->n[0])
		err = bpf_map_update_elem(fd, &flow, &known, BPF_ANY);
	if (!err)
		c->n[0] += (uint32_t)by;
	if (by < 0 && !c->n[0])
		err = bpf_map_delete_elem(fd, &flow);
	count_free_unused(p, c);
	return err;
}

/* Counts a rule that an earlier process has entered, with its shared entries. */
int plane_rules_count(struct plane *p, const struct mcr_rule_key *key)
{
	int err = known_add(p, key, 1);

	return err ? err : destination_add(p, key, 1);
}

bool plane_rules_counted(struct plane *p, const struct mcr_rule_key *key)
{
	return tfind(key, &p->counts, count_compare) != NULL;
}

static int rule_refuse(int err, struct diag *d)
{
	if (err == -E2BIG)
		return diag_set(d, err, E_LIMIT, "", "the map of rules is full");
	return diag_set(d, err, E_KERNEL, "", "cannot write a rule into the BPF maps: %s",
			strerror(-err));
}

int plane_rule_set(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule,
		   struct diag *d)
{
	int fd = bpf_map__fd(p->skel->maps.rules), err;
	struct mcr_rule old;
	bool is_known;

	if (!key->ifindex || !key->protocol || key->pad || rule->rule >= MCR_MAX_RULES)
		return rule_refuse(-EINVAL, d);
	is_known = !bpf_map_lookup_elem(fd, key, &old);
	err = bpf_map_update_elem(fd, key, rule, BPF_ANY);
	if (err)
		return rule_refuse(err, d);
	if (is_known)
		return 0;
	err = known_add(p, key, 1);
	if (!err) {
		err = destination_add(p, key, 1);
		if (err)
			known_add(p, key, -1);
	}
	if (err) {
		bpf_map_delete_elem(fd, key);
		return rule_refuse(err, d);
	}
	return 0;
}

void plane_rule_del(struct plane *p, const struct mcr_rule_key *key)
{
	int fd = bpf_map__fd(p->skel->maps.rules);
	struct mcr_rule old;

	if (!key->ifindex || bpf_map_lookup_elem(fd, key, &old))
		return;
	destination_add(p, key, -1);
	known_add(p, key, -1);
	bpf_map_delete_elem(fd, key);
}

int plane_rewrite_set(struct plane *p, uint32_t rule, uint32_t ifindex,
		      const struct mcr_rewrite *to, struct diag *d)
{
	const struct mcr_rewrite_key key = { rule, ifindex };
	int err = -EINVAL;

	if (to->output < MCR_MAX_OUTPUT_ROWS)
		err = bpf_map_update_elem(bpf_map__fd(p->skel->maps.rewrites), &key, to, BPF_ANY);
	return err ? rule_refuse(err, d) : 0;
}

void plane_rewrite_del(struct plane *p, uint32_t rule, uint32_t ifindex)
{
	const struct mcr_rewrite_key key = { rule, ifindex };

	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.rewrites), &key);
}

int plane_iface_set(struct plane *p, uint32_t ifindex, uint32_t slot, const char *name,
		    struct diag *d)
{
	struct mcr_iface iface = { .slot = slot };
	int err = -EINVAL;

	snprintf(iface.name, sizeof(iface.name), "%s", name);
	if (slot < MCR_MAX_IFACES)
		err = bpf_map_update_elem(bpf_map__fd(p->skel->maps.ifaces), &ifindex, &iface,
					  BPF_ANY);
	if (!err)
		return 0;
	return diag_set(d, err, err == -E2BIG ? E_LIMIT : E_KERNEL, "",
			"%s: cannot enter the interface into the BPF maps: %s", name,
			strerror(-err));
}

void plane_iface_del(struct plane *p, uint32_t ifindex)
{
	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.ifaces), &ifindex);
}

int plane_local_add(struct plane *p, struct ip4 addr)
{
	uint32_t is_there = 1;

	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.local_addrs), &addr.net, &is_there,
				   BPF_ANY);
}

void plane_local_del(struct plane *p, struct ip4 addr)
{
	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.local_addrs), &addr.net);
}

int plane_xsk_set(struct plane *p, uint32_t slot, uint32_t queue, int xsk_fd, struct diag *d)
{
	uint32_t key = slot * MCR_MAX_QUEUES + queue;
	int err = -EINVAL;

	if (slot < MCR_MAX_IFACES && queue < MCR_MAX_QUEUES)
		err = bpf_map_update_elem(bpf_map__fd(p->skel->maps.xsks), &key, &xsk_fd, BPF_ANY);
	if (!err)
		return 0;
	return diag_set(d, err, E_KERNEL, "", "cannot enter the socket of queue %u: %s", queue,
			strerror(-err));
}

void plane_xsk_del(struct plane *p, uint32_t slot, uint32_t queue)
{
	uint32_t key = slot * MCR_MAX_QUEUES + queue;

	if (slot < MCR_MAX_IFACES && queue < MCR_MAX_QUEUES)
		bpf_map_delete_elem(bpf_map__fd(p->skel->maps.xsks), &key);
}
