/* SPDX-License-Identifier: MIT */
/* An error for a person: a stable code, where it is, and a sentence with what would do. */
#pragma once

enum diag_code {
	DIAG_OK,
	E_PROTO,           /* not a request: bad JSON, not an object, no command */
	E_UNKNOWN_COMMAND,
	E_UNKNOWN_KEY,
	E_MISSING,         /* a required key is absent */
	E_TYPE,            /* a value of another type is wanted */
	E_RANGE,           /* a number or text outside what is accepted */
	E_BAD_ADDR,        /* not an IPv4 address, or not one that can stand here */
	E_IF_NAME,         /* not an interface name */
	E_IF_NOT_FOUND,
	E_EXISTS,
	E_NOT_FOUND,
	E_LOOP,            /* an output that would feed its own input */
	E_LIMIT,           /* a documented limit reached */
	E_TOO_LARGE,       /* the request itself */
	E_PERM,
	E_BUSY,
	E_UNSUPPORTED,
	E_KERNEL,          /* the kernel refused; the sentence has its reason */
	E_IO,              /* a file could not be read or written */
	E_STATE,           /* a saved state that cannot be trusted */
	DIAG__COUNT,
};

struct diag {
	enum diag_code code;
	unsigned line, column; /* 1-based position in the text, 0 = none */
	char where[128];       /* JSON path such as rules[3].outputs[0].ttl, or "" */
	char what[256];
};

/* Fills `d` (which may be NULL) and returns `err`, so that a caller can `return diag_set(…)`. */
__attribute__((format(printf, 5, 6))) int diag_set(struct diag *d, int err, enum diag_code code,
						   const char *where, const char *fmt, ...);

/* "E_RANGE" … ; never NULL. */
const char *diag_code_name(enum diag_code code);

#define DIAG_QUOTE 64 /* bytes that diag_quote writes at most */

/*
 * Foreign text for use in a sentence: in double quotes, cut with an ellipsis when long, control
 * characters replaced by question marks. Returns `buf`.
 */
const char *diag_quote(const char *text, char buf[DIAG_QUOTE]);
