/* SPDX-License-Identifier: Apache-2.0 */
/* Every built-in kind: its table is sound, its schema compiles, its names are what kubectl expects. */
#include "base/mem.h"
#include "base/test_util.h"
#include "platform/kinds/builtin.h"

static void every_table_is_sound(void **state)
{
	for (size_t i = 0; builtin_groups[i]; i++) {
		for (const struct resource_def *def = builtin_groups[i]; def->kind.kind; def++) {
			CLEANUP(str_done) struct str problems = { 0 };

			if (!fields_check(def->kind.fields, &problems))
				fail_msg("%s: %s", def->kind.kind, str_cstr(&problems));
		}
	}
}

static void every_body_of_a_subresource_is_sound(void **state)
{
	for (const struct kind *k = builtin_bodies; k->kind; k++) {
		CLEANUP(str_done) struct str problems = { 0 };

		if (!fields_check(k->fields, &problems))
			fail_msg("%s: %s", k->kind, str_cstr(&problems));
	}
}

static void every_schema_compiles(void **state)
{
	for (size_t i = 0; builtin_groups[i]; i++) {
		for (const struct resource_def *def = builtin_groups[i]; def->kind.kind; def++) {
			CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(def->kind.fields);
			CLEANUP(causes_done) struct causes causes = { 0 };
			struct schema *s = NULL;
			struct err e = { 0 };

			if (schema_compile(json_root(d), "", &s, &causes, &e) < 0)
				fail_msg("%s: %s", def->kind.kind, e.msg);
			schema_free(s);
		}
	}
}

static void every_status_subresource_is_listed(void **state)
{
	for (size_t i = 0; builtin_groups[i]; i++) {
		for (const struct resource_def *def = builtin_groups[i]; def->kind.kind; def++) {
			bool found = false;

			for (const struct subresource *s = def->subresources; s && s->name; s++)
				found = found || str_eq(s->name, "status");
			assert_int_equal(found, def->kind.has_status);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_table_is_sound),
		cmocka_unit_test(every_body_of_a_subresource_is_sound),
		cmocka_unit_test(every_schema_compiles),
		cmocka_unit_test(every_status_subresource_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
