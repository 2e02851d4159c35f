/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/live.h"

#include "base/mem.h"
#include "base/str.h"
#include "kubevirt/api/tables.h"

#include <string.h>

enum live_class live_class(const char *dotted_path)
{
	CLEANUP(mem_freep) char *path = mem_strdup(dotted_path);

	for (;;) {
		const struct field *f = fields_find(&vmi_spec_fields, path);
		if (f && f->live)
			return (enum live_class)f->live;
		char *dot = strrchr(path, '.');
		if (!dot)
			return LIVE_RESTART;
		*dot = 0;
	}
}

const char *live_class_name(enum live_class c)
{
	static const char *const text[LIVE_CLASS_MAX] = {
		[LIVE_RESTART] = "restart",
		[LIVE_MEMORY] = "memory",
		[LIVE_MEMORY_MAX] = "maximum of memory",
		[LIVE_CPU_SOCKETS] = "cpu",
		[LIVE_PLACEMENT] = "placement",
		[LIVE_VOLUMES] = "volumes",
		[LIVE_DISKS] = "disks",
		[LIVE_NICS] = "nics",
		[LIVE_NEUTRAL_UUID] = "neutral",
	};
	return c < LIVE_CLASS_MAX ? text[c] : "restart";
}

#define STAGED "RestartRequired"

const struct live_text *live_class_text(enum live_class c)
{
	static const struct live_text text[LIVE_CLASS_MAX] = {
		[LIVE_RESTART] = { "the next start", "", STAGED },
		[LIVE_MEMORY] = { "resized in place: the pod, then the guest's virtio-mem device",
			"1Gi or more, multiples of 2Mi, from `guestAtBoot` to `maxGuest`", STAGED },
		[LIVE_MEMORY_MAX] = { "raised in place",
			"as far as room was reserved at the start: annotation "
			"`coracle.dev/memory-room`",
			STAGED },
		[LIVE_CPU_SOCKETS] = { "raised in place: the pod, then the guest",
			"up to `maxSockets`, not on arm64; lowered with gate CPUHotUnplug only", STAGED },
		[LIVE_PLACEMENT] = { "copied to the instance",
			"the pod stays where it is; its successor obeys", "while a migration runs it waits" },
		[LIVE_VOLUMES] = { "plugged and unplugged, discs changed",
			"`hotpluggable` claims, DataVolumes and hostDisks", STAGED },
		[LIVE_DISKS] = { "with their volumes", "bus scsi or virtio; CD-ROM drives stay", STAGED },
		[LIVE_NICS] = { "plugged and unplugged in place; link up or down",
			"cards on multus networks, bound by bridge (plugged also as SR-IOV); unplugged by "
			"`state: absent`; another `networkName` if the VM can migrate and "
			"`workloadUpdateMethods` has `LiveMigrate`",
			STAGED },
		[LIVE_NEUTRAL_UUID] = { "no change", "when it is the UUID that the guest has", STAGED },
	};
	return &text[c < LIVE_CLASS_MAX ? c : LIVE_RESTART];
}
