/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachineInstanceReplicaSet: a number of equal instances. */
#include "kubevirt/api/kind_defs.h"

/* clang-format off */
FIELD_TABLE(vmirs_fields, NULL, "A number of equal instances.",
	O("spec", "What is wanted.", MUSTHAVE),
	I32("spec.replicas", "How many; 1 unless given."),
	REF("spec.selector", label_selector_fields, "Labels the instances are found by.", MUSTHAVE),
	REF("spec.template", vmi_template_fields, "What they are made from.", MUSTHAVE),
	B("spec.paused", "Leave them alone."),
	O("status", "How it is."),
	I32("status.replicas", "How many there are."), I32("status.readyReplicas", "How many are ready."),
	S("status.labelSelector", "The selector as text."),
	REFS("status.conditions", condition_fields, "Aspects of its state."),
);

static const char *const short_names[] = { "vmirs", "vmirss", NULL };
static const struct crd_column columns[] = {
	{ "Desired", "integer", ".spec.replicas", 0 }, { "Current", "integer", ".status.replicas", 0 },
	{ "Ready", "integer", ".status.readyReplicas", 0 }, { "Age", "date", ".metadata.creationTimestamp", 0 },
	{ NULL },
};
const struct kind kind_vmirs = { KV_GROUP, "v1", "VirtualMachineInstanceReplicaSet", "virtualmachineinstancereplicasets",
	"virtualmachineinstancereplicaset", short_names, category_all, .namespaced = true, .has_status = true, .has_scale = true,
	.fields = &vmirs_fields };
const struct crd crd_vmirs = { &kind_vmirs, v1_and_alpha, columns };
