/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/builtin.h - between the files that describe the built-in kinds: shared field tables, the shorthand they
 * are written in, and one array of resource_defs per group. A new built-in kind is a table, and a row in its group's array. */
#pragma once

#include "platform/kinds/registry.h"

/* Registers every built-in kind and the priorities of their group versions. */
void builtin_register(struct registry *g);

/* A kind of the core group. */
#define CORE(k, p, s) .group = "", .version = "v1", .kind = k, .plural = p, .singular = s

/* ---- shorthand for rows ---- */
#define ROW_STR(p, d)             \
	{                         \
		p, F_STRING, 0, d \
	}
#define ROW_KEY(p, d)                          \
	{                                      \
		p, F_STRING, FIELD_REQUIRED, d \
	} /* what a keyed list is keyed by */
#define ROW_ENUM(p, e, d)                     \
	{                                     \
		p, F_STRING, 0, d, .enums = e \
	}
#define ROW_INT(p, d)          \
	{                      \
		p, F_INT, 0, d \
	}
#define ROW_I32(p, d)            \
	{                        \
		p, F_INT32, 0, d \
	}
#define ROW_BOOL(p, d)          \
	{                       \
		p, F_BOOL, 0, d \
	}
#define ROW_QTY(p, d)               \
	{                           \
		p, F_QUANTITY, 0, d \
	}
#define ROW_IOS(p, d)                    \
	{                                \
		p, F_INT_OR_STRING, 0, d \
	}
#define ROW_TIME(p, d)          \
	{                       \
		p, F_TIME, 0, d \
	}
#define ROW_MICROTIME(p, d)                                           \
	{                                                             \
		p, F_STRING, FIELD_NULLABLE, d, .format = "date-time" \
	}
#define ROW_BYTES(p, d)          \
	{                        \
		p, F_BYTES, 0, d \
	}
#define ROW_ANY(p, d)          \
	{                      \
		p, F_ANY, 0, d \
	}
#define ROW_OBJ(p, d)             \
	{                         \
		p, F_OBJECT, 0, d \
	}
#define ROW_LIST(p, d)                     \
	{                                  \
		p, F_LIST, FIELD_ATOMIC, d \
	} /* of objects: replaced as a whole */
#define ROW_KEYED(p, k, d)                              \
	{                                               \
		p, F_LIST, FIELD_LIST_MAP, d, .keys = k \
	} /* of objects, merged by key */
#define ROW_STRS(p, d)                                        \
	{                                                     \
		p, F_LIST, FIELD_ATOMIC, d, .items = F_STRING \
	}
#define ROW_INTS(p, d)                                     \
	{                                                  \
		p, F_LIST, FIELD_ATOMIC, d, .items = F_INT \
	}
#define ROW_SET(p, d)                                                    \
	{                                                                \
		p, F_LIST, FIELD_SET | FIELD_MERGE, d, .items = F_STRING \
	}
#define ROW_SMAP(p, d)                            \
	{                                         \
		p, F_MAP, 0, d, .items = F_STRING \
	}
#define ROW_QMAP(p, d)                              \
	{                                           \
		p, F_MAP, 0, d, .items = F_QUANTITY \
	}
#define ROW_BMAP(p, d)                           \
	{                                        \
		p, F_MAP, 0, d, .items = F_BYTES \
	}
#define ROW_OPEN(p, d)                     \
	{                                  \
		p, F_OBJECT, FIELD_OPEN, d \
	} /* an object of whatever content */
#define ROW_LMAP(p, d)                          \
	{                                       \
		p, F_MAP, 0, d, .items = F_LIST \
	} /* of lists of strings */
#define ROW_REF(p, t, d)                  \
	{                                 \
		p, F_REF, 0, d, .ref = &t \
	}
#define ROW_REFS(p, t, d)                                 \
	{                                                 \
		p, F_REF_LIST, FIELD_ATOMIC, d, .ref = &t \
	}
#define ROW_KEYED_REFS(p, t, k, d)                                     \
	{                                                              \
		p, F_REF_LIST, FIELD_LIST_MAP, d, .keys = k, .ref = &t \
	}

/* What most kinds' conditions have; some add times of their own. */
#define CONDITION_ROWS                                                                                 \
	{ "type", F_STRING, FIELD_REQUIRED, "Type of the condition." },                                \
		{ "status", F_STRING, FIELD_REQUIRED, "Whether it holds: True, False, Unknown." },     \
		ROW_STR("reason", "Why, one CamelCase word."), ROW_STR("message", "Why, for people."), \
		ROW_TIME("lastTransitionTime", "When the status last changed.")
/* A status' list of them. */
#define ROW_CONDITIONS(p, t)                                                                               \
	{                                                                                                  \
		p, F_REF_LIST, FIELD_LIST_MAP, "What is known about the object, by type.", .keys = "type", \
											   .ref = &t       \
	}

/* ---- shared tables (builtin_meta.c) ---- */
extern const struct field_table object_meta_fields; /* metadata inside templates */
extern const struct field_table label_selector_fields;
extern const struct field_table resource_requirement_fields;
extern const struct field_table object_reference_fields, claim_reference_fields;
extern const struct field_table node_selector_fields, node_selector_term_fields;
extern const struct field_table
	condition_fields; /* those that are the same everywhere, with observedGeneration */
extern const struct field_table plain_condition_fields; /* of older kinds */
/* ---- builtin_volume.c ---- */
extern const struct field_table local_reference_fields, secret_reference_fields, typed_local_reference_fields;
extern const struct field_table object_field_fields, resource_field_fields;
extern const struct field_table volume_source_fields, pv_spec_fields;
extern const struct field_table pvc_spec_fields, pvc_status_fields;
/* ---- builtin_pod.c ---- */
extern const struct field_table job_template_spec_fields; /* builtin_apps.c */
extern const struct field_table pod_spec_fields, pod_template_fields, toleration_fields;

/* ---- columns and hooks used by several groups ---- */
#define COLUMN_AGE                                                                                \
	{                                                                                         \
		"Age", "date", NULL, "Age of the object.", 0, ".metadata.creationTimestamp", NULL \
	}
/* A LabelSelector, or a map of labels, as kubectl prints it. */
struct json *cell_selector_at(struct json_doc *d, const struct json *selector);
/* spec.podSelector as kubectl prints a selector. */
struct json *cell_pod_selector(struct json_doc *d, const struct json *o, int64_t now_ms);
struct json *cell_selector(struct json_doc *d, const struct json *o, int64_t now_ms);
struct json *cell_template_containers(struct json_doc *d, const struct json *o, int64_t now_ms);
struct json *cell_template_images(struct json_doc *d, const struct json *o, int64_t now_ms);
struct json *cell_created(struct json_doc *d, const struct json *o, int64_t now_ms);
extern const struct column created_columns[]; /* Created At alone */
extern const struct column event_columns[];   /* of either shape */
extern const struct subresource status_only[];
/* Defaults of a PodSpec inside o at pointer (a template's, or a Pod's). */
void default_pod_spec(struct json_doc *d, struct json *pod_spec);
/* A limit without a request is its own request: of pods, not of templates. */
void default_requests(struct json_doc *d, struct json *pod_spec);
void validate_pod_spec(const struct json *pod_spec, const char *at, struct causes *c);
/* Sets key to text unless present. */
void default_str(struct json_doc *d, struct json *obj, const char *key, const char *text);
void default_int(struct json_doc *d, struct json *obj, const char *key, int64_t n);
void default_bool(struct json_doc *d, struct json *obj, const char *key, bool b);

/* ---- one array per group; ends with kind.kind NULL ---- */
extern const struct resource_def builtin_core[]; /* of the core group what the next ones are not */
extern const struct resource_def builtin_service[];
extern const struct resource_def builtin_event[];
extern const struct resource_def builtin_claim[];
extern const struct resource_def builtin_pods[];
extern const struct resource_def builtin_apps[];
extern const struct resource_def builtin_rbac[];
extern const struct resource_def builtin_admin[];  /* apiextensions, admissionregistration, apiregistration */
extern const struct resource_def builtin_review[]; /* authentication, authorization */
extern const struct resource_def
	builtin_misc[]; /* coordination, events, policy, scheduling, storage, discovery, networking */
extern const struct resource_def builtin_autoscaling[];
extern const struct resource_def builtin_more[]; /* what nothing here acts upon */
/* All of them; NULL ends. */
extern const struct resource_def *const builtin_groups[];
/* What subresources take and give that is no resource: group, version, kind and fields; ends with kind NULL. */
extern const struct kind builtin_bodies[];
