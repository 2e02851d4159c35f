/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered without asking who asks: discovery, version, health. kubevirt-api.md 2. */
#include <string.h>

#include "base/mem.h"
#include "kubevirt/health/health.h"
#include "kubevirt/webhook/server_impl.h"

static const char *const versions[] = { "v1", "v1alpha3" };

static void add_version(struct json_doc *d, struct json *o, const char *version)
{
	json_set_strf(d, o, "groupVersion", SUBRESOURCES_GROUP "/%s", version);
	json_set_str(d, o, "version", version);
}

static struct json *group(struct json_doc *d)
{
	struct json *o = json_new_obj(d), *list = json_new_arr(d);

	json_set_str(d, o, "kind", "APIGroup");
	json_set_str(d, o, "apiVersion", "v1");
	json_set_str(d, o, "name", SUBRESOURCES_GROUP);
	json_set(d, o, "versions", list);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct json *v = json_new_obj(d);
		add_version(d, v, versions[i]);
		json_append(d, list, v);
	}
	add_version(d, json_need_obj(d, o, "preferredVersion"), versions[0]);
	return o;
}

static void add_resource(struct json_doc *d, struct json *list, const char *resource, const char *sub)
{
	struct json *o = json_new_obj(d);

	if (resource)
		json_set_strf(d, o, "name", "%s/%s", resource, sub);
	else
		json_set_str(d, o, "name", sub);
	json_set_str(d, o, "singularName", "");
	json_set_bool(d, o, "namespaced", true);
	json_set_str(d, o, "kind", "");
	json_set(d, o, "verbs", json_new_arr(d));
	json_append(d, list, o);
}

static struct json *resources(struct json_doc *d, const char *version)
{
	static const char *const streams[][2] = { { "virtualmachineinstances", "console" },
		{ "virtualmachineinstances", "portforward" }, { "virtualmachines", "portforward" } };
	struct json *o = json_new_obj(d), *list = json_new_arr(d);

	json_set_str(d, o, "kind", "APIResourceList");
	json_set_str(d, o, "apiVersion", "v1");
	json_set_strf(d, o, "groupVersion", SUBRESOURCES_GROUP "/%s", version);
	json_set(d, o, "resources", list);
	for (const struct lifecycle_verb *v = lifecycle_verbs; v->sub; v++)
		add_resource(d, list, v->resource, v->sub);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		add_resource(d, list, streams[i][0], streams[i][1]);
	add_resource(d, list, NULL, "expand-vm-spec");
	return o;
}

/* Clients parse gitVersion as vX.Y.Z (kubevirt-api.md 10). */
static struct json *version_doc(struct json_doc *d)
{
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "gitVersion", CORACLE_VERSION);
	json_set_str(d, o, "gitCommit", "");
	json_set_str(d, o, "gitTreeState", "clean");
	json_set_str(d, o, "buildDate", "");
	json_set_str(d, o, "goVersion", "none");
	json_set_str(d, o, "compiler", "C " __VERSION__);
	json_set_strf(d, o, "platform", "linux/%s", kv_arch_host());
	return o;
}

static struct json *guestfs(struct json_doc *d, const struct virt_api *a)
{
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "registry",
		json_str_or(json_at(a->kubevirt ? obj_json(a->kubevirt) : NULL,
				    "/status/observedKubeVirtRegistry"),
			""));
	json_set_str(d, o, "tag",
		json_str_or(json_at(a->kubevirt ? obj_json(a->kubevirt) : NULL,
				    "/status/observedKubeVirtVersion"),
			""));
	json_set_str(d, o, "digest", "");
	json_set_str(d, o, "imagePrefix", "");
	json_set_str(d, o, "gsImage", "");
	return o;
}

/* ---- health: is the API server there, and which configuration is in force? ---- */

static const char *config_version(void *arg)
{
	const struct virt_api *a = arg;

	return json_str_or(
		json_at(a->kubevirt ? obj_json(a->kubevirt) : NULL, "/metadata/resourceVersion"), "");
}

static void health(struct virt_api *a, struct http_req *r)
{
	health_probe(a->spec.client, r, config_version, a);
}

/* Prometheus' text format. */
static void metrics(const struct virt_api *a, struct http_req *r)
{
	CLEANUP(str_done) struct str s = { 0 };

	str_add(&s, "# TYPE coracle_virt_api_reviews_total counter\n");
	for (const struct hook *h = hooks; h->path; h++) {
		str_addf(&s, "coracle_virt_api_reviews_total{hook=\"%s\",allowed=\"true\"} %llu\n", h->name,
			(unsigned long long)a->reviews[h->id].allowed);
		str_addf(&s, "coracle_virt_api_reviews_total{hook=\"%s\",allowed=\"false\"} %llu\n", h->name,
			(unsigned long long)a->reviews[h->id].refused);
	}
	str_addf(&s,
		"# TYPE coracle_virt_api_subresource_requests_total counter\n"
		"coracle_virt_api_subresource_requests_total %llu\n"
		"# TYPE coracle_virt_api_streams gauge\ncoracle_virt_api_streams %zu\n",
		(unsigned long long)a->subresource_requests, bridges_open(a));
	http_req_reply(r, 200, "text/plain; version=0.0.4", s.data, s.len);
}

static bool serve_group(struct virt_api *a, struct http_req *r, const char *version, const char *rest)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	if (str_empty(rest))
		reply_json(r, 200, resources(d, version));
	else if (str_eq(rest, "/version"))
		reply_json(r, 200, version_doc(d));
	else if (str_eq(rest, "/guestfs"))
		reply_json(r, 200, guestfs(d, a));
	else if (str_eq(rest, "/healthz"))
		health(a, r);
	else
		return false;
	return true;
}

bool discovery_serve(struct virt_api *a, struct http_req *r)
{
	const char *path = http_req_path(r);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	if (!str_eq(http_req_method(r), "GET"))
		return false;
	if (str_eq(path, "/healthz")) {
		health(a, r);
		return true;
	}
	if (str_eq(path, "/metrics")) {
		metrics(a, r);
		return true;
	}
	if (str_eq(path, "/apis")) {
		struct json *o = json_new_obj(d);
		json_set_str(d, o, "kind", "APIGroupList");
		json_set_str(d, o, "apiVersion", "v1");
		json_append(d, json_need_arr(d, o, "groups"), group(d));
		reply_json(r, 200, o);
		return true;
	}
	if (str_eq(path, "/apis/" SUBRESOURCES_GROUP)) {
		reply_json(r, 200, group(d));
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		CLEANUP(mem_freep) char *prefix = str_printf(SUBRESOURCES_PREFIX "%s", versions[i]);
		size_t n = strlen(prefix);
		if (strncmp(path, prefix, n) == 0 && (!path[n] || path[n] == '/'))
			return serve_group(a, r, versions[i], path + n);
	}
	return false;
}
