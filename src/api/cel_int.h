/* SPDX-License-Identifier: Apache-2.0 */
/* api/cel_int.h - CEL from the inside: types, trees, values. For cel_*.c only. */
#pragma once

#include "api/cel.h"
#include "api/re.h"
#include "api/schema_int.h"

/* ---- types ---- */
enum cel_tkind {
	T_DYN,
	T_NULL,
	T_BOOL,
	T_INT,
	T_UINT,
	T_DOUBLE,
	T_STRING,
	T_BYTES,
	T_DURATION,
	T_TIMESTAMP,
	T_LIST,
	T_MAP,
	T_OPTIONAL,
	T_TYPE,
	T_SCHEMA, /* an object described by a schema */
	T_STRUCT, /* an object with fields added by hand */
	T_OPAQUE, /* named */
	T_VAR,    /* to be found out */
};
struct cel_tfield {
	const char *name;
	const struct cel_type *type;
};
struct cel_type {
	enum cel_tkind kind;
	const struct cel_type *a, *b;
	const struct schema *schema;
	bool root;        /* of T_SCHEMA */
	const char *name; /* of T_STRUCT and T_OPAQUE */
	struct cel_tfield *fields;
	size_t n, cap;
	size_t var; /* of T_VAR */
};
struct cel_var {
	const char *name;
	const struct cel_type *type;
};
struct cel_env {
	struct arena *arena;
	struct cel_var *vars;
	size_t n, cap;
	struct cel_type **objects; /* for their fields */
	size_t n_objects, cap_objects;
};
const struct cel_type *cel_type_make(
	struct arena *a, enum cel_tkind kind, const struct cel_type *x, const struct cel_type *y);
/* One type of a signature; *p moves behind it. vars: what A and B stand for. */
const struct cel_type *cel_type_read(struct arena *a, const char **p, const struct cel_type *const vars[2]);
void cel_type_text(const struct cel_type *t, struct str *out);
/* Type of a field; NULL if there is none of that name. */
const struct cel_type *cel_type_field(
	struct arena *a, const struct cel_type *t, const char *name, size_t len);
/* The member's name behind an escaped one; false if it can not be. */
bool cel_unescape(const char *name, size_t len, struct str *out);

/* ---- trees ---- */
#define CEL_WALK_MAX 2000 /* depth of a walk through trees that call each other (variables of policies) */
enum cel_op {
	N_CONST,
	N_IDENT, /* before the check */
	N_LOCAL,
	N_GLOBAL,
	N_SELECT,
	N_HAS,
	N_OPT_SELECT,
	N_CALL,
	N_AND, /* any number of arguments */
	N_OR,
	N_COND,
	N_LIST,
	N_MAP,  /* key, value, key, value, ... */
	N_FOLD, /* range, step, [filter] */
	N_OPT_MAP,
	N_OPT_FLAT_MAP,
};
enum cel_fold {
	FOLD_ALL,
	FOLD_EXISTS,
	FOLD_ONE,
	FOLD_MAP,
	FOLD_FILTER,
	FOLD_LIST,  /* transformList */
	FOLD_TMAP,  /* transformMap */
	FOLD_ENTRY, /* transformMapEntry */
	FOLD_SORT,  /* sortBy: keys made, then sorted */
};
struct cel_fn;
struct cel_node {
	enum cel_op op;
	enum cel_fold fold;
	bool two, member, guarded; /* two variables; called on its first argument; a filter is there */
	uint32_t pos;
	unsigned slot, slot2;
	const char *name;
	size_t name_len;
	const char *field; /* N_SELECT: the member's name, unescaped, of a schema's object */
	size_t field_len;
	const char *var, *var2;
	struct cel_value value;
	struct cel_node **args;
	size_t n, cap;
	bool *optional; /* N_LIST, N_MAP: `?` before the entry; NULL if none */
	const struct cel_fn *fn;
	const struct re *re; /* a literal pattern, compiled */
	const struct cel_type *type;
};

struct cel_program {
	struct arena *arena;
	struct cel_node *root;
	bool *uses;
	size_t n_vars;
	struct re **res;
	size_t n_res, cap_res;
	const struct cel_type *type;
};

/* ---- compiling ---- */
struct cel_source {
	const char *text;
	size_t len;
	struct arena *arena;
	struct str errors;
	struct str fatal; /* compiled, but it would fail whenever it is evaluated */
	size_t n_errors;
};
void cel_complain(struct cel_source *src, uint32_t pos, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum cel_tok {
	TOK_END,
	TOK_BAD, /* reported */
	TOK_IDENT,
	TOK_VALUE, /* int, uint, double, string, bytes */
	TOK_PUNCT, /* one of "==" "!=" "<=" ">=" "&&" "||" or a single character */
};
struct cel_token {
	enum cel_tok tok;
	uint32_t pos;
	const char *text;
	size_t len;
	struct cel_value value;
};
void cel_lex(struct cel_source *src, size_t *at, struct cel_token *ret);
/* NULL if it is wrong; told in src->errors. */
struct cel_node *cel_parse(struct cel_source *src);
/* Resolves names and overloads; false if something is wrong. */
bool cel_check(struct cel_source *src, const struct cel_env *env, struct cel_program *p);

/* ---- functions ---- */
typedef struct cel_value cel_impl(
	struct cel_run *r, const struct cel_node *n, const struct cel_value *args, size_t n_args);
struct cel_fn {
	const char *name;
	const char *
		sigs; /* "s.s:b|..." : '.' behind the receiver, ':' before the result, '|' between overloads */
	cel_impl *call;
	bool lazy; /* the second argument is not looked at if the first is an optional with a value */
};
const struct cel_fn *cel_find_fn(const char *name, size_t len);
extern const struct cel_fn cel_fns_std[], cel_fns_time[], cel_fns_string[], cel_fns_list[], cel_fns_net[],
	cel_fns_k8s[], cel_fns_authz[], cel_fns_optional[];

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
