/* SPDX-License-Identifier: Apache-2.0 */
/* PodDisruptionBudgets: how many evictions are allowed now. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "api/selector.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/controllers/pods.h"

#define CONFIRM_MS (2 * 60 * 1000) /* an evicted pod that has not begun to go by then counts again */

/* Who is behind the pods, and how many of them there ought to be. */
struct scale {
	struct strv seen; /* uids */
	int64_t total;
};

static void add_scale(struct scale *s, const struct obj *owner)
{
	const struct json *n = json_at(obj_json(owner), "/spec/replicas");

	if (strv_has(&s->seen, obj_uid(owner)))
		return;
	strv_add(&s->seen, obj_uid(owner));
	s->total += n ? json_i64(n) : 1;
}

/* A ReplicaSet of a Deployment stands for that. Pods of nobody do not count; those of somebody whose scale is not known here
 * are taken for all there ought to be. */
static void count_scale(const struct look *l, const struct obj *pod, struct scale *s)
{
	const struct json *ref = meta_controller_ref(obj_json(pod));
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *rs = NULL, *owner = NULL;

	if (!ref)
		return;
	key = kind_key(obj_namespace(pod), json_str_or(json_get(ref, "name"), ""));
	if (str_eq(json_get_str(ref, "kind"), "ReplicaSet"))
		rs = look_get(l, &pk_replicaset, key);
	if (!rs) {
		s->total++;
		return;
	}
	ref = meta_controller_ref(obj_json(rs));
	if (str_eq(json_get_str(ref, "kind"), "Deployment")) {
		CLEANUP(mem_freep)
		char *of = kind_key(obj_namespace(pod), json_str_or(json_get(ref, "name"), ""));

		owner = look_get(l, &pk_deployment, of);
	}
	add_scale(s, owner ? owner : rs);
}

/* Evicted, but not yet seen going. */
static bool is_disrupted(const struct json *disrupted, const struct obj *pod, int64_t now, int64_t *ret_until)
{
	int64_t at;

	if (!time_parse(json_str_or(json_get(disrupted, obj_name(pod)), ""), &at) || at + CONFIRM_MS <= now)
		return false;
	*ret_until = at + CONFIRM_MS;
	return true;
}

struct count {
	int64_t pods, healthy;
	struct scale scale;
	struct json_doc *disrupted;
};

static void count_pods(const struct look *l, const struct obj *pdb, const struct selector *s, struct count *n,
	struct plan *out)
{
	struct cache *pods = look_cache(l, &pk_pod);
	const struct json *disrupted = json_at(obj_json(pdb), "/status/disruptedPods");
	const struct obj *pod;
	int64_t until;

	for (size_t i = 0; (pod = cache_at(pods, i)); i++) {
		if (!str_eq(obj_namespace(pod), obj_namespace(pdb)) || !pod_is_active(pod) ||
			!selector_matches(s, json_at(obj_json(pod), "/metadata/labels")))
			continue;
		n->pods++;
		count_scale(l, pod, &n->scale);
		if (is_disrupted(disrupted, pod, look_now(l), &until)) {
			json_set_copy(n->disrupted, json_root(n->disrupted), obj_name(pod),
				json_get(disrupted, obj_name(pod)));
			plan_again_at(out, until);
		} else {
			n->healthy += pod_is_ready(pod);
		}
	}
}

static int64_t desired_of(const struct json *spec, int64_t expected)
{
	const struct json *most = json_get(spec, "maxUnavailable"), *least = json_get(spec, "minAvailable");
	int64_t desired = most    ? expected - int_or_percent(most, expected, true)
			  : least ? int_or_percent(least, expected, true)
				  : 1;

	return desired < 0 ? 0 : desired;
}

static void pdb_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *pdb = look_get(l, &pk_pdb, key);
	CLEANUP(selector_freep) struct selector *s = NULL;
	CLEANUP(json_doc_freep) struct json_doc *disrupted = json_lit("{}");
	struct count n = { .disrupted = disrupted };
	int64_t expected, desired, allowed;
	const struct json *spec;
	struct json_doc *d;
	struct json *status;

	if (!pdb || selector_from_json(json_at(obj_json(pdb), "/spec/selector"), &s, NULL) < 0)
		return;
	count_pods(l, pdb, s, &n, out);
	strv_done(&n.scale.seen);
	spec = json_get(obj_json(pdb), "spec");
	/* parts, and what may be missing, are of what there ought to be */
	expected = json_get(spec, "maxUnavailable") || json_is_str(json_get(spec, "minAvailable"))
			   ? n.scale.total
			   : n.pods;
	desired = desired_of(spec, expected);
	allowed = expected > 0 && n.healthy > desired ? n.healthy - desired : 0;
	d = obj_draft(pdb);
	status = json_need_obj(d, json_root(d), "status");
	json_set_i64(d, status, "expectedPods", expected);
	json_set_i64(d, status, "currentHealthy", n.healthy);
	json_set_i64(d, status, "desiredHealthy", desired);
	json_set_i64(d, status, "disruptionsAllowed", allowed);
	json_set_i64(d, status, "observedGeneration", obj_generation(pdb));
	if (json_len(json_root(disrupted)) > 0)
		json_set_copy(d, status, "disruptedPods", json_root(disrupted));
	else
		json_remove(status, "disruptedPods");
	cond_set(d, status, "DisruptionAllowed", allowed ? "True" : "False",
		allowed ? "SufficientPods" : "InsufficientPods", "", look_now(l));
	plan_change(out, &pk_pdb, pdb, "status", d);
}

static void key_pdbs_of_namespace(const struct look *l, const struct obj *pod, key_emit_fn *emit, void *arg)
{
	struct cache *all = look_cache(l, &pk_pdb);
	const struct obj *pdb;

	for (size_t i = 0; (pdb = cache_at(all, i)); i++)
		if (str_eq(obj_namespace(pdb), obj_namespace(pod)))
			emit(arg, obj_key(pdb));
}

const struct controller pdb_controller = {
	.name = "disruption",
	.decide = pdb_decide,
	.watches = {
		{ .kind = &pk_pdb, .keys = key_self },
		{ .kind = &pk_pod, .keys = key_pdbs_of_namespace },
		{ .kind = &pk_replicaset, .keys = key_pdbs_of_namespace },
		{ .kind = &pk_deployment, .keys = key_pdbs_of_namespace },
	},
};
