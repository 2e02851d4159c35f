/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/seed.h - disks that are made of files: the cloud-init seed of a VM, a ConfigMap and the like
 * (kubevirt-api.md 9). */
#pragma once

#include "kubevirt/launcher/domain.h"

#define SEED_FILES_MAX 1024
/* disk->kind is one of the cloud-init kinds (labels: CIDATA, CONFIG-2), or VOL_FILES: then the regular files of
 * a directory are read. */
int seed_image(const struct domain *d, const struct domain_disk *disk, struct str *out, struct err *e);
