/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/instancetype/admit.h - for this directory: the steps of admitting a VM. */
#pragma once

#include "kubevirt/instancetype/instancetype.h"

/* spec.instancetype and spec.preference as they are written; old NULL on create. */
void it_validate_matchers(const struct json *vm, const struct json *old, struct causes *causes);
/* Replaces inferFromVolume by the name that the volume's labels give, or takes the matcher out where failure is ignored.
 * ERR_BAD_REQUEST: nothing can be inferred. */
int it_infer(struct json_doc *d, struct json *vm, enum it_side side, struct it_lookup *l, struct err *e);
