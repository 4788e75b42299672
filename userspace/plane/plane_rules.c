/* SPDX-License-Identifier: MIT */
/*
 * What main tells the programs: interfaces, rules, addresses, sockets. Rules bring two kinds of
 * entries that several rules share, the known flow (ifindex 0) and the destination; which rules
 * an entry has is kept here, so that the maps need not be read.
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

/* A rule as it is in the map. */
struct held {
	struct mcr_rule_key key;
	struct mcr_rule rule;
	struct held *next;	/* of the same destination */
	struct held *next_flow; /* … and of the same flow */
};

/* A known flow (key without ifindex; n[0]), or a destination (group alone; n by shape). */
struct count {
	struct mcr_rule_key key;
	uint32_t n[4];
	struct held *entries; /* theirs; that of a known flow's map entry is the first */
};

/* Of entries and of counts alike: both begin with their key. */
static int key_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mcr_rule_key));
}

/* What the tree has for `key`, made where there is nothing. NULL when out of memory. */
static void *tree_get(void **tree, const struct mcr_rule_key *key, size_t size)
{
	void *fresh, **found = tfind(key, tree, key_compare);

	if (found)
		return *found;
	fresh = calloc(1, size);
	if (!fresh)
		return NULL;
	memcpy(fresh, key, sizeof(*key));
	found = tsearch(fresh, tree, key_compare);
	if (found)
		return *found;
	free(fresh);
	return NULL;
}

static void count_free_unused(struct plane *p, struct count *c)
{
	if (c->n[0] || c->n[1] || c->n[2] || c->n[3])
		return;
	tdelete(c, &p->counts, key_compare);
	free(c);
}

static void held_free(struct plane *p, struct held *e)
{
	tdelete(e, &p->entries, key_compare);
	free(e);
}

void plane_rules_close(struct plane *p)
{
	tdestroy(p->counts, free);
	tdestroy(p->entries, free);
	p->counts = p->entries = NULL;
}

static int shape_index(const struct mcr_rule_key *key)
{
	static const uint8_t any[4];
	bool has_source = memcmp(key->source, any, sizeof(any)) != 0;

	return (has_source ? 0 : 2) + (key->port ? 0 : 1); /* enum mcr_shape is 1 << this */
}

/* Writes or removes the map's entry, as the counts say. An only rule is in it itself. */
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
	if (value.rules == 1) {
		value.only_key = c->entries->key;
		value.only = c->entries->rule;
	}
	return bpf_map_update_elem(fd, &key, &value, BPF_ANY);
}

static struct count *destination_of(struct plane *p, const struct mcr_rule_key *key)
{
	struct mcr_rule_key group = { 0 };

	memcpy(group.group, key->group, sizeof(group.group));
	return tree_get(&p->counts, &group, sizeof(struct count));
}

static void destination_unlink(struct count *c, struct held *e)
{
	struct held **at = &c->entries;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	c->n[shape_index(&e->key)]--;
}

static int destination_add(struct plane *p, struct held *e)
{
	struct count *c = destination_of(p, &e->key);
	int err;

	if (!c)
		return -ENOMEM;
	e->next = c->entries;
	c->entries = e;
	c->n[shape_index(&e->key)]++;
	err = destination_write(p, c);
	if (err)
		destination_unlink(c, e);
	count_free_unused(p, c);
	return err;
}

static void destination_del(struct plane *p, struct held *e)
{
	struct count *c = destination_of(p, &e->key);

	if (!c) /* there is one, as the entry is in it */
		return;
	destination_unlink(c, e);
	destination_write(p, c);
	count_free_unused(p, c);
}

static struct count *known_of(struct plane *p, const struct mcr_rule_key *key)
{
	struct mcr_rule_key flow = *key;

	flow.ifindex = 0;
	return tree_get(&p->counts, &flow, sizeof(struct count));
}

static int known_write(struct plane *p, const struct mcr_rule_key *flow, const struct held *e)
{
	const struct mcr_rule known = { .rule = e->rule.rule };

	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.rules), flow, &known, BPF_ANY);
}

static int known_add(struct plane *p, struct held *e)
{
	struct count *c = known_of(p, &e->key);
	struct held **at;
	int err = 0;

	if (!c)
		return -ENOMEM;
	if (!c->n[0])
		err = known_write(p, &c->key, e);
	if (!err) {
		c->n[0]++;
		at = c->entries ? &c->entries->next_flow : &c->entries;
		e->next_flow = *at;
		*at = e;
	}
	count_free_unused(p, c);
	return err;
}

static void known_del(struct plane *p, struct held *e)
{
	struct count *c = known_of(p, &e->key);
	struct held **at;

	if (!c) /* there is one, as the entry is in it */
		return;
	for (at = &c->entries; *at != e;)
		at = &(*at)->next_flow;
	*at = e->next_flow;
	if (!--c->n[0])
		bpf_map_delete_elem(bpf_map__fd(p->skel->maps.rules), &c->key);
	else if (at == &c->entries)
		known_write(p, &c->key, c->entries);
	count_free_unused(p, c);
}

/* A new entry, in the shared ones as well; its own is in the map already. */
static int held_share(struct plane *p, struct held *e)
{
	int err = known_add(p, e);

	if (err)
		return err;
	err = destination_add(p, e);
	if (err)
		known_del(p, e);
	return err;
}

/* Takes in a rule that an earlier process has entered, with its shared entries. */
int plane_rules_count(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule)
{
	struct held *e = tree_get(&p->entries, key, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->rule = *rule;
	return held_share(p, e);
}

bool plane_rules_counted(struct plane *p, const struct mcr_rule_key *key)
{
	return tfind(key, &p->counts, key_compare) != NULL;
}

static int rule_refuse(int err, struct diag *d)
{
	if (err == -E2BIG)
		return diag_set(d, err, E_LIMIT, "", "the map of rules is full");
	return diag_set(d, err, E_KERNEL, "", "cannot write a rule into the BPF maps: %s",
			strerror(-err));
}

static int rule_replace(struct plane *p, struct held *e, const struct mcr_rule *rule)
{
	int err = bpf_map_update_elem(bpf_map__fd(p->skel->maps.rules), &e->key, rule, BPF_ANY);
	bool is_other_row = e->rule.rule != rule->rule;
	struct count *known;

	if (err)
		return err;
	e->rule = *rule;
	known = is_other_row ? known_of(p, &e->key) : NULL;
	if (known && known->entries == e)
		err = known_write(p, &known->key, e);
	return err ? err : destination_write(p, destination_of(p, &e->key));
}

static int rule_add(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule)
{
	int fd = bpf_map__fd(p->skel->maps.rules);
	struct held *e = tree_get(&p->entries, key, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->rule = *rule;
	err = bpf_map_update_elem(fd, key, rule, BPF_ANY);
	if (!err) {
		err = held_share(p, e);
		if (err)
			bpf_map_delete_elem(fd, key);
	}
	if (err)
		held_free(p, e);
	return err;
}

int plane_rule_set(struct plane *p, const struct mcr_rule_key *key, const struct mcr_rule *rule,
		   struct diag *d)
{
	struct held **old;
	int err;

	if (!key->ifindex || !key->protocol || key->pad || rule->rule >= MCR_MAX_RULES)
		return rule_refuse(-EINVAL, d);
	old = tfind(key, &p->entries, key_compare);
	err = old ? rule_replace(p, *old, rule) : rule_add(p, key, rule);
	return err ? rule_refuse(err, d) : 0;
}

void plane_rule_del(struct plane *p, const struct mcr_rule_key *key)
{
	struct held **found = tfind(key, &p->entries, key_compare), *e;

	if (!found)
		return;
	e = *found;
	destination_del(p, e);
	known_del(p, e);
	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.rules), key);
	held_free(p, e);
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
		    uint32_t tells, struct diag *d)
{
	struct mcr_iface iface = { .slot = slot, .tells = tells };
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

unsigned plane_locals(struct plane *p, struct ip4 *out, unsigned cap)
{
	int fd = bpf_map__fd(p->skel->maps.local_addrs);
	unsigned n = 0;

	if (cap && !bpf_map_get_next_key(fd, NULL, &out[0].net))
		n = 1;
	while (n && n < cap && !bpf_map_get_next_key(fd, &out[n - 1].net, &out[n].net))
		n++;
	return n;
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
