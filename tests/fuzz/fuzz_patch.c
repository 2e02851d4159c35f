/* SPDX-License-Identifier: Apache-2.0 */
/* Patches of every dialect from outside. Input: the object, the patch. No patch changes what it is given, a difference
 * leads where it should, and applying once more what was applied changes nothing. */
#include "api/patch.h"
#include "split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char schema_text[] =
	"{\"type\":\"object\",\"properties\":{"
	"\"spec\":{\"type\":\"object\",\"x-kubernetes-patch-strategy\":\"retainKeys\",\"properties\":{"
	"\"list\":{\"type\":\"array\",\"x-kubernetes-patch-merge-key\":\"name\",\"x-kubernetes-patch-"
	"strategy\":\"merge\","
	"\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"name\"],"
	"\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":"
	"\"string\"},"
	"\"value\":{\"type\":\"string\"},\"inner\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}},"
	"\"set\":{\"type\":\"array\",\"x-kubernetes-patch-strategy\":\"merge\",\"x-kubernetes-list-type\":"
	"\"set\","
	"\"items\":{\"type\":\"string\"}},"
	"\"map\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
	"\"any\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}},"
	"\"status\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}";

static void fuzz_difference(const struct json *a, const struct json *b)
{
	CLEANUP(json_doc_freep) struct json_doc *ops = json_doc_new(), *to = NULL;
	struct err e = { 0 };

	json_set_root(ops, patch_diff(ops, a, b, false));
	if (json_len(json_root(ops)) > PATCH_OPS_MAX)
		return;
	MUST(patch_json(a, json_root(ops), &to, &e) == 0);
	MUST(json_eq(json_root(to), b));
}

static void fuzz_apply(const struct schema *s, const struct json *live, const struct json *applied)
{
	const struct apply_opts o = {
		.manager = "m", .api_version = "g/v1", .force = true, .subresource = ""
	};
	CLEANUP(json_doc_freep) struct json_doc *one = NULL, *two = NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	if (patch_apply(s, live, applied, &o, &one, &c, &e) < 0)
		return;
	MUST(patch_apply(s, json_root(one), applied, &o, &two, &c, &e) == 0);
	MUST(json_eq(json_root(one), json_root(two)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *a = split_json(data, len, 0), *b = split_json(data, len, 1);
	CLEANUP(json_doc_freep) struct json_doc *keep = NULL, *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL;
	CLEANUP(json_doc_freep) struct json_doc *st = json_parse(schema_text, sizeof(schema_text) - 1, NULL);
	CLEANUP(causes_done) struct causes c = { 0 };
	struct schema *s = NULL;
	struct err e = { 0 };

	MUST(st && schema_compile(json_root(st), "", &s, &c, &e) == 0);
	if (a && b) {
		keep = json_doc_from(json_root(a));
		(void)patch_json(json_root(a), json_root(b), &r1, &e);
		if (patch_merge(json_root(a), json_root(b), &r2, &e) == 0 &&
			patch_merge(json_root(r2), json_root(b), &r3, &e) == 0)
			MUST(json_eq(json_root(r2), json_root(r3)));
		(void)patch_strategic(s, json_root(a), json_root(b), &r4, &e);
		if (json_is_obj(json_root(a)) && json_is_obj(json_root(b))) {
			fuzz_difference(json_root(a), json_root(b));
			fuzz_apply(s, json_root(a), json_root(b));
		}
		MUST(json_eq(json_root(a), json_root(keep)));
	}
	schema_free(s);
	return 0;
}
