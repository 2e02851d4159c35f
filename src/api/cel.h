/* SPDX-License-Identifier: Apache-2.0 */
/* api/cel.h - the Common Expression Language as Kubernetes speaks it: rules of CustomResourceDefinitions, match conditions,
 * admission policies. An expression is compiled once, checked against the types of what it may name, into an immutable
 * program; each evaluation has a run, whose arena holds every value it makes. Does no I/O and reads no clock.
 *
 * Served: the language (macros and optionals included), the strings, sets, lists and two-variable-comprehension extensions,
 * and Kubernetes' libraries (lists, regex, url, quantity, ip, cidr, format, semver, authorizer). */
#pragma once

#include "api/schema.h"
#include "base/mem.h"

#define CEL_EXPRESSION_MAX 100000 /* bytes of an expression */
#define CEL_DEPTH_MAX 250         /* of its tree */
#define CEL_NODES_MAX 50000       /* of its tree */
#define CEL_LOCALS_MAX 64         /* macro variables in scope at once */
#define CEL_COST_MAX 1000000      /* of one evaluation: steps, and bytes and items made or looked at */
#define CEL_BUDGET_MAX 10000000   /* of all evaluations for one object */
#define CEL_STRING_MAX (4u << 20) /* bytes of a string an expression makes */
#define CEL_MESSAGE_MAX 5120      /* bytes of an evaluated message */

/* ---- what an expression may name ---- */
struct cel_type; /* lives in its env */
struct cel_env;
struct cel_env *cel_env_new(void);
void cel_env_free(struct cel_env *env);
void cel_env_freep(struct cel_env **env);
/* Types as text: b bool, i int, u uint, d double, s string, y bytes, t timestamp, r duration, D dyn, N null, L<item>,
 * P<key><value>, O<optional>, Z authorizer, R a question to it; NULL if it is none. */
const struct cel_type *cel_type_named(struct cel_env *env, const char *text);
/* What the schema says, NULL if that is nothing CEL can see. root: apiVersion, kind and metadata's names are there. The schema
 * must outlive the programs. */
const struct cel_type *cel_type_of_schema(struct cel_env *env, const struct schema *s, bool root);
const struct cel_type *cel_type_optional(struct cel_env *env, const struct cel_type *of);
/* An object with exactly these fields, added one by one. */
const struct cel_type *cel_type_object(struct cel_env *env, const char *name);
void cel_type_add(
	struct cel_env *env, const struct cel_type *object, const char *field, const struct cel_type *type);
/* Variables are numbered from 0 in the order they are added. */
size_t cel_env_add(struct cel_env *env, const char *name, const struct cel_type *type);

/* ---- programs ---- */
struct cel_program;
/* want: type of the result, NULL if any will do ("dyn" passes everywhere). ERR_INVALID with the compiler's text: place, reason,
 * the line and a mark below it. The env may go afterwards. */
int cel_compile(const char *text, const struct cel_env *env, const struct cel_type *want,
	struct cel_program **ret, struct err *e);
void cel_program_free(struct cel_program *p); /* NULL is fine */
void cel_program_freep(struct cel_program **p);
bool cel_program_uses(const struct cel_program *p, size_t var);
/* Of the result, as found by the checker; lives as long as the env it was compiled with. */
const struct cel_type *cel_program_type(const struct cel_program *p);

/* ---- values: live as long as their run, and as the JSON they stand on ---- */
enum cel_kind {
	CEL_ERROR,
	CEL_NULL,
	CEL_BOOL,
	CEL_INT,
	CEL_UINT,
	CEL_DOUBLE,
	CEL_STRING,
	CEL_BYTES,
	CEL_LIST,
	CEL_MAP,
	CEL_DURATION,
	CEL_TIMESTAMP,
	CEL_TYPE,
	CEL_OPTIONAL,
	CEL_QUANTITY,
	CEL_URL,
	CEL_IP,
	CEL_CIDR,
	CEL_SEMVER,
	CEL_FORMAT,
	CEL_AUTHORIZER,
	CEL_PATH_CHECK,
	CEL_GROUP_CHECK,
	CEL_RESOURCE_CHECK,
	CEL_DECISION,
};
struct cel_list;
struct cel_map;
struct cel_run;
struct cel_value {
	enum cel_kind kind;
	int32_t nano; /* of a timestamp */
	union {
		bool b;
		int64_t i; /* durations: nanoseconds; timestamps: seconds since 1970 */
		uint64_t u;
		double d;
		const struct cel_list *list;
		const struct cel_map *map;
		const struct cel_value *of; /* optionals: NULL if none */
		const void *p;
		const char *
			s; /* strings, bytes, errors, types: `n` bytes, not terminated but for errors and types */
	};
	size_t n;
};

/* ---- evaluation ---- */
/* Asked by authorizer.*; path NULL: a resource. */
struct cel_access {
	const char *path, *verb, *group, *resource, *subresource, *ns, *name;
	const char *account_ns, *account; /* authorizer.serviceAccount(); NULL: the request's user */
};
/* *ret_reason may be set to text living as long as the run (arena). */
typedef bool cel_authorize_fn(
	void *arg, const struct cel_access *a, struct arena *arena, const char **ret_reason);

struct cel_run *cel_run_new(void);
void cel_run_free(struct cel_run *r);
void cel_run_freep(struct cel_run **r);
struct arena *cel_run_arena(struct cel_run *r);
/* What all evaluations of the run may cost together; CEL_BUDGET_MAX at first. */
void cel_run_set_budget(struct cel_run *r, uint64_t budget);
uint64_t cel_run_left(const struct cel_run *r);
void cel_run_set_authorizer(struct cel_run *r, cel_authorize_fn *fn, void *arg);

struct cel_value cel_null(void);
struct cel_value cel_bool(bool b);
struct cel_value cel_str(const char *s);                                 /* borrowed */
struct cel_value cel_from_json(struct cel_run *r, const struct json *v); /* untyped; NULL is null */
/* As the schema types it. root as for cel_type_of_schema(). */
struct cel_value cel_from_schema(struct cel_run *r, const struct schema *s, const struct json *v, bool root);
struct cel_value cel_optional(struct cel_run *r, const struct cel_value *v /* NULL: none */);
struct cel_value cel_authorizer(void);
/* authorizer.requestResource: a question about this resource, `a` without verb; copied but for its texts. */
struct cel_value cel_resource_check(struct cel_run *r, const struct cel_access *a);
struct cel_value cel_error(struct cel_run *r, const char *text);
/* An object whose fields are made when they are asked for, once each. */
typedef struct cel_value cel_field_fn(void *arg, struct cel_run *r, size_t field);
struct cel_value cel_lazy_object(
	struct cel_run *r, const char *const *names, size_t n, cel_field_fn *fn, void *arg);

/* vars by number. ERR_INVALID with the error's text if the expression fails, ERR_TOO_LARGE if it costs too much. */
int cel_eval(const struct cel_program *p, struct cel_run *r, const struct cel_value *vars,
	struct cel_value *ret, struct err *e);
/* Shorthand: must be a bool. */
int cel_eval_bool(const struct cel_program *p, struct cel_run *r, const struct cel_value *vars, bool *ret,
	struct err *e);
/* The value as JSON; durations, timestamps and the like as their text. NULL if it has none (errors, types, authorizers). */
struct json *cel_to_json(struct cel_run *r, struct json_doc *d, const struct cel_value *v);

/* A member's name as expressions write it (`__dash__` and so on); false: no expression can. */
bool cel_escape(const char *name, size_t len, struct str *out);
