/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt-api.md 4, "phase". virt-handler owns the phase from Scheduled on; what is left to us then is a pod that is no more. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vmi/vmi_impl.h"

#define IN(p) (1u << VMI_##p)
#define UNSTARTED (IN(UNSET) | IN(PENDING))
#define HANDED_OVER (IN(SCHEDULED) | IN(RUNNING))

static const char *pod_phase(const struct obj *pod)
{
	return json_str_or(json_at(obj_json(pod), "/status/phase"), "");
}

bool pod_ended(const struct obj *pod)
{
	return str_eq(pod_phase(pod), "Succeeded") || str_eq(pod_phase(pod), "Failed");
}

bool pod_runs(const struct obj *pod)
{
	const struct json *o = obj_json(pod);
	const struct json *compute = compute_in(json_at(o, "/status/containerStatuses"), NULL);

	return !str_empty(json_at_str(o, "/spec/nodeName")) && str_eq(pod_phase(pod), "Running") &&
	       json_is_obj(json_at(compute, "/state/running"));
}

static bool going_without_pod(const struct vmi_seen *s)
{
	return obj_deleting(s->vmi) && !s->n_pods;
}
static bool no_pod(const struct vmi_seen *s)
{
	return !s->n_pods;
}
static bool has_pod(const struct vmi_seen *s)
{
	return s->pod != NULL;
}
static bool pod_failed(const struct vmi_seen *s)
{
	return s->pod && str_eq(pod_phase(s->pod), "Failed");
}
static bool pod_is_over(const struct vmi_seen *s)
{
	return s->pod && pod_ended(s->pod);
}
static bool pod_succeeded(const struct vmi_seen *s)
{
	return s->pod && str_eq(pod_phase(s->pod), "Succeeded");
}
static bool pod_up(const struct vmi_seen *s)
{
	return s->pod && !obj_deleting(s->pod) && pod_runs(s->pod);
}
static bool any(const struct vmi_seen *s)
{
	return true;
}

static const struct {
	unsigned from;
	bool (*when)(const struct vmi_seen *s);
	enum vmi_phase to;
	const char *event; /* a warning about it */
} rows[] = {
	{ UNSTARTED, going_without_pod, VMI_FAILED, NULL },
	{ UNSTARTED, has_pod, VMI_SCHEDULING, NULL },
	{ IN(UNSET), any, VMI_PENDING, NULL },
	{ IN(SCHEDULING), no_pod, VMI_FAILED, "the virt-launcher pod is gone" },
	{ IN(SCHEDULING), pod_is_over, VMI_FAILED,
		"the virt-launcher pod ended before the guest was started" },
	{ IN(SCHEDULING), pod_up, VMI_SCHEDULED, NULL },
	{ HANDED_OVER, no_pod, VMI_FAILED, "the virt-launcher pod is gone" },
	{ HANDED_OVER, pod_failed, VMI_FAILED, "the virt-launcher pod failed" },
	{ HANDED_OVER, pod_succeeded, VMI_SUCCEEDED, NULL },
};

static void set_phase(struct vmi_turn *t, enum vmi_phase to)
{
	t->phase = to;
	vmi_enter_phase(t->d, t->vmi, to, t->s->now);
}

/* ---- the hand-over (handoff.h) ---- */
static void skeletons(struct vmi_turn *t)
{
	struct json *list;

	if (!json_len(json_get(t->status, "interfaces")) &&
		json_len(json_at(t->vmi, "/spec/domain/devices/interfaces"))) {
		list = json_need_arr(t->d, t->status, "interfaces");
		JSON_EACH (it, json_at(t->vmi, "/spec/domain/devices/interfaces")) {
			struct json *nic;

			if (nic_absent(it.val))
				continue;
			nic = json_new_obj(t->d);
			json_set_str(t->d, nic, "name", json_get_str(it.val, "name"));
			json_append(t->d, list, nic);
		}
	}
	if (!json_len(json_get(t->status, "volumeStatus")) && json_len(json_at(t->vmi, "/spec/volumes"))) {
		list = json_need_arr(t->d, t->status, "volumeStatus");
		JSON_EACH (it, json_at(t->vmi, "/spec/volumes")) {
			struct json *volume;

			if (volume_hotpluggable(it.val))
				continue; /* its entry begins with its way to the node */
			volume = json_new_obj(t->d);
			json_set_str(t->d, volume, "name", json_get_str(it.val, "name"));
			json_set_str(t->d, volume, "target", "");
			json_append(t->d, list, volume);
		}
	}
}

static void hand_over(struct vmi_turn *t)
{
	const char *node = json_at_str(obj_json(t->s->pod), "/spec/nodeName");

	meta_set_label(t->d, t->vmi, LABEL_NODE_NAME, node);
	json_set_str(t->d, t->status, "nodeName", node);
	json_set_str(t->d, t->status, "migrationTransport", "Unix");
	skeletons(t);
}

static void plan_warning(const struct vmi_seen *s, const char *text, struct plan *out)
{
	const struct json *list = s->pod ? json_at(obj_json(s->pod), "/status/containerStatuses") : NULL;
	const struct json *ended = json_at(compute_in(list, NULL), "/state/terminated");

	if (ended)
		plan_event(out, s->vmi, true, "Stopped",
			"The VirtualMachineInstance crashed: %s (%s, exit code %lld)", text,
			json_str_or(json_get(ended, "reason"), "Error"),
			(long long)json_i64(json_get(ended, "exitCode")));
	else
		plan_event(out, s->vmi, true, "Stopped", "The VirtualMachineInstance crashed: %s", text);
}

void vmi_next_phase(struct vmi_turn *t, struct plan *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!(rows[i].from & (1u << t->phase)) || !rows[i].when(t->s))
			continue;
		if (rows[i].event && !obj_deleting(t->s->vmi))
			plan_warning(t->s, rows[i].event, out);
		set_phase(t, rows[i].to);
		if (rows[i].to == VMI_SCHEDULED)
			hand_over(t);
		return;
	}
}
