/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/node/node.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/node/node_impl.h"
#include "kubevirt/vmi/facts.h"

#define REASON "NodeUnresponsive"

/* When its silence counts as death, wall ms; 0: it never had a virt-handler. */
static int64_t silent_at(const struct node_seen *s)
{
	const char *text = s->node ? meta_annotation(obj_json(s->node), ANN_HEARTBEAT) : NULL;
	int64_t heard;

	if (!s->node)
		return s->started_ms +
		       NODE_SILENT_MS; /* its object is gone; guests may yet report on another */
	if (!text || !time_parse(text, &heard))
		return 0;
	return (heard > s->started_ms ? heard : s->started_ms) + NODE_SILENT_MS;
}

static void plan_unschedulable(const struct node_seen *s, struct plan *out)
{
	struct json_doc *d;

	if (!s->node || !str_eq(meta_label(obj_json(s->node), LABEL_SCHEDULABLE), "true"))
		return;
	d = obj_draft(s->node);
	meta_set_label(d, json_root(d), LABEL_SCHEDULABLE, "false");
	if (plan_change(out, &kind_node, s->node, NULL, d))
		plan_event(out, s->node, true, REASON,
			"virt-handler is not responsive, marking node as unresponsive");
}

static void plan_give_up(const struct node_seen *s, const struct obj *vmi, struct plan *out)
{
	struct json_doc *d;

	if (vmi_is_final(obj_json(vmi)))
		return;
	d = obj_draft(vmi);
	vmi_enter_phase(d, json_root(d), VMI_FAILED, s->now);
	json_put_str(d, json_root(d), "/status/reason", REASON);
	if (plan_change(out, &kind_vmi, vmi, NULL, d))
		plan_event(out, vmi, true, REASON,
			"virt-handler on node %s is not responsive, marking VMI as failed", s->name);
}

void node_decide_seen(const struct node_seen *s, struct plan *out)
{
	int64_t at = silent_at(s);

	if (!at)
		return;
	if (s->now < at) {
		if (s->node || s->n_vmis)
			plan_again_at(out, at);
		return;
	}
	plan_unschedulable(s, out);
	for (size_t i = 0; i < s->n_vmis && !s->handler; i++)
		plan_give_up(s, s->vmis[i], out);
}

/* ---- look ---- */
static void index_vmi_by_node(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	const char *node = json_at_str(obj_json(o), "/status/nodeName");

	if (!str_empty(node))
		emit(emit_arg, node);
}

static void index_pod_by_node(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	const char *node = json_at_str(obj_json(o), "/spec/nodeName");

	if (!str_empty(node))
		emit(emit_arg, node);
}

static void key_node_of_vmi(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	index_vmi_by_node(o, emit, emit_arg);
}

static void key_node_of_pod(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	index_pod_by_node(o, emit, emit_arg);
}

static bool healthy_handler(const struct look *l, const char *node)
{
	const struct cache *c = look_cache(l, &kind_pod);
	const struct obj *o;

	for (size_t i = 0; (o = cache_index_at(c, 0, node, i)); i++)
		if (!obj_deleting(o) &&
			cond_is(json_at(obj_json(o), "/status/conditions"), COND_READY, "True"))
			return true;
	return false;
}

static void node_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct cache *vmis = look_cache(l, &kind_vmi);
	const struct node_env *env = look_env(l);
	size_t n = cache_index_len(vmis, 0, key);
	CLEANUP(mem_freep) const struct obj **list = mem_alloc((n + 1) * sizeof(list[0]));
	const struct node_seen s = { .name = key,
		.node = look_get(l, &kind_node, key),
		.vmis = list,
		.n_vmis = n,
		.handler = healthy_handler(l, key),
		.started_ms = env->started_ms,
		.now = look_now(l) };

	for (size_t i = 0; i < n; i++)
		list[i] = cache_index_at(vmis, 0, key, i);
	node_decide_seen(&s, out);
}

const struct controller node_controller = {
	.name = "node",
	.decide = node_decide,
	.watches = {
		{ .kind = &kind_node, .keys = key_self },
		{ .kind = &kind_vmi, .keys = key_node_of_vmi, .index = index_vmi_by_node },
		{ .kind = &kind_pod,
			.keys = key_node_of_pod,
			.index = index_pod_by_node,
			.label_selector = LABEL_APP "=" KV_VIRT_HANDLER },
	},
};
