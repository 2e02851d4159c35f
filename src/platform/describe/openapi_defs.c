/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: one per kind, per list of a kind, and per named field table these refer to. */
#include "platform/describe/openapi_int.h"

#include "base/mem.h"
#include "platform/kinds/builtin.h"

#include <string.h>

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

FIELD_TABLE(openapi_list_meta_fields, META "ListMeta", "Metadata of a list.",
	ROW_STR("continue", "Set if there is more; give it to the next request to go on."),
	ROW_INT("remainingItemCount", "How many items are left."),
	ROW_STR("resourceVersion", "Version of the list."), ROW_STR("selfLink", "No longer filled in."));

FIELD_TABLE(openapi_delete_options_fields, META "DeleteOptions", "How to delete.",
	ROW_STR("apiVersion", "Version of the schema."), ROW_STR("kind", "Kind of the object."),
	ROW_STRS("dryRun", "All: do everything but the deletion."),
	ROW_INT("gracePeriodSeconds", "Seconds until the object goes."),
	ROW_BOOL("orphanDependents", "Deprecated: use propagationPolicy."),
	ROW_OBJ("preconditions", "What must hold."),
	ROW_STR("preconditions.resourceVersion", "Resource version the object must have."),
	ROW_STR("preconditions.uid", "UID the object must have."),
	ROW_ENUM("propagationPolicy", "Orphan|Background|Foreground", "What becomes of dependents."),
	ROW_BOOL("ignoreStoreReadErrorWithClusterBreakingPotential",
		"Whether what can not be read is removed."));

FIELD_TABLE(openapi_status_fields, META "Status", "How a request went.",
	ROW_STR("apiVersion", "Version of the schema."), ROW_STR("kind", "Kind of the object."),
	ROW_REF("metadata", openapi_list_meta_fields, "Metadata."), ROW_STR("status", "Success or Failure."),
	ROW_STR("message", "For people."), ROW_STR("reason", "One CamelCase word."),
	ROW_I32("code", "HTTP status code."), ROW_OBJ("details", "More about the reason."),
	ROW_STR("details.name", "Name of the object."), ROW_STR("details.group", "Its group."),
	ROW_STR("details.kind", "Its kind or resource."), ROW_STR("details.uid", "Its UID."),
	ROW_LIST("details.causes", "Causes."), ROW_STR("details.causes[].field", "Path of the field."),
	ROW_STR("details.causes[].message", "For people."),
	ROW_STR("details.causes[].reason", "One CamelCase word."),
	ROW_I32("details.retryAfterSeconds", "When to try again."));

/* ---- quantities and ports: definitions of their own, so that clients show a name for them ---- */
static const struct {
	const char *name, *doc;
} scalars[] = {
	{ "io.k8s.apimachinery.pkg.api.resource.Quantity",
		"A number with a unit, such as 1500m, 2Gi or 10k." },
	{ "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "A number or a text." },
};

struct defs {
	struct json_doc *d;
	struct json *schemas;
	const char *ref_prefix;
	const struct field_table **queue; /* referred to, not made yet */
	size_t n, cap;
};

static void defs_done(struct defs *s)
{
	free(s->queue);
}

static char *defs_ref(void *arg, const struct field_table *t)
{
	struct defs *s = arg;
	bool known = json_get(s->schemas, t->name) != NULL;

	for (size_t i = 0; i < s->n && !known; i++)
		known = s->queue[i] == t;
	if (!known) {
		s->queue = mem_grow(s->queue, &s->cap, s->n + 1, sizeof(*s->queue));
		s->queue[s->n++] = t;
	}
	return str_printf("%s%s", s->ref_prefix, t->name);
}

/* "cdi.kubevirt.io" -> "io.kubevirt.cdi" */
static void put_reversed(struct str *out, const char *group)
{
	size_t end = strlen(group);

	while (end > 0) {
		size_t at = end;

		while (at > 0 && group[at - 1] != '.')
			at--;
		str_addn(out, group + at, end - at);
		str_addc(out, '.');
		end = at > 0 ? at - 1 : 0;
	}
}

char *openapi_name(const struct resource *r)
{
	const struct kind *k = r->kind;
	CLEANUP(str_done) struct str name = { 0 };

	if (k->fields && k->fields->name)
		return mem_strdup(k->fields->name);
	if (r->origin == ORIGIN_CRD)
		put_reversed(&name, k->group);
	else
		str_addf(&name, "io.k8s.api.%.*s.", (int)strcspn(k->group, "."),
			str_empty(k->group) ? "core" : k->group);
	str_addf(&name, "%s.%s", k->version, k->kind);
	return str_take(&name);
}

static void put_gvk(struct json_doc *d, struct json *schema, const struct kind *k, const char *kind)
{
	struct json *one = json_new_obj(d);

	json_set_str(d, one, "group", k->group);
	json_set_str(d, one, "kind", kind);
	json_set_str(d, one, "version", k->version);
	json_append(d, json_need_arr(d, schema, "x-kubernetes-group-version-kind"), one);
}

static void put_described(
	struct defs *s, struct json *props, const char *key, struct json *v, const char *doc)
{
	json_set_str(s->d, v, "description", doc);
	json_set(s->d, props, key, v);
}

static struct json *string_schema(struct json_doc *d)
{
	struct json *v = json_new_obj(d);

	json_set_str(d, v, "type", "string");
	return v;
}

static struct json *ref_around(struct defs *s, const struct field_table *t)
{
	CLEANUP(mem_freep) char *where = defs_ref(s, t);
	struct json *v = json_new_obj(s->d), *ref = json_new_obj(s->d);

	json_set_str(s->d, ref, "$ref", where);
	json_append(s->d, json_need_arr(s->d, v, "allOf"), ref);
	return v;
}

static void put_head(struct defs *s, struct json *schema, const struct field_table *meta)
{
	struct json *props = json_need_obj(s->d, schema, "properties");

	json_set_str(s->d, schema, "type", "object");
	put_described(s, props, "apiVersion", string_schema(s->d),
		"APIVersion defines the versioned schema of this representation of an object: its group and "
		"version.");
	put_described(s, props, "kind", string_schema(s->d),
		"Kind is a string value representing the REST resource this object represents, in "
		"CamelCase.");
	put_described(s, props, "metadata", ref_around(s, meta),
		"Standard object's metadata: name, namespace, labels, annotations and more.");
}

static void put_scalar(struct defs *s, size_t which)
{
	static const char *const types[] = { "string", "number", "integer" };
	struct json *schema;

	if (json_get(s->schemas, scalars[which].name))
		return;
	schema = json_need_obj(s->d, s->schemas, scalars[which].name);
	json_set_str(s->d, schema, "description", scalars[which].doc);
	for (size_t i = 0; i < 2; i++) {
		struct json *one = json_new_obj(s->d);

		json_set_str(s->d, one, "type", types[i + (i > 0 && which > 0)]);
		json_append(s->d, json_need_arr(s->d, schema, "oneOf"), one);
	}
	json_set_bool(s->d, schema, "x-kubernetes-int-or-string", true); /* v2 makes a string of it */
}

/* Replaces what a schema says inline of such values by references; the description stays. */
static void refer_scalars(struct defs *s, struct json *schema)
{
	static const char *const below[] = { "items", "additionalProperties" };
	static const char *const gone[] = { "anyOf", "pattern", "x-kubernetes-int-or-string" };

	if (json_bool(json_get(schema, "x-kubernetes-int-or-string"))) {
		size_t which = json_get(schema, "pattern") ? 0 : 1;
		struct json *ref = json_new_obj(s->d);

		put_scalar(s, which);
		for (size_t i = 0; i < ARRAY_LEN(gone); i++)
			json_remove(schema, gone[i]);
		json_set_strf(s->d, ref, "$ref", "%s%s", s->ref_prefix, scalars[which].name);
		json_append(s->d, json_need_arr(s->d, schema, "allOf"), ref);
		return;
	}
	JSON_EACH (it, json_get(schema, "properties"))
		refer_scalars(s, it.val);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		if (json_is_obj(json_get(schema, below[i])))
			refer_scalars(s, json_get(schema, below[i]));
}

static struct json *table_schema(struct defs *s, const struct field_table *t)
{
	struct json *schema = fields_schema_refs(s->d, t, defs_ref, s);

	refer_scalars(s, schema);
	return schema;
}

static void defs_drain(struct defs *s)
{
	while (s->n > 0) {
		const struct field_table *t = s->queue[--s->n];

		if (!json_get(s->schemas, t->name))
			json_set(s->d, s->schemas, t->name, table_schema(s, t));
	}
}

/* An object within a custom one has apiVersion, kind and metadata, which its schema need not say. */
static void put_embedded(struct defs *s, struct json *schema)
{
	static const char *const below[] = { "items", "additionalProperties" };

	JSON_EACH (it, json_get(schema, "properties"))
		put_embedded(s, it.val);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		if (json_is_obj(json_get(schema, below[i])))
			put_embedded(s, json_get(schema, below[i]));
	if (json_bool(json_get(schema, "x-kubernetes-embedded-resource")))
		put_head(s, schema, &object_meta_fields);
}

static struct json *kind_schema(struct defs *s, const struct resource *r)
{
	const struct json *crd = resource_crd_schema(r); /* resource_openapi() would stay in memory */
	struct json *schema;

	if (r->kind->fields) {
		schema = table_schema(s, r->kind->fields);
	} else if (json_is_obj(crd)) {
		schema = json_copy(s->d, crd);
		put_embedded(s, schema);
	} else {
		schema = json_new_obj(s->d);
		json_set_bool(s->d, schema, "x-kubernetes-preserve-unknown-fields", true);
	}
	put_head(s, schema, &object_meta_fields);
	return schema;
}

static void put_list(struct defs *s, const struct resource *r, const char *name)
{
	CLEANUP(mem_freep) char *list_name = str_printf("%sList", name);
	struct json *schema = json_new_obj(s->d), *items, *ref;

	if (json_get(s->schemas, list_name))
		return;
	json_set_strf(s->d, schema, "description", "%s is a list of %s", r->list_kind, r->kind->kind);
	put_head(s, schema, &openapi_list_meta_fields);
	items = json_need_obj(s->d, json_get(schema, "properties"), "items");
	json_set_strf(s->d, items, "description", "List of %s.", r->kind->plural);
	json_set_str(s->d, items, "type", "array");
	ref = json_need_obj(s->d, items, "items");
	json_set_strf(s->d, ref, "$ref", "%s%s", s->ref_prefix, name);
	json_append_str(s->d, json_need_arr(s->d, schema, "required"), "items");
	put_gvk(s->d, schema, r->kind, r->list_kind);
	json_set(s->d, s->schemas, list_name, schema);
}

static void put_resource(struct defs *s, const struct resource *r)
{
	CLEANUP(mem_freep) char *name = openapi_name(r);
	struct json *schema = json_get(s->schemas, name);

	if (!schema || !json_get(json_get(schema, "properties"), "kind")) {
		schema = kind_schema(s, r);
		json_set(s->d, s->schemas, name, schema);
	}
	put_gvk(s->d, schema, r->kind, r->kind->kind);
	if (resource_verbs(r) & VERB_LIST)
		put_list(s, r, name);
}

/* ---- bodies of subresources ---- */
const struct field_table *openapi_body(const struct resource *r, const struct subresource *sub)
{
	const char *group = sub->group ? sub->group : r->kind->group;

	for (const struct kind *k = builtin_bodies; sub->kind && k->kind; k++)
		if (str_eq(k->kind, sub->kind) && str_eq(k->group, group))
			return k->fields;
	return NULL;
}

static void put_bodies(struct defs *s, const struct resource *r)
{
	for (const struct subresource *sub = r->def->subresources; sub && sub->name; sub++) {
		const struct field_table *t = openapi_body(r, sub);
		struct kind k = { .group = sub->group ? sub->group : r->kind->group,
			.version = sub->version ? sub->version : r->kind->version,
			.kind = sub->kind };
		struct json *schema;

		if (!t || json_get(s->schemas, t->name))
			continue;
		schema = table_schema(s, t);
		put_head(s, schema, &object_meta_fields);
		put_gvk(s->d, schema, &k, k.kind);
		json_set(s->d, s->schemas, t->name, schema);
	}
}

void openapi_definitions(
	const struct group_version *gv, const char *ref_prefix, struct json_doc *d, struct json *schemas)
{
	CLEANUP(defs_done) struct defs s = { .d = d, .schemas = schemas, .ref_prefix = ref_prefix };
	static const struct field_table *const always[] = { &openapi_delete_options_fields,
		&openapi_status_fields };

	for (size_t i = 0; i < gv->n; i++)
		put_resource(&s, gv->items[i]);
	for (size_t i = 0; i < gv->n; i++)
		put_bodies(&s, gv->items[i]);
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		free(defs_ref(&s, always[i]));
	defs_drain(&s);
	if (!json_get(schemas, META "Patch")) {
		struct json *patch = json_need_obj(d, schemas, META "Patch");

		json_set_str(d, patch, "type", "object");
		json_set_str(d, patch, "description", "A change in the form its media type says.");
	}
}
