/* SPDX-License-Identifier: Apache-2.0 */
/* ReplicaSets: as many pods as wanted. Fewer: create; more: delete the least useful first. */
#include "platform/controllers/controllers.h"

#include "base/mem.h"
#include "platform/controllers/pods.h"

#include <stdlib.h>

#define REPLICASET_BURST 500 /* pods created or deleted in one pass */

struct rs_pods {
	const struct obj **items;
	size_t len, cap;
};

static void pods_done(struct rs_pods *p)
{
	free(p->items);
}

static void pods_collect(const struct look *l, const struct obj *rs, struct rs_pods *ret)
{
	struct cache *pods = look_cache(l, &pk_pod);

	for (size_t i = 0; i < cache_index_len(pods, 0, obj_uid(rs)); i++) {
		const struct obj *pod = cache_index_at(pods, 0, obj_uid(rs), i);

		if (!str_eq(owner_uid(pod, "ReplicaSet"), obj_uid(rs)) || !pod_is_active(pod))
			continue;
		ret->items = mem_grow(ret->items, &ret->cap, ret->len + 1, sizeof(*ret->items));
		ret->items[ret->len++] = pod;
	}
}

/* What goes first: not on a node, then not running, then not ready, then the youngest. */
static int usefulness(const struct obj *pod)
{
	const struct json *o = obj_json(pod);

	return (str_empty(json_at_str(o, "/spec/nodeName")) ? 0 : 4) +
	       (str_eq(json_at_str(o, "/status/phase"), "Running") ? 2 : 0) + (pod_is_ready(pod) ? 1 : 0);
}

static int by_usefulness(const void *a, const void *b)
{
	const struct obj *x = *(const struct obj *const *)a, *y = *(const struct obj *const *)b;
	int ux = usefulness(x), uy = usefulness(y);

	if (ux != uy)
		return ux - uy;
	return obj_rv(x) < obj_rv(y) ? 1 : -1; /* the latest changed goes first */
}

static void plan_pods(const struct obj *rs, struct rs_pods *pods, int64_t want, struct plan *out)
{
	const struct json *template = json_at(obj_json(rs), "/spec/template");
	CLEANUP(mem_freep) char *prefix = str_printf("%s-", obj_name(rs));
	int64_t have = (int64_t)pods->len;

	for (int64_t i = have; i < want && i - have < REPLICASET_BURST; i++)
		plan_create(out, &pk_pod, pod_from_template(template, &pk_replicaset, rs, prefix));
	if (have <= want)
		return;
	qsort(pods->items, pods->len, sizeof(*pods->items), by_usefulness);
	for (int64_t i = 0; i < have - want && i < REPLICASET_BURST; i++)
		plan_delete(out, &pk_pod, obj_key(pods->items[i]), obj_uid(pods->items[i]), -1);
}

static void replicaset_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *rs = look_get(l, &pk_replicaset, key);
	CLEANUP(pods_done) struct rs_pods pods = { 0 };
	int64_t want, ready = 0, available = 0, min_ready, at = 0;
	struct json_doc *d;
	struct json *status;

	if (!rs)
		return;
	pods_collect(l, rs, &pods);
	want = json_i64(json_at(obj_json(rs), "/spec/replicas"));
	min_ready = json_i64(json_at(obj_json(rs), "/spec/minReadySeconds"));
	for (size_t i = 0; i < pods.len; i++) {
		ready += pod_is_ready(pods.items[i]);
		available += pod_is_available(pods.items[i], min_ready, look_now(l), &at);
	}
	d = obj_draft(rs);
	status = json_need_obj(d, json_root(d), "status");
	json_set_i64(d, status, "replicas", (int64_t)pods.len);
	json_set_i64(d, status, "fullyLabeledReplicas", (int64_t)pods.len);
	json_set_i64(d, status, "readyReplicas", ready);
	json_set_i64(d, status, "availableReplicas", available);
	json_set_i64(d, status, "observedGeneration", obj_generation(rs));
	if (!obj_deleting(rs))
		plan_pods(rs, &pods, want, out);
	plan_change(out, &pk_replicaset, rs, "status", d);
	if (at)
		plan_again_at(out, at);
}

const struct controller replicaset_controller = {
	.name = "replicaset",
	.decide = replicaset_decide,
	.watches = {
		{ .kind = &pk_replicaset, .keys = key_self, .index = index_by_owner_uid },
		{ .kind = &pk_pod, .keys = key_owner_replicaset, .index = index_by_owner_uid },
	},
};
