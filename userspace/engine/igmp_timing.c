/* SPDX-License-Identifier: MIT */
/* Spans of time by the formulas of RFC 9776 §8, with the parameters that are in use. */
#include "engine/igmp_impl.h"

/* Routers that do not query go by what the querier says (§4.1.6, §4.1.7). */
uint8_t igmp_robustness(const struct igmp_port *p)
{
	return !p->is_querier && p->robustness ? p->robustness : p->cfg.robustness;
}

struct mtime igmp_query_interval(const struct igmp_port *p)
{
	return !p->is_querier && p->query_interval.us ? p->query_interval : p->cfg.query_interval;
}

/* RV × QI, which most of them begin with. */
static struct mtime queries(const struct igmp_port *p)
{
	return mtime_times(igmp_query_interval(p), igmp_robustness(p));
}

struct mtime igmp_membership(const struct igmp *e, const struct igmp_port *p)
{
	int responses = e->cfg.is_gmi_rfc3376 ? 1 : 2;

	return mtime_add(queries(p), mtime_times(p->cfg.query_response, responses));
}

struct mtime igmp_other_querier(const struct igmp_port *p)
{
	return mtime_add(queries(p), (struct mtime){ p->cfg.query_response.us / 2 });
}

struct mtime igmp_older_host(const struct igmp_port *p)
{
	return mtime_add(queries(p), p->cfg.query_response);
}

uint8_t igmp_last_member_count(const struct igmp_port *p)
{
	return p->cfg.last_member_count ? p->cfg.last_member_count : igmp_robustness(p);
}

struct mtime igmp_last_member_time(const struct igmp_port *p)
{
	return mtime_times(p->cfg.last_member_interval, igmp_last_member_count(p));
}

/* The lowest on the link, while the older router is heard (§7.3.1). */
uint8_t igmp_version(const struct igmp_port *p, struct mtime now)
{
	return now.us < p->older_until.us ? p->older_version : p->cfg.version;
}
