/* SPDX-License-Identifier: MIT */
/* Frames: headers, checksums, and what can be wrong with them. */
#include "mcrgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cksum.h"

/* --- addresses --- */

/* The MAC address of a neighbour that the kernel knows. */
static int find_neighbour(int fd, const struct gen *g, struct ip4 addr, unsigned char mac[6])
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = addr.net };
	struct arpreq request = { 0 };

	memcpy(&request.arp_pa, &to, sizeof(to));
	snprintf(request.arp_dev, sizeof(request.arp_dev), "%s", g->opt.interface);
	if (ioctl(fd, SIOCGARP, &request) || !(request.arp_flags & ATF_COM))
		return -ENOENT;
	memcpy(mac, request.arp_ha.sa_data, 6);
	return 0;
}

static int read_mac(const char *text, unsigned char mac[6])
{
	char end;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		      &mac[3], &mac[4], &mac[5], &end) == 6
		       ? 0
		       : -EINVAL;
}

/* RFC 1112 §6.4 for groups. */
static int find_dest_mac(const struct gen *g, int fd, struct ip4 group, unsigned char mac[6])
{
	unsigned char a[4];

	if (g->opt.dest_mac)
		return read_mac(g->opt.dest_mac, mac);
	if (!ip4_is_multicast(group))
		return find_neighbour(fd, g, group, mac);
	memcpy(a, &group, 4);
	memcpy(mac, (unsigned char[]){ 1, 0, 0x5e, a[1] & 0x7f, a[2], a[3] }, 6);
	return 0;
}

static int read_interface(struct gen *g, int fd)
{
	struct ifreq request = { 0 };
	struct sockaddr_in addr;
	size_t i;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", g->opt.interface);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return gen_fail("MAC address");
	memcpy(g->mac, request.ifr_hwaddr.sa_data, 6);
	if (g->opt.source.net)
		return 0;
	if (ioctl(fd, SIOCGIFADDR, &request))
		return gen_fail("no --source, and no address of the interface");
	memcpy(&addr, &request.ifr_addr, sizeof(addr));
	for (i = 0; i < g->n_flows; i++)
		g->flows[i].source.net = addr.sin_addr.s_addr;
	return 0;
}

int gen_frame_init(struct gen *g)
{
	char text[IP4_TEXT];
	size_t i;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return gen_fail("socket");
	err = read_interface(g, fd);
	for (i = 0; i < g->n_flows && !err; i++) {
		err = find_dest_mac(g, fd, g->flows[i].group, g->flows[i].dest_mac);
		if (err)
			fprintf(stderr, "mcrgen: no MAC address for %s: give --dest-mac\n",
				ip4_format(g->flows[i].group, text));
	}
	close(fd);
	return err;
}

/* --- headers --- */

static void put16(unsigned char *at, uint16_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_checksum(unsigned char *at, uint16_t value)
{
	memcpy(at, &value, 2);
}

void gen_frame_set_ip_checksum(const struct gen_frame *frame)
{
	put16(frame->ip + 10, 0);
	put_checksum(frame->ip + 10,
		     cksum_finish(cksum_add(frame->ip, (frame->ip[0] & 15) * 4u, 0)));
}

static void write_ip(const struct gen *g, const struct gen_flow *f, uint16_t id,
		     const struct gen_frame *frame)
{
	static const unsigned char router_alert[4] = { 0x94, 4, 0, 0 }; /* RFC 2113 */
	size_t header = (size_t)(frame->udp - frame->ip);
	unsigned char *ip = frame->ip;

	ip[0] = (unsigned char)(0x40 | header / 4);
	ip[1] = (unsigned char)(g->opt.dscp << 2);
	put16(ip + 2, (uint16_t)(header + sizeof(struct udphdr) + g->opt.size));
	put16(ip + 4, id);
	put16(ip + 6, g->opt.df ? IP_DF : 0);
	ip[8] = (unsigned char)g->opt.ttl;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &f->source, 4);
	memcpy(ip + 16, &f->group, 4);
	if (header > 20)
		memcpy(ip + 20, router_alert, 4);
	gen_frame_set_ip_checksum(frame);
}

void gen_frame_write_headers(const struct gen *g, const struct gen_flow *f, uint16_t id,
			     unsigned char *at, struct gen_frame *frame)
{
	size_t tag = g->opt.vlan ? 4 : 0;

	frame->eth = at;
	frame->ip = at + ETH_HLEN + tag;
	frame->udp = frame->ip + (g->opt.ip_options ? 24 : 20);
	frame->payload = frame->udp + sizeof(struct udphdr);
	frame->len = (size_t)(frame->payload - at) + g->opt.size;
	memcpy(at, f->dest_mac, 6);
	memcpy(at + 6, g->mac, 6);
	if (tag) {
		put16(at + 12, ETH_P_8021Q);
		put16(at + 14, (uint16_t)g->opt.vlan);
	}
	put16(frame->ip - 2, ETH_P_IP);
	write_ip(g, f, id, frame);
	put16(frame->udp, (uint16_t)g->opt.source_port);
	put16(frame->udp + 2, f->port);
	put16(frame->udp + 4, (uint16_t)(sizeof(struct udphdr) + g->opt.size));
	put16(frame->udp + 6, 0);
}

/* --- checksums --- */

uint32_t gen_frame_sum_pseudo(const struct gen *g, const struct gen_frame *frame)
{
	uint32_t source, dest;

	memcpy(&source, frame->ip + 12, 4);
	memcpy(&dest, frame->ip + 16, 4);
	return cksum_pseudo(source, dest, IPPROTO_UDP,
			    (uint16_t)(sizeof(struct udphdr) + g->opt.size));
}

void gen_frame_set_checksum(const struct gen *g, const struct gen_frame *frame)
{
	uint32_t sum = gen_frame_sum_pseudo(g, frame);
	uint16_t check;

	switch ((enum gen_checksum)g->opt.checksum) {
	case GEN_ZERO:
		return;
	case GEN_PARTIAL:
	case GEN_PSEUDO:
		put_checksum(frame->udp + 6, cksum_fold(sum));
		return;
	case GEN_FULL:
	case GEN_WRONG:
		break;
	}
	check = cksum_finish_udp(cksum_add(frame->udp, sizeof(struct udphdr) + g->opt.size, sum));
	if (g->opt.checksum == GEN_WRONG)
		check ^= check == 0x5555 ? 0xaaaa : 0x5555; /* and never 0, which means none */
	put_checksum(frame->udp + 6, check);
}

/* --- what can be wrong --- */

static void cut_in_ip(struct gen_frame *f)
{
	f->len = (size_t)(f->ip - f->eth) + 12;
}

static void cut_in_udp(struct gen_frame *f)
{
	put16(f->ip + 2, (uint16_t)(f->udp - f->ip + 4));
	gen_frame_set_ip_checksum(f);
	f->len = (size_t)(f->udp - f->eth) + 4;
}

static void set_version(struct gen_frame *f)
{
	f->ip[0] = (f->ip[0] & 15) | 0x60;
	gen_frame_set_ip_checksum(f);
}

static void set_header_length(struct gen_frame *f)
{
	f->ip[0] = 0x44;
}

static void claim_more(struct gen_frame *f)
{
	put16(f->ip + 2, (uint16_t)(get16(f->ip + 2) + 8));
	gen_frame_set_ip_checksum(f);
}

static void claim_less_than_header(struct gen_frame *f)
{
	put16(f->ip + 2, 19);
	gen_frame_set_ip_checksum(f);
}

static void claim_more_udp(struct gen_frame *f)
{
	put16(f->udp + 4, (uint16_t)(get16(f->udp + 4) + 8));
}

static void claim_less_than_udp(struct gen_frame *f)
{
	put16(f->udp + 4, 7);
}

static void spoil_ip_checksum(struct gen_frame *f)
{
	f->ip[10] ^= 0x55;
}

static void set_ethertype(struct gen_frame *f)
{
	put16(f->ip - 2, 0x88b5); /* IEEE 802: local experiments */
}

static void add_trailer(struct gen_frame *f)
{
	memset(f->eth + f->len, 0, 6);
	f->len += 6;
}

const char *const gen_malformed_names[] = {
	"none",	    "short-ip",	 "short-udp",	"version",   "ihl",	"total-long", "total-short",
	"udp-long", "udp-short", "ip-checksum", "ethertype", "trailer", NULL,
};

static void (*const malformed[])(struct gen_frame *) = {
	NULL,
	cut_in_ip,
	cut_in_udp,
	set_version,
	set_header_length,
	claim_more,
	claim_less_than_header,
	claim_more_udp,
	claim_less_than_udp,
	spoil_ip_checksum,
	set_ethertype,
	add_trailer,
};

void gen_frame_spoil(const struct gen *g, struct gen_frame *frame)
{
	if (malformed[g->opt.malformed])
		malformed[g->opt.malformed](frame);
}
