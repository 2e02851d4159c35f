/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/auth/accounts.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/auth/auth.h"

#include <string.h>

struct accounts {
	struct auth *auth;
	struct bucket_watch secrets, accounts;
	struct strv queue; /* keys of Secrets to look at */
	struct loop_timer *timer;
};

static bool is_token_secret(const struct obj *o)
{
	return str_eq(json_get_str(obj_json(o), "type"), ACCOUNT_SECRET_TYPE);
}

/* The account, if it is the one the Secret was made for. */
static const struct obj *account_of(struct auth *auth, const struct obj *secret)
{
	const char *name = meta_annotation(obj_json(secret), ACCOUNT_NAME_NOTE),
		   *uid = meta_annotation(obj_json(secret), ACCOUNT_UID_NOTE);
	CLEANUP(mem_freep) char *key = kind_key(obj_namespace(secret), name ? name : "");
	const struct obj *account = objects_get(auth->objects, "serviceaccounts", key);

	if (!account || (!str_empty(uid) && !str_eq(uid, obj_uid(account))))
		return NULL;
	return account;
}

static void set_datum(struct json_doc *d, struct json *data, const char *key, const char *text)
{
	CLEANUP(str_done) struct str b64 = { 0 };

	if (json_str_len(json_get(data, key)) > 0)
		return;
	b64_encode(text, strlen(text), false, &b64);
	json_set_str(d, data, key, str_cstr(&b64));
}

/* False: everything is there. */
static bool fill(struct auth *auth, const struct obj *account, const struct obj *secret, struct json_doc *d)
{
	struct json *data = json_need_obj(d, json_root(d), "data");
	CLEANUP(mem_freep) char *token = NULL;
	struct err e = { 0 };

	meta_set_annotation(d, json_root(d), ACCOUNT_UID_NOTE, obj_uid(account));
	if (json_str_len(json_get(data, "token")) == 0) {
		if (token_make_legacy(auth, account, obj_name(secret), &token, &e) < 0) {
			log_error("apiserver: token for Secret '%s': %s", obj_key(secret), e.msg);
			return false;
		}
		set_datum(d, data, "token", token);
	}
	set_datum(d, data, "ca.crt", auth->pki->ca.cert_pem);
	set_datum(d, data, "namespace", obj_namespace(secret));
	return !json_eq(json_root(d), obj_json(secret));
}

static void look_at(struct accounts *a, const char *key)
{
	struct bucket *b = objects_bucket(a->auth->objects, "secrets");
	uint64_t rev;
	const struct obj *secret = bucket_latest(b, key, &rev), *account;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (!secret || obj_deleting(secret) || !is_token_secret(secret))
		return;
	account = account_of(a->auth, secret);
	if (!account) {
		objects_remove(a->auth->objects, b, secret, NULL, NULL);
		return;
	}
	d = obj_draft(secret);
	if (fill(a->auth, account, secret, d))
		objects_put(a->auth->objects, b, TAKE(d), rev, NULL, NULL);
}

static void work(void *arg)
{
	struct accounts *a = arg;
	CLEANUP(strv_done) struct strv queue = a->queue;

	a->queue = (struct strv){ 0 };
	for (size_t i = 0; !a->auth->objects->stopping && i < queue.len; i++)
		look_at(a, queue.items[i]);
}

static void enqueue(struct accounts *a, const struct obj *secret)
{
	if (!is_token_secret(secret) || strv_has(&a->queue, obj_key(secret)))
		return;
	strv_add(&a->queue, obj_key(secret));
	if (!loop_timer_armed(a->timer))
		loop_timer_set(a->timer, 0);
}

static void secret_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	if (c->type != BUCKET_DELETED)
		enqueue(CONTAINER_OF(w, struct accounts, secrets), c->obj);
}

static void account_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct accounts *a = CONTAINER_OF(w, struct accounts, accounts);
	const struct bucket *b = objects_bucket(a->auth->objects, "secrets");
	CLEANUP(mem_freep) char *prefix = NULL;
	const struct obj *o;

	if (c->type != BUCKET_DELETED)
		return;
	prefix = str_printf("%s/", obj_namespace(c->obj));
	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix); i++)
		enqueue(a, o);
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

struct accounts *accounts_new(struct auth *auth)
{
	struct accounts *a = MEM_NEW(struct accounts);
	const struct obj *o;

	a->auth = auth;
	a->timer = loop_timer_new(auth->objects->loop, work, a);
	a->secrets.change = secret_changed;
	a->accounts.change = account_changed;
	a->secrets.gone = a->accounts.gone = never_gone;
	bucket_watch_add(objects_bucket(auth->objects, "secrets"), &a->secrets, "");
	bucket_watch_add(objects_bucket(auth->objects, "serviceaccounts"), &a->accounts, "");
	for (size_t i = 0; (o = bucket_at(objects_bucket(auth->objects, "secrets"), i)); i++)
		enqueue(a, o);
	return a;
}

void accounts_free(struct accounts *a)
{
	if (!a)
		return;
	bucket_watch_remove(&a->secrets);
	bucket_watch_remove(&a->accounts);
	loop_timer_free(a->timer);
	strv_done(&a->queue);
	free(a);
}
