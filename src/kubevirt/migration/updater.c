/* SPDX-License-Identifier: Apache-2.0 */
/* The workload updater, as far as changes of an instance go: rollout.md 3.1. In place comes first (decision 11): only what can
 * not be done there is a reason to move. Nobody is evicted for it (decision 19). */
#include "kubevirt/migration/migration.h"

#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vmi/facts.h"

#define LABEL_VALUE_MAX 63

/* Conditions that can be a reason, and the reason they have when only a move helps; NULL: any. */
static const struct {
	const char *type, *reason;
} causes[] = {
	{ COND_HOT_CPU, HOT_MEMORY_NEEDS_MIGRATION },
	{ COND_HOT_MEMORY, HOT_MEMORY_NEEDS_MIGRATION },
	{ COND_MIGRATION_REQUIRED, NULL },
	{ COND_VOLUMES_CHANGE, NULL },
};

const char *migration_wanted(const struct json *vmi, int64_t *ret_since)
{
	if (!vmi || vmi_phase(vmi) != VMI_RUNNING || meta_annotation(vmi, ANN_WORKLOAD_UPDATE_ABORT))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		const struct json *c = vmi_cond(vmi, causes[i].type);
		const char *at = json_get_str(c, "lastTransitionTime");

		if (!str_eq(json_get_str(c, "status"), "True") ||
			(causes[i].reason && !str_eq(json_get_str(c, "reason"), causes[i].reason)))
			continue;
		if (!at || !time_parse(at, ret_since))
			*ret_since = 0;
		return causes[i].type;
	}
	return NULL;
}

static const struct obj *unfinished(const struct updater_seen *s)
{
	for (size_t i = 0; i < s->n_migrations; i++)
		if (!vmim_is_final(obj_json(s->migrations[i])))
			return s->migrations[i];
	return NULL;
}

/* Too late when the guest has arrived already. */
static bool can_be_aborted(const struct updater_seen *s, const struct obj *vmim)
{
	const struct json *state = json_at(obj_json(s->vmi), "/status/migrationState");

	return !str_eq(json_get_str(state, "migrationUid"), obj_uid(vmim)) ||
	       !json_get_str(state, "targetNodeDomainReadyTimestamp");
}

static void plan_abort(const struct updater_seen *s, const struct obj *vmim, struct plan *out)
{
	if (obj_deleting(vmim) || !vmim_is_automated(obj_json(vmim)) || !can_be_aborted(s, vmim))
		return;
	plan_delete(out, &kind_vmim, obj_key(vmim), obj_uid(vmim), -1);
	plan_event(out, s->vmi, false, "SuccessfulChangeAbortion", "Aborted workload update migration %s",
		obj_name(vmim));
}

static struct json_doc *render(const struct updater_seen *s, const char *why)
{
	struct json_doc *d = json_lit(
		"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachineInstanceMigration','metadata':{"
		"'generateName':'" VMIM_PREFIX_WORKLOAD_UPDATE
		"','annotations':{'" ANN_WORKLOAD_UPDATE_MIGRATION
		"':''}},'spec':{'priority':'user-triggered'}}");

	json_put_str(d, json_root(d), "/metadata/namespace", obj_namespace(s->vmi));
	json_put_str(d, json_root(d), "/spec/vmiName", obj_name(s->vmi));
	if (str_eq(why, COND_VOLUMES_CHANGE))
		meta_set_label(d, json_root(d), LABEL_VOLUME_UPDATE_MIGRATION,
			strlen(obj_name(s->vmi)) > LABEL_VALUE_MAX ? obj_uid(s->vmi) : obj_name(s->vmi));
	return d;
}

void updater_decide_seen(const struct updater_seen *s, struct plan *out)
{
	const struct json *vmi = obj_json(s->vmi);
	const struct obj *vmim = unfinished(s);
	int64_t since = 0;
	const char *why = obj_deleting(s->vmi) ? NULL : migration_wanted(vmi, &since);

	if (vmim) {
		if (!why)
			plan_abort(s, vmim, out);
		return;
	}
	if (!why || !s->deployed || vmi_migrating(vmi) ||
		!(s->config->workload_methods & KV_UPDATE_LIVE_MIGRATE) ||
		(!vmi_cond_is(vmi, COND_LIVE_MIGRATABLE, "True") && !volumes_move_along(vmi)))
		return;
	if (s->now < since + MIGRATION_SETTLE_MS) {
		plan_again_at(out, since + MIGRATION_SETTLE_MS);
		return;
	}
	if ((int64_t)s->running >= s->config->migrations.parallel_per_cluster)
		return; /* woken when one of them is over */
	plan_create(out, &kind_vmim, render(s, why));
	plan_event(out, s->vmi, false, "SuccessfulCreate", "Created workload update migration: %s", why);
}

/* ---- look ---- */
static bool is_deployed(const struct obj *cr)
{
	const struct json *status = cr ? json_get(obj_json(cr), "status") : NULL;

	return str_eq(json_get_str(status, "phase"), "Deployed") &&
	       str_eq(json_get_str(status, "observedDeploymentID"),
		       json_get_str(status, "targetDeploymentID"));
}

static void updater_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct cache *vmims = look_cache(l, &kind_vmim);
	struct kv_config config;
	struct updater_seen s = { .vmi = look_get(l, &kind_vmi, key), .config = &config, .now = look_now(l) };
	const struct obj *o;

	if (!s.vmi)
		return;
	kv_config_cached(look_cache(l, &kind_kubevirt), &config);
	s.deployed = is_deployed(cache_at(look_cache(l, &kind_kubevirt), 0));
	for (size_t i = 0; (o = cache_index_at(vmims, 0, key, i)) && s.n_migrations < MIGRATIONS_SEEN_MAX;
		i++)
		s.migrations[s.n_migrations++] = o;
	for (size_t i = 0; (o = cache_at(vmims, i)); i++)
		s.running += vmim_is_automated(obj_json(o)) && !vmim_is_final(obj_json(o));
	updater_decide_seen(&s, out);
}

static void key_waiting(const struct look *l, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vmi;
	int64_t since;

	for (size_t i = 0; (vmi = cache_at(look_cache(l, &kind_vmi), i)); i++)
		if (migration_wanted(obj_json(vmi), &since))
			emit(emit_arg, obj_key(vmi));
}

/* Its own instance; when it is over there is room for another one's. */
static void key_of_vmim(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	vmim_by_vmi(o, emit, emit_arg);
	if (vmim_is_final(obj_json(o)) || obj_deleting(o))
		key_waiting(l, emit, emit_arg);
}

static void key_all_waiting(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	key_waiting(l, emit, emit_arg);
}

const struct controller updater_controller = {
	.name = "workload-update",
	.decide = updater_decide,
	.watches = {
		{ .kind = &kind_vmi, .keys = key_self },
		{ .kind = &kind_vmim, .keys = key_of_vmim, .index = vmim_by_vmi },
		{ .kind = &kind_kubevirt, .keys = key_all_waiting },
	},
};
