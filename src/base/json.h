/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.h - JSON trees. The only door to the JSON library.
 *
 * A `struct json_doc` owns a tree; a `struct json` is one value in it and lives as long as its doc. There is one kind
 * of tree: to treat it as immutable, hold it as `const struct json *`. Values are never shared between docs: setters
 * that take a value of another doc copy it (json_copy). Object members keep their order; keys are unique (parse
 * keeps the last of duplicates and can report them).
 *
 * Getters accept NULL and values of another type and then answer "absent" (NULL, the default, 0), so chains such as
 * json_str(json_at(v, "/status/phase")) need no checks. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 128 /* deeper input is refused; walkers may recurse */

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_UINT, JSON_REAL, JSON_STR, JSON_ARR, JSON_OBJ };

struct json_doc;
struct json;

/* ---- documents ---- */
struct json_doc *json_doc_new(void); /* root is NULL until set */
void json_doc_free(struct json_doc *d);
void json_doc_freep(struct json_doc **d);
struct json *json_root(const struct json_doc *d);
void json_set_root(struct json_doc *d, struct json *v); /* v must belong to d */
/* Strict JSON, UTF-8 checked. ERR_BAD_REQUEST with position. dups (may be NULL) receives the paths of duplicate keys
 * in dotted form (`spec.color`). */
struct json_doc *json_parse(const char *text, size_t len, struct err *e);
struct json_doc *json_parse_dups(const char *text, size_t len, struct strv *dups, struct err *e);
/* A new doc whose root is a copy of v. */
struct json_doc *json_doc_from(const struct json *v);
/* Compact text; the caller frees. json_write_pretty indents by two spaces. */
char *json_write(const struct json *v, size_t *ret_len);
char *json_write_pretty(const struct json *v, size_t *ret_len);
void json_write_to(const struct json *v, struct str *out);

/* ---- reading ---- */
/* NULL pointer: JSON_NULL. Integers are JSON_INT if they fit int64_t, else JSON_UINT. */
enum json_type json_type(const struct json *v);
bool json_is_null(const struct json *v); /* NULL pointer or null */
bool json_is_obj(const struct json *v);
bool json_is_arr(const struct json *v);
bool json_is_str(const struct json *v);
bool json_is_bool(const struct json *v);
bool json_is_int(const struct json *v); /* an integer of either sign */
bool json_is_num(const struct json *v);
const char *json_str(const struct json *v); /* NULL if not a string */
const char *json_str_or(const struct json *v, const char *deflt);
size_t json_str_len(const struct json *v);
bool json_bool(const struct json *v); /* false unless true */
bool json_bool_or(const struct json *v, bool deflt);
int64_t json_i64(const struct json *v); /* 0 if not a number; reals truncate; saturates */
uint64_t json_u64(const struct json *v);
double json_num(const struct json *v);
size_t json_len(const struct json *v); /* members or items, else 0 */
struct json *json_get(const struct json *obj, const char *key);
struct json *json_getn(const struct json *obj, const char *key, size_t len);
struct json *json_item(
	const struct json *arr, size_t i); /* O(1) amortised only when walked in order: use JSON_EACH */
/* "/spec/template/0/name", RFC 6901 with ~0 ~1; "" is v itself. */
struct json *json_at(const struct json *v, const char *pointer);
/* Shorthand: json_str(json_get(obj, key)). */
const char *json_get_str(const struct json *obj, const char *key);
const char *json_at_str(const struct json *v, const char *pointer);
/* Semantic equality: member order does not matter, 1 == 1.0, item order does. NULL pointer equals null. */
bool json_eq(const struct json *a, const struct json *b);

/* Is it within JSON_DEPTH_MAX? To be asked of trees that input can make deeper by copying (patches). */
bool json_depth_ok(const struct json *v);

/* Walk: for (struct json_iter it = json_iter(v); json_next(&it);) use it.key (objects), it.val. Do not change the
 * container meanwhile, except through json_iter_remove(). */
struct json_iter {
	const struct json *container;
	const char *key; /* NULL in arrays */
	size_t key_len;
	struct json *val;
	size_t i;        /* index of val */
	void *at, *prev; /* private */
	size_t left;     /* private */
};
struct json_iter json_iter(const struct json *v); /* empty for NULL and scalars */
bool json_next(struct json_iter *it);
void json_iter_remove(struct json_iter *it); /* removes the current entry; continue with json_next() */
#define JSON_EACH(it, v) for (struct json_iter it = json_iter(v); json_next(&it);)

/* ---- building: the value belongs to d; strings are copied ---- */
struct json *json_new_null(struct json_doc *d);
struct json *json_new_bool(struct json_doc *d, bool b);
struct json *json_new_i64(struct json_doc *d, int64_t n);
struct json *json_new_u64(struct json_doc *d, uint64_t n);
struct json *json_new_num(struct json_doc *d, double n);
struct json *json_new_str(struct json_doc *d, const char *s); /* NULL makes null */
struct json *json_new_strn(
	struct json_doc *d, const char *s, size_t n); /* bytes that are no UTF-8 become U+FFFD */
struct json *json_new_strf(struct json_doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct json *json_new_obj(struct json_doc *d);
struct json *json_new_arr(struct json_doc *d);
struct json *json_copy(struct json_doc *d, const struct json *v); /* deep; NULL makes null */

/* ---- changing: set replaces in place or appends; v must be fresh: made by d, and in no container (new, or removed
 * or replaced again). Putting a value into two places, or the wrong type of container, is a bug and aborts. ---- */
/* As json_set(), of a key that obj surely has not: it is not looked for. */
void json_add(struct json_doc *d, struct json *obj, const char *key, struct json *v);
void json_set(struct json_doc *d, struct json *obj, const char *key, struct json *v);
void json_setn(struct json_doc *d, struct json *obj, const char *key, size_t len, struct json *v);
void json_set_str(struct json_doc *d, struct json *obj, const char *key, const char *s); /* NULL removes */
void json_set_strf(struct json_doc *d, struct json *obj, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void json_set_i64(struct json_doc *d, struct json *obj, const char *key, int64_t n);
void json_set_bool(struct json_doc *d, struct json *obj, const char *key, bool b);
void json_set_copy(struct json_doc *d, struct json *obj, const char *key, const struct json *v);
/* The member, made if absent (or of another type): lets one write d/obj paths downward. */
struct json *json_need_obj(struct json_doc *d, struct json *obj, const char *key);
struct json *json_need_arr(struct json_doc *d, struct json *obj, const char *key);
/* Sets at a pointer, making missing objects on the way ("-" or the length appends to an array). Pointers are the
 * program's own: a malformed one, or an index beyond the array, aborts. json_put_str with NULL removes. */
void json_put(struct json_doc *d, struct json *root, const char *pointer, struct json *v);
void json_put_str(struct json_doc *d, struct json *root, const char *pointer, const char *s);
bool json_remove(struct json *obj, const char *key); /* true if it was there */
bool json_remove_at(struct json *root, const char *pointer);
void json_append(struct json_doc *d, struct json *arr, struct json *v);
void json_append_str(struct json_doc *d, struct json *arr, const char *s);
void json_insert(struct json_doc *d, struct json *arr, size_t i, struct json *v); /* i <= len */
void json_replace_item(struct json_doc *d, struct json *arr, size_t i, struct json *v);
void json_remove_item(struct json *arr, size_t i);
void json_clear(struct json *container);

/* Escapes one pointer segment (~ and /) onto out. */
void json_pointer_add(struct str *out, const char *segment);
/* A literal for code and tests: single quotes stand for double quotes; aborts on bad text. */
struct json_doc *json_lit(const char *text);
