/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/limit_kinds.h"

#include "api/quantity.h"
#include "base/mem.h"

#include <string.h>

/* ---- LimitRange ---- */
static void copy_missing(struct json_doc *d, struct json *item, const char *from, const char *to)
{
	JSON_EACH (it, json_get(item, from)) {
		if (!json_get(json_get(item, to), it.key))
			json_set_copy(d, json_need_obj(d, item, to), it.key, it.val);
	}
}

void limitrange_default(struct json_doc *d, struct json *o)
{
	JSON_EACH (it, json_at(o, "/spec/limits")) {
		if (!str_eq(json_get_str(it.val, "type"), "Container"))
			continue;
		copy_missing(d, it.val, "max", "default");
		copy_missing(d, it.val, "default", "defaultRequest");
		copy_missing(d, it.val, "min", "defaultRequest");
	}
}

/* a must not be above b. */
static void check_order(const struct json *item, size_t i, const char *a, const char *b, struct causes *c)
{
	JSON_EACH (it, json_get(item, a)) {
		const struct json *other = json_get(json_get(item, b), it.key);
		CLEANUP(mem_freep) char *field = str_printf("spec.limits[%zu].%s[%s]", i, a, it.key);
		struct quantity x, y;

		if (!other || quantity_from_json(it.val, &x, NULL) < 0 ||
			quantity_from_json(other, &y, NULL) < 0)
			continue;
		if (quantity_cmp(&x, &y) > 0)
			cause_invalid(c, field, it.val, "%s value %s is greater than %s value %s", a,
				json_str_or(it.val, ""), b, json_str_or(other, ""));
	}
}

static void check_ratio(const struct json *item, size_t i, struct causes *c)
{
	JSON_EACH (it, json_get(item, "maxLimitRequestRatio")) {
		CLEANUP(mem_freep)
		char *field = str_printf("spec.limits[%zu].maxLimitRequestRatio[%s]", i, it.key);
		struct quantity q;

		if (quantity_from_json(it.val, &q, NULL) == 0 && q.value < 1)
			cause_invalid(c, field, it.val, "ratio %s is less than 1", json_str_or(it.val, ""));
	}
}

void limitrange_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const order[][2] = { { "min", "max" }, { "defaultRequest", "max" },
		{ "default", "max" }, { "min", "defaultRequest" }, { "min", "default" },
		{ "defaultRequest", "default" } };
	CLEANUP(strv_done) struct strv seen = { 0 };
	size_t i = 0;

	(void)env;
	(void)old;
	JSON_EACH (it, json_at(o, "/spec/limits")) {
		const char *type = json_str_or(json_get(it.val, "type"), "");
		CLEANUP(mem_freep) char *field = str_printf("spec.limits[%zu].type", i);

		if (strv_has(&seen, type))
			cause_duplicate(c, field, json_get(it.val, "type"));
		strv_add(&seen, type);
		if (!*type)
			cause_required(c, field, "");
		if (str_eq(type, "Pod") && json_len(json_get(it.val, "default")) > 0)
			cause_forbidden(
				c, "spec.limits.default", "may not be specified when `type` is 'Pod'");
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			check_order(it.val, i, order[k][0], order[k][1], c);
		check_ratio(it.val, i, c);
		i++;
	}
}

/* ---- names in quotas ---- */
bool quota_counts_plainly(const char *plural)
{
	static const char *const counted_plainly[] = { "configmaps", "secrets", "resourcequotas",
		"replicationcontrollers", NULL };

	return str_in(plural, counted_plainly);
}

bool quota_subject(const char *hard, char **ret_group, char **ret_plural)
{
	static const char *const of_pods[] = { "pods", "cpu", "memory", "ephemeral-storage", NULL };
	static const char *const of_services[] = { "services", "services.nodeports", "services.loadbalancers",
		NULL };
	const char *plural = NULL, *group = "", *dot;

	if (str_starts(hard, "count/")) {
		hard += strlen("count/");
		dot = strchr(hard, '.');
		*ret_plural = dot ? mem_strndup(hard, (size_t)(dot - hard)) : mem_strdup(hard);
		*ret_group = mem_strdup(dot ? dot + 1 : "");
		return true;
	}
	if (str_eq(hard, "persistentvolumeclaims") || str_eq(hard, "requests.storage") ||
		strstr(hard, QUOTA_CLASS_SUFFIX))
		plural = "persistentvolumeclaims";
	else if (str_in(hard, of_pods) || str_starts(hard, "requests.") || str_starts(hard, "limits.") ||
		 str_starts(hard, "hugepages-"))
		plural = "pods";
	else if (str_in(hard, of_services))
		plural = "services";
	else if (quota_counts_plainly(hard))
		plural = hard;
	if (!plural)
		return false;
	*ret_plural = mem_strdup(plural);
	*ret_group = mem_strdup(group);
	return true;
}

/* ---- ResourceQuota ---- */
static void check_hard(const struct json *hard, struct causes *c)
{
	JSON_EACH (it, hard) {
		CLEANUP(mem_freep) char *field = str_printf("spec.hard[%s]", it.key);
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		CLEANUP(mem_freep) char *group = NULL;
		CLEANUP(mem_freep) char *plural = NULL;
		struct quantity q;

		if (!quota_subject(it.key, &group, &plural))
			cause_invalid(
				c, field, json_new_str(d, it.key), "must be a standard resource for quota");
		if (quantity_from_json(it.val, &q, NULL) == 0 && q.value < 0)
			cause_invalid(c, field, it.val, "must be greater than or equal to 0");
	}
}

static bool has_scope(const struct json *spec, const char *name)
{
	JSON_EACH (it, json_get(spec, "scopes")) {
		if (str_eq(json_str(it.val), name))
			return true;
	}
	return false;
}

void quota_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const scopes[] = { "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort",
		"NotTerminating", "PriorityClass", "Terminating", NULL };
	const struct json *spec = json_get(o, "spec");
	size_t i = 0;

	(void)env;
	check_hard(json_get(spec, "hard"), c);
	JSON_EACH (it, json_get(spec, "scopes")) {
		if (!str_in(json_str_or(it.val, ""), scopes))
			cause_invalid(c, "spec.scopes", json_get(spec, "scopes"), "unsupported scope");
	}
	JSON_EACH (it, json_at(spec, "/scopeSelector/matchExpressions")) {
		CLEANUP(mem_freep)
		char *at = str_printf("spec.scopeSelector.matchExpressions[%zu].scopeName", i++);

		if (!str_in(json_str_or(json_get(it.val, "scopeName"), ""), scopes))
			cause_invalid(c, at, json_get(it.val, "scopeName"), "unsupported scope");
	}
	if ((has_scope(spec, "BestEffort") && has_scope(spec, "NotBestEffort")) ||
		(has_scope(spec, "Terminating") && has_scope(spec, "NotTerminating")))
		cause_invalid(c, "spec.scopes", json_get(spec, "scopes"), "conflicting scopes");
	if (old && (!json_eq(json_get(spec, "scopes"), json_at(old, "/spec/scopes")) ||
			   !json_eq(json_get(spec, "scopeSelector"), json_at(old, "/spec/scopeSelector"))))
		cause_invalid(c, "spec.scopes", json_get(spec, "scopes"), "field is immutable");
}
