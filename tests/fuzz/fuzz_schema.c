/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas of definitions, and objects that meet them. Input: the schema, the object. Pruning and defaulting a second time changes
 * nothing, and what was pruned has nothing unknown. */
#include "api/schema.h"
#include "split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_object(const struct schema *s, struct json_doc *d)
{
	CLEANUP(strv_done) struct strv unknown = { 0 }, more = { 0 };
	CLEANUP(causes_done) struct causes c = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *before = NULL;

	schema_prune(s, json_root(d), &unknown);
	schema_prune(s, json_root(d), &more);
	MUST(more.len == 0);
	schema_default(s, d, json_root(d));
	before = json_doc_from(json_root(d));
	schema_default(s, d, json_root(d));
	MUST(json_eq(json_root(before), json_root(d)));
	schema_validate(s, json_root(d), NULL, &c);
	schema_validate(s, json_root(d), json_root(before), &c);
	schema_drop_nulls(s, json_root(d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *a = split_json(data, len, 0), *b = split_json(data, len, 1);
	CLEANUP(causes_done) struct causes c = { 0 };
	struct schema *s = NULL;
	struct err e = { 0 };

	if (!a || schema_compile(json_root(a), "spec", &s, &c, &e) < 0)
		return 0;
	if (b && json_is_obj(json_root(b)))
		fuzz_object(s, b);
	schema_free(s);
	return 0;
}
