/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void assert_json(const struct json *v, const char *want)
{
	CLEANUP(mem_freep) char *text = json_write(v, NULL);
	CLEANUP(mem_freep) char *plain = mem_strdup(want);

	for (char *p = plain; *p; p++)
		if (*p == '\'')
			*p = '"';
	assert_string_equal(text, plain);
}

static void assert_refused(const char *text, size_t len)
{
	struct err e = { 0 };

	assert_null(json_parse(text, len, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_non_null(strstr(e.msg, "invalid JSON"));
}

static void parse_keeps_text_and_member_order(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{ 'z':[1, -2, 1.5, true, null], 'a':{'\\u00e9\\n':'x'} , '':0}");
	assert_json(json_root(d), "{'z':[1,-2,1.5,true,null],'a':{'\xc3\xa9\\n':'x'},'':0}");
}

static void parse_keeps_large_integers_exact(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"[18446744073709551615,9223372036854775807,-9223372036854775808,9223372036854775808]");
	const struct json *r = json_root(d);

	assert_json(r, "[18446744073709551615,9223372036854775807,-9223372036854775808,9223372036854775808]");
	assert_int_equal(json_type(json_item(r, 0)), JSON_UINT);
	assert_int_equal(json_type(json_item(r, 1)), JSON_INT);
	assert_int_equal(json_type(json_item(r, 2)), JSON_INT);
	assert_true(json_u64(json_item(r, 0)) == UINT64_MAX);
	assert_true(json_i64(json_item(r, 0)) == INT64_MAX);
	assert_true(json_u64(json_item(r, 2)) == 0);
}

static void parse_refuses_what_is_not_json(void **state)
{
	static const char *const bad[] = { "", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "nul", "1 2",
		"\"\x01\"", "\"\xff\"", "\"\\ud800\"", "01", "+1", ".5", "1e999", "[1] x", "// c\n1", "NaN",
		"\xef\xbb\xbf{}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(bad[i], strlen(bad[i]));
	assert_refused("1\0", 2);
}

static void parse_error_names_the_place(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_null(json_parse("{\n  \"a\": }", 10, &e));
	assert_non_null(strstr(e.msg, "line 2, column 8"));
}

static struct json_doc *nested(int depth, struct err *e)
{
	CLEANUP(str_done) struct str s = { 0 };

	for (int i = 0; i < depth; i++)
		str_add(&s, i % 2 ? "{\"a\":" : "[");
	str_add(&s, "1");
	for (int i = depth - 1; i >= 0; i--)
		str_addc(&s, i % 2 ? '}' : ']');
	return json_parse(s.data, s.len, e);
}

static void depth_is_bounded(void **state)
{
	struct err e = { 0 };

	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *ok = nested(JSON_DEPTH_MAX, &e);
	assert_non_null(ok);
	assert_true(json_depth_ok(json_root(ok)));
	assert_null(nested(JSON_DEPTH_MAX + 1, &e));
	assert_null(nested(1000000, &e));

	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *outer = json_new_arr(d);
	json_append(d, outer, json_copy(d, json_root(ok)));
	assert_false(json_depth_ok(outer));
}

static void of_duplicate_keys_the_last_stays_and_all_are_reported(void **state)
{
	CLEANUP(strv_done) struct strv dups = { 0 };
	const char *t = "{\"spec\":{\"color\":1,\"c\":[{},{\"a\":{\"b\":1,\"b\":2},\"a\":{\"x\":2}}],"
			"\"color\":2,\"color\":3},\"b\":5}";
	struct err e = { 0 };

	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse_dups(t, strlen(t), &dups, &e);
	assert_json(json_root(d), "{'spec':{'c':[{},{'a':{'x':2}}],'color':3},'b':5}");
	assert_int_equal(dups.len, 2);
	assert_true(strv_has(&dups, "spec.color"));
	assert_true(strv_has(&dups, "spec.c[1].a"));
	/* the ring behind a dropped first and last member */
	json_set_i64(d, json_at(json_root(d), "/spec"), "new", 1);
	assert_json(json_at(json_root(d), "/spec"), "{'c':[{},{'a':{'x':2}}],'color':3,'new':1}");
}

static void duplicates_in_large_objects_are_found_too(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };
	CLEANUP(strv_done) struct strv dups = { 0 };

	(void)state;
	str_add(&s, "{");
	for (int i = 0; i < 100000; i++)
		str_addf(&s, "\"k%d\":%d,", i % 99000, i);
	str_add(&s, "\"last\":1}");
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse_dups(s.data, s.len, &dups, NULL);
	assert_int_equal(json_len(json_root(d)), 99001);
	assert_int_equal(dups.len, 1000);
	assert_int_equal(json_i64(json_get(json_root(d), "k999")), 99999);
	size_t seen = 0;
	JSON_EACH (it, json_root(d))
		seen++;
	assert_int_equal(seen, 99001);
}

static void getters_of_absent_and_other_types_answer_absent(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'s':'x','n':-7,'r':2.9,'b':true,'o':{},'a':[1]}");
	const struct json *r = json_root(d);

	assert_null(json_get(NULL, "a"));
	assert_null(json_get(json_get(r, "s"), "a"));
	assert_null(json_str(json_get(r, "n")));
	assert_string_equal(json_str_or(json_get(r, "q"), "d"), "d");
	assert_int_equal(json_i64(json_get(r, "s")), 0);
	assert_int_equal(json_i64(json_get(r, "n")), -7);
	assert_int_equal(json_i64(json_get(r, "r")), 2);
	assert_true(json_u64(json_get(r, "n")) == 0);
	assert_true(json_bool(json_get(r, "b")));
	assert_false(json_bool(json_get(r, "s")));
	assert_true(json_bool_or(json_get(r, "s"), true));
	assert_int_equal(json_len(json_get(r, "s")), 0);
	assert_null(json_item(r, 0));
	assert_null(json_item(json_get(r, "a"), 1));
	assert_true(json_is_null(NULL));
	assert_int_equal(json_type(NULL), JSON_NULL);
}

static void numbers_saturate(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	assert_true(json_i64(json_new_num(d, 1e30)) == INT64_MAX);
	assert_true(json_i64(json_new_num(d, -1e30)) == INT64_MIN);
	assert_true(json_i64(json_new_num(d, NAN)) == 0);
	assert_true(json_u64(json_new_num(d, 1e30)) == UINT64_MAX);
	assert_true(json_u64(json_new_num(d, NAN)) == 0);
	assert_json(json_new_num(d, INFINITY), "null");
}

static void pointers_find_and_unescape(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'a/b':{'m~n':[10,{'':'e'}]},'~1':2,'0':'zero'}");
	const struct json *r = json_root(d);

	assert_ptr_equal(json_at(r, ""), r);
	assert_int_equal(json_i64(json_at(r, "/a~1b/m~0n/0")), 10);
	assert_string_equal(json_at_str(r, "/a~1b/m~0n/1/"), "e");
	assert_int_equal(json_i64(json_at(r, "/~01")), 2);
	assert_string_equal(json_at_str(r, "/0"), "zero");
	assert_null(json_at(r, "/a~1b/m~0n/00"));
	assert_null(json_at(r, "/a~1b/m~0n/2"));
	assert_null(json_at(r, "/a~1b/m~0n/-"));
	assert_null(json_at(r, "/a~1b/m~0n/99999999999999999999"));
	assert_null(json_at(r, "a"));
	assert_null(json_at(r, "/0/x"));

	CLEANUP(str_done) struct str p = { 0 };
	json_pointer_add(&p, "a/b");
	json_pointer_add(&p, "m~n");
	assert_string_equal(p.data, "/a~1b/m~0n");
}

static void assert_equal_texts(const char *a, const char *b, bool want)
{
	CLEANUP(json_doc_freep) struct json_doc *da = json_lit(a);
	CLEANUP(json_doc_freep) struct json_doc *db = json_lit(b);

	assert_int_equal(json_eq(json_root(da), json_root(db)), want);
	assert_int_equal(json_eq(json_root(db), json_root(da)), want);
}

static void equality_is_by_value(void **state)
{
	(void)state;
	assert_equal_texts("{'a':1,'b':[1,2]}", "{'b':[1,2],'a':1.0}", true);
	assert_equal_texts("[1,2]", "[2,1]", false);
	assert_equal_texts("{'a':null}", "{}", false);
	assert_equal_texts("{'a':1}", "{'b':1}", false);
	assert_equal_texts("{'a':1,'b':2}", "{'a':1,'c':2}", false);
	assert_equal_texts("-1", "18446744073709551615", false);
	assert_equal_texts("-1", "-1.0", true);
	assert_equal_texts("0", "-0.0", true);
	/* 2^53+1 is no double: comparing as doubles would call them equal */
	assert_equal_texts("9007199254740993", "9007199254740992.0", false);
	assert_equal_texts("18446744073709551615", "18446744073709551616.0", false);
	assert_equal_texts("9223372036854775808", "9223372036854775808.0", true);
	assert_equal_texts("1.5", "1", false);
	assert_equal_texts("true", "1", false);
	assert_equal_texts("'1'", "1", false);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("null");
	assert_true(json_eq(NULL, json_root(d)));
}

static void equality_of_large_objects_in_reverse_order(void **state)
{
	CLEANUP(str_done) struct str up = { 0 };
	CLEANUP(str_done) struct str down = { 0 };
	const int n = 50000;

	(void)state;
	for (int i = 0; i < n; i++) {
		str_addf(&up, "%c\"k%d\":%d", i ? ',' : '{', i, i);
		str_addf(&down, "%c\"k%d\":%d", i ? ',' : '{', n - 1 - i, n - 1 - i);
	}
	str_add(&up, "}");
	str_add(&down, "}");
	CLEANUP(json_doc_freep) struct json_doc *a = json_parse(up.data, up.len, NULL);
	CLEANUP(json_doc_freep) struct json_doc *b = json_parse(down.data, down.len, NULL);
	assert_true(json_eq(json_root(a), json_root(b)));
	json_set_i64(b, json_root(b), "k7", 8);
	assert_false(json_eq(json_root(a), json_root(b)));
}

static void set_replaces_in_place_and_keeps_the_order(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':1,'b':2,'c':3}");
	struct json *r = json_root(d);

	json_set_str(d, r, "a", "A");
	json_set_bool(d, r, "c", true);
	json_set_strf(d, r, "d", "%d-%s", 5, "x");
	assert_json(r, "{'a':'A','b':2,'c':true,'d':'5-x'}");
	json_set(d, r, "b", json_get(r, "b"));
	json_set_str(d, r, "a", NULL);
	assert_json(r, "{'b':2,'c':true,'d':'5-x'}");
	assert_true(json_remove(r, "d"));
	assert_false(json_remove(r, "d"));
	json_set_i64(d, r, "e", -1);
	assert_json(r, "{'b':2,'c':true,'e':-1}");
	json_clear(r);
	json_set_i64(d, r, "f", 1);
	assert_json(r, "{'f':1}");
}

static void a_removed_value_can_be_put_elsewhere(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':{'x':1},'b':[]}");
	struct json *r = json_root(d), *v = json_get(r, "a");

	json_remove(r, "a");
	json_append(d, json_get(r, "b"), v);
	assert_json(r, "{'b':[{'x':1}]}");
}

static void put_makes_what_is_missing(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'l':[{'n':1}],'s':'text'}");
	struct json *r = json_root(d);

	json_put_str(d, r, "/metadata/labels/a~1b", "v");
	json_put_str(d, r, "/l/0/n", "one");
	json_put_str(d, r, "/l/-", "end");
	json_put_str(d, r, "/l/2/deep", "er");
	json_put_str(d, r, "/s/now", "object");
	assert_json(r, "{'l':[{'n':'one'},'end',{'deep':'er'}],'s':{'now':'object'},"
		       "'metadata':{'labels':{'a/b':'v'}}}");
	assert_true(json_remove_at(r, "/metadata/labels/a~1b"));
	assert_true(json_remove_at(r, "/l/1"));
	assert_false(json_remove_at(r, "/l/7"));
	assert_false(json_remove_at(r, "/no/where"));
	assert_json(r, "{'l':[{'n':'one'},{'deep':'er'}],'s':{'now':'object'},'metadata':{'labels':{}}}");
}

static void need_makes_or_finds(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':{'x':1},'b':5}");
	struct json *r = json_root(d);

	assert_ptr_equal(json_need_obj(d, r, "a"), json_get(r, "a"));
	json_set_i64(d, json_need_obj(d, r, "b"), "y", 2);
	json_append_str(d, json_need_arr(d, r, "c"), "z");
	assert_json(r, "{'a':{'x':1},'b':{'y':2},'c':['z']}");
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
	(void)state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	assert_string_equal(json_str(json_new_str(d, "a\xff"
						     "b")),
		"a\xef\xbf\xbd"
		"b");
	assert_string_equal(json_str(json_new_str(d, "\xc0\x80")), "\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(
		json_str(json_new_str(d, "\xed\xa0\x80")), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(json_str(json_new_str(d, "\xf0\x9f\x98\x80")), "\xf0\x9f\x98\x80");
	assert_string_equal(
		json_str(json_new_str(d, "\xf0\x9f\x98")), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	struct json *v = json_new_strn(d, "a\0b", 3);
	assert_int_equal(json_str_len(v), 3);
	assert_json(v, "'a\\u0000b'");
}

static void a_copy_does_not_share(void **state)
{
	(void)state;
	struct json_doc *a = json_lit("{'o':{'k':['s',1,2.5,null,true]},'u':18446744073709551615}");
	struct json_doc *b = json_doc_from(json_root(a));

	json_put_str(a, json_root(a), "/o/k/0", "changed");
	json_doc_free(a);
	assert_json(json_root(b), "{'o':{'k':['s',1,2.5,null,true]},'u':18446744073709551615}");
	json_set_str(b, json_root(b), "more", "room");
	assert_json(json_get(json_root(b), "more"), "'room'");
	json_doc_free(b);
}

static void write_to_appends(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':[]}");
	size_t len;

	(void)state;
	json_write_to(json_root(d), &s);
	str_addc(&s, ' ');
	json_write_to(NULL, &s);
	assert_string_equal(s.data, "{\"a\":[]} null");
	CLEANUP(mem_freep) char *pretty = json_write_pretty(json_root(d), &len);
	assert_string_equal(pretty, "{\n  \"a\": []\n}");
	assert_int_equal(len, strlen(pretty));
}

/* ---- editing against a model that can not be wrong in the same way: plain C arrays ---- */

#define MODEL_MAX 12

struct model {
	int keys[MODEL_MAX], vals[MODEL_MAX];
	size_t n;
};

static void model_remove(struct model *m, size_t i)
{
	for (; i + 1 < m->n; i++) {
		m->keys[i] = m->keys[i + 1];
		m->vals[i] = m->vals[i + 1];
	}
	m->n--;
}

static void assert_model(const struct json *v, const struct model *m)
{
	CLEANUP(str_done) struct str want = { 0 };
	bool obj = json_is_obj(v);

	str_addc(&want, obj ? '{' : '[');
	for (size_t i = 0; i < m->n; i++) {
		if (i)
			str_addc(&want, ',');
		if (obj)
			str_addf(&want, "\"%d\":", m->keys[i]);
		str_addf(&want, "%d", m->vals[i]);
	}
	str_addc(&want, obj ? '}' : ']');
	CLEANUP(mem_freep) char *text = json_write(v, NULL);
	assert_string_equal(text, want.data);
	size_t seen = 0;
	JSON_EACH (it, v) {
		assert_int_equal(it.i, seen);
		assert_int_equal(json_i64(it.val), m->vals[seen]);
		seen++;
	}
	assert_int_equal(seen, m->n);
}

static void remove_some(struct chance *c, struct json *v, struct model *m)
{
	unsigned modulus = 1 + chance_below(c, 4), rest = chance_below(c, modulus);

	JSON_EACH (it, v)
		if ((uint64_t)json_i64(it.val) % modulus == rest)
			json_iter_remove(&it);
	for (size_t i = 0; i < m->n;)
		if ((unsigned)m->vals[i] % modulus == rest)
			model_remove(m, i);
		else
			i++;
}

static void edit_obj(struct chance *c, struct json_doc *d, struct json *v, struct model *m, int val)
{
	int key = (int)chance_below(c, MODEL_MAX);
	size_t at = 0;
	char name[8];

	snprintf(name, sizeof(name), "%d", key);
	while (at < m->n && m->keys[at] != key)
		at++;
	if (chance_below(c, 3)) {
		json_set_i64(d, v, name, val);
		m->keys[at] = key;
		m->vals[at] = val;
		m->n += at == m->n;
	} else {
		assert_int_equal(json_remove(v, name), at < m->n);
		if (at < m->n)
			model_remove(m, at);
	}
}

static void edit_arr(struct chance *c, struct json_doc *d, struct json *v, struct model *m, int val)
{
	size_t at = chance_below(c, (unsigned)m->n + 1);

	switch (chance_below(c, 3)) {
	case 0:
		if (m->n == MODEL_MAX)
			return;
		json_insert(d, v, at, json_new_i64(d, val));
		memmove(m->vals + at + 1, m->vals + at, (m->n - at) * sizeof(int));
		m->vals[at] = val;
		m->n++;
		return;
	case 1:
		if (at == m->n)
			return;
		json_replace_item(d, v, at, json_new_i64(d, val));
		m->vals[at] = val;
		return;
	default:
		if (at == m->n)
			return;
		json_remove_item(v, at);
		model_remove(m, at);
	}
}

static void random_edits(bool obj, uint64_t seed)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *v = obj ? json_new_obj(d) : json_new_arr(d);
	struct chance c = { seed };
	struct model m = { 0 };

	for (int step = 0; step < 400; step++) {
		if (chance_below(&c, 12) == 0)
			remove_some(&c, v, &m);
		else if (obj)
			edit_obj(&c, d, v, &m, step);
		else
			edit_arr(&c, d, v, &m, step);
		assert_model(v, &m);
	}
}

static void any_sequence_of_edits_agrees_with_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		random_edits(true, seed * 7919);
		random_edits(false, seed * 104729);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_keeps_text_and_member_order),
		cmocka_unit_test(parse_keeps_large_integers_exact),
		cmocka_unit_test(parse_refuses_what_is_not_json),
		cmocka_unit_test(parse_error_names_the_place),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(of_duplicate_keys_the_last_stays_and_all_are_reported),
		cmocka_unit_test(duplicates_in_large_objects_are_found_too),
		cmocka_unit_test(getters_of_absent_and_other_types_answer_absent),
		cmocka_unit_test(numbers_saturate),
		cmocka_unit_test(pointers_find_and_unescape),
		cmocka_unit_test(equality_is_by_value),
		cmocka_unit_test(equality_of_large_objects_in_reverse_order),
		cmocka_unit_test(set_replaces_in_place_and_keeps_the_order),
		cmocka_unit_test(a_removed_value_can_be_put_elsewhere),
		cmocka_unit_test(put_makes_what_is_missing),
		cmocka_unit_test(need_makes_or_finds),
		cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
		cmocka_unit_test(a_copy_does_not_share),
		cmocka_unit_test(write_to_appends),
		cmocka_unit_test(any_sequence_of_edits_agrees_with_a_plain_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
