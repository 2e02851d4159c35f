/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/apply.h - making one object what it was rendered to be: created, rewritten when the rendering changed,
 * put right when somebody edited it (operator.md 2.7). A quiet world plans nothing. */
#pragma once

#include "kube/controller.h"
#include "kubevirt/operator/render.h"

#define ANN_RENDERED "coracle.dev/rendered" /* hash of what was rendered */

/* true if the object is there as rendered (nothing planned). */
bool apply_one(const struct look *l, const struct rendered *item, struct plan *out);
/* Does `have` say everything that `want` says? Members beyond are the server's defaults. */
bool apply_covers(const struct json *have, const struct json *want);
