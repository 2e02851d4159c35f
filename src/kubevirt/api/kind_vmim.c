/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachineInstanceMigration: one move of a running guest. */
#include "kubevirt/api/kind_defs.h"

/* clang-format off */
FIELD_TABLE(vmim_fields, NULL, "A move of a running virtual machine to another launcher.",
	O("spec", "What is to be moved.", MUSTHAVE),
	S("spec.vmiName", "Name of the instance."),
	STRINGMAP("spec.addedNodeSelector", "Further labels that the target node must have."),
	S("spec.priority", "system-critical, user-triggered or system-maintenance."),
	O("spec.receive", "This is the receiving side of a move between clusters."),
	S("spec.receive.migrationID", "Identifier of that move.", MUSTHAVE),
	O("spec.sendTo", "This is the sending side of a move between clusters."),
	S("spec.sendTo.migrationID", "Identifier of that move.", MUSTHAVE),
	S("spec.sendTo.connectURL", "Where the receiving side listens.", MUSTHAVE),
	O("status", "How far it is."),
	S("status.phase",
		"Pending, Scheduling, Scheduled, PreparingTarget, TargetReady, Running, Succeeded or Failed."),
	REFS("status.conditions", condition_fields, "Aspects of its state."),
	REF("status.migrationState", migration_state_fields, "The instance's migration state when it ended."),
	LIST("status.phaseTransitionTimestamps", "When each phase was first reached."),
	S("status.phaseTransitionTimestamps[].phase", "The phase."),
	T("status.phaseTransitionTimestamps[].phaseTransitionTimestamp", "When."),
	STRINGS("status.synchronizationAddresses", "Where the two sides talk."),
);

static const char *const short_names[] = { "vmim", "vmims", NULL };
static const struct crd_column columns[] = {
	{ "Phase", "string", ".status.phase", 0 },
	{ "VMI", "string", ".spec.vmiName", 0 },
	{ NULL },
};
const struct kind kind_vmim = { KV_GROUP, "v1", "VirtualMachineInstanceMigration", "virtualmachineinstancemigrations",
	"virtualmachineinstancemigration", short_names, category_all, .namespaced = true, .has_status = true,
	.fields = &vmim_fields };
const struct crd crd_vmim = { &kind_vmim, v1_and_alpha, columns };
