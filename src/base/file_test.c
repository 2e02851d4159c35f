/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int make_dir(void **state)
{
	*state = mem_strdup("/tmp/coracle-file-test-XXXXXX");
	return mkdtemp(*state) ? 0 : -1;
}

static int drop_dir(void **state)
{
	int r = file_remove_tree(*state, NULL);

	free(*state);
	return r;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void written_is_read_back(void **state)
{
	CLEANUP(mem_freep) char *path = file_join(*state, "f");
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(strv_done) struct strv names = { 0 };
	struct err e = { 0 };
	size_t len;

	assert_int_equal(file_write_atomic(path, "a\0b", 3, 0640, &e), 0);
	assert_int_equal(mode_of(path), 0640);
	assert_int_equal(file_read(path, 3, &text, &len, &e), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "a\0b", 4);
	assert_int_equal(file_write(path, "", 0, 0600, &e), 0);
	mem_freep(&text);
	assert_int_equal(file_read(path, 10, &text, NULL, &e), 0);
	assert_string_equal(text, "");
	/* no temporary file stays behind */
	assert_int_equal(file_list(*state, &names, &e), 0);
	assert_int_equal(names.len, 1);
}

static void reading_is_bounded(void **state)
{
	CLEANUP(mem_freep) char *path = file_join(*state, "f");
	char *text = NULL;
	struct err e = { 0 };

	assert_int_equal(file_write(path, "12345", 5, 0600, &e), 0);
	assert_int_equal(file_read(path, 4, &text, NULL, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	/* a size that is not known beforehand */
	assert_int_equal(file_read("/dev/zero", 100000, &text, NULL, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(file_read("/proc/self/status", 100000, &text, NULL, &e), 0);
	assert_non_null(strstr(text, "VmRSS"));
	free(text);
	text = NULL;
	assert_int_equal(file_read("/no/such", 10, &text, NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(file_read("/", 10, &text, NULL, &e), -1);
	assert_int_equal(e.code, ERR_SYSTEM);
	assert_null(text);
}

static void a_failed_write_leaves_the_old_content_and_nothing_else(void **state)
{
	CLEANUP(mem_freep) char *dir = file_join(*state, "d");
	CLEANUP(mem_freep) char *below = file_join(dir, "x");
	CLEANUP(strv_done) struct strv names = { 0 };
	struct err e = { 0 };

	assert_int_equal(file_mkdirs(below, 0755, &e), 0);
	assert_int_equal(file_write_atomic(dir, "x", 1, 0600, &e), -1); /* a directory is in the way */
	assert_int_equal(file_list(*state, &names, &e), 0);
	assert_int_equal(names.len, 1);
	assert_true(file_exists(below));
}

static void directories_with_their_parents(void **state)
{
	CLEANUP(mem_freep) char *deep = file_join(*state, "a//b/c/");
	CLEANUP(mem_freep) char *f = file_join(*state, "f");
	CLEANUP(mem_freep) char *under = file_join(f, "x/y");
	CLEANUP(strv_done) struct strv names = { 0 };
	struct err e = { 0 };

	assert_int_equal(file_mkdirs(deep, 0750, &e), 0);
	assert_int_equal(mode_of(deep), 0750);
	assert_int_equal(file_mkdirs(deep, 0700, &e), 0);
	assert_int_equal(file_write(f, "", 0, 0600, &e), 0);
	assert_int_equal(file_mkdirs(f, 0700, &e), -1);
	assert_int_equal(file_mkdirs(under, 0700, &e), -1);
	assert_int_equal(file_list(*state, &names, &e), 0);
	assert_string_equal(names.items[0], "a");
	assert_string_equal(names.items[1], "f");
	assert_int_equal(file_list("/no/such", &names, &e), 0);
	assert_int_equal(names.len, 0);
}

static void removing_a_tree_does_not_follow_links(void **state)
{
	CLEANUP(mem_freep) char *keep = file_join(*state, "keep/inner");
	CLEANUP(mem_freep) char *tree = file_join(*state, "tree/a/b/c");
	CLEANUP(mem_freep) char *top = file_join(*state, "tree");
	CLEANUP(mem_freep) char *link = file_join(*state, "tree/a/link");
	CLEANUP(mem_freep) char *dangling = file_join(*state, "tree/dangling");
	struct err e = { 0 };

	assert_int_equal(file_mkdirs(keep, 0700, &e) | file_mkdirs(tree, 0700, &e), 0);
	assert_int_equal(symlink("../../keep", link) | symlink("nowhere", dangling), 0);
	assert_int_equal(file_remove_tree(top, &e), 0);
	assert_false(file_exists(top));
	assert_true(file_exists(keep));
	assert_int_equal(file_remove_tree(top, &e), 0); /* absent is fine */
	assert_int_equal(file_remove_tree("/no/such/dir", &e), 0);
	assert_int_equal(file_remove_tree("/", &e), -1);
	assert_int_equal(file_remove_tree(".", &e), -1);
}

/* In a child with a mount namespace of its own: 77 if that is not allowed here. */
static int try_bind_mount(const char *keep, const char *point, const char *top)
{
	struct err e = { 0 };

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount(keep, point, NULL, MS_BIND, NULL))
		return 77;
	if (file_remove_tree(top, &e) == 0 || file_remove_tree(point, &e) == 0)
		return 1;
	return strstr(e.msg, "mounted") ? 0 : 2;
}

static void removing_a_tree_stops_at_a_bind_mount_of_the_same_file_system(void **state)
{
	CLEANUP(mem_freep) char *keep = file_join(*state, "keep/inner");
	CLEANUP(mem_freep) char *keep_top = file_join(*state, "keep");
	CLEANUP(mem_freep) char *point = file_join(*state, "tree/point");
	CLEANUP(mem_freep) char *top = file_join(*state, "tree");
	struct err e = { 0 };
	int status;

	assert_int_equal(file_mkdirs(keep, 0700, &e) | file_mkdirs(point, 0700, &e), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(try_bind_mount(keep_top, point, top));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	assert_true(file_exists(keep));
}

static void a_copy_has_the_content_and_the_mode(void **state)
{
	CLEANUP(mem_freep) char *from = file_join(*state, "from");
	CLEANUP(mem_freep) char *to = file_join(*state, "to");
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(str_done) struct str big = { 0 };
	struct err e = { 0 };
	size_t len;

	for (int i = 0; i < 500000; i++)
		str_addf(&big, "%d ", i);
	assert_int_equal(file_write(from, big.data, big.len, 0600, &e), 0);
	assert_int_equal(file_copy(from, to, 0755, &e), 0);
	assert_int_equal(mode_of(to), 0755);
	assert_int_equal(file_read(to, 1 << 24, &text, &len, &e), 0);
	assert_int_equal(len, big.len);
	assert_memory_equal(text, big.data, len);
	assert_int_equal(file_copy("/proc/self/status", to, 0600, &e), 0);
	mem_freep(&text);
	text = NULL;
	assert_int_equal(file_read(to, 1 << 24, &text, &len, &e), 0);
	assert_non_null(strstr(text, "VmRSS"));
	assert_int_equal(file_copy("/no/such", to, 0600, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_is_read_back),
		TEST(reading_is_bounded),
		TEST(a_failed_write_leaves_the_old_content_and_nothing_else),
		TEST(directories_with_their_parents),
		TEST(removing_a_tree_does_not_follow_links),
		TEST(removing_a_tree_stops_at_a_bind_mount_of_the_same_file_system),
		TEST(a_copy_has_the_content_and_the_mode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
