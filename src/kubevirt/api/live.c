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
