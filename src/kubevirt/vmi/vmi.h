/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/vmi.h - the VirtualMachineInstance controller: gives every instance its launcher pod, follows that pod,
 * hands over to the node's virt-handler and tidies up. kubevirt-api.md 4, 7; who writes what: kubevirt/api/handoff.h. */
#pragma once

#include "kube/controller.h"

struct synced_keys;
struct vmi_env {
	const char *launcher_image;
	const char *host_dir;             /* KUBEVIRT_HOST_DIR on the nodes */
	const struct synced_keys *synced; /* as in struct vm_env */
};
extern const struct controller vmi_controller; /* env: struct vmi_env */
