/* SPDX-License-Identifier: MIT */
/*
 * mcrsink receives what mcrgen sends and accounts for every datagram: lost, twice, late, changed.
 * It says "ready" on stderr once it is a member of all its groups, and reports when it ends.
 */
#include "mcrsink.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

#define NAP_MS	 100
#define DRAIN_NS 5000000000u /* how long at most to empty the sockets once it is over */

static volatile sig_atomic_t is_stopped;

static const char *const mode_names[] = { "udp", "packet", NULL };

#define AT(member) offsetof(struct sink_options, member)
static const struct opt options[] = {
	{ "interface", "IF", "receive on this interface (for unicast: or on all)", OPT_TEXT,
	  AT(interface), 0, 0, NULL },
	{ "mode", "MODE", "what an application receives, or what the wire carries", OPT_CHOICE,
	  AT(mode), 0, 0, mode_names },
	{ "group", "ADDRESS", "join this group; unicast: local address (none: any)", OPT_ADDRESS,
	  AT(group), 0, 0, NULL },
	{ "groups", "N", "… and the N-1 addresses after it", OPT_NUMBER, AT(groups), 1, 100000,
	  NULL },
	{ "port", "PORT", "UDP port (5001)", OPT_NUMBER, AT(port), 1, 65535, NULL },
	{ "ports", "N", "… and the N-1 ports after it", OPT_NUMBER, AT(ports), 1, 65535, NULL },
	{ "source", "ADDRESS", "only from this source (source-specific join)", OPT_ADDRESS,
	  AT(source), 0, 0, NULL },
	{ "sources", "N", "… and the N-1 addresses after it", OPT_NUMBER, AT(sources), 1, 1000,
	  NULL },
	{ "duration", "SECONDS", "end after this time", OPT_SECONDS, AT(duration_ns), 0, 0, NULL },
	{ "expect", "N", "end once so many datagrams are there; status 1 if they are not",
	  OPT_NUMBER, AT(expect), 1, UINT64_MAX, NULL },
	{ "idle", "MS", "end when nothing has come for so long, after the first datagram",
	  OPT_NUMBER, AT(idle_ms), 1, 3600000, NULL },
	{ "buffer", "MIB", "of each socket (64)", OPT_NUMBER, AT(buffer_mib), 1, 1023, NULL },
	{ "gro", NULL, "udp: take merged datagrams from the kernel (UDP_GRO): faster", OPT_FLAG,
	  AT(gro), 0, 0, NULL },
	{ "ready-fd", "FD", "write \"ready\" to this descriptor, too", OPT_NUMBER, AT(ready_fd), 3,
	  1023, NULL },
	{ "json", NULL, "report in JSON", OPT_FLAG, AT(json), 0, 0, NULL },
	{ NULL, NULL, NULL, OPT_FLAG, 0, 0, 0, NULL },
};
#undef AT

uint64_t sink_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int sink_fail(const char *what)
{
	int err = errno;

	fprintf(stderr, "mcrsink: %s: %s\n", what, strerror(err));
	return -err;
}

static void handle_stop(int signal)
{
	is_stopped = 1;
}

/* --- receiving --- */

int sink_take(struct sink *s, const struct sink_datagram *d)
{
	s->received++;
	if (!s->first_ns)
		s->first_ns = d->now_ns;
	s->last_ns = d->now_ns;
	return flow_take(&s->table, d);
}

int sink_take_segments(struct sink *s, struct sink_datagram *d, uint32_t segment)
{
	uint32_t left = d->len;
	int err;

	if (!segment)
		segment = left;
	do {
		d->len = left < segment ? left : segment;
		err = sink_take(s, d);
		if (err)
			return err;
		d->data += d->len;
		left -= d->len;
	} while (left);
	return 0;
}

static uint64_t idle_end_ns(const struct sink *s)
{
	return s->opt.idle_ms && s->received ? s->last_ns + s->opt.idle_ms * 1000000u : UINT64_MAX;
}

static uint64_t end_ns(const struct sink *s, uint64_t start_ns)
{
	return s->opt.duration_ns ? start_ns + s->opt.duration_ns : UINT64_MAX;
}

/* Sleeps until there is something to receive, or the deadline. A signal ends it, or at the latest
 * the limit, should one come just before. */
static int wait_for_data(const struct sink *s, uint64_t start_ns)
{
	struct pollfd p = { .fd = s->poll_fd, .events = POLLIN };
	uint64_t idle = idle_end_ns(s), end = end_ns(s, start_ns), now = sink_now_ns(), left;
	int timeout_ms;

	end = idle < end ? idle : end;
	left = end > now ? end - now : 0;
	timeout_ms = left > NAP_MS * 1000000u ? NAP_MS : (int)((left + 999999) / 1000000);
	if (poll(&p, 1, timeout_ms) < 0 && errno != EINTR)
		return sink_fail("poll");
	return 0;
}

/* Idle is only he who has looked: after a long wait for the processor there may be a lot to read.
 */
static int receive_until_over(struct sink *s, const struct sink_mode *mode, uint64_t start_ns)
{
	int n;

	while (!is_stopped && sink_now_ns() < end_ns(s, start_ns)) {
		n = wait_for_data(s, start_ns);
		if (!n)
			n = mode->receive(s);
		if (n < 0)
			return n;
		if (s->opt.expect && s->received >= s->opt.expect)
			break;
		if (!n && sink_now_ns() >= idle_end_ns(s))
			break;
	}
	return 0;
}

/* What has arrived when it is over lies in the sockets. */
static int receive_all(struct sink *s, const struct sink_mode *mode, uint64_t start_ns)
{
	int err = receive_until_over(s, mode, start_ns);

	if (!err)
		err = mode->drain(s, sink_now_ns() + DRAIN_NS);
	return err ? err : mode->count_drops(s);
}

/* --- start --- */

static void check_options(const struct sink_options *o)
{
	if (ip4_is_multicast(o->group) && !o->interface)
		opt_refuse("a multicast --group wants --interface");
	if (o->mode == 1 && !o->interface)
		opt_refuse("--mode packet wants --interface");
	if (o->port + o->ports > 65536)
		opt_refuse("--ports goes beyond port 65535");
	if (o->sources > 1 && !o->source.net)
		opt_refuse("--sources wants --source");
	if (o->gro && o->mode == 1)
		opt_refuse("--gro wants --mode udp");
}

/* Many groups need many sockets. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int say_ready(const struct sink *s)
{
	fputs("ready\n", stderr);
	if (s->opt.ready_fd && write((int)s->opt.ready_fd, "ready\n", 6) != 6)
		return sink_fail("--ready-fd");
	return 0;
}

static int run(struct sink *s, const struct sink_mode *mode)
{
	struct sigaction action = { .sa_handler = handle_stop };
	uint64_t start_ns;
	int err;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (s->opt.interface) {
		s->ifindex = (int)if_nametoindex(s->opt.interface);
		if (!s->ifindex)
			return sink_fail(s->opt.interface);
	}
	err = mode->open(s);
	if (!err)
		err = say_ready(s);
	if (err)
		return err;
	start_ns = sink_now_ns();
	err = receive_all(s, mode, start_ns);
	if (!err)
		sink_report(s, sink_now_ns() - start_ns);
	return err;
}

int main(int argc, char **argv)
{
	static const struct sink_mode *const modes[] = { &sink_mode_udp, &sink_mode_packet };
	struct sink *s = calloc(1, sizeof(*s));
	const struct sink_mode *mode;
	int err, status;

	if (!s)
		return 1;
	s->poll_fd = -1;
	s->opt = (struct sink_options){
		.groups = 1, .port = 5001, .ports = 1, .sources = 1, .buffer_mib = 64
	};
	opt_parse(options, "[OPTION…]", argc, argv, &s->opt);
	check_options(&s->opt);
	raise_file_limit();
	mode = modes[s->opt.mode];
	err = run(s, mode);
	status = err || s->received < s->opt.expect;
	mode->close(s);
	flow_free_all(&s->table);
	free(s);
	return status;
}
