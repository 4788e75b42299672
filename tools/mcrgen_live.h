/* SPDX-License-Identifier: MIT */
/* What the generating XDP program is told about each flow. */
#pragma once

#include <linux/types.h>

/* Offsets in a frame of mode live: Ethernet, IP without options, UDP, our header. */
#define LIVE_IP_ID     18
#define LIVE_IP_CHECK  24
#define LIVE_UDP       34
#define LIVE_UDP_CHECK 40
#define LIVE_SEQUENCE  58
#define LIVE_SENT_NS   66
#define LIVE_CHECK     74
#define LIVE_HEADERS   78

#define LIVE_WORDS 10 /* of 64 bits, that LIVE_HEADERS fit in */

enum live_checksum {
	LIVE_GIVEN, /* as in the headers: zero or the pseudo-header's sum */
	LIVE_FULL,
	LIVE_WRONG,
};

struct live_flow {
	__u64 headers[LIVE_WORDS]; /* all that is the same in each frame; the rest is 0 */
	__u64 sequence;		   /* the next one: how many were made, too */
	__u32 flow;
	__u32 ip_sum; /* partial sums of what is the same */
	__u32 udp_sum;
	__u32 unused;
};
