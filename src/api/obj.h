/* SPDX-License-Identifier: Apache-2.0 */
/* api/obj.h - an object as everybody shares it: immutable, reference counted (atomically), its JSON text made
 * once and its tree parsed once, whichever is asked for. The cache, the store and every watcher hold the same
 * one. To change it, make a draft (a copy of the tree), change that, and make a new object of it. */
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
bool obj_parsed(const struct obj *o); /* its tree is there already */
/* Appends the text; makes none that stays, if there is none. */
void obj_add_text(const struct obj *o, struct str *out);
/* Drops what can be made again: the parsed tree if the text is there, and both of a packed one (memory of large
 * caches). Not while somebody holds a tree pointer of it, or a text pointer of a packed one. */
void obj_compact(const struct obj *o);
/* An old version o of an object, told by what differs from its next version: a few bytes instead of a text, if
 * that pays. o holds a reference to base from then on. Done only if nobody but its `owners` and those packed on
 * it have a reference to o, so that no text or tree is taken from anybody: false, else; try again some time. One
 * version in OBJ_CHAIN_MAX keeps its text, so that the others are quickly made again. The loop's thread only. */
#define OBJ_CHAIN_MAX 32
/* What an object knows of its text besides names. */
struct obj_facts {
	const char *uid; /* not terminated */
	size_t uid_len;
	int64_t generation;
	bool deleting;
};
/* Whatever is packed on this from now on need not be a version of it: a sample of its kind. */
void obj_be_base(const struct obj *o);
/* For reading versions back, newest first: one of the same object as `newer`, whose names it shares; text, with rv in it, is
 * JSON that was stored before. NULL: it is another object of that name. */
struct obj *obj_older(
	const struct obj *newer, const char *text, size_t len, uint64_t rv, const struct obj_facts *f);
/* Then it is told by what differs from newer, as by obj_pack(); its text stays until obj_compact(), for the next older one. */
void obj_pack_older(const struct obj *o, const struct obj *newer);
bool obj_pack(const struct obj *o, const struct obj *base, unsigned owners);

/* Metadata, read once at creation. "" and 0 when absent. */
const char *obj_name(const struct obj *o);
const char *obj_namespace(const struct obj *o);
const char *obj_uid(const struct obj *o);
const char *obj_key(const struct obj *o); /* "ns/name" or "name" */
uint64_t obj_rv(const struct obj *o);
int64_t obj_generation(const struct obj *o);
bool obj_deleting(const struct obj *o); /* deletionTimestamp is set */
