/* SPDX-License-Identifier: Apache-2.0 */
/* api/cel_value.h - CEL's values from the inside. For cel_*.c only, through cel_int.h. Functions that make values pay for them;
 * what can not be paid is an error, and ends the evaluation. */
#pragma once

#include "api/cel.h"
#include "api/schema_int.h"

struct cel_node;

/* ---- values ---- */
struct cel_pair {
	struct cel_value key, val;
};
struct cel_list {
	size_t n;
	const struct cel_value *items; /* or */
	const struct json *const *raw;
	const struct schema *schema; /* of raw: the list's; NULL: untyped */
};
struct cel_lazy {
	const char *const *names;
	size_t n;
	cel_field_fn *fn;
	void *arg;
	struct cel_value *made;
	uint8_t *state; /* 0 not yet, 1 being made, 2 there */
};
struct cel_map {
	size_t n;
	const struct cel_pair *pairs; /* or */
	const struct json *raw;       /* or */
	struct cel_lazy *lazy;
	const struct schema *schema; /* of raw: the object's; NULL: untyped */
	bool root;
};
struct cel_run {
	struct arena *arena;
	uint64_t cost, left;
	bool broke; /* the limit was reached */
	const struct cel_value *vars;
	struct cel_value *locals; /* CEL_LOCALS_MAX, of the innermost evaluation */
	unsigned depth;           /* of the tree walk, evaluations within evaluations included */
	unsigned evals;           /* under way */
	cel_authorize_fn *authorize;
	void *authorize_arg;
};

/* Pays; false, and nothing more will be evaluated, if that is too much. */
bool cel_pay(struct cel_run *r, uint64_t cost);
struct cel_value cel_fail(struct cel_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct cel_value cel_no_overload(void);
struct cel_value cel_no_key(struct cel_run *r, const struct cel_value *key);
struct cel_value cel_over_budget(void);

struct cel_value cel_int(int64_t i);
struct cel_value cel_uint(uint64_t u);
struct cel_value cel_double(double d);
struct cel_value cel_strn(const char *s, size_t n); /* borrowed */
/* Copied into the run and paid for. */
struct cel_value cel_str_copy(struct cel_run *r, const char *s, size_t n);
struct cel_value cel_duration(int64_t ns);
/* offset: seconds east of UTC, shown in its text. */
struct cel_value cel_timestamp(struct cel_run *r, int64_t sec, int32_t nano, int32_t offset);
struct cel_value cel_opaque(enum cel_kind kind, const void *p);
struct cel_value cel_list_of(struct cel_run *r, const struct cel_value *items, size_t n); /* items borrowed */
struct cel_value cel_map_of(struct cel_run *r, const struct cel_pair *pairs, size_t n);   /* likewise */
/* Room for items of a list, paid for; NULL if that is too much. */
struct cel_value *cel_items(struct cel_run *r, size_t n);
const char *cel_type_name(const struct cel_value *v);
struct cel_value cel_eval_node(struct cel_run *r, const struct cel_node *n);
char *cel_cstr(struct cel_run *r, const struct cel_value *v); /* terminated copy */

struct cel_value cel_list_at(struct cel_run *r, const struct cel_list *l, size_t i);
/* false: no such key. */
bool cel_map_find(
	struct cel_run *r, const struct cel_map *m, const struct cel_value *key, struct cel_value *ret);
bool cel_map_get(
	struct cel_run *r, const struct cel_map *m, const char *name, size_t len, struct cel_value *ret);
/* Keys in order. */
struct cel_value cel_map_keys(struct cel_run *r, const struct cel_map *m);
size_t cel_map_size(const struct cel_map *m);

/* CEL's equality: numbers by value, types that differ are unequal; errors never come here. */
bool cel_equal(struct cel_run *r, const struct cel_value *a, const struct cel_value *b);
/* -1, 0, 1; 2: not comparable; 3: a NaN is in it. */
int cel_compare(struct cel_run *r, const struct cel_value *a, const struct cel_value *b);
size_t cel_chars(const char *s, size_t n); /* code points */

/* ---- time (cel_lib_time.c) ---- */
bool cel_parse_duration(const char *s, size_t n, int64_t *ret_ns);
bool cel_parse_timestamp(const char *s, size_t n, int64_t *ret_sec, int32_t *ret_nano, int32_t *ret_offset);
void cel_duration_text(int64_t ns, struct str *out);
void cel_timestamp_text(const struct cel_value *t, struct str *out);
void cel_double_text(double d, struct str *out);
/* ---- texts of the opaque kinds; false if it has none ---- */
bool cel_opaque_text(const struct cel_value *v, struct str *out);
bool cel_opaque_equal(const struct cel_value *a, const struct cel_value *b);
bool cel_net_text(const struct cel_value *v, struct str *out);
bool cel_net_equal(const struct cel_value *a, const struct cel_value *b);
