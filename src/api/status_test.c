/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static const struct kind widgets = {
	.group = "demo.io", .version = "v1", .kind = "Widget", .plural = "widgets", .namespaced = true
};
static const struct kind pods = {
	.group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true
};

static void expect_message(
	const struct causes *c, size_t i, const char *reason, const char *field, const char *text)
{
	assert_true(i < c->len);
	assert_string_equal(c->items[i].reason, reason);
	assert_string_equal(c->items[i].field, field);
	assert_string_equal(c->items[i].message, text);
}

/* kubernetes-api.md 2.1, 8.29: the wording of apimachinery's field errors */
static void causes_read_as_in_kubernetes(void **state)
{
	static const char *const allowed[] = { "A", "B", NULL };
	CLEANUP(causes_done) struct causes c = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("['x', 3, true, {'a':[1]}]");
	const struct json *r = json_root(d);

	cause_invalid(&c, "spec.n", json_item(r, 1), "must be at least %d", 4);
	cause_invalid(&c, "spec.s", json_item(r, 0), "must be short");
	cause_required(&c, "spec.r", NULL);
	cause_duplicate(&c, "spec.l[1]", json_item(r, 0));
	cause_forbidden(&c, "spec.f", "may not change");
	cause_not_supported(&c, "spec.e", json_item(r, 0), allowed);
	cause_too_long(&c, "metadata.annotations", 262144);
	cause_type(&c, "spec.foo", "integer", json_item(r, 0));
	cause_text(&c, "FieldValueInvalid", "spec.v", "verbatim %s", "text");
	cause_invalid(&c, "spec.o", json_item(r, 3), "bad");

	expect_message(&c, 0, "FieldValueInvalid", "spec.n", "Invalid value: 3: must be at least 4");
	expect_message(&c, 1, "FieldValueInvalid", "spec.s", "Invalid value: \"x\": must be short");
	expect_message(&c, 2, "FieldValueRequired", "spec.r", "Required value");
	expect_message(&c, 3, "FieldValueDuplicate", "spec.l[1]", "Duplicate value: \"x\"");
	expect_message(&c, 4, "FieldValueForbidden", "spec.f", "Forbidden: may not change");
	expect_message(&c, 5, "FieldValueNotSupported", "spec.e",
		"Unsupported value: \"x\": supported values: \"A\", \"B\"");
	expect_message(&c, 6, "FieldValueTooLong", "metadata.annotations",
		"Too long: may not be more than 262144 bytes");
	expect_message(&c, 7, "FieldValueTypeInvalid", "spec.foo",
		"Invalid value: \"string\": spec.foo in body must be of type integer: \"string\"");
	expect_message(&c, 8, "FieldValueInvalid", "spec.v", "verbatim text");
	expect_message(&c, 9, "FieldValueInvalid", "spec.o", "Invalid value: {\"a\":[1]}: bad");
}

static void invalid_names_the_object(void **state)
{
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	cause_required(&c, "spec.a", "");
	assert_int_equal(causes_to_err(&c, &widgets, "x", &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_string_equal(e.msg, "Widget.demo.io \"x\" is invalid: spec.a: Required value");
	cause_required(&c, "spec.b", "");
	cause_required(&c, "spec.b", "");
	causes_to_err(&c, &pods, "p", &e);
	assert_string_equal(e.msg, "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Required value]");
}

static void many_causes_are_counted_not_kept(void **state)
{
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	for (int i = 0; i < CAUSES_MAX + 5; i++)
		cause_text(&c, "FieldValueInvalid", "spec", "cause number %d with some text", i);
	assert_int_equal(c.len, CAUSES_MAX);
	assert_int_equal(c.dropped, 5);
	causes_to_err(&c, &widgets, "x", &e);
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(&e, &widgets, "x", &c);
	const char *message = json_get_str(json_root(d), "message");
	/* the whole text, though an err holds less */
	assert_true(strlen(message) > ERR_MSG_MAX);
	assert_non_null(strstr(message, "cause number 99"));
	assert_non_null(strstr(message, "and 5 more"));
}

static void status_has_plural_except_for_invalid(void **state)
{
	struct err e = { 0 };
	CLEANUP(causes_done) struct causes c = { 0 };

	err_not_found(&e, &widgets, "x");
	assert_string_equal(e.msg, "widgets.demo.io \"x\" not found");
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(&e, &widgets, "x", NULL);
	CLEANUP(json_doc_freep)
	struct json_doc *want = json_lit(
		"{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Failure','message':'',"
		"'reason':'NotFound','details':{'name':'x','group':'demo.io','kind':'widgets'},'code':404}");
	json_set_str(want, json_root(want), "message", "widgets.demo.io \"x\" not found");
	assert_true(json_eq(json_root(d), json_root(want)));

	cause_required(&c, "spec.a", "");
	causes_to_err(&c, &widgets, "x", &e);
	CLEANUP(json_doc_freep) struct json_doc *inv = status_from_err(&e, &widgets, "x", &c);
	assert_string_equal(json_at_str(json_root(inv), "/details/kind"), "Widget");
	assert_string_equal(json_at_str(json_root(inv), "/details/causes/0/field"), "spec.a");
	assert_string_equal(json_at_str(json_root(inv), "/details/causes/0/reason"), "FieldValueRequired");
	assert_int_equal(json_i64(json_get(json_root(inv), "code")), 422);
}

static void status_reads_back(void **state)
{
	struct err e = { 0 }, back = { 0 };

	err_conflict(&e, &widgets, "x");
	assert_string_equal(e.msg, "Operation cannot be fulfilled on widgets.demo.io \"x\": the object has "
				   "been modified; please apply your "
				   "changes to the latest version and try again");
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(&e, &widgets, "x", NULL);
	assert_int_equal(status_to_err(json_root(d), 409, &back), -1);
	assert_int_equal(back.code, ERR_CONFLICT);
	assert_string_equal(back.msg, e.msg);

	err_exists(&e, &pods, "p");
	CLEANUP(json_doc_freep) struct json_doc *d2 = status_from_err(&e, &pods, "p", NULL);
	status_to_err(json_root(d2), 409, &back);
	assert_int_equal(back.code, ERR_EXISTS);
	assert_int_equal(status_to_err(NULL, 503, &back), -1);
	assert_int_equal(back.code, ERR_UNAVAILABLE);
	assert_int_equal(status_to_err(NULL, 200, &back), -1);
	assert_int_equal(back.code, ERR_INTERNAL);
}

static void success_carries_the_uid(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = status_success(&pods, "p", "u");
	CLEANUP(json_doc_freep)
	struct json_doc *want =
		json_lit("{'kind':'Status','apiVersion':'v1','metadata':{},"
			 "'status':'Success','details':{'name':'p','kind':'pods','uid':'u'}}");

	assert_true(json_eq(json_root(d), json_root(want)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes_read_as_in_kubernetes),
		cmocka_unit_test(invalid_names_the_object),
		cmocka_unit_test(many_causes_are_counted_not_kept),
		cmocka_unit_test(status_has_plural_except_for_invalid),
		cmocka_unit_test(status_reads_back),
		cmocka_unit_test(success_carries_the_uid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
