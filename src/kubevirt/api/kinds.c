/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/kinds.h"

#include "base/mem.h"

#define OWN(id)
#define CLIENT(id, g, v, k, pl, sg, ns, st)         \
	const struct kind kind_##id = { .group = g, \
		.version = v,                       \
		.kind = k,                          \
		.plural = pl,                       \
		.singular = sg,                     \
		.namespaced = ns,                   \
		.has_status = st };
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT

const struct kind *const kinds_all[] = {
#define OWN(id) &kind_##id,
#define CLIENT(id, ...) &kind_##id,
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT
	NULL
};

const struct kind *const kinds_own[] = {
#define OWN(id) &kind_##id,
#define CLIENT(id, ...)
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT
	NULL
};

const struct kind *kinds_find(const char *group, const char *kind)
{
	for (size_t i = 0; kinds_all[i]; i++)
		if (str_eq(kinds_all[i]->group, group) && str_eq(kinds_all[i]->kind, kind))
			return kinds_all[i];
	return NULL;
}

const struct kind *kinds_find_plural(const char *group, const char *plural)
{
	for (size_t i = 0; kinds_all[i]; i++)
		if (str_eq(kinds_all[i]->group, group) && str_eq(kinds_all[i]->plural, plural))
			return kinds_all[i];
	return NULL;
}
