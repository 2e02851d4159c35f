/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/parts.h - what the request handler calls of the describing side of the server: built-in kinds, discovery,
 * OpenAPI, tables, protobuf. Each is driven by the registry alone. Authentication and authorization are done before. */
#pragma once

#include "platform/apiserver/registry.h"
#include "platform/apiserver/request.h"

/* builtin.c: registers every built-in kind and the priorities of their group versions. */
void builtin_register(struct registry *g);

/* Answer, if the path is theirs; false (nothing answered) otherwise.
 * discovery.c: /api, /apis, /apis/G, /apis/G/V, /api/v1 (legacy and aggregated), for local group versions, and the merged
 * documents for remote ones (kubernetes-api.md 1.2, 5.4); /apis/G/V of a remote one is proxied by the caller. /version.
 * openapi.c: /openapi/v2, /openapi/v3, /openapi/v3/... (1.4) */
struct discovery;
struct discovery *discovery_new(struct registry *g); /* caches keyed by registry_changes() */
void discovery_free(struct discovery *d);
bool discovery_serve(struct discovery *d, struct request *r);
struct openapi;
struct openapi *openapi_new(struct registry *g);
void openapi_free(struct openapi *o);
bool openapi_serve(struct openapi *o, struct request *r);

/* table.c (2.8). Text of a whole Table onto out. */
enum table_include { TABLE_METADATA, TABLE_OBJECT, TABLE_NONE };
struct list_meta {
	uint64_t rv;
	const char *next;  /* continue token or NULL */
	int64_t remaining; /* < 0: unknown */
};
/* A list, piece by piece: its beginning, then rows with commas between them, then "]}". */
void table_begin(struct resource *r, const struct list_meta *m, struct str *out);
void table_item(
	struct resource *r, const struct obj *o, enum table_include include, int64_t now_ms, struct str *out);
/* The one-row Table of a watch event or a GET; definitions only when asked for. bookmark: no cells but null, the row's object
 * is o as it is. */
void table_row(struct resource *r, const struct obj *o, bool definitions, bool bookmark,
	enum table_include include, int64_t now_ms, struct str *out);

/* protobuf.c (2.8): a body that starts with "k8s\0", as the tree it means, apiVersion and kind from the envelope. want is the
 * resource of the URL (its kind is assumed if the envelope names none), NULL for DeleteOptions and the like.
 * ERR_UNSUPPORTED_MEDIA_TYPE if the kind has no table. */
int protobuf_decode(const struct registry *g, struct resource *want, const void *body, size_t len,
	struct json_doc **ret, struct err *e);
/* protobuf_write.c: the other way. Onto out, false (and nothing) if the kind, or the kind of a list's items, has no table. */
bool protobuf_encode(const struct json *o, struct str *out);
/* The same for stored objects; metadata_only: as PartialObjectMetadata(List), which every kind can be. */
bool protobuf_object(const struct obj *o, bool metadata_only, struct str *out);
void protobuf_list(struct resource *r, const struct obj *const *items, size_t n, const struct list_meta *m,
	bool metadata_only, struct str *out);
/* A frame of a watch: length, and the event with the object as encoded by the others. */
void protobuf_event(const char *type, const struct str *object, struct str *out);
