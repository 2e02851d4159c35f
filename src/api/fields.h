/* SPDX-License-Identifier: Apache-2.0 */
/* api/fields.h - field tables: one row says everything about a field. From a table come the OpenAPI schema (CRD or built-in),
 * pruning, defaulting, validation, kubectl explain, merge keys, the reference page in docs/ and, for virt, how a change
 * reaches a running guest. Adding a field is adding a row.
 *
 * Paths are relative to the table and dotted; "[]" steps into the items of a list, "{}" into the values of a map:
 *     { "template", F_OBJECT, ... }, { "template.spec", F_REF, .ref = &vmi_spec_fields }, { "disks[].name", F_STRING }.
 * Parents come before children. A list of objects is F_LIST with rows "x[].y"; a list of scalars is F_LIST with .items.
 * A table for a whole kind describes what stands beside apiVersion, kind and metadata (usually spec and status). */
#pragma once

#include "base/json.h"

enum field_type {
	F_OBJECT,
	F_STRING,
	F_INT, /* int64 */
	F_INT32,
	F_BOOL,
	F_NUMBER,
	F_QUANTITY, /* int-or-string with the quantity pattern */
	F_INT_OR_STRING,
	F_TIME,  /* date-time, nullable */
	F_BYTES, /* base64 */
	F_LIST,
	F_MAP,      /* of .items, or of objects with rows "x{}.y" */
	F_ANY,      /* anything, kept as it is (x-kubernetes-preserve-unknown-fields) */
	F_REF,      /* an object described by .ref */
	F_REF_LIST, /* a list of such objects */
	F_REF_MAP,
};
enum {
	FIELD_REQUIRED = 1 << 0,
	FIELD_NULLABLE = 1 << 1,
	FIELD_ATOMIC = 1 << 2,      /* list-type or map-type atomic */
	FIELD_SET = 1 << 3,         /* list-type set */
	FIELD_EMBEDDED = 1 << 4,    /* x-kubernetes-embedded-resource */
	FIELD_RETAIN_KEYS = 1 << 5, /* patch strategy retainKeys (with .keys: merge,retainKeys) */
	FIELD_MERGE = 1 << 6,       /* patch strategy merge for a list of scalars */
	FIELD_DEPRECATED = 1 << 7,
	FIELD_IMMUTABLE = 1 << 8,
	FIELD_LIST_MAP = 1 << 9, /* list-type map by .keys; else .keys is only the strategic merge key */
	FIELD_OPEN = 1 << 10,    /* F_OBJECT with anything in it, kept as it is */
	FIELD_REPLACE =
		1 << 11, /* a strategic merge patch replaces it whole, whatever server-side apply does */
};
struct field {
	const char *path;
	enum field_type type;
	unsigned flags;
	const char *doc;   /* one line, a sentence */
	const char *deflt; /* JSON text, NULL: none */
	const char *enums; /* "A|B|C" */
	const char *pattern;
	const char *format;    /* OpenAPI format; most are implied by the type */
	int64_t min, max;      /* both 0: unlimited */
	enum field_type items; /* of F_LIST and F_MAP of scalars; F_LIST in a map: lists of strings */
	const char *
		keys; /* "name" or "containerPort,protocol": list-map keys and, the first one, strategic merge key */
	const struct field_table *ref;
	int live; /* how a change reaches a running guest: enum live_class of kubevirt/api/live.h; 0 elsewhere */
};
struct field_table {
	const char
		*name; /* "io.k8s.api.core.v1.PodSpec": definition name in OpenAPI documents, NULL: inlined */
	const char *doc;
	const struct field *rows;
	size_t n;
	bool atomic; /* server-side apply takes such an object as a whole (map-type atomic) */
};
#define FIELD_TABLE_AS(id, nm, dc, at, ...)                      \
	static const struct field id##_rows[] = { __VA_ARGS__ }; \
	const struct field_table id = { .name = nm,              \
		.doc = dc,                                       \
		.rows = id##_rows,                               \
		.n = sizeof(id##_rows) / sizeof(id##_rows[0]),   \
		.atomic = at }
#define FIELD_TABLE(id, nm, dc, ...) FIELD_TABLE_AS(id, nm, dc, false, __VA_ARGS__)
#define FIELD_TABLE_ATOMIC(id, nm, dc, ...) FIELD_TABLE_AS(id, nm, dc, true, __VA_ARGS__)

/* The structural OpenAPI v3 schema of a table ({type: object, properties...}), refs inlined. Strategic merge keys are written
 * for tables named io.k8s.*: a CRD has no words for them. */
struct json *fields_schema(struct json_doc *d, const struct field_table *t);
/* The same with references: where ref() answers a text (the caller's to free) for a named table,
 * {"$ref": text} stands for it, inside
 * allOf when the row has words of its own. NULL inlines. Not structural any more: for OpenAPI documents. */
typedef char *fields_ref_fn(void *arg, const struct field_table *t);
struct json *fields_schema_refs(
	struct json_doc *d, const struct field_table *t, fields_ref_fn *ref, void *arg);
/* The pattern of F_QUANTITY, as upstream's CRDs have it. */
#define FIELDS_QUANTITY_PATTERN                                                \
	"^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|" \
	"([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$"

/* The same for a whole kind: apiVersion, kind, metadata ({type: object}) plus the table. Root of a new doc. */
struct json_doc *fields_kind_schema(const struct field_table *t);
/* The row a concrete path ("spec.domain.devices.disks.0.name", lists by index) belongs to; NULL if none. refs are followed. */
const struct field *fields_find(const struct field_table *t, const char *dotted_path);
/* Visits every row with its full path, refs followed. */
typedef void fields_visit_fn(void *arg, const char *full_path, const struct field *f);
void fields_visit(const struct field_table *t, fields_visit_fn *fn, void *arg);
/* Table mistakes as text (unknown parent, bad default, duplicate path): for the tests of every table. false if any. */
bool fields_check(const struct field_table *t, struct str *problems);
