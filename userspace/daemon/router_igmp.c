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

	cfg.max_ports = ROUTER_PORTS_MAX;
	if (getrandom(&cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		return -EIO;
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
	config_igmp_fini(&rt->igmp_config);
	free(rt->igmp_memory);
}

static void on_packet(void *arg, struct mtime now, const void *packet, size_t len)
{
	struct router_port *p = arg;
	struct router *rt = p->router;
	struct ip_head head;
	struct rd payload;

	if (!ip_read(packet, len, &head, &payload))
		return;
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

static void socket_close(struct router_port *p)
{
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

/* The interface as it is; NULL when it is not there. */
void router_igmp_interface(struct router *rt, struct router_port *p, const struct netif *ni)
{
	uint32_t ifindex = ni ? ni->ifindex : 0;
	struct igmp_link link = { .is_up = false };

	if (p->ifindex != ifindex || !p->has_igmp)
		socket_close(p);
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
	igmp_link(rt->igmp, loop_clock(), (uint32_t)(p - rt->ports), &link, router_begin(rt));
	router_end(rt);
}

/* --- the configuration ------------------------------------------------------------------------ */

static struct mtime tenths(uint32_t ds)
{
	return mtime_ms((int64_t)ds * 100);
}

static void port_follow(struct router *rt, uint32_t port, const struct config_igmp *next)
{
	struct router_port *p = &rt->ports[port];
	struct igmp_port_config cfg = igmp_port_config_default();

	cfg.mode = p->has_igmp ? IGMP_QUERIER : IGMP_OFF;
	cfg.version = next->version;
	cfg.robustness = next->robustness;
	cfg.query_interval = mtime_ms((int64_t)next->query_interval_s * 1000);
	cfg.query_response = tenths(next->query_response_ds);
	cfg.last_member_interval = tenths(next->last_member_ds);
	cfg.fast_leave = next->fast_leave;
	cfg.max_groups = next->max_groups;
	cfg.max_sources = next->max_sources;
	if (igmp_port_set(rt->igmp, loop_clock(), port, &cfg, router_begin(rt)))
		log_err(LOG_F_network, "%s: IGMP cannot work with these settings", p->name);
	router_end(rt);
	router_igmp_interface(rt, p, netif_by_name(rt->relay->netifs, p->name));
}

static bool has_static(const struct config_igmp *igmp, const struct config_igmp_static *s)
{
	for (uint32_t i = 0; i < igmp->n_statics; i++)
		if (strcmp(igmp->statics[i].interface, s->interface) == 0 &&
		    sg_equal(igmp->statics[i].sg, s->sg))
			return true;
	return false;
}

/* Those of `list` that `other` does not have become `how`. */
static void statics_set(struct router *rt, const struct config_igmp *list,
			const struct config_igmp *other, unsigned how)
{
	for (uint32_t i = 0; i < list->n_statics; i++) {
		const struct config_igmp_static *s = &list->statics[i];
		int err;

		if (has_static(other, s))
			continue;
		err = igmp_static_set(rt->igmp, loop_clock(), router_port_get(rt, s->interface),
				      s->sg, how, router_begin(rt));
		router_end(rt);
		if (err)
			log_err(LOG_F_network, "%s: a static group is not in force: %s",
				s->interface, strerror(-err));
	}
}

void router_igmp_follow(struct router *rt, const struct config_igmp *next)
{
	struct config_igmp copy;

	if (config_igmp_copy(&copy, next)) {
		log_err(LOG_F_network, "no memory for the configuration of IGMP");
		return;
	}
	statics_set(rt, &rt->igmp_config, next, 0);
	for (uint32_t i = 0; i < ROUTER_PORTS_MAX && rt->ports[i].name[0]; i++)
		port_follow(rt, i, next);
	statics_set(rt, next, &rt->igmp_config, IGMP_STATIC);
	config_igmp_fini(&rt->igmp_config);
	rt->igmp_config = copy;
}
