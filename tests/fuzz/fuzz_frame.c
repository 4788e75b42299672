/* SPDX-License-Identifier: MIT */
/*
 * Frames of any bytes in pieces of any lengths, each a block of memory of its own, then the
 * headers of a copy. The first bytes of an input say what the ring says:
 *
 *	flags · segment (2) · pieces · length of each piece but the last, in eighths of what is left
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/packet.h"
#include "worker/header.h"

#define PIECES 8

enum {
	PARTIAL = 1,
	VERIFIED = 2,
	SUPER = 4,  /* the segment counts */
	FIX_IP = 8, /* make the checksum right, which mutation hardly ever does */
	FIX_UDP = 16,
	CUT = 32, /* the packet was longer than what the ring holds */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

/* Makes checksums right, as far as the headers make sense. */
static void fix(uint8_t *frame, size_t size, uint8_t flags)
{
	uint8_t *ip = frame + AT_IP;
	size_t udp_len;

	if (size < AT_PAYLOAD)
		return;
	udp_len = get16(frame + AT_UDP_LEN);
	if (flags & FIX_IP)
		packet_finish_ip(ip);
	if (flags & FIX_UDP && udp_len >= 8 && udp_len <= size - AT_UDP)
		put16(frame + AT_UDP_CHECK, packet_udp_check(ip, udp_len));
}

/* The payload is what the headers say, and lies in the pieces. */
static void check_payload(const struct frame *f, const struct iovec *before, uint32_t n_pieces)
{
	size_t have = 0;

	demand(f->n_payload >= 1 && f->n_payload <= n_pieces);
	for (uint32_t i = 0; i < f->n_payload; i++) {
		const uint8_t *at = f->payload[i].iov_base, *from = before[i].iov_base;

		demand(at >= from && at + f->payload[i].iov_len <= from + before[i].iov_len);
		have += f->payload[i].iov_len;
	}
	demand(have == f->len);
	demand(f->len + (f->flow.protocol == PACKET_UDP ? 28u : 20u) == f->flow.ip_len);
	demand(f->datagrams >= 1 && f->flow.ttl == f->head[AT_TTL]);
	if (f->len)
		demand((uint32_t)(f->datagrams - 1) * f->segment < f->len &&
		       (uint32_t)f->datagrams * f->segment >= f->len);
}

/* A copy by hand: its checksums are right by definition. */
static void check_copy(const struct frame *f)
{
	struct wm_output out = { .dscp = 46,
				 .port = 5002,
				 .group = htonl(IP(239, 2, 2, 2)),
				 .source = htonl(IP(198, 18, 2, 1)) };
	struct run r = { .flow = f->flow, .head = f->head, .checksum = f->checksum };
	uint8_t *copy = malloc(28 + f->len), *at = copy + 28;
	uint32_t len, sum = frame_sum(f->payload, f->n_payload);

	demand(copy != NULL);
	len = header_ip(copy, &r, &out, f->len);
	for (uint32_t i = 0; i < f->n_payload; i++) {
		memcpy(at, f->payload[i].iov_base, f->payload[i].iov_len);
		at += f->payload[i].iov_len;
	}
	demand(plain_sum(copy, 20, 0) == 0xffff);
	demand(get16(copy + 2) == len + f->len && copy[1] >> 2 == 46);
	demand(copy[8] == header_ttl(&f->flow, &out) && copy[8] < 255);
	if (len == 28) {
		header_raw_checksum(copy, &r, sum);
		demand(get16(copy + 26) ==
		       (f->checksum == FRAME_CSUM_NONE ? 0 : packet_udp_check(copy, f->len + 8)));
	} else {
		demand(len == 20 && f->flow.protocol == PACKET_ESP);
	}
	free(copy);
}

/* That a frame counts as good has to have a reason. */
static void check_verdict(const struct frame *f, const uint8_t *frame, uint8_t flags)
{
	uint32_t check = get16(frame + AT_UDP_CHECK);

	demand(flags & SUPER || plain_sum(frame + AT_IP, 20, 0) == 0xffff);
	if (f->flow.protocol != PACKET_UDP)
		return;
	if (f->checksum == FRAME_CSUM_NONE)
		demand(check == 0 && !(flags & PARTIAL));
	else if (f->checksum == FRAME_CSUM_PARTIAL)
		demand(flags & PARTIAL || check == plain_pseudo(frame + AT_IP, f->len + 8));
	else
		demand(flags & VERIFIED || check == packet_udp_check(frame + AT_IP, f->len + 8));
}

/* Cuts a frame into blocks of exactly the size of its pieces. */
static uint32_t scatter(const uint8_t *frame, size_t size, const uint8_t *eighths, uint32_t n,
			struct iovec *pieces)
{
	for (uint32_t i = 0; i < n; i++) {
		size_t len = i + 1 < n ? size * (eighths[i] & 7) / 8 : size;

		pieces[i] = (struct iovec){ malloc(len ? len : 1), len };
		demand(pieces[i].iov_base != NULL);
		memcpy(pieces[i].iov_base, frame, len);
		frame += len;
		size -= len;
	}
	return n;
}

static void run(uint8_t *frame, size_t size, const uint8_t *head)
{
	struct iovec pieces[PIECES], before[PIECES];
	struct frame_raw raw = {
		.pieces = pieces,
		.n_pieces = scatter(frame, size, head + 4, 1 + head[3] % PIECES, pieces),
		.len = (uint32_t)size + (head[0] & CUT ? 100 : 0),
		.segment = head[0] & SUPER ? (uint16_t)(get16(head + 1) | 1) : 0,
		.is_partial = head[0] & PARTIAL,
		.is_verified = head[0] & VERIFIED,
	};
	struct frame f;

	memcpy(before, pieces, sizeof(before));
	if (frame_read(&f, &raw) == FRAME_DROP__COUNT) {
		check_payload(&f, before, raw.n_pieces);
		check_verdict(&f, frame, head[0]);
		check_copy(&f);
	}
	for (uint32_t i = 0; i < raw.n_pieces; i++)
		free(before[i].iov_base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame;
	size_t head = 4 + PIECES - 1;

	if (size < head || size > head + 70000)
		return 0;
	frame = malloc(size);
	demand(frame != NULL);
	memcpy(frame, data + head, size - head);
	fix(frame, size - head, data[0]);
	run(frame, size - head, data);
	free(frame);
	return 0;
}
