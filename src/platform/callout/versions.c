/* SPDX-License-Identifier: Apache-2.0 */
/* Versions that are converted on the spot. */
#include "platform/callout/convert.h"

#include "base/mem.h"

struct obj *object_present(struct resource *r, const struct obj *o)
{
	char av[KIND_API_VERSION_MAX];
	struct json_doc *d;

	kind_api_version(r->kind, av);
	if (convert_is_in(o, av))
		return obj_ref(o);
	d = obj_draft(o);
	if (r->def->hooks.from_stored)
		r->def->hooks.from_stored(d, json_root(d));
	json_set_str(d, json_root(d), "apiVersion", av);
	return obj_from_doc(d);
}

void object_to_stored(const struct registry *g, struct resource *r, struct json_doc *d)
{
	const struct resource *stored = r;
	char av[KIND_API_VERSION_MAX];

	if (r->def->storage_version) {
		json_set_str(d, json_root(d), "apiVersion", convert_storage(r, av));
		return;
	}
	if (r->def->not_storage) {
		if (r->def->hooks.to_stored)
			r->def->hooks.to_stored(d, json_root(d));
		for (size_t i = 0;; i++) {
			const struct group_version *gv = registry_gv_at(g, i);

			if (!gv)
				break;
			for (size_t j = 0; j < gv->n; j++)
				if (!gv->items[j]->def->not_storage &&
					str_eq(gv->items[j]->storage, r->storage))
					stored = gv->items[j];
		}
	}
	json_set_str(d, json_root(d), "apiVersion", kind_api_version(stored->kind, av));
}
