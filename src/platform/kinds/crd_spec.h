/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/crd_spec.h - what is wrong with a CustomResourceDefinition as it is written (kubernetes-api.md 4), in
 * Kubernetes' words, order and paths. No look at other definitions, no change of the object.
 *
 * Kubernetes keeps what all versions say alike once, above them, and names it there: a schema that is the same in all versions
 * (so that of the only one) is spec.validation, not spec.versions[0].schema. */
#pragma once

#include "api/status.h"

/* old NULL: it is created. */
void crd_spec_check(const struct json *crd, const struct json *old, struct causes *c);
