/* SPDX-License-Identifier: Apache-2.0 */
/* Service-account tokens: ES256 JSON web tokens that live and die with the objects they name (kubernetes-api.md 5.3). */
#include "platform/auth/auth.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"

#include <string.h>

/* Verified signatures, by hash of the token: checking one costs a hundred times what the rest of a small request does. What
 * can change (time, existence of the objects) is checked each time. */
#define TOKEN_CACHE 64
#define LEGACY_ISSUER "kubernetes/serviceaccount"
#define LEGACY_CLAIM "kubernetes.io/serviceaccount/"
struct token_cached {
	uint8_t hash[32];
	struct json_doc *claims;
	uint64_t used;
};
struct token_cache {
	struct token_cached items[TOKEN_CACHE];
	uint64_t clock;
};

struct auth *auth_new(struct objects *objects, const struct pki *pki)
{
	struct auth *auth = MEM_NEW(struct auth);

	auth->objects = objects;
	auth->pki = pki;
	return auth;
}

void auth_free(struct auth *auth)
{
	for (size_t i = 0; auth && auth->tokens && i < TOKEN_CACHE; i++)
		json_doc_free(auth->tokens->items[i].claims);
	if (auth)
		free(auth->tokens);
	free(auth);
}

static const struct json *claims_of(struct auth *auth, const char *token, struct err *e)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct token_cached *oldest;
	struct json_doc *d;
	uint8_t hash[32];

	if (!auth->tokens)
		auth->tokens = MEM_NEW(struct token_cache);
	oldest = &auth->tokens->items[0];
	crypto_sha256(token, strlen(token), hash);
	for (size_t i = 0; i < TOKEN_CACHE; i++) {
		struct token_cached *c = &auth->tokens->items[i];

		if (c->claims && memcmp(c->hash, hash, sizeof(hash)) == 0) {
			c->used = ++auth->tokens->clock;
			return json_root(c->claims);
		}
		if (c->used < oldest->used)
			oldest = c;
	}
	if (jwt_verify(auth->pki->sa_key, token, &text, e) < 0)
		return NULL;
	d = json_parse(text, strlen(text), e);
	if (!d)
		return NULL;
	json_doc_free(oldest->claims);
	memcpy(oldest->hash, hash, sizeof(hash));
	oldest->claims = d;
	oldest->used = ++auth->tokens->clock;
	return json_root(d);
}

/* token audiences ["a" "b"] is invalid for the target audiences ["c"] */
static int bad_audiences(const struct json *aud, const char *const *wanted, struct err *e)
{
	CLEANUP(str_done) struct str has = { 0 };
	CLEANUP(str_done) struct str wants = { 0 };

	if (json_is_str(aud))
		json_write_to(aud, &has);
	JSON_EACH (it, aud) {
		str_add(&has, it.i ? " " : "");
		json_write_to(it.val, &has);
	}
	for (size_t i = 0; wanted && wanted[i]; i++)
		str_addf(&wants, "%s\"%s\"", i ? " " : "", wanted[i]);
	return err_set(e, ERR_UNAUTHORIZED,
		"[invalid bearer token, token audiences [%s] is invalid for the target audiences [%s]]",
		str_cstr(&has), str_cstr(&wants));
}

static int check_audience(const struct json *aud, const char *const *wanted, struct strv *ret, struct err *e)
{
	static const char *const own[] = { AUTH_ISSUER, NULL };
	CLEANUP(strv_done) struct strv hit = { 0 };

	if (!wanted)
		wanted = own;
	if (json_is_str(aud) && str_in(json_str(aud), wanted))
		strv_add(&hit, json_str(aud));
	JSON_EACH (it, aud) {
		if (json_is_arr(aud) && json_str(it.val) && str_in(json_str(it.val), wanted))
			strv_add(&hit, json_str(it.val));
	}
	if (hit.len == 0)
		return bad_audiences(aud, wanted, e);
	for (size_t i = 0; ret && i < hit.len; i++)
		strv_add(ret, hit.items[i]);
	return 0;
}

/* Terminating for a minute longer than it was given: as good as gone. */
static bool is_past_grace(const struct auth *auth, const struct obj *o)
{
	int64_t at;

	return time_parse(meta_str(obj_json(o), "deletionTimestamp"), &at) &&
	       loop_wall_ms(auth->objects->loop) > at + 60 * 1000;
}

/* The object a token is bound to is still the one it was made for. */
static int check_bound(struct auth *auth, const struct json *k8s, const char *member, const char *storage,
	const char *ns, struct err *e)
{
	const struct json *ref = json_get(k8s, member);
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *o;

	if (!ref)
		return 0;
	key = kind_key(ns, json_str_or(json_get(ref, "name"), ""));
	o = objects_get(auth->objects, storage, key);
	if (o && obj_deleting(o) && is_past_grace(auth, o))
		o = NULL;
	if (!o || !str_eq(obj_uid(o), json_get_str(ref, "uid")))
		return err_set(e, ERR_UNAUTHORIZED, "the %s '%s' of the token is gone", member, key);
	return 0;
}

static void fill_user(const struct json *claims, const char *ns, struct user *u)
{
	const struct json *k8s = json_get(claims, "kubernetes.io");
	const char *pod = json_at_str(k8s, "/pod/name"), *jti = json_get_str(claims, "jti"),
		   *node = json_at_str(k8s, "/node/name");

	u->name = mem_strdup(json_get_str(claims, "sub"));
	u->uid = mem_strdup(json_str_or(json_at(k8s, "/serviceaccount/uid"), ""));
	strv_add(&u->groups, "system:serviceaccounts");
	strv_addf(&u->groups, "system:serviceaccounts:%s", ns);
	strv_add(&u->groups, GROUP_AUTHENTICATED);
	if (jti)
		strv_addf(&u->extra, "authentication.kubernetes.io/credential-id=JTI=%s", jti);
	if (pod) {
		strv_addf(&u->extra, "authentication.kubernetes.io/pod-name=%s", pod);
		strv_addf(&u->extra, "authentication.kubernetes.io/pod-uid=%s",
			json_str_or(json_at(k8s, "/pod/uid"), ""));
	}
	if (node) {
		strv_addf(&u->extra, "authentication.kubernetes.io/node-name=%s", node);
		strv_addf(&u->extra, "authentication.kubernetes.io/node-uid=%s",
			json_str_or(json_at(k8s, "/node/uid"), ""));
	}
}

/* What a token Secret holds: good as long as that Secret holds it, and its account is there. */
static int check_legacy(struct auth *auth, const struct json *claims, const char *token,
	const char *const *audiences, struct user *u, struct strv *ret_audiences, struct err *e)
{
	static const char own[] = AUTH_ISSUER;
	const char *ns = json_get_str(claims, LEGACY_CLAIM "namespace"),
		   *secret = json_get_str(claims, LEGACY_CLAIM "secret.name"),
		   *name = json_get_str(claims, LEGACY_CLAIM "service-account.name"),
		   *uid = json_get_str(claims, LEGACY_CLAIM "service-account.uid");
	CLEANUP(mem_freep) char *key = kind_key(ns, name ? name : "");
	CLEANUP(mem_freep) char *secret_key = kind_key(ns, secret ? secret : "");
	const struct obj *account = objects_get(auth->objects, "serviceaccounts", key),
			 *o = objects_get(auth->objects, "secrets", secret_key);
	CLEANUP(str_done) struct str held = { 0 };
	const char *b64 = o ? json_at_str(obj_json(o), "/data/token") : NULL;

	if (!account || !str_eq(obj_uid(account), uid))
		return err_set(e, ERR_UNAUTHORIZED, "the service account '%s' of the token is gone", key);
	if (!b64 || obj_deleting(o) || b64_decode(b64, strlen(b64), false, &held, NULL) < 0 ||
		held.len != strlen(token) || !crypto_equal(held.data, token, held.len))
		return err_set(e, ERR_UNAUTHORIZED, "token has been invalidated");
	if (audiences && !str_in(own, audiences))
		return bad_audiences(NULL, audiences, e);
	if (ret_audiences)
		strv_add(ret_audiences, own);
	u->name = str_printf("system:serviceaccount:%s:%s", ns, name);
	u->uid = mem_strdup(uid);
	strv_add(&u->groups, "system:serviceaccounts");
	strv_addf(&u->groups, "system:serviceaccounts:%s", ns);
	strv_add(&u->groups, GROUP_AUTHENTICATED);
	return 0;
}

int token_check(struct auth *auth, const char *token, const char *const *audiences, struct user *ret,
	struct strv *ret_audiences, struct err *e)
{
	const struct json *claims, *k8s;
	int64_t now = loop_wall_ms(auth->objects->loop) / 1000;
	const char *ns, *name;
	CLEANUP(mem_freep) char *sub = NULL;

	if (bootstrap_token_is(token))
		return bootstrap_token_check(auth, token, ret, e);
	claims = claims_of(auth, token, e);
	if (!claims)
		return err_set(e, ERR_UNAUTHORIZED, "invalid bearer token");
	if (str_eq(json_get_str(claims, "iss"), LEGACY_ISSUER))
		return check_legacy(auth, claims, token, audiences, ret, ret_audiences, e);
	k8s = json_get(claims, "kubernetes.io");
	ns = json_get_str(k8s, "namespace");
	name = json_at_str(k8s, "/serviceaccount/name");
	if (!ns || !name || !str_eq(json_get_str(claims, "iss"), AUTH_ISSUER))
		return err_set(e, ERR_UNAUTHORIZED, "invalid bearer token");
	if (json_i64(json_get(claims, "exp")) <= now || json_i64(json_get(claims, "nbf")) > now + 60)
		return err_set(
			e, ERR_UNAUTHORIZED, "[invalid bearer token, service account token has expired]");
	sub = str_printf("system:serviceaccount:%s:%s", ns, name);
	if (!str_eq(json_get_str(claims, "sub"), sub))
		return err_set(e, ERR_UNAUTHORIZED, "subject of the token does not match");
	if (check_bound(auth, k8s, "serviceaccount", "serviceaccounts", ns, e) < 0 ||
		check_bound(auth, k8s, "pod", "pods", ns, e) < 0 ||
		check_bound(auth, k8s, "secret", "secrets", ns, e) < 0 ||
		/* of a pod's token it only says where the pod was */
		(!json_get(k8s, "pod") && check_bound(auth, k8s, "node", "minions", NULL, e) < 0) ||
		check_audience(json_get(claims, "aud"), audiences, ret_audiences, e) < 0)
		return -1;
	fill_user(claims, ns, ret);
	return 0;
}

static void add_ref(struct json_doc *d, struct json *k8s, const char *member, const struct obj *o)
{
	struct json *ref = json_need_obj(d, k8s, member);

	json_set_str(d, ref, "name", obj_name(o));
	json_set_str(d, ref, "uid", obj_uid(o));
}

int token_make(
	struct auth *auth, const struct token_spec *spec, char **ret, int64_t *ret_expires_ms, struct err *e)
{
	static const char *const own[] = { AUTH_ISSUER, NULL };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct json *c = json_new_obj(d), *k8s, *aud;
	int64_t now = loop_wall_ms(auth->objects->loop) / 1000;
	char jti[37];

	crypto_uuid(jti);
	json_set_root(d, c);
	aud = json_need_arr(d, c, "aud");
	for (const char *const *a = spec->audiences ? spec->audiences : own; *a; a++)
		json_append_str(d, aud, *a);
	json_set_i64(d, c, "exp", now + spec->seconds);
	json_set_i64(d, c, "iat", now);
	json_set_i64(d, c, "nbf", now);
	json_set_str(d, c, "iss", AUTH_ISSUER);
	json_set_str(d, c, "jti", jti);
	k8s = json_need_obj(d, c, "kubernetes.io");
	json_set_str(d, k8s, "namespace", obj_namespace(spec->account));
	add_ref(d, k8s, "serviceaccount", spec->account);
	if (spec->bound)
		add_ref(d, k8s, spec->bound_kind, spec->bound);
	if (spec->bound && str_eq(spec->bound_kind, "pod")) {
		const char *name = json_at_str(obj_json(spec->bound), "/spec/nodeName");
		const struct obj *node = str_empty(name) ? NULL : objects_get(auth->objects, "minions", name);

		if (node)
			add_ref(d, k8s, "node", node);
	}
	json_set_strf(d, c, "sub", "system:serviceaccount:%s:%s", obj_namespace(spec->account),
		obj_name(spec->account));
	json_write_to(c, &text);
	if (ret_expires_ms)
		*ret_expires_ms = (now + spec->seconds) * 1000;
	return jwt_sign(auth->pki->sa_key, auth->pki->sa_key_id, text.data, ret, e);
}

int token_make_legacy(
	struct auth *auth, const struct obj *account, const char *secret, char **ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct json *c = json_new_obj(d);

	json_set_root(d, c);
	json_set_str(d, c, "iss", LEGACY_ISSUER);
	json_set_str(d, c, LEGACY_CLAIM "namespace", obj_namespace(account));
	json_set_str(d, c, LEGACY_CLAIM "secret.name", secret);
	json_set_str(d, c, LEGACY_CLAIM "service-account.name", obj_name(account));
	json_set_str(d, c, LEGACY_CLAIM "service-account.uid", obj_uid(account));
	json_set_strf(d, c, "sub", "system:serviceaccount:%s:%s", obj_namespace(account), obj_name(account));
	json_write_to(c, &text);
	return jwt_sign(auth->pki->sa_key, auth->pki->sa_key_id, text.data, ret, e);
}
