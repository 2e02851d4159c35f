/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass of the VMI controller looks at. */
#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vmi/vmi_impl.h"

#include <stdlib.h>

#include <string.h>

/* The launcher that counts: one that is not going, else any. */
static void look_pods(const struct look *l, struct vmi_seen *s)
{
	const struct cache *c = look_cache(l, &kind_pod);
	const struct obj *o;

	for (size_t i = 0; (o = cache_index_at(c, 0, obj_uid(s->vmi), i)); i++) {
		if (str_eq(meta_label(obj_json(o), LABEL_APP), KV_HOTPLUG_DISK)) {
			if (s->n_attachments < VMI_ATTACHMENTS_MAX)
				s->attachments[s->n_attachments++] = o;
			continue;
		}
		if (s->n_pods >= VMI_PODS_MAX)
			continue;
		s->pods[s->n_pods++] = o;
		if (!s->pod || (obj_deleting(s->pod) && !obj_deleting(o)))
			s->pod = o;
	}
}

struct namespace_look {
	const struct look *l;
	const char *ns;
};

static const struct obj *find_claim(const void *arg, const char *name)
{
	const struct namespace_look *c = arg;
	CLEANUP(mem_freep) char *key = name ? kind_key(c->ns, name) : NULL;

	return key ? look_get(c->l, &kind_pvc, key) : NULL;
}

static bool any_node_offers_kvm(const struct look *l)
{
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(look_cache(l, &kind_node), i)); i++)
		if (quantity_bytes(json_get(json_at(obj_json(o), "/status/allocatable"), RESOURCE_KVM)) > 0)
			return true;
	return false;
}

/* docs/decisions/0008: what no node can run as it is, is emulated where that is possible. */
static bool only_emulated(const struct look *l, const char *arch)
{
	const struct obj *o;
	bool emulated = false;

	if (!arch)
		return false;
	CLEANUP(mem_freep) char *label = str_printf("%s%s", LABEL_EMULATES_PREFIX, arch);
	for (size_t i = 0; (o = cache_at(look_cache(l, &kind_node), i)); i++) {
		if (str_eq(meta_label(obj_json(o), LABEL_ARCH), arch))
			return false;
		emulated = emulated || meta_label(obj_json(o), label);
	}
	return emulated;
}

/* kubevirt-api.md 7.1: where a quota counts limits of memory a pod without one is refused, so it gets one. */
static double auto_limit(const struct look *l, const char *ns)
{
	const struct obj *o, *space = look_get(l, &kind_namespace, ns);
	const char *label = space ? meta_label(obj_json(space), LABEL_AUTO_LIMIT_RATIO) : NULL;
	double ratio = label ? strtod(label, NULL) : 0;

	for (size_t i = 0; (o = cache_at(look_cache(l, &kind_resourcequota), i)); i++)
		if (str_eq(obj_namespace(o), ns) &&
			json_get(json_at(obj_json(o), "/spec/hard"), "limits.memory"))
			return ratio >= 1 && ratio <= AUTO_LIMIT_MAX ? ratio : AUTO_LIMIT_RATIO;
	return 0;
}

static bool quota_has(const void *arg, const char *key, int64_t (*read)(const struct json *), int64_t more)
{
	const struct namespace_look *in = arg;
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(look_cache(in->l, &kind_resourcequota), i)); i++) {
		const struct json *hard = json_get(json_at(obj_json(o), "/spec/hard"), key);
		int64_t used = read(json_get(json_at(obj_json(o), "/status/used"), key));

		if (str_eq(obj_namespace(o), in->ns) && hard && (used > 0 ? used : 0) + more > read(hard))
			return false;
	}
	return true;
}

static void vmi_decide(const struct look *l, const char *key, struct plan *out)
{
	struct kv_config config;
	struct vmi_seen s = {
		.vmi = look_get(l, &kind_vmi, key), .config = &config, .env = look_env(l), .now = look_now(l)
	};

	if (!s.vmi)
		return;
	kv_config_cached(look_cache(l, &kind_kubevirt), &config);
	look_pods(l, &s);
	s.node = look_get(l, &kind_node, json_str_or(json_at(obj_json(s.vmi), "/status/nodeName"), ""));
	const struct namespace_look in = { l, obj_namespace(s.vmi) };
	s.claim = find_claim;
	s.quota_has = quota_has;
	s.claim_arg = s.quota_arg = &in;
	s.auto_limit = auto_limit(l, obj_namespace(s.vmi));
	s.kvm = any_node_offers_kvm(l);
	s.foreign = only_emulated(l, json_at_str(obj_json(s.vmi), "/spec/architecture"));
	vmi_decide_seen(&s, out);
}

static void vmi_refused(
	const struct look *l, const char *key, const struct intent *i, const struct err *e, struct plan *out)
{
	const struct obj *vmi = look_get(l, &kind_vmi, key);

	if (vmi && str_eq(i->sub, "resize"))
		vmi_report_no_resize(vmi, strrchr(i->key, '/') ? strrchr(i->key, '/') + 1 : i->key,
			json_root(i->doc), e, out);
	else if (vmi && !i->sub)
		vmi_report_refusal(vmi, e, look_now(l), out);
}

static void key_every_vmi(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vmi;

	for (size_t i = 0; (vmi = cache_at(look_cache(l, &kind_vmi), i)); i++)
		emit(emit_arg, obj_key(vmi));
}

/* A node's labels or taints may have changed: of interest to those only who want its placement enforced. */
static void key_placed_vmis(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	struct kv_config config;
	const struct obj *vmi;

	kv_config_cached(look_cache(l, &kind_kubevirt), &config);
	for (size_t i = 0; (vmi = cache_at(look_cache(l, &kind_vmi), i)); i++)
		if (kv_opted(obj_json(vmi), ANN_ENFORCE_PLACEMENT, config.enforce_placement) &&
			str_eq(json_at_str(obj_json(vmi), "/status/nodeName"), obj_name(o)))
			emit(emit_arg, obj_key(vmi));
}

static void key_users_of_claim(
	const struct look *l, const struct obj *claim, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vmi;

	for (size_t i = 0; (vmi = cache_at(look_cache(l, &kind_vmi), i)); i++) {
		if (!str_eq(obj_namespace(vmi), obj_namespace(claim)))
			continue;
		JSON_EACH (it, json_at(obj_json(vmi), "/spec/volumes"))
			if (str_eq(volume_claim(it.val), obj_name(claim))) {
				emit(emit_arg, obj_key(vmi));
				break;
			}
	}
}

/* A quota has room again, perhaps: of interest to those whose pod could not grow for it. */
static void key_refused_vmis(const struct look *l, const struct obj *quota, key_emit_fn *emit, void *emit_arg)
{
	const struct obj *vmi;

	for (size_t i = 0; (vmi = cache_at(look_cache(l, &kind_vmi), i)); i++)
		if (str_eq(obj_namespace(vmi), obj_namespace(quota)) &&
			(meta_annotation(obj_json(vmi), ANN_RESIZE_REFUSED) ||
				meta_annotation(obj_json(vmi), ANN_CPU_RESIZE_REFUSED)))
			emit(emit_arg, obj_key(vmi));
}

const struct controller vmi_controller = {
	.name = "vmi",
	.decide = vmi_decide,
	.refused = vmi_refused,
	.watches = {
		{ .kind = &kind_vmi, .keys = key_self },
		{ .kind = &kind_pod,
			.keys = key_owner,
			.index = index_by_owner_uid,
			.label_selector = LABEL_APP " in (" KV_VIRT_LAUNCHER "," KV_HOTPLUG_DISK ")" },
		{ .kind = &kind_kubevirt, .keys = key_every_vmi },
		{ .kind = &kind_node, .keys = key_placed_vmis },
		{ .kind = &kind_pvc, .keys = key_users_of_claim },
		{ .kind = &kind_resourcequota, .keys = key_refused_vmis },
		{ .kind = &kind_namespace },
	},
};
