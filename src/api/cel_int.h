/* SPDX-License-Identifier: Apache-2.0 */
/* api/cel_int.h - CEL from the inside: types, trees, values. For cel_*.c only. */
#pragma once

#include "api/cel_value.h"
#include "api/re.h"

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
