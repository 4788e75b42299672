/* SPDX-License-Identifier: MIT */
/*
 * Typed reading of parsed JSON5 for the config_*.c files: a reader knows the path it has come by,
 * and every refusal carries that path, the value's position and what would have been accepted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/ip4.h"
#include "base/json5.h"
#include "engine/rule.h"

struct reader {
	const struct json5_doc *doc;
	struct diag *d; /* never NULL */
	char path[128];
	size_t path_len;
};

/* One key that an object may have. Keys with the same slot are synonyms: at most one of them. */
struct member {
	const char *key;
	uint8_t slot; /* < 32 */
	bool is_required;
	int (*read)(struct reader *rd, const struct json5_node *v, void *out);
};

/* Go one step down the path; leave() with what enter() returned. A long path is cut. */
size_t reader_enter(struct reader *rd, const char *key);
size_t reader_enter_index(struct reader *rd, size_t index);
void reader_leave(struct reader *rd, size_t mark);

/* Fills the diag with path and position of `v`; -EINVAL. */
__attribute__((format(printf, 4, 5))) int reader_refuse(struct reader *rd,
							const struct json5_node *v,
							enum diag_code code, const char *fmt, ...);

/* E_TYPE: "<wanted> is wanted here, not a number". */
int reader_refuse_type(struct reader *rd, const struct json5_node *v, const char *wanted);

/*
 * Reads an object by a table; unknown, missing and doubled keys are refused. Keys in `also`
 * (NULL-terminated, or NULL) are passed over.
 */
int reader_object(struct reader *rd, const struct json5_node *v, const struct member *members,
		  size_t n, const char *const *also, void *out);

/* A string of 1 to cap−1 bytes. `what` is a noun with its article: "an interface name". */
int reader_text(struct reader *rd, const struct json5_node *v, const char *what, char *buf,
		size_t cap);

/* A whole number. `what` as above with the range: "a port (0 to 65535)". */
int reader_integer(struct reader *rd, const struct json5_node *v, const char *what, int64_t min,
		   int64_t max, int64_t *out);
int reader_bool(struct reader *rd, const struct json5_node *v, bool *out);
int reader_interface(struct reader *rd, const struct json5_node *v, char out[IFNAME_LEN]);

/* A dotted quad that is not 0.0.0.0, which stands for "not given" in rules. */
int reader_ip4(struct reader *rd, const struct json5_node *v, struct ip4 *out);

/* A group that is routed (not 224.0.0.0/24), and the address of a source. */
int reader_group(struct reader *rd, const struct json5_node *v, struct ip4 *out);
int reader_source(struct reader *rd, const struct json5_node *v, struct ip4 *out);

/* A prefix such as "239.0.0.0/8", or one address. */
int reader_prefix(struct reader *rd, const struct json5_node *v, struct ip4_prefix *out);

/*
 * Gives the diag of a check that knew only the path its position: that of the value at
 * d->where, whose first `skip` bytes are the way to `base`, or of the nearest that is there.
 */
void reader_locate(struct reader *rd, const struct json5_node *base, size_t skip);

/* Rules in the form of the file, `out` a struct rule (config_rule.c). */
int config_read_rule(struct reader *rd, const struct json5_node *v, struct rule *out);

/* The member `mroutes`, `out` a struct config (config_mroute.c). */
int config_read_mroutes(struct reader *rd, const struct json5_node *v, void *out);

/* The member `igmp`, `out` a struct config (config_igmp_read.c). */
int config_read_igmp(struct reader *rd, const struct json5_node *v, void *out);

/* The member `pim`, `out` a struct config (config_pim_read.c). */
int config_read_pim(struct reader *rd, const struct json5_node *v, void *out);
