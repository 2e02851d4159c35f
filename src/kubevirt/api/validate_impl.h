/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/validate_impl.h - for validate_*.c only: a VMI spec under examination, and how to refuse part of it. */
#pragma once

#include "kubevirt/api/validate.h"

#define REASON_INVALID "FieldValueInvalid"
#define REASON_REQUIRED "FieldValueRequired"
#define REASON_NOT_SUPPORTED "FieldValueNotSupported"
#define REASON_FORBIDDEN "FieldValueForbidden"
#define REASON_DUPLICATE "FieldValueDuplicate"

struct check {
	const struct json *spec; /* with defaults */
	const char *at;          /* "spec" or "spec.template.spec" */
	const struct kv_config *config;
	struct causes *causes;
	bool sized_elsewhere; /* an instance type that is not known yet gives the memory */
};
/* The spec of a VM's template. sized: by an instance type, so it need not say how large its guest is. */
void vm_spec_validate(const struct json *spec, bool sized, const struct kv_config *c, struct causes *causes);
/* The full name of a field below the spec; caller frees. */
char *check_path(const struct check *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds a cause at field `sub` (below the spec). */
void check_refuse(const struct check *k, const char *reason, const char *sub, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same, the text beginning with the field's full name. */
void check_refuse_named(const struct check *k, const char *reason, const char *sub, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

void check_disks(const struct check *k);
void check_volumes(const struct check *k);
void check_networks(const struct check *k);
void check_placement(const struct check *k);
/* validate_nics.c; net NULL: there is none of its name */
void check_nic_details(const struct check *k, const struct json *nic, const struct json *net, size_t i);
/* Index of the item of that name; -1: none. */
int check_index(const struct json *list, const char *name);
