/* SPDX-License-Identifier: Apache-2.0 */
/* api/selector.h - label and field selectors (kubernetes-api.md 2.5). Bounded by SELECTOR_TEXT_MAX. */
#pragma once

#include "base/json.h"

#define SELECTOR_TEXT_MAX 65536
#define SELECTOR_TERMS_MAX 256
struct selector;
/* "a=b,c!=d,e in (f,g),!h" */
int selector_parse_labels(const char *text, struct selector **ret, struct err *e);
/* {matchLabels, matchExpressions}; NULL matches nothing, {} everything. */
int selector_from_json(const struct json *label_selector, struct selector **ret, struct err *e);
/* A plain map such as a Service's selector. */
struct selector *selector_from_map(const struct json *map);
void selector_free(struct selector *s);
void selector_freep(struct selector **s);
bool selector_matches(const struct selector *s, const struct json *labels); /* s NULL: matches all */
void selector_text(const struct selector *s, struct str *out);

/* "metadata.name=x,spec.nodeName!=y" */
struct field_selector;
int field_selector_parse(const char *text, struct field_selector **ret, struct err *e);
void field_selector_free(struct field_selector *s);
void field_selector_freep(struct field_selector **s);
/* The values are looked up as dotted paths in o (absent = ""). */
bool field_selector_matches(const struct field_selector *s, const struct json *o);
/* Value demanded for a path by "=", or NULL. */
const char *field_selector_value(const struct field_selector *s, const char *path);
bool field_selector_each(
	const struct field_selector *s, size_t *i, const char **ret_path); /* for "is this path supported" */
/* Where term i really looks (path_len bytes of path), and what an absent value counts as (NULL: ""). */
void field_selector_map(
	struct field_selector *s, size_t i, const char *path, size_t path_len, const char *deflt);
/* The top-level member `from` is called `to` in the objects that will be matched. */
void field_selector_rename(struct field_selector *s, const char *from, const char *to);
