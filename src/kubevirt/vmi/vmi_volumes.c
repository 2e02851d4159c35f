/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of an instance, as far as virt-controller has to do with them: claims that its pods need, and for each
 * volume that can be plugged an attachment pod and an entry in status.volumeStatus. Who writes which phase:
 * kubevirt/api/handoff.h. rollout.md 3.5. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vmi/vmi_impl.h"

static const struct obj *claim_named(const struct vmi_seen *s, const char *name)
{
	return s->claim && name ? s->claim(s->claim_arg, name) : NULL;
}

const char *vmi_missing_claim(const struct vmi_seen *s)
{
	JSON_EACH (it, s->claim ? json_at(obj_json(s->vmi), "/spec/volumes") : NULL) {
		const char *name = volume_claim(it.val);

		if (name && !volume_hotpluggable(it.val) && !claim_named(s, name))
			return name;
	}
	return NULL;
}

static const struct obj *attachment(const struct vmi_seen *s, const char *name)
{
	for (size_t i = 0; i < s->n_attachments; i++)
		if (str_eq(obj_name(s->attachments[i]), name))
			return s->attachments[i];
	return NULL;
}

static const struct json *its_container(const struct obj *pod)
{
	return json_at(obj_json(pod), "/status/containerStatuses/0");
}

static bool serves(const struct obj *pod)
{
	return !obj_deleting(pod) && json_is_obj(json_at(its_container(pod), "/state/running"));
}

static const char *pod_of(const struct json *entry)
{
	return json_str_or(json_at(entry, "/hotplugVolume/attachPodName"), "");
}

static bool phase_is(const struct json *entry, const char *phase)
{
	return str_eq(json_get_str(entry, "phase"), phase);
}

/* virt-handler knows of it, and may have given it to the guest. */
static bool handed_over(const struct json *entry)
{
	return phase_is(entry, VOLUME_ATTACHED) || phase_is(entry, VOLUME_MOUNTED) ||
	       phase_is(entry, VOLUME_READY);
}

static bool leaving(const struct json *entry)
{
	return phase_is(entry, VOLUME_DETACHING) || phase_is(entry, VOLUME_UNMOUNTED);
}

static void set_phase(
	struct vmi_turn *t, struct json *entry, const char *phase, const char *reason, const char *message)
{
	json_set_str(t->d, entry, "phase", phase);
	json_set_str(t->d, entry, "reason", reason);
	json_set_str(t->d, entry, "message", message);
}

static void delete_attachment(const struct vmi_seen *s, const struct obj *pod, struct plan *out)
{
	if (obj_deleting(pod))
		return;
	plan_delete(out, &kind_pod, obj_key(pod), obj_uid(pod), -1);
	plan_event(out, s->vmi, false, "SuccessfulDelete", "Deleted attachment pod %s", obj_name(pod));
}

/* ---- coming ---- */

/* What keeps an attachment pod from running, in its own words. */
static void say_trouble(struct vmi_turn *t, struct json *entry, const struct obj *pod)
{
	const struct json *scheduled =
		cond_find(json_at(obj_json(pod), "/status/conditions"), COND_POD_SCHEDULED);
	const struct json *waiting = json_at(its_container(pod), "/state/waiting");

	if (str_eq(json_get_str(scheduled, "status"), "False"))
		set_phase(t, entry, VOLUME_BOUND, json_get_str(scheduled, "reason"),
			json_get_str(scheduled, "message"));
	else if (json_get_str(waiting, "message"))
		set_phase(t, entry, VOLUME_BOUND, json_get_str(waiting, "reason"),
			json_get_str(waiting, "message"));
}

static void make_attachment(
	struct vmi_turn *t, struct json *entry, const struct json *volume, const char *name, struct plan *out)
{
	const struct render_pod_in in = vmi_render_in(t->s);
	struct json_doc *d =
		attachment_pod_render(&in, volume, json_at_str(obj_json(t->s->pod), "/spec/nodeName"));

	if (!d) {
		set_phase(t, entry, VOLUME_PENDING, "VolumeNotSupported",
			"a volume of this kind can not be plugged");
		return;
	}
	plan_ensure(out, &kind_pod, d);
	plan_event(out, t->s->vmi, false, "SuccessfulCreate",
		"Created hotplug attachment pod %s, for volume %s", name, json_get_str(volume, "name"));
	json_set_str(t->d, json_need_obj(t->d, entry, "hotplugVolume"), "attachPodName", name);
	if (!handed_over(entry)) /* else its pod was lost; the guest has the disk still */
		set_phase(t, entry, VOLUME_BOUND, "SuccessfulCreate", "the attachment pod was made");
}

static void coming(
	struct vmi_turn *t, struct json *entry, const struct json *volume, const char *name, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	const struct obj *pod = attachment(s, name);
	struct json *hot = json_need_obj(t->d, entry, "hotplugVolume");
	const char *claim = volume_claim(volume);

	if (!pod && s->claim && claim && !claim_named(s, claim) && !handed_over(entry)) {
		CLEANUP(mem_freep) char *text = str_printf("PVC %s not found", claim);
		set_phase(t, entry, VOLUME_PENDING, "PVCNotReady", text);
	} else if (!pod) {
		make_attachment(t, entry, volume, name, out);
	} else {
		/* Also of one that an earlier pass made whose entry was not written. */
		json_set_str(t->d, hot, "attachPodName", name);
		if (serves(pod))
			json_set_str(t->d, hot, "attachPodUID", obj_uid(pod));
		if (handed_over(entry))
			return;
		if (serves(pod))
			set_phase(t, entry, VOLUME_ATTACHED, "SuccessfulAttach",
				"the volume is at the node, and is about to be given to the guest");
		else
			say_trouble(t, entry, pod);
	}
}

/* ---- going ---- */

/* false: there is nothing of it any more. */
static bool going(struct vmi_turn *t, struct json *entry, struct plan *out)
{
	const struct obj *pod = attachment(t->s, pod_of(entry));

	if (str_empty(pod_of(entry)))
		return false; /* nobody else has heard of it: virt-handler goes by that name */
	if (handed_over(entry)) {
		set_phase(t, entry, VOLUME_DETACHING, "VolumeDetaching",
			"the volume is being taken from the guest");
		return true;
	}
	if (phase_is(entry, VOLUME_DETACHING))
		return true;
	if (pod)
		delete_attachment(t->s, pod, out);
	return pod != NULL;
}

/* ---- all ---- */
static const struct json *wanted_by(const struct vmi_turn *t, const struct json *entry)
{
	const struct json *volume =
		volume_named(json_at(t->vmi, "/spec/volumes"), json_get_str(entry, "name"));
	CLEANUP(mem_freep) char *name = NULL;

	if (!volume || !volume_hotpluggable(volume))
		return NULL;
	name = attachment_pod_name(t->s->vmi, volume);
	return str_empty(pod_of(entry)) || str_eq(pod_of(entry), name) ? volume : NULL;
}

static void entries_gone(struct vmi_turn *t, struct plan *out)
{
	JSON_EACH (it, json_get(t->status, "volumeStatus")) {
		struct json *entry = it.val;

		if (!json_get(entry, "hotplugVolume") || (wanted_by(t, entry) && !leaving(entry)))
			continue;
		if (!going(t, entry, out))
			json_iter_remove(&it);
	}
}

static void entries_wanted(struct vmi_turn *t, struct plan *out)
{
	JSON_EACH (it, json_at(t->vmi, "/spec/volumes")) {
		struct json *list, *entry;
		CLEANUP(mem_freep) char *name = NULL;

		if (!volume_hotpluggable(it.val))
			continue;
		name = attachment_pod_name(t->s->vmi, it.val);
		list = json_need_arr(t->d, t->status, "volumeStatus");
		entry = volume_named(list, json_get_str(it.val, "name"));
		if (!entry) {
			entry = json_new_obj(t->d);
			json_set_str(t->d, entry, "name", json_get_str(it.val, "name"));
			json_set_str(t->d, entry, "target", "");
			json_append(t->d, list, entry);
		}
		if (!leaving(entry) && (str_empty(pod_of(entry)) || str_eq(pod_of(entry), name)))
			coming(t, entry, it.val, name, out);
	}
}

/* Pods that no entry tells of: their entry was never written, or its volume has been changed since. */
static void strays(struct vmi_turn *t, struct plan *out)
{
	for (size_t i = 0; i < t->s->n_attachments; i++) {
		bool known = false;

		JSON_EACH (it, json_get(t->status, "volumeStatus"))
			known = known || str_eq(pod_of(it.val), obj_name(t->s->attachments[i]));
		if (!known)
			delete_attachment(t->s, t->s->attachments[i], out);
	}
}

static void claim_info(struct vmi_turn *t, struct json *entry, const struct json *volume)
{
	static const char *const copied[][2] = { { "/spec/accessModes", "accessModes" },
		{ "/spec/volumeMode", "volumeMode" }, { "/spec/resources/requests", "requests" },
		{ "/status/capacity", "capacity" } };
	const struct obj *claim = claim_named(t->s, volume_claim(volume));
	struct json *info;

	if (!claim)
		return;
	info = json_need_obj(t->d, entry, "persistentVolumeClaimInfo");
	json_set_str(t->d, info, "claimName", obj_name(claim));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		if (json_at(obj_json(claim), copied[i][0]))
			json_set_copy(t->d, info, copied[i][1], json_at(obj_json(claim), copied[i][0]));
}

void vmi_volumes(struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;

	if (vmi_phase_final(t->phase) || (obj_deleting(s->vmi) && !s->n_pods)) {
		for (size_t i = 0; i < s->n_attachments; i++)
			delete_attachment(s, s->attachments[i], out);
		return;
	}
	if (t->phase != VMI_SCHEDULED && t->phase != VMI_RUNNING)
		return;
	if (s->pod && !obj_deleting(s->vmi)) {
		entries_gone(t, out);
		entries_wanted(t, out);
		strays(t, out);
	}
	JSON_EACH (it, json_get(t->status, "volumeStatus")) {
		const struct json *volume =
			volume_named(json_at(t->vmi, "/spec/volumes"), json_get_str(it.val, "name"));

		if (volume && volume_claim(volume) && !leaving(it.val))
			claim_info(t, it.val, volume);
	}
}
