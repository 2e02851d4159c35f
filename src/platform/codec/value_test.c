/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/codec/value.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <string.h>

static void check(const char *with, const char *without)
{
	CLEANUP(str_done) struct str cut = { 0 }, back = { 0 }, again = { 0 };

	value_without_rv(with, strlen(with), &cut);
	assert_string_equal(cut.data, without);
	value_with_rv(without, strlen(without), 7, &back);
	assert_non_null(strstr(back.data, "\"resourceVersion\":\"7\""));
	value_without_rv(back.data, back.len, &again);
	assert_string_equal(again.data, without);
}

static void the_revision_is_cut_out_and_put_in(void **state)
{
	check("{\"metadata\":{\"resourceVersion\":\"12\",\"name\":\"a\"}}",
		"{\"metadata\":{\"name\":\"a\"}}");
	check("{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"12\"}}",
		"{\"metadata\":{\"name\":\"a\"}}");
	check("{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"12\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}");
	check("{\"metadata\":{\"resourceVersion\":\"12\"}}", "{\"metadata\":{}}");
}

static void only_the_one_in_metadata_is_meant(void **state)
{
	check("{\"resourceVersion\":\"1\",\"spec\":{\"metadata\":{\"resourceVersion\":\"2\"}},\"metadata\":{"
	      "\"labels\":"
	      "{\"resourceVersion\":\"3\"},\"resourceVersion\":\"4\"}}",
		"{\"resourceVersion\":\"1\",\"spec\":{\"metadata\":{\"resourceVersion\":\"2\"}},\"metadata\":"
		"{\"labels\":"
		"{\"resourceVersion\":\"3\"}}}");
}

static void strings_may_hold_anything(void **state)
{
	check("{\"a\":\"\\\"metadata\\\":{\",\"metadata\":{\"name\":\"}]\\\\\",\"resourceVersion\":\"4\"},"
	      "\"z\":[{},[1,2],\"]\"]}",
		"{\"a\":\"\\\"metadata\\\":{\",\"metadata\":{\"name\":\"}]\\\\\"},\"z\":[{},[1,2],\"]\"]}");
}

static void members_are_found_at_the_top_only(void **state)
{
	static const char text[] = "{ \"x\" : {\"y\":1} , \"y\" : [1,{\"z\":2}] }";
	size_t len;
	const char *v = value_member(text, strlen(text), "y", &len);

	assert_non_null(v);
	assert_memory_equal(v, "[1,{\"z\":2}]", len);
	assert_null(value_member(text, strlen(text), "z", &len));
}

static void members_of_members_are_found_in_there_only(void **state)
{
	static const char text[] = "{\"a\":\"}\",\"metadata\": {\"name\":\"n\",\"labels\" : "
				   "{\"x\":\"{\\\"\"}},\"spec\":{\"uid\":1},\"uid\":2}";
	size_t len;
	const char *v = value_member_of(text, strlen(text), "metadata", "labels", &len);

	assert_non_null(v);
	assert_int_equal(len, strlen("{\"x\":\"{\\\"\"}"));
	assert_memory_equal(v, "{\"x\":\"{\\\"\"}", len);
	assert_null(value_member_of(text, strlen(text), "metadata", "uid", &len));
	assert_null(value_member_of(text, strlen(text), "nothing", "uid", &len));
	assert_null(value_member_of(text, strlen(text), "a", "uid", &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_revision_is_cut_out_and_put_in),
		cmocka_unit_test(only_the_one_in_metadata_is_meant),
		cmocka_unit_test(strings_may_hold_anything),
		cmocka_unit_test(members_are_found_at_the_top_only),
		cmocka_unit_test(members_of_members_are_found_in_there_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
