/* SPDX-License-Identifier: Apache-2.0 */
/* DaemonSets: one pod on every node that takes it. Pods are pinned to their node by affinity; the scheduler binds them. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "base/mem.h"
#include "platform/controllers/pods.h"
#include "platform/scheduler/fit.h"

#define LABEL_REVISION "controller-revision-hash"

struct tally {
	int64_t desired, current, ready, available, updated, misscheduled, unavailable_now;
	int64_t again_at;
};

/* The node a pod of a DaemonSet is for, bound or not yet. */
static const char *pod_node(const struct obj *pod)
{
	const char *node = json_at_str(obj_json(pod), "/spec/nodeName");

	if (!str_empty(node))
		return node;
	return json_at_str(obj_json(pod),
		"/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/"
		"nodeSelectorTerms/0/matchFields/0/values/0");
}

static struct json_doc *pod_for_node(const struct obj *ds, const struct obj *node, const char *hash)
{
	CLEANUP(mem_freep) char *prefix = str_printf("%s-", obj_name(ds));
	struct json_doc *d =
		pod_from_template(json_at(obj_json(ds), "/spec/template"), &pk_daemonset, ds, prefix);
	struct json *o = json_root(d), *spec = json_get(o, "spec"), *terms, *term, *field;
	static const char *const tolerated[][2] = { { "node.kubernetes.io/not-ready", "NoExecute" },
		{ "node.kubernetes.io/unreachable", "NoExecute" },
		{ "node.kubernetes.io/disk-pressure", "NoSchedule" },
		{ "node.kubernetes.io/memory-pressure", "NoSchedule" },
		{ "node.kubernetes.io/pid-pressure", "NoSchedule" },
		{ "node.kubernetes.io/unschedulable", "NoSchedule" } };

	meta_set_label(d, o, LABEL_REVISION, hash);
	terms = json_need_obj(d, json_need_obj(d, spec, "affinity"), "nodeAffinity");
	terms = json_need_obj(d, terms, "requiredDuringSchedulingIgnoredDuringExecution");
	json_set(d, terms, "nodeSelectorTerms", json_new_arr(d));
	term = json_new_obj(d);
	field = json_new_obj(d);
	json_set_str(d, field, "key", "metadata.name");
	json_set_str(d, field, "operator", "In");
	json_append_str(d, json_need_arr(d, field, "values"), obj_name(node));
	json_append(d, json_need_arr(d, term, "matchFields"), field);
	json_append(d, json_get(terms, "nodeSelectorTerms"), term);
	for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
		struct json *t = json_new_obj(d);

		json_set_str(d, t, "key", tolerated[i][0]);
		json_set_str(d, t, "operator", "Exists");
		json_set_str(d, t, "effect", tolerated[i][1]);
		json_append(d, json_need_arr(d, spec, "tolerations"), t);
	}
	return d;
}

/* The pods of ds on one node: the one that counts, and whether it is of the present template. */
static const struct obj *pod_on(
	const struct look *l, const struct obj *ds, const struct obj *node, struct plan *out)
{
	struct cache *pods = look_cache(l, &pk_pod);
	const struct obj *kept = NULL;

	for (size_t i = 0; i < cache_index_len(pods, 0, obj_uid(ds)); i++) {
		const struct obj *pod = cache_index_at(pods, 0, obj_uid(ds), i);
		const char *phase = json_at_str(obj_json(pod), "/status/phase");

		if (!str_eq(pod_node(pod), obj_name(node)))
			continue;
		if (!obj_deleting(pod) && (str_eq(phase, "Failed") || str_eq(phase, "Succeeded"))) {
			plan_delete(out, &pk_pod, obj_key(pod), obj_uid(pod), -1);
			continue;
		}
		/* a going one still blocks its successor: two would fight for the node's ports */
		if (!kept || (obj_deleting(kept) && !obj_deleting(pod)))
			kept = pod;
		else if (!obj_deleting(pod))
			plan_delete(out, &pk_pod, obj_key(pod), obj_uid(pod), -1);
	}
	return kept;
}

static void look_at_node(const struct look *l, const struct obj *ds, const struct obj *node, const char *hash,
	int64_t max_unavailable, struct tally *t, struct plan *out)
{
	bool wanted = fit_daemon(json_at(obj_json(ds), "/spec/template/spec"), node);
	const struct obj *pod = pod_on(l, ds, node, out);
	bool updated = pod && str_eq(meta_label(obj_json(pod), LABEL_REVISION), hash);

	if (!wanted) {
		t->misscheduled += pod != NULL;
		if (pod && !obj_deleting(pod))
			plan_delete(out, &pk_pod, obj_key(pod), obj_uid(pod), -1);
		return;
	}
	t->desired++;
	if (!pod) {
		t->unavailable_now++;
		plan_create(out, &pk_pod, pod_for_node(ds, node, hash));
		return;
	}
	t->current++;
	t->updated += updated && !obj_deleting(pod);
	if (!obj_deleting(pod) && pod_is_ready(pod)) {
		t->ready++;
		t->available += pod_is_available(pod,
			json_i64(json_at(obj_json(ds), "/spec/minReadySeconds")), look_now(l), &t->again_at);
	} else {
		t->unavailable_now++;
	}
	if (updated || obj_deleting(pod) ||
		str_eq(json_at_str(obj_json(ds), "/spec/updateStrategy/type"), "OnDelete"))
		return;
	/* an old pod that is not ready costs nothing to replace */
	if (!pod_is_ready(pod) || t->unavailable_now < max_unavailable) {
		if (pod_is_ready(pod))
			t->unavailable_now++;
		plan_delete(out, &pk_pod, obj_key(pod), obj_uid(pod), -1);
	}
}

static void daemonset_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *ds = look_get(l, &pk_daemonset, key), *node;
	struct cache *nodes = look_cache(l, &pk_node);
	struct tally t = { 0 };
	struct json_doc *d;
	struct json *status;
	char hash[16];
	int64_t max;

	if (!ds || obj_deleting(ds))
		return;
	template_hash(json_at(obj_json(ds), "/spec/template"),
		json_i64(json_at(obj_json(ds), "/status/collisionCount")), hash);
	max = int_or_percent(json_at(obj_json(ds), "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
		(int64_t)cache_len(nodes), true);
	if (max < 1)
		max = 1;
	for (size_t i = 0; (node = cache_at(nodes, i)); i++)
		look_at_node(l, ds, node, hash, max, &t, out);
	d = obj_draft(ds);
	status = json_need_obj(d, json_root(d), "status");
	json_set_i64(d, status, "observedGeneration", obj_generation(ds));
	json_set_i64(d, status, "desiredNumberScheduled", t.desired);
	json_set_i64(d, status, "currentNumberScheduled", t.current);
	json_set_i64(d, status, "numberMisscheduled", t.misscheduled);
	json_set_i64(d, status, "numberReady", t.ready);
	json_set_i64(d, status, "numberAvailable", t.available);
	json_set_i64(d, status, "numberUnavailable", t.desired - t.available);
	json_set_i64(d, status, "updatedNumberScheduled", t.updated);
	plan_change(out, &pk_daemonset, ds, "status", d);
	if (t.again_at)
		plan_again_at(out, t.again_at);
}

/* A node that comes, goes or changes its labels or taints concerns every DaemonSet. */
static void key_every_daemonset(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	struct cache *all = look_cache(l, &pk_daemonset);
	const struct obj *ds;

	for (size_t i = 0; (ds = cache_at(all, i)); i++)
		emit(arg, obj_key(ds));
}

const struct controller daemonset_controller = {
	.name = "daemonset",
	.decide = daemonset_decide,
	.watches = {
		{ .kind = &pk_daemonset, .keys = key_self },
		{ .kind = &pk_pod, .keys = key_owner_daemonset, .index = index_by_owner_uid },
		{ .kind = &pk_node, .keys = key_every_daemonset },
	},
};
