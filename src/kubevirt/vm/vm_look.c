/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass of the VM controller looks at. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vm/vm_impl.h"

static bool is_ours(const struct obj *vmi, const struct obj *vm)
{
	return vm && str_eq(json_get_str(meta_controller_ref(obj_json(vmi)), "uid"), obj_uid(vm));
}

/* The one that the instance names, else the newest: a start that was interrupted, and came to nothing because the instance was
 * there already, leaves a newer one behind. */
static void look_revisions(const struct look *l, struct vm_seen *s)
{
	const struct cache *c = look_cache(l, &kind_controllerrevision);
	const struct obj *o;
	int64_t generation;

	for (size_t i = 0; (o = cache_index_at(c, 0, obj_uid(s->vm), i)); i++) {
		if (obj_deleting(o))
			continue;
		if (vm_revision_of(o, s->vm, &generation)) {
			if (s->n_revisions < VM_REVISIONS_MAX)
				s->revisions[s->n_revisions++] = o;
		} else if (meta_label(obj_json(o), LABEL_IT_NAME) && s->n_kept < VM_REVISIONS_MAX) {
			s->kept[s->n_kept++] = o;
		}
	}
	s->revision = rollout_revision(s->vm, s->vmi, s->revisions, s->n_revisions);
}

/* Instance types, preferences and the revisions that hold them. */
static const struct json *get_type(
	struct it_lookup *lookup, const struct kind *k, const char *ns, const char *name)
{
	CLEANUP(mem_freep) char *key = kind_key(k->namespaced ? ns : NULL, name);
	const struct obj *o = look_get(lookup->arg, k, key);

	return o ? obj_json(o) : NULL;
}

struct claim_look {
	const struct look *l;
	const char *ns;
};

static const struct obj *find_claim(const void *arg, const char *name)
{
	const struct claim_look *c = arg;
	CLEANUP(mem_freep) char *key = name ? kind_key(c->ns, name) : NULL;

	return key ? look_get(c->l, &kind_pvc, key) : NULL;
}

static void vm_decide(const struct look *l, const char *key, struct plan *out)
{
	struct kv_config config;
	struct vm_seen s = {
		.vm = look_get(l, &kind_vm, key), .config = &config, .env = look_env(l), .now = look_now(l)
	};
	const struct obj *vmi = look_get(l, &kind_vmi, key);
	struct it_lookup lookup = { .get = get_type, .arg = (void *)l };
	struct vm_types types = { 0 };
	const struct claim_look claims = { l, s.vm ? obj_namespace(s.vm) : "" };

	if (!s.vm && !vmi)
		return;
	s.claim = find_claim;
	s.claim_arg = &claims;
	if (vmi && is_ours(vmi, s.vm))
		s.vmi = vmi;
	else
		s.foreign = vmi;
	kv_config_cached(look_cache(l, &kind_kubevirt), &config);
	s.random = look_random(l);
	if (s.vm) {
		look_revisions(l, &s);
		vm_types_look(&s, &lookup, &types);
	}
	vm_decide_seen(&s, out);
	vm_types_done(&types);
}

static void vm_refused(
	const struct look *l, const char *key, const struct intent *i, const struct err *e, struct plan *out)
{
	const struct obj *vm = look_get(l, &kind_vm, key);

	if (vm && !i->sub)
		vm_report_refusal(vm, e, look_now(l), out);
}

/* The strategy, a gate or a maximum may have changed: every VM is looked at again. */
static void key_every_vm(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vm;

	for (size_t i = 0; (vm = cache_at(look_cache(l, &kind_vm), i)); i++)
		emit(emit_arg, obj_key(vm));
}

#define KEYS_OF(id)                                                                                       \
	static void keys_of_##id(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg) \
	{                                                                                                 \
		vm_keys_of_type(&kind_##id, look_cache(l, &kind_vm), o, emit, arg);                       \
	}
KEYS_OF(instancetype)
KEYS_OF(clusterinstancetype)
KEYS_OF(preference)
KEYS_OF(clusterpreference)

static void keys_of_revision(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	key_owner(l, o, emit, arg);
	vm_keys_of_type(&kind_controllerrevision, look_cache(l, &kind_vm), o, emit, arg);
}

/* Only one that may be waited for as the destination of a volume is of interest. */
static void key_users_of_claim(
	const struct look *l, const struct obj *claim, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vm;

	for (size_t i = 0; (vm = cache_at(look_cache(l, &kind_vm), i)); i++) {
		if (!json_at(obj_json(vm), "/spec/updateVolumesStrategy") ||
			!str_eq(obj_namespace(vm), obj_namespace(claim)))
			continue;
		JSON_EACH (it, json_at(obj_json(vm), "/spec/template/spec/volumes"))
			if (str_eq(volume_claim(it.val), obj_name(claim))) {
				emit(emit_arg, obj_key(vm));
				break;
			}
	}
}

const struct controller vm_controller = {
	.name = "vm",
	.decide = vm_decide,
	.refused = vm_refused,
	.watches = {
		{ .kind = &kind_vm, .keys = key_self, .index = vm_index_types },
		/* An instance has its VM's name. Two programs write to it in turn: one look, and one status, for several
		 * of those. */
		{ .kind = &kind_vmi, .keys = key_self, .settle_ms = VM_SETTLE_MS },
		{ .kind = &kind_controllerrevision, .keys = keys_of_revision, .index = index_by_owner_uid },
		{ .kind = &kind_instancetype, .keys = keys_of_instancetype },
		{ .kind = &kind_clusterinstancetype, .keys = keys_of_clusterinstancetype },
		{ .kind = &kind_preference, .keys = keys_of_preference },
		{ .kind = &kind_clusterpreference, .keys = keys_of_clusterpreference },
		{ .kind = &kind_kubevirt, .keys = key_every_vm },
		{ .kind = &kind_pvc, .keys = key_users_of_claim },
	},
};
