/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, memory, text and log: the small things of base. */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- errors ---- */

static void wrapping_keeps_the_code(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, ERR_NOT_FOUND, "pod %s", "a"), -1);
	assert_int_equal(err_wrap(&e, "read %d", 7), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "read 7: pod a");
	/* an argument that points into the error itself */
	err_set(&e, ERR_INVALID, "<%s>", e.msg);
	assert_string_equal(e.msg, "<read 7: pod a>");
	err_clear(&e);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(e.msg, "");
	assert_int_equal(err_set(NULL, ERR_INVALID, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void system_errors_tell_and_keep_errno(void **state)
{
	struct err e = { 0 };

	(void)state;
	errno = EACCES;
	assert_int_equal(err_sys(&e, "open %s", "/x"), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(e.sys, EACCES);
	assert_int_equal(e.code, ERR_SYSTEM);
	assert_string_equal(e.msg, "open /x: Permission denied");
}

static void long_texts_are_cut_between_characters(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		str_add(&s, "\xe2\x82\xac"); /* euro sign */
	for (int pad = 0; pad < 3; pad++) {
		err_set(&e, ERR_INVALID, "%.*s%s", pad, "xxx", s.data);
		assert_true(strlen(e.msg) < ERR_MSG_MAX);
		assert_int_equal((strlen(e.msg) - (size_t)pad) % 3, 0);
		err_wrap(&e, "y");
		assert_int_equal((strlen(e.msg) - (size_t)pad - 3) % 3, 0);
	}
}

static void wire_reasons_and_statuses_map_back(void **state)
{
	(void)state; /* kubernetes-api.md 2.1 */
	for (int c = 1; c < ERR_CODE_MAX; c++) {
		if (c == ERR_UNREACHABLE || c == ERR_SYSTEM)
			continue; /* ours alone: they look like UNAVAILABLE and INTERNAL outside */
		assert_int_equal(err_from_wire(err_http((enum err_code)c), err_reason((enum err_code)c)), c);
	}
	assert_int_equal(err_from_wire(409, NULL), ERR_CONFLICT);
	assert_int_equal(err_from_wire(409, "AlreadyExists"), ERR_EXISTS);
	assert_int_equal(err_from_wire(410, "Gone"), ERR_EXPIRED);
	assert_int_equal(err_from_wire(418, ""), ERR_BAD_REQUEST);
	assert_int_equal(err_from_wire(599, "Strange"), ERR_INTERNAL);
	assert_int_equal(err_from_wire(200, NULL), ERR_NONE);
	assert_string_equal(err_name(ERR_NOT_FOUND), "NOT_FOUND");
	assert_int_equal(err_retry(ERR_CONFLICT), RETRY_RESYNC);
}

/* ---- memory ---- */

static void take_leaves_null(void **state)
{
	(void)state;
	char *p = mem_strdup("x");
	CLEANUP(mem_freep) char *q = TAKE(p);
	assert_null(p);
	assert_string_equal(q, "x");
	CLEANUP(mem_freep) char *part = mem_strndup("abc", 2);
	assert_string_equal(part, "ab");
}

static void an_arena_gives_zeroed_aligned_room(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new();
	struct chance c = { 179424673 };
	size_t big = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		size_t n = chance_below(&c, 100) == 0 ? chance_below(&c, 20000) : chance_below(&c, 200);
		unsigned char *p = arena_alloc(a, n);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xa5, n); /* ASan sees what is beyond the block; the zero check what overlaps */
		big += n;
	}
	assert_true(big > 100000);
	assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
	assert_string_equal(arena_strndup(a, "hello", 2), "he");
	assert_null(arena_strdup(a, NULL));
}

/* ---- text ---- */

static void a_buffer_grows_and_drops(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };

	(void)state;
	assert_string_equal(str_cstr(&s), "");
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i);
	assert_int_equal(s.len, strlen(s.data));
	assert_true(str_starts(s.data, "0,1,2,"));
	assert_true(str_ends(s.data, "998,999,"));
	str_drop_front(&s, 2);
	assert_true(str_starts(s.data, "1,2,"));
	str_drop_front(&s, 1000000);
	assert_string_equal(s.data, "");
	str_addn(&s, "a\0b", 3);
	assert_int_equal(s.len, 3);
	CLEANUP(mem_freep) char *t = str_take(&s);
	assert_memory_equal(t, "a\0b", 4);
	assert_null(s.data);
	CLEANUP(mem_freep) char *empty = str_take(&s);
	assert_string_equal(empty, "");
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
	int64_t i = 77;
	uint64_t u = 77;

	(void)state;
	assert_true(str_to_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i));
	assert_true(i == INT64_MIN);
	assert_true(str_to_i64("9223372036854775807", INT64_MIN, INT64_MAX, &i));
	assert_true(i == INT64_MAX);
	assert_true(str_to_u64("18446744073709551615", &u));
	assert_true(u == UINT64_MAX);
	i = 77;
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "0x1", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999", "1.0", "--1" };
	for (size_t n = 0; n < ARRAY_LEN(bad); n++)
		assert_false(str_to_i64(bad[n], INT64_MIN, INT64_MAX, &i));
	assert_false(str_to_i64(NULL, 0, 10, &i));
	assert_false(str_to_i64("11", 0, 10, &i));
	assert_false(str_to_i64("-1", 0, 10, &i));
	assert_false(str_to_u64("18446744073709551616", &u));
	assert_false(str_to_u64("-1", &u));
	assert_true(i == 77);
}

static void text_is_split_compared_and_copied(void **state)
{
	char text[] = "a,,b", *rest = text, small[4];
	static const char *const list[] = { "x", "y", NULL };

	(void)state;
	assert_string_equal(str_next(&rest, ','), "a");
	assert_string_equal(str_next(&rest, ','), "");
	assert_string_equal(str_next(&rest, ','), "b");
	assert_null(str_next(&rest, ','));
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq("", NULL));
	assert_true(str_in("y", list));
	assert_false(str_in("z", list));
	assert_false(str_in(NULL, list));
	assert_false(str_starts(NULL, "a"));
	assert_false(str_ends("a", "ba"));
	assert_true(str_copy(small, sizeof(small), "abc"));
	assert_false(str_copy(small, sizeof(small), "abcd"));
	assert_string_equal(small, "abc");
	CLEANUP(mem_freep) char *low = str_lower("AbC-\xc3\x84");
	assert_string_equal(low, "abc-\xc3\x84");
}

static void lists_sort_join_and_end_with_null(void **state)
{
	CLEANUP(strv_done) struct strv v = { 0 };

	(void)state;
	assert_null(strv_argv(&v)[0]);
	strv_add(&v, "c");
	strv_addf(&v, "%c", 'a');
	strv_take(&v, mem_strdup("b"));
	strv_sort(&v);
	CLEANUP(mem_freep) char *all = strv_join(&v, ", ");
	assert_string_equal(all, "a, b, c");
	assert_true(strv_has(&v, "b"));
	assert_false(strv_has(&v, "d"));
	for (int i = 0; i < 100; i++) {
		strv_add(&v, "x");
		assert_null(strv_argv(&v)[v.len]);
	}
}

/* ---- log ---- */

static void a_message_is_one_line(void **state)
{
	int p[2], saved = dup(STDERR_FILENO);
	char buf[8192];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	dup2(p[1], STDERR_FILENO);
	log_init("prog", LOG_INFO);
	log_info("name=%s", "a\nb\x1b[2J");
	log_debug("not %s", "shown");
	log_set_level(LOG_DEBUG);
	log_debug("shown");
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t n = read(p[0], buf, sizeof(buf) - 1);
	close(p[0]);
	close(p[1]);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, "Z info prog name=a b [2J\n"));
	assert_non_null(strstr(buf, "Z debug prog shown\n"));
	assert_null(strstr(buf, "not shown"));
	int lines = 0;
	for (char *q = buf; (q = strchr(q, '\n')); q++)
		lines++;
	assert_int_equal(lines, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrapping_keeps_the_code),
		cmocka_unit_test(system_errors_tell_and_keep_errno),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(wire_reasons_and_statuses_map_back),
		cmocka_unit_test(take_leaves_null),
		cmocka_unit_test(an_arena_gives_zeroed_aligned_room),
		cmocka_unit_test(a_buffer_grows_and_drops),
		cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
		cmocka_unit_test(text_is_split_compared_and_copied),
		cmocka_unit_test(lists_sort_join_and_end_with_null),
		cmocka_unit_test(a_message_is_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
