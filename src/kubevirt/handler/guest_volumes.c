/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that come and go: from the phases that virt-controller wrote (kubevirt/api/handoff.h) to what the
 * launcher is told, and from its STATE back. The launcher's verbs change nothing when repeated, so nothing has
 * to be remembered here: after a restart the same look gives the same answer. rollout.md 3.5. */
#include "kubevirt/handler/guest.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/wire/wire.h"

#define VOLUMES_MAX 512 /* a launcher that tells of more is not believed */
#define MESSAGE_MAX 400

/* ---- what is done once the change is written ---- */
static struct guest_late *late(struct guest_later *l)
{
	l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(l->items[0]));
	l->items[l->n] = (struct guest_late){ 0 };
	return &l->items[l->n++];
}

static void late_event(struct guest_later *l, bool warning, const char *reason, char *text /* taken */)
{
	*late(l) = (struct guest_late){ .warning = warning, .reason = reason, .text = text };
}

void guest_later_plan(const struct guest_view *v, struct guest_later *l, bool written, struct plan *out)
{
	if (l->confirm && !written)
		plan_confirm(out, &kind_vmi, v->vmi);
	for (size_t i = 0; i < l->n; i++) {
		struct guest_late *k = &l->items[i];

		if (k->action)
			plan_action(out, k->action, v->key, TAKE(k->args));
		else
			plan_event(out, v->vmi, k->warning, k->reason, "%s", k->text);
		free(k->text);
	}
	free(l->items);
	*l = (struct guest_later){ 0 };
}

static const struct json *told_of(const struct guest_view *v, const char *id)
{
	const struct json *list = json_get(v->facts->state, "volumes");

	JSON_EACH (it, json_len(list) <= VOLUMES_MAX ? list : NULL)
		if (str_eq(json_get_str(it.val, "id"), id))
			return it.val;
	return NULL;
}

static bool phase_is(const struct json *o, const char *phase)
{
	return str_eq(json_get_str(o, "phase"), phase);
}

static const char *id_of(const struct json *entry)
{
	return json_str_or(json_at(entry, "/hotplugVolume/attachPodName"), "");
}

/* A change of phase, with KubeVirt's words for it. */
static void turn(const struct guest_view *v, struct json_doc *d, struct json *entry, const char *phase,
	const char *reason, const char *fmt, struct guest_later *out)
{
	const char *name = json_str_or(json_get(entry, "name"), "");
	CLEANUP(str_done) struct str text = { 0 };

	if (phase_is(entry, phase))
		return;
	for (const char *p = fmt; *p; p++)
		if (p[0] == '%')
			str_add(&text, name);
		else
			str_addc(&text, *p);
	json_set_str(d, entry, "phase", phase);
	json_set_str(d, entry, "reason", reason);
	json_set_str(d, entry, "message", str_cstr(&text));
	late_event(out, false, reason, str_take(&text));
}

/* Trouble is told in the entry; the launcher tries again by itself, or waits for the guest. */
static void trouble(const struct guest_view *v, struct json_doc *d, struct json *entry, const char *reason,
	const char *error, struct guest_later *out)
{
	CLEANUP(mem_freep) char *text = mem_strndup(error, MESSAGE_MAX);

	if (str_empty(text) || str_eq(json_get_str(entry, "message"), text))
		return;
	json_set_str(d, entry, "reason", reason);
	json_set_str(d, entry, "message", text);
	late_event(out, true, reason,
		str_printf("volume %s: %s", json_str_or(json_get(entry, "name"), ""), text));
}

static void tell(const struct guest_view *v, struct guest_later *out, const char *action, const char *id,
	const struct json *disk)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *args;

	json_set_root(d, o);
	json_set_str(d, o, "uid", v->uid);
	args = json_need_obj(d, o, "args");
	json_set_str(d, args, "id", id);
	if (disk)
		json_set_copy(d, args, "disk", disk);
	*late(out) = (struct guest_late){ .action = action, .args = d };
}

/* In a VMI as it was, a volume may be leaving, or unknown, that has come since; its attachment pod would have to offer it again,
 * which it does after seconds. */
static void send_away(const struct guest_view *v, struct guest_later *out, const char *id)
{
	tell(v, out, GUEST_UNPLUG_DISK, id, NULL);
	out->confirm = true;
}

static void coming(const struct guest_view *v, struct json_doc *d, const struct json *vmi, struct json *entry,
	struct guest_later *out)
{
	const struct json *told = told_of(v, id_of(entry));
	const char *name = json_get_str(entry, "name");
	const struct json *disk = volume_named(json_at(vmi, "/spec/domain/devices/disks"), name);

	if (!told)
		return; /* its attachment pod has not offered it yet */
	if (phase_is(told, "ready")) {
		turn(v, d, entry, VOLUME_READY, "VolumeReady",
			"Successfully attach hotplugged volume % to VM", out);
		json_set_str(d, entry, "target", json_str_or(json_get(told, "target"), ""));
		json_set_i64(d, entry, "size", json_i64(json_get(told, "size")));
		return;
	}
	if (!phase_is(entry, VOLUME_READY))
		turn(v, d, entry, VOLUME_MOUNTED, "VolumeMountedToPod",
			"Volume % has been mounted in virt-launcher pod", out);
	if (!str_empty(json_get_str(told, "error")))
		trouble(v, d, entry, "VolumeAttachFailed", json_get_str(told, "error"), out);
	else if (!disk)
		trouble(v, d, entry, "VolumeAttachFailed", "no disk of that name is in the spec", out);
	else if (phase_is(told, "offered"))
		tell(v, out, GUEST_PLUG_DISK, id_of(entry), disk);
}

static void going(const struct guest_view *v, struct json_doc *d, struct json *entry, struct guest_later *out)
{
	const struct json *told = told_of(v, id_of(entry));

	if (!told) {
		turn(v, d, entry, VOLUME_UNMOUNTED, "VolumeUnMountedFromPod",
			"Volume % has been unmounted from virt-launcher pod", out);
		return;
	}
	if (!str_empty(json_get_str(told, "error")))
		trouble(v, d, entry, "VolumeDetachPending", json_get_str(told, "error"), out);
	if (!phase_is(told, "unplugging"))
		send_away(v, out, id_of(entry));
}

/* Every volume of the spec that can be plugged has an attachment pod of its own already. Else an offer that nobody knows
 * may be that of a pod that was made just now. */
static bool all_known(const struct json *vmi)
{
	JSON_EACH (it, json_at(vmi, "/spec/volumes")) {
		const struct json *entry =
			volume_named(json_at(vmi, "/status/volumeStatus"), json_get_str(it.val, "name"));

		if (volume_hotpluggable(it.val) &&
			(str_empty(id_of(entry)) || phase_is(entry, VOLUME_DETACHING) ||
				phase_is(entry, VOLUME_UNMOUNTED)))
			return false;
	}
	return true;
}

static bool has_entry(const struct json *vmi, const char *id)
{
	JSON_EACH (it, json_at(vmi, "/status/volumeStatus"))
		if (str_eq(id_of(it.val), id))
			return true;
	return false;
}

/* Offered by a pod whose volume was given up before virt-controller saw it run: it would stay open for ever. */
static void strays(const struct guest_view *v, const struct json *vmi, struct guest_later *out)
{
	const struct json *list = json_get(v->facts->state, "volumes");

	if (!json_len(list) || json_len(list) > VOLUMES_MAX || !all_known(vmi))
		return;
	JSON_EACH (it, list)
		if (!has_entry(vmi, json_str_or(json_get(it.val, "id"), "")) &&
			!phase_is(it.val, "unplugging"))
			send_away(v, out, json_str_or(json_get(it.val, "id"), ""));
}

void guest_volumes(const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_later *out)
{
	JSON_EACH (it, json_at(vmi, "/status/volumeStatus")) {
		struct json *entry = it.val;

		if (str_empty(id_of(entry)))
			continue;
		if (phase_is(entry, VOLUME_ATTACHED) || phase_is(entry, VOLUME_MOUNTED) ||
			phase_is(entry, VOLUME_READY))
			coming(v, d, vmi, entry, out);
		else if (phase_is(entry, VOLUME_DETACHING) || phase_is(entry, VOLUME_UNMOUNTED))
			going(v, d, entry, out);
	}
	strays(v, vmi, out);
}
