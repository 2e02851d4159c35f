/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/admission.h - what is asked before a write is stored (kubernetes-api.md 5.1): built-in plug-ins
 * (plugins.h), quotas (quota.h), policies (policy.h), webhooks (here). It knows the objects, who may what, and how to reach
 * other servers; of the request it is told what it needs. */
#pragma once

#include "platform/auth/auth.h"
#include "platform/callout/backend.h"

/* Everybody who is asked, and what they stand on (borrowed). */
struct admitter {
	struct objects *objects;
	struct auth *auth;
	struct callouts *callouts;
	unsigned plugins_off; /* plugins.h */
	/* from admitter_follow() on, else NULL */
	struct webhooks *webhooks;
	struct policies *policies;
	struct quotas *quotas; /* NULL: switched off */
};
struct admitter *admitter_new(
	struct objects *objects, struct auth *auth, struct callouts *callouts, unsigned plugins_off);
/* The objects are loaded: webhooks, policies and quotas are followed from now on, until admitter_end(). */
void admitter_follow(struct admitter *adm);
void admitter_end(struct admitter *adm);
void admitter_free(struct admitter *adm); /* NULL is fine */

struct admission_in {
	struct resource *res;
	const char *sub;       /* "" or the subresource */
	const char *operation; /* CREATE UPDATE DELETE CONNECT */
	const char *ns, *name; /* "" if none */
	const struct user *user;
	bool dry_run;
	const struct obj *old;      /* in res' version, or NULL; of a subresource with another body: that */
	const struct json *object;  /* in res' version; NULL for DELETE */
	const struct json *options; /* DeleteOptions and so on, or NULL */
	const char *options_kind;   /* "CreateOptions"; NULL: there are none (CONNECT) */
	/* Whose line of the audit log takes what webhooks and policies have to say of it; *client NULL: gone. As long-lived as
	 * warnings. NULL: nobody's */
	struct request **client;
};
/* status: the Status to answer with if refused, else NULL. object: the object as the webhooks made it (taken by the callee;
 * NULL: unchanged). */
typedef void admission_fn(void *arg, struct json_doc *status, struct json_doc *object);
struct admission;
/* NULL: no webhook wants to see it, go on. Else fn is called in a later turn, once. Everything in `in` is copied or referenced.
 * Warnings of webhooks are collected in `warnings`, which must live until then. */
struct admission *admission_start(struct admitter *adm, bool mutating, const struct admission_in *in,
	struct strv *warnings, admission_fn *fn, void *arg);
void admission_cancel(struct admission *a); /* NULL is fine */

/* Mutating, then validating webhooks about a request that writes no object (exec, a token): fn once, now or in a later turn; the
 * object is what the webhooks made of it, borrowed. NULL: fn was called already. */
typedef void admit_fn(void *arg, struct json_doc *status, const struct json *object);
struct admit;
struct admit *admit_start(
	struct admitter *adm, const struct admission_in *in, struct strv *warnings, admit_fn *fn, void *arg);
void admit_cancel(struct admit *a); /* NULL is fine */
