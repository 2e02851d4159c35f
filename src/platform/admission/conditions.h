/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/conditions.h - expressions about one request: the values of what they may name, and match conditions. What
 * they may name is expressions.h (kubernetes-api.md 5.1). */
#pragma once

#include "platform/admission/admission.h"
#include "platform/auth/auth.h"
#include "platform/kinds/expressions.h"

/* One request's values, for as many expressions as want them. Texts and trees of `in` must outlive it. */
struct request_values {
	struct admitter *adm;
	const struct admission_in *in;
	struct json_doc *doc; /* of the request, and of objects in another version */
	struct cel_run *run;
	struct cel_value vars[RV_MAX];
};
/* as: the version objects are shown in. */
void request_values_init(
	struct request_values *v, struct admitter *adm, const struct admission_in *in, struct resource *as);
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
