/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/fleet.h - what virt-controller's /metrics says about all virtual machines together: names, labels and meanings
 * are KubeVirt's (rollout.md 5.1). Pure: from the cached objects to text. */
#pragma once

#include "api/obj.h"
#include "base/str.h"
#include "kubevirt/api/config.h"
#include "kubevirt/instancetype/instancetype.h"

/* Lists in the order of their keys; borrowed. */
struct fleet_list {
	const struct obj **items;
	size_t n;
};
struct fleet {
	struct fleet_list vms, vmis, migrations;
	const struct kv_config *config;
	struct it_lookup *types; /* instance types, preferences, their revisions; NULL: nowhere to be found */
};
void fleet_metrics(const struct fleet *f, struct str *out);
/* A running instance with an old launcher, or a live change under way that needs more than waiting (rollout.md 3.1). */
bool fleet_outdated(const struct json *vmi);
