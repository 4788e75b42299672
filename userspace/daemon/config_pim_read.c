/* SPDX-License-Identifier: MIT */
/* The configuration of PIM, read from JSON5. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define PERIOD_S_MAX	18000 /* 3.5 times that can still be said */
#define HOLD_S_MAX	65535 /* for ever */
#define DAY_S		86400
#define PROPAGATION_MAX 32.767
#define OVERRIDE_MAX	65.535
#define KBPS_MAX	1000000000
#define RATE_MAX	10000000

/* --- values ----------------------------------------------------------------------------------- */

static int read_number(struct reader *rd, const struct json5_node *v, const char *what, int64_t min,
		       int64_t max, uint32_t *out)
{
	int64_t number;
	int err = reader_integer(rd, v, what, min, max, &number);

	if (!err)
		*out = (uint32_t)number;
	return err;
}

static int read_byte(struct reader *rd, const struct json5_node *v, const char *what, int64_t max,
		     uint8_t *out)
{
	uint32_t number;
	int err = read_number(rd, v, what, 0, max, &number);

	if (!err)
		*out = (uint8_t)number;
	return err;
}

/* Seconds, with thousandths. */
static int read_seconds(struct reader *rd, const struct json5_node *v, double min, double max,
			uint32_t *out_ms)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "a number of seconds (%g to %g)", min, max);
	if (v->type != JSON5_NUMBER)
		return reader_refuse_type(rd, v, wanted);
	if (!(v->number >= min && v->number <= max))
		return reader_refuse(rd, v, E_RANGE, "%g is not %s", v->number, wanted);
	*out_ms = (uint32_t)(v->number * 1000 + 0.5);
	return 0;
}

static int read_short_time(struct reader *rd, const struct json5_node *v, double max,
			   uint16_t *out_ms)
{
	uint32_t ms = 0;
	int err = read_seconds(rd, v, 0, max, &ms);

	if (!err)
		*out_ms = (uint16_t)ms;
	return err;
}

static int read_unicast(struct reader *rd, const struct json5_node *v, struct ip4 *out)
{
	char text[IP4_TEXT];
	int err = reader_ip4(rd, v, out);

	if (!err && !ip4_is_unicast(*out))
		return reader_refuse(rd, v, E_BAD_ADDR, "%s is not the address of a router",
				     ip4_format(*out, text));
	return err;
}

static int read_groups(struct reader *rd, const struct json5_node *v, struct ip4_prefix *out)
{
	char text[IP4_PREFIX_TEXT];
	int err = reader_prefix(rd, v, out);

	if (!err && (out->len < 4 || !ip4_is_multicast(out->addr)))
		return reader_refuse(rd, v, E_BAD_ADDR,
				     "%s is not a range of groups, such as 239.0.0.0/8",
				     ip4_prefix_format(*out, text));
	return err;
}

/* Elements of an array, by `read`, which gets the number of each. */
static int read_list(struct reader *rd, const struct json5_node *v, const char *what, unsigned max,
		     int (*read)(struct reader *, const struct json5_node *, unsigned, void *),
		     void *out)
{
	unsigned n = 0;

	if (v->type != JSON5_ARRAY)
		return reader_refuse_type(rd, v, what);
	if (v->count > max)
		return reader_refuse(rd, v, E_LIMIT, "%u entries: there can be %u at most",
				     v->count, max);
	for (const struct json5_node *e = json5_first(rd->doc, v); e; e = json5_next(rd->doc, e)) {
		size_t mark = reader_enter_index(rd, n);
		int err = read(rd, e, n, out);

		if (err)
			return err;
		reader_leave(rd, mark);
		n++;
	}
	return 0;
}

/* --- access lists ----------------------------------------------------------------------------- */

static int read_entry(struct reader *rd, const struct json5_node *v, bool is_permitted, void *out)
{
	struct pim_acl *acl = out;

	acl->entries[acl->n].is_permitted = is_permitted;
	return reader_prefix(rd, v, &acl->entries[acl->n].prefix);
}

static int read_permit(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_entry(rd, v, true, out);
}

static int read_deny(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_entry(rd, v, false, out);
}

/* One slot: an entry says one of the two. */
static const struct member acl_members[] = {
	{ "permit", 0, false, read_permit },
	{ "deny", 0, false, read_deny },
};

static int read_acl_entry(struct reader *rd, const struct json5_node *v, unsigned i, void *out)
{
	int err = reader_object(rd, v, acl_members, COUNT(acl_members), NULL, out);

	if (!err && !v->count)
		return reader_refuse(rd, v, E_MISSING, "one of permit and deny is wanted");
	if (!err)
		((struct pim_acl *)out)->n = (uint8_t)(i + 1);
	return err;
}

static int read_acl(struct reader *rd, const struct json5_node *v, struct pim_acl *acl)
{
	return read_list(rd, v, "an array of { permit } and { deny }", PIM_ACL_MAX, read_acl_entry,
			 acl);
}

/* --- interfaces ------------------------------------------------------------------------------- */

static struct pim_port_config *port_of(void *out)
{
	return &((struct config_pim_interface *)out)->port;
}

static int read_name(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_interface(rd, v, ((struct config_pim_interface *)out)->name);
}

static int read_passive(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &port_of(out)->is_passive);
}

static int read_border(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &port_of(out)->is_border);
}

static int read_hide(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &port_of(out)->hides_priority);
}

static int read_tracking(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &port_of(out)->can_track);
}

static int read_dr_priority(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_number(rd, v, "a priority (a whole number, 0 to 4294967295)", 0, UINT32_MAX,
			   &port_of(out)->dr_priority);
}

static int read_hello_period(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, PERIOD_S_MAX, &port_of(out)->hello_ms);
}

static int read_hold_time(struct reader *rd, const struct json5_node *v, void *out)
{
	uint32_t s;
	int err = read_number(rd, v, "a number of seconds (1 to 65535)", 1, HOLD_S_MAX, &s);

	if (!err)
		port_of(out)->holdtime_s = (uint16_t)s;
	return err;
}

static int read_propagation(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_short_time(rd, v, PROPAGATION_MAX, &port_of(out)->propagation_ms);
}

static int read_override(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_short_time(rd, v, OVERRIDE_MAX, &port_of(out)->override_ms);
}

static int read_neighbors(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_acl(rd, v, &port_of(out)->neighbors);
}

static int read_allow_rp(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_acl(rd, v, &port_of(out)->allow_rp);
}

static int read_boundary(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_acl(rd, v, &port_of(out)->boundary);
}

static const struct member interface_members[] = {
	{ "name", 0, true, read_name },
	{ "passive", 1, false, read_passive },
	{ "dr_priority", 2, false, read_dr_priority },
	{ "hide_dr_priority", 3, false, read_hide },
	{ "hello_period", 4, false, read_hello_period },
	{ "hold_time", 5, false, read_hold_time },
	{ "propagation_delay", 6, false, read_propagation },
	{ "override_interval", 7, false, read_override },
	{ "tracking", 8, false, read_tracking },
	{ "border", 9, false, read_border },
	{ "neighbors", 10, false, read_neighbors },
	{ "allow_rp", 11, false, read_allow_rp },
	{ "boundary", 12, false, read_boundary },
};

static int read_interface(struct reader *rd, const struct json5_node *v, unsigned i, void *out)
{
	struct config_pim *pim = out;
	struct config_pim_interface read = { .name = "" }, *to;
	int err;

	pim_port_config_default(&read.port);
	err = reader_object(rd, v, interface_members, COUNT(interface_members), NULL, &read);
	if (err)
		return err;
	if (read.port.holdtime_s && read.port.holdtime_s * 1000u <= read.port.hello_ms)
		return reader_refuse(rd, v, E_RANGE,
				     "hold_time must be longer than hello_period: neighbours would "
				     "lose this router");
	if (config_pim_interface(pim, read.name))
		return reader_refuse(rd, v, E_EXISTS, "%s is in this list already", read.name);
	to = config_pim_add(pim, read.name);
	if (!to)
		return diag_set(rd->d, -ENOMEM, E_KERNEL, rd->path, "out of memory");
	to->port = read.port;
	return 0;
}

static int read_interfaces(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_list(rd, v, "an array of interfaces", CONFIG_PIM_INTERFACES_MAX, read_interface,
			 out);
}

/* --- rendezvous points ------------------------------------------------------------------------ */

static int read_rp_group(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_groups(rd, v, &((struct pim_static_rp *)out)->range);
}

static int read_rp(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_unicast(rd, v, &((struct pim_static_rp *)out)->rp);
}

static const struct member static_rp_members[] = {
	{ "group", 0, true, read_rp_group },
	{ "rp", 1, true, read_rp },
};

static int read_static_rp(struct reader *rd, const struct json5_node *v, unsigned i, void *out)
{
	struct pim_config *c = &((struct config_pim *)out)->engine;
	struct pim_static_rp *s = &c->static_rps[i];
	int err = reader_object(rd, v, static_rp_members, COUNT(static_rp_members), NULL, s);

	if (err)
		return err;
	for (unsigned k = 0; k < i; k++)
		if (ip4_prefix_equal(c->static_rps[k].range, s->range) &&
		    ip4_equal(c->static_rps[k].rp, s->rp))
			return reader_refuse(rd, v, E_EXISTS, "the same as static_rp[%u]", k);
	c->n_static_rps = (uint8_t)(i + 1);
	return 0;
}

static int read_static_rps(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_list(rd, v, "an array of { group, rp }", CONFIG_PIM_STATIC_RPS_MAX,
			 read_static_rp, out);
}

static struct pim_config *engine_of(void *out)
{
	return &((struct config_pim *)out)->engine;
}

static int read_bsr_address(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_unicast(rd, v, &engine_of(out)->candidate_bsr.address);
}

static int read_bsr_priority(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_byte(rd, v, "a priority (a whole number, 0 to 255)", 255,
			 &engine_of(out)->candidate_bsr.priority);
}

static int read_hash_mask(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_byte(rd, v, "the length of a mask (a whole number, 0 to 32)", 32,
			 &engine_of(out)->candidate_bsr.hash_mask);
}

static int read_bsr_period(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, PERIOD_S_MAX, &engine_of(out)->bsr_period_ms);
}

static const struct member candidate_bsr_members[] = {
	{ "address", 0, false, read_bsr_address },
	{ "priority", 1, false, read_bsr_priority },
	{ "hash_mask", 2, false, read_hash_mask },
	{ "period", 3, false, read_bsr_period },
};

static int read_candidate_bsr(struct reader *rd, const struct json5_node *v, void *out)
{
	engine_of(out)->candidate_bsr.is_enabled = true;
	return reader_object(rd, v, candidate_bsr_members, COUNT(candidate_bsr_members), NULL, out);
}

static int read_crp_address(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_unicast(rd, v, &engine_of(out)->candidate_rp.address);
}

static int read_crp_priority(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_byte(rd, v, "a priority (a whole number, 0 to 255)", 255,
			 &engine_of(out)->candidate_rp.priority);
}

static int read_crp_period(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, PERIOD_S_MAX, &engine_of(out)->crp_period_ms);
}

static int read_crp_range(struct reader *rd, const struct json5_node *v, unsigned i, void *out)
{
	struct pim_candidate_rp *rp = out;

	rp->n_ranges = (uint8_t)(i + 1);
	return read_groups(rd, v, &rp->ranges[i]);
}

static int read_crp_groups(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_list(rd, v, "an array of ranges of groups", PIM_CRP_RANGES, read_crp_range,
			 &engine_of(out)->candidate_rp);
}

static const struct member candidate_rp_members[] = {
	{ "address", 0, false, read_crp_address },
	{ "priority", 1, false, read_crp_priority },
	{ "groups", 2, false, read_crp_groups },
	{ "period", 3, false, read_crp_period },
};

static int read_candidate_rp(struct reader *rd, const struct json5_node *v, void *out)
{
	engine_of(out)->candidate_rp.is_enabled = true;
	return reader_object(rd, v, candidate_rp_members, COUNT(candidate_rp_members), NULL, out);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int read_enabled(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &((struct config_pim *)out)->is_enabled);
}

static int read_router_id(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_unicast(rd, v, &((struct config_pim *)out)->router_id);
}

static int read_rp_address(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_unicast(rd, v, &((struct config_pim *)out)->rp_address);
}

/* When to take the shortest path: "immediate", "never", or from a rate on. */
static int read_spt(struct reader *rd, const struct json5_node *v, void *out)
{
	static const char wanted[] = "\"immediate\", \"never\", or kbit/s (1 to 1000000000)";
	struct pim_config *c = engine_of(out);
	const char *text = v->type == JSON5_STRING ? json5_text(rd->doc, v) : "";
	char quoted[DIAG_QUOTE];

	if (v->type == JSON5_NUMBER) {
		c->spt = PIM_SPT_THRESHOLD;
		return read_number(rd, v, wanted, 1, KBPS_MAX, &c->spt_threshold_kbps);
	}
	if (v->type != JSON5_STRING)
		return reader_refuse_type(rd, v, wanted);
	if (strcmp(text, "immediate") == 0)
		c->spt = PIM_SPT_IMMEDIATE;
	else if (strcmp(text, "never") == 0)
		c->spt = PIM_SPT_NEVER;
	else
		return reader_refuse(rd, v, E_RANGE, "%s is not %s", diag_quote(text, quoted),
				     wanted);
	return 0;
}

static int read_ssm_range(struct reader *rd, const struct json5_node *v, unsigned i, void *out)
{
	struct pim_config *c = out;

	c->n_ssm = (uint8_t)(i + 1);
	return read_groups(rd, v, &c->ssm[i]);
}

static int read_ssm(struct reader *rd, const struct json5_node *v, void *out)
{
	engine_of(out)->n_ssm = 0;
	return read_list(rd, v, "an array of ranges of groups", PIM_SSM_RANGES, read_ssm_range,
			 engine_of(out));
}

static int read_triggered(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 0, 60, &engine_of(out)->triggered_hello_ms);
}

static int read_jp_period(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, PERIOD_S_MAX, &engine_of(out)->jp_period_ms);
}

static int read_keepalive(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, DAY_S, &engine_of(out)->keepalive_ms);
}

static int read_suppression(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, DAY_S, &engine_of(out)->register_suppression_ms);
}

static int read_probe(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_seconds(rd, v, 1, DAY_S, &engine_of(out)->register_probe_ms);
}

static int read_register_accept(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_acl(rd, v, &engine_of(out)->register_sources);
}

static int read_rate(struct reader *rd, const struct json5_node *v, uint32_t *out)
{
	return read_number(rd, v, "a number of Registers a second (1 to 10000000)", 1, RATE_MAX,
			   out);
}

static int read_register_rate(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_rate(rd, v, &engine_of(out)->registers);
}

static int read_register_rate_source(struct reader *rd, const struct json5_node *v, void *out)
{
	return read_rate(rd, v, &engine_of(out)->registers_per_source);
}

static int read_bsr_overrides(struct reader *rd, const struct json5_node *v, void *out)
{
	return reader_bool(rd, v, &engine_of(out)->bsr_overrides_static);
}

static const struct member pim_members[] = {
	{ "enabled", 0, false, read_enabled },
	{ "router_id", 1, false, read_router_id },
	{ "interfaces", 2, false, read_interfaces },
	{ "static_rp", 3, false, read_static_rps },
	{ "rp_address", 4, false, read_rp_address },
	{ "candidate_bsr", 5, false, read_candidate_bsr },
	{ "candidate_rp", 6, false, read_candidate_rp },
	{ "bsr_overrides_static", 7, false, read_bsr_overrides },
	{ "spt", 8, false, read_spt },
	{ "ssm", 9, false, read_ssm },
	{ "triggered_hello_delay", 10, false, read_triggered },
	{ "jp_period", 11, false, read_jp_period },
	{ "keepalive", 12, false, read_keepalive },
	{ "register_suppression", 13, false, read_suppression },
	{ "register_probe", 14, false, read_probe },
	{ "register_accept", 15, false, read_register_accept },
	{ "register_rate", 16, false, read_register_rate },
	{ "register_rate_source", 17, false, read_register_rate_source },
};

/* Candidates need an address: their own, or router_id. */
static int check_candidate(struct reader *rd, const struct json5_node *v, const char *key,
			   bool is_enabled, struct ip4 address, struct ip4 router_id)
{
	const struct json5_node *m = json5_get(rd->doc, v, key);

	if (!is_enabled || address.net || router_id.net)
		return 0;
	reader_enter(rd, key);
	reader_enter(rd, "address");
	return reader_refuse(rd, m ? m : v, E_MISSING,
			     "the key \"address\" is missing, and there is no router_id");
}

int config_read_pim(struct reader *rd, const struct json5_node *v, void *out)
{
	struct config_pim *pim = &((struct config *)out)->pim;
	const struct pim_config *c = &pim->engine;
	int err = reader_object(rd, v, pim_members, COUNT(pim_members), NULL, pim);

	if (!err)
		err = check_candidate(rd, v, "candidate_bsr", c->candidate_bsr.is_enabled,
				      c->candidate_bsr.address, pim->router_id);
	if (!err)
		err = check_candidate(rd, v, "candidate_rp", c->candidate_rp.is_enabled,
				      c->candidate_rp.address, pim->router_id);
	return err;
}
