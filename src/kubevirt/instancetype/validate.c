/* SPDX-License-Identifier: Apache-2.0 */
/* Instance types and preferences as they are written, and how VMs may name them. Texts are KubeVirt's. */
#include "base/mem.h"
#include "kubevirt/instancetype/admit.h"
#include "kubevirt/instancetype/topology.h"

#define INVALID "FieldValueInvalid"

static void validate_type(const struct json *spec, struct causes *causes, struct strv *warnings)
{
	const struct json *memory = json_get(spec, "memory");
	int64_t percent = json_i64(json_get(memory, "overcommitPercent"));

	if (percent < 0 || percent > 100)
		cause_text(causes, INVALID, "spec.memory.overcommitPercent",
			"spec.memory.overcommitPercent '%lld': must be in range between 0 and 100.",
			(long long)percent);
	if (percent && json_is_obj(json_get(memory, "hugepages")))
		cause_text(causes, INVALID, "spec.memory.overcommitPercent",
			"spec.memory.overcommitPercent and spec.memory.hugepages should not be requested "
			"together.");
	if (json_is_obj(json_get(spec, "launchSecurity")))
		strv_add(warnings, "launchSecurity is deprecated and will be removed in a future release. "
				   "Use preference instead.");
}

static void validate_spread(const struct json *spec, struct causes *causes)
{
	int64_t ratio;
	enum it_across across = it_across(spec, &ratio);

	if (across == ACROSS_UNKNOWN)
		cause_text(causes, INVALID, "spec.cpu.spreadOptions.across", "across %s is not supported",
			json_str_or(json_at(spec, "/cpu/spreadOptions/across"), ""));
	else if (across == ACROSS_CORES_THREADS && ratio != IT_THREADS_PER_CORE)
		cause_text(causes, INVALID, "spec.cpu.spreadOptions.ratio",
			"only a ratio of 2 (1 core 2 threads) is allowed when spreading vCPUs over cores and "
			"threads");
}

static void validate_preference(const struct json *spec, struct causes *causes, struct strv *warnings)
{
	const char *word = json_at_str(spec, "/cpu/preferredCPUTopology"), *today;
	enum it_layout layout = it_layout(spec, &today);

	if (layout == LAYOUT_UNKNOWN)
		cause_text(causes, INVALID, "spec.cpu.preferredCPUTopology",
			"unknown preferredCPUTopology %s",
			json_str_or(json_at(spec, "/cpu/preferredCPUTopology"), ""));
	if (layout == LAYOUT_SPREAD)
		validate_spread(spec, causes);
	if (today)
		strv_addf(warnings,
			"PreferredCPUTopology %s is deprecated for removal in a future release, please use "
			"%s instead",
			word, today);
}

void it_validate(const struct json *object, enum it_side side, struct causes *causes, struct strv *warnings)
{
	if (side == IT_INSTANCETYPE)
		validate_type(json_get(object, "spec"), causes, warnings);
	else
		validate_preference(json_get(object, "spec"), causes, warnings);
}

/* ---- matchers ---- */
static const struct {
	const char *field, *type;
} matchers[IT_SIDES] = {
	[IT_INSTANCETYPE] = { "spec.instancetype", "InstancetypeMatcher" },
	[IT_PREFERENCE] = { "spec.preference", "PreferenceMatcher" },
};

__attribute__((format(printf, 5, 6))) static void refuse(
	struct causes *causes, const char *reason, enum it_side side, const char *sub, const char *fmt, ...)
{
	CLEANUP(mem_freep) char *field = str_printf("%s%s", matchers[side].field, sub);
	CLEANUP(str_done) struct str text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	cause_text(causes, reason, field, "%s", str_cstr(&text));
}

static void validate_matcher(const struct json *m, enum it_side side, struct causes *causes)
{
	const char *name = json_get_str(m, "name"), *volume = json_get_str(m, "inferFromVolume");
	const char *policy = json_get_str(m, "inferFromVolumeFailurePolicy");

	if (str_empty(name) && str_empty(volume))
		refuse(causes, "FieldValueNotFound", side, "",
			"Either Name or InferFromVolume should be provided within the %s",
			matchers[side].type);
	if (!str_empty(volume) && !str_empty(name))
		refuse(causes, "FieldValueNotSupported", side, ".name",
			"Name already set, should be cleared before setting inferFromVolume");
	if (!str_empty(volume) && !str_empty(json_get_str(m, "kind")))
		refuse(causes, "FieldValueNotSupported", side, ".kind",
			"Kind already set, should be cleared before setting inferFromVolume");
	if (policy && !str_eq(policy, "Ignore") && !str_eq(policy, "Reject"))
		refuse(causes, INVALID, side, ".inferFromVolumeFailurePolicy",
			"Invalid value '%s' for InferFromVolumeFailurePolicy", policy);
}

/* 92: what the name says and what the revision holds would differ */
static void validate_change(
	const struct json *m, const struct json *old, enum it_side side, struct causes *causes)
{
	const char *revision = json_get_str(m, "revisionName");

	if (m && old && !str_empty(revision) && str_eq(revision, json_get_str(old, "revisionName")) &&
		!str_eq(json_get_str(m, "name"), json_get_str(old, "name")))
		refuse(causes, INVALID, side, ".revisionName",
			"the Matcher Name has been updated without updating the RevisionName");
}

void it_validate_matchers(const struct json *vm, const struct json *old, struct causes *causes)
{
	for (int i = 0; i < IT_SIDES; i++) {
		enum it_side side = (enum it_side)i;
		const struct json *m = it_matcher(vm, side);

		validate_change(m, old ? it_matcher(old, side) : NULL, side, causes);
		if (m && !causes->len)
			validate_matcher(m, side, causes);
		if (causes->len)
			return; /* one kind of trouble at a time, as KubeVirt tells it */
	}
}
