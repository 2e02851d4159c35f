/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/limit_kinds.h - the own rules of the kinds that limit a namespace, LimitRange and ResourceQuota, and
 * what the names in a quota mean (kubernetes-api.md 5.1). What they do to other objects is admission's. */
#pragma once

#include "platform/kinds/registry.h"

/* ---- hooks ---- */
void limitrange_default(struct json_doc *d, struct json *o);
void limitrange_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c);
void quota_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c);

/* ---- names in spec.hard ---- */
#define QUOTA_CLASS_SUFFIX ".storageclass.storage.k8s.io/"
/* A core resource whose name alone, without "count/", limits how many there are. */
bool quota_counts_plainly(const char *plural);
/* "count/deployments.apps", "requests.cpu", ...: whose objects count. False: unknown name. The caller frees. */
bool quota_subject(const char *hard, char **ret_group, char **ret_plural);
