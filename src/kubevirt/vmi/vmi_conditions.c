/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions of an instance that virt-controller owns. kubevirt-api.md 4. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_impl.h"

#define REFUSED "FailedCreate"

static const struct json *pod_cond(const struct obj *pod, const char *type)
{
	return pod ? cond_find(json_at(obj_json(pod), "/status/conditions"), type) : NULL;
}

static void set(
	struct vmi_turn *t, const char *type, const char *status, const char *reason, const char *message)
{
	cond_set(t->d, t->status, type, status, reason, message, t->s->now);
}

static void ready(struct vmi_turn *t)
{
	const struct obj *pod = t->s->pod;
	const struct json *c = pod_cond(pod, COND_READY);

	if (!pod)
		set(t, COND_READY, "False", "PodNotExists", "virt-launcher pod has not yet been scheduled");
	else if (obj_deleting(pod))
		set(t, COND_READY, "False", "PodTerminating", "virt-launcher pod is terminating");
	else if (t->phase != VMI_RUNNING)
		set(t, COND_READY, "False", "GuestNotRunning", "Guest VM is not reported as running");
	else if (!c)
		set(t, COND_READY, "False", "PodConditionMissing",
			"virt-launcher pod is missing the Ready condition");
	else
		set(t, COND_READY, json_str_or(json_get(c, "status"), "Unknown"), json_get_str(c, "reason"),
			json_get_str(c, "message"));
}

static void scheduled(struct vmi_turn *t)
{
	const struct json *c = pod_cond(t->s->pod, COND_POD_SCHEDULED);

	if (c && str_eq(json_get_str(c, "status"), "False") && t->phase <= VMI_SCHEDULING)
		set(t, COND_POD_SCHEDULED, "False", json_get_str(c, "reason"), json_get_str(c, "message"));
	else
		cond_remove(t->d, t->status, COND_POD_SCHEDULED);
}

/* Why a container does not start, when that is a failure and not just taking its time. */
static const struct json *stuck(const struct json *statuses)
{
	static const char *const normal[] = { "ContainerCreating", "PodInitializing", NULL };

	JSON_EACH (it, statuses) {
		const struct json *w = json_at(it.val, "/state/waiting");
		const char *reason = json_get_str(w, "reason");
		if (!str_empty(reason) && !str_in(reason, normal))
			return w;
	}
	return NULL;
}

void vmi_report_refusal(const struct obj *vmi, const struct err *e, int64_t now, struct plan *out)
{
	struct json_doc *d = obj_draft(vmi);

	cond_set(d, json_need_obj(d, json_root(d), "status"), COND_SYNCHRONIZED, "False", REFUSED, e->msg,
		now);
	if (plan_change(out, &kind_vmi, vmi, NULL, d))
		plan_event(out, vmi, true, REFUSED, "Error creating pod: %s", e->msg);
}

/* Is the reason that stands there one to keep: virt-handler's (handoff.h), or a pod that was refused and is not there yet? */
static bool keeps_reason(const struct vmi_turn *t)
{
	const char *reason = json_get_str(vmi_cond(t->vmi, COND_SYNCHRONIZED), "reason");

	return str_eq(reason, HANDOFF_START_FAILED) ||
	       (str_eq(reason, REFUSED) && !t->s->n_pods && !vmi_phase_final(t->phase));
}

/* Present only while False. */
static void synchronized(struct vmi_turn *t)
{
	const struct json *status = t->s->pod ? json_get(obj_json(t->s->pod), "status") : NULL;
	const struct json *w = stuck(json_get(status, "initContainerStatuses"));

	if (!w)
		w = stuck(json_get(status, "containerStatuses"));
	if (t->phase <= VMI_PENDING && !t->s->n_pods && vmi_missing_claim(t->s)) {
		CLEANUP(mem_freep)
		char *text = str_printf("PVC %s/%s does not exist, waiting for it to appear",
			obj_namespace(t->s->vmi), vmi_missing_claim(t->s));
		set(t, COND_SYNCHRONIZED, "False", "FailedPvcNotFound", text);
	} else if (w && t->phase <= VMI_SCHEDULING)
		set(t, COND_SYNCHRONIZED, "False", json_get_str(w, "reason"), json_get_str(w, "message"));
	else if (!keeps_reason(t))
		cond_remove(t->d, t->status, COND_SYNCHRONIZED);
}

/* ---- LiveMigratable: first obstacle ---- */
static bool on_pod_network(const struct json *spec, const char *name)
{
	JSON_EACH (it, json_get(spec, "networks"))
		if (str_eq(json_get_str(it.val, "name"), name))
			return json_get(it.val, "pod") != NULL;
	return false;
}

static const char *bound_nic(const struct json *vmi)
{
	const struct json *spec = json_get(vmi, "spec");

	if (meta_annotation(vmi, ANN_BRIDGE_MIGRATION))
		return NULL;
	JSON_EACH (it, json_at(spec, "/domain/devices/interfaces"))
		if (json_get(it.val, "bridge") && on_pod_network(spec, json_get_str(it.val, "name")))
			return "cannot migrate VMI which does not use masquerade or a migratable plugin to "
			       "connect to the pod network";
	return NULL;
}

static const char *bound_disk(const struct json *vmi)
{
	JSON_EACH (it, json_at(vmi, "/spec/volumes"))
		if (json_get(it.val, "hostDisk") && !json_bool(json_at(it.val, "/hostDisk/shared")))
			return "cannot migrate VMI with non-shared HostDisk";
	return NULL;
}

/* With what is known of it once the instance runs; one that can be plugged is no obstacle of its own, but its claim is. */
static const char *bound_claim(const struct json *vmi)
{
	JSON_EACH (it, json_at(vmi, "/status/volumeStatus")) {
		const struct json *info = json_get(it.val, "persistentVolumeClaimInfo");
		bool shared = false;

		JSON_EACH (mode, json_get(info, "accessModes"))
			shared = shared || str_eq(json_str(mode.val), "ReadWriteMany");
		if (info && !shared)
			return "cannot migrate VMI: a PVC is not shared, live migration requires that all "
			       "PVCs must "
			       "be shared (using ReadWriteMany access mode)";
	}
	return NULL;
}

static const char *host_device(const struct json *vmi)
{
	const struct json *devices = json_at(vmi, "/spec/domain/devices");

	return json_len(json_get(devices, "hostDevices")) || json_len(json_get(devices, "gpus"))
		       ? "VMI uses a PCI host devices"
		       : NULL;
}

static const char *encrypted(const struct json *vmi)
{
	return json_is_obj(json_at(vmi, "/spec/domain/launchSecurity/sev")) ? "VMI uses SEV" : NULL;
}

static const struct {
	const char *reason;
	const char *(*obstacle)(const struct json *vmi);
} obstacles[] = {
	{ "InterfaceNotLiveMigratable", bound_nic },
	{ "HostDeviceNotLiveMigratable", host_device },
	{ "SEVNotLiveMigratable", encrypted },
	{ REASON_DISKS_BOUND, bound_disk },
	{ REASON_DISKS_BOUND, bound_claim },
};

static void migratable(struct vmi_turn *t)
{
	static const char *const local[] = { "containerDisk", "emptyDisk", "cloudInitNoCloud",
		"cloudInitConfigDrive", "hostDisk", NULL };
	const char *method = "LiveMigration", *why = NULL;
	size_t i = 0;

	if (t->phase != VMI_SCHEDULED && t->phase != VMI_RUNNING)
		return;
	while (i < ARRAY_LEN(obstacles) && !(why = obstacles[i].obstacle(t->vmi)))
		i++;
	set(t, COND_LIVE_MIGRATABLE, why ? "False" : "True", why ? obstacles[i].reason : NULL, why);
	JSON_EACH (it, json_at(t->vmi, "/spec/volumes"))
		for (size_t k = 0; local[k]; k++)
			if (json_get(it.val, local[k]))
				method = "BlockMigration";
	json_set_str(t->d, t->status, "migrationMethod", method);
}

void vmi_conditions(struct vmi_turn *t)
{
	ready(t);
	scheduled(t);
	synchronized(t);
	migratable(t);
}
