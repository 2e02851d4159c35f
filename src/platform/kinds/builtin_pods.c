/* SPDX-License-Identifier: Apache-2.0 */
/* The Pod kind itself: status, quality of service, columns, subresources. PodSpec is in builtin_pod.c. */
#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"

#include <stdio.h>
#include <string.h>

FIELD_TABLE(container_state_fields, "io.k8s.api.core.v1.ContainerState", "State of a container.",
	ROW_OBJ("waiting", "Not yet running."), ROW_STR("waiting.reason", "Why."),
	ROW_STR("waiting.message", "Why, for people."), ROW_OBJ("running", "Running."),
	ROW_TIME("running.startedAt", "Since when."), ROW_OBJ("terminated", "Ended."),
	ROW_I32("terminated.exitCode", "Exit code."), ROW_I32("terminated.signal", "Signal."),
	ROW_STR("terminated.reason", "Why."), ROW_STR("terminated.message", "Last words."),
	ROW_TIME("terminated.startedAt", "Start."), ROW_TIME("terminated.finishedAt", "End."),
	ROW_STR("terminated.containerID", "Container."));

FIELD_TABLE(container_status_fields, "io.k8s.api.core.v1.ContainerStatus", "Status of a container.",
	ROW_STR("name", "Name."), ROW_REF("state", container_state_fields, "Now."),
	ROW_REF("lastState", container_state_fields, "Before the last restart."),
	ROW_BOOL("ready", "Whether it is ready."), ROW_I32("restartCount", "Restarts."),
	ROW_STR("image", "Image."), ROW_STR("imageID", "Image by digest."),
	ROW_STR("containerID", "Container."), ROW_BOOL("started", "Whether it passed its start-up probe."),
	ROW_QMAP("allocatedResources", "Resources set aside."),
	ROW_REF("resources", resource_requirement_fields, "Resources in force."),
	ROW_KEYED("volumeMounts", "mountPath", "Volumes shown in it."),
	{ "volumeMounts[].name", F_STRING, FIELD_REQUIRED, "Name of the volume." },
	ROW_KEY("volumeMounts[].mountPath", "Path in the container."),
	ROW_BOOL("volumeMounts[].readOnly", "Whether nothing may be written."),
	ROW_STR("volumeMounts[].recursiveReadOnly", "Whether that holds for what is mounted below."),
	ROW_OBJ("user", "Whom its first process runs as."), ROW_OBJ("user.linux", "On Linux."),
	{ "user.linux.uid", F_INT, FIELD_REQUIRED, "User id." },
	{ "user.linux.gid", F_INT, FIELD_REQUIRED, "Group id." },
	ROW_INTS("user.linux.supplementalGroups", "Further group ids."),
	ROW_KEYED("allocatedResourcesStatus", "name", "Health of its devices."),
	ROW_KEY("allocatedResourcesStatus[].name", "Name of the resource."),
	{ "allocatedResourcesStatus[].resources", F_LIST, FIELD_LIST_MAP | FIELD_REPLACE, "The devices.",
		.keys = "resourceID" },
	ROW_KEY("allocatedResourcesStatus[].resources[].resourceID", "Id of the device."),
	ROW_STR("allocatedResourcesStatus[].resources[].health", "Healthy, Unhealthy or Unknown."),
	ROW_STR("stopSignal", "Signal that stops it."));

FIELD_TABLE(pod_condition_fields, "io.k8s.api.core.v1.PodCondition", "A condition of a pod.", CONDITION_ROWS,
	ROW_TIME("lastProbeTime", "When it was last looked at."),
	ROW_INT("observedGeneration", "Generation the condition speaks of."));

FIELD_TABLE(pod_fields, "io.k8s.api.core.v1.Pod", "Containers that run together on a node.",
	ROW_REF("spec", pod_spec_fields, "What it consists of."), ROW_OBJ("status", "What is."),
	ROW_ENUM("status.phase", "Failed|Pending|Running|Succeeded|Unknown", "Phase."),
	ROW_CONDITIONS("status.conditions", pod_condition_fields),
	ROW_STR("status.message", "Why, for people."), ROW_STR("status.reason", "Why."),
	ROW_STR("status.nominatedNodeName", "Node it may get."),
	ROW_STR("status.hostIP", "Address of the node."),
	{ "status.hostIPs", F_LIST, FIELD_ATOMIC, "Addresses of the node.", .keys = "ip" },
	ROW_KEY("status.hostIPs[].ip", "Address."), ROW_STR("status.podIP", "Address."),
	ROW_KEYED("status.podIPs", "ip", "Addresses."), ROW_KEY("status.podIPs[].ip", "Address."),
	ROW_TIME("status.startTime", "When the node took it on."),
	ROW_REFS("status.containerStatuses", container_status_fields, "Containers."),
	ROW_REFS("status.initContainerStatuses", container_status_fields, "Init containers."),
	ROW_REFS("status.ephemeralContainerStatuses", container_status_fields, "Debugging containers."),
	ROW_STR("status.qosClass", "Guaranteed, Burstable or BestEffort."),
	ROW_STR("status.resize", "State of a resize."),
	{ "status.resourceClaimStatuses", F_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "Claims on devices.",
		.keys = "name" },
	ROW_KEY("status.resourceClaimStatuses[].name", "Name within the pod."),
	ROW_STR("status.resourceClaimStatuses[].resourceClaimName", "ResourceClaim made for it."),
	ROW_OBJ("status.extendedResourceClaimStatus", "Claim made for extended resources."),
	ROW_LIST("status.extendedResourceClaimStatus.requestMappings",
		"Which request stands for which resource."),
	{ "status.extendedResourceClaimStatus.requestMappings[].containerName", F_STRING, FIELD_REQUIRED,
		"Container." },
	{ "status.extendedResourceClaimStatus.requestMappings[].resourceName", F_STRING, FIELD_REQUIRED,
		"Resource." },
	{ "status.extendedResourceClaimStatus.requestMappings[].requestName", F_STRING, FIELD_REQUIRED,
		"Request of the claim." },
	{ "status.extendedResourceClaimStatus.resourceClaimName", F_STRING, FIELD_REQUIRED,
		"Name of the claim." },
	ROW_INT("status.observedGeneration", "Generation seen by the node."),
	ROW_QMAP("status.allocatedResources", "Resources set aside for the pod."),
	ROW_REF("status.resources", resource_requirement_fields, "Resources of the pod in force."));

static void pod_default(struct json_doc *d, struct json *o)
{
	default_pod_spec(d, json_get(o, "spec"));
	default_requests(d, json_get(o, "spec"));
}

static bool amount_is_positive(const struct json *map, const char *key)
{
	return quantity_millis(json_get(map, key)) > 0;
}

/* Guaranteed: every container has equal requests and limits of cpu and memory. BestEffort: none has any. */
static const char *qos_class(const struct json *spec)
{
	static const char *const names[] = { "cpu", "memory" };
	static const char *const lists[] = { "containers", "initContainers" };
	bool guaranteed = true, any = false;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		JSON_EACH (it, json_get(spec, lists[l])) {
			const struct json *requests = json_at(it.val, "/resources/requests");
			const struct json *limits = json_at(it.val, "/resources/limits");

			for (size_t i = 0; i < ARRAY_LEN(names); i++) {
				struct quantity request, limit;

				if (amount_is_positive(requests, names[i]) ||
					amount_is_positive(limits, names[i]))
					any = true;
				if (!amount_is_positive(limits, names[i]))
					guaranteed = false;
				else if (quantity_from_json(json_get(requests, names[i]), &request, NULL) <
						 0 ||
					 quantity_from_json(json_get(limits, names[i]), &limit, NULL) < 0 ||
					 quantity_cmp(&request, &limit) != 0)
					guaranteed = false;
			}
		}
	}
	return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

static int pod_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	struct json *spec = json_need_obj(d, o, "spec");
	struct json *status = json_need_obj(d, o, "status");

	default_bool(d, spec, "enableServiceLinks", true);
	if (old)
		return 0;
	default_str(d, spec, "serviceAccount", json_get_str(spec, "serviceAccountName"));
	json_set_str(d, status, "phase", "Pending");
	json_set_str(d, status, "qosClass", qos_class(spec));
	return 0;
}

static const struct json *by_name(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

/* One debugging container more. */
static void check_ephemeral(const struct json *spec, const struct json *ctr, size_t i, struct causes *c)
{
	static const char *const not_theirs[] = { "ports", "livenessProbe", "readinessProbe", "startupProbe",
		"lifecycle", "resources" };
	const char *name = json_str_or(json_get(ctr, "name"), ""),
		   *target = json_get_str(ctr, "targetContainerName");
	CLEANUP(mem_freep) char *at = str_printf("spec.ephemeralContainers[%zu].name", i);

	if (by_name(json_get(spec, "containers"), name) || by_name(json_get(spec, "initContainers"), name))
		cause_duplicate(c, at, json_get(ctr, "name"));
	if (!str_empty(target) && !by_name(json_get(spec, "containers"), target) &&
		!by_name(json_get(spec, "initContainers"), target)) {
		CLEANUP(mem_freep)
		char *field = str_printf("spec.ephemeralContainers[%zu].targetContainerName", i);

		cause_text(c, "FieldValueNotFound", field, "Not found: \"%s\"", target);
	}
	for (size_t f = 0; f < ARRAY_LEN(not_theirs); f++) {
		CLEANUP(mem_freep)
		char *field = str_printf("spec.ephemeralContainers[%zu].%s", i, not_theirs[f]);

		if (json_len(json_get(ctr, not_theirs[f])) > 0)
			cause_forbidden(c, field, "cannot be set for an Ephemeral Container");
	}
}

/* pods/ephemeralcontainers only adds. */
static void ephemeral_validate(const struct json *spec, const struct json *old, struct causes *c)
{
	const struct json *now = json_get(spec, "ephemeralContainers"),
			  *before = json_get(old, "ephemeralContainers");

	JSON_EACH (it, before) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *same = by_name(now, name);

		if (!same)
			cause_forbidden(c, "spec.ephemeralContainers",
				"existing ephemeral containers \"%s\" may not be removed", name);
		else if (!json_eq(same, it.val))
			cause_forbidden(c, "spec.ephemeralContainers",
				"existing ephemeral containers \"%s\" may not be changed", name);
	}
	for (size_t i = 0; i < json_len(now); i++)
		check_ephemeral(spec, json_item(now, i), i, c);
}

/* ---- what may change in a pod that is there ---- */
static const char pod_update_text[] =
	"pod updates may not change fields other than `spec.containers[*].image`,"
	"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
	"existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
	"previously negative)";

static void deadline_update_validate(const struct json *spec, const struct json *old, struct causes *c)
{
	const struct json *now = json_get(spec, "activeDeadlineSeconds");
	const struct json *was = json_get(old, "activeDeadlineSeconds");

	if (was && !now)
		cause_text(c, "FieldValueInvalid", "spec.activeDeadlineSeconds",
			"Invalid value: null: must not update from a positive integer to nil value");
	else if (was && json_i64(now) > json_i64(was))
		cause_invalid(
			c, "spec.activeDeadlineSeconds", now, "must be less than or equal to previous value");
}

/* Apart from their seconds, which those of NoExecute may change. */
static bool same_toleration(const struct json *a, const struct json *b)
{
	static const char *const members[] = { "key", "operator", "value", "effect", "tolerationSeconds" };
	size_t n = ARRAY_LEN(members) - str_eq(json_get_str(a, "effect"), "NoExecute");

	for (size_t i = 0; i < n; i++)
		if (!json_eq(json_get(a, members[i]), json_get(b, members[i])))
			return false;
	return true;
}

static void tolerations_update_validate(const struct json *spec, const struct json *old, struct causes *c)
{
	JSON_EACH (was, json_get(old, "tolerations")) {
		bool there = false;

		JSON_EACH (it, json_get(spec, "tolerations"))
			there |= same_toleration(was.val, it.val);
		if (there)
			continue;
		cause_forbidden(c, "spec.tolerations",
			"existing toleration can not be modified except its tolerationSeconds");
		return;
	}
}

static void gates_update_validate(const struct json *spec, const struct json *old, struct causes *c)
{
	JSON_EACH (it, json_get(spec, "schedulingGates")) {
		CLEANUP(mem_freep) char *at = str_printf("spec.schedulingGates[%zu].name", it.i);
		const char *name = json_str_or(json_get(it.val, "name"), "");
		bool there = false;

		JSON_EACH (was, json_get(old, "schedulingGates"))
			there |= str_eq(json_get_str(was.val, "name"), name);
		if (!there)
			cause_forbidden(
				c, at, "only deletion is allowed, but found new scheduling gate '%s'", name);
	}
}

static bool same_number_of_containers(const struct json *spec, const struct json *old, struct causes *c)
{
	static const char *const lists[] = { "containers", "initContainers" };
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		CLEANUP(mem_freep) char *at = str_printf("spec.%s", lists[i]);

		if (json_len(json_get(spec, lists[i])) == json_len(json_get(old, lists[i])))
			continue;
		cause_forbidden(c, at, "pod updates may not add or remove containers");
		ok = false;
	}
	return ok;
}

static void images_update_validate(const struct json *spec, struct causes *c)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		JSON_EACH (it, json_get(spec, lists[i])) {
			CLEANUP(mem_freep) char *at = str_printf("spec.%s[%zu].image", lists[i], it.i);
			const char *image = json_str_or(json_get(it.val, "image"), "");
			size_t n = strlen(image);

			if (n == 0)
				cause_required(c, at, NULL);
			else if (strchr(" \t\r\n", image[0]) || strchr(" \t\r\n", image[n - 1]))
				cause_invalid(c, at, json_get(it.val, "image"),
					"must not have leading or trailing whitespace");
		}
}

/* Takes what may change out of a spec, so that the rest can be compared. */
static void strip_mutable(struct json *spec, const char *sub, bool gated)
{
	static const char *const lists[] = { "containers", "initContainers" };
	static const char *const members[] = { "activeDeadlineSeconds", "tolerations", "schedulingGates" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		json_remove(spec, members[i]);
	if (str_eq(sub, "ephemeralcontainers"))
		json_remove(spec, "ephemeralContainers");
	if (str_eq(sub, "binding") || gated)
		json_remove(spec, "nodeName");
	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		JSON_EACH (it, json_get(spec, lists[l])) {
			json_remove(it.val, "image");
			if (str_eq(sub, "resize"))
				json_remove(it.val, "resources");
		}
}

static void pod_update_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	CLEANUP(json_doc_freep) struct json_doc *a = json_doc_from(json_get(old, "spec"));
	CLEANUP(json_doc_freep) struct json_doc *b = json_doc_from(json_get(o, "spec"));
	const struct json *spec = json_get(o, "spec"), *was = json_get(old, "spec");
	static const char grace[] = "terminationGracePeriodSeconds";
	bool gated = json_len(json_get(was, "schedulingGates")) > 0;

	if (!same_number_of_containers(spec, was, c))
		return;
	images_update_validate(spec, c);
	deadline_update_validate(spec, was, c);
	tolerations_update_validate(spec, was, c);
	gates_update_validate(spec, was, c);
	if (str_eq(env->sub, "ephemeralcontainers"))
		ephemeral_validate(spec, was, c);
	strip_mutable(json_root(a), env->sub, gated);
	strip_mutable(json_root(b), env->sub, gated);
	if (json_i64(json_get(was, grace)) < 0 && json_i64(json_get(spec, grace)) == 1) {
		json_remove(json_root(a), grace);
		json_remove(json_root(b), grace);
	}
	if (!json_eq(json_root(a), json_root(b)))
		cause_forbidden(c, "spec", "%s", pod_update_text);
}

static void pod_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	if (old)
		pod_update_validate(env, o, old, c);
	else
		validate_pod_spec(json_get(o, "spec"), "spec", c);
	if (!old && json_len(json_at(o, "/spec/ephemeralContainers")) > 0)
		cause_forbidden(c, "spec.ephemeralContainers", "cannot be set on create");
}

/* ---- columns ---- */
#define POD_REASON_MAX 320
/* What the first columns say, found in one pass over the containers. */
struct pod_summary {
	size_t ready, total;
	int64_t restarts, last_restart_ms; /* 0: none */
	char reason[POD_REASON_MAX];
};

static void set_reason(struct pod_summary *p, const char *prefix, const char *reason)
{
	snprintf(p->reason, sizeof(p->reason), "%s%s", prefix, reason);
}

/* Why a container ended: its reason, else the signal or exit code. */
static void set_ended(struct pod_summary *p, const char *prefix, const struct json *ended)
{
	const char *reason = json_get_str(ended, "reason");
	char code[48];

	if (json_i64(json_get(ended, "signal")))
		snprintf(code, sizeof(code), "Signal:%lld", (long long)json_i64(json_get(ended, "signal")));
	else
		snprintf(code, sizeof(code), "ExitCode:%lld",
			(long long)json_i64(json_get(ended, "exitCode")));
	set_reason(p, prefix, str_empty(reason) ? code : reason);
}

static void add_restarts(struct pod_summary *p, const struct json *status)
{
	const char *end = json_at_str(status, "/lastState/terminated/finishedAt");
	int64_t t;

	p->restarts += json_i64(json_get(status, "restartCount"));
	if (end && time_parse(end, &t) && t > p->last_restart_ms)
		p->last_restart_ms = t;
}

/* Init containers with a restart policy of their own run on beside the others and count like them. */
static bool is_sidecar(const struct json *pod, const char *name)
{
	JSON_EACH (it, json_at(pod, "/spec/initContainers"))
		if (str_eq(json_get_str(it.val, "name"), name))
			return str_eq(json_get_str(it.val, "restartPolicy"), "Always");
	return false;
}

/* True while init containers are at work: then they are what is to be told. */
static bool summarize_init(struct pod_summary *p, const struct json *o, struct pod_summary *sidecars)
{
	size_t i = 0;

	JSON_EACH (it, json_at(o, "/status/initContainerStatuses")) {
		const struct json *ended = json_at(it.val, "/state/terminated");
		const char *waits = json_at_str(it.val, "/state/waiting/reason");
		bool sidecar = is_sidecar(o, json_get_str(it.val, "name"));

		add_restarts(p, it.val);
		if (sidecar)
			add_restarts(sidecars, it.val);
		if (sidecar && json_bool(json_get(it.val, "started"))) {
			p->ready += json_bool(json_get(it.val, "ready"));
		} else if (ended && json_i64(json_get(ended, "exitCode")) != 0) {
			set_ended(p, "Init:", ended);
			return true;
		} else if (!ended) {
			char place[64];

			snprintf(place, sizeof(place), "%zu/%zu", i,
				json_len(json_at(o, "/spec/initContainers")));
			set_reason(p, "Init:",
				!str_empty(waits) && !str_eq(waits, "PodInitializing") ? waits : place);
			return true;
		}
		i++;
	}
	return false;
}

/* The first container that waits or has ended is the one to be told of. */
static void summarize_containers(struct pod_summary *p, const struct json *o)
{
	bool runs = false, told = false;

	JSON_EACH (it, json_at(o, "/status/containerStatuses")) {
		const struct json *ended = json_at(it.val, "/state/terminated");
		const char *waits = json_at_str(it.val, "/state/waiting/reason");

		add_restarts(p, it.val);
		if (!str_empty(waits) || ended) {
			if (!told && !str_empty(waits))
				set_reason(p, "", waits);
			else if (!told)
				set_ended(p, "", ended);
			told = true;
		} else if (json_bool(json_get(it.val, "ready")) && json_at(it.val, "/state/running")) {
			runs = true;
			p->ready++;
		}
	}
	if (runs && str_eq(p->reason, "Completed"))
		set_reason(p, "",
			cond_is(json_at(o, "/status/conditions"), "Ready", "True") ? "Running" : "NotReady");
}

static void summarize(const struct json *o, struct pod_summary *p)
{
	struct pod_summary sidecars = { 0 };
	const char *phase = json_str_or(json_at(o, "/status/phase"), "Unknown");
	const char *reason = json_at_str(o, "/status/reason");
	const struct json *conditions = json_at(o, "/status/conditions");
	bool init;

	*p = (struct pod_summary){ .total = json_len(json_at(o, "/spec/containers")) };
	JSON_EACH (it, json_at(o, "/spec/initContainers"))
		p->total += str_eq(json_get_str(it.val, "restartPolicy"), "Always");
	set_reason(p, "", str_empty(reason) ? phase : reason);
	JSON_EACH (it, conditions)
		if (str_eq(json_get_str(it.val, "type"), "PodScheduled") &&
			str_eq(json_get_str(it.val, "reason"), "SchedulingGated"))
			set_reason(p, "", "SchedulingGated");
	init = summarize_init(p, o, &sidecars);
	if (!init || cond_is(conditions, "Initialized", "True")) {
		p->restarts = sidecars.restarts;
		p->last_restart_ms = sidecars.last_restart_ms;
		summarize_containers(p, o);
	}
	if (!json_at(o, "/metadata/deletionTimestamp"))
		return;
	if (str_eq(reason, "NodeLost"))
		set_reason(p, "", "Unknown");
	else if (!str_eq(phase, "Succeeded") && !str_eq(phase, "Failed"))
		set_reason(p, "", "Terminating");
}

static struct json *pod_ready_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	struct pod_summary p;

	summarize(o, &p);
	return json_new_strf(d, "%zu/%zu", p.ready, p.total);
}

static struct json *pod_status_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	struct pod_summary p;

	summarize(o, &p);
	return json_new_str(d, p.reason);
}

static struct json *pod_restarts_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	struct pod_summary p;
	char buf[TIME_TEXT_MAX];

	summarize(o, &p);
	if (p.restarts && p.last_restart_ms)
		return json_new_strf(
			d, "%lld (%s ago)", (long long)p.restarts, time_age(now_ms - p.last_restart_ms, buf));
	return json_new_strf(d, "%lld", (long long)p.restarts);
}

static struct json *or_none(struct json_doc *d, const char *text)
{
	return json_new_str(d, str_empty(text) ? "<none>" : text);
}

static struct json *pod_ip_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return or_none(d, json_at_str(o, "/status/podIP"));
}

static struct json *pod_node_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return or_none(d, json_at_str(o, "/spec/nodeName"));
}

static struct json *pod_nominated_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return or_none(d, json_at_str(o, "/status/nominatedNodeName"));
}

static struct json *pod_gates_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	size_t total = json_len(json_at(o, "/spec/readinessGates")), ok = 0;

	if (!total)
		return json_new_str(d, "<none>");
	JSON_EACH (it, json_at(o, "/spec/readinessGates"))
		if (cond_is(json_at(o, "/status/conditions"),
			    json_str_or(json_get(it.val, "conditionType"), ""), "True"))
			ok++;
	return json_new_strf(d, "%zu/%zu", ok, total);
}

static const struct column pod_columns[] = {
	{ "Ready", "string", NULL, "Ready containers.", 0, NULL, pod_ready_cell },
	{ "Status", "string", NULL, "What it is doing.", 0, NULL, pod_status_cell },
	{ "Restarts", "string", NULL, "Restarts.", 0, NULL, pod_restarts_cell },
	COLUMN_AGE,
	{ "IP", "string", NULL, "Address.", 1, NULL, pod_ip_cell },
	{ "Node", "string", NULL, "Node.", 1, NULL, pod_node_cell },
	{ "Nominated Node", "string", NULL, "Node it may get.", 1, NULL, pod_nominated_cell },
	{ "Readiness Gates", "string", NULL, "Conditions that must hold.", 1, NULL, pod_gates_cell },
	{ 0 },
};

/* ---- ContainerTemplates: cells that workloads share ---- */
static struct json *template_cell(struct json_doc *d, const struct json *o, const char *member)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/spec/template/spec/containers"))
		str_addf(&s, "%s%s", s.len ? "," : "", json_str_or(json_get(it.val, member), ""));
	return json_new_str(d, str_cstr(&s));
}

struct json *cell_template_containers(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return template_cell(d, o, "name");
}

struct json *cell_template_images(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return template_cell(d, o, "image");
}

static const struct subresource pod_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "resize", NULL, NULL, NULL, VERBS_STATUS },
	{ "ephemeralcontainers", NULL, NULL, NULL, VERBS_STATUS },
	{ "binding", NULL, NULL, "Binding", VERB_CREATE },
	{ "eviction", "policy", "v1", "Eviction", VERB_CREATE },
	{ "log", NULL, NULL, "Pod", VERB_GET },
	{ "exec", NULL, NULL, "PodExecOptions", VERB_CREATE | VERB_GET },
	{ "attach", NULL, NULL, "PodAttachOptions", VERB_CREATE | VERB_GET },
	{ "portforward", NULL, NULL, "PodPortForwardOptions", VERB_CREATE | VERB_GET },
	{ "proxy", NULL, NULL, "PodProxyOptions", VERBS_PROXY },
	{ 0 },
};

static const char *const pod_names[] = { "po", NULL }, *const pod_categories[] = { "all", NULL };
static const char *const pod_selectable[] = { "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
	"spec.serviceAccountName", "spec.hostNetwork=false", "status.phase", "status.podIP", "status.podIPs",
	"status.nominatedNodeName", NULL };

const struct resource_def builtin_pods[] = {
	{ .kind = { .group = "",
		  .version = "v1",
		  .kind = "Pod",
		  .plural = "pods",
		  .singular = "pod",
		  .short_names = pod_names,
		  .categories = pod_categories,
		  .namespaced = true,
		  .has_status = true,
		  .fields = &pod_fields },
		.rules = { .grace_seconds = 30, .generation = GEN_SPEC },
		.subresources = pod_subs,
		.columns = pod_columns,
		.selectable = pod_selectable,
		.hooks = { .deflt = pod_default, .prepare = pod_prepare, .validate = pod_validate },
		.delete_returns = true },
	{ .kind = { 0 } },
};
