/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that clients expect to be there and that nothing on this host acts upon: they are stored, checked and shown, for the
 * programs that come with their own controllers (docs/kubernetes-api.md says which). */
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"

/* ---- core and batch ---- */
FIELD_TABLE(replicationcontroller_fields, "io.k8s.api.core.v1.ReplicationController",
	"A number of equal pods, of old; ReplicaSet takes its place.", ROW_OBJ("spec", "What is wanted."),
	{ "spec.replicas", F_INT32, 0, "Pods wanted.", .deflt = "1" },
	ROW_I32("spec.minReadySeconds", "Seconds a pod must be ready to count."),
	{ "spec.selector", F_MAP, FIELD_ATOMIC, "Labels of its pods; the template's if there are none.",
		.items = F_STRING },
	ROW_REF("spec.template", pod_template_fields, "What pods are made from."),
	ROW_OBJ("status", "What is."), { "status.replicas", F_INT32, 0, "Pods.", .deflt = "0" },
	ROW_I32("status.fullyLabeledReplicas", "Pods with all labels of the template."),
	ROW_I32("status.readyReplicas", "Ready pods."),
	ROW_I32("status.availableReplicas", "Available pods."),
	ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

static void replicationcontroller_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_get(o, "spec");
	const struct json *labels = json_at(spec, "/template/metadata/labels");

	default_pod_spec(d, json_at(spec, "/template/spec"));
	if (!json_len(labels))
		return;
	if (!json_len(json_get(spec, "selector")))
		json_set_copy(d, spec, "selector", labels);
	if (!json_len(json_at(o, "/metadata/labels")))
		json_set_copy(d, json_need_obj(d, o, "metadata"), "labels", labels);
}

FIELD_TABLE(podtemplate_fields, "io.k8s.api.core.v1.PodTemplate", "A template of pods, on its own.",
	ROW_REF("template", pod_template_fields, "What pods are made from."));

FIELD_TABLE(cronjob_fields, "io.k8s.api.batch.v1.CronJob", "Jobs made by the clock.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.schedule", F_STRING, FIELD_REQUIRED, "When, in cron's notation." },
	ROW_STR("spec.timeZone", "Time zone of the schedule."),
	ROW_INT("spec.startingDeadlineSeconds", "How late a run may start."),
	{ "spec.concurrencyPolicy", F_STRING, 0, "Whether runs may overlap.", .deflt = "\"Allow\"",
		.enums = "Allow|Forbid|Replace" },
	{ "spec.suspend", F_BOOL, 0, "Whether no new runs start.", .deflt = "false" },
	{ "spec.jobTemplate", F_OBJECT, FIELD_REQUIRED, "What Jobs are made from." },
	ROW_REF("spec.jobTemplate.metadata", object_meta_fields, "Metadata of the Jobs."),
	ROW_REF("spec.jobTemplate.spec", job_template_spec_fields, "What a Job does."),
	{ "spec.successfulJobsHistoryLimit", F_INT32, 0, "Jobs kept that succeeded.", .deflt = "3" },
	{ "spec.failedJobsHistoryLimit", F_INT32, 0, "Jobs kept that failed.", .deflt = "1" },
	ROW_OBJ("status", "What is."), ROW_REFS("status.active", object_reference_fields, "Jobs that run."),
	ROW_TIME("status.lastScheduleTime", "When a run was last due."),
	ROW_TIME("status.lastSuccessfulTime", "When a run last succeeded."));

static void replicationcontroller_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec");

	if (json_len(json_get(spec, "selector")) == 0)
		cause_required(c, "spec.selector", NULL);
	if (!json_get(spec, "template"))
		cause_required(c, "spec.template", NULL);
	else
		validate_pod_spec(json_at(spec, "/template/spec"), "spec.template.spec", c);
}

static void podtemplate_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	validate_pod_spec(json_at(o, "/template/spec"), "template.spec", c);
}

static void cronjob_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char at[] = "spec.jobTemplate.spec.template.spec";
	const struct json *spec = json_at(o, "/spec/jobTemplate/spec/template/spec");
	const struct json *policy = json_get(spec, "restartPolicy");

	if (!old)
		validate_pod_spec(spec, at, c);
	if (str_eq(json_str_or(policy, "Always"), "Always"))
		cause_required(c, "spec.jobTemplate.spec.template.spec.restartPolicy",
			"valid values: \"OnFailure\", \"Never\"");
}

static void podtemplate_default(struct json_doc *d, struct json *o)
{
	default_pod_spec(d, json_at(o, "/template/spec"));
}

static void cronjob_default(struct json_doc *d, struct json *o)
{
	default_pod_spec(d, json_at(o, "/spec/jobTemplate/spec/template/spec"));
}

static struct json *text_or_none(struct json_doc *d, const struct json *o, const char *pointer)
{
	const char *s = json_at_str(o, pointer);

	return json_new_str(d, str_empty(s) ? "<none>" : s);
}
#define NONE_CELL(name, pointer)                                                           \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return text_or_none(d, o, pointer);                                        \
	}
#define BOOL_CELL(name, pointer)                                                           \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return json_new_bool(d, json_bool(json_at(o, pointer)));                   \
	}
#define INT_CELL(name, pointer)                                                            \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return json_new_i64(d, json_i64(json_at(o, pointer)));                     \
	}
#define LEN_CELL(name, pointer)                                                            \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return json_new_i64(d, (int64_t)json_len(json_at(o, pointer)));            \
	}
INT_CELL(desired_cell, "/spec/replicas")
INT_CELL(current_cell, "/status/replicas")
INT_CELL(ready_cell, "/status/readyReplicas")
NONE_CELL(zone_cell, "/spec/timeZone")
LEN_CELL(active_cell, "/status/active")

static struct json *suspend_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, json_bool(json_at(o, "/spec/suspend")) ? "True" : "False");
}

static struct json *last_schedule_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	char buf[TIME_TEXT_MAX];
	int64_t t;

	if (!time_parse(json_str_or(json_at(o, "/status/lastScheduleTime"), ""), &t))
		return json_new_str(d, "<none>");
	return json_new_str(d, time_age(now_ms - t, buf));
}

static struct json *members_text(struct json_doc *d, const struct json *list, const char *member)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, list)
		str_addf(&s, "%s%s", s.len ? "," : "", json_str_or(json_get(it.val, member), ""));
	return json_new_str(d, str_cstr(&s));
}
#define MEMBERS_CELL(name, pointer, member)                                                \
	static struct json *name(struct json_doc *d, const struct json *o, int64_t now_ms) \
	{                                                                                  \
		return members_text(d, json_at(o, pointer), member);                       \
	}
MEMBERS_CELL(cron_containers_cell, "/spec/jobTemplate/spec/template/spec/containers", "name")
MEMBERS_CELL(cron_images_cell, "/spec/jobTemplate/spec/template/spec/containers", "image")
MEMBERS_CELL(template_containers_cell, "/template/spec/containers", "name")
MEMBERS_CELL(template_images_cell, "/template/spec/containers", "image")

static struct json *cron_selector_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return cell_selector_at(d, json_at(o, "/spec/jobTemplate/spec/selector"));
}

static struct json *template_labels_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return cell_selector_at(d, json_at(o, "/template/metadata/labels"));
}

static const struct column replicationcontroller_columns[] = {
	{ "Desired", "integer", NULL, "Wanted.", 0, NULL, desired_cell },
	{ "Current", "integer", NULL, "Present.", 0, NULL, current_cell },
	{ "Ready", "integer", NULL, "Ready.", 0, NULL, ready_cell },
	COLUMN_AGE,
	{ "Containers", "string", NULL, "Names of the containers.", 1, NULL, cell_template_containers },
	{ "Images", "string", NULL, "Images of the containers.", 1, NULL, cell_template_images },
	{ "Selector", "string", NULL, "Labels of the pods.", 1, NULL, cell_selector },
	{ 0 },
};
static const struct column podtemplate_columns[] = {
	{ "Containers", "string", NULL, "Names of the containers.", 0, NULL, template_containers_cell },
	{ "Images", "string", NULL, "Images of the containers.", 0, NULL, template_images_cell },
	{ "Pod Labels", "string", NULL, "Labels of the pods.", 0, NULL, template_labels_cell },
	{ 0 },
};
static const struct column cronjob_columns[] = {
	{ "Schedule", "string", NULL, "When.", 0, ".spec.schedule", NULL },
	{ "Timezone", "string", NULL, "Time zone of the schedule.", 0, NULL, zone_cell },
	{ "Suspend", "boolean", NULL, "Whether no new runs start.", 0, NULL, suspend_cell },
	{ "Active", "integer", NULL, "Jobs that run.", 0, NULL, active_cell },
	{ "Last Schedule", "string", NULL, "When a run was last due.", 0, NULL, last_schedule_cell },
	COLUMN_AGE,
	{ "Containers", "string", NULL, "Names of the containers.", 1, NULL, cron_containers_cell },
	{ "Images", "string", NULL, "Images of the containers.", 1, NULL, cron_images_cell },
	{ "Selector", "string", NULL, "Labels of the pods.", 1, NULL, cron_selector_cell },
	{ 0 },
};

/* ---- networking, node ---- */
FIELD_TABLE(ingressclass_fields, "io.k8s.api.networking.v1.IngressClass", "Who makes Ingresses work.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.controller", F_STRING, 0, "The controller, such as example.com/ingress.", .max = 250 },
	ROW_OBJ("spec.parameters", "Object with its settings."),
	ROW_STR("spec.parameters.apiGroup", "API group of the object."),
	{ "spec.parameters.kind", F_STRING, FIELD_REQUIRED, "Kind of the object." },
	{ "spec.parameters.name", F_STRING, FIELD_REQUIRED, "Name of the object." },
	{ "spec.parameters.scope", F_STRING, 0, "Cluster or Namespace.", .deflt = "\"Cluster\"",
		.enums = "Cluster|Namespace" },
	ROW_STR("spec.parameters.namespace", "Namespace of the object."));

static struct json *parameters_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *p = json_at(o, "/spec/parameters");
	const char *group = json_get_str(p, "apiGroup"), *kind = json_str_or(json_get(p, "kind"), "");
	const char *name = json_str_or(json_get(p, "name"), "");

	if (!json_is_obj(p))
		return json_new_str(d, "<none>");
	return str_empty(group) ? json_new_strf(d, "%s/%s", kind, name)
				: json_new_strf(d, "%s.%s/%s", kind, group, name);
}
static const struct column ingressclass_columns[] = {
	{ "Controller", "string", NULL, "The controller.", 0, ".spec.controller", NULL },
	{ "Parameters", "string", NULL, "Object with its settings.", 0, NULL, parameters_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(runtimeclass_fields, "io.k8s.api.node.v1.RuntimeClass", "An OCI runtime pods may ask for.",
	{ "handler", F_STRING, FIELD_REQUIRED | FIELD_IMMUTABLE, "What the node calls it." },
	ROW_OBJ("overhead", "What it costs."),
	ROW_QMAP("overhead.podFixed", "Resources each pod needs besides its own."),
	ROW_OBJ("scheduling", "Which nodes have it."),
	{ "scheduling.nodeSelector", F_MAP, FIELD_ATOMIC, "Labels of these nodes.", .items = F_STRING },
	ROW_REFS(
		"scheduling.tolerations", toleration_fields, "Taints of these nodes that pods put up with."));
static const struct column runtimeclass_columns[] = {
	{ "Handler", "string", NULL, "What the node calls it.", 0, ".handler", NULL },
	COLUMN_AGE,
	{ 0 },
};

/* ---- storage ---- */
FIELD_TABLE(csidriver_fields, "io.k8s.api.storage.v1.CSIDriver", "What a CSI driver can do.",
	{ "spec", F_OBJECT, 0, "What is wanted.", .deflt = "{}" },
	{ "spec.attachRequired", F_BOOL, 0, "Whether volumes are attached before they are mounted.",
		.deflt = "true" },
	{ "spec.podInfoOnMount", F_BOOL, 0, "Whether it is told about the pod.", .deflt = "false" },
	{ "spec.volumeLifecycleModes", F_LIST, FIELD_SET, "Persistent, Ephemeral.", .items = F_STRING },
	{ "spec.storageCapacity", F_BOOL, 0, "Whether free space is looked at for placement.",
		.deflt = "false" },
	{ "spec.fsGroupPolicy", F_STRING, 0, "When volumes get the pod's group.",
		.deflt = "\"ReadWriteOnceWithFSType\"", .enums = "File|None|ReadWriteOnceWithFSType" },
	ROW_LIST("spec.tokenRequests", "Tokens of the pod's service account it needs."),
	{ "spec.tokenRequests[].audience", F_STRING, FIELD_REQUIRED, "Whom the token is for." },
	ROW_INT("spec.tokenRequests[].expirationSeconds", "Lifetime of the token."),
	{ "spec.requiresRepublish", F_BOOL, 0, "Whether it is asked to mount again and again.",
		.deflt = "false" },
	{ "spec.seLinuxMount", F_BOOL, 0, "Whether it mounts with a label.", .deflt = "false" },
	ROW_INT("spec.nodeAllocatableUpdatePeriodSeconds", "How often the room on nodes is asked for."));
BOOL_CELL(attach_cell, "/spec/attachRequired")
BOOL_CELL(pod_info_cell, "/spec/podInfoOnMount")
BOOL_CELL(capacity_cell, "/spec/storageCapacity")
BOOL_CELL(republish_cell, "/spec/requiresRepublish")
MEMBERS_CELL(token_requests_cell, "/spec/tokenRequests", "audience")

static struct json *tokens_or_unset_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_len(json_at(o, "/spec/tokenRequests")) ? token_requests_cell(d, o, now_ms)
							   : json_new_str(d, "<unset>");
}

static struct json *modes_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/spec/volumeLifecycleModes"))
		str_addf(&s, "%s%s", s.len ? "," : "", json_str_or(it.val, ""));
	return json_new_str(d, s.len ? s.data : "<none>");
}

static void csidriver_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_get(o, "spec");

	if (json_is_obj(spec) && json_len(json_get(spec, "volumeLifecycleModes")) == 0)
		json_append_str(d, json_need_arr(d, spec, "volumeLifecycleModes"), "Persistent");
}
static const struct column csidriver_columns[] = {
	{ "AttachRequired", "boolean", NULL, "Whether volumes are attached.", 0, NULL, attach_cell },
	{ "PodInfoOnMount", "boolean", NULL, "Whether it is told about the pod.", 0, NULL, pod_info_cell },
	{ "StorageCapacity", "boolean", NULL, "Whether free space counts.", 0, NULL, capacity_cell },
	{ "TokenRequests", "string", NULL, "Tokens it needs.", 0, NULL, tokens_or_unset_cell },
	{ "RequiresRepublish", "boolean", NULL, "Whether it mounts again.", 0, NULL, republish_cell },
	{ "Modes", "string", NULL, "Kinds of volumes.", 0, NULL, modes_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(csinode_fields, "io.k8s.api.storage.v1.CSINode", "CSI drivers of a node.",
	{ "spec", F_OBJECT, 0, "What is wanted.", .deflt = "{}" },
	{ "spec.drivers", F_LIST, FIELD_LIST_MAP, "The drivers.", .keys = "name" },
	ROW_KEY("spec.drivers[].name", "Name of the driver."),
	{ "spec.drivers[].nodeID", F_STRING, FIELD_REQUIRED, "What the driver calls the node." },
	ROW_STRS("spec.drivers[].topologyKeys", "Node labels it sets."),
	ROW_OBJ("spec.drivers[].allocatable", "Room for volumes."),
	ROW_I32("spec.drivers[].allocatable.count", "How many volumes fit."));
LEN_CELL(drivers_cell, "/spec/drivers")
static const struct column csinode_columns[] = {
	{ "Drivers", "integer", NULL, "Number of drivers.", 0, NULL, drivers_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(csicapacity_fields, "io.k8s.api.storage.v1.CSIStorageCapacity",
	"Free space of a driver somewhere.",
	ROW_REF("nodeTopology", label_selector_fields, "Nodes it can be reached from."),
	{ "storageClassName", F_STRING, FIELD_REQUIRED | FIELD_IMMUTABLE, "Class of storage meant." },
	ROW_QTY("capacity", "Free space."), ROW_QTY("maximumVolumeSize", "Largest volume that can be made."));
static const struct column csicapacity_columns[] = {
	{ "StorageClass", "string", NULL, "Class of storage meant.", 0, ".storageClassName", NULL },
	{ "Capacity", "string", NULL, "Free space.", 0, ".capacity", NULL },
	{ 0 },
};

FIELD_TABLE(attachment_fields, "io.k8s.api.storage.v1.VolumeAttachment", "A volume at a node.",
	{ "spec", F_OBJECT, FIELD_REQUIRED | FIELD_IMMUTABLE, "What is wanted." },
	{ "spec.attacher", F_STRING, FIELD_REQUIRED, "Driver that attaches it." },
	{ "spec.source", F_OBJECT, FIELD_REQUIRED, "The volume." },
	ROW_STR("spec.source.persistentVolumeName", "The volume by name."),
	ROW_REF("spec.source.inlineVolumeSpec", pv_spec_fields, "The volume in full."),
	{ "spec.nodeName", F_STRING, FIELD_REQUIRED, "The node." }, ROW_OBJ("status", "What is."),
	{ "status.attached", F_BOOL, 0, "Whether it is attached.", .deflt = "false" },
	ROW_SMAP("status.attachmentMetadata", "What the driver says about it."),
	ROW_OBJ("status.attachError", "Why it could not be attached."),
	ROW_TIME("status.attachError.time", "When that was."), ROW_STR("status.attachError.message", "Why."),
	ROW_I32("status.attachError.errorCode", "Code of the driver's answer."),
	ROW_OBJ("status.detachError", "Why it could not be detached."),
	ROW_TIME("status.detachError.time", "When that was."), ROW_STR("status.detachError.message", "Why."),
	ROW_I32("status.detachError.errorCode", "Code of the driver's answer."));
BOOL_CELL(attached_cell, "/status/attached")
static const struct column attachment_columns[] = {
	{ "Attacher", "string", "name", "Driver that attaches it.", 0, ".spec.attacher", NULL },
	{ "PV", "string", NULL, "The volume.", 0, ".spec.source.persistentVolumeName", NULL },
	{ "Node", "string", NULL, "The node.", 0, ".spec.nodeName", NULL },
	{ "Attached", "boolean", NULL, "Whether it is attached.", 0, NULL, attached_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(attributesclass_fields, "io.k8s.api.storage.v1.VolumeAttributesClass",
	"Attributes of volumes that may change later.",
	{ "driverName", F_STRING, FIELD_REQUIRED | FIELD_IMMUTABLE, "CSI driver they are for." },
	{ "parameters", F_MAP, FIELD_IMMUTABLE, "The attributes.", .items = F_STRING });
static const struct column attributesclass_columns[] = {
	{ "DriverName", "string", NULL, "CSI driver they are for.", 0, ".driverName", NULL },
	COLUMN_AGE,
	{ 0 },
};

/* ---- the kinds ---- */
static const struct subresource status_and_scale[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "scale", "autoscaling", "v1", "Scale", VERBS_STATUS },
	{ 0 },
};
static const char *const all[] = { "all", NULL };
static const char *const rc[] = { "rc", NULL }, *const cj[] = { "cj", NULL };
static const char *const vac[] = { "vac", NULL };
static const char *const rc_selectable[] = { "status.replicas=0", NULL };

#define KIND(g, v, k, p, s) .group = g, .version = v, .kind = k, .plural = p, .singular = s

const struct resource_def builtin_more[] = {
	{ .kind = { KIND("", "v1", "ReplicationController", "replicationcontrollers",
			    "replicationcontroller"),
		  .short_names = rc, .categories = all, .namespaced = true, .has_status = true,
		  .has_scale = true, .fields = &replicationcontroller_fields },
		.rules = { .generation = GEN_SPEC, .orphans = true },
		.subresources = status_and_scale,
		.columns = replicationcontroller_columns,
		.selectable = rc_selectable,
		.scale = { ".spec.replicas", ".status.replicas", ".spec.selector" },
		.hooks = { .deflt = replicationcontroller_default,
			.validate = replicationcontroller_validate } },
	{ .kind = { KIND("", "v1", "PodTemplate", "podtemplates", "podtemplate"), .namespaced = true,
		  .fields = &podtemplate_fields },
		.rules = { .generation = GEN_ALL_BUT_META },
		.columns = podtemplate_columns,
		.hooks = { .deflt = podtemplate_default, .validate = podtemplate_validate } },
	{ .kind = { KIND("batch", "v1", "CronJob", "cronjobs", "cronjob"), .short_names = cj,
		  .categories = all, .namespaced = true, .has_status = true, .fields = &cronjob_fields },
		.rules = { .generation = GEN_SPEC },
		.subresources = status_only,
		.columns = cronjob_columns,
		.hooks = { .deflt = cronjob_default, .validate = cronjob_validate } },
	{ .kind = { KIND("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "ingressclass"),
		  .fields = &ingressclass_fields },
		.rules = { .generation = GEN_SPEC },
		.columns = ingressclass_columns },
	{ .kind = { KIND("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass"),
		  .fields = &runtimeclass_fields },
		.rules = { .needs_rv = true },
		.columns = runtimeclass_columns },
	{ .kind = { KIND("storage.k8s.io", "v1", "CSIDriver", "csidrivers", "csidriver"),
		  .fields = &csidriver_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.columns = csidriver_columns,
		.hooks = { .deflt = csidriver_default } },
	{ .kind = { KIND("storage.k8s.io", "v1", "CSINode", "csinodes", "csinode"),
		  .fields = &csinode_fields },
		.rules = { .needs_rv = true },
		.columns = csinode_columns },
	{ .kind = { KIND("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities",
			    "csistoragecapacity"),
		  .namespaced = true, .fields = &csicapacity_fields },
		.columns = csicapacity_columns },
	{ .kind = { KIND("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "volumeattachment"),
		  .has_status = true, .fields = &attachment_fields },
		.subresources = status_only,
		.columns = attachment_columns },
	{ .kind = { KIND("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses",
			    "volumeattributesclass"),
		  .short_names = vac, .fields = &attributesclass_fields },
		.columns = attributesclass_columns },
	{ .kind = { 0 } },
};
