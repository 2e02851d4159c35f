/* SPDX-License-Identifier: Apache-2.0 */
/* platform/describe/discovery.h - the documents of discovery as trees, made from the registry alone (kubernetes-api.md 1.2).
 * Serving them is discovery.c; for tests and for whoever needs one without a request. */
#pragma once

#include "platform/kinds/registry.h"

/* Names as they stand in documents, in alphabetical order. */
struct json *discovery_verbs(struct json_doc *d, unsigned verbs);

/* APIGroupList without the core group; APIGroup (NULL: no such group); APIResourceList of a local group version. */
struct json_doc *discovery_group_list(const struct registry *g);
struct json_doc *discovery_group(const struct registry *g, const char *group);
struct json_doc *discovery_resource_list(const struct group_version *gv);
/* APIGroupDiscoveryList: the core group alone, or all others. version: "v2" or "v2beta1". */
struct json_doc *discovery_aggregated(const struct registry *g, bool core, const char *version);
