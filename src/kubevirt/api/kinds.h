/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/kinds.h - the kinds the virt programs read and write: `kind_vm`, `kind_vmi`, `kind_pod`, ... one per row of
 * kinds.def. Static facts. */
#pragma once

#include "api/kind.h"

#define KV_GROUP "kubevirt.io"
#define KV_API_VERSION "kubevirt.io/v1"

#define OWN(id) extern const struct kind kind_##id;
#define CLIENT(id, ...) extern const struct kind kind_##id;
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT

/* All of them, NULL-terminated; and only our own. */
extern const struct kind *const kinds_all[];
extern const struct kind *const kinds_own[];
/* By group and Kind ("kubevirt.io", "VirtualMachine"); NULL if unknown. */
const struct kind *kinds_find(const char *group, const char *kind);
/* By group and plural. */
const struct kind *kinds_find_plural(const char *group, const char *plural);
