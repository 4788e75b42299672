/* SPDX-License-Identifier: MIT */
/*
 * What a rule may be. Values arrive here with the right types and sizes; this is the one place
 * that judges them, whether they come from a file, a request or a saved state.
 */
#include "engine/rule.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME  0x100000001b3u

static uint64_t hash_add(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (; len; len--)
		hash = (hash ^ *p++) * FNV_PRIME;
	return hash;
}

/* FNV-1a leaves the last bytes in the low bits only; the multiplications spread them. */
static uint64_t hash_finish(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 33;
}

static uint64_t match_hash(const struct rule *r)
{
	uint64_t hash = hash_add(FNV_OFFSET, r->interface, strlen(r->interface) + 1);
	uint8_t port[2] = { (uint8_t)(r->port >> 8), (uint8_t)r->port };

	hash = hash_add(hash, &r->source.net, sizeof(r->source.net));
	hash = hash_add(hash, &r->group.net, sizeof(r->group.net));
	hash = hash_add(hash, port, sizeof(port));
	return hash_finish(hash_add(hash, &r->protocol, sizeof(r->protocol)));
}

static uint64_t id_hash(const struct rule *r)
{
	return hash_finish(hash_add(FNV_OFFSET, r->id, strlen(r->id)));
}

static uint64_t name_hash(const struct rule *r)
{
	return hash_finish(hash_add(FNV_OFFSET, r->name, strlen(r->name)));
}

void rule_fill_id(struct rule *r)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t hash = match_hash(r);

	if (r->id[0])
		return;
	for (int i = 0; i < 16; i++)
		r->id[i] = hex[hash >> (60 - 4 * i) & 15];
	r->id[16] = '\0';
}

/* Refusals: diag_set with "<where>.<member>" for a path. */
static int __attribute__((format(printf, 5, 6)))
refuse(struct diag *d, enum diag_code code, const char *where, const char *member, const char *fmt,
       ...)
{
	char path[sizeof(d->where)], what[sizeof(d->what)];
	va_list ap;

	snprintf(path, sizeof(path), "%s%s%s", where, *where && *member ? "." : "", member);
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return diag_set(d, -EINVAL, code, path, "%s", what);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

bool rule_is_interface_name(const char *name)
{
	size_t len = strnlen(name, IFNAME_LEN);

	if (!len || len == IFNAME_LEN || (name[0] >= '0' && name[0] <= '9') || name[0] == '-' ||
	    name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

static int interface_check(const char *name, const char *where, const char *member, struct diag *d)
{
	char quoted[DIAG_QUOTE];

	if (rule_is_interface_name(name))
		return 0;
	return refuse(d, E_IF_NAME, where, member,
		      "%s is not an interface name: 1 to 15 letters, digits, dots, underscores "
		      "and dashes that begin with a letter or underscore",
		      diag_quote(name, quoted));
}

/* Where rules and outputs may point: a group that routers forward, or a unicast address. */
static int destination_check(struct ip4 a, const char *where, const char *member, struct diag *d)
{
	char text[IP4_TEXT];

	ip4_format(a, text);
	if (ip4_is_linklocal_group(a))
		return refuse(d, E_BAD_ADDR, where, member,
			      "%s is link-local (224.0.0.0/24), which is never relayed: take a "
			      "group from 224.0.1.0 to 239.255.255.255 or a unicast address",
			      text);
	if (ip4_is_multicast(a) || ip4_is_unicast(a))
		return 0;
	return refuse(d, E_BAD_ADDR, where, member,
		      "%s is neither a group (224.0.1.0 to 239.255.255.255) nor a unicast address",
		      text);
}

static int source_check(struct ip4 a, const char *where, const char *member, struct diag *d)
{
	char text[IP4_TEXT];

	if (ip4_is_unicast(a))
		return 0;
	return refuse(d, E_BAD_ADDR, where, member, "%s is not a unicast address",
		      ip4_format(a, text));
}

static int id_check(const struct rule *r, const char *where, struct diag *d)
{
	char quoted[DIAG_QUOTE];

	for (const char *p = r->id; *p; p++)
		if (*p <= ' ' || *p > '~')
			return refuse(d, E_RANGE, where, "id",
				      "%s is not an id: 1 to %d printable ASCII characters "
				      "without spaces",
				      diag_quote(r->id, quoted), RULE_ID_LEN - 1);
	if (!r->id[0])
		return refuse(d, E_RANGE, where, "id", "an id cannot be empty");
	return 0;
}

/* Names are printed to terminals and logs: no control characters, neither C0 nor C1. */
static int name_check(const struct rule *r, const char *where, struct diag *d)
{
	const unsigned char *p = (const unsigned char *)r->name;
	size_t len = strlen(r->name);
	char quoted[DIAG_QUOTE];
	bool good = !len || (p[0] != ' ' && p[len - 1] != ' ');

	for (size_t i = 0; i < len; i++)
		if (p[i] < ' ' || p[i] == 0x7f || (p[i] == 0xc2 && p[i + 1] < 0xa0))
			good = false;
	if (good)
		return 0;
	return refuse(d, E_RANGE, where, "name",
		      "%s is not a name: up to %d bytes without control characters, and without "
		      "spaces at either end",
		      diag_quote(r->name, quoted), RULE_NAME_LEN - 1);
}

static int input_check(const struct rule *r, const char *where, struct diag *d)
{
	int err = interface_check(r->interface, where, "input.interface", d);

	if (!err)
		err = destination_check(r->group, where, "input.group", d);
	if (!err && r->source.net)
		err = source_check(r->source, where, "input.source", d);
	if (err)
		return err;
	if (r->protocol != IPPROTO_UDP && r->protocol != IPPROTO_ESP)
		return refuse(d, E_RANGE, where, "input.protocol",
			      "%u is not a protocol that is relayed: \"udp\" (17) or \"esp\" (50)",
			      r->protocol);
	if (r->protocol == IPPROTO_ESP && r->port)
		return refuse(d, E_RANGE, where, "input.port",
			      "ESP has no ports: leave the port out, or set it to 0");
	if (r->datapath >= RULE_DP__COUNT)
		return refuse(d, E_RANGE, where, "datapath",
			      "%u is not a datapath: auto, afxdp or afpacket", r->datapath);
	return 0;
}

struct ip4 rule_output_to(const struct rule *r, const struct rule_output *o)
{
	if (o->register_to.net)
		return o->register_to;
	return o->address.net ? o->address : r->group;
}

static int output_interface_check(const struct rule *r, const struct rule_output *o,
				  const char *where, struct diag *d)
{
	char text[IP4_TEXT];
	int err;

	if (!o->interface[0]) {
		if (!o->address.net)
			return refuse(d, E_MISSING, where, "interface",
				      "an output names an interface, or a unicast address that "
				      "the kernel has a route to, or both");
		if (ip4_is_multicast(o->address))
			return refuse(d, E_MISSING, where, "interface",
				      "the group %s needs the interface that it goes out on",
				      ip4_format(o->address, text));
		return 0;
	}
	err = interface_check(o->interface, where, "interface", d);
	if (!err && !strcmp(o->interface, r->interface))
		err = refuse(d, E_LOOP, where, "interface",
			     "%s is the input's own interface: copies sent there could come back "
			     "as input; name another one",
			     o->interface);
	return err;
}

static int output_policy_check(const struct rule_output *o, const char *where, struct diag *d)
{
	if (o->ttl_policy > TTL_DECREMENT || (o->ttl_policy == TTL_FIXED && !o->ttl))
		return refuse(d, E_RANGE, where, "ttl",
			      "%u is not a TTL: 1 to 255, or \"decrement\"", o->ttl);
	if (o->source_policy > SOURCE_LITERAL)
		return refuse(d, E_RANGE, where, "source",
			      "%u is not a source policy: \"interface\", \"preserve\" or an "
			      "address",
			      o->source_policy);
	if (o->source_policy == SOURCE_LITERAL && !ip4_is_unicast(o->source))
		return source_check(o->source, where, "source", d);
	if (o->dscp < -1 || o->dscp > 63)
		return refuse(d, E_RANGE, where, "dscp", "%d is not a DSCP: 0 to 63", o->dscp);
	return 0;
}

static int output_check(const struct rule *r, unsigned n, const char *where, struct diag *d)
{
	const struct rule_output *o = &r->outputs[n];
	char path[sizeof(d->where)];
	int err;

	snprintf(path, sizeof(path), "%s%soutputs[%u]", where, *where ? "." : "", n);
	err = output_interface_check(r, o, path, d);
	if (!err && o->address.net)
		err = destination_check(o->address, path, "address", d);
	if (!err && r->protocol == IPPROTO_ESP && o->port)
		err = refuse(d, E_RANGE, path, "port",
			     "ESP has no ports: leave the port out, or set it to 0");
	return err ? err : output_policy_check(o, path, d);
}

/* Whether receivers would get every datagram twice. */
static bool output_same_copy(const struct rule *r, const struct rule_output *a,
			     const struct rule_output *b)
{
	uint16_t port_a = a->port ? a->port : r->port, port_b = b->port ? b->port : r->port;

	return port_a == port_b && ip4_equal(rule_output_to(r, a), rule_output_to(r, b)) &&
	       !strcmp(a->interface, b->interface) && a->source_policy == b->source_policy &&
	       (a->source_policy != SOURCE_LITERAL || ip4_equal(a->source, b->source));
}

static int outputs_check(const struct rule *r, const char *where, struct diag *d)
{
	if (!r->n_outputs)
		return refuse(d, E_MISSING, where, "outputs", "a rule has at least one output");
	if (r->n_outputs > RULE_OUTPUTS_MAX)
		return refuse(d, E_LIMIT, where, "outputs", "%u outputs: a rule has at most %d",
			      r->n_outputs, RULE_OUTPUTS_MAX);
	for (unsigned n = 0; n < r->n_outputs; n++) {
		int err = output_check(r, n, where, d);
		char member[32];

		if (err)
			return err;
		for (unsigned i = 0; i < n; i++) {
			if (!output_same_copy(r, &r->outputs[i], &r->outputs[n]))
				continue;
			snprintf(member, sizeof(member), "outputs[%u]", n);
			return refuse(d, E_EXISTS, where, member,
				      "goes to the same place as outputs[%u]", i);
		}
	}
	return 0;
}

int rule_check(const struct rule *r, const char *where, struct diag *d)
{
	int err = id_check(r, where, d);

	if (!err)
		err = name_check(r, where, d);
	if (!err)
		err = input_check(r, where, d);
	return err ? err : outputs_check(r, where, d);
}

/* One way in which rules of a set have to differ. */
struct uniqueness {
	const char *member; /* path below the rule, for the diag */
	const char *what;   /* that is the same, for the sentence */
	uint64_t (*hash)(const struct rule *r);
	bool (*same)(const struct rule *a, const struct rule *b);
};

static bool same_id(const struct rule *a, const struct rule *b)
{
	return !strcmp(a->id, b->id);
}

static bool same_name(const struct rule *a, const struct rule *b)
{
	return !strcmp(a->name, b->name);
}

bool rule_same_match(const struct rule *a, const struct rule *b)
{
	return ip4_equal(a->group, b->group) && ip4_equal(a->source, b->source) &&
	       a->port == b->port && a->protocol == b->protocol &&
	       !strcmp(a->interface, b->interface);
}

static const struct uniqueness uniquenesses[] = {
	{ "input", "input", match_hash, rule_same_match },
	{ "name", "name", name_hash, same_name },
	{ "id", "id", id_hash, same_id },
};

static int clash(size_t first, size_t second, const struct rule *other, const struct uniqueness *u,
		 struct diag *d)
{
	char path[32], quoted[DIAG_QUOTE];

	snprintf(path, sizeof(path), "rules[%zu]", second);
	return refuse(d, E_EXISTS, path, u->member, "the same %s as rules[%zu], %s %s", u->what,
		      first, other->name[0] ? "named" : "id",
		      diag_quote(other->name[0] ? other->name : other->id, quoted));
}

/* `table` has at least twice as many slots as there are rules, a power of two, each place + 1. */
static int unique_check(const struct ruleset *set, const struct uniqueness *u, uint32_t *table,
			size_t slots, struct diag *d)
{
	memset(table, 0, slots * sizeof(*table));
	for (size_t i = 0; i < set->n; i++) {
		const struct rule *r = &set->rules[i];
		size_t at = u->hash(r) & (slots - 1);

		/* Nameless rules have one hash and never clash: they would only lengthen probes. */
		if (u->hash == name_hash && !r->name[0])
			continue;
		for (; table[at]; at = (at + 1) & (slots - 1))
			if (u->same(&set->rules[table[at] - 1], r))
				return clash(table[at] - 1, i, &set->rules[table[at] - 1], u, d);
		table[at] = (uint32_t)i + 1;
	}
	return 0;
}

int ruleset_check(const struct ruleset *set, uint32_t *index, size_t index_len, struct diag *d)
{
	size_t slots = 1;
	int err = 0;

	if (set->n > RULE_MAX)
		return diag_set(d, -E2BIG, E_LIMIT, "rules",
				"%zu rules: an instance has at most %d", set->n, RULE_MAX);
	if (index_len < 4 * set->n)
		return diag_set(d, -E2BIG, E_LIMIT, "rules", "no room to compare %zu rules",
				set->n);
	while (slots < 2 * set->n)
		slots *= 2;
	for (size_t i = 0; !err && set->n && i < sizeof(uniquenesses) / sizeof(uniquenesses[0]);
	     i++)
		err = unique_check(set, &uniquenesses[i], index, slots, d);
	return err;
}

const struct rule *ruleset_find_name(const struct ruleset *set, const char *name)
{
	if (!*name)
		return NULL;
	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->rules[i].name, name))
			return &set->rules[i];
	return NULL;
}

static bool output_equal(const struct rule_output *a, const struct rule_output *b)
{
	return !strcmp(a->interface, b->interface) && ip4_equal(a->address, b->address) &&
	       a->port == b->port && a->ttl_policy == b->ttl_policy &&
	       (a->ttl_policy != TTL_FIXED || a->ttl == b->ttl) &&
	       a->source_policy == b->source_policy && a->dscp == b->dscp &&
	       ip4_equal(a->register_to, b->register_to) &&
	       ip4_equal(a->register_from, b->register_from) &&
	       (a->source_policy != SOURCE_LITERAL || ip4_equal(a->source, b->source));
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
	if (!same_id(a, b) || strcmp(a->name, b->name) || !rule_same_match(a, b) ||
	    a->datapath != b->datapath || a->kind != b->kind || a->accept_ttl1 != b->accept_ttl1 ||
	    a->tells_sources != b->tells_sources || a->n_outputs != b->n_outputs)
		return false;
	for (unsigned i = 0; i < a->n_outputs; i++)
		if (!output_equal(&a->outputs[i], &b->outputs[i]))
			return false;
	return true;
}

const char *rule_datapath_name(enum rule_datapath dp)
{
	static const char *const names[RULE_DP__COUNT] = {
		[RULE_DP_AUTO] = "auto",
		[RULE_DP_XDP] = "xdp",
		[RULE_DP_AFXDP] = "afxdp",
		[RULE_DP_AFPACKET] = "afpacket",
	};

	return (unsigned)dp < RULE_DP__COUNT ? names[dp] : "unknown";
}
