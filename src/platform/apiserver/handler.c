/* SPDX-License-Identifier: Apache-2.0 */
/* To whom a request goes that may go on: documents, resources, other servers. */
#include "platform/apiserver/aggregate.h"
#include "platform/auth/auth.h"
#include "platform/apiserver/connect_admit.h"
#include "platform/apiserver/metrics.h"
#include "platform/apiserver/server.h"

#include "base/mem.h"

#include <string.h>

/* ---- documents and health ---- */
static void serve_jwks(struct apiserver *s, struct request *r)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct err e = { 0 };

	if (jwks_text(s->pki.sa_key, s->pki.sa_key_id, &text, &e) < 0)
		request_fail(r, &e, NULL, NULL, NULL);
	else
		request_reply(r, 200, "application/jwk-set+json", text, strlen(text));
}

static void serve_openid(struct request *r)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'issuer':'" AUTH_ISSUER "','jwks_uri':'" AUTH_ISSUER "/openid/v1/jwks',"
			 "'response_types_supported':['id_token'],'subject_types_supported':['public'],"
			 "'id_token_signing_alg_values_supported':['ES256']}");

	request_reply_json(r, 200, json_root(d));
}

static void serve_root(struct apiserver *s, struct request *r)
{
	static const char *const fixed[] = { "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3",
		"/readyz", "/version", "/openid/v1/jwks", "/.well-known/openid-configuration" };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *paths;
	const struct group_version *gv;

	json_set_root(d, o);
	paths = json_need_arr(d, o, "paths");
	json_append_str(d, paths, "/api");
	json_append_str(d, paths, "/apis");
	for (size_t i = 0; (gv = registry_gv_at(s->objects->registry, i)); i++)
		json_append(d, paths,
			json_new_strf(d, str_empty(gv->group) ? "/api%s/%s" : "/apis/%s/%s", gv->group,
				gv->version));
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		json_append_str(d, paths, fixed[i]);
	request_reply_json(r, 200, o);
}

/* "/apis/G/V" of a remote group version is the backend's to answer, and "/openapi/v3/apis/G/V". */
static const struct group_version *remote_document(struct apiserver *s, const char *path)
{
	CLEANUP(mem_freep) char *copy = NULL;
	char *rest, *group, *version;
	const struct group_version *gv;

	if (str_starts(path, "/openapi/v3/apis/"))
		path += strlen("/openapi/v3");
	if (!str_starts(path, "/apis/"))
		return NULL;
	rest = copy = mem_strdup(path + 6);
	group = str_next(&rest, '/');
	version = rest ? str_next(&rest, '/') : NULL;
	gv = version && (!rest || !*rest) ? registry_gv(s->objects->registry, group, version) : NULL;
	return gv && gv->remote ? gv : NULL;
}

static void serve_document(struct apiserver *s, struct request *r, const char *path)
{
	const struct group_version *remote = remote_document(s, path);

	if (remote)
		aggregate_proxy(s, r, remote->group, remote->version);
	else if (health_serve(s, r, path))
		return;
	else if (str_eq(path, "/metrics"))
		metrics_serve(s, r);
	else if (str_eq(path, "/openid/v1/jwks"))
		serve_jwks(s, r);
	else if (str_eq(path, "/.well-known/openid-configuration"))
		serve_openid(r);
	else if (str_eq(path, "/") || str_eq(path, ""))
		serve_root(s, r);
	else if (!discovery_serve(s->discovery, r) && !openapi_serve(s->openapi, r))
		request_reply_text(r, 404, "404 page not found\n");
}

/* ---- resources ---- */
static unsigned verb_bit(const char *verb)
{
	static const struct {
		const char *name;
		unsigned bit;
	} bits[] = { { "get", VERB_GET }, { "list", VERB_LIST }, { "watch", VERB_WATCH },
		{ "create", VERB_CREATE }, { "update", VERB_UPDATE }, { "patch", VERB_PATCH },
		{ "delete", VERB_DELETE }, { "deletecollection", VERB_DELETECOLLECTION } };

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (str_eq(bits[i].name, verb))
			return bits[i].bit;
	return 0;
}

static void fail_no_resource(struct request *r)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
	d = status_from_err(&e, NULL, NULL, NULL);
	json_need_obj(d, json_root(d), "details");
	request_reply_json(r, 404, json_root(d));
}

static void fail_method(struct request *r)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	err_set(&e, ERR_METHOD_NOT_ALLOWED,
		"the server does not allow this method on the requested resource");
	d = status_from_err(&e, NULL, NULL, NULL);
	json_need_obj(d, json_root(d), "details");
	request_reply_json(r, 405, json_root(d));
}

static bool group_is_builtin(const struct group_version *gv)
{
	for (size_t i = 0; i < gv->n; i++)
		if (gv->items[i]->origin == ORIGIN_BUILTIN)
			return true;
	return false;
}

/* Does the path fit the resource's scope, and the verb the resource? Answers the request if not. */
static bool fits(struct request *r, const struct resource *res, const struct reqinfo *i)
{
	const struct subresource *sub = i->sub ? resource_sub(res, i->sub) : NULL;
	bool is_ns = str_empty(res->kind->group) && str_eq(res->kind->plural, "namespaces");
	unsigned verbs = sub ? sub->verbs : resource_verbs(res), bit = verb_bit(i->verb);
	bool any_ns = res->kind->namespaced && !i->ns;

	if ((i->sub && !sub) || (!res->kind->namespaced && i->ns && !is_ns)) {
		fail_no_resource(r);
		return false;
	}
	if (any_ns && bit != VERB_LIST && bit != VERB_WATCH &&
		!(bit == VERB_CREATE && !i->name && res->def->transient)) {
		if (i->name || res->origin == ORIGIN_CRD)
			fail_no_resource(r);
		else
			fail_method(r);
		return false;
	}
	if ((verbs & bit) && (bit != VERB_CREATE || !i->name || sub) && (bit != VERB_UPDATE || i->name) &&
		(bit != VERB_PATCH || i->name))
		return true;
	fail_method(r);
	return false;
}

static void ask_node(struct apiserver *s, struct request *r, struct resource *res, const char *ns,
	const char *name, const char *sub)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, name);
	const struct obj *pod = bucket_get(objects_bucket_of(s->objects, res), key);
	struct err e = { 0 };

	if (!pod)
		err_not_found(&e, res->kind, name);
	else if (str_empty(json_at_str(obj_json(pod), "/spec/nodeName")))
		err_set(&e, ERR_BAD_REQUEST, "pod %s does not have a host assigned", name);
	else if (!s->node_proxy || !request_http(r))
		err_set(&e, ERR_UNAVAILABLE, "no node agent to ask");
	if (e.code != ERR_NONE) {
		request_fail(r, &e, res->kind, name, NULL);
		return;
	}
	s->node_proxy(s->node_proxy_arg,
		&(struct node_request){ .verb = sub, .pod = pod, .http = request_http(r) });
}

static bool is_node_verb(const struct resource *res, const char *sub)
{
	static const char *const verbs[] = { "log", "exec", "attach", "portforward", NULL };

	return sub && str_in(sub, verbs) && str_empty(res->kind->group) && str_eq(res->kind->plural, "pods");
}

/* pods/proxy and its like: whatever the method is, somebody else answers. */
static bool is_proxy(const struct resource *res, const struct reqinfo *i)
{
	return str_eq(i->sub, "proxy") && res->origin == ORIGIN_BUILTIN && resource_sub(res, i->sub) &&
	       res->kind->namespaced == (i->ns != NULL);
}

static void serve_resource(struct apiserver *s, struct request *r, const struct reqinfo *i)
{
	const struct group_version *gv = registry_gv(s->objects->registry, i->group, i->version);
	struct resource *res = registry_find(s->objects->registry, i->group, i->version, i->plural);

	if (gv && gv->remote) {
		aggregate_proxy(s, r, i->group, i->version);
		return;
	}
	if (!res && (!gv || !group_is_builtin(gv))) {
		request_reply_text(r, 404, "404 page not found\n");
		return;
	}
	if (!res) {
		fail_no_resource(r);
		return;
	}
	request_set_label(r, i->verb, res->kind->plural);
	if (res->def->deprecation)
		request_warn(r, "%s", res->def->deprecation);
	if (!(is_proxy(res, i) && str_eq(request_method(r), "OPTIONS")) && !fits(r, res, i))
		return;
	if (is_node_verb(res, i->sub) && str_eq(i->sub, "log"))
		ask_node(s, r, res, i->ns, i->name, i->sub);
	else if (is_node_verb(res, i->sub))
		connect_admitted(s, r, res, i, ask_node);
	else if (is_proxy(res, i))
		connect_admitted(s, r, res, i, server_connect);
	else if (res->def->transient)
		server_review(s, r, res, i);
	else if (str_eq(i->verb, "watch"))
		server_watch(s, r, res, i);
	else if ((str_eq(i->verb, "get") && !str_eq(i->sub, "scale")) || str_eq(i->verb, "list"))
		server_read(s, r, res, i);
	else
		server_write(s, r, res, i);
}

static void route(struct apiserver *s, struct request *r, const struct reqinfo *i)
{
	if (i->resource_request)
		serve_resource(s, r, i);
	else
		serve_document(s, r, i->path);
}

/* ---- where others write, too: what is asked for as it is now waits until we know how it is now ---- */
struct fresh {
	struct apiserver *s;
	struct request *r;
	struct rev_wait *wait;
};

static void fresh_aborted(void *arg)
{
	struct fresh *f = arg;

	objects_wait_cancel(f->wait);
	free(f);
}

static void fresh_now(void *arg, bool reached)
{
	struct fresh *f = arg;
	struct apiserver *s = f->s;
	struct request *r = f->r;
	struct err e = { 0 };

	free(f);
	request_on_abort(r, NULL, NULL);
	if (reached) {
		route(s, r, request_info(r));
	} else {
		err_set(&e, ERR_TIMEOUT, "the store does not tell its newest state");
		request_fail(r, &e, NULL, NULL, NULL);
	}
}

/* Ordinary writes find out by themselves. */
static bool wants_fresh(struct apiserver *s, struct request *r, const struct reqinfo *i)
{
	static const char *const reads[] = { "get", "list", "watch", NULL };
	struct resource *res = registry_find(s->objects->registry, i->group, i->version, i->plural);

	if (res && res->def->transient)
		return false;
	if (!res || str_eq(i->verb, "deletecollection") || (i->sub && str_eq(i->verb, "create")))
		return true;
	return str_in(i->verb, reads) && str_empty(request_query(r, "resourceVersion")) &&
	       str_empty(request_query(r, "continue"));
}

void server_route(struct apiserver *s, struct request *r, const struct reqinfo *i)
{
	struct fresh *f;

	if (!store_shared(s->objects->store) || !i->resource_request || !wants_fresh(s, r, i)) {
		route(s, r, i);
		return;
	}
	f = MEM_NEW(struct fresh);
	*f = (struct fresh){ .s = s, .r = r };
	request_on_abort(r, fresh_aborted, f);
	f->wait = objects_wait_sync(s->objects, fresh_now, f);
}
