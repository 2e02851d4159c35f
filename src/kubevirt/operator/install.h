/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/install.h - the controller of the KubeVirt CR: install, keep, roll to another version, remove.
 * operator.md 2 and 3. One pass looks at everything, applies what may be applied now, and reports. */
#pragma once

#include "kube/controller.h"
#include "kubevirt/operator/target.h"

/* env of the controller: const struct operator_settings. */
extern const struct controller operator_controller;
/* The pass itself, for tests. */
void install_decide(const struct look *l, const char *key, struct plan *out);
/* remove.c: a pass over a KubeVirt that is being deleted; true when nothing of it is left. */
bool remove_installation(const struct look *l, const struct operator_settings *s, struct plan *out);
