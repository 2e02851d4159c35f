/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <string.h>

static void assert_yaml(const char *yaml, const char *want)
{
	struct err e = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = yaml_parse(yaml, strlen(yaml), &e);
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);

	assert_string_equal(e.msg, "");
	assert_non_null(d);
	CLEANUP(mem_freep) char *got = json_write(json_root(d), NULL);
	CLEANUP(mem_freep) char *wanted = json_write(json_root(w), NULL);
	assert_string_equal(got, wanted);
}

static void assert_refused(const char *yaml, const char *why)
{
	struct err e = { 0 };

	assert_null(yaml_parse(yaml, strlen(yaml), &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	if (!strstr(e.msg, why))
		assert_string_equal(e.msg, why); /* shows both */
}

static void plain_scalars_mean_what_kubectl_users_see(void **state)
{
	(void)state;
	assert_yaml("[yes, No, on, OFF, y, N, True, false]", "[true,false,true,false,true,false,true,false]");
	assert_yaml("[yEs, tRue, oN, yesx]", "['yEs','tRue','oN','yesx']");
	assert_yaml("[~, null, Null, NULL, nULL]", "[null,null,null,null,'nULL']");
	assert_yaml("a:\nb: ''", "{'a':null,'b':''}");
	assert_yaml("[0, 017, 0o17, 0x1F, 0b101, -0x10, +5, 1_000, -0]", "[0,15,15,31,5,-16,5,1000,0]");
	assert_yaml("[1.5, 2.0, .5, 1., 1e3, -2.5e-3, 08]", "[1.5,2,0.5,1,1000,-0.0025000000000000001,8]");
	assert_yaml("[18446744073709551615, -9223372036854775808]",
		"[18446744073709551615,-9223372036854775808]");
	assert_yaml("[1Gi, 100m, 1.2.3, 0x, 1e, -, +, 1e999, 0xfg]",
		"['1Gi','100m','1.2.3','0x','1e','-','+','1e999','0xfg']");
	assert_yaml(
		"[2024-01-02, 2024-01-02T03:04:05Z, 12:30]", "['2024-01-02','2024-01-02T03:04:05Z','12:30']");
}

static void quoted_and_block_scalars_are_strings(void **state)
{
	(void)state;
	assert_yaml("['1', \"true\", '~', \"\\u00e9\\n\\0\", 'it''s']",
		"['1','true','~','\\u00e9\\n\\u0000','it\\u0027s']");
	assert_yaml("a: |\n  1\n   x\n\n  y\n\nb: >\n  p\n  q\n\n  r\nc: |-\n  true\nd: |+\n  k\n\n",
		"{'a':'1\\n x\\n\\ny\\n','b':'p q\\nr\\n','c':'true','d':'k\\n\\n'}");
}

static void keys_are_always_strings(void **state)
{
	(void)state;
	assert_yaml(
		"1: a\n0x10: b\nyes: c\n'2': d\n3.5: e", "{'1':'a','16':'b','true':'c','2':'d','3.5':'e'}");
	assert_refused("~: a", "unsupported type of key");
	assert_refused("? [a]\n: b", "a key must be a scalar");
}

static void tags_decide(void **state)
{
	(void)state;
	assert_yaml("[!!str 1, !!int '7', !!float 2, !!null '', ! 5, !own x]", "['1',7,2,null,'5','x']");
	assert_refused("!!int x", "does not fit");
	assert_refused("!!binary aGk=", "not supported");
}

static void anchors_and_merge_keys(void **state)
{
	(void)state;
	assert_yaml("a: &x {k: [1, 2]}\nb: *x", "{'a':{'k':[1,2]},'b':{'k':[1,2]}}");
	assert_yaml("- &k name\n- {*k : 1}", "['name',{'name':1}]");
	/* the own members win wherever << stands; of several maps the first */
	assert_yaml(
		"- &a {p: 1, q: 1}\n- &b {q: 2, r: 2}\n- {q: 3, <<: [*a, *b]}\n- {<<: *b, z: 0}\n- {'<<': 1}",
		"[{'p':1,'q':1},{'q':2,'r':2},{'r':2,'p':1,'q':3},{'q':2,'r':2,'z':0},{'<<':1}]");
	assert_yaml("- &e {}\n- {<<: *e}\n- {<<: *e, a: 1}", "[{},{},{'a':1}]");
	assert_refused("a: *nowhere", "unknown anchor");
	assert_refused("&a [*a]", "unknown anchor");
	assert_refused("<<: 1", "merged");
}

static void hostile_aliases_are_bounded(void **state)
{
	CLEANUP(str_done) struct str bomb = { 0 };
	CLEANUP(str_done) struct str many = { 0 };

	(void)state;
	str_add(&bomb, "a0: &a0 [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n");
	for (int i = 1; i < 30; i++)
		str_addf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1);
	assert_refused(bomb.data, "expand to too much");
	str_add(&many, "- &a x\n");
	for (int i = 0; i <= YAML_ALIAS_MAX; i++)
		str_add(&many, "- *a\n");
	assert_refused(many.data, "too many aliases");
}

static void hostile_depth_is_bounded(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++)
		str_add(&s, "[");
	assert_refused(s.data, "nested too deep");
	str_clear(&s);
	for (int i = 0; i < 100000; i++)
		str_add(&s, "- ");
	assert_refused(s.data, "nested too deep");
}

static void errors_name_the_line(void **state)
{
	(void)state;
	assert_refused("a: 1\nb: [\nc: 2", "line 4");
	assert_refused("a: b: c", "line 1");
	assert_refused("a: .inf", "no JSON form");
	assert_refused("a: \"\xff\"", "invalid YAML");
	assert_refused("a: 1\n---\nb: 2", "more than one document");
}

static void json_takes_the_same_door(void **state)
{
	(void)state;
	assert_yaml("\n{\"a\":\t[1, \"yes\"]}", "{'a':[1,'yes']}");
	assert_yaml("{a: yes, b: {c: d}}", "{'a':true,'b':{'c':'d'}}");
	assert_yaml("", "null");
	assert_yaml("# nothing\n", "null");
}

static int collect(void *arg, struct json_doc *doc, struct err *e)
{
	struct str *s = arg;

	(void)e;
	json_write_to(json_root(doc), s);
	json_doc_free(doc);
	return s->len > 20 ? err_set(e, ERR_TOO_LARGE, "enough") : 0;
}

static void a_stream_skips_empty_documents_and_stops_when_told(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };
	const char *t = "---\n# c\n---\na: 1\n---\n...\n---\nb: &x 2\n";
	const char *again = "a: &x 1111111111\n---\nb: 2222222222\n---\nc: 3\n";
	struct err e = { 0 };

	(void)state;
	assert_int_equal(yaml_parse_all(t, strlen(t), collect, &s, &e), 0);
	assert_string_equal(s.data, "{\"a\":1}{\"b\":2}");
	str_clear(&s);
	assert_int_equal(yaml_parse_all(again, strlen(again), collect, &s, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_null(strchr(s.data, 'c'));
	/* anchors end with their document */
	const char *over = "a: &x 1\n---\nb: *x\n";
	assert_int_equal(yaml_parse_all(over, strlen(over), collect, &s, &e), -1);
}

static void writing_reads_well(void **state)
{
	CLEANUP(str_done) struct str s = { 0 };

	(void)state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'kind':'VM','n':1,'yes':'yes','l':[{'a':1,'b':[]},[1,[2]],"
				      "'x: y'],'text':'one\\n two\\n','e':{},'v':'1.5','t':null}");
	yaml_write(json_root(d), &s);
	assert_string_equal(s.data, "kind: VM\n\"n\": 1\n\"yes\": \"yes\"\nl:\n- a: 1\n  b: []\n- - 1\n  - - "
				    "2\n- \"x: y\"\ntext: |\n  one\n   two\n"
				    "e: {}\nv: \"1.5\"\nt: null\n");
}

/* ---- whatever is written is read back the same ---- */

static struct json *random_string(struct chance *c, struct json_doc *d)
{
	static const char *const pieces[] = { "a", "b", " ", "  ", "\n", "\n\n", ": ", " #", "- ", "#", "'",
		"\"", "\\", "\t", "\r", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xc2\x85", "\xe2\x80\xa8",
		"\xef\xbb\xbf", "\x7f", "\x01", "true", "null", "0x1", "1e3", "~", "<<", "---", "...", "{",
		"]", ",", "&x", "*x", "!t", "|", ">", "%", "@", "`", "=", "?", "2024-01-01", "12:30", ".inf",
		"_", "k" };
	CLEANUP(str_done) struct str s = { 0 };

	str_add(&s, "");
	for (unsigned n = chance_below(c, 6); n > 0; n--)
		str_add(&s, pieces[chance_below(c, ARRAY_LEN(pieces))]);
	if (chance_below(c, 50) == 0)
		for (int i = 0; i < 1500; i++)
			str_addc(&s, 'z');
	return json_new_strn(d, s.data, s.len);
}

static struct json *random_value(struct chance *c, struct json_doc *d, int depth)
{
	unsigned kind = chance_below(c, depth > 4 ? 6 : 9), n = chance_below(c, 5);
	struct json *v;

	switch (kind) {
	case 0:
		return json_new_bool(d, n & 1);
	case 1:
		return json_new_i64(d, (int64_t)chance_u64(c) >> chance_below(c, 64));
	case 2:
		return json_new_u64(d, chance_u64(c));
	case 3:
		return n == 0 ? json_new_null(d)
			      : json_new_num(d, (double)(int64_t)chance_u64(c) / (1 << 20));
	case 4:
	case 5:
		return random_string(c, d);
	case 6:
		v = json_new_arr(d);
		for (; n > 0; n--)
			json_append(d, v, random_value(c, d, depth + 1));
		return v;
	default:
		v = json_new_obj(d);
		for (; n > 0; n--) {
			/* one after the other: the order of evaluating arguments is the compiler's */
			const char *key = json_str(random_string(c, d));
			json_set(d, v, key, random_value(c, d, depth + 1));
		}
		return v;
	}
}

static void what_is_written_is_read_back_the_same(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10000; seed++) {
		struct chance c = { seed * 49979687 };
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		CLEANUP(str_done) struct str s = { 0 };
		struct err e = { 0 };

		json_set_root(d, json_new_arr(d));
		for (int i = 0; i < 3; i++)
			json_append(d, json_root(d), random_value(&c, d, 0));
		yaml_write(json_root(d), &s);
		CLEANUP(json_doc_freep) struct json_doc *back = yaml_parse(s.data, s.len, &e);
		if (!back || !json_eq(json_root(d), json_root(back)))
			fail_msg("seed %d: %s\n%s", (int)seed, e.msg, s.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_scalars_mean_what_kubectl_users_see),
		cmocka_unit_test(quoted_and_block_scalars_are_strings),
		cmocka_unit_test(keys_are_always_strings),
		cmocka_unit_test(tags_decide),
		cmocka_unit_test(anchors_and_merge_keys),
		cmocka_unit_test(hostile_aliases_are_bounded),
		cmocka_unit_test(hostile_depth_is_bounded),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(json_takes_the_same_door),
		cmocka_unit_test(a_stream_skips_empty_documents_and_stops_when_told),
		cmocka_unit_test(writing_reads_well),
		cmocka_unit_test(what_is_written_is_read_back_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
