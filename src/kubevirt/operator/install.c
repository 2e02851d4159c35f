/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/install.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/operator/apply.h"
#include "kubevirt/operator/certs.h"
#include "kubevirt/operator/render.h"
#include "kubevirt/operator/report.h"

#include <stdio.h>
#include <string.h>

/* ---- is a workload where it should be? (operator.md 2.5) ---- */
static int64_t status_int(const struct obj *o, const char *pointer)
{
	return json_i64(json_at(obj_json(o), pointer));
}

static bool observed(const struct obj *o)
{
	return status_int(o, "/status/observedGeneration") >= obj_generation(o);
}

static bool deployment_rolled_over(const struct obj *o)
{
	int64_t want = status_int(o, "/spec/replicas");

	return observed(o) && want > 0 && status_int(o, "/status/updatedReplicas") == want &&
	       status_int(o, "/status/replicas") == want && status_int(o, "/status/readyReplicas") == want;
}

static bool daemonset_rolled_over(const struct obj *o)
{
	int64_t want = status_int(o, "/status/desiredNumberScheduled");

	return observed(o) && want > 0 && status_int(o, "/status/updatedNumberScheduled") == want &&
	       status_int(o, "/status/numberReady") == want;
}

static bool workload_rolled_over(const struct look *l, const struct rendered *item)
{
	const struct obj *o = look_get(l, item->kind, item->key);

	if (item->kind == &kind_deployment)
		return o && deployment_rolled_over(o);
	if (item->kind == &kind_daemonset)
		return o && daemonset_rolled_over(o);
	return true;
}

/* ---- direction (operator.md 2.4) ---- */
static bool version_parse(const char *text, long v[3])
{
	char rest = 0;

	if (!text)
		return false;
	return sscanf(text, "v%ld.%ld.%ld%c", &v[0], &v[1], &v[2], &rest) >= 3 ||
	       sscanf(text, "%ld.%ld.%ld", &v[0], &v[1], &v[2]) == 3;
}

/* An update lets the old virt-api keep new features out until all controllers know them; anything else brings virt-api first. */
static bool is_update(const char *target, const char *before)
{
	long a[3], b[3];

	if (str_empty(before) || str_eq(target, before))
		return false;
	if (!version_parse(target, a) || !version_parse(before, b))
		return true;
	for (int i = 0; i < 3; i++)
		if (a[i] != b[i])
			return a[i] > b[i];
	return false;
}

/* Applies one stage; true when all of it is there as rendered. */
static bool apply_stage(const struct look *l, const struct rendering *r, enum stage stage, struct plan *out)
{
	bool there = true;

	for (size_t i = 0; i < r->len; i++)
		if (r->items[i].stage == stage && !apply_one(l, &r->items[i], out))
			there = false;
	return there;
}

static bool stage_rolled_over(const struct look *l, const struct rendering *r, enum stage stage)
{
	for (size_t i = 0; i < r->len; i++)
		if (r->items[i].stage == stage && !workload_rolled_over(l, &r->items[i]))
			return false;
	return true;
}

/* Workloads one after the other, each waiting for the one before. true when all are rolled over. */
static bool apply_workloads(
	const struct look *l, const struct rendering *r, bool update, struct plan *out, bool *ret_written)
{
	static const enum stage forward[] = { STAGE_API, STAGE_CONTROLLER, STAGE_HANDLER };
	static const enum stage updating[] = { STAGE_HANDLER, STAGE_CONTROLLER, STAGE_API };
	const enum stage *order = update ? updating : forward;

	for (size_t i = 0; i < 3; i++) {
		if (!apply_stage(l, r, order[i], out)) {
			*ret_written = false;
			return false;
		}
		if (!stage_rolled_over(l, r, order[i])) {
			*ret_written = i == 2;
			return false;
		}
	}
	*ret_written = true;
	return true;
}

static size_t schedulable_nodes(const struct look *l)
{
	struct cache *nodes = look_cache(l, &kind_node);
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = cache_at(nodes, i)); i++)
		if (!json_bool(json_at(obj_json(o), "/spec/unschedulable")))
			n++;
	return n;
}

/* The one KubeVirt that counts: the oldest in our namespace. */
static bool is_the_one(const struct look *l, const struct obj *kv, const struct operator_settings *s)
{
	struct cache *all = look_cache(l, &kind_kubevirt);
	const struct obj *o;

	if (!str_eq(obj_namespace(kv), s->ns))
		return false;
	for (size_t i = 0; (o = cache_at(all, i)); i++) {
		const char *a = meta_str(obj_json(o), "creationTimestamp"),
			   *b = meta_str(obj_json(kv), "creationTimestamp");

		if (o == kv || !str_eq(obj_namespace(o), s->ns))
			continue;
		if (strcmp(a, b) < 0 || (str_eq(a, b) && strcmp(obj_name(o), obj_name(kv)) < 0))
			return false;
	}
	return true;
}

/* What a pass found, in the words of the status. */
struct pass {
	const struct obj *kv;
	const struct operator_settings *s;
	struct target target;
	struct json_doc *draft;
	struct json *status;
	int64_t now;
};

static bool version_changes(const struct pass *p)
{
	const char *before = json_get_str(p->status, "observedDeploymentID");

	return !str_empty(before) && !str_eq(before, p->target.id);
}

/* The situation an unfinished pass reports; an update is shown as one until it is over. */
static enum situation unfinished(const struct pass *p)
{
	return version_changes(p) ? SITUATION_UPDATING : SITUATION_DEPLOYING;
}

static void report_done(struct pass *p, struct plan *out)
{
	const struct json *degraded = cond_find(json_get(p->status, "conditions"), "Degraded");
	int64_t since;

	if (version_changes(p)) {
		const char *at = json_get_str(degraded, "lastTransitionTime");

		report_situation(p->draft, p->status, SITUATION_UPDATING, NULL, p->now);
		/* Whole seconds on the wire: a second more, or it might be shown for less. */
		if (!at || !time_parse(at, &since) ||
			!str_eq(json_get_str(degraded, "reason"), "UpdateInProgress"))
			since = p->now;
		if (p->now < since + UPDATE_SHOWN_MS + 1000) {
			plan_again_at(out, since + UPDATE_SHOWN_MS + 1000);
			return;
		}
	}
	json_set_str(p->draft, p->status, "phase", "Deployed");
	report_observed(p->draft, p->status, &p->target, p->s->ns);
	json_set_i64(p->draft, p->status, "observedGeneration", obj_generation(p->kv));
	report_situation(p->draft, p->status, SITUATION_READY, NULL, p->now);
	report_created(p->draft, p->status, p->now);
}

static void install_pass(const struct look *l, struct pass *p, struct plan *out)
{
	const struct json *cr = obj_json(p->kv);
	CLEANUP(mem_freep) char *ca = NULL;
	CLEANUP(rendering_done) struct rendering r = { 0 };
	struct render_in in = {
		.settings = p->s, .target = &p->target, .cr = cr, .nodes = schedulable_nodes(l)
	};
	struct err e = { 0 };
	bool written, there = true;

	if (str_empty(json_get_str(p->status, "phase")))
		json_set_str(p->draft, p->status, "phase", "Deploying");
	json_set_str(p->draft, p->status, "operatorVersion", p->s->version);
	report_target(p->draft, p->status, &p->target, p->s->ns);
	if (certs_ensure(l, p->s, cr, out, &ca, &e) < 0) {
		report_situation(p->draft, p->status, SITUATION_FAILED, e.msg, p->now);
		plan_fail(out, &e);
		return;
	}
	in.ca_b64 = ca;
	render_install(&in, &r);
	for (enum stage stage = STAGE_CRD; stage < STAGE_API; stage++)
		if (!apply_stage(l, &r, stage, out))
			there = false;
	if (!apply_workloads(l, &r,
		    is_update(p->target.version, json_get_str(p->status, "observedKubeVirtVersion")), out,
		    &written)) {
		report_situation(p->draft, p->status, unfinished(p), NULL, p->now);
		if (there && written)
			report_created(p->draft, p->status, p->now);
		return;
	}
	if (there)
		report_done(p, out);
	else
		report_situation(p->draft, p->status, unfinished(p), NULL, p->now);
}

static void delete_pass(const struct look *l, struct pass *p, struct plan *out)
{
	bool done = remove_installation(l, p->s, out);

	json_set_str(p->draft, p->status, "phase", done ? "Deleted" : "Deleting");
	report_situation(p->draft, p->status, SITUATION_DELETING, NULL, p->now);
}

static void drop_finalizer(const struct obj *kv, struct plan *out)
{
	struct json_doc *d = obj_draft(kv);

	meta_set_finalizer(d, json_root(d), FINALIZER_KUBEVIRT, false);
	plan_change(out, &kind_kubevirt, kv, NULL, d);
}

/* The finalizer stands before anything is installed, so that nothing is left behind. */
static bool finalizer_stands(const struct obj *kv, struct plan *out)
{
	struct json_doc *d;

	if (meta_has_finalizer(obj_json(kv), FINALIZER_KUBEVIRT))
		return true;
	d = obj_draft(kv);
	meta_set_finalizer(d, json_root(d), FINALIZER_KUBEVIRT, true);
	plan_change(out, &kind_kubevirt, kv, NULL, d);
	return false;
}

void install_decide(const struct look *l, const char *key, struct plan *out)
{
	struct pass p = { .kv = look_get(l, &kind_kubevirt, key), .s = look_env(l), .now = look_now(l) };
	struct err e = { 0 };
	bool deleting = p.kv && obj_deleting(p.kv);

	if (!p.kv)
		return;
	p.draft = obj_draft(p.kv);
	p.status = json_need_obj(p.draft, json_root(p.draft), "status");
	if (deleting && str_eq(json_get_str(p.status, "phase"), "Deleted")) {
		if (meta_has_finalizer(obj_json(p.kv), FINALIZER_KUBEVIRT))
			drop_finalizer(p.kv, out);
		json_doc_free(p.draft);
		return;
	}
	if (!is_the_one(l, p.kv, p.s)) {
		report_situation(p.draft, p.status, SITUATION_FOREIGN,
			"There is already a KubeVirt, or this one is in another namespace "
			"than its operator.",
			p.now);
	} else if (deleting) {
		delete_pass(l, &p, out);
	} else if (!finalizer_stands(p.kv, out)) {
		json_doc_free(p.draft);
		return;
	} else if (target_compute(p.s, obj_json(p.kv), &p.target, &e) < 0) {
		report_situation(p.draft, p.status, SITUATION_FAILED, e.msg, p.now);
	} else {
		install_pass(l, &p, out);
	}
	target_done(&p.target);
	plan_change(out, &kind_kubevirt, p.kv, "status", p.draft);
}

/* Whatever changed, the one KubeVirt is looked at again. */
static void key_kubevirt(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	struct cache *all = look_cache(l, &kind_kubevirt);
	const struct obj *kv;

	for (size_t i = 0; (kv = cache_at(all, i)); i++)
		emit(emit_arg, obj_key(kv));
}

const struct controller operator_controller = {
	.name = "kubevirt",
	.decide = install_decide,
	.workers = 1,
	.watches = {
		{ .kind = &kind_kubevirt, .keys = key_self },
		{ .kind = &kind_crd, .keys = key_kubevirt },
		{ .kind = &kind_serviceaccount, .keys = key_kubevirt, .label_selector = NULL },
		{ .kind = &kind_clusterrole, .keys = key_kubevirt },
		{ .kind = &kind_clusterrolebinding, .keys = key_kubevirt },
		{ .kind = &kind_role, .keys = key_kubevirt },
		{ .kind = &kind_rolebinding, .keys = key_kubevirt },
		{ .kind = &kind_service, .keys = key_kubevirt },
		{ .kind = &kind_secret, .keys = key_kubevirt },
		{ .kind = &kind_configmap, .keys = key_kubevirt },
		{ .kind = &kind_mutatingwebhook, .keys = key_kubevirt },
		{ .kind = &kind_validatingwebhook, .keys = key_kubevirt },
		{ .kind = &kind_apiservice, .keys = key_kubevirt },
		{ .kind = &kind_deployment, .keys = key_kubevirt },
		{ .kind = &kind_daemonset, .keys = key_kubevirt },
		{ .kind = &kind_pdb, .keys = key_kubevirt },
		{ .kind = &kind_node, .keys = key_kubevirt },
	},
};
