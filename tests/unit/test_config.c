/* SPDX-License-Identifier: MIT */
/*
 * Configurations: what a good one means, that tests/golden/config/broken.txt is refused case by
 * case, that what is shown reads back as it was, and that hashing keeps large ones quick.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/config.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GOLDEN	 "tests/golden/config/"

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = malloc(1 << 20);

	assert_non_null(f);
	assert_non_null(text);
	*len = fread(text, 1, (1 << 20) - 1, f);
	assert_true(*len > 0 && feof(f));
	text[*len] = '\0';
	fclose(f);
	return text;
}

/* Reads from a block that ends where the text ends. */
static int read_exact(struct config **out, const char *text, size_t len, struct diag *d)
{
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(d, 0, sizeof(*d));
	err = config_read(out, copy, len, d);
	free(copy);
	return err;
}

static struct config *read_good(const char *text)
{
	struct config *cfg = NULL;
	struct diag d;

	if (read_exact(&cfg, text, strlen(text), &d))
		fail_msg("%s: %u:%u %s: %s", text, d.line, d.column, d.where, d.what);
	return cfg;
}

static struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

static void an_empty_object_is_an_empty_relay(void **state)
{
	struct config *cfg = read_good("{}"), *fresh = config_new();

	assert_int_equal(cfg->multicast_ttl, 1);
	assert_int_equal(cfg->worker_grace_s, 60);
	assert_int_equal(cfg->stats_interval_s, 10);
	assert_string_equal(cfg->instance, "");
	assert_int_equal(cfg->rules.n, 0);
	assert_true(config_equal(cfg, fresh));
	config_free(cfg);
	config_free(fresh);
	config_free(NULL);
}

static void check_good_top(const struct config *cfg)
{
	assert_string_equal(cfg->instance, "edge-1");
	assert_string_equal(cfg->control_group, "mcr");
	assert_int_equal(cfg->multicast_ttl, 4);
	assert_int_equal(cfg->worker_grace_s, 0);
	assert_int_equal(cfg->stats_interval_s, 86400);
	assert_int_equal(cfg->n_pinnings, 2);
	assert_string_equal(cfg->pinnings[0].interface, "in0");
	assert_int_equal(cfg->pinnings[0].n_cores, 2);
	assert_int_equal(cfg->pinnings[0].cores[1], 1);
	assert_string_equal(cfg->pinnings[1].interface, "br-lan.7");
	assert_int_equal(cfg->pinnings[1].cores[0], 1023);
	assert_int_equal(cfg->rules.n, 3);
}

static void check_good_igmp(const struct config_igmp *igmp)
{
	assert_int_equal(igmp->n_queriers, 2);
	assert_string_equal(igmp->queriers[1], "o2");
	assert_int_equal(igmp->n_sources, 1);
	assert_string_equal(igmp->sources[0], "in0");
	assert_int_equal(igmp->settings.version, 2);
	assert_int_equal(igmp->settings.robustness, 3);
	assert_int_equal(igmp->settings.query_interval_s, 60);
	assert_int_equal(igmp->settings.query_response_ds, 25);
	assert_int_equal(igmp->settings.last_member_ds, 1);
	assert_true(igmp->settings.fast_leave);
	assert_int_equal(igmp->settings.max_groups, 100);
	assert_int_equal(igmp->settings.max_sources, 7);
	assert_int_equal(igmp->n_statics, 2);
	assert_string_equal(igmp->statics[0].interface, "o1");
	assert_int_equal(igmp->statics[0].sg.source.net, 0);
	assert_true(ip4_equal(igmp->statics[1].sg.source, ip("198.18.0.1")));
	assert_true(ip4_equal(igmp->statics[1].sg.group, ip("232.7.7.7")));
	assert_int_equal(igmp->n_interfaces, 1);
	assert_int_equal(igmp->interfaces[0].mode, IGMP_LISTEN);
	assert_int_equal(igmp->interfaces[0].settings.n_access, 2);
}

static void check_good_port(const struct pim_port_config *p)
{
	assert_true(p->is_enabled && p->is_passive && p->hides_priority && p->can_track);
	assert_true(p->is_border);
	assert_int_equal(p->dr_priority, 0);
	assert_int_equal(p->hello_ms, 2500);
	assert_int_equal(p->holdtime_s, 60);
	assert_int_equal(p->propagation_ms, 250);
	assert_int_equal(p->override_ms, 1000);
	assert_int_equal(p->neighbors.n, 2);
	assert_false(p->neighbors.entries[0].is_permitted);
	assert_int_equal(p->neighbors.entries[0].prefix.len, 32);
	assert_true(p->neighbors.entries[1].is_permitted);
	assert_int_equal(p->allow_rp.n, 1);
	assert_int_equal(p->boundary.n, 2);
}

static void check_good_pim(const struct config_pim *pim)
{
	const struct pim_config *c = &pim->engine;

	assert_false(pim->is_enabled);
	assert_int_equal(ip4_host(pim->router_id), 0xc6120009);
	assert_int_equal(ip4_host(pim->rp_address), 0xc612000a);
	assert_int_equal(pim->n_interfaces, 2);
	assert_string_equal(pim->interfaces[0].name, "in0");
	assert_int_equal(pim->interfaces[0].port.dr_priority, 1);
	assert_int_equal(pim->interfaces[0].port.hello_ms, 30000);
	check_good_port(&pim->interfaces[1].port);
	assert_int_equal(c->n_static_rps, 2);
	assert_int_equal(c->static_rps[1].range.len, 32);
	assert_true(c->candidate_bsr.is_enabled && c->candidate_rp.is_enabled);
	assert_int_equal(c->candidate_bsr.priority, 255);
	assert_int_equal(c->candidate_bsr.hash_mask, 0);
	assert_int_equal(c->bsr_period_ms, 10000);
	assert_int_equal(c->candidate_rp.address.net, 0);
	assert_int_equal(c->candidate_rp.n_ranges, 2);
	assert_int_equal(c->crp_period_ms, 20500);
	assert_int_equal(c->spt, PIM_SPT_THRESHOLD);
	assert_int_equal(c->spt_threshold_kbps, 64);
	assert_int_equal(c->n_ssm, 2);
	assert_int_equal(c->triggered_hello_ms, 0);
	assert_int_equal(c->jp_period_ms, 10000);
	assert_int_equal(c->keepalive_ms, 30000);
	assert_int_equal(c->register_suppression_ms, 20000);
	assert_int_equal(c->register_probe_ms, 1000);
	assert_int_equal(c->register_sources.n, 1);
	assert_int_equal(c->registers, 1000);
	assert_int_equal(c->registers_per_source, 10);
	assert_true(c->bsr_overrides_static);
}

static void check_good_outputs(const struct rule *r)
{
	assert_int_equal(r->n_outputs, 4);
	assert_true(ip4_equal(r->outputs[0].address, ip("239.2.2.2")));
	assert_int_equal(r->outputs[0].ttl_policy, TTL_FIXED);
	assert_int_equal(r->outputs[0].ttl, 8);
	assert_int_equal(r->outputs[0].dscp, -1);
	assert_int_equal(r->outputs[0].source_policy, SOURCE_INTERFACE);
	assert_int_equal(r->outputs[1].ttl_policy, TTL_DECREMENT);
	assert_int_equal(r->outputs[1].source_policy, SOURCE_PRESERVE);
	assert_int_equal(r->outputs[1].address.net, 0);
	assert_int_equal(r->outputs[1].dscp, 0);
	assert_string_equal(r->outputs[2].interface, "");
	assert_int_equal(r->outputs[2].port, 6000);
	assert_int_equal(r->outputs[2].ttl_policy, TTL_DEFAULT);
	assert_int_equal(r->outputs[3].dscp, 63);
}

static void everything_arrives_where_it_belongs(void **state)
{
	size_t len;
	char *text = slurp(GOLDEN "good.json5", &len);
	struct config *cfg = read_good(text);
	const struct rule *r = cfg->rules.rules;

	check_good_top(cfg);
	check_good_igmp(&cfg->igmp);
	check_good_pim(&cfg->pim);
	assert_int_equal(cfg->mroutes.n, 2);
	assert_int_equal(cfg->mroutes.list[0].n_outputs, 2);
	assert_string_equal(cfg->mroutes.list[0].outputs[1], "o2");
	assert_true(ip4_equal(cfg->mroutes.list[0].sg.source, ip("198.18.0.9")));
	assert_string_equal(cfg->mroutes.list[1].input, "in0");
	assert_string_equal(r[0].id, "c22b3ce524179be3");
	assert_string_equal(r[0].name, "tv");
	assert_int_equal(r[0].protocol, IPPROTO_UDP);
	assert_int_equal(r[0].port, 5001);
	check_good_outputs(&r[0]);
	assert_string_equal(r[1].id, "tunnel");
	assert_string_equal(r[1].name, "Österreich 1");
	assert_int_equal(r[1].protocol, IPPROTO_ESP);
	assert_true(ip4_equal(r[1].source, ip("198.18.0.1")));
	assert_int_equal(r[1].datapath, RULE_DP_AFPACKET);
	assert_true(r[1].accept_ttl1);
	assert_int_equal(r[1].outputs[0].source_policy, SOURCE_LITERAL);
	assert_true(ip4_equal(r[1].outputs[0].source, ip("198.18.7.7")));
	assert_true(ip4_equal(r[2].group, ip("198.18.5.5")));
	assert_int_equal(r[2].datapath, RULE_DP_AFXDP);
	assert_false(r[2].accept_ttl1);
	config_free(cfg);
	free(text);
}

/* A case of broken.txt: its header's fields, and the text. */
struct broken {
	bool raw;
	char code[32], where[128];
	unsigned line, column;
	char *text;
	size_t len;
};

/* \xNN becomes that byte. */
static size_t unescape(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; n++) {
		unsigned byte;

		if (text[i] == '\\' && sscanf(text + i, "\\x%2x", &byte) == 1) {
			text[n] = (char)byte;
			i += 4;
		} else {
			text[n] = text[i++];
		}
	}
	return n;
}

/* The case whose header is at `at`; where the next header is, or NULL after the last. */
static char *broken_next(struct broken *b, char *at)
{
	char *body = strchr(at, '\n') + 1, *next = strstr(body - 1, "\n===");

	if (!strncmp(at, "=== end", 7))
		return NULL;
	assert_non_null(next);
	b->raw = !strncmp(at, "=== raw ", 8);
	if (sscanf(at + (b->raw ? 8 : 4), "%31s %u:%u %127[^\n]", b->code, &b->line, &b->column,
		   b->where) != 4)
		fail_msg("not a header: %.40s", at);
	if (!strcmp(b->where, "-"))
		b->where[0] = '\0';
	b->text = body;
	b->len = next > body ? (size_t)(next - body) : 0;
	if (b->raw)
		b->len = unescape(b->text, b->len);
	return next + 1;
}

static void broken_configurations_are_refused(void **state)
{
	size_t len, n = 0, wrong = 0;
	char *file = slurp(GOLDEN "broken.txt", &len);
	struct broken b;

	for (char *at = strstr(file, "\n===") + 1, *next; (next = broken_next(&b, at)); at = next) {
		struct config *cfg = NULL;
		struct diag d;
		int err = read_exact(&cfg, b.text, b.len, &d);

		n++;
		config_free(cfg);
		if (err == -22 && !cfg && !strcmp(diag_code_name(d.code), b.code) &&
		    d.line == b.line && d.column == b.column && !strcmp(d.where, b.where) &&
		    strlen(d.what) > 10)
			continue;
		wrong++;
		print_error("%.*s\n  wanted %s %u:%u %s\n  got %d %s %u:%u %s: %s\n", (int)b.len,
			    b.text, b.code, b.line, b.column, b.where, err, diag_code_name(d.code),
			    d.line, d.column, d.where, d.what);
	}
	free(file);
	assert_true(n >= 500);
	assert_int_equal(wrong, 0);
}

/* The good one cut anywhere is no configuration, and says so within its lines. */
static void every_cut_of_a_good_one_is_refused(void **state)
{
	size_t len;
	char *text = slurp(GOLDEN "good.json5", &len);
	size_t last = (size_t)(strrchr(text, '}') - text);

	for (size_t cut = 0; cut <= last; cut++) {
		struct config *cfg = NULL;
		struct diag d;

		assert_int_equal(read_exact(&cfg, text, cut, &d), -22);
		assert_int_equal(d.code, E_PROTO);
		assert_true(d.line >= 1 && d.line <= 49 && d.what[0]);
	}
	free(text);
}

static const char *refusal(const char *text)
{
	static struct diag d;
	struct config *cfg;

	assert_int_equal(read_exact(&cfg, text, strlen(text), &d), -22);
	return d.what;
}

#define INPUT "input: { interface: 'in0', group: '239.1.1.1' }"

static void sentences_say_what_would_do(void **state)
{
	assert_string_equal(refusal("{ rules: [ { input: { grup: 1 } } ] }"),
			    "unknown key \"grup\": did you mean \"group\"? Accepted: interface, "
			    "group, address, port, source, source_ip, protocol");
	assert_string_equal(
		refusal("{ msdp: {} }"),
		"unknown key \"msdp\"; accepted: instance, multicast_ttl, worker_grace, "
		"stats_interval, control_group, pinning, rules, igmp, pim, mroutes");
	assert_string_equal(refusal("{ rules: [ { " INPUT ", outputs: [ { ttl: 300 } ] } ] }"),
			    "300 is not a TTL (1 to 255, or \"decrement\")");
	assert_string_equal(refusal("{ rules: [ { " INPUT ", outputs: { } } ] }"),
			    "an array of outputs is wanted here, not an object");
	assert_string_equal(
		refusal("{ rules: [ { " INPUT ", datapath: 'xpd' } ] }"),
		"\"xpd\" is not a datapath: \"auto\", \"xdp\", \"afxdp\" or \"afpacket\"");
	assert_string_equal(refusal("{ rules: [ { name: 'tv', " INPUT
				    ", outputs: [ { interface: 'a' } ] }, { " INPUT
				    ", outputs: [ { interface: 'a' } ] } ] }"),
			    "the same input as rules[0], named \"tv\"");
}

/* The state of a generator that needs only be reproducible. */
static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * sides >> 24);
}

static void random_name(char *buf, size_t cap)
{
	static const char *const pieces[] = { "a", "Z", "9", " ", "\"", "\\",
					      "/", "ö", "€", "'", "{" };
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t n = dice(30); n; n--) {
		const char *piece = pieces[dice(COUNT(pieces))];

		if (len + strlen(piece) + 8 > cap)
			break;
		len += (size_t)sprintf(buf + len, "%s", piece);
	}
	/* Unique, and without a space at the ends. */
	snprintf(buf + len, cap - len, "%06x", seed & 0xffffff);
	if (buf[0] == ' ')
		buf[0] = 'x';
}

static void random_output(struct rule_output *o, const struct rule *r, unsigned n)
{
	*o = (struct rule_output){ .dscp = (int8_t)(dice(3) ? (int)dice(64) : -1) };
	if (dice(4))
		snprintf(o->interface, IFNAME_LEN, "o%u.%u", dice(300), n);
	if (!o->interface[0] || dice(4) == 0)
		o->address.net = htonl(0xc6130000 + 256 * dice(200) + n);
	else if (dice(2))
		o->address.net = htonl(0xef020000 + 256 * dice(200) + n);
	o->port = (uint16_t)(r->protocol == IPPROTO_UDP && dice(2) ? 1 + dice(65535) : 0);
	o->ttl_policy = (uint8_t)dice(3);
	o->ttl = (uint8_t)(o->ttl_policy == TTL_FIXED ? 1 + dice(255) : 0);
	o->source_policy = (uint8_t)dice(3);
	if (o->source_policy == SOURCE_LITERAL)
		o->source.net = htonl(0xc6120000 + dice(65536));
}

static void random_rule(struct rule *r, size_t place)
{
	*r = (struct rule){ .protocol = dice(4) ? IPPROTO_UDP : IPPROTO_ESP };
	snprintf(r->interface, IFNAME_LEN, "in%u", dice(20));
	r->group.net = htonl((dice(3) ? 0xef010000 : 0xc6124000) + (uint32_t)place);
	r->source.net = dice(3) ? 0 : htonl(0xc6120000 + dice(65536));
	r->port = (uint16_t)(r->protocol == IPPROTO_UDP ? dice(3) * 5000 : 0);
	r->datapath = (uint8_t)dice(RULE_DP__COUNT);
	r->accept_ttl1 = dice(2);
	if (dice(2))
		random_name(r->name, sizeof(r->name));
	if (dice(2))
		snprintf(r->id, sizeof(r->id), "id-%zu/%x", place, dice(1 << 20));
	rule_fill_id(r);
	r->n_outputs = (uint16_t)(1 + dice(dice(5) ? 4 : RULE_OUTPUTS_MAX));
	r->outputs = calloc(r->n_outputs, sizeof(*r->outputs));
	assert_non_null(r->outputs);
	for (unsigned i = 0; i < r->n_outputs; i++)
		random_output(&r->outputs[i], r, i);
}

static struct config *random_config(void)
{
	struct config *cfg = config_new();
	size_t n_rules = dice(40);

	assert_non_null(cfg);
	if (dice(2))
		snprintf(cfg->instance, sizeof(cfg->instance), "i-%u", dice(1000000));
	if (dice(2))
		snprintf(cfg->control_group, sizeof(cfg->control_group), "g_%u", dice(1000));
	cfg->multicast_ttl = (uint8_t)(1 + dice(255));
	cfg->worker_grace_s = dice(86401);
	cfg->stats_interval_s = dice(86401);
	cfg->n_pinnings = dice(5);
	cfg->pinnings = calloc(cfg->n_pinnings + 1, sizeof(*cfg->pinnings));
	assert_non_null(cfg->pinnings);
	for (size_t i = 0; i < cfg->n_pinnings; i++) {
		struct config_pinning *p = &cfg->pinnings[i];

		snprintf(p->interface, IFNAME_LEN, "in%u", (unsigned)i % 1000);
		p->n_cores = (uint16_t)(1 + dice(CONFIG_CORES_MAX));
		for (unsigned c = 0; c < p->n_cores; c++)
			p->cores[c] = (uint16_t)((c * 16 + dice(16)) % (CONFIG_CORE_LAST + 1));
	}
	for (size_t i = 0; i < n_rules; i++) {
		struct rule r;

		random_rule(&r, i);
		assert_int_equal(config_take_rule(cfg, &r), 0);
		assert_null(r.outputs);
	}
	return cfg;
}

static struct config *reread(const struct config *cfg, bool formatted)
{
	cJSON *shown = config_show(cfg);
	char *text = formatted ? cJSON_Print(shown) : cJSON_PrintUnformatted(shown);
	struct config *again;

	assert_non_null(text);
	again = read_good(text);
	free(text);
	cJSON_Delete(shown);
	return again;
}

static void what_is_shown_reads_back_equal(void **state)
{
	uint32_t first = (uint32_t)time(NULL);

	print_message("seed %u\n", first);
	for (uint32_t round = 0; round < 200; round++) {
		struct config *cfg, *again, *copy;

		seed = first + round;
		cfg = random_config();
		again = reread(cfg, round & 1);
		copy = config_clone(again);
		if (!config_equal(cfg, again) || !config_equal(again, copy))
			fail_msg("round %u", round);
		config_free(cfg);
		config_free(again);
		config_free(copy);
	}
}

static void differences_are_seen(void **state)
{
	size_t len;
	char *text = slurp(GOLDEN "good.json5", &len);
	struct config *a = read_good(text), *b;

	for (int what = 0; what < 13; what++) {
		b = config_clone(a);
		assert_true(config_equal(a, b));
		switch (what) {
		case 0:
			b->instance[0] = 'x';
			break;
		case 1:
			b->multicast_ttl++;
			break;
		case 2:
			b->worker_grace_s++;
			break;
		case 3:
			b->stats_interval_s--;
			break;
		case 4:
			b->control_group[0] = '\0';
			break;
		case 5:
			b->pinnings[1].cores[0] = 3;
			break;
		case 6:
			b->pinnings[0].n_cores = 1;
			break;
		case 7:
			b->n_pinnings = 1;
			break;
		case 9:
			b->mroutes.n = 1;
			break;
		case 10:
			b->mroutes.list[0].n_outputs = 1;
			break;
		case 11:
			b->mroutes.list[1].input[0] = 'x';
			break;
		case 8:
			b->rules.rules[2].outputs[0].port = 9;
			break;
		default:
			assert_true(config_remove_rule(b, "tunnel"));
		}
		assert_false(config_equal(a, b));
		config_free(b);
	}
	config_free(a);
	free(text);
}

static void rules_come_and_go(void **state)
{
	struct config *cfg = config_new();
	struct rule_output o = { .interface = "o1", .dscp = -1 };
	struct rule r = {
		.interface = "in0", .protocol = IPPROTO_UDP, .n_outputs = 1, .outputs = &o
	};

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(r.id, sizeof(r.id), "r%d", i);
			assert_int_equal(config_add_rule(cfg, &r), 0);
			assert_ptr_not_equal(cfg->rules.rules[i].outputs, &o);
		}
		assert_false(config_remove_rule(cfg, "r100"));
		for (int i = 0; i < 100; i += 2) {
			snprintf(r.id, sizeof(r.id), "r%d", i);
			assert_true(config_remove_rule(cfg, r.id));
			assert_false(config_remove_rule(cfg, r.id));
		}
		assert_int_equal(cfg->rules.n, 50);
		for (int i = 0; i < 50; i++) { /* in the order they came */
			snprintf(r.id, sizeof(r.id), "r%d", 2 * i + 1);
			assert_string_equal(cfg->rules.rules[i].id, r.id);
		}
		while (cfg->rules.n)
			assert_true(config_remove_rule(cfg, cfg->rules.rules[0].id));
	}
	config_free(cfg);
}

/* `n` rules that differ, `per` outputs each. */
static char *many_rules(unsigned n, unsigned per, size_t *len)
{
	char *text = malloc((size_t)n * (120 + per * 60) + 64), *p = text;

	assert_non_null(text);
	p += sprintf(p, "{ rules: [\n");
	for (unsigned i = 0; i < n; i++) {
		p += sprintf(p,
			     "{ name: 'rule %u', input: { interface: 'in%u', group: '239.1.%u.%u', "
			     "port: 5001 }, outputs: [",
			     i, i % 7, i / 256, i % 256);
		for (unsigned o = 0; o < per; o++)
			p += sprintf(p, "{ interface: 'o%u', group: '239.2.2.2', ttl: 8 },", o);
		p += sprintf(p, "] },\n");
	}
	p += sprintf(p, "] }");
	*len = (size_t)(p - text);
	return text;
}

static void ten_thousand_rules_are_read_in_no_time(void **state)
{
	size_t len;
	char *text = many_rules(RULE_MAX, 2, &len);
	struct config *cfg = NULL;
	struct diag d;
	clock_t start = clock();

	assert_int_equal(config_read(&cfg, text, len, &d), 0);
	/* About 50 ms; the bound is wide for sanitizers and busy machines, yet not for n². */
	assert_true(clock() - start < 3 * CLOCKS_PER_SEC);
	assert_int_equal(cfg->rules.n, RULE_MAX);
	config_free(cfg);
	free(text);
}

static void limits_are_said(void **state)
{
	struct config *cfg = NULL;
	struct diag d;
	size_t len;
	char *text = many_rules(RULE_MAX + 1, 1, &len), *p;

	assert_int_equal(config_read(&cfg, text, len, &d), -22);
	assert_int_equal(d.code, E_LIMIT);
	assert_string_equal(d.where, "rules");
	free(text);

	p = text = malloc(CONFIG_PINNINGS_MAX * 16);
	p += sprintf(p, "{pinning:{");
	for (int i = 0; i <= CONFIG_PINNINGS_MAX; i++)
		p += sprintf(p, "i%d:[0],", i);
	p += sprintf(p, "}}");
	assert_int_equal(config_read(&cfg, text, (size_t)(p - text), &d), -22);
	assert_int_equal(d.code, E_LIMIT);
	assert_string_equal(d.where, "pinning");
	free(text);

	assert_int_equal(config_read(&cfg, "{}", (size_t)CONFIG_TEXT_MAX + 1, &d), -7);
	assert_int_equal(d.code, E_TOO_LARGE);
	assert_null(cfg);
}

/* Every output that is allowed, at once. */
static void the_largest_rule_is_read(void **state)
{
	size_t len;
	char *text = many_rules(3, RULE_OUTPUTS_MAX, &len);
	struct config *cfg = read_good(text), *again = reread(cfg, false);

	assert_int_equal(cfg->rules.rules[2].n_outputs, RULE_OUTPUTS_MAX);
	assert_true(config_equal(cfg, again));
	config_free(cfg);
	config_free(again);
	free(text);
}

struct request {
	struct json5_doc doc;
	struct json5_node nodes[256];
	char strings[4096];
};

static const struct json5_node *request_parse(struct request *q, const char *text)
{
	q->doc = (struct json5_doc){ .nodes = q->nodes, .cap_nodes = COUNT(q->nodes) };
	q->doc.strings = q->strings;
	q->doc.cap_strings = sizeof(q->strings);
	assert_int_equal(json5_parse(&q->doc, text, strlen(text), NULL), 0);
	return json5_root(&q->doc);
}

static const char *const also[] = { "command", "id", "dry_run", NULL };

static void a_flat_rule_is_the_same_rule(void **state)
{
	struct request q;
	struct rule r;
	struct config *cfg = read_good("{ rules: [ { id: 'x', name: 'tv', datapath: 'afxdp', "
				       "accept_ttl1: true, input: { interface: 'in0', "
				       "group: '239.1.1.1', port: 5001, source: '198.18.0.1' }, "
				       "outputs: [ { interface: 'o1', ttl: 3 } ] } ] }");
	const struct json5_node *v = request_parse(
		&q, "{\"command\": \"AddRule\", \"id\": 7, \"dry_run\": false, \"rule_id\": \"x\", "
		    "\"name\": \"tv\", \"input_interface\": \"in0\", "
		    "\"input_group\": \"239.1.1.1\", \"input_port\": 5001, "
		    "\"input_source\": \"198.18.0.1\", \"input_protocol\": 17, "
		    "\"datapath\": \"afxdp\", \"accept_ttl1\": true, "
		    "\"outputs\": [{\"interface\": \"o1\", \"ttl\": 3}]}");

	assert_int_equal(config_read_flat_rule(&r, &q.doc, v, also, NULL), 0);
	assert_true(rule_equal(&r, &cfg->rules.rules[0]));
	rule_free_outputs(&r);
	config_free(cfg);
}

static void a_flat_rule_without_an_id_gets_one(void **state)
{
	struct request q;
	struct rule r;
	const struct json5_node *v = request_parse(
		&q, "{input_interface: 'in0', input_group: '239.1.1.1', input_port: 5001, "
		    "outputs: [{interface: 'o1'}]}");

	assert_int_equal(config_read_flat_rule(&r, &q.doc, v, NULL, NULL), 0);
	assert_string_equal(r.id, "c22b3ce524179be3");
	rule_free_outputs(&r);
}

#define FLAT	"input_interface: 'in0', input_group: '239.1.1.1', "
#define OUTPUTS "outputs: [{interface: 'o1'}]"

static const struct {
	const char *text;
	enum diag_code code;
	const char *where;
	unsigned column;
} flat_broken[] = {
	{ "[]", E_TYPE, "", 1 },
	{ "{}", E_MISSING, "input_interface", 1 },
	{ "{" FLAT "}", E_MISSING, "outputs", 1 },
	{ "{input_interface: 'in0', " OUTPUTS "}", E_MISSING, "input_group", 1 },
	{ "{" FLAT "outputs: []}", E_MISSING, "outputs", 61 },
	{ "{" FLAT "outputs: [{interface: 'in0'}]}", E_LOOP, "outputs[0].interface", 74 },
	{ "{" FLAT "outputs: [{interface: 'o1', ttl: 0}]}", E_RANGE, "outputs[0].ttl", 85 },
	{ "{" FLAT "outputs: [{group: '239.1.1.1'}]}", E_MISSING, "outputs[0].interface", 62 },
	{ "{" FLAT "outputs: [{interface: 'o1', group: '224.0.0.1'}]}", E_BAD_ADDR,
	  "outputs[0].group", 87 },
	{ "{input_group: '224.0.0.1', input_interface: 'in0', " OUTPUTS "}", E_BAD_ADDR,
	  "input_group", 15 },
	{ "{input_source: '239.0.0.1', " FLAT OUTPUTS "}", E_BAD_ADDR, "input_source", 16 },
	{ "{rule_id: 'a b', " FLAT OUTPUTS "}", E_RANGE, "rule_id", 11 },
	{ "{rule_id: 7, " FLAT OUTPUTS "}", E_TYPE, "rule_id", 11 },
	{ "{name: ' x', " FLAT OUTPUTS "}", E_RANGE, "name", 8 },
	{ "{input_protocol: 6, " FLAT OUTPUTS "}", E_RANGE, "input_protocol", 18 },
	{ "{input_protocol: 50, input_port: 5, " FLAT OUTPUTS "}", E_RANGE, "input_port", 34 },
	{ "{input: {}, " FLAT OUTPUTS "}", E_UNKNOWN_KEY, "input", 9 },
	{ "{datapath: 'xpd', " FLAT OUTPUTS "}", E_RANGE, "datapath", 12 },
	{ "{commands: 'AddRule', " FLAT OUTPUTS "}", E_UNKNOWN_KEY, "commands", 12 },
};

static void broken_flat_rules_are_refused(void **state)
{
	for (size_t i = 0; i < COUNT(flat_broken); i++) {
		struct request q;
		struct diag d = { 0 };
		struct rule r;
		const struct json5_node *v = request_parse(&q, flat_broken[i].text);

		if (config_read_flat_rule(&r, &q.doc, v, also, &d) != -22 ||
		    d.code != flat_broken[i].code || strcmp(d.where, flat_broken[i].where) ||
		    d.line != 1 || d.column != flat_broken[i].column || !d.what[0])
			fail_msg("%s: %s %u:%u %s: %s", flat_broken[i].text, diag_code_name(d.code),
				 d.line, d.column, d.where, d.what);
		assert_null(r.outputs);
	}
}

static void paths_begin_where_the_value_is(void **state)
{
	struct request q;
	struct config *cfg = NULL;
	struct diag d;
	const struct json5_node *v = request_parse(
		&q, "{config: {rules: [{input: {interface: 'in0', group: '239.1.1.1'}, " OUTPUTS
		    "}, {input: {interface: 'in0', group: '239.1.1.1'}, " OUTPUTS "}]}}");

	v = json5_get(&q.doc, v, "config");
	assert_int_equal(config_read_value(&cfg, &q.doc, v, "config", &d), -22);
	assert_string_equal(d.where, "config.rules[1].input");
	assert_int_equal(d.code, E_EXISTS);
	assert_int_equal(d.column, 106);
	assert_int_equal(config_read_value(&cfg, &q.doc, v, "config", NULL), -22);
	assert_null(cfg);
}

/* A key as long as a path may be: the path is cut, nothing else. */
static void long_paths_are_cut(void **state)
{
	char text[512], where[200];
	struct request q;
	struct config *cfg = NULL;
	struct diag d;

	memset(where, 'w', sizeof(where));
	where[sizeof(where) - 1] = '\0';
	snprintf(text, sizeof(text), "{rules: [{" INPUT ", outputs: [{interface: 'in0'}]}]}");
	assert_int_equal(config_read_value(&cfg, &q.doc, request_parse(&q, text), where, &d), -22);
	assert_int_equal(d.code, E_LOOP);
	assert_int_equal(strspn(d.where, "w"), sizeof(d.where) - 1);
	assert_int_equal(d.line, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_object_is_an_empty_relay),
		cmocka_unit_test(everything_arrives_where_it_belongs),
		cmocka_unit_test(broken_configurations_are_refused),
		cmocka_unit_test(every_cut_of_a_good_one_is_refused),
		cmocka_unit_test(sentences_say_what_would_do),
		cmocka_unit_test(what_is_shown_reads_back_equal),
		cmocka_unit_test(differences_are_seen),
		cmocka_unit_test(rules_come_and_go),
		cmocka_unit_test(ten_thousand_rules_are_read_in_no_time),
		cmocka_unit_test(limits_are_said),
		cmocka_unit_test(the_largest_rule_is_read),
		cmocka_unit_test(a_flat_rule_is_the_same_rule),
		cmocka_unit_test(a_flat_rule_without_an_id_gets_one),
		cmocka_unit_test(broken_flat_rules_are_refused),
		cmocka_unit_test(paths_begin_where_the_value_is),
		cmocka_unit_test(long_paths_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
