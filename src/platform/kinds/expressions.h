/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/expressions.h - CEL in the admission kinds: what match conditions of webhooks and the expressions of admission
 * policies may name, and whether they compile (kubernetes-api.md 5.1). Pure: they are evaluated elsewhere. */
#pragma once

#include "api/cel.h"
#include "platform/kinds/registry.h"

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

/* What is wrong with match conditions, [{name, expression}], at paths below `at`. */
void match_conditions_check(const struct json *list, unsigned with, const char *at, struct causes *c);
/* Compiles, with a cause at `at` if that fails. types: letters as of cel_type_named(), any of which the result may have. */
struct cel_program *expression_check(const struct json *text, const struct cel_env *env, const char *types,
	const char *at, struct causes *c);
