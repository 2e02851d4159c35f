/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/seed.h - the cloud-init seed of a VM (kubevirt-api.md 9) as a disk image. Pure. */
#pragma once

#include "kubevirt/launcher/domain.h"

/* disk->kind is one of the cloud-init kinds. Labels: CIDATA, CONFIG-2. */
int seed_image(const struct domain *d, const struct domain_disk *disk, struct str *out, struct err *e);
