/* SPDX-License-Identifier: MIT */
/*
 * RPF look-ups. The routes of the tables that some rule asks lie sorted by table, address and
 * length. Routes of one prefix form a node; a node knows the next shorter one around it. The last
 * node that does not begin behind an address is then the longest that can hold it, and its way up
 * passes all others: one binary search and a short walk.
 */
#include "engine/rpf.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/hash.h"

#define NONE	   UINT32_MAX
#define IF_SLOTS   (2 * RPF_PORTS_MAX)
#define SORT_BYTES 14 /* rank, metric, length, address, table */

struct node {
	uint32_t addr;	   /* host order */
	uint32_t around;   /* the next shorter prefix that holds this one, or NONE */
	uint32_t first, n; /* its routes, the best one first */
	uint8_t len;
};

struct table {
	uint32_t id, first, n; /* nodes */
};

struct port {
	uint32_t ifindex; /* 0 = none */
	bool is_up;
};

struct rpf {
	struct rpf_config cfg;
	struct hash mix; /* seed only */
	uint64_t generation;
	struct fib_rule rules[FIB_RULES_MAX];
	uint32_t n_rules;
	struct table tables[FIB_RULES_MAX];
	uint32_t n_tables;
	struct fib_route *routes; /* sorted */
	struct fib_hop *hops;
	struct node *nodes;
	uint32_t *order, *other;		    /* scratch of the sort */
	struct rpf_static statics[RPF_STATICS_MAX]; /* the longest first */
	uint32_t n_statics;
	struct port ports[RPF_PORTS_MAX];
	uint16_t by_ifindex[IF_SLOTS]; /* open addressing, port + 1 */
};

const char *rpf_why_text(enum rpf_why why)
{
	static const char *const texts[RPF__COUNT] = {
#define X(name, text) text,
		RPF_WHYS(X)
#undef X
	};

	return (unsigned)why < RPF__COUNT ? texts[why] : "unknown";
}

struct rpf *rpf_init(struct arena *a, const struct rpf_config *cfg)
{
	struct rpf *r = arena_take(a, 1, sizeof(*r));
	void *routes = arena_take(a, cfg->max_routes, sizeof(struct fib_route));
	void *hops = arena_take(a, cfg->max_hops, sizeof(struct fib_hop));
	void *nodes = arena_take(a, cfg->max_routes, sizeof(struct node));
	void *order = arena_take(a, cfg->max_routes, sizeof(uint32_t));
	void *other = arena_take(a, cfg->max_routes, sizeof(uint32_t));

	if (!r || !routes || !hops || !nodes || !order || !other)
		return NULL;
	*r = (struct rpf){
		.cfg = *cfg,
		.mix = { .seed = cfg->seed },
		.routes = routes,
		.hops = hops,
		.nodes = nodes,
		.order = order,
		.other = other,
	};
	return r;
}

uint64_t rpf_generation(const struct rpf *r)
{
	return r->generation;
}

/* --- loading ---------------------------------------------------------------------------------- */

static uint32_t table_find(const struct rpf *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->n_tables; i++)
		if (r->tables[i].id == id)
			return i;
	return NONE;
}

/* Tables that no rule asks are left out. */
static void rules_take(struct rpf *r, const struct fib_view *v)
{
	r->n_rules = (uint32_t)v->n_rules;
	r->n_tables = 0;
	for (uint32_t i = 0; i < r->n_rules; i++) {
		const struct fib_rule *rule = &v->rules[i];

		r->rules[i] = *rule;
		if (rule->action == FIB_RULE_TABLE && table_find(r, rule->table) == NONE)
			r->tables[r->n_tables++] = (struct table){ .id = rule->table };
	}
}

/* Byte `n` of what routes are sorted by, the least significant one first. */
static uint8_t sort_byte(const struct fib_route *r, uint32_t table, unsigned n)
{
	if (n == 0)
		return r->rank;
	if (n <= 4)
		return (uint8_t)(r->metric >> 8 * (n - 1));
	if (n == 5)
		return r->dst.len;
	if (n <= 9)
		return (uint8_t)(ip4_host(r->dst.addr) >> 8 * (n - 6));
	return (uint8_t)(table >> 8 * (n - 10));
}

/* One pass of a stable radix sort; bytes that are the same everywhere cost only the count. */
static void sort_pass(struct rpf *r, const struct fib_route *routes, uint32_t n, unsigned byte)
{
	uint32_t at[256] = { 0 }, sum = 0, *swap = r->order;

	for (uint32_t i = 0; i < n; i++)
		at[sort_byte(&routes[r->order[i]], routes[r->order[i]].table, byte)]++;
	for (unsigned b = 0; b < 256; b++) {
		uint32_t here = at[b];

		if (here == n)
			return;
		at[b] = sum;
		sum += here;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct fib_route *route = &routes[r->order[i]];

		r->other[at[sort_byte(route, route->table, byte)]++] = r->order[i];
	}
	r->order = r->other;
	r->other = swap;
}

static bool same_prefix(const struct fib_route *a, const struct fib_route *b)
{
	return a->table == b->table && ip4_equal(a->dst.addr, b->dst.addr) &&
	       a->dst.len == b->dst.len;
}

static bool node_holds(const struct node *n, uint32_t addr)
{
	return n->len == 0 || (n->addr ^ addr) >> (32 - n->len) == 0;
}

/* The nodes of one table, whose routes lie from `first` on; returns how many routes it has. */
static uint32_t table_build(struct rpf *r, struct table *t, uint32_t first, uint32_t n_routes)
{
	uint32_t end = first, around = NONE;

	t->n = 0;
	while (end < n_routes && r->routes[end].table == t->id) {
		const struct fib_route *route = &r->routes[end];
		uint32_t addr = ip4_host(route->dst.addr), at = t->first + t->n++;

		/* Sorted: what holds the one before, or is it, is all that can hold this one. */
		while (around != NONE && !node_holds(&r->nodes[around], addr))
			around = r->nodes[around].around;
		r->nodes[at] = (struct node){
			.addr = addr,
			.around = around,
			.first = end,
			.len = route->dst.len,
		};
		while (end < n_routes && same_prefix(&r->routes[end], route))
			end++;
		r->nodes[at].n = end - r->nodes[at].first;
		around = at;
	}
	return end - first;
}

static void tables_build(struct rpf *r, uint32_t n_routes)
{
	uint32_t nodes = 0;

	for (uint32_t i = 0; i < r->n_tables; i++)
		r->tables[i].first = r->tables[i].n = 0;
	for (uint32_t at = 0; at < n_routes;) {
		struct table *t = &r->tables[table_find(r, r->routes[at].table)];

		t->first = nodes;
		at += table_build(r, t, at, n_routes);
		nodes += t->n;
	}
}

int rpf_load(struct rpf *r, const struct fib_view *v)
{
	uint32_t n = 0;

	if (v->n_rules > FIB_RULES_MAX || v->n_routes > r->cfg.max_routes ||
	    v->n_hops > r->cfg.max_hops)
		return -E2BIG;
	rules_take(r, v);
	for (uint32_t i = 0; i < v->n_routes; i++)
		if (table_find(r, v->routes[i].table) != NONE)
			r->order[n++] = i;
	for (unsigned byte = 0; byte < SORT_BYTES; byte++)
		sort_pass(r, v->routes, n, byte);
	for (uint32_t i = 0; i < n; i++)
		r->routes[i] = v->routes[r->order[i]];
	if (v->n_hops)
		memcpy(r->hops, v->hops, v->n_hops * sizeof(*r->hops));
	tables_build(r, n);
	r->generation++;
	return 0;
}

/* The longest first, then the lowest preference, then as given. */
static bool static_before(const struct rpf_static *a, const struct rpf_static *b)
{
	if (a->prefix.len != b->prefix.len)
		return a->prefix.len > b->prefix.len;
	return a->preference < b->preference;
}

int rpf_statics_set(struct rpf *r, const struct rpf_static *statics, size_t n)
{
	if (n > RPF_STATICS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		if (statics[i].prefix.len > 32 ||
		    (statics[i].port == RPF_NO_PORT ? !statics[i].next_hop.net
						    : statics[i].port >= RPF_PORTS_MAX))
			return -EINVAL;
	r->n_statics = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		size_t at = i;

		for (; at > 0 && static_before(&statics[i], &r->statics[at - 1]); at--)
			r->statics[at] = r->statics[at - 1];
		r->statics[at] = statics[i];
	}
	r->generation++;
	return 0;
}

/* --- ports ------------------------------------------------------------------------------------ */

static void port_index(struct rpf *r, uint16_t port)
{
	uint32_t at = r->ports[port].ifindex % IF_SLOTS;

	while (r->by_ifindex[at])
		at = (at + 1) % IF_SLOTS;
	r->by_ifindex[at] = (uint16_t)(port + 1);
}

void rpf_port_set(struct rpf *r, uint16_t port, uint32_t ifindex, bool is_up)
{
	struct port *p;

	if (port >= RPF_PORTS_MAX)
		return;
	p = &r->ports[port];
	if (p->ifindex == ifindex && p->is_up == is_up)
		return;
	*p = (struct port){ ifindex, is_up };
	memset(r->by_ifindex, 0, sizeof(r->by_ifindex));
	for (uint16_t i = 0; i < RPF_PORTS_MAX; i++)
		if (r->ports[i].ifindex)
			port_index(r, i);
	r->generation++;
}

static uint16_t port_of(const struct rpf *r, uint32_t ifindex)
{
	for (uint32_t at = ifindex % IF_SLOTS; r->by_ifindex[at]; at = (at + 1) % IF_SLOTS)
		if (r->ports[r->by_ifindex[at] - 1].ifindex == ifindex)
			return (uint16_t)(r->by_ifindex[at] - 1);
	return RPF_NO_PORT;
}

/* --- one way ---------------------------------------------------------------------------------- */

/* A next hop as far as it is known, and what is wrong with it. */
struct way {
	enum rpf_via via;
	uint16_t port;
	struct ip4 next_hop;
};

static enum rpf_why way_check(const struct rpf *r, const struct rpf_query *q, const struct way *w)
{
	if (w->port == RPF_NO_PORT || !r->ports[w->port].ifindex)
		return RPF_no_port;
	if (!r->ports[w->port].is_up)
		return RPF_port_down;
	if (q->has_neighbour && w->via != RPF_CONNECTED &&
	    !q->has_neighbour(q->arg, w->port, w->next_hop))
		return RPF_no_neighbour;
	return RPF_ok;
}

/*
 * Without a gateway the kernel believes everything of the prefix on the link. So it is when the
 * prefix is that of an address of ours; somebody else's route to a link means whoever is there.
 */
static struct way hop_way(const struct rpf *r, const struct fib_route *route,
			  const struct fib_hop *hop)
{
	struct way w = { .port = port_of(r, hop->ifindex), .next_hop = hop->via };

	if (hop->via.net)
		w.via = RPF_GATEWAY;
	else if (route->protocol == RTPROT_KERNEL && !hop->is_via6)
		w.via = RPF_CONNECTED;
	else
		w.via = RPF_ANYBODY;
	return w;
}

/*
 * The higher value wins. By hash each next hop draws a number for each flow, so that the flows of
 * one that goes are spread over the others and no other flow moves.
 */
static uint64_t way_value(const struct rpf *r, const struct rpf_query *q, const struct way *w)
{
	uint32_t flow;

	if (r->cfg.choice == RPF_HIGHEST)
		return (uint64_t)ip4_host(w->next_hop) << 16 | w->port;
	flow = hash_key(&r->mix, q->address.net, q->group.net, 0);
	return (uint64_t)hash_key(&r->mix, flow, w->next_hop.net, w->port) << 16 | w->port;
}

static enum rpf_why fail(struct rpf_answer *out, enum rpf_why why)
{
	out->why = why;
	return why;
}

static void way_answer(struct rpf_answer *out, const struct way *w)
{
	out->via = w->via;
	out->port = w->port;
	out->next_hop = w->next_hop;
}

/* --- routes ----------------------------------------------------------------------------------- */

/* Administrative distance by who made the route, as routers usually have it. */
static uint8_t preference_of(uint8_t protocol)
{
	switch (protocol) {
	case RTPROT_KERNEL:
		return 0;
	case RTPROT_BOOT:
	case RTPROT_STATIC:
		return 1;
	case RTPROT_BGP:
		return 20;
	case RTPROT_EIGRP:
		return 90;
	case RTPROT_BABEL:
		return 100;
	case RTPROT_OSPF:
		return 110;
	case RTPROT_ISIS:
		return 115;
	case RTPROT_RIP:
		return 120;
	default:
		return 200;
	}
}

static void route_answer(struct rpf_answer *out, const struct fib_route *route)
{
	*out = (struct rpf_answer){
		.port = RPF_NO_PORT,
		.prefix = route->dst,
		.metric = route->metric,
		.table = route->table,
		.preference = preference_of(route->protocol),
		.protocol = route->protocol,
	};
}

/* The best of the hops that can be used; else what is wrong with the first. */
static enum rpf_why hops_choose(const struct rpf *r, const struct rpf_query *q,
				const struct fib_route *route, struct rpf_answer *out)
{
	enum rpf_why why, first = RPF_no_port;
	uint64_t value, best = 0;

	for (uint32_t i = 0; i < route->n_hops; i++) {
		struct way w = hop_way(r, route, &r->hops[route->first_hop + i]);

		why = way_check(r, q, &w);
		if (why) {
			if (i == 0) {
				first = why;
				way_answer(out, &w);
			}
			continue;
		}
		value = way_value(r, q, &w);
		if (!out->n_paths++ || value > best) {
			best = value;
			way_answer(out, &w);
		}
	}
	return fail(out, out->n_paths ? RPF_ok : first);
}

static enum rpf_why refusal_of(uint8_t type)
{
	switch (type) {
	case FIB_LOCAL:
		return RPF_ours;
	case FIB_BLACKHOLE:
		return RPF_blackhole;
	case FIB_UNREACHABLE:
		return RPF_unreachable;
	case FIB_PROHIBIT:
		return RPF_prohibit;
	default:
		return RPF_no_route;
	}
}

enum found { FOUND, FOUND_NOTHING, FOUND_THROW };

/* The routes of one prefix. What it failed at first stays in `failed`, unless there is one. */
static enum found node_look(const struct rpf *r, const struct rpf_query *q, const struct node *n,
			    struct rpf_answer *failed, struct rpf_answer *out)
{
	for (uint32_t i = 0; i < n->n; i++) {
		const struct fib_route *route = &r->routes[n->first + i];

		if (route->type == FIB_THROW)
			return FOUND_THROW;
		route_answer(out, route);
		if (route->type != FIB_UNICAST) {
			if (route->n_hops)
				out->port = port_of(r, r->hops[route->first_hop].ifindex);
			fail(out, refusal_of(route->type));
			return FOUND;
		}
		if (!hops_choose(r, q, route, out))
			return FOUND;
		if (failed->why == RPF_no_route)
			*failed = *out;
	}
	return FOUND_NOTHING;
}

/* The longest prefix that can hold the address: the last that does not begin behind it. */
static uint32_t node_find(const struct rpf *r, const struct table *t, uint32_t addr)
{
	uint32_t low = t->first, high = t->first + t->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (r->nodes[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low > t->first ? low - 1 : NONE;
}

static enum found table_look(const struct rpf *r, const struct rpf_query *q,
			     const struct fib_rule *rule, struct rpf_answer *failed,
			     struct rpf_answer *out)
{
	const struct table *t = &r->tables[table_find(r, rule->table)];
	uint32_t addr = ip4_host(q->address);
	enum found found;

	for (uint32_t at = node_find(r, t, addr); at != NONE; at = r->nodes[at].around) {
		const struct node *n = &r->nodes[at];

		if (!node_holds(n, addr))
			continue;
		if (n->len <= rule->suppress_len)
			return FOUND_NOTHING;
		found = node_look(r, q, n, failed, out);
		if (found != FOUND_NOTHING)
			return found;
	}
	return FOUND_NOTHING;
}

static bool rule_counts(const struct fib_rule *rule, struct ip4 address)
{
	bool matches = !rule->is_particular && ip4_in(address, rule->to);

	return matches != rule->is_inverted;
}

/* The rule to go on with after a goto, which only leads forward. */
static uint32_t rule_goto(const struct rpf *r, uint32_t at)
{
	uint32_t target = r->rules[at].target;

	for (at++; at < r->n_rules && r->rules[at].priority < target;)
		at++;
	return at;
}

static enum rpf_why fib_look(const struct rpf *r, const struct rpf_query *q, struct rpf_answer *out)
{
	struct rpf_answer failed = { .why = RPF_no_route, .port = RPF_NO_PORT };

	for (uint32_t at = 0; at < r->n_rules;) {
		const struct fib_rule *rule = &r->rules[at];

		if (!rule_counts(rule, q->address)) {
			at++;
			continue;
		}
		if (rule->action == FIB_RULE_GOTO) {
			at = rule_goto(r, at);
			continue;
		}
		if (rule->action == FIB_RULE_REFUSE) {
			*out = (struct rpf_answer){ .port = RPF_NO_PORT };
			return fail(out, refusal_of(rule->refusal));
		}
		if (rule->action == FIB_RULE_TABLE && table_look(r, q, rule, &failed, out) == FOUND)
			return out->why;
		at++;
	}
	*out = failed;
	return out->why;
}

/* --- static mroutes --------------------------------------------------------------------------- */

/* The link that a next hop is on: its own route must say so. */
static enum rpf_why static_port(const struct rpf *r, const struct rpf_static *s, struct way *w)
{
	const struct rpf_query q = { .address = s->next_hop };
	struct rpf_answer link;

	if (s->port != RPF_NO_PORT)
		return RPF_ok;
	if (fib_look(r, &q, &link) || link.via == RPF_GATEWAY)
		return RPF_unresolved;
	w->port = link.port;
	return RPF_ok;
}

static enum rpf_why static_answer(const struct rpf *r, const struct rpf_query *q,
				  const struct rpf_static *s, struct rpf_answer *out)
{
	struct way w = { .port = s->port, .next_hop = s->next_hop };
	enum rpf_why why;

	w.via = s->next_hop.net ? RPF_GATEWAY : RPF_ANYBODY;
	if (ip4_equal(s->next_hop, q->address))
		w.via = RPF_CONNECTED;
	*out = (struct rpf_answer){
		.prefix = s->prefix,
		.preference = s->preference,
		.protocol = RTPROT_STATIC,
		.is_static = true,
		.n_paths = 1,
	};
	why = static_port(r, s, &w);
	if (!why)
		why = way_check(r, q, &w);
	way_answer(out, &w);
	return fail(out, why);
}

enum rpf_why rpf_lookup(const struct rpf *r, const struct rpf_query *q, struct rpf_answer *out)
{
	struct rpf_answer failed = { .why = RPF_ok };

	*out = (struct rpf_answer){ .port = RPF_NO_PORT };
	if (!ip4_is_unicast(q->address))
		return fail(out, RPF_not_unicast);
	for (uint32_t i = 0; i < r->n_statics; i++) {
		if (!ip4_in(q->address, r->statics[i].prefix))
			continue;
		if (!static_answer(r, q, &r->statics[i], out))
			return RPF_ok;
		if (!failed.why)
			failed = *out;
	}
	/* A static mroute that cannot be used is the more telling reason. */
	if (fib_look(r, q, out) && failed.why && out->why != RPF_ours)
		*out = failed;
	return out->why;
}
