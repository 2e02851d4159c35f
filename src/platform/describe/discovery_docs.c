/* SPDX-License-Identifier: Apache-2.0 */
/* The documents themselves. A resource of a remote group version is known by its backend's APIResourceList only. */
#include "platform/describe/discovery.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <string.h>

struct json *discovery_verbs(struct json_doc *d, unsigned verbs)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{ VERB_CREATE, "create" },
		{ VERB_DELETE, "delete" },
		{ VERB_DELETECOLLECTION, "deletecollection" },
		{ VERB_GET, "get" },
		{ VERB_LIST, "list" },
		{ VERB_PATCH, "patch" },
		{ VERB_UPDATE, "update" },
		{ VERB_WATCH, "watch" },
	};
	struct json *list = json_new_arr(d);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (verbs & names[i].bit)
			json_append_str(d, list, names[i].name);
	return list;
}

static void put_strings(struct json_doc *d, struct json *o, const char *key, const char *const *texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		json_append_str(d, json_need_arr(d, o, key), texts[i]);
}

static const char *singular_of(const struct kind *k, char **ret_made)
{
	if (!str_empty(k->singular))
		return k->singular;
	return *ret_made = str_lower(k->kind);
}

/* ---- legacy ---- */
static void put_group_version(struct json_doc *d, struct json *o, const struct group_version *gv)
{
	if (str_empty(gv->group))
		json_set_str(d, o, "groupVersion", gv->version);
	else
		json_set_strf(d, o, "groupVersion", "%s/%s", gv->group, gv->version);
	json_set_str(d, o, "version", gv->version);
}

/* An APIGroup without kind: name, versions, and the first of them as the preferred one. *i is moved behind the group. */
static struct json *group_json(struct json_doc *d, const struct registry *g, size_t *i)
{
	const struct group_version *gv = registry_gv_at(g, *i);
	const char *group = gv->group;
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "name", group);
	for (size_t n = 0; gv && str_eq(gv->group, group); gv = registry_gv_at(g, ++*i), n++) {
		struct json *version = json_new_obj(d);

		put_group_version(d, version, gv);
		json_append(d, json_need_arr(d, o, "versions"), version);
	}
	json_set_copy(d, o, "preferredVersion", json_item(json_get(o, "versions"), 0));
	return o;
}

static struct json_doc *doc_of_kind(const char *kind, const char *api_version)
{
	struct json_doc *d = json_doc_new();
	struct json *root = json_new_obj(d);

	json_set_str(d, root, "kind", kind);
	json_set_str(d, root, "apiVersion", api_version);
	json_set_root(d, root);
	return d;
}

struct json_doc *discovery_group_list(const struct registry *g)
{
	struct json_doc *d = doc_of_kind("APIGroupList", "v1");
	struct json *groups = json_need_arr(d, json_root(d), "groups");
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(g, i));) {
		if (str_empty(gv->group))
			i++;
		else
			json_append(d, groups, group_json(d, g, &i));
	}
	return d;
}

struct json_doc *discovery_group(const struct registry *g, const char *group)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++) {
		struct json_doc *d;
		struct json *o;

		if (!str_eq(gv->group, group))
			continue;
		d = doc_of_kind("APIGroup", "v1");
		o = group_json(d, g, &i);
		JSON_EACH (it, o)
			json_set_copy(d, json_root(d), it.key, it.val);
		return d;
	}
	return NULL;
}

/* The version objects are stored in, as group, version and kind. A built-in one that is not the stored one shows what core
 * stores. */
static char *stored_as(const struct resource *r)
{
	const struct kind *k = r->kind;
	const char *version = k->version;

	JSON_EACH (it, r->crd ? json_at(obj_json(r->crd), "/spec/versions") : NULL)
		if (json_bool(json_get(it.val, "storage")))
			version = json_str_or(json_get(it.val, "name"), version);
	return str_printf("%s/%s/%s", !r->crd && r->def->not_storage ? "" : k->group, version, k->kind);
}

/* Eight bytes of a hash over that, the same as any Kubernetes' API server gives. */
static void put_storage_hash(struct json_doc *d, struct json *o, const struct resource *r)
{
	CLEANUP(mem_freep) char *what = stored_as(r);
	CLEANUP(str_done) struct str text = { 0 };
	uint8_t hash[32];

	crypto_sha256(what, strlen(what), hash);
	b64_encode(hash, 8, false, &text);
	json_set_str(d, o, "storageVersionHash", text.data);
}

static void put_resource(struct json_doc *d, struct json *list, const struct resource *r)
{
	const struct kind *k = r->kind;
	CLEANUP(mem_freep) char *made = NULL;
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "name", k->plural);
	json_set_str(d, o, "singularName", singular_of(k, &made));
	json_set_bool(d, o, "namespaced", k->namespaced);
	json_set_str(d, o, "kind", k->kind);
	json_set(d, o, "verbs", discovery_verbs(d, resource_verbs(r)));
	put_strings(d, o, "shortNames", k->short_names);
	put_strings(d, o, "categories", k->categories);
	if (!r->def->transient)
		put_storage_hash(d, o, r);
	json_append(d, list, o);
}

static void put_subresource(
	struct json_doc *d, struct json *list, const struct resource *r, const struct subresource *s)
{
	struct json *o = json_new_obj(d);

	json_set_strf(d, o, "name", "%s/%s", r->kind->plural, s->name);
	json_set_str(d, o, "singularName", "");
	json_set_bool(d, o, "namespaced", r->kind->namespaced);
	if (s->group) {
		json_set_str(d, o, "group", s->group);
		json_set_str(d, o, "version", s->version);
	}
	json_set_str(d, o, "kind", s->kind ? s->kind : r->kind->kind);
	json_set(d, o, "verbs", discovery_verbs(d, s->verbs));
	json_append(d, list, o);
}

struct json_doc *discovery_resource_list(const struct group_version *gv)
{
	struct json_doc *d = doc_of_kind("APIResourceList", "v1");
	struct json *list;

	put_group_version(d, json_root(d), gv);
	json_remove(json_root(d), "version");
	list = json_need_arr(d, json_root(d), "resources");
	for (size_t i = 0; i < gv->n; i++) {
		put_resource(d, list, gv->items[i]);
		for (const struct subresource *s = gv->items[i]->def->subresources; s && s->name; s++)
			put_subresource(d, list, gv->items[i], s);
	}
	return d;
}

/* ---- aggregated ---- */
static void put_response_kind(
	struct json_doc *d, struct json *o, const char *group, const char *version, const char *kind)
{
	struct json *k = json_need_obj(d, o, "responseKind");

	json_set_str(d, k, "group", group);
	json_set_str(d, k, "version", version);
	json_set_str(d, k, "kind", kind);
}

static struct json *aggregated_resource(struct json_doc *d, const struct resource *r)
{
	const struct kind *k = r->kind;
	CLEANUP(mem_freep) char *made = NULL;
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "resource", k->plural);
	put_response_kind(d, o, k->group, k->version, k->kind);
	json_set_str(d, o, "scope", k->namespaced ? "Namespaced" : "Cluster");
	json_set_str(d, o, "singularResource", singular_of(k, &made));
	json_set(d, o, "verbs", discovery_verbs(d, resource_verbs(r)));
	put_strings(d, o, "shortNames", k->short_names);
	put_strings(d, o, "categories", k->categories);
	for (const struct subresource *s = r->def->subresources; s && s->name; s++) {
		struct json *sub = json_new_obj(d);

		json_set_str(d, sub, "subresource", s->name);
		put_response_kind(d, sub, s->group ? s->group : k->group, s->group ? s->version : k->version,
			s->kind ? s->kind : k->kind);
		json_set(d, sub, "verbs", discovery_verbs(d, s->verbs));
		json_append(d, json_need_arr(d, o, "subresources"), sub);
	}
	return o;
}

/* ---- the backend's legacy list, as aggregated entries ---- */
static void put_remote_kind(
	struct json_doc *d, struct json *o, const struct json *entry, const struct group_version *gv)
{
	const char *group = json_get_str(entry, "group"), *version = json_get_str(entry, "version");

	put_response_kind(d, o,
		str_empty(version) ? gv->group
		: group            ? group
				   : "",
		str_empty(version) ? gv->version : version, json_str_or(json_get(entry, "kind"), ""));
}

static void put_copy(struct json_doc *d, struct json *o, const char *key, const struct json *v)
{
	if (json_len(v) > 0 || json_is_str(v))
		json_set_copy(d, o, key, v);
}

static struct json *remote_find(struct json *resources, const char *name, size_t len)
{
	JSON_EACH (it, resources) {
		const char *have = json_get_str(it.val, "resource");

		if (strlen(have) == len && strncmp(have, name, len) == 0)
			return it.val;
	}
	return NULL;
}

/* Some backends list subresources of resources that only others serve: the parent then has no kind of its own, which
 * clients take as long as responseKind is there. */
static struct json *remote_need(
	struct json_doc *d, struct json *resources, const char *name, size_t len, bool namespaced)
{
	struct json *o = remote_find(resources, name, len);

	if (o)
		return o;
	o = json_new_obj(d);
	json_set(d, o, "resource", json_new_strn(d, name, len));
	put_response_kind(d, o, "", "", "");
	json_set_str(d, o, "scope", namespaced ? "Namespaced" : "Cluster");
	json_set_str(d, o, "singularResource", "");
	json_set(d, o, "verbs", json_new_arr(d));
	json_append(d, resources, o);
	return o;
}

static void put_remote_entry(
	struct json_doc *d, struct json *resources, const struct json *entry, const struct group_version *gv)
{
	const char *name = json_str_or(json_get(entry, "name"), "");
	const char *slash = strchr(name, '/');
	size_t len = slash ? (size_t)(slash - name) : strlen(name);
	struct json *o;

	if (len == 0)
		return;
	o = remote_need(d, resources, name, len, json_bool(json_get(entry, "namespaced")));
	if (slash) {
		struct json *sub = json_new_obj(d);

		json_set_str(d, sub, "subresource", slash + 1);
		json_append(d, json_need_arr(d, o, "subresources"), sub);
		o = sub;
	} else {
		put_copy(d, o, "singularResource", json_get(entry, "singularName"));
		put_copy(d, o, "shortNames", json_get(entry, "shortNames"));
		put_copy(d, o, "categories", json_get(entry, "categories"));
	}
	put_remote_kind(d, o, entry, gv);
	json_set_copy(d, o, "verbs", json_get(entry, "verbs"));
	json_need_arr(d, o, "verbs");
}

static struct json *aggregated_version(struct json_doc *d, const struct group_version *gv)
{
	struct json *o = json_new_obj(d), *resources;
	bool fresh = !gv->remote || (gv->available && gv->remote_resources);

	json_set_str(d, o, "version", gv->version);
	resources = json_need_arr(d, o, "resources");
	if (!gv->remote) {
		for (size_t i = 0; i < gv->n; i++)
			json_append(d, resources, aggregated_resource(d, gv->items[i]));
	} else if (fresh) {
		JSON_EACH (it, json_get(obj_json(gv->remote_resources), "resources"))
			put_remote_entry(d, resources, it.val, gv);
	}
	json_set_str(d, o, "freshness", fresh ? "Current" : "Stale");
	return o;
}

struct json_doc *discovery_aggregated(const struct registry *g, bool core, const char *version)
{
	CLEANUP(mem_freep) char *api_version = str_printf("apidiscovery.k8s.io/%s", version);
	struct json_doc *d = doc_of_kind("APIGroupDiscoveryList", api_version);
	struct json *items, *item = NULL;
	const struct group_version *gv;
	const char *group = NULL;

	json_set(d, json_root(d), "metadata", json_new_obj(d));
	items = json_need_arr(d, json_root(d), "items");
	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++) {
		if (str_empty(gv->group) != core)
			continue;
		if (!item || !str_eq(gv->group, group)) {
			item = json_new_obj(d);
			json_append(d, items, item);
			group = gv->group;
			json_need_obj(d, item, "metadata");
			if (!core)
				json_set_str(d, json_get(item, "metadata"), "name", group);
		}
		json_append(d, json_need_arr(d, item, "versions"), aggregated_version(d, gv));
	}
	return d;
}
