/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI documents of group versions behind APIServices (kubernetes-api.md 1.4, 5.4): asked for when the backend has been
 * found to answer, so that kubectl explains and checks what they serve like anything else. Of v2, which is one document for
 * all groups, what belongs to the group version is kept; of v3 the address, for the backend has the document. */
#include "platform/apiserver/aggregate_impl.h"

#include "base/mem.h"

#include <string.h>

#define DOCUMENT_TIMEOUT_MS 10000
#define DOCUMENT_BYTES_MAX (4 * 1024 * 1024)
#define DEFINITION "#/definitions/"

struct remote_docs {
	struct aggregator *g;
	struct backend *backend; /* referenced */
	struct http_call *call;
	char *name, *group, *version;
	char *v3; /* serverRelativeURL */
	struct obj *v2;
	struct remote_docs *next;
};

static void docs_free(struct remote_docs *f)
{
	struct remote_docs **p = &f->g->docs;

	while (*p && *p != f)
		p = &(*p)->next;
	if (*p)
		*p = f->next;
	http_call_cancel(f->call);
	backend_unref(f->backend);
	obj_unref(f->v2);
	free(f->name);
	free(f->group);
	free(f->version);
	free(f->v3);
	free(f);
}

static void ask(struct remote_docs *f, const char *path,
	void (*done)(void *arg, const struct http_response *r, const struct err *e))
{
	static const struct http_header headers[] = { { "Accept", "application/json" },
		{ "X-Remote-User", "system:kube-aggregator" }, { "X-Remote-Group", "system:masters" } };
	const struct http_call_spec spec = { .method = "GET",
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.timeout_ms = DOCUMENT_TIMEOUT_MS,
		.body_max = DOCUMENT_BYTES_MAX,
		.done = done,
		.arg = f };

	f->call = http_client_call(f->backend->client, &spec);
}

/* ---- v2: what belongs to one group version ---- */
/* Definitions refer to others: each is taken once, with what it refers to. */
static void take_definitions(
	struct json_doc *d, const struct json *from, struct json *to, const struct json *v)
{
	const char *ref = json_str(v);

	if (str_starts(ref, DEFINITION)) {
		const char *name = ref + strlen(DEFINITION);
		const struct json *found = json_get(from, name);

		if (!found || json_get(to, name))
			return;
		json_set_copy(d, to, name, found);
		take_definitions(d, from, to, found);
		return;
	}
	JSON_EACH (it, v)
		take_definitions(d, from, to, it.val);
}

static struct obj *own_part(const struct remote_docs *f, const struct json *doc)
{
	CLEANUP(mem_freep) char *prefix = str_printf("/apis/%s/%s/", f->group, f->version);
	struct json_doc *d = json_doc_new();
	struct json *root = json_new_obj(d), *paths, *definitions;
	struct obj *o;
	size_t len;

	json_set_root(d, root);
	paths = json_need_obj(d, root, "paths");
	definitions = json_need_obj(d, root, "definitions");
	JSON_EACH (it, json_get(doc, "paths")) {
		if (!str_starts(it.key, prefix))
			continue;
		json_set_copy(d, paths, it.key, it.val);
		take_definitions(d, json_get(doc, "definitions"), definitions, it.val);
	}
	/* kubectl finds kinds by their definitions, whether or not a path names them */
	JSON_EACH (it, json_get(doc, "definitions"))
		JSON_EACH (gvk, json_get(it.val, "x-kubernetes-group-version-kind"))
			if (str_eq(json_get_str(gvk.val, "group"), f->group) &&
				str_eq(json_get_str(gvk.val, "version"), f->version)) {
				json_set_copy(d, definitions, it.key, it.val);
				take_definitions(d, json_get(doc, "definitions"), definitions, it.val);
			}
	if (json_len(paths) + json_len(definitions) == 0) {
		json_doc_free(d);
		return NULL;
	}
	o = obj_from_doc(d);
	obj_text(o, &len);
	obj_compact(o);
	return o;
}

/* ---- asking ---- */
static bool is_answer(const struct http_response *r, const struct err *e)
{
	return (!e || e->code == ERR_NONE) && r && r->status == 200;
}

static void v2_is_there(void *arg, const struct http_response *r, const struct err *e)
{
	struct remote_docs *f = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	f->call = NULL;
	if (is_answer(r, e))
		d = json_parse(r->body, r->len, NULL);
	if (d)
		f->v2 = own_part(f, json_root(d));
	registry_set_remote_docs(f->g->s->objects->registry, f->group, f->version, f->v2, f->v3);
	docs_free(f);
}

static void v3_is_there(void *arg, const struct http_response *r, const struct err *e)
{
	struct remote_docs *f = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(mem_freep) char *key = str_printf("apis/%s/%s", f->group, f->version);
	const char *url;

	f->call = NULL;
	if (is_answer(r, e))
		d = json_parse(r->body, r->len, NULL);
	url = json_get_str(json_get(json_get(json_root(d), "paths"), key), "serverRelativeURL");
	if (str_starts(url, "/openapi/v3/") && str_starts(url + strlen("/openapi/v3/"), key))
		f->v3 = mem_strdup(url);
	ask(f, "/openapi/v2", v2_is_there);
}

void remote_docs_fetch(struct aggregator *g, const char *name, const char *group, const char *version)
{
	struct remote_docs *f;
	struct err e = { 0 };

	for (f = g->docs; f; f = f->next)
		if (str_eq(f->name, name))
			return;
	f = MEM_NEW(struct remote_docs);
	*f = (struct remote_docs){ .g = g,
		.name = mem_strdup(name),
		.group = mem_strdup(group),
		.version = mem_strdup(version),
		.next = g->docs };
	g->docs = f;
	f->backend = aggregate_backend(g->s, name, NULL, &e);
	if (!f->backend)
		docs_free(f);
	else
		ask(f, "/openapi/v3", v3_is_there);
}

void remote_docs_end(struct aggregator *g)
{
	while (g->docs)
		docs_free(g->docs);
}
