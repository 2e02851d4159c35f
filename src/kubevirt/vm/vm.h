/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vm/vm.h - the VirtualMachine controller: keeps an instance running or not, as the run strategy says; brings edits of
 * the template to a running instance or says why they wait; reports both in the VM's status.
 *
 * kubevirt-api.md 3, rollout.md 2, decisions 1-12. Only API writes, through plans: nothing is remembered between passes but
 * what stands in the VM (status), its instance and its start revisions. */
#pragma once

#include "kube/controller.h"

struct synced_keys;
struct vm_env {
	const struct synced_keys *synced; /* metadata that follow edits; NULL: the built-in ones only */
};
extern const struct controller vm_controller; /* env: struct vm_env */
