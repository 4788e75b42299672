/* SPDX-License-Identifier: MIT */
/* Saved state: damage of every kind, crashes between the steps, hostile directory entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "edge/statefile.h"
#include "../lib/child.h"

static char dir[64];
static struct diag d;

static int setup(void **state)
{
	strcpy(dir, "/tmp/mcrt-state-XXXXXX");
	d = (struct diag){ 0 };
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return shell("rm -rf %s", dir) ? 0 : -1;
}

static const char *in_dir(const char *name)
{
	static char path[2][160];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static bool exists(const char *name)
{
	struct stat st;

	return !lstat(in_dir(name), &st);
}

static void save(const char *text)
{
	assert_int_equal(statefile_save(dir, "s", text, strlen(text), &d), 0);
}

/* What a load gives: "text", or "-errno" as a number. */
static const char *loaded(void)
{
	static char result[256];
	char *text = NULL;
	size_t len = 0;
	int err = statefile_load(dir, "s", &text, &len, &d);

	if (err) {
		assert_null(text);
		snprintf(result, sizeof(result), "%d", err);
		return result;
	}
	assert_int_equal(strlen(text), len);
	snprintf(result, sizeof(result), "%s", text);
	free(text);
	return result;
}

static const char *number(int err)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", err);
	return text;
}

static size_t slurp(const char *name, char *buf, size_t cap)
{
	int fd = open(in_dir(name), O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, cap);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static void spill(const char *name, const char *bytes, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* --- the ordinary course ---------------------------------------------------------------------- */

static void what_is_saved_is_loaded_and_the_one_before_is_kept(void **state)
{
	struct stat st;
	char file[128];

	assert_string_equal(loaded(), number(-ENOENT));
	save("one");
	assert_string_equal(loaded(), "one");
	assert_int_equal(d.code, DIAG_OK);
	assert_false(exists("s.1"));
	save("two");
	assert_string_equal(loaded(), "two");
	assert_true(exists("s.1"));
	assert_false(exists("s.new"));
	assert_int_equal(stat(in_dir("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* The documented form; the checksum is that of RFC 3720 for "two". */
	file[slurp("s", file, sizeof(file) - 1)] = '\0';
	assert_int_equal(strncmp(file, "mcr-state 1 3 ", 14), 0);
	assert_string_equal(file + 22, "\ntwo");
	assert_int_equal(unlink(in_dir("s")), 0);
	assert_string_equal(loaded(), "one");
	assert_int_equal(d.code, E_STATE);
}

static void an_empty_text_and_bytes_of_all_kinds_come_back(void **state)
{
	char bytes[256], *text;
	size_t len;

	save("");
	assert_string_equal(loaded(), "");
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	assert_int_equal(statefile_save(dir, "s", bytes, sizeof(bytes), &d), 0);
	assert_int_equal(statefile_load(dir, "s", &text, &len, &d), 0);
	assert_int_equal(len, sizeof(bytes));
	assert_memory_equal(text, bytes, sizeof(bytes));
	free(text);
}

static void names_that_are_paths_and_texts_too_large_are_refused(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b", "/s" };
	char long_name[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(statefile_save(dir, names[i], "x", 1, &d), -EINVAL);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[250] = '\0';
	assert_int_equal(statefile_save(dir, long_name, "x", 1, &d), -EINVAL);
	long_name[248] = '\0';
	assert_int_equal(statefile_save(dir, long_name, "x", 1, &d), 0);
	assert_int_equal(statefile_save(dir, "s", "x", STATEFILE_MAX + 1, &d), -EFBIG);
	assert_int_equal(statefile_save("/nonexistent", "s", "x", 1, &d), -ENOENT);
	assert_int_equal(d.code, E_IO);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void every_flipped_bit_is_noticed_and_the_one_before_taken(void **state)
{
	char good[128], bad[128];
	size_t len;

	save("the one before");
	save("the newest text");
	len = slurp("s", good, sizeof(good));
	for (size_t i = 0; i < len * 8; i++) {
		memcpy(bad, good, len);
		bad[i / 8] ^= (char)(1 << i % 8);
		spill("s", bad, len);
		assert_string_equal(loaded(), "the one before");
		assert_int_equal(d.code, E_STATE);
		assert_true(d.what[0] != '\0');
		assert_false(exists("s"));
		assert_true(exists("s.bad-1"));
		assert_true(shell("rm %s/s.bad-*", dir));
	}
}

static void every_truncation_is_noticed_and_so_is_anything_appended(void **state)
{
	char good[128];
	size_t len;

	save("the one before");
	save("the newest text");
	len = slurp("s", good, sizeof(good) - 1);
	for (size_t cut = 0; cut < len; cut++) {
		spill("s", good, cut);
		assert_string_equal(loaded(), "the one before");
		assert_true(shell("rm %s/s.bad-1", dir));
	}
	good[len] = '\n';
	spill("s", good, len + 1);
	assert_string_equal(loaded(), "the one before");
}

static void two_bad_files_give_an_error_and_are_kept_aside(void **state)
{
	save("one");
	save("two");
	spill("s", "mcr-state 1 3 00000000\ntwo", 26);
	spill("s.1", "", 0);
	assert_string_equal(loaded(), number(-EBADMSG));
	assert_int_equal(d.code, E_STATE);
	assert_true(exists("s.bad-1") && exists("s.bad-2"));
	assert_false(exists("s") || exists("s.1"));
	assert_string_equal(loaded(), number(-ENOENT));
	for (int i = 0; i < 5; i++) {
		spill("s", "rubbish", 7);
		assert_string_equal(loaded(), number(-EBADMSG));
	}
	assert_true(exists("s.bad-3"));
	assert_false(exists("s.bad-4"));
	save("three");
	assert_string_equal(loaded(), "three");
}

static void headers_that_are_nearly_right_are_refused(void **state)
{
	/* crc32c("abc") = 364b3fb7 */
	static const char *const files[] = {
		"mcr-state 2 3 364b3fb7\nabc",
		"mcr-state 1 03 364b3fb7\nabc",
		"mcr-state 1 3 364B3FB7\nabc",
		"mcr-state 1  3 364b3fb7\nabc",
		"mcr-state 1 3 364b3fb7 \nabc",
		"mcr-state 1 3 364b3fb7\r\nabc",
		"mcr-state 1 +3 364b3fb7\nabc",
		"mcr-state 1 3 0x364b3fb7\nabc",
		"mcr-state 1 -1 364b3fb7\nabc",
		"mcr-state 1 18446744073709551619 364b3fb7\nabc",
		" mcr-state 1 3 364b3fb7\nabc",
		"mcr-state 1 3 364b3fb7abc",
		"\n",
		"",
	};

	spill("s", "mcr-state 1 3 364b3fb7\nabc", 26);
	assert_string_equal(loaded(), "abc");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		spill("s", files[i], strlen(files[i]));
		assert_string_equal(loaded(), number(-EBADMSG));
	}
}

/* --- crashes between the steps of a save ------------------------------------------------------ */

static void a_crash_at_any_step_leaves_the_old_or_the_new_text(void **state)
{
	char old_file[128], new_file[128];
	size_t old_len, new_len;

	save("new");
	new_len = slurp("s", new_file, sizeof(new_file));
	assert_true(shell("rm %s/s", dir));
	save("old");
	old_len = slurp("s", old_file, sizeof(old_file));

	for (size_t cut = 0; cut <= new_len; cut++) { /* while writing s.new */
		spill("s.new", new_file, cut);
		assert_string_equal(loaded(), "old");
	}
	spill("s.1", old_file, old_len); /* kept, not yet renamed */
	assert_string_equal(loaded(), "old");
	assert_true(
		shell("rm %s/s", dir)); /* a file system without links: moved, not yet renamed */
	assert_string_equal(loaded(), "old");
	assert_true(shell("mv %s/s.new %s/s", dir, dir)); /* renamed */
	assert_string_equal(loaded(), "new");

	spill("s.new", "left over", 9);
	save("newer");
	assert_false(exists("s.new"));
	assert_string_equal(loaded(), "newer");
}

static void the_first_save_that_crashes_leaves_nothing(void **state)
{
	spill("s.new", "mcr-state 1 3 364b3fb7\nabc", 26);
	assert_string_equal(loaded(), number(-ENOENT));
}

/* --- other things under the name -------------------------------------------------------------- */

static void a_symbolic_link_is_not_followed(void **state)
{
	char text[64];

	spill("target", "mcr-state 1 3 364b3fb7\nabc", 26);
	assert_int_equal(symlink("target", in_dir("s")), 0);
	assert_string_equal(loaded(), number(-EBADMSG));
	assert_int_equal(symlink("target", in_dir("s")), 0);
	assert_int_equal(symlink("target", in_dir("s.new")), 0);
	save("mine");
	assert_string_equal(loaded(), "mine");
	assert_int_equal(slurp("target", text, sizeof(text)), 26);
	assert_memory_equal(text, "mcr-state 1 3 364b3fb7\nabc", 26);
}

static void a_fifo_a_socket_or_a_directory_blocks_nothing(void **state)
{
	alarm(20);
	assert_int_equal(mkfifo(in_dir("s"), 0600), 0);
	assert_string_equal(loaded(), number(-EBADMSG));
	assert_int_equal(mkfifo(in_dir("s"), 0600), 0);
	save("one");
	assert_string_equal(loaded(), "one");
	assert_int_equal(unlink(in_dir("s")), 0);
	assert_int_equal(mkdir(in_dir("s"), 0700), 0);
	assert_int_equal(statefile_save(dir, "s", "x", 1, &d), -EISDIR);
	assert_int_equal(d.code, E_IO);
	assert_false(exists("s.new"));
	assert_string_equal(loaded(), number(-EBADMSG));
	alarm(0);
}

static void a_file_that_may_not_be_read_now_is_left_alone(void **state)
{
	save("one");
	assert_true(shell("chmod 0 %s/s && chmod 755 %s", dir, dir));
	if (geteuid() == 0 && seteuid(65534)) {
		print_message("cannot become another user\n");
		skip();
	}
	assert_string_equal(loaded(), number(-EACCES));
	assert_int_equal(seteuid(getuid()), 0);
	assert_true(exists("s"));
	assert_false(exists("s.bad-1"));
}

/* --- no space --------------------------------------------------------------------------------- */

static int fill_small_disk(void *arg)
{
	static char text[100000];
	struct diag why = { 0 };
	char *back;
	size_t len;

	if (!mountns_enter() || mount("none", dir, "tmpfs", 0, "size=64k"))
		return 77;
	memset(text, 'x', sizeof(text));
	if (statefile_save(dir, "s", text, 20000, &why))
		return 1;
	if (statefile_save(dir, "s", text, sizeof(text), &why) != -ENOSPC || why.code != E_IO)
		return 2;
	if (exists("s.new"))
		return 3;
	if (statefile_load(dir, "s", &back, &len, &why) || len != 20000)
		return 4;
	free(back);
	return statefile_save(dir, "s", text, 21000, &why) ? 5 : 0;
}

static void a_full_disk_leaves_the_old_text(void **state)
{
	int result = child_run(fill_small_disk, NULL);

	if (result == 77) {
		print_message("needs root to mount a small tmpfs\n");
		skip();
	}
	assert_int_equal(result, 0);
}

/* --- ordinary files --------------------------------------------------------------------------- */

static void replacing_a_file_keeps_its_mode_and_the_one_before(void **state)
{
	char buf[64];
	struct stat st;

	assert_int_equal(file_replace(in_dir("c"), "first", 5, &d), 0);
	assert_int_equal(stat(in_dir("c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(in_dir("c"), 0644), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(in_dir("c"), 1, 2), 0);
	assert_int_equal(file_replace(in_dir("c"), "second", 6, &d), 0);
	assert_int_equal(stat(in_dir("c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	if (geteuid() == 0)
		assert_int_equal(st.st_uid * 10 + st.st_gid, 12);
	assert_int_equal(slurp("c", buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "second", 6);
	assert_int_equal(slurp("c.1", buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "first", 5);
}

static void replacing_refuses_what_is_not_a_regular_file(void **state)
{
	char path[5000];

	assert_int_equal(symlink("target", in_dir("c")), 0);
	assert_int_equal(file_replace(in_dir("c"), "x", 1, &d), -EINVAL);
	assert_false(exists("target"));
	assert_int_equal(mkfifo(in_dir("f"), 0600), 0);
	assert_int_equal(file_replace(in_dir("f"), "x", 1, &d), -EINVAL);
	assert_int_equal(file_replace("/dev/null", "x", 1, &d), -EINVAL);
	assert_int_equal(file_replace(in_dir("."), "x", 1, &d), -EINVAL);
	assert_int_equal(file_replace("", "x", 1, &d), -EINVAL);
	assert_int_equal(file_replace("/nonexistent/c", "x", 1, &d), -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(file_replace(path, "x", 1, &d), -ENAMETOOLONG);
}

static void reading_has_a_bound_and_takes_regular_files_only(void **state)
{
	char *text;
	size_t len;

	spill("f", "12345", 5);
	assert_int_equal(file_read(in_dir("f"), 5, &text, &len, &d), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "12345");
	free(text);
	assert_int_equal(file_read(in_dir("f"), 4, &text, &len, &d), -EFBIG);
	assert_int_equal(d.code, E_TOO_LARGE);
	assert_int_equal(file_read(dir, 4, &text, &len, &d), -EINVAL);
	assert_int_equal(file_read("/dev/zero", 4, &text, &len, &d), -EINVAL);
	assert_int_equal(file_read(in_dir("none"), 4, &text, &len, &d), -ENOENT);
	assert_int_equal(d.code, E_IO);
	/* A size of 0 that is not the truth. */
	assert_int_equal(file_read("/proc/self/status", 1 << 16, &text, &len, &d), 0);
	assert_true(len > 100);
	free(text);
	assert_int_equal(file_read("/proc/self/status", 100, &text, &len, &d), -EFBIG);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_saved_is_loaded_and_the_one_before_is_kept),
		T(an_empty_text_and_bytes_of_all_kinds_come_back),
		T(names_that_are_paths_and_texts_too_large_are_refused),
		T(every_flipped_bit_is_noticed_and_the_one_before_taken),
		T(every_truncation_is_noticed_and_so_is_anything_appended),
		T(two_bad_files_give_an_error_and_are_kept_aside),
		T(headers_that_are_nearly_right_are_refused),
		T(a_crash_at_any_step_leaves_the_old_or_the_new_text),
		T(the_first_save_that_crashes_leaves_nothing),
		T(a_symbolic_link_is_not_followed),
		T(a_fifo_a_socket_or_a_directory_blocks_nothing),
		T(a_file_that_may_not_be_read_now_is_left_alone),
		T(a_full_disk_leaves_the_old_text),
		T(replacing_a_file_keeps_its_mode_and_the_one_before),
		T(replacing_refuses_what_is_not_a_regular_file),
		T(reading_has_a_bound_and_takes_regular_files_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
