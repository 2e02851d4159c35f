/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/gates.h"

#include "base/mem.h"

static const struct {
	const char *name;
	enum gate_stage stage;
} gates[GATE_MAX] = {
#define GATE(id, nm, st) [GATE_##id] = { nm, GATE_STAGE_##st },
#include "kubevirt/api/gates.def"
#undef GATE
};

static bool listed(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), name))
			return true;
	return false;
}

static bool effective(enum gate g, const struct json *on, const struct json *off)
{
	enum gate_stage stage = gates[g].stage;

	if (stage == GATE_STAGE_GA)
		return true;
	if (stage == GATE_STAGE_GONE)
		return false;
	/* In both lists at once is refused by admission; if it got in by other ways, off is the careful answer. */
	if (stage == GATE_STAGE_SWITCH)
		return !listed(off, gates[g].name);
	if (listed(on, gates[g].name))
		return true;
	if (listed(off, gates[g].name))
		return false;
	return stage == GATE_STAGE_BETA;
}

struct gate_set gates_effective(const struct json *developer)
{
	const struct json *on = json_get(developer, "featureGates");
	const struct json *off = json_get(developer, "disabledFeatureGates");
	struct gate_set s;

	for (int g = 0; g < GATE_MAX; g++)
		s.on[g] = effective((enum gate)g, on, off);
	return s;
}

bool gate_find(const char *name, enum gate *ret)
{
	for (int g = 0; g < GATE_MAX; g++)
		if (str_eq(gates[g].name, name)) {
			*ret = (enum gate)g;
			return true;
		}
	return false;
}

const char *gate_name(enum gate g)
{
	return gates[g].name;
}

enum gate_stage gate_stage(enum gate g)
{
	return gates[g].stage;
}

static void warn_of_disabled(const struct json *developer, const struct json *old, struct strv *warnings)
{
	const struct json *before = json_get(old, "disabledFeatureGates");

	JSON_EACH (it, json_get(developer, "disabledFeatureGates")) {
		const char *name = json_str(it.val);
		enum gate g;
		if (!name || listed(before, name) || !gate_find(name, &g))
			continue;
		if (gates[g].stage == GATE_STAGE_GA)
			strv_addf(warnings, "feature gate %s is generally available: it can not be disabled",
				name);
		else if (g == GATE_VM_LIVE_UPDATE_FEATURES) /* decision 2 */
			strv_addf(warnings,
				"feature gate %s is disabled: vmRolloutStrategy is ignored, and edits of VMs "
				"that "
				"run are staged",
				name);
	}
}

void gates_warnings(const struct json *developer, const struct json *old, struct strv *warnings)
{
	const struct json *before = json_get(old, "featureGates");

	JSON_EACH (it, json_get(developer, "featureGates")) {
		const char *name = json_str(it.val);
		enum gate g;
		if (!name || listed(before, name) || !gate_find(name, &g))
			continue;
		switch (gates[g].stage) {
		case GATE_STAGE_SWITCH:
			strv_addf(warnings,
				"feature gate %s is on by default: it can be removed from the list", name);
			break;
		case GATE_STAGE_GA:
			strv_addf(warnings,
				"feature gate %s is generally available and always on: it can be removed "
				"from the list",
				name);
			break;
		case GATE_STAGE_DEPRECATED:
			strv_addf(warnings, "feature gate %s is deprecated", name);
			break;
		case GATE_STAGE_GONE:
			strv_addf(warnings, "feature gate %s has been discontinued and has no effect", name);
			break;
		case GATE_STAGE_ALPHA:
		case GATE_STAGE_BETA:
			break;
		}
	}
	warn_of_disabled(developer, old, warnings);
}
