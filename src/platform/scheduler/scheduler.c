/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/scheduler/scheduler.h"

#include "api/meta.h"
#include "base/mem.h"
#include "platform/clients/kinds.h"
#include "platform/scheduler/fit.h"

#include <stdlib.h>
#include <string.h>

struct board {
	const struct look *l;
	const struct obj **nodes;
	struct usage *used; /* one per node */
	size_t n_nodes;
	const struct obj **bound, **waiting;
	size_t n_bound, cap_bound, n_waiting, cap_waiting;
	int64_t now;
};

static void board_done(struct board *b)
{
	free(b->nodes);
	free(b->used);
	free(b->bound);
	free(b->waiting);
}

static bool has_ended(const struct obj *pod)
{
	const char *phase = json_at_str(obj_json(pod), "/status/phase");

	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static bool is_waiting(const struct obj *pod)
{
	const struct json *spec = json_get(obj_json(pod), "spec");

	return str_empty(json_get_str(spec, "nodeName")) && !obj_deleting(pod) && !has_ended(pod) &&
	       json_len(json_get(spec, "schedulingGates")) == 0 &&
	       str_eq(json_get_str(spec, "schedulerName"), SCHEDULER_NAME);
}

static int64_t priority(const struct obj *pod)
{
	return json_i64(json_at(obj_json(pod), "/spec/priority"));
}

/* Higher priority first, then the older one. */
static int by_priority(const void *a, const void *b)
{
	const struct obj *x = *(const struct obj *const *)a, *y = *(const struct obj *const *)b;
	int order;

	if (priority(x) != priority(y))
		return priority(x) > priority(y) ? -1 : 1;
	order = strcmp(
		meta_str(obj_json(x), "creationTimestamp"), meta_str(obj_json(y), "creationTimestamp"));
	return order ? order : strcmp(obj_key(x), obj_key(y));
}

static void board_fill(struct board *b)
{
	struct cache *nodes = look_cache(b->l, &pk_node), *pods = look_cache(b->l, &pk_pod);
	const struct obj *o;

	b->now = look_now(b->l);
	b->n_nodes = cache_len(nodes);
	b->nodes = mem_zalloc(sizeof(*b->nodes) * (b->n_nodes + 1));
	b->used = mem_zalloc(sizeof(*b->used) * (b->n_nodes + 1));
	for (size_t i = 0; i < b->n_nodes; i++)
		b->nodes[i] = cache_at(nodes, i);
	for (size_t i = 0; (o = cache_at(pods, i)); i++) {
		const char *node = json_at_str(obj_json(o), "/spec/nodeName");

		if (is_waiting(o)) {
			b->waiting =
				mem_grow(b->waiting, &b->cap_waiting, b->n_waiting + 1, sizeof(*b->waiting));
			b->waiting[b->n_waiting++] = o;
		}
		if (str_empty(node) || has_ended(o))
			continue;
		b->bound = mem_grow(b->bound, &b->cap_bound, b->n_bound + 1, sizeof(*b->bound));
		b->bound[b->n_bound++] = o;
		for (size_t n = 0; n < b->n_nodes; n++)
			if (str_eq(obj_name(b->nodes[n]), node))
				usage_add(&b->used[n], o);
	}
	if (b->n_waiting)
		qsort(b->waiting, b->n_waiting, sizeof(*b->waiting), by_priority);
}

static const struct json *namespace_labels(void *arg, const char *name)
{
	const struct board *b = arg;
	const struct obj *ns = look_get(b->l, &pk_namespace, name);

	return ns ? json_at(obj_json(ns), "/metadata/labels") : NULL;
}

static void plan_binding(struct plan *out, const struct obj *pod, const struct obj *node)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "v1");
	json_set_str(d, o, "kind", "Binding");
	json_set_str(d, json_need_obj(d, o, "metadata"), "name", obj_name(pod));
	json_set_str(d, json_need_obj(d, o, "metadata"), "namespace", obj_namespace(pod));
	json_set_str(d, json_need_obj(d, o, "metadata"), "uid", obj_uid(pod));
	json_set_str(d, json_need_obj(d, o, "target"), "apiVersion", "v1");
	json_set_str(d, json_need_obj(d, o, "target"), "kind", "Node");
	json_set_str(d, json_need_obj(d, o, "target"), "name", obj_name(node));
	plan_create_sub(out, &pk_pod, obj_key(pod), "binding", d);
	plan_event(out, pod, false, "Scheduled", "Successfully assigned %s/%s to %s", obj_namespace(pod),
		obj_name(pod), obj_name(node));
}

/* "0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable." */
static void count_reason(struct strv *reasons, size_t *counts, const char *why)
{
	for (size_t i = 0; i < reasons->len; i++) {
		if (str_eq(reasons->items[i], why)) {
			counts[i]++;
			return;
		}
	}
	counts[reasons->len] = 1;
	strv_add(reasons, why);
}

static void plan_unschedulable(const struct board *b, const struct obj *pod, const struct strv *reasons,
	const size_t *counts, struct plan *out)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(strv_done) struct strv parts = { 0 };
	CLEANUP(mem_freep) char *list = NULL;
	struct json_doc *d = obj_draft(pod);
	const struct json *was = cond_find(json_at(obj_json(pod), "/status/conditions"), "PodScheduled");

	for (size_t i = 0; i < reasons->len; i++)
		strv_addf(&parts, "%zu %s", counts[i], reasons->items[i]);
	strv_sort(&parts);
	list = strv_join(&parts, ", ");
	if (b->n_nodes)
		str_addf(&text, "0/%zu nodes are available: %s.", b->n_nodes, list);
	else
		str_add(&text, "no nodes available to schedule pods");
	if (!str_eq(json_get_str(was, "message"), text.data))
		plan_event(out, pod, true, "FailedScheduling", "%s", text.data);
	cond_set(d, json_need_obj(d, json_root(d), "status"), "PodScheduled", "False", "Unschedulable",
		text.data, b->now);
	plan_change(out, &pk_pod, pod, "status", d);
}

/* Claims that can not be waited for on a node: missing ones, and those that are bound before any pod is placed. NULL: none. */
static char *claims_refuse(const struct board *b, const struct obj *pod)
{
	JSON_EACH (it, json_at(obj_json(pod), "/spec/volumes")) {
		const char *name = json_at_str(it.val, "/persistentVolumeClaim/claimName");
		CLEANUP(mem_freep) char *key = name ? kind_key(obj_namespace(pod), name) : NULL;
		const struct obj *claim = key ? look_get(b->l, &pk_pvc, key) : NULL, *class;
		const char *of;

		if (!key)
			continue;
		if (!claim)
			return str_printf("persistentvolumeclaim \"%s\" not found", name);
		if (obj_deleting(claim))
			return str_printf("persistentvolumeclaim \"%s\" is being deleted", name);
		if (str_eq(json_at_str(obj_json(claim), "/status/phase"), "Bound"))
			continue;
		of = json_at_str(obj_json(claim), "/spec/storageClassName");
		class = str_empty(of) ? NULL : look_get(b->l, &pk_storageclass, of);
		if (!class ||
			!str_eq(json_get_str(obj_json(class), "volumeBindingMode"), "WaitForFirstConsumer"))
			return mem_strdup("pod has unbound immediate PersistentVolumeClaims");
	}
	return NULL;
}

/* Can the volumes that its claims are bound to be had on the node? */
static bool volumes_reach(const struct board *b, const struct obj *pod, const struct obj *node)
{
	JSON_EACH (it, json_at(obj_json(pod), "/spec/volumes")) {
		const char *name = json_at_str(it.val, "/persistentVolumeClaim/claimName");
		CLEANUP(mem_freep) char *key = name ? kind_key(obj_namespace(pod), name) : NULL;
		const struct obj *claim = key ? look_get(b->l, &pk_pvc, key) : NULL;
		const char *volume = claim ? json_at_str(obj_json(claim), "/spec/volumeName") : NULL;
		const struct obj *pv = str_empty(volume) ? NULL : look_get(b->l, &pk_pv, volume);
		const struct json *required =
			pv ? json_at(obj_json(pv), "/spec/nodeAffinity/required") : NULL;

		if (required && !node_selector_matches(required, node))
			return false;
	}
	return true;
}

static void schedule(struct board *b, const struct obj *pod, struct plan *out)
{
	CLEANUP(mem_freep) char *refusal = claims_refuse(b, pod);
	struct neighbours n = { b->bound, b->n_bound, b->nodes, b->n_nodes, namespace_labels, b };
	CLEANUP(strv_done) struct strv reasons = { 0 };
	CLEANUP(mem_freep) size_t *counts = mem_zalloc(sizeof(*counts) * (b->n_nodes + 1));
	int64_t best_score = -1;
	size_t best = 0;

	for (size_t i = 0; i < b->n_nodes; i++) {
		CLEANUP(str_done) struct str why = { 0 };
		int64_t score;

		if (refusal)
			str_add(&why, refusal);
		else if (!volumes_reach(b, pod, b->nodes[i]))
			str_add(&why, "node(s) had volume node affinity conflict");
		if (why.len || !fit_node(pod, b->nodes[i], &b->used[i], &n, &why)) {
			count_reason(&reasons, counts, str_cstr(&why));
			continue;
		}
		score = fit_score(pod, b->nodes[i], &b->used[i]);
		if (score > best_score) {
			best_score = score;
			best = i;
		}
	}
	if (best_score < 0) {
		plan_unschedulable(b, pod, &reasons, counts, out);
		return;
	}
	usage_add(&b->used[best], pod);
	plan_binding(out, pod, b->nodes[best]);
}

static void scheduler_decide(const struct look *l, const char *key, struct plan *out)
{
	CLEANUP(board_done) struct board b = { .l = l };

	board_fill(&b);
	for (size_t i = 0; i < b.n_waiting && i < SCHEDULER_BATCH; i++)
		schedule(&b, b.waiting[i], out);
	if (b.n_waiting > SCHEDULER_BATCH)
		plan_again_at(out, b.now);
}

/* One key for all: a pass is about the whole board. */
static void key_board(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	emit(arg, "board");
}

const struct controller scheduler_controller = {
	.name = "scheduler",
	.decide = scheduler_decide,
	.workers = 1,
	.watches = {
		{ .kind = &pk_pod, .keys = key_board },
		{ .kind = &pk_node, .keys = key_board },
		{ .kind = &pk_namespace },
		{ .kind = &pk_pvc, .keys = key_board },
		{ .kind = &pk_pv, .keys = key_board },
		{ .kind = &pk_storageclass },
	},
};
