/* SPDX-License-Identifier: Apache-2.0 */
#include "api/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

static void setters_say_whether_anything_changed(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'metadata':{'name':'n'}}");
	struct json *o = json_root(d);

	assert_true(meta_set_label(d, o, "a", "1"));
	assert_false(meta_set_label(d, o, "a", "1"));
	assert_string_equal(meta_label(o, "a"), "1");
	assert_true(meta_set_label(d, o, "a", NULL));
	assert_false(meta_set_label(d, o, "a", NULL));
	assert_null(meta_label(o, "a"));
	assert_null(json_at(o, "/metadata/labels"));
	assert_true(meta_set_annotation(d, o, "x/y", "z"));
	assert_string_equal(meta_annotation(o, "x/y"), "z");
	assert_string_equal(meta_str(o, "name"), "n");
	assert_string_equal(meta_str(o, "uid"), "");
}

static void finalizers_come_and_go(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	struct json *o = json_root(d);

	assert_true(meta_set_finalizer(d, o, "f", true));
	assert_false(meta_set_finalizer(d, o, "f", true));
	assert_true(meta_set_finalizer(d, o, "g", true));
	assert_true(meta_has_finalizer(o, "f"));
	assert_true(meta_set_finalizer(d, o, "f", false));
	assert_false(meta_has_finalizer(o, "f"));
	assert_true(meta_has_finalizer(o, "g"));
	assert_true(meta_set_finalizer(d, o, "g", false));
	assert_null(json_at(o, "/metadata/finalizers"));
}

static void owners_are_kept_by_uid(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	struct json *o = json_root(d);

	assert_null(meta_controller_ref(o));
	meta_add_owner(d, o, "v1", "Pod", "p", "u1", false);
	assert_null(meta_controller_ref(o));
	meta_add_owner(d, o, "v1", "Pod", "q", "u2", true);
	meta_add_owner(d, o, "v1", "Pod", "q", "u2", true);
	assert_int_equal(json_len(json_at(o, "/metadata/ownerReferences")), 2);
	assert_string_equal(json_get_str(meta_controller_ref(o), "name"), "q");
	assert_true(meta_owned_by(o, "u1"));
	assert_false(meta_owned_by(o, "u3"));
}

static void transition_time_moves_only_with_status(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	struct json *o = json_root(d);

	assert_true(cond_set(d, o, "Ready", "False", "Why", "text", 1000));
	assert_false(cond_set(d, o, "Ready", "False", "Why", "text", 2000));
	assert_string_equal(json_at_str(o, "/conditions/0/lastTransitionTime"), "1970-01-01T00:00:01Z");
	assert_true(cond_set(d, o, "Ready", "False", "Why", "other", 3000));
	assert_string_equal(json_at_str(o, "/conditions/0/lastTransitionTime"), "1970-01-01T00:00:01Z");
	assert_true(cond_set(d, o, "Ready", "True", NULL, "", 4000));
	assert_string_equal(json_at_str(o, "/conditions/0/lastTransitionTime"), "1970-01-01T00:00:04Z");
	assert_null(json_at(o, "/conditions/0/reason"));
	assert_null(json_at(o, "/conditions/0/message"));
	assert_true(cond_is(json_get(o, "conditions"), "Ready", "True"));
	assert_false(cond_is(json_get(o, "conditions"), "Other", "True"));
	assert_true(cond_remove(d, o, "Ready"));
	assert_false(cond_remove(d, o, "Ready"));
	assert_null(cond_find(json_get(o, "conditions"), "Ready"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setters_say_whether_anything_changed),
		cmocka_unit_test(finalizers_come_and_go),
		cmocka_unit_test(owners_are_kept_by_uid),
		cmocka_unit_test(transition_time_moves_only_with_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
