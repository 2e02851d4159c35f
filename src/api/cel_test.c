/* SPDX-License-Identifier: Apache-2.0 */
/* kubernetes-api.md 79: expressions mean what they mean to Kubernetes. */
#include "api/cel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"

/* The value of an expression as JSON text, "error: ..." or "compile: ..."; caller frees. `self` is dynamic. */
static char *result_of(const char *text)
{
	static const char object[] =
		"{'a':1,'s':'hello','l':[1,2,3],'names':['x','y'],'m':{'k':'v','n':2},'d':1.5,'nul':null,'t':"
		"true,"
		"'big':18446744073709551615,'items':[{'n':'a','v':1},{'n':'b','v':2}],'empty':[]}";
	CLEANUP(json_doc_freep) struct json_doc *doc = json_lit(object), *out = json_doc_new();
	CLEANUP(cel_env_freep) struct cel_env *env = cel_env_new();
	CLEANUP(cel_program_freep) struct cel_program *p = NULL;
	CLEANUP(cel_run_freep) struct cel_run *r = cel_run_new();
	struct cel_value vars[2], v;
	struct json *j;
	struct err e = { 0 };

	cel_env_add(env, "self", cel_type_named(env, "D"));
	cel_env_add(env, "words", cel_type_named(env, "Ls"));
	if (cel_compile(text, env, NULL, &p, &e) < 0)
		return str_printf("compile: %s", e.msg);
	vars[0] = cel_from_json(r, json_root(doc));
	vars[1] = cel_from_json(r, json_get(json_root(doc), "names"));
	if (cel_eval(p, r, vars, &v, &e) < 0)
		return str_printf("error: %s", e.msg);
	j = cel_to_json(r, out, &v);
	return j ? json_write(j, NULL) : mem_strdup("no JSON");
}

struct row {
	const char *text, *want; /* want may be the beginning of an error */
};

static void check_rows(const struct row *rows, size_t n)
{
	size_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		CLEANUP(mem_freep) char *got = result_of(rows[i].text);
		bool ok = str_eq(got, rows[i].want) ||
			  ((str_starts(rows[i].want, "error") || str_starts(rows[i].want, "compile")) &&
				  str_starts(got, rows[i].want));

		if (!ok)
			print_error("%s\n  want %s\n  got  %s\n", rows[i].text, rows[i].want, got);
		bad += !ok;
	}
	assert_int_equal(bad, 0);
}
#define CHECK(rows) check_rows(rows, ARRAY_LEN(rows))

static void literals(void **state)
{
	static const struct row rows[] = {
		{ "1", "1" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "9223372036854775808", "compile: " },
		{ "0xff", "255" },
		{ "-0x10", "-16" },
		{ "18446744073709551615u", "18446744073709551615" },
		{ "18446744073709551616u", "compile: " },
		{ "1.5e3", "1500.0" },
		{ ".5", "0.5" },
		{ "true && !false", "true" },
		{ "null", "null" },
		{ "'a\\n\\t\\x41\\u00e9\\U0001F600\\101'", "\"a\\n\\tA\xc3\xa9\xf0\x9f\x98\x80"
							   "A\"" },
		{ "r'a\\n'", "\"a\\\\n\"" },
		{ "R\"\"\"x\"y\\\"\"\"", "\"x\\\"y\\\\\"" },
		{ "'''a\nb''' + \"c'd\"", "\"a\\nbc'd\"" },
		{ "b'abc'", "\"YWJj\"" },
		{ "b'\\xff'", "\"/w==\"" },
		{ "br'\\x'", "\"XHg=\"" },
		{ "'\\q'", "compile: " },
		{ "'open", "compile: " },
		{ "'a\nb'", "compile: " },
		{ "[1, 2, 3,]", "[1,2,3]" },
		{ "{'a': 1, 'b': 2}", "{\"a\":1,\"b\":2}" },
		{ "{'a': 1, 'a': 2}", "{\"a\":2}" },
		{ "{}", "{}" },
		{ "[]", "[]" },
		{ "[1, 'a']", "compile: compilation failed: ERROR: <input>:1:5: expected type 'int' but "
			      "found 'string'" },
		{ "[1, dyn('a')]", "compile: compilation failed: ERROR: <input>:1:8: expected type 'int' but "
				   "found 'dyn'" },
		{ "1 + // comment\n 2", "3" },
		{ "", "compile: " },
		{ "1 1", "compile: " },
		{ "(1", "compile: " },
		{ "1 +", "compile: " },
		{ "a$b", "compile: " },
		{ "for", "compile: " },
		{ "Foo{a: 1}", "compile: " },
	};

	(void)state;
	CHECK(rows);
}

static void operators(void **state)
{
	static const struct row rows[] = {
		{ "1 + 2 * 3 - 4 / 2 % 3", "5" },
		{ "-7 / 2", "-3" },
		{ "-7 % 3", "-1" },
		{ "7.0 / 2.0", "3.5" },
		{ "1 / 0", "error: division by zero" },
		{ "1 % 0", "error: modulus by zero" },
		{ "1.0 / 0.0 > 1.0", "true" },
		{ "9223372036854775807 + 1", "error: integer overflow" },
		{ "-9223372036854775807 - 2", "error: integer overflow" },
		{ "-(-9223372036854775807 - 1)", "error: integer overflow" },
		{ "9223372036854775807 * 2", "error: integer overflow" },
		{ "1u - 2u", "error: unsigned integer overflow" },
		{ "'a' + 'b'", "\"ab\"" },
		{ "[1] + [2, 3]", "[1,2,3]" },
		{ "b'a' + b'b' == b'ab'", "true" },
		{ "1 + 'a'",
			"compile: compilation failed: ERROR: <input>:1:3: found no matching overload for "
			"'_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^" },
		{ "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2", "true" },
		{ "1 < 1.5 && 1u < 2 && 2.0 > 1u && -1 < 0u", "true" },
		{ "1 == 1.0", "compile: " },
		{ "dyn(1) == 1.0 && dyn(1u) == 1 && dyn(1) != 1.5", "true" },
		{ "9007199254740993 < 9007199254740992.0", "false" },
		{ "dyn(9007199254740993) == dyn(9007199254740992.0)", "true" },
		{ "'a' < 'b' && 'a' < 'aa' && b'a' < b'b' && false < true", "true" },
		{ "dyn('a') < dyn(1)", "error: no such overload" },
		{ "dyn(1) == 'a'", "false" },
		{ "true ? 1 : 2", "1" },
		{ "false ? 1 : true ? 2 : 3", "2" },
		{ "true ? 1 : 'a'", "compile: " },
		{ "1 ? 2 : 3", "compile: " },
		{ "!true || true", "true" },
		{ "!!true", "true" },
		{ "--1", "1" },
		{ "1/0 > 0 || true", "true" },
		{ "true || 1/0 > 0", "true" },
		{ "1/0 > 0 && false", "false" },
		{ "1/0 > 0 || false", "error: division by zero" },
		{ "true && 1/0 > 0 && true", "error: division by zero" },
		{ "true && 'a'", "compile: " },
		{ "2 in [1, 2]", "true" },
		{ "'k' in {'k': 1} && !('x' in {'k': 1})", "true" },
		{ "self.a in [1, 2] && 'k' in self.m", "true" },
		{ "'a' in [1]", "compile: " },
		{ "[1, 2] == [1, 2] && [1, 2] != [2, 1]", "true" },
		{ "{'a': [1], 'b': [2]} == {'b': [2], 'a': [1]}", "true" },
		{ "[[1], []] == [[1], []]", "true" },
		{ "null == null", "true" },
		{ "self.nul == null && self.a != null", "true" },
		{ "'a' == null", "compile: " },
		{ "1 + 2 == 3 ? 'y' : 'n'", "\"y\"" },
		{ "1 < 2 < 3", "compile: " },
	};

	(void)state;
	CHECK(rows);
}

static void members(void **state)
{
	static const struct row rows[] = {
		{ "self.a", "1" },
		{ "self['s']", "\"hello\"" },
		{ "self.l[1]", "2" },
		{ "self.l[3]", "error: index out of bounds: 3" },
		{ "self.l[-1]", "error: index out of bounds: -1" },
		{ "self.l[1.0]", "2" },
		{ "words[0] + words[1]", "\"xy\"" },
		{ "words['0']", "compile: " },
		{ "self.x", "error: no such key: x" },
		{ "self.m['x']", "error: no such key: x" },
		{ "{1: 'a'}[2]", "error: no such key: 2" },
		{ "{1: 'a', 2: 'b'}[2]", "\"b\"" },
		{ "{true: 1}[true]", "1" },
		{ "{1.5: 1}[1.5]", "1" },
		{ "has(self.a) && !has(self.x) && has(self.nul)", "true" },
		{ "has(self.m.k) && !has(self.m.z)", "true" },
		{ "has(self.x.y)", "error: no such key: x" },
		{ "has(self)",
			"compile: compilation failed: ERROR: <input>:1:5: invalid argument to has() macro" },
		{ "has({'a': 1}.a)", "true" },
		{ "self.a.b", "error: no such key: b" },
		{ "has(self.a.b) || has(self.s.k)", "false" },
		{ "self.l['a']", "error: unsupported index type 'string' in list" },
		{ "1.a", "compile: " },
		{ "'s'.foo", "compile: compilation failed: ERROR: <input>:1:4: type 'string' does not "
			     "support field "
			     "selection" },
		{ "other", "compile: compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' "
			   "(in "
			   "container '')\n | other\n | ^" },
		{ "nope(1)",
			"compile: compilation failed: ERROR: <input>:1:5: undeclared reference to 'nope'" },
		{ "self.big == 18446744073709551615u", "true" },
		{ ".self.a", "1" },
	};

	(void)state;
	CHECK(rows);
}

static void macros(void **state)
{
	static const struct row rows[] = {
		{ "[1, 2, 3].all(x, x > 0)", "true" },
		{ "[1, 2, 3].all(x, x > 1)", "false" },
		{ "[].all(x, x > 1)", "true" },
		{ "[1, 2, 0].all(x, 1 / x > 5)", "false" },
		{ "[1, 0].all(x, 1 / x > 0)", "error: division by zero" },
		{ "[1, 2, 3].exists(x, x == 2)", "true" },
		{ "[0, 1].exists(x, 1 / x == 1)", "true" },
		{ "[0, 2].exists(x, 1 / x == 1)", "error: division by zero" },
		{ "[1, 2, 2].exists_one(x, x == 2)", "false" },
		{ "[1, 2].existsOne(x, x == 2)", "compile: " },
		{ "[0, 1].exists_one(x, 1 / x == 1)", "error: division by zero" },
		{ "[1, 2, 3].map(x, x * 2)", "[2,4,6]" },
		{ "[1, 2, 3].map(x, x > 1, x * 2)", "[4,6]" },
		{ "[1, 2, 3].filter(x, x != 2)", "[1,3]" },
		{ "{'a': 1, 'b': 2}.map(k, k)", "[\"a\",\"b\"]" },
		{ "{'a': 1}.exists(k, k == 'a')", "true" },
		{ "self.items.map(i, i.n)", "[\"a\",\"b\"]" },
		{ "self.items.filter(i, i.v > 1)[0].n", "\"b\"" },
		{ "[1, 2].map(x, [3, 4].map(y, x * y))", "[[3,4],[6,8]]" },
		{ "[1].map(x, [x].map(x, x + 1))", "[[2]]" },
		{ "[1, 2].all(i, v, v == i + 1)", "true" },
		{ "{'a': 1}.exists(k, v, k == 'a' && v == 1)", "true" },
		{ "[1, 1].existsOne(i, v, i == 1)", "true" },
		{ "[5, 6].transformList(i, v, i * v)", "[0,6]" },
		{ "[5, 6].transformList(i, v, i > 0, v)", "[6]" },
		{ "{'a': 1, 'b': 2}.transformMap(k, v, v * 10)", "{\"a\":10,\"b\":20}" },
		{ "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, k)", "{\"b\":\"b\"}" },
		{ "['x', 'y'].transformMapEntry(i, v, {v: i})", "{\"x\":0,\"y\":1}" },
		{ "['x', 'x'].transformMapEntry(i, v, {v: i})",
			"error: insert failed: key x already exists" },
		{ "[3, 1, 2].sortBy(x, -x)", "[3,2,1]" },
		{ "1.all(x, true)", "compile: " },
		{ "'abc'.all(x, true)", "compile: compilation failed: ERROR: <input>:1:1: expression of type "
					"'string' cannot be range "
					"of a comprehension (must be list, map, or dynamic)" },
		{ "[1].all(x, x)",
			"compile: compilation failed: ERROR: <input>:1:12: expected type 'bool' but found "
			"'int'" },
		{ "[1].all(x.y, true)",
			"compile: compilation failed: ERROR: <input>:1:10: argument must be a simple "
			"name" },
		{ "[1].all(i, i, true)", "compile: " },
		{ "self.a.all(x, true)", "error: no such overload" },
	};

	(void)state;
	CHECK(rows);
}

static void conversions(void **state)
{
	static const struct row rows[] = {
		{ "int('42') + int(3.9) + int(2u)", "47" },
		{ "int('x')", "compile: program instantiation failed: type conversion error from 'string' to "
			      "'int'" },
		{ "int(1e30)", "compile: " },
		{ "int(self.d * 1e30)", "error: integer overflow" },
		{ "int(timestamp('1970-01-01T00:01:00Z'))", "60" },
		{ "uint(-1)", "compile: " },
		{ "uint(-self.a)", "error: unsigned integer overflow" },
		{ "uint('7') + 1u", "8" },
		{ "double('1.5') + double(1)", "2.5" },
		{ "double(self.s)", "error: type conversion" },
		{ "string(1) + string(1u) + string(1.5) + string(true) + string(1000000.0)",
			"\"111.5true1e+06\"" },
		{ "string(0.1) + ' ' + string(-0.0) + ' ' + string(123456.0)", "\"0.1 -0 123456\"" },
		{ "string(b'abc')", "\"abc\"" },
		{ "string(b'\\xff')", "compile: " },
		{ "bytes('abc') == b'abc'", "true" },
		{ "bool('true') && !bool('0')", "true" },
		{ "bool(self.s)", "error: " },
		{ "type(1) == int && type('a') == string && type([]) == list && type({}) == map", "true" },
		{ "type(null) == null_type && type(1.0) == double && type(type(1)) == type", "true" },
		{ "type(duration('1s')) == google.protobuf.Duration", "true" },
		{ "type(timestamp(0)) == google.protobuf.Timestamp", "true" },
		{ "type(self.a) == int && type(self.d) == double && type(self.s) != bytes", "true" },
		{ "size('h\xc3\xa9llo') + 'ab'.size() + size(b'abc') + [1, 2].size() + size({'a': 1})",
			"13" },
		{ "size(self.l)", "3" },
		{ "size(1)", "compile: compilation failed: ERROR: <input>:1:5: found no matching overload "
			     "for 'size' "
			     "applied to '(int)'" },
		{ "size(self.a)", "error: no such overload" },
		{ "dyn(1) + dyn('a')", "error: no such overload" },
	};

	(void)state;
	CHECK(rows);
}

static void strings(void **state)
{
	static const struct row rows[] = {
		{ "'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo') && "
		  "'a'.contains('')",
			"true" },
		{ "'hello'.matches('^h.*o$') && matches('abc', 'b')", "true" },
		{ "'a'.matches('(')",
			"compile: compilation failed: ERROR: <input>:1:13: invalid matches argument" },
		{ "'a'.matches(self.s + '(')", "error: error parsing regexp" },
		{ "self.s.matches(self.s)", "true" },
		{ "'h\xc3\xa9llo'.charAt(1) + 'abc'.charAt(3)", "\"\xc3\xa9\"" },
		{ "'abc'.charAt(4)", "error: index out of range: 4" },
		{ "'hello'.indexOf('l') * 100 + 'hello'.indexOf('l', 3) * 10 + 'hello'.lastIndexOf('l')",
			"233" },
		{ "'hello'.indexOf('z') + 'hello'.indexOf('')", "-1" },
		{ "'hello'.indexOf('l', 9)", "-1" },
		{ "'h\xc3\xa9l'.indexOf('l')", "2" },
		{ "'abcabc'.lastIndexOf('abc', 2)", "0" },
		{ "'Hello'.lowerAscii() + 'Hello'.upperAscii()", "\"helloHELLO\"" },
		{ "' \\t x y\\n'.trim()", "\"x y\"" },
		{ "'banana'.replace('a', 'o')", "\"bonono\"" },
		{ "'banana'.replace('a', 'o', 2)", "\"bonona\"" },
		{ "'ab'.replace('', '-')", "\"-a-b-\"" },
		{ "'a,b,c'.split(',')", "[\"a\",\"b\",\"c\"]" },
		{ "'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]" },
		{ "'a,b'.split(',', 0)", "[]" },
		{ "'abc'.split('')", "[\"a\",\"b\",\"c\"]" },
		{ "''.split(',')", "[\"\"]" },
		{ "['a', 'b'].join() + ['a', 'b'].join('-')", "\"aba-b\"" },
		{ "[1].join()", "compile: " },
		{ "'hello'.substring(1, 3) + 'hello'.substring(3)", "\"ello\"" },
		{ "'hello'.substring(3, 1)", "error: invalid substring range. start: 3, end: 1" },
		{ "'hello'.substring(6)", "error: index out of range: 6" },
		{ "strings.quote('a\"b\\n')", "\"\\\"a\\\\\\\"b\\\\n\\\"\"" },
		{ "'%s is %d of %d, %.2f, %x %X %b %o %e %%'.format(['a', 1, 2u, 1.005, 255, 'hi', 5, 8, "
		  "1.5])",
			"\"a is 1 of 2, 1.00, ff 6869 101 10 1.500000\xc3\x97"
			"10\xe2\x81\xb0\xe2\x81\xb0 %\"" },
		{ "'%s %s %s'.format([[1, 2], {'k': 'v'}, null])", "\"[1, 2] {\\\"k\\\":\\\"v\\\"} null\"" },
		{ "'%d'.format(['a'])", "compile: " },
		{ "'%s'.format([])", "compile: " },
		{ "'%d'.format([self.s])", "error: error during formatting" },
		{ "'%.1f %s'.format([1234567.25, [1.5, duration('1s')]])",
			"\"1,234,567.2 [1.500000, duration(\\\"1s\\\")]\"" },
		{ "'%'.format([])", "compile: " },
		{ "'abc123def45'.find('[0-9]+') + '-' + 'abc'.find('[0-9]+')", "\"123-\"" },
		{ "'abc123def45'.findAll('[0-9]+')", "[\"123\",\"45\"]" },
		{ "'abc123def45'.findAll('[0-9]+', 1)", "[\"123\"]" },
		{ "'aaa'.find('a+?') + '|' + 'aaa'.find('a{1,2}') + '|' + 'ab'.find('a|ab') + '|' + "
		  "'ab'.find('ab|a')",
			"\"a|aa|a|ab\"" },
		{ "'baaac'.findAll('a*')", "[\"\",\"aaa\",\"\"]" },
		{ "'x.y.z'.findAll('[a-z]\\\\b')", "[\"x\",\"y\",\"z\"]" },
		{ "'(?U)' == '' ? '' : 'aaa'.find('(?U)a+')", "\"a\"" },
	};

	(void)state;
	CHECK(rows);
}

static void times(void **state)
{
	static const struct row rows[] = {
		{ "duration('1h30m') == duration('90m') && duration('1.5s') > duration('1499ms')", "true" },
		{ "duration('90m')", "\"5400s\"" },
		{ "duration('-1.25s')", "\"-1.25s\"" },
		{ "duration('x')",
			"compile: compilation failed: ERROR: <input>:1:10: invalid duration argument" },
		{ "duration(self.s)",
			"error: type conversion error from 'string' to 'google.protobuf.Duration'" },
		{ "duration('1h').getMinutes() + duration('1h').getHours() + duration('61s').getSeconds()",
			"122" },
		{ "duration('1.5s').getMilliseconds()", "1500" },
		{ "duration('1h') + duration('1m') - duration('1s')", "\"3659s\"" },
		{ "timestamp('2024-02-29T12:30:45.5Z')", "\"2024-02-29T12:30:45.5Z\"" },
		{ "timestamp('2024-02-29T12:30:45+02:00')", "\"2024-02-29T12:30:45+02:00\"" },
		{ "timestamp('2023-02-29T00:00:00Z')",
			"compile: compilation failed: ERROR: <input>:1:11: invalid timestamp argument" },
		{ "timestamp('2024-02-28T23:59:59Z') + duration('2s')", "\"2024-02-29T00:00:01Z\"" },
		{ "timestamp('2024-01-01T00:00:00Z') - duration('0.5s')", "\"2023-12-31T23:59:59.5Z\"" },
		{ "timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')",
			"true" },
		{ "timestamp('2024-01-02T00:00:00Z') > timestamp('2024-01-01T00:00:00Z')", "true" },
		{ "timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error: timestamp overflow" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getFullYear()", "2024" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getMonth()", "2" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getDate()", "10" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getDayOfMonth()", "9" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getDayOfWeek()", "0" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getDayOfYear()", "69" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getHours()", "12" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getHours('-05:30')", "7" },
		{ "timestamp('2024-03-10T12:30:45.678Z').getMilliseconds()", "678" },
		{ "timestamp('2024-03-10T12:30:45Z').getHours('Mars/Phobos')",
			"error: unknown time zone Mars/Phobos" },
		{ "timestamp(0).getDayOfWeek()", "4" },
		{ "string(timestamp(1)) + string(duration('1s'))", "\"1970-01-01T00:00:01Z1s\"" },
		{ "timestamp('1969-12-31T23:59:59Z').getSeconds()", "59" },
	};

	(void)state;
	CHECK(rows);
}

static void lists(void **state)
{
	static const struct row rows[] = {
		{ "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()", "true" },
		{ "[1, 2].sum() + [3].sum()", "6" },
		{ "[1.5, 2.0].sum()", "3.5" },
		{ "[duration('1s'), duration('2s')].sum()", "\"3s\"" },
		{ "[2, 1, 3].min() * 10 + [2, 1, 3].max()", "13" },
		{ "words.min()", "\"x\"" },
		{ "words.filter(w, false).max()", "error: max called on empty list" },
		{ "[1, 2, 1].indexOf(1) * 100 + [1, 2, 1].lastIndexOf(1) * 10 + [1].indexOf(5)", "19" },
		{ "[1, 2, 3].slice(1, 3)", "[2,3]" },
		{ "[1].slice(0, 2)", "error: cannot slice(0, 2), list is length 1" },
		{ "[[1], [2, 3]].flatten()", "[1,2,3]" },
		{ "[3, 1, 2].sort()", "[1,2,3]" },
		{ "[1, 2, 1].distinct()", "[1,2]" },
		{ "[1, 2].reverse()", "[2,1]" },
		{ "lists.range(3)", "[0,1,2]" },
		{ "sets.contains([1, 2], [2]) && !sets.contains([1], [2])", "true" },
		{ "sets.equivalent([1, 2, 2], [2, 1]) && sets.intersects([1, 2], [2, 3]) && "
		  "!sets.intersects([1], [])",
			"true" },
	};

	(void)state;
	CHECK(rows);
}

static void optionals(void **state)
{
	static const struct row rows[] = {
		{ "optional.of(1).value()", "1" },
		{ "optional.none().hasValue()", "false" },
		{ "optional.none().value()", "error: optional.none() dereference" },
		{ "optional.of(1).hasValue()", "true" },
		{ "optional.ofNonZeroValue('').hasValue() || optional.ofNonZeroValue(0).hasValue()",
			"false" },
		{ "optional.none().orValue(5)", "5" },
		{ "optional.of(1).orValue(1 / 0)", "1" },
		{ "optional.none().or(optional.of(2)).value()", "2" },
		{ "self.?a.value() + self.?x.orValue(10)", "11" },
		{ "self.?m.?k.orValue('d') + self.?m.?z.orValue('d') + self.?q.?k.orValue('e')", "\"vde\"" },
		{ "self.?m.k.orValue('d')", "\"v\"" },
		{ "self.l[?1].value() + self.l[?9].orValue(0)", "2" },
		{ "self.m[?'k'].hasValue() && !self.m[?'z'].hasValue()", "true" },
		{ "has(self.?m.k) && !has(self.?q.k)", "true" },
		{ "[?self.?a, ?self.?x]", "[1]" },
		{ "{?'a': self.?a, ?'x': self.?x}", "{\"a\":1}" },
		{ "self.?a.optMap(v, v + 1).value()", "2" },
		{ "self.?x.optMap(v, v + 1).hasValue()", "false" },
		{ "self.?m.optFlatMap(m, m.?k).value()", "\"v\"" },
		{ "optional.unwrap([optional.of(1), optional.none()])", "[1]" },
		{ "[optional.of(1)].unwrapOpt()", "[1]" },
		{ "optional.of(1) == optional.of(1) && optional.none() != optional.of(1)", "true" },
		{ "type(optional.of(1)) == optional_type", "true" },
		{ "[1, 2].first().value() * 10 + [1, 2].last().value()", "12" },
	};

	(void)state;
	CHECK(rows);
}

static void kubernetes_libraries(void **state)
{
	static const struct row rows[] = {
		{ "isQuantity('1Gi') && !isQuantity('1Gx')", "true" },
		{ "quantity('1Gi').isGreaterThan(quantity('1G')) && "
		  "quantity('500m').isLessThan(quantity('1'))",
			"true" },
		{ "quantity('1000m').compareTo(quantity('1'))", "0" },
		{ "quantity('1k').asInteger() + quantity('2').asInteger()", "1002" },
		{ "quantity('500m').asInteger()", "error: cannot convert value to integer" },
		{ "quantity('500m').isInteger() || quantity('500m').asApproximateFloat() != 0.5", "false" },
		{ "quantity('1').add(quantity('500m')) == quantity('1500m') && sign(quantity('1').sub(2)) "
		  "== -1",
			"true" },
		{ "quantity('x')", "error: quantities must match the regular expression" },
		{ "isIP('10.0.0.1') && isIP('::1') && !isIP('10.0.0.256') && !isIP('010.0.0.1') && "
		  "!isIP('::ffff:1.2.3.4')",
			"true" },
		{ "ip('10.0.0.1').family() == 4 && ip('fe80::1').family() == 6", "true" },
		{ "ip('127.0.0.1').isLoopback() && ip('0.0.0.0').isUnspecified() && "
		  "ip('fe80::1').isLinkLocalUnicast()",
			"true" },
		{ "ip('224.0.0.1').isLinkLocalMulticast() && ip('8.8.8.8').isGlobalUnicast() && "
		  "!ip('255.255.255.255').isGlobalUnicast()",
			"true" },
		{ "ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')", "true" },
		{ "string(ip('2001:db8:0:0:0:0:0:1')) + ' ' + string(ip('0:0:1::')) + ' ' + string(ip('::'))",
			"\"2001:db8::1 0:0:1:: ::\"" },
		{ "ip('x')", "error: IP Address 'x' parse error" },
		{ "cidr('10.0.0.0/8').containsIP('10.1.2.3') && "
		  "!cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
			"true" },
		{ "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && "
		  "!cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
			"true" },
		{ "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').prefixLength() == "
		  "8",
			"true" },
		{ "string(cidr('10.1.2.3/9').ip()) + string(cidr('fd00::/8'))", "\"10.1.2.3fd00::/8\"" },
		{ "isCIDR('10.0.0.0/33') || isCIDR('10.0.0.0')", "false" },
		{ "isURL('https://example.com:80/p?q=1') && isURL('/abs') && !isURL('x y') && "
		  "!isURL('rel/path')",
			"true" },
		{ "url('https://u@example.com:80/a%20b?k=1&k=2&e=a+b').getHost()", "\"example.com:80\"" },
		{ "url('https://[::1]:80/a').getHostname() + url('https://[::1]:80/a').getPort()",
			"\"::180\"" },
		{ "url('https://h/a b').getScheme() + url('https://h/a b').getEscapedPath()",
			"\"https/a%20b\"" },
		{ "url('https://h/?k=1&k=2&e=a+b').getQuery()", "{\"k\":[\"1\",\"2\"],\"e\":[\"a b\"]}" },
		{ "url('x y')", "error: URL parse error" },
		{ "format.dns1123Label().validate('a-b').hasValue()", "false" },
		{ "format.dns1123Label().validate('A').value()[0].startsWith('a lowercase RFC 1123 label')",
			"true" },
		{ "format.dns1123Label().validate('x') == null", "false" },
		{ "format.named('dns1035Label').value().validate('1a').hasValue()", "true" },
		{ "format.named('nope').hasValue()", "false" },
		{ "format.qualifiedName().validate('a.b/C_d').hasValue() || "
		  "!format.qualifiedName().validate('a/b/c').hasValue()",
			"false" },
		{ "format.labelValue().validate('').hasValue() || format.uuid().validate('x').value().size() "
		  "!= 1",
			"false" },
		{ "format.dns1123SubdomainPrefix().validate('a.b-').hasValue()", "false" },
		{ "format.uri().validate('http://a').hasValue() || "
		  "!format.date().validate('2021-13-01').hasValue()",
			"false" },
		{ "isSemver('1.2.3-rc.1+b') && !isSemver('v1.2') && isSemver('v1.2', true)", "true" },
		{ "semver('1.2.3').isLessThan(semver('1.10.0')) && "
		  "semver('1.0.0-a').isLessThan(semver('1.0.0'))",
			"true" },
		{ "semver('1.0.0-2').compareTo(semver('1.0.0-10'))", "-1" },
		{ "semver('1.2.3').major() * 100 + semver('1.2.3').minor() * 10 + semver('1.2.3').patch()",
			"123" },
		{ "semver('01.2.3')", "error: " },
	};

	(void)state;
	CHECK(rows);
}

/* What an expression may cost is bounded, whatever it says. */
static void limits(void **state)
{
	CLEANUP(str_done) struct str deep = { 0 }, longer = { 0 }, chain = { 0 };
	CLEANUP(mem_freep) char *got = NULL;
	static const struct row rows[] = {
		{ "lists.range(2000000).size()", "error: operation cancelled: actual cost limit exceeded" },
		{ "lists.range(2000).all(x, lists.range(2000).all(y, x + y >= 0))",
			"error: operation cancelled" },
		{ "lists.range(100000).map(x, "
		  "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa').join().split('')"
		  ".size() > 0",
			"error: operation cancelled" },
		{ "true || lists.range(2000000).size() > 0", "true" },
		{ "lists.range(2000000).size() > 0 || true", "error: operation cancelled" },
		{ "lists.range(30).map(x, 'x').join().replace('x', lists.range(1000).map(x, "
		  "'yyyyyyyyyy').join())"
		  ".replace('y', lists.range(1000).map(x, 'zzzzzzzzzz').join()).size() > 0",
			"error: operation cancelled" },
	};

	(void)state;
	CHECK(rows);
	for (int i = 0; i < 2 * CEL_DEPTH_MAX; i++)
		str_addc(&deep, '(');
	got = result_of(str_cstr(&deep));
	assert_true(str_starts(got, "compile: "));
	free(got);
	for (int i = 0; i < CEL_EXPRESSION_MAX; i++)
		str_addc(&longer, '1');
	str_add(&longer, "11");
	got = result_of(str_cstr(&longer));
	assert_true(str_starts(got, "compile: compilation failed: expression code point size exceeds limit"));
	free(got);
	str_add(&chain, "true");
	for (int i = 0; i < 5000; i++)
		str_add(&chain, " && true");
	got = result_of(str_cstr(&chain));
	assert_string_equal(got, "true");
	free(got);
	str_clear(&chain);
	str_add(&chain, "1");
	for (int i = 0; i < 3 * CEL_DEPTH_MAX; i++)
		str_add(&chain, " + 1");
	got = result_of(str_cstr(&chain));
	assert_true(str_starts(got, "compile: "));
}

/* Members whose names are no identifiers. */
static void names_are_escaped(void **state)
{
	static const char *const pairs[][2] = { { "a-b", "a__dash__b" }, { "a.b/c", "a__dot__b__slash__c" },
		{ "x__y", "x__underscores__y" }, { "namespace", "__namespace__" }, { "if", "__if__" },
		{ "plain_1", "plain_1" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		CLEANUP(str_done) struct str out = { 0 };

		assert_true(cel_escape(pairs[i][0], strlen(pairs[i][0]), &out));
		assert_string_equal(str_cstr(&out), pairs[i][1]);
	}
	CLEANUP(str_done) struct str none = { 0 };
	assert_false(cel_escape("1a", 2, &none));
	assert_false(cel_escape("a b", 3, &none));
	assert_false(cel_escape("", 0, &none));
}

static struct cel_value field(void *arg, struct cel_run *r, size_t i)
{
	unsigned *calls = arg;

	(void)r;
	calls[i]++;
	return cel_str(i ? "second" : "first");
}

static bool authorize(void *arg, const struct cel_access *a, struct arena *arena, const char **ret_reason)
{
	(void)arg;
	(void)arena;
	*ret_reason = "because";
	if (a->path)
		return str_eq(a->path, "/healthz") && str_eq(a->verb, "get");
	return str_eq(a->group, "apps") && str_eq(a->resource, "deployments") && str_eq(a->ns, "n") &&
	       str_eq(a->name, "x") && str_eq(a->verb, "update") && !a->account;
}

static void hosts_offer_objects_and_an_authorizer(void **state)
{
	static const char *const names[] = { "one", "two" };
	static const struct row rows[] = {
		{ "variables.one + variables.one + variables.two", "firstfirstsecond" },
		{ "authorizer.path('/healthz').check('get').allowed() ? 'y' : 'n'", "y" },
		{ "authorizer.group('apps').resource('deployments').namespace('n').name('x').check('update')."
		  "allowed()"
		  " ? 'y' : 'n'",
			"y" },
		{ "authorizer.group('').resource('pods').check('get').allowed() ? 'y' : 'n'", "n" },
		{ "authorizer.serviceAccount('n', 'x').path('/').check('get').reason()", "because" },
		{ "has(variables.one) ? 'y' : 'n'", "y" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(cel_env_freep) struct cel_env *env = cel_env_new();
		CLEANUP(cel_program_freep) struct cel_program *p = NULL;
		CLEANUP(cel_run_freep) struct cel_run *r = cel_run_new();
		const struct cel_type *variables = cel_type_object(env, "variables");
		unsigned calls[2] = { 0 };
		struct cel_value vars[2], v;
		struct err e = { 0 };

		cel_type_add(env, variables, "one", cel_type_named(env, "s"));
		cel_type_add(env, variables, "two", cel_type_named(env, "s"));
		cel_env_add(env, "variables", variables);
		cel_env_add(env, "authorizer", cel_type_named(env, "Z"));
		assert_int_equal(cel_compile("variables.three", env, NULL, &p, &e), -1);
		assert_non_null(strstr(e.msg, "undefined field 'three'"));
		if (cel_compile(rows[i].text, env, cel_type_named(env, "s"), &p, &e) < 0)
			fail_msg("%s: %s", rows[i].text, e.msg);
		vars[0] = cel_lazy_object(r, names, 2, field, calls);
		vars[1] = cel_authorizer();
		cel_run_set_authorizer(r, authorize, NULL);
		if (cel_eval(p, r, vars, &v, &e) < 0)
			fail_msg("%s: %s", rows[i].text, e.msg);
		assert_int_equal(v.n, strlen(rows[i].want));
		assert_memory_equal(v.s, rows[i].want, v.n);
		assert_true(calls[0] <= 1 && calls[1] <= 1);
		assert_int_equal(cel_program_uses(p, 0), strstr(rows[i].text, "variables") != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(operators),
		cmocka_unit_test(members),
		cmocka_unit_test(macros),
		cmocka_unit_test(conversions),
		cmocka_unit_test(strings),
		cmocka_unit_test(times),
		cmocka_unit_test(lists),
		cmocka_unit_test(optionals),
		cmocka_unit_test(kubernetes_libraries),
		cmocka_unit_test(limits),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(hosts_offer_objects_and_an_authorizer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
