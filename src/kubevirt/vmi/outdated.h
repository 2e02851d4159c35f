/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/outdated.h - keeps status.outdatedVirtualMachineInstanceWorkloads of the KubeVirt object: how many running
 * instances have an old launcher or a live change under way (rollout.md 3.1). Counted by what changes, never by walking
 * through all; written when it has been another number for a while, and only while the installation is what it is to be. */
#pragma once

#include "kube/cache.h"

#define OUTDATED_SETTLE_MS 5000
#define OUTDATED_LATEST_MS 60000

struct outdated;
/* Caches: of all instances and of KubeVirt objects, not started yet. They tell it of changes, so they are freed before it is. */
struct outdated *outdated_new(struct kube_client *c, struct cache *vmis, struct cache *kubevirts);
void outdated_free(struct outdated *o);
