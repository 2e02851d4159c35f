/* SPDX-License-Identifier: Apache-2.0 */
#include "api/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/fields.h"
#include "api/meta.h"
#include "base/mem.h"

#define NOW INT64_C(1767323045000) /* 2026-01-02T03:04:05Z */
#define HEAD "'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'x','namespace':'n'}"

/* clang-format off */
FIELD_TABLE(widget_fields, NULL, "A widget.",
	{ "spec", F_OBJECT, 0, "Spec." },
	{ "spec.a", F_STRING, 0, "A." },
	{ "spec.b", F_STRING, 0, "B." },
	{ "spec.c", F_OBJECT, 0, "C." },
	{ "spec.c.d", F_INT, 0, "D." },
	{ "spec.c.e", F_INT, 0, "E." },
	{ "spec.items", F_LIST, FIELD_LIST_MAP, "Items.", .keys = "name" },
	{ "spec.items[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "spec.items[].v", F_INT, 0, "Value." },
	{ "spec.items[].w", F_INT, 0, "Other value." },
	{ "spec.ports", F_LIST, FIELD_LIST_MAP, "Ports.", .keys = "port,protocol" },
	{ "spec.ports[].port", F_INT, FIELD_REQUIRED, "Port." },
	{ "spec.ports[].protocol", F_STRING, 0, "Protocol.", .deflt = "\"TCP\"" },
	{ "spec.ports[].name", F_STRING, 0, "Name." },
	{ "spec.words", F_LIST, FIELD_SET, "Words.", .items = F_STRING },
	{ "spec.args", F_LIST, FIELD_ATOMIC, "Args.", .items = F_STRING },
	{ "spec.sel", F_MAP, FIELD_ATOMIC, "Selector.", .items = F_STRING },
	{ "spec.map", F_MAP, 0, "Map.", .items = F_STRING },
	{ "status", F_ANY, 0, "Status." });
/* clang-format on */

static struct schema *schema;

static int set_up(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&widget_fields);

	return schema_compile(json_root(d), "", &schema, NULL, NULL);
}

static int tear_down(void **state)
{
	schema_free(schema);
	return 0;
}

static struct json_doc *apply_as(const char *manager, const struct json_doc *live, const char *spec,
	bool force, int64_t now, struct causes *c, struct err *e)
{
	CLEANUP(mem_freep) char *text = str_printf("{" HEAD ",'spec':%s}", spec);
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit(text);
	struct apply_opts o = { .manager = manager,
		.api_version = "demo.io/v1",
		.force = force,
		.subresource = "",
		.now_ms = now };
	struct json_doc *ret = NULL;

	if (patch_apply(schema, live ? json_root(live) : NULL, json_root(p), &o, &ret, c, e) < 0)
		return NULL;
	return ret;
}

static void step(struct json_doc **live, const char *manager, const char *spec)
{
	struct err e = { 0 };
	struct json_doc *next = apply_as(manager, *live, spec, false, NOW, NULL, &e);

	if (!next)
		fail_msg("%s", e.msg);
	json_doc_free(*live);
	*live = next;
}

static void force(struct json_doc **live, const char *manager, const char *spec)
{
	struct json_doc *next = apply_as(manager, *live, spec, true, NOW, NULL, NULL);

	assert_non_null(next);
	json_doc_free(*live);
	*live = next;
}

static void expect(const struct json_doc *d, const char *pointer, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);
	const struct json *got = json_at(json_root(d), pointer);

	if (!json_eq(got, json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(json_root(d), NULL);
		fail_msg("%s in %s is not %s", pointer, text, want);
	}
}

static const struct json *owned(const struct json_doc *d, const char *manager, const char *operation)
{
	JSON_EACH (it, json_at(json_root(d), "/metadata/managedFields"))
		if (str_eq(json_get_str(it.val, "manager"), manager) &&
			str_eq(json_get_str(it.val, "operation"), operation))
			return json_get(it.val, "fieldsV1");
	return NULL;
}

static void expect_owned(
	const struct json_doc *d, const char *manager, const char *operation, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);
	const struct json *got = owned(d, manager, operation);

	if (!json_eq(got, json_root(w))) {
		CLEANUP(mem_freep) char *text = got ? json_write(got, NULL) : NULL;
		fail_msg("%s owns %s", manager, text);
	}
}

/* kubernetes-api.md 8.38, 8.41 */
static void applying_creates_and_notes_the_owner(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	step(&d, "m1",
		"{'a':'1','c':{'d':1},'items':[{'name':'b','v':1}],'words':['x'],'args':['p','q'],'map':{'k':"
		"'v'}}");
	expect(d, "/spec",
		"{'a':'1','c':{'d':1},'items':[{'name':'b','v':1}],'words':['x'],'args':['p','q'],'map':{'k':"
		"'v'}}");
	expect(d, "/metadata/managedFields/0/time", "'2026-01-02T03:04:05Z'");
	expect(d, "/metadata/managedFields/0/operation", "'Apply'");
	expect(d, "/metadata/managedFields/0/fieldsType", "'FieldsV1'");
	CLEANUP(json_doc_freep)
	struct json_doc *want =
		json_lit("{'f:spec':{'f:a':{},'f:c':{'f:d':{}},'f:items':{'K':{'.':{},'f:name':{},'f:v':{}}},"
			 "'f:words':{'V':{}},'f:args':{},'f:map':{'f:k':{}}}}");
	struct json *spec = json_get(json_root(want), "f:spec");
	json_set_copy(want, json_get(spec, "f:items"), "k:{\"name\":\"b\"}", json_at(spec, "/f:items/K"));
	json_remove(json_get(spec, "f:items"), "K");
	json_remove(json_get(spec, "f:words"), "V");
	json_set(want, json_get(spec, "f:words"), "v:\"x\"", json_new_obj(want));
	assert_true(json_eq(owned(d, "m1", "Apply"), json_root(want)));
}

/* kubernetes-api.md 8.38 */
static void applying_again_changes_nothing(void **state)
{
	static const char spec[] =
		"{'a':'1','items':[{'name':'b','v':1}],'words':['x'],'ports':[{'port':80}],'sel':{'s':'1'}}";
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	step(&d, "m1", spec);
	CLEANUP(json_doc_freep)
	struct json_doc *again = apply_as("m1", d, spec, false, NOW + 100000, NULL, NULL);
	assert_non_null(again);
	assert_true(json_eq(json_root(d), json_root(again)));
}

/* kubernetes-api.md 8.39 */
static void conflicts_are_told_and_forced(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	step(&d, "m1", "{'a':'1','items':[{'name':'a','v':1}]}");
	/* equal values are shared without conflict */
	step(&d, "m2", "{'a':'1'}");
	assert_null(apply_as("m2", d, "{'a':'2'}", false, NOW, &c, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_string_equal(e.msg, "Apply failed with 1 conflict: conflict with \"m1\": .spec.a");
	assert_int_equal(c.len, 1);
	assert_string_equal(c.items[0].reason, "FieldManagerConflict");
	assert_string_equal(c.items[0].field, ".spec.a");
	assert_string_equal(c.items[0].message, "conflict with \"m1\"");
	causes_done(&c);
	assert_null(apply_as("m3", d, "{'items':[{'name':'a','v':2}]}", false, NOW, &c, &e));
	assert_string_equal(c.items[0].field, ".spec.items[name=\"a\"].v");

	force(&d, "m2", "{'a':'2'}");
	expect(d, "/spec/a", "'2'");
	assert_null(json_at(owned(d, "m1", "Apply"), "/f:spec/f:a"));
	assert_non_null(json_at(owned(d, "m2", "Apply"), "/f:spec/f:a"));
	/* and now m1 is the one in conflict */
	assert_null(apply_as("m1", d, "{'a':'1'}", false, NOW, NULL, &e));
}

/* kubernetes-api.md 8.40 */
static void dropped_fields_go_unless_shared(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	step(&d, "m1",
		"{'a':'1','b':'2','c':{'d':1,'e':2},'map':{'k':'v','l':'w'},'words':['x','y'],"
		"'items':[{'name':'a','v':1,'w':2},{'name':'b'}]}");
	step(&d, "m2", "{'b':'2','map':{'l':'w'},'words':['y'],'items':[{'name':'a','w':2}]}");
	step(&d, "m1", "{'c':{'d':1}}");
	expect(d, "/spec",
		"{'b':'2','c':{'d':1},'map':{'l':'w'},'words':['y'],'items':[{'name':'a','w':2}]}");
	step(&d, "m1", "{}");
	expect(d, "/spec", "{'b':'2','map':{'l':'w'},'words':['y'],'items':[{'name':'a','w':2}]}");
	step(&d, "m2", "{'b':'2'}");
	expect(d, "/spec", "{'b':'2'}");
}

/* kubernetes-api.md 8.41 */
static void lists_merge_by_key(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	step(&d, "m1", "{'items':[{'name':'a','v':1}],'ports':[{'port':80}]}");
	step(&d, "m2",
		"{'items':[{'name':'b','v':2},{'name':'a','w':3}],'ports':[{'port':80,'protocol':'TCP','name'"
		":'http'},"
		"{'port':80,'protocol':'UDP'}]}");
	expect(d, "/spec/items", "[{'name':'a','v':1,'w':3},{'name':'b','v':2}]");
	expect(d, "/spec/ports", "[{'port':80,'name':'http','protocol':'TCP'},{'port':80,'protocol':'UDP'}]");
	assert_non_null(json_get(json_at(owned(d, "m2", "Apply"), "/f:spec/f:items"), "k:{\"name\":\"b\"}"));
	assert_non_null(json_get(
		json_at(owned(d, "m1", "Apply"), "/f:spec/f:ports"), "k:{\"port\":80,\"protocol\":\"TCP\"}"));
}

static void atomic_values_belong_as_a_whole(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(causes_done) struct causes c = { 0 };

	step(&d, "m1", "{'args':['a'],'sel':{'x':'1'}}");
	assert_null(apply_as("m2", d, "{'args':['a','b'],'sel':{'y':'1'}}", false, NOW, &c, NULL));
	assert_int_equal(c.len, 2);
	force(&d, "m2", "{'args':['a','b'],'sel':{'y':'1'}}");
	expect(d, "/spec", "{'args':['a','b'],'sel':{'y':'1'}}");
	assert_null(owned(d, "m1", "Apply"));
}

/* kubernetes-api.md 8.42 */
static void bad_requests_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
	} cases[] = {
		{ "{" HEAD ",'spec':{'zip':1}}", ERR_INTERNAL },
		{ "{'apiVersion':'demo.io/"
		  "v1','kind':'Widget','metadata':{'name':'x','managedFields':[{'manager':'m'}]}}",
			ERR_BAD_REQUEST },
		{ "{'apiVersion':'demo.io/v2','kind':'Widget','metadata':{'name':'x'}}", ERR_BAD_REQUEST },
		{ "{'apiVersion':'demo.io/v1','metadata':{'name':'x'}}", ERR_BAD_REQUEST },
		{ "[]", ERR_BAD_REQUEST },
	};
	struct apply_opts o = { .manager = "m", .api_version = "demo.io/v1", .subresource = "" };
	struct json_doc *ret = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_doc_freep) struct json_doc *p = json_lit(cases[i].text);

		assert_int_equal(patch_apply(schema, NULL, json_root(p), &o, &ret, NULL, &e), -1);
		assert_int_equal(e.code, cases[i].code);
	}
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit("{" HEAD ",'spec':{'zip':1}}");
	patch_apply(schema, NULL, json_root(p), &o, &ret, NULL, &e);
	assert_non_null(strstr(e.msg, ".spec.zip: field not declared in schema"));
	o.manager = "";
	assert_int_equal(patch_apply(schema, NULL, json_root(p), &o, &ret, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_null(ret);
}

static void update_as(struct json_doc **live, const char *manager, const char *object)
{
	CLEANUP(mem_freep) char *text = str_printf("{" HEAD ",%s}", object);
	struct json_doc *next = json_lit(text);
	struct apply_opts o = {
		.manager = manager, .api_version = "demo.io/v1", .subresource = "", .now_ms = NOW
	};

	managed_fields_update(schema, *live ? json_root(*live) : NULL, next, json_root(next), &o);
	json_doc_free(*live);
	*live = next;
}

/* kubernetes-api.md 8.43 */
static void other_writes_take_what_they_change(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	step(&d, "m1", "{'a':'1','b':'2','items':[{'name':'a','v':1}]}");
	update_as(
		&d, "editor", "'spec':{'a':'9','b':'2','c':{'d':1},'items':[{'name':'a','v':1}],'words':[]}");
	expect_owned(d, "editor", "Update", "{'f:spec':{'f:a':{},'f:c':{'f:d':{}},'f:words':{}}}");
	assert_null(json_at(owned(d, "m1", "Apply"), "/f:spec/f:a"));
	assert_non_null(json_at(owned(d, "m1", "Apply"), "/f:spec/f:b"));
	assert_null(apply_as("m1", d, "{'a':'1'}", false, NOW, &c, &e));
	assert_string_equal(
		e.msg, "Apply failed with 1 conflict: conflict with \"editor\" using demo.io/v1: .spec.a");

	/* what is removed belongs to nobody; what nobody changed keeps its owner */
	update_as(&d, "editor", "'spec':{'a':'9'}");
	expect_owned(d, "editor", "Update", "{'f:spec':{'f:a':{}}}");
	assert_null(owned(d, "m1", "Apply"));
	update_as(&d, "other", "'spec':{'a':'9'}");
	assert_null(owned(d, "other", "Update"));
}

static void creating_owns_everything(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	update_as(&d, "kubectl", "'spec':{'a':'9','map':{'k':'v'}}");
	expect_owned(d, "kubectl", "Update", "{'f:spec':{'f:a':{},'f:map':{'f:k':{}}}}");
	/* [{}] clears the books, and then the next applier finds the made-up owner */
	CLEANUP(json_doc_freep)
	struct json_doc *clear =
		json_lit("{'apiVersion':'demo.io/"
			 "v1','kind':'Widget','metadata':{'name':'x','namespace':'n','managedFields':[{}]},"
			 "'spec':{'a':'9'}}");
	struct apply_opts o = { .manager = "k", .api_version = "demo.io/v1", .subresource = "" };
	managed_fields_update(schema, json_root(d), clear, json_root(clear), &o);
	assert_null(json_at(json_root(clear), "/metadata/managedFields"));
	struct err e = { 0 };
	assert_null(apply_as("m1", clear, "{'a':'1'}", false, NOW, NULL, &e));
	assert_string_equal(e.msg, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using "
				   "demo.io/v1: .spec.a");
}

static void many_updaters_are_summed_up(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	for (int i = 0; i < 20; i++) {
		CLEANUP(mem_freep) char *name = str_printf("m%02d", i);
		CLEANUP(str_done) struct str spec = { 0 };

		for (int k = 0; k <= i; k++)
			str_addf(&spec, "%s'k%d':'v'", k ? "," : "", k);
		CLEANUP(mem_freep) char *object = str_printf("'spec':{'map':{%s}}", spec.data);
		update_as(&d, name, object);
	}
	assert_int_equal(json_len(json_at(json_root(d), "/metadata/managedFields")), 10);
	assert_int_equal(json_len(json_at(owned(d, "ancient-changes", "Update"), "/f:spec/f:map")), 11);
}

/* kubernetes-api.md 8.24, 8.25: what an endpoint does not write, nobody gets to own through it. */
static void each_endpoint_keeps_its_own_books(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(json_doc_freep) struct json_doc *next = NULL;
	struct apply_opts o = {
		.manager = "kubelet", .api_version = "demo.io/v1", .subresource = "status", .now_ms = NOW
	};

	update_as(&d, "kubectl", "'spec':{'a':'1'},'status':{'phase':'New'}");
	expect_owned(d, "kubectl", "Update", "{'f:spec':{'f:a':{}}}");
	next = json_lit("{" HEAD ",'spec':{'a':'2'},'status':{'phase':'Ready'}}");
	managed_fields_update(schema, json_root(d), next, json_root(next), &o);
	expect_owned(next, "kubelet", "Update", "{'f:status':{'f:phase':{}}}");
	expect_owned(next, "kubectl", "Update", "{'f:spec':{'f:a':{}}}");
	/* a main write with another status changes no books at all */
	CLEANUP(json_doc_freep) struct json_doc *same = json_doc_from(json_root(next));
	json_put_str(same, json_root(same), "/status/phase", "Gone");
	o.subresource = "";
	managed_fields_update(schema, json_root(next), same, json_root(same), &o);
	assert_true(json_eq(json_at(json_root(same), "/metadata/managedFields"),
		json_at(json_root(next), "/metadata/managedFields")));
}

/* ---- random configurations ---- */

static uint64_t seed = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (unsigned)(seed >> 11) % n;
}

static char *random_spec(void)
{
	struct str s = { 0 };
	bool any = false;

	str_addc(&s, '{');
#define MAYBE(...)                           \
	if (rnd(2)) {                        \
		str_add(&s, any ? "," : ""); \
		str_addf(&s, __VA_ARGS__);   \
		any = true;                  \
	}
	MAYBE("'a':'%u'", rnd(2))
	MAYBE("'c':{'d':%u}", rnd(2))
	MAYBE("'c2':null")
	MAYBE("'map':{'k%u':'%u','k%u':'1'}", rnd(2), rnd(2), 2 + rnd(2))
	MAYBE("'words':['w%u','v%u']", rnd(3), rnd(3))
	MAYBE("'args':['%u']", rnd(2))
	MAYBE("'items':[{'name':'a','v':%u},{'name':'b%u'}]", rnd(2), rnd(2))
	MAYBE("'ports':[{'port':%u}]", rnd(2))
#undef MAYBE
	str_addc(&s, '}');
	char *null = strstr(s.data, "'c2':null");
	if (null)
		memcpy(null, "'b':'x'  ", 9);
	return str_take(&s);
}

/* Properties: applying the same twice is as good as once; what is applied is there; an applier who lists nothing any more
 * owns nothing; the others' fields are still there then. */
static void random_appliers_keep_the_rules(void **state)
{
	static const char *const names[] = { "m1", "m2", "m3" };

	for (int round = 0; round < 150; round++) {
		CLEANUP(json_doc_freep) struct json_doc *d = NULL;

		for (int i = 0; i < 8; i++) {
			CLEANUP(mem_freep) char *spec = random_spec();
			const char *who = names[rnd(3)];

			force(&d, who, spec);
			CLEANUP(json_doc_freep)
			struct json_doc *again = apply_as(who, d, spec, false, NOW + 5000, NULL, NULL);
			if (!again || !json_eq(json_root(d), json_root(again)))
				fail_msg("applying %s again changes something", spec);
			CLEANUP(json_doc_freep) struct json_doc *want = json_lit(spec);
			struct json_doc *merged = NULL;
			assert_int_equal(
				patch_merge(json_at(json_root(d), "/spec"), json_root(want), &merged, NULL),
				0);
			assert_true(
				json_eq(json_at(json_root(d), "/spec/a"), json_at(json_root(merged), "/a")));
			assert_true(json_eq(
				json_at(json_root(d), "/spec/map"), json_at(json_root(merged), "/map")));
			assert_true(json_eq(
				json_at(json_root(d), "/spec/args"), json_at(json_root(merged), "/args")));
			json_doc_free(merged);
		}
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			step(&d, names[i], "{}");
			const struct json *left = owned(d, names[i], "Apply");
			/* {} itself is what is listed */
			if (left && json_len(json_get(left, "f:spec")) > 0)
				fail_msg("%s still owns something", names[i]);
		}
		expect(d, "/spec", "{}");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(applying_creates_and_notes_the_owner),
		cmocka_unit_test(applying_again_changes_nothing),
		cmocka_unit_test(conflicts_are_told_and_forced),
		cmocka_unit_test(dropped_fields_go_unless_shared),
		cmocka_unit_test(lists_merge_by_key),
		cmocka_unit_test(atomic_values_belong_as_a_whole),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(other_writes_take_what_they_change),
		cmocka_unit_test(creating_owns_everything),
		cmocka_unit_test(many_updaters_are_summed_up),
		cmocka_unit_test(each_endpoint_keeps_its_own_books),
		cmocka_unit_test(random_appliers_keep_the_rules),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
