/* SPDX-License-Identifier: Apache-2.0 */
#include "api/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

typedef int patch_fn(
	const struct json *current, const struct json *patch, struct json_doc **ret, struct err *e);

static void expect(patch_fn *fn, const char *current, const char *patch, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *c = json_lit(current);
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit(patch);
	CLEANUP(json_doc_freep) struct json_doc *w = want ? json_lit(want) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *before = json_doc_from(json_root(c));
	CLEANUP(json_doc_freep) struct json_doc *got = NULL;
	struct err e = { 0 };
	int r = fn(json_root(c), json_root(p), &got, &e);

	assert_true(json_eq(json_root(c), json_root(before)));
	if (!want) {
		if (r == 0)
			fail_msg("%s should not apply to %s", patch, current);
		assert_int_equal(e.code, ERR_INVALID);
		assert_string_equal(e.msg, "the server rejected our request due to an error in our request");
		return;
	}
	if (r < 0)
		fail_msg("%s on %s: %s", patch, current, e.msg);
	if (!json_eq(json_root(got), json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(json_root(got), NULL);
		fail_msg("%s on %s gives %s", patch, current, text);
	}
}

/* kubernetes-api.md 8.33, kubevirt-api.md 1.1 */
static void json_patch_speaks_the_dialect(void **state)
{
	expect(patch_json, "{'a':1}", "[{'op':'add','path':'/b','value':2}]", "{'a':1,'b':2}");
	expect(patch_json, "{'a':1}", "[{'op':'replace','path':'/b','value':2}]", "{'a':1,'b':2}");
	expect(patch_json, "{'a':1}", "[{'op':'test','path':'/b','value':null}]", "{'a':1}");
	expect(patch_json, "{'a':1}", "[{'op':'test','path':'/b'}]", "{'a':1}");
	expect(patch_json, "{'a':null}", "[{'op':'test','path':'/a','value':null}]", "{'a':null}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'add','path':'/a/-','value':3}]", "{'a':[1,2,3]}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'add','path':'/a/0','value':0}]", "{'a':[0,1,2]}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'add','path':'/a/2','value':3}]", "{'a':[1,2,3]}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'add','path':'/a/-1','value':3}]", "{'a':[1,2,3]}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'replace','path':'/a/-1','value':3}]", "{'a':[1,3]}");
	expect(patch_json, "{'a':[1,2]}", "[{'op':'remove','path':'/a/-1'}]", "{'a':[1]}");
	expect(patch_json, "{'a/b':1,'c~d':2}",
		"[{'op':'replace','path':'/a~1b','value':3},{'op':'remove','path':'/c~0d'}]", "{'a/b':3}");
	expect(patch_json, "{'a':{'b':1}}", "[{'op':'move','from':'/a/b','path':'/c'}]", "{'a':{},'c':1}");
	expect(patch_json, "{'a':{'b':1}}", "[{'op':'copy','from':'/a','path':'/a/c'}]",
		"{'a':{'b':1,'c':{'b':1}}}");
	expect(patch_json, "{'a':[1,2,3]}", "[{'op':'move','from':'/a/0','path':'/a/2'}]", "{'a':[2,3,1]}");
	expect(patch_json, "{'':1}", "[{'op':'replace','path':'/','value':2}]", "{'':2}");
	expect(patch_json, "{'a':1}", "[]", "{'a':1}");
	expect(patch_json, "{'a':{'x':1,'y':[1,2]}}",
		"[{'op':'test','path':'/a','value':{'y':[1,2],'x':1.0}}]", "{'a':{'x':1,'y':[1,2]}}");
}

/* kubernetes-api.md 8.32 */
static void json_patch_refuses_with_the_fixed_text(void **state)
{
	static const char *const bad[] = {
		"[{'op':'test','path':'/a','value':2}]",
		"[{'op':'remove','path':'/b'}]",
		"[{'op':'increase','path':'/a'}]",
		"[{'op':'add','path':'/x/y','value':1}]",
		"[{'op':'replace','path':'/x/y','value':1}]",
		"[{'op':'test','path':'/x/y','value':null}]",
		"[{'op':'add','path':'/l/3','value':1}]",
		"[{'op':'replace','path':'/l/2','value':1}]",
		"[{'op':'remove','path':'/l/-3'}]",
		"[{'op':'add','path':'/l/x','value':1}]",
		"[{'op':'add','path':'b','value':1}]",
		"[{'op':'add','value':1}]",
		"[{'path':'/a'}]",
		"[1]",
		"[{'op':'copy','from':'/no','path':'/b'}]",
		"[{'op':'move','path':'/b'}]",
		"[{'op':'test','path':'/b','value':1}]",
		"[{'op':'test','path':'/l/5','value':null}]",
		"[{'op':'add','path':'/a/b','value':1}]",
		"[{'op':'move','from':'/o','path':'/o/p'}]",
		"[{'op':'replace','path':'','value':'x'}]",
		"[{'op':'replace','path':'/a','value':5},{'op':'test','path':'/a','value':1}]",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(patch_json, "{'a':1,'l':[1,2],'o':{'q':1}}", bad[i], NULL);
}

static void json_patch_is_bounded(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *c = json_lit("{'a':{'b':'0123456789012345678901234567890123456789'}}");
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit("[]");
	CLEANUP(json_doc_freep) struct json_doc *op = json_lit("{'op':'copy','from':'/a','path':'/a/c'}");
	CLEANUP(json_doc_freep) struct json_doc *no = json_lit("{}");
	struct json_doc *got = NULL;
	struct err e = { 0 };

	/* each copies all before it into itself */
	for (int i = 0; i < 200; i++)
		json_append(p, json_root(p), json_copy(p, json_root(op)));
	assert_int_equal(patch_json(json_root(c), json_root(p), &got, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	for (int i = 0; i < PATCH_OPS_MAX; i++)
		json_append(p, json_root(p), json_copy(p, json_root(op)));
	assert_int_equal(patch_json(json_root(c), json_root(p), &got, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(patch_json(json_root(c), json_root(no), &got, &e), -1);
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_null(got);
}

/* kubernetes-api.md 8.31; the examples of RFC 7386, appendix A, that concern objects */
static void merge_patch_follows_the_rfc(void **state)
{
	expect(patch_merge, "{'a':'b'}", "{'a':'c'}", "{'a':'c'}");
	expect(patch_merge, "{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}");
	expect(patch_merge, "{'a':'b'}", "{'a':null}", "{}");
	expect(patch_merge, "{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}");
	expect(patch_merge, "{'a':['b']}", "{'a':'c'}", "{'a':'c'}");
	expect(patch_merge, "{'a':'c'}", "{'a':['b']}", "{'a':['b']}");
	expect(patch_merge, "{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}");
	expect(patch_merge, "{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}");
	expect(patch_merge, "{'e':null}", "{'a':1}", "{'e':null,'a':1}");
	expect(patch_merge, "{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}");
	expect(patch_merge, "{'a':1}", "{'a':{'b':null,'c':[null]}}", "{'a':{'c':[null]}}");
}

static struct json_doc *map_of(const char *prefix, int n)
{
	CLEANUP(str_done) struct str s = { 0 };
	struct json_doc *d;
	struct err e = { 0 };

	str_add(&s, "{\"data\":{");
	for (int i = 0; i < n; i++)
		str_addf(&s, "%s\"%s%d\":\"v\"", i ? "," : "", prefix, i);
	str_add(&s, "}}");
	d = json_parse(s.data, s.len, &e);
	if (!d)
		fail_msg("%s", e.msg);
	return d;
}

/* Two maps of as many members as fit a request must not keep the server for seconds. */
static void large_maps_take_bounded_time(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *a = map_of("a", 100000);
	CLEANUP(json_doc_freep) struct json_doc *b = map_of("b", 100000);
	CLEANUP(json_doc_freep) struct json_doc *small = json_lit("{'data':{'b1':'w'}}");
	CLEANUP(json_doc_freep) struct json_doc *ops = json_doc_new();
	CLEANUP(json_doc_freep) struct json_doc *got = NULL;
	struct json_doc *none = NULL;
	struct err e = { 0 };

	assert_int_equal(patch_merge(json_root(a), json_root(b), &none, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(patch_merge(json_root(b), json_root(small), &got, &e), 0);
	assert_int_equal(json_len(patch_diff(ops, json_root(b), json_root(got), false)), 1);
	assert_int_equal(json_len(patch_diff(ops, json_root(a), json_root(b), false)), 200000);
}

/* ---- random trees ---- */

static uint64_t seed = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (unsigned)(seed >> 11) % n;
}

static struct json *random_tree(struct json_doc *d, int depth)
{
	static const char *const keys[] = { "a", "b", "c/d", "e~f", "g", "" };
	struct json *v;

	switch (rnd(depth > 0 ? 8 : 5)) {
	case 0:
		return json_new_null(d);
	case 1:
		return json_new_bool(d, rnd(2));
	case 2:
		return json_new_str(d, keys[rnd(6)]);
	case 3:
	case 4:
		return json_new_i64(d, rnd(3));
	case 5:
		v = json_new_arr(d);
		for (unsigned i = rnd(5); i; i--)
			json_append(d, v, random_tree(d, depth - 1));
		return v;
	default:
		v = json_new_obj(d);
		for (unsigned i = rnd(6); i; i--)
			json_set(d, v, keys[rnd(6)], random_tree(d, depth - 1));
		return v;
	}
}

/* Property: patch_diff(a, b) applied to a gives b, with and without tests; and from a to a is nothing. */
static void diffs_applied_give_the_other(void **state)
{
	for (int i = 0; i < 4000; i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		struct json *a = random_tree(d, 4), *b = random_tree(d, 4);
		struct json *ops = patch_diff(d, a, b, i % 2);
		CLEANUP(json_doc_freep) struct json_doc *got = NULL;
		struct err e = { 0 };

		if (json_is_obj(a) && !json_is_obj(b))
			continue; /* an object stays one */
		if (patch_json(a, ops, &got, &e) < 0 || !json_eq(json_root(got), b)) {
			CLEANUP(mem_freep) char *ta = json_write(a, NULL);
			CLEANUP(mem_freep) char *tb = json_write(b, NULL);
			CLEANUP(mem_freep) char *to = json_write(ops, NULL);
			fail_msg("%s to %s: %s: %s", ta, tb, to, e.msg);
		}
		assert_int_equal(json_len(patch_diff(d, a, a, true)), 0);
	}
}

static void diffs_test_what_they_change(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':{'x':1,'y':2},'b':{'x':3}}");
	CLEANUP(json_doc_freep)
	struct json_doc *want =
		json_lit("[{'op':'test','path':'/x','value':1},{'op':'replace','path':'/x','value':3},"
			 "{'op':'test','path':'/y','value':2},{'op':'remove','path':'/y'}]");
	struct json *ops = patch_diff(d, json_at(json_root(d), "/a"), json_at(json_root(d), "/b"), true);

	assert_true(json_eq(ops, json_root(want)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_patch_speaks_the_dialect),
		cmocka_unit_test(json_patch_refuses_with_the_fixed_text),
		cmocka_unit_test(json_patch_is_bounded),
		cmocka_unit_test(merge_patch_follows_the_rfc),
		cmocka_unit_test(large_maps_take_bounded_time),
		cmocka_unit_test(diffs_applied_give_the_other),
		cmocka_unit_test(diffs_test_what_they_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
