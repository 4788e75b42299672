/* SPDX-License-Identifier: MIT */
/* The facts for engine/doctor.h: what is in use, and how it is set up; and what clients see of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/commands.h"
#include "daemon/router.h"
#include "edge/probe.h"
#include "engine/doctor.h"

/* Interfaces in use, by name. */
struct examined {
	struct host_port *ports;
	unsigned n, cap;
};

/* --- what is in use --------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct host_port *)a)->name, ((const struct host_port *)b)->name);
}

static struct host_port *port_of(const struct examined *e, const char *name)
{
	struct host_port key;

	memcpy(key.name, name, sizeof(key.name));
	return e->n ? bsearch(&key, e->ports, e->n, sizeof(key), by_name) : NULL;
}

/* More than there is room for are left out: there are no more in use, but for outputs of rules. */
static void port_add(struct examined *e, const char *name)
{
	unsigned at = e->n;

	if (!name[0] || e->n == e->cap || port_of(e, name))
		return;
	while (at && strcmp(e->ports[at - 1].name, name) > 0)
		at--;
	memmove(&e->ports[at + 1], &e->ports[at], (e->n - at) * sizeof(*e->ports));
	e->ports[at] = (struct host_port){ 0 };
	memcpy(e->ports[at].name, name, strlen(name) + 1);
	e->n++;
}

static void ports_find(const struct relay *r, struct examined *e)
{
	for (const struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live)) {
		port_add(e, live->rule->interface);
		for (unsigned i = 0; i < live->rule->n_outputs; i++)
			port_add(e, live->rule->outputs[i].interface);
	}
	for (unsigned i = 0; r->router && i < ROUTER_PORTS_MAX; i++)
		if (router_port_routes(&r->router->ports[i]))
			port_add(e, r->router->ports[i].name);
}

static void rule_use(const struct examined *e, const struct live_rule *live)
{
	struct host_port *in = port_of(e, live->rule->interface), *out;

	if (in) {
		in->is_input = true;
		in->uses_afpacket |= live->is_programmed && live->datapath == MCR_DP_AFPACKET;
	}
	for (unsigned i = 0; i < live->rule->n_outputs; i++) {
		out = port_of(e, live->rule->outputs[i].interface);
		if (!out)
			continue;
		out->is_output = true;
		out->uses_worker |= live->uses_worker;
		out->wants_xdp |= live->rule->datapath == RULE_DP_XDP;
		if (!in || !in->is_there || in->mtu <= out->fed_mtu)
			continue;
		out->fed_mtu = in->mtu;
		memcpy(out->fed_by, in->name, sizeof(out->fed_by));
	}
}

/* --- how it is set up ------------------------------------------------------------------------- */

static void port_classifier(struct relay *r, struct host_port *out, uint32_t ifindex)
{
	static const enum host_xdp modes[] = { HOST_XDP_NONE, HOST_XDP_NATIVE, HOST_XDP_GENERIC };
	const struct port *p = port_find(r, out->name);
	enum plane_mode mode;

	if (!p)
		return;
	out->xdp = modes[p->attached.mode];
	memcpy(out->xdp_note, p->attached.note, sizeof(out->xdp_note));
	out->foreign_program = plane_foreign(r->plane, out->name, ifindex, &mode);
	out->foreign_xdp = modes[mode];
}

static void port_examine(struct relay *r, struct probe *probe, struct host_port *out)
{
	const struct netif *ni = netif_by_name(r->netifs, out->name);

	if (!ni)
		return;
	out->is_there = true;
	out->has_address = ni->n_addrs;
	out->is_loopback = ni->is_loopback;
	out->takes_redirects = ni->takes_redirects;
	out->mtu = ni->mtu;
	probe_port(probe, ni->ifindex, out);
	port_classifier(r, out, ni->ifindex);
}

static void examine(struct relay *r, struct probe *probe, struct host *h, struct examined *e)
{
	struct io_uring_params params;
	int ring = sockets_open_ring(&params);

	probe_host(r->paths.pins, h);
	h->has_io_uring = ring >= 0;
	if (ring >= 0)
		close(ring);
	ports_find(r, e);
	for (unsigned i = 0; i < e->n; i++)
		port_examine(r, probe, &e->ports[i]);
	for (const struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		rule_use(e, live);
	for (unsigned i = 0; r->router && i < ROUTER_PORTS_MAX; i++) {
		struct host_port *p = port_of(e, r->router->ports[i].name);

		if (!p)
			continue;
		p->is_querier = r->router->ports[i].has_igmp;
		p->is_router = r->router->ports[i].has_pim && !r->router->ports[i].is_pim_passive;
	}
}

/* --- what clients see ------------------------------------------------------------------------- */

static void show_findings(cJSON *list, const struct doctor_finding *findings, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct doctor_finding *f = &findings[i];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "severity",
					doctor_severity_name(doctor_severity(f->code)));
		cJSON_AddStringToObject(o, "code", doctor_code_name(f->code));
		cJSON_AddStringToObject(o, "where", f->where);
		cJSON_AddStringToObject(o, "what", f->what);
		cJSON_AddStringToObject(o, "why", doctor_why(f->code));
		cJSON_AddStringToObject(o, "remedy", f->remedy);
		cJSON_AddItemToArray(list, o);
	}
}

int cmd_doctor(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct examined e = { .cap = 2 * MCR_MAX_IFACES };
	struct doctor_finding findings[DOCTOR__COUNT];
	struct probe probe;
	struct host h;
	cJSON *list;
	int err = probe_open(&probe);

	(void)q;
	e.ports = calloc(e.cap, sizeof(*e.ports));
	if (!err && !e.ports)
		err = -ENOMEM;
	if (!err) {
		examine(r, &probe, &h, &e);
		list = cJSON_AddArrayToObject(reply, "findings");
		show_findings(list, findings, doctor_host(&h, findings));
		for (unsigned i = 0; i < e.n; i++)
			show_findings(list, findings, doctor_port(&h, &e.ports[i], findings));
		cJSON_AddNumberToObject(reply, "interfaces", e.n);
	}
	free(e.ports);
	probe_close(&probe);
	return err ? diag_set(d, err, E_KERNEL, "", "cannot look: %s", strerror(-err)) : 0;
}
