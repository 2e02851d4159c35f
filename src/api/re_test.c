/* SPDX-License-Identifier: Apache-2.0 */
#include "api/re.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static bool matches(const char *pattern, const char *text)
{
	CLEANUP(re_freep) struct re *r = NULL;
	struct err e = { 0 };

	if (re_compile(pattern, &r, &e) < 0)
		fail_msg("%s", e.msg);
	return re_matches(r, text, strlen(text));
}

static const struct {
	const char *pattern, *yes, *no;
} cases[] = {
	{ "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", "a-" },
	{ "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a.b-c.d", "a..b" },
	{ "b", "abc", "ac" },
	{ "^b", "bc", "ab" },
	{ "b$", "ab", "ba" },
	{ "^$", "", "a" },
	{ "a|$", "bc", NULL },
	{ "$$", "1b", NULL },
	{ "^(?:a|b)+$", "abab", "abc" },
	{ "^\\d{2,3}$", "123", "1234" },
	{ "^\\d{2,}$", "12345", "1" },
	{ "^x{0,2}y$", "xxy", "xxxy" },
	{ "^(a{2}){2}$", "aaaa", "aaa" },
	{ "^\\w+\\s\\S$", "ab_1 x", "ab x y" },
	{ "^[^/]+$", "h\xc3\xa4user", "a/b" },
	{ "^.$", "\xe2\x82\xac", "ab" },
	{ "^.$", "x", "\n" },
	{ "(?s)^.$", "\n", "" },
	{ "(?i)^abc$", "aBC", "abd" },
	{ "^(?i:a)b$", "Ab", "AB" },
	{ "^(?P<n>a)(?<m>b)$", "ab", "ba" },
	{ "\\bfoo\\b", "a foo b", "afoob" },
	{ "(?m)^b$", "a\nb\nc", "a\nbc" },
	{ "^[[:alpha:]]+$", "abC", "ab1" },
	{ "^[\\d.-]+$", "1.2-3", "a" },
	{ "^a\\.b$", "a.b", "axb" },
	{ "^\\x41\\x{42}$", "AB", "ab" },
	{ "^(|a)b$", "b", "aab" },
	{ "^(a*)*$", "aaa", "b" },
	{ "^(a|b|)*c$", "abc", "abd" },
	{ "^[]a]$", "]", "b" },
	{ "^[a-]$", "-", "b" },
	{ "^a{,2}$", "a{,2}", "aa" },
	{ "^[\xc3\xa4-\xc3\xbc]$", "\xc3\xb6", "o" },
	{ "a|^b$", "xa", "xb" },
	{ "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]"
	  "*)?)|(\\.[0-9]+))))?$",
		"1.5Gi", "1gi" },
};

static void texts_match_or_not(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (!matches(cases[i].pattern, cases[i].yes))
			fail_msg("%s should match %s", cases[i].pattern, cases[i].yes);
		if (cases[i].no && matches(cases[i].pattern, cases[i].no))
			fail_msg("%s should not match %s", cases[i].pattern, cases[i].no);
	}
}

/* The walk over positions must agree with the table of states: an edge that is always true forbids the table. */
static void both_matchers_agree(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep) char *slow = str_printf("(?:(?:\\b|\\B)%s)", cases[i].pattern);

		assert_true(matches(slow, cases[i].yes));
		assert_true(!cases[i].no || !matches(slow, cases[i].no));
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const bad[] = { "(", ")", "a)", "[", "[b-a]", "*a", "a{3,2}", "a{1001}", "\\",
		"\\1", "\\pL", "(?=a)", "(?!a)", "(?<", "[[:nope:]]", "\\Qa\\E", "(((a{100}){100}){100})",
		"\\x{110000}" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct re *r = NULL;
		struct err e = { 0 };

		if (re_compile(bad[i], &r, &e) == 0)
			fail_msg("%s should be refused", bad[i]);
		assert_int_equal(e.code, ERR_INVALID);
		assert_null(r);
	}
}

static void hard_patterns_take_bounded_time(void **state)
{
	size_t n = 200000;
	CLEANUP(mem_freep) char *text = mem_alloc(n + 1);
	CLEANUP(re_freep) struct re *r = NULL;
	CLEANUP(re_freep) struct re *many = NULL;

	memset(text, 'a', n);
	text[n] = '\0';
	assert_int_equal(re_compile("^(a+)+$", &r, NULL), 0);
	assert_true(re_matches(r, text, n));
	text[n - 1] = 'b';
	assert_false(re_matches(r, text, n));
	/* too much work: no match rather than a minute */
	assert_int_equal(re_compile("(a?){500}\\b(.?){500}c", &many, NULL), 0);
	assert_false(re_matches(many, text, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_match_or_not),
		cmocka_unit_test(both_matchers_agree),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(hard_patterns_take_bounded_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
