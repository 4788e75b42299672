/* SPDX-License-Identifier: MIT */
/*
 * What an earlier process left in the kernel, still forwarding: maps that have the present layout
 * are taken over with all that is in them. Main then writes what shall be, and plane_sweep removes
 * what it has not written; nothing is ever emptied and filled again. What the maps say is taken as
 * a stranger's word: it is looked at for what is in use, and replaced.
 */
#include "plane/plane_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* --- the maps ----------------------------------------------------------------------------------
 */

static bool is_same_layout(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

static int map_open_pinned(const struct plane *p, const struct bpf_map *map)
{
	char path[PLANE_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", p->pin_dir, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd >= 0 && !is_same_layout(map, fd)) {
		close(fd);
		fd = -ESTALE;
	}
	return fd;
}

/* Whose maps these are, and of which layout, is in one of them. */
static bool abi_is_ours(const struct plane *p, const char *instance)
{
	int fd = map_open_pinned(p, p->skel->maps.abi);
	struct mcr_abi abi;
	uint32_t key = 0;
	bool is_ours;

	if (fd < 0)
		return false;
	is_ours = !bpf_map_lookup_elem(fd, &key, &abi) && abi.magic == MCR_ABI_MAGIC &&
		  abi.major == MCR_ABI_MAJOR && abi.net == p->skel->rodata->our_net &&
		  strncmp(abi.instance, instance, sizeof(abi.instance)) == 0;
	close(fd);
	return is_ours;
}

static bool are_all_there(const struct plane *p)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->skel->obj)
	{
		bool is_made_anew = bpf_map__is_internal(map) || plane_map_is_of_the_moment(map);
		int fd = is_made_anew ? -ENOENT : map_open_pinned(p, map);

		if (fd >= 0)
			close(fd);
		else if (!is_made_anew)
			return false;
	}
	return true;
}

/* Before the object is loaded: all maps or none. */
int plane_inherit_maps(struct plane *p, const char *instance)
{
	struct bpf_map *map;
	int err = 0;

	if (!abi_is_ours(p, instance) || !are_all_there(p))
		return 0;
	p->is_inherited = true;
	bpf_object__for_each_map(map, p->skel->obj)
	{
		int fd;

		if (bpf_map__is_internal(map) || plane_map_is_of_the_moment(map))
			continue;
		fd = map_open_pinned(p, map);
		err = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (fd >= 0)
			close(fd);
		if (err)
			break;
	}
	return err;
}

/* --- what is in them ---------------------------------------------------------------------------
 */

static void *list_add(void *list, size_t n, size_t size)
{
	if (n & (n - 1)) /* grows at powers of two */
		return list;
	return realloc(list, (n ? 2 * n : 1) * size);
}

static bool is_set(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] & 1 << i % 8;
}

/* A row that somebody has counted in: of a rule, or of none any more (key all zero). */
static int inherit_row(struct plane *p, const struct mcr_rule_key *key, uint32_t row, uint32_t slot)
{
	struct plane_legacy *l = &p->legacy;
	struct plane_inherited *more = list_add(l->rules, l->n_rules, sizeof(*l->rules));

	if (!more)
		return -ENOMEM;
	l->rules = more;
	l->rules[l->n_rules++] = (struct plane_inherited){ *key, row, slot };
	l->row_is_taken[row / 8] |= (uint8_t)(1 << row % 8);
	return 0;
}

static uint32_t inherited_slot_of(const struct plane *p, uint32_t ifindex)
{
	for (size_t i = 0; i < p->legacy.n_ifaces; i++)
		if (p->legacy.ifindexes[i] == ifindex)
			return p->legacy.ifaces[i].slot;
	return UINT32_MAX;
}

static int inherit_rule(struct plane *p, const struct mcr_rule_key *key,
			const struct mcr_rule *rule)
{
	int err = inherit_row(p, key, rule->rule, inherited_slot_of(p, key->ifindex));

	if (!err && rule->datapath == MCR_DP_XDP && rule->egress_set < MCR_MAX_SETS)
		p->sets.all[rule->egress_set].is_inherited = true;
	return err ? err : plane_rules_count(p, key, rule);
}

static int inherit_rules(struct plane *p)
{
	int fd = bpf_map__fd(p->skel->maps.rules), err = 0;
	struct mcr_rule_key at, next;
	bool is_end = bpf_map_get_next_key(fd, NULL, &next) != 0;

	while (!is_end && !err) {
		struct mcr_rule rule;

		at = next;
		is_end = bpf_map_get_next_key(fd, &at, &next) != 0;
		if (!at.ifindex || bpf_map_lookup_elem(fd, &at, &rule))
			continue;
		if (!at.protocol || at.pad || rule.rule >= MCR_MAX_RULES ||
		    is_set(p->legacy.row_is_taken, rule.rule))
			bpf_map_delete_elem(fd, &at); /* nobody of ours wrote that */
		else
			err = inherit_rule(p, &at, &rule);
	}
	return err;
}

/*
 * Their outputs hang on the rows of rules, so that they need not be searched. The row may be one
 * whose rule was removed just before the process ended.
 */
static int inherit_output(struct plane *p, const struct mcr_rewrite_key *key,
			  const struct mcr_rewrite *to)
{
	static const struct mcr_rule_key none;
	struct plane_legacy *l = &p->legacy;
	struct plane_inherited_output *more = list_add(l->outputs, l->n_outputs, sizeof(*more));
	uint32_t slot = to->slot < MCR_MAX_IFACES ? to->slot : UINT32_MAX;

	if (!more)
		return -ENOMEM;
	l->outputs = more;
	l->outputs[l->n_outputs] = (struct plane_inherited_output){ key->ifindex, to->output,
								    l->first_output[key->rule] };
	l->first_output[key->rule] = (uint32_t)++l->n_outputs;
	l->output_is_taken[to->output / 8] |= (uint8_t)(1 << to->output % 8);
	return is_set(l->row_is_taken, key->rule) ? 0 : inherit_row(p, &none, key->rule, slot);
}

static int inherit_rewrites(struct plane *p)
{
	int fd = bpf_map__fd(p->skel->maps.rewrites);
	struct mcr_rewrite_key at, next;
	bool is_end = bpf_map_get_next_key(fd, NULL, &next) != 0;
	int err = 0;

	while (!is_end && !err) {
		struct mcr_rewrite to;

		at = next;
		is_end = bpf_map_get_next_key(fd, &at, &next) != 0;
		if (bpf_map_lookup_elem(fd, &at, &to))
			continue;
		if (at.rule >= MCR_MAX_RULES || to.output >= MCR_MAX_OUTPUT_ROWS ||
		    is_set(p->legacy.output_is_taken, to.output))
			bpf_map_delete_elem(fd, &at);
		else
			err = inherit_output(p, &at, &to);
	}
	return err;
}

static int inherit_interfaces(struct plane *p)
{
	int fd = bpf_map__fd(p->skel->maps.ifaces);
	bool is_end;
	uint32_t at, next;

	is_end = bpf_map_get_next_key(fd, NULL, &next) != 0;
	while (!is_end) {
		struct mcr_iface iface;

		at = next;
		is_end = bpf_map_get_next_key(fd, &at, &next) != 0;
		if (bpf_map_lookup_elem(fd, &at, &iface))
			continue;
		if (iface.slot >= MCR_MAX_IFACES || p->legacy.n_ifaces == MCR_MAX_IFACES) {
			bpf_map_delete_elem(fd, &at);
			continue;
		}
		iface.name[sizeof(iface.name) - 1] = '\0';
		p->legacy.ifaces[p->legacy.n_ifaces] = iface;
		p->legacy.ifindexes[p->legacy.n_ifaces++] = at;
	}
	return 0;
}

/* Entries that several rules share: those of no rule that was found go, the rest is as it was. */
static void inherit_shared(struct plane *p)
{
	int fd = bpf_map__fd(p->skel->maps.rules);
	struct mcr_addr addr, next_addr;
	struct mcr_rule_key at, next;
	bool is_end;

	is_end = bpf_map_get_next_key(fd, NULL, &next) != 0;
	while (!is_end) {
		at = next;
		is_end = bpf_map_get_next_key(fd, &at, &next) != 0;
		if (!at.ifindex && !plane_rules_counted(p, &at))
			bpf_map_delete_elem(fd, &at);
	}
	fd = bpf_map__fd(p->skel->maps.destinations);
	is_end = bpf_map_get_next_key(fd, NULL, &next_addr) != 0;
	while (!is_end) {
		struct mcr_rule_key group = { 0 };

		addr = next_addr;
		is_end = bpf_map_get_next_key(fd, &addr, &next_addr) != 0;
		memcpy(group.group, addr.addr, sizeof(group.group));
		if (!plane_rules_counted(p, &group))
			bpf_map_delete_elem(fd, &addr);
	}
}

int plane_inherit(struct plane *p)
{
	int err;

	if (!p->is_inherited)
		return 0;
	err = inherit_interfaces(p);
	if (!err)
		err = inherit_rules(p);
	if (!err)
		err = inherit_rewrites(p);
	if (!err)
		inherit_shared(p);
	return err;
}

/* --- what main asks of it ----------------------------------------------------------------------
 */

bool plane_is_inherited(const struct plane *p)
{
	return p->is_inherited;
}

bool plane_row_is_inherited(const struct plane *p, uint32_t rule)
{
	return is_set(p->legacy.row_is_taken, rule);
}

bool plane_output_is_inherited(const struct plane *p, uint32_t output)
{
	return is_set(p->legacy.output_is_taken, output);
}

int plane_inherited_slot(const struct plane *p, const char *name)
{
	for (size_t i = 0; i < p->legacy.n_ifaces; i++)
		if (strcmp(p->legacy.ifaces[i].name, name) == 0)
			return (int)p->legacy.ifaces[i].slot;
	return -1;
}

bool plane_slot_is_inherited(const struct plane *p, uint32_t slot)
{
	for (size_t i = 0; i < p->legacy.n_ifaces; i++)
		if (p->legacy.ifaces[i].slot == slot)
			return true;
	return false;
}

/* Rules of the earlier process that main has not written over. */
static void sweep_rules(struct plane *p)
{
	int fd = bpf_map__fd(p->skel->maps.rules);

	for (size_t i = 0; i < p->legacy.n_rules; i++) {
		const struct plane_inherited *old = &p->legacy.rules[i];
		struct mcr_rule now;

		if (!bpf_map_lookup_elem(fd, &old->key, &now) && now.rule == old->row)
			plane_rule_del(p, &old->key);
	}
}

static void sweep_interfaces(struct plane *p, plane_ifindex_fn is_in_use, const void *arg)
{
	for (size_t i = 0; i < p->legacy.n_ifaces; i++)
		if (!is_in_use(arg, p->legacy.ifindexes[i]))
			plane_iface_del(p, p->legacy.ifindexes[i]);
}

void plane_inherit_sweep(struct plane *p, plane_ifindex_fn is_in_use, const void *arg)
{
	if (!p->is_inherited)
		return;
	sweep_rules(p);
	sweep_interfaces(p, is_in_use, arg);
	p->sets.legacy_ticks = PLANE_COOL_TICKS; /* then nobody is in the earlier sets any more */
}

bool plane_legacy_next(struct plane *p, struct plane_legacy_rule *out)
{
	struct plane_legacy *l = &p->legacy;
	const struct plane_inherited *rule;

	if (!l->n_rules)
		return false;
	rule = &l->rules[--l->n_rules];
	*out = (struct plane_legacy_rule){ .row = rule->row, .slot = rule->slot };
	for (uint32_t i = l->first_output[rule->row]; i && out->n_outputs < MCR_MAX_OUTPUTS;
	     i = l->outputs[i - 1].next) {
		out->ifindexes[out->n_outputs] = l->outputs[i - 1].ifindex;
		out->output_rows[out->n_outputs++] = l->outputs[i - 1].output;
	}
	return true;
}

static bool works_without_worker(const struct mcr_rule *rule)
{
	return rule->datapath == MCR_DP_XDP ||
	       (rule->datapath == MCR_DP_DROP && !(rule->flags & MCR_RULE_GUARD));
}

bool plane_inherited_next(struct plane *p, size_t *at, struct plane_inherited_rule *out)
{
	int fd = bpf_map__fd(p->skel->maps.rules);
	const struct plane_legacy *l = &p->legacy;

	for (; *at < l->n_rules; ++*at) {
		const struct plane_inherited *rule = &l->rules[*at];
		struct mcr_rule value;

		if (!rule->key.ifindex || bpf_map_lookup_elem(fd, &rule->key, &value) ||
		    value.rule != rule->row || !works_without_worker(&value))
			continue;
		*out = (struct plane_inherited_rule){ .key = rule->key };
		memcpy(out->name, value.name, sizeof(out->name) - 1);
		for (uint32_t i = l->first_output[rule->row]; i && out->n_outputs < MCR_MAX_OUTPUTS;
		     i = l->outputs[i - 1].next)
			out->ifindexes[out->n_outputs++] = l->outputs[i - 1].ifindex;
		++*at;
		return true;
	}
	return false;
}

void plane_inherit_close(struct plane *p)
{
	free(p->legacy.rules);
	free(p->legacy.outputs);
	p->legacy.rules = NULL;
	p->legacy.outputs = NULL;
	p->legacy.n_rules = p->legacy.n_outputs = 0;
}
