/* SPDX-License-Identifier: Apache-2.0 */
/* api/kind.h - what is known about a kind of object: names, scope, subresources. Facts only, no code. Static for the kinds
 * a program is written for; made at run time from CRDs by the API server. */
#pragma once

#include "base/str.h"

struct kind {
	const char *group;              /* "" for core */
	const char *version;            /* "v1" */
	const char *kind;               /* "VirtualMachine" */
	const char *plural;             /* "virtualmachines" */
	const char *singular;           /* "virtualmachine" */
	const char *const *short_names; /* NULL-terminated or NULL */
	const char *const *categories;  /* NULL-terminated or NULL */
	bool namespaced;
	bool has_status; /* status subresource */
	bool has_scale;
	const struct field_table *fields; /* api/fields.h; NULL when the schema comes from elsewhere */
};

/* "v1" or "kubevirt.io/v1"; into buf of at least KIND_API_VERSION_MAX. */
#define KIND_API_VERSION_MAX 320
const char *kind_api_version(const struct kind *k, char buf[KIND_API_VERSION_MAX]);
/* "/api/v1/namespaces/NS/pods/NAME/SUB"; ns, name, sub may be NULL (collection, all namespaces). Segments are encoded. */
void kind_path(const struct kind *k, const char *ns, const char *name, const char *sub, struct str *out);
/* "virtualmachines.kubevirt.io" or "pods" */
char *kind_group_resource(const struct kind *k);
bool kind_is(const struct kind *a, const struct kind *b); /* same group and plural */
/* Key of an object within its kind: "ns/name", or "name" for cluster-scoped. Caller frees. */
char *kind_key(const char *ns, const char *name);
/* Splits a key; *ret_ns is "" when there is none. The caller frees both. */
void kind_key_split(const char *key, char **ret_ns, char **ret_name);
