/* SPDX-License-Identifier: Apache-2.0 */
/* HorizontalPodAutoscaler: autoscaling/v2, which is stored, and the older shape v1, which kubectl autoscale writes up to 1.33. */
#include "platform/kinds/builtin.h"

#include <string.h>

#include "base/mem.h"

/* ---- autoscaling ---- */
#define HPA_IDENTIFIER(p, d)                                                           \
	ROW_OBJ(p, d), { p ".name", F_STRING, FIELD_REQUIRED, "Name of the metric." }, \
		ROW_REF(p ".selector", label_selector_fields, "Which of the metric's series.")
#define HPA_TARGET_ROWS                                                                \
	{ "type", F_STRING, FIELD_REQUIRED, "Which of the numbers is meant.",          \
		.enums = "AverageValue|Utilization|Value" },                           \
		ROW_QTY("value", "In all."), ROW_QTY("averageValue", "For each pod."), \
		ROW_I32("averageUtilization", "Percent of what pods request.")
FIELD_TABLE(hpa_target_fields, "io.k8s.api.autoscaling.v2.MetricTarget", "What a metric should be.",
	HPA_TARGET_ROWS);
FIELD_TABLE(hpa_value_fields, "io.k8s.api.autoscaling.v2.MetricValueStatus", "What a metric is.",
	ROW_QTY("value", "In all."), ROW_QTY("averageValue", "For each pod."),
	ROW_I32("averageUtilization", "Percent of what pods request."));
FIELD_TABLE(hpa_object_fields, "io.k8s.api.autoscaling.v2.CrossVersionObjectReference", "An object.",
	ROW_STR("apiVersion", "API version of the object."),
	{ "kind", F_STRING, FIELD_REQUIRED, "Kind of the object." },
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the object." });
/* Specification and status of a metric differ in one member. */
#define HPA_METRIC_ROWS(member, t)                                                                        \
	{ "type", F_STRING, FIELD_REQUIRED, "Which of the sources is meant.",                             \
		.enums = "ContainerResource|External|Object|Pods|Resource" },                             \
		ROW_OBJ("object", "A metric of an object."),                                              \
		{ "object.describedObject", F_REF, FIELD_REQUIRED, "The object.",                         \
			.ref = &hpa_object_fields },                                                      \
		HPA_IDENTIFIER("object.metric", "The metric."),                                           \
		ROW_REF("object." member, t, "Its numbers."),                                             \
		ROW_OBJ("pods", "A metric of the pods, averaged."),                                       \
		HPA_IDENTIFIER("pods.metric", "The metric."), ROW_REF("pods." member, t, "Its numbers."), \
		ROW_OBJ("resource", "A resource of the pods."),                                           \
		{ "resource.name", F_STRING, FIELD_REQUIRED, "cpu or memory." },                          \
		ROW_REF("resource." member, t, "Its numbers."),                                           \
		ROW_OBJ("containerResource", "A resource of one container of the pods."),                 \
		{ "containerResource.name", F_STRING, FIELD_REQUIRED, "cpu or memory." },                 \
		{ "containerResource.container", F_STRING, FIELD_REQUIRED, "Name of the container." },    \
		ROW_REF("containerResource." member, t, "Its numbers."),                                  \
		ROW_OBJ("external", "A metric from outside."),                                            \
		HPA_IDENTIFIER("external.metric", "The metric."),                                         \
		ROW_REF("external." member, t, "Its numbers.")
FIELD_TABLE(hpa_metric_fields, "io.k8s.api.autoscaling.v2.MetricSpec", "A metric and what it should be.",
	HPA_METRIC_ROWS("target", hpa_target_fields));
FIELD_TABLE(hpa_metric_status_fields, "io.k8s.api.autoscaling.v2.MetricStatus", "A metric and what it is.",
	HPA_METRIC_ROWS("current", hpa_value_fields));
FIELD_TABLE(hpa_rules_fields, "io.k8s.api.autoscaling.v2.HPAScalingRules",
	"How fast it may go in one direction.",
	ROW_I32("stabilizationWindowSeconds", "How long past wishes count."),
	ROW_ENUM("selectPolicy", "Disabled|Max|Min", "Which of the policies counts."),
	ROW_LIST("policies", "Policies."),
	{ "policies[].type", F_STRING, FIELD_REQUIRED, "What value counts.", .enums = "Percent|Pods" },
	{ "policies[].value", F_INT32, FIELD_REQUIRED, "The most that may change." },
	{ "policies[].periodSeconds", F_INT32, FIELD_REQUIRED, "Within which time.", .min = 1, .max = 1800 },
	ROW_QTY("tolerance", "Difference that is put up with."));
FIELD_TABLE(hpa_fields, "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", "A size that follows the load.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.scaleTargetRef", F_REF, FIELD_REQUIRED, "Whose size it is.", .ref = &hpa_object_fields },
	{ "spec.minReplicas", F_INT32, 0, "Smallest size.", .deflt = "1" },
	{ "spec.maxReplicas", F_INT32, FIELD_REQUIRED, "Largest size.", .min = 1, .max = INT32_MAX },
	ROW_REFS("spec.metrics", hpa_metric_fields, "What the size follows."),
	ROW_OBJ("spec.behavior", "How fast it goes."),
	ROW_REF("spec.behavior.scaleUp", hpa_rules_fields, "When it grows."),
	ROW_REF("spec.behavior.scaleDown", hpa_rules_fields, "When it shrinks."),
	ROW_OBJ("status", "What is."), ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_TIME("status.lastScaleTime", "When the size last changed."),
	ROW_I32("status.currentReplicas", "Size."), ROW_I32("status.desiredReplicas", "Size wanted."),
	ROW_REFS("status.currentMetrics", hpa_metric_status_fields, "What the metrics are."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

static struct json *hpa_reference_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_strf(d, "%s/%s", json_str_or(json_at(o, "/spec/scaleTargetRef/kind"), ""),
		json_str_or(json_at(o, "/spec/scaleTargetRef/name"), ""));
}

static void add_number(struct str *s, const struct json *v, const char *missing, const char *after)
{
	CLEANUP(mem_freep)
	char *text = json_is_null(v)  ? mem_strdup(missing)
		     : json_is_str(v) ? mem_strdup(json_str(v))
				      : json_write(v, NULL);

	str_add(s, text);
	str_add(s, json_is_null(v) ? "" : after);
}

/* One metric as kubectl shows it; what it is now stands at the same place of another list. */
static void add_target(struct str *s, const struct json *spec, const struct json *now)
{
	static const struct {
		const char *type, *member;
	} kinds[] = { { "External", "external" }, { "Pods", "pods" }, { "Object", "object" },
		{ "Resource", "resource" }, { "ContainerResource", "containerResource" } };
	const struct json *want = NULL, *have = NULL;
	size_t i = 0;

	while (i < ARRAY_LEN(kinds) && !str_eq(json_get_str(spec, "type"), kinds[i].type))
		i++;
	if (i == ARRAY_LEN(kinds)) {
		str_add(s, "<unknown type>");
		return;
	}
	want = json_get(json_get(spec, kinds[i].member), "target");
	have = json_get(json_get(now, kinds[i].member), "current");
	if (i >= 3)
		str_addf(s, "%s: ", json_str_or(json_get(json_get(spec, kinds[i].member), "name"), ""));
	if (i >= 3 && !json_get(want, "averageValue")) {
		add_number(s, json_get(have, "averageUtilization"), "<unknown>", "%");
		str_addc(s, '/');
		add_number(s, json_get(want, "averageUtilization"), "<auto>", "%");
		return;
	}
	bool average = json_get(want, "averageValue") != NULL;
	const char *member = average ? "averageValue" : "value";
	add_number(s, json_get(have, member), "<unknown>", "");
	str_addc(s, '/');
	add_number(s, json_get(want, member), "", "");
	if (average && (i == 0 || i == 2))
		str_add(s, " (avg)");
}

static struct json *hpa_targets_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };
	size_t n = 0;

	JSON_EACH (it, json_at(o, "/spec/metrics")) {
		if (++n > 2)
			continue;
		str_add(&s, n > 1 ? ", " : "");
		add_target(&s, it.val, json_item(json_at(o, "/status/currentMetrics"), it.i));
	}
	if (n > 2)
		str_addf(&s, " + %zu more...", n - 2);
	return json_new_str(d, s.len ? s.data : "<none>");
}

static struct json *hpa_current_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, json_i64(json_at(o, "/status/currentReplicas")));
}

static struct json *hpa_min_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *v = json_at(o, "/spec/minReplicas");

	return v ? json_new_strf(d, "%lld", (long long)json_i64(v)) : json_new_str(d, "<unset>");
}

static struct json *hpa_max_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, json_i64(json_at(o, "/spec/maxReplicas")));
}
static const struct column hpa_columns[] = {
	{ "Reference", "string", NULL, "Whose size it is.", 0, NULL, hpa_reference_cell },
	{ "Targets", "string", NULL, "What the size follows.", 0, NULL, hpa_targets_cell },
	{ "MinPods", "string", NULL, "Smallest size.", 0, NULL, hpa_min_cell },
	{ "MaxPods", "string", NULL, "Largest size.", 0, NULL, hpa_max_cell },
	{ "Replicas", "string", NULL, "Size.", 0, NULL, hpa_current_cell },
	COLUMN_AGE,
	{ 0 },
};

/* ---- autoscaling/v1 ---- */
FIELD_TABLE(hpa1_fields, "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", "A size that follows the load.",
	ROW_OBJ("spec", "What is wanted."),
	{ "spec.scaleTargetRef", F_REF, FIELD_REQUIRED, "Whose size it is.", .ref = &hpa_object_fields },
	{ "spec.minReplicas", F_INT32, 0, "Smallest size.", .deflt = "1" },
	{ "spec.maxReplicas", F_INT32, FIELD_REQUIRED, "Largest size.", .min = 1, .max = INT32_MAX },
	{ "spec.targetCPUUtilizationPercentage", F_INT32, 0, "Percent of the requested CPU it follows.",
		.min = 1, .max = INT32_MAX },
	ROW_OBJ("status", "What is."), ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_TIME("status.lastScaleTime", "When the size last changed."),
	ROW_I32("status.currentReplicas", "Size."), ROW_I32("status.desiredReplicas", "Size wanted."),
	ROW_I32("status.currentCPUUtilizationPercentage", "Percent of the requested CPU that is used."));

/* What v1 has no members for travels in annotations. */
#define HPA_ANNOTATION "autoscaling.alpha.kubernetes.io/"
static const struct {
	const char *annotation, *holder, *member;
} hpa_carried[] = {
	{ HPA_ANNOTATION "metrics", "spec", "metrics" },
	{ HPA_ANNOTATION "behavior", "spec", "behavior" },
	{ HPA_ANNOTATION "current-metrics", "status", "currentMetrics" },
	{ HPA_ANNOTATION "conditions", "status", "conditions" },
};
/* The one metric v1 knows: percent of the CPU. */
static const struct {
	const char *holder, *percent, *list, *numbers;
} hpa_cpu[] = {
	{ "spec", "targetCPUUtilizationPercentage", "metrics", "target" },
	{ "status", "currentCPUUtilizationPercentage", "currentMetrics", "current" },
};

static bool is_cpu_percent(const struct json *metric, const char *numbers)
{
	const struct json *resource = json_get(metric, "resource");

	return str_eq(json_get_str(metric, "type"), "Resource") &&
	       str_eq(json_get_str(resource, "name"), "cpu") &&
	       json_is_num(json_get(json_get(resource, numbers), "averageUtilization"));
}

static void add_cpu_metric(
	struct json_doc *d, struct json *holder, const char *list, const char *numbers, int64_t n)
{
	struct json *metric = json_new_obj(d), *resource, *value;

	json_set_str(d, metric, "type", "Resource");
	resource = json_need_obj(d, metric, "resource");
	json_set_str(d, resource, "name", "cpu");
	value = json_need_obj(d, resource, numbers);
	if (str_eq(numbers, "target"))
		json_set_str(d, value, "type", "Utilization");
	json_set_i64(d, value, "averageUtilization", n);
	json_append(d, json_need_arr(d, holder, list), metric);
}

static bool fits_member(const struct json *v, bool object)
{
	if (object)
		return json_is_obj(v);
	JSON_EACH (it, v)
		if (!json_is_obj(it.val))
			return false;
	return json_is_arr(v);
}

/* What the annotation of a client says is taken if it is what it should be. */
static void take_carried(struct json_doc *d, struct json *o, struct json *annotations, size_t i)
{
	const char *text = json_get_str(annotations, hpa_carried[i].annotation);
	CLEANUP(json_doc_freep) struct json_doc *carried = text ? json_parse(text, strlen(text), NULL) : NULL;
	struct json *holder;

	if (!text)
		return;
	if (carried && fits_member(json_root(carried), str_eq(hpa_carried[i].member, "behavior"))) {
		holder = json_need_obj(d, o, hpa_carried[i].holder);
		json_set_copy(d, holder, hpa_carried[i].member, json_root(carried));
	}
	json_remove(annotations, hpa_carried[i].annotation);
}

static void hpa_default(struct json_doc *d, struct json *o)
{
	static const struct {
		const char *member;
		int64_t pods, window;
	} ways[] = { { "scaleUp", 4, 0 }, { "scaleDown", 0, -1 } };
	struct json *spec = json_get(o, "spec"), *behavior = json_get(spec, "behavior");

	if (!json_is_obj(spec))
		return;
	if (json_len(json_get(spec, "metrics")) == 0)
		add_cpu_metric(d, spec, "metrics", "target", 80);
	for (size_t i = 0; json_is_obj(behavior) && i < ARRAY_LEN(ways); i++) {
		struct json *rules = json_need_obj(d, behavior, ways[i].member), *policies, *one;

		default_str(d, rules, "selectPolicy", "Max");
		if (ways[i].window >= 0)
			default_int(d, rules, "stabilizationWindowSeconds", ways[i].window);
		if (json_len(json_get(rules, "policies")) > 0)
			continue;
		policies = json_need_arr(d, rules, "policies");
		for (int percent = ways[i].pods == 0; percent < 2; percent++) {
			one = json_new_obj(d);
			json_set_str(d, one, "type", percent ? "Percent" : "Pods");
			json_set_i64(d, one, "value", percent ? 100 : ways[i].pods);
			json_set_i64(d, one, "periodSeconds", 15);
			json_append(d, policies, one);
		}
	}
}

static void hpa_to_stored(struct json_doc *d, struct json *o)
{
	struct json *annotations = json_get(json_get(o, "metadata"), "annotations");

	for (size_t i = 0; i < ARRAY_LEN(hpa_cpu); i++) {
		struct json *holder = json_get(o, hpa_cpu[i].holder);
		const struct json *percent = json_get(holder, hpa_cpu[i].percent);
		int64_t n = json_i64(percent);
		bool given = json_is_num(percent);

		json_remove(holder, hpa_cpu[i].percent);
		take_carried(d, o, annotations, i * 2);
		if (given)
			add_cpu_metric(d, holder, hpa_cpu[i].list, hpa_cpu[i].numbers, n);
	}
	take_carried(d, o, annotations, 1);
	take_carried(d, o, annotations, 3);
	if (json_is_obj(annotations) && json_len(annotations) == 0)
		json_remove(json_get(o, "metadata"), "annotations");
	hpa_default(d, o);
}

static void hpa_from_stored(struct json_doc *d, struct json *o)
{
	for (size_t i = 0; i < ARRAY_LEN(hpa_cpu); i++) {
		struct json *holder = json_get(o, hpa_cpu[i].holder);

		JSON_EACH (it, json_get(holder, hpa_cpu[i].list)) {
			if (!is_cpu_percent(it.val, hpa_cpu[i].numbers) ||
				json_get(holder, hpa_cpu[i].percent))
				continue;
			json_set_copy(d, holder, hpa_cpu[i].percent,
				json_get(json_get(json_get(it.val, "resource"), hpa_cpu[i].numbers),
					"averageUtilization"));
			json_iter_remove(&it);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(hpa_carried); i++) {
		struct json *holder = json_get(o, hpa_carried[i].holder);
		const struct json *v = json_get(holder, hpa_carried[i].member);
		CLEANUP(mem_freep) char *text = json_len(v) > 0 ? json_write(v, NULL) : NULL;

		if (text)
			json_set_str(d, json_need_obj(d, json_need_obj(d, o, "metadata"), "annotations"),
				hpa_carried[i].annotation, text);
		json_remove(holder, hpa_carried[i].member);
	}
}

static const char *const hpa[] = { "hpa", NULL }, *const all[] = { "all", NULL };
#define HPA_KIND(v, table)                             \
	.kind = { .group = "autoscaling",              \
		.version = v,                          \
		.kind = "HorizontalPodAutoscaler",     \
		.plural = "horizontalpodautoscalers",  \
		.singular = "horizontalpodautoscaler", \
		.short_names = hpa,                    \
		.categories = all,                     \
		.namespaced = true,                    \
		.has_status = true,                    \
		.fields = &table }
const struct resource_def builtin_autoscaling[] = {
	{ HPA_KIND("v2", hpa_fields), .subresources = status_only, .columns = hpa_columns,
		.hooks = { .deflt = hpa_default } },
	{ HPA_KIND("v1", hpa1_fields), .subresources = status_only, .columns = hpa_columns,
		.not_storage = true,
		.hooks = { .to_stored = hpa_to_stored, .from_stored = hpa_from_stored } },
	{ .kind.kind = NULL },
};
