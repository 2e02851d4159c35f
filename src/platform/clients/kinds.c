/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/clients/kinds.h"

#define X(id, g, v, k, p, ns)                     \
	const struct kind pk_##id = { .group = g, \
		.version = v,                     \
		.kind = k,                        \
		.plural = p,                      \
		.singular = "",                   \
		.namespaced = ns,                 \
		.has_status = true };
PLATFORM_KINDS(X)
#undef X
