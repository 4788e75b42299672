/* SPDX-License-Identifier: MIT */
/*
 * How long to look for the next frames before going to sleep. Being woken costs whoever brings a
 * frame far more than bringing it, and the worker a few microseconds; looking costs the core on
 * which it is done. So looking must be earned: each frame earns a little time, which bounds the
 * share of the core at any rate (a twentieth at 100,000 frames a second), up to the longest look.
 * Looks that found nothing make the next ones rarer, since a sender that runs on this very core
 * cannot send meanwhile. A worker that is pinned has been given its core: there one frame earns the
 * longest look, which bridges the gaps of some 10,000 frames a second. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SPIN_LONGEST_NS 50000u /* between two polls of a busy device lies less */
#define SPIN_FRAME_NS	500u   /* what a frame earns */
#define SPIN_OWN_NS	150000u /* the longest look, and what a frame earns, on an own core */
#define SPIN_PAUSES	127u   /* sleeps without a look, at most, after looks in vain */

struct spin {
	uint32_t frame_ns, longest_ns;
	uint32_t earned_ns;
	uint32_t pauses; /* after the next look in vain: so many sleeps without one */
	uint32_t left;	 /* of them */
};

void spin_init(struct spin *s, bool has_own_core);

/* Frames were taken. */
void spin_earn(struct spin *s, uint32_t frames);

/* For how long to look now that nothing is left to do; 0 = sleep at once. */
uint32_t spin_longest(struct spin *s);

/* What the look has cost, and whether it found anything. */
void spin_spend(struct spin *s, uint64_t ns, bool has_found);
