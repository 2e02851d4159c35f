/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/crd.h - our kinds as CustomResourceDefinitions: versions, columns and the schema made from the field table.
 * kubevirt-api.md 1. */
#pragma once

#include "api/kind.h"
#include "base/json.h"

struct crd_column {
	const char *name, *type, *json_path;
	int priority; /* 1: only in wide output */
};
struct crd_version {
	const char *name;
	bool storage;
	bool deprecated; /* with KubeVirt's warning text */
};
/* What struct kind does not say; one per own kind, beside it. */
struct crd {
	const struct kind *kind;
	const struct crd_version *versions; /* ends with a NULL name; NULL: kind's version alone */
	const struct crd_column *columns;   /* ends with a NULL name; NULL: none */
};

/* The CustomResourceDefinition object (no status) of one of our kinds, made in d. Aborts for a kind that is not ours. */
struct json *crd_render(struct json_doc *d, const struct kind *k);
/* All of ours but KubeVirt itself, as a List document: what the operator installs. */
struct json_doc *crd_render_all(void);
/* Name of the CRD: "virtualmachines.kubevirt.io". Caller frees. */
char *crd_name(const struct kind *k);
