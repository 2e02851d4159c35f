/* SPDX-License-Identifier: Apache-2.0 */
/* From what a pass has seen of an instance to its plan. */
#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/synced.h"
#include "kubevirt/vmi/vmi_impl.h"

/* ---- facts about the pod ---- */
static void active_pods(struct vmi_turn *t)
{
	const struct vmi_seen *s = t->s;
	struct json *map = json_new_obj(t->d);

	for (size_t i = 0; i < s->n_pods; i++) {
		const char *node = json_at_str(obj_json(s->pods[i]), "/spec/nodeName");
		if (!str_empty(node) && !pod_ended(s->pods[i]))
			json_set_str(t->d, map, obj_uid(s->pods[i]), node);
	}
	if (json_len(map))
		json_set(t->d, t->status, "activePods", map);
	else
		json_remove(t->status, "activePods");
}

void vmi_pod_facts(struct vmi_turn *t)
{
	const struct vmi_seen *s = t->s;
	const struct json *o = s->pod ? obj_json(s->pod) : NULL;
	const char *image = json_get_str(compute_in(json_at(o, "/spec/containers"), NULL), "image");
	const char *overhead = meta_annotation(o, ANN_MEMORY_OVERHEAD);
	bool live = t->phase == VMI_SCHEDULED || t->phase == VMI_RUNNING;
	char text[QUANTITY_TEXT_MAX];
	int64_t bytes;

	active_pods(t);
	if (!o || !live)
		return;
	json_set_str(t->d, t->status, "launcherContainerImageVersion", image);
	if (json_at_str(o, "/status/qosClass"))
		json_set_str(t->d, t->status, "qosClass", json_at_str(o, "/status/qosClass"));
	if (overhead && str_to_i64(overhead, 0, INT64_MAX, &bytes)) {
		bytes += pod_vcpu_overhead(vmi_vcpus_since(t->vmi, o), s->config); /* those added since */
		json_set_str(t->d, json_need_obj(t->d, t->status, "memory"), "memoryOverhead",
			quantity_bytes_text(bytes, text));
	}
	meta_set_label(
		t->d, t->vmi, LABEL_OUTDATED_LAUNCHER, str_eq(image, s->env->launcher_image) ? NULL : "");
}

/* ---- what is done to the pod ---- */
struct render_pod_in vmi_render_in(const struct vmi_seen *s)
{
	return (struct render_pod_in){ .vmi = s->vmi,
		.config = s->config,
		.launcher_image = s->env->launcher_image,
		.host_dir = s->env->host_dir,
		.kvm = s->kvm,
		.foreign = s->foreign,
		.auto_limit = s->auto_limit,
		.claim = s->claim,
		.claim_arg = s->claim_arg };
}

static void plan_pod(const struct vmi_seen *s, struct plan *out)
{
	CLEANUP(mem_freep) char *name = launcher_pod_name(s->vmi);
	const struct render_pod_in in = vmi_render_in(s);

	if (vmi_missing_claim(s))
		return; /* a claim that comes is another look */
	plan_ensure(out, &kind_pod, launcher_pod_render(&in));
	plan_event(out, s->vmi, false, "SuccessfulCreate", "Created virtual machine pod %s", name);
}

/* The readiness gate: a paused guest is not ready. kubevirt-api.md 7. */
static void plan_gate(const struct vmi_turn *t, struct plan *out)
{
	const struct obj *pod = t->s->pod;
	bool paused = vmi_cond_is(t->vmi, COND_PAUSED, "True");
	struct json_doc *d;

	if (!pod || obj_deleting(pod) || pod_ended(pod) ||
		str_empty(json_at_str(obj_json(pod), "/spec/nodeName")))
		return;
	d = obj_draft(pod);
	cond_set(d, json_need_obj(d, json_root(d), "status"), POD_GATE_UNPAUSED, paused ? "False" : "True",
		paused ? "Paused" : "NotPaused",
		paused ? "the virtual machine is paused" : "the virtual machine is not paused", t->s->now);
	plan_change(out, &kind_pod, pod, "status", d);
}

/* Labels and annotations that the instance took over while it runs. */
static void plan_synced(const struct vmi_seen *s, struct plan *out)
{
	const struct json *from = json_get(obj_json(s->vmi), "metadata");
	const struct obj *pod = s->pod;
	struct json_doc *d;

	if (!pod || obj_deleting(pod) || pod_ended(pod) ||
		!synced_follow(s->env->synced, json_get(obj_json(pod), "metadata"), json_get(from, "labels"),
			json_get(from, "annotations"), NULL, NULL))
		return;
	d = obj_draft(pod);
	synced_follow(s->env->synced, json_get(obj_json(pod), "metadata"), json_get(from, "labels"),
		json_get(from, "annotations"), d, json_root(d));
	plan_change(out, &kind_pod, pod, NULL, d);
}

static void plan_delete_pods(const struct vmi_seen *s, struct plan *out)
{
	for (size_t i = 0; i < s->n_pods; i++) {
		if (obj_deleting(s->pods[i]))
			continue;
		plan_delete(out, &kind_pod, obj_key(s->pods[i]), obj_uid(s->pods[i]), -1);
		plan_event(out, s->vmi, false, "SuccessfulDelete", "Deleted virtual machine pod %s",
			obj_name(s->pods[i]));
	}
}

/* Its launcher should have been told to end. */
static void plan_late_pods(const struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	int64_t since = vmi_since(t->vmi, t->phase);
	bool alive = false;

	for (size_t i = 0; i < s->n_pods; i++)
		alive = alive || (!obj_deleting(s->pods[i]) && !pod_ended(s->pods[i]));
	if (!alive)
		return;
	if (s->now >= since + VMI_FINAL_POD_MS)
		plan_delete_pods(s, out);
	else
		plan_again_at(out, since + VMI_FINAL_POD_MS);
}

/* A new reason why it does not start, for those who describe it. */
static void plan_trouble(const struct vmi_turn *t, struct plan *out)
{
	const struct json *was = vmi_cond(obj_json(t->s->vmi), COND_SYNCHRONIZED),
			  *is = vmi_cond(t->vmi, COND_SYNCHRONIZED);

	if (is && !str_eq(json_get_str(was, "reason"), json_get_str(is, "reason")))
		plan_event(out, t->s->vmi, true, json_str_or(json_get(is, "reason"), "SyncFailed"), "%s",
			json_str_or(json_get(is, "message"), ""));
}

/* ---- the pass ---- */
void vmi_decide_seen(const struct vmi_seen *s, struct plan *out)
{
	struct vmi_turn t = { .s = s, .d = obj_draft(s->vmi) };
	bool deleting = obj_deleting(s->vmi);

	t.vmi = json_root(t.d);
	t.status = json_need_obj(t.d, t.vmi, "status");
	t.phase = vmi_phase(t.vmi);
	vmi_next_phase(&t, out);
	vmi_pod_facts(&t);
	vmi_conditions(&t);
	vmi_hot_memory(&t, out);
	vmi_hot_cpu(&t, out);
	vmi_placement(&t);
	vmi_volumes(&t, out);
	vmi_nics(&t, out);
	/* virt-handler's promise is kept when the guest has ended and nothing of it is left. */
	meta_set_finalizer(t.d, t.vmi, FINALIZER_VMI,
		deleting ? meta_has_finalizer(t.vmi, FINALIZER_VMI) &&
				   !(vmi_phase_final(t.phase) && !s->n_pods)
			 : true);

	if (deleting)
		plan_delete_pods(s, out);
	else if (t.phase <= VMI_PENDING && !s->n_pods)
		plan_pod(s, out);
	else if (vmi_phase_final(t.phase))
		plan_late_pods(&t, out);
	plan_gate(&t, out);
	plan_synced(s, out);
	vmi_plan_networks(&t, out);
	plan_trouble(&t, out);
	plan_change(out, &kind_vmi, s->vmi, NULL, TAKE(t.d));
}
