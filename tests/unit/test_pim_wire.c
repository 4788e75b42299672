/* SPDX-License-Identifier: MIT */
/* Messages of PIM: byte for byte against vectors, there and back, and every kind of malformation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cksum.h"
#include "wire/pim.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ip4 ip(const char *text)
{
	struct ip4 a;

	assert_int_equal(ip4_parse(text, &a), 0);
	return a;
}

static struct sg sg(const char *source, const char *group)
{
	return (struct sg){ ip(source), ip(group) };
}

static struct ip4_prefix prefix(const char *addr, uint8_t len)
{
	return (struct ip4_prefix){ ip(addr), len };
}

/* "20 00 6a" → bytes; returns how many. */
static size_t bytes_of(const char *hex, uint8_t *out)
{
	size_t n = 0;
	char *end;

	for (; *hex; hex = end) {
		out[n++] = (uint8_t)strtoul(hex, &end, 16);
		end += *end == ' ';
	}
	return n;
}

static void assert_written(const struct wr *w, const char *hex)
{
	uint8_t want[512];
	size_t n = bytes_of(hex, want);

	assert_false(wr_failed(w));
	assert_int_equal(wr_len(w), n);
	assert_memory_equal(w->start, want, n);
}

/* A message in memory, and a reader of it past its header. */
struct message {
	uint8_t b[2048];
	size_t n;
	struct rd r;
	enum pim_type type;
	uint8_t reserved;
};

static enum pim_drop open_message(struct message *m)
{
	m->r = rd_init(m->b, m->n);
	return pim_open(&m->r, &m->type, &m->reserved);
}

static void open_hex(struct message *m, const char *hex)
{
	m->n = bytes_of(hex, m->b);
	assert_int_equal(open_message(m), PIM_OK);
}

/* After a change: the checksum over `covered` bytes. */
static void fix(struct message *m, size_t covered)
{
	uint16_t check;

	memset(m->b + 2, 0, 2);
	check = cksum_finish(cksum_add(m->b, covered, 0));
	memcpy(m->b + 2, &check, 2);
}

#define HELLO                                                                                      \
	"20 00 6a f9 00 01 00 02 00 69 00 02 00 04 01 f4 09 c4 00 13 00 04 00 00 00 01 "           \
	"00 14 00 04 12 34 56 78"
#define GOODBYE "20 00 df fc 00 01 00 02 00 00"
#define JOIN_G                                                                                     \
	"23 00 c0 e6 01 00 0a 00 0c 02 00 01 00 d2 01 00 00 20 ef 01 01 01 00 01 00 00 "           \
	"01 00 07 20 0a ff 00 01"
#define JOIN_SG                                                                                    \
	"23 00 c3 e1 01 00 0a 00 0c 02 00 01 00 d2 01 00 00 20 ef 01 01 01 00 01 00 00 "           \
	"01 00 04 20 0a 00 01 05"
#define JOIN_G_PRUNE                                                                               \
	"23 00 af c0 01 00 0a 00 0c 02 00 01 00 d2 01 00 00 20 ef 01 01 01 00 01 00 01 "           \
	"01 00 07 20 0a ff 00 01 01 00 05 20 0a 00 01 05"
#define NULL_REGISTER                                                                              \
	"21 00 9e ff 40 00 00 00 45 00 00 14 00 00 00 00 ff 67 c0 7b 0a 00 01 05 ef 01 01 01"
#define REGISTER_STOP "22 00 e0 d7 01 00 00 20 ef 01 01 01 01 00 0a 00 01 05"
#define ASSERT                                                                                     \
	"25 00 dd 55 01 00 00 20 ef 01 01 01 "                                                     \
	"01 00 0a 00 01 05 00 00 00 6e 00 00 00 14"
#define CANCEL                                                                                     \
	"25 00 dd d7 01 00 00 20 ef 01 01 01 "                                                     \
	"01 00 0a 00 01 05 ff ff ff ff ff ff ff ff"
#define BSM                                                                                        \
	"24 00 03 22 00 01 1e 40 01 00 0a ff 00 01 01 00 00 04 e0 00 00 00 01 01 00 00 "           \
	"01 00 0a ff 00 01 00 96 c0 00"
#define CRP_ADV "28 00 e8 a4 01 c0 00 96 01 00 0a ff 00 01 01 00 00 04 e0 00 00 00"

static void hello_vectors(void **state)
{
	struct pim_hello h = { .holdtime = 105,
			       .has_lan_delay = true,
			       .propagation_ms = 500,
			       .override_ms = 2500,
			       .has_dr_priority = true,
			       .dr_priority = 1,
			       .has_gen_id = true,
			       .gen_id = 0x12345678 };
	struct pim_hello back;
	struct message m;
	uint8_t b[128];
	struct wr w = wr_init(b, sizeof(b));

	pim_hello_write(&w, &h);
	assert_written(&w, HELLO);
	open_hex(&m, HELLO);
	assert_int_equal(m.type, PIM_HELLO);
	assert_int_equal(pim_hello_read(&m.r, &back), PIM_OK);
	assert_memory_equal(&back, &h, sizeof(h));

	w = wr_init(b, sizeof(b));
	pim_hello_write(&w, &(struct pim_hello){ .holdtime = 0 });
	assert_written(&w, GOODBYE);
	open_hex(&m, GOODBYE);
	assert_int_equal(pim_hello_read(&m.r, &back), PIM_OK);
	assert_int_equal(back.holdtime, 0);
	assert_false(back.has_lan_delay || back.has_dr_priority || back.has_gen_id);
}

static void hello_secondaries_there_and_back(void **state)
{
	struct pim_hello h = { .holdtime = 105, .n_secondaries = 2 }, back;
	struct message m;
	struct wr w = wr_init(m.b, sizeof(m.b));

	h.has_lan_delay = h.can_track = true;
	h.secondaries[0] = ip("198.18.0.9");
	h.secondaries[1] = ip("198.18.1.9");
	pim_hello_write(&w, &h);
	m.n = wr_len(&w);
	assert_int_equal(open_message(&m), PIM_OK);
	assert_int_equal(pim_hello_read(&m.r, &back), PIM_OK);
	assert_memory_equal(&back, &h, sizeof(h));
}

/* PM-3: an option that nobody knows; PM-17: no holdtime; and lengths that lie. */
static void hello_options(void **state)
{
	static const struct {
		const char *hex; /* what follows the header */
		enum pim_drop d;
	} cases[] = {
		{ "", PIM_OK },
		{ "00 63 00 03 01 02 03", PIM_OK },
		{ "00 16 00 00", PIM_OK },
		{ "00 01 00 03 00 69 00", PIM_DROP_OPTION },
		{ "00 01 00 01 69", PIM_DROP_OPTION },
		{ "00 02 00 03 00 01 02", PIM_DROP_OPTION },
		{ "00 13 00 02 00 01", PIM_DROP_OPTION },
		{ "00 14 00 05 00 01 02 03 04", PIM_DROP_OPTION },
		{ "00 18 00 05 01 00 0a 00 00", PIM_DROP_OPTION },
		{ "00 18 00 12 02 00 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01", PIM_OK },
		{ "00 01 00", PIM_DROP_SHORT },
		{ "00 01 00 02 00", PIM_DROP_SHORT },
		{ "00 63 ff ff 00", PIM_DROP_SHORT },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pim_hello h;
		uint8_t b[64];
		struct rd r = rd_init(b, bytes_of(cases[i].hex, b));

		assert_int_equal(pim_hello_read(&r, &h), cases[i].d);
		if (i == 0)
			assert_int_equal(h.holdtime, PIM_HELLO_HOLDTIME);
	}
}

static void join_vectors(void **state)
{
	static const struct {
		const char *hex, *source;
		uint8_t flags, n_prunes;
	} cases[] = {
		{ JOIN_G, "10.255.0.1", PIM_SPARSE | PIM_WILDCARD | PIM_RPT, 0 },
		{ JOIN_SG, "10.0.1.5", PIM_SPARSE, 0 },
		{ JOIN_G_PRUNE, "10.255.0.1", PIM_SPARSE | PIM_WILDCARD | PIM_RPT, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t b[128];
		struct wr w = wr_init(b, sizeof(b));

		pim_jp_begin(&w, ip("10.0.12.2"), 210);
		pim_jp_group_write(&w, ip("239.1.1.1"), 1, cases[i].n_prunes);
		pim_source_write(&w, ip(cases[i].source), cases[i].flags);
		if (cases[i].n_prunes)
			pim_source_write(&w, ip("10.0.1.5"), PIM_SPARSE | PIM_RPT);
		pim_jp_end(&w, 1);
		assert_written(&w, cases[i].hex);
	}
}

static void join_is_read(void **state)
{
	struct pim_jp_source s;
	struct pim_jp_group g;
	struct pim_jp jp;
	struct message m;

	open_hex(&m, JOIN_G_PRUNE);
	assert_int_equal(m.type, PIM_JOIN_PRUNE);
	assert_int_equal(pim_jp_read(&m.r, &jp), PIM_OK);
	assert_int_equal(jp.upstream.net, ip("10.0.12.2").net);
	assert_int_equal(jp.holdtime, 210);
	assert_true(pim_jp_group(&jp, &g));
	assert_int_equal(g.group.addr.net, ip("239.1.1.1").net);
	assert_int_equal(g.group.len, 32);
	assert_true(pim_jp_source(&g, &s));
	assert_true(s.is_join);
	assert_int_equal(s.flags, 7);
	assert_true(pim_jp_source(&g, &s));
	assert_false(s.is_join);
	assert_int_equal(s.flags, 5);
	assert_int_equal(s.source.addr.net, ip("10.0.1.5").net);
	assert_false(pim_jp_source(&g, &s));
	assert_false(pim_jp_group(&jp, &g));
}

static enum pim_drop jp_drop(struct message *m)
{
	struct pim_jp jp;
	enum pim_drop d;

	fix(m, m->n);
	d = open_message(m);
	return d != PIM_OK ? d : pim_jp_read(&m->r, &jp);
}

/* PM-5: counts beyond the end; what is not IPv4; hosts and groups in each other's places. */
static void join_malformed(void **state)
{
	static const struct {
		size_t at;
		uint8_t v;
		enum pim_drop d;
	} cases[] = {
		{ 4, 2, PIM_DROP_ENCODING }, { 5, 1, PIM_DROP_ENCODING },
		{ 11, 2, PIM_DROP_SHORT },   { 14, 2, PIM_DROP_ENCODING },
		{ 17, 33, PIM_DROP_MASK },   { 18, 10, PIM_DROP_ADDRESS },
		{ 23, 2, PIM_DROP_SHORT },   { 22, 255, PIM_DROP_SHORT },
		{ 25, 2, PIM_DROP_SHORT },   { 26, 2, PIM_DROP_ENCODING },
		{ 29, 40, PIM_DROP_MASK },   { 30, 224, PIM_DROP_ADDRESS },
	};
	struct message m;

	for (size_t i = 0; i < COUNT(cases); i++) {
		open_hex(&m, JOIN_G_PRUNE);
		m.b[cases[i].at] = cases[i].v;
		assert_int_equal(jp_drop(&m), cases[i].d);
	}
	for (size_t n = PIM_HEADER; n < 34; n++) {
		open_hex(&m, JOIN_G);
		m.n = n;
		assert_int_equal(jp_drop(&m), PIM_DROP_SHORT);
	}
}

/* PM-1, PM-3. */
static void headers(void **state)
{
	struct message m;

	for (size_t n = 0; n < PIM_HEADER; n++) {
		m.n = bytes_of(HELLO, m.b);
		m.n = n;
		assert_int_equal(open_message(&m), PIM_DROP_SHORT);
	}
	m.n = bytes_of(HELLO, m.b);
	m.b[0] = 0x10;
	fix(&m, m.n);
	assert_int_equal(open_message(&m), PIM_DROP_VERSION);
	m.n = bytes_of(HELLO, m.b);
	for (size_t i = 1; i < m.n; i++) {
		m.b[i] ^= 0x40;
		assert_int_equal(open_message(&m), PIM_DROP_CHECKSUM);
		m.b[i] ^= 0x40;
	}
}

/* PM-1: over 8 bytes as it is sent, over all as old routers do; a Register in full comes with data.
 */
static void register_checksums(void **state)
{
	struct pim_register reg;
	struct message m;

	open_hex(&m, NULL_REGISTER);
	fix(&m, m.n);
	assert_int_equal(open_message(&m), PIM_OK);
	assert_int_equal(pim_register_read(&m.r, &reg), PIM_OK);
	fix(&m, 12);
	assert_int_equal(open_message(&m), PIM_DROP_CHECKSUM);
	m.n = 7;
	fix(&m, 7);
	assert_int_equal(open_message(&m), PIM_DROP_SHORT);
}

static void register_vectors(void **state)
{
	struct pim_register_stop stop;
	struct pim_register reg;
	struct message m;
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	pim_null_register_write(&w, sg("10.0.1.5", "239.1.1.1"));
	assert_written(&w, NULL_REGISTER);
	open_hex(&m, NULL_REGISTER);
	assert_int_equal(pim_register_read(&m.r, &reg), PIM_OK);
	assert_true(reg.is_null);
	assert_int_equal(reg.source.net, ip("10.0.1.5").net);
	assert_int_equal(reg.group.net, ip("239.1.1.1").net);

	w = wr_init(b, sizeof(b));
	pim_register_stop_write(&w, sg("10.0.1.5", "239.1.1.1"));
	assert_written(&w, REGISTER_STOP);
	open_hex(&m, REGISTER_STOP);
	assert_int_equal(pim_register_stop_read(&m.r, &stop), PIM_OK);
	assert_int_equal(stop.source.net, ip("10.0.1.5").net);
	assert_int_equal(stop.group.len, 32);
	for (size_t n = PIM_HEADER; n < 18; n++) {
		open_hex(&m, REGISTER_STOP);
		m.n = n;
		fix(&m, n);
		assert_int_equal(open_message(&m), PIM_OK);
		assert_int_equal(pim_register_stop_read(&m.r, &stop), PIM_DROP_SHORT);
	}
}

/* A data Register around 8 bytes of UDP. */
static void register_message(struct message *m, bool is_null)
{
	static const char inner[] = "45 00 00 1c 00 00 00 00 08 11 00 00 0a 00 01 05 ef 01 01 01 "
				    "0f a0 13 89 00 08 00 00";
	struct wr w = wr_init(m->b, sizeof(m->b));
	uint8_t b[64];
	size_t n = bytes_of(inner, b);
	uint16_t check = cksum_finish(cksum_add(b, 20, 0));

	memcpy(b + 10, &check, 2);
	pim_begin(&w, PIM_REGISTER, 0);
	wr_u32(&w, is_null ? 0x40000000 : 0);
	wr_bytes(&w, b, n);
	pim_end(&w);
	m->n = wr_len(&w);
}

static enum pim_drop register_drop(struct message *m)
{
	struct pim_register reg;
	enum pim_drop d = open_message(m);

	return d != PIM_OK ? d : pim_register_read(&m->r, &reg);
}

static void register_inner(void **state)
{
	struct message m;

	register_message(&m, false);
	assert_int_equal(register_drop(&m), PIM_OK);
	for (size_t n = PIM_REGISTER_LEN; n < m.n; n++) {
		struct message cut = m;

		cut.n = n;
		assert_int_equal(register_drop(&cut), n < 28 ? PIM_DROP_SHORT : PIM_DROP_INNER);
	}
	m.b[8] = 0x65;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER);
	m.b[8] = 0x44;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER);
	m.b[8] = 0x4f;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER);
	m.b[8] = 0x45;
	m.b[16]++;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER_CHECKSUM);
	m.b[16]--;
	m.b[24] = 10;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER);
	/* A Null-Register's checksum of 0 is none (RFC 7761 §4.9.3). */
	register_message(&m, true);
	memset(m.b + 18, 0, 2);
	assert_int_equal(register_drop(&m), PIM_OK);
	m.b[18] = 1;
	assert_int_equal(register_drop(&m), PIM_DROP_INNER_CHECKSUM);
}

static void assert_vectors(void **state)
{
	struct pim_assert a = { .preference = 110, .metric = 20 }, back = { 0 };
	struct message m;
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	a.sg = sg("10.0.1.5", "239.1.1.1");
	pim_assert_write(&w, &a);
	assert_written(&w, ASSERT);
	open_hex(&m, ASSERT);
	assert_int_equal(pim_assert_read(&m.r, &back), PIM_OK);
	assert_memory_equal(&back, &a, sizeof(a));

	a.is_rpt = true;
	a.preference = PIM_ASSERT_INFINITE;
	a.metric = UINT32_MAX;
	w = wr_init(b, sizeof(b));
	pim_assert_write(&w, &a);
	assert_written(&w, CANCEL);
	open_hex(&m, CANCEL);
	assert_int_equal(pim_assert_read(&m.r, &back), PIM_OK);
	assert_memory_equal(&back, &a, sizeof(a));
}

static void assert_malformed(void **state)
{
	struct pim_assert a;
	struct message m;

	for (size_t n = PIM_HEADER; n < 26; n++) {
		open_hex(&m, ASSERT);
		m.n = n;
		fix(&m, n);
		assert_int_equal(open_message(&m), PIM_OK);
		assert_int_equal(pim_assert_read(&m.r, &a), PIM_DROP_SHORT);
	}
	open_hex(&m, ASSERT);
	m.b[7] = 24;
	assert_int_equal(pim_assert_read(&m.r, &a), PIM_DROP_MASK);
	open_hex(&m, ASSERT);
	memset(m.b + 14, 0, 4);
	assert_int_equal(pim_assert_read(&m.r, &a), PIM_DROP_ADDRESS);
	open_hex(&m, ASSERT);
	memset(m.b + 14, 0, 4);
	m.b[18] = 0x80;
	assert_int_equal(pim_assert_read(&m.r, &a), PIM_OK);
	assert_true(a.is_rpt);
	open_hex(&m, ASSERT);
	m.b[14] = 224;
	assert_int_equal(pim_assert_read(&m.r, &a), PIM_DROP_ADDRESS);
}

static void bootstrap_vectors(void **state)
{
	struct pim_bsm b = { .tag = 1, .hash_mask = 30, .priority = 64, .bsr = ip("10.255.0.1") };
	struct pim_bsm_rp rp = { ip("10.255.0.1"), 150, 192 };
	struct pim_bsm_range range;
	struct pim_bsm back;
	struct message m;
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	pim_bsm_begin(&w, &b, 0);
	pim_bsm_range_write(&w, prefix("224.0.0.0", 4), 1, 1);
	pim_bsm_rp_write(&w, &rp);
	pim_end(&w);
	assert_written(&w, BSM);

	open_hex(&m, BSM);
	assert_int_equal(pim_bsm_read(&m.r, &back), PIM_OK);
	assert_int_equal(back.priority, 64);
	assert_true(pim_bsm_range(&back, &range));
	assert_int_equal(range.group.len, 4);
	memset(&rp, 0, sizeof(rp));
	assert_true(pim_bsm_rp(&range, &rp));
	assert_int_equal(rp.rp.net, ip("10.255.0.1").net);
	assert_int_equal(rp.holdtime, 150);
	assert_int_equal(rp.priority, 192);
	assert_false(pim_bsm_rp(&range, &rp));
	assert_false(pim_bsm_range(&back, &range));
}

static void bootstrap_malformed(void **state)
{
	static const struct {
		size_t at;
		uint8_t v;
		enum pim_drop d;
	} cases[] = {
		{ 6, 33, PIM_DROP_MASK },      { 8, 2, PIM_DROP_ENCODING },
		{ 10, 239, PIM_DROP_ADDRESS }, { 14, 2, PIM_DROP_ENCODING },
		{ 17, 33, PIM_DROP_MASK },     { 18, 10, PIM_DROP_ADDRESS },
		{ 23, 2, PIM_DROP_SHORT },     { 26, 2, PIM_DROP_ENCODING },
		{ 28, 239, PIM_DROP_ADDRESS },
	};
	struct pim_bsm b;
	struct message m;

	for (size_t i = 0; i < COUNT(cases); i++) {
		open_hex(&m, BSM);
		m.b[cases[i].at] = cases[i].v;
		assert_int_equal(pim_bsm_read(&m.r, &b), cases[i].d);
	}
	for (size_t n = PIM_HEADER; n < 36; n++) {
		open_hex(&m, BSM);
		m.n = n;
		fix(&m, n);
		assert_int_equal(open_message(&m), PIM_OK);
		assert_int_equal(pim_bsm_read(&m.r, &b), n == 14 ? PIM_OK : PIM_DROP_SHORT);
	}
}

static void candidate_vectors(void **state)
{
	struct pim_crp_adv c = { .priority = 192, .n_groups = 1, .holdtime = 150 }, back;
	struct message m;
	uint8_t b[64];
	struct wr w = wr_init(b, sizeof(b));

	c.rp = ip("10.255.0.1");
	c.groups[0] = prefix("224.0.0.0", 4);
	pim_crp_adv_write(&w, &c);
	assert_written(&w, CRP_ADV);
	open_hex(&m, CRP_ADV);
	assert_int_equal(m.type, PIM_CANDIDATE_RP);
	assert_int_equal(pim_crp_adv_read(&m.r, &back), PIM_OK);
	assert_int_equal(back.rp.net, c.rp.net);
	assert_int_equal(back.n_groups, 1);
	assert_int_equal(back.groups[0].len, 4);
	for (size_t n = PIM_HEADER; n < 22; n++) {
		open_hex(&m, CRP_ADV);
		m.n = n;
		fix(&m, n);
		assert_int_equal(open_message(&m), PIM_OK);
		assert_int_equal(pim_crp_adv_read(&m.r, &back), PIM_DROP_SHORT);
	}
	open_hex(&m, CRP_ADV);
	m.b[10] = 224;
	assert_int_equal(pim_crp_adv_read(&m.r, &back), PIM_DROP_ADDRESS);
}

/* Whatever is too small for a message makes the writer fail, and nothing is written beyond it. */
static void writers_stay_within(void **state)
{
	struct pim_hello h = { .holdtime = 1, .has_lan_delay = true, .n_secondaries = 2 };
	uint8_t b[64];

	for (size_t n = 0; n < 4 + 6 + 8 + 16; n++) {
		struct wr w = wr_init(b, n);

		memset(b, 0xa5, sizeof(b));
		pim_hello_write(&w, &h);
		assert_true(wr_failed(&w));
		assert_int_equal(b[n], 0xa5);
		w = wr_init(b, n < 28 ? n : 27);
		pim_null_register_write(&w, sg("10.0.1.5", "239.1.1.1"));
		assert_true(wr_failed(&w));
	}
}

static void every_drop_has_a_name(void **state)
{
	for (int d = 0; d < PIM_DROP_N; d++)
		assert_non_null(pim_drop_name((enum pim_drop)d));
	assert_string_equal(pim_drop_name(PIM_DROP_N), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_vectors),
		cmocka_unit_test(hello_secondaries_there_and_back),
		cmocka_unit_test(hello_options),
		cmocka_unit_test(join_vectors),
		cmocka_unit_test(join_is_read),
		cmocka_unit_test(join_malformed),
		cmocka_unit_test(headers),
		cmocka_unit_test(register_checksums),
		cmocka_unit_test(register_vectors),
		cmocka_unit_test(register_inner),
		cmocka_unit_test(assert_vectors),
		cmocka_unit_test(assert_malformed),
		cmocka_unit_test(bootstrap_vectors),
		cmocka_unit_test(bootstrap_malformed),
		cmocka_unit_test(candidate_vectors),
		cmocka_unit_test(writers_stay_within),
		cmocka_unit_test(every_drop_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
