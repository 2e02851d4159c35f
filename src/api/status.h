/* SPDX-License-Identifier: Apache-2.0 */
/* api/status.h - the Status object of the Kubernetes API: how an error looks on the wire (kubernetes-api.md 2.1). */
#pragma once

#include "api/kind.h"
#include "base/json.h"

/* One reason why an object was refused. */
struct cause {
	const char *reason; /* "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported", ... */
	char *message; /* as clients see it: with the type's prefix and the bad value, e.g. "Invalid value: 3: must be ..." */
	char *field; /* "spec.template.spec.domain.cpu.sockets" */
};
#define CAUSES_MAX 100 /* more are counted, not kept */
struct causes {
	struct cause *items;
	size_t len, cap, dropped;
};
void causes_done(struct causes *c);
/* Adds in Kubernetes' wording: kind of trouble, value as JSON text if given, detail. */
void cause_invalid(struct causes *c, const char *field, const struct json *value, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void cause_required(struct causes *c, const char *field, const char *detail);
void cause_duplicate(struct causes *c, const char *field, const struct json *value);
void cause_forbidden(struct causes *c, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void cause_not_supported(struct causes *c, const char *field, const struct json *value,
	const char *const *allowed /* NULL-terminated */);
void cause_too_long(struct causes *c, const char *field, size_t max_bytes);
void cause_type(struct causes *c, const char *field, const char *want, const struct json *got);
/* Verbatim: KubeVirt's admission texts have no prefixes. */
void cause_text(struct causes *c, const char *reason, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* e := ERR_INVALID `VirtualMachine.kubevirt.io "x" is invalid: path: detail` (several: [a, b]). Returns -1. */
int causes_to_err(const struct causes *c, const struct kind *k, const char *name, struct err *e);
/* The Status object. k, name, causes may be NULL. kind in details is the plural, except for Invalid (the Kind). */
struct json_doc *status_from_err(
	const struct err *e, const struct kind *k, const char *name, const struct causes *causes);
struct json_doc *status_success(const struct kind *k, const char *name, const char *uid);
/* Reads a Status answer back; http_status counts if the body is none. Returns -1 with e filled. */
int status_to_err(const struct json *status, int http_status, struct err *e);

/* Standard texts. */
int err_not_found(struct err *e, const struct kind *k, const char *name);
int err_exists(struct err *e, const struct kind *k, const char *name);
int err_conflict(
	struct err *e, const struct kind *k, const char *name); /* "the object has been modified; ..." */
