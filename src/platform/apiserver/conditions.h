/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/conditions.h - expressions about one request: match conditions of webhooks, and what admission policies are
 * made of. What they may name, the values of that, and compiling them (kubernetes-api.md 5.1). */
#pragma once

#include "api/cel.h"
#include "platform/apiserver/admission.h"
#include "platform/apiserver/auth.h"

/* Variables by number; those of policies have no name for webhooks. */
enum request_var {
	RV_OBJECT,
	RV_OLD_OBJECT,
	RV_REQUEST,
	RV_AUTHORIZER,
	RV_REQUEST_RESOURCE,
	RV_PARAMS,
	RV_NAMESPACE,
	RV_VARIABLES,
	RV_MAX,
};
enum {
	RV_WITH_POLICY = 1 << 0, /* namespaceObject, variables */
	RV_WITH_PARAMS = 1 << 1,
	RV_NO_AUTHORIZER = 1 << 2,
};
/* *ret_variables: the type of `variables`, to be added to; may be NULL. */
struct cel_env *request_env(unsigned with, const struct cel_type **ret_variables);

/* One request's values, for as many expressions as want them. Texts and trees of `in` must outlive it. */
struct request_values {
	struct apiserver *s;
	const struct admission_in *in;
	struct json_doc *doc; /* of the request, and of objects in another version */
	struct cel_run *run;
	struct cel_value vars[RV_MAX];
};
/* as: the version objects are shown in. */
void request_values_init(
	struct request_values *v, struct apiserver *s, const struct admission_in *in, struct resource *as);
void request_values_done(struct request_values *v);

/* What the request is, as webhooks are sent it and expressions see it: all but the objects and options. */
void admission_describe(
	struct json_doc *d, struct json *to, const struct admission_in *in, const struct resource *as);

/* ---- match conditions ---- */
struct match_conditions;
/* list: [{name, expression}]; NULL with e: one of them does not compile. Empty lists give NULL without e. */
int match_conditions_new(
	const struct json *list, unsigned with, struct match_conditions **ret, struct err *e);
void match_conditions_free(struct match_conditions *m); /* NULL is fine */
/* 1: all hold. 0: one does not. -1: none is false, and one could not be evaluated. */
int match_conditions_ask(const struct match_conditions *m, struct request_values *v, struct err *e);
/* What is wrong with them, at paths below `at`. */
void match_conditions_check(const struct json *list, unsigned with, const char *at, struct causes *c);
/* Compiles, with a cause at `at` if that fails. types: letters as of cel_type_named(), any of which the result may have. */
struct cel_program *expression_check(const struct json *text, const struct cel_env *env, const char *types,
	const char *at, struct causes *c);
