/* SPDX-License-Identifier: Apache-2.0 */
/* All functions there are, by name. */
#include "api/cel_int.h"

#include <string.h>

const struct cel_fn *cel_find_fn(const char *name, size_t len)
{
	static const struct cel_fn *const tables[] = { cel_fns_std, cel_fns_string, cel_fns_list,
		cel_fns_optional, cel_fns_time, cel_fns_k8s, cel_fns_net, cel_fns_authz };

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct cel_fn *f = tables[t]; f->name; f++)
			if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
				return f;
	return NULL;
}
