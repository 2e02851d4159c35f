/* SPDX-License-Identifier: Apache-2.0 */
/* platform/codec/codec.h - the forms of an object besides its JSON: rows of a Table, and protobuf, in both directions. Text in,
 * text out; driven by the registry's entries and the tables of protobuf.h. */
#pragma once

#include "platform/kinds/registry.h"

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
