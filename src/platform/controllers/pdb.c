/* SPDX-License-Identifier: Apache-2.0 */
/* PodDisruptionBudgets: how many evictions are allowed now. */
#include "platform/controllers/controllers.h"

#include "api/meta.h"
#include "api/selector.h"
#include "base/mem.h"
#include "platform/controllers/pods.h"

static void pdb_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *pdb = look_get(l, &pk_pdb, key), *pod;
	struct cache *pods = look_cache(l, &pk_pod);
	CLEANUP(selector_freep) struct selector *s = NULL;
	int64_t expected = 0, healthy = 0, desired, allowed;
	const struct json *spec;
	struct json_doc *d;
	struct json *status;

	if (!pdb || selector_from_json(json_at(obj_json(pdb), "/spec/selector"), &s, NULL) < 0)
		return;
	spec = json_get(obj_json(pdb), "spec");
	for (size_t i = 0; (pod = cache_at(pods, i)); i++) {
		if (!str_eq(obj_namespace(pod), obj_namespace(pdb)) || !pod_is_active(pod) ||
			!selector_matches(s, json_at(obj_json(pod), "/metadata/labels")))
			continue;
		expected++;
		healthy += pod_is_ready(pod);
	}
	if (json_get(spec, "maxUnavailable"))
		desired = expected - int_or_percent(json_get(spec, "maxUnavailable"), expected, true);
	else
		desired = json_get(spec, "minAvailable")
				  ? int_or_percent(json_get(spec, "minAvailable"), expected, true)
				  : 1;
	if (desired < 0)
		desired = 0;
	allowed = healthy > desired ? healthy - desired : 0;
	d = obj_draft(pdb);
	status = json_need_obj(d, json_root(d), "status");
	json_set_i64(d, status, "expectedPods", expected);
	json_set_i64(d, status, "currentHealthy", healthy);
	json_set_i64(d, status, "desiredHealthy", desired);
	json_set_i64(d, status, "disruptionsAllowed", allowed);
	json_set_i64(d, status, "observedGeneration", obj_generation(pdb));
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
	},
};
