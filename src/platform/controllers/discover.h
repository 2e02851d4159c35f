/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/discover.h - which kinds a server serves, from its discovery documents: one entry per resource (preferred
 * version), for those who work on objects of every kind (namespace deletion, garbage collection). */
#pragma once

#include "kube/client.h"

struct discovered;
/* found is NULL on failure; otherwise the callee owns it. Group versions that are not available are left out. */
typedef void discover_fn(void *arg, struct discovered *found, const struct err *e);
void discover(struct kube_client *c, discover_fn *fn, void *arg);
void discovered_free(struct discovered *d);
const struct kind *discovered_at(
	const struct discovered *d, size_t i);                   /* NULL at the end; lives as long as d */
bool discovered_deletable(const struct discovered *d, size_t i); /* verbs delete and list */
bool discovered_watchable(const struct discovered *d, size_t i); /* verbs list and watch */
