/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/instancetype/test_lookup.h - for tests: a lookup over a list of objects {kind, metadata}. */
#pragma once

#include "api/meta.h"
#include "kubevirt/instancetype/instancetype.h"

static inline const struct json *test_get(
	struct it_lookup *l, const struct kind *k, const char *ns, const char *name)
{
	JSON_EACH (it, (const struct json *)l->arg)
		if (str_eq(json_get_str(it.val, "kind"), k->kind) && str_eq(meta_str(it.val, "name"), name) &&
			str_eq(meta_str(it.val, "namespace"), k->namespaced ? ns : ""))
			return it.val;
	return NULL;
}

/* objects: an array; has to outlive the lookup. */
static inline struct it_lookup test_lookup(const struct json_doc *objects)
{
	return (struct it_lookup){ .get = test_get, .arg = json_root(objects) };
}
