/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a write into the store and back: queued with its revision, seen by later writes at once, by readers and watchers
 * only when it is durable. */
#include "platform/apiserver/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/apiserver/value.h"

#include <string.h>

struct commit {
	struct apiserver *s;
	struct bucket *bucket;
	struct obj *obj;
	bool removal;
	commit_fn *done;
	void *arg;
};

/* Members in the order apiVersion, kind, metadata, rest. */
void server_normalize(struct json_doc *d)
{
	static const char *const first[] = { "apiVersion", "kind", "metadata" };
	struct json *root = json_root(d), *ordered;
	size_t i = 0;
	bool fine = true;

	JSON_EACH (it, root) {
		if (i < ARRAY_LEN(first) && !str_eq(it.key, first[i]))
			fine = false;
		if (++i == ARRAY_LEN(first))
			break;
	}
	if (fine && i == ARRAY_LEN(first))
		return;
	ordered = json_new_obj(d);
	for (i = 0; i < ARRAY_LEN(first); i++)
		json_set(d, ordered, first[i], json_new_null(d));
	for (struct json_iter it = json_iter(root); json_next(&it);) {
		const char *key = it.key;
		struct json *v = it.val;

		json_iter_remove(&it);
		json_set(d, ordered, key, v);
	}
	json_set_root(d, ordered);
}

static void commit_done(void *arg, uint64_t rev, const struct err *e)
{
	struct commit *c = arg;
	struct apiserver *s = c->s;
	int64_t now = loop_mono_ms(s->loop);

	s->commits--;
	bucket_settle(c->bucket, obj_key(c->obj));
	if (!e && c->removal)
		bucket_remove(c->bucket, c->obj, rev, now);
	else if (!e)
		bucket_put(c->bucket, c->obj, rev, now);
	if (c->done)
		c->done(c->arg, e ? NULL : c->obj, e);
	else if (e)
		log_error("apiserver: %s '%s': %s", bucket_storage(c->bucket), obj_key(c->obj), e->msg);
	if (!e)
		server_wake_waits(s);
	server_after_change(s);
	if (bucket_len(c->bucket) >= SERVER_COMPACT_FROM)
		obj_compact(c->obj);
	obj_unref(c->obj);
	free(c);
}

static void commit_start(struct apiserver *s, struct bucket *b, struct obj *o, bool removal, uint64_t rev,
	uint64_t expect, commit_fn *done, void *arg)
{
	CLEANUP(str_done) struct str key = { 0 }, value = { 0 };
	struct commit *c = MEM_NEW(struct commit);
	const char *text;
	size_t len;

	*c = (struct commit){ s, b, o, removal, done, arg };
	server_store_key(b, obj_key(o), &key);
	if (!removal) {
		text = obj_text(o, &len);
		value_without_rv(text, len, &value);
	}
	bucket_queue(b, obj_key(o), removal ? NULL : o, rev);
	s->commits++;
	store_write(s->store, &(struct store_write){ .key = key.data,
				      .value = removal ? NULL : value.data,
				      .len = value.len,
				      .expect = expect,
				      .done = commit_done,
				      .arg = c });
}

void server_put(struct apiserver *s, struct bucket *b, struct json_doc *draft, uint64_t expect,
	commit_fn *done, void *arg)
{
	uint64_t rev = store_next(s->store);

	json_set_strf(draft, json_need_obj(draft, json_root(draft), "metadata"), "resourceVersion", "%llu",
		(unsigned long long)rev);
	server_normalize(draft);
	commit_start(s, b, obj_from_doc(draft), false, rev, expect, done, arg);
}

void server_remove(struct apiserver *s, struct bucket *b, const struct obj *old, commit_fn *done, void *arg)
{
	uint64_t rev = store_next(s->store);

	commit_start(s, b, server_last_state(old, rev), true, rev, obj_rv(old), done, arg);
}

const struct obj *server_env_get(
	const struct write_env *env, const char *group, const char *plural, const char *key)
{
	struct resource *res = registry_storage(env->server->registry, group, plural);
	uint64_t rev;

	return res ? bucket_latest(server_bucket_of(env->server, res), key, &rev) : NULL;
}

void server_make(struct apiserver *s, const char *group, const char *plural, struct json_doc *doc)
{
	CLEANUP(json_doc_freep) struct json_doc *d = doc;
	CLEANUP(json_doc_freep)
	struct json_doc *status = NULL; /* which a create drops, but this one is ours */
	struct resource *res = registry_storage(s->registry, group, plural);
	struct json *meta = json_need_obj(d, json_root(d), "metadata");
	struct causes c = { 0 };
	struct err e = { 0 };
	char uid[37], suffix[6] = "xxxxx";
	uint64_t rev;
	CLEANUP(mem_freep) char *key = NULL;
	struct write_env env = {
		.now_ms = loop_wall_ms(s->loop), .sub = "", .get = server_env_get, .server = s
	};
	struct create_in in = { .ns = json_get_str(meta, "namespace"),
		.uid = uid,
		.suffix5 = suffix,
		.now_ms = loop_wall_ms(s->loop) };

	MUST(res);
	key = kind_key(in.ns, json_get_str(meta, "name"));
	if (bucket_latest(server_bucket_of(s, res), key, &rev))
		return;
	crypto_uuid(uid);
	status = json_doc_from(json_get(json_root(d), "status"));
	schema_default(resource_schema(res), d, json_root(d));
	if (res->def->hooks.deflt)
		res->def->hooks.deflt(d, json_root(d));
	if (write_create(&res->rules, &in, d, &c, &e) < 0 ||
		(res->def->hooks.prepare && res->def->hooks.prepare(&env, d, json_root(d), NULL, &e) < 0)) {
		log_error("apiserver: make %s '%s': %s", plural, key, e.msg);
	} else {
		if (json_len(json_root(status)) > 0)
			json_set_copy(d, json_root(d), "status", json_root(status));
		server_put(s, server_bucket_of(s, res), TAKE(d), 0, NULL, NULL);
	}
	causes_done(&c);
}

/* ---- waiting for a revision ---- */
struct rev_wait {
	struct apiserver *s;
	uint64_t rev;
	rev_wait_fn *fn;
	void *arg;
	struct loop_timer *timer;
	struct rev_wait *next;
};

static void wait_unlink(struct rev_wait *w)
{
	struct rev_wait **p = &w->s->waits;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	loop_timer_free(w->timer);
}

static void wait_end(struct rev_wait *w, bool reached)
{
	rev_wait_fn *fn = w->fn;
	void *arg = w->arg;

	wait_unlink(w);
	free(w);
	fn(arg, reached);
}

static void wait_timed_out(void *arg)
{
	wait_end(arg, false);
}

struct rev_wait *server_wait_revision(struct apiserver *s, uint64_t rev, rev_wait_fn *fn, void *arg)
{
	struct rev_wait *w = MEM_NEW(struct rev_wait);

	*w = (struct rev_wait){ .s = s, .rev = rev, .fn = fn, .arg = arg, .next = s->waits };
	w->timer = loop_timer_new(s->loop, wait_timed_out, w);
	loop_timer_set(w->timer, REVISION_WAIT_MS);
	s->waits = w;
	return w;
}

void server_wait_cancel(struct rev_wait *w)
{
	if (!w)
		return;
	wait_unlink(w);
	free(w);
}

void server_wake_waits(struct apiserver *s)
{
	struct rev_wait *w = s->waits, *next;

	for (; w; w = next) {
		next = w->next;
		if (w->rev <= server_revision(s))
			wait_end(w, true);
	}
}
