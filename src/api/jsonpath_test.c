/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jsonpath.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

static void add_text(void *arg, const struct json *v)
{
	struct str *s = arg;

	if (s->len)
		str_addc(s, ' ');
	json_write_to(v, s);
}

/* kubernetes-api.md 4, 8.84 */
static void paths_find_their_values(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'a':{'b':1,'x.y/z':2,'p.q':3},'l':[{'n':'a','v':1},{'n':'b','v':2}],"
				      "'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'"
				      "Paused','status':'False'}]}}");
	static const char *const cases[][2] = {
		{ ".a.b", "1" },
		{ "{.a.b}", "1" },
		{ "a.b", "1" },
		{ "$.a.b", "1" },
		{ ".a['x.y/z']", "2" },
		{ ".a.p\\.q", "3" },
		{ ".l[0].n", "\"a\"" },
		{ ".l[-1].n", "\"b\"" },
		{ ".l[*].v", "1 2" },
		{ ".l[5].v", "" },
		{ ".nothing.at.all", "" },
		{ ".status.conditions[?(@.type=='Ready')].status", "\"True\"" },
		{ ".status.conditions[?(@.type==\"Paused\")].status", "\"False\"" },
		{ ".status.conditions[?(@.type != 'Ready')].status", "\"False\"" },
		{ ".l[?(@.v>1)].n", "\"b\"" },
		{ ".l[?(@.v==1)].n", "\"a\"" },
		{ ".l[?(@.zz)].n", "" },
		{ ".l[?(@.v)].v", "1 2" },
		{ ".a.b.c", "" },
		{ ".status.conditions[?(@.type=='None')].status", "" },
	};
	static const char *const bad[] = { ".a[", ".a[x]", ".a..b", ".l[?(@.a=='x]", ".l[?(a)]", ".a]",
		".a['b]", ".l[?(@.a==)]" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(str_done) struct str got = { 0 };
		struct jsonpath *p = NULL;
		struct err e = { 0 };

		if (jsonpath_parse(cases[i][0], &p, &e) < 0)
			fail_msg("%s: %s", cases[i][0], e.msg);
		jsonpath_each(p, json_root(d), add_text, &got);
		if (!str_eq(str_cstr(&got), cases[i][1]))
			fail_msg("%s gives %s", cases[i][0], str_cstr(&got));
		jsonpath_free(p);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct jsonpath *p = NULL;

		if (jsonpath_parse(bad[i], &p, NULL) == 0)
			fail_msg("%s should be refused", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(paths_find_their_values) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
