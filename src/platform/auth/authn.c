/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/auth/auth.h"

#include "base/mem.h"
#include "base/url.h"

#include <string.h>
#include <strings.h>

static void add_group(struct user *u, const char *group)
{
	if (!strv_has(&u->groups, group))
		strv_add(&u->groups, group);
}

#define FRONT_PROXY_NAME "front-proxy-client" /* requestheader-allowed-names, bootstrap.c */

static void set_name(struct user *u, const char *name)
{
	free(u->name);
	u->name = mem_strdup(name);
}

/* Keys of extras are lower case, and percent-encoded where a header's name could not say them. */
static char *decoded_key(const char *name)
{
	CLEANUP(mem_freep) char *lower = str_lower(name);

	return url_decoded(lower, strlen(lower), false);
}

/* "X-Remote-Extra-Scopes: a" -> "scopes=a"; the key is decoded */
static void add_extra(struct user *u, const char *key, const char *value)
{
	strv_addf(&u->extra, "%s=%s", key, value);
}

static bool from_front_proxy(struct request *r, struct user *u)
{
	const char *name = request_header(r, "X-Remote-User");
	struct http_header h;

	if (str_empty(name))
		return false;
	set_name(u, name);
	for (size_t i = 0; http_req_header_each(request_http(r), &i, &h);) {
		if (strcasecmp(h.name, "X-Remote-Group") == 0)
			add_group(u, h.value);
		else if (strncasecmp(h.name, "X-Remote-Extra-", 15) == 0) {
			CLEANUP(mem_freep) char *key = decoded_key(h.name + 15);

			add_extra(u, key, h.value);
		} else if (strcasecmp(h.name, "X-Remote-Uid") == 0 && !u->uid)
			u->uid = mem_strdup(h.value);
	}
	add_group(u, GROUP_AUTHENTICATED);
	return true;
}

static bool from_certificate(struct auth *auth, struct request *r, struct user *u)
{
	const struct strv *orgs;
	const char *cn;

	if (!http_req_client_cert(request_http(r), &cn, &orgs))
		return false;
	/* the front proxy's CA makes nobody but the front proxy somebody */
	if (str_eq(http_req_client_issuer(request_http(r)), auth->pki->front_issuer))
		return str_eq(cn, FRONT_PROXY_NAME) && from_front_proxy(r, u);
	if (str_empty(cn))
		return false;
	set_name(u, cn);
	for (size_t i = 0; i < orgs->len; i++)
		add_group(u, orgs->items[i]);
	add_group(u, GROUP_AUTHENTICATED);
	return true;
}

/* Browsers can send no header with a WebSocket, and carry the token as a subprotocol. */
static char *bearer_of_protocol(const struct request *r)
{
	static const char prefix[] = "base64url.bearer.authorization.k8s.io.";
	const char *at = request_header(r, "Sec-WebSocket-Protocol");
	CLEANUP(str_done) struct str token = { 0 };

	if (!at || !(at = strstr(at, prefix)))
		return NULL;
	at += strlen(prefix);
	if (b64_decode(at, strcspn(at, ", "), true, &token, NULL) < 0)
		return NULL;
	return str_take(&token);
}

/* The caller frees. */
static char *bearer_of(const struct request *r)
{
	const char *h = request_header(r, "Authorization");

	if (!h || strncasecmp(h, "Bearer ", 7) != 0)
		return h ? NULL : bearer_of_protocol(r);
	h += 7;
	while (*h == ' ')
		h++;
	return mem_strdup(h);
}

int authenticate(struct auth *auth, struct request *r, struct err *e)
{
	struct user *u = request_user_mut(r);
	CLEANUP(mem_freep) char *token = NULL;

	if (request_in_process(r))
		return 0;
	if (from_certificate(auth, r, u))
		return 0;
	token = bearer_of(r);
	if (token) {
		if (token_check(auth, token, NULL, u, NULL, NULL) < 0)
			return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
		return 0;
	}
	set_name(u, USER_ANONYMOUS);
	add_group(u, GROUP_UNAUTHENTICATED);
	return 0;
}

/* ---- impersonation ---- */
static int may_impersonate(struct auth *auth, const struct user *u, const char *group, const char *plural,
	const char *sub, const char *ns, const char *name, struct err *e)
{
	struct access a = { .user = u,
		.resource_request = true,
		.verb = "impersonate",
		.group = group,
		.version = "v1",
		.plural = plural,
		.sub = sub,
		.ns = ns,
		.name = name };

	return access_allowed(auth, &a, NULL) ? 0 : access_denied(&a, NULL, e);
}

static int impersonate_name(struct auth *auth, const struct request *r, const struct user *u,
	const char *name, struct user *to, struct err *e)
{
	static const char prefix[] = "system:serviceaccount:";
	CLEANUP(mem_freep) char *ns = NULL;
	const char *colon;

	if (!str_starts(name, prefix) || !(colon = strchr(name + strlen(prefix), ':'))) {
		if (may_impersonate(auth, u, "", "users", NULL, NULL, name, e) < 0)
			return -1;
		set_name(to, name);
		return 0;
	}
	ns = mem_strndup(name + strlen(prefix), (size_t)(colon - name) - strlen(prefix));
	if (may_impersonate(auth, u, "", "serviceaccounts", NULL, ns, colon + 1, e) < 0)
		return -1;
	set_name(to, name);
	/* unless groups are asked for */
	if (!request_header(r, "Impersonate-Group")) {
		add_group(to, "system:serviceaccounts");
		strv_addf(&to->groups, "system:serviceaccounts:%s", ns);
	}
	return 0;
}

/* Groups and the like are nobody's without a name. */
static int nobody_named(const struct request *r, struct err *e)
{
	struct http_header h;

	for (size_t i = 0; http_req_header_each(request_http(r), &i, &h);)
		if (strncasecmp(h.name, "Impersonate-", 12) == 0)
			return err_set(e, ERR_INTERNAL,
				"Internal Server Error: \"%s\": requested %s without impersonating a user",
				request_path(r), h.name);
	return 0;
}

static int impersonate_header(
	struct auth *auth, const struct user *u, const struct http_header *h, struct user *to, struct err *e)
{
	if (strcasecmp(h->name, "Impersonate-Group") == 0) {
		if (may_impersonate(auth, u, "", "groups", NULL, NULL, h->value, e) < 0)
			return -1;
		add_group(to, h->value);
	} else if (strcasecmp(h->name, "Impersonate-Uid") == 0) {
		if (may_impersonate(auth, u, "authentication.k8s.io", "uids", NULL, NULL, h->value, e) < 0)
			return -1;
		free(to->uid);
		to->uid = mem_strdup(h->value);
	} else if (strncasecmp(h->name, "Impersonate-Extra-", 18) == 0) {
		CLEANUP(mem_freep) char *key = decoded_key(h->name + 18);

		if (may_impersonate(auth, u, "authentication.k8s.io", "userextras", key, NULL, h->value, e) <
			0)
			return -1;
		add_extra(to, key, h->value);
	}
	return 0;
}

int impersonate(struct auth *auth, struct request *r, struct err *e)
{
	const char *name = request_header(r, "Impersonate-User");
	struct user *u = request_user_mut(r), to = { 0 };
	struct http_header h;
	int ret;

	if (!request_http(r))
		return 0;
	if (str_empty(name))
		return nobody_named(r, e);
	ret = impersonate_name(auth, r, u, name, &to, e);
	for (size_t i = 0; ret == 0 && http_req_header_each(request_http(r), &i, &h);)
		ret = impersonate_header(auth, u, &h, &to, e);
	if (ret == 0) {
		if (str_eq(name, USER_ANONYMOUS))
			add_group(&to, GROUP_UNAUTHENTICATED);
		else if (!user_in(&to, GROUP_UNAUTHENTICATED))
			add_group(&to, GROUP_AUTHENTICATED);
		user_done(u);
		*u = to;
		return 0;
	}
	user_done(&to);
	return -1;
}
