/* SPDX-License-Identifier: Apache-2.0 */
#include "api/placement.h"

#include "api/meta.h"
#include "base/str.h"

/* ---- selectors ---- */
static bool number_compare(const char *have, const struct json *values, bool greater)
{
	const char *want = json_str(json_item(values, 0));
	int64_t a, b;

	if (!have || !want || !str_to_i64(have, INT64_MIN, INT64_MAX, &a) ||
		!str_to_i64(want, INT64_MIN, INT64_MAX, &b))
		return false;
	return greater ? a > b : a < b;
}

static bool value_in(const char *have, const struct json *values)
{
	JSON_EACH (it, values)
		if (have && str_eq(have, json_str(it.val)))
			return true;
	return false;
}

static bool requirement_holds(const struct json *r, const char *have)
{
	const char *op = json_str_or(json_get(r, "operator"), "");
	const struct json *values = json_get(r, "values");

	if (str_eq(op, "In"))
		return value_in(have, values);
	if (str_eq(op, "NotIn"))
		return !value_in(have, values);
	if (str_eq(op, "Exists"))
		return have != NULL;
	if (str_eq(op, "DoesNotExist"))
		return have == NULL;
	if (str_eq(op, "Gt") || str_eq(op, "Lt"))
		return number_compare(have, values, *op == 'G');
	return false;
}

bool placement_term_matches(const struct json *term, const struct obj *node)
{
	if (!json_len(json_get(term, "matchExpressions")) && !json_len(json_get(term, "matchFields")))
		return false; /* an empty term matches nothing */
	JSON_EACH (it, json_get(term, "matchExpressions"))
		if (!requirement_holds(
			    it.val, meta_label(obj_json(node), json_str_or(json_get(it.val, "key"), ""))))
			return false;
	JSON_EACH (it, json_get(term, "matchFields"))
		if (!str_eq(json_get_str(it.val, "key"), "metadata.name") ||
			!requirement_holds(it.val, obj_name(node)))
			return false;
	return true;
}

bool node_selector_matches(const struct json *selector, const struct obj *node)
{
	JSON_EACH (it, json_get(selector, "nodeSelectorTerms"))
		if (placement_term_matches(it.val, node))
			return true;
	return false;
}

bool placement_selects(const struct json *spec, const struct obj *node)
{
	const struct json *required =
		json_at(spec, "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");

	JSON_EACH (it, json_get(spec, "nodeSelector"))
		if (!str_eq(meta_label(obj_json(node), it.key), json_str(it.val)))
			return false;
	return !required || node_selector_matches(required, node);
}

/* ---- taints ---- */
static bool tolerated_by(const struct json *t, const struct json *taint)
{
	const char *effect = json_get_str(t, "effect"), *key = json_get_str(t, "key");
	const char *op = json_str_or(json_get(t, "operator"), "Equal");

	if (!str_empty(effect) && !str_eq(effect, json_get_str(taint, "effect")))
		return false;
	if (!str_empty(key) && !str_eq(key, json_get_str(taint, "key")))
		return false;
	if (str_eq(op, "Exists"))
		return true;
	return !str_empty(key) &&
	       str_eq(json_str_or(json_get(t, "value"), ""), json_str_or(json_get(taint, "value"), ""));
}

const struct json *placement_untolerated(
	const struct json *tolerations, const struct obj *node, const char *exempt)
{
	JSON_EACH (taint, json_at(obj_json(node), "/spec/taints")) {
		const char *effect = json_get_str(taint.val, "effect");
		bool ok = str_eq(effect, "PreferNoSchedule");

		if (exempt && str_starts(json_str_or(json_get(taint.val, "key"), ""), exempt))
			ok = true;
		JSON_EACH (t, tolerations)
			ok = ok || tolerated_by(t.val, taint.val);
		if (!ok)
			return taint.val;
	}
	return NULL;
}
