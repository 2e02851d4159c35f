/* SPDX-License-Identifier: Apache-2.0 */
/* Removal in the order of operator.md 3.2: kinds first, while the components still run and let guests stop properly; then
 * whatever could block the API without its server; then the rest. Needs no image of any version. */
#include "kubevirt/operator/install.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#include <string.h>

#define LABEL_NODE_CPU_MANAGER "cpumanager"

static bool managed(const struct obj *o)
{
	const char *by = meta_label(obj_json(o), LABEL_MANAGED_BY);

	return str_eq(by, KV_VIRT_OPERATOR) || str_eq(by, "kubevirt-operator");
}

/* Plans the deletion of every managed object of a kind; how many there still are. */
static size_t remove_kind(const struct look *l, const struct kind *k, struct plan *out)
{
	struct cache *all = look_cache(l, k);
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = cache_at(all, i)); i++) {
		if (!managed(o))
			continue;
		n++;
		if (!obj_deleting(o))
			plan_delete(out, k, obj_key(o), obj_uid(o), -1);
	}
	return n;
}

/* A key of a kubevirt.io domain, or one of the few virt-handler has besides. */
static bool is_ours(const char *key)
{
	const char *slash = strchr(key, '/');
	size_t len = slash ? (size_t)(slash - key) : 0;

	return (len >= 11 && strncmp(slash - 11, "kubevirt.io", 11) == 0) ||
	       str_starts(key, "coracle.dev/") || str_eq(key, LABEL_NODE_CPU_MANAGER);
}

/* Our keys on nodes (operator.md 3.3). */
static size_t clean_nodes(const struct look *l, struct plan *out)
{
	struct cache *nodes = look_cache(l, &kind_node);
	static const char *const maps[] = { "labels", "annotations" };
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = cache_at(nodes, i)); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = obj_draft(o);
		bool found = false;

		for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
			struct json *map = json_get(json_get(json_root(d), "metadata"), maps[m]);

			for (struct json_iter it = json_iter(map); json_next(&it);) {
				if (!is_ours(it.key))
					continue;
				json_iter_remove(&it);
				found = true;
			}
		}
		if (!found)
			continue;
		n++;
		plan_change(out, &kind_node, o, NULL, TAKE(d));
	}
	return n;
}

bool remove_installation(const struct look *l, const struct operator_settings *s, struct plan *out)
{
	static const struct kind *const first[] = { &kind_validatingwebhook, &kind_mutatingwebhook,
		&kind_apiservice };
	static const struct kind *const rest[] = { &kind_daemonset, &kind_pdb, &kind_deployment,
		&kind_service, &kind_clusterrolebinding, &kind_clusterrole, &kind_rolebinding, &kind_role,
		&kind_serviceaccount, &kind_secret, &kind_configmap };
	size_t left = 0;

	if (remove_kind(l, &kind_crd, out) > 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		left += remove_kind(l, first[i], out);
	if (left)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rest); i++)
		left += remove_kind(l, rest[i], out);
	if (left)
		return false;
	return clean_nodes(l, out) == 0;
}
