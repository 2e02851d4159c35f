/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/admission.h - calling out to admission webhooks (kubernetes-api.md 5.1). */
#pragma once

#include "platform/apiserver/server.h"

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
struct admission *admission_start(struct apiserver *s, bool mutating, const struct admission_in *in,
	struct strv *warnings, admission_fn *fn, void *arg);
void admission_cancel(struct admission *a); /* NULL is fine */

/* Mutating, then validating webhooks about a request that writes no object (exec, a token): fn once, now or in a later turn; the
 * object is what the webhooks made of it, borrowed. NULL: fn was called already. */
typedef void admit_fn(void *arg, struct json_doc *status, const struct json *object);
struct admit;
struct admit *admit_start(
	struct apiserver *s, const struct admission_in *in, struct strv *warnings, admit_fn *fn, void *arg);
void admit_cancel(struct admit *a); /* NULL is fine */

struct webhooks *webhooks_new(struct apiserver *s); /* follows the webhook configurations */
void webhooks_free(struct webhooks *w);
