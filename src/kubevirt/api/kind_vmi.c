/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachineInstance: one run of a virtual machine. It has no status subresource: its status is written through the
 * object itself, and counts generations (kubevirt-api.md 1). */
#include "kubevirt/api/kind_defs.h"

/* clang-format off */
FIELD_TABLE(vmi_fields, NULL, "One run of a virtual machine.",
	REF("spec", vmi_spec_fields, "What it is made of.", MUSTHAVE),
	REF("status", vmi_status_fields, "How it is."),
);

static const char *const short_names[] = { "vmi", "vmis", NULL };
static const struct crd_column columns[] = {
	{ "Age", "date", ".metadata.creationTimestamp", 0 },
	{ "Phase", "string", ".status.phase", 0 },
	{ "IP", "string", ".status.interfaces[0].ipAddress", 0 },
	{ "NodeName", "string", ".status.nodeName", 0 },
	{ "Ready", "string", ".status.conditions[?(@.type=='Ready')].status", 0 },
	{ "Live-Migratable", "string", ".status.conditions[?(@.type=='LiveMigratable')].status", 1 },
	{ "Paused", "string", ".status.conditions[?(@.type=='Paused')].status", 1 },
	{ NULL },
};
const struct kind kind_vmi = { KV_GROUP, "v1", "VirtualMachineInstance", "virtualmachineinstances", "virtualmachineinstance",
	short_names, category_all, .namespaced = true, .has_status = false, .fields = &vmi_fields };
const struct crd crd_vmi = { &kind_vmi, v1_and_alpha, columns };
