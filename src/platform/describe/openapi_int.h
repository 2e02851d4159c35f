/* SPDX-License-Identifier: Apache-2.0 */
/* platform/describe/openapi_int.h - between the files of OpenAPI (kubernetes-api.md 1.4): definitions and paths of a group
 * version as trees, v3 in shape; v2 is made of them by taking away, and written as protobuf from its JSON form. */
#pragma once

#include "platform/kinds/registry.h"

#define OPENAPI_V3_REF "#/components/schemas/"
#define OPENAPI_V2_REF "#/definitions/"

/* "io.k8s.api.core.v1.Pod": the table's own name, or one made of group, version and kind. Caller frees. */
char *openapi_name(const struct resource *r);
/* The table of what a subresource takes, if it is not the resource itself; NULL if there is none. */
const struct field_table *openapi_body(const struct resource *r, const struct subresource *sub);
/* Adds the schema of every kind of gv, its list, and everything these refer to; what is there already stays. */
void openapi_definitions(
	const struct group_version *gv, const char *ref_prefix, struct json_doc *d, struct json *schemas);
/* Adds gv's paths, in the words of OpenAPI v3 or v2. */
void openapi_paths(const struct group_version *gv, bool v2, struct json_doc *d, struct json *paths);

/* Whole documents. */
struct json_doc *openapi_v3_doc(const struct group_version *gv);
struct json_doc *openapi_v2_doc(const struct registry *g);
/* Takes from a v3 schema what v2 has no words for, in place. */
void openapi_schema_to_v2(struct json_doc *d, struct json *schema);
/* A v2 document as protobuf: gnostic's openapi.v2.Document. */
void openapi_v2_protobuf(const struct json *doc, struct str *out);
