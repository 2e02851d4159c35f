/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/policy_impl.h - between policy.c (which policies, for which requests) and policy_eval.c (what they say). */
#pragma once

#include "platform/admission/conditions.h"
#include "platform/admission/policy.h"
#include "platform/admission/webhook.h"

/* Requests meant by matchConstraints or matchResources: one hook per rule, to use the matching of webhooks. */
struct request_match {
	struct hook **rules, **excludes;
	size_t n_rules, n_excludes;
	struct hook *selectors; /* without rules: any request */
	bool any;
};
struct validation {
	struct cel_program *program, *message;
	const struct json *json;
};
struct policy {
	const struct obj *obj;
	bool ignore_failure;
	char *broken; /* why it can not be used */
	struct request_match match;
	struct match_conditions *conditions;
	const char **names; /* of variables, in the object */
	struct cel_program **variables;
	size_t n_variables;
	struct validation *validations;
	size_t n_validations;
};
struct policy *policy_compile(const struct obj *o);
void policy_free(struct policy *p);

/* What one validation, or the failure to ask it, comes to. */
struct denial {
	char *message;
	const char *reason; /* of the Status; NULL: Invalid */
};
typedef void denial_fn(void *arg, const struct denial *d);
/* params may be NULL. Tells of everything that is to be denied. */
void policy_evaluate(const struct policy *p, struct admitter *adm, const struct admission_in *in,
	struct resource *as, const struct json *params, denial_fn *fn, void *arg);
