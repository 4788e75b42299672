/* SPDX-License-Identifier: MIT */
/* IGMP in the daemon: the engine's memory and settings, and a socket for each interface. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/router.h"
#include "edge/log.h"
#include "wire/ip.h"

int router_igmp_open(struct router *rt)
{
	struct igmp_config cfg = igmp_config_default();
	struct arena mem = { 0 };
	int err = membership_new(&rt->joins);

	if (err)
		return err;
	cfg.max_ports = ROUTER_PORTS_MAX;
	cfg.has_proxy = true; /* in case that one is configured later */
	if (getrandom(&cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		return -EIO;
	rt->upstream = ROUTER_NO_PORT;
	config_igmp_init(&rt->igmp_config);
	igmp_init(&rt->igmp, &cfg, &mem); /* takes the measure */
	mem.size = mem.used;
	mem.used = 0;
	mem.mem = rt->igmp_memory = calloc(1, mem.size);
	return mem.mem ? igmp_init(&rt->igmp, &cfg, &mem) : -ENOMEM;
}

void router_igmp_close(struct router *rt)
{
	for (unsigned i = 0; i < ROUTER_PORTS_MAX; i++)
		igmpsock_close(rt->ports[i].igmp);
	membership_leave_all(rt->joins);
	membership_free(rt->joins);
	config_igmp_fini(&rt->igmp_config);
	free(rt->igmp_memory);
}

static void on_packet(void *arg, struct mtime now, const void *packet, size_t len)
{
	struct router_port *p = arg;
	struct router *rt = p->router;
	struct ip_head head;
	struct rd payload;

	if (!ip_read(packet, len, &head, &payload)) {
		p->igmp_unreadable++;
		return;
	}
	igmp_input(rt->igmp, now,
		   &(struct igmp_rx){
			   .port = (uint32_t)(p - rt->ports),
			   .source = head.source,
			   .ttl = head.ttl,
			   .has_router_alert = head.has_router_alert,
			   .data = payload.at,
			   .len = rd_left(&payload),
		   },
		   router_begin(rt));
	router_end(rt);
}

/* --- interfaces ------------------------------------------------------------------------------- */

uint64_t router_igmp_lost(const struct router_port *p)
{
	return p->igmp_lost + (p->igmp ? igmpsock_lost(p->igmp) : 0);
}

static void socket_close(struct router_port *p)
{
	p->igmp_lost = router_igmp_lost(p);
	igmpsock_close(p->igmp);
	p->igmp = NULL;
	p->igmp_error = 0;
}

static void socket_open(struct router *rt, struct router_port *p)
{
	if (p->igmp)
		return;
	p->igmp_error = igmpsock_open(&p->igmp, rt->relay->loop, p->ifindex, on_packet, p);
	if (p->igmp_error)
		log_err(LOG_F_network, "%s: no socket for IGMP: %s", p->name,
			strerror(-p->igmp_error));
}

static void link_set(struct router *rt, struct router_port *p, const struct igmp_link *link)
{
	igmp_link(rt->igmp, loop_clock(), (uint32_t)(p - rt->ports), link, router_begin(rt));
	router_end(rt);
}

/* The interface as it is; NULL when it is not there. */
void router_igmp_interface(struct router *rt, struct router_port *p, const struct netif *ni)
{
	uint32_t ifindex = ni ? ni->ifindex : 0;
	struct igmp_link link = { .is_up = false };

	if (p->ifindex != ifindex || !p->has_igmp)
		socket_close(p);
	if (p->ifindex != ifindex && p->ifindex) /* what was learned and joined went with it */
		link_set(rt, p, &link);
	p->ifindex = ifindex;
	if (ni && p->has_igmp)
		socket_open(rt, p);
	if (p->igmp)
		link = (struct igmp_link){
			.is_up = ni->is_up,
			.address = ni->n_addrs ? ni->addrs[0] : (struct ip4){ 0 },
			.prefix_len = ni->prefix_len,
			.mtu = ni->mtu,
		};
	link_set(rt, p, &link);
}

/* --- the configuration ------------------------------------------------------------------------ */

static struct mtime tenths(uint32_t ds)
{
	return mtime_ms((int64_t)ds * 100);
}

static struct igmp_port_config port_config(const struct config_igmp_settings *s,
					   enum igmp_mode mode)
{
	struct igmp_port_config cfg = igmp_port_config_default();

	cfg.mode = mode;
	cfg.version = (uint8_t)s->version;
	cfg.robustness = (uint8_t)s->robustness;
	cfg.last_member_count = (uint8_t)s->last_member_count;
	cfg.query_interval = mtime_ms((int64_t)s->query_interval_s * 1000);
	cfg.query_response = tenths(s->query_response_ds);
	cfg.last_member_interval = tenths(s->last_member_ds);
	cfg.track_hosts = s->track_hosts;
	cfg.fast_leave = s->fast_leave;
	cfg.require_router_alert = s->require_router_alert;
	cfg.no_router_alert = !s->send_router_alert;
	cfg.require_local_hosts = s->require_local_hosts;
	cfg.max_groups = s->max_groups;
	cfg.max_sources = s->max_sources;
	cfg.max_hosts = s->max_hosts;
	cfg.rate_pps = s->max_rate;
	cfg.rate_burst = 2 * s->max_rate;
	cfg.n_access = s->n_access;
	cfg.access = s->access;
	return cfg;
}

static void port_follow(struct router *rt, uint32_t port, const struct config_igmp *next)
{
	struct router_port *p = &rt->ports[port];
	enum igmp_mode mode;
	const struct config_igmp_settings *s = config_igmp_of(next, p->name, &mode);
	struct igmp_port_config cfg = port_config(s ? s : &next->settings, mode);

	cfg.is_proxied = *next->upstream && mode >= IGMP_LISTEN;

	if (igmp_port_set(rt->igmp, loop_clock(), port, &cfg, router_begin(rt)))
		log_err(LOG_F_network, "%s: IGMP cannot work with these settings", p->name);
	router_end(rt);
	router_igmp_interface(rt, p, netif_by_name(rt->relay->netifs, p->name));
}

static const struct config_igmp_static *static_find(const struct config_igmp *igmp,
						    const struct config_igmp_static *s)
{
	for (uint32_t i = 0; i < igmp->n_statics; i++)
		if (strcmp(igmp->statics[i].interface, s->interface) == 0 &&
		    sg_equal(igmp->statics[i].sg, s->sg))
			return &igmp->statics[i];
	return NULL;
}

static void static_set(struct router *rt, const struct config_igmp_static *s, unsigned how)
{
	int err = igmp_static_set(rt->igmp, loop_clock(), router_port_get(rt, s->interface), s->sg,
				  how, router_begin(rt));

	router_end(rt);
	if (err)
		log_err(LOG_F_network, "%s: a static group is not in force: %s", s->interface,
			strerror(-err));
}

static void statics_remove(struct router *rt, const struct config_igmp *next)
{
	const struct config_igmp *now = &rt->igmp_config;

	for (uint32_t i = 0; i < now->n_statics; i++)
		if (!static_find(next, &now->statics[i]))
			static_set(rt, &now->statics[i], 0);
}

static void statics_add(struct router *rt, const struct config_igmp *next)
{
	for (uint32_t i = 0; i < next->n_statics; i++) {
		const struct config_igmp_static *s = &next->statics[i];
		const struct config_igmp_static *was = static_find(&rt->igmp_config, s);

		if (!was || was->is_joined != s->is_joined)
			static_set(rt, s, IGMP_STATIC | (s->is_joined ? IGMP_JOINED : 0));
	}
}

void router_igmp_follow(struct router *rt, const struct config_igmp *next)
{
	struct config_igmp copy;

	if (config_igmp_copy(&copy, next)) {
		log_err(LOG_F_network, "no memory for the configuration of IGMP");
		return;
	}
	statics_remove(rt, &copy);
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		port_follow(rt, i, &copy); /* whose access lists the engine keeps */
	statics_add(rt, &copy);
	igmp_upstream_set(rt->igmp, loop_clock(), rt->upstream, router_begin(rt));
	router_end(rt);
	if (strcmp(rt->igmp_config.upstream, copy.upstream) != 0)
		router_host_follow(rt);
	config_igmp_fini(&rt->igmp_config);
	rt->igmp_config = copy;
}
