/* SPDX-License-Identifier: Apache-2.0 */
/* What objects use, in the words of quotas. */
#include "platform/admission/quota.h"

#include "base/mem.h"

#include <string.h>

static bool core(const char *group, const char *plural, const char *want)
{
	return str_empty(group) && str_eq(plural, want);
}

/* ---- usage ---- */
static bool is_extended(const char *name)
{
	return strchr(name, '/') && !strstr(name, "kubernetes.io/");
}

static void add_prefixed(struct amounts *ret, const char *prefix, const struct amount *a)
{
	CLEANUP(mem_freep) char *name = str_printf("%s%s", prefix, a->name);

	amounts_add(ret, name, &a->q);
}

static bool is_compute(const char *name)
{
	return str_eq(name, "cpu") || str_eq(name, "memory") || str_eq(name, "ephemeral-storage");
}

static void use_compute(const struct amounts *requests, const struct amounts *limits, struct amounts *ret)
{
	for (size_t i = 0; i < requests->len; i++) {
		const struct amount *a = &requests->items[i];
		bool plain = is_compute(a->name) || str_starts(a->name, "hugepages-");

		if (plain)
			amounts_add(ret, a->name, &a->q);
		if (plain || is_extended(a->name))
			add_prefixed(ret, "requests.", a);
	}
	for (size_t i = 0; i < limits->len; i++)
		if (is_compute(limits->items[i].name))
			add_prefixed(ret, "limits.", &limits->items[i]);
}

static bool pod_is_over(const struct json *pod)
{
	const char *phase = json_at_str(pod, "/status/phase");

	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static void use_pod(const struct json *pod, struct amounts *ret)
{
	CLEANUP(amounts_done) struct amounts requests = { 0 };
	CLEANUP(amounts_done) struct amounts limits = { 0 };

	amounts_add_count(ret, "count/pods", 1);
	if (pod_is_over(pod))
		return;
	amounts_add_count(ret, "pods", 1);
	pod_amounts(json_get(pod, "spec"), "requests", &requests);
	pod_amounts(json_get(pod, "spec"), "limits", &limits);
	use_compute(&requests, &limits, ret);
}

static void use_service(const struct json *svc, struct amounts *ret)
{
	const char *type = json_at_str(svc, "/spec/type");
	int64_t ports = (int64_t)json_len(json_at(svc, "/spec/ports"));
	bool balanced = str_eq(type, "LoadBalancer");

	amounts_add_count(ret, "count/services", 1);
	amounts_add_count(ret, "services", 1);
	if (balanced)
		amounts_add_count(ret, "services.loadbalancers", 1);
	if (str_eq(type, "NodePort") ||
		(balanced && json_bool_or(json_at(svc, "/spec/allocateLoadBalancerNodePorts"), true)))
		amounts_add_count(ret, "services.nodeports", ports);
}

static void use_claim(const struct json *claim, struct amounts *ret)
{
	static const char annotation[] = "volume.beta.kubernetes.io/storage-class";
	const char *class = json_get_str(json_at(claim, "/metadata/annotations"), annotation);
	const struct json *storage = json_at(claim, "/spec/resources/requests/storage");
	struct quantity q;
	bool sized = storage && quantity_from_json(storage, &q, NULL) == 0;

	if (str_empty(class))
		class = json_at_str(claim, "/spec/storageClassName");
	amounts_add_count(ret, "count/persistentvolumeclaims", 1);
	amounts_add_count(ret, "persistentvolumeclaims", 1);
	if (sized)
		amounts_add(ret, "requests.storage", &q);
	if (!str_empty(class)) {
		CLEANUP(mem_freep)
		char *n = str_printf("%s" QUOTA_CLASS_SUFFIX "persistentvolumeclaims", class);
		CLEANUP(mem_freep) char *size = str_printf("%s" QUOTA_CLASS_SUFFIX "requests.storage", class);

		amounts_add_count(ret, n, 1);
		if (sized)
			amounts_add(ret, size, &q);
	}
}

void quota_usage(const char *group, const char *plural, const struct json *o, struct amounts *ret)
{
	CLEANUP(mem_freep) char *count = NULL;

	if (core(group, plural, "pods")) {
		use_pod(o, ret);
	} else if (core(group, plural, "services")) {
		use_service(o, ret);
	} else if (core(group, plural, "persistentvolumeclaims")) {
		use_claim(o, ret);
	} else {
		count = str_printf("count/%s%s%s", plural, str_empty(group) ? "" : ".", group);
		amounts_add_count(ret, count, 1);
		if (str_empty(group) && quota_counts_plainly(plural))
			amounts_add_count(ret, plural, 1);
	}
}

/* ---- scopes ---- */
static bool any_amount(const struct json *map)
{
	JSON_EACH (it, map) {
		if (is_compute(it.key) && quantity_millis(it.val) > 0)
			return true;
	}
	return false;
}

static bool best_effort(const struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		JSON_EACH (c, json_get(spec, lists[l])) {
			if (any_amount(json_at(c.val, "/resources/requests")) ||
				any_amount(json_at(c.val, "/resources/limits")))
				return false;
		}
	return true;
}

static bool term_names_namespaces(const struct json *term)
{
	return json_len(json_get(term, "namespaces")) > 0 || json_is_obj(json_get(term, "namespaceSelector"));
}

static bool cross_namespace(const struct json *spec)
{
	static const char *const kinds[] = { "podAffinity", "podAntiAffinity" };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct json *a = json_get(json_get(spec, "affinity"), kinds[k]);

		JSON_EACH (t, json_get(a, "requiredDuringSchedulingIgnoredDuringExecution")) {
			if (term_names_namespaces(t.val))
				return true;
		}
		JSON_EACH (t, json_get(a, "preferredDuringSchedulingIgnoredDuringExecution")) {
			if (term_names_namespaces(json_get(t.val, "podAffinityTerm")))
				return true;
		}
	}
	return false;
}

static bool class_selected(const struct json *term, const char *class)
{
	const char *op = json_str_or(json_get(term, "operator"), "Exists");
	bool listed = false;

	JSON_EACH (it, json_get(term, "values"))
		listed |= str_eq(json_str(it.val), class);
	if (str_eq(op, "In"))
		return !str_empty(class) && listed;
	if (str_eq(op, "NotIn"))
		return !listed;
	return str_eq(op, "DoesNotExist") ? str_empty(class) : !str_empty(class);
}

/* term: {operator, values} for PriorityClass, else NULL. */
static bool pod_in_scope(const char *scope, const struct json *term, const struct json *pod)
{
	const struct json *spec = json_get(pod, "spec");
	bool terminating = json_is_num(json_get(spec, "activeDeadlineSeconds"));

	if (str_eq(scope, "Terminating"))
		return terminating;
	if (str_eq(scope, "NotTerminating"))
		return !terminating;
	if (str_eq(scope, "BestEffort"))
		return best_effort(spec);
	if (str_eq(scope, "NotBestEffort"))
		return !best_effort(spec);
	if (str_eq(scope, "PriorityClass"))
		return class_selected(term, json_get_str(spec, "priorityClassName"));
	return str_eq(scope, "CrossNamespacePodAffinity") && cross_namespace(spec);
}

bool quota_in_scope(
	const struct json *quota_spec, const char *group, const char *plural, const struct json *o)
{
	const struct json *terms = json_at(quota_spec, "/scopeSelector/matchExpressions");
	bool pod = core(group, plural, "pods");

	JSON_EACH (it, json_get(quota_spec, "scopes")) {
		if (!pod || !pod_in_scope(json_str_or(it.val, ""), NULL, o))
			return false;
	}
	JSON_EACH (it, terms) {
		if (!pod || !pod_in_scope(json_str_or(json_get(it.val, "scopeName"), ""), it.val, o))
			return false;
	}
	return true;
}

bool quota_counts(const char *group, const char *plural, const char *sub, bool create)
{
	if (core(group, plural, "pods"))
		return str_empty(sub) ? create : str_eq(sub, "resize") && !create;
	if (!str_empty(sub))
		return false;
	return create || core(group, plural, "services") || core(group, plural, "persistentvolumeclaims");
}

/* ---- what containers must say ---- */
bool quota_missing(const struct json *hard, const struct json *pod_spec, struct str *ret)
{
	static const char *const demanded[] = { "cpu", "limits.cpu", "limits.memory", "memory",
		"requests.cpu", "requests.memory" };
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(demanded); i++) {
		const char *name = demanded[i];
		const char *dot = strchr(name, '.'), *resource = dot ? dot + 1 : name;
		const char *what = str_starts(name, "limits.") ? "limits" : "requests";
		CLEANUP(strv_done) struct strv who = { 0 };
		CLEANUP(mem_freep) char *list = NULL;

		if (!json_get(hard, name))
			continue;
		for (size_t l = 0; l < ARRAY_LEN(lists); l++)
			JSON_EACH (c, json_get(pod_spec, lists[l])) {
				const char *n = json_str_or(json_get(c.val, "name"), "");

				if (!json_get(json_get(json_get(c.val, "resources"), what), resource) &&
					!strv_has(&who, n))
					strv_add(&who, n);
			}
		if (who.len == 0)
			continue;
		strv_sort(&who);
		list = strv_join(&who, ",");
		str_addf(ret, "%s%s for: %s", ret->len ? "; " : "", name, list);
	}
	return ret->len > 0;
}
