/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI documents: /openapi/v2, /openapi/v3 and one v3 document per group version (kubernetes-api.md 1.4). They are large
 * and asked for rarely, by clients that keep them: only their hashes are held, the text is made when it is wanted. */
#include "platform/describe/openapi_int.h"

#include "base/mem.h"
#include "platform/describe/documents.h"
#include "platform/describe/describe.h"

#include <stdio.h>
#include <string.h>

#define V3_CACHE "public, immutable"
#define CHECKED_CACHE "no-cache, private"

struct known {
	char *group, *version;
	uint64_t changed; /* of the group version, when the hash was made */
	char tag[DOCUMENT_TAG_MAX];
};
enum v2_form { V2_JSON, V2_PROTOBUF, V2_PROTOBUF_DOT, V2_FORMS };
struct openapi {
	struct registry *registry;
	struct known *known; /* v3 */
	size_t n, cap;
	struct {
		uint64_t changes;
		char tag[DOCUMENT_TAG_MAX];
	} v2[2]; /* JSON, protobuf */
};

/* Clients ask for the one with "@", which is no media type in the eyes of most libraries, and are answered with a dot. */
static const char *const v2_types[V2_FORMS] = {
	[V2_JSON] = "application/json",
	[V2_PROTOBUF] = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
	[V2_PROTOBUF_DOT] = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
};
static const char *const v3_types[] = { "application/json" };

struct openapi *openapi_new(struct registry *g)
{
	struct openapi *o = MEM_NEW(struct openapi);

	o->registry = g;
	return o;
}

void openapi_free(struct openapi *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n; i++) {
		free(o->known[i].group);
		free(o->known[i].version);
	}
	free(o->known);
	free(o);
}

/* ---- documents ---- */
static struct json_doc *doc_with_info(const char *key, const char *version)
{
	struct json_doc *d = json_doc_new();
	struct json *root = json_new_obj(d);

	json_set_root(d, root);
	json_set_str(d, root, key, version);
	json_set_str(d, json_need_obj(d, root, "info"), "title", "Kubernetes");
	json_set_str(d, json_get(root, "info"), "version", DOCUMENT_GIT_VERSION);
	json_need_obj(d, root, "paths");
	return d;
}

struct json_doc *openapi_v3_doc(const struct group_version *gv)
{
	struct json_doc *d = doc_with_info("openapi", "3.0.0");
	struct json *components = json_need_obj(d, json_root(d), "components");

	openapi_paths(gv, false, d, json_get(json_root(d), "paths"));
	openapi_definitions(gv, OPENAPI_V3_REF, d, json_need_obj(d, components, "schemas"));
	return d;
}

/* What somebody else says of its group version; of a definition that is there already, ours stays. */
static void add_remote(struct json_doc *d, struct json *root, const struct obj *theirs)
{
	static const char *const parts[] = { "paths", "definitions" };
	size_t len;
	const char *text = obj_text(theirs, &len);
	CLEANUP(json_doc_freep) struct json_doc *from = json_parse(text, len, NULL);

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		JSON_EACH (it, json_get(json_root(from), parts[i]))
			if (!json_get(json_get(root, parts[i]), it.key))
				json_set_copy(d, json_get(root, parts[i]), it.key, it.val);
}

struct json_doc *openapi_v2_doc(const struct registry *g)
{
	struct json_doc *d = doc_with_info("swagger", "2.0");
	struct json *definitions = json_need_obj(d, json_root(d), "definitions");
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++) {
		if (gv->remote)
			continue;
		openapi_paths(gv, true, d, json_get(json_root(d), "paths"));
		openapi_definitions(gv, OPENAPI_V2_REF, d, definitions);
	}
	JSON_EACH (it, definitions)
		openapi_schema_to_v2(d, it.val);
	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++)
		if (gv->remote && gv->available && gv->remote_v2)
			add_remote(d, json_root(d), gv->remote_v2);
	return d;
}

static void v3_text(const struct group_version *gv, struct str *out)
{
	CLEANUP(json_doc_freep) struct json_doc *d = openapi_v3_doc(gv);

	json_write_to(json_root(d), out);
}

static struct known *known_find(struct openapi *o, const struct group_version *gv)
{
	for (size_t i = 0; i < o->n; i++)
		if (str_eq(o->known[i].version, gv->version) && str_eq(o->known[i].group, gv->group))
			return &o->known[i];
	o->known = mem_grow(o->known, &o->cap, o->n + 1, sizeof(*o->known));
	o->known[o->n] = (struct known){ .group = mem_strdup(gv->group), .version = mem_strdup(gv->version) };
	return &o->known[o->n++];
}

static const char *v3_tag(struct openapi *o, const struct group_version *gv)
{
	struct known *k = known_find(o, gv);

	if (k->changed != gv->changed) {
		CLEANUP(str_done) struct str text = { 0 };

		v3_text(gv, &text);
		document_tag(text.data, text.len, k->tag);
		k->changed = gv->changed;
	}
	return k->tag;
}

/* ---- v3 ---- */
static void v3_name(const struct group_version *gv, struct str *out)
{
	if (str_empty(gv->group))
		str_addf(out, "api/%s", gv->version);
	else
		str_addf(out, "apis/%s/%s", gv->group, gv->version);
}

static void v3_url(struct openapi *o, const struct group_version *gv, struct str *out)
{
	str_add(out, "/openapi/v3/");
	v3_name(gv, out);
	str_addf(out, "?hash=%s", v3_tag(o, gv));
}

static void serve_index(struct openapi *o, struct request *r)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct json *root = json_new_obj(d), *paths;
	const struct group_version *gv;
	char tag[DOCUMENT_TAG_MAX];

	json_set_root(d, root);
	paths = json_need_obj(d, root, "paths");
	for (size_t i = 0; (gv = registry_gv_at(o->registry, i)); i++) {
		CLEANUP(str_done) struct str name = { 0 }, url = { 0 };

		if (gv->remote && !(gv->available && gv->remote_v3))
			continue;
		v3_name(gv, &name);
		if (gv->remote)
			str_add(&url, gv->remote_v3);
		else
			v3_url(o, gv, &url);
		json_set_str(d, json_need_obj(d, paths, name.data), "serverRelativeURL", url.data);
	}
	json_write_to(root, &text);
	str_addc(&text, '\n');
	document_tag(text.data, text.len, tag);
	document_reply(r, "application/json", tag, CHECKED_CACHE, text.data, text.len);
}

static const struct group_version *v3_find(struct openapi *o, const char *rest)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(o->registry, i)); i++) {
		CLEANUP(str_done) struct str name = { 0 };

		v3_name(gv, &name);
		if (str_eq(name.data, rest))
			return gv->remote ? NULL : gv;
	}
	return NULL;
}

static bool serve_v3(struct openapi *o, struct request *r, const char *rest)
{
	const struct group_version *gv = v3_find(o, rest);
	const char *hash = request_query(r, "hash"), *tag;
	CLEANUP(str_done) struct str text = { 0 };

	if (!gv)
		return false;
	tag = v3_tag(o, gv);
	if (!str_empty(hash) && !str_eq(hash, tag)) {
		v3_url(o, gv, &text);
		request_add_header(r, "Location", text.data);
		request_reply_text(r, 301, "the document has changed\n");
		return true;
	}
	if (!document_is_known(r, tag))
		v3_text(gv, &text);
	document_reply(r, "application/json", tag, hash ? V3_CACHE : CHECKED_CACHE, text.data, text.len);
	return true;
}

/* ---- v2 ---- */
static void v2_text(struct openapi *o, bool protobuf, struct str *out)
{
	CLEANUP(json_doc_freep) struct json_doc *d = openapi_v2_doc(o->registry);

	if (protobuf)
		openapi_v2_protobuf(json_root(d), out);
	else
		json_write_to(json_root(d), out);
}

static void serve_v2(struct openapi *o, struct request *r)
{
	int form = request_accept(r, v2_types, V2_FORMS);
	bool protobuf = form != V2_JSON;
	CLEANUP(str_done) struct str text = { 0 };

	if (form < 0) {
		request_fail_accept(r, v2_types, V2_FORMS);
		return;
	}
	if (o->v2[protobuf].changes != registry_changes(o->registry)) {
		v2_text(o, protobuf, &text);
		document_tag(text.data, text.len, o->v2[protobuf].tag);
		o->v2[protobuf].changes = registry_changes(o->registry);
	}
	if (text.len == 0 && !document_is_known(r, o->v2[protobuf].tag))
		v2_text(o, protobuf, &text);
	document_reply(r, v2_types[protobuf ? V2_PROTOBUF_DOT : V2_JSON], o->v2[protobuf].tag, CHECKED_CACHE,
		text.data, text.len);
}

bool openapi_serve(struct openapi *o, struct request *r)
{
	const char *path = request_path(r);
	bool v2 = str_eq(path, "/openapi/v2"),
	     index = str_eq(path, "/openapi/v3") || str_eq(path, "/openapi/v3/");

	if (!v2 && !str_starts(path, "/openapi/v3"))
		return false;
	if (!index && !v2 && !str_starts(path, "/openapi/v3/"))
		return false;
	if (!document_method_ok(r))
		return true;
	if (!v2 && request_accept(r, v3_types, ARRAY_LEN(v3_types)) < 0) {
		request_fail_accept(r, v3_types, ARRAY_LEN(v3_types));
		return true;
	}
	if (v2)
		serve_v2(o, r);
	else if (index)
		serve_index(o, r);
	else
		return serve_v3(o, r, path + strlen("/openapi/v3/"));
	return true;
}
