/* SPDX-License-Identifier: Apache-2.0 */
/* base/yaml.h - YAML to JSON trees, as Kubernetes reads it (YAML 1.1 scalars as sigs.k8s.io/yaml: true/false, yes/no
 * stay strings, numbers, null, ~). Anchors are refused beyond YAML_ALIAS_MAX expansions; depth as JSON_DEPTH_MAX. */
#pragma once

#include "base/json.h"

#define YAML_ALIAS_MAX 1000
/* One document; JSON is a subset and takes the same door. */
struct json_doc *yaml_parse(const char *text, size_t len, struct err *e);
/* A stream of documents separated by ---; empty ones are skipped. fn returns -1 with e set to stop. */
typedef int yaml_doc_fn(void *arg, struct json_doc *doc /* taken */, struct err *e);
int yaml_parse_all(const char *text, size_t len, yaml_doc_fn *fn, void *arg, struct err *e);
/* Block-style YAML with sorted nothing: member order kept. */
void yaml_write(const struct json *v, struct str *out);
