/* SPDX-License-Identifier: MIT */
/*
 * The table. Routes and groups come from pools and are found by hash; a group holds its (*,G) and a
 * list of its sources, because a change of (*,G) may change what each of them inherits. The ports
 * of a route are a list sorted by number, so that the same marks are the same list, in whatever
 * order they came. A route without marks and inputs is freed once its dirtiness has been read.
 */
#include "engine/mrib.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "engine/mrib_impl.h"

#define REFUSED_KEPT 64

struct mark {
	struct mark *next;
	uint16_t port;
	uint8_t by[MRIB_MARKS]; /* origins, a bit each */
};

struct route {
	struct hash_node node;
	struct list in_group, in_all, in_dirty;
	struct group *group;
	struct mark *marks;
	struct sg sg;
	uint64_t generation;
	struct mtime created, changed;
	struct ip4 register_to, register_from;
	uint16_t n_marks;
	uint8_t whole; /* origins that have it inherit nothing of theirs */
	bool tells;
	uint16_t inputs[MRIB_ORIGINS];
};

struct group {
	struct hash_node node;
	struct list sources;
	struct route *star; /* or NULL */
	struct ip4 group;
	uint32_t n_sources;
};

struct refusal {
	struct sg sg;
	uint16_t port;
};

struct mrib {
	struct mrib_config cfg;
	struct pool routes, groups, marks;
	struct hash by_sg, by_group;
	struct list all, dirty;
	uint32_t n_dirty;
	uint64_t generation, refused_sources, refused_route_ports;
	struct mrib_port ports[MRIB_PORTS_MAX];
	struct refusal refused[REFUSED_KEPT]; /* what limits have kept out lately */
	unsigned next_refused;
};

const char *mrib_origin_name(enum mrib_origin o)
{
	static const char *const names[MRIB_ORIGINS] = {
		[MRIB_STATIC] = "static",
		[MRIB_EXTERNAL] = "external",
		[MRIB_FABRIC] = "fabric",
		[MRIB_PIM] = "pim",
		[MRIB_MSDP] = "msdp",
		[MRIB_IGMP] = "igmp",
		[MRIB_REMEMBERED] = "remembered",
	};

	return (unsigned)o < MRIB_ORIGINS ? names[o] : "unknown";
}

const char *mrib_out_text(enum mrib_out_why why)
{
	static const char *const texts[MRIB_OUT__COUNT] = {
#define X(name, text) text,
		MRIB_OUTS(X)
#undef X
	};

	return (unsigned)why < MRIB_OUT__COUNT ? texts[why] : "unknown";
}

struct mrib *mrib_init(struct arena *a, const struct mrib_config *cfg)
{
	struct mrib measured, *m = arena_take(a, 1, sizeof(*m));
	struct mrib *into = m ? m : &measured;

	pool_init(&into->routes, a, cfg->max_routes, sizeof(struct route));
	pool_init(&into->groups, a, cfg->max_routes, sizeof(struct group));
	pool_init(&into->marks, a, cfg->max_ports, sizeof(struct mark));
	hash_init(&into->by_sg, a, cfg->max_routes, cfg->seed);
	hash_init(&into->by_group, a, cfg->max_routes, cfg->seed);
	if (!m || a->used > a->size)
		return NULL;
	m->cfg = *cfg;
	list_init(&m->all);
	list_init(&m->dirty);
	return m;
}

/* --- finding and making ----------------------------------------------------------------------- */

static struct group *group_find(const struct mrib *m, struct ip4 group)
{
	uint32_t key = hash_key(&m->by_group, group.net, 0, 0);

	for (struct hash_node *n = hash_first(&m->by_group, key); n; n = hash_next(n)) {
		struct group *g = list_item(n, struct group, node);

		if (ip4_equal(g->group, group))
			return g;
	}
	return NULL;
}

static struct route *route_find(const struct mrib *m, struct sg sg)
{
	uint32_t key = hash_key(&m->by_sg, sg.source.net, sg.group.net, 0);

	for (struct hash_node *n = hash_first(&m->by_sg, key); n; n = hash_next(n)) {
		struct route *r = list_item(n, struct route, node);

		if (sg_equal(r->sg, sg))
			return r;
	}
	return NULL;
}

static struct group *group_make(struct mrib *m, struct ip4 group)
{
	struct group *g = pool_get(&m->groups);

	if (!g)
		return NULL;
	g->group = group;
	list_init(&g->sources);
	hash_add(&m->by_group, &g->node, hash_key(&m->by_group, group.net, 0, 0));
	return g;
}

static void group_put(struct mrib *m, struct group *g)
{
	if (g->star || g->n_sources)
		return;
	hash_del(&m->by_group, &g->node);
	pool_put(&m->groups, g);
}

static void route_init(struct mrib *m, struct route *r, struct group *g, struct sg sg)
{
	r->sg = sg;
	r->group = g;
	for (unsigned o = 0; o < MRIB_ORIGINS; o++)
		r->inputs[o] = MRIB_NO_PORT;
	list_init(&r->in_dirty);
	list_init(&r->in_group);
	list_add(&m->all, &r->in_all);
	hash_add(&m->by_sg, &r->node, hash_key(&m->by_sg, sg.source.net, sg.group.net, 0));
	if (sg.source.net) {
		list_add(&g->sources, &r->in_group);
		g->n_sources++;
	} else {
		g->star = r;
	}
}

static int refuse(struct mrib *m, struct sg sg, uint16_t port)
{
	m->refused[m->next_refused++ % REFUSED_KEPT] = (struct refusal){ sg, port };
	return -ENOSPC;
}

bool mrib_was_refused(const struct mrib *m, struct sg sg)
{
	const struct sg star = { .group = sg.group };

	for (unsigned i = 0; i < REFUSED_KEPT; i++)
		if (sg_equal(m->refused[i].sg, sg) || sg_equal(m->refused[i].sg, star))
			return true;
	return false;
}

/* What has been let in is not refused any more. */
static void unrefuse(struct mrib *m, struct sg sg, uint16_t port)
{
	for (unsigned i = 0; i < REFUSED_KEPT && m->next_refused; i++)
		if (sg_equal(m->refused[i].sg, sg) && m->refused[i].port == port)
			m->refused[i] = (struct refusal){ 0 };
}

static int route_make(struct mrib *m, struct mtime now, struct sg sg, uint16_t port,
		      struct route **out)
{
	struct group *g = group_find(m, sg.group);
	struct route *r;

	if (g && sg.source.net && g->n_sources >= m->cfg.max_sources) {
		m->refused_sources++;
		return refuse(m, sg, port);
	}
	r = pool_get(&m->routes);
	if (!r)
		return refuse(m, sg, port);
	if (!g)
		g = group_make(m, sg.group); /* there are as many as routes */
	route_init(m, r, g, sg);
	r->created = now;
	*out = r;
	return 0;
}

static bool is_empty(const struct route *r)
{
	for (unsigned o = 0; o < MRIB_ORIGINS; o++)
		if (r->inputs[o] != MRIB_NO_PORT)
			return false;
	return !r->marks;
}

/* When nothing is said of it, and the data path knows. */
static void route_put(struct mrib *m, struct route *r)
{
	struct group *g = r->group;

	if (!is_empty(r) || !list_empty(&r->in_dirty))
		return;
	hash_del(&m->by_sg, &r->node);
	list_del(&r->in_all);
	list_del(&r->in_group);
	if (r->sg.source.net)
		g->n_sources--;
	else
		g->star = NULL;
	pool_put(&m->routes, r);
	group_put(m, g);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void make_dirty(struct mrib *m, struct route *r)
{
	if (!list_empty(&r->in_dirty))
		return;
	list_add(&m->dirty, &r->in_dirty);
	m->n_dirty++;
}

/* What changes in (*,G) may change each (S,G): work for as many as there are of this group. */
static void route_changed(struct mrib *m, struct mtime now, struct route *r)
{
	r->generation = ++m->generation;
	r->changed = now;
	make_dirty(m, r);
	if (r->sg.source.net)
		return;
	for (struct list *l = r->group->sources.next; l != &r->group->sources; l = l->next)
		make_dirty(m, list_item(l, struct route, in_group));
}

/* The link to the mark of this port, or to the first behind it. */
static struct mark **mark_place(struct route *r, uint16_t port)
{
	struct mark **at = &r->marks;

	while (*at && (*at)->port < port)
		at = &(*at)->next;
	return at;
}

static struct mark *mark_make(struct mrib *m, struct route *r, struct mark **at, uint16_t port)
{
	struct mark *mark;

	if (r->n_marks >= m->cfg.max_route_ports) {
		m->refused_route_ports++;
		return NULL;
	}
	mark = pool_get(&m->marks);
	if (!mark)
		return NULL;
	mark->port = port;
	mark->next = *at;
	*at = mark;
	r->n_marks++;
	return mark;
}

static void mark_put(struct mrib *m, struct route *r, struct mark **at)
{
	struct mark *mark = *at;

	for (unsigned i = 0; i < MRIB_MARKS; i++)
		if (mark->by[i])
			return;
	*at = mark->next;
	pool_put(&m->marks, mark);
	r->n_marks--;
}

static bool is_good(struct sg sg, uint16_t port, enum mrib_origin origin)
{
	return ip4_is_multicast(sg.group) && !ip4_is_linklocal_group(sg.group) &&
	       (!sg.source.net || ip4_is_unicast(sg.source)) && port < MRIB_PORTS_MAX &&
	       (unsigned)origin < MRIB_ORIGINS;
}

int mrib_add(struct mrib *m, struct mtime now, struct sg sg, uint16_t port, enum mrib_mark mark,
	     enum mrib_origin origin)
{
	struct route *r = route_find(m, sg);
	struct mark **at, *here;
	int err = 0;

	if (!is_good(sg, port, origin) || (unsigned)mark >= MRIB_MARKS ||
	    (mark == MRIB_PRUNED && !sg.source.net))
		return -EINVAL;
	if (!r)
		err = route_make(m, now, sg, port, &r);
	if (err)
		return err;
	at = mark_place(r, port);
	here = *at && (*at)->port == port ? *at : mark_make(m, r, at, port);
	if (!here) {
		route_put(m, r);
		return refuse(m, sg, port);
	}
	if (here->by[mark] & 1u << origin)
		return 0;
	here->by[mark] |= (uint8_t)(1u << origin);
	unrefuse(m, sg, port);
	route_changed(m, now, r);
	return 0;
}

/* What is left of a mark that `origin` takes back. */
static uint8_t left_by(enum mrib_origin origin)
{
	return (uint8_t) ~(1u << origin | 1u << MRIB_REMEMBERED);
}

void mrib_del(struct mrib *m, struct mtime now, struct sg sg, uint16_t port, enum mrib_mark mark,
	      enum mrib_origin origin)
{
	struct route *r = route_find(m, sg);
	struct mark **at;

	if (!r || (unsigned)mark >= MRIB_MARKS || (unsigned)origin >= MRIB_ORIGINS)
		return;
	at = mark_place(r, port);
	if (!*at || (*at)->port != port || !((*at)->by[mark] & 1u << origin))
		return;
	(*at)->by[mark] &= left_by(origin);
	mark_put(m, r, at);
	route_changed(m, now, r);
}

int mrib_register_set(struct mrib *m, struct mtime now, struct sg sg, struct ip4 to,
		      struct ip4 from)
{
	struct route *r = route_find(m, sg);

	if (!r || !sg.source.net)
		return -ENOENT;
	if (ip4_equal(r->register_to, to) && ip4_equal(r->register_from, from))
		return 0;
	r->register_to = to;
	r->register_from = from;
	route_changed(m, now, r);
	return 0;
}

/* Takes the mark back wherever it is not to be. */
static bool unmark(struct mrib *m, struct route *r, const struct portset *ports,
		   enum mrib_mark mark, enum mrib_origin origin)
{
	const uint8_t bit = (uint8_t)(1u << origin);
	bool has_changed = false;

	for (struct mark **at = &r->marks, *here; (here = *at);) {
		if (here->by[mark] & bit && !portset_has(ports, here->port)) {
			here->by[mark] &= left_by(origin);
			has_changed = true;
			mark_put(m, r, at);
		}
		if (*at == here)
			at = &here->next;
	}
	return has_changed;
}

int mrib_mark_set(struct mrib *m, struct mtime now, struct sg sg, const struct portset *ports,
		  enum mrib_mark mark, enum mrib_origin origin)
{
	struct route *r = route_find(m, sg);
	int err = 0;

	if ((unsigned)mark >= MRIB_MARKS || (unsigned)origin >= MRIB_ORIGINS)
		return -EINVAL;
	for (uint32_t port = portset_next(ports, 0); port != PORT_NONE;
	     port = portset_next(ports, port + 1)) {
		int one = mrib_add(m, now, sg, (uint16_t)port, mark, origin);

		err = one ? one : err;
	}
	if (r && unmark(m, r, ports, mark, origin))
		route_changed(m, now, r);
	return err;
}

void mrib_whole_set(struct mrib *m, struct mtime now, struct sg sg, enum mrib_origin origin,
		    bool is_whole)
{
	struct route *r = route_find(m, sg);
	uint8_t bit;

	if (!r || !sg.source.net || (unsigned)origin >= MRIB_ORIGINS)
		return;
	bit = (uint8_t)(1u << origin);
	if (is_whole == ((r->whole & bit) != 0))
		return;
	r->whole ^= bit;
	route_changed(m, now, r);
}

void mrib_tells_set(struct mrib *m, struct mtime now, struct sg sg, bool tells)
{
	struct route *r = route_find(m, sg);

	if (!r || r->tells == tells)
		return;
	r->tells = tells;
	route_changed(m, now, r);
}

int mrib_input_set(struct mrib *m, struct mtime now, struct sg sg, uint16_t port,
		   enum mrib_origin origin)
{
	struct route *r = route_find(m, sg);
	int err = 0;

	if (!is_good(sg, port == MRIB_NO_PORT ? 0 : port, origin))
		return -EINVAL;
	if (!r && port == MRIB_NO_PORT)
		return 0;
	if (!r)
		err = route_make(m, now, sg, port, &r);
	if (err || r->inputs[origin] == port)
		return err;
	r->inputs[origin] = port;
	unrefuse(m, sg, port);
	route_changed(m, now, r);
	return 0;
}

/* Takes `origins` back of all that is said of `port`, or of all ports. */
static bool route_forget(struct mrib *m, struct route *r, uint8_t origins, uint16_t port)
{
	bool has_changed = false;

	if (port == MRIB_NO_PORT && origins & 1u << MRIB_PIM) {
		has_changed = r->register_to.net != 0;
		r->register_to = r->register_from = (struct ip4){ 0 };
	}
	if (port == MRIB_NO_PORT) {
		r->tells &= !(origins & 1u << MRIB_PIM);
		has_changed |= (r->whole & origins) != 0;
		r->whole &= (uint8_t)~origins;
	}
	for (struct mark **at = &r->marks, *mark; (mark = *at);) {
		bool is_it = port == MRIB_NO_PORT || mark->port == port;

		for (unsigned i = 0; i < MRIB_MARKS && is_it; i++) {
			has_changed |= (mark->by[i] & origins) != 0;
			mark->by[i] &= (uint8_t)~origins;
		}
		mark_put(m, r, at);
		if (*at == mark)
			at = &mark->next;
	}
	for (unsigned o = 0; o < MRIB_ORIGINS; o++) {
		bool is_it = r->inputs[o] != MRIB_NO_PORT && (origins & 1u << o) &&
			     (port == MRIB_NO_PORT || r->inputs[o] == port);

		has_changed |= is_it;
		if (is_it)
			r->inputs[o] = MRIB_NO_PORT;
	}
	return has_changed;
}

static void forget(struct mrib *m, struct mtime now, uint8_t origins, uint16_t port)
{
	for (struct list *l = m->all.next; l != &m->all; l = l->next) {
		struct route *r = list_item(l, struct route, in_all);

		if (route_forget(m, r, origins, port))
			route_changed(m, now, r);
	}
}

void mrib_forget_origin(struct mrib *m, struct mtime now, enum mrib_origin origin)
{
	if ((unsigned)origin < MRIB_ORIGINS)
		forget(m, now, (uint8_t)(1u << origin), MRIB_NO_PORT);
}

void mrib_forget_port(struct mrib *m, struct mtime now, uint16_t port)
{
	if (port < MRIB_PORTS_MAX)
		forget(m, now, UINT8_MAX, port);
}

static uint16_t own_input(const struct route *r)
{
	for (unsigned o = 0; o < MRIB_ORIGINS; o++)
		if (r->inputs[o] != MRIB_NO_PORT)
			return r->inputs[o];
	return MRIB_NO_PORT;
}

/* A source that has no tree of its own, such as one that was pruned, comes by the shared one. */
static uint16_t input_of(const struct route *r)
{
	uint16_t own = own_input(r);

	return own == MRIB_NO_PORT && r->group->star ? own_input(r->group->star) : own;
}

static bool concerns(struct route *r, uint16_t port)
{
	struct mark *mark = *mark_place(r, port);

	return input_of(r) == port || (mark && mark->port == port);
}

void mrib_port_set(struct mrib *m, uint16_t port, const struct mrib_port *p)
{
	if (port >= MRIB_PORTS_MAX)
		return;
	m->ports[port] = *p;
	m->ports[port].name[IFNAME_LEN - 1] = '\0';
	for (struct list *l = m->all.next; l != &m->all; l = l->next) {
		struct route *r = list_item(l, struct route, in_all);

		if (concerns(r, port) || (r->group->star && concerns(r->group->star, port)))
			make_dirty(m, r);
	}
}

bool mrib_dirty_next(struct mrib *m, struct sg *out)
{
	struct route *r;

	if (list_empty(&m->dirty))
		return false;
	r = list_item(m->dirty.next, struct route, in_dirty);
	*out = r->sg;
	list_del(&r->in_dirty);
	m->n_dirty--;
	route_put(m, r);
	return true;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void route_view(const struct route *r, struct mrib_route *out)
{
	const struct route *from = r;

	if (own_input(r) == MRIB_NO_PORT && r->group->star)
		from = r->group->star;
	*out = (struct mrib_route){
		.sg = r->sg,
		.input = own_input(from),
		.is_shared = from != r,
		.tells = r->tells,
		.n_ports = r->n_marks,
		.register_to = r->register_to,
		.register_from = r->register_from,
		.generation = r->generation,
		.created = r->created,
		.changed = r->changed,
	};
	memcpy(out->inputs, r->inputs, sizeof(out->inputs));
	while (out->input_by < MRIB_ORIGINS - 1 && from->inputs[out->input_by] == MRIB_NO_PORT)
		out->input_by++;
}

bool mrib_find(const struct mrib *m, struct sg sg, struct mrib_route *out)
{
	const struct route *r = route_find(m, sg);

	if (!r || is_empty(r))
		return false;
	route_view(r, out);
	return true;
}

bool mrib_is_marked(const struct mrib *m, struct sg sg, uint16_t port, enum mrib_mark mark,
		    enum mrib_origin origin)
{
	struct route *r = route_find(m, sg);
	const struct mark *here = r ? *mark_place(r, port) : NULL;

	return here && here->port == port && here->by[mark] & 1u << origin;
}

bool mrib_next(const struct mrib *m, const void **at, struct mrib_route *out)
{
	const struct list *l = *at ? *at : &m->all;

	for (l = l->next; l != &m->all; l = l->next) {
		const struct route *r =
			(const struct route *)((const char *)l - offsetof(struct route, in_all));

		if (is_empty(r))
			continue;
		route_view(r, out);
		*at = l;
		return true;
	}
	return false;
}

unsigned mrib_sources(const struct mrib *m, struct ip4 group, struct ip4 *out, unsigned cap)
{
	const struct group *g = group_find(m, group);
	unsigned n = 0;

	if (!g)
		return 0;
	for (const struct list *l = g->sources.next; l != &g->sources && n < cap; l = l->next) {
		const struct route *r =
			(const struct route *)((const char *)l - offsetof(struct route, in_group));

		if (!is_empty(r))
			out[n++] = r->sg.source;
	}
	return n;
}

const struct mrib_port *mrib_port_of(const struct mrib *m, uint16_t port)
{
	return port < MRIB_PORTS_MAX && m->ports[port].name[0] ? &m->ports[port] : NULL;
}

bool mrib_may_pass(const struct mrib *m, uint16_t port, struct ip4 group)
{
	return !m->cfg.may_pass || m->cfg.may_pass(m->cfg.arg, port, group);
}

static enum mrib_out_why out_why(const struct mrib *m, const struct mrib_out *o, struct ip4 group,
				 uint16_t input, uint8_t star_owners)
{
	if (!o->owners && !star_owners)
		return MRIB_OUT_unwanted;
	if (o->port == input)
		return MRIB_OUT_is_input;
	if (o->blocked)
		return MRIB_OUT_blocked;
	if (!o->owners && !o->inherited)
		return MRIB_OUT_pruned;
	if (!mrib_port_of(m, o->port))
		return MRIB_OUT_no_port;
	return mrib_may_pass(m, o->port, group) ? MRIB_OUT_forwards : MRIB_OUT_boundary;
}

/* One port, of which (S,G) or (*,G) or both say something. */
static struct mrib_out out_make(const struct mrib *m, const struct route *r, uint16_t input,
				const struct mark *own, const struct mark *star)
{
	struct mrib_out o = { .port = own ? own->port : star->port };
	uint8_t star_owners = star ? star->by[MRIB_WANTED] : 0;

	if (own) {
		o.owners = own->by[MRIB_WANTED];
		o.pruned = own->by[MRIB_PRUNED];
		o.blocked = own->by[MRIB_BLOCKED];
	}
	/* An assert lost for (*,G) does not touch what is wanted of (S,G) itself. */
	if (star && star->by[MRIB_BLOCKED])
		o.blocked |= o.owners ? 0 : star->by[MRIB_BLOCKED];
	else
		o.inherited = star_owners & (uint8_t)~o.pruned;
	o.inherited &= (uint8_t)~r->whole;
	if (mrib_port_of(m, o.port))
		o.ttl_threshold = m->ports[o.port].ttl_threshold;
	o.why = out_why(m, &o, r->sg.group, input, star_owners);
	return o;
}

/* The (*,G) that an (S,G) inherits from. */
static const struct route *star_of(const struct mrib *m, struct sg sg)
{
	const struct group *g = group_find(m, sg.group);

	return g ? g->star : NULL;
}

/* An (S,G) that is not there is as its (*,G). */
static const struct route *deciding(const struct mrib *m, struct sg sg)
{
	const struct route *r = route_find(m, sg);

	return r && !is_empty(r) ? r : star_of(m, sg);
}

unsigned mrib_outputs(const struct mrib *m, struct sg sg, struct mrib_out out[MRIB_PORTS_MAX])
{
	const struct route *r = deciding(m, sg), *above = sg.source.net ? star_of(m, sg) : NULL;
	const struct mark *own = r && r != above ? r->marks : NULL;
	const struct mark *star = above ? above->marks : NULL;
	unsigned n = 0, n_forwards = 0;

	while (own || star) {
		bool takes_own = own && (!star || own->port <= star->port);
		bool takes_star = star && (!own || star->port <= own->port);
		struct mrib_out *o = &out[n++];

		*o = out_make(m, r, input_of(r), takes_own ? own : NULL, takes_star ? star : NULL);
		if (o->why == MRIB_OUT_forwards && n_forwards++ >= RULE_OUTPUTS_MAX)
			o->why = MRIB_OUT_limit;
		if (takes_own)
			own = own->next;
		if (takes_star)
			star = star->next;
	}
	return n;
}

struct mrib_counts mrib_counts(const struct mrib *m)
{
	return (struct mrib_counts){
		.routes = m->routes.used,
		.ports = m->marks.used,
		.groups = m->groups.used,
		.peak_routes = m->routes.peak,
		.peak_ports = m->marks.peak,
		.dirty = m->n_dirty,
		.changes = m->generation,
		.refused_routes = m->routes.refused,
		.refused_ports = m->marks.refused,
		.refused_sources = m->refused_sources,
		.refused_route_ports = m->refused_route_ports,
	};
}

uint64_t mrib_generation(const struct mrib *m)
{
	return m->generation;
}
