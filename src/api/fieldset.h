/* SPDX-License-Identifier: Apache-2.0 */
/* api/fieldset.h - sets of field paths, as managed fields hold them (fieldsV1), and walks over objects that make or use such
 * sets; for the patches of this room. A path is a row of elements "f:name", "k:{\"name\":\"a\"}", "v:\"x\"", "i:0". */
#pragma once

#include "api/schema.h"
#include "base/json.h"

/* A tree of elements. member: the path up to here is in the set. Children are sorted. */
struct fset {
	char *key;
	bool member;
	struct fset *kids;
	size_t n, cap;
};
void fset_done(struct fset *s);
struct fset *fset_kid(const struct fset *s, const char *key);   /* NULL if absent */
struct fset *fset_need(struct fset *s, const char *key);        /* made if absent */
struct fset *fset_need_field(struct fset *s, const char *name); /* the same for "f:" and the name */
void fset_drop(struct fset *s, const char *key);                /* and all below; absent is fine */
bool fset_empty(const struct fset *s);
/* Drops branches without members, which the walks below leave behind. */
void fset_tidy(struct fset *s);
bool fset_eq(const struct fset *a, const struct fset *b);
void fset_add(struct fset *to, const struct fset *from); /* to becomes the union */
void fset_take(struct fset *to, struct fset *from);      /* the same; from is empty then */
void fset_copy(struct fset *to, const struct fset *from);
/* Takes every member of `gone` out of s; with below also all that is under such a member. */
void fset_subtract(struct fset *s, const struct fset *gone, bool below);
void fset_intersect(const struct fset *a, const struct fset *b, struct fset *ret);
/* fieldsV1 both ways; depth is bounded by that of the JSON. */
void fset_from_json(struct fset *s, const struct json *fields_v1);
struct json *fset_to_json(struct json_doc *d, const struct fset *s);
/* Every member as text: `.spec.ports[name="a"].port` */
typedef void fset_fn(void *arg, const char *path);
void fset_each(const struct fset *s, fset_fn *fn, void *arg);

/* Element of a list item: "k:.." or "v:.."; caller frees. */
char *fset_item_key(const struct schema *list, const struct json *item);
/* All paths of a value; schema NULL: maps granular, lists atomic. */
void fset_of(const struct schema *s, const struct json *v, struct fset *ret);
/* From old to new: what is there newly or differently, and what is gone (tops of subtrees only). */
void fset_compare(const struct schema *s, const struct json *old, const struct json *now,
	struct fset *changed, struct fset *removed);
/* Paths of `applied` whose value in live differs or is missing. */
void fset_differing(
	const struct schema *s, const struct json *applied, const struct json *live, struct fset *ret);
/* Merges applied into live, which belongs to d. ERR_TOO_LARGE beyond MEMBERS_WORK_MAX. */
int fset_merge(struct json_doc *d, const struct schema *s, struct json *live, const struct json *applied,
	struct err *e);
/* Removes the members of `gone` from v unless `kept` has them or something below them. */
void fset_remove_from(
	const struct schema *s, struct json *v, const struct fset *gone, const struct fset *kept);
