/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/quota.h - ResourceQuota (kubernetes-api.md 5.1). What an object uses and whether a quota is about it is
 * pure (quota_eval.c); quota.c is the plugin: it books a write's usage in the quotas' status before the write is committed,
 * by compare and swap in the store, so that no two writers, nor two servers, can share what is left; and it works usage
 * out afresh when objects go or change. */
#pragma once

#include "platform/apiserver/amounts.h"
#include "platform/kinds/limit_kinds.h"

/* ---- pure ---- */
/* What one object uses, in the names that quotas limit. */
void quota_usage(const char *group, const char *plural, const struct json *o, struct amounts *ret);
/* Is the quota, by its scopes, about the object? */
bool quota_in_scope(
	const struct json *quota_spec, const char *group, const char *plural, const struct json *o);
/* "limits.cpu for: a,b; ...": what the containers must say because the quota counts it; false: nothing is missing. */
bool quota_missing(const struct json *hard, const struct json *pod_spec, struct str *ret);
/* Does such a write change usage? */
bool quota_counts(const char *group, const char *plural, const char *sub, bool create);

/* ---- the plugin ---- */
struct apiserver;
struct op;
struct quotas;
struct quota_hold;
struct quotas *quotas_new(struct apiserver *s);
void quotas_free(struct quotas *q);
/* Books what the write uses. 0: nothing to do or done, 1: op_run() will be called, -1: refused. */
int quota_book(struct op *op);
/* The write is over; failed: what was booked is given back. h may be NULL. */
void quota_settle(struct quota_hold *h, bool failed);
/* A quota is written: its status says what is used from the first moment. */
void quota_prepare(struct op *op);
