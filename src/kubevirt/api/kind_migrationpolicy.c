/* SPDX-License-Identifier: Apache-2.0 */
/* MigrationPolicy: how some guests are moved, other than the cluster's rule. kubevirt-api.md 4.1. */
#include "kubevirt/api/kind_defs.h"

/* clang-format off */
FIELD_TABLE(migrationpolicy_fields, NULL, "How some guests are moved.",
	O("spec", "The policy.", MUSTHAVE),
	O("spec.selectors", "Whom it is for.", MUSTHAVE),
	STRINGMAP("spec.selectors.namespaceSelector", "Labels of the namespace."),
	STRINGMAP("spec.selectors.virtualMachineInstanceSelector", "Labels of the instance."),
	B("spec.allowAutoConverge", "The guest may be slowed down."),
	Q("spec.bandwidthPerMigration", "Bytes per second of one move; 0 is no limit."),
	I("spec.completionTimeoutPerGiB", "Seconds per GiB of guest before a move is given up."),
	B("spec.allowPostCopy", "The guest may run on before all its memory is there."),
	B("spec.allowWorkloadDisruption", "The guest may be paused, or run post-copy, to finish."),
	U32("spec.maxDowntimeMs", "How long the guest may stand still, in milliseconds."),
	ANY("spec.experimental", "Settings that may change."),
	ANY("status", "How it is."),
);
/* clang-format on */

const struct kind kind_migrationpolicy = { "migrations.kubevirt.io", "v1alpha1", "MigrationPolicy",
	"migrationpolicies", "migrationpolicy", NULL, NULL, .has_status = true,
	.fields = &migrationpolicy_fields };
const struct crd crd_migrationpolicy = { &kind_migrationpolicy, NULL, NULL };
