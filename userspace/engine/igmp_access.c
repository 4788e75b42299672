/* SPDX-License-Identifier: MIT */
/* What may be joined, by range, by access list and by room. */
#include "engine/igmp_impl.h"

#define LIMIT_EVENT_EVERY_S 60

bool igmp_is_ssm(const struct igmp *e, struct ip4 group)
{
	for (uint32_t i = 0; i < e->cfg.n_ssm; i++)
		if (ip4_in(group, e->cfg.ssm[i]))
			return true;
	return false;
}

/* A join from any source is only as good as an entry that is for any source. */
static bool fits(const struct igmp_access *a, struct sg sg)
{
	if (!ip4_in(sg.group, a->group))
		return false;
	return sg.source.net ? ip4_in(sg.source, a->source) : a->source.len == 0;
}

bool igmp_permits(const struct igmp_port *p, struct sg sg)
{
	for (uint32_t i = 0; i < p->cfg.n_access; i++)
		if (fits(&p->cfg.access[i], sg))
			return p->cfg.access[i].is_permit;
	return p->cfg.n_access == 0;
}

bool igmp_is_local(const struct igmp_port *p, struct ip4 a)
{
	return ip4_in(a, (struct ip4_prefix){ p->link.address, p->link.prefix_len });
}

/* Once a minute: whoever fills the tables must not fill the log as well. */
void igmp_limit_event(struct igmp_port *p, struct mtime now, struct sg sg, uint32_t limit,
		      struct actions *out)
{
	struct act_event event = { .kind = EVENT_IGMP_LIMIT, .sg = sg, .value = limit };

	if (now.us < p->limit_event_at.us)
		return;
	p->limit_event_at = mtime_add(now, mtime_ms(LIMIT_EVENT_EVERY_S * 1000));
	actions_event(out, p->index, event);
}
