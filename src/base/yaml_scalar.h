/* SPDX-License-Identifier: Apache-2.0 */
/* base/yaml_scalar.h - private to base/yaml*.c: what a plain scalar means, by the rules of go-yaml v2 that
 * sigs.k8s.io/yaml applies: y, yes, on are true; 0x1f, 0o17, 017, 0b1 and 1_000 are integers; dates are strings. */
#pragma once

#include "base/str.h"

enum yaml_kind { YS_STR, YS_NULL, YS_BOOL, YS_INT, YS_FLOAT, YS_MERGE, YS_NOT_JSON /* .inf, .nan */ };

#define YAML_NUMBER_MAX 64
struct yaml_scalar {
	enum yaml_kind kind;
	char json[YAML_NUMBER_MAX]; /* the value as JSON; not for strings */
};
struct yaml_scalar yaml_resolve(const char *s, size_t len);
/* With an explicit tag. Returns what is wrong, or NULL. */
const char *yaml_resolve_tagged(const char *tag, const char *s, size_t len, struct yaml_scalar *ret);
/* A string in double quotes, valid in JSON as well as in YAML. s is UTF-8. */
void yaml_add_quoted(struct str *out, const char *s, size_t len);
