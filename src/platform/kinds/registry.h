/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/registry.h - what the server serves: one entry per resource and version, from the static tables of the
 * built-in kinds and, at run time, from CustomResourceDefinitions and APIServices. Everything else (handlers, discovery,
 * OpenAPI, tables, kubectl's columns) is driven by these entries; adding a kind is adding a resource_def.
 *
 * Loop thread only. Entries may go (a CRD is deleted) whenever the loop turns: do not keep pointers across turns, except
 * through resource_ref(). */
#pragma once

#include "api/fields.h"
#include "api/jsonpath.h"
#include "api/kind.h"
#include "api/obj.h"
#include "api/schema.h"
#include "api/semantics.h"

/* ---- what a resource is: static for built-in kinds ---- */
enum {
	VERB_CREATE = 1 << 0,
	VERB_DELETE = 1 << 1,
	VERB_DELETECOLLECTION = 1 << 2,
	VERB_GET = 1 << 3,
	VERB_LIST = 1 << 4,
	VERB_PATCH = 1 << 5,
	VERB_UPDATE = 1 << 6,
	VERB_WATCH = 1 << 7,
};
#define VERBS_ALL 0xffu
#define VERBS_PROXY (VERB_CREATE | VERB_DELETE | VERB_GET | VERB_PATCH | VERB_UPDATE)
#define VERBS_STATUS (VERB_GET | VERB_PATCH | VERB_UPDATE)

/* Discovery's "pods/eviction". kind.has_status and has_scale need an entry as well. */
struct subresource {
	const char *name;                   /* "status"; NULL ends the array */
	const char *group, *version, *kind; /* of its body; group NULL: those of the resource itself */
	unsigned verbs;
};

/* Fills in the cell's value (made by d): a string, number or bool; NULL leaves the cell null. */
typedef struct json *column_fn(struct json_doc *d, const struct json *o, int64_t now_ms);
/* Column after the first one, Name, which every kind has. */
struct column {
	const char *name;   /* NULL ends the array */
	const char *type;   /* "string", "integer", "number", "boolean", "date" */
	const char *format; /* "name", ... or NULL */
	const char *doc;
	int priority;     /* > 0: with -o wide only */
	const char *path; /* JSONPath; type date makes an age of it. Or NULL and: */
	column_fn *cell;
};

struct scale_paths { /* dotted with a leading dot, as in a CRD: ".spec.replicas" */
	const char *spec_replicas, *status_replicas,
		*selector; /* selector: label selector text or tree; may be NULL */
};

/* What the rules of a kind may look at besides the object. */
struct write_env {
	int64_t now_ms;
	bool dry_run;
	const char *sub; /* "" or the subresource written to */
	/* Another object as of now, queued writes included; NULL if there is none. Borrowed until the next turn. */
	const struct obj *(*get)(
		const struct write_env *env, const char *group, const char *plural, const char *key);
	void *arg; /* get()'s */
};
struct resource_hooks {
	/* After the schema's defaults, on create, update and patch, before admission: defaults a field table can not say (Pod's
	 * serviceAccountName from serviceAccount, Service's targetPort). Idempotent. */
	void (*deflt)(struct json_doc *d, struct json *o);
	/* What the server decides itself: after mutating admission and write_create()/write_update(), before validation (Secret's
	 * stringData, Pod's qosClass and phase, Service's clusterIP). old NULL: create. */
	int (*prepare)(const struct write_env *env, struct json_doc *d, struct json *o,
		const struct json *old, struct err *e);
	/* Beyond the schema. old NULL: create. */
	void (*validate)(
		const struct write_env *env, const struct json *o, const struct json *old, struct causes *c);
	/* Between the stored shape and this version's, for one store with two shapes (events). NULL: only apiVersion differs. */
	void (*to_stored)(struct json_doc *d, struct json *o);
	void (*from_stored)(struct json_doc *d, struct json *o);
	/* With them: top-level members {here, stored} whose names differ, so that field selectors find them; {NULL, NULL}
	 * ends. */
	const char *const (*renamed)[2];
};

struct resource_def {
	struct kind kind; /* kind.fields describes it; a CRD's openAPIV3Schema is read from resource.crd */
	struct write_rules rules;               /* .kind is filled in by the registry; name_max 0: 253 */
	unsigned verbs;                         /* 0: VERBS_ALL */
	const struct subresource *subresources; /* or NULL */
	const struct column *columns;           /* NULL: Age alone */
	/* Field selectors besides metadata.name and metadata.namespace; NULL-terminated or NULL. "label", "label|path"
	 * where the value is elsewhere in the stored shape ("label|path|path": the first that is there), "label=value" if
	 * an absent field counts as that. */
	const char *const *selectable;
	struct scale_paths scale; /* with kind.has_scale */
	struct resource_hooks hooks;
	const char *list_kind; /* NULL: KindList */
	const char *
		storage; /* NULL: "plural" or "group/plural". Versions with the same storage are one set of objects */
	bool not_storage;            /* another version is the stored one */
	const char *storage_version; /* of a CRD, served or not; NULL: see not_storage */
	bool converted;              /* a CRD's webhook converts between its versions */
	bool transient; /* POST only, answered from a function, never stored (reviews): see apiserver/review.c */
	bool delete_returns; /* DELETE always answers the object (Pod, Service, ServiceAccount, Namespace, PVC) */
	int64_t ttl_seconds;     /* objects vanish after this; 0: never */
	const char *deprecation; /* text of the Warning header for a deprecated version, or NULL */
};

/* ---- what is served ---- */
enum resource_origin { ORIGIN_BUILTIN, ORIGIN_CRD };
struct resource {
	const struct resource_def *def;
	const struct kind *kind; /* &def->kind */
	struct write_rules rules;
	enum resource_origin origin;
	const struct obj *crd;     /* ORIGIN_CRD: referenced */
	char *list_kind, *storage; /* never NULL */
	/* private to registry.c and the server */
	unsigned refs;
	struct schema *schema;
	struct json_doc *openapi;
	struct jsonpath **column_paths;
	struct bucket *bucket;
	uint64_t watch_events; /* sent to watchers */
	void *owned;
	void (*free_owned)(void *);
};
struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource *r);
unsigned resource_verbs(const struct resource *r);
const struct subresource *resource_sub(const struct resource *r, const char *name); /* NULL: there is none */
/* Compiled at first use; never NULL (a kind without description keeps everything). */
const struct schema *resource_schema(struct resource *r);
/* The OpenAPI v3 schema of the whole kind, apiVersion, kind and metadata included; made at first use, kept. */
const struct json *resource_openapi(struct resource *r);
/* A CRD's openAPIV3Schema of this version, borrowed until the next turn; NULL for built-in kinds. */
const struct json *resource_crd_schema(const struct resource *r);
/* Columns after Name (Age alone if the kind has none); *ret_paths[i] is compiled, or NULL where columns[i].cell is set. */
const struct column *resource_columns(struct resource *r, struct jsonpath *const **ret_paths, size_t *ret_n);

/* A served group version, local or behind an APIService. */
struct group_version {
	char *group, *version;
	uint32_t hash;                        /* of both */
	int group_priority, version_priority; /* higher first */
	bool remote, available;               /* available is always true of local ones */
	const struct obj *remote_resources; /* remote: the backend's APIResourceList as last seen, or NULL */
	const struct obj *remote_v2;        /* its part of the backend's OpenAPI v2 document, or NULL */
	char *remote_v3;                    /* where its OpenAPI v3 document is, or NULL */
	uint64_t changed;                   /* registry_changes() when anything in it last changed */
	struct resource **items;            /* by plural */
	size_t n;
};

struct registry;
struct registry *registry_new(void);
void registry_free(struct registry *g);
/* Grows with every change; 0 is never returned. */
uint64_t registry_changes(const struct registry *g);
/* def must outlive the registry. Replaces an entry of the same group, version and plural. */
struct resource *registry_add(struct registry *g, const struct resource_def *def);
/* A CRD's version. owned is freed with the entry and usually is what def lives in. Its schema was checked when the CRD was
 * written (crd_check.c); it is compiled at first use, for most definitions never have an object. */
void registry_add_crd(struct registry *g, const struct resource_def *def, const struct obj *crd, void *owned,
	void (*free_owned)(void *));
void registry_remove(struct registry *g, const char *group, const char *version, const char *plural);
/* Priorities of a group version, made if absent (built-in defaults: "" 18000, others 17000 downwards; CRDs 1000/100). */
struct group_version *registry_need_gv(struct registry *g, const char *group, const char *version);
void registry_set_priority(
	struct registry *g, const char *group, const char *version, int group_prio, int version_prio);
void registry_set_remote(struct registry *g, const char *group, const char *version, bool available,
	const struct obj *resources /* or NULL: unknown */);
/* Nothing happens if it is no longer remote. */
void registry_set_remote_docs(
	struct registry *g, const char *group, const char *version, const struct obj *v2, const char *v3);
void registry_remove_remote(struct registry *g, const char *group, const char *version);
void registry_touch(struct registry *g, struct group_version *gv); /* something about it changed */

/* NULL if not served. group "" is core. */
struct resource *registry_find(
	const struct registry *g, const char *group, const char *version, const char *plural);
struct resource *registry_find_kind(const struct registry *g, const char *api_version, const char *kind);
/* The stored version of a group's resource, whichever that is. */
struct resource *registry_storage(const struct registry *g, const char *group, const char *plural);
const struct group_version *registry_gv(const struct registry *g, const char *group, const char *version);
/* All, by group priority then group name; within a group by version priority (the first is the preferred one), then GA >
 * beta > alpha. NULL at the end. Group versions without resources and not remote are left out. */
const struct group_version *registry_gv_at(const struct registry *g, size_t i);
/* The higher, the sooner clients take it. */
int64_t registry_version_rank(const char *version);
