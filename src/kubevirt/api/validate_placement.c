/* SPDX-License-Identifier: Apache-2.0 */
/* nodeSelector, affinity, tolerations and topologySpreadConstraints: what no API server lets through in a pod. The instance's pod
 * has them as they are, so with a mistake in them the guest that runs would be the last. The schema has seen the types. */
#include "kubevirt/api/validate_impl.h"

#include "api/semantics.h"
#include "base/mem.h"

#define WEIGHT_MAX 100

static const char *const label_operators[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };
static const char *const node_operators[] = { "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", NULL };
static const char *const field_operators[] = { "In", "NotIn", NULL };

/* One {key, operator, values}. */
static void check_demand(
	const struct check *k, const char *at, const struct json *e, const char *const *operators)
{
	const char *key = json_get_str(e, "key"), *operator= json_get_str(e, "operator");
	size_t n = json_len(json_get(e, "values"));
	CLEANUP(mem_freep) char *path = str_printf("%s.operator", at), *values = str_printf("%s.values", at);

	if (operators != field_operators && !name_is_label_key(key ? key : "")) {
		CLEANUP(mem_freep) char *at_key = str_printf("%s.key", at);
		check_refuse_named(k, REASON_INVALID, at_key, "'%s' is no valid label key", key ? key : "");
	}
	if (!str_in(operator, operators))
		check_refuse_named(
			k, REASON_NOT_SUPPORTED, path, "'%s' is not a valid selector operator", operator ? operator : "");
	else if ((str_eq(operator, "In") || str_eq(operator, "NotIn")) && !n)
		check_refuse_named(
			k, REASON_REQUIRED, values, "must be specified when `operator` is 'In' or 'NotIn'");
	else if ((str_eq(operator, "Exists") || str_eq(operator, "DoesNotExist")) && n)
		check_refuse_named(k, REASON_FORBIDDEN, values,
			"may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	else if ((str_eq(operator, "Gt") || str_eq(operator, "Lt")) && n != 1)
		check_refuse_named(k, REASON_REQUIRED, values,
			"must be specified single value when `operator` is 'Lt' or 'Gt'");
}

static void check_demands(const struct check *k, const char *at, const char *list, const struct json *holder,
	const char *const *operators)
{
	JSON_EACH (it, json_get(holder, list)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s[%zu]", at, list, it.i);
		check_demand(k, path, it.val, operators);
	}
}

static void check_node_term(const struct check *k, const char *at, const struct json *term)
{
	check_demands(k, at, "matchExpressions", term, node_operators);
	check_demands(k, at, "matchFields", term, field_operators);
}

static void check_label_selector(
	const struct check *k, const char *at, const char *key, const struct json *holder)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, key);

	check_demands(k, path, "matchExpressions", json_get(holder, key), label_operators);
}

static void check_topology_key(const struct check *k, const char *at, const struct json *holder)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.topologyKey", at);
	const char *key = json_get_str(holder, "topologyKey");

	if (str_empty(key))
		check_refuse_named(k, REASON_REQUIRED, path, "can not be empty");
	else if (!name_is_label_key(key))
		check_refuse_named(k, REASON_INVALID, path, "'%s' is no valid label key", key);
}

static void check_pod_term(const struct check *k, const char *at, const struct json *term)
{
	check_topology_key(k, at, term);
	check_label_selector(k, at, "labelSelector", term);
	check_label_selector(k, at, "namespaceSelector", term);
}

static void check_weight(const struct check *k, const char *at, const struct json *wish)
{
	int64_t weight = json_i64(json_get(wish, "weight"));
	CLEANUP(mem_freep) char *path = str_printf("%s.weight", at);

	if (weight < 1 || weight > WEIGHT_MAX)
		check_refuse_named(k, REASON_INVALID, path, "must be in the range 1-100");
}

/* affinity.<part>: wishes with a weight, whose term is in member `term` */
static void check_wishes(const struct check *k, const char *part, const struct json *rules, const char *term,
	void (*check)(const struct check *k, const char *at, const struct json *term))
{
	JSON_EACH (it, json_get(rules, "preferredDuringSchedulingIgnoredDuringExecution")) {
		CLEANUP(mem_freep)
		char *at = str_printf(
			"affinity.%s.preferredDuringSchedulingIgnoredDuringExecution[%zu]", part, it.i);
		CLEANUP(mem_freep) char *at_term = str_printf("%s.%s", at, term);

		check_weight(k, at, it.val);
		check(k, at_term, json_get(it.val, term));
	}
}

static void check_node_affinity(const struct check *k, const struct json *rules)
{
	static const char at[] =
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
	const struct json *required = json_get(rules, "requiredDuringSchedulingIgnoredDuringExecution");
	const struct json *terms = json_get(required, "nodeSelectorTerms");

	if (json_is_obj(required) && !json_len(terms))
		check_refuse_named(k, REASON_REQUIRED, at, "must have at least one node selector term");
	JSON_EACH (it, terms) {
		CLEANUP(mem_freep) char *path = str_printf("%s[%zu]", at, it.i);
		check_node_term(k, path, it.val);
	}
	check_wishes(k, "nodeAffinity", rules, "preference", check_node_term);
}

static void check_pod_affinity(const struct check *k, const char *part, const struct json *rules)
{
	JSON_EACH (it, json_get(rules, "requiredDuringSchedulingIgnoredDuringExecution")) {
		CLEANUP(mem_freep)
		char *at = str_printf(
			"affinity.%s.requiredDuringSchedulingIgnoredDuringExecution[%zu]", part, it.i);
		check_pod_term(k, at, it.val);
	}
	check_wishes(k, part, rules, "podAffinityTerm", check_pod_term);
}

static void check_tolerations(const struct check *k)
{
	static const char *const operators[] = { "", "Equal", "Exists", NULL };
	static const char *const effects[] = { "", "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };

	JSON_EACH (it, json_get(k->spec, "tolerations")) {
		const char *operator= json_str_or(json_get(it.val, "operator"), "");
		const char *effect = json_str_or(json_get(it.val, "effect"), "");
		const char *key = json_str_or(json_get(it.val, "key"), "");
		CLEANUP(mem_freep) char *at = str_printf("tolerations[%zu]", it.i);
		CLEANUP(mem_freep) char *at_operator = str_printf("%s.operator", at);
		CLEANUP(mem_freep) char *at_effect = str_printf("%s.effect", at);

		if (!str_in(operator, operators))
			check_refuse_named(k, REASON_NOT_SUPPORTED, at_operator,
				"'%s' is neither Equal nor Exists", operator);
		else if (!*key && !str_eq(operator, "Exists"))
			check_refuse_named(k, REASON_INVALID, at_operator,
				"must be Exists when `key` is empty, which means \"match all values and all "
				"keys\"");
		else if (str_eq(operator, "Exists") && !str_empty(json_get_str(it.val, "value")))
			check_refuse_named(
				k, REASON_INVALID, at_operator, "'Exists' goes with an empty `value` only");
		else if (!name_is_label_value(json_str_or(json_get(it.val, "value"), "")))
			check_refuse_named(k, REASON_INVALID, at, "has a value that is no valid label value");
		if (*key && !name_is_label_key(key))
			check_refuse_named(
				k, REASON_INVALID, at, "has the key '%s', which is no valid one", key);
		if (!str_in(effect, effects))
			check_refuse_named(k, REASON_NOT_SUPPORTED, at_effect,
				"'%s' is none of NoSchedule, PreferNoSchedule, NoExecute", effect);
		else if (!json_is_null(json_get(it.val, "tolerationSeconds")) && !str_eq(effect, "NoExecute"))
			check_refuse_named(k, REASON_INVALID, at_effect,
				"must be 'NoExecute' when `tolerationSeconds` is set");
	}
}

static void check_node_selector(const struct check *k)
{
	const struct json *map = json_get(k->spec, "nodeSelector");

	JSON_EACH (it, json_is_obj(map) ? map : NULL) {
		const char *value = json_str_or(it.val, "");

		if (!name_is_label_key(it.key))
			check_refuse_named(k, REASON_INVALID, "nodeSelector",
				"has '%s', which is no valid label key", it.key);
		else if (*value && !name_is_label_value(value))
			check_refuse_named(k, REASON_INVALID, "nodeSelector",
				"has '%s', which is no valid label value", value);
	}
}

static void check_spread(const struct check *k)
{
	static const char *const ways[] = { "DoNotSchedule", "ScheduleAnyway", NULL };

	JSON_EACH (it, json_get(k->spec, "topologySpreadConstraints")) {
		const char *way = json_str_or(json_get(it.val, "whenUnsatisfiable"), "");
		CLEANUP(mem_freep) char *at = str_printf("topologySpreadConstraints[%zu]", it.i);
		CLEANUP(mem_freep) char *skew = str_printf("%s.maxSkew", at);
		CLEANUP(mem_freep) char *at_way = str_printf("%s.whenUnsatisfiable", at);

		if (json_i64(json_get(it.val, "maxSkew")) < 1)
			check_refuse_named(k, REASON_INVALID, skew, "must be greater than zero");
		if (!str_in(way, ways))
			check_refuse_named(k, REASON_NOT_SUPPORTED, at_way,
				"'%s' is neither DoNotSchedule nor ScheduleAnyway", way);
		check_topology_key(k, at, it.val);
		check_label_selector(k, at, "labelSelector", it.val);
	}
}

void check_placement(const struct check *k)
{
	const struct json *affinity = json_get(k->spec, "affinity");

	check_node_selector(k);
	check_node_affinity(k, json_get(affinity, "nodeAffinity"));
	check_pod_affinity(k, "podAffinity", json_get(affinity, "podAffinity"));
	check_pod_affinity(k, "podAntiAffinity", json_get(affinity, "podAntiAffinity"));
	check_tolerations(k);
	check_spread(k);
}
