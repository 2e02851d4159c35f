/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/patch.h"
#include "base/mem.h"

static const struct kind widget = { .group = "demo.io",
	.version = "v1",
	.kind = "Widget",
	.plural = "widgets",
	.namespaced = true,
	.has_status = true };

static struct obj *sample(void)
{
	return obj_from_doc(
		json_lit("{'kind':'Widget','metadata':{'name':'w','namespace':'n','resourceVersion':'7',"
			 "'uid':'u'},'spec':{'size':1,'list':[1,2]},'status':{'phase':'New'}}"));
}

static void assert_text(const struct plan *p, const char *want)
{
	CLEANUP(str_done) struct str s = { 0 };

	plan_text(p, &s);
	assert_string_equal(str_cstr(&s), want);
}

static void an_equal_draft_plans_nothing(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();

	assert_false(plan_change(p, &widget, o, NULL, obj_draft(o)));
	assert_false(plan_change(p, &widget, o, "status", obj_draft(o)));
	assert_int_equal(plan_len(p), 0);
	plan_free(p);
}

static void a_change_is_one_patch_guarded_by_the_version(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();
	CLEANUP(json_doc_freep) struct json_doc *after = NULL;
	struct json_doc *d = obj_draft(o);
	struct err e;

	json_put(d, json_root(d), "/spec/size", json_new_i64(d, 2));
	json_put_str(d, json_root(d), "/metadata/labels/a", "b");
	assert_true(plan_change(p, &widget, o, NULL, d));
	assert_int_equal(plan_len(p), 1);
	assert_string_equal(plan_at(p, 0)->key, "n/w");
	assert_true(plan_at(p, 0)->guarded);
	assert_int_equal(patch_json(obj_json(o), json_root(plan_at(p, 0)->doc), &after, &e), 0);
	assert_int_equal(json_i64(json_at(json_root(after), "/spec/size")), 2);
	assert_string_equal(json_at_str(json_root(after), "/metadata/labels/a"), "b");
	/* Over another version it fails. */
	d = obj_draft(o);
	json_put_str(d, json_root(d), "/metadata/resourceVersion", "8");
	json_doc_free(TAKE(after));
	assert_int_equal(patch_json(json_root(d), json_root(plan_at(p, 0)->doc), &after, &e), -1);
	json_doc_free(d);
	plan_free(p);
}

static void what_was_seen_is_confirmed_without_a_write(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();
	CLEANUP(json_doc_freep) struct json_doc *after = NULL, *newer = obj_draft(o);
	struct err e;

	plan_confirm(p, &widget, o);
	assert_true(plan_at(p, 0)->guarded);
	assert_text(p, "patch widgets n/w "
		       "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"}]\n");
	assert_int_equal(patch_json(obj_json(o), json_root(plan_at(p, 0)->doc), &after, &e), 0);
	assert_true(json_eq(json_root(after), obj_json(o)));
	json_doc_free(TAKE(after));
	json_put_str(newer, json_root(newer), "/metadata/resourceVersion", "8");
	assert_int_equal(patch_json(json_root(newer), json_root(plan_at(p, 0)->doc), &after, &e), -1);
	plan_free(p);
}

static void each_door_sends_only_its_part(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();
	struct json_doc *d = obj_draft(o);

	json_put_str(d, json_root(d), "/status/phase", "Done");
	assert_false(plan_change(
		p, &widget, o, NULL, json_doc_from(json_root(d)))); /* status goes through its own door */
	json_put(d, json_root(d), "/spec/size", json_new_i64(d, 5));
	assert_true(plan_change(p, &widget, o, "status", d));
	assert_text(p, "patch widgets n/w status "
		       "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},"
		       "{\"op\":\"replace\",\"path\":\"/status/phase\",\"value\":\"Done\"}]\n");
	plan_free(p);
}

static void two_changes_of_one_object_follow_each_other(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();
	CLEANUP(obj_unrefp)
	struct obj *answer =
		obj_from_doc(json_lit("{'metadata':{'name':'w','namespace':'n','resourceVersion':'9'}}"));
	struct json_doc *d = obj_draft(o);

	json_put(d, json_root(d), "/spec/size", json_new_i64(d, 2));
	plan_change(p, &widget, o, NULL, d);
	d = obj_draft(o);
	json_put_str(d, json_root(d), "/status/phase", "Done");
	plan_change(p, &widget, o, "status", d);
	plan_went_on(p, 0, answer);
	assert_string_equal(json_at_str(json_root(plan_at(p, 0)->doc), "/0/value"), "7");
	assert_string_equal(json_at_str(json_root(plan_at(p, 1)->doc), "/0/value"), "9");
	plan_free(p);
}

static void texts_name_every_intent(void **state)
{
	struct plan *p = plan_new();
	CLEANUP(obj_unrefp) struct obj *o = sample();

	plan_create(p, &widget, json_lit("{'metadata':{'name':'c','namespace':'n'}}"));
	plan_update(p, &widget, "status", json_lit("{'metadata':{'name':'c','namespace':'n'}}"));
	plan_patch_merge(p, &widget, "n/c", NULL, json_lit("{'a':null}"));
	plan_delete(p, &widget, "n/c", "uid", 0);
	plan_event(p, o, true, "Bad", "%d of %d", 1, 2);
	plan_action(p, "start", "n/c", json_lit("{}"));
	assert_text(p, "create widgets n/c\nupdate widgets n/c status\npatch widgets n/c "
		       "{\"a\":null}\ndelete widgets n/c\n"
		       "event n/w Warning Bad: 1 of 2\naction start n/c {}\n");
	assert_string_equal(json_at_str(json_root(plan_at(p, 3)->doc), "/preconditions/uid"), "uid");
	assert_true(json_is_int(json_at(json_root(plan_at(p, 3)->doc), "/gracePeriodSeconds")));
	plan_clear(p);
	assert_int_equal(plan_len(p), 0);
	plan_free(p);
}

static void the_earliest_again_and_the_first_failure_count(void **state)
{
	struct plan *p = plan_new();
	struct err a = { .code = ERR_INTERNAL, .msg = "first" }, b = { .code = ERR_TIMEOUT, .msg = "second" };
	int64_t at = -1;

	assert_false(plan_again(p, &at));
	plan_again_at(p, 500);
	plan_again_at(p, 300);
	plan_again_at(p, 400);
	assert_true(plan_again(p, &at));
	assert_int_equal(at, 300);
	assert_null(plan_failure(p));
	plan_fail(p, &a);
	plan_fail(p, &b);
	assert_string_equal(plan_failure(p)->msg, "first");
	plan_clear(p);
	assert_null(plan_failure(p));
	assert_false(plan_again(p, &at));
	plan_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_equal_draft_plans_nothing),
		cmocka_unit_test(a_change_is_one_patch_guarded_by_the_version),
		cmocka_unit_test(what_was_seen_is_confirmed_without_a_write),
		cmocka_unit_test(each_door_sends_only_its_part),
		cmocka_unit_test(two_changes_of_one_object_follow_each_other),
		cmocka_unit_test(texts_name_every_intent),
		cmocka_unit_test(the_earliest_again_and_the_first_failure_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
