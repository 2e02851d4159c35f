/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/gates.h - feature gates. Effective state from developerConfiguration.featureGates and .disabledFeatureGates:
 * GA > featureGates > disabledFeatureGates > stage (kubevirt-api.md 0). VMLiveUpdateFeatures alone can be disabled although
 * GA (decision 2). */
#pragma once

#include "base/json.h"

enum gate_stage {
	GATE_STAGE_ALPHA,
	GATE_STAGE_BETA,
	GATE_STAGE_GA,
	GATE_STAGE_SWITCH, /* GA in KubeVirt, but it can be switched off here */
	GATE_STAGE_DEPRECATED,
	GATE_STAGE_GONE,
};
enum gate {
#define GATE(id, name, stage) GATE_##id,
#include "kubevirt/api/gates.def"
#undef GATE
	GATE_MAX
};
struct gate_set {
	bool on[GATE_MAX];
};
/* developer: spec.configuration.developerConfiguration, may be NULL. Unknown names are ignored, as KubeVirt does. */
struct gate_set gates_effective(const struct json *developer);
static inline bool gate_on(const struct gate_set *s, enum gate g)
{
	return s->on[g];
}
bool gate_find(const char *name, enum gate *ret);
const char *gate_name(enum gate g);
enum gate_stage gate_stage(enum gate g);
/* Adds a warning text per gate newly listed in `developer` (absent from `old`, which may be NULL) that has no effect or no
 * future, or that takes LiveUpdate away from where it stands. */
void gates_warnings(const struct json *developer, const struct json *old, struct strv *warnings);
