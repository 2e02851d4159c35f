/* SPDX-License-Identifier: Apache-2.0 */
/* An APIService for every group version served here, made and removed as they come and go (kubernetes-api.md 1.5). */
#include "platform/apiserver/bootstrap.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define STORAGE "apiregistration.k8s.io/apiservices"
#define ENDPOINTS "services/endpoints"
#define SLICES "discovery.k8s.io/endpointslices"
#define ENDPOINT_TRIES_MAX 10
#define AUTOMANAGED "kube-aggregator.kubernetes.io/automanaged"

static struct json_doc *local_apiservice(
	struct apiserver *s, const struct group_version *gv, const char *name)
{
	struct json_doc *d =
		json_lit("{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService','metadata':{'labels':"
			 "{'kube-aggregator.kubernetes.io/automanaged':'true'}},'spec':{},'status':{}}");
	struct json *o = json_root(d), *spec = json_get(o, "spec");

	if (gv->n > 0 && gv->items[0]->origin == ORIGIN_BUILTIN)
		meta_set_label(d, o, AUTOMANAGED, "onstart");
	json_set_str(d, json_get(o, "metadata"), "name", name);
	json_set_str(d, spec, "group", gv->group);
	json_set_str(d, spec, "version", gv->version);
	json_set_i64(d, spec, "groupPriorityMinimum", gv->group_priority);
	json_set_i64(d, spec, "versionPriority", gv->version_priority);
	cond_set(d, json_get(o, "status"), "Available", "True", "Local",
		"Local APIServices are always available", loop_wall_ms(s->loop));
	return d;
}

static void drop_gone(struct apiserver *s)
{
	struct bucket *b = objects_bucket(s->objects, STORAGE);
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(b, i)); i++) {
		const struct json *spec = json_get(obj_json(o), "spec");
		uint64_t rev;

		if (meta_label(obj_json(o), AUTOMANAGED) && bucket_latest(b, obj_key(o), &rev) == o &&
			!registry_gv(s->objects->registry, json_str_or(json_get(spec, "group"), ""),
				json_str_or(json_get(spec, "version"), "")))
			objects_remove(s->objects, b, o, NULL, NULL);
	}
}

void local_apis_sync(struct apiserver *s)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(s->objects->registry, i)); i++) {
		CLEANUP(mem_freep) char *name = str_printf("%s.%s", gv->version, gv->group);
		uint64_t rev;

		if (!gv->remote && !bucket_latest(objects_bucket(s->objects, STORAGE), name, &rev))
			objects_make(s->objects, "apiregistration.k8s.io", "apiservices",
				local_apiservice(s, gv, name));
	}
	drop_gone(s);
}

/* ---- the Service that stands for this server ---- */
static bool endpoints_are(const struct obj *o, const char *host, int port)
{
	return o && str_eq(json_at_str(obj_json(o), "/subsets/0/addresses/0/ip"), host) &&
	       json_i64(json_at(obj_json(o), "/subsets/0/ports/0/port")) == port;
}

/* Where several servers share a store, each is an endpoint of its own while it runs. */
struct endpoint_change {
	struct apiserver *s;
	char *host;
	bool leave;
	unsigned tries;
};

static void change_endpoint(struct endpoint_change *c);

static void endpoint_changed(void *arg, const struct obj *o, const struct err *e)
{
	struct endpoint_change *c = arg;

	(void)o;
	if (e && e->code == ERR_CONFLICT && ++c->tries < ENDPOINT_TRIES_MAX && !c->s->objects->stopping) {
		change_endpoint(c);
		return;
	}
	if (e)
		log_warn("apiserver: endpoints of Service kubernetes: %s", e->msg);
	free(c->host);
	free(c);
}

static struct json_doc *endpoints_new(const char *host, int port)
{
	struct json_doc *d =
		json_lit("{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'kubernetes','namespace':'"
			 "default','labels':{'endpointslice.kubernetes.io/"
			 "skip-mirror':'true'}},'subsets':[{'addresses'"
			 ":[{}],'ports':[{'name':'https','protocol':'TCP'}]}]}");

	json_put_str(d, json_root(d), "/subsets/0/addresses/0/ip", host);
	json_put(d, json_root(d), "/subsets/0/ports/0/port", json_new_i64(d, port));
	return d;
}

/* The same as an EndpointSlice, which newer clients look for. All its endpoints have the first one's port. */
static void put_slice(struct apiserver *s, const struct json *subsets)
{
	struct bucket *b = objects_bucket(s->objects, SLICES);
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':"
			 "'kubernetes','namespace':'default','generation':1,'labels':{"
			 "'kubernetes.io/service-name':'kubernetes'}},'addressType':'IPv4','endpoints':[],"
			 "'ports':[]}");
	struct json *root = json_root(d);
	const struct json *port = json_at(subsets, "/0/ports/0/port");
	const char *ip = json_str_or(json_at(subsets, "/0/addresses/0/ip"), "");
	const struct obj *old;
	uint64_t rev;

	json_set_str(d, root, "addressType", strchr(ip, ':') ? "IPv6" : "IPv4");
	if (json_at(subsets, "/0/ports"))
		json_set_copy(d, root, "ports", json_at(subsets, "/0/ports"));
	JSON_EACH (it, subsets) {
		struct json *one = json_new_obj(d);

		if (!json_eq(json_at(it.val, "/ports/0/port"), port))
			continue;
		json_append(d, json_need_arr(d, one, "addresses"),
			json_copy(d, json_at(it.val, "/addresses/0/ip")));
		json_put(d, one, "/conditions/ready", json_new_bool(d, true));
		json_append(d, json_get(root, "endpoints"), one);
	}
	old = bucket_latest(b, "default/kubernetes", &rev);
	if (!old) {
		objects_make(s->objects, "discovery.k8s.io", "endpointslices", TAKE(d));
		return;
	}
	if (json_eq(json_get(obj_json(old), "endpoints"), json_get(root, "endpoints")) &&
		json_eq(json_get(obj_json(old), "ports"), json_get(root, "ports")))
		return;
	json_set_copy(d, root, "metadata", json_get(obj_json(old), "metadata"));
	objects_put(s->objects, b, TAKE(d), rev, NULL, NULL);
}

static bool subset_is(const struct json *subset, const char *host, int port)
{
	return str_eq(json_at_str(subset, "/addresses/0/ip"), host) &&
	       json_len(json_get(subset, "addresses")) == 1 &&
	       json_i64(json_at(subset, "/ports/0/port")) == port;
}

/* The others' subsets, and ours unless we leave. */
static void change_endpoint(struct endpoint_change *c)
{
	struct apiserver *s = c->s;
	struct bucket *b = objects_bucket(s->objects, ENDPOINTS);
	struct json_doc *d = endpoints_new(c->host, s->port);
	struct json *root = json_root(d), *subsets = json_new_arr(d);
	const struct obj *old;
	uint64_t rev;

	old = bucket_latest(b, "default/kubernetes", &rev);
	if (old) {
		json_set_copy(d, root, "metadata", json_get(obj_json(old), "metadata"));
		JSON_EACH (it, json_get(obj_json(old), "subsets")) {
			if (!subset_is(it.val, c->host, s->port))
				json_append(d, subsets, json_copy(d, it.val));
		}
	}
	if (!c->leave)
		json_append(d, subsets, json_copy(d, json_at(root, "/subsets/0")));
	json_set(d, root, "subsets", subsets);
	put_slice(s, subsets);
	if (old && json_eq(subsets, json_get(obj_json(old), "subsets"))) {
		json_doc_free(d);
		endpoint_changed(c, NULL, NULL);
	} else if (old) {
		objects_put(s->objects, b, d, rev, endpoint_changed, c);
	} else {
		objects_make(s->objects, "", "endpoints", d);
		endpoint_changed(c, NULL, NULL);
	}
}

static void start_change(struct apiserver *s, const char *host, bool leave)
{
	struct endpoint_change *c = MEM_NEW(struct endpoint_change);

	*c = (struct endpoint_change){ .s = s, .host = mem_strdup(host), .leave = leave };
	change_endpoint(c);
}

void bootstrap_leave(struct apiserver *s)
{
	if (store_shared(s->objects->store) && s->service_host && !store_trouble(s->objects->store))
		start_change(s, s->service_host, true);
}

void bootstrap_service(struct apiserver *s, const char *host)
{
	struct bucket *b = objects_bucket(s->objects, ENDPOINTS);
	struct json_doc *d = json_lit(
		"{'apiVersion':'v1','kind':'Service','metadata':{'name':'kubernetes','namespace':'default',"
		"'labels':{'component':'apiserver','provider':'kubernetes'}},'spec':{'ports':[{'name':"
		"'https','port':443,'protocol':'TCP'}]}}");
	const struct obj *old;
	uint64_t rev;

	json_set_i64(d, json_at(json_root(d), "/spec/ports/0"), "targetPort", s->port);
	objects_make(s->objects, "", "services", d);
	free(s->service_host);
	s->service_host = mem_strdup(host);
	if (store_shared(s->objects->store)) {
		start_change(s, host, false);
		return;
	}
	old = bucket_latest(b, "default/kubernetes", &rev);
	d = endpoints_new(host, s->port);
	put_slice(s, json_get(json_root(d), "subsets"));
	if (endpoints_are(old, host, s->port)) {
		json_doc_free(d);
		return;
	}
	if (!old) {
		objects_make(s->objects, "", "endpoints", d);
		return;
	}
	json_set_copy(d, json_root(d), "metadata", json_get(obj_json(old), "metadata"));
	objects_put(s->objects, b, d, rev, NULL, NULL);
}
