/* SPDX-License-Identifier: MIT */
/*
 * Lines to stderr that never block and never carry raw bytes of strangers. One line is at most
 * PIPE_BUF bytes, so that a pipe takes it whole or not at all and lines of several processes do
 * not mix; what could not be written is counted and told as soon as there is room.
 */
#include "edge/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES PIPE_BUF
#define LINE_TAIL      8 /* room for an ellipsis, a quote, a brace and the newline */
#define TEXT_MAX_BYTES 2048
#define BUCKET_STEP_US 100000 /* ten lines a second … */
#define BUCKET_BURST   20     /* … after this many at once */

static const char *const level_names[] = { "emerg",   "alert",	"crit", "err",
					   "warning", "notice", "info", "debug" };
static const char *const facility_names[] = {
#define X(name) #name,
	LOG_FACILITIES(X)
#undef X
};

enum sink_kind { SINK_UNKNOWN, SINK_PLAIN, SINK_SOCKET, SINK_POLLED };

static struct {
	enum sink_kind kind;
	int fd;
	uint64_t lost;
	bool is_json;
	char ident[48];
	enum log_level level;
	int override[LOG_F__COUNT]; /* level + 1; 0 = none */
	uint64_t newest;
	struct log_entry kept[LOG_KEPT];
} lg = { .fd = STDERR_FILENO, .ident = "mcrd", .level = LOG_L_INFO };

struct line {
	size_t len;
	char text[LINE_MAX_BYTES];
};

/* --- levels ----------------------------------------------------------------------------------- */

void log_set_level(enum log_level level)
{
	lg.level = level;
}

void log_set_facility_level(enum log_facility f, enum log_level level)
{
	lg.override[f] = (int)level + 1;
}

void log_clear_facility_level(enum log_facility f)
{
	lg.override[f] = 0;
}

enum log_level log_level_of(enum log_facility f)
{
	return lg.override[f] ? (enum log_level)(lg.override[f] - 1) : lg.level;
}

enum log_level log_global_level(void)
{
	return lg.level;
}

bool log_has_override(enum log_facility f)
{
	return lg.override[f] != 0;
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_L__COUNT ? level_names[level] : "unknown";
}

int log_level_parse(const char *name, enum log_level *out)
{
	for (unsigned i = 0; i < LOG_L__COUNT; i++) {
		if (!strcmp(name, level_names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_facility_name(enum log_facility f)
{
	return (unsigned)f < LOG_F__COUNT ? facility_names[f] : "unknown";
}

int log_facility_parse(const char *name, enum log_facility *out)
{
	for (unsigned i = 0; i < LOG_F__COUNT; i++) {
		if (!strcmp(name, facility_names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_allowed(struct log_bucket *b, unsigned *suppressed)
{
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	*suppressed = 0;
	if (b->tokens_us < now)
		b->tokens_us = now;
	/* tokens_us is the time at which the bucket will be full again. */
	if (b->tokens_us - now > (BUCKET_BURST - 1) * BUCKET_STEP_US) {
		b->suppressed++;
		return false;
	}
	b->tokens_us += BUCKET_STEP_US;
	*suppressed = b->suppressed;
	b->suppressed = 0;
	return true;
}

/* --- one line --------------------------------------------------------------------------------- */

/* Appends all of the piece or nothing; false when the line is full. */
static bool line_put(struct line *l, const char *piece, size_t len)
{
	if (len > sizeof(l->text) - LINE_TAIL - l->len)
		return false;
	memcpy(l->text + l->len, piece, len);
	l->len += len;
	return true;
}

static void line_end(struct line *l, const char *tail)
{
	size_t len = strlen(tail);

	memcpy(l->text + l->len, tail, len);
	l->len += len;
}

/* Bytes of the printable UTF-8 character at `s`, 0 when it is none or a control character. */
static size_t utf8_printable(const unsigned char *s)
{
	size_t n;
	uint32_t c;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	c = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	if (c < 0xa0 || (c >= 0xd800 && c < 0xe000))
		return 0;
	/* Line separators and what turns the direction of text around. */
	if ((c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return n;
}

/* Appends text with everything unprintable as \xNN; in JSON the backslash is doubled. */
static void line_put_escaped(struct line *l, const char *text)
{
	const char *backslash = lg.is_json ? "\\\\" : "\\";

	for (const char *s = text; *s;) {
		size_t n = utf8_printable((const unsigned char *)s);
		char piece[16];
		int len;

		if (*s == '\\')
			len = snprintf(piece, sizeof(piece), "%s%s", backslash, backslash);
		else if (*s == '"' && lg.is_json)
			len = snprintf(piece, sizeof(piece), "\\\"");
		else if (*s == '\n')
			len = snprintf(piece, sizeof(piece), "%sn", backslash);
		else if (n)
			len = snprintf(piece, sizeof(piece), "%.*s", (int)n, s);
		else
			len = snprintf(piece, sizeof(piece), "%sx%02x", backslash,
				       (unsigned char)*s);
		if (!line_put(l, piece, (size_t)len)) {
			line_end(l, "…");
			return;
		}
		s += n ? n : 1;
	}
}

/* UTC as 2026-11-20T12:00:00.123Z, by arithmetic: gmtime_r may open files, a worker may not. */
static void stamp_format(char buf[40])
{
	struct timespec ts;
	int64_t days, era, doe, yoe, doy, mp;
	unsigned secs;

	clock_gettime(CLOCK_REALTIME, &ts);
	days = ts.tv_sec / 86400 + 719468; /* since 0000-03-01 */
	secs = (unsigned)(ts.tv_sec % 86400);
	era = days / 146097;
	doe = days % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	snprintf(buf, 40, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (unsigned)(yoe + era * 400 + (mp >= 10)) % 10000,
		 (unsigned)(mp < 10 ? mp + 3 : mp - 9), (unsigned)(doy - (153 * mp + 2) / 5 + 1),
		 secs / 3600, secs / 60 % 60, secs % 60, (unsigned)(ts.tv_nsec / 1000000));
}

static void line_build(struct line *l, enum log_level level, enum log_facility f, const char *text)
{
	char stamp[40], head[160];

	stamp_format(stamp);
	l->len = 0;
	if (lg.is_json)
		snprintf(head, sizeof(head), "{\"timestamp\":\"%s\",\"ident\":\"", stamp);
	else
		snprintf(head, sizeof(head), "%s ", stamp);
	line_put(l, head, strlen(head));
	line_put_escaped(l, lg.ident);
	if (lg.is_json)
		snprintf(head, sizeof(head),
			 "\",\"level\":\"%s\",\"facility\":\"%s\",\"message\":\"",
			 log_level_name(level), log_facility_name(f));
	else
		snprintf(head, sizeof(head), " %s %s: ", log_level_name(level),
			 log_facility_name(f));
	line_put(l, head, strlen(head));
	line_put_escaped(l, text);
	line_end(l, lg.is_json ? "\"}\n" : "\n");
}

/* --- where lines go --------------------------------------------------------------------------- */

/*
 * A pipe or terminal is opened anew through /proc, for O_NONBLOCK on the inherited description
 * would change it for everybody who shares it, the shell included.
 */
static void sink_open(void)
{
	struct stat st;

	lg.kind = SINK_PLAIN;
	if (fstat(STDERR_FILENO, &st))
		return;
	if (S_ISSOCK(st.st_mode)) {
		lg.kind = SINK_SOCKET;
		return;
	}
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return;
	if (S_ISFIFO(st.st_mode))
		signal(SIGPIPE, SIG_IGN); /* a log reader that ended must not end us */
	lg.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (lg.fd < 0) {
		lg.fd = STDERR_FILENO;
		lg.kind = SINK_POLLED;
	}
}

static bool sink_write(const struct line *l)
{
	struct pollfd p = { .fd = lg.fd, .events = POLLOUT };
	ssize_t n;

	if (lg.kind == SINK_UNKNOWN)
		sink_open();
	/* A pipe that is ready takes PIPE_BUF bytes at least. */
	if (lg.kind == SINK_POLLED && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)))
		return false;
	do {
		if (lg.kind == SINK_SOCKET)
			n = send(lg.fd, l->text, l->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(lg.fd, l->text, l->len);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)l->len;
}

/* A text for clients: whole characters, \xNN for what is unprintable, an ellipsis after a cut. */
static void text_keep(char *to, size_t cap, const char *text)
{
	size_t len = 0, room = cap - sizeof("…");

	while (*text) {
		size_t n = utf8_printable((const unsigned char *)text), width = n ? n : 4;

		if (len + width > room) {
			len += (size_t)snprintf(to + len, cap - len, "…");
			break;
		}
		if (n)
			memcpy(to + len, text, n);
		else
			snprintf(to + len, cap - len, "\\x%02x", (unsigned char)*text);
		len += width;
		text += n ? n : 1;
	}
	to[len] = '\0';
}

static void log_keep(enum log_level level, enum log_facility f, const char *text)
{
	struct log_entry *e = &lg.kept[++lg.newest % LOG_KEPT];
	char stamp[40];

	e->sequence = lg.newest;
	e->level = level;
	e->facility = f;
	stamp_format(stamp);
	snprintf(e->stamp, sizeof(e->stamp), "%.31s", stamp);
	text_keep(e->text, sizeof(e->text), text);
}

uint64_t log_newest(void)
{
	return lg.newest;
}

bool log_recall(uint64_t sequence, struct log_entry *out)
{
	const struct log_entry *e = &lg.kept[sequence % LOG_KEPT];

	if (!sequence || e->sequence != sequence)
		return false;
	*out = *e;
	return true;
}

static void log_put(enum log_level level, enum log_facility f, const char *text)
{
	struct line l;

	log_keep(level, f, text);

	if (lg.lost) {
		char told[80];

		snprintf(told, sizeof(told), "%llu lines lost: nobody read the log in time",
			 (unsigned long long)lg.lost);
		line_build(&l, LOG_L_WARNING, LOG_F_supervisor, told);
		if (sink_write(&l))
			lg.lost = 0;
	}
	line_build(&l, level, f, text);
	if (lg.lost || !sink_write(&l))
		lg.lost++;
}

void log_at(enum log_level level, enum log_facility f, const char *fmt, ...)
{
	char text[TEXT_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (level > log_level_of(f))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_put(level, f, text);
	errno = saved;
}

void log_set_json(bool json)
{
	lg.is_json = json;
}

bool log_is_json(void)
{
	return lg.is_json;
}

void log_set_ident(const char *ident)
{
	snprintf(lg.ident, sizeof(lg.ident), "%s", ident);
	/* Now, while files may still be opened: a worker is locked up later. */
	if (lg.kind == SINK_UNKNOWN)
		sink_open();
}
