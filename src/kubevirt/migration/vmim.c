/* SPDX-License-Identifier: Apache-2.0 */
/* Migration objects: their phases as far as they follow from the instance, back-off, and their end. rollout.md 3.1. */
#include "kubevirt/migration/migration.h"

#include <stdlib.h>

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"

#define BACKOFF_DOUBLINGS_MAX 6
#define NOT_CARRIED_OUT "this version decides migrations and does not carry them out"

static const char *phase_of(const struct json *vmim)
{
	return json_str_or(json_at(vmim, "/status/phase"), "");
}

bool vmim_is_final(const struct json *vmim)
{
	return str_eq(phase_of(vmim), "Succeeded") || str_eq(phase_of(vmim), "Failed");
}

bool vmim_is_automated(const struct json *vmim)
{
	return meta_annotation(vmim, ANN_WORKLOAD_UPDATE_MIGRATION) ||
	       meta_annotation(vmim, ANN_EVACUATION_MIGRATION);
}

static int64_t ended_at(const struct json *vmim)
{
	int64_t at, newest = 0;

	JSON_EACH (it, json_at(vmim, "/status/phaseTransitionTimestamps")) {
		const char *text = json_get_str(it.val, "phaseTransitionTimestamp");
		if (text && time_parse(text, &at) && at > newest)
			newest = at;
	}
	return newest;
}

/* Failures in a row since the last success count, from the newest on. */
int64_t vmim_not_before(const struct obj *vmim, const struct obj *const *others, size_t n)
{
	int64_t success = 0, newest = 0;
	int failures = 0;

	if (!vmim_is_automated(obj_json(vmim)))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (str_eq(phase_of(obj_json(others[i])), "Succeeded") &&
			ended_at(obj_json(others[i])) > success)
			success = ended_at(obj_json(others[i]));
	for (size_t i = 0; i < n; i++) {
		int64_t at = ended_at(obj_json(others[i]));

		if (!str_eq(phase_of(obj_json(others[i])), "Failed") || at <= success)
			continue;
		failures++;
		newest = at > newest ? at : newest;
	}
	if (!failures)
		return 0;
	failures = failures > BACKOFF_DOUBLINGS_MAX ? BACKOFF_DOUBLINGS_MAX : failures;
	return newest + ((int64_t)MIGRATION_BACKOFF_MS << (failures - 1));
}

/* ---- phases ---- */
static void enter(const struct vmim_seen *s, struct json_doc *d, const char *phase)
{
	struct json *status = json_need_obj(d, json_root(d), "status"), *stamp = json_new_obj(d);
	char at[TIME_TEXT_MAX];

	json_set_str(d, status, "phase", phase);
	json_set_str(d, stamp, "phase", phase);
	json_set_str(d, stamp, "phaseTransitionTimestamp", time_rfc3339(s->now, at));
	json_append(d, json_need_arr(d, status, "phaseTransitionTimestamps"), stamp);
}

static bool is_this_one(const struct vmim_seen *s, const struct json *state)
{
	return str_eq(json_get_str(state, "migrationUid"), obj_uid(s->vmim));
}

/* A guest that has arrived has what was to be changed; until that is reported the move is not over (rollout.md 6.43). */
static bool holds(const struct json *vmi, const char *type, bool when_false)
{
	const struct json *c = vmi_cond(vmi, type);
	const char *since_text = json_get_str(c, "lastTransitionTime");
	const char *ended_text = json_at_str(vmi, "/status/migrationState/endTimestamp");
	int64_t since, ended;

	if (!c || (!when_false && !str_eq(json_get_str(c, "status"), "True")))
		return false;
	/* One that began to wait afterwards is for the next move, which this one must not stand in the way of. */
	return !since_text || !ended_text || !time_parse(since_text, &since) ||
	       !time_parse(ended_text, &ended) || since < ended;
}

static bool is_reported(const struct json *vmi)
{
	return !holds(vmi, COND_HOT_CPU, true) && !holds(vmi, COND_HOT_MEMORY, false) &&
	       !holds(vmi, COND_MIGRATION_REQUIRED, false);
}

static int64_t report_until(const struct json *vmi)
{
	const char *text = json_at_str(vmi, "/status/migrationState/endTimestamp");
	int64_t ended;

	return text && time_parse(text, &ended) ? ended + MIGRATION_REPORT_MS : 0;
}

static bool later(const char *text, int64_t than)
{
	int64_t at;

	return than > 0 && text && time_parse(text, &at) && at > than;
}

/* It ran, and nobody saw how it ended: since then another move has begun, or another instance of that name. What the instance
 * says may be older than what this one says; only what began later counts. */
static bool was_overtaken(const struct vmim_seen *s, const struct json *vmi)
{
	const struct json *vmim = obj_json(s->vmim);

	if (!str_eq(phase_of(vmim), "Running") || is_this_one(s, json_at(vmi, "/status/migrationState")))
		return false;
	return later(meta_str(vmi, "creationTimestamp"), ended_at(vmim)) ||
	       later(json_at_str(vmi, "/status/migrationState/startTimestamp"), ended_at(vmim));
}

/* NULL: as it is. */
static const char *next_phase(const struct vmim_seen *s)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const struct json *state = json_at(vmi, "/status/migrationState");
	const char *now = phase_of(obj_json(s->vmim));

	if (!vmi || vmi_is_final(vmi) || obj_deleting(s->vmi) || was_overtaken(s, vmi))
		return "Failed";
	if (str_empty(now))
		return "Pending";
	if (!is_this_one(s, state) || !json_get_str(state, "endTimestamp"))
		return NULL;
	if (json_bool(json_get(state, "failed")))
		return "Failed";
	/* What is not there by then has to wait for another move, which this one must not stand in the way of. */
	return is_reported(vmi) || s->now >= report_until(vmi) ? "Succeeded" : NULL;
}

static void plan_events(const struct vmim_seen *s, const char *phase, struct plan *out)
{
	if (str_eq(phase, "Succeeded"))
		plan_event(out, s->vmim, false, "SuccessfulMigration",
			"Source node reported migration succeeded");
	else if (str_eq(phase, "Failed"))
		plan_event(out, s->vmim, true, "FailedMigration", "%s",
			s->vmi ? "the guest did not arrive" : "the instance is gone");
}

/* The oldest of too many: this one? */
static bool is_surplus(const struct vmim_seen *s)
{
	size_t newer = 0;

	for (size_t i = 0; i < s->n_others; i++) {
		const struct json *o = obj_json(s->others[i]);

		newer += vmim_is_final(o) && (ended_at(o) > ended_at(obj_json(s->vmim)) ||
						     (ended_at(o) == ended_at(obj_json(s->vmim)) &&
							     obj_rv(s->others[i]) > obj_rv(s->vmim)));
	}
	return newer >= MIGRATION_KEPT;
}

static void plan_back_off(const struct vmim_seen *s, struct json_doc *d, struct plan *out)
{
	int64_t until = vmim_not_before(s->vmim, s->others, s->n_others);
	const char *reason = until > s->now ? "MigrationBackoff" : "NotCarriedOut";
	struct json *status = json_need_obj(d, json_root(d), "status");

	if (cond_set(d, status, COND_READY, "False", reason,
		    until > s->now ? "the moves before it failed" : NOT_CARRIED_OUT, s->now) &&
		until > s->now)
		plan_event(
			out, s->vmi, true, "MigrationBackoff", "backoff migrating vmi %s", obj_key(s->vmi));
	if (until > s->now)
		plan_again_at(out, until);
}

static void plan_let_go(const struct vmim_seen *s, struct plan *out)
{
	const struct json *state = s->vmi ? json_at(obj_json(s->vmi), "/status/migrationState") : NULL;
	struct json_doc *d;

	if (!meta_has_finalizer(obj_json(s->vmim), FINALIZER_VMIM) ||
		(is_this_one(s, state) && !json_get_str(state, "endTimestamp") && s->vmi &&
			!vmi_is_final(obj_json(s->vmi))))
		return; /* who moves it lets go */
	d = obj_draft(s->vmim);
	meta_set_finalizer(d, json_root(d), FINALIZER_VMIM, false);
	plan_change(out, &kind_vmim, s->vmim, NULL, d);
}

void vmim_decide_seen(const struct vmim_seen *s, struct plan *out)
{
	const struct json *vmim = obj_json(s->vmim);
	const char *phase;
	struct json_doc *d;

	if (obj_deleting(s->vmim)) {
		plan_let_go(s, out);
		return;
	}
	if (vmim_is_final(vmim)) {
		if (is_surplus(s))
			plan_delete(out, &kind_vmim, obj_key(s->vmim), obj_uid(s->vmim), -1);
		return;
	}
	d = obj_draft(s->vmim);
	phase = next_phase(s);
	if (!phase && s->vmi && is_this_one(s, json_at(obj_json(s->vmi), "/status/migrationState")) &&
		report_until(obj_json(s->vmi)) > s->now)
		plan_again_at(out, report_until(obj_json(s->vmi)));
	if (phase)
		enter(s, d, phase);
	if (str_eq(phase_of(json_root(d)), "Pending"))
		plan_back_off(s, d, out);
	else
		cond_remove(d, json_need_obj(d, json_root(d), "status"), COND_READY);
	plan_change(out, &kind_vmim, s->vmim, "status", d);
	if (phase)
		plan_events(s, phase, out);
}

/* ---- look ---- */
void vmim_by_vmi(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	CLEANUP(mem_freep)
	char *key = kind_key(obj_namespace(o), json_str_or(json_at(obj_json(o), "/spec/vmiName"), ""));

	emit(emit_arg, key);
}

static void vmim_decide(const struct look *l, const char *key, struct plan *out)
{
	struct vmim_seen s = { .vmim = look_get(l, &kind_vmim, key), .now = look_now(l) };
	CLEANUP(mem_freep) char *vmi = NULL;
	const struct obj *o;

	if (!s.vmim)
		return;
	vmi = kind_key(obj_namespace(s.vmim), json_str_or(json_at(obj_json(s.vmim), "/spec/vmiName"), ""));
	s.vmi = look_get(l, &kind_vmi, vmi);
	for (size_t i = 0; (o = cache_index_at(look_cache(l, &kind_vmim), 0, vmi, i)) &&
			   s.n_others < MIGRATIONS_SEEN_MAX;
		i++)
		if (o != s.vmim)
			s.others[s.n_others++] = o;
	vmim_decide_seen(&s, out);
}

/* All of its instance: an older one may be one too many now. */
static void key_siblings(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	CLEANUP(mem_freep)
	char *vmi = kind_key(obj_namespace(o), json_str_or(json_at(obj_json(o), "/spec/vmiName"), ""));
	const struct obj *other;

	key_self(l, o, emit, emit_arg);
	for (size_t i = 0; (other = cache_index_at(look_cache(l, &kind_vmim), 0, vmi, i)); i++)
		emit(emit_arg, obj_key(other));
}

static void key_of_instance(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vmim;

	for (size_t i = 0; (vmim = cache_index_at(look_cache(l, &kind_vmim), 0, obj_key(o), i)); i++)
		emit(emit_arg, obj_key(vmim));
}

const struct controller vmim_controller = {
	.name = "migration",
	.decide = vmim_decide,
	.watches = {
		{ .kind = &kind_vmim, .keys = key_siblings, .index = vmim_by_vmi },
		{ .kind = &kind_vmi, .keys = key_of_instance },
	},
};
