/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing network byte order within bounds. Both stay failed: after the first access
 * beyond the end a reader gives zeros and a writer ignores what it is told, so that a record is
 * read or written straight through and asked once, at its end, whether that went well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip4.h"

struct rd {
	const uint8_t *at, *end;
	bool has_failed;
};

struct wr {
	uint8_t *start, *at, *end;
	bool has_failed;
};

static inline struct rd rd_init(const void *p, size_t len)
{
	const uint8_t *at = p;

	return (struct rd){ .at = at, .end = at + len };
}

static inline bool rd_failed(const struct rd *r)
{
	return r->has_failed;
}

/* Bytes not yet read; 0 once failed. */
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->at);
}

/* 0 once failed. */
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
struct ip4 rd_ip4(struct rd *r);

/* Copies `len` bytes; zeros once failed. */
void rd_bytes(struct rd *r, void *out, size_t len);

/* A reader of the next `len` bytes, which `r` passes over. Both fail when there are fewer. */
struct rd rd_sub(struct rd *r, size_t len);

static inline struct wr wr_init(void *p, size_t size)
{
	uint8_t *at = p;

	return (struct wr){ .start = at, .at = at, .end = at + size };
}

static inline bool wr_failed(const struct wr *w)
{
	return w->has_failed;
}

/* Bytes written so far. */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->at - w->start);
}

/* Bytes that still fit; 0 once failed. */
static inline size_t wr_left(const struct wr *w)
{
	return (size_t)(w->end - w->at);
}

void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_ip4(struct wr *w, struct ip4 a);
void wr_bytes(struct wr *w, const void *p, size_t len);

/* Replaces bytes that were written before, such as a checksum; else the writer fails. */
void wr_patch(struct wr *w, size_t offset, const void *p, size_t len);
