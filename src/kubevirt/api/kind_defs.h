/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/kind_defs.h - for kind_*.c only: what every definition needs. */
#pragma once

#include "kubevirt/api/crd.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/tables.h"

#define OWN(id) extern const struct crd crd_##id;
#define CLIENT(id, ...)
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT

extern const char *const category_all[];        /* {"all", NULL} */
extern const struct crd_version v1_and_alpha[]; /* v1 stored, v1alpha3 deprecated */
