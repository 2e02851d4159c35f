/* SPDX-License-Identifier: Apache-2.0 */
/* api/schema.h - structural schemas at work: prune, default, validate, merge keys (kubernetes-api.md 4). Compiled once from
 * OpenAPI v3 JSON; immutable and shared afterwards. */
#pragma once

#include "api/status.h"
#include "base/json.h"

struct schema;
/* Refuses what is not structural (causes with paths below `at`). */
int schema_compile(const struct json *openapi_v3, const char *at, struct schema **ret, struct causes *causes,
	struct err *e);
void schema_free(struct schema *s);
/* What Kubernetes would refuse of a schema as it is written in a definition, in its words; but for what schema_compile() and
 * schema_check_rules() find. status: the version has the subresource. */
void schema_check(const struct json *openapi_v3, const char *at, bool status, struct causes *c);
/* Keyed lists may then hold a key twice: of built-in kinds only some lists are checked for that, by their own rules. */
void schema_set_loose(struct schema *root);
/* What is wrong with the rules of x-kubernetes-validations: they are compiled, and asked about the schema's defaults. Causes
 * have paths below `at`. */
void schema_check_rules(const struct schema *s, const char *at, struct causes *causes);

/* Removes what the schema does not know; the removed paths go to unknown ("spec.foo", "spec.list[0].bar"), if given.
 * apiVersion, kind and metadata at the root (and in embedded resources) stay; metadata is pruned as an ObjectMeta. Null goes
 * where a field is neither nullable nor has a default. */
void schema_prune(const struct schema *s, struct json *v, struct strv *unknown);
/* Removes null members of non-nullable fields, and empty strings where they say nothing: what Go's decoding makes of them in
 * built-in kinds. */
void schema_drop_nulls(const struct schema *s, struct json *v);
/* Fills defaults; null on a non-nullable field with a default becomes the default. true if anything changed. */
bool schema_default(const struct schema *s, struct json_doc *d, struct json *v);
/* Adds a cause per violation. old (may be NULL): unchanged invalid values do not count (ratcheting).
 * Rules of x-kubernetes-validations are evaluated if the rest let them: those that see oldSelf need an old value. */
void schema_validate(
	const struct schema *s, const struct json *v, const struct json *old, struct causes *causes);
/* The same; tolerated: rules that fail for what did not change, of which users are warned. */
void schema_validate_noting(const struct schema *s, const struct json *v, const struct json *old,
	struct causes *causes, struct causes *tolerated);

/* Writes quantities as Go's decoding would have them written again: 0.1 as "100m", 1024Mi as "1Gi". For built-in kinds. */
void schema_canonicalize(const struct schema *s, struct json_doc *d, struct json *v);
/* Looks at types alone, everywhere: false at the first value of another type than its schema's, and where that is. What comes
 * before any code that takes members of built-in kinds for what their tables say they are. */
struct schema_misfit {
	char *path; /* "spec.containers"; to be freed */
	const char *
		want; /* "object", "map", "array", "string", "integer", "number", "boolean", "integer,string" */
	const struct json *val; /* what is there; borrowed */
};
bool schema_types_fit(const struct schema *s, const struct json *v, struct schema_misfit *ret);

/* Steps for patches: the schema of a member or of the items; NULL if unknown. */
const struct schema *schema_member(const struct schema *s, const char *key);
const struct schema *schema_items(const struct schema *s);
/* Strategic merge: key of a keyed list (NULL: replace), whether a scalar list merges, retainKeys. */
const char *schema_merge_key(const struct schema *list);
bool schema_merges(const struct schema *list);
bool schema_retain_keys(const struct schema *s);
/* Server-side apply: list type and its keys. */
enum schema_list { SCHEMA_LIST_ATOMIC, SCHEMA_LIST_SET, SCHEMA_LIST_MAP };
enum schema_list schema_list_type(const struct schema *s);
const struct strv *schema_list_keys(const struct schema *s);
bool schema_map_atomic(const struct schema *s);
