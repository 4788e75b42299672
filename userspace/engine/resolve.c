/* SPDX-License-Identifier: MIT */
/* Resolving rules against interfaces. Group MAC addresses: RFC 1112 §6.4. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "engine/resolve.h"

#define UNICAST_TTL  64
#define REGISTER_TTL 64

const char *resolve_state_name(enum resolve_state s)
{
	static const char *const names[] = { "active", "unresolved", "failed" };

	return names[s];
}

static void output_fail(struct resolved_output *o, enum resolve_state state, const char *name,
			const char *why)
{
	o->state = state;
	o->wire.is_up = 0;
	snprintf(o->reason, sizeof(o->reason), "%s %s", name, why);
}

static void group_mac(struct ip4 group, uint8_t mac[6])
{
	uint32_t low = ntohl(group.net) & 0x7fffff;

	mac[0] = 0x01;
	mac[1] = 0x00;
	mac[2] = 0x5e;
	mac[3] = (uint8_t)(low >> 16);
	mac[4] = (uint8_t)(low >> 8);
	mac[5] = (uint8_t)low;
}

/* A multicast copy leaves as a frame of ours; where there is no Ethernet, as an IP packet. */
static void resolve_group(const struct rule_output *spec, const struct port_view *port,
			  struct resolved_output *o)
{
	o->wire.kind = port->is_ethernet || port->is_loopback ? EGRESS_PACKET : EGRESS_RAW;
	group_mac((struct ip4){ o->wire.group }, o->wire.dst_mac);
	memcpy(o->wire.src_mac, port->mac, sizeof(port->mac));
	o->wire.can_segment = o->wire.kind == EGRESS_PACKET;
	if (spec->source_policy == SOURCE_INTERFACE) {
		o->wire.source = port->address.net;
		if (!port->address.net)
			output_fail(o, RESOLVE_UNRESOLVED, spec->interface,
				    "has no IPv4 address to send from");
	}
}

/* A unicast copy takes the kernel's routes and neighbours. */
static void resolve_unicast(const struct rule *rule, const struct rule_output *spec,
			    const struct port_view *port, struct resolved_output *o)
{
	bool keeps = spec->source_policy == SOURCE_PRESERVE;

	o->wire.kind = keeps || rule->protocol != IPPROTO_UDP ? EGRESS_RAW : EGRESS_UDP;
	/* by routes: a device that segments in software could refuse a part, and who would know */
	o->wire.can_segment = o->wire.kind == EGRESS_UDP && (port->ifindex || port->has_udp_gso);
	if (spec->source_policy == SOURCE_LITERAL)
		o->literal = spec->source;
}

static void resolve_policies(const struct rule *rule, const struct rule_output *spec,
			     uint8_t multicast_ttl, struct resolved_output *o)
{
	struct ip4 to = spec->address.net ? spec->address : rule->group;

	o->wire.group = to.net;
	o->wire.port = spec->port ? spec->port : rule->port;
	o->wire.dscp = spec->dscp;
	o->wire.keeps_source = spec->source_policy == SOURCE_PRESERVE;
	o->wire.source = spec->source_policy == SOURCE_LITERAL ? spec->source.net : 0;
	o->wire.ttl = ip4_is_multicast(to) ? multicast_ttl : UNICAST_TTL;
	if (spec->ttl_policy == TTL_FIXED)
		o->wire.ttl = spec->ttl;
	else if (spec->ttl_policy == TTL_DECREMENT)
		o->wire.ttl = 0;
}

/* The kernel routes it, and cuts up what is too large. */
static void resolve_register(const struct rule_output *spec, struct resolved_output *o)
{
	o->wire = (struct wm_output){
		.kind = EGRESS_REGISTER,
		.group = spec->register_to.net,
		.ttl = REGISTER_TTL,
		.dscp = -1,
		.keeps_source = 1,
		.is_up = 1,
	};
	o->literal = spec->register_from;
}

static void resolve_output(const struct rule *rule, const struct rule_output *spec,
			   uint8_t multicast_ttl, port_find_fn find, const void *arg,
			   struct resolved_output *o)
{
	struct port_view way, port = { .is_up = true, .has_udp_gso = true };

	*o = (struct resolved_output){ .state = RESOLVE_ACTIVE };
	if (spec->register_to.net) {
		resolve_register(spec, o);
		return;
	}
	resolve_policies(rule, spec, multicast_ttl, o);
	if (spec->interface[0] && !find(arg, spec->interface, &port)) {
		output_fail(o, RESOLVE_UNRESOLVED, spec->interface, "does not exist yet");
		return;
	}
	if (!spec->interface[0] && find(arg, "", &way))
		port.has_udp_gso = way.has_udp_gso;
	o->ifindex = port.ifindex;
	o->takes_redirects = port.takes_redirects;
	o->segments_in_hardware = port.has_udp_gso;
	o->wire.mtu = (uint16_t)(port.mtu > UINT16_MAX ? UINT16_MAX : port.mtu);
	o->wire.is_up = port.is_up;
	o->wire.drops_consumed = port.ifindex && !port.has_qdisc && !port.has_udp_gso;
	if (!port.is_up)
		snprintf(o->reason, sizeof(o->reason), "%s is down", spec->interface);
	if (ip4_is_multicast((struct ip4){ o->wire.group }))
		resolve_group(spec, &port, o);
	else
		resolve_unicast(rule, spec, &port, o);
}

static void resolve_input(const struct rule *rule, port_find_fn find, const void *arg,
			  struct resolved_rule *out)
{
	struct port_view port;

	if (!find(arg, rule->interface, &port)) {
		out->state = RESOLVE_UNRESOLVED;
		snprintf(out->reason, sizeof(out->reason), "%s does not exist yet",
			 rule->interface);
		return;
	}
	if (!port.is_ethernet && !port.is_loopback) {
		out->state = RESOLVE_FAILED;
		snprintf(out->reason, sizeof(out->reason),
			 "%s has no Ethernet header; input must be an Ethernet interface",
			 rule->interface);
		return;
	}
	out->key = (struct mcr_rule_key){
		.ifindex = port.ifindex,
		.port = rule->port,
		.protocol = rule->protocol,
	};
	out->mtu = port.mtu;
	memcpy(out->key.group, &rule->group, sizeof(out->key.group));
	memcpy(out->key.source, &rule->source, sizeof(out->key.source));
	if (!port.is_up)
		snprintf(out->reason, sizeof(out->reason), "%s is down", rule->interface);
}

void resolve_rule(const struct rule *rule, uint8_t multicast_ttl, port_find_fn find,
		  const void *arg, struct resolved_rule *out)
{
	unsigned usable = 0;

	out->state = RESOLVE_ACTIVE;
	out->reason[0] = '\0';
	out->n_outputs = rule->n_outputs;
	memset(&out->key, 0, sizeof(out->key));
	out->mtu = 0;
	for (unsigned i = 0; i < rule->n_outputs; i++) {
		resolve_output(rule, &rule->outputs[i], multicast_ttl, find, arg, &out->outputs[i]);
		usable += out->outputs[i].state == RESOLVE_ACTIVE;
	}
	resolve_input(rule, find, arg, out);
	if (out->state == RESOLVE_ACTIVE && !usable && rule->kind == RULE_RELAY) {
		out->state = RESOLVE_UNRESOLVED;
		snprintf(out->reason, sizeof(out->reason), "no output can be used: %.90s",
			 out->outputs[0].reason);
	}
}
