/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachine: what is wanted, running or not. */
#include "kubevirt/api/kind_defs.h"

/* clang-format off */
FIELD_TABLE(matcher_fields, "InstancetypeMatcher", "A named size or set of preferences.",
	S("name", "Its name."), S("kind", "Its kind; the cluster-wide one unless given."),
	S("revisionName", "ControllerRevision that holds it."),
	S("inferFromVolume", "Volume that says which."), S("inferFromVolumeFailurePolicy", "Reject or Ignore."),
);
FIELD_TABLE(matcher_status_fields, "InstancetypeStatusRef", "A named size or set of preferences, as applied.",
	S("name", "Its name."), S("kind", "Its kind."),
	O("controllerRevisionRef", "ControllerRevision that holds it."),
	S("controllerRevisionRef.name", "Name of that."),
	B("pinned", "The spec names the revision; once it does not, a fresh one is taken."),
	S("inferFromVolume", "Volume that said which."), S("inferFromVolumeFailurePolicy", "Reject or Ignore."),
);

FIELD_TABLE(vm_fields, NULL, "A virtual machine: kept running, or ready to run, as its spec says.",
	O("spec", "What is wanted.", MUSTHAVE),
	S("spec.runStrategy",
		"Always, RerunOnFailure, Manual, Halted, Once or WaitAsReceiver: when an instance runs."),
	B("spec.running", "Use runStrategy.", .flags = FIELD_DEPRECATED),
	REF("spec.template", vmi_template_fields, "What its instances are made from.", MUSTHAVE),
	REF("spec.instancetype", matcher_fields, "Named size."),
	REF("spec.preference", matcher_fields, "Named preferences."),
	S("spec.updateVolumesStrategy", "Replacement (default) or Migration: what a changed claim means."),
	LIST("spec.dataVolumeTemplates", "DataVolumes made for this VM."),
	S("spec.dataVolumeTemplates[].apiVersion", "API version."), S("spec.dataVolumeTemplates[].kind", "Kind."),
	ANY("spec.dataVolumeTemplates[].metadata", "Name, labels, annotations."),
	REF("spec.dataVolumeTemplates[].spec", data_volume_spec_fields, "The DataVolume.", MUSTHAVE),
	ANY("spec.dataVolumeTemplates[].status", "Ignored."),
	O("status", "How it is."),
	S("status.printableStatus", "How it is, in one word."),
	B("status.created", "There is an instance."), B("status.ready", "The instance is ready."),
	S("status.runStrategy", "The strategy in force."),
	REFS("status.conditions", condition_fields, "Aspects of its state."),
	I("status.observedGeneration", "Generation the running instance has."),
	I("status.desiredGeneration", "Generation that is wanted."),
	LIST("status.stateChangeRequests", "Starts and stops asked for."),
	S("status.stateChangeRequests[].action", "Start or Stop.", MUSTHAVE),
	S("status.stateChangeRequests[].uid", "Instance it is about."),
	STRINGMAP("status.stateChangeRequests[].data", "Further wishes."),
	O("status.startFailure", "Starts that failed in a row."),
	I32("status.startFailure.consecutiveFailCount", "How many."),
	S("status.startFailure.lastFailedVMIUID", "The last one's instance."),
	T("status.startFailure.retryAfterTimestamp", "Not again before."),
	LIST("status.volumeRequests", "Volumes to be plugged or unplugged."),
	O("status.volumeRequests[].addVolumeOptions", "To be plugged."),
	S("status.volumeRequests[].addVolumeOptions.name", "Name of the volume.", MUSTHAVE),
	REF("status.volumeRequests[].addVolumeOptions.disk", disk_fields, "How the guest sees it.", MUSTHAVE),
	ANY("status.volumeRequests[].addVolumeOptions.volumeSource", "Where it comes from."),
	STRINGS("status.volumeRequests[].addVolumeOptions.dryRun", "All: only try."),
	O("status.volumeRequests[].removeVolumeOptions", "To be unplugged."),
	S("status.volumeRequests[].removeVolumeOptions.name", "Name of the volume.", MUSTHAVE),
	STRINGS("status.volumeRequests[].removeVolumeOptions.dryRun", "All: only try."),
	LIST("status.volumeSnapshotStatuses", "Which volumes can be snapshotted."),
	S("status.volumeSnapshotStatuses[].name", "Name of the volume.", MUSTHAVE),
	B("status.volumeSnapshotStatuses[].enabled", "It can.", MUSTHAVE),
	S("status.volumeSnapshotStatuses[].reason", "Why not."),
	O("status.volumeUpdateState", "Volumes on their way."),
	O("status.volumeUpdateState.volumeMigrationState", "To other claims."),
	REFS("status.volumeUpdateState.volumeMigrationState.migratedVolumes", migrated_volume_fields, "The volumes."),
	ANY("status.memoryDumpRequest", "Memory dump asked for."),
	REF("status.instancetypeRef", matcher_status_fields, "Named size in force."),
	REF("status.preferenceRef", matcher_status_fields, "Named preferences in force."),
	S("status.snapshotInProgress", "Snapshot being taken."), S("status.restoreInProgress", "Restore under way."),
	ANY("status.changedBlockTracking", "State of incremental backup."),
);

static const char *const short_names[] = { "vm", "vms", NULL };
static const struct crd_column columns[] = {
	{ "Age", "date", ".metadata.creationTimestamp", 0 },
	{ "Status", "string", ".status.printableStatus", 0 },
	{ "Ready", "string", ".status.conditions[?(@.type=='Ready')].status", 0 },
	/* not KubeVirt's: only in the wide form, so that the narrow one is as everybody knows it */
	{ "RestartRequired", "string", ".status.conditions[?(@.type=='RestartRequired')].status", 1 },
	{ NULL },
};
const struct kind kind_vm = { KV_GROUP, "v1", "VirtualMachine", "virtualmachines", "virtualmachine", short_names,
	category_all, .namespaced = true, .has_status = true, .fields = &vm_fields };
const struct crd crd_vm = { &kind_vm, v1_and_alpha, columns };
