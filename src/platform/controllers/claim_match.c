/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/claim_match.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "api/selector.h"
#include "base/mem.h"

static const char *mode_of(const struct json *o)
{
	return json_str_or(json_at(o, "/spec/volumeMode"), "Filesystem");
}

static const char *class_of(const struct json *o)
{
	return json_str_or(json_at(o, "/spec/storageClassName"), "");
}

bool volume_is_for(const struct json *pv, const struct obj *claim)
{
	const struct json *ref = json_at(pv, "/spec/claimRef");
	const char *uid = json_get_str(ref, "uid");

	return str_eq(json_get_str(ref, "name"), obj_name(claim)) &&
	       str_eq(json_get_str(ref, "namespace"), obj_namespace(claim)) &&
	       (str_empty(uid) || str_eq(uid, obj_uid(claim)));
}

static bool has_mode(const struct json *list, const char *mode)
{
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), mode))
			return true;
	return false;
}

int64_t volume_bytes(const struct json *pv)
{
	return quantity_bytes(json_at(pv, "/spec/capacity/storage"));
}

bool volume_suits(const struct json *pv, const struct json *claim)
{
	CLEANUP(selector_freep) struct selector *s = NULL;
	const struct json *selector = json_at(claim, "/spec/selector");

	if (!str_eq(mode_of(pv), mode_of(claim)) || !str_eq(class_of(pv), class_of(claim)) ||
		volume_bytes(pv) < quantity_bytes(json_at(claim, "/spec/resources/requests/storage")))
		return false;
	JSON_EACH (it, json_at(claim, "/spec/accessModes"))
		if (!has_mode(json_at(pv, "/spec/accessModes"), json_str_or(it.val, "")))
			return false;
	if (!selector)
		return true;
	return selector_from_json(selector, &s, NULL) == 0 &&
	       selector_matches(s, json_at(pv, "/metadata/labels"));
}

void volume_tie(struct json_doc *d, struct json *pv, const struct obj *claim)
{
	struct json *ref = json_need_obj(d, json_need_obj(d, pv, "spec"), "claimRef");

	if (str_eq(json_get_str(ref, "uid"), obj_uid(claim)))
		return;
	if (str_empty(json_get_str(ref, "name"))) /* else it was kept for this claim by whoever made it */
		meta_set_annotation(d, pv, ANN_BOUND_BY_US, "yes");
	json_set_str(d, ref, "apiVersion", "v1");
	json_set_str(d, ref, "kind", "PersistentVolumeClaim");
	json_set_str(d, ref, "namespace", obj_namespace(claim));
	json_set_str(d, ref, "name", obj_name(claim));
	json_set_str(d, ref, "uid", obj_uid(claim));
}

void claim_tie(struct json_doc *d, struct json *claim, const struct obj *pv)
{
	struct json *spec = json_need_obj(d, claim, "spec");

	if (str_empty(json_get_str(spec, "volumeName"))) {
		json_set_str(d, spec, "volumeName", obj_name(pv));
		meta_set_annotation(d, claim, ANN_BOUND_BY_US, "yes");
	}
	meta_set_annotation(d, claim, ANN_BOUND, "yes");
}

struct json_doc *volume_render(
	const struct obj *claim, const struct json *class, const char *node, const char *dir)
{
	struct json_doc *d =
		json_lit("{'apiVersion':'v1','kind':'PersistentVolume','metadata':{},'spec':{}}");
	struct json *o = json_root(d), *spec = json_get(o, "spec");
	const struct json *wanted = json_get(obj_json(claim), "spec");
	CLEANUP(mem_freep) char *name = str_printf("pvc-%s", obj_uid(claim));
	CLEANUP(mem_freep) char *path = str_printf("%s/%s", dir, name);

	json_put_str(d, o, "/metadata/name", name);
	meta_set_annotation(d, o, ANN_PROVISIONED_BY, PROVISIONER_LOCAL);
	meta_set_finalizer(d, o, FINALIZER_PV, true);
	meta_set_finalizer(d, o, FINALIZER_LOCAL, true);
	json_set_copy(d, json_need_obj(d, spec, "capacity"), "storage",
		json_at(wanted, "/resources/requests/storage"));
	json_set_copy(d, spec, "accessModes", json_get(wanted, "accessModes"));
	json_set_str(d, spec, "volumeMode", mode_of(obj_json(claim)));
	json_set_str(d, spec, "storageClassName", class_of(obj_json(claim)));
	json_set_str(d, spec, "persistentVolumeReclaimPolicy",
		json_str_or(json_get(class, "reclaimPolicy"), "Delete"));
	json_put_str(d, spec, "/hostPath/path", path);
	json_put_str(d, spec, "/hostPath/type", "DirectoryOrCreate");
	if (node) {
		CLEANUP(json_doc_freep)
		struct json_doc *term =
			json_lit("{'nodeSelectorTerms':[{'matchExpressions':[{'key':'kubernetes.io/hostname',"
				 "'operator':'In','values':[]}]}]}");

		json_append_str(term,
			json_at(json_root(term), "/nodeSelectorTerms/0/matchExpressions/0/values"), node);
		json_set_copy(d, json_need_obj(d, spec, "nodeAffinity"), "required", json_root(term));
	}
	volume_tie(d, o, claim);
	return d;
}
