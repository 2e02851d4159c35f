/* SPDX-License-Identifier: Apache-2.0 */
/* api/obj.h - an object as everybody shares it: immutable, reference counted (atomically), its JSON text made once and
 * its tree parsed once, whichever is asked for. The cache, the store and every watcher hold the same one. To change it,
 * make a draft (a copy of the tree), change that, and make a new object of it. */
#pragma once

#include "base/json.h"

#define OBJ_BYTES_MAX (3 * 1024 * 1024)

struct obj;
struct obj *obj_from_doc(struct json_doc *doc /* taken */);
/* Text is copied. Checked for being one JSON object. */
struct obj *obj_from_text(const char *text, size_t len, struct err *e);
struct obj *obj_ref(const struct obj *o);
void obj_unref(const struct obj *o); /* NULL is fine */
void obj_unrefp(struct obj **o);
const struct json *obj_json(const struct obj *o);
const char *obj_text(const struct obj *o, size_t *ret_len);
struct json_doc *obj_draft(const struct obj *o);
/* Drops the parsed tree if the text is there (memory of large caches); it comes back when asked for. Not while somebody
 * holds a tree pointer of it. */
void obj_compact(const struct obj *o);

/* Metadata, read once at creation. "" and 0 when absent. */
const char *obj_name(const struct obj *o);
const char *obj_namespace(const struct obj *o);
const char *obj_uid(const struct obj *o);
const char *obj_key(const struct obj *o); /* "ns/name" or "name" */
uint64_t obj_rv(const struct obj *o);
int64_t obj_generation(const struct obj *o);
bool obj_deleting(const struct obj *o); /* deletionTimestamp is set */
