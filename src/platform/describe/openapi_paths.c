/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: what clients look for in them is the group, version and kind of an operation, and which query parameters it takes
 * (kubectl: dryRun and fieldValidation of a kind's PATCH). */
#include "platform/describe/openapi_int.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

enum op { OP_GET, OP_LIST, OP_POST, OP_PUT, OP_PATCH, OP_DELETE, OP_DELETECOLLECTION };
#define BIT(op) (1u << (op))
#define WRITES (BIT(OP_POST) | BIT(OP_PUT) | BIT(OP_PATCH))
#define DELETES (BIT(OP_DELETE) | BIT(OP_DELETECOLLECTION))
#define LISTS (BIT(OP_LIST) | BIT(OP_DELETECOLLECTION))

static const struct {
	const char *method, *action, *does, *id;
	unsigned verb;
} ops[] = {
	[OP_GET] = { "get", "get", "read the specified", "read", VERB_GET },
	[OP_LIST] = { "get", "list", "list or watch objects of kind", "list", VERB_LIST },
	[OP_POST] = { "post", "post", "create", "create", VERB_CREATE },
	[OP_PUT] = { "put", "put", "replace the specified", "replace", VERB_UPDATE },
	[OP_PATCH] = { "patch", "patch", "partially update the specified", "patch", VERB_PATCH },
	[OP_DELETE] = { "delete", "delete", "delete", "delete", VERB_DELETE },
	[OP_DELETECOLLECTION] = { "delete", "deletecollection", "delete collection of", "deleteCollection",
		VERB_DELETECOLLECTION },
};

static const struct {
	const char *name, *type, *doc;
	unsigned ops;
} params[] = {
	{ "allowWatchBookmarks", "boolean", "Ask for events of type BOOKMARK.", LISTS },
	{ "continue", "string", "Where to go on, as told by the list before.", LISTS },
	{ "dryRun", "string", "All: do everything but persist the result.", WRITES | DELETES },
	{ "fieldManager", "string", "Name of the actor making these changes.", WRITES },
	{ "fieldSelector", "string", "Select by fields.", LISTS },
	{ "fieldValidation", "string",
		"What becomes of unknown and duplicate fields: Ignore, Warn or Strict.", WRITES },
	{ "force", "boolean", "Server-side apply: take fields over from other managers.", BIT(OP_PATCH) },
	{ "gracePeriodSeconds", "integer", "Seconds until the object goes.", DELETES },
	{ "labelSelector", "string", "Select by labels.", LISTS },
	{ "limit", "integer", "How many items at most.", LISTS },
	{ "orphanDependents", "boolean", "Deprecated: use propagationPolicy.", DELETES },
	{ "propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground.",
		DELETES },
	{ "resourceVersion", "string", "How new the answer must be.", LISTS },
	{ "resourceVersionMatch", "string", "How resourceVersion is meant.", LISTS },
	{ "sendInitialEvents", "boolean", "Begin a watch with what is there.", LISTS },
	{ "timeoutSeconds", "integer", "When to end a list or watch.", LISTS },
	{ "watch", "boolean", "Watch instead of listing.", BIT(OP_LIST) },
};

static const char *const patch_types[] = { "application/apply-patch+yaml", "application/json-patch+json",
	"application/merge-patch+json", "application/strategic-merge-patch+json" };
#define N_PATCH_TYPES_CRD 3 /* no strategic merge of custom resources */
static const char *const body_types[] = { "application/json", "application/yaml" };

/* One resource or subresource while its paths are made. */
struct place {
	struct json_doc *d;
	struct json *paths;
	bool v2;
	const struct resource *r;
	const struct subresource *sub;
	const char *definition; /* of the resource */
};

static const char *const *consumed(const struct place *p, enum op op, size_t *n)
{
	if (op != OP_PATCH) {
		*n = ARRAY_LEN(body_types);
		return body_types;
	}
	*n = p->r->origin == ORIGIN_CRD ? N_PATCH_TYPES_CRD : ARRAY_LEN(patch_types);
	return patch_types;
}

/* ---- parameters ---- */
static void put_param(const struct place *p, struct json *list, const char *in, const char *name,
	const char *type, const char *doc)
{
	struct json *o = json_new_obj(p->d);

	json_set_str(p->d, o, "name", name);
	json_set_str(p->d, o, "in", in);
	json_set_str(p->d, o, "description", doc);
	if (str_eq(in, "path"))
		json_set_bool(p->d, o, "required", true);
	json_set_bool(p->d, p->v2 ? o : json_need_obj(p->d, o, "schema"), "uniqueItems", true);
	json_set_str(p->d, p->v2 ? o : json_get(o, "schema"), "type", type);
	json_append(p->d, list, o);
}

/* No empty list: who reads and writes the document again (Kubernetes' e2e tests do) would lose it. */
static void put_params(const struct place *p, struct json *o, enum op op)
{
	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		if (params[i].ops & BIT(op))
			put_param(p, json_need_arr(p->d, o, "parameters"), "query", params[i].name,
				params[i].type, params[i].doc);
}

/* ---- bodies ---- */
static struct json *ref_to(const struct place *p, const char *definition)
{
	struct json *o = json_new_obj(p->d);

	json_set_strf(p->d, o, "$ref", "%s%s", p->v2 ? OPENAPI_V2_REF : OPENAPI_V3_REF, definition);
	return o;
}

/* What goes in: the kind itself, a patch, delete options; subresources with a kind of their own: any object. */
static struct json *body_schema(const struct place *p, enum op op)
{
	struct json *o;

	if (op == OP_PATCH)
		return ref_to(p, META "Patch");
	if (op == OP_DELETE || op == OP_DELETECOLLECTION)
		return ref_to(p, META "DeleteOptions");
	if (!p->sub || !p->sub->kind)
		return ref_to(p, p->definition);
	if (openapi_body(p->r, p->sub))
		return ref_to(p, openapi_body(p->r, p->sub)->name);
	o = json_new_obj(p->d);
	json_set_str(p->d, o, "type", "object");
	return o;
}

static void put_body(const struct place *p, struct json *o, enum op op)
{
	bool required = op != OP_DELETE && op != OP_DELETECOLLECTION;
	size_t n;
	const char *const *types = consumed(p, op, &n);
	struct json *body;

	if (op == OP_GET || op == OP_LIST)
		return;
	if (p->v2) {
		body = json_new_obj(p->d);
		json_set_str(p->d, body, "name", "body");
		json_set_str(p->d, body, "in", "body");
		json_set_bool(p->d, body, "required", required);
		json_set(p->d, body, "schema", body_schema(p, op));
		json_insert(p->d, json_need_arr(p->d, o, "parameters"), 0, body);
		for (size_t i = 0; i < n; i++)
			json_append_str(p->d, json_need_arr(p->d, o, "consumes"), types[i]);
		return;
	}
	body = json_need_obj(p->d, o, "requestBody");
	for (size_t i = 0; i < n; i++)
		json_set(p->d, json_need_obj(p->d, json_need_obj(p->d, body, "content"), types[i]), "schema",
			body_schema(p, op));
	if (required)
		json_set_bool(p->d, body, "required", true);
}

static struct json *answer_schema(const struct place *p, enum op op)
{
	CLEANUP(mem_freep) char *list = str_printf("%sList", p->definition);

	if (op == OP_DELETE || op == OP_DELETECOLLECTION)
		return ref_to(p, META "Status");
	return op == OP_LIST ? ref_to(p, list) : body_schema(p, OP_GET);
}

static void put_answer(const struct place *p, struct json *o, enum op op)
{
	struct json *responses = json_need_obj(p->d, o, "responses");
	struct json *ok = json_need_obj(p->d, responses, op == OP_POST ? "201" : "200");

	json_set_str(p->d, ok, "description", op == OP_POST ? "Created" : "OK");
	if (p->v2) {
		json_set(p->d, ok, "schema", answer_schema(p, op));
		json_append_str(p->d, json_need_arr(p->d, o, "produces"), "application/json");
		return;
	}
	json_set(p->d, json_need_obj(p->d, json_need_obj(p->d, ok, "content"), "application/json"), "schema",
		answer_schema(p, op));
}

/* ---- operations ---- */
static void add_capital(struct str *out, const char *word)
{
	bool start = true;

	for (; *word; word++) {
		if (!isalnum((unsigned char)*word)) {
			start = true;
			continue;
		}
		str_addc(out, start ? (char)toupper((unsigned char)*word) : *word);
		start = false;
	}
}

/* "listAppsV1NamespacedDeploymentStatus", "listCoreV1PodForAllNamespaces" */
static void put_id(const struct place *p, struct json *o, enum op op, bool in_namespace)
{
	const struct kind *k = p->r->kind;
	CLEANUP(mem_freep)
	char *group =
		mem_strndup(k->group, p->r->origin == ORIGIN_CRD ? strlen(k->group) : strcspn(k->group, "."));
	CLEANUP(str_done) struct str id = { 0 };

	str_add(&id, ops[op].id);
	add_capital(&id, str_empty(group) ? "core" : group);
	add_capital(&id, k->version);
	if (in_namespace)
		str_add(&id, "Namespaced");
	add_capital(&id, k->kind);
	if (p->sub)
		add_capital(&id, p->sub->name);
	if (k->namespaced && !in_namespace)
		str_add(&id, "ForAllNamespaces");
	json_set_str(p->d, o, "operationId", id.data);
	str_clear(&id);
	for (const char *c = str_empty(k->group) ? "core" : k->group; *c; c++)
		str_addc(&id, isalnum((unsigned char)*c) ? *c : '_');
	str_addf(&id, "_%s", k->version);
	json_append_str(p->d, json_need_arr(p->d, o, "tags"), id.data);
}

static void put_op(const struct place *p, struct json *item, enum op op, bool in_namespace)
{
	const struct kind *k = p->r->kind;
	const struct subresource *own = p->sub && p->sub->kind ? p->sub : NULL;
	struct json *o = json_new_obj(p->d), *gvk;

	json_set_strf(p->d, o, "description", "%s %s%s%s", ops[op].does, p->sub ? p->sub->name : "",
		p->sub ? " of " : "", k->kind);
	put_id(p, o, op, in_namespace);
	put_params(p, o, op);
	put_body(p, o, op);
	put_answer(p, o, op);
	json_set_str(p->d, o, "x-kubernetes-action", ops[op].action);
	gvk = json_need_obj(p->d, o, "x-kubernetes-group-version-kind");
	json_set_str(p->d, gvk, "group", own && own->group ? own->group : k->group);
	json_set_str(p->d, gvk, "kind", own ? own->kind : k->kind);
	json_set_str(p->d, gvk, "version", own && own->version ? own->version : k->version);
	json_set(p->d, item, ops[op].method, o);
}

/* A path with the operations of `wanted` that the verbs allow; none: no path. */
static void put_path(
	const struct place *p, const char *path, unsigned verbs, unsigned wanted, bool in_namespace)
{
	struct json *item = NULL, *list;

	for (size_t op = 0; op < ARRAY_LEN(ops); op++) {
		if (!(wanted & BIT(op)) || !(verbs & ops[op].verb))
			continue;
		if (!item)
			item = json_need_obj(p->d, p->paths, path);
		put_op(p, item, (enum op)op, in_namespace);
	}
	if (!item || !strchr(path, '{'))
		return;
	list = json_need_arr(p->d, item, "parameters");
	if (strstr(path, "{name}"))
		put_param(p, list, "path", "name", "string", "Name of the object.");
	if (strstr(path, "{namespace}"))
		put_param(p, list, "path", "namespace", "string", "Namespace of the object.");
}

static void put_resource(struct place *p)
{
	const struct kind *k = p->r->kind;
	char api_version[KIND_API_VERSION_MAX];
	CLEANUP(mem_freep)
	char *base =
		str_printf("%s/%s", str_empty(k->group) ? "/api" : "/apis", kind_api_version(k, api_version));
	CLEANUP(mem_freep) char *everywhere = str_printf("%s/%s", base, k->plural);
	CLEANUP(mem_freep)
	char *collection =
		str_printf("%s%s/%s", base, k->namespaced ? "/namespaces/{namespace}" : "", k->plural);
	CLEANUP(mem_freep) char *object = str_printf("%s/{name}", collection);
	unsigned verbs = resource_verbs(p->r);

	put_path(p, collection, verbs, BIT(OP_LIST) | BIT(OP_POST) | BIT(OP_DELETECOLLECTION), k->namespaced);
	put_path(p, object, verbs, BIT(OP_GET) | BIT(OP_PUT) | BIT(OP_PATCH) | BIT(OP_DELETE), k->namespaced);
	for (const struct subresource *s = p->r->def->subresources; s && s->name; s++) {
		CLEANUP(mem_freep) char *path = str_printf("%s/%s", object, s->name);

		p->sub = s;
		put_path(p, path, s->verbs, BIT(OP_GET) | BIT(OP_PUT) | BIT(OP_PATCH) | BIT(OP_POST),
			k->namespaced);
		p->sub = NULL;
	}
	if (k->namespaced)
		put_path(p, everywhere, verbs, BIT(OP_LIST), false);
}

void openapi_paths(const struct group_version *gv, bool v2, struct json_doc *d, struct json *paths)
{
	for (size_t i = 0; i < gv->n; i++) {
		CLEANUP(mem_freep) char *definition = openapi_name(gv->items[i]);
		struct place p = {
			.d = d, .paths = paths, .v2 = v2, .r = gv->items[i], .definition = definition
		};

		put_resource(&p);
	}
}
