/* SPDX-License-Identifier: Apache-2.0 */
/* Groups apps and batch: workloads. Their controllers are in platform/controllers. */
#include "api/meta.h"
#include "api/selector.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"

FIELD_TABLE(deployment_condition_fields, "io.k8s.api.apps.v1.DeploymentCondition",
	"A condition of a Deployment.", CONDITION_ROWS,
	ROW_TIME("lastUpdateTime", "When it was last written."));
FIELD_TABLE(job_condition_fields, "io.k8s.api.batch.v1.JobCondition", "A condition of a Job.", CONDITION_ROWS,
	ROW_TIME("lastProbeTime", "When it was last looked at."));

FIELD_TABLE(deployment_fields, "io.k8s.api.apps.v1.Deployment",
	"Pods that are kept running and replaced gradually.", ROW_OBJ("spec", "What is wanted."),
	{ "spec.replicas", F_INT32, 0, "Pods wanted.", .deflt = "1", .max = INT32_MAX },
	{ "spec.selector", F_REF, FIELD_REQUIRED | FIELD_IMMUTABLE, "Labels of its pods.",
		.ref = &label_selector_fields },
	{ "spec.template", F_REF, FIELD_REQUIRED, "What pods are made from.", .ref = &pod_template_fields },
	{ "spec.strategy", F_OBJECT, FIELD_RETAIN_KEYS, "How pods are replaced." },
	ROW_ENUM("spec.strategy.type", "Recreate|RollingUpdate", "Recreate or RollingUpdate."),
	ROW_OBJ("spec.strategy.rollingUpdate", "Pace of a rolling update."),
	ROW_IOS("spec.strategy.rollingUpdate.maxUnavailable", "Pods that may be missing."),
	ROW_IOS("spec.strategy.rollingUpdate.maxSurge", "Pods that may be too many."),
	ROW_I32("spec.minReadySeconds", "Seconds a pod must be ready to count."),
	{ "spec.revisionHistoryLimit", F_INT32, 0, "Old ReplicaSets kept.", .deflt = "10" },
	ROW_BOOL("spec.paused", "Whether roll-outs are held."),
	{ "spec.progressDeadlineSeconds", F_INT32, 0, "Seconds until a roll-out counts as stuck.",
		.deflt = "600" },
	ROW_OBJ("status", "What is."), ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_I32("status.replicas", "Pods."),
	ROW_I32("status.updatedReplicas", "Pods of the newest template."),
	ROW_I32("status.readyReplicas", "Ready pods."),
	ROW_I32("status.availableReplicas", "Available pods."),
	ROW_I32("status.unavailableReplicas", "Pods missing."),
	ROW_I32("status.terminatingReplicas", "Pods going."),
	ROW_I32("status.collisionCount", "Hash collisions."),
	ROW_CONDITIONS("status.conditions", deployment_condition_fields));

FIELD_TABLE(replicaset_fields, "io.k8s.api.apps.v1.ReplicaSet", "A number of equal pods.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.replicas", F_INT32, 0, "Pods wanted.", .deflt = "1", .max = INT32_MAX },
	ROW_I32("spec.minReadySeconds", "Seconds a pod must be ready."),
	{ "spec.selector", F_REF, FIELD_REQUIRED | FIELD_IMMUTABLE, "Labels of its pods.",
		.ref = &label_selector_fields },
	ROW_REF("spec.template", pod_template_fields, "What pods are made from."),
	ROW_OBJ("status", "What is."), { "status.replicas", F_INT32, 0, "Pods.", .deflt = "0" },
	ROW_I32("status.fullyLabeledReplicas", "Pods with all labels of the template."),
	ROW_I32("status.readyReplicas", "Ready pods."),
	ROW_I32("status.availableReplicas", "Available pods."),
	ROW_I32("status.terminatingReplicas", "Pods going."),
	ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

FIELD_TABLE(daemonset_fields, "io.k8s.api.apps.v1.DaemonSet", "A pod on every node.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.selector", F_REF, FIELD_REQUIRED | FIELD_IMMUTABLE, "Labels of its pods.",
		.ref = &label_selector_fields },
	{ "spec.template", F_REF, FIELD_REQUIRED, "What pods are made from.", .ref = &pod_template_fields },
	ROW_OBJ("spec.updateStrategy", "How pods are replaced."),
	ROW_ENUM("spec.updateStrategy.type", "OnDelete|RollingUpdate", "OnDelete or RollingUpdate."),
	ROW_OBJ("spec.updateStrategy.rollingUpdate", "Pace of a rolling update."),
	ROW_IOS("spec.updateStrategy.rollingUpdate.maxUnavailable", "Nodes that may be without."),
	ROW_IOS("spec.updateStrategy.rollingUpdate.maxSurge", "Nodes that may have two."),
	ROW_I32("spec.minReadySeconds", "Seconds a pod must be ready."),
	{ "spec.revisionHistoryLimit", F_INT32, 0, "Old revisions kept.", .deflt = "10" },
	ROW_OBJ("status", "What is."),
	{ "status.currentNumberScheduled", F_INT32, 0, "Nodes with a pod that should have one.",
		.deflt = "0" },
	{ "status.numberMisscheduled", F_INT32, 0, "Nodes with a pod that should not.", .deflt = "0" },
	{ "status.desiredNumberScheduled", F_INT32, 0, "Nodes that should have a pod.", .deflt = "0" },
	{ "status.numberReady", F_INT32, 0, "Ready pods.", .deflt = "0" },
	ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_I32("status.updatedNumberScheduled", "Updated pods."),
	ROW_I32("status.numberAvailable", "Available pods."),
	ROW_I32("status.numberUnavailable", "Pods missing."),
	ROW_I32("status.collisionCount", "Hash collisions."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

FIELD_TABLE(claim_template_fields, NULL, "A claim made for each pod.",
	ROW_STR("apiVersion", "API version; may be left out."), ROW_STR("kind", "Kind; may be left out."),
	ROW_REF("metadata", object_meta_fields, "Metadata; the name is completed by the pod's."),
	ROW_REF("spec", pvc_spec_fields, "What storage is wanted."),
	ROW_REF("status", pvc_status_fields, "Of no meaning here."));
FIELD_TABLE(statefulset_fields, "io.k8s.api.apps.v1.StatefulSet", "Pods with names and storage of their own.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.replicas", F_INT32, 0, "Pods wanted.", .deflt = "1", .max = INT32_MAX },
	{ "spec.selector", F_REF, FIELD_REQUIRED | FIELD_IMMUTABLE, "Labels of its pods.",
		.ref = &label_selector_fields },
	{ "spec.template", F_REF, FIELD_REQUIRED, "What pods are made from.", .ref = &pod_template_fields },
	ROW_REFS("spec.volumeClaimTemplates", claim_template_fields, "Claims made for each pod."),
	ROW_STR("spec.serviceName", "Service of its pods."),
	{ "spec.podManagementPolicy", F_STRING, 0, "One after the other, or all at once.",
		.deflt = "\"OrderedReady\"", .enums = "OrderedReady|Parallel" },
	{ "spec.updateStrategy", F_OBJECT, 0, "How pods are replaced.",
		.deflt = "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":0}}" },
	ROW_ENUM("spec.updateStrategy.type", "OnDelete|RollingUpdate", "OnDelete or RollingUpdate."),
	ROW_OBJ("spec.updateStrategy.rollingUpdate", "Pace of a rolling update."),
	ROW_I32("spec.updateStrategy.rollingUpdate.partition",
		"Pods below this number keep the old template."),
	ROW_IOS("spec.updateStrategy.rollingUpdate.maxUnavailable", "Pods that may be missing."),
	{ "spec.revisionHistoryLimit", F_INT32, 0, "Old revisions kept.", .deflt = "10" },
	ROW_I32("spec.minReadySeconds", "Seconds a pod must be ready."),
	{ "spec.persistentVolumeClaimRetentionPolicy", F_OBJECT, 0, "What becomes of claims.",
		.deflt = "{\"whenDeleted\":\"Retain\",\"whenScaled\":\"Retain\"}" },
	ROW_ENUM("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Delete|Retain",
		"When the StatefulSet is deleted."),
	ROW_ENUM("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Delete|Retain", "When it shrinks."),
	ROW_OBJ("spec.ordinals", "How pods are numbered."),
	{ "spec.ordinals.start", F_INT32, FIELD_REQUIRED, "First number." }, ROW_OBJ("status", "What is."),
	{ "status.replicas", F_INT32, 0, "Pods.", .deflt = "0" },
	ROW_I32("status.readyReplicas", "Ready pods."),
	ROW_I32("status.currentReplicas", "Pods of the current revision."),
	ROW_I32("status.updatedReplicas", "Updated pods."),
	{ "status.availableReplicas", F_INT32, 0, "Available pods.", .deflt = "0" },
	ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_STR("status.currentRevision", "Revision."), ROW_STR("status.updateRevision", "Newest revision."),
	ROW_I32("status.collisionCount", "Hash collisions."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

FIELD_TABLE(controllerrevision_fields, "io.k8s.api.apps.v1.ControllerRevision",
	"A remembered state of an object.", { "data", F_OBJECT, FIELD_OPEN | FIELD_IMMUTABLE, "The state." },
	{ "revision", F_INT, 0, "Number, which grows.", .deflt = "0" });

/* fixed: what a Job can not change any more, and a template of Jobs can. */
#define JOB_SPEC_ROWS(fixed)                                                                                 \
	ROW_I32("parallelism", "Pods at once."), ROW_I32("completions", "Successes wanted."),                \
		ROW_INT("activeDeadlineSeconds", "Seconds after which it fails."),                           \
		{ "backoffLimit", F_INT32, 0, "Failures allowed.", .deflt = "6", .max = INT32_MAX },         \
		{ "selector", F_REF, fixed,                                                                  \
			"Labels of its pods; made up unless manualSelector says otherwise.",                 \
			.ref = &label_selector_fields },                                                     \
		ROW_BOOL("manualSelector", "Selector is the user's."),                                       \
		{ "template", F_REF, FIELD_REQUIRED | (fixed), "What pods are made from.",                   \
			.ref = &pod_template_fields },                                                       \
		ROW_I32("ttlSecondsAfterFinished", "Seconds until it is removed."),                          \
		{ "suspend", F_BOOL, 0, "Whether it is held.", .deflt = "false" },                           \
		{ "completionMode", F_STRING, fixed, "Whether its pods are numbered.",                       \
			.deflt = "\"NonIndexed\"", .enums = "Indexed|NonIndexed" },                          \
		{ "podFailurePolicy", F_OBJECT, fixed,                                                       \
			"What a failed pod means, by exit code or condition." },                             \
		{ "podFailurePolicy.rules", F_LIST, FIELD_ATOMIC, "Rules, the first that fits counts." },    \
		{ "podFailurePolicy.rules[].action", F_STRING, FIELD_REQUIRED, "What it means.",             \
			.enums = "Count|FailIndex|FailJob|Ignore" },                                         \
		ROW_OBJ("podFailurePolicy.rules[].onExitCodes", "Exit codes meant."),                        \
		ROW_STR("podFailurePolicy.rules[].onExitCodes.containerName",                                \
			"Container; any if none is named."),                                                 \
		{ "podFailurePolicy.rules[].onExitCodes.operator", F_STRING, FIELD_REQUIRED, "In or NotIn.", \
			.enums = "In|NotIn" },                                                               \
		{ "podFailurePolicy.rules[].onExitCodes.values", F_LIST, FIELD_REQUIRED | FIELD_SET,         \
			"Exit codes.", .items = F_INT32 },                                                   \
		ROW_LIST("podFailurePolicy.rules[].onPodConditions",                                         \
			"Conditions meant, one of which must be there."),                                    \
		{ "podFailurePolicy.rules[].onPodConditions[].type", F_STRING, FIELD_REQUIRED,               \
			"Type of the condition." },                                                          \
		{ "podFailurePolicy.rules[].onPodConditions[].status", F_STRING, 0, "Its status.",           \
			.deflt = "\"True\"" },                                                               \
		ROW_ENUM("podReplacementPolicy", "Failed|TerminatingOrFailed",                               \
			"When a pod's successor is made."),                                                  \
		{ "backoffLimitPerIndex", F_INT32, fixed, "Failures allowed per index." },                   \
		ROW_I32("maxFailedIndexes", "Indexes allowed to fail."),                                     \
		ROW_OBJ("successPolicy", "When it has succeeded, though not all indexes have."),             \
		{ "successPolicy.rules", F_LIST, FIELD_REQUIRED | FIELD_ATOMIC,                              \
			"Rules, one of which must hold." },                                                  \
		ROW_STR("successPolicy.rules[].succeededIndexes",                                            \
			"Indexes that must have succeeded, as 1,3-5."),                                      \
		ROW_I32("successPolicy.rules[].succeededCount", "How many of them must have."),              \
	{                                                                                                    \
		"managedBy", F_STRING, fixed, "Who runs it."                                                 \
	}
FIELD_TABLE(
	job_spec_fields, "io.k8s.api.batch.v1.JobSpec", "What a Job does.", JOB_SPEC_ROWS(FIELD_IMMUTABLE));
FIELD_TABLE(job_template_spec_fields, NULL, "What the Jobs do.", JOB_SPEC_ROWS(0));
FIELD_TABLE(job_fields, "io.k8s.api.batch.v1.Job", "Pods that run to an end.",
	ROW_REF("spec", job_spec_fields, "What is wanted."), ROW_OBJ("status", "What is."),
	ROW_TIME("status.startTime", "Start."), ROW_TIME("status.completionTime", "End."),
	ROW_I32("status.active", "Pods running."), ROW_I32("status.ready", "Ready pods."),
	ROW_I32("status.succeeded", "Pods that succeeded."), ROW_I32("status.failed", "Pods that failed."),
	ROW_I32("status.terminating", "Pods going."), ROW_STR("status.completedIndexes", "Indexes done."),
	ROW_STR("status.failedIndexes", "Indexes failed."),
	ROW_OBJ("status.uncountedTerminatedPods", "Ended pods that are not yet counted."),
	{ "status.uncountedTerminatedPods.succeeded", F_LIST, FIELD_SET, "UIDs of those that succeeded.",
		.items = F_STRING },
	{ "status.uncountedTerminatedPods.failed", F_LIST, FIELD_SET, "UIDs of those that failed.",
		.items = F_STRING },
	{ "status.conditions", F_REF_LIST, FIELD_ATOMIC, "What is known about it, by type.", .keys = "type",
		.ref = &job_condition_fields });

/* ---- defaults and checks ---- */
static void template_default(struct json_doc *d, struct json *o)
{
	default_pod_spec(d, json_at(o, "/spec/template/spec"));
}

static void deployment_default(struct json_doc *d, struct json *o)
{
	struct json *strategy = json_need_obj(d, json_need_obj(d, o, "spec"), "strategy");

	default_str(d, strategy, "type", "RollingUpdate");
	if (str_eq(json_get_str(strategy, "type"), "RollingUpdate")) {
		struct json *rolling = json_need_obj(d, strategy, "rollingUpdate");

		default_str(d, rolling, "maxUnavailable", "25%");
		default_str(d, rolling, "maxSurge", "25%");
	}
	template_default(d, o);
}

static void daemonset_default(struct json_doc *d, struct json *o)
{
	struct json *strategy = json_need_obj(d, json_need_obj(d, o, "spec"), "updateStrategy");

	default_str(d, strategy, "type", "RollingUpdate");
	if (str_eq(json_get_str(strategy, "type"), "RollingUpdate")) {
		struct json *rolling = json_need_obj(d, strategy, "rollingUpdate");

		default_int(d, rolling, "maxUnavailable", 1);
		default_int(d, rolling, "maxSurge", 0);
	}
	template_default(d, o);
}

static void statefulset_default(struct json_doc *d, struct json *o)
{
	JSON_EACH (it, json_at(o, "/spec/volumeClaimTemplates")) {
		default_str(d, it.val, "apiVersion", "v1");
		default_str(d, it.val, "kind", "PersistentVolumeClaim");
		default_str(d, json_need_obj(d, it.val, "spec"), "volumeMode", "Filesystem");
		default_str(d, json_need_obj(d, it.val, "status"), "phase", "Pending");
	}
	template_default(d, o);
}

static void job_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_need_obj(d, o, "spec");

	if (!json_get(spec, "parallelism"))
		default_int(d, spec, "completions", 1);
	default_int(d, spec, "parallelism", 1);
	default_bool(d, spec, "manualSelector", false);
	default_str(d, spec, "podReplacementPolicy",
		json_get(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
	template_default(d, o);
}

static int job_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	struct json *spec = json_need_obj(d, o, "spec");
	struct json *labels;
	const char *uid = json_at_str(o, "/metadata/uid");

	if (old || json_bool(json_get(spec, "manualSelector")) || !uid)
		return 0;
	json_put(d, spec, "/selector/matchLabels/batch.kubernetes.io~1controller-uid", json_new_str(d, uid));
	labels = json_need_obj(d, json_need_obj(d, json_need_obj(d, spec, "template"), "metadata"), "labels");
	json_set_str(d, labels, "batch.kubernetes.io/controller-uid", uid);
	json_set_str(d, labels, "controller-uid", uid);
	json_set_copy(d, labels, "batch.kubernetes.io/job-name", json_at(o, "/metadata/name"));
	json_set_copy(d, labels, "job-name", json_at(o, "/metadata/name"));
	if (json_len(json_at(o, "/metadata/labels")) == 0)
		json_set_copy(d, json_need_obj(d, o, "metadata"), "labels", labels);
	return 0;
}

static void workload_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	CLEANUP(selector_freep) struct selector *selector = NULL;
	const struct json *labels = json_at(o, "/spec/template/metadata/labels");
	struct err e = { 0 };

	validate_pod_spec(json_at(o, "/spec/template/spec"), "spec.template.spec", c);
	if (selector_from_json(json_at(o, "/spec/selector"), &selector, &e) < 0)
		cause_invalid(c, "spec.selector", json_at(o, "/spec/selector"), "%s", e.msg);
	else if (json_len(json_at(o, "/spec/selector")) == 0)
		cause_invalid(c, "spec.selector", json_at(o, "/spec/selector"),
			"empty selector is invalid for deployment");
	else if (!selector_matches(selector, labels))
		cause_invalid(c, "spec.template.metadata.labels", labels,
			"`selector` does not match template `labels`");
}

/* Jobs end: what a container's end means is for the Job to say. */
static void job_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const policies[] = { "OnFailure", "Never", NULL };
	const struct json *policy = json_at(o, "/spec/template/spec/restartPolicy");

	validate_pod_spec(json_at(o, "/spec/template/spec"), "spec.template.spec", c);
	if (!str_in(json_str(policy), policies))
		cause_not_supported(c, "spec.template.spec.restartPolicy", policy, policies);
}

/* ---- columns ---- */
static struct json *ready_of_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_strf(d, "%lld/%lld", (long long)json_i64(json_at(o, "/status/readyReplicas")),
		(long long)json_i64(json_at(o, "/spec/replicas")));
}

static struct json *int_at(struct json_doc *d, const struct json *o, const char *pointer)
{
	return json_new_i64(d, json_i64(json_at(o, pointer)));
}
#define INT_CELL(name, pointer)                                                            \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return int_at(d, o, pointer);                                              \
	}
INT_CELL(updated_cell, "/status/updatedReplicas")
INT_CELL(available_cell, "/status/availableReplicas")
INT_CELL(desired_cell, "/spec/replicas")
INT_CELL(current_cell, "/status/replicas")
INT_CELL(ready_cell, "/status/readyReplicas")
INT_CELL(ds_desired_cell, "/status/desiredNumberScheduled")
INT_CELL(ds_current_cell, "/status/currentNumberScheduled")
INT_CELL(ds_ready_cell, "/status/numberReady")
INT_CELL(ds_updated_cell, "/status/updatedNumberScheduled")
INT_CELL(ds_available_cell, "/status/numberAvailable")

static struct json *node_selector_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/spec/template/spec/nodeSelector"))
		str_addf(&s, "%s%s=%s", s.len ? "," : "", it.key, json_str_or(it.val, ""));
	return json_new_str(d, s.len ? s.data : "<none>");
}

static bool job_is(const struct json *o, const char *type)
{
	return cond_is(json_at(o, "/status/conditions"), type, "True");
}

static struct json *job_status_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char *const shown[] = { "Complete", "Failed", "Suspended", "FailureTarget",
		"SuccessCriteriaMet" };

	if (json_at(o, "/metadata/deletionTimestamp") && !job_is(o, "Complete") && !job_is(o, "Failed"))
		return json_new_str(d, "Terminating");
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (job_is(o, shown[i]))
			return json_new_str(d, shown[i]);
	return json_new_str(d, "Running");
}

static struct json *job_completions_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *completions = json_at(o, "/spec/completions");
	long long done = (long long)json_i64(json_at(o, "/status/succeeded"));
	long long parallel = (long long)json_i64(json_at(o, "/spec/parallelism"));

	if (completions)
		return json_new_strf(d, "%lld/%lld", done, (long long)json_i64(completions));
	return parallel > 1 ? json_new_strf(d, "%lld/1 of %lld", done, parallel)
			    : json_new_strf(d, "%lld/1", done);
}

static struct json *job_duration_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	int64_t start, end = now_ms;
	char buf[TIME_TEXT_MAX];

	if (!time_parse(json_str_or(json_at(o, "/status/startTime"), ""), &start))
		return json_new_str(d, "");
	time_parse(json_str_or(json_at(o, "/status/completionTime"), ""), &end);
	return json_new_str(d, time_age(end - start, buf));
}

#define WIDE_COLUMNS                                                                                      \
	{ "Containers", "string", NULL, "Names of the containers.", 1, NULL, cell_template_containers },  \
		{ "Images", "string", NULL, "Images of the containers.", 1, NULL, cell_template_images }, \
		{ "Selector", "string", NULL, "Labels of the pods.", 1, NULL, cell_selector },            \
	{                                                                                                 \
		0                                                                                         \
	}

static const struct column deployment_columns[] = {
	{ "Ready", "string", NULL, "Ready of wanted.", 0, NULL, ready_of_cell },
	{ "Up-to-date", "string", NULL, "Updated pods.", 0, NULL, updated_cell },
	{ "Available", "string", NULL, "Available pods.", 0, NULL, available_cell },
	COLUMN_AGE,
	WIDE_COLUMNS,
};
static const struct column replicaset_columns[] = {
	{ "Desired", "integer", NULL, "Wanted.", 0, NULL, desired_cell },
	{ "Current", "integer", NULL, "Present.", 0, NULL, current_cell },
	{ "Ready", "integer", NULL, "Ready.", 0, NULL, ready_cell },
	COLUMN_AGE,
	WIDE_COLUMNS,
};
static const struct column daemonset_columns[] = {
	{ "Desired", "integer", NULL, "Nodes that should have a pod.", 0, NULL, ds_desired_cell },
	{ "Current", "integer", NULL, "Nodes that have one.", 0, NULL, ds_current_cell },
	{ "Ready", "integer", NULL, "Ready pods.", 0, NULL, ds_ready_cell },
	{ "Up-to-date", "integer", NULL, "Updated pods.", 0, NULL, ds_updated_cell },
	{ "Available", "integer", NULL, "Available pods.", 0, NULL, ds_available_cell },
	{ "Node Selector", "string", NULL, "Nodes meant.", 0, NULL, node_selector_cell },
	COLUMN_AGE,
	WIDE_COLUMNS,
};
static const struct column statefulset_columns[] = {
	{ "Ready", "string", NULL, "Ready of wanted.", 0, NULL, ready_of_cell },
	COLUMN_AGE,
	{ "Containers", "string", NULL, "Names of the containers.", 1, NULL, cell_template_containers },
	{ "Images", "string", NULL, "Images of the containers.", 1, NULL, cell_template_images },
	{ 0 },
};
static struct json *revision_owner_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	JSON_EACH (it, json_at(o, "/metadata/ownerReferences")) {
		CLEANUP(mem_freep) char *kind = str_lower(json_str_or(json_get(it.val, "kind"), ""));

		if (json_bool(json_get(it.val, "controller")))
			return json_new_strf(d, "%s/%s", kind, json_str_or(json_get(it.val, "name"), ""));
	}
	return json_new_str(d, "<none>");
}
static const struct column revision_columns[] = {
	{ "Controller", "string", NULL, "Owner.", 0, NULL, revision_owner_cell },
	{ "Revision", "integer", NULL, "Number.", 0, ".revision", NULL },
	COLUMN_AGE,
	{ 0 },
};
static const struct column job_columns[] = {
	{ "Status", "string", NULL, "State.", 0, NULL, job_status_cell },
	{ "Completions", "string", NULL, "Successes of wanted.", 0, NULL, job_completions_cell },
	{ "Duration", "string", NULL, "How long it took.", 0, NULL, job_duration_cell },
	COLUMN_AGE,
	WIDE_COLUMNS,
};

static const struct subresource status_and_scale[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "scale", "autoscaling", "v1", "Scale", VERBS_STATUS },
	{ 0 },
};
static const char *const all[] = { "all", NULL };
static const char *const deploy_names[] = { "deploy", NULL }, *const rs_names[] = { "rs", NULL },
			 *const ds_names[] = { "ds", NULL };
static const char *const sts_names[] = { "sts", NULL };
static const char *const job_selectable[] = { "status.successful|status.succeeded=0", NULL };
static const char *const rs_selectable[] = { "status.replicas=0", NULL };

#define APPS(k, p, s) \
	.group = "apps", .version = "v1", .kind = k, .plural = p, .singular = s, .namespaced = true
#define SCALE .scale = { ".spec.replicas", ".status.replicas", ".spec.selector" }

const struct resource_def builtin_apps[] = {
	{ .kind = { APPS("Deployment", "deployments", "deployment"), .short_names = deploy_names,
		  .categories = all, .has_status = true, .has_scale = true, .fields = &deployment_fields },
		.rules = { .generation = GEN_SPEC_AND_ANNOTATIONS },
		.subresources = status_and_scale,
		.columns = deployment_columns,
		SCALE,
		.hooks = { .deflt = deployment_default, .validate = workload_validate } },
	{ .kind = { APPS("ReplicaSet", "replicasets", "replicaset"), .short_names = rs_names,
		  .categories = all, .has_status = true, .has_scale = true, .fields = &replicaset_fields },
		.rules = { .generation = GEN_SPEC },
		.subresources = status_and_scale,
		.columns = replicaset_columns,
		SCALE,
		.selectable = rs_selectable,
		.hooks = { .deflt = template_default, .validate = workload_validate } },
	{ .kind = { APPS("DaemonSet", "daemonsets", "daemonset"), .short_names = ds_names, .categories = all,
		  .has_status = true, .fields = &daemonset_fields },
		.rules = { .generation = GEN_SPEC },
		.subresources = status_only,
		.columns = daemonset_columns,
		.hooks = { .deflt = daemonset_default, .validate = workload_validate } },
	{ .kind = { APPS("StatefulSet", "statefulsets", "statefulset"), .short_names = sts_names,
		  .categories = all, .has_status = true, .has_scale = true, .fields = &statefulset_fields },
		.rules = { .generation = GEN_SPEC },
		.subresources = status_and_scale,
		.columns = statefulset_columns,
		SCALE,
		.hooks = { .deflt = statefulset_default, .validate = workload_validate } },
	{ .kind = { APPS("ControllerRevision", "controllerrevisions", "controllerrevision"),
		  .fields = &controllerrevision_fields },
		.columns = revision_columns },
	{ .kind = { .group = "batch",
		  .version = "v1",
		  .kind = "Job",
		  .plural = "jobs",
		  .singular = "job",
		  .namespaced = true,
		  .categories = all,
		  .has_status = true,
		  .fields = &job_fields },
		.rules = { .generation = GEN_SPEC, .orphans = true },
		.subresources = status_only,
		.columns = job_columns,
		.selectable = job_selectable,
		.hooks = { .deflt = job_default, .prepare = job_prepare, .validate = job_validate } },
	{ .kind = { 0 } },
};
