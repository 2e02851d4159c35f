/* SPDX-License-Identifier: Apache-2.0 */
/* base/yaml.h - YAML to JSON trees, as Kubernetes reads it: the YAML 1.1 scalars of sigs.k8s.io/yaml, so that y, yes and
 * on are true, 017 is 15, ~ is null, quoted ones are strings, and keys are always strings. Merge keys (<<) are applied;
 * the mapping's own keys win. Aliases are refused beyond YAML_ALIAS_MAX or 16 MiB of expansion; depth as JSON_DEPTH_MAX.
 * ERR_BAD_REQUEST with the line. */
#pragma once

#include "base/json.h"

#define YAML_ALIAS_MAX 1000
/* One document, null if the text is empty; JSON is a subset and takes the same door. */
struct json_doc *yaml_parse(const char *text, size_t len, struct err *e);
/* The same; keys that stand twice in a mapping are noted: `line 9: key "foo" already set in map`,
 * or the path if the text is JSON. The last one counts. */
struct json_doc *yaml_parse_dups(
	const char *text, size_t len, struct strv *dups /* or NULL */, struct err *e);
/* A stream of documents separated by ---; empty ones are skipped. fn returns -1 with e set to stop. */
typedef int yaml_doc_fn(void *arg, struct json_doc *doc /* taken */, struct err *e);
int yaml_parse_all(const char *text, size_t len, yaml_doc_fn *fn, void *arg, struct err *e);
/* Block-style YAML with sorted nothing: member order kept. */
void yaml_write(const struct json *v, struct str *out);
