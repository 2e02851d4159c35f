/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/registry.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

struct registry {
	uint64_t changes;
	struct group_version **gvs; /* in serving order */
	size_t n_gvs, cap_gvs;
};

struct registry *registry_new(void)
{
	struct registry *g = MEM_NEW(struct registry);

	g->changes = 1;
	return g;
}

/* ---- entries ---- */
static const struct column age_alone[] = {
	{ .name = "Age",
		.type = "date",
		.doc = "CreationTimestamp is a timestamp representing the server time when this object was "
		       "created.",
		.path = ".metadata.creationTimestamp" },
	{ .name = NULL },
};

static const struct column *columns_of(const struct resource *r)
{
	return r->def->columns ? r->def->columns : age_alone;
}

struct resource *resource_ref(struct resource *r)
{
	r->refs++;
	return r;
}

void resource_unref(struct resource *r)
{
	if (!r || --r->refs > 0)
		return;
	if (r->column_paths)
		for (size_t i = 0; columns_of(r)[i].name; i++)
			jsonpath_free(r->column_paths[i]);
	free(r->column_paths);
	schema_free(r->schema);
	json_doc_free(r->openapi);
	obj_unref(r->crd);
	free(r->list_kind);
	free(r->storage);
	if (r->free_owned)
		r->free_owned(r->owned);
	free(r);
}

static char *storage_of(const struct resource_def *def)
{
	if (def->storage)
		return mem_strdup(def->storage);
	if (str_empty(def->kind.group))
		return mem_strdup(def->kind.plural);
	return str_printf("%s/%s", def->kind.group, def->kind.plural);
}

static struct resource *resource_new(const struct resource_def *def)
{
	struct resource *r = MEM_NEW(struct resource);

	r->refs = 1;
	r->def = def;
	r->kind = &def->kind;
	r->rules = def->rules;
	r->rules.kind = &def->kind;
	if (r->rules.name_max == 0)
		r->rules.name_max = 253;
	r->list_kind = def->list_kind ? mem_strdup(def->list_kind) : str_printf("%sList", def->kind.kind);
	r->storage = storage_of(def);
	return r;
}

unsigned resource_verbs(const struct resource *r)
{
	return r->def->verbs ? r->def->verbs : VERBS_ALL;
}

const struct subresource *resource_sub(const struct resource *r, const char *name)
{
	for (const struct subresource *s = r->def->subresources; s && s->name; s++)
		if (str_eq(s->name, name))
			return s;
	return NULL;
}

/* Looked up each time: the CRD's tree comes and goes. */
const struct json *resource_crd_schema(const struct resource *r)
{
	if (!r->crd)
		return NULL;
	JSON_EACH (it, json_at(obj_json(r->crd), "/spec/versions")) {
		if (str_eq(json_get_str(it.val, "name"), r->kind->version))
			return json_at(it.val, "/schema/openAPIV3Schema");
	}
	return NULL;
}

static struct json_doc *openapi_make(const struct resource *r)
{
	struct json_doc *d;
	struct json *root, *props;
	static const char *const strings[] = { "apiVersion", "kind" };

	if (r->kind->fields)
		return fields_kind_schema(r->kind->fields);
	d = json_doc_from(resource_crd_schema(r));
	root = json_root(d);
	if (!json_is_obj(root)) {
		root = json_new_obj(d);
		json_set_root(d, root);
		json_set_bool(d, root, "x-kubernetes-preserve-unknown-fields", true);
	}
	json_set_str(d, root, "type", "object");
	props = json_need_obj(d, root, "properties");
	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		json_set_str(d, json_need_obj(d, props, strings[i]), "type", "string");
	json_set_str(d, json_need_obj(d, props, "metadata"), "type", "object");
	return d;
}

static int schema_make(const struct resource *r, struct schema **ret, struct causes *c, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = openapi_make(r);

	if (schema_compile(json_root(d), "spec.validation.openAPIV3Schema", ret, c, e) < 0)
		return -1;
	if (!r->crd)
		schema_set_loose(*ret);
	return 0;
}

/* What a schema that does not compile stands for: no object of the kind is touched. */
static struct schema *schema_keep_all(void)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct schema *s;

	json_set_root(d, json_new_obj(d));
	json_set_str(d, json_root(d), "type", "object");
	json_set_bool(d, json_root(d), "x-kubernetes-preserve-unknown-fields", true);
	MUST(schema_compile(json_root(d), "", &s, NULL, NULL) == 0);
	return s;
}

const struct schema *resource_schema(struct resource *r)
{
	struct causes c = { 0 };
	struct err e = { 0 };

	if (r->schema)
		return r->schema;
	if (schema_make(r, &r->schema, &c, &e) < 0) {
		if (!r->crd)
			mem_bug(e.msg, __FILE__, __LINE__); /* the table is ours */
		/* Checked when it was written, by another version of this program */
		log_error("apiserver: schema of '%s', not used: %s", obj_name(r->crd), e.msg);
		r->schema = schema_keep_all();
	}
	if (r->crd)
		obj_compact(r->crd);
	causes_done(&c);
	return r->schema;
}

const struct json *resource_openapi(struct resource *r)
{
	if (!r->openapi)
		r->openapi = openapi_make(r);
	return json_root(r->openapi);
}

const struct column *resource_columns(struct resource *r, struct jsonpath *const **ret_paths, size_t *ret_n)
{
	const struct column *columns = columns_of(r);
	size_t n = 0;

	while (columns[n].name)
		n++;
	if (!r->column_paths) {
		r->column_paths = mem_zalloc((n + 1) * sizeof(struct jsonpath *));
		for (size_t i = 0; i < n; i++)
			if (columns[i].path)
				jsonpath_parse(columns[i].path, &r->column_paths[i], NULL);
	}
	*ret_paths = r->column_paths;
	*ret_n = n;
	return columns;
}

/* ---- group versions ---- */
/* "v1" > "v1beta2" > "v1beta1" > "v1alpha1" > anything else: 3 stages, then numbers. */
int64_t registry_version_rank(const char *v)
{
	unsigned major = 0, minor = 0;
	int stage;

	if (*v++ != 'v' || *v < '0' || *v > '9')
		return 0;
	while (*v >= '0' && *v <= '9' && major < 1000000)
		major = major * 10 + (unsigned)(*v++ - '0');
	if (!*v)
		stage = 3;
	else if (str_starts(v, "beta"))
		stage = 2, v += 4;
	else if (str_starts(v, "alpha"))
		stage = 1, v += 5;
	else
		return 0;
	while (*v >= '0' && *v <= '9' && minor < 1000000)
		minor = minor * 10 + (unsigned)(*v++ - '0');
	return ((int64_t)stage << 50) + ((int64_t)major << 25) + minor;
}

static int group_priority_of(const struct registry *g, const char *group)
{
	int best = 0;

	for (size_t i = 0; i < g->n_gvs; i++)
		if (str_eq(g->gvs[i]->group, group) && g->gvs[i]->group_priority > best)
			best = g->gvs[i]->group_priority;
	return best;
}

static int gv_cmp(const struct registry *g, const struct group_version *a, const struct group_version *b)
{
	int pa = group_priority_of(g, a->group), pb = group_priority_of(g, b->group);
	int64_t ra, rb;
	int c;

	if (pa != pb)
		return pa > pb ? -1 : 1;
	c = strcmp(a->group, b->group);
	if (c != 0)
		return c;
	if (a->version_priority != b->version_priority)
		return a->version_priority > b->version_priority ? -1 : 1;
	ra = registry_version_rank(a->version);
	rb = registry_version_rank(b->version);
	if (ra != rb)
		return ra > rb ? -1 : 1;
	return strcmp(a->version, b->version);
}

static void gvs_sort(struct registry *g)
{
	for (size_t i = 1; i < g->n_gvs; i++)
		for (size_t j = i; j > 0 && gv_cmp(g, g->gvs[j - 1], g->gvs[j]) > 0; j--) {
			struct group_version *t = g->gvs[j];

			g->gvs[j] = g->gvs[j - 1];
			g->gvs[j - 1] = t;
		}
}

static uint32_t gv_hash(const char *group, const char *version)
{
	uint32_t h = 2166136261u;

	for (const char *p = group ? group : ""; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	h *= 16777619u;
	for (const char *p = version ? version : ""; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h;
}

static struct group_version *gv_find(const struct registry *g, const char *group, const char *version)
{
	uint32_t hash = gv_hash(group, version);

	for (size_t i = 0; i < g->n_gvs; i++)
		if (g->gvs[i]->hash == hash && str_eq(g->gvs[i]->version, version) &&
			str_eq(g->gvs[i]->group, group))
			return g->gvs[i];
	return NULL;
}

void registry_touch(struct registry *g, struct group_version *gv)
{
	gv->changed = ++g->changes;
}

struct group_version *registry_need_gv(struct registry *g, const char *group, const char *version)
{
	struct group_version *gv = gv_find(g, group, version);

	if (gv)
		return gv;
	gv = MEM_NEW(struct group_version);
	gv->group = mem_strdup(group);
	gv->version = mem_strdup(version);
	gv->hash = gv_hash(group, version);
	gv->available = true;
	gv->group_priority = str_empty(group) ? 18000 : 1000;
	gv->version_priority = str_empty(group) ? 1 : 100;
	g->gvs = mem_grow(g->gvs, &g->cap_gvs, g->n_gvs + 1, sizeof(*g->gvs));
	g->gvs[g->n_gvs++] = gv;
	gvs_sort(g);
	registry_touch(g, gv);
	return gv;
}

void registry_set_priority(
	struct registry *g, const char *group, const char *version, int group_prio, int version_prio)
{
	struct group_version *gv = registry_need_gv(g, group, version);

	if (gv->group_priority == group_prio && gv->version_priority == version_prio)
		return;
	gv->group_priority = group_prio;
	gv->version_priority = version_prio;
	gvs_sort(g);
	registry_touch(g, gv);
}

void registry_set_remote(struct registry *g, const char *group, const char *version, bool available,
	const struct obj *resources)
{
	struct group_version *gv = registry_need_gv(g, group, version);

	if (gv->remote && gv->available == available && gv->remote_resources == resources)
		return;
	gv->remote = true;
	gv->available = available;
	obj_ref(resources);
	obj_unref(gv->remote_resources);
	gv->remote_resources = resources;
	registry_touch(g, gv);
}

static void forget_docs(struct group_version *gv)
{
	obj_unref(gv->remote_v2);
	free(gv->remote_v3);
	gv->remote_v2 = NULL;
	gv->remote_v3 = NULL;
}

void registry_set_remote_docs(
	struct registry *g, const char *group, const char *version, const struct obj *v2, const char *v3)
{
	struct group_version *gv = gv_find(g, group, version);

	if (!gv || !gv->remote)
		return;
	forget_docs(gv);
	gv->remote_v2 = v2 ? obj_ref(v2) : NULL;
	gv->remote_v3 = v3 ? mem_strdup(v3) : NULL;
	registry_touch(g, gv);
}

void registry_remove_remote(struct registry *g, const char *group, const char *version)
{
	struct group_version *gv = gv_find(g, group, version);

	if (!gv || !gv->remote)
		return;
	gv->remote = false;
	forget_docs(gv);
	gv->available = true;
	obj_unref(gv->remote_resources);
	gv->remote_resources = NULL;
	registry_touch(g, gv);
}

/* ---- adding and removing ---- */
static size_t gv_place(const struct group_version *gv, const char *plural, bool *ret_found)
{
	size_t i = 0;
	int c = -1;

	while (i < gv->n && (c = strcmp(gv->items[i]->kind->plural, plural)) < 0)
		i++;
	*ret_found = i < gv->n && c == 0;
	return i;
}

static void entry_insert(struct registry *g, struct resource *r)
{
	struct group_version *gv = registry_need_gv(g, r->kind->group, r->kind->version);
	bool found;
	size_t at = gv_place(gv, r->kind->plural, &found);

	if (found) {
		resource_unref(gv->items[at]);
	} else {
		gv->items = mem_realloc(gv->items, (gv->n + 1) * sizeof(*gv->items));
		memmove(&gv->items[at + 1], &gv->items[at], (gv->n - at) * sizeof(*gv->items));
		gv->n++;
	}
	gv->items[at] = r;
	registry_touch(g, gv);
}

struct resource *registry_add(struct registry *g, const struct resource_def *def)
{
	struct resource *r = resource_new(def);

	r->origin = ORIGIN_BUILTIN;
	r->rules.builtin = true;
	entry_insert(g, r);
	return r;
}

void registry_add_crd(struct registry *g, const struct resource_def *def, const struct obj *crd, void *owned,
	void (*free_owned)(void *))
{
	struct resource *r = resource_new(def);

	r->origin = ORIGIN_CRD;
	r->crd = obj_ref(crd);
	r->owned = owned;
	r->free_owned = free_owned;
	entry_insert(g, r);
}

void registry_remove(struct registry *g, const char *group, const char *version, const char *plural)
{
	struct group_version *gv = gv_find(g, group, version);
	bool found = false;
	size_t at = gv ? gv_place(gv, plural, &found) : 0;

	if (!found)
		return;
	resource_unref(gv->items[at]);
	gv->n--;
	memmove(&gv->items[at], &gv->items[at + 1], (gv->n - at) * sizeof(*gv->items));
	registry_touch(g, gv);
}

void registry_free(struct registry *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n_gvs; i++) {
		struct group_version *gv = g->gvs[i];

		for (size_t j = 0; j < gv->n; j++)
			resource_unref(gv->items[j]);
		obj_unref(gv->remote_resources);
		forget_docs(gv);
		free(gv->items);
		free(gv->group);
		free(gv->version);
		free(gv);
	}
	free(g->gvs);
	free(g);
}

/* ---- finding ---- */
uint64_t registry_changes(const struct registry *g)
{
	return g->changes;
}

struct resource *registry_find(
	const struct registry *g, const char *group, const char *version, const char *plural)
{
	const struct group_version *gv = gv_find(g, group, version);
	bool found = false;
	size_t at = gv ? gv_place(gv, plural, &found) : 0;

	return found ? gv->items[at] : NULL;
}

struct resource *registry_find_kind(const struct registry *g, const char *api_version, const char *kind)
{
	const char *slash = strchr(api_version, '/');
	CLEANUP(mem_freep) char *group = mem_strndup(api_version, slash ? (size_t)(slash - api_version) : 0);
	const struct group_version *gv = gv_find(g, group, slash ? slash + 1 : api_version);

	for (size_t i = 0; gv && i < gv->n; i++)
		if (str_eq(gv->items[i]->kind->kind, kind))
			return gv->items[i];
	return NULL;
}

struct resource *registry_storage(const struct registry *g, const char *group, const char *plural)
{
	struct resource *any = NULL; /* a CRD's storage version need not be served */

	for (size_t i = 0; i < g->n_gvs; i++) {
		const struct group_version *gv = g->gvs[i];
		bool found;
		size_t at;

		if (!str_eq(gv->group, group))
			continue;
		at = gv_place(gv, plural, &found);
		if (found && !gv->items[at]->def->not_storage)
			return gv->items[at];
		if (found)
			any = gv->items[at];
	}
	return any;
}

const struct group_version *registry_gv(const struct registry *g, const char *group, const char *version)
{
	const struct group_version *gv = gv_find(g, group, version);

	return gv && (gv->n > 0 || gv->remote) ? gv : NULL;
}

const struct group_version *registry_gv_at(const struct registry *g, size_t i)
{
	for (size_t at = 0; at < g->n_gvs; at++) {
		const struct group_version *gv = g->gvs[at];

		if ((gv->n > 0 || gv->remote) && i-- == 0)
			return gv;
	}
	return NULL;
}
