/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/policy_check.h - the own rules of ValidatingAdmissionPolicy and its bindings. */
#pragma once

#include "platform/kinds/registry.h"

/* What is wrong with a policy or a binding, for resource_hooks.validate. */
void policy_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c);
void policy_binding_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c);
