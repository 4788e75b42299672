/* SPDX-License-Identifier: MIT */
/*
 * Files that are replaced whole. At every moment <name> or <name>.1 is complete; what a crash
 * leaves behind is only ever <name>.new, which nothing reads.
 */
#include "edge/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cksum.h"

#define HEADER_MAX 64
#define BAD_KEPT   3

/* Where a file is and what its companions are called. */
struct place {
	int dir; /* descriptor */
	char name[NAME_MAX + 1], fresh[NAME_MAX + 1], kept[NAME_MAX + 1];
};

struct piece {
	const char *text;
	size_t len;
};

static int io_fail(struct diag *d, int err, const char *name, const char *doing)
{
	return diag_set(d, err, E_IO, "", "%s %s: %s", doing, name, strerror(-err));
}

static void place_close(struct place *p)
{
	if (p->dir >= 0)
		close(p->dir);
	p->dir = -1;
}

static int place_open(struct place *p, const char *dir, const char *name, struct diag *d)
{
	int err;

	p->dir = -1;
	/* Room for the longest companion, name.bad-3. */
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strlen(name) + sizeof(".bad-3") > sizeof(p->name))
		return diag_set(d, -EINVAL, E_IO, "", "%.64s cannot be a file name", name);
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->fresh, sizeof(p->fresh), "%.*s.new", NAME_MAX - 8, name);
	snprintf(p->kept, sizeof(p->kept), "%.*s.1", NAME_MAX - 8, name);
	p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir >= 0)
		return 0;
	err = -errno;
	return io_fail(d, err, dir, "cannot open directory");
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes <name>.new down to the disk; `like` gives owner and mode, NULL = private. */
static int place_write_fresh(const struct place *p, const struct piece *pieces, unsigned n_pieces,
			     const struct stat *like)
{
	int fd, err = 0;

	if (unlinkat(p->dir, p->fresh, 0) && errno != ENOENT) /* a crash's leftover */
		return -errno;
	fd = openat(p->dir, p->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < n_pieces && !err; i++)
		err = write_all(fd, pieces[i].text, pieces[i].len);
	/* Owner first: changing it clears mode bits. Only root may, others keep their own. */
	if (!err && like && fchown(fd, like->st_uid, like->st_gid) && errno != EPERM)
		err = -errno;
	if (!err && like && fchmod(fd, like->st_mode & 0777))
		err = -errno;
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

/* Keeps the present file as <name>.1 without taking <name> away, where the file system can. */
static int place_keep(const struct place *p)
{
	if (unlinkat(p->dir, p->kept, 0) && errno != ENOENT)
		return -errno;
	if (!linkat(p->dir, p->name, p->dir, p->kept, 0))
		return 0;
	return renameat(p->dir, p->name, p->dir, p->kept) ? -errno : 0;
}

static int place_replace(const struct place *p, const struct piece *pieces, unsigned n_pieces,
			 const struct stat *present, bool keeps_mode, struct diag *d)
{
	int err = place_write_fresh(p, pieces, n_pieces, keeps_mode ? present : NULL);

	if (!err && present && S_ISREG(present->st_mode))
		err = place_keep(p);
	if (!err && renameat(p->dir, p->fresh, p->dir, p->name))
		err = -errno;
	if (!err && fsync(p->dir))
		err = -errno;
	if (!err)
		return 0;
	unlinkat(p->dir, p->fresh, 0);
	return io_fail(d, err, p->name, "cannot write");
}

static int place_stat(const struct place *p, struct stat *st)
{
	if (!fstatat(p->dir, p->name, st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return -errno;
}

static int header_format(char buf[HEADER_MAX], const char *text, size_t len)
{
	return snprintf(buf, HEADER_MAX, "mcr-state 1 %zu %08" PRIx32 "\n", len,
			cksum_crc32c(text, len, 0));
}

int statefile_save(const char *dir, const char *name, const char *text, size_t len, struct diag *d)
{
	char header[HEADER_MAX];
	struct piece pieces[2] = { { header, 0 }, { text, len } };
	struct place p;
	struct stat st;
	int err;

	if (len > STATEFILE_MAX)
		return diag_set(d, -EFBIG, E_TOO_LARGE, "", "a state of %zu bytes; at most %u", len,
				STATEFILE_MAX);
	err = place_open(&p, dir, name, d);
	if (err)
		return err;
	pieces[0].len = (size_t)header_format(header, text, len);
	err = place_stat(&p, &st);
	if (err && err != -ENOENT)
		io_fail(d, err, name, "cannot look at");
	else
		err = place_replace(&p, pieces, 2, err ? NULL : &st, false, d);
	place_close(&p);
	return err;
}

int file_replace(const char *path, const char *text, size_t len, struct diag *d)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct piece piece = { text, len };
	char dir[PATH_MAX] = ".";
	struct place p;
	struct stat st;
	int err;

	if (strlen(path) >= sizeof(dir))
		return diag_set(d, -ENAMETOOLONG, E_IO, "", "the path is too long");
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	err = place_open(&p, dir, name, d);
	if (err)
		return err;
	err = place_stat(&p, &st);
	/* Whoever may name the path must not reach a device or another directory through it. */
	if (!err && !S_ISREG(st.st_mode))
		err = diag_set(d, -EINVAL, E_IO, "", "%s is not a regular file", path);
	else if (err && err != -ENOENT)
		io_fail(d, err, path, "cannot look at");
	else
		err = place_replace(&p, &piece, 1, err ? NULL : &st, true, d);
	place_close(&p);
	return err;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads to the end; the file may grow or shrink meanwhile. */
static int read_all(int fd, size_t hint, size_t max, char **text, size_t *len)
{
	size_t cap = hint + 1, n = 0;
	char *buf = malloc(cap + 1);
	int err = -ENOMEM;

	while (buf) {
		ssize_t got = read(fd, buf + n, cap - n);
		char *bigger;

		if (got < 0 && errno == EINTR)
			continue;
		err = got < 0 ? -errno : 0;
		if (got <= 0)
			break;
		n += (size_t)got;
		err = n > max ? -EFBIG : -ENOMEM;
		if (n > max)
			break;
		if (n < cap)
			continue;
		cap = cap * 2 > max ? max + 1 : cap * 2;
		bigger = realloc(buf, cap + 1);
		if (!bigger)
			break;
		buf = bigger;
	}
	if (err) {
		free(buf);
		return err;
	}
	buf[n] = '\0';
	*text = buf;
	*len = n;
	return 0;
}

/* O_NONBLOCK, so that opening a FIFO returns. -EINVAL when it is no regular file. */
static int read_at(int dir, const char *name, int flags, size_t max, char **text, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	else if ((uint64_t)st.st_size > max)
		err = -EFBIG;
	else
		err = read_all(fd, (size_t)st.st_size, max, text, len);
	close(fd);
	return err;
}

int file_read(const char *path, size_t max, char **text, size_t *len, struct diag *d)
{
	int err = read_at(AT_FDCWD, path, 0, max, text, len);

	if (err == -EFBIG)
		return diag_set(d, err, E_TOO_LARGE, "", "%s is larger than %zu bytes", path, max);
	if (err == -EINVAL)
		return diag_set(d, err, E_IO, "", "%s is not a regular file", path);
	return err ? io_fail(d, err, path, "cannot read") : 0;
}

/* Checks the header against the bytes after it and removes it. NULL, or what is wrong. */
static const char *state_check(char *file, size_t *len)
{
	char *newline = memchr(file, '\n', *len < HEADER_MAX ? *len : HEADER_MAX);
	char want[HEADER_MAX];
	size_t head;

	if (!newline || strncmp(file, "mcr-state ", 10))
		return "does not begin with a state header";
	if (strncmp(file, "mcr-state 1 ", 12))
		return "is of another version";
	head = (size_t)(newline + 1 - file);
	/* The only right header for this text, compared whole: no way to spell it differently. */
	if ((size_t)header_format(want, newline + 1, *len - head) != head ||
	    memcmp(want, file, head) != 0)
		return "is cut or damaged (length or checksum)";
	*len -= head;
	memmove(file, file + head, *len + 1);
	return NULL;
}

/* Troubles of the moment or of permissions: no reason to doubt the file. */
static bool is_passing(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EACCES ||
	       err == -EPERM;
}

/* 0; -ENOENT; -EBADMSG with the reason in `d`; or an error that says nothing about the file. */
static int state_read(int dir, const char *name, char **text, size_t *len, struct diag *d)
{
	int err = read_at(dir, name, O_NOFOLLOW, STATEFILE_MAX + HEADER_MAX, text, len);
	const char *wrong;

	if (err == -ENOENT)
		return err;
	if (is_passing(err))
		return io_fail(d, err, name, "cannot read");
	if (err == -EFBIG)
		return diag_set(d, -EBADMSG, E_STATE, "", "%s is too large", name);
	if (err == -EINVAL || err == -ELOOP)
		return diag_set(d, -EBADMSG, E_STATE, "", "%s is not a regular file", name);
	if (err)
		return diag_set(d, -EBADMSG, E_STATE, "", "%s: %s", name, strerror(-err));
	wrong = state_check(*text, len);
	if (!wrong)
		return 0;
	free(*text);
	*text = NULL;
	return diag_set(d, -EBADMSG, E_STATE, "", "%s %s", name, wrong);
}

/* Renames what cannot be trusted to the first free <name>.bad-<n>, else over the last. */
static void state_put_aside(const struct place *p, const char *which)
{
	char aside[NAME_MAX + 16]; /* the compiler cannot see that n is one digit */
	struct stat st;

	for (int n = 1; n <= BAD_KEPT; n++) {
		snprintf(aside, sizeof(aside), "%.*s.bad-%d", NAME_MAX - 8, p->name, n);
		if (fstatat(p->dir, aside, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
			break;
	}
	/* Failing is no harm: it is refused again next time, and replaced by the next save. */
	renameat(p->dir, which, p->dir, aside);
}

int statefile_load(const char *dir, const char *name, char **text, size_t *len, struct diag *d)
{
	struct diag newer = { 0 }, older = { 0 };
	struct place p;
	int err, err_kept;

	if (d)
		*d = (struct diag){ 0 };
	err = place_open(&p, dir, name, d);
	if (err)
		return err;
	err = state_read(p.dir, p.name, text, len, &newer);
	if (!err || (err != -ENOENT && err != -EBADMSG)) {
		if (err && d)
			*d = newer;
		place_close(&p);
		return err;
	}
	err_kept = state_read(p.dir, p.kept, text, len, &older);
	if (err == -EBADMSG)
		state_put_aside(&p, p.name);
	if (err_kept == -EBADMSG)
		state_put_aside(&p, p.kept);
	place_close(&p);
	if (!err_kept && err == -ENOENT)
		return diag_set(d, 0, E_STATE, "", "%s is missing, %s was taken", p.name, p.kept);
	if (d)
		*d = err == -EBADMSG ? newer : older;
	if (err_kept == -ENOENT)
		return err;
	return err_kept;
}
