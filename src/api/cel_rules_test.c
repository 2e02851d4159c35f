/* SPDX-License-Identifier: Apache-2.0 */
/* kubernetes-api.md 79: the rules that KubeVirt, cert-manager and the gateway API ship accept one value and refuse another, as
 * kube-apiserver does with the same schema. The rules are in cel_rules.json, one a line: where from, the part of the schema a
 * rule needs, the two values. */
#include "api/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

#define RULES_MAX (1024 * 1024)

static const char *rules_file;

/* {v: value} under a schema with the member v */
static struct json_doc *wrapped(const struct json *v)
{
	struct json_doc *d = json_doc_new();

	json_set_root(d, json_new_obj(d));
	json_set_copy(d, json_root(d), "v", v);
	return d;
}

static struct schema *schema_of(const struct json *row)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'type':'object','properties':{}}");
	CLEANUP(causes_done) struct causes c = { 0 };
	struct schema *s = NULL;
	struct err e = { 0 };

	json_set_copy(d, json_get(json_root(d), "properties"), "v", json_get(row, "schema"));
	if (schema_compile(json_root(d), "S", &s, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	schema_check_rules(s, "S", &c);
	if (c.len)
		fail_msg("%s: %s", c.items[0].field, c.items[0].message);
	return s;
}

/* Number of complaints; all must be the rule's own. */
static size_t ask(const struct schema *s, const struct json *row, const char *which)
{
	CLEANUP(mem_freep) char *old_key = str_printf("%s_old", which);
	CLEANUP(json_doc_freep) struct json_doc *d = wrapped(json_get(row, which));
	CLEANUP(json_doc_freep)
	struct json_doc *old = json_get(row, old_key) ? wrapped(json_get(row, old_key)) : NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	const struct json *rule = json_item(json_at(row, "/schema/x-kubernetes-validations"), 0);
	const char *text = json_str_or(json_get(rule, "message"), json_str(json_get(rule, "rule")));

	schema_validate(s, json_root(d), old ? json_root(old) : NULL, &c);
	for (size_t i = 0; i < c.len; i++)
		if (!str_ends(c.items[i].message, text) || strstr(c.items[i].message, "evaluating rule"))
			fail_msg("%s: %s", text, c.items[i].message);
	return c.len;
}

static void shipped_rules_accept_and_refuse(void **state)
{
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };
	size_t n = 0, of_kubevirt = 0, len;

	(void)state;
	if (file_read(rules_file, RULES_MAX, &text, &len, &e) < 0 || !(d = json_parse(text, len, &e)))
		fail_msg("%s", e.msg);
	JSON_EACH (it, json_root(d)) {
		struct schema *s = schema_of(it.val);
		const char *rule = json_str(
			json_get(json_item(json_at(it.val, "/schema/x-kubernetes-validations"), 0), "rule"));

		if (ask(s, it.val, "accepts") != 0)
			fail_msg("refused, but should not be: %s", rule);
		if (ask(s, it.val, "refuses") == 0)
			fail_msg("accepted, but should not be: %s", rule);
		schema_free(s);
		n++;
		of_kubevirt += str_eq(json_get_str(it.val, "from"), "kubevirt");
	}
	assert_true(n > 100 && of_kubevirt >= 12);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shipped_rules_accept_and_refuse) };

	if (argc < 2)
		return 2;
	rules_file = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
