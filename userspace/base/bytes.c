/* SPDX-License-Identifier: MIT */
/* Reading and writing network byte order within bounds. */
#include "base/bytes.h"

#include <string.h>

/* The next `len` bytes, or NULL: then the reader has failed and is at its end. */
static const uint8_t *take(struct rd *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->has_failed || len > rd_left(r)) {
		r->has_failed = true;
		r->at = r->end;
		return NULL;
	}
	r->at += len;
	return at;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = take(r, 1);

	return p ? *p : 0;
}

uint16_t rd_u16(struct rd *r)
{
	const uint8_t *p = take(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = take(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

struct ip4 rd_ip4(struct rd *r)
{
	struct ip4 a;

	rd_bytes(r, &a.net, sizeof(a.net));
	return a;
}

void rd_bytes(struct rd *r, void *out, size_t len)
{
	const uint8_t *p = take(r, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

struct rd rd_sub(struct rd *r, size_t len)
{
	const uint8_t *p = take(r, len);

	if (!p)
		return (struct rd){ .at = r->end, .end = r->end, .has_failed = true };
	return rd_init(p, len);
}

/* Room for `len` bytes, or NULL: then the writer has failed and is at its end. */
static uint8_t *room(struct wr *w, size_t len)
{
	uint8_t *at = w->at;

	if (w->has_failed || len > wr_left(w)) {
		w->has_failed = true;
		w->end = w->at;
		return NULL;
	}
	w->at += len;
	return at;
}

void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	wr_bytes(w, b, sizeof(b));
}

void wr_u32(struct wr *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	wr_bytes(w, b, sizeof(b));
}

void wr_ip4(struct wr *w, struct ip4 a)
{
	wr_bytes(w, &a.net, sizeof(a.net));
}

void wr_bytes(struct wr *w, const void *p, size_t len)
{
	uint8_t *at = room(w, len);

	if (at)
		memcpy(at, p, len);
}

void wr_patch(struct wr *w, size_t offset, const void *p, size_t len)
{
	if (w->has_failed || offset > wr_len(w) || len > wr_len(w) - offset)
		w->has_failed = true;
	else
		memcpy(w->start + offset, p, len);
}
