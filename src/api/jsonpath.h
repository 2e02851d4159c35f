/* SPDX-License-Identifier: Apache-2.0 */
/* api/jsonpath.h - the JSONPath of printer columns: .a.b, ['a.b'], [0], [*], [?(@.type=='Ready')].status. Missing = no value. */
#pragma once

#include "base/json.h"

struct jsonpath;
int jsonpath_parse(
	const char *text, struct jsonpath **ret, struct err *e); /* with or without braces and leading dot */
void jsonpath_free(struct jsonpath *p);
/* Every match, in order. */
typedef void jsonpath_fn(void *arg, const struct json *v);
void jsonpath_each(const struct jsonpath *p, const struct json *root, jsonpath_fn *fn, void *arg);
const struct json *jsonpath_first(const struct jsonpath *p, const struct json *root);
