/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/schema.h"
#include "base/mem.h"

/* clang-format off */
FIELD_TABLE(port_fields, NULL, "A port.",
	{ "containerPort", F_INT32, FIELD_REQUIRED, "Its number.", .min = 1, .max = 65535 },
	{ "protocol", F_STRING, 0, "Its protocol.", .deflt = "\"TCP\"", .enums = "TCP|UDP" });

FIELD_TABLE(spec_fields, "io.k8s.test.Spec", "What is wanted.",
	{ "name", F_STRING, FIELD_REQUIRED, "A name.", .min = 1, .max = 10, .pattern = "^[a-z]+$" },
	{ "memory", F_QUANTITY, 0, "Memory." },
	{ "target", F_INT_OR_STRING, 0, "A port or its name." },
	{ "since", F_TIME, 0, "A time." },
	{ "data", F_BYTES, 0, "Bytes." },
	{ "ratio", F_NUMBER, FIELD_DEPRECATED, "A ratio." },
	{ "on", F_BOOL, FIELD_NULLABLE, "A switch." },
	{ "level", F_INT, 0, "A level.", .enums = "1|2" },
	{ "args", F_LIST, FIELD_ATOMIC, "Words.", .items = F_STRING },
	{ "words", F_LIST, FIELD_SET | FIELD_MERGE, "Words once.", .items = F_STRING },
	{ "labels", F_MAP, 0, "Labels.", .items = F_STRING },
	{ "ports", F_REF_LIST, FIELD_LIST_MAP, "Ports.", .keys = "containerPort,protocol", .ref = &port_fields },
	{ "port", F_REF, FIELD_IMMUTABLE, "One port.", .ref = &port_fields },
	{ "named", F_REF_MAP, 0, "Ports by name.", .ref = &port_fields },
	{ "extra", F_ANY, 0, "Anything." },
	{ "volumes", F_LIST, FIELD_RETAIN_KEYS, "Volumes.", .keys = "name" },
	{ "volumes[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "volumes[].disk", F_OBJECT, 0, "A disk." },
	{ "volumes[].disk.size", F_QUANTITY, 0, "Size." },
	{ "zones", F_MAP, 0, "Zones by name." },
	{ "zones{}.weight", F_INT, 0, "Weight." },
	{ "template", F_OBJECT, FIELD_EMBEDDED, "An object." });

FIELD_TABLE(kind_fields, "io.k8s.test.Thing", "A thing.",
	{ "spec", F_REF, FIELD_REQUIRED, "What is wanted of it.", .ref = &spec_fields });

extern const struct field_table node_fields;
FIELD_TABLE(node_fields, NULL, "A tree.", { "left", F_REF, 0, "Left.", .ref = &node_fields });

FIELD_TABLE(crd_fields, NULL, "A custom thing.",
	{ "ports", F_REF_LIST, FIELD_LIST_MAP, "Ports.", .keys = "containerPort,protocol", .ref = &port_fields });

FIELD_TABLE(bad_fields, NULL, "Wrong in many ways.",
	{ "a", F_STRING, 0, "A." },
	{ "a", F_STRING, 0, "Again." },
	{ "b.c", F_STRING, 0, "Orphan." },
	{ "a.d", F_STRING, 0, "Below a string." },
	{ "e", F_REF, 0, "No table." },
	{ "f", F_STRING, 0, "Bad text.", .deflt = "{" },
	{ "g", F_LIST, FIELD_LIST_MAP, "No keys." });

FIELD_TABLE(misfit_fields, NULL, "Wrong at second sight.",
	{ "a", F_INT, 0, "A.", .deflt = "\"x\"" },
	{ "b", F_STRING, 0, "B.", .pattern = "(" });
/* clang-format on */

static void expect(const struct json *s, const char *pointer, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(want);
	const struct json *got = json_at(s, pointer);

	if (!got || !json_eq(got, json_root(d))) {
		CLEANUP(mem_freep) char *text = got ? json_write(got, NULL) : NULL;
		fail_msg("%s is %s, not %s", pointer, text ? text : "absent", want);
	}
}

static void rows_become_structural_schemas(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&kind_fields);
	const struct json *s = json_root(d);

	expect(s, "/required", "['spec']");
	/* kube-apiserver lets a definition say no more of it */
	expect(s, "/properties/metadata", "{'type':'object'}");
	s = json_at(s, "/properties/spec");
	expect(s, "/description", "'What is wanted of it.'");
	expect(s, "/required", "['name']");
	s = json_get(s, "properties");
	expect(s, "/name",
		"{'type':'string','description':'A "
		"name.','minLength':1,'maxLength':10,'pattern':'^[a-z]+$'}");
	expect(s, "/memory/anyOf", "[{'type':'integer'},{'type':'string'}]");
	expect(s, "/memory/x-kubernetes-int-or-string", "true");
	assert_non_null(json_at(s, "/memory/pattern"));
	assert_null(json_at(s, "/target/pattern"));
	expect(s, "/since", "{'type':'string','format':'date-time','nullable':true,'description':'A time.'}");
	expect(s, "/data/format", "'byte'");
	expect(s, "/ratio/description", "'Deprecated: A ratio.'");
	expect(s, "/on/nullable", "true");
	expect(s, "/level/enum", "[1,2]");
	expect(s, "/args/x-kubernetes-list-type", "'atomic'");
	expect(s, "/args/items", "{'type':'string'}");
	expect(s, "/words/x-kubernetes-list-type", "'set'");
	expect(s, "/words/x-kubernetes-patch-strategy", "'merge'");
	expect(s, "/labels/additionalProperties", "{'type':'string'}");
	expect(s, "/ports/x-kubernetes-list-map-keys", "['containerPort','protocol']");
	expect(s, "/ports/x-kubernetes-patch-merge-key", "'containerPort'");
	expect(s, "/ports/items/properties/protocol/default", "'TCP'");
	expect(s, "/ports/items/properties/containerPort/maximum", "65535");
	expect(s, "/port/x-kubernetes-validations/0/rule", "'self == oldSelf'");
	expect(s, "/named/additionalProperties/required", "['containerPort']");
	expect(s, "/extra/x-kubernetes-preserve-unknown-fields", "true");
	expect(s, "/volumes/x-kubernetes-patch-strategy", "'merge,retainKeys'");
	expect(s, "/volumes/items/required", "['name']");
	expect(s, "/volumes/items/properties/disk/properties/size/x-kubernetes-int-or-string", "true");
	expect(s, "/zones/additionalProperties/properties/weight/format", "'int64'");
	expect(s, "/template/x-kubernetes-embedded-resource", "true");
}

/* A CRD has no words for strategic merge: they would be unknown fields of it. */
static void custom_kinds_get_no_patch_words(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&crd_fields);

	assert_null(json_at(json_root(d), "/properties/ports/x-kubernetes-patch-merge-key"));
	expect(json_root(d), "/properties/ports/x-kubernetes-list-type", "'map'");
}

static void a_table_in_itself_ends(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&node_fields);

	expect(json_root(d), "/properties/left/x-kubernetes-preserve-unknown-fields", "true");
}

static void paths_find_their_rows(void **state)
{
	static const struct {
		const char *path, *row;
	} found[] = {
		{ "spec", "spec" },
		{ "spec.name", "name" },
		{ "spec.volumes", "volumes" },
		{ "spec.volumes.0", "volumes" },
		{ "spec.volumes.12.name", "volumes[].name" },
		{ "spec.volumes.0.disk.size", "volumes[].disk.size" },
		{ "spec.ports.3.protocol", "protocol" },
		{ "spec.ports.3", "ports" },
		{ "spec.port.containerPort", "containerPort" },
		{ "spec.named.http.containerPort", "containerPort" },
		{ "spec.labels.app.kubernetes.io/name", "labels" },
		{ "spec.args.0", "args" },
		{ "spec.extra.a.b", "extra" },
		{ "spec.zones.eu.weight", "zones{}.weight" },
	};
	static const char *const none[] = { "status", "spec.nothing", "spec.name.x", "spec.volumes.x.name",
		"spec.volumes.0.nothing", "spec.ports.x.protocol", "spec.nam", "spec.args.x" };

	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		const struct field *f = fields_find(&kind_fields, found[i].path);

		if (!f)
			fail_msg("%s has no row", found[i].path);
		assert_string_equal(f->path, found[i].row);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (fields_find(&kind_fields, none[i]))
			fail_msg("%s has a row", none[i]);
}

static void collect(void *arg, const char *path, const struct field *f)
{
	strv_add(arg, path);
}

static void visits_follow_references(void **state)
{
	CLEANUP(strv_done) struct strv v = { 0 };

	fields_visit(&kind_fields, collect, &v);
	assert_string_equal(v.items[0], "spec");
	assert_true(strv_has(&v, "spec.ports[].protocol"));
	assert_true(strv_has(&v, "spec.named{}.protocol"));
	assert_true(strv_has(&v, "spec.port.protocol"));
	assert_true(strv_has(&v, "spec.volumes[].disk.size"));
}

static void mistakes_are_told(void **state)
{
	CLEANUP(str_done) struct str good = { 0 };
	CLEANUP(str_done) struct str bad = { 0 };
	CLEANUP(str_done) struct str misfit = { 0 };

	if (!fields_check(&kind_fields, &good))
		fail_msg("%s", good.data);
	assert_false(fields_check(&bad_fields, &bad));
	assert_non_null(strstr(bad.data, "a: stands there twice"));
	assert_non_null(strstr(bad.data, "b.c: its parent has no row"));
	assert_non_null(strstr(bad.data, "a.d: its parent is not an object"));
	assert_non_null(strstr(bad.data, "e: no table"));
	assert_non_null(strstr(bad.data, "f: its default is not JSON"));
	assert_non_null(strstr(bad.data, "g: a list-map without keys"));
	assert_false(fields_check(&misfit_fields, &misfit));
	assert_non_null(strstr(misfit.data, "properties[a].default"));
	assert_non_null(strstr(misfit.data, "properties[b].pattern"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_become_structural_schemas),
		cmocka_unit_test(custom_kinds_get_no_patch_words),
		cmocka_unit_test(a_table_in_itself_ends),
		cmocka_unit_test(paths_find_their_rows),
		cmocka_unit_test(visits_follow_references),
		cmocka_unit_test(mistakes_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
