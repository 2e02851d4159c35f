/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/describe/openapi_int.h"
#include "platform/describe/serve_test.h"

#include <stdio.h>

#define V2_ASK "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define V2_ANSWER "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

static char *document_url(struct bed *b, const char *name)
{
	CLEANUP(json_doc_freep) struct json_doc *d = bed_json(b, "/openapi/v3", NULL);
	const char *url = json_get_str(json_get(json_get(json_root(d), "paths"), name), "serverRelativeURL");

	return url ? mem_strdup(url) : NULL;
}

/* kubernetes-api.md 8.8 */
static void the_right_hash_is_for_ever_and_a_wrong_one_is_sent_on(void **state)
{
	struct bed *b = bed_new(true);
	CLEANUP(mem_freep) char *url = document_url(b, "apis/apps/v1");
	CLEANUP(mem_freep) char *tag = NULL;
	const struct served *s;

	assert_true(str_starts(url, "/openapi/v3/apis/apps/v1?hash="));
	s = bed_ask(b, "GET", url, NULL, NULL);
	assert_int_equal(s->status, 200);
	assert_string_equal(s->type, "application/json");
	assert_non_null(strstr(s->cache, "immutable"));
	tag = mem_strdup(s->tag);
	assert_int_equal(bed_ask(b, "GET", url, NULL, tag)->status, 304);
	s = bed_ask(b, "GET", "/openapi/v3/apis/apps/v1?hash=0123", NULL, NULL);
	assert_int_equal(s->status, 301);
	assert_string_equal(s->location, url);
	s = bed_ask(b, "GET", "/openapi/v3/apis/apps/v1", NULL, NULL);
	assert_int_equal(s->status, 200);
	assert_null(strstr(s->cache, "immutable"));
	assert_int_equal(bed_ask(b, "GET", "/openapi/v3/apis/nope/v1", NULL, NULL)->status, 404);
	assert_int_equal(bed_ask(b, "POST", "/openapi/v3", NULL, NULL)->status, 405);
	bed_free(b);
}

/* kubernetes-api.md 8.4, 8.8: the hash is of the content, and the same content has the same hash in every process */
static void the_hash_follows_the_schema(void **state)
{
	struct bed *b = bed_new(true), *other = bed_new(true);
	CLEANUP(mem_freep) char *none = document_url(b, "apis/demo.io/v1");
	CLEANUP(mem_freep) char *apps = document_url(b, "apis/apps/v1");
	CLEANUP(mem_freep) char *apps_other = document_url(other, "apis/apps/v1");

	assert_null(none);
	assert_string_equal(apps, apps_other);
	widgets_add(b->registry, "Paint.");
	CLEANUP(mem_freep) char *first = document_url(b, "apis/demo.io/v1");
	widgets_add(b->registry, "Colour.");
	CLEANUP(mem_freep) char *second = document_url(b, "apis/demo.io/v1");
	widgets_add(b->registry, "Paint.");
	CLEANUP(mem_freep) char *third = document_url(b, "apis/demo.io/v1");
	CLEANUP(mem_freep) char *apps_later = document_url(b, "apis/apps/v1");
	assert_string_not_equal(first, second);
	assert_string_equal(first, third);
	assert_string_equal(apps, apps_later);
	bed_free(b);
	bed_free(other);
}

static void check_refs(const struct json *v, const struct json *schemas, const char *prefix)
{
	const char *ref = json_get_str(v, "$ref");

	if (ref) {
		assert_true(str_starts(ref, prefix));
		if (!json_get(schemas, ref + strlen(prefix)))
			fail_msg("%s leads nowhere", ref);
	}
	JSON_EACH (it, v)
		check_refs(it.val, schemas, prefix);
}

static void every_reference_resolves(void **state)
{
	struct bed *b = bed_new(true);
	const struct group_version *gv;

	widgets_add(b->registry, "Paint.");
	for (size_t i = 0; (gv = registry_gv_at(b->registry, i)); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = openapi_v3_doc(gv);

		check_refs(json_root(d), json_at(json_root(d), "/components/schemas"), OPENAPI_V3_REF);
	}
	CLEANUP(json_doc_freep) struct json_doc *v2 = openapi_v2_doc(b->registry);
	check_refs(json_root(v2), json_at(json_root(v2), "/definitions"), OPENAPI_V2_REF);
	bed_free(b);
}

static bool has_param(const struct json *op, const char *name)
{
	JSON_EACH (it, json_get(op, "parameters"))
		if (str_eq(json_get_str(it.val, "name"), name))
			return true;
	return false;
}

/* kubernetes-api.md 1.4: what kubectl looks for before it dares a server-side dry run or validation */
static void patch_operations_say_what_they_take(void **state)
{
	struct bed *b = bed_new(true);
	static const char *const wanted[] = { "dryRun", "fieldManager", "fieldValidation", "force" };
	const struct json *patch, *crd;

	widgets_add(b->registry, "Paint.");
	CLEANUP(json_doc_freep)
	struct json_doc *apps = openapi_v3_doc(registry_gv(b->registry, "apps", "v1"));
	CLEANUP(json_doc_freep)
	struct json_doc *demo = openapi_v3_doc(registry_gv(b->registry, "demo.io", "v1"));
	patch = json_get(json_get(json_get(json_root(apps), "paths"),
				 "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
		"patch");
	crd = json_get(json_get(json_get(json_root(demo), "paths"),
			       "/apis/demo.io/v1/namespaces/{namespace}/widgets/{name}"),
		"patch");
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		assert_true(has_param(patch, wanted[i]));
		assert_true(has_param(crd, wanted[i]));
	}
	assert_string_equal(json_at_str(patch, "/x-kubernetes-group-version-kind/kind"), "Deployment");
	assert_non_null(
		json_get(json_at(patch, "/requestBody/content"), "application/strategic-merge-patch+json"));
	assert_non_null(json_get(json_at(crd, "/requestBody/content"), "application/apply-patch+yaml"));
	assert_null(json_get(json_at(crd, "/requestBody/content"), "application/strategic-merge-patch+json"));
	bed_free(b);
}

static void kinds_are_found_by_group_version_and_kind(void **state)
{
	struct bed *b = bed_new(true);
	const struct json *widget, *list;

	widgets_add(b->registry, "Paint.");
	CLEANUP(json_doc_freep)
	struct json_doc *d = openapi_v3_doc(registry_gv(b->registry, "demo.io", "v1"));
	widget = json_get(json_at(json_root(d), "/components/schemas"), "io.demo.v1.Widget");
	list = json_get(json_at(json_root(d), "/components/schemas"), "io.demo.v1.WidgetList");
	assert_string_equal(json_at_str(widget, "/x-kubernetes-group-version-kind/0/kind"), "Widget");
	assert_string_equal(json_at_str(list, "/x-kubernetes-group-version-kind/0/kind"), "WidgetList");
	assert_string_equal(json_at_str(widget, "/properties/spec/properties/color/description"), "Paint.");
	assert_true(str_ends(json_at_str(widget, "/properties/metadata/allOf/0/$ref"), ".ObjectMeta"));
	bed_free(b);
}

/* ---- v2 ---- */
/* kubernetes-api.md 1.4, 2.8: what kubectl 1.20 can not read is gone */
static void v2_schemas_have_v2_words_only(void **state)
{
	struct bed *b = bed_new(true);
	const struct json *spec, *strategy;

	widgets_add(b->registry, "Paint.");
	CLEANUP(json_doc_freep) struct json_doc *d = openapi_v2_doc(b->registry);
	spec = json_at(json_get(json_get(json_root(d), "definitions"), "io.demo.v1.Widget"),
		"/properties/spec/properties");
	assert_string_equal(json_at_str(spec, "/port/type"), "string");
	assert_string_equal(json_at_str(spec, "/port/format"), "int-or-string");
	assert_null(json_at(spec, "/port/x-kubernetes-int-or-string"));
	assert_null(json_at(spec, "/any/properties"));
	assert_null(json_at(spec, "/maybe/nullable"));
	strategy = json_at(json_get(json_get(json_root(d), "definitions"), "io.k8s.api.core.v1.PodSpec"),
		"/properties/containers");
	assert_string_equal(json_at_str(strategy, "/x-kubernetes-patch-merge-key"), "name");
	bed_free(b);
}

/* A reader of protobuf as small as it gets: fields of length-delimited and varint type. */
struct pb {
	const uint8_t *at, *end;
};

static uint64_t pb_varint(struct pb *p)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		assert_true(p->at < p->end && shift < 64);
		v |= (uint64_t)(*p->at & 0x7f) << shift;
		if (!(*p->at++ & 0x80))
			return v;
	}
}

static bool pb_next(struct pb *p, uint64_t *num, struct pb *data)
{
	uint64_t tag, n;

	if (p->at == p->end)
		return false;
	tag = pb_varint(p);
	*num = tag >> 3;
	*data = (struct pb){ 0 };
	if ((tag & 7) == 0) {
		pb_varint(p);
	} else if ((tag & 7) == 1) {
		p->at += 8;
	} else {
		assert_int_equal(tag & 7, 2);
		n = pb_varint(p);
		assert_true(n <= (uint64_t)(p->end - p->at));
		*data = (struct pb){ p->at, p->at + n };
		p->at += n;
	}
	return true;
}

static bool pb_is(const struct pb *p, const char *text)
{
	return (size_t)(p->end - p->at) == strlen(text) && memcmp(p->at, text, strlen(text)) == 0;
}

static struct pb pb_find(struct pb p, uint64_t want)
{
	struct pb data;
	uint64_t num;

	while (pb_next(&p, &num, &data))
		if (num == want)
			return data;
	return (struct pb){ 0 };
}

/* The value of the entry {name = 1, value = 2} with the name, in a message of them. */
static struct pb pb_entry(struct pb p, uint64_t field, const char *name)
{
	struct pb data, found;
	uint64_t num;

	while (pb_next(&p, &num, &data)) {
		found = pb_find(data, 1);
		if (num == field && found.at && pb_is(&found, name))
			return pb_find(data, 2);
	}
	return (struct pb){ 0 };
}

static size_t pb_count(struct pb p, uint64_t field)
{
	struct pb data;
	uint64_t num;
	size_t n = 0;

	while (pb_next(&p, &num, &data))
		n += num == field;
	return n;
}

/* kubernetes-api.md 8.7 */
static void v2_protobuf_reads_as_a_document(void **state)
{
	struct bed *b = bed_new(true);
	const struct served *s;
	struct pb doc, part, gvk;

	widgets_add(b->registry, "Paint.");
	CLEANUP(json_doc_freep) struct json_doc *d = openapi_v2_doc(b->registry);
	s = bed_ask(b, "GET", "/openapi/v2", V2_ASK, NULL);
	assert_int_equal(s->status, 200);
	assert_string_equal(s->type, V2_ANSWER);
	doc = (struct pb){ (const uint8_t *)s->body.data, (const uint8_t *)s->body.data + s->body.len };
	part = pb_find(doc, 1);
	assert_true(pb_is(&part, "2.0"));
	assert_int_equal(pb_count(pb_find(doc, 9), 1), json_len(json_get(json_root(d), "definitions")));
	assert_int_equal(pb_count(pb_find(doc, 8), 2), json_len(json_get(json_root(d), "paths")));
	part = pb_entry(pb_find(doc, 9), 1, "io.demo.v1.Widget");
	gvk = pb_find(pb_entry(part, 31, "x-kubernetes-group-version-kind"), 2);
	assert_true(pb_is(&gvk, "[{\"group\":\"demo.io\",\"kind\":\"Widget\",\"version\":\"v1\"}]\n"));
	part = pb_entry(pb_find(part, 25), 1, "spec"); /* properties */
	part = pb_entry(pb_find(part, 25), 1, "color");
	assert_true(part.at != NULL);
	gvk = pb_find(part, 4); /* description */
	assert_true(pb_is(&gvk, "Paint."));
	gvk = pb_find(pb_find(part, 22), 1); /* type */
	assert_true(pb_is(&gvk, "string"));
	bed_free(b);
}

static void v2_is_kept_by_its_tag(void **state)
{
	struct bed *b = bed_new(true);
	CLEANUP(mem_freep) char *tag = mem_strdup(bed_ask(b, "GET", "/openapi/v2", V2_ASK, NULL)->tag);
	const struct served *s;

	assert_int_equal(bed_ask(b, "GET", "/openapi/v2", V2_ASK, tag)->status, 304);
	s = bed_ask(b, "GET", "/openapi/v2", NULL, tag);
	assert_int_equal(s->status, 200); /* JSON is another document */
	assert_string_equal(s->type, "application/json");
	widgets_add(b->registry, "Paint.");
	assert_int_equal(bed_ask(b, "GET", "/openapi/v2", V2_ASK, tag)->status, 200);
	assert_int_equal(bed_ask(b, "GET", "/openapi/v2", "text/html", NULL)->status, 406);
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_hash_is_for_ever_and_a_wrong_one_is_sent_on),
		cmocka_unit_test(the_hash_follows_the_schema),
		cmocka_unit_test(every_reference_resolves),
		cmocka_unit_test(patch_operations_say_what_they_take),
		cmocka_unit_test(kinds_are_found_by_group_version_and_kind),
		cmocka_unit_test(v2_schemas_have_v2_words_only),
		cmocka_unit_test(v2_protobuf_reads_as_a_document),
		cmocka_unit_test(v2_is_kept_by_its_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
