/* SPDX-License-Identifier: Apache-2.0 */
/* Bootstrap tokens: "id.secret", kept in a Secret of kube-system, for hosts that join (kubernetes-api.md 5.3). */
#include "platform/auth/auth.h"

#include "base/mem.h"
#include "base/time.h"

#include <string.h>

#define ID_LEN 6
#define SECRET_LEN 16

static bool lower_alnum(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9')))
			return false;
	return true;
}

bool bootstrap_token_is(const char *token)
{
	return strlen(token) == ID_LEN + 1 + SECRET_LEN && token[ID_LEN] == '.' &&
	       lower_alnum(token, ID_LEN) && lower_alnum(token + ID_LEN + 1, SECRET_LEN);
}

/* A member of the Secret's data, decoded; "" if absent. */
static void datum(const struct obj *secret, const char *key, struct str *out)
{
	const char *text = json_get_str(json_get(obj_json(secret), "data"), key);

	if (text)
		b64_decode(text, strlen(text), false, out, NULL);
}

static bool datum_is(const struct obj *secret, const char *key, const char *want)
{
	CLEANUP(str_done) struct str v = { 0 };

	datum(secret, key, &v);
	return v.len == strlen(want) && crypto_equal(str_cstr(&v), want, v.len);
}

static bool expired(const struct obj *secret, int64_t now_ms)
{
	CLEANUP(str_done) struct str v = { 0 };
	int64_t at;

	datum(secret, "expiration", &v);
	if (v.len == 0)
		return false;
	return !time_parse(v.data, &at) || at <= now_ms;
}

static void add_groups(const struct obj *secret, struct user *u)
{
	CLEANUP(str_done) struct str v = { 0 };
	char *rest;

	strv_add(&u->groups, "system:bootstrappers");
	datum(secret, "auth-extra-groups", &v);
	rest = v.data;
	while (rest) {
		const char *g = str_next(&rest, ',');

		if (str_starts(g, "system:bootstrappers:"))
			strv_add(&u->groups, g);
	}
	strv_add(&u->groups, GROUP_AUTHENTICATED);
}

int bootstrap_token_check(struct auth *auth, const char *token, struct user *ret, struct err *e)
{
	CLEANUP(mem_freep) char *id = mem_strndup(token, ID_LEN);
	CLEANUP(mem_freep) char *key = str_printf("kube-system/bootstrap-token-%s", id);
	const struct obj *secret = objects_get(auth->objects, "secrets", key);

	if (!secret || obj_deleting(secret) ||
		!str_eq(json_get_str(obj_json(secret), "type"), "bootstrap.kubernetes.io/token") ||
		!datum_is(secret, "token-id", id) || !datum_is(secret, "token-secret", token + ID_LEN + 1) ||
		!datum_is(secret, "usage-bootstrap-authentication", "true") ||
		expired(secret, loop_wall_ms(auth->objects->loop)))
		return err_set(e, ERR_UNAUTHORIZED, "bootstrap token '%s' is not valid", id);
	ret->name = str_printf("system:bootstrap:%s", id);
	add_groups(secret, ret);
	return 0;
}
