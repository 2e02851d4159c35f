/* SPDX-License-Identifier: Apache-2.0 */
/* PersistentVolumes and claims: brings them together, makes volumes of the default class, and keeps what is in use. What
 * kube-controller-manager's binder, a local-path provisioner and the protection controllers do for a cluster. Keys: "ns/name" is
 * a claim, "name" a volume, "/class" the default StorageClass. */
#include "platform/controllers/controllers.h"

#include <string.h>
#include <sys/stat.h>

#include "api/meta.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/controllers/claim_match.h"
#include "platform/clients/kinds.h"
#include "platform/scheduler/fit.h"

#define KEY_CLASS "/class"
#define VOLUME_MODE 0777 /* pods of any user write there, as with any local-path provisioner */
#define WAITS "waiting for first consumer to be created before binding"

/* ---- looking ---- */
static void index_by_claim(const struct obj *pod, index_emit_fn *emit, void *emit_arg)
{
	JSON_EACH (it, json_at(obj_json(pod), "/spec/volumes")) {
		const char *name = json_at_str(it.val, "/persistentVolumeClaim/claimName");
		CLEANUP(mem_freep) char *key = name ? kind_key(obj_namespace(pod), name) : NULL;

		if (key)
			emit(emit_arg, key);
	}
}

static bool has_ended(const struct obj *pod)
{
	const char *phase = json_at_str(obj_json(pod), "/status/phase");

	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

/* A pod that has the claim, or will. ret_node: where the first of them was put; NULL: none yet. */
static bool in_use(const struct look *l, const struct obj *claim, const char **ret_node)
{
	struct cache *pods = look_cache(l, &pk_pod);
	const struct obj *pod;
	bool used = false;

	*ret_node = NULL;
	for (size_t i = 0; (pod = cache_index_at(pods, 0, obj_key(claim), i)); i++) {
		const char *node = json_at_str(obj_json(pod), "/spec/nodeName");

		if (has_ended(pod))
			continue;
		used = true;
		if (!*ret_node && !str_empty(node))
			*ret_node = node;
	}
	return used;
}

static const struct obj *class_of(const struct look *l, const struct obj *claim)
{
	const char *name = json_at_str(obj_json(claim), "/spec/storageClassName");

	return str_empty(name) ? NULL : look_get(l, &pk_storageclass, name);
}

/* The newest that is marked, as upstream. */
static const struct obj *default_class(const struct look *l)
{
	const struct obj *c, *best = NULL;

	for (size_t i = 0; (c = cache_at(look_cache(l, &pk_storageclass), i)); i++) {
		if (!str_eq(meta_annotation(obj_json(c), ANN_DEFAULT_CLASS), "true"))
			continue;
		if (!best || strcmp(meta_str(obj_json(c), "creationTimestamp"),
				     meta_str(obj_json(best), "creationTimestamp")) > 0)
			best = c;
	}
	return best;
}

static bool reachable_from(const struct look *l, const struct json *pv, const char *node)
{
	const struct json *required = json_at(pv, "/spec/nodeAffinity/required");
	const struct obj *n = node ? look_get(l, &pk_node, node) : NULL;

	return !required || !n || node_selector_matches(required, n);
}

/* Kept for this claim, else the smallest free one that suits. */
static const struct obj *find_volume(const struct look *l, const struct obj *claim, const char *node)
{
	const struct obj *pv, *best = NULL;

	for (size_t i = 0; (pv = cache_at(look_cache(l, &pk_pv), i)); i++) {
		const struct json *o = obj_json(pv);

		if (json_at(o, "/spec/claimRef/name")) {
			if (volume_is_for(o, claim))
				return pv;
			continue;
		}
		if (obj_deleting(pv) || !volume_suits(o, obj_json(claim)) || !reachable_from(l, o, node))
			continue;
		if (!best || volume_bytes(o) < volume_bytes(obj_json(best)))
			best = pv;
	}
	return best;
}

/* ---- claims ---- */
static void set_phase(struct plan *out, const struct kind *k, const struct obj *o, const char *phase)
{
	struct json_doc *d = obj_draft(o);

	json_set_str(d, json_need_obj(d, json_root(d), "status"), "phase", phase);
	plan_change(out, k, o, "status", d);
}

static void plan_bind(const struct obj *claim, const struct obj *pv, struct plan *out)
{
	struct json_doc *d = obj_draft(pv);
	struct json *status;

	volume_tie(d, json_root(d), claim);
	meta_set_finalizer(d, json_root(d), FINALIZER_PV, true);
	plan_change(out, &pk_pv, pv, NULL, d);
	set_phase(out, &pk_pv, pv, "Bound");

	d = obj_draft(claim);
	claim_tie(d, json_root(d), pv);
	plan_change(out, &pk_pvc, claim, NULL, d);
	d = obj_draft(claim);
	status = json_need_obj(d, json_root(d), "status");
	json_set_str(d, status, "phase", "Bound");
	json_set_copy(d, status, "accessModes", json_at(obj_json(pv), "/spec/accessModes"));
	json_set_copy(d, status, "capacity", json_at(obj_json(pv), "/spec/capacity"));
	plan_change(out, &pk_pvc, claim, "status", d);
}

static const char *any_node(const struct look *l)
{
	const struct obj *node, *first = NULL;

	for (size_t i = 0; (node = cache_at(look_cache(l, &pk_node), i)); i++)
		if (!first && !json_bool(json_at(obj_json(node), "/spec/unschedulable")))
			first = node;
	return first ? obj_name(first) : NULL;
}

static const char *host_label(const struct look *l, const char *node)
{
	const struct obj *n = node ? look_get(l, &pk_node, node) : NULL;
	const char *label = n ? meta_label(obj_json(n), "kubernetes.io/hostname") : NULL;

	return label ? label : node;
}

static void provision(const struct look *l, const struct obj *claim, const struct obj *class,
	const char *node, struct plan *out)
{
	const struct platform_env *env = look_env(l);
	CLEANUP(mem_freep) char *dir = str_printf("%s/volumes", env->data_dir ? env->data_dir : "");
	CLEANUP(mem_freep) char *name = str_printf("pvc-%s", obj_uid(claim));

	if (!env->data_dir) {
		plan_event(out, claim, true, "ProvisioningFailed",
			"this server makes no volumes: it has no data directory");
		return;
	}
	if (str_eq(json_at_str(obj_json(claim), "/spec/volumeMode"), "Block")) {
		plan_event(out, claim, true, "ProvisioningFailed",
			"this class makes directories: a claim of volumeMode Block needs a PersistentVolume "
			"that somebody makes of a block device");
		return;
	}
	plan_action(out, "make", name, NULL);
	plan_ensure(out, &pk_pv, volume_render(claim, obj_json(class), host_label(l, node), dir));
	plan_event(out, claim, false, "ProvisioningSucceeded", "Successfully provisioned volume %s", name);
}

/* Nothing to bind to: is something being waited for, or made? */
static void without_volume(
	const struct look *l, const struct obj *claim, const char *node, bool waits, struct plan *out)
{
	const struct obj *class = class_of(l, claim);
	const char *by = class ? json_get_str(obj_json(class), "provisioner") : NULL;
	const char *name = json_at_str(obj_json(claim), "/spec/storageClassName");

	if (waits)
		plan_event(out, claim, false, "WaitForFirstConsumer", WAITS);
	else if (str_eq(by, PROVISIONER_LOCAL))
		provision(l, claim, class, node ? node : any_node(l), out);
	else if (class)
		plan_event(out, claim, false, "ExternalProvisioning",
			"Waiting for a volume to be created either by the external provisioner '%s' or "
			"manually by the system administrator.",
			by ? by : "");
	else if (!str_empty(name))
		plan_event(out, claim, true, "ProvisioningFailed",
			"storageclass.storage.k8s.io \"%s\" not found", name);
	else
		plan_event(out, claim, false, "FailedBinding",
			"no persistent volumes available for this claim and no storage class is set");
}

static void decide_named(const struct look *l, const struct obj *claim, const char *name, struct plan *out)
{
	const struct obj *pv = look_get(l, &pk_pv, name);
	bool was_bound = meta_annotation(obj_json(claim), ANN_BOUND) != NULL;

	if (pv && (volume_is_for(obj_json(pv), claim) || !json_at(obj_json(pv), "/spec/claimRef/name")))
		plan_bind(claim, pv, out);
	else if (was_bound)
		set_phase(out, &pk_pvc, claim, "Lost");
	else if (pv)
		plan_event(out, claim, true, "FailedBinding",
			"volume \"%s\" already bound to a different claim.", name);
}

/* A claim without a class gets the default one, when there is one. */
static bool take_default_class(const struct look *l, const struct obj *claim, struct plan *out)
{
	const struct obj *class = default_class(l);
	struct json_doc *d;

	if (json_at(obj_json(claim), "/spec/storageClassName") || !class)
		return false;
	d = obj_draft(claim);
	json_put_str(d, json_root(d), "/spec/storageClassName", obj_name(class));
	plan_change(out, &pk_pvc, claim, NULL, d);
	return true;
}

static bool waits_for_pod(const struct obj *class)
{
	return class && str_eq(json_get_str(obj_json(class), "volumeBindingMode"), "WaitForFirstConsumer");
}

static void decide_claim(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *claim = look_get(l, &pk_pvc, key), *pv;
	const char *node, *named, *selected;
	struct json_doc *d;
	bool used, waits;

	if (!claim)
		return;
	used = in_use(l, claim, &node);
	d = obj_draft(claim);
	meta_set_finalizer(d, json_root(d), FINALIZER_PVC,
		obj_deleting(claim) ? used && meta_has_finalizer(obj_json(claim), FINALIZER_PVC) : true);
	plan_change(out, &pk_pvc, claim, NULL, d);
	if (obj_deleting(claim) || str_eq(json_at_str(obj_json(claim), "/status/phase"), "Lost"))
		return;
	named = json_at_str(obj_json(claim), "/spec/volumeName");
	if (!str_empty(named)) {
		decide_named(l, claim, named, out);
		return;
	}
	if (take_default_class(l, claim, out))
		return;
	selected = meta_annotation(obj_json(claim), ANN_SELECTED_NODE);
	if (!str_empty(selected))
		node = selected;
	waits = waits_for_pod(class_of(l, claim)) && !node;
	pv = find_volume(l, claim, node);
	if (pv && (!waits || volume_is_for(obj_json(pv), claim)))
		plan_bind(claim, pv, out);
	else
		without_volume(l, claim, node, waits, out);
}

/* ---- volumes ---- */
static const struct obj *claim_of(const struct look *l, const struct obj *pv)
{
	const struct json *ref = json_at(obj_json(pv), "/spec/claimRef");
	CLEANUP(mem_freep)
	char *key =
		kind_key(json_str_or(json_get(ref, "namespace"), ""), json_str_or(json_get(ref, "name"), ""));
	const struct obj *claim = look_get(l, &pk_pvc, key);

	return claim && volume_is_for(obj_json(pv), claim) ? claim : NULL;
}

static bool is_ours(const struct obj *pv)
{
	return str_eq(meta_annotation(obj_json(pv), ANN_PROVISIONED_BY), PROVISIONER_LOCAL);
}

/* Of a volume that somebody had: its claim is gone. */
static void decide_released(const struct obj *pv, struct plan *out)
{
	set_phase(out, &pk_pv, pv, "Released");
	if (is_ours(pv) && !obj_deleting(pv) &&
		str_eq(json_at_str(obj_json(pv), "/spec/persistentVolumeReclaimPolicy"), "Delete"))
		plan_delete(out, &pk_pv, obj_key(pv), obj_uid(pv), -1);
}

static void decide_volume(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *pv = look_get(l, &pk_pv, key), *claim;
	bool kept, bound, ours;
	struct json_doc *d;

	if (!pv)
		return;
	kept = !str_empty(json_at_str(obj_json(pv), "/spec/claimRef/uid"));
	claim = claim_of(l, pv);
	bound = claim && str_eq(json_at_str(obj_json(claim), "/spec/volumeName"), obj_name(pv));
	ours = is_ours(pv);
	if (obj_deleting(pv) && !claim) {
		/* The directory first: afterwards nobody knows of it. */
		if (ours && meta_has_finalizer(obj_json(pv), FINALIZER_LOCAL))
			plan_action(out, "remove", obj_name(pv), NULL);
		d = obj_draft(pv);
		meta_set_finalizer(d, json_root(d), FINALIZER_PV, false);
		meta_set_finalizer(d, json_root(d), FINALIZER_LOCAL, false);
		plan_change(out, &pk_pv, pv, NULL, d);
		return;
	}
	if (!obj_deleting(pv)) {
		d = obj_draft(pv);
		meta_set_finalizer(d, json_root(d), FINALIZER_PV, true);
		plan_change(out, &pk_pv, pv, NULL, d);
	}
	if (bound)
		set_phase(out, &pk_pv, pv, "Bound");
	else if (kept && !claim)
		decide_released(pv, out);
	else if (!kept)
		set_phase(out, &pk_pv, pv, "Available");
}

/* ---- the default class ---- */
static void decide_class(const struct look *l, struct plan *out)
{
	const struct platform_env *env = look_env(l);

	if (env->data_dir && !look_get(l, &pk_storageclass, STORAGE_CLASS_LOCAL))
		plan_ensure(out, &pk_storageclass,
			json_lit("{'apiVersion':'storage.k8s.io/"
				 "v1','kind':'StorageClass','metadata':{'name':'" STORAGE_CLASS_LOCAL
				 "','annotations':{'" ANN_DEFAULT_CLASS
				 "':'true'}},'provisioner':'" PROVISIONER_LOCAL
				 "','reclaimPolicy':'Delete','volumeBindingMode':'WaitForFirstConsumer'}"));
}

static void volumes_decide(const struct look *l, const char *key, struct plan *out)
{
	if (str_eq(key, KEY_CLASS))
		decide_class(l, out);
	else if (strchr(key, '/'))
		decide_claim(l, key, out);
	else
		decide_volume(l, key, out);
}

/* ---- directories ---- */
static int make_dir(const char *path, struct err *e)
{
	if (file_mkdirs(path, VOLUME_MODE, e) < 0)
		return -1;
	return chmod(path, VOLUME_MODE) < 0 ? err_sys(e, "mode of %s", path) : 0;
}

static void volumes_action(
	void *arg, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct platform_env *env = arg;
	CLEANUP(mem_freep)
	char *path = str_printf("%s/volumes/%s", env->data_dir ? env->data_dir : "", i->key);
	struct err e = { 0 };
	int r = 0;

	/* A name that the API server took has no slash, and an instance without directory made none. */
	if (env->data_dir && !strchr(i->key, '/') && i->key[0] != '.')
		r = str_eq(i->action, "make") ? make_dir(path, &e) : file_remove_tree(path, &e);
	if (r < 0)
		log_warn("volume %s: %s", i->key, e.msg);
	done(done_arg, r < 0 ? &e : NULL);
}

/* ---- who wakes whom ---- */
static void key_volume_and_claim(const struct look *l, const struct obj *pv, key_emit_fn *emit, void *arg)
{
	const struct json *ref = json_at(obj_json(pv), "/spec/claimRef");
	const struct obj *claim;

	emit(arg, obj_key(pv));
	if (json_get_str(ref, "name")) {
		CLEANUP(mem_freep)
		char *key = kind_key(json_str_or(json_get(ref, "namespace"), ""), json_get_str(ref, "name"));

		emit(arg, key);
		return;
	}
	/* A free one may be what a claim waits for. */
	for (size_t i = 0; (claim = cache_at(look_cache(l, &pk_pvc), i)); i++)
		if (!str_eq(json_at_str(obj_json(claim), "/status/phase"), "Bound"))
			emit(arg, obj_key(claim));
}

static void key_claim_and_volume(const struct look *l, const struct obj *claim, key_emit_fn *emit, void *arg)
{
	const char *name = json_at_str(obj_json(claim), "/spec/volumeName");
	const struct obj *pv;

	emit(arg, obj_key(claim));
	if (!str_empty(name)) {
		emit(arg, name);
		return;
	}
	for (size_t i = 0; (pv = cache_at(look_cache(l, &pk_pv), i)); i++)
		if (volume_is_for(obj_json(pv), claim))
			emit(arg, obj_key(pv));
}

static void key_claims_of_pod(const struct look *l, const struct obj *pod, key_emit_fn *emit, void *arg)
{
	index_by_claim(pod, emit, arg);
}

static void key_unbound(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	const struct obj *claim;

	for (size_t i = 0; (claim = cache_at(look_cache(l, &pk_pvc), i)); i++)
		if (!str_eq(json_at_str(obj_json(claim), "/status/phase"), "Bound"))
			emit(arg, obj_key(claim));
}

/* There from the start, so that the class is made once per start and a user who deletes it is left alone. */
static void key_class(const struct look *l, const struct obj *ns, key_emit_fn *emit, void *arg)
{
	if (str_eq(obj_name(ns), "kube-system"))
		emit(arg, KEY_CLASS);
}

const struct controller volumes_controller = {
	.name = "volumes",
	.decide = volumes_decide,
	.action = volumes_action,
	.watches = {
		{ .kind = &pk_pvc, .keys = key_claim_and_volume },
		{ .kind = &pk_pv, .keys = key_volume_and_claim },
		{ .kind = &pk_storageclass, .keys = key_unbound },
		{ .kind = &pk_pod, .keys = key_claims_of_pod, .index = index_by_claim },
		{ .kind = &pk_node },
		{ .kind = &pk_namespace, .keys = key_class },
	},
};
