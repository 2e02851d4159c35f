/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/amounts.h - resources and how much of each: what a pod asks for, what a quota allows. Ordered by name.
 * Pure: no I/O, no clock. */
#pragma once

#include "api/quantity.h"

struct amount {
	char *name;
	struct quantity q;
};
struct amounts { /* zero-initialise */
	struct amount *items;
	size_t len, cap;
};
void amounts_done(struct amounts *a);
const struct quantity *amounts_get(const struct amounts *a, const char *name); /* NULL: not there */
void amounts_add(struct amounts *a, const char *name, const struct quantity *q);
void amounts_add_count(struct amounts *a, const char *name, int64_t n);
void amounts_add_all(struct amounts *a, const struct amounts *more);
void amounts_raise(struct amounts *a, const char *name, const struct quantity *q); /* to the larger one */
void amounts_set(struct amounts *a, const char *name, const struct quantity *q);
/* A map of quantities, as in an object; what is no quantity is skipped. */
void amounts_read(struct amounts *a, const struct json *map);
void amounts_write(const struct amounts *a, struct json_doc *d, struct json *map);
/* "cpu=1,pods=2" */
void amounts_text(const struct amounts *a, struct str *out);

/* What a pod as a whole requests ("requests") or may use ("limits"): the sum of its containers, or what an init container
 * needs if that is more; sidecars, overhead and the pod's own resources included. */
void pod_amounts(const struct json *pod_spec, const char *what, struct amounts *ret);
