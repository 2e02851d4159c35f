/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/volume_rules.h - questions about volumes of a VMI spec that several programs ask. Pure. rollout.md 2.3, 3.5. */
#pragma once

#include "base/json.h"

/* May it come and go while the guest runs? Such volumes are brought by attachment pods, never by the launcher's own. */
bool volume_hotpluggable(const struct json *volume);
/* The claim behind it (that of a DataVolume has its name), of an ephemeral one too; NULL: none. */
const char *volume_claim(const struct json *volume);
/* Do disks alone keep an instance on its node, and are they all to be moved along (VolumesChange True, by virt-controller)? */
bool volumes_move_along(const struct json *vmi);
/* The member that makes it a disk of files ("configMap", "secret", ...); NULL: it is not one. */
const char *volume_of_files(const struct json *volume);
/* The item of that name in a list of volumes or disks; NULL. */
struct json *volume_named(const struct json *list, const char *name);
