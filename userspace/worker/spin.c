/* SPDX-License-Identifier: MIT */
/* When to look for frames instead of sleeping. */
#include "worker/spin.h"

void spin_init(struct spin *s, bool has_own_core)
{
	*s = (struct spin){
		.frame_ns = has_own_core ? SPIN_OWN_NS : SPIN_FRAME_NS,
		.longest_ns = has_own_core ? SPIN_OWN_NS : SPIN_LONGEST_NS,
	};
}

void spin_earn(struct spin *s, uint32_t frames)
{
	uint64_t earned = s->earned_ns + (uint64_t)frames * s->frame_ns;

	s->earned_ns = earned < s->longest_ns ? (uint32_t)earned : s->longest_ns;
}

uint32_t spin_longest(struct spin *s)
{
	/* a shorter look than that would mostly be in vain, and tell nothing */
	if (s->earned_ns < s->longest_ns / 2)
		return 0;
	if (s->left) {
		s->left--;
		return 0;
	}
	return s->earned_ns;
}

void spin_spend(struct spin *s, uint64_t ns, bool has_found)
{
	s->earned_ns = ns < s->earned_ns ? s->earned_ns - (uint32_t)ns : 0;
	if (has_found) {
		s->pauses = 0;
		return;
	}
	s->pauses = s->pauses < SPIN_PAUSES ? 2 * s->pauses + 1 : SPIN_PAUSES;
	s->left = s->pauses;
}
