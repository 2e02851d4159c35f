/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/handoff.h - who writes what on a VirtualMachineInstance and its launcher pod, and when responsibility passes.
 * Two programs share the object: virt-controller (cluster-wide) and virt-handler (the node's). Each field below has exactly one
 * writer at any time; every write is a JSON patch with a test of metadata.resourceVersion (plan_change()).
 *
 * phase        written by        when
 *   Pending    admission
 *   Scheduling virt-controller   the launcher pod exists
 *   Scheduled  virt-controller   the pod is bound and its compute container runs (pod Ready apart from the readiness gate):
 *                                in one patch: label LABEL_NODE_NAME, status.nodeName, status.activePods, interfaces and
 *                                volumeStatus skeletons. From here on the node's virt-handler owns phase
 *   Running    virt-handler      launcher STATE is Running or Paused
 *   Succeeded, virt-handler      from the launcher's final STATE; it then says `release` to the launcher
 *   Failed     virt-controller   also when the pod is gone or failed and virt-handler can not say any more (pod not found or
 *                                phase Failed/Succeeded while the VMI is not final), or the node is dead
 *
 * virt-controller owns: finalizers but the one below, labels, status.activePods, status.launcherContainerImageVersion,
 *   status.qosClass, status.migrationMethod, status.memory.memoryOverhead, conditions Ready, PodScheduled, LiveMigratable,
 *   Synchronized, HotMemoryChange and HotVCPUChange being SET True, and the launcher pod itself (resize included).
 * virt-handler owns: status.interfaces, status.volumeStatus[].target/size, status.memory (guestAtBoot, guestCurrent,
 *   guestRequested), status.currentCPUTopology once running, status.machine, status.guestOSInfo, conditions Paused,
 *   AgentConnected, and ENDING HotMemoryChange: it removes it (done) or sets it False (failed).
 * FINALIZER_VMI is virt-handler's promise that the guest is stopped: virt-handler stops the guest of a deleting VMI with its
 *   grace, writes the final phase, and virt-controller removes both finalizers when the phase is final and no pod is left.
 *
 * Cards on secondary networks (rollout.md 3.6; kubevirt/api/nics.h). Nobody remembers a step; each looks at what is there.
 *   plug     VM controller: interface and network into the VMI's spec. VMI controller: into the pod's annotation ANN_NETWORKS.
 *            Whoever runs pods: attaches, says so in ANN_NETWORK_STATUS. virt-handler: tap, launcher plug-nic, status.interfaces
 *   unplug   VM controller: state absent. virt-handler: launcher unplug-nic, infoSource without "domain". VMI controller: out of
 *            the annotation. virt-handler: no entry in status.interfaces any more, when the pod is detached.
 *            VMI controller: out of the VMI's spec. VM controller: out of the template
 *   link     VM controller: state. virt-handler: launcher set-link
 * MigrationRequired about cards is the VMI controller's (vmi_nics.c), and so is ANN_NICS_WAIT beside it.
 *
 * A change of memory in place (rollout.md 3.3, 7.4; decisions 10, 11). G = spec.domain.memory.guest.
 *   1 VM controller      patches /spec/domain/memory/guest of the VMI (and requests/limits by the delta)
 *   2 VMI controller     G != status.memory.guestRequested: HotMemoryChange True, reason HOT_MEMORY_IN_PLACE, and PATCHes the
 *                        compute container's memory through pods/resize to the new need (overhead kept). When shrinking it
 *                        does the PATCH only after virt-handler has finished (guestRequested = G)
 *   3 node agent         raises the cgroup, then pod.status.containerStatuses[compute].resources.requests.memory
 *   4 virt-handler       HotMemoryChange True and that status >= the pod's spec (or shrinking): launcher set-memory G
 *   5 virt-handler       complete: guestCurrent = guestRequested = G, condition removed. Not complete: guestCurrent = what is,
 *                        HotMemoryChange False, reason HOT_MEMORY_FAILED, message says how far it came; guestRequested stays
 *   No room (pod condition PodResizePending Infeasible or Deferred) or gate InPlaceHotplug off: the VMI controller gives
 *   HotMemoryChange reason HOT_MEMORY_NEEDS_MIGRATION and virt-handler keeps its hands off.
 *   When G goes back to what the guest has, the reason is HOT_MEMORY_IN_PLACE whatever stood in the way, and only virt-handler
 *   ends it: the launcher may still be at the value before, and until it is not the pod gives nothing away.
 *   A False condition about another value than G becomes True again at 2, even if G = guestRequested: a guest that took a part
 *   has to give it back. While a change is under way the pod asks for what G needs, but never for less than it was granted.
 *   The API server does not resize pods: the same, by ANN_RESIZE_REFUSED.
 *   A failed growth that the guest completes by itself later is ended at 5 as if it had not failed.
 *   A newer G while one is under way starts again at 2; virt-handler sends the newest value (the launcher drops the older).
 *
 * A change of the number of sockets in place (rollout.md 3.2, 7.4; decisions 10, 11, 20) goes the same way. S =
 * spec.domain.cpu.sockets, HotVCPUChange and its reasons below, status.currentCPUTopology instead of guestCurrent and
 * guestRequested (it is written by virt-handler, together with the end of the condition; while one is under way it stands still),
 * the compute container's CPU request and limit, launcher set-cpus. Its extra rule: the pod's need follows the ratio it was
 * made with (ANN_CPU_RATIO).
 * After a migration (status.migrationState completed, not failed, targetNode, endTimestamp not before the condition's time) the
 * target's virt-handler ends what waited for it, HOT_CPU_NEEDS_MIGRATION or no reason: launcher set-cpus where the new pod holds
 * them (dedicated CPUs: by LABEL_POD_CPU_LIMITS, which is written at the hand-over). Whatever came of it, label and condition
 * go; currentCPUTopology says what is (rollout.md 3.2, 6.). */
#pragma once

#include "base/json.h"

/* KVM or emulation. virt-handler offers RESOURCE_KVM in its node's allocatable only where a guest
 * really runs under KVM. virt-controller
 * has the compute container ask for it (limits) unless useEmulation is set or no node offers it: then the host runs guests by
 * emulation, slowly, instead of never. The pod says which it is: with RESOURCE_KVM in its limits
 * the launcher probes and insists on
 * KVM (unless useEmulation), without it the guest is emulated. Networks need neither tun nor vhost-net: pods do not ask for them.
 *
 * A guest that could not even start ends Failed by virt-handler with Synchronized False, reason HANDOFF_START_FAILED, in the same
 * patch: the one exception from virt-controller's ownership of that condition. */
#define HANDOFF_START_FAILED "Synchronizing with the Domain failed."

/* Reasons of HotMemoryChange. */
#define HOT_MEMORY_IN_PLACE "InPlaceHotplug"               /* True: being applied on this node */
#define HOT_MEMORY_NEEDS_MIGRATION "LiveMigrationRequired" /* True: waits for a migration */
#define HOT_MEMORY_FAILED "Memory Hotplug Failed"          /* False; KubeVirt's text (rollout.md 3.3) */

/* Reasons of HotVCPUChange. */
#define HOT_CPU_IN_PLACE "InPlaceHotplug"
#define HOT_CPU_NEEDS_MIGRATION "LiveMigrationRequired"
#define HOT_CPU_FAILED "CPU Hotplug Failed" /* False; KubeVirt has no such state */

/* As below, of HotVCPUChange, in sockets. */
#define ANN_HOT_CPU_TARGET "coracle.dev/hot-cpu-target"
/* How often a migration to make room for that many sockets was in vain, "SOCKETS COUNT": by virt-handler, gone when nothing
 * differs any more. After HOT_CPU_MIGRATIONS of them HotVCPUChange is False (rollout.md 7.12). */
#define ANN_HOT_CPU_FAILURES "coracle.dev/hot-cpu-failures"
#define HOT_CPU_MIGRATIONS 5
int hot_cpu_failures(const struct json *vmi, int64_t sockets);
/* As ANN_RESIZE_REFUSED below, "SOCKETS MESSAGE". */
#define ANN_CPU_RESIZE_REFUSED "coracle.dev/cpu-resize-refused"
/* On a launcher pod: the cpuAllocationRatio it was made with, and for how many vCPUs: the overhead of memory grows by theirs. */
#define ANN_POD_VCPUS "coracle.dev/vcpus"
#define ANN_CPU_RATIO "coracle.dev/cpu-allocation-ratio"

/* The networks that MigrationRequired is about, "NAME=DEFINITION ...", as the pod has them: "NAMESPACE/NAME", nothing where it is
 * not attached. The VM controller says RestartRequired for them where nothing migrates (decision 19). */
#define ANN_NICS_WAIT "coracle.dev/nics-wait"

/* Annotation by which the VMI controller tells the handler the value a failed change was about, so that a new value is a new
 * attempt: set with HotMemoryChange, in bytes. */
#define ANN_HOT_MEMORY_TARGET "coracle.dev/hot-memory-target"

/* An attempt that failed for a passing reason (the launcher did not answer) is repeated a few times, with pauses
 * (rollout.md 7.12): "TARGET COUNT NEXT", bytes, attempts so far, wall ms of the next one. By virt-handler; gone when the
 * change is over. */
#define ANN_HOT_MEMORY_FAILURES "coracle.dev/hot-memory-failures"
#define HOT_MEMORY_ATTEMPTS_MAX 5
/* The API server would not resize the pod for this target, "TARGET REASON": pods/resize is missing there, or refuses.
 * By the VMI controller; another target is another attempt, and so is room in the quota that was in the way. */
#define ANN_RESIZE_REFUSED "coracle.dev/resize-refused"

/* What an owner may wish for in the template's annotations, quantities; read when the instance is made (docs/rollout.md).
 * FLOOR: the guest can be shrunk to that: it boots with so much main memory, at least 1Gi, and gets the rest from a device.
 * ROOM: maxGuest can be raised to that while it runs: address space and a port are kept for a second device. */
#define ANN_MEMORY_FLOOR "coracle.dev/memory-floor"
#define ANN_MEMORY_ROOM "coracle.dev/memory-room"
#define MEMORY_FLOOR_MIN (1ll << 30)
/* Where the launcher finds huge pages: volume of medium HugePages in its pod. */
#define HANDOFF_HUGEPAGES_DIR "/dev/hugepages"

/* Launcher pod: how the two agree on the VM's directory on the node, by VMI uid. The pod has it as a hostPath volume of type
 * DirectoryOrCreate, mounted at KV_VM_DIR. Whoever comes first makes it; virt-handler gives it to
 * KV_LAUNCHER_UID (0700) as soon as the
 * pod is bound to its node, and the launcher waits for that. virt-handler removes it when neither pod nor VMI is left. */
#define HANDOFF_VM_DIR_FMT "%s/vms/%s" /* KUBEVIRT_HOST_DIR, VMI uid */
/* Mount point of container disk volume NAME in the compute container: HOST.containerDisks in kubevirt/wire/wire.h. */
#define HANDOFF_CONTAINER_DISK_FMT "/var/run/kubevirt/container-disks/%s"
/* Of any other volume NAME that the pod has: a claim (with disk.img in it), the directory of a hostDisk, files
 * of a ConfigMap...: HOST.disks in kubevirt/wire/wire.h. A claim of volumeMode Block is a device instead. What
 * has to be made or given to KV_LAUNCHER_UID first, an init container does as root. */
#define HANDOFF_DISK_FMT "/var/run/kubevirt-private/vmi-disks/%s"
#define HANDOFF_BLOCK_FMT "/dev/vmi-%s"

/* A volume that is plugged. Written by, in status.volumeStatus[] of the VMI (rollout.md 3.5):
 *   Pending        virt-controller   the claim is not there, or its attachment pod is not made yet
 *   Bound          virt-controller   the attachment pod hp-volume-* is made; hotplugVolume.attachPodName
 *   AttachedToNode virt-controller   it runs: hotplugVolume.attachPodUID. From here on the node's virt-handler owns phase
 *   MountedToPod   virt-handler      the launcher has it, and was asked to give it to the guest
 *   Ready          virt-handler      the guest has it: target, size
 *   Detaching      virt-controller   it is no more in spec.volumes, or is another one there now
 *   UnMountedFromPod virt-handler    guest and QEMU have let go of it (also: never had it)
 * then virt-controller deletes the pod, and with the pod gone the entry: only then is a volume of the same name brought again.
 * A pod is never deleted while the guest may have its volume. The pod offers the open disk to the launcher (offer-disk in
 * kubevirt/wire/wire.h, over its socket in the VM's directory); the launcher knows the volume by the pod's name. */
#define HANDOFF_ATTACH_PREFIX "hp-volume-"
#define VOLUME_PENDING "Pending"
#define VOLUME_BOUND "Bound"
#define VOLUME_ATTACHED "AttachedToNode"
#define VOLUME_MOUNTED "MountedToPod"
#define VOLUME_READY "Ready"
#define VOLUME_DETACHING "Detaching"
#define VOLUME_UNMOUNTED "UnMountedFromPod"
