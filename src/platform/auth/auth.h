/* SPDX-License-Identifier: Apache-2.0 */
/* platform/auth/auth.h - who asks (authn.c, token.c), and whether they may (rbac.c). kubernetes-api.md 5.2, 5.3. */
#pragma once

#include "platform/auth/pki.h"
#include "platform/objects/objects.h"
#include "platform/request/request_impl.h"

#define AUTH_ISSUER "https://kubernetes.default.svc.cluster.local"
#define TOKEN_SECONDS 3600
#define TOKEN_SECONDS_MIN 600
#define TOKEN_SECONDS_MAX (366LL * 24 * 3600)

struct auth {
	struct objects *objects;    /* accounts, what tokens are bound to, roles and bindings */
	const struct pki *pki;      /* may be loaded later */
	struct token_cache *tokens; /* private */
};
struct auth *auth_new(struct objects *objects, const struct pki *pki);
void auth_free(struct auth *auth); /* NULL is fine */

/* Fills in the request's user. ERR_UNAUTHORIZED: bad credentials. None at all is the anonymous user. */
int authenticate(struct auth *auth, struct request *r, struct err *e);
/* Impersonate-* headers: checks the right to, and replaces the user. */
int impersonate(struct auth *auth, struct request *r, struct err *e);

/* ---- tokens ---- */
/* audiences: any of them has to be in the token; NULL-terminated, NULL: the server's own. */
int token_check(struct auth *auth, const char *token, const char *const *audiences, struct user *ret,
	struct strv *ret_audiences /* or NULL */, struct err *e);
struct token_spec {
	const struct obj *account;
	const struct obj *bound;      /* pod, secret or node, or NULL */
	const char *bound_kind;       /* "pod", "secret", "node" */
	const char *const *audiences; /* NULL: the server's own */
	int64_t seconds;
};
int token_make(
	struct auth *auth, const struct token_spec *spec, char **ret, int64_t *ret_expires_ms, struct err *e);
/* The token of a Secret of type kubernetes.io/service-account-token: no audience, no end but that of the two objects. */
int token_make_legacy(
	struct auth *auth, const struct obj *account, const char *secret, char **ret, struct err *e);
/* "abcdef.0123456789abcdef" */
bool bootstrap_token_is(const char *token);
int bootstrap_token_check(struct auth *auth, const char *token, struct user *ret, struct err *e);

/* ---- authorization ---- */
struct access {
	const struct user *user;
	bool resource_request;
	const char *verb;
	const char *group, *version, *plural, *sub, *ns, *name; /* NULL or "": none */
	const char *path;
};
/* reason: what went wrong on the way (missing roles), may be NULL. */
bool access_allowed(struct auth *auth, const struct access *a, struct str *reason);
/* The same; why: who allows it, or what went wrong. For reviews: it costs more. */
bool access_explain(struct auth *auth, const struct access *a, struct str *why);
/* The 403. Returns -1. */
int access_denied(const struct access *a, const char *reason, struct err *e);
/* Every rule that applies to the user in the namespace ("": cluster-wide ones only); fn false: stop. */
typedef bool rule_fn(void *arg, const struct json *rule);
void access_each_rule(struct auth *auth, const struct user *u, const char *ns, rule_fn *fn, void *arg);
bool rule_covers(const struct json *rule, const struct access *a);
