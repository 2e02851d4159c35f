/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/scheduler/fit.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "api/selector.h"
#include "base/mem.h"

#include <string.h>

/* ---- amounts ---- */
static int64_t amount(const char *name, const struct json *v)
{
	struct quantity q;

	if (quantity_from_json(v, &q, NULL) < 0)
		return 0;
	return str_eq(name, "cpu") ? quantity_milli(&q) : quantity_ceil(&q);
}

static int64_t *slot(struct usage *u, const char *name)
{
	for (size_t i = 0; i < u->n; i++)
		if (str_eq(u->items[i].name, name))
			return &u->items[i].amount;
	if (u->n == USAGE_MAX || strlen(name) >= sizeof(u->items[0].name))
		return NULL;
	str_copy(u->items[u->n].name, sizeof(u->items[0].name), name);
	u->items[u->n].amount = 0;
	return &u->items[u->n++].amount;
}

int64_t usage_of(const struct usage *u, const char *name)
{
	for (size_t i = 0; i < u->n; i++)
		if (str_eq(u->items[i].name, name))
			return u->items[i].amount;
	return 0;
}

/* Requests in force of a container, from the pod's status. */
static const struct json *in_force(const struct obj *pod, const char *container)
{
	JSON_EACH (it, json_at(obj_json(pod), "/status/containerStatuses"))
		if (str_eq(json_get_str(it.val, "name"), container))
			return json_at(it.val, "/resources/requests");
	return NULL;
}

void pod_requests(const struct obj *pod, struct usage *ret)
{
	const struct json *spec = json_get(obj_json(pod), "spec");

	*ret = (struct usage){ .pods = 1 };
	JSON_EACH (c, json_get(spec, "containers")) {
		const struct json *force = in_force(pod, json_get_str(c.val, "name"));

		JSON_EACH (it, json_at(c.val, "/resources/requests")) {
			int64_t want = amount(it.key, it.val), have = amount(it.key, json_get(force, it.key));
			int64_t *sum = slot(ret, it.key);

			if (sum)
				*sum += want > have ? want : have;
		}
	}
	JSON_EACH (c, json_get(spec, "initContainers")) {
		bool sidecar = str_eq(json_get_str(c.val, "restartPolicy"), "Always");

		JSON_EACH (it, json_at(c.val, "/resources/requests")) {
			int64_t want = amount(it.key, it.val);
			int64_t *sum = slot(ret, it.key);

			if (sum && sidecar)
				*sum += want;
			else if (sum && want > *sum)
				*sum = want;
		}
	}
	JSON_EACH (it, json_get(spec, "overhead")) {
		int64_t *sum = slot(ret, it.key);

		if (sum)
			*sum += amount(it.key, it.val);
	}
}

void usage_add(struct usage *u, const struct obj *pod)
{
	struct usage one;

	pod_requests(pod, &one);
	for (size_t i = 0; i < one.n; i++) {
		int64_t *sum = slot(u, one.items[i].name);

		if (sum)
			*sum += one.items[i].amount;
	}
	u->pods++;
}

bool fit_daemon(const struct json *spec, const struct obj *node)
{
	/* its pods get tolerations for the node's own troubles */
	return placement_selects(spec, node) &&
	       !placement_untolerated(json_get(spec, "tolerations"), node, "node.kubernetes.io/");
}

/* ---- other pods ---- */
static bool term_means(const struct json *term, const struct obj *subject, const struct obj *other,
	const struct neighbours *n)
{
	CLEANUP(selector_freep) struct selector *s = NULL;
	CLEANUP(selector_freep) struct selector *spaces = NULL;
	const struct json *names = json_get(term, "namespaces");
	bool in = false;

	if (json_get(term, "namespaceSelector")) {
		const struct json *labels =
			n->namespace_labels ? n->namespace_labels(n->arg, obj_namespace(other)) : NULL;

		in = selector_from_json(json_get(term, "namespaceSelector"), &spaces, NULL) == 0 &&
		     selector_matches(spaces, labels);
	}
	if (json_len(names))
		JSON_EACH (it, names)
			in = in || str_eq(json_str(it.val), obj_namespace(other));
	else if (!json_get(term, "namespaceSelector"))
		in = str_eq(obj_namespace(subject), obj_namespace(other));
	return in && selector_from_json(json_get(term, "labelSelector"), &s, NULL) == 0 &&
	       selector_matches(s, json_at(obj_json(other), "/metadata/labels"));
}

static const struct obj *node_named(const struct neighbours *n, const char *name)
{
	for (size_t i = 0; i < n->n_nodes; i++)
		if (str_eq(obj_name(n->nodes[i]), name))
			return n->nodes[i];
	return NULL;
}

static bool same_domain(const struct json *term, const struct obj *a, const struct obj *b)
{
	const char *key = json_str_or(json_get(term, "topologyKey"), "");
	const char *x = a ? meta_label(obj_json(a), key) : NULL, *y = b ? meta_label(obj_json(b), key) : NULL;

	return x && y && str_eq(x, y);
}

/* Is there, in the node's domain, a pod that the term of `subject` means? */
static bool domain_has(const struct json *term, const struct obj *subject, const struct obj *node,
	const struct neighbours *n)
{
	for (size_t i = 0; i < n->n_pods; i++) {
		const struct obj *other = n->pods[i];

		if (term_means(term, subject, other, n) &&
			same_domain(
				term, node, node_named(n, json_at_str(obj_json(other), "/spec/nodeName"))))
			return true;
	}
	return false;
}

static const struct json *required_terms(const struct obj *pod, const char *which)
{
	return json_get(json_get(json_at(obj_json(pod), "/spec/affinity"), which),
		"requiredDuringSchedulingIgnoredDuringExecution");
}

/* The first pod of a group that wants to be near its own kind may start anywhere. */
static bool nobody_yet(const struct json *term, const struct obj *pod, const struct neighbours *n)
{
	if (!term_means(term, pod, pod, n))
		return false;
	for (size_t i = 0; i < n->n_pods; i++)
		if (term_means(term, pod, n->pods[i], n))
			return false;
	return true;
}

static bool neighbours_fit(
	const struct obj *pod, const struct obj *node, const struct neighbours *n, struct str *why)
{
	JSON_EACH (it, required_terms(pod, "podAffinity")) {
		if (!domain_has(it.val, pod, node, n) && !nobody_yet(it.val, pod, n)) {
			str_add(why, "node(s) didn't match pod affinity rules");
			return false;
		}
	}
	JSON_EACH (it, required_terms(pod, "podAntiAffinity")) {
		if (domain_has(it.val, pod, node, n)) {
			str_add(why, "node(s) didn't match pod anti-affinity rules");
			return false;
		}
	}
	for (size_t i = 0; i < n->n_pods; i++) {
		JSON_EACH (it, required_terms(n->pods[i], "podAntiAffinity")) {
			const struct obj *theirs =
				node_named(n, json_at_str(obj_json(n->pods[i]), "/spec/nodeName"));

			if (term_means(it.val, n->pods[i], pod, n) && same_domain(it.val, node, theirs)) {
				str_add(why, "node(s) didn't satisfy existing pods anti-affinity rules");
				return false;
			}
		}
	}
	return true;
}

static bool room_for(const struct obj *pod, const struct obj *node, const struct usage *used, struct str *why)
{
	const struct json *allocatable = json_at(obj_json(node), "/status/allocatable");
	struct usage need;

	pod_requests(pod, &need);
	if (json_get(allocatable, "pods") && used->pods + 1 > amount("pods", json_get(allocatable, "pods"))) {
		str_add(why, "Too many pods");
		return false;
	}
	for (size_t i = 0; i < need.n; i++) {
		const char *name = need.items[i].name;

		if (need.items[i].amount > 0 && usage_of(used, name) + need.items[i].amount >
							amount(name, json_get(allocatable, name))) {
			str_addf(why, "Insufficient %s", name);
			return false;
		}
	}
	return true;
}

bool fit_node(const struct obj *pod, const struct obj *node, const struct usage *used,
	const struct neighbours *n, struct str *why)
{
	const struct json *spec = json_get(obj_json(pod), "spec");
	const struct json *taint;
	bool tolerates_cordon = false;

	JSON_EACH (it, json_get(spec, "tolerations"))
		tolerates_cordon =
			tolerates_cordon || (str_eq(json_get_str(it.val, "operator"), "Exists") &&
						    (str_empty(json_get_str(it.val, "key")) ||
							    str_eq(json_get_str(it.val, "key"),
								    "node.kubernetes.io/unschedulable")));
	if (json_bool(json_at(obj_json(node), "/spec/unschedulable")) && !tolerates_cordon) {
		str_add(why, "node(s) were unschedulable");
		return false;
	}
	if (!placement_selects(spec, node)) {
		str_add(why, "node(s) didn't match Pod's node affinity/selector");
		return false;
	}
	taint = placement_untolerated(json_get(spec, "tolerations"), node, NULL);
	if (taint) {
		str_addf(why, "node(s) had untolerated taint {%s: %s}",
			json_str_or(json_get(taint, "key"), ""), json_str_or(json_get(taint, "value"), ""));
		return false;
	}
	return room_for(pod, node, used, why) && neighbours_fit(pod, node, n, why);
}

int64_t fit_score(const struct obj *pod, const struct obj *node, const struct usage *used)
{
	static const char *const names[] = { "cpu", "memory" };
	const struct json *spec = json_get(obj_json(pod), "spec");
	int64_t score = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int64_t all = amount(names[i], json_at(obj_json(node), i ? "/status/allocatable/memory"
									 : "/status/allocatable/cpu"));

		if (all > 0)
			score += (all - usage_of(used, names[i])) / (all / 100 + 1);
	}
	JSON_EACH (
		it, json_at(spec, "/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution"))
		if (placement_term_matches(json_get(it.val, "preference"), node))
			score += 10 * json_i64(json_get(it.val, "weight"));
	return score;
}
