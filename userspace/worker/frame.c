/* SPDX-License-Identifier: MIT */
/* Reading a frame: the shared classifier for the headers, then cutting to the payload and judging
 * the UDP checksum (RFC 768; RFC 1071 for the arithmetic). */
#include <string.h>

#include "base/cksum.h"
#include "worker/frame.h"

uint32_t frame_sum(const struct iovec *pieces, uint32_t n)
{
	uint32_t sum = 0;
	bool is_odd = false;

	for (uint32_t i = 0; i < n; i++) {
		uint16_t part = cksum_fold(cksum_add(pieces[i].iov_base, pieces[i].iov_len, 0));

		/* a piece that starts at an odd offset adds its bytes swapped, RFC 1071 §2(B) */
		if (is_odd)
			part = (uint16_t)(part << 8 | part >> 8);
		sum += part;
		is_odd ^= pieces[i].iov_len & 1;
	}
	return sum;
}

/* Cuts `skip` bytes off the front of the first piece and everything beyond `len`. */
static void frame_cut(struct frame *f, const struct frame_raw *raw, uint32_t skip, uint32_t len)
{
	uint32_t left = len;

	f->payload = raw->pieces;
	f->payload[0].iov_base = (uint8_t *)f->payload[0].iov_base + skip;
	f->payload[0].iov_len -= skip;
	for (f->n_payload = 0; f->n_payload < raw->n_pieces; f->n_payload++) {
		struct iovec *piece = &f->payload[f->n_payload];

		if (piece->iov_len >= left) {
			piece->iov_len = left;
			f->n_payload += left > 0 || f->n_payload == 0;
			break;
		}
		left -= (uint32_t)piece->iov_len;
	}
	f->len = len;
}

/*
 * A local sender that leaves the sum to the device has only the pseudo-header's in the field, and
 * XDP cannot say so: it is told by its value. A frame whose field is neither is broken.
 */
static bool checksum_judge(struct frame *f, const struct mcr_udp *udp, const struct frame_raw *raw)
{
	uint32_t pseudo =
		cksum_pseudo(f->flow.source, f->flow.group, IPPROTO_UDP, ntohs(udp->h.len));

	f->checksum = FRAME_CSUM_FULL;
	if (udp->h.check == 0 && !raw->is_partial) {
		f->checksum = FRAME_CSUM_NONE;
		return true;
	}
	if (raw->is_partial || udp->h.check == cksum_fold(pseudo)) {
		f->checksum = FRAME_CSUM_PARTIAL;
		return true;
	}
	if (raw->is_verified)
		return true;
	return cksum_fold(cksum_add32(frame_sum(f->payload, f->n_payload),
				      cksum_add(udp, sizeof(*udp), pseudo))) == 0xffff;
}

/* False when the ring has cut the packet short. */
static bool frame_is_whole(const struct frame *f, const struct frame_raw *raw)
{
	size_t have = 0;

	for (uint32_t i = 0; i < raw->n_pieces; i++)
		have += raw->pieces[i].iov_len;
	return have >= (size_t)ETH_HLEN + f->flow.ip_len;
}

/* Payload, datagrams, checksum of a frame whose headers are good. */
static enum frame_drop frame_payload(struct frame *f, const struct frame_raw *raw)
{
	const struct mcr_udp *udp = (const void *)(f->head + MCR_HDR_IP);
	uint32_t skip = MCR_HDR_IP;

	if (!frame_is_whole(f, raw))
		return FRAME_DROP_truncated;

	if (f->flow.protocol == IPPROTO_UDP)
		skip = MCR_HDR_UDP;
	else if (raw->segment)
		return FRAME_DROP_malformed;
	frame_cut(f, raw, skip, f->flow.ip_len + ETH_HLEN - skip);
	f->datagrams = 1;
	f->segment = (uint16_t)f->len;
	f->checksum = FRAME_CSUM_NONE;
	if (f->flow.protocol != IPPROTO_UDP)
		return FRAME_DROP__COUNT;
	if (raw->segment && raw->segment < f->len) {
		f->segment = raw->segment;
		f->datagrams = (uint16_t)((f->len + raw->segment - 1) / raw->segment);
	}
	return checksum_judge(f, udp, raw) ? FRAME_DROP__COUNT : FRAME_DROP_checksum;
}

enum frame_drop frame_read(struct frame *f, const struct frame_raw *raw)
{
	const uint8_t *head = raw->pieces[0].iov_base;
	const void *end = head + raw->pieces[0].iov_len;

	f->head = head;
	if (mcr_classify_l3(head, end, &f->flow) != MCR_V__COUNT ||
	    mcr_classify_l4(head, end, raw->len, &f->flow) != MCR_V__COUNT)
		return FRAME_DROP_malformed;
	/* the headers of copies are made anew, which must not heal a broken one; the kernel does
	 * not keep the sum of a super-frame right */
	if (!raw->segment && cksum_fold(cksum_add(head + ETH_HLEN, 20, 0)) != 0xffff)
		return FRAME_DROP_checksum;
	return frame_payload(f, raw);
}
