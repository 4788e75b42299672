/* SPDX-License-Identifier: MIT */
/*
 * An hour on a link with several routers and many hosts, on a virtual clock: packets are lost, come
 * twice, late and out of order; hosts come and go, change what they want, or are switched off;
 * routers restart. All the while, what every router believes is held against what the hosts really
 * want. The seed is printed, and may be given as an argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/igmp_lab.h"

#define ROUTERS	  3
#define HOSTS	  12
#define GROUPS	  4
#define SOURCES	  3
#define IN_FLIGHT 4096
#define HOUR_US	  3600000000ll
#define ROUND_US  1800000000ll
#define QUIET_US  600000000ll /* nobody changes: long enough for all timers */
#define ALL	  ((1u << SOURCES) - 1)

/* What a host wants of a group: a filter mode and a list (RFC 9776 §3.2). */
struct filter {
	bool is_exclude;
	unsigned list;
};

/* The host's side of v3, as far as a router can see it. */
struct host {
	struct ip4 addr;
	bool is_on;
	struct filter filters[GROUPS], before[GROUPS];
	unsigned repeats[GROUPS]; /* of a change, still to be sent */
	bool is_whole[GROUPS];	  /* what changed may not have been heard: say all */
	struct mtime repeat_at[GROUPS];
	struct mtime answer_at;	       /* to a general query */
	struct mtime group_at[GROUPS]; /* to one for a group */
};

struct flight {
	struct mtime at;
	struct ip4 source;
	uint32_t from; /* a router, which does not hear itself, or ROUTERS */
	uint16_t len;
	uint8_t bytes[600];
};

static struct lab routers[ROUTERS];
static struct host hosts[HOSTS];
static struct flight flights[IN_FLIGHT];
static uint32_t n_flights;
static struct mtime now;
static uint64_t seed = 20261127, delivered, lost, copied;
static bool is_down[ROUTERS];
static unsigned loss_percent, copy_percent, late_ms;

static uint32_t chance(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

/* --- the link -------------------------------------------------------------------------------- */

static void fly(struct ip4 source, uint32_t from, const void *bytes, size_t len)
{
	struct flight *f;

	if (chance(100) < loss_percent) {
		lost++;
		return;
	}
	LAB_DEMAND(n_flights < IN_FLIGHT && len <= sizeof(flights[0].bytes));
	f = &flights[n_flights++];
	*f = (struct flight){ .source = source, .from = from, .len = (uint16_t)len };
	f->at = mtime_add(now, mtime_ms(1 + chance(late_ms + 1)));
	memcpy(f->bytes, bytes, len);
}

static void put(struct ip4 source, uint32_t from, const void *bytes, size_t len)
{
	fly(source, from, bytes, len);
	if (chance(100) < copy_percent) {
		copied++;
		fly(source, from, bytes, len);
	}
}

/* --- hosts ----------------------------------------------------------------------------------- */

static struct ip4 group_of(unsigned g)
{
	return g ? ip4_from_host(0xef010100 + g) : ADDR(232, 1, 1, 1);
}

static struct ip4 source_of(unsigned s)
{
	return ip4_from_host(0xc6120901 + s);
}

static size_t list_of(unsigned set, struct ip4 *out)
{
	size_t n = 0;

	for (unsigned s = 0; s < SOURCES; s++)
		if (set & 1u << s)
			out[n++] = source_of(s);
	return n;
}

static void add_record(struct igmp_packet *p, uint8_t type, unsigned group, unsigned set)
{
	struct ip4 list[SOURCES];
	size_t n = list_of(set, list);

	igmp_packet_record(p, type, group_of(group), list, n);
}

static void send_report(const struct host *h, const struct igmp_packet *p)
{
	if (p->bytes[7])
		put(h->addr, ROUTERS, p->bytes, p->len);
}

static bool is_silent(const struct filter *f)
{
	return !f->is_exclude && !f->list;
}

static void add_current(struct igmp_packet *p, const struct host *h, unsigned g)
{
	const struct filter *f = &h->filters[g];

	if (!is_silent(f))
		add_record(p, f->is_exclude ? IGMP_IS_EX : IGMP_IS_IN, g, f->list);
}

/* IG-50: what changed, by modes before and after. */
static void add_change(struct igmp_packet *p, const struct host *h, unsigned g)
{
	const struct filter *was = &h->before[g], *is = &h->filters[g];
	unsigned allow = is->list & ~was->list, block = was->list & ~is->list;

	if (was->is_exclude != is->is_exclude || h->is_whole[g]) {
		add_record(p, is->is_exclude ? IGMP_TO_EX : IGMP_TO_IN, g, is->list);
		return;
	}
	if (is->is_exclude) {
		allow = was->list & ~is->list;
		block = is->list & ~was->list;
	}
	if (allow)
		add_record(p, IGMP_ALLOW, g, allow);
	if (block)
		add_record(p, IGMP_BLOCK, g, block);
}

static void host_change(struct host *h, unsigned g, struct filter f)
{
	h->is_whole[g] = h->repeats[g] > 0;
	h->before[g] = h->filters[g];
	h->filters[g] = f;
	h->repeats[g] = 2;
	h->repeat_at[g] = now;
}

/* A host that asks for something else; the first group is for source-specific joins only. */
static void host_wander(struct host *h)
{
	unsigned g = chance(GROUPS);
	struct filter f = { .list = chance(ALL + 1), .is_exclude = g && chance(2) };

	if (!h->is_on)
		return;
	if (!chance(3))
		f = (struct filter){ 0 };
	host_change(h, g, f);
}

/* Switched off without a word, or on again. */
static void host_switch(struct host *h)
{
	h->is_on = !h->is_on;
	memset(h->filters, 0, sizeof(h->filters));
	memset(h->repeats, 0, sizeof(h->repeats));
	h->answer_at = MTIME_NEVER;
	for (unsigned g = 0; g < GROUPS; g++)
		h->group_at[g] = MTIME_NEVER;
}

static void host_query(struct host *h, const struct igmp_query *q)
{
	struct mtime at = mtime_add(now, mtime_ms(1 + chance(q->response_ds * 100)));

	if (!q->group.net) {
		h->answer_at = mtime_min(h->answer_at, at);
		return;
	}
	for (unsigned g = 0; g < GROUPS; g++)
		if (ip4_equal(q->group, group_of(g)))
			h->group_at[g] = mtime_min(h->group_at[g], at);
}

static void host_tick(struct host *h)
{
	struct igmp_packet p;

	igmp_packet_report(&p);
	for (unsigned g = 0; g < GROUPS; g++) {
		if (h->repeats[g] && h->repeat_at[g].us <= now.us) {
			add_change(&p, h, g);
			h->repeats[g]--;
			h->repeat_at[g] = mtime_add(now, mtime_ms(1 + chance(1000)));
		}
		if (h->answer_at.us <= now.us || h->group_at[g].us <= now.us) {
			add_current(&p, h, g);
			h->group_at[g] = MTIME_NEVER;
		}
	}
	if (h->answer_at.us <= now.us)
		h->answer_at = MTIME_NEVER;
	send_report(h, &p);
}

/* --- routers --------------------------------------------------------------------------------- */

static void router_flush(uint32_t r)
{
	struct lab *l = &routers[r];

	for (uint32_t i = 0; i < l->n_sent; i++)
		put(l->sent[i].head.source, r, l->sent[i].bytes, l->sent[i].head.len);
	lab_forget(l);
}

static void router_start(uint32_t r)
{
	struct igmp_config cfg = igmp_config_default();
	struct igmp_port_config port = igmp_port_config_default();

	cfg.max_ports = 1;
	cfg.max_groups = cfg.max_sources = cfg.max_hosts = 64;
	cfg.seed = (uint32_t)seed;
	lab_open(&routers[r], &cfg);
	routers[r].now = now;
	lab_port(&routers[r], 0, (uint8_t)(1 + r), &port);
	router_flush(r);
}

/* Without its link it knows nothing any more. */
static void router_link(uint32_t r, bool is_up)
{
	struct igmp_link link = {
		.is_up = is_up, .address = ADDR(10, 0, 0, 1 + r), .prefix_len = 24, .mtu = 1500
	};

	is_down[r] = !is_up;
	igmp_link(routers[r].e, now, 0, &link, &lab_out);
	routers[r].now = now;
	lab_settle(&routers[r]);
	LAB_DEMAND(is_up || !routers[r].n_members);
	router_flush(r);
}

static void router_flap(uint32_t r)
{
	router_link(r, false);
	router_link(r, true);
}

static void deliver(const struct flight *f)
{
	struct igmp_packet p = { .len = f->len };
	struct igmp_message m;
	enum igmp_drop drop;

	memcpy(p.bytes, f->bytes, f->len);
	delivered++;
	LAB_DEMAND(igmp_read(&m, p.bytes, p.len) == IGMP_ACCEPTED);
	for (unsigned h = 0; m.type == IGMP_QUERY && h < HOSTS; h++)
		if (hosts[h].is_on)
			host_query(&hosts[h], &m.query);
	for (uint32_t r = 0; r < ROUTERS; r++)
		if (r != f->from) {
			routers[r].now = now;
			drop = lab_input(&routers[r], 0, f->source, &p);
			LAB_DEMAND(drop == (is_down[r] ? IGMP_DROP_PORT : IGMP_ACCEPTED));
			router_flush(r);
		}
}

/* --- the world ------------------------------------------------------------------------------- */

static struct mtime next_event(void)
{
	struct mtime next = MTIME_NEVER;

	for (uint32_t i = 0; i < n_flights; i++)
		next = mtime_min(next, flights[i].at);
	for (unsigned r = 0; r < ROUTERS; r++)
		next = mtime_min(next, igmp_next(routers[r].e));
	for (unsigned h = 0; h < HOSTS; h++) {
		next = mtime_min(next, hosts[h].answer_at);
		for (unsigned g = 0; g < GROUPS; g++) {
			next = mtime_min(next, hosts[h].group_at[g]);
			if (hosts[h].repeats[g])
				next = mtime_min(next, hosts[h].repeat_at[g]);
		}
	}
	return next;
}

static void step(void)
{
	for (uint32_t i = 0; i < n_flights;) {
		struct flight f = flights[i];

		if (f.at.us > now.us) {
			i++;
			continue;
		}
		flights[i] = flights[--n_flights];
		deliver(&f);
	}
	for (uint32_t r = 0; r < ROUTERS; r++) {
		routers[r].now = now;
		lab_settle(&routers[r]);
		router_flush(r);
	}
	for (unsigned h = 0; h < HOSTS; h++)
		if (hosts[h].is_on)
			host_tick(&hosts[h]);
}

static void run_until(struct mtime until)
{
	while (next_event().us <= until.us) {
		struct mtime next = next_event();

		if (next.us > now.us)
			now = next;
		step();
	}
	now = until;
}

static bool is_wanted(unsigned g, unsigned s)
{
	for (unsigned h = 0; h < HOSTS; h++) {
		const struct filter *f = &hosts[h].filters[g];

		if (hosts[h].is_on && !!(f->list & 1u << s) != f->is_exclude)
			return true;
	}
	return false;
}

/* Would this router forward it? */
static bool is_forwarded(struct lab *l, unsigned g, unsigned s)
{
	struct ip4 any = { 0 };

	if (lab_wants(l, 0, source_of(s), group_of(g)))
		return true;
	return lab_wants(l, 0, any, group_of(g)) && !lab_wants_not(l, 0, source_of(s), group_of(g));
}

/* Nobody who wants something is without it; in calm times nobody gets what nobody wants. */
static void check_truth(bool is_calm)
{
	for (uint32_t r = 0; r < ROUTERS; r++)
		for (unsigned g = 0; g < GROUPS; g++)
			for (unsigned s = 0; s < SOURCES; s++) {
				bool wanted = is_wanted(g, s);
				bool forwarded = is_forwarded(&routers[r], g, s);

				if ((wanted && !forwarded) || (is_calm && wanted != forwarded))
					fail_msg("router %u at %lld s: (%u,%u) wanted %d is %d", r,
						 (long long)now.us / 1000000, s, g, wanted,
						 forwarded);
			}
}

/* One asks, the lowest; the others know it. */
static void check_querier(void)
{
	for (uint32_t r = 0; r < ROUTERS; r++) {
		struct igmp_port_view p;

		assert_true(igmp_port_show(routers[r].e, 0, now, &p));
		assert_int_equal(p.is_querier, r == 0);
		assert_true(ip4_equal(p.querier, ADDR(10, 0, 0, 1)));
	}
}

static void check_counters(void)
{
	for (uint32_t r = 0; r < ROUTERS; r++) {
		lab_balance(igmp_stats(routers[r].e));
		assert_true(routers[r].longest <= ACTIONS_MAX);
	}
}

static void begin(void)
{
	print_message("# seed %llu\n", (unsigned long long)seed);
	now = mtime_ms(1000);
	n_flights = 0;
	delivered = lost = copied = 0;
	for (unsigned h = 0; h < HOSTS; h++) {
		hosts[h] = (struct host){ .addr = ADDR(10, 0, 0, 100 + h) };
		host_switch(&hosts[h]);
	}
	for (uint32_t r = 0; r < ROUTERS; r++)
		router_start(r);
}

static void end(void)
{
	print_message("# %llu packets delivered, %llu lost, %llu copied\n",
		      (unsigned long long)delivered, (unsigned long long)lost,
		      (unsigned long long)copied);
	check_counters();
	for (uint32_t r = 0; r < ROUTERS; r++)
		lab_close(&routers[r]);
}

static void trouble(unsigned loss, unsigned copies, unsigned late)
{
	loss_percent = loss;
	copy_percent = copies;
	late_ms = late;
}

/*
 * On a link that loses nothing, but doubles and delays: a wish is known everywhere as soon as the
 * report is there, and gone when the last member has been asked for in vain.
 */
static void on_a_good_link_every_router_knows_what_is_wanted(void **state)
{
	begin();
	trouble(0, 10, 20);
	run_until(mtime_ms(2000));
	for (struct mtime until = now; until.us < HOUR_US;
	     until = mtime_add(until, mtime_ms(7000))) {
		run_until(until);
		check_truth(false);
		for (unsigned i = chance(4); i > 0; i--)
			host_wander(&hosts[chance(HOSTS)]);
		run_until(mtime_add(now, mtime_ms(60)));
		check_truth(false);
	}
	check_querier();
	end();
}

/* Storm and calm in turn. After each calm all is as if nothing had happened. */
static void after_any_storm_all_is_as_it_should_be(void **state)
{
	begin();
	for (struct mtime until = { ROUND_US }; until.us <= 6 * HOUR_US; until.us += ROUND_US) {
		trouble(20, 20, 3000);
		while (now.us < until.us - QUIET_US) {
			host_wander(&hosts[chance(HOSTS)]);
			if (!chance(20))
				host_switch(&hosts[chance(HOSTS)]);
			if (!chance(50))
				router_flap(chance(ROUTERS));
			run_until(mtime_add(now, mtime_ms(chance(10000))));
		}
		trouble(0, 20, 50);
		run_until(until);
		check_truth(true);
		check_querier();
	}
	end();
}

/* The one that asks dies; another takes over before any membership has run out. */
static void nobody_loses_anything_when_the_querier_dies(void **state)
{
	begin();
	trouble(0, 0, 10);
	run_until(mtime_ms(100000));
	for (unsigned h = 0; h < HOSTS; h++) {
		if (!hosts[h].is_on)
			host_switch(&hosts[h]);
		host_change(&hosts[h], 1 + h % (GROUPS - 1), (struct filter){ .is_exclude = true });
	}
	run_until(mtime_ms(200000));
	router_link(0, false);
	for (int i = 0; i < 100; i++) {
		run_until(mtime_add(now, mtime_ms(9000)));
		for (unsigned g = 1; g < GROUPS; g++)
			assert_true(is_forwarded(&routers[1], g, 0) &&
				    is_forwarded(&routers[2], g, 0));
	}
	router_link(0, true);
	run_until(mtime_add(now, mtime_ms(100000)));
	check_truth(true);
	check_querier();
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_good_link_every_router_knows_what_is_wanted),
		cmocka_unit_test(after_any_storm_all_is_as_it_should_be),
		cmocka_unit_test(nobody_loses_anything_when_the_querier_dies),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
