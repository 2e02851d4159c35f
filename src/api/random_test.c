/* SPDX-License-Identifier: Apache-2.0 */
/* Random input for everything clients can reach: nothing may crash (the sanitizers look on), nothing may touch its input, and
 * whatever comes out is a tree that can be written and read. */
#include "api/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/fields.h"
#include "api/jsonpath.h"
#include "api/quantity.h"
#include "api/re.h"
#include "api/selector.h"
#include "api/semantics.h"
#include "base/mem.h"

#define ROUNDS 3000

/* clang-format off */
FIELD_TABLE(thing_fields, "io.k8s.test.Thing", "A thing.",
	{ "spec", F_OBJECT, 0, "Spec." },
	{ "spec.name", F_STRING, FIELD_REQUIRED, "Name.", .min = 1, .max = 5, .pattern = "^[a-z]+$", .deflt = "\"n\"" },
	{ "spec.list", F_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "List.", .keys = "name" },
	{ "spec.list[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "spec.list[].list", F_LIST, FIELD_SET | FIELD_MERGE, "Words.", .items = F_STRING },
	{ "spec.args", F_LIST, FIELD_ATOMIC, "Args.", .items = F_STRING },
	{ "spec.map", F_MAP, 0, "Map." },
	{ "spec.map{}.name", F_QUANTITY, 0, "Quantity." },
	{ "spec.any", F_ANY, 0, "Anything." },
	{ "spec.obj", F_OBJECT, FIELD_EMBEDDED, "Object." },
	{ "status", F_OBJECT, 0, "Status." },
	{ "status.at", F_TIME, 0, "Time." });
/* clang-format on */

static const struct kind thing = { .group = "t.io",
	.version = "v1",
	.kind = "Thing",
	.plural = "things",
	.namespaced = true,
	.has_status = true };
static const struct write_rules rules = { .kind = &thing, .generation = GEN_ALL_BUT_STATUS, .name_max = 253 };

static uint64_t seed = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (unsigned)(seed >> 11) % n;
}

static const char *const words[] = { "spec", "name", "list", "map", "any", "obj", "args", "status", "at",
	"metadata", "labels", "finalizers", "ownerReferences", "uid", "managedFields", "fieldsV1", "manager",
	"operation", "Apply", "Update", "$patch", "delete", "replace", "$retainKeys", "$setElementOrder/list",
	"$deleteFromPrimitiveList/finalizers", "apiVersion", "kind", "f:spec", "k:{\"name\":\"a\"}", "k:{",
	"v:1", "i:0", ".", "", "a", "t.io/v1", "Thing", "1Gi", "2026-01-01T00:00:00Z", "x/y" };

static const char *word(void)
{
	return words[rnd(ARRAY_LEN(words))];
}

static struct json *tree(struct json_doc *d, int depth)
{
	struct json *v;

	switch (rnd(depth > 0 ? 10 : 5)) {
	case 0:
		return json_new_null(d);
	case 1:
		return json_new_bool(d, rnd(2));
	case 2:
		return json_new_i64(d, (int64_t)rnd(5) - 1);
	case 3:
	case 4:
		return json_new_str(d, word());
	case 5:
	case 6:
		v = json_new_arr(d);
		for (unsigned i = rnd(4); i; i--)
			json_append(d, v, tree(d, depth - 1));
		return v;
	default:
		v = json_new_obj(d);
		for (unsigned i = rnd(6); i; i--)
			json_set(d, v, word(), tree(d, depth - 1));
		return v;
	}
}

/* Mostly something like an object, so that the walks get deep. */
static struct json_doc *object(void)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	if (rnd(20) == 0) {
		json_set_root(d, tree(d, 3));
		return d;
	}
	json_set_str(d, o, "apiVersion", "t.io/v1");
	json_set_str(d, o, "kind", "Thing");
	json_set(d, o, "metadata", tree(d, 4));
	if (json_is_obj(json_get(o, "metadata")))
		json_set_str(d, json_get(o, "metadata"), "name", "x");
	json_set(d, o, "spec", tree(d, 5));
	json_set(d, o, "status", tree(d, 3));
	return d;
}

static struct json_doc *operations(void)
{
	static const char *const ops[] = { "add", "remove", "replace", "move", "copy", "test" };
	struct json_doc *d = json_doc_new();
	struct json *list = json_new_arr(d);

	json_set_root(d, list);
	for (unsigned i = rnd(4) + 1; i; i--) {
		struct json *op = json_new_obj(d);

		json_set_str(d, op, "op", ops[rnd(6)]);
		json_set_strf(d, op, "path", "/%s/%s", rnd(2) ? "spec" : word(), rnd(4) ? word() : "-");
		json_set_strf(d, op, "from", "/%s", rnd(2) ? "spec" : word());
		json_set(d, op, "value", tree(d, 3));
		json_append(d, list, op);
	}
	return d;
}

static void check_out(struct json_doc *d)
{
	size_t len;

	if (!d)
		return;
	CLEANUP(mem_freep) char *text = json_write(json_root(d), &len);
	CLEANUP(json_doc_freep) struct json_doc *back = json_parse(text, len, NULL);
	assert_non_null(back);
	assert_true(json_eq(json_root(d), json_root(back)));
	json_doc_free(d);
}

static struct schema *schema;

static int set_up(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&thing_fields);

	return schema_compile(json_root(d), "", &schema, NULL, NULL);
}

static int tear_down(void **state)
{
	schema_free(schema);
	return 0;
}

static void patches_stand_anything(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		CLEANUP(json_doc_freep) struct json_doc *a = object();
		CLEANUP(json_doc_freep) struct json_doc *b = object();
		CLEANUP(json_doc_freep) struct json_doc *ops = operations();
		CLEANUP(json_doc_freep) struct json_doc *a0 = json_doc_from(json_root(a));
		CLEANUP(json_doc_freep) struct json_doc *b0 = json_doc_from(json_root(b));
		CLEANUP(causes_done) struct causes c = { 0 };
		struct apply_opts o = { .manager = "m",
			.api_version = "t.io/v1",
			.subresource = rnd(3) ? "" : "status",
			.force = rnd(2) };
		struct json_doc *got[4] = { 0 };
		struct err e = { 0 };

		patch_json(json_root(a), json_root(ops), &got[0], &e);
		patch_merge(json_root(a), json_root(b), &got[1], &e);
		patch_strategic(schema, json_root(a), json_root(b), &got[2], &e);
		if (json_is_obj(json_root(b))) {
			schema_prune(schema, json_root(b), NULL);
			json_remove(json_get(json_root(b), "metadata"), "managedFields");
			json_doc_free(b0);
			b0 = json_doc_from(json_root(b));
		}
		patch_apply(schema, rnd(8) ? json_root(a) : NULL, json_root(b), &o, &got[3], &c, &e);
		assert_true(json_eq(json_root(a), json_root(a0)));
		assert_true(json_eq(json_root(b), json_root(b0)));
		if (got[3])
			managed_fields_update(schema, json_root(a), got[3], json_root(got[3]), &o);
		for (int k = 0; k < 4; k++)
			check_out(got[k]);
	}
}

static void schemas_stand_anything(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		CLEANUP(json_doc_freep) struct json_doc *a = object();
		CLEANUP(json_doc_freep) struct json_doc *b = object();
		CLEANUP(strv_done) struct strv unknown = { 0 };
		CLEANUP(causes_done) struct causes first = { 0 };
		CLEANUP(causes_done) struct causes same = { 0 };
		struct err e = { 0 };

		schema_prune(schema, json_root(a), &unknown);
		strv_done(&unknown);
		schema_prune(schema, json_root(a), &unknown);
		assert_int_equal(unknown.len, 0);
		schema_drop_nulls(schema, json_root(a));
		schema_default(schema, a, json_root(a));
		assert_false(schema_default(schema, a, json_root(a)));
		schema_validate(schema, json_root(a), json_root(b), &first);
		/* what did not change is no reason to refuse */
		schema_validate(schema, json_root(a), json_root(a), &same);
		assert_int_equal(same.len, 0);
		causes_to_err(&first, &thing, "x", &e);
		check_out(status_from_err(&e, &thing, "x", &first));
	}
}

static void writes_stand_anything(void **state)
{
	struct create_in in = { .ns = "n", .uid = "u", .suffix5 = "bcdfg", .now_ms = 1 };

	for (int i = 0; i < ROUNDS; i++) {
		CLEANUP(json_doc_freep) struct json_doc *a = object();
		CLEANUP(json_doc_freep) struct json_doc *b = object();
		CLEANUP(json_doc_freep) struct json_doc *options = object();
		CLEANUP(causes_done) struct causes c = { 0 };
		struct json_doc *marked = NULL;
		enum delete_outcome outcome;
		bool same;

		if (!json_is_obj(json_root(a)) || !json_is_obj(json_root(b)))
			continue;
		write_create(&rules, &in, b, &c, NULL);
		CLEANUP(obj_unrefp) struct obj *old = obj_from_doc(json_doc_from(json_root(a)));
		write_update(&rules, rnd(2) ? WRITE_MAIN : WRITE_STATUS, old, b, 1, &same, &c, NULL);
		if (write_delete(&rules, old, json_root(options), 1, &outcome, &marked, NULL) == 0)
			write_is_gone(obj_json(old));
		check_out(marked);
	}
}

static void random_schemas_are_compiled_or_refused(void **state)
{
	static const char *const keys[] = { "type", "properties", "items", "default", "enum", "pattern",
		"anyOf", "not", "required", "additionalProperties", "x-kubernetes-list-type",
		"x-kubernetes-list-map-keys", "a", "format", "maximum",
		"x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations", "nullable" };
	static const char *const values[] = { "object", "array", "string", "integer", "map", "set", "a",
		"^[a-z", "date-time" };

	for (int i = 0; i < ROUNDS * 3; i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'type':'object'}");
		CLEANUP(json_doc_freep) struct json_doc *o = object();
		CLEANUP(causes_done) struct causes c = { 0 };
		struct json *at = json_root(d);
		struct schema *s = NULL;

		for (unsigned n = rnd(12); n; n--) {
			const char *key = keys[rnd(ARRAY_LEN(keys))];

			switch (rnd(4)) {
			case 0:
				json_set_str(d, at, key, values[rnd(ARRAY_LEN(values))]);
				break;
			case 1:
				json_append_str(d, json_need_arr(d, at, key), values[rnd(ARRAY_LEN(values))]);
				break;
			case 2:
				json_set_bool(d, at, key, true);
				break;
			default:
				at = json_need_obj(d, at, key);
				json_set_str(d, at, "type", values[rnd(4)]);
			}
		}
		if (schema_compile(json_root(d), "s", &s, &c, NULL) == 0) {
			schema_prune(s, json_root(o), NULL);
			schema_default(s, o, json_root(o));
			schema_validate(s, json_root(o), NULL, &c);
			schema_free(s);
		} else {
			assert_true(c.len > 0);
		}
	}
}

static void texts_stand_anything(void **state)
{
	static const char letters[] = "ab01()[]{}|*+?.^$\\d-,=!<> :in'@&\"/~";

	for (int i = 0; i < ROUNDS * 10; i++) {
		char text[24];
		size_t n = rnd(sizeof(text));
		struct re *r = NULL;
		struct selector *s = NULL;
		struct field_selector *f = NULL;
		struct jsonpath *p = NULL;
		struct quantity q;

		for (size_t k = 0; k < n; k++)
			text[k] = letters[rnd(sizeof(letters) - 1)];
		text[n] = '\0';
		if (re_compile(text, &r, NULL) == 0) {
			/* an edge that is always there sends the same pattern through the other matcher */
			CLEANUP(mem_freep) char *slow = str_printf("(?:\\b|\\B)(?:%s)", text);
			struct re *other = NULL;

			if (re_compile(slow, &other, NULL) == 0) {
				char input[8];
				size_t len = rnd(sizeof(input));

				for (size_t k = 0; k < len; k++)
					input[k] = "ab01\n-"[rnd(6)];
				if (re_matches(r, input, len) != re_matches(other, input, len))
					fail_msg("%s on %.*s", text, (int)len, input);
			}
			re_free(other);
		}
		re_free(r);
		selector_parse_labels(text, &s, NULL);
		field_selector_parse(text, &f, NULL);
		jsonpath_parse(text, &p, NULL);
		quantity_parse(text, &q, NULL);
		selector_free(s);
		field_selector_free(f);
		jsonpath_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patches_stand_anything),
		cmocka_unit_test(schemas_stand_anything),
		cmocka_unit_test(writes_stand_anything),
		cmocka_unit_test(random_schemas_are_compiled_or_refused),
		cmocka_unit_test(texts_stand_anything),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
