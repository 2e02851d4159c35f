/* SPDX-License-Identifier: Apache-2.0 */
/* Whole VMIs and their migrations: create and update. rollout.md 4.3, kubevirt-api.md 6. */
#include "kubevirt/api/validate_impl.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"

/* ---- the object ---- */

static const char *const reserved_labels[] = { LABEL_CREATED_BY, LABEL_MIGRATION_JOB, LABEL_NODE_NAME,
	LABEL_MIGRATION_TARGET_NODE, LABEL_SCHEDULABLE, LABEL_INSTALL_STRATEGY, NULL };

void vmi_validate_create(
	const struct json *vmi, const struct kv_config *c, bool trusted, struct causes *causes)
{
	vmi_spec_validate(json_get(vmi, "spec"), "spec", c, causes);
	for (size_t i = 0; reserved_labels[i] && !trusted; i++)
		if (meta_label(vmi, reserved_labels[i])) {
			cause_text(causes, REASON_NOT_SUPPORTED, "metadata.labels",
				"creation of the following reserved kubevirt.io/ labels on a VMI object is "
				"prohibited");
			break;
		}
}

static bool both_set_and_differ(const struct json *a, const struct json *b)
{
	struct quantity x, y;

	if (!a || !b)
		return false;
	if (quantity_from_json(a, &x, NULL) == 0 && quantity_from_json(b, &y, NULL) == 0)
		return quantity_cmp(&x, &y) != 0;
	return !json_eq(a, b);
}

/* Room for a larger maximum was reserved when it was started (rollout.md 7.7). */
static bool within_room(const struct json *vmi, const struct json *old)
{
	const struct json *room = json_get(json_at(old, "/metadata/annotations"), ANN_MEMORY_ROOM);

	return room && quantity_bytes(json_at(vmi, "/spec/domain/memory/maxGuest")) <= quantity_bytes(room);
}

/* Volumes that the guest was started with stay; those that come need a disk that can be plugged, or a drive (rollout.md 4.3). */
static void check_volumes_update(const struct json *vmi, const struct json *old, struct causes *causes)
{
	const struct json *was = json_at(old, "/spec/volumes"), *is = json_at(vmi, "/spec/volumes");
	const struct json *disks = json_at(vmi, "/spec/domain/devices/disks");

	JSON_EACH (it, was) {
		const struct json *now = volume_named(is, json_get_str(it.val, "name"));

		if (!volume_hotpluggable(it.val) && !(now && json_eq(now, it.val))) {
			cause_text(causes, REASON_INVALID, "spec.volumes", "permanent volume %s changed",
				json_str_or(json_get(it.val, "name"), ""));
			return;
		}
	}
	JSON_EACH (it, is) {
		const char *name = json_get_str(it.val, "name");
		const struct json *disk = volume_named(disks, name);
		const char *bus = json_at_str(disk, "/disk/bus");

		if (volume_named(was, name))
			continue;
		if (!volume_hotpluggable(it.val))
			cause_text(causes, REASON_INVALID, "spec.volumes", "volume %s is not hotpluggable",
				name);
		else if (!disk)
			cause_text(causes, REASON_INVALID, "spec.domain.devices.disks",
				"disk %s does not exist", name);
		else if (!json_get(disk, "cdrom") && !json_get(disk, "lun") && !str_eq(bus, "scsi") &&
			 !str_eq(bus, "virtio"))
			cause_text(causes, REASON_INVALID, "spec.domain.devices.disks",
				"hotplugged disk %s does not use a scsi or virtio bus", name);
	}
}

void vmi_validate_update(const struct json *vmi, const struct json *old, bool trusted, struct causes *causes)
{
	if (!json_eq(json_get(vmi, "spec"), json_get(old, "spec")) && !trusted) {
		cause_text(causes, REASON_NOT_SUPPORTED, "spec", "update of VMI object is restricted");
		return;
	}
	if (!json_eq(
		    json_at(vmi, "/spec/domain/cpu/maxSockets"), json_at(old, "/spec/domain/cpu/maxSockets")))
		cause_text(causes, REASON_INVALID, "spec.domain.cpu.maxSockets",
			"CPU topology maxSockets changed");
	if (both_set_and_differ(json_at(vmi, "/spec/domain/memory/maxGuest"),
		    json_at(old, "/spec/domain/memory/maxGuest")) &&
		!(trusted && within_room(vmi, old)))
		cause_text(causes, REASON_INVALID, "spec.domain.memory.maxGuest", "Memory maxGuest changed");
	check_volumes_update(vmi, old, causes);
	for (size_t i = 0; reserved_labels[i] && !trusted; i++)
		if (!str_eq(meta_label(vmi, reserved_labels[i]), meta_label(old, reserved_labels[i]))) {
			cause_text(causes, REASON_NOT_SUPPORTED, "metadata.labels",
				"modification of the following reserved kubevirt.io/ labels on a VMI object "
				"is prohibited");
			break;
		}
}

/* ---- migrations ---- */

static bool vmim_final(const struct json *vmim)
{
	const char *phase = json_at_str(vmim, "/status/phase");
	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

void vmim_validate_create(
	const struct json *vmim, const struct json *vmi, const struct json *others, struct causes *causes)
{
	const char *name = json_at_str(vmim, "/spec/vmiName"), *phase = json_at_str(vmi, "/status/phase");
	const char *ns = meta_str(vmim, "namespace");
	const struct json *conditions = json_at(vmi, "/status/conditions"),
			  *able = cond_find(conditions, COND_LIVE_MIGRATABLE);

	if (str_empty(name)) {
		cause_text(causes, REASON_REQUIRED, "spec.vmiName", "vmiName is missing");
		return;
	}
	if (!vmi) {
		cause_text(
			causes, REASON_INVALID, "spec.vmiName", "the VMI \"%s/%s\" does not exist", ns, name);
		return;
	}
	if (str_eq(phase, "Succeeded") || str_eq(phase, "Failed")) {
		cause_text(causes, REASON_INVALID, "spec.vmiName", "Cannot migrate VMI in finalized state.");
		return;
	}
	if (able && str_eq(json_get_str(able, "status"), "False") && !volumes_move_along(vmi)) {
		cause_text(causes, REASON_INVALID, "spec.vmiName",
			"Cannot migrate VMI, Reason: %s, Message: %s",
			json_str_or(json_get(able, "reason"), ""),
			json_str_or(json_get(able, "message"), ""));
		return;
	}
	JSON_EACH (it, others)
		if (str_eq(json_at_str(it.val, "/spec/vmiName"), name) && !vmim_final(it.val) &&
			!str_eq(meta_str(it.val, "uid"), meta_str(vmim, "uid"))) {
			cause_text(causes, REASON_INVALID, "spec.vmiName",
				"in-flight migration detected. Active migration job (%s) is currently "
				"already in progress for VMI %s.",
				meta_str(it.val, "uid"), name);
			return;
		}
}

void vmim_validate_update(const struct json *vmim, const struct json *old, struct causes *causes)
{
	if (!json_eq(json_get(vmim, "spec"), json_get(old, "spec")))
		cause_text(causes, REASON_NOT_SUPPORTED, "spec",
			"update of Migration object's spec is restricted");
	if (!vmim_final(old) && meta_label(old, LABEL_MIGRATION_SELECTOR) &&
		!str_eq(meta_label(vmim, LABEL_MIGRATION_SELECTOR),
			meta_label(old, LABEL_MIGRATION_SELECTOR)))
		cause_text(causes, REASON_NOT_SUPPORTED, "metadata.labels",
			"selector label can't be removed from an in-flight migration");
}
