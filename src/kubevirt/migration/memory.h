/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/migration/memory.h - memory of a guest that moves because it is to have another size: what is handed to the node where
 * it arrives, whether its new pod holds it, and what the instance says afterwards. rollout.md 3.3 steps 3 to 5, 6.64 to 6.67.
 * Pure: whoever carries the move out calls these in this order. The order is KubeVirt's: the guest moves unchanged, then is
 * resized. */
#pragma once

#include "api/obj.h"
#include "kube/plan.h"
#include "kubevirt/api/config.h"

/* The target's pod is made for the larger of what the guest has and what it is to have: it comes as it is.
 * Hand-off: label LABEL_POD_MEMORY_REQUESTS (memory and huge pages that the target pod's compute container asks for) and
 * status.migrationState.targetMemoryOverhead (as its pod says). d, vmi: a draft of the instance. */
void memory_handoff(struct json_doc *d, struct json *vmi, const struct obj *target_pod);

/* On the target: does the pod hold what the instance wants, by the same reckoning that rendered it (rollout.md 7.13: also where
 * nobody gave a request)? NULL: yes, resize the guest. Else why not; caller frees. */
char *memory_handoff_short(const struct json *vmi, const struct kv_config *c);

/* The end of it, whatever came: label and overhead ratio go. short_of (from above): nothing was done to the guest, the condition
 * goes, an event says why (66). refused: the device call failed, HotMemoryChange False (67). Neither: guestRequested is what is
 * wanted (65); guestCurrent follows when the guest has taken it. */
void memory_arrived(struct json_doc *d, struct json *vmi, const struct obj *about, const char *short_of,
	const char *refused, int64_t now, struct plan *out);
