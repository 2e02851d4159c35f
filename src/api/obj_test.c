/* SPDX-License-Identifier: Apache-2.0 */
#include "api/obj.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static void reads_metadata_once(void **state)
{
	struct obj *o = obj_from_doc(json_lit(
		"{'kind':'X','metadata':{'name':'n','namespace':'s','uid':'u',"
		"'resourceVersion':'42','generation':3,'deletionTimestamp':'2026-01-01T00:00:00Z'}}"));

	assert_string_equal(obj_name(o), "n");
	assert_string_equal(obj_namespace(o), "s");
	assert_string_equal(obj_uid(o), "u");
	assert_string_equal(obj_key(o), "s/n");
	assert_int_equal(obj_rv(o), 42);
	assert_int_equal(obj_generation(o), 3);
	assert_true(obj_deleting(o));
	obj_unref(o);
}

static void absent_metadata_is_empty(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n','deletionTimestamp':null}}"));

	assert_string_equal(obj_key(o), "n");
	assert_string_equal(obj_namespace(o), "");
	assert_string_equal(obj_uid(o), "");
	assert_int_equal(obj_rv(o), 0);
	assert_false(obj_deleting(o));
}

static void text_is_kept_and_tree_comes_back(void **state)
{
	static const char text[] = "{ \"metadata\":{\"name\":\"n\"},  \"x\":1 }";
	CLEANUP(obj_unrefp) struct obj *o = obj_from_text(text, strlen(text), NULL);
	size_t len = 0;

	assert_non_null(o);
	obj_compact(o);
	assert_string_equal(obj_name(o), "n");
	assert_string_equal(obj_text(o, &len), text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(json_i64(json_get(obj_json(o), "x")), 1);
	/* made once */
	assert_ptr_equal(obj_json(o), obj_json(o));
	assert_ptr_equal(obj_text(o, NULL), obj_text(o, NULL));
}

static void drafts_do_not_touch_the_object(void **state)
{
	CLEANUP(obj_unrefp) struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n'},'x':1}"));
	CLEANUP(json_doc_freep) struct json_doc *d = obj_draft(o);

	json_set_i64(d, json_root(d), "x", 2);
	assert_int_equal(json_i64(json_get(obj_json(o), "x")), 1);
	obj_compact(o); /* no text yet: the tree stays */
	assert_string_equal(obj_text(o, NULL), "{\"metadata\":{\"name\":\"n\"},\"x\":1}");
}

static void refuses_what_is_not_an_object(void **state)
{
	struct err e = { 0 };

	assert_null(obj_from_text("[1]", 3, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_null(obj_from_text("{", 1, &e));
	assert_null(obj_from_text("{}", (size_t)OBJ_BYTES_MAX * 3, &e));
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void lives_while_anybody_holds_it(void **state)
{
	struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n'}}"));
	struct obj *again = obj_ref(o);

	obj_unref(o);
	assert_string_equal(obj_name(again), "n");
	obj_unrefp(&again);
	assert_null(again);
	obj_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_metadata_once),
		cmocka_unit_test(absent_metadata_is_empty),
		cmocka_unit_test(text_is_kept_and_tree_comes_back),
		cmocka_unit_test(drafts_do_not_touch_the_object),
		cmocka_unit_test(refuses_what_is_not_an_object),
		cmocka_unit_test(lives_while_anybody_holds_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
