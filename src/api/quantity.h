/* SPDX-License-Identifier: Apache-2.0 */
/* api/quantity.h - Kubernetes quantities ("1Gi", "500m", "2e3", 1073741824), exact within int64 units and milli-units. */
#pragma once

#include "base/json.h"

struct quantity {
	int64_t value; /* whole units, towards minus infinity */
	int32_t nano;  /* 0..999999999, added to value */
	int8_t format; /* 'd' decimal SI, 'b' binary SI, 'e' exponent: how it was written */
};
#define QUANTITY_TEXT_MAX 48
/* ERR_INVALID with the text quoted. */
int quantity_parse(const char *text, struct quantity *ret, struct err *e);
/* From a JSON string or number. */
int quantity_from_json(const struct json *v, struct quantity *ret, struct err *e);
/* Canonical form: 2048Mi -> "2Gi", 0.1 -> "100m". */
char *quantity_text(const struct quantity *q, char buf[QUANTITY_TEXT_MAX]);
int quantity_cmp(const struct quantity *a, const struct quantity *b);
/* Saturating. The format is that of `to`, or of n while `to` is zero. */
void quantity_add(struct quantity *to, const struct quantity *n);
void quantity_sub(struct quantity *to, const struct quantity *n);
int64_t quantity_milli(const struct quantity *q); /* rounded up, saturating */
int64_t quantity_ceil(const struct quantity *q);  /* whole units, rounded up, saturating */
/* Shorthands: bytes of a memory quantity (-1 if absent or bad); milli-CPUs (-1 likewise). */
int64_t quantity_bytes(const struct json *v);
int64_t quantity_millis(const struct json *v);
/* Canonical text of a byte count in binary SI: 2147483648 -> "2Gi". */
char *quantity_bytes_text(int64_t bytes, char buf[QUANTITY_TEXT_MAX]);
char *quantity_milli_text(int64_t milli, char buf[QUANTITY_TEXT_MAX]); /* 200 -> "200m", 2000 -> "2" */
