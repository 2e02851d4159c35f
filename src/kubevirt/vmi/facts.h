/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/facts.h - what a VirtualMachineInstance says about itself, read in one place: phases, conditions, moves, memory.
 * kubevirt-api.md 4. Pure; NULL and half-filled objects are answered as "not yet". */
#pragma once

#include "kube/cache.h"
#include "kubevirt/api/config.h"

/* id, on the wire, whether the instance has ended */
#define VMI_PHASES(X)                                \
	X(UNSET, "", false)                          \
	X(PENDING, "Pending", false)                 \
	X(SCHEDULING, "Scheduling", false)           \
	X(SCHEDULED, "Scheduled", false)             \
	X(RUNNING, "Running", false)                 \
	X(SUCCEEDED, "Succeeded", true)              \
	X(FAILED, "Failed", true)                    \
	X(WAITING_FOR_SYNC, "WaitingForSync", false) \
	X(UNKNOWN, "Unknown", false)

enum vmi_phase {
#define X(id, name, final) VMI_##id,
	VMI_PHASES(X)
#undef X
		VMI_PHASE_MAX
};
enum vmi_phase vmi_phase(const struct json *vmi); /* a text never heard of is UNKNOWN */
const char *vmi_phase_name(enum vmi_phase p);
bool vmi_phase_final(enum vmi_phase p);
bool vmi_is_final(const struct json *vmi);
/* It was in this phase at some time (phaseTransitionTimestamps), or is. */
bool vmi_was(const struct json *vmi, enum vmi_phase p);
/* When it came into the phase, wall ms; 0: never. */
int64_t vmi_since(const struct json *vmi, enum vmi_phase p);

/* Changes a draft: status.phase and, the first time, its time stamp. */
void vmi_enter_phase(struct json_doc *d, struct json *vmi, enum vmi_phase to, int64_t now_ms);

const struct json *vmi_cond(const struct json *vmi, const char *type); /* NULL: not there */
bool vmi_cond_is(const struct json *vmi, const char *type, const char *status);
/* A migration has begun and not ended (rollout.md 2.4). */
bool vmi_migrating(const struct json *vmi);

/* Bytes; -1: not known. */
int64_t vmi_guest_wanted(const struct json *vmi);  /* spec.domain.memory.guest */
int64_t vmi_guest_max(const struct json *vmi);     /* spec.domain.memory.maxGuest */
int64_t vmi_guest_at_boot(const struct json *vmi); /* status.memory... */
/* The least it can be shrunk to: guestAtBoot, or less where it was started with a floor (ANN_MEMORY_FLOOR). */
int64_t vmi_guest_floor(const struct json *vmi);
/* The most it can grow to: maxGuest; without that guestAtBoot where there is a floor below it; -1: its memory is fixed. */
int64_t vmi_guest_limit(const struct json *vmi);
int64_t vmi_guest_room(
	const struct json *vmi); /* how far maxGuest can be raised (ANN_MEMORY_ROOM); -1: not at all */
int64_t vmi_guest_requested(const struct json *vmi);
int64_t vmi_guest_current(const struct json *vmi);
/* The value that the present HotMemoryChange is about; without the annotation, what is wanted. */
int64_t vmi_hot_memory_target(const struct json *vmi);
/* Sockets; current -1: not known. 0 and absent count as 1. */
int64_t vmi_sockets_wanted(const struct json *vmi);  /* spec.domain.cpu */
int64_t vmi_sockets_current(const struct json *vmi); /* status.currentCPUTopology */
/* The value that the present HotVCPUChange is about; without the annotation, what is wanted. */
int64_t vmi_hot_cpu_target(const struct json *vmi);

/* vCPUs that it has, or is to have, more than its launcher pod was made for. 0 when they are fewer: the pod keeps the overhead
 * that stands in it, and virt-handler holds it to that. */
int64_t vmi_vcpus_since(const struct json *vmi, const struct json *pod);

/* The cluster's configuration, from the cached KubeVirt CR. Texts in it live as long as the cached object. */
void kv_config_cached(const struct cache *kubevirts, struct kv_config *ret);
