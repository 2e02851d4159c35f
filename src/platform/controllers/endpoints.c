/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints and EndpointSlices: which addresses stand behind a Service. Webhooks and APIServices are reached through them. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "api/selector.h"
#include "base/mem.h"
#include "platform/controllers/pods.h"

#include <stdlib.h>

#define LABEL_SERVICE "kubernetes.io/service-name"
#define LABEL_SLICE_MANAGER "endpointslice.kubernetes.io/managed-by"
#define SLICE_MANAGER "endpointslice-controller.k8s.io"

/* The number behind a Service port: a number, or the name of a container port. 0: this pod has none of that name. */
static int64_t target_port(const struct json *port, const struct obj *pod)
{
	const struct json *target = json_get(port, "targetPort");

	if (!json_is_str(target))
		return json_i64(target ? target : json_get(port, "port"));
	JSON_EACH (c, json_at(obj_json(pod), "/spec/containers"))
		JSON_EACH (p, json_get(c.val, "ports"))
			if (str_eq(json_get_str(p.val, "name"), json_str(target)))
				return json_i64(json_get(p.val, "containerPort"));
	return 0;
}

static void add_target(struct json_doc *d, struct json *o, const struct obj *pod)
{
	struct json *ref = json_need_obj(d, o, "targetRef");

	json_set_str(d, ref, "kind", "Pod");
	json_set_str(d, ref, "namespace", obj_namespace(pod));
	json_set_str(d, ref, "name", obj_name(pod));
	json_set_str(d, ref, "uid", obj_uid(pod));
	json_set_str(d, o, "nodeName", json_at_str(obj_json(pod), "/spec/nodeName"));
}

static void add_endpoint(struct json_doc *d, struct json *list, const struct obj *pod, bool ready)
{
	struct json *o = json_new_obj(d), *conditions;

	json_append_str(d, json_need_arr(d, o, "addresses"), json_at_str(obj_json(pod), "/status/podIP"));
	conditions = json_need_obj(d, o, "conditions");
	json_set_bool(d, conditions, "ready", ready && !obj_deleting(pod));
	json_set_bool(d, conditions, "serving", ready);
	json_set_bool(d, conditions, "terminating", obj_deleting(pod));
	add_target(d, o, pod);
	json_append(d, list, o);
}

/* Ports as the pod has them. All pods of one Service normally agree; the first one's numbers count. */
static struct json *ports_of(struct json_doc *d, const struct obj *service, const struct obj *pod)
{
	struct json *list = json_new_arr(d);

	JSON_EACH (it, json_at(obj_json(service), "/spec/ports")) {
		int64_t number = pod ? target_port(it.val, pod) : 0;
		struct json *p;

		if (!number)
			continue;
		p = json_new_obj(d);
		json_set_str(d, p, "name", json_str_or(json_get(it.val, "name"), ""));
		json_set_i64(d, p, "port", number);
		json_set_str(d, p, "protocol", json_str_or(json_get(it.val, "protocol"), "TCP"));
		json_append(d, list, p);
	}
	return list;
}

/* The tree of o or a new one of this kind and name, in the Service's namespace. */
static struct json_doc *draft_of(
	const struct look *l, const struct kind *k, const struct obj *service, const char *key)
{
	const struct obj *old = look_get(l, k, key);
	struct json_doc *d = old ? obj_draft(old) : json_doc_new();
	char version[KIND_API_VERSION_MAX];
	struct json *o;

	if (old)
		return d;
	o = json_new_obj(d);
	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", kind_api_version(k, version));
	json_set_str(d, o, "kind", k->kind);
	json_set_str(d, json_need_obj(d, o, "metadata"), "name", obj_name(service));
	json_set_str(d, json_need_obj(d, o, "metadata"), "namespace", obj_namespace(service));
	meta_add_owner(d, o, "v1", "Service", obj_name(service), obj_uid(service), true);
	return d;
}

static void plan_draft(
	const struct look *l, const struct kind *k, const char *key, struct json_doc *d, struct plan *out)
{
	const struct obj *old = look_get(l, k, key);

	if (old)
		plan_change(out, k, old, NULL, d);
	else
		plan_ensure(out, k, d);
}

struct behind {
	const struct obj **pods;
	bool *ready;
	size_t n, cap, cap_ready;
};

static void behind_done(struct behind *b)
{
	free(b->pods);
	free(b->ready);
}

static void find_pods(const struct look *l, const struct obj *service, struct behind *b)
{
	CLEANUP(selector_freep)
	struct selector *s = selector_from_map(json_at(obj_json(service), "/spec/selector"));
	bool unready_too = json_bool(json_at(obj_json(service), "/spec/publishNotReadyAddresses"));
	struct cache *pods = look_cache(l, &pk_pod);
	const struct obj *pod;

	for (size_t i = 0; (pod = cache_at(pods, i)); i++) {
		const char *phase = json_at_str(obj_json(pod), "/status/phase");

		if (!str_eq(obj_namespace(pod), obj_namespace(service)) ||
			str_empty(json_at_str(obj_json(pod), "/status/podIP")) ||
			str_eq(phase, "Succeeded") || str_eq(phase, "Failed") ||
			!selector_matches(s, json_at(obj_json(pod), "/metadata/labels")))
			continue;
		b->pods = mem_grow(b->pods, &b->cap, b->n + 1, sizeof(*b->pods));
		b->ready = mem_grow(b->ready, &b->cap_ready, b->n + 1, sizeof(*b->ready));
		b->ready[b->n] = pod_is_ready(pod) || unready_too;
		b->pods[b->n++] = pod;
	}
}

static void write_slice(
	const struct look *l, const struct obj *service, const struct behind *b, struct plan *out)
{
	struct json_doc *d = draft_of(l, &pk_endpointslice, service, obj_key(service));
	struct json *o = json_root(d), *list;

	meta_set_label(d, o, LABEL_SERVICE, obj_name(service));
	meta_set_label(d, o, LABEL_SLICE_MANAGER, SLICE_MANAGER);
	json_set_str(d, o, "addressType", "IPv4");
	json_set(d, o, "endpoints", json_new_arr(d));
	list = json_get(o, "endpoints");
	for (size_t i = 0; i < b->n; i++)
		add_endpoint(d, list, b->pods[i], b->ready[i]);
	json_set(d, o, "ports", ports_of(d, service, b->n ? b->pods[0] : NULL));
	plan_draft(l, &pk_endpointslice, obj_key(service), d, out);
}

static void write_endpoints(
	const struct look *l, const struct obj *service, const struct behind *b, struct plan *out)
{
	struct json_doc *d = draft_of(l, &pk_endpoints, service, obj_key(service));
	struct json *o = json_root(d), *subset = json_new_obj(d);

	json_remove(o, "subsets");
	for (size_t i = 0; i < b->n; i++) {
		struct json *address;

		if (obj_deleting(b->pods[i]))
			continue;
		address = json_new_obj(d);
		json_set_str(d, address, "ip", json_at_str(obj_json(b->pods[i]), "/status/podIP"));
		add_target(d, address, b->pods[i]);
		json_append(d, json_need_arr(d, subset, b->ready[i] ? "addresses" : "notReadyAddresses"),
			address);
	}
	if (json_len(subset)) {
		json_set(d, subset, "ports", ports_of(d, service, b->pods[0]));
		json_append(d, json_need_arr(d, o, "subsets"), subset);
	}
	plan_draft(l, &pk_endpoints, obj_key(service), d, out);
}

static void endpoints_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *service = look_get(l, &pk_service, key);
	CLEANUP(behind_done) struct behind b = { 0 };

	/* without a selector the addresses are somebody else's; with a Service they go by its owner reference */
	if (!service || obj_deleting(service) || !json_len(json_at(obj_json(service), "/spec/selector")))
		return;
	find_pods(l, service, &b);
	write_slice(l, service, &b, out);
	write_endpoints(l, service, &b, out);
}

static void key_services_of_pod(const struct look *l, const struct obj *pod, key_emit_fn *emit, void *arg)
{
	struct cache *all = look_cache(l, &pk_service);
	const struct obj *service;

	for (size_t i = 0; (service = cache_at(all, i)); i++) {
		CLEANUP(selector_freep) struct selector *s = NULL;

		if (!str_eq(obj_namespace(service), obj_namespace(pod)) ||
			!json_len(json_at(obj_json(service), "/spec/selector")))
			continue;
		s = selector_from_map(json_at(obj_json(service), "/spec/selector"));
		if (selector_matches(s, json_at(obj_json(pod), "/metadata/labels")))
			emit(arg, obj_key(service));
	}
}

const struct controller endpoints_controller = {
	.name = "endpoints",
	.decide = endpoints_decide,
	.watches = {
		{ .kind = &pk_service, .keys = key_self },
		{ .kind = &pk_pod, .keys = key_services_of_pod },
		{ .kind = &pk_endpointslice, .keys = key_self },
		{ .kind = &pk_endpoints, .keys = key_self },
	},
};
