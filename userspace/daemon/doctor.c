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

#define EXAMINED_MAX   (2 * MCR_MAX_IFACES)
#define EXAMINED_SLOTS (4 * EXAMINED_MAX)

/* Interfaces in use. Rules may have 100,000 outputs, so that these are found by a hash of the name.
 */
struct examined {
	struct host_port ports[EXAMINED_MAX];
	unsigned n;
	uint16_t slots[EXAMINED_SLOTS]; /* number in ports + 1; 0 = free */
};

/* --- what is in use --------------------------------------------------------------------------- */

/* Where the name is, or would be. */
static uint16_t *slot_of(struct examined *e, const char *name)
{
	uint32_t h = 2166136261u;

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	for (h %= EXAMINED_SLOTS; e->slots[h]; h = (h + 1) % EXAMINED_SLOTS)
		if (strcmp(e->ports[e->slots[h] - 1].name, name) == 0)
			break;
	return &e->slots[h];
}

/*
 * The interface of this name, which is in use; NULL for none, and when there is no room: there are
 * no more in use, but for outputs of rules.
 */
static struct host_port *port_of(const struct relay *r, struct examined *e, const char *name)
{
	uint16_t *slot = slot_of(e, name);
	struct host_port *p = *slot ? &e->ports[*slot - 1] : &e->ports[e->n];
	const struct netif *ni;

	if (*slot)
		return p;
	if (!name[0] || e->n == EXAMINED_MAX)
		return NULL;
	*slot = (uint16_t)++e->n;
	memcpy(p->name, name, strlen(name) + 1);
	ni = netif_by_name(r->netifs, name);
	p->is_there = ni;
	p->mtu = ni ? ni->mtu : 0;
	return p;
}

static void output_use(const struct live_rule *live, const struct host_port *in,
		       struct host_port *out)
{
	out->is_output = true;
	out->uses_worker |= live->uses_worker;
	out->wants_xdp |= live->rule->datapath == RULE_DP_XDP;
	if (!in || in->mtu <= out->fed_mtu)
		return;
	out->fed_mtu = in->mtu;
	memcpy(out->fed_by, in->name, sizeof(out->fed_by));
}

static void rule_use(const struct relay *r, struct examined *e, const struct live_rule *live)
{
	struct host_port *in = port_of(r, e, live->rule->interface), *out;

	if (in) {
		in->is_input = true;
		in->uses_afpacket |= live->is_programmed && live->datapath == MCR_DP_AFPACKET;
	}
	for (unsigned i = 0; i < live->rule->n_outputs; i++) {
		out = port_of(r, e, live->rule->outputs[i].interface);
		if (out)
			output_use(live, in, out);
	}
}

static void router_use(const struct relay *r, struct examined *e, const struct router_port *p)
{
	struct host_port *out = router_port_routes(p) ? port_of(r, e, p->name) : NULL;

	if (!out)
		return;
	out->is_querier = p->has_igmp;
	out->is_router = p->has_pim && !p->is_pim_passive;
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
	out->has_address = ni->n_addrs;
	out->is_loopback = ni->is_loopback;
	out->takes_redirects = ni->takes_redirects;
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
	for (const struct live_rule *live = relay_next(r, NULL); live; live = relay_next(r, live))
		rule_use(r, e, live);
	for (unsigned i = 0; r->router && i < ROUTER_PORTS_MAX; i++)
		router_use(r, e, &r->router->ports[i]);
	for (unsigned i = 0; i < e->n; i++)
		port_examine(r, probe, &e->ports[i]);
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

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct host_port *)a)->name, ((const struct host_port *)b)->name);
}

static void show_ports(cJSON *list, const struct host *h, struct examined *e)
{
	struct doctor_finding findings[DOCTOR__COUNT];

	qsort(e->ports, e->n, sizeof(e->ports[0]), by_name);
	for (unsigned i = 0; i < e->n; i++)
		show_findings(list, findings, doctor_port(h, &e->ports[i], findings));
}

int cmd_doctor(struct relay *r, const struct request *q, cJSON *reply, struct diag *d)
{
	struct examined *e = calloc(1, sizeof(*e));
	struct doctor_finding findings[DOCTOR__COUNT];
	struct probe probe;
	struct host h;
	cJSON *list;
	int err = probe_open(&probe);

	(void)q;
	if (!err && !e)
		err = -ENOMEM;
	if (!err) {
		examine(r, &probe, &h, e);
		list = cJSON_AddArrayToObject(reply, "findings");
		show_findings(list, findings, doctor_host(&h, findings));
		show_ports(list, &h, e);
		cJSON_AddNumberToObject(reply, "interfaces", e->n);
	}
	free(e);
	probe_close(&probe);
	return err ? diag_set(d, err, E_KERNEL, "", "cannot look: %s", strerror(-err)) : 0;
}
