/* SPDX-License-Identifier: Apache-2.0 */
/* api/schema_int.h - a compiled schema from the inside; for schema_*.c and the patches of this room only. */
#pragma once

#include "api/re.h"
#include "api/schema.h"

enum schema_type { ST_ANY, ST_OBJECT, ST_ARRAY, ST_STRING, ST_INTEGER, ST_NUMBER, ST_BOOLEAN };

enum {
	SF_NULLABLE = 1 << 0,
	SF_INT_OR_STRING = 1 << 1,
	SF_PRESERVE = 1 << 2,    /* unknown members stay */
	SF_EMBEDDED = 1 << 3,    /* has apiVersion, kind, metadata */
	SF_ROOT = 1 << 4,        /* likewise */
	SF_ANY_MEMBERS = 1 << 5, /* additionalProperties: true */
	SF_MAP_ATOMIC = 1 << 6,
	SF_MERGES = 1 << 7,
	SF_RETAIN_KEYS = 1 << 8,
	SF_HAS_DEFAULT = 1 << 9, /* here or below */
	SF_HAS_RULES = 1 << 10,  /* here or below */
	SF_EXCLUSIVE_MIN = 1 << 11,
	SF_EXCLUSIVE_MAX = 1 << 12,
	SF_HAS_MIN = 1 << 13,
	SF_HAS_MAX = 1 << 14,
	SF_INT32 = 1 << 15,
	SF_QUANTITY = 1 << 16, /* the tables' quantities, known by their pattern */
};

struct schema_prop {
	const char *name;
	size_t len;
	uint32_t hash;
	struct schema *s;
};

struct schema_arms {
	struct schema **items;
	size_t n;
};

struct schema_own; /* what the root frees */
struct schema {
	enum schema_type type;
	unsigned flags;
	/* objects: members, hashed; slots hold index + 1 */
	struct schema_prop *props;
	size_t n_props;
	uint32_t *slots, mask;
	struct schema *additional;
	struct strv required;
	const struct schema_prop **defaulted; /* those with a default of their own */
	size_t n_defaulted;
	struct schema *meta; /* of SF_ROOT and SF_EMBEDDED: ObjectMeta */
	/* lists */
	struct schema *items;
	enum schema_list list_type;
	struct strv list_keys;
	const char *merge_key;
	/* values; lengths and counts are -1 if unlimited */
	const struct json *deflt;
	const struct json *enums;
	struct re *pattern;
	const char *pattern_text;
	const char *format;
	bool (*check_format)(const char *s, size_t len);
	double min, max, multiple_of;
	int64_t min_len, max_len, min_items, max_items, min_props, max_props;
	struct schema_arms all_of, any_of, one_of;
	struct schema *not_of;
	/* x-kubernetes-validations: as written; compiled when they are first asked */
	const struct json *rules;
	struct schema_rules *rule_set;
	struct schema_own *own; /* root only */
	bool loose;             /* root only: schema_set_loose() */
};

uint32_t schema_hash(const char *s, size_t len);
/* The member's own schema, else that of additionalProperties, else NULL. Root metadata is not treated here. */
const struct schema *schema_prop_of(const struct schema *s, const char *key, size_t len);
/* apiVersion, kind and metadata where those stand by right. */
bool schema_is_type_meta(const struct schema *s, const char *key, size_t len);
/* The check of an OpenAPI format, NULL if it is not known (and then ignored). */
typedef bool schema_format_fn(const char *s, size_t len);
schema_format_fn *schema_format(const char *name);
/* The table of ObjectMeta. */
extern const struct field_table schema_meta_table;

/* The item of old that a new one continues: only list-maps say which; NULL: none. old may be anything. */
const struct json *schema_old_item(const struct schema *s, const struct json *item, const struct json *old);
/* Whether v itself is of the schema's type; what is below it is not looked at. */
bool schema_has_type(const struct schema *s, const struct json *v);
/* The type as text: "object", ... */
const char *schema_type_name(const struct schema *s);
/* As schema_validate(), but for the rules. */
void schema_validate_values(
	const struct schema *s, const struct json *v, const struct json *old, struct causes *causes);
/* The rules of s and all below it, for a value that is otherwise valid. tolerated (may be NULL): those that fail for what was so
 * before. */
void schema_evaluate(const struct schema *s, const struct json *v, const struct json *old,
	struct causes *causes, struct causes *tolerated);
struct schema_rules *schema_rules_new(void);
void schema_rules_free(struct schema_rules *r);

/* Where a walk is, as a chain on the stack; made into text only when there is something to say. */
struct jpath {
	const struct jpath *up;
	const char *key; /* NULL: index */
	size_t len, index;
	bool of_map; /* key of a map: shown in brackets, as upstream does for rules (not for values) */
};
char *jpath_text(const struct jpath *p); /* "spec.list[0].bar"; caller frees */
