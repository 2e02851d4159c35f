/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/quota.h - ResourceQuota (kubernetes-api.md 5.1). What an object uses and whether a quota is about it is
 * pure (quota_eval.c); quota.c is the plugin: it books a write's usage in the quotas' status before the write is committed,
 * by compare and swap in the store, so that no two writers, nor two servers, can share what is left; and it works usage
 * out afresh when objects go or change. */
#pragma once

#include "platform/admission/amounts.h"
#include "platform/admission/plugins.h"
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

/* ---- the plug-in ---- */
struct quotas *quotas_new(struct admitter *adm);
void quotas_free(struct quotas *q); /* NULL is fine */
/* What one write has booked. */
struct quota_booking {           /* zero-initialise */
	struct quota_hold *hold; /* NULL: nothing */
	unsigned tries;          /* that met other writers */
};
/* again: another writer was faster, quota_book() has to be called once more. */
typedef void quota_fn(void *arg, bool again, const struct err *e);
/* Books what the write uses. 0: nothing to do or done, 1: fn is called once, in a later turn; b and arg live until then; -1:
 * refused. */
int quota_book(const struct plugin_write *w, struct quota_booking *b, quota_fn *fn, void *arg);
/* The write is over; failed: what was booked is given back. */
void quota_settle(struct quota_booking *b, bool failed);
/* A quota is written: its status says what is used from the first moment. */
void quota_prepare(struct admitter *adm, const char *ns, struct json_doc *draft);
