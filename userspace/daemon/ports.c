/* SPDX-License-Identifier: MIT */
/*
 * Ingress interfaces. A port exists while rules name its interface, or multicast is routed there:
 * the classifier sits on it only while one of them wants it, workers exist only while a rule needs
 * them, and groups are joined only while their rule is active. A port keeps its slot, and so its
 * counters, until the daemon ends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/router.h"
#include "edge/log.h"

#define CLAIMS_MAX 256 /* descriptors for unicast inputs, one each */

struct port *port_find(struct relay *r, const char *name)
{
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (strcmp(r->ports[i].name, name) == 0)
			return &r->ports[i];
	return NULL;
}

/* The slot that an earlier process gave the interface is its own, so that its counters go on. */
static int port_slot(struct relay *r, const char *name)
{
	int slot = plane_inherited_slot(r->plane, name);

	if (slot >= 0 && !r->ports[slot].name[0])
		return slot;
	for (slot = 0; slot < MCR_MAX_IFACES; slot++)
		if (!r->ports[slot].name[0] && !plane_slot_is_inherited(r->plane, (uint32_t)slot))
			return slot;
	return -1;
}

static struct port *port_new(struct relay *r, const char *name)
{
	int slot = port_slot(r, name);
	struct mcr_verdicts v;
	struct port *p;

	if (slot < 0)
		return NULL;
	p = &r->ports[slot];
	p->slot = (uint32_t)slot;
	snprintf(p->name, sizeof(p->name), "%s", name);
	if (plane_inherited_slot(r->plane, name) != slot)
		plane_slot_clear(r->plane, p->slot);
	plane_verdicts(r->plane, p->slot, MCR_STAGE_XDP, &v);
	p->earlier_frames = v.to_worker;
	plane_verdicts(r->plane, p->slot, MCR_STAGE_PACKET, &v);
	p->earlier_skbs = v.to_worker_skbs;
	return p;
}

struct port *port_get(struct relay *r, const char *name)
{
	struct port *p = port_find(r, name);

	if (!p)
		p = port_new(r, name);
	if (p)
		p->n_rules++;
	return p;
}

void port_put(struct port *p)
{
	/* one that never had a worker has nothing to remember */
	if (--p->n_rules == 0 && !p->workers && !p->ifindex)
		p->name[0] = '\0';
}

bool port_view_of(const void *relay, const char *name, struct port_view *out)
{
	const struct relay *r = relay;
	const struct netif *ni = netif_by_name(r->netifs, name);

	if (!name[0]) {
		*out = (struct port_view){ .has_udp_gso = r->routes_segment };
		return true;
	}
	if (!ni)
		return false;
	*out = (struct port_view){
		.ifindex = ni->ifindex,
		.mtu = ni->mtu,
		.is_up = ni->is_up,
		.is_ethernet = ni->is_ethernet,
		.is_loopback = ni->is_loopback,
		.has_udp_gso = ni->has_udp_gso,
		.has_qdisc = ni->has_qdisc,
		.takes_redirects = ni->takes_redirects,
		.address = ni->n_addrs ? ni->addrs[0] : (struct ip4){ 0 },
	};
	memcpy(out->mac, ni->mac, sizeof(out->mac));
	return true;
}

/* When interfaces exchange their names, another port has ours before we know. */
static bool port_is_alone(const struct relay *r, const struct port *p)
{
	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (&r->ports[i] != p && r->ports[i].name[0] && r->ports[i].ifindex == p->ifindex)
			return false;
	return true;
}

static void port_name_it(struct relay *r, const struct port *p)
{
	struct diag d;

	if (p->ifindex && plane_iface_set(r->plane, p->ifindex, p->slot, p->name, p->tells, &d))
		log_err(LOG_F_dataplane, "%s: %s", p->name, d.what);
}

/* Tells the programs which interface the port is now. */
static void port_bind(struct relay *r, struct port *p)
{
	const struct netif *ni = netif_by_name(r->netifs, p->name);
	uint32_t ifindex = ni ? ni->ifindex : 0;

	if (p->ifindex == ifindex)
		return;
	if (p->ifindex && port_is_alone(r, p))
		plane_iface_del(r->plane, p->ifindex);
	p->ifindex = ifindex;
	port_name_it(r, p);
}

/* Puts the classifier on, once; what stands in the way is remembered until the interface changes.
 */
static void port_attach(struct relay *r, struct port *p)
{
	struct diag d = { 0 };
	int err;

	port_bind(r, p);
	if (p->is_attached || p->is_refused || !p->ifindex)
		return;
	err = plane_attach(r->plane, p->ifindex, p->name, &p->attached, &d);
	if (err) {
		p->is_refused = true;
		p->is_held = err == -EBUSY;
		if (!p->attached.note[0])
			snprintf(p->attached.note, sizeof(p->attached.note), "%.150s", d.what);
		log_warning(LOG_F_dataplane, "%s: XDP cannot be had, using afpacket: %s", p->name,
			    p->attached.note);
		return;
	}
	p->is_attached = true;
	if (p->attached.mode == PLANE_GENERIC)
		log_warning(LOG_F_dataplane, "%s: XDP runs in generic mode only, which is slow: %s",
			    p->name, p->attached.note);
	else
		log_notice(LOG_F_dataplane, "%s: classifier attached, native mode", p->name);
}

static void port_detach(struct relay *r, struct port *p)
{
	if (!p->is_attached)
		return;
	plane_detach(r->plane, p->name);
	p->is_attached = false;
	p->attached = (struct plane_attached){ 0 };
	log_notice(LOG_F_dataplane, "%s: classifier detached", p->name);
}

/*
 * Whether the classifier runs on the interface now. In generic mode only for those who ask: a
 * packet socket is faster there, and XDP would see super-frames as one frame.
 */
bool port_has_xdp(struct relay *r, struct port *p, bool generic_is_fine)
{
	port_attach(r, p);
	if (p->is_attached && p->attached.mode == PLANE_GENERIC && !generic_is_fine &&
	    !p->users[MCR_DP_AFXDP]) {
		plane_detach(r->plane, p->name);
		p->is_attached = false;
		p->is_refused = true;
		p->attached.mode = PLANE_DETACHED;
	}
	return p->is_attached;
}

void port_use(struct relay *r, struct port *p, enum mcr_datapath kind)
{
	port_bind(r, p);
	p->users[kind]++;
	if (kind == MCR_DP_AFXDP || kind == MCR_DP_AFPACKET)
		workers_ensure(r, p, kind);
}

void port_unuse(struct relay *r, struct port *p, enum mcr_datapath kind)
{
	if (--p->users[kind])
		return;
	if (!p->users[MCR_DP_AFXDP] && !p->users[MCR_DP_XDP] && !p->users[MCR_DP_DROP])
		port_detach(r, p);
	p->idle_since = loop_clock();
}

/*
 * Where multicast is routed a classifier looks at what comes in, whether a rule is there or not:
 * the XDP program in native mode, else the filter of a worker's packet socket. One of them tells
 * of what it sees, so that nothing is told twice.
 */
static void port_listen_renew(struct relay *r, struct port *p)
{
	enum mcr_datapath by = 0;
	uint32_t tells = 0;

	if (p->is_listening && netif_by_name(r->netifs, p->name))
		by = port_has_xdp(r, p, false) && p->attached.mode == PLANE_NATIVE
			     ? MCR_DP_XDP
			     : MCR_DP_AFPACKET;
	if (by)
		tells = 1u << (by == MCR_DP_XDP ? MCR_STAGE_XDP : MCR_STAGE_PACKET);
	if (by != p->listens_by) {
		if (by)
			port_use(r, p, by);
		if (p->listens_by)
			port_unuse(r, p, p->listens_by);
		p->listens_by = by;
	}
	if (tells != p->tells) {
		p->tells = tells;
		port_name_it(r, p);
	}
}

void port_listen(struct relay *r, const char *name, bool is_on)
{
	struct port *p = port_find(r, name);

	if (is_on == (p && p->is_listening))
		return;
	p = is_on ? port_get(r, name) : p;
	if (!p) {
		log_err(LOG_F_dataplane, "%s: more than %u ingress interfaces", name,
			MCR_MAX_IFACES);
		return;
	}
	p->is_listening = is_on;
	port_listen_renew(r, p);
	if (!is_on)
		port_put(p);
}

bool port_uses_ifindex(const void *relay, uint32_t ifindex)
{
	const struct relay *r = relay;

	for (unsigned i = 0; i < MCR_MAX_IFACES; i++)
		if (r->ports[i].name[0] && r->ports[i].ifindex == ifindex)
			return true;
	return false;
}

/* Starts workers that could not be while the interface was down. */
static void port_wake(struct relay *r, struct port *p)
{
	const struct netif *ni = netif_by_name(r->netifs, p->name);

	if (p->users[MCR_DP_AFPACKET] && ni && ni->is_up)
		workers_ensure(r, p, MCR_DP_AFPACKET);
}

/* The interface appeared, changed or went. Rules are resolved again by the caller. */
void port_interface(struct relay *r, struct port *p, const struct netif *ni, bool gone)
{
	bool is_other = gone || ni->ifindex != p->ifindex;

	if (!is_other) {
		port_wake(r, p);
		return;
	}
	port_detach(r, p);
	p->is_refused = p->is_held = false;
	p->attached.note[0] = '\0';
	if (p->ifindex && port_is_alone(r, p))
		membership_forget(r->joins, p->ifindex);
	workers_retire(r, p, MCR_DP_AFXDP);
	workers_retire(r, p, MCR_DP_AFPACKET);
	port_bind(r, p);
	port_listen_renew(r, p);
}

/* Somebody else's program stood in the way: is it gone? */
static void port_retry(struct relay *r, struct port *p)
{
	enum plane_mode mode;

	if (!p->is_held || plane_foreign(r->plane, p->name, p->ifindex, &mode))
		return;
	p->is_refused = p->is_held = false;
	p->attached.note[0] = '\0';
	relay_resolve_port(r, p);
}

void port_tick(struct relay *r, struct port *p, struct mtime now)
{
	struct mtime grace = mtime_ms((int64_t)r->config->worker_grace_s * 1000);

	/* somebody may have taken the program off behind our back */
	if (p->is_attached && !plane_is_attached(r->plane, p->name, p->ifindex)) {
		log_warning(LOG_F_dataplane, "%s: the classifier was taken off from outside",
			    p->name);
		port_detach(r, p);
		relay_resolve_port(r, p);
	}
	port_retry(r, p);
	for (enum mcr_datapath kind = MCR_DP_AFXDP; kind <= MCR_DP_AFPACKET; kind++)
		if (!p->users[kind] && mtime_before(mtime_add(p->idle_since, grace), now))
			workers_retire(r, p, kind);
	port_listen_renew(r, p);
	port_wake(r, p);
}

/*
 * A packet socket sees only a copy of what comes to an address of this host; the stack gets the
 * other and would tell the sender that nobody has the port. So we have it.
 */
static void port_claim(struct relay *r, struct live_rule *live)
{
	if (live->is_claimed || live->datapath != MCR_DP_AFPACKET || r->n_claims == CLAIMS_MAX)
		return;
	live->claim = sockets_claim(live->rule, live->now.key.ifindex);
	live->is_claimed = live->claim >= 0;
	r->n_claims += live->is_claimed;
	if (!live->is_claimed)
		log_debug(LOG_F_network, "rule %s: its input is not held against others: %s",
			  live->rule->id, strerror(-live->claim));
}

void port_join(struct relay *r, struct live_rule *live)
{
	const struct rule *rule = live->rule;

	if (!ip4_is_multicast(rule->group))
		port_claim(r, live);
	if (live->is_joined || !ip4_is_multicast(rule->group))
		return;
	/* a router of PIM asks by PIM */
	if (live->origin == ORIGIN_PIM ||
	    (live->origin != ORIGIN_STATIC && router_host_is_on(r, rule->interface)))
		return;
	live->joined_ifindex = live->now.key.ifindex;
	live->join_error =
		membership_join(r->joins, live->joined_ifindex, rule->group, rule->source);
	live->is_joined = !live->join_error;
	if (live->join_error)
		log_limited(LOG_L_WARNING, LOG_F_network, "rule %s: join on %s failed: %s",
			    rule->id, rule->interface, strerror(-live->join_error));
}

void port_leave(struct relay *r, struct live_rule *live)
{
	if (live->is_joined)
		membership_leave(r->joins, live->joined_ifindex, live->rule->group,
				 live->rule->source);
	live->is_joined = false;
	live->join_error = 0;
	if (live->is_claimed) {
		close(live->claim);
		r->n_claims--;
	}
	live->is_claimed = false;
}
