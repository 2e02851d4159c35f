/* SPDX-License-Identifier: Apache-2.0 */
#include "api/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

static bool matches(const char *text, const char *labels)
{
	CLEANUP(selector_freep) struct selector *s = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(labels);
	struct err e = { 0 };

	if (selector_parse_labels(text, &s, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return selector_matches(s, json_root(d));
}

/* kubernetes-api.md 2.5, 8.59 */
static void label_selectors_match(void **state)
{
	assert_true(matches("", "{}"));
	assert_true(matches("a=b", "{'a':'b'}"));
	assert_true(matches("a==b", "{'a':'b'}"));
	assert_false(matches("a=b", "{'a':'c'}"));
	assert_true(matches("a!=b", "{}"));
	assert_true(matches("a!=b", "{'a':'c'}"));
	assert_false(matches("a!=b", "{'a':'b'}"));
	assert_true(matches("a in (b, c)", "{'a':'c'}"));
	assert_false(matches("a in (b,c)", "{}"));
	assert_true(matches("a notin (b,c)", "{}"));
	assert_false(matches("a notin (b,c)", "{'a':'b'}"));
	assert_true(matches("a", "{'a':''}"));
	assert_false(matches("a", "{}"));
	assert_true(matches("!a", "{}"));
	assert_true(
		matches(" a = b , c in (d) , !e , kubevirt.io/x", "{'a':'b','c':'d','kubevirt.io/x':'1'}"));
	assert_true(matches("a=", "{'a':''}"));
	assert_true(matches("n>3", "{'n':'4'}"));
	assert_false(matches("n<3", "{'n':'4'}"));
	assert_false(matches("n>3", "{'n':'x'}"));
	assert_true(matches("a in (x,)", "{'a':''}"));
}

static void bad_label_selectors_are_refused(void **state)
{
	static const char *const bad[] = { "===", "a===b", "=b", "a in", "a in (b", "a in b", "a,,b", "a,",
		"a b", "!", "a!b", "a=b c", "(a)", "a notin", "a=b=c", "a/b/c=d", "a=b!", "n>x" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct selector *s = NULL;
		struct err e = { 0 };

		if (selector_parse_labels(bad[i], &s, &e) == 0)
			fail_msg("%s should be refused", bad[i]);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
		assert_null(s);
	}
}

static void selectors_come_from_json(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'s':{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'c','operator':'In','"
			 "values':['d','e']},"
			 "{'key':'f','operator':'DoesNotExist'},{'key':'g','operator':'Exists'}]},'empty':{},"
			 "'bad':{'matchExpressions':[{'key':'c','operator':'In'}]},'yes':{'a':'b','c':'e','g'"
			 ":''},'no':{'a':'b','c':'x','g':''}}");
	const struct json *r = json_root(d);
	CLEANUP(selector_freep) struct selector *s = NULL;
	CLEANUP(selector_freep) struct selector *none = NULL;
	CLEANUP(selector_freep) struct selector *all = NULL;
	CLEANUP(selector_freep) struct selector *map = NULL;
	CLEANUP(str_done) struct str text = { 0 };
	struct selector *bad = NULL;

	assert_int_equal(selector_from_json(json_get(r, "s"), &s, NULL), 0);
	assert_true(selector_matches(s, json_get(r, "yes")));
	assert_false(selector_matches(s, json_get(r, "no")));
	selector_text(s, &text);
	assert_string_equal(text.data, "a=b,c in (d,e),!f,g");
	assert_int_equal(selector_from_json(NULL, &none, NULL), 0);
	assert_false(selector_matches(none, json_get(r, "yes")));
	assert_int_equal(selector_from_json(json_get(r, "empty"), &all, NULL), 0);
	assert_true(selector_matches(all, json_get(r, "yes")));
	assert_true(selector_matches(NULL, NULL));
	map = selector_from_map(json_at(r, "/s/matchLabels"));
	assert_true(selector_matches(map, json_get(r, "yes")));
	assert_int_equal(selector_from_json(json_get(r, "bad"), &bad, NULL), -1);
}

/* kubernetes-api.md 2.5, 8.60 */
static void field_selectors_look_into_the_object(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'metadata':{'name':'x'},'spec':{'nodeName':'a,b','unschedulable':"
				      "true},'status':{'successful':3}}");
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "metadata.name=x", true },
		{ "metadata.name==x", true },
		{ "metadata.name!=x", false },
		{ "metadata.name=y", false },
		{ "spec.nodeName=a\\,b,metadata.name=x", true },
		{ "spec.other=", true },
		{ "spec.unschedulable=true", true },
		{ "status.successful=3", true },
		{ "", true },
		{ "spec.other!=", false },
	};
	static const char *const bad[] = { "metadata.name", "=x", "a=b=c", "a=\\x", "a!b" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(field_selector_freep) struct field_selector *s = NULL;

		assert_int_equal(field_selector_parse(cases[i].text, &s, NULL), 0);
		if (field_selector_matches(s, json_root(d)) != cases[i].want)
			fail_msg("%s", cases[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct field_selector *s = NULL;

		if (field_selector_parse(bad[i], &s, NULL) == 0)
			fail_msg("%s should be refused", bad[i]);
	}
	CLEANUP(field_selector_freep) struct field_selector *s = NULL;
	size_t i = 0;
	const char *path = NULL;
	assert_int_equal(field_selector_parse("metadata.name=x,spec.nodeName!=n", &s, NULL), 0);
	assert_string_equal(field_selector_value(s, "metadata.name"), "x");
	assert_null(field_selector_value(s, "spec.nodeName"));
	assert_true(field_selector_each(s, &i, &path));
	assert_true(field_selector_each(s, &i, &path));
	assert_string_equal(path, "spec.nodeName");
	assert_false(field_selector_each(s, &i, &path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(label_selectors_match),
		cmocka_unit_test(bad_label_selectors_are_refused),
		cmocka_unit_test(selectors_come_from_json),
		cmocka_unit_test(field_selectors_look_into_the_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
