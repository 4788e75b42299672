/* SPDX-License-Identifier: MIT */
/*
 * mcrgen sends datagrams that mcrsink can account for one by one: many flows in turn, at an exact
 * rate. Packet n is due at start + n / rate, whatever has happened to those before it.
 */
#include "mcrgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#include "options.h"

#define FLOWS_MAX   100000
#define SOURCES_MAX 1000

static volatile sig_atomic_t is_stopped;

static const char *const mode_names[] = { "udp", "packet", "live", NULL };
static const char *const checksum_names[] = { "full", "partial", "pseudo", "zero", "wrong", NULL };

#define AT(member) offsetof(struct gen_options, member)
static const struct opt options[] = {
	{ "interface", "IF", "send out of this interface", OPT_TEXT, AT(interface), 0, 0, NULL },
	{ "mode", "MODE", "UDP sockets, frames by a packet socket, or frames made by XDP",
	  OPT_CHOICE, AT(mode), 0, 0, mode_names },
	{ "group", "ADDRESS", "to this group or unicast address (239.1.1.1)", OPT_ADDRESS,
	  AT(group), 0, 0, NULL },
	{ "groups", "N", "… and to the N-1 addresses after it", OPT_NUMBER, AT(groups), 1,
	  FLOWS_MAX, NULL },
	{ "port", "PORT", "to this UDP port (5001)", OPT_NUMBER, AT(port), 1, 65535, NULL },
	{ "ports", "N", "… and to the N-1 ports after it", OPT_NUMBER, AT(ports), 1, 65535, NULL },
	{ "source", "ADDRESS", "from this address, which need not be a local one", OPT_ADDRESS,
	  AT(source), 0, 0, NULL },
	{ "sources", "N", "… and from the N-1 addresses after it", OPT_NUMBER, AT(sources), 1,
	  SOURCES_MAX, NULL },
	{ "source-port", "PORT", "from this UDP port (udp: any; else 5000)", OPT_NUMBER,
	  AT(source_port), 1, 65535, NULL },
	{ "first-flow", "ID", "id of the first flow (0)", OPT_NUMBER, AT(first_flow), 0,
	  UINT32_MAX - FLOWS_MAX, NULL },
	{ "size", "BYTES", "of UDP payload (100; at least 36)", OPT_NUMBER, AT(size),
	  PAYLOAD_HEADER, PAYLOAD_MAX, NULL },
	{ "rate", "PPS", "datagrams a second, all flows together (0: as fast as can be)",
	  OPT_NUMBER, AT(rate), 0, 100000000, NULL },
	{ "count", "N", "datagrams, all flows together", OPT_NUMBER, AT(count), 1, UINT64_MAX,
	  NULL },
	{ "duration", "SECONDS", "end after this time", OPT_SECONDS, AT(duration_ns), 0, 0, NULL },
	{ "burst", "N", "datagrams of a flow before the next flow's turn (1)", OPT_NUMBER,
	  AT(burst), 1, UINT32_MAX, NULL },
	{ "ttl", "N", "(16)", OPT_NUMBER, AT(ttl), 0, 255, NULL },
	{ "dscp", "N", "(0)", OPT_NUMBER, AT(dscp), 0, 63, NULL },
	{ "df", NULL, "set \"don't fragment\"", OPT_FLAG, AT(df), 0, 0, NULL },
	{ "segment", "N", "udp: up to N datagrams in one send (UDP_SEGMENT)", OPT_NUMBER,
	  AT(segment), 1, 64, NULL },
	{ "dest-mac", "MAC", "packet, live: to this MAC address (else from group or neighbours)",
	  OPT_TEXT, AT(dest_mac), 0, 0, NULL },
	{ "checksum", "KIND", "packet, live: what is in the UDP checksum field", OPT_CHOICE,
	  AT(checksum), 0, 0, checksum_names },
	{ "vlan", "ID", "packet: with an 802.1Q tag", OPT_NUMBER, AT(vlan), 1, 4094, NULL },
	{ "ip-options", NULL, "packet: with a router alert option", OPT_FLAG, AT(ip_options), 0, 0,
	  NULL },
	{ "fragment", "BYTES", "packet: in IP fragments of so many bytes (multiple of 8)",
	  OPT_NUMBER, AT(fragment), 8, 65528, NULL },
	{ "malformed", "KIND", "packet: with something wrong", OPT_CHOICE, AT(malformed), 0, 0,
	  gen_malformed_names },
	{ "duplicate", "N", "send the last datagram again instead of each Nth of a flow",
	  OPT_NUMBER, AT(duplicate), 2, UINT32_MAX, NULL },
	{ "skip", "N", "leave out a sequence number at each Nth of a flow", OPT_NUMBER, AT(skip), 1,
	  UINT32_MAX, NULL },
	{ "swap", "N", "exchange each Nth of a flow with the one after it", OPT_NUMBER, AT(swap), 2,
	  UINT32_MAX, NULL },
	{ "corrupt", "N", "change a bit in the body of each Nth of a flow", OPT_NUMBER, AT(corrupt),
	  1, UINT32_MAX, NULL },
	{ "json", NULL, "report in JSON", OPT_FLAG, AT(json), 0, 0, NULL },
	{ NULL, NULL, NULL, OPT_FLAG, 0, 0, 0, NULL },
};
#undef AT

uint64_t gen_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int gen_fail(const char *what)
{
	int err = errno;

	fprintf(stderr, "mcrgen: %s: %s\n", what, strerror(err));
	return -err;
}

static void handle_stop(int signal)
{
	is_stopped = 1;
}

/* --- flows --- */

static int make_flows(struct gen *g)
{
	const struct gen_options *o = &g->opt;
	size_t i, n = o->groups * o->ports * o->sources;
	uint32_t group = ntohl(o->group.net), source = ntohl(o->source.net);

	g->flows = calloc(n, sizeof(*g->flows));
	if (!g->flows)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct gen_flow *f = &g->flows[i];

		f->id = (uint32_t)(o->first_flow + i);
		f->source_index = i % o->sources;
		f->port = (uint16_t)(o->port + i / o->sources % o->ports);
		f->group.net = htonl(group + (uint32_t)(i / o->sources / o->ports));
		if (o->source.net)
			f->source.net = htonl(source + (uint32_t)f->source_index);
	}
	g->n_flows = n;
	g->left_in_burst = o->burst;
	return 0;
}

static bool is_due(uint64_t every, uint64_t n)
{
	return every && n % every == 0;
}

static uint64_t next_sequence(struct gen *g, struct gen_flow *f)
{
	const struct gen_options *o = &g->opt;
	uint64_t n = ++f->made;

	if (f->has_held) {
		f->has_held = false;
		g->swapped++;
		return f->held;
	}
	if (is_due(o->duplicate, n)) {
		g->duplicated++;
		return f->next - 1;
	}
	if (is_due(o->skip, n)) {
		g->skipped++;
		f->next++;
	}
	if (is_due(o->swap, n)) {
		f->held = f->next;
		f->has_held = true;
		f->next += 2;
		return f->held + 1;
	}
	return f->next++;
}

void gen_next_packet(struct gen *g, struct gen_packet *p)
{
	struct gen_flow *f = &g->flows[g->at];

	p->flow = f;
	p->payload = (struct payload){
		.run = g->run,
		.flow = f->id,
		.length = (uint16_t)g->opt.size,
		.sequence = next_sequence(g, f),
		.sent_ns = gen_now_ns(),
	};
	p->is_corrupt = g->opt.size > PAYLOAD_HEADER && is_due(g->opt.corrupt, f->made);
	g->corrupted += p->is_corrupt;
	if (--g->left_in_burst == 0) {
		g->left_in_burst = g->opt.burst;
		g->at = g->at + 1 == g->n_flows ? 0 : g->at + 1;
	}
}

void gen_write_payload(const struct gen_packet *p, unsigned char *at)
{
	struct payload_wire header;

	payload_write_header(&header, &p->payload);
	memcpy(at, &header, sizeof(header));
	payload_write_body(at + PAYLOAD_HEADER, &p->payload);
	if (p->is_corrupt)
		at[p->payload.length - 1] ^= 0x10;
}

void gen_account(struct gen *g, struct gen_flow *f, uint64_t n, int err)
{
	g->attempts += n;
	if (!err) {
		f->sent += n;
		return;
	}
	f->failed += n;
	g->errors[-err < GEN_ERRNO_MAX ? -err : 0] += n;
}

/* --- pacing --- */

uint64_t gen_span_ns(const struct gen *g, uint64_t n)
{
	return (uint64_t)((unsigned __int128)n * 1000000000u / g->opt.rate);
}

/* How many datagrams should have been sent by now. */
static uint64_t due_count(const struct gen *g)
{
	unsigned __int128 elapsed = gen_now_ns() - g->start_ns;

	return (uint64_t)(elapsed * g->opt.rate / 1000000000u) + 1;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = { .tv_sec = (time_t)(ns / 1000000000u),
			       .tv_nsec = (long)(ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

uint64_t gen_total(const struct gen_options *o)
{
	uint64_t total = o->count ? o->count : UINT64_MAX, within;

	if (o->rate && o->duration_ns) {
		within = (uint64_t)((unsigned __int128)o->rate * o->duration_ns / 1000000000u);
		total = within < total ? within : total;
	}
	return total;
}

/* Waits until `left` datagrams, or as many as the mode wants at once, are due. How many are? */
static uint64_t wait_for_due(const struct gen *g, uint64_t left)
{
	uint64_t want = left < g->batch_min ? left : g->batch_min;

	while (due_count(g) < g->attempts + want && !is_stopped)
		sleep_until(g->start_ns + gen_span_ns(g, g->attempts + want - 1));
	return is_stopped ? 0 : due_count(g) - g->attempts;
}

static int send_all(struct gen *g, const struct gen_mode *mode)
{
	uint64_t total = gen_total(&g->opt), left, n;
	int err = 0;

	g->start_ns = gen_now_ns();
	while (!err && !is_stopped && g->attempts < total) {
		if (!g->opt.rate && g->opt.duration_ns &&
		    gen_now_ns() - g->start_ns >= g->opt.duration_ns)
			break;
		n = left = total - g->attempts;
		if (g->opt.rate && !g->paces_itself)
			n = wait_for_due(g, left);
		n = n < left ? n : left;
		if (n)
			err = mode->send(g, n < g->batch_max ? (unsigned)n : g->batch_max);
	}
	/* The last packet has its share of time, too: n packets last n / rate. */
	if (g->opt.rate && !g->paces_itself && !err && !is_stopped)
		sleep_until(g->start_ns + gen_span_ns(g, g->attempts));
	g->end_ns = gen_now_ns();
	return err;
}

/* --- start --- */

static void check_options(struct gen_options *o)
{
	if (!o->interface)
		opt_refuse("--interface is missing");
	if (o->groups * o->ports * o->sources > FLOWS_MAX)
		opt_refuse("more than %u flows", FLOWS_MAX);
	if (o->port + o->ports > 65536)
		opt_refuse("--ports goes beyond port 65535");
	if (o->sources > 1 && !o->source.net)
		opt_refuse("--sources wants --source");
	if (o->mode != 1 && (o->vlan || o->ip_options || o->fragment || o->malformed))
		opt_refuse("--vlan, --ip-options, --fragment and --malformed want --mode packet");
	if (o->mode == 0 && (o->checksum != GEN_FULL || o->dest_mac))
		opt_refuse("--checksum and --dest-mac want --mode packet or live");
	if (o->mode == 2 && (o->duplicate || o->skip || o->swap || o->corrupt))
		opt_refuse("--duplicate, --skip, --swap and --corrupt want --mode packet or udp");
	if (o->mode != 0 && o->segment > 1)
		opt_refuse("--segment wants --mode udp");
	if (o->mode == 0 && o->ttl == 0)
		opt_refuse("--ttl 0 wants --mode packet or live");
	if (o->fragment % 8)
		opt_refuse("--fragment %llu is not a multiple of 8",
			   (unsigned long long)o->fragment);
	if (o->fragment && (o->malformed || o->checksum == GEN_PARTIAL))
		opt_refuse("--fragment goes neither with --malformed nor with a partial checksum");
	if (o->ip_options && o->size > PAYLOAD_MAX - 4)
		opt_refuse("--ip-options leaves room for %u bytes", PAYLOAD_MAX - 4);
	if (o->segment * o->size > PAYLOAD_MAX)
		opt_refuse("--segment times --size exceeds %u", PAYLOAD_MAX);
	if (o->burst < o->segment)
		o->burst = o->segment;
	if (o->mode != 0 && !o->source_port)
		o->source_port = 5000;
}

static int prepare(struct gen *g)
{
	struct sigaction action = { .sa_handler = handle_stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* sleep as exactly as can be */
	g->ifindex = (int)if_nametoindex(g->opt.interface);
	if (!g->ifindex)
		return gen_fail(g->opt.interface);
	if (getrandom(&g->run, sizeof(g->run), 0) != sizeof(g->run))
		return gen_fail("getrandom");
	return make_flows(g);
}

int main(int argc, char **argv)
{
	static const struct gen_mode *const modes[] = { &gen_mode_udp, &gen_mode_packet,
							&gen_mode_live };
	struct gen g = { .opt = { .group = { htonl(0xef010101) },
				  .port = 5001,
				  .groups = 1,
				  .ports = 1,
				  .sources = 1,
				  .size = 100,
				  .burst = 1,
				  .segment = 1,
				  .ttl = 16 } };
	const struct gen_mode *mode;
	int err;

	opt_parse(options, "--interface IF [OPTION…]", argc, argv, &g.opt);
	check_options(&g.opt);
	mode = modes[g.opt.mode];
	err = prepare(&g);
	if (err)
		goto out;
	err = mode->open(&g);
	if (!err)
		err = gen_read_device(g.opt.interface, &g.before);
	if (!err)
		err = send_all(&g, mode);
	if (!err && mode->settle)
		err = mode->settle(&g);
	if (!err)
		err = gen_read_device(g.opt.interface, &g.after);
	if (!err)
		gen_report(&g);
	mode->close(&g);
out:
	free(g.flows);
	return err ? 1 : 0;
}
