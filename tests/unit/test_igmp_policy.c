/* SPDX-License-Identifier: MIT */
/*
 * What an operator sets on the IGMP engine, and what its tables do when they are full: static
 * groups, limits, access lists, tracking and fast leave, the proxy, links and configurations that
 * change.
 */
#include "../lib/igmp_story.h"

#define UP 3 /* the upstream port of the proxy */

static void begin(void)
{
	start();
	past_startup();
}

static void change(void)
{
	assert_int_equal(igmp_port_set(l.e, l.now, 0, &port, &lab_out), 0);
	lab_settle(&l);
}

static void link_is(bool is_up)
{
	struct igmp_link link = {
		.is_up = is_up, .address = ADDR(10, 0, 0, 5), .prefix_len = 24, .mtu = 1500
	};

	igmp_link(l.e, l.now, 0, &link, &lab_out);
	lab_settle(&l);
}

static int set_static(struct ip4 source, struct ip4 group, unsigned how)
{
	int err = igmp_static_set(l.e, l.now, 0, (struct sg){ source, group }, how, &lab_out);

	lab_settle(&l);
	return err;
}

/* --- static groups and own joins ------------------------------------------------------------- */

static void static_groups_need_no_report(void **state)
{
	begin();
	assert_int_equal(set_static(ANY, G, IGMP_STATIC), 0);
	assert_int_equal(set_static(S1, SSM, IGMP_STATIC), 0);
	lab_pass(&l, 1000000);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants(&l, 0, S1, SSM));
	report(H1, IGMP_TO_EX, G);
	report(H1, IGMP_TO_IN, G);
	report1(H1, IGMP_BLOCK, SSM, S1);
	lab_pass(&l, 10000);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants(&l, 0, S1, SSM));
	assert_int_equal(set_static(ANY, G, 0), 0);
	assert_int_equal(set_static(S1, SSM, 0), 0);
	assert_int_equal(set_static(S1, SSM, 0), 0);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(view().groups, 0);
}

/* A host's exceptions do not narrow what is set; and what was set leaves no exception behind. */
static void static_and_reported_memberships_add_up(void **state)
{
	begin();
	report1(H1, IGMP_TO_EX, G, S1);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants_not(&l, 0, S1, G));
	set_static(ANY, G, IGMP_STATIC);
	assert_false(lab_wants_not(&l, 0, S1, G));
	set_static(ANY, G, 0);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants_not(&l, 0, S1, G));
	set_static(S1, G, IGMP_STATIC);
	assert_false(lab_wants_not(&l, 0, S1, G));
	set_static(S1, G, 0);
	assert_false(lab_wants_not(&l, 0, S1, G));
	assert_true(lab_wants(&l, 0, ANY, G));
	report1(H1, IGMP_TO_IN, G, S2);
	lab_pass(&l, 3000);
	assert_false(lab_wants(&l, 0, ANY, G));
	assert_true(lab_wants(&l, 0, S2, G));
	assert_int_equal(l.n_members, 1);
}

static void own_joins_are_joined_and_forwarded(void **state)
{
	begin();
	set_static(ANY, G, IGMP_JOINED);
	set_static(S1, SSM, IGMP_JOINED);
	assert_true(lab_has(&l, true, 0, ANY, G, WANT_INCLUDE));
	assert_true(lab_has(&l, true, 0, S1, SSM, WANT_INCLUDE));
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants(&l, 0, S1, SSM));
	link_is(false);
	assert_int_equal(l.n_members, 0); /* it may be another interface that comes back */
	link_is(true);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants(&l, 0, S1, SSM));
	assert_true(lab_has(&l, true, 0, ANY, G, WANT_INCLUDE));
	assert_true(lab_has(&l, true, 0, S1, SSM, WANT_INCLUDE));
	set_static(ANY, G, IGMP_STATIC);
	assert_false(lab_has(&l, true, 0, ANY, G, WANT_INCLUDE));
	set_static(ANY, G, 0);
	set_static(S1, SSM, 0);
	assert_int_equal(l.n_members, 0);
}

static void what_cannot_be_static_is_refused(void **state)
{
	begin();
	assert_int_equal(set_static(ANY, SSM, IGMP_STATIC), -EINVAL);
	assert_int_equal(set_static(ANY, ADDR(224, 0, 0, 5), IGMP_STATIC), -EINVAL);
	assert_int_equal(set_static(ANY, ADDR(10, 0, 0, 5), IGMP_STATIC), -EINVAL);
	assert_int_equal(set_static(G, SSM, IGMP_STATIC), -EINVAL);
	assert_int_equal(set_static(ANY, G, 4), -EINVAL);
	assert_int_equal(igmp_static_set(l.e, l.now, 1, (struct sg){ ANY, G }, 1, &lab_out),
			 -EINVAL);
	assert_int_equal(igmp_static_set(l.e, l.now, 99, (struct sg){ ANY, G }, 1, &lab_out),
			 -EINVAL);
	assert_int_equal(l.n_members, 0);
}

/* --- limits ---------------------------------------------------------------------------------- */

static void groups_beyond_the_limit_are_refused_and_old_ones_stay(void **state)
{
	port.max_groups = 3;
	begin();
	for (uint32_t i = 0; i < 10; i++)
		report(H1, IGMP_TO_EX, ip4_from_host(0xef010101 + i));
	assert_int_equal(view().groups, 3);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_CAP_GROUPS], 7);
	assert_int_equal(lab_events(&l, EVENT_IGMP_LIMIT), 1);
	report(H1, IGMP_IS_EX, ip4_from_host(0xef010102));
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_CAP_GROUPS], 7);
	lab_pass(&l, 61000);
	report(H1, IGMP_TO_EX, ip4_from_host(0xef010120));
	assert_int_equal(lab_events(&l, EVENT_IGMP_LIMIT), 2);
	assert_int_equal(set_static(ANY, ip4_from_host(0xef010130), IGMP_STATIC), 0);
	lab_pass(&l, 300000);
	assert_int_equal(l.n_members, 1);
	assert_int_equal(view().groups_peak, 4);
}

static void all_ports_share_the_tables(void **state)
{
	cfg.max_groups = 5;
	begin();
	lab_port(&l, 1, 5, &port);
	for (uint32_t i = 0; i < 4; i++)
		lab_report(&l, i % 2, H1, IGMP_TO_EX, ip4_from_host(0xef010101 + i), NULL, 0);
	report(H1, IGMP_TO_EX, ip4_from_host(0xef010110));
	report(H1, IGMP_TO_EX, ip4_from_host(0xef010111));
	assert_int_equal(set_static(ANY, ip4_from_host(0xef010130), IGMP_STATIC), -ENOSPC);
	assert_int_equal(igmp_usage(l.e).groups.used, 5);
	assert_int_equal(igmp_usage(l.e).groups.refused, 2);
	assert_int_equal(igmp_usage(l.e).groups.capacity, 5);
	assert_int_equal(l.n_members, 5);
}

/* Nobody loses what there was no room to write down: the group takes any source. */
static void with_too_many_sources_a_group_takes_any(void **state)
{
	struct ip4 three[3] = { S1, S2, ADDR(198, 18, 9, 3) };

	port.max_sources = 2;
	begin();
	lab_report(&l, 0, H1, IGMP_ALLOW, G, three, 3);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_int_equal(lab_stats(&l, 0).sources_refused, 1);
	assert_int_equal(lab_events(&l, EVENT_IGMP_LIMIT), 1);
	/* In the range for source-specific multicast there is no such thing. */
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, three, 3);
	assert_false(lab_wants(&l, 0, ANY, SSM));
	assert_true(lab_wants(&l, 0, S1, SSM) && lab_wants(&l, 0, S2, SSM));
	assert_int_equal(lab_stats(&l, 0).sources_refused, 2);
	/* What cannot be excluded comes through. */
	lab_report(&l, 0, H1, IGMP_TO_EX, ADDR(239, 2, 2, 2), three, 3);
	assert_true(lab_wants_not(&l, 0, S1, ADDR(239, 2, 2, 2)));
	assert_false(lab_wants_not(&l, 0, three[2], ADDR(239, 2, 2, 2)));
	lab_pass(&l, 300000);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(igmp_usage(l.e).sources.used, 0);
}

/* --- access lists ---------------------------------------------------------------------------- */

static const struct igmp_access *deny_group_and_source(void)
{
	static struct igmp_access list[3];

	list[0] = (struct igmp_access){ .group = { ADDR(239, 9, 0, 0), 16 } };
	list[1] = (struct igmp_access){ .source = { S2, 32 } };
	list[2] = (struct igmp_access){ .group = { ADDR(224, 0, 0, 0), 4 }, .is_permit = true };
	return list;
}

static void access_lists_say_what_may_be_joined(void **state)
{
	struct ip4 both[2] = { S1, S2 }, bad = ADDR(239, 9, 1, 1);

	port.n_access = 3;
	port.access = deny_group_and_source();
	begin();
	report(H1, IGMP_TO_EX, bad);
	report1(H1, IGMP_ALLOW, bad, S1);
	assert_int_equal(lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, bad), IGMP_DROP_FILTERED);
	report1(H1, IGMP_ALLOW, G, S2);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(lab_stats(&l, 0).records_dropped[IGMP_DROP_FILTERED], 4);
	lab_report(&l, 0, H1, IGMP_ALLOW, G, both, 2);
	assert_true(lab_wants(&l, 0, S1, G));
	assert_false(lab_wants(&l, 0, S2, G));
	assert_int_equal(lab_stats(&l, 0).sources_filtered, 3);
	report(H1, IGMP_TO_EX, G);
	assert_true(lab_wants(&l, 0, ANY, G));
	/* Who does not want what may not be had anyway may say so; who leaves is never kept. */
	report1(H1, IGMP_BLOCK, G, S2);
	lab_pass(&l, 2000);
	assert_true(lab_wants_not(&l, 0, S2, G));
	report1(H1, IGMP_TO_IN, G, S2);
	lab_pass(&l, 3000);
	assert_int_equal(l.n_members, 0);
}

static void an_access_list_ends_with_no(void **state)
{
	struct igmp_access list[1] = {
		{ .group = { SSM, 32 }, .source = { S1, 32 }, .is_permit = true }
	};

	port.n_access = 1;
	port.access = list;
	begin();
	report1(H1, IGMP_ALLOW, SSM, S1);
	report1(H1, IGMP_ALLOW, SSM, S2);
	report(H1, IGMP_TO_EX, G);
	assert_int_equal(l.n_members, 1);
	assert_true(lab_wants(&l, 0, S1, SSM));
}

static void a_new_access_list_applies_to_what_is_there(void **state)
{
	struct ip4 both[2] = { S1, S2 }, bad = ADDR(239, 9, 1, 1);
	struct igmp_access list[1];

	begin();
	report1(H1, IGMP_TO_EX, bad, S1);
	report(H1, IGMP_TO_EX, G);
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, both, 2);
	assert_int_equal(l.n_members, 5);
	port.n_access = 3;
	port.access = deny_group_and_source();
	change();
	assert_int_equal(l.n_members, 2);
	assert_true(lab_wants(&l, 0, ANY, G) && lab_wants(&l, 0, S1, SSM));
	assert_int_equal(view().groups, 2);
	/* Only S1 from now on: of a group that takes all but S1 nothing is left. */
	report1(H1, IGMP_TO_EX, ADDR(239, 2, 2, 2), S1);
	list[0] = (struct igmp_access){ .source = { S1, 32 }, .is_permit = true };
	port.n_access = 1;
	port.access = list;
	change();
	assert_int_equal(l.n_members, 1);
	assert_int_equal(view().groups, 1);
}

/* --- tracking and fast leave ----------------------------------------------------------------- */

/* P39 */
static void only_the_last_leave_is_fast(void **state)
{
	port.fast_leave = true;
	begin();
	report(H1, IGMP_TO_EX, G);
	report(H2, IGMP_TO_EX, G);
	report(H1, IGMP_TO_IN, G);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_int_equal(l.n_sent, 1);
	report(H2, IGMP_IS_EX, G);
	lab_pass(&l, 5000);
	lab_forget(&l);
	report(H2, IGMP_TO_IN, G);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(l.n_sent, 0);
	assert_int_equal(lab_stats(&l, 0).fast_leaves, 1);
	assert_int_equal(igmp_usage(l.e).hosts.used, 0);
}

static void fast_leave_knows_sources(void **state)
{
	port.fast_leave = true;
	begin();
	report1(H1, IGMP_ALLOW, SSM, S1);
	report1(H2, IGMP_ALLOW, SSM, S1);
	report1(H2, IGMP_ALLOW, SSM, S2);
	report1(H2, IGMP_BLOCK, SSM, S2);
	assert_false(lab_wants(&l, 0, S2, SSM));
	assert_int_equal(l.n_sent, 0);
	report1(H1, IGMP_BLOCK, SSM, S1);
	assert_true(lab_wants(&l, 0, S1, SSM));
	assert_int_equal(l.n_sent, 1);
	/* Who has left for good counts for none of its sources. */
	report(H1, IGMP_TO_IN, SSM);
	lab_pass(&l, 3000);
	report1(H2, IGMP_ALLOW, SSM, S1);
	report1(H1, IGMP_ALLOW, SSM, S1);
	report(H1, IGMP_TO_IN, SSM);
	lab_pass(&l, 500);
	lab_forget(&l);
	report1(H2, IGMP_BLOCK, SSM, S1);
	assert_false(lab_wants(&l, 0, S1, SSM));
	/* Who wants any source wants this one, too. */
	report(H1, IGMP_TO_EX, G);
	report1(H2, IGMP_ALLOW, G, S2);
	report1(H2, IGMP_BLOCK, G, S2);
	assert_false(lab_wants_not(&l, 0, S2, G));
	assert_int_equal(l.n_sent, 1);
}

static void fast_leave_does_not_trust_what_it_cannot_see(void **state)
{
	port.fast_leave = true;
	port.max_hosts = 2;
	begin();
	/* A v2 host may have kept quiet because this one spoke. */
	lab_short(&l, 0, H1, IGMP_V2_REPORT, 0, G);
	lab_short(&l, 0, H1, IGMP_V2_LEAVE, 0, G);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_int_equal(l.n_sent, 1);
	/* A report from 0.0.0.0 may be a switch's, for many. */
	report(ANY, IGMP_TO_EX, ADDR(239, 2, 2, 2));
	report(H1, IGMP_TO_EX, ADDR(239, 2, 2, 2));
	report(H1, IGMP_TO_IN, ADDR(239, 2, 2, 2));
	assert_true(lab_wants(&l, 0, ANY, ADDR(239, 2, 2, 2)));
	/* More hosts than there is room for. */
	for (uint8_t i = 0; i < 3; i++)
		report(ADDR(10, 0, 0, 100 + i), IGMP_TO_EX, ADDR(239, 3, 3, 3));
	for (uint8_t i = 0; i < 2; i++)
		report(ADDR(10, 0, 0, 100 + i), IGMP_TO_IN, ADDR(239, 3, 3, 3));
	assert_true(lab_wants(&l, 0, ANY, ADDR(239, 3, 3, 3)));
	assert_int_equal(lab_stats(&l, 0).hosts_refused, 1);
	assert_int_equal(lab_stats(&l, 0).fast_leaves, 0);
}

static void tracking_begins_with_what_it_has_not_seen(void **state)
{
	begin();
	report(H1, IGMP_TO_EX, G);
	report(H2, IGMP_TO_EX, G);
	port.fast_leave = true;
	change();
	report(H1, IGMP_IS_EX, G);
	report(H1, IGMP_TO_IN, G);
	assert_true(lab_wants(&l, 0, ANY, G));
	assert_int_equal(lab_stats(&l, 0).fast_leaves, 0);
	report(H2, IGMP_IS_EX, G);
	lab_pass(&l, 200000);
	report(H2, IGMP_IS_EX, G);
	lab_pass(&l, 70000);
	report(H2, IGMP_TO_IN, G);
	assert_int_equal(l.n_members, 0);
}

static void hosts_are_shown_with_what_they_want(void **state)
{
	struct igmp_cursor at_group, c = { 0 };
	struct igmp_group_view g;
	struct igmp_host_view h;
	bool any = false, one = false;
	unsigned n = 0;

	port.track_hosts = true;
	begin();
	report(H1, IGMP_TO_EX, G);
	report1(H2, IGMP_ALLOW, G, S1);
	assert_true(lab_group(&l, 0, G, &at_group, &g));
	assert_int_equal(g.n_hosts, 2);
	for (; igmp_host_show(&at_group, &c, &h); n++) {
		any |= ip4_equal(h.host, H1) && !h.source.net;
		one |= ip4_equal(h.host, H2) && ip4_equal(h.source, S1);
		assert_int_equal(h.expires.us - l.now.us, 270000000);
	}
	assert_true(n == 2 && any && one);
	lab_pass(&l, 271000);
	assert_int_equal(igmp_usage(l.e).hosts.used, 0);
}

/* --- proxy ----------------------------------------------------------------------------------- */

static void begin_proxy(void)
{
	struct igmp_port_config up = port;

	cfg.has_proxy = port.is_proxied = true;
	begin();
	lab_port(&l, 1, 5, &port);
	up.mode = IGMP_UPSTREAM;
	lab_port(&l, UP, 5, &up);
	igmp_upstream_set(l.e, l.now, UP, &lab_out);
	lab_settle(&l);
}

static bool joined(struct ip4 source, struct ip4 group)
{
	return lab_has(&l, true, UP, source, group, WANT_INCLUDE);
}

static bool joined_but(struct ip4 source, struct ip4 group)
{
	return lab_has(&l, true, UP, source, group, WANT_EXCLUDE);
}

static unsigned joins(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < l.n_members; i++)
		n += l.members[i].is_join;
	return n;
}

/* IG-53: the merged record of two ports, in every mode. */
static void ig53_memberships_are_merged_upstream(void **state)
{
	begin_proxy();
	lab_report(&l, 0, H1, IGMP_ALLOW, G, (struct ip4[]){ S1 }, 1);
	assert_true(joined(S1, G) && joins() == 1);
	lab_report(&l, 1, H1, IGMP_ALLOW, G, (struct ip4[]){ S1, S2 }, 2);
	assert_true(joined(S1, G) && joined(S2, G) && joins() == 2);
	/* Any but S1 on one port; the other one wants S1. */
	lab_report(&l, 0, H2, IGMP_TO_EX, G, (struct ip4[]){ S2 }, 1);
	assert_true(joined(ANY, G) && joins() == 1);
	/* Both exclude S2. */
	lab_report(&l, 1, H2, IGMP_IS_EX, G, (struct ip4[]){ S2 }, 1);
	assert_true(joined(ANY, G) && joins() == 1);
	lab_report(&l, 1, H2, IGMP_BLOCK, G, (struct ip4[]){ S2 }, 1);
	lab_pass(&l, 3000);
	assert_true(joined(ANY, G) && joined_but(S2, G) && joins() == 2);
	/* One of them leaves: the other's exceptions are all. */
	lab_report(&l, 1, H2, IGMP_TO_IN, G, NULL, 0);
	lab_pass(&l, 3000);
	assert_true(joined(ANY, G) && joined_but(S2, G) && joins() == 2);
	lab_report(&l, 0, H2, IGMP_TO_IN, G, NULL, 0);
	lab_pass(&l, 3000);
	assert_int_equal(joins(), 0);
	assert_int_equal(l.n_members, 0);
}

/* Upstream too, what replaces comes first. */
static void ig53_joins_change_without_a_gap(void **state)
{
	static struct igmp_packet p;
	struct igmp_rx rx = { .source = H1, .ttl = 1, .data = p.bytes };
	unsigned joined_at = 0, left_at = 0;

	begin_proxy();
	report1(H1, IGMP_ALLOW, G, S1);
	igmp_packet_report(&p);
	igmp_packet_record(&p, IGMP_IS_EX, G, NULL, 0);
	rx.len = p.len;
	igmp_input(l.e, l.now, &rx, &lab_out);
	for (uint32_t i = 0; i < lab_out.n; i++) {
		if (lab_out.list[i].kind == ACT_JOIN)
			joined_at = i;
		if (lab_out.list[i].kind == ACT_LEAVE)
			left_at = i;
	}
	assert_true(joined_at && joined_at < left_at);
	lab_settle(&l);
}

/* RFC 4605 §4.2: only the querier forwards onto a link; it is subscribed all the same. */
static void ig53_only_the_querier_forwards(void **state)
{
	begin_proxy();
	lab_report(&l, 0, H1, IGMP_TO_EX, G, NULL, 0);
	assert_true(lab_wants(&l, 0, ANY, G) && joined(ANY, G));
	lab_query(&l, 0, ADDR(10, 0, 0, 1), (struct igmp_query){ .version = 3, .response_ds = 100 },
		  NULL);
	assert_false(lab_wants(&l, 0, ANY, G));
	assert_true(joined(ANY, G));
	lab_pass(&l, 200000);
	lab_report(&l, 0, H1, IGMP_IS_EX, G, NULL, 0);
	lab_pass(&l, 60000);
	assert_true(lab_wants(&l, 0, ANY, G) && joined(ANY, G));
}

static void ig53_the_upstream_port_can_change(void **state)
{
	struct igmp_port_config up = port;

	begin_proxy();
	up.mode = IGMP_UPSTREAM;
	lab_report(&l, 0, H1, IGMP_TO_EX, G, NULL, 0);
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, (struct ip4[]){ S1 }, 1);
	lab_port(&l, 2, 5, &up);
	igmp_upstream_set(l.e, l.now, 2, &lab_out);
	lab_settle(&l);
	assert_false(joined(ANY, G) || joined(S1, SSM));
	assert_true(lab_has(&l, true, 2, ANY, G, WANT_INCLUDE));
	assert_true(lab_has(&l, true, 2, S1, SSM, WANT_INCLUDE));
	igmp_upstream_set(l.e, l.now, IGMP_NO_PORT, &lab_out);
	lab_settle(&l);
	assert_int_equal(joins(), 0);
	lab_report(&l, 0, H1, IGMP_TO_IN, G, NULL, 0);
	lab_pass(&l, 300000);
	assert_int_equal(l.n_members, 0);
}

/* It may be another interface that comes back, of which the kernel knows no joins. */
static void ig53_an_upstream_that_comes_back_is_joined_anew(void **state)
{
	struct igmp_link link;

	begin_proxy();
	lab_report(&l, 0, H1, IGMP_TO_EX, G, (struct ip4[]){ S2 }, 1);
	lab_report(&l, 0, H1, IGMP_ALLOW, SSM, (struct ip4[]){ S1 }, 1);
	assert_int_equal(joins(), 3);
	link = view_of(UP).link;
	link.is_up = false;
	igmp_link(l.e, l.now, UP, &link, &lab_out);
	lab_settle(&l);
	assert_int_equal(joins(), 0);
	lab_report(&l, 1, H1, IGMP_ALLOW, SSM, (struct ip4[]){ S2 }, 1);
	assert_int_equal(joins(), 0);
	link.is_up = true;
	igmp_link(l.e, l.now, UP, &link, &lab_out);
	lab_settle(&l);
	assert_true(joined(ANY, G) && joined_but(S2, G) && joined(S1, SSM) && joined(S2, SSM));
	assert_int_equal(joins(), 4);
}

/* P41: towards the upstream we are a host; that nobody asks there is worth an alarm. */
static void a_silent_upstream_is_told(void **state)
{
	begin_proxy();
	assert_int_equal(lab_report(&l, UP, ADDR(10, 0, UP, 9), IGMP_TO_EX, G, NULL, 0),
			 IGMP_DROP_ROLE);
	lab_pass(&l, 200000);
	lab_query(&l, UP, ADDR(10, 0, UP, 1), (struct igmp_query){ .version = 3 }, NULL);
	lab_pass(&l, 249999);
	assert_int_equal(lab_events(&l, EVENT_IGMP_NO_QUERIER), 0);
	lab_pass(&l, 1);
	assert_int_equal(lab_events(&l, EVENT_IGMP_NO_QUERIER), 1);
	lab_pass(&l, 1000000);
	assert_int_equal(lab_events(&l, EVENT_IGMP_NO_QUERIER), 1);
}

/* --- change ---------------------------------------------------------------------------------- */

static void a_link_that_goes_takes_what_was_learned(void **state)
{
	begin();
	report(H1, IGMP_TO_EX, G);
	report1(H1, IGMP_ALLOW, SSM, S1);
	report(H1, IGMP_TO_IN, G);
	link_is(false);
	assert_int_equal(l.n_members, 0);
	assert_int_equal(view().groups, 0);
	lab_forget(&l);
	lab_pass(&l, 1000000);
	assert_int_equal(l.n_sent, 0);
	link_is(true);
	assert_int_equal(l.n_sent, 1);
	assert_true(view().is_querier);
	report(H1, IGMP_TO_EX, G);
	assert_true(lab_wants(&l, 0, ANY, G));
}

/* What 100 flaps leave is what a fresh start has. */
static void a_hundred_flaps_leave_nothing(void **state)
{
	begin();
	for (int i = 0; i < 100; i++) {
		report(H1, IGMP_TO_EX, G);
		report1(H1, IGMP_ALLOW, SSM, S1);
		report1(H2, IGMP_BLOCK, G, S2);
		lab_pass(&l, 100);
		link_is(false);
		link_is(true);
	}
	assert_int_equal(l.n_members, 0);
	assert_int_equal(igmp_usage(l.e).groups.used, 0);
	assert_int_equal(igmp_usage(l.e).sources.used, 0);
	lab_forget(&l);
	lab_pass(&l, 31250);
	assert_int_equal(l.n_sent, 1);
}

/* All of a port's groups, with a list that holds a few at a time. */
static void more_to_say_than_fits_is_said_bit_by_bit(void **state)
{
	port.rate_burst = 100000;
	begin_proxy();
	for (uint32_t i = 0; i < 1000; i++)
		report(H1, IGMP_TO_EX, ip4_from_host(0xef010101 + i));
	assert_int_equal(l.n_members, 2000);
	l.longest = 0;
	link_is(false);
	assert_int_equal(l.n_members, 0);
	assert_true(l.longest > 200 && l.longest <= ACTIONS_MAX);
	assert_int_equal(igmp_usage(l.e).groups.used, 0);
}

static void the_same_configuration_again_changes_nothing(void **state)
{
	begin();
	report(H1, IGMP_TO_EX, G);
	lab_query(&l, 0, ADDR(10, 0, 0, 1), (struct igmp_query){ .version = 3 }, NULL);
	lab_forget(&l);
	change();
	assert_false(view().is_querier);
	assert_int_equal(l.n_sent + l.n_events, 0);
	assert_true(lab_wants(&l, 0, ANY, G));
}

static void a_shorter_interval_is_in_force_at_once(void **state)
{
	begin();
	lab_pass(&l, 150000);
	lab_forget(&l);
	port.query_interval = mtime_ms(20000);
	change();
	lab_pass(&l, 20000);
	assert_int_equal(l.n_sent, 1);
	port.mode = IGMP_OFF;
	report(H1, IGMP_TO_EX, G);
	change();
	assert_int_equal(l.n_members, 0);
	lab_pass(&l, 100000);
	assert_int_equal(l.n_sent, 1);
	assert_int_equal(lab_report(&l, 0, H1, IGMP_TO_EX, G, NULL, 0), IGMP_DROP_PORT);
}

static void configurations_without_sense_are_refused(void **state)
{
	struct igmp_port_config good = port, bad[11];

	begin();
	for (int i = 0; i < 11; i++)
		bad[i] = good;
	bad[0].version = 0;
	bad[1].version = 4;
	bad[2].robustness = 0;
	bad[3].query_response = bad[3].query_interval;
	bad[4].query_response = mtime_ms(99);
	bad[5].last_member_interval = mtime_ms(0);
	bad[6].query_interval = mtime_ms(31745000);
	bad[7].max_groups = 0;
	bad[8].max_sources = 65536;
	bad[9].version = 2;
	bad[9].query_response = mtime_ms(26000);
	bad[10].is_proxied = true;
	for (int i = 0; i < 11; i++)
		assert_int_equal(igmp_port_set(l.e, l.now, 0, &bad[i], &lab_out), -EINVAL);
	assert_int_equal(igmp_port_set(l.e, l.now, 4, &good, &lab_out), -EINVAL);
	cfg.max_groups = 0;
	assert_int_equal(igmp_init(&l.e, &cfg, &(struct arena){ 0 }), -EINVAL);
}

/* --- memory ---------------------------------------------------------------------------------- */

static size_t arena_of(uint32_t n, uint32_t n_hosts, bool has_proxy)
{
	struct arena measure = { 0 };
	struct igmp *e;

	cfg.max_groups = cfg.max_sources = n;
	cfg.max_hosts = n_hosts;
	cfg.has_proxy = has_proxy;
	assert_int_equal(igmp_init(&e, &cfg, &measure), -ENOMEM);
	return measure.used;
}

/* For a group with one source: both, their places in tables and timers, and what is an option. */
static void a_source_of_a_group_takes_few_bytes(void **state)
{
	const uint32_t n = 1 << 14;
	size_t plain, tracked, proxied;

	begin();
	plain = (arena_of(2 * n, 0, false) - arena_of(n, 0, false)) / n;
	tracked = (arena_of(2 * n, 2 * n, false) - arena_of(n, n, false)) / n;
	proxied = (arena_of(2 * n, 2 * n, true) - arena_of(n, n, true)) / n;
	print_message("# bytes for each (S,G): %zu, %zu with a tracked host, %zu proxied too\n",
		      plain, tracked, proxied);
	assert_true(plain <= 256 && tracked <= 288 && proxied <= 512);
}

/* Tables that are full to the last place can still change. */
static void full_tables_go_on_working(void **state)
{
	cfg.max_groups = cfg.max_sources = 4;
	begin_proxy();
	for (uint32_t i = 0; i < 4; i++)
		report1(H1, IGMP_TO_EX, ip4_from_host(0xef010101 + i), S1);
	assert_int_equal(joins(), 8);
	for (uint32_t i = 0; i < 4; i++) {
		report1(H1, IGMP_TO_IN, ip4_from_host(0xef010101 + i), S1);
		lab_pass(&l, 3000);
	}
	assert_int_equal(joins(), 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_true(joined(S1, ip4_from_host(0xef010101 + i)));
	link_is(false);
	for (uint32_t i = 0; i < 4; i++)
		lab_report(&l, 1, H1, IGMP_TO_EX, ip4_from_host(0xef020201 + i),
			   (struct ip4[]){ S1 }, 1);
	assert_int_equal(joins(), 8);
}

/* All tables at their default sizes; the daemon may use 256 MiB for all of its engines. */
static void the_largest_tables_are_bounded(void **state)
{
	struct arena measure = { 0 };
	struct igmp *e;

	begin();
	cfg = igmp_config_default();
	assert_int_equal(igmp_init(&e, &cfg, &measure), -ENOMEM);
	print_message("# %zu KiB at default sizes\n", measure.used >> 10);
	assert_true(measure.used <= 48u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(static_groups_need_no_report),
		STORY(static_and_reported_memberships_add_up),
		STORY(own_joins_are_joined_and_forwarded),
		STORY(what_cannot_be_static_is_refused),
		STORY(groups_beyond_the_limit_are_refused_and_old_ones_stay),
		STORY(all_ports_share_the_tables),
		STORY(with_too_many_sources_a_group_takes_any),
		STORY(access_lists_say_what_may_be_joined),
		STORY(an_access_list_ends_with_no),
		STORY(a_new_access_list_applies_to_what_is_there),
		STORY(only_the_last_leave_is_fast),
		STORY(fast_leave_knows_sources),
		STORY(fast_leave_does_not_trust_what_it_cannot_see),
		STORY(tracking_begins_with_what_it_has_not_seen),
		STORY(hosts_are_shown_with_what_they_want),
		STORY(ig53_memberships_are_merged_upstream),
		STORY(ig53_joins_change_without_a_gap),
		STORY(ig53_only_the_querier_forwards),
		STORY(ig53_the_upstream_port_can_change),
		STORY(ig53_an_upstream_that_comes_back_is_joined_anew),
		STORY(a_silent_upstream_is_told),
		STORY(a_link_that_goes_takes_what_was_learned),
		STORY(a_hundred_flaps_leave_nothing),
		STORY(more_to_say_than_fits_is_said_bit_by_bit),
		STORY(the_same_configuration_again_changes_nothing),
		STORY(a_shorter_interval_is_in_force_at_once),
		STORY(configurations_without_sense_are_refused),
		STORY(a_source_of_a_group_takes_few_bytes),
		STORY(full_tables_go_on_working),
		STORY(the_largest_tables_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
