/* SPDX-License-Identifier: MIT */
/*
 * Garbage for a router, as it comes on a link: IGMP or PIM that is random, cut off, has bits
 * flipped, or lies about its lengths.
 *	garbage INTERFACE igmp|pim COUNT RATE ROUTER NEIGHBOR [SEED]
 * sends COUNT packets at RATE a second. What a checksum finds out claims to be from NEIGHBOR, one
 * that the router knows; what has a right checksum is from strangers. ROUTER's MAC address is made
 * of its IP address as in testbeds. Prints the seed, and how many packets of each kind were sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH	    32
#define FRAME_MAX   1514
#define AT_IP	    14
#define MESSAGE_MAX 256

enum { IGMP = 2, PIM = 103 };
enum kind { RANDOM, CUT, FLIPPED, LYING, KINDS };

static const char *const kind_names[] = { "random", "cut", "flipped", "lying" };

/* Messages that are right, in the order of their types. */
static const char *const igmp_messages[] = {
	"1164ee9b00000000",
	"1164ec1e00000000027d0000",
	"110af96fe8010101027d00010a000005",
	"1600f9fcef010101",
	"1700f8fcef010101",
	"2200e9fb0000000104000000ef010101",
	"2200e5f50000000105000001e80101010a000005",
};
static const char *const pim_messages[] = {
	"20006af90001000200690002000401f409c400130004000000010014000412345678",
	"21009eff400000004500001400000000ff67c07b0a000105ef010101",
	"2200e0d701000020ef01010101000a000105",
	"2300c0e601000a000c02000100d201000020ef0101010001000001000720"
	"0aff0001",
	"2300afc001000a000c02000100d201000020ef0101010001000101000720"
	"0aff000101000520"
	"0a000105",
	"2400032200011e4001000aff000101000004e00000000101000001000aff00010096c000",
	"2500dd5501000020ef01010101000a0001050000006e00000014",
	"2800e8a401c0009601000aff000101000004e0000000",
};

static struct {
	int protocol;
	uint32_t router, neighbor; /* host order */
	uint64_t random;
} here;

static uint32_t draw(uint32_t below)
{
	here.random ^= here.random << 13;
	here.random ^= here.random >> 7;
	here.random ^= here.random << 17;
	return (uint32_t)(here.random >> 16) % below;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static void seal(uint8_t *data, size_t len, size_t at)
{
	uint32_t sum = 0;

	if (len < at + 2)
		return;
	put16(data + at, 0);
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(data + at, ~sum);
}

static size_t right_message(uint8_t *m)
{
	bool is_igmp = here.protocol == IGMP;
	size_t n = is_igmp ? sizeof(igmp_messages) / sizeof(igmp_messages[0])
			   : sizeof(pim_messages) / sizeof(pim_messages[0]);
	const char *hex = (is_igmp ? igmp_messages : pim_messages)[draw((uint32_t)n)];
	size_t len = 0;
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		m[len++] = (uint8_t)byte;
	return len;
}

/* Random bytes; half of them begin like a message that there is. */
static size_t random_message(uint8_t *m)
{
	size_t len = draw(MESSAGE_MAX);

	for (size_t i = 0; i < len; i++)
		m[i] = (uint8_t)draw(256);
	if (len && draw(2)) {
		uint8_t right[MESSAGE_MAX];

		right_message(right);
		m[0] = right[0];
	}
	return len;
}

/* Writes a message of this kind; `is_sealed`: its checksum is right all the same. */
static size_t wrong_message(enum kind kind, bool is_sealed, uint8_t *m)
{
	size_t len = kind == RANDOM ? random_message(m) : right_message(m);

	if (kind == CUT)
		len = draw((uint32_t)len);
	for (uint32_t n = kind == FLIPPED ? 1 + draw(8) : 0; n; n--)
		m[draw((uint32_t)len)] ^= (uint8_t)(1 << draw(8));
	if (kind == LYING) /* somewhere there is a length, or a count */
		put16(m + 4 + draw((uint32_t)len - 5), draw(2) ? draw(65536) : 0xffff - draw(3));
	if (is_sealed)
		seal(m, here.protocol == PIM && len && (m[0] & 15) == 1 && len > 8 ? 8 : len, 2);
	return len;
}

/* An IP header that tells the truth, or for IGMP, which the router reads itself, does not. */
static void put_header(uint8_t *ip, uint32_t source, uint32_t dst, size_t len, bool is_lying)
{
	static const uint8_t alert[] = { 0x94, 4, 0, 0 };
	size_t head = here.protocol == IGMP ? 24 : 20;

	memset(ip, 0, head);
	ip[0] = (uint8_t)(0x40 | head / 4);
	ip[1] = 0xc0;
	put16(ip + 2, (uint32_t)(head + len));
	ip[8] = 1;
	ip[9] = (uint8_t)here.protocol;
	put32(ip + 12, source);
	put32(ip + 16, dst);
	if (head == 24)
		memcpy(ip + 20, alert, 4);
	if (is_lying && here.protocol == IGMP)
		ip[draw(4)] = (uint8_t)draw(256);
	seal(ip, head, 10);
}

static uint32_t destination(void)
{
	static const uint32_t groups[] = { 0xe0000001, 0xe0000002, 0xe0000016, 0xef010101 };

	if (here.protocol == IGMP)
		return groups[draw(4)];
	return draw(4) ? 0xe000000d : here.router;
}

/* A frame as it is sent; its length. */
static size_t make_frame(enum kind kind, uint8_t *f)
{
	bool is_sealed = kind != FLIPPED && draw(2);
	uint32_t source = is_sealed ? (here.router & 0xffffff00) + 128 + draw(120) : here.neighbor;
	uint32_t dst = destination();
	size_t head = here.protocol == IGMP ? 24 : 20;
	size_t len = wrong_message(kind, is_sealed, f + AT_IP + head);

	if (dst == here.router) {
		put16(f, 0x0200);
		put32(f + 2, dst);
	} else {
		put16(f, 0x0100);
		put32(f + 2, 0x5e000000 | (dst & 0x7fffff));
	}
	put16(f + 6, 0x0200);
	put32(f + 8, source);
	put16(f + 12, ETH_P_IP);
	put_header(f + AT_IP, source, dst, len, kind == LYING && draw(4) == 0);
	return AT_IP + head + len;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void wait_until(int64_t ns)
{
	struct timespec at = { ns / 1000000000, ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static int open_socket(const char *interface)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd >= 0 && at.sll_ifindex && !bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	perror("garbage: the interface");
	exit(2);
}

/* Sends the first `n` frames, all of them. */
static void send_all(int fd, struct mmsghdr *msgs, unsigned n)
{
	for (unsigned done = 0; done < n;) {
		int sent = sendmmsg(fd, msgs + done, n - done, 0);

		if (sent < 0 && errno != ENOBUFS && errno != EINTR) {
			perror("garbage: sendmmsg");
			exit(1);
		}
		if (sent > 0)
			done += (unsigned)sent;
	}
}

static void flood(int fd, unsigned long count, unsigned long rate, unsigned long *sent)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	static struct iovec parts[BATCH];
	static struct mmsghdr msgs[BATCH];
	int64_t start = now_ns();

	for (unsigned long done = 0; done < count;) {
		unsigned n = 0;

		for (; n < BATCH && done + n < count; n++) {
			enum kind kind = draw(KINDS);

			parts[n] = (struct iovec){ frames[n], make_frame(kind, frames[n]) };
			msgs[n].msg_hdr.msg_iov = &parts[n];
			msgs[n].msg_hdr.msg_iovlen = 1;
			sent[kind]++;
		}
		send_all(fd, msgs, n);
		done += n;
		wait_until(start + (int64_t)(done * 1000000000 / rate));
	}
}

static uint32_t address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) == 1)
		return ntohl(a.s_addr);
	fprintf(stderr, "garbage: not an address: %s\n", text);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned long sent[KINDS] = { 0 }, rate = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;

	if (argc < 7 || argc > 8 || !rate) {
		fputs("usage: garbage INTERFACE igmp|pim COUNT RATE ROUTER NEIGHBOR [SEED]\n",
		      stderr);
		return 2;
	}
	here.protocol = strcmp(argv[2], "pim") == 0 ? PIM : IGMP;
	here.router = address(argv[5]);
	here.neighbor = address(argv[6]);
	here.random = argc > 7 ? strtoull(argv[7], NULL, 10) : (uint64_t)now_ns() | 1;
	printf("seed %llu\n", (unsigned long long)here.random);
	flood(open_socket(argv[1]), strtoul(argv[3], NULL, 10), rate, sent);
	for (int i = 0; i < KINDS; i++)
		printf("%s %lu\n", kind_names[i], sent[i]);
	return 0;
}
