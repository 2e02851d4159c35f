/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/migration/cpu.h - CPUs of a guest that moves because it is to have more: what is handed to the node where it arrives.
 * There virt-handler does the rest (kubevirt/handler/guest_cpu.c). rollout.md 3.2 steps 4 and 6, 6.40. Pure. */
#pragma once

#include "api/obj.h"

/* Where CPUs are dedicated: label LABEL_POD_CPU_LIMITS, what the target pod's compute container may use. d, vmi: a draft of the
 * instance. */
void cpu_handoff(struct json_doc *d, struct json *vmi, const struct obj *target_pod);
