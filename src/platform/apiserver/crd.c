/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/crd.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/callout/convert.h"
#include "platform/apiserver/bootstrap.h"

#include <string.h>

struct crds {
	struct apiserver *s;
	struct bucket_watch watch;
	struct cleaning *cleanings;
};

/* ---- a version as the registry wants it ---- */
struct crd_version {
	struct arena *arena;
	struct resource_def def;
};

static void version_free(void *arg)
{
	struct crd_version *v = arg;

	arena_free(v->arena);
	free(v);
}

static const char *text(struct arena *a, const struct json *v)
{
	return arena_strdup(a, json_str_or(v, ""));
}

static const char *const *texts(struct arena *a, const struct json *list)
{
	const char **out;
	size_t n = 0;

	if (json_len(list) == 0)
		return NULL;
	out = arena_alloc(a, (json_len(list) + 1) * sizeof(*out));
	JSON_EACH (it, list) {
		out[n++] = text(a, it.val);
	}
	return out;
}

static const struct column *columns(struct arena *a, const struct json *list)
{
	struct column *out;
	size_t n = 0;

	if (json_len(list) == 0)
		return NULL;
	out = arena_alloc(a, (json_len(list) + 1) * sizeof(*out));
	JSON_EACH (it, list) {
		const char *path = json_str_or(json_get(it.val, "jsonPath"), "");

		out[n++] = (struct column){ .name = text(a, json_get(it.val, "name")),
			.type = text(a, json_get(it.val, "type")),
			.format = arena_strdup(a, json_get_str(it.val, "format")),
			.doc = json_str_len(json_get(it.val, "description"))
				       ? text(a, json_get(it.val, "description"))
				       : arena_printf(a,
						 "Custom resource definition column (in JSONPath format): %s",
						 path),
			.priority = (int)json_i64(json_get(it.val, "priority")),
			.path = text(a, json_get(it.val, "jsonPath")) };
	}
	return out;
}

static const char *const *selectable(struct arena *a, const struct json *list)
{
	const char **out;
	size_t n = 0;

	if (json_len(list) == 0)
		return NULL;
	out = arena_alloc(a, (json_len(list) + 1) * sizeof(*out));
	JSON_EACH (it, list) {
		const char *p = json_str_or(json_get(it.val, "jsonPath"), "");

		out[n++] = arena_strdup(a, *p == '.' ? p + 1 : p);
	}
	return out;
}

static void subresources(struct crd_version *v, const struct json *subs)
{
	const struct json *scale = json_get(subs, "scale");
	struct subresource *list = arena_alloc(v->arena, 3 * sizeof(*list)), *next = list;

	v->def.kind.has_status = json_is_obj(json_get(subs, "status"));
	v->def.kind.has_scale = json_is_obj(scale);
	if (v->def.kind.has_status)
		*next++ = (struct subresource){ .name = "status", .verbs = VERBS_STATUS };
	if (v->def.kind.has_scale) {
		*next++ = (struct subresource){ "scale", "autoscaling", "v1", "Scale", VERBS_STATUS };
		v->def.scale.spec_replicas = text(v->arena, json_get(scale, "specReplicasPath"));
		v->def.scale.status_replicas = text(v->arena, json_get(scale, "statusReplicasPath"));
		v->def.scale.selector = arena_strdup(v->arena, json_get_str(scale, "labelSelectorPath"));
	}
	v->def.subresources = list;
}

/* Of the versions that are not deprecated the newest is told of, if it is newer than this one. */
static void deprecation(struct crd_version *v, const struct json *version, const struct json *versions)
{
	const struct kind *k = &v->def.kind;
	int64_t best = registry_version_rank(k->version);
	const char *instead = NULL;

	if (!json_bool(json_get(version, "deprecated")))
		return;
	JSON_EACH (it, versions) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		int64_t rank = registry_version_rank(name);

		if (!json_bool(json_get(it.val, "served")) || json_bool(json_get(it.val, "deprecated")) ||
			rank <= best)
			continue;
		best = rank;
		instead = name;
	}
	if (json_get_str(version, "deprecationWarning"))
		v->def.deprecation = text(v->arena, json_get(version, "deprecationWarning"));
	else if (instead)
		v->def.deprecation = arena_printf(v->arena, "%s/%s %s is deprecated; use %s/%s %s", k->group,
			k->version, k->kind, k->group, instead, k->kind);
	else
		v->def.deprecation =
			arena_printf(v->arena, "%s/%s %s is deprecated", k->group, k->version, k->kind);
}

static struct crd_version *version_new(const struct json *crd, const struct json *version)
{
	struct crd_version *v = MEM_NEW(struct crd_version);
	struct arena *a = v->arena = arena_new();
	const struct json *spec = json_get(crd, "spec"), *names = json_get(spec, "names");
	struct kind *k = &v->def.kind;

	k->group = text(a, json_get(spec, "group"));
	k->version = text(a, json_get(version, "name"));
	k->kind = text(a, json_get(names, "kind"));
	k->plural = text(a, json_get(names, "plural"));
	k->singular = text(a, json_get(names, "singular"));
	k->short_names = texts(a, json_get(names, "shortNames"));
	k->categories = texts(a, json_get(names, "categories"));
	k->namespaced = str_eq(json_get_str(spec, "scope"), "Namespaced");
	subresources(v, json_get(version, "subresources"));
	v->def.rules =
		(struct write_rules){ .generation = k->has_status ? GEN_ALL_BUT_STATUS : GEN_ALL_BUT_META,
			.needs_rv = true,
			.name_max = 253 };
	v->def.columns = columns(a, json_get(version, "additionalPrinterColumns"));
	v->def.selectable = selectable(a, json_get(version, "selectableFields"));
	v->def.list_kind = text(a, json_get(names, "listKind"));
	v->def.not_storage = !json_bool(json_get(version, "storage"));
	JSON_EACH (it, json_get(spec, "versions")) {
		if (json_bool(json_get(it.val, "storage")))
			v->def.storage_version = text(a, json_get(it.val, "name"));
	}
	v->def.converted = str_eq(json_at_str(spec, "/conversion/strategy"), "Webhook");
	deprecation(v, version, json_get(spec, "versions"));
	return v;
}

/* ---- serving ---- */
static bool established(const struct json *crd)
{
	return cond_is(json_at(crd, "/status/conditions"), "Established", "True");
}

static void unserve(struct crds *c, const struct json *crd)
{
	const struct json *spec = json_get(crd, "spec");

	JSON_EACH (it, json_get(spec, "versions")) {
		registry_remove(c->s->objects->registry, json_get_str(spec, "group"),
			json_str_or(json_get(it.val, "name"), ""), json_at_str(spec, "/names/plural"));
	}
}

static void serve_version(struct crds *c, const struct obj *crd, const struct json *version)
{
	struct crd_version *v = version_new(obj_json(crd), version);

	registry_add_crd(c->s->objects->registry, &v->def, crd, v, version_free);
}

static void serve(struct crds *c, const struct obj *crd)
{
	if (!established(obj_json(crd)))
		return;
	JSON_EACH (it, json_at(obj_json(crd), "/spec/versions")) {
		if (json_bool(json_get(it.val, "served")))
			serve_version(c, crd, it.val);
	}
}

/* Objects as a changed schema sees them: pruned and with its defaults, in memory only, as reading them afresh would give. */
static void refresh_objects(struct crds *c, const struct obj *crd)
{
	const struct json *spec = json_get(obj_json(crd), "spec");
	struct resource *res = registry_storage(
		c->s->objects->registry, json_get_str(spec, "group"), json_at_str(spec, "/names/plural"));
	struct bucket *b = res ? objects_bucket_of(c->s->objects, res) : NULL;
	char av[KIND_API_VERSION_MAX];
	const struct obj *o;

	if (!res)
		return;
	convert_storage(res, av);
	for (size_t i = 0; b && (o = bucket_at(b, i)); i++) {
		struct json_doc *d;

		/* of another version, which only the webhook can read */
		if (convert_remote(res) && !convert_is_in(o, av))
			continue;
		d = obj_draft(o);
		schema_prune(resource_schema(res), json_root(d), NULL);
		schema_default(resource_schema(res), d, json_root(d));
		if (json_eq(json_root(d), obj_json(o)))
			json_doc_free(d);
		else
			bucket_replace(b, i, obj_from_doc(d));
	}
}

/* ---- removal: instances first, then the finalizer ---- */
struct cleaning {
	struct crds *crds;
	char *name;
	struct bucket_watch watch;
	struct bucket *bucket;
	struct loop_timer *timer;
	struct cleaning *next;
};

static void cleaning_free(struct cleaning *k)
{
	struct cleaning **p = &k->crds->cleanings;

	while (*p && *p != k)
		p = &(*p)->next;
	if (*p)
		*p = k->next;
	bucket_watch_remove(&k->watch);
	loop_timer_free(k->timer);
	free(k->name);
	free(k);
}

static void cleaned_one(struct op *op)
{
	if (op->err.code != ERR_NONE && op->err.code != ERR_NOT_FOUND)
		log_warn("apiserver: delete %s '%s' with its definition: %s", op->res->kind->plural, op->key,
			op->err.msg);
	op_free(op);
}

static void drop_finalizer(struct cleaning *k)
{
	struct apiserver *s = k->crds->s;
	struct bucket *b = objects_bucket(s->objects, CRD_STORAGE);
	uint64_t rev;
	const struct obj *crd = bucket_latest(b, k->name, &rev);
	struct json_doc *d;

	if (!crd || !obj_deleting(crd))
		return;
	d = obj_draft(crd);
	meta_set_finalizer(d, json_root(d), CRD_FINALIZER, false);
	if (write_is_gone(json_root(d))) {
		json_doc_free(d);
		objects_remove(s->objects, b, crd, NULL, NULL);
	} else {
		objects_put(s->objects, b, d, rev, NULL, NULL);
	}
}

static void clean(void *arg)
{
	struct cleaning *k = arg;
	struct apiserver *s = k->crds->s;
	const struct obj *crd = objects_get(s->objects, CRD_STORAGE, k->name);
	const struct json *spec = crd ? json_get(obj_json(crd), "spec") : NULL;
	struct resource *res = !crd ? NULL
				    : registry_storage(s->objects->registry, json_get_str(spec, "group"),
					      json_at_str(spec, "/names/plural"));
	static const struct user server = { .name = (char *)"system:apiserver" };

	if (res && bucket_len(k->bucket) > 0) {
		struct obj **all = mem_alloc(bucket_len(k->bucket) * sizeof(struct obj *));
		size_t n = 0;

		for (const struct obj *o; (o = bucket_at(k->bucket, n)); n++)
			all[n] = obj_ref(o);
		for (size_t i = 0; i < n; i++) {
			struct op *op =
				op_new(s, res, OP_DELETE, &server, obj_namespace(all[i]), obj_name(all[i]));

			op->done = cleaned_one;
			if (obj_deleting(all[i]))
				op_free(op);
			else
				op_run(op);
			obj_unref(all[i]);
		}
		free(all);
		return;
	}
	drop_finalizer(k);
	cleaning_free(k);
}

static void cleaning_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct cleaning *k = CONTAINER_OF(w, struct cleaning, watch);

	if (c->type == BUCKET_DELETED && bucket_len(k->bucket) == 0)
		loop_timer_set(k->timer, 0);
}

static void cleaning_gone(struct bucket_watch *w)
{
	(void)w;
}

static void cleaning_start(struct crds *c, const struct obj *crd)
{
	const struct json *spec = json_get(obj_json(crd), "spec");
	CLEANUP(mem_freep)
	char *storage = str_printf("%s/%s", json_str_or(json_get(spec, "group"), ""),
		json_str_or(json_at(spec, "/names/plural"), ""));
	struct cleaning *k;

	if (!obj_deleting(crd) || !meta_has_finalizer(obj_json(crd), CRD_FINALIZER))
		return;
	for (k = c->cleanings; k; k = k->next)
		if (str_eq(k->name, obj_name(crd)))
			return;
	k = MEM_NEW(struct cleaning);
	*k = (struct cleaning){ .crds = c, .name = mem_strdup(obj_name(crd)), .next = c->cleanings };
	k->bucket = objects_bucket(c->s->objects, storage);
	k->watch.change = cleaning_changed;
	k->watch.gone = cleaning_gone;
	bucket_watch_add(k->bucket, &k->watch, "");
	k->timer = loop_timer_new(c->s->loop, clean, k);
	loop_timer_set(k->timer, 0);
	c->cleanings = k;
}

bool crd_terminating(struct apiserver *s, const struct resource *res)
{
	const struct obj *now = res->crd ? objects_get(s->objects, CRD_STORAGE, obj_name(res->crd)) : NULL;

	return now && obj_deleting(now);
}

/* ---- following ---- */
static void forget_converted(struct crds *c, const struct json *spec)
{
	CLEANUP(mem_freep)
	char *storage = str_printf("%s/%s", json_str_or(json_get(spec, "group"), ""),
		json_str_or(json_at(spec, "/names/plural"), ""));

	convert_forget(c->s->callouts, storage);
}

static bool same_served(const struct obj *a, const struct obj *b)
{
	return json_eq(json_get(obj_json(a), "spec"), json_get(obj_json(b), "spec")) &&
	       established(obj_json(a)) == established(obj_json(b));
}

/* Those who watch see objects as the definition made them when they began. */
static void end_watches(struct crds *c, const struct json *spec)
{
	CLEANUP(mem_freep)
	char *storage = str_printf("%s/%s", json_str_or(json_get(spec, "group"), ""),
		json_str_or(json_at(spec, "/names/plural"), ""));

	objects_end_watches(c->s->objects, storage);
}

static void crd_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct crds *crds = CONTAINER_OF(w, struct crds, watch);
	const struct json *spec = json_get(obj_json(c->obj), "spec");
	CLEANUP(mem_freep) char *storage = NULL;

	if (c->type == BUCKET_DELETED) {
		storage = str_printf("%s/%s", json_str_or(json_get(spec, "group"), ""),
			json_str_or(json_at(spec, "/names/plural"), ""));
		unserve(crds, obj_json(c->obj));
		objects_end_watches(crds->s->objects, storage);
		convert_forget(crds->s->callouts, storage);
		crd_reconsider(crds->s);
		local_apis_sync(crds->s);
		return;
	}
	if (!c->old || !same_served(c->old, c->obj)) {
		if (c->old)
			unserve(crds, obj_json(c->old));
		forget_converted(crds, spec);
		if (c->old && !json_eq(json_get(json_get(obj_json(c->old), "spec"), "conversion"),
				      json_get(spec, "conversion")))
			end_watches(crds, spec);
		serve(crds, c->obj);
		if (c->old)
			refresh_objects(crds, c->obj);
		local_apis_sync(crds->s);
	}
	cleaning_start(crds, c->obj);
	/* Their trees are large, and asked for again only by those who edit or explain */
	obj_compact(c->obj);
	if (c->old)
		obj_compact(c->old);
}

static void crds_gone(struct bucket_watch *w)
{
	(void)w;
}

struct crds *crds_new(struct apiserver *s)
{
	struct crds *c = MEM_NEW(struct crds);
	struct bucket *b = objects_bucket(s->objects, CRD_STORAGE);
	const struct obj *o;

	c->s = s;
	c->watch.change = crd_changed;
	c->watch.gone = crds_gone;
	for (size_t i = 0; (o = bucket_at(b, i)); i++) {
		serve(c, o);
		cleaning_start(c, o);
		obj_compact(o);
	}
	bucket_watch_add(b, &c->watch, "");
	return c;
}

void crds_free(struct crds *c)
{
	if (!c)
		return;
	while (c->cleanings)
		cleaning_free(c->cleanings);
	bucket_watch_remove(&c->watch);
	free(c);
}
