/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/policy.h - ValidatingAdmissionPolicy: rules in CEL about writes, and the bindings that put them into force
 * (kubernetes-api.md 5.1). Compiled when a policy changed and the next write comes; without bindings a write costs nothing. */
#pragma once

#include "platform/admission/admission.h"

struct policies;
struct policies *policies_new(struct admitter *adm); /* follows policies and bindings */
void policies_free(struct policies *p);

bool policies_any(struct policies *p); /* is any in force? */
/* 0: nothing denies it. -1: *ret_status is the answer. Warnings are added. */
int policies_ask(struct policies *p, const struct admission_in *in, struct strv *warnings,
	struct json_doc **ret_status);
